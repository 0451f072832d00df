#include "learn/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How far from a rank's box velocities are needed; sweeps move nodes as far as swept_reach. */
static double swept_reach(const struct response_parameters *p) {
    return p->layers * p->edge_radius + p->sweep_reach;
}
static double moving_reach(const struct response_parameters *p) {
    const double shots = (p->layers + 1) * p->edge_radius;
    return p->sweeps == RESPONSE_SWEEPS_ON ? fmax(shots, swept_reach(p) + p->sweep_radius) : shots;
}

double graph_reach(const struct response_parameters *p, const struct system_parameters *s) {
    return fmax(moving_reach(p) + config_response_cutoff(p, s),
                p->layers * p->edge_radius + p->density_radius);
}

static struct response_law law_of(const struct response_parameters *p, const struct system_parameters *s) {
    struct response_law law = {.d = s->dimension,
                               .v0 = s->v0,
                               .k = s->k,
                               .beta = s->beta,
                               .gamma = s->gamma,
                               .shots = p->shots,
                               .constants = p->constants};
    memcpy(law.shot, p->shot, (size_t)p->shots * sizeof *p->shot);
    return law;
}

static enum status check_box(const struct box *box, const struct response_parameters *p,
                             const struct system_parameters *s) {
    const double radius = config_response_radius(p, s);
    for (int a = 0; a < box->d; a++)
        if (box->side[a] < 2 * radius)
            return FAIL(
                STATUS_BAD_INPUT,
                "the box's side of %.4g is too small for network.kind = response, which looks %.4g far: it "
                "must be at least twice that",
                box->side[a], radius);
    return STATUS_OK;
}

/* ---- nodes ---- */

struct ranked {
    double distance;
    uint32_t local;
};

static int by_distance(const void *a, const void *b) {
    const struct ranked *x = a, *y = b;
    if (x->distance != y->distance)
        return x->distance < y->distance ? -1 : 1;
    return x->local < y->local ? -1 : 1;
}

/* Ghosts by their distance; host arrays. */
static enum status rank_ghosts(const struct particles *p, const struct domain *domain,
                               struct ranked *ranked) {
    const size_t ghosts = p->ghosts, n = p->owned + ghosts;
    uint64_t *q = malloc((n * (size_t)p->d + 1) * sizeof *q);
    if (!q)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    for (int a = 0; a < p->d; a++)
        p->ops->to_host(p->ops, q + (size_t)a * n, p->q[a], n * sizeof *q);
    for (size_t m = 0; m < ghosts; m++) {
        uint64_t at[MAX_DIMENSION];
        for (int a = 0; a < p->d; a++)
            at[a] = q[(size_t)a * n + p->owned + m];
        ranked[m] = (struct ranked){domain_distance(domain, domain->rank, at), (uint32_t)(p->owned + m)};
    }
    qsort(ranked, ghosts, sizeof *ranked, by_distance);
    free(q);
    return STATUS_OK;
}

/* Owned nodes and ghosts closer than radius. */
static size_t count_within(const struct particles *p, const struct ranked *ranked, double radius) {
    size_t count = 0;
    while (count < p->ghosts && ranked[count].distance < radius * (1 + 1e-9))
        count++;
    return p->owned + count;
}

static enum status number_nodes(const struct particles *p, const struct domain *domain,
                                const struct response_parameters *r, struct graph *g) {
    enum status status = STATUS_OK;
    g->nodes = p->owned + p->ghosts;
    uint32_t *local = malloc((g->nodes + 1) * sizeof *local);
    struct ranked *ranked = malloc((p->ghosts + 1) * sizeof *ranked);
    if (!local || !ranked) {
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", g->nodes);
        goto out;
    }
    TRY(rank_ghosts(p, domain, ranked));
    for (size_t i = 0; i < g->nodes; i++)
        local[i] = i < p->owned ? (uint32_t)i : ranked[i - p->owned].local;
    g->level[0] = p->owned;
    for (int k = 1; k <= g->layers; k++)
        g->level[k] = count_within(p, ranked, k * r->edge_radius);
    g->moving = count_within(p, ranked, moving_reach(r));
    g->swept = r->sweeps == RESPONSE_SWEEPS_ON ? count_within(p, ranked, swept_reach(r)) : 0;
    TRY(g->ops->allocate(g->ops, (g->nodes + 1) * sizeof *g->local, (void **)&g->local));
    g->ops->to_device(g->ops, g->local, local, g->nodes * sizeof *local);
out:
    free(local);
    free(ranked);
    return status;
}

/* The particles in order of nodes, all of them `owned`: what lists are made of. */
static enum status arrange(const struct particles *p, const struct graph *g, struct particles *out) {
    enum status status = STATUS_OK;
    const struct ops *ops = g->ops;
    *out = (struct particles){.ops = ops, .d = p->d, .owned = g->nodes, .capacity = g->nodes};
    TRY(ops->allocate(ops, (g->nodes + 1) * sizeof *out->id, (void **)&out->id));
    ops->gather4(ops, g->nodes, g->local, p->id, out->id);
    for (int a = 0; a < p->d; a++) {
        TRY(ops->allocate(ops, (g->nodes + 1) * sizeof(uint64_t), (void **)&out->q[a]));
        ops->gather8(ops, g->nodes, g->local, p->q[a], out->q[a]);
    }
out:
    return status;
}

static void disperse(struct particles *p) {
    p->ops->release(p->ops, p->id);
    for (int a = 0; a < p->d; a++)
        p->ops->release(p->ops, p->q[a]);
}

/* ---- what they carry ---- */

/* F/v0 of the nodes whose velocity is needed. */
static enum status add_push(struct graph *g, const struct particles *nodes, const struct box *box,
                            double cutoff) {
    enum status status = STATUS_OK;
    const struct ops *ops = g->ops;
    const struct pair_law law = {.beta = g->law.beta, .cutoff = cutoff, .kind = PAIRS_SOFTPLUS};
    const size_t moving = g->moving;
    struct pair_list list = {0};
    double *force[MAX_DIMENSION] = {NULL}, *divergence = NULL, *host = malloc((moving + 1) * sizeof *host);
    if (!host) {
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", moving);
        goto out;
    }
    TRY(pairs_build(nodes, box, cutoff, &list));
    TRY(ops->allocate(ops, (g->nodes + 1) * sizeof *divergence, (void **)&divergence));
    for (int a = 0; a < box->d; a++)
        TRY(ops->allocate(ops, (g->nodes + 1) * sizeof(double), (void **)&force[a]));
    ops->pair_terms(ops, box, &law, g->law.k, g->nodes, g->nodes, nodes->id, nodes->q, &list, force,
                    divergence);
    for (int a = 0; a < box->d; a++) {
        TRY(ops->allocate(ops, (moving + 1) * sizeof(double), (void **)&g->push[a]));
        ops->to_host(ops, host, force[a], moving * sizeof *host);
        for (size_t i = 0; i < moving; i++)
            host[i] /= g->law.v0;
        ops->to_device(ops, g->push[a], host, moving * sizeof *host);
    }
out:
    for (int a = 0; a < box->d; a++)
        ops->release(ops, force[a]);
    ops->release(ops, divergence);
    pairs_release(ops, &list);
    free(host);
    return status;
}

/* Directed pairs closer than radius of the first `receivers` nodes; *list is to be released. */
static enum status list_pairs(const struct ops *ops, const struct particles *nodes, const struct box *box,
                              size_t receivers, double radius, struct pair_list *list) {
    enum status status = STATUS_OK;
    struct cell_grid *grid = NULL;
    TRY(ops->allocate(ops, (receivers + 1) * sizeof *list->start, (void **)&list->start));
    TRY(cells_create(nodes, box, radius, &grid));
    const size_t count = ops->edge_list(ops, box, grid, receivers, nodes->owned, nodes->q, radius, list);
    if (count > UINT32_MAX) {
        status = FAIL(STATUS_FAILURE, "%zu pairs of neighbours on one rank: use more ranks", count);
        goto out;
    }
    TRY(ops->allocate(ops, (count + 1) * sizeof *list->neighbour, (void **)&list->neighbour));
    list->capacity = count;
    ops->edge_list(ops, box, grid, receivers, nodes->owned, nodes->q, radius, list);
out:
    cells_destroy(ops, &grid);
    return status;
}

static enum status add_contacts(struct graph *g, const struct particles *nodes, const struct box *box,
                                double radius) {
    enum status status = STATUS_OK;
    const struct ops *ops = g->ops;
    struct pair_list list = {0};
    struct contacts *c = &g->contacts;
    TRY(list_pairs(ops, nodes, box, g->swept, radius, &list));
    *c = (struct contacts){
        .receivers = g->swept, .count = list.capacity, .start = list.start, .sender = list.neighbour};
    list = (struct pair_list){0};
    TRY(ops->allocate(ops, (c->count + 1) * sizeof *c->receiver, (void **)&c->receiver));
    TRY(ops->allocate(ops, (c->count * (size_t)g->law.d + 1) * sizeof(real), (void **)&c->x));
    ops->contact_vectors(ops, box, nodes->q, c);
out:
    pairs_release(ops, &list);
    return status;
}

static enum status allocate_edges(struct graph *g, struct pair_list *list, size_t count) {
    enum status status = STATUS_OK;
    const struct ops *ops = g->ops;
    struct edges *e = &g->edges;
    const size_t receivers = g->level[g->layers];
    *e = (struct edges){.receivers = receivers,
                        .count = count,
                        .start = list->start,
                        .sender = list->neighbour,
                        .senders = g->nodes};
    *list = (struct pair_list){0};
    real **const numbers[] = {&e->r, &e->kn, &e->kt, &e->window};
    for (size_t m = 0; m < sizeof numbers / sizeof *numbers; m++)
        TRY(ops->allocate(ops, (count + 1) * sizeof(real), (void **)numbers[m]));
    TRY(ops->allocate(ops, (count + 1) * sizeof *e->receiver, (void **)&e->receiver));
    TRY(ops->allocate(ops, (count * (size_t)g->law.d + 1) * sizeof(real), (void **)&e->normal));
    TRY(ops->allocate(ops, (receivers + 1) * sizeof(real), (void **)&g->stiffness));
    TRY(ops->allocate(ops, (receivers + 1) * sizeof(real), (void **)&g->kappa));
    if (ops->edges_by_sender) {
        TRY(ops->allocate(ops, (e->senders + 1) * sizeof *e->back_start, (void **)&e->back_start));
        TRY(ops->allocate(ops, (count + 1) * sizeof *e->back_edge, (void **)&e->back_edge));
    }
out:
    return status;
}

static enum status add_edges(struct graph *g, const struct particles *nodes, const struct box *box,
                             double radius) {
    enum status status = STATUS_OK;
    const struct ops *ops = g->ops;
    const size_t receivers = g->level[g->layers];
    struct pair_list list = {0};
    TRY(list_pairs(ops, nodes, box, receivers, radius, &list));
    TRY(allocate_edges(g, &list, list.capacity));
    ops->edge_terms(ops, box, &g->law, nodes->q, &g->edges, g->stiffness, g->kappa);
    if (ops->edges_by_sender)
        ops->edges_by_sender(ops, &g->edges);
    g->start_host = malloc((receivers + 1) * sizeof *g->start_host);
    if (!g->start_host)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", receivers);
    else
        ops->to_host(ops, g->start_host, g->edges.start, (receivers + 1) * sizeof *g->start_host);
out:
    pairs_release(ops, &list);
    return status;
}

/* phi_i: as many as are within the radius, itself included, over radius^d. */
static enum status add_packing(struct graph *g, const struct particles *nodes, const struct box *box,
                               double radius) {
    enum status status = STATUS_OK;
    const struct ops *ops = g->ops;
    const size_t receivers = g->level[g->layers];
    struct cell_grid *grid = NULL;
    struct pair_list list = {0};
    uint32_t *start = malloc((receivers + 1) * sizeof *start);
    real *phi = malloc((receivers + 1) * sizeof *phi);
    if (!start || !phi) {
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", receivers);
        goto out;
    }
    TRY(ops->allocate(ops, (receivers + 1) * sizeof *list.start, (void **)&list.start));
    TRY(ops->allocate(ops, (receivers + 1) * sizeof *g->phi, (void **)&g->phi));
    TRY(cells_create(nodes, box, radius, &grid));
    ops->edge_list(ops, box, grid, receivers, g->nodes, nodes->q, radius, &list);
    ops->to_host(ops, start, list.start, (receivers + 1) * sizeof *start);
    for (size_t i = 0; i < receivers; i++)
        phi[i] = (real)((1 + start[i + 1] - start[i]) / pow(radius, box->d));
    ops->to_device(ops, g->phi, phi, receivers * sizeof *phi);
out:
    cells_destroy(ops, &grid);
    pairs_release(ops, &list);
    free(start);
    free(phi);
    return status;
}

enum status graph_create(const struct particles *particles, const struct domain *domain,
                         const struct response_parameters *p, const struct system_parameters *s,
                         struct graph **out) {
    enum status status = STATUS_OK;
    const struct box *box = &domain->box;
    struct particles nodes = {.ops = particles->ops};
    struct graph *g = calloc(1, sizeof *g);
    *out = g;
    if (!g)
        return FAIL(STATUS_FAILURE, "out of memory for a graph");
    *g = (struct graph){.ops = particles->ops, .law = law_of(p, s), .layers = p->layers};
    TRY(check_box(box, p, s));
    TRY(number_nodes(particles, domain, p, g));
    TRY(arrange(particles, g, &nodes));
    TRY(add_push(g, &nodes, box, config_response_cutoff(p, s)));
    TRY(add_edges(g, &nodes, box, p->edge_radius));
    TRY(add_packing(g, &nodes, box, p->density_radius));
    if (p->sweeps == RESPONSE_SWEEPS_ON)
        TRY(add_contacts(g, &nodes, box, p->sweep_radius));
out:
    disperse(&nodes);
    if (status != STATUS_OK)
        graph_destroy(out);
    return status;
}

void graph_expect(const struct domain *domain, double particles, double owned,
                  const struct response_parameters *p, const struct system_parameters *s, struct graph *out) {
    const struct box *box = &domain->box;
    const double sweeps = p->sweeps == RESPONSE_SWEEPS_ON ? 1 : 0;
    *out = (struct graph){.law = law_of(p, s), .layers = p->layers};
    for (int k = 0; k <= p->layers; k++)
        out->level[k] = (size_t)(owned + halo_ghosts(domain, particles, k * p->edge_radius));
    out->nodes = (size_t)(owned + halo_ghosts(domain, particles, graph_reach(p, s)));
    out->moving = (size_t)(owned + halo_ghosts(domain, particles, moving_reach(p)));
    out->swept = (size_t)(sweeps * (owned + halo_ghosts(domain, particles, swept_reach(p))));
    out->edges.count =
        (size_t)((double)out->level[p->layers] * neighbours_within(box, particles, p->edge_radius));
    out->contacts.count = (size_t)((double)out->swept * neighbours_within(box, particles, p->sweep_radius));
}

double graph_bytes(const struct graph *g) {
    const double number = sizeof(uint32_t), receivers = (double)g->level[g->layers], d = g->law.d;
    const double edge = 2 * number + (4 + d) * sizeof(real), contact = 2 * number + d * sizeof(real);
    return number * ((double)g->nodes + 2 * receivers + (double)g->swept) + 3 * receivers * sizeof(real) +
           (double)g->edges.count * edge + (double)g->contacts.count * contact +
           (double)g->moving * d * sizeof(double);
}

void graph_destroy(struct graph **graph) {
    struct graph *g = *graph;
    if (!g)
        return;
    const struct edges *e = &g->edges;
    const struct contacts *c = &g->contacts;
    void *const held[] = {g->local, e->start, e->sender, e->receiver,   e->normal,    e->r,
                          e->kn,    e->kt,    e->window, e->back_start, e->back_edge, g->stiffness,
                          g->kappa, g->phi,   c->start,  c->sender,     c->receiver,  c->x};
    for (size_t m = 0; m < sizeof held / sizeof *held; m++)
        g->ops->release(g->ops, held[m]);
    for (int a = 0; a < MAX_DIMENSION; a++)
        g->ops->release(g->ops, g->push[a]);
    free(g->start_host);
    free(g);
    *graph = NULL;
}

struct edge_range graph_range(const struct graph *g, size_t begin, size_t end, size_t edges) {
    struct edge_range range = {.begin = begin, .end = begin, .first = g->start_host[begin]};
    while (range.end < end && (range.end == begin || (g->start_host[range.end + 1] - range.first <= edges &&
                                                      range.end - begin < edges)))
        range.end++;
    range.count = g->start_host[range.end] - range.first;
    return range;
}
