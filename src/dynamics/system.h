/* From the parameters of a run to the laws that the ops compute with: theory.md section 1. */
#ifndef EPFLOW_DYNAMICS_SYSTEM_H
#define EPFLOW_DYNAMICS_SYSTEM_H

#include "base/config.h"
#include "space/neighbours.h"

/* The box of a system; open when it has a trap, with its copies. */
struct box system_box(const struct system_parameters *s);

/* The lattice of a crystal; none (d = 0) for other systems. */
struct lattice system_lattice(const struct system_parameters *s);

/* Strength of the force between two particles (k or kappa), and of the pull to the trap's centre or to a site. */
double system_pair_strength(const struct system_parameters *s);
double system_anchor_stiffness(const struct system_parameters *s);

/* Pair force with the cut-off of this tolerance, or the springs of a crystal. */
struct pair_law system_pair_law(const struct system_parameters *s, const struct simulation_parameters *p);

/* One step of length dt; seed set, step 0. */
struct step_law system_step_law(const struct system_parameters *s, const struct simulation_parameters *p);

/* The fine steps before a frame: dt that of one, g_decay and g_kick those of half of it. */
struct step_law system_fine_law(const struct config *config);

/* Neighbour lists reach this much beyond the cut-off, to start with: simulation.skin, or if that is 0 a radius (crystals:
 * half), less where the box leaves no room; all pairs of few particles in copies. */
double system_skin(const struct system_parameters *s, const struct simulation_parameters *p);

/* The search for the skin that takes the least time, in simulations whose input leaves it open. */
struct skin_search {
    bool on;
    double least, most;     /* r0 */
    double best, best_cost; /* so far, and its seconds a step; 0: nothing known */
    double factor;          /* to the next one */
    int failures, rest;     /* directions that did not pay; tries to wait before the next search */
    uint64_t step, builds;  /* when the present try began */
    double seconds;
};
struct skin_search system_skin_search(const struct system_parameters *s,
                                      const struct simulation_parameters *p);

/* Fills this rank's slice with the start that simulation.start names (random or lattice), images 0 and g
 * standard normal; a crystal on its sites. A function of the seed and the particle ids alone. Not collective. */
void system_start(const struct config *config, struct slice *slice);

/* b = v0 g + F of the owned particles in float64, F and div_{x_i} b_i, from particles whose halo reaches
 * the cut-off. Device arrays of owned + ghosts entries, freed by drift_release. */
struct drift {
    double *force[MAX_DIMENSION]; /* F: pairs and trap or tether, without self-propulsion */
    double *b[MAX_DIMENSION];
    double *divergence; /* div_{x_i} b_i = div_{x_i} F_i */
};
enum status drift_compute(const struct particles *particles, const struct box *box,
                          const struct pair_law *law, const struct system_parameters *s,
                          const struct pair_list *list, struct drift *out);
/* F (owned, d) and div_{x_i} F_i (owned), host, of the owned particles of p, whose halo reaches the cut-off; context is
 * a struct system_force. What training and evaluation know of the dynamics. Not collective. */
struct system_force {
    struct system_parameters system;
    struct pair_law law;
};
enum status system_force(const void *context, const struct particles *p, const struct box *box, double *force,
                         double *divergence);
void drift_release(const struct ops *ops, struct drift *drift);

/* G = -a/gamma, a the drift of g, and div_{g_i} G_i of the owned particles of p, in float64, from a list that holds what
 * law's reaches and ghosts that have their g: G_i = g_i + (J/gamma) sum_j w (g_i - g_j). Host arrays (owned, d), (owned).
 * Not collective. */
enum status alignment_compute(const struct particles *p, const struct box *box, const struct pair_law *law,
                              double gamma, const struct pair_list *list, double *restoring,
                              double *divergence);
/* The same of particles whose halo reaches far enough; context is a struct system_force. */
enum status system_restoring(const void *context, const struct particles *p, const struct box *box,
                             double *restoring, double *divergence);

#endif
