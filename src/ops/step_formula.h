/* A particle's step on one axis, for host and device: theory.md section 1. */
#ifndef EPFLOW_OPS_STEP_FORMULA_H
#define EPFLOW_OPS_STEP_FORMULA_H

#include <math.h>

#include "ops/ops.h"

/* b of a particle on one axis, from a force in fixed point and its position q. */
FORMULA double step_velocity(const struct step_law *law, double g, int64_t force, uint64_t q, uint64_t site,
                             double unit) {
    double b = fma(law->v0, g, law->k * ((double)force * 0x1p-48));
    return law->trap > 0 ? fma(-law->trap, (double)(int64_t)(q - site) * unit, b) : b;
}

/* What a step may do at most to a particle on one axis. */
FORMULA bool step_allowed(double dx, double side, double g, int64_t force) {
    return fabs(dx) < side / 4 && fabs(g) < 1e6 && force < INT64_MAX / 2 && force > -INT64_MAX / 2;
}

/* to = from + dx on one axis; image (NULL: not kept) counts the crossings. Returns the squared displacement from
 * q_list, and false in *good past L/4 of an open box, where pairs across the edge could be taken for near. */
FORMULA double step_displace(bool periodic, double dx, double unit, uint64_t from, uint64_t q_list,
                             uint64_t *to, int32_t *image, bool *good) {
    int64_t dq = llrint(dx * (1 / unit));
    uint64_t after = from + (uint64_t)dq;
    *to = after;
    if (image && periodic)
        *image += (dq > 0 && after < from) - (dq < 0 && after > from);
    if (!periodic && fabs((double)(int64_t)after) > 0x1p62)
        *good = false;
    double moved = (double)(int64_t)(after - q_list) * unit;
    return moved * moved;
}

/* A coordinate that is moved by x. */
FORMULA uint64_t step_shifted(uint64_t q, double x, double side) {
    return q + (uint64_t)llrint(x / (side * 0x1p-64));
}

#endif
