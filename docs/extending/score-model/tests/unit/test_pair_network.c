/* A sum over pairs: of two particles against its formula, and against differences, which are exact for any step: scores
 * are linear in propulsions and in weights, and a denoising loss is quadratic in weights. */
#include <string.h>

#include "every_loops.h"
#include "learn/score.h"

enum { N = 40, K = 7, FUNCTIONS = 5, SIZE = 1 + 3 * FUNCTIONS, D = 3 };
static const double RADIUS = 9, SIGMA = 0.5, ROUNDING = sizeof(real) == 4 ? 2e-5 : 1e-12;

static uint32_t drawn;

static double draw(void) { /* in (-1, 1) */
    uint32_t word[4];
    rng_words(12, STREAM_PROBE, drawn++, 0, 0, word);
    return 2 * rng_uniform(word[0]) - 1;
}

static struct score_model *create(int rows) {
    const struct network_parameters p = {
        .kind = NETWORK_PAIR, .neighbours = K, .functions = FUNCTIONS, .radius = RADIUS};
    struct score_model *model = NULL;
    assert_int_equal(score_create(ops_cpu(), &p, D, D, rows, &model), STATUS_OK);
    assert_int_equal(score_tensors(model)->size, SIZE);
    return model;
}

/* A gas of N particles, each the centre of a window of K others. */
static struct scene {
    struct box box;
    uint64_t q[D][N];
    double g[D][N];
    uint64_t *q_of[MAX_DIMENSION];
    double *g_of[MAX_DIMENSION];
    uint32_t centre[N], neighbour[N][K];
    real weights[SIZE], zeta[N * D];
    struct score_input in;
} c;

static void make_scene(void) {
    c.box = (struct box){.d = D, .periodic = true, .side = {10, 11, 12}};
    for (size_t a = 0; a < D; a++) {
        c.q_of[a] = c.q[a];
        c.g_of[a] = c.g[a];
    }
    for (uint32_t i = 0; i < N; i++) {
        c.centre[i] = i;
        for (uint32_t m = 0; m < K; m++)
            c.neighbour[i][m] = (i + 1 + 5 * m) % N;
        for (size_t a = 0; a < D; a++) {
            c.q[a][i] = (uint64_t)((draw() + 1) * 0x1p63);
            c.g[a][i] = draw();
            c.zeta[i * D + a] = (real)draw();
        }
    }
    for (size_t m = 0; m < SIZE; m++)
        c.weights[m] = (real)draw();
    c.in = (struct score_input){.box = &c.box,
                                .q = c.q_of,
                                .g = c.g_of,
                                .particles = N,
                                .count = N,
                                .centre = c.centre,
                                .neighbour = c.neighbour[0]};
}

/* The function that part (0 a, 1 b, 2 c) is of the distance, from its values at multiples of RADIUS/FUNCTIONS. */
static double function(int part, double r) {
    const double place = r / RADIUS * FUNCTIONS;
    const int below = (int)place;
    const real *value = c.weights + 1 + part * FUNCTIONS;
    if (below >= FUNCTIONS)
        return 0;
    const double next = below + 1 < FUNCTIONS ? (double)value[below + 1] : 0;
    return (double)value[below] + (place - below) * (next - (double)value[below]);
}

static void scores_are_the_formula(void **state) {
    (void)state;
    struct score_model *model = create(100);
    real s[N * D];
    assert_int_equal(score_forward(model, c.weights, &c.in, s), STATUS_OK);
    for (size_t i = 0; i < N; i++) {
        double want[D];
        for (size_t a = 0; a < D; a++)
            want[a] = (double)c.weights[0] * c.g[a][i];
        for (size_t m = 0; m < K; m++) {
            const size_t j = c.neighbour[i][m];
            double x[D], r = 0, along = 0;
            for (size_t a = 0; a < D; a++) {
                x[a] = (double)(int64_t)(c.q[a][i] - c.q[a][j]) * (c.box.side[a] * 0x1p-64);
                r += x[a] * x[a];
            }
            r = sqrt(r);
            for (size_t a = 0; a < D; a++)
                along += x[a] / r * (c.g[a][i] - c.g[a][j]);
            for (size_t a = 0; a < D; a++)
                want[a] += function(0, r) * x[a] / r + function(1, r) * (c.g[a][i] - c.g[a][j]) +
                           function(2, r) * along * x[a] / r;
        }
        for (size_t a = 0; a < D; a++)
            assert_below(fabs((double)s[i * D + a] - want[a]), 10 * ROUNDING);
    }
    score_destroy(&model);
}

static void divergences_are_differences(void **state) {
    (void)state;
    struct score_model *model = create(100), *by_one = create(1);
    real s[N * D], again[N * D], divergence[N], moved[2][N * D], div_again[N];
    assert_int_equal(score_divergence(model, c.weights, &c.in, s, divergence), STATUS_OK);
    for (size_t i = 0; i < N; i++) {
        double sum = 0;
        for (size_t a = 0; a < D; a++) {
            for (int side = 0; side < 2; side++) {
                const double before = c.g[a][i];
                c.g[a][i] += side == 0 ? 1 : -1;
                assert_int_equal(score_forward(model, c.weights, &c.in, moved[side]), STATUS_OK);
                c.g[a][i] = before;
            }
            sum += ((double)moved[0][i * D + a] - (double)moved[1][i * D + a]) / 2;
        }
        assert_below(fabs((double)divergence[i] - sum), 10 * ROUNDING);
    }
    assert_int_equal(score_divergence(by_one, c.weights, &c.in, again, div_again), STATUS_OK);
    for (size_t m = 0; m < N * D; m++)
        assert_below(fabs((double)again[m] - (double)s[m]), ROUNDING);
    for (size_t i = 0; i < N; i++)
        assert_below(fabs((double)div_again[i] - (double)divergence[i]), ROUNDING);
    score_destroy(&model);
    score_destroy(&by_one);
}

static double loss(struct score_model *model, const real *weights, real *gradient) {
    double term[N] = {0}, sum = 0;
    for (int sign = 1; sign >= -1; sign -= 2)
        assert_int_equal(
            score_denoising(model, weights, &c.in, c.zeta, NULL, sign, SIGMA, 1.0 / N, term, gradient, NULL),
            STATUS_OK);
    for (int i = 0; i < N; i++)
        sum += term[i] / N;
    return sum;
}

static void gradients_are_differences(void **state) {
    (void)state;
    struct score_model *model = create(20);
    real gradient[SIZE] = {0}, unused[SIZE], moved[SIZE];
    loss(model, c.weights, gradient);
    for (size_t m = 0; m < SIZE; m++) {
        double end[2];
        for (int side = 0; side < 2; side++) {
            memcpy(moved, c.weights, sizeof moved);
            moved[m] += side == 0 ? (real)0.5 : (real)-0.5;
            end[side] = loss(model, moved, unused);
        }
        assert_below(fabs((double)gradient[m] - (end[0] - end[1])), 100 * ROUNDING);
    }
    score_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scores_are_the_formula),
                                       cmocka_unit_test(divergences_are_differences),
                                       cmocka_unit_test(gradients_are_differences)};
    make_scene();
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, NULL);
}
