/* Memory of the device, and copies. */
#include "kernels/device.h"

#include <string.h>

static enum status cuda_synchronise(const struct ops *ops) {
    struct device *d = device_of(ops);
    device_check(d, cudaGetLastError(), "a launch");
    device_wait(d, "waiting for it");
    if (d->status == STATUS_OK)
        return STATUS_OK;
    return FAIL(d->status, "%s", d->message);
}

static void cuda_zero(const struct ops *ops, void *memory, size_t bytes) {
    struct device *d = device_of(ops);
    if (bytes > 0 && d->status == STATUS_OK)
        device_check(d, cudaMemsetAsync(memory, 0, bytes, d->stream), "setting memory to zero");
}

static enum status cuda_allocate(const struct ops *ops, size_t bytes, void **out) {
    struct device *d = device_of(ops);
    *out = NULL;
    const cudaError_t error = cudaMalloc(out, bytes > 0 ? bytes : 1);
    if (error != cudaSuccess) {
        *out = NULL;
        cudaGetLastError(); /* forget it: the caller is told */
        return FAIL(STATUS_FAILURE,
                    "GPU %d: no memory for %zu bytes (%s): use more ranks, each with its own GPU", d->number,
                    bytes, cudaGetErrorString(error));
    }
    cuda_zero(ops, *out, bytes);
    return STATUS_OK;
}

static void cuda_release(const struct ops *ops, void *memory) {
    if (!memory)
        return;
    device_wait(device_of(ops), "giving memory back"); /* nothing may use it any more */
    device_check(device_of(ops), cudaFree(memory), "giving memory back");
}

static void copy(const struct ops *ops, void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    struct device *d = device_of(ops);
    if (bytes > 0 && d->status == STATUS_OK)
        device_check(d, cudaMemcpyAsync(to, from, bytes, kind, d->stream), "a copy");
}

static void cuda_to_device(const struct ops *ops, void *device, const void *host, size_t bytes) {
    copy(ops, device, host, bytes, cudaMemcpyHostToDevice);
    device_wait(device_of(ops), "a copy to it");
}

static void cuda_to_host(const struct ops *ops, void *host, const void *device, size_t bytes) {
    copy(ops, host, device, bytes, cudaMemcpyDeviceToHost);
    if (!device_wait(device_of(ops), "a copy from it") && bytes > 0)
        memset(host, 0, bytes); /* no accident of memory decides what is done until the error is told */
}

static void cuda_copy(const struct ops *ops, void *to, const void *from, size_t bytes) {
    copy(ops, to, from, bytes, cudaMemcpyDeviceToDevice);
}

template <typename T>
static __global__ void gather(size_t count, const uint32_t *index, const T *from, T *to) {
    const size_t i = ep_index();
    if (i < count)
        to[i] = from[index[i]];
}

/* T: of 4 or 8 bytes. */
template <typename T>
static void cuda_gather(const struct ops *ops, size_t count, const uint32_t *index, const void *from,
                        void *to) {
    ep_launch(device_of(ops), "gather", gather<T>, ep_blocks(count, 256), 256, 0, count, index,
              (const T *)from, (T *)to);
}

/* Elements of columns (one to a row of the grid) and, one column after the other, `packed`: there or back. Those of 8
 * bytes come first, so that all are aligned. */
struct some_columns {
    struct moved_column column[MOVED_COLUMNS];
    size_t before[MOVED_COLUMNS]; /* bytes of an element of each of those before */
};
template <typename T, bool STORE> static __device__ __forceinline__ void move_element(T *column, T *packed) {
    if (STORE)
        *column = *packed;
    else
        *packed = *column;
}
template <bool STORE>
static __global__ void move_elements(some_columns columns, size_t count, const uint32_t *__restrict__ index,
                                     unsigned char *packed) {
    const size_t m = ep_index();
    if (m >= count)
        return;
    const struct moved_column column = columns.column[blockIdx.y];
    unsigned char *part = packed + columns.before[blockIdx.y] * count;
    if (column.bytes == 8)
        move_element<uint64_t, STORE>((uint64_t *)column.at + index[m], (uint64_t *)part + m);
    else
        move_element<uint32_t, STORE>((uint32_t *)column.at + index[m], (uint32_t *)part + m);
}

static some_columns columns_of(int columns, const struct moved_column column[], size_t *bytes) {
    some_columns all = {};
    *bytes = 0;
    for (int c = 0; c < columns; c++) {
        all.column[c] = column[c];
        all.before[c] = *bytes;
        *bytes += column[c].bytes;
    }
    return all;
}

static void cuda_fetch(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
                       const uint32_t *index, void *host) {
    struct device *d = device_of(ops);
    size_t bytes;
    const some_columns all = columns_of(columns, column, &bytes);
    if (count == 0)
        return;
    unsigned char *packed = (unsigned char *)device_scratch(d, bytes * count);
    ep_launch(d, "move_elements", move_elements<false>, dim3(ep_blocks(count, 256).x, (unsigned)columns), 256,
              0, all, count, index, packed);
    device_read(d, host, packed, bytes * count);
}

static void cuda_store(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
                       const uint32_t *index, const void *host) {
    struct device *d = device_of(ops);
    size_t bytes;
    const some_columns all = columns_of(columns, column, &bytes);
    if (count == 0)
        return;
    unsigned char *packed = (unsigned char *)device_scratch(d, bytes * count);
    cuda_to_device(ops, packed, host, bytes * count);
    ep_launch(d, "move_elements", move_elements<true>, dim3(ep_blocks(count, 256).x, (unsigned)columns), 256,
              0, all, count, index, packed);
}

static __global__ void gather_neighbours(size_t count, int k, const uint32_t *index, const uint32_t *from,
                                         uint32_t *to) {
    const size_t m = ep_index(), row = m / k;
    if (row < count)
        to[m] = from[(size_t)index[row] * k + m % k];
}

static void cuda_gather_neighbours(const struct ops *ops, size_t count, int k, const uint32_t *index,
                                   const uint32_t *from, uint32_t *to) {
    ep_launch(device_of(ops), "gather_neighbours", gather_neighbours, ep_blocks(count * k, 256), 256, 0,
              count, k, index, from, to);
}

static __global__ void narrow(size_t count, const double *from, real *to) {
    const size_t i = ep_index();
    if (i < count)
        to[i] = (real)from[i];
}

static void cuda_narrow(const struct ops *ops, size_t count, const double *from, real *to) {
    ep_launch(device_of(ops), "narrow", narrow, ep_blocks(count, 256), 256, 0, count, from, to);
}

void cuda_fill_memory(struct ops *table) {
    table->allocate = cuda_allocate;
    table->release = cuda_release;
    table->to_device = cuda_to_device;
    table->to_host = cuda_to_host;
    table->copy = cuda_copy;
    table->zero = cuda_zero;
    table->synchronise = cuda_synchronise;
    table->gather8 = cuda_gather<uint64_t>;
    table->gather4 = cuda_gather<uint32_t>;
    table->fetch = cuda_fetch;
    table->store = cuda_store;
    table->gather_neighbours = cuda_gather_neighbours;
    table->narrow = cuda_narrow;
}
