/* The integrator on many ranks against the same laws applied to the whole system at once, on every rank by itself
 * without domains, halos or lists that are reused: the same bits, through a phase-separating run with
 * rebalancing, for crystals and for copies; and the sums for the identities, to rounding. */
#include "dynamics/simulation.h"
#include "ranks.h"

struct reference {
    struct particles *p;
    struct pair_list list;
    int64_t *force[MAX_DIMENSION];
    uint64_t *q_list[MAX_DIMENSION];
};

static struct config config_of(int d, int64_t n, double phi, double trap, double eps, double dt) {
    struct config c = {
        .system = {.dimension = d,
                   .particles = n,
                   .packing_fraction = phi,
                   .v0 = 0.25,
                   .k = 1,
                   .beta = 7.5,
                   .gamma = 0.05,
                   .eps = eps,
                   .trap = trap},
        .simulation = {.dt = dt, .start = "random", .seed = 5, .cutoff_tolerance = 1e-5, .skin = 0.4}};
    if (trap > 0) {
        c.system.packing_fraction = 0;
        c.system.box_sides = 1;
        c.system.box[0] = 200;
    }
    return c;
}

/* The whole system on this rank, from the same start. */
static struct reference reference_make(const struct config *c, const struct box *box) {
    struct reference r = {0};
    const size_t n = (size_t)config_total(&c->system), d = (size_t)box->d;
    struct slice all = {.n = n, .d = box->d, .count = n};
    all.q = calloc(n * d, sizeof *all.q);
    all.g = calloc(n * d, sizeof *all.g);
    all.image = calloc(n * d, sizeof *all.image);
    system_start(c, &all);
    assert_int_equal(particles_create(ops_cpu(), box->d, n, &r.p), STATUS_OK);
    r.p->owned = n;
    for (size_t a = 0; a < d; a++) {
        r.force[a] = calloc(n, sizeof(int64_t));
        r.q_list[a] = calloc(n, sizeof(uint64_t));
        for (size_t i = 0; i < n; i++) {
            r.p->id[i] = (uint32_t)i;
            r.p->q[a][i] = all.q[i * d + a];
            r.p->g[a][i] = all.g[i * d + a];
        }
    }
    free(all.q);
    free(all.g);
    free(all.image);
    return r;
}

static void reference_step(struct reference *r, const struct box *box, const struct pair_law *law,
                           const struct step_law *step) {
    struct step_result result;
    assert_int_equal(law_pairs_build(r->p, box, law, 0.01, &r->list), STATUS_OK);
    ops_cpu()->pair_force(ops_cpu(), box, law, r->p->owned, r->p->owned, r->p->id, r->p->q, &r->list,
                          r->force);
    ops_cpu()->step(ops_cpu(), box, step, r->p->owned, r->p->id, r->force, r->q_list, r->p->q, r->p->image,
                    r->p->g, NULL, NULL, &result);
    assert_int_equal(result.bad, 0);
}

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
            double b = fma(step->v0, r->p->g[a][i], step->k * (ldexp((double)r->force[a][i], -48)));
            if (step->trap > 0)
                b = fma(-step->trap, (double)(int64_t)(r->p->q[a][i] - site[a]) * unit, b);
            const __int128 after =
                ((__int128)r->p->image[a][i] * ((__int128)1 << 64)) + start[a][i] + llrint(dt * b / unit);
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

static void assert_same_bits(const struct simulation *s, const struct reference *r) {
    for (int a = 0; a < s->box.d; a++)
        for (size_t i = 0; i < s->particles->owned; i++) {
            uint32_t id = s->particles->id[i];
            assert_int_equal(s->particles->q[a][i], r->p->q[a][id]);
            assert_int_equal(s->particles->image[a][i], r->p->image[a][id]);
            assert_memory_equal(&s->particles->g[a][i], &r->p->g[a][id], sizeof(double));
        }
}

/* The sums over the whole system, from the definition. */
static void assert_sums(const struct simulation *s, struct reference *r, const struct config *c) {
    const size_t n = r->p->owned, d = (size_t)s->box.d;
    double *column[2 * MAX_DIMENSION], *divergence = calloc(n, sizeof(double));
    struct simulation_sums got, want = {0};
    assert_int_equal(simulation_sums((struct simulation *)s, &got), STATUS_OK);
    for (size_t a = 0; a < 2 * d; a++)
        column[a] = calloc(n, sizeof(double));
    assert_int_equal(law_pairs_build(r->p, &s->box, &s->law, 0, &r->list), STATUS_OK);
    ops_cpu()->pair_terms(ops_cpu(), &s->box, &s->law, s->step_law.k, n, n, r->p->id, r->p->q, &r->list,
                          column, divergence);
    ops_cpu()->drift(ops_cpu(), &s->box, c->system.v0, s->step_law.trap, &s->law.lattice, n, r->p->id,
                     r->p->q, r->p->g, column, divergence, column + d);
    for (size_t i = 0; i < n; i++) {
        want.div_b += divergence[i];
        for (size_t a = 0; a < d; a++) {
            want.b_squared += column[d + a][i] * column[d + a][i];
            want.force_b += column[a][i] * column[d + a][i];
            want.g_b += r->p->g[a][i] * column[d + a][i];
        }
    }
    /* b . K b as the slope of the force along b: -b . (F(x + h b) - F(x - h b)) / 2h */
    const double h = 1e-5;
    uint64_t *q[MAX_DIMENSION];
    for (int sign = -1; sign <= 1; sign += 2) {
        struct particles moved = *r->p;
        struct pair_list list = {0};
        for (size_t a = 0; a < d; a++) {
            q[a] = calloc(n, sizeof(uint64_t));
            for (size_t i = 0; i < n; i++)
                q[a][i] = r->p->q[a][i] +
                          (uint64_t)llrint(sign * h * column[d + a][i] / (s->box.side[a] * 0x1p-64));
            moved.q[a] = q[a];
        }
        double *force[MAX_DIMENSION], *ignored[MAX_DIMENSION], *none = calloc(n, sizeof(double));
        for (size_t a = 0; a < d; a++) {
            force[a] = calloc(n, sizeof(double));
            ignored[a] = calloc(n, sizeof(double));
        }
        assert_int_equal(law_pairs_build(&moved, &s->box, &s->law, 0, &list), STATUS_OK);
        ops_cpu()->pair_terms(ops_cpu(), &s->box, &s->law, s->step_law.k, n, n, r->p->id, q, &list, force,
                              none);
        ops_cpu()->drift(ops_cpu(), &s->box, 0, s->step_law.trap, &s->law.lattice, n, r->p->id, q, r->p->g,
                         force, none, ignored);
        for (size_t a = 0; a < d; a++) {
            for (size_t i = 0; i < n; i++)
                want.b_stiffness_b -= sign * column[d + a][i] * force[a][i] / (2 * h);
            free(force[a]);
            free(ignored[a]);
            free(q[a]);
        }
        free(none);
        pairs_release(ops_cpu(), &list);
    }
    const double pair[][2] = {{got.div_b, want.div_b},
                              {got.b_squared, want.b_squared},
                              {got.force_b, want.force_b},
                              {got.g_b, want.g_b},
                              {got.b_stiffness_b, want.b_stiffness_b}};
    for (size_t m = 0; m < sizeof pair / sizeof *pair;
         m++) /* K by differences jumps where the force is cut off */
        assert_below(fabs(pair[m][0] - pair[m][1]) / fabs(pair[m][1]), m == 4 ? 1e-3 : 1e-8);
    for (size_t a = 0; a < 2 * d; a++)
        free(column[a]);
    free(divergence);
}

static double push; /* added to g_x of all particles: they travel through the box and across ranks */

static void run_both(const struct config *c, int steps) {
    struct simulation *s = NULL;
    struct slice *slice = NULL;
    assert_int_equal(simulation_create(ops_cpu(), comm, c, &s), STATUS_OK);
    assert_int_equal(slice_create((size_t)config_total(&c->system), c->system.dimension, comm, &slice),
                     STATUS_OK);
    system_start(c, slice);
    assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
    struct reference r = reference_make(c, &s->box);
    for (size_t i = 0; i < s->particles->owned; i++)
        s->particles->g[0][i] += push;
    for (size_t i = 0; i < r.p->owned; i++)
        r.p->g[0][i] += push;
    for (int m = 0; m < steps; m++) {
        bool stop = m == steps - 1 && comm_rank(comm) == comm_size(comm) - 1;
        struct step_law step = s->step_law;
        assert_int_equal(simulation_step(s, &stop), STATUS_OK);
        assert_int_equal(stop, m == steps - 1); /* one rank's wish reaches all */
        reference_step(&r, &s->box, &s->law, &step);
        if (m % 50 == 0)
            assert_same_bits(s, &r);
    }
    assert_same_bits(s, &r);
    assert_true(domain_is_valid(s->domain));
    assert_true(halo_is_valid(s->halo, s->particles));
    assert_true(s->builds < (uint64_t)steps); /* lists were reused */
    assert_sums(s, &r, c);
    for (int a = 0; a < s->box.d; a++) {
        free(r.force[a]);
        free(r.q_list[a]);
    }
    pairs_release(ops_cpu(), &r.list);
    particles_destroy(&r.p);
    slice_destroy(&slice);
    simulation_destroy(&s);
}

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
        s->particles->g[0][i] += push;
    for (size_t i = 0; i < r.p->owned; i++)
        r.p->g[0][i] += push;
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
    assert_true(halo_is_valid(s->halo, s->particles));
    assert_sums(s, &r, &c);
    for (int a = 0; a < s->box.d; a++) {
        free(r.force[a]);
        free(r.q_list[a]);
    }
    pairs_release(ops_cpu(), &r.list);
    particles_destroy(&r.p);
    slice_destroy(&slice);
    simulation_destroy(&s);
}

static void test_refine(void **state) {
    (void)state;
    struct config c = config_of(2, 400, 0.5, 0, 0, 0.1);
    run_refined(c, 4, 3, 40);
    push = 4; /* a fine step is 0.04 long */
    run_refined(c, 4, 3, 40);
    c.simulation.skin =
        0.1; /* after a build the midpoint of the second step is too far for the list, not its start */
    run_refined(c, 2, 3, 7);
    push = 0;
    run_refined(config_of(3, 300, 0.4, 0, 0, 0.1), 3, 3, 20);
    run_refined(config_of(1, 40, 0.6, 0, 0, 0.1), 5, 3, 20);
    run_refined(config_of(2, 100, 0, 0.05, 0, 0.1), 5, 3, 30);
    c = config_of(2, 24, 0.4, 0, 0, 0.1);
    c.system.copies = 3;
    run_refined(c, 3, 3, 20);
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

static void test_phase_separation(void **state) {
    (void)state;
    struct config c = config_of(2, 400, 0.5, 0, 0, 0.1);
    run_both(&c, 1500);
}

static void test_diffusion_3d(void **state) {
    (void)state;
    struct config c = config_of(3, 300, 0.4, 0, 0.02, 0.005);
    run_both(&c, 300);
}

static void test_line(void **state) {
    (void)state;
    struct config c = config_of(1, 40, 0.6, 0, 0.05, 0.02);
    run_both(&c, 600);
}

/* Fewer particles than ranks: some own nothing. */
static void test_two(void **state) {
    (void)state;
    struct config c = config_of(1, 2, 0.25, 0, 0.05, 0.02);
    run_both(&c, 400);
}

static void test_trap(void **state) {
    (void)state;
    struct config c = config_of(2, 100, 0, 0.05, 0.1, 0.005);
    run_both(&c, 600);
}

static struct config crystal_of(int d, int64_t n, const double box[], double eps, double tether, double dt) {
    struct config c = config_of(d, n, 0, 0, eps, dt);
    c.system.kind = SYSTEM_CRYSTAL;
    c.system.box_sides = d;
    memcpy(c.system.box, box, (size_t)d * sizeof *box);
    c.system.spring = 1.3;
    c.system.tether = tether;
    c.system.spring_kind = tether > 0 ? SPRING_LONGITUDINAL : SPRING_ISOTROPIC;
    return c;
}

static void test_refine_crystal(void **state) {
    (void)state;
    struct config c = crystal_of(2, 240, (double[]){25.2, 36}, 0, 0, 0.05);
    push = 4;
    run_refined(c, 2, 3, 60);
    push = 0;
    run_refined(crystal_of(3, 6 * 6 * 6, (double[]){12.6, 12.6, 12.6}, 0, 0.2, 0.02), 1, 2, 20);
}

/* Free, drifting through the box and across ranks. */
static void test_crystal(void **state) {
    (void)state;
    struct config c = crystal_of(2, 240, (double[]){25.2, 36}, 0, 0, 0.05);
    c.system.v0 = 0.6;
    push = 4;
    run_both(&c, 1500);
    push = 0;
    c = crystal_of(2, 168, (double[]){25.2, 25.2}, 0.1, 0.3, 0.02);
    run_both(&c, 400);
}

static void test_crystal_chain(void **state) {
    (void)state;
    struct config c = crystal_of(1, 16, (double[]){33.6}, 0.05, 0, 0.02);
    run_both(&c, 800);
}

static void test_crystal_cubic(void **state) {
    (void)state;
    struct config c = crystal_of(3, 6 * 7 * 8, (double[]){12.6, 14.7, 16}, 0.02, 0, 0.02);
    run_both(&c, 300);
    c = crystal_of(3, 6 * 6 * 6, (double[]){12.6, 12.6, 12.6}, 0, 0.2, 0.02);
    run_both(&c, 300);
}

/* Copies: on some ranks several, on some of many ranks none. */
static void test_copies(void **state) {
    (void)state;
    struct config c = config_of(1, 2, 0.25, 0, 0.05, 0.02);
    c.system.copies = 37;
    run_both(&c, 300);
    c = config_of(2, 20, 0, 0.05, 0.1, 0.005);
    c.system.copies = 4;
    run_both(&c, 300);
    c = crystal_of(2, 48, (double[]){12.6, 14.4}, 0.05, 0.3, 0.01);
    c.system.copies = 5;
    run_both(&c, 300);
}

/* Copy 1 of three is moved and pushed; the others' bits do not know. */
static void test_copies_do_not_meet(void **state) {
    (void)state;
    struct config c = config_of(2, 24, 0.4, 0, 0.05, 0.02);
    c.system.copies = 3;
    struct simulation *s[2] = {NULL, NULL};
    struct slice *slice = NULL;
    for (int m = 0; m < 2; m++) {
        assert_int_equal(simulation_create(ops_cpu(), comm, &c, &s[m]), STATUS_OK);
        assert_int_equal(slice_create(72, 2, comm, &slice), STATUS_OK);
        system_start(&c, slice);
        for (size_t i = 0; m == 1 && i < 2 * slice->count; i++)
            if ((slice->begin + i / 2) / 24 == 1) {
                slice->q[i] = slice->q[i] * 3 + 12345;
                slice->g[i] += 0.5;
            }
        assert_int_equal(simulation_load(s[m], slice, 0), STATUS_OK);
        slice_destroy(&slice);
        for (int step = 0; step < 400; step++) {
            bool stop = false;
            assert_int_equal(simulation_step(s[m], &stop), STATUS_OK);
        }
    }
    assert_int_equal(s[0]->particles->owned, s[1]->particles->owned);
    for (size_t i = 0; i < s[0]->particles->owned; i++) {
        uint32_t id = s[0]->particles->id[i];
        assert_int_equal(id, s[1]->particles->id[i]);
        for (int a = 0; a < 2; a++)
            assert_int_equal(s[0]->particles->q[a][i] == s[1]->particles->q[a][i], id / 24 != 1);
    }
    simulation_destroy(&s[0]);
    simulation_destroy(&s[1]);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_phase_separation),
                                       cmocka_unit_test(test_diffusion_3d),
                                       cmocka_unit_test(test_line),
                                       cmocka_unit_test(test_two),
                                       cmocka_unit_test(test_refine),
                                       cmocka_unit_test(test_refine_too_fast),
                                       cmocka_unit_test(test_refine_crystal),
                                       cmocka_unit_test(test_trap),
                                       cmocka_unit_test(test_crystal),
                                       cmocka_unit_test(test_crystal_chain),
                                       cmocka_unit_test(test_crystal_cubic),
                                       cmocka_unit_test(test_copies),
                                       cmocka_unit_test(test_copies_do_not_meet)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
