/* Products of small matrices on the CPU, where a call of a BLAS costs more than the product: a block of
 * four rows and two or three SIMD vectors of the result stays in registers while the sum runs. The operands are read
 * where they are, so they should fit into the first cache (in * out up to a few thousand elements).
 *
 * Private to the ops_cpu_*.c of networks, which are compiled with contraction to fused multiply-add. */
#ifndef EPFLOW_OPS_SMALL_PRODUCT_H
#define EPFLOW_OPS_SMALL_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/real.h"

enum { LANE_BYTES = 32, LANES = LANE_BYTES / (int)sizeof(real) };
typedef real lanes __attribute__((vector_size(LANE_BYTES), aligned(sizeof(real)), may_alias));

#define SMALL_INLINE static inline __attribute__((always_inline))

/* How the left operand lies in memory: element (i, l) at i * row + l * sum. A matrix has row = ld, sum = 1;
 * its transpose row = 1, sum = ld. */
struct steps {
    size_t row, sum;
};

/* rows (<= 4) and vectors (<= 3) are constants where this is called. c = start + a b; start: c itself (ldc),
 * one row for all (start_ld 0), or NULL. */
SMALL_INLINE void product_block(int rows, int vectors, int k, const real *a, struct steps step, const real *b,
                                size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    lanes sum[4][3];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            sum[i][v] = start ? *(const lanes *)(start + (size_t)i * start_ld + v * LANES) : (lanes){0};
    for (int l = 0; l < k; l++) {
        const real *left = a + (size_t)l * step.sum, *right = b + (size_t)l * ldb;
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
            for (int v = 0; v < vectors; v++)
                sum[i][v] += left[(size_t)i * step.row] * *(const lanes *)(right + v * LANES);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int v = 0; v < vectors; v++)
            *(lanes *)(c + (size_t)i * ldc + v * LANES) = sum[i][v];
}

/* All columns of `rows` rows: three vectors at a time, or two where that leaves no single one, and what is left one
 * by one. */
SMALL_INLINE void product_rows(int rows, int n, int k, const real *a, struct steps step, const real *b,
                               size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    int j = 0;
    for (; j + 5 * LANES <= n || (j + 3 * LANES <= n && j + 4 * LANES > n); j += 3 * LANES)
        product_block(rows, 3, k, a, step, b + j, ldb, start ? start + j : NULL, start_ld, c + j, ldc);
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

/* A square of LANES rows and columns, turned in registers: in every round, pairs of vectors exchange halves, quarters
 * (and eighths) of themselves. */
SMALL_INLINE void turn_square(real factor, const real *from, size_t ld, real *to, size_t ld_to) {
    lanes x[LANES], y[LANES];
#ifdef EPFLOW_FLOAT64
    typedef int64_t mask __attribute__((vector_size(LANE_BYTES)));
    const mask low[] = {{0, 4, 2, 6}, {0, 1, 4, 5}}, high[] = {{1, 5, 3, 7}, {2, 3, 6, 7}};
    enum { ROUNDS = 2 };
#else
    typedef int32_t mask __attribute__((vector_size(LANE_BYTES)));
    const mask low[] = {{0, 8, 2, 10, 4, 12, 6, 14}, {0, 1, 8, 9, 4, 5, 12, 13}, {0, 1, 2, 3, 8, 9, 10, 11}};
    const mask high[] = {
        {1, 9, 3, 11, 5, 13, 7, 15}, {2, 3, 10, 11, 6, 7, 14, 15}, {4, 5, 6, 7, 12, 13, 14, 15}};
    enum { ROUNDS = 3 };
#endif
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++)
        x[i] = factor * *(const lanes *)(from + (size_t)i * ld);
#pragma GCC unroll 3
    for (int round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++) {
            const int other = i ^ (1 << round);
            y[i] = i < other ? __builtin_shuffle(x[i], x[other], low[round])
                             : __builtin_shuffle(x[other], x[i], high[round]);
        }
#pragma GCC unroll 8
        for (int i = 0; i < LANES; i++)
            x[i] = y[i];
    }
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++)
        *(lanes *)(to + (size_t)i * ld_to) = x[i];
}

/* to (columns, rows) = factor times the transpose of from (rows, columns). */
static inline void turn(int rows, int columns, real factor, const real *from, size_t ld, real *to,
                        size_t ld_to) {
    const int squares = columns / LANES * LANES;
    int i = 0;
    for (; i + LANES <= rows; i += LANES)
        for (int j = 0; j < squares; j += LANES)
            turn_square(factor, from + (size_t)i * ld + j, ld, to + (size_t)j * ld_to + i, ld_to);
    for (int m = 0; m < rows; m++)
        for (int j = m < i ? squares : 0; j < columns; j++)
            to[(size_t)j * ld_to + (size_t)m] = factor * from[(size_t)m * ld + (size_t)j];
}

/* c (m, n) = start + a (m, k) b (k, n), or b (n, k)^T if `flip`, for n a multiple of LANES and k <= MOST_INNER: a panel
 * of columns of b is copied to stay in the first cache while all rows of a pass by it. Where sides are a few hundred,
 * as in networks, this beats a BLAS, which copies a too and writes c twice. */
enum { MOST_INNER = 512, PANEL_VECTORS = 3 };

static inline void panel_product(size_t m, int n, int k, const real *a, size_t lda, bool flip, const real *b,
                                 size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    _Alignas(64) real panel[MOST_INNER * PANEL_VECTORS * LANES];
    const struct steps step = {lda, 1};
    for (int j = 0, wide; j < n; j += wide) {
        const int vectors = (n - j) / LANES;
        wide = LANES * (vectors == 4 || vectors < 3 ? (vectors < 2 ? 1 : 2) : 3);
        if (flip)
            turn(wide, k, 1, b + (size_t)j * ldb, ldb, panel, (size_t)wide);
        for (int l = 0; !flip && l < k; l++)
            memcpy(panel + l * wide, b + (size_t)l * ldb + j, (size_t)wide * sizeof *b);
        small_product(m, wide, k, a, step, panel, (size_t)wide, start ? start + j : NULL, start_ld, c + j,
                      ldc);
    }
}

#endif
