/* Rows added to rows by an index that may name a row more than once, in order: the index is sorted, equal numbers in
 * their order, and one thread adds all that belongs to a number.
 *
 * The sort takes 8 bits of the index at a time, lowest first, each time in three steps: how often each value of these
 * bits occurs in each tile of TILE places, where the places of a tile and value begin, and then every place to where it
 * belongs. A tile is a block's; each warp takes the next STRETCH places of it, a warp's width at a time, so that all
 * ranks are those of the order.
 */
#include "kernels/device.h"

enum { DIGITS = 256, DIGIT_BITS = 8, INDEX_BITS = 32, WARPS = 8, STEPS = 8, STRETCH = WARP * STEPS };
enum { THREADS = WARPS * WARP, TILE = WARPS * STRETCH };

/* What is sorted: places of the original order, and the number that the index has there. */
struct places {
    uint32_t *key, *place;
};

/* The lanes of a warp whose digit is the same; digit DIGITS and above: none. */
static __device__ __forceinline__ unsigned peers_of(unsigned digit) {
    unsigned peers = 0xffffffffu;
#pragma unroll
    for (int bit = 0; bit <= DIGIT_BITS; bit++) {
        const bool set = (digit >> bit & 1u) != 0;
        const unsigned same = __ballot_sync(0xffffffffu, set);
        peers &= set ? same : ~same;
    }
    return peers;
}

static __device__ __forceinline__ unsigned digit_of(const uint32_t *key, size_t i, size_t count, int shift) {
    return i < count ? key[i] >> shift & (DIGITS - 1) : (unsigned)DIGITS;
}

/* The first place of this thread's warp in its block's tile, and its lane's. */
static __device__ __forceinline__ size_t first_place() {
    return (size_t)blockIdx.x * TILE + threadIdx.x / WARP * STRETCH + threadIdx.x % WARP;
}

/* often (DIGITS, tiles). Reads 4 bytes a place. */
static __global__ void __launch_bounds__(THREADS)
    count_digits(size_t count, const uint32_t *__restrict__ key, int shift, uint32_t *often) {
    __shared__ uint32_t own[DIGITS];
    own[threadIdx.x] = 0;
    __syncthreads();
    for (int step = 0; step < STEPS; step++) {
        const unsigned digit = digit_of(key, first_place() + (size_t)step * WARP, count, shift);
        if (digit < DIGITS)
            atomicAdd(&own[digit], 1u);
    }
    __syncthreads();
    often[(size_t)threadIdx.x * gridDim.x + blockIdx.x] = own[threadIdx.x];
}

/* Sums of all before, in place, by one block: each thread first adds up a stretch of its own. 4 bytes of `count` = DIGITS
 * times tiles numbers read and written, from cache. */
enum { SCAN_THREADS = 1024 };
static __global__ void __launch_bounds__(SCAN_THREADS) sum_before(size_t count, uint32_t *often) {
    __shared__ uint32_t total[SCAN_THREADS];
    const size_t each = (count + SCAN_THREADS - 1) / SCAN_THREADS;
    const size_t first = threadIdx.x * each, end = first + each < count ? first + each : count;
    uint32_t sum = 0;
    for (size_t i = first; i < end; i++)
        sum += often[i];
    total[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned apart = 1; apart < SCAN_THREADS; apart *= 2) {
        const uint32_t before = threadIdx.x >= apart ? total[threadIdx.x - apart] : 0;
        __syncthreads();
        total[threadIdx.x] += before;
        __syncthreads();
    }
    uint32_t before = total[threadIdx.x] - sum;
    for (size_t i = first; i < end; i++) {
        const uint32_t own = often[i];
        often[i] = before;
        before += own;
    }
}

/* Moves every place to where it belongs: reads and writes 8 bytes a place. from.place NULL: places as they come. */
static __global__ void __launch_bounds__(THREADS)
    move_places(size_t count, struct places from, int shift, const uint32_t *__restrict__ before, struct places to) {
    __shared__ uint32_t next[WARPS][DIGITS]; /* first how often each warp has a digit, then where its next place goes */
    const unsigned lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, lower = (1u << lane) - 1u;
    for (int w = 0; w < WARPS; w++)
        next[w][threadIdx.x] = 0;
    __syncthreads();
    for (int step = 0; step < STEPS; step++) {
        const unsigned digit = digit_of(from.key, first_place() + (size_t)step * WARP, count, shift);
        if (digit < DIGITS)
            atomicAdd(&next[warp][digit], 1u);
    }
    __syncthreads();
    uint32_t at = before[(size_t)threadIdx.x * gridDim.x + blockIdx.x];
    for (int w = 0; w < WARPS; w++) {
        const uint32_t own = next[w][threadIdx.x];
        next[w][threadIdx.x] = at;
        at += own;
    }
    __syncthreads();
    for (int step = 0; step < STEPS; step++) {
        const size_t i = first_place() + (size_t)step * WARP;
        const unsigned digit = digit_of(from.key, i, count, shift), peers = peers_of(digit);
        uint32_t goes = 0;
        if (digit < DIGITS)
            goes = next[warp][digit] + (uint32_t)__popc(peers & lower);
        __syncwarp();
        if (digit < DIGITS) {
            to.key[goes] = from.key[i];
            to.place[goes] = from.place ? from.place[i] : (uint32_t)i;
            if ((peers & lower) == 0)
                next[warp][digit] += (uint32_t)__popc(peers);
        }
        __syncwarp();
    }
}

/* Sorted places of the index: 4 passes of about 20 bytes a place. */
static struct places sort_places(struct device *d, size_t count, const uint32_t *index) {
    const size_t tiles = (count + TILE - 1) / TILE, numbers = tiles * DIGITS;
    void *at = device_scratch(d, 4 * device_room(count * sizeof(uint32_t)) + device_room(numbers * sizeof(uint32_t)));
    struct places room[2];
    for (int m = 0; m < 2; m++) {
        room[m].key = device_part<uint32_t>(&at, count);
        room[m].place = device_part<uint32_t>(&at, count);
    }
    uint32_t *often = device_part<uint32_t>(&at, numbers);
    struct places from = {(uint32_t *)index, NULL};
    for (int pass = 0; pass * DIGIT_BITS < INDEX_BITS; pass++) {
        const int shift = pass * DIGIT_BITS;
        const struct places to = room[pass % 2];
        ep_launch(d, "count_digits", count_digits, (unsigned)tiles, THREADS, 0, count, from.key, shift, often);
        ep_launch(d, "sum_before", sum_before, 1, SCAN_THREADS, 0, numbers, often);
        ep_launch(d, "move_places", move_places, (unsigned)tiles, THREADS, 0, count, from, shift, often, to);
        from = to;
    }
    return from;
}

/* A line of threads for each place, of which those where a number begins add the rows of all its places, some at once on
 * their way. Reads every row once, reads and writes a row of `to` for each number. */
enum { AHEAD = 8 };
static __global__ void add_rows(size_t count, int columns, struct places sorted, const real *__restrict__ from,
                                size_t ld_from, real *to, size_t ld_to) {
    const size_t first = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    if (first >= count || (first > 0 && sorted.key[first - 1] == sorted.key[first]))
        return;
    const uint32_t number = sorted.key[first];
    size_t end = first + 1;
    while (end < count && sorted.key[end] == number)
        end++;
    for (int c = (int)threadIdx.x; c < columns; c += (int)blockDim.x) {
        real *at = to + number * ld_to + (size_t)c, sum = *at;
        for (size_t m = first; m < end; m += AHEAD) {
            real row[AHEAD];
#pragma unroll
            for (int e = 0; e < AHEAD; e++)
                row[e] = m + e < end ? from[sorted.place[m + e] * ld_from + (size_t)c] : 0;
#pragma unroll
            for (int e = 0; e < AHEAD; e++)
                if (m + e < end)
                    sum += row[e];
        }
        *at = sum;
    }
}

static void cuda_scatter_rows(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                              const real *from, size_t ld_from, real *to, size_t ld_to) {
    struct device *d = device_of(ops);
    if (count == 0 || columns == 0)
        return;
    const struct places sorted = sort_places(d, count, index);
    const unsigned across = columns < WARP ? (unsigned)columns : (unsigned)WARP, lines = THREADS / across;
    ep_launch(d, "add_rows", add_rows, ep_blocks(count, lines), dim3(across, lines), 0, count, columns, sorted, from,
              ld_from, to, ld_to);
}

void cuda_fill_scatter(struct ops *table) {
    table->scatter_rows = cuda_scatter_rows;
}
