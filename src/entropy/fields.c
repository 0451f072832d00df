#include "entropy/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* Weights of one particle on one axis: cells first ... first + count - 1 (modulo the axis), sum 1/spacing. */
enum { KERNEL_MOST = 512 };
struct kernel {
    int first, count;
    double weight[KERNEL_MOST];
};

static void make_kernel(const struct field_grid *g, int a, double x, struct kernel *k) {
    double place = (x - g->origin[a]) / g->spacing[a] - 0.5, sigma = g->width / g->spacing[a], sum = 0;
    int reach = (int)fmin(ceil(3 * sigma), (KERNEL_MOST - 2) / 2);
    k->first = (int)floor(place) - reach;
    k->count = 2 * reach + 2;
    for (int m = 0; m < k->count; m++) {
        double u = (k->first + m - place) / fmax(sigma, 0.5);
        sum += k->weight[m] = exp(-u * u / 2);
    }
    for (int m = 0; m < k->count; m++)
        k->weight[m] /= sum * g->spacing[a];
}

static inline size_t wrapped(int c, int cells) {
    int r = c % cells;
    return (size_t)(r < 0 ? r + cells : r);
}

/* Adds a particle to `run` cells in a row along x, times factor and the weights of that axis. */
static void add_run(struct field_grid *g, const struct snapshot *s, size_t i, size_t cell, size_t run,
                    const double *restrict weight, double factor) {
    double *restrict density = g->field[FIELD_DENSITY] + cell;
    for (size_t x = 0; x < run; x++)
        density[x] += factor * weight[x];
    for (int f = FIELD_DENSITY + 1; f < FIELDS; f++) {
        const size_t columns = (size_t)field_columns(g, f);
        const double *restrict from = s->column[field_source[f]] + i * columns;
        double *restrict to = g->field[f] + cell * columns;
        if (columns == 1) {
            const double value = factor * from[0];
            for (size_t x = 0; x < run; x++)
                to[x] += value * weight[x];
            continue;
        }
        for (size_t x = 0; x < run; x++)
            for (size_t m = 0; m < columns; m++)
                to[x * columns + m] += factor * weight[x] * from[m];
    }
}

static void spread_particle(struct field_grid *g, const struct snapshot *s, size_t i) {
    const int d = g->box.d;
    const double share = 1.0 / (double)(g->box.groups > 0 ? g->box.groups : 1); /* the mean over copies */
    struct kernel kernel[MAX_DIMENSION];
    for (int a = 0; a < MAX_DIMENSION; a++) {
        kernel[a] = (struct kernel){.first = 0, .count = 1, .weight = {1}};
        if (a < d)
            make_kernel(g, a, s->column[COLUMN_POSITION][i * (size_t)d + (size_t)a], &kernel[a]);
    }
    for (int z = 0; z < kernel[2].count; z++)
        for (int y = 0; y < kernel[1].count; y++) {
            const double factor = share * kernel[1].weight[y] * kernel[2].weight[z];
            size_t row = wrapped(kernel[2].first + z, g->cells[2]) * (size_t)g->cells[1];
            row = (row + wrapped(kernel[1].first + y, g->cells[1])) * (size_t)g->cells[0];
            for (int x = 0; x < kernel[0].count;) { /* up to where the axis begins anew */
                const int at = (int)wrapped(kernel[0].first + x, g->cells[0]);
                const int left = kernel[0].count - x, room = g->cells[0] - at,
                          run = left < room ? left : room;
                add_run(g, s, i, row + (size_t)at, (size_t)run, kernel[0].weight + x, factor);
                x += run;
            }
        }
}

void fields_compute(struct field_grid *g, const struct snapshot *s, struct comm *comm) {
    for (int f = 0; f < FIELDS; f++)
        memset(g->field[f], 0, g->total * (size_t)field_columns(g, f) * sizeof(double));
    for (size_t i = 0; i < s->count; i++)
        spread_particle(g, s, i);
    for (int f = 0; f < FIELDS; f++)
        comm_sum(comm, g->field[f], g->total * (size_t)field_columns(g, f));
}
