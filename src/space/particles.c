/* Storage and migration. Particles that go to other ranks, once per neighbour list and few of them, are staged through
 * host memory as records; all others never leave the device. */
#include "space/particles.h"

#include <math.h>
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
    p->ops->release(p->ops, p->chosen);
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
    TRY(enlarge(p->ops, (void **)&p->chosen, 0, room * sizeof *p->chosen));
    for (int a = 0; a < p->d; a++) {
        TRY(enlarge(p->ops, (void **)&p->q[a], held * sizeof *p->q[a], room * sizeof *p->q[a]));
        TRY(enlarge(p->ops, (void **)&p->image[a], held * sizeof *p->image[a], room * sizeof *p->image[a]));
        TRY(enlarge(p->ops, (void **)&p->g[a], held * sizeof *p->g[a], room * sizeof *p->g[a]));
    }
    p->capacity = room;
out:
    return status;
}

double particles_bytes(int d, double capacity, double held, double *room) {
    const double first = 1.25 * fmax(capacity, 1);
    *room = held > first ? 1.25 * held : first;
    return *room * (2 * sizeof(uint32_t) + d * (sizeof(uint64_t) + sizeof(int32_t) + sizeof(double)));
}

struct record {
    uint64_t q[MAX_DIMENSION];
    double g[MAX_DIMENSION];
    int32_t image[MAX_DIMENSION];
    uint32_t id;
};

/* Host copies of some particles' arrays, one after the other as ops->fetch has them. */
struct columns {
    uint64_t *q[MAX_DIMENSION];
    double *g[MAX_DIMENSION];
    int32_t *image[MAX_DIMENSION];
    uint32_t *id;
    void *memory;
};

static enum status columns_create(int d, size_t n, struct columns *out) {
    const size_t axes = (size_t)d;
    const size_t each = axes * (sizeof(uint64_t) + sizeof(double) + sizeof(int32_t)) + sizeof(uint32_t);
    char *at = malloc((n + 1) * each);
    *out = (struct columns){.memory = at};
    if (!at)
        return FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", n);
    for (size_t a = 0; a < axes; a++, at += n * sizeof(uint64_t))
        out->q[a] = (uint64_t *)at;
    for (size_t a = 0; a < axes; a++, at += n * sizeof(double))
        out->g[a] = (double *)at;
    for (size_t a = 0; a < axes; a++, at += n * sizeof(int32_t))
        out->image[a] = (int32_t *)at;
    out->id = (uint32_t *)at;
    return STATUS_OK;
}

/* The arrays of the particles themselves, in that order; returns how many. */
static int list_columns(const struct particles *p, struct moved_column column[MOVED_COLUMNS]) {
    int count = 0;
    for (int a = 0; a < p->d; a++)
        column[count++] = (struct moved_column){p->q[a], sizeof *p->q[a]};
    for (int a = 0; a < p->d; a++)
        column[count++] = (struct moved_column){p->g[a], sizeof *p->g[a]};
    for (int a = 0; a < p->d; a++)
        column[count++] = (struct moved_column){p->image[a], sizeof *p->image[a]};
    column[count++] = (struct moved_column){p->id, sizeof *p->id};
    return count;
}

/* Columns of the particles whose numbers are the first n of p->chosen; out->memory is to be freed. */
static enum status fetch_columns(const struct particles *p, size_t n, struct columns *out) {
    struct moved_column column[MOVED_COLUMNS];
    const int count = list_columns(p, column);
    enum status status = columns_create(p->d, n, out);
    if (status == STATUS_OK)
        p->ops->fetch(p->ops, count, column, n, p->chosen, out->memory);
    return status;
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

/* The owned particles in order of cells in space. Not collective. */
static enum status sort_owned(struct particles *p, const struct box *box, double cell) {
    const struct ops *ops = p->ops;
    struct moved_column column[MOVED_COLUMNS];
    void *room = NULL;
    enum status status = ops->allocate(ops, p->owned * ORDER_SCRATCH, &room);
    if (status != STATUS_OK)
        return status;
    ops->order_in_space(ops, box, cell, p->owned, p->id, p->q, p->chosen, room);
    const int count = list_columns(p, column);
    for (int c = 0; c < count; c++) {
        (column[c].bytes == 8 ? ops->gather8 : ops->gather4)(ops, p->owned, p->chosen, column[c].at, room);
        ops->copy(ops, column[c].at, room, p->owned * column[c].bytes);
    }
    ops->release(ops, room);
    return STATUS_OK;
}

/* ---- to new owners: columns stay as they are but for those who go and come ---- */

/* Those who go: their numbers, ascending, and their records in order of the rank they go to. */
struct leavers {
    size_t count;
    uint32_t *index;
    struct record *record;
};

/* Fills out, whose arrays are to be freed, and adds to send_count of the ranks they go to. */
static enum status find_leavers(const struct particles *p, const struct domain *domain, size_t *send_count,
                                struct leavers *out) {
    enum status status = STATUS_OK;
    const struct region inside = domain_inside(domain);
    struct columns c = {0};
    const size_t count = out->count = p->ops->outside(p->ops, p->d, p->owned, p->q, &inside, p->chosen);
    size_t *at = calloc((size_t)domain->ranks + 1, sizeof *at);
    int *owner = malloc((count + 1) * sizeof *owner);
    out->index = malloc((count + 1) * sizeof *out->index);
    out->record = malloc((count + 1) * sizeof *out->record);
    if (!at || !owner || !out->index || !out->record)
        status = FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", count);
    TRY(status);
    p->ops->to_host(p->ops, out->index, p->chosen, count * sizeof *out->index);
    TRY(fetch_columns(p, count, &c));
    for (size_t m = 0; m < count; m++) {
        const struct record r = record_of(p->d, &c, m);
        owner[m] = domain_owner(domain, r.id, r.q);
        send_count[owner[m]]++;
    }
    for (int r = 0; r < domain->ranks; r++)
        at[r + 1] = at[r] + send_count[r];
    for (size_t m = 0; m < count; m++)
        out->record[at[owner[m]]++] = record_of(p->d, &c, m);
out:
    free(at);
    free(owner);
    free(c.memory);
    return status;
}

/* Where particles go: arrivals into the places of leavers, then to the end; the last of those that stay (last, `moves`
 * of them) into the places that are left. place: of all these, one after the other. (leavers and arrivals) each. */
struct places {
    size_t moves;
    uint32_t *place, *last;
};

static enum status find_places(size_t owned, const struct leavers *gone, size_t arrived, struct places *out) {
    const size_t left = gone->count > arrived ? owned - (gone->count - arrived) : owned;
    uint32_t *content = malloc((owned - left + 1) * sizeof *content); /* of the places beyond those left */
    out->place = malloc((gone->count + arrived + 1) * sizeof *out->place);
    out->last = malloc((gone->count + 1) * sizeof *out->last);
    out->moves = 0;
    if (!content || !out->place || !out->last) {
        free(content);
        return FAIL(STATUS_FAILURE, "out of memory while moving %zu particles", gone->count + arrived);
    }
    for (size_t m = 0; m < arrived; m++)
        out->place[m] = m < gone->count ? gone->index[m] : (uint32_t)(owned + m - gone->count);
    for (size_t i = left; i < owned; i++)
        content[i - left] = (uint32_t)i;
    for (size_t m = gone->count, last = owned; m > arrived; m--) {
        const uint32_t empty = gone->index[m - 1], moved = content[--last - left];
        if (empty >= left) {
            content[empty - left] = moved;
        } else {
            out->place[arrived + out->moves] = empty;
            out->last[out->moves++] = moved;
        }
    }
    free(content);
    return STATUS_OK;
}

/* Arrivals, and the last particles for the places that are left, into their places. */
static enum status fill_places(struct particles *p, const struct places *places, size_t arrived,
                               const struct record *arrival) {
    enum status status = STATUS_OK;
    const struct ops *ops = p->ops;
    const size_t filled = arrived + places->moves;
    struct moved_column column[MOVED_COLUMNS];
    struct columns moved = {0}, all = {0};
    ops->to_device(ops, p->chosen, places->last, places->moves * sizeof *p->chosen);
    TRY(fetch_columns(p, places->moves, &moved));
    TRY(columns_create(p->d, filled, &all));
    for (size_t m = 0; m < filled; m++) {
        const struct record r = m < arrived ? arrival[m] : record_of(p->d, &moved, m - arrived);
        put_record(p->d, &all, m, &r);
    }
    ops->to_device(ops, p->chosen, places->place, filled * sizeof *p->chosen);
    const int count = list_columns(p, column);
    ops->store(ops, count, column, filled, p->chosen, all.memory);
out:
    free(moved.memory);
    free(all.memory);
    return status;
}

static enum status move_to_owners(struct particles *p, const struct domain *domain, struct comm *comm) {
    enum status status = STATUS_OK;
    struct leavers gone = {0};
    struct places places = {0};
    void *arrivals = NULL;
    size_t ranks = (size_t)domain->ranks, arrived = 0;
    size_t *numbers = calloc(2 * ranks, sizeof *numbers);
    if (numbers)
        status = find_leavers(p, domain, numbers, &gone);
    else
        status = FAIL(STATUS_FAILURE, "out of memory while moving particles");
    TRY(comm_agree(comm, status));
    TRY(comm_exchange(comm, sizeof *gone.record, numbers, gone.record, numbers + ranks, &arrivals));
    for (size_t r = 0; r < ranks; r++)
        arrived += numbers[ranks + r];
    if (arrived > gone.count) /* others take the places of those who go */
        status = particles_reserve(p, p->owned + arrived - gone.count);
    if (status == STATUS_OK)
        status = find_places(p->owned, &gone, arrived, &places);
    if (status == STATUS_OK && gone.count + arrived > 0)
        status = fill_places(p, &places, arrived, arrivals);
    TRY(comm_agree(comm, status));
    p->owned = p->owned + arrived - gone.count;
out:
    free(numbers);
    free(gone.index);
    free(gone.record);
    free(places.place);
    free(places.last);
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
