/* What windowed networks read of particles, and rows that move from one array to another. All of it is limited by
 * memory: a thread a number, or a thread a token where its numbers share their work. */
#include "kernels/device.h"

#include "ops/window_formula.h"

enum { BLOCK = 256 };

/* ---- inputs ---- */

/* The particle of token m of window w. */
static __device__ __forceinline__ size_t particle_of(size_t w, int m, int k,
                                                     const uint32_t *__restrict__ centre,
                                                     const uint32_t *__restrict__ neighbour) {
    return m == 0 ? centre[w] : neighbour[w * (size_t)k + (size_t)(m - 1)];
}

/* A thread a number: reads 2 positions (the centre's from cache) and writes 4 bytes. */
static __global__ void window_offsets(struct box box, size_t count, int k,
                                      const uint32_t *__restrict__ centre,
                                      const uint32_t *__restrict__ neighbour, axes<uint64_t> q, real *out) {
    const size_t e = ep_index(), d = (size_t)box.d, row = e / d, tokens = (size_t)k + 1, w = row / tokens;
    if (w >= count)
        return;
    const int a = (int)(e % d), m = (int)(row % tokens);
    const uint64_t *at = a == 0 ? q.at[0] : a == 1 ? q.at[1] : q.at[2];
    const double unit = (a == 0 ? box.side[0] : a == 1 ? box.side[1] : box.side[2]) * 0x1p-64;
    out[e] = (real)((double)(int64_t)(at[centre[w]] - at[particle_of(w, m, k, centre, neighbour)]) * unit);
}

static void cuda_window_offsets(const struct ops *ops, const struct box *box, size_t count, int k,
                                const uint32_t *centre, const uint32_t *neighbour, uint64_t *const q[],
                                real *out) {
    const size_t numbers = count * ((size_t)k + 1) * (size_t)box->d;
    ep_launch(device_of(ops), "window_offsets", window_offsets, ep_blocks(numbers, BLOCK), BLOCK, 0, *box,
              count, k, centre, neighbour, axes_of(box->d, q), out);
}

/* A thread a token: reads 2 d positions and 2 ids, writes up to 9 numbers. */
static __global__ void window_inputs(struct box box, struct window_view view, size_t count, int k,
                                     const uint32_t *__restrict__ centre,
                                     const uint32_t *__restrict__ neighbour, axes<uint64_t> q,
                                     struct lattice anchor, const uint32_t *__restrict__ id, real *out) {
    const size_t row = ep_index(), tokens = (size_t)k + 1, w = row / tokens;
    if (w >= count)
        return;
    const int d = box.d, width = window_inputs_width(view.form, d);
    const size_t i = centre[w], j = particle_of(w, (int)(row % tokens), k, centre, neighbour);
    uint64_t site[MAX_DIMENSION], other[MAX_DIMENSION];
    lattice_site(&anchor, anchor.d > 0 ? id[i] : 0, site);
    lattice_site(&anchor, anchor.d > 0 ? id[j] : 0, other);
#pragma unroll
    for (int a = 0; a < MAX_DIMENSION; a++)
        if (a < d)
            window_input(&view, d, box.side[a], q.at[a][i], q.at[a][j], site[a], other[a],
                         out + row * (size_t)width + a);
}

static void cuda_window_inputs(const struct ops *ops, const struct box *box, const struct window_view *view,
                               size_t count, int k, const uint32_t *centre, const uint32_t *neighbour,
                               uint64_t *const q[], const struct lattice *anchor, const uint32_t *id,
                               real *out) {
    ep_launch(device_of(ops), "window_inputs", window_inputs, ep_blocks(count * ((size_t)k + 1), BLOCK),
              BLOCK, 0, *box, *view, count, k, centre, neighbour, axes_of(box->d, q), *anchor, id, out);
}

/* A thread a token of a set: reads its inputs and its window's seed, writes up to 9 numbers. */
static __global__ void window_inputs_tangent(struct box box, struct window_view view, size_t sets,
                                             size_t count, int tokens, int decoded,
                                             const real *__restrict__ inputs, const real *__restrict__ seed,
                                             real *out) {
    const size_t row = ep_index(), window = row / (size_t)tokens, token = row % (size_t)tokens;
    if (window >= sets * count)
        return;
    const int d = box.d, width = window_inputs_width(view.form, d);
    const real *own = seed + (window * (size_t)decoded + (decoded > 1 ? token : 0)) * (size_t)d;
    const real *in = inputs + ((window % count) * (size_t)tokens + token) * (size_t)width;
    real *to = out + row * (size_t)width;
    for (int c = 0; c < width; c++)
        to[c] = 0;
#pragma unroll
    for (int a = 0; a < MAX_DIMENSION; a++)
        if (a < d)
            window_input_tangent(&view, d, (int)token, box.side[a], in + a, own[a], to + a);
}

static void cuda_window_inputs_tangent(const struct ops *ops, const struct box *box,
                                       const struct window_view *view, size_t sets, size_t count, int tokens,
                                       int decoded, const real *inputs, const real *seed, real *out) {
    ep_launch(device_of(ops), "window_inputs_tangent", window_inputs_tangent,
              ep_blocks(sets * count * (size_t)tokens, BLOCK), BLOCK, 0, *box, *view, sets, count, tokens,
              decoded, inputs, seed, out);
}

static __global__ void propulsion_rows(int d, size_t count, const uint32_t *__restrict__ index,
                                       axes<double> g, real *out) {
    const size_t e = ep_index(), i = e / (size_t)d;
    const int a = (int)(e % (size_t)d);
    if (i < count)
        out[e] = (real)(a == 0 ? g.at[0] : a == 1 ? g.at[1] : g.at[2])[index[i]];
}

static void cuda_propulsion_rows(const struct ops *ops, int d, size_t count, const uint32_t *index,
                                 double *const g[], real *out) {
    ep_launch(device_of(ops), "propulsion_rows", propulsion_rows, ep_blocks(count * (size_t)d, BLOCK), BLOCK,
              0, d, count, index, axes_of(d, g), out);
}

/* ---- rows: 8 bytes moved for each number, and the index from cache ---- */

/* Blocks of as many rows as fit, up to 32 threads a row: row and column of a thread need no division. */
struct row_grid {
    dim3 grid, block;
};
static struct row_grid row_grid_of(size_t rows, int columns) {
    struct row_grid g;
    g.block.x = columns < 1 ? 1 : columns < WARP ? (unsigned)columns : (unsigned)WARP;
    g.block.y = BLOCK / g.block.x;
    g.grid = ep_blocks(rows, g.block.y);
    return g;
}

static __global__ void gather_rows(size_t count, int columns, const uint32_t *__restrict__ index,
                                   const real *__restrict__ from, size_t ld_from, real *to, size_t ld_to) {
    const size_t i = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (i >= count)
        return;
    const size_t source = index[i] * ld_from;
    for (int c = (int)threadIdx.x; c < columns; c += (int)blockDim.x)
        to[i * ld_to + (size_t)c] = from[source + (size_t)c];
}

static void cuda_gather_rows(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                             const real *from, size_t ld_from, real *to, size_t ld_to) {
    const struct row_grid g = row_grid_of(count, columns);
    ep_launch(device_of(ops), "gather_rows", gather_rows, g.grid, g.block, 0, count, columns, index, from,
              ld_from, to, ld_to);
}

static __global__ void spread_rows(size_t rows, int columns, const real *from, size_t ld_from, real *to,
                                   size_t ld_to, bool add) {
    const size_t r = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    for (int c = (int)threadIdx.x; r < rows && c < columns; c += (int)blockDim.x) {
        real *at = to + r * ld_to + (size_t)c;
        *at = from[r * ld_from + (size_t)c] + (add ? *at : 0);
    }
}

static void cuda_spread_rows(const struct ops *ops, size_t rows, int columns, const real *from,
                             size_t ld_from, real *to, size_t ld_to, bool add) {
    const struct row_grid g = row_grid_of(rows, columns);
    ep_launch(device_of(ops), "spread_rows", spread_rows, g.grid, g.block, 0, rows, columns, from, ld_from,
              to, ld_to, add);
}

static __global__ void add_column(size_t rows, real factor, const real *x, size_t ldx, real *y) {
    const size_t r = ep_index();
    if (r < rows)
        y[r] += factor * x[r * ldx];
}

static void cuda_add_column(const struct ops *ops, size_t rows, double factor, const real *x, size_t ldx,
                            real *y) {
    ep_launch(device_of(ops), "add_column", add_column, ep_blocks(rows, BLOCK), BLOCK, 0, rows, (real)factor,
              x, ldx, y);
}

/* ---- products along directions; rows have a few numbers ---- */

static __global__ void probe(size_t rows, int columns, const real *__restrict__ direction,
                             const real *__restrict__ tangent, real *out) {
    const size_t r = ep_index();
    if (r >= rows)
        return;
    real sum = 0;
    for (size_t c = r * (size_t)columns; c < (r + 1) * (size_t)columns; c++)
        sum += direction[c] * tangent[c];
    out[r] = sum;
}

static void cuda_probe(const struct ops *ops, size_t rows, int columns, const real *direction,
                       const real *tangent, real *out) {
    ep_launch(device_of(ops), "probe", probe, ep_blocks(rows, BLOCK), BLOCK, 0, rows, columns, direction,
              tangent, out);
}

static __global__ void probe_backward(size_t rows, int columns, const real *__restrict__ direction,
                                      const real *__restrict__ dproduct, real *dtangent) {
    const size_t e = ep_index(), r = e / (size_t)columns;
    if (r < rows)
        dtangent[e] = dproduct[r] * direction[e];
}

static void cuda_probe_backward(const struct ops *ops, size_t rows, int columns, const real *direction,
                                const real *dproduct, real *dtangent) {
    ep_launch(device_of(ops), "probe_backward", probe_backward, ep_blocks(rows * (size_t)columns, BLOCK),
              BLOCK, 0, rows, columns, direction, dproduct, dtangent);
}

static __global__ void trace(size_t count, int d, const real *__restrict__ tangent, real *out) {
    const size_t i = ep_index();
    if (i >= count)
        return;
    real sum = 0;
    for (size_t a = 0; a < (size_t)d; a++)
        sum += tangent[(a * count + i) * (size_t)d + a];
    out[i] = sum;
}

static void cuda_trace(const struct ops *ops, size_t count, int d, const real *tangent, real *out) {
    ep_launch(device_of(ops), "trace", trace, ep_blocks(count, BLOCK), BLOCK, 0, count, d, tangent, out);
}

void cuda_fill_windows(struct ops *table) {
    table->window_offsets = cuda_window_offsets;
    table->window_inputs = cuda_window_inputs;
    table->window_inputs_tangent = cuda_window_inputs_tangent;
    table->propulsion_rows = cuda_propulsion_rows;
    table->gather_rows = cuda_gather_rows;
    table->spread_rows = cuda_spread_rows;
    table->add_column = cuda_add_column;
    table->probe = cuda_probe;
    table->probe_backward = cuda_probe_backward;
    table->trace = cuda_trace;
}
