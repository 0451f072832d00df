/* The box of another program's file: one vector of sides or a matrix, fixed or for every frame. epflow's box is
 * rectangular, constant, and the input's; here the file's is only compared with it. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/foreign.h"

enum { PATH = CONFIG_TEXT + 64, WORD = 32 };

/* Sides that agree to float32 are the same. */
static const double SAME = 1e-5;

struct edges {
    char path[PATH];
    size_t rows, columns; /* frames (1: fixed), components */
    bool matrix;
    double *value; /* (rows, columns) or (rows, columns, columns) */
};

static double edge(const struct edges *e, size_t row, size_t a, size_t b) {
    return e->matrix ? e->value[(row * e->columns + a) * e->columns + b]
           : a == b  ? e->value[row * e->columns + a]
                     : 0;
}

static enum status read_edges(struct comm *comm, struct h5_file *file, const char *group, struct edges *e) {
    enum status status = STATUS_OK;
    size_t dims[H5_RANK] = {0}, zero[H5_RANK] = {0};
    int rank;
    snprintf(e->path, sizeof e->path, "%s/box/edges", group);
    const int moving = h5_is_group(file, e->path);
    if (moving)
        snprintf(e->path, sizeof e->path, "%s/box/edges/value", group);
    const int axes = h5_axes(file, e->path);
    if (axes < 0)
        return FAIL(STATUS_BAD_INPUT, "%s has no box: no dataset %s/box/edges, and none %s/box/edges/value",
                    h5_path(file), group, group);
    if (axes < moving + 1 || axes > moving + 2 || !h5_is_numbers(file, e->path))
        return FAIL(STATUS_BAD_INPUT, "%s: %s is neither sides nor a matrix of numbers%s", h5_path(file),
                    e->path, moving ? " for every frame" : "");
    TRY(h5_shape(file, e->path, &rank, dims));
    e->rows = moving ? dims[0] : 1;
    e->columns = dims[rank - 1];
    e->matrix = axes == moving + 2;
    if (e->rows == 0 || e->columns == 0 || (e->matrix && dims[rank - 2] != e->columns))
        return FAIL(STATUS_BAD_INPUT, "%s: %s is empty or not square", h5_path(file), e->path);
    e->value = malloc(e->rows * e->columns * (e->matrix ? e->columns : 1) * sizeof *e->value);
    if (!e->value)
        status = FAIL(STATUS_FAILURE, "out of memory for the box of %s", h5_path(file));
    TRY(comm_agree(comm, status));
    TRY(h5_read(file, e->path, H5_FLOAT64, rank, zero, dims, e->value));
out:
    return status;
}

static enum status compare_edges(const char *path, const struct edges *e,
                                 const struct system_parameters *system) {
    const size_t d = (size_t)system->dimension;
    double side[MAX_DIMENSION];
    config_box(system, side);
    if (e->columns < d)
        return FAIL(STATUS_BAD_INPUT, "%s: %s has %zu sides, the system of the input has %zu dimensions",
                    path, e->path, e->columns, d);
    for (size_t m = 0; m < e->rows; m++)
        for (size_t a = 0; a < d; a++) {
            const double first = edge(e, 0, a, a), now = edge(e, m, a, a);
            for (size_t b = 0; b < d; b++)
                if (b != a && edge(e, m, a, b) != 0)
                    return FAIL(STATUS_BAD_INPUT, "%s: the box of %s is not rectangular", path, e->path);
            if (!(fabs(now - first) <= SAME * fabs(first)))
                return FAIL(STATUS_BAD_INPUT,
                            "%s: the box changes in time (%s: side %zu is %g at first and %g in frame %zu), "
                            "and epflow's is constant",
                            path, e->path, a, first, now, m);
            if (!(fabs(now - side[a]) <= SAME * side[a]))
                return FAIL(STATUS_BAD_INPUT,
                            "%s: side %zu of the box is %.9g (%s), and that of the input is %.9g: set "
                            "system.box",
                            path, a, now, e->path, side[a]);
        }
    return STATUS_OK;
}

/* One word per axis, or one for all; a file that does not say is taken to agree. */
static enum status check_boundary(struct h5_file *file, const char *group,
                                  const struct system_parameters *system) {
    const char *wanted = config_is_open(system) ? "none" : "periodic";
    char object[PATH], word[8][WORD];
    size_t count = 0;
    snprintf(object, sizeof object, "%s/box", group);
    if (!h5_has_attribute(file, object, "boundary"))
        return STATUS_OK;
    enum status status = h5_read_texts(file, object, "boundary", 8, WORD, word[0], &count);
    if (status != STATUS_OK)
        return status;
    for (size_t a = 0; a < (size_t)system->dimension; a++) {
        const char *found = count == 1 ? word[0] : a < count ? word[a] : "not given";
        if (strcmp(found, wanted) != 0)
            return FAIL(STATUS_BAD_INPUT,
                        "%s: the boundary of axis %zu is \"%s\" (%s@boundary), and the system of the input "
                        "is %s",
                        h5_path(file), a, found, object,
                        config_is_open(system) ? "open (system.trap > 0)" : "periodic");
    }
    return STATUS_OK;
}

enum status foreign_check_box(struct comm *comm, struct h5_file *file, const char *group,
                              const struct system_parameters *system) {
    enum status status = STATUS_OK;
    struct edges e = {.rows = 0};
    TRY(check_boundary(file, group, system));
    if (config_is_open(system))
        goto out; /* open space has no sides; system.box is ours alone */
    TRY(read_edges(comm, file, group, &e));
    TRY(compare_edges(h5_path(file), &e, system));
out:
    free(e.value);
    return status;
}
