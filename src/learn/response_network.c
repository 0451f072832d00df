/* The response network: names and sizes of its weights, its workspace, and what score.h asks of it. */
#include "learn/response_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/normal_formula.h"

/* ---- weights ---- */

static enum status add(struct response_network *n, int rows, int columns, const char *name, int layer,
                       size_t *offset) {
    struct tensors *t = &n->base.tensors;
    *offset = t->size;
    return layer < 0 ? tensors_add(t, rows, columns, "%s", name)
                     : tensors_add(t, rows, columns, "layer%d/%s", layer, name);
}

static enum status add_layer(struct response_network *n, int l) {
    enum status status = STATUS_OK;
    struct response_layer *w = &n->layer[l];
    const int h = n->hidden, e = n->edge, c = n->channels;
    w->channels = response_sources(n) + (l > 0 ? c : 0);
    TRY(add(n, edge_numbers(w->channels), e, "edge/w", l, &w->edge_w));
    TRY(add(n, 1, e, "edge/b", l, &w->edge_b));
    TRY(add(n, h, e, "receiver/w", l, &w->receiver_w));
    TRY(add(n, h, e, "sender/w", l, &w->sender_w));
    TRY(add(n, e, h + 3 * c, "message/w", l, &w->message_w));
    TRY(add(n, 1, h + 3 * c, "message/b", l, &w->message_b));
    TRY(add(n, w->channels, c, "mix/w", l, &w->mix_w));
    TRY(add(n, 2 * h + 2 * c, h, "node/linear0/w", l, &w->node_w[0]));
    TRY(add(n, 1, h, "node/linear0/b", l, &w->node_b[0]));
    TRY(add(n, h, h, "node/linear1/w", l, &w->node_w[1]));
    TRY(add(n, 1, h, "node/linear1/b", l, &w->node_b[1]));
    TRY(add(n, h, c * c, "turn/w", l, &w->turn_w));
    TRY(add(n, 1, c * c, "turn/b", l, &w->turn_b));
out:
    return status;
}

static enum status add_weights(struct response_network *n) {
    enum status status = STATUS_OK;
    TRY(add(n, STATE_NUMBERS, n->hidden, "embed/w", -1, &n->embed_w));
    TRY(add(n, 1, n->hidden, "embed/b", -1, &n->embed_b));
    for (int l = 0; l < n->layers; l++)
        TRY(add_layer(n, l));
    TRY(add(n, n->hidden, n->hidden, "output/linear0/w", -1, &n->out_w[0]));
    TRY(add(n, 1, n->hidden, "output/linear0/b", -1, &n->out_b[0]));
    TRY(add(n, n->hidden, response_vectors(n) + 2, "output/linear1/w", -1, &n->out_w[1]));
    TRY(add(n, 1, response_vectors(n) + 2, "output/linear1/b", -1, &n->out_b[1]));
out:
    return status;
}

/* How much smaller than 1/sqrt(fan_in) the weights of a tensor begin: what adds to a sum that is good without it
 * (the turn of vectors, the gated sum of the output) begins near 0. */
static double smallness(const char *name) {
    if (strstr(name, "turn/") || strstr(name, "output/linear1/"))
        return 0.1;
    return strstr(name, "message/") ? 0.3 : 1;
}

static void initialise(const struct score_model *model, uint64_t seed, real *weights) {
    for (int m = 0; m < model->tensors.count; m++) {
        const struct tensor *t = &model->tensors.list[m];
        const size_t size = (size_t)t->rows * (size_t)t->columns, length = strlen(t->name);
        const bool bias = strcmp(t->name + length - 2, "/b") == 0;
        const double sd = smallness(t->name) / sqrt(t->rows);
        for (size_t i = 0; i < size; i++) {
            uint32_t word[4];
            float z[2];
            rng_words(seed, STREAM_WEIGHTS, (uint32_t)(t->offset + i), 0, 0, word);
            normal_pair_f(word[0], word[1], &z[0], &z[1]);
            weights[t->offset + i] = bias ? 0 : (real)(sd * (double)z[0]);
        }
    }
}

/* ---- workspace ---- */

void response_cut(struct cutter *c, size_t count, real **at) {
    enum { ALIGNMENT = 64 / sizeof(real) };
    *at = c->base ? c->base + c->used : NULL;
    c->used += (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

enum status response_grow(struct response_network *n, struct response_memory *memory, size_t size) {
    enum status status = STATUS_OK;
    if (size <= memory->size)
        return STATUS_OK;
    size += size / 8;
    n->base.ops->release(n->base.ops, memory->base);
    n->base.bytes -= (double)memory->size * sizeof(real);
    *memory = (struct response_memory){NULL, 0};
    TRY(n->base.ops->allocate(n->base.ops, size * sizeof(real), (void **)&memory->base));
    memory->size = size;
    n->base.bytes += (double)size * sizeof(real);
out:
    return status;
}

/* Edges of the first receivers; of sizes alone an even share. */
static size_t edges_of(const struct graph *g, size_t receivers) {
    if (g->start_host)
        return g->start_host[receivers];
    return (size_t)((double)g->edges.count * (double)receivers / fmax((double)g->level[g->layers], 1));
}

/* What a layer works with beside x and v: of its senders and receivers; `rows` receivers after their edges; edges. */
static void cut_working(const struct response_network *n, const struct graph *g, int l, int sources,
                        size_t rows, size_t edges, struct cutter *c, struct layer_arrays *a) {
    const size_t senders = senders_of(g, l), receivers = receivers_of(g, l), d = (size_t)n->base.d;
    const size_t h = (size_t)n->hidden, e = (size_t)n->edge, channels = (size_t)n->channels;
    response_cut(c, senders * d * channels, &a->mixed);
    response_cut(c, senders * 2 * e, &a->p);
    response_cut(c, receivers * d * channels, &a->fresh);
    response_cut(c, rows * h, &a->pre);
    response_cut(c, rows * h, &a->post);
    response_cut(c, rows * channels * channels, &a->turn);
    response_cut(c, edges * (size_t)edge_numbers(sources), &a->f);
    response_cut(c, edges * e, &a->a);
    response_cut(c, edges * e, &a->e);
    response_cut(c, edges * (h + 3 * channels), &a->y);
}

static void cut_layers(const struct response_network *n, const struct graph *g, enum response_use use,
                       struct cutter *c, struct layer_arrays *layer) {
    const int widest = n->layer[n->layers - 1].channels;
    for (int l = 0; l < n->layers; l++) {
        const size_t receivers = receivers_of(g, l);
        struct layer_arrays a = use == USE_ONCE && l > 0 ? layer[0] : (struct layer_arrays){0};
        if (use == USE_ONCE && l == 0)
            cut_working(n, g, 0, widest, n->range, n->range, c, &a);
        if (use != USE_ONCE)
            cut_working(n, g, l, n->layer[l].channels, receivers,
                        use == USE_KEPT ? edges_of(g, receivers) : n->range, c, &a);
        response_cut(c, senders_of(g, l) * response_row(n), &a.x);
        response_cut(c, senders_of(g, l) * (size_t)(n->base.d * n->layer[l].channels), &a.v);
        layer[l] = a;
    }
}

static void cut_arrays(const struct response_network *n, const struct graph *g, enum response_use use,
                       struct cutter *c, struct response_arrays *a) {
    const size_t owned = g->level[0], nodes = g->level[g->layers], d = (size_t)n->base.d,
                 h = (size_t)n->hidden;
    const size_t vectors = (size_t)response_vectors(n);
    response_cut(c, g->moving * d, &a->u);
    response_cut(c, nodes * d, &a->q);
    response_cut(c, nodes * STATE_NUMBERS, &a->state);
    response_cut(c, (use == USE_ONCE ? n->range : nodes) * h, &a->pre);
    response_cut(c, (use == USE_ONCE ? n->range : nodes) * h, &a->post);
    response_cut(c, g->level[g->layers - 1] * d * (size_t)n->channels, &a->last);
    response_cut(c, owned * h, &a->h);
    response_cut(c, (use == USE_ONCE ? n->range : owned) * h, &a->out_pre);
    response_cut(c, (use == USE_ONCE ? n->range : owned) * h, &a->out_post);
    response_cut(c, owned * d * vectors, &a->z);
    response_cut(c, owned * (vectors + 2), &a->o);
    cut_layers(n, g, use, c, a->layer);
}

static enum status arrays_reserve(struct response_network *n, const struct graph *g, enum response_use use,
                                  struct response_memory *memory, struct response_arrays *a) {
    enum status status = STATUS_OK;
    struct cutter c = {NULL, 0};
    cut_arrays(n, g, use, &c, a);
    TRY(response_grow(n, memory, c.used));
    c = (struct cutter){memory->base, 0};
    cut_arrays(n, g, use, &c, a);
out:
    return status;
}

static double arrays_bytes(const struct response_network *n, const struct graph *g, enum response_use use) {
    struct response_arrays a;
    struct cutter c = {NULL, 0};
    cut_arrays(n, g, use, &c, &a);
    return (double)(c.used + c.used / 8) * sizeof(real); /* as response_grow makes it */
}

/* A range holds at least one receiver, however many edges that has. */
static size_t widest(const struct graph *g, size_t range) {
    for (size_t i = 0; i < g->level[g->layers]; i++)
        if (g->start_host[i + 1] - g->start_host[i] > range)
            range = g->start_host[i + 1] - g->start_host[i];
    return range;
}

static enum status reserve_nodes(struct response_network *n, const struct graph *g) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, nodes = g->moving, owned = g->level[0];
    n->range = widest(g, n->range);
    if (nodes > n->nodes) {
        n->nodes = 0;
        for (int a = 0; a < n->base.d; a++) {
            ops->release(ops, n->g[a]);
            n->g[a] = NULL;
            TRY(ops->allocate(ops, nodes * sizeof(double), (void **)&n->g[a]));
        }
        ops->release(ops, n->direction);
        n->direction = NULL;
        TRY(ops->allocate(ops, nodes * d * sizeof(real), (void **)&n->direction));
        n->nodes = nodes;
    }
    if (owned > n->owned) {
        n->owned = 0;
        ops->release(ops, n->s);
        ops->release(ops, n->ds);
        n->s = n->ds = NULL;
        TRY(ops->allocate(ops, owned * d * sizeof(real), (void **)&n->s));
        TRY(ops->allocate(ops, owned * d * sizeof(real), (void **)&n->ds));
        n->owned = owned;
    }
out:
    return status;
}

static enum status reserve_rows(struct response_network *n, size_t count) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t bytes = count * (size_t)n->base.d * sizeof(real);
    if (count <= n->row_room)
        return STATUS_OK;
    n->row_room = 0;
    ops->release(ops, n->rows);
    ops->release(ops, n->drows);
    n->rows = n->drows = NULL;
    TRY(ops->allocate(ops, bytes, (void **)&n->rows));
    TRY(ops->allocate(ops, bytes, (void **)&n->drows));
    n->row_room = count;
out:
    return status;
}

static void destroy(struct score_model *model) {
    struct response_network *n = (struct response_network *)(void *)model;
    const struct ops *ops = model->ops;
    void *const held[] = {
        n->values.base, n->tangents.base, n->gradients.base, n->swept.base, n->swept_tangents.base, n->s,
        n->ds,          n->direction,     n->rows,           n->drows};
    for (size_t m = 0; m < sizeof held / sizeof *held; m++)
        ops->release(ops, held[m]);
    for (int a = 0; a < MAX_DIMENSION; a++)
        ops->release(ops, n->g[a]);
    tensors_free(&model->tensors);
    free(n);
}

static enum status create(const struct ops *ops, const struct network_parameters *p, int d, int outputs,
                          int rows, struct score_model **out) {
    enum status status = STATUS_OK;
    const struct response_parameters *r = &p->response;
    struct response_network *n = calloc(1, sizeof *n);
    *out = (struct score_model *)(void *)n;
    if (!n)
        return FAIL(STATUS_FAILURE, "out of memory for a network");
    *n = (struct response_network){
        .base = {.kind = &response_kind, .ops = ops, .d = d, .outputs = outputs, .decoded = 1},
        .hidden = r->hidden,
        .edge = r->edge,
        .channels = r->channels,
        .layers = r->layers,
        .shots = r->shots,
        .sweeps = r->sweeps == RESPONSE_SWEEPS_ON ? SWEEP_CHANNELS : 0,
        .intervals = r->sweep_intervals,
        .interval = r->sweep_interval,
        .sweep_scale = r->sweep_scale,
        .range = (size_t)rows};
    TRY(add_weights(n));
out:
    if (status != STATUS_OK)
        score_destroy(out);
    return status;
}

/* Of the sweeps, a particle with six contacts: 12 products with K an interval, and two stiffnesses of about 60. */
static double sweep_operations(const struct response_network *n) {
    const double contacts = 6, product = n->base.d + 2 * n->base.d * n->base.d;
    return n->sweeps > 0 ? contacts * n->intervals * (12 * product + 2 * 60) : 0;
}

/* Of a particle with as many edges as the densest packing of discs has within edge_radius. */
static struct score_cost operations(const struct score_model *model) {
    const struct response_network *n = (const struct response_network *)(const void *)model;
    const double edges = 6, h = n->hidden, e = n->edge, c = n->channels;
    double forward = 2 * (STATE_NUMBERS * h + h * h + h * (response_vectors(n) + 2));
    for (int l = 0; l < n->layers; l++) {
        const double features = edge_numbers(n->layer[l].channels);
        forward += 2 * edges * (features * e + e * (h + 3 * c));
        forward +=
            2 * (2 * h * e + model->d * n->layer[l].channels * c + (2 * h + 2 * c) * h + h * h + h * c * c);
    }
    const double sweeps = sweep_operations(n);
    return (struct score_cost){.forward = forward + sweeps,
                               .divergence = 2 * forward + 3 * sweeps,
                               .training = 3 * forward + sweeps};
}

/* Nodes' arrays, and those of the probes of all `particles`. Training keeps its values and the arrays of gradients, and
 * its tests add tangents. */
static double memory(const struct score_model *model, double particles, const struct graph *g,
                     bool training) {
    const struct response_network *n = (const struct response_network *)(const void *)model;
    const double d = model->d, owned = (double)g->level[0];
    const double nodes =
        (double)g->moving * d * (sizeof(double) + sizeof(real)) + 2 * owned * d * sizeof(real);
    const double probes =
        particles * d * (sizeof(double) + sizeof(real)) + owned * (2 * sizeof(double) + 3 * sizeof(real));
    double arrays = arrays_bytes(n, g, training ? USE_KEPT : USE_ONCE) + arrays_bytes(n, g, USE_ONCE);
    if (training)
        arrays += arrays_bytes(n, g, USE_GRADIENT);
    return nodes + probes + arrays + 2 * sweeps_bytes(n, g);
}

/* ---- what score.h asks ---- */

/* A pass over all owned particles; tangents along n->direction; kept for a gradient. */
static enum status run(struct response_network *n, const real *weights, const struct score_input *in,
                       bool tangents, bool kept) {
    enum status status = STATUS_OK;
    const struct graph *g = in->graph;
    TRY(arrays_reserve(n, g, kept ? USE_KEPT : USE_ONCE, &n->values, &n->of));
    if (tangents)
        TRY(arrays_reserve(n, g, USE_ONCE, &n->tangents, &n->along));
    if (n->sweeps > 0)
        TRY(sweeps_reserve(n, g, tangents));
    for (int a = 0; a < n->base.d; a++)
        n->base.ops->gather8(n->base.ops, g->moving, g->local, in->g[a], n->g[a]);
    response_forward(n, weights, g, tangents, kept);
out:
    return status;
}

/* Rows of the chosen particles. */
static void take_rows(const struct response_network *n, const struct score_input *in, const real *from,
                      real *to) {
    const size_t d = (size_t)n->base.d;
    n->base.ops->gather_rows(n->base.ops, in->count, n->base.d, in->centre, from, d, to, d);
}

static enum status forward(struct score_model *model, const real *weights, const struct score_input *in,
                           real *s) {
    enum status status = STATUS_OK;
    struct response_network *n = (struct response_network *)(void *)model;
    TRY(reserve_nodes(n, in->graph));
    TRY(run(n, weights, in, false, false));
    take_rows(n, in, n->s, s);
out:
    return status;
}

static enum status tangent(struct score_model *model, const real *weights, const struct score_input *in,
                           const real *direction, real *s, real *ds) {
    enum status status = STATUS_OK;
    struct response_network *n = (struct response_network *)(void *)model;
    const struct graph *g = in->graph;
    const size_t d = (size_t)model->d;
    TRY(reserve_nodes(n, g));
    model->ops->gather_rows(model->ops, g->moving, model->d, g->local, direction, d, n->direction, d);
    TRY(run(n, weights, in, true, false));
    take_rows(n, in, n->s, s);
    take_rows(n, in, n->ds, ds);
out:
    return status;
}

/* Independent directions of all particles, by id, in the order of the graph's nodes. */
static void draw_directions(struct response_network *n, const struct score_input *in, uint64_t step,
                            double *wide, real *local) {
    const struct ops *ops = n->base.ops;
    const struct graph *g = in->graph;
    const size_t d = (size_t)n->base.d;
    ops->rademacher(ops, in->probes.seed, STREAM_DIRECTION, step, in->particles, in->id, n->base.d, wide);
    ops->narrow(ops, in->particles * d, wide, local);
    ops->gather_rows(ops, g->moving, n->base.d, g->local, local, d, n->direction, d);
}

/* Of the chosen particles: mean of the probes' products and the variance of that mean (NaN for one probe). */
static void probe_moments(size_t count, int probes, const double *sum, const double *square, real *mean,
                          real *variance) {
    for (size_t i = 0; i < count; i++) {
        mean[i] = (real)(sum[i] / probes);
        const double spread = square[i] - sum[i] * sum[i] / probes;
        variance[i] = probes > 1 ? (real)(fmax(0, spread) / (probes - 1) / probes) : (real)NAN;
    }
}

/* Adds direction . tangent of one probe to sum and its square to square (in->count). */
static void add_probe(struct response_network *n, const struct score_input *in, real *product, real *chosen,
                      real *host, double *sum, double *square) {
    const struct ops *ops = n->base.ops;
    ops->probe(ops, in->graph->level[0], n->base.d, n->direction, n->ds, product);
    ops->gather_rows(ops, in->count, 1, in->centre, product, 1, chosen, 1);
    ops->to_host(ops, host, chosen, in->count * sizeof *host);
    for (size_t i = 0; i < in->count; i++) {
        sum[i] += (double)host[i];
        square[i] += (double)host[i] * (double)host[i];
    }
}

/* The mean over the probes of direction . tangent. */
static enum status divergence(struct score_model *model, const real *weights, const struct score_input *in,
                              real *s, real *divergence) {
    enum status status = STATUS_OK;
    struct response_network *n = (struct response_network *)(void *)model;
    const struct ops *ops = model->ops;
    const size_t d = (size_t)model->d, owned = in->graph->level[0], count = in->count;
    const int probes = in->probes.count > 1 ? in->probes.count : 1;
    double *wide = NULL, *sum = calloc(2 * count + 1, sizeof *sum);
    real *local = NULL, *product = NULL, *chosen = NULL, *host = malloc((2 * count + 1) * sizeof *host);
    if (!sum || !host) {
        status = FAIL(STATUS_FAILURE, "out of memory for the divergences of %zu particles", count);
        goto out;
    }
    TRY(reserve_nodes(n, in->graph));
    TRY(ops->allocate(ops, (in->particles * d + 1) * sizeof *wide, (void **)&wide));
    TRY(ops->allocate(ops, (in->particles * d + 1) * sizeof *local, (void **)&local));
    TRY(ops->allocate(ops, (owned + 1) * sizeof *product, (void **)&product));
    TRY(ops->allocate(ops, (count + 1) * sizeof *chosen, (void **)&chosen));
    for (int m = 0; m < probes; m++) {
        TRY(score_go_on(model, (double)m / probes));
        draw_directions(n, in, in->probes.step * (uint64_t)probes + (uint64_t)m, wide, local);
        TRY(run(n, weights, in, true, false));
        add_probe(n, in, product, chosen, host, sum, sum + count);
    }
    probe_moments(count, probes, sum, sum + count, host, host + count);
    ops->to_device(ops, divergence, host, count * sizeof *host);
    if (in->probes.variance)
        ops->to_device(ops, in->probes.variance, host + count, count * sizeof *host);
    take_rows(n, in, n->s, s);
out:
    free(sum);
    free(host);
    ops->release(ops, wide);
    ops->release(ops, local);
    ops->release(ops, product);
    ops->release(ops, chosen);
    return status;
}

static enum status denoising(struct score_model *model, const real *weights, const struct score_input *in,
                             const real *zeta, const real *weight, double sign, double sigma, double scale,
                             double *term, real *gradient, real *s) {
    enum status status = STATUS_OK;
    struct response_network *n = (struct response_network *)(void *)model;
    const struct ops *ops = model->ops;
    const size_t owned = in->graph->level[0], d = (size_t)model->d, bytes = in->count * d * sizeof(real);
    TRY(reserve_nodes(n, in->graph));
    TRY(reserve_rows(n, in->count));
    TRY(run(n, weights, in, false, true));
    TRY(arrays_reserve(n, in->graph, USE_GRADIENT, &n->gradients, &n->d));
    take_rows(n, in, n->s, n->rows);
    ops->denoising(ops, in->count, model->d, n->rows, zeta, weight, sign, sigma, scale, term, n->drows);
    ops->zero(ops, n->ds, owned * d * sizeof(real));
    ops->scatter_rows(ops, in->count, model->d, in->centre, n->drows, d, n->ds, d);
    response_backward(n, weights, in->graph, gradient);
    if (s)
        ops->copy(ops, s, n->rows, bytes);
out:
    return status;
}

const struct score_kind response_kind = {.create = create,
                                         .destroy = destroy,
                                         .initialise = initialise,
                                         .operations = operations,
                                         .memory = memory,
                                         .forward = forward,
                                         .divergence = divergence,
                                         .denoising = denoising,
                                         .tangent = tangent};
