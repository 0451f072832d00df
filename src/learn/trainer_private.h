/* The parts of a training step. Private to learn. */
#ifndef EPFLOW_LEARN_TRAINER_PRIVATE_H
#define EPFLOW_LEARN_TRAINER_PRIVATE_H

#include "learn/trainer.h"

/* batch.c: room for windows; the windows of a batch that this rank has (those of `wanted` particles that it owns). */
enum status batch_reserve(struct trainer *t, size_t windows);
void batch_release(struct trainer *t);
enum status batch_choose(struct trainer *t, const struct frame *f, size_t wanted, const uint32_t *ids);
/* Local numbers and ids of the rows of the chosen windows. */
enum status batch_list_rows(struct trainer *t, const struct frame *f);
/* g of the rows, and with `forces` F and div F at positions q; needs batch->row_host. */
enum status batch_physics(struct trainer *t, const struct frame *f, const struct particles *at, bool forces);
/* denoising.c: the frame moved by `amount` times noise number `number`, as training.noise and noise_on say, in
 * t->moved, and its windows in *in. */
enum status batch_move(struct trainer *t, const struct frame *f, uint64_t number, double amount,
                       struct score_input *in);
struct score_rows batch_rows(const struct trainer *t);

/* Losses: each adds to t->gradient and sets *sum, this rank's part of the loss. `total`: particles of the batch over
 * all ranks. */
enum status denoising_gradient(struct trainer *t, const struct frame *f, uint64_t step, size_t total,
                               double *sum);
enum status matching_gradient(struct trainer *t, const struct frame *f, uint64_t step, size_t total,
                              double *sum);

#endif
