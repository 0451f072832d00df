/* Where particles are, which of them are somewhere, and in which order: whole numbers, and so the same on every
 * device. */
#include "kernels/order.h"
#include "ops/cell_formula.h"

#include <math.h>

enum { THREADS = 256, MOST_PARTS = 512 };

/* ---- least and most, as signed distances from the first: of parts, then of those. 8 bytes read a coordinate ---- */

static __device__ __forceinline__ int64_t apart(uint64_t x, uint64_t first) {
    return (int64_t)(x - first);
}
static __device__ __forceinline__ int64_t apart(uint32_t x, uint32_t first) {
    return (int64_t)x - (int64_t)first;
}

/* The array of axis a: no table of addresses in local memory. */
template <typename T>
static __device__ __forceinline__ const T *of_axis(const axes<const T> &values, unsigned a) {
    return a == 0 ? values.at[0] : a == 1 ? values.at[1] : values.at[2];
}

/* The largest of `most` and the least of `least` of a block's threads, in its first thread. */
struct range {
    int64_t least, most;
};
static __device__ __forceinline__ range block_range(range own, int64_t (*room)[WARP]) {
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP;
    const int64_t most = warp_max(own.most), turned = warp_max(~own.least); /* ~x = -1 - x: no overflow */
    if (lane == 0) {
        room[0][warp] = most;
        room[1][warp] = turned;
    }
    __syncthreads();
    own.most = most;
    own.least = ~turned;
    for (int w = 0; threadIdx.x == 0 && w < THREADS / WARP; w++) {
        own.most = room[0][w] > own.most ? room[0][w] : own.most;
        own.least = ~room[1][w] < own.least ? ~room[1][w] : own.least;
    }
    return own;
}

/* part[axis][block]. */
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    ranges_of_parts(size_t n, axes<const T> values, range *__restrict__ part) {
    __shared__ int64_t room[2][WARP];
    const T *__restrict__ x = of_axis(values, blockIdx.y);
    const T first = x[0];
    range own = {0, 0};
    for (size_t i = ep_index(); i < n; i += (size_t)gridDim.x * THREADS) {
        const int64_t at = apart(x[i], first);
        own.least = at < own.least ? at : own.least;
        own.most = at > own.most ? at : own.most;
    }
    own = block_range(own, room);
    if (threadIdx.x == 0)
        part[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = own;
}

struct placed_range {
    uint64_t first;
    int64_t least, most;
};
template <typename T>
static __global__ void __launch_bounds__(THREADS)
    range_of_ranges(int parts, axes<const T> values, const range *__restrict__ part,
                    placed_range *__restrict__ out) {
    __shared__ int64_t room[2][WARP];
    range own = {0, 0};
    for (int m = (int)threadIdx.x; m < parts; m += THREADS) {
        const range other = part[(size_t)blockIdx.x * parts + m];
        own.least = other.least < own.least ? other.least : own.least;
        own.most = other.most > own.most ? other.most : own.most;
    }
    own = block_range(own, room);
    if (threadIdx.x == 0) {
        out[blockIdx.x].first = of_axis(values, blockIdx.x)[0];
        out[blockIdx.x].least = own.least;
        out[blockIdx.x].most = own.most;
    }
}

/* Of every axis, to the host; n > 0. */
template <typename T>
static void find_ranges(struct device *d, int count, size_t n, axes<const T> values,
                        placed_range out[MAX_DIMENSION]) {
    const size_t blocks = (n + THREADS - 1) / THREADS;
    const int parts = blocks < MOST_PARTS ? (int)blocks : MOST_PARTS;
    const size_t all = (size_t)count * (size_t)parts;
    void *at =
        device_scratch(d, device_room(all * sizeof(range)) + device_room(count * sizeof(placed_range)));
    range *part = device_part<range>(&at, all);
    placed_range *whole = device_part<placed_range>(&at, (size_t)count);
    ep_launch(d, "ranges_of_parts", ranges_of_parts<T>, dim3((unsigned)parts, (unsigned)count), THREADS, 0, n,
              values, part);
    ep_launch(d, "range_of_ranges", range_of_ranges<T>, dim3((unsigned)count), THREADS, 0, parts, values,
              part, whole);
    device_read(d, out, whole, (size_t)count * sizeof *out);
}

static void cuda_extents(const struct ops *ops, int d, size_t n, uint64_t *const q[], uint64_t low[],
                         uint64_t extent[]) {
    placed_range found[MAX_DIMENSION] = {};
    axes<const uint64_t> values = {};
    for (int a = 0; a < d; a++)
        values.at[a] = q[a];
    if (n > 0)
        find_ranges(device_of(ops), d, n, values, found);
    for (int a = 0; a < d; a++) {
        low[a] = found[a].first + (uint64_t)found[a].least;
        extent[a] = (uint64_t)found[a].most - (uint64_t)found[a].least;
    }
}

static void cuda_id_range(const struct ops *ops, size_t n, const uint32_t *id, uint32_t *first,
                          uint32_t *last) {
    placed_range found[MAX_DIMENSION] = {};
    axes<const uint32_t> values = {};
    values.at[0] = id;
    if (n > 0)
        find_ranges(device_of(ops), 1, n, values, found);
    *first = (uint32_t)((int64_t)found[0].first + found[0].least);
    *last = (uint32_t)((int64_t)found[0].first + found[0].most);
}

/* ---- those outside a region: marked, counted, listed. 8 d bytes and some 32 a particle ---- */

template <int D>
static __global__ void mark_outside(size_t n, axes<uint64_t> q, region region, uint32_t *__restrict__ mark) {
    const size_t i = ep_index();
    if (i < n)
        mark[i] = !in_region(D, &region, q.at, i);
}

/* before[i]: how many are marked before i. */
static __global__ void list_marked(size_t n, const uint32_t *__restrict__ before,
                                   uint32_t *__restrict__ index) {
    const size_t i = ep_index();
    if (i < n && before[i + 1] != before[i])
        index[before[i]] = (uint32_t)i;
}

static size_t cuda_outside(const struct ops *ops, int d, size_t n, uint64_t *const q[],
                           const struct region *region, uint32_t *index) {
    struct device *device = device_of(ops);
    uint64_t count = 0;
    if (n == 0)
        return 0;
    void *at = device_scratch(device, device_room((n + 1) * sizeof(uint32_t)) + device_room(sizeof count) +
                                          scan_room(n));
    uint32_t *mark = device_part<uint32_t>(&at, n + 1);
    uint64_t *total = device_part<uint64_t>(&at, 1);
    ep_launch(device, "mark_outside", EP_BY_DIMENSION(d, mark_outside), ep_blocks(n, THREADS), THREADS, 0, n,
              axes_of(d, q), *region, mark);
    scan(device, n, mark, total, at);
    ep_launch(device, "list_marked", list_marked, ep_blocks(n, THREADS), THREADS, 0, n, mark, index);
    device_read(device, &count, total, sizeof count);
    return (size_t)count;
}

/* ---- order in space: sorted by id, then, as the sort keeps it among equals, by the cell's place. 4 passes each of 20
 * bytes a particle at most, and again where there are more than 2^32 cells ---- */

static __global__ void ids_as_keys(size_t n, const uint32_t *__restrict__ id, struct keyed to) {
    const size_t i = ep_index();
    if (i < n) {
        to.key[i] = id[i];
        to.value[i] = (uint32_t)i;
    }
}

template <int D>
static __global__ void cells_as_keys(size_t n, cell_rows rows, int shift, axes<uint64_t> q, struct keyed to) {
    const size_t m = ep_index();
    if (m < n)
        to.key[m] = (uint32_t)(rank_of_cell(D, &rows, q.at, to.value[m]) >> shift);
}

static void cuda_order_in_space(const struct ops *ops, const struct box *box, double cell, size_t n,
                                const uint32_t *id, uint64_t *const q[], uint32_t *order, void *scratch) {
    (void)scratch;
    struct device *d = device_of(ops);
    const size_t numbers = (size_t)1 << 32;
    const struct cell_rows rows = cell_rows_of(box, cell);
    const dim3 blocks = ep_blocks(n, THREADS);
    struct keyed room[2];
    double cells = box->group > 0 ? 1 : 2; /* twice as many as there are: rounding does not matter */
    if (n == 0)
        return;
    void *at = device_scratch(d, 4 * device_room(n * sizeof(uint32_t)) + sort_room(n));
    for (int m = 0; m < 2; m++) {
        room[m].key = device_part<uint32_t>(&at, n);
        room[m].value = device_part<uint32_t>(&at, n);
    }
    for (int a = 0; a < box->d && box->group == 0; a++)
        cells *= (double)rows.cells[a];
    ep_launch(d, "ids_as_keys", ids_as_keys, blocks, THREADS, 0, n, id, room[0]);
    struct keyed sorted = sort_by_key(d, n, numbers, room[0], room[1], at);
    for (int shift = 0; shift < 64 && cells > 1; shift += 32, cells *= 0x1p-32) {
        const struct keyed other = room[sorted.key == room[0].key ? 1 : 0];
        ep_launch(d, "cells_as_keys", EP_BY_DIMENSION(box->d, cells_as_keys), blocks, THREADS, 0, n, rows,
                  shift, axes_of(box->d, q), sorted);
        sorted = sort_by_key(d, n, cells < 0x1p32 ? (size_t)cells : numbers, sorted, other, at);
    }
    ops->copy(ops, order, sorted.value, n * sizeof *order);
}

void cuda_fill_select(struct ops *table) {
    table->extents = cuda_extents;
    table->id_range = cuda_id_range;
    table->outside = cuda_outside;
    table->order_in_space = cuda_order_in_space;
}
