/* Streams, events, and launches as their work. */
#include "emulated_internal.h"

struct CUstream_st {
    unsigned flags;
};
struct CUevent_st {
    unsigned flags;
};

void emulated_submit(cudaStream_t, const char *, std::function<void()> run) {
    run();
}

extern "C" cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int) {
    *out = new CUstream_st{flags};
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    return cudaStreamCreateWithPriority(out, flags, 0);
}

extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    delete stream;
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamSynchronize(cudaStream_t) {
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceSynchronize(void) {
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamQuery(cudaStream_t) {
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    *out = new CUevent_st{flags};
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) {
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventSynchronize(cudaEvent_t) {
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t) {
    return cudaSuccess;
}

cudaError_t emulated_enqueue(const char *name, std::unique_ptr<emulated_kernel> kernel, const void *,
                             dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
    const size_t threads = (size_t)block.x * block.y * block.z;
    if (threads == 0 || threads > MOST_THREADS || block.z > 64 || (size_t)grid.x * grid.y * grid.z == 0 ||
        grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || shared > EMULATED_SHARED_BYTES)
        return emulated_error(cudaErrorInvalidConfiguration);
    std::shared_ptr<emulated_kernel> shared_kernel = std::move(kernel);
    emulated_submit(stream, name, [=] { emulated_run({name, shared_kernel.get(), grid, block, shared}); });
    return cudaSuccess;
}
