/* The nearest neighbours of particles.
 *
 * A block is a centre: one warp of threads, or more where many are asked for. Shells of cells are looked at, farther and
 * farther, as on the CPU, until nothing nearer can be missed. The candidates of all cells of a shell are one after the
 * other, so that every thread has one whatever the cells hold. Those nearer than the k-th so far are collected in shared
 * memory; when that is full, and at the end of a shell, they are sorted and the first k kept: with k = 32 some 150
 * candidates, 12 bytes and 30 operations each, and one or two sorts of 256.
 */
#include "kernels/order.h"
#include "kernels/places.h"
#include "ops/cell_formula.h"

enum { FEW = 128, FEW_THREADS = WARP, MANY_THREADS = 256 };

struct chosen {
    double *square; /* (room) */
    uint32_t *j;
    int room, count, sorted; /* sorted: that are in order and no more than k */
};

/* Bitonic, of the power of two that holds them: the rest is farther than anything. */
static __device__ __forceinline__ void sort_chosen(struct chosen *c) {
    int size = 2;
    while (size < c->count)
        size *= 2;
    for (int m = c->count + (int)threadIdx.x; m < size; m += (int)blockDim.x) {
        c->square[m] = INFINITY;
        c->j[m] = UINT32_MAX;
    }
    __syncthreads();
    for (int length = 2; length <= size; length *= 2)
        for (int apart = length / 2; apart > 0; apart /= 2) {
            for (int p = (int)threadIdx.x; p < size / 2; p += (int)blockDim.x) {
                const int low = 2 * p - (p & (apart - 1)), high = low + apart;
                const struct candidate a = {c->square[low], c->j[low]}, b = {c->square[high], c->j[high]};
                if (worse(a, b) == ((low & length) == 0)) {
                    c->square[low] = b.square;
                    c->j[low] = b.j;
                    c->square[high] = a.square;
                    c->j[high] = a.j;
                }
            }
            __syncthreads();
        }
}

/* The k best. */
static __device__ __forceinline__ void keep_best(int k, struct chosen *c) {
    if (c->sorted == c->count)
        return;
    sort_chosen(c);
    c->count = c->sorted = c->count < k ? c->count : k;
}

/* What the threads of a block look at together: cells, the particles of which are numbered one after the other. */
struct stretch {
    uint32_t *before; /* (threads) numbers of the cells before each */
    uint32_t *from;   /* (threads) */
    uint32_t total;
};

/* Number m of them, as a place in cell order: of the last cell that has none beyond m before it. */
static __device__ __forceinline__ uint32_t in_stretch(const struct stretch &s, uint32_t m) {
    int low = 0, high = (int)blockDim.x - 1;
    while (low < high) {
        const int middle = (low + high + 1) / 2;
        if (s.before[middle] <= m)
            low = middle;
        else
            high = middle - 1;
    }
    return s.from[low] + (m - s.before[low]);
}

template <int D>
static __device__ __forceinline__ void
offer_stretch(const cell_grid &grid, const double unit[], const axes<uint64_t> &q, size_t i, int k,
              const struct stretch &s, uint32_t *room, struct chosen *c) {
    for (uint32_t first = 0; first < s.total; first += blockDim.x) {
        if (c->count + (int)blockDim.x > c->room)
            keep_best(k, c);
        const uint32_t m = first + threadIdx.x;
        struct candidate offer = {INFINITY, UINT32_MAX}, last = {INFINITY, UINT32_MAX};
        if (m < s.total) {
            offer.j = grid.item[in_stretch(s, m)];
            offer.square = square_distance(D, unit, q.at, i, offer.j);
        }
        if (c->sorted == k)
            last = {c->square[k - 1], c->j[k - 1]};
        const bool keep = m < s.total && offer.j != i && worse(last, offer);
        uint32_t all = 0;
        const uint32_t at = (uint32_t)c->count + sum_before((uint32_t)keep, room, &all);
        if (keep) {
            c->square[at] = offer.square;
            c->j[at] = offer.j;
        }
        c->count += (int)all;
    }
}

/* The cells that are exactly so many layers away from a cell. */
struct shell {
    struct reach reach[MAX_DIMENSION], inner[MAX_DIMENSION];
    uint32_t cells; /* with those inside */
};

template <int D>
static __device__ __forceinline__ struct shell shell_of(const cell_grid &grid, const int c[], int layers) {
    struct shell s = {
        {{0, 1, true}, {0, 1, true}, {0, 1, true}}, {{0, 1, true}, {0, 1, true}, {0, 1, true}}, 1};
#pragma unroll
    for (int a = 0; a < D; a++) {
        s.reach[a] = reach_of(&grid, a, c[a], layers);
        s.inner[a] = reach_of(&grid, a, c[a], layers - 1);
        s.cells *= (uint32_t)s.reach[a].count;
    }
    return s;
}

/* Cell number `number` of a shell: where its particles begin and end; none of a cell inside. */
template <int D>
static __device__ __forceinline__ void cell_of_shell(const cell_grid &grid, const int c[],
                                                     const struct shell &s, int layers, uint32_t number,
                                                     uint32_t *from, uint32_t *to) {
    int at[MAX_DIMENSION] = {0, 0, 0};
    bool seen = layers > 0;
#pragma unroll
    for (int a = 0; a < D; a++) {
        const int offset = s.reach[a].first + (int)(number % (uint32_t)s.reach[a].count);
        number /= (uint32_t)s.reach[a].count;
        at[a] = cell_at(&grid, a, c[a] + offset);
        seen = seen && offset >= s.inner[a].first && offset < s.inner[a].first + s.inner[a].count;
    }
    const size_t cell =
        ((size_t)at[2] * (size_t)grid.cells[1] + (size_t)at[1]) * (size_t)grid.cells[0] + (size_t)at[0];
    *from = grid.start[cell];
    *to = seen ? *from : grid.start[cell + 1];
}

/* Offers what the threads' cells hold. */
template <int D>
static __device__ __forceinline__ void
offer_cells(const cell_grid &grid, const double unit[], const axes<uint64_t> &q, size_t i, int k,
            uint32_t from, uint32_t to, struct stretch *s, uint32_t *room, struct chosen *c) {
    const uint32_t before = sum_before(to - from, room, &s->total);
    s->before[threadIdx.x] = before;
    s->from[threadIdx.x] = from;
    __syncthreads();
    offer_stretch<D>(grid, unit, q, i, k, *s, room, c);
    __syncthreads();
}

/* All cells, from near to far, until no nearer particle can be in one not seen. */
template <int D>
static __device__ __forceinline__ void search(const box &box, const cell_grid &grid, const axes<uint64_t> &q,
                                              size_t i, int k, struct stretch *s, uint32_t *room,
                                              struct chosen *chosen) {
    double unit[D], covered = 0;
    int c[D];
#pragma unroll
    for (int a = 0; a < D; a++)
        unit[a] = box.side[a] * 0x1p-64;
    if (grid.group > 0) {
        const uint32_t from = grid.start[grid.cell[i]], to = grid.start[grid.cell[i] + 1];
        offer_cells<D>(grid, unit, q, i, k, from, threadIdx.x == 0 ? to : from, s, room, chosen);
        keep_best(k, chosen);
        return;
    }
    uint32_t cell = grid.cell[i];
#pragma unroll
    for (int a = 0; a < D; a++) {
        c[a] = (int)(cell % (uint32_t)grid.cells[a]);
        cell /= (uint32_t)grid.cells[a];
    }
    for (int layers = 0; covered < INFINITY; layers++) {
        const struct shell shell = shell_of<D>(grid, c, layers);
        for (uint32_t first = 0; first < shell.cells; first += blockDim.x) {
            uint32_t from = 0, to = 0;
            if (first + threadIdx.x < shell.cells)
                cell_of_shell<D>(grid, c, shell, layers, first + threadIdx.x, &from, &to);
            offer_cells<D>(grid, unit, q, i, k, from, to, s, room, chosen);
        }
        covered = covered_within(D, &box, &grid, shell.reach, layers);
        if (chosen->count < k && covered < INFINITY)
            continue;
        keep_best(k, chosen);
        if (chosen->count == k && chosen->square[k - 1] <= covered * covered)
            break;
    }
}

template <int D>
static __global__ void __launch_bounds__(MANY_THREADS, 4)
    nearest_of_centre(box box, cell_grid grid, const uint32_t *__restrict__ centre, axes<uint64_t> q, int k,
                      int room, uint32_t *__restrict__ index, double *__restrict__ farthest) {
    EP_SHARED(double, shared);
    __shared__ uint32_t sums[32];
    const size_t w = blockIdx.x, i = centre ? centre[w] : w;
    struct chosen c = {shared, (uint32_t *)(shared + room), room, 0, 0};
    struct stretch s = {c.j + room, c.j + room + blockDim.x, 0};
    search<D>(box, grid, q, i, k, &s, sums, &c);
    for (int m = (int)threadIdx.x; m < k; m += (int)blockDim.x)
        index[w * (size_t)k + (size_t)m] = m < c.count ? c.j[m] : UINT32_MAX;
    if (threadIdx.x == 0)
        farthest[w] = c.count == k ? sqrt(c.square[k - 1]) : INFINITY;
}

static void cuda_nearest(const struct ops *ops, const struct box *box, const struct cell_grid *grid,
                         size_t count, const uint32_t *centre, size_t n, uint64_t *const q[], int k,
                         uint32_t *index, double *farthest) {
    const int threads = k <= FEW ? FEW_THREADS : MANY_THREADS;
    int room = 2 * FEW;
    (void)n;
    while (room < 2 * k || room < k + threads)
        room *= 2;
    const size_t shared = (size_t)room * (sizeof(double) + sizeof(uint32_t)) + threads * 2 * sizeof(uint32_t);
    ep_launch(device_of(ops), "nearest_of_centre", EP_BY_DIMENSION(box->d, nearest_of_centre),
              dim3((unsigned)count), threads, shared, *box, *grid, centre, axes_of(box->d, q), k, room, index,
              farthest);
}

void cuda_fill_nearest(struct ops *table) {
    table->nearest = cuda_nearest;
}
