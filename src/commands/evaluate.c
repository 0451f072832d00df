/* Evaluate: frame by frame the flow of every particle, then fields, phases, profiles; at the end the certificate. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "commands/closing.h"
#include "commands/commands.h"
#include "commands/evaluate_run.h"
#include "commands/learning.h"
#include "commands/memory.h"

enum status plan_evaluate(struct session *s) {
    const struct config *c = &s->config;
    const struct evaluation_parameters *p = &c->evaluation;
    if (p->trajectory_count == 0)
        log_info("evaluate: reads %s/trajectory.h5", c->output.directory);
    for (int m = 0; m < p->trajectory_count; m++)
        log_info("evaluate: reads %s", p->trajectories[m]);
    if (p->model_count == 0)
        log_info("          model %s/model.h5", c->output.directory);
    else
        log_info("          model %s", p->models[0]);
    log_info("          %s frames; fields on a grid of spacing %g r0, smoothed by %g r0",
             p->frames == FRAMES_ALL ? "all" : "held-out", p->grid, p->smoothing);
    log_info("          writes %s/evaluation.h5, fields.xdmf", c->output.directory);
    return memory_plan_evaluate(s);
}

/* ---- opening what there is ---- */

static enum status open_sources(struct session *s, struct evaluation_run *r) {
    enum status status = STATUS_OK;
    const struct evaluation_parameters *p = &s->config.evaluation;
    const int n = p->trajectory_count > 0 ? p->trajectory_count : 1;
    for (int m = 0; m < n; m++) {
        char path[SESSION_PATH], begun[32] = "elsewhere";
        size_t used = strlen(r->trajectories);
        session_path(s, "trajectory.h5", path);
        if (p->trajectory_count > 0)
            snprintf(path, sizeof path, "%s", p->trajectories[m]);
        TRY(source_open(s, path, r->model.config.training.held_out, r->model.network.window == WINDOW_ALL,
                        &r->model.network, &r->source[m]));
        r->sources++;
        if (m == 0) /* what is evaluated is the trajectory's system, whatever N and box the input has */
            s->config.system = r->source[0]->config.system;
        if (p->frames == FRAMES_ALL)
            r->source[m]->held_out = r->source[m]->frames;
        r->shape.frames += r->source[m]->held_out;
        if (trajectory_file(r->source[m]->trajectory))
            TRY(h5_read_text(trajectory_file(r->source[m]->trajectory), "/provenance", "start_time",
                             sizeof begun, begun));
        snprintf(r->trajectories + used, sizeof r->trajectories - used,
                 "%s%s (seed %llu, frames %zu to %zu, begun %s)", m > 0 ? ", " : "", path,
                 (unsigned long long)r->source[m]->config.simulation.seed,
                 r->source[m]->frames - r->source[m]->held_out, r->source[m]->frames - 1, begun);
        bool same = r->source[m]->slice->n == r->source[0]->slice->n;
        for (int a = 0; a < r->source[m]->box.d; a++)
            same = same && r->source[m]->box.side[a] == r->source[0]->box.side[a];
        if (!same) {
            status = FAIL(STATUS_BAD_INPUT,
                          "%s and %s have other numbers of particles or boxes: evaluate them one by one",
                          r->source[0]->path, path);
            goto out;
        }
    }
    if (r->shape.frames == 0)
        status = FAIL(STATUS_BAD_INPUT,
                      "no frame is held out (training.held_out of %s is %g): use evaluation.frames: all",
                      r->model.path, r->model.config.training.held_out);
out:
    return status;
}

static enum status prepare(struct session *s, struct evaluation_run *r) {
    enum status status = STATUS_OK;
    const struct evaluation_parameters *p = &s->config.evaluation;
    const struct source *source = r->source[0];
    status = snapshot_create(&source->box, source->slice->n, s->comm, &r->snapshot);
    if (status == STATUS_OK)
        status = field_grid_create(&source->box, p->grid, p->smoothing, s->comm, &r->grid);
    if (status == STATUS_OK)
        status = certificate_create(r->snapshot, (int)r->shape.frames, &r->certificate);
    if (status == STATUS_OK)
        status = classes_create(r->snapshot, (int)r->shape.frames, &r->classes);
    if (status == STATUS_OK)
        status = profile_create(p->profile_extent, p->profile_bin, (int)r->shape.frames, &r->profile);
    if (status == STATUS_OK) {
        r->profile_values = calloc((size_t)((PROFILES + 1) * r->profile->bins), sizeof *r->profile_values);
        r->time = calloc(r->shape.frames, sizeof *r->time);
        if (!r->profile_values || !r->time)
            status = FAIL(STATUS_FAILURE, "out of memory for the results");
    }
    TRY(comm_agree(s->comm, status));
    evaluation_describe(s, r);
    static const char *const section[] = {"reading and halos", "network", "fields and profiles", "files"};
    int *const timer[] = {&r->timer_read, &r->timer_network, &r->timer_fields, &r->timer_files};
    for (int m = 0; m < 4; m++)
        *timer[m] = timings_add(&r->timings, section[m]);
out:
    return status;
}

/* ---- frames ---- */

/* Frame m of the evaluation: which source, and which frame of it. */
static struct source *find_frame(struct evaluation_run *r, size_t m, size_t *frame) {
    int i = 0;
    while (m >= r->source[i]->held_out)
        m -= r->source[i++]->held_out;
    *frame = r->source[i]->frames - r->source[i]->held_out + m;
    return r->source[i];
}

static enum status compute_frame(struct session *s, struct evaluation_run *r, size_t m, int64_t *step) {
    enum status status = STATUS_OK;
    size_t number;
    struct source *source = find_frame(r, m, &number);
    struct frame *frame = NULL;
    const struct config *c = &source->config;
    const double margin = training_margin(&r->model.config.training, source->box.d);
    r->force = (struct system_force){c->system, system_pair_law(&c->system, &c->simulation)};
    const double reach = snapshot_reach(pair_reach(&r->force.law)) + margin;
    timer_begin(&r->timings, r->timer_read);
    status = source_frame(s, source, number, r->model.network.neighbours, reach, margin, &frame, step,
                          &r->time[m]);
    timer_end(&r->timings, r->timer_read);
    if (status != STATUS_OK)
        goto out;
    const struct snapshot_input in = {
        .frame = frame,
        .law = learning_law(&c->system, &r->model.network, &r->model.config.training),
        .force = learning_forces(&r->force),
        .scores = r->model.scores,
        .weights = r->model.weights,
        .contact_distance = s->config.evaluation.contact_distance,
        .sigma = config_smoothing(&r->model.config.training),
        .noise = {.kind = r->model.config.training.noise,
                  .on = r->model.config.training.noise_on,
                  .seed = c->simulation.seed,
                  .stream = STREAM_PROBE,
                  .number = m},
        .probes = s->config.evaluation.probes};
    timer_begin(&r->timings, r->timer_network);
    status = snapshot_compute(&in, s->comm, r->snapshot);
    timer_end(&r->timings, r->timer_network);
out:
    frame_destroy(&frame);
    return status;
}

static enum status check_fields(struct session *s, struct evaluation_run *r, size_t m) {
    size_t number;
    const struct source *source = find_frame(r, m, &number);
    enum status status = STATUS_OK;
    for (int f = 0; f < FIELDS; f++)
        for (size_t c = 0; c < r->grid->held * (size_t)field_columns(r->grid, f) && status == STATUS_OK; c++)
            if (!isfinite(r->grid->field[f][c]))
                status =
                    FAIL(STATUS_NUMBERS, "frame %zu of %s: field %s of rank %d is not finite, at number %zu",
                         number, source->path, field_info[f].name, comm_rank(s->comm), c);
    return comm_agree(s->comm, status);
}

/* Fields, phases, profile and certificate of frame m, from the snapshot's columns alone. */
static enum status digest(struct session *s, struct evaluation_run *r, size_t m) {
    const struct evaluation_parameters *p = &s->config.evaluation;
    timer_begin(&r->timings, r->timer_fields);
    enum status status = fields_compute(r->grid, r->snapshot, s->ops, s->comm);
    if (status == STATUS_OK)
        status = check_fields(s, r, m);
    if (status == STATUS_OK)
        status = interface_compute(r->grid, p->interface_density, p->interface_width, r->snapshot, s->comm);
    if (status == STATUS_OK) {
        profile_add(r->profile, r->grid, r->snapshot, s->comm);
        certificate_add(r->certificate, r->snapshot, s->comm);
        classes_add(r->classes, r->snapshot, s->comm);
    }
    timer_end(&r->timings, r->timer_fields);
    return status;
}

static enum status write_frame(struct evaluation_run *r, size_t m, int64_t step) {
    enum status status = STATUS_OK;
    const struct snapshot *snapshot = r->snapshot;
    timer_begin(&r->timings, r->timer_files);
    for (int c = 0; c < COLUMNS; c++)
        TRY(evaluation_write_column(r->file, m, c, snapshot->begin, snapshot->count, snapshot->column[c]));
    for (int f = 0; f < FIELDS; f++)
        TRY(evaluation_write_field(r->file, m, f, r->grid->first, r->grid->count, r->grid->field[f]));
    TRY(evaluation_write_step(r->file, m, step, r->time[m]));
out:
    timer_end(&r->timings, r->timer_files);
    return status;
}

/* A frame that an earlier run finished: its columns from the file, its time from the trajectory. */
static enum status reread_frame(struct session *s, struct evaluation_run *r, size_t m) {
    enum status status = STATUS_OK;
    struct snapshot *snapshot = r->snapshot;
    size_t number;
    struct source *source = find_frame(r, m, &number);
    struct trajectory_frame f = {.begin = source->slice->begin,
                                 .count = source->slice->count,
                                 .position = source->position,
                                 .g = source->slice->g,
                                 .image = source->slice->image};
    TRY(trajectory_read(source->trajectory, number, &f));
    r->time[m] = f.time;
    for (int c = 0; c < COLUMNS; c++)
        TRY(evaluation_read_column(r->file, m, c, snapshot->begin, snapshot->count, snapshot->column[c]));
    TRY(digest(s, r, m));
out:
    return status;
}

/* What a frame that is being computed is looked at with: how far it is, and whether to stop. */
struct watch {
    struct session *session;
    struct progress *progress;
    double frames, particles; /* done before this frame; of a frame */
};

static bool watch_frame(void *context, double done) {
    struct watch *w = context;
    progress_show(w->progress, (w->frames + done) * w->particles, "particles");
    return session_stop_now(w->session, done);
}

static enum status evaluate_frame(struct session *s, struct evaluation_run *r, size_t m,
                                  struct progress *progress) {
    enum status status = STATUS_OK;
    int64_t step = 0;
    struct watch watch = {s, progress, (double)m, (double)r->shape.particles};
    scores_stop_by(r->model.scores, &(struct score_stop){.asked = watch_frame, .context = &watch});
    status = compute_frame(s, r, m, &step);
    scores_stop_by(r->model.scores, &(struct score_stop){0});
    TRY(status);
    progress_also_begin(progress);
    TRY(digest(s, r, m));
    TRY(write_frame(r, m, step));
    progress_also_end(progress);
out:
    return status;
}

/* The unfinished frame is dropped. Where not one frame fits into the time, going on would go on for ever. */
static enum status stopped(struct session *s, const struct evaluation_run *r, size_t before, size_t m,
                           double begun) {
    const double tried = timer_now() - begun, all = s->limit > 0 ? s->limit - s->begun : INFINITY;
    double hopeless = m == before && s->out_of_time && tried > 0.4 * all;
    comm_broadcast(s->comm, &hopeless, sizeof hopeless);
    status_clear(); /* of what was interrupted */
    if (hopeless > 0)
        return FAIL(
            STATUS_FAILURE,
            "no frame was finished in the %.3g minutes that there were: give run.walltime or the job more "
            "time, or more ranks",
            all / 60);
    log_info("stopped %s, with %zu of %zu frames written%s: go on with --resume", session_stop_reason(s), m,
             r->shape.frames, m == before ? " (none by this run)" : "");
    return STATUS_STOPPED;
}

/* Whether another frame is to be begun: not where it would not fit into the time. Collective. */
static bool next_frame_fits(struct session *s, double longest) {
    double short_of_time = session_time_left(s) < longest;
    comm_broadcast(s->comm, &short_of_time, sizeof short_of_time);
    if (short_of_time > 0)
        s->out_of_time = true;
    return !session_stop_agreed(s);
}

static enum status evaluate_frames(struct session *s, struct evaluation_run *r, size_t done) {
    enum status status = STATUS_OK;
    struct progress progress;
    const double n = (double)r->shape.particles, begun = timer_now();
    double longest = 0;
    char rate[64];
    for (size_t m = 0; m < done; m++) {
        if (session_stop_agreed(s))
            return stopped(s, r, done, done, begun);
        TRY(reread_frame(s, r, m));
    }
    progress_start(&progress, "evaluation", (double)r->shape.frames * n, (double)done * n);
    progress_also(&progress, (double)(r->shape.frames - done), 0);
    for (size_t m = done; m < r->shape.frames; m++) {
        const double frame_begun = timer_now();
        status = next_frame_fits(s, longest) ? evaluate_frame(s, r, m, &progress) : STATUS_STOPPED;
        if (status == STATUS_STOPPED)
            return stopped(s, r, done, m, begun);
        TRY(status);
        longest = fmax(longest, timer_now() - frame_begun);
        progress_show(&progress, (double)(m + 1) * n, "particles");
    }
    snprintf(rate, sizeof rate, "%.4g particles/s",
             (double)(r->shape.frames - done) * n / (timer_now() - begun));
    progress_end(&progress, rate);
out:
    return status;
}

/* A complete evaluation of the same frames need not be made again. */
static enum status open_file(struct session *s, struct evaluation_run *r, size_t *done, bool *complete) {
    const double sigma = config_smoothing(&r->model.config.training);
    const double noise[] = {r->model.config.training.noise_on == NOISE_ON_XG ? sigma : 0, sigma};
    *done = 0;
    if (s->resume && file_exists(s->comm, r->path)) {
        enum status status = evaluation_continue(s->comm, r->path, &r->shape, &s->config, r->trajectories,
                                                 r->model.text, &r->file);
        if (status == STATUS_OK)
            status = evaluation_written(r->file, done);
        if (status == STATUS_OK)
            status = evaluation_complete(r->file, complete);
        if (status == STATUS_OK)
            log_info("resuming from %s: %zu of %zu frames are there", r->path, *done, r->shape.frames);
        return session_resumable(s, status, r->path);
    }
    enum status status = session_keep_replaced(s, REPLACED_EVALUATE);
    if (status != STATUS_OK)
        return status;
    return evaluation_create(s->comm, r->path, &r->shape, &s->config, s->device, r->trajectories,
                             r->model.text, evaluation_convention(s), noise, &r->file);
}

static enum status stage(struct session *s) {
    enum status status = STATUS_OK;
    struct evaluation_run *r = calloc(1, sizeof *r);
    const double begun = timer_now();
    double computing, seconds;
    size_t done = 0;
    bool complete = false;
    memory_forget_peak();
    TRY(plan_evaluate(s));
    if (s->dry_run)
        goto out;
    if (!r)
        status = FAIL(STATUS_FAILURE, "out of memory for an evaluation");
    TRY(comm_agree(s->comm, status));
    session_path(s, "evaluation.h5", r->path);
    TRY(session_lock_output(s));
    TRY(session_refuse_existing(s, r->path));
    TRY(model_load(s, &r->model));
    TRY(open_sources(s, r));
    TRY(session_open_output(s));
    TRY(prepare(s, r));
    session_enter(s);
    TRY(open_file(s, r, &done, &complete));
    if (complete) {
        log_info("%s is complete: nothing to evaluate", r->path);
        goto out;
    }
    computing = timer_now();
    TRY(evaluate_frames(s, r, done));
    seconds = timer_now() - computing;
    TRY(evaluation_results(s, r));
    closing_timings(s, &r->timings, timer_now() - begun);
    closing_rate(s, "particles evaluated", (double)(r->shape.frames - done) * (double)r->shape.particles,
                 seconds);
    closing_memory(s, (double)r->shape.particles);
out:
    session_leave(s);
    if (r) {
        enum status closed = evaluation_close(&r->file);
        status = session_settle_replaced(s, REPLACED_EVALUATE, status == STATUS_OK ? closed : status);
        for (int m = 0; m < r->sources; m++)
            source_close(&r->source[m]);
        model_release(s, &r->model);
        snapshot_destroy(&r->snapshot);
        field_grid_destroy(&r->grid);
        certificate_destroy(&r->certificate);
        classes_destroy(&r->classes);
        profile_destroy(&r->profile);
        free(r->profile_values);
        free(r->time);
        free(r);
    }
    return status;
}

enum status command_evaluate(struct session *s) {
    return closing_stage(s, "evaluate", stage);
}
