/* The response network's insides (theory.md section 7). Private to learn. */
#ifndef EPFLOW_LEARN_RESPONSE_NETWORK_H
#define EPFLOW_LEARN_RESPONSE_NETWORK_H

#include "learn/score_kind.h"

/* Where the weights of a layer are in the flat buffer. */
struct response_layer {
    int channels; /* vectors that it sees: u, Q_tau, and those of the layer before */
    size_t edge_w, edge_b, receiver_w, sender_w, message_w, message_b, mix_w;
    size_t node_w[2], node_b[2], turn_w, turn_b;
};

/* What arrays are for. Values that response_backward reads are kept, all of them; arrays of gradients hold one range of
 * edges; those of a pass that nothing follows (values or tangents) hold one range of rows, too, where nothing
 * else is needed, and its layers share what they work with. */
enum response_use { USE_KEPT, USE_GRADIENT, USE_ONCE };

/* Arrays of one layer: values, their tangents or their gradients. Senders are the first level[layers - l] nodes of the
 * graph, receivers the first level[layers - 1 - l]. */
struct layer_arrays {
    real *x;             /* (senders, 2 H + 2 C): h, then of receivers 0.4 sum w m, log z, p */
    real *v;             /* (senders, d, channels) */
    real *mixed;         /* (senders, d, C) */
    real *p;             /* (senders, 2 E): what a pair's receiver and sender add to its hidden numbers */
    real *fresh;         /* (receivers, d, C): the new vectors before they are turned */
    real *pre, *post;    /* (receivers or range, H) around silu */
    real *turn;          /* (receivers or range, C C) */
    real *f, *a, *e, *y; /* (edges or range, features), (.., E) before and after silu, (.., H + 3 C) */
};
struct response_arrays {
    real *u;          /* (moving, d) */
    real *q, *state;  /* (level[layers], d), (level[layers], 4) */
    real *pre, *post; /* (level[layers] or range, H) around silu */
    struct layer_arrays layer[RESPONSE_LAYERS];
    real *last;               /* (level[layers - 1], d, C): the turned vectors of the last layer */
    real *h;                  /* (owned, H) at the end */
    real *out_pre, *out_post; /* (owned or range, H) around silu */
    real *z, *o;              /* (owned, d, vectors), (owned, vectors + 2) */
};

/* Arrays of the sweeps (response_sweeps.c), values or tangents. */
enum { SWEEP_STARTS = 3 };
struct sweep_arrays {
    real *shift;           /* (moving, d): D */
    real *stiff;           /* (intervals, d (d + 1)/2, contacts): K of every interval */
    real *history;         /* (intervals, moving, d): velocities on the way, later sources */
    real *v[SWEEP_STARTS]; /* (moving, d) */
    real *half;            /* (moving, d) */
};

/* Memory that arrays are cut out of; grows, contents lost. */
struct response_memory {
    real *base;
    size_t size;
};

struct response_network {
    struct score_model base;
    int hidden, edge, channels, layers, shots;
    int sweeps; /* channels of sweeps: SWEEP_CHANNELS or 0 */
    int intervals;
    double interval, sweep_scale;
    size_t range; /* most edges, and most rows of nodes, at once */
    size_t embed_w, embed_b, out_w[2], out_b[2];
    struct response_layer layer[RESPONSE_LAYERS];
    struct response_memory values, tangents, gradients, swept, swept_tangents;
    struct response_arrays of, along, d;
    struct sweep_arrays sweep, sweep_along;
    double *g[MAX_DIMENSION]; /* (nodes) of the graph, in its order */
    real *s, *ds;             /* (owned, d) */
    real *direction;          /* (nodes, d) */
    real *rows, *drows;       /* (row_room, d): of the chosen particles */
    size_t row_room;
    size_t nodes, owned; /* room */
};

/* Vectors that do not depend on weights and that every layer sees: u, Q_tau, those of sweeps. */
static inline int response_sources(const struct response_network *n) {
    return 1 + n->shots + n->sweeps;
}
/* Vectors that the score is a sum of: q, Q_tau, those of sweeps, and C of every layer. */
static inline int response_vectors(const struct response_network *n) {
    return response_sources(n) + n->channels * n->layers;
}
static inline size_t senders_of(const struct graph *g, int layer) {
    return g->level[g->layers - layer];
}
static inline size_t receivers_of(const struct graph *g, int layer) {
    return g->level[g->layers - 1 - layer];
}
/* Distance between rows of x. */
static inline size_t response_row(const struct response_network *n) {
    return (size_t)(2 * n->hidden + 2 * n->channels);
}

/* The next piece of a block of memory, at a multiple of 64 bytes; only counts while base is NULL. */
struct cutter {
    real *base;
    size_t used;
};
void response_cut(struct cutter *c, size_t count, real **at);
/* Makes memory hold as many reals; contents are lost where it grows. */
enum status response_grow(struct response_network *n, struct response_memory *memory, size_t size);

/* response_sweeps.c: room for a graph; then the sweeps' channels of n->of (and n->along) from u. */
double sweeps_bytes(const struct response_network *n, const struct graph *sizes); /* without tangents */
enum status sweeps_reserve(struct response_network *n, const struct graph *graph, bool tangents);
void sweeps_run(struct response_network *n, const struct graph *graph, bool tangents);

/* Where layer l leaves h and its turned vectors: in the next layer's arrays, or at the end. */
struct response_end {
    real *h, *v;
    size_t ldh, ldv;
};
static inline struct response_end response_end_of(const struct response_network *n,
                                                  const struct response_arrays *of, int l) {
    if (l + 1 == n->layers)
        return (struct response_end){of->h, of->last, (size_t)n->hidden, (size_t)n->channels};
    const struct layer_arrays *next = &of->layer[l + 1];
    return (struct response_end){next->x, next->v + response_sources(n), response_row(n),
                                 (size_t)n->layer[l + 1].channels};
}

/* response_forward.c: s of n->of and, with tangents, ds along n->direction in n->along; kept: n->of was cut
 * to stay for response_backward. n->g is set. */
void response_forward(struct response_network *n, const real *weights, const struct graph *graph,
                      bool tangents, bool kept);
/* response_backward.c: adds to gradient that of n->ds, after a forward pass that kept its values. */
void response_backward(struct response_network *n, const real *weights, const struct graph *graph,
                       real *gradient);

#endif
