/* Simulate: start or restart, burn-in, frames. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/text.h"
#include "commands/closing.h"
#include "commands/commands.h"
#include "commands/memory.h"
#include "commands/start_frame.h"
#include "commands/totals.h"
#include "dynamics/simulation.h"
#include "io/trajectory.h"

enum {
    CHECK_STEPS = 256, /* steps between looks at the clock for a restart */
    SHOW_STEPS = 8,    /* and for progress */
    FRAME_STEPS = 4    /* what sums and files of a frame take, in steps, as long as no frame was written */
};

/* One run: the simulation, its slice for files, and how far it is. */
struct run {
    struct simulation *simulation;
    struct trajectory *trajectory;
    struct slice *slice;
    double *position;    /* (slice, d) file convention */
    uint64_t frames;     /* written */
    double last_restart; /* seconds */
    uint64_t first;      /* step and time at which this run began */
    double begun;
    char path[SESSION_PATH], restart[SESSION_PATH], previous[SESSION_PATH], failed[SESSION_PATH];
    int timer_files;
};

static uint64_t frame_step(const struct config *c, uint64_t frame) {
    return (uint64_t)config_burn_in_steps(c) + frame * (uint64_t)config_interval_steps(c);
}

static void plan_lattice(const struct system_parameters *s) {
    const struct lattice lattice = system_lattice(s);
    static const char *const kind[] = {"", "chain", "triangular", "simple cubic"};
    log_info("          crystal, %s, of %u x %u x %u sites, longest bond %.4g r0", kind[s->dimension],
             lattice.sites[0], lattice.sites[1], lattice.sites[2], config_longest_bond(s));
}

enum status plan_simulate(struct session *s) {
    const struct config *c = &s->config;
    struct box box = system_box(&c->system);
    double n = (double)config_total(&c->system), d = box.d;
    double cutoff = config_cutoff(&c->system, &c->simulation);
    char file[32], sides[96] = "";
    for (int a = 0; a < box.d; a++)
        snprintf(sides + strlen(sides), sizeof sides - strlen(sides), "%s%.6g", a > 0 ? " x " : "",
                 box.side[a]);
    text_bytes(c->simulation.frames * n * (3 * 8 + d * 8 + 3 * 4), file, sizeof file);
    log_info("simulate: %" PRId64 " particles in %d dimensions, %s box of %s r0, packing fraction %.4g",
             c->system.particles, box.d, box.periodic ? "periodic" : "open", sides,
             config_packing_fraction(&c->system));
    if (c->system.copies > 1)
        log_info("          %" PRId64 " independent copies", c->system.copies);
    if (c->system.kind == SYSTEM_CRYSTAL)
        plan_lattice(&c->system);
    log_info("          cut-off %.4g r0, skin %.3g r0%s; %d ranks", cutoff,
             system_skin(&c->system, &c->simulation),
             system_skin_search(&c->system, &c->simulation).on ? " at first" : "", comm_size(s->comm));
    if (c->system.alignment > 0)
        log_info("          propulsions align at a rate of %g, within %.4g r0", c->system.alignment,
                 c->system.kind == SYSTEM_CRYSTAL ? config_longest_bond(&c->system)
                                                  : c->system.alignment_radius);
    log_info("          %" PRId64 " steps of burn-in, then %d frames every %" PRId64
             " steps: %.3g particle-steps",
             config_burn_in_steps(c), c->simulation.frames, config_interval_steps(c),
             n * (double)frame_step(c, (uint64_t)c->simulation.frames - 1));
    if (config_refine_steps(c) > 0)
        log_info("          before every frame %" PRId64 " of the steps are replaced by %" PRId64
                 " fine ones of %.4g",
                 config_refine_steps(c), config_fine_steps(c), system_fine_law(c).dt);
    else if (c->system.eps == 0)
        log_info("          frames are what Euler steps of %g sample: simulation.refine is 0%s",
                 c->simulation.dt,
                 c->system.kind == SYSTEM_AOUP && c->system.trap == 0 && c->system.k > 0 &&
                         c->system.alignment == 0
                     ? " (by default 10 / k, where that is less than the time between frames)"
                     : "");
    log_info("          writes %s/trajectory.h5 (%s), restart.h5", c->output.directory, file);
    return memory_plan_simulate(s);
}

/* ---- where to start ---- */

static struct restart restart_of(struct run *r) {
    return (struct restart){.step = r->simulation ? r->simulation->step_law.step : 0,
                            .frames = r->frames,
                            .begin = r->slice->begin,
                            .count = r->slice->count,
                            .q = r->slice->q,
                            .image = r->slice->image,
                            .g = r->slice->g};
}

/* The trajectory must be of this run. *written: its frames; nothing of them need be kept, as the same are written
 * again after the restart. */
static enum status inspect_trajectory(struct session *s, struct run *r, size_t *written) {
    enum status status = STATUS_OK;
    struct trajectory *t = NULL;
    *written = 0;
    if (!h5_is_hdf5(s->comm, r->path)) /* killed while an earlier version made it */
        return STATUS_OK;
    TRY(trajectory_open(s->comm, r->path, &t));
    TRY(file_same_parameters(trajectory_file(t), s->comm, &s->config, RUN_PARAMETERS ",simulation.frames",
                             HINT_RESUME));
    TRY(trajectory_written(t, written));
out:
    trajectory_close(&t);
    return status;
}

/* One of the two restarts. Damaged, cut off or ahead of the trajectory, it is STATUS_STORAGE: the other may do. */
static enum status read_restart(struct session *s, struct run *r, const char *path, size_t written,
                                struct restart *restart) {
    const struct config *c = &s->config;
    enum status status = restart_read(s->comm, path, r->slice->n, c->system.dimension, c, restart);
    if (status == STATUS_BAD_INPUT && !h5_is_hdf5(s->comm, path))
        status = FAIL(STATUS_STORAGE, "%s is damaged: it is not HDF5", path);
    if (status == STATUS_OK && restart->frames > written)
        status = FAIL(STATUS_STORAGE, "%s has %zu frames, and %s is of a run that had written %" PRIu64,
                      r->path, written, path, restart->frames);
    return status;
}

/* The newest restart that can be used; *found is false where there is none at all. */
static enum status choose_restart(struct session *s, struct run *r, size_t written, bool *found,
                                  uint64_t *step) {
    enum status status = STATUS_OK;
    const char *candidates[] = {r->restart, r->previous};
    for (int m = 0; m < 2 && !*found; m++) {
        struct restart restart = restart_of(r);
        if (!file_exists(s->comm, candidates[m]))
            continue;
        status = read_restart(s, r, candidates[m], written, &restart);
        if (status == STATUS_STORAGE && m == 0 && file_exists(s->comm, candidates[1])) {
            log_warning("%s; trying %s", status_message(), candidates[1]);
            status_clear();
            continue;
        }
        TRY(status);
        *found = true;
        *step = restart.step;
        r->frames = restart.frames;
        log_info("resuming from %s: step %" PRIu64 ", %" PRIu64 " of %d frames (%zu are in %s)",
                 candidates[m], restart.step, restart.frames, s->config.simulation.frames, written, r->path);
    }
out:
    if (status == STATUS_STORAGE)
        log_warning("no restart in %s can be used: start anew with --overwrite", s->config.output.directory);
    return status;
}

/* Without its trajectory a restart is of no use: the frames before it are lost. */
static enum status refuse_orphan(struct session *s, const struct run *r) {
    if (s->overwrite || file_exists(s->comm, r->path) || !file_exists(s->comm, r->restart))
        return STATUS_OK;
    return FAIL(STATUS_BAD_INPUT,
                "%s is there, but not the trajectory that it goes on with, %s: put it back, or start anew "
                "with --overwrite",
                r->restart, r->path);
}

/* Where a run goes on: from a restart, or at the end of a trajectory that needs none; *found is false where it starts
 * from the beginning. */
static enum status find_restart(struct session *s, struct run *r, bool *found, uint64_t *step) {
    enum status status = STATUS_OK;
    const uint64_t frames = (uint64_t)s->config.simulation.frames;
    size_t written = 0;
    *found = false;
    if (!s->resume || !file_exists(s->comm, r->path))
        return STATUS_OK;
    TRY(session_open_output(s)); /* what is found is worth recording */
    TRY(session_resumable(s, inspect_trajectory(s, r, &written), r->path));
    TRY(choose_restart(s, r, written, found, step));
    if (!*found && written == frames) {
        *found = true;
        r->frames = frames;
    } else if (!*found) {
        log_info("no restart in %s yet: starting from the beginning", s->config.output.directory);
    }
out:
    return status;
}

/* Fills the slice with the start or the restart, before anything is written. */
static enum status find_start(struct session *s, struct run *r, bool *resuming, uint64_t *step) {
    enum status status = find_restart(s, r, resuming, step);
    if (status != STATUS_OK || *resuming)
        return status;
    if (strchr(s->config.simulation.start, '@'))
        return start_from_frame(s, r->slice);
    system_start(&s->config, r->slice);
    return STATUS_OK;
}

static enum status begin(struct session *s, struct run *r, bool resuming, uint64_t step) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    TRY(simulation_load(r->simulation, r->slice, step)); /* first: a start of no use replaces nothing */
    if (resuming) {
        TRY(trajectory_continue(s->comm, r->path, c, &r->trajectory));
    } else {
        TRY(session_keep_replaced(s, REPLACED_SIMULATE));
        struct box box = system_box(&c->system);
        struct trajectory_shape shape = {.particles = r->slice->n,
                                         .d = box.d,
                                         .frames = (size_t)c->simulation.frames,
                                         .periodic = box.periodic};
        memcpy(shape.side, box.side, sizeof shape.side);
        TRY(trajectory_create(s->comm, r->path, &shape, c, s->device,
                              config_cutoff(&c->system, &c->simulation), &r->trajectory));
    }
out:
    return status;
}

/* ---- files ---- */

static enum status save_restart(struct session *s, struct run *r) {
    enum status status = STATUS_OK;
    timer_begin(&r->simulation->timings, r->timer_files);
    TRY(simulation_settle(r->simulation));
    TRY(particles_to_slice(r->simulation->particles, s->comm, r->slice));
    struct restart restart = restart_of(r);
    TRY(restart_write(s->comm, r->restart, r->previous, r->slice->n, r->slice->d, &s->config, s->device,
                      &restart));
    r->last_restart = timer_now();
out:
    timer_end(&r->simulation->timings, r->timer_files);
    return status;
}

static struct trajectory_scalars scalars_of(const struct simulation_sums *sums) {
    return (struct trajectory_scalars){.div_b = sums->div_b,
                                       .b_squared = sums->b_squared,
                                       .force_b = sums->force_b,
                                       .b_stiffness_b = sums->b_stiffness_b,
                                       .g_b = sums->g_b,
                                       .stiffness_squared = sums->stiffness_squared,
                                       .alignment = sums->alignment};
}

/* euler: sums of the state before the fine steps, if there were any. */
static enum status save_frame(struct session *s, struct run *r, const struct simulation_sums *euler) {
    enum status status = STATUS_OK;
    struct simulation_sums sums;
    timer_begin(&r->simulation->timings, r->timer_files);
    TRY(simulation_sums(r->simulation, &sums));
    TRY(particles_to_slice(r->simulation->particles, s->comm, r->slice));
    for (size_t i = 0; i < r->slice->count * (size_t)r->slice->d; i++)
        r->position[i] =
            position_to_real(&r->simulation->box, (int)(i % (size_t)r->slice->d), r->slice->q[i]);
    uint64_t step = r->simulation->step_law.step;
    struct trajectory_frame f = {.step = (int64_t)step,
                                 .time = (double)step * s->config.simulation.dt,
                                 .begin = r->slice->begin,
                                 .count = r->slice->count,
                                 .position = r->position,
                                 .g = r->slice->g,
                                 .image = r->slice->image,
                                 .scalars = scalars_of(&sums),
                                 .euler = scalars_of(euler)};
    TRY(trajectory_write(r->trajectory, r->frames, &f));
    r->frames++;
out:
    timer_end(&r->simulation->timings, r->timer_files);
    return status;
}

/* The state that the numbers went wrong after goes into a file of its own, which is a restart; the last good one stays.
 * The message says where, or why it could not be written: what is returned stays STATUS_NUMBERS. */
static enum status set_aside(struct session *s, struct run *r) {
    enum status status = STATUS_OK;
    struct status_note failure;
    status_hold(&failure);
    TRY(particles_to_slice(r->simulation->particles, s->comm, r->slice));
    struct restart restart = restart_of(r);
    TRY(restart_write(s->comm, r->failed, NULL, r->slice->n, r->slice->d, &s->config, s->device, &restart));
    log_info("the state at step %" PRIu64 ", before the one that failed, is in %s; %s is as it was",
             restart.step, r->failed, r->restart);
out:
    if (status != STATUS_OK)
        log_warning("the state could not be set aside: %s", status_message());
    status_put_back(&failure);
    return STATUS_NUMBERS;
}

/* ---- the run ---- */

/* What the fine steps before a frame will take, by what steps took so far. */
static double fine_seconds(const struct session *s, const struct run *r) {
    const double steps = (double)(r->simulation->step_law.step - r->first);
    return (double)config_fine_steps(&s->config) * (timer_now() - r->begun) / steps;
}

/* What progress counts: Euler steps of particles. Fine steps, in whose place it counts none, come on top. */
static double work_until(const struct session *s, uint64_t step, uint64_t frames) {
    return ((double)step - (double)config_refine_steps(&s->config) * (double)frames) *
           (double)config_total(&s->config.system);
}

static void show_progress(const struct session *s, const struct run *r, struct progress *progress) {
    char detail[64];
    snprintf(detail, sizeof detail, "particle-steps, %" PRIu64 " frames", r->frames);
    progress_show(progress, work_until(s, r->simulation->step_law.step, r->frames), detail);
}

/* Steps up to `target`. Stops early on request, with a restart written. */
static enum status advance_to(struct session *s, struct run *r, uint64_t target, struct progress *progress) {
    enum status status = STATUS_OK;
    while (r->simulation->step_law.step < target) {
        bool stop = session_stop_requested(s);
        TRY(simulation_step(r->simulation, &stop));
        uint64_t step = r->simulation->step_law.step;
        if (stop) {
            TRY(save_restart(s, r));
            log_info("stopped %s at step %" PRIu64 "; %s is written: go on with --resume",
                     session_stop_reason(s), step, r->restart);
            return STATUS_STOPPED;
        }
        if (step % SHOW_STEPS == 0)
            show_progress(s, r, progress);
        if (step % CHECK_STEPS != 0)
            continue;
        session_expect(s, fine_seconds(s, r));
        if (session_interval_passed(s, s->config.simulation.restart_interval, &r->last_restart))
            TRY(save_restart(s, r));
    }
out:
    return status;
}

/* The next frame: Euler steps, then the fine ones, which are too few to be interrupted. */
static enum status next_frame(struct session *s, struct run *r, struct progress *progress) {
    enum status status = STATUS_OK;
    struct simulation *simulation = r->simulation;
    const uint64_t target = frame_step(&s->config, r->frames);
    struct simulation_sums euler = {0};
    TRY(advance_to(s, r, target - simulation->refine_steps, progress));
    progress_also_begin(progress);
    if (simulation->refine_steps > 0) {
        TRY(simulation_sums(simulation, &euler));
        TRY(simulation_refine(simulation, r->frames));
    }
    TRY(save_frame(s, r, &euler));
    progress_also_end(progress);
out:
    return status;
}

static enum status simulate(struct session *s, struct run *r, bool resuming, uint64_t step) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    const uint64_t frames = (uint64_t)c->simulation.frames;
    const double n = (double)config_total(&c->system), begun = timer_now();
    struct progress progress;
    struct trajectory_totals totals = {0};
    struct estimate exact;
    char rate[128];
    TRY(begin(s, r, resuming, step));
    r->first = r->simulation->step_law.step;
    r->last_restart = r->begun = timer_now();
    progress_start(&progress, "simulation", work_until(s, frame_step(c, frames - 1), frames),
                   work_until(s, r->first, r->frames));
    progress_also(&progress, (double)(frames - r->frames),
                  n * (double)(2 * config_fine_steps(c) + FRAME_STEPS)); /* forces twice in a fine step */
    while (r->frames < frames)
        TRY(next_frame(s, r, &progress));
    TRY(save_restart(s, r));
    TRY(trajectory_finish(r->trajectory));
    TRY(totals_read(r->trajectory, s->comm, c, (size_t)frames, &totals));
    double seconds = timer_now() - begun, done = n * (double)(r->simulation->step_law.step - r->first);
    snprintf(rate, sizeof rate,
             "%.4g particle-steps, %.3g million/s, list rebuilt every %.3g steps, skin %.2f r0", done,
             done / seconds / 1e6, done / n / (double)r->simulation->builds, r->simulation->skin);
    progress_end(&progress, rate);
    closing_timings(s, &r->simulation->timings, seconds);
    closing_rate(s, "particle-steps", done, seconds);
    closing_memory(s, n);
    TRY(comm_agree(s->comm, totals_log(c, &totals)));
    TRY(comm_agree(s->comm, totals_exact_mean(c, &totals, &exact)));
    closing_results(s);
    closing_number(s, "frames", (double)frames);
    closing_number(s, "steps", (double)r->simulation->step_law.step);
    closing_estimate(s, "exact", exact.value, exact.error);
    closing_results_end(s);
out:
    totals_release(&totals);
    return status;
}

enum status simulate_refuse_data(const struct session *s) {
    if (s->config.system.kind != SYSTEM_UNKNOWN)
        return STATUS_OK;
    return FAIL(STATUS_BAD_INPUT,
                "%s: system.kind = unknown is of data alone, whose dynamics nobody gave: there is nothing to "
                "simulate; train and evaluate read such data, or give another kind",
                s->file);
}

static enum status stage(struct session *s) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    struct run r = {0};
    bool resuming = false;
    uint64_t step = 0;
    TRY(simulate_refuse_data(s));
    memory_forget_peak();
    TRY(plan_simulate(s));
    if (s->dry_run)
        return STATUS_OK;
    session_path(s, "trajectory.h5", r.path);
    session_path(s, "restart.h5", r.restart);
    session_path(s, "restart.previous.h5", r.previous);
    session_path(s, "failed.h5", r.failed);
    TRY(session_lock_output(s));
    TRY(session_refuse_existing(s, r.path));
    TRY(refuse_orphan(s, &r));
    TRY(comm_agree(s->comm,
                   slice_create((size_t)config_total(&c->system), c->system.dimension, s->comm, &r.slice)));
    r.position = malloc((r.slice->count * (size_t)r.slice->d + 1) * sizeof *r.position);
    if (!r.position)
        status = FAIL(STATUS_FAILURE, "out of memory for %" PRId64 " particles", config_total(&c->system));
    TRY(comm_agree(s->comm, status));
    TRY(find_start(s, &r, &resuming, &step));
    if (resuming && r.frames == (uint64_t)c->simulation.frames) {
        log_info("%s is complete: nothing to simulate", r.path);
        goto out;
    }
    session_enter(s);
    TRY(session_open_output(s));
    TRY(comm_agree(s->comm, simulation_create(s->ops, s->comm, c, &r.simulation)));
    r.timer_files = timings_add(&r.simulation->timings, "files");
    status = simulate(s, &r, resuming, step);
    if (status == STATUS_NUMBERS)
        status = set_aside(s, &r);
out:
    if (r.trajectory) {
        enum status closed = trajectory_close(&r.trajectory);
        status = status == STATUS_OK ? closed : status;
    }
    status = session_settle_replaced(s, REPLACED_SIMULATE, status);
    session_leave(s);
    simulation_destroy(&r.simulation);
    slice_destroy(&r.slice);
    free(r.position);
    return status;
}

enum status command_simulate(struct session *s) {
    return closing_stage(s, "simulate", stage);
}
