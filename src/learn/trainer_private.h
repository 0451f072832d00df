/* The parts of a training step. Private to learn. */
#ifndef EPFLOW_LEARN_TRAINER_PRIVATE_H
#define EPFLOW_LEARN_TRAINER_PRIVATE_H

#include "learn/trainer.h"

/* batch.c: room for windows; the windows of a batch that this rank has (those of `wanted` particles that it owns). */
enum status batch_reserve(struct trainer *t, size_t windows);
double batch_bytes(const struct scores *scores); /* a window */
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

/* What one frame adds to a step. */
struct contribution {
    const struct frame *frame;
    uint64_t number; /* of its noise and directions: no two frames of a training have the same */
    size_t total;    /* particles of its batch, over all ranks */
    double share;    /* in the mean over the frames of the step */
};

/* trainer.c: loss and gradient of a frame's batch, of this rank alone. Collective. */
enum status trainer_own_gradient(struct trainer *t, const struct contribution *c, const uint32_t *ids,
                                 double *loss);
/* The batch of a frame: particles, or whole configurations one after the other; how many. ids has room for
 * trainer_largest_batch. */
size_t trainer_draw(const struct trainer *t, const struct frame *f, uint64_t number, uint32_t *ids);
size_t trainer_largest_batch(const struct trainer *t, const struct dataset *dataset);

/* Losses: each adds to t->gradient and to *sum this rank's part of the share that the frame has in the loss. */
enum status denoising_gradient(struct trainer *t, const struct contribution *c, double *sum);
enum status matching_gradient(struct trainer *t, const struct contribution *c, double *sum);

#endif
