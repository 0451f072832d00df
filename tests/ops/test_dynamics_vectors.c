/* Forces, divergences, neighbour lists and steps against reference data (dynamics.h5), every case in the file. */
#include "vectors.h"

struct setting {
    struct box box;
    struct system {
        double v0, k, trap, beta, gamma, eps, dt;
    } s;
    size_t n;
    struct particles *p;
};

static struct setting load(hid_t at) {
    struct setting c;
    c.n = (size_t)vectors_attribute(at, "N");
    c.box = vectors_box(at, (int)vectors_attribute(at, "d"));
    c.s = (struct system){vectors_attribute(at, "v0"),    vectors_attribute(at, "k"),
                          vectors_attribute(at, "A"),     vectors_attribute(at, "beta"),
                          vectors_attribute(at, "gamma"), vectors_attribute(at, "eps"),
                          vectors_attribute(at, "dt")};
    double *x = vectors_reals(at, "x", NULL, NULL), *g = vectors_reals(at, "g", NULL, NULL);
    c.p = vectors_particles(&c.box, c.n, x, g);
    free(x);
    free(g);
    return c;
}

/* force without k, in float64 rows, from the fixed-point sums of the hot loop. */
static void fixed_force(const struct setting *c, const struct pair_law *law, const struct pair_list *list,
                        double *force) {
    int64_t *sum = calloc(c->n * force_numbers(c->box.d), sizeof *sum);
    ops_cpu()->pair_force(ops_cpu(), &c->box, law, c->n, c->n, c->p->id, c->p->q, list, sum);
    for (int a = 0; a < c->box.d; a++)
        for (size_t i = 0; i < c->n; i++)
            force[i * (size_t)c->box.d + (size_t)a] = (double)sum[force_at(c->box.d, i, a)] * 0x1p-48;
    free(sum);
}

static void check_forces(const struct setting *c, hid_t at, double cutoff) {
    const size_t d = (size_t)c->box.d;
    struct pair_law law = {.beta = c->s.beta, .cutoff = cutoff};
    struct pair_list list = {0};
    double *force = calloc(c->n * d, sizeof *force), *b = calloc(c->n * d, sizeof *b);
    double *divergence = calloc(c->n, sizeof *divergence), *column[2][MAX_DIMENSION];
    assert_int_equal(pairs_build(c->p, &c->box, cutoff, &list), STATUS_OK);
    double *want = vectors_reals(at, "force", NULL, NULL), *want_b = vectors_reals(at, "b", NULL, NULL);
    double *want_div = vectors_reals(at, "div_x_b", NULL, NULL);
    fixed_force(c, &law, &list, force);
    assert_below(relative_error(c->n * d, force, want), TOLERANCE(1e-11, 1e-4));
    for (int m = 0; m < 2; m++)
        for (size_t a = 0; a < d; a++)
            column[m][a] = calloc(c->n, sizeof(double));
    ops_cpu()->pair_terms(ops_cpu(), &c->box, &law, c->s.k, c->n, c->n, c->p->id, c->p->q, &list, column[0],
                          divergence);
    ops_cpu()->drift(ops_cpu(), &c->box, c->s.v0, c->s.trap, &law.lattice, c->n, c->p->id, c->p->q, c->p->g,
                     column[0], divergence, column[1]);
    for (size_t i = 0; i < c->n; i++)
        for (size_t a = 0; a < d; a++)
            b[i * d + a] = column[1][a][i];
    assert_below(relative_error(c->n * d, b, want_b), 1e-11);
    assert_below(relative_error(c->n, divergence, want_div), 1e-11);
    for (int m = 0; m < 2; m++)
        for (size_t a = 0; a < d; a++)
            free(column[m][a]);
    pairs_release(ops_cpu(), &list);
    free(force);
    free(b);
    free(divergence);
    free(want);
    free(want_b);
    free(want_div);
}

/* The half list holds each reference pair once, and nothing else. */
static void check_list(const struct setting *c, hid_t at, double cutoff) {
    struct pair_list list = {0};
    size_t pairs;
    assert_int_equal(pairs_build(c->p, &c->box, cutoff, &list), STATUS_OK);
    int *offset = vectors_integers(at, "offset", NULL, NULL),
        *index = vectors_integers(at, "index", &pairs, NULL);
    char *near = calloc(c->n * c->n, 1);
    for (size_t i = 0; i < c->n; i++)
        for (int m = offset[i]; m < offset[i + 1]; m++)
            near[i * c->n + (size_t)index[m]] = 1;
    for (size_t i = 0; i < c->n; i++)
        for (uint32_t m = list.start[i]; m < list.start[i + 1]; m++) {
            size_t j = list.neighbour[m];
            assert_int_equal(near[i * c->n + j], 1);
            near[i * c->n + j] = near[j * c->n + i] = 2;
        }
    for (size_t m = 0; m < c->n * c->n; m++)
        assert_int_not_equal(near[m], 1);
    assert_int_equal(2 * list.start[c->n], pairs);
    pairs_release(ops_cpu(), &list);
    free(offset);
    free(index);
    free(near);
}

static herr_t visit_cut(hid_t at, const char *name, const H5L_info_t *info, void *context) {
    (void)info;
    if (strncmp(name, "cut_", 4) != 0)
        return 0;
    hid_t group = H5Gopen2(at, name, H5P_DEFAULT);
    double cutoff = vectors_attribute(group, "r_c");
    check_forces(context, group, cutoff);
    check_list(context, group, cutoff);
    H5Gclose(group);
    return 0;
}

/* Successive steps with the noise of the file, positions unwrapped so that a crossing of an edge shows. */
static void check_steps(struct setting *c, hid_t at) {
    const size_t d = (size_t)c->box.d, rows = c->n * d;
    size_t shape[5];
    double *xi_x = vectors_reals(at, "xi_x", NULL, shape), *xi_g = vectors_reals(at, "xi_g", NULL, NULL);
    double *want_x = vectors_reals(at, "step_x", NULL, NULL),
           *want_g = vectors_reals(at, "step_g", NULL, NULL);
    int *want_image = vectors_integers(at, "step_image", NULL, NULL);
    const double everything = 1e4; /* the reference steps know no cut-off */
    struct pair_law law = {.beta = c->s.beta, .cutoff = everything};
    struct step_law step = {.dt = c->s.dt,
                            .v0 = c->s.v0,
                            .k = c->s.k,
                            .trap = c->s.trap,
                            .g_decay = exp(-c->s.gamma * c->s.dt),
                            .g_kick = sqrt(-expm1(-2 * c->s.gamma * c->s.dt)),
                            .x_kick = sqrt(2 * c->s.eps * c->s.dt)};
    struct pair_list list = {0};
    int64_t *sum = calloc(c->n * force_numbers(c->box.d), sizeof *sum);
    uint64_t *q_list[MAX_DIMENSION];
    double *x = calloc(rows, sizeof *x), *g = calloc(rows, sizeof *g),
           *reference = calloc(rows, sizeof *reference);
    for (size_t a = 0; a < d; a++) {
        q_list[a] = malloc(c->n * sizeof(uint64_t));
        memcpy(q_list[a], c->p->q[a], c->n * sizeof(uint64_t));
    }
    assert_int_equal(pairs_build(c->p, &c->box, everything, &list), STATUS_OK);
    for (size_t m = 0; m < shape[0]; m++) {
        struct step_result result;
        ops_cpu()->pair_force(ops_cpu(), &c->box, &law, c->n, c->n, c->p->id, c->p->q, &list, sum);
        ops_cpu()->step(ops_cpu(), &c->box, &step, c->n, c->p->id, sum, q_list, c->p->q, c->p->image, c->p->g,
                        xi_x + m * rows, xi_g + m * rows, &result);
        assert_int_equal(result.bad, 0);
        for (size_t i = 0; i < c->n; i++)
            for (size_t a = 0; a < d; a++) {
                size_t at_row = i * d + a;
                double side = c->box.periodic ? c->box.side[a] : 0;
                x[at_row] = position_to_real(&c->box, (int)a, c->p->q[a][i]) + side * c->p->image[a][i];
                g[at_row] = c->p->g[a][i];
                reference[at_row] =
                    want_x[(m + 1) * rows + at_row] + side * want_image[(m + 1) * rows + at_row];
                assert_int_equal(c->p->image[a][i], want_image[(m + 1) * rows + at_row]);
            }
        assert_below(relative_error(rows, x, reference), TOLERANCE(1e-11, 1e-4));
        assert_below(relative_error(rows, g, want_g + (m + 1) * rows), 1e-11);
    }
    for (size_t a = 0; a < d; a++)
        free(q_list[a]);
    free(sum);
    pairs_release(ops_cpu(), &list);
    free(xi_x);
    free(xi_g);
    free(want_x);
    free(want_g);
    free(want_image);
    free(x);
    free(g);
    free(reference);
}

static void check_case(hid_t at, const char *name) {
    (void)name;
    struct setting c = load(at);
    hsize_t position = 0;
    H5Literate(at, H5_INDEX_NAME, H5_ITER_INC, &position, visit_cut, &c);
    check_forces(&c, at, 1e4);
    check_steps(&c, at);
    particles_destroy(&c.p);
}

static void test_dynamics(void **state) {
    (void)state;
    vectors_for_each("dynamics.h5", check_case);
}

/* n nearest neighbours (neighbours.h5), for cells of several sizes. */
static void check_nearest(hid_t at, const char *name) {
    (void)name;
    size_t shape[5];
    double *x = vectors_reals(at, "x", NULL, shape), *distance = vectors_reals(at, "distance", NULL, NULL);
    const size_t n = shape[0];
    int *want = vectors_integers(at, "index", NULL, shape);
    const int k = (int)shape[1];
    struct box box = vectors_box(at, (int)vectors_attribute(at, "d"));
    struct particles *p = vectors_particles(&box, n, x, NULL);
    uint32_t *index = malloc(n * (size_t)k * sizeof *index);
    double *farthest = malloc(n * sizeof *farthest);
    for (double cell = 0.7; cell < 40; cell *= 2.3) {
        struct cell_grid *grid = NULL;
        assert_int_equal(cells_create(p, &box, cell, &grid), STATUS_OK);
        ops_cpu()->nearest(ops_cpu(), &box, grid, n, NULL, n, p->q, k, index, farthest);
        for (size_t i = 0; i < n; i++) {
            assert_below(fabs(farthest[i] - distance[(i + 1) * (size_t)k - 1]), 1e-10);
            for (size_t m = 0; m < (size_t)k; m++) {
                bool tied =
                    (m > 0 && distance[i * (size_t)k + m] - distance[i * (size_t)k + m - 1] < 1e-11) ||
                    (m + 1 < (size_t)k &&
                     distance[i * (size_t)k + m + 1] - distance[i * (size_t)k + m] < 1e-11);
                if (!tied)
                    assert_int_equal(index[i * (size_t)k + m], want[i * (size_t)k + m]);
            }
        }
        cells_destroy(ops_cpu(), &grid);
    }
    free(x);
    free(distance);
    free(want);
    free(index);
    free(farthest);
    particles_destroy(&p);
}

static void test_nearest(void **state) {
    (void)state;
    vectors_for_each("neighbours.h5", check_nearest);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dynamics), cmocka_unit_test(test_nearest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
