/* The spring between two lattice neighbours, for host and device. Float64 in every build: bonds are few, and a
 * displacement is a small difference. */
#ifndef EPFLOW_OPS_SPRING_FORMULA_H
#define EPFLOW_OPS_SPRING_FORMULA_H

#include <math.h>

#include "ops/ops.h"

/* v, a difference over the bond between two sites, becomes K v / kappa. */
FORMULA void spring_stiffness(int d, const struct box *box, bool longitudinal, const uint64_t site_i[],
                              const uint64_t site_j[], double v[]) {
    double bond[MAX_DIMENSION];
    if (!longitudinal)
        return;
    for (int a = 0; a < d; a++)
        bond[a] = bond_vector(site_i[a], site_j[a], box->side[a] * 0x1p-64);
    bond_project(d, bond, v);
}

/* To fixed point, held to a range in which the sum over a particle's bonds cannot overflow. A bond that is stretched
 * beyond is past all sense, and refused when bonds are looked up (space/neighbours.c). */
#define SPRING_MOST 5000.0
FORMULA int64_t spring_fixed_point(double value) {
    const double most = SPRING_MOST;
    return llrint(fmax(-most, fmin(most, value)) * (double)((int64_t)1 << FORCE_BITS));
}

#endif
