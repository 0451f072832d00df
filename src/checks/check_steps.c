/* Steps and noise of the CUDA table beside the CPU table's, and both of them for a while: the same bits. */
#include "checks/gas.h"

static const size_t sizes[] = {0, 1, 31, 257, 1500};
enum { SIZES = sizeof sizes / sizeof *sizes };

static const struct step_law law = {.dt = 0.1,
                                    .v0 = 0.5,
                                    .k = 1.5,
                                    .g_decay = 0.99,
                                    .g_kick = 0.14,
                                    .seed = 0x123456789abcdefu,
                                    .step = 0xfffffffffu};

/* Forces in fixed point, below 4. */
static struct both some_force(int d, size_t n) {
    int64_t *host = calloc(n * force_numbers(d) + 1, sizeof *host);
    for (size_t i = 0; i < n * force_numbers(d); i++)
        host[i] = (int64_t)ldexp(both_number(17, i) - 0.5, FORCE_BITS + 3);
    struct both force = both_of(host, n * force_numbers(d) * sizeof *host);
    free(host);
    return force;
}

static void results_equal(const struct step_result *want, const struct step_result *got) {
    both_same(got->bad, want->bad);
    both_same(got->bad_id, want->bad_id);
    both_require(got->displacement == want->displacement);
    both_require(got->moved == want->moved);
}

static void states_equal(const struct gas *c) {
    for (int a = 0; a < c->box.d; a++) {
        gas_equal("q", c->cpu->q[a], c->cuda->q[a], c->n * sizeof(uint64_t));
        gas_equal("image", c->cpu->image[a], c->cuda->image[a], c->n * sizeof(int32_t));
        gas_equal("g", c->cpu->g[a], c->cuda->g[a], c->n * sizeof(double));
    }
}

/* Two steps, the second of them of other noise. */
static void compare_steps(struct gas *c, const struct step_law *first, bool measured, const double *xi_x,
                          const double *xi_g) {
    struct both force = some_force(c->box.d, c->n), old[MAX_DIMENSION];
    uint64_t *on_cpu[MAX_DIMENSION] = {NULL}, *on_cuda[MAX_DIMENSION] = {NULL};
    struct step_result want, got;
    for (int a = 0; a < c->box.d; a++) {
        old[a] = both_of(c->cpu->q[a], c->n * sizeof(uint64_t));
        on_cpu[a] = old[a].cpu;
        on_cuda[a] = old[a].cuda;
    }
    for (struct step_law step = *first; step.step < first->step + 2; step.step++) {
        both_cpu->step(both_cpu, &c->box, &step, c->n, c->cpu->id, force.cpu, measured ? on_cpu : NULL,
                       c->cpu->q, c->cpu->image, c->cpu->g, xi_x, xi_g, &want);
        both_cuda->step(both_cuda, &c->box, &step, c->n, c->cuda->id, force.cuda, measured ? on_cuda : NULL,
                        c->cuda->q, c->cuda->image, c->cuda->g, xi_x, xi_g, &got);
        results_equal(&want, &got);
        states_equal(c);
        both_require(c->n == 0 || measured == (got.displacement > 0));
    }
    for (int a = 0; a < c->box.d; a++)
        both_release(&old[a]);
    both_release(&force);
}

static struct lattice some_lattice(int d) {
    struct lattice l = {.d = d, .particles = 1500, .sites = {1500, 1, 1}};
    if (d > 1)
        l.sites[0] = 30, l.sites[1] = d == 2 ? 50 : 10, l.sites[2] = d == 2 ? 1 : 5;
    lattice_prepare(&l);
    return l;
}

/* Without and with noise in x, a trap, a tether; open boxes; every number of axes. */
static void steps(void) {
    for (int d = 1; d <= 3; d++)
        for (int m = 0; m < SIZES; m++)
            for (int what = 0; what < 8; what++) {
                struct step_law step = law;
                struct gas c = gas_make(what & 4 ? GAS_OPEN : GAS_EVEN, d, sizes[m], 0, 30);
                step.x_kick = what & 1 ? 0.05 : 0;
                step.trap = what & 2 ? 0.3 : 0;
                if (what == 3)
                    step.anchor = some_lattice(d);
                ops_cpu_choose(SIMD_PLAIN);
                compare_steps(&c, &step, what != 1, NULL, NULL);
                gas_free(&c);
            }
    ops_cpu_choose(SIMD_AUTO);
}

/* The CPU's SIMD, whose largest displacement is rounded otherwise, for states alone. */
static void steps_as_simd(void) {
    for (int d = 1; d <= 3; d++) {
        struct gas c = gas_make(GAS_EVEN, d, 1500, 0, 5);
        struct both force = some_force(d, c.n);
        struct step_result want, got;
        for (struct step_law step = law; step.step < law.step + 3; step.step++) {
            step.x_kick = 0.1;
            both_cpu->step(both_cpu, &c.box, &step, c.n, c.cpu->id, force.cpu, NULL, c.cpu->q, c.cpu->image,
                           c.cpu->g, NULL, NULL, &want);
            both_cuda->step(both_cuda, &c.box, &step, c.n, c.cuda->id, force.cuda, NULL, c.cuda->q,
                            c.cuda->image, c.cuda->g, NULL, NULL, &got);
            states_equal(&c);
            both_require(fabs(got.moved / want.moved - 1) < 1e-14);
        }
        long crossings = 0;
        for (size_t i = 0; i < c.n; i++)
            crossings += c.cpu->image[0][i] != 0;
        both_require(crossings > 5);
        both_release(&force);
        gas_free(&c);
    }
}

static void steps_of_given_noise(void) {
    struct step_law step = law;
    struct gas c = gas_make(GAS_EVEN, 2, 300, 0, 30);
    double *xi = malloc(4 * c.n * sizeof *xi);
    for (size_t i = 0; i < 4 * c.n; i++)
        xi[i] = 4 * both_number(5, i) - 2;
    step.x_kick = 0.1;
    compare_steps(&c, &step, true, xi, xi + 2 * c.n);
    free(xi);
    gas_free(&c);
}

/* A propulsion that is no number, one too large, a force out of range, a position too far out. */
static void bad_particles(void) {
    ops_cpu_choose(SIMD_PLAIN);
    for (int open = 0; open < 2; open++) {
        struct gas c = gas_make(open ? GAS_OPEN : GAS_CROWDED, 2, 1200, 0, 30);
        struct both force = some_force(2, c.n);
        struct step_result want, got;
        int64_t *sum = force.cpu;
        c.cpu->g[1][130] = NAN;
        c.cpu->g[0][130] = 100; /* a long way, which is not counted */
        c.cpu->g[0][1000] = 9e5;
        sum[force_at(2, 700, 1)] = INT64_MAX - 5;
        c.cpu->q[0][1100] = ((uint64_t)1 << 62) - 10; /* beyond a quarter of an open box with the next step */
        both_cuda->to_device(both_cuda, force.cuda, force.cpu, force.bytes);
        for (int a = 0; a < 2; a++) {
            both_cuda->to_device(both_cuda, c.cuda->g[a], c.cpu->g[a], c.n * sizeof(double));
            both_cuda->to_device(both_cuda, c.cuda->q[a], c.cpu->q[a], c.n * sizeof(uint64_t));
        }
        for (int m = 0; m < 2; m++) {
            if (m == 0) {
                both_cpu->step(both_cpu, &c.box, &law, c.n, c.cpu->id, force.cpu, c.cpu->q, c.cpu->q,
                               c.cpu->image, c.cpu->g, NULL, NULL, &want);
                both_cuda->step(both_cuda, &c.box, &law, c.n, c.cuda->id, force.cuda, c.cuda->q, c.cuda->q,
                                c.cuda->image, c.cuda->g, NULL, NULL, &got);
            } else {
                both_cpu->move(both_cpu, &c.box, &law, 0.1, c.n, c.cpu->id, force.cpu, c.cpu->g, c.cpu->q,
                               c.cpu->q, c.cpu->q, c.cpu->q, c.cpu->image, &want);
                both_cuda->move(both_cuda, &c.box, &law, 0.1, c.n, c.cuda->id, force.cuda, c.cuda->g,
                                c.cuda->q, c.cuda->q, c.cuda->q, c.cuda->q, c.cuda->image, &got);
            }
            both_require(want.bad >= 3 && want.bad <= 4);
            results_equal(&want, &got);
            states_equal(&c);
        }
        both_release(&force);
        gas_free(&c);
    }
    ops_cpu_choose(SIMD_AUTO);
}

/* Of a midpoint: forces at places other than those that particles leave from. */
static void compare_move(int d, size_t n, bool kept) {
    struct gas c = gas_make(GAS_EVEN, d, n, 0, 30), at = gas_make(GAS_EVEN, d, n, 0, 30);
    struct both force = some_force(d, n);
    struct step_result want, got;
    struct step_law step = law;
    step.trap = 0.2;
    both_cpu->move(both_cpu, &c.box, &step, 0.04, n, c.cpu->id, force.cpu, c.cpu->g, at.cpu->q, c.cpu->q,
                   at.cpu->q, c.cpu->q, kept ? c.cpu->image : NULL, &want);
    both_cuda->move(both_cuda, &c.box, &step, 0.04, n, c.cuda->id, force.cuda, c.cuda->g, at.cuda->q,
                    c.cuda->q, at.cuda->q, c.cuda->q, kept ? c.cuda->image : NULL, &got);
    results_equal(&want, &got);
    states_equal(&c);
    both_release(&force);
    gas_free(&c);
    gas_free(&at);
}

static void moves_and_kicks(void) {
    for (int d = 1; d <= 3; d++)
        for (int m = 0; m < SIZES; m++) {
            struct gas c = gas_make(GAS_EVEN, d, sizes[m], 0, 30);
            compare_move(d, sizes[m], false);
            compare_move(d, sizes[m], true);
            both_cpu->kick(both_cpu, &law, d, c.n, c.cpu->id, c.cpu->g);
            both_cuda->kick(both_cuda, &law, d, c.n, c.cuda->id, c.cuda->g);
            states_equal(&c);
            gas_free(&c);
        }
}

static void noise(void) {
    for (int d = 1; d <= 3; d++)
        for (int m = 0; m < SIZES; m++) {
            struct gas c = gas_make(GAS_CROWDED, d, sizes[m], 0, 30),
                       moved = gas_make(GAS_EVEN, d, c.n, 0, 30);
            struct both xi = both_zero(c.n * (size_t)d * sizeof(double));
            struct both u = both_zero(c.n * (size_t)d * sizeof(real));
            both_cpu->rademacher(both_cpu, 5, STREAM_DIRECTION, 1ull << 40, c.n, c.cpu->id, d, xi.cpu);
            both_cuda->rademacher(both_cuda, 5, STREAM_DIRECTION, 1ull << 40, c.n, c.cuda->id, d, xi.cuda);
            both_equal("signs", &xi);
            both_cpu->normal(both_cpu, 5, STREAM_ZETA, 1ull << 40, c.n, c.cpu->id, d, xi.cpu);
            both_cuda->normal(both_cuda, 5, STREAM_ZETA, 1ull << 40, c.n, c.cuda->id, d, xi.cuda);
            both_equal("normal numbers", &xi);
            both_cpu->shift_positions(both_cpu, &c.box, c.n, 0.3, xi.cpu, c.cpu->q, moved.cpu->q);
            both_cuda->shift_positions(both_cuda, &c.box, c.n, 0.3, xi.cuda, c.cuda->q, moved.cuda->q);
            both_cpu->shift_propulsion(both_cpu, d, c.n, 0.3, xi.cpu, c.cpu->g, moved.cpu->g);
            both_cuda->shift_propulsion(both_cuda, d, c.n, 0.3, xi.cuda, c.cuda->g, moved.cuda->g);
            states_equal(&moved);
            both_cpu->velocity_rows(both_cpu, d, c.n, c.cpu->g, moved.cpu->g, u.cpu);
            both_cuda->velocity_rows(both_cuda, d, c.n, c.cuda->g, moved.cuda->g, u.cuda);
            both_equal("velocities", &u);
            both_release(&u);
            both_release(&xi);
            gas_free(&c);
            gas_free(&moved);
        }
}

/* ---- a simulation ---- */

enum { RUN = 200, RENEW = 4 /* steps between searches for close pairs */ };

struct run {
    const struct ops *ops;
    struct particles *p;
    struct pair_list list;
    struct close_pairs close;
    uint64_t *q_list[MAX_DIMENSION];
    int64_t *sum;
    int builds;
};

static struct run start(const struct ops *ops, struct particles *p) {
    struct run r = {.ops = ops, .p = p};
    both_same(ops->allocate(ops, p->capacity * force_numbers(p->d) * sizeof *r.sum, (void **)&r.sum), 0);
    both_same(ops->allocate(ops, p->capacity * CLOSE_SCRATCH, &r.close.scratch), 0);
    for (int a = 0; a < p->d; a++)
        both_same(ops->allocate(ops, p->capacity * sizeof(uint64_t), (void **)&r.q_list[a]), 0);
    return r;
}

static void build(struct run *r, const struct box *box, double radius) {
    const struct ops *ops = r->ops;
    both_same(pairs_build(r->p, box, radius, &r->list), STATUS_OK);
    if (r->list.capacity + 2 * SIMD_PAIRS > r->close.capacity) {
        r->close.capacity = r->list.capacity + 2 * SIMD_PAIRS;
        both_same(ops_replace(ops, r->close.capacity * sizeof(uint32_t), &r->close.first), 0);
        both_same(ops_replace(ops, r->close.capacity * sizeof(uint32_t), &r->close.second), 0);
    }
    for (int a = 0; a < box->d; a++)
        ops->copy(ops, r->q_list[a], r->p->q[a], r->p->owned * sizeof(uint64_t));
    r->builds++;
}

/* One rank, as a simulation: a list with a skin, close pairs with a thinner one, a step. */
static void advance(struct run *r, const struct box *box, const struct step_law *at) {
    const struct pair_law pair = {.beta = 20, .cutoff = 2.6};
    const struct ops *ops = r->ops;
    struct particles *p = r->p;
    struct step_law step = *at;
    struct step_result result = {.displacement = INFINITY};
    for (step.step = 0; step.step < RUN; step.step++) {
        if (result.displacement > 0.2)
            build(r, box, pair.cutoff + 0.5);
        if (result.displacement > 0.2 || step.step % RENEW == 0)
            ops->close_pairs(ops, box, pair.cutoff + 0.2, p->owned, p->owned, p->q, &r->list, &r->close);
        for (int part = PAIRS_INSIDE; part <= PAIRS_ACROSS; part++)
            ops->close_force(ops, box, &pair, part, p->owned, p->owned, p->q, &r->close, r->sum);
        ops->step(ops, box, &step, p->owned, p->id, r->sum, r->q_list, p->q, p->image, p->g, NULL, NULL,
                  &result);
        both_same(result.bad, 0);
        both_require(result.moved < 0.1 / RENEW);
    }
}

static void finish(struct run *r) {
    pairs_release(r->ops, &r->list);
    r->ops->release(r->ops, r->close.first);
    r->ops->release(r->ops, r->close.second);
    r->ops->release(r->ops, r->close.scratch);
    r->ops->release(r->ops, r->sum);
    for (int a = 0; a < r->p->d; a++)
        r->ops->release(r->ops, r->q_list[a]);
}

/* Dense particles that drive themselves, two and three dimensions, with and without noise in x. */
static void simulation(void) {
    static const struct {
        int d;
        size_t n;
        double side, x_kick;
    } systems[] = {{2, 600, 36, 0}, {2, 500, 34, 0.003}, {3, 300, 11, 0}};
    for (int m = 0; m < 3; m++) {
        struct gas c = gas_make(GAS_EVEN, systems[m].d, systems[m].n, 0, systems[m].side);
        const struct step_law step = {.dt = 0.004,
                                      .v0 = 0.6,
                                      .k = 0.7,
                                      .g_decay = 0.9996,
                                      .g_kick = 0.028,
                                      .x_kick = systems[m].x_kick,
                                      .seed = 11};
        struct run want = start(both_cpu, c.cpu), got = start(both_cuda, c.cuda);
        advance(&want, &c.box, &step);
        advance(&got, &c.box, &step);
        both_require(want.builds > 1);
        states_equal(&c);
        finish(&want);
        finish(&got);
        gas_free(&c);
    }
}

static const struct check list[] = {{"steps", steps},
                                    {"steps as simd", steps_as_simd},
                                    {"steps of given noise", steps_of_given_noise},
                                    {"bad particles", bad_particles},
                                    {"moves and kicks", moves_and_kicks},
                                    {"noise", noise},
                                    {"simulation", simulation}};
const struct check_group check_steps = {"steps", sizeof list / sizeof *list, list};
