/* Arrays of rows: blocks of threads for them, and sums of the rows of edges for their receivers and senders. */
#ifndef EPFLOW_KERNELS_ROWS_H
#define EPFLOW_KERNELS_ROWS_H

#include "kernels/device.h"

/* A block for a few whole rows, one thread a column (threadIdx.x, in steps of blockDim.x where there are more than fit),
 * one row a threadIdx.y: threads next to each other have columns next to each other, and nothing is divided. */
static inline dim3 ep_row_block(int columns) {
    const unsigned x = columns < 1 ? 1 : columns < 256 ? (unsigned)columns : 256;
    return dim3(x, 256 / x);
}
static inline dim3 ep_row_grid(size_t rows, dim3 block) {
    return dim3((unsigned)((rows + block.y - 1) / block.y));
}
static __device__ __forceinline__ size_t ep_row() {
    return (size_t)blockIdx.x * blockDim.y + threadIdx.y;
}

/* Lanes that share a receiver with few edges, or a particle with few vectors. */
enum { GROUP = 8 };
/* Sum over the lanes of a group, in the same order for every lane. Called by full warps. */
static __device__ __forceinline__ real group_sum(real value) {
#pragma unroll
    for (int apart = GROUP / 2; apart > 0; apart /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, apart);
    return value;
}

/* Where sums of rows go: sum number c of particle i is added to at[i stride + (c / width) pitch + c % width], times
 * sign. So parts of rows can be filled: `width` of `pitch` columns of every axis, for one. */
struct row_target {
    real *at;
    size_t stride;
    int width, pitch;
    real sign;
};
static __device__ __forceinline__ real *row_place(const struct row_target &to, size_t i, int c) {
    return to.at + i * to.stride + (size_t)(c / to.width) * (size_t)to.pitch + (size_t)(c % to.width);
}

/* Adds the rows (range.count, columns) of a range of edges to its receivers, in order of the edges. */
void add_to_receivers(struct device *d, const struct edges *edges, struct edge_range range, const real *rows,
                      int columns, struct row_target to);
/* And to their senders, likewise; edges_by_sender has filled back_start and back_edge. */
void add_to_senders(struct device *d, const struct edges *edges, struct edge_range range, const real *rows,
                    int columns, struct row_target to);

#endif
