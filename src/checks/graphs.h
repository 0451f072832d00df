/* Graphs for tests of the response network's ops on both tables, ranges of their edges, and derivatives by differences. */
#ifndef EPFLOW_CHECKS_GRAPHS_H
#define EPFLOW_CHECKS_GRAPHS_H

#include "checks/both.h"

/* Sums of some tens of float32 numbers in another order, and the same formulas with and without fused products: some
 * units of 6e-8 of the largest. */
#define CLOSE 2e-6

static const struct ops *table(int t) {
    return t == 0 ? both_cpu : both_cuda;
}
static inline void *in_table(const struct both *b, int t) {
    return t == 0 ? b->cpu : b->cuda;
}
#define EACH_TABLE(t) for (int t = 0; t < 2; t++)

/* One per axis. */
struct both_axes {
    struct both axis[MAX_DIMENSION];
};
struct pointers {
    void *at[MAX_DIMENSION];
};
static inline struct pointers axes_in(const struct both_axes *b, int t) {
    struct pointers p = {{NULL}};
    for (int a = 0; a < MAX_DIMENSION; a++)
        p.at[a] = in_table(&b->axis[a], t);
    return p;
}
static inline struct both_axes both_doubles(uint32_t name, int d, size_t n) {
    struct both_axes out = {0};
    double *host = malloc((n + 1) * sizeof *host);
    for (int a = 0; a < d; a++) {
        for (size_t i = 0; i < n; i++)
            host[i] = 2 * both_number(name + (uint32_t)a, i) - 1;
        out.axis[a] = both_of(host, n * sizeof *host);
    }
    free(host);
    return out;
}
static inline void axes_release(struct both_axes *b) {
    for (int a = 0; a < MAX_DIMENSION; a++)
        both_release(&b->axis[a]);
}

static inline struct response_law law_for(int d) {
    return (struct response_law){.d = d,
                                 .v0 = 0.1,
                                 .k = 1,
                                 .beta = 5,
                                 .gamma = 0.1,
                                 .shots = 3,
                                 .shot = {1.5, 4, 10},
                                 .constants = {.window_rate = 4,
                                               .window_centre = 2.5,
                                               .density_shift = 0.7,
                                               .shot_scale = 3,
                                               .shot_offset = 1,
                                               .shot_guard = 1e-2,
                                               .lg_floor = 0.1,
                                               .log_guard = 0.1,
                                               .gain = 2,
                                               .kappa_scale = 4,
                                               .kappa_shift = 1,
                                               .speed_scale = 2,
                                               .speed_shift = 1,
                                               .distance_scale = 3,
                                               .distance_shift = 2,
                                               .contact_scale = 3,
                                               .contact_shift = 2,
                                               .cross_factor = 0.3,
                                               .own_factor = 0.5,
                                               .message_factor = 0.4,
                                               .push_factor = 0.3,
                                               .across_factor = 3,
                                               .transfer = 0.5,
                                               .prior = 0.5}};
}

/* ---- graphs ---- */

/* Particles 0 ... senders - 1, the first `receivers` of which have edges from those closer than 3, except every fifth. */
struct shape {
    int d;
    size_t receivers, senders;
    double mean; /* neighbours */
};
struct edge_graph {
    struct shape shape;
    struct box box;
    struct response_law law;
    size_t count;
    uint32_t *start; /* host */
    struct both_axes q;
    struct both starts, sender, receiver, normal, number[4], stiffness, kappa, back_start, back_edge;
    struct edges edges[2];
};

static inline double separation(const struct box *box, uint64_t *const q[], size_t i, size_t j) {
    double square = 0;
    for (int a = 0; a < box->d; a++) {
        const double x = (double)(int64_t)(q[a][i] - q[a][j]) * (box->side[a] * 0x1p-64);
        square += x * x;
    }
    return sqrt(square);
}

/* Places, most of them not closer than 0.8 to each other. */
static inline void place(const struct shape *s, struct box *box, uint64_t *q[]) {
    const double volume[] = {0, 6, 28.3, 113};
    const double side = fmax(6.5, pow((double)s->senders * volume[s->d] / s->mean, 1.0 / s->d));
    *box = (struct box){.d = s->d, .periodic = true, .side = {side, side, side}};
    for (size_t i = 0, draw = 0; i < s->senders; i++)
        for (int tries = 0; tries < 40; tries++, draw++) {
            bool far = true;
            for (int a = 0; a < s->d; a++)
                q[a][i] = (uint64_t)(both_number(90 + (uint32_t)a, draw) * 0x1p63) * 2;
            for (size_t j = 0; j < i && far; j++)
                far = separation(box, q, i, j) > 0.8;
            if (far)
                break;
        }
}

static inline size_t list_edges(const struct edge_graph *g, uint64_t *const q[], uint32_t *sender) {
    size_t count = 0;
    for (size_t i = 0; i < g->shape.receivers; i++) {
        g->start[i] = (uint32_t)count;
        for (size_t j = 0; j < g->shape.senders && i % 5 != 4; j++)
            if (j != i && separation(&g->box, q, i, j) < 3) {
                if (sender)
                    sender[count] = (uint32_t)j;
                count++;
            }
    }
    g->start[g->shape.receivers] = (uint32_t)count;
    return count;
}

/* The numbers of the edges are the CPU's, in both tables. */
static inline void number_edges(struct edge_graph *g) {
    struct both *made[] = {&g->receiver,  &g->normal,    &g->number[0], &g->number[1],
                           &g->number[2], &g->number[3], &g->stiffness, &g->kappa};
    const size_t n = g->shape.receivers, d = (size_t)g->shape.d, count = g->count;
    const size_t size[] = {count, d * count, count, count, count, count, n, n};
    const struct pointers q = axes_in(&g->q, 0);
    for (int m = 0; m < 8; m++)
        *made[m] = both_zero(size[m] * 4);
    EACH_TABLE(t)
    g->edges[t] = (struct edges){g->shape.receivers,
                                 count,
                                 in_table(&g->starts, t),
                                 in_table(&g->sender, t),
                                 in_table(&g->receiver, t),
                                 in_table(&g->normal, t),
                                 in_table(&g->number[0], t),
                                 in_table(&g->number[1], t),
                                 in_table(&g->number[2], t),
                                 in_table(&g->number[3], t),
                                 g->shape.senders,
                                 t == 0 ? NULL : g->back_start.cuda,
                                 t == 0 ? NULL : g->back_edge.cuda};
    both_cpu->edge_terms(both_cpu, &g->box, &g->law, (uint64_t *const *)q.at, &g->edges[0], g->stiffness.cpu,
                         g->kappa.cpu);
    for (int m = 0; m < 8; m++)
        both_cuda->to_device(both_cuda, made[m]->cuda, made[m]->cpu, made[m]->bytes);
}

static inline struct edge_graph graph_of(struct shape shape) {
    struct edge_graph g = {.shape = shape, .law = law_for(shape.d)};
    uint64_t *q[MAX_DIMENSION];
    for (int a = 0; a < MAX_DIMENSION; a++)
        q[a] = calloc(shape.senders + 1, sizeof **q);
    g.start = malloc((shape.receivers + 1) * sizeof *g.start);
    place(&shape, &g.box, q);
    g.count = list_edges(&g, q, NULL);
    uint32_t *sender = malloc((g.count + 1) * sizeof *sender);
    list_edges(&g, q, sender);
    for (int a = 0; a < MAX_DIMENSION; a++)
        g.q.axis[a] = both_of(q[a], shape.senders * sizeof **q);
    g.starts = both_of(g.start, (shape.receivers + 1) * sizeof *g.start);
    g.sender = both_of(sender, g.count * sizeof *sender);
    g.back_start = both_zero((shape.senders + 1) * sizeof(uint32_t));
    g.back_edge = both_zero(g.count * sizeof(uint32_t));
    number_edges(&g);
    both_cuda->edges_by_sender(both_cuda, &g.edges[1]);
    for (int a = 0; a < MAX_DIMENSION; a++)
        free(q[a]);
    free(sender);
    return g;
}

static inline void graph_release(struct edge_graph *g) {
    struct both *held[] = {&g->starts,    &g->sender,    &g->receiver,   &g->normal,
                           &g->number[0], &g->number[1], &g->number[2],  &g->number[3],
                           &g->stiffness, &g->kappa,     &g->back_start, &g->back_edge};
    for (size_t m = 0; m < sizeof held / sizeof *held; m++)
        both_release(held[m]);
    axes_release(&g->q);
    free(g->start);
}

/* kappa of every sender: ops of messages read it of receivers and features of senders, too. */
static inline struct both kappa_of_all(const struct edge_graph *g) {
    return both_random(80, g->shape.senders, 1, 30);
}

/* Ranges that together are all receivers, an empty one and one of a single receiver among them. */
enum { RANGES = 5 };
static inline struct edge_range range_of(const struct edge_graph *g, int m) {
    const size_t n = g->shape.receivers, one = n > n / 3 ? 1 : 0;
    const size_t at[RANGES + 1] = {0, n / 3, n / 3, n / 3 + one, n / 3 + one + (n - n / 3 - one) / 2, n};
    return (struct edge_range){at[m], at[m + 1], g->start[at[m]], g->start[at[m + 1]] - g->start[at[m]]};
}
static inline struct edge_range whole(const struct edge_graph *g) {
    return (struct edge_range){0, g->shape.receivers, 0, g->count};
}

/* ---- derivatives of sum_m weight_m out_m on the CUDA table ---- */

struct derivative {
    void (*run)(void *context); /* x to out */
    void *context;
    struct both *x, *out;
    const struct both *weight, *gradient;
};

static inline double weighted(const struct derivative *f, const real *x) {
    double sum = 0;
    both_cuda->to_device(both_cuda, f->x->cuda, x, f->x->bytes);
    f->run(f->context);
    real *out = both_fetch(f->out);
    const real *weight = f->weight->cpu;
    for (size_t m = 0; m < f->out->bytes / sizeof *out; m++)
        sum += (double)weight[m] * (double)out[m];
    free(out);
    return sum;
}

/* Along random signs of all x that have a gradient: the difference beside gradient . direction, of the size that this has. */
static inline void check_derivative(const char *what, const struct derivative *f) {
    const size_t n = f->x->bytes / sizeof(real);
    const double h = 2e-3;
    real *x = both_fetch(f->x), *gradient = both_fetch(f->gradient), *moved = malloc(f->x->bytes + 1);
    for (uint32_t direction = 0; direction < 3; direction++) {
        double exact = 0, square = 0, way[2];
        for (int side = 0; side < 2; side++) {
            for (size_t m = 0; m < n; m++) {
                const double sign = both_number(70 + direction, m) < 0.5 ? -1 : 1;
                const double step = gradient[m] == 0 ? 0 : sign * (side == 0 ? h : -h);
                moved[m] = (real)((double)x[m] + step);
                exact += side == 0 ? sign * (double)gradient[m] : 0;
                square += side == 0 ? (double)gradient[m] * (double)gradient[m] : 0;
            }
            way[side] = weighted(f, moved);
        }
        const double numeric = (way[0] - way[1]) / (2 * h);
        if (!(fabs(numeric - exact) <= 1e-2 * sqrt(square)) || !(square > 0))
            both_fail("%s: %g by differences, %g by the gradient, whose length is %g", what, numeric, exact,
                      sqrt(square));
    }
    both_cuda->to_device(both_cuda, f->x->cuda, x, f->x->bytes);
    free(x);
    free(gradient);
    free(moved);
}

#endif
