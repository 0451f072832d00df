/* Where the flow is known exactly: crystals (linear, closed form, also of the density smoothed by noise) and two
 * swimmers on a ring (a solution of their Fokker-Planck equation). One interface, per particle of one copy, so that what
 * a network gives can be held against it. Serial, not collective; float64. */
#ifndef EPFLOW_ENTROPY_REFERENCE_H
#define EPFLOW_ENTROPY_REFERENCE_H

#include "dynamics/system.h"

struct reference;

/* What is known of the particles of one copy, N of them; arrays of the caller. */
struct reference_rows {
    double *s_x, *s_g, *v_x, *v_g; /* (N, d); s_x NaN where eps = 0 */
    double *sigma;                 /* (N) */
    double *div_x, *div_g;         /* (N) of v */
    bool *resolved;                /* (N) false: too rare a place for the solution */
};

/* *out is NULL, with STATUS_OK, where nothing is known of the system. noise_x, noise_g: widths of the noise that
 * smooths the density (crystals; a ring's is not smoothed). The simulation's parameters give cut-offs. */
enum status reference_create(const struct config *config, double noise_x, double noise_g,
                             struct reference **out);
void reference_destroy(struct reference **reference);
/* "closed form of the crystal", for messages. */
const char *reference_name(const struct reference *reference);
/* Whether it knows the smoothed density. */
bool reference_smoothed(const struct reference *reference);
/* Total entropy production rate of a copy: mean over the (smoothed) stationary density. */
double reference_total(const struct reference *reference);

/* Positions as in files (N, d) and g of one copy. */
enum status reference_apply(struct reference *reference, const double *x, const double *g,
                            const struct reference_rows *out);

#endif
