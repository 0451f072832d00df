/* The crystal against reference data (crystal.h5): sites, bonds, b and its divergence, from the laws that a run
 * gets from its parameters; stiffness and divergence against differences of the force; sites of every lattice. */
#include "dynamics/system.h"
#include "vectors.h"

static struct config config_of(hid_t at) {
    struct config c = {.system = {.kind = SYSTEM_CRYSTAL,
                                  .dimension = (int)vectors_attribute(at, "d"),
                                  .particles = (int64_t)vectors_attribute(at, "N"),
                                  .box_sides = 1,
                                  .box = {vectors_attribute(at, "L")},
                                  .v0 = vectors_attribute(at, "v0"),
                                  .beta = 7.5,
                                  .gamma = vectors_attribute(at, "gamma"),
                                  .eps = vectors_attribute(at, "eps"),
                                  .spring = vectors_attribute(at, "kappa"),
                                  .tether = vectors_attribute(at, "tether")},
                       .simulation = {.dt = 0.01, .cutoff_tolerance = 1e-5}};
    char spring[32];
    vectors_text(at, "spring", sizeof spring, spring);
    c.system.spring_kind = strcmp(spring, "longitudinal") == 0 ? SPRING_LONGITUDINAL : SPRING_ISOTROPIC;
    return c;
}

static void check_sites(hid_t at, const struct box *box, const struct lattice *lattice) {
    double *want = vectors_reals(at, "R", NULL, NULL);
    for (uint32_t id = 0; id < lattice->particles; id++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(lattice, id, site);
        for (int a = 0; a < box->d; a++)
            assert_below(fabs(position_to_real(box, a, site[a]) - want[id * (size_t)box->d + (size_t)a]),
                         1e-12);
    }
    free(want);
}

/* Every bond of the file is in the list once, and no other is. */
static void check_bonds(hid_t at, const struct pair_list *list, size_t n) {
    size_t numbers;
    int *bond = vectors_integers(at, "bond", &numbers, NULL);
    char *joined = calloc(n * n, 1);
    for (size_t m = 0; m < numbers; m += 2)
        joined[(size_t)bond[m] * n + (size_t)bond[m + 1]] =
            joined[(size_t)bond[m + 1] * n + (size_t)bond[m]] = 1;
    assert_int_equal(list->start[n], numbers / 2);
    for (size_t i = 0; i < n; i++)
        for (uint32_t m = list->start[i]; m < list->start[i + 1]; m++) {
            assert_int_equal(joined[i * n + list->neighbour[m]], 1);
            joined[i * n + list->neighbour[m]] = joined[list->neighbour[m] * n + i] = 0;
        }
    free(bond);
    free(joined);
}

/* F of the fixed-point sums, in rows. */
static void fixed_force(const struct config *c, const struct particles *p, const struct box *box,
                        const struct pair_law *law, const struct pair_list *list, double *force) {
    int64_t *sum = calloc(p->owned * force_numbers(box->d), sizeof *sum);
    ops_cpu()->pair_force(ops_cpu(), box, law, p->owned, p->owned, p->id, p->q, list, sum);
    for (int a = 0; a < box->d; a++)
        for (size_t i = 0; i < p->owned; i++)
            force[i * (size_t)box->d + (size_t)a] =
                c->system.spring * (double)sum[force_at(box->d, i, a)] * 0x1p-48;
    free(sum);
}

static void check_drift(const struct config *c, const struct particles *p, const struct box *box,
                        const struct pair_law *law, const struct pair_list *list, const double *want,
                        const double *want_div) {
    const size_t n = p->owned, d = (size_t)box->d;
    struct drift drift;
    double *b = calloc(n * d, sizeof *b), *fixed = calloc(n * d, sizeof *fixed),
           *want_fixed = calloc(n * d, sizeof *b);
    assert_int_equal(drift_compute(p, box, law, &c->system, list, &drift), STATUS_OK);
    fixed_force(c, p, box, law, list, fixed);
    for (size_t i = 0; i < n; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(&law->lattice, p->id[i], site);
        for (size_t a = 0; a < d; a++) {
            double u = (double)(int64_t)(p->q[a][i] - site[a]) * (box->side[a] * 0x1p-64);
            b[i * d + a] = drift.b[a][i];
            want_fixed[i * d + a] = want[i * d + a] - c->system.v0 * p->g[a][i] + c->system.tether * u;
            assert_below(fabs(drift.force[a][i] + c->system.v0 * p->g[a][i] - drift.b[a][i]), 1e-14);
        }
    }
    assert_below(relative_error(n * d, b, want), 1e-9);
    assert_below(relative_error(n, drift.divergence, want_div), 1e-12);
    assert_below(relative_error(n * d, fixed, want_fixed), 1e-9); /* in the float32 build too */
    drift_release(ops_cpu(), &drift);
    free(b);
    free(fixed);
    free(want_fixed);
}

/* What one step adds to x without noise is b dt: the hot loop has springs and tether right. */
static void check_step(const struct config *c, struct particles *p, const struct box *box,
                       const struct pair_law *law, const struct pair_list *list, const double *want) {
    const size_t n = p->owned, d = (size_t)box->d;
    struct step_law step = system_step_law(&c->system, &c->simulation);
    struct step_result result;
    int64_t *sum = calloc(n * force_numbers(box->d), sizeof *sum);
    uint64_t *before[MAX_DIMENSION];
    double *none = calloc(n * d, sizeof *none), *moved = calloc(n * d, sizeof *moved);
    for (size_t a = 0; a < d; a++) {
        before[a] = malloc(n * sizeof(uint64_t));
        memcpy(before[a], p->q[a], n * sizeof(uint64_t));
    }
    ops_cpu()->pair_force(ops_cpu(), box, law, n, n, p->id, p->q, list, sum);
    ops_cpu()->step(ops_cpu(), box, &step, n, p->id, sum, before, p->q, p->image, p->g, none, none, &result);
    assert_int_equal(result.bad, 0);
    for (size_t a = 0; a < d; a++) {
        for (size_t i = 0; i < n; i++)
            moved[i * d + a] =
                (double)(int64_t)(p->q[a][i] - before[a][i]) * (box->side[a] * 0x1p-64) / step.dt;
        free(before[a]);
    }
    free(sum);
    assert_below(relative_error(n * d, moved, want), 1e-9);
    free(none);
    free(moved);
}

static void check_case(hid_t at, const char *name) {
    if (strcmp(name, "disordered_eps") == 0) /* its bonds are random: no system of ours */
        return;
    const struct config c = config_of(at);
    const struct box box = system_box(&c.system);
    const struct pair_law law = system_pair_law(&c.system, &c.simulation);
    size_t shape[5];
    double *x = vectors_reals(at, "x", NULL, shape), *g = vectors_reals(at, "g", NULL, NULL),
           *b = vectors_reals(at, "b", NULL, NULL), *div = vectors_reals(at, "div_x_b", NULL, NULL);
    const size_t n = shape[1], rows = n * shape[2];
    check_sites(at, &box, &law.lattice);
    for (size_t m = 0; m < shape[0]; m++) {
        struct particles *p = vectors_particles(&box, n, x + m * rows, g + m * rows);
        struct pair_list list = {0};
        assert_int_equal(law_pairs_build(p, &box, &law, 0, &list), STATUS_OK);
        check_bonds(at, &list, n);
        check_drift(&c, p, &box, &law, &list, b + m * rows, div);
        check_step(&c, p, &box, &law, &list, b + m * rows);
        pairs_release(ops_cpu(), &list);
        particles_destroy(&p);
    }
    free(x);
    free(g);
    free(b);
    free(div);
}

static void test_crystal(void **state) {
    (void)state;
    vectors_for_each("crystal.h5", check_case);
}

/* ---- lattices of every kind, by their geometry ---- */

static struct particles *on_sites(const struct config *c, const struct box *box) {
    const size_t n = (size_t)config_total(&c->system), d = (size_t)box->d;
    double *x = calloc(n * d, sizeof *x), *g = calloc(n * d, sizeof *g);
    const struct lattice lattice = system_lattice(&c->system);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t site[MAX_DIMENSION];
        uint32_t word[4];
        lattice_site(&lattice, i, site);
        rng_words(3, STREAM_PROBE, i, 0, 0, word);
        for (size_t a = 0; a < d; a++) {
            x[i * d + a] = position_to_real(box, (int)a, site[a]) + 0.8 * (rng_uniform(word[a]) - 0.5);
            g[i * d + a] = rng_uniform(word[3 - a]);
        }
    }
    struct particles *p = vectors_particles(box, n, x, g);
    free(x);
    free(g);
    return p;
}

/* The bonds join what is nearest, and both ends of a bond know of it. */
static void check_neighbours(const struct lattice *l, const struct box *box, double longest) {
    for (uint32_t id = 0; id < 2 * l->particles; id++) {
        uint32_t near[LATTICE_NEIGHBOURS], back[LATTICE_NEIGHBOURS];
        uint64_t site[MAX_DIMENSION], other[MAX_DIMENSION];
        int count = lattice_neighbours(l, id, near);
        assert_int_equal(count, box->d == 1 ? 2 : 6);
        lattice_site(l, id, site);
        for (int m = 0; m < count; m++) {
            double square = 0;
            bool mutual = false;
            lattice_site(l, near[m], other);
            assert_int_equal(near[m] / l->particles, id / l->particles);
            for (int a = 0; a < box->d; a++)
                square += pow(bond_vector(site[a], other[a], box->side[a] * 0x1p-64), 2);
            assert_below(sqrt(square), longest * (1 + 1e-12));
            assert_true(square > 0.2 * longest * longest);
            for (int r = lattice_neighbours(l, near[m], back) - 1; r >= 0; r--)
                mutual = mutual || back[r] == id;
            assert_true(mutual);
            for (int r = 0; r < m; r++)
                assert_int_not_equal(near[r], near[m]);
        }
    }
}

/* b . K b and the divergence from differences of the force along b, and along single coordinates. */
static void check_differences(const struct config *c, const struct box *box) {
    const struct pair_law law = system_pair_law(&c->system, &c->simulation);
    struct particles *p = on_sites(c, box);
    const size_t n = p->owned, d = (size_t)box->d;
    const double h = 1e-3; /* the force is linear */
    struct pair_list list = {0};
    struct drift drift, moved[2];
    double want = 0, scale = 0;
    assert_int_equal(law_pairs_build(p, box, &law, 0, &list), STATUS_OK);
    assert_int_equal(drift_compute(p, box, &law, &c->system, &list, &drift), STATUS_OK);
    for (size_t a = 0; a < d; a++)
        for (size_t i = 0; i < n; i++)
            scale += c->system.tether * drift.b[a][i] * drift.b[a][i];
    double got = scale + ops_cpu()->pair_quadratic(ops_cpu(), box, &law, c->system.spring, n, p->id, p->q,
                                                   &list, drift.b);
    for (int sign = 0; sign < 2; sign++) {
        for (size_t a = 0; a < d; a++)
            for (size_t i = 0; i < n; i++)
                p->q[a][i] +=
                    (uint64_t)llrint((sign ? -2 : 1) * h * drift.b[a][i] / (box->side[a] * 0x1p-64));
        assert_int_equal(drift_compute(p, box, &law, &c->system, &list, &moved[sign]), STATUS_OK);
    }
    for (size_t a = 0; a < d; a++)
        for (size_t i = 0; i < n; i++)
            want -= drift.b[a][i] * (moved[0].force[a][i] - moved[1].force[a][i]) / (2 * h);
    assert_below(fabs(got / want - 1), 1e-9);
    drift_release(ops_cpu(), &moved[0]);
    drift_release(ops_cpu(), &moved[1]);
    const size_t i = n / 2;
    double slope = 0;
    for (size_t a = 0; a < d; a++)
        for (int sign = 1; sign >= -1; sign -= 2) {
            const uint64_t dq = (uint64_t)llrint(sign * h / (box->side[a] * 0x1p-64));
            p->q[a][i] += dq;
            assert_int_equal(drift_compute(p, box, &law, &c->system, &list, &moved[0]), STATUS_OK);
            slope += sign * moved[0].force[a][i] / (2 * h);
            p->q[a][i] -= dq;
            drift_release(ops_cpu(), &moved[0]);
        }
    assert_below(fabs(slope / drift.divergence[i] - 1), 1e-9);
    drift_release(ops_cpu(), &drift);
    pairs_release(ops_cpu(), &list);
    particles_destroy(&p);
}

static void test_lattices(void **state) {
    (void)state;
    static const struct {
        int d;
        int64_t n, sites[MAX_DIMENSION];
        double box[MAX_DIMENSION];
    } lattice[] = {{1, 11, {11, 1, 1}, {24}},
                   {2, 168, {12, 14, 1}, {25.2, 25.2}},
                   {2, 4096, {64, 64, 1}, {134.4, 115.2}},
                   {2, 60, {6, 10, 1}, {13, 18}},
                   {3, 6 * 7 * 9, {6, 7, 9}, {12, 14.5, 18}}};
    for (size_t m = 0; m < sizeof lattice / sizeof *lattice; m++)
        for (int longitudinal = 0; longitudinal < 2; longitudinal++) {
            struct config c = {
                .system = {.kind = SYSTEM_CRYSTAL,
                           .dimension = lattice[m].d,
                           .particles = lattice[m].n,
                           .copies = m == 1 ? 2 : 1,
                           .box_sides = lattice[m].d,
                           .v0 = 0.3,
                           .spring = 1.7,
                           .tether = longitudinal ? 0.4 : 0,
                           .spring_kind = longitudinal ? SPRING_LONGITUDINAL : SPRING_ISOTROPIC}};
            int64_t sites[MAX_DIMENSION];
            memcpy(c.system.box, lattice[m].box, sizeof c.system.box);
            const struct box box = system_box(&c.system);
            const struct lattice l = system_lattice(&c.system);
            assert_true(config_lattice(&c.system, sites));
            for (int a = 0; a < MAX_DIMENSION; a++)
                assert_int_equal(sites[a], lattice[m].sites[a]);
            check_neighbours(&l, &box, config_longest_bond(&c.system));
            check_differences(&c, &box);
        }
}

/* A bond whose partner is not held is named. */
static void test_lost_bond(void **state) {
    (void)state;
    struct config c = {
        .system = {.kind = SYSTEM_CRYSTAL, .dimension = 1, .particles = 16, .box_sides = 1, .box = {33.6}}};
    const struct box box = system_box(&c.system);
    const struct pair_law law = system_pair_law(&c.system, &c.simulation);
    struct particles *p = on_sites(&c, &box);
    struct pair_list list = {0};
    p->owned = 15;
    assert_int_equal(law_pairs_build(p, &box, &law, 0, &list), STATUS_NUMBERS);
    assert_string_equal(status_message(),
                        "the bond of particles 0 and 15 of the crystal is stretched beyond 5.25 r0, "
                        "2.5 times the longest of the lattice: use stiffer springs, a tether or "
                        "weaker noise");
    status_clear();
    pairs_release(ops_cpu(), &list);
    particles_destroy(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crystal), cmocka_unit_test(test_lattices),
                                       cmocka_unit_test(test_lost_bond)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
