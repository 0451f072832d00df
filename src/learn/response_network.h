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

/* Arrays of one layer: values, their tangents or their gradients. Senders are the first level[layers - l] nodes of the
 * graph, receivers the first level[layers - 1 - l]. Those of edges hold a range, or, where they are kept for
 * gradients, all edges of the receivers. */
struct layer_arrays {
    real *x;             /* (senders, 2 H + 2 C): h, then of receivers 0.4 sum w m, log z, p */
    real *v;             /* (senders, d, channels) */
    real *mixed;         /* (senders, d, C) */
    real *p;             /* (senders, 2 E): what a pair's receiver and sender add to its hidden numbers */
    real *fresh;         /* (receivers, d, C): the new vectors before they are turned */
    real *pre, *post;    /* (receivers, H) around silu */
    real *turn;          /* (receivers, C C) */
    real *f, *a, *e, *y; /* (edges, features), (edges, E) before and after silu, (edges, H + 3 C) */
};
struct response_arrays {
    real *u;          /* (level[layers + 1], d) */
    real *q, *state;  /* (level[layers], d), (level[layers], 4) */
    real *pre, *post; /* (level[layers], H) around silu */
    struct layer_arrays layer[RESPONSE_LAYERS];
    real *last;               /* (level[layers - 1], d, C): the turned vectors of the last layer */
    real *h;                  /* (owned, H) at the end */
    real *out_pre, *out_post; /* (owned, H) around silu */
    real *z, *o;              /* (owned, d, vectors), (owned, vectors + 2) */
};

/* Memory that arrays are cut out of; grows, contents lost. */
struct response_memory {
    real *base;
    size_t size;
};

struct response_network {
    struct score_model base;
    int hidden, edge, channels, layers, shots;
    size_t range; /* most edges at once */
    size_t embed_w, embed_b, out_w[2], out_b[2];
    struct response_layer layer[RESPONSE_LAYERS];
    struct response_memory values, tangents, gradients;
    struct response_arrays of, along, d;
    double *g[MAX_DIMENSION]; /* (nodes) of the graph, in its order */
    real *s, *ds;             /* (owned, d) */
    real *direction;          /* (nodes, d) */
    real *rows, *drows;       /* (row_room, d): of the chosen particles */
    size_t row_room;
    size_t nodes, owned; /* room */
};

/* Vectors that the score is a sum of: q, Q_tau, and C of every layer. */
static inline int response_vectors(const struct response_network *n) {
    return 1 + n->shots + n->channels * n->layers;
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

/* response_forward.c: s of n->of and, with tangents, ds along n->direction in n->along; kept: edges stay for
 * response_backward. n->g is set. */
void response_forward(struct response_network *n, const real *weights, const struct graph *graph,
                      bool tangents, bool kept);
/* response_backward.c: adds to gradient that of n->ds, after a forward pass that kept its edges. */
void response_backward(struct response_network *n, const real *weights, const struct graph *graph,
                       real *gradient);

#endif
