/* Train: load frames, steps of the loss, tests on held-out frames, the model. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "commands/commands.h"
#include "commands/frames.h"
#include "commands/learning.h"
#include "io/model_file.h"

enum { LOG_ROWS = 20000 }; /* about as many rows of the training log are kept */

struct training_run {
    struct system_force force;
    struct trainer_setup setup;
    struct trainer *trainer;
    struct dataset train, held_out;
    struct model_state state; /* log and test rows; arrays for checkpoints */
    struct model_tensor *tensor;
    char path[SESSION_PATH], data[4096];
    int64_t log_every;
    double last_checkpoint;
    struct training_log_row sum; /* since the last row; step counts the steps */
    double sum_drawn, sum_started;
};

/* "denoising, Gaussian noise 0.01 on g" */
static void describe_loss(const struct training_parameters *p, char *out, size_t size) {
    const char *on = p->noise_on == NOISE_ON_G ? "g" : "x and g";
    size_t used = 0;
    if (p->loss == LOSS_DENOISING) {
        used = (size_t)snprintf(out, size, "denoising, %s noise %g on %s",
                                p->noise == NOISE_GAUSSIAN ? "Gaussian" : "Rademacher", p->sigma, on);
        if (p->weighting == WEIGHTING_STIFFNESS)
            snprintf(out + used, size - used, ", weights 1 / (%g + stiffness / gamma)", p->weighting_offset);
    } else if (p->loss == LOSS_VELOCITY) {
        snprintf(out, size, "velocities from pairs of successive frames");
    } else {
        used = (size_t)snprintf(out, size, "score matching, divergence %s",
                                p->divergence == DIVERGENCE_EXACT ? "exact" : "by Hutchinson's probes");
        if (p->smoothing > 0)
            used +=
                (size_t)snprintf(out + used, size - used, ", samples smoothed by %g on %s", p->smoothing, on);
        if (p->l_fpe > 0)
            snprintf(out + used, size - used, ", weight %g, and stationarity, weight %g", p->l_sm, p->l_fpe);
    }
}

/* What a network sees jumps where particles enter and leave its window; score matching in x does not know of it. */
static void warn_of_jumps(const struct config *c) {
    const struct network_parameters *n = &c->network;
    double side[MAX_DIMENSION];
    if (c->training.loss != LOSS_SCORE_MATCHING || c->system.eps == 0 || c->system.kind == SYSTEM_CRYSTAL)
        return;
    config_box(&c->system, side);
    if ((n->window == WINDOW_LOCAL || n->window == WINDOW_PERIODIC) &&
        n->neighbours < c->system.particles - 1)
        log_warning("score matching in x takes no account of particles that enter and leave a window of %d "
                    "neighbours: "
                    "its scores will be biased; training.loss = denoising is not",
                    n->neighbours);
    else if (n->window == WINDOW_LOCAL && !config_is_open(&c->system))
        log_warning(
            "a window of all particles reaches half the box, where relative positions jump: network.window = "
            "periodic does not");
}

enum status plan_train(const struct session *s) {
    const struct config *c = &s->config;
    struct system_force force;
    const struct trainer_setup setup = learning_setup(c, &force);
    struct scores *scores = NULL;
    char memory[32], what[160], frames[48] = "";
    enum status status = scores_create(s->ops, &setup.network, setup.d, setup.with_x, setup.chunk, &scores);
    if (status != STATUS_OK)
        return status;
    const size_t weights = scores->tensors.size;
    const int64_t n = c->system.particles, all = config_total(&c->system);
    const int64_t wanted = c->training.batch < all ? c->training.batch : all;
    const int64_t batch = training_by_configuration(&setup) ? (wanted / n > 0 ? wanted / n : 1) * n : wanted;
    const double per_step =
        2 * scores_operations(scores).training * (double)batch * c->training.frames_per_step;
    /* what stays in memory of a particle: id, q, image, g, neighbours, tables; halos add to it */
    const double particle = 12 + 20.0 * c->system.dimension + 4.0 * setup.network.neighbours;
    const double held =
        particle * (double)config_total(&c->system) * c->simulation.frames / comm_size(s->comm);
    text_bytes((double)weights * sizeof(real) * 10 + scores_memory(scores) + held, memory, sizeof memory);
    log_info("train:    %zu weights, %d neighbours a window, about %d tokens at once", weights,
             setup.network.neighbours, c->run.chunk);
    log_info("          about %s per rank with all frames of a trajectory as planned here, and their halos",
             memory);
    describe_loss(&c->training, what, sizeof what);
    if (c->training.frames_per_step > 1)
        snprintf(frames, sizeof frames, " of each of %d frames", c->training.frames_per_step);
    log_info("          %" PRId64 " steps of %" PRId64
             " particles%s, %s; the last %.0f %% of the frames held out",
             c->training.steps, batch, frames, what, 100 * c->training.held_out);
    if (c->training.loss == LOSS_DENOISING)
        log_info("          %.3g GFLOP a step", per_step * 1e-9);
    warn_of_jumps(c);
    if (c->training.trajectory_count == 0)
        log_info("          reads %s/trajectory.h5", c->output.directory);
    for (int m = 0; m < c->training.trajectory_count; m++)
        log_info("          reads %s, weight %g", c->training.trajectories[m].file,
                 c->training.trajectories[m].weight);
    log_info("          writes %s/model.h5", c->output.directory);
    scores_destroy(&scores);
    return STATUS_OK;
}

/* ---- data ---- */

/* The halo reaches the neighbours, and the force where the loss needs it. */
static enum status load_frame(struct session *s, struct training_run *r, struct source *source, size_t frame,
                              double margin, struct frame **out) {
    const double least = r->setup.force.compute ? r->force.law.cutoff + margin : 0;
    const int k = r->setup.network.neighbours;
    if (s->config.training.loss == LOSS_VELOCITY)
        return source_pair(s, source, frame, k, least, margin, out);
    return source_frame(s, source, frame, k, least, margin, out, NULL, NULL);
}

static enum status load_frames(struct session *s, struct training_run *r, struct source *source, size_t first,
                               size_t count, struct dataset_part *part) {
    enum status status = STATUS_OK;
    const double margin = training_margin(&s->config.training, source->box.d);
    part->frame = calloc(count + 1, sizeof *part->frame);
    if (!part->frame)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", count);
    TRY(comm_agree(s->comm, status));
    for (size_t m = 0; m < count; m++) {
        TRY(load_frame(s, r, source, first + m, margin, &part->frame[m]));
        part->frames++;
    }
out:
    return status;
}

/* Where the loss weighs particles by it and x stays as it is. */
static enum status hold_divergences(struct session *s, struct training_run *r, struct dataset_part *part) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &s->config.training;
    for (int m = 0; p->weighting == WEIGHTING_STIFFNESS && p->noise_on == NOISE_ON_G && m < part->frames; m++)
        TRY(frame_divergence(part->frame[m], s->comm, &r->setup.force));
out:
    return status;
}

static enum status load_trajectory(struct session *s, struct training_run *r, const char *path,
                                   double weight) {
    enum status status = STATUS_OK;
    struct source *source = NULL;
    TRY(source_open(s, path, s->config.training.held_out, training_by_configuration(&r->setup),
                    &r->setup.network, &source));
    /* Of n successive frames there are n - 1 pairs. */
    const size_t last = s->config.training.loss == LOSS_VELOCITY ? 1 : 0, used = strlen(r->data);
    const size_t training = source->frames - source->held_out;
    const size_t held_out = source->held_out > last ? source->held_out - last : 0;
    if (training <= last) {
        status = FAIL(STATUS_BAD_INPUT, "%s has %zu frames, and training.held_out = %g leaves %s to train on",
                      path, source->frames, s->config.training.held_out, last > 0 ? "no pair" : "none");
        goto out;
    }
    log_info("%s: %zu %s to train on, %zu held out", path, training - last,
             last > 0 ? "pairs of frames" : "frames", held_out);
    if (source->held_out > 0 && held_out == 0)
        log_warning("a single frame is held out, and a test of velocities needs a pair: nothing is tested");
    snprintf(r->data + used, sizeof r->data - used, "%s%s", used > 0 ? ", " : "", path);
    r->train.part[r->train.parts].weight = r->held_out.part[r->held_out.parts].weight = weight;
    TRY(load_frames(s, r, source, 0, training - last, &r->train.part[r->train.parts++]));
    TRY(hold_divergences(s, r, &r->train.part[r->train.parts - 1]));
    TRY(load_frames(s, r, source, training, held_out, &r->held_out.part[r->held_out.parts++]));
out:
    source_close(&source);
    return status;
}

static enum status load_data(struct session *s, struct training_run *r) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &s->config.training;
    const size_t most = CONFIG_FILES;
    char path[SESSION_PATH];
    r->train.part = calloc(most, sizeof *r->train.part);
    r->held_out.part = calloc(most, sizeof *r->held_out.part);
    if (!r->train.part || !r->held_out.part)
        status = FAIL(STATUS_FAILURE, "out of memory for the data");
    TRY(comm_agree(s->comm, status));
    session_path(s, "trajectory.h5", path);
    if (p->trajectory_count == 0)
        TRY(load_trajectory(s, r, path, 1));
    for (int m = 0; m < p->trajectory_count; m++)
        TRY(load_trajectory(s, r, p->trajectories[m].file, p->trajectories[m].weight));
out:
    return status;
}

/* ---- the model: in memory, and in its file ---- */

static enum status make_state(struct session *s, struct training_run *r) {
    const struct tensors *t = &r->trainer->scores->tensors;
    r->state.size = t->size;
    r->state.weights = calloc(t->size, sizeof(real));
    r->state.average = calloc(t->size, sizeof(real));
    r->state.mu = calloc(t->size, sizeof(real));
    r->state.nu = calloc(t->size, sizeof(real));
    r->tensor = calloc((size_t)t->count, sizeof *r->tensor);
    enum status status = STATUS_OK;
    if (!r->state.weights || !r->state.average || !r->state.mu || !r->state.nu || !r->tensor)
        status = FAIL(STATUS_FAILURE, "out of memory for a network of %zu weights", t->size);
    for (int m = 0; status == STATUS_OK && m < t->count; m++)
        r->tensor[m] =
            (struct model_tensor){t->list[m].name, t->list[m].rows, t->list[m].columns, t->list[m].offset};
    return comm_agree(s->comm, status);
}

/* Between the state's arrays and the optimizer's. */
static void move_state(struct session *s, struct training_run *r, bool to_host) {
    struct optimizer *o = r->trainer->optimizer;
    const size_t bytes = o->size * sizeof(real);
    real *const host[] = {r->state.weights, r->state.average, r->state.mu, r->state.nu};
    real *const device[] = {o->theta, o->average, o->mu, o->nu};
    for (int m = 0; m < 4; m++) {
        if (to_host)
            s->ops->to_host(s->ops, host[m], device[m], bytes);
        else
            s->ops->to_device(s->ops, device[m], host[m], bytes);
    }
}

static enum status save_model(struct session *s, struct training_run *r) {
    move_state(s, r, true);
    r->state.step = r->trainer->optimizer->step;
    r->last_checkpoint = timer_now();
    return model_write(s->comm, r->path, &s->config, s->device, r->data, r->trainer->scores->tensors.count,
                       r->tensor, &r->state);
}

static enum status resume_model(struct session *s, struct training_run *r) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    TRY(file_open(s->comm, r->path, "model", false, &file));
    TRY(file_same_parameters(file, s->comm, &s->config, "network,training,data", HINT_RESUME));
    TRY(h5_close(&file));
    free(r->state.log);
    free(r->state.test);
    TRY(model_read(s->comm, r->path, r->trainer->scores->tensors.count, r->tensor, &r->state));
    move_state(s, r, false);
    r->trainer->optimizer->step = r->state.step;
    log_info("resuming from %s: step %" PRId64 " of %" PRId64, r->path, r->state.step,
             s->config.training.steps);
out:
    h5_close(&file);
    return status;
}

/* ---- logs ---- */

static enum status log_step(struct session *s, struct training_run *r, double loss) {
    const struct optimizer *o = r->trainer->optimizer;
    r->sum.loss += loss;
    r->sum.gradient_norm += o->norm;
    r->sum_drawn += (double)r->trainer->drawn;
    r->sum.step++;
    if (o->step % r->log_every != 0 && o->step != s->config.training.steps)
        return STATUS_OK;
    struct training_log_row *log = realloc(r->state.log, (r->state.log_rows + 1) * sizeof *log);
    if (!log)
        return FAIL(STATUS_FAILURE, "out of memory for the training log");
    const double now = timer_now(), steps = (double)r->sum.step;
    r->state.log = log;
    log[r->state.log_rows++] =
        (struct training_log_row){.step = o->step,
                                  .loss = r->sum.loss / steps,
                                  .gradient_norm = r->sum.gradient_norm / steps,
                                  .rate = o->rate,
                                  .particles_per_second = r->sum_drawn / fmax(now - r->sum_started, 1e-9)};
    r->sum = (struct training_log_row){0};
    r->sum_drawn = 0;
    r->sum_started = now;
    return STATUS_OK;
}

static enum status test_model(struct session *s, struct training_run *r) {
    enum status status = STATUS_OK;
    struct test_log_row row = {.step = r->trainer->optimizer->step};
    int frames = 0;
    for (int p = 0; p < r->held_out.parts; p++)
        frames += r->held_out.part[p].frames;
    if (frames == 0)
        return STATUS_OK;
    struct trainer_result result;
    TRY(trainer_test(r->trainer, &r->held_out, s->config.training.test_particles, &result));
    row.resolved_fraction = result.resolved_fraction;
    row.error = result.error;
    row.residual = result.residual;
    struct test_log_row *test = realloc(r->state.test, (r->state.test_rows + 1) * sizeof *test);
    if (!test)
        status = FAIL(STATUS_FAILURE, "out of memory for the training log");
    TRY(comm_agree(s->comm, status));
    r->state.test = test;
    test[r->state.test_rows++] = row;
    if (s->config.system.kind == SYSTEM_UNKNOWN)
        log_info("step %" PRId64 ": held-out loss of velocities %.5g +- %.2g", row.step,
                 -row.resolved_fraction, row.error);
    else
        log_info("step %" PRId64 ": held-out resolved fraction %.4g +- %.2g", row.step, row.resolved_fraction,
                 row.error);
    if (!isnan(row.residual))
        log_info("step %" PRId64 ": held-out residual of stationarity %.4g", row.step, row.residual);
out:
    return status;
}

/* ---- the run ---- */

static enum status train(struct session *s, struct training_run *r) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &s->config.training;
    struct optimizer *o = r->trainer->optimizer;
    struct progress progress;
    char detail[128];
    const int64_t first = o->step;
    const double begun = timer_now();
    double loss = 0, drawn = 0;
    r->last_checkpoint = r->sum_started = begun;
    progress_start(&progress, "training", (double)p->steps, (double)first);
    while (o->step < p->steps) {
        TRY(trainer_step(r->trainer, &r->train, &loss));
        drawn += (double)r->trainer->drawn;
        TRY(comm_agree(s->comm, log_step(s, r, loss)));
        double stop = session_stop_requested();
        comm_max(s->comm, &stop, 1);
        bool due = session_interval_passed(s, p->checkpoint_interval, &r->last_checkpoint);
        if ((stop > 0 || due) && o->step < p->steps)
            TRY(save_model(s, r));
        if (stop > 0 && o->step < p->steps) {
            log_info("stopped on request at step %" PRId64 "; %s is written: go on with --resume", o->step,
                     r->path);
            return STATUS_STOPPED;
        }
        if (p->test_interval > 0 && o->step % p->test_interval == 0 && o->step < p->steps)
            TRY(test_model(s, r));
        snprintf(detail, sizeof detail, "steps, loss %.5g, rate %.3g", loss, o->rate);
        progress_show(&progress, (double)o->step, detail);
    }
    const double seconds = timer_now() - begun;
    snprintf(detail, sizeof detail, "%" PRId64 " steps, %.4g particles/s", o->step - first, drawn / seconds);
    progress_end(&progress, detail);
    TRY(test_model(s, r));
    TRY(save_model(s, r));
    session_print_timings(s, &r->trainer->timings, seconds);
out:
    return status;
}

enum status command_train(struct session *s) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    struct training_run r = {.log_every = 1 + c->training.steps / LOG_ROWS};
    TRY(comm_agree(s->comm, plan_train(s)));
    if (s->dry_run)
        return STATUS_OK;
    r.setup = learning_setup(c, &r.force);
    session_path(s, "model.h5", r.path);
    TRY(session_refuse_existing(s, r.path));
    TRY(load_data(s, &r));
    TRY(session_open_output(s));
    if (s->overwrite)
        TRY(file_remove(s->comm, r.path)); /* a run that is killed before its first checkpoint starts anew */
    TRY(trainer_create(s->ops, s->comm, &r.setup, NULL, &r.trainer));
    TRY(make_state(s, &r));
    if (s->resume && file_exists(s->comm, r.path))
        TRY(resume_model(s, &r));
    if (r.trainer->optimizer->step < c->training.steps)
        TRY(train(s, &r));
    else
        log_info("%s is complete: nothing to train", r.path);
out:
    trainer_destroy(&r.trainer);
    dataset_free(&r.train);
    dataset_free(&r.held_out);
    real *const arrays[] = {r.state.weights, r.state.average, r.state.mu, r.state.nu};
    for (int m = 0; m < 4; m++)
        free(arrays[m]);
    free(r.state.log);
    free(r.state.test);
    free(r.tensor);
    return status;
}
