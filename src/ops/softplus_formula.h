/* The pair force f(r) = softplus(2 - r) = log(1 + exp(beta (2 - r))) / beta and its slope, for host and
 * device, in float (suffix _f) and double (suffix _d).
 *
 * Only + - x / and explicit fma are used, nothing of libm, so that every compiler and every SIMD width
 * gives the same bits. With t = beta (2 - r) and e = exp(-|t|):
 *     softplus = (max(t, 0) + log(1 + e)) / beta,       f' = -1/(1 + exp(-t))
 * exp: t = n ln 2 + s, |s| <= ln 2 / 2, Taylor series in s (float: degree 7, 5e-9; double: degree 13,
 * 4e-18). log(1 + e) = 2 atanh(e / (2 + e)), argument at most 1/3, odd series (float: to power 17,
 * 1e-9; double: to power 33, 2e-18).
 */
#ifndef EPFLOW_OPS_SOFTPLUS_FORMULA_H
#define EPFLOW_OPS_SOFTPLUS_FORMULA_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define FORMULA static __host__ __device__ __forceinline__
#else
#define FORMULA static inline __attribute__((always_inline))
#endif

/* exp(x) for x in [-80, 0]. */
FORMULA float exp_negative_f(float x) {
    const float round_to_integer = 12582912.0f; /* 1.5 * 2^23 */
    float shifted = fmaf(x, 1.44269504f, round_to_integer);
    float n = shifted - round_to_integer;
    float s = fmaf(n, -0.693359375f, x); /* ln 2 in two parts */
    s = fmaf(n, 2.12194440e-4f, s);
    float p = 1.98412698e-4f;
    p = fmaf(p, s, 1.38888889e-3f);
    p = fmaf(p, s, 8.33333333e-3f);
    p = fmaf(p, s, 4.16666667e-2f);
    p = fmaf(p, s, 1.66666667e-1f);
    p = fmaf(p, s, 0.5f);
    p = fmaf(p, s, 1.0f);
    p = fmaf(p, s, 1.0f);
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
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
    float s = e / (2.0f + e), s2 = s * s;
    float p = 1.0f / 17;
    p = fmaf(p, s2, 1.0f / 15);
    p = fmaf(p, s2, 1.0f / 13);
    p = fmaf(p, s2, 1.0f / 11);
    p = fmaf(p, s2, 1.0f / 9);
    p = fmaf(p, s2, 1.0f / 7);
    p = fmaf(p, s2, 1.0f / 5);
    p = fmaf(p, s2, 1.0f / 3);
    p = fmaf(p, s2, 1.0f);
    return 2.0f * s * p;
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

/* f(r). */
FORMULA float pair_force_f(float r, float beta, float inverse_beta) {
    float t = beta * (2.0f - r), a = t < 0 ? t : -t;
    float e = exp_negative_f(a > -80.0f ? a : -80.0f);
    return ((t > 0 ? t : 0.0f) + log1p_unit_f(e)) * inverse_beta;
}

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
