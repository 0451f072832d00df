/* What the files of the simulation share: simulation.c, fine_steps.c, sums.c. */
#ifndef EPFLOW_DYNAMICS_SIMULATION_PRIVATE_H
#define EPFLOW_DYNAMICS_SIMULATION_PRIVATE_H

#include "dynamics/simulation.h"

#define INNER_SKIN 0.25 /* of the skin: how far close pairs reach beyond the cut-off */

/* Sets the skin of the next lists. */
void simulation_start_skin(struct simulation *s, double skin);
/* Starts a try of the present skin, or starts it again: what was measured before counts for nothing. */
void simulation_begin_try(struct simulation *s);
/* Before lists are made: the skin to make them with. Collective. */
void simulation_tune_skin(struct simulation *s);

/* Forces of the pairs at the present positions; ends the halo's messages meanwhile. */
void simulation_pair_forces(struct simulation *s);

/* Propulsions to those that alignment turns them to in dt, by those of neighbours now, after simulation_pair_forces; does
 * nothing without alignment. */
void simulation_turn(struct simulation *s);

/* The sums of that, s->turn; with alignment, after simulation_pair_forces. */
void simulation_turns(struct simulation *s);

/* Tells the ranks of a move of `dt` that was just made, and waits for what they tell: how far particles went since the
 * lists were made, and whether all is well. Collective. */
enum status simulation_agree(struct simulation *s, const struct step_result *result, double dt,
                             double *displacement);

/* Why a particle cannot make the step that the state is before, or the move of `dt` of fine steps that was just tried,
 * whose start the particles are put back to. failure.c. Fail, naming the particle of the lowest id that cannot. Collective. */
/* Of lists just made: fails (STATUS_BAD_INPUT) where a particle has so many neighbours that the sum of their forces might
 * leave its 64 bits unseen. Later steps cannot get there: they fail where a force is half of that. Collective. */
enum status simulation_check_sums(struct simulation *s);
enum status simulation_explain_step(struct simulation *s);
enum status simulation_explain_move(struct simulation *s, double dt);

/* Puts the particles back to where the fine step began. fine_steps.c. */
void simulation_undo_move(struct simulation *s);

/* How far particles may move before lists are made anew. */
double simulation_lists_last(const struct simulation *s);

/* Keeps where the owned particles are, to do the steps from here on again if need be. */
void simulation_remember(struct simulation *s);

/* New owners, halo and lists. Collective. */
enum status simulation_rebuild(struct simulation *s);

/* Halo, and where particles went too far lists, for the positions as they are now. Collective. */
enum status simulation_refresh(struct simulation *s, double displacement);

#endif
