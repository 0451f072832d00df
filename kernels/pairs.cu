/* Sums over pairs of particles that repel each other, and what is common to all laws. */
#include "kernels/pairs.h"

/* ---- lists, turned round, and sums ---- */

enum { SUMMERS = 1024 };

size_t list_length(struct device *d, size_t owned, const struct pair_list *list) {
    uint32_t length = 0;
    if (owned > 0)
        device_read(d, &length, list->start + owned, sizeof length);
    return length;
}

/* The keys of a list's numbers are the neighbours; all ghosts are one more than the owned. */
static __global__ void keys_of_rows(rows list, uint32_t *__restrict__ key, uint32_t *__restrict__ row) {
    const size_t i = ep_index();
    if (i >= list.owned)
        return;
    for (uint32_t m = list.start[i]; m < list.start[i + 1]; m++) {
        const uint32_t j = list.neighbour[m];
        key[m] = j < list.owned ? j : (uint32_t)list.owned;
        row[m] = (uint32_t)i;
    }
}

size_t both_ways_room(size_t owned, size_t length) {
    return device_room((owned + 2) * sizeof(uint32_t)) + 4 * device_room(length * sizeof(uint32_t)) +
           sort_room(length);
}

struct both_ways turn_round(struct device *d, size_t owned, size_t length, const struct pair_list *list,
                            void *room) {
    struct both_ways both = {rows_of(owned, list), NULL, NULL};
    struct keyed from, other;
    uint32_t *start = device_part<uint32_t>(&room, owned + 2);
    from.key = device_part<uint32_t>(&room, length);
    from.value = device_part<uint32_t>(&room, length);
    other.key = device_part<uint32_t>(&room, length);
    other.value = device_part<uint32_t>(&room, length);
    ep_launch(d, "keys_of_rows", keys_of_rows, ep_blocks(owned, PAIR_THREADS), PAIR_THREADS, 0, both.own,
              from.key, from.value);
    const struct keyed sorted = sort_by_key(d, length, owned + 1, from, other, room);
    find_starts(d, length, sorted.key, owned + 1, start);
    both.start = start;
    both.row = sorted.value;
    return both;
}

/* One block: every thread its share, then all of them. */
static __global__ void sum_numbers(size_t count, const double *__restrict__ number,
                                   double *__restrict__ sum) {
    __shared__ double room[32];
    double own = 0;
    for (size_t i = threadIdx.x; i < count; i += SUMMERS)
        own += number[i];
    own = block_sum(own, room);
    if (threadIdx.x == 0)
        *sum = own;
}

size_t sum_room(void) {
    return device_room(sizeof(double));
}

double sum_of(struct device *d, size_t count, const double *number, void *room) {
    double sum = 0, *on_device = (double *)room;
    if (count == 0)
        return 0;
    ep_launch(d, "sum_numbers", sum_numbers, 1, SUMMERS, 0, count, number, on_device);
    device_read(d, &sum, on_device, sizeof sum);
    return sum;
}

/* ---- the softplus ---- */

template <int D_> struct softplus {
    enum { D = D_ };
    axes<uint64_t> q;
    axes<double> b;   /* of the form */
    place_unit place; /* side / 2^32 in float32 */
    double unit[D_], cutoff, beta, k;

    __device__ __forceinline__ bool fixed(size_t i, size_t j, int64_t force[]) const {
        const float wide = (float)beta, cut = (float)(cutoff * cutoff);
        float delta[D];
        const float square = place_difference<D>(place, place_of<D>(q, i), place_of<D>(q, j), delta);
        if (square >= cut)
            return false;
        const float scale = pair_scale(square, wide, 1 / wide);
#pragma unroll
        for (int a = 0; a < D; a++)
            force[a] = pair_fixed_point((double)(scale * delta[a]), pair_factor(wide));
        return true;
    }

    __device__ __forceinline__ bool near(size_t i, size_t j, double delta[], double *r) const {
#pragma unroll
        for (int a = 0; a < D; a++)
            delta[a] = (double)(int64_t)(q.at[a][i] - q.at[a][j]) * unit[a];
        *r = pair_distance(D, delta);
        return *r<cutoff && * r> 0;
    }

    __device__ __forceinline__ bool terms(size_t i, size_t j, double force[], double *divergence) const {
        double delta[D], r, pull;
        if (!near(i, j, delta, &r))
            return false;
        *divergence = pair_divergence(D, k, beta, r, &pull);
#pragma unroll
        for (int a = 0; a < D; a++)
            force[a] = pull * delta[a] / r;
        return true;
    }

    __device__ __forceinline__ bool stiffness(size_t i, size_t j, double pair[]) const {
        double delta[D], r;
        if (!near(i, j, delta, &r))
            return false;
        pair_stiffness(D, k, beta, r, delta, pair);
        return true;
    }

    __device__ __forceinline__ bool form(size_t i, size_t j, double *term) const {
        double delta[D], difference[D], r;
        if (!near(i, j, delta, &r))
            return false;
#pragma unroll
        for (int a = 0; a < D; a++)
            difference[a] = b.at[a][i] - b.at[a][j];
        *term = pair_form(D, k, beta, r, delta, difference);
        return true;
    }
};

template <int D>
static struct softplus<D> softplus_of(const struct box *box, const struct pair_law *law, double k,
                                      uint64_t *const q[], double *const b[]) {
    struct softplus<D> s = {};
    s.q = axes_of(D, q);
    s.b = axes_of(D, b);
    s.place = place_unit_of(box);
    for (int a = 0; a < D; a++)
        s.unit[a] = box->side[a] * 0x1p-64;
    s.cutoff = law->cutoff;
    s.beta = law->beta;
    s.k = k;
    return s;
}

static void
cuda_pair_force(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                size_t n, const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                int64_t *sum) {
    struct device *d = device_of(ops);
    const struct rows rows = rows_of(owned, list);
    ops->zero(ops, sum, n * force_numbers(box->d) * sizeof *sum);
    if (law->kind == PAIRS_SPRINGS)
        spring_force(d, box, law, owned, id, q, list, sum);
    else if (box->d == 1)
        launch_force(d, softplus_of<1>(box, law, 1, q, NULL), rows, sum);
    else if (box->d == 2)
        launch_force(d, softplus_of<2>(box, law, 1, q, NULL), rows, sum);
    else
        launch_force(d, softplus_of<3>(box, law, 1, q, NULL), rows, sum);
}

static void cuda_pair_terms(const struct ops *ops, const struct box *box, const struct pair_law *law,
                            double k, size_t owned, size_t n, const uint32_t *id, uint64_t *const q[],
                            const struct pair_list *list, double *const force[], double *divergence) {
    struct device *d = device_of(ops);
    ops->zero(ops, divergence, n * sizeof *divergence);
    for (int a = 0; a < box->d; a++)
        ops->zero(ops, force[a], n * sizeof *force[a]);
    if (law->kind == PAIRS_SPRINGS)
        spring_terms(d, box, law, k, owned, id, q, list, force, divergence);
    else if (box->d == 1)
        launch_terms(d, softplus_of<1>(box, law, k, q, NULL), owned, list, force, divergence);
    else if (box->d == 2)
        launch_terms(d, softplus_of<2>(box, law, k, q, NULL), owned, list, force, divergence);
    else
        launch_terms(d, softplus_of<3>(box, law, k, q, NULL), owned, list, force, divergence);
}

static double cuda_pair_quadratic(const struct ops *ops, const struct box *box, const struct pair_law *law,
                                  double k, size_t owned, const uint32_t *id, uint64_t *const q[],
                                  const struct pair_list *list, double *const b[]) {
    struct device *d = device_of(ops);
    const struct rows rows = rows_of(owned, list);
    if (law->kind == PAIRS_SPRINGS)
        return spring_quadratic(d, box, law, k, owned, id, list, b);
    return box->d == 1   ? launch_forms(d, softplus_of<1>(box, law, k, q, b), rows)
           : box->d == 2 ? launch_forms(d, softplus_of<2>(box, law, k, q, b), rows)
                         : launch_forms(d, softplus_of<3>(box, law, k, q, b), rows);
}

/* The diagonal is summed by the thread of its particle, in registers: the scratch of the callers is not needed. */
static double cuda_stiffness_squared(const struct ops *ops, const struct box *box, const struct pair_law *law,
                                     double k, double trap, size_t owned, size_t n, const uint32_t *id,
                                     uint64_t *const q[], const struct pair_list *list, double *diagonal) {
    struct device *d = device_of(ops);
    (void)n;
    (void)diagonal;
    if (law->kind == PAIRS_SPRINGS)
        return spring_stiffness_squared(d, box, law, k, trap, owned, id, list);
    return box->d == 1   ? launch_squares(d, softplus_of<1>(box, law, k, q, NULL), trap, owned, list)
           : box->d == 2 ? launch_squares(d, softplus_of<2>(box, law, k, q, NULL), trap, owned, list)
                         : launch_squares(d, softplus_of<3>(box, law, k, q, NULL), trap, owned, list);
}

/* ---- drift and counts, of any law ---- */

template <int D>
static __global__ void drift_of_particles(box box, double v0, double trap, lattice anchor, size_t n,
                                          const uint32_t *__restrict__ id, axes<uint64_t> q, axes<double> g,
                                          axes<double> force, double *divergence, axes<double> b) {
    const size_t i = ep_index();
    if (i >= n)
        return;
    uint64_t site[MAX_DIMENSION] = {0, 0, 0};
    if (trap > 0) {
        lattice_site(&anchor, anchor.d > 0 ? id[i] : 0, site);
        divergence[i] -= trap * D;
    }
#pragma unroll
    for (int a = 0; a < D; a++) {
        double pull = force.at[a][i];
        if (trap > 0) {
            pull -= trap * (double)(int64_t)(q.at[a][i] - site[a]) * (box.side[a] * 0x1p-64);
            force.at[a][i] = pull;
        }
        b.at[a][i] = v0 * g.at[a][i] + pull;
    }
}

/* 40 d bytes a particle. */
static void cuda_drift(const struct ops *ops, const struct box *box, double v0, double trap,
                       const struct lattice *anchor, size_t n, const uint32_t *id, uint64_t *const q[],
                       double *const g[], double *const force[], double *divergence, double *const b[]) {
    const int d = box->d;
    ep_launch(device_of(ops), "drift_of_particles", EP_BY_DIMENSION(d, drift_of_particles), ep_blocks(n, 256),
              256, 0, *box, v0, trap, *anchor, n, id, axes_of(d, q), axes_of(d, g), axes_of(d, force),
              divergence, axes_of(d, b));
}

static __global__ void count_pairs(rows list, uint32_t *count) {
    const size_t i = ep_index();
    if (i >= list.owned)
        return;
    const uint32_t begin = list.start[i], end = list.start[i + 1];
    atomicAdd(&count[i], end - begin);
    for (uint32_t m = begin; m < end; m++)
        atomicAdd(&count[list.neighbour[m]], 1u);
}

/* 4 bytes and an integer atomic a pair. */
static void cuda_pair_count(const struct ops *ops, size_t owned, size_t n, const struct pair_list *list,
                            uint32_t *count) {
    ops->zero(ops, count, n * sizeof *count);
    ep_launch(device_of(ops), "count_pairs", count_pairs, ep_blocks(owned, PAIR_THREADS), PAIR_THREADS, 0,
              rows_of(owned, list), count);
}

void cuda_fill_pairs(struct ops *table) {
    table->pair_force = cuda_pair_force;
    table->pair_terms = cuda_pair_terms;
    table->pair_quadratic = cuda_pair_quadratic;
    table->stiffness_squared = cuda_stiffness_squared;
    table->drift = cuda_drift;
    table->pair_count = cuda_pair_count;
}
