/* A step of training, data-parallel over the particles of a frame.
 *
 * The batch is drawn by particle id, every rank works on the centres it owns, and one all-reduce of the
 * flat gradient joins the parts. Noise goes by particle id too, and a halo carries its particles' ids,
 * so ghosts are moved as their owners move them, without a message. Nothing depends on the number of ranks
 * but the order in which gradients are summed.
 */
#include "learn/trainer.h"

#include <math.h>
#include <stdlib.h>

#include "base/statistics.h"

static const double LARGEST_NORMAL = 6.67; /* of ops/normal_formula.h */

double training_margin(const struct training_parameters *p, int d) {
    if (p->noise_on == NOISE_ON_G)
        return 0;
    /* Two particles approach, or part, by 2 moves; the neighbours' distance may grow by as much. */
    return 4 * LARGEST_NORMAL * sqrt(d) * p->sigma;
}

static enum status reserve_windows(struct trainer *t, size_t windows) {
    enum status status = STATUS_OK;
    const struct ops *ops = t->ops;
    size_t d = (size_t)t->d, k = (size_t)score_neighbours(t->model);
    if (windows <= t->capacity)
        return STATUS_OK;
    struct {
        void **array;
        size_t bytes;
    } device[] = {{(void **)&t->centre, sizeof *t->centre},
                  {(void **)&t->id, sizeof *t->id},
                  {(void **)&t->neighbour, k * sizeof(uint32_t)},
                  {(void **)&t->zeta_wide, d * sizeof(double)},
                  {(void **)&t->zeta, d * sizeof(real)},
                  {(void **)&t->term, sizeof(double)},
                  {(void **)&t->s, d * sizeof(real)},
                  {(void **)&t->farthest, sizeof(double)}};
    t->capacity = 0;
    for (size_t m = 0; m < sizeof device / sizeof *device; m++) {
        ops->release(ops, *device[m].array);
        *device[m].array = NULL;
        TRY(ops->allocate(ops, windows * device[m].bytes, device[m].array));
    }
    free(t->centre_host);
    free(t->id_host);
    free(t->term_host);
    t->centre_host = malloc(windows * sizeof *t->centre_host);
    t->id_host = malloc(windows * sizeof *t->id_host);
    t->term_host = malloc(windows * sizeof *t->term_host);
    if (!t->centre_host || !t->id_host || !t->term_host)
        return FAIL(STATUS_FAILURE, "out of memory for a batch of %zu", windows);
    t->capacity = windows;
out:
    return status;
}

static enum status reserve_moved(struct trainer *t, size_t particles) {
    enum status status = STATUS_OK;
    const struct ops *ops = t->ops;
    if (particles <= t->moved_capacity)
        return STATUS_OK;
    t->moved_capacity = 0;
    ops->release(ops, t->zeta_all);
    t->zeta_all = NULL;
    TRY(ops->allocate(ops, particles * (size_t)t->d * sizeof(double), (void **)&t->zeta_all));
    for (int a = 0; a < t->d; a++) {
        ops->release(ops, t->q_moved[a]);
        ops->release(ops, t->g_moved[a]);
        t->q_moved[a] = NULL;
        t->g_moved[a] = NULL;
        TRY(ops->allocate(ops, particles * sizeof(uint64_t), (void **)&t->q_moved[a]));
        TRY(ops->allocate(ops, particles * sizeof(double), (void **)&t->g_moved[a]));
    }
    t->moved_capacity = particles;
out:
    return status;
}

static enum status create(struct trainer *t, const struct network_parameters *network, int chunk,
                          const real *weights) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &t->parameters;
    real *initial = NULL;
    TRY(score_create(t->ops, network, t->d, chunk, &t->model));
    size_t size = score_tensors(t->model)->size;
    TRY(t->ops->allocate(t->ops, size * sizeof(real), (void **)&t->gradient));
    t->gradient_host = malloc(size * sizeof(real));
    initial = malloc(size * sizeof(real));
    if (!t->gradient_host || !initial) {
        status = FAIL(STATUS_FAILURE, "out of memory for a network of %zu weights", size);
        goto out;
    }
    if (!weights)
        score_initialise(t->model, p->seed, initial);
    struct schedule schedule = {.peak = p->rate, .warm_up = p->warm_up, .total = p->steps};
    TRY(optimizer_create(t->ops, size, &schedule, p->clip, p->average, weights ? weights : initial,
                         &t->optimizer));
    TRY(reserve_windows(t, (size_t)p->batch));
out:
    free(initial);
    return status;
}

enum status trainer_create(const struct ops *ops, struct comm *comm, const struct network_parameters *network,
                           const struct training_parameters *training, int d, int chunk, const real *weights,
                           struct trainer **out) {
    enum status status = STATUS_OK;
    struct trainer *t = calloc(1, sizeof *t);
    *out = t;
    if (t) {
        t->ops = ops;
        t->comm = comm;
        t->parameters = *training;
        t->d = d;
        t->timer_windows = timings_add(&t->timings, "windows and noise");
        t->timer_network = timings_add(&t->timings, "network and gradient");
        t->timer_messages = timings_add(&t->timings, "messages");
        t->timer_optimizer = timings_add(&t->timings, "optimizer");
        status = create(t, network, chunk, weights);
    } else {
        status = FAIL(STATUS_FAILURE, "out of memory for training");
    }
    status = comm_agree(comm, status);
    if (status != STATUS_OK)
        trainer_destroy(out);
    return status;
}

void trainer_destroy(struct trainer **trainer) {
    struct trainer *t = *trainer;
    if (!t)
        return;
    const struct ops *ops = t->ops;
    void *device[] = {t->gradient, t->centre, t->id, t->neighbour, t->zeta_wide,
                      t->zeta,     t->term,   t->s,  t->farthest,  t->zeta_all};
    for (size_t m = 0; m < sizeof device / sizeof *device; m++)
        ops->release(ops, device[m]);
    for (int a = 0; a < MAX_DIMENSION; a++) {
        ops->release(ops, t->q_moved[a]);
        ops->release(ops, t->g_moved[a]);
    }
    free(t->gradient_host);
    free(t->centre_host);
    free(t->id_host);
    free(t->term_host);
    optimizer_destroy(&t->optimizer);
    score_destroy(&t->model);
    free(t);
    *trainer = NULL;
}

/* The centres of the batch that this rank owns, in order of the batch; their noise in g. Returns their
 * number. */
static size_t choose_centres(struct trainer *t, const struct frame *f, uint64_t step, size_t batch,
                             const uint32_t *ids) {
    size_t count = 0;
    for (size_t m = 0; m < batch; m++) {
        int64_t local = frame_find(f, ids[m]);
        if (local >= 0) {
            t->centre_host[count] = (uint32_t)local;
            t->id_host[count++] = ids[m];
        }
    }
    t->ops->to_device(t->ops, t->centre, t->centre_host, count * sizeof *t->centre);
    t->ops->to_device(t->ops, t->id, t->id_host, count * sizeof *t->id);
    t->ops->normal(t->ops, t->parameters.seed, STREAM_ZETA, 2 * step, count, t->id, t->d, t->zeta_wide);
    t->ops->narrow(t->ops, count * (size_t)t->d, t->zeta_wide, t->zeta);
    t->ops->zero(t->ops, t->term, count * sizeof *t->term);
    return count;
}

/* The configuration moved by sign * sigma along the noise, and the windows of the centres in it: their
 * neighbours are found anew where positions moved. */
static enum status move_frame(struct trainer *t, const struct frame *f, uint64_t step, double sign,
                              size_t count, struct score_input *in) {
    enum status status = STATUS_OK;
    const struct ops *ops = t->ops;
    const struct particles *p = f->particles;
    const struct box *box = &f->domain->box;
    const size_t n = p->owned + p->ghosts;
    const double amount = sign * t->parameters.sigma;
    struct cell_grid *grid = NULL;
    TRY(reserve_moved(t, n));
    ops->normal(ops, t->parameters.seed, STREAM_ZETA, 2 * step, n, p->id, t->d, t->zeta_all);
    ops->shift_propulsion(ops, t->d, n, amount, t->zeta_all, p->g, t->g_moved);
    *in = frame_windows(f, count, t->centre, t->neighbour);
    in->g = t->g_moved;
    if (t->parameters.noise_on == NOISE_ON_G) {
        ops->gather_neighbours(ops, count, f->k, t->centre, f->nearest, t->neighbour);
        goto out;
    }
    ops->normal(ops, t->parameters.seed, STREAM_ZETA, 2 * step + 1, n, p->id, t->d, t->zeta_all);
    ops->shift_positions(ops, box, n, amount, t->zeta_all, p->q, t->q_moved);
    in->q = t->q_moved;
    struct particles moved = *p;
    for (int a = 0; a < t->d; a++)
        moved.q[a] = t->q_moved[a];
    double density = (double)f->n, cell = f->k / 6.0;
    for (int a = 0; a < t->d; a++)
        density /= box->side[a];
    TRY(cells_create(&moved, box, pow(fmax(1, cell) / density, 1.0 / t->d), &grid));
    ops->nearest(ops, box, grid, count, t->centre, n, t->q_moved, f->k, t->neighbour, t->farthest);
out:
    cells_destroy(ops, &grid);
    return status;
}

enum status trainer_gradient(struct trainer *t, const struct frame *f, uint64_t step, size_t batch,
                             const uint32_t *ids, double *loss) {
    enum status status = STATUS_OK;
    const struct ops *ops = t->ops;
    size_t size = score_tensors(t->model)->size, count = 0;
    double sum = 0;
    status = reserve_windows(t, batch);
    if (status == STATUS_OK) {
        count = choose_centres(t, f, step, batch, ids);
        ops->zero(ops, t->gradient, size * sizeof(real));
    }
    for (int sign = 1; status == STATUS_OK && sign >= -1; sign -= 2) {
        struct score_input in;
        timer_begin(&t->timings, t->timer_windows);
        status = move_frame(t, f, step, sign, count, &in);
        timer_end(&t->timings, t->timer_windows);
        if (status != STATUS_OK)
            break;
        timer_begin(&t->timings, t->timer_network);
        status = score_denoising(t->model, t->optimizer->theta, &in, t->zeta, sign, t->parameters.sigma,
                                 1.0 / (double)batch, t->term, t->gradient, NULL);
        timer_end(&t->timings, t->timer_network);
    }
    timer_begin(&t->timings, t->timer_messages);
    TRY(comm_agree(t->comm, status));
    ops->to_host(ops, t->term_host, t->term, count * sizeof *t->term);
    for (size_t m = 0; m < count; m++)
        sum += t->term_host[m];
    if (comm_size(t->comm) > 1) {
        comm_sum(t->comm, &sum, 1);
        ops->to_host(ops, t->gradient_host, t->gradient, size * sizeof(real));
        comm_sum_real(t->comm, t->gradient_host, size);
        ops->to_device(ops, t->gradient, t->gradient_host, size * sizeof(real));
    }
    *loss = sum / (double)batch;
out:
    timer_end(&t->timings, t->timer_messages);
    return status;
}

enum status trainer_step(struct trainer *t, const struct dataset *dataset, double *loss) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &t->parameters;
    uint64_t step = (uint64_t)t->optimizer->step;
    struct frame *frame = dataset_choose(dataset, p->seed, step);
    size_t batch = (size_t)p->batch < frame->n ? (size_t)p->batch : frame->n;
    uint32_t *ids = malloc(batch * sizeof *ids);
    if (!ids)
        status = FAIL(STATUS_FAILURE, "out of memory for a batch of %zu", batch);
    TRY(comm_agree(t->comm, status));
    for (size_t m = 0; m < batch; m++)
        ids[m] = rng_permute(p->seed, STREAM_BATCH, step, (uint32_t)m, frame->n);
    TRY(trainer_gradient(t, frame, step, batch, ids, loss));
    timer_begin(&t->timings, t->timer_optimizer);
    status = optimizer_step(t->optimizer, t->gradient);
    if (status == STATUS_OK && !isfinite(*loss))
        status =
            FAIL(STATUS_NUMBERS, "the loss is not finite at training step %llu: use a smaller training.rate",
                 (unsigned long long)step + 1);
    timer_end(&t->timings, t->timer_optimizer);
out:
    free(ids);
    return status;
}

/* ---- held-out frames ---- */

/* Sums of 2 g.w - 2 div w - |w|^2 over every stride-th particle (by id) that this rank owns; w = g + s. */
static enum status resolved_of_frame(struct trainer *t, const struct frame *f, uint32_t stride, double *sum,
                                     double *counted) {
    enum status status = STATUS_OK;
    const struct ops *ops = t->ops;
    size_t count = 0, d = (size_t)t->d, owned = f->particles->owned;
    real *divergence = NULL, *host = NULL;
    double *g = malloc((owned + 1) * sizeof *g);
    uint32_t *centre = malloc((owned + 1) * sizeof *centre);
    if (!g || !centre)
        status = FAIL(STATUS_FAILURE, "out of memory for a frame of %zu particles", owned);
    TRY(status);
    for (size_t i = 0; i < owned; i++)
        if (f->sorted_id[i] % stride == 0)
            centre[count++] = f->sorted_local[i];
    TRY(reserve_windows(t, count));
    TRY(ops->allocate(ops, count * sizeof *divergence, (void **)&divergence));
    host = malloc((count * (d + 1) + 1) * sizeof *host);
    if (!host)
        status = FAIL(STATUS_FAILURE, "out of memory for a frame of %zu particles", owned);
    TRY(status);
    ops->to_device(ops, t->centre, centre, count * sizeof *centre);
    ops->gather_neighbours(ops, count, f->k, t->centre, f->nearest, t->neighbour);
    struct score_input in = frame_windows(f, count, t->centre, t->neighbour);
    TRY(score_divergence(t->model, t->optimizer->average, &in, t->s, divergence));
    ops->to_host(ops, host, t->s, count * d * sizeof(real));
    ops->to_host(ops, host + count * d, divergence, count * sizeof(real));
    for (size_t m = 0; m < count; m++)
        *sum -= 2 * ((double)d + (double)host[count * d + m]);
    for (size_t a = 0; a < d; a++) {
        ops->to_host(ops, g, f->particles->g[a], owned * sizeof *g);
        for (size_t m = 0; m < count; m++) {
            double own = g[centre[m]], w = own + (double)host[m * d + a];
            *sum += 2 * own * w - w * w;
        }
    }
    *counted += (double)count;
out:
    ops->release(ops, divergence);
    free(host);
    free(g);
    free(centre);
    return status;
}

enum status trainer_test(struct trainer *t, const struct dataset *held_out, int particles,
                         double *resolved_fraction, double *error) {
    enum status status = STATUS_OK;
    int frames = 0, m = 0;
    for (int p = 0; p < held_out->parts; p++)
        frames += held_out->part[p].frames;
    double *resolved = calloc((size_t)frames + 1, sizeof *resolved),
           *exact = calloc((size_t)frames + 1, sizeof *exact);
    double resolved_sum = 0, exact_sum = 0;
    if (!resolved || !exact)
        status = FAIL(STATUS_FAILURE, "out of memory for %d held-out frames", frames);
    TRY(comm_agree(t->comm, status));
    for (int p = 0; p < held_out->parts; p++)
        for (int i = 0; i < held_out->part[p].frames; i++, m++) {
            const struct frame *f = held_out->part[p].frame[i];
            uint32_t stride =
                particles > 0 ? (uint32_t)((f->n + (size_t)particles - 1) / (size_t)particles) : 1;
            double sums[2] = {0};
            TRY(comm_agree(t->comm, resolved_of_frame(t, f, stride, &sums[0], &sums[1])));
            comm_sum(t->comm, sums, 2);
            resolved[m] = sums[0] / sums[1];
            exact[m] = f->exact / (double)f->n;
            resolved_sum += resolved[m];
            exact_sum += exact[m];
        }
    *resolved_fraction = resolved_sum / exact_sum;
    *error = ratio_error(frames, resolved, exact);
out:
    free(resolved);
    free(exact);
    return status;
}
