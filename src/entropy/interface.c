/* The interface between the phases: contour of the density field, distances to it, phases.
 *
 * Cells of the grid are dense or not; the exact Euclidean distance from every cell to the nearest cell of
 * the other kind is found axis by axis (lower envelopes of parabolas: Felzenszwalb and Huttenlocher, Theory
 * of Computing 8, 415 (2012)), in a time proportional to the number of cells. A periodic line is laid out
 * three times. The contour runs half way between unlike cells, so distances are good to half a cell.
 */
#include "entropy/fields.h"

#include <math.h>
#include <stdlib.h>

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

/* Squared distance from every cell to the nearest cell with squared = 0 (the others hold infinity). */
static void transform_grid(const struct field_grid *g, struct envelope *e, double *squared) {
    size_t stride = 1;
    for (int a = 0; a < g->box.d; a++) {
        size_t n = (size_t)g->cells[a];
        for (size_t start = 0; start < g->total; start++)
            if (start / stride % n == 0)
                transform_line(e, squared + start, stride, g->cells[a], g->spacing[a], g->box.periodic);
        stride *= n;
    }
}

double interface_distance(const struct field_grid *g, const double x[]) {
    int low[MAX_DIMENSION] = {0};
    double part[MAX_DIMENSION] = {0}, sum = 0;
    for (int a = 0; a < g->box.d; a++) {
        double place = (x[a] - g->origin[a]) / g->spacing[a] - 0.5;
        low[a] = (int)floor(place);
        part[a] = place - low[a];
    }
    for (int corner = 0; corner < 1 << g->box.d; corner++) {
        double weight = 1;
        size_t cell = 0;
        for (int a = g->box.d - 1; a >= 0; a--) {
            int up = corner >> a & 1, n = g->cells[a], c = (low[a] + up) % n;
            weight *= up ? part[a] : 1 - part[a];
            cell = cell * (size_t)n + (size_t)(c < 0 ? c + n : c);
        }
        sum += weight * g->distance[cell];
    }
    return sum;
}

static enum status fill_distance(struct field_grid *g, double packing_fraction) {
    int longest = 0;
    double diagonal = 0, half = INFINITY, level = packing_fraction / particle_volume(g->box.d);
    for (int a = 0; a < g->box.d; a++) {
        longest = g->cells[a] > longest ? g->cells[a] : longest;
        half = fmin(half, g->spacing[a] / 2);
        diagonal += g->box.side[a] * g->box.side[a];
    }
    struct envelope e = {malloc(3 * (size_t)longest * sizeof(double)),
                         malloc((3 * (size_t)longest + 1) * sizeof(double)),
                         malloc(3 * (size_t)longest * sizeof(int))};
    double *squared = malloc(g->total * sizeof *squared);
    bool good = e.f && e.edge && e.centre && squared;
    for (int side = 0; good && side < 2; side++) { /* 0: from dense cells to gas, 1: from gas to dense */
        for (size_t c = 0; c < g->total; c++)
            squared[c] = (g->field[FIELD_DENSITY][c] > level) == (side == 1) ? 0 : INFINITY;
        transform_grid(g, &e, squared);
        for (size_t c = 0; c < g->total; c++)
            if (squared[c] > 0) {
                double away = isinf(squared[c]) ? sqrt(diagonal) : sqrt(squared[c]) - half;
                g->distance[c] = side == 0 ? away : -away;
            }
    }
    free(e.f);
    free(e.edge);
    free(e.centre);
    free(squared);
    return good ? STATUS_OK
                : FAIL(STATUS_FAILURE, "out of memory for the interface: use a larger evaluation.grid");
}

enum status interface_compute(struct field_grid *g, double packing_fraction, double half_width,
                              struct snapshot *s) {
    enum status status = fill_distance(g, packing_fraction);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < s->count; i++) {
        double away = interface_distance(g, s->column[COLUMN_POSITION] + i * (size_t)s->box.d);
        s->column[COLUMN_INTERFACE_DISTANCE][i] = away;
        s->column[COLUMN_PHASE][i] = fabs(away) <= half_width ? PHASE_INTERFACE
                                     : away > 0               ? PHASE_DENSE
                                                              : PHASE_GAS;
    }
    return STATUS_OK;
}
