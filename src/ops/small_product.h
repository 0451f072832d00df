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

/* Columns up to a whole number of vectors. */
static inline int padded(int columns) {
    return (columns + LANES - 1) / LANES * LANES;
}

#define SMALL_INLINE static inline __attribute__((always_inline))

/* How the left operand lies in memory: element (i, l) at i * row + l * sum. A matrix has row = ld, sum = 1;
 * its transpose row = 1, sum = ld. */
struct steps {
    size_t row, sum;
};

/* rows (<= 4) and vectors (<= 4) are constants where this is called. c = start + a b; start: c itself (ldc),
 * one row for all (start_ld 0), or NULL. */
SMALL_INLINE void product_block(int rows, int vectors, int k, const real *a, struct steps step, const real *b,
                                size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    lanes sum[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            sum[i][v] = start ? *(const lanes *)(start + (size_t)i * start_ld + v * LANES) : (lanes){0};
    for (int l = 0; l < k; l++) {
        const real *left = a + (size_t)l * step.sum, *right = b + (size_t)l * ldb;
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
            for (int v = 0; v < vectors; v++)
                sum[i][v] += left[(size_t)i * step.row] * *(const lanes *)(right + v * LANES);
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int v = 0; v < vectors; v++)
            *(lanes *)(c + (size_t)i * ldc + v * LANES) = sum[i][v];
}

/* All columns of `rows` rows: `vectors` at a time, where three leave a single one two and two, and what is left one by
 * one. */
SMALL_INLINE void product_rows(int rows, int vectors, int n, int k, const real *a, struct steps step,
                               const real *b, size_t ldb, const real *start, size_t start_ld, real *c,
                               size_t ldc) {
    int j = 0;
    for (; j + vectors * LANES <= n && (vectors == 4 || n - j >= 5 * LANES || n - j < 4 * LANES);
         j += vectors * LANES)
        product_block(rows, vectors, k, a, step, b + j, ldb, start ? start + j : NULL, start_ld, c + j, ldc);
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

/* `tall` rows at a time, then two, then one. */
SMALL_INLINE void product_blocks(int tall, int vectors, size_t m, int n, int k, const real *a,
                                 struct steps step, const real *b, size_t ldb, const real *start,
                                 size_t start_ld, real *c, size_t ldc) {
    size_t i = 0;
    for (; i + (size_t)tall <= m; i += (size_t)tall)
        product_rows(tall, vectors, n, k, a + i * step.row, step, b, ldb, start ? start + i * start_ld : NULL,
                     start_ld, c + i * ldc, ldc);
    for (; i + 2 <= m; i += 2)
        product_rows(2, vectors, n, k, a + i * step.row, step, b, ldb, start ? start + i * start_ld : NULL,
                     start_ld, c + i * ldc, ldc);
    for (; i < m; i++)
        product_rows(1, vectors, n, k, a + i * step.row, step, b, ldb, start ? start + i * start_ld : NULL,
                     start_ld, c + i * ldc, ldc);
}

/* c (m, n) = start + a (m, k) b (k, n). Sums of three rows and four vectors, or of four and three, fill the registers. */
static inline void small_product(size_t m, int n, int k, const real *a, struct steps step, const real *b,
                                 size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    if (n % (4 * LANES) == 0)
        product_blocks(3, 4, m, n, k, a, step, b, ldb, start, start_ld, c, ldc);
    else
        product_blocks(4, 3, m, n, k, a, step, b, ldb, start, start_ld, c, ldc);
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
    MOST_INNER = 512,          /* a panel of columns fits into the first cache */
    MOST_PACKED = 1 << 16,     /* and all panels into the second one, beside */
    PANEL_COLUMNS = 4 * LANES, /* columns of a panel; the last one may have fewer */
    ROWS_AT_A_TIME = 120       /* of the left operand */
};

static inline int panel_columns(int n) {
    return n < PANEL_COLUMNS ? n : PANEL_COLUMNS;
}

/* Copies b (k, n), or its transpose from b (n, k) if `flip`, panel after panel; it is read row by row. */
static inline void pack_panels(int n, int k, bool flip, const real *b, size_t ldb, real *panels) {
    for (int j = 0; flip && j < n; j += PANEL_COLUMNS) {
        const int wide = panel_columns(n - j);
        turn(wide, k, 1, b + (size_t)j * ldb, ldb, panels + (size_t)j * (size_t)k, (size_t)wide);
    }
    for (int l = 0; !flip && l < k; l++)
        for (int j = 0; j < n; j += PANEL_COLUMNS) {
            const int wide = panel_columns(n - j);
            memcpy(panels + (size_t)j * (size_t)k + l * wide, b + (size_t)l * ldb + j,
                   (size_t)wide * sizeof *b);
        }
}

/* Some rows by one panel. Meanwhile columns `from` and on of the `next` rows after these are fetched from memory, as
 * many as the panel has. */
static inline void panel_rows(size_t rows, int wide, int k, const real *a, size_t lda, const real *panel,
                              const real *start, size_t start_ld, real *c, size_t ldc, size_t next,
                              int from) {
    enum { LINE = 64 / (int)sizeof(real) };
    size_t r = 0;
    for (; r + 3 <= rows && wide == PANEL_COLUMNS; r += 3) {
        if (r + 3 <= next)
#pragma GCC unroll 3
            for (size_t i = r; i < r + 3; i++)
#pragma GCC unroll 3
                for (int l = from; l < from + PANEL_COLUMNS; l += LINE)
                    __builtin_prefetch(a + (rows + i) * lda + l);
        product_block(3, 4, k, a + r * lda, (struct steps){lda, 1}, panel, PANEL_COLUMNS,
                      start ? start + r * start_ld : NULL, start_ld, c + r * ldc, ldc);
    }
    small_product(rows - r, wide, k, a + r * lda, (struct steps){lda, 1}, panel, (size_t)wide,
                  start ? start + r * start_ld : NULL, start_ld, c + r * ldc, ldc);
}

/* c (m, n) = start + a (m, k) b, b as in pack_panels, for n a multiple of LANES and k <= MOST_INNER. With an index, row i
 * of start is its row index[i]. Where sides are a few hundred, as in networks, this beats a BLAS, which copies a, too,
 * and writes c twice. */
static inline void panel_product(size_t m, int n, int k, const real *a, size_t lda, bool flip, const real *b,
                                 size_t ldb, const real *start, size_t start_ld, const uint32_t *index,
                                 real *c, size_t ldc) {
    _Alignas(64) real packed[MOST_PACKED];
    const int most = MOST_PACKED / k / PANEL_COLUMNS * PANEL_COLUMNS;
    for (int first = 0; first < n; first += most) {
        const int columns = n - first < most ? n - first : most;
        pack_panels(columns, k, flip, flip ? b + (size_t)first * ldb : b + first, ldb, packed);
        for (size_t i = 0; i < m; i += ROWS_AT_A_TIME) {
            const size_t rows = m - i < ROWS_AT_A_TIME ? m - i : ROWS_AT_A_TIME;
            const size_t next = m - i - rows < rows ? m - i - rows : rows, ld = index ? ldc : start_ld;
            const real *from = index ? c + i * ldc + first : start ? start + i * start_ld + first : NULL;
            for (size_t r = i; index && r < i + rows; r++)
                memcpy(c + r * ldc + first, start + index[r] * start_ld + first, (size_t)columns * sizeof *c);
            for (int j = 0; j < columns; j += PANEL_COLUMNS)
                panel_rows(rows, panel_columns(columns - j), k, a + i * lda, lda,
                           packed + (size_t)j * (size_t)k, from ? from + j : NULL, ld,
                           c + i * ldc + first + j, ldc, next, j * k / columns);
        }
    }
}

#endif
