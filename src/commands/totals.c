#include "commands/totals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum status totals_read(struct trajectory *t, struct comm *comm, const struct config *config, size_t frames,
                        struct trajectory_totals *out) {
    enum status status = STATUS_OK;
    *out = (struct trajectory_totals){.frames = frames, .refined = config_refine_steps(config) > 0};
    out->of_frame = calloc(2 * frames + 1, sizeof *out->of_frame);
    if (!out->of_frame)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(comm, status));
    out->of_euler = out->of_frame + (out->refined ? frames : 0);
    TRY(trajectory_read_scalars(t, frames, out->of_frame));
    if (out->refined)
        TRY(trajectory_read_euler(t, frames, out->of_euler));
out:
    if (status != STATUS_OK)
        totals_release(out);
    return status;
}

void totals_release(struct trajectory_totals *totals) {
    free(totals->of_frame);
    *totals = (struct trajectory_totals){0};
}

void totals_energy(const struct config *c, const struct trajectory_scalars *s, bool euler, double *left,
                   double *right) {
    const double n = (double)config_total(&c->system);
    *left = (s->force_b + c->system.eps * s->div_b) / n;
    *right = euler ? c->simulation.dt / 2 * s->b_stiffness_b / n : 0;
}

double totals_exact(const struct config *c, const struct trajectory_scalars *s) {
    const double n = (double)config_total(&c->system), eps = c->system.eps;
    return ((eps > 0 ? s->b_squared / eps + s->div_b : -s->div_b) + s->alignment) / n;
}

double totals_euler_loss(const struct config *c, const struct trajectory_scalars *s) {
    return c->simulation.dt / 2 * s->stiffness_squared / (double)config_total(&c->system);
}

/* " +- error", or nothing where it cannot be told. */
static const char *plus_minus(double error, char *text, size_t size) {
    text[0] = '\0';
    if (!isnan(error))
        snprintf(text, size, " +- %.2g", error);
    return text;
}

/* The mean over frames as "value +- error"; exact or totals_euler_loss. */
static double mean_text(const struct config *c, size_t frames, const struct trajectory_scalars *s,
                        double of(const struct config *, const struct trajectory_scalars *), double *series,
                        char text[64]) {
    char error[32];
    for (size_t m = 0; m < frames; m++)
        series[m] = of(c, &s[m]);
    const struct estimate e = block_estimate((int)frames, series);
    snprintf(text, 64, "%.5g%s", e.value, plus_minus(e.error, error, sizeof error));
    return e.value;
}

enum status totals_log(const struct config *c, const struct trajectory_totals *totals) {
    const size_t frames = totals->frames;
    char exact[64], euler[64], loss[64], before[128] = "the frames are";
    double *series = malloc((frames + 1) * sizeof *series);
    if (!series)
        return FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    mean_text(c, frames, totals->of_frame, totals_exact, series, exact);
    log_info("exact entropy production rate (informatic%s): %s per particle, of %zu frames",
             c->system.eps > 0 ? "" : ", g part", exact, frames);
    const double total = mean_text(c, frames, totals->of_euler, totals_exact, series, euler);
    const double lost = mean_text(c, frames, totals->of_euler, totals_euler_loss, series, loss);
    if (totals->refined)
        snprintf(before, sizeof before, "before the fine steps %s, in states", euler);
    if (c->system.eps == 0 && !isnan(lost))
        log_info("  %s of Euler steps of %g; these keep less of it, by dt/2 tr K^2 = %s (%.2g %%) where "
                 "contacts are harmonic",
                 before, c->simulation.dt, loss, 100 * lost / total);
    free(series);
    return STATUS_OK;
}

enum status totals_exact_mean(const struct config *c, const struct trajectory_totals *totals,
                              struct estimate *out) {
    char text[64];
    double *series = malloc((totals->frames + 1) * sizeof *series);
    if (!series)
        return FAIL(STATUS_FAILURE, "out of memory for %zu frames", totals->frames);
    mean_text(c, totals->frames, totals->of_frame, totals_exact, series, text);
    *out = block_estimate((int)totals->frames, series);
    free(series);
    return STATUS_OK;
}
