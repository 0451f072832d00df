/* The products of the emulated cuBLASLt: on packed float32 copies, by OpenBLAS, one thread. Inputs are rounded as the
 * way to compute has it: bf16 are read as they are, tf32 keeps 10 bits of the fraction. */
#include "emulated_blas.h"
#include "emulated_checker.h"
#include "emulated_internal.h"

#include <cblas.h>

#include <vector>

static float tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) != 0x7f800000u) /* not infinite and not a NaN */
        bits = (bits + 0x1000u) & ~0x1fffu;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static size_t element_bytes(const struct blas_layout &l) {
    return l.type == CUDA_R_16BF ? 2 : 4;
}

/* Where element (i, j) of matrix `batch` is, in elements. */
static size_t place(const struct blas_layout &l, int batch, size_t i, size_t j) {
    const size_t leading = (size_t)l.leading;
    return (size_t)(batch * l.stride) + (l.order == CUBLASLT_ORDER_COL ? i + j * leading : i * leading + j);
}

static float element(const struct blas_layout &l, const void *matrix, size_t at) {
    if (l.type == CUDA_R_32F)
        return ((const float *)matrix)[at];
    const uint32_t bits = (uint32_t)((const uint16_t *)matrix)[at] << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Tells the checker of the columns (rows in row order) of a matrix. */
static void touch(const struct blas_layout &l, [[maybe_unused]] const void *matrix, int batch, bool write) {
    const bool by_column = l.order == CUBLASLT_ORDER_COL;
    const size_t lines = by_column ? l.columns : l.rows, length = by_column ? l.rows : l.columns;
    for (size_t k = 0; k < lines; k++) {
        const char *line =
            (const char *)matrix + ((size_t)(batch * l.stride) + k * (size_t)l.leading) * element_bytes(l);
        if (write)
            emulated_check_range(line, length * element_bytes(l), true);
        else
            emulated_check_set(line, length * element_bytes(l));
    }
}

/* By column, without gaps. */
static std::vector<float> packed(const struct blas_layout &l, const void *matrix, int batch, bool round) {
    std::vector<float> out(l.rows * l.columns);
    touch(l, matrix, batch, false);
    for (size_t j = 0; j < l.columns; j++)
        for (size_t i = 0; i < l.rows; i++) {
            const float x = element(l, matrix, place(l, batch, i, j));
            out[i + j * l.rows] = round ? tf32(x) : x;
        }
    return out;
}

/* GELU of the tanh form, and its slope. */
static float gelu(float x) {
    return 0.5f * x * (1 + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
}
static float gelu_slope(float x) {
    const float u = 0.7978845608f * (x + 0.044715f * x * x * x), t = tanhf(u);
    return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * x * x);
}

/* On a column of the result. */
static void epilogue(const struct blas_operation &o, int batch, size_t rows, size_t column, float *x) {
    const float *bias = (const float *)o.bias + batch * o.bias_stride;
    float *aux = (float *)o.aux + batch * o.aux_stride + (int64_t)column * o.aux_leading;
    const uint32_t e = o.epilogue;
    const bool backward = e == CUBLASLT_EPILOGUE_DGELU || e == CUBLASLT_EPILOGUE_DGELU_BGRAD;
    if (e < CUBLASLT_EPILOGUE_BGRADA && (e & CUBLASLT_EPILOGUE_BIAS)) {
        emulated_check_set(bias, rows * sizeof *bias);
        for (size_t i = 0; i < rows; i++)
            x[i] += bias[i];
    }
    if (backward) {
        emulated_check_set(aux, rows * sizeof *aux);
        for (size_t i = 0; i < rows; i++)
            x[i] *= gelu_slope(aux[i]);
    } else if (e & CUBLASLT_EPILOGUE_GELU) {
        if (e & 128) {
            emulated_check_range(aux, rows * sizeof *aux, true);
            memcpy(aux, x, rows * sizeof *x);
        }
        for (size_t i = 0; i < rows; i++)
            x[i] = gelu(x[i]);
    }
}

/* out[i] = sum of row i of a packed matrix, by column. */
static void sum_rows(const std::vector<float> &m, size_t rows, float *out) {
    std::vector<double> sum(rows);
    for (size_t k = 0; k < m.size(); k++)
        sum[k % rows] += m[k];
    emulated_check_range(out, rows * sizeof *out, true);
    for (size_t i = 0; i < rows; i++)
        out[i] = (float)sum[i];
}

static void run_one(const struct blas_product &p, int batch) {
    const struct blas_operation &o = p.problem.operation;
    const struct blas_layout *l = p.problem.layout;
    const bool round = o.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
    const bool ta = o.transpose_a == CUBLAS_OP_T, tb = o.transpose_b == CUBLAS_OP_T;
    const size_t rows = l[3].rows, columns = l[3].columns, inner = ta ? l[0].rows : l[0].columns;
    const std::vector<float> a = packed(l[0], p.a, batch, round), b = packed(l[1], p.b, batch, round);
    std::vector<float> d = p.beta != 0 ? packed(l[2], p.c, batch, false) : std::vector<float>(rows * columns);
    cblas_sgemm(CblasColMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, (int)rows,
                (int)columns, (int)inner, p.alpha, a.data(), (int)l[0].rows, b.data(), (int)l[1].rows, p.beta,
                d.data(), (int)rows);
    for (size_t j = 0; j < columns && o.epilogue != CUBLASLT_EPILOGUE_DEFAULT; j++)
        epilogue(o, batch, rows, j, d.data() + j * rows);
    if (o.epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD)
        sum_rows(d, rows, (float *)o.bias);
    if (o.epilogue == CUBLASLT_EPILOGUE_BGRADA)
        sum_rows(a, l[0].rows, (float *)o.bias);
    if (o.epilogue == CUBLASLT_EPILOGUE_BGRADB)
        sum_rows(b, l[1].rows, (float *)o.bias);
    touch(l[3], p.d, batch, true);
    for (size_t j = 0; j < columns; j++)
        for (size_t i = 0; i < rows; i++)
            ((float *)p.d)[place(l[3], batch, i, j)] = d[i + j * rows];
}

void blas_run(const struct blas_product &p) {
    openblas_set_num_threads(1);
    for (int batch = 0; batch < p.problem.layout[3].batch; batch++)
        run_one(p, batch);
}
