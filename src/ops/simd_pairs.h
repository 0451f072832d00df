/* Close pairs and their forces, in SIMD. A part of simd_kernels.h; float32. */
#ifndef EPFLOW_OPS_SIMD_PAIRS_H
#define EPFLOW_OPS_SIMD_PAIRS_H

#include "ops/simd_numbers.h"

/* Of a particle, the upper 32 bits of its position on two or four axes (one and three have one more, of zeros), and
 * the sum of its forces on them. */
typedef uint32_t place2 __attribute__((vector_size(8), may_alias));
typedef uint32_t place4 __attribute__((vector_size(16), may_alias));
typedef uint64_t total2 __attribute__((vector_size(16), may_alias));
typedef uint64_t total4 __attribute__((vector_size(32), may_alias, aligned(16)));

enum { PAIRS = SIMD_PAIRS }; /* at a time */

/* first and second hold where a particle's numbers begin: `wide` times its index. */
KERNEL_INLINE void differences(int wide, const int32_t *place, const uint32_t *first, const uint32_t *second,
                               int32_t *delta) {
#pragma GCC unroll 4
    for (int n = 0; n < PAIRS; n++)
        if (wide == 2)
            ((place2 *)delta)[n] = *(const place2 *)(place + first[n]) - *(const place2 *)(place + second[n]);
        else
            ((place4 *)delta)[n] = *(const place4 *)(place + first[n]) - *(const place4 *)(place + second[n]);
}

/* Three loops, for the processor to have many pairs under way at every moment. */
KERNEL_INLINE void pair_values(int wide, const float unit[], float beta, float cut, const int32_t *delta,
                               int64_t *value) {
    _Alignas(64) float x[PAIRS * 4], r[PAIRS], inverse[PAIRS], e[PAIRS];
    const float inverse_beta = 1 / beta, least = 1e-30f;
    const double factor = (double)((int64_t)1 << FORCE_BITS) / (double)beta;
    for (int n = 0; n < PAIRS; n++) {
        float square = 0;
        for (int a = 0; a < wide; a++) {
            const float along = (float)delta[n * wide + a] * unit[a];
            x[n * wide + a] = along;
            square = a == 0 ? along * along : fmaf(along, along, square);
        }
        r[n] = sqrtf(square > least ? square : least);
        inverse[n] = square < cut ? 1 / r[n] : 0;
    }
    for (int n = 0; n < PAIRS; n++)
        e[n] = pair_decay_f(r[n], beta, inverse_beta);
    for (int n = 0; n < PAIRS; n++) {
        const float scale = pair_force_of_decay_f(r[n], e[n], beta) * inverse[n];
        for (int a = 0; a < wide; a++)
            value[n * wide + a] =
                bits_of(fma((double)(scale * x[n * wide + a]), factor, MAGIC)) - bits_of(MAGIC);
    }
}

/* Takes values from the second particles' totals, and leaves in `sum` those of the block's pairs so far, from sum[0] =
 * what came before: integers, whose order is of no matter. */
KERNEL_INLINE void subtract_values(int wide, const uint32_t *second, const int64_t *value, int64_t *total,
                                   uint64_t *sum) {
#pragma GCC unroll 8
    for (int n = 0; n < PAIRS; n++) {
        int64_t *two = total + second[n];
        if (wide == 2) {
            const total2 v = ((const total2 *)value)[n];
            ((total2 *)sum)[n + 1] = ((const total2 *)sum)[n] + v;
            *(total2 *)two -= v;
        } else {
            const total4 v = ((const total4 *)value)[n];
            ((total4 *)sum)[n + 1] = ((const total4 *)sum)[n] + v;
            *(total4 *)two -= v;
        }
    }
}

/* Adds what the pairs of a first particle, which follow each other, come to: the sum at their end less that at their
 * beginning. Goes on from particle i to those whose pairs end in the block at p; last: the sum at i's beginning. */
KERNEL_INLINE size_t add_sums(int wide, size_t i, size_t owned, const uint32_t *end, size_t p,
                              const uint64_t *sum, uint64_t *last, int64_t *total) {
    for (; i < owned && end[i] <= p + PAIRS; i++)
        for (int a = 0; a < wide; a++) {
            const uint64_t now = sum[(end[i] - p) * (size_t)wide + (size_t)a];
            int64_t *own = &total[i * (size_t)wide + (size_t)a];
            *own = (int64_t)((uint64_t)*own + now - last[a]);
            last[a] = now;
        }
    return i;
}

/* In a table's scratch: places of particles, where the pairs inside of each owned one end, those that have others, and for
 * each block of pairs, where arrays are streamed, the first particle that neither it nor any before it is about. */
struct room {
    int32_t *place;
    uint32_t *end, *others, *reach;
};

KERNEL_INLINE struct room room_of(int wide, size_t n, const struct close_pairs *close) {
    struct room room = {.place = close->scratch};
    room.end = (uint32_t *)room.place + n * (size_t)wide;
    room.others = room.end + n;
    room.reach = room.others + n;
    return room;
}

KERNEL_INLINE void pack_places(int d, int wide, size_t begin, size_t end, uint64_t *const q[],
                               int32_t *place) {
    for (size_t i = begin; i < end; i++)
        for (int a = 0; a < wide; a++)
            place[i * (size_t)wide + (size_t)a] = a < d ? (int32_t)(q[a][i] >> 32) : 0;
}

/* A block of pairs: their forces in fixed point. */
KERNEL_INLINE void block_values(int d, int wide, const struct box *box, const struct pair_law *law,
                                const int32_t *place, const struct close_pairs *close, size_t p,
                                int64_t *value) {
    _Alignas(64) int32_t delta[PAIRS * 4];
    float unit[4] = {0};
    for (int a = 0; a < d; a++)
        unit[a] = (float)(box->side[a] * 0x1p-32);
    differences(wide, place, close->first + p, close->second + p, delta);
    pair_values(wide, unit, (float)law->beta, (float)(law->cutoff * law->cutoff), delta, value);
}

/* Places and sums of the particles from `ready` to `end`. Returns how many are ready then. */
KERNEL_INLINE size_t make_ready(int d, int wide, size_t ready, size_t end, uint64_t *const q[],
                                int32_t *place, int64_t *total) {
    if (end <= ready)
        return ready;
    pack_places(d, wide, ready, end, q, place);
    memset(total + ready * (size_t)wide, 0, (end - ready) * (size_t)wide * sizeof *total);
    return end;
}

/* Places and sums are made ready before they are needed, and where there are many only just before. */
KERNEL_INLINE void force_inside(int d, int wide, const struct box *box, const struct pair_law *law,
                                size_t owned, size_t n, uint64_t *const q[], const struct close_pairs *close,
                                int64_t *total) {
    _Alignas(64) int64_t value[PAIRS * 4];
    _Alignas(64) uint64_t so_far[(PAIRS + 1) * 4];
    const struct room room = room_of(wide, n, close);
    uint64_t last[4] = {0};
    size_t i = 0, ready = 0;
    memset(so_far, 0, sizeof so_far);
    /* One place that makes ready: a second, after the loop, costs 3 % of all forces. */
    for (size_t p = 0; p < close->across || ready < owned; p += PAIRS) {
        const bool some = owned > STREAMED && p < close->across && p / PAIRS < n;
        ready = make_ready(d, wide, ready, some ? room.reach[p / PAIRS] : owned, q, room.place, total);
        if (p >= close->across)
            break;
        block_values(d, wide, box, law, room.place, close, p, value);
        subtract_values(wide, close->second + p, value, total, so_far);
        i = add_sums(wide, i, owned, room.end, p, so_far, last, total);
        for (int a = 0; a < wide; a++)
            so_far[a] = so_far[PAIRS * wide + a];
    }
}

KERNEL_INLINE void force_across(int d, int wide, const struct box *box, const struct pair_law *law,
                                size_t owned, size_t n, uint64_t *const q[], const struct close_pairs *close,
                                int64_t *total) {
    _Alignas(64) int64_t value[PAIRS * 4];
    const struct room room = room_of(wide, n, close);
    pack_places(d, wide, owned, n, q, room.place);
    for (size_t p = close->across; p < close->count; p += PAIRS) {
        block_values(d, wide, box, law, room.place, close, p, value);
        for (size_t m = 0; m < PAIRS; m++)
            for (size_t a = 0; a < (size_t)wide; a++) {
                const uint64_t v = (uint64_t)value[m * (size_t)wide + a];
                int64_t *one = &total[close->first[p + m] + a], *two = &total[close->second[p + m] + a];
                *one = (int64_t)((uint64_t)*one + v);
                *two = (int64_t)((uint64_t)*two - v); /* of a ghost: nobody's */
            }
    }
}

KERNEL_INLINE void force_of_part(int d, int wide, const struct box *box, const struct pair_law *law,
                                 enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                                 const struct close_pairs *close, int64_t *total) {
    if (part == PAIRS_INSIDE)
        force_inside(d, wide, box, law, owned, n, q, close, total);
    else
        force_across(d, wide, box, law, owned, n, q, close, total);
}

static void close_force(const struct ops *ops, const struct box *box, const struct pair_law *law,
                        enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                        struct close_pairs *close, int64_t *sum) {
    (void)ops;
    if (box->d == 1)
        force_of_part(1, 2, box, law, part, owned, n, q, close, sum);
    else if (box->d == 2)
        force_of_part(2, 2, box, law, part, owned, n, q, close, sum);
    else
        force_of_part(3, 4, box, law, part, owned, n, q, close, sum);
}

KERNEL_INLINE bool near_enough(int d, int wide, const float unit[], float cut, const int32_t *place, size_t i,
                               size_t j) {
    float square = 0;
    for (int a = 0; a < d; a++) {
        const float x =
            (float)shorter_way(place[i * (size_t)wide + (size_t)a], place[j * (size_t)wide + (size_t)a]) *
            unit[a];
        square = fmaf(x, x, square);
    }
    return square < cut;
}

/* Fills up the last block with pairs at no distance, of no force. */
KERNEL_INLINE size_t fill_up(struct close_pairs *close, size_t count) {
    const size_t whole = (count + PAIRS - 1) / PAIRS * PAIRS;
    for (; count < whole; count++)
        close->first[count] = close->second[count] = 0;
    return whole;
}

/* The first particle that neither a block's pairs nor those before it are about. */
KERNEL_INLINE void find_reach(int wide, const struct close_pairs *close, size_t n, uint32_t *reach) {
    uint32_t most = 0;
    for (size_t p = 0; p < close->across && p / PAIRS < n; p += PAIRS) {
        for (size_t m = p; m < p + PAIRS; m++) {
            most = close->first[m] > most ? close->first[m] : most;
            most = close->second[m] > most ? close->second[m] : most;
        }
        reach[p / PAIRS] = most / (uint32_t)wide + 1;
    }
}

/* Whether the second of a pair is a ghost, or farther than the window from the first in memory. */
KERNEL_INLINE bool is_other(size_t i, size_t j, size_t owned, size_t window) {
    return (j >= owned) | (j + window - i > 2 * window);
}

/* Pairs of two owned particles, then those with ghosts; where arrays are streamed, of the first only such as are not far
 * apart in memory, as they are across the edge of the box. */
KERNEL_INLINE void choose_pairs(int d, int wide, const struct box *box, float cut, size_t owned, size_t n,
                                uint64_t *const q[], const struct pair_list *list,
                                struct close_pairs *close) {
    const struct room room = room_of(wide, n, close);
    const size_t window = owned > STREAMED ? owned / 4 : owned;
    float unit[4] = {0};
    size_t count = 0, found = 0;
    for (int a = 0; a < d; a++)
        unit[a] = (float)(box->side[a] * 0x1p-32);
    pack_places(d, wide, 0, n, q, room.place);
    for (size_t i = 0; i < owned; i++) {
        bool others = false;
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            const size_t j = list->neighbour[m];
            const bool other = is_other(i, j, owned, window);
            close->first[count] = (uint32_t)(i * (size_t)wide);
            close->second[count] = (uint32_t)(j * (size_t)wide);
            count += near_enough(d, wide, unit, cut, room.place, i, j) & !other;
            others |= other;
        }
        room.end[i] = (uint32_t)count;
        room.others[found] = (uint32_t)i;
        found += others;
    }
    close->across = count = fill_up(close, count);
    if (owned > STREAMED)
        find_reach(wide, close, n, room.reach);
    for (size_t g = 0; g < found; g++)
        for (size_t i = room.others[g], m = list->start[i]; m < list->start[i + 1]; m++) {
            const size_t j = list->neighbour[m];
            close->first[count] = (uint32_t)(i * (size_t)wide);
            close->second[count] = (uint32_t)(j * (size_t)wide);
            count += is_other(i, j, owned, window) & near_enough(d, wide, unit, cut, room.place, i, j);
        }
    close->count = fill_up(close, count);
}

static void close_pairs(const struct ops *ops, const struct box *box, double reach, size_t owned, size_t n,
                        uint64_t *const q[], const struct pair_list *list, struct close_pairs *close) {
    (void)ops;
    const float cut = (float)(reach * reach * (1 + 1e-6));
    if (box->d == 1)
        choose_pairs(1, 2, box, cut, owned, n, q, list, close);
    else if (box->d == 2)
        choose_pairs(2, 2, box, cut, owned, n, q, list, close);
    else
        choose_pairs(3, 4, box, cut, owned, n, q, list, close);
}

#endif
