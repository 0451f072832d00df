/* cuBLASLt on OpenBLAS: descriptors, and what the real library supports of their combinations. Where its documentation
 * leaves doubt, a combination is refused here, with the reason on stderr. */
#include "emulated_blas.h"
#include "emulated_internal.h"

#include <stdio.h>

/* ---- descriptors ---- */

struct attribute {
    int name;
    size_t at, bytes;
};
#define ATTRIBUTE(name, type, field)                                                                         \
    { name, offsetof(type, field), sizeof(type::field) }

static const struct attribute layout_attributes[] = {
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_TYPE, blas_layout, type),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_ORDER, blas_layout, order),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_ROWS, blas_layout, rows),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_COLS, blas_layout, columns),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_LD, blas_layout, leading),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, blas_layout, batch),
    ATTRIBUTE(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, blas_layout, stride),
};
static const struct attribute operation_attributes[] = {
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, blas_operation, compute),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_SCALE_TYPE, blas_operation, scale),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_POINTER_MODE, blas_operation, pointer_mode),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSA, blas_operation, transpose_a),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSB, blas_operation, transpose_b),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_TRANSC, blas_operation, transpose_c),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE, blas_operation, epilogue),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_POINTER, blas_operation, bias),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE, blas_operation, bias_stride),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, blas_operation, bias_type),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, blas_operation, aux),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, blas_operation, aux_leading),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_BATCH_STRIDE, blas_operation, aux_stride),
    ATTRIBUTE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, blas_operation, aux_type),
};
static const struct attribute preference_attributes[] = {
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, blas_preference, workspace),
    ATTRIBUTE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, blas_preference, reductions),
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, offsetof(blas_preference, alignment) + 0, 4},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, offsetof(blas_preference, alignment) + 4, 4},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, offsetof(blas_preference, alignment) + 8, 4},
    {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, offsetof(blas_preference, alignment) + 12, 4},
};

template <size_t N>
static cublasStatus_t set(void *descriptor, const struct attribute (&attributes)[N], int name,
                          const void *from, size_t bytes) {
    for (const struct attribute &a : attributes)
        if (descriptor && from && a.name == name && a.bytes == bytes) {
            memcpy((char *)descriptor + a.at, from, bytes);
            return CUBLAS_STATUS_SUCCESS;
        }
    return CUBLAS_STATUS_INVALID_VALUE;
}

template <typename T> static const T &of(const void *descriptor) {
    return *(const T *)descriptor;
}

extern "C" cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t out, size_t size,
                                                            cudaDataType type, uint64_t rows,
                                                            uint64_t columns, int64_t leading) {
    if (size < sizeof *out)
        return CUBLAS_STATUS_ALLOC_FAILED;
    const struct blas_layout layout = {(uint32_t)type, CUBLASLT_ORDER_COL, rows, columns, leading, 0, 1};
    memset(out, 0, size);
    memcpy(out, &layout, sizeof layout);
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType type,
                                                     uint64_t rows, uint64_t columns, int64_t leading) {
    *out = new cublasLtMatrixLayoutOpaque_t;
    return cublasLtMatrixLayoutInit_internal(*out, sizeof **out, type, rows, columns, leading);
}

extern "C" cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) {
    delete layout;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                           cublasLtMatrixLayoutAttribute_t name,
                                                           const void *from, size_t bytes) {
    return set(layout, layout_attributes, name, from, bytes);
}

extern "C" cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t out, size_t size,
                                                          cublasComputeType_t compute, cudaDataType_t scale) {
    if (size < sizeof *out)
        return CUBLAS_STATUS_ALLOC_FAILED;
    struct blas_operation operation = {};
    operation.compute = compute;
    operation.scale = scale;
    operation.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    operation.bias_type = operation.aux_type = -1;
    memset(out, 0, size);
    memcpy(out, &operation, sizeof operation);
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                                   cudaDataType_t scale) {
    *out = new cublasLtMatmulDescOpaque_t;
    return cublasLtMatmulDescInit_internal(*out, sizeof **out, compute, scale);
}

extern "C" cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) {
    delete operation;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                                         cublasLtMatmulDescAttributes_t name,
                                                         const void *from, size_t bytes) {
    return set(operation, operation_attributes, name, from, bytes);
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t out, size_t size) {
    if (size < sizeof *out)
        return CUBLAS_STATUS_ALLOC_FAILED;
    const struct blas_preference preference = {0, CUBLASLT_REDUCTION_SCHEME_MASK, {256, 256, 256, 256}};
    memset(out, 0, size);
    memcpy(out, &preference, sizeof preference);
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out) {
    *out = new cublasLtMatmulPreferenceOpaque_t;
    return cublasLtMatmulPreferenceInit_internal(*out, sizeof **out);
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
    delete preference;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                               cublasLtMatmulPreferenceAttributes_t name,
                                                               const void *from, size_t bytes) {
    return set(preference, preference_attributes, name, from, bytes);
}

/* ---- what is supported ---- */

static bool has_bias(uint32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_BIAS || epilogue == CUBLASLT_EPILOGUE_GELU_BIAS ||
           epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
}
static bool sums_bias(uint32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD || epilogue == CUBLASLT_EPILOGUE_BGRADA ||
           epilogue == CUBLASLT_EPILOGUE_BGRADB;
}
static bool has_aux(uint32_t epilogue) {
    return epilogue == CUBLASLT_EPILOGUE_GELU_AUX || epilogue == CUBLASLT_EPILOGUE_GELU_AUX_BIAS ||
           epilogue == CUBLASLT_EPILOGUE_DGELU || epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD;
}

static const char *layout_fault(const struct blas_layout &l) {
    const uint64_t along = l.order == CUBLASLT_ORDER_COL ? l.rows : l.columns;
    const uint64_t most = 0x7fffffff;
    if (l.order != CUBLASLT_ORDER_COL && l.order != CUBLASLT_ORDER_ROW)
        return "a memory order other than by column or by row";
    if (l.rows == 0 || l.columns == 0 || l.rows > most || l.columns > most)
        return "a matrix without numbers, or with more than int32_t can count";
    if (l.leading < (int64_t)along)
        return "a leading dimension that is too small";
    if (l.batch < 1)
        return "an empty batch";
    return NULL;
}

/* The types and the way to compute. */
static const char *type_fault(const struct blas_problem &p) {
    const struct blas_operation &o = p.operation;
    const uint32_t in = p.layout[0].type;
    if (o.scale != CUDA_R_32F || o.pointer_mode != CUBLASLT_POINTER_MODE_HOST || o.transpose_c != CUBLAS_OP_N)
        return "a scale that is not float32 on the host, or C transposed";
    if (p.layout[1].type != in || p.layout[2].type != CUDA_R_32F || p.layout[3].type != CUDA_R_32F)
        return "types other than A = B, C = D = float32";
    if (in == CUDA_R_16BF ? o.compute != CUBLAS_COMPUTE_32F && o.compute != CUBLAS_COMPUTE_32F_PEDANTIC
                          : in != CUDA_R_32F || (o.compute != CUBLAS_COMPUTE_32F &&
                                                 o.compute != CUBLAS_COMPUTE_32F_PEDANTIC &&
                                                 o.compute != CUBLAS_COMPUTE_32F_FAST_TF32))
        return "a way to compute that does not go with the types";
    if ((o.transpose_a != CUBLAS_OP_N && o.transpose_a != CUBLAS_OP_T) ||
        (o.transpose_b != CUBLAS_OP_N && o.transpose_b != CUBLAS_OP_T))
        return "an operation on A or B other than none or transposed";
    if ((o.bias_type != -1 && o.bias_type != CUDA_R_32F) || (o.aux_type != -1 && o.aux_type != CUDA_R_32F))
        return "a bias or an auxiliary matrix that is not float32";
    return NULL;
}

static const char *shape_fault(const struct blas_problem &p) {
    const struct blas_operation &o = p.operation;
    const struct blas_layout &a = p.layout[0], &b = p.layout[1], &c = p.layout[2], &d = p.layout[3];
    const bool ta = o.transpose_a == CUBLAS_OP_T, tb = o.transpose_b == CUBLAS_OP_T;
    if ((ta ? a.columns : a.rows) != d.rows || (tb ? b.rows : b.columns) != d.columns ||
        (ta ? a.rows : a.columns) != (tb ? b.columns : b.rows) || c.rows != d.rows || c.columns != d.columns)
        return "shapes that do not fit";
    if (c.order != d.order)
        return "C and D in different orders";
    for (const struct blas_layout &l : p.layout)
        if (l.batch != d.batch)
            return "batches of different lengths";
    const int64_t along = (int64_t)(d.order == CUBLASLT_ORDER_COL ? d.rows : d.columns);
    const int64_t across = (int64_t)(d.order == CUBLASLT_ORDER_COL ? d.columns : d.rows);
    const bool apart = d.stride >= d.leading * (across - 1) + along; /* one behind the other, */
    const bool beside =
        d.stride >= along && d.stride * (d.batch - 1) + along <= d.leading; /* or side by side */
    if (d.batch > 1 && !apart && !beside)
        return "a batch of results that overlap";
    return NULL;
}

static const char *epilogue_fault(const struct blas_problem &p) {
    const struct blas_operation &o = p.operation;
    const struct blas_layout &a = p.layout[0], &b = p.layout[1], &d = p.layout[3];
    const uint32_t e = o.epilogue;
    if (e == CUBLASLT_EPILOGUE_DEFAULT)
        return NULL;
    if (!has_bias(e) && !sums_bias(e) && !has_aux(e) && e != CUBLASLT_EPILOGUE_GELU)
        return "an epilogue that the emulation does not have";
    if (a.order != CUBLASLT_ORDER_COL || b.order != CUBLASLT_ORDER_COL || d.order != CUBLASLT_ORDER_COL)
        return "an epilogue with a matrix in row order";
    if ((has_bias(e) || sums_bias(e)) && (uintptr_t)o.bias % 4 != 0)
        return "a bias pointer that is not aligned to its type";
    if (has_aux(e) && (uintptr_t)o.aux % 4 != 0)
        return "an auxiliary pointer that is not aligned to its type";
    if (has_aux(e) && (o.aux_leading % 8 != 0 || o.aux_leading < (int64_t)d.rows))
        return "an auxiliary leading dimension that is too small or not a multiple of 8";
    if (has_aux(e) && d.batch > 1 &&
        (o.aux_stride % 8 != 0 || o.aux_stride < o.aux_leading * (int64_t)d.columns))
        return "an auxiliary batch stride that is too small or not a multiple of 8";
    if (sums_bias(e) && d.batch > 1)
        return "a gradient of the bias over a batch";
    if (e == CUBLASLT_EPILOGUE_BGRADA && o.transpose_a != CUBLAS_OP_N)
        return "BGRADA with A transposed";
    if (e == CUBLASLT_EPILOGUE_BGRADB && o.transpose_b != CUBLAS_OP_T)
        return "BGRADB with B not transposed";
    return NULL;
}

/* NULL, or what is wrong; *status says whether with the values or with their combination. */
static const char *fault(const struct blas_problem &p, cublasStatus_t *status) {
    *status = CUBLAS_STATUS_INVALID_VALUE;
    for (const struct blas_layout &l : p.layout)
        if (const char *why = layout_fault(l))
            return why;
    if (const char *why = shape_fault(p))
        return why;
    *status = CUBLAS_STATUS_NOT_SUPPORTED;
    const char *why = type_fault(p);
    return why ? why : epilogue_fault(p);
}

static cublasStatus_t refuse(cublasStatus_t status, const char *why) {
    fprintf(stderr, "emulation: cuBLASLt would refuse %s\n", why);
    return status;
}

static blas_problem problem_of(cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                               cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
    return {of<blas_operation>(o),
            {of<blas_layout>(a), of<blas_layout>(b), of<blas_layout>(c), of<blas_layout>(d)}};
}

/* Of everything that a choice may depend on: FNV-1a over the numbers. */
static uint64_t problem_hash(const struct blas_problem &p) {
    const struct blas_operation &o = p.operation;
    uint64_t hash = 14695981039346656037u;
    const auto add = [&](uint64_t number) { hash = (hash ^ number) * 1099511628211u; };
    for (int64_t number : {(int64_t)o.compute, (int64_t)o.transpose_a, (int64_t)o.transpose_b,
                           (int64_t)o.epilogue, o.bias_stride, o.aux_leading, o.aux_stride})
        add((uint64_t)number);
    for (const struct blas_layout &l : p.layout)
        for (uint64_t number : {(uint64_t)l.type, (uint64_t)l.order, l.rows, l.columns, (uint64_t)l.leading,
                                (uint64_t)l.stride, (uint64_t)l.batch})
            add(number);
    return hash;
}

/* At most 16 bytes, which is what an algorithm can ask for. */
static uint32_t alignment_of(const void *pointer) {
    uint32_t alignment = 16;
    while ((uintptr_t)pointer % alignment != 0)
        alignment /= 2;
    return alignment;
}

/* ---- the calls ---- */

extern "C" cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t operation,
                                                         cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                                         cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                                         cublasLtMatmulPreference_t preference, int requested,
                                                         cublasLtMatmulHeuristicResult_t results[],
                                                         int *returned) {
    *returned = 0;
    if (!operation || !a || !b || !c || !d || !preference || requested < 1)
        return CUBLAS_STATUS_INVALID_VALUE;
    const struct blas_problem problem = problem_of(operation, a, b, c, d);
    const struct blas_preference &want = of<blas_preference>(preference);
    cublasStatus_t status;
    if (const char *why = fault(problem, &status))
        return refuse(status, why);
    struct blas_algorithm algorithm = {
        problem_hash(problem), want.workspace < 4096 ? want.workspace : 4096, {}};
    for (int m = 0; m < 4; m++)
        algorithm.alignment[m] = want.alignment[m] < 16 ? want.alignment[m] : 16;
    algorithm.alignment[4] = alignment_of(problem.operation.bias);
    algorithm.alignment[5] = alignment_of(problem.operation.aux);
    memset(&results[0], 0, sizeof results[0]);
    memcpy(&results[0].algo, &algorithm, sizeof algorithm);
    results[0].workspaceSize = algorithm.workspace;
    results[0].state = CUBLAS_STATUS_SUCCESS;
    results[0].wavesCount = 1;
    *returned = 1;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                         const void *alpha, const void *a, cublasLtMatrixLayout_t a_layout,
                                         const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
                                         const void *c, cublasLtMatrixLayout_t c_layout, void *d,
                                         cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t *algo,
                                         void *workspace, size_t workspace_bytes, cudaStream_t stream) {
    if (!handle || !operation || !alpha || !beta || !a || !b || !d || !a_layout || !b_layout || !c_layout ||
        !d_layout)
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "a call without a handle, a layout or a matrix");
    struct blas_product product = {problem_of(operation, a_layout, b_layout, c_layout, d_layout),
                                   a,
                                   b,
                                   c,
                                   d,
                                   *(const float *)alpha,
                                   *(const float *)beta};
    cublasStatus_t status;
    if (const char *why = fault(product.problem, &status))
        return refuse(status, why);
    struct blas_algorithm chosen = {
        problem_hash(product.problem), 0, {16, 16, 16, 16, 16, 16}}; /* without one */
    if (algo)
        chosen = of<blas_algorithm>(algo);
    if (chosen.problem != problem_hash(product.problem))
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "an algorithm that was chosen for another problem");
    if (workspace_bytes < chosen.workspace ||
        (workspace_bytes > 0 && (!workspace || (uintptr_t)workspace % 256 != 0)))
        return refuse(CUBLAS_STATUS_INVALID_VALUE,
                      "a workspace that is too small or not aligned to 256 bytes");
    if (product.beta != 0 && (!c || (c == d && memcmp(&product.problem.layout[2], &product.problem.layout[3],
                                                      offsetof(blas_layout, batch)) != 0)))
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "C missing, or in place with another layout");
    const struct blas_operation &o = product.problem.operation;
    if (((has_bias(o.epilogue) || sums_bias(o.epilogue)) && !o.bias) || (has_aux(o.epilogue) && !o.aux))
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "an epilogue without its bias or auxiliary matrix");
    const void *matrix[6] = {a, b, c ? c : d, d, o.bias, o.aux};
    for (int m = 0; m < 6; m++)
        if (chosen.alignment[m] == 0 || (uintptr_t)matrix[m] % chosen.alignment[m] != 0)
            return refuse(CUBLAS_STATUS_INVALID_VALUE,
                          "a matrix that is less aligned than was promised when the algorithm was chosen");
    emulated_submit(stream, "cublasLtMatmul", [=] {
        if (chosen.workspace > 0)
            memset(workspace, 0xff, chosen.workspace);
        blas_run(product);
    });
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtCreate(cublasLtHandle_t *out) {
    *out = (cublasLtHandle_t) new int(0);
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    delete (int *)handle;
    return CUBLAS_STATUS_SUCCESS;
}

extern "C" size_t cublasLtGetVersion(void) {
    return 130000;
}

extern "C" const char *cublasLtGetStatusString(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "no error";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "the functionality requested is not supported";
    default:
        return "another error of cuBLASLt";
    }
}
