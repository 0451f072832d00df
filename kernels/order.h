/* Sums of what came before, and sorting by whole numbers: what lists are made of. The same result whichever thread
 * comes first. */
#ifndef EPFLOW_KERNELS_ORDER_H
#define EPFLOW_KERNELS_ORDER_H

#include "kernels/device.h"

/* Counts 0 ... n - 1 become the sum of those before each; number n the sum of all modulo 2^32, and *total (device; NULL:
 * not asked for) the sum itself. room: scratch of scan_room(n) bytes. */
size_t scan_room(size_t n);
void scan(struct device *d, size_t n, uint32_t *counts, uint64_t *total, void *room);

/* Values in order of their keys, those of equal keys in the order in which they came. Keys are below `keys`. Both pairs of
 * arrays (n) are written to, and the result is in the one that is returned. room: scratch of sort_room(n) bytes. */
struct keyed {
    uint32_t *key, *value;
};
size_t sort_room(size_t n);
struct keyed sort_by_key(struct device *d, size_t n, size_t keys, struct keyed from, struct keyed other,
                         void *room);

/* start[c] = the first of n sorted keys that is at least c, c = 0 ... keys. */
void find_starts(struct device *d, size_t n, const uint32_t *key, size_t keys, uint32_t *start);

/* The sum of the values of a block's threads before this one; *sum: that of all. room: 32 elements of shared memory, which
 * can be used again after it. Every thread of the block calls it. */
template <typename T> static __device__ __forceinline__ T sum_before(T value, T *room, T *sum) {
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP, warps = (int)blockDim.x / WARP;
    T so_far = value, before = 0, all = 0;
#pragma unroll
    for (int apart = 1; apart < WARP; apart *= 2) {
        const T other = __shfl_sync(0xffffffffu, so_far, lane >= apart ? lane - apart : lane);
        so_far += lane >= apart ? other : 0;
    }
    if (lane == WARP - 1)
        room[warp] = so_far;
    __syncthreads();
    for (int w = 0; w < warps; w++) {
        before += w < warp ? room[w] : 0;
        all += room[w];
    }
    __syncthreads();
    *sum = all;
    return before + so_far - value;
}

#endif
