/* The score network of the paper: a transformer over a particle and its nearest neighbours (theory.md section
 * 3).
 *
 * Windows are computed in chunks of about `rows` tokens, so that matrix products are large while everything
 * a chunk touches stays near in memory. What need not be computed again is not: the embedding of g depends
 * on a particle alone, and is tabulated once for every particle of a batch of windows; in the last block
 * only token 0 asks, and only it goes on to the decoder.
 */
#include "learn/window_network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/normal_formula.h"

enum { CHUNKS_PER_TABLE = 32 };

/* ---- layout of the weights: the names and their order are the file's ---- */

static enum status add_linear(struct tensors *t, int in, int out, size_t *w, size_t *b, const char *name,
                              int block) {
    enum status status = STATUS_OK;
    *w = t->size;
    TRY(tensors_add(t, in, out, "block%d/%s/w", block, name));
    *b = t->size;
    TRY(tensors_add(t, 1, out, "block%d/%s/b", block, name));
out:
    return status;
}

static enum status add_block(struct window_network *n, int index) {
    enum status status = STATUS_OK;
    struct window_block *b = &n->block[index];
    struct tensors *t = &n->base.tensors;
    const int w = n->width;
    TRY(add_linear(t, w, w, &b->query_w, &b->query_b, "attention/query", index));
    TRY(add_linear(t, w, w, &b->key_w, &b->key_b, "attention/key", index));
    TRY(add_linear(t, w, w, &b->value_w, &b->value_b, "attention/value", index));
    TRY(add_linear(t, w, w, &b->output_w, &b->output_b, "attention/output", index));
    b->norm1_scale = t->size;
    TRY(tensors_add(t, 1, w, "block%d/norm1/scale", index));
    b->norm1_offset = t->size;
    TRY(tensors_add(t, 1, w, "block%d/norm1/offset", index));
    TRY(add_linear(t, w, n->feed_forward, &b->mlp0_w, &b->mlp0_b, "mlp/linear0", index));
    TRY(add_linear(t, n->feed_forward, w, &b->mlp1_w, &b->mlp1_b, "mlp/linear1", index));
    b->norm2_scale = t->size;
    TRY(tensors_add(t, 1, w, "block%d/norm2/scale", index));
    b->norm2_offset = t->size;
    TRY(tensors_add(t, 1, w, "block%d/norm2/offset", index));
out:
    return status;
}

/* ---- workspace ---- */

static enum status reals(struct window_network *n, size_t count, real **out) {
    n->base.bytes += (double)(count * sizeof(real));
    return n->base.ops->allocate(n->base.ops, count * sizeof(real), (void **)out);
}

static enum status allocate_block(struct window_network *n, int index) {
    enum status status = STATUS_OK;
    struct window_block *b = &n->block[index];
    const size_t w = (size_t)n->width, tokens = n->windows * (size_t)n->tokens;
    b->queries = index == n->blocks - 1 ? n->base.decoded : n->tokens;
    const size_t rows = n->windows * (size_t)b->queries;
    if (index == 0)
        TRY(reals(n, tokens * w, &b->t));
    else
        b->t = n->block[index - 1].y2;
    TRY(reals(n, rows * w, &b->q));
    TRY(reals(n, tokens * w, &b->k));
    TRY(reals(n, tokens * w, &b->v));
    TRY(reals(n, rows * (size_t)n->heads * (size_t)n->tokens, &b->p));
    TRY(reals(n, rows * w, &b->attended));
    TRY(reals(n, rows * w, &b->n1));
    TRY(reals(n, rows, &b->root1));
    TRY(reals(n, rows * w, &b->y1));
    TRY(reals(n, rows * (size_t)n->feed_forward, &b->pre));
    TRY(reals(n, rows * (size_t)n->feed_forward, &b->post));
    TRY(reals(n, rows * w, &b->n2));
    TRY(reals(n, rows, &b->root2));
    TRY(reals(n, rows * w, &b->y2));
out:
    return status;
}

/* Row b of set a is the unit vector along a. */
static enum status fill_axes(struct window_network *n) {
    const size_t d = (size_t)n->base.d, count = d * n->windows * d;
    real *host = calloc(count, sizeof *host);
    if (!host)
        return FAIL(STATUS_FAILURE, "out of memory for a network");
    for (size_t row = 0; row < d * n->windows; row++)
        host[row * d + row / n->windows] = 1;
    n->base.ops->to_device(n->base.ops, n->axes, host, count * sizeof *host);
    free(host);
    return STATUS_OK;
}

static enum status allocate_shared(struct window_network *n) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, w = (size_t)n->width, tokens = n->windows * (size_t)n->tokens;
    const size_t entries = n->batch * (size_t)n->tokens;
    real **const wide[] = {&n->dt, &n->dt_next, &n->dq, &n->dk, &n->dv, &n->dy};
    for (size_t m = 0; m < sizeof wide / sizeof *wide; m++)
        TRY(reals(n, d * tokens * w, wide[m]));
    TRY(reals(n, d * tokens * (size_t)n->feed_forward, &n->dwide));
    const size_t scores = n->windows * (size_t)n->base.decoded * (size_t)n->base.outputs;
    TRY(reals(n, tokens * (size_t)n->inputs, &n->offsets));
    TRY(reals(n, scores, &n->s));
    TRY(reals(n, d * scores, &n->ds));
    TRY(reals(n, n->windows * (size_t)n->heads * w, &n->r));
    TRY(reals(n, n->windows * (size_t)n->heads * w, &n->z));
    TRY(reals(n, d * n->windows * (size_t)n->heads * w, &n->dr));
    TRY(reals(n, d * n->windows * (size_t)n->heads * w, &n->dz));
    TRY(reals(n, n->windows * (size_t)n->block[0].queries * (size_t)n->heads * w, &n->sums));
    TRY(reals(n, n->windows * d * d, &n->axes));
    TRY(reals(n, n->embed_g.rows * d, &n->g_rows));
    TRY(reals(n, entries * (w / 2), &n->table));
    TRY(reals(n, entries * (w / 2), &n->dtable));
    TRY(ops->allocate(ops, entries * sizeof *n->member, (void **)&n->member));
    TRY(ops->allocate(ops, entries * sizeof *n->place, (void **)&n->place));
    TRY(ops->allocate(ops, entries * sizeof *n->token, (void **)&n->token));
    TRY(fill_axes(n));
    n->member_host = malloc(entries * sizeof *n->member_host);
    n->place_host = malloc(entries * sizeof *n->place_host);
    n->token_host = malloc(entries * sizeof *n->token_host);
    if (!n->member_host || !n->place_host || !n->token_host)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu windows", n->batch);
out:
    return status;
}

static enum status window_create(const struct ops *ops, const struct network_parameters *p, int d,
                                 int outputs, int rows, struct score_model **out) {
    enum status status = STATUS_OK;
    struct window_network *n = calloc(1, sizeof *n);
    *out = n ? &n->base : NULL;
    if (!n)
        return FAIL(STATUS_FAILURE, "out of memory for a network");
    static const enum window_form forms[] = {[WINDOW_LOCAL] = FORM_LOCAL,
                                             [WINDOW_PERIODIC] = FORM_PERIODIC,
                                             [WINDOW_LATTICE] = FORM_LATTICE,
                                             [WINDOW_ANCHORED] = FORM_ANCHORED,
                                             [WINDOW_ALL] = FORM_ALL};
    n->base = (struct score_model){.kind = &window_kind,
                                   .ops = ops,
                                   .d = d,
                                   .outputs = outputs,
                                   .neighbours = p->neighbours,
                                   .decoded = p->window == WINDOW_ALL ? p->neighbours + 1 : 1};
    n->view = (struct window_view){forms[p->window], p->site_unit > 0 ? p->site_unit : 1,
                                   p->displacement_unit > 0 ? p->displacement_unit : 1};
    n->inputs = window_inputs_width(n->view.form, d);
    n->width = p->width;
    n->hidden = p->hidden;
    n->feed_forward = p->feed_forward;
    n->heads = p->heads;
    n->blocks = p->blocks;
    n->tokens = p->neighbours + 1;
    n->windows = (size_t)rows / (size_t)n->tokens > 0 ? (size_t)rows / (size_t)n->tokens : 1;
    n->batch = n->windows * CHUNKS_PER_TABLE;
    n->base.chunk = n->windows;
    const size_t tokens = n->windows * (size_t)n->tokens;
    struct tensors *t = &n->base.tensors;
    TRY(mlp_create(ops, "embed_g", p->layers, d, p->hidden, p->width / 2,
                   tokens > n->windows * (size_t)d ? tokens : n->windows * (size_t)d, t, &n->embed_g));
    TRY(mlp_create(ops, "embed_x", p->layers, n->inputs, p->hidden, p->width / 2, tokens, t, &n->embed_x));
    for (int b = 0; b < n->blocks; b++) {
        TRY(add_block(n, b));
        TRY(allocate_block(n, b));
    }
    TRY(mlp_create(ops, "decoder", p->layers, p->width, p->hidden, outputs,
                   n->windows * (size_t)n->base.decoded, t, &n->decoder));
    n->sees_velocity = p->linear_term == LINEAR_TERM_VELOCITY;
    if (p->linear_term != LINEAR_TERM_OFF)
        TRY(window_linear_create(n));
    TRY(allocate_shared(n));
    n->base.bytes += mlp_bytes(&n->embed_g) + mlp_bytes(&n->embed_x) + mlp_bytes(&n->decoder);
out:
    if (status != STATUS_OK)
        score_destroy(out);
    return status;
}

static void window_destroy(struct score_model *model) {
    struct window_network *n = (struct window_network *)model;
    const struct ops *ops = n->base.ops;
    void *const shared[] = {n->dt,       n->dt_next, n->dq,     n->dk,      n->dv,     n->dy,    n->dwide,
                            n->offsets,  n->s,       n->ds,     n->axes,    n->g_rows, n->table, n->dtable,
                            n->member,   n->place,   n->r,      n->dr,      n->dz,     n->z,     n->token,
                            n->g_tokens, n->f,       n->shares, n->dshares, n->sums};
    for (size_t m = 0; m < sizeof shared / sizeof *shared; m++)
        ops->release(ops, shared[m]);
    ops->release(ops, n->block[0].t);
    for (int index = 0; index < n->blocks; index++) {
        struct window_block *b = &n->block[index];
        void *const kept[] = {b->q,  b->k,   b->v,    b->p,  b->attended, b->n1, b->root1,
                              b->y1, b->pre, b->post, b->n2, b->root2,    b->y2};
        for (size_t m = 0; m < sizeof kept / sizeof *kept; m++)
            ops->release(ops, kept[m]);
    }
    window_probe_destroy(n);
    mlp_destroy(&n->embed_g);
    mlp_destroy(&n->embed_x);
    mlp_destroy(&n->decoder);
    free(n->slot);
    free(n->member_host);
    free(n->place_host);
    free(n->token_host);
    tensors_free(&n->base.tensors);
    free(n);
}

/* ---- initial weights ---- */

/* A normal number cut at 2, a function of (seed, tensor, element): drawn again from further blocks. */
static double cut_normal(uint64_t seed, uint32_t element, uint64_t tensor) {
    for (uint32_t block = 0;; block++) {
        uint32_t word[4];
        float z[4];
        rng_words(seed, STREAM_WEIGHTS, element, tensor, block, word);
        normal_pair_f(word[0], word[1], &z[0], &z[1]);
        normal_pair_f(word[2], word[3], &z[2], &z[3]);
        for (int m = 0; m < 4; m++)
            if (fabsf(z[m]) <= 2)
                return (double)z[m];
    }
}

static void window_initialise(const struct score_model *model, uint64_t seed, real *weights) {
    const double cut_sd = 0.87962566103423978; /* standard deviation of a normal number cut at 2 */
    for (int m = 0; m < model->tensors.count; m++) {
        const struct tensor *t = &model->tensors.list[m];
        size_t size = (size_t)t->rows * (size_t)t->columns, length = strlen(t->name);
        bool matrix = strcmp(t->name + length - 2, "/w") == 0;
        double sd = (strstr(t->name, "/attention/") ? 1 / cut_sd : 1) / sqrt(t->rows);
        sd = strcmp(t->name, "linear/w") == 0 ? 0
                                              : sd; /* the linear term has nothing to break the symmetry of */
        for (size_t i = 0; i < size; i++) {
            if (matrix)
                weights[t->offset + i] = (real)(sd * cut_normal(seed, (uint32_t)i, (uint64_t)m));
            else
                weights[t->offset + i] = strcmp(t->name + length - 6, "/scale") == 0 ? 1 : 0;
        }
    }
}

/* ---- cost ---- */

static double mlp_cost(const struct mlp *m) {
    return 2.0 * m->hidden * (m->in + (double)(m->layers - 1) * m->hidden + m->out);
}

/* One forward pass of a block. In the first of several, E_g's part of queries, keys and values is the table's. */
static double block_cost(const struct window_network *n, int index) {
    const double w = n->width, t = n->tokens, f = n->feed_forward, q = n->block[index].queries;
    const double seen = index == 0 && n->blocks > 1 ? w / 2 : w;
    const double attention =
        window_pools(n, index) ? 3 * w * w + 2 * n->heads * t * w : (q + 2 * t) * seen * w + 2 * q * t * w;
    return 2 * (attention + q * w * w + 2 * q * w * f);
}

/* One tangent of a block. */
static double tangent_cost(const struct window_network *n, int index) {
    const double w = n->width, t = n->tokens, f = n->feed_forward, q = n->block[index].queries;
    const double own = 1.5 * w * w + 2 * t * w + w * w; /* of token 0, in the first block */
    if (index == 0)
        return 2 * (own + w * w + (1 + 3 * n->heads) * q * w + 2 * q * w * f);
    const double attention =
        window_pools(n, index) ? 3 * w * w + 4 * n->heads * t * w : 3 * t * w * w + 4 * q * t * w;
    return 2 * (attention + q * w * w + 2 * q * w * f);
}

static struct score_cost window_operations(const struct score_model *model) {
    const struct window_network *n = (const struct window_network *)model;
    const double w = n->width, embedding = mlp_cost(&n->embed_g);
    const double shared =
        embedding + (n->blocks > 1 ? 3 * w * w : 0); /* one particle of the table a window */
    double forward = shared + n->tokens * mlp_cost(&n->embed_x) + mlp_cost(&n->decoder);
    double tangent = embedding + mlp_cost(&n->decoder);
    for (int b = 0; b < n->blocks; b++) {
        forward += block_cost(n, b);
        tangent += tangent_cost(n, b);
    }
    return (struct score_cost){forward, forward + embedding + 2 * w * w + n->base.d * tangent,
                               3 * forward + embedding};
}

/* The workspace is there at once, but for what a batch's distinct particles share: neighbours in memory are near in
 * space, and the particles of a batch's windows about twice as many as the windows. */
static double window_memory(const struct score_model *model, double particles, const struct graph *sizes,
                            bool training) {
    const struct window_network *n = (const struct window_network *)model;
    const double members = fmin(particles, 2.0 * (double)n->batch + n->tokens);
    const double shared = n->share_room == 0 && n->blocks > 1 ? 2 * members * 3 * n->width * sizeof(real) : 0;
    (void)sizes;
    (void)training;
    return model->bytes + shared + particles * sizeof *n->slot;
}

/* ---- the three passes, batch by batch, chunk by chunk ---- */

struct pass {
    const real *weights;
    const struct score_input *in;
    real *s, *divergence;
    const real *zeta, *weight;
    double sign, sigma, scale, *term;
    real *gradient;
};

static void forward_chunk(struct window_network *n, const struct pass *p, size_t first, size_t at,
                          size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t decoded = (size_t)n->base.decoded, outputs = (size_t)n->base.outputs;
    const size_t rows = count * decoded, row = first * decoded;
    n->moving = p->divergence != NULL;
    window_forward(n, p->weights, p->in, first, at, count);
    if (p->s)
        ops->copy(ops, p->s + row * outputs, n->s, rows * outputs * sizeof(real));
    if (p->divergence)
        window_tangent(n, p->weights, p->in, first, count, p->divergence + first);
    if (p->gradient) {
        ops->denoising(ops, rows, n->base.outputs, n->s, p->zeta + row * outputs,
                       p->weight ? p->weight + row : NULL, p->sign, p->sigma, p->scale, p->term + row, n->ds);
        window_backward(n, p->weights, count, p->gradient);
    }
}

static enum status run_pass(struct window_network *n, const struct pass *p) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    for (size_t first = 0; first < p->in->count; first += n->batch) {
        size_t batch = p->in->count - first < n->batch ? p->in->count - first : n->batch;
        TRY(window_tabulate(n, p->weights, p->in, first, batch));
        if (p->gradient)
            ops->zero(ops, n->dtable, n->members * (size_t)n->width / 2 * sizeof(real));
        if (p->gradient && n->sharing)
            ops->zero(ops, n->dshares, n->members * 3 * (size_t)n->width * sizeof(real));
        for (size_t at = 0; at < batch; at += n->windows) {
            if (!p->gradient)
                TRY(score_go_on(&n->base, (double)(first + at) / (double)p->in->count));
            forward_chunk(n, p, first + at, at, batch - at < n->windows ? batch - at : n->windows);
        }
        if (p->gradient)
            window_table_backward(n, p->weights, p->in, p->gradient);
    }
    TRY(ops->synchronise(ops));
out:
    return status;
}

static enum status run_forward(struct score_model *model, const real *weights, const struct score_input *in,
                               real *s) {
    return run_pass((struct window_network *)model, &(struct pass){.weights = weights, .in = in, .s = s});
}

static enum status run_divergence(struct score_model *model, const real *weights,
                                  const struct score_input *in, real *s, real *divergence) {
    return run_pass((struct window_network *)model,
                    &(struct pass){.weights = weights, .in = in, .s = s, .divergence = divergence});
}

static enum status run_denoising(struct score_model *model, const real *weights, const struct score_input *in,
                                 const real *zeta, const real *weight, double sign, double sigma,
                                 double scale, double *term, real *gradient, real *s) {
    return run_pass((struct window_network *)model, &(struct pass){.weights = weights,
                                                                   .in = in,
                                                                   .s = s,
                                                                   .zeta = zeta,
                                                                   .weight = weight,
                                                                   .sign = sign,
                                                                   .sigma = sigma,
                                                                   .scale = scale,
                                                                   .term = term,
                                                                   .gradient = gradient});
}

static enum status run_probe(struct score_model *model, const real *weights, const struct score_input *in,
                             const struct score_probes *probes, real *s, real *product) {
    return window_probe_forward((struct window_network *)model, weights, in, probes, s, product);
}

static enum status run_pull(struct score_model *model, const real *weights, const struct score_input *in,
                            const struct score_probes *probes, const real *ds, const real *dproduct,
                            real *gradient) {
    return window_probe_backward((struct window_network *)model, weights, in, probes, ds, dproduct, gradient);
}

const struct score_kind window_kind = {
    .create = window_create,
    .destroy = window_destroy,
    .initialise = window_initialise,
    .operations = window_operations,
    .memory = window_memory,
    .forward = run_forward,
    .divergence = run_divergence,
    .denoising = run_denoising,
    .probe = run_probe,
    .pull = run_pull,
};
