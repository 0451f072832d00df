/* Storage and migration. Moving particles between ranks is rare (once per neighbour list) and is staged
 * through host memory as records; what happens at every step never leaves the device. */
#include "space/particles.h"

#include <stdlib.h>
#include <string.h>

enum status particles_create(const struct ops *ops, int d, size_t capacity, struct particles **out) {
    struct particles *p = calloc(1, sizeof *p);
    *out = p;
    if (!p)
        return FAIL(STATUS_FAILURE, "out of memory for particles");
    p->ops = ops;
    p->d = d;
    enum status status = particles_reserve(p, capacity > 0 ? capacity : 1);
    if (status != STATUS_OK)
        particles_destroy(out);
    return status;
}

void particles_destroy(struct particles **particles) {
    struct particles *p = *particles;
    if (!p)
        return;
    p->ops->release(p->ops, p->id);
    for (int a = 0; a < p->d; a++) {
        p->ops->release(p->ops, p->q[a]);
        p->ops->release(p->ops, p->image[a]);
        p->ops->release(p->ops, p->g[a]);
    }
    free(p);
    *particles = NULL;
}

/* Moves one array to a larger allocation. */
static enum status enlarge(const struct ops *ops, void **array, size_t used, size_t bytes) {
    void *larger = NULL;
    enum status status = ops->allocate(ops, bytes, &larger);
    if (status != STATUS_OK)
        return status;
    if (*array)
        ops->copy(ops, larger, *array, used);
    ops->release(ops, *array);
    *array = larger;
    return STATUS_OK;
}

enum status particles_reserve(struct particles *p, size_t capacity) {
    enum status status = STATUS_OK;
    if (capacity <= p->capacity)
        return STATUS_OK;
    size_t held = p->owned + p->ghosts, room = capacity + capacity / 4;
    TRY(enlarge(p->ops, (void **)&p->id, held * sizeof *p->id, room * sizeof *p->id));
    for (int a = 0; a < p->d; a++) {
        TRY(enlarge(p->ops, (void **)&p->q[a], held * sizeof *p->q[a], room * sizeof *p->q[a]));
        TRY(enlarge(p->ops, (void **)&p->image[a], held * sizeof *p->image[a], room * sizeof *p->image[a]));
        TRY(enlarge(p->ops, (void **)&p->g[a], held * sizeof *p->g[a], room * sizeof *p->g[a]));
    }
    p->capacity = room;
out:
    return status;
}

struct record {
    uint64_t q[MAX_DIMENSION];
    double g[MAX_DIMENSION];
    int32_t image[MAX_DIMENSION];
    uint32_t id;
};

/* Host copies of the owned particles' arrays, and back: the two directions of one transfer. */
static enum status owned_to_records(const struct particles *p, struct record **out) {
    struct record *record = malloc((p->owned + 1) * sizeof *record);
    void *column = malloc((p->owned + 1) * sizeof(uint64_t));
    *out = record;
    if (!record || !column) {
        free(column);
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    }
    memset(record, 0, (p->owned + 1) * sizeof *record);
    const uint32_t *id = column;
    p->ops->to_host(p->ops, column, p->id, p->owned * sizeof *p->id);
    for (size_t i = 0; i < p->owned; i++)
        record[i].id = id[i];
    for (int a = 0; a < p->d; a++) {
        const uint64_t *q = column;
        p->ops->to_host(p->ops, column, p->q[a], p->owned * sizeof *q);
        for (size_t i = 0; i < p->owned; i++)
            record[i].q[a] = q[i];
        const double *g = column;
        p->ops->to_host(p->ops, column, p->g[a], p->owned * sizeof *g);
        for (size_t i = 0; i < p->owned; i++)
            record[i].g[a] = g[i];
        const int32_t *image = column;
        p->ops->to_host(p->ops, column, p->image[a], p->owned * sizeof *image);
        for (size_t i = 0; i < p->owned; i++)
            record[i].image[a] = image[i];
    }
    free(column);
    return STATUS_OK;
}

static enum status records_to_owned(struct particles *p, size_t count, const struct record *record) {
    enum status status = particles_reserve(p, count);
    void *column = malloc((count + 1) * sizeof(uint64_t));
    if (status != STATUS_OK || !column) {
        free(column);
        return status ? status : FAIL(STATUS_FAILURE, "out of memory for %zu particles", count);
    }
    uint32_t *id = column;
    for (size_t i = 0; i < count; i++)
        id[i] = record[i].id;
    p->ops->to_device(p->ops, p->id, column, count * sizeof *id);
    for (int a = 0; a < p->d; a++) {
        uint64_t *q = column;
        for (size_t i = 0; i < count; i++)
            q[i] = record[i].q[a];
        p->ops->to_device(p->ops, p->q[a], column, count * sizeof *q);
        double *g = column;
        for (size_t i = 0; i < count; i++)
            g[i] = record[i].g[a];
        p->ops->to_device(p->ops, p->g[a], column, count * sizeof *g);
        int32_t *image = column;
        for (size_t i = 0; i < count; i++)
            image[i] = record[i].image[a];
        p->ops->to_device(p->ops, p->image[a], column, count * sizeof *image);
    }
    p->owned = count;
    p->ghosts = 0;
    free(column);
    return STATUS_OK;
}

/* ---- order in space: cells in rows, every other row backwards, so that successive cells touch; copies one after
 * the other ---- */

struct sort_key {
    uint64_t cell;
    uint32_t id, at;
};

static int compare_keys(const void *a, const void *b) {
    const struct sort_key *p = a, *r = b;
    return p->cell != r->cell ? (p->cell > r->cell) - (p->cell < r->cell) : (p->id > r->id) - (p->id < r->id);
}

static uint64_t cell_rank(const struct box *box, const uint64_t q[], double cell) {
    uint64_t rank = 0;
    for (int a = box->d - 1; a >= 0; a--) {
        uint64_t cells = (uint64_t)(box->side[a] / cell) + 1;
        uint64_t c = (q[a] >> 32) * cells >> 32;
        rank = rank * cells + (rank % 2 == 1 ? cells - 1 - c : c);
    }
    return rank;
}

static enum status sort_records(const struct box *box, double cell, size_t count, struct record **records) {
    struct sort_key *key = malloc((count + 1) * sizeof *key);
    struct record *sorted = malloc((count + 1) * sizeof *sorted);
    if (!key || !sorted) {
        free(key);
        free(sorted);
        return FAIL(STATUS_FAILURE, "out of memory while sorting %zu particles", count);
    }
    for (size_t i = 0; i < count; i++)
        key[i] = (struct sort_key){box->group > 0 ? 0 : cell_rank(box, (*records)[i].q, cell),
                                   (*records)[i].id, (uint32_t)i};
    qsort(key, count, sizeof *key, compare_keys);
    for (size_t i = 0; i < count; i++)
        sorted[i] = (*records)[key[i].at];
    free(*records);
    free(key);
    *records = sorted;
    return STATUS_OK;
}

/* Splits the records into those that stay (compacted in place, their number returned) and those that go, in
 * order of the rank they go to. */
static enum status split_leavers(const struct domain *domain, size_t count, struct record *record,
                                 size_t *stay, size_t *send_count, struct record **leavers) {
    int *owner = malloc((count + 1) * sizeof *owner);
    size_t *at = calloc((size_t)domain->ranks + 1, sizeof *at), gone = 0;
    enum status status = STATUS_OK;
    *leavers = NULL;
    *stay = 0;
    if (!owner || !at) {
        status = FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", count);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        owner[i] = domain_owner(domain, record[i].id, record[i].q);
        if (owner[i] != domain->rank) {
            send_count[owner[i]]++;
            gone++;
        }
    }
    for (int r = 0; r < domain->ranks; r++)
        at[r + 1] = at[r] + send_count[r];
    *leavers = malloc((gone + 1) * sizeof **leavers);
    if (!*leavers) {
        status = FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", gone);
        goto out;
    }
    for (size_t i = 0; i < count; i++) {
        if (owner[i] == domain->rank)
            record[(*stay)++] = record[i];
        else
            (*leavers)[at[owner[i]]++] = record[i];
    }
out:
    free(owner);
    free(at);
    return status;
}

enum status particles_migrate(struct particles *p, const struct domain *domain, struct comm *comm,
                              double cell) {
    enum status status = STATUS_OK;
    struct record *record = NULL, *leavers = NULL;
    void *arrivals = NULL;
    size_t ranks = (size_t)domain->ranks, stay = 0, arrived = 0;
    size_t *numbers = calloc(2 * ranks, sizeof *numbers);
    p->ghosts = 0;
    if (ranks == 1 && cell <= 0)
        goto out;
    status =
        numbers ? owned_to_records(p, &record) : FAIL(STATUS_FAILURE, "out of memory while moving particles");
    if (status == STATUS_OK)
        status = split_leavers(domain, p->owned, record, &stay, numbers, &leavers);
    TRY(comm_agree(comm, status));
    TRY(comm_exchange(comm, sizeof *record, numbers, leavers, numbers + ranks, &arrivals));
    for (size_t r = 0; r < ranks; r++)
        arrived += numbers[ranks + r];
    struct record *all = realloc(record, (stay + arrived + 1) * sizeof *record);
    if (all) {
        record = all;
        memcpy(record + stay, arrivals, arrived * sizeof *record);
        if (cell > 0)
            status = sort_records(&domain->box, cell, stay + arrived, &record);
        if (status == STATUS_OK)
            status = records_to_owned(p, stay + arrived, record);
    } else {
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", stay + arrived);
    }
    TRY(comm_agree(comm, status));
out:
    free(numbers);
    free(record);
    free(leavers);
    free(arrivals);
    return status;
}
