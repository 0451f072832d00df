#include "learn/dataset.h"

#include <math.h>
#include <stdlib.h>

struct id_pair {
    uint32_t id, local;
};

static int compare_pairs(const void *a, const void *b) {
    const struct id_pair *p = a, *q = b;
    return (p->id > q->id) - (p->id < q->id);
}

/* Tables from id to local number. */
static enum status index_ids(struct frame *f) {
    size_t n = f->particles->owned;
    struct id_pair *pair = malloc((n + 1) * sizeof *pair);
    uint32_t *id = malloc((n + 1) * sizeof *id);
    f->sorted_id = malloc((n + 1) * sizeof *f->sorted_id);
    f->sorted_local = malloc((n + 1) * sizeof *f->sorted_local);
    bool good = pair && id && f->sorted_id && f->sorted_local;
    if (good) {
        f->ops->to_host(f->ops, id, f->particles->id, n * sizeof *id);
        for (size_t i = 0; i < n; i++)
            pair[i] = (struct id_pair){id[i], (uint32_t)i};
        qsort(pair, n, sizeof *pair, compare_pairs);
        for (size_t i = 0; i < n; i++) {
            f->sorted_id[i] = pair[i].id;
            f->sorted_local[i] = pair[i].local;
        }
    }
    free(pair);
    free(id);
    return good ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for a frame of %zu particles", n);
}

/* Positions of the owned particles replaced by their sites; *farthest: how far the farthest is from its own. old (d,
 * owned) receives the positions, host. */
static void move_to_sites(struct frame *f, const struct box *box, uint64_t *old, double *farthest) {
    struct particles *p = f->particles;
    const size_t n = p->owned;
    uint64_t *site = old + n * (size_t)box->d;
    uint32_t *id = (uint32_t *)(void *)(site + n);
    f->ops->to_host(f->ops, id, p->id, n * sizeof *id);
    *farthest = 0;
    for (int a = 0; a < box->d; a++) {
        f->ops->to_host(f->ops, old + (size_t)a * n, p->q[a], n * sizeof *old);
        for (size_t i = 0; i < n; i++) {
            uint64_t of[MAX_DIMENSION];
            lattice_site(&f->lattice, id[i], of);
            site[i] = of[a];
            *farthest = fmax(*farthest, fabs((double)(int64_t)(old[(size_t)a * n + i] - of[a])) *
                                            (box->side[a] * 0x1p-64));
        }
        f->ops->to_device(f->ops, p->q[a], site, n * sizeof *site);
    }
    *farthest *= sqrt(box->d);
}

/* A neighbouring site: its vector from the own one, in steps of 1e-6 radii so that vectors of a lattice are equal. */
struct site_neighbour {
    double square;
    int64_t vector[MAX_DIMENSION];
    uint32_t local;
};

static int compare_sites(const void *a, const void *b) {
    const struct site_neighbour *p = a, *q = b;
    const double slack = 1e-6 * (p->square + q->square);
    if (fabs(p->square - q->square) > slack)
        return p->square > q->square ? 1 : -1;
    for (int c = 0; c < MAX_DIMENSION; c++)
        if (llabs(p->vector[c] - q->vector[c]) > 2)
            return p->vector[c] > q->vector[c] ? 1 : -1;
    return 0;
}

/* Of the `found` nearest sites of every owned particle the first k by distance and, where they tie, by vector: the same
 * vectors in the same order for all, on any number of ranks. */
static enum status order_sites(struct frame *f, int found) {
    const struct particles *p = f->particles;
    const struct box *box = &f->domain->box;
    const size_t n = p->owned + p->ghosts, all = (size_t)found, k = (size_t)f->k;
    uint32_t *id = malloc((n + p->owned * all + 1) * sizeof *id), *near = id ? id + n : NULL;
    struct site_neighbour *list = malloc(all * sizeof *list);
    enum status status = STATUS_OK;
    if (!id || !list) {
        free(id);
        free(list);
        return FAIL(STATUS_FAILURE, "out of memory for a frame of %zu particles", n);
    }
    f->ops->to_host(f->ops, id, p->id, n * sizeof *id);
    f->ops->to_host(f->ops, near, f->nearest, p->owned * all * sizeof *near);
    for (size_t i = 0; i < p->owned; i++) {
        uint64_t own[MAX_DIMENSION], other[MAX_DIMENSION];
        lattice_site(&f->lattice, id[i], own);
        for (size_t m = 0; m < all; m++) {
            list[m] = (struct site_neighbour){.local = near[i * all + m]};
            if (list[m].local >= n) { /* fewer than that: told when it is used */
                list[m].square = INFINITY;
                continue;
            }
            lattice_site(&f->lattice, id[list[m].local], other);
            for (int a = 0; a < box->d; a++) {
                const double away = (double)(int64_t)(own[a] - other[a]) * (box->side[a] * 0x1p-64);
                list[m].square += away * away;
                list[m].vector[a] = llrint(away * 1e6);
            }
        }
        qsort(list, all, sizeof *list, compare_sites);
        for (size_t m = 0; m < k; m++)
            near[i * k + m] = list[m].local;
    }
    f->ops->to_device(f->ops, f->nearest, near, p->owned * k * sizeof *near);
    free(id);
    free(list);
    return status;
}

/* nearest_build on the sites. A site may lie outside its owner's box, by as much as its particle is away from it. */
static enum status nearest_sites(struct frame *f, struct comm *comm, double least, double margin) {
    enum status status = STATUS_OK;
    enum { TIES = 24 }; /* more sites than can tie at one distance */
    struct particles *p = f->particles;
    const size_t n = p->owned, d = (size_t)p->d;
    const int most = (int)(f->n / (f->domain->box.groups > 0 ? f->domain->box.groups : 1)) - 1;
    const int found = f->k + TIES < most ? f->k + TIES : most;
    double farthest = 0;
    uint64_t *old = malloc((n * (d + 2) + 1) * sizeof *old);
    TRY(comm_agree(comm,
                   old ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for a frame of %zu particles", n)));
    move_to_sites(f, &f->domain->box, old, &farthest);
    comm_max(comm, &farthest, 1);
    TRY(nearest_build(p, f->domain, comm, f->n, found, least > 0 ? least + 2 * farthest : 0,
                      margin + 2 * farthest, &f->halo, &f->nearest));
    TRY(comm_agree(comm, order_sites(f, found)));
    for (size_t a = 0; a < d; a++)
        f->ops->to_device(f->ops, p->q[a], old + a * n, n * sizeof *old);
    halo_positions(f->halo, p);
out:
    free(old);
    return status;
}

/* Owned particles of a graph come in the order of cells of this side: about as far as a pair reaches. */
static const double NEAR = 3;

enum status frame_create(const struct ops *ops, struct comm *comm, const struct box *box,
                         const struct slice *slice, const struct lattice *lattice, bool by_site, int k,
                         double least, double margin, struct frame **out) {
    enum status status = STATUS_OK;
    struct frame *f = calloc(1, sizeof *f);
    *out = f;
    if (f) {
        *f = (struct frame){.ops = ops, .n = slice->n, .k = k, .by_site = by_site};
        f->lattice = lattice ? *lattice : (struct lattice){0};
        status = domain_create(box, comm, &f->domain);
        if (status == STATUS_OK)
            status = particles_create(ops, box->d, slice->count, &f->particles);
    } else {
        status = FAIL(STATUS_FAILURE, "out of memory for a frame");
    }
    TRY(comm_agree(comm, status));
    const double cell = k == 0 ? fmin(least, NEAR) : least > 0 ? least : 1;
    TRY(particles_from_slice(f->particles, f->domain, comm, slice, cell));
    if (k == 0)
        TRY(halo_create(f->particles, f->domain, comm, least + margin, &f->halo));
    else if (by_site)
        TRY(nearest_sites(f, comm, least, margin));
    else
        TRY(nearest_build(f->particles, f->domain, comm, slice->n, k, least, margin, &f->halo, &f->nearest));
    comm_fail(comm, ops->synchronise(ops));
    TRY(comm_agree(comm, index_ids(f)));
out:
    if (status != STATUS_OK)
        frame_destroy(out);
    return status;
}

void frame_memory(const struct domain *domain, double particles, double owned, int k, double width,
                  const struct response_parameters *p, const struct system_parameters *s, double *ghosts,
                  struct graph *sizes, struct memory_plan *plan) {
    const int d = domain->box.d;
    const double reach = p ? fmax(width, graph_reach(p, s)) : width;
    double room;
    *ghosts = halo_ghosts(domain, particles, reach);
    const double state = particles_bytes(d, owned, owned + *ghosts, &room);
    plan->bytes[MEMORY_STATE] +=
        state * (1 - *ghosts / room) + 2 * owned * sizeof(uint32_t); /* and index_ids */
    plan->bytes[MEMORY_GHOSTS] += state * *ghosts / room + halo_bytes(d, false, *ghosts);
    plan->bytes[MEMORY_LISTS] += owned * k * sizeof(uint32_t);
    if (p)
        graph_expect(domain, particles, owned, p, s, sizes);
    if (p)
        plan->bytes[MEMORY_LISTS] += graph_bytes(sizes);
}

enum status frame_push(struct frame *f, struct comm *comm, const struct force_law *law, double v0) {
    enum status status = STATUS_OK;
    const struct particles *p = f->particles;
    const size_t d = (size_t)p->d, n = p->owned + p->ghosts;
    double *force = malloc((p->owned * (d + 1) + n + 1) * sizeof *force), *column = NULL;
    if (!force)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    if (status == STATUS_OK)
        status = law->compute(law->context, p, &f->domain->box, force, force + p->owned * d);
    for (size_t a = 0; status == STATUS_OK && a < d; a++)
        status = f->ops->allocate(f->ops, n * sizeof *f->push[a], (void **)&f->push[a]);
    TRY(comm_agree(comm, status));
    column = force + p->owned * (d + 1);
    for (size_t a = 0; a < d; a++) {
        for (size_t i = 0; i < p->owned; i++)
            column[i] = force[i * d + a] / v0;
        f->ops->to_device(f->ops, f->push[a], column, p->owned * sizeof *column);
        TRY(halo_values(f->halo, p, f->push[a]));
    }
out:
    free(force);
    return status;
}

enum status frame_divergence(struct frame *f, struct comm *comm, const struct force_law *law) {
    const struct particles *p = f->particles;
    double *force = malloc((p->owned * (size_t)p->d + 1) * sizeof *force);
    enum status status = STATUS_OK;
    f->divergence = malloc((p->owned + 1) * sizeof *f->divergence);
    if (!force || !f->divergence)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    if (status == STATUS_OK)
        status = law->compute(law->context, p, &f->domain->box, force, f->divergence);
    free(force);
    return comm_agree(comm, status);
}

enum status frame_graph(struct frame *f, struct comm *comm, const struct response_parameters *p,
                        const struct system_parameters *s) {
    return comm_agree(comm, graph_create(f->particles, f->domain, p, s, &f->graph));
}

void frame_destroy(struct frame **frame) {
    struct frame *f = *frame;
    if (!f)
        return;
    f->ops->release(f->ops, f->nearest);
    graph_destroy(&f->graph);
    halo_destroy(&f->halo);
    particles_destroy(&f->particles);
    domain_destroy(&f->domain);
    free(f->sorted_id);
    free(f->sorted_local);
    for (int a = 0; a < MAX_DIMENSION; a++)
        f->ops->release(f->ops, f->push[a]);
    free(f->rate);
    free(f->divergence);
    free(f);
    *frame = NULL;
}

int64_t frame_find(const struct frame *f, uint32_t id) {
    size_t low = 0, high = f->particles->owned;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (f->sorted_id[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < f->particles->owned && f->sorted_id[low] == id ? (int64_t)f->sorted_local[low] : -1;
}

struct score_input frame_windows(const struct frame *f, size_t count, const uint32_t *centre,
                                 const uint32_t *neighbour) {
    return (struct score_input){.box = &f->domain->box,
                                .q = f->particles->q,
                                .g = f->particles->g,
                                .particles = f->particles->owned + f->particles->ghosts,
                                .id = f->particles->id,
                                .push = f->push[0] ? f->push : NULL,
                                .graph = f->graph,
                                .anchor = &f->lattice,
                                .count = count,
                                .centre = centre,
                                .neighbour = neighbour};
}

void dataset_free(struct dataset *dataset) {
    for (int p = 0; p < dataset->parts; p++) {
        for (int t = 0; t < dataset->part[p].frames; t++)
            frame_destroy(&dataset->part[p].frame[t]);
        free(dataset->part[p].frame);
    }
    free(dataset->part);
    *dataset = (struct dataset){0};
}

struct frame *dataset_choose(const struct dataset *dataset, uint64_t seed, uint64_t number) {
    uint32_t word[4];
    double total = 0;
    rng_words(seed, STREAM_BATCH, 0, number, 1, word);
    for (int p = 0; p < dataset->parts; p++)
        total += dataset->part[p].weight;
    double at = rng_uniform(word[0]) * total;
    int p = 0;
    while (p + 1 < dataset->parts && at >= dataset->part[p].weight)
        at -= dataset->part[p++].weight;
    const struct dataset_part *part = &dataset->part[p];
    return part->frame[(int)(rng_uniform(word[1]) * part->frames)];
}
