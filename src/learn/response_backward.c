/* Gradients of a loss of the response network's scores, layer after layer backwards. n->d holds gradients in the
 * layout of the values; u, q, Q_tau and the vectors of sweeps do not depend on weights, so nothing goes back to them. */
#include "learn/response_network.h"

struct pass {
    struct response_network *n;
    const struct ops *ops;
    const real *weights;
    const struct graph *graph;
    real *gradient;
};

/* dw, db and, unless dx is NULL, dx (added to if `add`) of y = x w + b. */
static void linear_back(const struct pass *p, size_t rows, int in, int out, const real *x, size_t ldx,
                        size_t w, const real *dy, size_t lddy, real *db, real *dx, size_t lddx, bool add) {
    p->ops->linear_backward(p->ops, rows, in, out, x, ldx, p->weights + w, dy, lddy, p->gradient + w, db, dx,
                            lddx, add);
}

/* From ds to z, o and the last h. */
static void start(const struct pass *p) {
    struct response_network *n = p->n;
    const struct response_arrays *of = &n->of;
    struct response_arrays *d = &n->d;
    const struct graph *g = p->graph;
    const size_t owned = g->level[0], hidden = (size_t)n->hidden;
    const int vectors = response_vectors(n);
    p->ops->response_score_backward(p->ops, &g->law, owned, vectors, g->kappa, of->z, of->o, n->g, g->push,
                                    n->ds, d->z, d->o);
    linear_back(p, owned, n->hidden, vectors + 2, of->out_post, hidden, n->out_w[1], d->o,
                (size_t)vectors + 2, p->gradient + n->out_b[1], d->out_post, hidden, false);
    p->ops->silu_slope(p->ops, owned * hidden, of->out_pre, d->out_post);
    linear_back(p, owned, n->hidden, n->hidden, of->h, hidden, n->out_w[0], d->out_post, hidden,
                p->gradient + n->out_b[0], d->h, hidden, false);
}

/* The gradient of the turned vectors of layer l (receivers, d, C), in d->last: of the score, and of the next layer. */
static void turned_gradient(const struct pass *p, int l) {
    struct response_network *n = p->n;
    const struct graph *g = p->graph;
    const size_t receivers = receivers_of(g, l), d = (size_t)n->base.d, channels = (size_t)n->channels;
    p->ops->zero(p->ops, n->d.last, receivers * d * channels * sizeof(real));
    if (l + 1 < n->layers)
        p->ops->spread_rows(p->ops, receivers * d, n->channels, n->d.layer[l + 1].v + response_sources(n),
                            (size_t)n->layer[l + 1].channels, n->d.last, channels, false);
    p->ops->whiten(p->ops, g->level[0], n->base.d, n->channels, g->kappa,
                   n->d.z + response_sources(n) + l * n->channels, (size_t)response_vectors(n), n->d.last,
                   channels, true);
}

/* Nodes: from the gradients of h (ldh) and of the turned vectors to those of x and of the new vectors. */
static void node_gradients(const struct pass *p, int l) {
    struct response_network *n = p->n;
    const struct ops *ops = p->ops;
    const struct response_layer *w = &n->layer[l];
    const struct layer_arrays *a = &n->of.layer[l];
    struct layer_arrays *d = &n->d.layer[l];
    const size_t rows = receivers_of(p->graph, l), hidden = (size_t)n->hidden, row = response_row(n);
    const size_t square = (size_t)(n->channels * n->channels);
    const struct response_end end = response_end_of(n, &n->of, l), dend = response_end_of(n, &n->d, l);
    turned_gradient(p, l);
    ops->turn_vectors_backward(ops, rows, n->base.d, n->channels, a->turn, a->fresh, n->d.last,
                               (size_t)n->channels, d->turn, d->fresh);
    linear_back(p, rows, n->hidden, (int)square, end.h, end.ldh, w->turn_w, d->turn, square,
                p->gradient + w->turn_b, dend.h, dend.ldh, true);
    linear_back(p, rows, n->hidden, n->hidden, a->post, hidden, w->node_w[1], dend.h, dend.ldh,
                p->gradient + w->node_b[1], d->post, hidden, false);
    ops->silu_slope(ops, rows * hidden, a->pre, d->post);
    ops->zero(ops, d->x, senders_of(p->graph, l) * row * sizeof(real));
    linear_back(p, rows, (int)row, n->hidden, a->x, row, w->node_w[0], d->post, hidden,
                p->gradient + w->node_b[0], d->x, row, false);
    ops->spread_rows(ops, rows, n->hidden, dend.h, dend.ldh, d->x, row, true);
    ops->vector_features_backward(ops, &p->graph->law, rows, n->channels, p->graph->kappa, n->of.q, a->fresh,
                                  d->x + 2 * hidden, row, d->fresh);
}

static void range_gradients(const struct pass *p, int l, struct edge_range range) {
    struct response_network *n = p->n;
    const struct ops *ops = p->ops;
    const struct response_layer *w = &n->layer[l];
    const struct layer_arrays *a = &n->of.layer[l];
    struct layer_arrays *d = &n->d.layer[l];
    const struct edges *edges = &p->graph->edges;
    const int features = edge_numbers(w->channels), out = n->hidden + 3 * n->channels;
    const size_t edge = (size_t)n->edge, at = range.first;
    ops->edge_messages_backward(ops, &p->graph->law, edges, range, p->graph->kappa, n->hidden, n->channels,
                                a->y + at * (size_t)out, a->mixed, d->x + n->hidden, response_row(n),
                                d->fresh, d->y, d->mixed);
    linear_back(p, range.count, n->edge, out, a->e + at * edge, edge, w->message_w, d->y, (size_t)out,
                p->gradient + w->message_b, d->e, edge, false);
    ops->edge_hidden_backward(ops, edges, range, n->edge, a->a + at * edge, d->e, d->p);
    linear_back(p, range.count, features, n->edge, a->f + at * (size_t)features, (size_t)features, w->edge_w,
                d->e, edge, NULL, l > 0 ? d->f : NULL, (size_t)features, false);
    if (l > 0)
        ops->edge_features_backward(ops, &p->graph->law, edges, range, p->graph->kappa, w->channels,
                                    response_sources(n), a->v, d->f, d->v);
}

/* From mixed vectors and p back to the vectors and h of senders. */
static void sender_gradients(const struct pass *p, int l) {
    struct response_network *n = p->n;
    const struct response_layer *w = &n->layer[l];
    const struct layer_arrays *a = &n->of.layer[l];
    struct layer_arrays *d = &n->d.layer[l];
    const size_t senders = senders_of(p->graph, l), channels = (size_t)w->channels, row = response_row(n);
    const size_t wide = 2 * (size_t)n->edge;
    linear_back(p, senders * (size_t)n->base.d, w->channels, n->channels, a->v, channels, w->mix_w, d->mixed,
                (size_t)n->channels, NULL, l > 0 ? d->v : NULL, channels, true);
    linear_back(p, receivers_of(p->graph, l), n->hidden, n->edge, a->x, row, w->receiver_w, d->p, wide,
                p->gradient + w->edge_b, d->x, row, true);
    linear_back(p, senders, n->hidden, n->edge, a->x, row, w->sender_w, d->p + n->edge, wide, NULL, d->x, row,
                true);
}

static void layer_gradients(const struct pass *p, int l) {
    struct response_network *n = p->n;
    const struct layer_arrays *d = &n->d.layer[l];
    const size_t senders = senders_of(p->graph, l), receivers = receivers_of(p->graph, l),
                 axes = (size_t)n->base.d;
    node_gradients(p, l);
    p->ops->zero(p->ops, d->mixed, senders * axes * (size_t)n->channels * sizeof(real));
    p->ops->zero(p->ops, d->p, senders * 2 * (size_t)n->edge * sizeof(real));
    p->ops->zero(p->ops, d->v, senders * axes * (size_t)n->layer[l].channels * sizeof(real));
    for (size_t i = 0; i < receivers;) {
        const struct edge_range range = graph_range(p->graph, i, receivers, n->range);
        range_gradients(p, l, range);
        i = range.end;
    }
    sender_gradients(p, l);
}

void response_backward(struct response_network *n, const real *weights, const struct graph *graph,
                       real *gradient) {
    const struct pass pass = {
        .n = n, .ops = n->base.ops, .weights = weights, .graph = graph, .gradient = gradient};
    const size_t nodes = graph->level[graph->layers], hidden = (size_t)n->hidden;
    start(&pass);
    for (int l = n->layers - 1; l >= 0; l--)
        layer_gradients(&pass, l);
    n->base.ops->spread_rows(n->base.ops, nodes, n->hidden, n->d.layer[0].x, response_row(n), n->d.pre,
                             hidden, false);
    n->base.ops->silu_slope(n->base.ops, nodes * hidden, n->of.pre, n->d.pre);
    linear_back(&pass, nodes, STATE_NUMBERS, n->hidden, n->of.state, STATE_NUMBERS, n->embed_w, n->d.pre,
                hidden, gradient + n->embed_b, NULL, 0, false);
}
