/* The pair force f(r) = softplus(2 - r) = log(1 + exp(beta (2 - r))) / beta and its slope, for host and
 * device, in float (suffix _f) and double (suffix _d).
 *
 * Only + - x / and explicit fma are used, nothing of libm, so that every compiler and every SIMD width
 * gives the same bits. With t = beta (2 - r) and e = exp(-|t|):
 *     softplus = (max(t, 0) + log(1 + e)) / beta,       f' = -1/(1 + exp(-t))
 * exp: t = n ln 2 + s, |s| <= ln 2 / 2, a polynomial in s (float: the best of degree 6, 4e-9; double: Taylor of
 * degree 13, 4e-18). log(1 + e): float: e plus e^2 times the best polynomial of degree 8, 6e-9, by pairs, so that
 * processors need not wait for one product after the other; double: 2 atanh(e / (2 + e)), argument at most 1/3, odd
 * series to power 33, 2e-18. The float force is within 2 units in the last place of the exact one
 * (tests/ops/test_pair_force.c).
 */
#ifndef EPFLOW_OPS_SOFTPLUS_FORMULA_H
#define EPFLOW_OPS_SOFTPLUS_FORMULA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/formula.h"

#define ROUND_F 12582912.0f /* 1.5 * 2^23: adding it leaves the nearest integer in the low bits */

/* 2^n exp(s) for |s| <= ln 2 / 2 and shifted = n + ROUND_F. */
FORMULA float exp_of_rest_f(float shifted, float s) {
    const float s2 = s * s, low = fmaf(0.1666652113199234f, s, 0.4999999403953552f);
    float high = fmaf(0.00836874544620514f, s, 0.04166838899254799f);
    high = fmaf(0.0013814540579915047f, s2, high);
    float p = fmaf(high, s2, low);
    p = fmaf(p, s, 1.0f);
    p = fmaf(p, s, 1.0f);
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3f800000u;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* exp(x) for x in [-80, 0]. */
FORMULA float exp_negative_f(float x) {
    float shifted = fmaf(x, 1.44269504f, ROUND_F);
    float n = shifted - ROUND_F;
    float s = fmaf(n, -0.693359375f, x); /* ln 2 in two parts */
    s = fmaf(n, 2.12194440e-4f, s);
    return exp_of_rest_f(shifted, s);
}

/* exp(x) for x in [-700, 0]. */
FORMULA double exp_negative_d(double x) {
    const double round_to_integer = 6755399441055744.0; /* 1.5 * 2^52 */
    double shifted = fma(x, 1.4426950408889634, round_to_integer);
    double n = shifted - round_to_integer;
    double s = fma(n, -0.69314718036912382, x);
    s = fma(n, -1.9082149292705877e-10, s);
    double p = 1.6059043836821613e-10; /* 1/13! */
    p = fma(p, s, 2.0876756987868099e-9);
    p = fma(p, s, 2.5052108385441719e-8);
    p = fma(p, s, 2.7557319223985891e-7);
    p = fma(p, s, 2.7557319223985891e-6);
    p = fma(p, s, 2.4801587301587302e-5);
    p = fma(p, s, 1.9841269841269841e-4);
    p = fma(p, s, 1.3888888888888889e-3);
    p = fma(p, s, 8.3333333333333333e-3);
    p = fma(p, s, 4.1666666666666667e-2);
    p = fma(p, s, 1.6666666666666667e-1);
    p = fma(p, s, 0.5);
    p = fma(p, s, 1.0);
    p = fma(p, s, 1.0);
    int64_t bits = ((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* log(1 + e) for e in [0, 1]. */
FORMULA float log1p_unit_f(float e) {
    const float e2 = e * e, e4 = e2 * e2;
    float p01 = fmaf(0.33330512046813965f, e, -0.4999993145465851f);
    float p23 = fmaf(0.19695401191711426f, e, -0.24958588182926178f);
    float p45 = fmaf(0.10680557042360306f, e, -0.15355397760868073f);
    float p67 = fmaf(0.020204594358801842f, e, -0.05766446143388748f);
    float p03 = fmaf(p23, e2, p01), p47 = fmaf(p67, e2, p45);
    p47 = fmaf(-0.00331847439520061f, e4, p47);
    return fmaf(fmaf(p47, e4, p03), e2, e);
}

FORMULA double log1p_unit_d(double e) {
    double s = e / (2.0 + e), s2 = s * s;
    double p = 1.0 / 33;
    p = fma(p, s2, 1.0 / 31);
    p = fma(p, s2, 1.0 / 29);
    p = fma(p, s2, 1.0 / 27);
    p = fma(p, s2, 1.0 / 25);
    p = fma(p, s2, 1.0 / 23);
    p = fma(p, s2, 1.0 / 21);
    p = fma(p, s2, 1.0 / 19);
    p = fma(p, s2, 1.0 / 17);
    p = fma(p, s2, 1.0 / 15);
    p = fma(p, s2, 1.0 / 13);
    p = fma(p, s2, 1.0 / 11);
    p = fma(p, s2, 1.0 / 9);
    p = fma(p, s2, 1.0 / 7);
    p = fma(p, s2, 1.0 / 5);
    p = fma(p, s2, 1.0 / 3);
    p = fma(p, s2, 1.0);
    return 2.0 * s * p;
}

/* beta f(r), in two steps: e = exp(-beta |2 - r|), and what follows from it. */
FORMULA float pair_decay_f(float r, float beta, float inverse_beta) {
    float u = 2.0f - r, a = u < 0 ? u : -u, least = -80.0f * inverse_beta;
    a = a > least ? a : least;
    float shifted = fmaf(a, beta * 1.44269504f, ROUND_F);
    float n = shifted - ROUND_F;
    float s = fmaf(beta, a, n * -0.693359375f); /* the product is exact, and so beta a is not rounded */
    s = fmaf(n, 2.12194440e-4f, s);
    return exp_of_rest_f(shifted, s);
}

FORMULA float pair_force_of_decay_f(float r, float e, float beta) {
    float u = 2.0f - r;
    return fmaf(beta, u > 0 ? u : 0.0f, log1p_unit_f(e));
}

FORMULA float pair_force_f(float r, float beta, float inverse_beta) {
    return pair_force_of_decay_f(r, pair_decay_f(r, beta, inverse_beta), beta);
}

/* f(r). */
FORMULA double pair_force_d(double r, double beta, double inverse_beta) {
    double t = beta * (2.0 - r), a = t < 0 ? t : -t;
    double e = exp_negative_d(a > -700.0 ? a : -700.0);
    return ((t > 0 ? t : 0.0) + log1p_unit_d(e)) * inverse_beta;
}

/* f'(r). */
FORMULA double pair_slope_d(double r, double beta) {
    double t = beta * (2.0 - r), a = t < 0 ? t : -t;
    double e = exp_negative_d(a > -700.0 ? a : -700.0);
    return -(t >= 0 ? 1.0 : e) / (1.0 + e);
}

#endif
