/* The CUDA table's ops beside the CPU table's: loss and optimizer. */
#include "checks/arrays.h"

static const size_t counts[] = {0, 1, 31, 256, 257, 5000, 140001};
enum { COUNTS = sizeof counts / sizeof *counts };

static void denoising(void) {
    for (int m = 0; m < COUNTS; m++)
        for (int d = 1; d <= 6; d += m < 5 ? 1 : 5)
            for (int weighted = 0; weighted < 2; weighted++) {
                const size_t count = counts[m], all = count * (size_t)d;
                struct both *s = numbers(all, 1), *zeta = numbers(all, 1);
                struct both *weight = weighted ? numbers(count, 2) : NULL, *ds = nothing(all);
                struct both term = both_zero(count * sizeof(double));
                ON_BOTH({
                    ops->denoising(ops, count, d, at(s), at(zeta), at(weight), 1, 0.1, 0.25, at(&term),
                                   at(ds));
                    ops->denoising(ops, count, d, at(s), at(zeta), at(weight), -1, 0.1, 0.25, at(&term),
                                   at(ds));
                });
                both_close_double("denoising, terms", &term,
                                  1e-15 * d);                 /* float64 sums of d terms that cancel */
                both_close_real("denoising, ds", ds, 1.3e-7); /* one rounding */
                both_release(&term);
                release_all();
            }
}

static void squares(void) {
    for (int m = 0; m < COUNTS; m++) {
        struct both *x = numbers(counts[m], 3);
        const double want = both_cpu->sum_squares(both_cpu, counts[m], x->cpu);
        const double got = both_cuda->sum_squares(both_cuda, counts[m], x->cuda);
        both_require(fabs(got - want) <= 1e-13 * want); /* float64, in another order */
        both_require(got == both_cuda->sum_squares(both_cuda, counts[m], x->cuda));
        release_all();
    }
}

static void radam(void) {
    for (int m = 0; m < COUNTS; m++)
        for (int rectify = 0; rectify < 2; rectify++) {
            const size_t n = counts[m];
            struct both *g = numbers(n, 1), *theta = numbers(n, 1), *average = numbers(n, 1);
            struct both mu = both_zero(n * sizeof(real)), nu = both_zero(n * sizeof(real));
            for (int64_t t = 1; t < 9; t++)
                ON_BOTH(ops->radam(ops, n, t, rectify, 0.99, 1e-2, 0.7, 0.9, at(g), at(&mu), at(&nu),
                                   at(theta), at(average)));
            both_close_real("radam, mu", &mu, 5e-7); /* a few roundings each of 8 steps */
            both_close_real("radam, nu", &nu, 5e-7);
            both_close_real("radam, theta", theta, 5e-7);
            both_close_real("radam, average", average, 5e-7);
            both_release(&mu);
            both_release(&nu);
            release_all();
        }
}

static const struct check list[] = {{"denoising", denoising}, {"squares", squares}, {"radam", radam}};
const struct check_group check_optimizer = {"optimizer", sizeof list / sizeof *list, list};
