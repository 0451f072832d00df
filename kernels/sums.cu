/* Column sums: parts of the rows first, then the parts. */
#include "kernels/sums.h"

enum { LINES = 32, ROWS_A_PART = 1024, MOST_PARTS = 512 };

/* Columns of a block are next to each other, its lines take every LINES-th row of part blockIdx.y: reads each number once,
 * a warp 128 bytes at a time. */
static __global__ void __launch_bounds__(WARP *LINES)
    sum_columns(size_t rows, size_t rows_a_part, int columns, const real *__restrict__ x, size_t ldx, bool add,
                real *sum) {
    __shared__ real room[LINES][WARP + 1];
    const int line = (int)threadIdx.y, c = (int)(blockIdx.x * WARP + threadIdx.x);
    const size_t first = blockIdx.y * rows_a_part, end = first + rows_a_part < rows ? first + rows_a_part : rows;
    real own = 0;
    if (c < columns)
        for (size_t r = first + (size_t)line; r < end; r += LINES)
            own += x[r * ldx + (size_t)c];
    room[line][threadIdx.x] = own;
    __syncthreads();
    const real total = warp_sum(room[threadIdx.x][line]); /* warp `line` has column `line` of the block */
    const int of = (int)blockIdx.x * WARP + line;
    if (threadIdx.x == 0 && of < columns) {
        real *to = sum + blockIdx.y * (size_t)columns + of;
        *to = total + (add ? *to : 0);
    }
}

static size_t rows_of_part(size_t rows) {
    const size_t even = (rows + MOST_PARTS - 1) / MOST_PARTS;
    return even > ROWS_A_PART ? even : (size_t)ROWS_A_PART;
}

size_t device_sum_parts(size_t rows) {
    const size_t of_part = rows_of_part(rows);
    return (rows + of_part - 1) / of_part;
}

void device_column_sums(struct device *d, size_t rows, int columns, const real *x, size_t ldx, real *sum,
                        real *parts) {
    const unsigned tiles = ((unsigned)columns + WARP - 1) / WARP;
    const size_t count = parts ? device_sum_parts(rows) : 1;
    if (rows == 0)
        return;
    if (count > 1) {
        ep_launch(d, "sum_columns", sum_columns, dim3(tiles, (unsigned)count), dim3(WARP, LINES), 0, rows,
                  rows_of_part(rows), columns, x, ldx, false, parts);
        x = parts;
        ldx = (size_t)columns;
        rows = count;
    }
    ep_launch(d, "sum_columns", sum_columns, dim3(tiles), dim3(WARP, LINES), 0, rows, rows, columns, x, ldx, true,
              sum);
}

static void cuda_column_sums(const struct ops *ops, size_t rows, int columns, const real *x, size_t ldx, real *sum) {
    struct device *d = device_of(ops);
    const size_t room = device_sum_parts(rows) * (size_t)columns * sizeof(real);
    if (rows > 0)
        device_column_sums(d, rows, columns, x, ldx, sum, (real *)device_scratch(d, room));
}

void cuda_fill_sums(struct ops *table) {
    table->column_sums = cuda_column_sums;
}
