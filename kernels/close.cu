/* Pairs that are near at the moment, and their forces: the inner loop of a simulation.
 *
 * Every owned particle has all its owned neighbours, and sums the forces on itself: what is computed twice (some 80
 * operations a pair) costs less than d integer atomics a pair on the other particle's sum, which the memory's second cache
 * does some 10^11 of a second, and sums are written once and need not be zeroed. Of a half list's pairs i, j those near
 * are kept in row i of `first`, as j, and in row j of `second`, as i: first, second [0, across). The order within rows of
 * `second` is that in which threads came; sums of integers do not depend on it. From `across` on are the pairs with
 * ghosts, few, one after the other: i in first, j in second; their forces are added by atomics.
 *
 * scratch: places of all particles (8 bytes, or 16 in three dimensions), and where each owned particle's rows end.
 */
#include "kernels/order.h"
#include "kernels/places.h"

enum { THREADS = 128, FORCE_THREADS = 256, TEAM = 4 /* threads that share a particle's neighbours */ };

/* The parts of a close list's scratch. */
template <int D> struct room {
    place<D> *places;
    uint32_t *first_end, *second_end;
};
template <int D> static struct room<D> room_of(size_t n, const struct close_pairs *close) {
    struct room<D> room = {};
    room.places = (place<D> *)close->scratch;
    room.first_end = (uint32_t *)(room.places + n);
    room.second_end = room.first_end + n;
    return room;
}

template <int D>
static __global__ void keep_places(size_t begin, size_t end, axes<uint64_t> q,
                                   place<D> *__restrict__ places) {
    const size_t i = begin + ep_index();
    if (i < end)
        places[i] = place_of<D>(q, i);
}

/* 8 d bytes read and 8 or 16 written a particle. */
template <int D>
static void launch_places(struct device *d, size_t begin, size_t end, uint64_t *const q[], place<D> *places) {
    ep_launch(d, "keep_places", keep_places<D>, ep_blocks(end - begin, FORCE_THREADS), FORCE_THREADS, 0,
              begin, end, axes_of(D, q), places);
}

/* ---- which are near ---- */

struct half_list {
    const uint32_t *start, *neighbour;
    uint32_t owned;
    place_unit unit;
    float cut;
};

/* Calls visit(j) for those of row i that are near. */
template <int D, typename Visit>
static __device__ __forceinline__ void visit_near(const half_list &list, const place<D> *__restrict__ places,
                                                  uint32_t i, Visit visit) {
    const place<D> own = places[i];
    for (uint32_t m = list.start[i]; m < list.start[i + 1]; m++) {
        const uint32_t j = list.neighbour[m];
        float delta[D];
        if (place_difference<D>(list.unit, own, places[j], delta) < list.cut)
            visit(j);
    }
}

/* count: of every owned particle the owned in its row, then the rows that each is in, then the ghosts in its row. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    count_near(half_list list, const place<D> *__restrict__ places, uint32_t *count) {
    const size_t i = ep_index();
    if (i >= list.owned)
        return;
    uint32_t own = 0, ghosts = 0;
    visit_near<D>(list, places, (uint32_t)i, [&](uint32_t j) {
        if (j < list.owned) {
            own++;
            atomicAdd(&count[list.owned + j], 1u);
        } else {
            ghosts++;
        }
    });
    count[i] = own;
    count[2 * (size_t)list.owned + i] = ghosts;
}

/* at: the sums over counts, of all before each. What is before the second third is the number of pairs inside, `across`,
 * and counted once more before the last. next (owned): zeros. totals: across, count. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    write_near(half_list list, const place<D> *__restrict__ places, const uint32_t *__restrict__ at,
               uint32_t *next, uint32_t *__restrict__ first_end, uint32_t *__restrict__ second_end,
               uint32_t *__restrict__ first, uint32_t *__restrict__ second, uint32_t *__restrict__ totals) {
    const size_t i = ep_index(), owned = list.owned;
    if (i >= owned)
        return;
    const uint32_t across = at[owned];
    uint32_t own = at[i], ghost = at[2 * owned + i] - across;
    visit_near<D>(list, places, (uint32_t)i, [&](uint32_t j) {
        if (j < owned) {
            first[own++] = j;
            second[at[owned + j] - across + atomicAdd(&next[j], 1u)] = (uint32_t)i;
        } else {
            first[ghost] = (uint32_t)i;
            second[ghost++] = j;
        }
    });
    first_end[i] = at[i + 1];
    second_end[i] = at[owned + i + 1] - across;
    if (i == 0) {
        totals[0] = across;
        totals[1] = at[3 * owned] - across;
    }
}

/* Twice 4 bytes and a place a pair of the list, and two atomics on counts a pair that is near. */
template <int D>
static void find_near(struct device *d, const struct half_list &list, size_t n, uint64_t *const q[],
                      struct close_pairs *close) {
    const size_t owned = list.owned;
    const struct room<D> room = room_of<D>(n, close);
    const dim3 blocks = ep_blocks(owned, THREADS);
    uint32_t totals[2] = {0, 0};
    void *at = device_scratch(d, device_room((3 * owned + 1) * sizeof(uint32_t)) +
                                     device_room(owned * sizeof(uint32_t)) + device_room(sizeof totals) +
                                     scan_room(3 * owned));
    uint32_t *count = device_part<uint32_t>(&at, 3 * owned + 1);
    uint32_t *next = device_part<uint32_t>(&at, owned);
    uint32_t *on_device = device_part<uint32_t>(&at, 2);
    if (!count)
        return;
    device_check(d, cudaMemsetAsync(count + owned, 0, owned * sizeof *count, d->stream),
                 "counts of close pairs");
    device_check(d, cudaMemsetAsync(next, 0, owned * sizeof *next, d->stream), "counts of close pairs");
    launch_places<D>(d, 0, n, q, room.places);
    ep_launch(d, "count_near", count_near<D>, blocks, THREADS, 0, list, room.places, count);
    scan(d, 3 * owned, count, NULL, at);
    ep_launch(d, "write_near", write_near<D>, blocks, THREADS, 0, list, room.places, count, next,
              room.first_end, room.second_end, close->first, close->second, on_device);
    device_read(d, totals, on_device, sizeof totals);
    close->across = totals[0];
    close->count = totals[1];
}

static void cuda_close_pairs(const struct ops *ops, const struct box *box, double reach, size_t owned,
                             size_t n, uint64_t *const q[], const struct pair_list *list,
                             struct close_pairs *close) {
    struct device *d = device_of(ops);
    const struct half_list half = {list->start, list->neighbour, (uint32_t)owned, place_unit_of(box),
                                   (real)(reach * reach * (1 + 1e-6))};
    close->across = close->count = 0;
    if (owned == 0)
        return;
    if (box->d == 1)
        find_near<1>(d, half, n, q, close);
    else if (box->d == 2)
        find_near<2>(d, half, n, q, close);
    else
        find_near<3>(d, half, n, q, close);
}

/* ---- their forces ---- */

struct force_law {
    place_unit unit;
    float cut, beta, inverse_beta;
    double factor;
};
static struct force_law force_law_of(const struct box *box, const struct pair_law *law) {
    const float beta = (float)law->beta;
    return {place_unit_of(box), (float)(law->cutoff * law->cutoff), beta, 1 / beta, pair_factor(beta)};
}

/* Adds the force of the particle at `other` on that at `own`. */
template <int D>
static __device__ __forceinline__ void add_force(const force_law &law, const place<D> &own,
                                                 const place<D> &other, int64_t sum[]) {
    float delta[D];
    const float square = place_difference<D>(law.unit, own, other, delta);
    if (square >= law.cut)
        return;
    const float scale = pair_scale(square, law.beta, law.inverse_beta);
#pragma unroll
    for (int a = 0; a < D; a++)
        sum[a] += pair_fixed_point((double)(scale * delta[a]), law.factor);
}

/* A team of threads a particle: 4 bytes and a place (8 or 16 bytes, from the caches where particles are sorted) and some
 * 80 operations a neighbour, 16 or 32 bytes written a particle. */
template <int D>
static __global__ void __launch_bounds__(FORCE_THREADS, 6)
    force_inside(force_law law, size_t owned, const place<D> *__restrict__ places,
                 const uint32_t *__restrict__ first, const uint32_t *__restrict__ first_end,
                 const uint32_t *__restrict__ second, const uint32_t *__restrict__ second_end, int64_t *sum) {
    constexpr int NUMBERS = D == 3 ? 4 : 2;
    const size_t i = ep_index() / TEAM;
    const int lane = (int)(threadIdx.x % TEAM);
    int64_t total[NUMBERS] = {};
    if (i < owned) {
        const place<D> own = places[i];
        const uint32_t in_first = i > 0 ? first_end[i - 1] : 0, in_second = i > 0 ? second_end[i - 1] : 0;
        const uint32_t firsts = first_end[i] - in_first, count = firsts + second_end[i] - in_second;
        for (uint32_t m = (uint32_t)lane; m < count; m += TEAM) {
            const uint32_t j = m < firsts ? first[in_first + m] : second[in_second + (m - firsts)];
            add_force<D>(law, own, places[j], total);
        }
    }
#pragma unroll
    for (int a = 0; a < D; a++)
#pragma unroll
        for (int apart = TEAM / 2; apart > 0; apart /= 2)
            total[a] += __shfl_xor_sync(0xffffffffu, total[a], apart);
#pragma unroll
    for (int a = 0; a < NUMBERS; a++)
        if (i < owned && lane == a)
            sum[i * NUMBERS + a] = total[a];
}

/* A thread a pair. */
template <int D>
static __global__ void force_across(force_law law, size_t pairs, const place<D> *__restrict__ places,
                                    const uint32_t *__restrict__ first, const uint32_t *__restrict__ second,
                                    int64_t *sum) {
    const size_t p = ep_index();
    if (p >= pairs)
        return;
    int64_t force[D] = {};
    add_force<D>(law, places[first[p]], places[second[p]], force);
#pragma unroll
    for (int a = 0; a < D; a++)
        atomicAdd((unsigned long long *)&sum[force_at(D, first[p], a)], (unsigned long long)force[a]);
}

template <int D>
static void force_of_part(struct device *d, const struct force_law &law, enum pair_part part, size_t owned,
                          size_t n, uint64_t *const q[], const struct close_pairs *close, int64_t *sum) {
    const struct room<D> room = room_of<D>(n, close);
    const size_t across = close->count - close->across;
    if (part == PAIRS_INSIDE) {
        launch_places<D>(d, 0, owned, q, room.places);
        ep_launch(d, "force_inside", force_inside<D>, ep_blocks(owned * TEAM, FORCE_THREADS), FORCE_THREADS,
                  0, law, owned, room.places, close->first, room.first_end, close->second, room.second_end,
                  sum);
    } else if (across > 0) {
        launch_places<D>(d, owned, n, q, room.places);
        ep_launch(d, "force_across", force_across<D>, ep_blocks(across, THREADS), THREADS, 0, law, across,
                  room.places, close->first + close->across, close->second + close->across, sum);
    }
}

static void cuda_close_force(const struct ops *ops, const struct box *box, const struct pair_law *law,
                             enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                             struct close_pairs *close, int64_t *sum) {
    struct device *d = device_of(ops);
    const struct force_law force = force_law_of(box, law);
    if (box->d == 1)
        force_of_part<1>(d, force, part, owned, n, q, close, sum);
    else if (box->d == 2)
        force_of_part<2>(d, force, part, owned, n, q, close, sum);
    else
        force_of_part<3>(d, force, part, owned, n, q, close, sum);
}

void cuda_fill_close(struct ops *table) {
    table->close_pairs = cuda_close_pairs;
    table->close_force = cuda_close_force;
}
