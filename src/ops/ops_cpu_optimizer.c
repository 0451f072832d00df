/* Loss and optimizer on the CPU: single passes over arrays. Sums that decide something (the loss, the norm of
 * the gradient) are float64. */
#include "ops/network_loops.h"

#include "ops/precision.h"

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
    const double b1 = 0.9, threshold = 5, power = pow(b2, (double)t);
    const double rho_end = 2 / (1 - b2) - 1, rho = rho_end - 2 * (double)t * power / (1 - power);
    const bool rectified = !rectify || rho >= threshold;
    const real unbias_mu = (real)(1 / (1 - pow(b1, (double)t))), unbias_nu = (real)(1 / (1 - power));
    const real factor =
        rectify && rectified
            ? (real)sqrt((rho - 4) * (rho - 2) * rho_end / ((rho_end - 4) * (rho_end - 2) * rho))
            : 1;
    const real clip = (real)scale, step = (real)rate, keep_mu = (real)b1, new_mu = (real)(1 - b1);
    const real keep_nu = (real)b2, new_nu = (real)(1 - b2), keep = (real)decay, fresh = (real)(1 - decay);
    const real least = (real)1e-8;
    for (size_t i = 0; i < count; i++) {
        const real g = clip * gradient[i];
        mu[i] = keep_mu * mu[i] + new_mu * g;
        nu[i] = keep_nu * nu[i] + new_nu * g * g;
        const real momentum = unbias_mu * mu[i];
        const real adapted = factor * momentum / (sqrt_real(unbias_nu * nu[i]) + least);
        theta[i] -= step * (rectified ? adapted : momentum);
        average[i] = keep * average[i] + fresh * theta[i];
    }
}

void FILL(optimizer)(struct ops *table) {
    table->denoising = denoising;
    table->sum_squares = sum_squares;
    table->radam = radam;
}
