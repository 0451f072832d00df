/* The emulated NCCL on several ranks, with copies around it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

#include <cuda_runtime.h>
#include <mpi.h>
#include <nccl.h>

#include <stdint.h>

#include <vector>

static int rank, size;
static ncclComm_t comm;
static cudaStream_t stream, other;

template <typename T> static T *device(const std::vector<T> &host) {
    T *out = NULL;
    assert_int_equal(cudaMalloc((void **)&out, host.size() * sizeof(T)), cudaSuccess);
    cudaMemcpyAsync(out, host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice, stream);
    assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
    return out;
}
template <typename T> static std::vector<T> fetch(T *memory, size_t count) {
    std::vector<T> host(count);
    cudaMemcpyAsync(host.data(), memory, count * sizeof(T), cudaMemcpyDeviceToHost, stream);
    assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
    cudaFree(memory);
    return host;
}

/* In the order of ranks: the bits say so. */
static void test_sum(void **) {
    const size_t count = 1001;
    std::vector<float> mine(count);
    for (size_t i = 0; i < count; i++)
        mine[i] = 1.f / (float)(1 + i + 17 * (size_t)rank);
    float *a = device(mine), *b = device(mine);
    assert_int_equal(ncclAllReduce(a, b, count, ncclFloat32, ncclSum, comm, stream), ncclSuccess);
    assert_int_equal(ncclAllReduce(a, a, count, ncclFloat32, ncclMax, comm, stream), ncclSuccess);
    const std::vector<float> sum = fetch(b, count), most = fetch(a, count);
    for (size_t i = 0; i < count; i++) {
        float x = 1.f / (float)(1 + i);
        for (int r = 1; r < size; r++)
            x += 1.f / (float)(1 + i + 17 * (size_t)r);
        assert_true(sum[i] == x);
        assert_true(most[i] == 1.f / (float)(1 + i));
    }
    double *c = device(std::vector<double>{1.0 + rank, -1.0 * rank});
    assert_int_equal(ncclAllReduce(c, c, 2, ncclFloat64, ncclSum, comm, stream), ncclSuccess);
    const std::vector<double> wide = fetch(c, 2);
    assert_true(wide[0] == size * (size + 1) / 2 && wide[1] == -size * (size - 1) / 2);
}

/* Round a ring, both ways in a group, several at once, of different lengths, and nothing at all. */
static void test_ring(void **) {
    const int next = (rank + 1) % size, previous = (rank + size - 1) % size;
    std::vector<int> mine = {rank, rank * 10, rank * 100};
    int *out = device(mine), *in = device(std::vector<int>(6, -1));
    for (int round = 0; round < 3; round++) {
        ncclGroupStart();
        ncclSend(out, 3, ncclInt32, next, comm, stream);
        ncclSend(out + 1, 2, ncclInt32, next, comm, stream);
        ncclSend(out, 0, ncclInt32, previous, comm, stream);
        ncclRecv(in, 3, ncclInt32, previous, comm, stream);
        ncclRecv(in + 3, 2, ncclInt32, previous, comm, stream);
        ncclRecv(in + 5, 0, ncclInt32, next, comm, stream);
        assert_int_equal(ncclGroupEnd(), ncclSuccess);
        cudaMemcpyAsync(out, in, 3 * sizeof(int), cudaMemcpyDeviceToDevice, stream);
    }
    const std::vector<int> got = fetch(in, 6);
    const int from = (rank + 3 * size - 3) % size;
    assert_true(got[0] == from && got[1] == 10 * from && got[2] == 100 * from);
    assert_true(got[3] == 10 * from && got[4] == 100 * from && got[5] == -1);
    cudaFree(out);
}

static void test_broadcast(void **) {
    uint8_t *a = device(std::vector<uint8_t>{(uint8_t)rank, (uint8_t)(rank + 5), 9});
    uint64_t *b = device(std::vector<uint64_t>((size_t)size, 77)),
             *c = device(std::vector<uint64_t>{(uint64_t)rank + 3});
    const int root = size - 1;
    assert_int_equal(ncclBroadcast(a, a, 3, ncclUint8, root, comm, stream), ncclSuccess);
    assert_int_equal(ncclAllGather(c, b, 1, ncclUint64, comm, stream), ncclSuccess);
    const std::vector<uint8_t> got = fetch(a, 3);
    assert_true(got[0] == root && got[1] == root + 5 && got[2] == 9);
    const std::vector<uint64_t> all = fetch(b, (size_t)size);
    for (int r = 0; r < size; r++)
        assert_true(all[(size_t)r] == (uint64_t)r + 3);
    cudaFree(c);
}

/* The host goes on to MPI while its streams wait for the others. */
static void test_host_meanwhile(void **) {
    cudaEvent_t event;
    float *a = device(std::vector<float>(4, 1.f)), *b = device(std::vector<float>(4, 0.f));
    cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
    for (int round = 0; round < 20; round++) {
        ncclAllReduce(a, b, 4, ncclFloat32, ncclSum, comm, stream);
        cudaEventRecord(event, stream);
        cudaStreamWaitEvent(other, event, 0);
        cudaMemcpyAsync(a, b, 4 * sizeof(float), cudaMemcpyDeviceToDevice, other);
        cudaEventRecord(event, other);
        cudaStreamWaitEvent(stream, event, 0);
        cudaMemsetAsync(b, 0, 2 * sizeof(float), stream);
        if (rank == round % size) /* one waits for its device first */
            cudaStreamSynchronize(stream);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    const std::vector<float> sum = fetch(a, 4);
    float x = 1;
    for (int round = 0; round < 20; round++)
        x *= (float)size;
    assert_true(sum[0] == x && sum[3] == x);
    cudaFree(b);
    cudaEventDestroy(event);
}

int main(int argc, char **argv) {
    ncclUniqueId id;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    ncclGetUniqueId(&id);
    MPI_Bcast(&id, sizeof id, MPI_BYTE, 0, MPI_COMM_WORLD);
    if (ncclCommInitRank(&comm, size, id, rank) != ncclSuccess)
        return 1;
    cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sum), cmocka_unit_test(test_ring),
                                       cmocka_unit_test(test_broadcast),
                                       cmocka_unit_test(test_host_meanwhile)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ncclCommDestroy(comm);
    MPI_Finalize();
    return failed;
}
