#include "space/neighbours.h"

#include <math.h>
#include <stdlib.h>

#include "ops/spring_formula.h"

/* Cells in space: as many on each axis as the side `cell` allows, but no more than a few times the particles. An extent
 * of the particles below half of the side has no pair that is nearer across the edge; otherwise the grid spans the whole
 * side and wraps. */
static void cells_in_space(const struct particles *p, const struct box *box, double cell,
                           struct cell_grid *grid) {
    const size_t n = p->owned + p->ghosts, most = 4 * n + 64;
    uint64_t low[MAX_DIMENSION] = {0}, extent[MAX_DIMENSION] = {0};
    double length[MAX_DIMENSION] = {0}, side = cell;
    p->ops->extents(p->ops, box->d, n, p->q, low, extent);
    for (int a = 0; a < box->d; a++) {
        const bool partly = n > 0 && extent[a] < INT64_MAX;
        grid->low[a] = partly ? low[a] : 0;
        grid->extent[a] = partly ? extent[a] + 1 : 0;
        length[a] = box->side[a] * (partly ? (double)grid->extent[a] * 0x1p-64 : 1);
    }
    for (bool fits = false; !fits; side *= 1.3) { /* an almost empty box needs no more cells than particles */
        double cells = 1;
        for (int a = 0; a < box->d; a++)
            cells *= fmax(1, floor(length[a] / side));
        fits = cells <= (double)most;
        for (int a = 0; fits && a < box->d; a++)
            grid->cells[a] = (int)fmax(1, floor(length[a] / side));
    }
}

/* Every copy is a cell. */
static void cells_of_copies(const struct particles *p, const struct box *box, struct cell_grid *grid) {
    const size_t n = p->owned + p->ghosts;
    uint32_t first = 0, last = 0;
    p->ops->id_range(p->ops, n, p->id, &first, &last);
    grid->group = box->group;
    grid->first = first / box->group;
    grid->cells[0] = n > 0 ? (int)(last / box->group - grid->first) + 1 : 1;
}

/* Room for so many, and some more. */
static size_t some_more(size_t needed) {
    return needed + needed / 4 + 64;
}

/* Cells' arrays for `cells` and one more, and n particles and one more. Their contents need not be kept. */
static enum status reserve_cells(const struct ops *ops, size_t cells, size_t n, struct cell_grid *grid) {
    enum status status = STATUS_OK;
    if (cells >= grid->most_cells) {
        grid->most_cells = some_more(cells + 1);
        TRY(ops_replace(ops, grid->most_cells * sizeof *grid->start, &grid->start));
    }
    if (n >= grid->most_particles) {
        const size_t room = grid->most_particles = some_more(n + 1);
        TRY(ops_replace(ops, room * sizeof *grid->item, &grid->item));
        TRY(ops_replace(ops, room * sizeof *grid->order, &grid->order));
        TRY(ops_replace(ops, room * sizeof *grid->cell, &grid->cell));
        TRY(ops_replace(ops, room * GRID_SCRATCH, &grid->scratch));
    }
out:
    return status;
}

enum status cells_create(const struct particles *p, const struct box *box, double cell,
                         struct cell_grid **out) {
    enum status status = STATUS_OK;
    const struct ops *ops = p->ops;
    size_t n = p->owned + p->ghosts, total = 1;
    if (!*out && !(*out = calloc(1, sizeof **out)))
        return FAIL(STATUS_FAILURE, "out of memory for cells");
    struct cell_grid *grid = *out;
    grid->group = 0;
    for (int a = 0; a < MAX_DIMENSION; a++)
        grid->cells[a] = 1;
    if (box->group > 0)
        cells_of_copies(p, box, grid);
    else
        cells_in_space(p, box, cell, grid);
    for (int a = 0; a < MAX_DIMENSION; a++)
        total *= (size_t)grid->cells[a];
    TRY(reserve_cells(ops, total, n, grid));
    ops->cells_sort(ops, box, n, p->id, p->q, grid);
out:
    if (status != STATUS_OK)
        cells_destroy(ops, out);
    return status;
}

void cells_destroy(const struct ops *ops, struct cell_grid **grid) {
    if (!*grid)
        return;
    ops->release(ops, (*grid)->start);
    ops->release(ops, (*grid)->item);
    ops->release(ops, (*grid)->order);
    ops->release(ops, (*grid)->cell);
    ops->release(ops, (*grid)->scratch);
    free(*grid);
    *grid = NULL;
}

void pairs_release(const struct ops *ops, struct pair_list *list) {
    ops->release(ops, list->start);
    ops->release(ops, list->neighbour);
    cells_destroy(ops, &list->grid);
    *list = (struct pair_list){0};
}

/* Room for `needed` pairs and some more. The old ones are gone. */
static enum status enlarge_list(const struct ops *ops, size_t needed, struct pair_list *list) {
    const size_t room = some_more(needed);
    list->capacity = 0;
    if (room > UINT32_MAX)
        return FAIL(STATUS_FAILURE, "%zu pairs of neighbours on one rank: use more ranks", needed);
    enum status status = ops_replace(ops, room * sizeof *list->neighbour, &list->neighbour);
    if (status == STATUS_OK)
        list->capacity = room;
    return status;
}

static enum status reset_start(const struct particles *p, struct pair_list *list) {
    if (p->owned < list->rows)
        return STATUS_OK;
    list->rows = 0;
    const size_t room = some_more(p->owned + 1);
    enum status status = ops_replace(p->ops, room * sizeof *list->start, &list->start);
    if (status == STATUS_OK)
        list->rows = room;
    return status;
}

enum status pairs_build(const struct particles *p, const struct box *box, double radius,
                        struct pair_list *list) {
    enum status status = STATUS_OK;
    const struct ops *ops = p->ops;
    size_t needed = 0;
    TRY(reset_start(p, list));
    TRY(cells_create(p, box, radius, &list->grid));
    while ((needed = ops->pair_list(ops, box, list->grid, p->owned, p->owned + p->ghosts, p->q, radius,
                                    list)) > list->capacity)
        TRY(enlarge_list(ops, needed, list));
out:
    return status;
}

double neighbours_within(const struct box *box, double particles, double radius) {
    static const double unit_ball[] = {1, 2, M_PI, 4 * M_PI / 3};
    double within = particles * unit_ball[box->d] * pow(radius, box->d);
    for (int a = 0; a < box->d; a++)
        within /= box->side[a];
    return fmin(within, box->group > 0 ? box->group - 1.0 : particles - 1);
}

/* About a cell a particle. */
double cells_bytes(double particles) {
    return 1.25 * particles * (4 * sizeof(uint32_t) + GRID_SCRATCH);
}

double pairs_bytes(double owned, double ghosts, double pairs) {
    return 1.25 * (owned + pairs) * sizeof(uint32_t) + cells_bytes(owned + ghosts);
}

/* ---- bonds, by particle id ---- */

struct id_local {
    uint32_t id, local;
};

static int compare_ids(const void *a, const void *b) {
    const struct id_local *p = a, *r = b;
    return (p->id > r->id) - (p->id < r->id);
}

/* All bonds of the owned particles into host lists, each pair of two owned ones once. */
static enum status find_bonds(size_t owned, size_t n, const uint32_t *id, const struct id_local *sorted,
                              const struct pair_law *law, uint32_t *start, uint32_t *neighbour) {
    uint32_t length = 0;
    for (size_t i = 0; i < owned; i++) {
        uint32_t partner[LATTICE_NEIGHBOURS];
        int count = lattice_neighbours(&law->lattice, id[i], partner);
        start[i] = length;
        for (int m = 0; m < count; m++) {
            const struct id_local wanted = {.id = partner[m]},
                                  *found = bsearch(&wanted, sorted, n, sizeof wanted, compare_ids);
            if (!found)
                return FAIL(STATUS_NUMBERS,
                            "the bond of particles %u and %u of the crystal is stretched beyond %.3g r0, 2.5 "
                            "times the "
                            "longest of the lattice: use stiffer springs, a tether or weaker noise",
                            id[i], partner[m], law->cutoff);
            if (found->local > i || found->local >= owned)
                neighbour[length++] = found->local;
        }
    }
    start[owned] = length;
    return STATUS_OK;
}

/* Springs are summed in a range that holds so much of each (ops/spring_formula.h): a box that is smaller holds no more. */
static enum status check_stretch(const struct particles *p, const struct box *box, const struct pair_law *law,
                                 const uint32_t *id, const uint32_t *start, const uint32_t *neighbour) {
    const size_t n = p->owned + p->ghosts;
    uint64_t *q = malloc((n + 1) * sizeof *q);
    enum status status =
        q ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for the bonds of %zu particles", n);
    for (int a = 0; a < box->d && status == STATUS_OK; a++) {
        if (box->side[a] / 2 <= SPRING_MOST)
            continue;
        p->ops->to_host(p->ops, q, p->q[a], n * sizeof *q);
        for (size_t i = 0; i < p->owned && status == STATUS_OK; i++)
            for (uint32_t m = start[i]; m < start[i + 1]; m++) {
                const uint32_t j = neighbour[m];
                uint64_t own[MAX_DIMENSION], other[MAX_DIMENSION];
                lattice_site(&law->lattice, id[i], own);
                lattice_site(&law->lattice, id[j], other);
                if (fabs(bond_stretch(q[i], q[j], own[a], other[a], box->side[a] * 0x1p-64)) > SPRING_MOST)
                    status = FAIL(
                        STATUS_NUMBERS,
                        "the bond of particles %u and %u of the crystal is stretched by more than %g r0, "
                        "the range of its force: use stiffer springs, a tether or weaker noise",
                        id[i], id[j], SPRING_MOST);
            }
    }
    free(q);
    return status;
}

static enum status bonds_build(const struct particles *p, const struct box *box, const struct pair_law *law,
                               struct pair_list *list) {
    enum status status = STATUS_OK;
    const struct ops *ops = p->ops;
    size_t n = p->owned + p->ghosts;
    uint32_t *id = malloc((n + 1) * sizeof *id), *start = malloc((p->owned + 1) * sizeof *start),
             *neighbour = malloc((LATTICE_NEIGHBOURS * p->owned + 1) * sizeof *neighbour);
    struct id_local *sorted = malloc((n + 1) * sizeof *sorted);
    if (!id || !start || !neighbour || !sorted)
        status = FAIL(STATUS_FAILURE, "out of memory for the bonds of %zu particles", p->owned);
    TRY(status);
    ops->to_host(ops, id, p->id, n * sizeof *id);
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct id_local){id[i], (uint32_t)i};
    qsort(sorted, n, sizeof *sorted, compare_ids);
    TRY(find_bonds(p->owned, n, id, sorted, law, start, neighbour));
    TRY(check_stretch(p, box, law, id, start, neighbour));
    TRY(reset_start(p, list));
    if (start[p->owned] > list->capacity)
        TRY(enlarge_list(ops, start[p->owned], list));
    ops->to_device(ops, list->start, start, (p->owned + 1) * sizeof *start);
    ops->to_device(ops, list->neighbour, neighbour, start[p->owned] * sizeof *neighbour);
out:
    free(id);
    free(start);
    free(neighbour);
    free(sorted);
    return status;
}

enum status law_pairs_build(const struct particles *p, const struct box *box, const struct pair_law *law,
                            double margin, struct pair_list *list) {
    if (law->kind == PAIRS_SPRINGS)
        return bonds_build(p, box, law, list);
    return pairs_build(p, box, pair_reach(law) + margin, list);
}

/* One try with the halo as it is: the distance of the farthest k-th neighbour of any owned particle. */
static enum status find_nearest(const struct particles *p, const struct box *box, int k, double cell,
                                uint32_t *index, double *farthest) {
    enum status status = STATUS_OK;
    const struct ops *ops = p->ops;
    struct cell_grid *grid = NULL;
    double *distance = NULL, *host = calloc(p->owned + 1, sizeof *host);
    if (!host)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    TRY(status);
    TRY(ops->allocate(ops, p->owned * sizeof *distance, (void **)&distance));
    TRY(cells_create(p, box, cell, &grid));
    ops->nearest(ops, box, grid, p->owned, NULL, p->owned + p->ghosts, p->q, k, index, distance);
    ops->to_host(ops, host, distance, p->owned * sizeof *distance);
    *farthest = 0;
    for (size_t i = 0; i < p->owned; i++)
        *farthest = fmax(*farthest, host[i]);
out:
    cells_destroy(ops, &grid);
    ops->release(ops, distance);
    free(host);
    return status;
}

enum status nearest_build(struct particles *p, const struct domain *domain, struct comm *comm, size_t n,
                          int k, double least, double margin, struct halo **halo, uint32_t **index) {
    enum status status = STATUS_OK;
    const struct box *box = &domain->box;
    double volume = 1, diagonal = 0;
    *halo = NULL;
    *index = NULL;
    for (int a = 0; a < box->d; a++) {
        volume *= box->side[a];
        diagonal += box->side[a] * box->side[a];
    }
    diagonal = sqrt(diagonal); /* no two points are farther apart */
    double spacing = pow(volume / (double)n, 1.0 / box->d);
    double cell = spacing * pow(fmax(1, k / 6.0), 1.0 / box->d);
    double width = fmax(least, margin + spacing * pow(k + 1, 1.0 / box->d));
    TRY(comm_agree(comm, p->ops->allocate(p->ops, p->owned * (size_t)k * sizeof **index, (void **)index)));
    for (bool reached = false; !reached;) {
        double farthest = INFINITY;
        halo_destroy(halo);
        TRY(halo_create(p, domain, comm, width, halo));
        TRY(comm_agree(comm, find_nearest(p, box, k, cell, *index, &farthest)));
        comm_max(comm, &farthest, 1);
        reached = box->group > 0 || farthest + margin <= width || width > diagonal;
        /* A neighbour found at this distance may not be the nearest yet, but none nearer is farther away. */
        width = farthest < INFINITY ? fmax(width, (farthest + margin) * (1 + 1e-9)) : 1.6 * width;
    }
out:
    if (status != STATUS_OK) {
        halo_destroy(halo);
        p->ops->release(p->ops, *index);
        *index = NULL;
    }
    return status;
}
