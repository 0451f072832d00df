/* A test of the tests: each bug that the checker is for is planted once, run in a process of its own, and must be told
 * in the right words. Compiled for the fast build too, which catches those of them that are marked. */
#include "kernels/device.h"

#include <setjmp.h>
#include <stdarg.h>
extern "C" {
#include <cmocka.h>
}

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "planted.h"

bool device_check(struct device *d, cudaError_t error, const char *) {
    if (error != cudaSuccess)
        d->status = STATUS_FAILURE;
    return error == cudaSuccess;
}

static struct device device = {};

/* Memory of the device, `set` or as it comes. */
static float *room(size_t count, bool set = true) {
    float *memory = NULL;
    cudaMalloc((void **)&memory, count * sizeof *memory);
    if (set)
        cudaMemsetAsync(memory, 0, count * sizeof *memory, device.stream);
    return memory;
}

static void finish(void) {
    cudaStreamSynchronize(device.stream);
}

template <typename... P, typename... A>
static void run(void (*kernel)(P...), unsigned blocks, unsigned threads, size_t shared, A... arguments) {
    ep_launch(&device, "planted", kernel, blocks, threads, shared, arguments...);
    finish();
}

/* ---- races ---- */

static __global__ void all_write_shared(float *out) {
    __shared__ float one[1];
    one[0] = (float)threadIdx.x;
    __syncthreads();
    if (threadIdx.x == 0)
        *out = one[0];
}
static void race_shared(void) {
    run(all_write_shared, 1, 64, 0, room(1));
}

static __global__ void no_barrier(float *out) {
    EP_SHARED(float, row);
    row[threadIdx.x] = 0;
    __syncthreads();
    row[threadIdx.x] = (float)threadIdx.x;
    out[threadIdx.x] = row[(threadIdx.x + 32) % 64];
}
static void missing_syncthreads(void) {
    run(no_barrier, 1, 64, 64 * sizeof(float), room(64));
}

/* The loop's second round overwrites what others still read. */
static __global__ void one_barrier_too_few(float *out) {
    EP_SHARED(float, row);
    for (int round = 0; round < 2; round++) {
        row[threadIdx.x] = (float)round;
        __syncthreads();
        out[threadIdx.x] += row[63 - threadIdx.x];
    }
}
static void missing_second_barrier(void) {
    run(one_barrier_too_few, 1, 64, 64 * sizeof(float), room(64));
}

static __global__ void no_syncwarp(float *out) {
    __shared__ float row[32];
    row[threadIdx.x] = (float)threadIdx.x;
    const float x = __shfl_xor_sync(0xffffffffu, 1.f, 1); /* does not order memory */
    out[threadIdx.x] = x + row[threadIdx.x ^ 1];
}
static void missing_syncwarp(void) {
    run(no_syncwarp, 1, 32, 0, room(32));
}

static __global__ void all_blocks_write(float *out) {
    if (threadIdx.x == 0)
        *out = (float)blockIdx.x;
}
static void race_global(void) {
    run(all_blocks_write, 2, 32, 0, room(1));
}

static __global__ void read_what_another_block_writes(float *row) {
    row[ep_index()] = row[(ep_index() + 32) % 64];
}
static void race_between_blocks(void) {
    run(read_what_another_block_writes, 2, 32, 0, room(64));
}

static __global__ void read_while_counting(unsigned *count, unsigned *out) {
    atomicAdd(count, 1u);
    out[ep_index()] = *count;
}
static void race_with_atomic(void) {
    run(read_while_counting, 2, 32, 0, (unsigned *)room(1), (unsigned *)room(64));
}

static __global__ void bytes_next_to_each_other(unsigned char *bytes, bool wrong) {
    bytes[wrong ? threadIdx.x / 2 : threadIdx.x] = 1;
}
static void race_of_bytes(void) {
    unsigned char *bytes = (unsigned char *)room(16);
    run(bytes_next_to_each_other, 1, 64, 0, bytes, false); /* is right */
    run(bytes_next_to_each_other, 1, 64, 0, bytes, true);
}

/* ---- bounds ---- */

static __global__ void add_one(size_t count, float *row) {
    if (ep_index() < count)
        row[ep_index()] += 1;
}
static void beyond_global(void) {
    run(add_one, 1, 128, 0, (size_t)101, room(100));
}
static void far_beyond_global(void) {
    run(add_one, 100, 128, 0, (size_t)12800, room(100));
}
static void before_global(void) {
    room(4000); /* something lies before it */
    run(add_one, 1, 32, 0, (size_t)1, room(100) - 4);
}

static __global__ void beyond_dynamic_shared(float *out) {
    EP_SHARED(float, row);
    row[threadIdx.x + 1] = 0;
    out[threadIdx.x] = 0;
}
static void beyond_shared(void) {
    run(beyond_dynamic_shared, 1, 33, 33 * sizeof(float), room(33));
}

static __global__ void index_of_array(int i, float *out) {
    __shared__ float row[33];
    row[threadIdx.x] = 1;
    __syncwarp();
    *out = row[threadIdx.x + i];
}
static void beyond_static_shared(void) {
    run(index_of_array, 1, 1, 0, 33, room(1));
}

static __device__ __noinline__ float by_pointer(const float *row, int i) {
    return row[i];
}
static __global__ void pointer_to_array(int i, float *out) {
    __shared__ __align__(64) float row[33];
    row[threadIdx.x] = 1;
    *out = by_pointer(row, i);
}
static void beyond_shared_by_pointer(void) {
    run(pointer_to_array, 1, 1, 0, 34, room(1));
}

static __global__ void local_array(int i, float *out) {
    float row[4] = {1, 2, 3, 4};
    *out = row[i];
}
static void beyond_local_array(void) {
    run(local_array, 1, 1, 0, 4, room(1));
}

static void given_back(void) {
    float *row = room(100);
    finish();
    cudaFree(row);
    run(add_one, 1, 32, 0, (size_t)100, row);
}

/* ---- memory that was not set ---- */

static void uninitialised_global(void) {
    run(add_one, 1, 32, 0, (size_t)32, room(32, false));
}

static __global__ void read_shared(float *out) {
    EP_SHARED(float, row);
    if (threadIdx.x < 31)
        row[threadIdx.x] = 0;
    __syncthreads();
    out[threadIdx.x] = row[threadIdx.x];
}
static void uninitialised_shared(void) {
    run(read_shared, 1, 32, 32 * sizeof(float), room(32));
}

/* The block before has set it: that does not count. */
static __global__ void set_in_first_block(float *out) {
    __shared__ float row[32];
    if (blockIdx.x == 0)
        row[threadIdx.x] = 0;
    __syncthreads();
    out[ep_index()] = row[threadIdx.x];
}
static void uninitialised_in_second_block(void) {
    run(set_in_first_block, 2, 32, 0, room(64));
}

static void uninitialised_after_copy(void) {
    float *from = room(32, false), *to = room(32);
    cudaMemcpyAsync(to, from, 32 * sizeof *to, cudaMemcpyDeviceToDevice, device.stream);
    run(add_one, 1, 32, 0, (size_t)32, to);
}

/* ---- pointers ---- */

static __global__ void by_fours(const float *row, float *out) {
    const float4 four = *reinterpret_cast<const float4 *>(row);
    *out = four.x + four.w;
}
static void misaligned(void) {
    run(by_fours, 1, 1, 0, (const float *)room(8) + 1, room(1));
}

static void host_pointer(void) {
    static float row[32];
    run(add_one, 1, 32, 0, (size_t)32, row);
}
static void pinned_pointer(void) {
    float *row = NULL;
    cudaMallocHost((void **)&row, 32 * sizeof *row);
    run(add_one, 1, 32, 0, (size_t)32, row);
}
static void device_pointer(void) {
    volatile float *row = room(32);
    finish();
    row[3] = 1;
}
static void copy_of_wrong_kind(void) {
    float host[4] = {0};
    cudaMemcpyAsync(host, room(4), sizeof host, cudaMemcpyHostToDevice, device.stream);
}
static void copy_too_long(void) {
    float host[40] = {0};
    cudaMemcpyAsync(room(32), host, sizeof host, cudaMemcpyHostToDevice, device.stream);
}

/* ---- barriers and collectives ---- */

static __global__ void some_return(float *out) {
    if (threadIdx.x >= 40)
        return;
    __syncthreads();
    out[threadIdx.x] = 1;
}
static void return_before_barrier(void) {
    run(some_return, 1, 64, 0, room(64));
}

static __global__ void two_barriers(float *out) {
    if (threadIdx.x < 32) {
        __syncthreads();
        out[threadIdx.x] = 1;
    } else {
        out[threadIdx.x] = 2;
        __syncthreads();
    }
}
static void barriers_in_branches(void) {
    run(two_barriers, 1, 64, 0, room(64));
}

static __global__ void barrier_and_shuffle(float *out) {
    if (threadIdx.x == 3)
        __syncthreads();
    out[threadIdx.x] = __shfl_sync(0xffffffffu, 1.f, 0);
    __syncthreads();
}
static void deadlock(void) {
    run(barrier_and_shuffle, 1, 32, 0, room(32));
}

static __global__ void shuffle_after_return(float *out) {
    if (threadIdx.x >= 20)
        return;
    out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.f, 16);
}
static void exited_lane(void) {
    run(shuffle_after_return, 1, 32, 0, room(32));
}

static __global__ void vote_of_few(int *out) {
    *out = __any_sync(0xffu, 1);
}
static void part_of_a_warp(void) {
    run(vote_of_few, 1, 8, 0, (int *)room(1));
}

static __global__ void different_collectives(float *out) {
    if (threadIdx.x % 2)
        out[threadIdx.x] = __shfl_sync(0xffffffffu, 1.f, 0);
    else
        out[threadIdx.x] = (float)__any_sync(0xffffffffu, 1);
}
static void mixed_collectives(void) {
    run(different_collectives, 1, 32, 0, room(32));
}

/* ---- launches, streams ---- */

static void too_many_threads(void) {
    run(add_one, 1, 1056, 0, (size_t)1, room(1));
    planted_expect(device.status == STATUS_FAILURE && cudaGetLastError() == cudaErrorInvalidConfiguration,
                   "a launch that is too large is refused");
}
static void too_much_shared(void) {
    run(add_one, 1, 32, 164 * 1024, (size_t)1, room(1));
    planted_expect(device.status == STATUS_FAILURE && cudaGetLastError() == cudaErrorInvalidConfiguration,
                   "a launch that is too large is refused");
}

static __device__ __noinline__ float deep(int levels, float x) {
    volatile float here[256];
    here[levels % 256] = x;
    return levels == 0 ? x : deep(levels - 1, x + 1) + here[levels % 256];
}
static __global__ void recursion(float *out) {
    *out = deep(1000, 0);
}
static void full_stack(void) {
    run(recursion, 1, 1, 0, room(1));
}

static void missing_event(bool wait) {
    cudaStream_t other;
    cudaEvent_t event;
    float *row = room(32), host[32] = {0};
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    finish();
    cudaMemcpyAsync(row, host, sizeof host, cudaMemcpyHostToDevice, other);
    cudaEventRecord(event, other);
    if (wait)
        cudaStreamWaitEvent(device.stream, event, 0);
    ep_launch(&device, "planted", add_one, 1, 32, 0, (size_t)32, row);
    cudaDeviceSynchronize();
}
static void missing_wait(void) {
    missing_event(false);
}

/* ---- the table ---- */

static const struct planted bugs[] = {
    {"race_shared", race_shared, "race: writes 4 bytes", false},
    {"missing_syncthreads", missing_syncthreads, "race: ", false},
    {"missing_second_barrier", missing_second_barrier, "race: ", false},
    {"missing_syncwarp", missing_syncwarp, "race: ", false},
    {"race_global", race_global, "race: writes 4 bytes", false},
    {"race_between_blocks", race_between_blocks, "race: ", false},
    {"race_with_atomic", race_with_atomic, "race: ", false},
    {"race_of_bytes", race_of_bytes, "race: writes 1 bytes", false},
    {"beyond_global", beyond_global, "out of bounds: reads 4 bytes", false},
    {"far_beyond_global", far_beyond_global, "out of bounds: ", true},
    {"before_global", before_global, "out of bounds: ", false},
    {"beyond_shared", beyond_shared, "out of bounds: writes 4 bytes at byte 132 of 132", false},
    {"beyond_static_shared", beyond_static_shared, "out of bounds: index 33", false},
    {"beyond_shared_by_pointer", beyond_shared_by_pointer,
     "out of bounds: reads 4 bytes|uninitialised: reads 4 bytes", false},
    {"beyond_local_array", beyond_local_array, "out of bounds: index 4", false},
    {"given_back", given_back, "out of bounds: ", true},
    {"uninitialised_global", uninitialised_global, "uninitialised: reads 4 bytes", false},
    {"uninitialised_shared", uninitialised_shared, "uninitialised: reads 4 bytes", false},
    {"uninitialised_in_second_block", uninitialised_in_second_block, "uninitialised: reads 4 bytes", false},
    {"uninitialised_after_copy", uninitialised_after_copy, "uninitialised: reads 4 bytes", false},
    {"misaligned", misaligned, "misaligned: ", false},
    {"host_pointer", host_pointer, "host pointer in a kernel: reads 4 bytes", false},
    {"pinned_pointer", pinned_pointer, "host pointer in a kernel: ", false},
    {"device_pointer", device_pointer, "the host ", true},
    {"copy_of_wrong_kind", copy_of_wrong_kind, "a device pointer, where memory of the host belongs", true},
    {"copy_too_long", copy_too_long, "out of bounds", true},
    {"return_before_barrier", return_before_barrier, "barrier divergence: ", false},
    {"barriers_in_branches", barriers_in_branches, "barrier divergence: ", false},
    {"deadlock", deadlock, "deadlock: ", true},
    {"exited_lane", exited_lane, "returned or are not there|returned or is not there", false},
    {"part_of_a_warp", part_of_a_warp, "only whole warps", true},
    {"mixed_collectives", mixed_collectives, "different collectives", true},
    {"too_many_threads", too_many_threads, "a launch that is too large is refused", true},
    {"too_much_shared", too_much_shared, "a launch that is too large is refused", true},
    {"full_stack", full_stack, "the stack of a thread is full", true},
    {"missing_wait", missing_wait, "race between streams: ", false},
};

static void test_right(void **) {
    missing_event(true);
    assert_int_equal(device.status, STATUS_OK);
}

static int open_stream(void) {
    return cudaStreamCreateWithFlags(&device.stream, cudaStreamNonBlocking) == cudaSuccess ? 0 : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_right)};
    open_stream();
    const int failed = planted_run(bugs, sizeof bugs / sizeof *bugs, "planted.cu");
    return cmocka_run_group_tests(tests, NULL, NULL) + failed;
}
