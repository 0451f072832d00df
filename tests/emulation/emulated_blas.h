/* What the two files of the emulated cuBLASLt share: descriptors as plain structs, in the space of the opaque ones. */
#ifndef EPFLOW_EMULATED_BLAS_H
#define EPFLOW_EMULATED_BLAS_H

#include <cublasLt.h>

#include <stddef.h>
#include <stdint.h>

struct blas_layout {
    uint32_t type;
    int32_t order;
    uint64_t rows, columns;
    int64_t leading,
        stride; /* elements between columns (rows in row order), and between matrices of a batch */
    int32_t batch;
};
static_assert(sizeof(blas_layout) <= sizeof(cublasLtMatrixLayoutOpaque_t), "a layout");

struct blas_operation {
    int32_t compute, scale, pointer_mode, transpose_a, transpose_b, transpose_c;
    uint32_t epilogue;
    int32_t bias_type, aux_type;
    void *bias, *aux;
    int64_t bias_stride, aux_leading, aux_stride;
};
static_assert(sizeof(blas_operation) <= sizeof(cublasLtMatmulDescOpaque_t), "an operation");

struct blas_preference {
    uint64_t workspace;
    uint32_t reductions;   /* how sums may be split */
    uint32_t alignment[4]; /* of A, B, C, D */
};
static_assert(sizeof(blas_preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t), "a preference");

/* An "algorithm": the problem it was chosen for. */
struct blas_algorithm {
    uint64_t problem; /* hash of everything but pointers */
    uint64_t workspace;
    uint32_t alignment[6]; /* of A, B, C, D as in the preference, of bias and aux as they were */
};
static_assert(sizeof(blas_algorithm) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm");

/* D = epilogue(alpha op(A) op(B) + beta C) */
struct blas_problem {
    struct blas_operation operation;
    struct blas_layout layout[4]; /* of A, B, C, D */
};

/* One product, as work of a stream. */
struct blas_product {
    struct blas_problem problem;
    const void *a, *b, *c;
    void *d;
    float alpha, beta;
};
void blas_run(const struct blas_product &product);

#endif
