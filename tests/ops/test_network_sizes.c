/* The windowed network at sizes that the reference data do not have: one block, one hidden layer, d = 1, one
 * neighbour, odd widths. Divergence and gradient against central differences of the score and of the loss,
 * any chunking against any other, and a window that lacks a neighbour. */
#include "learn/score.h"
#include "every_loops.h"

enum { PARTICLES = 11, COUNT = 5 };
static const double SIGMA = 0.1, STEP = 1e-5;

struct net {
    struct box box;
    struct network_parameters p;
    struct score_model *model;
    size_t size;
    real *weights;
    uint64_t q[MAX_DIMENSION][PARTICLES], *q_axis[MAX_DIMENSION];
    double g[MAX_DIMENSION][PARTICLES], *g_axis[MAX_DIMENSION];
    uint32_t centre[COUNT], neighbour[COUNT * PARTICLES];
    real zeta[COUNT * MAX_DIMENSION];
};

static double uniform(uint32_t item, uint64_t step) {
    uint32_t word[4];
    rng_words(3, STREAM_PROBE, item, step, 0, word);
    return 2 * rng_uniform(word[0]) - 1;
}

static void create(const struct network_parameters *p, int d, int rows, struct net *n) {
    *n = (struct net){.box = {.d = d, .periodic = true, .side = {7, 5, 6}}, .p = *p};
    assert_int_equal(score_create(ops_cpu(), p, d, d, rows, &n->model), STATUS_OK);
    n->size = score_tensors(n->model)->size;
    n->weights = malloc(n->size * sizeof *n->weights);
    score_initialise(n->model, 5, n->weights);
    for (size_t i = 0; i < n->size; i++) /* biases and offsets too */
        n->weights[i] += (real)(0.1 * uniform((uint32_t)i, 0));
    for (int a = 0; a < d; a++) {
        n->q_axis[a] = n->q[a];
        n->g_axis[a] = n->g[a];
        for (uint32_t i = 0; i < PARTICLES; i++) {
            n->q[a][i] = (uint64_t)(int64_t)(uniform(i, 10 + (uint64_t)a) * 0x1p63);
            n->g[a][i] = uniform(i, 20 + (uint64_t)a);
        }
    }
    for (uint32_t w = 0; w < COUNT; w++) {
        n->centre[w] = w / 2 * 3; /* some twice */
        for (uint32_t m = 0; m < (uint32_t)p->neighbours; m++)
            n->neighbour[w * (uint32_t)p->neighbours + m] = (n->centre[w] + 1 + m) % PARTICLES;
        for (uint32_t a = 0; a < (uint32_t)d; a++)
            n->zeta[w * (uint32_t)d + a] = (real)uniform(w, 30 + a);
    }
}

static void destroy(struct net *n) {
    score_destroy(&n->model);
    free(n->weights);
}

static struct score_input input_of(const struct net *n) {
    return (struct score_input){.box = &n->box,
                                .q = n->q_axis,
                                .g = n->g_axis,
                                .particles = PARTICLES,
                                .count = COUNT,
                                .centre = n->centre,
                                .neighbour = n->neighbour};
}

static double loss_of(struct net *n, const real *weights, real *gradient) {
    struct score_input in = input_of(n);
    double term[COUNT] = {0}, sum = 0;
    assert_int_equal(
        score_denoising(n->model, weights, &in, n->zeta, NULL, -1, SIGMA, 1.0 / COUNT, term, gradient, NULL),
        STATUS_OK);
    for (int w = 0; w < COUNT; w++)
        sum += term[w] / COUNT;
    return sum;
}

/* A step along random numbers, tensor by tensor, so that no tensor hides behind another. */
static void check_gradient(struct net *n) {
    real *gradient = calloc(n->size, sizeof *gradient), *unused = calloc(n->size, sizeof *unused);
    real *moved = malloc(n->size * sizeof *moved);
    loss_of(n, n->weights, gradient);
    for (int m = 0; m < score_tensors(n->model)->count; m++) {
        const struct tensor *t = &score_tensors(n->model)->list[m];
        const size_t end = t->offset + (size_t)t->rows * (size_t)t->columns;
        double along = 0, loss[2];
        for (int sign = 0; sign < 2; sign++) {
            memcpy(moved, n->weights, n->size * sizeof *moved);
            for (size_t i = t->offset; i < end; i++)
                moved[i] += (real)((sign ? -STEP : STEP) * uniform((uint32_t)i, 40));
            loss[sign] = loss_of(n, moved, unused);
        }
        for (size_t i = t->offset; i < end; i++)
            along += (double)gradient[i] * uniform((uint32_t)i, 40);
        assert_below(fabs((loss[0] - loss[1]) / (2 * STEP) - along) / (1e-2 + fabs(along)), 1e-5);
    }
    free(gradient);
    free(unused);
    free(moved);
}

static void check_divergence(struct net *n) {
    const size_t d = (size_t)n->box.d;
    struct score_input in = input_of(n);
    real s[2][COUNT * MAX_DIMENSION], divergence[COUNT];
    assert_int_equal(score_divergence(n->model, n->weights, &in, s[0], divergence), STATUS_OK);
    for (size_t w = 0; w < COUNT; w++) {
        double sum = 0;
        for (size_t a = 0; a < d; a++) {
            for (int sign = 0; sign < 2; sign++) {
                const double kept = n->g[a][n->centre[w]];
                n->g[a][n->centre[w]] = kept + (sign ? -STEP : STEP);
                assert_int_equal(score_forward(n->model, n->weights, &in, s[sign]), STATUS_OK);
                n->g[a][n->centre[w]] = kept;
            }
            sum += ((double)s[0][w * d + a] - (double)s[1][w * d + a]) / (2 * STEP);
        }
        assert_below(fabs(sum - (double)divergence[w]) / (1e-2 + fabs(sum)), 1e-5);
    }
}

/* One window at a time must give what all at once give. */
static void check_chunks(struct net *n) {
    struct net other;
    create(&n->p, n->box.d, 1, &other);
    real *one = calloc(n->size, sizeof *one), *all = calloc(n->size, sizeof *all);
    assert_below(fabs(loss_of(&other, n->weights, one) - loss_of(n, n->weights, all)), 1e-12);
    for (size_t i = 0; i < n->size; i++)
        assert_below(fabs((double)one[i] - (double)all[i]), 1e-11);
    free(one);
    free(all);
    destroy(&other);
}

static void test_sizes(void **state) {
    (void)state;
    static const struct {
        struct network_parameters p; /* kind, W, H, F, heads, blocks, layers, n */
        int d;
    } size[] = {{{.kind = NETWORK_WINDOW,
                  .width = 2,
                  .hidden = 1,
                  .feed_forward = 1,
                  .heads = 1,
                  .blocks = 1,
                  .layers = 1,
                  .neighbours = 1},
                 1},
                {{.kind = NETWORK_WINDOW,
                  .width = 6,
                  .hidden = 5,
                  .feed_forward = 7,
                  .heads = 3,
                  .blocks = 1,
                  .layers = 1,
                  .neighbours = 4},
                 2},
                {{.kind = NETWORK_WINDOW,
                  .width = 18,
                  .hidden = 9,
                  .feed_forward = 11,
                  .heads = 1,
                  .blocks = 2,
                  .layers = 2,
                  .neighbours = 10},
                 3},
                {{.kind = NETWORK_WINDOW,
                  .width = 4,
                  .hidden = 3,
                  .feed_forward = 20,
                  .heads = 4,
                  .blocks = 3,
                  .layers = 3,
                  .neighbours = 2},
                 1},
                {{.kind = NETWORK_WINDOW,
                  .width = 96,
                  .hidden = 70,
                  .feed_forward = 80,
                  .heads = 2,
                  .blocks = 2,
                  .layers = 1,
                  .neighbours = 7},
                 2}};
    for (size_t m = 0; m < sizeof size / sizeof *size; m++) {
        struct net n;
        create(&size[m].p, size[m].d, 3 * (size[m].p.neighbours + 1),
               &n); /* chunks of three windows of five */
        check_divergence(&n);
        check_gradient(&n);
        check_chunks(&n);
        destroy(&n);
    }
}

static void test_missing_neighbour(void **state) {
    (void)state;
    const struct network_parameters p = {.kind = NETWORK_WINDOW,
                                         .width = 4,
                                         .hidden = 3,
                                         .feed_forward = 5,
                                         .heads = 2,
                                         .blocks = 1,
                                         .layers = 1,
                                         .neighbours = 3};
    struct net n;
    real s[COUNT * 2];
    create(&p, 2, 100, &n);
    struct score_input in = input_of(&n);
    n.neighbour[7] = UINT32_MAX;
    assert_int_equal(score_forward(n.model, n.weights, &in, s), STATUS_FAILURE);
    assert_non_null(strstr(status_message(), "has no neighbour number 2"));
    status_clear();
    n.neighbour[7] = 0;
    assert_int_equal(score_forward(n.model, n.weights, &in, s), STATUS_OK);
    in.count = 0;
    assert_int_equal(score_forward(n.model, n.weights, &in, s), STATUS_OK);
    destroy(&n);
}

/* Theory section 3: standard deviations of the initial weights, and that they depend on the seed alone. */
static void test_initial_weights(void **state) {
    (void)state;
    const struct network_parameters p = {.kind = NETWORK_WINDOW,
                                         .width = 128,
                                         .hidden = 128,
                                         .feed_forward = 128,
                                         .heads = 4,
                                         .blocks = 1,
                                         .layers = 2,
                                         .neighbours = 3};
    struct net n;
    create(&p, 2, 4, &n);
    real *again = malloc(n.size * sizeof *again);
    score_initialise(n.model, 5, n.weights);
    score_initialise(n.model, 5, again);
    assert_memory_equal(again, n.weights, n.size * sizeof *again);
    static const struct {
        const char *name;
        double sd, cut; /* in units of 1/sqrt(fan_in) */
    } tensor[] = {{"embed_x/linear1/w", 0.87962566, 2},
                  {"block0/attention/output/w", 1, 2 / 0.87962566},
                  {"block0/mlp/linear0/w", 0.87962566, 2},
                  {"decoder/linear1/b", 0, 0}};
    for (size_t m = 0; m < sizeof tensor / sizeof *tensor; m++) {
        const struct tensor *t = tensors_find(score_tensors(n.model), tensor[m].name);
        const size_t size = (size_t)t->rows * (size_t)t->columns;
        double square = 0, largest = 0;
        for (size_t i = 0; i < size; i++) {
            double value = (double)n.weights[t->offset + i] * sqrt(t->rows);
            square += value * value;
            largest = fmax(largest, fabs(value));
        }
        assert_below(fabs(sqrt(square / (double)size) - tensor[m].sd), 0.02); /* 16384 numbers: 4 sigma */
        assert_below(largest, tensor[m].cut * 1.000001);
    }
    const struct tensor *scale = tensors_find(score_tensors(n.model), "block0/norm2/scale");
    assert_true(n.weights[scale->offset] == 1);
    free(again);
    destroy(&n);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes), cmocka_unit_test(test_missing_neighbour),
                                       cmocka_unit_test(test_initial_weights)};
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, NULL);
}
