/* Parts of the training recipe on many ranks: several frames in a step against one after the other, the shares of
 * trajectories, and the weights of particles against reference data. */
#include "dynamics/system.h"
#include "learn/trainer.h"
#include "ranks.h"
#include "vectors.h"

enum { FRAMES = 3, BATCH = 60, D = 2 };
static const double SLACK = sizeof(real) == 4 ? 1e-5 : 1e-12;
static const struct network_parameters network = {.kind = NETWORK_WINDOW,
                                                  .width = 16,
                                                  .hidden = 16,
                                                  .feed_forward = 24,
                                                  .heads = 2,
                                                  .blocks = 1,
                                                  .layers = 1,
                                                  .neighbours = 7};

static struct frame *frame_of(const struct whole *w, double least, double margin) {
    struct frame *frame = NULL;
    struct slice *slice = whole_slice(w);
    assert_int_equal(
        frame_create(ops_cpu(), comm, &w->box, slice, NULL, false, network.neighbours, least, margin, &frame),
        STATUS_OK);
    slice_destroy(&slice);
    return frame;
}

/* ---- several frames a step ---- */

static struct trainer *trainer_of(const struct training_parameters *p, size_t n, double eps,
                                  const struct system_force *force) {
    const struct trainer_setup setup = {.network = network,
                                        .training = *p,
                                        .law = {.v0 = 0.3, .gamma = 0.5, .eps = eps},
                                        .d = D,
                                        .particles = n,
                                        .with_x = eps > 0,
                                        .chunk = 200,
                                        .force = {.compute = system_force, .context = force}};
    struct trainer *t = NULL;
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    return t;
}

static double *gradient_of(const struct trainer *t) {
    double *wide = calloc(t->optimizer->size, sizeof *wide);
    for (size_t i = 0; i < t->optimizer->size; i++)
        wide[i] = (double)t->gradient[i];
    return wide;
}

/* A step of several frames has the mean of the gradients and losses that its frames have by themselves. */
static void check_mean(const struct training_parameters *p, size_t n, size_t other, double eps) {
    const struct system_force force = {
        {.dimension = D, .v0 = 0.3, .k = 1, .beta = 5, .gamma = 0.5, .eps = eps}, {.beta = 5, .cutoff = 3}};
    struct whole w[2] = {whole_make(D, n, 30, true, 3), whole_make(D, other, 40, true, 4)};
    const double margin = training_margin(p, D);
    struct frame *frame[2] = {frame_of(&w[0], 3 + margin, margin), frame_of(&w[1], 3 + margin, margin)};
    struct dataset_part part[2] = {{0.4, 1, &frame[0]}, {0.6, 1, &frame[1]}};
    const struct dataset dataset = {2, part};
    struct trainer *t = trainer_of(p, n, eps, &force), *one = trainer_of(p, n, eps, &force);
    double loss = 0, want_loss = 0, scale = 0;
    uint32_t ids[BATCH];
    bool seen[2] = {false};
    for (uint64_t step = 0; step < 2; step++) {
        double *want = calloc(t->optimizer->size, sizeof *want);
        want_loss = 0;
        memcpy(one->optimizer->theta, t->optimizer->theta, t->optimizer->size * sizeof(real));
        for (uint64_t number = FRAMES * step; number < FRAMES * (step + 1); number++) {
            const struct frame *f = dataset_choose(&dataset, p->seed, number);
            for (uint32_t m = 0; m < BATCH; m++)
                ids[m] = training_by_configuration(&t->setup)
                             ? m
                             : rng_permute(p->seed, STREAM_BATCH, number, m, f->n);
            assert_int_equal(trainer_gradient(one, f, number, BATCH, ids, &loss), STATUS_OK);
            double *own = gradient_of(one);
            for (size_t i = 0; i < t->optimizer->size; i++)
                want[i] += own[i] / FRAMES;
            want_loss += loss / FRAMES;
            scale = fmax(scale, fabs(loss));
            seen[f == frame[1]] = true;
            free(own);
        }
        assert_int_equal(trainer_step(t, &dataset, &loss), STATUS_OK);
        assert_int_equal(t->drawn, FRAMES * BATCH);
        double *got = gradient_of(t);
        assert_below(relative_error(t->optimizer->size, got, want), SLACK);
        assert_below(fabs(loss - want_loss) / scale, SLACK);
        free(got);
        free(want);
    }
    assert_true(seen[0] && seen[1]);
    for (int m = 0; m < 2; m++) {
        frame_destroy(&frame[m]);
        whole_free(&w[m]);
    }
    trainer_destroy(&t);
    trainer_destroy(&one);
}

static void test_frames_per_step(void **state) {
    (void)state;
    struct training_parameters p = {.loss = LOSS_DENOISING,
                                    .l_sm = 0.8,
                                    .sigma = 0.05,
                                    .batch = BATCH,
                                    .frames_per_step = FRAMES,
                                    .steps = 10,
                                    .rate = 1e-2,
                                    .average = 0.9,
                                    .second_decay = 0.99,
                                    .seed = 3};
    check_mean(&p, 200, 300, 0);
    p.noise_on = NOISE_ON_XG;
    p.noise = NOISE_RADEMACHER;
    check_mean(&p, 200, 300, 0);
    p.loss = LOSS_SCORE_MATCHING;
    p.divergence = DIVERGENCE_HUTCHINSON;
    check_mean(&p, 200, 300, 0.2);
    p.l_fpe = 0.5; /* by configuration */
    check_mean(&p, BATCH, BATCH, 0.2);
}

/* Trajectories are drawn by their weights, their frames alike. */
static void test_shares(void **state) {
    (void)state;
    enum { DRAWS = 20000 };
    struct frame frames[2][3];
    struct frame *pointer[2][3];
    int count[2][3] = {{0}};
    for (int m = 0; m < 6; m++)
        pointer[m / 3][m % 3] = &frames[m / 3][m % 3];
    struct dataset_part part[2] = {{3, 2, pointer[0]}, {1, 3, pointer[1]}};
    const struct dataset dataset = {2, part};
    for (uint64_t number = 0; number < DRAWS; number++) {
        const struct frame *f = dataset_choose(&dataset, 9, number);
        for (int m = 0; m < 6; m++)
            count[m / 3][m % 3] += f == pointer[m / 3][m % 3];
    }
    static const double share[2][3] = {{3.0 / 8, 3.0 / 8, 0}, {1.0 / 12, 1.0 / 12, 1.0 / 12}};
    for (int m = 0; m < 6; m++) {
        const double s = share[m / 3][m % 3];
        assert_below(fabs(count[m / 3][m % 3] - s * DRAWS), 4.5 * sqrt(DRAWS * s * (1 - s)));
    }
}

/* ---- weights ---- */

/* The configuration of a case of response.h5. */
static struct whole whole_of(hid_t group) {
    struct whole w = {.box = {.periodic = true}};
    size_t shape[5];
    double *x = vectors_reals(group, "x", NULL, shape), *g = vectors_reals(group, "g", NULL, NULL);
    w.n = shape[0];
    w.box.d = (int)shape[1];
    for (int a = 0; a < w.box.d; a++) {
        w.box.side[a] = vectors_attribute(group, "L");
        w.q[a] = malloc(w.n * sizeof *w.q[a]);
        w.g[a] = malloc(w.n * sizeof *w.g[a]);
        for (size_t i = 0; i < w.n; i++) {
            w.q[a][i] = position_to_integer(&w.box, a, x[i * shape[1] + (size_t)a]);
            w.g[a][i] = g[i * shape[1] + (size_t)a];
        }
    }
    free(x);
    free(g);
    return w;
}

/* The weights that a step gives to all particles, with a force that is cut where f(r_c) is `tolerance`, against
 * those of the reference: largest relative error, over all ranks. */
static double weight_error(hid_t group, double tolerance) {
    struct whole w = whole_of(group);
    struct system_force force = {.system = {.dimension = w.box.d,
                                            .v0 = vectors_attribute(group, "v0"),
                                            .k = vectors_attribute(group, "k"),
                                            .beta = vectors_attribute(group, "beta"),
                                            .gamma = vectors_attribute(group, "gamma")}};
    const struct simulation_parameters simulation = {.cutoff_tolerance = tolerance};
    const struct trainer_setup setup = {.network = network,
                                        .training = {.sigma = 1e-3,
                                                     .noise = NOISE_RADEMACHER,
                                                     .batch = (int)w.n,
                                                     .frames_per_step = 1,
                                                     .steps = 1,
                                                     .rate = 1,
                                                     .weighting = WEIGHTING_STIFFNESS,
                                                     .weighting_offset = 1000},
                                        .law = {.v0 = force.system.v0, .gamma = force.system.gamma},
                                        .d = w.box.d,
                                        .particles = w.n,
                                        .chunk = 200,
                                        .force = {.compute = system_force, .context = &force}};
    struct trainer *t = NULL;
    force.law = system_pair_law(&force.system, &simulation);
    struct frame *frame = frame_of(&w, force.law.cutoff, 0);
    assert_int_equal(frame_divergence(frame, comm, &setup.force), STATUS_OK);
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    uint32_t *ids = malloc(w.n * sizeof *ids);
    for (uint32_t i = 0; i < w.n; i++)
        ids[i] = i;
    double loss, error = 0, *want = vectors_reals(group, "L_dn/weight", NULL, NULL);
    assert_int_equal(trainer_gradient(t, frame, 0, w.n, ids, &loss), STATUS_OK);
    int64_t count = (int64_t)t->batch.count;
    comm_sum_integer(comm, &count, 1);
    assert_int_equal(count, w.n);
    for (size_t m = 0; m < t->batch.count; m++)
        error = fmax(error, fabs((double)t->batch.weight[m] / want[t->batch.id_host[m]] - 1));
    comm_max(comm, &error, 1);
    free(want);
    free(ids);
    trainer_destroy(&t);
    frame_destroy(&frame);
    whole_free(&w);
    return error;
}

/* The reference sums over pairs closer than 2.8: so does a force that is cut there. The usual cut-off is farther, where
 * a pair still adds up to 25 to sums of thousands. */
static void check_weights(hid_t group, const char *name) {
    (void)name;
    const double beta = vectors_attribute(group, "beta");
    assert_below(weight_error(group, log1p(exp(-0.8 * beta)) / beta), sizeof(real) == 4 ? 1e-6 : 1e-11);
    const double usual = weight_error(group, 1e-5);
    assert_below(usual, 0.03);
    assert_true(usual > 1e-6);
}

static void test_weights(void **state) {
    (void)state;
    vectors_for_each("response.h5", check_weights);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_frames_per_step), cmocka_unit_test(test_shares),
                                       cmocka_unit_test(test_weights)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
