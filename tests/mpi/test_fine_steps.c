/* Fine steps on many ranks against the same formulas applied to the whole system at once: the same bits, with lists made
 * anew between the steps and inside them; and tr K^2, which tells what they are for. */
#include "mpi/reference.h"

/* Half a step of g with noise number `number`, h the whole fine step. */
static void reference_kick(struct reference *r, const struct config *c, double h, uint64_t number) {
    const size_t n = r->p->owned, d = (size_t)r->p->d;
    const double half = h / 2, gamma = c->system.gamma;
    double *xi = calloc(n * d, sizeof *xi);
    ops_cpu()->normal(ops_cpu(), c->simulation.seed, STREAM_REFINE, number, n, r->p->id, r->p->d, xi);
    for (size_t i = 0; i < n; i++)
        for (size_t a = 0; a < d; a++)
            r->p->g[a][i] =
                fma(r->p->g[a][i], exp(-gamma * half), sqrt(-expm1(-2 * gamma * half)) * xi[i * d + a]);
    free(xi);
}

/* q = start + dt b at the positions q, with images counted on positions of 128 bits. */
static void reference_move(struct reference *r, const struct box *box, const struct pair_law *law,
                           const struct step_law *step, double dt, uint64_t *const start[], bool images) {
    assert_int_equal(law_pairs_build(r->p, box, law, 0.01, &r->list), STATUS_OK);
    ops_cpu()->pair_force(ops_cpu(), box, law, r->p->owned, r->p->owned, r->p->id, r->p->q, &r->list,
                          r->force);
    for (size_t i = 0; i < r->p->owned; i++) {
        uint64_t site[MAX_DIMENSION] = {0};
        lattice_site(&step->anchor, step->anchor.d > 0 ? r->p->id[i] : 0, site);
        for (int a = 0; a < box->d; a++) {
            const double unit = box->side[a] * 0x1p-64;
            double b = fma(step->v0, r->p->g[a][i],
                           step->k * (ldexp((double)r->force[force_at(box->d, i, a)], -48)));
            if (step->trap > 0)
                b = fma(-step->trap, (double)(int64_t)(r->p->q[a][i] - site[a]) * unit, b);
            const __int128 after = ((__int128)r->p->image[a][i] * ((__int128)1 << 64)) + start[a][i] +
                                   llrint(dt * b * (1 / unit));
            r->p->q[a][i] = (uint64_t)after;
            if (images && box->periodic)
                r->p->image[a][i] = (int32_t)(after >> 64);
        }
    }
}

/* The fine steps before frame number `interval`. */
static void reference_refine(struct reference *r, const struct box *box, const struct pair_law *law,
                             const struct step_law *step, const struct config *c, uint64_t interval) {
    const uint64_t fine = (uint64_t)config_fine_steps(c);
    const double h = (double)config_refine_steps(c) * c->simulation.dt / (double)fine;
    uint64_t *start[MAX_DIMENSION];
    const size_t size = r->p->owned * sizeof *start[0];
    for (int a = 0; a < box->d; a++)
        start[a] = malloc(size);
    for (uint64_t m = fine * interval; m < fine * (interval + 1); m++) {
        reference_kick(r, c, h, 2 * m);
        for (int a = 0; a < box->d; a++)
            memcpy(start[a], r->p->q[a], size);
        reference_move(r, box, law, step, h / 2, start, false);
        reference_move(r, box, law, step, h, start, true);
        reference_kick(r, c, h, 2 * m + 1);
    }
    for (int a = 0; a < box->d; a++)
        free(start[a]);
}

static double push; /* added to g_x of every second particle, and taken from the others */

/* Intervals of `steps` steps of dt and then of fine ones, with lists made anew in between and among these. */
static void run_refined(struct config c, double refine, int intervals, int steps) {
    struct simulation *s = NULL;
    struct slice *slice = NULL;
    uint64_t builds = 0;
    c.simulation.refine = refine;
    c.simulation.refine_dt = 0.4 * c.simulation.dt;
    assert_int_equal(simulation_create(ops_cpu(), comm, &c, &s), STATUS_OK);
    assert_int_equal(slice_create((size_t)config_total(&c.system), c.system.dimension, comm, &slice),
                     STATUS_OK);
    system_start(&c, slice);
    assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
    struct reference r = reference_make(&c, &s->box);
    for (size_t i = 0; i < s->particles->owned; i++)
        s->particles->g[0][i] += s->particles->id[i] % 2 ? push : -push;
    for (size_t i = 0; i < r.p->owned; i++)
        r.p->g[0][i] += i % 2 ? push : -push;
    for (int m = 0; m < intervals; m++) {
        bool stop = false;
        for (int step = 0; step < steps; step++) {
            struct step_law law = s->step_law;
            assert_int_equal(simulation_step(s, &stop), STATUS_OK);
            reference_step(&r, &s->box, &s->law, &law);
        }
        builds -= s->builds;
        if (simulation_refine(s, (uint64_t)m) != STATUS_OK)
            fail_msg("%s", status_message());
        builds += s->builds;
        reference_refine(&r, &s->box, &s->law, &s->step_law, &c, (uint64_t)m);
        assert_same_bits(s, &r);
        assert_int_equal(s->step_law.step, (m + 1) * (steps + (int)config_refine_steps(&c)));
    }
    if (c.system.kind != SYSTEM_CRYSTAL)
        assert_true(builds > 0);
    assert_int_equal(simulation_settle(s), STATUS_OK);
    assert_true(halo_is_valid(s->halo, s->particles));
    reference_free(&r);
    slice_destroy(&slice);
    simulation_destroy(&s);
}

static void test_refine(void **state) {
    (void)state;
    struct config c = config_of(2, 400, 0.5, 0, 0, 0.1);
    run_refined(c, 4, 3, 40);
    push = 4; /* a fine step is 0.04 long */
    run_refined(c, 4, 3, 40);
    push = 0;
    run_refined(config_of(3, 300, 0.4, 0, 0, 0.1), 3, 3, 20);
    run_refined(config_of(1, 40, 0.6, 0, 0, 0.1), 5, 3, 20);
    run_refined(config_of(2, 100, 0, 0.05, 0, 0.1), 5, 3, 30);
    c = config_of(2, 24, 0.4, 0, 0, 0.1);
    c.system.copies = 3;
    run_refined(c, 3, 3, 20);
}

/* Two particles, 0.105 out of the force's range, meet at a speed of 1 each. After a fine step the list is good still
 * (0.04 of the skin of 0.1 is used by each), at the midpoint of the next it would miss the pair: with a large skin the
 * bits are the same. */
static void test_refine_midpoint(void **state) {
    (void)state;
    struct config c = config_of(1, 2, 0.2, 0, 0, 0.04);
    uint64_t q[2][2];
    c.system.gamma = 1e-12;
    c.simulation.cutoff_tolerance = 0.05;
    c.simulation.refine = 0.08;
    c.simulation.refine_dt = 0.04;
    for (int m = 0; m < 2; m++) {
        struct simulation *s = NULL;
        struct slice *slice = NULL;
        double moved[2] = {0};
        c.simulation.skin = m == 0 ? 0.1 : 2;
        assert_int_equal(simulation_create(ops_cpu(), comm, &c, &s), STATUS_OK);
        assert_int_equal(slice_create(2, 1, comm, &slice), STATUS_OK);
        for (size_t i = 0; i < slice->count; i++) {
            const double side = slice->begin + i == 0 ? -1 : 1;
            slice->q[i] = position_to_integer(&s->box, 0, 10 + side * (s->law.cutoff + 0.105) / 2);
            slice->g[i] = -side / c.system.v0;
        }
        assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
        assert_int_equal(simulation_refine(s, 0), STATUS_OK);
        assert_int_equal(s->builds, m == 0 ? 2 : 1);
        for (size_t i = 0; i < s->particles->owned; i++) /* the upper half of the bits is an exact float64 */
            moved[s->particles->id[i]] = (double)(s->particles->q[0][i] >> 20);
        comm_sum(comm, moved, 2);
        for (int i = 0; i < 2; i++)
            q[m][i] = (uint64_t)moved[i];
        slice_destroy(&slice);
        simulation_destroy(&s);
    }
    assert_memory_equal(q[0], q[1], sizeof q[0]);
}

/* Lists that do not reach to the midpoint even when they are new. */
static void test_refine_too_fast(void **state) {
    (void)state;
    struct config c = config_of(2, 400, 0.5, 0, 0, 0.1);
    struct simulation *s = NULL;
    struct slice *slice = NULL;
    c.simulation.skin = 0.02;
    c.simulation.refine = 1;
    c.simulation.refine_dt = 0.04;
    assert_int_equal(simulation_create(ops_cpu(), comm, &c, &s), STATUS_OK);
    assert_int_equal(slice_create(400, 2, comm, &slice), STATUS_OK);
    system_start(&c, slice);
    for (size_t i = 0; i < 2 * slice->count; i++)
        slice->g[i] += 8;
    assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
    assert_int_equal(simulation_refine(s, 0), STATUS_NUMBERS);
    assert_non_null(strstr(status_message(), "smaller refine_dt or a larger simulation.skin"));
    status_clear();
    slice_destroy(&slice);
    simulation_destroy(&s);
}

static void test_refine_crystal(void **state) {
    (void)state;
    struct config c = crystal_of(2, 240, (double[]){25.2, 36}, 0, 0, 0.05);
    push = 4;
    run_refined(c, 2, 3, 60);
    push = 0;
    run_refined(crystal_of(3, 6 * 6 * 6, (double[]){12.6, 12.6, 12.6}, 0, 0.2, 0.02), 1, 2, 20);
}

/* F (n, d) */
static void force_of(const struct config *c, const struct box *box, const struct particles *p,
                     double *force) {
    const struct system_force of = {c->system, system_pair_law(&c->system, &c->simulation)};
    double *divergence = calloc(p->owned, sizeof *divergence);
    assert_int_equal(system_force(&of, p, box, force, divergence), STATUS_OK);
    free(divergence);
}

static double by_differences(const struct config *c, const struct box *box) {
    struct reference r = reference_make(c, box);
    struct particles *p = r.p;
    const size_t numbers = p->owned * (size_t)box->d;
    double *force[2] = {calloc(numbers, sizeof(double)), calloc(numbers, sizeof(double))}, sum = 0;
    for (size_t m = 0; m < numbers; m++) {
        uint64_t *q = &p->q[m % (size_t)box->d][m / (size_t)box->d], kept = *q;
        const double unit = box->side[m % (size_t)box->d] * 0x1p-64;
        const uint64_t h = (uint64_t)(1e-5 / unit);
        for (int way = 0; way < 2; way++) {
            *q = way == 0 ? kept + h : kept - h;
            force_of(c, box, p, force[way]);
        }
        *q = kept;
        for (size_t i = 0; i < numbers; i++) {
            const double slope = (force[0][i] - force[1][i]) / (2 * unit * (double)h);
            sum += slope * slope;
        }
    }
    free(force[0]);
    free(force[1]);
    reference_free(&r);
    return sum;
}

static void check(const struct config *c) {
    struct simulation *s = NULL;
    struct slice *slice = NULL;
    struct simulation_sums sums;
    assert_int_equal(simulation_create(ops_cpu(), comm, c, &s), STATUS_OK);
    assert_int_equal(slice_create((size_t)config_total(&c->system), c->system.dimension, comm, &slice),
                     STATUS_OK);
    system_start(c, slice);
    assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
    assert_int_equal(simulation_sums(s, &sums), STATUS_OK);
    const double want = by_differences(c, &s->box);
    assert_true(want > 1);
    assert_below(fabs(sums.stiffness_squared / want - 1), 1e-6);
    slice_destroy(&slice);
    simulation_destroy(&s);
}

static struct config dense_of(int d, int64_t n, double side) {
    struct config c = config_of(d, n, 0, 0, 0, 0.1);
    c.system.box_sides = 1;
    c.system.box[0] = side;
    c.system.k = 1.7;
    c.simulation.cutoff_tolerance = 1e-12;
    c.simulation.skin = 0.2;
    return c;
}

static void test_repulsion(void **state) {
    (void)state;
    struct config c = dense_of(2, 60, 14);
    check(&c);
    c = dense_of(1, 12, 20);
    check(&c);
    c = dense_of(3, 40, 13);
    check(&c);
}

static void test_trap(void **state) {
    (void)state;
    struct config c = dense_of(2, 40, 200);
    c.system.trap = 0.3;
    check(&c);
}

static void test_springs(void **state) {
    (void)state;
    struct config c = crystal_of(2, 48, (double[]){12.6, 14.4}, 0, 0, 0.05);
    check(&c);
    c.system.spring_kind = SPRING_LONGITUDINAL;
    c.system.tether = 0.4;
    check(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refine),          cmocka_unit_test(test_refine_midpoint),
        cmocka_unit_test(test_refine_too_fast), cmocka_unit_test(test_refine_crystal),
        cmocka_unit_test(test_repulsion),       cmocka_unit_test(test_trap),
        cmocka_unit_test(test_springs)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
