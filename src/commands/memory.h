/* The memory that a stage will need, for --dry-run and the first lines of a run: printed by rank, in all and by particle,
 * with a warning where a node has less. */
#ifndef EPFLOW_COMMANDS_MEMORY_H
#define EPFLOW_COMMANDS_MEMORY_H

#include "commands/session.h"
#include "learn/trainer.h"

/* All are collective. */
enum status memory_plan_simulate(struct session *s);
/* frames: of all trajectories, held in memory, each of up to `largest` particles. */
enum status memory_plan_train(struct session *s, const struct trainer_setup *setup,
                              const struct scores *scores, double frames, double largest);
/* From the model and the trajectory that the input names, where they are there, else from its own network and system. */
enum status memory_plan_evaluate(struct session *s);

#endif
