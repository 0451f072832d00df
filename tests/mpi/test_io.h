/* Files to test with: a folder of their own, parameters, and values that are closed forms of (frame, id,
 * axis), so that any rank knows what any part of any file must hold. */
#ifndef EPFLOW_TESTS_IO_H
#define EPFLOW_TESTS_IO_H

#include <dirent.h>
#include <unistd.h>

#include "io/evaluation_file.h"
#include "io/model_file.h"
#include "io/trajectory.h"
#include "ranks.h"

static char folder[512];

/* EPFLOW_TEST_FOLDER, an existing folder, keeps the files for other programs to read. */
static inline int folder_make(void **state) {
    (void)state;
    const char *kept = getenv("EPFLOW_TEST_FOLDER");
    snprintf(folder, sizeof folder, "%s", kept ? kept : "/tmp/epflow_io_XXXXXX");
    if (!kept && comm_rank(comm) == 0 && !mkdtemp(folder))
        folder[0] = '\0';
    comm_broadcast(comm, folder, sizeof folder);
    status_clear();
    if (comm_size(comm) >
        1) /* a rank that fails alone would leave the others waiting: print and end the run */
        setenv("CMOCKA_TEST_ABORT", "1", 1);
    return folder[0] ? 0 : -1;
}

static inline int folder_remove(void **state) {
    (void)state;
    comm_barrier(comm);
    DIR *open = getenv("EPFLOW_TEST_FOLDER") || comm_rank(comm) > 0 ? NULL : opendir(folder);
    for (struct dirent *entry; open && (entry = readdir(open));) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    if (open) {
        closedir(open);
        rmdir(folder);
    }
    comm_barrier(comm);
    return 0;
}

#define test_with_folder(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

/* Stays valid: one place for every name. */
static inline const char *in_folder(const char *name) {
    enum { NAMES = 32 };
    static char known[NAMES][64], path[NAMES][FILE_PATH];
    int m = 0;
    while (m < NAMES - 1 && known[m][0] && strcmp(known[m], name) != 0)
        m++;
    snprintf(known[m], sizeof known[m], "%s", name);
    file_join(folder, name, path[m]);
    return path[m];
}

/* A run of n particles in d dimensions; trap > 0: open space. `setting` is one more, or NULL. */
static inline struct config config_make(int d, int n, int frames, double trap, const char *setting) {
    char text[4][64];
    struct config config;
    snprintf(text[0], sizeof text[0], "system.dimension=%d", d);
    snprintf(text[1], sizeof text[1], "system.particles=%d", n);
    snprintf(text[2], sizeof text[2], "simulation.frames=%d", frames);
    snprintf(text[3], sizeof text[3], "system.trap=%.17g", trap);
    const char *all[] = {text[0],
                         text[1],
                         text[2],
                         text[3],
                         "system.box=30",
                         "system.v0=0.25",
                         "system.gamma=0.125",
                         "simulation.dt=0.0625",
                         "simulation.burn_in=10",
                         "simulation.frame_interval=2",
                         "output.directory=results",
                         "network.neighbours=1",
                         setting};
    enum status status = config_parse("test", "", setting ? 13 : 12, all, &config);
    if (status != STATUS_OK)
        fail_msg("%s", status_message());
    return config;
}

static inline double position_of(size_t frame, size_t id, int axis) {
    return 30.0 * (double)((frame * 5 + id * 7 + (size_t)axis * 11) % 31) / 31;
}

static inline double propulsion_of(size_t frame, size_t id, int axis) {
    return sin((double)(100 * frame + id) + 10.0 * axis);
}

static inline int32_t image_of(size_t frame, size_t id, int axis) {
    return (int32_t)(frame + id % 5) - 2 * (axis + 1);
}

static inline double scalar_of(size_t frame, int which) {
    return 1.0 / (double)(frame + 3) + which;
}

static inline struct trajectory_scalars scalars_from(size_t frame, int first) {
    return (struct trajectory_scalars){scalar_of(frame, first),
                                       scalar_of(frame, first + 1),
                                       scalar_of(frame, first + 2),
                                       scalar_of(frame, first + 3),
                                       scalar_of(frame, first + 4),
                                       scalar_of(frame, first + 5),
                                       0};
}

/* The part of share `share` of the ids: room for a frame, empty or filled. */
static inline struct trajectory_frame frame_make(size_t n, int d, int share, bool filled, size_t frame) {
    const size_t begin = slice_begin(n, comm_size(comm), share),
                 end = slice_begin(n, comm_size(comm), share + 1);
    struct trajectory_frame f = {
        .step = filled ? 200 + 40 * (int64_t)frame : 0, .begin = begin, .count = end - begin};
    f.time = 0.0625 * (double)f.step;
    f.position = calloc((end - begin) * (size_t)d + 1, sizeof *f.position);
    f.g = calloc((end - begin) * (size_t)d + 1, sizeof *f.g);
    f.image = calloc((end - begin) * (size_t)d + 1, sizeof *f.image);
    for (size_t i = begin; filled && i < end; i++)
        for (int a = 0; a < d; a++) {
            const size_t at = (i - begin) * (size_t)d + (size_t)a;
            f.position[at] = position_of(frame, i, a);
            f.g[at] = propulsion_of(frame, i, a);
            f.image[at] = image_of(frame, i, a);
        }
    if (filled) {
        f.scalars = scalars_from(frame, 0);
        f.euler = scalars_from(frame, 10);
    }
    return f;
}

static inline void frame_free(struct trajectory_frame *f) {
    free(f->position);
    free(f->g);
    free(f->image);
}

static inline void frame_write(struct trajectory *t, size_t n, int d, size_t frame) {
    struct trajectory_frame f = frame_make(n, d, comm_rank(comm), true, frame);
    assert_int_equal(trajectory_write(t, frame, &f), STATUS_OK);
    frame_free(&f);
}

static inline struct trajectory *trajectory_make(const char *path, const struct config *config) {
    struct trajectory *t = NULL;
    struct trajectory_shape shape = {.particles = (size_t)config->system.particles,
                                     .d = config->system.dimension,
                                     .frames = (size_t)config->simulation.frames,
                                     .periodic = !config_is_open(&config->system)};
    config_box(&config->system, shape.side);
    assert_int_equal(trajectory_create(comm, path, &shape, config, "cpu", 2.5, &t), STATUS_OK);
    return t;
}

/* The call failed in this way on every rank, with a message that has all these words; NULL ends them. */
static inline void assert_refused(enum status got, enum status expected, const char *const words[]) {
    if (got != expected)
        fail_msg("status %d where %d is expected: \"%s\"", (int)got, (int)expected, status_message());
    for (; *words; words++)
        if (!strstr(status_message(), *words))
            fail_msg("\"%s\" does not say \"%s\"", status_message(), *words);
    status_clear();
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

#endif
