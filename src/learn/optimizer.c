/* What decides a step (norm, clipping, rate) is here, in float64; what touches every weight is one pass, in
 * ops->radam. The average is not corrected for its start: it begins at the first weights. */
#include "learn/optimizer.h"

#include <math.h>
#include <stdlib.h>

static const double LARGEST_NORM = 1e18; /* the square of a number beyond is none of float32 */

double schedule_rate(const struct schedule *s, int64_t step) {
    if (step < s->warm_up)
        return s->peak * (double)step / (double)s->warm_up;
    if (step >= s->total)
        return s->peak * (s->total > s->warm_up ? s->end : 1);
    const double wave = cos(M_PI * (double)(step - s->warm_up) / (double)(s->total - s->warm_up));
    return s->peak * (s->end + (1 - s->end) / 2 * (1 + wave));
}

enum status optimizer_create(const struct ops *ops, size_t size, const struct schedule *schedule,
                             const struct optimizer_rule *rule, const real *weights, struct optimizer **out) {
    enum status status = STATUS_OK;
    struct optimizer *o = calloc(1, sizeof *o);
    *out = o;
    if (!o)
        return FAIL(STATUS_FAILURE, "out of memory for the optimizer");
    *o = (struct optimizer){.ops = ops, .size = size, .schedule = *schedule, .rule = *rule};
    TRY(ops->allocate(ops, size * sizeof(real), (void **)&o->theta));
    TRY(ops->allocate(ops, size * sizeof(real), (void **)&o->mu));
    TRY(ops->allocate(ops, size * sizeof(real), (void **)&o->nu));
    TRY(ops->allocate(ops, size * sizeof(real), (void **)&o->average));
    ops->to_device(ops, o->theta, weights, size * sizeof(real));
    ops->to_device(ops, o->average, weights, size * sizeof(real));
out:
    if (status != STATUS_OK)
        optimizer_destroy(out);
    return status;
}

void optimizer_destroy(struct optimizer **optimizer) {
    struct optimizer *o = *optimizer;
    if (!o)
        return;
    o->ops->release(o->ops, o->theta);
    o->ops->release(o->ops, o->mu);
    o->ops->release(o->ops, o->nu);
    o->ops->release(o->ops, o->average);
    free(o);
    *optimizer = NULL;
}

enum status optimizer_step(struct optimizer *o, const real *gradient) {
    o->norm = sqrt(o->ops->sum_squares(o->ops, o->size, gradient));
    if (!isfinite(o->norm) || (o->rule.clip == 0 && o->norm > LARGEST_NORM))
        return FAIL(STATUS_NUMBERS,
                    "the gradient is not finite at training step %lld: use a smaller training.rate",
                    (long long)o->step + 1);
    o->rate = schedule_rate(&o->schedule, o->step); /* step t uses the rate after t - 1 steps */
    const struct optimizer_rule *r = &o->rule;
    const double scale = r->clip > 0 && o->norm > r->clip ? r->clip / o->norm : 1;
    o->step++;
    o->ops->radam(o->ops, o->size, o->step, r->rectify, r->second_decay, o->rate, scale, r->average, gradient,
                  o->mu, o->nu, o->theta, o->average);
    if (!isfinite(o->ops->sum_squares(o->ops, o->size, o->theta)))
        return FAIL(STATUS_NUMBERS,
                    "the weights are not finite after training step %lld: use a smaller training.rate",
                    (long long)o->step);
    return STATUS_OK;
}
