/* Sums over the edges of receivers and of senders. An edge's row goes to its receiver and to its sender; both gather
 * what is theirs, in the order of edges, so that nothing depends on the schedule. */
#include "kernels/order.h"
#include "kernels/rows.h"

/* ---- receivers: their rows follow each other ---- */

/* One thread a receiver and column. Reads 4 bytes an edge and column, adds as often. */
static __global__ void receiver_sums(struct edges edges, struct edge_range range,
                                     const real *__restrict__ rows, int columns, struct row_target to) {
    const size_t i = range.begin + ep_row();
    if (i >= range.end)
        return;
    const size_t begin = edges.start[i] - range.first, end = edges.start[i + 1] - range.first;
    for (int c = (int)threadIdx.x; c < columns; c += (int)blockDim.x) {
        real sum = 0;
#pragma unroll 4
        for (size_t e = begin; e < end; e++)
            sum += rows[e * (size_t)columns + (size_t)c];
        *row_place(to, i, c) += to.sign * sum;
    }
}

void add_to_receivers(struct device *d, const struct edges *edges, struct edge_range range, const real *rows,
                      int columns, struct row_target to) {
    if (columns < 1 || range.count == 0)
        return;
    const dim3 block = ep_row_block(columns);
    ep_launch(d, "receiver_sums", receiver_sums, ep_row_grid(range.end - range.begin, block), block, 0,
              *edges, range, rows, columns, to);
}

/* ---- senders ---- */

/* First of the ascending list at[from ... to - 1] that is not below `least`. */
static __device__ __forceinline__ uint32_t first_from(const uint32_t *at, uint32_t from, uint32_t to,
                                                      size_t least) {
    while (from < to) {
        const uint32_t middle = from + (to - from) / 2;
        if (at[middle] < least)
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

/* A warp for 32 edges. Of the edges of a sender that are in the range the first stands for it: every lane sees by
 * bisection whether its edge is one, and the warp then serves the senders that it found one after the other, its lanes
 * over the columns. So the work is that of the range, however many senders there are. Reads 4 bytes an edge and
 * column and some 40 of the list an edge. */
static __global__ void sender_sums(struct edges edges, struct edge_range range, const real *__restrict__ rows,
                                   int columns, struct row_target to) {
    const int lane = (int)threadIdx.x % WARP;
    const size_t m = ep_index();
    uint32_t sender = 0, from = 0, until = 0;
    bool stands = false;
    if (m < range.count) {
        sender = edges.sender[range.first + m];
        const uint32_t begin = edges.back_start[sender], end = edges.back_start[sender + 1];
        from = first_from(edges.back_edge, begin, end, range.first);
        stands = from < end && edges.back_edge[from] == range.first + m;
        if (stands)
            until = first_from(edges.back_edge, from, end, range.first + range.count);
    }
    for (unsigned left = __ballot_sync(0xffffffffu, stands); left != 0; left &= left - 1) {
        const int of = __ffs((int)left) - 1;
        const uint32_t j = __shfl_sync(0xffffffffu, sender, of), begin = __shfl_sync(0xffffffffu, from, of),
                       end = __shfl_sync(0xffffffffu, until, of);
        for (int c = lane; c < columns; c += WARP) {
            real sum = 0;
#pragma unroll 4
            for (uint32_t k = begin; k < end; k++)
                sum += rows[(edges.back_edge[k] - range.first) * (size_t)columns + (size_t)c];
            *row_place(to, j, c) += to.sign * sum;
        }
    }
}

void add_to_senders(struct device *d, const struct edges *edges, struct edge_range range, const real *rows,
                    int columns, struct row_target to) {
    if (columns < 1)
        return;
    ep_launch(d, "sender_sums", sender_sums, ep_blocks(range.count, 256), 256, 0, *edges, range, rows,
              columns, to);
}

/* ---- the edges of every sender: edges sorted by it, which keeps their order ---- */

static __global__ void number_edges(size_t count, const uint32_t *__restrict__ sender,
                                    uint32_t *__restrict__ key, uint32_t *__restrict__ edge) {
    const size_t e = ep_index();
    if (e < count) {
        key[e] = sender[e];
        edge[e] = (uint32_t)e;
    }
}

static void cuda_edges_by_sender(const struct ops *ops, struct edges *edges) {
    struct device *d = device_of(ops);
    const size_t count = edges->count, each = device_room(count * sizeof(uint32_t));
    void *at = device_scratch(d, 3 * each + sort_room(count));
    if (!at)
        return;
    struct keyed own, other;
    own.key = device_part<uint32_t>(&at, count);
    own.value = edges->back_edge;
    other.key = device_part<uint32_t>(&at, count);
    other.value = device_part<uint32_t>(&at, count);
    ep_launch(d, "number_edges", number_edges, ep_blocks(count, 256), 256, 0, count, edges->sender, own.key,
              own.value);
    const struct keyed sorted = sort_by_key(d, count, edges->senders, own, other, at);
    find_starts(d, count, sorted.key, edges->senders, edges->back_start);
    if (sorted.value != edges->back_edge)
        ops->copy(ops, edges->back_edge, sorted.value, count * sizeof(uint32_t));
}

void cuda_fill_edge_sums(struct ops *table) {
    table->edges_by_sender = cuda_edges_by_sender;
}
