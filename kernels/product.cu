/* Matrix products by cuBLASLt. It sees every row-major matrix as its transpose with columns next to each other: to^T =
 * right^T left^T, so that its first factor is `right` and a bias is one number a row of to^T.
 *
 * Its choice of an algorithm is asked for once for each shape and alignment and kept. Algorithms whose result depends on
 * the schedule (sums in place) are left out.
 */
#include "kernels/product.h"

#include <stdlib.h>
#include <string.h>

enum { TABLE = 512, ALIGNED = 16, LEAST_SIDE = 16, BF16_ALIGNED = 8, BLOCK = 256 };

/* All that the choice depends on, in cuBLASLt's terms; no padding. */
struct product_key {
    uint64_t m, n, k, lda, ldb, ldc, ldd, stride_a, stride_b, stride_c, stride_d;
    uint32_t batch, turned_a, turned_b, start, type, align_bias /* 0: none */, end, align_aux, align_a,
        align_b, align_c, align_d;
};
struct product_entry {
    struct product_key key;
    bool used, possible;
    cublasLtMatmulDesc_t what;
    cublasLtMatrixLayout_t a, b, c, d;
    cublasLtMatmulAlgo_t algorithm;
};
struct product_table {
    struct product_entry entry[TABLE];
};

static void forget(struct product_entry *e) {
    const cublasLtMatrixLayout_t layouts[] = {e->a, e->b, e->c, e->d};
    if (e->what)
        cublasLtMatmulDescDestroy(e->what);
    for (int m = 0; m < 4; m++)
        if (layouts[m])
            cublasLtMatrixLayoutDestroy(layouts[m]);
    memset(e, 0, sizeof *e);
}

void product_table_free(struct product_table **table) {
    for (int m = 0; *table && m < TABLE; m++)
        forget(&(*table)->entry[m]);
    free(*table);
    *table = NULL;
}

/* ---- precision ---- */

/* Products with a short side are of coordinates or scores, and take little time: they are float32 in any precision. */
static enum device_precision precision_of(const struct device *d, const struct product *p, bool room) {
    const bool small = p->rows < LEAST_SIDE || p->columns < LEAST_SIDE || p->inner < LEAST_SIDE;
    if (small || d->precision == PRECISION_FLOAT32)
        return PRECISION_FLOAT32;
    return d->precision == PRECISION_BF16 && !room ? PRECISION_TF32 : d->precision;
}

bool product_is_exact(const struct device *d, const struct product *p) {
    return precision_of(d, p, true) == PRECISION_FLOAT32;
}

static size_t rows_in_memory(const struct factor *f, size_t rows, size_t columns) {
    return f->turned ? columns : rows;
}
static size_t rounded_ld(const struct factor *f, size_t rows, size_t columns) {
    const size_t across = f->turned ? rows : columns;
    return (across + BF16_ALIGNED - 1) / BF16_ALIGNED * BF16_ALIGNED;
}
static size_t rounded_numbers(const struct factor *f, size_t rows, size_t columns, int batch) {
    return rows_in_memory(f, rows, columns) * rounded_ld(f, rows, columns) * (size_t)batch;
}

size_t product_room(const struct device *d, const struct product *p) {
    if (precision_of(d, p, true) != PRECISION_BF16)
        return 0;
    return device_room(rounded_numbers(&p->left, p->rows, p->inner, p->batch) * sizeof(uint16_t)) +
           device_room(rounded_numbers(&p->right, p->inner, p->columns, p->batch) * sizeof(uint16_t));
}

/* The upper half of a float32, rounded to the nearest, to even halfway; NaN stays one. */
static __device__ __forceinline__ uint16_t to_bf16(real x) {
    const uint32_t bits = __float_as_uint(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

/* A line of threads a row: 4 bytes read and 2 written a number. */
static __global__ void round_rows(size_t rows, size_t columns, const real *__restrict__ from, size_t ld_from,
                                  size_t stride, uint16_t *to, size_t ld_to) {
    const size_t r = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    for (size_t c = threadIdx.x; r < rows && c < ld_to; c += blockDim.x)
        to[(blockIdx.y * rows + r) * ld_to + c] =
            c < columns ? to_bf16(from[blockIdx.y * stride + r * ld_from + c]) : (uint16_t)0;
}

/* What cuBLASLt is given for a factor (rows, columns). */
struct operand {
    const void *at;
    uint64_t ld, stride;
};
static struct operand operand_of(struct device *d, const struct factor *f, size_t rows, size_t columns,
                                 int batch, void **scratch) {
    if (!scratch)
        return {f->at, f->ld, f->stride};
    const size_t down = rows_in_memory(f, rows, columns), across = f->turned ? rows : columns;
    const size_t ld = rounded_ld(f, rows, columns);
    uint16_t *rounded = device_part<uint16_t>(scratch, rounded_numbers(f, rows, columns, batch));
    const dim3 block(WARP, BLOCK / WARP);
    ep_launch(d, "round_rows", round_rows, dim3(ep_blocks(down, block.y).x, (unsigned)batch), block, 0, down,
              across, f->at, f->ld, f->stride, rounded, ld);
    return {rounded, ld, down * ld};
}

/* ---- what is asked of cuBLASLt ---- */

static uint32_t alignment_of(const void *at, uint64_t ld, uint64_t stride, size_t size) {
    const uint64_t bits = (uint64_t)(uintptr_t)at | ld * size | stride * size | ALIGNED;
    return (uint32_t)(bits & (~bits + 1));
}

static struct product_key key_of(const struct product *p, enum device_precision precision, struct operand a,
                                 struct operand b) {
    struct product_key key;
    const size_t size = precision == PRECISION_BF16 ? sizeof(uint16_t) : sizeof(real);
    const uint32_t aligned = alignment_of(p->to, p->ld, p->stride, sizeof(real));
    const uint32_t bias = p->bias ? alignment_of(p->bias, 0, 0, sizeof(real)) : 0;
    memset(&key, 0, sizeof key);
    key.m = p->columns;
    key.n = p->rows;
    key.k = p->inner;
    key.lda = a.ld;
    key.ldb = b.ld;
    key.ldd = p->ld;
    key.ldc = p->start ? p->ld_start : p->ld;
    key.stride_a = a.stride;
    key.stride_b = b.stride;
    key.stride_d = p->stride;
    key.stride_c = p->start ? p->stride_start : p->stride;
    key.batch = (uint32_t)p->batch;
    key.turned_a = p->right.turned;
    key.turned_b = p->left.turned;
    key.align_bias = bias;
    key.end = p->end;
    key.align_aux = p->end == PRODUCT_PLAIN ? 0 : alignment_of(p->aux, p->columns, 0, sizeof(real));
    key.start = p->start != NULL;
    key.type = precision;
    key.align_a = alignment_of(a.at, a.ld, a.stride, size);
    key.align_b = alignment_of(b.at, b.ld, b.stride, size);
    key.align_d = p->bias && bias < aligned ? bias : aligned; /* a bias counts as one of its columns */
    key.align_c = p->start ? alignment_of(p->start, p->ld_start, p->stride_start, sizeof(real)) : key.align_d;
    return key;
}

/* Columns next to each other: (rows, columns) of cuBLASLt's view. */
static bool make_layout(struct device *d, cublasLtMatrixLayout_t *out, cudaDataType_t type, uint64_t rows,
                        uint64_t columns, uint64_t ld, uint32_t batch, uint64_t stride) {
    const int32_t count = (int32_t)batch;
    const int64_t apart = (int64_t)stride;
    return device_check_blas(d, cublasLtMatrixLayoutCreate(out, type, rows, columns, (int64_t)ld),
                             "a matrix") &&
           (batch == 1 ||
            (device_check_blas(d,
                               cublasLtMatrixLayoutSetAttribute(*out, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                                &count, sizeof count),
                               "a matrix") &&
             device_check_blas(d,
                               cublasLtMatrixLayoutSetAttribute(
                                   *out, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &apart, sizeof apart),
                               "a matrix")));
}

static bool set_what(struct device *d, cublasLtMatmulDesc_t what, cublasLtMatmulDescAttributes_t attribute,
                     const void *value, size_t bytes) {
    return device_check_blas(d, cublasLtMatmulDescSetAttribute(what, attribute, value, bytes), "a product");
}

static bool set_end(struct device *d, const struct product_entry *e) {
    const struct product_key *k = &e->key;
    const cublasLtEpilogue_t end = k->end == PRODUCT_GELU         ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS
                                   : k->end == PRODUCT_GELU_SLOPE ? CUBLASLT_EPILOGUE_DGELU
                                   : k->align_bias > 0            ? CUBLASLT_EPILOGUE_BIAS
                                                                  : CUBLASLT_EPILOGUE_DEFAULT;
    const int64_t ld = (int64_t)k->m;
    return set_what(d, e->what, CUBLASLT_MATMUL_DESC_EPILOGUE, &end, sizeof end) &&
           (k->end == PRODUCT_PLAIN ||
            set_what(d, e->what, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &ld, sizeof ld));
}

static bool describe(struct device *d, struct product_entry *e) {
    const struct product_key *k = &e->key;
    const cudaDataType_t type = k->type == PRECISION_BF16 ? CUDA_R_16BF : CUDA_R_32F;
    const cublasComputeType_t compute =
        k->type == PRECISION_TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const cublasOperation_t turned = CUBLAS_OP_T, straight = CUBLAS_OP_N;
    return device_check_blas(d, cublasLtMatmulDescCreate(&e->what, compute, CUDA_R_32F), "a product") &&
           set_what(d, e->what, CUBLASLT_MATMUL_DESC_TRANSA, k->turned_a ? &turned : &straight,
                    sizeof turned) &&
           set_what(d, e->what, CUBLASLT_MATMUL_DESC_TRANSB, k->turned_b ? &turned : &straight,
                    sizeof turned) &&
           set_end(d, e) &&
           make_layout(d, &e->a, type, k->turned_a ? k->k : k->m, k->turned_a ? k->m : k->k, k->lda, k->batch,
                       k->stride_a) &&
           make_layout(d, &e->b, type, k->turned_b ? k->n : k->k, k->turned_b ? k->k : k->n, k->ldb, k->batch,
                       k->stride_b) &&
           make_layout(d, &e->c, CUDA_R_32F, k->m, k->n, k->ldc, k->batch, k->stride_c) &&
           make_layout(d, &e->d, CUDA_R_32F, k->m, k->n, k->ldd, k->batch, k->stride_d);
}

static void choose(struct device *d, struct product_entry *e) {
    cublasLtMatmulPreference_t wish = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    const uint32_t sums = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    const struct {
        cublasLtMatmulPreferenceAttributes_t attribute;
        const void *value;
        size_t bytes;
    } wishes[] = {
        {CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &d->workspace_bytes, sizeof d->workspace_bytes},
        {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &sums, sizeof sums},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &e->key.align_a, sizeof e->key.align_a},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &e->key.align_b, sizeof e->key.align_b},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &e->key.align_c, sizeof e->key.align_c},
        {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &e->key.align_d, sizeof e->key.align_d},
    };
    bool good = device_check_blas(d, cublasLtMatmulPreferenceCreate(&wish), "a choice");
    for (size_t m = 0; good && m < sizeof wishes / sizeof *wishes; m++)
        good = device_check_blas(
            d,
            cublasLtMatmulPreferenceSetAttribute(wish, wishes[m].attribute, wishes[m].value, wishes[m].bytes),
            "a choice");
    if (good) {
        const cublasStatus_t status =
            cublasLtMatmulAlgoGetHeuristic(d->blas, e->what, e->a, e->b, e->c, e->d, wish, 1, &found, &count);
        e->possible = status == CUBLAS_STATUS_SUCCESS && count > 0 && found.state == CUBLAS_STATUS_SUCCESS;
        if (e->possible)
            e->algorithm = found.algo;
        else if (e->key.align_bias == 0 && e->key.end == PRODUCT_PLAIN)
            device_check_blas(d, status == CUBLAS_STATUS_SUCCESS ? CUBLAS_STATUS_NOT_SUPPORTED : status,
                              "a matrix product");
    }
    if (wish)
        cublasLtMatmulPreferenceDestroy(wish);
}

/* What a description points to. */
static bool set_pointers(struct device *d, const struct product_entry *e, const struct product *p) {
    return (!p->bias || set_what(d, e->what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &p->bias, sizeof p->bias)) &&
           (p->end == PRODUCT_PLAIN ||
            set_what(d, e->what, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &p->aux, sizeof p->aux));
}

static size_t place_of(const struct product_key *key) {
    const unsigned char *byte = (const unsigned char *)key;
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *key; i++)
        hash = (hash ^ byte[i]) * 1099511628211u;
    return (size_t)(hash >> 32) % TABLE;
}

static struct product_entry *entry_of(struct device *d, const struct product_key *key,
                                      const struct product *p) {
    if (!d->products)
        d->products = (struct product_table *)calloc(1, sizeof *d->products);
    if (!d->products) {
        device_check(d, cudaErrorMemoryAllocation, "host memory");
        return NULL;
    }
    struct product_entry *e = &d->products->entry[place_of(key)];
    if (e->used && memcmp(&e->key, key, sizeof *key) == 0)
        return set_pointers(d, e, p) ? e : NULL;
    forget(e);
    e->key = *key;
    if (!describe(d, e) || !set_pointers(d, e, p))
        return NULL;
    choose(d, e);
    e->used = d->status == STATUS_OK;
    return e->used ? e : NULL;
}

bool device_product(struct device *d, const struct product *p, void *scratch) {
    const enum device_precision precision = precision_of(d, p, scratch != NULL);
    void **room = precision == PRECISION_BF16 ? &scratch : NULL;
    const real one = 1, none = 0;
    if (d->status != STATUS_OK || p->rows == 0 || p->columns == 0)
        return true;
    const struct operand a = operand_of(d, &p->right, p->inner, p->columns, p->batch, room);
    const struct operand b = operand_of(d, &p->left, p->rows, p->inner, p->batch, room);
    const struct product_key key = key_of(p, precision, a, b);
    const struct product_entry *e = entry_of(d, &key, p);
    if (!e)
        return true; /* the error is noted */
    if (!e->possible)
        return false;
    device_check_blas(d,
                      cublasLtMatmul(d->blas, e->what, &p->scale, a.at, e->a, b.at, e->b,
                                     p->start ? &one : &none, p->start ? p->start : p->to, e->c, p->to, e->d,
                                     &e->algorithm, d->workspace, d->workspace_bytes, d->stream),
                      "a matrix product");
    return true;
}
