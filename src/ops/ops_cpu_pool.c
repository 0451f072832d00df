/* Attention where little moves or one token asks, on the CPU: what is left of it once the products that such
 * cases do not need are gone. */
#include "ops/network_loops.h"

#include "ops/precision.h"
#include "ops/rows.h"
#include "ops/softmax.h"

/* y += factor x */
static void add(int n, real factor, const real *restrict x, real *restrict y) {
    for (int i = 0; i < n; i++)
        y[i] += factor * x[i];
}

/* ---- token 0 alone moves ---- */

/* One head of a window; pointers are to its token 0, `columns` of `ld` numbers each. Logit m of query 0 moves by
 * dq . k_m. */
static void own_query(int tokens, int columns, size_t ld, real scale, const real *k, const real *v,
                      const real *p, const real *dq, real *dout) {
    real dp[MOST_TOKENS];
    for (int m = 0; m < tokens; m++)
        dp[m] = scale * dot(columns, dq, k + (size_t)m * ld);
    softmax_tangent_row(tokens, p, dp);
    for (int m = 0; m < tokens; m++)
        add(columns, dp[m], v + (size_t)m * ld, dout);
}

static void attention_tangent_query(const struct ops *ops, size_t sets, size_t windows, int queries,
                                    int tokens, int heads, int width, const real *k, const real *v,
                                    const real *p, const real *dq, real *dout) {
    (void)ops;
    const int columns = width / heads;
    const size_t ld = (size_t)width;
    const real scale = 1 / sqrt_real((real)columns);
    memset(dout, 0, sets * windows * ld * sizeof *dout);
    for (size_t w = 0; w < windows; w++)
        for (int h = 0; h < heads; h++) {
            const size_t part = (size_t)(h * columns), token = w * (size_t)tokens * ld + part;
            const real *weight = p + (w * (size_t)heads + (size_t)h) * (size_t)queries * (size_t)tokens;
            for (size_t s = 0; s < sets; s++) { /* in here: what does not move is read once */
                const size_t moved = (s * windows + w) * ld + part;
                own_query(tokens, columns, ld, scale, k + token, v + token, weight, dq + moved, dout + moved);
            }
        }
}

/* Logit 0 of every query moves: all its weights do. A row of du, of one head. */
static void move_row(int width, real slope, real weight, const real *restrict value, const real *restrict sum,
                     const real *restrict before, const real *restrict dvalue, real *restrict du) {
    for (int c = 0; c < width; c++)
        du[c] += slope * (value[c] - (sum[c] - before[c])) + weight * dvalue[c];
}

static void attention_tangent_key(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                                  int heads, int width, const real *q, const real *p, const real *sums,
                                  const real *b, const real *value, const real *dk, const real *dvalue,
                                  real *du) {
    (void)ops;
    const int columns = width / heads;
    const size_t ld = (size_t)width, rows = windows * (size_t)queries;
    const real scale = 1 / sqrt_real((real)columns);
    memset(du, 0, sets * rows * ld * sizeof *du);
    for (size_t i = 0; i < rows * (size_t)heads; i++) {
        const size_t row = i / (size_t)heads, h = i % (size_t)heads, w = row / (size_t)queries;
        const size_t part = h * (size_t)columns, source = (w * (size_t)heads + h) * ld;
        const real *sum = sums + (h * rows + row) * ld, *before = h > 0 ? sum - rows * ld : b;
        const real weight =
            p[((w * (size_t)heads + h) * (size_t)queries + row % (size_t)queries) * (size_t)tokens];
        for (size_t s = 0; s < sets; s++) {
            const real *moved = dk + (s * windows + w) * ld + part;
            const real slope = weight * scale * dot(columns, q + row * ld + part, moved);
            move_row(width, slope, weight, value + source, sum, before,
                     dvalue + s * windows * (size_t)heads * ld + source, du + (s * rows + row) * ld);
        }
    }
}

/* ---- token 0 alone asks ---- */

static void turn_back(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                      const real *w, real *y) {
    (void)ops;
    const int columns = width / heads;
    for (int h = 0; h < heads; h++)
        gemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, width, columns, (real)factor,
             x + h * columns, width, w + h * columns, width, 0, y + (size_t)h * (size_t)width, heads * width);
}

static void carry_on(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                     const real *w, const real *b, real *y) {
    (void)ops;
    const int columns = width / heads;
    for (size_t r = 0; b && r < rows; r++)
        memcpy(y + r * (size_t)width, b, (size_t)width * sizeof *y);
    for (int h = 0; h < heads; h++)
        gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, columns, width, (real)factor,
             x + (size_t)h * (size_t)width, heads * width, w + h * columns, width, b ? 1 : 0, y + h * columns,
             width);
}

static void head_weights(const struct ops *ops, size_t rows, int heads, int width, double factor,
                         const real *x, const real *y, real *dw) {
    (void)ops;
    const int columns = width / heads;
    for (int h = 0; h < heads; h++)
        gemm(CblasRowMajor, CblasTrans, CblasNoTrans, width, columns, (int)rows, (real)factor,
             x + (size_t)h * (size_t)width, heads * width, y + h * columns, width, 1, dw + h * columns,
             width);
}

/* The window's weights, or what moves them, are made for as many heads at a time as fit here. */
enum { SCRATCH = 1 << 14 };

static int heads_at_once(int heads, int tokens) {
    const int fit = tokens < SCRATCH ? SCRATCH / tokens : 1;
    return fit < heads ? fit : heads;
}

/* p (heads, tokens) = or += r (heads, width) . t (tokens, width) */
static void logits(int heads, int tokens, int width, const real *r, const real *t, bool more, real *p) {
    gemm(CblasRowMajor, CblasNoTrans, CblasTrans, heads, tokens, width, 1, r, width, t, width, more ? 1 : 0,
         p, tokens);
}

/* z (heads, width) = or += p (heads, tokens) t (tokens, width) */
static void means(int heads, int tokens, int width, const real *p, const real *t, bool more, real *z) {
    small_product((size_t)heads, width, tokens, p, (struct steps){(size_t)tokens, 1}, t, (size_t)width,
                  more ? z : NULL, (size_t)width, z, (size_t)width);
}

/* t (tokens, width) += p^T z: back from means to what was averaged. */
static void spread(int heads, int tokens, int width, const real *p, const real *z, real *t) {
    small_product((size_t)tokens, width, heads, p, (struct steps){1, (size_t)tokens}, z, (size_t)width, t,
                  (size_t)width, t, (size_t)width);
}

static void pool(const struct ops *ops, size_t windows, int tokens, int heads, int width, const real *t,
                 const real *r, real *p, real *z) {
    (void)ops;
    const size_t all = (size_t)tokens * (size_t)width, asked = (size_t)heads * (size_t)width;
    for (size_t w = 0; w < windows; w++) {
        real *weight = p + w * (size_t)heads * (size_t)tokens;
        logits(heads, tokens, width, r + w * asked, t + w * all, false, weight);
        for (int h = 0; h < heads; h++)
            softmax_row(tokens, weight + h * tokens, weight + h * tokens);
        means(heads, tokens, width, weight, t + w * all, false, z + w * asked);
    }
}

static void pool_tangent(const struct ops *ops, size_t sets, size_t windows, int tokens, int heads, int width,
                         const real *t, const real *p, const real *r, const real *dt, const real *dr,
                         real *dz) {
    (void)ops;
    const size_t all = (size_t)tokens * (size_t)width, asked = (size_t)heads * (size_t)width;
    const int most = heads_at_once(heads, tokens);
    real dp[SCRATCH];
    for (size_t s = 0; s < sets; s++)
        for (size_t w = 0; w < windows; w++)
            for (int h = 0; h < heads; h += most) {
                const int n = heads - h < most ? heads - h : most;
                const size_t row = w * asked + (size_t)(h * width), set = s * windows * asked + row;
                const real *weight = p + (w * (size_t)heads + (size_t)h) * (size_t)tokens;
                const real *still = t + w * all, *moved = dt + (s * windows + w) * all;
                logits(n, tokens, width, dr + set, still, false, dp);
                logits(n, tokens, width, r + row, moved, true, dp);
                for (int m = 0; m < n; m++)
                    softmax_tangent_row(tokens, weight + m * tokens, dp + m * tokens);
                means(n, tokens, width, dp, still, false, dz + set);
                means(n, tokens, width, weight, moved, true, dz + set);
            }
}

static void pool_backward(const struct ops *ops, size_t windows, int tokens, int heads, int width,
                          const real *t, const real *p, const real *r, const real *dz, real *dr, real *dt) {
    (void)ops;
    const size_t all = (size_t)tokens * (size_t)width, asked = (size_t)heads * (size_t)width;
    const int most = heads_at_once(heads, tokens);
    real dp[SCRATCH];
    for (size_t w = 0; w < windows; w++)
        for (int h = 0; h < heads; h += most) {
            const int n = heads - h < most ? heads - h : most;
            const size_t row = w * asked + (size_t)(h * width);
            const real *weight = p + (w * (size_t)heads + (size_t)h) * (size_t)tokens;
            logits(n, tokens, width, dz + row, t + w * all, false, dp);
            for (int m = 0; m < n; m++)
                softmax_tangent_row(tokens, weight + m * tokens, dp + m * tokens);
            means(n, tokens, width, dp, t + w * all, false, dr + row);
            spread(n, tokens, width, weight, dz + row, dt + w * all);
            spread(n, tokens, width, dp, r + row, dt + w * all);
        }
}

void FILL(pool)(struct ops *table) {
    table->attention_tangent_query = attention_tangent_query;
    table->attention_tangent_key = attention_tangent_key;
    table->turn_back = turn_back;
    table->carry_on = carry_on;
    table->head_weights = head_weights;
    table->pool = pool;
    table->pool_tangent = pool_tangent;
    table->pool_backward = pool_backward;
}
