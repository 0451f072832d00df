#include "commands/info_summary.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "learn/graph.h"

/* ---- reading ---- */

static enum status count_frames(struct h5_file *file, const char *step, struct info_summary *out) {
    enum status status = STATUS_OK;
    size_t dims[H5_RANK], zero = 0;
    int rank;
    int64_t *steps = NULL;
    TRY(h5_shape(file, step, &rank, dims));
    steps = malloc((dims[0] + 1) * sizeof *steps);
    if (!steps)
        return FAIL(STATUS_FAILURE, "out of memory for %zu frames", dims[0]);
    TRY(h5_read(file, step, H5_INT64, 1, &zero, dims, steps));
    TRY(file_frames(h5_path(file), step, strstr(step, "trajectory") != NULL, dims[0], steps, &out->written));
    out->frames = dims[0];
out:
    free(steps);
    return status;
}

/* Small files are complete or were interrupted; an evaluation also says when its last numbers are in; a model whose
 * training is not over is complete as a file. */
static enum status look_whether_complete(struct h5_file *file, struct info_summary *out) {
    enum status status = STATUS_OK;
    int64_t complete = 0;
    if (h5_has_attribute(file, "/", "complete"))
        TRY(h5_read_integer(file, "/", "complete", &complete));
    out->complete = complete == 1;
    if (strcmp(out->kind, "evaluation") == 0)
        TRY(count_frames(file, "/particles/evaluation/step", out));
    if (strcmp(out->kind, "trajectory") == 0) {
        TRY(count_frames(file, "/particles/trajectory/position/step", out));
        out->complete = out->written == out->frames;
    }
    if (strcmp(out->kind, "model") == 0) {
        TRY(h5_read_integer(file, "/", "step", &out->step));
        out->complete = out->complete && out->step == out->config.training.steps;
    }
out:
    return status;
}

/* Of a window: the distance within which a particle has as many others on average, at the mean density. */
static double window_reach(const struct config *c) {
    const int d = c->system.dimension;
    const double ball[] = {0, 2, M_PI, 4 * M_PI / 3};
    double volume = 1, side[MAX_DIMENSION];
    config_box(&c->system, side);
    for (int a = 0; a < d; a++)
        volume *= side[a];
    return pow(c->network.neighbours * volume / ((double)c->system.particles * ball[d]), 1.0 / d);
}

static void find_reach(struct info_summary *out) {
    const struct config *c = &out->config;
    out->reach = NAN;
    if (strcmp(out->kind, "model") != 0)
        return;
    if (c->network.kind == NETWORK_RESPONSE) {
        out->reach = graph_reach(&c->network.response, &c->system);
        out->of_reach = "contacts of contacts, and their past";
    } else if (c->network.window == WINDOW_ALL || config_is_open(&c->system)) {
        out->reach = INFINITY;
        out->of_reach = "all particles, or the nearest in a trap";
    } else {
        out->reach = window_reach(c);
        out->of_reach = "about, of the nearest neighbours at the mean density";
    }
}

enum status info_summarise(struct session *s, struct h5_file *file, struct info_summary **out) {
    enum status status = STATUS_OK;
    struct info_summary *i = calloc(1, sizeof *i);
    *out = i;
    if (!i)
        return FAIL(STATUS_FAILURE, "out of memory");
    TRY(h5_read_text(file, "/", "epflow_kind", sizeof i->kind, i->kind));
    TRY(file_parameters(file, s->comm, &i->config));
    TRY(look_whether_complete(file, i));
    config_box(&i->config.system, i->side);
    i->persistence_length = i->config.system.v0 / i->config.system.gamma;
    i->cutoff = config_cutoff(&i->config.system, &i->config.simulation);
    find_reach(i);
out:
    return status;
}

/* ---- for people ---- */

void info_say_complete(const struct info_summary *i) {
    if (i->frames > 0)
        printf("%-22s %zu of %zu written%s\n", "frames", i->written, i->frames,
               i->written < i->frames ? ": not complete" : "");
    if (strcmp(i->kind, "model") == 0)
        printf("%-22s %lld of %lld\n", "steps of training", (long long)i->step,
               (long long)i->config.training.steps);
    if (strcmp(i->kind, "trajectory") != 0)
        printf("%-22s %s\n", "complete", i->complete ? "yes" : "no: it is being written, or was interrupted");
}

static void say_physics(const struct system_parameters *s) {
    if (s->kind == SYSTEM_CRYSTAL)
        printf("%-22s v0 %g, springs %g (%s), tether %g, gamma %g, eps %g\n", "physics", s->v0, s->spring,
               s->spring_kind == SPRING_ISOTROPIC ? "isotropic" : "longitudinal", s->tether, s->gamma,
               s->eps);
    else
        printf("%-22s v0 %g, k %g, beta %g, gamma %g, eps %g, trap %g\n", "physics", s->v0, s->k, s->beta,
               s->gamma, s->eps, s->trap);
    if (s->alignment > 0)
        printf("%-22s rate %g, radius %g r0\n", "alignment", s->alignment, s->alignment_radius);
}

void info_say_system(const struct info_summary *i) {
    const struct system_parameters *s = &i->config.system;
    double shortest = i->side[0];
    printf("%-22s %lld in %d dimensions, packing fraction %.4g\n", "particles", (long long)s->particles,
           s->dimension, config_packing_fraction(s));
    printf("%-22s %s, side", "box", config_is_open(s) ? "open" : "periodic");
    for (int a = 0; a < s->dimension; a++) {
        printf(" %.6g", i->side[a]);
        shortest = fmin(shortest, i->side[a]);
    }
    printf(" r0\n%-22s %.6g r0 (v0 / gamma), %.3g of the shortest side; time %.6g\n", "persistence length",
           i->persistence_length, i->persistence_length / shortest, 1 / s->gamma);
    printf("%-22s %.5g r0\n", "cut-off of forces", i->cutoff);
    if (isfinite(i->reach))
        printf("%-22s %.4g r0 (%s)\n", "reach of the model", i->reach, i->of_reach);
    else if (!isnan(i->reach))
        printf("%-22s not bounded (%s)\n", "reach of the model", i->of_reach);
    if (s->copies > 1)
        printf("%-22s %lld side by side\n", "copies", (long long)s->copies);
    say_physics(s);
}

/* ---- for programs ---- */

char *info_json(const struct info_summary *i) {
    struct json j;
    json_start(&j);
    json_string(&j, "kind", i->kind);
    json_flag(&j, "complete", i->complete);
    if (i->frames > 0) {
        json_number(&j, "frames", (double)i->frames);
        json_number(&j, "frames_written", (double)i->written);
    }
    json_number(&j, "particles", (double)i->config.system.particles);
    json_number(&j, "dimension", i->config.system.dimension);
    json_number(&j, "packing_fraction", config_packing_fraction(&i->config.system));
    json_list(&j, "box");
    for (int a = 0; a < i->config.system.dimension; a++)
        json_number(&j, NULL, i->side[a]);
    json_end(&j);
    json_number(&j, "persistence_length", i->persistence_length);
    json_number(&j, "persistence_time", 1 / i->config.system.gamma);
    json_number(&j, "cutoff", i->cutoff);
    if (!isnan(i->reach))
        json_number(&j, "reach", i->reach);
    return json_finish(&j);
}
