/* Round trips of every format on several ranks. What was written is compared with the closed forms, once
 * through our own readers, each rank reading another rank's share, and once through plain serial HDF5, which
 * knows nothing of us: names, types, shapes and links as other programs will find them. */
#include "serial.h"
#include "test_io.h"

#define GROUP "/particles/trajectory"

static void assert_same_object(hid_t file, const char *one, const char *other) {
    H5O_info_t a, b;
    assert_true(H5Oget_info_by_name(file, one, &a, H5P_DEFAULT) >= 0);
    assert_true(H5Oget_info_by_name(file, other, &b, H5P_DEFAULT) >= 0);
    assert_int_equal(a.addr, b.addr);
}

static herr_t refuse_unit(hid_t group, const char *name, const H5O_info_t *info, void *unused) {
    (void)info;
    (void)unused;
    assert_int_equal(H5Aexists_by_name(group, name, "unit", H5P_DEFAULT), 0);
    return 0;
}

/* ---- trajectory ---- */

static void assert_frames(const char *path, size_t n, int d, size_t written, bool refined) {
    struct trajectory *t = NULL;
    size_t found;
    struct trajectory_frame f = frame_make(n, d, comm_size(comm) - 1 - comm_rank(comm), false, 0);
    struct trajectory_scalars *scalars = calloc(2 * (written + 1), sizeof *scalars);
    struct trajectory_scalars *euler = scalars + written + 1;
    assert_int_equal(trajectory_open(comm, path, &t), STATUS_OK);
    assert_int_equal(trajectory_written(t, &found), STATUS_OK);
    assert_int_equal(found, written);
    assert_int_equal(trajectory_read_scalars(t, written, scalars), STATUS_OK);
    assert_int_equal(trajectory_read_euler(t, written, euler), STATUS_OK);
    for (size_t frame = 0; frame < written; frame++) {
        struct trajectory_frame want = frame_make(n, d, comm_size(comm) - 1 - comm_rank(comm), true, frame);
        const size_t numbers = f.count * (size_t)d;
        assert_int_equal(trajectory_read(t, frame, &f), STATUS_OK);
        assert_int_equal(f.step, want.step);
        assert_memory_equal(&f.time, &want.time, sizeof f.time);
        assert_memory_equal(f.position, want.position, numbers * sizeof *f.position);
        assert_memory_equal(f.g, want.g, numbers * sizeof *f.g);
        assert_memory_equal(f.image, want.image, numbers * sizeof *f.image);
        assert_memory_equal(&f.scalars, &want.scalars, sizeof f.scalars);
        assert_memory_equal(&scalars[frame], &want.scalars, sizeof f.scalars);
        if (refined)
            assert_memory_equal(&euler[frame], &want.euler, sizeof f.scalars);
        else
            assert_true(isnan(euler[frame].div_b) && isnan(euler[frame].stiffness_squared));
        frame_free(&want);
    }
    assert_refused(trajectory_read(t, written, &f), STATUS_BAD_INPUT, WORDS(path, "no frame"));
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    frame_free(&f);
    free(scalars);
}

/* What strict readers of H5MD ask for. */
static void assert_h5md(const char *path, size_t frames, size_t n, int d, bool periodic) {
    if (comm_rank(comm) > 0)
        return;
    hid_t file = serial_open(path);
    const char *const sharing[] = {GROUP "/propulsion", GROUP "/image", GROUP "/box/edges"};
    assert_shape(file, GROUP "/position/value", H5T_FLOAT, 8, DIMS(frames, n, 3));
    assert_shape(file, GROUP "/propulsion/value", H5T_FLOAT, 8, DIMS(frames, n, (size_t)d));
    assert_shape(file, GROUP "/image/value", H5T_INTEGER, 4, DIMS(frames, n, 3));
    assert_shape(file, GROUP "/box/edges/value", H5T_FLOAT, 8, DIMS(frames, 3, 3));
    assert_shape(file, GROUP "/position/step", H5T_INTEGER, 8, DIMS(frames));
    assert_shape(file, GROUP "/position/time", H5T_FLOAT, 8, DIMS(frames));
    for (int m = 0; m < 3; m++) {
        char step[64], time[64];
        snprintf(step, sizeof step, "%s/step", sharing[m]);
        snprintf(time, sizeof time, "%s/time", sharing[m]);
        assert_same_object(file, GROUP "/position/step", step);
        assert_same_object(file, GROUP "/position/time", time);
    }
    assert_int_equal(number(file, GROUP "/box", "dimension"), 3);
    hid_t attribute = H5Aopen_by_name(file, GROUP "/box", "boundary", H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute);
    char boundary[3][32] = {{0}};
    assert_int_equal(H5Tget_size(type), 32);
    H5Aread(attribute, type, boundary);
    H5Tclose(type);
    H5Aclose(attribute);
    for (int a = 0; a < 3; a++)
        assert_string_equal(boundary[a], periodic || a >= d ? "periodic" : "none");
    double *edges = vectors_reals(file, GROUP "/box/edges/value", NULL, NULL);
    for (size_t m = 0; m < frames * 9; m++)
        assert_true(edges[m] == (m % 9 % 4 == 0 ? 30 : 0));
    int *id = vectors_integers(file, GROUP "/id", NULL, NULL);
    double *position = vectors_reals(file, GROUP "/position/value", NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(id[i], i);
        for (int a = 0; a < 3; a++)
            assert_true(position[i * 3 + (size_t)a] == (a < d ? position_of(0, i, a) : 0));
    }
    assert_text(file, "/h5md/author", "name", "epflow");
    assert_text(file, "/h5md/creator", "name", "epflow");
    assert_text(file, "/", "epflow_kind", "trajectory");
    assert_true(number(file, "/parameters/system", "v0") == 0.25);
    assert_true(number(file, "/parameters/simulation", "frames") == (double)frames);
    hid_t particles = H5Gopen2(file, "/particles", H5P_DEFAULT);
    H5Ovisit2(particles, H5_INDEX_NAME, H5_ITER_INC, refuse_unit, NULL, H5O_INFO_BASIC);
    H5Gclose(particles);
    free(edges);
    free(id);
    free(position);
    H5Fclose(file);
}

static void round_trip(const char *name, int d, int n, double trap, bool refined) {
    const struct config config = config_make(d, n, 5, trap, refined ? "simulation.refine=1" : NULL);
    const char *path = in_folder(name);
    size_t written;
    struct trajectory *t = trajectory_make(path, &config);
    assert_int_equal(trajectory_written(t, &written), STATUS_OK);
    assert_int_equal(written, 0);
    for (size_t frame = 0; frame < 3; frame++)
        frame_write(t, (size_t)n, d, frame);
    assert_int_equal(trajectory_close(&t), STATUS_OK); /* not finished: an interrupted run */
    assert_frames(path, (size_t)n, d, 3, refined);
    assert_int_equal(trajectory_continue(comm, path, &config, &t), STATUS_OK);
    for (size_t frame = 3; frame < 5; frame++)
        frame_write(t, (size_t)n, d, frame);
    assert_int_equal(trajectory_finish(t), STATUS_OK);
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    assert_frames(path, (size_t)n, d, 5, refined);
    assert_h5md(path, 5, (size_t)n, d, trap == 0);
}

static void test_trajectory_periodic(void **state) {
    (void)state;
    round_trip("periodic2.h5", 2, 23, 0, false);
    round_trip("periodic3.h5", 3, 11, 0, false);
}

static void test_trajectory_open(void **state) {
    (void)state;
    round_trip("open2.h5", 2, 10, 0.5, false);
}

/* Fewer particles than ranks: some have empty blocks. */
static void test_trajectory_of_few(void **state) {
    (void)state;
    round_trip("few1.h5", 1, 2, 0, false);
}

/* With the sums of the states before the fine steps; a file without tr K^2 is one of an earlier version. */
static void test_trajectory_refined(void **state) {
    (void)state;
    round_trip("refined2.h5", 2, 23, 0, true);
    if (comm_rank(comm) == 0) {
        hid_t file = H5Fopen(in_folder("refined2.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(H5Ldelete(file, "/parameters/scalars/stiffness_squared", H5P_DEFAULT) >= 0);
        assert_true(H5Ldelete(file, "/parameters/checksums/numbers", H5P_DEFAULT) >= 0);
        H5Fclose(file);
    }
    comm_barrier(comm);
    struct trajectory *t = NULL;
    struct trajectory_scalars scalars[5];
    assert_int_equal(trajectory_open(comm, in_folder("refined2.h5"), &t), STATUS_OK);
    assert_int_equal(trajectory_read_scalars(t, 5, scalars), STATUS_OK);
    assert_true(isnan(scalars[4].stiffness_squared));
    assert_true(scalars[4].g_b == scalar_of(4, 4));
    assert_int_equal(trajectory_close(&t), STATUS_OK);
}

/* What is on the disk while a run is going on, which is what a kill leaves: a copy of the bytes at that
 * moment. */
static void test_trajectory_killed(void **state) {
    (void)state;
    const struct config config = config_make(2, 23, 4, 0, NULL);
    struct trajectory *t = trajectory_make(in_folder("run.h5"), &config);
    for (size_t written = 0; written <= 4; written++) {
        if (written > 0)
            frame_write(t, 23, 2, written - 1);
        comm_barrier(comm);
        if (comm_rank(comm) == 0) {
            char command[2 * FILE_PATH + 16];
            snprintf(command, sizeof command, "cp %s %s", in_folder("run.h5"), in_folder("killed.h5"));
            assert_int_equal(system(command), 0);
            hid_t file = serial_open(in_folder("killed.h5"));
            int *step = vectors_integers(file, GROUP "/position/step", NULL, NULL);
            for (size_t m = 0; m < 4; m++)
                assert_int_equal(step[m], m < written ? 200 + 40 * (int)m : -1);
            free(step);
            H5Fclose(file);
        }
        comm_barrier(comm);
        assert_frames(in_folder("killed.h5"), 23, 2, written, false);
    }
    assert_int_equal(trajectory_close(&t), STATUS_OK);
}

/* ---- restart ---- */

/* All 64 bits of a position matter. */
static uint64_t integer_of(uint64_t step, size_t id, int axis) {
    return (step + id + 1) * 0x9E3779B97F4A7C15u + (uint64_t)axis * 0xD1B54A32D192ED03u;
}

static struct restart restart_make(size_t n, int d, int share, uint64_t step) {
    const size_t begin = slice_begin(n, comm_size(comm), share),
                 end = slice_begin(n, comm_size(comm), share + 1);
    struct restart r = {.step = step, .frames = step / 40, .begin = begin, .count = end - begin};
    r.q = calloc(r.count * (size_t)d + 1, sizeof *r.q);
    r.image = calloc(r.count * (size_t)d + 1, sizeof *r.image);
    r.g = calloc(r.count * (size_t)d + 1, sizeof *r.g);
    for (size_t i = begin; i < end; i++)
        for (int a = 0; a < d; a++) {
            const size_t at = (i - begin) * (size_t)d + (size_t)a;
            r.q[at] = integer_of(step, i, a);
            r.image[at] = image_of(step, i, a);
            r.g[at] = propulsion_of(step, i, a);
        }
    return r;
}

static void restart_free(struct restart *r) {
    free(r->q);
    free(r->image);
    free(r->g);
}

static void assert_restart(const char *path, const struct config *config, uint64_t step) {
    const size_t n = (size_t)config->system.particles;
    const int d = config->system.dimension, share = comm_size(comm) - 1 - comm_rank(comm);
    struct restart want = restart_make(n, d, share, step), got = restart_make(n, d, share, 7);
    assert_int_equal(restart_read(comm, path, n, d, config, &got), STATUS_OK);
    assert_int_equal(got.step, step);
    assert_int_equal(got.frames, want.frames);
    assert_memory_equal(got.q, want.q, want.count * (size_t)d * sizeof *got.q);
    assert_memory_equal(got.image, want.image, want.count * (size_t)d * sizeof *got.image);
    assert_memory_equal(got.g, want.g, want.count * (size_t)d * sizeof *got.g);
    restart_free(&want);
    restart_free(&got);
}

static void test_restart(void **state) {
    (void)state;
    const struct config config = config_make(3, 17, 5, 0, NULL);
    const char *path = in_folder("restart.h5"), *previous = in_folder("restart.previous.h5");
    for (uint64_t step = 1000; step <= 3000; step += 1000) {
        struct restart r = restart_make(17, 3, comm_rank(comm), step);
        assert_int_equal(restart_write(comm, path, previous, 17, 3, &config, "cpu", &r), STATUS_OK);
        restart_free(&r);
        assert_restart(path, &config, step);
        if (step > 1000)
            assert_restart(previous, &config, step - 1000);
    }
    assert_false(file_exists(comm, in_folder("restart.h5.part")));
    if (comm_rank(comm) == 0) {
        hid_t file = serial_open(path);
        assert_shape(file, "/q", H5T_INTEGER, 8, DIMS(17, 3));
        assert_shape(file, "/image", H5T_INTEGER, 4, DIMS(17, 3));
        assert_shape(file, "/g", H5T_FLOAT, 8, DIMS(17, 3));
        assert_int_equal(number(file, "/", "complete"), 1);
        H5Fclose(file);
    }
}

/* ---- model ---- */

static const struct model_tensor tensors[] = {
    {"block0/attention/query/w", 3, 4, 0}, {"block0/attention/query/b", 1, 4, 12}, {"decoder/w", 2, 5, 16}};
enum { SIZE = 26 };

static void test_model(void **state) {
    (void)state;
    const struct config config = config_make(2, 23, 5, 0, "training.sigma=0.02");
    struct training_log_row log[2] = {{10, 0.5, 2, 1e-3, 100}, {20, 0.25, 1, 2e-3, 110}};
    struct test_log_row test[1] = {{20, 0.75, 0.01, 0.5}};
    real tree[4][SIZE], back[2][SIZE];
    for (int m = 0; m < 4; m++)
        for (int i = 0; i < SIZE; i++) /* rank 0's count; the others' are wrong on purpose */
            tree[m][i] = comm_rank(comm) == 0 ? (real)(1 / (3.0 + i) + m) : (real)-1;
    struct model_state out = {.step = 20,
                              .log_rows = 2,
                              .test_rows = 1,
                              .log = log,
                              .test = test,
                              .size = SIZE,
                              .weights = tree[0],
                              .average = tree[1],
                              .mu = tree[2],
                              .nu = tree[3]};
    struct model_state in = {.size = SIZE, .weights = back[0], .average = back[1]};
    const struct model_data data = {
        2, {"trajectory.h5", "b.h5"}, {"frames = 3\nmade = now\n", "frames = 4\n"}};
    struct config then;
    int64_t step;
    const char *path = in_folder("model.h5");
    assert_int_equal(model_write(comm, path, &config, "cpu", &data, 3, tensors, &out), STATUS_OK);
    for (int m = 0; m < 3; m++) {
        char identity[MODEL_IDENTITY] = "before";
        assert_int_equal(model_read_identity(comm, path, m, identity), STATUS_OK);
        assert_string_equal(identity, m < 2 ? data.identity[m] : "");
    }
    assert_int_equal(model_read_header(comm, path, &then, &step), STATUS_OK);
    assert_int_equal(step, 20);
    assert_memory_equal(&then.training.sigma, &config.training.sigma, sizeof(double));
    assert_int_equal(then.network.width, config.network.width);
    assert_int_equal(then.system.particles, 23);
    assert_int_equal(model_read(comm, path, 3, tensors, &in), STATUS_OK);
    assert_int_equal(in.step, 20);
    assert_int_equal(in.log_rows, 2);
    assert_int_equal(in.test_rows, 1);
    assert_memory_equal(in.log, log, sizeof log);
    assert_memory_equal(in.test, test, sizeof test);
    for (int m = 0; m < 2; m++)
        for (int i = 0; i < SIZE; i++)
            assert_true(back[m][i] == (real)(1 / (3.0 + i) + m));
    free(in.log);
    free(in.test);
    if (comm_rank(comm) == 0) {
        hid_t file = serial_open(path);
        assert_shape(file, "/weights/block0/attention/query/w", H5T_FLOAT, sizeof(real), DIMS(3, 4));
        assert_shape(file, "/average/block0/attention/query/b", H5T_FLOAT, sizeof(real), DIMS(4));
        assert_shape(file, "/optimizer/nu/decoder/w", H5T_FLOAT, sizeof(real), DIMS(2, 5));
        assert_shape(file, "/training/log/gradient_norm", H5T_FLOAT, 8, DIMS(2));
        assert_int_equal(number(file, "/", "step"), 20);
        assert_int_equal(number(file, "/", "dimension"), 2);
        assert_true(number(file, "/", "sigma") == 0.02);
        assert_int_equal(number(file, "/network", "width"), config.network.width);
        assert_text(file, "/training", "data", "trajectory.h5, b.h5");
        H5Fclose(file);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {test_with_folder(test_trajectory_periodic),
                                       test_with_folder(test_trajectory_open),
                                       test_with_folder(test_trajectory_of_few),
                                       test_with_folder(test_trajectory_refined),
                                       test_with_folder(test_trajectory_killed),
                                       test_with_folder(test_restart),
                                       test_with_folder(test_model)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
