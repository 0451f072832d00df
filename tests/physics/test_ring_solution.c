/* The ring's stationary density against reference data of another solver, against the equation it
 * solves, and against closed forms. */
#include "entropy/ring_solution.h"
#include "test.h"

static const struct ring_parameters PAPER = {
    .side = 16, .v0 = 0.25, .k = 2.5, .beta = 7.5, .gamma = 0.1, .eps = 0.1};

static struct ring_solution *solved(struct ring_parameters p) {
    struct ring_solution *s = NULL;
    if (ring_solution_create(&p, &s) != STATUS_OK)
        fail_msg("%s", status_message());
    return s;
}

enum { FIELDS = 9 };
static const char *const NAME[FIELDS] = {"rho",     "s_x",     "s_g",       "v_x",      "v_g",
                                         "sigma_x", "sigma_g", "div_x_v_x", "div_g_v_g"};

static void fields_of(const struct ring_point *p, double value[FIELDS]) {
    const double all[FIELDS] = {p->rho,     p->s_x,     p->s_g,       p->v_x,      p->v_g,
                                p->sigma_x, p->sigma_g, p->div_x_v_x, p->div_g_v_g};
    memcpy(value, all, sizeof all);
}

static void compare_totals(hid_t at, const struct ring_solution *s) {
    const struct ring_totals t = ring_solution_totals(s);
    const char *const name[] = {"EPR_x",     "EPR_g",          "EPR",    "I4_first",
                                "I4_second", "mean_x_squared", "mean_xg"};
    const double value[] = {t.epr_x,     t.epr_g,          t.epr_x + t.epr_g, t.i4_first,
                            t.i4_second, t.mean_x_squared, t.mean_x_times_g};
    for (size_t m = 0; m < sizeof value / sizeof *value; m++) {
        double want = vectors_attribute(at, name[m]);
        print_message("%s: %.13g, relative error %.1e\n", name[m], value[m], fabs(value[m] / want - 1));
        assert_below(fabs(value[m] / want - 1), 1e-9);
    }
}

/* Absolute errors at the trusted points of the reference data. */
static void compare_fields(hid_t at, const struct ring_solution *s, const double tolerance[FIELDS]) {
    size_t columns, rows, count;
    double *x = vectors_reals(at, "x", &columns, NULL), *g = vectors_reals(at, "g", &rows, NULL);
    int *trusted = vectors_integers(at, "trusted", &count, NULL);
    assert_int_equal(count, columns * rows);
    for (int m = 0; m < FIELDS; m++) {
        double *want = vectors_reals(at, NAME[m], NULL, NULL), value[FIELDS], error = 0;
        for (size_t i = 0; i < count; i++) {
            const struct ring_point point = ring_solution_at(s, x[i / rows], g[i % rows]);
            if (!trusted[i])
                continue;
            assert_true(point.resolved);
            fields_of(&point, value);
            error = fmax(error, fabs(value[m] - want[i]));
        }
        print_message("%s: error %.1e\n", NAME[m], error);
        assert_below(error, tolerance[m]);
        free(want);
    }
    free(x);
    free(g);
    free(trusted);
}

static struct ring_parameters parameters_of(hid_t at) {
    return (struct ring_parameters){.side = vectors_attribute(at, "L"),
                                    .v0 = vectors_attribute(at, "v0"),
                                    .k = vectors_attribute(at, "k"),
                                    .beta = vectors_attribute(at, "beta"),
                                    .gamma = vectors_attribute(at, "gamma"),
                                    .eps = vectors_attribute(at, "eps")};
}

/* The reference of this case satisfies its own equation, div v + v.s = 0, only to 2e-4; that limits the tolerance. */
static void test_obstacle(void **state) {
    (void)state;
    const double tolerance[FIELDS] = {1e-9, 1e-4, 1e-4, 1e-5, 1e-5, 1e-4, 1e-4, 5e-4, 1e-4};
    hid_t file = vectors_open("ring.h5"), at = H5Gopen2(file, "obstacle", H5P_DEFAULT);
    struct ring_solution *s = solved(parameters_of(at));
    compare_totals(at, s);
    compare_fields(at, s, tolerance);
    ring_solution_destroy(&s);
    H5Gclose(at);
    H5Fclose(file);
}

/* Here it does to 4e-7. */
static void test_two_swimmers(void **state) {
    (void)state;
    const double tolerance[FIELDS] = {1e-12, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 5e-6, 1e-6};
    hid_t file = vectors_open("ring.h5"), at = H5Gopen2(file, "two_swimmers", H5P_DEFAULT);
    const double v0 = vectors_attribute(at, "single_v0"), eps = vectors_attribute(at, "single_eps");
    const struct ring_parameters want = parameters_of(at);
    const struct ring_parameters p =
        ring_of_two_swimmers(v0, vectors_attribute(at, "single_k"), want.beta, want.gamma, eps, want.side);
    assert_below(fabs(p.v0 / want.v0 - 1) + fabs(p.k / want.k - 1) + fabs(p.eps / want.eps - 1), 1e-14);
    struct ring_solution *s = solved(p);
    const struct ring_totals t = ring_solution_totals(s);
    assert_below(fabs(t.epr_x + t.epr_g + v0 * v0 / eps - vectors_attribute(at, "EPR_two_swimmers")), 1e-9);
    compare_totals(at, s);
    compare_fields(at, s, tolerance);
    ring_solution_destroy(&s);
    H5Gclose(at);
    H5Fclose(file);
}

/* The derivatives evaluated at a point satisfy the equation there: div v + v.s = 0. Not on the reference's grid, and
 * down to densities of 1e-9. */
static void test_equation(void **state) {
    (void)state;
    struct ring_solution *s = solved(PAPER);
    double residual = 0, norm = 0;
    const double dx = PAPER.side / 400, dg = 0.125;
    for (double x = dx / 2 - PAPER.side / 2; x < PAPER.side / 2; x += dx)
        for (double g = -7; g <= 7; g += dg) {
            const struct ring_point p = ring_solution_at(s, x, g);
            norm += p.rho * dx * dg;
            if (p.rho > 1e-9) {
                assert_true(p.resolved);
                residual = fmax(residual, fabs(p.div_x_v_x + p.div_g_v_g + p.v_x * p.s_x + p.v_g * p.s_g));
            }
        }
    print_message("norm - 1: %.1e, residual %.1e\n", norm - 1, residual);
    assert_below(fabs(norm - 1), 1e-9);
    assert_below(residual, 1e-6);
    ring_solution_destroy(&s);
}

/* Scores are derivatives of log rho, across the ends of elements too; the ring closes; (x, g) and (-x, -g) agree. */
static void test_differences(void **state) {
    (void)state;
    struct ring_solution *s = solved(PAPER);
    const double step = 1e-4;
    for (double x = -7.5; x < 8; x += 0.5) /* the elements near the obstacle end at multiples of 0.5 */
        for (double g = -2; g <= 2; g += 1) {
            const struct ring_point p = ring_solution_at(s, x, g), mirror = ring_solution_at(s, -x, -g);
            const struct ring_point right = ring_solution_at(s, x + step, g),
                                    left = ring_solution_at(s, x - step + PAPER.side, g),
                                    up = ring_solution_at(s, x, g + step),
                                    down = ring_solution_at(s, x, g - step);
            if (p.rho < 1e-7)
                continue;
            assert_below(fabs(log(right.rho / left.rho) / (2 * step) - p.s_x), 1e-5);
            assert_below(fabs(log(up.rho / down.rho) / (2 * step) - p.s_g), 1e-5);
            assert_below(fabs(mirror.s_x + p.s_x) + fabs(mirror.v_g + p.v_g) +
                             fabs(mirror.div_x_v_x - p.div_x_v_x),
                         1e-12);
        }
    ring_solution_destroy(&s);
}

/* Without propulsion: Boltzmann's density, no flow. The barrier is low, so that the kink at the obstacle matters. */
static void test_equilibrium(void **state) {
    (void)state;
    struct ring_parameters p = PAPER;
    p.v0 = 0;
    p.k = 0.1;
    struct ring_solution *s = solved(p);
    const struct ring_totals t = ring_solution_totals(s);
    for (double x = -1.9; x < 2; x += 0.2) {
        const struct ring_point point = ring_solution_at(s, x, 0.7);
        const double r = fabs(x), f = log1p(exp(p.beta * (2 - r))) / p.beta;
        assert_below(fabs(point.s_x - copysign(p.k * f / p.eps, x)), 1e-9);
        assert_below(fabs(point.s_g + 0.7), 1e-12);
        assert_below(fabs(point.v_x) + fabs(point.v_g), 1e-10);
    }
    assert_below(t.epr_x + t.epr_g + fabs(t.i4_first) + fabs(t.i4_second), 1e-12);
    ring_solution_destroy(&s);
}

/* Without the obstacle: uniform, s_g = -g, entropy production v0^2/eps. */
static void test_no_obstacle(void **state) {
    (void)state;
    struct ring_parameters p = PAPER;
    p.k = 0;
    struct ring_solution *s = solved(p);
    const struct ring_totals t = ring_solution_totals(s);
    const struct ring_point point = ring_solution_at(s, 3.3, -1.2);
    assert_below(fabs(point.rho * p.side * sqrt(2 * acos(-1)) * exp(0.72) - 1), 1e-11);
    assert_below(fabs(point.s_x) + fabs(point.s_g - 1.2) + fabs(point.v_x + 0.3), 1e-11);
    assert_below(fabs(t.epr_x - 0.625), 1e-9);
    assert_below(fabs(t.epr_g), 1e-12);
    assert_below(fabs(t.mean_x_squared - p.side * p.side / 12), 1e-10);
    ring_solution_destroy(&s);
}

/* A low barrier that the swimmer crosses, on a ring where the force has not decayed opposite to the obstacle: f_odd
 * jumps twice where there is density, and (I4) holds with the jumps in <db/dx>. */
static void test_jumps(void **state) {
    (void)state;
    struct ring_parameters p = PAPER;
    p.side = 3;
    p.k = 0.2;
    struct ring_solution *s = solved(p);
    const struct ring_totals t = ring_solution_totals(s);
    const double epr = t.epr_x + t.epr_g;
    assert_true(epr > 0.3 && epr < 0.625);
    assert_below(fabs(t.i4_first / epr - 1), 1e-9);
    assert_below(fabs(t.i4_second / epr - 1), 1e-9);
    ring_solution_destroy(&s);
}

static void test_refusals(void **state) {
    (void)state;
    struct ring_solution *s = NULL;
    struct ring_parameters p = PAPER;
    p.eps = 0;
    assert_int_equal(ring_solution_create(&p, &s), STATUS_BAD_INPUT);
    assert_null(s);
    status_clear();
    p = PAPER;
    p.gamma = 1e-5; /* so persistent that 80 Hermite functions do not suffice */
    assert_int_equal(ring_solution_create(&p, &s), STATUS_NUMBERS);
    assert_null(s);
    assert_non_null(strstr(status_message(), "not resolved"));
    status_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_obstacle),    cmocka_unit_test(test_two_swimmers),
        cmocka_unit_test(test_equation),    cmocka_unit_test(test_differences),
        cmocka_unit_test(test_equilibrium), cmocka_unit_test(test_no_obstacle),
        cmocka_unit_test(test_jumps),       cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
