/* What two particles are to each other in the response network (theory.md section 7), for host and device: numbers of an
 * edge, the forces of backward shots, the stiffness of a contact, what an edge carries of a message. */
#ifndef EPFLOW_OPS_EDGE_FORMULA_H
#define EPFLOW_OPS_EDGE_FORMULA_H

#include <math.h>

#include "ops/ops.h"
#include "ops/response_formula.h"

/* ---- edges, in float64: r, -k f'/gamma, -k f/(r gamma), w ---- */

struct edge_term {
    double r, kn, kt, window;
};
FORMULA struct edge_term edge_term_of(const struct response_law *law, double square) {
    const double r = sqrt(square > 1e-24 ? square : 1e-24);
    const double f = pair_force_d(r, law->beta, 1 / law->beta), slope = pair_slope_d(r, law->beta);
    struct edge_term out;
    out.r = r;
    out.kn = -law->k * slope / law->gamma;
    out.kt = -law->k * f / (r * law->gamma);
    out.window = 1 / (1 + exp(-law->constants.window_rate * (law->constants.window_centre - r)));
    return out;
}

/* ---- shots ---- */

/* Force along x' = x_ij - reach u_ij in units of k, at shots that reach back that far. */
FORMULA void shot_force(int d, real beta, real guard, const real x[], const real u[], real reach,
                        real force[]) {
    real moved[MAX_DIMENSION], square = guard, slope;
    for (int a = 0; a < d; a++) {
        moved[a] = x[a] - reach * u[a];
        square += moved[a] * moved[a];
    }
    const real r = root_of(square), factor = pair_force_and_slope(r, beta, &slope) / r;
    for (int a = 0; a < d; a++)
        force[a] = factor * moved[a];
}

/* Its derivative where u moves by du. */
FORMULA void shot_tangent(int d, real beta, real guard, const real x[], const real u[], const real du[],
                          real reach, real dforce[]) {
    real moved[MAX_DIMENSION], dmoved[MAX_DIMENSION], square = guard, along = 0, slope;
    for (int a = 0; a < d; a++) {
        moved[a] = x[a] - reach * u[a];
        dmoved[a] = -reach * du[a];
        square += moved[a] * moved[a];
        along += moved[a] * dmoved[a];
    }
    const real r = root_of(square), factor = pair_force_and_slope(r, beta, &slope) / r;
    const real turn = (slope - factor) * along / (r * r);
    for (int a = 0; a < d; a++)
        dforce[a] = factor * dmoved[a] + turn * moved[a];
}

/* ---- contacts ---- */

/* 1/r, and p = kn - kt, t = kt with dp/dr, dt/dr, of r^2 = square, guard included. */
struct contact_term {
    real r, inverse, p, t, dp, dt;
};
FORMULA struct contact_term contact_term_of(real k, real beta, real square) {
    real slope;
    struct contact_term out;
    const real r = root_of(square), inverse = 1 / r, f = pair_force_and_slope(r, beta, &slope);
    out.r = r;
    out.inverse = inverse;
    out.t = -k * f * inverse;
    out.p = -k * slope - out.t;
    out.dt = -k * (slope - f * inverse) * inverse;
    out.dp = -k * beta * -slope * (1 + slope) - out.dt; /* f'' = beta (-f') (1 + f') */
    return out;
}

/* ---- messages ---- */

/* What an edge brings: kn/kappa, kt/kappa, w/sqrt(kappa), w, each times its factor. */
struct carrier {
    real along, across, push, message;
};
struct carrier_factors {
    real across, push, message;
};
FORMULA struct carrier_factors carrier_factors_of(const struct response_law *law) {
    struct carrier_factors out;
    out.across = (real)law->constants.across_factor;
    out.push = (real)law->constants.push_factor;
    out.message = (real)law->constants.message_factor;
    return out;
}
FORMULA struct carrier carrier_of(struct carrier_factors factor, real kn, real kt, real window, real kappa) {
    struct carrier out;
    out.along = kn / kappa;
    out.across = factor.across * kt / kappa;
    out.push = factor.push * window / root_of(kappa);
    out.message = factor.message * window;
    return out;
}

#endif
