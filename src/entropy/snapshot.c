#include "entropy/snapshot.h"

#include <math.h>
#include <stdlib.h>

static const double DENSITY_RADIUS = 5; /* of the local density, in particle radii */

const struct column_info column_info[COLUMNS] = {
    [COLUMN_POSITION] = {"position", "r0", "position x", true, false},
    [COLUMN_PROPULSION] = {"propulsion", "1", "self-propulsion g", true, false},
    [COLUMN_S_X] = {"s_x", "1/r0", "score in x: gradient of log rho with respect to x; NaN where eps = 0",
                    true, false},
    [COLUMN_S_G] = {"s_g", "1", "score in g: gradient of log rho with respect to g", true, false},
    [COLUMN_V_X] = {"v_x", "r0/time", "velocity of the probability flow in x: b - eps s_x; b where eps = 0",
                    true, false},
    [COLUMN_V_G] =
        {"v_g", "1/time",
         "velocity of the probability flow in g: drift of g - gamma s_g, without alignment -gamma (g + s_g)",
         true, false},
    [COLUMN_SIGMA_X] = {"sigma_x", "1/time",
                        "entropy production rate, x part: |v_x|^2 / eps; 0 where eps = 0", false, false},
    [COLUMN_SIGMA_G] = {"sigma_g", "1/time", "entropy production rate, g part: |v_g|^2 / gamma", false,
                        false},
    [COLUMN_SIGMA] = {"sigma", "1/time", "entropy production rate (see epr_convention)", false, false},
    [COLUMN_DIV_X] = {"div_x", "1/time", "div_{x_i} v_x,i; of b where eps = 0", false, false},
    [COLUMN_DIV_G] = {"div_g", "1/time", "div_{g_i} v_g,i, without alignment -gamma (d + div_{g_i} s_g,i)",
                      false, false},
    [COLUMN_EXACT] =
        {"exact", "1/time",
         "without a network; its mean is the exact entropy production rate: -div_x b where eps = 0, "
         "else |b|^2 / eps + div_x b",
         false, false},
    [COLUMN_RESOLVED] =
        {"resolved", "1/time",
         "its mean is a lower bound of the exact entropy production rate, whatever the network", false,
         false},
    [COLUMN_PROBE_VARIANCE] = {"probe_variance", "1/time^2",
                               "variance of resolved that comes from the random directions of its "
                               "divergence; 0 where that is exact, NaN "
                               "for a single direction",
                               false, false},
    [COLUMN_LOCAL_DENSITY] = {"local_density", "1", "packing fraction within 5 radii of the particle", false,
                              false},
    [COLUMN_CONTACTS] = {"contacts", "1", "particles nearer than evaluation.contact_distance", false, true},
    [COLUMN_SMOOTHED_S_X_SQUARED] = {"smoothed_s_x_squared", "1", "|s_x|^2 after noise as in training", false,
                                     false},
    [COLUMN_SMOOTHED_DIV_S_X] = {"smoothed_div_x_s_x", "1", "div_{x_i} s_x,i after noise as in training",
                                 false, false},
    [COLUMN_SMOOTHED_S_G_SQUARED] = {"smoothed_s_g_squared", "1", "|s_g|^2 after noise as in training", false,
                                     false},
    [COLUMN_SMOOTHED_DIV_S_G] = {"smoothed_div_g_s_g", "1", "div_{g_i} s_g,i after noise as in training",
                                 false, false},
    [COLUMN_SMOOTHED_SIGMA] =
        {"smoothed_sigma", "1/time",
         "entropy production rate after noise as in training: that of the smoothed density", false, false},
    [COLUMN_INTERFACE_DISTANCE] = {"interface_distance", "r0",
                                   "distance to the interface of the phases, positive in the dense one",
                                   false, false},
    [COLUMN_PHASE] = {"phase", "1", "0 gas, 1 interface, 2 dense", false, true},
};

enum status snapshot_create(const struct box *box, size_t n, const struct comm *comm, struct snapshot **out) {
    struct snapshot *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return FAIL(STATUS_FAILURE, "out of memory for an evaluation");
    s->box = *box;
    s->n = n;
    s->begin = slice_begin(n, comm_size(comm), comm_rank(comm));
    s->count = slice_begin(n, comm_size(comm), comm_rank(comm) + 1) - s->begin;
    for (int c = 0; c < COLUMNS; c++) {
        s->column[c] = calloc(s->count * (size_t)column_width(s, c) + 1, sizeof(double));
        if (!s->column[c]) {
            snapshot_destroy(out);
            return FAIL(STATUS_FAILURE, "out of memory for the results of %zu particles", n);
        }
    }
    return STATUS_OK;
}

void snapshot_destroy(struct snapshot **snapshot) {
    if (!*snapshot)
        return;
    for (int c = 0; c < COLUMNS; c++)
        free((*snapshot)->column[c]);
    free(*snapshot);
    *snapshot = NULL;
}

double local_density_unit(int d) {
    return 1 / pow(DENSITY_RADIUS, d);
}

double snapshot_reach(double cutoff) {
    return cutoff > DENSITY_RADIUS ? cutoff : DENSITY_RADIUS;
}

double snapshot_bytes(int d, double count) {
    double numbers = 0;
    for (int c = 0; c < COLUMNS; c++)
        numbers += column_info[c].vector ? d : 1;
    return numbers * count * sizeof(double);
}

/* id; window_rows; the frame moved, with its neighbours; and the flow. */
double snapshot_compute_bytes(const struct scores *scores, double owned, double particles, int k,
                              bool noised) {
    const int d = scores->d;
    const double windows = owned / scores->decoded, near = (double)k * sizeof(uint32_t);
    const double rows =
        windows * (sizeof(uint32_t) + near) +
        owned * (sizeof(uint32_t) + ((double)flow_numbers((size_t)d) + 3 * d + 2) * sizeof(double));
    const double moved = noised ? moved_bytes(d, particles) + owned * (near + sizeof(double)) : 0;
    return owned * sizeof(uint32_t) + rows + moved + scores_flow_bytes(scores, windows);
}

/* ---- columns of the owned particles, host: filled by the parts below, then sent to the slices ---- */

struct owned_columns {
    size_t count;
    int d;
    double *column[COLUMNS];
};

/* The decoded particles of all windows, in the windows' order. */
struct window_rows {
    size_t windows, rows;
    uint32_t *centre, *neighbour; /* (windows), (windows, k) device */
    uint32_t *local;              /* (rows) host */
    double *values;               /* of g, force, divergence, flow */
    struct score_rows physics;
    struct flow_rows flow;
};

static void rows_release(const struct ops *ops, struct window_rows *w) {
    ops->release(ops, w->centre);
    ops->release(ops, w->neighbour);
    free(w->local);
    free(w->values);
}

/* A window for every owned particle, or for every copy (its first particle). */
static enum status rows_create(const struct snapshot_input *in, struct window_rows *w) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    const struct ops *ops = p->ops;
    const size_t d = (size_t)p->d, k = (size_t)in->frame->k, decoded = (size_t)in->scores->decoded;
    uint32_t *centre = malloc((p->owned + 1) * sizeof *centre), *near = NULL;
    *w = (struct window_rows){0};
    if (!centre)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    for (size_t m = 0; m < p->owned; m++) /* in order of id; a copy's particles follow each other */
        if (decoded == 1)
            centre[w->windows++] = (uint32_t)m;
        else if (in->frame->sorted_id[m] % decoded == 0)
            centre[w->windows++] = in->frame->sorted_local[m];
    w->rows = w->windows * decoded;
    TRY(ops->allocate(ops, (w->windows + 1) * sizeof *centre, (void **)&w->centre));
    TRY(ops->allocate(ops, (w->windows * k + 1) * sizeof *centre, (void **)&w->neighbour));
    ops->to_device(ops, w->centre, centre, w->windows * sizeof *centre);
    ops->gather_neighbours(ops, w->windows, in->frame->k, w->centre, in->frame->nearest, w->neighbour);
    near = malloc((w->windows * k + 1) * sizeof *near);
    w->local = malloc((w->rows + 1) * sizeof *w->local);
    w->values = calloc(w->rows * (flow_numbers(d) + 3 * d + 2) + 1, sizeof *w->values);
    if (!near || !w->local || !w->values) {
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
        goto out;
    }
    ops->to_host(ops, near, w->neighbour, w->windows * k * sizeof *near);
    for (size_t r = 0; r < w->rows; r++)
        w->local[r] = r % decoded == 0 ? centre[r / decoded] : near[r / decoded * k + r % decoded - 1];
    w->flow = flow_rows_of(w->values, w->rows, d);
out:
    free(near);
    free(centre);
    return status;
}

/* G and div G of the rows, of particles as they are in `at`; scratch: (owned, d + 1). */
static enum status rows_restore(const struct snapshot_input *in, const struct particles *at,
                                struct window_rows *w, double *scratch, double *restoring) {
    const size_t d = (size_t)at->d, owned = at->owned;
    enum status status =
        in->force.restoring(in->force.context, at, &in->frame->domain->box, scratch, scratch + owned * d);
    for (size_t r = 0; status == STATUS_OK && r < w->rows; r++) {
        for (size_t a = 0; a < d; a++)
            restoring[r * d + a] = scratch[w->local[r] * d + a];
        restoring[w->rows * d + r] = scratch[owned * d + w->local[r]];
    }
    w->physics.restoring = restoring;
    w->physics.div_restoring = restoring + w->rows * d;
    return status;
}

/* g, F and div F of the rows, of particles as they are in `at`. */
static enum status rows_physics(const struct snapshot_input *in, const struct particles *at,
                                struct window_rows *w) {
    enum status status = STATUS_OK;
    const struct ops *ops = at->ops;
    const size_t d = (size_t)at->d, n = at->owned + at->ghosts, owned = at->owned;
    double *g = w->values + w->rows * flow_numbers(d), *force = g + w->rows * d,
           *divergence = force + w->rows * d;
    double *host = malloc((n + owned * (d + 1) + 1) * sizeof *host);
    if (!host)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    if (in->force.compute)
        TRY(in->force.compute(in->force.context, at, &in->frame->domain->box, host + n,
                              host + n + owned * d));
    for (size_t a = 0; a < d; a++) {
        ops->to_host(ops, host, at->g[a], n * sizeof *host);
        for (size_t r = 0; r < w->rows; r++)
            g[r * d + a] = host[w->local[r]];
    }
    for (size_t r = 0; in->force.compute && r < w->rows; r++) {
        const size_t i = w->local[r];
        if (i >= owned) {
            status = FAIL(STATUS_FAILURE, "the particles of a configuration are not on one rank");
            goto out;
        }
        for (size_t a = 0; a < d; a++)
            force[r * d + a] = host[n + i * d + a];
        divergence[r] = host[n + owned * d + i];
    }
    w->physics = (struct score_rows){
        .rows = w->rows, .g = g, .force = in->force.compute ? force : NULL, .divergence = divergence};
    if (in->force.restoring)
        status = rows_restore(in, at, w, host + n, divergence + w->rows);
out:
    free(host);
    return status;
}

static enum status position_columns(const struct snapshot_input *in, struct owned_columns *o) {
    const struct particles *p = in->frame->particles;
    const size_t d = (size_t)o->d;
    double *host = malloc((o->count + 1) * sizeof *host);
    if (!host)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", o->count);
    for (size_t a = 0; a < d; a++) {
        const uint64_t *q = (const uint64_t *)host;
        p->ops->to_host(p->ops, host, p->q[a], o->count * sizeof *q);
        for (size_t i = 0; i < o->count; i++)
            o->column[COLUMN_POSITION][i * d + a] = position_to_real(&in->frame->domain->box, (int)a, q[i]);
        p->ops->to_host(p->ops, host, p->g[a], o->count * sizeof *host);
        for (size_t i = 0; i < o->count; i++)
            o->column[COLUMN_PROPULSION][i * d + a] = host[i];
    }
    free(host);
    return STATUS_OK;
}

/* The number of particles closer than radius to each owned one. */
static enum status count_near(const struct snapshot_input *in, double radius, size_t owned, double *out) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    const struct ops *ops = p->ops;
    const size_t n = p->owned + p->ghosts;
    struct pair_list list = {0};
    uint32_t *near = NULL, *count = malloc((owned + 1) * sizeof *count);
    if (!count)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    TRY(pairs_build(p, &in->frame->domain->box, radius, &list));
    TRY(ops->allocate(ops, n * sizeof *near, (void **)&near));
    ops->pair_count(ops, owned, n, &list, near);
    ops->to_host(ops, count, near, owned * sizeof *count);
    for (size_t i = 0; i < owned; i++)
        out[i] = count[i];
out:
    ops->release(ops, near);
    pairs_release(ops, &list);
    free(count);
    return status;
}

static enum status density_columns(const struct snapshot_input *in, struct owned_columns *o) {
    enum status status = STATUS_OK;
    double *density = o->column[COLUMN_LOCAL_DENSITY];
    TRY(count_near(in, in->contact_distance, o->count, o->column[COLUMN_CONTACTS]));
    TRY(count_near(in, DENSITY_RADIUS, o->count, density));
    for (size_t i = 0; i < o->count; i++)
        density[i] = (1 + density[i]) * local_density_unit(o->d);
out:
    return status;
}

static enum status run_scores(const struct snapshot_input *in, const struct particles *at,
                              const uint32_t *neighbour, int probes, struct window_rows *w) {
    enum status status = rows_physics(in, at, w);
    if (status != STATUS_OK)
        return status;
    struct score_input input = frame_windows(in->frame, w->windows, w->centre, neighbour);
    input.q = at->q;
    input.g = at->g;
    input.probes.seed = in->noise.seed;
    input.probes.step = in->noise.number;
    input.probes.count = probes;
    return scores_flow(in->scores, in->weights, &in->law, &input, &w->physics, &w->flow);
}

/* What is worth keeping of the flow of a row, theory.md section 2. */
static void flow_columns(const struct snapshot_input *in, const struct window_rows *w,
                         struct owned_columns *o) {
    const size_t d = (size_t)o->d;
    const struct flow_law *law = &in->law;
    const bool known = w->physics.force != NULL, diffusing = law->eps > 0;
    for (size_t r = 0; r < w->rows; r++) {
        const size_t i = w->local[r];
        double of_x = 0, of_g = 0;
        for (size_t a = 0; a < d; a++) {
            const size_t from = r * d + a, to = i * d + a;
            o->column[COLUMN_S_X][to] = w->flow.s_x[from];
            o->column[COLUMN_S_G][to] = w->flow.s_g[from];
            o->column[COLUMN_V_X][to] = w->flow.v_x[from];
            o->column[COLUMN_V_G][to] = w->flow.v_g[from];
            of_x += w->flow.v_x[from] * w->flow.v_x[from];
            of_g += w->flow.v_g[from] * w->flow.v_g[from];
        }
        o->column[COLUMN_SIGMA_X][i] = diffusing ? of_x / law->eps : 0;
        o->column[COLUMN_SIGMA_G][i] = of_g / law->gamma;
        o->column[COLUMN_SIGMA][i] = o->column[COLUMN_SIGMA_X][i] + o->column[COLUMN_SIGMA_G][i];
        o->column[COLUMN_DIV_X][i] = w->flow.div_v_x[r];
        o->column[COLUMN_DIV_G][i] = w->flow.div_v_g[r];
        o->column[COLUMN_EXACT][i] = known ? flow_exact(law, o->d, r, &w->physics) : NAN;
        o->column[COLUMN_PROBE_VARIANCE][i] = 4 * law->gamma * law->gamma * w->flow.variance[r];
        o->column[COLUMN_RESOLVED][i] = known ? flow_resolved(law, o->d, r, &w->physics, &w->flow) : NAN;
    }
}

static void smoothed_columns(const struct flow_law *law, const struct window_rows *w,
                             struct owned_columns *o) {
    const size_t d = (size_t)o->d;
    for (size_t r = 0; r < w->rows; r++) {
        const size_t i = w->local[r];
        double x = 0, g = 0, sigma = 0;
        for (size_t m = r * d; m < (r + 1) * d; m++) {
            sigma += w->flow.v_g[m] * w->flow.v_g[m] / law->gamma;
            sigma += law->eps > 0 ? w->flow.v_x[m] * w->flow.v_x[m] / law->eps : 0;
            x += w->flow.s_x[m] * w->flow.s_x[m];
            g += w->flow.s_g[m] * w->flow.s_g[m];
        }
        o->column[COLUMN_SMOOTHED_SIGMA][i] = sigma;
        o->column[COLUMN_SMOOTHED_S_X_SQUARED][i] = x;
        o->column[COLUMN_SMOOTHED_DIV_S_X][i] = w->flow.div_s_x[r];
        o->column[COLUMN_SMOOTHED_S_G_SQUARED][i] = g;
        o->column[COLUMN_SMOOTHED_DIV_S_G][i] = w->flow.div_s_g[r];
    }
}

/* The frame moved by noise as in training. */
struct noised {
    struct moved_frame frame;
    uint32_t *nearest; /* (owned, k) device */
    double *farthest;
};

static void noised_release(const struct ops *ops, struct noised *m) {
    moved_release(ops, &m->frame);
    ops->release(ops, m->nearest);
    ops->release(ops, m->farthest);
}

/* Neighbours are found anew where positions move; *neighbour is what windows read. */
static enum status add_noise(const struct snapshot_input *in, struct noised *m, const uint32_t **neighbour) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    const struct ops *ops = p->ops;
    TRY(frame_move(in->frame, &in->noise, in->sigma, &m->frame));
    if (in->noise.on == NOISE_ON_G || in->scores->decoded > 1 || in->frame->by_site)
        goto out; /* no neighbours to find anew */
    TRY(ops->allocate(ops, p->owned * (size_t)in->frame->k * sizeof *m->nearest, (void **)&m->nearest));
    TRY(ops->allocate(ops, p->owned * sizeof *m->farthest, (void **)&m->farthest));
    TRY(moved_neighbours(in->frame, &m->frame, p->owned, NULL, m->nearest, m->farthest));
    *neighbour = m->nearest;
out:
    return status;
}

static enum status compute_columns(const struct snapshot_input *in, struct owned_columns *o) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    struct window_rows w = {0};
    struct noised moved = {0};
    const uint32_t *neighbour = NULL;
    TRY(position_columns(in, o));
    TRY(density_columns(in, o));
    TRY(rows_create(in, &w));
    TRY(run_scores(in, p, w.neighbour, in->probes, &w));
    flow_columns(in, &w, o);
    if (in->sigma > 0) {
        neighbour = w.neighbour;
        TRY(add_noise(in, &moved, &neighbour));
        TRY(run_scores(in, &moved.frame.particles, neighbour, 1, &w));
    }
    smoothed_columns(&in->law, &w, o);
out:
    noised_release(p->ops, &moved);
    rows_release(p->ops, &w);
    return status;
}

/* Whether a column is NaN by rule: theory.md section 2 has no such quantity there, or one probe no variance. */
static bool column_is_void(const struct snapshot_input *in, enum column c) {
    const bool known = in->force.compute != NULL;
    switch (c) {
    case COLUMN_S_X:
    case COLUMN_SMOOTHED_S_X_SQUARED:
    case COLUMN_SMOOTHED_DIV_S_X:
        return !known || in->law.eps == 0;
    case COLUMN_S_G:
    case COLUMN_SMOOTHED_S_G_SQUARED:
    case COLUMN_SMOOTHED_DIV_S_G:
    case COLUMN_EXACT:
    case COLUMN_RESOLVED:
        return !known;
    case COLUMN_PROBE_VARIANCE:
        return in->probes <= 1;
    default:
        return false;
    }
}

/* In the order of columns, so that what goes wrong first is named. */
static enum status check_finite(const struct snapshot_input *in, const struct snapshot *s,
                                const struct owned_columns *o, const uint32_t *id, int rank) {
    for (int c = 0; c <= COLUMN_SMOOTHED_SIGMA; c++) {
        const size_t width = (size_t)column_width(s, c);
        for (size_t m = 0; m < o->count * width && !column_is_void(in, c); m++)
            if (!isfinite(o->column[c][m]))
                return FAIL(STATUS_NUMBERS,
                            "frame %zu of %s: %s of particle %u of rank %d is not finite: look at that "
                            "particle there, and at how the training of the model ended",
                            in->frame->number, frame_path(in->frame), column_info[c].name, id[m / width],
                            rank);
    }
    return STATUS_OK;
}

enum status snapshot_compute(const struct snapshot_input *in, struct comm *comm, struct snapshot *out) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    struct owned_columns o = {.count = p->owned, .d = p->d};
    uint32_t *id = malloc((p->owned + 1) * sizeof *id);
    for (int c = 0; c < COLUMNS; c++)
        if (!(o.column[c] = calloc(p->owned * (size_t)column_width(out, c) + 1, sizeof(double))))
            status = FAIL(STATUS_FAILURE, "out of memory for the results of %zu particles", p->owned);
    if (!id)
        status = FAIL(STATUS_FAILURE, "out of memory for the results of %zu particles", p->owned);
    if (status == STATUS_OK)
        status = compute_columns(in, &o);
    if (status == STATUS_OK) {
        p->ops->to_host(p->ops, id, p->id, p->owned * sizeof *id);
        status = check_finite(in, out, &o, id, comm_rank(comm));
    }
    TRY(comm_agree(comm, status));
    for (int c = 0; c <= COLUMN_SMOOTHED_SIGMA; c++)
        TRY(rows_to_slice(p->owned, id, column_width(out, c), o.column[c], out->n, comm, out->column[c]));
out:
    for (int c = 0; c < COLUMNS; c++)
        free(o.column[c]);
    free(id);
    return status;
}
