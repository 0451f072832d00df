/* The windowed transformer at odd shapes, without reference data: the divergence against differences in a particle's
 * own g, the gradient against differences along a random direction, both independent of how windows are cut into
 * chunks; and the law of the initial weights. */
#include "learn/score.h"
#include "every_loops.h"

/* Differences of float32 scores say little: they are taken in the float64 build only. */
#ifdef EPFLOW_FLOAT64
enum { COMPARE_DIFFERENCES = 1 };
static const double ROUNDING = 1e-13;
#else
enum { COMPARE_DIFFERENCES = 0 };
static const double ROUNDING = 2e-5;
#endif
enum { N = 90, COUNT = 83 };
static const double SIGMA = 0.5;

static uint32_t drawn;

static double draw(void) { /* in (-1, 1) */
    uint32_t word[4];
    rng_words(11, STREAM_PROBE, drawn++, 0, 0, word);
    return 2 * rng_uniform(word[0]) - 1;
}

struct shape {
    int d, width, hidden, feed_forward, heads, blocks, layers, neighbours, rows;
};

/* A gas of N particles, COUNT windows of arbitrary neighbours, a network. */
struct scene {
    struct box box;
    uint64_t *q[MAX_DIMENSION];
    double *g[MAX_DIMENSION];
    uint32_t centre[COUNT], *neighbour;
    real *weights, *zeta;
    size_t size, d, k;
    struct score_input in;
};

static struct score_model *create(const struct shape *s, int rows) {
    const struct network_parameters p = {.kind = NETWORK_WINDOW,
                                         .width = s->width,
                                         .hidden = s->hidden,
                                         .feed_forward = s->feed_forward,
                                         .heads = s->heads,
                                         .blocks = s->blocks,
                                         .layers = s->layers,
                                         .neighbours = s->neighbours};
    struct score_model *model = NULL;
    assert_int_equal(score_create(ops_cpu(), &p, s->d, s->d, rows, &model), STATUS_OK);
    return model;
}

static void scene_create(struct scene *c, const struct shape *s, const struct score_model *model) {
    *c = (struct scene){.box = {.d = s->d, .periodic = true, .side = {10, 20, 30}}};
    c->size = score_tensors(model)->size;
    c->d = (size_t)s->d;
    c->k = (size_t)s->neighbours;
    c->weights = malloc(c->size * sizeof *c->weights);
    c->zeta = malloc(COUNT * c->d * sizeof *c->zeta);
    c->neighbour = malloc(COUNT * c->k * sizeof *c->neighbour);
    score_initialise(model, 5, c->weights);
    for (size_t i = 0; i < c->size; i++)
        c->weights[i] += (real)(0.1 * draw()); /* no bias is 0 */
    for (size_t i = 0; i < COUNT * c->d; i++)
        c->zeta[i] = (real)draw();
    for (int a = 0; a < s->d; a++) {
        c->q[a] = malloc(N * sizeof *c->q[a]);
        c->g[a] = malloc(N * sizeof *c->g[a]);
        for (int i = 0; i < N; i++) {
            c->q[a][i] = (uint64_t)((draw() + 1) * 0x1p63);
            c->g[a][i] = 1.5 * draw();
        }
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        c->centre[i] = i * 37 % N;
        for (size_t m = 0; m < c->k; m++)
            c->neighbour[i * c->k + m] = (c->centre[i] + 1 + (uint32_t)m * 7) % N;
    }
    c->in = (struct score_input){.box = &c->box,
                                 .q = c->q,
                                 .g = c->g,
                                 .particles = N,
                                 .count = COUNT,
                                 .centre = c->centre,
                                 .neighbour = c->neighbour};
}

static void scene_destroy(struct scene *c) {
    free(c->weights);
    free(c->zeta);
    free(c->neighbour);
    for (size_t a = 0; a < c->d; a++) {
        free(c->q[a]);
        free(c->g[a]);
    }
}

/* L_dn at these weights, and its gradient unless NULL. For the test the configuration is not moved. */
static double loss(struct score_model *model, const struct scene *c, const real *weights, real *gradient) {
    double term[COUNT] = {0}, sum = 0;
    real *own = calloc(c->size, sizeof *own);
    for (int sign = 1; sign >= -1; sign -= 2)
        assert_int_equal(
            score_denoising(model, weights, &c->in, c->zeta, NULL, sign, SIGMA, 1.0 / COUNT, term, own, NULL),
            STATUS_OK);
    for (int i = 0; i < COUNT; i++)
        sum += term[i] / COUNT;
    if (gradient)
        memcpy(gradient, own, c->size * sizeof *own);
    free(own);
    return sum;
}

static void check_divergence(struct score_model *model, struct scene *c, const real *divergence) {
    const double step = 1e-5;
    for (size_t i = 0; i < COUNT; i += 11) {
        struct score_input one = c->in;
        double sum = 0;
        one.count = 1;
        one.centre += i;
        one.neighbour += i * c->k;
        for (size_t a = 0; a < c->d; a++) {
            real plus[MAX_DIMENSION], minus[MAX_DIMENSION];
            double *g = &c->g[a][c->centre[i]], before = *g;
            *g = before + step;
            assert_int_equal(score_forward(model, c->weights, &one, plus), STATUS_OK);
            *g = before - step;
            assert_int_equal(score_forward(model, c->weights, &one, minus), STATUS_OK);
            *g = before;
            sum += ((double)plus[a] - (double)minus[a]) / (2 * step);
        }
        assert_below(fabs((double)divergence[i] - sum), 1e-8);
    }
}

static void check_gradient(struct score_model *model, const struct scene *c, const real *gradient) {
    const double step = 1e-6;
    real *moved = malloc(c->size * sizeof *moved);
    double *direction = malloc(c->size * sizeof *direction), along = 0, end[2];
    for (size_t i = 0; i < c->size; i++) {
        direction[i] = draw();
        along += direction[i] * (double)gradient[i];
    }
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < c->size; i++)
            moved[i] = (real)((double)c->weights[i] + (side == 0 ? step : -step) * direction[i]);
        end[side] = loss(model, c, moved, NULL);
    }
    assert_below(fabs(along - (end[0] - end[1]) / (2 * step)) / fabs(along), 1e-7);
    free(moved);
    free(direction);
}

/* Largest difference in units of the largest element. */
static double difference(size_t count, const real *a, const real *b) {
    double error = 0, largest = 1e-300;
    for (size_t i = 0; i < count; i++) {
        error = fmax(error, fabs((double)a[i] - (double)b[i]));
        largest = fmax(largest, fabs((double)b[i]));
    }
    return error / largest;
}

static void check_shape(const struct shape *s) {
    struct score_model *small = create(s, s->rows), *whole = create(s, N * (s->neighbours + 1));
    struct scene c;
    scene_create(&c, s, small);
    const size_t rows = COUNT * c.d;
    real *s1 = malloc(rows * sizeof *s1), *s2 = malloc(rows * sizeof *s2), div1[COUNT], div2[COUNT];
    real *gradient1 = malloc(c.size * sizeof *gradient1), *gradient2 = malloc(c.size * sizeof *gradient2);
    assert_int_equal(score_forward(small, c.weights, &c.in, s1), STATUS_OK);
    assert_int_equal(score_divergence(whole, c.weights, &c.in, s2, div2), STATUS_OK);
    assert_below(difference(rows, s1, s2), ROUNDING);
    assert_int_equal(score_divergence(small, c.weights, &c.in, s1, div1), STATUS_OK);
    assert_below(difference(COUNT, div1, div2), ROUNDING);
    loss(small, &c, c.weights, gradient1);
    loss(whole, &c, c.weights, gradient2);
    assert_below(difference(c.size, gradient1, gradient2), ROUNDING);
    if (COMPARE_DIFFERENCES) {
        check_divergence(small, &c, div1);
        check_gradient(small, &c, gradient1);
    }
    c.in.count = 0;
    assert_int_equal(score_divergence(small, c.weights, &c.in, s1, div1), STATUS_OK);
    free(s1);
    free(s2);
    free(gradient1);
    free(gradient2);
    scene_destroy(&c);
    score_destroy(&small);
    score_destroy(&whole);
}

static void odd_shapes(void **state) {
    (void)state;
    static const struct shape shapes[] = {
        /* d, W, H, F, heads, blocks, layers, n, rows */
        {2, 8, 6, 7, 1, 1, 1, 3, 1},     {1, 4, 3, 5, 2, 2, 1, 5, 40},      {3, 6, 5, 4, 3, 3, 2, 4, 13},
        {2, 10, 9, 11, 5, 1, 3, 7, 100}, {1, 6, 1, 1, 1, 1, 1, 1, 3},       {2, 32, 32, 32, 4, 2, 2, 16, 64},
        {3, 12, 7, 8, 2, 2, 5, 2, 9},    {2, 96, 80, 72, 2, 2, 2, 40, 200},
    };
    for (size_t m = 0; m < sizeof shapes / sizeof *shapes; m++)
        check_shape(&shapes[m]);
}

/* Moments of one tensor; its largest element in units of its sd. */
static void moments(const struct tensor *t, const real *weights, double *mean, double *sd, double *largest) {
    const size_t count = (size_t)t->rows * (size_t)t->columns;
    double sum = 0, square = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        double w = (double)weights[t->offset + i];
        sum += w;
        square += w * w;
        most = fmax(most, fabs(w));
    }
    *mean = sum / (double)count;
    *sd = sqrt(square / (double)count);
    *largest = most / *sd;
}

static void initial_weights(void **state) {
    (void)state;
    const struct shape paper = {2, 256, 256, 256, 4, 4, 4, 64, 65};
    struct score_model *model = create(&paper, 65);
    const struct tensors *t = score_tensors(model);
    assert_int_equal(t->size, 2308866); /* theory.md section 3 */
    real *weights = malloc(t->size * sizeof *weights), *again = malloc(t->size * sizeof *again);
    score_initialise(model, 3, weights);
    score_initialise(model, 3, again);
    assert_memory_equal(weights, again, t->size * sizeof *weights);
    score_initialise(model, 4, again);
    assert_true(weights[0] != again[0]);
    for (int m = 0; m < t->count; m++) {
        const struct tensor *tensor = &t->list[m];
        const char *kind = strrchr(tensor->name, '/') + 1;
        double mean, sd, largest;
        moments(tensor, weights, &mean, &sd, &largest);
        if (strcmp(kind, "w") != 0) { /* biases and offsets 0, scales 1 */
            assert_true(sd == (strcmp(kind, "scale") == 0 ? 1 : 0));
            continue;
        }
        const double count = (double)tensor->rows * tensor->columns, fan_in = tensor->rows;
        const double expected = (strstr(tensor->name, "/attention/") ? 1 : 0.8796) / sqrt(fan_in);
        assert_below(fabs(mean) / expected, 5 / sqrt(count));
        assert_below(fabs(sd / expected - 1), 5 / sqrt(2 * count));
        if (count > 1e4) /* cut at 2 sd of the uncut normal number */
            assert_below(fabs(largest - 2 / 0.8796), 0.05);
    }
    free(weights);
    free(again);
    score_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_shapes),
        cmocka_unit_test(initial_weights),
    };
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, NULL);
}
