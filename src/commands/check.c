/* Check: what a trajectory says without any network (theory.md section 5: I0, I3, I4), and, where the flow is known
 * exactly, how an evaluation compares with it, particle by particle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "commands/check_device.h"
#include "commands/commands.h"
#include "commands/compare.h"
#include "commands/totals.h"
#include "entropy/certificate.h"

/* One line: mean over frames of a difference of two numbers per particle. */
static void report(const char *name, size_t frames, const double *left, const double *right,
                   double *difference) {
    for (size_t i = 0; i < frames; i++)
        difference[i] = left[i] - right[i];
    struct estimate l = block_estimate((int)frames, left), r = block_estimate((int)frames, right);
    struct estimate d = block_estimate((int)frames, difference);
    log_info("%-34s %14.6g %14.6g %12.4g %11.3g %8.2f", name, l.value, r.value, d.value, d.error,
             d.value / d.error);
}

/* (I0) of the states that Euler steps made, or of refined frames. */
static void report_energy(const struct config *c, const struct trajectory_totals *totals, bool euler,
                          double *work) {
    const struct trajectory_scalars *scalars = euler ? totals->of_euler : totals->of_frame;
    double *left = work, *right = work + totals->frames;
    for (size_t i = 0; i < totals->frames; i++)
        totals_energy(c, &scalars[i], euler, &left[i], &right[i]);
    const char *name = c->system.eps > 0 ? "I0  <F.b> + eps <div F> = dt/2 <bKb>"
                       : !euler          ? "I0  <F.b> = 0"
                       : totals->refined ? "    before: <F.b> = dt/2 <b.Kb>"
                                         : "I0  <F.b> = dt/2 <b.Kb>";
    report(name, totals->frames, left, right, work + 2 * totals->frames);
}

/* work (3 frames) */
static enum status check_totals(const struct config *c, const struct trajectory_totals *totals,
                                double *work) {
    const size_t frames = totals->frames;
    const struct trajectory_scalars *s = totals->of_frame;
    const double n = (double)config_total(&c->system), eps = c->system.eps;
    double *left = work, *right = work + frames;
    log_info("%-34s %14s %14s %12s %11s %8s", "identity, per particle", "left", "right", "difference",
             "error", "z");
    if (totals->refined)
        report_energy(c, totals, false, work);
    report_energy(c, totals, true, work);
    for (size_t i = 0; eps > 0 && i < frames; i++) {
        left[i] = totals_exact(c, &s[i]);
        right[i] = (c->system.v0 * s[i].g_b + c->simulation.dt / 2 * s[i].b_stiffness_b) / (eps * n);
    }
    if (eps > 0)
        report("I4  exact EPR, two ways (dt incl.)", frames, left, right, work + 2 * frames);
    return totals_log(c, totals);
}

static enum status check_trajectory(struct session *s, const char *path) {
    enum status status = STATUS_OK;
    struct trajectory *t = NULL;
    struct trajectory_totals totals = {0};
    double *work = NULL;
    size_t frames = 0;
    struct config *config = malloc(sizeof *config);
    TRY(trajectory_open(s->comm, path, &t));
    TRY(trajectory_written(t, &frames));
    work = calloc(3 * frames + 1, sizeof *work);
    if (!work || !config)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(s->comm, status));
    if (frames == 0) {
        status = FAIL(STATUS_BAD_INPUT, "%s has no frame yet", path);
        goto out;
    }
    TRY(file_parameters(trajectory_file(t), s->comm, config));
    TRY(totals_read(t, s->comm, config, frames, &totals));
    log_info("%zu frames of %lld particles", frames, (long long)config_total(&config->system));
    TRY(comm_agree(s->comm, check_totals(config, &totals, work)));
out:
    trajectory_close(&t);
    totals_release(&totals);
    free(work);
    free(config);
    return status;
}

/* The paper's system in small, where there is no FILE: nothing of it but the device is used. */
const char CHECK_SYSTEM[] = "system: {particles: 4096, packing_fraction: 0.5, v0: 0.025, gamma: 1e-4}\n"
                            "simulation: {dt: 0.1}\n"
                            "output: {directory: .}\n";

enum status command_check(struct session *s) {
    enum status status = STATUS_OK;
    char trajectory[SESSION_PATH], evaluation[SESSION_PATH];
    if (!s->file)
        return check_device(s);
    session_path(s, "trajectory.h5", trajectory);
    session_path(s, "evaluation.h5", evaluation);
    log_info("check:    reads %s, and %s if it is there; where the flow is known exactly, writes check.h5",
             trajectory, evaluation);
    if (s->dry_run)
        return STATUS_OK;
    const bool evaluated = file_exists(s->comm, evaluation);
    if (file_exists(s->comm, trajectory) || !evaluated)
        TRY(check_trajectory(s, trajectory));
    if (evaluated) {
        TRY(session_lock_output(s)); /* for check.h5 */
        TRY(compare_evaluation(s, evaluation));
    }
out:
    return status;
}
