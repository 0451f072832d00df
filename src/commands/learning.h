/* From the parameters of a run to what training and evaluation work with. */
#ifndef EPFLOW_COMMANDS_LEARNING_H
#define EPFLOW_COMMANDS_LEARNING_H

#include "base/config.h"
#include "dynamics/system.h"
#include "learn/trainer.h"

/* The network's own parameters, for this system: a window of all holds every particle of a copy, and
 * a graph has no number of neighbours. */
struct network_parameters learning_network(const struct network_parameters *network,
                                           const struct system_parameters *system);
/* Scores (or velocities) of x are learnt, too. */
bool learning_with_x(const struct system_parameters *system, const struct training_parameters *training);
struct flow_law learning_law(const struct system_parameters *system, const struct network_parameters *network,
                             const struct training_parameters *training);
/* The forces of a system, and what its propulsions do to each other; valid as long as *context is. */
struct force_law learning_forces(const struct system_force *context);
/* All of it; force stays valid as long as *context does. */
struct trainer_setup learning_setup(const struct config *c, struct system_force *context);

#endif
