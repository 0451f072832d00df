/* Attention where little moves or one token asks: what is left of it once the products that such cases do not need are
 * gone. All of it is limited by memory: a block takes a head of a window (or of a set of its tangents), whose tokens it
 * reads twice, the second time from cache.
 */
#include "kernels/device.h"

#include "ops/softplus_formula.h"

enum { THREADS = 128, WARPS = THREADS / WARP, SETS = 4, MOST_SHARED = 96 << 10 };

/* dot of two rows by a warp. */
static __device__ __forceinline__ real warp_dot(int n, const real *__restrict__ a,
                                                const real *__restrict__ b) {
    real sum = 0;
    for (int c = (int)threadIdx.x % WARP; c < n; c += WARP)
        sum += a[c] * b[c];
    return warp_sum(sum);
}

/* x (tokens) = a . rows of t, + b . rows of dt where there is b; a warp a token. */
static __device__ __forceinline__ void make_logits(int tokens, int columns, size_t ld, real scale,
                                                   const real *a, const real *t, const real *b,
                                                   const real *dt, real *x) {
    for (int j = (int)threadIdx.x / WARP; j < tokens; j += WARPS) {
        real sum = warp_dot(columns, a, t + (size_t)j * ld);
        if (b)
            sum += warp_dot(columns, b, dt + (size_t)j * ld);
        if (threadIdx.x % WARP == 0)
            x[j] = scale * sum;
    }
    __syncthreads();
}

/* Softmax of x, also to p. */
static __device__ __forceinline__ void softmax(int tokens, real *x, real *p, real *room) {
    const real least = -80;
    real most = x[0], sum = 0;
    for (int j = (int)threadIdx.x; j < tokens; j += THREADS)
        most = fmaxf(most, x[j]);
    most = block_max(most, room);
    for (int j = (int)threadIdx.x; j < tokens; j += THREADS) {
        const real t = x[j] - most;
        x[j] = exp_negative_f(t < least ? least : t); /* not fmaxf, which hides NaN */
        sum += x[j];
    }
    const real inverse = 1 / block_sum(sum, room);
    for (int j = (int)threadIdx.x; j < tokens; j += THREADS) {
        x[j] *= inverse;
        p[j] = x[j];
    }
    __syncthreads();
}

/* dp -> p (dp - sum p dp) */
static __device__ __forceinline__ void softmax_tangent(int tokens, const real *p, real *dp, real *room) {
    real along = 0;
    for (int j = (int)threadIdx.x; j < tokens; j += THREADS)
        along += p[j] * dp[j];
    along = block_sum(along, room);
    for (int j = (int)threadIdx.x; j < tokens; j += THREADS)
        dp[j] = p[j] * (dp[j] - along);
    __syncthreads();
}

/* to (columns) = sum over tokens of x_j t_j, + p_j dt_j where there is p. Columns next to each other by neighbouring
 * threads; where they are fewer than these, lines of threads share the tokens and their sums are added in order. */
static __device__ __forceinline__ void mean_rows(int tokens, int columns, size_t ld, const real *x,
                                                 const real *t, const real *p, const real *dt, real *parts,
                                                 real *to) {
    const int across = columns < THREADS ? columns : THREADS, lines = THREADS / across;
    const int line = (int)threadIdx.x / across, first = (int)threadIdx.x % across;
    for (int base = 0; base < columns; base += across) {
        const int c = base + first;
        real sum = 0;
        for (int j = line; line < lines && c < columns && j < tokens; j += lines) {
            sum += x[j] * t[(size_t)j * ld + (size_t)c];
            if (p)
                sum += p[j] * dt[(size_t)j * ld + (size_t)c];
        }
        parts[threadIdx.x] = sum;
        __syncthreads();
        if (line == 0 && c < columns) {
            for (int m = 1; m < lines; m++)
                sum += parts[m * across + first];
            to[c] = sum;
        }
        __syncthreads();
    }
}

/* ---- token 0 alone asks ---- */

static __global__ void __launch_bounds__(THREADS)
    pool(int tokens, int heads, int width, const real *__restrict__ t, const real *__restrict__ r, real *p,
         real *z) {
    __shared__ real room[WARP], parts[THREADS];
    EP_SHARED(real, x);
    const size_t part = blockIdx.x, wide = (size_t)width;
    const real *rows = t + part / (size_t)heads * (size_t)tokens * wide;
    make_logits(tokens, width, wide, 1, r + part * wide, rows, nullptr, nullptr, x);
    softmax(tokens, x, p + part * (size_t)tokens, room);
    mean_rows(tokens, width, wide, x, rows, nullptr, nullptr, parts, z + part * wide);
}

static void cuda_pool(const struct ops *ops, size_t windows, int tokens, int heads, int width, const real *t,
                      const real *r, real *p, real *z) {
    ep_launch(device_of(ops), "pool", pool, ep_blocks(windows * (size_t)heads, 1), THREADS,
              (size_t)tokens * sizeof(real), tokens, heads, width, t, r, p, z);
}

static __global__ void __launch_bounds__(THREADS)
    pool_tangent(size_t windows, int tokens, int heads, int width, const real *__restrict__ t,
                 const real *__restrict__ p, const real *__restrict__ r, const real *__restrict__ dt,
                 const real *__restrict__ dr, real *dz) {
    __shared__ real room[WARP], parts[THREADS];
    EP_SHARED(real, dp);
    const size_t moved = blockIdx.x, part = moved % (windows * (size_t)heads), wide = (size_t)width;
    const size_t window = (size_t)tokens * wide;
    const real *rows = t + part / (size_t)heads * window, *moved_rows = dt + moved / (size_t)heads * window;
    const real *weights = p + part * (size_t)tokens;
    make_logits(tokens, width, wide, 1, dr + moved * wide, rows, r + part * wide, moved_rows, dp);
    softmax_tangent(tokens, weights, dp, room);
    mean_rows(tokens, width, wide, dp, rows, weights, moved_rows, parts, dz + moved * wide);
}

static void cuda_pool_tangent(const struct ops *ops, size_t sets, size_t windows, int tokens, int heads,
                              int width, const real *t, const real *p, const real *r, const real *dt,
                              const real *dr, real *dz) {
    ep_launch(device_of(ops), "pool_tangent", pool_tangent, ep_blocks(sets * windows * (size_t)heads, 1),
              THREADS, (size_t)tokens * sizeof(real), windows, tokens, heads, width, t, p, r, dt, dr, dz);
}

/* dr, and what reaches the logits, dp (windows, heads, tokens). */
static __global__ void __launch_bounds__(THREADS)
    pool_backward(int tokens, int heads, int width, const real *__restrict__ t, const real *__restrict__ p,
                  const real *__restrict__ dz, real *dr, real *kept) {
    __shared__ real room[WARP], parts[THREADS];
    EP_SHARED(real, dp);
    const size_t part = blockIdx.x, wide = (size_t)width;
    const real *rows = t + part / (size_t)heads * (size_t)tokens * wide;
    make_logits(tokens, width, wide, 1, dz + part * wide, rows, nullptr, nullptr, dp);
    softmax_tangent(tokens, p + part * (size_t)tokens, dp, room);
    for (int j = (int)threadIdx.x; j < tokens; j += THREADS)
        kept[part * (size_t)tokens + (size_t)j] = dp[j];
    mean_rows(tokens, width, wide, dp, rows, nullptr, nullptr, parts, dr + part * wide);
}

/* dt += p dz + dp r, of all heads in their order: a line of threads a token, 8 bytes moved a number. */
static __global__ void spread_back(size_t rows, int tokens, int heads, int width, const real *__restrict__ p,
                                   const real *__restrict__ dp, const real *__restrict__ dz,
                                   const real *__restrict__ r, real *dt) {
    const size_t row = (size_t)blockIdx.x * blockDim.y + threadIdx.y, wide = (size_t)width;
    const size_t w = row / (size_t)tokens, j = row % (size_t)tokens;
    for (int c = (int)threadIdx.x; row < rows && c < width; c += (int)blockDim.x) {
        real sum = 0;
        for (int h = 0; h < heads; h++) {
            const size_t part = w * (size_t)heads + (size_t)h, at = part * (size_t)tokens + j;
            sum += p[at] * dz[part * wide + (size_t)c] + dp[at] * r[part * wide + (size_t)c];
        }
        dt[row * wide + (size_t)c] += sum;
    }
}

static void cuda_pool_backward(const struct ops *ops, size_t windows, int tokens, int heads, int width,
                               const real *t, const real *p, const real *r, const real *dz, real *dr,
                               real *dt) {
    struct device *d = device_of(ops);
    const size_t parts = windows * (size_t)heads, rows = windows * (size_t)tokens;
    const dim3 block(WARP, THREADS / WARP);
    if (windows == 0)
        return;
    real *dp = (real *)device_scratch(d, parts * (size_t)tokens * sizeof *dp);
    ep_launch(d, "pool_backward", pool_backward, ep_blocks(parts, 1), THREADS, (size_t)tokens * sizeof(real),
              tokens, heads, width, t, p, dz, dr, dp);
    ep_launch(d, "spread_back", spread_back, ep_blocks(rows, block.y), block, 0, rows, tokens, heads, width,
              p, dp, dz, r, dt);
}

/* ---- token 0 alone moves ---- */

/* Logit m of query 0 moves by dq . k_m. A block a head of a window and set. */
static __global__ void __launch_bounds__(THREADS)
    attention_tangent_query(size_t windows, int queries, int tokens, int heads, int width, real scale,
                            const real *__restrict__ k, const real *__restrict__ v,
                            const real *__restrict__ p, const real *__restrict__ dq, real *dout) {
    __shared__ real room[WARP], parts[THREADS];
    EP_SHARED(real, dp);
    const size_t moved = blockIdx.x / (unsigned)heads, h = blockIdx.x % (unsigned)heads, w = moved % windows;
    const size_t wide = (size_t)width, columns = wide / (size_t)heads, at = moved * wide + h * columns;
    const size_t token = w * (size_t)tokens * wide + h * columns;
    make_logits(tokens, (int)columns, wide, scale, dq + at, k + token, nullptr, nullptr, dp);
    softmax_tangent(tokens, p + (w * (size_t)heads + h) * (size_t)queries * (size_t)tokens, dp, room);
    mean_rows(tokens, (int)columns, wide, dp, v + token, nullptr, nullptr, parts, dout + at);
}

static void cuda_attention_tangent_query(const struct ops *ops, size_t sets, size_t windows, int queries,
                                         int tokens, int heads, int width, const real *k, const real *v,
                                         const real *p, const real *dq, real *dout) {
    ep_launch(device_of(ops), "attention_tangent_query", attention_tangent_query,
              ep_blocks(sets * windows * (size_t)heads, 1), THREADS, (size_t)tokens * sizeof(real), windows,
              queries, tokens, heads, width, 1 / sqrtf((real)(width / heads)), k, v, p, dq, dout);
}

struct key_arrays {
    const real *q, *p, *sums, *b, *value, *dk, *dvalue;
    real *du;
};

/* Logit 0 of every query moves: all its weights do. A warp a query, up to SETS tangents of it at once, so that sums, the
 * largest array, is read once: (heads + sets) width numbers a query. slopes (WARPS, sets, heads) in shared memory. */
static __global__ void __launch_bounds__(THREADS)
    attention_tangent_key(size_t first, size_t sets, size_t windows, int queries, int tokens, int heads,
                          int width, real scale, struct key_arrays x) {
    EP_SHARED(real, shared);
    const size_t rows = windows * (size_t)queries, row = (size_t)blockIdx.x * WARPS + threadIdx.x / WARP;
    if (row >= rows) /* whole warps, and no barrier follows */
        return;
    const int lane = (int)threadIdx.x % WARP, columns = width / heads;
    const size_t wide = (size_t)width, w = row / (size_t)queries, query = row % (size_t)queries;
    const size_t source = w * (size_t)heads * wide, parts = windows * (size_t)heads * wide;
    real *slopes = shared + threadIdx.x / WARP * sets * (size_t)heads;
    const real *weight = x.p + (w * (size_t)heads * (size_t)queries + query) * (size_t)tokens;
    const size_t next = (size_t)queries * (size_t)tokens; /* weight of the next head */
    for (int h = 0; h < heads; h++)
        for (size_t s = 0; s < sets; s++) {
            const real *moved = x.dk + ((first + s) * windows + w) * wide + (size_t)(h * columns);
            const real slope = warp_dot(columns, x.q + row * wide + (size_t)(h * columns), moved);
            if (lane == 0)
                slopes[s * (size_t)heads + (size_t)h] = scale * weight[(size_t)h * next] * slope;
        }
    __syncwarp();
    for (int c = lane; c < width; c += WARP) {
        real du[SETS] = {0, 0, 0, 0}, before = x.b[c];
        for (int h = 0; h < heads; h++) {
            const size_t at = source + (size_t)h * wide + (size_t)c;
            const real sum = x.sums[((size_t)h * rows + row) * wide + (size_t)c];
            const real apart = x.value[at] - (sum - before), own = weight[(size_t)h * next];
            before = sum;
#pragma unroll
            for (int s = 0; s < SETS; s++)
                if ((size_t)s < sets)
                    du[s] += slopes[s * heads + h] * apart + own * x.dvalue[(first + (size_t)s) * parts + at];
        }
#pragma unroll
        for (int s = 0; s < SETS; s++)
            if ((size_t)s < sets)
                x.du[((first + (size_t)s) * rows + row) * wide + (size_t)c] = du[s];
    }
}

static void cuda_attention_tangent_key(const struct ops *ops, size_t sets, size_t windows, int queries,
                                       int tokens, int heads, int width, const real *q, const real *p,
                                       const real *sums, const real *b, const real *value, const real *dk,
                                       const real *dvalue, real *du) {
    const struct key_arrays x = {q, p, sums, b, value, dk, dvalue, du};
    const size_t bytes = WARPS * (size_t)heads * sizeof(real), fit = MOST_SHARED / bytes; /* at least 2 */
    const size_t most = fit < SETS ? fit : (size_t)SETS;
    for (size_t first = 0; first < sets; first += most) {
        const size_t some = sets - first < most ? sets - first : most;
        ep_launch(device_of(ops), "attention_tangent_key", attention_tangent_key,
                  ep_blocks(windows * (size_t)queries, WARPS), THREADS, some * bytes, first, some, windows,
                  queries, tokens, heads, width, 1 / sqrtf((real)(width / heads)), x);
    }
}

void cuda_fill_pool(struct ops *table) {
    table->attention_tangent_query = cuda_attention_tangent_query;
    table->attention_tangent_key = cuda_attention_tangent_key;
    table->pool = cuda_pool;
    table->pool_tangent = cuda_pool_tangent;
    table->pool_backward = cuda_pool_backward;
}
