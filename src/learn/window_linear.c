/* The linear term of a window of lattice sites (network.linear_term). Its tokens have fixed places, the same lattice
 * vectors in the same order for every particle (dataset.c), so that
 *
 *     s += GAIN W f        f = [g_j, u_j, (g_j + F_j/v0)] of all tokens j, the last where velocities are seen; u_i - u_j
 *                          instead of u_j where windows see that alone
 *
 * is one matrix product. The coefficients are large, for x follows g closely, and an optimizer whose steps have the size
 * of the rate, whatever the gradient, would take as many steps to reach them: hence the gain. In a crystal the score is linear, and this is all there is to learn; the transformer beside it
 * has what is left to do. A window decodes one particle. */
#include "learn/window_network.h"

static const double GAIN = 20;

/* Where the displacements of f are in what tokens see. */
static size_t displacement_column(const struct window_network *n) {
    return (size_t)n->base.d * (n->view.form == FORM_ANCHORED ? 2 : 1);
}

/* Numbers in f of a token. */
static int of_token(const struct window_network *n) {
    return (n->sees_velocity ? 3 : 2) * n->base.d;
}

static int features(const struct window_network *n) {
    return n->tokens * of_token(n);
}

enum status window_linear_create(struct window_network *n) {
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, tokens = n->windows * (size_t)n->tokens;
    n->linear_w = n->base.tensors.size;
    n->has_linear = true;
    enum status status = tensors_add(&n->base.tensors, features(n), n->base.outputs, "linear/w");
    if (status == STATUS_OK)
        status = ops->allocate(ops, tokens * d * sizeof(real), (void **)&n->g_tokens);
    if (status == STATUS_OK)
        status = ops->allocate(ops, tokens * 3 * d * sizeof(real), (void **)&n->f);
    n->base.bytes += (double)(tokens * 3 * d * sizeof(real));
    return status;
}

void window_linear_forward(struct window_network *n, const real *weights, const struct score_input *in,
                           size_t count) {
    const struct ops *ops = n->base.ops;
    const int d = n->base.d, outputs = n->base.outputs;
    const size_t tokens = count * (size_t)n->tokens, wide = (size_t)of_token(n);
    ops->propulsion_rows(ops, d, tokens, n->token_in_use, in->g, n->g_tokens);
    ops->spread_rows(ops, tokens, d, n->g_tokens, (size_t)d, n->f, wide, false);
    ops->spread_rows(ops, tokens, d, n->offsets + displacement_column(n), (size_t)n->inputs, n->f + d, wide,
                     false);
    if (n->sees_velocity) {
        ops->spread_rows(ops, tokens, d, n->g_tokens, (size_t)d, n->f + 2 * d, wide, false);
        ops->propulsion_rows(ops, d, tokens, n->token_in_use, in->push, n->g_tokens);
        ops->spread_rows(ops, tokens, d, n->g_tokens, (size_t)d, n->f + 2 * d, wide, true);
    }
    ops->linear(ops, count, features(n), outputs, n->f, (size_t)features(n), weights + n->linear_w, NULL,
                n->dy, (size_t)outputs);
    ops->add_column(ops, count * (size_t)outputs, GAIN, n->dy, 1, n->s);
}

void window_linear_divergence(struct window_network *n, const real *weights, size_t count, real *divergence) {
    const struct ops *ops = n->base.ops;
    const int d = n->base.d, outputs = n->base.outputs;
    for (int a = 0; a < d; a++) { /* token 0 comes first; its g is in f once, or twice */
        ops->add_column(ops, count, GAIN, weights + n->linear_w + a * outputs + a, 0, divergence);
        if (n->sees_velocity)
            ops->add_column(ops, count, GAIN, weights + n->linear_w + (2 * d + a) * outputs + a, 0,
                            divergence);
    }
}

/* Adds to gradient what comes of derivatives ds of `rows` rows. */
static void add_gradient(struct window_network *n, const real *weights, size_t rows, const real *f,
                         const real *ds, real *gradient) {
    const struct ops *ops = n->base.ops;
    const size_t outputs = (size_t)n->base.outputs;
    ops->zero(ops, n->dwide, rows * outputs * sizeof(real));
    ops->add_column(ops, rows * outputs, GAIN, ds, 1, n->dwide);
    ops->linear_backward(ops, rows, features(n), (int)outputs, f, (size_t)features(n), weights + n->linear_w,
                         n->dwide, outputs, gradient + n->linear_w, NULL, NULL, 0, false);
}

void window_linear_backward(struct window_network *n, const real *weights, size_t count, const real *ds,
                            real *gradient) {
    add_gradient(n, weights, count, n->f, ds, gradient);
}

void window_linear_tangents(struct window_network *n, const real *weights, const struct score_probes *probes,
                            size_t count, const real *inputs, real *tf, real *ts) {
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, tokens = count * (size_t)n->tokens, wide = (size_t)of_token(n);
    const size_t in_x = (size_t)probes->in_x, in_g = (size_t)probes->in_g, outputs = (size_t)n->base.outputs;
    ops->zero(ops, tf, (in_x + in_g) * tokens * wide * sizeof(real));
    ops->spread_rows(ops, in_x * tokens, (int)d, inputs + displacement_column(n), (size_t)n->inputs, tf + d,
                     wide, false);
    ops->spread_rows(ops, in_g * count, (int)d, probes->seed + in_x * count * d, d, tf + in_x * tokens * wide,
                     (size_t)features(n), false);
    if (n->sees_velocity)
        ops->spread_rows(ops, in_g * count, (int)d, probes->seed + in_x * count * d, d,
                         tf + in_x * tokens * wide + 2 * d, (size_t)features(n), false);
    ops->linear(ops, (in_x + in_g) * count, features(n), (int)outputs, tf, (size_t)features(n),
                weights + n->linear_w, NULL, n->dy, outputs);
    ops->add_column(ops, (in_x + in_g) * count * outputs, GAIN, n->dy, 1, ts);
}

void window_linear_tangents_backward(struct window_network *n, const real *weights, size_t rows,
                                     const real *tf, const real *dts, real *gradient) {
    add_gradient(n, weights, rows, tf, dts, gradient);
}
