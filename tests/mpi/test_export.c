/* Exports on several ranks, of more particles than a rank holds at once: what is in the text and in the HDF5 file, read by the
 * C library and by plain serial HDF5; and what is not exported. */
#include <unistd.h>

#include "io/export.h"
#include "serial.h"
#include "test_io.h"

enum { N = 20011, T = 3 }; /* blocks of 8192: rounds of them on one rank and on two */

static const char *make_trajectory(const char *name, double trap) {
    const struct config config = config_make(2, N, T, trap, trap > 0 ? "system.box=1000" : NULL);
    struct trajectory *t = trajectory_make(in_folder(name), &config);
    for (size_t frame = 0; frame < T; frame++)
        frame_write(t, N, 2, frame);
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    return in_folder(name);
}

/* The first status that is not good. */
static enum status export_to(const char *from, const char *wanted, const struct export_format *format,
                             size_t frames, const size_t frame[], const char *to) {
    struct columns *c = NULL;
    struct export *e = NULL;
    enum status status = columns_open(comm, from, wanted, &c);
    if (status == STATUS_OK)
        status = export_begin(c, format, frames, frame, to, &e);
    for (size_t m = 0; m < frames && status == STATUS_OK; m++)
        status = export_frame(e, frame[m]);
    if (status == STATUS_OK)
        status = export_finish(&e);
    export_discard(&e);
    columns_close(&c);
    return status;
}

static void assert_nothing_of(const char *path) {
    char part[FILE_PATH];
    file_part(path, part);
    assert_false(file_exists(comm, path));
    assert_false(file_exists(comm, part));
}

/* ---- text ---- */

static void assert_near(double got, double expected) {
    if (!(fabs(got - expected) <= 1e-9 * fabs(expected) + 1e-300))
        fail_msg("%.17g where %.17g is expected", got, expected);
}

static void assert_row(const char *line, size_t frame, size_t i) {
    char kind[8];
    size_t id;
    int image[2];
    double radius, x[3], g[2];
    assert_int_equal(sscanf(line, "%7s %zu %lf %lf %lf %lf %lf %lf %d %d", kind, &id, &radius, x, x + 1,
                            x + 2, g, g + 1, image, image + 1),
                     10);
    assert_int_equal(id, i);
    assert_true(radius == 1 && x[2] == 0);
    for (int a = 0; a < 2; a++) {
        assert_near(x[a], position_of(frame, i, a));
        assert_near(g[a], propulsion_of(frame, i, a));
        assert_int_equal(image[a], image_of(frame, i, a));
    }
}

static void assert_xyz(const char *path, size_t frames, const size_t frame[], const char *box) {
    char line[1024], words[64];
    FILE *file = comm_rank(comm) == 0 ? fopen(path, "r") : NULL;
    if (comm_rank(comm) > 0)
        return;
    assert_non_null(file);
    for (size_t m = 0; m < frames; m++) {
        assert_non_null(fgets(line, sizeof line, file));
        assert_int_equal(atoi(line), N);
        assert_non_null(fgets(line, sizeof line, file));
        snprintf(words, sizeof words, " Timestep=%zu Time=%g\n", 200 + 40 * frame[m],
                 0.0625 * (double)(200 + 40 * frame[m]));
        assert_non_null(strstr(line, words));
        assert_non_null(strstr(line, box));
        assert_non_null(
            strstr(line, "Properties=species:S:1:id:I:1:radius:R:1:pos:R:3:propulsion:R:2:image:I:2 "));
        for (size_t i = 0; i < N; i++) {
            assert_non_null(fgets(line, sizeof line, file));
            assert_row(line, frame[m], i);
        }
    }
    assert_null(fgets(line, sizeof line, file));
    fclose(file);
}

static void test_xyz(void **state) {
    (void)state;
    static const size_t frame[] = {0, 2};
    const char *to = in_folder("all.xyz");
    assert_int_equal(export_to(make_trajectory("trajectory.h5", 0), NULL, export_format[0], 2, frame, to),
                     STATUS_OK);
    assert_xyz(to, 2, frame, "Lattice=\"30 0 0 0 30 0 0 0 1\" Origin=\"0 0 -0.5\" pbc=\"T T F\" Properties");
    assert_int_equal(export_to(make_trajectory("open.h5", 0.125), NULL, export_format[0], 1, frame, to),
                     STATUS_OK);
    assert_xyz(to, 1, frame, "Lattice=\"1000 0 0 0 1000 0 0 0 1\" Origin=\"-500 -500 -0.5\" pbc=\"F F F\"");
}

/* ---- AMEP ---- */

static void assert_amep(const char *path) {
    if (comm_rank(comm) > 0)
        return;
    hid_t file = serial_open(path);
    assert_shape(file, "/frames/240/coords", H5T_FLOAT, 8, DIMS(N, 3));
    assert_shape(file, "/frames/280/id", H5T_INTEGER, 8, DIMS(N));
    assert_text(file, "/", "type", "particle");
    assert_true(number(file, "/params", "dt") == 0.0625);
    assert_int_equal(number(file, "/frames/280", "d"), 2);
    double *x = vectors_reals(file, "/frames/280/coords", NULL, NULL);
    double *u = vectors_reals(file, "/frames/280/uwcoords", NULL, NULL);
    double *g = vectors_reals(file, "/frames/280/orientations", NULL, NULL);
    double *id = vectors_reals(file, "/frames/280/id", NULL, NULL);
    double *time = vectors_reals(file, "/frames/times", NULL, NULL);
    assert_true(time[0] == 0.0625 * 240 && time[1] == 0.0625 * 280);
    for (size_t i = 0; i < N; i++)
        for (int a = 0; a < 3; a++) {
            const double position = a < 2 ? position_of(2, i, a) : 0;
            assert_true(x[3 * i + (size_t)a] == position);
            assert_true(g[3 * i + (size_t)a] == (a < 2 ? propulsion_of(2, i, a) : 0));
            assert_true(u[3 * i + (size_t)a] == (a < 2 ? position + 30 * image_of(2, i, a) : 0));
            assert_true(id[i] == (double)i);
        }
    free(x);
    free(u);
    free(g);
    free(id);
    free(time);
    H5Fclose(file);
}

static void test_amep(void **state) {
    (void)state;
    static const size_t frame[] = {1, 2}, back[] = {2, 1};
    const char *from = make_trajectory("trajectory.h5", 0), *to = in_folder("all.h5amep");
    assert_refused(export_to(from, NULL, export_format[1], 2, back, to), STATUS_BAD_INPUT,
                   WORDS("frame 1 is of step 240", "frame 2 before it of step 280", "--frames"));
    assert_nothing_of(to);
    assert_int_equal(export_to(from, NULL, export_format[1], 2, frame, to), STATUS_OK);
    assert_amep(to);
}

/* ---- what is refused ---- */

/* One bit of the last particle's position in frame 1. */
static void flip(const char *path) {
    if (comm_rank(comm) == 0) {
        hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT),
              set = H5Dopen2(file, "/particles/trajectory/position/value", H5P_DEFAULT);
        const haddr_t at = H5Dget_offset(set) + (2 * (haddr_t)N - 1) * 3 * sizeof(double);
        H5Dclose(set);
        H5Fclose(file);
        FILE *raw = fopen(path, "r+b");
        assert_non_null(raw);
        fseek(raw, (long)at, SEEK_SET);
        const int byte = fgetc(raw) ^ 1;
        fseek(raw, (long)at, SEEK_SET);
        fputc(byte, raw);
        fclose(raw);
    }
    comm_barrier(comm);
}

static void test_refused(void **state) {
    (void)state;
    static const size_t frame[] = {0, 1};
    const char *from = make_trajectory("trajectory.h5", 0);
    for (int m = 0; m < EXPORT_FORMATS; m++)
        assert_refused(export_to(from, "image,sigma", export_format[m], 1, frame, in_folder("none.xyz")),
                       STATUS_BAD_INPUT, WORDS("trajectory.h5", "no column sigma"));
    assert_refused(export_to(from, NULL, export_format[0], 1, frame, in_folder("absent/none.xyz")),
                   STATUS_STORAGE, WORDS("none.xyz.part"));
    flip(from);
    for (int m = 0; m < EXPORT_FORMATS; m++) {
        assert_int_equal(export_to(from, NULL, export_format[m], 1, frame, in_folder("first")), STATUS_OK);
        assert_refused(export_to(from, NULL, export_format[m], 2, frame, in_folder("none.xyz")),
                       STATUS_STORAGE, WORDS("position", "frame 1", "checksum", "damaged"));
        assert_nothing_of(in_folder("none.xyz"));
        assert_int_equal(export_to(from, "image", export_format[m], 1, frame, in_folder("first")), STATUS_OK);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {test_with_folder(test_xyz), test_with_folder(test_amep),
                                       test_with_folder(test_refused)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
