/* Standard normal numbers from random words by Box and Muller, for host and device.
 *
 * Like the pair force, nothing of libm and only + - x / sqrt and explicit fma: the same bits everywhere.
 * float32 is enough for noise: the largest value is 6.66 (radius from 31 bits), the grain 1e-7.
 */
#ifndef EPFLOW_OPS_NORMAL_FORMULA_H
#define EPFLOW_OPS_NORMAL_FORMULA_H

#include "ops/softplus_formula.h"

/* log(x) for x in (0, 1]: x = m 2^n with m in [1/sqrt 2, sqrt 2), log m = 2 atanh((m-1)/(m+1)). */
FORMULA float log_unit_f(float x) {
    int32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int32_t n = (bits - 0x3f3504f3) >> 23; /* 0x3f3504f3: 1/sqrt 2 */
    bits -= n * (1 << 23);
    float m;
    memcpy(&m, &bits, sizeof m);
    float s = (m - 1.0f) / (m + 1.0f), s2 = s * s;
    float p = 1.0f / 9;
    p = fmaf(p, s2, 1.0f / 7);
    p = fmaf(p, s2, 1.0f / 5);
    p = fmaf(p, s2, 1.0f / 3);
    p = fmaf(p, s2, 1.0f);
    float log_m = 2.0f * s * p, exponent = (float)n;
    return fmaf(exponent, 0.693359375f, fmaf(exponent, -2.12194440e-4f, log_m));
}

/* Cosine and sine of the angle pi * word / 2^31, word taken as signed: the nearest multiple of pi/2 and a
 * rest of at most pi/4, Taylor series (cosine to power 8, 2e-8 of the whole; sine to power 9). */
FORMULA void unit_vector_f(uint32_t word, float *cosine, float *sine) {
    uint32_t quadrant = (word + 0x20000000u) >> 30;
    int32_t rest = (int32_t)(word - (quadrant << 30));
    float a = (float)rest * 1.4629180792671596e-9f; /* pi / 2^31 */
    float a2 = a * a;
    float c = fmaf(a2, 2.48015873e-5f, -1.38888889e-3f);
    c = fmaf(a2, c, 4.16666667e-2f);
    c = fmaf(a2, c, -0.5f);
    c = fmaf(a2, c, 1.0f);
    float s = fmaf(a2, 2.75573192e-6f, -1.98412698e-4f);
    s = fmaf(a2, s, 8.33333333e-3f);
    s = fmaf(a2, s, -1.66666667e-1f);
    s = fmaf(a2 * a, s, a);
    float x = (quadrant & 1) ? s : c, y = (quadrant & 1) ? c : s;
    *cosine = (quadrant == 1 || quadrant == 2) ? -x : x;
    *sine = (quadrant >= 2) ? -y : y;
}

/* Two independent standard normal numbers from two random words. */
FORMULA void normal_pair_f(uint32_t radius_word, uint32_t angle_word, float *first, float *second) {
    float u = fmaf((float)(int32_t)(radius_word >> 1), 4.6566128730773926e-10f, 2.3283064365386963e-10f);
    float radius = sqrtf(-2.0f * log_unit_f(u)), c, s;
    unit_vector_f(angle_word, &c, &s);
    *first = radius * c;
    *second = radius * s;
}

#endif
