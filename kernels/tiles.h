/* Products of small matrices in the shared memory of a block, each thread 4 x 4 numbers at a time.
 *
 * A matrix in shared memory has rows `ld` = tile_ld(columns) numbers apart: a multiple of 4, so that 4 numbers of a row
 * are one load, and not of 8, so that 8 rows of 4 numbers are in different banks. Numbers up to the next multiple of 4
 * columns are 0 where a sum runs over columns, and so are rows up to the next multiple of 4 where it runs over rows.
 * For 64 products of numbers a thread loads 8 times 4 numbers.
 */
#ifndef EPFLOW_KERNELS_TILES_H
#define EPFLOW_KERNELS_TILES_H

#include "kernels/device.h"

enum { SIDE = 4 };

static __host__ __device__ __forceinline__ int tile_round(int n) {
    return (n + SIDE - 1) / SIDE * SIDE;
}
static __host__ __device__ __forceinline__ int tile_ld(int columns) {
    const int n = tile_round(columns);
    return n % 8 == 0 ? n + 4 : n;
}

/* Four numbers of shared memory at a multiple of 16 bytes: the only vector loads of the kernels, of matrices as above. */
struct four {
    real x[SIDE];
};
static __device__ __forceinline__ struct four four_at(const real *at) {
    const float4 v = *reinterpret_cast<const float4 *>(at);
    return {{v.x, v.y, v.z, v.w}};
}

/* `rows` rows of `columns` numbers into shared memory, zeros around them up to multiples of 4. Whole blocks; 4 bytes a
 * number from memory, a warp next to each other. */
static __device__ __forceinline__ void load_tile(int rows, int columns, const real *from, size_t ld_from, real *to,
                                                 int ld) {
    const int across = columns <= 16 ? 16 : WARP, lane = (int)threadIdx.x % across;
    const int lines = (int)blockDim.x / across, all = tile_round(rows), wide = tile_round(columns);
    for (int r = (int)threadIdx.x / across; r < all; r += lines)
        for (int c = lane; c < wide; c += across)
            to[r * ld + c] = r < rows && c < columns ? from[(size_t)r * ld_from + (size_t)c] : 0;
}

/* ---- tiles of a result ---- */

/* of(i, j) for the tiles of this thread, i of `down` and j of `across`. */
template <typename F> static __device__ __forceinline__ void each_tile(int down, int across, F of) {
    for (int t = (int)threadIdx.x; t < down * across; t += (int)blockDim.x)
        of(t / across, t % across);
}
static __device__ __forceinline__ int tiles_of(int n) {
    return (n + SIDE - 1) / SIDE;
}

/* Rows r and columns s of tile (i, j) where both are apart from each other by the number of tiles: neighbouring threads
 * have neighbouring rows of both factors. */
static __device__ __forceinline__ int apart(int i, int r, int n) {
    return i + r * tiles_of(n);
}

typedef real tile_sum[SIDE][SIDE];

static __device__ __forceinline__ void clear_tile(tile_sum &sum) {
#pragma unroll
    for (int r = 0; r < SIDE; r++)
#pragma unroll
        for (int s = 0; s < SIDE; s++)
            sum[r][s] = 0;
}

static __device__ __forceinline__ void add_products(tile_sum &sum, const struct four a[SIDE],
                                                    const struct four b[SIDE]) {
#pragma unroll
    for (int r = 0; r < SIDE; r++)
#pragma unroll
        for (int s = 0; s < SIDE; s++)
#pragma unroll
            for (int e = 0; e < SIDE; e++)
                sum[r][s] += a[r].x[e] * b[s].x[e];
}

/* Tile (i, j), rows and columns apart, of a (m, k) b (n, k)^T. */
static __device__ __forceinline__ void add_rows_by_rows(tile_sum &sum, int i, int j, int m, int n, int k,
                                                        const real *a, const real *b, int ld) {
    const real *row[SIDE], *column[SIDE];
#pragma unroll
    for (int r = 0; r < SIDE; r++) {
        row[r] = a + min(apart(i, r, m), m - 1) * ld;
        column[r] = b + min(apart(j, r, n), n - 1) * ld;
    }
    for (int l = 0; l < k; l += SIDE) {
        struct four left[SIDE], right[SIDE];
#pragma unroll
        for (int r = 0; r < SIDE; r++) {
            left[r] = four_at(row[r] + l);
            right[r] = four_at(column[r] + l);
        }
        add_products(sum, left, right);
    }
}

/* Tile (i, j), rows apart and columns next to each other, of a (m, k) b (k, n). */
static __device__ __forceinline__ void add_rows_by_columns(tile_sum &sum, int i, int j, int m, int k, const real *a,
                                                           int lda, const real *b, int ldb) {
    const real *row[SIDE], *column = b + SIDE * j;
#pragma unroll
    for (int r = 0; r < SIDE; r++)
        row[r] = a + min(apart(i, r, m), m - 1) * lda;
    for (int l = 0; l < k; l += SIDE) {
        struct four left[SIDE];
#pragma unroll
        for (int r = 0; r < SIDE; r++)
            left[r] = four_at(row[r] + l);
#pragma unroll
        for (int e = 0; e < SIDE; e++) {
            const struct four right = four_at(column + (l + e) * ldb);
#pragma unroll
            for (int r = 0; r < SIDE; r++)
#pragma unroll
                for (int s = 0; s < SIDE; s++)
                    sum[r][s] += left[r].x[e] * right.x[s];
        }
    }
}

/* Tile (i, j), rows and columns next to each other, of a (k, m)^T b (k, n). */
static __device__ __forceinline__ void add_columns_by_columns(tile_sum &sum, int i, int j, int k, const real *a,
                                                              int lda, const real *b, int ldb) {
    for (int l = 0; l < k; l++) {
        const struct four left = four_at(a + l * lda + SIDE * i), right = four_at(b + l * ldb + SIDE * j);
#pragma unroll
        for (int r = 0; r < SIDE; r++)
#pragma unroll
            for (int s = 0; s < SIDE; s++)
                sum[r][s] += left.x[r] * right.x[s];
    }
}

/* put(row, column, sum) for the numbers of tile (i, j) that there are. */
template <typename F>
static __device__ __forceinline__ void put_apart(const tile_sum &sum, int i, int j, int m, int n, F put) {
#pragma unroll
    for (int r = 0; r < SIDE; r++)
#pragma unroll
        for (int s = 0; s < SIDE; s++)
            if (apart(i, r, m) < m && apart(j, s, n) < n)
                put(apart(i, r, m), apart(j, s, n), sum[r][s]);
}

/* The same into memory, rows `ld` apart, `columns` of them; rows apart of m, or next to each other; = or +=. */
static __device__ __forceinline__ void store_number(real *at, real value, bool add) {
    *at = value + (add ? *at : 0);
}
static __device__ __forceinline__ void store_apart(const tile_sum &sum, int i, int j, int m, int n, bool add,
                                                   real *to, size_t ld) {
#pragma unroll
    for (int r = 0; r < SIDE; r++)
#pragma unroll
        for (int s = 0; s < SIDE; s++)
            if (apart(i, r, m) < m && SIDE * j + s < n)
                store_number(to + (size_t)apart(i, r, m) * ld + SIDE * j + s, sum[r][s], add);
}
static __device__ __forceinline__ void store_near(const tile_sum &sum, int i, int j, int m, int n, bool add, real *to,
                                                  size_t ld) {
#pragma unroll
    for (int r = 0; r < SIDE; r++)
#pragma unroll
        for (int s = 0; s < SIDE; s++)
            if (SIDE * i + r < m && SIDE * j + s < n)
                store_number(to + (size_t)(SIDE * i + r) * ld + SIDE * j + s, sum[r][s], add);
}

#endif
