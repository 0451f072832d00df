/* Antithetic denoising: every particle of the frame is moved by the noise of its id, so that ghosts are moved as their
 * owners move them, without a message; the chosen particles' scores are compared with it. */
#include "learn/trainer_private.h"

static struct frame_noise noise_of(const struct trainer *t, uint64_t number) {
    const struct training_parameters *p = &t->setup.training;
    return (struct frame_noise){
        .kind = p->noise, .on = p->noise_on, .seed = p->seed, .stream = STREAM_ZETA, .number = number};
}

enum status batch_move(struct trainer *t, const struct frame *f, uint64_t number, double amount,
                       struct score_input *in) {
    enum status status = STATUS_OK;
    struct batch *b = &t->batch;
    const struct frame_noise noise = noise_of(t, number);
    TRY(frame_move(f, &noise, amount, &t->moved));
    *in = frame_windows(f, b->count, b->centre, b->neighbour);
    in->g = t->moved.particles.g;
    in->q = t->moved.particles.q;
    if (noise.on == NOISE_ON_G || t->scores->decoded > 1 || f->by_site) /* no neighbours to find anew */
        t->ops->gather_neighbours(t->ops, b->count, f->k, b->centre, f->nearest, b->neighbour);
    else
        status = moved_neighbours(f, &t->moved, b->count, b->centre, b->neighbour, b->farthest);
out:
    return status;
}

/* The rows' noise in the columns of a part's outputs. */
static void fill_zeta(struct trainer *t, const struct score_part *part, uint64_t number) {
    const struct ops *ops = t->ops;
    struct batch *b = &t->batch;
    const size_t d = (size_t)t->d, rows = b->count * (size_t)t->scores->decoded;
    const struct frame_noise noise = noise_of(t, number);
    const int at[] = {part->g_at, part->x_at};
    for (int m = 0; m < 2; m++)
        if (at[m] >= 0) {
            noise_draw(ops, &noise, m == 1, rows, b->id, t->d, b->zeta_wide);
            ops->narrow(ops, rows * d, b->zeta_wide, b->zeta_narrow);
            ops->spread_rows(ops, rows, t->d, b->zeta_narrow, d, b->zeta + at[m], (size_t)part->outputs,
                             false);
        }
}

/* The divergence of the force that the frame holds, where the noise leaves x, and so it, as it is; else NULL. */
static const double *held_divergence(const struct trainer *t, const struct frame *f) {
    return t->setup.training.noise_on == NOISE_ON_G ? f->divergence : NULL;
}

/* Weights of the rows' terms: from what the frame holds, or from the batch's physics. */
static void fill_weights(struct trainer *t, const struct frame *f) {
    struct batch *b = &t->batch;
    const size_t rows = b->count * (size_t)t->scores->decoded;
    const double *held = held_divergence(t, f);
    for (size_t r = 0; r < rows; r++)
        b->weight_host[r] = (real)training_weight(&t->setup.training, t->setup.law.gamma, t->d,
                                                  held ? held[b->row_host[r]] : b->divergence[r]);
    t->ops->to_device(t->ops, b->weight, b->weight_host, rows * sizeof *b->weight);
}

static enum status one_sign(struct trainer *t, const struct contribution *c, double sign) {
    enum status status = STATUS_OK;
    const bool shifted = t->setup.law.shift != SHIFT_NONE;
    const bool weighted = t->setup.training.weighting != WEIGHTING_NONE;
    const bool divergence = weighted && !held_divergence(t, c->frame);
    struct score_input in;
    timer_begin(&t->timings, t->timer_windows);
    status = batch_move(t, c->frame, c->number, sign * t->setup.training.sigma, &in);
    if (status == STATUS_OK && (shifted || divergence))
        status = batch_physics(t, c->frame, &t->moved.particles, t->scores->with_x || divergence);
    if (status == STATUS_OK && weighted)
        fill_weights(t, c->frame);
    timer_end(&t->timings, t->timer_windows);
    TRY(status);
    const struct score_rows rows = batch_rows(t);
    timer_begin(&t->timings, t->timer_network);
    for (int m = 0; status == STATUS_OK && m < t->scores->parts; m++) {
        const struct score_part *part = &t->scores->part[m];
        fill_zeta(t, part, c->number);
        in.shift = shifted ? t->batch.shift : NULL;
        if (shifted)
            status = scores_shift(t->scores, m, &t->setup.law, &rows, t->batch.shift);
        if (status == STATUS_OK)
            status =
                score_denoising(part->model, t->optimizer->theta + part->offset, &in, t->batch.zeta,
                                weighted ? t->batch.weight : NULL, sign, t->setup.training.sigma,
                                c->share / (double)c->total, t->batch.term, t->gradient + part->offset, NULL);
    }
    timer_end(&t->timings, t->timer_network);
out:
    return status;
}

enum status denoising_gradient(struct trainer *t, const struct contribution *c, double *sum) {
    enum status status = STATUS_OK;
    struct batch *b = &t->batch;
    const size_t rows = b->count * (size_t)t->scores->decoded;
    t->ops->zero(t->ops, b->term, rows * sizeof *b->term);
    for (int sign = 1; sign >= -1; sign -= 2)
        TRY(one_sign(t, c, sign));
    t->ops->to_host(t->ops, b->term_host, b->term, rows * sizeof *b->term_host);
    for (size_t r = 0; r < rows; r++)
        *sum += b->term_host[r] * c->share / (double)c->total;
out:
    return status;
}
