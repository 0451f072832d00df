/* The lattice of a crystal, for host and device: sites and neighbours by particle id, and the force of one spring.
 *
 *     d = 1  chain             R = col a
 *     d = 2  triangular        id = row nx + col,  R = ((col + (row odd ? 1/2 : 0)) a, row h),  an even number of rows
 *     d = 3  simple cubic      id = (layer ny + row) nx + col
 *
 * A site is an integer coordinate as positions are (struct box), the fraction of the side rounded down, so that the
 * displacement from it is one subtraction. Of `particles` sites; ids beyond are those of further copies.
 */
#ifndef EPFLOW_OPS_LATTICE_FORMULA_H
#define EPFLOW_OPS_LATTICE_FORMULA_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/formula.h"
#include "base/real.h"

enum { LATTICE_NEIGHBOURS = 6 }; /* most that a site has */

struct lattice {
    int d;                         /* 0: no lattice, every site is the origin */
    uint32_t particles;            /* of one copy: the product of sites */
    uint32_t sites[MAX_DIMENSION]; /* on each axis, 1 on unused ones */
    uint64_t step
        [MAX_DIMENSION]; /* 2^64 over the parts of the axis: its sites, or 2 sites where rows are shifted */
    double rest[MAX_DIMENSION]; /* what rounding down took from step */
};

/* Fills step and rest from d and sites. */
static inline void lattice_prepare(struct lattice *l) {
    for (int a = 0; a < MAX_DIMENSION; a++) {
        uint64_t parts = (uint64_t)l->sites[a] * (l->d == 2 && a == 0 ? 2 : 1);
        uint64_t rest = UINT64_MAX % parts + 1; /* of 2^64 = UINT64_MAX + 1 */
        l->step[a] = UINT64_MAX / parts + (rest == parts);
        l->rest[a] = rest == parts ? 0 : (double)rest / (double)parts;
    }
}

/* Column, row and layer of a particle. */
FORMULA void lattice_place(const struct lattice *l, uint32_t id, uint32_t place[MAX_DIMENSION]) {
    uint32_t in_copy = id % l->particles, line = in_copy / l->sites[0];
    place[0] = in_copy - line * l->sites[0];
    place[2] = line / l->sites[1];
    place[1] = line - place[2] * l->sites[1];
}

FORMULA void lattice_site(const struct lattice *l, uint32_t id, uint64_t site[MAX_DIMENSION]) {
    uint32_t place[MAX_DIMENSION] = {0, 0, 0};
    if (l->d > 0)
        lattice_place(l, id, place);
    for (int a = 0; a < MAX_DIMENSION; a++) {
        uint64_t part = l->d == 2 && a == 0 ? 2 * (uint64_t)place[0] + place[1] % 2 : place[a];
        site[a] = part * l->step[a] + (uint64_t)((double)part * l->rest[a]);
    }
}

FORMULA uint32_t lattice_id(const struct lattice *l, uint32_t copy, uint32_t column, uint32_t row,
                            uint32_t layer) {
    return copy * l->particles + (layer * l->sites[1] + row) * l->sites[0] + column;
}

/* The ids that a particle has a bond to. Returns how many: 2, 6, 6. */
FORMULA int lattice_neighbours(const struct lattice *l, uint32_t id, uint32_t neighbour[LATTICE_NEIGHBOURS]) {
    uint32_t place[MAX_DIMENSION], copy = id / l->particles, next[MAX_DIMENSION], last[MAX_DIMENSION];
    lattice_place(l, id, place);
    for (int a = 0; a < MAX_DIMENSION; a++) {
        next[a] = place[a] + 1 < l->sites[a] ? place[a] + 1 : 0;
        last[a] = place[a] > 0 ? place[a] - 1 : l->sites[a] - 1;
    }
    neighbour[0] = lattice_id(l, copy, next[0], place[1], place[2]);
    neighbour[1] = lattice_id(l, copy, last[0], place[1], place[2]);
    if (l->d == 1)
        return 2;
    if (l->d == 2) { /* an odd row is half a column to the right */
        uint32_t left = place[1] % 2 ? place[0] : last[0], right = place[1] % 2 ? next[0] : place[0];
        neighbour[2] = lattice_id(l, copy, left, next[1], 0);
        neighbour[3] = lattice_id(l, copy, right, next[1], 0);
        neighbour[4] = lattice_id(l, copy, left, last[1], 0);
        neighbour[5] = lattice_id(l, copy, right, last[1], 0);
        return 6;
    }
    neighbour[2] = lattice_id(l, copy, place[0], next[1], place[2]);
    neighbour[3] = lattice_id(l, copy, place[0], last[1], place[2]);
    neighbour[4] = lattice_id(l, copy, place[0], place[1], next[2]);
    neighbour[5] = lattice_id(l, copy, place[0], place[1], last[2]);
    return 6;
}

/* One axis of the bond of two particles: u_i - u_j by minimum image, and R_i - R_j. All 64 bits, so it is exactly
 * odd: both particles' ranks find the same force. unit: side / 2^64. */
FORMULA double bond_stretch(uint64_t q_i, uint64_t q_j, uint64_t site_i, uint64_t site_j, double unit) {
    return (double)(int64_t)((q_i - q_j) - (site_i - site_j)) * unit;
}
FORMULA double bond_vector(uint64_t site_i, uint64_t site_j, double unit) {
    return (double)(int64_t)(site_i - site_j) * unit;
}

/* Leaves of v only what lies along the bond; the stiffness over kappa is 1, or this projection. */
FORMULA void bond_project(int d, const double bond[], double v[]) {
    double along = 0, square = 0;
    for (int a = 0; a < d; a++) {
        along += v[a] * bond[a];
        square += bond[a] * bond[a];
    }
    for (int a = 0; a < d; a++)
        v[a] = along / square * bond[a];
}

#endif
