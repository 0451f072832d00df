/* From particles to scores: first the table of E_g, then chunk by chunk tokens, blocks and decoder.
 *
 * E_g(g_j) is the same in every window that holds particle j, so a batch of windows is first reduced to its
 * distinct particles; every token knows its place in that table. Where windows overlap, the table also holds what
 * E_g gives to queries, keys and values of the first block. In a block, Q of T tokens ask: all, or in
 * the last block token 0 alone, whose rows are then T rows apart in the tokens and next to each other from
 * the query on. That is the only difference between blocks. */
#include "learn/window_network.h"

#include <stdlib.h>

static const uint32_t NO_SLOT = UINT32_MAX;

static enum status reserve_slots(struct window_network *n, size_t particles) {
    if (particles <= n->slot_count)
        return STATUS_OK;
    free(n->slot);
    n->slot_count = 0;
    n->slot = malloc(particles * sizeof *n->slot);
    if (!n->slot)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", particles);
    n->slot_count = particles;
    for (size_t i = 0; i < particles; i++)
        n->slot[i] = NO_SLOT;
    return STATUS_OK;
}

static uint32_t place_in_table(struct window_network *n, uint32_t particle) {
    if (n->slot[particle] == NO_SLOT) {
        n->slot[particle] = (uint32_t)n->members;
        n->member_host[n->members++] = particle;
    }
    return n->slot[particle];
}

/* E_g of members first ... first + count - 1 of the table; embed_g keeps what its backward needs. */
static void embed_members(struct window_network *n, const real *weights, const struct score_input *in,
                          size_t first, size_t count, real *out) {
    const struct ops *ops = n->base.ops;
    ops->propulsion_rows(ops, n->base.d, count, n->member + first, in->g, n->g_rows);
    mlp_forward(&n->embed_g, weights, count, n->g_rows, (size_t)n->base.d, out, (size_t)n->width / 2);
}

/* near: centres (count), then neighbours (count, k). */
static enum status check_members(size_t count, size_t k, const uint32_t *near, size_t particles) {
    for (size_t m = 0; m < count * (k + 1); m++)
        if (near[m] >= particles)
            return FAIL(STATUS_FAILURE,
                        "a window of %zu particles has no neighbour number %zu: the halo is too thin", k + 1,
                        m < count ? 0 : (m - count) % k + 1);
    return STATUS_OK;
}

enum status window_members(struct window_network *n, const struct score_input *in, size_t count) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t k = (size_t)n->base.neighbours;
    uint32_t *near = malloc((count * (k + 1) + 1) * sizeof *near);
    if (!near)
        return FAIL(STATUS_FAILURE, "out of memory for %zu windows", count);
    ops->to_host(ops, near, in->centre, count * sizeof *near);
    ops->to_host(ops, near + count, in->neighbour, count * k * sizeof *near);
    TRY(check_members(count, k, near, in->particles));
    for (size_t w = 0; w < count; w++) {
        n->member_host[w * (k + 1)] = near[w];
        for (size_t m = 0; m < k; m++)
            n->member_host[w * (k + 1) + 1 + m] = near[count + w * k + m];
    }
    ops->to_device(ops, n->member, n->member_host, count * (k + 1) * sizeof *n->member);
out:
    free(near);
    return status;
}

/* ---- E_g's part of queries, keys and values of the first block ---- */

static enum status reserve_shares(struct window_network *n) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t numbers = 3 * (size_t)n->width;
    if (n->members <= n->share_room)
        return STATUS_OK;
    ops->release(ops, n->shares);
    ops->release(ops, n->dshares);
    n->base.bytes -= (double)(2 * n->share_room * numbers * sizeof(real));
    n->shares = n->dshares = NULL;
    n->share_room = 0;
    TRY(ops->allocate(ops, n->members * numbers * sizeof(real), (void **)&n->shares));
    TRY(ops->allocate(ops, n->members * numbers * sizeof(real), (void **)&n->dshares));
    n->share_room = n->members;
    n->base.bytes += (double)(2 * n->share_room * numbers * sizeof(real));
out:
    return status;
}

/* Tokens are computed one by one where few of them are of the same particle. */
static enum status tabulate_shares(struct window_network *n, const real *weights, size_t tokens) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const struct window_block *b = &n->block[0];
    const int w = n->width, half = w / 2;
    const size_t wide = (size_t)w;
    n->sharing = n->blocks > 1 && 2 * n->members <= tokens;
    if (!n->sharing)
        return STATUS_OK;
    TRY(reserve_shares(n));
    ops->linear(ops, n->members, half, w, n->table, wide / 2, weights + b->query_w, weights + b->query_b,
                n->shares, 3 * wide);
    ops->linear(ops, n->members, half, w, n->table, wide / 2, weights + b->key_w, weights + b->key_b,
                n->shares + wide, 3 * wide);
    ops->linear(ops, n->members, half, w, n->table, wide / 2, weights + b->value_w, weights + b->value_b,
                n->shares + 2 * wide, 3 * wide);
out:
    return status;
}

bool window_shares(const struct window_network *n, int index) {
    return index == 0 && n->sharing && !n->keeping;
}

/* From E_g's part and E_x in the tokens' second half. */
static void share_forward(struct window_network *n, const real *weights, struct window_block *b,
                          size_t tokens) {
    const struct ops *ops = n->base.ops;
    const int w = n->width, half = w / 2;
    const size_t wide = (size_t)w, rest = wide / 2 * wide; /* of weights, to those of the second half */
    const real *x = b->t + half;
    ops->linear_onto(ops, tokens, half, w, x, wide, weights + b->query_w + rest, n->place_in_use, n->shares,
                     3 * wide, b->q, wide);
    ops->linear_onto(ops, tokens, half, w, x, wide, weights + b->key_w + rest, n->place_in_use,
                     n->shares + wide, 3 * wide, b->k, wide);
    ops->linear_onto(ops, tokens, half, w, x, wide, weights + b->value_w + rest, n->place_in_use,
                     n->shares + 2 * wide, 3 * wide, b->v, wide);
}

enum status window_tabulate(struct window_network *n, const real *weights, const struct score_input *in,
                            size_t first, size_t count) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t k = (size_t)n->base.neighbours, tokens = k + 1, half = (size_t)n->width / 2;
    uint32_t *near = malloc((count * tokens + 1) * sizeof *near);
    if (!near)
        return FAIL(STATUS_FAILURE, "out of memory for %zu windows", count);
    TRY(reserve_slots(n, in->particles));
    ops->to_host(ops, near, in->centre + first, count * sizeof *near);
    ops->to_host(ops, near + count, in->neighbour + first * k, count * k * sizeof *near);
    n->members = 0;
    TRY(check_members(count, k, near, in->particles));
    for (size_t w = 0; w < count; w++)
        for (size_t m = 0; m <= k; m++) {
            const uint32_t particle = m == 0 ? near[w] : near[count + w * k + m - 1];
            n->token_host[w * tokens + m] = particle;
            n->place_host[w * tokens + m] = place_in_table(n, particle);
        }
    for (size_t m = 0; m < n->members; m++)
        n->slot[n->member_host[m]] = NO_SLOT;
    ops->to_device(ops, n->member, n->member_host, n->members * sizeof *n->member);
    ops->to_device(ops, n->place, n->place_host, count * tokens * sizeof *n->place);
    ops->to_device(ops, n->token, n->token_host, count * tokens * sizeof *n->token);
    for (size_t m = 0; m < n->members; m += n->embed_g.rows) {
        size_t rows = n->members - m < n->embed_g.rows ? n->members - m : n->embed_g.rows;
        embed_members(n, weights, in, m, rows, n->table + m * half);
    }
    TRY(tabulate_shares(n, weights, count * tokens));
out:
    free(near);
    return status;
}

/* From the gradient of E_g's part of queries, keys and values to those of its weights and of the table. */
static void share_table_backward(struct window_network *n, const real *weights, real *gradient) {
    const struct ops *ops = n->base.ops;
    const struct window_block *b = &n->block[0];
    const int w = n->width;
    const size_t wide = (size_t)w, half = wide / 2;
    ops->linear_backward(ops, n->members, w / 2, w, n->table, half, weights + b->query_w, n->dshares,
                         3 * wide, gradient + b->query_w, gradient + b->query_b, n->dtable, half, true);
    ops->linear_backward(ops, n->members, w / 2, w, n->table, half, weights + b->key_w, n->dshares + wide,
                         3 * wide, gradient + b->key_w, gradient + b->key_b, n->dtable, half, true);
    ops->linear_backward(ops, n->members, w / 2, w, n->table, half, weights + b->value_w,
                         n->dshares + 2 * wide, 3 * wide, gradient + b->value_w, gradient + b->value_b,
                         n->dtable, half, true);
}

void window_table_backward(struct window_network *n, const real *weights, const struct score_input *in,
                           real *gradient) {
    const size_t half = (size_t)n->width / 2, d = (size_t)n->base.d;
    if (n->sharing)
        share_table_backward(n, weights, gradient);
    for (size_t m = 0; m < n->members; m += n->embed_g.rows) {
        size_t rows = n->members - m < n->embed_g.rows ? n->members - m : n->embed_g.rows;
        embed_members(n, weights, in, m, rows, n->table + m * half);
        mlp_backward(&n->embed_g, weights, rows, n->g_rows, d, n->dtable + m * half, half, gradient, NULL, 0);
    }
}

static void forward_block(struct window_network *n, const real *weights, int index, size_t count) {
    const struct ops *ops = n->base.ops;
    struct window_block *b = &n->block[index];
    const int w = n->width, f = n->feed_forward;
    const size_t wide = (size_t)w, tokens = count * (size_t)n->tokens, rows = count * (size_t)b->queries;
    const size_t ldt =
        b->queries == 1 ? (size_t)n->tokens * wide : wide; /* from one asking token to the next */
    if (window_shares(n, index))
        share_forward(n, weights, b, tokens);
    else
        ops->linear(ops, rows, w, w, b->t, ldt, weights + b->query_w, weights + b->query_b, b->q, wide);
    if (window_pools(n, index)) {
        window_pool_forward(n, weights, b, count);
    } else {
        if (!window_shares(n, index)) {
            ops->linear(ops, tokens, w, w, b->t, wide, weights + b->key_w, weights + b->key_b, b->k, wide);
            ops->linear(ops, tokens, w, w, b->t, wide, weights + b->value_w, weights + b->value_b, b->v,
                        wide);
        }
        ops->attention(ops, count, b->queries, n->tokens, n->heads, w, b->q, b->k, b->v, b->p, b->attended);
    }
    const real *u = n->dy;
    if (index == 0 && n->moving && !n->keeping) {
        ops->linear_parts(ops, rows, n->heads, w, w, b->attended, wide, weights + b->output_w,
                          weights + b->output_b, n->sums);
        u = n->sums + (size_t)(n->heads - 1) * rows * wide;
    } else {
        ops->linear(ops, rows, w, w, b->attended, wide, weights + b->output_w, weights + b->output_b, n->dy,
                    wide);
    }
    ops->norm(ops, rows, w, b->t, ldt, u, wide, weights + b->norm1_scale, weights + b->norm1_offset, b->n1,
              b->root1, b->y1, wide);
    ops->linear_gelu(ops, rows, w, f, b->y1, wide, weights + b->mlp0_w, weights + b->mlp0_b, b->pre, b->post);
    ops->linear(ops, rows, f, w, b->post, (size_t)f, weights + b->mlp1_w, weights + b->mlp1_b, n->dy, wide);
    ops->norm(ops, rows, w, b->y1, wide, n->dy, wide, weights + b->norm2_scale, weights + b->norm2_offset,
              b->n2, b->root2, b->y2, wide);
}

void window_forward_blocks(struct window_network *n, const real *weights, const struct score_input *in,
                           size_t first, size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t wide = (size_t)n->width, half = wide / 2, k = (size_t)n->base.neighbours;
    const size_t rows = count * (size_t)n->base.decoded, outputs = (size_t)n->base.outputs;
    const uint32_t *centre = in->centre + first, *neighbour = in->neighbour + first * k;
    if (n->view.form == FORM_LOCAL)
        ops->window_offsets(ops, in->box, count, (int)k, centre, neighbour, in->q, n->offsets);
    else
        ops->window_inputs(ops, in->box, &n->view, count, (int)k, centre, neighbour, in->q, in->anchor,
                           in->id, n->offsets);
    mlp_forward(&n->embed_x, weights, count * (k + 1), n->offsets, (size_t)n->inputs, n->block[0].t + half,
                wide);
    for (int b = 0; b < n->blocks; b++)
        forward_block(n, weights, b, count);
    mlp_forward(&n->decoder, weights, rows, n->block[n->blocks - 1].y2, wide, n->s, outputs);
    if (n->has_linear)
        window_linear_forward(n, weights, in, count);
    if (in->shift)
        ops->spread_rows(ops, rows, (int)outputs, in->shift + first * (size_t)n->base.decoded * outputs,
                         outputs, n->s, outputs, true);
}

void window_forward(struct window_network *n, const real *weights, const struct score_input *in, size_t first,
                    size_t at, size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t wide = (size_t)n->width, half = wide / 2, tokens = count * (size_t)n->tokens;
    n->token_in_use = n->token + at * (size_t)n->tokens;
    n->place_in_use = n->place + at * (size_t)n->tokens;
    ops->gather_rows(ops, tokens, (int)half, n->place_in_use, n->table, half, n->block[0].t, wide);
    window_forward_blocks(n, weights, in, first, count);
}
