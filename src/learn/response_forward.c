/* The response network's forward pass, and its tangent beside it: layer after layer over all nodes, in ranges of
 * receivers whose rows and edges stay in the cache. */
#include "learn/response_network.h"

/* One pass: what every step of it reads. */
struct pass {
    struct response_network *n;
    const struct ops *ops;
    const real *weights;
    const struct graph *graph;
    const struct response_law *law;
    bool tangents, kept;
};

static void linear(const struct pass *p, size_t rows, int in, int out, const real *x, size_t ldx, size_t w,
                   const real *b, real *y, size_t ldy) {
    p->ops->linear(p->ops, rows, in, out, x, ldx, p->weights + w, b, y, ldy);
}

/* Where a range that begins at row `first` is in an array of values that holds ranges unless they are kept. */
static size_t place(const struct pass *p, size_t first) {
    return p->kept ? first : 0;
}

/* ---- sources and first state ---- */

/* h = silu(state w + b) of some nodes. */
static void embed(const struct pass *p, size_t first, size_t count) {
    struct response_network *n = p->n;
    const struct ops *ops = p->ops;
    struct response_arrays *of = &n->of, *along = &n->along;
    const size_t hidden = (size_t)n->hidden, row = response_row(n), at = place(p, first) * hidden;
    linear(p, count, STATE_NUMBERS, n->hidden, of->state + first * STATE_NUMBERS, STATE_NUMBERS, n->embed_w,
           p->weights + n->embed_b, of->pre + at, hidden);
    ops->silu(ops, count * hidden, of->pre + at, of->post + at);
    ops->spread_rows(ops, count, n->hidden, of->post + at, hidden, of->layer[0].x + first * row, row, false);
    if (!p->tangents)
        return;
    linear(p, count, STATE_NUMBERS, n->hidden, along->state + first * STATE_NUMBERS, STATE_NUMBERS,
           n->embed_w, NULL, along->pre, hidden);
    ops->silu_slope(ops, count * hidden, of->pre + at, along->pre);
    ops->spread_rows(ops, count, n->hidden, along->pre, hidden, along->layer[0].x + first * row, row, false);
}

static void begin(const struct pass *p) {
    struct response_network *n = p->n;
    struct response_arrays *of = &n->of, *along = &n->along;
    const struct graph *g = p->graph;
    const struct ops *ops = p->ops;
    const size_t nodes = g->level[g->layers];
    const int channels = n->layer[0].channels;
    ops->velocity_rows(ops, n->base.d, g->moving, n->g, g->push, of->u);
    ops->response_sources(ops, p->law, &g->edges, g->kappa, of->u, of->q, channels, of->layer[0].v);
    ops->response_state(ops, p->law, nodes, g->kappa, g->phi, of->q, of->u, of->state);
    if (p->tangents) {
        ops->response_sources_tangent(ops, p->law, &g->edges, g->kappa, of->u, n->direction, along->q,
                                      channels, along->layer[0].v);
        ops->response_state_tangent(ops, p->law, nodes, g->kappa, of->q, of->u, along->q, n->direction,
                                    along->state);
    }
    for (size_t i = 0; i < nodes; i += n->range)
        embed(p, i, nodes - i < n->range ? nodes - i : n->range);
}

/* ---- a layer ---- */

/* What senders and receivers bring to their edges: the mixed vectors and p. b NULL for tangents. */
static void prepare(const struct pass *p, int l, struct layer_arrays *a, const real *b) {
    const struct response_network *n = p->n;
    const struct response_layer *w = &n->layer[l];
    const size_t senders = senders_of(p->graph, l), row = response_row(n), d = (size_t)n->base.d;
    const size_t channels = (size_t)w->channels, wide = 2 * (size_t)n->edge;
    linear(p, senders * d, w->channels, n->channels, a->v, channels, w->mix_w, NULL, a->mixed,
           (size_t)n->channels);
    linear(p, receivers_of(p->graph, l), n->hidden, n->edge, a->x, row, w->receiver_w, b, a->p, wide);
    linear(p, senders, n->hidden, n->edge, a->x, row, w->sender_w, NULL, a->p + n->edge, wide);
}

/* The arrays of a range of edges. */
struct edge_rows {
    real *f, *a, *e, *y;
};
static struct edge_rows rows_of(const struct response_network *n, const struct response_layer *w,
                                const struct layer_arrays *a, size_t first) {
    return (struct edge_rows){a->f + first * (size_t)edge_numbers(w->channels),
                              a->a + first * (size_t)n->edge, a->e + first * (size_t)n->edge,
                              a->y + first * (size_t)(n->hidden + 3 * n->channels)};
}

static void range_values(const struct pass *p, int l, struct edge_range range) {
    const struct response_network *n = p->n;
    const struct response_layer *w = &n->layer[l];
    const struct layer_arrays *a = &n->of.layer[l];
    const struct graph *g = p->graph;
    const struct edge_rows rows = rows_of(n, w, a, place(p, range.first));
    const int features = edge_numbers(w->channels), out = n->hidden + 3 * n->channels;
    p->ops->edge_features(p->ops, p->law, &g->edges, range, g->kappa, w->channels, a->v, rows.f);
    linear(p, range.count, features, n->edge, rows.f, (size_t)features, w->edge_w, NULL, rows.a,
           (size_t)n->edge);
    p->ops->edge_hidden(p->ops, &g->edges, range, n->edge, a->p, rows.a, rows.e);
    linear(p, range.count, n->edge, out, rows.e, (size_t)n->edge, w->message_w, p->weights + w->message_b,
           rows.y, (size_t)out);
    p->ops->edge_messages(p->ops, p->law, &g->edges, range, g->kappa, n->hidden, n->channels, rows.y,
                          a->mixed, a->x + n->hidden, response_row(n), a->fresh);
}

/* After range_values, whose rows it reads. */
static void range_tangents(const struct pass *p, int l, struct edge_range range) {
    const struct response_network *n = p->n;
    const struct response_layer *w = &n->layer[l];
    const struct layer_arrays *a = &n->of.layer[l], *da = &n->along.layer[l];
    const struct graph *g = p->graph;
    const struct edge_rows rows = rows_of(n, w, a, place(p, range.first)), drows = rows_of(n, w, da, 0);
    const int features = edge_numbers(w->channels), out = n->hidden + 3 * n->channels;
    p->ops->edge_features_tangent(p->ops, p->law, &g->edges, range, g->kappa, w->channels, a->v, da->v,
                                  drows.f);
    linear(p, range.count, features, n->edge, drows.f, (size_t)features, w->edge_w, NULL, drows.e,
           (size_t)n->edge);
    p->ops->edge_hidden_tangent(p->ops, &g->edges, range, n->edge, rows.a, da->p, drows.e);
    linear(p, range.count, n->edge, out, drows.e, (size_t)n->edge, w->message_w, NULL, drows.y, (size_t)out);
    p->ops->edge_messages_tangent(p->ops, p->law, &g->edges, range, g->kappa, n->hidden, n->channels, rows.y,
                                  a->mixed, drows.y, da->mixed, da->x + n->hidden, response_row(n),
                                  da->fresh);
}

/* Where the receivers of a range are: rows of x, of the new vectors, of the next layer's h and vectors. */
struct node_rows {
    size_t count;
    real *x, *fresh;
    struct response_end to;
};
static struct node_rows nodes_of(const struct response_network *n, const struct response_arrays *of, int l,
                                 struct edge_range range) {
    const struct response_end to = response_end_of(n, of, l);
    const size_t d = (size_t)n->base.d, first = range.begin;
    return (struct node_rows){range.end - first,
                              of->layer[l].x + first * response_row(n),
                              of->layer[l].fresh + first * d * (size_t)n->channels,
                              {to.h + first * to.ldh, to.v + first * d * to.ldv, to.ldh, to.ldv}};
}

static void node_values(const struct pass *p, int l, struct edge_range range) {
    const struct response_network *n = p->n;
    const struct response_layer *w = &n->layer[l];
    const struct layer_arrays *a = &n->of.layer[l];
    const struct ops *ops = p->ops;
    const struct node_rows at = nodes_of(n, &n->of, l, range);
    const size_t hidden = (size_t)n->hidden, row = response_row(n), first = range.begin;
    const int square = n->channels * n->channels;
    real *pre = a->pre + place(p, first) * hidden, *post = a->post + place(p, first) * hidden;
    real *turn = a->turn + place(p, first) * (size_t)square;
    ops->vector_features(ops, p->law, at.count, n->channels, p->graph->kappa + first,
                         n->of.q + first * (size_t)n->base.d, at.fresh, at.x + 2 * hidden, row);
    linear(p, at.count, (int)row, n->hidden, at.x, row, w->node_w[0], p->weights + w->node_b[0], pre, hidden);
    ops->silu(ops, at.count * hidden, pre, post);
    linear(p, at.count, n->hidden, n->hidden, post, hidden, w->node_w[1], p->weights + w->node_b[1], at.to.h,
           at.to.ldh);
    ops->spread_rows(ops, at.count, n->hidden, at.x, row, at.to.h, at.to.ldh, true);
    linear(p, at.count, n->hidden, square, at.to.h, at.to.ldh, w->turn_w, p->weights + w->turn_b, turn,
           (size_t)square);
    ops->turn_vectors(ops, at.count, n->base.d, n->channels, turn, at.fresh, at.to.v, at.to.ldv);
}

/* After node_values, whose rows it reads. */
static void node_tangents(const struct pass *p, int l, struct edge_range range) {
    const struct response_network *n = p->n;
    const struct response_layer *w = &n->layer[l];
    const struct layer_arrays *a = &n->of.layer[l], *da = &n->along.layer[l];
    const struct ops *ops = p->ops;
    const struct node_rows at = nodes_of(n, &n->of, l, range), moved = nodes_of(n, &n->along, l, range);
    const size_t hidden = (size_t)n->hidden, row = response_row(n), first = range.begin;
    const size_t axes = first * (size_t)n->base.d;
    const int square = n->channels * n->channels;
    ops->vector_features_tangent(ops, p->law, at.count, n->channels, p->graph->kappa + first, n->of.q + axes,
                                 at.fresh, n->along.q + axes, moved.fresh, moved.x + 2 * hidden, row);
    linear(p, at.count, (int)row, n->hidden, moved.x, row, w->node_w[0], NULL, da->post, hidden);
    ops->silu_slope(ops, at.count * hidden, a->pre + place(p, first) * hidden, da->post);
    linear(p, at.count, n->hidden, n->hidden, da->post, hidden, w->node_w[1], NULL, moved.to.h, moved.to.ldh);
    ops->spread_rows(ops, at.count, n->hidden, moved.x, row, moved.to.h, moved.to.ldh, true);
    linear(p, at.count, n->hidden, square, moved.to.h, moved.to.ldh, w->turn_w, NULL, da->turn,
           (size_t)square);
    ops->turn_vectors_tangent(ops, at.count, n->base.d, n->channels,
                              a->turn + place(p, first) * (size_t)square, at.fresh, da->turn, moved.fresh,
                              moved.to.v, moved.to.ldv);
}

/* u, Q_tau and the vectors of sweeps are seen by every layer. */
static void carry_sources(const struct pass *p, int l, const struct response_arrays *of) {
    const struct response_network *n = p->n;
    if (l + 1 < n->layers)
        p->ops->spread_rows(p->ops, receivers_of(p->graph, l) * (size_t)n->base.d, response_sources(n),
                            of->layer[0].v, (size_t)n->layer[0].channels, of->layer[l + 1].v,
                            (size_t)n->layer[l + 1].channels, false);
}

static void run_layer(const struct pass *p, int l) {
    struct response_network *n = p->n;
    const size_t receivers = receivers_of(p->graph, l);
    prepare(p, l, &n->of.layer[l], p->weights + n->layer[l].edge_b);
    if (p->tangents)
        prepare(p, l, &n->along.layer[l], NULL);
    for (size_t i = 0; i < receivers;) {
        const struct edge_range range = graph_range(p->graph, i, receivers, n->range);
        range_values(p, l, range);
        node_values(p, l, range);
        if (p->tangents) {
            range_tangents(p, l, range);
            node_tangents(p, l, range);
        }
        i = range.end;
    }
    carry_sources(p, l, &n->of);
    if (p->tangents)
        carry_sources(p, l, &n->along);
}

/* ---- the score ---- */

/* Z = {q, sqrt(kappa) Q_tau and the vectors of sweeps, sqrt(kappa) V' of every layer}. */
static void gather_vectors(const struct pass *p, const struct response_arrays *of) {
    const struct response_network *n = p->n;
    const struct ops *ops = p->ops;
    const size_t owned = p->graph->level[0], d = (size_t)n->base.d, vectors = (size_t)response_vectors(n);
    const real *kappa = p->graph->kappa;
    ops->spread_rows(ops, owned * d, 1, of->q, 1, of->z, vectors, false);
    ops->whiten(ops, owned, n->base.d, response_sources(n) - 1, kappa, of->layer[0].v + 1,
                (size_t)n->layer[0].channels, of->z + 1, vectors, false);
    for (int l = 0; l < n->layers; l++) {
        const struct response_end from = response_end_of(n, of, l);
        ops->whiten(ops, owned, n->base.d, n->channels, kappa, from.v, from.ldv,
                    of->z + response_sources(n) + l * n->channels, vectors, false);
    }
}

/* o of some owned nodes, from their last h. */
static void read_out(const struct pass *p, size_t first, size_t count) {
    const struct response_network *n = p->n;
    const struct ops *ops = p->ops;
    const struct response_arrays *of = &n->of, *along = &n->along;
    const size_t hidden = (size_t)n->hidden, at = place(p, first) * hidden;
    const int out = response_vectors(n) + 2;
    real *pre = of->out_pre + at, *post = of->out_post + at;
    linear(p, count, n->hidden, n->hidden, of->h + first * hidden, hidden, n->out_w[0],
           p->weights + n->out_b[0], pre, hidden);
    ops->silu(ops, count * hidden, pre, post);
    linear(p, count, n->hidden, out, post, hidden, n->out_w[1], p->weights + n->out_b[1],
           of->o + first * (size_t)out, (size_t)out);
    if (!p->tangents)
        return;
    linear(p, count, n->hidden, n->hidden, along->h + first * hidden, hidden, n->out_w[0], NULL,
           along->out_post, hidden);
    ops->silu_slope(ops, count * hidden, pre, along->out_post);
    linear(p, count, n->hidden, out, along->out_post, hidden, n->out_w[1], NULL,
           along->o + first * (size_t)out, (size_t)out);
}

static void finish(const struct pass *p) {
    struct response_network *n = p->n;
    const struct graph *g = p->graph;
    const size_t owned = g->level[0];
    const int vectors = response_vectors(n);
    struct response_arrays *of = &n->of, *along = &n->along;
    for (size_t i = 0; i < owned; i += n->range)
        read_out(p, i, owned - i < n->range ? owned - i : n->range);
    gather_vectors(p, of);
    p->ops->response_score(p->ops, p->law, owned, vectors, g->kappa, of->z, of->o, n->g, g->push, n->s);
    if (!p->tangents)
        return;
    gather_vectors(p, along);
    p->ops->response_score_tangent(p->ops, p->law, owned, vectors, g->kappa, of->z, of->o, n->g, g->push,
                                   along->z, along->o, n->direction, n->ds);
}

void response_forward(struct response_network *n, const real *weights, const struct graph *graph,
                      bool tangents, bool kept) {
    const struct pass pass = {.n = n,
                              .ops = n->base.ops,
                              .weights = weights,
                              .graph = graph,
                              .law = &graph->law,
                              .tangents = tangents,
                              .kept = kept};
    begin(&pass);
    if (n->sweeps > 0)
        sweeps_run(n, graph, tangents);
    for (int l = 0; l < n->layers; l++)
        run_layer(&pass, l);
    finish(&pass);
}
