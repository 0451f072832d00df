/* A trained model, as evaluation needs it. */
#ifndef EPFLOW_COMMANDS_MODEL_H
#define EPFLOW_COMMANDS_MODEL_H

#include "commands/session.h"
#include "learn/scores.h"

struct loaded_model {
    char path[SESSION_PATH];
    char text[SESSION_PATH + 96]; /* path, step and a checksum of the weights: told apart from any other */
    struct config config;         /* it was trained with */
    struct network_parameters network; /* for the system that is evaluated */
    struct scores *scores;
    real *weights; /* device */
};

/* The model that the input names, or the one of the output folder; refuses one that cannot be used in the input's system,
 * and warns of other physics. Collective. */
enum status model_load(struct session *s, struct loaded_model *model);
void model_release(struct session *s, struct loaded_model *model);

#endif
