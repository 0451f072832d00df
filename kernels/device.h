/* What every .cu file of the CUDA table starts from: the device of a rank, launches, scratch memory.
 *
 * The same sources are compiled by nvcc and, for tests/emulation, by a C++ compiler for the CPU. They keep to
 * the rules in kernels/README.md; the most important: launch only by ep_launch, dynamic shared memory only by
 * EP_SHARED, no atomics on floating-point numbers (sums have a fixed order, so that results do not depend on
 * the schedule), full warps in collectives, barriers that every thread of a block reaches.
 */
#ifndef EPFLOW_KERNELS_DEVICE_H
#define EPFLOW_KERNELS_DEVICE_H

#include <cuda_runtime.h>
#include <cublasLt.h>

#include "ops/backend.h"
#include "ops/ops.h"

#ifdef EPFLOW_EMULATION
#include "emulated_kernels.h" /* threadIdx, __syncthreads, shuffles, atomics, emulated_launch */
#endif

/* The device of this process. All work of the table goes to one stream, in order. */
struct device {
    int number;
    cudaStream_t stream;
    cublasLtHandle_t blas;
    void *workspace; /* of cuBLASLt */
    size_t workspace_bytes;
    struct product_table *products; /* kernels/product.cu */
    enum device_precision precision;
    size_t most_shared; /* bytes of shared memory that a block can ask for: 99 KiB and more */
    void *scratch;      /* see device_scratch */
    size_t scratch_bytes;
    void *host; /* pinned, see device_read */
    size_t host_bytes;
    void *messages;     /* nccl.cu; NULL: none */
    enum status status; /* of the first error; it stays, and every synchronise reports it */
    char message[512];
};

static inline struct device *device_of(const struct ops *ops) {
    return (struct device *)ops->context;
}

/* Notes an error in words, if it is the first. */
void device_note(struct device *d, const char *what, const char *why);

/* Notes an error of the runtime; after it nothing is launched any more, and synchronise reports it. Returns whether
 * all is well. `what`: the call, in words of the message. */
bool device_check(struct device *d, cudaError_t error, const char *what);
bool device_check_blas(struct device *d, cublasStatus_t error, const char *what);

/* Memory of at least so many bytes (aligned to 256), good until the op ends: the next op that asks may get the same.
 * One call an op; cut it up by device_part. NULL after an error. */
void *device_scratch(struct device *d, size_t bytes);

/* The next `count` elements of a block of scratch, each part aligned to 256 bytes. Under emulation what is between parts
 * may not be touched, and there is something between all of them. */
static inline size_t device_room(size_t bytes) {
#ifdef EPFLOW_EMULATION
    bytes += 256;
#endif
    return (bytes + 255) / 256 * 256;
}
template <typename T> static inline T *device_part(void **at, size_t count) {
    T *part = (T *)*at;
    if (part) {
        *at = (char *)*at + device_room(count * sizeof(T));
#ifdef EPFLOW_EMULATION
        emulated_part(part, count * sizeof(T));
#endif
    }
    return part;
}

/* Waits for all work of the table, and with it for messages; returns whether all is well. */
bool device_wait(struct device *d, const char *what);

/* nccl.cu: notes what went wrong with messages that are under way; whether there are any; gives their memory back. */
void device_messages_look(struct device *d);
bool device_messages_started(const struct device *d);
void device_messages_free(struct device *d);

/* Copies to the host and waits for it. */
void device_read(struct device *d, void *host, const void *device, size_t bytes);

/* Blocks of `block` threads with one thread for each of `count` items; the kernel's bounds check drops the rest. */
static inline dim3 ep_blocks(size_t count, unsigned block) {
    return dim3((unsigned)((count + block - 1) / block));
}

/* Launches kernel (arguments) on the device's stream. An empty grid is no launch. More than 48 KiB of dynamic shared
 * memory is asked for where it is needed. Errors are noted. */
template <typename... P, typename... A>
static inline void ep_launch(struct device *d, const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                             size_t shared, A... arguments) {
    if (d->status != STATUS_OK || grid.x == 0 || grid.y == 0 || grid.z == 0)
        return;
#ifdef EPFLOW_EMULATION
    device_check(
        d, emulated_launch(name, kernel, grid, block, shared, d->stream, static_cast<P>(arguments)...), name);
#else
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    config.stream = d->stream;
    if (shared > 48 * 1024 &&
        !device_check(d,
                      cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                           (int)shared),
                      name))
        return;
    device_check(d, cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...), name);
#endif
}

/* `name`: an array of `type` in the dynamic shared memory of the block. One a kernel. */
#ifdef EPFLOW_EMULATION
#define EP_SHARED(type, name) type *name = (type *)emulated_dynamic_shared()
#else
#define EP_SHARED(type, name)                                                                                \
    extern __shared__ __align__(16) unsigned char ep_dynamic_shared[];                                       \
    type *name = reinterpret_cast<type *>(ep_dynamic_shared)
#endif

/* The index of a thread in a one-dimensional grid. */
static __device__ __forceinline__ size_t ep_index() {
    return (size_t)blockIdx.x * blockDim.x + threadIdx.x;
}

/* Arrays of one per axis, by value into kernels. */
template <typename T> struct axes { T *at[MAX_DIMENSION]; };
template <typename T> static inline axes<T> axes_of(int d, T *const array[]) {
    axes<T> a = {};
    for (int m = 0; m < d; m++)
        a.at[m] = array ? array[m] : nullptr;
    return a;
}

/* kernel<1>, <2> or <3>. */
#define EP_BY_DIMENSION(d, kernel) ((d) == 1 ? kernel<1> : (d) == 2 ? kernel<2> : kernel<3>)

/* ---- sums in a fixed order: every thread of the block calls these ---- */

enum { WARP = 32 };

template <typename T> static __device__ __forceinline__ T warp_sum(T value) {
#pragma unroll
    for (int apart = WARP / 2; apart > 0; apart /= 2)
        value += __shfl_xor_sync(0xffffffffu, value, apart);
    return value;
}
template <typename T> static __device__ __forceinline__ T warp_max(T value) {
#pragma unroll
    for (int apart = WARP / 2; apart > 0; apart /= 2) {
        const T other = __shfl_xor_sync(0xffffffffu, value, apart);
        value = other > value ? other : value;
    }
    return value;
}
/* Of a block of up to 1024 threads, a multiple of 32; `room`: 32 elements of shared memory. Every thread has the result.
 * Begins and ends with a barrier's worth of order: room can be used again after it. */
template <typename T> static __device__ __forceinline__ T block_sum(T value, T *room) {
    const int lane = (int)threadIdx.x % WARP, warp = (int)threadIdx.x / WARP, warps = (int)blockDim.x / WARP;
    value = warp_sum(value);
    if (lane == 0)
        room[warp] = value;
    __syncthreads();
    T sum = 0;
    for (int w = 0; w < warps; w++)
        sum += room[w];
    __syncthreads();
    return sum;
}

/* Likewise the largest. */
template <typename T> static __device__ __forceinline__ T block_max(T value, T *room) {
    value = warp_max(value);
    if (threadIdx.x % WARP == 0)
        room[threadIdx.x / WARP] = value;
    __syncthreads();
    T most = room[0];
    for (int w = 1; w < (int)blockDim.x / WARP; w++)
        most = room[w] > most ? room[w] : most;
    __syncthreads();
    return most;
}

/* Each file fills the entries it has. */
void cuda_fill_memory(struct ops *table);
void cuda_fill_select(struct ops *table);
void cuda_fill_cells(struct ops *table);
void cuda_fill_nearest(struct ops *table);
void cuda_fill_pairs(struct ops *table);
void cuda_fill_align(struct ops *table);
void cuda_fill_close(struct ops *table);
void cuda_fill_step(struct ops *table);
void cuda_fill_windows(struct ops *table);
void cuda_fill_scatter(struct ops *table);
void cuda_fill_linear(struct ops *table);
void cuda_fill_sums(struct ops *table);
void cuda_fill_network(struct ops *table);
void cuda_fill_attention(struct ops *table);
void cuda_fill_attention_second(struct ops *table);
void cuda_fill_second(struct ops *table);
void cuda_fill_pool(struct ops *table);
void cuda_fill_edges(struct ops *table);
void cuda_fill_edge_sums(struct ops *table);
void cuda_fill_sweeps(struct ops *table);
void cuda_fill_features(struct ops *table);
void cuda_fill_edge_messages(struct ops *table);
void cuda_fill_response(struct ops *table);
void cuda_fill_fields(struct ops *table);
void cuda_fill_optimizer(struct ops *table);

#endif
