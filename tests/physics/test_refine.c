/* Fine steps (Strang splitting with midpoint): what they do to a mode of a linear system in closed form, hence that
 * what they sample is off by dt^2 where Euler steps are off by dt, in the variance and in the entropy production that
 * the states hold; the same by statistics; the order in a system of repelling particles; the noise of half a step; the
 * stationarity of the energy (I0). Statistical tests with fixed seeds. */
#include "dynamics/simulation.h"
#include "test.h"

static struct comm *comm;

static struct simulation *create(const struct config *c, struct slice **slice) {
    struct simulation *s = NULL;
    assert_int_equal(simulation_create(ops_cpu(), comm, c, &s), STATUS_OK);
    assert_int_equal(slice_create((size_t)config_total(&c->system), c->system.dimension, comm, slice),
                     STATUS_OK);
    system_start(c, *slice);
    return s;
}

static struct simulation *start(const struct config *c) {
    struct slice *slice;
    struct simulation *s = create(c, &slice);
    assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
    slice_destroy(&slice);
    return s;
}

static void advance(struct simulation *s, int steps) {
    for (int m = 0; m < steps; m++) {
        bool stop = false;
        assert_int_equal(simulation_step(s, &stop), STATUS_OK);
    }
}

/* ---- one mode of a tethered chain ---- */

enum { N = 16 };

static struct config chain_of(int64_t copies, double gamma, double h, double refine) {
    return (struct config){
        .system = {.kind = SYSTEM_CRYSTAL,
                   .dimension = 1,
                   .particles = N,
                   .copies = copies,
                   .box_sides = 1,
                   .box = {33.6},
                   .v0 = 0.5,
                   .gamma = gamma,
                   .spring = 0.5,
                   .tether = 0.3},
        .simulation = {.dt = h, .start = "lattice", .seed = 3, .refine = refine, .refine_dt = h}};
}

static double eigenvalue(const struct config *c, int k) {
    return c->system.tether + c->system.spring * (2 - 2 * cos(2 * M_PI * k / N));
}

/* Orthonormal: modes 0 ... N/2 cosines, the others sines. */
static double wave(int k, size_t i) {
    const double norm = k == 0 || k == N / 2 ? sqrt(1.0 / N) : sqrt(2.0 / N);
    const double angle = 2 * M_PI * k * (double)i / N;
    return norm * (k <= N / 2 ? cos(angle) : sin(angle));
}

/* Displacements and g in order of id. */
static void displacements(const struct simulation *s, double *u, double *g) {
    const struct particles *p = s->particles;
    for (size_t i = 0; i < p->owned; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(&s->law.lattice, p->id[i], site);
        u[p->id[i]] = (double)(int64_t)(p->q[0][i] - site[0]) * (s->box.side[0] * 0x1p-64);
        g[p->id[i]] = p->g[0][i];
    }
}

static double amplitude(int k, const double u[N]) {
    double sum = 0;
    for (size_t i = 0; i < N; i++)
        sum += wave(k, i) * u[i];
    return sum;
}

/* x' = xx x + xg g, g' = gg g: a step without noise. */
struct map {
    double xx, xg, gg;
};
static struct map map_of(const struct config *c, int k, bool fine) {
    double x[2], g[2], u_of[N], g_of[N];
    for (int from = 0; from < 2; from++) { /* a state of x alone, one of g alone */
        struct slice *slice;
        struct simulation *s = create(c, &slice);
        for (size_t i = 0; i < N; i++) {
            slice->g[i] = from == 1 ? 0.1 * wave(k, i) : 0;
            slice->q[i] += from == 0 ? (uint64_t)llrint(0.1 * wave(k, i) / (s->box.side[0] * 0x1p-64)) : 0;
        }
        assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
        s->step_law.g_kick = s->fine_law.g_kick = 0;
        if (fine)
            assert_int_equal(simulation_refine(s, 0), STATUS_OK);
        else
            advance(s, 1);
        displacements(s, u_of, g_of);
        x[from] = 10 * amplitude(k, u_of);
        g[from] = 10 * amplitude(k, g_of);
        slice_destroy(&slice);
        simulation_destroy(&s);
    }
    assert_true(g[0] == 0);
    return (struct map){x[0], x[1], g[1]};
}

/* What a step samples: <x^2>, <x g> and the entropy production gamma <|g + s_g|^2> of the Gaussian with <g^2> = 1. */
struct moments {
    double xx, xg, total;
};
/* before: by how much g shrinks, with the noise that keeps its variance, before x moves. */
static struct moments sampled(struct map map, double before, double gamma) {
    const double push = map.xg / before, after = map.gg / before;
    const double xg = after * push / (1 - map.xx * map.gg);
    const double xx = (push * push + 2 * map.xx * push * before * xg) / (1 - map.xx * map.xx);
    return (struct moments){xx, xg, gamma * xg * xg / (xx - xg * xg)};
}

static struct moments exact(const struct config *c, double lambda) {
    const double v0 = c->system.v0, gamma = c->system.gamma;
    return (struct moments){v0 * v0 / (lambda * (gamma + lambda)), v0 / (gamma + lambda), lambda};
}

/* Both maps against the closed form, and how far off what they sample is. */
static void errors_of(double gamma, double h, int k, struct moments error[2]) {
    const struct config c = chain_of(1, gamma, h, h);
    const double lambda = eigenvalue(&c, k), z = lambda * h, v0 = c.system.v0, half = exp(-gamma * h / 2);
    const struct map euler = map_of(&c, k, false), strang = map_of(&c, k, true);
    assert_below(fabs(euler.xx - (1 - z)), 1e-11);
    assert_below(fabs(euler.xg - v0 * h), 1e-11);
    assert_below(fabs(euler.gg - half * half), 1e-11);
    assert_below(fabs(strang.xx - (1 - z + z * z / 2)), 1e-11);
    assert_below(fabs(strang.xg - half * v0 * h * (1 - z / 2)), 1e-11);
    assert_below(fabs(strang.gg - half * half), 1e-11);
    const struct moments want = exact(&c, lambda);
    for (int m = 0; m < 2; m++) {
        const struct moments got = m == 0 ? sampled(euler, 1, gamma) : sampled(strang, half, gamma);
        error[m] = (struct moments){got.xx / want.xx - 1, got.xg / want.xg - 1, got.total / want.total - 1};
    }
}

static void test_order(void **state) {
    (void)state;
    for (int k = 1; k <= N / 2; k += 7) {
        const double gamma = 0.02, h = 0.02;
        const struct config c = chain_of(1, gamma, h, h);
        const double lambda = eigenvalue(&c, k);
        struct moments whole[2], half[2];
        errors_of(gamma, h, k, whole);
        errors_of(gamma, h / 2, k, half);
        printf("    lambda %.3g: Euler %.3g %.3g %.3g, Strang %.3g %.3g %.3g\n", lambda, whole[0].xx,
               whole[0].xg, whole[0].total, whole[1].xx, whole[1].xg, whole[1].total);
        for (int m = 0; m < 2; m++) {
            const double order = m == 0 ? 2 : 4;
            assert_below(fabs(whole[m].xg / half[m].xg / order - 1), 0.05);
            assert_below(fabs(whole[m].total / half[m].total / order - 1), 0.05);
        }
        assert_below(fabs(whole[1].xx), 0.05 * fabs(whole[0].xx));
        assert_below(fabs(whole[1].total), 0.05 * fabs(whole[0].total));
        /* what the states of Euler steps keep: less by (dt/2) K^2, and by dt gamma K */
        assert_below(fabs(whole[0].total / -(lambda * h / 2 + gamma * h) - 1), 0.05);
    }
}

/* Fine steps so long that what they sample is far from exact: theirs is what is found, within 4.5 errors. */
static void test_statistics(void **state) {
    (void)state;
    enum { COPIES = 800, INTERVALS = 6 };
    const double h = 0.8;
    const struct config c = chain_of(COPIES, 2, h, 40);
    struct simulation *s = start(&c);
    static double u[N * COPIES], g[N * COPIES];
    double xx[N] = {0}, xg[N] = {0}, farthest = 0;
    for (int m = 0; m < INTERVALS; m++) {
        assert_int_equal(simulation_refine(s, (uint64_t)m), STATUS_OK);
        displacements(s, u, g);
        for (size_t copy = 0; copy < COPIES; copy++)
            for (int k = 0; k < N; k++) {
                const double x = amplitude(k, u + copy * N);
                xx[k] += x * x / (COPIES * INTERVALS);
                xg[k] += x * amplitude(k, g + copy * N) / (COPIES * INTERVALS);
            }
    }
    for (int k = 0; k < N; k++) {
        const double lambda = eigenvalue(&c, k), z = lambda * h, half = exp(-c.system.gamma * h / 2);
        const struct map map = {1 - z + z * z / 2, half * c.system.v0 * h * (1 - z / 2), half * half};
        const struct moments want = sampled(map, half, c.system.gamma), true_one = exact(&c, lambda);
        const double n = COPIES * INTERVALS, error = want.xx * sqrt(2 / n);
        assert_below(fabs(xx[k] - want.xx) / error, 4.5);
        assert_below(fabs(xg[k] - want.xg) / sqrt((want.xx + want.xg * want.xg) / n), 4.5);
        farthest = fmax(farthest, fabs(true_one.xx - want.xx) / error);
    }
    assert_true(farthest > 8);
    simulation_destroy(&s);
}

/* ---- repelling particles ---- */

static struct config repelling(int64_t n, double dt, double refine, double refine_dt) {
    return (struct config){.system = {.dimension = 2,
                                      .particles = n,
                                      .packing_fraction = 0.5,
                                      .v0 = 0.3,
                                      .k = 1,
                                      .beta = 7.5,
                                      .gamma = 0.5},
                           .simulation = {.dt = dt,
                                          .start = "random",
                                          .seed = 1,
                                          .cutoff_tolerance = 1e-9,
                                          .refine = refine,
                                          .refine_dt = refine_dt}};
}

/* Positions and g after 4 time units without noise, from a state of 40; q (2, n). */
static void travel(double refine_dt, uint64_t *q) {
    const struct config c = repelling(256, 0.2, 4, refine_dt);
    struct simulation *s = start(&c);
    advance(s, 200);
    s->fine_law.g_kick = 0;
    assert_int_equal(simulation_refine(s, 0), STATUS_OK);
    for (size_t i = 0; i < s->particles->owned; i++)
        for (int a = 0; a < 2; a++)
            q[s->particles->id[i] * 2 + (uint32_t)a] = s->particles->q[a][i];
    simulation_destroy(&s);
}

static void test_order_of_repulsion(void **state) {
    (void)state;
    static uint64_t q[3][2 * 256];
    const double h[] = {0.1, 0.05, 0.00625};
    double error[2] = {0};
    for (int m = 0; m < 3; m++)
        travel(h[m], q[m]);
    for (int m = 0; m < 2; m++)
        for (size_t i = 0; i < 2 * 256; i++)
            error[m] += pow((double)(int64_t)(q[m][i] - q[2][i]), 2);
    printf("    ratio of errors %.3g\n", sqrt(error[0] / error[1]));
    assert_below(fabs(sqrt(error[0] / error[1]) - 4), 0.4);
}

/* <F.b> = (dt/2) <b.K b> of the states that Euler steps made, 0 of those after fine steps: within 4 errors, where the
 * other of the two is more than 8 errors off. */
static void test_energy(void **state) {
    (void)state;
    enum { SAMPLES = 160, BLOCKS = 16 };
    const struct config c = repelling(1024, 0.1, 3, 0.04);
    struct simulation *s = start(&c);
    double mean[2] = {0}, shift[2] = {0}, square[2] = {0};
    advance(s, 400);
    for (int b = 0; b < BLOCKS; b++) {
        double block[2] = {0};
        for (int m = 0; m < SAMPLES / BLOCKS; m++)
            for (int refined = 0; refined < 2; refined++) {
                struct simulation_sums sums;
                if (refined)
                    assert_int_equal(simulation_refine(s, (uint64_t)(b * SAMPLES / BLOCKS + m)), STATUS_OK);
                else
                    advance(s, 30);
                assert_int_equal(simulation_sums(s, &sums), STATUS_OK);
                const double term = c.simulation.dt / 2 * sums.b_stiffness_b;
                block[refined] += (sums.force_b - (refined ? 0 : term)) / (SAMPLES / BLOCKS);
                shift[refined] += term / SAMPLES;
            }
        for (int m = 0; m < 2; m++) {
            mean[m] += block[m] / BLOCKS;
            square[m] += block[m] * block[m] / BLOCKS;
        }
    }
    for (int m = 0; m < 2; m++) {
        const double error = sqrt((square[m] - mean[m] * mean[m]) / (BLOCKS - 1));
        printf("    %s: off by %.2g errors; the term is %.2g errors\n", m ? "fine" : "Euler", mean[m] / error,
               shift[m] / error);
        assert_below(fabs(mean[m]) / error, 4);
        assert_true(shift[m] / error > 8);
    }
    simulation_destroy(&s);
}

/* ---- noise ---- */

/* Half a fine step of g: its decay, its variance, and that it is independent of the next one's and of a step's of the
 * same number. */
static void test_kick(void **state) {
    (void)state;
    enum { COUNT = 200000 };
    struct config c = repelling(COUNT, 0.5, 2, 0.4);
    c.system.gamma = 1.3;
    struct step_law law = system_fine_law(&c);
    uint32_t *id = malloc(COUNT * sizeof *id);
    double *g = malloc(3 * COUNT * sizeof *g), *z = malloc(COUNT * sizeof *z), sum[6] = {0};
    assert_true(law.dt == 0.4);
    for (uint32_t i = 0; i < COUNT; i++) {
        id[i] = i;
        g[i] = 0;
        g[COUNT + i] = 0;
        g[2 * COUNT + i] = 5;
    }
    law.step = 7;
    ops_cpu()->kick(ops_cpu(), &law, 1, COUNT, id, (double *[]){g});
    ops_cpu()->kick(ops_cpu(), &law, 1, COUNT, id, (double *[]){g + 2 * COUNT});
    ops_cpu()->normal(ops_cpu(), law.seed, STREAM_STEP, 7, COUNT, id, 1, z);
    law.step = 8;
    ops_cpu()->kick(ops_cpu(), &law, 1, COUNT, id, (double *[]){g + COUNT});
    const double variance = 1 - exp(-1.3 * 0.4), decay = exp(-1.3 * 0.2);
    for (size_t i = 0; i < COUNT; i++) {
        sum[0] += g[i];
        sum[1] += g[i] * g[i];
        sum[2] += g[i] * g[COUNT + i];
        sum[3] += g[i] * z[i];
        sum[4] += i > 0 ? g[i] * g[i - 1] : 0;
        assert_below(fabs(g[2 * COUNT + i] - (5 * decay + g[i])), 1e-14);
    }
    assert_below(fabs(sum[0] / COUNT) / sqrt(variance / COUNT), 4);
    assert_below(fabs(sum[1] / COUNT - variance) / (variance * sqrt(2.0 / COUNT)), 4);
    assert_below(fabs(sum[2] / COUNT) / (variance / sqrt(COUNT)), 4);
    assert_below(fabs(sum[3] / COUNT) / sqrt(variance / COUNT), 4);
    assert_below(fabs(sum[4] / COUNT) / (variance / sqrt(COUNT)), 4);
    free(id);
    free(g);
    free(z);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order), cmocka_unit_test(test_statistics),
                                       cmocka_unit_test(test_order_of_repulsion),
                                       cmocka_unit_test(test_energy), cmocka_unit_test(test_kick)};
    if (comm_start(&argc, &argv, &comm) != STATUS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_stop(&comm);
    return failed;
}
