/* model.h5: one dataset per tensor, named by its path in the network, in four trees: the weights, their
 * moving average, and the two moments of the optimizer. Beside them the training log, one dataset per column,
 * and the parameters again as attributes of /network, /training and /system, where a reader of models looks
 * for them.
 */
#include "io/model_file.h"

#include "io/checksum.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define RETURN "/return"
static const char *const tree_name[MODEL_TREES] = {"/weights", "/average", "/optimizer/mu", "/optimizer/nu"};
static const char *const return_name[MODEL_TREES] = {RETURN "/weights", RETURN "/average",
                                                     RETURN "/optimizer/mu", RETURN "/optimizer/nu"};

static real *tree_of(const struct model_state *s, int tree) {
    return tree == 0 ? s->weights : tree == 1 ? s->average : tree == 2 ? s->mu : s->nu;
}

/* ---- logs: one dataset per column ---- */

struct log_column {
    const char *name, *unit;
    size_t offset;
    bool integer;
};
static const struct log_column log_columns[] = {
    {"/training/log/step", "1", offsetof(struct training_log_row, step), true},
    {"/training/log/loss", "1", offsetof(struct training_log_row, loss), false},
    {"/training/log/gradient_norm", "1", offsetof(struct training_log_row, gradient_norm), false},
    {"/training/log/rate", "1", offsetof(struct training_log_row, rate), false},
    {"/training/log/particles_per_second", "1/s", offsetof(struct training_log_row, particles_per_second),
     false},
};
static const struct log_column test_columns[] = {
    {"/training/test/step", "1", offsetof(struct test_log_row, step), true},
    {"/training/test/resolved_fraction", "1", offsetof(struct test_log_row, resolved_fraction), false},
    {"/training/test/error", "1", offsetof(struct test_log_row, error), false},
    {"/training/test/residual", "1/time^2", offsetof(struct test_log_row, residual), false},
};
static const struct log_column retry_columns[] = {
    {"/training/retries/step", "1", offsetof(struct retry_row, step), true},
    {"/training/retries/back", "1", offsetof(struct retry_row, back), true},
    {"/training/retries/cause", "1", offsetof(struct retry_row, cause), true},
    {"/training/retries/rate", "1", offsetof(struct retry_row, rate), false},
};
enum {
    LOG_COLUMNS = sizeof log_columns / sizeof *log_columns,
    TEST_COLUMNS = sizeof test_columns / sizeof *test_columns,
    RETRY_COLUMNS = sizeof retry_columns / sizeof *retry_columns
};

/* Rows are structs of 8-byte members: copies one member of every row. */
static void copy_column(size_t rows, size_t row_size, size_t offset, char *table, char *column, bool out) {
    for (size_t i = 0; i < rows; i++) {
        char *member = table + i * row_size + offset;
        memcpy(out ? column + 8 * i : member, out ? member : column + 8 * i, 8);
    }
}

static enum status write_table(struct comm *comm, struct h5_file *file, int columns,
                               const struct log_column *column, size_t rows, size_t row_size, void *table) {
    enum status status = STATUS_OK;
    const size_t zero = 0, count = comm_rank(comm) == 0 ? rows : 0;
    char *values = malloc(8 * rows + 8);
    if (!values)
        status = FAIL(STATUS_FAILURE, "out of memory for the training log");
    TRY(comm_agree(comm, status));
    for (int c = 0; c < columns && rows > 0; c++) {
        const enum h5_type type = column[c].integer ? H5_INT64 : H5_FLOAT64;
        copy_column(rows, row_size, column[c].offset, table, values, true);
        TRY(h5_dataset(file, column[c].name, type, 1, &rows, column[c].unit, NULL));
        TRY(h5_write(file, column[c].name, type, 1, &zero, &count, values));
        TRY(checksum_write(file, comm, column[c].name, checksum_rows(0, count, 8, values)));
    }
out:
    free(values);
    return status;
}

static enum status read_table(struct comm *comm, struct h5_file *file, int columns,
                              const struct log_column *column, size_t *rows, size_t row_size, void **table) {
    enum status status = STATUS_OK;
    const size_t zero = 0;
    size_t dims[H5_RANK];
    int rank;
    char *values = NULL;
    *rows = 0;
    *table = NULL;
    if (!h5_has(file, column[0].name))
        return STATUS_OK;
    TRY(h5_shape(file, column[0].name, &rank, dims));
    values = malloc(8 * dims[0] + 8);
    *table = calloc(dims[0] + 1, row_size);
    if (!values || !*table)
        status = FAIL(STATUS_FAILURE, "out of memory for the training log");
    TRY(comm_agree(comm, status));
    for (int c = 0; c < columns; c++) {
        const enum h5_type type = column[c].integer ? H5_INT64 : H5_FLOAT64;
        TRY(h5_expect(file, column[c].name, type, 1, dims));
        TRY(h5_read(file, column[c].name, type, 1, &zero, dims, values));
        TRY(checksum_verify(file, comm, column[c].name,
                            checksum_rows(0, comm_rank(comm) == 0 ? dims[0] : 0, 8, values)));
        copy_column(dims[0], row_size, column[c].offset, *table, values, false);
    }
    *rows = dims[0];
out:
    free(values);
    return status;
}

/* ---- tensors ---- */

/* Of a tensor's values as float32, which is what either build reads. Every rank has them all: rank 0's part. */
static uint64_t tensor_checksum(const struct comm *comm, const struct model_tensor *t, const real *values) {
    const size_t count = comm_rank(comm) == 0 ? (size_t)t->rows * (size_t)t->columns : 0;
    uint64_t sum = 0;
    values += t->offset;
    for (size_t i = 0; i < count; i++) {
        const float value = (float)values[i];
        sum += checksum_rows(i, 1, sizeof value, &value);
    }
    return sum;
}

static int tensor_shape(const struct model_tensor *t, size_t shape[2]) {
    const bool vector = t->rows == 1;
    shape[0] = (size_t)(vector ? t->columns : t->rows);
    shape[1] = (size_t)t->columns;
    return vector ? 1 : 2;
}

static enum status write_tree(struct comm *comm, struct h5_file *file, const char *tree, int tensors,
                              const struct model_tensor *tensor, const real *values) {
    enum status status = STATUS_OK;
    const size_t zero[2] = {0, 0};
    const bool first = comm_rank(comm) == 0;
    for (int m = 0; m < tensors; m++) {
        char path[160];
        size_t shape[2];
        int rank = tensor_shape(&tensor[m], shape);
        snprintf(path, sizeof path, "%s/%s", tree, tensor[m].name);
        TRY(h5_dataset(file, path, H5_REAL, rank, shape, NULL, NULL));
        TRY(h5_write(file, path, H5_REAL, rank, zero, first ? shape : zero, values + tensor[m].offset));
        TRY(checksum_write(file, comm, path, tensor_checksum(comm, &tensor[m], values)));
    }
out:
    return status;
}

/* Every rank has them all. */
static enum status check_finite(const struct h5_file *file, const char *path, const struct model_tensor *t,
                                const real *values) {
    const size_t count = (size_t)t->rows * (size_t)t->columns;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[t->offset + i]))
            return FAIL(
                STATUS_NUMBERS,
                "%s: number %zu of %s is not finite: it is damaged, or of a training that failed: use an "
                "earlier model, or train anew",
                h5_path(file), i, path);
    return STATUS_OK;
}

static enum status read_tree(struct comm *comm, struct h5_file *file, const char *tree, int tensors,
                             const struct model_tensor *tensor, real *values) {
    enum status status = STATUS_OK;
    const size_t zero[2] = {0, 0};
    for (int m = 0; m < tensors; m++) {
        char path[160];
        size_t shape[2];
        int rank = tensor_shape(&tensor[m], shape);
        snprintf(path, sizeof path, "%s/%s", tree, tensor[m].name);
        TRY(h5_expect(file, path, H5_FLOAT32, rank, shape)); /* or float64: either build reads either */
        TRY(h5_read(file, path, H5_REAL, rank, zero, shape, values + tensor[m].offset));
        TRY(check_finite(file, path, &tensor[m], values));
        TRY(checksum_verify(file, comm, path, tensor_checksum(comm, &tensor[m], values)));
    }
out:
    return status;
}

/* ---- the file ---- */

/* The parameters again where a reader looks for them. */
static enum status write_section(const struct config_value *v, void *file) {
    char group[64];
    if (strcmp(v->section, "network") != 0 && strcmp(v->section, "training") != 0 &&
        strcmp(v->section, "system") != 0)
        return STATUS_OK;
    snprintf(group, sizeof group, "/%s", v->section);
    return file_write_value(file, group, v);
}

/* ---- what the next step needs beside the trees ---- */

#define ROW "/training/log"

struct number {
    const char *name;
    int64_t *integer;
    double *real;
};

/* The row of the log that has begun, without its times, and the watch over the losses: attributes of a group. */
enum { PROGRESS = 9 };
static void progress_of(struct training_log_row *sum, struct loss_watch *watch, struct number out[PROGRESS]) {
    const struct number list[PROGRESS] = {{"begun_steps", &sum->step, NULL},
                                          {"begun_loss", NULL, &sum->loss},
                                          {"begun_gradient_norm", NULL, &sum->gradient_norm},
                                          {"watch_steps", &watch->steps, NULL},
                                          {"watch_above", &watch->above, NULL},
                                          {"watch_mean", NULL, &watch->mean},
                                          {"watch_variance", NULL, &watch->variance},
                                          {"watch_best", NULL, &watch->best},
                                          {"watch_spread", NULL, &watch->spread}};
    memcpy(out, list, sizeof list);
}

static enum status write_progress(struct h5_file *file, const char *group, struct training_log_row sum,
                                  struct loss_watch watch) {
    enum status status = STATUS_OK;
    struct number list[PROGRESS];
    progress_of(&sum, &watch, list);
    TRY(h5_group(file, group));
    for (int m = 0; m < PROGRESS; m++)
        TRY(list[m].integer ? h5_write_integer(file, group, list[m].name, *list[m].integer)
                            : h5_write_real(file, group, list[m].name, *list[m].real));
out:
    return status;
}

/* What an earlier version did not write is zero. */
static enum status read_progress(struct h5_file *file, const char *group, struct training_log_row *sum,
                                 struct loss_watch *watch) {
    enum status status = STATUS_OK;
    struct number list[PROGRESS];
    *sum = (struct training_log_row){0};
    *watch = (struct loss_watch){0};
    progress_of(sum, watch, list);
    for (int m = 0; m < PROGRESS; m++)
        if (h5_has_attribute(file, group, list[m].name))
            TRY(list[m].integer ? h5_read_integer(file, group, list[m].name, list[m].integer)
                                : h5_read_real(file, group, list[m].name, list[m].real));
out:
    return status;
}

static enum status write_return(struct comm *comm, struct h5_file *file, int tensors,
                                const struct model_tensor *tensor, const struct model_return *back) {
    enum status status = STATUS_OK;
    TRY(write_progress(file, RETURN, back->sum, back->watch));
    TRY(h5_write_integer(file, RETURN, "step", back->step));
    for (int tree = 0; tree < MODEL_TREES; tree++)
        TRY(write_tree(comm, file, return_name[tree], tensors, tensor, back->array[tree]));
out:
    return status;
}

static enum status read_return(struct comm *comm, struct h5_file *file, int tensors,
                               const struct model_tensor *tensor, struct model_return *back) {
    enum status status = STATUS_OK;
    back->step = -1;
    if (!h5_has(file, RETURN))
        return STATUS_OK;
    TRY(read_progress(file, RETURN, &back->sum, &back->watch));
    TRY(h5_read_integer(file, RETURN, "step", &back->step));
    for (int tree = 0; tree < MODEL_TREES; tree++)
        TRY(read_tree(comm, file, return_name[tree], tensors, tensor, back->array[tree]));
out:
    return status;
}

#define TRAJECTORIES "/training/trajectories"

/* Their paths, and in a group of one attribute each what they are. */
static enum status write_data(struct h5_file *file, const struct model_data *data) {
    enum status status = STATUS_OK;
    char paths[4096] = "", name[16];
    for (int m = 0; m < data->count; m++)
        snprintf(paths + strlen(paths), sizeof paths - strlen(paths), "%s%s", m > 0 ? ", " : "",
                 data->path[m]);
    TRY(h5_write_text(file, "/training", "data", paths));
    TRY(h5_group(file, TRAJECTORIES));
    for (int m = 0; m < data->count; m++) {
        snprintf(name, sizeof name, "%d", m);
        TRY(h5_write_text(file, TRAJECTORIES, name, data->identity[m]));
    }
out:
    return status;
}

enum status model_write(struct comm *comm, const char *path, const struct config *config, const char *device,
                        const struct model_data *data, int tensors, const struct model_tensor *tensor,
                        const struct model_state *state) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    TRY(file_begin(comm, path, &file));
    TRY(file_describe(file, "model", config, comm, device));
    TRY(config_visit(config, write_section, file));
    TRY(h5_write_integer(file, "/", "step", state->step));
    TRY(h5_write_integer(file, "/", "dimension", config->system.dimension));
    TRY(h5_write_real(file, "/", "sigma", config_smoothing(&config->training)));
    TRY(h5_write_integer(file, "/network", "parameters", (int64_t)state->size));
    TRY(write_data(file, data));
    for (int tree = 0; tree < MODEL_TREES; tree++)
        TRY(write_tree(comm, file, tree_name[tree], tensors, tensor, tree_of(state, tree)));
    TRY(write_progress(file, ROW, state->sum, state->watch));
    if (state->back.array[0] && state->back.step < state->step && state->step < config->training.steps)
        TRY(write_return(comm, file, tensors, tensor, &state->back));
    TRY(write_table(comm, file, LOG_COLUMNS, log_columns, state->log_rows, sizeof *state->log, state->log));
    TRY(write_table(comm, file, TEST_COLUMNS, test_columns, state->test_rows, sizeof *state->test,
                    state->test));
    TRY(write_table(comm, file, RETRY_COLUMNS, retry_columns, state->retry_rows, sizeof *state->retry,
                    state->retry));
    TRY(file_finish(comm, &file, path, NULL));
out:
    h5_close(&file);
    return status;
}

enum status model_read_header(struct comm *comm, const char *path, struct config *config, int64_t *step) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    TRY(file_open(comm, path, "model", false, &file));
    TRY(h5_read_integer(file, "/", "step", step));
    TRY(file_parameters(file, comm, config));
out:
    h5_close(&file);
    return status;
}

enum status model_expect_size(struct comm *comm, const char *path, size_t weights) {
    enum status status = STATUS_OK;
    struct stat about;
    if (comm_rank(comm) == 0 && stat(path, &about) == 0 &&
        (double)about.st_size < (double)weights * sizeof(float))
        status = FAIL(
            STATUS_STORAGE,
            "%s: its parameters are of a network of %zu weights, and it has %lld bytes: the file is damaged",
            path, weights, (long long)about.st_size);
    return comm_agree(comm, status);
}

enum status model_read_identity(struct comm *comm, const char *path, int index,
                                char identity[MODEL_IDENTITY]) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    char name[16];
    snprintf(name, sizeof name, "%d", index);
    identity[0] = '\0';
    TRY(file_open(comm, path, "model", false, &file));
    if (h5_has(file, TRAJECTORIES) && h5_has_attribute(file, TRAJECTORIES, name))
        TRY(h5_read_text(file, TRAJECTORIES, name, MODEL_IDENTITY, identity));
out:
    h5_close(&file);
    return status;
}

enum status model_read(struct comm *comm, const char *path, int tensors, const struct model_tensor *tensor,
                       struct model_state *state) {
    enum status status = STATUS_OK;
    struct h5_file *file = NULL;
    TRY(file_open(comm, path, "model", false, &file));
    TRY(h5_read_integer(file, "/", "step", &state->step));
    for (int tree = 0; tree < MODEL_TREES; tree++)
        if (tree_of(state, tree))
            TRY(read_tree(comm, file, tree_name[tree], tensors, tensor, tree_of(state, tree)));
    TRY(read_progress(file, ROW, &state->sum, &state->watch));
    if (state->back.array[0])
        TRY(read_return(comm, file, tensors, tensor, &state->back));
    TRY(read_table(comm, file, LOG_COLUMNS, log_columns, &state->log_rows, sizeof *state->log,
                   (void **)&state->log));
    TRY(read_table(comm, file, TEST_COLUMNS, test_columns, &state->test_rows, sizeof *state->test,
                   (void **)&state->test));
    TRY(read_table(comm, file, RETRY_COLUMNS, retry_columns, &state->retry_rows, sizeof *state->retry,
                   (void **)&state->retry));
out:
    h5_close(&file);
    return status;
}
