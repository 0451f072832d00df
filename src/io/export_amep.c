/* The HDF5 file (.h5amep) of AMEP, as its version 1.3 writes it: a group /frames/STEP for every frame, with a dataset
 * for every quantity. AMEP's names stand for what it computes with; the rest keeps ours. */
#include <stdlib.h>
#include <string.h>

#include "io/export_private.h"

#define AMEP_VERSION "1.3.0"

/* Vectors that AMEP knows, of three components. */
static const struct {
    const char *ours, *name;
} known[] = {{"position", "coords"},
             {"image", "uwcoords"}, /* positions that went with it out of the box */
             {"propulsion", "orientations"},
             {"v_x", "velocities"}};
enum { KNOWN = sizeof known / sizeof *known };

/* NULL: not one of them. */
static const char *amep_name(const char *ours) {
    for (int m = 0; m < KNOWN; m++)
        if (strcmp(known[m].ours, ours) == 0)
            return known[m].name;
    return NULL;
}

static void dataset_path(const struct export *e, size_t frame, const char *name, char out[FILE_PATH]) {
    snprintf(out, FILE_PATH, "/frames/%lld/%s", (long long)e->columns->step[frame], name);
}

/* A small dataset, by rank 0. */
static enum status write_small(struct export *e, const char *path, enum h5_type type, int rank,
                               const size_t dims[], const void *data) {
    enum status status = STATUS_OK;
    const size_t zero[2] = {0, 0};
    const size_t own[2] = {comm_rank(e->columns->comm) == 0 ? dims[0] : 0, rank > 1 ? dims[1] : 1};
    TRY(h5_dataset(e->file, path, type, rank, dims, NULL, NULL));
    TRY(h5_write(e->file, path, type, rank, zero, own, data));
out:
    return status;
}

/* ---- the whole ---- */

/* AMEP finds a frame by its step. */
static enum status check_steps(const struct export *e) {
    const int64_t *step = e->columns->step;
    for (size_t m = 1; m < e->frames; m++)
        if (step[e->frame[m]] <= step[e->frame[m - 1]])
            return FAIL(
                STATUS_BAD_INPUT,
                "frame %zu is of step %lld, and frame %zu before it of step %lld: AMEP finds frames by "
                "their steps, which must increase; choose frames of one trajectory by --frames",
                e->frame[m], (long long)step[e->frame[m]], e->frame[m - 1], (long long)step[e->frame[m - 1]]);
    return STATUS_OK;
}

static enum status write_series(struct export *e) {
    enum status status = STATUS_OK;
    const struct columns *c = e->columns;
    int64_t *step = calloc(e->frames + 1, sizeof *step);
    double *time = calloc(e->frames + 1, sizeof *time);
    if (!step || !time)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", e->frames);
    TRY(comm_agree(c->comm, status));
    for (size_t m = 0; m < e->frames; m++) {
        step[m] = c->step[e->frame[m]];
        time[m] = c->time[e->frame[m]];
    }
    TRY(write_small(e, "/frames/steps", H5_INT64, 1, &e->frames, step));
    TRY(write_small(e, "/frames/times", H5_FLOAT64, 1, &e->frames, time));
out:
    free(step);
    free(time);
    return status;
}

/* ---- room for a frame ---- */

/* Missing axes as LAMMPS has them, from -1/2 to 1/2. */
static enum status write_box(struct export *e, size_t frame) {
    enum status status = STATUS_OK;
    const struct system_parameters *system = &e->columns->config.system;
    double box[3][2], center[3];
    char path[FILE_PATH];
    for (int a = 0; a < 3; a++) {
        const double side = a < system->dimension ? e->columns->side[a] : 1;
        box[a][0] = a < system->dimension && !config_is_open(system) ? 0 : -side / 2;
        box[a][1] = box[a][0] + side;
        center[a] = (box[a][0] + box[a][1]) / 2;
    }
    dataset_path(e, frame, "box", path);
    TRY(write_small(e, path, H5_FLOAT64, 2, (size_t[]){3, 2}, box));
    dataset_path(e, frame, "center", path);
    TRY(write_small(e, path, H5_FLOAT64, 1, (size_t[]){3}, center));
out:
    return status;
}

static enum status make_datasets(struct export *e, size_t frame) {
    enum status status = STATUS_OK;
    const struct columns *c = e->columns;
    char path[FILE_PATH];
    for (int m = 0; m < c->count; m++) {
        const struct column *column = &c->column[m];
        const char *name = amep_name(column->name);
        const size_t width = name ? 3 : (size_t)column->width;
        dataset_path(e, frame, name ? name : column->name, path);
        TRY(h5_dataset(e->file, path, column->integer && !name ? H5_INT64 : H5_FLOAT64, width > 1 ? 2 : 1,
                       (size_t[]){c->particles, width}, NULL, NULL));
    }
    dataset_path(e, frame, "id", path);
    TRY(h5_dataset(e->file, path, H5_INT64, 1, &c->particles, NULL, NULL));
    dataset_path(e, frame, "type", path);
    TRY(h5_dataset(e->file, path, H5_INT64, 1, &c->particles, NULL, NULL));
out:
    return status;
}

static enum status make_frame(struct export *e, size_t frame) {
    enum status status = STATUS_OK;
    char path[FILE_PATH];
    snprintf(path, sizeof path, "/frames/%lld", (long long)e->columns->step[frame]);
    TRY(h5_group(e->file, path));
    TRY(h5_write_integer(e->file, path, "d", e->columns->config.system.dimension));
    TRY(write_box(e, frame));
    TRY(make_datasets(e, frame));
out:
    return status;
}

/* What AMEP wants to find, whatever is in it. */
static enum status describe(struct export *e) {
    enum status status = STATUS_OK;
    const struct config *config = &e->columns->config;
    TRY(file_describe(e->file, "export", config, e->columns->comm, "cpu"));
    TRY(h5_write_text(e->file, "/", "type", "particle"));
    TRY(h5_group(e->file, "/amep"));
    TRY(h5_write_text(e->file, "/amep", "version", AMEP_VERSION));
    TRY(h5_group(e->file, "/info"));
    TRY(h5_group(e->file, "/scripts"));
    TRY(h5_group(e->file, "/params"));
    TRY(h5_write_real(e->file, "/params", "start", 0));
    TRY(h5_write_real(e->file, "/params", "stop", 1));
    TRY(h5_write_integer(e->file, "/params", "nth", 1));
    TRY(h5_write_real(e->file, "/params", "dt", config->simulation.dt));
    TRY(h5_write_integer(e->file, "/params", "d", config->system.dimension));
out:
    return status;
}

static enum status begin(struct export *e) {
    enum status status = STATUS_OK;
    TRY(check_steps(e));
    e->vectors = malloc(EXPORT_BLOCK * 3 * sizeof *e->vectors);
    TRY(comm_agree(e->columns->comm,
                   e->vectors ? STATUS_OK
                              : FAIL(STATUS_FAILURE, "out of memory for %d rows", (int)EXPORT_BLOCK)));
    TRY(file_begin(e->columns->comm, e->path, &e->file));
    TRY(describe(e));
    TRY(write_series(e));
    for (size_t m = 0; m < e->frames; m++)
        TRY(make_frame(e, e->frame[m]));
    TRY(h5_reserve(e->file)); /* a full disk is found before the work */
out:
    return status;
}

/* ---- its rows ---- */

/* Rows of column m with three components. Images stand for where particles are out of the box. */
static const double *three_components(struct export *e, int m, size_t count) {
    const struct columns *c = e->columns;
    const size_t width = (size_t)c->column[m].width;
    const bool image = strcmp(c->column[m].name, "image") == 0;
    for (size_t i = 0; i < count; i++)
        for (size_t a = 0; a < 3; a++) {
            const double value = a < width ? e->rows[m][i * width + a] : 0;
            e->vectors[i * 3 + a] =
                image && a < width ? e->rows[0][i * width + a] + value * c->side[a] : value;
        }
    return e->vectors;
}

/* Ids, and 1 as the type; of systems that are simulated side by side the type is the number of the copy. */
static enum status write_ids(struct export *e, size_t frame, size_t begin, size_t count) {
    enum status status = STATUS_OK;
    const size_t copy = (size_t)e->columns->config.system.particles;
    char path[FILE_PATH];
    for (size_t i = 0; i < count; i++)
        e->vectors[i] = (double)(begin + i);
    dataset_path(e, frame, "id", path);
    TRY(h5_write(e->file, path, H5_FLOAT64, 1, &begin, &count, e->vectors));
    for (size_t i = 0; i < count; i++)
        e->vectors[i] = (double)((begin + i) / copy + 1);
    dataset_path(e, frame, "type", path);
    TRY(h5_write(e->file, path, H5_FLOAT64, 1, &begin, &count, e->vectors));
out:
    return status;
}

static enum status block(struct export *e, size_t frame, size_t begin, size_t count) {
    enum status status = STATUS_OK;
    const struct columns *c = e->columns;
    char path[FILE_PATH];
    for (int m = 0; m < c->count; m++) {
        const char *name = amep_name(c->column[m].name);
        const size_t width = name ? 3 : (size_t)c->column[m].width;
        dataset_path(e, frame, name ? name : c->column[m].name, path);
        TRY(h5_write(e->file, path, H5_FLOAT64, width > 1 ? 2 : 1, (size_t[]){begin, 0},
                     (size_t[]){count, width}, name ? three_components(e, m, count) : e->rows[m]));
    }
    TRY(write_ids(e, frame, begin, count));
out:
    return status;
}

static enum status finish(struct export *e) {
    return file_finish(e->columns->comm, &e->file, e->path, NULL);
}

static void discard(struct export *e) {
    if (e->file)
        h5_close(&e->file);
}

const struct export_format export_amep = {"amep", ".h5amep", "AMEP", begin, NULL, block, finish, discard};
