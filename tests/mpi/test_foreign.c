/* H5MD files of other programs: every form that is read comes out as the same frames, and whatever is missing or
 * does not fit is refused on every rank in one message that says what. The files are made by plain serial HDF5
 * on rank 0. */
#include "test_io.h"

enum { N = 17, FRAMES = 3 };
enum series { SERIES_EXPLICIT, SERIES_FIXED, SERIES_FIXED_OFFSET, SERIES_NONE };
enum box_form { BOX_VECTOR, BOX_MATRIX, BOX_MOVING_VECTOR, BOX_MOVING_MATRIX, BOX_NONE };

/* How a file is written; zero: as H5MD shows it, float64, positions in the box. */
struct form {
    enum series series;
    enum box_form box;
    int sides, components; /* 0: d */
    bool narrow;           /* float32 */
    bool unwrapped;        /* by image_of(), which is then what must be read */
    bool image;            /* the same in a file that has images */
    bool words;            /* boundary in texts of variable length */
    bool ids;              /* of every frame */
    /* what is wrong */
    hsize_t particles, propulsion_frames, series_frames;
    double side, last_side, tilt, bad, late;
    bool text, flat, shuffled, bad_propulsion;
    const char *boundary;
};

static void write_set(hid_t file, const char *path, hid_t stored, hid_t memory, int rank,
                      const hsize_t dims[], const void *data) {
    hid_t links = H5Pcreate(H5P_LINK_CREATE), space = H5Screate_simple(rank, dims, NULL);
    H5Pset_create_intermediate_group(links, 1);
    hid_t set = H5Dcreate2(file, path, stored, space, links, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0 && H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(links);
}

/* Step 200 + 40 m, time step / 16, as frame_make() says. */
static void write_series(hid_t file, const struct form *f, const char *element, hsize_t rows) {
    const struct {
        const char *name;
        double first, rate;
    } series[] = {{"step", 200, 40}, {"time", 12.5, 2.5}};
    for (int m = 0; m < 2 && f->series != SERIES_NONE; m++) {
        char path[128];
        double all[FRAMES + 1];
        for (int t = 0; t <= FRAMES; t++)
            all[t] = series[m].first + series[m].rate * t + (strstr(element, "director") ? f->late : 0);
        snprintf(path, sizeof path, "%s/%s", element, series[m].name);
        const bool fixed = f->series != SERIES_EXPLICIT;
        write_set(file, path, m ? H5T_NATIVE_FLOAT : H5T_NATIVE_INT32, H5T_NATIVE_DOUBLE, fixed ? 0 : 1,
                  &rows, fixed ? &series[m].rate : all);
        if (f->series == SERIES_FIXED_OFFSET) {
            hid_t space = H5Screate(H5S_SCALAR), set = H5Dopen2(file, path, H5P_DEFAULT);
            hid_t offset = H5Acreate2(set, "offset", H5T_NATIVE_DOUBLE, space, H5P_DEFAULT, H5P_DEFAULT);
            H5Awrite(offset, H5T_NATIVE_DOUBLE, &series[m].first);
            H5Aclose(offset);
            H5Dclose(set);
            H5Sclose(space);
        }
    }
}

static void write_boundary(hid_t file, const struct form *f, hsize_t axes) {
    const char *word = f->boundary ? f->boundary : "periodic", *words[3] = {word, word, word};
    char fixed[3][16] = {{0}};
    for (int a = 0; a < 3; a++)
        snprintf(fixed[a], sizeof fixed[a], "%s", word);
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &axes, NULL);
    hid_t box = H5Gopen2(file, "/particles/all/box", H5P_DEFAULT);
    H5Tset_size(type, f->words ? H5T_VARIABLE : 16);
    hid_t attribute = H5Acreate2(box, "boundary", type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(attribute, type, f->words ? (const void *)words : (const void *)fixed) >= 0);
    H5Aclose(attribute);
    H5Gclose(box);
    H5Sclose(space);
    H5Tclose(type);
}

static void write_box(hid_t file, const struct form *f, int d) {
    const hsize_t sides = (hsize_t)(f->sides ? f->sides : d);
    const bool moving = f->box >= BOX_MOVING_VECTOR,
               matrix = f->box == BOX_MATRIX || f->box == BOX_MOVING_MATRIX;
    const hsize_t dims[3] = {FRAMES, sides, sides}, one = matrix ? sides * sides : sides;
    double edges[FRAMES * 9] = {0};
    if (f->box == BOX_NONE)
        return;
    for (hsize_t m = 0; m < FRAMES; m++)
        for (hsize_t a = 0; a < sides; a++) {
            double side = m == FRAMES - 1 && f->last_side > 0 ? f->last_side : f->side != 0 ? f->side : 30;
            edges[m * one + a * (matrix ? sides + 1 : 1)] = side;
            if (matrix && a > 0)
                edges[m * one + a] = f->tilt;
        }
    write_set(file, moving ? "/particles/all/box/edges/value" : "/particles/all/box/edges", H5T_NATIVE_FLOAT,
              H5T_NATIVE_DOUBLE, 1 + moving + matrix, moving ? dims : dims + 1, edges);
    write_boundary(file, f, sides);
}

static void write_vectors(hid_t file, const struct form *f, int d, const char *element, hsize_t frames) {
    const bool position = strstr(element, "position") != NULL, image = strstr(element, "image") != NULL;
    const hsize_t n = f->particles ? f->particles : N, columns = (hsize_t)(f->components ? f->components : d);
    const hsize_t dims[3] = {frames, n, columns};
    double *all = calloc(frames * n * columns + 1, sizeof *all);
    char path[128];
    for (hsize_t m = 0; m < frames; m++)
        for (hsize_t i = 0; i < n; i++)
            for (int a = 0; a < d && a < (int)columns; a++) {
                double turns = f->unwrapped ? image_of(m, i, a) : 0;
                double value = image      ? image_of(m, i, a)
                               : position ? position_of(m, i, a) + 30 * turns
                                          : propulsion_of(m, i, a);
                bool spoilt = m == 1 && i == N - 1 && a == 0 && f->bad != 0 && position != f->bad_propulsion;
                all[(m * n + i) * columns + (hsize_t)a] = spoilt ? f->bad : value;
            }
    snprintf(path, sizeof path, "%s/value", element);
    if (f->flat && position)
        write_set(file, path, H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE, 2, dims + 1, all);
    else if (f->text && position) {
        hid_t type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, 8);
        write_set(file, path, type, type, 3, dims, all);
        H5Tclose(type);
    } else
        write_set(file, path, f->narrow ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE, H5T_NATIVE_DOUBLE, 3, dims,
                  all);
    free(all);
}

static const char *write_form(const struct form *f, int d) {
    const char *path = in_folder("foreign.h5");
    comm_barrier(comm);
    if (comm_rank(comm) == 0) {
        hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(file >= 0);
        write_vectors(file, f, d, "/particles/all/position", FRAMES);
        write_series(file, f, "/particles/all/position", f->series_frames ? f->series_frames : FRAMES);
        write_vectors(file, f, d, "/particles/all/director",
                      f->propulsion_frames ? f->propulsion_frames : FRAMES);
        write_series(file, f, "/particles/all/director", FRAMES);
        write_box(file, f, d);
        if (f->image)
            write_vectors(file, f, d, "/particles/all/image", FRAMES);
        if (f->ids) {
            int32_t id[FRAMES][N];
            for (int m = 0; m < FRAMES; m++)
                for (int i = 0; i < N; i++)
                    id[m][i] = 100 + (f->shuffled && m == 2 && i < 2 ? 1 - i : i);
            write_set(file, "/particles/all/id/value", H5T_NATIVE_INT32, H5T_NATIVE_INT32, 2,
                      (hsize_t[]){FRAMES, N}, id);
        }
        H5Fclose(file);
    }
    comm_barrier(comm);
    return path;
}

static struct config config_for(int d, const char *position, const char *propulsion) {
    struct config config = config_make(d, N, FRAMES, 0, NULL);
    snprintf(config.data.position, sizeof config.data.position, "%s", position);
    snprintf(config.data.propulsion, sizeof config.data.propulsion, "%s", propulsion);
    return config;
}

/* ---- what is read ---- */

static void assert_frame(struct trajectory *t, const struct form *f, int d, size_t frame) {
    struct trajectory_frame got = frame_make(N, d, comm_rank(comm), false, 0);
    const bool offset = f->series == SERIES_EXPLICIT || f->series == SERIES_FIXED_OFFSET;
    const double slack = f->narrow ? 2e-5 : 1e-12;
    assert_int_equal(trajectory_read(t, frame, &got), STATUS_OK);
    assert_int_equal(got.step, f->series == SERIES_NONE ? frame : (offset ? 200 : 0) + 40 * frame);
    if (f->series == SERIES_NONE)
        assert_true(isnan(got.time));
    else
        assert_true(got.time == (offset ? 12.5 : 0) + 2.5 * (double)frame);
    assert_true(isnan(got.scalars.div_b) && isnan(got.scalars.force_b));
    for (size_t i = 0; i < got.count; i++)
        for (int a = 0; a < d; a++) {
            const size_t at = i * (size_t)d + (size_t)a, id = got.begin + i;
            const int turns = (f->unwrapped || f->image) ? image_of(frame, id, a) : 0;
            assert_true(fabs(got.position[at] - position_of(frame, id, a)) < slack);
            assert_true(got.position[at] >= 0 && got.position[at] < 30);
            assert_true(fabs(got.g[at] - propulsion_of(frame, id, a)) < slack);
            assert_int_equal(got.image[at], turns);
        }
    frame_free(&got);
}

static void test_forms(void **state) {
    (void)state;
    static const struct form forms[] = {
        {.series = SERIES_EXPLICIT},
        {.series = SERIES_FIXED, .narrow = true, .unwrapped = true},
        {.series = SERIES_FIXED_OFFSET, .box = BOX_MATRIX, .image = true, .words = true},
        {.series = SERIES_NONE, .box = BOX_MOVING_VECTOR, .sides = 3, .components = 3, .narrow = true},
        {.box = BOX_MOVING_MATRIX,
         .sides = 3,
         .components = 3,
         .unwrapped = true,
         .words = true,
         .ids = true},
        {.box = BOX_VECTOR, .sides = 3, .ids = true}};
    static const char *const names[][2] = {{"particles/all/position", "particles/all/director"},
                                           {"/particles/all/position/", "//particles/all/director/value"}};
    for (size_t m = 0; m < sizeof forms / sizeof *forms; m++)
        for (int d = 1; d <= 3; d++)
            for (int alias = 0; alias < 2; alias++) {
                struct trajectory *t = NULL;
                size_t frames = 0;
                const struct config config = config_for(d, names[alias][0], names[alias][1]);
                enum status status = trajectory_open_foreign(comm, write_form(&forms[m], d), &config, &t);
                if (status != STATUS_OK)
                    fail_msg("form %zu: %s", m, status_message());
                assert_int_equal(trajectory_written(t, &frames), STATUS_OK);
                assert_int_equal(frames, FRAMES);
                assert_int_equal(trajectory_shape(t)->particles, N);
                for (size_t frame = 0; frame < FRAMES; frame++)
                    assert_frame(t, &forms[m], d, frame);
                struct trajectory_scalars scalars[FRAMES];
                assert_int_equal(trajectory_read_scalars(t, FRAMES, scalars), STATUS_OK);
                assert_true(isnan(scalars[FRAMES - 1].b_stiffness_b));
                assert_int_equal(trajectory_close(&t), STATUS_OK);
            }
}

/* epflow's own files can be read the other way too, up to the frames that are written. */
static void test_own(void **state) {
    (void)state;
    const struct config config =
        config_for(2, "particles/trajectory/position", "particles/trajectory/propulsion");
    struct trajectory *t = trajectory_make(in_folder("trajectory.h5"), &config);
    size_t frames = 0;
    frame_write(t, N, 2, 0);
    frame_write(t, N, 2, 1);
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    assert_int_equal(trajectory_open_foreign(comm, in_folder("trajectory.h5"), &config, &t), STATUS_OK);
    assert_int_equal(trajectory_written(t, &frames), STATUS_OK);
    assert_int_equal(frames, 2);
    assert_frame(t, &(struct form){.image = true}, 2, 1);
    struct trajectory_frame f = frame_make(N, 2, comm_rank(comm), false, 0);
    assert_refused(trajectory_read(t, 2, &f), STATUS_BAD_INPUT, WORDS("trajectory.h5", "no frame 2"));
    frame_free(&f);
    assert_int_equal(trajectory_close(&t), STATUS_OK);
}

/* ---- what is refused ---- */

/* Opens and reads all; the first status that is not good. */
static enum status open_and_read(const char *path, const struct config *config) {
    struct trajectory *t = NULL;
    enum status status = trajectory_open_foreign(comm, path, config, &t);
    for (size_t m = 0; m < FRAMES && status == STATUS_OK; m++) {
        struct trajectory_frame f = frame_make(N, config->system.dimension, comm_rank(comm), false, 0);
        status = trajectory_read(t, m, &f);
        frame_free(&f);
    }
    trajectory_close(&t);
    return status;
}

static void test_refusals(void **state) {
    (void)state;
    static const struct {
        struct form form;
        const char *words[4];
    } wrong[] = {
        {{.particles = 16}, {"position/value has 16 particles", "17"}},
        {{.components = 1}, {"position/value has 1 components", "system.dimension is 2"}},
        {{.flat = true}, {"position/value", "[frames][particles][components]"}},
        {{.text = true}, {"position/value", "not numbers"}},
        {{.propulsion_frames = 2}, {"director/value has 2 frames", "3"}},
        {{.box = BOX_NONE}, {"no box", "/particles/all/box/edges"}},
        {{.side = 31}, {"side 0 of the box is 31", "30", "system.box"}},
        {{.side = NAN}, {"box"}},
        {{.box = BOX_MOVING_VECTOR, .last_side = 33}, {"changes in time", "30", "33", "frame 2"}},
        {{.box = BOX_MATRIX, .tilt = 4}, {"not rectangular"}},
        {{.sides = 1}, {"has 1 sides", "2 dimensions"}},
        {{.boundary = "none"}, {"boundary of axis 0 is \"none\"", "periodic"}},
        {{.words = true, .boundary = "none"}, {"boundary of axis 0 is \"none\""}},
        {{.series_frames = 2}, {"/particles/all/position/step", "3 frames"}},
        {{.late = 1}, {"frame 0", "step", "200", "201"}},
        {{.bad = NAN}, {"particle 16 of frame 1", "not finite", "position"}},
        {{.bad = INFINITY, .bad_propulsion = true}, {"particle 16 of frame 1", "not finite", "director"}},
        {{.bad = 1e20}, {"particle 16 of frame 1", "1e+20"}},
        {{.ids = true, .shuffled = true}, {"row 0", "particle 100", "101 in frame 2", "sort"}}};
    const struct config config = config_for(2, "particles/all/position", "particles/all/director");
    for (size_t m = 0; m < sizeof wrong / sizeof *wrong; m++) {
        const char *path = write_form(&wrong[m].form, 2);
        const char *words[] = {path,
                               wrong[m].words[0],
                               wrong[m].words[1],
                               wrong[m].words[2],
                               wrong[m].words[1] && wrong[m].words[2] ? wrong[m].words[3] : NULL,
                               NULL};
        assert_refused(open_and_read(path, &config), STATUS_BAD_INPUT, words);
    }
}

static void test_missing(void **state) {
    (void)state;
    const char *path = write_form(&(struct form){.narrow = true}, 2);
    struct config config = config_for(2, "particles/all/velocity", "particles/all/director");
    assert_refused(open_and_read(path, &config), STATUS_BAD_INPUT,
                   WORDS(path, "particles/all/velocity", "data.position", "particles/all/position",
                         "particles/all/director"));
    config = config_for(2, "particles/all/position", "particles/other/director");
    assert_refused(open_and_read(path, &config), STATUS_BAD_INPUT,
                   WORDS(path, "particles/other/director", "data.propulsion", "particles/all/director"));
    config = config_for(2, "particles/all/box", "particles/all/director");
    assert_refused(open_and_read(path, &config), STATUS_BAD_INPUT, WORDS("no element particles/all/box"));
    config = config_for(2, "particles/all/position", "");
    assert_refused(open_and_read(path, &config), STATUS_BAD_INPUT, WORDS("data.propulsion"));
    config = config_for(2, "particles/all/position", "particles/all/director");
    assert_refused(open_and_read(in_folder("absent.h5"), &config), STATUS_BAD_INPUT, WORDS("absent.h5"));
    if (comm_rank(comm) == 0) {
        FILE *text = fopen(in_folder("text.h5"), "w");
        fprintf(text, "ITEM: TIMESTEP\n");
        fclose(text);
        H5Fclose(H5Fcreate(in_folder("empty.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    }
    comm_barrier(comm);
    assert_refused(open_and_read(in_folder("text.h5"), &config), STATUS_BAD_INPUT,
                   WORDS("text.h5", "not HDF5"));
    assert_refused(open_and_read(in_folder("empty.h5"), &config), STATUS_BAD_INPUT,
                   WORDS("empty.h5", "no group particles"));
    assert_int_equal(open_and_read(path, &config), STATUS_OK);
}

/* Open space: no sides, centred positions, which stay in the middle half of the input's box. */
static void test_open(void **state) {
    (void)state;
    struct config config = config_make(2, N, FRAMES, 0.5, NULL);
    snprintf(config.data.position, sizeof config.data.position, "particles/all/position");
    snprintf(config.data.propulsion, sizeof config.data.propulsion, "particles/all/director");
    config.system.box[0] = 121;
    const char *path = write_form(&(struct form){.boundary = "none"}, 2);
    assert_int_equal(open_and_read(path, &config), STATUS_OK);
    path = write_form(&(struct form){.box = BOX_NONE, .bad = -7}, 2);
    assert_int_equal(open_and_read(path, &config), STATUS_OK);
    path = write_form(&(struct form){.box = BOX_NONE, .bad = -31}, 2);
    assert_refused(open_and_read(path, &config), STATUS_BAD_INPUT, WORDS("-31", "middle half", "system.box"));
    path = write_form(&(struct form){.boundary = "periodic"}, 2);
    assert_refused(open_and_read(path, &config), STATUS_BAD_INPUT, WORDS("\"periodic\"", "open"));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {test_with_folder(test_forms), test_with_folder(test_own),
                                       test_with_folder(test_refusals), test_with_folder(test_missing),
                                       test_with_folder(test_open)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
