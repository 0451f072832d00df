/* Whole steps: of a simulation, and of three networks on the particles that it leaves. */
#include "commands/bench.h"
#include "dynamics/simulation.h"
#include "learn/score.h"

#include <stdlib.h>

enum { STEPS = 50, REPEATS = 5 };

/* ---- simulation ---- */

struct dynamics {
    struct bench *bench;
    struct simulation *simulation;
    struct cell_grid *grid;
    uint64_t *q[MAX_DIMENSION]; /* (owned) a copy, for steps that are not to move the particles */
    int32_t *image[MAX_DIMENSION];
    double *g[MAX_DIMENSION], *farthest;
    uint32_t *index;
    int neighbours;
};

static enum status call_step(void *context) {
    enum status status = STATUS_OK;
    struct dynamics *d = context;
    bool stop = false;
    for (int m = 0; m < STEPS; m++)
        TRY(simulation_step(d->simulation, &stop));
out:
    return status;
}

static enum status call_pair_force(void *context) {
    struct simulation *s = ((struct dynamics *)context)->simulation;
    const struct particles *p = s->particles;
    for (int part = PAIRS_INSIDE; part <= PAIRS_ACROSS; part++)
        s->ops->close_force(s->ops, &s->box, &s->law, part, p->owned, p->owned + p->ghosts, p->q, &s->close,
                            s->force);
    return STATUS_OK;
}

static enum status call_close_pairs(void *context) {
    struct simulation *s = ((struct dynamics *)context)->simulation;
    const struct particles *p = s->particles;
    s->ops->close_pairs(s->ops, &s->box, s->law.cutoff + s->inner_skin, p->owned, p->owned + p->ghosts, p->q,
                        &s->list, &s->close);
    return STATUS_OK;
}

static enum status call_integration(void *context) {
    struct dynamics *d = context;
    struct simulation *s = d->simulation;
    struct step_result result;
    s->ops->step(s->ops, &s->box, &s->step_law, s->particles->owned, s->particles->id, s->force, s->q_list,
                 d->q, d->image, d->g, NULL, NULL, &result);
    return STATUS_OK;
}

static enum status call_pair_list(void *context) {
    struct simulation *s = ((struct dynamics *)context)->simulation;
    return pairs_build(s->particles, &s->box, s->law.cutoff + s->skin, &s->list);
}

static enum status call_nearest(void *context) {
    struct dynamics *d = context;
    const struct simulation *s = d->simulation;
    const struct particles *p = s->particles;
    s->ops->nearest(s->ops, &s->box, d->grid, p->owned, NULL, p->owned + p->ghosts, p->q, d->neighbours,
                    d->index, d->farthest);
    return STATUS_OK;
}

/* From the start through the burn-in. Collective. */
static enum status simulate(struct bench *b, struct simulation **out) {
    enum status status = STATUS_OK;
    const struct config *c = b->config;
    struct slice *slice = NULL;
    bool stop = false;
    TRY(comm_agree(b->comm,
                   slice_create((size_t)config_total(&c->system), c->system.dimension, b->comm, &slice)));
    system_start(c, slice);
    TRY(comm_agree(b->comm, simulation_create(b->ops, b->comm, c, out)));
    TRY(simulation_load(*out, slice, 0));
    for (int64_t m = 0; m < config_burn_in_steps(c); m++)
        TRY(simulation_step(*out, &stop));
    TRY(simulation_settle(*out));
out:
    slice_destroy(&slice);
    return status;
}

static enum status reserve(struct dynamics *d) {
    enum status status = STATUS_OK;
    const struct simulation *s = d->simulation;
    const struct ops *ops = s->ops;
    const size_t n = s->particles->owned + 1;
    for (int a = 0; a < s->box.d; a++) {
        TRY(ops->allocate(ops, n * sizeof *d->q[a], (void **)&d->q[a]));
        TRY(ops->allocate(ops, n * sizeof *d->image[a], (void **)&d->image[a]));
        TRY(ops->allocate(ops, n * sizeof *d->g[a], (void **)&d->g[a]));
        ops->copy(ops, d->q[a], s->particles->q[a], (n - 1) * sizeof *d->q[a]);
    }
    TRY(ops->allocate(ops, n * (size_t)d->neighbours * sizeof *d->index, (void **)&d->index));
    TRY(ops->allocate(ops, n * sizeof *d->farthest, (void **)&d->farthest));
out:
    return status;
}

static void release(struct dynamics *d) {
    const struct ops *ops = d->bench->ops;
    for (int a = 0; a < MAX_DIMENSION; a++) {
        ops->release(ops, d->q[a]);
        ops->release(ops, d->image[a]);
        ops->release(ops, d->g[a]);
    }
    ops->release(ops, d->index);
    ops->release(ops, d->farthest);
    cells_destroy(ops, &d->grid);
}

static enum status bench_dynamics(struct bench *b, struct simulation *s, int neighbours) {
    enum status status = STATUS_OK;
    struct dynamics d = {.bench = b, .simulation = s, .neighbours = neighbours};
    const double all = (double)config_total(&b->config->system) / comm_size(b->comm);
    TRY(bench_time(b, &(struct bench_work){"simulation: 50 steps", .particles = STEPS * all}, REPEATS,
                   call_step, &d));
    TRY(simulation_settle(s));
    TRY(call_close_pairs(&d));
    const double owned = (double)s->particles->owned;
    TRY(comm_agree(b->comm, reserve(&d)));
    TRY(bench_time(b, &(struct bench_work){"pair force", .particles = owned}, REPEATS, call_pair_force, &d));
    TRY(bench_time(b, &(struct bench_work){"noise and integration", .particles = owned}, REPEATS,
                   call_integration, &d));
    TRY(bench_time(b, &(struct bench_work){"close pairs of the list", .particles = owned}, REPEATS,
                   call_close_pairs, &d));
    TRY(bench_time(b, &(struct bench_work){"pair list", .particles = owned}, REPEATS, call_pair_list, &d));
    TRY(comm_agree(b->comm, cells_create(s->particles, &s->box, 2 * (s->law.cutoff + s->skin), &d.grid)));
    TRY(bench_time(b, &(struct bench_work){"64 nearest neighbours", .particles = owned}, REPEATS,
                   call_nearest, &d));
out:
    release(&d);
    return status;
}

/* ---- networks ---- */

struct learning {
    struct score_model *model;
    struct score_input in;
    real *weights, *gradient, *s, *divergence;
    double *term;
    uint32_t *centre;
    struct simulation *simulation; /* where graphs are made from */
    const struct config *config;
    struct graph *graph;
};

static enum status call_forward(void *context) {
    struct learning *l = context;
    return score_forward(l->model, l->weights, &l->in, l->s);
}

static enum status call_divergence(void *context) {
    struct learning *l = context;
    return score_divergence(l->model, l->weights, &l->in, l->s, l->divergence);
}

/* Two evaluations with gradient; the score of before serves as the noise. */
static enum status call_training(void *context) {
    struct learning *l = context;
    enum status status = STATUS_OK;
    for (int sign = 1; sign >= -1; sign -= 2)
        TRY(score_denoising(l->model, l->weights, &l->in, l->s, NULL, sign, 1, 1.0 / (double)l->in.count,
                            l->term, l->gradient, NULL));
out:
    return status;
}

/* Windows of particles that are next to each other: an owned particle and its nearest, with their windows. */
static enum status create_learning(struct bench *b, struct simulation *s, const uint32_t *nearest,
                                   const struct network_parameters *p, size_t most, struct learning *l) {
    enum status status = STATUS_OK;
    const struct ops *ops = b->ops;
    const struct particles *particles = s->particles;
    const size_t d = (size_t)s->box.d;
    const size_t count = particles->owned < most ? particles->owned : most;
    real *initial = NULL;
    TRY(score_create(ops, p, s->box.d, s->box.d, b->config->run.chunk, &l->model));
    const size_t size = score_tensors(l->model)->size;
    TRY(ops->allocate(ops, size * sizeof(real), (void **)&l->weights));
    TRY(ops->allocate(ops, size * sizeof(real), (void **)&l->gradient));
    TRY(ops->allocate(ops, (count + 1) * d * sizeof(real), (void **)&l->s));
    TRY(ops->allocate(ops, (count + 1) * sizeof(real), (void **)&l->divergence));
    TRY(ops->allocate(ops, (count + 1) * sizeof *l->term, (void **)&l->term));
    TRY(ops->allocate(ops, (count + 1) * sizeof *l->centre, (void **)&l->centre));
    initial = malloc((size + count) * sizeof *initial);
    uint32_t *order = malloc((count + 1) * sizeof *order);
    if (!initial || !order)
        status = FAIL(STATUS_FAILURE, "out of memory for a network");
    for (size_t i = 0; order && i < count; i++)
        order[i] = (uint32_t)i; /* owned particles are sorted by cells */
    if (status == STATUS_OK) {
        score_initialise(l->model, 1, initial);
        ops->to_device(ops, l->weights, initial, size * sizeof(real));
        ops->to_device(ops, l->centre, order, count * sizeof *order);
    }
    free(initial);
    free(order);
    l->in = (struct score_input){.box = &s->box,
                                 .q = particles->q,
                                 .g = particles->g,
                                 .particles = particles->owned + particles->ghosts,
                                 .count = count,
                                 .centre = l->centre,
                                 .neighbour = nearest};
out:
    return status;
}

static void destroy_learning(const struct ops *ops, struct learning *l) {
    void *const all[] = {l->weights, l->gradient, l->s, l->divergence, l->term, l->centre};
    for (size_t m = 0; m < sizeof all / sizeof *all; m++)
        ops->release(ops, all[m]);
    score_destroy(&l->model);
    graph_destroy(&l->graph);
}

/* ---- the response network, which reads a graph ---- */

static enum status call_graph(void *context) {
    struct learning *l = context;
    struct simulation *s = l->simulation;
    graph_destroy(&l->graph);
    enum status status =
        graph_create(s->particles, s->domain, &l->config->network.response, &l->config->system, &l->graph);
    l->in.graph = l->graph;
    return status;
}

static enum status call_graph_and_forward(void *context) {
    enum status status = STATUS_OK;
    TRY(call_graph(context));
    TRY(call_forward(context));
out:
    return status;
}

static enum status bench_response(struct bench *b, struct simulation *s) {
    enum status status = STATUS_OK;
    struct learning l = {.simulation = s, .config = b->config};
    struct network_parameters network = b->config->network;
    struct halo *halo = NULL;
    network.kind = NETWORK_RESPONSE;
    TRY(halo_create(s->particles, s->domain, b->comm, graph_reach(&network.response, &b->config->system),
                    &halo));
    status = create_learning(b, s, NULL, &network, s->particles->owned, &l);
    if (status == STATUS_OK)
        status = call_graph(&l);
    TRY(comm_agree(b->comm, status));
    l.in.id = s->particles->id;
    const struct score_cost cost = score_operations(l.model);
    const double n = (double)l.in.count;
    TRY(bench_time(b, &(struct bench_work){"response network: graph of a frame", .particles = n}, REPEATS,
                   call_graph, &l));
    TRY(bench_time(b,
                   &(struct bench_work){"response network: scores", n * cost.forward, 0, n, CEILING_PRODUCT},
                   REPEATS, call_forward, &l));
    TRY(bench_time(b, &(struct bench_work){"response network: graph and scores", .particles = n}, REPEATS,
                   call_graph_and_forward, &l));
    TRY(bench_time(b,
                   &(struct bench_work){"response network: scores and divergence", n * cost.divergence, 0, n,
                                        CEILING_PRODUCT},
                   REPEATS, call_divergence, &l));
    TRY(bench_time(
        b,
        &(struct bench_work){"response network: training step", n * 2 * cost.training, 0, n, CEILING_PRODUCT},
        REPEATS, call_training, &l));
out:
    destroy_learning(b->ops, &l);
    halo_destroy(&halo);
    return status;
}

/* ---- windowed networks ---- */

struct bench_network {
    const char *forward, *divergence, *training;
    struct network_parameters parameters;
    size_t windows;
};

static enum status bench_network(struct bench *b, struct simulation *s, const struct bench_network *n) {
    enum status status = STATUS_OK;
    struct learning l = {0};
    struct halo *halo = NULL;
    uint32_t *nearest = NULL;
    const size_t total = (size_t)config_total(&b->config->system);
    const size_t more = (size_t)b->chunk / (size_t)ops_cpu()->chunk; /* a GPU wants more */
    const size_t windows = n->windows * (more > 1 ? more : 1);
    TRY(nearest_build(s->particles, s->domain, b->comm, total, n->parameters.neighbours, 0, 0, &halo,
                      &nearest));
    TRY(comm_agree(b->comm, create_learning(b, s, nearest, &n->parameters, windows, &l)));
    const struct score_cost cost = score_operations(l.model);
    const double count = (double)l.in.count;
    TRY(bench_time(b, &(struct bench_work){n->forward, count * cost.forward, 0, count, CEILING_PRODUCT},
                   REPEATS, call_forward, &l));
    TRY(bench_time(b, &(struct bench_work){n->divergence, count * cost.divergence, 0, count, CEILING_PRODUCT},
                   REPEATS, call_divergence, &l));
    TRY(bench_time(b, &(struct bench_work){n->training, count * 2 * cost.training, 0, count, CEILING_PRODUCT},
                   REPEATS, call_training, &l));
out:
    destroy_learning(b->ops, &l);
    b->ops->release(b->ops, nearest);
    halo_destroy(&halo);
    return status;
}

enum status bench_steps(struct bench *b) {
    static const struct bench_network networks[] = {
        {.forward = "quick network: scores",
         .divergence = "quick network: scores and divergence",
         .training = "quick network: training step",
         .parameters = {.kind = NETWORK_WINDOW,
                        .width = 32,
                        .hidden = 32,
                        .feed_forward = 32,
                        .heads = 4,
                        .blocks = 2,
                        .layers = 2,
                        .neighbours = 16},
         .windows = 1024},
        {.forward = "paper's network: scores",
         .divergence = "paper's network: scores and divergence",
         .training = "paper's network: training step",
         .parameters = {.kind = NETWORK_WINDOW,
                        .width = 256,
                        .hidden = 256,
                        .feed_forward = 256,
                        .heads = 4,
                        .blocks = 4,
                        .layers = 4,
                        .neighbours = 64},
         .windows = 128},
    };
    enum status status = STATUS_OK;
    struct simulation *s = NULL;
    TRY(simulate(b, &s));
    TRY(bench_dynamics(b, s, 64));
    for (size_t m = 0; m < sizeof networks / sizeof *networks; m++)
        TRY(bench_network(b, s, &networks[m]));
    if (config_suits_response(&b->config->system))
        TRY(bench_response(b, s));
out:
    simulation_destroy(&s);
    return status;
}
