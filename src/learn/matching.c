/* Losses of scores and their divergences (score matching, stationarity, theory.md section 4), and of velocities. All
 * have one shape: the networks give values and, along some directions, tangents of the rows of a batch; the loss is a
 * function of these numbers, worked out here in float64; its derivatives go back through the networks.
 *
 * Stationarity squares a sum over a whole configuration, so all values are known before the first derivative: where a
 * batch does not fit into one chunk, the networks run once more on the way back. */
#include "learn/trainer_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS = 2 }; /* of Hutchinson's estimate, where it is squared */

struct matching {
    struct trainer *t;
    const struct contribution *c;
    struct probe_plan plan;
    struct score_input in;
    size_t rows;
    int groups, repeats; /* repeats of the divergence that are kept apart */
    bool together;       /* one chunk and one group: the networks still know it on the way back */
    double *x, *g;       /* (rows, d) values */
    double *div_x[REPEATS], *div_g[REPEATS];   /* (rows) */
    double *dx, *dg;                           /* (rows, d) derivatives of the loss */
    double *ddiv_x[REPEATS], *ddiv_g[REPEATS]; /* (rows) */
    double *memory;
    real *device, *host; /* values or derivatives of a chunk */
};

static enum status matching_create(struct matching *m) {
    const size_t d = (size_t)m->t->d, rows = m->rows, sets = 2 * PROBE_SETS;
    m->memory = calloc(rows * (4 * d + 4 * REPEATS) + 1, sizeof *m->memory);
    m->host = malloc((rows * (2 * d + sets) + 1) * sizeof *m->host);
    if (!m->memory || !m->host)
        return FAIL(STATUS_FAILURE, "out of memory for a batch of %zu", rows);
    double **const vectors[] = {&m->x, &m->g, &m->dx, &m->dg};
    double *at = m->memory;
    for (int v = 0; v < 4; v++, at += rows * d)
        *vectors[v] = at;
    for (int r = 0; r < REPEATS; r++, at += 4 * rows) {
        m->div_x[r] = at;
        m->div_g[r] = at + rows;
        m->ddiv_x[r] = at + 2 * rows;
        m->ddiv_g[r] = at + 3 * rows;
    }
    return m->t->ops->allocate(m->t->ops, (rows * (2 * d + sets) + 1) * sizeof(real), (void **)&m->device);
}

static void matching_release(struct matching *m) {
    m->t->ops->release(m->t->ops, m->device);
    free(m->memory);
    free(m->host);
}

/* The windows first ... of a chunk. */
static struct score_input chunk_of(const struct matching *m, int part, size_t first, size_t *count) {
    const size_t chunk = score_chunk(m->t->scores->part[part].model), decoded = (size_t)m->t->scores->decoded;
    struct score_input in = m->in;
    *count = m->in.count - first < chunk ? m->in.count - first : chunk;
    in.count = *count;
    in.centre += first;
    in.neighbour += first * (size_t)m->t->scores->neighbours;
    in.shift = m->t->batch.shift + first * decoded * (size_t)m->t->scores->part[part].outputs;
    return in;
}

/* Runs a part on a chunk along the directions of a group: values on the device, products in the probes. */
static enum status run(struct matching *m, int part, int group, size_t first, size_t *count,
                       struct score_probes *probes) {
    struct trainer *t = m->t;
    const struct score_part *p = &t->scores->part[part];
    const struct score_input in = chunk_of(m, part, first, count);
    probe_fill(t->scores, part, &m->plan, group, *count,
               t->batch.id_host + first * (size_t)t->scores->decoded, &t->probes, probes);
    return score_probe(p->model, t->optimizer->theta + p->offset, &in, probes, m->device, t->probes.product);
}

/* Which of the kept divergences a group adds to. */
static int repeat_of(const struct matching *m, int group) {
    return m->repeats > 1 ? group : 0;
}

static void take_values(struct matching *m, int part, size_t row, size_t rows) {
    const struct score_part *p = &m->t->scores->part[part];
    const size_t d = (size_t)m->t->d, outputs = (size_t)p->outputs;
    m->t->ops->to_host(m->t->ops, m->host, m->device, rows * outputs * sizeof(real));
    for (size_t r = 0; r < rows; r++)
        for (size_t a = 0; a < d; a++) {
            if (p->x_at >= 0)
                m->x[(row + r) * d + a] = (double)m->host[r * outputs + (size_t)p->x_at + a];
            if (p->g_at >= 0)
                m->g[(row + r) * d + a] = (double)m->host[r * outputs + (size_t)p->g_at + a];
        }
}

static void take_products(struct matching *m, int group, const struct score_probes *probes, size_t row,
                          size_t rows) {
    const int sets = probes->in_x + probes->in_g, repeat = repeat_of(m, group);
    m->t->ops->to_host(m->t->ops, m->host, m->t->probes.product, (size_t)sets * rows * sizeof(real));
    for (int s = 0; s < sets; s++) {
        double *to = (s < probes->in_x ? m->div_x : m->div_g)[repeat] + row;
        for (size_t r = 0; r < rows; r++)
            to[r] += (double)m->host[(size_t)s * rows + r];
    }
}

static enum status forwards(struct matching *m, int part) {
    enum status status = STATUS_OK;
    const size_t decoded = (size_t)m->t->scores->decoded;
    size_t count = 0;
    for (size_t first = 0; first < m->in.count; first += count)
        for (int group = 0; group < m->groups; group++) {
            struct score_probes probes;
            TRY(run(m, part, group, first, &count, &probes));
            if (group == 0)
                take_values(m, part, first * decoded, count * decoded);
            take_products(m, group, &probes, first * decoded, count * decoded);
        }
out:
    return status;
}

/* Derivatives of a chunk and group onto the device: those of values, then those of products. Values count once. */
static void give_derivatives(struct matching *m, int part, int group, const struct score_probes *probes,
                             size_t row, size_t rows) {
    const struct score_part *p = &m->t->scores->part[part];
    const size_t d = (size_t)m->t->d, outputs = (size_t)p->outputs;
    const int sets = probes->in_x + probes->in_g, repeat = repeat_of(m, group);
    memset(m->host, 0, rows * outputs * sizeof *m->host);
    for (size_t r = 0; group == 0 && r < rows; r++)
        for (size_t a = 0; a < d; a++) {
            if (p->x_at >= 0)
                m->host[r * outputs + (size_t)p->x_at + a] = (real)m->dx[(row + r) * d + a];
            if (p->g_at >= 0)
                m->host[r * outputs + (size_t)p->g_at + a] = (real)m->dg[(row + r) * d + a];
        }
    for (int s = 0; s < sets; s++) {
        const double *from = (s < probes->in_x ? m->ddiv_x : m->ddiv_g)[repeat] + row;
        for (size_t r = 0; r < rows; r++)
            m->host[rows * outputs + (size_t)s * rows + r] = (real)from[r];
    }
    m->t->ops->to_device(m->t->ops, m->device, m->host, rows * (outputs + (size_t)sets) * sizeof(real));
}

static enum status backwards(struct matching *m, int part) {
    enum status status = STATUS_OK;
    struct trainer *t = m->t;
    const struct score_part *p = &t->scores->part[part];
    const size_t decoded = (size_t)t->scores->decoded;
    size_t count = 0;
    for (size_t first = 0; first < m->in.count; first += count)
        for (int group = 0; group < m->groups; group++) {
            struct score_probes probes;
            struct score_input in = chunk_of(m, part, first, &count);
            if (m->together)
                probe_fill(t->scores, part, &m->plan, group, count, t->batch.id_host, &t->probes, &probes);
            else
                TRY(run(m, part, group, first, &count, &probes));
            const size_t rows = count * decoded;
            give_derivatives(m, part, group, &probes, first * decoded, rows);
            TRY(score_pull(p->model, t->optimizer->theta + p->offset, &in, &probes, m->device,
                           m->device + rows * (size_t)p->outputs, t->gradient + p->offset));
        }
out:
    return status;
}

/* ---- the losses, in float64 ---- */

/* |v|^2 + 2 div v of the values along x, or along g, of a row, times weight: value and derivatives. div: what the shift
 * adds to the divergence. */
static double match_values(const struct matching *m, size_t r, double weight, double div, const double *value,
                           double *dvalue, double *const product[], double *const dproduct[]) {
    const size_t d = (size_t)m->t->d;
    double sum = 2 * div;
    for (int k = 0; k < m->repeats; k++) {
        sum += 2 * product[k][r] / m->repeats;
        dproduct[k][r] += 2 * weight / m->repeats;
    }
    for (size_t a = r * d; a < (r + 1) * d; a++) {
        sum += value[a] * value[a];
        dvalue[a] += 2 * weight * value[a];
    }
    return weight * sum;
}

/* |s|^2 + 2 div s of a row, of what a part gives. */
static double match_row(struct matching *m, const struct score_part *p, size_t r, double weight) {
    const struct flow_law *law = &m->t->setup.law;
    const bool shifted = law->shift != SHIFT_NONE;
    double sum = 0;
    if (p->x_at >= 0)
        sum += match_values(m, r, weight, shifted ? m->t->batch.divergence[r] / law->eps : 0, m->x, m->dx,
                            m->div_x, m->ddiv_x);
    if (p->g_at >= 0)
        sum += match_values(m, r, weight, shifted ? -(double)m->t->d : 0, m->g, m->dg, m->div_g, m->ddiv_g);
    return sum;
}

/* div v + v . s of a row, for both estimates of the divergence. */
static void residual_row(const struct matching *m, size_t r, double out[REPEATS]) {
    const size_t d = (size_t)m->t->d;
    const struct flow_law *law = &m->t->setup.law;
    const struct batch *b = &m->t->batch;
    const struct score_rows rows = batch_rows(m->t);
    const bool shifted = law->shift != SHIFT_NONE;
    double sum = 0;
    for (size_t a = r * d; a < (r + 1) * d; a++) {
        const double drift = law->v0 * b->g[a] + b->force[a];
        sum += (drift - law->eps * m->x[a]) * m->x[a] -
               law->gamma * (rows_restoring(&rows, a) + m->g[a]) * m->g[a];
    }
    for (int k = 0; k < m->repeats; k++) {
        const double div_x = m->div_x[k][r] + (shifted ? b->divergence[r] / law->eps : 0);
        const double div_g = m->div_g[k][r] - (shifted ? (double)d : 0);
        out[k] = sum + b->divergence[r] - law->eps * div_x -
                 law->gamma * (rows_div_restoring(&rows, m->t->d, r) + div_g);
    }
}

/* Adds the derivatives of the residuals, times those of the loss with respect to them. */
static void residual_backward(struct matching *m, size_t r, const double dresidual[REPEATS]) {
    const size_t d = (size_t)m->t->d;
    const struct flow_law *law = &m->t->setup.law;
    const struct batch *b = &m->t->batch;
    const struct score_rows rows = batch_rows(m->t);
    double all = 0;
    for (int k = 0; k < m->repeats; k++) {
        m->ddiv_x[k][r] -= law->eps * dresidual[k];
        m->ddiv_g[k][r] -= law->gamma * dresidual[k];
        all += dresidual[k];
    }
    for (size_t a = r * d; a < (r + 1) * d; a++) {
        m->dx[a] += all * (law->v0 * b->g[a] + b->force[a] - 2 * law->eps * m->x[a]);
        m->dg[a] -= all * law->gamma * (rows_restoring(&rows, a) + 2 * m->g[a]);
    }
}

/* (sum_i div v_i + v_i . s_i)^2, mean over configurations, over 2 N d. With two estimates, their product: the square
 * of one would be biased by its variance. Collective: a configuration may be on several ranks. */
static enum status stationarity(struct matching *m, double weight, double *loss) {
    struct trainer *t = m->t;
    const size_t decoded = (size_t)t->scores->decoded, n = t->batch.configurations;
    double *residual = calloc(REPEATS * n + 1, sizeof *residual), row[REPEATS];
    enum status status = residual ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu residuals", n);
    TRY(comm_agree(t->comm, status));
    for (size_t r = 0; r < m->rows; r++) {
        residual_row(m, r, row);
        for (int k = 0; k < m->repeats; k++)
            residual[REPEATS * t->batch.configuration[r / decoded] + (size_t)k] += row[k];
    }
    comm_sum(t->comm, residual, REPEATS * n);
    for (size_t c = 0; c < n; c++)
        *loss += weight * residual[REPEATS * c] * residual[REPEATS * c + (size_t)m->repeats - 1] /
                 comm_size(t->comm);
    for (size_t r = 0; r < m->rows; r++) {
        const double *of = residual + REPEATS * t->batch.configuration[r / decoded];
        row[0] = weight * (m->repeats > 1 ? of[1] : 2 * of[0]);
        row[1] = weight * of[0];
        residual_backward(m, r, row);
    }
out:
    free(residual);
    return status;
}

/* |v|^2 - 2 v . dz/dt at the midpoint of two frames: its mean is least for the velocity of the probability flow
 * (Stratonovich). */
static double velocity_row(struct matching *m, const struct score_part *p, size_t r, double weight) {
    const size_t d = (size_t)m->t->d;
    const double *rate = m->c->frame->rate + (size_t)m->t->batch.row_host[r] * 2 * d;
    double sum = 0;
    for (size_t a = 0; a < d; a++) {
        const size_t at = r * d + a;
        if (p->x_at >= 0) {
            sum += m->x[at] * (m->x[at] - 2 * rate[a]);
            m->dx[at] = 2 * weight * (m->x[at] - rate[a]);
        }
        if (p->g_at >= 0) {
            sum += m->g[at] * (m->g[at] - 2 * rate[d + a]);
            m->dg[at] = 2 * weight * (m->g[at] - rate[d + a]);
        }
    }
    return weight * sum;
}

/* Of a configuration, 1 / (2 N d) of the sum; of single particles, the mean. */
static double weight_of(const struct matching *m) {
    const struct trainer *t = m->t;
    const struct training_parameters *p = &t->setup.training;
    if (p->loss == LOSS_VELOCITY)
        return m->c->share / (double)m->c->total;
    if (t->batch.configurations == 0)
        return m->c->share * p->l_sm / (double)m->c->total;
    return m->c->share * p->l_sm /
           ((double)t->batch.configurations * 2 * (double)(t->setup.particles * (size_t)t->d));
}

/* The losses that are sums over rows: what a part adds on some rows. */
static double row_losses(struct matching *m, int part, size_t row, size_t rows) {
    const struct score_part *p = &m->t->scores->part[part];
    const double weight = weight_of(m);
    double sum = 0;
    for (size_t r = row; r < row + rows; r++)
        sum += m->t->setup.training.loss == LOSS_VELOCITY ? velocity_row(m, p, r, weight)
                                                          : match_row(m, p, r, weight);
    return sum;
}

/* Where the loss is a sum over rows and a chunk's directions are one group: forwards and back, chunk by chunk. */
static enum status both_ways(struct matching *m, int part, double *sum) {
    enum status status = STATUS_OK;
    struct trainer *t = m->t;
    const struct score_part *p = &t->scores->part[part];
    const size_t decoded = (size_t)t->scores->decoded;
    size_t count = 0;
    for (size_t first = 0; first < m->in.count; first += count) {
        struct score_probes probes;
        const struct score_input in = chunk_of(m, part, first, &count);
        const size_t row = first * decoded, rows = count * decoded;
        TRY(run(m, part, 0, first, &count, &probes));
        take_values(m, part, row, rows);
        take_products(m, 0, &probes, row, rows);
        *sum += row_losses(m, part, row, rows);
        give_derivatives(m, part, 0, &probes, row, rows);
        TRY(score_pull(p->model, t->optimizer->theta + p->offset, &in, &probes, m->device,
                       m->device + rows * (size_t)p->outputs, t->gradient + p->offset));
    }
out:
    return status;
}

/* ---- a step ---- */

static struct probe_plan plan_of(const struct trainer *t, uint64_t step) {
    const struct training_parameters *p = &t->setup.training;
    const bool velocity = p->loss == LOSS_VELOCITY;
    return (struct probe_plan){.kind = p->divergence,
                               .repeats = p->l_fpe > 0 ? REPEATS : 1,
                               .none = velocity,
                               .seed = p->seed,
                               .step = step};
}

static enum status prepare(struct matching *m) {
    enum status status = STATUS_OK;
    struct trainer *t = m->t;
    struct batch *b = &t->batch;
    size_t chunk = score_chunk(t->scores->part[0].model);
    m->plan = plan_of(t, m->c->number);
    m->rows = b->count * (size_t)t->scores->decoded;
    m->groups = probe_groups(t->scores, &m->plan);
    m->repeats = m->plan.kind == DIVERGENCE_HUTCHINSON ? m->plan.repeats : 1;
    m->together = b->count <= chunk && m->groups == 1;
    m->in = frame_windows(m->c->frame, b->count, b->centre, b->neighbour);
    const bool smoothed = t->setup.training.loss == LOSS_SCORE_MATCHING && t->setup.training.smoothing > 0;
    if (smoothed)
        TRY(batch_move(t, m->c->frame, m->c->number, t->setup.training.smoothing, &m->in));
    TRY(matching_create(m));
    TRY(probe_reserve(t->scores, chunk, &t->probes));
    if (t->setup.training.loss == LOSS_SCORE_MATCHING)
        TRY(batch_physics(t, m->c->frame, smoothed ? &t->moved.particles : m->c->frame->particles,
                          t->scores->with_x));
out:
    return status;
}

/* The shift of a part, before it runs. */
static enum status shift_part(struct matching *m, int part) {
    struct trainer *t = m->t;
    const struct score_rows rows = batch_rows(t);
    if (t->setup.training.loss == LOSS_SCORE_MATCHING)
        return scores_shift(t->scores, part, &t->setup.law, &rows, t->batch.shift);
    t->ops->zero(t->ops, t->batch.shift, m->rows * (size_t)t->scores->part[part].outputs * sizeof(real));
    return STATUS_OK;
}

enum { FORWARDS, BACKWARDS, BOTH_WAYS };
static enum status run_parts(struct matching *m, int way, double *sum) {
    enum status status = STATUS_OK;
    for (int part = 0; part < m->t->scores->parts; part++) {
        TRY(shift_part(m, part));
        TRY(way == FORWARDS    ? forwards(m, part)
            : way == BACKWARDS ? backwards(m, part)
                               : both_ways(m, part, sum));
    }
out:
    return status;
}

/* A loss that knows the whole configuration: all values first. Collective. */
static enum status whole_batch(struct matching *m, double *sum) {
    enum status status = STATUS_OK;
    const struct trainer *t = m->t;
    const struct training_parameters *p = &t->setup.training;
    const double size = 2 * (double)(t->setup.particles * (size_t)t->d);
    TRY(comm_agree(t->comm, run_parts(m, FORWARDS, sum)));
    for (int part = 0; part < t->scores->parts; part++)
        *sum += row_losses(m, part, 0, m->rows);
    if (p->loss == LOSS_SCORE_MATCHING && p->l_fpe > 0)
        TRY(stationarity(m, m->c->share * p->l_fpe / ((double)t->batch.configurations * size), sum));
    TRY(run_parts(m, BACKWARDS, sum));
out:
    return status;
}

enum status matching_gradient(struct trainer *t, const struct contribution *c, double *sum) {
    const struct training_parameters *p = &t->setup.training;
    struct matching m = {.t = t, .c = c};
    timer_begin(&t->timings, t->timer_network);
    enum status status = comm_agree(t->comm, prepare(&m));
    const bool by_rows = p->loss == LOSS_VELOCITY || p->l_fpe == 0;
    if (status == STATUS_OK)
        status = by_rows && m.groups == 1 ? run_parts(&m, BOTH_WAYS, sum) : whole_batch(&m, sum);
    timer_end(&t->timings, t->timer_network);
    matching_release(&m);
    return status;
}
