/* Cells, and lists of pairs and edges. Rows of lists have the order of the CPU table's. */
#include "kernels/order.h"
#include "kernels/places.h"
#include "ops/cell_formula.h"

enum { THREADS = 128 };

static size_t cells_of(const struct cell_grid *grid) {
    return (size_t)grid->cells[0] * (size_t)grid->cells[1] * (size_t)grid->cells[2];
}

/* ---- cells: particles sorted by them, in the order of their numbers within one ---- */

/* 8 d bytes read and 12 written a particle. */
template <int D>
static __global__ void find_cells(cell_grid grid, size_t n, const uint32_t *__restrict__ id, axes<uint64_t> q,
                                  uint32_t *__restrict__ key, uint32_t *__restrict__ value) {
    const size_t i = ep_index();
    if (i >= n)
        return;
    size_t c = 0;
    if (grid.group > 0) {
        c = id[i] / grid.group - grid.first;
    } else {
#pragma unroll
        for (int a = D - 1; a >= 0; a--)
            c = c * (size_t)grid.cells[a] + (size_t)cell_on_axis(&grid, a, q.at[a][i]);
    }
    grid.cell[i] = key[i] = (uint32_t)c;
    value[i] = (uint32_t)i;
}

static __global__ void keep_order(size_t n, const uint32_t *__restrict__ sorted, uint32_t *__restrict__ item,
                                  uint32_t *__restrict__ order) {
    const size_t m = ep_index();
    if (m < n) {
        item[m] = sorted[m];
        order[sorted[m]] = (uint32_t)m;
    }
}

static void cuda_cells_sort(const struct ops *ops, const struct box *box, size_t n, const uint32_t *id,
                            uint64_t *const q[], struct cell_grid *grid) {
    struct device *d = device_of(ops);
    const size_t cells = cells_of(grid);
    void *at = device_scratch(d, 4 * device_room(n * sizeof(uint32_t)) + sort_room(n));
    struct keyed from, other;
    from.key = device_part<uint32_t>(&at, n);
    from.value = device_part<uint32_t>(&at, n);
    other.key = device_part<uint32_t>(&at, n);
    other.value = device_part<uint32_t>(&at, n);
    ep_launch(d, "find_cells", EP_BY_DIMENSION(box->d, find_cells), ep_blocks(n, THREADS), THREADS, 0, *grid,
              n, id, axes_of(box->d, q), from.key, from.value);
    const struct keyed sorted = sort_by_key(d, n, cells, from, other, at);
    find_starts(d, n, sorted.key, cells, grid->start);
    ep_launch(d, "keep_order", keep_order, ep_blocks(n, THREADS), THREADS, 0, n, sorted.value, grid->item,
              grid->order);
}

/* ---- which cells are looked at ---- */

struct layers {
    int at[MAX_DIMENSION];
};
static struct layers layers_of(const struct box *box, const struct cell_grid *grid, double radius) {
    struct layers layers = {};
    for (int a = 0; a < box->d; a++)
        layers.at[a] = layers_within(box, grid, a, radius);
    return layers;
}

/* Calls visit(from, to) for the places in cell order of all particles within `layers` of a cell: at once those of cells
 * next to each other on the first axis. */
template <int D, typename Visit>
static __device__ __forceinline__ void visit_cells(const cell_grid &grid, const layers &layers, uint32_t cell,
                                                   Visit visit) {
    if (grid.group > 0) {
        visit(grid.start[cell], grid.start[cell + 1]);
        return;
    }
    struct reach reach[MAX_DIMENSION] = {{0, 1, true}, {0, 1, true}, {0, 1, true}};
    int c[MAX_DIMENSION] = {0, 0, 0};
#pragma unroll
    for (int a = 0; a < D; a++) {
        c[a] = (int)(cell % (uint32_t)grid.cells[a]);
        cell /= (uint32_t)grid.cells[a];
        reach[a] = reach_of(&grid, a, c[a], layers.at[a]);
    }
    for (int z = 0; z < reach[2].count; z++)
        for (int y = 0; y < reach[1].count; y++) {
            size_t row =
                D < 3 ? 0 : (size_t)cell_at(&grid, 2, c[2] + reach[2].first + z) * (size_t)grid.cells[1];
            row = D < 2
                      ? 0
                      : (row + (size_t)cell_at(&grid, 1, c[1] + reach[1].first + y)) * (size_t)grid.cells[0];
            for (int x = 0; x < reach[0].count;) {
                const int first = cell_at(&grid, 0, c[0] + reach[0].first + x), left = reach[0].count - x;
                const int run = left < grid.cells[0] - first ? left : grid.cells[0] - first;
                visit(grid.start[row + (size_t)first], grid.start[row + (size_t)(first + run)]);
                x += run;
            }
        }
}

/* ---- lists of pairs ----
 * One thread a particle, in cell order, so that the threads of a warp look at the same cells. Twice: to count, and, once
 * it is known where rows begin, to write. Some 45 candidates a particle in two dimensions, 12 operations and 8 bytes
 * each, from the caches. */

template <int D>
static __global__ void places_in_order(size_t n, const uint32_t *__restrict__ item, axes<uint64_t> q,
                                       place<D> *__restrict__ in_order) {
    const size_t m = ep_index();
    if (m < n)
        in_order[m] = place_of<D>(q, item[m]);
}

template <int D, bool WRITE>
static __global__ void __launch_bounds__(THREADS)
    list_rows(cell_grid grid, layers layers, place_unit unit, float cut, uint32_t owned, uint32_t n,
              const place<D> *__restrict__ in_order, uint32_t *__restrict__ start,
              uint32_t *__restrict__ neighbour) {
    const size_t index = ep_index();
    if (index >= n || grid.item[index] >= owned)
        return;
    const uint32_t m = (uint32_t)index, i = grid.item[m];
    const place<D> own = in_order[m];
    size_t length = WRITE ? start[i] : 0;
    auto append = [&](uint32_t other) {
        float delta[D];
        if (place_difference<D>(unit, own, in_order[other], delta) < cut) {
            if (WRITE)
                neighbour[length] = grid.item[other];
            length++;
        }
    };
    visit_cells<D>(grid, layers, grid.cell[i], [&](uint32_t from, uint32_t to) {
        if (n > owned)
            for (uint32_t other = from; other < to && other < m;
                 other++) /* only ghosts before it are its own */
                if (grid.item[other] >= owned)
                    append(other);
        for (uint32_t other = from > m ? from : m + 1; other < to; other++)
            append(other);
    });
    if (!WRITE)
        start[i] = (uint32_t)length;
}

/* Where rows begin, from their lengths. Returns the length of the list. */
static size_t list_starts(struct device *d, size_t rows, uint32_t *start, void *at) {
    uint64_t total = 0, *on_device = device_part<uint64_t>(&at, 1);
    scan(d, rows, start, on_device, at);
    device_read(d, &total, on_device, sizeof total);
    return (size_t)total;
}
static size_t list_room(size_t rows) {
    return device_room(sizeof(uint64_t)) + scan_room(rows);
}

template <int D>
static size_t list_pairs(struct device *d, const struct box *box, struct cell_grid *grid, size_t owned,
                         size_t n, uint64_t *const q[], double radius, struct pair_list *list) {
    const float cut = (float)(radius * radius * (1 + 1e-6)); /* wide enough for forces computed in float32 */
    const struct layers layers = layers_of(box, grid, radius);
    const struct place_unit unit = place_unit_of(box);
    const dim3 blocks = ep_blocks(n, THREADS);
    place<D> *in_order = (place<D> *)grid->scratch;
    void *at = device_scratch(d, list_room(owned));
    ep_launch(d, "places_in_order", places_in_order<D>, blocks, THREADS, 0, n, grid->item, axes_of(D, q),
              in_order);
    ep_launch(d, "list_rows, count", list_rows<D, false>, blocks, THREADS, 0, *grid, layers, unit, cut,
              (uint32_t)owned, (uint32_t)n, in_order, list->start, list->neighbour);
    const size_t length = list_starts(d, owned, list->start, at);
    if (length <= list->capacity)
        ep_launch(d, "list_rows", list_rows<D, true>, blocks, THREADS, 0, *grid, layers, unit, cut,
                  (uint32_t)owned, (uint32_t)n, in_order, list->start, list->neighbour);
    return length;
}

static size_t cuda_pair_list(const struct ops *ops, const struct box *box, struct cell_grid *grid,
                             size_t owned, size_t n, uint64_t *const q[], double radius,
                             struct pair_list *list) {
    struct device *d = device_of(ops);
    return box->d == 1   ? list_pairs<1>(d, box, grid, owned, n, q, radius, list)
           : box->d == 2 ? list_pairs<2>(d, box, grid, owned, n, q, radius, list)
                         : list_pairs<3>(d, box, grid, owned, n, q, radius, list);
}

/* ---- lists of edges: as above, both ways and by all 64 bits; a few times a frame, so a thread a receiver is enough ---- */

struct wide_unit {
    double at[MAX_DIMENSION];
};

template <int D, bool WRITE>
static __global__ void __launch_bounds__(THREADS, 12)
    edge_rows(cell_grid grid, layers layers, wide_unit unit, double cut, size_t receivers, axes<uint64_t> q,
              uint32_t *__restrict__ start, uint32_t *__restrict__ neighbour) {
    const size_t i = ep_index();
    if (i >= receivers)
        return;
    size_t length = WRITE ? start[i] : 0;
    visit_cells<D>(grid, layers, grid.cell[i], [&](uint32_t from, uint32_t to) {
        for (uint32_t m = from; m < to; m++) {
            const uint32_t j = grid.item[m];
            if (j == i || square_distance(D, unit.at, q.at, i, j) >= cut)
                continue;
            if (WRITE)
                neighbour[length] = j;
            length++;
        }
    });
    if (!WRITE)
        start[i] = (uint32_t)length;
}

template <int D>
static size_t list_edges(struct device *d, const struct box *box, const struct cell_grid *grid,
                         size_t receivers, uint64_t *const q[], double radius, struct pair_list *list) {
    const struct layers layers = layers_of(box, grid, radius);
    const dim3 blocks = ep_blocks(receivers, THREADS);
    struct wide_unit unit = {};
    for (int a = 0; a < D; a++)
        unit.at[a] = box->side[a] * 0x1p-64;
    void *at = device_scratch(d, list_room(receivers));
    ep_launch(d, "edge_rows, count", edge_rows<D, false>, blocks, THREADS, 0, *grid, layers, unit,
              radius * radius, receivers, axes_of(D, q), list->start, list->neighbour);
    const size_t length = list_starts(d, receivers, list->start, at);
    if (length <= list->capacity)
        ep_launch(d, "edge_rows", edge_rows<D, true>, blocks, THREADS, 0, *grid, layers, unit,
                  radius * radius, receivers, axes_of(D, q), list->start, list->neighbour);
    return length;
}

static size_t cuda_edge_list(const struct ops *ops, const struct box *box, const struct cell_grid *grid,
                             size_t receivers, size_t n, uint64_t *const q[], double radius,
                             struct pair_list *list) {
    struct device *d = device_of(ops);
    (void)n;
    return box->d == 1   ? list_edges<1>(d, box, grid, receivers, q, radius, list)
           : box->d == 2 ? list_edges<2>(d, box, grid, receivers, q, radius, list)
                         : list_edges<3>(d, box, grid, receivers, q, radius, list);
}

void cuda_fill_cells(struct ops *table) {
    table->cells_sort = cuda_cells_sort;
    table->pair_list = cuda_pair_list;
    table->edge_list = cuda_edge_list;
}
