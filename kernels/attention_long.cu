/* Attention where a head of a window does not fit in shared memory: the products are cuBLASLt's, over all windows of a
 * head or all heads of a window at once, and weights and what moves them lie in memory, of as many windows at a time as
 * scratch is to hold. Slower than attention.cu for small windows, but for any size.
 */
#include "kernels/attention.h"
#include "kernels/product.h"

enum { BLOCK = 256, SCRATCH_BYTES = 256 << 20 };

/* ---- rows of weights: a block a row; 8 to 24 bytes a number ---- */

/* n logits to their softmax. */
static __global__ void softmax_rows(int n, real *p) {
    __shared__ real room[WARP];
    real *x = p + (size_t)blockIdx.x * (size_t)n;
    real most = x[0], sum = 0;
    for (int j = (int)threadIdx.x; j < n; j += BLOCK)
        most = fmaxf(most, x[j]);
    most = block_max(most, room);
    for (int j = (int)threadIdx.x; j < n; j += BLOCK) {
        x[j] = attention_exp(x[j] - most);
        sum += x[j];
    }
    const real inverse = 1 / block_sum(sum, room);
    for (int j = (int)threadIdx.x; j < n; j += BLOCK)
        x[j] *= inverse;
}

/* dp -> factor p (dp - sum p dp) */
static __global__ void softmax_tangent_rows(int n, real factor, const real *__restrict__ p, real *dp) {
    __shared__ real room[WARP];
    const size_t row = (size_t)blockIdx.x * (size_t)n;
    real along = 0;
    for (int j = (int)threadIdx.x; j < n; j += BLOCK)
        along += p[row + (size_t)j] * dp[row + (size_t)j];
    along = block_sum(along, room);
    for (int j = (int)threadIdx.x; j < n; j += BLOCK)
        dp[row + (size_t)j] = factor * p[row + (size_t)j] * (dp[row + (size_t)j] - along);
}

/* As second_row of attention_second.cu. */
static __global__ void second_rows(int n, real scale, const real *__restrict__ p, real *tl, real *g,
                                   real *dp) {
    __shared__ real room[WARP];
    const size_t row = (size_t)blockIdx.x * (size_t)n;
    real mean = 0, along = 0;
    for (int j = (int)threadIdx.x; j < n; j += BLOCK) {
        mean += p[row + (size_t)j] * tl[row + (size_t)j];
        along += p[row + (size_t)j] * g[row + (size_t)j];
    }
    mean = block_sum(mean, room);
    along = block_sum(along, room);
    for (int j = (int)threadIdx.x; j < n; j += BLOCK) {
        const size_t m = row + (size_t)j;
        const real weight = p[m], moved = tl[m], up = g[m];
        dp[m] += up * (moved - mean) - along * moved;
        tl[m] = weight * (moved - mean);
        g[m] = scale * weight * (up - along);
    }
}

/* ---- products of some windows ---- */

struct some_windows {
    struct device *d;
    size_t first, count; /* windows */
    size_t queries, tokens, heads, width, columns;
    real scale;
};

/* A factor or result of every window and head: rows of queries or tokens, or weights (queries, tokens). */
enum kind { QUERIES, TOKENS, WEIGHTS };
struct part {
    enum kind kind;
    real *at;
    bool turned;
};
static struct part queries_of(const struct some_windows *s, const real *at) {
    return {QUERIES, (real *)at + s->first * s->queries * s->width, false};
}
static struct part tokens_of(const struct some_windows *s, const real *at) {
    return {TOKENS, (real *)at + s->first * s->tokens * s->width, false};
}
static struct part weights_of(const struct some_windows *s, const real *at) {
    return {WEIGHTS, (real *)at + s->first * s->heads * s->queries * s->tokens, false};
}
static struct part room_of(real *at) {
    return {WEIGHTS, at, false};
}
static struct part turned(struct part p) {
    return {p.kind, p.at, !p.turned};
}

static size_t ld_of(const struct some_windows *s, enum kind kind) {
    return kind == WEIGHTS ? s->tokens : s->width;
}
static size_t next_window(const struct some_windows *s, enum kind kind) {
    return kind == WEIGHTS ? s->heads * s->queries * s->tokens
                           : (kind == QUERIES ? s->queries : s->tokens) * s->width;
}
static size_t next_head(const struct some_windows *s, enum kind kind) {
    return kind == WEIGHTS ? s->queries * s->tokens : s->columns;
}
static size_t rows_of(const struct some_windows *s, struct part p) {
    return p.kind == TOKENS ? s->tokens : s->queries;
}
static size_t columns_of(const struct some_windows *s, struct part p) {
    return p.kind == WEIGHTS ? s->tokens : s->columns;
}

/* to = or += scale left right, of every window and head. */
static void multiply(const struct some_windows *s, real scale, struct part left, struct part right, bool add,
                     struct part to) {
    const bool by_windows = s->count >= s->heads;
    const size_t calls = by_windows ? s->heads : s->count;
    struct product p = {};
    p.rows = rows_of(s, to);
    p.columns = columns_of(s, to);
    p.inner = left.turned ? rows_of(s, left) : columns_of(s, left);
    p.scale = scale;
    p.batch = (int)(by_windows ? s->count : s->heads);
    p.ld = p.ld_start = ld_of(s, to.kind);
    p.stride = p.stride_start = by_windows ? next_window(s, to.kind) : next_head(s, to.kind);
    for (size_t m = 0; m < calls; m++) {
        const struct part factors[] = {left, right};
        struct factor *const given[] = {&p.left, &p.right};
        for (int f = 0; f < 2; f++) {
            const enum kind kind = factors[f].kind;
            const size_t skip = m * (by_windows ? next_head(s, kind) : next_window(s, kind));
            *given[f] = {factors[f].at + skip, ld_of(s, kind),
                         by_windows ? next_window(s, kind) : next_head(s, kind), factors[f].turned};
        }
        p.to = to.at + m * (by_windows ? next_head(s, to.kind) : next_window(s, to.kind));
        p.start = add ? p.to : NULL;
        device_product(s->d, &p, NULL);
    }
}

static unsigned weight_rows(const struct some_windows *s) {
    return (unsigned)(s->count * s->heads * s->queries);
}

static struct some_windows all_windows(struct device *d, const struct attention_call *a) {
    struct some_windows s = {};
    s.d = d;
    s.count = a->windows;
    s.queries = (size_t)a->queries;
    s.tokens = (size_t)a->tokens;
    s.heads = (size_t)a->heads;
    s.width = (size_t)a->width;
    s.columns = (size_t)(a->width / a->heads);
    s.scale = 1 / sqrtf((real)s.columns);
    return s;
}

/* of(s) for some windows at a time, `planes` arrays of whose weights fit in scratch. */
template <typename F>
static void each_some(struct device *d, const struct attention_call *a, size_t planes, F of) {
    struct some_windows s = all_windows(d, a);
    const size_t bytes = planes * next_window(&s, WEIGHTS) * sizeof(real);
    const size_t fit = bytes > 0 ? SCRATCH_BYTES / bytes : a->windows, most = fit > 0 ? fit : 1;
    for (s.first = 0; s.first < a->windows; s.first += most) {
        s.count = a->windows - s.first < most ? a->windows - s.first : most;
        of(&s);
    }
}

void long_attention(struct device *d, struct attention_call a, real *p, real *out) {
    each_some(d, &a, 0, [&](const struct some_windows *s) {
        multiply(s, s->scale, queries_of(s, a.q), turned(tokens_of(s, a.k)), false, weights_of(s, p));
        ep_launch(d, "softmax_rows", softmax_rows, weight_rows(s), BLOCK, 0, a.tokens, weights_of(s, p).at);
        multiply(s, 1, weights_of(s, p), tokens_of(s, a.v), false, queries_of(s, out));
    });
}

static void move_rows(const struct some_windows *s, real factor, const real *p, real *dp) {
    ep_launch(s->d, "softmax_tangent_rows", softmax_tangent_rows, weight_rows(s), BLOCK, 0, (int)s->tokens,
              factor, weights_of(s, p).at, dp);
}

static real *planes_of(const struct some_windows *s, size_t planes) {
    return (real *)device_scratch(s->d, planes * s->count * next_window(s, WEIGHTS) * sizeof(real));
}

void long_attention_tangents(struct device *d, size_t sets, struct attention_call a, const real *p,
                             const real *dq, const real *dk, const real *dv, real *dout) {
    const struct some_windows every = all_windows(d, &a);
    const size_t asking = a.windows * next_window(&every, QUERIES),
                 all = a.windows * next_window(&every, TOKENS);
    each_some(d, &a, 1, [&](const struct some_windows *s) {
        real *const dp = planes_of(s, 1);
        for (size_t m = 0; m < sets && dp; m++) {
            const struct part to = queries_of(s, dout + m * asking);
            multiply(s, s->scale, queries_of(s, dq + m * asking), turned(tokens_of(s, a.k)), false,
                     room_of(dp));
            multiply(s, s->scale, queries_of(s, a.q), turned(tokens_of(s, dk + m * all)), true, room_of(dp));
            move_rows(s, 1, p, dp);
            multiply(s, 1, weights_of(s, p), tokens_of(s, dv + m * all), false, to);
            multiply(s, 1, room_of(dp), tokens_of(s, a.v), true, to);
        }
    });
}

/* From what reaches weights, dp, through logits to queries and keys, and from out to values; = or +=. */
static void back_from_weights(const struct some_windows *s, const struct attention_call *a, const real *p,
                              const real *dout, real *dp, bool add, real *dq, real *dk, real *dv) {
    move_rows(s, s->scale, p, dp);
    multiply(s, 1, room_of(dp), tokens_of(s, a->k), add, queries_of(s, dq));
    multiply(s, 1, turned(room_of(dp)), queries_of(s, a->q), add, tokens_of(s, dk));
    multiply(s, 1, turned(weights_of(s, p)), queries_of(s, dout), add, tokens_of(s, dv));
}

void long_attention_backward(struct device *d, struct attention_call a, const real *p, const real *dout,
                             real *dq, real *dk, real *dv) {
    each_some(d, &a, 1, [&](const struct some_windows *s) {
        real *const dp = planes_of(s, 1);
        if (!dp)
            return;
        multiply(s, 1, queries_of(s, dout), turned(tokens_of(s, a.v)), false, room_of(dp));
        back_from_weights(s, &a, p, dout, dp, false, dq, dk, dv);
    });
}

/* One tangent; arrays of it. dp is added to. */
static void long_second(const struct some_windows *s, const struct attention_call *a, const real *p,
                        bool first_set, struct attention_gradients g, real *dp, real *tl, real *up) {
    multiply(s, s->scale, queries_of(s, g.tq), turned(tokens_of(s, a->k)), false, room_of(tl));
    multiply(s, s->scale, queries_of(s, a->q), turned(tokens_of(s, g.tk)), true, room_of(tl));
    multiply(s, 1, queries_of(s, g.dtout), turned(tokens_of(s, a->v)), false, room_of(up));
    ep_launch(s->d, "second_rows", second_rows, weight_rows(s), BLOCK, 0, (int)s->tokens, s->scale,
              weights_of(s, p).at, tl, up, dp);
    multiply(s, 1, queries_of(s, g.dtout), turned(tokens_of(s, g.tv)), true, room_of(dp));
    multiply(s, 1, turned(room_of(up)), queries_of(s, a->q), false, tokens_of(s, g.dtk));
    multiply(s, 1, turned(weights_of(s, p)), queries_of(s, g.dtout), false, tokens_of(s, g.dtv));
    multiply(s, 1, room_of(up), tokens_of(s, a->k), false, queries_of(s, g.dtq));
    multiply(s, 1, room_of(up), tokens_of(s, g.tk), !first_set, queries_of(s, g.dq));
    multiply(s, 1, turned(room_of(up)), queries_of(s, g.tq), !first_set, tokens_of(s, g.dk));
    multiply(s, 1, turned(room_of(tl)), queries_of(s, g.dtout), !first_set, tokens_of(s, g.dv));
}

void long_attention_tangent_backward(struct device *d, size_t sets, struct attention_call a, const real *p,
                                     struct attention_gradients g) {
    const struct some_windows every = all_windows(d, &a);
    const size_t asking = a.windows * next_window(&every, QUERIES),
                 all = a.windows * next_window(&every, TOKENS);
    each_some(d, &a, 3, [&](const struct some_windows *s) {
        const size_t plane = s->count * next_window(s, WEIGHTS);
        real *const dp = planes_of(s, 3);
        if (!dp ||
            !device_check(d, cudaMemsetAsync(dp, 0, plane * sizeof *dp, d->stream), "setting memory to zero"))
            return;
        for (size_t m = 0; m < sets; m++) {
            const struct attention_gradients of = {g.tq + m * asking,
                                                   g.tk + m * all,
                                                   g.tv + m * all,
                                                   g.dout,
                                                   g.dtout + m * asking,
                                                   g.dq,
                                                   g.dk,
                                                   g.dv,
                                                   g.dtq + m * asking,
                                                   g.dtk + m * all,
                                                   g.dtv + m * all};
            long_second(s, &a, p, m == 0, of, dp, dp + plane, dp + 2 * plane);
        }
        multiply(s, 1, queries_of(s, g.dout), turned(tokens_of(s, a.v)), true, room_of(dp));
        back_from_weights(s, &a, p, g.dout, dp, sets > 0, g.dq, g.dk, g.dv);
    });
}
