/* GELU, tanh form, for host and device: y = x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3). With the
 * logistic function this is x logistic(2 u), and one exponential gives value and slope. */
#ifndef EPFLOW_OPS_GELU_FORMULA_H
#define EPFLOW_OPS_GELU_FORMULA_H

#include "base/real.h"
#include "ops/softplus_formula.h"

/* p = logistic(t) and 1 - p, each to full relative accuracy. */
FORMULA void logistic_pair(real t, real *p, real *rest) {
#ifdef EPFLOW_FLOAT64
    real a = t < 0 ? t : -t, e = exp_negative_d(a > -700 ? a : -700);
#else
    real a = t < 0 ? t : -t, e = exp_negative_f(a > -80 ? a : -80);
#endif
    real inverse = 1 / (1 + e), small = e * inverse;
    *p = t >= 0 ? inverse : small;
    *rest = t >= 0 ? small : inverse;
}

FORMULA real gelu_of(real x) {
    const real twice = (real)1.5957691216057308, cubic = (real)0.044715; /* 2 sqrt(2/pi) */
    real p, rest;
    logistic_pair(twice * (x + cubic * x * x * x), &p, &rest);
    return x * p;
}

FORMULA real gelu_slope(real x) {
    const real twice = (real)1.5957691216057308, cubic = (real)0.044715;
    real p, rest;
    logistic_pair(twice * (x + cubic * x * x * x), &p, &rest);
    return p + x * p * rest * twice * (1 + 3 * cubic * x * x);
}

/* Second derivative: with t the argument of the logistic function p and q = 1 - p,
 * y'' = 2 p q t' + x p q [(q - p) t'^2 + t'']. */
FORMULA real gelu_curvature(real x) {
    const real twice = (real)1.5957691216057308, cubic = (real)0.044715;
    real p, rest;
    logistic_pair(twice * (x + cubic * x * x * x), &p, &rest);
    const real first = twice * (1 + 3 * cubic * x * x), second = twice * 6 * cubic * x;
    return p * rest * (2 * first + x * ((rest - p) * first * first + second));
}

#endif
