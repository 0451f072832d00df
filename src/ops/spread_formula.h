/* The Gaussian over which a particle is spread on one axis of a grid. For host and device. */
#ifndef EPFLOW_OPS_SPREAD_FORMULA_H
#define EPFLOW_OPS_SPREAD_FORMULA_H

#include <math.h>

#include "ops/ops.h"

struct spread_axis {
    int cells, reach;
    int count; /* weights of a particle: of cells first ... first + count - 1 */
    int span;  /* cells that they are for: where the axis is shorter, some have more than one */
    double origin, spacing;
    double width; /* of the Gaussian in cells */
};

FORMULA struct spread_axis spread_axis_of(const struct spread_grid *grid, int a) {
    struct spread_axis axis = {1, 0, 1, 1, 0, 1, 1};
    if (a >= grid->d)
        return axis;
    const double width = grid->width / grid->spacing[a];
    axis.cells = grid->cells[a];
    axis.reach = (int)fmin(ceil(3 * width), (SPREAD_MOST - 2) / 2.0);
    axis.count = 2 * axis.reach + 2;
    axis.span = axis.count < axis.cells ? axis.count : axis.cells;
    axis.origin = grid->origin[a];
    axis.spacing = grid->spacing[a];
    axis.width = fmax(width, 0.5);
    return axis;
}

/* Where a particle is among the centres of cells, and the first cell that it reaches. */
FORMULA double spread_place(const struct spread_axis *axis, double x) {
    return (x - axis->origin) / axis->spacing - 0.5;
}
FORMULA int spread_first(const struct spread_axis *axis, double place) {
    return (int)floor(place) - axis->reach;
}
FORMULA int spread_wrapped(const struct spread_axis *axis, int cell) {
    const int c = cell % axis->cells;
    return c < 0 ? c + axis->cells : c;
}

/* The Gaussian at the centre of a cell, not wrapped. */
FORMULA double spread_height(const struct spread_axis *axis, int cell, double place) {
    const double u = (cell - place) / axis->width;
    return exp(-u * u / 2);
}

#endif
