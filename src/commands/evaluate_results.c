/* What an evaluation says over all its frames: identities, certificate, classes and profiles. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "commands/closing.h"
#include "commands/evaluate_run.h"
#include "commands/totals.h"

/* (I0) from the scalars of all frames of all trajectories: no network, no held-out frames. */
static enum status energy_identity(struct session *s, struct evaluation_run *r,
                                   struct evaluation_identity *out) {
    enum status status = STATUS_OK;
    size_t frames = 0, at = 0;
    for (int m = 0; m < r->sources; m++)
        frames += r->source[m]->frames;
    struct trajectory_totals totals = {0};
    double *left = calloc(3 * frames + 1, sizeof *left), *right = left ? left + frames : NULL;
    if (!left)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(s->comm, status));
    for (int m = 0; m < r->sources; m++) {
        const struct config *c = &r->source[m]->config;
        TRY(totals_read(r->source[m]->trajectory, s->comm, c, r->source[m]->frames, &totals));
        for (size_t i = 0; i < totals.frames; i++, at++) {
            totals_energy(c, &totals.of_frame[i], !totals.refined, &left[at], &right[at]);
            left[2 * frames + at] = left[at] - right[at];
        }
        totals_release(&totals);
    }
    struct estimate difference = block_estimate((int)frames, left + 2 * frames);
    out->left = block_estimate((int)frames, left).value;
    out->right = block_estimate((int)frames, right).value;
    out->difference = difference.value;
    out->error = difference.error;
    out->samples = (int64_t)frames;
    if (isnan(difference.value)) {
        out->right = out->error = NAN;
        log_info("I0 is not available: files of other programs do not have its sums");
    }
out:
    free(left);
    return status;
}

static void fill_identity(struct session *s, struct evaluation_run *r, int which) {
    double factor[TERMS] = {0};
    struct evaluation_identity *out = &r->identity[which];
    factor[identity_info[which].left] = 1;
    out->left = certificate_mean(r->certificate, factor, s->comm).value;
    factor[identity_info[which].right] = -1;
    struct estimate difference = certificate_mean(r->certificate, factor, s->comm);
    factor[identity_info[which].left] = 0;
    out->right = -certificate_mean(r->certificate, factor, s->comm).value;
    out->difference = difference.value;
    out->error = difference.error;
    out->samples = (int64_t)(r->shape.frames * r->shape.particles);
}

static void fill_profiles(struct evaluation_run *r) {
    const int bins = r->profile->bins;
    for (int b = 0; b < bins; b++) {
        r->profile_values[b] = profile_distance(r->profile, b);
        r->profile_table[0].values[b] = profile_count(r->profile, b);
    }
    profile_density(r->profile, r->profile_table[1].values, r->profile_table[2].values);
    for (int q = 0; q < PROFILE_QUANTITIES; q++)
        profile_mean(r->profile, q, r->profile_table[3 + 2 * q].values, r->profile_table[4 + 2 * q].values);
}

const char *evaluation_convention(const struct session *s) {
    return s->config.system.eps > 0 ? "informatic" : "informatic, g part";
}

/* ---- the report ---- */

static void mean_of(struct session *s, const struct evaluation_run *r, enum certificate_term term,
                    struct estimate *out) {
    double factor[TERMS] = {0};
    factor[term] = 1;
    *out = certificate_mean(r->certificate, factor, s->comm);
}

struct totals {
    struct estimate exact, captured, resolved, fraction; /* per particle */
    double probe_error;
};

static void say_result(const struct session *s, const struct evaluation_run *r, const struct totals *t) {
    const double n = (double)r->shape.particles;
    const char *convention = evaluation_convention(s);
    if (isnan(t->exact.value)) {
        log_info("entropy production rate per particle (%s), of the velocities learnt: %.5g; the exact one "
                 "needs the dynamics",
                 convention, t->captured.value);
        return;
    }
    log_info("certified: at least %.5g +- %.2g of the exact total EPR %.5g +- %.2g (resolved fraction %.4g "
             "+- %.2g)",
             t->resolved.value * n, t->resolved.error * n, t->exact.value * n, t->exact.error * n,
             t->fraction.value, t->fraction.error);
    log_info("per particle: at least %.5g +- %.2g of %.5g +- %.2g (%s)", t->resolved.value, t->resolved.error,
             t->exact.value, t->exact.error, convention);
    if (t->probe_error > 0)
        log_info("of the error of the resolved fraction %.2g at most is that of the random directions of "
                 "divergences",
                 t->probe_error);
    if (!(t->resolved.value > 0))
        log_info("the network is worse than none: what it resolves is not above 0");
}

static const char *with_error(double value, double error, char out[32]) {
    if (isnan(value))
        return "-";
    snprintf(out, 32, isnan(error) ? "%.4g" : "%.4g +- %.1g", value, error);
    return out;
}

static void say_row(const char *name, double count, const struct totals *t) {
    char exact[32], captured[32], resolved[32], fraction[32];
    log_info("%-10s %11.6g %20s %20s %20s %19s", name, count,
             with_error(t->exact.value, t->exact.error, exact),
             with_error(t->captured.value, t->captured.error, captured),
             with_error(t->resolved.value, t->resolved.error, resolved),
             with_error(t->fraction.value, t->fraction.error, fraction));
}

/* Rates by phase, per particle. */
static void say_phases(const struct evaluation_run *r, const struct totals *all) {
    const struct class_table_info *info = &class_table_info[BY_PHASE];
    const struct class_values *v = &r->values[BY_PHASE];
    log_info("%-10s %11s %20s %20s %20s %19s", "phase", "particles", "exact", "captured", "resolved",
             "resolved fraction");
    for (int k = 0; k < info->classes; k++) {
        struct estimate rate[CLASS_RATES];
        for (int m = 0; m < CLASS_RATES; m++)
            rate[m] = (struct estimate){v->rate[m][k], v->rate_error[m][k]};
        const struct totals t = {rate[RATE_EXACT],
                                 rate[RATE_CAPTURED],
                                 rate[RATE_RESOLVED],
                                 {v->fraction[k], v->fraction_error[k]},
                                 0};
        if (v->count[k] > 0)
            say_row(info->names[k], v->count[k], &t);
    }
    say_row("all", (double)r->shape.particles, all);
}

static void say_identities(const struct evaluation_run *r) {
    log_info("%-10s %14s %14s %14s %11s %8s", "identity", "left", "right", "difference", "error", "z");
    for (int m = 0; m < IDENTITIES; m++)
        if (!isnan(r->identity[m].difference))
            log_info("%-10s %14.6g %14.6g %14.4g %11.3g %8.2f", r->identity[m].name, r->identity[m].left,
                     r->identity[m].right, r->identity[m].difference, r->identity[m].error, r->identity[m].z);
}

static void close_results(struct session *s, const struct evaluation_run *r, const struct totals *t) {
    const double n = (double)r->shape.particles;
    closing_results(s);
    closing_number(s, "frames", (double)r->shape.frames);
    closing_number(s, "particles", n);
    closing_estimate(s, "exact", t->exact.value, t->exact.error);
    closing_estimate(s, "captured", t->captured.value, t->captured.error);
    closing_estimate(s, "resolved", t->resolved.value, t->resolved.error);
    closing_estimate(s, "resolved_fraction", t->fraction.value, t->fraction.error);
    closing_number(s, "probe_error", t->probe_error);
    closing_estimate(s, "exact_total", t->exact.value * n, t->exact.error * n);
    closing_estimate(s, "certified_total", t->resolved.value * n, t->resolved.error * n);
    closing_results_end(s);
}

static enum status compute_results(struct session *s, struct evaluation_run *r, struct totals *t) {
    enum status status = STATUS_OK;
    const enum identity_where where = s->config.system.eps > 0 ? DIFFUSING : NOT_DIFFUSING;
    TRY(energy_identity(s, r, &r->identity[IDENTITY_I0]));
    for (int m = IDENTITY_I0 + 1; m < IDENTITIES; m++)
        if (identity_info[m].where == ALWAYS || identity_info[m].where == where)
            fill_identity(s, r, m);
    for (int m = 0; m < IDENTITIES; m++)
        r->identity[m].z = r->identity[m].difference / r->identity[m].error;
    fill_profiles(r);
    for (int m = 0; m < CLASS_TABLES; m++)
        TRY(classes_values(r->classes, m, s->comm, &r->values[m]));
    mean_of(s, r, TERM_EXACT, &t->exact);
    mean_of(s, r, TERM_CAPTURED, &t->captured);
    mean_of(s, r, TERM_RESOLVED, &t->resolved);
    t->fraction = certificate_resolved_fraction(r->certificate, s->comm);
    t->probe_error = certificate_probe_error(r->certificate, s->comm);
out:
    return status;
}

enum status evaluation_results(struct session *s, struct evaluation_run *r) {
    enum status status = STATUS_OK;
    struct totals t;
    char path[SESSION_PATH], path_2[SESSION_PATH];
    TRY(compute_results(s, r, &t));
    const struct evaluation_result result = {.resolved_fraction = t.fraction.value,
                                             .resolved_fraction_error = t.fraction.error,
                                             .probe_error = t.probe_error,
                                             .exact = t.exact.value,
                                             .exact_error = t.exact.error,
                                             .resolved = t.resolved.value,
                                             .resolved_error = t.resolved.error,
                                             .particles = (double)r->shape.particles};
    session_path(s, "fields.xdmf", path); /* before the evaluation is complete, which nothing follows */
    session_path(s, "fields.xmf", path_2);
    TRY(evaluation_write_xdmf(s->comm, path, path_2, "evaluation.h5", &r->shape, r->time));
    TRY(evaluation_finish(r->file, r->profile_values, &result));
    say_result(s, r, &t);
    say_phases(r, &t);
    say_identities(r);
    close_results(s, r, &t);
out:
    return status;
}
