/* Primitives of networks on the CPU: matrix products by small_product.h, the largest ones by OpenBLAS,
 * everything else in plain loops that the compiler turns into SIMD. Sums of floating-point numbers may be
 * reordered by the compiler in this file (see CMakeLists.txt): networks promise equal bits for one build
 * only. */
#include "ops/network_loops.h"

#include <string.h>

#include "ops/gelu_formula.h"
#include "ops/precision.h"
#include "ops/rows.h"
#include "ops/small_product.h"

/* ---- what a network reads ---- */

static void window_offsets(const struct ops *ops, const struct box *box, size_t count, int k,
                           const uint32_t *centre, const uint32_t *neighbour, uint64_t *const q[],
                           real *out) {
    (void)ops;
    const size_t d = (size_t)box->d, tokens = (size_t)k + 1;
    for (size_t a = 0; a < d; a++) {
        const double unit = box->side[a] * 0x1p-64;
        for (size_t w = 0; w < count; w++) {
            const uint64_t own = q[a][centre[w]];
            const uint32_t *near = neighbour + w * (size_t)k;
            real *row = out + w * tokens * d + a;
            row[0] = 0;
            for (size_t m = 1; m < tokens; m++)
                row[m * d] = (real)((double)(int64_t)(own - q[a][near[m - 1]]) * unit);
        }
    }
}

static void propulsion_rows(const struct ops *ops, int d, size_t count, const uint32_t *index,
                            double *const g[], real *out) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        for (int a = 0; a < d; a++)
            out[i * (size_t)d + (size_t)a] = (real)g[a][index[i]];
}

static void gather_rows(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                        const real *from, size_t ld_from, real *to, size_t ld_to) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        memcpy(to + i * ld_to, from + index[i] * ld_from, (size_t)columns * sizeof *to);
}

static void scatter_rows(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                         const real *from, size_t ld_from, real *to, size_t ld_to) {
    (void)ops;
    for (size_t i = 0; i < count; i++) {
        const real *restrict add = from + i * ld_from;
        real *restrict sum = to + index[i] * ld_to;
        for (int c = 0; c < columns; c++)
            sum[c] += add[c];
    }
}

/* ---- linear ---- */

enum {
    SMALL_WEIGHTS = 64 * 64, /* in * out up to here: own product, w stays in the first cache */
    FEW_COLUMNS = 4,         /* an input or output of d numbers: own product too, whatever the other side */
    FEW_WEIGHTS = 16384,     /* in * out up to here for those */
    PANEL = 128,             /* rows of x and dy that stay in the first cache while dw is summed */
    PANEL_ROWS = 256         /* or in the second, where w is large */
};

static bool is_small(int in, int out) {
    const long weights = (long)in * out;
    return weights <= SMALL_WEIGHTS || ((in <= FEW_COLUMNS || out <= FEW_COLUMNS) && weights <= FEW_WEIGHTS);
}

/* Where the number of columns is not a whole number of vectors: the same products on copies whose rows are filled up
 * with zeros, some rows at a time. */
enum { MOST_PADDED = 8192, ROWS_PADDED = 32 };

static bool wants_padding(int inner, int columns) {
    return !HAS_MASKS && columns % LANES != 0 && columns > 1 &&
           (long)inner * padded(columns) <= MOST_PADDED && ROWS_PADDED * padded(columns) <= MOST_PADDED;
}

static void pad_rows(size_t rows, int columns, const real *from, size_t ld, real *to) {
    const size_t wide = (size_t)padded(columns);
    for (size_t r = 0; r < rows; r++) {
        memcpy(to + r * wide, from + r * ld, (size_t)columns * sizeof *to);
        for (size_t c = (size_t)columns; c < wide; c++)
            to[r * wide + c] = 0;
    }
}

/* c (m, n) = start + a (m, k) b (k, n); start: c itself, one row for all (start_ld 0), or NULL. */
static void padded_product(size_t m, int n, int k, const real *a, struct steps step, const real *b,
                           size_t ldb, const real *start, size_t start_ld, real *c, size_t ldc) {
    real wide[MOST_PADDED], out[MOST_PADDED], first[MOST_PADDED];
    const size_t ldo = (size_t)padded(n);
    const bool rising = start && start_ld > 0; /* a row of its own for every row */
    pad_rows((size_t)k, n, b, ldb, wide);
    if (start && !rising)
        pad_rows(1, n, start, 0, first);
    for (size_t i = 0; i < m; i += ROWS_PADDED) {
        const size_t rows = m - i < ROWS_PADDED ? m - i : ROWS_PADDED;
        if (rising)
            pad_rows(rows, n, start + i * start_ld, start_ld, first);
        small_product(rows, (int)ldo, k, a + i * step.row, step, wide, ldo, start ? first : NULL,
                      rising ? ldo : 0, out, ldo);
        for (size_t r = 0; r < rows; r++)
            memcpy(c + (i + r) * ldc, out + r * ldo, (size_t)n * sizeof *c);
    }
}

static void any_product(size_t m, int n, int k, const real *a, struct steps step, const real *b, size_t ldb,
                        const real *start, size_t start_ld, real *c, size_t ldc) {
    if (wants_padding(k, n))
        padded_product(m, n, k, a, step, b, ldb, start, start_ld, c, ldc);
    else
        small_product(m, n, k, a, step, b, ldb, start, start_ld, c, ldc);
}

static bool fits_panels(size_t rows, int inner, int columns) {
    return rows >= ROWS_AT_A_TIME && inner <= MOST_INNER && (HAS_MASKS || columns % LANES == 0);
}

/* Few rows at a time are those of token 0 alone, on its way to the score (last block, decoder). The rounding
 * of every sum there goes straight into the score, so they are summed in float64: this halves the rounding
 * error of a score and costs 0 (paper's sizes) to 7 % (width 32) of a forward pass. Tangents (no bias) are not. */
enum { FEW_ROWS = 64, ROWS_AT_ONCE = 2, WIDE_LANES = LANE_BYTES / (int)sizeof(double), VECTORS_AT_ONCE = 4 };
typedef double wide __attribute__((vector_size(WIDE_LANES * sizeof(double))));
typedef real narrow __attribute__((vector_size(WIDE_LANES * sizeof(real)), aligned(sizeof(real)), may_alias));

/* Some rows of x by a panel of columns of w, already wide; rows is a constant where this is called. */
SMALL_INLINE void wide_block(int rows, int in, const real *x, size_t ldx, const wide panel[][VECTORS_AT_ONCE],
                             const real *start, size_t start_ld, real *y, size_t ldy) {
    wide sum[ROWS_AT_ONCE][VECTORS_AT_ONCE];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS_AT_ONCE; v++)
            sum[r][v] = __builtin_convertvector(
                *(const narrow *)(start + (size_t)r * start_ld + v * WIDE_LANES), wide);
    for (int i = 0; i < in; i++)
#pragma GCC unroll 4
        for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
            for (int v = 0; v < VECTORS_AT_ONCE; v++)
                sum[r][v] += (double)x[(size_t)r * ldx + (size_t)i] * panel[i][v];
#pragma GCC unroll 4
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS_AT_ONCE; v++)
            *(narrow *)(y + (size_t)r * ldy + v * WIDE_LANES) = __builtin_convertvector(sum[r][v], narrow);
}

static void wide_panel(size_t rows, int in, int out, const real *x, size_t ldx, const real *w,
                       const real *start, size_t start_ld, real *y, size_t ldy) {
    wide panel[MOST_COLUMNS][VECTORS_AT_ONCE];
    size_t r = 0;
    for (int v = 0; v < VECTORS_AT_ONCE; v++)
        for (int i = 0; i < in; i++)
            panel[i][v] = __builtin_convertvector(
                *(const narrow *)(w + (size_t)i * (size_t)out + v * WIDE_LANES), wide);
    for (; r + ROWS_AT_ONCE <= rows; r += ROWS_AT_ONCE)
        wide_block(ROWS_AT_ONCE, in, x + r * ldx, ldx, panel, start + r * start_ld, start_ld, y + r * ldy,
                   ldy);
    for (; r < rows; r++)
        wide_block(1, in, x + r * ldx, ldx, panel, start + r * start_ld, start_ld, y + r * ldy, ldy);
}

static void linear_few_rows(size_t rows, int in, int out, const real *x, size_t ldx, const real *w,
                            const real *start, size_t start_ld, real *y, size_t ldy) {
    const int step = VECTORS_AT_ONCE * WIDE_LANES;
    int c = 0;
    for (; c + step <= out; c += step)
        wide_panel(rows, in, out, x, ldx, w + c, start + c, start_ld, y + c, ldy);
    for (; c < out; c++)
        for (size_t r = 0; r < rows; r++) {
            double sum = (double)start[r * start_ld + (size_t)c];
            for (int i = 0; i < in; i++)
                sum += (double)x[r * ldx + (size_t)i] * (double)w[(size_t)i * (size_t)out + (size_t)c];
            y[r * ldy + (size_t)c] = (real)sum;
        }
}

/* y = start + x w; start: y itself, one row for all (start_ld 0), or NULL. */
static void linear_from(size_t rows, int in, int out, const real *x, size_t ldx, const real *w,
                        const real *start, size_t start_ld, real *y, size_t ldy) {
    if (start && rows <= FEW_ROWS && in <= MOST_COLUMNS) {
        linear_few_rows(rows, in, out, x, ldx, w, start, start_ld, y, ldy);
        return;
    }
    if (is_small(in, out)) {
        any_product(rows, out, in, x, (struct steps){ldx, 1}, w, (size_t)out, start, start_ld, y, ldy);
        return;
    }
    if (fits_panels(rows, in, out)) {
        panel_product(rows, out, in, x, (struct steps){ldx, 1}, false, w, (size_t)out, start, start_ld, NULL,
                      y, ldy);
        return;
    }
    for (size_t r = 0; start && start != y && r < rows; r++)
        memcpy(y + r * ldy, start + r * start_ld, (size_t)out * sizeof *y);
    gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, out, in, 1, x, (int)ldx, w, out, start ? 1 : 0,
         y, (int)ldy);
}

static void linear(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                   const real *w, const real *b, real *y, size_t ldy) {
    (void)ops;
    if (rows > 0)
        linear_from(rows, in, out, x, ldx, w, b, 0, y, ldy);
}

/* Own products sum in order, so that parts give the bits of the whole; else every sum starts anew. */
static void linear_parts(const struct ops *ops, size_t rows, int parts, int in, int out, const real *x,
                         size_t ldx, const real *w, const real *b, real *sums) {
    const int columns = in / parts;
    const size_t plane = rows * (size_t)out;
    const bool in_order = rows > FEW_ROWS && (HAS_MASKS || out % LANES == 0) &&
                          (is_small(in, out) || fits_panels(rows, in, out));
    linear(ops, rows, columns, out, x, ldx, w, b, sums, (size_t)out);
    for (int m = 1; m < parts; m++) {
        const size_t first = (size_t)(m * columns);
        const real *before = sums + (size_t)(m - 1) * plane;
        real *sum = sums + (size_t)m * plane;
        if (in_order)
            linear_from(rows, columns, out, x + first, ldx, w + first * (size_t)out, before, (size_t)out, sum,
                        (size_t)out);
        else
            linear(ops, rows, (m + 1) * columns, out, x, ldx, w, b, sum, (size_t)out);
    }
}

static void linear_onto(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                        const real *w, const uint32_t *index, const real *start, size_t ld_start, real *y,
                        size_t ldy) {
    if (rows == 0)
        return;
    if (!index) {
        linear_from(rows, in, out, x, ldx, w, start, ld_start, y, ldy);
    } else if (rows > FEW_ROWS && !is_small(in, out) && fits_panels(rows, in, out)) {
        panel_product(rows, out, in, x, (struct steps){ldx, 1}, false, w, (size_t)out, start, ld_start, index,
                      y, ldy);
    } else {
        gather_rows(ops, rows, out, index, start, ld_start, y, ldy);
        linear_from(rows, in, out, x, ldx, w, y, ldy, y, ldy);
    }
}

static void column_sums(const struct ops *ops, size_t rows, int columns, const real *x, size_t ldx,
                        real *sum) {
    (void)ops;
    for (size_t r = 0; r < rows; r++) {
        const real *restrict row = x + r * ldx;
        for (int c = 0; c < columns; c++)
            sum[c] += row[c];
    }
}

static void small_backward(size_t rows, int in, int out, const real *x, size_t ldx, const real *w,
                           const real *dy, size_t ldy, real *dw, real *dx, size_t lddx, bool add) {
    for (size_t r = 0; r < rows; r += PANEL) {
        const int panel = rows - r < PANEL ? (int)(rows - r) : PANEL;
        any_product((size_t)in, out, panel, x + r * ldx, (struct steps){1, ldx}, dy + r * ldy, ldy, dw,
                    (size_t)out, dw, (size_t)out);
    }
    if (dx) {
        real turned[FEW_WEIGHTS];
        turn(in, out, 1, w, (size_t)out, turned, (size_t)in);
        any_product(rows, in, out, dy, (struct steps){ldy, 1}, turned, (size_t)in, add ? dx : NULL, lddx, dx,
                    lddx);
    }
}

/* dw += x^T dy, as many rows at a time as make panels. */
static void weights_backward(size_t rows, int in, int out, const real *x, size_t ldx, const real *dy,
                             size_t ldy, real *dw) {
    const size_t times = (rows + PANEL_ROWS - 1) / PANEL_ROWS, most = (rows + times - 1) / times;
    if (!fits_panels((size_t)in, (int)most, out)) {
        gemm(CblasRowMajor, CblasTrans, CblasNoTrans, in, out, (int)rows, 1, x, (int)ldx, dy, (int)ldy, 1, dw,
             out);
        return;
    }
    for (size_t r = 0; r < rows; r += most)
        panel_product((size_t)in, out, (int)(rows - r < most ? rows - r : most), x + r * ldx,
                      (struct steps){1, ldx}, false, dy + r * ldy, ldy, dw, (size_t)out, NULL, dw,
                      (size_t)out);
}

static void linear_backward(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                            const real *w, const real *dy, size_t ldy, real *dw, real *db, real *dx,
                            size_t lddx, bool add) {
    if (rows == 0)
        return;
    if (db)
        column_sums(ops, rows, out, dy, ldy, db);
    if (is_small(in, out)) {
        small_backward(rows, in, out, x, ldx, w, dy, ldy, dw, dx, lddx, add);
        return;
    }
    weights_backward(rows, in, out, x, ldx, dy, ldy, dw);
    if (dx && fits_panels(rows, out, in))
        panel_product(rows, in, out, dy, (struct steps){ldy, 1}, true, w, (size_t)out, add ? dx : NULL, lddx,
                      NULL, dx, lddx);
    else if (dx)
        gemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, in, out, 1, dy, (int)ldy, w, out,
             add ? 1 : 0, dx, (int)lddx);
}

/* ---- GELU ---- */

static void gelu(const struct ops *ops, size_t count, const real *x, real *y) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        y[i] = gelu_of(x[i]);
}

static void gelu_tangent(const struct ops *ops, size_t count, const real *x, const real *dx, real *dy) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        dy[i] = gelu_slope(x[i]) * dx[i];
}

static void gelu_backward(const struct ops *ops, size_t count, const real *x, const real *dy, real *dx) {
    gelu_tangent(ops, count, x, dy, dx); /* a diagonal Jacobian is its own transpose */
}

static void linear_gelu(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                        const real *w, const real *b, real *pre, real *post) {
    linear(ops, rows, in, out, x, ldx, w, b, pre, (size_t)out);
    gelu(ops, rows * (size_t)out, pre, post);
}

static void gelu_linear_backward(const struct ops *ops, size_t rows, int in, int out, const real *pre,
                                 const real *post, const real *w, const real *dy, size_t ldy, real *dw,
                                 real *db, real *dpre) {
    linear_backward(ops, rows, in, out, post, (size_t)in, w, dy, ldy, dw, db, dpre, (size_t)in, false);
    gelu_backward(ops, rows * (size_t)in, pre, dpre, dpre);
}

/* A slope serves all sets while it is in the first cache. */
static void gelu_tangents(const struct ops *ops, size_t sets, size_t count, const real *x, real *d) {
    enum { BLOCK = 512 };
    (void)ops;
    real slope[BLOCK];
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t n = count - first < BLOCK ? count - first : BLOCK;
        for (size_t i = 0; i < n; i++)
            slope[i] = gelu_slope(x[first + i]);
        for (size_t s = 0; s < sets; s++) {
            real *restrict to = d + s * count + first;
            for (size_t i = 0; i < n; i++)
                to[i] *= slope[i];
        }
    }
}

/* ---- layer norm ---- */

static void norm(const struct ops *ops, size_t rows, int columns, const real *a, size_t lda, const real *b,
                 size_t ldb, const real *scale, const real *offset, real *n, real *inverse_root, real *y,
                 size_t ldy) {
    (void)ops;
    for (size_t r = 0; r < rows; r++) {
        const real *restrict one = a + r * lda, *restrict two = b + r * ldb;
        real *restrict normal = n + r * (size_t)columns, *restrict to = y + r * ldy;
        real sum = 0, square = 0;
        for (int c = 0; c < columns; c++) {
            normal[c] = one[c] + two[c];
            sum += normal[c];
        }
        const real mean = sum / (real)columns;
        for (int c = 0; c < columns; c++) {
            normal[c] -= mean;
            square += normal[c] * normal[c];
        }
        const real inverse = 1 / sqrt_real(square / (real)columns + (real)1e-5);
        inverse_root[r] = inverse;
        for (int c = 0; c < columns; c++) {
            normal[c] *= inverse;
            to[c] = scale[c] * normal[c] + offset[c];
        }
    }
}

static void norm_tangent(const struct ops *ops, size_t sets, size_t rows, int columns, const real *da,
                         size_t ldda, const real *db, size_t lddb, const real *scale, const real *n,
                         const real *inverse_root, real *dy) {
    (void)ops;
    real sum[MOST_COLUMNS];
    for (size_t i = 0; i < sets * rows; i++) { /* row after row, so that n is read once */
        const size_t r = i / sets, m = i % sets * rows + r;
        real *to = dy + m * (size_t)columns;
        const real *u = da + m * ldda;
        for (int c = 0; db && c < columns; c++)
            sum[c] = u[c] + db[m * lddb + (size_t)c];
        normalise_tangent(columns, db ? sum : u, n + r * (size_t)columns, inverse_root[r], to);
        for (int c = 0; c < columns; c++)
            to[c] *= scale[c];
    }
}

static void norm_backward(const struct ops *ops, size_t rows, int columns, const real *scale, const real *n,
                          const real *inverse_root, const real *dy, size_t lddy, real *dscale, real *doffset,
                          real *du, size_t lddu) {
    (void)ops;
    real scaled[MOST_COLUMNS];
    for (size_t r = 0; r < rows; r++) {
        const real *restrict up = dy + r * lddy, *restrict normal = n + r * (size_t)columns;
        for (int c = 0; c < columns; c++) {
            dscale[c] += up[c] * normal[c];
            doffset[c] += up[c];
            scaled[c] = up[c] * scale[c];
        }
        normalise_tangent(columns, scaled, normal, inverse_root[r], du + r * lddu);
    }
}

static void trace(const struct ops *ops, size_t count, int d, const real *tangent, real *out) {
    (void)ops;
    for (size_t i = 0; i < count; i++) {
        out[i] = 0;
        for (size_t a = 0; a < (size_t)d; a++)
            out[i] += tangent[(a * count + i) * (size_t)d + a];
    }
}

void FILL(network)(struct ops *table) {
    table->window_offsets = window_offsets;
    table->propulsion_rows = propulsion_rows;
    table->gather_rows = gather_rows;
    table->scatter_rows = scatter_rows;
    table->linear = linear;
    table->linear_parts = linear_parts;
    table->linear_onto = linear_onto;
    table->column_sums = column_sums;
    table->linear_backward = linear_backward;
    table->gelu = gelu;
    table->gelu_tangent = gelu_tangent;
    table->gelu_backward = gelu_backward;
    table->linear_gelu = linear_gelu;
    table->gelu_linear_backward = gelu_linear_backward;
    table->gelu_tangents = gelu_tangents;
    table->norm = norm;
    table->norm_tangent = norm_tangent;
    table->norm_backward = norm_backward;
    table->trace = trace;
}
