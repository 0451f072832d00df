#include "learn/scores.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the networks ---- */

static enum status add_names(struct scores *s, const struct score_part *part, const char *prefix) {
    enum status status = STATUS_OK;
    const struct tensors *t = score_tensors(part->model);
    for (int m = 0; m < t->count; m++)
        TRY(tensors_add(&s->tensors, t->list[m].rows, t->list[m].columns, "%s%s", prefix, t->list[m].name));
out:
    return status;
}

enum status scores_create(const struct ops *ops, const struct network_parameters *p, int d, bool with_x,
                          int rows, struct scores **out) {
    enum status status = STATUS_OK;
    static const char *const prefix[] = {"x/", "g/"};
    struct scores *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return FAIL(STATUS_FAILURE, "out of memory for a network");
    const bool shared = with_x && p->scores == SCORES_SHARED;
    const int parts = with_x && !shared ? 2 : 1;
    *s = (struct scores){
        .ops = ops,
        .d = d,
        .with_x = with_x,
    };
    for (; s->parts < parts; s->parts++) {
        struct score_part *part = &s->part[s->parts];
        *part = (struct score_part){.offset = s->tensors.size, .outputs = shared ? 2 * d : d};
        part->x_at = with_x && s->parts == 0 ? 0 : -1;
        part->g_at = shared ? d : s->parts == parts - 1 ? 0 : -1;
        TRY(score_create(ops, p, d, part->outputs, rows, &part->model));
        TRY(add_names(s, part, parts > 1 ? prefix[s->parts] : ""));
    }
    s->decoded = score_decoded(s->part[0].model);
    s->neighbours = score_neighbours(s->part[0].model);
out:
    if (status != STATUS_OK)
        scores_destroy(out);
    return status;
}

void scores_destroy(struct scores **scores) {
    struct scores *s = *scores;
    if (!s)
        return;
    for (int m = 0; m < 2; m++)
        score_destroy(&s->part[m].model);
    tensors_free(&s->tensors);
    free(s);
    *scores = NULL;
}

void scores_initialise(const struct scores *s, uint64_t seed, real *weights) {
    for (int m = 0; m < s->parts; m++)
        score_initialise(s->part[m].model, seed + (uint64_t)m, weights + s->part[m].offset);
}

struct score_cost scores_operations(const struct scores *s) {
    struct score_cost sum = {0, 0, 0};
    for (int m = 0; m < s->parts; m++) {
        struct score_cost cost = score_operations(s->part[m].model);
        sum.forward += cost.forward;
        sum.divergence += cost.divergence;
        sum.training += cost.training;
    }
    return sum;
}

double scores_memory(const struct scores *s) {
    double bytes = 0;
    for (int m = 0; m < s->parts; m++)
        bytes += score_memory(s->part[m].model);
    return bytes;
}

double scores_memory_for(const struct scores *s, double particles, const struct graph *sizes, bool training) {
    double bytes = 0;
    for (int m = 0; m < s->parts; m++)
        bytes += score_memory_for(s->part[m].model, particles, sizes, training);
    return bytes;
}

void scores_stop_by(struct scores *s, const struct score_stop *stop) {
    for (int m = 0; m < s->parts; m++)
        score_stop_by(s->part[m].model, stop);
}

/* ---- shifts ---- */

/* What is added to output a (of x or of g) of row r; theory.md section 3. */
static double shift_x(const struct flow_law *law, const struct score_rows *rows, size_t m) {
    if (law->velocity || law->shift == SHIFT_NONE)
        return 0;
    return (rows->force[m] + (law->shift == SHIFT_DRIFT ? law->v0 * rows->g[m] : 0)) / law->eps;
}

static double shift_g(const struct flow_law *law, const struct score_rows *rows, size_t m) {
    return law->velocity || law->shift == SHIFT_NONE ? 0 : -rows->g[m];
}

enum status scores_shift(const struct scores *s, int part, const struct flow_law *law,
                         const struct score_rows *rows, real *shift) {
    const struct score_part *p = &s->part[part];
    const size_t d = (size_t)s->d, outputs = (size_t)p->outputs;
    real *host = malloc((rows->rows * outputs + 1) * sizeof *host);
    if (!host)
        return FAIL(STATUS_FAILURE, "out of memory for %zu scores", rows->rows);
    for (size_t r = 0; r < rows->rows; r++)
        for (size_t a = 0; a < d; a++) {
            if (p->x_at >= 0)
                host[r * outputs + (size_t)p->x_at + a] = (real)shift_x(law, rows, r * d + a);
            if (p->g_at >= 0)
                host[r * outputs + (size_t)p->g_at + a] = (real)shift_g(law, rows, r * d + a);
        }
    s->ops->to_device(s->ops, shift, host, rows->rows * outputs * sizeof *host);
    free(host);
    return STATUS_OK;
}

/* ---- probes ---- */

/* Directions of a window in all: the axes of every decoded particle. */
static int directions(const struct scores *s) {
    return s->decoded * s->d;
}

int probe_groups(const struct scores *s, const struct probe_plan *plan) {
    if (plan->none)
        return 1;
    if (plan->kind == DIVERGENCE_HUTCHINSON)
        return plan->repeats;
    return (directions(s) + PROBE_SETS - 1) / PROBE_SETS;
}

static int most_sets(const struct scores *s) {
    return directions(s) < PROBE_SETS ? directions(s) : PROBE_SETS;
}

enum status probe_reserve(const struct scores *s, size_t windows, struct probe_buffers *b) {
    enum status status = STATUS_OK;
    const size_t rows = windows * (size_t)s->decoded * (size_t)most_sets(s) * 2, d = (size_t)s->d;
    if (windows <= b->capacity)
        return STATUS_OK;
    probe_release(s, b);
    TRY(s->ops->allocate(s->ops, rows * d * sizeof(real), (void **)&b->seed));
    TRY(s->ops->allocate(s->ops, rows * 2 * d * sizeof(real), (void **)&b->readout));
    TRY(s->ops->allocate(s->ops, rows * sizeof(real), (void **)&b->product));
    b->host = malloc((rows * 2 * d + 1) * sizeof *b->host);
    if (!b->host)
        return FAIL(STATUS_FAILURE, "out of memory for the directions of %zu windows", windows);
    b->capacity = windows;
out:
    return status;
}

void probe_release(const struct scores *s, struct probe_buffers *b) {
    s->ops->release(s->ops, b->seed);
    s->ops->release(s->ops, b->readout);
    s->ops->release(s->ops, b->product);
    free(b->host);
    *b = (struct probe_buffers){0};
}

/* The direction of one set: of row r (decoded particle m of its window), along axis a. */
static real direction_of(const struct scores *s, const struct probe_plan *plan, int group, int set,
                         const uint32_t *ids, size_t r, int a) {
    if (plan->kind == DIVERGENCE_EXACT) {
        const int which = group * PROBE_SETS + set;
        return (int)(r % (size_t)s->decoded) == which / s->d && a == which % s->d ? 1 : 0;
    }
    uint32_t word[4]; /* set: 0 of x, 1 of g */
    rng_words(plan->seed, STREAM_DIRECTION, ids[r], plan->step, (uint32_t)(2 * group + set), word);
    return (word[0] >> a) & 1 ? 1 : -1;
}

void probe_fill(const struct scores *s, int part, const struct probe_plan *plan, int group, size_t count,
                const uint32_t *ids, struct probe_buffers *b, struct score_probes *out) {
    const struct score_part *p = &s->part[part];
    const int left = directions(s) - group * PROBE_SETS;
    const int exact = left < PROBE_SETS ? left : PROBE_SETS;
    const int sets = plan->none ? 0 : plan->kind == DIVERGENCE_HUTCHINSON ? 1 : exact;
    const size_t d = (size_t)s->d, rows = count * (size_t)s->decoded, outputs = (size_t)p->outputs;
    *out = (struct score_probes){.in_x = p->x_at >= 0 ? sets : 0,
                                 .in_g = p->g_at >= 0 ? sets : 0,
                                 .seed = b->seed,
                                 .readout = b->readout};
    const int all = out->in_x + out->in_g;
    for (int readout = 0; readout < 2; readout++) {
        const size_t width = readout ? outputs : d;
        memset(b->host, 0, (size_t)all * rows * width * sizeof *b->host);
        for (int set = 0; set < all; set++) {
            const bool of_g = set >= out->in_x;
            const size_t at = readout ? (size_t)(of_g ? p->g_at : p->x_at) : 0;
            const int own = plan->kind == DIVERGENCE_HUTCHINSON ? (of_g ? 1 : 0) : set % sets;
            for (size_t r = 0; r < rows; r++)
                for (size_t a = 0; a < d; a++)
                    b->host[((size_t)set * rows + r) * width + at + a] =
                        direction_of(s, plan, group, own, ids, r, (int)a);
        }
        s->ops->to_device(s->ops, readout ? b->readout : b->seed, b->host,
                          (size_t)all * rows * width * sizeof *b->host);
    }
}

/* ---- the flow ---- */

/* What the networks give, before it is read as scores or velocities: values (rows, d) and divergences (rows) of x
 * and of g, shifts included. */
struct outcome {
    double *x, *g, *div_x, *div_g, *variance;
};

/* Adds the products of a group to the divergences. */
static void add_products(const struct score_probes *p, size_t rows, const real *product, double *div_x,
                         double *div_g) {
    for (int set = 0; set < p->in_x + p->in_g; set++) {
        double *to = set < p->in_x ? div_x : div_g;
        for (size_t r = 0; r < rows; r++)
            to[r] += (double)product[(size_t)set * rows + r];
    }
}

static void take_columns(const struct score_part *p, size_t d, size_t rows, const real *s, double *x,
                         double *g) {
    const size_t outputs = (size_t)p->outputs;
    for (size_t r = 0; r < rows; r++)
        for (size_t a = 0; a < d; a++) {
            if (p->x_at >= 0)
                x[r * d + a] = (double)s[r * outputs + (size_t)p->x_at + a];
            if (p->g_at >= 0)
                g[r * d + a] = (double)s[r * outputs + (size_t)p->g_at + a];
        }
}

/* Room for one part's work, on device and host. */
struct flow_space {
    real *shift, *s, *product, *variance, *host;
    uint32_t *ids; /* zeros: exact directions do not depend on them */
    struct probe_buffers probes;
    double from, span; /* how much of all was done before the rows at hand, and how much they are */
};

static enum status space_create(const struct scores *s, size_t windows, struct flow_space *space) {
    enum status status = STATUS_OK;
    const size_t rows = windows * (size_t)s->decoded, outputs = 2 * (size_t)s->d;
    TRY(s->ops->allocate(s->ops, rows * outputs * sizeof(real), (void **)&space->shift));
    TRY(s->ops->allocate(s->ops, rows * outputs * sizeof(real), (void **)&space->s));
    TRY(s->ops->allocate(s->ops, rows * sizeof(real), (void **)&space->product));
    TRY(s->ops->allocate(s->ops, rows * sizeof(real), (void **)&space->variance));
    space->host = malloc((rows * (outputs + 2 * PROBE_SETS) + 1) * sizeof *space->host);
    space->ids = calloc(rows + 1, sizeof *space->ids);
    if (!space->host || !space->ids)
        status = FAIL(STATUS_FAILURE, "out of memory for the scores of %zu windows", windows);
out:
    return status;
}

static void space_release(const struct scores *s, struct flow_space *space) {
    s->ops->release(s->ops, space->shift);
    s->ops->release(s->ops, space->s);
    s->ops->release(s->ops, space->product);
    s->ops->release(s->ops, space->variance);
    probe_release(s, &space->probes);
    free(space->host);
    free(space->ids);
}

/* A part that has only g and decodes one particle a window: its own, faster way to the divergence. */
static enum status run_fast(struct scores *s, int part, const real *weights, const struct score_input *in,
                            struct flow_space *space, struct outcome *out) {
    enum status status = STATUS_OK;
    const struct score_part *p = &s->part[part];
    const size_t count = in->count, d = (size_t)s->d;
    struct score_input with = *in;
    with.probes.variance = space->variance;
    TRY(score_divergence(p->model, weights, &with, space->s, space->product));
    s->ops->to_host(s->ops, space->host, space->s, count * d * sizeof(real));
    take_columns(p, d, count, space->host, NULL, out->g);
    s->ops->to_host(s->ops, space->host, space->product, count * sizeof(real));
    for (size_t r = 0; r < count; r++)
        out->div_g[r] += (double)space->host[r];
    s->ops->to_host(s->ops, space->host, space->variance, count * sizeof(real)); /* zero where it is exact */
    for (size_t r = 0; r < count; r++)
        out->variance[r] = (double)space->host[r];
out:
    return status;
}

static enum status run_chunk(struct scores *s, int part, const real *weights, const struct score_input *in,
                             size_t row, struct flow_space *space, struct outcome *out) {
    enum status status = STATUS_OK;
    const struct score_part *p = &s->part[part];
    const struct probe_plan plan = {.kind = DIVERGENCE_EXACT};
    const size_t rows = in->count * (size_t)s->decoded, d = (size_t)s->d;
    const double span = space->span / probe_groups(s, &plan);
    for (int group = 0; group < probe_groups(s, &plan); group++) {
        struct score_probes probes;
        score_part_of(p->model, space->from + group * span, span);
        TRY(score_go_on(p->model, 0));
        probe_fill(s, part, &plan, group, in->count, space->ids, &space->probes, &probes);
        TRY(score_probe(p->model, weights, in, &probes, space->s, space->probes.product));
        s->ops->to_host(s->ops, space->host, space->probes.product,
                        (size_t)(probes.in_x + probes.in_g) * rows * sizeof(real));
        add_products(&probes, rows, space->host, out->div_x + row, out->div_g + row);
    }
    s->ops->to_host(s->ops, space->host, space->s, rows * (size_t)p->outputs * sizeof(real));
    take_columns(p, d, rows, space->host, out->x + row * d, out->g + row * d);
out:
    return status;
}

static enum status run_part(struct scores *s, int part, const real *weights, const struct flow_law *law,
                            const struct score_input *in, const struct score_rows *rows,
                            struct flow_space *space, struct outcome *out) {
    enum status status = STATUS_OK;
    const struct score_part *p = &s->part[part];
    const size_t decoded = (size_t)s->decoded, chunk = score_chunk(p->model);
    struct score_input with = *in;
    const double span = 1.0 / s->parts, each = span / (double)in->count;
    with.shift = space->shift;
    score_part_of(p->model, part * span, span);
    TRY(scores_shift(s, part, law, rows, space->shift));
    if (p->x_at < 0 && decoded == 1) {
        TRY(run_fast(s, part, weights + p->offset, &with, space, out));
        goto out;
    }
    TRY(probe_reserve(s, chunk, &space->probes));
    for (size_t first = 0; first < in->count; first += chunk) {
        with.centre = in->centre + first;
        with.neighbour = in->neighbour + first * (size_t)s->neighbours;
        with.shift = space->shift + first * decoded * (size_t)p->outputs;
        with.count = in->count - first < chunk ? in->count - first : chunk;
        space->from = part * span + (double)first * each;
        space->span = (double)with.count * each;
        TRY(run_chunk(s, part, weights + p->offset, &with, first * decoded, space, out));
    }
out:
    return status;
}

/* Networks that give scores. */
static void read_scores(int d, const struct flow_law *law, const struct score_rows *in,
                        const struct outcome *o, const struct flow_rows *out) {
    const bool shifted = law->shift != SHIFT_NONE;
    for (size_t r = 0; r < in->rows; r++) {
        const double div_s_g = o->div_g[r] - (shifted ? d : 0);
        const double div_s_x = o->div_x[r] + (shifted && law->eps > 0 ? in->divergence[r] / law->eps : 0);
        out->div_s_g[r] = div_s_g;
        out->div_v_g[r] = -law->gamma * (rows_div_restoring(in, d, r) + div_s_g);
        out->div_s_x[r] = law->eps > 0 ? div_s_x : NAN;
        out->div_v_x[r] = in->divergence[r] - (law->eps > 0 ? law->eps * div_s_x : 0);
        for (size_t m = r * (size_t)d; m < (r + 1) * (size_t)d; m++) {
            out->s_g[m] = o->g[m];
            out->v_g[m] = -law->gamma * (rows_restoring(in, m) + o->g[m]);
            out->s_x[m] = law->eps > 0 ? o->x[m] : NAN;
            out->v_x[m] = law->v0 * in->g[m] + in->force[m] - (law->eps > 0 ? law->eps * o->x[m] : 0);
        }
    }
}

/* Networks that give velocities: the scores follow where the dynamics are known. */
static void read_velocities(int d, const struct flow_law *law, const struct score_rows *in,
                            const struct outcome *o, const struct flow_rows *out) {
    const bool known = in->force != NULL, diffusing = known && law->eps > 0;
    for (size_t r = 0; r < in->rows; r++) {
        out->div_v_x[r] = o->div_x[r];
        out->div_v_g[r] = o->div_g[r];
        out->div_s_g[r] = known ? -o->div_g[r] / law->gamma - rows_div_restoring(in, d, r) : NAN;
        out->div_s_x[r] = diffusing ? (in->divergence[r] - o->div_x[r]) / law->eps : NAN;
        for (size_t m = r * (size_t)d; m < (r + 1) * (size_t)d; m++) {
            out->v_x[m] = o->x[m];
            out->v_g[m] = o->g[m];
            out->s_g[m] = known ? -rows_restoring(in, m) - o->g[m] / law->gamma : NAN;
            out->s_x[m] = diffusing ? (law->v0 * in->g[m] + in->force[m] - o->x[m]) / law->eps : NAN;
        }
    }
}

enum status scores_flow(struct scores *s, const real *weights, const struct flow_law *law,
                        const struct score_input *in, const struct score_rows *rows,
                        const struct flow_rows *out) {
    enum status status = STATUS_OK;
    struct flow_space space = {0};
    struct outcome o = {0};
    const size_t n = rows->rows, d = (size_t)s->d;
    double *values = calloc(n * (2 * d + 3) + 1, sizeof *values);
    if (!values)
        return FAIL(STATUS_FAILURE, "out of memory for %zu scores", n);
    o = (struct outcome){values, values + n * d, values + 2 * n * d, values + 2 * n * d + n,
                         values + 2 * n * d + 2 * n};
    TRY(space_create(s, in->count, &space));
    for (int part = 0; part < s->parts; part++)
        TRY(run_part(s, part, weights, law, in, rows, &space, &o));
    if (law->velocity)
        read_velocities(s->d, law, rows, &o, out);
    else
        read_scores(s->d, law, rows, &o, out);
    if (out->variance)
        memcpy(out->variance, o.variance, n * sizeof *o.variance);
out:
    space_release(s, &space);
    free(values);
    return status;
}

/* The outcome, and a flow_space. */
double scores_flow_bytes(const struct scores *s, double rows) {
    const double outputs = 2 * s->d, decoded = s->decoded;
    return rows * decoded *
           ((outputs + 3) * sizeof(double) + (3 * outputs + 2 + 2 * PROBE_SETS) * sizeof(real) +
            sizeof(uint32_t));
}

struct flow_rows flow_rows_of(double *values, size_t rows, size_t d) {
    double *const more = values + 4 * rows * d;
    return (struct flow_rows){.s_x = values,
                              .s_g = values + rows * d,
                              .v_x = values + 2 * rows * d,
                              .v_g = values + 3 * rows * d,
                              .div_s_x = more,
                              .div_s_g = more + rows,
                              .div_v_x = more + 2 * rows,
                              .div_v_g = more + 3 * rows,
                              .variance = more + 4 * rows};
}

/* |b|^2/eps + div_x b, without diffusion of x -div_x b; with alignment also |a|^2/gamma + div_g a, a = -gamma G, whose mean
 * is 0 without. */
double flow_exact(const struct flow_law *law, int d, size_t r, const struct score_rows *rows) {
    double sum = law->eps > 0 ? rows->divergence[r] : -rows->divergence[r];
    for (size_t m = r * (size_t)d; m < (r + 1) * (size_t)d; m++) {
        const double b = law->v0 * rows->g[m] + rows->force[m];
        sum += law->eps > 0 ? b * b / law->eps : 0;
        sum += rows->restoring ? law->gamma * rows->restoring[m] * rows->restoring[m] : 0;
    }
    return sum - (rows->restoring ? law->gamma * rows->div_restoring[r] : 0);
}

double flow_resolved(const struct flow_law *law, int d, size_t r, const struct score_rows *rows,
                     const struct flow_rows *flow) {
    double of_g = 2 * flow->div_v_g[r], of_x = 2 * law->eps * flow->div_v_x[r];
    for (size_t m = r * (size_t)d; m < (r + 1) * (size_t)d; m++) {
        const double v = flow->v_g[m], w = flow->v_x[m];
        of_g -= 2 * v * rows_restoring(rows, m) + v * v / law->gamma;
        if (law->eps > 0)
            of_x += w * (2 * (law->v0 * rows->g[m] + rows->force[m]) - w);
    }
    return of_g + (law->eps > 0 ? of_x / law->eps : 0);
}
