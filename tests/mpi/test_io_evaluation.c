/* A round trip of evaluation.h5 on several ranks, interrupted half-way: read back by our own functions, and by plain
 * serial HDF5. */
#include "serial.h"
#include "test_io.h"

enum { BINS = 4, NX = 5, NY = 3 };
static double profile_values[BINS], table_values[4];
static struct evaluation_identity identities[] = {{.name = "I1_g", .description = "an identity"}};

static struct evaluation_shape evaluation_shape_of(size_t n) {
    static const struct evaluation_column columns[] = {{"velocity", "r0/time", "a vector", 2, false},
                                                       {"sigma", "1/time", "a number", 1, false},
                                                       {"phase", "1", "0, 1 or 2", 1, true}};
    static const struct evaluation_field fields[] = {{"density", "1", "a number", 1},
                                                     {"current", "1", "a vector", 2}};
    static const struct evaluation_profile profiles[] = {{"epr", "1/time", "a profile", profile_values}};
    static const char *const names[] = {"few", "many"};
    static const struct evaluation_profile by_size[] = {{"count", "1", "how many", table_values},
                                                        {"epr", "1/time", "a rate", table_values + 2}};
    static const struct evaluation_profile by_age[] = {{"count", "1", "how old", table_values + 1}};
    static const struct evaluation_table tables[] = {{.name = "by_size",
                                                      .description = "two classes",
                                                      .classes = 2,
                                                      .quantities = 2,
                                                      .names = names,
                                                      .quantity = by_size},
                                                     {.name = "by_age",
                                                      .description = "three classes",
                                                      .classes = 3,
                                                      .quantities = 1,
                                                      .edges = table_values,
                                                      .edges_unit = "time",
                                                      .edges_description = "ages",
                                                      .quantity = by_age}};
    return (struct evaluation_shape){.particles = n,
                                     .tables = 2,
                                     .table = tables,
                                     .frames = 2,
                                     .d = 2,
                                     .cells = {NX, NY, 1},
                                     .spacing = {6, 10, 1},
                                     .columns = 3,
                                     .fields = 2,
                                     .profiles = 1,
                                     .identities = 1,
                                     .bins = BINS,
                                     .column = columns,
                                     .field = fields,
                                     .profile = profiles,
                                     .identity = identities};
}

static double row_of(size_t frame, int column, size_t id, int axis) {
    return column == 2 ? (double)((id + frame) % 3) : propulsion_of(frame + 10 * (size_t)column, id, axis);
}

static void write_evaluation_frame(struct evaluation *e, const struct evaluation_shape *s, size_t frame) {
    const int ranks = comm_size(comm), rank = comm_rank(comm);
    const size_t begin = slice_begin(s->particles, ranks, rank),
                 end = slice_begin(s->particles, ranks, rank + 1);
    double *rows = calloc((end - begin) * 2 + 1, sizeof *rows), grid[NX * NY * 2];
    for (int c = 0; c < s->columns; c++) {
        const int columns = s->column[c].columns;
        for (size_t i = begin; i < end; i++)
            for (int a = 0; a < columns; a++)
                rows[(i - begin) * (size_t)columns + (size_t)a] = row_of(frame, c, i, a);
        assert_int_equal(evaluation_write_column(e, frame, c, begin, end - begin, rows), STATUS_OK);
    }
    for (int f = 0; f < 2; f++) {
        for (int i = 0; i < NX * NY * 2; i++)
            grid[i] = (double)frame * 1000 + f * 100 + i;
        const size_t first = slice_begin(NY, ranks, rank), layers = slice_begin(NY, ranks, rank + 1) - first,
                     row = NX * (size_t)s->field[f].columns;
        assert_int_equal(evaluation_write_field(e, frame, f, first, layers, grid + first * row), STATUS_OK);
    }
    free(rows);
    assert_int_equal(evaluation_write_step(e, frame, 200 + 40 * (int64_t)frame, 10 + 2 * (double)frame),
                     STATUS_OK);
}

static void assert_frame(struct evaluation *e, const struct evaluation_shape *s, size_t frame) {
    const int ranks = comm_size(comm), rank = comm_rank(comm);
    const size_t begin = slice_begin(s->particles, ranks, rank),
                 end = slice_begin(s->particles, ranks, rank + 1);
    double *rows = calloc((end - begin) * 2 + 1, sizeof *rows);
    for (int c = 0; c < s->columns; c++) {
        const int columns = s->column[c].columns;
        assert_int_equal(evaluation_read_column(e, frame, c, begin, end - begin, rows), STATUS_OK);
        for (size_t i = begin; i < end; i++)
            for (int a = 0; a < columns; a++)
                assert_true(rows[(i - begin) * (size_t)columns + (size_t)a] == row_of(frame, c, i, a));
    }
    free(rows);
}

/* One number changed on the disk: the frame and the column are named. */
static void assert_damage_is_seen(const char *path, const struct evaluation_shape *shape,
                                  const struct config *config) {
    struct evaluation *e = NULL;
    double rows[2 * 23];
    comm_barrier(comm);
    if (comm_rank(comm) == 0) {
        hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT),
              set = H5Dopen2(file, "/particles/evaluation/sigma", H5P_DEFAULT);
        hid_t space = H5Dget_space(set), one = H5Screate(H5S_SCALAR);
        H5Sselect_elements(space, H5S_SELECT_SET, 1, (hsize_t[]){1, 7});
        assert_true(H5Dwrite(set, H5T_NATIVE_DOUBLE, one, space, H5P_DEFAULT, &(double){5}) >= 0);
        H5Sclose(space);
        H5Sclose(one);
        H5Dclose(set);
        H5Fclose(file);
    }
    comm_barrier(comm);
    const size_t begin = slice_begin(23, comm_size(comm), comm_rank(comm)),
                 count = slice_begin(23, comm_size(comm), comm_rank(comm) + 1) - begin;
    assert_int_equal(evaluation_continue(comm, path, shape, config, "trajectory.h5", "model.h5", &e),
                     STATUS_OK);
    assert_int_equal(evaluation_read_column(e, 0, 1, begin, count, rows), STATUS_OK);
    assert_refused(evaluation_read_column(e, 1, 1, begin, count, rows), STATUS_STORAGE,
                   WORDS(path, "/particles/evaluation/sigma, frame 1", "checksum"));
    assert_int_equal(evaluation_close(&e), STATUS_OK);
}

static void assert_evaluation(const char *path) {
    if (comm_rank(comm) > 0)
        return;
    hid_t file = serial_open(path);
    assert_shape(file, "/particles/evaluation/velocity", H5T_FLOAT, 8, DIMS(2, 23, 2));
    assert_shape(file, "/particles/evaluation/sigma", H5T_FLOAT, 8, DIMS(2, 23));
    assert_shape(file, "/particles/evaluation/phase", H5T_INTEGER, 4, DIMS(2, 23));
    assert_shape(file, "/fields/density", H5T_FLOAT, 8, DIMS(2, NY, NX));
    assert_shape(file, "/fields/current", H5T_FLOAT, 8, DIMS(2, NY, NX, 2));
    double *density = vectors_reals(file, "/fields/density", NULL, NULL);
    double *current = vectors_reals(file, "/fields/current", NULL, NULL);
    for (int frame = 0; frame < 2; frame++)
        for (int i = 0; i < NX * NY * 2; i++) {
            assert_true(current[frame * NX * NY * 2 + i] == frame * 1000 + 100 + i);
            assert_true(i >= NX * NY || density[frame * NX * NY + i] == frame * 1000 + i);
        }
    double *profile = vectors_reals(file, "/profiles/epr", NULL, NULL);
    assert_memory_equal(profile, profile_values, sizeof profile_values);
    double *table = vectors_reals(file, "/certificate/by_size/epr", NULL, NULL);
    assert_memory_equal(table, table_values + 2, 2 * sizeof *table);
    double *edges = vectors_reals(file, "/certificate/by_age/edges", NULL, NULL);
    assert_memory_equal(edges, table_values, sizeof table_values);
    assert_shape(file, "/certificate/by_size/names", H5T_STRING, 32, DIMS(2));
    assert_shape(file, "/certificate/by_age/count", H5T_FLOAT, 8, DIMS(3));
    assert_text(file, "/certificate/by_age", "description", "three classes");
    assert_text(file, "/certificate/by_age/edges", "unit", "time");
    assert_true(H5Lexists(file, "/certificate/by_size/edges", H5P_DEFAULT) == 0);
    assert_true(number(file, "/certificate", "exact_error") == 0.25);
    assert_true(number(file, "/certificate", "exact_total") == 3 * 23);
    assert_true(number(file, "/certificate", "certified_total") == 2 * 23);
    assert_true(number(file, "/certificate", "certified_total_error") == 0.5 * 23);
    assert_true(number(file, "/certificate", "resolved_fraction") == 0.5);
    assert_true(number(file, "/certificate/I1_g", "left") == 1.5);
    assert_true(number(file, "/certificate/I1_g", "samples") == 77);
    assert_int_equal(number(file, "/", "complete"), 1);
    assert_text(file, "/certificate", "epr_convention", "informatic");
    assert_text(file, "/fields/density", "description", "a number");
    free(density);
    free(current);
    free(profile);
    free(table);
    free(edges);
    H5Fclose(file);
}

static void test_evaluation(void **state) {
    (void)state;
    const struct config config = config_make(2, 23, 5, 0, NULL);
    const struct evaluation_shape shape = evaluation_shape_of(23);
    const char *path = in_folder("evaluation.h5");
    const double distance[BINS] = {-1.5, -0.5, 0.5, 1.5};
    struct evaluation *e = NULL;
    size_t written;
    assert_int_equal(evaluation_create(comm, path, &shape, &config, "cpu", "trajectory.h5", "model.h5",
                                       "informatic", (const double[]){0, 0.01}, &e),
                     STATUS_OK);
    write_evaluation_frame(e, &shape, 0);
    assert_int_equal(evaluation_close(&e), STATUS_OK);
    assert_int_equal(evaluation_continue(comm, path, &shape, &config, "trajectory.h5", "model.h5", &e),
                     STATUS_OK);
    assert_int_equal(evaluation_written(e, &written), STATUS_OK);
    assert_int_equal(written, 1);
    write_evaluation_frame(e, &shape, 1);
    for (size_t frame = 0; frame < 2; frame++)
        assert_frame(e, &shape, frame);
    for (int i = 0; i < BINS; i++)
        profile_values[i] = 1.0 / (i + 3);
    for (int i = 0; i < 4; i++)
        table_values[i] = 1.0 / (i + 7);
    const struct evaluation_result result = {.resolved_fraction = 0.5,
                                             .exact = 3,
                                             .exact_error = 0.25,
                                             .resolved = 2,
                                             .resolved_error = 0.5,
                                             .particles = 23};
    identities[0] = (struct evaluation_identity){"I1_g", "an identity", 1.5, 1.25, 0.25, 0.5, 0.5, 77};
    assert_int_equal(evaluation_finish(e, distance, &result), STATUS_OK);
    assert_int_equal(evaluation_close(&e), STATUS_OK);
    assert_evaluation(path);
    const double time[2] = {10, 12};
    assert_int_equal(evaluation_write_xdmf(comm, in_folder("fields.xdmf"), in_folder("fields.xmf"),
                                           "evaluation.h5", &shape, time),
                     STATUS_OK);
    assert_true(file_exists(comm, in_folder("fields.xdmf")));
    assert_true(file_exists(comm, in_folder("fields.xmf")));
    assert_damage_is_seen(path, &shape, &config);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {test_with_folder(test_evaluation)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
