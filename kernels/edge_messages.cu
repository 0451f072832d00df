/* Messages along the edges of the response network: their hidden numbers, and the sums that receivers make of them. */
#include "kernels/rows.h"
#include "ops/edge_formula.h"

/* ---- hidden numbers ---- */

/* One thread an edge and column: reads 12 bytes, 4 of them by the sender, writes 8. */
static __global__ void hidden_values(struct edges edges, struct edge_range range, int width,
                                     const real *__restrict__ p, real *__restrict__ a, real *__restrict__ e) {
    const size_t m = ep_row(), row = m * (size_t)width;
    if (m >= range.count)
        return;
    const real *own = p + edges.receiver[range.first + m] * 2 * (size_t)width;
    const real *other = p + edges.sender[range.first + m] * 2 * (size_t)width + width;
    for (int c = (int)threadIdx.x; c < width; c += (int)blockDim.x) {
        const real sum = a[row + c] + (own[c] + other[c]);
        a[row + c] = sum;
        e[row + c] = silu_of(sum);
    }
}

static void cuda_edge_hidden(const struct ops *ops, const struct edges *edges, struct edge_range range,
                             int width, const real *p, real *a, real *e) {
    const dim3 block = ep_row_block(width);
    ep_launch(device_of(ops), "edge_hidden", hidden_values, ep_row_grid(range.count, block), block, 0, *edges,
              range, width, p, a, e);
}

/* Likewise: reads 16 bytes, writes 4. */
static __global__ void hidden_tangents(struct edges edges, struct edge_range range, int width,
                                       const real *__restrict__ a, const real *__restrict__ dp,
                                       real *__restrict__ de) {
    const size_t m = ep_row(), row = m * (size_t)width;
    if (m >= range.count)
        return;
    const real *own = dp + edges.receiver[range.first + m] * 2 * (size_t)width;
    const real *other = dp + edges.sender[range.first + m] * 2 * (size_t)width + width;
    for (int c = (int)threadIdx.x; c < width; c += (int)blockDim.x)
        de[row + c] = silu_slope(a[row + c]) * (de[row + c] + own[c] + other[c]);
}

static void cuda_edge_hidden_tangent(const struct ops *ops, const struct edges *edges,
                                     struct edge_range range, int width, const real *a, const real *dp,
                                     real *de) {
    const dim3 block = ep_row_block(width);
    ep_launch(device_of(ops), "edge_hidden_tangent", hidden_tangents, ep_row_grid(range.count, block), block,
              0, *edges, range, width, a, dp, de);
}

/* One thread a receiver and column, which goes through its edges: reads 8 bytes each, writes 4. */
static __global__ void hidden_gradients(struct edges edges, struct edge_range range, int width,
                                        const real *__restrict__ a, real *__restrict__ de,
                                        real *__restrict__ dp) {
    const size_t i = range.begin + ep_row();
    if (i >= range.end)
        return;
    const size_t begin = edges.start[i] - range.first, end = edges.start[i + 1] - range.first;
    for (int c = (int)threadIdx.x; c < width; c += (int)blockDim.x) {
        real sum = 0;
#pragma unroll 4
        for (size_t m = begin; m < end; m++) {
            const size_t at = m * (size_t)width + (size_t)c;
            const real g = de[at] * silu_slope(a[at]);
            de[at] = g;
            sum += g;
        }
        dp[i * 2 * (size_t)width + c] += sum;
    }
}

static void cuda_edge_hidden_backward(const struct ops *ops, const struct edges *edges,
                                      struct edge_range range, int width, const real *a, real *de, real *dp) {
    struct device *d = device_of(ops);
    const dim3 block = ep_row_block(width);
    const struct row_target senders = {dp + width, 2 * (size_t)width, width, width, 1};
    ep_launch(d, "edge_hidden_backward", hidden_gradients, ep_row_grid(range.end - range.begin, block), block,
              0, *edges, range, width, a, de, dp);
    add_to_senders(d, edges, range, de, width, senders);
}

/* ---- messages ---- */

/* What the kernels here read; rows of y have `row` numbers: hidden, then alpha, beta, delta of every channel. */
struct message_input {
    struct carrier_factors factors;
    real transfer;
    struct edges edges;
    struct edge_range range;
    const real *kappa;
    int hidden, channels, row;
};
static struct message_input message_input_of(const struct response_law *law, const struct edges *edges,
                                             struct edge_range range, const real *kappa, int hidden,
                                             int channels) {
    const struct message_input in = {
        carrier_factors_of(law), (real)law->constants.transfer, *edges, range, kappa, hidden, channels,
        hidden + 3 * channels};
    return in;
}

/* Edge e to receiver i: n and what it carries. */
template <int D> struct bond {
    real normal[D];
    struct carrier of;
};
template <int D>
static __device__ __forceinline__ struct bond<D> bond_of(const struct message_input &in, size_t e,
                                                         real kappa) {
    struct bond<D> out;
    out.of = carrier_of(in.factors, in.edges.kn[e], in.edges.kt[e], in.edges.window[e], kappa);
#pragma unroll
    for (int a = 0; a < D; a++)
        out.normal[a] = in.edges.normal[(size_t)a * in.edges.count + e];
    return out;
}

/* a = n . (own - other) and T = own - other - n a of channel c of vectors (particles, d, channels), own given. */
template <int D>
static __device__ __forceinline__ real split(const struct message_input &in, const struct bond<D> &k,
                                             size_t j, int c, const real own[D],
                                             const real *__restrict__ mixed, real across[D]) {
    real along = 0;
#pragma unroll
    for (int a = 0; a < D; a++) {
        across[a] = own[a] - mixed[(j * D + (size_t)a) * (size_t)in.channels + (size_t)c];
        along += k.normal[a] * across[a];
    }
#pragma unroll
    for (int a = 0; a < D; a++)
        across[a] -= k.normal[a] * along;
    return along;
}
template <int D>
static __device__ __forceinline__ void read_own(int channels, size_t i, int c, const real *__restrict__ mixed,
                                                real own[D]) {
#pragma unroll
    for (int a = 0; a < D; a++)
        own[a] = mixed[(i * D + (size_t)a) * (size_t)channels + (size_t)c];
}

/* One thread a receiver and hidden number: 4 bytes an edge, rows after each other. */
static __global__ void message_sums(struct message_input in, const real *__restrict__ y, real *__restrict__ m,
                                    size_t ldm) {
    const size_t i = in.range.begin + ep_row();
    if (i >= in.range.end)
        return;
    const size_t begin = in.edges.start[i], end = in.edges.start[i + 1];
    for (int c = (int)threadIdx.x; c < in.hidden; c += (int)blockDim.x) {
        real sum = 0;
#pragma unroll 4
        for (size_t e = begin; e < end; e++)
            sum += in.factors.message * in.edges.window[e] *
                   y[(e - in.range.first) * (size_t)in.row + (size_t)c];
        m[i * ldm + (size_t)c] = sum;
    }
}
static void sum_messages(struct device *d, const char *name, const struct message_input &in, const real *y,
                         real *m, size_t ldm) {
    const dim3 block = ep_row_block(in.hidden);
    ep_launch(d, name, message_sums, ep_row_grid(in.range.end - in.range.begin, block), block, 0, in, y, m,
              ldm);
}

/* One thread a receiver and channel: 12 + 4 d bytes an edge, of which the sender's vectors are gathered, and the edge's
 * 4 (4 + d) bytes, the same for all channels. */
template <int D>
static __global__ void __launch_bounds__(256)
    message_vectors(struct message_input in, const real *__restrict__ y, const real *__restrict__ mixed,
                    real *__restrict__ v) {
    const size_t i = in.range.begin + ep_row();
    if (i >= in.range.end)
        return;
    const size_t begin = in.edges.start[i], end = in.edges.start[i + 1];
    const real kappa = in.kappa[i];
    for (int c = (int)threadIdx.x; c < in.channels; c += (int)blockDim.x) {
        real own[D], sum[D] = {0};
        read_own<D>(in.channels, i, c, mixed, own);
#pragma unroll 2
        for (size_t e = begin; e < end; e++) {
            const struct bond<D> k = bond_of<D>(in, e, kappa);
            const real *alpha = y + (e - in.range.first) * (size_t)in.row + in.hidden + c;
            real across[D];
            const real along = split<D>(in, k, in.edges.sender[e], c, own, mixed, across);
            const real onto =
                k.of.along * (in.transfer + alpha[0]) * along + k.of.push * alpha[2 * in.channels];
            const real beside = k.of.across * (in.transfer + alpha[in.channels]);
#pragma unroll
            for (int a = 0; a < D; a++)
                sum[a] += onto * k.normal[a] + beside * across[a];
        }
#pragma unroll
        for (int a = 0; a < D; a++)
            v[(i * D + (size_t)a) * (size_t)in.channels + (size_t)c] = sum[a];
    }
}

static void cuda_edge_messages(const struct ops *ops, const struct response_law *law,
                               const struct edges *edges, struct edge_range range, const real *kappa,
                               int hidden, int channels, const real *y, const real *mixed, real *m,
                               size_t ldm, real *v) {
    const struct message_input in = message_input_of(law, edges, range, kappa, hidden, channels);
    const dim3 block = ep_row_block(channels);
    sum_messages(device_of(ops), "edge_messages, sums", in, y, m, ldm);
    ep_launch(device_of(ops), "edge_messages, vectors", EP_BY_DIMENSION(law->d, message_vectors),
              ep_row_grid(range.end - range.begin, block), block, 0, in, y, mixed, v);
}

/* ---- tangent ---- */

/* As message_vectors; 20 + 8 d bytes an edge. */
template <int D>
static __global__ void __launch_bounds__(256)
    message_tangents(struct message_input in, const real *__restrict__ y, const real *__restrict__ mixed,
                     const real *__restrict__ dy, const real *__restrict__ dmixed, real *__restrict__ dv) {
    const size_t i = in.range.begin + ep_row();
    if (i >= in.range.end)
        return;
    const size_t begin = in.edges.start[i], end = in.edges.start[i + 1];
    const real kappa = in.kappa[i];
    for (int c = (int)threadIdx.x; c < in.channels; c += (int)blockDim.x) {
        real own[D], down[D], sum[D] = {0};
        read_own<D>(in.channels, i, c, mixed, own);
        read_own<D>(in.channels, i, c, dmixed, down);
#pragma unroll 2
        for (size_t e = begin; e < end; e++) {
            const struct bond<D> k = bond_of<D>(in, e, kappa);
            const size_t row = (e - in.range.first) * (size_t)in.row + (size_t)(in.hidden + c),
                         j = in.edges.sender[e];
            const real *alpha = y + row, *dalpha = dy + row;
            real across[D], dacross[D];
            const real along = split<D>(in, k, j, c, own, mixed, across);
            const real dalong = split<D>(in, k, j, c, down, dmixed, dacross);
            const real onto = k.of.along * ((in.transfer + alpha[0]) * dalong + dalpha[0] * along) +
                              k.of.push * dalpha[2 * in.channels];
            const real beta = in.transfer + alpha[in.channels], dbeta = dalpha[in.channels];
#pragma unroll
            for (int a = 0; a < D; a++)
                sum[a] += onto * k.normal[a] + k.of.across * (beta * dacross[a] + dbeta * across[a]);
        }
#pragma unroll
        for (int a = 0; a < D; a++)
            dv[(i * D + (size_t)a) * (size_t)in.channels + (size_t)c] = sum[a];
    }
}

static void cuda_edge_messages_tangent(const struct ops *ops, const struct response_law *law,
                                       const struct edges *edges, struct edge_range range, const real *kappa,
                                       int hidden, int channels, const real *y, const real *mixed,
                                       const real *dy, const real *dmixed, real *dm, size_t lddm, real *dv) {
    const struct message_input in = message_input_of(law, edges, range, kappa, hidden, channels);
    const dim3 block = ep_row_block(channels);
    sum_messages(device_of(ops), "edge_messages_tangent, sums", in, dy, dm, lddm);
    ep_launch(device_of(ops), "edge_messages_tangent, vectors", EP_BY_DIMENSION(law->d, message_tangents),
              ep_row_grid(range.end - range.begin, block), block, 0, in, y, mixed, dy, dmixed, dv);
}

/* ---- backward ---- */

/* One thread an edge and hidden number: reads 4 bytes of its receiver, writes 4. */
static __global__ void message_gradients(struct message_input in, const real *__restrict__ dm, size_t lddm,
                                         real *__restrict__ dy) {
    const size_t m = ep_row(), e = in.range.first + m;
    if (m >= in.range.count)
        return;
    const real *of = dm + in.edges.receiver[e] * lddm, factor = in.factors.message * in.edges.window[e];
    for (int c = (int)threadIdx.x; c < in.hidden; c += (int)blockDim.x)
        dy[m * (size_t)in.row + (size_t)c] = factor * of[c];
}

/* One thread an edge and channel: the gradients of alpha, beta, delta, and that of own - other, rows (d, channels) of
 * `across`. Reads 8 + 12 d bytes and the edge's 4 (5 + d), writes 12 + 4 d. */
template <int D>
static __global__ void __launch_bounds__(256)
    vector_gradients(struct message_input in, const real *__restrict__ y, const real *__restrict__ mixed,
                     const real *__restrict__ dv, real *__restrict__ dy, real *__restrict__ difference) {
    const size_t m = ep_row(), e = in.range.first + m;
    if (m >= in.range.count)
        return;
    const size_t i = in.edges.receiver[e], row = m * (size_t)in.row + (size_t)in.hidden;
    const struct bond<D> k = bond_of<D>(in, e, in.kappa[i]);
    for (int c = (int)threadIdx.x; c < in.channels; c += (int)blockDim.x) {
        real own[D], dnew[D], across[D], onto = 0, beside = 0;
        read_own<D>(in.channels, i, c, mixed, own);
        read_own<D>(in.channels, i, c, dv, dnew);
        const real along = split<D>(in, k, in.edges.sender[e], c, own, mixed, across);
#pragma unroll
        for (int a = 0; a < D; a++) {
            onto += k.normal[a] * dnew[a];
            beside += across[a] * dnew[a];
        }
        dy[row + (size_t)c] = k.of.along * along * onto;
        dy[row + (size_t)(in.channels + c)] = k.of.across * beside;
        dy[row + (size_t)(2 * in.channels + c)] = k.of.push * onto;
        const real normal = k.of.along * (in.transfer + y[row + (size_t)c]);
        const real rest = k.of.across * (in.transfer + y[row + (size_t)(in.channels + c)]);
#pragma unroll
        for (int a = 0; a < D; a++)
            difference[(m * D + (size_t)a) * (size_t)in.channels + (size_t)c] =
                rest * dnew[a] + (normal - rest) * onto * k.normal[a];
    }
}

static void cuda_edge_messages_backward(const struct ops *ops, const struct response_law *law,
                                        const struct edges *edges, struct edge_range range, const real *kappa,
                                        int hidden, int channels, const real *y, const real *mixed,
                                        const real *dm, size_t lddm, const real *dv, real *dy, real *dmixed) {
    struct device *d = device_of(ops);
    const struct message_input in = message_input_of(law, edges, range, kappa, hidden, channels);
    const dim3 wide = ep_row_block(hidden), block = ep_row_block(channels);
    const int columns = law->d * channels;
    real *difference = (real *)device_scratch(d, range.count * (size_t)columns * sizeof *difference);
    if (!difference || range.count == 0)
        return;
    ep_launch(d, "edge_messages_backward, sums", message_gradients, ep_row_grid(range.count, wide), wide, 0,
              in, dm, lddm, dy);
    ep_launch(d, "edge_messages_backward, vectors", EP_BY_DIMENSION(law->d, vector_gradients),
              ep_row_grid(range.count, block), block, 0, in, y, mixed, dv, dy, difference);
    struct row_target to = {dmixed, (size_t)columns, columns, columns, 1};
    add_to_receivers(d, edges, range, difference, columns, to);
    to.sign = -1;
    add_to_senders(d, edges, range, difference, columns, to);
}

void cuda_fill_edge_messages(struct ops *table) {
    table->edge_hidden = cuda_edge_hidden;
    table->edge_hidden_tangent = cuda_edge_hidden_tangent;
    table->edge_hidden_backward = cuda_edge_hidden_backward;
    table->edge_messages = cuda_edge_messages;
    table->edge_messages_tangent = cuda_edge_messages_tangent;
    table->edge_messages_backward = cuda_edge_messages_backward;
}
