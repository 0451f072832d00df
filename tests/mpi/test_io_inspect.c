/* Files are looked at by a process of its own, which is this program again: what it refuses, and what becomes of its ends,
 * however it ends. Every rank hears the same. */
#include <signal.h>
#include <sys/stat.h>

#include "io/inspect.h"
#include "test_io.h"

/* ---- the process that looks ---- */

/* Ends by the signal that the file is named after, as if HDF5 had crashed. */
static int answer(char **argv) {
    static const struct {
        const char *name;
        int signal;
    } end[] = {{"segv.h5", SIGSEGV},
               {"abort.h5", SIGABRT},
               {"bus.h5", SIGBUS},
               {"time.h5", SIGXCPU},
               {"killed.h5", SIGKILL}};
    for (size_t m = 0; m < sizeof end / sizeof *end; m++)
        if (strstr(argv[2], end[m].name)) {
            signal(end[m].signal, SIG_DFL);
            raise(end[m].signal);
        }
    return inspect_answer(argv);
}

/* ---- files ---- */

static hid_t begin(const char *name) {
    hid_t file = H5Fcreate(in_folder(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static void dataset(hid_t file, const char *name, hid_t properties) {
    const int32_t values[64] = {1, 2, 3};
    hid_t space = H5Screate_simple(1, (hsize_t[]){64}, NULL);
    hid_t set = H5Dcreate2(file, name, H5T_NATIVE_INT32, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    assert_true(set >= 0);
    if (H5Pget_layout(properties) != H5D_VIRTUAL && H5Pget_external_count(properties) == 0)
        assert_true(H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

enum file { PLAIN, ENDS, LINKED, STORED_ELSEWHERE, VIRTUAL, SCALED, PACKED, FILES };

static void make(const char *name, enum file kind) {
    hid_t file = begin(name), p = H5Pcreate(H5P_DATASET_CREATE),
          space = H5Screate_simple(1, (hsize_t[]){64}, NULL);
    if (kind == LINKED)
        H5Lcreate_external("other.h5", "/set", file, "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
    if (kind == STORED_ELSEWHERE)
        H5Pset_external(p, "/etc/passwd", 0, 256);
    if (kind == VIRTUAL)
        H5Pset_virtual(p, space, "other.h5", "/set", space);
    if (kind == SCALED || kind == PACKED)
        H5Pset_chunk(p, 1, (hsize_t[]){16});
    if (kind == SCALED)
        H5Pset_scaleoffset(p, H5Z_SO_INT, 0);
    if (kind == PACKED) {
        H5Pset_shuffle(p);
        H5Pset_deflate(p, 6);
    }
    dataset(file, "set", p);
    H5Sclose(space);
    H5Pclose(p);
    H5Fclose(file);
}

static void test_contents(void **state) {
    (void)state;
    static const char *const words[FILES] = {[LINKED] = "elsewhere",
                                             [STORED_ELSEWHERE] = "in other files",
                                             [VIRTUAL] = "in other files",
                                             [SCALED] = "filter"};
    char name[32];
    for (int kind = 0; kind < FILES; kind++) {
        snprintf(name, sizeof name, "kind%d.h5", kind);
        if (comm_rank(comm) == 0)
            make(name, (enum file)kind);
        const enum status status = inspect_file(comm, in_folder(name));
        if (words[kind])
            assert_refused(status, STATUS_BAD_INPUT, WORDS(name, words[kind], "h5repack"));
        else
            assert_int_equal(status, STATUS_OK);
    }
}

static void test_own_files_are_good(void **state) {
    (void)state;
    const struct config config = config_make(2, 17, 3, 0, NULL);
    const char *path = in_folder("trajectory.h5");
    struct trajectory *t = trajectory_make(path, &config);
    frame_write(t, 17, 2, 0);
    assert_int_equal(inspect_file(comm, path), STATUS_OK); /* while it is written, too */
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    assert_int_equal(inspect_file(comm, path), STATUS_OK);
}

static void test_ends(void **state) {
    (void)state;
    static const char *const name[] = {"segv.h5", "abort.h5", "bus.h5", "time.h5"};
    for (size_t m = 0; m < sizeof name / sizeof *name; m++) {
        if (comm_rank(comm) == 0)
            make(name[m], ENDS);
        assert_refused(inspect_file(comm, in_folder(name[m])), STATUS_STORAGE, WORDS(name[m], "is damaged"));
    }
    if (comm_rank(comm) == 0)
        make("killed.h5", ENDS);
    assert_int_equal(inspect_file(comm, in_folder("killed.h5")),
                     STATUS_OK); /* by somebody: says nothing of the file */
}

static void test_cut(void **state) {
    (void)state;
    struct stat about;
    const char *path = in_folder("cut.h5");
    if (comm_rank(comm) == 0) {
        make("cut.h5", PLAIN);
        assert_int_equal(stat(path, &about), 0);
        assert_int_equal(truncate(path, about.st_size - 100), 0);
    }
    assert_refused(inspect_file(comm, path), STATUS_STORAGE, WORDS("cut.h5", "to its end"));
}

static void test_no_file(void **state) {
    (void)state;
    if (comm_rank(comm) == 0)
        assert_int_equal(mkfifo(in_folder("pipe.h5"), 0600), 0);
    assert_refused(inspect_file(comm, in_folder("pipe.h5")), STATUS_BAD_INPUT, WORDS("pipe.h5", "pipe"));
    assert_refused(inspect_file(comm, folder), STATUS_BAD_INPUT, WORDS(folder, "folder"));
    assert_refused(inspect_file(comm, "/dev/zero"), STATUS_BAD_INPUT, WORDS("/dev/zero", "device"));
    assert_refused(inspect_file(comm, in_folder("absent.h5")), STATUS_BAD_INPUT, WORDS("absent.h5"));
}

/* ---- steps ---- */

static void test_steps(void **state) {
    (void)state;
    static const struct {
        int64_t step[4];
        enum status increasing, any; /* what becomes of them */
        size_t written;
    } series[] = {{{5, 6, 9, -1}, STATUS_OK, STATUS_OK, 3},
                  {{-1, -1, -1, -1}, STATUS_OK, STATUS_OK, 0},
                  {{0, 7, 8, 9}, STATUS_OK, STATUS_OK, 4},
                  {{5, -1, 9, -1}, STATUS_STORAGE, STATUS_STORAGE, 0},
                  {{-1, 1, 2, 3}, STATUS_STORAGE, STATUS_STORAGE, 0},
                  {{5, 9, 9, -1}, STATUS_STORAGE, STATUS_OK, 3},
                  {{5, 9, 6, 10}, STATUS_STORAGE, STATUS_OK, 4}};
    for (size_t m = 0; m < sizeof series / sizeof *series; m++)
        for (int increasing = 0; increasing < 2; increasing++) {
            const enum status expected = increasing ? series[m].increasing : series[m].any;
            size_t written;
            assert_int_equal(file_frames("a.h5", "/step", increasing, 4, series[m].step, &written), expected);
            assert_int_equal(written, expected == STATUS_OK ? series[m].written : 0);
            status_clear();
        }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        test_with_folder(test_contents), test_with_folder(test_own_files_are_good),
        test_with_folder(test_ends),     test_with_folder(test_cut),
        test_with_folder(test_no_file),  cmocka_unit_test(test_steps)};
    if (inspect_asked(argc, argv))
        return answer(argv);
    inspect_start();
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
