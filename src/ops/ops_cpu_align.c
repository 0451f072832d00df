/* Alignment of propulsions: sums over the pairs of a list, each of two owned particles once. */
#include "ops/alignment_formula.h"
#include "ops/ops_cpu.h"
#include "ops/simd.h"

#include <string.h>

/* w of the pair i, j; unit: that of coordinates on every axis. d is a constant where it is called. */
static inline __attribute__((always_inline)) double weight_of(int d, const double unit[], double per_square,
                                                              uint64_t *const q[], size_t i, size_t j) {
    double delta[MAX_DIMENSION];
    for (int a = 0; a < d; a++)
        delta[a] = (double)(int64_t)(q[a][i] - q[a][j]) * unit[a];
    return align_weight(d, delta, per_square);
}

/* d is a constant where it is called. */
static inline __attribute__((always_inline)) void sum_turns(int d, bool bonds, const struct box *box,
                                                            double per_square, size_t owned,
                                                            uint64_t *const q[], double *const g[],
                                                            const struct pair_list *list, int64_t *sum) {
    const size_t numbers = align_numbers(d);
    double unit[MAX_DIMENSION];
    for (int a = 0; a < d; a++)
        unit[a] = box->side[a] * 0x1p-64;
    for (size_t i = 0; i < owned; i++) {
        int64_t own[MAX_DIMENSION + 1] = {0};
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            const size_t j = list->neighbour[m];
            const double w = bonds ? 1 : weight_of(d, unit, per_square, q, i, j);
            if (w == 0)
                continue;
            for (int a = 0; a < d; a++) {
                const int64_t turn = align_fixed_point(w * (g[a][j] - g[a][i]));
                own[a] += turn;
                sum[j * numbers + (size_t)a] -= turn;
            }
            own[d] += align_fixed_point(w);
            sum[j * numbers + (size_t)d] += align_fixed_point(w);
        }
        for (int a = 0; a <= d; a++)
            sum[i * numbers + (size_t)a] += own[a];
    }
}

void cpu_align(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
               size_t n, uint64_t *const q[], double *const g[], const struct pair_list *list, int64_t *sum) {
    const double per_square = align_per_square(law);
    (void)ops;
    memset(sum, 0, n * align_numbers(box->d) * sizeof *sum);
    if (law->kind == PAIRS_SPRINGS)
        sum_turns(box->d, true, box, 1, owned, q, g, list, sum);
    else if (box->d == 2)
        sum_turns(2, false, box, per_square, owned, q, g, list, sum);
    else
        sum_turns(box->d, false, box, per_square, owned, q, g, list, sum);
}

/* Pairs hold `wide` times the number of a particle. No branches: a pair that is too far adds nothing, and so does one of a
 * particle with itself. */
static inline __attribute__((always_inline)) void
sum_close_turns(int d, size_t wide, const struct box *box, double per_square, uint64_t *const q[],
                double *const g[], const struct close_pairs *close, int64_t *sum) {
    const size_t numbers = align_numbers(d);
    double unit[MAX_DIMENSION];
    for (int a = 0; a < d; a++)
        unit[a] = box->side[a] * 0x1p-64;
    for (size_t p = 0; p < close->count; p++) {
        const size_t i = close->first[p] / wide, j = close->second[p] / wide;
        const double w = weight_of(d, unit, per_square, q, i, j);
        for (int a = 0; a < d; a++) {
            const int64_t turn = align_fixed_point(w * (g[a][j] - g[a][i]));
            sum[i * numbers + (size_t)a] += turn;
            sum[j * numbers + (size_t)a] -= turn;
        }
    }
}

void cpu_close_align(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                     size_t n, uint64_t *const q[], double *const g[], const struct pair_list *list,
                     const struct close_pairs *close, int64_t *sum) {
    const double per_square = align_per_square(law);
    const bool simd = simd_kernels() && simd_kernels()->close_pairs; /* as cpu_close_pairs has them */
    const size_t wide = simd ? force_numbers(box->d) : 1;
    (void)ops;
    (void)list;
    (void)owned;
    memset(sum, 0, n * align_numbers(box->d) * sizeof *sum);
    if (box->d == 2 && simd)
        sum_close_turns(2, 2, box, per_square, q, g, close, sum);
    else
        sum_close_turns(box->d, wide, box, per_square, q, g, close, sum);
}

void cpu_turn(const struct ops *ops, int d, double amount, size_t owned, const int64_t *sum,
              double *const g[]) {
    (void)ops;
    const size_t numbers = align_numbers(d);
    for (int a = 0; a < d; a++)
        for (size_t i = 0; i < owned; i++)
            g[a][i] = align_turned(g[a][i], amount, sum[i * numbers + (size_t)a]);
}
