/* Attention inside windows: forward, tangents, backward. A block takes a head of a window: keys and values in shared
 * memory, and so many queries at a time that their weights fit there, too (kernels/attention.h). Per head of a window of
 * 65 tokens and 16 columns, forward is 135000 products of numbers, and 17 KiB read and 21 KiB written, of which 17 are
 * the weights p.
 */
#include "kernels/attention.h"

/* Weights of n queries from memory, zeros behind each row. */
static __device__ __forceinline__ void load_weights(const struct attention_shape &s, int n, const real *from,
                                                    real *p) {
    load_tile(n, s.tokens, from, (size_t)s.tokens, p, s.ldp);
}

static __global__ void __launch_bounds__(ATTENTION_THREADS, 4)
    attention(struct attention_shape s, const real *__restrict__ q, const real *__restrict__ k,
              const real *__restrict__ v, real *__restrict__ p, real *__restrict__ out) {
    EP_SHARED(real, shared);
    real *at = shared;
    real *const keys = take_rows(at, s.tokens, s.ld), *const values = take_rows(at, s.tokens, s.ld);
    real *const asked = take_rows(at, s.rows, s.ld), *const weights = take_rows(at, s.rows, s.ldp);
    const struct attention_part part = attention_part_of(s, blockIdx.x);
    const size_t wide = (size_t)s.width;
    load_tile(s.tokens, s.columns, k + part.token, wide, keys, s.ld);
    load_tile(s.tokens, s.columns, v + part.token, wide, values, s.ld);
    for (int first = 0; first < s.queries; first += s.rows) {
        const int n = min(s.rows, s.queries - first);
        const size_t row = part.query + (size_t)first * wide;
        real *const kept = p + part.weight + (size_t)first * (size_t)s.tokens;
        load_tile(n, s.columns, q + row, wide, asked, s.ld);
        __syncthreads();
        each_tile(tiles_of(n), tiles_of(s.tokens), [&](int i, int j) {
            tile_sum sum;
            clear_tile(sum);
            add_rows_by_rows(sum, i, j, n, s.tokens, s.columns, asked, keys, s.ld);
            put_apart(sum, i, j, n, s.tokens,
                      [&](int r, int c, real x) { weights[r * s.ldp + c] = s.scale * x; });
        });
        __syncthreads();
        each_row(n, [&](int r) {
            softmax_row(s.tokens, weights + r * s.ldp);
            for (int j = (int)threadIdx.x % WARP; j < s.tokens; j += WARP)
                kept[(size_t)r * (size_t)s.tokens + (size_t)j] = weights[r * s.ldp + j];
        });
        __syncthreads();
        each_tile(tiles_of(n), tiles_of(s.columns), [&](int i, int j) {
            tile_sum sum;
            clear_tile(sum);
            add_rows_by_columns(sum, i, j, n, s.tokens, weights, s.ldp, values, s.ld);
            store_apart(sum, i, j, n, s.columns, false, out + row, wide);
        });
        __syncthreads();
    }
}

static void cuda_attention(const struct ops *ops, size_t windows, int queries, int tokens, int heads,
                           int width, const real *q, const real *k, const real *v, real *p, real *out) {
    struct device *d = device_of(ops);
    struct attention_shape s;
    const size_t bytes =
        attention_plan(queries, tokens, heads, width, {2, 1, 1}, device_of(ops)->most_shared, &s);
    if (bytes == 0)
        long_attention(d, {windows, queries, tokens, heads, width, q, k, v}, p, out);
    else
        ep_launch(d, "attention", attention, ep_blocks(windows * (size_t)heads, 1), ATTENTION_THREADS, bytes,
                  s, q, k, v, p, out);
}

/* ---- tangents: logits move by dq k + q dk, their weights by the softmax Jacobian, and the output is p dv + dp v ---- */

/* p is read once for all sets where the queries fit at once. */
static __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_tangents(size_t sets, size_t windows, struct attention_shape s, const real *__restrict__ q,
                       const real *__restrict__ k, const real *__restrict__ v, const real *__restrict__ p,
                       const real *__restrict__ dq, const real *__restrict__ dk, const real *__restrict__ dv,
                       real *dout) {
    EP_SHARED(real, shared);
    real *at = shared;
    real *const keys = take_rows(at, s.tokens, s.ld), *const values = take_rows(at, s.tokens, s.ld);
    real *const moved = take_rows(at, s.tokens, s.ld); /* keys, then values of a set */
    real *const asked = take_rows(at, s.rows, s.ld), *const moved_asked = take_rows(at, s.rows, s.ld);
    real *const weights = take_rows(at, s.rows, s.ldp), *const slopes = take_rows(at, s.rows, s.ldp);
    const struct attention_part part = attention_part_of(s, blockIdx.x);
    const size_t wide = (size_t)s.width, asking = windows * (size_t)s.queries * wide;
    const size_t all = windows * (size_t)s.tokens * wide;
    load_tile(s.tokens, s.columns, k + part.token, wide, keys, s.ld);
    load_tile(s.tokens, s.columns, v + part.token, wide, values, s.ld);
    for (int first = 0; first < s.queries; first += s.rows) {
        const int n = min(s.rows, s.queries - first);
        const size_t row = part.query + (size_t)first * wide;
        load_tile(n, s.columns, q + row, wide, asked, s.ld);
        load_weights(s, n, p + part.weight + (size_t)first * (size_t)s.tokens, weights);
        for (size_t m = 0; m < sets; m++) {
            load_tile(n, s.columns, dq + m * asking + row, wide, moved_asked, s.ld);
            load_tile(s.tokens, s.columns, dk + m * all + part.token, wide, moved, s.ld);
            __syncthreads();
            each_tile(tiles_of(n), tiles_of(s.tokens), [&](int i, int j) {
                tile_sum sum;
                clear_tile(sum);
                add_rows_by_rows(sum, i, j, n, s.tokens, s.columns, moved_asked, keys, s.ld);
                add_rows_by_rows(sum, i, j, n, s.tokens, s.columns, asked, moved, s.ld);
                put_apart(sum, i, j, n, s.tokens,
                          [&](int r, int c, real x) { slopes[r * s.ldp + c] = s.scale * x; });
            });
            __syncthreads();
            each_row(
                n, [&](int r) { softmax_tangent_row(s.tokens, 1, weights + r * s.ldp, slopes + r * s.ldp); });
            load_tile(s.tokens, s.columns, dv + m * all + part.token, wide, moved, s.ld);
            __syncthreads();
            each_tile(tiles_of(n), tiles_of(s.columns), [&](int i, int j) {
                tile_sum sum;
                clear_tile(sum);
                add_rows_by_columns(sum, i, j, n, s.tokens, weights, s.ldp, moved, s.ld);
                add_rows_by_columns(sum, i, j, n, s.tokens, slopes, s.ldp, values, s.ld);
                store_apart(sum, i, j, n, s.columns, false, dout + m * asking + row, wide);
            });
            __syncthreads();
        }
    }
}

static void cuda_attention_tangents(const struct ops *ops, size_t sets, size_t windows, int queries,
                                    int tokens, int heads, int width, const real *q, const real *k,
                                    const real *v, const real *p, const real *dq, const real *dk,
                                    const real *dv, real *dout) {
    struct device *d = device_of(ops);
    struct attention_shape s;
    const size_t bytes =
        attention_plan(queries, tokens, heads, width, {3, 2, 2}, device_of(ops)->most_shared, &s);
    if (bytes == 0)
        long_attention_tangents(d, sets, {windows, queries, tokens, heads, width, q, k, v}, p, dq, dk, dv,
                                dout);
    else
        ep_launch(d, "attention_tangents", attention_tangents, ep_blocks(windows * (size_t)heads, 1),
                  ATTENTION_THREADS, bytes, sets, windows, s, q, k, v, p, dq, dk, dv, dout);
}

/* ---- gradient ---- */

/* Keys and values collect from the queries of one round after the other, each number by the same thread. */
static __global__ void __launch_bounds__(ATTENTION_THREADS, 3)
    attention_backward(struct attention_shape s, const real *__restrict__ q, const real *__restrict__ k,
                       const real *__restrict__ v, const real *__restrict__ p, const real *__restrict__ dout,
                       real *dq, real *dk, real *dv) {
    EP_SHARED(real, shared);
    real *at = shared;
    real *const keys = take_rows(at, s.tokens, s.ld), *const values = take_rows(at, s.tokens, s.ld);
    real *const asked = take_rows(at, s.rows, s.ld), *const up = take_rows(at, s.rows, s.ld);
    real *const weights = take_rows(at, s.rows, s.ldp), *const slopes = take_rows(at, s.rows, s.ldp);
    const struct attention_part part = attention_part_of(s, blockIdx.x);
    const size_t wide = (size_t)s.width;
    load_tile(s.tokens, s.columns, k + part.token, wide, keys, s.ld);
    load_tile(s.tokens, s.columns, v + part.token, wide, values, s.ld);
    for (int first = 0; first < s.queries; first += s.rows) {
        const int n = min(s.rows, s.queries - first);
        const size_t row = part.query + (size_t)first * wide;
        load_tile(n, s.columns, q + row, wide, asked, s.ld);
        load_tile(n, s.columns, dout + row, wide, up, s.ld);
        load_weights(s, n, p + part.weight + (size_t)first * (size_t)s.tokens, weights);
        __syncthreads();
        each_tile(tiles_of(n), tiles_of(s.tokens), [&](int i, int j) {
            tile_sum sum;
            clear_tile(sum);
            add_rows_by_rows(sum, i, j, n, s.tokens, s.columns, up, values, s.ld);
            put_apart(sum, i, j, n, s.tokens, [&](int r, int c, real x) { slopes[r * s.ldp + c] = x; });
        });
        each_tile(tiles_of(s.tokens), tiles_of(s.columns), [&](int i, int j) {
            tile_sum sum;
            clear_tile(sum);
            add_columns_by_columns(sum, i, j, n, weights, s.ldp, up, s.ld);
            store_near(sum, i, j, s.tokens, s.columns, first > 0, dv + part.token, wide);
        });
        __syncthreads();
        each_row(n, [&](int r) {
            softmax_tangent_row(s.tokens, s.scale, weights + r * s.ldp, slopes + r * s.ldp);
        });
        __syncthreads();
        each_tile(tiles_of(n), tiles_of(s.columns), [&](int i, int j) {
            tile_sum sum;
            clear_tile(sum);
            add_rows_by_columns(sum, i, j, n, s.tokens, slopes, s.ldp, keys, s.ld);
            store_apart(sum, i, j, n, s.columns, false, dq + row, wide);
        });
        each_tile(tiles_of(s.tokens), tiles_of(s.columns), [&](int i, int j) {
            tile_sum sum;
            clear_tile(sum);
            add_columns_by_columns(sum, i, j, n, slopes, s.ldp, asked, s.ld);
            store_near(sum, i, j, s.tokens, s.columns, first > 0, dk + part.token, wide);
        });
        __syncthreads();
    }
}

static void cuda_attention_backward(const struct ops *ops, size_t windows, int queries, int tokens, int heads,
                                    int width, const real *q, const real *k, const real *v, const real *p,
                                    const real *dout, real *dq, real *dk, real *dv) {
    struct device *d = device_of(ops);
    struct attention_shape s;
    const size_t bytes =
        attention_plan(queries, tokens, heads, width, {2, 2, 2}, device_of(ops)->most_shared, &s);
    if (bytes == 0)
        long_attention_backward(d, {windows, queries, tokens, heads, width, q, k, v}, p, dout, dq, dk, dv);
    else
        ep_launch(d, "attention_backward", attention_backward, ep_blocks(windows * (size_t)heads, 1),
                  ATTENTION_THREADS, bytes, s, q, k, v, p, dout, dq, dk, dv);
}

void cuda_fill_attention(struct ops *table) {
    table->attention = cuda_attention;
    table->attention_tangents = cuda_attention_tangents;
    table->attention_backward = cuda_attention_backward;
}
