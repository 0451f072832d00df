/* Fields, interface, profile and certificate on configurations whose answers are closed forms: a slab of particles
 * on a lattice, and trapped particles without interaction, whose score is known exactly (theory.md section 5 with
 * H = A). Any number of ranks. */
#include "../mpi/ranks.h"
#include "entropy/certificate.h"
#include "entropy/classes.h"
#include "entropy/layers.h"
#include "entropy/profile.h"

/* ---- a slab: a square lattice of spacing 1.5 for |x - middle| < half, across the box's edge, else nothing ---- */

static const double SIDE = 60, HALF = 12, STEP = 1.5, MIDDLE = 4;

static struct snapshot *make_slab(struct box *box) {
    struct snapshot *s = NULL;
    *box = (struct box){.d = 2, .periodic = true, .side = {SIDE, SIDE}};
    const size_t columns = (size_t)(2 * HALF / STEP), rows = (size_t)(SIDE / STEP);
    assert_int_equal(snapshot_create(box, columns * rows, comm, &s), STATUS_OK);
    for (size_t i = 0; i < s->count; i++) {
        size_t id = s->begin + i;
        s->column[COLUMN_POSITION][2 * i] =
            fmod(SIDE + MIDDLE - HALF + STEP * ((double)(id % columns) + 0.5), SIDE);
        s->column[COLUMN_POSITION][2 * i + 1] = STEP * ((double)(id / columns) + 0.5);
        s->column[COLUMN_SIGMA][i] = 2 + (double)(id % 3);
        s->column[COLUMN_DIV_X][i] = -(double)(id % 5);
        for (int a = 0; a < 2; a++) {
            s->column[COLUMN_PROPULSION][2 * i + (size_t)a] = a ? -1 : 0.5;
            s->column[COLUMN_V_X][2 * i + (size_t)a] = (double)(id % 7);
        }
    }
    return s;
}

/* Whatever a field spreads is conserved: its integral is the sum over particles. */
static void test_fields(void **state) {
    (void)state;
    struct box box;
    struct snapshot *s = make_slab(&box);
    struct field_grid *g = NULL;
    for (double width = 0; width < 40; width = 3 * width + 0.4) {
        double want[FIELDS][2] = {{0}};
        assert_int_equal(field_grid_create(&box, 1.3, width, comm, &g), STATUS_OK);
        assert_int_equal(fields_compute(g, s, ops_cpu(), comm), STATUS_OK);
        for (size_t i = 0; i < s->count; i++) {
            want[FIELD_DENSITY][0] += 1;
            want[FIELD_EPR][0] += s->column[COLUMN_SIGMA][i];
            want[FIELD_DIV_X][0] += s->column[COLUMN_DIV_X][i];
            for (size_t a = 0; a < 2; a++) {
                want[FIELD_POLARISATION][a] += s->column[COLUMN_PROPULSION][2 * i + a];
                want[FIELD_CURRENT][a] += s->column[COLUMN_V_X][2 * i + a];
            }
        }
        comm_sum(comm, want[0], FIELDS * 2);
        for (int f = 0; f < FIELDS; f++)
            for (int a = 0; a < field_columns(g, f); a++) {
                double sum = 0;
                for (size_t c = 0; c < g->held; c++)
                    sum += g->field[f][c * (size_t)field_columns(g, f) + (size_t)a] * g->spacing[0] *
                           g->spacing[1];
                comm_sum(comm, &sum, 1);
                assert_below(fabs(sum - want[f][a]), 1e-9 * (1 + fabs(want[f][a])));
            }
        field_grid_destroy(&g);
    }
    snapshot_destroy(&s);
}

static void test_interface(void **state) {
    (void)state;
    struct box box;
    struct snapshot *s = make_slab(&box);
    struct field_grid *g = NULL;
    struct profile *p = NULL;
    const double inside = 1 / (STEP * STEP),
                 level = 0.5 * M_PI * inside; /* half of the slab's packing fraction */
    assert_int_equal(field_grid_create(&box, 0.5, 1, comm, &g), STATUS_OK);
    assert_int_equal(profile_create(10, 1, 2, &p), STATUS_OK);
    assert_int_equal(fields_compute(g, s, ops_cpu(), comm), STATUS_OK);
    assert_int_equal(interface_compute(g, level, 3, s, comm), STATUS_OK);
    for (size_t i = 0; i < s->count; i++) {
        double away = fabs(s->column[COLUMN_POSITION][2 * i] - MIDDLE), want = HALF - fmin(away, SIDE - away);
        assert_below(fabs(s->column[COLUMN_INTERFACE_DISTANCE][i] - want), 0.5);
        if (fabs(want - 3) > 0.5)
            assert_int_equal(s->column[COLUMN_PHASE][i], want < 3 ? PHASE_INTERFACE : PHASE_DENSE);
    }
    /* the point farthest from the slab is 18 away from either face, one of them across the edge */
    const double point[] = {MIDDLE + SIDE / 2, 7};
    if (layer_of(g, point[1]) - g->first < g->count)
        assert_below(fabs(interface_distance(g, point) + SIDE / 2 - HALF), 0.5);
    for (int frame = 0; frame < 2; frame++)
        profile_add(p, g, s, comm);
    double *density = calloc((size_t)p->bins, sizeof *density),
           *error = calloc((size_t)p->bins, sizeof *error);
    profile_density(p, density, error);
    double mean = 0;
    for (int b = 0; b < p->bins; b++) {
        double at = profile_distance(p, b);
        mean += at > 1 && at < 9 ? density[b] / 8 : 0;
        if (at < -1)
            assert_true(density[b] == 0);
        assert_true(isnan(error[b]) || error[b] < 1e-12); /* twice the same frame */
    }
    assert_below(fabs(mean / inside - 1), 0.1);
    profile_mean(p, PROFILE_EPR, density, error);
    assert_true(fabs(density[p->bins / 2 + 5] - 3) < 0.1);
    free(density);
    free(error);
    profile_destroy(&p);
    field_grid_destroy(&g);
    snapshot_destroy(&s);
}

/* ---- layers: every cell and every particle against sums and searches over all of them ---- */

/* Particle i of a cloud that is dense at one end: the same on every rank. */
static void cloud(const struct box *box, size_t i, double x[], double *sigma) {
    double unit[4];
    for (int m = 0; m < 4; m++) {
        uint32_t word[4];
        rng_words(5, STREAM_START, (uint32_t)i, (uint64_t)m, 0, word);
        unit[m] = rng_uniform(word[0]);
    }
    for (int a = 0; a < box->d; a++)
        x[a] = box->side[a] * (i % 4 == 0 ? unit[a] : 0.4 * unit[a] * unit[a]) -
               (box->periodic ? 0 : box->side[a] / 2);
    *sigma = unit[3];
}

/* Weight of a particle for a cell of one axis: the formula of fields.h, on a line. */
static double weight_of(const struct field_grid *g, int a, double x, int cell) {
    const double place = (x - g->origin[a]) / g->spacing[a] - 0.5,
                 width = fmax(g->width / g->spacing[a], 0.5);
    const int reach = (int)ceil(3 * g->width / g->spacing[a]), first = (int)floor(place) - reach,
              n = g->cells[a];
    double sum = 0, own = 0;
    for (int c = first; c < first + 2 * reach + 2; c++) {
        const double height = exp(-(c - place) * (c - place) / (2 * width * width));
        sum += height;
        own += ((c % n) + n) % n == cell ? height : 0;
    }
    return own / (sum * g->spacing[a]);
}

/* Cell c of the whole grid on every axis. */
static void axes_of(const struct field_grid *g, size_t c, int at[]) {
    for (int a = 0; a < MAX_DIMENSION; a++) {
        at[a] = (int)(c % (size_t)g->cells[a]);
        c /= (size_t)g->cells[a];
    }
}

/* The distance of a cell to the nearest one of the other kind, half a cell before it; dense: of all cells. */
static double nearest_other(const struct field_grid *g, const double *dense, size_t c) {
    double least = INFINITY, half = INFINITY;
    int here[MAX_DIMENSION], there[MAX_DIMENSION];
    axes_of(g, c, here);
    for (size_t o = 0; o < g->total; o++) {
        double square = 0;
        if (dense[o] == dense[c])
            continue;
        axes_of(g, o, there);
        for (int a = 0; a < g->box.d; a++) {
            int away = abs(here[a] - there[a]);
            away = g->box.periodic && g->cells[a] - away < away ? g->cells[a] - away : away;
            square += away * g->spacing[a] * away * g->spacing[a];
            half = fmin(half, g->spacing[a] / 2);
        }
        least = fmin(least, square);
    }
    return (dense[c] > 0 ? 1 : -1) * (sqrt(least) - half);
}

static void check_layers(int d, bool periodic, double side, double spacing, double width) {
    enum { CLOUD = 200 };
    const struct box box = {.d = d, .periodic = periodic, .side = {side, 0.8 * side, 0.7 * side}};
    const double level = 2 * CLOUD / pow(side, d);
    struct snapshot *s = NULL;
    struct field_grid *g = NULL;
    assert_int_equal(snapshot_create(&box, CLOUD, comm, &s), STATUS_OK);
    for (size_t i = 0; i < s->count; i++)
        cloud(&box, s->begin + i, s->column[COLUMN_POSITION] + i * (size_t)d, s->column[COLUMN_SIGMA] + i);
    assert_int_equal(field_grid_create(&box, spacing, width, comm, &g), STATUS_OK);
    assert_int_equal(fields_compute(g, s, ops_cpu(), comm), STATUS_OK);
    assert_int_equal(interface_compute(g, level * particle_volume(d), 1, s, comm), STATUS_OK);
    double *dense = calloc(g->total, sizeof *dense), held = (double)g->held;
    const size_t begin = g->first * g->layer;
    for (size_t c = 0; c < g->held; c++) {
        double density = 0, epr = 0, x[MAX_DIMENSION], sigma;
        int at[MAX_DIMENSION];
        axes_of(g, begin + c, at);
        for (size_t i = 0; i < CLOUD; i++) {
            double weight = 1;
            cloud(&box, i, x, &sigma);
            for (int a = 0; a < d; a++)
                weight *= weight_of(g, a, x[a], at[a]);
            density += weight;
            epr += weight * sigma;
        }
        assert_below(fabs(g->field[FIELD_DENSITY][c] - density), 1e-12 * (1 + density));
        assert_below(fabs(g->field[FIELD_EPR][c] - epr), 1e-12 * (1 + epr));
        dense[begin + c] = g->field[FIELD_DENSITY][c] > level;
    }
    comm_sum(comm, &held, 1);
    assert_true(held == (double)g->total);
    comm_sum(comm, dense, g->total);
    for (size_t c = 0; c < g->held; c++)
        assert_below(fabs(g->distance[g->layer + c] - nearest_other(g, dense, begin + c)), 1e-9);
    for (size_t c = 0; c < g->layer && g->count > 0; c++) { /* the layers around */
        const size_t after = (g->first + g->count) % g->layers,
                     before = (g->first + g->layers - 1) % g->layers;
        assert_below(fabs(g->distance[c] - nearest_other(g, dense, before * g->layer + c)), 1e-9);
        assert_below(
            fabs(g->distance[(g->count + 1) * g->layer + c] - nearest_other(g, dense, after * g->layer + c)),
            1e-9);
    }
    free(dense);
    field_grid_destroy(&g);
    snapshot_destroy(&s);
}

/* Also where layers are fewer than ranks, and where a particle reaches round the axis. */
static void test_layers(void **state) {
    (void)state;
    check_layers(1, true, 60, 0.5, 0.7);
    check_layers(2, true, 60, 1.5, 0.4);
    check_layers(2, false, 60, 1.5, 0.4);
    check_layers(2, true, 20, 1, 4);
    check_layers(2, true, 20, 9, 0);
    check_layers(3, true, 16, 0.9, 0.4);
    check_layers(3, false, 12, 1.1, 1);
}

/* ---- the certificate on an exact score ---- */

static const double TRAP = 0.4, GAMMA = 0.25, V0 = 0.3;

/* One frame of independent samples of the trapped particles' density with their exact flow; the score is wrong by
 * a factor in w = g + s if `part` differs from 1. */
static void sample_trap(struct snapshot *s, uint64_t frame, double part) {
    const double xg = V0 / (GAMMA + TRAP), xx = V0 * V0 / ((GAMMA + TRAP) * TRAP);
    uint32_t *id = malloc((s->count + 1) * sizeof *id);
    double *z = malloc((s->count * 4 + 1) * sizeof *z);
    for (size_t i = 0; i < s->count; i++)
        id[i] = (uint32_t)(s->begin + i);
    ops_cpu()->normal(ops_cpu(), 3, STREAM_PROBE, 2 * frame, s->count, id, 2, z);
    ops_cpu()->normal(ops_cpu(), 3, STREAM_PROBE, 2 * frame + 1, s->count, id, 2, z + 2 * s->count);
    for (size_t i = 0; i < s->count; i++) {
        double square = 0, score = 0, along = 0;
        for (size_t a = 0; a < 2; a++) {
            double g = z[2 * i + a], x = xg * g + sqrt(xx - xg * xg) * z[2 * s->count + 2 * i + a];
            double w = part * (g - (1 + TRAP / GAMMA) * (g - TRAP * x / V0)), v = -GAMMA * w;
            s->column[COLUMN_POSITION][2 * i + a] = x;
            s->column[COLUMN_PROPULSION][2 * i + a] = g;
            s->column[COLUMN_V_G][2 * i + a] = v;
            square += v * v;
            score += (w - g) * (w - g);
            along += g * w + part * TRAP / GAMMA; /* div w = -part A / gamma */
        }
        s->column[COLUMN_SIGMA_G][i] = s->column[COLUMN_SIGMA][i] = square / GAMMA;
        s->column[COLUMN_DIV_X][i] = -2 * TRAP;
        s->column[COLUMN_EXACT][i] = 2 * TRAP;
        s->column[COLUMN_RESOLVED][i] =
            GAMMA * 2 * along - square / GAMMA;       /* gamma [2 g.w - 2 div w - |w|^2] */
        s->column[COLUMN_DIV_G][i] = part * 2 * TRAP; /* -gamma div w */
        s->column[COLUMN_SMOOTHED_S_G_SQUARED][i] = score;
        s->column[COLUMN_SMOOTHED_DIV_S_G][i] = -2 * (1 + part * TRAP / GAMMA);
    }
    free(id);
    free(z);
}

static struct certificate *certify(struct snapshot **s, size_t n, int frames, double part) {
    struct box box = {.d = 2, .periodic = false, .side = {100, 100}};
    struct certificate *c = NULL;
    assert_int_equal(snapshot_create(&box, n, comm, s), STATUS_OK);
    assert_int_equal(certificate_create(*s, frames, &c), STATUS_OK);
    for (int t = 0; t < frames; t++) {
        sample_trap(*s, (uint64_t)t, part);
        certificate_add(c, *s, comm);
    }
    return c;
}

static void test_certificate(void **state) {
    (void)state;
    struct snapshot *s = NULL;
    struct certificate *c = certify(&s, 600, 16, 1);
    struct estimate r = certificate_resolved_fraction(c, comm);
    assert_below(fabs(r.value - 1) / r.error, 4);
    static const double captured[TERMS] = {[TERM_CAPTURED] = 1, [TERM_EXACT] = -1};
    static const double stationary[TERMS] = {[TERM_S_G_SQUARED] = 1, [TERM_MINUS_DIV_S_G] = -1};
    struct estimate total = certificate_mean(c, captured, comm),
                    first = certificate_mean(c, stationary, comm);
    assert_below(fabs(total.value) / total.error, 4);
    assert_below(fabs(first.value) / first.error, 4);
    /* |v_g|^2/gamma is the square of a Gaussian of variance A per component: the error has a closed form */
    double want = sqrt(2.0 * 2) * TRAP / sqrt(600.0 * 16);
    assert_true(total.error > 0.8 * want && total.error < 2.5 * want);
    certificate_destroy(&c);
    snapshot_destroy(&s);
}

/* A score whose w is off by a factor p resolves 2 p - p^2 of the exact total. */
static void test_resolved_fraction(void **state) {
    (void)state;
    for (double part = -0.5; part < 3; part += 0.75) {
        struct snapshot *s = NULL;
        struct certificate *c = certify(&s, 900, 8, part);
        struct estimate r = certificate_resolved_fraction(c, comm);
        assert_below(fabs(r.value - (2 * part - part * part)) / r.error, 4);
        certificate_destroy(&c);
        snapshot_destroy(&s);
    }
}

/* <|v_g|^2>/gamma with the exact score, of trapped particles between two distances from the centre, in units of the
 * standard deviation of x: given x, v_g is normal of mean -gamma A x/V0 and variance A^2 (1 - <x g>^2/<x^2>). */
static double trap_production(double from, double to) {
    const double a = from * from / 2, b = to * to / 2, wide = V0 * V0 / ((GAMMA + TRAP) * TRAP);
    const double square =
        2 * wide * ((a + 1) * exp(-a) - (isinf(b) ? 0 : (b + 1) * exp(-b))) / (exp(-a) - exp(-b));
    return GAMMA * TRAP * TRAP * square / (V0 * V0) + 2 * TRAP * TRAP / GAMMA * (1 - TRAP / (GAMMA + TRAP));
}

/* Classes by distance from the trap's centre, functions of positions alone: a score whose w is off by a factor p
 * captures p^2 of what each class produces and resolves 2 p - p^2. -div_x b is the same everywhere. */
static void test_classes(void **state) {
    (void)state;
    enum { SAMPLES = 4000, REPEATS = 8 };
    const double part = 0.6, wide = V0 / sqrt((GAMMA + TRAP) * TRAP), edge[] = {0, 0.7, 1.6, INFINITY};
    struct box box = {.d = 2, .periodic = false, .side = {100, 100}};
    struct snapshot *s = NULL;
    struct classes *c = NULL;
    struct class_values v;
    double produced = 0;
    assert_int_equal(snapshot_create(&box, SAMPLES, comm, &s), STATUS_OK);
    assert_int_equal(classes_create(s, REPEATS, &c), STATUS_OK);
    for (int t = 0; t < REPEATS; t++) {
        sample_trap(s, (uint64_t)t, part);
        for (size_t i = 0; i < s->count; i++) {
            const double *x = s->column[COLUMN_POSITION] + 2 * i, r = hypot(x[0], x[1]) / wide;
            for (int k = 0; k < 3; k++)
                if (r >= edge[k] && r < edge[k + 1])
                    s->column[COLUMN_PHASE][i] = k;
            s->column[COLUMN_LOCAL_DENSITY][i] = local_density_unit(2);
        }
        classes_add(c, s, comm);
    }
    assert_int_equal(classes_values(c, BY_PHASE, comm, &v), STATUS_OK);
    for (int k = 0; k < 3; k++) {
        const double own = trap_production(edge[k], edge[k + 1]);
        const struct {
            enum class_rate rate;
            double want;
        } expected[] = {{RATE_CAPTURED, part * part * own}, {RATE_RESOLVED, (2 * part - part * part) * own}};
        assert_true(v.count[k] > SAMPLES / 10);
        assert_below(fabs(v.rate[RATE_EXACT][k] - 2 * TRAP), 1e-12);
        for (int m = 0; m < 2; m++) {
            const enum class_rate r = expected[m].rate;
            assert_below(fabs(v.rate[r][k] - expected[m].want) / v.rate_error[r][k], 4);
            assert_below(v.rate_error[r][k], 0.05 * own);
        }
        produced += v.count[k] * own;
    }
    assert_below(fabs(produced / SAMPLES - 2 * TRAP), 0.02 * TRAP);
    classes_destroy(&c);
    snapshot_destroy(&s);
}

/* Blocks find the correlation of a series that single values would miss: an autoregressive one of known error. */
static void test_blocks(void **state) {
    (void)state;
    enum { FRAMES = 4096 };
    const double memory = 0.9;
    double *x = malloc(FRAMES * sizeof *x), value = 0;
    for (uint32_t t = 0; t < FRAMES; t++) {
        double z;
        ops_cpu()->normal(ops_cpu(), 1, STREAM_PROBE, t, 1, (uint32_t[]){5}, 1, &z);
        x[t] = value = memory * value + sqrt(1 - memory * memory) * z;
    }
    struct estimate e = block_estimate(FRAMES, x);
    double want = sqrt((1 + memory) / (1 - memory) / FRAMES);
    assert_true(e.error > 0.7 * want && e.error < 2 * want);
    assert_below(fabs(e.value) / e.error, 4);
    assert_true(isnan(block_estimate(1, x).error));
    free(x);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fields),
                                       cmocka_unit_test(test_interface),
                                       cmocka_unit_test(test_layers),
                                       cmocka_unit_test(test_certificate),
                                       cmocka_unit_test(test_resolved_fraction),
                                       cmocka_unit_test(test_classes),
                                       cmocka_unit_test(test_blocks)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
