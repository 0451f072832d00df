/* How two particles turn each other's propulsions, for host and device: J w(r) (g_j - g_i) is added to the drift of g_i, with
 *
 *     w(r) = (1 - r^2 / r_a^2)^2  for r < r_a, else 0;      w = 1 along the bonds of a crystal
 *
 * theory.md, alignment. Sums are fixed-point integers, as forces are, so that they do not depend on order. Numbers are
 * float64 and written without libm, so that host and device have the same bits. */
#ifndef EPFLOW_OPS_ALIGNMENT_FORMULA_H
#define EPFLOW_OPS_ALIGNMENT_FORMULA_H

#include "ops/pair_formula.h"

/* Differences of propulsions are cut at ALIGN_MOST, hundreds of times what they are, so that a fixed-point number is found
 * by adding, and sums over thousands of neighbours cannot overflow. */
enum { ALIGN_BITS = 38 };
#define ALIGN_MOST 4096.0

/* Numbers of a particle: a sum for every axis, and the sum of weights. */
FORMULA size_t align_numbers(int d) {
    return (size_t)d + 1;
}

FORMULA double align_per_square(const struct pair_law *law) {
    return 1 / (law->alignment_radius * law->alignment_radius);
}
/* per_square: 1 / r_a^2. */
FORMULA double align_weight(int d, const double delta[], double per_square) {
    double square = 0;
    for (int a = 0; a < d; a++)
        square = fma(delta[a], delta[a], square);
    const double rest = fma(-square, per_square, 1.0);
    return rest > 0 ? rest * rest : 0;
}

/* Odd in value. */
FORMULA int64_t align_fixed_point(double value) {
    const double above = value > -ALIGN_MOST ? value : -ALIGN_MOST;
    return pair_fixed_point(above < ALIGN_MOST ? above : ALIGN_MOST, (double)((int64_t)1 << ALIGN_BITS));
}

/* What a sum is. */
FORMULA double align_real(int64_t sum) {
    return (double)sum / (double)((int64_t)1 << ALIGN_BITS);
}

/* What g becomes; amount: J times the time. */
FORMULA double align_turned(double g, double amount, int64_t sum) {
    return fma(amount, align_real(sum), g);
}

#endif
