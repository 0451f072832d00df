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
#include "learn/trainer_private.h"

static const double LARGEST_NORMAL = 6.67; /* of ops/normal_formula.h */

double training_margin(const struct training_parameters *p, int d) {
    const double sigma = config_smoothing(p);
    if (p->noise_on == NOISE_ON_G)
        return 0;
    /* Two particles approach, or part, by 2 moves; the neighbours' distance may grow by as much. */
    return 4 * LARGEST_NORMAL * sqrt(d) * sigma;
}

double training_weight(const struct training_parameters *p, double gamma, int d, double div_force) {
    return p->weighting == WEIGHTING_NONE ? 1 : 1 / (p->weighting_offset - div_force / (d * gamma));
}

bool training_by_configuration(const struct trainer_setup *s) {
    return s->network.window == WINDOW_ALL ||
           (s->training.loss == LOSS_SCORE_MATCHING && s->training.l_fpe > 0);
}

/* Room for the forces of as many local particles. */
static enum status reserve_forces(struct trainer *t, size_t particles) {
    const size_t d = (size_t)t->d;
    if (particles <= t->force_capacity)
        return STATUS_OK;
    t->force_capacity = 0;
    free(t->force_all);
    t->force_all = malloc(2 * particles * (d + 1) * sizeof *t->force_all);
    if (!t->force_all)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", particles);
    t->divergence_all = t->force_all + particles * d;
    t->restoring_all = t->divergence_all + particles;
    t->force_capacity = particles;
    return STATUS_OK;
}

static enum status create(struct trainer *t, const real *weights) {
    enum status status = STATUS_OK;
    const struct trainer_setup *s = &t->setup;
    const struct training_parameters *p = &s->training;
    real *initial = NULL;
    TRY(scores_create(t->ops, &s->network, t->d, s->with_x, s->chunk, &t->scores));
    size_t size = t->scores->tensors.size;
    TRY(t->ops->allocate(t->ops, size * sizeof(real), (void **)&t->gradient));
    initial = malloc(size * sizeof(real));
    if (!initial) {
        status = FAIL(STATUS_FAILURE, "out of memory for a network of %zu weights", size);
        goto out;
    }
    if (!weights)
        scores_initialise(t->scores, p->seed, initial);
    const struct schedule schedule = {
        .peak = p->rate, .warm_up = p->warm_up, .total = p->steps, .end = p->final_rate};
    const struct optimizer_rule rule = {.rectify = p->optimizer == OPTIMIZER_RADAM,
                                        .second_decay = p->second_decay,
                                        .clip = p->clip,
                                        .average = p->average};
    TRY(optimizer_create(t->ops, size, &schedule, &rule, weights ? weights : initial, &t->optimizer));
    TRY(batch_reserve(t, 1)); /* it grows with the batches */
out:
    free(initial);
    return status;
}

enum status trainer_create(const struct ops *ops, struct comm *comm, const struct trainer_setup *setup,
                           const real *weights, struct trainer **out) {
    enum status status = STATUS_OK;
    struct trainer *t = calloc(1, sizeof *t);
    *out = t;
    if (t) {
        t->ops = ops;
        t->comm = comm;
        t->setup = *setup;
        t->d = setup->d;
        t->timer_windows = timings_add(&t->timings, "windows and noise");
        t->timer_network = timings_add(&t->timings, "network and gradient");
        t->timer_messages = timings_add(&t->timings, "messages");
        t->timer_optimizer = timings_add(&t->timings, "optimizer");
        status = create(t, weights);
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
    batch_release(t);
    t->ops->release(t->ops, t->gradient);
    moved_release(t->ops, &t->moved);
    if (t->scores)
        probe_release(t->scores, &t->probes);
    free(t->force_all);
    optimizer_destroy(&t->optimizer);
    scores_destroy(&t->scores);
    free(t);
    *trainer = NULL;
}

/* Weights with their averages, moments, gradient and copies on the host; the batch, in tests all that are owned; a moved
 * frame; forces. */
double trainer_bytes(const struct trainer_setup *s, const struct scores *scores, double particles,
                     double owned, double local) {
    const bool tests = s->training.held_out > 0;
    const double batch = fmin(s->training.batch, particles);
    const double windows = fmax(batch, tests ? owned : 0) / scores->decoded;
    return 10.0 * (double)scores->tensors.size * sizeof(real) + windows * batch_bytes(scores) +
           moved_bytes(s->d, local) + 2 * owned * (s->d + 1) * sizeof(double);
}

/* ---- a step ---- */

/* The parts of all ranks together. */
static void sum_over_ranks(struct trainer *t, double *loss) {
    const size_t size = t->scores->tensors.size;
    if (comm_size(t->comm) == 1)
        return;
    timer_begin(&t->timings, t->timer_messages);
    comm_sum(t->comm, loss, 1);
    comm_sum_device(t->comm, t->gradient, size);
    timer_end(&t->timings, t->timer_messages);
}

/* Adds a frame's share to this rank's part of gradient and loss. Collective. */
static enum status add_frame(struct trainer *t, const struct contribution *c, const uint32_t *ids,
                             double *loss) {
    enum status status = STATUS_OK;
    timer_begin(&t->timings, t->timer_windows);
    status = reserve_forces(t, c->frame->particles->owned);
    if (status == STATUS_OK)
        status = batch_choose(t, c->frame, c->total, ids);
    timer_end(&t->timings, t->timer_windows);
    TRY(comm_agree(t->comm, status));
    if (t->setup.training.loss == LOSS_DENOISING)
        status = denoising_gradient(t, c, loss);
    else
        status = matching_gradient(t, c, loss);
    comm_fail(t->comm, t->ops->synchronise(t->ops)); /* of a device: others wait for its messages */
    timer_begin(&t->timings, t->timer_messages);
    status = comm_agree(t->comm, status);
    timer_end(&t->timings, t->timer_messages);
out:
    return status;
}

static void zero_gradient(struct trainer *t) {
    t->ops->zero(t->ops, t->gradient, t->scores->tensors.size * sizeof(real));
}

enum status trainer_own_gradient(struct trainer *t, const struct contribution *c, const uint32_t *ids,
                                 double *loss) {
    *loss = 0;
    zero_gradient(t);
    return add_frame(t, c, ids, loss);
}

enum status trainer_gradient(struct trainer *t, const struct frame *f, uint64_t number, size_t batch,
                             const uint32_t *ids, double *loss) {
    const struct contribution all = {.frame = f, .number = number, .total = batch, .share = 1};
    const enum status status = trainer_own_gradient(t, &all, ids, loss);
    if (status == STATUS_OK)
        sum_over_ranks(t, loss);
    return status;
}

size_t trainer_draw(const struct trainer *t, const struct frame *f, uint64_t number, uint32_t *ids) {
    const struct training_parameters *p = &t->setup.training;
    const size_t n = t->setup.particles, wanted = (size_t)p->batch < f->n ? (size_t)p->batch : f->n;
    if (!training_by_configuration(&t->setup)) {
        for (size_t m = 0; m < wanted; m++)
            ids[m] = rng_permute(p->seed, STREAM_BATCH, number, (uint32_t)m, f->n);
        return wanted;
    }
    const size_t configurations = wanted / n > 0 ? wanted / n : 1;
    for (size_t c = 0; c < configurations; c++) {
        const size_t copy = rng_permute(p->seed, STREAM_BATCH, number, (uint32_t)c, f->n / n);
        for (size_t m = 0; m < n; m++)
            ids[c * n + m] = (uint32_t)(copy * n + m);
    }
    return configurations * n;
}

size_t trainer_largest_batch(const struct trainer *t, const struct dataset *dataset) {
    size_t most = 0;
    for (int p = 0; p < dataset->parts; p++)
        if (dataset->part[p].frames > 0 && dataset->part[p].frame[0]->n > most)
            most = dataset->part[p].frame[0]->n;
    return most + t->setup.particles;
}

enum status trainer_step(struct trainer *t, const struct dataset *dataset, double *loss) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &t->setup.training;
    const uint64_t step = (uint64_t)t->optimizer->step, frames = (uint64_t)p->frames_per_step;
    const size_t most = trainer_largest_batch(t, dataset);
    uint32_t *ids = malloc(most * sizeof *ids);
    if (!ids)
        status = FAIL(STATUS_FAILURE, "out of memory for a batch of %zu", most);
    TRY(comm_agree(t->comm, status));
    *loss = 0;
    t->drawn = 0;
    t->failed_step = 0;
    zero_gradient(t);
    for (uint64_t m = 0; m < frames; m++) {
        struct contribution c = {.number = step * frames + m, .share = 1 / (double)frames};
        c.frame = dataset_choose(dataset, p->seed, c.number);
        c.total = trainer_draw(t, c.frame, c.number, ids);
        TRY(add_frame(t, &c, ids, loss));
        t->drawn += c.total;
    }
    sum_over_ranks(t, loss);
    timer_begin(&t->timings, t->timer_optimizer);
    status = isfinite(*loss)
                 ? optimizer_step(t->optimizer, t->gradient)
                 : FAIL(STATUS_NUMBERS,
                        "the loss is not finite at training step %llu: use a smaller training.rate",
                        (unsigned long long)step + 1);
    t->failed_step = status == STATUS_OK ? 0 : (int64_t)step + 1;
    timer_end(&t->timings, t->timer_optimizer);
out:
    free(ids);
    return status;
}

/* ---- held-out frames ---- */

/* Every stride-th particle (by id) of a frame, or, where training goes by configuration, every stride-th copy. */
static enum status choose_tested(struct trainer *t, const struct frame *f, uint32_t stride) {
    const size_t n = t->setup.particles, owned = f->particles->owned;
    const bool copies = training_by_configuration(&t->setup), one_each = t->scores->decoded > 1;
    struct batch *b = &t->batch;
    enum status status = batch_reserve(t, one_each ? owned / n + 1 : owned);
    if (status != STATUS_OK)
        return status;
    b->count = 0;
    for (size_t i = 0; i < owned; i++) {
        const uint32_t id = f->sorted_id[i];
        if (copies ? (!one_each || id % n == 0) && id / n % stride == 0 : id % stride == 0)
            b->centre_host[b->count++] = f->sorted_local[i];
    }
    t->ops->to_device(t->ops, b->centre, b->centre_host, b->count * sizeof *b->centre);
    t->ops->gather_neighbours(t->ops, b->count, f->k, b->centre, f->nearest, b->neighbour);
    return batch_list_rows(t, f);
}

/* Minus |v|^2 - 2 v . dz/dt: what stands for the resolved rate where the dynamics are unknown. */
static double velocity_gain(const struct trainer *t, const struct frame *f, size_t r,
                            const struct flow_rows *flow) {
    const size_t d = (size_t)t->d;
    const double *rate = f->rate + t->batch.row_host[r] * 2 * d;
    double sum = 0;
    for (size_t a = 0; a < d; a++) {
        const double x = flow->v_x[r * d + a], g = flow->v_g[r * d + a];
        sum += x * (2 * rate[a] - x) + g * (2 * rate[d + a] - g);
    }
    return sum;
}

/* div v + v . s of row r. */
static double row_residual(size_t d, size_t r, const struct flow_rows *flow) {
    double sum = flow->div_v_x[r] + flow->div_v_g[r];
    for (size_t m = r * d; m < (r + 1) * d; m++)
        sum += flow->v_x[m] * flow->s_x[m] + flow->v_g[m] * flow->s_g[m];
    return sum;
}

/* What a frame gives: sums over the chosen rows of all ranks, and of every configuration its residual. */
struct tested {
    double resolved, rows;
    double *residual; /* (copies) */
};

/* This rank's part of it. */
static enum status test_frame(struct trainer *t, const struct frame *f, uint64_t number, uint32_t stride,
                              struct tested *out) {
    enum status status = STATUS_OK;
    const size_t d = (size_t)t->d;
    const bool known = t->setup.force.compute != NULL;
    double *values = NULL;
    TRY(reserve_forces(t, f->particles->owned));
    TRY(choose_tested(t, f, stride));
    const size_t rows = t->batch.count * (size_t)t->scores->decoded;
    TRY(batch_physics(t, f, f->particles, known));
    values = calloc(rows * flow_numbers(d) + 1, sizeof *values);
    if (!values) {
        status = FAIL(STATUS_FAILURE, "out of memory for a test of %zu particles", rows);
        goto out;
    }
    const struct flow_rows flow = flow_rows_of(values, rows, d);
    struct score_rows physics = batch_rows(t);
    physics.force = known ? physics.force : NULL;
    struct score_input in = frame_windows(f, t->batch.count, t->batch.centre, t->batch.neighbour);
    in.probes.seed = t->setup.training.seed;
    in.probes.step = number;
    TRY(scores_flow(t->scores, t->optimizer->average, &t->setup.law, &in, &physics, &flow));
    for (size_t r = 0; r < rows; r++) {
        const double gain =
            known ? flow_resolved(&t->setup.law, t->d, r, &physics, &flow) : velocity_gain(t, f, r, &flow);
        if (!isfinite(gain))
            status = FAIL(
                STATUS_NUMBERS,
                "test after training step %lld: what the network says of particle %u of rank %d is not "
                "finite, in held-out frame %zu of %s: use a smaller training.rate, or look at that frame",
                (long long)t->optimizer->step, t->batch.id_host[r], comm_rank(t->comm), f->number,
                frame_path(f));
        out->resolved += gain;
        out->residual[t->batch.id_host[r] / t->setup.particles] += row_residual(d, r, &flow);
    }
    out->rows += (double)rows;
out:
    free(values);
    return status;
}

/* Sums of all ranks; returns the mean square of the residuals, NaN where they are not of whole configurations. */
static double sum_tested(struct trainer *t, const struct frame *f, uint32_t stride, struct tested *of) {
    const size_t copies = f->n / t->setup.particles;
    double sums[2] = {of->resolved, of->rows}, square = 0;
    comm_sum(t->comm, sums, 2);
    comm_sum(t->comm, of->residual, copies);
    of->resolved = sums[0];
    of->rows = sums[1];
    for (size_t c = 0; c < copies; c += stride)
        square += of->residual[c] * of->residual[c];
    const double tested = (double)((copies + stride - 1) / stride);
    const double size = 2 * (double)(t->setup.particles * (size_t)t->d);
    return training_by_configuration(&t->setup) ? square / tested / size : NAN;
}

/* How far apart, by id, the particles (or copies) are that are tested of a frame. */
static uint32_t stride_of(const struct trainer *t, const struct frame *f, int particles) {
    size_t all = f->n, wanted = (size_t)particles;
    if (training_by_configuration(&t->setup)) {
        all /= t->setup.particles;
        wanted = wanted / t->setup.particles > 0 ? wanted / t->setup.particles : 1;
    }
    return particles > 0 ? (uint32_t)((all + wanted - 1) / wanted) : 1;
}

/* What frames give: per particle, so that every frame counts alike. */
struct frame_results {
    double *resolved, *exact, *residual; /* (frames) */
};

static enum status test_into(struct trainer *t, const struct frame *f, int number, int particles,
                             const struct frame_results *into) {
    enum status status = STATUS_OK;
    const uint32_t stride = stride_of(t, f, particles);
    struct tested of = {.residual = calloc(f->n / t->setup.particles + 1, sizeof(double))};
    status = of.residual ? test_frame(t, f, (uint64_t)number, stride, &of)
                         : FAIL(STATUS_FAILURE, "out of memory for %zu particles", f->n);
    TRY(comm_agree(t->comm, status));
    into->residual[number] = sum_tested(t, f, stride, &of);
    into->resolved[number] = of.resolved / of.rows;
    into->exact[number] = t->setup.force.compute ? f->exact / (double)f->n : 1;
out:
    free(of.residual);
    return status;
}

/* Of `count` frames from `first` on. */
static struct trainer_result summary(const struct frame_results *of, int first, int count) {
    struct trainer_result sum = {0};
    double resolved = 0, exact = 0;
    for (int m = first; m < first + count; m++) {
        resolved += of->resolved[m];
        exact += of->exact[m];
        sum.residual += of->residual[m] / count;
    }
    sum.resolved_fraction = resolved / exact;
    sum.error = ratio_error(count, of->resolved + first, of->exact + first);
    return sum;
}

enum status trainer_test(struct trainer *t, const struct dataset *held_out, int particles,
                         struct trainer_result *all, struct trainer_result *each) {
    enum status status = STATUS_OK;
    int frames = 0;
    for (int p = 0; p < held_out->parts; p++)
        frames += held_out->part[p].frames;
    double *values = calloc(3 * (size_t)frames + 1, sizeof *values);
    if (!values)
        status = FAIL(STATUS_FAILURE, "out of memory for %d held-out frames", frames);
    TRY(comm_agree(t->comm, status));
    const struct frame_results results = {values, values + frames, values + 2 * frames};
    for (int p = 0, m = 0; p < held_out->parts; p++) {
        const int first = m;
        for (int i = 0; i < held_out->part[p].frames; i++, m++)
            TRY(test_into(t, held_out->part[p].frame[i], m, particles, &results));
        each[p] = summary(&results, first, m - first);
    }
    *all = summary(&results, 0, frames);
out:
    free(values);
    return status;
}
