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

/* Host copies of the owned particles' arrays, with room for more. */
struct columns {
    uint32_t *id;
    uint64_t *q[MAX_DIMENSION];
    int32_t *image[MAX_DIMENSION];
    double *g[MAX_DIMENSION];
    void *memory;
};

static enum status columns_create(int d, size_t room, struct columns *out) {
    const size_t n = room + 1, axes = (size_t)d;
    char *at = malloc(n * (axes * (sizeof(uint64_t) + sizeof(double) + sizeof(int32_t)) + sizeof(uint32_t)));
    *out = (struct columns){.memory = at};
    if (!at)
        return FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", room);
    for (size_t a = 0; a < axes; a++, at += n * sizeof(uint64_t))
        out->q[a] = (uint64_t *)at;
    for (size_t a = 0; a < axes; a++, at += n * sizeof(double))
        out->g[a] = (double *)at;
    for (size_t a = 0; a < axes; a++, at += n * sizeof(int32_t))
        out->image[a] = (int32_t *)at;
    out->id = (uint32_t *)at;
    return STATUS_OK;
}

static void columns_from(const struct particles *p, struct columns *c) {
    p->ops->to_host(p->ops, c->id, p->id, p->owned * sizeof *c->id);
    for (int a = 0; a < p->d; a++) {
        p->ops->to_host(p->ops, c->q[a], p->q[a], p->owned * sizeof *c->q[a]);
        p->ops->to_host(p->ops, c->image[a], p->image[a], p->owned * sizeof *c->image[a]);
        p->ops->to_host(p->ops, c->g[a], p->g[a], p->owned * sizeof *c->g[a]);
    }
}

static void columns_to(struct particles *p, size_t owned, const struct columns *c) {
    p->owned = owned;
    p->ops->to_device(p->ops, p->id, c->id, owned * sizeof *c->id);
    for (int a = 0; a < p->d; a++) {
        p->ops->to_device(p->ops, p->q[a], c->q[a], owned * sizeof *c->q[a]);
        p->ops->to_device(p->ops, p->image[a], c->image[a], owned * sizeof *c->image[a]);
        p->ops->to_device(p->ops, p->g[a], c->g[a], owned * sizeof *c->g[a]);
    }
}

static struct record record_of(int d, const struct columns *c, size_t i) {
    struct record r = {.id = c->id[i]};
    for (int a = 0; a < d; a++) {
        r.q[a] = c->q[a][i];
        r.image[a] = c->image[a][i];
        r.g[a] = c->g[a][i];
    }
    return r;
}

static void put_record(int d, struct columns *c, size_t i, const struct record *r) {
    c->id[i] = r->id;
    for (int a = 0; a < d; a++) {
        c->q[a][i] = r->q[a];
        c->image[a][i] = r->image[a];
        c->g[a][i] = r->g[a];
    }
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

/* The owned particles in that order. Not collective. */
static enum status sort_owned(struct particles *p, const struct box *box, double cell) {
    enum status status = STATUS_OK;
    struct columns c = {0};
    struct sort_key *key = malloc((p->owned + 1) * sizeof *key);
    struct record *sorted = malloc((p->owned + 1) * sizeof *sorted);
    if (!key || !sorted)
        status = FAIL(STATUS_FAILURE, "out of memory while sorting %zu particles", p->owned);
    TRY(status);
    TRY(columns_create(p->d, p->owned, &c));
    columns_from(p, &c);
    for (size_t i = 0; i < p->owned; i++) {
        const struct record r = record_of(p->d, &c, i);
        key[i] = (struct sort_key){box->group > 0 ? 0 : cell_rank(box, r.q, cell), r.id, (uint32_t)i};
    }
    qsort(key, p->owned, sizeof *key, compare_keys);
    for (size_t i = 0; i < p->owned; i++)
        sorted[i] = record_of(p->d, &c, key[i].at);
    for (size_t i = 0; i < p->owned; i++)
        put_record(p->d, &c, i, &sorted[i]);
    columns_to(p, p->owned, &c);
out:
    free(c.memory);
    free(key);
    free(sorted);
    return status;
}

/* ---- to new owners: columns stay as they are but for those who go and come ---- */

/* Those of other owners, ascending: index (allocated) and their records in order of the rank they go to. */
static enum status find_leavers(const struct domain *domain, size_t owned, const struct columns *c,
                                uint32_t **index, size_t *gone, size_t *send_count, struct record **leavers) {
    const int d = domain->box.d;
    size_t *at = calloc((size_t)domain->ranks + 1, sizeof *at);
    enum status status = STATUS_OK;
    *index = malloc((owned + 1) * sizeof **index);
    *leavers = NULL;
    *gone = 0;
    if (!at || !*index)
        status = FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", owned);
    TRY(status);
    for (size_t i = 0; i < owned; i++) {
        const uint64_t q[MAX_DIMENSION] = {c->q[0][i], d > 1 ? c->q[1][i] : 0, d > 2 ? c->q[2][i] : 0};
        if (domain->box.group == 0 && domain_is_inside(domain, domain->rank, q))
            continue;
        send_count[domain_owner(domain, c->id[i], q)]++;
        (*index)[(*gone)++] = (uint32_t)i;
    }
    for (int r = 0; r < domain->ranks; r++)
        at[r + 1] = at[r] + send_count[r];
    *leavers = malloc((*gone + 1) * sizeof **leavers);
    if (!*leavers)
        status = FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", *gone);
    TRY(status);
    for (size_t m = 0; m < *gone; m++) {
        const struct record r = record_of(d, c, (*index)[m]);
        (*leavers)[at[domain_owner(domain, r.id, r.q)]++] = r;
    }
out:
    free(at);
    return status;
}

/* Arrivals take the places of leavers, then those at the end; the last particles fill the places that are left. */
static size_t fill_places(int d, struct columns *c, size_t owned, size_t gone, const uint32_t *index,
                          size_t arrived, const struct record *arrival) {
    for (size_t m = 0; m < arrived; m++)
        put_record(d, c, m < gone ? index[m] : owned + m - gone, &arrival[m]);
    for (size_t m = gone; m > arrived; m--) {
        const struct record last = record_of(d, c, --owned);
        if (index[m - 1] != owned)
            put_record(d, c, index[m - 1], &last);
    }
    return arrived > gone ? owned + arrived - gone : owned;
}

static enum status move_to_owners(struct particles *p, const struct domain *domain, struct comm *comm) {
    enum status status = STATUS_OK;
    struct columns before = {0}, after = {0};
    struct record *leavers = NULL;
    void *arrivals = NULL;
    uint32_t *index = NULL;
    size_t ranks = (size_t)domain->ranks, gone = 0, arrived = 0;
    size_t *numbers = calloc(2 * ranks, sizeof *numbers);
    if (!numbers)
        status = FAIL(STATUS_FAILURE, "out of memory while moving particles");
    if (status == STATUS_OK)
        status = columns_create(p->d, p->owned, &before);
    if (status == STATUS_OK) {
        columns_from(p, &before);
        status = find_leavers(domain, p->owned, &before, &index, &gone, numbers, &leavers);
    }
    TRY(comm_agree(comm, status));
    TRY(comm_exchange(comm, sizeof *leavers, numbers, leavers, numbers + ranks, &arrivals));
    for (size_t r = 0; r < ranks; r++)
        arrived += numbers[ranks + r];
    if (gone + arrived > 0)
        status = particles_reserve(p, p->owned + arrived);
    if (status == STATUS_OK && arrived > gone) { /* room for more */
        status = columns_create(p->d, p->owned + arrived, &after);
        if (status == STATUS_OK)
            columns_from(p, &after);
    }
    TRY(comm_agree(comm, status));
    struct columns *columns = after.memory ? &after : &before;
    if (gone + arrived > 0)
        columns_to(p, fill_places(p->d, columns, p->owned, gone, index, arrived, arrivals), columns);
out:
    free(numbers);
    free(before.memory);
    free(after.memory);
    free(index);
    free(leavers);
    free(arrivals);
    return status;
}

enum status particles_migrate(struct particles *p, const struct domain *domain, struct comm *comm,
                              double cell) {
    enum status status = STATUS_OK;
    p->ghosts = 0;
    if (domain->ranks > 1)
        TRY(move_to_owners(p, domain, comm));
    if (cell > 0)
        TRY(comm_agree(comm, sort_owned(p, &domain->box, cell)));
out:
    return status;
}
