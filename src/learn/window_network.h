/* The windowed transformer's insides. Private to learn. */
#ifndef EPFLOW_LEARN_WINDOW_NETWORK_H
#define EPFLOW_LEARN_WINDOW_NETWORK_H

#include "learn/mlp.h"
#include "learn/score_kind.h"

enum { WINDOW_BLOCKS = 64 };

/* One block: what its weights are called, and what forward keeps of a chunk. B windows, T tokens, Q queries
 * (T, in the last block D, the decoded tokens). */
struct window_block {
    int queries;                                                                 /* Q */
    size_t query_w, query_b, key_w, key_b, value_w, value_b, output_w, output_b; /* offsets of weights */
    size_t norm1_scale, norm1_offset, mlp0_w, mlp0_b, mlp1_w, mlp1_b, norm2_scale, norm2_offset;
    real *t;               /* (B, T, W) tokens that come in */
    real *q;               /* (B, Q, W) */
    real *k, *v;           /* (B, T, W) */
    real *p;               /* (B, heads, Q, T) attention weights */
    real *attended;        /* (B, Q, W) */
    real *n1, *root1, *y1; /* (B Q, W), (B Q), (B Q, W) after the first norm */
    real *pre, *post;      /* (B Q, F) */
    real *n2, *root2;      /* (B Q, W), (B Q) */
    real *y2;              /* (B Q, W) tokens that go out: the next block's t */
};

struct window_network {
    struct score_model base;
    int width, hidden, feed_forward, heads, blocks, tokens;
    struct window_view view;
    int inputs;     /* numbers a token sees of positions */
    size_t windows; /* B, most windows of a chunk */
    size_t batch;   /* most windows for which E_g is tabulated at once */
    struct mlp embed_g, embed_x, decoder;
    bool has_linear;    /* the linear term (window_linear.c), of Q = 2 d numbers a token, */
    bool sees_velocity; /* or, with velocities, 3 d */
    size_t linear_w;    /* (T Q, O) */
    struct window_block block[WINDOW_BLOCKS];
    real *offsets; /* (B, T, inputs) what tokens see of positions */
    real *s;       /* (B, D, O) */
    /* gradients and tangents of a chunk, shared by all blocks. A tangent has d sets of everything. */
    real *g_tokens, *f;           /* (B, T, d), (B, T, Q) of the linear term */
    const uint32_t *token_in_use; /* (B, T) device: the particles of the chunk's tokens */
    const uint32_t *place_in_use; /* (B, T) device: and their places in the table */
    real *ds;                     /* (B, D, O), tangents (d, B, d) */
    real *dt, *dt_next;           /* (d, B, T, W) */
    real *dq, *dk, *dv;           /* (d, B, T, W) */
    real *dwide;                  /* (d B T, F) */
    real *dy;                     /* (d, B T, W) */
    real *r, *z;                  /* (B, heads, W) of a last block that pools (window_pool.c) */
    real *dr, *dz;                /* (d, B, heads, W) */
    real *axes;                   /* (d, B, d) unit vectors along each axis of g, for the tangents */
    /* E_g of the distinct particles of a batch of windows */
    uint32_t *slot; /* host (particles): place of a particle in the table, or none */
    size_t slot_count;
    uint32_t *member, *member_host; /* (batch T) particles in the table */
    uint32_t *place, *place_host;   /* (batch, T) each token's place in the table */
    uint32_t *token, *token_host;   /* (batch, T) each token's particle */
    size_t members;
    real *g_rows;         /* (rows of embed_g, d) */
    real *table, *dtable; /* (batch T, W/2) E_g, and its gradient */
    bool sharing;      /* what E_g gives to queries, keys and values of the first block is tabulated, too: */
    size_t share_room; /* for as many particles */
    real *shares, *dshares; /* (members, 3, W) with the biases, and its gradient */
    real *sums;   /* (heads, B, Q, W) first block: b + the output matrix's product, head after head */
    bool moving;  /* tangents of the chunk are wanted, too (window_tangent.c) */
    bool keeping; /* by a probe (window_probe.c) */
    struct window_probe *probe; /* tangents that are kept; NULL until a probe is asked for */
};

/* Whether a block is left to window_pool.c: token 0 alone asks. Not where a probe keeps keys and values, nor, in a first
 * block, where tangents are of token 0 alone. */
bool window_pools(const struct window_network *n, int index);
/* Attention of such a block, from b->t to b->attended; its tangents, from n->dt (d, B, T, W) to n->dy (d, B, W); its
 * gradient, from n->dy (B, W): adds to that of the tokens in dt (B, T, W). */
void window_pool_forward(struct window_network *n, const real *weights, struct window_block *b, size_t count);
void window_pool_tangent(struct window_network *n, const real *weights, const struct window_block *b,
                         size_t count);
void window_pool_backward(struct window_network *n, const real *weights, const struct window_block *b,
                          size_t count, real *gradient, real *dt);
/* Tabulates E_g of the particles in windows first ... first + count - 1. */
enum status window_tabulate(struct window_network *n, const real *weights, const struct score_input *in,
                            size_t first, size_t count);
/* Whether block `index` takes E_g's part of queries, keys and values from the table. */
bool window_shares(const struct window_network *n, int index);
/* Forward pass of a chunk of windows: `first` counts from the start of the input, `at` from that of the
 * tabulated batch. The score is in n->s. */
void window_forward(struct window_network *n, const real *weights, const struct score_input *in, size_t first,
                    size_t at, size_t count);
/* Tangents of the chunk's scores along its own g: divergence (count). */
void window_tangent(struct window_network *n, const real *weights, const struct score_input *in, size_t first,
                    size_t count, real *divergence);
/* Gradient of a loss with ds = n->ds: adds to gradient, and to the table's gradient. */
void window_backward(struct window_network *n, const real *weights, size_t count, real *gradient);
/* window_linear.c, all of the chunk that forward was called for: adds to n->s; adds to divergence (count); gradient of a
 * loss with derivatives ds (B, O). Tangents: from those of what tokens see, inputs (in_x, B, T, inputs), those of f in
 * tf (sets, B, T, Q), added to ts (sets, B, O); and the gradient, of `rows` = sets B. */
enum status window_linear_create(struct window_network *n);
void window_linear_forward(struct window_network *n, const real *weights, const struct score_input *in,
                           size_t count);
void window_linear_divergence(struct window_network *n, const real *weights, size_t count, real *divergence);
void window_linear_backward(struct window_network *n, const real *weights, size_t count, const real *ds,
                            real *gradient);
void window_linear_tangents(struct window_network *n, const real *weights, const struct score_probes *probes,
                            size_t count, const real *inputs, real *tf, real *ts);
void window_linear_tangents_backward(struct window_network *n, const real *weights, size_t rows,
                                     const real *tf, const real *dts, real *gradient);
/* The windows' particles, as device indices (count T) in n->member. Fails where one is missing. */
enum status window_members(struct window_network *n, const struct score_input *in, size_t count);
/* From what tokens see to the score in n->s: t holds E_g in its first half already. */
void window_forward_blocks(struct window_network *n, const real *weights, const struct score_input *in,
                           size_t first, size_t count);
/* window_probe.c: score_probe and score_pull. */
enum status window_probe_forward(struct window_network *n, const real *weights, const struct score_input *in,
                                 const struct score_probes *probes, real *s, real *product);
enum status window_probe_backward(struct window_network *n, const real *weights, const struct score_input *in,
                                  const struct score_probes *probes, const real *ds, const real *dproduct,
                                  real *gradient);
void window_probe_destroy(struct window_network *n);
/* From the table's gradient to that of E_g's weights. */
void window_table_backward(struct window_network *n, const real *weights, const struct score_input *in,
                           real *gradient);

#endif
