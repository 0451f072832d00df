#include "commands/frames.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a score depends on besides the configuration. */
static const char PHYSICS[] = "system.kind,system.dimension,system.v0,system.k,system.beta,system.trap,"
                              "system.gamma,system.eps";

static enum status check(struct session *s, struct source *source, double held_out, int neighbours) {
    const struct system_parameters *system = &source->config.system;
    enum status status =
        file_same_parameters(trajectory_file(source->trajectory), s->comm, &s->config, PHYSICS,
                             "the physics of the input and of its trajectories must agree");
    if (status != STATUS_OK)
        return status;
    if (neighbours >= system->particles)
        return FAIL(STATUS_BAD_INPUT, "%s has %lld particles: too few for a network with %d neighbours",
                    source->path, (long long)system->particles, neighbours);
    if (source->frames == 0)
        return FAIL(STATUS_BAD_INPUT, "%s has no frame yet", source->path);
    source->held_out = (size_t)llround(held_out * (double)source->frames);
    if (held_out > 0 && source->held_out == 0 && source->frames > 1)
        source->held_out = 1;
    return STATUS_OK;
}

enum status source_open(struct session *s, const char *path, double held_out, int neighbours,
                        struct source **out) {
    enum status status = STATUS_OK;
    struct source *source = calloc(1, sizeof *source);
    *out = source;
    if (!source)
        status = FAIL(STATUS_FAILURE, "out of memory for a trajectory");
    TRY(comm_agree(s->comm, status));
    snprintf(source->path, sizeof source->path, "%s", path);
    TRY(trajectory_open(s->comm, path, &source->trajectory));
    TRY(file_parameters(trajectory_file(source->trajectory), s->comm, &source->config));
    TRY(trajectory_written(source->trajectory, &source->frames));
    source->box = system_box(&source->config.system);
    TRY(check(s, source, held_out, neighbours));
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

enum status source_frame(struct session *s, struct source *source, size_t frame, int k, double least,
                         double margin, struct frame **out, int64_t *step, double *time) {
    enum status status = STATUS_OK;
    struct slice *slice = source->slice;
    struct trajectory_frame f = {.begin = slice->begin,
                                 .count = slice->count,
                                 .position = source->position,
                                 .g = slice->g,
                                 .image = slice->image};
    const size_t d = (size_t)source->box.d;
    *out = NULL;
    TRY(trajectory_read(source->trajectory, frame, &f));
    for (size_t i = 0; i < slice->count * d; i++)
        if (!isfinite(source->position[i]) || !isfinite(slice->g[i]))
            status =
                FAIL(STATUS_STORAGE, "%s: frame %zu has numbers that are not finite: the file is damaged",
                     source->path, frame);
    TRY(comm_agree(s->comm, status));
    for (size_t i = 0; i < slice->count * d; i++)
        slice->q[i] = position_to_integer(&source->box, (int)(i % d), source->position[i]);
    TRY(frame_create(s->ops, s->comm, &source->box, slice, k, least, margin, out));
    const double eps = source->config.system.eps;
    (*out)->exact = eps > 0 ? f.scalars.b_squared / eps + f.scalars.div_b : -f.scalars.div_b;
    if (step)
        *step = f.step;
    if (time)
        *time = f.time;
out:
    return status;
}

enum status source_pair(struct session *s, struct source *source, size_t frame, int k, double least,
                        double margin, struct frame **out) {
    (void)s, (void)source, (void)frame, (void)k, (void)least, (void)margin, (void)out;
    return FAIL(STATUS_FAILURE, "not yet");
}
