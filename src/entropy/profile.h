/* Profiles across the interface: means over particles, and the density, in bins of the distance to it, with
 * standard errors from frame to frame. */
#ifndef EPFLOW_ENTROPY_PROFILE_H
#define EPFLOW_ENTROPY_PROFILE_H

#include "entropy/fields.h"

/* What is averaged over the particles of a bin, after the density. */
enum profile_quantity {
    PROFILE_EPR,
    PROFILE_EXACT,
    PROFILE_RESOLVED,
    PROFILE_LOCAL_DENSITY,
    PROFILE_QUANTITIES
};

struct profile {
    int bins, frames, frame;         /* frames of room, frames added */
    double extent, width;            /* bins from -extent to extent */
    double *count;                   /* (frames, bins) particles */
    double *volume;                  /* (frames, bins) of the grid's cells */
    double *sum[PROFILE_QUANTITIES]; /* (frames, bins) */
    double *series;                  /* (2, frames) scratch */
};

enum status profile_create(double extent, double width, int frames, struct profile **out);
void profile_destroy(struct profile **profile);

/* Adds a frame whose distances are known. Collective. */
void profile_add(struct profile *profile, const struct field_grid *grid, const struct snapshot *s,
                 struct comm *comm);

/* Results over all frames, arrays of `bins` from the caller: ratio of sums, and its standard error from frame
 * to frame by ratio_error (NaN where fewer than two frames have particles). */
double profile_distance(const struct profile *profile, int bin); /* centre of a bin */
double profile_count(const struct profile *profile, int bin);
void profile_density(const struct profile *profile, double *value, double *error);
void profile_mean(const struct profile *profile, enum profile_quantity quantity, double *value,
                  double *error);

#endif
