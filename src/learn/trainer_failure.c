/* Why a training step failed, found once it has: the weights, then every frame of the step by itself, then smaller and
 * smaller parts of its batch, until one particle (or configuration) is left that does it alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "learn/trainer_private.h"

/* What was not finite, on the lowest rank where anything was. Numbers only: that rank tells the others by a sum. */
struct defect {
    double rank, loss, tensor; /* loss: not finite; tensor: number of one whose gradient is not, or -1 */
};

/* The first tensor that has a number which is not finite, or -1; -2 without memory to look. */
static int first_bad_tensor(const struct trainer *t, const real *device) {
    const struct tensors *all = &t->scores->tensors;
    real *host = malloc(all->size * sizeof *host);
    int bad = host ? -1 : -2;
    if (host)
        t->ops->to_host(t->ops, host, device, all->size * sizeof *host);
    for (int m = 0; host && bad == -1 && m < all->count; m++) {
        const size_t size = (size_t)all->list[m].rows * (size_t)all->list[m].columns;
        for (size_t i = 0; i < size && bad == -1; i++)
            if (!isfinite(host[all->list[m].offset + i]))
                bad = m;
    }
    free(host);
    return bad;
}

/* Loss and gradient of a part of a frame's batch once more, before ranks add them up. *found: whether they are not
 * finite. Collective. */
static enum status try_batch(struct trainer *t, const struct contribution *c, const uint32_t *ids,
                             bool *found, struct defect *out) {
    enum status status = STATUS_OK;
    double loss = 0, rank = comm_size(t->comm), lowest;
    TRY(trainer_own_gradient(t, c, ids, &loss));
    const int tensor = first_bad_tensor(t, t->gradient);
    if (tensor == -2)
        status = FAIL(STATUS_FAILURE, "out of memory for the gradient");
    TRY(comm_agree(t->comm, status));
    if (!isfinite(loss) || tensor >= 0)
        rank = comm_rank(t->comm);
    lowest = rank;
    comm_min(t->comm, &lowest, 1);
    *found = lowest < comm_size(t->comm);
    if (*found) {
        const bool mine = lowest == comm_rank(t->comm);
        *out = mine ? (struct defect){lowest, !isfinite(loss), tensor} : (struct defect){0};
        comm_sum(t->comm, (double *)out, sizeof *out / sizeof(double));
    }
out:
    return status;
}

/* Halves a batch of `count` units of `unit` particles as long as one half fails by itself: the particles left are
 * ids[*first] ... , c->total of them. */
static enum status narrow_down(struct trainer *t, struct contribution *c, size_t unit, const uint32_t *ids,
                               size_t *first, struct defect *defect) {
    enum status status = STATUS_OK;
    size_t count = c->total / unit;
    bool found = true;
    *first = 0;
    while (found && count > 1) {
        const size_t half[2] = {count / 2, count - count / 2};
        found = false;
        for (int h = 0; h < 2 && !found; h++) {
            struct contribution part = *c;
            part.total = half[h] * unit;
            const size_t from = *first + (size_t)h * half[0] * unit;
            TRY(try_batch(t, &part, ids + from, &found, defect));
            if (found) {
                *c = part;
                *first = from;
                count = half[h];
            }
        }
    }
out:
    return status;
}

/* "particle 17 of rank 1"; a copy; or as many as fail only together. */
static void who(const struct contribution *c, size_t unit, const uint32_t *ids, const struct defect *defect,
                char *out, size_t size) {
    if (c->total == 1)
        snprintf(out, size, "what particle %u of rank %.0f sees", ids[0], defect->rank);
    else if (c->total == unit)
        snprintf(out, size, "the copy of particles %u to %u, on rank %.0f", ids[0], ids[unit - 1],
                 defect->rank);
    else
        snprintf(out, size, "what %zu particles see together, of which %u is one, on rank %.0f", c->total,
                 ids[0], defect->rank);
}

static enum status say_frame(struct trainer *t, struct contribution *c, const uint32_t *ids,
                             struct defect *defect) {
    enum status status = STATUS_OK;
    const size_t unit = training_by_configuration(&t->setup) ? t->setup.particles : 1;
    const struct tensors *all = &t->scores->tensors;
    char what[TENSOR_NAME + 32] = "the loss", particles[160];
    size_t first = 0;
    TRY(narrow_down(t, c, unit, ids, &first, defect));
    who(c, unit, ids + first, defect, particles, sizeof particles);
    if (defect->loss == 0)
        snprintf(what, sizeof what, "the gradient of %s", all->list[(int)defect->tensor].name);
    status = FAIL(STATUS_NUMBERS,
                  "training step %lld: %s is not finite, from %s, in frame %zu of %s: use a smaller "
                  "training.rate, or look at that frame",
                  (long long)t->failed_step, what, particles, c->frame->number, frame_path(c->frame));
out:
    return status;
}

/* Of the frames of the failed step the first that fails by itself. */
static enum status explain_frames(struct trainer *t, const struct dataset *dataset, uint32_t *ids) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &t->setup.training;
    const uint64_t frames = (uint64_t)p->frames_per_step;
    struct defect defect;
    for (uint64_t m = 0; m < frames; m++) {
        struct contribution c = {.number = (uint64_t)(t->failed_step - 1) * frames + m, .share = 1};
        bool found = false;
        c.frame = dataset_choose(dataset, p->seed, c.number);
        c.total = trainer_draw(t, c.frame, c.number, ids);
        TRY(try_batch(t, &c, ids, &found, &defect));
        if (found)
            return say_frame(t, &c, ids, &defect);
    }
    status = FAIL(STATUS_NUMBERS,
                  "training step %lld: the loss or its gradient was not finite, and done again, frame by "
                  "frame, both are: the gradient overflows in the sum, or a device or memory of this machine "
                  "is at fault",
                  (long long)t->failed_step);
out:
    return status;
}

enum status trainer_explain(struct trainer *t, const struct dataset *dataset) {
    enum status status = STATUS_OK;
    const size_t most = trainer_largest_batch(t, dataset);
    double failed = (double)t->failed_step, bad;
    uint32_t *ids = NULL;
    comm_max(t->comm, &failed, 1);
    if (failed == 0)
        return STATUS_NUMBERS;
    t->failed_step = (int64_t)failed;
    status_clear();
    ids = malloc(most * sizeof *ids);
    bad = first_bad_tensor(t, t->optimizer->theta);
    if (!ids || bad == -2)
        status = FAIL(STATUS_FAILURE, "out of memory for a batch of %zu", most);
    TRY(comm_agree(t->comm, status));
    comm_max(t->comm, &bad, 1);
    if (bad >= 0)
        status = FAIL(STATUS_NUMBERS,
                      "training step %lld: the weights of %s are not finite: use a smaller training.rate",
                      (long long)t->failed_step, t->scores->tensors.list[(int)bad].name);
    else
        status = explain_frames(t, dataset, ids);
out:
    free(ids);
    return status;
}
