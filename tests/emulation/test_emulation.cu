/* The stand-ins themselves: kernels whose results are known. Compiled under emulation only. */
#include "kernels/device.h"

#include <setjmp.h>
#include <stdarg.h>
extern "C" {
#include <cmocka.h>
}

#include <stdlib.h>

static struct device device = {};

bool device_check(struct device *d, cudaError_t error, const char *) {
    if (error != cudaSuccess)
        d->status = STATUS_FAILURE;
    return error == cudaSuccess;
}

/* Memory of the device with numbers 0, 1, ..., and what is in it after the stream's work. */
template <typename T> static T *numbers(size_t count) {
    T *host = (T *)malloc(count * sizeof(T)), *out = NULL;
    for (size_t i = 0; i < count; i++)
        host[i] = (T)i;
    assert_int_equal(cudaMalloc((void **)&out, count * sizeof(T)), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(out, host, count * sizeof(T), cudaMemcpyHostToDevice, device.stream),
                     cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(device.stream), cudaSuccess);
    free(host);
    return out;
}
template <typename T> static T *fetch(T *memory, size_t count) {
    T *host = (T *)malloc(count * sizeof(T));
    assert_int_equal(cudaMemcpyAsync(host, memory, count * sizeof(T), cudaMemcpyDeviceToHost, device.stream),
                     cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(device.stream), cudaSuccess);
    assert_int_equal(cudaFree(memory), cudaSuccess);
    return host;
}

/* ---- places and bounds ---- */

static __global__ void places(unsigned *out) {
    const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const unsigned i = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
    out[i] = 1000 * blockIdx.y + 100 * threadIdx.z + 10 * threadIdx.y + threadIdx.x;
}

static void test_places(void **) {
    const unsigned count = 2 * 3 * 4 * 5 * 6 * 2;
    unsigned *memory = numbers<unsigned>(count);
    ep_launch(&device, "places", places, dim3(2, 3, 2), dim3(5, 6, 4), 0, memory);
    unsigned *host = fetch(memory, count);
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(host[i], 1000 * (i / 240 % 3) + 100 * (i / 30 % 4) + 10 * (i / 5 % 6) + i % 5);
    free(host);
}

/* ---- barriers ---- */

static __global__ void reversed(size_t count, int *row) {
    EP_SHARED(int, room);
    const size_t i = ep_index(), first = (size_t)blockIdx.x * blockDim.x;
    const size_t last = min(first + blockDim.x, count);
    if (i < count)
        room[threadIdx.x] = row[i];
    __syncthreads();
    if (i < count)
        row[i] = room[last - 1 - i];
}

static void test_barrier(void **) {
    for (size_t count : {1, 31, 256, 1000}) {
        int *memory = numbers<int>(count);
        ep_launch(&device, "reversed", reversed, ep_blocks(count, 256), 256, 256 * sizeof(int), count,
                  memory);
        int *host = fetch(memory, count);
        for (size_t i = 0; i < count; i++) {
            const size_t first = i / 256 * 256, last = first + 256 < count ? first + 256 : count;
            assert_int_equal(host[i], first + last - 1 - i);
        }
        free(host);
    }
}

static __global__ void neighbours(int rounds, int *row) {
    __shared__ int room[2][512];
    const int n = (int)blockDim.x, i = (int)threadIdx.x;
    room[0][i] = row[i];
    for (int round = 0; round < rounds; round++) {
        __syncthreads();
        room[(round + 1) % 2][i] = room[round % 2][(i + 1) % n];
    }
    row[i] = room[rounds % 2][i];
}

static void test_many_barriers(void **) {
    int *memory = numbers<int>(512);
    ep_launch(&device, "neighbours", neighbours, 1, 512, 0, 700, memory);
    int *host = fetch(memory, 512);
    for (int i = 0; i < 512; i++)
        assert_int_equal(host[i], (i + 700) % 512);
    free(host);
}

/* ---- collectives ---- */

struct answers {
    int xor_, down, up, from, narrow, any, all;
    unsigned ballot;
    double wide;
};

static __global__ void collectives(answers *out) {
    const int i = (int)threadIdx.x, lane = i % 32;
    answers a;
    a.xor_ = __shfl_xor_sync(0xffffffffu, i, 5);
    a.down = __shfl_down_sync(0xffffffffu, i, 3);
    a.up = __shfl_up_sync(0xffffffffu, i, 3);
    a.from = __shfl_sync(0xffffffffu, i, 7);
    a.narrow = __shfl_xor_sync(0xffffffffu, i, 4, 8);
    a.any = __any_sync(0xffffffffu, i == 40);
    a.all = __all_sync(0xffffffffu, i < 32);
    a.ballot = __ballot_sync(0xffffffffu, lane % 3 == 0);
    a.wide = __shfl_sync(0xffffffffu, 0.5 * i, lane ^ 1);
    out[i] = a;
}

static void test_collectives(void **) {
    answers *memory = NULL;
    assert_int_equal(cudaMalloc((void **)&memory, 96 * sizeof *memory), cudaSuccess);
    ep_launch(&device, "collectives", collectives, 1, 96, 0, memory);
    answers *host = fetch(memory, 96);
    for (int i = 0; i < 96; i++) {
        const int lane = i % 32, warp = i / 32;
        assert_int_equal(host[i].xor_, i ^ 5);
        assert_int_equal(host[i].down, lane + 3 < 32 ? i + 3 : i);
        assert_int_equal(host[i].up, lane >= 3 ? i - 3 : i);
        assert_int_equal(host[i].from, warp * 32 + 7);
        assert_int_equal(host[i].narrow, i ^ 4);
        assert_int_equal(host[i].any, warp == 1);
        assert_int_equal(host[i].all, warp == 0);
        assert_int_equal(host[i].ballot, 0x49249249u);
        assert_true(host[i].wide == 0.5 * (i ^ 1));
    }
    free(host);
}

static __global__ void warp_steps(int *out) {
    __shared__ int room[64];
    const int i = (int)threadIdx.x;
    room[i] = i;
    __syncwarp();
    const int next = room[i / 32 * 32 + (i + 1) % 32];
    __syncwarp();
    room[i] = next * 2;
    __syncwarp();
    out[i] = room[i ^ 1];
}

static void test_syncwarp(void **) {
    int *memory = numbers<int>(64);
    ep_launch(&device, "warp_steps", warp_steps, 1, 64, 0, memory);
    int *host = fetch(memory, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(host[i], 2 * (i / 32 * 32 + ((i ^ 1) + 1) % 32));
    free(host);
}

static __global__ void sums(const double *row, double *sum, float *largest) {
    __shared__ double room[32];
    const size_t i = ep_index();
    const double s = block_sum(row[i], room), twice = block_sum(2 * row[i], room);
    if (threadIdx.x == 0)
        sum[blockIdx.x] = s + twice;
    const float m = warp_max((float)row[i]);
    if (threadIdx.x % WARP == 0)
        largest[i / WARP] = m;
}

static void test_sums(void **) {
    double *row = numbers<double>(3 * 512), *sum = numbers<double>(3);
    float *largest = numbers<float>(48);
    ep_launch(&device, "sums", sums, 3, 512, 0, row, sum, largest);
    double *host = fetch(sum, 3);
    float *most = fetch(largest, 48);
    for (int i = 0; i < 3; i++)
        assert_true(host[i] == 3 * (512.0 * 512 * i + 511 * 256));
    for (int i = 0; i < 48; i++)
        assert_true(most[i] == (float)(32 * i + 31));
    free(host);
    free(most);
    cudaFree(row);
}

/* ---- atomics ---- */

static __global__ void counts(int *number, unsigned long long *sum, unsigned *extremes) {
    __shared__ int here;
    if (threadIdx.x == 0)
        here = 0;
    __syncthreads();
    atomicAdd(&here, 1);
    atomicAdd(sum, (unsigned long long)-(long long)ep_index());
    atomicMax(&extremes[0], (unsigned)ep_index());
    atomicMin(&extremes[1], (unsigned)ep_index() + 2);
    atomicCAS(&extremes[2], 2u, 77u);
    __syncthreads();
    if (threadIdx.x == 0)
        number[blockIdx.x] = atomicExch(&here, 5);
}

static void test_atomics(void **) {
    int *number = numbers<int>(10);
    unsigned long long *sum = numbers<unsigned long long>(1);
    unsigned *extremes = numbers<unsigned>(3);
    ep_launch(&device, "counts", counts, 10, 100, 0, number, sum, extremes);
    int *host = fetch(number, 10);
    unsigned long long *total = fetch(sum, 1);
    unsigned *most = fetch(extremes, 3);
    for (int i = 0; i < 10; i++)
        assert_int_equal(host[i], 100);
    assert_true((long long)*total == -999 * 500);
    assert_int_equal(most[0], 999);
    assert_int_equal(most[1], 1);
    assert_int_equal(most[2], 77);
    free(host);
    free(total);
    free(most);
}

/* ---- launches ---- */

static __global__ void nothing(int *) {
}

static void test_limits(void **) {
    ep_launch(&device, "nothing", nothing, dim3(0), 32, 0, (int *)NULL); /* an empty grid is no launch */
    assert_int_equal(device.status, STATUS_OK);
    ep_launch(&device, "nothing", nothing, 1, 1025, 0, (int *)NULL);
    assert_int_equal(device.status, STATUS_FAILURE);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidConfiguration);
    assert_int_equal(cudaGetLastError(), cudaSuccess);
    device.status = STATUS_OK;
    ep_launch(&device, "nothing", nothing, 1, 32, 200 * 1024, (int *)NULL);
    assert_int_equal(device.status, STATUS_FAILURE);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidConfiguration);
    device.status = STATUS_OK;
}

/* ---- streams ---- */

static __global__ void add_to_all(size_t count, int add, int *row) {
    const size_t i = ep_index();
    if (i < count)
        row[i] += add;
}

/* What the host did not wait for is not there. */
static void test_lazy(void **) {
    int *memory = numbers<int>(8), host[8] = {0};
    cudaEvent_t event;
    assert_int_equal(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    ep_launch(&device, "add_to_all", add_to_all, 1, 32, 0, (size_t)8, 10, memory);
    cudaMemcpyAsync(host, memory, sizeof host, cudaMemcpyDeviceToHost, device.stream);
    assert_int_equal(cudaEventRecord(event, device.stream), cudaSuccess);
    assert_int_equal(host[7], 0);
    assert_int_equal(cudaEventSynchronize(event), cudaSuccess);
    assert_int_equal(host[7], 17);
    assert_int_equal(cudaEventQuery(event), cudaSuccess);
    assert_int_equal(cudaEventDestroy(event), cudaSuccess);
    cudaFree(memory);
}

/* Two streams in turn, each after the other by events; without them the order is chance. */
static void test_turns(void **) {
    int *memory = numbers<int>(40);
    cudaStream_t streams[2] = {device.stream};
    cudaEvent_t event;
    assert_int_equal(cudaStreamCreateWithFlags(&streams[1], cudaStreamNonBlocking), cudaSuccess);
    assert_int_equal(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    for (int turn = 0; turn < 10; turn++) {
        struct device other = device;
        other.stream = streams[turn % 2];
        ep_launch(&other, "add_to_all", add_to_all, 2, 32, 0, (size_t)40, turn, memory);
        assert_int_equal(cudaEventRecord(event, other.stream), cudaSuccess);
        assert_int_equal(cudaStreamWaitEvent(streams[(turn + 1) % 2], event, 0), cudaSuccess);
    }
    int *host = fetch(memory, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(host[i], i + 45);
    free(host);
    assert_int_equal(cudaStreamQuery(streams[1]), cudaSuccess);
    assert_int_equal(cudaStreamDestroy(streams[1]), cudaSuccess);
    cudaEventDestroy(event);
}

/* In order with streams that are not cudaStreamNonBlocking. */
static void test_default_stream(void **) {
    struct device other = device;
    assert_int_equal(cudaStreamCreate(&other.stream), cudaSuccess);
    int *memory = numbers<int>(8), host[8];
    ep_launch(&other, "add_to_all", add_to_all, 1, 32, 0, (size_t)8, 1, memory);
    assert_int_equal(cudaMemcpy(host, memory, sizeof host, cudaMemcpyDeviceToHost), cudaSuccess);
    assert_int_equal(host[7], 8);
    assert_int_equal(cudaStreamDestroy(other.stream), cudaSuccess);
    cudaFree(memory);
}

/* Fresh memory is 0xff, what was given back is not counted, too much is refused. */
static void test_memory(void **) {
    size_t before, after, total;
    unsigned char *memory = NULL, host[5];
    assert_int_equal(cudaMemGetInfo(&before, &total), cudaSuccess);
    assert_int_equal(cudaMalloc((void **)&memory, 5), cudaSuccess);
    assert_int_equal(cudaMemcpyAsync(host, memory, 5, cudaMemcpyDeviceToHost, device.stream), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(device.stream), cudaSuccess);
    for (int i = 0; i < 5; i++)
        assert_int_equal(host[i], 0xff);
    assert_int_equal(cudaFree(memory), cudaSuccess);
    assert_int_equal(cudaMemGetInfo(&after, &total), cudaSuccess);
    assert_true(before == after);
    assert_int_equal(cudaMalloc((void **)&memory, total + 1), cudaErrorMemoryAllocation);
    assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
    assert_int_equal(cudaFree(&total), cudaErrorInvalidValue);
    assert_int_equal(cudaGetLastError(), cudaErrorInvalidValue);
}

static int open_stream(void **) {
    return cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking) == cudaSuccess ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),         cmocka_unit_test(test_barrier),
        cmocka_unit_test(test_many_barriers),  cmocka_unit_test(test_collectives),
        cmocka_unit_test(test_syncwarp),       cmocka_unit_test(test_sums),
        cmocka_unit_test(test_atomics),        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_lazy),           cmocka_unit_test(test_turns),
        cmocka_unit_test(test_default_stream), cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests(tests, open_stream, NULL);
}
