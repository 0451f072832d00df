/* Attention where little moves or one token asks, on the CPU: what is left of it once the products that such
 * cases do not need are gone. */
#include "ops/ops_cpu.h"

#include <cblas.h>
#include <math.h>

#ifdef EPFLOW_FLOAT64
#define gemm cblas_dgemm
#define sqrt_real sqrt
#else
#define gemm cblas_sgemm
#define sqrt_real sqrtf
#endif

static real dot(int n, const real *restrict a, const real *restrict b) {
    real sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* y += factor x */
static void add(int n, real factor, const real *restrict x, real *restrict y) {
    for (int i = 0; i < n; i++)
        y[i] += factor * x[i];
}

/* ---- token 0 alone moves ---- */

/* One head of a window; pointers are to its token 0, `columns` of `ld` numbers each. Logit m of query 0 moves by
 * dq . k_m: its output by sum p_m (l_m - mean) v_m. */
static void own_query(int tokens, int columns, size_t ld, real scale, const real *k, const real *v,
                      const real *p, const real *dq, real *dout) {
    real mean = 0;
    for (int m = 0; m < tokens; m++)
        mean += p[m] * scale * dot(columns, dq, k + (size_t)m * ld);
    for (int m = 0; m < tokens; m++)
        add(columns, p[m] * (scale * dot(columns, dq, k + (size_t)m * ld) - mean), v + (size_t)m * ld, dout);
}

/* Logit 0 of every query j moves by q_j . dk: all its weights move, and its output by p_0 q_j . dk (v_0 - out_j). */
static void own_key_and_value(int queries, int tokens, int columns, size_t ld, real scale, const real *q,
                              const real *v, const real *p, const real *out, const real *dk, const real *dv,
                              real *dout) {
    for (int j = 0; j < queries; j++) {
        const size_t row = (size_t)j * ld;
        const real weight = p[(size_t)j * (size_t)tokens];
        const real slope = weight * scale * dot(columns, q + row, dk);
        const real *restrict still = out + row;
        real *restrict to = dout + row;
        for (int c = 0; c < columns; c++)
            to[c] = slope * (v[c] - still[c]) + weight * dv[c];
    }
}

void cpu_attention_tangent_own(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                               int heads, int width, const real *q, const real *k, const real *v,
                               const real *p, const real *out, const real *dq, const real *dk, const real *dv,
                               real *dout) {
    (void)ops;
    const int columns = width / heads;
    const size_t ld = (size_t)width, asking = (size_t)queries * ld, all = (size_t)tokens * ld;
    const real scale = 1 / sqrt_real((real)columns);
    for (size_t s = 0; s < sets; s++)
        for (size_t w = 0; w < windows; w++)
            for (int h = 0; h < heads; h++) {
                const size_t part = (size_t)h * (size_t)columns, moved = (s * windows + w) * ld + part;
                const real *weight = p + (w * (size_t)heads + (size_t)h) * (size_t)queries * (size_t)tokens;
                real *to = dout + (s * windows + w) * asking + part;
                own_key_and_value(queries, tokens, columns, ld, scale, q + w * asking + part,
                                  v + w * all + part, weight, out + w * asking + part, dk + moved, dv + moved,
                                  to);
                own_query(tokens, columns, ld, scale, k + w * all + part, v + w * all + part, weight,
                          dq + moved, to);
            }
}

/* ---- token 0 alone asks ---- */

void cpu_turn_back(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                   const real *w, real *y) {
    (void)ops;
    const int columns = width / heads;
    for (int h = 0; h < heads; h++)
        gemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)rows, width, columns, (real)factor,
             x + h * columns, width, w + h * columns, width, 0, y + (size_t)h * (size_t)width, heads * width);
}

void cpu_carry_on(const struct ops *ops, size_t rows, int heads, int width, const real *x, const real *w,
                  real *y) {
    (void)ops;
    const int columns = width / heads;
    for (int h = 0; h < heads; h++)
        gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, columns, width, 1,
             x + (size_t)h * (size_t)width, heads * width, w + h * columns, width, 0, y + h * columns, width);
}

/* A window: tangents of the weights, dp_j = p_j (l_j - mean) with l_j = dr . t_j + r . dt_j, into dp (heads,
 * tokens). */
static void pool_weights(int tokens, int heads, int width, const real *t, const real *p, const real *r,
                         const real *dt, const real *dr, real *dp) {
    gemm(CblasRowMajor, CblasNoTrans, CblasTrans, heads, tokens, width, 1, dr, width, t, width, 0, dp,
         tokens);
    gemm(CblasRowMajor, CblasNoTrans, CblasTrans, heads, tokens, width, 1, r, width, dt, width, 1, dp,
         tokens);
    for (int h = 0; h < heads; h++) {
        real *restrict row = dp + (size_t)h * (size_t)tokens;
        const real *restrict weight = p + (size_t)h * (size_t)tokens;
        const real mean = dot(tokens, weight, row);
        for (int j = 0; j < tokens; j++)
            row[j] = weight[j] * (row[j] - mean);
    }
}

enum { SCRATCH = 1 << 14 };

void cpu_pool_tangent(const struct ops *ops, size_t sets, size_t windows, int tokens, int heads, int width,
                      const real *t, const real *p, const real *r, const real *dt, const real *dr, real *dz) {
    (void)ops;
    const size_t all = (size_t)tokens * (size_t)width;
    const int most = tokens < SCRATCH ? SCRATCH / tokens : 1; /* heads at once */
    real dp[SCRATCH];
    for (size_t s = 0; s < sets; s++)
        for (size_t w = 0; w < windows; w++)
            for (int h = 0; h < heads; h += most) {
                const int n = heads - h < most ? heads - h : most;
                const size_t head = (w * (size_t)heads + (size_t)h), row = head * (size_t)width;
                const size_t set = s * windows * (size_t)heads * (size_t)width + row;
                const real *weight = p + head * (size_t)tokens, *moved = dt + (s * windows + w) * all;
                pool_weights(tokens, n, width, t + w * all, weight, r + row, moved, dr + set, dp);
                gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, width, tokens, 1, dp, tokens, t + w * all,
                     width, 0, dz + set, width);
                gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, width, tokens, 1, weight, tokens, moved,
                     width, 1, dz + set, width);
            }
}
