/* Simulated crystals against their normal modes, many copies at once: a mode of eigenvalue lambda is one particle in a
 * harmonic well, whose moments at a finite time step are closed form as well. Statistical tests with fixed seeds. */
#include "dynamics/simulation.h"
#include "test.h"

static struct comm *comm;

enum { SNAPSHOTS = 8 };

/* The stationary moments of x' = x + (v0 g - lambda x) dt + noise with g exact: theory.md section 5 as dt goes to 0. */
struct mode {
    double xg, xx;
};
static struct mode mode_of(const struct config *c, double lambda) {
    const double dt = c->simulation.dt, v0 = c->system.v0, left = 1 - lambda * dt,
                 e = exp(-c->system.gamma * dt);
    const double xg = v0 * dt * e / (1 - e * left);
    return (struct mode){xg, (2 * left * v0 * dt * xg + v0 * v0 * dt * dt + 2 * c->system.eps * dt) /
                                 (1 - left * left)};
}

static struct simulation *start(const struct config *c) {
    struct simulation *s = NULL;
    struct slice *slice = NULL;
    assert_int_equal(simulation_create(ops_cpu(), comm, c, &s), STATUS_OK);
    assert_int_equal(slice_create((size_t)config_total(&c->system), c->system.dimension, comm, &slice),
                     STATUS_OK);
    system_start(c, slice);
    assert_int_equal(simulation_load(s, slice, 0), STATUS_OK);
    slice_destroy(&slice);
    return s;
}

static void advance(struct simulation *s, double time) {
    for (int m = (int)(time / s->step_law.dt); m > 0; m--) {
        bool stop = false;
        assert_int_equal(simulation_step(s, &stop), STATUS_OK);
    }
}

/* Adds g . b of every copy. */
static void add_g_b(const struct simulation *s, double *g_b) {
    struct drift drift;
    const struct particles *p = s->particles;
    assert_int_equal(drift_compute(p, &s->box, &s->law, &s->system, &s->list, &drift), STATUS_OK);
    for (int a = 0; a < s->box.d; a++)
        for (size_t i = 0; i < p->owned; i++)
            g_b[p->id[i] / s->box.group] += p->g[a][i] * drift.b[a][i];
    drift_release(ops_cpu(), &drift);
}

/* value within 4 standard errors of the mean over copies. */
static void assert_copies_mean(size_t copies, const double *value, double want) {
    double mean = 0, square = 0;
    for (size_t m = 0; m < copies; m++) {
        mean += value[m] / (double)copies;
        square += value[m] * value[m] / (double)copies;
    }
    double error = sqrt((square - mean * mean) / (double)(copies - 1));
    printf("    mean %.6g, expected %.6g, error %.2g\n", mean, want, error);
    assert_below(error / fabs(want), 0.02); /* the comparison means something */
    assert_below(fabs(mean - want) / error, 4);
}

/* The total (v0/eps) <g . b> over v0/eps, and the stationarity of the energy (I0), which is exact here. */
static void check_totals(const struct config *c, size_t modes, const double *eigenvalue, double burn_in,
                         double apart) {
    struct simulation *s = start(c);
    const size_t copies = (size_t)c->system.copies;
    double *g_b = calloc(copies, sizeof *g_b), want = 0, mean = 0, square = 0;
    advance(s, burn_in);
    for (int m = 0; m < SNAPSHOTS; m++) {
        struct simulation_sums sums;
        advance(s, apart);
        add_g_b(s, g_b);
        assert_int_equal(simulation_sums(s, &sums), STATUS_OK);
        double energy = sums.force_b + c->system.eps * sums.div_b - c->simulation.dt / 2 * sums.b_stiffness_b;
        mean += energy / SNAPSHOTS;
        square += energy * energy / SNAPSHOTS;
    }
    for (size_t m = 0; m < modes; m++) {
        double v0 = c->system.v0, lambda = eigenvalue[m];
        want += SNAPSHOTS * (v0 - lambda * mode_of(c, lambda).xg);
        assert_below(fabs(mode_of(c, lambda).xg * (c->system.gamma + lambda) / v0 - 1),
                     (c->system.gamma + lambda) * c->simulation.dt);
    }
    assert_copies_mean(copies, g_b, want);
    assert_below(fabs(mean), 4.5 * sqrt((square - mean * mean) / (SNAPSHOTS - 1)));
    free(g_b);
    simulation_destroy(&s);
}

/* A tethered chain: every Fourier mode has its own variance, and the total follows. */
static void test_chain(void **state) {
    (void)state;
    enum { N = 16, COPIES = 600 };
    struct config c = {.system = {.kind = SYSTEM_CRYSTAL,
                                  .dimension = 1,
                                  .particles = N,
                                  .copies = COPIES,
                                  .box_sides = 1,
                                  .box = {33.6},
                                  .v0 = 0.5,
                                  .gamma = 0.5,
                                  .eps = 0.05,
                                  .spring = 1.5,
                                  .tether = 0.3},
                       .simulation = {.dt = 0.05, .start = "lattice", .seed = 3}};
    double eigenvalue[N];
    for (int k = 0; k < N; k++)
        eigenvalue[k] = c.system.tether + 2 * c.system.spring * (1 - cos(2 * M_PI * k / N));
    check_totals(&c, N, eigenvalue, 30, 6);
    struct simulation *s = start(&c);
    double amplitude[COPIES][N][2] = {{{0}}};
    advance(s, 40);
    for (size_t i = 0; i < s->particles->owned; i++) {
        uint32_t id = s->particles->id[i];
        uint64_t site[MAX_DIMENSION];
        lattice_site(&s->law.lattice, id, site);
        double u = (double)(int64_t)(s->particles->q[0][i] - site[0]) * (s->box.side[0] * 0x1p-64);
        for (int k = 0; k < N; k++) {
            amplitude[id / N][k][0] += u * cos(2 * M_PI * k * (id % N) / N) / sqrt(N);
            amplitude[id / N][k][1] += u * sin(2 * M_PI * k * (id % N) / N) / sqrt(N);
        }
    }
    for (int k = 0; k <= N / 2; k++) {
        double xx = mode_of(&c, eigenvalue[k]).xx, sum = 0, spread = k == 0 || k == N / 2 ? 2 : 1;
        for (int m = 0; m < COPIES; m++)
            sum += amplitude[m][k][0] * amplitude[m][k][0] + amplitude[m][k][1] * amplitude[m][k][1];
        assert_below(fabs(sum / COPIES / xx - 1) / sqrt(spread / COPIES), 4);
    }
    simulation_destroy(&s);
}

/* Triangular, free, with and without translational noise. */
static void test_triangular(void **state) {
    (void)state;
    enum { NX = 6, NY = 8, COPIES = 60 };
    struct config c = {.system = {.kind = SYSTEM_CRYSTAL,
                                  .dimension = 2,
                                  .particles = NX * NY,
                                  .copies = COPIES,
                                  .box_sides = 2,
                                  .box = {12.6, 14.4},
                                  .v0 = 0.25,
                                  .gamma = 0.5,
                                  .spring = 1},
                       .simulation = {.dt = 0.05, .start = "lattice", .seed = 4}};
    double eigenvalue[2 * NX * NY];
    for (int m = 0; m < NX * NY; m++) {
        double x = 2 * M_PI * (m % NX) / NX,
               y = 2 * M_PI * (m / NX) / NY; /* phase along a bond of the row; of two rows */
        eigenvalue[2 * m] = eigenvalue[2 * m + 1] =
            2 * c.system.spring * (3 - cos(x) - cos(x / 2 + y) - cos(x / 2 - y));
    }
    check_totals(&c, 2 * NX * NY, eigenvalue, 40, 6);
    c.system.eps = 0.1;
    c.system.v0 = 1; /* enough of it to show in <g . b> beside the translational noise */
    c.system.gamma = 2;
    check_totals(&c, 2 * NX * NY, eigenvalue, 40, 6);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_chain), cmocka_unit_test(test_triangular)};
    if (comm_start(&argc, &argv, &comm) != STATUS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_stop(&comm);
    return failed;
}
