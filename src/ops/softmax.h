/* A row of softmax and its Jacobian. Private to the ops_cpu_*.c of networks. */
#ifndef EPFLOW_OPS_SOFTMAX_H
#define EPFLOW_OPS_SOFTMAX_H

#include "ops/small_product.h"
#include "ops/softplus_formula.h"

#ifdef EPFLOW_FLOAT64
#define exp_negative exp_negative_d
#define LEAST_EXPONENT ((real)-700)
#else
#define exp_negative exp_negative_f
#define LEAST_EXPONENT ((real)-80)
#endif

/* The largest of x, several at a time: the compiler does not split a maximum by itself. */
static inline real largest_of(int n, const real *x) {
    real most[LANES], largest = x[0];
    int j = 0;
    for (int l = 0; l < LANES; l++)
        most[l] = x[0];
    for (; j + LANES <= n; j += LANES)
        for (int l = 0; l < LANES; l++)
            most[l] = x[j + l] > most[l] ? x[j + l] : most[l];
    for (; j < n; j++)
        largest = x[j] > largest ? x[j] : largest;
    for (int l = 0; l < LANES; l++)
        largest = most[l] > largest ? most[l] : largest;
    return largest;
}

/* p = softmax of x, which is scratch afterwards. p may be x. Where a number of x is not finite, all of p is NaN: a
 * comparison with NaN is false, so limits are put the way round that leaves it. */
static inline void softmax_row(int n, real *x, real *p) {
    const real largest = largest_of(n, x);
    real sum = 0;
    for (int j = 0; j < n; j++) {
        real t = x[j] - largest;
        x[j] = exp_negative(t < LEAST_EXPONENT ? LEAST_EXPONENT : t);
        sum += x[j];
    }
    const real inverse = 1 / sum;
    for (int j = 0; j < n; j++)
        p[j] = x[j] * inverse;
}

/* dp -> p (dp - sum p dp): the softmax Jacobian, symmetric. */
static inline void softmax_tangent_row(int n, const real *restrict p, real *restrict dp) {
    real along = 0;
    for (int j = 0; j < n; j++)
        along += p[j] * dp[j];
    for (int j = 0; j < n; j++)
        dp[j] = p[j] * (dp[j] - along);
}

#endif
