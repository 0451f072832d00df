/* The functions of one number that the response network is made of (theory.md section 7), for host and device:
 *     lg(a) = log(floor + a)/2,   asinh,   silu(a) = a logistic(a)
 * In float32 the logarithm is a polynomial that the compiler turns into SIMD: with x = 2^n m, sqrt(1/2) <= m < sqrt 2,
 * log x = n ln 2 + 2 atanh((m - 1)/(m + 1)), odd series to power 9 (1e-9). */
#ifndef EPFLOW_OPS_RESPONSE_FORMULA_H
#define EPFLOW_OPS_RESPONSE_FORMULA_H

#include "ops/gelu_formula.h"

#ifdef EPFLOW_FLOAT64
FORMULA real root_of(real x) {
    return sqrt(x);
}
FORMULA real log_of(real x) {
    return log(x);
}
#else
FORMULA real root_of(real x) {
    return sqrtf(x);
}
/* x positive and normal. */
FORMULA real log_of(real x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const int32_t n = (bits - 0x3f3504f3) >> 23; /* of the bits of sqrt(1/2) */
    bits -= n * 0x800000;
    float m;
    memcpy(&m, &bits, sizeof m);
    const float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    float p = 1.0f / 9;
    p = fmaf(p, s2, 1.0f / 7);
    p = fmaf(p, s2, 1.0f / 5);
    p = fmaf(p, s2, 1.0f / 3);
    p = fmaf(p, s2, 1.0f);
    return fmaf((float)n, 0.693147181f, 2.0f * s * p);
}
#endif

/* To about 1e-7 absolute in float32; NaN where x x is not finite, whose logarithm would be a number like any other. */
FORMULA real asinh_of(real x) {
    const real size = x < 0 ? -x : x, root = root_of(x * x + 1);
    const real y = log_of(size + root) + (root - root);
    return x < 0 ? -y : y;
}
FORMULA real asinh_slope(real x) {
    return 1 / root_of(x * x + 1);
}

FORMULA real silu_of(real x) {
    real p, rest;
    logistic_pair(x, &p, &rest);
    return x * p;
}
FORMULA real silu_slope(real x) {
    real p, rest;
    logistic_pair(x, &p, &rest);
    return p + x * p * rest;
}

/* f(r) of the pair force and, with it, f'(r). */
FORMULA real pair_force_and_slope(real r, real beta, real *slope) {
    const real t = beta * (2 - r), a = t < 0 ? t : -t;
#ifdef EPFLOW_FLOAT64
    const real e = exp_negative_d(a > -700 ? a : -700), grown = log1p_unit_d(e);
#else
    const real e = exp_negative_f(a > -80 ? a : -80), grown = log1p_unit_f(e);
#endif
    *slope = -(t >= 0 ? 1 : e) / (1 + e);
    return ((t > 0 ? t : 0) + grown) / beta;
}

#endif
