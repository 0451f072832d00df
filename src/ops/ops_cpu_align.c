/* Alignment of propulsions: sums over the pairs of a list, each of two owned particles once. */
#include "ops/alignment_formula.h"
#include "ops/ops_cpu.h"

#include <string.h>

/* Of the pair i, j. */
static inline double weight_of(const struct box *box, const struct pair_law *law, uint64_t *const q[],
                               size_t i, size_t j) {
    double delta[MAX_DIMENSION];
    if (law->kind == PAIRS_SPRINGS)
        return 1;
    for (int a = 0; a < box->d; a++)
        delta[a] = (double)(int64_t)(q[a][i] - q[a][j]) * (box->side[a] * 0x1p-64);
    return align_weight(box->d, delta, law->alignment_radius);
}

void cpu_align(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
               size_t n, uint64_t *const q[], double *const g[], const struct pair_list *list, int64_t *sum) {
    (void)ops;
    const int d = box->d;
    const size_t numbers = align_numbers(d);
    memset(sum, 0, n * numbers * sizeof *sum);
    for (size_t i = 0; i < owned; i++)
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            const size_t j = list->neighbour[m];
            const double w = weight_of(box, law, q, i, j);
            int64_t *const of_i = sum + i * numbers, *const of_j = sum + j * numbers;
            if (w == 0)
                continue;
            for (int a = 0; a < d; a++) {
                const int64_t turn = align_fixed_point(w * (g[a][j] - g[a][i]));
                of_i[a] += turn;
                of_j[a] -= turn;
            }
            of_i[d] += align_fixed_point(w);
            of_j[d] += align_fixed_point(w);
        }
}

void cpu_turn(const struct ops *ops, int d, double amount, size_t owned, const int64_t *sum,
              double *const g[]) {
    (void)ops;
    const size_t numbers = align_numbers(d);
    for (int a = 0; a < d; a++)
        for (size_t i = 0; i < owned; i++)
            g[a][i] = fma(amount, align_real(sum[i * numbers + (size_t)a]), g[a][i]);
}
