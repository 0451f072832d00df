/* Bugs with NCCL and cuBLASLt that must be told; a communicator of one rank is enough. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

#include <cublasLt.h>
#include <cuda_runtime.h>
#include <mpi.h>
#include <nccl.h>

#include "planted.h"

static cudaStream_t stream, other;
static ncclComm_t comm;
static float *row;

static void open_all(void) {
    ncclUniqueId id;
    MPI_Init(NULL, NULL);
    ncclGetUniqueId(&id);
    ncclCommInitRank(&comm, 1, id, 0);
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    cudaMalloc((void **)&row, 64 * sizeof *row);
    cudaMemset(row, 0, 64 * sizeof *row);
}

static void different_counts(void) {
    open_all();
    ncclGroupStart();
    ncclSend(row, 10, ncclFloat32, 0, comm, stream);
    ncclRecv(row + 32, 11, ncclFloat32, 0, comm, stream);
    ncclGroupEnd();
    cudaStreamSynchronize(stream);
}

static void different_types(void) {
    open_all();
    ncclGroupStart();
    ncclSend(row, 10, ncclFloat32, 0, comm, stream);
    ncclRecv(row + 32, 10, ncclInt32, 0, comm, stream);
    ncclGroupEnd();
    cudaStreamSynchronize(stream);
}

static void nobody_sends(void) {
    setenv("EPFLOW_EMULATION_TIMEOUT", "0.3", 1);
    open_all();
    ncclRecv(row, 10, ncclFloat32, 0, comm, stream);
    cudaStreamSynchronize(stream);
}

static void host_memory(void) {
    static float host[10];
    open_all();
    ncclAllReduce(row, host, 10, ncclFloat32, ncclSum, comm, stream);
}

static void missing_event(void) {
    open_all();
    cudaMemsetAsync(row, 0, 10 * sizeof *row, other);
    ncclAllReduce(row, row + 32, 10, ncclFloat32, ncclSum, comm, stream);
    cudaDeviceSynchronize();
}

/* The product reads b, which nobody set. */
static void product_of_nothing(void) {
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t layout;
    const float one = 1, zero = 0;
    float *b = NULL;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMalloc((void **)&row, 64 * sizeof *row);
    cudaMalloc((void **)&b, 64 * sizeof *b);
    cudaMemset(row, 0, 64 * sizeof *row);
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 4, 4, 8);
    if (cublasLtMatmul(handle, operation, &one, row, layout, b, layout, &zero, NULL, layout, row + 32, layout,
                       NULL, NULL, 0, stream) == CUBLAS_STATUS_SUCCESS)
        cudaStreamSynchronize(stream);
}

static void launch_order(void) {
    cudaEvent_t event;
    open_all();
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    cudaEventRecord(event, stream);
    cudaStreamWaitEvent(other, event, 0);
    ncclGroupStart();
    ncclSend(row, 1, ncclFloat32, 0, comm, stream);
    ncclSend(row, 1, ncclFloat32, 0, comm, other);
    ncclGroupEnd();
}

static const struct planted bugs[] = {
    {"different_counts", different_counts, "unbalanced NCCL: ", true},
    {"different_types", different_types, "unbalanced NCCL: ", true},
    {"nobody_sends", nobody_sends, "other processes do not come", true},
    {"host_memory", host_memory, "not all memory of the device", true},
    {"two_streams", launch_order, "on several streams", true},
    {"missing_event", missing_event, "race between streams: ", false},
    {"product_of_nothing", product_of_nothing, "uninitialised: cublasLtMatmul reads", false},
};

int main(void) {
    return planted_run(bugs, sizeof bugs / sizeof *bugs, "planted_nccl.cc");
}
