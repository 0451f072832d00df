/* Sums over pairs of particles. Forces are fixed-point integers, so neither the order of pairs nor which rank holds one
 * changes a bit, and each pair of two owned particles is computed once. In a simulation they are computed by SIMD
 * (simd.h); the plain loops here are the same function, and its test. */
#include "ops/ops_cpu.h"
#include "ops/pair_formula.h"
#include "ops/simd.h"

#include <string.h>

/* x_i - x_j and its squared length. */
static inline real separation(const struct box *box, uint64_t *const q[], size_t i, size_t j, real delta[]) {
    for (int a = 0; a < box->d; a++)
        delta[a] = (real)coordinate_difference(q[a][i], q[a][j]) * (real)(box->side[a] * PAIR_UNIT);
    return pair_square(box->d, delta);
}

/* Adds the force between two particles to the sum of one and takes it from that of the other. */
static inline void add_pair(const struct box *box, const struct pair_law *law, uint64_t *const q[], size_t i,
                            size_t j, int64_t *sum) {
    const real beta = (real)law->beta, cut = (real)(law->cutoff * law->cutoff);
    real delta[MAX_DIMENSION], square = separation(box, q, i, j, delta);
    if (square >= cut)
        return;
    const real scale = pair_scale(square, beta, 1 / beta);
    const double factor = pair_factor(beta);
    for (int a = 0; a < box->d; a++) {
        const int64_t force = pair_fixed_point((double)(scale * delta[a]), factor);
        sum[force_at(box->d, i, a)] += force;
        sum[force_at(box->d, j, a)] -= force;
    }
}

void cpu_pair_force(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                    size_t n, const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                    int64_t *sum) {
    (void)ops;
    memset(sum, 0, n * force_numbers(box->d) * sizeof *sum);
    if (law->kind == PAIRS_SPRINGS) {
        cpu_spring_force(box, law, owned, id, q, list, sum);
        return;
    }
    for (size_t i = 0; i < owned; i++)
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++)
            add_pair(box, law, q, i, list->neighbour[m], sum);
}

void cpu_close_pairs(const struct ops *ops, const struct box *box, double reach, size_t owned, size_t n,
                     uint64_t *const q[], const struct pair_list *list, struct close_pairs *close) {
    if (simd_kernels() && simd_kernels()->close_pairs) {
        simd_kernels()->close_pairs(ops, box, reach, owned, n, q, list, close);
        return;
    }
    const real cut = (real)(reach * reach * (1 + 1e-6));
    close->count = close->across = 0;
    for (int ghosts = 0; ghosts < 2; ghosts++) {
        close->across = close->count;
        for (size_t i = 0; i < owned; i++)
            for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
                real delta[MAX_DIMENSION];
                const size_t j = list->neighbour[m];
                close->first[close->count] = (uint32_t)i;
                close->second[close->count] = (uint32_t)j;
                close->count += (j >= owned) == ghosts && separation(box, q, i, j, delta) < cut;
            }
    }
}

void cpu_close_force(const struct ops *ops, const struct box *box, const struct pair_law *law,
                     enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                     struct close_pairs *close, int64_t *sum) {
    if (simd_kernels() && simd_kernels()->close_force) {
        simd_kernels()->close_force(ops, box, law, part, owned, n, q, close, sum);
        return;
    }
    if (part == PAIRS_INSIDE)
        memset(sum, 0, n * force_numbers(box->d) * sizeof *sum);
    const size_t begin = part == PAIRS_INSIDE ? 0 : close->across;
    const size_t end = part == PAIRS_INSIDE ? close->across : close->count;
    for (size_t p = begin; p < end; p++)
        add_pair(box, law, q, close->first[p], close->second[p], sum);
}

/* Minimum-image difference x_i - x_j in float64 and its length; false beyond the cut-off. */
static inline bool pair_close(const struct box *box, const struct pair_law *law, uint64_t *const q[],
                              size_t i, size_t j, double delta[], double *r) {
    for (int a = 0; a < box->d; a++)
        delta[a] = (double)(int64_t)(q[a][i] - q[a][j]) * (box->side[a] * 0x1p-64);
    *r = pair_distance(box->d, delta);
    return *r<law->cutoff && * r> 0;
}

void cpu_pair_terms(const struct ops *ops, const struct box *box, const struct pair_law *law, double k,
                    size_t owned, size_t n, const uint32_t *id, uint64_t *const q[],
                    const struct pair_list *list, double *const force[], double *divergence) {
    (void)ops;
    memset(divergence, 0, n * sizeof *divergence);
    for (int a = 0; a < box->d; a++)
        memset(force[a], 0, n * sizeof *force[a]);
    if (law->kind == PAIRS_SPRINGS) {
        cpu_spring_terms(box, law, k, owned, id, q, list, force, divergence);
        return;
    }
    for (size_t i = 0; i < owned; i++)
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            size_t j = list->neighbour[m];
            double delta[MAX_DIMENSION], r, pull;
            if (!pair_close(box, law, q, i, j, delta, &r))
                continue;
            const double term = pair_divergence(box->d, k, law->beta, r, &pull);
            divergence[i] += term;
            divergence[j] += term;
            for (int a = 0; a < box->d; a++) {
                force[a][i] += pull * delta[a] / r;
                force[a][j] -= pull * delta[a] / r;
            }
        }
}

void cpu_drift(const struct ops *ops, const struct box *box, double v0, double trap,
               const struct lattice *anchor, size_t n, const uint32_t *id, uint64_t *const q[],
               double *const g[], double *const force[], double *divergence, double *const b[]) {
    (void)ops;
    for (size_t i = 0; trap > 0 && i < n; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(anchor, anchor->d > 0 ? id[i] : 0, site);
        divergence[i] -= trap * box->d;
        for (int a = 0; a < box->d; a++)
            force[a][i] -= trap * (double)(int64_t)(q[a][i] - site[a]) * (box->side[a] * 0x1p-64);
    }
    for (int a = 0; a < box->d; a++)
        for (size_t i = 0; i < n; i++)
            b[a][i] = v0 * g[a][i] + force[a][i];
}

double cpu_pair_quadratic(const struct ops *ops, const struct box *box, const struct pair_law *law, double k,
                          size_t owned, const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                          double *const b[]) {
    (void)ops;
    if (law->kind == PAIRS_SPRINGS)
        return cpu_spring_quadratic(box, law, k, owned, id, list, b);
    double sum = 0;
    for (size_t i = 0; i < owned; i++)
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            size_t j = list->neighbour[m];
            double delta[MAX_DIMENSION], difference[MAX_DIMENSION], r;
            if (!pair_close(box, law, q, i, j, delta, &r))
                continue;
            for (int a = 0; a < box->d; a++)
                difference[a] = b[a][i] - b[a][j];
            const double term = pair_form(box->d, k, law->beta, r, delta, difference);
            sum += j < owned ? term : term / 2;
        }
    return sum;
}

/* Of the pair i, j (d, d): -k [f' n n + (f/r)(1 - n n)], or that of a spring; false beyond the cut-off. */
static bool stiffness_of_pair(const struct box *box, const struct pair_law *law, double k, const uint32_t *id,
                              uint64_t *const q[], size_t i, size_t j, double pair[]) {
    double delta[MAX_DIMENSION], r;
    if (law->kind == PAIRS_SPRINGS) {
        cpu_spring_stiffness(box, law, k, id[i], id[j], pair);
        return true;
    }
    if (!pair_close(box, law, q, i, j, delta, &r))
        return false;
    pair_stiffness(box->d, k, law->beta, r, delta, pair);
    return true;
}

double cpu_stiffness_squared(const struct ops *ops, const struct box *box, const struct pair_law *law,
                             double k, double trap, size_t owned, size_t n, const uint32_t *id,
                             uint64_t *const q[], const struct pair_list *list, double *diagonal) {
    (void)ops;
    const size_t size = (size_t)(box->d * box->d);
    double pair[MAX_DIMENSION * MAX_DIMENSION], sum = 0;
    memset(diagonal, 0, n * size * sizeof *diagonal);
    for (size_t i = 0; i < owned; i++) {
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            const size_t j = list->neighbour[m];
            if (!stiffness_of_pair(box, law, k, id, q, i, j, pair))
                continue;
            for (size_t c = 0; c < size; c++) {
                diagonal[i * size + c] += pair[c];
                diagonal[j * size + c] += pair[c];
                sum += (j < owned ? 2 : 1) * pair[c] * pair[c]; /* K_ij = -pair = K_ji */
            }
        }
    }
    for (size_t i = 0; i < owned; i++)
        for (size_t c = 0; c < size; c++) {
            const double own = diagonal[i * size + c] + (c % (size_t)(box->d + 1) == 0 ? trap : 0);
            sum += own * own;
        }
    return sum;
}

void cpu_pair_count(const struct ops *ops, size_t owned, size_t n, const struct pair_list *list,
                    uint32_t *count) {
    (void)ops;
    memset(count, 0, n * sizeof *count);
    for (size_t i = 0; i < owned; i++) {
        count[i] += list->start[i + 1] - list->start[i];
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++)
            count[list->neighbour[m]]++;
    }
}
