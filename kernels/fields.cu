/* Fields: amounts of particles spread over a grid. Particles are sorted by the first cell that they reach, and every cell
 * adds what those that reach it give, in that order.
 */
#include "kernels/order.h"
#include "ops/spread_formula.h"

enum {
    THREADS = 256,
    MOST_THREADS = 1 << 18, /* no cell's particles are shared out beyond: a GPU is full */
    FEWEST_PARTICLES = 64,  /* on average of a thread that gets a share of a cell's */
    MOST_SHARES = 1024
};

/* Of scratch, for particles at once. */
#ifdef EPFLOW_EMULATION
static const size_t PIECE_BYTES = 1 << 18; /* so that there are pieces */
#else
static const size_t PIECE_BYTES = 1 << 28;
#endif

struct spread_axes {
    int d;
    uint32_t columns, stride; /* of amounts; of weights: the spans of all axes */
    spread_axis at[MAX_DIMENSION];
};

/* Particles in order of the first cell that they reach: key (n), weight (n, stride), amount (n, columns). */
struct spread_rows {
    const uint32_t *start, *key; /* start (cells + 1) */
    const double *weight, *amount;
};

/* 8 d bytes read and 8 written a particle. */
static __global__ void first_cells(spread_axes axes, size_t n, const double *__restrict__ position,
                                   uint32_t *__restrict__ key, uint32_t *__restrict__ value) {
    const size_t i = ep_index();
    if (i >= n)
        return;
    uint32_t cell = 0;
#pragma unroll
    for (int a = MAX_DIMENSION - 1; a >= 0; a--)
        if (a < axes.d) {
            const spread_axis &axis = axes.at[a];
            const int first = spread_first(&axis, spread_place(&axis, position[i * axes.d + a]));
            cell = cell * (uint32_t)axis.cells + (uint32_t)spread_wrapped(&axis, first);
        }
    key[i] = cell;
    value[i] = (uint32_t)i;
}

/* A warp for each particle in order. 8 (d + columns) bytes read, 8 (stride + columns) written, and two exponentials a
 * weight: the first time for their sum. */
static __global__ void __launch_bounds__(THREADS)
    rows_in_order(spread_axes axes, size_t n, const uint32_t *__restrict__ value,
                  const double *__restrict__ position, const double *__restrict__ amount,
                  double *__restrict__ weight, double *__restrict__ sorted) {
    const size_t m = ep_index() / WARP;
    const int lane = (int)threadIdx.x % WARP;
    if (m >= n)
        return;
    const size_t i = value[m];
    double *row = weight + m * axes.stride;
    for (int a = 0; a < axes.d; a++) {
        const spread_axis &axis = axes.at[a];
        const double place = spread_place(&axis, position[i * axes.d + a]);
        const int first = spread_first(&axis, place);
        double sum = 0;
        for (int c = lane; c < axis.count; c += WARP)
            sum += spread_height(&axis, first + c, place);
        sum = warp_sum(sum) * axis.spacing;
        for (int c = lane; c < axis.span; c += WARP) {
            double own = 0; /* of one height, where the axis is long enough */
            for (int k = c; k < axis.count; k += axis.span)
                own += spread_height(&axis, first + k, place);
            row[c] = own / sum;
        }
        row += axis.span;
    }
    for (uint32_t c = (uint32_t)lane; c < axes.columns; c += WARP)
        sorted[m * axes.columns + c] = amount[i * axes.columns + c];
}

/* What a column of a cell gets of particles from ... to - 1, whose first cells are in one row of the grid. `along`: the
 * key that a particle would have for which this cell is the first on the first axis; y, z: which weight of the others. */
template <int D>
static __device__ __forceinline__ double add_run(const spread_axes &axes, const spread_rows &rows,
                                                 uint32_t from, uint32_t to, uint32_t along, int y, int z,
                                                 uint32_t column, double sum) {
#pragma unroll 4
    for (uint32_t p = from; p < to; p++) {
        const double *weight = rows.weight + (size_t)p * axes.stride;
        double w = weight[along - rows.key[p]];
        if (D > 1)
            w *= weight[axes.at[0].span + y];
        if (D > 2)
            w *= weight[axes.at[0].span + axes.at[1].span + z];
        sum += w * rows.amount[(size_t)p * axes.columns + column];
    }
    return sum;
}

/* A thread for each column of a cell, or, where cells are few (gridDim.y > 1), for a share of the particles of each run.
 * Next to each other are the columns of a cell, then the cells of a row: of the 4 numbers that a particle costs three are
 * the same for all columns, and neighbours read the same particles. With 14 by 14 cells and 8 columns 1568 additions a
 * particle, some 50 KB from the caches. */
template <int D>
static __global__ void __launch_bounds__(THREADS)
    collect(spread_axes axes, size_t elements, spread_rows rows, bool onto, double *__restrict__ sum) {
    const size_t element = ep_index();
    if (element >= elements)
        return;
    const uint32_t column = (uint32_t)(element % axes.columns), shares = gridDim.y;
    uint32_t left = (uint32_t)(element / axes.columns), turn = blockIdx.y;
    int c[MAX_DIMENSION] = {0, 0, 0};
#pragma unroll
    for (int a = 0; a < D; a++) {
        c[a] = (int)(left % (uint32_t)axes.at[a].cells);
        left /= (uint32_t)axes.at[a].cells;
    }
    double own = 0;
    const int lowest = c[0] - axes.at[0].span + 1; /* first cell whose particles reach this one */
    auto add = [&](uint32_t row, int low, int high, int along, int y, int z) {
        uint32_t from = rows.start[row + (uint32_t)low], to = rows.start[row + (uint32_t)high];
        if (shares > 1) { /* another one each time: runs can be shorter than there are shares */
            const uint64_t length = to - from;
            to = from + (uint32_t)(length * (turn + 1) / shares);
            from += (uint32_t)(length * turn / shares);
            turn = turn + 1 < shares ? turn + 1 : 0;
        }
        own = add_run<D>(axes, rows, from, to, row + (uint32_t)along, y, z, column, own);
    };
    for (int z = 0; z < (D > 2 ? axes.at[2].span : 1); z++)
        for (int y = 0; y < (D > 1 ? axes.at[1].span : 1); y++) {
            uint32_t row = D > 2 ? (uint32_t)(c[2] - z < 0 ? c[2] - z + axes.at[2].cells : c[2] - z) : 0;
            if (D > 1)
                row = row * (uint32_t)axes.at[1].cells +
                      (uint32_t)(c[1] - y < 0 ? c[1] - y + axes.at[1].cells : c[1] - y);
            row *= (uint32_t)axes.at[0].cells;
            if (lowest < 0) /* from the other end of the axis */
                add(row, lowest + axes.at[0].cells, axes.at[0].cells, c[0] + axes.at[0].cells, y, z);
            add(row, lowest < 0 ? 0 : lowest, c[0] + 1, c[0], y, z);
        }
    double *to = sum + blockIdx.y * elements + element;
    *to = onto ? *to + own : own;
}

/* sum += the shares, in order. 8 (shares + 2) bytes an element. */
static __global__ void add_shares(size_t elements, unsigned shares, const double *__restrict__ part,
                                  double *__restrict__ sum) {
    const size_t element = ep_index();
    if (element >= elements)
        return;
    double own = 0;
    for (unsigned s = 0; s < shares; s++)
        own += part[s * elements + element];
    sum[element] += own;
}

static spread_axes axes_of_grid(const struct spread_grid *grid, int columns) {
    spread_axes axes = {};
    axes.d = grid->d;
    axes.columns = (uint32_t)columns;
    for (int a = 0; a < grid->d; a++) {
        axes.at[a] = spread_axis_of(grid, a);
        axes.stride += (uint32_t)axes.at[a].span;
    }
    return axes;
}

static size_t cells_of(const spread_axes &axes) {
    size_t cells = 1;
    for (int a = 0; a < axes.d; a++)
        cells *= (size_t)axes.at[a].cells;
    return cells;
}

/* Into how many shares the particles of each cell are divided. */
static unsigned shares_of(const spread_axes &axes, size_t n, size_t cells) {
    double of_cell = (double)n / (double)cells;
    for (int a = 0; a < axes.d; a++)
        of_cell *= axes.at[a].span;
    const double room = (double)MOST_THREADS / ((double)cells * axes.columns),
                 most = fmin(fmin(room, of_cell / FEWEST_PARTICLES), MOST_SHARES);
    return most > 1 ? (unsigned)most : 1;
}

static void spread_piece(struct device *d, const spread_axes &axes, size_t n, const double *position,
                         const double *amount, double *sum) {
    const size_t cells = cells_of(axes), elements = cells * axes.columns;
    const unsigned shares = shares_of(axes, n, cells);
    const size_t part_count = shares > 1 ? shares * elements : 0;
    void *at = device_scratch(d, 4 * device_room(n * sizeof(uint32_t)) +
                                     device_room((cells + 1) * sizeof(uint32_t)) +
                                     device_room(n * axes.stride * sizeof(double)) +
                                     device_room(n * axes.columns * sizeof(double)) +
                                     device_room(part_count * sizeof(double)) + sort_room(n));
    struct keyed from, other;
    from.key = device_part<uint32_t>(&at, n);
    from.value = device_part<uint32_t>(&at, n);
    other.key = device_part<uint32_t>(&at, n);
    other.value = device_part<uint32_t>(&at, n);
    uint32_t *start = device_part<uint32_t>(&at, cells + 1);
    double *weight = device_part<double>(&at, n * axes.stride),
           *sorted = device_part<double>(&at, n * axes.columns), *part = device_part<double>(&at, part_count);
    ep_launch(d, "first_cells", first_cells, ep_blocks(n, THREADS), THREADS, 0, axes, n, position, from.key,
              from.value);
    const struct keyed order = sort_by_key(d, n, cells, from, other, at);
    find_starts(d, n, order.key, cells, start);
    ep_launch(d, "rows_in_order", rows_in_order, ep_blocks(n * WARP, THREADS), THREADS, 0, axes, n,
              order.value, position, amount, weight, sorted);
    const spread_rows rows = {start, order.key, weight, sorted};
    dim3 blocks = ep_blocks(elements, THREADS);
    blocks.y = shares;
    ep_launch(d, "collect", EP_BY_DIMENSION(axes.d, collect), blocks, THREADS, 0, axes, elements, rows,
              shares == 1, shares == 1 ? sum : part);
    if (shares > 1)
        ep_launch(d, "add_shares", add_shares, ep_blocks(elements, THREADS), THREADS, 0, elements, shares,
                  part, sum);
}

static enum status cuda_spread(const struct ops *ops, const struct spread_grid *grid, size_t n, int columns,
                               const double *position, const double *amount, double *sum) {
    const spread_axes axes = axes_of_grid(grid, columns);
    const size_t once = PIECE_BYTES / ((axes.stride + axes.columns) * sizeof(double));
    for (size_t begin = 0; begin < n && columns > 0; begin += once)
        spread_piece(device_of(ops), axes, n - begin < once ? n - begin : once, position + begin * grid->d,
                     amount + begin * axes.columns, sum);
    return device_of(ops)->status;
}

void cuda_fill_fields(struct ops *table) {
    table->spread = cuda_spread;
}
