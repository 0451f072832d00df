/* Sums of what came before, and sorting by whole numbers. */
#include "kernels/order.h"

enum {
    THREADS = 256,
    ROUNDS = 8,
    TILE = THREADS * ROUNDS, /* of a block */
    SCANNERS = 1024,         /* threads of the block that sums over tiles */
    DIGITS = 256,            /* that a pass of the sort tells apart */
    DIGIT_BITS = 8,
    WARPS = THREADS / WARP
};

static size_t tiles_of(size_t n) {
    return (n + TILE - 1) / TILE;
}

/* ---- sums: of each tile, of the tiles before each, and of all before each number. 12 bytes a number ---- */

static __global__ void tile_sums(size_t n, const uint32_t *__restrict__ counts, uint64_t *__restrict__ tile) {
    __shared__ uint64_t room[32];
    uint64_t sum = 0;
    for (int m = 0; m < ROUNDS; m++) {
        const size_t i = (size_t)blockIdx.x * TILE + m * THREADS + threadIdx.x;
        sum += i < n ? counts[i] : 0;
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        tile[blockIdx.x] = sum;
}

/* One block: every tile's sum becomes that of the tiles before it. */
static __global__ void sums_of_tiles(size_t tiles, uint64_t *__restrict__ tile, uint64_t *total) {
    __shared__ uint64_t room[32];
    uint64_t before = 0, sum = 0;
    for (size_t first = 0; first < tiles; first += SCANNERS) {
        const size_t i = first + threadIdx.x;
        const uint64_t own = i < tiles ? tile[i] : 0;
        const uint64_t at = before + sum_before(own, room, &sum);
        if (i < tiles)
            tile[i] = at;
        before += sum;
    }
    if (threadIdx.x == 0 && total)
        *total = before;
}

static __global__ void sums_in_tiles(size_t n, const uint64_t *__restrict__ tile,
                                     uint32_t *__restrict__ counts) {
    __shared__ uint32_t room[32];
    uint32_t before = (uint32_t)tile[blockIdx.x], sum = 0;
    for (int m = 0; m < ROUNDS; m++) {
        const size_t i = (size_t)blockIdx.x * TILE + m * THREADS + threadIdx.x;
        const uint32_t own = i < n ? counts[i] : 0, at = before + sum_before(own, room, &sum);
        if (i < n)
            counts[i] = at;
        if (i + 1 == n)
            counts[n] = at + own;
        before += sum;
    }
}

size_t scan_room(size_t n) {
    return device_room(tiles_of(n) * sizeof(uint64_t));
}

void scan(struct device *d, size_t n, uint32_t *counts, uint64_t *total, void *room) {
    uint64_t *tile = (uint64_t *)room;
    const dim3 tiles((unsigned)tiles_of(n));
    if (n == 0 && d->status == STATUS_OK)
        device_check(d, cudaMemsetAsync(counts, 0, sizeof *counts, d->stream), "an empty sum");
    ep_launch(d, "tile_sums", tile_sums, tiles, THREADS, 0, n, counts, tile);
    ep_launch(d, "sums_of_tiles", sums_of_tiles, 1, SCANNERS, 0, tiles_of(n), tile, total);
    ep_launch(d, "sums_in_tiles", sums_in_tiles, tiles, THREADS, 0, n, tile, counts);
}

/* ---- sort: one pass for every eight bits of the keys, lowest first; every pass keeps the order of the one before where
 * its digits are equal. 20 bytes a number and pass. Numbers of a tile belong to its warps in order, 32 ROUNDS each. ---- */

/* The numbers of warp w of tile t begin here. */
static __device__ __forceinline__ size_t first_of_warp() {
    return (size_t)blockIdx.x * TILE + (threadIdx.x / WARP) * (WARP * ROUNDS);
}

/* count[digit][tile]: numbers of a tile with this digit. */
static __global__ void count_digits(size_t n, int shift, const uint32_t *__restrict__ key,
                                    uint32_t *__restrict__ count) {
    __shared__ unsigned digits[DIGITS];
    digits[threadIdx.x] = 0;
    __syncthreads();
    for (int m = 0; m < ROUNDS; m++) {
        const size_t i = (size_t)blockIdx.x * TILE + m * THREADS + threadIdx.x;
        if (i < n)
            atomicAdd(&digits[key[i] >> shift & (DIGITS - 1)], 1u);
    }
    __syncthreads();
    count[(size_t)threadIdx.x * gridDim.x + blockIdx.x] = digits[threadIdx.x];
}

/* The lanes of a warp, among those that are in, whose digit is the same as this one's. */
static __device__ __forceinline__ unsigned same_digit(unsigned digit, bool in) {
    unsigned same = __ballot_sync(0xffffffffu, in);
#pragma unroll
    for (int b = 0; b < DIGIT_BITS; b++) {
        const unsigned set = __ballot_sync(0xffffffffu, digit >> b & 1);
        same &= digit >> b & 1 ? set : ~set;
    }
    return same;
}

/* Places of a warp's numbers among those with their digit: in its own numbers first, in `seen` how many there are. */
static __device__ __forceinline__ void rank_numbers(size_t n, int shift, const uint32_t *__restrict__ key,
                                                    uint32_t *seen, uint32_t rank[ROUNDS]) {
    const unsigned lane = threadIdx.x % WARP;
#pragma unroll
    for (int m = 0; m < ROUNDS; m++) {
        const size_t i = first_of_warp() + m * WARP + lane;
        const unsigned digit = i < n ? key[i] >> shift & (DIGITS - 1) : 0;
        const unsigned same = same_digit(digit, i < n);
        const uint32_t before = seen[digit];
        rank[m] = before + (uint32_t)__popc(same & ((1u << lane) - 1));
        __syncwarp();
        if (i < n && lane == (unsigned)__ffs((int)same) - 1)
            seen[digit] = before + (uint32_t)__popc(same);
        __syncwarp();
    }
}

/* at[digit][tile]: where the first of the tile's numbers with this digit goes. */
static __global__ void __launch_bounds__(THREADS)
    move_by_digit(size_t n, int shift, const uint32_t *__restrict__ at, const uint32_t *__restrict__ key,
                  const uint32_t *__restrict__ value, uint32_t *__restrict__ to_key,
                  uint32_t *__restrict__ to_value) {
    __shared__ uint32_t seen[WARPS][DIGITS];
    uint32_t rank[ROUNDS];
    for (int w = 0; w < WARPS; w++)
        seen[w][threadIdx.x] = 0;
    __syncthreads();
    uint32_t *own = seen[threadIdx.x / WARP];
    rank_numbers(n, shift, key, own, rank);
    __syncthreads();
    uint32_t before = at[(size_t)threadIdx.x * gridDim.x + blockIdx.x]; /* of the digit threadIdx.x */
    for (int w = 0; w < WARPS; w++) {
        const uint32_t count = seen[w][threadIdx.x];
        seen[w][threadIdx.x] = before;
        before += count;
    }
    __syncthreads();
#pragma unroll
    for (int m = 0; m < ROUNDS; m++) {
        const size_t i = first_of_warp() + m * WARP + threadIdx.x % WARP;
        if (i < n) {
            const uint32_t k = key[i], to = own[k >> shift & (DIGITS - 1)] + rank[m];
            to_key[to] = k;
            to_value[to] = value[i];
        }
    }
}

size_t sort_room(size_t n) {
    const size_t counts = tiles_of(n) * DIGITS;
    return device_room((counts + 1) * sizeof(uint32_t)) + scan_room(counts);
}

struct keyed sort_by_key(struct device *d, size_t n, size_t keys, struct keyed from, struct keyed other,
                         void *room) {
    const size_t counts = tiles_of(n) * DIGITS;
    const dim3 tiles((unsigned)tiles_of(n));
    uint32_t *count = device_part<uint32_t>(&room, counts + 1);
    for (int shift = 0; n > 0 && keys > 0 && (keys - 1) >> shift > 0; shift += DIGIT_BITS) {
        ep_launch(d, "count_digits", count_digits, tiles, DIGITS, 0, n, shift, from.key, count);
        scan(d, counts, count, NULL, room);
        ep_launch(d, "move_by_digit", move_by_digit, tiles, THREADS, 0, n, shift, count, from.key, from.value,
                  other.key, other.value);
        const struct keyed sorted = other;
        other = from;
        from = sorted;
    }
    return from;
}

static __global__ void first_at_least(size_t n, const uint32_t *__restrict__ key, size_t keys,
                                      uint32_t *__restrict__ start) {
    const size_t c = ep_index();
    if (c > keys)
        return;
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (key[middle] < c)
            low = middle + 1;
        else
            high = middle;
    }
    start[c] = (uint32_t)low;
}

/* About log2 n reads a key, most of them of what other threads read, too. */
void find_starts(struct device *d, size_t n, const uint32_t *key, size_t keys, uint32_t *start) {
    ep_launch(d, "first_at_least", first_at_least, ep_blocks(keys + 1, THREADS), THREADS, 0, n, key, keys,
              start);
}
