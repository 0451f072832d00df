/* Products of small matrices on the CPU, where a call of a BLAS costs more than the product: a block of
 * four rows and two SIMD vectors of the result stays in registers while the sum runs. The operands are read
 * where they are, so they should fit into the first cache (in * out up to a few thousand elements).
 *
 * Private to the ops_cpu_*.c of networks, which are compiled with contraction to fused multiply-add. */
#ifndef EPFLOW_OPS_SMALL_PRODUCT_H
#define EPFLOW_OPS_SMALL_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/real.h"

enum { LANE_BYTES = 32, LANES = LANE_BYTES / (int)sizeof(real) };
typedef real lanes __attribute__((vector_size(LANE_BYTES), aligned(sizeof(real)), may_alias));

#define SMALL_INLINE static inline __attribute__((always_inline))

/* How the left operand lies in memory: element (i, l) at i * row + l * sum. A matrix has row = ld, sum = 1;
 * its transpose row = 1, sum = ld. */
struct steps {
    size_t row, sum;
};

/* rows (<= 4) and vectors (<= 2) are constants where this is called. c = start + a b; start: c itself (ldc),
 * one row for all (start_ld 0), or NULL. */
SMALL_INLINE void product_block(int rows, int vectors, int k, const real *a, struct steps step, const real *b,
                                size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    lanes sum[4][2];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            sum[i][v] = start ? *(const lanes *)(start + (size_t)i * start_ld + v * LANES) : (lanes){0};
    for (int l = 0; l < k; l++) {
        const real *left = a + (size_t)l * step.sum, *right = b + (size_t)l * ldb;
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++)
                sum[i][v] += left[(size_t)i * step.row] * *(const lanes *)(right + v * LANES);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            *(lanes *)(c + (size_t)i * ldc + v * LANES) = sum[i][v];
}

/* All columns of `rows` rows: pairs of vectors, a vector, and what is left one by one. */
SMALL_INLINE void product_rows(int rows, int n, int k, const real *a, struct steps step, const real *b,
                               size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    int j = 0;
    for (; j + 2 * LANES <= n; j += 2 * LANES)
        product_block(rows, 2, k, a, step, b + j, ldb, start ? start + j : NULL, start_ld, c + j, ldc);
    for (; j + LANES <= n; j += LANES)
        product_block(rows, 1, k, a, step, b + j, ldb, start ? start + j : NULL, start_ld, c + j, ldc);
    for (; j < n; j++)
        for (int i = 0; i < rows; i++) {
            real sum = start ? start[(size_t)i * start_ld + (size_t)j] : 0;
            for (int l = 0; l < k; l++)
                sum += a[(size_t)i * step.row + (size_t)l * step.sum] * b[(size_t)l * ldb + (size_t)j];
            c[(size_t)i * ldc + (size_t)j] = sum;
        }
}

/* c (m, n) = start + a (m, k) b (k, n). */
static inline void small_product(size_t m, int n, int k, const real *a, struct steps step, const real *b,
                                 size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    size_t i = 0;
    for (; i + 4 <= m; i += 4)
        product_rows(4, n, k, a + i * step.row, step, b, ldb, start ? start + i * start_ld : NULL, start_ld,
                     c + i * ldc, ldc);
    for (; i < m; i++)
        product_rows(1, n, k, a + i * step.row, step, b, ldb, start ? start + i * start_ld : NULL, start_ld,
                     c + i * ldc, ldc);
}

/* to (columns, rows) = factor times the transpose of from (rows, columns). */
static inline void turn(int rows, int columns, real factor, const real *from, size_t ld, real *to,
                        size_t ld_to) {
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            to[(size_t)j * ld_to + (size_t)i] = factor * from[(size_t)i * ld + (size_t)j];
}

#endif
