/* What windows see, against plain float64 arithmetic with minimum images, and its tangents by moving particles. The
 * particles are displaced by up to 0.3 of a bond from the sites of small lattices, so that some are across an edge of
 * the box, and of two copies; or in a trap, without a lattice. */
#include "ops/difference.h"
#include "every_loops.h"

enum { COPIES = 2, MOST = 64 };

/* Particles in an order that is not that of their ids. */
struct system {
    struct box box;
    struct lattice lattice; /* d = 0: none */
    size_t n;
    uint32_t id[MOST];
    double x[MAX_DIMENSION][MOST], site[MAX_DIMENSION][MOST]; /* of particles */
    uint64_t q[MAX_DIMENSION][MOST];
};

static double random_number(double size) {
    real *x = numbers(1, size);
    const double out = (double)x[0];
    free(x);
    return out;
}

/* By hand: columns, rows and layers by id, an odd row of the triangular lattice half a column to the right. */
static const double SITE = 4, DISPLACEMENT = 0.5; /* units; powers of 2: a side stays a multiple of jumps */

static double plain_site(const struct system *s, uint32_t id, int axis) {
    const struct lattice *l = &s->lattice;
    if (l->d == 0)
        return 0;
    const uint32_t own = id % l->particles, column = own % l->sites[0], row = own / l->sites[0] % l->sites[1];
    const double place[] = {column + (l->d == 2 && row % 2 == 1 ? 0.5 : 0), row,
                            own / (l->sites[0] * l->sites[1])};
    return s->box.side[axis] * place[axis] / l->sites[axis];
}

static struct system particles_near_sites(int d, bool lattice) {
    static const uint32_t sites[4][MAX_DIMENSION] = {{0}, {6, 1, 1}, {4, 4, 1}, {3, 3, 3}};
    struct system s = {.box = {.d = d, .periodic = lattice, .side = {12.5, 9.25, 7.75}}};
    const uint32_t one = sites[d][0] * sites[d][1] * sites[d][2];
    s.n = (size_t)one * COPIES;
    s.box.group = one;
    s.box.groups = COPIES;
    if (lattice) {
        s.lattice =
            (struct lattice){.d = d, .particles = one, .sites = {sites[d][0], sites[d][1], sites[d][2]}};
        lattice_prepare(&s.lattice);
    }
    for (size_t i = 0; i < s.n; i++) {
        s.id[i] = (uint32_t)((i * 5 + 3) % s.n);
        for (int a = 0; a < d; a++) {
            const double u = lattice ? 0.3 * s.box.side[a] / sites[d][a] : s.box.side[a] / 4;
            s.site[a][i] = plain_site(&s, s.id[i], a);
            s.x[a][i] = s.site[a][i] + (s.id[i] % one == 0 ? -u : random_number(u)); /* across the edge */
            const double part = s.x[a][i] / s.box.side[a];
            s.q[a][i] = (uint64_t)(int64_t)((part - round(part)) * 0x1p64); /* wraps round */
        }
    }
    return s;
}

/* Of any particles, near or far, of either copy: what a window sees does not depend on which were chosen. */
struct windows {
    size_t count;
    int k;
    uint32_t centre[MOST], neighbour[MOST * MOST];
};

static struct windows some_windows(const struct system *s, int k) {
    struct windows w = {.count = s->n < 9 ? s->n : 9, .k = k};
    for (size_t m = 0; m < w.count; m++) {
        w.centre[m] = (uint32_t)(m * 7 % s->n);
        for (int j = 0; j < k; j++)
            w.neighbour[m * (size_t)k + (size_t)j] = (uint32_t)((w.centre[m] + 1 + 2 * (uint32_t)j) % s->n);
    }
    return w;
}

static void inputs(const struct system *s, enum window_form form, size_t count, int k, const uint32_t *centre,
                   const uint32_t *neighbour, real *out) {
    const struct ops *ops = ops_cpu();
    struct system *t = (struct system *)s;
    uint64_t *const q[] = {t->q[0], t->q[1], t->q[2]};
    if (form == FORM_LOCAL)
        ops->window_offsets(ops, &s->box, count, k, centre, neighbour, q, out);
    else
        ops->window_inputs(ops, &s->box, &(struct window_view){form, SITE, DISPLACEMENT}, count, k, centre,
                           neighbour, q, &s->lattice, s->id, out);
}

/* Equal but for whole sides where the box is periodic, and an image within half a side. */
static void assert_image(const struct system *s, int axis, double found, double want) {
    const double side = s->box.side[axis];
    double difference = found - want;
    if (s->box.periodic)
        difference -= side * round(difference / side);
    assert_below(fabs(difference), EXACT * 10);
    assert_below(fabs(found), side / 2 * (1 + EXACT));
}

static void check_row(const struct system *s, enum window_form form, size_t i, size_t j, const real *row) {
    const int d = s->box.d;
    for (int a = 0; a < d; a++) {
        const double x_i = s->x[a][i], x_j = s->x[a][j], r_i = s->site[a][i], r_j = s->site[a][j];
        const double radius = s->box.side[a] / (2 * M_PI);
        if (form == FORM_LOCAL)
            assert_image(s, a, (double)row[a], x_i - x_j);
        else if (form == FORM_PERIODIC) {
            assert_below(fabs((double)row[a] - radius * sin((x_i - x_j) / radius)), EXACT * 10);
            assert_below(fabs((double)row[d + a] - radius * cos((x_i - x_j) / radius)), EXACT * 10);
        } else if (form == FORM_ALL)
            assert_image(s, a, (double)row[a] * DISPLACEMENT, x_j - r_j);
        else {
            assert_image(s, a, (double)row[a] * SITE, r_i - r_j);
            assert_image(s, a, (double)row[d + a] * DISPLACEMENT, (x_i - r_i) - (x_j - r_j));
        }
        if (form == FORM_ANCHORED)
            assert_image(s, a, (double)row[2 * d + a] * DISPLACEMENT, x_j - r_j);
    }
}

static void check_values(const struct system *s, enum window_form form) {
    const struct windows w = some_windows(s, 5);
    const size_t tokens = (size_t)w.k + 1, wide = (size_t)window_inputs_width(form, s->box.d);
    real *out = nothing(w.count * tokens * wide);
    inputs(s, form, w.count, w.k, w.centre, w.neighbour, out);
    for (size_t m = 0; m < w.count; m++)
        for (size_t j = 0; j < tokens; j++)
            check_row(s, form, w.centre[m], j == 0 ? w.centre[m] : w.neighbour[m * (size_t)w.k + j - 1],
                      out + (m * tokens + j) * wide);
    free(out);
}

/* The particles of a window move by amount times seed (decoded, d). */
static struct system moved(const struct system *s, const struct windows *w, size_t m, size_t decoded,
                           const real *seed, double amount) {
    struct system t = *s;
    for (size_t j = 0; j < decoded; j++) {
        const size_t i = j == 0 ? w->centre[m] : w->neighbour[m * (size_t)w->k + j - 1];
        for (int a = 0; a < s->box.d; a++)
            t.q[a][i] += (uint64_t)(int64_t)(amount * (double)seed[j * (size_t)s->box.d + (size_t)a] /
                                             s->box.side[a] * 0x1p64);
    }
    return t;
}

/* d/d amount of the inputs of window m, where its particles move along seed, by differences of fourth order. Across an
 * edge of the box these are off by multiples of side / (12 step). */
static void differences(const struct system *s, enum window_form form, const struct windows *w, size_t m,
                        size_t decoded, const real *seed, double step, size_t row, double *out) {
    static const double shift[] = {1, -1, 2, -2}, weight[] = {8, -8, -1, 1};
    real *end = nothing(row);
    for (size_t i = 0; i < row; i++)
        out[i] = 0;
    for (int e = 0; e < 4; e++) {
        const struct system there = moved(s, w, m, decoded, seed, shift[e] * step);
        inputs(&there, form, 1, w->k, w->centre + m, w->neighbour + m * (size_t)w->k, end);
        for (size_t i = 0; i < row; i++)
            out[i] += weight[e] * (double)end[i] / (12 * step);
    }
    free(end);
}

static void check_tangent(const struct system *s, enum window_form form, size_t sets) {
    const struct ops *ops = ops_cpu();
    const double step = EXACT < 1e-10 ? 1e-3 : 0.05, slack = EXACT < 1e-10 ? 1e-10 : 4e-4;
    const struct windows w = some_windows(s, 5);
    const size_t tokens = (size_t)w.k + 1, d = (size_t)s->box.d, decoded = form == FORM_ALL ? tokens : 1,
                 row = tokens * (size_t)window_inputs_width(form, s->box.d);
    real *seed = numbers(sets * w.count * decoded * d, 1), *tangent = nothing(sets * w.count * row),
         *here = nothing(w.count * row);
    double *want = malloc(row * sizeof *want);
    inputs(s, form, w.count, w.k, w.centre, w.neighbour, here);
    ops->window_inputs_tangent(ops, &s->box, &(struct window_view){form, SITE, DISPLACEMENT}, sets, w.count,
                               (int)tokens, (int)decoded, here, seed, tangent);
    for (size_t m = 0; m < sets * w.count; m++) {
        differences(s, form, &w, m % w.count, decoded, seed + m * decoded * d, step, row, want);
        for (size_t i = 0; i < row; i++) {
            const double error = want[i] - (double)tangent[m * row + i],
                         jump = s->box.side[i % d] / (12 * step);
            assert_below(fabs(error - jump * round(error / jump)), slack);
        }
    }
    free(seed);
    free(tangent);
    free(here);
    free(want);
}

static void check_system(int d, bool lattice) {
    static const enum window_form forms[] = {FORM_LOCAL, FORM_PERIODIC, FORM_LATTICE, FORM_ANCHORED,
                                             FORM_ALL};
    const struct system s = particles_near_sites(d, lattice);
    for (int m = 0; m < 5; m++) {
        check_values(&s, forms[m]);
        check_tangent(&s, forms[m], 0);
        check_tangent(&s, forms[m], 1);
        check_tangent(&s, forms[m], 3);
    }
}

static void crystals(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++)
        check_system(d, true);
}

static void traps(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++)
        check_system(d, false);
}

/* What the test rests on: some particles are across an edge, and some neighbours, too. */
static void edges(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++) {
        const struct system s = particles_near_sites(d, true);
        int across = 0, far = 0;
        for (size_t i = 0; i < s.n; i++) {
            across += s.x[0][i] < 0 || s.x[0][i] > s.box.side[0];
            far += s.id[i] >= s.lattice.particles;
        }
        assert_true(across > 0);
        assert_int_equal(far, (int)s.lattice.particles);
    }
}

/* The window of a particle alone: it sees itself at no distance, and where it is. */
static void alone(void **state) {
    (void)state;
    const struct system s = particles_near_sites(2, true);
    const uint32_t centre = 4;
    real row[6];
    inputs(&s, FORM_ANCHORED, 1, 0, &centre, NULL, row);
    check_row(&s, FORM_ANCHORED, 4, 4, row);
    for (int a = 0; a < 4; a++)
        assert_true(row[a] == 0);
    inputs(&s, FORM_LATTICE, 0, 0, &centre, NULL, NULL);
}

static void widths(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++) {
        assert_int_equal(window_inputs_width(FORM_LOCAL, d), d);
        assert_int_equal(window_inputs_width(FORM_PERIODIC, d), 2 * d);
        assert_int_equal(window_inputs_width(FORM_LATTICE, d), 2 * d);
        assert_int_equal(window_inputs_width(FORM_ANCHORED, d), 3 * d);
        assert_int_equal(window_inputs_width(FORM_ALL, d), d);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(crystals), cmocka_unit_test(traps),
                                       cmocka_unit_test(edges), cmocka_unit_test(alone),
                                       cmocka_unit_test(widths)};
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, numbers_again);
}
