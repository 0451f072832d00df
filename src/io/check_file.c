#include "io/check_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "io/checksum.h"

#define GROUP "/particles/exact"
#define EVALUATION "/particles/evaluation"

struct check_file {
    struct comm *comm;
    struct h5_file *file;
    char path[FILE_PATH];
    size_t frames, particles;
    const struct evaluation_column *column;
};

/* (T, N) or (T, N, columns). */
static int shape_of(size_t frames, size_t particles, int columns, size_t dims[3]) {
    dims[0] = frames;
    dims[1] = particles;
    dims[2] = (size_t)columns;
    return columns > 1 ? 3 : 2;
}

/* ---- check.h5 ---- */

enum status check_file_create(struct comm *comm, const char *path, const struct config *config,
                              const char *device, const char *reference, size_t frames, size_t particles,
                              int columns, const struct evaluation_column *column, struct check_file **out) {
    enum status status = STATUS_OK;
    struct check_file *c = calloc(1, sizeof *c);
    *out = c;
    TRY(comm_agree(comm, c ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for a check")));
    *c = (struct check_file){.comm = comm, .frames = frames, .particles = particles, .column = column};
    snprintf(c->path, sizeof c->path, "%s", path);
    TRY(file_begin(comm, path, &c->file));
    TRY(file_describe(c->file, "check", config, comm, device));
    TRY(h5_write_text(c->file, "/", "reference", reference));
    TRY(h5_group(c->file, GROUP));
    for (int m = 0; m < columns; m++) {
        char name[160];
        size_t dims[3];
        const int rank = shape_of(frames, particles, column[m].columns, dims);
        snprintf(name, sizeof name, GROUP "/%s", column[m].name);
        TRY(h5_dataset(c->file, name, H5_FLOAT64, rank, dims, column[m].unit, column[m].description));
    }
out:
    if (status != STATUS_OK)
        check_file_discard(out);
    return status;
}

enum status check_file_write(struct check_file *c, size_t frame, int column, size_t begin, size_t count,
                             const double *rows) {
    char name[160];
    size_t dims[3], offset[3] = {frame, begin, 0};
    const int rank = shape_of(c->frames, c->particles, c->column[column].columns, dims);
    snprintf(name, sizeof name, GROUP "/%s", c->column[column].name);
    return h5_write(c->file, name, H5_FLOAT64, rank, offset, (size_t[]){1, count, dims[2]}, rows);
}

enum status check_file_finish(struct check_file **check, int numbers, const struct check_number *number) {
    enum status status = STATUS_OK;
    struct check_file *c = *check;
    TRY(h5_group(c->file, "/comparison"));
    for (int m = 0; m < numbers; m++) {
        char group[96];
        snprintf(group, sizeof group, "/comparison/%s", number[m].name);
        TRY(h5_group(c->file, group));
        TRY(h5_write_text(c->file, group, "description", number[m].description));
        TRY(h5_write_real(c->file, group, "model", number[m].model));
        TRY(h5_write_real(c->file, group, "exact", number[m].exact));
        TRY(h5_write_real(c->file, group, "error", number[m].error));
    }
    TRY(file_finish(c->comm, &c->file, c->path, NULL));
out:
    check_file_discard(check);
    return status;
}

void check_file_discard(struct check_file **check) {
    if (*check && (*check)->file)
        h5_close(&(*check)->file);
    free(*check);
    *check = NULL;
}

/* ---- evaluation.h5 ---- */

enum status check_source_open(struct comm *comm, const char *path, struct check_source **out) {
    enum status status = STATUS_OK;
    struct check_source *s = calloc(1, sizeof *s);
    int64_t complete = 0;
    size_t dims[H5_RANK];
    int rank;
    *out = s;
    TRY(comm_agree(comm, s ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for a check")));
    s->comm = comm;
    TRY(file_open(comm, path, "evaluation", false, &s->file));
    TRY(h5_read_integer(s->file, "/", "complete", &complete));
    if (complete != 1) {
        status = FAIL(STATUS_BAD_INPUT, "%s is not complete: go on with epflow evaluate --resume", path);
        goto out;
    }
    TRY(file_parameters(s->file, comm, &s->config));
    TRY(h5_read_real(s->file, "/certificate", "noise_x", &s->noise_x));
    TRY(h5_read_real(s->file, "/certificate", "noise_g", &s->noise_g));
    TRY(h5_shape(s->file, EVALUATION "/sigma", &rank, dims));
    s->frames = dims[0];
    s->particles = rank > 1 ? dims[1] : 0;
    s->d = s->config.system.dimension;
    if (s->particles != (size_t)config_total(&s->config.system))
        status = FAIL(STATUS_STORAGE, "%s has %zu particles, its parameters say %lld: the file is damaged",
                      path, s->particles, (long long)config_total(&s->config.system));
out:
    if (status != STATUS_OK)
        check_source_close(out);
    return status;
}

void check_source_close(struct check_source **source) {
    if (*source && (*source)->file)
        h5_close(&(*source)->file);
    free(*source);
    *source = NULL;
}

enum status check_source_read(struct check_source *s, const char *name, int columns, size_t frame,
                              size_t begin, size_t count, double *rows) {
    enum status status = STATUS_OK;
    char path[160];
    size_t dims[3], offset[3] = {frame, begin, 0};
    const int rank = shape_of(s->frames, s->particles, columns, dims);
    snprintf(path, sizeof path, EVALUATION "/%s", name);
    TRY(h5_expect(s->file, path, H5_FLOAT64, rank, dims));
    TRY(h5_read(s->file, path, H5_FLOAT64, rank, offset, (size_t[]){1, count, dims[2]}, rows));
    TRY(evaluation_verify_column(s->comm, s->file, name, frame,
                                 checksum_rows(begin, count, dims[2] * sizeof *rows, rows)));
out:
    return status;
}
