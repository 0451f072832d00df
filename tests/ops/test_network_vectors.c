/* The windowed transformer and its optimizer against reference data: network_window.h5, network_paper.h5,
 * optimizer.h5, every case in the files. */
#include "learn/dataset.h"
#include "learn/optimizer.h"
#include "vectors.h"
#include "every_loops.h"

/* float32: activations rounded once after every exact operation move the scores by 3e-7 of the largest and
 * the loss, which magnifies that by 1/sigma, by 6e-5 of the largest term; measured here: 1e-6 and 1.2e-4. */
#define SCORE_TOLERANCE TOLERANCE(1e-12, 2e-6)
#define LOSS_TOLERANCE TOLERANCE(1e-10, 3e-4)

/* A configuration, a network, its weights. */
struct net {
    struct box box;
    size_t n, d, k;
    struct particles *p;
    struct score_model *model;
    real *weights;
    uint32_t *centre;
    uint32_t *neighbour; /* (batch, k) of the windows in use */
    size_t batch;
};

static void create(hid_t at, int rows, struct net *c) {
    hid_t network = H5Gopen2(at, "network", H5P_DEFAULT);
    struct network_parameters p = {.kind = NETWORK_WINDOW,
                                   .width = (int)vectors_attribute(network, "W"),
                                   .hidden = (int)vectors_attribute(network, "H"),
                                   .feed_forward = (int)vectors_attribute(network, "F"),
                                   .heads = (int)vectors_attribute(network, "heads"),
                                   .blocks = (int)vectors_attribute(network, "blocks"),
                                   .layers = (int)vectors_attribute(network, "layers"),
                                   .neighbours = (int)vectors_attribute(network, "n")};
    const int d = (int)vectors_attribute(network, "d");
    double *x = vectors_reals(at, "x", NULL, NULL), *g = vectors_reals(at, "g", NULL, NULL);
    c->box = vectors_box(at, d);
    c->d = (size_t)d;
    c->n = (size_t)vectors_attribute(at, "N");
    c->k = (size_t)p.neighbours;
    c->p = vectors_particles(&c->box, c->n, x, g);
    assert_int_equal(score_create(ops_cpu(), &p, d, d, rows, &c->model), STATUS_OK);
    assert_int_equal(score_tensors(c->model)->size, (size_t)vectors_attribute(network, "parameters"));
    c->weights = calloc(score_tensors(c->model)->size, sizeof *c->weights);
    c->centre = malloc(c->n * sizeof *c->centre);
    c->neighbour = malloc(c->n * c->k * sizeof *c->neighbour);
    free(x);
    free(g);
    H5Gclose(network);
}

static void destroy(struct net *c) {
    particles_destroy(&c->p);
    score_destroy(&c->model);
    free(c->weights);
    free(c->centre);
    free(c->neighbour);
}

static void use_neighbours(struct net *c, hid_t at, const char *name) {
    int *index = vectors_integers(at, name, NULL, NULL);
    for (size_t m = 0; m < c->batch * c->k; m++)
        c->neighbour[m] = (uint32_t)index[m];
    free(index);
}

static struct score_input input_of(const struct net *c) {
    return (struct score_input){.box = &c->box,
                                .q = c->p->q,
                                .g = c->p->g,
                                .particles = c->n,
                                .count = c->batch,
                                .centre = c->centre,
                                .neighbour = c->neighbour};
}

static void widen(size_t n, const real *from, double *to) {
    for (size_t i = 0; i < n; i++)
        to[i] = (double)from[i];
}

static void check_scores(struct net *c, hid_t at) {
    const size_t rows = c->batch * c->d;
    struct score_input in = input_of(c);
    real *s = calloc(rows, sizeof *s), *again = calloc(rows, sizeof *again),
         *div = calloc(c->batch, sizeof *div);
    double *wide = calloc(rows, sizeof *wide);
    double *want_s = vectors_reals(at, "s_g", NULL, NULL),
           *want_div = vectors_reals(at, "div_g_s_g", NULL, NULL);
    assert_int_equal(score_forward(c->model, c->weights, &in, s), STATUS_OK);
    widen(rows, s, wide);
    assert_below(relative_error(rows, wide, want_s), SCORE_TOLERANCE);
    assert_int_equal(score_divergence(c->model, c->weights, &in, again, div), STATUS_OK);
    assert_memory_equal(s, again, rows * sizeof *s);
    widen(c->batch, div, wide);
    assert_below(relative_error(c->batch, wide, want_div), TOLERANCE(1e-11, 5e-6));
    free(s);
    free(again);
    free(div);
    free(wide);
    free(want_s);
    free(want_div);
}

/* The loss at the moved configurations: gradient (flat) and the terms of the batch. Neighbours are found by
 * the program itself in each. */
static double run_loss(struct net *c, hid_t at, const char *name, real *gradient, double *term, real *s[2]) {
    hid_t loss = H5Gopen2(at, name, H5P_DEFAULT);
    const double sigma = vectors_attribute(loss, "sigma");
    const bool move_x = strcmp(name, "L_dn_xg") == 0;
    const struct ops *ops = ops_cpu();
    size_t rows = c->n * c->d;
    double *zeta_x = vectors_reals(at, "zeta_x", NULL, NULL),
           *zeta_g = vectors_reals(at, "zeta_g", NULL, NULL);
    double *farthest = malloc(c->batch * sizeof *farthest), sum = 0;
    real *zeta = calloc(c->batch * c->d, sizeof *zeta);
    uint64_t *q[MAX_DIMENSION];
    double *g[MAX_DIMENSION];
    for (size_t a = 0; a < c->d; a++) {
        q[a] = malloc(rows * sizeof(uint64_t));
        g[a] = malloc(rows * sizeof(double));
    }
    for (size_t m = 0; m < c->batch; m++)
        for (size_t a = 0; a < c->d; a++)
            zeta[m * c->d + a] = (real)zeta_g[c->centre[m] * c->d + a];
    for (int sign = 1; sign >= -1; sign -= 2) {
        struct cell_grid *grid = NULL;
        struct particles moved = *c->p;
        ops->shift_propulsion(ops, (int)c->d, c->n, sign * sigma, zeta_g, c->p->g, g);
        ops->shift_positions(ops, &c->box, c->n, move_x ? sign * sigma : 0, zeta_x, c->p->q, q);
        for (size_t a = 0; a < c->d; a++)
            moved.q[a] = q[a];
        assert_int_equal(cells_create(&moved, &c->box, 2, &grid), STATUS_OK);
        ops->nearest(ops, &c->box, grid, c->batch, c->centre, c->n, q, (int)c->k, c->neighbour, farthest);
        cells_destroy(ops, &grid);
        struct score_input in = input_of(c);
        in.q = q;
        in.g = g;
        assert_int_equal(score_denoising(c->model, c->weights, &in, zeta, NULL, sign, sigma,
                                         1.0 / (double)c->batch, term, gradient, s[sign < 0]),
                         STATUS_OK);
    }
    for (size_t m = 0; m < c->batch; m++)
        sum += term[m];
    for (size_t a = 0; a < c->d; a++) {
        free(q[a]);
        free(g[a]);
    }
    free(zeta);
    free(zeta_x);
    free(zeta_g);
    free(farthest);
    H5Gclose(loss);
    return sum / (double)c->batch;
}

static double relative(double value, double want) {
    return fabs(value - want) / fabs(want);
}

/* Every tensor of the gradient, in units of the largest entry of the whole tree. */
static void check_gradient(const struct net *c, hid_t at, const real *gradient) {
    const struct tensors *t = score_tensors(c->model);
    double error = 0, largest = 0;
    for (int m = 0; m < t->count; m++) {
        char path[128];
        size_t count;
        snprintf(path, sizeof path, "gradient/%s", t->list[m].name);
        double *want = vectors_reals(at, path, &count, NULL);
        assert_int_equal(count, (size_t)t->list[m].rows * (size_t)t->list[m].columns);
        for (size_t i = 0; i < count; i++) {
            error = fmax(error, fabs((double)gradient[t->list[m].offset + i] - want[i]));
            largest = fmax(largest, fabs(want[i]));
        }
        free(want);
    }
    assert_below(error / largest, TOLERANCE(1e-10, 1e-4));
}

static void check_loss(struct net *c, hid_t at, const char *name) {
    const size_t rows = c->batch * c->d;
    hid_t group = H5Gopen2(at, name, H5P_DEFAULT);
    real *gradient = calloc(score_tensors(c->model)->size, sizeof *gradient);
    real *s[2] = {calloc(rows, sizeof(real)), calloc(rows, sizeof(real))};
    double *term = calloc(c->batch, sizeof *term), *wide = calloc(rows, sizeof *wide), *want;
    double loss = run_loss(c, at, name, gradient, term, s);
    for (int sign = 0; sign < 2; sign++) {
        want = vectors_reals(group, sign ? "s_g_minus" : "s_g_plus", NULL, NULL);
        widen(rows, s[sign], wide);
        assert_below(relative_error(rows, wide, want), SCORE_TOLERANCE);
        free(want);
    }
    want = vectors_reals(group, "terms", NULL, NULL);
    assert_below(relative_error(c->batch, term, want), LOSS_TOLERANCE);
    double largest = 0; /* the loss is a mean of terms of both signs */
    for (size_t m = 0; m < c->batch; m++)
        largest = fmax(largest, fabs(want[m]));
    free(want);
    want = vectors_reals(group, "loss", NULL, NULL);
    assert_below(fabs(loss - *want) / TOLERANCE(fabs(*want), largest), LOSS_TOLERANCE);
    free(want);
    check_gradient(c, group, gradient);
    free(gradient);
    free(s[0]);
    free(s[1]);
    free(term);
    free(wide);
    H5Gclose(group);
}

static void check_window(hid_t at, const char *name) {
    (void)name;
    for (int rows = 1; rows <= 4096; rows *= 16) { /* chunks of one window, of some, of all */
        struct net c;
        create(at, rows, &c);
        const struct tensors *t = score_tensors(c.model);
        for (int m = 0; m < t->count; m++) {
            char path[128];
            snprintf(path, sizeof path, "weights/%s", t->list[m].name);
            double *w = vectors_reals(at, path, NULL, NULL);
            for (size_t i = 0; i < (size_t)t->list[m].rows * (size_t)t->list[m].columns; i++)
                c.weights[t->list[m].offset + i] = (real)w[i];
            free(w);
        }
        c.batch = c.n;
        for (size_t i = 0; i < c.n; i++)
            c.centre[i] = (uint32_t)i;
        use_neighbours(&c, at, "neighbour_index");
        check_scores(&c, at);
        int *batch = vectors_integers(at, "batch", &c.batch, NULL);
        for (size_t m = 0; m < c.batch; m++)
            c.centre[m] = (uint32_t)batch[m];
        free(batch);
        check_loss(&c, at, "L_dn_g");
        check_loss(&c, at, "L_dn_xg");
        destroy(&c);
    }
}

static void test_window(void **state) {
    (void)state;
    vectors_for_each("network_window.h5", check_window);
}

/* ---- the paper's size, weights by rule ---- */

static uint64_t splitmix64(uint64_t x) {
    uint64_t z = x + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* The tensors in the order of `weight_path`, which is that of the file's arrays. Returns their number. */
static size_t tensors_in_order(hid_t at, const struct tensors *t, const struct tensor **out) {
    hid_t set = H5Dopen2(at, "weight_path", H5P_DEFAULT), type = H5Tcopy(H5T_C_S1);
    hid_t space = H5Dget_space(set);
    size_t count = (size_t)H5Sget_simple_extent_npoints(space);
    char **path = calloc(count, sizeof *path);
    H5Tset_size(type, H5T_VARIABLE);
    hid_t own = H5Dget_type(set);
    bool variable = H5Tis_variable_str(own) > 0;
    char *fixed = NULL;
    if (variable) {
        H5Tset_cset(type, H5Tget_cset(own));
        H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, path);
    } else {
        size_t size = H5Tget_size(own);
        fixed = calloc(count, size + 1);
        H5Dread(set, own, H5S_ALL, H5S_ALL, H5P_DEFAULT, fixed);
        for (size_t m = 0; m < count; m++)
            path[m] = strndup(fixed + m * size, size);
    }
    assert_int_equal(count, (size_t)t->count);
    for (size_t m = 0; m < count; m++) {
        out[m] = tensors_find(t, path[m]);
        assert_non_null(out[m]);
        variable ? (void)H5free_memory(path[m]) : free(path[m]);
    }
    free(path);
    free(fixed);
    H5Tclose(type);
    H5Tclose(own);
    H5Sclose(space);
    H5Dclose(set);
    return count;
}

static void weights_by_rule(hid_t at, struct net *c, const struct tensor **order) {
    double *amplitude = vectors_reals(at, "amplitude", NULL, NULL),
           *offset = vectors_reals(at, "offset", NULL, NULL);
    double *first = vectors_reals(at, "first_values", NULL, NULL);
    uint64_t seed = (uint64_t)vectors_attribute(at, "rule_seed");
    const size_t count = tensors_in_order(at, score_tensors(c->model), order);
    for (size_t m = 0; m < count; m++) {
        const struct tensor *tensor = order[m];
        for (size_t e = 0; e < (size_t)tensor->rows * (size_t)tensor->columns; e++) {
            double u = (double)(splitmix64(seed + ((uint64_t)m << 40) + e) >> 11) * 0x1p-53;
            double value = offset[m] + amplitude[m] * (2 * u - 1);
            c->weights[tensor->offset + e] = (real)value;
            if (e < 4)
                assert_below(fabs(value - first[m * 4 + e]), 1e-12);
        }
    }
    free(amplitude);
    free(offset);
    free(first);
}

/* Norm and first values of every tensor of the gradient, in units of the largest of them. */
static void check_paper_gradient(hid_t group, const struct net *c, const struct tensor *const *order,
                                 const real *gradient) {
    const size_t count = (size_t)score_tensors(c->model)->count;
    double *norm = calloc(count, sizeof *norm), *first = calloc(count * 4, sizeof *first);
    for (size_t m = 0; m < count; m++) {
        const size_t size = (size_t)order[m]->rows * (size_t)order[m]->columns;
        norm[m] = sqrt(ops_cpu()->sum_squares(ops_cpu(), size, gradient + order[m]->offset));
        for (size_t e = 0; e < 4; e++)
            first[m * 4 + e] = (double)gradient[order[m]->offset + e % size];
    }
    double *want_norm = vectors_reals(group, "gradient_norm", NULL, NULL);
    double *want_first = vectors_reals(group, "gradient_first_values", NULL, NULL);
    assert_below(relative_error(count, norm, want_norm), TOLERANCE(1e-10, 1e-4));
    assert_below(relative_error(count * 4, first, want_first), TOLERANCE(1e-10, 1e-4));
    free(norm);
    free(first);
    free(want_norm);
    free(want_first);
}

static void check_paper_loss(struct net *c, hid_t at, const struct tensor *const *order, const char *name) {
    hid_t group = H5Gopen2(at, name, H5P_DEFAULT);
    const size_t size = score_tensors(c->model)->size;
    real *gradient = calloc(size, sizeof *gradient), *none[2] = {NULL, NULL};
    double *term = calloc(c->batch, sizeof *term);
    double loss = run_loss(c, at, name, gradient, term, none);
    double *want = vectors_reals(group, "loss", NULL, NULL);
    assert_below(relative(loss, *want), LOSS_TOLERANCE);
    free(want);
    want = vectors_reals(group, "gradient_global_norm", NULL, NULL);
    assert_below(relative(sqrt(ops_cpu()->sum_squares(ops_cpu(), size, gradient)), *want),
                 TOLERANCE(1e-10, 1e-4));
    free(want);
    check_paper_gradient(group, c, order, gradient);
    free(gradient);
    free(term);
    H5Gclose(group);
}

static void check_paper(hid_t at, const char *name) {
    (void)name;
    struct net c;
    create(at, 1040, &c);
    const struct tensor **order = calloc((size_t)score_tensors(c.model)->count, sizeof *order);
    weights_by_rule(at, &c, order);
    int *batch = vectors_integers(at, "batch", &c.batch, NULL);
    for (size_t m = 0; m < c.batch; m++)
        c.centre[m] = (uint32_t)batch[m];
    free(batch);
    use_neighbours(&c, at, "neighbour_index");
    check_scores(&c, at);
    check_paper_loss(&c, at, order, "L_dn_g");
    check_paper_loss(&c, at, order, "L_dn_xg");
    free(order);
    destroy(&c);
}

static void test_paper(void **state) {
    (void)state;
    vectors_for_each("network_paper.h5", check_paper);
}

/* ---- optimizer ---- */

static void check_optimizer(hid_t at, const char *name) {
    (void)name;
    size_t shape[5], size;
    double *gradient = vectors_reals(at, "gradient", NULL, shape),
           *theta_0 = vectors_reals(at, "theta_0", &size, NULL);
    double *theta = vectors_reals(at, "theta", NULL, NULL),
           *average = vectors_reals(at, "average", NULL, NULL);
    double *mu = vectors_reals(at, "mu", NULL, NULL), *nu = vectors_reals(at, "nu", NULL, NULL);
    double *norm = vectors_reals(at, "norm", NULL, NULL), *rate = vectors_reals(at, "rate", NULL, NULL);
    real *start = malloc(size * sizeof *start), *g = malloc(size * sizeof *g);
    double *wide = malloc(size * sizeof *wide);
    struct schedule schedule = {vectors_attribute(at, "rate"), (int64_t)vectors_attribute(at, "warm"),
                                (int64_t)vectors_attribute(at, "total"), 0};
    const struct optimizer_rule rule = {true, 0.999, vectors_attribute(at, "clip"),
                                        vectors_attribute(at, "average")};
    struct optimizer *o = NULL;
    for (size_t i = 0; i < size; i++)
        start[i] = (real)theta_0[i];
    assert_int_equal(optimizer_create(ops_cpu(), size, &schedule, &rule, start, &o), STATUS_OK);
    for (size_t t = 0; t < shape[0]; t++) {
        const struct {
            const real *value;
            const double *want;
        } state[] = {{o->theta, theta}, {o->average, average}, {o->mu, mu}, {o->nu, nu}};
        for (size_t i = 0; i < size; i++)
            g[i] = (real)gradient[t * size + i];
        assert_int_equal(optimizer_step(o, g), STATUS_OK);
        for (int m = 0; m < 4; m++) {
            widen(size, state[m].value, wide);
            assert_below(relative_error(size, wide, state[m].want + t * size), TOLERANCE(1e-12, 1e-5));
        }
        assert_below(relative(o->norm, norm[t]), TOLERANCE(1e-12, 1e-5));
        assert_below(fabs(o->rate - rate[t]), 1e-12 * schedule.peak);
    }
    optimizer_destroy(&o);
    double *const all[] = {gradient, theta_0, theta, average, mu, nu, norm, rate, wide};
    for (size_t m = 0; m < sizeof all / sizeof *all; m++)
        free(all[m]);
    free(start);
    free(g);
}

static void test_optimizer(void **state) {
    (void)state;
    vectors_for_each("optimizer.h5", check_optimizer);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_window), cmocka_unit_test(test_paper),
                                       cmocka_unit_test(test_optimizer)};
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, NULL);
}
