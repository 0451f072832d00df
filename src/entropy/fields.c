#include "entropy/fields.h"

#include <math.h>
#include <stdlib.h>

const struct field_info field_info[FIELDS] = {
    [FIELD_DENSITY] = {"density", "r0^-d", "particles per volume", false},
    [FIELD_EPR] = {"epr", "1/(time r0^d)", "entropy production rate per volume", false},
    [FIELD_DIV_X] = {"div_x", "1/(time r0^d)", "div_{x_i} v_x,i per volume", false},
    [FIELD_DIV_G] = {"div_g", "1/(time r0^d)", "div_{g_i} v_g,i per volume", false},
    [FIELD_POLARISATION] = {"polarisation", "r0^-d", "self-propulsion g per volume", true},
    [FIELD_CURRENT] = {"current", "1/(time r0^(d-1))", "particle current: v_x per volume", true},
};

/* The column that each field spreads; density spreads ones. */
static const enum column field_source[FIELDS] = {
    [FIELD_EPR] = COLUMN_SIGMA,   [FIELD_DIV_X] = COLUMN_DIV_X,
    [FIELD_DIV_G] = COLUMN_DIV_G, [FIELD_POLARISATION] = COLUMN_PROPULSION,
    [FIELD_CURRENT] = COLUMN_V_X,
};

double particle_volume(int d) {
    return d == 1 ? 2 : d == 2 ? M_PI : 4 * M_PI / 3;
}

enum status field_grid_create(const struct box *box, double spacing, double width, struct field_grid **out) {
    struct field_grid *g = calloc(1, sizeof *g);
    bool good = g != NULL;
    *out = g;
    if (good) {
        g->box = *box;
        g->width = width;
        g->total = 1;
        for (int a = 0; a < MAX_DIMENSION; a++) {
            g->cells[a] = a < box->d ? (int)fmax(1, round(box->side[a] / spacing)) : 1;
            g->spacing[a] = a < box->d ? box->side[a] / g->cells[a] : 1;
            g->origin[a] = a < box->d && !box->periodic ? -box->side[a] / 2 : 0;
            g->total *= (size_t)g->cells[a];
        }
        for (int f = 0; f < FIELDS; f++)
            good = (g->field[f] = calloc(g->total * (size_t)field_columns(g, f), sizeof(double))) && good;
        good = (g->distance = calloc(g->total, sizeof(double))) && good;
    }
    if (good)
        return STATUS_OK;
    field_grid_destroy(out);
    return FAIL(STATUS_FAILURE, "out of memory for fields: use a larger evaluation.grid");
}

void field_grid_destroy(struct field_grid **grid) {
    if (!*grid)
        return;
    for (int f = 0; f < FIELDS; f++)
        free((*grid)->field[f]);
    free((*grid)->distance);
    free(*grid);
    *grid = NULL;
}

/* ---- all fields at once, as columns next to each other: the table's memory has them by cell, the grid one by one ---- */

enum {
    ROWS_AT_ONCE = 1 << 18, /* particles on their way to the table's memory */
    CELLS_AT_ONCE = 1 << 16 /* on their way back */
};

/* Memory of the table, and of the host. */
struct spreading {
    size_t columns;
    double *position, *amount, *sum; /* (rows, d), (rows, columns), (cells, columns) */
    double *host;                    /* for rows or cells at once */
};

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static enum status spreading_create(const struct field_grid *g, const struct snapshot *s,
                                    const struct ops *ops, struct spreading *p) {
    enum status status = STATUS_OK;
    const size_t rows = smaller(s->count, ROWS_AT_ONCE), cells = smaller(g->total, CELLS_AT_ONCE);
    *p = (struct spreading){0};
    for (int f = 0; f < FIELDS; f++)
        p->columns += (size_t)field_columns(g, f);
    p->host = malloc((rows > cells ? rows : cells) * p->columns * sizeof *p->host);
    if (!p->host)
        return FAIL(STATUS_FAILURE, "out of memory for fields");
    TRY(ops->allocate(ops, rows * (size_t)g->box.d * sizeof *p->position, (void **)&p->position));
    TRY(ops->allocate(ops, rows * p->columns * sizeof *p->amount, (void **)&p->amount));
    TRY(ops->allocate(ops, g->total * p->columns * sizeof *p->sum, (void **)&p->sum));
out:
    return status;
}

static void spreading_release(const struct ops *ops, struct spreading *p) {
    ops->release(ops, p->position);
    ops->release(ops, p->amount);
    ops->release(ops, p->sum);
    free(p->host);
}

/* The amounts of particles from `begin` on: 1 for the density, and what other fields spread. */
static void gather_amounts(const struct field_grid *g, const struct snapshot *s, size_t begin, size_t count,
                           const struct spreading *p) {
    const double share = 1.0 / (double)(g->box.groups > 0 ? g->box.groups : 1); /* the mean over copies */
    double *to = p->host;
    for (int f = 0; f < FIELDS; f++) {
        const size_t columns = (size_t)field_columns(g, f);
        const double *from = f == FIELD_DENSITY ? NULL : s->column[field_source[f]] + begin * columns;
        for (size_t i = 0; i < count; i++)
            for (size_t m = 0; m < columns; m++)
                to[i * p->columns + m] = share * (from ? from[i * columns + m] : 1);
        to += columns;
    }
}

static void spread(const struct field_grid *g, const struct snapshot *s, const struct ops *ops,
                   const struct spreading *p) {
    const size_t d = (size_t)g->box.d;
    struct spread_grid grid = {.d = g->box.d, .width = g->width};
    for (int a = 0; a < MAX_DIMENSION; a++) {
        grid.cells[a] = g->cells[a];
        grid.spacing[a] = g->spacing[a];
        grid.origin[a] = g->origin[a];
    }
    for (size_t begin = 0; begin < s->count; begin += ROWS_AT_ONCE) {
        const size_t count = smaller(s->count - begin, ROWS_AT_ONCE);
        gather_amounts(g, s, begin, count, p);
        ops->to_device(ops, p->position, s->column[COLUMN_POSITION] + begin * d, count * d * sizeof(double));
        ops->to_device(ops, p->amount, p->host, count * p->columns * sizeof(double));
        ops->spread(ops, &grid, count, (int)p->columns, p->position, p->amount, p->sum);
    }
}

static void fetch_fields(struct field_grid *g, const struct ops *ops, const struct spreading *p) {
    for (size_t begin = 0; begin < g->total; begin += CELLS_AT_ONCE) {
        const size_t count = smaller(g->total - begin, CELLS_AT_ONCE);
        const double *from = p->host;
        ops->to_host(ops, p->host, p->sum + begin * p->columns, count * p->columns * sizeof(double));
        for (int f = 0; f < FIELDS; f++) {
            const size_t columns = (size_t)field_columns(g, f);
            for (size_t c = 0; c < count; c++)
                for (size_t m = 0; m < columns; m++)
                    g->field[f][(begin + c) * columns + m] = from[c * p->columns + m];
            from += columns;
        }
    }
}

enum status fields_compute(struct field_grid *g, const struct snapshot *s, const struct ops *ops,
                           struct comm *comm) {
    enum status status = STATUS_OK;
    struct spreading p;
    TRY(comm_agree(comm, spreading_create(g, s, ops, &p)));
    spread(g, s, ops, &p);
    fetch_fields(g, ops, &p);
    TRY(comm_agree(comm, ops->synchronise(ops)));
    for (int f = 0; f < FIELDS; f++)
        comm_sum(comm, g->field[f], g->total * (size_t)field_columns(g, f));
out:
    spreading_release(ops, &p);
    return status;
}
