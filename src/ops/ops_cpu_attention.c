/* Attention inside windows on the CPU, forward, tangent and backward, written once in terms of three small
 * matrix products per window and head. Large products go to OpenBLAS; small ones (17 tokens, 8 columns a
 * head) are loops here, because a call would cost more than the product. */
#include "ops/ops_cpu.h"

#include <cblas.h>
#include <math.h>

#include "ops/small_product.h"
#include "ops/softplus_formula.h"

#ifdef EPFLOW_FLOAT64
#define gemm cblas_dgemm
#define sqrt_real sqrt
#define exp_negative exp_negative_d
#define LEAST_EXPONENT ((real)-700)
#else
#define gemm cblas_sgemm
#define sqrt_real sqrtf
#define exp_negative exp_negative_f
#define LEAST_EXPONENT ((real)-80)
#endif

/* A product of a window and head below this number of multiplications is a loop here. */
enum { SMALL_PRODUCT = 1 << 15, SMALL_COLUMNS = 64, SMALL_TOKENS = 128 };

static bool is_small(int m, int n, int k) {
    return (long)m * n * k <= SMALL_PRODUCT;
}

/* c (m, n) = or += a (m, k) b (k, n), a read as its transpose if `flip` (then a is (k, m) in memory). */
static void product(int m, int n, int k, bool flip, const real *a, size_t lda, const real *b, size_t ldb,
                    bool add, real *c, size_t ldc) {
    if (is_small(m, n, k)) {
        const struct steps step = flip ? (struct steps){1, lda} : (struct steps){lda, 1};
        small_product((size_t)m, n, k, a, step, b, ldb, add ? c : NULL, ldc, c, ldc);
        return;
    }
    gemm(CblasRowMajor, flip ? CblasTrans : CblasNoTrans, CblasNoTrans, m, n, k, 1, a, (int)lda, b, (int)ldb,
         add ? 1 : 0, c, (int)ldc);
}

/* c (m, n) = or += factor a (m, k) b (n, k)^T. */
static void product_transposed(int m, int n, int k, real factor, const real *a, size_t lda, const real *b,
                               size_t ldb, bool add, real *c, size_t ldc) {
    if (is_small(m, n, k) && n <= SMALL_TOKENS && k <= SMALL_COLUMNS) {
        real turned[SMALL_COLUMNS * SMALL_TOKENS];
        turn(n, k, factor, b, ldb, turned, (size_t)n);
        small_product((size_t)m, n, k, a, (struct steps){lda, 1}, turned, (size_t)n, add ? c : NULL, ldc, c,
                      ldc);
        return;
    }
    gemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, factor, a, (int)lda, b, (int)ldb, add ? 1 : 0, c,
         (int)ldc);
}

static void softmax_row(int n, real *restrict x) {
    real largest = x[0], sum = 0;
    for (int j = 1; j < n; j++)
        largest = x[j] > largest ? x[j] : largest;
    for (int j = 0; j < n; j++) {
        real t = x[j] - largest;
        x[j] = exp_negative(t > LEAST_EXPONENT ? t : LEAST_EXPONENT);
        sum += x[j];
    }
    const real inverse = 1 / sum;
    for (int j = 0; j < n; j++)
        x[j] *= inverse;
}

/* dp -> p (dp - sum p dp): the softmax Jacobian, symmetric. */
static void softmax_tangent_row(int n, const real *restrict p, real *restrict dp) {
    real along = 0;
    for (int j = 0; j < n; j++)
        along += p[j] * dp[j];
    for (int j = 0; j < n; j++)
        dp[j] = p[j] * (dp[j] - along);
}

/* Where window w and head h are in each array. */
struct part {
    size_t query, token,
        weight;  /* offsets in (.., queries, width), (.., tokens, width), (.., queries, tokens) */
    int columns; /* width of a head */
    real scale;  /* of the logits */
};

static struct part part_of(size_t w, int h, int queries, int tokens, int heads, int width) {
    const int columns = width / heads;
    return (struct part){.query = w * (size_t)queries * (size_t)width + (size_t)(h * columns),
                         .token = w * (size_t)tokens * (size_t)width + (size_t)(h * columns),
                         .weight = (w * (size_t)heads + (size_t)h) * (size_t)queries * (size_t)tokens,
                         .columns = columns,
                         .scale = 1 / sqrt_real((real)columns)};
}

void cpu_attention(const struct ops *ops, size_t windows, int queries, int tokens, int heads, int width,
                   const real *q, const real *k, const real *v, real *p, real *out) {
    (void)ops;
    const size_t ld = (size_t)width, ldp = (size_t)tokens;
    for (size_t w = 0; w < windows; w++)
        for (int h = 0; h < heads; h++) {
            struct part at = part_of(w, h, queries, tokens, heads, width);
            real *weight = p + at.weight;
            product_transposed(queries, tokens, at.columns, at.scale, q + at.query, ld, k + at.token, ld,
                               false, weight, ldp);
            for (int i = 0; i < queries; i++)
                softmax_row(tokens, weight + (size_t)i * ldp);
            product(queries, at.columns, tokens, false, weight, ldp, v + at.token, ld, false, out + at.query,
                    ld);
        }
}

/* Tangent and backward need one more array like p; it is made for as many queries at a time as fit here. */
enum { SCRATCH = 1 << 14 };

static int queries_at_once(int queries, int tokens) {
    int fit = SCRATCH / tokens;
    return fit < 1 ? 1 : fit < queries ? fit : queries;
}

void cpu_attention_tangent(const struct ops *ops, size_t windows, int queries, int tokens, int heads,
                           int width, const real *q, const real *k, const real *v, const real *p,
                           const real *dq, const real *dk, const real *dv, real *dout) {
    (void)ops;
    const size_t ld = (size_t)width, ldp = (size_t)tokens;
    const int most = queries_at_once(queries, tokens);
    real dp[SCRATCH];
    for (size_t w = 0; w < windows; w++)
        for (int h = 0; h < heads; h++) {
            struct part at = part_of(w, h, queries, tokens, heads, width);
            for (int first = 0; first < queries; first += most) {
                const int n = queries - first < most ? queries - first : most, c = at.columns;
                const size_t row = at.query + (size_t)first * ld;
                const real *weight = p + at.weight + (size_t)first * ldp;
                product_transposed(n, tokens, c, at.scale, dq + row, ld, k + at.token, ld, false, dp, ldp);
                product_transposed(n, tokens, c, at.scale, q + row, ld, dk + at.token, ld, true, dp, ldp);
                for (int i = 0; i < n; i++)
                    softmax_tangent_row(tokens, weight + (size_t)i * ldp, dp + (size_t)i * ldp);
                product(n, c, tokens, false, weight, ldp, dv + at.token, ld, false, dout + row, ld);
                product(n, c, tokens, false, dp, ldp, v + at.token, ld, true, dout + row, ld);
            }
        }
}

void cpu_attention_backward(const struct ops *ops, size_t windows, int queries, int tokens, int heads,
                            int width, const real *q, const real *k, const real *v, const real *p,
                            const real *dout, real *dq, real *dk, real *dv) {
    (void)ops;
    const size_t ld = (size_t)width, ldp = (size_t)tokens;
    const int most = queries_at_once(queries, tokens);
    real dp[SCRATCH];
    for (size_t w = 0; w < windows; w++)
        for (int h = 0; h < heads; h++) {
            struct part at = part_of(w, h, queries, tokens, heads, width);
            for (int first = 0; first < queries; first += most) {
                const int n = queries - first < most ? queries - first : most, c = at.columns;
                const size_t row = at.query + (size_t)first * ld;
                const real *weight = p + at.weight + (size_t)first * ldp;
                product(tokens, c, n, true, weight, ldp, dout + row, ld, first > 0, dv + at.token, ld);
                product_transposed(n, tokens, c, 1, dout + row, ld, v + at.token, ld, false, dp, ldp);
                for (int i = 0; i < n; i++) {
                    softmax_tangent_row(tokens, weight + (size_t)i * ldp, dp + (size_t)i * ldp);
                    for (int j = 0; j < tokens; j++)
                        dp[(size_t)i * ldp + (size_t)j] *= at.scale;
                }
                product(n, c, tokens, false, dp, ldp, k + at.token, ld, false, dq + row, ld);
                product(tokens, c, n, true, dp, ldp, q + row, ld, first > 0, dk + at.token, ld);
            }
        }
}
