#include "commands/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "entropy/certificate.h"
#include "entropy/reference.h"
#include "io/check_file.h"

/* What is compared per particle: columns of an evaluation, and of check.h5. */
enum { S_X, S_G, V_X, V_G, SIGMA, DIV_X, DIV_G, COMPARED };
static const struct {
    const char *name, *unit, *description;
    bool vector;
} compared[COMPARED] = {
    [S_X] = {"s_x", "1/r0", "exact score in x; NaN where eps = 0", true},
    [S_G] = {"s_g", "1", "exact score in g", true},
    [V_X] = {"v_x", "r0/time", "exact velocity of the probability flow in x", true},
    [V_G] = {"v_g", "1/time", "exact velocity of the probability flow in g", true},
    [SIGMA] = {"sigma", "1/time", "exact entropy production rate", false},
    [DIV_X] = {"div_x", "1/time", "exact div_{x_i} v_x,i", false},
    [DIV_G] = {"div_g", "1/time", "exact div_{g_i} v_g,i", false},
};

struct comparison {
    struct session *s;
    struct check_source *source;
    struct reference *reference;
    struct check_file *file;
    struct evaluation_column column[COMPARED];
    size_t n, d, total, begin, count; /* particles of a copy, of all; this rank's slice */
    double *x, *g;                    /* (total, d) every rank has all */
    double *exact[COMPARED];          /* (total, d or 1) */
    bool *resolved;                   /* (total) */
    double *model;                    /* (count, d) one column of the slice */
    double square[COMPARED],
        difference[COMPARED];        /* sums over particles and frames: exact^2, (model - exact)^2 */
    double *series, *of_particle;    /* (frames), (count): smoothed sigma */
    double model_sigma, exact_sigma; /* sums at the evaluation's own samples */
    double rows, unresolved;
};

static int width_of(const struct comparison *c, int column) {
    return compared[column].vector ? (int)c->d : 1;
}

static enum status create(struct comparison *c) {
    const struct check_source *s = c->source;
    const int ranks = comm_size(c->s->comm), rank = comm_rank(c->s->comm);
    c->n = (size_t)s->config.system.particles;
    c->d = (size_t)s->d;
    c->total = s->particles;
    c->begin = slice_begin(c->total, ranks, rank);
    c->count = slice_begin(c->total, ranks, rank + 1) - c->begin;
    c->x = malloc((c->total * c->d + 1) * sizeof *c->x);
    c->g = malloc((c->total * c->d + 1) * sizeof *c->g);
    c->model = malloc((c->count * c->d + 1) * sizeof *c->model);
    c->resolved = malloc(c->total + 1);
    c->series = calloc(s->frames + 1, sizeof *c->series);
    c->of_particle = calloc(c->count + 1, sizeof *c->of_particle);
    bool good = c->x && c->g && c->model && c->resolved && c->series && c->of_particle;
    for (int m = 0; m < COMPARED; m++) {
        c->exact[m] = malloc((c->total * (size_t)width_of(c, m) + 1) * sizeof *c->exact[m]);
        good = good && c->exact[m];
        c->column[m] = (struct evaluation_column){compared[m].name, compared[m].unit, compared[m].description,
                                                  width_of(c, m), false};
    }
    return comm_agree(c->s->comm,
                      good ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu particles", c->total));
}

static void release(struct comparison *c) {
    check_file_discard(&c->file);
    check_source_close(&c->source);
    reference_destroy(&c->reference);
    for (int m = 0; m < COMPARED; m++)
        free(c->exact[m]);
    free(c->x);
    free(c->g);
    free(c->model);
    free(c->resolved);
    free(c->series);
    free(c->of_particle);
}

/* All rows of a column on every rank. */
static enum status gather(struct comparison *c, const char *name, size_t frame, double *out) {
    memset(out, 0, c->total * c->d * sizeof *out);
    enum status status =
        check_source_read(c->source, name, (int)c->d, frame, c->begin, c->count, out + c->begin * c->d);
    if (status == STATUS_OK)
        comm_sum(c->s->comm, out, c->total * c->d);
    return status;
}

/* Copies of which this rank has particles. */
static enum status work_out(struct comparison *c) {
    enum status status = STATUS_OK;
    const size_t end = c->begin + c->count;
    for (size_t copy = c->begin / c->n; status == STATUS_OK && copy * c->n < end; copy++) {
        const size_t row = copy * c->n, at = row * c->d;
        const struct reference_rows out = {.s_x = c->exact[S_X] + at,
                                           .s_g = c->exact[S_G] + at,
                                           .v_x = c->exact[V_X] + at,
                                           .v_g = c->exact[V_G] + at,
                                           .sigma = c->exact[SIGMA] + row,
                                           .div_x = c->exact[DIV_X] + row,
                                           .div_g = c->exact[DIV_G] + row,
                                           .resolved = c->resolved + row};
        status = reference_apply(c->reference, c->x + at, c->g + at, &out);
    }
    return comm_agree(c->s->comm, status);
}

static enum status compare_column(struct comparison *c, int column, size_t frame) {
    enum status status = STATUS_OK;
    const size_t width = (size_t)width_of(c, column);
    const double *exact = c->exact[column] + c->begin * width;
    TRY(check_source_read(c->source, compared[column].name, (int)width, frame, c->begin, c->count, c->model));
    for (size_t m = 0; m < c->count * width; m++) {
        if (!c->resolved[c->begin + m / width])
            continue;
        const double difference = c->model[m] - exact[m];
        c->square[column] += exact[m] * exact[m];
        c->difference[column] += difference * difference;
        if (column == SIGMA) {
            c->model_sigma += c->model[m];
            c->exact_sigma += exact[m];
        }
    }
    for (size_t m = 0; m < c->count * width; m++) /* a file holds no numbers without meaning */
        c->model[m] = c->resolved[c->begin + m / width] ? exact[m] : NAN;
    TRY(check_file_write(c->file, frame, column, c->begin, c->count, c->model));
out:
    return status;
}

static enum status compare_frame(struct comparison *c, size_t frame) {
    enum status status = STATUS_OK;
    TRY(gather(c, "position", frame, c->x));
    TRY(gather(c, "propulsion", frame, c->g));
    TRY(work_out(c));
    for (int m = 0; m < COMPARED; m++)
        TRY(compare_column(c, m, frame));
    for (size_t i = 0; i < c->count; i++) {
        c->rows++;
        c->unresolved += !c->resolved[c->begin + i];
    }
    TRY(check_source_read(c->source, "smoothed_sigma", 1, frame, c->begin, c->count, c->model));
    for (size_t i = 0; i < c->count; i++) {
        c->series[frame] += c->model[i] / (double)c->total;
        c->of_particle[i] += c->model[i] / (double)c->source->frames;
    }
    comm_sum(c->s->comm, &c->series[frame], 1);
out:
    return status;
}

/* ---- the numbers ---- */

enum { NUMBER_FLOW = COMPARED, NUMBER_TOTAL, NUMBER_SAMPLES, NUMBERS };

static double relative(double difference, double square) {
    return sqrt(difference / square);
}

/* Root mean square of the difference over that of the exact values, of each column and of the whole flow; totals. */
static void fill(struct comparison *c, struct check_number number[NUMBERS]) {
    comm_sum(c->s->comm, c->square, COMPARED);
    comm_sum(c->s->comm, c->difference, COMPARED);
    double sums[] = {c->model_sigma, c->exact_sigma, c->rows, c->unresolved};
    comm_sum(c->s->comm, sums, 4);
    c->rows = sums[2];
    c->unresolved = sums[3];
    for (int m = 0; m < COMPARED; m++)
        number[m] = (struct check_number){compared[m].name,
                                          "rms of (model - exact), and of exact, over particles and frames",
                                          sqrt(c->difference[m] / (c->rows - c->unresolved)),
                                          sqrt(c->square[m] / (c->rows - c->unresolved)), NAN};
    number[NUMBER_FLOW] = (struct check_number){
        "v", "rms of (v - v_exact), and of v_exact, x and g together, over particles and frames",
        sqrt((c->difference[V_X] + c->difference[V_G]) / (c->rows - c->unresolved)),
        sqrt((c->square[V_X] + c->square[V_G]) / (c->rows - c->unresolved)), NAN};
    const struct estimate total =
        particle_estimate((int)c->source->frames, c->series, c->total, c->count, c->of_particle, c->s->comm);
    number[NUMBER_TOTAL] = (struct check_number){"total",
                                                 "entropy production rate of a copy, on samples noised as in "
                                                 "training: the model's, and the exact mean",
                                                 total.value * (double)c->n, reference_total(c->reference),
                                                 total.error * (double)c->n};
    number[NUMBER_SAMPLES] = (struct check_number){
        "total_of_samples",
        "entropy production rate of a copy: means of model and exact flow over the evaluation's "
        "own samples",
        sums[0] / (c->rows - c->unresolved) * (double)c->n,
        sums[1] / (c->rows - c->unresolved) * (double)c->n, NAN};
}

static void print(const struct comparison *c, const struct check_number number[NUMBERS]) {
    log_info("%s, beside the evaluation: %zu frames of %zu particles", reference_name(c->reference),
             c->source->frames, c->total);
    if (c->source->noise_x > 0 || c->source->noise_g > 0)
        log_info("%s: noise %g on x, %g on g",
                 reference_smoothed(c->reference)
                     ? "the exact flow is that of the density smoothed as in training"
                     : "the exact flow is not smoothed, that of the training was",
                 c->source->noise_x, c->source->noise_g);
    if (c->unresolved > 0)
        log_info("%.3g %% of the particles are where the solution has no digits, and are left out",
                 100 * c->unresolved / c->rows);
    log_info("%-18s %14s %14s %10s", "per particle", "rms difference", "rms exact", "ratio");
    for (int m = 0; m <= NUMBER_FLOW; m++)
        if (!isnan(number[m].exact))
            log_info("%-18s %14.6g %14.6g %10.4f", number[m].name, number[m].model, number[m].exact,
                     relative(number[m].model * number[m].model, number[m].exact * number[m].exact));
    log_info("%-18s %14s %14s %10s %11s", "of a copy", "model", "exact", "ratio", "error");
    for (int m = NUMBER_TOTAL; m < NUMBERS; m++)
        log_info("%-18s %14.6g %14.6g %10.4f %11.3g", number[m].name, number[m].model, number[m].exact,
                 number[m].model / number[m].exact, number[m].error);
}

enum status compare_evaluation(struct session *s, const char *path) {
    enum status status = STATUS_OK;
    struct comparison *c = calloc(1, sizeof *c);
    struct check_number number[NUMBERS];
    char out[SESSION_PATH];
    TRY(comm_agree(s->comm, c ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for a check")));
    c->s = s;
    TRY(check_source_open(s->comm, path, &c->source));
    TRY(comm_agree(s->comm, reference_create(&c->source->config, c->source->noise_x, c->source->noise_g,
                                             &c->reference)));
    if (!c->reference) {
        log_info("the exact flow of this system is not known: %s is not compared", path);
        goto out;
    }
    TRY(create(c));
    session_path(s, "check.h5", out);
    TRY(check_file_create(s->comm, out, &c->source->config, s->device, reference_name(c->reference),
                          c->source->frames, c->total, COMPARED, c->column, &c->file));
    for (size_t m = 0; m < c->source->frames; m++)
        TRY(compare_frame(c, m));
    fill(c, number);
    print(c, number);
    TRY(check_file_finish(&c->file, NUMBERS, number));
    log_info("written to %s", out);
out:
    if (c)
        release(c);
    free(c);
    return status;
}
