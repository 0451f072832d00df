/* Fields: amounts of particles spread over a grid. */
#include "ops/ops_cpu.h"

#include <stdlib.h>

#include "ops/spread_formula.h"

/* Weights of a particle on one axis: of `span` cells from `first` on, round the axis. */
struct weights {
    int first;
    double at[SPREAD_MOST];
};

static void find_weights(const struct spread_axis *axis, double x, struct weights *w) {
    const double place = spread_place(axis, x);
    const int first = spread_first(axis, place);
    double sum = 0;
    w->first = spread_wrapped(axis, first);
    for (int m = 0; m < axis->count; m++)
        sum += w->at[m] = spread_height(axis, first + m, place);
    for (int m = axis->span; m < axis->count; m++) /* once more round the axis */
        w->at[m % axis->span] += w->at[m];
    for (int m = 0; m < axis->span; m++)
        w->at[m] /= sum * axis->spacing;
}

static inline void add_scaled(size_t count, double factor, const double *restrict from, double *restrict to) {
    for (size_t m = 0; m < count; m++)
        to[m] += factor * from[m];
}

/* What a particle gives to a row of cells but for the weights of the other axes, line (span, columns), is the same for
 * every row. */
static void spread_particle(const struct spread_axis axis[], size_t columns, const struct weights w[],
                            const double *amount, double *restrict line, double *sum) {
    const int start = w[0].first, room = axis[0].cells - start;
    const size_t before = (size_t)(axis[0].span < room ? axis[0].span : room) * columns,
                 after = (size_t)axis[0].span * columns - before; /* where the axis begins anew */
    for (size_t x = 0; x < (size_t)axis[0].span; x++)
        for (size_t m = 0; m < columns; m++)
            line[x * columns + m] = w[0].at[x] * amount[m];
    for (int z = 0; z < axis[2].span; z++)
        for (int y = 0; y < axis[1].span; y++) {
            const size_t layer = (size_t)spread_wrapped(&axis[2], w[2].first + z) * (size_t)axis[1].cells,
                         cell = (layer + (size_t)spread_wrapped(&axis[1], w[1].first + y)) *
                                (size_t)axis[0].cells;
            const double factor = w[1].at[y] * w[2].at[z];
            add_scaled(before, factor, line, sum + (cell + (size_t)start) * columns);
            add_scaled(after, factor, line + before, sum + cell * columns);
        }
}

/* ---- particles tile by tile of the grid: what one adds to is in the cache for those after it ---- */

enum { TILE = 8 }; /* cells on an axis */

static inline size_t tiles_on(const struct spread_axis *axis) {
    return ((size_t)axis->cells + TILE - 1) / TILE;
}

static size_t tile_of(const struct spread_axis axis[], int d, const double *position) {
    size_t tile = 0;
    for (int a = d - 1; a >= 0; a--) {
        const int cell = spread_wrapped(&axis[a], (int)floor(spread_place(&axis[a], position[a])));
        tile = tile * tiles_on(&axis[a]) + (size_t)cell / TILE;
    }
    return tile;
}

/* To be freed; NULL without memory. */
static uint32_t *order_by_tile(const struct spread_axis axis[], int d, size_t n, const double *position) {
    const size_t tiles = tiles_on(&axis[0]) * tiles_on(&axis[1]) * tiles_on(&axis[2]);
    uint32_t *order = malloc((n + 1) * sizeof *order), *tile = malloc((n + 1) * sizeof *tile),
             *start = calloc(tiles + 1, sizeof *start);
    if (order && tile && start) {
        for (size_t i = 0; i < n; i++) {
            tile[i] = (uint32_t)tile_of(axis, d, position + i * (size_t)d);
            start[tile[i] + 1]++;
        }
        for (size_t t = 0; t < tiles; t++)
            start[t + 1] += start[t];
        for (size_t i = 0; i < n; i++)
            order[start[tile[i]]++] = (uint32_t)i;
    } else {
        free(order);
        order = NULL;
    }
    free(tile);
    free(start);
    return order;
}

enum status cpu_spread(const struct ops *ops, const struct spread_grid *grid, size_t n, int columns,
                       const double *position, const double *amount, double *sum) {
    (void)ops;
    const int d = grid->d;
    struct spread_axis axis[MAX_DIMENSION];
    struct weights w[MAX_DIMENSION];
    double line[SPREAD_MOST * SPREAD_COLUMNS];
    for (int a = 0; a < MAX_DIMENSION; a++) {
        axis[a] = spread_axis_of(grid, a);
        w[a].first = 0;
        w[a].at[0] = 1;
    }
    uint32_t *order = order_by_tile(axis, d, n, position);
    if (!order)
        return FAIL(STATUS_FAILURE, "out of memory for the order of %zu particles on a grid", n);
    for (size_t m = 0; m < n; m++) {
        const size_t i = order[m];
        for (int a = 0; a < d; a++)
            find_weights(&axis[a], position[i * (size_t)d + (size_t)a], &w[a]);
        spread_particle(axis, (size_t)columns, w, amount + i * (size_t)columns, line, sum);
    }
    free(order);
    return STATUS_OK;
}
