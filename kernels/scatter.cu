/* Rows added to rows by an index that may name a row more than once, in order: the index is sorted, equal numbers in
 * their order, and one thread adds all that belongs to a number.
 */
#include "kernels/order.h"

enum { THREADS = 256 };

/* 12 bytes a place. */
static __global__ void number_places(size_t count, const uint32_t *__restrict__ index, struct keyed places) {
    const size_t i = ep_index();
    if (i >= count)
        return;
    places.key[i] = index[i];
    places.value[i] = (uint32_t)i;
}

/* Places of the index in order of its numbers, which can be any of 32 bits: 4 passes of 20 bytes a place. */
static struct keyed sort_places(struct device *d, size_t count, const uint32_t *index) {
    const size_t numbers = (size_t)1 << 32;
    void *at = device_scratch(d, 4 * device_room(count * sizeof(uint32_t)) + sort_room(count));
    struct keyed room[2];
    for (int m = 0; m < 2; m++) {
        room[m].key = device_part<uint32_t>(&at, count);
        room[m].value = device_part<uint32_t>(&at, count);
    }
    ep_launch(d, "number_places", number_places, ep_blocks(count, THREADS), THREADS, 0, count, index,
              room[0]);
    return sort_by_key(d, count, numbers, room[0], room[1], at);
}

/* A line of threads for each place, of which those where a number begins add the rows of all its places, some at once on
 * their way. Reads every row once, reads and writes a row of `to` for each number. */
enum { AHEAD = 8 };
static __global__ void add_rows(size_t count, int columns, struct keyed sorted, const real *__restrict__ from,
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
                row[e] = m + e < end ? from[sorted.value[m + e] * ld_from + (size_t)c] : 0;
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
    const struct keyed sorted = sort_places(d, count, index);
    const unsigned across = columns < WARP ? (unsigned)columns : (unsigned)WARP, lines = THREADS / across;
    ep_launch(d, "add_rows", add_rows, ep_blocks(count, lines), dim3(across, lines), 0, count, columns,
              sorted, from, ld_from, to, ld_to);
}

void cuda_fill_scatter(struct ops *table) {
    table->scatter_rows = cuda_scatter_rows;
}
