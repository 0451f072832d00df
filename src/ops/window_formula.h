/* What a token of a window sees along one axis, and its tangent, for host and device. Numbers of a row that are of the
 * same axis are d apart (window_inputs_width). */
#ifndef EPFLOW_OPS_WINDOW_FORMULA_H
#define EPFLOW_OPS_WINDOW_FORMULA_H

#include <math.h>

#include "ops/ops.h"

/* Token j of the window of particle i; row: its numbers of this axis. */
FORMULA void window_input(const struct window_view *view, int d, double side, uint64_t q_i, uint64_t q_j,
                          uint64_t site_i, uint64_t site_j, real *row) {
    const double unit = side * 0x1p-64, fine = unit / view->displacement;
    const uint64_t own = q_i - site_i, its = q_j - site_j;
    if (view->form == FORM_ALL) {
        row[0] = (real)((double)(int64_t)its * fine);
    } else if (view->form == FORM_PERIODIC) {
        const double angle = (double)(int64_t)(q_i - q_j) * (2 * M_PI * 0x1p-64);
        row[0] = (real)(side / (2 * M_PI) * sin(angle));
        row[d] = (real)(side / (2 * M_PI) * cos(angle));
    } else {
        row[0] = (real)((double)(int64_t)(site_i - site_j) * (unit / view->site));
        row[d] = (real)((double)(int64_t)(own - its) * fine);
        if (view->form == FORM_ANCHORED)
            row[2 * d] = (real)((double)(int64_t)its * fine);
    }
}

/* Token m of a window, of which `own` is its particle's (FORM_ALL: the token's) motion. Writes only what moves: out is
 * zeros. */
FORMULA void window_input_tangent(const struct window_view *view, int d, int m, double side, const real *row,
                                  real own, real *out) {
    const real inverse = (real)(2 * M_PI / side), fine = (real)(1 / view->displacement);
    if (view->form == FORM_ALL) {
        out[0] = fine * own;
    } else if (view->form == FORM_ANCHORED && m == 0) {
        out[2 * d] = fine * own;
    } else if (m > 0 && view->form == FORM_PERIODIC) {
        out[0] = inverse * row[d] * own;
        out[d] = -inverse * row[0] * own;
    } else if (m > 0) { /* the window's particle moves: away from all others */
        out[view->form == FORM_LOCAL ? 0 : d] = view->form == FORM_LOCAL ? own : fine * own;
    }
}

#endif
