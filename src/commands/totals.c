#include "commands/totals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "entropy/certificate.h"

enum status totals_read(struct trajectory *t, struct comm *comm, const struct config *config, size_t frames,
                        struct totals *out) {
    enum status status = STATUS_OK;
    *out = (struct totals){.frames = frames, .refined = config_refine_steps(config) > 0};
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

void totals_release(struct totals *totals) {
    free(totals->of_frame);
    *totals = (struct totals){0};
}

void totals_energy(const struct config *c, const struct trajectory_scalars *s, bool euler, double *left,
                   double *right) {
    const double n = (double)config_total(&c->system);
    *left = (s->force_b + c->system.eps * s->div_b) / n;
    *right = euler ? c->simulation.dt / 2 * s->b_stiffness_b / n : 0;
}

double totals_exact(const struct config *c, const struct trajectory_scalars *s) {
    const double n = (double)config_total(&c->system), eps = c->system.eps;
    return eps > 0 ? (s->b_squared / eps + s->div_b) / n : -s->div_b / n;
}

double totals_euler(const struct config *c, const struct trajectory_scalars *s) {
    const double n = (double)config_total(&c->system);
    return (c->simulation.dt / 2 * s->stiffness_squared - s->div_b) / n;
}

/* " +- error", or nothing where it cannot be told. */
static const char *plus_minus(double error, char *text, size_t size) {
    text[0] = '\0';
    if (!isnan(error))
        snprintf(text, size, " +- %.2g", error);
    return text;
}

enum status totals_log(const struct config *c, const struct totals *totals) {
    const int frames = (int)totals->frames;
    char error[2][32];
    double *series = malloc((totals->frames + 1) * sizeof *series);
    if (!series)
        return FAIL(STATUS_FAILURE, "out of memory for %zu frames", totals->frames);
    for (int m = 0; m < frames; m++)
        series[m] = totals_exact(c, &totals->of_frame[m]);
    const struct estimate exact = block_estimate(frames, series);
    log_info("exact entropy production rate (informatic%s): %.5g%s per particle, of %d frames",
             c->system.eps > 0 ? "" : ", g part", exact.value,
             plus_minus(exact.error, error[0], sizeof error[0]), frames);
    for (int m = 0; m < frames; m++)
        series[m] = totals_euler(c, &totals->of_euler[m]);
    const struct estimate euler = block_estimate(frames, series);
    for (int m = 0; m < frames; m++)
        series[m] -= totals_exact(c, &totals->of_frame[m]);
    const struct estimate more = block_estimate(frames, series);
    if (c->system.eps == 0 && !isnan(euler.value))
        log_info("  of what Euler steps of %g sample%s: %.5g%s, more by %.3g%s (%.2g %%)", c->simulation.dt,
                 totals->refined ? ", the states before the fine steps" : ", which is what the frames are",
                 euler.value, plus_minus(euler.error, error[0], sizeof error[0]), more.value,
                 plus_minus(more.error, error[1], sizeof error[1]), 100 * more.value / exact.value);
    free(series);
    return STATUS_OK;
}
