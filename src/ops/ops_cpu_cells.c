/* Cells, pair lists and nearest neighbours.
 *
 * A grid covers all particles that a rank holds. An axis of it either spans the whole side and wraps
 * round, or less than half of the side, where no pair is nearer across the edge: so the search never needs
 * shifted copies, and the minimum image is the integer difference. Cells may be of any size; a search of
 * radius R looks at as many layers of cells as R needs, every cell once even where the layers meet. Copies of a
 * small system are cells of their own, each searched as a whole.
 */
#include "ops/ops_cpu.h"
#include "ops/cell_formula.h"
#include "ops/simd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void cpu_cells_sort(const struct ops *ops, const struct box *box, size_t n, const uint32_t *id,
                    uint64_t *const q[], struct cell_grid *grid) {
    (void)ops;
    size_t cells = (size_t)grid->cells[0] * (size_t)grid->cells[1] * (size_t)grid->cells[2];
    memset(grid->start, 0, (cells + 1) * sizeof *grid->start);
    uint32_t *cell = grid->cell;
    for (size_t i = 0; i < n; i++) {
        size_t c = grid->group > 0 ? id[i] / grid->group - grid->first : 0;
        for (int a = box->d - 1; a >= 0 && grid->group == 0; a--)
            c = c * (size_t)grid->cells[a] + (size_t)cell_on_axis(grid, a, q[a][i]);
        cell[i] = (uint32_t)c;
        grid->start[c + 1]++;
    }
    for (size_t c = 0; c < cells; c++)
        grid->start[c + 1] += grid->start[c];
    for (size_t i = 0; i < n; i++) {
        grid->order[i] = grid->start[cell[i]]++;
        grid->item[grid->order[i]] = (uint32_t)i;
    }
    for (size_t c = cells; c > 0; c--) /* start[c] is now the end of cell c: shift back */
        grid->start[c] = grid->start[c - 1];
    grid->start[0] = 0;
}

/* Visits the particles of one cell for particle i; appends those of the list. order (NULL: the list has both sides of a
 * pair): of two particles below `owned` only the one that comes first in it has the other. */
static inline size_t append_cell(const struct box *box, const double unit[], const struct cell_grid *grid,
                                 size_t cell, size_t i, size_t owned, const uint32_t *order,
                                 uint64_t *const q[], double cut, struct pair_list *list, size_t length) {
    for (uint32_t m = grid->start[cell]; m < grid->start[cell + 1]; m++) {
        uint32_t j = grid->item[m];
        if ((order && j < owned && m <= order[i]) || j == i || square_distance(box->d, unit, q, i, j) >= cut)
            continue;
        if (length < list->capacity)
            list->neighbour[length] = j;
        length++;
    }
    return length;
}

static size_t list_cells(const struct box *box, const struct cell_grid *grid, size_t rows,
                         const uint32_t *order, uint64_t *const q[], double radius, double cut,
                         struct pair_list *list) {
    double unit[MAX_DIMENSION];
    int layers[MAX_DIMENSION];
    size_t length = 0;
    for (int a = 0; a < box->d; a++) {
        unit[a] = box->side[a] * 0x1p-64;
        layers[a] = layers_within(box, grid, a, radius);
    }
    for (size_t i = 0; i < rows; i++) {
        struct reach reach[MAX_DIMENSION] = {{0, 1, true}, {0, 1, true}, {0, 1, true}};
        int c[MAX_DIMENSION] = {0};
        list->start[i] = (uint32_t)length;
        if (grid->group > 0) {
            length = append_cell(box, unit, grid, grid->cell[i], i, rows, order, q, cut, list, length);
            continue;
        }
        for (int a = 0; a < box->d; a++) {
            c[a] = cell_on_axis(grid, a, q[a][i]);
            reach[a] = reach_of(grid, a, c[a], layers[a]);
        }
        for (int z = 0; z < reach[2].count; z++)
            for (int y = 0; y < reach[1].count; y++)
                for (int x = 0; x < reach[0].count; x++) {
                    size_t cell = (size_t)cell_at(grid, 2, c[2] + reach[2].first + z);
                    cell =
                        cell * (size_t)grid->cells[1] + (size_t)cell_at(grid, 1, c[1] + reach[1].first + y);
                    cell =
                        cell * (size_t)grid->cells[0] + (size_t)cell_at(grid, 0, c[0] + reach[0].first + x);
                    length = append_cell(box, unit, grid, cell, i, rows, order, q, cut, list, length);
                }
    }
    list->start[rows] = (uint32_t)length;
    return length;
}

size_t cpu_pair_list(const struct ops *ops, const struct box *box, struct cell_grid *grid, size_t owned,
                     size_t n, uint64_t *const q[], double radius, struct pair_list *list) {
    (void)ops;
    const double cut = radius * radius * (1 + 1e-6); /* wide enough for forces computed in float32 */
    if (simd_kernels() && simd_kernels()->pair_list && grid->group == 0)
        return simd_kernels()->pair_list(box, grid, owned, n, q, radius, list);
    return list_cells(box, grid, owned, grid->order, q, radius, cut, list);
}

size_t cpu_edge_list(const struct ops *ops, const struct box *box, const struct cell_grid *grid,
                     size_t receivers, size_t n, uint64_t *const q[], double radius, struct pair_list *list) {
    (void)ops;
    (void)n;
    return list_cells(box, grid, receivers, NULL, q, radius, radius * radius, list);
}

/* ---- nearest neighbours: a heap of the k best so far, worst on top, over growing shells of cells ---- */

static void sift_down(struct candidate *heap, int count, int at) {
    struct candidate moving = heap[at];
    for (int child; (child = 2 * at + 1) < count; at = child) {
        child += child + 1 < count && worse(heap[child + 1], heap[child]);
        if (!worse(heap[child], moving))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

static void sift_up(struct candidate *heap, int at) {
    struct candidate moving = heap[at];
    for (; at > 0 && worse(moving, heap[(at - 1) / 2]); at = (at - 1) / 2)
        heap[at] = heap[(at - 1) / 2];
    heap[at] = moving;
}

static inline void offer(struct candidate *heap, int *count, int k, struct candidate c) {
    if (*count < k) {
        heap[*count] = c;
        sift_up(heap, (*count)++);
    } else if (worse(heap[0], c)) {
        heap[0] = c;
        sift_down(heap, k, 0);
    }
}

static inline void offer_cell(const struct box *box, const double unit[], const struct cell_grid *grid,
                              size_t cell, size_t i, uint64_t *const q[], int k, struct candidate *heap,
                              int *count) {
    for (uint32_t m = grid->start[cell]; m < grid->start[cell + 1]; m++) {
        uint32_t j = grid->item[m];
        if (j != i)
            offer(heap, count, k, (struct candidate){square_distance(box->d, unit, q, i, j), j});
    }
}

/* Offers the particles of the cells exactly `layers` away from c. Returns the distance up to which nothing
 * can have been missed: infinity once every cell was seen. */
static double offer_shell(const struct box *box, const double unit[], const struct cell_grid *grid,
                          const int c[], int layers, size_t i, uint64_t *const q[], int k,
                          struct candidate *heap, int *count) {
    struct reach reach[MAX_DIMENSION] = {{0, 1, true}, {0, 1, true}, {0, 1, true}}, inner[MAX_DIMENSION];
    memcpy(inner, reach, sizeof inner);
    for (int a = 0; a < box->d; a++) {
        reach[a] = reach_of(grid, a, c[a], layers);
        inner[a] = reach_of(grid, a, c[a], layers - 1);
    }
    for (int z = 0; z < reach[2].count; z++)
        for (int y = 0; y < reach[1].count; y++)
            for (int x = 0; x < reach[0].count; x++) {
                int offset[MAX_DIMENSION] = {reach[0].first + x, reach[1].first + y, reach[2].first + z};
                bool seen = layers > 0;
                for (int a = 0; a < box->d; a++)
                    seen = seen && offset[a] >= inner[a].first && offset[a] < inner[a].first + inner[a].count;
                if (seen)
                    continue;
                size_t cell = (size_t)cell_at(grid, 2, c[2] + offset[2]);
                cell = cell * (size_t)grid->cells[1] + (size_t)cell_at(grid, 1, c[1] + offset[1]);
                cell = cell * (size_t)grid->cells[0] + (size_t)cell_at(grid, 0, c[0] + offset[0]);
                offer_cell(box, unit, grid, cell, i, q, k, heap, count);
            }
    return covered_within(box->d, box, grid, reach, layers);
}

void cpu_nearest(const struct ops *ops, const struct box *box, const struct cell_grid *grid, size_t count,
                 const uint32_t *centre, size_t n, uint64_t *const q[], int k, uint32_t *index,
                 double *farthest) {
    (void)ops;
    (void)n;
    struct candidate heap[NEAREST_MOST];
    double unit[MAX_DIMENSION];
    for (int a = 0; a < box->d; a++)
        unit[a] = box->side[a] * 0x1p-64;
    for (size_t w = 0; w < count; w++) {
        size_t i = centre ? centre[w] : w;
        int c[MAX_DIMENSION] = {0}, found = 0;
        for (int a = 0; a < box->d && grid->group == 0; a++)
            c[a] = cell_on_axis(grid, a, q[a][i]);
        double covered = grid->group > 0 ? INFINITY : 0;
        if (grid->group > 0)
            offer_cell(box, unit, grid, grid->cell[i], i, q, k, heap, &found);
        for (int layers = 0; covered < INFINITY; layers++) {
            covered = offer_shell(box, unit, grid, c, layers, i, q, k, heap, &found);
            if (found == k && heap[0].square <= covered * covered)
                break;
        }
        farthest[w] = found == k ? sqrt(heap[0].square) : INFINITY;
        for (int m = found; m < k; m++)
            index[w * (size_t)k + (size_t)m] = UINT32_MAX;
        for (int m = found - 1; m >= 0; m--) { /* worst first: a heap sort from the back */
            index[w * (size_t)k + (size_t)m] = heap[0].j;
            heap[0] = heap[m];
            sift_down(heap, m, 0);
        }
    }
}
