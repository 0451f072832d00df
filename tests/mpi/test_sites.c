/* Windows of lattice sites: the neighbours of a particle are those whose sites are next to its own, wherever the
 * particles are, on any number of ranks; against brute force. */
#include "dynamics/system.h"
#include "learn/trainer.h"
#include "ranks.h"

enum { NX = 20, NY = 16, N = NX * NY, NEAR = 18 };

static double site_distance(const struct box *box, const struct lattice *lattice, uint32_t i, uint32_t j) {
    uint64_t site[MAX_DIMENSION], other[MAX_DIMENSION];
    double square = 0;
    lattice_site(lattice, i, site);
    lattice_site(lattice, j, other);
    for (int a = 0; a < box->d; a++) {
        const double delta = (double)(int64_t)(site[a] - other[a]) * (box->side[a] * 0x1p-64);
        square += delta * delta;
    }
    return sqrt(square);
}

static void test_neighbours(void **state) {
    (void)state;
    const struct system_parameters system = {.kind = SYSTEM_CRYSTAL,
                                             .dimension = 2,
                                             .particles = N,
                                             .copies = 1,
                                             .box_sides = 2,
                                             .box = {NX * 2.1, NY * 1.8},
                                             .spring = 1};
    const struct box box = system_box(&system);
    const struct lattice lattice = system_lattice(&system);
    struct slice *slice = NULL;
    struct frame *frame = NULL;
    assert_int_equal(slice_create(N, 2, comm, &slice), STATUS_OK);
    for (size_t i = 0; i < slice->count; i++) {
        uint32_t word[4];
        uint64_t site[MAX_DIMENSION];
        rng_words(4, STREAM_PROBE, (uint32_t)(slice->begin + i), 0, 0, word);
        lattice_site(&lattice, (uint32_t)(slice->begin + i), site);
        for (int a = 0; a < 2; a++) { /* displaced by up to 1.5: more than half the distance between sites */
            slice->q[2 * i + (size_t)a] =
                site[a] + position_to_integer(&box, a, 3 * rng_uniform(word[a]) - 1.5);
            slice->g[2 * i + (size_t)a] = 0;
        }
    }
    assert_int_equal(frame_create(ops_cpu(), comm, &box, slice, &lattice, true, NEAR, 0, 0, &frame),
                     STATUS_OK);
    const struct particles *p = frame->particles;
    for (size_t i = 0; i < p->owned; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(&lattice, p->id[i], site);
        for (int a = 0; a < 2; a++) /* the positions are back in place */
            assert_below(fabs((double)(int64_t)(p->q[a][i] - site[a]) * box.side[a] * 0x1p-64), 1.51);
        double last = 0;
        for (int m = 0; m < NEAR; m++) {
            const uint32_t j = frame->nearest[i * NEAR + (size_t)m];
            assert_true(j < p->owned + p->ghosts);
            const double r = site_distance(&box, &lattice, p->id[i], p->id[j]);
            assert_true(r >= last - 1e-9 && p->id[j] != p->id[i]);
            last = r;
        }
        size_t nearer = 0; /* no particle that is left out is nearer than the last one */
        for (uint32_t j = 0; j < N; j++)
            nearer += j != p->id[i] && site_distance(&box, &lattice, p->id[i], j) < last - 1e-9;
        assert_true(nearer < NEAR);
    }
    for (size_t i = p->owned; i < p->owned + p->ghosts; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(&lattice, p->id[i], site);
        double away = 0;
        for (int a = 0; a < 2; a++)
            away += fabs((double)(int64_t)(p->q[a][i] - site[a]) * box.side[a] * 0x1p-64);
        assert_true(away > 0 && away < 3.02); /* a ghost is where its owner is, not at its site */
    }
    frame_destroy(&frame);
    slice_destroy(&slice);
}

/* ---- the linear term, on a small crystal: the gradient of denoising, and the divergence ---- */

static const struct system_parameters small = {.kind = SYSTEM_CRYSTAL,
                                               .dimension = 2,
                                               .particles = 80,
                                               .copies = 1,
                                               .box_sides = 2,
                                               .box = {21, 14.4},
                                               .v0 = 0.3,
                                               .gamma = 0.2,
                                               .spring = 1};

/* Displaced particles; g of particle 0 moved along an axis. */
static struct frame *small_frame(const struct system_force *force, int axis, double amount) {
    const struct box box = system_box(&small);
    const struct lattice lattice = system_lattice(&small);
    struct slice *slice = NULL;
    struct frame *frame = NULL;
    assert_int_equal(slice_create(80, 2, comm, &slice), STATUS_OK);
    for (size_t i = 0; i < slice->count; i++) {
        uint32_t word[4];
        uint64_t site[MAX_DIMENSION];
        const uint32_t id = (uint32_t)(slice->begin + i);
        rng_words(6, STREAM_PROBE, id, 0, 0, word);
        lattice_site(&lattice, id, site);
        for (int a = 0; a < 2; a++) {
            slice->q[2 * i + (size_t)a] =
                site[a] + position_to_integer(&box, a, 0.6 * rng_uniform(word[a]) - 0.3);
            slice->g[2 * i + (size_t)a] =
                2 * rng_uniform(word[2 + a]) - 1 + (id == 0 && a == axis ? amount : 0);
        }
    }
    assert_int_equal(
        frame_create(ops_cpu(), comm, &box, slice, &lattice, true, 18, force->law.cutoff, 0, &frame),
        STATUS_OK);
    assert_int_equal(
        frame_push(frame, comm, &(struct force_law){.compute = system_force, .context = force}, small.v0),
        STATUS_OK);
    slice_destroy(&slice);
    return frame;
}

static struct trainer *small_trainer(const struct system_force *force, enum linear_term term) {
    const struct trainer_setup setup = {
        .network = {.kind = NETWORK_WINDOW,
                    .width = 8,
                    .hidden = 6,
                    .feed_forward = 10,
                    .heads = 2,
                    .blocks = 1,
                    .layers = 1,
                    .neighbours = 18,
                    .window = WINDOW_LATTICE,
                    .linear_term = term},
        .training = {.loss = LOSS_DENOISING, .sigma = 0.3, .batch = 40, .steps = 10, .rate = 1e-3, .seed = 5},
        .law = {small.v0, small.gamma, 0, SHIFT_FORCE, false},
        .d = 2,
        .particles = 80,
        .chunk = 100,
        .force = {.compute = system_force, .context = force}};
    struct trainer *t = NULL;
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    for (size_t i = 0; i < t->scores->tensors.size; i++) { /* biases and the linear term, too */
        uint32_t word[4];
        rng_words(2, STREAM_PROBE, (uint32_t)i, 1, 0, word);
        t->optimizer->theta[i] += (real)(0.1 * (rng_uniform(word[0]) - 0.5));
        t->optimizer->average[i] = t->optimizer->theta[i];
    }
    return t;
}

static double loss_along(struct trainer *t, const struct frame *frame, double step) {
    uint32_t ids[40];
    double loss;
    for (uint32_t m = 0; m < 40; m++)
        ids[m] = 2 * m;
    for (size_t i = 0; i < t->scores->tensors.size; i++) {
        uint32_t word[4];
        rng_words(2, STREAM_PROBE, (uint32_t)i, 2, 0, word);
        t->optimizer->theta[i] = t->optimizer->average[i] + (real)(step * (2 * rng_uniform(word[0]) - 1));
    }
    assert_int_equal(trainer_gradient(t, frame, 3, 40, ids, &loss), STATUS_OK);
    return loss;
}

static void check_gradient(enum linear_term term) {
    const struct system_force force = {small,
                                       system_pair_law(&small, &(struct simulation_parameters){.dt = 0.1})};
    struct frame *frame = small_frame(&force, 0, 0);
    struct trainer *t = small_trainer(&force, term);
    const double h = 1e-5;
    double along = 0;
    loss_along(t, frame, 0);
    for (size_t i = 0; i < t->scores->tensors.size; i++) {
        uint32_t word[4];
        rng_words(2, STREAM_PROBE, (uint32_t)i, 2, 0, word);
        along += (double)t->gradient[i] * (2 * rng_uniform(word[0]) - 1);
    }
    const double slope = (loss_along(t, frame, h) - loss_along(t, frame, -h)) / (2 * h);
    assert_below(fabs(slope - along) / fabs(slope), 1e-6);
    trainer_destroy(&t);
    frame_destroy(&frame);
}

/* s_g of particle 0 and its divergence, where it is. False on the other ranks. */
static bool flow_of_first(struct trainer *t, const struct system_force *force, int axis, double amount,
                          double s[2], double *divergence) {
    struct frame *f = small_frame(force, axis, amount);
    const int64_t local = frame_find(f, 0);
    if (local >= 0) {
        const uint32_t at = (uint32_t)local;
        const double g[2] = {f->particles->g[0][at], f->particles->g[1][at]}, none[2] = {0};
        double values[4 * 2 + 5]; /* flow_numbers(2) */
        const struct score_rows rows = {.rows = 1, .g = g, .force = none, .divergence = none};
        const struct flow_rows flow = flow_rows_of(values, 1, 2);
        const struct score_input in = frame_windows(f, 1, &at, f->nearest + at * 18);
        assert_int_equal(scores_flow(t->scores, t->optimizer->average, &t->setup.law, &in, &rows, &flow),
                         STATUS_OK);
        memcpy(s, flow.s_g, 2 * sizeof *s);
        *divergence = flow.div_s_g[0];
    }
    frame_destroy(&f);
    return local >= 0;
}

static void check_divergence(enum linear_term term) {
    const struct system_force force = {small,
                                       system_pair_law(&small, &(struct simulation_parameters){.dt = 0.1})};
    struct trainer *t = small_trainer(&force, term);
    const double h = 1e-5;
    double s[2][2], divergence = 0, unused, sum = 0;
    for (int a = 0; a < 2; a++) {
        flow_of_first(t, &force, a, h, s[0], &unused);
        if (flow_of_first(t, &force, a, -h, s[1], &unused))
            sum += (s[0][a] - s[1][a]) / (2 * h);
    }
    if (flow_of_first(t, &force, 0, 0, s[0], &divergence))
        assert_below(fabs(divergence - sum) / fabs(sum), 1e-7);
    trainer_destroy(&t);
}

static void test_linear_term(void **state) {
    (void)state;
    for (int term = LINEAR_TERM_OFF; term <= LINEAR_TERM_VELOCITY; term++) {
        check_gradient((enum linear_term)term);
        check_divergence((enum linear_term)term);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_neighbours), cmocka_unit_test(test_linear_term)};
    return run_on_ranks(argc, argv, tests, sizeof(real) == 8 ? 2 : 1); /* differences need float64 */
}
