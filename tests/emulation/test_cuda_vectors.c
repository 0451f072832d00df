/* The windowed network on the CUDA table against reference data of an independent implementation: network_window.h5,
 * every case in the file. */
#include "both.h"

#include "learn/score.h"
#include "vectors.h"

/* As on the CPU in float32, tests/ops/test_network_vectors.c. */
static const double SCORE = 2e-6, DIVERGENCE = 5e-6, GRADIENT = 1e-4;
enum { ROWS = 300 }; /* a chunk: some windows */

/* A copy in the memory of the device. */
static void *upload(const void *host, size_t bytes) {
    void *device = NULL;
    assert_int_equal(cuda->allocate(cuda, bytes, &device), STATUS_OK);
    cuda->to_device(cuda, device, host, bytes);
    return device;
}

static void *download(const void *device, size_t bytes) {
    void *host = malloc(bytes + 1);
    cuda->to_host(cuda, host, device, bytes);
    assert_int_equal(cuda->synchronise(cuda), STATUS_OK);
    return host;
}

static void near(const char *what, size_t count, const real *device, const double *want, double most) {
    real *got = download(device, count * sizeof *got);
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        difference = fmax(difference, isnan(got[i]) ? INFINITY : fabs((double)got[i] - want[i]));
        size = fmax(size, fabs(want[i]));
    }
    free(got);
    if (!(difference <= most * size))
        fail_msg("%s: %g of the largest apart (at most %g)", what, difference / size, most);
}

/* Of a tree of datasets, in the order of the weights. */
static double *tree_of(hid_t at, const char *folder, const struct tensors *t) {
    double *all = malloc(t->size * sizeof *all);
    for (int m = 0; m < t->count; m++) {
        char path[128];
        size_t count;
        snprintf(path, sizeof path, "%s/%s", folder, t->list[m].name);
        double *part = vectors_reals(at, path, &count, NULL);
        memcpy(all + t->list[m].offset, part, count * sizeof *part);
        free(part);
    }
    return all;
}

/* The gradient of the denoising loss in g, which leaves positions, and so windows, where they are. */
static void check_gradient(hid_t at, struct score_model *model, const real *weights, struct score_input in,
                           const struct particles *p, const int *neighbour) {
    const size_t n = p->owned, d = (size_t)p->d, size = score_tensors(model)->size,
                 k = (size_t)score_neighbours(model);
    hid_t loss = H5Gopen2(at, "L_dn_g", H5P_DEFAULT);
    const double sigma = vectors_attribute(loss, "sigma");
    double *zeta_g = vectors_reals(at, "zeta_g", NULL, NULL), *g = malloc(n * sizeof *g);
    int *batch = vectors_integers(at, "batch", &in.count, NULL);
    uint32_t *centre = malloc(in.count * sizeof *centre), *list = malloc(in.count * k * sizeof *list);
    real *zeta = malloc(in.count * d * sizeof *zeta);
    for (size_t m = 0; m < in.count; m++) {
        centre[m] = (uint32_t)batch[m];
        for (size_t j = 0; j < k; j++)
            list[m * k + j] = (uint32_t)neighbour[centre[m] * k + j];
        for (size_t a = 0; a < d; a++)
            zeta[m * d + a] = (real)zeta_g[centre[m] * d + a];
    }
    real *on_device = upload(zeta, in.count * d * sizeof *zeta), *gradient = NULL;
    double *term = NULL, *moved[MAX_DIMENSION] = {0}, *want = tree_of(loss, "gradient", score_tensors(model));
    assert_int_equal(cuda->allocate(cuda, size * sizeof(real), (void **)&gradient), STATUS_OK);
    assert_int_equal(cuda->allocate(cuda, in.count * sizeof *term, (void **)&term), STATUS_OK);
    uint32_t *centres = upload(centre, in.count * sizeof *centre),
             *lists = upload(list, in.count * k * sizeof *list);
    in.centre = centres;
    in.neighbour = lists;
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (size_t a = 0; a < d; a++) {
            for (size_t i = 0; i < n; i++)
                g[i] = p->g[a][i] + sign * sigma * zeta_g[i * d + a];
            cuda->release(cuda, moved[a]);
            moved[a] = upload(g, n * sizeof *g);
        }
        in.g = moved;
        assert_int_equal(score_denoising(model, weights, &in, on_device, NULL, sign, sigma,
                                         1.0 / (double)in.count, term, gradient, NULL),
                         STATUS_OK);
    }
    near("gradient", size, gradient, want, GRADIENT);
    void *const device[] = {on_device, gradient, term, centres, lists, moved[0], moved[1], moved[2]};
    for (size_t m = 0; m < sizeof device / sizeof *device; m++)
        cuda->release(cuda, device[m]);
    void *const host[] = {zeta_g, g, batch, centre, list, zeta, want};
    for (size_t m = 0; m < sizeof host / sizeof *host; m++)
        free(host[m]);
    H5Gclose(loss);
}

static void check_case(hid_t at, const char *name) {
    (void)name;
    hid_t network = H5Gopen2(at, "network", H5P_DEFAULT);
    const struct network_parameters parameters = {.kind = NETWORK_WINDOW,
                                                  .width = (int)vectors_attribute(network, "W"),
                                                  .hidden = (int)vectors_attribute(network, "H"),
                                                  .feed_forward = (int)vectors_attribute(network, "F"),
                                                  .heads = (int)vectors_attribute(network, "heads"),
                                                  .blocks = (int)vectors_attribute(network, "blocks"),
                                                  .layers = (int)vectors_attribute(network, "layers"),
                                                  .neighbours = (int)vectors_attribute(network, "n")};
    const int d = (int)vectors_attribute(network, "d");
    H5Gclose(network);
    const size_t n = (size_t)vectors_attribute(at, "N"), rows = n * (size_t)d;
    const struct box box = vectors_box(at, d);
    double *x = vectors_reals(at, "x", NULL, NULL), *g = vectors_reals(at, "g", NULL, NULL);
    double *want_s = vectors_reals(at, "s_g", NULL, NULL),
           *want_div = vectors_reals(at, "div_g_s_g", NULL, NULL);
    int *neighbour = vectors_integers(at, "neighbour_index", NULL, NULL);
    struct particles *p = vectors_particles(&box, n, x, g);
    struct score_model *model = NULL;
    assert_int_equal(score_create(cuda, &parameters, d, d, ROWS, &model), STATUS_OK);
    const size_t size = score_tensors(model)->size;
    double *tree = tree_of(at, "weights", score_tensors(model));
    real *narrow = malloc(size * sizeof *narrow), *s = NULL, *div = NULL;
    for (size_t i = 0; i < size; i++)
        narrow[i] = (real)tree[i];
    uint32_t *centre = malloc(n * sizeof *centre);
    for (size_t i = 0; i < n; i++)
        centre[i] = (uint32_t)i;
    uint64_t *q[MAX_DIMENSION] = {0};
    double *propulsion[MAX_DIMENSION] = {0};
    for (int a = 0; a < d; a++) {
        q[a] = upload(p->q[a], n * sizeof *q[a]);
        propulsion[a] = upload(p->g[a], n * sizeof *propulsion[a]);
    }
    real *weights = upload(narrow, size * sizeof *narrow);
    uint32_t *centres = upload(centre, n * sizeof *centre),
             *lists = upload(neighbour, n * (size_t)parameters.neighbours * sizeof *lists);
    assert_int_equal(cuda->allocate(cuda, rows * sizeof *s, (void **)&s), STATUS_OK);
    assert_int_equal(cuda->allocate(cuda, n * sizeof *div, (void **)&div), STATUS_OK);
    const struct score_input in = {.box = &box,
                                   .q = q,
                                   .g = propulsion,
                                   .particles = n,
                                   .count = n,
                                   .centre = centres,
                                   .neighbour = lists};
    assert_int_equal(score_forward(model, weights, &in, s), STATUS_OK);
    near("scores", rows, s, want_s, SCORE);
    assert_int_equal(score_divergence(model, weights, &in, s, div), STATUS_OK);
    near("scores, with divergences", rows, s, want_s, SCORE);
    near("divergences", n, div, want_div, DIVERGENCE);
    check_gradient(at, model, weights, in, p, neighbour);
    void *const device[] = {weights,       centres,       lists,        s, div, q[0], q[1], q[2],
                            propulsion[0], propulsion[1], propulsion[2]};
    for (size_t m = 0; m < sizeof device / sizeof *device; m++)
        cuda->release(cuda, device[m]);
    void *const host[] = {x, g, want_s, want_div, neighbour, tree, narrow, centre};
    for (size_t m = 0; m < sizeof host / sizeof *host; m++)
        free(host[m]);
    particles_destroy(&p);
    score_destroy(&model);
}

static void windows(void **state) {
    (void)state;
    vectors_for_each("network_window.h5", check_case);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows)};
    both_unused();
    return cmocka_run_group_tests(tests, both_open, both_close);
}
