/* Antithetic denoising: every particle of the frame is moved by the noise of its id, so that ghosts are moved as their
 * owners move them, without a message; the chosen particles' scores are compared with it. */
#include "learn/trainer_private.h"

#include <math.h>

#include "space/neighbours.h"

/* The configuration moved by sign * sigma * zeta in `moved`, its windows in *in, its neighbours found anew. */
enum status batch_move(struct trainer *t, const struct frame *f, uint64_t step, double sign, double sigma,
                       struct particles *moved, struct score_input *in) {
    enum status status = STATUS_OK;
    const struct ops *ops = t->ops;
    const struct training_parameters *p = &t->setup.training;
    const struct particles *own = f->particles;
    const struct box *box = &f->domain->box;
    struct batch *b = &t->batch;
    const size_t n = own->owned + own->ghosts;
    struct cell_grid *grid = NULL;
    *moved = *own;
    ops->normal(ops, p->seed, STREAM_ZETA, 2 * step, n, own->id, t->d, t->zeta_all);
    ops->shift_propulsion(ops, t->d, n, sign * sigma, t->zeta_all, own->g, t->g_moved);
    *in = frame_windows(f, b->count, b->centre, b->neighbour);
    in->g = t->g_moved;
    for (int a = 0; a < t->d; a++)
        moved->g[a] = t->g_moved[a];
    if (p->noise_on == NOISE_ON_G) {
        ops->gather_neighbours(ops, b->count, f->k, b->centre, f->nearest, b->neighbour);
        goto out;
    }
    ops->normal(ops, p->seed, STREAM_ZETA, 2 * step + 1, n, own->id, t->d, t->zeta_all);
    ops->shift_positions(ops, box, n, sign * sigma, t->zeta_all, own->q, t->q_moved);
    in->q = t->q_moved;
    for (int a = 0; a < t->d; a++)
        moved->q[a] = t->q_moved[a];
    if (t->scores->decoded > 1 || f->by_site) /* no neighbours to find anew */
        goto out;
    double density = (double)f->n, cell = f->k / 6.0;
    for (int a = 0; a < t->d; a++)
        density /= box->side[a];
    TRY(cells_create(moved, box, pow(fmax(1, cell) / density, 1.0 / t->d), &grid));
    ops->nearest(ops, box, grid, b->count, b->centre, n, t->q_moved, f->k, b->neighbour, b->farthest);
out:
    cells_destroy(ops, &grid);
    return status;
}

/* The rows' noise in the columns of a part's outputs. */
static void fill_zeta(struct trainer *t, const struct score_part *part, uint64_t step) {
    const struct ops *ops = t->ops;
    struct batch *b = &t->batch;
    const size_t d = (size_t)t->d, rows = b->count * (size_t)t->scores->decoded;
    const int at[] = {part->g_at,
                      part->x_at}; /* the noise of g is the even number of a step, that of x the odd */
    for (uint64_t m = 0; m < 2; m++)
        if (at[m] >= 0) {
            ops->normal(ops, t->setup.training.seed, STREAM_ZETA, 2 * step + m, rows, b->id, t->d,
                        b->zeta_wide);
            ops->narrow(ops, rows * d, b->zeta_wide, b->zeta_narrow);
            ops->spread_rows(ops, rows, t->d, b->zeta_narrow, d, b->zeta + at[m], (size_t)part->outputs,
                             false);
        }
}

static enum status one_sign(struct trainer *t, const struct frame *f, uint64_t step, double sign,
                            size_t total) {
    enum status status = STATUS_OK;
    const bool shifted = t->setup.law.shift != SHIFT_NONE;
    struct score_input in;
    struct particles moved;
    timer_begin(&t->timings, t->timer_windows);
    status = batch_move(t, f, step, sign, t->setup.training.sigma, &moved, &in);
    if (status == STATUS_OK && shifted)
        status = batch_physics(t, f, &moved, t->scores->with_x);
    timer_end(&t->timings, t->timer_windows);
    TRY(status);
    const struct score_rows rows = batch_rows(t);
    timer_begin(&t->timings, t->timer_network);
    for (int m = 0; status == STATUS_OK && m < t->scores->parts; m++) {
        const struct score_part *part = &t->scores->part[m];
        fill_zeta(t, part, step);
        in.shift = shifted ? t->batch.shift : NULL;
        if (shifted)
            status = scores_shift(t->scores, m, &t->setup.law, &rows, t->batch.shift);
        if (status == STATUS_OK)
            status = score_denoising(part->model, t->optimizer->theta + part->offset, &in, t->batch.zeta,
                                     NULL, sign, t->setup.training.sigma, 1.0 / (double)total, t->batch.term,
                                     t->gradient + part->offset, NULL);
    }
    timer_end(&t->timings, t->timer_network);
out:
    return status;
}

enum status denoising_gradient(struct trainer *t, const struct frame *f, uint64_t step, size_t total,
                               double *sum) {
    enum status status = STATUS_OK;
    struct batch *b = &t->batch;
    const size_t rows = b->count * (size_t)t->scores->decoded;
    t->ops->zero(t->ops, b->term, rows * sizeof *b->term);
    for (int sign = 1; sign >= -1; sign -= 2)
        TRY(one_sign(t, f, step, sign, total));
    t->ops->to_host(t->ops, b->term_host, b->term, rows * sizeof *b->term_host);
    for (size_t r = 0; r < rows; r++)
        *sum += b->term_host[r] / (double)total;
out:
    return status;
}
