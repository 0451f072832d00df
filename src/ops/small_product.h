/* Products of small matrices on the CPU, where a call of a BLAS costs more than the product: a block of
 * a few rows and SIMD vectors of the result stays in registers while the sum runs. The operands are read
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

/* ROWS_OF_4, ROWS_OF_3: so many rows of four and of three vectors fill the registers with sums (of AVX-512's, five rows
 * do not quite, but divide the 65 tokens of the paper). */
#ifdef __AVX512F__
#include <immintrin.h>
enum { LANE_BYTES = 64, ROWS_OF_4 = 5, ROWS_OF_3 = 8, HAS_MASKS = 1 };
#else
enum { LANE_BYTES = 32, ROWS_OF_4 = 3, ROWS_OF_3 = 4, HAS_MASKS = 0 };
#endif
enum { LANES = LANE_BYTES / (int)sizeof(real), SUM_ROWS = 8, SUM_VECTORS = 4 };
typedef real lanes __attribute__((vector_size(LANE_BYTES), aligned(sizeof(real)), may_alias));

/* Columns up to a whole number of vectors. */
static inline int padded(int columns) {
    return (columns + LANES - 1) / LANES * LANES;
}

#define SMALL_INLINE static inline __attribute__((always_inline))

/* The first `count` numbers of a vector, the others 0; without masks, count is LANES. */
SMALL_INLINE lanes read_lanes(int count, const real *from) {
#ifdef __AVX512F__
    if (!__builtin_constant_p(count) || count != LANES) {
#ifdef EPFLOW_FLOAT64
        return (lanes)_mm512_maskz_loadu_pd((__mmask8)((1u << count) - 1), from);
#else
        return (lanes)_mm512_maskz_loadu_ps((__mmask16)((1u << count) - 1), from);
#endif
    }
#endif
    (void)count;
    return *(const lanes *)from;
}

SMALL_INLINE void write_lanes(int count, lanes x, real *to) {
#ifdef __AVX512F__
    if (!__builtin_constant_p(count) || count != LANES) {
#ifdef EPFLOW_FLOAT64
        _mm512_mask_storeu_pd(to, (__mmask8)((1u << count) - 1), (__m512d)x);
#else
        _mm512_mask_storeu_ps(to, (__mmask16)((1u << count) - 1), (__m512)x);
#endif
        return;
    }
#endif
    (void)count;
    *(lanes *)to = x;
}

/* How the left operand lies in memory: element (i, l) at i * row + l * sum. A matrix has row = ld, sum = 1;
 * its transpose row = 1, sum = ld. */
struct steps {
    size_t row, sum;
};

/* rows and vectors are constants where this is called; the last vector has `last` numbers. c = start + a b; start: c
 * itself (ldc), one row for all (start_ld 0), or NULL. */
SMALL_INLINE void product_block(int rows, int vectors, int last, int k, const real *a, struct steps step,
                                const real *b, size_t ldb, const real *start, size_t start_ld, real *c,
                                size_t ldc) {
    lanes sum[SUM_ROWS][SUM_VECTORS], right[SUM_VECTORS];
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            sum[i][v] =
                start ? read_lanes(v == vectors - 1 ? last : LANES, start + (size_t)i * start_ld + v * LANES)
                      : (lanes){0};
    for (int l = 0; l < k; l++) {
        const real *left = a + (size_t)l * step.sum;
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            right[v] = read_lanes(v == vectors - 1 ? last : LANES, b + (size_t)l * ldb + v * LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++)
                sum[i][v] += left[(size_t)i * step.row] * right[v];
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            write_lanes(v == vectors - 1 ? last : LANES, sum[i][v], c + (size_t)i * ldc + v * LANES);
}

/* Vectors of the next block where `left` are left: `vectors` of them, but rather no single one at the end. */
SMALL_INLINE int next_vectors(int vectors, int left) {
    return vectors == 3 && left == 4 ? 2 : left < vectors ? left : vectors;
}

/* All columns of `rows` rows, `vectors` vectors at a time; what is left of the columns by masks, or one by one. */
SMALL_INLINE void product_rows(int rows, int vectors, int n, int k, const real *a, struct steps step,
                               const real *b, size_t ldb, const real *start, size_t start_ld, real *c,
                               size_t ldc) {
    const int rest = n % LANES;
    int left = n / LANES + (HAS_MASKS && rest > 0);
#define BLOCK(wide, last) product_block(rows, wide, last, k, a, step, b, ldb, start, start_ld, c, ldc)
#define BLOCK_IF(wide)                                                                                       \
    if (count == (wide)) {                                                                                   \
        if (HAS_MASKS && left == count && rest > 0)                                                          \
            BLOCK(wide, rest);                                                                               \
        else                                                                                                 \
            BLOCK(wide, LANES);                                                                              \
    }
    while (left > 0) {
        const int count = next_vectors(vectors, left);
        BLOCK_IF(1)
        BLOCK_IF(2)
        BLOCK_IF(3)
        if (vectors == 4)
            BLOCK_IF(4)
        left -= count;
        b += count * LANES;
        c += count * LANES;
        start = start ? start + count * LANES : NULL;
    }
#undef BLOCK_IF
#undef BLOCK
    for (int j = 0; !HAS_MASKS && j < rest; j++)
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

/* c (m, n) = start + a (m, k) b (k, n). */
static inline void small_product(size_t m, int n, int k, const real *a, struct steps step, const real *b,
                                 size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    const int vectors = n / LANES + (HAS_MASKS && n % LANES > 0);
    if (vectors % 4 == 0)
        product_blocks(ROWS_OF_4, 4, m, n, k, a, step, b, ldb, start, start_ld, c, ldc);
    else
        product_blocks(ROWS_OF_3, 3, m, n, k, a, step, b, ldb, start, start_ld, c, ldc);
}

/* A square of LANES rows and columns, turned in registers: in every round, pairs of vectors that are `apart` exchange
 * single numbers, pairs, fours, eights: numbers j of what becomes of the first and of the second of a pair. */
#define FIRST(apart, j) ((j) & (apart) ? LANES + (j) - (apart) : (j))
#define SECOND(apart, j) ((j) & (apart) ? LANES + (j) : (j) + (apart))
#define FOUR(WHICH, apart, j)                                                                                \
    WHICH(apart, j), WHICH(apart, (j) + 1), WHICH(apart, (j) + 2), WHICH(apart, (j) + 3)
#if defined(__AVX512F__) && !defined(EPFLOW_FLOAT64)
#define PATTERN(WHICH, apart)                                                                                \
    FOUR(WHICH, apart, 0), FOUR(WHICH, apart, 4), FOUR(WHICH, apart, 8), FOUR(WHICH, apart, 12)
#elif defined(__AVX512F__) || !defined(EPFLOW_FLOAT64)
#define PATTERN(WHICH, apart) FOUR(WHICH, apart, 0), FOUR(WHICH, apart, 4)
#else
#define PATTERN(WHICH, apart) FOUR(WHICH, apart, 0)
#endif
#define EXCHANGE(apart)                                                                                      \
    _Pragma("GCC unroll 16") for (int i = 0; i < LANES; i++) if ((apart) < LANES && !(i & (apart))) {        \
        const lanes one = x[i], two = x[(i + (apart)) % LANES];                                              \
        x[i] = __builtin_shufflevector(one, two, PATTERN(FIRST, (apart) % LANES));                           \
        x[(i + (apart)) % LANES] = __builtin_shufflevector(one, two, PATTERN(SECOND, (apart) % LANES));      \
    }

/* columns: LANES, or, with masks, fewer. */
SMALL_INLINE void turn_square(int columns, real factor, const real *from, size_t ld, real *to, size_t ld_to) {
    lanes x[LANES];
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        x[i] = factor * read_lanes(columns, from + (size_t)i * ld);
    EXCHANGE(1)
    EXCHANGE(2)
    EXCHANGE(4) /* of more than four lanes */
    EXCHANGE(8) /* of sixteen */
#pragma GCC unroll 16
    for (int i = 0; i < LANES; i++)
        if (i < columns)
            *(lanes *)(to + (size_t)i * ld_to) = x[i];
}

/* to (columns, rows) = factor times the transpose of from (rows, columns). */
static inline void turn(int rows, int columns, real factor, const real *from, size_t ld, real *to,
                        size_t ld_to) {
    const int squares = columns / LANES * LANES,
              most = HAS_MASKS && columns - squares > 1 ? columns : squares;
    int i = 0;
    for (; i + LANES <= rows; i += LANES) {
        for (int j = 0; j < squares; j += LANES)
            turn_square(LANES, factor, from + (size_t)i * ld + j, ld, to + (size_t)j * ld_to + i, ld_to);
        if (most > squares)
            turn_square(columns - squares, factor, from + (size_t)i * ld + squares, ld,
                        to + (size_t)squares * ld_to + i, ld_to);
    }
    for (int m = 0; m < rows; m++)
        for (int j = m < i ? most : 0; j < columns; j++)
            to[(size_t)j * ld_to + (size_t)m] = factor * from[(size_t)m * ld + (size_t)j];
}

/* ---- products of many rows with a matrix of a few hundred rows and columns ---- */

enum {
    MOST_INNER = 512,          /* a panel of columns fits into the first cache, or is near it */
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
static inline void panel_rows(size_t rows, int wide, int k, const real *a, struct steps step,
                              const real *panel, const real *start, size_t start_ld, real *c, size_t ldc,
                              size_t next, int from) {
    enum { LINE = 64 / (int)sizeof(real) };
    size_t r = 0;
    for (; r + ROWS_OF_4 <= rows && wide == PANEL_COLUMNS; r += ROWS_OF_4) {
        if (r + ROWS_OF_4 <= next)
#pragma GCC unroll 8
            for (size_t i = r; i < r + ROWS_OF_4; i++)
#pragma GCC unroll 4
                for (int l = from; l < from + PANEL_COLUMNS; l += LINE)
                    __builtin_prefetch(a + (rows + i) * step.row + l);
        product_block(ROWS_OF_4, 4, LANES, k, a + r * step.row, step, panel, PANEL_COLUMNS,
                      start ? start + r * start_ld : NULL, start_ld, c + r * ldc, ldc);
    }
    small_product(rows - r, wide, k, a + r * step.row, step, panel, (size_t)wide,
                  start ? start + r * start_ld : NULL, start_ld, c + r * ldc, ldc);
}

/* c (m, n) = start + a (m, k) b, b as in pack_panels, for k <= MOST_INNER and, without masks, n a multiple of LANES.
 * With an index, row i of start is its row index[i]. Where sides are a few hundred, as in networks, this beats a BLAS,
 * which copies a, too, and writes c twice. */
static inline void panel_product(size_t m, int n, int k, const real *a, struct steps step, bool flip,
                                 const real *b, size_t ldb, const real *start, size_t start_ld,
                                 const uint32_t *index, real *c, size_t ldc) {
    _Alignas(64) real packed[MOST_PACKED];
    const int most = MOST_PACKED / k / PANEL_COLUMNS * PANEL_COLUMNS;
    for (int first = 0; first < n; first += most) {
        const int columns = n - first < most ? n - first : most;
        pack_panels(columns, k, flip, flip ? b + (size_t)first * ldb : b + first, ldb, packed);
        for (size_t i = 0; i < m; i += ROWS_AT_A_TIME) {
            const size_t rows = m - i < ROWS_AT_A_TIME ? m - i : ROWS_AT_A_TIME;
            const size_t after = step.sum > 1 ? 0 : m - i - rows, ld = index ? ldc : start_ld;
            const size_t next = after < rows ? after : rows;
            const real *from = index ? c + i * ldc + first : start ? start + i * start_ld + first : NULL;
            for (size_t r = i; index && r < i + rows; r++)
                memcpy(c + r * ldc + first, start + index[r] * start_ld + first, (size_t)columns * sizeof *c);
            for (int j = 0; j < columns; j += PANEL_COLUMNS)
                panel_rows(rows, panel_columns(columns - j), k, a + i * step.row, step,
                           packed + (size_t)j * (size_t)k, from ? from + j : NULL, ld,
                           c + i * ldc + first + j, ldc, next, j * k / columns);
        }
    }
}

#endif
