/* Sweeps: vectors that remember the recent past (theory.md section 7, docs/response-model.md). With the neighbours of
 * now and the stiffnesses K(D) at the positions x - D of then, dv/dt = src - K v is integrated towards now by midpoint
 * steps, one an interval; interval k ends a time k h ago. Nodes beyond graph->swept do not move in it. */
#include "learn/response_network.h"

/* What every step reads. */
struct pass {
    struct response_network *n;
    const struct ops *ops;
    const struct graph *graph;
    bool tangents;
    size_t numbers, stiffness; /* of one vector of all nodes; of K of one interval */
};

/* A vector of all nodes, its tangent beside it (unused without tangents). */
struct vector {
    real *of, *along;
};

static void cut_sweeps(const struct response_network *n, const struct graph *g, struct cutter *c,
                       struct sweep_arrays *a) {
    const size_t numbers = g->moving * (size_t)n->base.d, intervals = (size_t)n->intervals;
    response_cut(c, numbers, &a->shift);
    response_cut(c, intervals * g->contacts.count * (size_t)stiffness_numbers(n->base.d), &a->stiff);
    response_cut(c, intervals * numbers, &a->history);
    for (int m = 0; m < SWEEP_STARTS; m++)
        response_cut(c, numbers, &a->v[m]);
    response_cut(c, numbers, &a->half);
}

static enum status reserve(struct response_network *n, const struct graph *g, struct response_memory *memory,
                           struct sweep_arrays *a) {
    enum status status = STATUS_OK;
    struct cutter c = {NULL, 0};
    cut_sweeps(n, g, &c, a);
    TRY(response_grow(n, memory, c.used));
    c = (struct cutter){memory->base, 0};
    cut_sweeps(n, g, &c, a);
out:
    return status;
}

double sweeps_bytes(const struct response_network *n, const struct graph *g) {
    struct sweep_arrays a;
    struct cutter c = {NULL, 0};
    if (n->sweeps > 0)
        cut_sweeps(n, g, &c, &a);
    return (double)(c.used + c.used / 8) * sizeof(real);
}

enum status sweeps_reserve(struct response_network *n, const struct graph *g, bool tangents) {
    enum status status = STATUS_OK;
    TRY(reserve(n, g, &n->swept, &n->sweep));
    if (tangents)
        TRY(reserve(n, g, &n->swept_tangents, &n->sweep_along));
out:
    return status;
}

/* ---- vectors ---- */

static struct vector velocity(const struct pass *p) {
    return (struct vector){p->n->of.u, p->n->direction};
}
static struct vector shift(const struct pass *p) {
    return (struct vector){p->n->sweep.shift, p->n->sweep_along.shift};
}
static struct vector half(const struct pass *p) {
    return (struct vector){p->n->sweep.half, p->n->sweep_along.half};
}
static struct vector state(const struct pass *p, int m) {
    return (struct vector){p->n->sweep.v[m], p->n->sweep_along.v[m]};
}
static struct vector history(const struct pass *p, int k) {
    const size_t at = (size_t)k * p->numbers;
    return (struct vector){p->n->sweep.history + at, p->tangents ? p->n->sweep_along.history + at : NULL};
}

static void clear(const struct pass *p, struct vector to) {
    p->ops->zero(p->ops, to.of, p->numbers * sizeof(real));
    if (p->tangents)
        p->ops->zero(p->ops, to.along, p->numbers * sizeof(real));
}

static void copy(const struct pass *p, struct vector from, struct vector to) {
    p->ops->copy(p->ops, to.of, from.of, p->numbers * sizeof(real));
    if (p->tangents)
        p->ops->copy(p->ops, to.along, from.along, p->numbers * sizeof(real));
}

static void add(const struct pass *p, double factor, struct vector from, struct vector to) {
    p->ops->add_column(p->ops, p->numbers, factor, from.of, 1, to.of);
    if (p->tangents)
        p->ops->add_column(p->ops, p->numbers, factor, from.along, 1, to.along);
}

/* ---- steps ---- */

/* K of interval k at the displacement as it is. */
static void make_stiffness(const struct pass *p, int k) {
    const struct sweep_arrays *of = &p->n->sweep, *along = &p->n->sweep_along;
    const size_t at = (size_t)k * p->stiffness;
    const struct graph *g = p->graph;
    p->ops->contact_stiffness(p->ops, &g->law, &g->contacts, of->shift, of->stiff + at);
    if (p->tangents)
        p->ops->contact_stiffness_tangent(p->ops, &g->law, &g->contacts, of->shift, along->shift,
                                          along->stiff + at);
}

/* out = base + factor (source - K_k x) of the nodes that move. */
static void step(const struct pass *p, int k, double factor, struct vector x, struct vector base,
                 struct vector source, struct vector out) {
    const struct contacts *c = &p->graph->contacts;
    const int d = p->n->base.d;
    const real *stiff = p->n->sweep.stiff + (size_t)k * p->stiffness;
    if (p->tangents)
        p->ops->contact_step_tangent(p->ops, d, c, factor, stiff, x.of,
                                     p->n->sweep_along.stiff + (size_t)k * p->stiffness, x.along, base.along,
                                     source.along, out.along);
    p->ops->contact_step(p->ops, d, c, factor, stiff, x.of, base.of, source.of, out.of);
}

/* One midpoint step of v over interval k. Nodes that do not move have the same v in half(). */
static void advance(const struct pass *p, int k, struct vector source, struct vector v) {
    step(p, k, p->n->interval / 2, v, v, source, half(p));
    step(p, k, p->n->interval, half(p), v, source, v);
}

static const struct vector none = {NULL, NULL};

/* ---- channels ---- */

/* Channel c of the sweeps = sweep_scale (a - b), b none: sweep_scale a. Overwrites half(). */
static void write_channel(const struct pass *p, int c, struct vector a, struct vector b) {
    const struct response_network *n = p->n;
    const size_t rows = p->graph->level[p->graph->layers] * (size_t)n->base.d;
    const size_t channels = (size_t)n->layer[0].channels, at = (size_t)(1 + n->shots + c);
    const struct vector sum = half(p);
    clear(p, sum);
    add(p, n->sweep_scale, a, sum);
    if (b.of)
        add(p, -n->sweep_scale, b, sum);
    p->ops->spread_rows(p->ops, rows, 1, sum.of, 1, n->of.layer[0].v + at, channels, false);
    if (p->tangents)
        p->ops->spread_rows(p->ops, rows, 1, sum.along, 1, n->along.layer[0].v + at, channels, false);
}

/* Sweeps that start a quarter, half and all of the intervals ago from v = u: state(m), and channels u - state(m) from
 * c on. kept: the last one's v at the end of interval k in history(k). */
static void sweep(const struct pass *p, int c, bool kept) {
    const int n = p->n->intervals;
    for (int m = 0; m < SWEEP_STARTS; m++)
        copy(p, velocity(p), state(p, m));
    copy(p, velocity(p), half(p));
    for (int k = n - 1; k >= 0; k--) {
        for (int m = 0; m < SWEEP_STARTS; m++)
            if (k < n >> (SWEEP_STARTS - 1 - m))
                advance(p, k, none, state(p, m));
        if (kept)
            copy(p, state(p, SWEEP_STARTS - 1), history(p, k));
    }
    for (int m = 0; m < SWEEP_STARTS; m++)
        write_channel(p, c + m, velocity(p), state(p, m));
}

/* Path 1: every particle kept its velocity. */
static void straight_path(const struct pass *p) {
    const double length = p->n->interval * p->graph->law.v0;
    for (int k = 0; k < p->n->intervals; k++) {
        clear(p, shift(p));
        add(p, (k + 0.5) * length, velocity(p), shift(p));
        make_stiffness(p, k);
    }
}

/* Path 2: its velocity was that of the longest sweep on path 1. */
static void relaxed_path(const struct pass *p) {
    const double length = p->n->interval * p->graph->law.v0;
    clear(p, shift(p));
    for (int k = 0; k < p->n->intervals; k++) {
        add(p, length / 2, history(p, k), shift(p));
        make_stiffness(p, k);
        add(p, length / 2, history(p, k), shift(p));
    }
}

/* On path 2: w = u - m of the middle start relaxes into the past, and c is driven on the way back by twice K w, the
 * mean of each interval's ends: 2 gamma l_k = K_k (w_k + w_k+1). */
static void response_channel(const struct pass *p, int channel) {
    const struct vector w = state(p, 0), mean = state(p, 2), c = state(p, 0);
    clear(p, w);
    add(p, 1, velocity(p), w);
    add(p, -1, state(p, 1), w);
    clear(p, half(p));
    for (int k = 0; k < p->n->intervals; k++) {
        copy(p, w, mean);
        advance(p, k, none, w);
        add(p, 1, w, mean);
        step(p, k, -1, mean, none, none, history(p, k));
    }
    clear(p, c);
    for (int k = p->n->intervals - 1; k >= 0; k--)
        advance(p, k, history(p, k), c);
    write_channel(p, channel, c, none);
}

void sweeps_run(struct response_network *n, const struct graph *graph, bool tangents) {
    const struct pass pass = {.n = n,
                              .ops = n->base.ops,
                              .graph = graph,
                              .tangents = tangents,
                              .numbers = graph->moving * (size_t)n->base.d,
                              .stiffness = graph->contacts.count * (size_t)stiffness_numbers(n->base.d)};
    straight_path(&pass);
    sweep(&pass, 0, true);
    relaxed_path(&pass);
    sweep(&pass, SWEEP_STARTS, false);
    response_channel(&pass, 2 * SWEEP_STARTS);
}
