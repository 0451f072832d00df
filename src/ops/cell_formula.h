/* Where cells are, and which of them a search looks at. For host and device. */
#ifndef EPFLOW_OPS_CELL_FORMULA_H
#define EPFLOW_OPS_CELL_FORMULA_H

#include <math.h>

#include "ops/ops.h"

FORMULA int cell_on_axis(const struct cell_grid *grid, int a, uint64_t q) {
    uint64_t inside = q - grid->low[a];
    if (grid->extent[a] == 0)
        return (int)((inside >> 32) * (uint64_t)grid->cells[a] >> 32);
    int c = (int)((double)inside / (double)grid->extent[a] * grid->cells[a]);
    return c < grid->cells[a] ? c : grid->cells[a] - 1;
}

/* Rows of cells of one side that cover the whole box, every other row backwards. */
struct cell_rows {
    uint64_t cells[MAX_DIMENSION];
};

FORMULA struct cell_rows cell_rows_of(const struct box *box, double cell) {
    struct cell_rows rows = {{1, 1, 1}};
    for (int a = 0; a < box->d; a++)
        rows.cells[a] = (uint64_t)(box->side[a] / cell) + 1;
    return rows;
}

/* Number of particle i's cell on the way through all of them. */
FORMULA uint64_t rank_of_cell(int d, const struct cell_rows *rows, uint64_t *const q[], size_t i) {
    uint64_t rank = 0;
    for (int a = d - 1; a >= 0; a--) {
        const uint64_t cells = rows->cells[a], c = (q[a][i] >> 32) * cells >> 32;
        rank = rank * cells + (rank % 2 == 1 ? cells - 1 - c : c);
    }
    return rank;
}

FORMULA bool in_region(int d, const struct region *region, uint64_t *const q[], size_t i) {
    bool in = true;
    for (int a = 0; a < d; a++) {
        const uint64_t at = q[a][i] - region->origin[a];
        in = in & (at >= region->least[a]) & (at <= region->most[a]);
    }
    return in;
}

/* The cells on one axis within `layers` of cell c: first offset and number of offsets, none twice. */
struct reach {
    int first, count;
    bool all; /* every cell of the axis is in */
};

FORMULA struct reach reach_of(const struct cell_grid *grid, int a, int c, int layers) {
    int m = grid->cells[a], low = -layers, high = layers;
    if (grid->extent[a] == 0) {
        low = layers < (m - 1) / 2 ? low : -((m - 1) / 2);
        high = layers < m / 2 ? high : m / 2;
    } else {
        low = layers < c ? low : -c;
        high = layers < m - 1 - c ? high : m - 1 - c;
    }
    const struct reach reach = {low, high - low + 1, high - low + 1 == m};
    return reach;
}

FORMULA int cell_at(const struct cell_grid *grid, int a, int c) {
    int m = grid->cells[a];
    return c < 0 ? c + m : c >= m ? c - m : c;
}

FORMULA double cell_side(const struct box *box, const struct cell_grid *grid, int a) {
    double extent = grid->extent[a] == 0 ? 1 : (double)grid->extent[a] * 0x1p-64;
    return box->side[a] * extent / grid->cells[a];
}

/* How many layers of cells a search of this radius looks at on an axis; all of them at most. */
FORMULA int layers_within(const struct box *box, const struct cell_grid *grid, int a, double radius) {
    const double wanted = ceil(radius / cell_side(box, grid, a) * (1 + 1e-6));
    return wanted < grid->cells[a] ? (int)wanted : grid->cells[a];
}

/* The distance up to which nothing is missed by a search that reached so far: infinity where that is everywhere. */
FORMULA double covered_within(int d, const struct box *box, const struct cell_grid *grid,
                              const struct reach reach[], int layers) {
    double covered = INFINITY;
    for (int a = 0; a < d; a++)
        if (!reach[a].all)
            covered = fmin(covered, layers * cell_side(box, grid, a));
    return covered;
}

/* unit: side / 2^64. */
FORMULA double square_distance(int d, const double unit[], uint64_t *const q[], size_t i, size_t j) {
    double square = 0;
    for (int a = 0; a < d; a++) {
        double delta = (double)(int64_t)(q[a][i] - q[a][j]) * unit[a];
        square += delta * delta;
    }
    return square;
}

/* What may be among the nearest; of two at the same distance the one with the lower index is nearer. */
struct candidate {
    double square;
    uint32_t j;
};

FORMULA bool worse(struct candidate a, struct candidate b) {
    return a.square > b.square || (a.square == b.square && a.j > b.j);
}

#endif
