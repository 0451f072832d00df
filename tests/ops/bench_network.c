/* Particles per second of the network's passes on one core, beside the rate of a large matrix product
 * measured in the same run. Not a test: run it by hand. */
#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/timer.h"
#include "learn/score.h"

static double product_rate(void) {
    enum { ROWS = 1040, WIDTH = 256, TIMES = 40 };
    float *a = calloc(ROWS * WIDTH, 4), *b = calloc(WIDTH * WIDTH, 4), *c = calloc(ROWS * WIDTH, 4);
    double best = 1e9;
    for (int m = 0; m < TIMES; m++) {
        double start = timer_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, WIDTH, WIDTH, 1, a, WIDTH, b, WIDTH, 0,
                    c, WIDTH);
        best = fmin(best, timer_now() - start);
    }
    free(a);
    free(b);
    free(c);
    return 2.0 * ROWS * WIDTH * WIDTH / best;
}

static void bench(const char *name, const struct network_parameters *p, size_t windows, int rows) {
    enum { D = 2, PARTICLES = 4096, REPEATS = 3 };
    const struct ops *ops = ops_cpu();
    struct score_model *model = NULL;
    struct box box = {.d = D, .periodic = true, .side = {160, 160}};
    uint64_t *q[D];
    double *g[D], best[3] = {1e9, 1e9, 1e9};
    if (score_create(ops, p, D, D, rows, &model) != STATUS_OK)
        exit(1);
    const size_t size = score_tensors(model)->size, k = (size_t)p->neighbours;
    real *weights = calloc(size, sizeof *weights), *gradient = calloc(size, sizeof *gradient);
    real *s = calloc(windows * D, sizeof *s), *div = calloc(windows, sizeof *div);
    double *term = calloc(windows, sizeof *term);
    uint32_t *centre = calloc(windows, sizeof *centre), *near = calloc(windows * k, sizeof *near), word[4];
    score_initialise(model, 1, weights);
    for (int a = 0; a < D; a++) {
        q[a] = calloc(PARTICLES, sizeof *q[a]);
        g[a] = calloc(PARTICLES, sizeof *g[a]);
        for (uint32_t i = 0; i < PARTICLES; i++) {
            rng_words(1, STREAM_PROBE, i, (uint64_t)a, 0, word);
            q[a][i] = (uint64_t)word[0] << 32;
            g[a][i] = 2 * rng_uniform(word[1]) - 1;
        }
    }
    for (size_t w = 0; w < windows; w++) {
        rng_words(1, STREAM_PROBE, (uint32_t)w, 9, 0, word);
        centre[w] = word[0] % PARTICLES;
        for (size_t m = 0; m < k; m++)
            near[w * k + m] = (centre[w] + 1 + (uint32_t)m) % PARTICLES;
    }
    struct score_input in = {.box = &box,
                             .q = q,
                             .g = g,
                             .particles = PARTICLES,
                             .count = windows,
                             .centre = centre,
                             .neighbour = near};
    for (int m = 0; m < REPEATS; m++) {
        double t = timer_now();
        score_forward(model, weights, &in, s);
        best[0] = fmin(best[0], timer_now() - t);
        t = timer_now();
        score_divergence(model, weights, &in, s, div);
        best[1] = fmin(best[1], timer_now() - t);
        t = timer_now();
        for (int sign = 1; sign >= -1; sign -= 2)
            score_denoising(model, weights, &in, s, sign, 0.01, 1.0 / (double)windows, term, gradient, NULL);
        best[2] = fmin(best[2], timer_now() - t);
    }
    const double rate = product_rate();
    const struct score_cost cost = score_operations(model);
    const double operations[3] = {cost.forward, cost.divergence, 2 * cost.training};
    static const char *const what[3] = {"forward", "score and divergence", "training step"};
    for (int m = 0; m < 3; m++)
        printf("%-6s %-22s %9.1f particles/s %8.3f ms a particle %7.1f GFLOP/s = %.2f of sgemm (%.1f)\n",
               name, what[m], (double)windows / best[m], 1e3 * best[m] / (double)windows,
               operations[m] * (double)windows / best[m] * 1e-9,
               operations[m] * (double)windows / best[m] / rate, rate * 1e-9);
    score_destroy(&model);
}

int main(int argc, char **argv) {
    const int rows = argc > 1 ? atoi(argv[1]) : 1040;
    const struct network_parameters paper = {.kind = NETWORK_WINDOW,
                                             .width = 256,
                                             .hidden = 256,
                                             .feed_forward = 256,
                                             .heads = 4,
                                             .blocks = 4,
                                             .layers = 4,
                                             .neighbours = 64};
    const struct network_parameters small = {.kind = NETWORK_WINDOW,
                                             .width = 32,
                                             .hidden = 32,
                                             .feed_forward = 32,
                                             .heads = 4,
                                             .blocks = 2,
                                             .layers = 2,
                                             .neighbours = 16};
    bench("small", &small, 2048, rows);
    bench("paper", &paper, 256, rows);
    return 0;
}
