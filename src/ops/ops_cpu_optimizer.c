/* Loss and optimizer on the CPU: single passes over arrays. Sums that decide something (the loss, the norm of
 * the gradient) are float64. */
#include "ops/network_loops.h"

#include "ops/radam_formula.h"

static void denoising(const struct ops *ops, size_t count, int d, const real *s, const real *zeta,
                      const real *weight, double sign, double sigma, double scale, double *term, real *ds) {
    (void)ops;
    const double slope = sign / sigma;
    for (size_t i = 0; i < count; i++) {
        const double factor = weight ? (double)weight[i] : 1;
        double sum = 0;
        for (size_t m = i * (size_t)d; m < (i + 1) * (size_t)d; m++) {
            const double own = (double)s[m], pull = slope * (double)zeta[m];
            sum += own * (own + 2 * pull);
            ds[m] = (real)(scale * factor * (own + pull));
        }
        term[i] += factor * sum / 2;
    }
}

static double sum_squares(const struct ops *ops, size_t count, const real *x) {
    (void)ops;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sum;
}

static void radam(const struct ops *ops, size_t count, int64_t t, bool rectify, double b2, double rate,
                  double scale, double decay, const real *gradient, real *mu, real *nu, real *theta,
                  real *average) {
    (void)ops;
    const struct radam_step step = radam_prepare(t, rectify, b2, rate, scale, decay);
    for (size_t i = 0; i < count; i++)
        radam_weight(&step, gradient[i], mu + i, nu + i, theta + i, average + i);
}

void FILL(optimizer)(struct ops *table) {
    table->denoising = denoising;
    table->sum_squares = sum_squares;
    table->radam = radam;
}
