/* A perceptron on rows, with its tangent and its gradient, each the chain of the primitives' own. Forward
 * keeps what goes into every GELU and what comes out: the first is where slopes are taken, the second what a
 * layer's weights see. Gradients alternate between two scratch arrays, so their number does not grow with
 * depth. */
#include "learn/mlp.h"

static int width_in(const struct mlp *m, int layer) {
    return layer == 0 ? m->in : m->hidden;
}

static int width_out(const struct mlp *m, int layer) {
    return layer == m->layers ? m->out : m->hidden;
}

enum status mlp_create(const struct ops *ops, const char *name, int layers, int in, int hidden, int out,
                       size_t rows, struct tensors *tensors, struct mlp *m) {
    enum status status = STATUS_OK;
    const size_t bytes = rows * (size_t)hidden * sizeof(real);
    *m = (struct mlp){.ops = ops, .layers = layers, .in = in, .hidden = hidden, .out = out, .rows = rows};
    for (int l = 0; l <= layers; l++) {
        m->w[l] = tensors->size;
        TRY(tensors_add(tensors, width_in(m, l), width_out(m, l), "%s/linear%d/w", name, l));
        m->b[l] = tensors->size;
        TRY(tensors_add(tensors, 1, width_out(m, l), "%s/linear%d/b", name, l));
    }
    for (int l = 0; l < layers; l++) {
        TRY(ops->allocate(ops, bytes, (void **)&m->pre[l]));
        TRY(ops->allocate(ops, bytes, (void **)&m->post[l]));
    }
    TRY(ops->allocate(ops, bytes, (void **)&m->scratch[0]));
    TRY(ops->allocate(ops, bytes, (void **)&m->scratch[1]));
out:
    return status;
}

void mlp_destroy(struct mlp *m) {
    if (!m->ops)
        return;
    for (int l = 0; l < m->layers; l++) {
        m->ops->release(m->ops, m->pre[l]);
        m->ops->release(m->ops, m->post[l]);
    }
    m->ops->release(m->ops, m->scratch[0]);
    m->ops->release(m->ops, m->scratch[1]);
    *m = (struct mlp){0};
}

double mlp_bytes(const struct mlp *m) {
    return (double)(m->rows * (size_t)m->hidden * sizeof(real)) * (2 * m->layers + 2);
}

void mlp_forward(struct mlp *m, const real *weights, size_t rows, const real *x, size_t ldx, real *y,
                 size_t ldy) {
    const size_t hidden = (size_t)m->hidden;
    for (int l = 0; l < m->layers; l++) {
        m->ops->linear(m->ops, rows, width_in(m, l), m->hidden, l == 0 ? x : m->post[l - 1],
                       l == 0 ? ldx : hidden, weights + m->w[l], weights + m->b[l], m->pre[l], hidden);
        m->ops->gelu(m->ops, rows * hidden, m->pre[l], m->post[l]);
    }
    const int last = m->layers;
    m->ops->linear(m->ops, rows, m->hidden, m->out, m->post[last - 1], hidden, weights + m->w[last],
                   weights + m->b[last], y, ldy);
}

void mlp_tangent(struct mlp *m, const real *weights, size_t rows, const real *dx, size_t lddx, real *dy,
                 size_t lddy) {
    const size_t hidden = (size_t)m->hidden;
    for (int l = 0; l < m->layers; l++) {
        real *now = m->scratch[l % 2];
        m->ops->linear(m->ops, rows, width_in(m, l), m->hidden, l == 0 ? dx : m->scratch[(l + 1) % 2],
                       l == 0 ? lddx : hidden, weights + m->w[l], NULL, now, hidden);
        m->ops->gelu_tangent(m->ops, rows * hidden, m->pre[l], now, now);
    }
    m->ops->linear(m->ops, rows, m->hidden, m->out, m->scratch[(m->layers + 1) % 2], hidden,
                   weights + m->w[m->layers], NULL, dy, lddy);
}

void mlp_backward(struct mlp *m, const real *weights, size_t rows, const real *x, size_t ldx, const real *dy,
                  size_t lddy, real *gradient, real *dx, size_t lddx) {
    const size_t hidden = (size_t)m->hidden;
    const int last = m->layers;
    m->ops->linear_backward(m->ops, rows, m->hidden, m->out, m->post[last - 1], hidden, weights + m->w[last],
                            dy, lddy, gradient + m->w[last], gradient + m->b[last], m->scratch[0], hidden,
                            false);
    for (int l = last - 1; l >= 0; l--) {
        real *now = m->scratch[(last - 1 - l) % 2], *next = m->scratch[(last - l) % 2];
        m->ops->gelu_backward(m->ops, rows * hidden, m->pre[l], now, now);
        m->ops->linear_backward(m->ops, rows, width_in(m, l), m->hidden, l == 0 ? x : m->post[l - 1],
                                l == 0 ? ldx : hidden, weights + m->w[l], now, hidden, gradient + m->w[l],
                                gradient + m->b[l], l == 0 ? dx : next, l == 0 ? lddx : hidden, false);
    }
}
