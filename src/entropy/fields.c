#include "entropy/fields.h"

#include <math.h>
#include <stdlib.h>

#include "entropy/layers.h"
#include "ops/spread_formula.h"

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

/* This rank's share of the layers. */
static void take_layers(struct field_grid *g, const struct comm *comm) {
    const int slow = g->box.d - 1;
    g->layers = (size_t)g->cells[slow];
    g->layer = g->total / g->layers;
    g->first = slice_begin(g->layers, comm_size(comm), comm_rank(comm));
    g->count = slice_begin(g->layers, comm_size(comm), comm_rank(comm) + 1) - g->first;
    g->held = g->count * g->layer;
}

enum status field_grid_create(const struct box *box, double spacing, double width, const struct comm *comm,
                              struct field_grid **out) {
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
        take_layers(g, comm);
        for (int f = 0; f < FIELDS; f++)
            good = (g->field[f] = calloc(g->held * (size_t)field_columns(g, f) + 1, sizeof(double))) && good;
        good = (g->distance = calloc((g->count + 2) * g->layer, sizeof(double))) && good;
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
    ROWS_AT_ONCE = 1 << 18,  /* particles of all ranks on their way to the table's memory */
    ROWS_AT_LEAST = 1 << 12, /* of one rank */
    CELLS_AT_ONCE = 1 << 16  /* on their way back */
};

/* What is spread into: the layers of this rank and, before and after them, those that their particles reach; all of
 * the grid where that is no more. */
struct spreading {
    struct spread_grid grid;
    bool whole;
    size_t skip, cells, columns; /* layers before the rank's first; cells in all */
    int before, after;           /* layers that a particle reaches */
    size_t rows;                 /* of this rank at once */
    double *sum;                 /* (cells, columns), memory of the table */
    double *position, *amount;   /* (room, d), (room, columns) of received particles, memory of the table */
    size_t room;
    double *host; /* (rows, columns) amounts, or cells on their way back */
};

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static void choose_layers(const struct field_grid *g, struct spreading *p) {
    const int slow = g->box.d - 1;
    p->grid = (struct spread_grid){.d = g->box.d, .width = g->width};
    for (int a = 0; a < MAX_DIMENSION; a++) {
        p->grid.cells[a] = g->cells[a];
        p->grid.spacing[a] = g->spacing[a];
        p->grid.origin[a] = g->origin[a];
    }
    const struct spread_axis axis = spread_axis_of(&p->grid, slow);
    p->before = axis.reach;
    p->after = axis.count - 1 - axis.reach;
    p->skip = (size_t)axis.count; /* one more than they reach: a particle's layer is rounded */
    p->whole = g->count + 2 * p->skip >= g->layers;
    if (p->whole) {
        p->skip = g->first;
    } else {
        p->grid.cells[slow] = (int)(g->count + 2 * p->skip);
        p->grid.origin[slow] += ((double)g->first - (double)p->skip) * g->spacing[slow];
    }
    p->cells = g->count > 0 ? (size_t)p->grid.cells[slow] * g->layer : 0;
}

/* Numbers of a cell in all fields. */
static double numbers_of(int d) {
    double numbers = 0;
    for (int f = 0; f < FIELDS; f++)
        numbers += field_info[f].vector ? d : 1;
    return numbers;
}

static double cells_of(const struct box *box, double spacing) {
    double cells = 1;
    for (int a = 0; a < box->d; a++)
        cells *= fmax(1, round(box->side[a] / spacing));
    return cells;
}

double field_grid_bytes(const struct box *box, double spacing, double ranks) {
    return cells_of(box, spacing) / ranks * (numbers_of(box->d) + 1) * sizeof(double);
}

/* The sums of a rank's layers and of those that its particles reach; what is under way at once, in and out. */
double fields_compute_bytes(const struct box *box, double spacing, double width, double ranks, double count) {
    const struct spread_grid line = {
        .d = 1, .width = width, .spacing = {spacing, 1, 1}, .cells = {1 << 20, 1, 1}};
    const double layers = fmax(1, round(box->side[box->d - 1] / spacing)), numbers = numbers_of(box->d);
    const double reached =
        fmin(layers, layers / ranks + (ranks > 1 ? 2 * spread_axis_of(&line, 0).count : 0));
    const double rows = fmin(count, fmax(ROWS_AT_ONCE / ranks, ROWS_AT_LEAST));
    const double sums = cells_of(box, spacing) / layers * reached * numbers;
    return sizeof(double) * (sums + rows * (4 * numbers + 2 * box->d) + rows);
}

static enum status spreading_create(const struct field_grid *g, const struct snapshot *s,
                                    const struct ops *ops, int ranks, struct spreading *p) {
    *p = (struct spreading){.rows = larger(ROWS_AT_ONCE / (size_t)ranks, ROWS_AT_LEAST)};
    choose_layers(g, p);
    for (int f = 0; f < FIELDS; f++)
        p->columns += (size_t)field_columns(g, f);
    const size_t most = larger(smaller(s->count, p->rows), smaller(g->held, CELLS_AT_ONCE));
    p->host = malloc((most + 1) * p->columns * sizeof *p->host);
    if (!p->host)
        return FAIL(STATUS_FAILURE, "out of memory for fields");
    return ops->allocate(ops, p->cells * p->columns * sizeof *p->sum, (void **)&p->sum);
}

static void spreading_release(const struct ops *ops, struct spreading *p) {
    ops->release(ops, p->sum);
    ops->release(ops, p->position);
    ops->release(ops, p->amount);
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

/* The image of every particle whose cells all lie in what is spread into. */
static void choose_images(const struct field_grid *g, const struct spreading *p, size_t count,
                          double *position) {
    const int slow = g->box.d - 1;
    const struct spread_axis axis = spread_axis_of(&p->grid, slow);
    for (size_t i = 0; i < count && !p->whole; i++) {
        double *x = position + i * (size_t)g->box.d + slow;
        const int first = spread_first(&axis, spread_place(&axis, *x));
        if (first < 0)
            *x += g->box.side[slow];
        else if (first + axis.count > axis.cells)
            *x -= g->box.side[slow];
    }
}

/* Room for as many received particles. */
static enum status reserve(const struct field_grid *g, const struct ops *ops, struct spreading *p,
                           size_t count) {
    enum status status = STATUS_OK;
    if (count <= p->room)
        return STATUS_OK;
    p->room = 0;
    TRY(ops_replace(ops, count * (size_t)g->box.d * sizeof *p->position, &p->position));
    TRY(ops_replace(ops, count * p->columns * sizeof *p->amount, &p->amount));
    p->room = count;
out:
    return status;
}

/* Received particles into the sums. */
static enum status spread(const struct field_grid *g, const struct ops *ops, struct spreading *p,
                          size_t count, double *position, const double *amount) {
    enum status status = STATUS_OK;
    if (count == 0)
        return STATUS_OK;
    choose_images(g, p, count, position);
    TRY(reserve(g, ops, p, count));
    ops->to_device(ops, p->position, position, count * (size_t)g->box.d * sizeof *position);
    ops->to_device(ops, p->amount, amount, count * p->columns * sizeof *amount);
    TRY(ops->spread(ops, &p->grid, count, (int)p->columns, p->position, p->amount, p->sum));
out:
    return status;
}

/* This rank's particles from `begin` on to the ranks whose layers they reach, and those that come from others. */
static enum status spread_rows(const struct field_grid *g, const struct snapshot *s, const struct ops *ops,
                               struct comm *comm, struct spreading *p, size_t begin, size_t count) {
    enum status status = STATUS_OK;
    const double *x = s->column[COLUMN_POSITION] + begin * (size_t)g->box.d;
    struct route route = {0};
    void *position = NULL, *amount = NULL;
    gather_amounts(g, s, begin, count, p);
    TRY(comm_agree(comm, route_create(g, comm, count, x, p->before, p->after, &route)));
    TRY(route_send(&route, comm, (size_t)g->box.d, x, &position));
    TRY(route_send(&route, comm, p->columns, p->host, &amount));
    TRY(comm_agree(comm, spread(g, ops, p, route.received, position, amount)));
out:
    route_release(&route);
    free(position);
    free(amount);
    return status;
}

static void fetch_fields(struct field_grid *g, const struct ops *ops, const struct spreading *p) {
    const double *sum = p->sum + p->skip * g->layer * p->columns;
    for (size_t begin = 0; begin < g->held; begin += CELLS_AT_ONCE) {
        const size_t count = smaller(g->held - begin, CELLS_AT_ONCE);
        const double *from = p->host;
        ops->to_host(ops, p->host, sum + begin * p->columns, count * p->columns * sizeof(double));
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
    double most = (double)s->count;
    TRY(comm_agree(comm, spreading_create(g, s, ops, comm_size(comm), &p)));
    comm_max(comm, &most, 1);
    for (size_t begin = 0; begin < (size_t)most; begin += p.rows) {
        const size_t from = smaller(begin, s->count);
        TRY(spread_rows(g, s, ops, comm, &p, from, smaller(s->count - from, p.rows)));
    }
    fetch_fields(g, ops, &p);
    TRY(comm_agree(comm, ops->synchronise(ops)));
out:
    spreading_release(ops, &p);
    return status;
}
