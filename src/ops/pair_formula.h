/* Two particles that repel each other, for host and device: the force in fixed point, which simulations sum, and what
 * evaluations need, in float64. */
#ifndef EPFLOW_OPS_PAIR_FORMULA_H
#define EPFLOW_OPS_PAIR_FORMULA_H

#include "ops/ops.h"
#include "ops/softplus_formula.h"

/* Difference of two coordinates in units of the box, scaled by side. The float32 build looks at the top 32
 * bits (2e-8 at a side of 80), the float64 build at all 64. Both are odd: exact integers, then rounded. */
#ifdef EPFLOW_FLOAT64
#define PAIR_UNIT 5.42101086242752217e-20 /* 2^-64 */
typedef int64_t pair_integer;
FORMULA pair_integer coordinate_difference(uint64_t a, uint64_t b) {
    return (int64_t)(a - b);
}
#define beta_force(r, beta, inverse_beta) (pair_force_d(r, beta, inverse_beta) * (beta))
#define sqrt_real sqrt
#define fma_real fma
#else
#define PAIR_UNIT 2.32830643653869629e-10 /* 2^-32 */
typedef int32_t pair_integer;
FORMULA pair_integer coordinate_difference(uint64_t a, uint64_t b) {
    return (int32_t)((uint32_t)(a >> 32) - (uint32_t)(b >> 32));
}
#define beta_force pair_force_f
#define sqrt_real sqrtf
#define fma_real fmaf
#endif

/* Rounds value * factor to an integer by adding 1.5 * 2^52 and reading the bits: a force below 8. Odd in value. */
FORMULA int64_t pair_fixed_point(double value, double factor) {
    const double magic = 6755399441055744.0;
    double shifted = fma(value, factor, magic);
    int64_t bits, magic_bits;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&magic_bits, &magic, sizeof magic_bits);
    return bits - magic_bits;
}

/* The squared length of a difference. */
FORMULA real pair_square(int d, const real delta[]) {
    real square = 0;
    for (int a = 0; a < d; a++)
        square = a == 0 ? delta[a] * delta[a] : fma_real(delta[a], delta[a], square);
    return square;
}

/* beta f(r) / r: what a difference is to be multiplied by. */
FORMULA real pair_scale(real square, real beta, real inverse_beta) {
    const real least = (real)1e-30; /* coincident particles: no direction, no force */
    const real r = sqrt_real(square > least ? square : least);
    return beta_force(r, beta, inverse_beta) * (1 / r);
}
/* Of a force times beta, into fixed point. */
FORMULA double pair_factor(real beta) {
    return (double)((int64_t)1 << FORCE_BITS) / (double)beta;
}

/* ---- in float64 ---- */

/* The length of a difference. */
FORMULA double pair_distance(int d, const double delta[]) {
    double square = 0;
    for (int a = 0; a < d; a++)
        square += delta[a] * delta[a];
    return sqrt(square);
}

/* k [f' + (d - 1) f/r]: what a pair adds to the divergence of either; *force = k f. */
FORMULA double pair_divergence(int d, double k, double beta, double r, double *force) {
    const double f = pair_force_d(r, beta, 1 / beta), slope = pair_slope_d(r, beta);
    *force = k * f;
    return k * (slope + (d - 1) * f / r);
}

/* v . K v of a difference v over the pair, K as below. */
FORMULA double pair_form(int d, double k, double beta, double r, const double delta[], const double v[]) {
    double along = 0, square = 0;
    for (int a = 0; a < d; a++) {
        along += v[a] * delta[a] / r;
        square += v[a] * v[a];
    }
    const double f = pair_force_d(r, beta, 1 / beta), slope = pair_slope_d(r, beta);
    return -k * (slope * along * along + f / r * (square - along * along));
}

/* K (d, d) = -k [f' n n + (f/r)(1 - n n)]. */
FORMULA void pair_stiffness(int d, double k, double beta, double r, const double delta[], double pair[]) {
    const double across = -k * pair_force_d(r, beta, 1 / beta) / r;
    const double along = -k * pair_slope_d(r, beta);
    for (int a = 0; a < d; a++)
        for (int b = 0; b < d; b++)
            pair[a * d + b] = (along - across) * delta[a] * delta[b] / (r * r) + (a == b ? across : 0);
}

#endif
