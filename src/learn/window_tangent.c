/* The divergence of the score with respect to a particle's own g, exactly: d tangents, one along each axis of
 * g_i, the neighbours' g fixed. Tangents enter at token 0 alone, as the tangents of E_g(g_i); in the first
 * block only its query, key and value move. The d tangents of a chunk are one batch of rows. */
#include "learn/window_network.h"

/* dE_g(g_i) along every axis, into the first half of token 0: n->dt (d, B, T, W), zero elsewhere. */
static void tangent_tokens(struct window_network *n, const real *weights, const struct score_input *in,
                           size_t first, size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, wide = (size_t)n->width, window = (size_t)n->tokens * wide;
    ops->propulsion_rows(ops, n->base.d, count, in->centre + first, in->g, n->g_rows);
    mlp_forward(&n->embed_g, weights, count, n->g_rows, d, n->dy,
                wide / 2); /* keeps the slopes; value not used */
    ops->zero(ops, n->dt, d * count * window * sizeof(real));
    for (size_t a = 0; a < d; a++)
        mlp_tangent(&n->embed_g, weights, count, n->axes + a * n->windows * d, d, n->dt + a * count * window,
                    window);
}

/* n->dt (d, B, T, W) -> that of the block's output: (d, B, Q, W). */
static void tangent_block(struct window_network *n, const real *weights, int index, size_t count) {
    const struct ops *ops = n->base.ops;
    struct window_block *b = &n->block[index];
    const int w = n->width, f = n->feed_forward;
    const size_t wide = (size_t)w, sets = (size_t)n->base.d, window = (size_t)n->tokens * wide;
    const size_t tokens = count * (size_t)n->tokens, rows = count * (size_t)b->queries;
    const size_t ldt = b->queries == 1 ? window : wide;
    const bool first = index == 0; /* only token 0 moves */
    const size_t moving = first ? sets * count : sets * tokens, ldm = first ? window : wide;
    if (first) {
        ops->zero(ops, n->dq, sets * rows * wide * sizeof(real));
        ops->zero(ops, n->dk, sets * tokens * wide * sizeof(real));
        ops->zero(ops, n->dv, sets * tokens * wide * sizeof(real));
    }
    const bool all_ask = b->queries > 1;
    ops->linear(ops, first ? sets * count : sets * rows, w, w, n->dt, first ? window : ldt,
                weights + b->query_w, NULL, n->dq, first && all_ask ? window : wide);
    ops->linear(ops, moving, w, w, n->dt, ldm, weights + b->key_w, NULL, n->dk, ldm);
    ops->linear(ops, moving, w, w, n->dt, ldm, weights + b->value_w, NULL, n->dv, ldm);
    for (size_t s = 0; s < sets; s++)
        ops->attention_tangent(ops, count, b->queries, n->tokens, n->heads, w, b->q, b->k, b->v, b->p,
                               n->dq + s * rows * wide, n->dk + s * tokens * wide, n->dv + s * tokens * wide,
                               n->dy + s * rows * wide);
    ops->linear(ops, sets * rows, w, w, n->dy, wide, weights + b->output_w, NULL, n->dq, wide);
    ops->norm_tangent(ops, sets, rows, w, n->dt, ldt, n->dq, wide, weights + b->norm1_scale, b->n1, b->root1,
                      n->dy);
    ops->linear(ops, sets * rows, w, f, n->dy, wide, weights + b->mlp0_w, NULL, n->dwide, (size_t)f);
    for (size_t s = 0; s < sets; s++)
        ops->gelu_tangent(ops, rows * (size_t)f, b->pre, n->dwide + s * rows * (size_t)f,
                          n->dwide + s * rows * (size_t)f);
    ops->linear(ops, sets * rows, f, w, n->dwide, (size_t)f, weights + b->mlp1_w, NULL, n->dq, wide);
    ops->norm_tangent(ops, sets, rows, w, n->dy, wide, n->dq, wide, weights + b->norm2_scale, b->n2, b->root2,
                      n->dt);
}

void window_tangent(struct window_network *n, const real *weights, const struct score_input *in, size_t first,
                    size_t count, real *divergence) {
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, wide = (size_t)n->width;
    tangent_tokens(n, weights, in, first, count);
    for (int b = 0; b < n->blocks; b++)
        tangent_block(n, weights, b, count);
    for (size_t a = 0; a < d; a++)
        mlp_tangent(&n->decoder, weights, count, n->dt + a * count * wide, wide, n->ds + a * count * d, d);
    ops->trace(ops, count, n->base.d, n->ds, divergence);
}
