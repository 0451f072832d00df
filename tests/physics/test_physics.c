/* The simulated physics against closed forms: noise, free and trapped particles without interaction (linear
 * systems: theory.md section 5), and the stationarity of the energy of an interacting system. Statistical
 * tests with fixed seeds: what is compared is within 4 standard errors, or off by a bias that is bounded. */
#include "dynamics/simulation.h"
#include "test.h"

static struct comm *comm;

static struct config config_of(int d, int64_t n, double phi) {
    struct config c = {.system = {.dimension = d,
                                  .particles = n,
                                  .packing_fraction = phi,
                                  .v0 = 0.3,
                                  .k = 1,
                                  .beta = 7.5,
                                  .gamma = 0.5},
                       .simulation = {.dt = 0.02, .start = "random", .seed = 1, .cutoff_tolerance = 1e-5}};
    return c;
}

static struct simulation *start(const struct config *c) {
    struct simulation *s = NULL;
    struct slice *slice = NULL;
    assert_int_equal(simulation_create(ops_cpu(), comm, c, &s), STATUS_OK);
    assert_int_equal(slice_create((size_t)c->system.particles, c->system.dimension, comm, &slice), STATUS_OK);
    system_start(c, slice);
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

/* value = want within 4 errors of the mean of n independent numbers of this variance. */
static void assert_mean(double sum, double n, double variance, double want) {
    assert_below(fabs(sum / n - want) / sqrt(variance / n), 4);
}

/* Moments and independence of the noise, of successive steps and of neighbouring particles. */
static void test_noise(void **state) {
    (void)state;
    enum { N = 200000, D = 3 };
    uint32_t *id = malloc(N * sizeof *id);
    double *z = malloc(N * D * sizeof *z), *next = malloc(N * D * sizeof *next), sum[7] = {0}, largest = 0;
    for (uint32_t i = 0; i < N; i++)
        id[i] = i;
    ops_cpu()->normal(ops_cpu(), 17, STREAM_STEP, 41, N, id, D, z);
    ops_cpu()->normal(ops_cpu(), 17, STREAM_STEP, 42, N, id, D, next);
    for (size_t m = 0; m < N * D; m++) {
        sum[0] += z[m];
        sum[1] += z[m] * z[m];
        sum[2] += z[m] * z[m] * z[m];
        sum[3] += z[m] * z[m] * z[m] * z[m];
        sum[4] += z[m] * next[m];
        sum[5] += m > 0 ? z[m] * z[m - 1] : 0;
        sum[6] += fabs(z[m]) > 3;
        largest = fmax(largest, fabs(z[m]));
    }
    const double n = N * D, beyond = 0.0026997960632601866;
    assert_mean(sum[0], n, 1, 0);
    assert_mean(sum[1], n, 2, 1);
    assert_mean(sum[2], n, 15, 0);
    assert_mean(sum[3], n, 96, 3);
    assert_mean(sum[4], n, 1, 0);
    assert_mean(sum[5], n, 1, 0);
    assert_mean(sum[6], n, beyond, beyond);
    assert_true(largest > 4.2 && largest < 6.7);
    free(id);
    free(z);
    free(next);
}

/* Free AOUP: <|x(t) - x(0)|^2> = 2 d (v0/gamma)^2 (gamma t - 1 + exp(-gamma t)) + 2 d eps t, unwrapped. */
static void test_free_flight(void **state) {
    (void)state;
    struct config c = config_of(2, 8192, 0.2);
    const double t = 8, v0 = c.system.v0, gamma = c.system.gamma;
    c.system.k = 0;
    c.system.eps = 0.01;
    struct simulation *s = start(&c);
    const size_t n = s->particles->owned;
    double *x0 = malloc(n * 2 * sizeof *x0), sum = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++)
            for (int a = 0; a < 2; a++) {
                size_t at = s->particles->id[i] * 2 + (size_t)a;
                double x = position_to_real(&s->box, a, s->particles->q[a][i]) +
                           s->box.side[a] * s->particles->image[a][i];
                sum += pass ? (x - x0[at]) * (x - x0[at]) : 0;
                x0[at] = pass ? x0[at] : x;
            }
        if (pass == 0)
            advance(s, (int)(t / c.simulation.dt));
    }
    const double want =
        2 * v0 * v0 / (gamma * gamma) * (gamma * t - 1 + exp(-gamma * t)) + 2 * c.system.eps * t;
    assert_mean(sum, (double)n * 2, 2 * want * want, want); /* Gaussian displacements, per component */
    free(x0);
    simulation_destroy(&s);
}

/* A trap without interaction: <x^2> = (eps + v0^2/(gamma + A))/A, <x g> = v0/(gamma + A), <g^2> = 1 per component. */
static void test_trap(void **state) {
    (void)state;
    struct config c = config_of(3, 400, 0);
    const double v0 = c.system.v0, gamma = c.system.gamma, trap = 0.4;
    c.system.k = 0;
    c.system.trap = trap;
    c.system.eps = 0.05;
    c.system.box_sides = 1;
    c.system.box[0] = 400;
    struct simulation *s = start(&c);
    const size_t n = s->particles->owned;
    double sum[3] = {0};
    advance(s, (int)(40 / c.simulation.dt)); /* 16 relaxation times */
    for (size_t i = 0; i < n; i++)
        for (int a = 0; a < 3; a++) {
            double x = position_to_real(&s->box, a, s->particles->q[a][i]), g = s->particles->g[a][i];
            sum[0] += x * x;
            sum[1] += x * g;
            sum[2] += g * g;
        }
    const double xx = (c.system.eps + v0 * v0 / (gamma + trap)) / trap, xg = v0 / (gamma + trap),
                 m = (double)n * 3;
    const double bias = trap * c.simulation.dt; /* of Euler steps, relative, at most */
    assert_below(fabs(sum[0] / m - xx), 4 * sqrt(2 * xx * xx / m) + bias * xx);
    assert_below(fabs(sum[1] / m - xg), 4 * sqrt((xx + xg * xg) / m) + bias * xg);
    assert_mean(sum[2], m, 2, 1);
    simulation_destroy(&s);
}

/* Interacting particles, stationary: <F.b> = (dt/2) <b.K b> for eps = 0 and <F.b> + eps <div F> = 0 to leading
 * order in dt, the error from blocks in time. */
static void check_energy(const struct config *c, double bias) {
    enum { SAMPLES = 64, BLOCKS = 16 };
    struct simulation *s = start(c);
    double mean = 0, square = 0, scale = 0;
    advance(s, (int)(60 / c->simulation.dt));
    for (int b = 0; b < BLOCKS; b++) {
        double block = 0;
        for (int m = 0; m < SAMPLES / BLOCKS; m++) {
            struct simulation_sums sums;
            advance(s, (int)(3 / c->simulation.dt));
            assert_int_equal(simulation_sums(s, &sums), STATUS_OK);
            double shift = c->system.eps > 0 ? 0 : c->simulation.dt / 2 * sums.b_stiffness_b;
            block += (sums.force_b + c->system.eps * sums.div_b - shift) / (SAMPLES / BLOCKS);
            scale += fabs(c->system.eps * sums.div_b) / SAMPLES;
        }
        mean += block / BLOCKS;
        square += block * block / BLOCKS;
    }
    assert_below(fabs(mean), 4 * sqrt((square - mean * mean) / (BLOCKS - 1)) + bias * scale);
    simulation_destroy(&s);
}

static void test_energy(void **state) {
    (void)state;
    struct config c = config_of(2, 512, 0.5);
    check_energy(&c, 0);
    c.system.eps = 0.05;
    c.simulation.dt = 0.005;
    check_energy(&c,
                 0.02); /* the forces' part of the time-step bias is (dt/2) <b.K b>, of order k dt of this */
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_noise), cmocka_unit_test(test_free_flight),
                                       cmocka_unit_test(test_trap), cmocka_unit_test(test_energy)};
    if (comm_start(&argc, &argv, &comm) != STATUS_OK)
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    comm_stop(&comm);
    return failed;
}
