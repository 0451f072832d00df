/* RAdam, or Adam, with clipping at a global norm, warm-up and cosine schedule, moving average of the weights:
 * theory.md section 4. All arrays are flat and in device memory. Every rank does the same. */
#ifndef EPFLOW_LEARN_OPTIMIZER_H
#define EPFLOW_LEARN_OPTIMIZER_H

#include "ops/ops.h"

struct schedule {
    double peak;
    int64_t warm_up, total; /* steps; total includes the warm-up */
    double end;             /* the rate at the last step, as a fraction of the peak */
};
/* Rate after `step` steps: linear from 0 to peak over the warm-up, then cosine to end * peak at total. */
double schedule_rate(const struct schedule *s, int64_t step);

struct optimizer_rule {
    bool rectify;        /* RAdam; else Adam */
    double second_decay; /* b2, of the squares of the gradient */
    double clip;         /* global norm; 0: none */
    double average;      /* decay of the moving average */
};

struct optimizer {
    const struct ops *ops;
    size_t size;
    int64_t step; /* steps done */
    struct schedule schedule;
    struct optimizer_rule rule;
    real *theta;       /* (size) weights */
    real *mu, *nu;     /* (size) moments */
    real *average;     /* (size) moving average, starts at the first weights */
    double norm, rate; /* of the last step: gradient norm before clipping, learning rate */
};

/* theta and average start as `weights` (host). */
enum status optimizer_create(const struct ops *ops, size_t size, const struct schedule *schedule,
                             const struct optimizer_rule *rule, const real *weights, struct optimizer **out);
void optimizer_destroy(struct optimizer **optimizer);

/* One step with this gradient (device, already summed over ranks and divided by the batch). Fails
 * (STATUS_NUMBERS) if its norm is not finite; nothing is changed then. Fails if the weights are not finite after it. */
enum status optimizer_step(struct optimizer *optimizer, const real *gradient);

#endif
