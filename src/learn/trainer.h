/* The training loop's body: batches, noise, gradients over ranks, optimizer; and the resolved fraction on
 * held-out frames. theory.md sections 4 and 6. */
#ifndef EPFLOW_LEARN_TRAINER_H
#define EPFLOW_LEARN_TRAINER_H

#include "base/timer.h"
#include "learn/dataset.h"
#include "learn/optimizer.h"

struct trainer {
    const struct ops *ops;
    struct comm *comm;
    struct training_parameters parameters;
    int d;
    struct score_model *model;
    struct optimizer *optimizer;
    real *gradient;                 /* (weights) device */
    real *gradient_host;            /* (weights) */
    size_t capacity;                /* windows that the arrays below hold */
    uint32_t *centre, *centre_host; /* (capacity) local numbers */
    uint32_t *id, *id_host;         /* (capacity) particle ids of the centres */
    uint32_t *neighbour;            /* (capacity, n) device */
    double *zeta_wide;              /* (capacity, d) device: noise of the centres */
    real *zeta;                     /* (capacity, d) device */
    double *term, *term_host;       /* (capacity) */
    real *s;                        /* (capacity, d) device */
    size_t moved_capacity;          /* particles that the arrays below hold */
    double *zeta_all;               /* (moved_capacity, d) device: noise of all local particles */
    uint64_t *q_moved[MAX_DIMENSION];
    double *g_moved[MAX_DIMENSION];
    double *farthest; /* (capacity) device */
    struct timings timings;
    int timer_network, timer_windows, timer_messages, timer_optimizer;
};

/* How far beyond the farthest neighbour a halo must reach so that neighbours can be found anew after
 * noise of width sigma moved every particle; 0 for noise on g alone. */
double training_margin(const struct training_parameters *p, int d);

/* weights (host): NULL for initial ones. chunk: network rows computed at once. Collective. */
enum status trainer_create(const struct ops *ops, struct comm *comm, const struct network_parameters *network,
                           const struct training_parameters *training, int d, int chunk, const real *weights,
                           struct trainer **out);
void trainer_destroy(struct trainer **trainer);

/* Step optimizer->step + 1: its batch is a function of the seed and the step, not of the ranks. *loss: the
 * mean of L_dn over the batch. Collective. */
enum status trainer_step(struct trainer *trainer, const struct dataset *dataset, double *loss);

/* The gradient of a given batch (ids of particles of `frame`, over all ranks) at the present weights, summed
 * over ranks and divided by the batch, in trainer->gradient: what trainer_step gives to the optimizer.
 * Collective. */
enum status trainer_gradient(struct trainer *trainer, const struct frame *frame, uint64_t step, size_t batch,
                             const uint32_t *ids, double *loss);

/* Resolved fraction of the moving average's weights on held-out frames, and its error from frame to
 * frame (ratio_error; NaN for one frame). At most `particles` of each frame (0: all). Collective. */
enum status trainer_test(struct trainer *trainer, const struct dataset *held_out, int particles,
                         double *resolved_fraction, double *error);

#endif
