/* One step of RAdam (theory.md section 4) on one weight, for host and device, and the numbers that all weights share. */
#ifndef EPFLOW_OPS_RADAM_FORMULA_H
#define EPFLOW_OPS_RADAM_FORMULA_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/formula.h"
#include "base/real.h"

struct radam_step {
    bool rectified; /* the second moment is used */
    real clip, step, keep_mu, new_mu, keep_nu, new_nu, unbias_mu, unbias_nu, factor, keep, fresh;
};

/* Of step t (from 1); arguments as in ops.h. */
static inline struct radam_step radam_prepare(int64_t t, bool rectify, double b2, double rate, double scale,
                                              double decay) {
    const double b1 = 0.9, threshold = 5, power = pow(b2, (double)t);
    const double rho_end = 2 / (1 - b2) - 1, rho = rho_end - 2 * (double)t * power / (1 - power);
    struct radam_step s;
    s.rectified = !rectify || rho >= threshold;
    s.unbias_mu = (real)(1 / (1 - pow(b1, (double)t)));
    s.unbias_nu = (real)(1 / (1 - power));
    s.factor = rectify && s.rectified
                   ? (real)sqrt((rho - 4) * (rho - 2) * rho_end / ((rho_end - 4) * (rho_end - 2) * rho))
                   : 1;
    s.clip = (real)scale;
    s.step = (real)rate;
    s.keep_mu = (real)b1;
    s.new_mu = (real)(1 - b1);
    s.keep_nu = (real)b2;
    s.new_nu = (real)(1 - b2);
    s.keep = (real)decay;
    s.fresh = (real)(1 - decay);
    return s;
}

FORMULA real radam_root(real x) {
#ifdef EPFLOW_FLOAT64
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

FORMULA void radam_weight(const struct radam_step *s, real gradient, real *mu, real *nu, real *theta, real *average) {
    const real least = (real)1e-8, g = s->clip * gradient;
    *mu = s->keep_mu * *mu + s->new_mu * g;
    *nu = s->keep_nu * *nu + s->new_nu * g * g;
    const real momentum = s->unbias_mu * *mu;
    const real adapted = s->factor * momentum / (radam_root(s->unbias_nu * *nu) + least);
    *theta -= s->step * (s->rectified ? adapted : momentum);
    *average = s->keep * *average + s->fresh * *theta;
}

#endif
