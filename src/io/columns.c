#include "io/columns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checksum.h"

#define TRAJECTORY "/particles/trajectory"
#define EVALUATION "/particles/evaluation"
#define CHECKSUM "/parameters/checksums/frames"

/* Of a trajectory, in the order of its checksums. */
static const char *const trajectory_column[] = {"position", "propulsion", "image"};
enum { TRAJECTORY_COLUMNS = sizeof trajectory_column / sizeof *trajectory_column };

/* ---- which there are ---- */

/* Whether a name is in a list separated by commas. */
static bool listed(const char *list, const char *name) {
    const size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    return false;
}

static enum status add(struct columns *c, const struct column *column) {
    if (c->count == COLUMNS_MOST)
        return FAIL(STATUS_STORAGE, "%s has more than %d columns", h5_path(c->file), (int)COLUMNS_MOST);
    c->column[c->count++] = *column;
    return STATUS_OK;
}

/* A dataset (T, N) or (T, N, components), of which the first d count; others are left out. */
static enum status add_dataset(struct columns *c, const char *name, const char *path) {
    enum status status = STATUS_OK;
    size_t dims[H5_RANK];
    const int d = c->config.system.dimension;
    struct column column = {.axes = h5_axes(c->file, path), .width = 1};
    if (column.axes < 2 || column.axes > 3 || !h5_is_numbers(c->file, path))
        return STATUS_OK;
    TRY(h5_shape(c->file, path, &column.axes, dims));
    if (dims[1] != c->particles)
        return STATUS_OK;
    if (column.axes == 3)
        column.width = dims[2] < (size_t)d ? (int)dims[2] : d;
    column.integer = h5_is_integers(c->file, path);
    snprintf(column.name, sizeof column.name, "%s", name);
    snprintf(column.path, sizeof column.path, "%s", path);
    TRY(add(c, &column));
out:
    return status;
}

static enum status find_trajectory(struct columns *c, const char *wanted) {
    enum status status = STATUS_OK;
    char path[2 * COLUMN_NAME];
    for (int m = 0; m < TRAJECTORY_COLUMNS; m++) {
        snprintf(path, sizeof path, TRAJECTORY "/%s/value", trajectory_column[m]);
        if (m == 0 || !wanted || listed(wanted, trajectory_column[m]))
            TRY(add_dataset(c, trajectory_column[m], path));
    }
    c->checked = h5_has(c->file, CHECKSUM);
out:
    return status;
}

/* Names of a group, the first so many. */
struct names {
    int count;
    char name[COLUMNS_MOST][COLUMN_NAME];
};

static void keep_name(const char *name, void *context) {
    struct names *n = context;
    if (n->count < COLUMNS_MOST && strlen(name) < COLUMN_NAME)
        snprintf(n->name[n->count++], COLUMN_NAME, "%s", name);
}

static enum status find_evaluation(struct columns *c, const char *wanted) {
    enum status status = STATUS_OK;
    struct names names = {0};
    char path[2 * COLUMN_NAME];
    TRY(add_dataset(c, "position", EVALUATION "/position"));
    TRY(h5_visit_names(c->file, EVALUATION, keep_name, &names));
    for (int m = 0; m < names.count; m++) {
        snprintf(path, sizeof path, EVALUATION "/%s", names.name[m]);
        if (strcmp(names.name[m], "position") != 0 && (!wanted || listed(wanted, names.name[m])))
            TRY(add_dataset(c, names.name[m], path));
    }
out:
    return status;
}

/* A name in the list that the file does not have is an error. */
static enum status check_wanted(const struct columns *c, const char *wanted) {
    for (const char *at = wanted; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        const int length = (int)strcspn(at, ",");
        bool found = false;
        for (int m = 0; m < c->count && !found; m++)
            found = (int)strlen(c->column[m].name) == length &&
                    strncmp(c->column[m].name, at, (size_t)length) == 0;
        if (!found)
            return FAIL(STATUS_BAD_INPUT, "%s has no column %.*s: h5ls -r names what it has",
                        h5_path(c->file), length, at);
    }
    return STATUS_OK;
}

/* ---- opening ---- */

static enum status read_frames(struct columns *c, const char *group) {
    enum status status = STATUS_OK;
    size_t dims[H5_RANK], zero = 0;
    int rank;
    char path[COLUMN_NAME];
    snprintf(path, sizeof path, "%s/step", group);
    TRY(h5_shape(c->file, path, &rank, dims));
    c->step = calloc(dims[0] + 1, sizeof *c->step);
    c->time = calloc(dims[0] + 1, sizeof *c->time);
    if (!c->step || !c->time)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", dims[0]);
    TRY(comm_agree(c->comm, status));
    TRY(h5_read(c->file, path, H5_INT64, 1, &zero, dims, c->step));
    snprintf(path, sizeof path, "%s/time", group);
    TRY(h5_read(c->file, path, H5_FLOAT64, 1, &zero, dims, c->time));
    while (c->frames < dims[0] && c->step[c->frames] >= 0)
        c->frames++;
    if (c->frames == 0)
        status = FAIL(STATUS_BAD_INPUT, "%s has no frame yet", h5_path(c->file));
out:
    return status;
}

static enum status open_either(struct columns *c, const char *path, const char *wanted) {
    enum status status = STATUS_OK;
    char kind[64];
    TRY(file_open(c->comm, path, NULL, false, &c->file));
    TRY(h5_read_text(c->file, "/", "epflow_kind", sizeof kind, kind));
    const bool trajectory = strcmp(kind, "trajectory") == 0;
    if (!trajectory && strcmp(kind, "evaluation") != 0)
        return FAIL(STATUS_BAD_INPUT, "%s is a file of kind %s, which has no frames of particles to export",
                    path, kind);
    TRY(file_parameters(c->file, c->comm, &c->config));
    c->particles = (size_t)config_total(&c->config.system);
    config_box(&c->config.system, c->side);
    TRY(read_frames(c, trajectory ? TRAJECTORY "/position" : EVALUATION));
    TRY(trajectory ? find_trajectory(c, wanted) : find_evaluation(c, wanted));
    if (c->config.system.copies > 1)
        TRY(add(c, &(struct column){.name = "copy", .width = 1, .integer = true}));
    if (c->count == 0 || strcmp(c->column[0].name, "position") != 0)
        status = FAIL(STATUS_STORAGE, "%s: no positions of %zu particles: the file is damaged", path,
                      c->particles);
    else
        status = check_wanted(c, wanted);
out:
    return status;
}

enum status columns_open(struct comm *comm, const char *path, const char *wanted, struct columns **out) {
    struct columns *c = calloc(1, sizeof *c);
    *out = c;
    enum status status =
        comm_agree(comm, c ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for a file's columns"));
    if (c)
        c->comm = comm;
    if (status == STATUS_OK)
        status = open_either(c, path, wanted);
    if (status != STATUS_OK)
        columns_close(out);
    return status;
}

void columns_close(struct columns **columns) {
    struct columns *c = *columns;
    if (c && c->file)
        h5_close(&c->file);
    if (c) {
        free(c->step);
        free(c->time);
    }
    free(c);
    *columns = NULL;
}

/* ---- reading ---- */

/* As trajectory.c sums them: images are integers of 32 bits. */
static void add_checksum(struct columns *c, int column, size_t begin, size_t count, const double *rows) {
    const size_t width = (size_t)c->column[column].width;
    if (!c->column[column].integer) {
        c->sum[column] += checksum_rows(begin, count, width * sizeof *rows, rows);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        int32_t row[MAX_DIMENSION] = {0};
        for (size_t a = 0; a < width; a++)
            row[a] = (int32_t)rows[i * width + a];
        c->sum[column] += checksum_rows(begin + i, 1, width * sizeof *row, row);
    }
}

enum status columns_read(struct columns *c, size_t frame, int column, size_t begin, size_t count,
                         double *out) {
    const struct column *of = &c->column[column];
    const size_t offset[3] = {frame, begin, 0}, block[3] = {1, count, (size_t)of->width};
    if (of->path[0] == '\0') {
        for (size_t i = 0; i < count; i++)
            out[i] = (double)((begin + i) / (size_t)c->config.system.particles + 1);
        return STATUS_OK;
    }
    enum status status = h5_read(c->file, of->path, H5_FLOAT64, of->axes, offset, block, out);
    if (status == STATUS_OK && c->checked)
        add_checksum(c, column, begin, count, out);
    return status;
}

/* Where the checksum of a trajectory's column is among those of a frame. */
static size_t checksum_place(const char *name) {
    size_t m = 0;
    while (m < TRAJECTORY_COLUMNS - 1 && strcmp(trajectory_column[m], name) != 0)
        m++;
    return m;
}

enum status columns_verify(struct columns *c, size_t frame) {
    enum status status = STATUS_OK;
    uint64_t stored[TRAJECTORY_COLUMNS];
    if (!c->checked)
        return STATUS_OK; /* of an earlier version, or an evaluation */
    checksum_sum(c->comm, c->count, c->sum);
    TRY(h5_read(c->file, CHECKSUM, H5_UINT64, 2, (size_t[]){frame, 0}, (size_t[]){1, TRAJECTORY_COLUMNS},
                stored));
    for (int m = 0; m < c->count && status == STATUS_OK; m++)
        if (c->column[m].path[0] && c->sum[m] != stored[checksum_place(c->column[m].name)])
            status = FAIL(STATUS_STORAGE,
                          "%s: dataset %s, frame %zu: its checksum does not agree with its contents: the "
                          "file is damaged",
                          h5_path(c->file), c->column[m].path, frame);
    memset(c->sum, 0, sizeof c->sum);
out:
    return status;
}
