/* Alignment of propulsions. The arithmetic is the CPU table's, number by number. */
#include "kernels/pairs.h"
#include "ops/alignment_formula.h"

/* What pairs are weighed by. */
template <int D> struct alignment {
    axes<uint64_t> q;
    axes<double> g;
    double unit[D], per_square;
    bool bonds;

    __device__ __forceinline__ double weight(size_t i, size_t j) const {
        double delta[D];
        if (bonds)
            return 1;
#pragma unroll
        for (int a = 0; a < D; a++)
            delta[a] = (double)(int64_t)(q.at[a][i] - q.at[a][j]) * unit[a];
        return align_weight(D, delta, per_square);
    }
};

/* A thread a particle; its partners get theirs by integer atomics, whose order is of no matter. */
template <int D>
static __global__ void __launch_bounds__(PAIR_THREADS)
    turns_of_rows(alignment<D> law, rows list, int64_t *sum) {
    const size_t i = ep_index(), numbers = align_numbers(D);
    if (i >= list.owned)
        return;
    int64_t own[D + 1] = {};
    for (uint32_t m = list.start[i]; m < list.start[i + 1]; m++) {
        const uint32_t j = list.neighbour[m];
        const double w = law.weight(i, j);
        if (w == 0)
            continue;
#pragma unroll
        for (int a = 0; a < D; a++) {
            const int64_t turn = align_fixed_point(w * (law.g.at[a][j] - law.g.at[a][i]));
            own[a] += turn;
            add_fixed(&sum[j * numbers + a], -turn);
        }
        own[D] += align_fixed_point(w);
        add_fixed(&sum[j * numbers + D], align_fixed_point(w));
    }
#pragma unroll
    for (int a = 0; a <= D; a++)
        add_fixed(&sum[i * numbers + a], own[a]);
}

template <int D>
static void launch_turns(struct device *d, const struct box *box, const struct pair_law *law,
                         uint64_t *const q[], double *const g[], const struct rows &list, int64_t *sum) {
    struct alignment<D> of = {};
    of.q = axes_of(D, q);
    of.g = axes_of(D, g);
    for (int a = 0; a < D; a++)
        of.unit[a] = box->side[a] * 0x1p-64;
    of.per_square = align_per_square(law);
    of.bonds = law->kind == PAIRS_SPRINGS;
    ep_launch(d, "turns_of_rows", turns_of_rows<D>, ep_blocks(list.owned, PAIR_THREADS), PAIR_THREADS, 0, of,
              list, sum);
}

/* 16 d bytes and d + 1 integer atomics a pair. */
static void cuda_align(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                       size_t n, uint64_t *const q[], double *const g[], const struct pair_list *list,
                       int64_t *sum) {
    struct device *d = device_of(ops);
    const struct rows rows = rows_of(owned, list);
    ops->zero(ops, sum, n * align_numbers(box->d) * sizeof *sum);
    if (box->d == 1)
        launch_turns<1>(d, box, law, q, g, rows, sum);
    else if (box->d == 2)
        launch_turns<2>(d, box, law, q, g, rows, sum);
    else
        launch_turns<3>(d, box, law, q, g, rows, sum);
}

/* The list it is: a thread a particle is quicker than one a pair would be, whose atomics would be twice as many. */
static void cuda_close_align(const struct ops *ops, const struct box *box, const struct pair_law *law,
                             size_t owned, size_t n, uint64_t *const q[], double *const g[],
                             const struct pair_list *list, const struct close_pairs *close, int64_t *sum) {
    (void)close;
    cuda_align(ops, box, law, owned, n, q, g, list, sum);
}

template <int D>
static __global__ void turn_particles(double amount, size_t owned, const int64_t *__restrict__ sum,
                                      axes<double> g) {
    const size_t i = ep_index();
    if (i >= owned)
        return;
#pragma unroll
    for (int a = 0; a < D; a++)
        g.at[a][i] = align_turned(g.at[a][i], amount, sum[i * align_numbers(D) + a]);
}

/* 24 d bytes a particle. */
static void cuda_turn(const struct ops *ops, int d, double amount, size_t owned, const int64_t *sum,
                      double *const g[]) {
    ep_launch(device_of(ops), "turn_particles", EP_BY_DIMENSION(d, turn_particles), ep_blocks(owned, 256),
              256, 0, amount, owned, sum, axes_of(d, g));
}

void cuda_fill_align(struct ops *table) {
    table->align = cuda_align;
    table->close_align = cuda_close_align;
    table->turn = cuda_turn;
}
