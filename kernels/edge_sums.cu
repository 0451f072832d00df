/* Sums over the edges of receivers and of senders. An edge's row goes to its receiver and to its sender; both gather
 * what is theirs, in the order of edges, so that nothing depends on the schedule. */
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

/* ---- the edges of every sender ---- */

/* Blocks of a scan, and what a thread of it takes. */
enum { SCAN_BLOCK = 256, SCAN_EACH = 8, SCAN_TILE = SCAN_BLOCK * SCAN_EACH };

static __global__ void count_edges(size_t count, const uint32_t *sender, uint32_t *number) {
    const size_t e = ep_index();
    if (e < count)
        atomicAdd((unsigned *)&number[sender[e]], 1u);
}

/* Sums of tiles of numbers. */
static __global__ void tile_sums(size_t n, const uint32_t *number, uint32_t *sums) {
    __shared__ uint32_t room[WARP];
    const size_t first = (size_t)blockIdx.x * SCAN_TILE;
    uint32_t sum = 0;
    for (int m = 0; m < SCAN_EACH; m++) {
        const size_t i = first + (size_t)m * SCAN_BLOCK + threadIdx.x;
        sum += i < n ? number[i] : 0;
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        sums[blockIdx.x] = sum;
}

/* The sum of the threads before this one, of a block; room: 2 SCAN_BLOCK elements. */
static __device__ uint32_t sum_before(uint32_t value, uint32_t *room) {
    const int t = (int)threadIdx.x;
    uint32_t *now = room, *next = room + SCAN_BLOCK;
    now[t] = value;
    __syncthreads();
    for (int apart = 1; apart < SCAN_BLOCK; apart *= 2) {
        next[t] = now[t] + (t >= apart ? now[t - apart] : 0);
        __syncthreads();
        uint32_t *last = now;
        now = next;
        next = last;
    }
    const uint32_t sum = now[t] - value;
    __syncthreads();
    return sum;
}

/* Sums of tiles to sums of all tiles before: one block, its threads each a run of tiles. */
static __global__ void tile_starts(size_t tiles, uint32_t *sums) {
    __shared__ uint32_t room[2 * SCAN_BLOCK];
    const size_t each = (tiles + SCAN_BLOCK - 1) / SCAN_BLOCK, begin = threadIdx.x * each;
    uint32_t sum = 0;
    for (size_t m = begin; m < begin + each && m < tiles; m++)
        sum += sums[m];
    uint32_t before = sum_before(sum, room);
    for (size_t m = begin; m < begin + each && m < tiles; m++) {
        const uint32_t here = sums[m];
        sums[m] = before;
        before += here;
    }
}

/* Numbers to sums of all numbers before, n + 1 of them; number may be start. */
static __global__ void starts_of(size_t n, const uint32_t *number, const uint32_t *sums, uint32_t *start,
                                 uint32_t *next) {
    __shared__ uint32_t room[2 * SCAN_BLOCK];
    const size_t first = (size_t)blockIdx.x * SCAN_TILE + (size_t)threadIdx.x * SCAN_EACH;
    uint32_t here[SCAN_EACH], sum = 0;
#pragma unroll
    for (int m = 0; m < SCAN_EACH; m++) {
        here[m] = first + m < n ? number[first + m] : 0;
        sum += here[m];
    }
    uint32_t before = sums[blockIdx.x] + sum_before(sum, room);
#pragma unroll
    for (int m = 0; m < SCAN_EACH; m++) {
        if (first + m <= n)
            start[first + m] = before;
        if (first + m < n)
            next[first + m] = before;
        before += here[m];
    }
}

/* Every edge to a place of its sender's list, in any order ... */
static __global__ void drop_edges(size_t count, const uint32_t *sender, uint32_t *next, uint32_t *dropped) {
    const size_t e = ep_index();
    if (e < count)
        dropped[atomicAdd((unsigned *)&next[sender[e]], 1u)] = (uint32_t)e;
}

/* ... and then to the place that it has there: as many are before it as are smaller. Reads the list once an edge. */
static __global__ void order_edges(size_t count, const uint32_t *sender, const uint32_t *start,
                                   const uint32_t *dropped, uint32_t *edge) {
    const size_t e = ep_index();
    if (e >= count)
        return;
    const uint32_t begin = start[sender[e]], end = start[sender[e] + 1];
    uint32_t smaller = 0;
    for (uint32_t k = begin; k < end; k++)
        smaller += dropped[k] < e ? 1 : 0;
    edge[begin + smaller] = (uint32_t)e;
}

static void cuda_edges_by_sender(const struct ops *ops, struct edges *edges) {
    struct device *d = device_of(ops);
    const size_t n = edges->senders, count = edges->count, tiles = n / SCAN_TILE + 1;
    void *at = device_scratch(d, device_room(n * sizeof(uint32_t)) + device_room(count * sizeof(uint32_t)) +
                                     device_room(tiles * sizeof(uint32_t)));
    if (!at)
        return;
    uint32_t *number = device_part<uint32_t>(&at, n), *dropped = device_part<uint32_t>(&at, count);
    uint32_t *sums = device_part<uint32_t>(&at, tiles);
    if (n > 0)
        device_check(d, cudaMemsetAsync(number, 0, n * sizeof *number, d->stream), "counting edges");
    ep_launch(d, "count_edges", count_edges, ep_blocks(count, 256), 256, 0, count, edges->sender, number);
    ep_launch(d, "tile_sums", tile_sums, dim3((unsigned)tiles), SCAN_BLOCK, 0, n, number, sums);
    ep_launch(d, "tile_starts", tile_starts, 1, SCAN_BLOCK, 0, tiles, sums);
    ep_launch(d, "starts_of", starts_of, dim3((unsigned)tiles), SCAN_BLOCK, 0, n, number, sums,
              edges->back_start, number);
    ep_launch(d, "drop_edges", drop_edges, ep_blocks(count, 256), 256, 0, count, edges->sender, number,
              dropped);
    ep_launch(d, "order_edges", order_edges, ep_blocks(count, 256), 256, 0, count, edges->sender,
              edges->back_start, dropped, edges->back_edge);
}

void cuda_fill_edge_sums(struct ops *table) {
    table->edges_by_sender = cuda_edges_by_sender;
}
