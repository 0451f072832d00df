/* Score matching with exact divergences and stationarity: loss and gradient against reference data (network_trap: one
 * window of all particles, two networks, both shifts; network_window: windows of neighbours), and, for every form of
 * window, one network or two, exact or random directions, against finite differences; divergences too. */
#include "dynamics/system.h"
#include "learn/trainer.h"
#include "ranks.h"
#include "vectors.h"

static const bool WIDE = sizeof(real) == 8;

static struct network_parameters network_of(hid_t at) {
    hid_t network = H5Gopen2(at, "network", H5P_DEFAULT);
    const struct network_parameters p = {.kind = NETWORK_WINDOW,
                                         .width = (int)vectors_attribute(network, "W"),
                                         .hidden = (int)vectors_attribute(network, "H"),
                                         .feed_forward = (int)vectors_attribute(network, "F"),
                                         .heads = (int)vectors_attribute(network, "heads"),
                                         .blocks = (int)vectors_attribute(network, "blocks"),
                                         .layers = (int)vectors_attribute(network, "layers")};
    H5Gclose(network);
    return p;
}

/* A frame of a configuration given by every rank: x, g (n, d). */
static struct frame *frame_of(const struct box *box, size_t n, const double *x, const double *g, int k,
                              double least) {
    struct slice *slice = NULL;
    struct frame *frame = NULL;
    const size_t d = (size_t)box->d;
    assert_int_equal(slice_create(n, box->d, comm, &slice), STATUS_OK);
    for (size_t m = 0; m < slice->count * d; m++) {
        slice->q[m] = position_to_integer(box, (int)(m % d), x[slice->begin * d + m]);
        slice->g[m] = g[slice->begin * d + m];
        slice->image[m] = 0;
    }
    assert_int_equal(frame_create(ops_cpu(), comm, box, slice, NULL, false, k, least, 0, &frame), STATUS_OK);
    slice_destroy(&slice);
    return frame;
}

/* The file's tree `tree` (weights or a gradient) in the trainer's order. */
static double *read_tree(hid_t at, const char *tree, const struct tensors *t) {
    double *out = calloc(t->size, sizeof *out);
    for (int m = 0; m < t->count; m++) {
        char path[256];
        size_t count;
        snprintf(path, sizeof path, "%s/%s", tree, t->list[m].name);
        double *values = vectors_reals(at, path, &count, NULL);
        assert_int_equal(count, (size_t)t->list[m].rows * (size_t)t->list[m].columns);
        memcpy(out + t->list[m].offset, values, count * sizeof *values);
        free(values);
    }
    return out;
}

static void set_weights(struct trainer *t, const double *weights) {
    for (size_t i = 0; i < t->scores->tensors.size; i++)
        t->optimizer->theta[i] = t->optimizer->average[i] = (real)weights[i];
}

static void expect_gradient(const struct trainer *t, hid_t at, const char *tree, double limit) {
    const size_t size = t->scores->tensors.size;
    double *want = read_tree(at, tree, &t->scores->tensors), *mine = calloc(size, sizeof *mine);
    for (size_t i = 0; i < size; i++)
        mine[i] = (double)t->gradient[i];
    assert_below(relative_error(size, mine, want), limit);
    free(want);
    free(mine);
}

static void expect_number(double value, hid_t at, const char *name, double limit) {
    double *want = vectors_reals(at, name, NULL, NULL);
    assert_below(fabs(value - *want) / fabs(*want), limit);
    free(want);
}

/* ---- network_trap ---- */

static struct trainer *trap_trainer(hid_t at, const struct system_force *force, size_t n, double l_fpe,
                                    enum score_shift shift) {
    struct trainer_setup setup = {
        .network = network_of(at),
        .training =
            {.loss = LOSS_SCORE_MATCHING, .l_sm = 1, .l_fpe = l_fpe, .batch = 24, .steps = 10, .rate = 1e-3},
        .law = {force->system.v0, force->system.gamma, force->system.eps, shift, false},
        .d = 2,
        .particles = n,
        .with_x = true,
        .chunk = 20, /* several chunks, several groups of directions */
        .force = {.compute = system_force, .context = force}};
    setup.network.window = WINDOW_ALL;
    setup.network.neighbours = (int)n - 1;
    struct trainer *t = NULL;
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    double *weights = read_tree(at, "weights", &t->scores->tensors);
    set_weights(t, weights);
    free(weights);
    return t;
}

static void check_trap(hid_t at, const char *name) {
    (void)name;
    const size_t n = (size_t)vectors_attribute(at, "N"), copies = (size_t)vectors_attribute(at, "B");
    const struct system_force force = {.system = {.dimension = 2,
                                                  .v0 = vectors_attribute(at, "v0"),
                                                  .k = vectors_attribute(at, "k"),
                                                  .beta = vectors_attribute(at, "beta"),
                                                  .trap = vectors_attribute(at, "A"),
                                                  .gamma = vectors_attribute(at, "gamma"),
                                                  .eps = vectors_attribute(at, "eps")},
                                       .law = {.beta = vectors_attribute(at, "beta"), .cutoff = 60}};
    struct box box = vectors_box(at, 2);
    double *x = vectors_reals(at, "x", NULL, NULL), *g = vectors_reals(at, "g", NULL, NULL), loss;
    uint32_t ids[64];
    box.group = (uint32_t)n;
    box.groups = (uint32_t)copies;
    for (uint32_t m = 0; m < 64; m++)
        ids[m] = m;
    struct frame *frame = frame_of(&box, n * copies, x, g, (int)n - 1, 0);
    struct trainer *t = trap_trainer(at, &force, n, vectors_attribute(at, "l_fpe"), SHIFT_FORCE);
    assert_int_equal(trainer_gradient(t, frame, 0, n * copies, ids, &loss), STATUS_OK);
    expect_number(loss, at, "L", WIDE ? 1e-10 : 1e-5);
    expect_gradient(t, at, "gradient", WIDE ? 1e-10 : 1e-5);
    trainer_destroy(&t);
    t = trap_trainer(at, &force, n, 0, SHIFT_FORCE); /* the term of score matching alone */
    assert_int_equal(trainer_gradient(t, frame, 0, n * copies, ids, &loss), STATUS_OK);
    expect_number(loss * 2 * (double)n * 2, at, "L_sm", WIDE ? 1e-10 : 1e-5);
    expect_gradient(t, at, "gradient_of_L_sm_term", WIDE ? 1e-10 : 1e-5);
    trainer_destroy(&t);
    t = trap_trainer(at, &force, n, 1, SHIFT_DRIFT);
    assert_int_equal(trainer_gradient(t, frame, 0, n * copies, ids, &loss), STATUS_OK);
    expect_number(loss, at, "shift_b_over_eps/L", WIDE ? 1e-10 : 1e-5);
    trainer_destroy(&t);
    frame_destroy(&frame);
    free(x);
    free(g);
}

static void test_trap(void **state) {
    (void)state;
    vectors_for_each("network_trap.h5", check_trap);
}

/* ---- network_window ---- */

static void check_window(hid_t at, const char *name) {
    (void)name;
    hid_t network = H5Gopen2(at, "network", H5P_DEFAULT), group = H5Gopen2(at, "L_sm", H5P_DEFAULT);
    struct trainer_setup setup = {
        .network = network_of(at),
        .training = {.loss = LOSS_SCORE_MATCHING, .l_sm = 1, .batch = 64, .steps = 10, .rate = 1e-3},
        .law = {.gamma = 1},
        .d = (int)vectors_attribute(network, "d"),
        .particles = (size_t)vectors_attribute(at, "N"),
        .chunk = 50};
    setup.network.neighbours = (int)vectors_attribute(network, "n");
    const struct box box = vectors_box(at, setup.d);
    double *x = vectors_reals(at, "x", NULL, NULL), *g = vectors_reals(at, "g", NULL, NULL), loss;
    size_t batch;
    int *index = vectors_integers(at, "batch", &batch, NULL);
    struct frame *frame = frame_of(&box, setup.particles, x, g, setup.network.neighbours, 0);
    struct trainer *t = NULL;
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    double *weights = read_tree(at, "weights", &t->scores->tensors);
    set_weights(t, weights);
    assert_int_equal(trainer_gradient(t, frame, 0, batch, (const uint32_t *)index, &loss), STATUS_OK);
    expect_number(loss, group, "loss", WIDE ? 1e-10 : 1e-4);
    expect_gradient(t, group, "gradient", WIDE ? 1e-10 : 1e-4);
    trainer_destroy(&t);
    frame_destroy(&frame);
    free(index);
    free(weights);
    free(x);
    free(g);
    H5Gclose(network);
    H5Gclose(group);
}

static void test_window(void **state) {
    (void)state;
    vectors_for_each("network_window.h5", check_window);
}

/* ---- finite differences ---- */

enum { PER_COPY = 5, COPIES = 4, TOTAL = PER_COPY * COPIES, D = 2 };

/* Swimmers in a trap: few, and all see each other. (For periodic windows the open box is as good as any.) */
static const struct system_force swimmers = {
    .system = {.dimension = D, .v0 = 0.3, .k = 1.5, .beta = 5, .trap = 0.2, .gamma = 0.4, .eps = 0.25},
    .law = {.beta = 5, .cutoff = 6}};
static const struct box swimmers_box = {
    .d = D, .periodic = false, .side = {40, 40}, .group = PER_COPY, .groups = COPIES};

static void place_swimmers(double x[TOTAL * D], double g[TOTAL * D]) {
    for (uint32_t m = 0; m < TOTAL * D; m++) {
        uint32_t word[4];
        rng_words(11, STREAM_PROBE, m, 0, 0, word);
        x[m] = 4 * rng_uniform(word[0]) - 2;
        g[m] = 2 * rng_uniform(word[1]) - 1;
    }
}

static struct trainer *swimmers_trainer(enum window_kind window, enum score_heads heads,
                                        enum score_shift shift, enum divergence_kind divergence,
                                        double l_fpe) {
    const struct trainer_setup setup = {
        .network = {.kind = NETWORK_WINDOW,
                    .width = 8,
                    .hidden = 6,
                    .feed_forward = 10,
                    .heads = 2,
                    .blocks = 2,
                    .layers = 1,
                    .neighbours = window == WINDOW_ALL ? PER_COPY - 1 : 3,
                    .window = window,
                    .scores = heads},
        .training = {.loss = LOSS_SCORE_MATCHING,
                     .l_sm = 0.7,
                     .l_fpe = l_fpe,
                     .divergence = divergence,
                     .batch = TOTAL,
                     .steps = 10,
                     .rate = 1e-3,
                     .seed = 5},
        .law = {swimmers.system.v0, swimmers.system.gamma, swimmers.system.eps, shift, false},
        .d = D,
        .particles = PER_COPY,
        .with_x = true,
        .chunk = 13,
        .force = {.compute = system_force, .context = &swimmers}};
    struct trainer *t = NULL;
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    return t;
}

static double loss_at(struct trainer *t, const struct frame *frame, const double *start,
                      const double *direction, double step) {
    uint32_t ids[TOTAL];
    double loss;
    for (uint32_t m = 0; m < TOTAL; m++)
        ids[m] = m;
    for (size_t i = 0; i < t->scores->tensors.size; i++)
        t->optimizer->theta[i] = (real)(start[i] + step * direction[i]);
    assert_int_equal(trainer_gradient(t, frame, 3, TOTAL, ids, &loss), STATUS_OK);
    return loss;
}

static void check_gradient(struct trainer *t, const struct frame *frame) {
    const size_t size = t->scores->tensors.size;
    const double h = 1e-5;
    double *start = calloc(size, sizeof *start), *direction = calloc(size, sizeof *direction), along = 0;
    for (size_t i = 0; i < size; i++) {
        uint32_t word[4];
        rng_words(2, STREAM_PROBE, (uint32_t)i, 1, 0, word);
        start[i] = (double)t->optimizer->theta[i] + 0.1 * (rng_uniform(word[0]) - 0.5); /* biases, too */
        direction[i] = 2 * rng_uniform(word[1]) - 1;
    }
    loss_at(t, frame, start, direction, 0);
    for (size_t i = 0; i < size; i++)
        along += (double)t->gradient[i] * direction[i];
    const double slope =
        (loss_at(t, frame, start, direction, h) - loss_at(t, frame, start, direction, -h)) / (2 * h);
    assert_below(fabs(slope - along) / fabs(slope), 1e-6);
    free(start);
    free(direction);
}

static void test_gradients(void **state) {
    (void)state;
    double x[TOTAL * D], g[TOTAL * D];
    place_swimmers(x, g);
    for (int window = WINDOW_LOCAL; window <= WINDOW_ALL; window++)
        for (int heads = 0; heads < 2; heads++)
            for (int divergence = 0; divergence < 2; divergence++)
                for (int fpe = 0; fpe < 2; fpe++) {
                    struct trainer *t =
                        swimmers_trainer((enum window_kind)window, (enum score_heads)heads, SHIFT_FORCE,
                                         (enum divergence_kind)divergence, 0.4 * fpe);
                    struct frame *frame =
                        frame_of(&swimmers_box, TOTAL, x, g, t->setup.network.neighbours, 0);
                    check_gradient(t, frame);
                    trainer_destroy(&t);
                    frame_destroy(&frame);
                }
}

/* Scores of particle 0 of copy 0, and their divergences, with coordinate a of x or g moved. */
static void flow_at(struct trainer *t, int moved, double amount, double s_x[D], double s_g[D],
                    double div[2]) {
    double x[TOTAL * D], g[TOTAL * D], values[2 * PER_COPY * (4 * D + 4)] = {0}, force[TOTAL * D],
                                                                      div_f[TOTAL];
    place_swimmers(x, g);
    if (moved >= 0)
        (moved < D ? x : g)[moved % D] += amount;
    struct frame *f = frame_of(&swimmers_box, TOTAL, x, g, t->setup.network.neighbours, 0);
    const int64_t local = frame_find(f, 0);
    if (local >= 0) {
        const size_t k = (size_t)f->k, rows = (size_t)t->scores->decoded;
        uint32_t at = (uint32_t)local, near[PER_COPY];
        double rows_g[PER_COPY * D], rows_f[PER_COPY * D], rows_div[PER_COPY];
        assert_int_equal(system_force(&swimmers, f->particles, &swimmers_box, force, div_f), STATUS_OK);
        memcpy(near, f->nearest + at * k, k * sizeof *near);
        for (size_t r = 0; r < rows; r++) {
            const size_t i = r == 0 ? at : near[r - 1];
            for (size_t a = 0; a < D; a++) {
                rows_g[r * D + a] = f->particles->g[a][i];
                rows_f[r * D + a] = force[i * D + a];
            }
            rows_div[r] = div_f[i];
        }
        const struct score_rows physics = {
            .rows = rows, .g = rows_g, .force = rows_f, .divergence = rows_div};
        const struct flow_rows flow = flow_rows_of(values, rows, D);
        const struct score_input in = frame_windows(f, 1, &at, near);
        assert_int_equal(scores_flow(t->scores, t->optimizer->average, &t->setup.law, &in, &physics, &flow),
                         STATUS_OK);
        memcpy(s_x, flow.s_x, D * sizeof *s_x);
        memcpy(s_g, flow.s_g, D * sizeof *s_g);
        div[0] = flow.div_s_x[0];
        div[1] = flow.div_s_g[0];
    }
    frame_destroy(&f);
}

static void test_divergences(void **state) {
    (void)state;
    const double h = 1e-5;
    for (int window = WINDOW_LOCAL; window <= WINDOW_ALL; window++)
        for (int heads = 0; heads < 2; heads++)
            for (int shift = SHIFT_NONE; shift <= SHIFT_DRIFT; shift++) {
                struct trainer *t = swimmers_trainer((enum window_kind)window, (enum score_heads)heads,
                                                     (enum score_shift)shift, DIVERGENCE_EXACT, 0);
                double s[2][2][D] = {{{0}}}, div[2] = {0}, unused[2], sum[2] = {0};
                for (int moved = 0; moved < 2 * D; moved++) {
                    flow_at(t, moved, h, s[0][0], s[0][1], unused);
                    flow_at(t, moved, -h, s[1][0], s[1][1], unused);
                    sum[moved / D] += (s[0][moved / D][moved % D] - s[1][moved / D][moved % D]) / (2 * h);
                }
                flow_at(t, -1, 0, s[0][0], s[0][1], div);
                assert_below(fabs(div[0] - sum[0]) / (1 + fabs(sum[0])), 1e-7);
                assert_below(fabs(div[1] - sum[1]) / (1 + fabs(sum[1])), 1e-7);
                trainer_destroy(&t);
            }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_trap), cmocka_unit_test(test_window),
                                       cmocka_unit_test(test_gradients), cmocka_unit_test(test_divergences)};
    return run_on_ranks(argc, argv, tests, WIDE ? 4 : 2); /* differences need float64 */
}
