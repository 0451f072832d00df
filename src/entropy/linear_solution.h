/* The closed form of a linear system b = -H u + v0 g, dg = -M g dt + sqrt(2 gamma) dW, M = gamma + alignment (H - offset): scores, currents, local entropy production, divergences and
 * their means over the stationary density, theory.md sections 2 and 5.
 *
 * H is symmetric, positive semidefinite and sparse: bonds with d x d matrices, and tethers. The density is Gaussian,
 * so every local quantity is a function of H applied to a vector, or a diagonal block of such a function. They are
 * Chebyshev polynomials of H on [0, a bound of its largest eigenvalue], by products with sparse H only: N up to 1e6.
 * A zero mode of H (a free crystal) needs no care from the caller: s_x = 0 and s_g = -g / (1 + noise_g^2) along it.
 *
 * Noise: with noise_x, noise_g > 0 the density is that of (u + noise_x zeta, g + noise_g zeta'), zeta standard normal,
 * as denoising sees it; means are over that density too.
 *
 * Float64 in every build, serial, not collective. Units of theory.md: length in particle radii, rates per time.
 */
#ifndef EPFLOW_ENTROPY_LINEAR_SOLUTION_H
#define EPFLOW_ENTROPY_LINEAR_SOLUTION_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct linear_system {
    int d;                     /* 1, 2 or 3 */
    size_t n;                  /* particles */
    size_t bonds;              /* 0 allowed */
    const uint32_t (*bond)[2]; /* (bonds) particles i != j */
    const double
        *matrix; /* (bonds, d, d) K, symmetric: the force on i is -K (u_i - u_j), on j the opposite */
    const double *tether;  /* (n) the force on i is -tether_i u_i; or NULL */
    double v0, gamma, eps; /* gamma > 0, eps >= 0; v0 may be 0 where eps > 0 */
    /* Propulsions that align along the bonds: alignment >= 0 of it per unit of H, less the tethers, which are all `offset`.
     * M >= gamma is not checked. */
    double alignment, offset;
    bool uniform; /* translation-invariant: diagonal blocks are the same for all particles */
};

/* Local quantities that are the same in every configuration, of one particle. */
struct linear_local {
    double div_x, div_g;         /* div_{x_i} v_x,i and div_{g_i} v_g,i */
    double div_x_s_x, div_g_s_g; /* div_{x_i} s_x,i and div_{g_i} s_g,i */
    double mean_sigma_x;         /* mean of |v_x,i|^2 / eps, 0 where eps = 0 */
    double mean_sigma_g;         /* mean of |v_g,i|^2 / gamma, v_g = -M g - gamma s_g */
};

struct linear_solution;

/* Orders of the polynomials end where coefficients have fallen below 1e-14 of the largest, at most
 * LINEAR_ORDER_MAX; they grow as sqrt(largest eigenvalue / gamma). Nothing of `system` is kept.
 * STATUS_BAD_INPUT: a parameter out of range, a bond to a particle that is not there, to itself or with a K that is
 * not symmetric, or the order would be too high. Whether H is positive semidefinite is not checked. */
#define LINEAR_ORDER_MAX 8191
enum status linear_solution_create(const struct linear_system *system, double noise_x, double noise_g,
                                   struct linear_solution **out);
void linear_solution_destroy(struct linear_solution **solution);

/* Order of the polynomials: of the fields, or of the local quantities. */
enum linear_series { LINEAR_FIELDS, LINEAR_LOCAL, LINEAR_SERIES };
int linear_solution_order(const struct linear_solution *solution, enum linear_series series);

/* Where results go; NULL where not wanted. */
struct linear_fields {
    double *s_x, *s_g, *v_x, *v_g;                 /* (n, d) */
    double *sigma_x, *sigma_g, *sigma;             /* (n) sigma_x = 0 where eps = 0 */
    double *div_x, *div_g, *div_x_s_x, *div_g_s_g; /* (n) as in linear_local */
    double *mean_sigma_x, *mean_sigma_g;           /* (n) */
};

/* The local quantities at displacements u and self-propulsion g (n, d), which no output may overlap.
 * STATUS_FAILURE: out of memory. */
enum status linear_solution_apply(struct linear_solution *solution, const double *u, const double *g,
                                  const struct linear_fields *out);

/* *local: (n) the constants of every particle, owned by the solution. They are computed when first wanted, here or
 * by linear_solution_apply: d products with H per order where the system is uniform, else n d, so that systems
 * that are not uniform cost n^2 (minutes for some thousands of particles). STATUS_FAILURE: out of memory. */
enum status linear_solution_local(struct linear_solution *solution, const struct linear_local **local);

/* Sums of the above over all particles: mean_sigma_x + mean_sigma_g is the total entropy production rate. */
enum status linear_solution_total(struct linear_solution *solution, struct linear_local *total);

#endif
