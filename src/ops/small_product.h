/* Products of small matrices on the CPU, where a call of a BLAS costs more than the product: a block of
 * four rows and two or three SIMD vectors of the result stays in registers while the sum runs. The operands are read
 * where they are, so they should fit into the first cache (in * out up to a few thousand elements).
 *
 * Private to the ops_cpu_*.c of networks, which are compiled with contraction to fused multiply-add. */
#ifndef EPFLOW_OPS_SMALL_PRODUCT_H
#define EPFLOW_OPS_SMALL_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>
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

/* A square of LANES rows and columns, turned in registers: in every round, pairs of vectors that are `apart` exchange
 * what the two patterns say: single numbers, pairs, fours. */
#define EXCHANGE(apart, LOW, HIGH)                                                                           \
    for (int i = 0; i < LANES; i++)                                                                          \
        if (!(i & (apart))) {                                                                                \
            const lanes one = x[i], two = x[i + (apart)];                                                    \
            x[i] = __builtin_shufflevector(one, two, LOW);                                                   \
            x[i + (apart)] = __builtin_shufflevector(one, two, HIGH);                                        \
        }
#ifdef EPFLOW_FLOAT64
#define LOW_1 0, 4, 2, 6
#define HIGH_1 1, 5, 3, 7
#define LOW_2 0, 1, 4, 5
#define HIGH_2 2, 3, 6, 7
#else
#define LOW_1 0, 8, 2, 10, 4, 12, 6, 14
#define HIGH_1 1, 9, 3, 11, 5, 13, 7, 15
#define LOW_2 0, 1, 8, 9, 4, 5, 12, 13
#define HIGH_2 2, 3, 10, 11, 6, 7, 14, 15
#define LOW_4 0, 1, 2, 3, 8, 9, 10, 11
#define HIGH_4 4, 5, 6, 7, 12, 13, 14, 15
#endif

SMALL_INLINE void turn_square(real factor, const real *from, size_t ld, real *to, size_t ld_to) {
    lanes x[LANES];
#pragma GCC unroll 8
    for (int i = 0; i < LANES; i++)
        x[i] = factor * *(const lanes *)(from + (size_t)i * ld);
#pragma GCC unroll 8
    EXCHANGE(1, LOW_1, HIGH_1)
#pragma GCC unroll 8
    EXCHANGE(2, LOW_2, HIGH_2)
#ifndef EPFLOW_FLOAT64
#pragma GCC unroll 8
    EXCHANGE(4, LOW_4, HIGH_4)
#endif
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

/* ---- products of many rows with a matrix of a few hundred rows and columns ---- */

enum {
    MOST_INNER = 512,      /* a panel of columns fits into the first cache */
    MOST_PACKED = 1 << 16, /* and all panels into the second one, beside */
    ROWS_AT_A_TIME = 128   /* of the left operand */
};

/* Columns of the panel that begins where n are left: three vectors, or two where that leaves no single one. */
static inline int panel_columns(int n) {
    const int vectors = n / LANES;
    return LANES * (vectors == 4 || vectors == 2 ? 2 : vectors < 2 ? 1 : 3);
}

/* Copies b (k, n), or its transpose from b (n, k) if `flip`, panel after panel. */
static inline void pack_panels(int n, int k, bool flip, const real *b, size_t ldb, real *panel) {
    for (int j = 0, wide; j < n; j += wide, panel += (size_t)k * (size_t)wide) {
        wide = panel_columns(n - j);
        if (flip)
            turn(wide, k, 1, b + (size_t)j * ldb, ldb, panel, (size_t)wide);
        for (int l = 0; !flip && l < k; l++)
            memcpy(panel + l * wide, b + (size_t)l * ldb + j, (size_t)wide * sizeof *b);
    }
}

/* c (m, n) = start + a (m, k) b, b as in pack_panels, for n a multiple of LANES and k <= MOST_INNER. Where sides are
 * a few hundred, as in networks, this beats a BLAS, which copies a, too, and writes c twice. */
static inline void panel_product(size_t m, int n, int k, const real *a, size_t lda, bool flip, const real *b,
                                 size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    _Alignas(64) real packed[MOST_PACKED];
    const int most = MOST_PACKED / k / (3 * LANES) * (3 * LANES);
    for (int first = 0; first < n; first += most) {
        const int columns = n - first < most ? n - first : most;
        pack_panels(columns, k, flip, flip ? b + (size_t)first * ldb : b + first, ldb, packed);
        for (size_t i = 0; i < m; i += ROWS_AT_A_TIME) {
            const size_t rows = m - i < ROWS_AT_A_TIME ? m - i : ROWS_AT_A_TIME;
            const real *panel = packed;
            for (int j = 0, wide; j < columns; j += wide, panel += (size_t)k * (size_t)wide) {
                wide = panel_columns(columns - j);
                small_product(rows, wide, k, a + i * lda, (struct steps){lda, 1}, panel, (size_t)wide,
                              start ? start + i * start_ld + first + j : NULL, start_ld,
                              c + i * ldc + first + j, ldc);
            }
        }
    }
}

#endif
