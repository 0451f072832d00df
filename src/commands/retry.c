/* The state that a training goes back to is kept in memory at steps that do not depend on the clock, and goes into every
 * model.h5 written in between: whether a run is interrupted makes no difference to what happens. */
#include "commands/retry.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"

void retry_move(const struct trainer *t, real *const host[MODEL_TREES], bool to_host) {
    const struct optimizer *o = t->optimizer;
    const struct ops *ops = o->ops;
    real *const device[MODEL_TREES] = {o->theta, o->average, o->mu, o->nu};
    for (int m = 0; m < MODEL_TREES; m++) {
        if (to_host)
            ops->to_host(ops, host[m], device[m], o->size * sizeof(real));
        else
            ops->to_device(ops, device[m], host[m], o->size * sizeof(real));
    }
}

enum status retry_create(struct session *s, const struct trainer *t, struct model_state *state) {
    enum status status = STATUS_OK;
    if (s->config.training.retries == 0)
        return STATUS_OK;
    for (int m = 0; m < MODEL_TREES; m++)
        if (!(state->back.array[m] = calloc(t->optimizer->size, sizeof(real))))
            status = FAIL(STATUS_FAILURE, "out of memory for a network of %zu weights", t->optimizer->size);
    return comm_agree(s->comm, status);
}

void retry_release(struct model_state *state) {
    for (int m = 0; m < MODEL_TREES; m++)
        free(state->back.array[m]);
}

static void keep(const struct trainer *t, struct model_state *state) {
    retry_move(t, state->back.array, true);
    state->back.step = t->optimizer->step;
    state->back.sum = state->sum;
    state->back.watch = state->watch;
}

void retry_begin(struct session *s, struct trainer *t, struct model_state *state) {
    if (state->retry_rows > 0)
        t->optimizer->schedule.peak = state->retry[state->retry_rows - 1].rate;
    if (s->config.training.retries > 0 && (t->optimizer->step == 0 || state->back.step < 0))
        keep(t, state);
}

void retry_keep(const struct session *s, const struct trainer *t, struct model_state *state) {
    const struct training_parameters *p = &s->config.training;
    if (p->retries > 0 && t->optimizer->step % p->retry_interval == 0 && state->watch.above == 0)
        keep(t, state);
}

/* Rows of steps that are undone. */
static void cut_logs(struct model_state *state, int64_t step) {
    while (state->log_rows > 0 && state->log[state->log_rows - 1].step > step)
        state->log_rows--;
    while (state->test_rows > 0 && state->test[state->test_rows - 1].step > step)
        state->test_rows--;
}

enum status retry_go_back(struct session *s, struct trainer *t, struct model_state *state) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &s->config.training;
    const struct model_return *back = &state->back;
    struct optimizer *o = t->optimizer;
    struct retry_row *rows = NULL;
    const double before = o->schedule.peak, after = before * p->retry_factor;
    const bool diverged = t->failed_step == 0 && state->watch.above > 0;
    if (state->retry_rows >= (size_t)p->retries) {
        if (p->retries > 0)
            log_info("given up after %zu retries", state->retry_rows);
        return STATUS_NUMBERS;
    }
    log_warning("%s", status_message());
    log_warning("going back to step %" PRId64
                ", and on with training.rate %g in the place of %g (retry %zu of %d)",
                back->step, after, before, state->retry_rows + 1, p->retries);
    status_clear();
    rows = realloc(state->retry, (state->retry_rows + 1) * sizeof *rows);
    if (rows)
        state->retry = rows;
    else
        status = FAIL(STATUS_FAILURE, "out of memory for the training log");
    TRY(comm_agree(s->comm, status));
    rows[state->retry_rows++] = (struct retry_row){.step = t->failed_step > 0 ? t->failed_step : o->step,
                                                   .back = back->step,
                                                   .cause = diverged ? RETRY_DIVERGED : RETRY_NOT_FINITE,
                                                   .rate = after};
    retry_move(t, back->array, false);
    o->step = back->step;
    o->schedule.peak = after;
    state->sum = back->sum;
    state->watch = back->watch;
    cut_logs(state, back->step);
out:
    return status;
}
