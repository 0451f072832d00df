/* Memory of the device and of the host, and copies. */
#include "emulated_internal.h"

#include <stdlib.h>

#include <map>

enum { ALIGNMENT = 256 };

static std::map<const char *, size_t> device_blocks, pinned_blocks;

static cudaError_t make(std::map<const char *, size_t> *blocks, void **out, size_t bytes) {
    *out = NULL;
    if (bytes == 0)
        return cudaSuccess;
    void *memory = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (!memory)
        return emulated_error(cudaErrorMemoryAllocation);
    memset(memory, 0xff, bytes);
    (*blocks)[(const char *)memory] = bytes;
    *out = memory;
    return cudaSuccess;
}

static cudaError_t give_back(std::map<const char *, size_t> *blocks, void *memory) {
    if (!memory)
        return cudaSuccess;
    if (!blocks->erase((const char *)memory))
        return emulated_error(cudaErrorInvalidValue);
    free(memory);
    return cudaSuccess;
}

extern "C" cudaError_t cudaMalloc(void **out, size_t bytes) {
    return make(&device_blocks, out, bytes);
}

extern "C" cudaError_t cudaFree(void *memory) {
    cudaDeviceSynchronize();
    return give_back(&device_blocks, memory);
}

extern "C" cudaError_t cudaMallocHost(void **out, size_t bytes) {
    return make(&pinned_blocks, out, bytes);
}

extern "C" cudaError_t cudaFreeHost(void *memory) {
    cudaDeviceSynchronize();
    return give_back(&pinned_blocks, memory);
}

extern "C" cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    size_t used = 0;
    for (const auto &block : device_blocks)
        used += block.second;
    *total = (size_t)16 << 30;
    *free_bytes = *total - used;
    return cudaSuccess;
}

/* Whether bytes from `memory` on are memory of the device, all of one block. */
static bool on_device(const void *memory, size_t bytes) {
    auto after = device_blocks.upper_bound((const char *)memory);
    if (after == device_blocks.begin())
        return false;
    const auto &block = *--after;
    return (const char *)memory + bytes <= block.first + block.second;
}

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                                       cudaStream_t stream) {
    if (bytes == 0)
        return cudaSuccess;
    if (on_device(from, bytes) != (kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice) ||
        on_device(to, bytes) != (kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice))
        emulated_fail(__builtin_return_address(0), "a copy of %zu bytes from %p to %p is not of kind %d",
                      bytes, from, to, (int)kind);
    emulated_submit(stream, "copy", [=] { memmove(to, from, bytes); });
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    cudaMemcpyAsync(to, from, bytes, kind, NULL);
    return cudaStreamSynchronize(NULL);
}

extern "C" cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream) {
    if (bytes == 0)
        return cudaSuccess;
    if (!on_device(memory, bytes))
        emulated_fail(__builtin_return_address(0), "%zu bytes at %p are not memory of the device", bytes,
                      memory);
    emulated_submit(stream, "memset", [=] { memset(memory, value, bytes); });
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemset(void *memory, int value, size_t bytes) {
    cudaMemsetAsync(memory, value, bytes, NULL);
    return cudaStreamSynchronize(NULL);
}
