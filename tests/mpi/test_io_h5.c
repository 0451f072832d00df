/* The HDF5 layer on several ranks: what it writes is read back with plain HDF5 calls, and what fails on one
 * rank alone fails on all of them instead of hanging. */
#include "ranks.h"

#include <unistd.h>

#include "io/h5.h"

static char folder[64];
static char path[96];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "test_io_h5_XXXXXX");
    if (comm_rank(comm) == 0 && !mkdtemp(folder))
        return 1;
    comm_broadcast(comm, folder, sizeof folder);
    snprintf(path, sizeof path, "%s/file.h5", folder);
    status_clear();
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    comm_barrier(comm);
    if (comm_rank(comm) == 0) {
        unlink(path);
        rmdir(folder);
    }
    return 0;
}

static struct h5_file *create(void) {
    struct h5_file *file = NULL;
    assert_int_equal(h5_create(comm, path, &file), STATUS_OK);
    return file;
}

static void expect_message(const char *words) {
    if (!strstr(status_message(), words))
        fail_msg("the message \"%s\" does not say \"%s\"", status_message(), words);
}

/* Every rank reads what rank 0 may have made by plain HDF5. */
static hid_t plain_open(void) {
    comm_barrier(comm);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

/* ---- data ---- */

static double entry(size_t i, size_t c) {
    return (double)(1000 * i + c) + 0.25;
}

/* Rank r has rows of its own; the first rank has none, the last one the most. */
static void blocks_of_all_ranks_meet(void **state) {
    enum { COLUMNS = 3 };
    (void)state;
    const size_t ranks = (size_t)comm_size(comm), rank = (size_t)comm_rank(comm);
    const size_t begin = 5 * rank * (rank - 1) / 2 * (rank > 0), count = 5 * rank,
                 rows = 5 * ranks * (ranks - 1) / 2 + 1;
    double values[64 * COLUMNS];
    struct h5_file *file = create();
    assert_true(rows <= 64);
    assert_int_equal(
        h5_dataset(file, "/deep/below/table", H5_FLOAT64, 2, (size_t[]){rows, COLUMNS}, "r0", "a table"),
        STATUS_OK);
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < COLUMNS; c++)
            values[i * COLUMNS + c] = entry(begin + i, c);
    size_t offset[2] = {begin, 0}, block[2] = {count, COLUMNS};
    assert_int_equal(h5_write(file, "/deep/below/table", H5_FLOAT64, 2, offset, block, values), STATUS_OK);
    for (size_t c = 0; c < COLUMNS; c++)
        values[c] = entry(rows - 1, c);
    offset[0] = rows - 1;
    block[0] = rank == 0;
    assert_int_equal(h5_write(file, "/deep/below/table", H5_FLOAT64, 2, offset, block, values), STATUS_OK);
    assert_int_equal(h5_sync(file), STATUS_OK);
    assert_int_equal(h5_close(&file), STATUS_OK);
    assert_null(file);

    size_t n, dims[5];
    hid_t plain = plain_open();
    double *found = vectors_reals(plain, "/deep/below/table", &n, dims);
    assert_int_equal(dims[0], rows);
    assert_int_equal(dims[1], COLUMNS);
    for (size_t i = 0; i < n; i++)
        assert_true(found[i] == entry(i / COLUMNS, i % COLUMNS));
    free(found);
    H5Fclose(plain);
}

/* Whole numbers are stored where the table says so, though float64 is handed over. */
static void library_converts(void **state) {
    (void)state;
    const size_t zero = 0, three = 3, mine = comm_rank(comm) == 0 ? 3 : 0;
    int64_t whole[3];
    struct h5_file *file = create();
    assert_int_equal(h5_dataset(file, "/phase", H5_INT32, 1, &three, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_write(file, "/phase", H5_FLOAT64, 1, &zero, &mine, (double[]){0, 2, 1}), STATUS_OK);
    assert_int_equal(h5_read(file, "/phase", H5_INT64, 1, &zero, &three, whole), STATUS_OK);
    assert_true(whole[0] == 0 && whole[1] == 2 && whole[2] == 1);
    assert_int_equal(h5_close(&file), STATUS_OK);
}

/* One rank alone reaches out of the dataset: no rank may wait for it. */
static void block_outside_is_refused_on_every_rank(void **state) {
    (void)state;
    const size_t six = 6;
    const bool last = comm_rank(comm) == comm_size(comm) - 1;
    double values[6] = {0};
    struct h5_file *file = create();
    assert_int_equal(h5_dataset(file, "/row", H5_FLOAT64, 1, &six, NULL, NULL), STATUS_OK);
    size_t offset = last ? 5 : 0, count = last ? 2 : 1;
    assert_int_equal(h5_write(file, "/row", H5_FLOAT64, 1, &offset, &count, values), STATUS_STORAGE);
    expect_message(path);
    expect_message("/row");
    status_clear();
    offset = last ? SIZE_MAX : 0;
    assert_int_equal(h5_read(file, "/row", H5_FLOAT64, 1, &offset, &count, values), STATUS_STORAGE);
    status_clear();
    assert_int_equal(h5_read(file, "/missing", H5_FLOAT64, 1, &offset, &count, values), STATUS_STORAGE);
    expect_message("/missing");
    status_clear();
    assert_int_equal(h5_close(&file), STATUS_OK);
}

/* ---- attributes ---- */

/* Hosts and clocks differ between ranks, and so would the copies of the metadata. */
static void texts_are_those_of_rank_0(void **state) {
    (void)state;
    char own[64], found[64] = "";
    double number = NAN;
    snprintf(own, sizeof own, "host%.*s", 1 + 7 * comm_rank(comm), "0123456789012345678901234567890");
    struct h5_file *file = create();
    assert_int_equal(h5_write_text(file, "/", "host", own), STATUS_OK);
    assert_int_equal(h5_write_real(file, "/", "clock", 1.5 + comm_rank(comm)), STATUS_OK);
    assert_int_equal(h5_read_text(file, "/", "host", sizeof found, found), STATUS_OK);
    assert_string_equal(found, "host0");
    assert_int_equal(h5_close(&file), STATUS_OK);
    hid_t plain = plain_open();
    assert_true(vectors_attribute(plain, "clock") == 1.5);
    H5Fclose(plain);
    assert_int_equal(h5_open(comm, path, false, &file), STATUS_OK);
    assert_int_equal(h5_read_real(file, "/", "clock", &number), STATUS_OK);
    assert_true(number == 1.5);
    assert_int_equal(h5_read_text(file, "/", "host", 5, found), STATUS_STORAGE); /* longer than that */
    status_clear();
    assert_int_equal(h5_read_real(file, "/", "host", &number), STATUS_STORAGE);
    expect_message("host");
    status_clear();
    assert_int_equal(h5_close(&file), STATUS_OK);
}

static void attributes_are_overwritten_in_place(void **state) {
    (void)state;
    struct h5_file *file = create();
    double number = NAN;
    assert_int_equal(h5_write_real(file, "/", "error", 0), STATUS_OK);
    assert_int_equal(h5_write_real(file, "/", "error", 0.125), STATUS_OK);
    assert_int_equal(h5_read_real(file, "/", "error", &number), STATUS_OK);
    assert_true(number == 0.125);
    assert_int_equal(h5_write_reals(file, "/", "origin", 3, (double[]){1, 2, 3}), STATUS_OK);
    assert_int_equal(h5_write_reals(file, "/", "origin", 2, (double[]){1, 2}), STATUS_STORAGE);
    status_clear();
    assert_int_equal(h5_close(&file), STATUS_OK);
}

/* ---- files that are not what they should be ---- */

static void failures_say_why(void **state) {
    (void)state;
    struct h5_file *file = create();
    const size_t many = 4096;
    assert_int_equal(h5_dataset(file, "/values", H5_FLOAT64, 1, &many, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_close(&file), STATUS_OK);
    comm_barrier(comm);
    if (comm_rank(comm) == 0)
        assert_int_equal(truncate(path, 4096), 0);
    comm_barrier(comm);
    assert_int_equal(h5_open(comm, path, false, &file), STATUS_STORAGE);
    assert_null(file);
    expect_message(path);
    expect_message("truncated"); /* HDF5's own innermost reason */
    status_clear();
    assert_int_equal(h5_create(comm, "no/such/folder/file.h5", &file), STATUS_STORAGE);
    expect_message("No such file");
}

/* A shape that nobody could hold, as a damaged file may have. */
static void absurd_shapes_are_refused(void **state) {
    (void)state;
    if (comm_rank(comm) == 0) {
        const hsize_t shape[2] = {(hsize_t)1 << 40, (hsize_t)1 << 20}, chunk[2] = {16, 16};
        hid_t plain = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        hid_t space = H5Screate_simple(2, shape, NULL), layout = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(layout, 2, chunk);
        H5Dclose(H5Dcreate2(plain, "/absurd", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, layout, H5P_DEFAULT));
        H5Pclose(layout);
        H5Sclose(space);
        H5Fclose(plain);
    }
    comm_barrier(comm);
    int rank;
    size_t dims[H5_RANK];
    struct h5_file *file = NULL;
    assert_int_equal(h5_open(comm, path, false, &file), STATUS_OK);
    assert_int_equal(h5_shape(file, "/absurd", &rank, dims), STATUS_STORAGE);
    expect_message("/absurd");
    status_clear();
    assert_int_equal(h5_close(&file), STATUS_OK);
}

/* The library converts; a reader that expects a type is told. */
static void types_that_lose_digits_are_refused(void **state) {
    (void)state;
    const size_t two = 2;
    struct h5_file *file = create();
    assert_int_equal(h5_dataset(file, "/q", H5_FLOAT64, 1, &two, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_dataset(file, "/n", H5_INT64, 1, &two, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_expect(file, "/q", H5_FLOAT64, 1, &two), STATUS_OK);
    assert_int_equal(h5_expect(file, "/q", H5_FLOAT32, 1, &two), STATUS_OK); /* more digits than asked for */
    assert_int_equal(h5_expect(file, "/n", H5_INT32, 1, &two), STATUS_OK);
    const enum h5_type wrong[] = {H5_UINT64, H5_FLOAT64, H5_TEXT32};
    for (int m = 0; m < 3; m++) {
        assert_int_equal(h5_expect(file, "/n", wrong[m], 1, &two), STATUS_STORAGE);
        expect_message("/n has another type");
        status_clear();
    }
    assert_int_equal(h5_expect(file, "/q", H5_UINT64, 1, &two), STATUS_STORAGE);
    status_clear();
    assert_int_equal(h5_close(&file), STATUS_OK);
}

/* ---- JSON ---- */

static enum status collect(const char *name, const char *json, void *text) {
    strcat(text, name);
    strcat(text, "=");
    strcat(text, json);
    strcat(text, "\n");
    return STATUS_OK;
}

static enum status stop(const char *name, const char *json, void *unused) {
    (void)json;
    (void)unused;
    return FAIL(STATUS_FAILURE, "stopped at %s", name);
}

static void scalars_are_json(void **state) {
    (void)state;
    char text[4096] = "";
    const size_t two = 2, one = 1, zero = 0, four = 4, mine = comm_rank(comm) == 0 ? 2 : 0;
    const size_t mine_one = comm_rank(comm) == 0;
    const char ended[32] = "2026", words[2][32] = {"gas", "6 or \"more\""};
    struct h5_file *file = create();
    assert_int_equal(h5_write_text(file, "/", "said", "a \"b\" \\ \t \xc3\xa9 \xff"), STATUS_OK);
    assert_int_equal(h5_write_integer(file, "/", "large", 9007199254740993), STATUS_OK); /* no float64 */
    assert_int_equal(h5_group(file, "/a/b"), STATUS_OK);
    assert_int_equal(h5_write_real(file, "/a/b", "nothing", NAN), STATUS_OK);
    assert_int_equal(h5_write_reals(file, "/a", "pair", 2, (double[]){0.5, -INFINITY}), STATUS_OK);
    assert_int_equal(h5_dataset(file, "/a/step", H5_INT64, 1, &two, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_write(file, "/a/step", H5_INT64, 1, &zero, &mine, (int64_t[]){7, -1}), STATUS_OK);
    assert_int_equal(h5_hard_link(file, "/a/step", "/z/step"), STATUS_OK);
    assert_int_equal(h5_dataset(file, "/end", H5_TEXT32, 1, &one, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_write(file, "/end", H5_TEXT32, 1, &zero, &mine_one, ended), STATUS_OK);
    assert_int_equal(h5_dataset(file, "/names", H5_TEXT32, 1, &two, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_write(file, "/names", H5_TEXT32, 1, &zero, &mine, words), STATUS_OK);
    assert_int_equal(h5_dataset(file, "/long", H5_FLOAT64, 1, &four, NULL, NULL), STATUS_OK);
    assert_int_equal(h5_visit_scalars(file, 3, collect, text), STATUS_OK);
    assert_string_equal(text, "\"@large\"=9007199254740993\n"
                              "\"@said\"=\"a \\\"b\\\" \\\\ \\u0009 \xc3\xa9 ?\"\n"
                              "\"a@pair\"=[0.5,null]\n"
                              "\"a/b@nothing\"=null\n"
                              "\"a/step\"=[7,-1]\n"
                              "\"end\"=\"2026\"\n"
                              "\"names\"=[\"gas\",\"6 or \\\"more\\\"\"]\n"
                              "\"z/step\"=[7,-1]\n");
    assert_int_equal(h5_visit_scalars(file, 3, comm_rank(comm) == 0 ? stop : collect, text), STATUS_FAILURE);
    expect_message("stopped at \"@large\"");
    status_clear();
    assert_int_equal(h5_close(&file), STATUS_OK);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_of_all_ranks_meet, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(library_converts, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(block_outside_is_refused_on_every_rank, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(texts_are_those_of_rank_0, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(attributes_are_overwritten_in_place, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(failures_say_why, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(absurd_shapes_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(types_that_lose_digits_are_refused, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(scalars_are_json, make_folder, remove_folder),
    };
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
