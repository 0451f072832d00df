/* Attention of the last block, where token 0 alone asks: its logits and its output are linear in the tokens, so that
 * the products of all tokens with the weights of keys and values become products of one query a window. This is the
 * same function; the keys' bias adds the same to all logits and drops out. */
#include "learn/window_network.h"

#include <math.h>

bool window_pools(const struct window_network *n, int index) {
    return n->block[index].queries == 1 && !n->keeping && (index > 0 || !n->moving);
}

static double logit_scale(const struct window_network *n) {
    return 1 / sqrt((double)n->width / n->heads);
}

void window_pool_forward(struct window_network *n, const real *weights, struct window_block *b,
                         size_t count) {
    const struct ops *ops = n->base.ops;
    const int w = n->width;
    ops->turn_back(ops, count, n->heads, w, logit_scale(n), b->q, weights + b->key_w, n->r);
    ops->pool(ops, count, n->tokens, n->heads, w, b->t, n->r, b->p, n->z);
    ops->carry_on(ops, count, n->heads, w, 1, n->z, weights + b->value_w, weights + b->value_b, b->attended);
}

void window_pool_tangent(struct window_network *n, const real *weights, const struct window_block *b,
                         size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t wide = (size_t)n->width, rows = (size_t)n->base.d * count;
    const int w = n->width;
    ops->linear(ops, rows, w, w, n->dt, (size_t)n->tokens * wide, weights + b->query_w, NULL, n->dq, wide);
    ops->turn_back(ops, rows, n->heads, w, logit_scale(n), n->dq, weights + b->key_w, n->dr);
    ops->pool_tangent(ops, (size_t)n->base.d, count, n->tokens, n->heads, w, b->t, b->p, n->r, n->dt, n->dr,
                      n->dz);
    ops->carry_on(ops, rows, n->heads, w, 1, n->dz, weights + b->value_w, NULL, n->dy);
}

void window_pool_backward(struct window_network *n, const real *weights, const struct window_block *b,
                          size_t count, real *gradient, real *dt) {
    const struct ops *ops = n->base.ops;
    const int w = n->width;
    const size_t wide = (size_t)w, window = (size_t)n->tokens * wide;
    ops->head_weights(ops, count, n->heads, w, 1, n->z, n->dy, gradient + b->value_w);
    ops->column_sums(ops, count, w, n->dy, wide, gradient + b->value_b);
    ops->turn_back(ops, count, n->heads, w, 1, n->dy, weights + b->value_w, n->dz);
    ops->pool_backward(ops, count, n->tokens, n->heads, w, b->t, b->p, n->r, n->dz, n->dr, dt);
    ops->head_weights(ops, count, n->heads, w, logit_scale(n), n->dr, b->q, gradient + b->key_w);
    ops->carry_on(ops, count, n->heads, w, logit_scale(n), n->dr, weights + b->key_w, NULL, n->dq);
    ops->linear_backward(ops, count, w, w, b->t, window, weights + b->query_w, n->dq, wide,
                         gradient + b->query_w, gradient + b->query_b, dt, window, true);
}
