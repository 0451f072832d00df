/* The emulated cuBLASLt against loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
extern "C" {
#include <cmocka.h>
}

#include <cublasLt.h>
#include <cuda_runtime.h>

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <vector>

static cublasLtHandle_t handle;
static cudaStream_t stream;

struct memory {
    float *device;
    std::vector<float> host;
    memory(size_t count, unsigned name) : host(count) {
        for (size_t i = 0; i < count; i++)
            host[i] = (float)((i * 7919 + name * 104729) % 1009) / 504.5f - 1;
        assert_int_equal(cudaMalloc((void **)&device, count * sizeof(float)), cudaSuccess);
        send();
    }
    void send() {
        cudaMemcpyAsync(device, host.data(), host.size() * sizeof(float), cudaMemcpyHostToDevice, stream);
        assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
    }
    void fetch() {
        cudaMemcpyAsync(host.data(), device, host.size() * sizeof(float), cudaMemcpyDeviceToHost, stream);
        assert_int_equal(cudaStreamSynchronize(stream), cudaSuccess);
    }
    ~memory() {
        cudaFree(device);
    }
};

/* One product by column: m x n of inner k, leading dimensions 3 more than needed. */
struct product {
    int m, n, k, ta, tb;
    uint32_t epilogue;
    float beta;
    cublasComputeType_t compute;
};

static int leading(int rows) {
    return rows + 3;
}

static cublasStatus_t run(const product &p, memory &a, memory &b, memory &d, memory &bias, memory &aux,
                          int64_t aux_ld) {
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t la, lb, ld;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found;
    const int32_t ta = p.ta ? CUBLAS_OP_T : CUBLAS_OP_N, tb = p.tb ? CUBLAS_OP_T : CUBLAS_OP_N;
    const float alpha = 0.5f;
    const uint32_t alignment = 4;
    int count = 0;
    cublasLtMatmulDescCreate(&operation, p.compute, CUDA_R_32F);
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &ta, sizeof ta);
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB, &tb, sizeof tb);
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &p.epilogue, sizeof p.epilogue);
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.device,
                                   sizeof bias.device);
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &aux.device,
                                   sizeof aux.device);
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &aux_ld, sizeof aux_ld);
    cublasLtMatrixLayoutCreate(&la, CUDA_R_32F, p.ta ? p.k : p.m, p.ta ? p.m : p.k,
                               leading(p.ta ? p.k : p.m));
    cublasLtMatrixLayoutCreate(&lb, CUDA_R_32F, p.tb ? p.n : p.k, p.tb ? p.k : p.n,
                               leading(p.tb ? p.n : p.k));
    cublasLtMatrixLayoutCreate(&ld, CUDA_R_32F, p.m, p.n, leading(p.m));
    cublasLtMatmulPreferenceCreate(&preference);
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &alignment,
                                         4);
    cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, operation, la, lb, ld, ld, preference, 1, &found, &count);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmul(handle, operation, &alpha, a.device, la, b.device, lb, &p.beta, d.device, ld,
                                d.device, ld, &found.algo, NULL, 0, stream);
    cudaStreamSynchronize(stream);
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatrixLayoutDestroy(la);
    cublasLtMatrixLayoutDestroy(lb);
    cublasLtMatrixLayoutDestroy(ld);
    cublasLtMatmulDescDestroy(operation);
    return status;
}

static double gelu(double x) {
    return 0.5 * x * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

static void check(const product &p) {
    const int e = (int)p.epilogue, aux_ld = (p.m + 7) / 8 * 8;
    memory a((size_t)leading(p.ta ? p.k : p.m) * (p.ta ? p.m : p.k), 1);
    memory b((size_t)leading(p.tb ? p.n : p.k) * (p.tb ? p.k : p.n), 2);
    memory d((size_t)leading(p.m) * p.n, 3), bias(p.m > p.n ? p.m : p.n, 4), aux((size_t)aux_ld * p.n, 5);
    const std::vector<float> before = d.host, bias_before = bias.host, aux_before = aux.host;
    assert_int_equal(run(p, a, b, d, bias, aux, aux_ld), CUBLAS_STATUS_SUCCESS);
    d.fetch(), bias.fetch(), aux.fetch();
    const double close = p.compute == CUBLAS_COMPUTE_32F ? 1e-5 : 5e-3;
    for (int i = 0; i < p.m; i++) {
        double gradient = 0;
        for (int j = 0; j < p.n; j++) {
            double x = 0;
            for (int l = 0; l < p.k; l++)
                x += 0.5 * a.host[p.ta ? l + i * leading(p.k) : i + l * leading(p.m)] *
                     b.host[p.tb ? j + l * leading(p.n) : l + j * leading(p.k)];
            if (p.beta != 0)
                x += p.beta * before[i + j * leading(p.m)];
            if (e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_GELU_BIAS ||
                e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS)
                x += bias_before[i];
            if (e == CUBLASLT_EPILOGUE_GELU_AUX || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS)
                assert_true(fabs(x - aux.host[i + j * aux_ld]) < close);
            if (e & 32)
                x = gelu(x);
            if (e == CUBLASLT_EPILOGUE_DGELU || e == CUBLASLT_EPILOGUE_DGELU_BGRAD) {
                const double at = aux_before[i + j * aux_ld];
                x *= (gelu(at + 1e-5) - gelu(at - 1e-5)) / 2e-5;
            }
            assert_true(fabs(x - d.host[i + j * leading(p.m)]) < close);
            gradient += x;
        }
        if (e == CUBLASLT_EPILOGUE_DGELU_BGRAD)
            assert_true(fabs(gradient - bias.host[i]) < p.n * close);
    }
    for (int j = 0; j < p.n; j++) /* what is between the columns stays */
        for (int i = p.m; i < leading(p.m); i++)
            assert_true(d.host[i + j * leading(p.m)] == before[i + j * leading(p.m)]);
    for (int i = 0; e == CUBLASLT_EPILOGUE_BGRADB && i < p.n; i++) {
        double sum = 0;
        for (int l = 0; l < p.k; l++)
            sum += b.host[i + l * leading(p.n)];
        assert_true(fabs(sum - bias.host[i]) < close);
    }
    for (int i = 0; e == CUBLASLT_EPILOGUE_BGRADA && i < p.m; i++) {
        double sum = 0;
        for (int l = 0; l < p.k; l++)
            sum += a.host[i + l * leading(p.m)];
        assert_true(fabs(sum - bias.host[i]) < close);
    }
}

static void test_products(void **) {
    for (int ta = 0; ta < 2; ta++)
        for (int tb = 0; tb < 2; tb++)
            for (float beta : {0.f, 1.f})
                check({13, 7, 21, ta, tb, CUBLASLT_EPILOGUE_DEFAULT, beta, CUBLAS_COMPUTE_32F});
    check({64, 33, 100, 1, 0, CUBLASLT_EPILOGUE_DEFAULT, 0, CUBLAS_COMPUTE_32F_FAST_TF32});
}

static void test_epilogues(void **) {
    for (int e : {CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_BIAS,
                  CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUBLASLT_EPILOGUE_DGELU,
                  CUBLASLT_EPILOGUE_DGELU_BGRAD, CUBLASLT_EPILOGUE_BGRADA, CUBLASLT_EPILOGUE_BGRADB})
        check({13, 9, 21, 0, 1, (uint32_t)e, 0, CUBLAS_COMPUTE_32F});
}

static void test_refusals(void **) {
    memory a(1000, 1), b(1000, 2), d(1000, 3), bias(100, 4), aux(1000, 5);
    assert_int_equal(
        run({13, 9, 21, 0, 0, CUBLASLT_EPILOGUE_GELU_AUX, 0, CUBLAS_COMPUTE_32F}, a, b, d, bias, aux, 13),
        CUBLAS_STATUS_NOT_SUPPORTED); /* not a multiple of 8 */
    assert_int_equal(
        run({13, 9, 21, 0, 0, CUBLASLT_EPILOGUE_BGRADB, 0, CUBLAS_COMPUTE_32F}, a, b, d, bias, aux, 16),
        CUBLAS_STATUS_NOT_SUPPORTED);
    assert_int_equal(
        run({13, 0, 21, 0, 0, CUBLASLT_EPILOGUE_DEFAULT, 0, CUBLAS_COMPUTE_32F}, a, b, d, bias, aux, 16),
        CUBLAS_STATUS_INVALID_VALUE);
    assert_int_equal(
        run({13, 9, 21, 0, 0, CUBLASLT_EPILOGUE_DEFAULT, 0, CUBLAS_COMPUTE_16F}, a, b, d, bias, aux, 16),
        CUBLAS_STATUS_NOT_SUPPORTED);
}

/* bf16 in, float32 out; by row; in a batch, which the layouts say. */
static void test_batch(void **) {
    const int batch = 3, m = 4, n = 5, k = 6;
    std::vector<uint16_t> host(batch * m * k);
    std::vector<float> plain(host.size());
    for (size_t i = 0; i < host.size(); i++) {
        plain[i] = (float)(i % 17) - 8;
        uint32_t bits;
        memcpy(&bits, &plain[i], 4);
        host[i] = (uint16_t)(bits >> 16);
    }
    uint16_t *a = NULL;
    memory d((size_t)batch * m * n, 1);
    assert_int_equal(cudaMalloc((void **)&a, host.size() * 2), cudaSuccess);
    cudaMemcpyAsync(a, host.data(), host.size() * 2, cudaMemcpyHostToDevice, stream);
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t layout[3];
    const int32_t order = CUBLASLT_ORDER_ROW, transpose = CUBLAS_OP_T;
    const uint64_t rows[3] = {m, n - 1, m}, columns[3] = {k, k, n - 1};
    const int64_t stride[3] = {m * k, m * k, m * n}, ld[3] = {k, k, n};
    cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB, &transpose, sizeof transpose);
    for (int i = 0; i < 3; i++) {
        cublasLtMatrixLayoutCreate(&layout[i], i < 2 ? CUDA_R_16BF : CUDA_R_32F, rows[i], columns[i], ld[i]);
        cublasLtMatrixLayoutSetAttribute(layout[i], CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
        cublasLtMatrixLayoutSetAttribute(layout[i], CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
        cublasLtMatrixLayoutSetAttribute(layout[i], CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride[i],
                                         8);
    }
    const float one = 1, zero = 0;
    assert_int_equal(cublasLtMatmul(handle, operation, &one, a, layout[0], a, layout[1], &zero, NULL,
                                    layout[2], d.device, layout[2], NULL, NULL, 0, stream),
                     CUBLAS_STATUS_SUCCESS);
    d.fetch();
    for (int c = 0; c < batch; c++)
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n - 1; j++) {
                float x = 0;
                for (int l = 0; l < k; l++)
                    x += plain[(c * m + i) * k + l] * plain[(c * m + j) * k + l];
                assert_true(x == d.host[(c * m + i) * n + j]);
            }
    for (cublasLtMatrixLayout_t l : layout)
        cublasLtMatrixLayoutDestroy(l);
    cublasLtMatmulDescDestroy(operation);
    cudaFree(a);
}

static int open_all(void **) {
    return cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS &&
                   cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess
               ? 0
               : -1;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_products), cmocka_unit_test(test_epilogues),
                                       cmocka_unit_test(test_refusals), cmocka_unit_test(test_batch)};
    return cmocka_run_group_tests(tests, open_all, NULL);
}
