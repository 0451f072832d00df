/* The closed form of linear systems against crystal.h5: five crystals, exact and smoothed densities. The arithmetic is
 * float64 in both builds of the program. */
#include "entropy/linear_solution.h"
#include "vectors.h"

#include <time.h>

/* A case, with the arrays that its linear_system points to. */
struct crystal {
    struct linear_system system;
    uint32_t (*bond)[2];
    double *matrix, *tether, *u, *g, *zeta_x, *zeta_g;
    size_t samples;
    double tolerance;
};

static struct crystal crystal_read(hid_t group, const char *name) {
    size_t dims[5], bonds;
    struct crystal c = {0};
    int *bond = vectors_integers(group, "bond", &bonds, NULL);
    bonds /= 2;
    c.bond = malloc(bonds * sizeof *c.bond);
    for (size_t m = 0; m < 2 * bonds; m++)
        c.bond[m / 2][m % 2] = (uint32_t)bond[m];
    free(bond);
    c.matrix = vectors_reals(group, "bond_matrix", NULL, NULL);
    c.tether = vectors_reals(group, "tether", NULL, NULL);
    c.u = vectors_reals(group, "u", NULL, dims);
    c.g = vectors_reals(group, "g", NULL, NULL);
    c.zeta_x = vectors_reals(group, "zeta_x", NULL, NULL);
    c.zeta_g = vectors_reals(group, "zeta_g", NULL, NULL);
    c.samples = dims[0];
    c.system = (struct linear_system){.d = (int)dims[2],
                                      .n = dims[1],
                                      .bonds = bonds,
                                      .bond = (const uint32_t(*)[2])c.bond,
                                      .matrix = c.matrix,
                                      .tether = c.tether,
                                      .v0 = vectors_attribute(group, "v0"),
                                      .gamma = vectors_attribute(group, "gamma"),
                                      .eps = vectors_attribute(group, "eps"),
                                      .uniform = vectors_attribute(group, "disorder") == 0};
    c.tolerance = strcmp(name, "mips_free_eps0") == 0 ? 1e-7 : 1e-9;
    return c;
}

static void crystal_release(struct crystal *c) {
    free(c->bond);
    free(c->matrix);
    free(c->tether);
    free(c->u);
    free(c->g);
    free(c->zeta_x);
    free(c->zeta_g);
}

/* ---- every dataset of exact and smoothed_K ---- */

enum { OF_COMPONENTS = 4, OF_SAMPLES = 7, QUANTITIES = 13 }; /* (B, N, d), then (B, N), then (N) */
static const char *const QUANTITY[QUANTITIES] = {
    "s_x",   "s_g",   "v_x",       "v_g",       "sigma_x",      "sigma_g",     "sigma",
    "div_x", "div_g", "div_x_s_x", "div_g_s_g", "mean_sigma_x", "mean_sigma_g"};
static double worst[QUANTITIES];

static struct linear_fields fields_in(double *const value[QUANTITIES]) {
    return (struct linear_fields){value[0], value[1], value[2], value[3],  value[4],  value[5], value[6],
                                  value[7], value[8], value[9], value[10], value[11], value[12]};
}

/* Noised sample b of x and g, in new arrays. */
static void sample(const struct crystal *c, size_t b, double noise_x, double noise_g, double **u,
                   double **g) {
    const size_t count = c->system.n * (size_t)c->system.d;
    *u = malloc(count * sizeof **u);
    *g = malloc(count * sizeof **g);
    for (size_t i = 0; i < count; i++) {
        (*u)[i] = c->u[b * count + i] + noise_x * c->zeta_x[b * count + i];
        (*g)[i] = c->g[b * count + i] + noise_g * c->zeta_g[b * count + i];
    }
}

static void compare(const struct crystal *c, hid_t group, struct linear_solution *solution, double noise_x,
                    double noise_g) {
    const size_t n = c->system.n, d = (size_t)c->system.d;
    double *value[QUANTITIES], *want[QUANTITIES], *u, *g;
    for (int q = 0; q < QUANTITIES; q++) {
        value[q] = malloc(n * d * sizeof **value);
        want[q] = vectors_reals(group, QUANTITY[q], NULL, NULL);
        worst[q] = 0;
    }
    const struct linear_fields out = fields_in(value);
    for (size_t b = 0; b < c->samples; b++) {
        sample(c, b, noise_x, noise_g, &u, &g);
        assert_int_equal(linear_solution_apply(solution, u, g, &out), STATUS_OK);
        for (int q = 0; q < QUANTITIES; q++) {
            size_t count = q < OF_COMPONENTS ? n * d : n, from = q < OF_SAMPLES ? b * count : 0;
            worst[q] = fmax(worst[q], relative_error(count, value[q], want[q] + from));
        }
        free(u);
        free(g);
    }
    for (int q = 0; q < QUANTITIES; q++) {
        if (!(worst[q] <= c->tolerance))
            fail_msg("%s: %.3e, allowed %.3e", QUANTITY[q], worst[q], c->tolerance);
        free(value[q]);
        free(want[q]);
    }
}

/* Total entropy production of the exact density against the sum over eigenvalues. */
static void compare_total(const struct crystal *c, hid_t group, struct linear_solution *solution) {
    size_t modes;
    double *rate = vectors_reals(group, "EPR_per_mode", &modes, NULL), want = 0;
    struct linear_local total;
    for (size_t m = 0; m < modes; m++)
        want += rate[m];
    assert_int_equal(linear_solution_total(solution, &total), STATUS_OK);
    assert_below(fabs(total.mean_sigma_x + total.mean_sigma_g - want), c->tolerance * want);
    /* (I2): <div v> = 0. (I3): eps = 0, -<div_x b> = the total. */
    if (c->system.eps == 0)
        assert_below(fabs(total.div_x + want), c->tolerance * want);
    assert_below(fabs(total.div_x + total.div_g), c->tolerance * (fabs(total.div_x) + fabs(total.div_g)));
    free(rate);
}

/* A density of a case; diagonal blocks from one particle where the crystal allows it, or particle by particle. */
static void check_density(struct crystal *c, hid_t group, const char *density, bool uniform) {
    const bool exact = strcmp(density, "exact") == 0;
    hid_t at = H5Gopen2(group, density, H5P_DEFAULT);
    double noise_x = exact ? 0 : vectors_attribute(at, "noise_x");
    double noise_g = exact ? 0 : vectors_attribute(at, "noise_g");
    struct linear_solution *solution = NULL;
    c->system.uniform = uniform;
    assert_int_equal(linear_solution_create(&c->system, noise_x, noise_g, &solution), STATUS_OK);
    compare(c, at, solution, noise_x, noise_g);
    if (exact)
        compare_total(c, group, solution);
    printf("    %s%s: orders %d, %d; errors", density, uniform ? "" : ", every particle",
           linear_solution_order(solution, LINEAR_FIELDS), linear_solution_order(solution, LINEAR_LOCAL));
    for (int q = 0; q < QUANTITIES; q++)
        printf(" %s %.0e", QUANTITY[q], worst[q]);
    printf("\n");
    linear_solution_destroy(&solution);
    assert_null(solution);
    H5Gclose(at);
}

static void check_case(hid_t group, const char *name) {
    struct crystal c = crystal_read(group, name);
    const bool uniform = c.system.uniform;
    check_density(&c, group, "exact", uniform);
    if (uniform)
        check_density(&c, group, "exact", false);
    for (int k = 0;; k++) {
        char density[32];
        snprintf(density, sizeof density, "smoothed_%d", k);
        if (H5Lexists(group, density, H5P_DEFAULT) <= 0)
            break;
        check_density(&c, group, density, uniform);
    }
    crystal_release(&c);
}

static void test_crystals(void **state) {
    (void)state;
    vectors_for_each("crystal.h5", check_case);
}

/* ---- what no reference data holds ---- */

/* A square lattice with periodic edges and springs of stiffness k, in the arrays of a crystal. */
static struct crystal square_lattice(size_t side, double k) {
    struct crystal c = {.bond = malloc(2 * side * side * sizeof *c.bond),
                        .matrix = calloc(8 * side * side, sizeof(double))};
    for (size_t i = 0; i < side * side; i++)
        for (size_t a = 0; a < 2; a++) {
            size_t x = i % side, y = i / side;
            size_t j = a ? x + (y + 1) % side * side : (x + 1) % side + y * side;
            c.bond[2 * i + a][0] = (uint32_t)i;
            c.bond[2 * i + a][1] = (uint32_t)j;
            c.matrix[(2 * i + a) * 4] = c.matrix[(2 * i + a) * 4 + 3] = k;
        }
    c.system = (struct linear_system){.d = 2,
                                      .n = side * side,
                                      .bonds = 2 * side * side,
                                      .bond = (const uint32_t(*)[2])c.bond,
                                      .matrix = c.matrix,
                                      .v0 = 0.025,
                                      .gamma = 1e-4,
                                      .uniform = true};
    return c;
}

/* N = 4096 at the MIPS values: a far displaced free crystal moves as one, and only g counts. */
static void test_large_free_crystal(void **state) {
    (void)state;
    struct crystal c = square_lattice(64, 1);
    const size_t count = c.system.n * 2;
    double *u = malloc(count * sizeof *u), *g = malloc(count * sizeof *g), *s_x = malloc(count * sizeof *s_x),
           *s_g = malloc(count * sizeof *s_g), want = -1 / (1 + 1e-4);
    struct linear_solution *solution = NULL;
    struct linear_local total;
    const clock_t begin = clock();
    for (size_t i = 0; i < count; i++) {
        u[i] = 1e3 + (double)(i % 2);
        g[i] = 1;
    }
    assert_int_equal(linear_solution_create(&c.system, 0.01, 0.01, &solution), STATUS_OK);
    const clock_t created = clock();
    assert_int_equal(linear_solution_apply(solution, u, g, &(struct linear_fields){.s_x = s_x, .s_g = s_g}),
                     STATUS_OK);
    const clock_t applied = clock();
    assert_int_equal(linear_solution_total(solution, &total), STATUS_OK);
    printf("  N 4096, orders %d, %d: create %.3f s, apply %.3f s, local %.3f s\n",
           linear_solution_order(solution, LINEAR_FIELDS), linear_solution_order(solution, LINEAR_LOCAL),
           (double)(created - begin) / CLOCKS_PER_SEC, (double)(applied - created) / CLOCKS_PER_SEC,
           (double)(clock() - applied) / CLOCKS_PER_SEC);
    for (size_t i = 0; i < count; i++) {
        assert_below(fabs(s_x[i]), 1e-9);
        assert_below(fabs(s_g[i] - want), 1e-9);
    }
    linear_solution_destroy(&solution);
    free(u);
    free(g);
    free(s_x);
    free(s_g);
    crystal_release(&c);
}

static enum status create_status(const struct linear_system *system) {
    struct linear_solution *solution = NULL;
    enum status status = linear_solution_create(system, 0, 0, &solution);
    if (status != STATUS_OK) {
        assert_null(solution);
        assert_true(strlen(status_message()) > 0);
    }
    linear_solution_destroy(&solution);
    status_clear();
    return status;
}

static void test_refusals(void **state) {
    (void)state;
    struct crystal c = square_lattice(4, 1);
    struct linear_system s = c.system;
    assert_int_equal(create_status(&s), STATUS_OK);
    s.gamma = 0;
    assert_int_equal(create_status(&s), STATUS_BAD_INPUT);
    s = c.system;
    s.eps = -1;
    assert_int_equal(create_status(&s), STATUS_BAD_INPUT);
    s.eps = s.v0 = 0;
    assert_int_equal(create_status(&s), STATUS_BAD_INPUT);
    s = c.system;
    s.eps = 1;
    s.gamma = 1e-9;
    assert_int_equal(create_status(&s), STATUS_BAD_INPUT); /* order */
    s = c.system;
    c.matrix[1] = 0.5;
    assert_int_equal(create_status(&s), STATUS_BAD_INPUT);
    c.matrix[1] = 0;
    c.bond[3][0] = 16;
    assert_int_equal(create_status(&s), STATUS_BAD_INPUT);
    c.bond[3][0] = c.bond[3][1];
    assert_int_equal(create_status(&s), STATUS_BAD_INPUT);
    crystal_release(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_crystals),
                                       cmocka_unit_test(test_large_free_crystal),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
