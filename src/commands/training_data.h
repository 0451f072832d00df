/* The trajectories of a training: which, what they hold, their frames in memory, and whether they still are what an
 * earlier run was trained on. */
#ifndef EPFLOW_COMMANDS_TRAINING_DATA_H
#define EPFLOW_COMMANDS_TRAINING_DATA_H

#include "commands/session.h"
#include "learn/trainer.h"

/* One of them. */
struct training_file {
    char path[SESSION_PATH];
    double share; /* of the frames that are drawn */
    int64_t particles, copies;
    double packing_fraction; /* phi */
    size_t training;         /* frames to train on, or pairs of them for velocities */
    size_t held_out;         /* never trained on */
    char *identity;          /* what it is: lines "name = value", for model_write */
};

struct training_data {
    int count;
    struct training_file file[CONFIG_FILES];
    struct dataset train, held_out; /* a part for each file */
};

/* The trajectories that the input names, those that are there with what they hold, as lines of the plan. Refuses those
 * that cannot be used together. *held: particles of all frames together, where a trajectory is not there yet as many as
 * the input would make; *largest: of one. Collective. */
enum status training_data_plan(struct session *s, const struct trainer_setup *setup, double *held,
                               double *largest);

/* Reads all frames; where a training goes on from the model in `resumed` (else NULL), those that it had: a trajectory may
 * have grown since. The halos reach `cutoff` where the loss needs forces. *data: zeros, freed by training_data_free
 * (after failures too). Collective. */
enum status training_data_load(struct session *s, const struct trainer_setup *setup, double cutoff,
                               const char *resumed, struct training_data *data);
void training_data_free(struct training_data *data);

/* Refuses trajectories that differ from those that the model in `path` was trained on. Collective. */
enum status training_data_same(struct session *s, const char *path, const struct training_data *data);

#endif
