/* Scores with tangents that are kept, and the gradient of a loss of both: what score matching with the divergence and
 * the stationary Fokker-Planck equation need.
 *
 * Tangents are sets of everything: the first sets move positions and enter every token through E_x, the others move
 * self-propulsions and enter the decoded tokens through E_g. Backwards, every primitive takes the gradients of its
 * result and of the result's tangents to those of its input (ops.h). Chunks are computed without the table of E_g. */
#include "learn/window_network.h"

#include <stdlib.h>

/* Tangents of one block, as struct window_block has the values: (sets, ...) of each. */
struct block_tangents {
    real *t, *q, *k, *v, *attended;
    real *u1, *y1, *pre, *post, *u2, *y2;
};

struct window_probe {
    size_t sets;    /* room for as many */
    real *g_own;    /* (B D, d) g of the decoded particles */
    struct mlp own; /* E_g of the decoded particles alone */
    struct mlp_tangents embed_x, embed_g, decoder;
    real *tf;     /* (sets, B, T, Q) of the linear term */
    real *inputs; /* (sets, B, T, inputs) */
    struct block_tangents block[WINDOW_BLOCKS];
    real *s;                                        /* (sets, B D, O) */
    real *dt, *dt_next, *dq, *dk, *dv, *dy, *dwide; /* gradients of tangents, as in the network */
    real *value;                                    /* (B D, W/2): not used; then zeros */
    int arrays;
    void *array[18 + 12 * WINDOW_BLOCKS]; /* all of the above, to be released */
};

/* ---- workspace ---- */

static enum status keep(struct window_network *n, size_t count, real **out) {
    struct window_probe *p = n->probe;
    enum status status = n->base.ops->allocate(n->base.ops, count * sizeof(real), (void **)out);
    if (status == STATUS_OK)
        p->array[p->arrays++] = *out;
    n->base.bytes += (double)(count * sizeof(real));
    return status;
}

static enum status keep_block(struct window_network *n, int index) {
    enum status status = STATUS_OK;
    struct window_probe *p = n->probe;
    struct block_tangents *b = &p->block[index];
    const size_t w = (size_t)n->width, f = (size_t)n->feed_forward;
    const size_t tokens = p->sets * n->windows * (size_t)n->tokens;
    const size_t rows = p->sets * n->windows * (size_t)n->block[index].queries;
    if (index == 0)
        TRY(keep(n, tokens * w, &b->t));
    else
        b->t = p->block[index - 1].y2;
    TRY(keep(n, rows * w, &b->q));
    TRY(keep(n, tokens * w, &b->k));
    TRY(keep(n, tokens * w, &b->v));
    TRY(keep(n, rows * w, &b->attended));
    TRY(keep(n, rows * w, &b->u1));
    TRY(keep(n, rows * w, &b->y1));
    TRY(keep(n, rows * f, &b->pre));
    TRY(keep(n, rows * f, &b->post));
    TRY(keep(n, rows * w, &b->u2));
    TRY(keep(n, rows * w, &b->y2));
out:
    return status;
}

static enum status keep_shared(struct window_network *n) {
    enum status status = STATUS_OK;
    struct window_probe *p = n->probe;
    const size_t w = (size_t)n->width, decoded = n->windows * (size_t)n->base.decoded;
    const size_t tokens = p->sets * n->windows * (size_t)n->tokens;
    real **const wide[] = {&p->dt, &p->dt_next, &p->dq, &p->dk, &p->dv, &p->dy};
    for (size_t m = 0; m < sizeof wide / sizeof *wide; m++)
        TRY(keep(n, tokens * w, wide[m]));
    TRY(keep(n, tokens * (size_t)n->feed_forward, &p->dwide));
    TRY(keep(n, tokens * (size_t)n->inputs, &p->inputs));
    TRY(keep(n, p->sets * decoded * (size_t)n->base.outputs, &p->s));
    TRY(keep(n, decoded * (size_t)n->base.d, &p->g_own));
    TRY(keep(n, decoded * w / 2, &p->value));
    TRY(mlp_tangents_create(&n->embed_x, tokens, &p->embed_x));
    TRY(mlp_tangents_create(&p->own, p->sets * decoded, &p->embed_g));
    TRY(mlp_tangents_create(&n->decoder, p->sets * decoded, &p->decoder));
    if (n->has_linear)
        TRY(keep(n, tokens * 3 * (size_t)n->base.d, &p->tf));
out:
    return status;
}

void window_probe_destroy(struct window_network *n) {
    struct window_probe *p = n->probe;
    if (!p)
        return;
    for (int m = 0; m < p->arrays; m++)
        n->base.ops->release(n->base.ops, p->array[m]);
    mlp_tangents_destroy(&p->embed_x);
    mlp_tangents_destroy(&p->embed_g);
    mlp_tangents_destroy(&p->decoder);
    mlp_destroy(&p->own);
    free(p);
    n->probe = NULL;
}

static enum status reserve(struct window_network *n, size_t sets) {
    enum status status = STATUS_OK;
    struct tensors names = {0};
    if (n->probe && n->probe->sets >= sets)
        return STATUS_OK;
    window_probe_destroy(n);
    n->probe = calloc(1, sizeof *n->probe);
    if (!n->probe)
        return FAIL(STATUS_FAILURE, "out of memory for a network");
    n->probe->sets = sets > 0 ? sets : 1;
    TRY(mlp_create(n->base.ops, "own", n->embed_g.layers, n->base.d, n->hidden, n->width / 2,
                   n->windows * (size_t)n->base.decoded, &names, &n->probe->own));
    for (int l = 0; l <= n->embed_g.layers; l++) { /* it is E_g: the same weights */
        n->probe->own.w[l] = n->embed_g.w[l];
        n->probe->own.b[l] = n->embed_g.b[l];
    }
    for (int b = 0; b < n->blocks; b++)
        TRY(keep_block(n, b));
    TRY(keep_shared(n));
out:
    tensors_free(&names);
    if (status != STATUS_OK)
        window_probe_destroy(n);
    return status;
}

/* ---- forwards ---- */

static size_t window_size(const struct window_network *n) {
    return (size_t)n->tokens * (size_t)n->width;
}

/* Tangents of the tokens: positions into the second half of every token, self-propulsions into the first half of
 * the decoded ones. */
static void tokens_forward(struct window_network *n, const real *weights, const struct score_input *in,
                           const struct score_probes *probes, size_t count) {
    const struct ops *ops = n->base.ops;
    struct window_probe *p = n->probe;
    const size_t wide = (size_t)n->width, half = wide / 2, d = (size_t)n->base.d;
    const size_t tokens = count * (size_t)n->tokens, in_x = (size_t)probes->in_x, in_g = (size_t)probes->in_g;
    const size_t decoded = (size_t)n->base.decoded, rows = count * decoded, windows = in_g * count;
    real *t = p->block[0].t, *moving = t + in_x * tokens * wide;
    ops->zero(ops, t, (in_x + in_g) * tokens * wide * sizeof(real));
    if (in_x > 0) {
        ops->window_inputs_tangent(ops, in->box, &n->view, in_x, count, n->tokens, (int)decoded, n->offsets,
                                   probes->seed, p->inputs);
        mlp_tangents_forward(&n->embed_x, &p->embed_x, weights, in_x, tokens, p->inputs, (size_t)n->inputs,
                             t + half, wide);
    }
    if (in_g > 0) {
        mlp_forward(&p->own, weights, rows, p->g_own, d, p->value, half);
        mlp_tangents_forward(&p->own, &p->embed_g, weights, in_g, rows, probes->seed + in_x * rows * d, d,
                             p->dy, half);
        for (size_t m = 0; m < decoded; m++)
            ops->spread_rows(ops, windows, (int)half, p->dy + m * half, decoded * half, moving + m * wide,
                             window_size(n), false);
    }
}

static void block_forward(struct window_network *n, const real *weights, int index, size_t sets,
                          size_t count) {
    const struct ops *ops = n->base.ops;
    struct window_block *b = &n->block[index];
    struct block_tangents *t = &n->probe->block[index];
    const int w = n->width, f = n->feed_forward;
    const size_t wide = (size_t)w, tokens = count * (size_t)n->tokens, rows = count * (size_t)b->queries;
    const size_t ldt = b->queries == 1 ? window_size(n) : wide;
    ops->linear(ops, sets * rows, w, w, t->t, ldt, weights + b->query_w, NULL, t->q, wide);
    ops->linear(ops, sets * tokens, w, w, t->t, wide, weights + b->key_w, NULL, t->k, wide);
    ops->linear(ops, sets * tokens, w, w, t->t, wide, weights + b->value_w, NULL, t->v, wide);
    ops->attention_tangents(ops, sets, count, b->queries, n->tokens, n->heads, w, b->q, b->k, b->v, b->p,
                            t->q, t->k, t->v, t->attended);
    ops->linear(ops, sets * rows, w, w, t->attended, wide, weights + b->output_w, NULL, t->u1, wide);
    ops->norm_tangent_kept(ops, sets, rows, w, t->t, ldt, t->u1, weights + b->norm1_scale, b->n1, b->root1,
                           t->y1);
    ops->linear(ops, sets * rows, w, f, t->y1, wide, weights + b->mlp0_w, NULL, t->pre, (size_t)f);
    for (size_t s = 0; s < sets; s++)
        ops->gelu_tangent(ops, rows * (size_t)f, b->pre, t->pre + s * rows * (size_t)f,
                          t->post + s * rows * (size_t)f);
    ops->linear(ops, sets * rows, f, w, t->post, (size_t)f, weights + b->mlp1_w, NULL, t->u2, wide);
    ops->norm_tangent_kept(ops, sets, rows, w, t->y1, wide, t->u2, weights + b->norm2_scale, b->n2, b->root2,
                           t->y2);
}

/* Values of the chunk, E_g for every token. */
static void values_forward(struct window_network *n, const real *weights, const struct score_input *in,
                           size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t tokens = count * (size_t)n->tokens, d = (size_t)n->base.d, decoded = (size_t)n->base.decoded;
    ops->propulsion_rows(ops, (int)d, tokens, n->member, in->g, n->g_rows);
    for (size_t m = 0; m < decoded; m++)
        ops->spread_rows(ops, count, (int)d, n->g_rows + m * d, (size_t)n->tokens * d,
                         n->probe->g_own + m * d, decoded * d, false);
    mlp_forward(&n->embed_g, weights, tokens, n->g_rows, d, n->block[0].t, (size_t)n->width);
    n->keeping = true;
    n->token_in_use = n->member;
    window_forward_blocks(n, weights, in, 0, count);
    n->keeping = false;
}

enum status window_probe_forward(struct window_network *n, const real *weights, const struct score_input *in,
                                 const struct score_probes *probes, real *s, real *product) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t sets = (size_t)(probes->in_x + probes->in_g), count = in->count;
    const size_t rows = count * (size_t)n->base.decoded, outputs = (size_t)n->base.outputs;
    if (count > n->windows)
        return FAIL(STATUS_FAILURE, "%zu windows at once, more than the %zu of a chunk", count, n->windows);
    TRY(reserve(n, sets));
    TRY(window_members(n, in, count));
    values_forward(n, weights, in, count);
    tokens_forward(n, weights, in, probes, count);
    for (int b = 0; b < n->blocks; b++)
        block_forward(n, weights, b, sets, count);
    mlp_tangents_forward(&n->decoder, &n->probe->decoder, weights, sets, rows,
                         n->probe->block[n->blocks - 1].y2, (size_t)n->width, n->probe->s, outputs);
    if (n->has_linear)
        window_linear_tangents(n, weights, probes, count, n->probe->inputs, n->probe->tf, n->probe->s);
    ops->copy(ops, s, n->s, rows * outputs * sizeof(real));
    ops->probe(ops, sets * rows, (int)outputs, probes->readout, n->probe->s, product);
    TRY(ops->synchronise(ops));
out:
    return status;
}

/* ---- backwards ---- */

/* n->dt and p->dt hold the gradients of the block's output rows and of their tangents; on return, those of its input
 * tokens. */
static void block_backward(struct window_network *n, const real *weights, int index, size_t sets,
                           size_t count, real *gradient) {
    const struct ops *ops = n->base.ops;
    struct window_probe *p = n->probe;
    struct window_block *b = &n->block[index];
    struct block_tangents *t = &p->block[index];
    const int w = n->width, f = n->feed_forward;
    const size_t wide = (size_t)w, tokens = count * (size_t)n->tokens, rows = count * (size_t)b->queries;
    const size_t ldt = b->queries == 1 ? window_size(n) : wide;
    real *const dt = n->dt_next, *const dtt = p->dt_next;

    /* second norm, and the perceptron beside it */
    ops->norm_tangent_backward(ops, sets, rows, w, weights + b->norm2_scale, b->n2, b->root2, t->u2, n->dt,
                               wide, p->dt, gradient + b->norm2_scale, gradient + b->norm2_offset, n->dy,
                               wide, p->dy);
    ops->linear_backward(ops, rows, f, w, b->post, (size_t)f, weights + b->mlp1_w, n->dy, wide,
                         gradient + b->mlp1_w, gradient + b->mlp1_b, n->dwide, (size_t)f, false);
    ops->linear_backward(ops, sets * rows, f, w, t->post, (size_t)f, weights + b->mlp1_w, p->dy, wide,
                         gradient + b->mlp1_w, NULL, p->dwide, (size_t)f, false);
    ops->gelu_tangent_backward(ops, sets, rows * (size_t)f, b->pre, t->pre, n->dwide, p->dwide, n->dwide,
                               p->dwide);
    ops->linear_backward(ops, rows, w, f, b->y1, wide, weights + b->mlp0_w, n->dwide, (size_t)f,
                         gradient + b->mlp0_w, gradient + b->mlp0_b, n->dy, wide, true);
    ops->linear_backward(ops, sets * rows, w, f, t->y1, wide, weights + b->mlp0_w, p->dwide, (size_t)f,
                         gradient + b->mlp0_w, NULL, p->dy, wide, true);

    /* first norm: into the gradients of the asking tokens; the other tokens start from 0 */
    ops->norm_tangent_backward(ops, sets, rows, w, weights + b->norm1_scale, b->n1, b->root1, t->u1, n->dy,
                               wide, p->dy, gradient + b->norm1_scale, gradient + b->norm1_offset, p->dq,
                               wide, p->dk);
    ops->zero(ops, dt, tokens * wide * sizeof(real));
    ops->zero(ops, dtt, sets * tokens * wide * sizeof(real));
    ops->spread_rows(ops, rows, w, p->dq, wide, dt, ldt, false);
    ops->spread_rows(ops, sets * rows, w, p->dk, wide, dtt, ldt, false);

    /* attention */
    ops->linear_backward(ops, rows, w, w, b->attended, wide, weights + b->output_w, dt, ldt,
                         gradient + b->output_w, gradient + b->output_b, n->dy, wide, false);
    ops->linear_backward(ops, sets * rows, w, w, t->attended, wide, weights + b->output_w, dtt, ldt,
                         gradient + b->output_w, NULL, p->dy, wide, false);
    ops->attention_tangent_backward(ops, sets, count, b->queries, n->tokens, n->heads, w, b->q, b->k, b->v,
                                    b->p, t->q, t->k, t->v, n->dy, p->dy, n->dq, n->dk, n->dv, p->dq, p->dk,
                                    p->dv);
    ops->linear_backward(ops, rows, w, w, b->t, ldt, weights + b->query_w, n->dq, wide, gradient + b->query_w,
                         gradient + b->query_b, dt, ldt, true);
    ops->linear_backward(ops, tokens, w, w, b->t, wide, weights + b->key_w, n->dk, wide, gradient + b->key_w,
                         gradient + b->key_b, dt, wide, true);
    ops->linear_backward(ops, tokens, w, w, b->t, wide, weights + b->value_w, n->dv, wide,
                         gradient + b->value_w, gradient + b->value_b, dt, wide, true);
    ops->linear_backward(ops, sets * rows, w, w, t->t, ldt, weights + b->query_w, p->dq, wide,
                         gradient + b->query_w, NULL, dtt, ldt, true);
    ops->linear_backward(ops, sets * tokens, w, w, t->t, wide, weights + b->key_w, p->dk, wide,
                         gradient + b->key_w, NULL, dtt, wide, true);
    ops->linear_backward(ops, sets * tokens, w, w, t->t, wide, weights + b->value_w, p->dv, wide,
                         gradient + b->value_w, NULL, dtt, wide, true);
    n->dt_next = n->dt;
    n->dt = dt;
    p->dt_next = p->dt;
    p->dt = dtt;
}

/* From the gradients of the tokens to those of the embeddings' weights. */
static void tokens_backward(struct window_network *n, const real *weights, const struct score_probes *probes,
                            size_t count, real *gradient) {
    const struct ops *ops = n->base.ops;
    struct window_probe *p = n->probe;
    const size_t wide = (size_t)n->width, half = wide / 2, d = (size_t)n->base.d;
    const size_t tokens = count * (size_t)n->tokens, in_x = (size_t)probes->in_x, in_g = (size_t)probes->in_g;
    const size_t decoded = (size_t)n->base.decoded, rows = count * decoded;
    const real *moving = p->dt + in_x * tokens * wide;
    mlp_tangents_backward(&n->embed_x, &p->embed_x, weights, in_x, tokens, n->offsets, (size_t)n->inputs,
                          p->inputs, (size_t)n->inputs, n->dt + half, wide, p->dt + half, wide, gradient,
                          NULL, 0, NULL, 0);
    mlp_backward(&n->embed_g, weights, tokens, n->g_rows, d, n->dt, wide, gradient, NULL, 0);
    if (in_g == 0)
        return;
    for (size_t m = 0; m < decoded; m++)
        ops->spread_rows(ops, in_g * count, (int)half, moving + m * wide, window_size(n), p->dy + m * half,
                         decoded * half, false);
    ops->zero(ops, p->value, rows * half * sizeof(real));
    mlp_tangents_backward(&p->own, &p->embed_g, weights, in_g, rows, p->g_own, d,
                          probes->seed + in_x * rows * d, d, p->value, half, p->dy, half, gradient, NULL, 0,
                          NULL, 0);
}

enum status window_probe_backward(struct window_network *n, const real *weights, const struct score_input *in,
                                  const struct score_probes *probes, const real *ds, const real *dproduct,
                                  real *gradient) {
    const struct ops *ops = n->base.ops;
    struct window_probe *p = n->probe;
    const size_t sets = (size_t)(probes->in_x + probes->in_g), count = in->count, wide = (size_t)n->width;
    const size_t rows = count * (size_t)n->base.decoded, outputs = (size_t)n->base.outputs;
    const int last = n->blocks - 1;
    ops->probe_backward(ops, sets * rows, (int)outputs, probes->readout, dproduct, p->s);
    if (n->has_linear) {
        window_linear_backward(n, weights, count, ds, gradient);
        window_linear_tangents_backward(n, weights, sets * rows, p->tf, p->s, gradient);
    }
    mlp_tangents_backward(&n->decoder, &p->decoder, weights, sets, rows, n->block[last].y2, wide,
                          p->block[last].y2, wide, ds, outputs, p->s, outputs, gradient, n->dt, wide, p->dt,
                          wide);
    for (int b = last; b >= 0; b--)
        block_backward(n, weights, b, sets, count, gradient);
    tokens_backward(n, weights, probes, count, gradient);
    return ops->synchronise(ops);
}
