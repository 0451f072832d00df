/* The interface between the phases: contour of the density field, distances to it, phases.
 *
 * Cells of the grid are dense or not; the exact Euclidean distance from every cell to the nearest cell of
 * the other kind is found axis by axis (lower envelopes of parabolas: Felzenszwalb and Huttenlocher, Theory
 * of Computing 8, 415 (2012)), in a time proportional to the number of cells. A periodic line is laid out
 * three times. The contour runs half way between unlike cells, so distances are good to half a cell.
 *
 * Lines of the last axis go through the layers of all ranks: for them every rank gets the whole lines of a share of
 * the cells of a layer, and gives them back.
 */
#include "entropy/layers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* f[i] = min over j of (h (i - j))^2 + f[j] on a line of n cells. */
struct envelope {
    double *f;    /* (3 n) input laid out three times, or once */
    double *edge; /* (3 n + 1) */
    int *centre;  /* (3 n) */
};

static void transform_line(struct envelope *e, double *line, size_t stride, int n, double h, bool periodic) {
    const int copies = periodic ? 3 : 1, total = copies * n, shift = periodic ? n : 0;
    int last = -1;
    for (int i = 0; i < total; i++)
        e->f[i] = line[(size_t)(i % n) * stride];
    for (int i = 0; i < total; i++) {
        if (isinf(e->f[i]))
            continue;
        double meet = -INFINITY;
        while (last >= 0) {
            int j = e->centre[last];
            meet = ((e->f[i] + h * h * i * i) - (e->f[j] + h * h * j * j)) / (2 * h * h * (i - j));
            if (meet > e->edge[last])
                break;
            last--;
        }
        last++;
        e->centre[last] = i;
        e->edge[last] = last == 0 ? -INFINITY : meet;
    }
    if (last < 0)
        return;
    for (int i = 0, m = 0; i < n; i++) {
        while (m < last && e->edge[m + 1] < i + shift)
            m++;
        double away = h * (i + shift - e->centre[m]);
        line[(size_t)i * stride] = away * away + e->f[e->centre[m]];
    }
}

/* Lines of one axis of n cells; `cells` in all, whose lines lie whole in `squared`. */
static void transform_lines(const struct field_grid *g, struct envelope *e, int axis, size_t stride,
                            size_t cells, double *squared) {
    const size_t n = (size_t)g->cells[axis];
    for (size_t start = 0; start < cells; start++)
        if (start / stride % n == 0)
            transform_line(e, squared + start, stride, g->cells[axis], g->spacing[axis], g->box.periodic);
}

/* Between layers (count, layer) and, for every rank, its share of their cells, rank after rank. */
static void cut_layers(const struct field_grid *g, int ranks, double *layers, double *shares, bool back) {
    for (int r = 0; r < ranks; r++) {
        const size_t begin = slice_begin(g->layer, ranks, r),
                     width = slice_begin(g->layer, ranks, r + 1) - begin;
        for (size_t l = 0; l < g->count; l++, shares += width) {
            double *row = layers + l * g->layer + begin;
            memcpy(back ? row : shares, back ? shares : row, width * sizeof *row);
        }
    }
}

/* Lines of the last axis. Collective. */
static enum status transform_across(const struct field_grid *g, struct comm *comm, struct envelope *e,
                                    double *squared) {
    enum status status = STATUS_OK;
    const int ranks = comm_size(comm), slow = g->box.d - 1;
    const size_t own = slice_begin(g->layer, ranks, comm_rank(comm)),
                 width = slice_begin(g->layer, ranks, comm_rank(comm) + 1) - own;
    size_t *counts = calloc(2 * (size_t)ranks, sizeof *counts), *there = counts, *here = counts + ranks;
    double *shares = malloc((g->held + 1) * sizeof *shares);
    void *lines = NULL, *back = NULL;
    TRY(comm_agree(comm,
                   counts && shares ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for the interface")));
    for (int r = 0; r < ranks; r++)
        there[r] = g->count * (slice_begin(g->layer, ranks, r + 1) - slice_begin(g->layer, ranks, r));
    cut_layers(g, ranks, squared, shares, false);
    TRY(comm_exchange(comm, sizeof *shares, there, shares, here, &lines));
    if (width > 0)
        transform_lines(g, e, slow, width, width * g->layers, lines);
    TRY(comm_exchange(comm, sizeof *shares, here, lines, there, &back));
    cut_layers(g, ranks, squared, back, true);
out:
    free(counts);
    free(shares);
    free(lines);
    free(back);
    return status;
}

/* Squared distance from every cell to the nearest cell with squared = 0 (the others hold infinity). Collective. */
static enum status transform_grid(const struct field_grid *g, struct comm *comm, struct envelope *e,
                                  double *squared) {
    size_t stride = 1;
    for (int a = 0; a < g->box.d - 1; a++) {
        transform_lines(g, e, a, stride, g->held, squared);
        stride *= (size_t)g->cells[a];
    }
    if (comm_size(comm) > 1)
        return transform_across(g, comm, e, squared);
    transform_lines(g, e, g->box.d - 1, stride, g->held, squared);
    return STATUS_OK;
}

double interface_distance(const struct field_grid *g, const double x[]) {
    const int slow = g->box.d - 1;
    int low[MAX_DIMENSION] = {0};
    double part[MAX_DIMENSION] = {0}, sum = 0;
    for (int a = 0; a < g->box.d; a++) {
        double place = (x[a] - g->origin[a]) / g->spacing[a] - 0.5;
        low[a] = (int)floor(place);
        part[a] = place - low[a];
    }
    const size_t layer = layer_of(g, x[slow]) - g->first + 1;
    for (int corner = 0; corner < 1 << g->box.d; corner++) {
        double weight = 1;
        size_t cell = 0;
        for (int a = slow; a >= 0; a--) {
            int up = corner >> a & 1, n = g->cells[a], c = (low[a] + up) % n;
            weight *= up ? part[a] : 1 - part[a];
            cell = a == slow ? layer + (size_t)up : cell * (size_t)n + (size_t)(c < 0 ? c + n : c);
        }
        sum += weight * g->distance[cell];
    }
    return sum;
}

/* The layers round those of a rank that has any. */
static size_t layer_before(const struct field_grid *g, size_t first) {
    return first > 0 ? first - 1 : g->layers - 1;
}
static size_t layer_after(const struct field_grid *g, size_t end) {
    return end < g->layers ? end : 0;
}

/* Copies of this rank's layers for those ranks that have their neighbours; returns how many, by rank in
 * counts. out NULL: only how many. */
static size_t copy_edges(const struct field_grid *g, int ranks, size_t *counts, double *out) {
    const double *own = g->distance + g->layer;
    size_t copies = 0;
    for (int r = 0; r < ranks; r++) {
        const size_t first = slice_begin(g->layers, ranks, r), end = slice_begin(g->layers, ranks, r + 1);
        const size_t wanted[] = {layer_before(g, first), layer_after(g, end)};
        for (int m = 0; m < 2 && end > first; m++)
            if (wanted[m] >= g->first && wanted[m] < g->first + g->count) {
                if (out) {
                    memcpy(out + copies * g->layer, own + (wanted[m] - g->first) * g->layer,
                           g->layer * sizeof *out);
                    counts[r]++;
                }
                copies++;
            }
    }
    return copies;
}

/* The distances in the layers before and after this rank's. Collective. */
static enum status fill_edges(struct field_grid *g, struct comm *comm) {
    enum status status = STATUS_OK;
    const int ranks = comm_size(comm);
    const size_t bytes = g->layer * sizeof *g->distance;
    size_t *counts = calloc(2 * (size_t)ranks, sizeof *counts);
    double *edges = malloc((copy_edges(g, ranks, NULL, NULL) + 1) * bytes);
    void *received = NULL;
    TRY(comm_agree(comm,
                   counts && edges ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for the interface")));
    copy_edges(g, ranks, counts, edges);
    TRY(comm_exchange(comm, bytes, counts, edges, counts + ranks, &received));
    if (g->count > 0) { /* they come in order of the ranks that have them, of one rank the one before first */
        const int before = slice_rank(g->layers, ranks, layer_before(g, g->first)),
                  after = slice_rank(g->layers, ranks, layer_after(g, g->first + g->count));
        const bool ordered = before <= after;
        memcpy(g->distance, (char *)received + (ordered ? 0 : bytes), bytes);
        memcpy(g->distance + (1 + g->count) * g->layer, (char *)received + (ordered ? bytes : 0), bytes);
    }
out:
    free(counts);
    free(edges);
    free(received);
    return status;
}

static enum status envelope_create(const struct field_grid *g, struct envelope *e, double **squared) {
    size_t longest = 0;
    for (int a = 0; a < g->box.d; a++)
        longest = (size_t)g->cells[a] > longest ? (size_t)g->cells[a] : longest;
    *e = (struct envelope){malloc(3 * longest * sizeof(double)), malloc((3 * longest + 1) * sizeof(double)),
                           malloc(3 * longest * sizeof(int))};
    *squared = malloc((g->held + 1) * sizeof **squared);
    return e->f && e->edge && e->centre && *squared
               ? STATUS_OK
               : FAIL(STATUS_FAILURE, "out of memory for the interface: use a larger evaluation.grid");
}

static enum status fill_distance(struct field_grid *g, struct comm *comm, double packing_fraction) {
    enum status status = STATUS_OK;
    double diagonal = 0, half = INFINITY, level = packing_fraction / particle_volume(g->box.d);
    double *squared = NULL, *distance = g->distance + g->layer;
    struct envelope e;
    for (int a = 0; a < g->box.d; a++) {
        half = fmin(half, g->spacing[a] / 2);
        diagonal += g->box.side[a] * g->box.side[a];
    }
    TRY(comm_agree(comm, envelope_create(g, &e, &squared)));
    for (int side = 0; side < 2; side++) { /* 0: from dense cells to gas, 1: from gas to dense */
        for (size_t c = 0; c < g->held; c++)
            squared[c] = (g->field[FIELD_DENSITY][c] > level) == (side == 1) ? 0 : INFINITY;
        TRY(transform_grid(g, comm, &e, squared));
        for (size_t c = 0; c < g->held; c++)
            if (squared[c] > 0) {
                double away = isinf(squared[c]) ? sqrt(diagonal) : sqrt(squared[c]) - half;
                distance[c] = side == 0 ? away : -away;
            }
    }
    TRY(fill_edges(g, comm));
out:
    free(e.f);
    free(e.edge);
    free(e.centre);
    free(squared);
    return status;
}

/* The snapshot's column of distances, from the ranks that have the layers of its particles. Collective. */
static enum status find_distances(const struct field_grid *g, struct snapshot *s, struct comm *comm) {
    enum status status = STATUS_OK;
    const size_t d = (size_t)g->box.d;
    struct route route = {0};
    void *received = NULL;
    double *answers = NULL;
    TRY(comm_agree(comm, route_create(g, comm, s->count, s->column[COLUMN_POSITION], 0, 0, &route)));
    TRY(route_send(&route, comm, d, s->column[COLUMN_POSITION], &received));
    answers = malloc((route.received + 1) * sizeof *answers);
    TRY(comm_agree(comm, answers ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for the interface")));
    for (size_t i = 0; i < route.received; i++)
        answers[i] = interface_distance(g, (double *)received + i * d);
    TRY(route_return(&route, comm, answers, s->column[COLUMN_INTERFACE_DISTANCE]));
out:
    route_release(&route);
    free(received);
    free(answers);
    return status;
}

enum status interface_compute(struct field_grid *g, double packing_fraction, double half_width,
                              struct snapshot *s, struct comm *comm) {
    enum status status = STATUS_OK;
    TRY(fill_distance(g, comm, packing_fraction));
    TRY(find_distances(g, s, comm));
    for (size_t i = 0; i < s->count; i++) {
        const double away = s->column[COLUMN_INTERFACE_DISTANCE][i];
        s->column[COLUMN_PHASE][i] = fabs(away) <= half_width ? PHASE_INTERFACE
                                     : away > 0               ? PHASE_DENSE
                                                              : PHASE_GAS;
    }
out:
    return status;
}
