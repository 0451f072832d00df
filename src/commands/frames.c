#include "commands/frames.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a score depends on besides the configuration. */
static const char PHYSICS[] = "system.kind,system.dimension,system.v0,system.k,system.beta,system.trap,"
                              "system.gamma,system.eps,system.spring,system.spring_kind,system.tether,"
                              "system.alignment,system.alignment_radius";

static void hold_out(struct source *source, double held_out) {
    source->held_out = (size_t)llround(held_out * (double)source->frames);
    if (held_out > 0 && source->held_out == 0 && source->frames > 1)
        source->held_out = 1;
}

void source_limit(struct source *source, size_t frames, double held_out) {
    if (frames == 0 || frames >= source->frames)
        return;
    source->frames = frames;
    hold_out(source, held_out);
}

static enum status check(const struct session *s, struct source *source, double held_out, bool whole,
                         const struct network_parameters *network) {
    const struct system_parameters *system = &source->config.system;
    const int neighbours = network->neighbours;
    if (whole && system->particles != s->config.system.particles)
        return FAIL(STATUS_BAD_INPUT,
                    "%s has %lld particles a copy, the input %lld: where whole configurations are learnt "
                    "they must agree",
                    source->path, (long long)system->particles, (long long)s->config.system.particles);
    if (neighbours >= system->particles)
        return FAIL(STATUS_BAD_INPUT, "%s has %lld particles: too few for a network with %d neighbours",
                    source->path, (long long)system->particles, neighbours);
    if (source->frames == 0)
        return FAIL(STATUS_BAD_INPUT, "%s has no frame yet", source->path);
    hold_out(source, held_out);
    return STATUS_OK;
}

/* A file of epflow says how it was made; for any other the input has to. */
static enum status open_trajectory(struct session *s, struct source *source) {
    enum status status = STATUS_OK;
    const struct data_parameters *data = &s->config.data;
    if (data->position[0]) {
        source->config = s->config;
        return trajectory_open_foreign(s->comm, source->path, &s->config, &source->trajectory);
    }
    if (data->propulsion[0])
        return FAIL(STATUS_BAD_INPUT,
                    "data.propulsion is given and data.position is not: for trajectories of "
                    "epflow give neither, for others both");
    TRY(trajectory_open(s->comm, source->path, &source->trajectory));
    TRY(file_parameters(trajectory_file(source->trajectory), s->comm, &source->config));
    TRY(file_same_parameters(trajectory_file(source->trajectory), s->comm, &s->config, PHYSICS,
                             "the physics of the input and of its trajectories must agree"));
out:
    return status;
}

enum status source_open(struct session *s, const char *path, double held_out, bool whole,
                        const struct network_parameters *network, struct source **out) {
    enum status status = STATUS_OK;
    struct source *source = calloc(1, sizeof *source);
    *out = source;
    if (!source)
        status = FAIL(STATUS_FAILURE, "out of memory for a trajectory");
    TRY(comm_agree(s->comm, status));
    snprintf(source->path, sizeof source->path, "%s", path);
    TRY(open_trajectory(s, source));
    TRY(trajectory_written(source->trajectory, &source->frames));
    source->box = system_box(&source->config.system);
    source->lattice = system_lattice(&source->config.system);
    source->push = network->linear_term == LINEAR_TERM_VELOCITY ? source->config.system.v0 : 0;
    source->by_site =
        source->lattice.d > 0 && (network->window == WINDOW_LATTICE || network->window == WINDOW_ANCHORED);
    source->graph = network->kind == NETWORK_RESPONSE ? &network->response : NULL;
    if (network->window == WINDOW_ALL) { /* a rank has all of a configuration, even of the only one */
        source->box.group = (uint32_t)source->config.system.particles;
        source->box.groups = (uint32_t)source->config.system.copies;
    }
    TRY(check(s, source, held_out, whole, network));
    size_t n = (size_t)config_total(&source->config.system);
    status = slice_create(n, source->box.d, s->comm, &source->slice);
    if (status == STATUS_OK) {
        source->position =
            malloc((source->slice->count * (size_t)source->box.d + 1) * sizeof *source->position);
        if (!source->position)
            status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    }
    TRY(comm_agree(s->comm, status));
out:
    if (status != STATUS_OK)
        source_close(out);
    return status;
}

void source_close(struct source **source) {
    if (!*source)
        return;
    trajectory_close(&(*source)->trajectory);
    slice_destroy(&(*source)->slice);
    free((*source)->position);
    free(*source);
    *source = NULL;
}

/* ---- the exact rate, where the file does not have it ---- */

static bool force_is_known(const struct system_parameters *system) {
    return system->kind != SYSTEM_UNKNOWN;
}

/* The halo that its computation needs, or `least` if that is more. */
static double exact_reach(const struct source *source, double least) {
    return force_is_known(&source->config.system)
               ? fmax(least, config_reach(&source->config.system, &source->config.simulation))
               : least;
}

/* frame->exact from the force law of the input and the positions; the halo reaches the cut-off. */
static enum status compute_exact(struct session *s, const struct source *source, struct frame *frame) {
    enum status status = STATUS_OK;
    const struct system_parameters *system = &source->config.system;
    const struct system_force law = {*system, system_pair_law(system, &source->config.simulation)};
    const struct particles *p = frame->particles;
    const struct flow_law flow = {.v0 = system->v0, .gamma = system->gamma, .eps = system->eps};
    const size_t d = (size_t)p->d, numbers = p->owned * d;
    double *force = malloc((3 * numbers + 3 * p->owned + 1) * sizeof *force), sum = 0;
    if (!force)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    double *const g = force + numbers, *const restoring = g + numbers;
    double *const divergence = restoring + numbers, *const div_restoring = divergence + p->owned,
                  *const column = div_restoring + p->owned;
    if (status == STATUS_OK)
        status = system_force(&law, p, &source->box, force, divergence);
    if (status == STATUS_OK && system->alignment > 0)
        status = system_restoring(&law, p, &source->box, restoring, div_restoring);
    TRY(comm_agree(s->comm, status));
    for (size_t a = 0; a < d; a++) {
        s->ops->to_host(s->ops, column, p->g[a], p->owned * sizeof *column);
        for (size_t i = 0; i < p->owned; i++)
            g[i * d + a] = column[i];
    }
    const struct score_rows rows = {.rows = p->owned,
                                    .g = g,
                                    .force = force,
                                    .divergence = divergence,
                                    .restoring = system->alignment > 0 ? restoring : NULL,
                                    .div_restoring = system->alignment > 0 ? div_restoring : NULL};
    for (size_t i = 0; i < p->owned; i++)
        sum += flow_exact(&flow, (int)d, i, &rows);
    comm_sum(s->comm, &sum, 1);
    frame->exact = sum;
out:
    free(force);
    return status;
}

static enum status push_frame(struct session *s, const struct source *source, struct frame *frame) {
    const struct system_parameters *system = &source->config.system;
    const struct system_force law = {*system, system_pair_law(system, &source->config.simulation)};
    return frame_push(frame, s->comm, &(struct force_law){.compute = system_force, .context = &law},
                      source->push);
}

/* ---- frames ---- */

/* Particles that repel each other; where nobody knows the force it may be anything. */
static enum status check_apart(struct session *s, const struct source *source, const struct frame *frame) {
    char where[SESSION_PATH + 32];
    if (source->config.system.kind != SYSTEM_AOUP)
        return STATUS_OK;
    snprintf(where, sizeof where, "%s: frame %zu", frame->path, frame->number);
    return particles_apart(frame->particles, &frame->domain->box, s->comm, where);
}

/* Reads into a slice; on return f has the rest. Positions go through source->position. */
static enum status read_slice(struct session *s, struct source *source, size_t frame, struct slice *slice,
                              struct trajectory_frame *f) {
    enum status status = STATUS_OK;
    const size_t d = (size_t)source->box.d;
    *f = (struct trajectory_frame){.begin = slice->begin,
                                   .count = slice->count,
                                   .position = source->position,
                                   .g = slice->g,
                                   .image = slice->image};
    TRY(trajectory_read(source->trajectory, frame, f));
    for (size_t i = 0; i < slice->count * d; i++)
        if (!isfinite(source->position[i]) || !isfinite(slice->g[i]))
            status =
                FAIL(STATUS_STORAGE, "%s: frame %zu has numbers that are not finite: the file is damaged",
                     source->path, frame);
    TRY(comm_agree(s->comm, status));
    for (size_t i = 0; i < slice->count * d; i++)
        slice->q[i] = position_to_integer(&source->box, (int)(i % d), source->position[i]);
out:
    return status;
}

enum status source_frame(struct session *s, struct source *source, size_t frame, int k, double least,
                         double margin, struct frame **out, int64_t *step, double *time) {
    enum status status = STATUS_OK;
    struct trajectory_frame f;
    *out = NULL;
    if (source->graph)
        least = fmax(least, graph_reach(source->graph, &source->config.system));
    TRY(read_slice(s, source, frame, source->slice, &f));
    const bool given = !isnan(f.scalars.div_b);
    TRY(frame_create(s->ops, s->comm, &source->box, source->slice, &source->lattice, source->by_site, k,
                     given && source->push == 0 ? least : exact_reach(source, least), margin, out));
    (*out)->path = source->path;
    (*out)->number = frame;
    TRY(check_apart(s, source, *out));
    if (source->push > 0)
        TRY(push_frame(s, source, *out));
    if (source->graph)
        TRY(frame_graph(*out, s->comm, source->graph, &source->config.system));
    const double eps = source->config.system.eps;
    (*out)->exact = eps > 0 ? f.scalars.b_squared / eps + f.scalars.div_b : -f.scalars.div_b;
    if (!given && force_is_known(&source->config.system))
        TRY(compute_exact(s, source, *out));
    if (step)
        *step = f.step;
    if (time)
        *time = f.time;
out:
    if (status != STATUS_OK)
        frame_destroy(out);
    return status;
}

/* ---- pairs of frames ---- */

/* first becomes the midpoint of both; rate (count, 2 d) receives d(x, g)/dt. */
static enum status halve(const struct source *source, size_t frame, double dt, struct slice *first,
                         const struct slice *second, double *rate) {
    const size_t d = (size_t)source->box.d;
    for (size_t i = 0; i < first->count; i++)
        for (size_t a = 0; a < d; a++) {
            const size_t at = i * d + a;
            /* the difference of unsigned integers, read as signed, is the one by minimum image */
            const int64_t moved = (int64_t)(second->q[at] - first->q[at]);
            if (fabs((double)moved) > 0x1p62)
                return FAIL(STATUS_BAD_INPUT,
                            "%s: particle %zu moves by %g from frame %zu to the next, more than a quarter of "
                            "the box: the frames are too far apart for velocities",
                            source->path, first->begin + i, (double)moved * source->box.side[a] * 0x1p-64,
                            frame);
            rate[2 * i * d + a] = (double)moved * (source->box.side[a] * 0x1p-64) / dt;
            rate[(2 * i + 1) * d + a] = (second->g[at] - first->g[at]) / dt;
            first->q[at] += (uint64_t)(moved / 2);
            first->g[at] += (second->g[at] - first->g[at]) / 2;
        }
    return STATUS_OK;
}

/* rows (slice count, 2 d) into frame->rate, in order of the owned particles. */
static enum status attach_rate(struct session *s, const double *rows, struct frame *frame) {
    enum status status = STATUS_OK;
    const struct particles *p = frame->particles;
    uint32_t *id = malloc((p->owned + 1) * sizeof *id);
    frame->rate = malloc((p->owned * 2 * (size_t)p->d + 1) * sizeof *frame->rate);
    if (!id || !frame->rate)
        status = FAIL(STATUS_FAILURE, "out of memory for the rates of %zu particles", p->owned);
    TRY(comm_agree(s->comm, status));
    s->ops->to_host(s->ops, id, p->id, p->owned * sizeof *id);
    TRY(rows_from_slice(frame->n, 2 * p->d, rows, p->owned, id, s->comm, frame->rate));
out:
    free(id);
    return status;
}

static enum status time_between(const struct source *source, size_t frame, double before, double after) {
    if (isnan(before) || isnan(after))
        return FAIL(STATUS_BAD_INPUT,
                    "%s has no times, and velocities are learnt from the time between frames", source->path);
    if (!(after > before))
        return FAIL(STATUS_BAD_INPUT,
                    "%s: frame %zu is at time %g and the next at %g: time does not increase", source->path,
                    frame, before, after);
    return STATUS_OK;
}

enum status source_pair(struct session *s, struct source *source, size_t frame, int k, double least,
                        double margin, struct frame **out) {
    enum status status = STATUS_OK;
    struct trajectory_frame before, after;
    struct slice *first = source->slice, *second = NULL;
    double *rate = malloc((first->count * 2 * (size_t)source->box.d + 1) * sizeof *rate);
    *out = NULL;
    status = slice_create(first->n, first->d, s->comm, &second);
    if (status == STATUS_OK && !rate)
        status = FAIL(STATUS_FAILURE, "out of memory for a pair of frames");
    TRY(comm_agree(s->comm, status));
    TRY(read_slice(s, source, frame, first, &before));
    TRY(read_slice(s, source, frame + 1, second, &after));
    TRY(time_between(source, frame, before.time, after.time));
    TRY(comm_agree(s->comm, halve(source, frame, after.time - before.time, first, second, rate)));
    TRY(frame_create(s->ops, s->comm, &source->box, first, &source->lattice, source->by_site, k,
                     exact_reach(source, least), margin, out));
    (*out)->path = source->path;
    (*out)->number = frame;
    (*out)->exact = NAN;
    TRY(check_apart(s, source, *out));
    if (force_is_known(&source->config.system))
        TRY(compute_exact(s, source, *out));
    TRY(attach_rate(s, rate, *out));
out:
    if (status != STATUS_OK)
        frame_destroy(out);
    free(rate);
    slice_destroy(&second);
    return status;
}
