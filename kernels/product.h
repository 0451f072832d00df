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

/* What becomes of a result: with a bias, first it to aux and then its GELU to `to`; or it times the slope of GELU at aux.
 */
enum product_end { PRODUCT_PLAIN, PRODUCT_GELU, PRODUCT_GELU_SLOPE };

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
    enum product_end end;
    real *aux; /* (rows, columns), rows next to each other */
};

/* Scratch that a product needs, for factors rounded to bf16. */
size_t product_room(const struct device *d, const struct product *p);
/* scratch NULL: factors are at most rounded to tf32. Returns false, and has done nothing, where cuBLASLt does not have
 * this product with its bias or its end. */
bool device_product(struct device *d, const struct product *p, void *scratch);

/* Whether this product is one of float32 factors. */
bool product_is_exact(const struct device *d, const struct product *p);

/* What is known of products so far; of the device. */
struct product_table;
void product_table_free(struct product_table **table);

#endif
