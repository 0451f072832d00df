/* The certificate: identities that hold for the exact score, and the resolved fraction, which tells how much of
 * the exact entropy production a network sees. theory.md sections 5 and 6.
 *
 * Errors. A mean over particles and frames is judged twice: from frame to frame, in blocks of 1, 2, 4, ...
 * frames (Flyvbjerg and Petersen, J. Chem. Phys. 91, 461 (1989)), which misses correlations in time longer
 * than the blocks; and from particle to particle, by each particle's average over time, which misses
 * correlations in space. The larger of the two is reported.
 */
#ifndef EPFLOW_ENTROPY_CERTIFICATE_H
#define EPFLOW_ENTROPY_CERTIFICATE_H

#include "entropy/snapshot.h"

/* Rates summed by the certificate, per particle. */
enum certificate_term {
    TERM_EXACT,          /* without a network: -div_x b where eps = 0, else |b|^2/eps + div_x b */
    TERM_CAPTURED,       /* sigma */
    TERM_DIV_G,          /* div_g v_g */
    TERM_MINUS_DIV_X,    /* -div_x v_x */
    TERM_V_X_S_X,        /* v_x . s_x */
    TERM_MINUS_V_G_S_G,  /* -v_g . s_g */
    TERM_RESOLVED,       /* theory.md section 6 */
    TERM_PROBE_VARIANCE, /* of resolved, by the random directions of its divergence */
    TERM_S_X_SQUARED,    /* |s_x|^2 on noised samples */
    TERM_MINUS_DIV_S_X,  /* -div_x s_x on noised samples */
    TERM_S_G_SQUARED,    /* |s_g|^2 on noised samples */
    TERM_MINUS_DIV_S_G,  /* -div_g s_g on noised samples */
    TERMS
};

struct certificate {
    int frames, frame;          /* frames of room, frames added */
    size_t n, count;            /* particles in all, of this rank's slice */
    double *of_frame[TERMS];    /* (frames) mean over all particles */
    double *of_particle[TERMS]; /* (count) sum over frames */
    double *series;             /* (frames) scratch */
    double *own;                /* (count) scratch */
};

enum status certificate_create(const struct snapshot *s, int frames, struct certificate **out);
double certificate_bytes(double count);
void certificate_destroy(struct certificate **certificate);

/* Adds a frame. Collective. */
void certificate_add(struct certificate *c, const struct snapshot *s, struct comm *comm);

struct estimate {
    double value, error; /* error NaN where it cannot be told: one frame of one particle */
};
/* Mean over particles and frames of sum over m of factor[m] term[m]. Collective. */
struct estimate certificate_mean(const struct certificate *c, const double factor[TERMS], struct comm *comm);
/* resolved / exact. Collective. */
struct estimate certificate_resolved_fraction(const struct certificate *c, struct comm *comm);

/* The part of the error of resolved / exact that comes from the random directions of divergences, at most: products of
 * different particles go with the same pairs of signs, twice each where the Jacobian of the score is symmetric, as it is
 * for the true one. 0 where divergences are exact, NaN for a single direction. Collective. */
double certificate_probe_error(const struct certificate *c, struct comm *comm);

/* Mean of `frames` numbers and its error by blocks; of_particle (count of n, this rank's): each particle's mean over
 * frames, by which it is judged too. Collective. */
struct estimate particle_estimate(int frames, const double *series, size_t n, size_t count,
                                  const double *of_particle, struct comm *comm);

/* Mean of a series of frames and its error by blocks. */
struct estimate block_estimate(int frames, const double *x);

#endif
