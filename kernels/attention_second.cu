/* Gradients through attention and its tangents at once (ops.h). A block takes a head of a window, as in attention.cu, and
 * one tangent after the other; what reaches the weights p from all of them is collected and goes back at the end.
 *
 * With l the logits, tl = scale (tq k + q tk) their tangent, tp = p (tl - sum p tl) that of the weights and g = dto v:
 *     dtl = scale p (g - sum p g)             to tq, tk, q, k
 *     dp += g (tl - sum p tl) - tl sum p g + dto tv
 */
#include "kernels/attention.h"

/* Row r of a tangent: tl and g become tp and dtl, dp is added to. Zeros behind the first two. */
static __device__ __forceinline__ void second_row(int n, real scale, const real *p, real *tl, real *g,
                                                  real *dp) {
    const int lane = (int)threadIdx.x % WARP;
    real mean = 0, along = 0;
    for (int j = lane; j < n; j += WARP) {
        mean += p[j] * tl[j];
        along += p[j] * g[j];
    }
    mean = warp_sum(mean);
    along = warp_sum(along);
    for (int j = lane; j < tile_round(n); j += WARP) {
        if (j < n)
            dp[j] += g[j] * (tl[j] - mean) - along * tl[j];
        tl[j] = j < n ? p[j] * (tl[j] - mean) : 0;
        g[j] = j < n ? scale * p[j] * (g[j] - along) : 0;
    }
}

/* The matrices of a block in shared memory: of tokens, of queries, of weights. */
struct second_room {
    real *k, *v, *moved; /* moved: keys, then values of a tangent */
    real *q, *tq, *up;   /* up: gradient of the output's tangent, or of the output */
    real *p, *dp, *tl, *g;
};
static const struct attention_needs second_needs = {3, 3, 4};

static __device__ __forceinline__ struct second_room take_room(const struct attention_shape &s, real *at) {
    struct second_room m;
    m.k = take_rows(at, s.tokens, s.ld);
    m.v = take_rows(at, s.tokens, s.ld);
    m.moved = take_rows(at, s.tokens, s.ld);
    m.q = take_rows(at, s.rows, s.ld);
    m.tq = take_rows(at, s.rows, s.ld);
    m.up = take_rows(at, s.rows, s.ld);
    m.p = take_rows(at, s.rows, s.ldp);
    m.dp = take_rows(at, s.rows, s.ldp);
    m.tl = take_rows(at, s.rows, s.ldp);
    m.g = take_rows(at, s.rows, s.ldp);
    return m;
}

/* to (n, tokens) = or += scale a b^T, and scale c d^T where there is c. */
static __device__ __forceinline__ void make_weights(const struct attention_shape &s, int n, real scale,
                                                    const real *a, const real *b, const real *c,
                                                    const real *d, bool add, real *to) {
    each_tile(tiles_of(n), tiles_of(s.tokens), [&](int i, int j) {
        tile_sum sum;
        clear_tile(sum);
        add_rows_by_rows(sum, i, j, n, s.tokens, s.columns, a, b, s.ld);
        if (c)
            add_rows_by_rows(sum, i, j, n, s.tokens, s.columns, c, d, s.ld);
        put_apart(sum, i, j, n, s.tokens,
                  [&](int r, int t, real x) { store_number(to + r * s.ldp + t, scale * x, add); });
    });
}

/* Rows of n queries in memory = or += weights b. */
static __device__ __forceinline__ void to_queries(const struct attention_shape &s, int n, const real *weights,
                                                  const real *b, bool add, real *to) {
    each_tile(tiles_of(n), tiles_of(s.columns), [&](int i, int j) {
        tile_sum sum;
        clear_tile(sum);
        add_rows_by_columns(sum, i, j, n, s.tokens, weights, s.ldp, b, s.ld);
        store_apart(sum, i, j, n, s.columns, add, to, (size_t)s.width);
    });
}

/* Rows of all tokens in memory = or += weights^T b. */
static __device__ __forceinline__ void to_tokens(const struct attention_shape &s, int n, const real *weights,
                                                 const real *b, bool add, real *to) {
    each_tile(tiles_of(s.tokens), tiles_of(s.columns), [&](int i, int j) {
        tile_sum sum;
        clear_tile(sum);
        add_columns_by_columns(sum, i, j, n, weights, s.ldp, b, s.ld);
        store_near(sum, i, j, s.tokens, s.columns, add, to, (size_t)s.width);
    });
}

/* n queries: `row` in arrays of queries, with what is in m.q, m.p and m.dp. more: keys and values have gradients from
 * queries before. */
static __device__ __forceinline__ void second_set(const struct attention_shape &s,
                                                  const struct second_room &m, int n, bool more,
                                                  bool first_set, size_t token, size_t row, size_t token_set,
                                                  size_t row_set, const struct attention_gradients &g) {
    const size_t wide = (size_t)s.width;
    load_tile(n, s.columns, g.tq + row_set, wide, m.tq, s.ld);
    load_tile(n, s.columns, g.dtout + row_set, wide, m.up, s.ld);
    load_tile(s.tokens, s.columns, g.tk + token_set, wide, m.moved, s.ld);
    __syncthreads();
    make_weights(s, n, s.scale, m.tq, m.k, m.q, m.moved, false, m.tl);
    make_weights(s, n, 1, m.up, m.v, nullptr, nullptr, false, m.g);
    __syncthreads();
    each_row(n, [&](int r) {
        second_row(s.tokens, s.scale, m.p + r * s.ldp, m.tl + r * s.ldp, m.g + r * s.ldp, m.dp + r * s.ldp);
    });
    __syncthreads();
    to_tokens(s, n, m.g, m.q, more, g.dtk + token_set);
    to_tokens(s, n, m.p, m.up, more, g.dtv + token_set);
    to_tokens(s, n, m.g, m.tq, more || !first_set, g.dk + token);
    to_tokens(s, n, m.tl, m.up, more || !first_set, g.dv + token);
    to_queries(s, n, m.g, m.k, false, g.dtq + row_set);
    to_queries(s, n, m.g, m.moved, !first_set, g.dq + row);
    __syncthreads();
    load_tile(s.tokens, s.columns, g.tv + token_set, wide, m.moved, s.ld);
    __syncthreads();
    make_weights(s, n, 1, m.up, m.moved, nullptr, nullptr, true, m.dp);
    __syncthreads();
}

static __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_tangent_backward(size_t sets, size_t windows, struct attention_shape s,
                               const real *__restrict__ q, const real *__restrict__ k,
                               const real *__restrict__ v, const real *__restrict__ p,
                               struct attention_gradients g) {
    EP_SHARED(real, shared);
    const struct second_room m = take_room(s, shared);
    const struct attention_part part = attention_part_of(s, blockIdx.x);
    const size_t wide = (size_t)s.width, asking = windows * (size_t)s.queries * wide;
    const size_t all = windows * (size_t)s.tokens * wide;
    load_tile(s.tokens, s.columns, k + part.token, wide, m.k, s.ld);
    load_tile(s.tokens, s.columns, v + part.token, wide, m.v, s.ld);
    for (int first = 0; first < s.queries; first += s.rows) {
        const int n = min(s.rows, s.queries - first);
        const size_t row = part.query + (size_t)first * wide;
        const bool more = first > 0;
        load_tile(n, s.columns, q + row, wide, m.q, s.ld);
        load_tile(n, s.tokens, p + part.weight + (size_t)first * (size_t)s.tokens, (size_t)s.tokens, m.p,
                  s.ldp);
        for (int i = (int)threadIdx.x; i < n * s.ldp; i += (int)blockDim.x)
            m.dp[i] = 0;
        for (size_t set = 0; set < sets; set++)
            second_set(s, m, n, more, set == 0, part.token, row, set * all + part.token, set * asking + row,
                       g);
        load_tile(n, s.columns, g.dout + row, wide, m.up, s.ld);
        __syncthreads();
        make_weights(s, n, 1, m.up, m.v, nullptr, nullptr, true, m.dp);
        __syncthreads();
        each_row(n,
                 [&](int r) { softmax_tangent_row(s.tokens, s.scale, m.p + r * s.ldp, m.dp + r * s.ldp); });
        __syncthreads();
        to_queries(s, n, m.dp, m.k, sets > 0, g.dq + row);
        to_tokens(s, n, m.dp, m.q, more || sets > 0, g.dk + part.token);
        to_tokens(s, n, m.p, m.up, more || sets > 0, g.dv + part.token);
        __syncthreads();
    }
}

static void cuda_attention_tangent_backward(const struct ops *ops, size_t sets, size_t windows, int queries,
                                            int tokens, int heads, int width, const real *q, const real *k,
                                            const real *v, const real *p, const real *tq, const real *tk,
                                            const real *tv, const real *dout, const real *dtout, real *dq,
                                            real *dk, real *dv, real *dtq, real *dtk, real *dtv) {
    struct device *d = device_of(ops);
    struct attention_shape s;
    const struct attention_gradients g = {tq, tk, tv, dout, dtout, dq, dk, dv, dtq, dtk, dtv};
    const size_t bytes =
        attention_plan(queries, tokens, heads, width, second_needs, device_of(ops)->most_shared, &s);
    if (bytes == 0)
        long_attention_tangent_backward(d, sets, {windows, queries, tokens, heads, width, q, k, v}, p, g);
    else
        ep_launch(d, "attention_tangent_backward", attention_tangent_backward,
                  ep_blocks(windows * (size_t)heads, 1), ATTENTION_THREADS, bytes, sets, windows, s, q, k, v,
                  p, g);
}

void cuda_fill_attention_second(struct ops *table) {
    table->attention_tangent_backward = cuda_attention_tangent_backward;
}
