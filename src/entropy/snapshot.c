#include "entropy/snapshot.h"

#include <math.h>
#include <stdlib.h>

static const double DENSITY_RADIUS = 5; /* of the local density, in particle radii */

const struct column_info column_info[COLUMNS] = {
    [COLUMN_POSITION] = {"position", "r0", "position x", true, false},
    [COLUMN_PROPULSION] = {"propulsion", "1", "self-propulsion g", true, false},
    [COLUMN_S_G] = {"s_g", "1", "score in g: gradient of log rho with respect to g", true, false},
    [COLUMN_V_X] = {"v_x", "r0/time", "velocity of the probability flow in x; b where eps = 0", true, false},
    [COLUMN_V_G] = {"v_g", "1/time", "velocity of the probability flow in g: -gamma (g + s_g)", true, false},
    [COLUMN_SIGMA_G] = {"sigma_g", "1/time", "entropy production rate, g part: |v_g|^2 / gamma", false,
                        false},
    [COLUMN_SIGMA] = {"sigma", "1/time", "entropy production rate (see epr_convention)", false, false},
    [COLUMN_DIV_X] = {"div_x", "1/time", "div_{x_i} v_x,i; of b where eps = 0", false, false},
    [COLUMN_DIV_G] = {"div_g", "1/time", "div_{g_i} v_g,i = -gamma (d + div_{g_i} s_g,i)", false, false},
    [COLUMN_LOCAL_DENSITY] = {"local_density", "1", "packing fraction within 5 radii of the particle", false,
                              false},
    [COLUMN_SMOOTHED_S_SQUARED] = {"smoothed_s_g_squared", "1", "|s_g|^2 after noise as in training", false,
                                   false},
    [COLUMN_SMOOTHED_DIV_S] = {"smoothed_div_g_s_g", "1", "div_{g_i} s_g,i after noise as in training", false,
                               false},
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

double snapshot_reach(const struct pair_law *law) {
    return law->cutoff > DENSITY_RADIUS ? law->cutoff : DENSITY_RADIUS;
}

/* ---- columns of the owned particles, host: filled by the parts below, then sent to the slices ---- */

struct owned_columns {
    size_t count;
    int d;
    double *column[COLUMNS];
};

static void positions_and_drift(const struct snapshot_input *in, const struct drift *drift, double *host,
                                struct owned_columns *o) {
    const struct particles *p = in->frame->particles;
    const struct box *box = &in->frame->domain->box;
    const struct ops *ops = p->ops;
    const size_t d = (size_t)o->d;
    ops->to_host(ops, o->column[COLUMN_DIV_X], drift->divergence, o->count * sizeof(double));
    for (size_t a = 0; a < d; a++) {
        const uint64_t *q = (const uint64_t *)host;
        ops->to_host(ops, host, p->q[a], o->count * sizeof *q);
        for (size_t i = 0; i < o->count; i++)
            o->column[COLUMN_POSITION][i * d + a] = position_to_real(box, (int)a, q[i]);
        ops->to_host(ops, host, p->g[a], o->count * sizeof *host);
        for (size_t i = 0; i < o->count; i++)
            o->column[COLUMN_PROPULSION][i * d + a] = host[i];
        ops->to_host(ops, host, drift->b[a], o->count * sizeof *host);
        for (size_t i = 0; i < o->count; i++)
            o->column[COLUMN_V_X][i * d + a] = host[i];
    }
}

/* Forces, divergence and local density from pair lists of the two radii. */
static enum status pair_columns(const struct snapshot_input *in, struct owned_columns *o) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    const struct box *box = &in->frame->domain->box;
    const struct ops *ops = p->ops;
    const size_t n = p->owned + p->ghosts;
    struct pair_list list = {0};
    struct drift drift = {0};
    uint32_t *near = NULL;
    double *host = calloc(n + 1, sizeof *host);
    if (!host)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    TRY(law_pairs_build(p, box, &in->law, 0, &list));
    TRY(drift_compute(p, box, &in->law, in->system, &list, &drift));
    positions_and_drift(in, &drift, host, o);
    TRY(pairs_build(p, box, DENSITY_RADIUS, &list));
    TRY(ops->allocate(ops, n * sizeof *near, (void **)&near));
    ops->pair_count(ops, p->owned, n, &list, near);
    uint32_t *count = (uint32_t *)host;
    ops->to_host(ops, count, near, o->count * sizeof *count);
    for (size_t i = 0; i < o->count; i++)
        o->column[COLUMN_LOCAL_DENSITY][i] = (1 + (double)count[i]) / pow(DENSITY_RADIUS, o->d);
out:
    ops->release(ops, near);
    drift_release(ops, &drift);
    pairs_release(ops, &list);
    free(host);
    return status;
}

/* Score and divergence of all owned particles, host: s (count, d), divergence (count). */
static enum status run_network(const struct snapshot_input *in, double *const g[], double *s,
                               double *divergence) {
    enum status status = STATUS_OK;
    const struct frame *f = in->frame;
    const struct ops *ops = f->ops;
    size_t count = f->particles->owned, d = (size_t)f->particles->d;
    real *s_device = NULL, *div_device = NULL, *host = malloc((count * d + 1) * sizeof *host);
    uint32_t *centre = NULL, *centre_host = malloc((count + 1) * sizeof *centre_host);
    if (!host || !centre_host)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", count);
    TRY(status);
    TRY(ops->allocate(ops, count * d * sizeof(real), (void **)&s_device));
    TRY(ops->allocate(ops, count * sizeof(real), (void **)&div_device));
    TRY(ops->allocate(ops, count * sizeof *centre, (void **)&centre));
    for (size_t i = 0; i < count; i++)
        centre_host[i] = (uint32_t)i;
    ops->to_device(ops, centre, centre_host, count * sizeof *centre);
    struct score_input input = frame_windows(f, count, centre, f->nearest);
    input.g = g;
    TRY(score_divergence(in->model, in->weights, &input, s_device, div_device));
    ops->to_host(ops, host, s_device, count * d * sizeof(real));
    for (size_t m = 0; m < count * d; m++)
        s[m] = (double)host[m];
    ops->to_host(ops, host, div_device, count * sizeof(real));
    for (size_t i = 0; i < count; i++)
        divergence[i] = (double)host[i];
out:
    ops->release(ops, s_device);
    ops->release(ops, div_device);
    ops->release(ops, centre);
    free(host);
    free(centre_host);
    return status;
}

/* theory.md section 2, eps = 0. */
static void flow_columns(const struct snapshot_input *in, struct owned_columns *o) {
    const size_t d = (size_t)o->d;
    const double gamma = in->system->gamma;
    for (size_t i = 0; i < o->count; i++) {
        double square = 0;
        for (size_t a = 0; a < d; a++) {
            double v = -gamma * (o->column[COLUMN_PROPULSION][i * d + a] + o->column[COLUMN_S_G][i * d + a]);
            o->column[COLUMN_V_G][i * d + a] = v;
            square += v * v;
        }
        o->column[COLUMN_SIGMA_G][i] = o->column[COLUMN_SIGMA][i] = square / gamma;
        o->column[COLUMN_DIV_G][i] =
            -gamma * ((double)d + o->column[COLUMN_DIV_G][i]); /* held div s so far */
    }
}

/* |s|^2 and div s on the frame moved by noise as in training; neighbours are found anew where positions move. */
static enum status smoothed_columns(const struct snapshot_input *in, double *s, struct owned_columns *o) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    const struct box *box = &in->frame->domain->box;
    const struct ops *ops = p->ops;
    const size_t n = p->owned + p->ghosts, d = (size_t)o->d;
    struct frame moved_frame = *in->frame;
    struct particles moved = *p;
    struct snapshot_input moved_in = *in;
    struct cell_grid *grid = NULL;
    uint32_t *nearest = NULL;
    double *zeta = NULL, *g[MAX_DIMENSION] = {0}, *farthest = NULL;
    uint64_t *q[MAX_DIMENSION] = {0};
    TRY(ops->allocate(ops, n * d * sizeof *zeta, (void **)&zeta));
    for (size_t a = 0; a < d; a++)
        TRY(ops->allocate(ops, n * sizeof(double), (void **)&g[a]));
    ops->normal(ops, in->seed, STREAM_PROBE, 2 * in->noise, n, p->id, o->d, zeta);
    ops->shift_propulsion(ops, o->d, n, in->sigma, zeta, p->g, g);
    if (in->noise_on == NOISE_ON_XG) {
        for (size_t a = 0; a < d; a++) {
            TRY(ops->allocate(ops, n * sizeof(uint64_t), (void **)&q[a]));
            moved.q[a] = q[a];
        }
        TRY(ops->allocate(ops, p->owned * (size_t)in->frame->k * sizeof *nearest, (void **)&nearest));
        TRY(ops->allocate(ops, p->owned * sizeof *farthest, (void **)&farthest));
        ops->normal(ops, in->seed, STREAM_PROBE, 2 * in->noise + 1, n, p->id, o->d, zeta);
        ops->shift_positions(ops, box, n, in->sigma, zeta, p->q, q);
        TRY(cells_create(&moved, box, DENSITY_RADIUS / 2, &grid));
        ops->nearest(ops, box, grid, p->owned, NULL, n, q, in->frame->k, nearest, farthest);
        moved_frame.particles = &moved;
        moved_frame.nearest = nearest;
        moved_in.frame = &moved_frame;
    }
    TRY(run_network(&moved_in, g, s, o->column[COLUMN_SMOOTHED_DIV_S]));
    for (size_t i = 0; i < o->count; i++) {
        double square = 0;
        for (size_t a = 0; a < d; a++)
            square += s[i * d + a] * s[i * d + a];
        o->column[COLUMN_SMOOTHED_S_SQUARED][i] = square;
    }
out:
    cells_destroy(ops, &grid);
    ops->release(ops, zeta);
    ops->release(ops, nearest);
    ops->release(ops, farthest);
    for (size_t a = 0; a < d; a++) {
        ops->release(ops, g[a]);
        ops->release(ops, q[a]);
    }
    return status;
}

enum status snapshot_compute(const struct snapshot_input *in, struct comm *comm, struct snapshot *out) {
    enum status status = STATUS_OK;
    const struct particles *p = in->frame->particles;
    struct owned_columns o = {.count = p->owned, .d = p->d};
    double *s = malloc((p->owned * (size_t)p->d + 1) * sizeof *s);
    uint32_t *id = malloc((p->owned + 1) * sizeof *id);
    for (int c = 0; c < COLUMNS; c++)
        if (!(o.column[c] = calloc(p->owned * (size_t)column_width(out, c) + 1, sizeof(double))))
            status = FAIL(STATUS_FAILURE, "out of memory for the results of %zu particles", p->owned);
    if (!s || !id)
        status = FAIL(STATUS_FAILURE, "out of memory for the results of %zu particles", p->owned);
    if (status == STATUS_OK)
        status = pair_columns(in, &o);
    if (status == STATUS_OK)
        status = run_network(in, p->g, o.column[COLUMN_S_G], o.column[COLUMN_DIV_G]);
    if (status == STATUS_OK)
        flow_columns(in, &o);
    if (status == STATUS_OK)
        status = smoothed_columns(in, s, &o);
    TRY(comm_agree(comm, status));
    p->ops->to_host(p->ops, id, p->id, p->owned * sizeof *id);
    for (int c = 0; c <= COLUMN_SMOOTHED_DIV_S; c++)
        TRY(rows_to_slice(p->owned, id, column_width(out, c), o.column[c], out->n, comm, out->column[c]));
out:
    for (int c = 0; c < COLUMNS; c++)
        free(o.column[c]);
    free(s);
    free(id);
    return status;
}
