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
        m->ops->linear_gelu(m->ops, rows, width_in(m, l), m->hidden, l == 0 ? x : m->post[l - 1],
                            l == 0 ? ldx : hidden, weights + m->w[l], weights + m->b[l], m->pre[l],
                            m->post[l]);
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
    for (int l = m->layers; l > 0; l--) { /* from what leaves layer l to what goes into the GELU before it */
        const bool last = l == m->layers;
        m->ops->gelu_linear_backward(m->ops, rows, m->hidden, width_out(m, l), m->pre[l - 1], m->post[l - 1],
                                     weights + m->w[l], last ? dy : m->scratch[l % 2], last ? lddy : hidden,
                                     gradient + m->w[l], gradient + m->b[l], m->scratch[(l + 1) % 2]);
    }
    m->ops->linear_backward(m->ops, rows, m->in, m->hidden, x, ldx, weights + m->w[0], m->scratch[0], hidden,
                            gradient + m->w[0], gradient + m->b[0], dx, lddx, false);
}

/* ---- with tangents that are kept ---- */

enum status mlp_tangents_create(const struct mlp *m, size_t rows, struct mlp_tangents *t) {
    enum status status = STATUS_OK;
    const size_t bytes = rows * (size_t)m->hidden * sizeof(real);
    *t = (struct mlp_tangents){.ops = m->ops, .layers = m->layers};
    for (int l = 0; l < m->layers; l++) {
        TRY(m->ops->allocate(m->ops, bytes, (void **)&t->pre[l]));
        TRY(m->ops->allocate(m->ops, bytes, (void **)&t->post[l]));
    }
    TRY(m->ops->allocate(m->ops, bytes, (void **)&t->scratch[0]));
    TRY(m->ops->allocate(m->ops, bytes, (void **)&t->scratch[1]));
out:
    return status;
}

void mlp_tangents_destroy(struct mlp_tangents *t) {
    if (!t->ops)
        return;
    for (int l = 0; l < t->layers; l++) {
        t->ops->release(t->ops, t->pre[l]);
        t->ops->release(t->ops, t->post[l]);
    }
    t->ops->release(t->ops, t->scratch[0]);
    t->ops->release(t->ops, t->scratch[1]);
    *t = (struct mlp_tangents){0};
}

void mlp_tangents_forward(const struct mlp *m, struct mlp_tangents *t, const real *weights, size_t sets,
                          size_t rows, const real *tx, size_t ldtx, real *ty, size_t ldty) {
    const size_t hidden = (size_t)m->hidden, count = rows * hidden;
    for (int l = 0; l < m->layers; l++) {
        m->ops->linear(m->ops, sets * rows, width_in(m, l), m->hidden, l == 0 ? tx : t->post[l - 1],
                       l == 0 ? ldtx : hidden, weights + m->w[l], NULL, t->pre[l], hidden);
        for (size_t s = 0; s < sets; s++)
            m->ops->gelu_tangent(m->ops, count, m->pre[l], t->pre[l] + s * count, t->post[l] + s * count);
    }
    m->ops->linear(m->ops, sets * rows, m->hidden, m->out, t->post[m->layers - 1], hidden,
                   weights + m->w[m->layers], NULL, ty, ldty);
}

void mlp_tangents_backward(struct mlp *m, struct mlp_tangents *t, const real *weights, size_t sets,
                           size_t rows, const real *x, size_t ldx, const real *tx, size_t ldtx,
                           const real *dy, size_t lddy, const real *dty, size_t lddty, real *gradient,
                           real *dx, size_t lddx, real *dtx, size_t lddtx) {
    const struct ops *ops = m->ops;
    const size_t hidden = (size_t)m->hidden;
    for (int l = m->layers; l >= 0; l--) {
        const bool last = l == m->layers, first = l == 0;
        real *now = m->scratch[l % 2], *tnow = t->scratch[l % 2];
        real *below = first ? dx : m->scratch[(l + 1) % 2], *tbelow = first ? dtx : t->scratch[(l + 1) % 2];
        if (!last)
            ops->gelu_tangent_backward(ops, sets, rows * hidden, m->pre[l], t->pre[l], now, tnow, now, tnow);
        ops->linear_backward(ops, rows, width_in(m, l), width_out(m, l), first ? x : m->post[l - 1],
                             first ? ldx : hidden, weights + m->w[l], last ? dy : now, last ? lddy : hidden,
                             gradient + m->w[l], gradient + m->b[l], below, first ? lddx : hidden, false);
        ops->linear_backward(ops, sets * rows, width_in(m, l), width_out(m, l), first ? tx : t->post[l - 1],
                             first ? ldtx : hidden, weights + m->w[l], last ? dty : tnow,
                             last ? lddty : hidden, gradient + m->w[l], NULL, tbelow, first ? lddtx : hidden,
                             false);
    }
}
