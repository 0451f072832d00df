/* Gradient of a loss of the scores with respect to the weights: the forward pass run backwards, chunk by
 * chunk, from what it kept. */
#include "learn/window_network.h"

/* The gradient of queries, keys and values whose E_g part is from the table: to that part, and to E_x in the second half
 * of the tokens dt. */
static void share_backward(struct window_network *n, const real *weights, const struct window_block *b,
                           size_t tokens, real *gradient, real *dt) {
    const struct ops *ops = n->base.ops;
    const int w = n->width, half = w / 2;
    const size_t wide = (size_t)w, rest = wide / 2 * wide; /* of weights, to those of the second half */
    const size_t weight[] = {b->query_w + rest, b->key_w + rest, b->value_w + rest};
    const real *const from[] = {n->dq, n->dk, n->dv};
    for (size_t m = 0; m < 3; m++) {
        ops->scatter_rows(ops, tokens, w, n->place_in_use, from[m], wide, n->dshares + m * wide, 3 * wide);
        ops->linear_backward(ops, tokens, half, w, b->t + half, wide, weights + weight[m], from[m], wide,
                             gradient + weight[m], NULL, dt + half, wide, true);
    }
}

/* n->dt holds the gradient of the block's output rows; on return, that of its input tokens. */
static void backward_block(struct window_network *n, const real *weights, int index, size_t count,
                           real *gradient) {
    const struct ops *ops = n->base.ops;
    struct window_block *b = &n->block[index];
    const int w = n->width, f = n->feed_forward;
    const size_t wide = (size_t)w, tokens = count * (size_t)n->tokens, rows = count * (size_t)b->queries;
    const size_t ldt = b->queries == 1 ? (size_t)n->tokens * wide : wide;
    real *const dt = n->dt_next;

    /* second norm: dy receives the gradient of y1 + mlp(y1), which reaches y1 both ways */
    ops->norm_backward(ops, rows, w, weights + b->norm2_scale, b->n2, b->root2, n->dt, wide,
                       gradient + b->norm2_scale, gradient + b->norm2_offset, n->dy, wide);
    ops->gelu_linear_backward(ops, rows, f, w, b->pre, b->post, weights + b->mlp1_w, n->dy, wide,
                              gradient + b->mlp1_w, gradient + b->mlp1_b, n->dwide);
    ops->linear_backward(ops, rows, w, f, b->y1, wide, weights + b->mlp0_w, n->dwide, (size_t)f,
                         gradient + b->mlp0_w, gradient + b->mlp0_b, n->dy, wide, true);

    /* first norm: straight into the gradient of the asking tokens; the other tokens start from 0 */
    if (b->queries == 1)
        ops->zero(ops, dt, tokens * wide * sizeof(real));
    ops->norm_backward(ops, rows, w, weights + b->norm1_scale, b->n1, b->root1, n->dy, wide,
                       gradient + b->norm1_scale, gradient + b->norm1_offset, dt, ldt);
    ops->linear_backward(ops, rows, w, w, b->attended, wide, weights + b->output_w, dt, ldt,
                         gradient + b->output_w, gradient + b->output_b, n->dy, wide, false);
    if (window_pools(n, index)) {
        window_pool_backward(n, weights, b, count, gradient, dt);
    } else {
        ops->attention_backward(ops, count, b->queries, n->tokens, n->heads, w, b->q, b->k, b->v, b->p, n->dy,
                                n->dq, n->dk, n->dv);
    }
    if (window_shares(n, index)) {
        share_backward(n, weights, b, tokens, gradient, dt);
    } else if (!window_pools(n, index)) {
        ops->linear_backward(ops, rows, w, w, b->t, ldt, weights + b->query_w, n->dq, wide,
                             gradient + b->query_w, gradient + b->query_b, dt, ldt, true);
        ops->linear_backward(ops, tokens, w, w, b->t, wide, weights + b->key_w, n->dk, wide,
                             gradient + b->key_w, gradient + b->key_b, dt, wide, true);
        ops->linear_backward(ops, tokens, w, w, b->t, wide, weights + b->value_w, n->dv, wide,
                             gradient + b->value_w, gradient + b->value_b, dt, wide, true);
    }
    n->dt_next = n->dt;
    n->dt = dt;
}

void window_backward(struct window_network *n, const real *weights, size_t count, real *gradient) {
    const struct ops *ops = n->base.ops;
    const size_t wide = (size_t)n->width, half = wide / 2;
    const size_t tokens = count * (size_t)n->tokens;
    if (n->has_linear)
        window_linear_backward(n, weights, count, n->ds, gradient);
    mlp_backward(&n->decoder, weights, count * (size_t)n->base.decoded, n->block[n->blocks - 1].y2, wide,
                 n->ds, (size_t)n->base.outputs, gradient, n->dt, wide);
    for (int b = n->blocks - 1; b >= 0; b--)
        backward_block(n, weights, b, count, gradient);
    mlp_backward(&n->embed_x, weights, tokens, n->offsets, (size_t)n->inputs, n->dt + half, wide, gradient,
                 NULL, 0);
    ops->scatter_rows(ops, tokens, (int)half, n->place_in_use, n->dt, wide, n->dtable, half);
}
