/* Gradient, loss and resolved fraction on many ranks against the same quantities of the whole frame computed by
 * one rank without domains and halos, particle by particle: equal to rounding. Noise on g, and on x and g. */
#include "learn/trainer.h"
#include "ranks.h"

static const struct network_parameters network = {.kind = NETWORK_WINDOW,
                                                  .width = 16,
                                                  .hidden = 16,
                                                  .feed_forward = 24,
                                                  .heads = 2,
                                                  .blocks = 2,
                                                  .layers = 2,
                                                  .neighbours = 9};
static const struct training_parameters training = {.sigma = 0.05,
                                                    .batch = 100,
                                                    .steps = 10,
                                                    .rate = 1e-3,
                                                    .average = 0.9,
                                                    .clip = 1,
                                                    .second_decay = 0.999,
                                                    .frames_per_step = 1,
                                                    .weighting_offset = 300,
                                                    .seed = 3};

static const double SLACK = sizeof(real) == 4 ? 2e-4 : 1e-10;

static void draw_noise(const struct training_parameters *p, uint64_t number, size_t n, const uint32_t *id,
                       int d, double *zeta) {
    const struct ops *ops = ops_cpu();
    (p->noise == NOISE_GAUSSIAN ? ops->normal : ops->rademacher)(ops, p->seed, STREAM_ZETA, number, n, id, d,
                                                                 zeta);
}

/* div_x F of a made-up force, a function of x. */
static double wave(uint64_t q) {
    return -500 * (1.5 + cos(2 * M_PI * 0x1p-64 * (double)q));
}

static enum status wave_force(const void *context, const struct particles *p, const struct box *box,
                              double *force, double *divergence) {
    (void)context;
    memset(force, 0, p->owned * (size_t)box->d * sizeof *force);
    for (size_t i = 0; i < p->owned; i++)
        divergence[i] = wave(p->q[0][i]);
    return STATUS_OK;
}

static const double GAMMA = 0.7;
static double weight_of(const struct training_parameters *p, int d, uint64_t q) {
    return p->weighting == WEIGHTING_NONE ? 1 : 1 / (p->weighting_offset - wave(q) / GAMMA / d);
}

/* The gradient of a batch from the definition, on the whole configuration. Returns the loss, a mean of terms of either
 * sign whose size *typical receives. */
static double whole_gradient(const struct whole *w, const struct training_parameters *p,
                             struct score_model *model, const real *weights, uint64_t step, size_t batch,
                             const uint32_t *ids, real *gradient, double *typical) {
    const struct ops *ops = ops_cpu();
    const size_t d = (size_t)w->box.d, k = (size_t)score_neighbours(model);
    struct particles *all = NULL;
    assert_int_equal(particles_create(ops, w->box.d, w->n, &all), STATUS_OK);
    all->owned = w->n;
    double *zeta_g = calloc(w->n * d, sizeof(double)), *zeta_x = calloc(w->n * d, sizeof(double)), loss = 0;
    double *term = calloc(2 * batch, sizeof(double)), *farthest = calloc(batch, sizeof(double));
    real *zeta = calloc(batch * d, sizeof(real));
    uint32_t *near = calloc(batch * k, sizeof(uint32_t));
    for (uint32_t i = 0; i < w->n; i++)
        all->id[i] = i;
    draw_noise(p, 2 * step, w->n, all->id, w->box.d, zeta_g);
    draw_noise(p, 2 * step + 1, w->n, all->id, w->box.d, zeta_x);
    for (size_t m = 0; m < batch; m++)
        for (size_t a = 0; a < d; a++)
            zeta[m * d + a] = (real)zeta_g[ids[m] * d + a];
    for (int sign = 1; sign >= -1; sign -= 2) {
        struct cell_grid *grid = NULL;
        ops->shift_propulsion(ops, w->box.d, w->n, sign * p->sigma, zeta_g, w->g, all->g);
        ops->shift_positions(ops, &w->box, w->n, p->noise_on == NOISE_ON_XG ? sign * p->sigma : 0, zeta_x,
                             w->q, all->q);
        assert_int_equal(cells_create(all, &w->box, 2, &grid), STATUS_OK);
        ops->nearest(ops, &w->box, grid, batch, ids, w->n, all->q, (int)k, near, farthest);
        cells_destroy(ops, &grid);
        struct score_input in = {.box = &w->box, .q = all->q, .g = all->g, .particles = w->n, .count = 1};
        for (size_t m = 0; m < batch; m++) {
            const double factor = weight_of(p, w->box.d, all->q[0][ids[m]]);
            in.centre = ids + m;
            in.neighbour = near + m * k;
            term[batch + m] = 0;
            assert_int_equal(score_denoising(model, weights, &in, zeta + m * d, NULL, sign, p->sigma,
                                             factor / (double)batch, term + batch + m, gradient, NULL),
                             STATUS_OK);
            term[m] += factor * term[batch + m];
        }
    }
    *typical = 0;
    for (size_t m = 0; m < batch; m++) {
        loss += term[m] / (double)batch;
        *typical += fabs(term[m]) / (double)batch;
    }
    particles_destroy(&all);
    free(zeta_g);
    free(zeta_x);
    free(zeta);
    free(term);
    free(farthest);
    free(near);
    return loss;
}

/* 2 g.w - 2 div w - |w|^2 over the whole configuration. */
static double whole_resolved(const struct whole *w, struct score_model *model, const real *weights) {
    const struct ops *ops = ops_cpu();
    const size_t d = (size_t)w->box.d, k = (size_t)score_neighbours(model);
    struct particles p = {.ops = ops, .d = w->box.d, .owned = w->n};
    struct cell_grid *grid = NULL;
    uint32_t *near = calloc(w->n * k, sizeof(uint32_t)), *all = calloc(w->n, sizeof(uint32_t));
    double *farthest = calloc(w->n, sizeof(double)), sum = 0;
    real *s = calloc(w->n * d, sizeof(real)), *div = calloc(w->n, sizeof(real));
    for (int a = 0; a < w->box.d; a++)
        p.q[a] = w->q[a];
    for (uint32_t i = 0; i < w->n; i++)
        all[i] = i;
    assert_int_equal(cells_create(&p, &w->box, 3, &grid), STATUS_OK);
    ops->nearest(ops, &w->box, grid, w->n, NULL, w->n, w->q, (int)k, near, farthest);
    struct score_input in = {.box = &w->box,
                             .q = w->q,
                             .g = w->g,
                             .particles = w->n,
                             .count = w->n,
                             .centre = all,
                             .neighbour = near};
    assert_int_equal(score_divergence(model, weights, &in, s, div), STATUS_OK);
    for (size_t i = 0; i < w->n; i++) {
        sum -= 2 * ((double)d + (double)div[i]);
        for (size_t a = 0; a < d; a++) {
            double own = w->g[a][i], flow = own + (double)s[i * d + a];
            sum += 2 * own * flow - flow * flow;
        }
    }
    cells_destroy(ops, &grid);
    free(near);
    free(all);
    free(farthest);
    free(s);
    free(div);
    return sum;
}

/* hold: the frame has the divergence of the force at the positions without noise. */
static void check(int d, enum noise_target noise_on, enum noise_kind noise, enum weighting_kind weighting,
                  bool hold) {
    struct whole w = whole_make(d, 500, d == 2 ? 40 : 14, true, 2);
    struct training_parameters p = training;
    struct trainer *t = NULL;
    struct frame *frame = NULL;
    struct slice *slice = whole_slice(&w);
    uint32_t ids[100];
    p.noise_on = noise_on;
    p.noise = noise;
    p.weighting = weighting;
    assert_int_equal(frame_create(ops_cpu(), comm, &w.box, slice, NULL, false, network.neighbours, 0,
                                  training_margin(&p, d), &frame),
                     STATUS_OK);
    const struct trainer_setup setup = {.network = network,
                                        .training = p,
                                        .law = {.gamma = GAMMA},
                                        .d = d,
                                        .particles = w.n,
                                        .chunk = 200,
                                        .force = {wave_force, NULL}};
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    if (hold)
        assert_int_equal(frame_divergence(frame, comm, &setup.force), STATUS_OK);
    const size_t size = score_tensors(t->scores->part[0].model)->size;
    double *mine = calloc(size, sizeof(double)), *want = calloc(size, sizeof(double)), loss = 0, typical = 0;
    real *gradient = calloc(size, sizeof(real));
    for (uint32_t m = 0; m < 100; m++)
        ids[m] = rng_permute(9, STREAM_BATCH, 0, m, w.n);
    assert_int_equal(trainer_gradient(t, frame, 7, 100, ids, &loss), STATUS_OK);
    double want_loss = whole_gradient(&w, &p, t->scores->part[0].model, t->optimizer->theta, 7, 100, ids,
                                      gradient, &typical);
    for (size_t i = 0; i < size; i++) {
        mine[i] = (double)t->gradient[i];
        want[i] = (double)gradient[i];
    }
    assert_below(relative_error(size, mine, want), SLACK);
    assert_below(fabs(loss - want_loss) / typical, SLACK);

    /* a whole step, then the held-out test with the average weights */
    struct frame *frames[] = {frame, frame};
    struct dataset_part part = {1, 2, frames};
    struct dataset dataset = {1, &part};
    struct trainer_result result, each;
    frame->exact = 1234;
    assert_int_equal(trainer_step(t, &dataset, &loss), STATUS_OK);
    assert_int_equal(trainer_step(t, &dataset, &loss), STATUS_OK);
    assert_int_equal(trainer_test(t, &dataset, 0, &result, &each), STATUS_OK);
    const double resolved = GAMMA * whole_resolved(&w, t->scores->part[0].model, t->optimizer->average);
    assert_below(fabs(result.resolved_fraction * 1234 - resolved) / fabs(resolved), SLACK);
    assert_below(result.error, 1e-6); /* two equal frames */

    trainer_destroy(&t);
    frame_destroy(&frame);
    slice_destroy(&slice);
    free(mine);
    free(want);
    free(gradient);
    whole_free(&w);
}

static void test_noise_on_g(void **state) {
    (void)state;
    check(2, NOISE_ON_G, NOISE_GAUSSIAN, WEIGHTING_NONE, false);
    check(3, NOISE_ON_G, NOISE_RADEMACHER, WEIGHTING_NONE, false);
}

static void test_noise_on_xg(void **state) {
    (void)state;
    check(2, NOISE_ON_XG, NOISE_RADEMACHER, WEIGHTING_NONE, false);
    check(3, NOISE_ON_XG, NOISE_GAUSSIAN, WEIGHTING_NONE, false);
}

static void test_weighted(void **state) {
    (void)state;
    check(2, NOISE_ON_G, NOISE_RADEMACHER, WEIGHTING_STIFFNESS, true);
    check(3, NOISE_ON_G, NOISE_GAUSSIAN, WEIGHTING_STIFFNESS, false);
    check(2, NOISE_ON_XG, NOISE_GAUSSIAN, WEIGHTING_STIFFNESS, false);
    check(3, NOISE_ON_XG, NOISE_RADEMACHER, WEIGHTING_STIFFNESS, true); /* where it is of no use */
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_noise_on_g), cmocka_unit_test(test_noise_on_xg),
                                       cmocka_unit_test(test_weighted)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
