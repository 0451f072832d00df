/* Info: what a file of epflow is, and what is in it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "commands/commands.h"
#include "commands/info_summary.h"
#include "commands/totals.h"
#include "io/model_file.h"
#include "io/file.h"
#include "io/trajectory.h"

enum { LONGEST_SERIES = 100000 };

/* ---- --json: the summary, and every scalar, sorted by name ---- */

struct entries {
    bool wanted; /* by this rank */
    size_t count, capacity;
    char **text; /* (count) "name": value; each and the list are allocated */
};

static enum status keep_entry(const char *name, const char *value, void *context) {
    struct entries *e = context;
    char *text = NULL;
    if (!e->wanted)
        return STATUS_OK;
    if (e->count == e->capacity) {
        size_t capacity = 2 * e->capacity + 64;
        char **grown = realloc(e->text, capacity * sizeof *grown);
        if (!grown)
            return FAIL(STATUS_FAILURE, "out of memory for %zu scalars", capacity);
        e->text = grown;
        e->capacity = capacity;
    }
    if (asprintf(&text, "%s: %s", name, value) < 0)
        return FAIL(STATUS_FAILURE, "out of memory for %s", name);
    e->text[e->count++] = text;
    return STATUS_OK;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum status print_json(struct session *s, struct h5_file *file, const struct info_summary *summary) {
    struct entries e = {.wanted = comm_rank(s->comm) == 0};
    char *first = e.wanted ? info_json(summary) : NULL;
    enum status status = STATUS_OK;
    if (e.wanted && !first)
        status = FAIL(STATUS_FAILURE, "out of memory for what %s holds", h5_path(file));
    if ((status = comm_agree(s->comm, status)) == STATUS_OK)
        status = h5_visit_scalars(file, LONGEST_SERIES, keep_entry, &e);
    if (e.count > 0)
        qsort(e.text, e.count, sizeof *e.text, by_name);
    if (e.wanted && status == STATUS_OK) {
        printf("{\n  \"summary\": %s", first);
        for (size_t i = 0; i < e.count; i++)
            printf(",\n  %s", e.text[i]);
        printf("\n}\n");
    }
    for (size_t i = 0; i < e.count; i++)
        free(e.text[i]);
    free(e.text);
    free(first);
    return status;
}

/* ---- for people ---- */

static enum status say_text(struct h5_file *file, const char *what, const char *object, const char *name) {
    char text[4096];
    enum status status = STATUS_OK;
    if (!h5_has_attribute(file, object, name))
        return STATUS_OK;
    TRY(h5_read_text(file, object, name, sizeof text, text));
    text_plain(text, false);
    printf("%-22s %s\n", what, text);
out:
    return status;
}

static enum status say_real(struct h5_file *file, const char *what, const char *object, const char *name,
                            const char *unit) {
    double value;
    enum status status = STATUS_OK;
    if (!h5_has_attribute(file, object, name))
        return STATUS_OK;
    TRY(h5_read_real(file, object, name, &value));
    printf("%-22s %.6g%s%s\n", what, value, unit[0] ? " " : "", unit);
out:
    return status;
}

/* ---- the certificate by class ---- */

enum { CLASSES = 64 };
enum { CLASS_COUNT, CLASS_FRACTION, CLASS_ERROR, CLASS_COLUMNS };

/* A table of /certificate: names of its classes, and some of its columns. */
struct class_rows {
    size_t classes;
    char name[CLASSES][32];
    double column[CLASS_COLUMNS][CLASSES];
};

static enum status read_column(struct h5_file *file, const char *table, const char *name, enum h5_type type,
                               size_t *count, void *out) {
    enum status status = STATUS_OK;
    size_t dims[H5_RANK], zero = 0;
    int rank;
    char path[96];
    snprintf(path, sizeof path, "/certificate/%s/%s", table, name);
    TRY(h5_shape(file, path, &rank, dims));
    if (rank != 1 || dims[0] > CLASSES)
        return FAIL(STATUS_STORAGE, "%s: %s has more classes than are shown", h5_path(file), path);
    *count = dims[0];
    TRY(h5_read(file, path, type, 1, &zero, dims, out));
out:
    return status;
}

static enum status read_classes(struct h5_file *file, const char *table, bool edges, struct class_rows *out) {
    static const char *const names[CLASS_COLUMNS] = {"count", "resolved_fraction", "resolved_fraction_error"};
    enum status status = STATUS_OK;
    double edge[CLASSES];
    if (edges) {
        TRY(read_column(file, table, "edges", H5_FLOAT64, &out->classes, edge));
        for (size_t k = 0; k + 1 < out->classes; k++)
            snprintf(out->name[k], sizeof out->name[k], "to %.3g", edge[k + 1]);
    } else {
        TRY(read_column(file, table, "names", H5_TEXT32, &out->classes, out->name));
        for (size_t k = 0; k < out->classes; k++)
            out->name[k][sizeof out->name[k] - 1] = '\0';
    }
    for (int m = 0; m < CLASS_COLUMNS; m++)
        TRY(read_column(file, table, names[m], H5_FLOAT64, &out->classes, out->column[m]));
out:
    return status;
}

/* Resolved fractions by class on one line, with errors where the classes have names. */
static enum status say_classes(struct h5_file *file, const char *what, const char *table) {
    enum status status = STATUS_OK;
    struct class_rows c = {0};
    const char *between = "";
    char path[96];
    snprintf(path, sizeof path, "/certificate/%s", table);
    if (!h5_has(file, path))
        return STATUS_OK;
    snprintf(path, sizeof path, "/certificate/%s/edges", table);
    const bool edges = h5_has(file, path);
    TRY(read_classes(file, table, edges, &c));
    printf("%-22s ", what);
    for (size_t k = 0; k < c.classes; k++)
        if (c.column[CLASS_COUNT][k] > 0) {
            printf("%s%s: %.3g", between, c.name[k], c.column[CLASS_FRACTION][k]);
            if (!edges && !isnan(c.column[CLASS_ERROR][k]))
                printf(" +- %.1g", c.column[CLASS_ERROR][k]);
            between = ", ";
        }
    printf("\n");
out:
    return status;
}

static enum status say_with_error(struct h5_file *file, const char *what, const char *name,
                                  const char *error_name, const char *unit) {
    enum status status = STATUS_OK;
    double value, error;
    if (!h5_has_attribute(file, "/certificate", error_name))
        return say_real(file, what, "/certificate", name, unit);
    TRY(h5_read_real(file, "/certificate", name, &value));
    TRY(h5_read_real(file, "/certificate", error_name, &error));
    printf("%-22s %.6g +- %.2g %s\n", what, value, error, unit);
out:
    return status;
}

static enum status say_certificate(struct h5_file *file) {
    enum status status = STATUS_OK;
    double fraction, error;
    TRY(h5_read_real(file, "/certificate", "resolved_fraction", &fraction));
    TRY(h5_read_real(file, "/certificate", "resolved_fraction_error", &error));
    if (isnan(fraction)) { /* not complete yet */
        printf("%-22s not known yet\n", "resolved fraction");
        goto out;
    }
    printf("%-22s %.5g +- %.2g of the exact entropy production\n", "resolved fraction", fraction, error);
    TRY(say_with_error(file, "exact EPR", "exact", "exact_error", "per particle and time"));
    TRY(say_with_error(file, "resolved EPR", "resolved", "resolved_error", "per particle and time"));
    TRY(say_with_error(file, "exact total EPR", "exact_total", "exact_total_error", "per time"));
    TRY(say_with_error(file, "certified total", "certified_total", "certified_total_error",
                       "per time, a lower bound"));
    TRY(say_classes(file, "resolved by phase", "by_phase"));
    TRY(say_classes(file, "      by local density", "by_density"));
    TRY(say_classes(file, "      by contacts", "by_contacts"));
    TRY(say_text(file, "convention", "/certificate", "epr_convention"));
    TRY(say_text(file, "model", "/provenance", "model"));
    TRY(say_text(file, "trajectories", "/provenance", "trajectories"));
out:
    return status;
}

/* "step 120 (diverged) back to 100, rate 0.0005; ...": the retries of a training. */
static enum status say_retries(struct h5_file *file) {
    static const char *const names[] = {"step", "back", "cause"};
    enum status status = STATUS_OK;
    enum { MOST = 1000 };
    int64_t column[3][MOST];
    double rate[MOST];
    size_t dims[H5_RANK], zero = 0;
    int rank;
    char path[64];
    if (!h5_has(file, "/training/retries/step"))
        return STATUS_OK;
    TRY(h5_shape(file, "/training/retries/step", &rank, dims));
    if (rank != 1 || dims[0] > MOST)
        return FAIL(STATUS_STORAGE, "%s: /training/retries has more rows than there can be", h5_path(file));
    for (int m = 0; m < 3; m++) {
        snprintf(path, sizeof path, "/training/retries/%s", names[m]);
        TRY(h5_expect(file, path, H5_INT64, 1, dims));
        TRY(h5_read(file, path, H5_INT64, 1, &zero, dims, column[m]));
    }
    TRY(h5_expect(file, "/training/retries/rate", H5_FLOAT64, 1, dims));
    TRY(h5_read(file, "/training/retries/rate", H5_FLOAT64, 1, &zero, dims, rate));
    for (size_t i = 0; i < dims[0]; i++)
        printf("%-22s step %lld %s: back to %lld, rate %g from there\n", i == 0 ? "retries" : "",
               (long long)column[0][i], column[2][i] == RETRY_DIVERGED ? "diverged" : "was not finite",
               (long long)column[1][i], rate[i]);
out:
    return status;
}

/* ---- the other kinds ---- */

/* The last row of a table of numbers: *value; NaN where there is none. */
static enum status last_number(struct h5_file *file, const char *path, double *value) {
    enum status status = STATUS_OK;
    size_t dims[H5_RANK], one = 1, last;
    int rank;
    *value = NAN;
    if (!h5_has(file, path))
        return STATUS_OK;
    TRY(h5_shape(file, path, &rank, dims));
    if (rank != 1 || dims[0] == 0)
        return STATUS_OK;
    last = dims[0] - 1;
    TRY(h5_read(file, path, H5_FLOAT64, 1, &last, &one, value));
out:
    return status;
}

static enum status say_model(struct h5_file *file) {
    enum status status = STATUS_OK;
    double loss, fraction, error;
    TRY(say_real(file, "weights", "/network", "parameters", ""));
    TRY(say_text(file, "loss", "/training", "loss"));
    TRY(say_real(file, "noise of training", "/", "sigma", ""));
    TRY(last_number(file, "/training/log/loss", &loss));
    TRY(last_number(file, "/training/test/resolved_fraction", &fraction));
    TRY(last_number(file, "/training/test/error", &error));
    if (!isnan(loss))
        printf("%-22s %.5g\n", "last loss", loss);
    if (!isnan(fraction))
        printf("%-22s %.4g +- %.2g, of frames held out\n", "resolved fraction", fraction, error);
    TRY(say_text(file, "trained on", "/training", "data"));
    TRY(say_retries(file));
out:
    return status;
}

static enum status say_check(struct h5_file *file) {
    enum status status = STATUS_OK;
    TRY(say_text(file, "compared with", "/", "reference"));
    TRY(say_real(file, "EPR of the model", "/comparison/total", "model", "per time and copy"));
    TRY(say_real(file, "its error", "/comparison/total", "error", ""));
    TRY(say_real(file, "exact EPR", "/comparison/total", "exact", "per time and copy"));
out:
    return status;
}

/* What the sums of the frames say that there are. */
static enum status say_trajectory(struct session *s, const struct info_summary *i) {
    enum status status = STATUS_OK;
    struct trajectory *t = NULL;
    struct trajectory_totals totals = {0};
    struct estimate exact;
    if (i->written == 0)
        return STATUS_OK;
    TRY(trajectory_open(s->comm, s->file, &t));
    TRY(totals_read(t, s->comm, &i->config, i->written, &totals));
    TRY(totals_exact_mean(&i->config, &totals, &exact));
    if (!isnan(exact.value))
        printf("%-22s %.5g +- %.2g per particle and time (informatic%s)\n", "exact EPR", exact.value,
               exact.error, i->config.system.eps > 0 ? "" : ", g part");
out:
    totals_release(&totals);
    trajectory_close(&t);
    return status;
}

static enum status say_origin(struct h5_file *file) {
    enum status status = STATUS_OK;
    TRY(say_text(file, "made by version", "/provenance", "version"));
    TRY(say_text(file, "revision", "/provenance", "revision"));
    TRY(say_text(file, "command", "/provenance", "command_line"));
    TRY(say_text(file, "started", "/provenance", "start_time"));
    TRY(say_text(file, "host", "/provenance", "host"));
    TRY(say_real(file, "ranks", "/provenance", "ranks", ""));
    TRY(say_text(file, "device", "/provenance", "device"));
out:
    return status;
}

static enum status say_all(struct session *s, struct h5_file *file, const struct info_summary *i) {
    enum status status = STATUS_OK;
    printf("%s: a file of epflow, kind %s\n", s->file, i->kind);
    info_say_complete(i);
    if (strcmp(i->kind, "evaluation") == 0) {
        TRY(say_certificate(file));
    } else if (strcmp(i->kind, "trajectory") == 0) {
        TRY(say_trajectory(s, i));
    } else if (strcmp(i->kind, "model") == 0) {
        TRY(say_model(file));
    } else {
        TRY(say_real(file, "step", "/", "step", ""));
        TRY(say_real(file, "frames written", "/", "frames", ""));
        TRY(say_check(file));
    }
    info_say_system(i);
    TRY(say_origin(file));
out:
    return status;
}

enum status command_info(struct session *s) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    struct info_summary *summary = NULL;
    TRY(file_open(s->comm, s->file, NULL, false, &file));
    TRY(comm_agree(s->comm, info_summarise(s, file, &summary)));
    if (s->json)
        TRY(print_json(s, file, summary));
    else if (comm_size(s->comm) == 1)
        TRY(say_all(s, file, summary));
    else
        status = FAIL(STATUS_BAD_INPUT, "epflow info runs on one rank: leave out mpirun");
out:
    free(summary);
    h5_close(&file);
    return status;
}
