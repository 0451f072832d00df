/* Attention inside windows on the CPU, forward, tangent and backward, written once in terms of three small
 * matrix products per window and head. Large products go to OpenBLAS; those of windows like the paper's (65 tokens, 64
 * columns a head) and smaller are loops here, which are faster at such sizes. */
#include "ops/network_loops.h"

#include "ops/precision.h"
#include "ops/rows.h"
#include "ops/small_product.h"
#include "ops/softmax.h"

/* Heads and windows up to these sizes are multiplied by loops here: their operands stay in the first cache. */
enum { SMALL_COLUMNS = 64, SMALL_TOKENS = 128, SMALL_TURNED = SMALL_COLUMNS * SMALL_TOKENS };

static bool is_small(int tokens, int columns) {
    return tokens <= SMALL_TOKENS && columns <= SMALL_COLUMNS;
}

/* c (m, n) = or += a (m, k) b (k, n), a read as its transpose if `flip` (then a is (k, m) in memory). */
static void product(bool small, int m, int n, int k, bool flip, const real *a, size_t lda, const real *b,
                    size_t ldb, bool add, real *c, size_t ldc) {
    if (small) {
        const struct steps step = flip ? (struct steps){1, lda} : (struct steps){lda, 1};
        small_product((size_t)m, n, k, a, step, b, ldb, add ? c : NULL, ldc, c, ldc);
        return;
    }
    gemm(CblasRowMajor, flip ? CblasTrans : CblasNoTrans, CblasNoTrans, m, n, k, 1, a, (int)lda, b, (int)ldb,
         add ? 1 : 0, c, (int)ldc);
}

/* Tokens up to here that do not fill a vector cost less as single sums than as a vector: token 0, where neighbours fill
 * the others. */
enum { FEW_TOKENS = 2 };

static int turned_tokens(int tokens) {
    const int rest = tokens % LANES;
    return rest <= FEW_TOKENS ? tokens - rest : tokens;
}

/* c (m, n), rows padded, = or += factor a (m, k) b (n, k)^T. turned (SMALL_TURNED) keeps the transpose for a next time
 * with the same b, which is told by `again`. */
static void product_transposed(bool small, int m, int n, int k, real factor, const real *a, size_t lda,
                               const real *b, size_t ldb, bool add, real *c, real *turned, bool again) {
    const int ldc = padded(n), most = turned_tokens(n), ldt = padded(most);
    if (!small) {
        gemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, factor, a, (int)lda, b, (int)ldb, add ? 1 : 0,
             c, ldc);
        return;
    }
    if (!again)
        turn(most, k, factor, b, ldb, turned, (size_t)ldt);
    small_product((size_t)m, HAS_MASKS ? most : ldt, k, a, (struct steps){lda, 1}, turned, (size_t)ldt,
                  add ? c : NULL, (size_t)ldc, c, (size_t)ldc);
    for (int i = 0; i < m; i++)
        for (int j = most; j < n; j++) {
            real *sum = c + i * ldc + j;
            *sum = factor * dot(k, a + (size_t)i * lda, b + (size_t)j * ldb) + (add ? *sum : 0);
        }
}

/* One head of one window: where it is in each array. */
struct part {
    size_t query, token,
        weight;  /* offsets in (.., queries, width), (.., tokens, width), (.., queries, tokens) */
    int columns; /* width of a head */
    real scale;  /* of the logits */
};

/* Part i of windows x heads; past the last one, the last. */
static struct part part_of(size_t i, size_t windows, int queries, int tokens, int heads, int width) {
    const int columns = width / heads;
    const size_t last = windows * (size_t)heads - 1, part = i < last ? i : last;
    const size_t w = part / (size_t)heads, first = part % (size_t)heads * (size_t)columns;
    return (struct part){.query = w * (size_t)queries * (size_t)width + first,
                         .token = w * (size_t)tokens * (size_t)width + first,
                         .weight = part * (size_t)queries * (size_t)tokens,
                         .columns = columns,
                         .scale = 1 / sqrt_real((real)columns)};
}

/* Asks for rows of the next part while one is at work: the machine does not foresee rows that lie apart. */
static void fetch(int rows, int columns, const real *from, size_t ld) {
    enum { LINE = 64 / (int)sizeof(real) };
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j += LINE)
            __builtin_prefetch(from + (size_t)i * ld + j, 0, 2);
}

/* A window and head has its weights made, or moved, for as many queries at a time as fit here. */
enum { SCRATCH = 1 << 14 };

static int queries_at_once(int queries, int tokens) {
    int fit = SCRATCH / padded(tokens);
    return fit < 1 ? 1 : fit < queries ? fit : queries;
}

static void attention(const struct ops *ops, size_t windows, int queries, int tokens, int heads, int width,
                      const real *q, const real *k, const real *v, real *p, real *out) {
    (void)ops;
    const size_t ld = (size_t)width, ldp = (size_t)tokens, ldx = (size_t)padded(tokens);
    const int most = queries_at_once(queries, tokens);
    const bool small = is_small(tokens, width / heads);
    _Alignas(64) real x[SCRATCH], turned[SMALL_TURNED];
    for (size_t i = 0; i < windows * (size_t)heads; i++) {
        const struct part at = part_of(i, windows, queries, tokens, heads, width);
        const struct part next = part_of(i + 1, windows, queries, tokens, heads, width);
        fetch(queries, at.columns, q + next.query, ld);
        fetch(tokens, at.columns, k + next.token, ld);
        fetch(tokens, at.columns, v + next.token, ld);
        for (int first = 0; first < queries; first += most) {
            const int n = queries - first < most ? queries - first : most;
            const size_t row = at.query + (size_t)first * ld;
            real *weight = p + at.weight + (size_t)first * ldp;
            product_transposed(small, n, tokens, at.columns, at.scale, q + row, ld, k + at.token, ld, false,
                               x, turned, first > 0);
            for (size_t r = 0; r < (size_t)n; r++)
                softmax_row(tokens, x + r * ldx, weight + r * ldp);
            product(small, n, at.columns, tokens, false, weight, ldp, v + at.token, ld, false, out + row, ld);
        }
    }
}

/* One window, head and set, for some queries; dp and turned are scratch, but turned_k that of an earlier call for the
 * same keys, if `again`. */
static void move(bool small, int n, int tokens, struct part at, size_t ld, const real *q, const real *k,
                 const real *v, const real *p, const real *dq, const real *dk, const real *dv, real *turned_k,
                 bool again, real *turned, real *dp, real *dout) {
    const size_t ldp = (size_t)tokens, ldx = (size_t)padded(tokens);
    const int c = at.columns;
    product_transposed(small, n, tokens, c, at.scale, dq, ld, k, ld, false, dp, turned_k, again);
    product_transposed(small, n, tokens, c, at.scale, q, ld, dk, ld, true, dp, turned, false);
    for (size_t i = 0; i < (size_t)n; i++)
        softmax_tangent_row(tokens, p + i * ldp, dp + i * ldx);
    product(small, n, c, tokens, false, p, ldp, dv, ld, false, dout, ld);
    product(small, n, c, tokens, false, dp, ldx, v, ld, true, dout, ld);
}

static void attention_tangents(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                               int heads, int width, const real *q, const real *k, const real *v,
                               const real *p, const real *dq, const real *dk, const real *dv, real *dout) {
    (void)ops;
    const size_t ld = (size_t)width, asked = windows * (size_t)queries * ld,
                 all = windows * (size_t)tokens * ld;
    const int most = queries_at_once(queries, tokens), c = width / heads;
    const bool small = is_small(tokens, c);
    _Alignas(64) real dp[SCRATCH], turned_k[SMALL_TURNED], turned[SMALL_TURNED];
    const size_t parts = windows * (size_t)heads;
    for (size_t i = 0; i < parts * sets; i++) { /* set after set of a part: what does not move is read once */
        const size_t s = i % sets, then = (i + 1) % sets;
        const struct part at = part_of(i / sets, windows, queries, tokens, heads, width);
        const struct part next = part_of((i + 1) / sets, windows, queries, tokens, heads, width);
        fetch(queries, c, dq + then * asked + next.query, ld);
        fetch(tokens, c, dk + then * all + next.token, ld);
        fetch(tokens, c, dv + then * all + next.token, ld);
        fetch(queries, c, dout + then * asked + next.query, ld);
        if (then == 0) {
            fetch(queries, c, q + next.query, ld);
            fetch(tokens, c, k + next.token, ld);
            fetch(tokens, c, v + next.token, ld);
        }
        for (int first = 0; first < queries; first += most) {
            const int n = queries - first < most ? queries - first : most;
            const size_t row = at.query + (size_t)first * ld, moved = s * asked + row;
            move(small, n, tokens, at, ld, q + row, k + at.token, v + at.token,
                 p + at.weight + (size_t)first * (size_t)tokens, dq + moved, dk + s * all + at.token,
                 dv + s * all + at.token, turned_k, s > 0 || first > 0, turned, dp, dout + moved);
        }
    }
}

static void attention_backward(const struct ops *ops, size_t windows, int queries, int tokens, int heads,
                               int width, const real *q, const real *k, const real *v, const real *p,
                               const real *dout, real *dq, real *dk, real *dv) {
    (void)ops;
    const size_t ld = (size_t)width, ldp = (size_t)tokens, ldx = (size_t)padded(tokens);
    const int most = queries_at_once(queries, tokens), c = width / heads;
    const bool small = is_small(tokens, c);
    _Alignas(64) real dp[SCRATCH], turned[SMALL_TURNED];
    for (size_t i = 0; i < windows * (size_t)heads; i++) {
        const struct part at = part_of(i, windows, queries, tokens, heads, width);
        const struct part next = part_of(i + 1, windows, queries, tokens, heads, width);
        fetch(queries, c, q + next.query, ld);
        fetch(tokens, c, k + next.token, ld);
        fetch(tokens, c, v + next.token, ld);
        fetch(queries, c, dout + next.query, ld);
        for (int first = 0; first < queries; first += most) {
            const int n = queries - first < most ? queries - first : most;
            const size_t row = at.query + (size_t)first * ld;
            const real *weight = p + at.weight + (size_t)first * ldp;
            product(small, tokens, c, n, true, weight, ldp, dout + row, ld, first > 0, dv + at.token, ld);
            product_transposed(small, n, tokens, c, 1, dout + row, ld, v + at.token, ld, false, dp, turned,
                               first > 0);
            for (size_t r = 0; r < (size_t)n; r++) {
                softmax_tangent_row(tokens, weight + r * ldp, dp + r * ldx);
                for (size_t j = 0; j < (size_t)tokens; j++)
                    dp[r * ldx + j] *= at.scale;
            }
            product(small, n, c, tokens, false, dp, ldx, k + at.token, ld, false, dq + row, ld);
            product(small, tokens, c, n, true, dp, ldx, q + row, ld, first > 0, dk + at.token, ld);
        }
    }
}

void FILL(attention)(struct ops *table) {
    table->attention = attention;
    table->attention_tangents = attention_tangents;
    table->attention_backward = attention_backward;
}
