/* The stationary density of one active particle and an obstacle on a ring, and with it every local field of
 * theory.md section 2 in a system with interactions: what a trained score is compared with. One coordinate x,
 * one propulsion g, the obstacle at x = 0 (theory.md sections 1 and 5):
 *
 *     0 = -d/dx [(v0 g + k f_odd(x)) rho] + eps d2rho/dx2 + gamma d/dg (g rho) + gamma d2rho/dg2
 *
 * with f_odd(x) = sign(x) f(|x|), x in [-side/2, side/2) the minimum image, f the whole softplus without cut-off.
 *
 * Method. rho = (normal density of g) sum_m c_m(x) h_m(g), h_m the normalised Hermite functions of the normal
 * density: multiplying by g couples neighbouring m, relaxing g is -gamma m. Because rho(-x, -g) = rho(x, g),
 * c_m is even in x for even m and odd for odd m, so half the ring is enough, and the kinks of f_odd at 0 and side/2
 * become its ends, with no flux (even m) or no density (odd m): finite elements of high degree then converge
 * exponentially. The system, tridiagonal in m with dense blocks, is solved by elimination from the largest m down.
 *
 * Lengths in particle radii, mobility 1, all in float64. Serial and not collective.
 */
#ifndef EPFLOW_ENTROPY_RING_SOLUTION_H
#define EPFLOW_ENTROPY_RING_SOLUTION_H

#include <stdbool.h>

#include "base/status.h"

struct ring_parameters {
    double side;  /* length of the ring */
    double v0, k; /* self-propulsion, strength of the force */
    double beta;  /* steepness of the softplus */
    double gamma, eps;
};

/* The relative coordinate x = x_1 - x_2, g = (g_1 - g_2)/sqrt 2 of two free swimmers of these parameters on a
 * ring. The entropy production of both is that of this ring plus v0^2/eps (v0, eps the swimmers' own), the centre of
 * mass's. */
struct ring_parameters ring_of_two_swimmers(double v0, double k, double beta, double gamma, double eps,
                                            double side);

/* Local values at one (x, g). Time reversal keeps both x and g. */
struct ring_point {
    double rho; /* integral over the ring and all g is 1 */
    double s_x, s_g, v_x, v_g, sigma_x, sigma_g, div_x_v_x, div_g_v_g;
    /* rho is far enough above rounding and truncation for the other fields, which divide by it: s and v are then
     * good to about 1e-2 at worst, and to 1e-7 where rho > 1e-6 at the paper's parameters. */
    bool resolved;
};

/* Averages over the stationary density. */
struct ring_totals {
    double epr_x, epr_g;        /* <v_x^2>/eps, <v_g^2>/gamma; their sum is the entropy production rate */
    double i4_first, i4_second; /* (I4): <b^2>/eps + <db/dx> and (v0/eps) <g b>, each equal to that sum */
    double mean_x_squared, mean_x_times_g; /* <x^2>, <x g> with x in [-side/2, side/2) */
};

struct ring_solution;

/* Solves. Allocates *out, which the caller destroys; NULL on failure.
 * STATUS_BAD_INPUT: side, beta, gamma or eps not above 0, or k below 0.
 * STATUS_NUMBERS: the resolution, which is fixed, is not enough (v0/sqrt(gamma eps) much above 10; 2.5 at the paper's
 * parameters): the entropy production and (I4) differ by more than 1e-3 of it.
 * 0.3 s on a core at the paper's parameters; 3 s and 300 MB at most. */
enum status ring_solution_create(const struct ring_parameters *parameters, struct ring_solution **out);
void ring_solution_destroy(struct ring_solution **solution);

/* The fields at (x, g), any real x (wrapped to the ring). Where !resolved they are numbers without meaning, or NaN.
 * f_odd jumps at x = 0, where the value is that of x > 0, and at side/2, taken as -side/2, where it is that of
 * x < 0. */
struct ring_point ring_solution_at(const struct ring_solution *solution, double x, double g);

struct ring_totals ring_solution_totals(const struct ring_solution *solution);

#endif
