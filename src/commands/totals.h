/* What the sums recorded with every frame say without a network: stationarity of the energy (I0), and the exact total
 * entropy production (I3, I4). theory.md section 5. */
#ifndef EPFLOW_COMMANDS_TOTALS_H
#define EPFLOW_COMMANDS_TOTALS_H

#include "entropy/certificate.h"
#include "io/trajectory.h"

/* The sums of a trajectory's frames and, where its frames are refined, of the Euler states before the fine steps. */
struct trajectory_totals {
    size_t frames;
    bool refined;
    struct trajectory_scalars *of_frame; /* (frames) */
    struct trajectory_scalars
        *of_euler; /* (frames): of the states that Euler steps made; of_frame if not refined */
};
/* Reads those of the frames 0 ... frames - 1. On failure *out is empty. Free with totals_release. Collective. */
enum status totals_read(struct trajectory *t, struct comm *comm, const struct config *config, size_t frames,
                        struct trajectory_totals *out);
void totals_release(struct trajectory_totals *totals);

/* Both sides of (I0) per particle of one state: F . b + eps div_x F, and what Euler steps shift it by, (dt/2) b . K b;
 * fine steps shift it by the order of their dt^2, which is left out. euler: the state is of Euler steps. */
void totals_energy(const struct config *c, const struct trajectory_scalars *s, bool euler, double *left,
                   double *right);

/* The exact total entropy production rate per particle: -div_x b where eps = 0, else |b|^2/eps + div_x b; with alignment
 * also |a|^2/gamma + div_g a, a the drift of g. */
double totals_exact(const struct config *c, const struct trajectory_scalars *s);

/* eps = 0: (dt/2) tr K^2 per particle, the size of what Euler steps of dt change in the total that their states hold,
 * gamma <|g + s_g|^2>. To first order in dt and gamma/k that total is -<div_x b> + (dt/2) <tr K^2> - dt gamma^2
 * <|grad_g (g + s_g)|^2>: an Euler step of x is what the drift b - (dt/2) (b . grad) b makes in a time dt, and the half
 * step of g after it that a symmetric step would not have takes from the information on g in x. In a linear system
 * grad_g (g + s_g) = -K/gamma, and the total is less than -<div_x b> by this. */
double totals_euler_loss(const struct config *c, const struct trajectory_scalars *s);

/* Logs the exact total per particle with its error; where eps = 0, also -div_x b of the states that Euler steps made, and
 * totals_euler_loss. */
enum status totals_log(const struct config *c, const struct trajectory_totals *totals);

/* The mean of totals_exact over the frames, and its error. */
enum status totals_exact_mean(const struct config *c, const struct trajectory_totals *totals,
                              struct estimate *out);

#endif
