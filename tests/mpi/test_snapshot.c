/* Every column of an evaluation on many ranks, against the definitions of theory.md section 2 applied to the whole
 * frame on one rank, with the same network: windows, pairs and densities found by brute force. */
#include "entropy/certificate.h"
#include "ranks.h"

static const struct network_parameters network = {.kind = NETWORK_WINDOW,
                                                  .width = 16,
                                                  .hidden = 16,
                                                  .feed_forward = 24,
                                                  .heads = 2,
                                                  .blocks = 2,
                                                  .layers = 2,
                                                  .neighbours = 9};
static const double SLACK = sizeof(real) == 4 ? 2e-4 : 1e-9, SIGMA = 0.05, CONTACT = 2.2;
static const uint64_t SEED = 8, NOISE = 3;

static struct whole w;

static int compare_from(const void *a, const void *b, void *centre) {
    double x = whole_distance(&w, *(size_t *)centre, *(const uint32_t *)a);
    double y = whole_distance(&w, *(size_t *)centre, *(const uint32_t *)b);
    return (x > y) - (x < y);
}

/* Score and divergence of all particles, g given. */
static void whole_score(struct score_model *model, const real *weights, double *const g[], double *s,
                        double *div) {
    const size_t d = (size_t)w.box.d, k = (size_t)network.neighbours;
    uint32_t *near = calloc(w.n * k, sizeof *near), *order = calloc(w.n, sizeof *order),
             *all = calloc(w.n, sizeof *all);
    real *score = calloc(w.n * d, sizeof *score), *divergence = calloc(w.n, sizeof *divergence);
    for (size_t i = 0; i < w.n; i++) {
        size_t others = 0;
        all[i] = (uint32_t)i;
        for (uint32_t j = 0; j < w.n; j++)
            if (j != i)
                order[others++] = j;
        qsort_r(order, others, sizeof *order, compare_from, &i);
        memcpy(near + i * k, order, k * sizeof *near);
    }
    struct score_input in = {
        .box = &w.box, .q = w.q, .g = g, .particles = w.n, .count = w.n, .centre = all, .neighbour = near};
    assert_int_equal(score_divergence(model, weights, &in, score, divergence), STATUS_OK);
    for (size_t i = 0; i < w.n; i++) {
        div[i] = (double)divergence[i];
        for (size_t a = 0; a < d; a++)
            s[i * d + a] = (double)score[i * d + a];
    }
    free(near);
    free(order);
    free(all);
    free(score);
    free(divergence);
}

/* b and div_x b of particle i, from all pairs within the cut-off, with the functions of libm. */
static double whole_drift(size_t i, const struct system_parameters *p, double cutoff, double b[],
                          double *density, double *contacts) {
    const int d = w.box.d;
    double divergence = 0;
    size_t near = 1;
    for (int a = 0; a < d; a++)
        b[a] = p->v0 * w.g[a][i];
    for (size_t j = 0; j < w.n; j++) {
        const double r = whole_distance(&w, i, j);
        near += j != i && r < 5;
        *contacts += j != i && r < CONTACT * sqrt(1 + 1e-6); /* lists of pairs are that much wider */
        if (j == i || r >= cutoff)
            continue;
        const double f = log1p(exp(p->beta * (2 - r))) / p->beta, slope = -1 / (1 + exp(-p->beta * (2 - r)));
        divergence += p->k * (slope + (d - 1) * f / r);
        for (int a = 0; a < d; a++)
            b[a] += p->k * f * (double)(int64_t)(w.q[a][i] - w.q[a][j]) * (w.box.side[a] * 0x1p-64) / r;
    }
    *density = (double)near / pow(5, d);
    return divergence;
}

static double difference(const struct snapshot *s, enum column c, const double *whole) {
    const size_t width = (size_t)column_width(s, c);
    double largest = 0, error = 0;
    for (size_t m = 0; m < w.n * width; m++)
        largest = fmax(largest, fabs(whole[m]));
    for (size_t m = 0; m < s->count * width; m++)
        error = fmax(error, fabs(s->column[c][m] - whole[s->begin * width + m]));
    return error / largest;
}

static void draw_noise(enum noise_kind kind, uint64_t number, const uint32_t *id, int d, double *zeta) {
    const struct ops *ops = ops_cpu();
    (kind == NOISE_GAUSSIAN ? ops->normal : ops->rademacher)(ops, SEED, STREAM_PROBE, number, w.n, id, d,
                                                             zeta);
}

static void check(int d, enum noise_target noise_on, enum noise_kind kind) {
    const struct system_parameters system = {.dimension = d, .v0 = 0.2, .k = 1.5, .beta = 7.5, .gamma = 0.3};
    const struct pair_law law = {.beta = system.beta, .cutoff = 3.27};
    struct scores *scores = NULL;
    struct snapshot *s = NULL;
    struct frame *frame = NULL;
    w = whole_make(d, 400, d == 2 ? 40 : 14, true, 6);
    struct slice *slice = whole_slice(&w);
    const size_t n = w.n, dim = (size_t)d;
    const struct system_force force = {system, law};
    assert_int_equal(scores_create(ops_cpu(), &network, d, false, 200, &scores), STATUS_OK);
    struct score_model *const model = scores->part[0].model;
    real *weights = calloc(scores->tensors.size, sizeof *weights);
    scores_initialise(scores, 5, weights);
    assert_int_equal(frame_create(ops_cpu(), comm, &w.box, slice, NULL, false, network.neighbours,
                                  snapshot_reach(law.cutoff), 3, &frame),
                     STATUS_OK);
    assert_int_equal(snapshot_create(&w.box, n, comm, &s), STATUS_OK);
    const struct snapshot_input in = {
        .frame = frame,
        .law = {.v0 = system.v0, .gamma = system.gamma},
        .force = {.compute = system_force, .context = &force},
        .scores = scores,
        .weights = weights,
        .contact_distance = CONTACT,
        .sigma = SIGMA,
        .noise = {.kind = kind, .on = noise_on, .seed = SEED, .stream = STREAM_PROBE, .number = NOISE}};
    assert_int_equal(snapshot_compute(&in, comm, s), STATUS_OK);

    double *score = calloc(n * dim, sizeof *score), *div = calloc(n, sizeof *div),
           *v = calloc(n * dim, sizeof *v);
    double *sigma = calloc(n, sizeof *sigma), *b = calloc(n * dim, sizeof *b),
           *div_x = calloc(n, sizeof *div_x);
    double *density = calloc(n, sizeof *density), *contacts = calloc(n, sizeof *contacts),
           *moved[MAX_DIMENSION], *zeta = calloc(n * dim, sizeof *zeta);
    uint32_t *id = calloc(n, sizeof *id);
    whole_score(model, weights, w.g, score, div);
    assert_below(difference(s, COLUMN_S_G, score), SLACK);
    for (size_t i = 0; i < n; i++) {
        id[i] = (uint32_t)i;
        for (size_t a = 0; a < dim; a++) {
            v[i * dim + a] = -system.gamma * (w.g[a][i] + score[i * dim + a]);
            sigma[i] += v[i * dim + a] * v[i * dim + a] / system.gamma;
        }
        div[i] = -system.gamma * (d + div[i]);
        div_x[i] = whole_drift(i, &system, law.cutoff, b + i * dim, &density[i], &contacts[i]);
    }
    assert_below(difference(s, COLUMN_V_G, v), SLACK);
    assert_below(difference(s, COLUMN_SIGMA_G, sigma), SLACK);
    assert_below(difference(s, COLUMN_SIGMA, sigma), SLACK);
    assert_below(difference(s, COLUMN_DIV_G, div), SLACK);
    assert_below(difference(s, COLUMN_V_X, b), 1e-10);
    assert_below(difference(s, COLUMN_DIV_X, div_x), 1e-10);
    assert_below(difference(s, COLUMN_LOCAL_DENSITY, density), 1e-14);
    assert_below(difference(s, COLUMN_CONTACTS, contacts), 0);

    /* the noised copy for (I1) */
    draw_noise(kind, 2 * NOISE, id, d, zeta);
    for (size_t a = 0; a < dim; a++) {
        moved[a] = calloc(n, sizeof(double));
        for (size_t i = 0; i < n; i++)
            moved[a][i] = w.g[a][i] + SIGMA * zeta[i * dim + a];
    }
    if (noise_on == NOISE_ON_XG) {
        draw_noise(kind, 2 * NOISE + 1, id, d, zeta);
        ops_cpu()->shift_positions(ops_cpu(), &w.box, n, SIGMA, zeta, w.q, w.q);
    }
    whole_score(model, weights, moved, score, div);
    for (size_t i = 0; i < n; i++) {
        sigma[i] = 0;
        for (size_t a = 0; a < dim; a++)
            sigma[i] += score[i * dim + a] * score[i * dim + a];
    }
    assert_below(difference(s, COLUMN_SMOOTHED_S_G_SQUARED, sigma), SLACK);
    assert_below(difference(s, COLUMN_SMOOTHED_DIV_S_G, div), SLACK);

    for (size_t a = 0; a < dim; a++)
        free(moved[a]);
    double *const all[] = {score, div, v, sigma, b, div_x, density, contacts, zeta};
    for (size_t m = 0; m < sizeof all / sizeof *all; m++)
        free(all[m]);
    free(id);
    free(weights);
    snapshot_destroy(&s);
    frame_destroy(&frame);
    slice_destroy(&slice);
    scores_destroy(&scores);
    whole_free(&w);
}

static void test_snapshot(void **state) {
    (void)state;
    check(2, NOISE_ON_G, NOISE_GAUSSIAN);
    check(3, NOISE_ON_G, NOISE_RADEMACHER);
    check(2, NOISE_ON_XG, NOISE_RADEMACHER);
    check(3, NOISE_ON_XG, NOISE_GAUSSIAN);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_snapshot)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
