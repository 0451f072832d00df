/* The integrator's step, and noise. The arithmetic is the CPU table's, number by number. */
#include "kernels/device.h"
#include "kernels/places.h"
#include "ops/normal_formula.h"
#include "ops/step_formula.h"

enum { THREADS = 256, SUMMERS = 1024, WORDS = 4 };

/* The first COUNT standard normal numbers of a particle. Philox gives four words at a time, which are two pairs; some 150
 * operations each. */
template <int COUNT>
static __device__ __forceinline__ void normal_numbers(uint64_t seed, enum rng_stream stream, uint32_t id,
                                                      uint64_t step, float normal[COUNT + WORDS]) {
#pragma unroll
    for (int first = 0; first < COUNT; first += WORDS) {
        uint32_t word[WORDS];
        rng_words(seed, stream, id, step, (uint32_t)(first / WORDS), word);
#pragma unroll
        for (int m = 0; m < WORDS && first + m < COUNT; m += 2)
            normal_pair_f(word[m], word[m + 1], &normal[first + m], &normal[first + m + 1]);
    }
}

/* ---- what particles did: of blocks, then of all ---- */

struct moves {
    double displacement, moved;   /* the largest squares */
    unsigned long long bad, last; /* how many, and the last of them, counted from 1 */
};

static __device__ __forceinline__ void add_moves(struct moves *m, const struct moves &other) {
    m->displacement = other.displacement > m->displacement ? other.displacement : m->displacement;
    m->moved = other.moved > m->moved ? other.moved : m->moved;
    m->bad += other.bad;
    m->last = other.last > m->last ? other.last : m->last;
}

/* Of all threads of a block: the first thread has it. */
static __device__ __forceinline__ struct moves moves_of_block(struct moves own) {
    __shared__ struct moves room[WARP];
    const int lane = (int)threadIdx.x % WARP, warps = (int)blockDim.x / WARP;
    own = {warp_max(own.displacement), warp_max(own.moved), warp_sum(own.bad), warp_max(own.last)};
    if (lane == 0)
        room[threadIdx.x / WARP] = own;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int w = 1; w < warps; w++)
            add_moves(&own, room[w]);
    return own;
}

/* One block. */
static __global__ void moves_of_all(size_t blocks, const moves *__restrict__ partial,
                                    const uint32_t *__restrict__ id, moves *__restrict__ all) {
    struct moves own = {0, 0, 0, 0};
    for (size_t b = threadIdx.x; b < blocks; b += SUMMERS)
        add_moves(&own, partial[b]);
    own = moves_of_block(own);
    if (threadIdx.x == 0) {
        own.last = own.last > 0 ? id[own.last - 1] : 0;
        *all = own;
    }
}

static size_t moves_room(dim3 blocks) {
    return device_room(blocks.x * sizeof(struct moves)) + device_room(sizeof(struct moves));
}

/* Of all blocks; room: what is left of moves_room. */
static void read_moves(struct device *d, dim3 blocks, const struct moves *partial, const uint32_t *id,
                       void *room, struct step_result *result) {
    struct moves all = {0, 0, 0, 0};
    *result = {};
    if (blocks.x == 0)
        return;
    ep_launch(d, "moves_of_all", moves_of_all, 1, SUMMERS, 0, blocks.x, partial, id, (struct moves *)room);
    device_read(d, &all, room, sizeof all);
    result->displacement = sqrt(all.displacement);
    result->moved = sqrt(all.moved);
    result->bad = (size_t)all.bad;
    result->bad_id = (uint32_t)all.last;
}

/* ---- steps ---- */

/* Where particles are and go. */
template <int D> struct state {
    struct box box;
    struct step_law law;
    size_t n;
    const uint32_t *id;
    const int64_t *force;
    axes<double> g;
    axes<int32_t> image;
};

template <int D>
static __device__ __forceinline__ void site_of(const struct step_law &law, uint32_t id,
                                               uint64_t site[MAX_DIMENSION]) {
    site[0] = site[1] = site[2] = 0;
    if (law.anchor.d > 0 && law.trap > 0)
        lattice_site(&law.anchor, id, site);
}

/* The noise of a particle, or what is given in its place. */
struct noise {
    const double *x, *g; /* (n, d); NULL: the generator's */
};
template <int D>
static __device__ __forceinline__ void noise_of(const struct step_law &law, const struct noise &given,
                                                uint32_t id, size_t i, double x[D], double g[D]) {
    float normal[2 * D + WORDS] = {};
    if (!given.g) {
        if (law.x_kick > 0) /* g's numbers come first, so that eps = 0 needs no more words than it uses */
            normal_numbers<2 * D>(law.seed, STREAM_STEP, id, law.step, normal);
        else
            normal_numbers<D>(law.seed, STREAM_STEP, id, law.step, normal);
    }
#pragma unroll
    for (int a = 0; a < D; a++) {
        g[a] = given.g ? given.g[i * D + a] : (double)normal[a];
        x[a] = !(law.x_kick > 0) ? 0 : given.x ? given.x[i * D + a] : (double)normal[D + a];
    }
}

/* 4 bytes of id and, an axis, 8 of force, 8 of q_list where asked for, and 16 each of q and g, both ways; 200 operations
 * and as many of noise. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    step_of_particles(state<D> s, noise given, axes<uint64_t> q_list, axes<uint64_t> q, bool measured,
                      moves *__restrict__ partial) {
    const size_t i = ep_index();
    struct moves moves = {0, 0, 0, 0};
    if (i < s.n) {
        double noise_x[D], noise_g[D], displacement = 0, way = 0;
        uint64_t site[MAX_DIMENSION];
        bool good = true, done = true;
        const uint32_t id = s.id[i];
        noise_of<D>(s.law, given, id, i, noise_x, noise_g);
        site_of<D>(s.law, id, site);
#pragma unroll
        for (int a = 0; a < D; a++) {
            if (!done)
                continue;
            const double side = s.box.side[a], unit = side * 0x1p-64, g = s.g.at[a][i];
            const int64_t force = s.force[force_at(D, i, a)];
            const uint64_t from = q.at[a][i];
            const double b = step_velocity(&s.law, g, force, from, site[a], unit);
            const double dx = fma(b, s.law.dt, s.law.x_kick * noise_x[a]);
            const double next = fma(g, s.law.g_decay, s.law.g_kick * noise_g[a]);
            s.g.at[a][i] = next;
            done = step_allowed(dx, side, next, force);
            if (!done)
                continue;
            displacement += step_displace(s.box.periodic, dx, unit, from, measured ? q_list.at[a][i] : from,
                                          &q.at[a][i], &s.image.at[a][i], &good);
            way += dx * dx;
        }
        moves.displacement = done && measured ? displacement : 0;
        moves.moved = done ? way : 0;
        moves.bad = !(done && good);
        moves.last = moves.bad ? i + 1 : 0;
    }
    moves = moves_of_block(moves);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = moves;
}

template <int D>
static struct state<D> state_of(const struct box *box, const struct step_law *law, size_t n,
                                const uint32_t *id, const int64_t *force, double *const g[],
                                int32_t *const image[]) {
    return {*box, *law, n, id, force, axes_of(D, g), axes_of(D, image)};
}

/* Noise that the host gives, for tests. */
static const double *
noise_on_device(struct device *d, size_t numbers, const double *xi, void **room) {
    double *on_device = xi ? device_part<double>(room, numbers) : NULL;
    if (on_device && numbers > 0) {
        device_check(d,
                     cudaMemcpyAsync(on_device, xi, numbers * sizeof *xi, cudaMemcpyHostToDevice, d->stream),
                     "noise of the host");
        device_check(d, cudaStreamSynchronize(d->stream), "noise of the host");
    }
    return on_device;
}

static void cuda_step(const struct ops *ops, const struct box *box, const struct step_law *law, size_t n,
                      const uint32_t *id, const int64_t *force, uint64_t *const q_list[], uint64_t *const q[],
                      int32_t *const image[], double *const g[], const double *xi_x, const double *xi_g,
                      struct step_result *result) {
    struct device *d = device_of(ops);
    const dim3 blocks = ep_blocks(n, THREADS);
    const size_t numbers = n * (size_t)box->d, given = (xi_x ? 1 : 0) + (xi_g ? 1 : 0);
    void *at = device_scratch(d, moves_room(blocks) + given * device_room(numbers * sizeof(double)));
    struct moves *partial = device_part<struct moves>(&at, blocks.x);
    struct noise noise;
    noise.x = noise_on_device(d, numbers, xi_x, &at);
    noise.g = noise_on_device(d, numbers, xi_g, &at);
    const bool measured = q_list != NULL;
    const axes<uint64_t> to = axes_of(box->d, q), old = axes_of(box->d, q_list);
    if (box->d == 1)
        ep_launch(d, "step_of_particles", step_of_particles<1>, blocks, THREADS, 0,
                  state_of<1>(box, law, n, id, force, g, image), noise, old, to, measured, partial);
    else if (box->d == 2)
        ep_launch(d, "step_of_particles", step_of_particles<2>, blocks, THREADS, 0,
                  state_of<2>(box, law, n, id, force, g, image), noise, old, to, measured, partial);
    else
        ep_launch(d, "step_of_particles", step_of_particles<3>, blocks, THREADS, 0,
                  state_of<3>(box, law, n, id, force, g, image), noise, old, to, measured, partial);
    read_moves(d, blocks, partial, id, at, result);
}

/* As a step, without noise; 8 bytes an axis more, of `at`. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    move_particles(state<D> s, double dt, axes<uint64_t> at, axes<uint64_t> from, axes<uint64_t> q_list,
                   axes<uint64_t> to, moves *__restrict__ partial) {
    const size_t i = ep_index();
    struct moves moves = {0, 0, 0, 0};
    if (i < s.n) {
        uint64_t site[MAX_DIMENSION];
        double displacement = 0, way = 0;
        bool good = true;
        site_of<D>(s.law, s.id[i], site);
#pragma unroll
        for (int a = 0; a < D; a++) {
            const double side = s.box.side[a], unit = side * 0x1p-64, g = s.g.at[a][i];
            const int64_t force = s.force[force_at(D, i, a)];
            const double dx = dt * step_velocity(&s.law, g, force, at.at[a][i], site[a], unit);
            good = good && step_allowed(dx, side, g, force);
            way += dx * dx;
            if (good)
                displacement += step_displace(s.box.periodic, dx, unit, from.at[a][i], q_list.at[a][i],
                                              &to.at[a][i], s.image.at[a] ? &s.image.at[a][i] : NULL, &good);
        }
        moves = {displacement, fmax(0.0, way), good ? 0u : 1u, good ? 0 : i + 1};
    }
    moves = moves_of_block(moves);
    if (threadIdx.x == 0)
        partial[blockIdx.x] = moves;
}

template <int D>
static void launch_move(struct device *d, const struct state<D> &s, double dt, uint64_t *const at[],
                        uint64_t *const from[], uint64_t *const q_list[], uint64_t *const to[],
                        struct step_result *result) {
    const dim3 blocks = ep_blocks(s.n, THREADS);
    void *room = device_scratch(d, moves_room(blocks));
    struct moves *partial = device_part<struct moves>(&room, blocks.x);
    ep_launch(d, "move_particles", move_particles<D>, blocks, THREADS, 0, s, dt, axes_of(D, at),
              axes_of(D, from), axes_of(D, q_list), axes_of(D, to), partial);
    read_moves(d, blocks, partial, s.id, room, result);
}

static void cuda_move(const struct ops *ops, const struct box *box, const struct step_law *law, double dt,
                      size_t n, const uint32_t *id, const int64_t *force, double *const g[],
                      uint64_t *const at[], uint64_t *const from[], uint64_t *const q_list[],
                      uint64_t *const to[], int32_t *const image[], struct step_result *result) {
    struct device *d = device_of(ops);
    if (box->d == 1)
        launch_move(d, state_of<1>(box, law, n, id, force, g, image), dt, at, from, q_list, to, result);
    else if (box->d == 2)
        launch_move(d, state_of<2>(box, law, n, id, force, g, image), dt, at, from, q_list, to, result);
    else
        launch_move(d, state_of<3>(box, law, n, id, force, g, image), dt, at, from, q_list, to, result);
}

/* ---- noise of propulsions and losses, and shifts: a thread a particle ---- */

template <int D>
static __global__ void kick_particles(step_law law, size_t n, const uint32_t *__restrict__ id,
                                      axes<double> g) {
    const size_t i = ep_index();
    if (i >= n)
        return;
    float normal[D + WORDS];
    normal_numbers<D>(law.seed, STREAM_REFINE, id[i], law.step, normal);
#pragma unroll
    for (int a = 0; a < D; a++)
        g.at[a][i] = fma(g.at[a][i], law.g_decay, law.g_kick * (double)normal[a]);
}

static void cuda_kick(const struct ops *ops, const struct step_law *law, int d, size_t n, const uint32_t *id,
                      double *const g[]) {
    ep_launch(device_of(ops), "kick_particles", EP_BY_DIMENSION(d, kick_particles), ep_blocks(n, THREADS),
              THREADS, 0, *law, n, id, axes_of(d, g));
}

template <int D>
static __global__ void normal_rows(uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                                   const uint32_t *__restrict__ id, double *__restrict__ out) {
    const size_t i = ep_index();
    if (i >= n)
        return;
    float normal[D + WORDS];
    normal_numbers<D>(seed, stream, id[i], step, normal);
#pragma unroll
    for (int a = 0; a < D; a++)
        out[i * D + a] = (double)normal[a];
}

static void cuda_normal(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                        const uint32_t *id, int d, double *out) {
    ep_launch(device_of(ops), "normal_rows", EP_BY_DIMENSION(d, normal_rows), ep_blocks(n, THREADS), THREADS,
              0, seed, stream, step, n, id, out);
}

static __global__ void sign_rows(uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                                 const uint32_t *__restrict__ id, int d, double *__restrict__ out) {
    const size_t i = ep_index();
    if (i >= n)
        return;
    uint32_t word[WORDS];
    rng_words(seed, stream, id[i], step, 0, word);
    for (int a = 0; a < d; a++)
        out[i * (size_t)d + (size_t)a] = word[0] >> a & 1 ? 1 : -1;
}

static void cuda_rademacher(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step,
                            size_t n, const uint32_t *id, int d, double *out) {
    ep_launch(device_of(ops), "sign_rows", sign_rows, ep_blocks(n, THREADS), THREADS, 0, seed, stream, step,
              n, id, d, out);
}

template <int D>
static __global__ void shift_places(box box, size_t n, double amount, const double *__restrict__ zeta,
                                    axes<uint64_t> q, axes<uint64_t> out) {
    const size_t i = ep_index();
    if (i >= n)
        return;
#pragma unroll
    for (int a = 0; a < D; a++)
        out.at[a][i] = step_shifted(q.at[a][i], amount * zeta[i * D + a], box.side[a]);
}

static void cuda_shift_positions(const struct ops *ops, const struct box *box, size_t n, double amount,
                                 const double *zeta, uint64_t *const q[], uint64_t *const q_out[]) {
    ep_launch(device_of(ops), "shift_places", EP_BY_DIMENSION(box->d, shift_places), ep_blocks(n, THREADS),
              THREADS, 0, *box, n, amount, zeta, axes_of(box->d, q), axes_of(box->d, q_out));
}

template <int D>
static __global__ void shift_rows(size_t n, double amount, const double *__restrict__ zeta, axes<double> g,
                                  axes<double> out) {
    const size_t i = ep_index();
    if (i >= n)
        return;
#pragma unroll
    for (int a = 0; a < D; a++)
        out.at[a][i] = g.at[a][i] + amount * zeta[i * D + a];
}

static void cuda_shift_propulsion(const struct ops *ops, int d, size_t n, double amount, const double *zeta,
                                  double *const g[], double *const g_out[]) {
    ep_launch(device_of(ops), "shift_rows", EP_BY_DIMENSION(d, shift_rows), ep_blocks(n, THREADS), THREADS, 0,
              n, amount, zeta, axes_of(d, g), axes_of(d, g_out));
}

template <int D>
static __global__ void add_rows(size_t n, axes<double> g, axes<double> push, real *__restrict__ u) {
    const size_t i = ep_index();
    if (i >= n)
        return;
#pragma unroll
    for (int a = 0; a < D; a++)
        u[i * D + a] = (real)(g.at[a][i] + push.at[a][i]);
}

static void cuda_velocity_rows(const struct ops *ops, int d, size_t n, double *const g[],
                               double *const push[], real *u) {
    ep_launch(device_of(ops), "add_rows", EP_BY_DIMENSION(d, add_rows), ep_blocks(n, THREADS), THREADS, 0, n,
              axes_of(d, g), axes_of(d, push), u);
}

void cuda_fill_step(struct ops *table) {
    table->step = cuda_step;
    table->kick = cuda_kick;
    table->move = cuda_move;
    table->normal = cuda_normal;
    table->rademacher = cuda_rademacher;
    table->shift_positions = cuda_shift_positions;
    table->shift_propulsion = cuda_shift_propulsion;
    table->velocity_rows = cuda_velocity_rows;
}
