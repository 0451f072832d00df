/* The divergence of the score with respect to a particle's own g, exactly: d tangents, one along each axis of
 * g_i, the neighbours' g fixed. The d tangents of a chunk are one batch of rows.
 *
 * Tangents enter at token 0 alone, as the tangents of E_g(g_i): in the first block only its query, key and value
 * move. In the last block token 0 alone asks, and the tangents of keys and values need not be formed. */
#include "learn/window_network.h"

/* dE_g(g_i) along every axis: the first half of token 0 in n->dt (d, B, W); the other half does not move. */
static void tangent_tokens(struct window_network *n, const real *weights, const struct score_input *in,
                           size_t first, size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, wide = (size_t)n->width;
    ops->propulsion_rows(ops, n->base.d, count, in->centre + first, in->g, n->g_rows);
    mlp_forward(&n->embed_g, weights, count, n->g_rows, d, n->dy,
                wide / 2); /* keeps the slopes; value not used */
    ops->zero(ops, n->dt, d * count * wide * sizeof(real));
    for (size_t a = 0; a < d; a++)
        mlp_tangent(&n->embed_g, weights, count, n->axes + a * n->windows * d, d, n->dt + a * count * wide,
                    wide);
}

/* ---- attention: from the tokens' tangents in n->dt to those of what the output matrix makes of it in n->dq
 * (sets, B, Q, W) ---- */

/* y (rows, heads, W) = every head of x, rows ldx apart, through its rows of the output matrix. */
static void carry_each(const struct window_network *n, const real *weights, size_t rows, const real *x,
                       size_t ldx, real *y) {
    const struct ops *ops = n->base.ops;
    const int w = n->width, columns = w / n->heads;
    const size_t wide = (size_t)w, ldy = (size_t)n->heads * wide;
    for (size_t h = 0; h < (size_t)n->heads; h++)
        ops->linear(ops, rows, columns, w, x + h * (size_t)columns, ldx,
                    weights + n->block[0].output_w + h * (size_t)columns * wide, NULL, y + h * wide, ldy);
}

/* Token 0 alone moves: the matrix is needed for what it moves by, not for all that moves. n->z and n->dz are free. */
static void attention_first(struct window_network *n, const real *weights, const struct window_block *b,
                            size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t wide = (size_t)n->width, sets = (size_t)n->base.d, moving = sets * count;
    const size_t window = (size_t)b->queries * wide;
    const int w = n->width, half = w / 2;
    ops->linear(ops, moving, half, w, n->dt, wide, weights + b->query_w, NULL, n->dq, wide);
    ops->linear(ops, moving, half, w, n->dt, wide, weights + b->key_w, NULL, n->dk, wide);
    ops->linear(ops, moving, half, w, n->dt, wide, weights + b->value_w, NULL, n->dv, wide);
    ops->attention_tangent_query(ops, sets, count, b->queries, n->tokens, n->heads, w, b->k, b->v, b->p,
                                 n->dq, n->dy);
    ops->linear(ops, moving, w, w, n->dy, wide, weights + b->output_w, NULL, n->dt_next, wide);
    carry_each(n, weights, count, b->v, (size_t)n->tokens * wide, n->z);
    carry_each(n, weights, moving, n->dv, wide, n->dz);
    ops->attention_tangent_key(ops, sets, count, b->queries, n->tokens, n->heads, w, b->q, b->p, n->sums,
                               weights + b->output_b, n->z, n->dk, n->dz, n->dq);
    ops->spread_rows(ops, moving, w, n->dt_next, wide, n->dq, window, true);
    ops->spread_rows(ops, moving, w, n->dt, wide, n->dq, window, true); /* the token's own */
}

static void attention_between(struct window_network *n, const real *weights, const struct window_block *b,
                              size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t wide = (size_t)n->width, sets = (size_t)n->base.d;
    const size_t rows = sets * count * (size_t)n->tokens;
    const int w = n->width;
    ops->linear(ops, rows, w, w, n->dt, wide, weights + b->query_w, NULL, n->dq, wide);
    ops->linear(ops, rows, w, w, n->dt, wide, weights + b->key_w, NULL, n->dk, wide);
    ops->linear(ops, rows, w, w, n->dt, wide, weights + b->value_w, NULL, n->dv, wide);
    ops->attention_tangents(ops, sets, count, n->tokens, n->tokens, n->heads, w, b->q, b->k, b->v, b->p,
                            n->dq, n->dk, n->dv, n->dy);
}

/* ---- blocks ---- */

/* n->dt -> that of the block's output: (d, B, Q, W). */
static void tangent_block(struct window_network *n, const real *weights, int index, size_t count) {
    const struct ops *ops = n->base.ops;
    struct window_block *b = &n->block[index];
    const int w = n->width, f = n->feed_forward;
    const size_t wide = (size_t)w, sets = (size_t)n->base.d, window = (size_t)n->tokens * wide;
    const size_t rows = count * (size_t)b->queries;
    if (index == 0) {
        attention_first(n, weights, b, count);
        ops->norm_tangent(ops, sets, rows, w, n->dq, wide, NULL, 0, weights + b->norm1_scale, b->n1, b->root1,
                          n->dy);
    } else {
        if (window_pools(n, index))
            window_pool_tangent(n, weights, b, count);
        else
            attention_between(n, weights, b, count);
        ops->linear(ops, sets * rows, w, w, n->dy, wide, weights + b->output_w, NULL, n->dq, wide);
        ops->norm_tangent(ops, sets, rows, w, n->dq, wide, n->dt, b->queries == 1 ? window : wide,
                          weights + b->norm1_scale, b->n1, b->root1, n->dy);
    }
    ops->linear(ops, sets * rows, w, f, n->dy, wide, weights + b->mlp0_w, NULL, n->dwide, (size_t)f);
    ops->gelu_tangents(ops, sets, rows * (size_t)f, b->pre, n->dwide);
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
    if (n->has_linear)
        window_linear_divergence(n, weights, count, divergence);
}
