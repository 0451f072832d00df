/* Whole models on the CUDA table beside the CPU table, on any number of ranks: scores, divergences, the gradient of a batch,
 * and what training makes of the weights. */
#include "both.h"

#include "learn/trainer.h"
#include "mpi/ranks.h"
#include "ops/softplus_formula.h"

/* Relative to the largest: what float32 sums in another order lead to, after some ten products one after the other; or so
 * many times what the CPU table makes of propulsions that are changed by half of float32's last place, where that is more. A
 * response network magnifies changes: differences of large numbers, logarithms of small ones, in three dimensions 1/|T_u|.
 */
static const double LEAST = 2e-5, TIMES = 10, MOST = 5e-2, PLACE = 6e-8;
/* The checked library makes tests slow: one study of each kind. */
#ifdef EPFLOW_TEST_CHECKED
enum { CHECKED = 1 };
#else
enum { CHECKED = 0 };
#endif
enum { STEPS = 2, BATCH = 60, PROBES = 2 };

/* A model and what it is applied to. */
struct study {
    const char *name;
    int d;
    size_t cells;        /* along an axis */
    const char *network; /* sections of a configuration */
    const char *training;
};

struct setting {
    struct config config;
    struct box box;
    size_t n;
    double *x, *g; /* (n, d) */
};

/* A lattice with a particle in most cells, moved at random: most are farther than 1.2 from each other. */
static struct setting setting_of(const struct study *study) {
    const double spacing = 2, side = spacing * (double)study->cells;
    const size_t d = (size_t)study->d;
    struct setting s = {.box = {.d = study->d, .periodic = true, .side = {side, side, side}}};
    char text[1024];
    size_t all = 1;
    for (size_t a = 0; a < d; a++)
        all *= study->cells;
    s.x = malloc(all * d * sizeof *s.x);
    s.g = malloc(all * d * sizeof *s.g);
    for (size_t m = 0; m < all; m++) {
        if (m % 8 == 5)
            continue;
        for (size_t a = 0, cell = m; a < d; a++, cell /= study->cells) {
            s.x[s.n * d + a] =
                spacing * (double)(cell % study->cells) + 0.8 * both_number(1 + (uint32_t)a, m);
            s.g[s.n * d + a] = 4 * both_number(4 + (uint32_t)a, m) - 2;
        }
        s.n++;
    }
    snprintf(text, sizeof text,
             "system: {particles: %zu, dimension: %d, box: %.17g, gamma: 1e-2}\n%s\n"
             "training: {noise_on: g, batch: %d, steps: 100, warm_up: 1, sigma: 0.1, %s}\noutput: "
             "{directory: out}\n",
             s.n, study->d, side, study->network, BATCH, study->training);
    if (config_parse(study->name, text, 0, NULL, &s.config) != STATUS_OK)
        fail_msg("%s: %s", study->name, status_message());
    return s;
}

/* Propulsions that nearly balance forces, as those of a trajectory do: what g was becomes the velocity over v0. */
static void balance(struct setting *s) {
    const struct system_parameters *of = &s->config.system;
    const size_t d = (size_t)s->box.d;
    for (size_t i = 0; i < s->n; i++)
        for (size_t j = 0; j < s->n; j++) {
            double delta[MAX_DIMENSION], square = 0;
            for (size_t a = 0; a < d; a++) {
                delta[a] = s->x[i * d + a] - s->x[j * d + a];
                delta[a] -= s->box.side[a] * rint(delta[a] / s->box.side[a]);
                square += delta[a] * delta[a];
            }
            const double r = sqrt(square), force = of->k * pair_force_d(r, of->beta, 1 / of->beta);
            for (size_t a = 0; a < d && i != j && r < 4; a++)
                s->g[i * d + a] -= force * delta[a] / r / of->v0;
        }
}

static struct frame *frame_of(const struct ops *ops, const struct setting *s) {
    struct slice *slice = NULL;
    struct frame *frame = NULL;
    const struct network_parameters *network = &s->config.network;
    const bool graph = network->kind == NETWORK_RESPONSE;
    const size_t d = (size_t)s->box.d;
    assert_int_equal(slice_create(s->n, s->box.d, comm, &slice), STATUS_OK);
    for (size_t m = 0; m < slice->count * d; m++) {
        slice->q[m] = position_to_integer(&s->box, (int)(m % d), s->x[slice->begin * d + m]);
        slice->g[m] = s->g[slice->begin * d + m];
        slice->image[m] = 0;
    }
    const double reach = graph ? graph_reach(&network->response, &s->config.system) : 0;
    if (frame_create(ops, comm, &s->box, slice, NULL, false, graph ? 0 : network->neighbours, reach, 0,
                     &frame) != STATUS_OK)
        fail_msg("%s: %s", ops->name, status_message());
    if (graph)
        assert_int_equal(frame_graph(frame, comm, &network->response, &s->config.system), STATUS_OK);
    slice_destroy(&slice);
    return frame;
}

/* ---- what a table finds, on the host ---- */

enum { KINDS = 6 };
static const char *const kinds[KINDS] = {"score",   "divergence", "gradient",
                                         "weights", "average",    "losses and the resolved fraction"};
struct findings {
    double *of[KINDS];
    size_t size[KINDS];
};

static void keep(struct findings *f, int kind, const struct ops *ops, const real *device, size_t count) {
    real *host = malloc((count + 1) * sizeof *host);
    ops->to_host(ops, host, device, count * sizeof *host);
    if (ops->synchronise(ops) != STATUS_OK)
        fail_msg("%s: %s", ops->name, status_message());
    f->of[kind] = malloc((count + 1) * sizeof **f->of);
    f->size[kind] = count;
    for (size_t i = 0; i < count; i++)
        f->of[kind][i] = (double)host[i];
    free(host);
}

/* Of all owned particles, at the trainer's weights. */
static void find_scores(struct findings *f, const struct ops *ops, struct trainer *t, struct frame *frame) {
    const size_t owned = frame->particles->owned, d = (size_t)t->scores->d;
    uint32_t *host = malloc((owned + 1) * sizeof *host), *centre = NULL;
    real *s = NULL, *divergence = NULL;
    for (size_t i = 0; i < owned; i++)
        host[i] = (uint32_t)i;
    assert_int_equal(ops->allocate(ops, owned * sizeof *centre, (void **)&centre), STATUS_OK);
    assert_int_equal(ops->allocate(ops, owned * d * sizeof *s, (void **)&s), STATUS_OK);
    assert_int_equal(ops->allocate(ops, owned * sizeof *divergence, (void **)&divergence), STATUS_OK);
    ops->to_device(ops, centre, host, owned * sizeof *centre);
    struct score_input in = frame_windows(frame, owned, centre, frame->nearest);
    in.probes.seed = 5;
    in.probes.count = PROBES;
    if (score_divergence(t->scores->part[0].model, t->optimizer->theta, &in, s, divergence) != STATUS_OK)
        fail_msg("%s: %s", ops->name, status_message());
    keep(f, 0, ops, s, owned * d);
    keep(f, 1, ops, divergence, owned);
    ops->release(ops, centre);
    ops->release(ops, s);
    ops->release(ops, divergence);
    free(host);
}

/* The gradient of one batch, then some steps, then the test on held-out frames. */
static void find_training(struct findings *f, const struct ops *ops, struct trainer *t, struct frame *frame) {
    struct frame *frames[] = {frame, frame};
    struct dataset_part part = {1, 2, frames};
    struct dataset dataset = {1, &part};
    struct trainer_result result, each;
    uint32_t ids[BATCH];
    const size_t size = t->optimizer->size;
    double *numbers = calloc(STEPS + 2, sizeof *numbers);
    for (uint32_t m = 0; m < BATCH; m++)
        ids[m] = rng_permute(9, STREAM_BATCH, 0, m, (uint32_t)frame->n);
    if (trainer_gradient(t, frame, 7, BATCH, ids, &numbers[0]) != STATUS_OK)
        fail_msg("%s: %s", ops->name, status_message());
    keep(f, 2, ops, t->gradient, size);
    for (int m = 0; m < STEPS; m++)
        if (trainer_step(t, &dataset, &numbers[1 + m]) != STATUS_OK)
            fail_msg("%s: %s", ops->name, status_message());
    keep(f, 3, ops, t->optimizer->theta, size);
    keep(f, 4, ops, t->optimizer->average, size);
    frame->exact = 1;
    if (trainer_test(t, &dataset, 0, &result, &each) != STATUS_OK)
        fail_msg("%s: %s", ops->name, status_message());
    numbers[STEPS + 1] = result.resolved_fraction;
    f->of[5] = numbers;
    f->size[5] = STEPS + 2;
}

/* What the test on held-out frames needs of the dynamics: no force. */
static enum status no_force(const void *context, const struct particles *p, const struct box *box,
                            double *force, double *divergence) {
    (void)context;
    memset(force, 0, p->owned * (size_t)box->d * sizeof *force);
    memset(divergence, 0, p->owned * sizeof *divergence);
    return STATUS_OK;
}

static struct findings find(const struct ops *ops, const struct setting *s) {
    struct findings f = {{NULL}, {0}};
    struct trainer *t = NULL;
    struct frame *frame = frame_of(ops, s);
    const struct trainer_setup setup = {.network = s->config.network,
                                        .training = s->config.training,
                                        .law = {.gamma = s->config.system.gamma, .v0 = s->config.system.v0},
                                        .d = s->box.d,
                                        .particles = s->n,
                                        .chunk = 200,
                                        .force = {no_force, NULL}};
    if (trainer_create(ops, comm, &setup, NULL, &t) != STATUS_OK)
        fail_msg("%s: %s", ops->name, status_message());
    find_scores(&f, ops, t, frame);
    find_training(&f, ops, t, frame);
    if (ops->synchronise(ops) != STATUS_OK)
        fail_msg("%s: %s", ops->name, status_message());
    trainer_destroy(&t);
    frame_destroy(&frame);
    return f;
}

/* The largest difference over the largest number. */
static double apart(const struct findings *one, const struct findings *other, int kind) {
    double difference = 0, size = 1e-300;
    assert_int_equal(one->size[kind], other->size[kind]);
    for (size_t i = 0; i < one->size[kind]; i++) {
        const double error = fabs(other->of[kind][i] - one->of[kind][i]);
        size = fmax(size, fabs(one->of[kind][i]));
        if (!(error <= difference))
            difference = isnan(error) ? INFINITY : error;
    }
    return difference / size;
}

static void findings_free(struct findings *f) {
    for (int k = 0; k < KINDS; k++)
        free(f->of[k]);
}

static void study(const struct study *study) {
    struct setting s = setting_of(study);
    balance(&s);
    const struct device_messages *messages = epflow_cuda_messages(cuda);
    if (comm_size(comm) > 1 && !messages)
        skip(); /* built without NCCL */
    struct findings want = find(cpu, &s);
    assert_int_equal(comm_use_device(comm, comm_size(comm) > 1 ? messages : NULL), STATUS_OK);
    struct findings got = find(cuda, &s);
    assert_int_equal(comm_use_device(comm, NULL), STATUS_OK);
    for (size_t m = 0; m < s.n * (size_t)s.box.d; m++)
        s.g[m] *= 1 + PLACE * (2 * both_number(9, m) - 1);
    struct findings moved = find(cpu, &s);
    for (int k = 0; k < KINDS; k++) {
        const double error = apart(&want, &got, k), natural = apart(&want, &moved, k);
        const double most = fmin(fmax(LEAST, TIMES * natural), MOST);
        if (getenv("EPFLOW_TEST_VERBOSE"))
            print_message("%s, %s: %.2g; %.2g by itself\n", study->name, kinds[k], error, natural);
        if (!(error <= most))
            fail_msg("%s, %s: %g apart, relative to the largest (at most %g)", study->name, kinds[k], error,
                     most);
    }
    findings_free(&want);
    findings_free(&got);
    findings_free(&moved);
    free(s.x);
    free(s.g);
}

#define WINDOW                                                                                               \
    "network: {kind: window, width: 16, hidden: 16, feed_forward: 24, heads: 2, blocks: 2, layers: 2, "      \
    "neighbours: 9}"

static void windows(void **state) {
    (void)state;
    study(&(struct study){"window network, d = 2", 2, 12, WINDOW, "optimizer: radam"});
    if (!CHECKED)
        study(&(struct study){"window network, d = 3", 3, 5, WINDOW, "optimizer: adam"});
}

static void response(void **state) {
    (void)state;
    study(&(struct study){"response network with sweeps, d = 2", 2, 12,
                          "network: {kind: response}\nresponse: {sweeps: on, layers: 3, channels: 5}",
                          "optimizer: radam"});
    if (CHECKED)
        return;
    study(&(struct study){"response network, d = 2", 2, 12, "network: {kind: response}", "optimizer: adam"});
    study(&(struct study){"response network with sweeps, d = 3", 3, 5,
                          "network: {kind: response}\nresponse: {sweeps: on}", "optimizer: radam"});
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(windows), cmocka_unit_test(response)};
    void *state = NULL;
    both_unused();
    if (both_open(&state) != 0)
        return 1;
    const int failed = run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
    both_close(&state);
    return failed;
}
