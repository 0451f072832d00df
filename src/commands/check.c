/* Check: what a trajectory says without any network (theory.md section 5: I0, I3, I4), and, where the flow is known
 * exactly, how an evaluation compares with it, particle by particle. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "commands/commands.h"
#include "commands/compare.h"
#include "entropy/certificate.h"
#include "io/trajectory.h"

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

static void check_scalars(const struct config *c, size_t frames, const struct trajectory_scalars *s,
                          double *work) {
    const double n = (double)config_total(&c->system), eps = c->system.eps;
    double *left = work, *right = work + frames, *difference = work + 2 * frames;
    log_info("%-34s %14s %14s %12s %11s %8s", "identity, per particle", "left", "right", "difference",
             "error", "z");
    for (size_t i = 0; i < frames; i++) {
        left[i] = (s[i].force_b + eps * s[i].div_b) / n;
        right[i] = c->simulation.dt / 2 * s[i].b_stiffness_b / n;
    }
    report(eps > 0 ? "I0  <F.b> + eps <div F> = dt/2 <bKb>" : "I0  <F.b> = dt/2 <b.Kb>", frames, left, right,
           difference);
    if (eps > 0) {
        for (size_t i = 0; i < frames; i++) {
            left[i] = (s[i].b_squared / eps + s[i].div_b) / n;
            right[i] = (c->system.v0 * s[i].g_b + c->simulation.dt / 2 * s[i].b_stiffness_b) / (eps * n);
        }
        report("I4  exact EPR, two ways (dt incl.)", frames, left, right, difference);
        return;
    }
    for (size_t i = 0; i < frames; i++)
        left[i] = -s[i].div_b / n;
    struct estimate exact = block_estimate((int)frames, left);
    log_info("I3  exact EPR (informatic, g part): %.6g +- %.2g per particle, %.6g in all", exact.value,
             exact.error, exact.value * n);
}

static enum status check_trajectory(struct session *s, const char *path) {
    enum status status = STATUS_OK;
    struct trajectory *t = NULL;
    struct trajectory_scalars *scalars = NULL;
    double *work = NULL;
    size_t frames = 0;
    struct config *config = malloc(sizeof *config);
    TRY(trajectory_open(s->comm, path, &t));
    TRY(trajectory_written(t, &frames));
    scalars = calloc(frames + 1, sizeof *scalars);
    work = calloc(3 * frames + 1, sizeof *work);
    if (!scalars || !work || !config)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(s->comm, status));
    if (frames == 0) {
        status = FAIL(STATUS_BAD_INPUT, "%s has no frame yet", path);
        goto out;
    }
    TRY(file_parameters(trajectory_file(t), s->comm, config));
    TRY(trajectory_read_scalars(t, frames, scalars));
    log_info("%zu frames of %lld particles", frames, (long long)config_total(&config->system));
    check_scalars(config, frames, scalars, work);
out:
    trajectory_close(&t);
    free(scalars);
    free(work);
    free(config);
    return status;
}

enum status command_check(struct session *s) {
    enum status status = STATUS_OK;
    char trajectory[SESSION_PATH], evaluation[SESSION_PATH];
    session_path(s, "trajectory.h5", trajectory);
    session_path(s, "evaluation.h5", evaluation);
    log_info("check:    reads %s, and %s if it is there; where the flow is known exactly, writes check.h5",
             trajectory, evaluation);
    if (s->dry_run)
        return STATUS_OK;
    const bool evaluated = file_exists(s->comm, evaluation);
    if (file_exists(s->comm, trajectory) || !evaluated)
        TRY(check_trajectory(s, trajectory));
    if (evaluated)
        TRY(compare_evaluation(s, evaluation));
out:
    return status;
}
