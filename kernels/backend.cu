/* The device of a rank and the table of its ops. */
#include "kernels/device.h"
#include "kernels/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKSPACE_BYTES = 32 << 20,
    ROWS_AT_ONCE = 1 << 16 /* some hundred windows for each processor; 4 to 8 GiB with the paper's network */
};

void device_note(struct device *d, const char *what, const char *why) {
    if (d->status != STATUS_OK)
        return;
    d->status = STATUS_FAILURE;
    snprintf(d->message, sizeof d->message, "GPU %d, %s: %s", d->number, what, why);
}

bool device_check(struct device *d, cudaError_t error, const char *what) {
    if (error == cudaSuccess)
        return d->status == STATUS_OK;
    device_note(d, what, cudaGetErrorString(error));
    return false;
}

bool device_check_blas(struct device *d, cublasStatus_t error, const char *what) {
    if (error == CUBLAS_STATUS_SUCCESS)
        return d->status == STATUS_OK;
    device_note(d, what, cublasLtGetStatusString(error));
    return false;
}

bool device_wait(struct device *d, const char *what) {
    cudaError_t now = cudaSuccess;
    if (device_messages_started(d)) { /* one that fails would be waited for in vain */
        while (d->status == STATUS_OK && (now = cudaStreamQuery(d->stream)) == cudaErrorNotReady)
            device_messages_look(d);
        if (now == cudaErrorNotReady)
            return false;
        cudaGetLastError(); /* not ready is no error */
    }
    return device_check(d, now, what) && device_check(d, cudaStreamSynchronize(d->stream), what);
}

void *device_scratch(struct device *d, size_t bytes) {
    if (d->status != STATUS_OK)
        return NULL;
    if (bytes > d->scratch_bytes) {
        const size_t room = device_room(bytes + bytes / 4);
        device_wait(d, "scratch memory");
        cudaFree(d->scratch);
        d->scratch = NULL;
        d->scratch_bytes = 0;
        if (!device_check(d, cudaMalloc(&d->scratch, room), "scratch memory"))
            return NULL;
        d->scratch_bytes = room;
    }
#ifdef EPFLOW_EMULATION
    emulated_scratch(d->stream, d->scratch, bytes); /* nothing of the last op is there any more */
#endif
    return d->scratch;
}

void device_read(struct device *d, void *host, const void *device, size_t bytes) {
    memset(host, 0, bytes);
    if (d->status != STATUS_OK || bytes == 0)
        return;
    if (bytes > d->host_bytes) {
        cudaFreeHost(d->host);
        d->host = NULL;
        d->host_bytes = 0;
        if (!device_check(d, cudaMallocHost(&d->host, device_room(bytes)), "host memory"))
            return;
        d->host_bytes = device_room(bytes);
    }
    device_check(d, cudaMemcpyAsync(d->host, device, bytes, cudaMemcpyDeviceToHost, d->stream),
                 "copy to host");
    if (device_wait(d, "copy to host"))
        memcpy(host, d->host, bytes);
}

static void fill(struct ops *table) {
    cuda_fill_memory(table);
    cuda_fill_select(table);
    cuda_fill_cells(table);
    cuda_fill_nearest(table);
    cuda_fill_pairs(table);
    cuda_fill_align(table);
    cuda_fill_close(table);
    cuda_fill_step(table);
    cuda_fill_windows(table);
    cuda_fill_scatter(table);
    cuda_fill_linear(table);
    cuda_fill_sums(table);
    cuda_fill_network(table);
    cuda_fill_attention(table);
    cuda_fill_attention_second(table);
    cuda_fill_second(table);
    cuda_fill_pool(table);
    cuda_fill_edges(table);
    cuda_fill_edge_sums(table);
    cuda_fill_sweeps(table);
    cuda_fill_features(table);
    cuda_fill_edge_messages(table);
    cuda_fill_response(table);
    cuda_fill_fields(table);
    cuda_fill_optimizer(table);
}

/* What the library has machine code for. */
static bool device_suits(struct device *d, const cudaDeviceProp *p) {
    d->most_shared = p->sharedMemPerBlockOptin < 160 << 10 ? p->sharedMemPerBlockOptin : 160 << 10;
    if (p->major >= 8)
        return true;
    device_note(d, p->name, "this build is for GPUs of compute capability 8.0 and later");
    return false;
}

static enum status open_device(struct device *d, int local_rank, struct backend_device *out) {
    int count = 0;
    cudaDeviceProp properties;
    const cudaError_t found = cudaGetDeviceCount(&count); /* leaves the count unwritten where it fails */
    if (!device_check(d, found, "looking for devices"))
        return d->status;
    if (count == 0) {
        device_note(d, "looking for devices", "there is none");
        return d->status;
    }
    d->number = local_rank % count;
    if (device_check(d, cudaSetDevice(d->number), "opening it") &&
        device_check(d, cudaGetDeviceProperties(&properties, d->number), "opening it") &&
        device_check(d, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking), "making a stream") &&
        device_suits(d, &properties) && device_check_blas(d, cublasLtCreate(&d->blas), "opening cuBLASLt") &&
        device_check(d, cudaMalloc(&d->workspace, WORKSPACE_BYTES), "memory for cuBLASLt")) {
        d->workspace_bytes = WORKSPACE_BYTES;
        snprintf(out->name, sizeof out->name, "%s", properties.name);
        out->identity = 0;
        for (size_t m = 0; m < sizeof properties.uuid.bytes; m++)
            out->identity = (out->identity ^ (unsigned char)properties.uuid.bytes[m]) * 0x100000001b3u;
    }
    return d->status;
}

extern "C" void epflow_cuda_close(const struct ops **table) {
    struct device *d = *table ? device_of(*table) : NULL;
    if (!d)
        return;
    if (d->stream)
        cudaStreamSynchronize(d->stream);
    device_messages_free(d);
    product_table_free(&d->products);
    if (d->blas)
        cublasLtDestroy(d->blas);
    cudaFree(d->workspace);
    cudaFree(d->scratch);
    cudaFreeHost(d->host);
    if (d->stream)
        cudaStreamDestroy(d->stream);
    free(d);
    free((void *)*table);
    *table = NULL;
}

extern "C" enum status epflow_cuda_open(int local_rank, enum device_precision precision,
                                        const struct ops **out, struct backend_device *device, char *message,
                                        size_t message_bytes) {
    struct ops *table = (struct ops *)calloc(1, sizeof *table);
    struct device *d = (struct device *)calloc(1, sizeof *d);
    *out = table;
    if (!table || !d) {
        free(table);
        free(d);
        *out = NULL;
        snprintf(message, message_bytes, "out of memory for a device");
        return STATUS_FAILURE;
    }
    table->name = "cuda";
    table->chunk = ROWS_AT_ONCE;
    table->context = d;
    d->precision = precision;
    table->rounding = precision == PRECISION_TF32 ? 0x1p-11 : precision == PRECISION_BF16 ? 0x1p-8 : 0;
    fill(table);
    if (open_device(d, local_rank, device) == STATUS_OK)
        return STATUS_OK;
    snprintf(message, message_bytes, "%s", d->message);
    epflow_cuda_close(out);
    return STATUS_FAILURE;
}
