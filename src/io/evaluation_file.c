/* evaluation.h5: tables of numbers per particle and frame, gridded fields, profiles, the certificate.
 *
 * Evaluating takes hours, so the file survives a kill as a trajectory does: everything is made at its full
 * size first, what is known only at the end too (profiles, the attributes of the certificate, `complete` =
 * 0), and then written in place, a frame's step after its data.
 */
#include "io/evaluation_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checksum.h"

#define GROUP "/particles/evaluation"

/* Per frame (frames, columns): sums over particles of a hash of the rows of each column as float64. `columns` of it: their
 * names in this order, each after a comma. */
#define CHECKSUM "/parameters/checksums/columns"
enum { NAMES = 2048 };

struct evaluation {
    struct comm *comm;
    struct h5_file *file;
    const struct evaluation_shape *shape;
    uint64_t *sum; /* (columns) this rank's parts, of the frame that is written */
};

/* ---- shapes ---- */

static void column_path(const struct evaluation *e, int c, char out[160]) {
    snprintf(out, 160, GROUP "/%s", e->shape->column[c].name);
}

static int column_dims(const struct evaluation *e, int c, size_t dims[3]) {
    dims[0] = e->shape->frames;
    dims[1] = e->shape->particles;
    dims[2] = (size_t)e->shape->column[c].columns;
    return e->shape->column[c].columns > 1 ? 3 : 2;
}

static enum h5_type column_type(const struct evaluation *e, int c) {
    return e->shape->column[c].integer ? H5_INT32 : H5_FLOAT64;
}

static void field_path(const struct evaluation *e, int f, char out[160]) {
    snprintf(out, 160, "/fields/%s", e->shape->field[f].name);
}

static void profile_path(const struct evaluation_profile *p, char out[160]) {
    snprintf(out, 160, "/profiles/%s", p->name);
}

static void identity_path(const struct evaluation_identity *i, char out[160]) {
    snprintf(out, 160, "/certificate/%s", i->name);
}

/* (T, ny, nx) for d = 1 and 2, (T, nz, ny, nx) for d = 3, and the columns of a vector. */
static int field_dims(const struct evaluation_shape *s, int f, size_t dims[H5_RANK]) {
    int rank = 0;
    dims[rank++] = s->frames;
    for (int a = s->d == 3 ? 2 : 1; a >= 0; a--)
        dims[rank++] = (size_t)s->cells[a];
    if (s->field[f].columns > 1)
        dims[rank++] = (size_t)s->field[f].columns;
    return rank;
}

/* ---- making the file: everything at its full size, attributes too ---- */

static enum status make_checksums(struct evaluation *e) {
    enum status status = STATUS_OK;
    const size_t columns = (size_t)e->shape->columns;
    char names[NAMES] = "";
    TRY(h5_dataset(e->file, CHECKSUM, H5_UINT64, 2, (size_t[]){e->shape->frames, columns}, NULL,
                   "sums over particles of a hash of each column"));
    for (size_t c = 0; c < columns; c++)
        snprintf(names + strlen(names), sizeof names - strlen(names), ",%s", e->shape->column[c].name);
    TRY(h5_write_text(e->file, CHECKSUM, "columns", names));
out:
    return status;
}

static enum status make_columns(struct evaluation *e) {
    enum status status = STATUS_OK;
    const size_t frames = e->shape->frames, zero = 0;
    int64_t *unwritten = malloc((frames + 1) * sizeof *unwritten);
    if (!unwritten)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames);
    TRY(comm_agree(e->comm, status));
    for (size_t m = 0; m < frames; m++)
        unwritten[m] = -1;
    TRY(h5_dataset(e->file, GROUP "/step", H5_INT64, 1, &frames, NULL,
                   "step of the simulation; -1: not written"));
    TRY(h5_dataset(e->file, GROUP "/time", H5_FLOAT64, 1, &frames, "time", "time of the simulation"));
    TRY(h5_write(e->file, GROUP "/step", H5_INT64, 1, &zero, comm_rank(e->comm) == 0 ? &frames : &zero,
                 unwritten));
    for (int c = 0; c < e->shape->columns; c++) {
        const struct evaluation_column *column = &e->shape->column[c];
        char path[160];
        size_t dims[3];
        int rank = column_dims(e, c, dims);
        column_path(e, c, path);
        TRY(h5_dataset(e->file, path, column_type(e, c), rank, dims, column->unit, column->description));
    }
    TRY(make_checksums(e));
out:
    free(unwritten);
    return status;
}

static enum status make_fields(struct evaluation *e) {
    enum status status = STATUS_OK;
    const struct evaluation_shape *s = e->shape;
    for (int f = 0; f < s->fields; f++) {
        char path[160];
        size_t dims[H5_RANK];
        int rank = field_dims(s, f, dims);
        field_path(e, f, path);
        TRY(h5_dataset(e->file, path, H5_FLOAT64, rank, dims, s->field[f].unit, s->field[f].description));
        TRY(h5_write_reals(e->file, path, "spacing", s->d, s->spacing));
        TRY(h5_write_reals(e->file, path, "origin", s->d, s->origin));
    }
out:
    return status;
}

enum { OF_IDENTITY = 5, OF_RESULT = 11 };
static const char *const of_identity[OF_IDENTITY] = {"left", "right", "difference", "error", "z"};
static const char *const of_result[OF_RESULT] = {"resolved_fraction",
                                                 "resolved_fraction_error",
                                                 "resolved_fraction_probe_error",
                                                 "exact",
                                                 "exact_error",
                                                 "resolved",
                                                 "resolved_error",
                                                 "exact_total",
                                                 "exact_total_error",
                                                 "certified_total",
                                                 "certified_total_error"};

static enum status write_identity(struct evaluation *e, const struct evaluation_identity *i) {
    enum status status = STATUS_OK;
    const double values[OF_IDENTITY] = {i->left, i->right, i->difference, i->error, i->z};
    char group[160];
    identity_path(i, group);
    TRY(h5_group(e->file, group));
    TRY(h5_write_text(e->file, group, "description", i->description));
    for (int m = 0; m < OF_IDENTITY; m++)
        TRY(h5_write_real(e->file, group, of_identity[m], values[m]));
    TRY(h5_write_integer(e->file, group, "samples", i->samples));
out:
    return status;
}

static enum status write_result(struct evaluation *e, const struct evaluation_result *r) {
    enum status status = STATUS_OK;
    const double values[OF_RESULT] = {r->resolved_fraction,
                                      r->resolved_fraction_error,
                                      r->probe_error,
                                      r->exact,
                                      r->exact_error,
                                      r->resolved,
                                      r->resolved_error,
                                      r->exact * r->particles,
                                      r->exact_error * r->particles,
                                      r->resolved * r->particles,
                                      r->resolved_error * r->particles};
    for (int m = 0; m < OF_RESULT; m++)
        TRY(h5_write_real(e->file, "/certificate", of_result[m], values[m]));
    for (int m = 0; m < e->shape->identities; m++)
        TRY(write_identity(e, &e->shape->identity[m]));
out:
    return status;
}

/* ---- tables by class ---- */

static void table_path(const struct evaluation_table *t, const char *name, char out[160]) {
    snprintf(out, 160, "/certificate/%s/%s", t->name, name);
}

/* Names are known from the start. */
static enum status make_names(struct evaluation *e, const struct evaluation_table *t) {
    enum status status = STATUS_OK;
    const size_t zero = 0, classes = (size_t)t->classes, rows = comm_rank(e->comm) == 0 ? classes : 0;
    char path[160], (*text)[32] = calloc(classes + 1, sizeof *text);
    if (!text)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu names", classes);
    TRY(comm_agree(e->comm, status));
    for (size_t k = 0; k < classes; k++)
        snprintf(text[k], sizeof text[k], "%s", t->names[k]);
    table_path(t, "names", path);
    TRY(h5_dataset(e->file, path, H5_TEXT32, 1, &classes, NULL, "the classes"));
    TRY(h5_write(e->file, path, H5_TEXT32, 1, &zero, &rows, text));
out:
    free(text);
    return status;
}

static enum status make_table(struct evaluation *e, const struct evaluation_table *t) {
    enum status status = STATUS_OK;
    char path[160];
    const size_t classes = (size_t)t->classes, edges = classes + 1;
    snprintf(path, sizeof path, "/certificate/%s", t->name);
    TRY(h5_group(e->file, path));
    TRY(h5_write_text(e->file, path, "description", t->description));
    if (t->names) {
        TRY(make_names(e, t));
    } else {
        table_path(t, "edges", path);
        TRY(h5_dataset(e->file, path, H5_FLOAT64, 1, &edges, t->edges_unit, t->edges_description));
    }
    for (int m = 0; m < t->quantities; m++) {
        table_path(t, t->quantity[m].name, path);
        TRY(h5_dataset(e->file, path, H5_FLOAT64, 1, &classes, t->quantity[m].unit,
                       t->quantity[m].description));
    }
out:
    return status;
}

static enum status write_table(struct evaluation *e, const struct evaluation_table *t) {
    enum status status = STATUS_OK;
    char path[160];
    const size_t zero = 0, rows = comm_rank(e->comm) == 0 ? (size_t)t->classes : 0,
                 edges = comm_rank(e->comm) == 0 ? (size_t)t->classes + 1 : 0;
    if (!t->names) {
        table_path(t, "edges", path);
        TRY(h5_write(e->file, path, H5_FLOAT64, 1, &zero, &edges, t->edges));
    }
    for (int m = 0; m < t->quantities; m++) {
        table_path(t, t->quantity[m].name, path);
        TRY(h5_write(e->file, path, H5_FLOAT64, 1, &zero, &rows, t->quantity[m].values));
    }
out:
    return status;
}

static enum status make_end(struct evaluation *e, const char *epr_convention, const double noise[2]) {
    enum status status = STATUS_OK;
    const struct evaluation_shape *s = e->shape;
    const size_t bins = (size_t)s->bins;
    TRY(h5_dataset(e->file, "/profiles/distance", H5_FLOAT64, 1, &bins, "r0",
                   "distance to the interface, positive in the dense phase; centre of a bin"));
    for (int m = 0; m < s->profiles; m++) {
        char path[160];
        profile_path(&s->profile[m], path);
        TRY(h5_dataset(e->file, path, H5_FLOAT64, 1, &bins, s->profile[m].unit, s->profile[m].description));
    }
    TRY(h5_group(e->file, "/certificate"));
    TRY(h5_write_text(e->file, "/certificate", "epr_convention", epr_convention));
    TRY(h5_write_real(e->file, "/certificate", "sigma", noise[1]));
    TRY(h5_write_real(e->file, "/certificate", "noise_x", noise[0]));
    TRY(h5_write_real(e->file, "/certificate", "noise_g", noise[1]));
    TRY(write_result(
        e, &(struct evaluation_result){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN})); /* not known yet */
    for (int m = 0; m < s->tables; m++)
        TRY(make_table(e, &s->table[m]));
    TRY(checksum_seal(e->file, "/certificate"));
    TRY(h5_write_integer(e->file, "/", "complete", 0));
out:
    return status;
}

static enum status allocate(struct comm *comm, const struct evaluation_shape *shape,
                            struct evaluation **out) {
    *out = calloc(1, sizeof **out);
    if (*out)
        **out = (struct evaluation){
            .comm = comm, .shape = shape, .sum = calloc((size_t)shape->columns + 1, sizeof *(*out)->sum)};
    return comm_agree(comm, *out && (*out)->sum ? STATUS_OK
                                                : FAIL(STATUS_FAILURE, "out of memory for an evaluation"));
}

enum status evaluation_create(struct comm *comm, const char *path, const struct evaluation_shape *shape,
                              const struct config *config, const char *device, const char *trajectories,
                              const char *model, const char *epr_convention, const double noise[2],
                              struct evaluation **out) {
    enum status status = allocate(comm, shape, out);
    if (status != STATUS_OK) {
        evaluation_close(out);
        return status;
    }
    struct evaluation *e = *out;
    TRY(file_begin(comm, path, &e->file));
    TRY(file_describe(e->file, "evaluation", config, comm, device));
    TRY(h5_write_text(e->file, "/provenance", "trajectories", trajectories));
    TRY(h5_write_text(e->file, "/provenance", "model", model));
    TRY(h5_write_integer(e->file, "/", "dimension", shape->d));
    TRY(make_columns(e));
    TRY(make_fields(e));
    TRY(make_end(e, epr_convention, noise));
    TRY(file_appear(comm, &e->file, path));
out:
    if (status != STATUS_OK)
        evaluation_close(out);
    return status;
}

/* Files of earlier versions hold less. */
static enum status expect_dataset(struct evaluation *e, const char *name) {
    if (h5_has(e->file, name))
        return STATUS_OK;
    return FAIL(STATUS_BAD_INPUT,
                "%s has no %s: another version of epflow made it. Start anew with --overwrite",
                h5_path(e->file), name);
}

static enum status expect_numbers(struct evaluation *e, const char *group, int count,
                                  const char *const name[]) {
    for (int m = 0; m < count; m++)
        if (!h5_has_attribute(e->file, group, name[m]))
            return FAIL(STATUS_STORAGE, "%s has no %s of %s: the file is damaged", h5_path(e->file), name[m],
                        group);
    return STATUS_OK;
}

/* What is written at the end only, and must find the place that was made for it. */
static enum status expect_end(struct evaluation *e) {
    enum status status = STATUS_OK;
    const struct evaluation_shape *s = e->shape;
    const size_t bins = (size_t)s->bins;
    char name[160];
    TRY(h5_expect(e->file, "/profiles/distance", H5_FLOAT64, 1, &bins));
    for (int m = 0; m < s->profiles; m++) {
        profile_path(&s->profile[m], name);
        TRY(h5_expect(e->file, name, H5_FLOAT64, 1, &bins));
    }
    for (int m = 0; m < s->tables; m++) {
        const struct evaluation_table *t = &s->table[m];
        const size_t classes = (size_t)t->classes, edges = classes + 1;
        table_path(t, "edges", name);
        if (!t->names)
            TRY(h5_expect(e->file, name, H5_FLOAT64, 1, &edges));
        for (int q = 0; q < t->quantities; q++) {
            table_path(t, t->quantity[q].name, name);
            TRY(h5_expect(e->file, name, H5_FLOAT64, 1, &classes));
        }
    }
    TRY(expect_numbers(e, "/certificate", OF_RESULT, of_result));
    for (int m = 0; m < s->identities; m++) {
        identity_path(&s->identity[m], name);
        TRY(expect_dataset(e, name));
        TRY(expect_numbers(e, name, OF_IDENTITY, of_identity));
    }
    for (int f = 0; f < s->fields; f++) {
        size_t dims[H5_RANK];
        const int rank = field_dims(s, f, dims);
        field_path(e, f, name);
        TRY(h5_expect(e->file, name, H5_FLOAT64, rank, dims));
    }
out:
    return status;
}

/* Where the name of a file begins in "FOLDER/NAME (DETAILS), ...". */
static const char *name_in(const char *entry) {
    const char *end = strstr(entry, " ("), *name = entry;
    for (const char *c = entry; end && c < end; c++)
        name = *c == '/' ? c + 1 : name;
    return name;
}

/* The same names and details, in whatever folders: what was moved is still the same. */
static bool same_files(const char *then, const char *now) {
    while (*then && *now) {
        then = name_in(then);
        now = name_in(now);
        const size_t length = strcspn(then, ")");
        if (strcspn(now, ")") != length || strncmp(then, now, length) != 0)
            return false;
        then += length + strspn(then + length, "), ");
        now += length + strspn(now + length, "), ");
    }
    return *then == *now;
}

enum status evaluation_continue(struct comm *comm, const char *path, const struct evaluation_shape *shape,
                                const struct config *config, const char *trajectories, const char *model,
                                struct evaluation **out) {
    enum status status = allocate(comm, shape, out);
    char then[2][CONFIG_FILES * (CONFIG_TEXT + 2)], name[160];
    if (status != STATUS_OK) {
        evaluation_close(out);
        return status;
    }
    struct evaluation *e = *out;
    TRY(file_open(comm, path, "evaluation", true, &e->file));
    TRY(file_same_parameters(e->file, comm, config, "system,evaluation,data", HINT_RESUME));
    TRY(h5_read_text(e->file, "/provenance", "trajectories", sizeof then[0], then[0]));
    TRY(h5_read_text(e->file, "/provenance", "model", sizeof then[1], then[1]));
    if (!same_files(then[0], trajectories) || !same_files(then[1], model)) {
        status = FAIL(STATUS_BAD_INPUT,
                      "%s was made from %s and %s: go on with the same files, or start anew with "
                      "--overwrite",
                      path, then[0], then[1]);
        goto out;
    }
    TRY(h5_expect(e->file, GROUP "/step", H5_INT64, 1, &shape->frames));
    for (int m = 0; m < shape->tables; m++) {
        table_path(&shape->table[m], "count", name);
        TRY(expect_dataset(e, name));
    }
    for (int c = 0; c < shape->columns; c++) {
        size_t dims[3];
        int rank = column_dims(e, c, dims);
        column_path(e, c, name);
        TRY(expect_dataset(e, name));
        TRY(h5_expect(e->file, name, column_type(e, c), rank, dims));
    }
    TRY(expect_end(e));
    TRY(h5_reserve(e->file)); /* a copy may have lost the room that was taken for it */
out:
    if (status != STATUS_OK)
        evaluation_close(out);
    return status;
}

enum status evaluation_close(struct evaluation **e) {
    enum status status = STATUS_OK;
    if (*e && (*e)->file)
        status = h5_close(&(*e)->file);
    if (*e)
        free((*e)->sum);
    free(*e);
    *e = NULL;
    return status;
}

/* ---- frames ---- */

enum status evaluation_written(struct evaluation *e, size_t *frames) {
    enum status status = STATUS_OK;
    const size_t zero = 0;
    int64_t *step = malloc((e->shape->frames + 1) * sizeof *step);
    if (!step)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", e->shape->frames);
    TRY(comm_agree(e->comm, status));
    TRY(h5_read(e->file, GROUP "/step", H5_INT64, 1, &zero, &e->shape->frames, step));
    TRY(file_frames(h5_path(e->file), GROUP "/step", false, e->shape->frames, step, frames));
    if (*frames < e->shape->frames) /* until the last of them nothing is written there */
        TRY(checksum_verify_seal(e->file, "/certificate"));
out:
    free(step);
    return status;
}

enum status evaluation_complete(struct evaluation *e, bool *complete) {
    int64_t value = 0;
    enum status status = h5_read_integer(e->file, "/", "complete", &value);
    *complete = value == 1;
    return status;
}

enum status evaluation_write_column(struct evaluation *e, size_t frame, int column, size_t begin,
                                    size_t count, const double *rows) {
    char path[160];
    size_t dims[3], offset[3] = {frame, begin, 0};
    int rank = column_dims(e, column, dims);
    column_path(e, column, path);
    e->sum[column] = checksum_rows(begin, count, dims[2] * sizeof *rows, rows);
    return h5_write(e->file, path, H5_FLOAT64, rank, offset, (size_t[]){1, count, dims[2]}, rows);
}

enum status evaluation_verify_column(struct comm *comm, struct h5_file *file, const char *name, size_t frame,
                                     uint64_t own) {
    enum status status = STATUS_OK;
    char names[NAMES], wanted[64];
    size_t column = 0;
    uint64_t stored = 0;
    if (!h5_has(file, CHECKSUM))
        return STATUS_OK; /* of an earlier version */
    TRY(h5_read_text(file, CHECKSUM, "columns", sizeof names - 1, names));
    snprintf(wanted, sizeof wanted, ",%s,", name);
    strcat(names, ",");
    const char *found = strstr(names, wanted);
    if (!found)
        return FAIL(STATUS_STORAGE, "%s has no checksum of %s: the file is damaged", h5_path(file), name);
    for (const char *at = names; at < found; at++)
        column += *at == ',';
    checksum_sum(comm, 1, &own);
    TRY(h5_read(file, CHECKSUM, H5_UINT64, 2, (size_t[]){frame, column}, (size_t[]){1, 1}, &stored));
    if (stored != own)
        status = FAIL(STATUS_STORAGE,
                      "%s: dataset " GROUP
                      "/%s, frame %zu: its checksum does not agree with its contents: the file "
                      "is damaged",
                      h5_path(file), name, frame);
out:
    return status;
}

enum status evaluation_read_column(struct evaluation *e, size_t frame, int column, size_t begin, size_t count,
                                   double *rows) {
    char path[160];
    size_t dims[3], offset[3] = {frame, begin, 0};
    int rank = column_dims(e, column, dims);
    column_path(e, column, path);
    enum status status =
        h5_read(e->file, path, H5_FLOAT64, rank, offset, (size_t[]){1, count, dims[2]}, rows);
    if (status != STATUS_OK)
        return status;
    return evaluation_verify_column(e->comm, e->file, e->shape->column[column].name, frame,
                                    checksum_rows(begin, count, dims[2] * sizeof *rows, rows));
}

enum status evaluation_write_field(struct evaluation *e, size_t frame, int field, size_t first, size_t layers,
                                   const double *rows) {
    char path[160];
    size_t dims[H5_RANK], offset[H5_RANK] = {frame}, count[H5_RANK];
    int rank = field_dims(e->shape, field, dims);
    const int axis = e->shape->d == 1 ? 2 : 1; /* a line is stored as one row of a plane */
    field_path(e, field, path);
    memcpy(count, dims, sizeof count);
    count[0] = 1;
    offset[axis] = first;
    count[axis] = layers;
    return h5_write(e->file, path, H5_FLOAT64, rank, offset, count, rows);
}

enum status evaluation_write_step(struct evaluation *e, size_t frame, int64_t step, double time) {
    enum status status = STATUS_OK;
    const size_t count = comm_rank(e->comm) == 0, columns = (size_t)e->shape->columns;
    checksum_sum(e->comm, e->shape->columns, e->sum);
    if (h5_has(e->file, CHECKSUM))
        TRY(h5_write(e->file, CHECKSUM, H5_UINT64, 2, (size_t[]){frame, 0}, (size_t[]){count, columns},
                     e->sum));
    TRY(h5_write(e->file, GROUP "/time", H5_FLOAT64, 1, &frame, &count, &time));
    TRY(h5_sync(e->file));
    TRY(h5_write(e->file, GROUP "/step", H5_INT64, 1, &frame, &count, &step));
    TRY(h5_sync(e->file));
out:
    return status;
}

enum status evaluation_finish(struct evaluation *e, const double *distance,
                              const struct evaluation_result *result) {
    enum status status = STATUS_OK;
    const struct evaluation_shape *s = e->shape;
    const size_t zero = 0, bins = comm_rank(e->comm) == 0 ? (size_t)s->bins : 0;
    TRY(h5_write(e->file, "/profiles/distance", H5_FLOAT64, 1, &zero, &bins, distance));
    for (int m = 0; m < s->profiles; m++) {
        char path[160];
        profile_path(&s->profile[m], path);
        TRY(h5_write(e->file, path, H5_FLOAT64, 1, &zero, &bins, s->profile[m].values));
    }
    for (int m = 0; m < s->tables; m++)
        TRY(write_table(e, &s->table[m]));
    TRY(write_result(e, result));
    TRY(checksum_seal(e->file, "/certificate"));
    TRY(h5_sync(e->file));
    TRY(h5_write_integer(e->file, "/", "complete", 1));
    TRY(h5_sync(e->file));
out:
    return status;
}
