/* trajectory.h5: H5MD 1.1, laid out so that strict readers (MDAnalysis) accept it.
 *
 * HDF5 has no safe way to grow a file under MPI, so this one never grows: the number of frames is known,
 * every dataset is made at its full size, `step` is -1 everywhere, and all of that is on the disk before the
 * first frame. From then on only raw data is written in place: a frame's data, to the disk, then its step, to
 * the disk. A kill at any moment leaves a file that opens, with every frame whose step is not negative.
 *
 * Readers want three axes: positions, images and edges have three columns, the missing ones 0 (for edges, the
 * first side). They refuse units they do not know, so those are in /parameters/units.
 */
#include "io/trajectory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/provenance.h"
#include "io/foreign.h"
#include "io/trajectory_private.h"

enum { END_TIME = 32 }; /* H5_TEXT32 */

static const struct {
    const char *name, *unit, *description;
    size_t offset;
    bool added; /* files of earlier versions do not have it */
} scalar_table[] = {
    {SCALARS "/div_b", "1/time", "sum over particles of div_{x_i} b_i",
     offsetof(struct trajectory_scalars, div_b), false},
    {SCALARS "/b_squared", "r0^2/time^2", "sum of |b_i|^2", offsetof(struct trajectory_scalars, b_squared),
     false},
    {SCALARS "/force_b", "r0^2/time^2", "sum of F_i . b_i", offsetof(struct trajectory_scalars, force_b),
     false},
    {SCALARS "/b_stiffness_b", "r0^2/time^3", "b . K b, K = -dF/dx",
     offsetof(struct trajectory_scalars, b_stiffness_b), false},
    {SCALARS "/g_b", "r0/time", "sum of g_i . b_i", offsetof(struct trajectory_scalars, g_b), false},
    {SCALARS "/stiffness_squared", "1/time^2",
     "tr K^2, K = -dF/dx of all coordinates: for eps = 0 and harmonic contacts the entropy production in the "
     "states that Euler steps sample is less than -div_b by dt/2 of it",
     offsetof(struct trajectory_scalars, stiffness_squared), true},
    {SCALARS "/alignment", "1/time",
     "sum of |a_i|^2/gamma + div_{g_i} a_i, a the drift of g: what alignment adds to the exact total entropy "
     "production",
     offsetof(struct trajectory_scalars, alignment), true},
};
enum { SCALAR_COUNT = sizeof scalar_table / sizeof *scalar_table, SCALAR_PATH = 96 };
#define EULER "_euler" /* ends the names of sums of states before the fine steps */

/* Of what a file does not have. */
static const struct trajectory_scalars unknown = {NAN, NAN, NAN, NAN, NAN, NAN, 0};

static bool is_of_alignment(int m) {
    return scalar_table[m].offset == offsetof(struct trajectory_scalars, alignment);
}

static const char *scalar_path(int m, bool euler, char out[SCALAR_PATH]) {
    snprintf(out, SCALAR_PATH, "%s%s", scalar_table[m].name, euler ? EULER : "");
    return out;
}

static bool has_scalar(const struct trajectory *t, int m, bool euler) {
    char path[SCALAR_PATH];
    if (is_of_alignment(m))
        return t->turning;
    return !scalar_table[m].added || h5_has(t->file, scalar_path(m, euler, path));
}

static enum status make_scalars(struct trajectory *t, bool euler) {
    enum status status = STATUS_OK;
    char path[SCALAR_PATH], description[256];
    for (int m = 0; m < SCALAR_COUNT; m++) {
        if (is_of_alignment(m) && !t->turning)
            continue;
        snprintf(description, sizeof description, "%s%s", scalar_table[m].description,
                 euler ? ", of the state before the fine steps: simulation.refine earlier, and off by what "
                         "Euler's step is off"
                       : "");
        TRY(h5_dataset(t->file, scalar_path(m, euler, path), H5_FLOAT64, 1, &t->shape.frames,
                       scalar_table[m].unit, description));
    }
out:
    return status;
}

/* One element of a time series (value by rank 0). */
static enum status write_one(struct trajectory *t, const char *path, enum h5_type type, size_t at,
                             const void *value) {
    size_t count = comm_rank(t->comm) == 0;
    return h5_write(t->file, path, type, 1, &at, &count, value);
}

/* ---- making the file ---- */

static enum status make_box(struct trajectory *t) {
    enum status status = STATUS_OK;
    const size_t frames = t->shape.frames;
    const char *boundary[MAX_DIMENSION];
    double *edges = calloc(frames * 9 + 1, sizeof *edges);
    size_t offset[3] = {0}, count[3] = {comm_rank(t->comm) == 0 ? frames : 0, 3, 3};
    if (!edges)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(t->comm, status));
    for (int a = 0; a < MAX_DIMENSION; a++) {
        boundary[a] = t->shape.periodic || a >= t->shape.d ? "periodic" : "none";
        for (size_t m = 0; m < frames; m++)
            edges[m * 9 + (size_t)a * 4] = a < t->shape.d ? t->shape.side[a] : t->shape.side[0];
    }
    TRY(h5_group(t->file, GROUP "/box"));
    TRY(h5_write_integer(t->file, GROUP "/box", "dimension", MAX_DIMENSION));
    TRY(h5_write_texts(t->file, GROUP "/box", "boundary", MAX_DIMENSION, boundary));
    TRY(h5_dataset(t->file, GROUP "/box/edges/value", H5_FLOAT64, 3, (size_t[]){frames, 3, 3}, NULL, NULL));
    TRY(h5_write(t->file, GROUP "/box/edges/value", H5_FLOAT64, 3, offset, count, edges));
out:
    free(edges);
    return status;
}

/* position has its own step and time; the other elements share them. */
static enum status make_elements(struct trajectory *t) {
    enum status status = STATUS_OK;
    static const char *const sharing[] = {GROUP "/propulsion", GROUP "/image", GROUP "/box/edges"};
    const size_t frames = t->shape.frames, n = t->shape.particles, d = (size_t)t->shape.d;
    char link[128];
    TRY(h5_dataset(t->file, STEP, H5_INT64, 1, &frames, NULL, NULL));
    TRY(h5_dataset(t->file, TIME, H5_FLOAT64, 1, &frames, NULL, NULL));
    TRY(h5_dataset(t->file, GROUP "/position/value", H5_FLOAT64, 3, (size_t[]){frames, n, 3}, NULL, NULL));
    TRY(h5_dataset(t->file, GROUP "/propulsion/value", H5_FLOAT64, 3, (size_t[]){frames, n, d}, NULL, NULL));
    TRY(h5_dataset(t->file, GROUP "/image/value", H5_INT32, 3, (size_t[]){frames, n, 3}, NULL, NULL));
    TRY(h5_dataset(t->file, GROUP "/id", H5_INT64, 1, &n, NULL, NULL));
    for (size_t m = 0; m < sizeof sharing / sizeof *sharing; m++) {
        snprintf(link, sizeof link, "%s/step", sharing[m]);
        TRY(h5_hard_link(t->file, STEP, link));
        snprintf(link, sizeof link, "%s/time", sharing[m]);
        TRY(h5_hard_link(t->file, TIME, link));
    }
    TRY(make_scalars(t, false));
    if (t->refined)
        TRY(make_scalars(t, true));
    TRY(h5_dataset(t->file, CHECKSUM, H5_UINT64, 2, (size_t[]){frames, CHECKSUMS}, NULL,
                   "sums over particles of a hash of position, propulsion, image"));
    TRY(h5_dataset(t->file, CHECKSUM_NUMBERS, H5_UINT64, 2, (size_t[]){frames, NUMBERS}, NULL,
                   "hashes of step, time, scalars, scalars before the fine steps; 0: not known"));
    t->checked = t->numbered = true;
    TRY(h5_dataset(t->file, "/provenance/frames_written", H5_INT64, 1, (size_t[]){1}, NULL, NULL));
    TRY(h5_dataset(t->file, "/provenance/end_time", H5_TEXT32, 1, (size_t[]){1}, NULL, NULL));
out:
    return status;
}

/* Every rank its share. */
static enum status fill_ids(struct trajectory *t) {
    const size_t n = t->shape.particles, ranks = (size_t)comm_size(t->comm),
                 rank = (size_t)comm_rank(t->comm);
    const size_t begin = n / ranks * rank, count = rank + 1 < ranks ? n / ranks : n - begin;
    int64_t *id = malloc((count + 1) * sizeof *id);
    enum status status = comm_agree(t->comm, id ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for ids"));
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        id[i] = (int64_t)(begin + i);
    if (status == STATUS_OK)
        status = h5_write(t->file, GROUP "/id", H5_INT64, 1, &begin, &count, id);
    free(id);
    return status;
}

/* Ids, and the marks that nothing is written yet. */
static enum status fill_marks(struct trajectory *t) {
    enum status status = STATUS_OK;
    const size_t frames = t->shape.frames, zero = 0, rows = comm_rank(t->comm) == 0 ? frames : 0;
    int64_t *steps = malloc((frames + 1) * sizeof *steps);
    double *times = calloc(frames + 1, sizeof *times);
    char blank[END_TIME] = "";
    if (!steps || !times)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(t->comm, status));
    for (size_t m = 0; m < frames; m++)
        steps[m] = -1;
    TRY(fill_ids(t));
    TRY(h5_write(t->file, STEP, H5_INT64, 1, &zero, &rows, steps));
    TRY(h5_write(t->file, TIME, H5_FLOAT64, 1, &zero, &rows, times));
    TRY(write_one(t, "/provenance/frames_written", H5_INT64, 0, &(int64_t){0}));
    TRY(write_one(t, "/provenance/end_time", H5_TEXT32, 0, blank));
out:
    free(steps);
    free(times);
    return status;
}

/* Readers refuse units they do not know beside the data. */
static enum status write_units(struct trajectory *t) {
    enum status status = STATUS_OK;
    TRY(h5_write_text(t->file, FILE_UNITS, "position",
                      t->shape.periodic ? "r0, in [0, L); unwrapped = position + L image"
                                        : "r0, about the centre of open space"));
    TRY(h5_write_text(t->file, FILE_UNITS, "image", "sides of the box"));
    TRY(h5_write_text(t->file, FILE_UNITS, "propulsion", "1: g, of which each component has variance 1"));
    TRY(h5_write_text(t->file, FILE_UNITS, "edges",
                      t->shape.periodic ? "r0" : "r0, the open side that nothing reaches"));
out:
    return status;
}

static enum status write_h5md(struct trajectory *t) {
    enum status status = STATUS_OK;
    TRY(h5_group(t->file, "/h5md/author"));
    TRY(h5_group(t->file, "/h5md/creator"));
    TRY(h5_write_integers(t->file, "/h5md", "version", 2, (int64_t[]){1, 1}));
    TRY(h5_write_text(t->file, "/h5md/author", "name", "epflow"));
    TRY(h5_write_text(t->file, "/h5md/creator", "name", "epflow"));
    TRY(h5_write_text(t->file, "/h5md/creator", "version", provenance_version()));
out:
    return status;
}

static enum status allocate(struct comm *comm, struct trajectory **out) {
    *out = calloc(1, sizeof **out);
    if (*out)
        (*out)->comm = comm;
    return comm_agree(comm, *out ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for a trajectory"));
}

enum status trajectory_create(struct comm *comm, const char *path, const struct trajectory_shape *shape,
                              const struct config *config, const char *device, double r_c,
                              struct trajectory **out) {
    enum status status = allocate(comm, out);
    if (status != STATUS_OK)
        return status;
    struct trajectory *t = *out;
    t->shape = *shape;
    t->refined = config_refine_steps(config) > 0;
    t->turning = config->system.alignment > 0;
    TRY(file_begin(comm, path, &t->file));
    TRY(write_h5md(t));
    TRY(file_describe(t->file, "trajectory", config, comm, device));
    TRY(h5_group(t->file, GROUP));
    TRY(make_box(t));
    TRY(make_elements(t));
    TRY(h5_write_real(t->file, "/parameters/simulation", "r_c", r_c));
    TRY(write_units(t));
    TRY(fill_marks(t));
    TRY(file_appear(comm, &t->file, path));
out:
    if (status != STATUS_OK)
        trajectory_close(out);
    return status;
}

/* ---- opening ---- */

/* The sizes, from the frames and the parameters; refuses a file where they contradict each other. */
static enum status read_shape(struct trajectory *t, const struct config *config) {
    enum status status = STATUS_OK;
    const struct system_parameters *system = &config->system;
    const size_t n = (size_t)config_total(system), d = (size_t)system->dimension;
    int rank;
    size_t dims[H5_RANK];
    char path[SCALAR_PATH];
    TRY(h5_shape(t->file, STEP, &rank, dims));
    const size_t frames = dims[0];
    t->shape = (struct trajectory_shape){
        .particles = n, .d = system->dimension, .frames = frames, .periodic = !config_is_open(system)};
    config_box(system, t->shape.side);
    TRY(h5_expect(t->file, STEP, H5_INT64, 1, &frames));
    TRY(h5_expect(t->file, TIME, H5_FLOAT64, 1, &frames));
    TRY(h5_expect(t->file, GROUP "/position/value", H5_FLOAT64, 3, (size_t[]){frames, n, 3}));
    TRY(h5_expect(t->file, GROUP "/propulsion/value", H5_FLOAT64, 3, (size_t[]){frames, n, d}));
    TRY(h5_expect(t->file, GROUP "/image/value", H5_INT32, 3, (size_t[]){frames, n, 3}));
    t->checked = h5_has(t->file, CHECKSUM);
    if (t->checked)
        TRY(h5_expect(t->file, CHECKSUM, H5_UINT64, 2, (size_t[]){frames, CHECKSUMS}));
    t->numbered = h5_has(t->file, CHECKSUM_NUMBERS);
    if (t->numbered)
        TRY(h5_expect(t->file, CHECKSUM_NUMBERS, H5_UINT64, 2, (size_t[]){frames, NUMBERS}));
    t->refined = config_refine_steps(config) > 0;
    t->turning = config->system.alignment > 0;
    for (int m = 0; m < SCALAR_COUNT; m++)
        for (int euler = 0; euler <= t->refined; euler++)
            if (has_scalar(t, m, euler))
                TRY(h5_expect(t->file, scalar_path(m, euler, path), H5_FLOAT64, 1, &frames));
out:
    return status;
}

static enum status open_trajectory(struct comm *comm, const char *path, bool writable,
                                   struct trajectory **out) {
    enum status status = allocate(comm, out);
    struct config *config = malloc(sizeof *config);
    if (status == STATUS_OK && !config)
        status = FAIL(STATUS_FAILURE, "out of memory for a trajectory");
    TRY(comm_agree(comm, status));
    TRY(file_open(comm, path, "trajectory", writable, &(*out)->file));
    TRY(file_parameters((*out)->file, comm, config));
    TRY(read_shape(*out, config));
out:
    free(config);
    if (status != STATUS_OK)
        trajectory_close(out);
    return status;
}

enum status trajectory_open(struct comm *comm, const char *path, struct trajectory **out) {
    return open_trajectory(comm, path, false, out);
}

enum status trajectory_continue(struct comm *comm, const char *path, const struct config *config,
                                struct trajectory **out) {
    enum status status = open_trajectory(comm, path, true, out);
    if (status != STATUS_OK)
        return status;
    (*out)->continued = true;
    status =
        file_same_parameters((*out)->file, comm, config, RUN_PARAMETERS ",simulation.frames", HINT_RESUME);
    if (status == STATUS_OK)
        status = h5_reserve((*out)->file); /* a copy may have lost the room that was taken for it */
    if (status != STATUS_OK)
        trajectory_close(out);
    return status;
}

enum status trajectory_open_foreign(struct comm *comm, const char *path, const struct config *config,
                                    struct trajectory **out) {
    enum status status = allocate(comm, out);
    if (status == STATUS_OK)
        status = foreign_open(comm, path, config, &(*out)->foreign);
    if (status == STATUS_OK)
        (*out)->shape = *foreign_shape((*out)->foreign);
    else if (*out)
        trajectory_close(out);
    return status;
}

enum status trajectory_close(struct trajectory **t) {
    enum status status = STATUS_OK;
    if (*t && (*t)->file)
        status = h5_close(&(*t)->file);
    if (*t)
        foreign_close(&(*t)->foreign);
    free(*t);
    *t = NULL;
    return status;
}

const struct trajectory_shape *trajectory_shape(const struct trajectory *t) {
    return &t->shape;
}

struct h5_file *trajectory_file(struct trajectory *t) {
    return t->file;
}

/* ---- frames ---- */

enum status trajectory_write(struct trajectory *t, size_t frame, const struct trajectory_frame *f) {
    enum status status = STATUS_OK;
    const size_t d = (size_t)t->shape.d;
    size_t offset[3] = {frame, f->begin, 0}, three[3] = {1, f->count, 3}, own[3] = {1, f->count, d};
    double *position = malloc((f->count * 3 + 1) * sizeof *position);
    int32_t *image = malloc((f->count * 3 + 1) * sizeof *image);
    char path[SCALAR_PATH];
    if (!position || !image)
        status = FAIL(STATUS_FAILURE, "out of memory for a frame");
    TRY(comm_agree(t->comm, status));
    for (size_t i = 0; i < f->count; i++)
        for (size_t a = 0; a < 3; a++) {
            position[i * 3 + a] = a < d ? f->position[i * d + a] : 0;
            image[i * 3 + a] = a < d ? f->image[i * d + a] : 0;
        }
    TRY(trajectory_write_numbers(t, frame, NULL));
    TRY(h5_write(t->file, GROUP "/position/value", H5_FLOAT64, 3, offset, three, position));
    TRY(h5_write(t->file, GROUP "/propulsion/value", H5_FLOAT64, 3, offset, own, f->g));
    TRY(h5_write(t->file, GROUP "/image/value", H5_INT32, 3, offset, three, image));
    for (int m = 0; m < SCALAR_COUNT; m++)
        for (int euler = 0; euler <= t->refined; euler++)
            if (has_scalar(t, m, euler))
                TRY(write_one(t, scalar_path(m, euler, path), H5_FLOAT64, frame,
                              (const char *)(euler ? &f->euler : &f->scalars) + scalar_table[m].offset));
    TRY(trajectory_write_checksums(t, frame, f));
    TRY(write_one(t, TIME, H5_FLOAT64, frame, &f->time));
    TRY(trajectory_write_numbers(t, frame, f));
    TRY(h5_sync(t->file));
    TRY(write_one(t, STEP, H5_INT64, frame, &f->step));
    TRY(write_one(t, "/provenance/frames_written", H5_INT64, 0, &(int64_t){(int64_t)frame + 1}));
    TRY(h5_sync(t->file));
out:
    free(position);
    free(image);
    return status;
}

enum status trajectory_read(struct trajectory *t, size_t frame, struct trajectory_frame *f) {
    enum status status = STATUS_OK;
    const size_t d = (size_t)t->shape.d, one = 1;
    size_t offset[3] = {frame, f->begin, 0}, own[3] = {1, f->count, d};
    if (t->foreign)
        return foreign_read(t->foreign, frame, f);
    f->step = -1;
    if (frame < t->shape.frames)
        TRY(h5_read(t->file, STEP, H5_INT64, 1, &frame, &one, &f->step));
    if (f->step < 0) {
        status = FAIL(STATUS_BAD_INPUT, "%s has no frame %zu (of %zu planned)", h5_path(t->file), frame,
                      t->shape.frames);
        goto out;
    }
    TRY(h5_read(t->file, TIME, H5_FLOAT64, 1, &frame, &one, &f->time));
    TRY(h5_read(t->file, GROUP "/position/value", H5_FLOAT64, 3, offset, own, f->position));
    TRY(h5_read(t->file, GROUP "/propulsion/value", H5_FLOAT64, 3, offset, own, f->g));
    TRY(h5_read(t->file, GROUP "/image/value", H5_INT32, 3, offset, own, f->image));
    TRY(trajectory_verify_checksums(t, frame, f));
    f->scalars = unknown;
    for (int m = 0; m < SCALAR_COUNT; m++) {
        double *scalar = (double *)(void *)((char *)&f->scalars + scalar_table[m].offset);
        if (has_scalar(t, m, false))
            TRY(h5_read(t->file, scalar_table[m].name, H5_FLOAT64, 1, &frame, &one, scalar));
    }
    TRY(trajectory_verify_numbers(t, frame, 1, OF_STEP, sizeof f->step, sizeof f->step, &f->step));
    TRY(trajectory_verify_numbers(t, frame, 1, OF_TIME, sizeof f->time, sizeof f->time, &f->time));
    TRY(trajectory_verify_numbers(t, frame, 1, OF_SCALARS, trajectory_scalar_bytes(t), sizeof f->scalars,
                                  &f->scalars));
out:
    return status;
}

enum status trajectory_written(struct trajectory *t, size_t *frames) {
    enum status status = STATUS_OK;
    const size_t zero = 0;
    if (t->foreign) {
        *frames = foreign_written(t->foreign);
        return STATUS_OK;
    }
    int64_t *step = malloc((t->shape.frames + 1) * sizeof *step);
    if (!step)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", t->shape.frames);
    TRY(comm_agree(t->comm, status));
    TRY(h5_read(t->file, STEP, H5_INT64, 1, &zero, &t->shape.frames, step));
    TRY(file_frames(h5_path(t->file), STEP, true, t->shape.frames, step, frames));
    TRY(trajectory_verify_numbers(t, 0, *frames, OF_STEP, sizeof *step, sizeof *step, step));
out:
    free(step);
    return status;
}

static enum status read_scalars(struct trajectory *t, size_t frames, bool euler,
                                struct trajectory_scalars *out) {
    enum status status = STATUS_OK;
    const size_t zero = 0;
    char path[SCALAR_PATH];
    for (size_t i = 0; i < frames; i++)
        out[i] = unknown;
    if (t->foreign || (euler && !t->refined))
        return STATUS_OK;
    double *column = malloc((frames + 1) * sizeof *column);
    if (!column)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(t->comm, status));
    for (int m = 0; m < SCALAR_COUNT; m++) {
        if (!has_scalar(t, m, euler))
            continue;
        TRY(h5_read(t->file, scalar_path(m, euler, path), H5_FLOAT64, 1, &zero, &frames, column));
        for (size_t i = 0; i < frames; i++)
            memcpy((char *)&out[i] + scalar_table[m].offset, &column[i], sizeof *column);
    }
    TRY(trajectory_verify_numbers(t, 0, frames, euler ? OF_EULER : OF_SCALARS, trajectory_scalar_bytes(t),
                                  sizeof *out, out));
out:
    free(column);
    return status;
}

enum status trajectory_read_scalars(struct trajectory *t, size_t frames, struct trajectory_scalars *out) {
    return read_scalars(t, frames, false, out);
}

enum status trajectory_read_euler(struct trajectory *t, size_t frames, struct trajectory_scalars *out) {
    return read_scalars(t, frames, true, out);
}

enum status trajectory_finish(struct trajectory *t) {
    char now[END_TIME] = "";
    provenance_now(now);
    enum status status = write_one(t, "/provenance/end_time", H5_TEXT32, 0, now);
    return status == STATUS_OK ? h5_sync(t->file) : status;
}
