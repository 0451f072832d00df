/* Loops over a row that several files of networks share. Private to the ops_cpu_*.c that may reorder sums. */
#ifndef EPFLOW_OPS_ROWS_H
#define EPFLOW_OPS_ROWS_H

#include "ops/ops.h"

enum { MOST_COLUMNS = 4096, /* network.width */ MOST_TOKENS = NEAREST_MOST + 1 };

static inline real dot(int n, const real *restrict a, const real *restrict b) {
    real sum = 0;
    for (int c = 0; c < n; c++)
        sum += a[c] * b[c];
    return sum;
}

/* out = inverse (t - mean t - n mean(n t)): the Jacobian of (u - mean)/root, which is symmetric. */
static inline void normalise_tangent(int columns, const real *restrict t, const real *restrict n,
                                     real inverse, real *restrict out) {
    real sum = 0, along = 0;
    for (int c = 0; c < columns; c++) {
        sum += t[c];
        along += t[c] * n[c];
    }
    const real mean = sum / (real)columns, projection = along / (real)columns;
    for (int c = 0; c < columns; c++)
        out[c] = inverse * (t[c] - mean - n[c] * projection);
}

#endif
