/* Noise and steps, in SIMD. A part of simd_kernels.h. */
#ifndef EPFLOW_OPS_SIMD_STEP_H
#define EPFLOW_OPS_SIMD_STEP_H

#include "ops/simd_numbers.h"

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

#endif
