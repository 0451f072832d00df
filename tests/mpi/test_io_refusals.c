/* What must not be read: files of another run, incomplete, damaged or foreign. Every rank gets the same
 * status and a message that names the file and what is wrong; nobody hangs. Damage is done by plain serial
 * HDF5 on rank 0. */
#include <sys/stat.h>

#include "test_io.h"

static enum status read_restart(const char *path, const struct config *config) {
    struct restart r = {.begin = slice_begin(17, comm_size(comm), comm_rank(comm))};
    r.count = slice_begin(17, comm_size(comm), comm_rank(comm) + 1) - r.begin;
    r.q = calloc(r.count * 2 + 1, sizeof *r.q);
    r.image = calloc(r.count * 2 + 1, sizeof *r.image);
    r.g = calloc(r.count * 2 + 1, sizeof *r.g);
    enum status status = restart_read(comm, path, 17, 2, config, &r);
    free(r.q);
    free(r.image);
    free(r.g);
    return status;
}

static enum status write_restart(const char *path, const struct config *config, uint64_t step) {
    struct restart r = {.step = step, .begin = slice_begin(17, comm_size(comm), comm_rank(comm))};
    r.count = slice_begin(17, comm_size(comm), comm_rank(comm) + 1) - r.begin;
    r.q = calloc(r.count * 2 + 1, sizeof *r.q);
    r.image = calloc(r.count * 2 + 1, sizeof *r.image);
    r.g = calloc(r.count * 2 + 1, sizeof *r.g);
    enum status status =
        restart_write(comm, path, in_folder("restart.previous.h5"), 17, 2, config, "cpu", &r);
    free(r.q);
    free(r.image);
    free(r.g);
    return status;
}

static hid_t damage_begin(const char *path) {
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

/* Another dataset in the place of one. */
static void replace(hid_t file, const char *name, hid_t type, hsize_t rows, hsize_t columns) {
    hid_t space = H5Screate_simple(2, (hsize_t[]){rows, columns}, NULL);
    assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

/* ---- another run ---- */

static void test_other_physics(void **state) {
    (void)state;
    static const struct {
        const char *setting, *key, *then, *now;
    } change[] = {
        {"system.v0=0.5", "system.v0", "0.25", "0.5"},
        {"system.gamma=0.75", "system.gamma", "0.125", "0.75"},
        {"system.eps=0.375", "system.eps", "0", "0.375"},
        {"simulation.dt=0.03125", "simulation.dt", "0.0625", "0.03125"},
        {"simulation.seed=4711", "simulation.seed", "1", "4711"},
        {"simulation.cutoff_tolerance=0.0009765625", "simulation.cutoff_tolerance", "1", "0.0009765625"},
        {"simulation.frame_interval=4", "simulation.frame_interval", "2", "4"},
        {"simulation.burn_in=20", "simulation.burn_in", "10", "20"}};
    const struct config config = config_make(2, 17, 3, 0, NULL);
    struct trajectory *t = trajectory_make(in_folder("trajectory.h5"), &config);
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    assert_int_equal(write_restart(in_folder("restart.h5"), &config, 100), STATUS_OK);
    for (size_t m = 0; m < sizeof change / sizeof *change; m++) {
        const struct config other = config_make(2, 17, 3, 0, change[m].setting);
        assert_refused(trajectory_continue(comm, in_folder("trajectory.h5"), &other, &t), STATUS_BAD_INPUT,
                       WORDS("trajectory.h5", change[m].key, change[m].then, change[m].now));
        assert_null(t);
        assert_refused(read_restart(in_folder("restart.h5"), &other), STATUS_BAD_INPUT,
                       WORDS("restart.h5", change[m].key, change[m].then, change[m].now));
    }
    struct config two = config_make(2, 17, 3, 0, "simulation.dt=0.03125");
    two.system.v0 = 0.5; /* the first that differs, in the order of the input's sections */
    assert_refused(read_restart(in_folder("restart.h5"), &two), STATUS_BAD_INPUT, WORDS("system.v0"));
}

/* How a run is computed or stored may change. */
static void test_same_physics(void **state) {
    (void)state;
    const char *const setting[] = {"simulation.skin=0.5", "simulation.restart_interval=3",
                                   "network.width=32",    "output.directory=elsewhere",
                                   "run.chunk=64",        "training.batch=64"};
    const struct config config = config_make(2, 17, 3, 0, NULL);
    struct trajectory *t = trajectory_make(in_folder("trajectory.h5"), &config);
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    assert_int_equal(write_restart(in_folder("restart.h5"), &config, 100), STATUS_OK);
    for (size_t m = 0; m < sizeof setting / sizeof *setting; m++) {
        const struct config other = config_make(2, 17, 3, 0, setting[m]);
        assert_int_equal(trajectory_continue(comm, in_folder("trajectory.h5"), &other, &t), STATUS_OK);
        assert_int_equal(trajectory_close(&t), STATUS_OK);
        assert_int_equal(read_restart(in_folder("restart.h5"), &other), STATUS_OK);
    }
}

static void test_other_evaluation(void **state) {
    (void)state;
    const struct config config = config_make(2, 17, 3, 0, NULL),
                        other = config_make(2, 17, 3, 0, "evaluation.grid=0.5");
    const struct evaluation_column column = {"sigma", "1/time", "a number", 1, false},
                                   more[] = {column, {"contacts", "1", "a number", 1, true}};
    const struct evaluation_profile count = {"count", "1", "how many", NULL};
    const struct evaluation_table table = {.name = "by_age",
                                           .classes = 1,
                                           .quantities = 1,
                                           .names = (const char *const[]){"all"},
                                           .quantity = &count};
    struct evaluation_shape shape = {
        .particles = 17, .frames = 3, .d = 2, .cells = {4, 4, 1}, .columns = 1, .bins = 2, .column = &column};
    const char *path = in_folder("evaluation.h5");
    const char *a = "b/a.h5 (seed 1), b/b.h5 (seed 2)", *m = "m.h5 (step 7)";
    struct evaluation *e = NULL;
    assert_int_equal(evaluation_create(comm, path, &shape, &config, "cpu",
                                       "/x/y/a.h5 (seed 1), /x/b.h5 (seed 2)", "m.h5 (step 7)", "informatic",
                                       (const double[]){0, 0.01}, &e),
                     STATUS_OK);
    assert_int_equal(evaluation_close(&e), STATUS_OK);
    assert_refused(evaluation_continue(comm, path, &shape, &other, a, m, &e), STATUS_BAD_INPUT,
                   WORDS(path, "evaluation.grid", "1", "0.5"));
    assert_refused(evaluation_continue(comm, path, &shape, &config, a, "m.h5 (step 8)", &e), STATUS_BAD_INPUT,
                   WORDS(path, "m.h5"));
    assert_int_equal(evaluation_continue(comm, path, &shape, &config, a, "there/m.h5 (step 7)", &e),
                     STATUS_OK);
    assert_int_equal(evaluation_close(&e), STATUS_OK); /* moved */
    assert_refused(
        evaluation_continue(comm, path, &shape, &config, "b/a.h5 (seed 1), b/b.h5 (seed 3)", m, &e),
        STATUS_BAD_INPUT, WORDS(path, "seed 2"));
    assert_refused(evaluation_continue(comm, path, &shape, &config, "b/a.h5 (seed 1)", m, &e),
                   STATUS_BAD_INPUT, WORDS(path, "seed 2"));
    struct evaluation_shape later[] = {shape, shape}; /* of a version whose files hold more */
    later[0].column = more;
    later[0].columns = 2;
    later[1].table = &table;
    later[1].tables = 1;
    for (int l = 0; l < 2; l++)
        assert_refused(evaluation_continue(comm, path, &later[l], &config, a, m, &e), STATUS_BAD_INPUT,
                       WORDS(path, l ? "by_age" : "contacts", "--overwrite"));
    shape.frames = 4;
    assert_true(evaluation_continue(comm, path, &shape, &config, a, m, &e) != STATUS_OK);
    assert_null(e);
}

/* ---- incomplete ---- */

/* Killed while writing, and put in place all the same. */
static void leave_incomplete(const char *path, const char *kind, const struct config *config) {
    struct h5_file *file = NULL;
    char part[FILE_PATH + 8];
    assert_int_equal(file_begin(comm, path, &file), STATUS_OK);
    assert_int_equal(file_describe(file, kind, config, comm, "cpu"), STATUS_OK);
    assert_int_equal(h5_write_integer(file, "/", "step", 5), STATUS_OK);
    assert_int_equal(h5_close(&file), STATUS_OK);
    snprintf(part, sizeof part, "%s.part", path);
    assert_false(file_exists(comm, path));
    comm_barrier(comm);
    if (comm_rank(comm) == 0)
        assert_int_equal(rename(part, path), 0);
    comm_barrier(comm);
}

static void test_incomplete(void **state) {
    (void)state;
    const struct config config = config_make(2, 17, 3, 0, NULL);
    struct config then;
    int64_t step;
    leave_incomplete(in_folder("restart.h5"), "restart", &config);
    leave_incomplete(in_folder("model.h5"), "model", &config);
    assert_refused(read_restart(in_folder("restart.h5"), &config), STATUS_STORAGE,
                   WORDS("restart.h5", "incomplete"));
    assert_refused(model_read_header(comm, in_folder("model.h5"), &then, &step), STATUS_STORAGE,
                   WORDS("model.h5", "incomplete"));
}

/* A restart that cannot be written leaves the newest two as they are. */
static void test_failed_restart(void **state) {
    (void)state;
    const struct config config = config_make(2, 17, 3, 0, NULL);
    const char *path = in_folder("restart.h5"), *part = in_folder("restart.h5.part");
    assert_int_equal(write_restart(path, &config, 100), STATUS_OK);
    assert_int_equal(write_restart(path, &config, 200), STATUS_OK);
    if (comm_rank(comm) == 0)
        assert_int_equal(mkdir(part, 0777), 0);
    comm_barrier(comm);
    assert_refused(write_restart(path, &config, 300), STATUS_STORAGE, WORDS("restart.h5"));
    comm_barrier(comm);
    if (comm_rank(comm) == 0)
        assert_int_equal(rmdir(part), 0);
    assert_int_equal(read_restart(path, &config), STATUS_OK);
    assert_int_equal(read_restart(in_folder("restart.previous.h5"), &config), STATUS_OK);
}

/* ---- damaged ---- */

enum damage { NO_G, SHORT_Q, REAL_Q, TEXT_G, NO_STEP, NEGATIVE_STEP, BAD_PARAMETER, DAMAGES };

static void damage(const char *path, enum damage kind) {
    hid_t file = damage_begin(path), text = H5Tcopy(H5T_C_S1);
    H5Tset_size(text, 8);
    switch (kind) {
    case NO_G:
        H5Ldelete(file, "/g", H5P_DEFAULT);
        break;
    case SHORT_Q:
        replace(file, "/q", H5T_NATIVE_UINT64, 16, 2);
        break;
    case REAL_Q:
        replace(file, "/q", H5T_NATIVE_DOUBLE, 17, 2); /* HDF5 would convert it, without its last bits */
        break;
    case TEXT_G:
        replace(file, "/g", text, 17, 2);
        break;
    case NO_STEP:
        H5Adelete(file, "step");
        break;
    default: {
        const bool step = kind == NEGATIVE_STEP;
        hid_t group = H5Gopen2(file, step ? "/" : "/parameters/system", H5P_DEFAULT);
        hid_t at = H5Aopen(group, step ? "step" : "particles", H5P_DEFAULT);
        assert_true(H5Awrite(at, H5T_NATIVE_INT64, &(int64_t){-5}) >= 0);
        H5Aclose(at);
        H5Gclose(group);
    }
    }
    H5Tclose(text);
    H5Fclose(file);
}

static void test_damaged_restart(void **state) {
    (void)state;
    static const char *const names[DAMAGES] = {"/g", "/q", "/q", "/g", "step", "step", "restart.h5"};
    const struct config config = config_make(2, 17, 3, 0, NULL);
    const char *path = in_folder("restart.h5");
    for (int kind = 0; kind < DAMAGES; kind++) {
        assert_int_equal(write_restart(path, &config, 100), STATUS_OK);
        assert_int_equal(read_restart(path, &config), STATUS_OK);
        comm_barrier(comm);
        if (comm_rank(comm) == 0)
            damage(path, (enum damage)kind);
        comm_barrier(comm);
        enum status status = read_restart(path, &config);
        if (status == STATUS_OK)
            fail_msg("a restart with damage %d (%s) is read", kind, names[kind]);
        assert_refused(status, status, WORDS("restart.h5", names[kind]));
    }
}

/* Cut off anywhere: whether the library or we notice, every rank hears of it. */
static void test_truncated(void **state) {
    (void)state;
    const struct config config = config_make(2, 17, 3, 0, NULL);
    const char *path = in_folder("restart.h5");
    for (int part = 0; part < 8; part++) {
        assert_int_equal(write_restart(path, &config, 100), STATUS_OK);
        comm_barrier(comm);
        if (comm_rank(comm) == 0) {
            struct stat about;
            assert_int_equal(stat(path, &about), 0);
            assert_int_equal(truncate(path, about.st_size * part / 8), 0);
        }
        comm_barrier(comm);
        enum status status = read_restart(path, &config);
        assert_true(status != STATUS_OK);
        assert_refused(status, status, WORDS("restart.h5"));
    }
}

static void test_damaged_model(void **state) {
    (void)state;
    const struct config config = config_make(2, 17, 3, 0, NULL);
    const struct model_tensor tensor = {"w", 3, 2, 0}, turned = {"w", 2, 3, 0}, unknown = {"v", 3, 2, 0};
    real values[6] = {0};
    struct model_state model = {.size = 6, .weights = values, .average = values, .mu = values, .nu = values};
    const char *path = in_folder("model.h5");
    const struct model_data data = {1, {"a.h5"}, {"frames = 3\n"}};
    assert_int_equal(model_write(comm, path, &config, "cpu", &data, 1, &tensor, &model), STATUS_OK);
    assert_refused(model_read(comm, path, 1, &turned, &model), STATUS_STORAGE,
                   WORDS(path, "/weights/w", "shape"));
    assert_refused(model_read(comm, path, 1, &unknown, &model), STATUS_STORAGE, WORDS(path, "/weights/v"));
    assert_int_equal(model_read(comm, path, 1, &tensor, &model), STATUS_OK);
    free(model.log);
    free(model.test);
}

static void test_damaged_trajectory(void **state) {
    (void)state;
    static const char *const names[] = {"/particles/trajectory/position/value",
                                        "/particles/trajectory/image/value",
                                        "/particles/trajectory/propulsion/value",
                                        "/particles/trajectory/position/step", "/parameters/scalars/div_b"};
    const struct config config = config_make(2, 17, 3, 0, NULL);
    const char *path = in_folder("trajectory.h5");
    for (size_t m = 0; m < sizeof names / sizeof *names; m++)
        for (int gone = 0; gone < 2; gone++) {
            struct trajectory *t = trajectory_make(path, &config);
            assert_int_equal(trajectory_close(&t), STATUS_OK);
            comm_barrier(comm);
            if (comm_rank(comm) == 0) {
                hid_t file = damage_begin(path);
                if (gone)
                    H5Ldelete(file, names[m], H5P_DEFAULT);
                else
                    replace(file, names[m], H5T_NATIVE_DOUBLE, 2, 2);
                H5Fclose(file);
            }
            comm_barrier(comm);
            assert_refused(trajectory_open(comm, path, &t), STATUS_STORAGE, WORDS(path));
            assert_null(t);
        }
}

/* ---- foreign ---- */

static void test_foreign(void **state) {
    (void)state;
    const struct config config = config_make(2, 17, 3, 0, NULL);
    struct trajectory *t = NULL;
    assert_refused(trajectory_open(comm, in_folder("missing.h5"), &t), STATUS_BAD_INPUT, WORDS("missing.h5"));
    if (comm_rank(comm) == 0) {
        FILE *text = fopen(in_folder("text.h5"), "w");
        fprintf(text, "system: {particles: 17}\n");
        fclose(text);
        hid_t file = H5Fcreate(in_folder("other.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        H5Gclose(H5Gcreate2(file, "/particles", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        H5Fclose(file);
    }
    comm_barrier(comm);
    assert_refused(trajectory_open(comm, in_folder("text.h5"), &t), STATUS_BAD_INPUT,
                   WORDS("text.h5", "HDF5"));
    assert_refused(trajectory_open(comm, in_folder("other.h5"), &t), STATUS_BAD_INPUT,
                   WORDS("other.h5", "epflow"));
    assert_int_equal(write_restart(in_folder("restart.h5"), &config, 100), STATUS_OK);
    assert_refused(trajectory_open(comm, in_folder("restart.h5"), &t), STATUS_BAD_INPUT,
                   WORDS("restart.h5", "restart", "trajectory"));
    assert_true(trajectory_open(comm, folder, &t) != STATUS_OK); /* a folder is no file */
    assert_null(t);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        test_with_folder(test_other_physics),      test_with_folder(test_same_physics),
        test_with_folder(test_other_evaluation),   test_with_folder(test_incomplete),
        test_with_folder(test_failed_restart),     test_with_folder(test_damaged_restart),
        test_with_folder(test_truncated),          test_with_folder(test_damaged_model),
        test_with_folder(test_damaged_trajectory), test_with_folder(test_foreign)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
