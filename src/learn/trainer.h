/* The training loop's body: batches, losses, gradients over ranks, optimizer; and the resolved fraction on
 * held-out frames. theory.md sections 4 and 6. */
#ifndef EPFLOW_LEARN_TRAINER_H
#define EPFLOW_LEARN_TRAINER_H

#include "base/timer.h"
#include "learn/noise.h"
#include "learn/optimizer.h"

/* What training is about. */
struct trainer_setup {
    struct network_parameters network;
    struct training_parameters training;
    struct flow_law law;
    int d;
    size_t particles; /* of one copy, N: of a configuration */
    bool with_x;      /* scores (or velocities) of x, too */
    int chunk;        /* network rows computed at once */
    struct force_law force;
};

/* The windows of a step that this rank has. Rows are decoded particles, D a window. */
struct batch {
    size_t count, capacity;            /* windows */
    uint32_t *centre, *centre_host;    /* (capacity) local numbers */
    uint32_t *neighbour;               /* (capacity, n) device */
    uint32_t *id, *id_host;            /* (capacity, D) particle ids of the rows */
    uint32_t *row_host;                /* (capacity, D) their local numbers */
    uint32_t *configuration;           /* (capacity) host: which of the batch */
    size_t configurations;             /* of the whole batch; 0: single particles */
    double *g, *force, *divergence;    /* (capacity, D, d), ..., (capacity, D) host */
    double *restoring, *div_restoring; /* likewise, in one array; only where propulsions align */
    double *zeta_wide;                 /* (capacity, D, d) device: noise */
    real *zeta_narrow, *zeta, *shift;  /* (capacity, D, d or O) device */
    double *term, *term_host;          /* (capacity, D) */
    double *farthest;                  /* (capacity) device */
    real *weight, *weight_host;        /* (capacity, D) device, host: of terms in the loss */
};

struct trainer {
    const struct ops *ops;
    struct comm *comm;
    struct trainer_setup setup;
    int d;
    struct scores *scores;
    struct optimizer *optimizer;
    real *gradient; /* (weights) device */
    struct batch batch;
    size_t drawn;        /* particles of the last step, over all ranks and frames */
    int64_t failed_step; /* whose numbers were not finite on this rank; 0: none */
    struct probe_buffers probes;
    struct moved_frame moved;
    size_t force_capacity;              /* particles that the arrays below hold */
    double *force_all, *divergence_all; /* (force_capacity, d), (force_capacity) host */
    double *restoring_all;              /* both of G, one after the other */
    struct timings timings;
    int timer_network, timer_windows, timer_messages, timer_optimizer;
};

/* How far beyond the farthest neighbour a halo must reach so that neighbours can be found anew after
 * noise of width sigma moved every particle; 0 where none is moved. */
double training_margin(const struct training_parameters *p, int d);

/* A batch is of whole configurations: the loss or the network wants all particles of a copy. */
bool training_by_configuration(const struct trainer_setup *setup);

/* What weighs a particle's term in the denoising loss, training.weighting: 1, or 1 / (offset - div_x F / (d gamma)).
 * The latter is a function of x alone and so leaves the score in g that is learnt what it is; for repelling pairs
 * -div_x F / gamma is the sum over pairs of kn + (d - 1) kt, theory.md section 7. */
double training_weight(const struct training_parameters *p, double gamma, int d, double div_force);

/* weights (host): NULL for initial ones. Collective. */
enum status trainer_create(const struct ops *ops, struct comm *comm, const struct trainer_setup *setup,
                           const real *weights, struct trainer **out);
void trainer_destroy(struct trainer **trainer);
/* What training and its tests take beside frames and the networks' workspace, on a rank that owns so many of the
 * particles of a frame and holds `local` of them, ghosts included. */
double trainer_bytes(const struct trainer_setup *setup, const struct scores *scores, double particles,
                     double owned, double local);

/* Step optimizer->step + 1: its frames and their batches are functions of the seed and the step, not of the ranks.
 * *loss: the mean over the frames of means over their batches. Fails (STATUS_NUMBERS) where it or the gradient is not
 * finite; the weights are those before the step then. Fails, too, where they are not finite after it. Not agreed on,
 * but for failures before the sum over ranks: comm_agree does. Collective. */
enum status trainer_step(struct trainer *trainer, const struct dataset *dataset, double *loss);

/* After a step that failed for its numbers (agreed on): STATUS_NUMBERS, with a message that names step, weights or
 * gradient, frame, particle and rank, in the place of what was recorded. Where trainer_step was not what failed, what
 * was recorded stays. Collective. */
enum status trainer_explain(struct trainer *trainer, const struct dataset *dataset);

/* The gradient of a given batch (ids of particles of `frame`, over all ranks; by configuration: all particles of one
 * copy after the other) at the present weights, summed over ranks and divided by the batch, in trainer->gradient:
 * what trainer_step gives to the optimizer where a step has one frame. number: of its noise. Collective. */
enum status trainer_gradient(struct trainer *trainer, const struct frame *frame, uint64_t number,
                             size_t batch, const uint32_t *ids, double *loss);

/* Of the moving average's weights on held-out frames. */
struct trainer_result {
    double resolved_fraction,
        error;       /* and its error from frame to frame (ratio_error; NaN for one frame); where the
                                        dynamics are unknown, minus the loss of velocities instead */
    double residual; /* stationarity: <(sum_i div v_i + v_i . s_i)^2> / (2 N d); NaN where batches are of
                                        single particles */
};
/* At most `particles` of each frame (0: all). *all: of all frames together, each as much as any other; each
 * (held_out->parts): of every part by itself, NaN where it has no frames. Collective. */
enum status trainer_test(struct trainer *trainer, const struct dataset *held_out, int particles,
                         struct trainer_result *all, struct trainer_result *each);

#endif
