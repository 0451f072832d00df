/* Lists of pairs, in SIMD. A part of simd_kernels.h; float32. */
#ifndef EPFLOW_OPS_SIMD_LIST_H
#define EPFLOW_OPS_SIMD_LIST_H

#include "ops/simd_numbers.h"

/* Particles in cell order: the upper halves of their positions, and how many ghosts come before each of them. */
struct in_order {
    const uint32_t *item, *ghosts;
    const int32_t *place[MAX_DIMENSION];
};

KERNEL_INLINE float square_distance_to(int d, const float unit[], const int32_t own[],
                                       const struct in_order *in, size_t m) {
    float square = 0;
    for (int a = 0; a < d; a++) {
        const float x = (float)shorter_way(own[a], in->place[a][m]) * unit[a];
        square = fmaf(x, x, square);
    }
    return square;
}

/* Appends those of the particles `from` to `to` that are near and at least `least`, as far as there is room. */
KERNEL_INLINE size_t append_few(int d, const float unit[], float cut, const int32_t own[],
                                const struct in_order *in, uint32_t from, uint32_t to, uint32_t least,
                                struct pair_list *list, size_t length) {
    for (uint32_t m = from; m < to; m++) {
        const bool keep = square_distance_to(d, unit, own, in, m) < cut && in->item[m] >= least;
        if (keep && length < list->capacity)
            list->neighbour[length] = in->item[m];
        length += keep;
    }
    return length;
}

/* The same of any, many at a time. */
KERNEL_INLINE size_t append_range(int d, const float unit[], float cut, const int32_t own[],
                                  const struct in_order *in, uint32_t from, uint32_t to,
                                  struct pair_list *list, size_t length) {
    enum { CANDIDATES = 16 };
    if (length + (to - from) + CANDIDATES > list->capacity)
        return append_few(d, unit, cut, own, in, from, to, 0, list, length);
#ifdef __AVX512F__
    for (uint32_t m = from; m < to; m += CANDIDATES) {
        const __mmask16 there = to - m < CANDIDATES ? (__mmask16)((1u << (to - m)) - 1) : 0xffff;
        __m512 square = _mm512_setzero_ps();
        for (int a = 0; a < d; a++) {
            const __m512i delta = _mm512_sub_epi32(_mm512_set1_epi32(own[a]),
                                                   _mm512_maskz_loadu_epi32(there, in->place[a] + m));
            const __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(delta), _mm512_set1_ps(unit[a]));
            square = _mm512_fmadd_ps(x, x, square);
        }
        const __mmask16 keep = _mm512_mask_cmp_ps_mask(there, square, _mm512_set1_ps(cut), _CMP_LT_OQ);
        const __m512i item = _mm512_maskz_loadu_epi32(there, in->item + m);
        _mm512_storeu_si512(list->neighbour + length, _mm512_maskz_compress_epi32(keep, item));
        length += (size_t)__builtin_popcount(keep);
    }
    return length;
#else
    for (; from < to; from += CANDIDATES) {
        int32_t keep[CANDIDATES];
        const uint32_t count = to - from < CANDIDATES ? to - from : CANDIDATES;
        for (uint32_t m = 0; m < count; m++)
            keep[m] = square_distance_to(d, unit, own, in, from + m) < cut;
        for (uint32_t m = 0; m < count; m++) {
            list->neighbour[length] = in->item[from + m];
            length += (size_t)keep[m];
        }
    }
    return length;
#endif
}

/* As list_cells of ops_cpu_cells.c, in the same order: of a row of cells, those next to each other at once. Before i in
 * cell order only ghosts are i's, and few particles have any. */
KERNEL_INLINE size_t list_rows(int d, const struct box *box, const struct cell_grid *grid, size_t owned,
                               uint64_t *const q[], double radius, const struct in_order *in,
                               struct pair_list *list) {
    const float cut = (float)(radius * radius * (1 + 1e-6));
    float unit[MAX_DIMENSION] = {0};
    int layers[MAX_DIMENSION] = {0};
    size_t length = 0;
    for (int a = 0; a < d; a++) {
        unit[a] = (float)(box->side[a] * 0x1p-32);
        layers[a] = layers_within(box, grid, a, radius);
    }
    for (size_t i = 0; i < owned; i++) {
        struct reach reach[MAX_DIMENSION] = {{0, 1, true}, {0, 1, true}, {0, 1, true}};
        int c[MAX_DIMENSION] = {0};
        int32_t own[MAX_DIMENSION] = {0};
        list->start[i] = (uint32_t)length;
        for (int a = 0; a < d; a++) {
            c[a] = cell_on_axis(grid, a, q[a][i]);
            reach[a] = reach_of(grid, a, c[a], layers[a]);
            own[a] = (int32_t)(q[a][i] >> 32);
        }
        for (int z = 0; z < reach[2].count; z++)
            for (int y = 0; y < reach[1].count; y++) {
                size_t row = (size_t)cell_at(grid, 2, c[2] + reach[2].first + z) * (size_t)grid->cells[1];
                row = (row + (size_t)cell_at(grid, 1, c[1] + reach[1].first + y)) * (size_t)grid->cells[0];
                for (int x = 0; x < reach[0].count;) {
                    const int cell = cell_at(grid, 0, c[0] + reach[0].first + x), left = reach[0].count - x;
                    const int run = left < grid->cells[0] - cell ? left : grid->cells[0] - cell;
                    const uint32_t from = grid->start[row + (size_t)cell];
                    const uint32_t to = grid->start[row + (size_t)(cell + run)], after = grid->order[i] + 1;
                    const uint32_t middle = after < from ? from : after < to ? after : to;
                    if (in->ghosts[middle] > in->ghosts[from])
                        length =
                            append_few(d, unit, cut, own, in, from, middle, (uint32_t)owned, list, length);
                    length = append_range(d, unit, cut, own, in, middle, to, list, length);
                    x += run;
                }
            }
    }
    list->start[owned] = (uint32_t)length;
    return length;
}

static size_t pair_list(const struct box *box, struct cell_grid *grid, size_t owned, size_t n,
                        uint64_t *const q[], double radius, struct pair_list *list) {
    uint32_t *ghosts = grid->scratch;
    struct in_order in = {.item = grid->item, .ghosts = ghosts};
    ghosts[0] = 0;
    for (size_t m = 0; m < n; m++)
        ghosts[m + 1] = ghosts[m] + (grid->item[m] >= owned);
    for (int a = 0; a < box->d; a++) {
        int32_t *place = (int32_t *)ghosts + n + 1 + (size_t)a * n;
        for (size_t m = 0; m < n; m++)
            place[m] = (int32_t)(q[a][grid->item[m]] >> 32);
        in.place[a] = place;
    }
    return box->d == 1   ? list_rows(1, box, grid, owned, q, radius, &in, list)
           : box->d == 2 ? list_rows(2, box, grid, owned, q, radius, &in, list)
                         : list_rows(3, box, grid, owned, q, radius, &in, list);
}

#endif
