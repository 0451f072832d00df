/* Fields on a grid, the interface between the phases, and where each particle stands to it. */
#ifndef EPFLOW_ENTROPY_FIELDS_H
#define EPFLOW_ENTROPY_FIELDS_H

#include "entropy/snapshot.h"

enum field { FIELD_DENSITY, FIELD_EPR, FIELD_DIV_X, FIELD_DIV_G, FIELD_POLARISATION, FIELD_CURRENT, FIELDS };

struct field_info {
    const char *name, *unit, *description;
    bool vector;
};
extern const struct field_info field_info[FIELDS];

/* Cell c of axis a is centred at origin[a] + (c + 1/2) spacing[a]; x runs fastest. Cells with the same place on the last
 * axis are a layer; every rank has a share of the layers, and no rank the whole grid. */
struct field_grid {
    struct box box;
    int cells[MAX_DIMENSION]; /* 1 on unused axes */
    double spacing[MAX_DIMENSION], origin[MAX_DIMENSION];
    size_t total;          /* cells in all */
    double width;          /* of the Gaussian that a particle is spread over */
    size_t layers, layer;  /* layers in all, cells of one */
    size_t first, count;   /* this rank's layers */
    size_t held;           /* their cells */
    double *field[FIELDS]; /* (held) or (held, d) */
    /* (1 + count + 1, layer) to the interface, positive in the dense phase; round the axis also the layers before and
     * after this rank's */
    double *distance;
};

/* Cells of about `spacing`. Not collective. */
enum status field_grid_create(const struct box *box, double spacing, double width, const struct comm *comm,
                              struct field_grid **out);
/* Bytes of a grid of these fields; and of fields_compute, or interface_compute where that takes more, meanwhile. */
double field_grid_bytes(const struct box *box, double spacing, double ranks);
double fields_compute_bytes(const struct box *box, double spacing, double width, double ranks, double count);
void field_grid_destroy(struct field_grid **grid);
static inline int field_columns(const struct field_grid *g, enum field f) {
    return field_info[f].vector ? g->box.d : 1;
}

/* All fields from a snapshot: each particle's amount is spread over a Gaussian, cut at three widths and
 * normalised, so that the sum over cells times a cell's volume is the sum over particles. Computed by the table's
 * spread. Collective. */
enum status fields_compute(struct field_grid *grid, const struct snapshot *s, const struct ops *ops,
                           struct comm *comm);

/* The interface is the contour of the density field at this packing fraction. Fills grid->distance, and the
 * snapshot's columns of distance and phase: interface within `half_width` of the contour. Without two
 * phases the distance is the box's diagonal, everywhere of one sign. Collective. */
enum status interface_compute(struct field_grid *grid, double packing_fraction, double half_width,
                              struct snapshot *s, struct comm *comm);

/* The distance to the interface at a point of this rank's layers (interface_compute is done), linear between the
 * centres of cells. */
double interface_distance(const struct field_grid *grid, const double x[]);

/* Volume of a particle: 2, pi, 4 pi / 3. */
double particle_volume(int d);

#endif
