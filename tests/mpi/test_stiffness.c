/* tr K^2 of the whole system, which ranks sum over the rows they own, against K by differences of the force along
 * every coordinate. */
#include "dynamics/simulation.h"
#include "ranks.h"

/* The whole system on this rank, from the start. */
static struct particles *whole_system(const struct config *c, const struct box *box) {
    const size_t n = (size_t)config_total(&c->system), d = (size_t)box->d;
    struct particles *p = NULL;
    struct slice all = {.n = n, .d = box->d, .count = n};
    all.q = calloc(n * d, sizeof *all.q);
    all.g = calloc(n * d, sizeof *all.g);
    all.image = calloc(n * d, sizeof *all.image);
    system_start(c, &all);
    assert_int_equal(particles_create(ops_cpu(), box->d, n, &p), STATUS_OK);
    p->owned = n;
    for (size_t i = 0; i < n; i++) {
        p->id[i] = (uint32_t)i;
        for (size_t a = 0; a < d; a++)
            p->q[a][i] = all.q[i * d + a];
    }
    free(all.q);
    free(all.g);
    free(all.image);
    return p;
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
    struct particles *p = whole_system(c, box);
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
    particles_destroy(&p);
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

static struct config config_of(int d, int64_t n, double side) {
    return (struct config){
        .system = {.dimension = d,
                   .particles = n,
                   .box_sides = 1,
                   .box = {side},
                   .v0 = 0.25,
                   .k = 1.7,
                   .beta = 7.5,
                   .gamma = 0.05},
        .simulation = {.dt = 0.1, .start = "random", .seed = 5, .cutoff_tolerance = 1e-12, .skin = 0.2}};
}

static void test_repulsion(void **state) {
    (void)state;
    struct config c = config_of(2, 60, 14);
    check(&c);
    c = config_of(1, 12, 20);
    check(&c);
    c = config_of(3, 40, 13);
    check(&c);
}

static void test_trap(void **state) {
    (void)state;
    struct config c = config_of(2, 40, 200);
    c.system.trap = 0.3;
    check(&c);
}

static void test_springs(void **state) {
    (void)state;
    struct config c = config_of(2, 0, 0);
    c.system = (struct system_parameters){.kind = SYSTEM_CRYSTAL,
                                          .dimension = 2,
                                          .particles = 48,
                                          .box_sides = 2,
                                          .box = {12.6, 14.4},
                                          .v0 = 1,
                                          .gamma = 1,
                                          .spring = 1.3};
    check(&c);
    c.system.spring_kind = SPRING_LONGITUDINAL;
    c.system.tether = 0.4;
    check(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_repulsion), cmocka_unit_test(test_trap),
                                       cmocka_unit_test(test_springs)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
