/* What the kernels of attention share: where a head of a window is, how many queries a block takes at a time, rows of
 * weights. One block takes a head of a window whose keys and values fit in shared memory; attention_long.cu the others.
 */
#ifndef EPFLOW_KERNELS_ATTENTION_H
#define EPFLOW_KERNELS_ATTENTION_H

#include "kernels/tiles.h"

#include "ops/softplus_formula.h"

enum {
    ATTENTION_THREADS = 160
}; /* 289 tiles of 65 x 65 weights, 136 of 65 x 32 outputs: two rounds, or one */

struct attention_shape {
    int queries, tokens, heads, width;
    int columns; /* of a head */
    int rows;    /* queries at a time */
    int ld, ldp; /* of rows of a head and of weights, in shared memory */
    real scale;  /* of logits */
};

/* Matrices in shared memory: all tokens of a head, rows of queries, weights of these queries. */
struct attention_needs {
    int tokens, queries, weights;
};

static inline size_t attention_bytes(const struct attention_shape *s, struct attention_needs needs,
                                     int rows) {
    const int all = tile_round(s->tokens), some = tile_round(rows);
    const size_t numbers = (size_t)(needs.tokens * all + needs.queries * some) * (size_t)s->ld +
                           (size_t)(needs.weights * some) * (size_t)s->ldp;
    return numbers * sizeof(real);
}

/* Most queries at a time that fit. */
static inline int attention_rows(const struct attention_shape *s, struct attention_needs needs,
                                 size_t bytes) {
    int low = 0, high = s->queries; /* low fits */
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (attention_bytes(s, needs, middle) <= bytes)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* The shape and its shared memory: three blocks a multiprocessor of an H100, two of an A100 if possible, else at most
 * `most` bytes; 0: it does not fit. */
static inline size_t attention_plan(int queries, int tokens, int heads, int width,
                                    struct attention_needs needs, size_t most, struct attention_shape *s) {
    enum { WANTED = 75 << 10, ENOUGH = 16, LEAST = 4 };
    *s = (struct attention_shape){};
    s->queries = queries;
    s->tokens = tokens;
    s->heads = heads;
    s->width = width;
    s->columns = width / heads;
    s->ld = tile_ld(s->columns);
    s->ldp = tile_ld(tokens);
    s->scale = 1 / sqrtf((real)s->columns);
    int rows = attention_rows(s, needs, WANTED);
    if (rows < queries && rows < ENOUGH)
        rows = attention_rows(s, needs, most);
    if (rows == 0 || (rows < queries && rows < LEAST))
        return 0;
    const int turns = (queries + rows - 1) / rows;
    s->rows = (queries + turns - 1) / turns;
    return attention_bytes(s, needs, s->rows);
}

/* Head `part` of windows x heads: its token 0, its query 0 and its weights. */
struct attention_part {
    size_t token, query, weight;
};
static __device__ __forceinline__ struct attention_part attention_part_of(const struct attention_shape &s,
                                                                          size_t part) {
    const size_t w = part / (size_t)s.heads, first = part % (size_t)s.heads * (size_t)s.columns;
    return {w * (size_t)s.tokens * (size_t)s.width + first, w * (size_t)s.queries * (size_t)s.width + first,
            part * (size_t)s.queries * (size_t)s.tokens};
}

/* The next matrix of shared memory. */
static __device__ __forceinline__ real *take_rows(real *&at, int rows, int ld) {
    real *const here = at;
    at += tile_round(rows) * ld;
    return here;
}

/* of(row) for the rows of this thread's warp. */
template <typename F> static __device__ __forceinline__ void each_row(int rows, F of) {
    for (int r = (int)threadIdx.x / WARP; r < rows; r += (int)blockDim.x / WARP)
        of(r);
}

/* exp(x) for x <= 0; NaN of NaN. */
static __device__ __forceinline__ real attention_exp(real x) {
    const real least = -80;
    return exp_negative_f(x < least ? least : x);
}

/* Softmax of n logits by a warp, zeros up to the next multiple of 4. */
static __device__ __forceinline__ void softmax_row(int n, real *x) {
    const int lane = (int)threadIdx.x % WARP;
    real most = x[0], sum = 0;
    for (int j = lane; j < n; j += WARP)
        most = fmaxf(most, x[j]);
    most = warp_max(most);
    __syncwarp(); /* all have read x[0] */
    for (int j = lane; j < n; j += WARP) {
        x[j] = attention_exp(x[j] - most);
        sum += x[j];
    }
    const real inverse = 1 / warp_sum(sum);
    for (int j = lane; j < tile_round(n); j += WARP)
        x[j] = j < n ? x[j] * inverse : 0;
}

/* dp -> factor p (dp - sum p dp), the softmax Jacobian, by a warp, zeros behind it. */
static __device__ __forceinline__ void softmax_tangent_row(int n, real factor, const real *p, real *dp) {
    const int lane = (int)threadIdx.x % WARP;
    real along = 0;
    for (int j = lane; j < n; j += WARP)
        along += p[j] * dp[j];
    along = warp_sum(along);
    for (int j = lane; j < tile_round(n); j += WARP)
        dp[j] = j < n ? factor * p[j] * (dp[j] - along) : 0;
}

/* ---- attention_long.cu: the same for any size, with weights in memory and products by cuBLASLt ---- */

struct attention_call {
    size_t windows;
    int queries, tokens, heads, width;
    const real *q, *k, *v;
};
void long_attention(struct device *d, struct attention_call a, real *p, real *out);
void long_attention_tangents(struct device *d, size_t sets, struct attention_call a, const real *p,
                             const real *dq, const real *dk, const real *dv, real *dout);
void long_attention_backward(struct device *d, struct attention_call a, const real *p, const real *dout,
                             real *dq, real *dk, real *dv);
struct attention_gradients {
    const real *tq, *tk, *tv, *dout, *dtout;
    real *dq, *dk, *dv, *dtq, *dtk, *dtv;
};
void long_attention_tangent_backward(struct device *d, size_t sets, struct attention_call a, const real *p,
                                     struct attention_gradients g);

#endif
