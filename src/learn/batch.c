/* The windows of a training step: chosen by particle id, so that a batch is a function of the seed and the step, each
 * rank working on the centres it owns. */
#include "learn/trainer_private.h"

#include <stdlib.h>
#include <string.h>

enum { ARRAYS = 17 };

struct array {
    void **at;
    size_t bytes; /* a window */
    bool host;
};

static void list_arrays(struct trainer *t, struct array list[ARRAYS]) {
    struct batch *b = &t->batch;
    const size_t d = (size_t)t->d, decoded = (size_t)t->scores->decoded, k = (size_t)t->scores->neighbours;
    const struct array all[ARRAYS] = {{(void **)&b->centre, sizeof *b->centre, false},
                                      {(void **)&b->neighbour, k * sizeof *b->neighbour, false},
                                      {(void **)&b->id, decoded * sizeof *b->id, false},
                                      {(void **)&b->zeta_wide, decoded * d * sizeof(double), false},
                                      {(void **)&b->zeta_narrow, decoded * d * sizeof(real), false},
                                      {(void **)&b->zeta, decoded * 2 * d * sizeof(real), false},
                                      {(void **)&b->shift, decoded * 2 * d * sizeof(real), false},
                                      {(void **)&b->term, decoded * sizeof(double), false},
                                      {(void **)&b->farthest, sizeof(double), false},
                                      {(void **)&b->weight, decoded * sizeof(real), false},
                                      {(void **)&b->weight_host, decoded * sizeof(real), true},
                                      {(void **)&b->centre_host, sizeof *b->centre_host, true},
                                      {(void **)&b->id_host, decoded * sizeof *b->id_host, true},
                                      {(void **)&b->row_host, decoded * sizeof *b->row_host, true},
                                      {(void **)&b->configuration, sizeof *b->configuration, true},
                                      {(void **)&b->g, decoded * (3 * d + 2) * sizeof(double), true},
                                      {(void **)&b->term_host, decoded * sizeof(double), true}};
    memcpy(list, all, sizeof all);
}

double batch_bytes(const struct scores *scores) {
    struct scores copy = *scores;
    struct trainer nothing = {.d = scores->d, .scores = &copy};
    struct array list[ARRAYS];
    double bytes = 0;
    list_arrays(&nothing, list);
    for (int m = 0; m < ARRAYS; m++)
        bytes += (double)list[m].bytes;
    return bytes;
}

void batch_release(struct trainer *t) {
    struct array list[ARRAYS];
    if (!t->scores)
        return;
    list_arrays(t, list);
    for (int m = 0; m < ARRAYS; m++) {
        if (list[m].host)
            free(*list[m].at);
        else
            t->ops->release(t->ops, *list[m].at);
        *list[m].at = NULL;
    }
    t->batch.capacity = 0;
}

enum status batch_reserve(struct trainer *t, size_t windows) {
    enum status status = STATUS_OK;
    struct batch *b = &t->batch;
    struct array list[ARRAYS];
    if (windows <= b->capacity)
        return STATUS_OK;
    batch_release(t);
    list_arrays(t, list);
    for (int m = 0; m < ARRAYS; m++) {
        if (list[m].host && !(*list[m].at = malloc(windows * list[m].bytes)))
            return FAIL(STATUS_FAILURE, "out of memory for a batch of %zu", windows);
        if (!list[m].host)
            TRY(t->ops->allocate(t->ops, windows * list[m].bytes, list[m].at));
    }
    const size_t rows = windows * (size_t)t->scores->decoded;
    b->force = b->g + rows * (size_t)t->d;
    b->divergence = b->force + rows * (size_t)t->d;
    b->restoring = b->divergence + rows;
    b->div_restoring = b->restoring + rows * (size_t)t->d;
    b->capacity = windows;
out:
    return status;
}

/* Local numbers and ids of the decoded particles: the centres, or (window: all) the neighbours, too. */
enum status batch_list_rows(struct trainer *t, const struct frame *f) {
    struct batch *b = &t->batch;
    const size_t k = (size_t)t->scores->neighbours, n = f->particles->owned + f->particles->ghosts;
    const size_t decoded = (size_t)t->scores->decoded;
    uint32_t *near = malloc((b->count * k + 1) * sizeof *near), *id = malloc((n + 1) * sizeof *id);
    if (!near || !id) {
        free(near);
        free(id);
        return FAIL(STATUS_FAILURE, "out of memory for a batch of %zu", b->count);
    }
    t->ops->to_host(t->ops, near, b->neighbour, b->count * k * sizeof *near);
    t->ops->to_host(t->ops, id, f->particles->id, n * sizeof *id);
    for (size_t w = 0; w < b->count; w++)
        for (size_t m = 0; m < decoded; m++) {
            const uint32_t local = m == 0 ? b->centre_host[w] : near[w * k + m - 1];
            b->row_host[w * decoded + m] = local;
            b->id_host[w * decoded + m] = local < n ? id[local] : 0;
        }
    free(near);
    free(id);
    t->ops->to_device(t->ops, b->id, b->id_host, b->count * decoded * sizeof *b->id);
    return STATUS_OK;
}

enum status batch_choose(struct trainer *t, const struct frame *f, size_t wanted, const uint32_t *ids) {
    struct batch *b = &t->batch;
    const bool whole = training_by_configuration(&t->setup), one_each = t->scores->decoded > 1;
    const size_t n = t->setup.particles;
    enum status status = batch_reserve(t, one_each ? wanted / n + 1 : wanted);
    if (status != STATUS_OK)
        return status;
    b->count = 0;
    b->configurations = whole ? wanted / n : 0;
    for (size_t m = 0; m < wanted; m++) {
        int64_t local = one_each && m % n != 0 ? -1 : frame_find(f, ids[m]);
        if (local < 0)
            continue;
        b->centre_host[b->count] = (uint32_t)local;
        b->configuration[b->count++] = whole ? (uint32_t)(m / n) : 0;
    }
    t->ops->to_device(t->ops, b->centre, b->centre_host, b->count * sizeof *b->centre);
    t->ops->gather_neighbours(t->ops, b->count, f->k, b->centre, f->nearest, b->neighbour);
    return batch_list_rows(t, f);
}

enum status batch_physics(struct trainer *t, const struct frame *f, const struct particles *at, bool forces) {
    struct batch *b = &t->batch;
    const size_t n = at->owned + at->ghosts, d = (size_t)t->d, rows = b->count * (size_t)t->scores->decoded;
    const bool turning = t->setup.force.restoring != NULL;
    double *g = malloc((n + 1) * sizeof *g);
    enum status status = g ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    if (status == STATUS_OK && forces)
        status = t->setup.force.compute(t->setup.force.context, at, &f->domain->box, t->force_all,
                                        t->divergence_all);
    if (status == STATUS_OK && forces && turning)
        status = t->setup.force.restoring(t->setup.force.context, at, &f->domain->box, t->restoring_all,
                                          t->restoring_all + at->owned * d);
    for (size_t a = 0; status == STATUS_OK && a < d; a++) {
        t->ops->to_host(t->ops, g, at->g[a], n * sizeof *g);
        for (size_t r = 0; r < rows; r++)
            b->g[r * d + a] = g[b->row_host[r]];
    }
    for (size_t r = 0; status == STATUS_OK && forces && r < rows; r++) {
        const size_t local = b->row_host[r];
        if (local >= at->owned)
            status = FAIL(STATUS_FAILURE, "the particles of a configuration are not on one rank");
        for (size_t a = 0; status == STATUS_OK && a < d; a++)
            b->force[r * d + a] = t->force_all[local * d + a];
        b->divergence[r] = status == STATUS_OK ? t->divergence_all[local] : 0;
        for (size_t a = 0; status == STATUS_OK && turning && a < d; a++)
            b->restoring[r * d + a] = t->restoring_all[local * d + a];
        if (turning && status == STATUS_OK)
            b->div_restoring[r] = t->restoring_all[at->owned * d + local];
    }
    free(g);
    return status;
}

struct score_rows batch_rows(const struct trainer *t) {
    const struct batch *b = &t->batch;
    return (struct score_rows){.rows = b->count * (size_t)t->scores->decoded,
                               .g = b->g,
                               .force = b->force,
                               .divergence = b->divergence,
                               .restoring = t->setup.force.restoring ? b->restoring : NULL,
                               .div_restoring = t->setup.force.restoring ? b->div_restoring : NULL};
}
