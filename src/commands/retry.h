/* Going back: what a training does whose numbers went wrong, where training.retries allows it. All functions are
 * collective, and every rank does the same. */
#ifndef EPFLOW_COMMANDS_RETRY_H
#define EPFLOW_COMMANDS_RETRY_H

#include "commands/session.h"
#include "io/model_file.h"
#include "learn/trainer.h"

/* Between arrays on the host (weights, average, mu, nu) and the optimizer's. */
void retry_move(const struct trainer *trainer, real *const host[MODEL_TREES], bool to_host);

/* Room for the state to go back to, where there are retries; retry_release frees it. */
enum status retry_create(struct session *s, const struct trainer *trainer, struct model_state *state);
void retry_release(struct model_state *state);

/* Before the first step of this run, whose state is in the optimizer: what to go back to if the file had none, and the
 * rate as earlier retries left it. */
void retry_begin(struct session *s, struct trainer *trainer, struct model_state *state);

/* After a step that went well: every training.retry_interval steps the state is kept, unless the loss has begun to be
 * above the limit. */
void retry_keep(const struct session *s, const struct trainer *trainer, struct model_state *state);

/* After a step that failed for its numbers (STATUS_NUMBERS, agreed on, with its message): goes back, says so, and
 * clears the message; STATUS_NUMBERS, with the message, where no retry is left. */
enum status retry_go_back(struct session *s, struct trainer *trainer, struct model_state *state);

#endif
