/* Train: load frames, steps of the loss, tests on held-out frames, the model. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "commands/closing.h"
#include "commands/commands.h"
#include "commands/learning.h"
#include "commands/retry.h"
#include "commands/memory.h"
#include "commands/training_data.h"
#include "io/model_file.h"

enum { LOG_ROWS = 20000 }; /* about as many rows of the training log are kept */

struct training_run {
    struct system_force force;
    struct trainer_setup setup;
    struct trainer *trainer;
    struct training_data data;
    struct model_state state; /* log and test rows; arrays for checkpoints */
    struct model_tensor *tensor;
    char path[SESSION_PATH];
    int64_t log_every;
    double last_checkpoint;
    double sum_drawn, sum_started; /* since the last row of the log, in this run */
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

static void describe_steps(const struct config *c, const struct trainer_setup *setup, double operations) {
    const struct training_parameters *p = &c->training;
    const int64_t n = c->system.particles, all = config_total(&c->system);
    const int64_t wanted = p->batch < all ? p->batch : all;
    const int64_t batch = training_by_configuration(setup) ? (wanted / n > 0 ? wanted / n : 1) * n : wanted;
    char what[160], frames[48] = "";
    describe_loss(p, what, sizeof what);
    if (p->frames_per_step > 1)
        snprintf(frames, sizeof frames, " of each of %d frames", p->frames_per_step);
    log_info("          %" PRId64 " steps of %" PRId64
             " particles%s; the last %.0f %% of the frames held out",
             p->steps, batch, frames, 100 * p->held_out);
    log_info("          %s", what);
    if (p->loss == LOSS_DENOISING)
        log_info("          %.3g GFLOP a step", 2e-9 * operations * (double)batch * p->frames_per_step);
}

static enum status plan(struct session *s) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    struct system_force force;
    const struct trainer_setup setup = learning_setup(c, &force);
    struct scores *scores = NULL;
    double held = 0, largest = 0;
    TRY(comm_agree(s->comm,
                   scores_create(s->ops, &setup.network, setup.d, setup.with_x, setup.chunk, &scores)));
    const size_t weights = scores->tensors.size;
    if (setup.network.kind == NETWORK_RESPONSE)
        log_info("train:    response network of %zu weights, %d layers; a score depends on %.3g r0 around it",
                 weights, setup.network.response.layers, graph_reach(&setup.network.response, &c->system));
    else
        log_info("train:    %zu weights, %d neighbours a window, about %d tokens at once", weights,
                 setup.network.neighbours, setup.chunk > 0 ? setup.chunk : s->ops->chunk);
    describe_steps(c, &setup, scores_operations(scores).training);
    warn_of_jumps(c);
    TRY(training_data_plan(s, &setup, &held, &largest));
    log_info("          writes %s/model.h5", c->output.directory);
    TRY(memory_plan_train(s, &setup, scores, held / largest, largest));
out:
    scores_destroy(&scores);
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
    TRY(comm_agree(s->comm, status));
    status = retry_create(s, r->trainer, &r->state);
out:
    return status;
}

/* Between the state's arrays and the optimizer's. */
static void move_state(struct training_run *r, bool to_host) {
    retry_move(r->trainer, (real *const[]){r->state.weights, r->state.average, r->state.mu, r->state.nu},
               to_host);
}

static enum status save_model(struct session *s, struct training_run *r, const char *path) {
    move_state(r, true);
    r->state.step = r->trainer->optimizer->step;
    r->last_checkpoint = timer_now();
    struct model_data data = {.count = r->data.count};
    for (int m = 0; m < data.count; m++) {
        data.path[m] = r->data.file[m].path;
        data.identity[m] = r->data.file[m].identity;
    }
    return model_write(s->comm, path, &s->config, s->device, &data, r->trainer->scores->tensors.count,
                       r->tensor, &r->state);
}

static enum status resume_model(struct session *s, struct training_run *r) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    TRY(file_open(s->comm, r->path, "model", false, &file));
    TRY(file_same_parameters(file, s->comm, &s->config,
                             "network,response,training,data,-training.retries,-training.retry_factor,"
                             "-training.retry_interval,-training.loss_limit,-training.checkpoint_interval",
                             HINT_RESUME));
    TRY(h5_close(&file));
    TRY(training_data_same(s, r->path, &r->data));
    TRY(model_read(s->comm, r->path, r->trainer->scores->tensors.count, r->tensor, &r->state));
    move_state(r, false);
    r->trainer->optimizer->step = r->state.step;
    log_info("resuming from %s: step %" PRId64 " of %" PRId64, r->path, r->state.step,
             s->config.training.steps);
    if (r->state.retry_rows > 0)
        log_info("  it went back %zu times: training.rate is %g now", r->state.retry_rows,
                 r->state.retry[r->state.retry_rows - 1].rate);
out:
    h5_close(&file);
    return status;
}

/* ---- logs ---- */

static enum status log_step(struct session *s, struct training_run *r, double loss) {
    const struct optimizer *o = r->trainer->optimizer;
    struct training_log_row *sum = &r->state.sum;
    sum->loss += loss;
    sum->gradient_norm += o->norm;
    sum->step++;
    r->sum_drawn += (double)r->trainer->drawn;
    if (o->step % r->log_every != 0 && o->step != s->config.training.steps)
        return STATUS_OK;
    struct training_log_row *log = realloc(r->state.log, (r->state.log_rows + 1) * sizeof *log);
    if (!log)
        return FAIL(STATUS_FAILURE, "out of memory for the training log");
    const double now = timer_now(), steps = (double)sum->step;
    r->state.log = log;
    log[r->state.log_rows++] =
        (struct training_log_row){.step = o->step,
                                  .loss = sum->loss / steps,
                                  .gradient_norm = sum->gradient_norm / steps,
                                  .rate = o->rate,
                                  .particles_per_second = r->sum_drawn / fmax(now - r->sum_started, 1e-9)};
    *sum = (struct training_log_row){0};
    r->sum_drawn = 0;
    r->sum_started = now;
    return STATUS_OK;
}

/* "held-out resolved fraction 0.71 +- 0.01", of what follows. */
static void say_result(struct session *s, int64_t step, const struct trainer_result *result, const char *of) {
    if (s->config.system.kind == SYSTEM_UNKNOWN)
        log_info("step %" PRId64 ": held-out loss of velocities %.5g +- %.2g%s", step,
                 -result->resolved_fraction, result->error, of);
    else
        log_info("step %" PRId64 ": held-out resolved fraction %.4g +- %.2g%s", step,
                 result->resolved_fraction, result->error, of);
}

static enum status test_model(struct session *s, struct training_run *r) {
    enum status status = STATUS_OK;
    const struct training_data *data = &r->data;
    struct test_log_row row = {.step = r->trainer->optimizer->step};
    struct trainer_result result, each[CONFIG_FILES];
    int tested = 0;
    for (int m = 0; m < data->count; m++)
        tested += data->file[m].held_out > 0;
    if (tested == 0)
        return STATUS_OK;
    TRY(trainer_test(r->trainer, &data->held_out, s->config.training.test_particles, &result, each));
    row.resolved_fraction = result.resolved_fraction;
    row.error = result.error;
    row.residual = result.residual;
    struct test_log_row *test = realloc(r->state.test, (r->state.test_rows + 1) * sizeof *test);
    if (test)
        r->state.test = test; /* also where another rank fails: the old block is gone */
    else
        status = FAIL(STATUS_FAILURE, "out of memory for the training log");
    TRY(comm_agree(s->comm, status));
    r->state.test[r->state.test_rows++] = row;
    say_result(s, row.step, &result, tested > 1 ? ", of all trajectories" : "");
    for (int m = 0; m < data->count && tested > 1; m++) {
        char of[SESSION_PATH + 64];
        snprintf(of, sizeof of, ", of %s (phi %.4g)", data->file[m].path, data->file[m].packing_fraction);
        if (data->file[m].held_out > 0)
            say_result(s, row.step, &each[m], of);
    }
    if (!isnan(row.residual))
        log_info("step %" PRId64 ": held-out residual of stationarity %.4g", row.step, row.residual);
out:
    return status;
}

/* Whether a test belongs to the step that was reached and is not made yet: an earlier run may have been stopped in it. */
static bool test_is_due(const struct session *s, const struct training_run *r) {
    const struct training_parameters *p = &s->config.training;
    const int64_t step = r->trainer->optimizer->step;
    const int64_t last = r->state.test_rows > 0 ? r->state.test[r->state.test_rows - 1].step : 0;
    bool any = false;
    for (int m = 0; m < r->data.count; m++)
        any = any || r->data.file[m].held_out > 0;
    return any && last < step && (step == p->steps || (p->test_interval > 0 && step % p->test_interval == 0));
}

/* ---- the run ---- */

/* A training step, its row of the log, and whether the training has diverged. What went wrong is the same on all ranks. */
static enum status step(struct session *s, struct training_run *r, double *loss) {
    struct loss_watch *watch = &r->state.watch;
    const double limit = s->config.training.loss_limit;
    enum status status = trainer_step(r->trainer, &r->data.train, loss);
    if (status == STATUS_OK)
        status = log_step(s, r, *loss);
    if (status == STATUS_OK && loss_watch_add(watch, limit, *loss))
        status = FAIL(STATUS_NUMBERS,
                      "training step %" PRId64 ": the training has diverged: the last %" PRId64
                      " losses were all above %.4g, after a mean of %.4g: use a smaller training.rate, or "
                      "training.retries, or set training.loss_limit",
                      r->trainer->optimizer->step, watch->above, loss_watch_line(watch, limit), watch->best);
    status = comm_agree(s->comm, status);
    return status == STATUS_NUMBERS ? trainer_explain(r->trainer, &r->data.train) : status;
}

static enum status stop_here(struct session *s, struct training_run *r) {
    enum status status = STATUS_OK;
    TRY(save_model(s, r, r->path));
    log_info("stopped %s at step %" PRId64 "; %s is written: go on with --resume", session_stop_reason(s),
             r->trainer->optimizer->step, r->path);
    status = STATUS_STOPPED;
out:
    return status;
}

/* Tests that are still to come. */
static double tests_left(const struct session *s, const struct training_run *r) {
    const struct training_parameters *p = &s->config.training;
    const int64_t step = r->trainer->optimizer->step, each = p->test_interval;
    double tests = test_is_due(s, r);
    if (each > 0)
        tests += (double)(p->steps / each - step / each);
    return tests + (step < p->steps && (each == 0 || p->steps % each != 0));
}

/* How many steps take as long as a test, by what both compute: a loss of scores that are matched, or of noise in both
 * signs, runs the network forth and back twice. */
static double test_in_steps(const struct session *s, const struct training_run *r) {
    const struct training_parameters *p = &s->config.training;
    const struct score_cost cost = scores_operations(r->trainer->scores);
    const double step = 2 * cost.training * fmin((double)p->batch, (double)config_total(&s->config.system)) *
                        p->frames_per_step;
    double tested = 0;
    for (int m = 0; m < r->data.count; m++) {
        const double particles = (double)(r->data.file[m].particles * r->data.file[m].copies);
        const double most = p->test_particles > 0 ? (double)p->test_particles : particles;
        tested += (double)r->data.file[m].held_out * fmin(particles, most);
    }
    return cost.divergence * tested / step;
}

/* Of all frames. */
static double held_particles(const struct training_data *data) {
    double particles = 0;
    for (int m = 0; m < data->count; m++)
        particles += (double)(data->file[m].particles * data->file[m].copies) *
                     (double)(data->file[m].training + data->file[m].held_out);
    return particles;
}

static void close_results(struct session *s, const struct model_state *state) {
    closing_results(s);
    closing_number(s, "steps", (double)state->step);
    if (state->log_rows > 0)
        closing_number(s, "loss", state->log[state->log_rows - 1].loss);
    if (state->test_rows > 0) {
        const struct test_log_row *test = &state->test[state->test_rows - 1];
        closing_estimate(s, "held_out_resolved_fraction", test->resolved_fraction, test->error);
        closing_number(s, "held_out_residual", test->residual);
    }
    closing_number(s, "retries", (double)state->retry_rows);
    closing_results_end(s);
}

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
    progress_also(&progress, tests_left(s, r), test_in_steps(s, r));
    while (true) {
        if (test_is_due(s, r)) {
            progress_also_begin(&progress);
            status = test_model(s, r);
            progress_also_end(&progress);
            if (status == STATUS_STOPPED)
                return stop_here(s, r);
            if (status == STATUS_NUMBERS) {
                TRY(retry_go_back(s, r->trainer, &r->state));
                continue;
            }
            TRY(status);
        }
        if (o->step == p->steps)
            break;
        status = step(s, r, &loss);
        if (status == STATUS_NUMBERS) {
            TRY(retry_go_back(s, r->trainer, &r->state));
            continue;
        }
        TRY(status);
        retry_keep(s, r->trainer, &r->state);
        drawn += (double)r->trainer->drawn;
        const bool stop = session_stop_agreed(s);
        const bool due = session_interval_passed(s, p->checkpoint_interval, &r->last_checkpoint);
        if (stop && (o->step < p->steps || test_is_due(s, r)))
            return stop_here(s, r);
        if (due && o->step < p->steps)
            TRY(save_model(s, r, r->path));
        snprintf(detail, sizeof detail, "steps, loss %.5g, rate %.3g", loss, o->rate);
        progress_show(&progress, (double)o->step, detail);
    }
    const double seconds = timer_now() - begun;
    snprintf(detail, sizeof detail, "%" PRId64 " steps, %.4g particles/s", o->step - first, drawn / seconds);
    progress_end(&progress, detail);
    TRY(save_model(s, r, r->path));
    closing_timings(s, &r->trainer->timings, seconds);
    closing_rate(s, "training steps", (double)(o->step - first), seconds);
    closing_rate(s, "particles trained on", drawn, seconds);
    closing_memory(s, held_particles(&r->data));
    close_results(s, &r->state);
out:
    return status;
}

/* Weights and optimizer before the step in which the numbers went wrong, into a file of their own; model.h5 stays as it
 * was. What is returned stays STATUS_NUMBERS, with its message. */
static enum status set_aside(struct session *s, struct training_run *r) {
    char path[SESSION_PATH];
    struct status_note failure;
    session_path(s, "failed-model.h5", path);
    status_hold(&failure);
    if (save_model(s, r, path) == STATUS_OK)
        log_info("the model at step %" PRId64 ", before the one that failed, is in %s", r->state.step, path);
    else
        log_warning("the model could not be set aside: %s", status_message());
    status_put_back(&failure);
    return STATUS_NUMBERS;
}

static enum status stage(struct session *s) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    struct training_run r = {.log_every = 1 + c->training.steps / LOG_ROWS};
    memory_forget_peak();
    TRY(plan(s));
    if (s->dry_run)
        return STATUS_OK;
    r.setup = learning_setup(c, &r.force);
    session_path(s, "model.h5", r.path);
    TRY(session_lock_output(s));
    TRY(session_refuse_existing(s, r.path));
    const bool resuming = s->resume && file_exists(s->comm, r.path);
    TRY(training_data_load(s, &r.setup, pair_reach(&r.force.law), resuming ? r.path : NULL, &r.data));
    TRY(session_open_output(s));
    TRY(trainer_create(s->ops, s->comm, &r.setup, NULL, &r.trainer));
    TRY(make_state(s, &r));
    if (resuming)
        TRY(session_resumable(s, resume_model(s, &r), r.path));
    if (s->overwrite && file_exists(s->comm, r.path)) {
        TRY(session_keep_replaced(s, REPLACED_TRAIN));
        TRY(save_model(s, &r, r.path)); /* from here on --resume goes on with this one */
    }
    retry_begin(s, r.trainer, &r.state);
    scores_stop_by(r.trainer->scores, &(struct score_stop){.asked = session_stop_now, .context = s});
    session_enter(s);
    if (r.trainer->optimizer->step < c->training.steps || test_is_due(s, &r)) {
        status = train(s, &r);
        if (status == STATUS_NUMBERS)
            status = set_aside(s, &r);
        TRY(status);
    } else {
        log_info("%s is complete: nothing to train", r.path);
    }
out:
    status = session_settle_replaced(s, REPLACED_TRAIN, status);
    session_leave(s);
    trainer_destroy(&r.trainer);
    training_data_free(&r.data);
    real *const arrays[] = {r.state.weights, r.state.average, r.state.mu, r.state.nu};
    for (int m = 0; m < 4; m++)
        free(arrays[m]);
    free(r.state.log);
    free(r.state.test);
    free(r.state.retry);
    retry_release(&r.state);
    free(r.tensor);
    return status;
}

enum status command_train(struct session *s) {
    return closing_stage(s, "train", stage);
}
