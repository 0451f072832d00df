/* The inner loops of a simulation, written as short loops over blocks that compilers turn into SIMD. Included by one
 * file for every instruction set, with KERNELS the name of its table. Arithmetic is that of the plain loops, number by
 * number (softplus_formula.h, normal_formula.h: + - x / sqrt and explicit fma), so that the bits are the same. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "ops/cell_formula.h"
#include "ops/normal_formula.h"
#include "ops/simd.h"
#include "ops/softplus_formula.h"

#define KERNEL_INLINE static inline __attribute__((always_inline))

/* ---- numbers as integers ---- */

#define MAGIC 6755399441055744.0 /* 1.5 * 2^52: adding it leaves the nearest integer in the low bits */

KERNEL_INLINE int64_t bits_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

KERNEL_INLINE double from_bits(int64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The nearest integer to x, |x| < 2^51. */
KERNEL_INLINE int64_t nearest_integer(double x) {
    return bits_of(x + MAGIC) - bits_of(MAGIC);
}

/* llrint(x), |x| < 2^62: the upper half, then what is left of x, both exact. */
KERNEL_INLINE int64_t nearest_wide_integer(double x) {
    const double shifted = fma(x, 0x1p-32, MAGIC);
    const int64_t upper = bits_of(shifted) - bits_of(MAGIC);
    return (int64_t)((uint64_t)upper << 32) + nearest_integer(fma(shifted - MAGIC, -0x1p32, x));
}

/* (double)m: its halves, each exact, behind the exponents of 2^84 and 2^52; the sum rounds once. */
KERNEL_INLINE double to_double(int64_t m) {
    const int64_t upper = (int64_t)(((uint64_t)m >> 32) ^ 0x4530000080000000u);
    const int64_t lower = (int64_t)(((uint64_t)m & 0xffffffffu) | 0x4330000000000000u);
    return (from_bits(upper) - 0x1.00000801p84) + from_bits(lower);
}

/* Asks for memory that is needed soon: it comes while there is something else to do. */
KERNEL_INLINE void fetch(const void *memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch((const char *)memory + at);
}

/* From so many particles on their arrays do not stay in cache from one pass to the next. */
enum { STREAMED = 1 << 16 };

/* ---- pairs ---- */

#ifndef EPFLOW_FLOAT64 /* its forces look at all 64 bits of positions: plain loops */

/* Of a particle, the upper 32 bits of its position on two or four axes (one and three have one more, of zeros), and
 * the sum of its forces on them. */
typedef int32_t place2 __attribute__((vector_size(8), may_alias));
typedef int32_t place4 __attribute__((vector_size(16), may_alias));
typedef int64_t total2 __attribute__((vector_size(16), may_alias));
typedef int64_t total4 __attribute__((vector_size(32), may_alias, aligned(16)));

enum { PAIRS = 256 }; /* at a time */

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
                                   int64_t *sum) {
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
                              const int64_t *sum, int64_t *last, int64_t *total) {
    for (; i < owned && end[i] <= p + PAIRS; i++)
        for (int a = 0; a < wide; a++) {
            const int64_t now = sum[(end[i] - p) * (size_t)wide + (size_t)a];
            total[i * (size_t)wide + (size_t)a] += now - last[a];
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

/* Places and sums are made ready before they are needed, and where there are many only just before. */
KERNEL_INLINE void force_inside(int d, int wide, const struct box *box, const struct pair_law *law,
                                size_t owned, size_t n, uint64_t *const q[], const struct close_pairs *close,
                                int64_t *total) {
    _Alignas(64) int64_t value[PAIRS * 4], so_far[(PAIRS + 1) * 4];
    const struct room room = room_of(wide, n, close);
    int64_t last[4] = {0};
    size_t i = 0, ready = 0;
    memset(so_far, 0, sizeof so_far);
    for (size_t p = 0; p < close->across || ready < owned; p += PAIRS) {
        const bool some = owned > STREAMED && p < close->across && p / PAIRS < n;
        const size_t end = some ? room.reach[p / PAIRS] : owned;
        if (end > ready) {
            pack_places(d, wide, ready, end, q, room.place);
            memset(total + ready * (size_t)wide, 0, (end - ready) * (size_t)wide * sizeof *total);
            ready = end;
        }
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

static void close_force(const struct ops *ops, const struct box *box, const struct pair_law *law,
                        enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                        struct close_pairs *close, int64_t *sum) {
    (void)ops;
    if (part == PAIRS_INSIDE) {
        if (box->d == 1)
            force_inside(1, 2, box, law, owned, n, q, close, sum);
        else if (box->d == 2)
            force_inside(2, 2, box, law, owned, n, q, close, sum);
        else
            force_inside(3, 4, box, law, owned, n, q, close, sum);
    } else {
        if (box->d == 1)
            force_across(1, 2, box, law, owned, n, q, close, sum);
        else if (box->d == 2)
            force_across(2, 2, box, law, owned, n, q, close, sum);
        else
            force_across(3, 4, box, law, owned, n, q, close, sum);
    }
}

KERNEL_INLINE bool near_enough(int d, int wide, const float unit[], float cut, const int32_t *place, size_t i,
                               size_t j) {
    float square = 0;
    for (int a = 0; a < d; a++) {
        const float x =
            (float)(place[i * (size_t)wide + (size_t)a] - place[j * (size_t)wide + (size_t)a]) * unit[a];
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
            const bool other = (j >= owned) | (j + window - i > 2 * window);
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
            count += ((j >= owned) | (j + window - i > 2 * window)) &
                     near_enough(d, wide, unit, cut, room.place, i, j);
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

/* ---- the list ---- */

/* Particles in cell order: the upper halves of their positions, and how many ghosts come before each of them. */
struct in_order {
    const uint32_t *item, *ghosts;
    const int32_t *place[MAX_DIMENSION];
};

KERNEL_INLINE float square_distance_to(int d, const float unit[], const int32_t own[],
                                       const struct in_order *in, size_t m) {
    float square = 0;
    for (int a = 0; a < d; a++) {
        const float x = (float)(own[a] - in->place[a][m]) * unit[a];
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

/* ---- steps ---- */

enum { BLOCK = 128, WORDS = 4 };

/* Words of random numbers, in the lower halves of 64 bits: products read these, and what is above them is left over. */
#ifdef __AVX512F__
typedef __m512i wide_words;
#define PRODUCT _mm512_mul_epu32
#else
typedef __m256i wide_words;
#define PRODUCT _mm256_mul_epu32
#endif
enum { LANES = sizeof(wide_words) / sizeof(uint64_t) };
typedef uint32_t words __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef uint64_t unsigned_words __attribute__((vector_size(LANES * 8)));

KERNEL_INLINE wide_words all_lanes(uint32_t word) {
    return (wide_words)((unsigned_words){0} + word);
}

/* Philox4x32-10, as rng_words: its words of a block of particles. */
KERNEL_INLINE void random_words(const struct step_law *law, enum rng_stream stream, uint32_t block,
                                const uint32_t *id, uint32_t word[WORDS][BLOCK]) {
    const wide_words m0 = all_lanes(0xD2511F53u), m1 = all_lanes(0xCD9E8D57u);
    for (int i = 0; i < BLOCK; i += LANES) {
        wide_words c0 = (wide_words) __builtin_convertvector(*(const words *)(id + i), unsigned_words);
        wide_words c1 = all_lanes((uint32_t)law->step), c2 = all_lanes((uint32_t)(law->step >> 32));
        wide_words c3 = all_lanes(((uint32_t)stream << 24) | block);
        uint32_t k0 = (uint32_t)law->seed, k1 = (uint32_t)(law->seed >> 32);
#pragma GCC unroll 10
        for (int round = 0; round < 10; round++) {
            const wide_words p0 = PRODUCT(c0, m0), p1 = PRODUCT(c2, m1);
            c0 = (wide_words)((unsigned_words)p1 >> 32) ^ c1 ^ all_lanes(k0);
            c1 = p1;
            c2 = (wide_words)((unsigned_words)p0 >> 32) ^ c3 ^ all_lanes(k1);
            c3 = p0;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        *(words *)&word[0][i] = __builtin_convertvector((unsigned_words)c0, words);
        *(words *)&word[1][i] = __builtin_convertvector((unsigned_words)c1, words);
        *(words *)&word[2][i] = __builtin_convertvector((unsigned_words)c2, words);
        *(words *)&word[3][i] = __builtin_convertvector((unsigned_words)c3, words);
    }
}

KERNEL_INLINE void random_normals(const struct step_law *law, const uint32_t *id, int numbers,
                                  float normal[][BLOCK]) {
    uint32_t word[WORDS][BLOCK];
    for (int first = 0; first < numbers; first += WORDS) {
        random_words(law, STREAM_STEP, (uint32_t)(first / WORDS), id, word);
        for (int m = 0; m < WORDS && first + m < numbers; m += 2)
            for (int i = 0; i < BLOCK; i++)
                normal_pair_f(word[m][i], word[m + 1][i], &normal[first + m][i], &normal[first + m + 1][i]);
    }
}

/* What a block of particles did. */
struct moves {
    double displacement[BLOCK], moved[BLOCK]; /* squared: since the list was built, in this step */
    int64_t bad[BLOCK];
};

/* One axis of a block, as `advance` of ops_cpu_step.c. Returns whether any crossed the edge of the box. */
KERNEL_INLINE bool advance_axis(bool measured, double side, const struct step_law *law, size_t count,
                                const int64_t *force, const uint64_t *q_list, uint64_t *q, double *g,
                                const float *xi_x, const float *xi_g, uint64_t *before, struct moves *m) {
    const double unit = side * 0x1p-64, per_side = 0x1p64 / side, most = side / 4;
    const double v0 = law->v0, k = law->k, dt = law->dt, x_kick = law->x_kick;
    const double g_decay = law->g_decay, g_kick = law->g_kick;
    int64_t crossed = 0;
    for (size_t i = 0; i < count; i++) {
        const double b = fma(v0, g[i], k * (to_double(force[i]) * 0x1p-48));
        const double dx = fma(b, dt, x_kick * (double)xi_x[i]);
        const double next = fma(g[i], g_decay, g_kick * (double)xi_g[i]);
        const int64_t bad = !((dx < 0 ? -dx : dx) < most) | !((next < 0 ? -next : next) < 1e6) |
                            (force[i] >= INT64_MAX / 2) | (force[i] <= -(INT64_MAX / 2));
        const int64_t dq = nearest_wide_integer((bad ? 0 : dx) * per_side);
        const uint64_t from = q[i], to = from + (uint64_t)dq;
        before[i] = from;
        q[i] = to;
        g[i] = next;
        if (measured) {
            const double way = to_double((int64_t)(to - q_list[i])) * unit;
            m->displacement[i] += way * way;
        }
        m->moved[i] += dx * dx;
        m->bad[i] |= bad;
        crossed |= (int64_t)((~to & from) | (~(to ^ from) & (uint64_t)dq)) ^ dq;
    }
    return crossed < 0;
}

KERNEL_INLINE void advance_block(int d, bool measured, bool streamed, const struct box *box,
                                 const struct step_law *law, size_t begin, size_t count, const uint32_t *id,
                                 const int64_t *force, uint64_t *const q_list[], uint64_t *const q[],
                                 int32_t *const image[], double *const g[], struct moves *m) {
    static const float still[BLOCK];
    int64_t along[MAX_DIMENSION][BLOCK];
    float normal[2 * MAX_DIMENSION + WORDS][BLOCK];
    uint64_t before[BLOCK];
    uint32_t ids[BLOCK] = {0};
    memcpy(ids, id + begin, count * sizeof *ids);
    if (streamed) {
        for (int a = 0; a < d; a++) {
            fetch(q[a] + begin, count * sizeof(uint64_t));
            fetch(g[a] + begin, count * sizeof(double));
        }
        fetch(force + force_at(d, begin, 0), count * force_numbers(d) * sizeof *force);
    }
    random_normals(law, ids, law->x_kick > 0 ? 2 * d : d, normal);
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < count; i++)
        for (int a = 0; a < d; a++)
            along[a][i] = force[force_at(d, begin + i, a)];
    for (int a = 0; a < d; a++) {
        const float *xi_x = law->x_kick > 0 ? normal[d + a] : still;
        const bool crossed =
            advance_axis(measured, box->side[a], law, count, along[a], measured ? q_list[a] + begin : NULL,
                         q[a] + begin, g[a] + begin, xi_x, normal[a], before, m);
        for (size_t i = 0; crossed && i < count; i++) {
            const int64_t dq = (int64_t)(q[a][begin + i] - before[i]);
            image[a][begin + i] +=
                (dq > 0 && q[a][begin + i] < before[i]) - (dq < 0 && q[a][begin + i] > before[i]);
        }
    }
}

static void step(const struct box *box, const struct step_law *law, size_t n, const uint32_t *id,
                 const int64_t *force, uint64_t *const q_list[], uint64_t *const q[], int32_t *const image[],
                 double *const g[], struct step_result *result) {
    struct moves m, most = {0}; /* most: number by number of all blocks */
    *result = (struct step_result){0};
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const size_t count = n - begin < BLOCK ? n - begin : BLOCK;
        int64_t bad = 0;
        if (box->d == 2 && q_list)
            advance_block(2, true, n > STREAMED, box, law, begin, count, id, force, q_list, q, image, g, &m);
        else if (box->d == 2)
            advance_block(2, false, n > STREAMED, box, law, begin, count, id, force, q_list, q, image, g, &m);
        else
            advance_block(box->d, q_list, n > STREAMED, box, law, begin, count, id, force, q_list, q, image,
                          g, &m);
        for (int i = 0; i < BLOCK; i++) {
            const double displacement = m.displacement[i], moved = m.moved[i];
            most.displacement[i] = displacement > most.displacement[i] ? displacement : most.displacement[i];
            most.moved[i] = moved > most.moved[i] ? moved : most.moved[i];
            bad |= m.bad[i];
        }
        for (size_t i = 0; bad && i < count; i++)
            if (m.bad[i]) {
                result->bad++;
                result->bad_id = id[begin + i];
            }
    }
    for (int i = 0; i < BLOCK; i++) {
        result->displacement = fmax(result->displacement, most.displacement[i]);
        result->moved = fmax(result->moved, most.moved[i]);
    }
    result->displacement = sqrt(result->displacement);
    result->moved = sqrt(result->moved);
}

const struct simd_kernels KERNELS = {
#ifndef EPFLOW_FLOAT64
    .close_pairs = close_pairs,
    .close_force = close_force,
    .pair_list = pair_list,
#endif
    .step = step};
