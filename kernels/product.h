/* Matrix products by cuBLASLt, of row-major matrices. */
#ifndef EPFLOW_KERNELS_PRODUCT_H
#define EPFLOW_KERNELS_PRODUCT_H

#include "kernels/device.h"

/* A factor in memory, rows `ld` apart, matrices of a batch `stride` apart; `turned`: its transpose is meant. */
struct factor {
    const real *at;
    size_t ld, stride;
    bool turned;
};

/* to (rows, columns) = scale left (rows, inner) right (inner, columns) + start, or + bias in every row; both NULL: none.
 * start may be to. `batch` of them, at least 1. */
struct product {
    size_t rows, columns, inner;
    struct factor left, right;
    real scale;
    const real *bias, *start;
    size_t ld_start, stride_start;
    real *to;
    size_t ld, stride;
    int batch;
};

/* Scratch that a product needs, for factors rounded to bf16. */
size_t product_room(const struct device *d, const struct product *p);
/* scratch NULL: factors are at most rounded to tf32. Returns false, and has done nothing, where cuBLASLt does not have
 * this product with a bias. */
bool device_product(struct device *d, const struct product *p, void *scratch);

/* What is known of products so far; of the device. */
struct product_table;
void product_table_free(struct product_table **table);

#endif
