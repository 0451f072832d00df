/* Sums over the pairs of a list, for any law of a pair.
 *
 * A law is a structure with the dimension as a constant D and, on the device, of particles i and j:
 *     bool fixed(i, j, int64_t force[D])             the force on i in fixed point; false: none
 *     bool terms(i, j, double force[D], double *divergence)   what the pair adds to i
 *     bool stiffness(i, j, double pair[D D])
 *     bool form(i, j, double *term)                  (b_i - b_j) . K (b_i - b_j)
 * the first three exactly odd or even in an exchange of i and j, so that either particle's sum may find them.
 *
 * Lists have a pair of two owned particles once. Forces in fixed point go to the other particle by integer atomics, whose
 * order is of no matter. In float64 the order of a sum is that of the CPU table's: for this the list is turned round
 * (sorted by neighbour), and a thread a particle adds the pairs of rows before its own, of its own, and of rows after.
 */
#ifndef EPFLOW_KERNELS_PAIRS_H
#define EPFLOW_KERNELS_PAIRS_H

#include "kernels/order.h"
#include "kernels/places.h"

enum { PAIR_THREADS = 128 };

struct rows {
    const uint32_t *start, *neighbour;
    size_t owned;
};
static inline struct rows rows_of(size_t owned, const struct pair_list *list) {
    return {list->start, list->neighbour, owned};
}

/* The list and, of every owned particle, the rows that it is in, ascending: row[start[i]] ... */
struct both_ways {
    struct rows own;
    const uint32_t *start, *row;
};

/* Numbers in a list. Waits for the device. */
size_t list_length(struct device *d, size_t owned, const struct pair_list *list);
/* room: scratch of both_ways_room(owned, length) bytes. */
size_t both_ways_room(size_t owned, size_t length);
struct both_ways turn_round(struct device *d, size_t owned, size_t length, const struct pair_list *list,
                            void *room);
/* The sum of `count` numbers, in a fixed order. Waits for the device. room: scratch of sum_room() bytes. */
size_t sum_room(void);
double sum_of(struct device *d, size_t count, const double *number, void *room);

/* The same for a law of springs. */
void spring_force(struct device *d, const struct box *box, const struct pair_law *law, size_t owned,
                  const uint32_t *id, uint64_t *const q[], const struct pair_list *list, int64_t *sum);
void spring_terms(struct device *d, const struct box *box, const struct pair_law *law, double k, size_t owned,
                  const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                  double *const force[], double *divergence);
double spring_quadratic(struct device *d, const struct box *box, const struct pair_law *law, double k,
                        size_t owned, const uint32_t *id, const struct pair_list *list, double *const b[]);
double spring_stiffness_squared(struct device *d, const struct box *box, const struct pair_law *law, double k,
                                double trap, size_t owned, const uint32_t *id, const struct pair_list *list);

/* ---- forces in fixed point: 8 d bytes and d integer atomics a pair, and d a particle ---- */

static __device__ __forceinline__ void add_fixed(int64_t *sum, int64_t value) {
    atomicAdd((unsigned long long *)sum, (unsigned long long)value);
}

template <typename Law>
static __global__ void __launch_bounds__(PAIR_THREADS, 8) force_of_rows(Law law, rows list, int64_t *sum) {
    constexpr int D = Law::D;
    const size_t i = ep_index();
    if (i >= list.owned)
        return;
    int64_t own[D] = {}, force[D];
    for (uint32_t m = list.start[i]; m < list.start[i + 1]; m++) {
        const uint32_t j = list.neighbour[m];
        if (!law.fixed(i, j, force))
            continue;
#pragma unroll
        for (int a = 0; a < D; a++) {
            own[a] += force[a];
            add_fixed(&sum[force_at(D, j, a)], -force[a]);
        }
    }
#pragma unroll
    for (int a = 0; a < D; a++)
        add_fixed(&sum[force_at(D, i, a)], own[a]);
}

template <typename Law>
static inline void launch_force(struct device *d, const Law &law, const struct rows &list, int64_t *sum) {
    ep_launch(d, "force_of_rows", force_of_rows<Law>, ep_blocks(list.owned, PAIR_THREADS), PAIR_THREADS, 0,
              law, list, sum);
}

/* ---- in float64: some 250 operations a pair, twice, and 16 bytes of lists besides positions ---- */

/* Calls visit(j) for all pairs of particle i. */
template <typename Visit>
static __device__ __forceinline__ void visit_pairs(const both_ways &list, size_t i, Visit visit) {
    uint32_t m = list.own.start[i], r = list.start[i];
    const uint32_t end = list.own.start[i + 1], last = list.start[i + 1];
    while (m < end || r < last) {
        const bool before = r < last && (m == end || list.row[r] < i);
        const uint32_t j = before ? list.row[r] : list.own.neighbour[m];
        r += before;
        m += !before;
        visit(j);
    }
}

template <typename Law>
static __global__ void __launch_bounds__(PAIR_THREADS, 7)
    terms_of_particles(Law law, both_ways list, axes<double> force, double *divergence) {
    constexpr int D = Law::D;
    const size_t i = ep_index();
    if (i >= list.own.owned)
        return;
    double sum[D] = {}, trace = 0, pull[D], term;
    visit_pairs(list, i, [&](uint32_t j) {
        if (!law.terms(i, j, pull, &term))
            return;
        trace += term;
#pragma unroll
        for (int a = 0; a < D; a++)
            sum[a] += pull[a];
    });
    divergence[i] = trace;
#pragma unroll
    for (int a = 0; a < D; a++)
        force.at[a][i] = sum[a];
}

template <typename Law>
static inline void launch_terms(struct device *d, const Law &law, size_t owned, const struct pair_list *list,
                                double *const force[], double *divergence) {
    const size_t length = list_length(d, owned, list);
    const struct both_ways both =
        turn_round(d, owned, length, list, device_scratch(d, both_ways_room(owned, length)));
    ep_launch(d, "terms_of_particles", terms_of_particles<Law>, ep_blocks(owned, PAIR_THREADS), PAIR_THREADS,
              0, law, both, axes_of(Law::D, force), divergence);
}

/* partial[block]: of the squares of all elements in the rows of a block's particles. */
template <typename Law>
static __global__ void __launch_bounds__(PAIR_THREADS, 6)
    squares_of_particles(Law law, both_ways list, double trap, double *partial) {
    constexpr int D = Law::D;
    __shared__ double room[32];
    const size_t i = ep_index();
    double diagonal[D * D] = {}, pair[D * D], sum = 0;
    if (i < list.own.owned) {
        visit_pairs(list, i, [&](uint32_t j) {
            if (!law.stiffness(i, j, pair))
                return;
#pragma unroll
            for (int c = 0; c < D * D; c++) {
                diagonal[c] += pair[c];
                sum += pair[c] * pair[c];
            }
        });
#pragma unroll
        for (int c = 0; c < D * D; c++) {
            const double own = diagonal[c] + (c % (D + 1) == 0 ? trap : 0);
            sum += own * own;
        }
    }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

template <typename Law>
static inline double launch_squares(struct device *d, const Law &law, double trap, size_t owned,
                                    const struct pair_list *list) {
    const size_t length = list_length(d, owned, list);
    const dim3 blocks = ep_blocks(owned, PAIR_THREADS);
    void *at = device_scratch(d, device_room(blocks.x * sizeof(double)) + sum_room() +
                                     both_ways_room(owned, length));
    double *partial = device_part<double>(&at, blocks.x);
    void *room = device_part<char>(&at, sum_room());
    const struct both_ways both = turn_round(d, owned, length, list, at);
    ep_launch(d, "squares_of_particles", squares_of_particles<Law>, blocks, PAIR_THREADS, 0, law, both, trap,
              partial);
    return sum_of(d, blocks.x, partial, room);
}

/* partial[block]: of the forms of a block's rows; a pair with a ghost counts one half. */
template <typename Law>
static __global__ void __launch_bounds__(PAIR_THREADS) forms_of_rows(Law law, rows list, double *partial) {
    __shared__ double room[32];
    const size_t i = ep_index();
    double sum = 0, term;
    if (i < list.owned)
        for (uint32_t m = list.start[i]; m < list.start[i + 1]; m++) {
            const uint32_t j = list.neighbour[m];
            if (law.form(i, j, &term))
                sum += j < list.owned ? term : term / 2;
        }
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

template <typename Law>
static inline double launch_forms(struct device *d, const Law &law, const struct rows &list) {
    const dim3 blocks = ep_blocks(list.owned, PAIR_THREADS);
    void *at = device_scratch(d, device_room(blocks.x * sizeof(double)) + sum_room());
    double *partial = device_part<double>(&at, blocks.x);
    ep_launch(d, "forms_of_rows", forms_of_rows<Law>, blocks, PAIR_THREADS, 0, law, list, partial);
    return sum_of(d, blocks.x, partial, at);
}

#endif
