/* Linear layers and what else is a matrix product. */
#include "kernels/product.h"
#include "kernels/sums.h"

/* A line of threads a row: 4 bytes written a number. */
static __global__ void fill_rows(size_t rows, int columns, const real *__restrict__ row, real *to,
                                 size_t ld) {
    const size_t r = (size_t)blockIdx.x * blockDim.y + threadIdx.y;
    for (int c = (int)threadIdx.x; r < rows && c < columns; c += (int)blockDim.x)
        to[r * ld + (size_t)c] = row[c];
}

static void start_from(struct device *d, struct product *p, const real *row) {
    const dim3 block(WARP, 8);
    ep_launch(d, "fill_rows", fill_rows, ep_blocks(p->rows, block.y), block, 0, p->rows, (int)p->columns, row,
              p->to, p->ld);
    p->bias = NULL;
    p->start = p->to;
    p->ld_start = p->ld;
    p->stride_start = p->stride;
}

/* With its own scratch. */
static void multiply(const struct ops *ops, struct product p) {
    struct device *d = device_of(ops);
    const size_t room = product_room(d, &p);
    void *scratch = room > 0 ? device_scratch(d, room) : NULL;
    if (device_product(d, &p, scratch))
        return;
    start_from(d, &p, p.bias);
    device_product(d, &p, scratch);
}

/* x (rows, in) w (in, out) to y. */
static struct product product_of(size_t rows, int in, int out, const real *x, size_t ldx, const real *w,
                                 real *y, size_t ldy) {
    struct product p = {};
    p.rows = rows;
    p.columns = (size_t)out;
    p.inner = (size_t)in;
    p.left = {x, ldx, 0, false};
    p.right = {w, (size_t)out, 0, false};
    p.scale = 1;
    p.to = y;
    p.ld = ldy;
    p.batch = 1;
    return p;
}

static void cuda_linear(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                        const real *w, const real *b, real *y, size_t ldy) {
    struct product p = product_of(rows, in, out, x, ldx, w, y, ldy);
    p.bias = b;
    multiply(ops, p);
}

/* The last part is linear's own product, so that it has the same bits. */
static void cuda_linear_parts(const struct ops *ops, size_t rows, int parts, int in, int out, const real *x,
                              size_t ldx, const real *w, const real *b, real *sums) {
    const int columns = in / parts;
    const size_t plane = rows * (size_t)out;
    for (int m = 0; m < parts; m++) {
        const size_t first = (size_t)(m * columns);
        real *sum = sums + (size_t)m * plane;
        if (m == 0 || m == parts - 1) {
            cuda_linear(ops, rows, (m + 1) * columns, out, x, ldx, w, b, sum, (size_t)out);
            continue;
        }
        struct product p =
            product_of(rows, columns, out, x + first, ldx, w + first * (size_t)out, sum, (size_t)out);
        p.start = sum - plane;
        p.ld_start = (size_t)out;
        multiply(ops, p);
    }
}

static void cuda_linear_onto(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                             const real *w, const uint32_t *index, const real *start, size_t ld_start,
                             real *y, size_t ldy) {
    struct product p = product_of(rows, in, out, x, ldx, w, y, ldy);
    if (index)
        ops->gather_rows(ops, rows, out, index, start, ld_start, y, ldy);
    p.start = index ? y : start;
    p.ld_start = index ? ldy : ld_start;
    multiply(ops, p);
}

static void cuda_linear_backward(const struct ops *ops, size_t rows, int in, int out, const real *x,
                                 size_t ldx, const real *w, const real *dy, size_t ldy, real *dw, real *db,
                                 real *dx, size_t lddx, bool add) {
    if (rows == 0)
        return;
    struct product p = product_of((size_t)in, 0, out, x, ldx, dy, dw, (size_t)out);
    p.inner = rows;
    p.left.turned = true;
    p.right.ld = ldy;
    p.start = dw;
    p.ld_start = (size_t)out;
    multiply(ops, p);
    if (db)
        ops->column_sums(ops, rows, out, dy, ldy, db);
    if (!dx)
        return;
    p = product_of(rows, out, in, dy, ldy, w, dx, lddx);
    p.right = {w, (size_t)out, 0, true};
    p.start = add ? dx : NULL;
    p.ld_start = lddx;
    multiply(ops, p);
}

/* ---- with GELU: in one go where factors are rounded anyway, for cuBLASLt does not say how exact its GELU is ---- */

/* Whether it was done. */
static bool multiply_in_one_go(const struct ops *ops, struct product p) {
    enum { AUX_ALIGNED = 8 }; /* numbers: so cuBLASLt wants its rows */
    struct device *d = device_of(ops);
    if (product_is_exact(d, &p) || p.columns % AUX_ALIGNED != 0)
        return false;
    const size_t room = product_room(d, &p);
    return device_product(d, &p, room > 0 ? device_scratch(d, room) : NULL);
}

static void cuda_linear_gelu(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                             const real *w, const real *b, real *pre, real *post) {
    struct product p = product_of(rows, in, out, x, ldx, w, post, (size_t)out);
    p.bias = b;
    p.end = PRODUCT_GELU;
    p.aux = pre;
    if (multiply_in_one_go(ops, p))
        return;
    cuda_linear(ops, rows, in, out, x, ldx, w, b, pre, (size_t)out);
    ops->gelu(ops, rows * (size_t)out, pre, post);
}

static void cuda_gelu_linear_backward(const struct ops *ops, size_t rows, int in, int out, const real *pre,
                                      const real *post, const real *w, const real *dy, size_t ldy, real *dw,
                                      real *db, real *dpre) {
    cuda_linear_backward(ops, rows, in, out, post, (size_t)in, w, dy, ldy, dw, db, NULL, 0, false);
    struct product p = product_of(rows, out, in, dy, ldy, w, dpre, (size_t)in);
    p.right = {w, (size_t)out, 0, true};
    p.end = PRODUCT_GELU_SLOPE;
    p.aux = (real *)pre;
    if (multiply_in_one_go(ops, p))
        return;
    p.end = PRODUCT_PLAIN;
    multiply(ops, p);
    ops->gelu_backward(ops, rows * (size_t)in, pre, dpre, dpre);
}

/* ---- every head with its columns of w: a batch of heads ---- */

/* y_h (rows, width) = factor x_h (rows, columns) w_h^T. */
static void cuda_turn_back(const struct ops *ops, size_t rows, int heads, int width, double factor,
                           const real *x, const real *w, real *y) {
    const size_t columns = (size_t)(width / heads), wide = (size_t)width;
    struct product p = product_of(rows, (int)columns, width, x, wide, w, y, (size_t)heads * wide);
    p.left.stride = columns;
    p.right = {w, wide, columns, true};
    p.scale = (real)factor;
    p.stride = wide;
    p.batch = heads;
    multiply(ops, p);
}

/* y_h (rows, columns) = factor x_h (rows, width) w_h + b. */
static void cuda_carry_on(const struct ops *ops, size_t rows, int heads, int width, double factor,
                          const real *x, const real *w, const real *b, real *y) {
    const size_t columns = (size_t)(width / heads), wide = (size_t)width;
    struct product p = product_of(rows, width, width, x, (size_t)heads * wide, w, y, wide);
    if (b)
        start_from(device_of(ops), &p, b);
    p.columns = columns;
    p.left.stride = wide;
    p.right = {w, wide, columns, false};
    p.scale = (real)factor;
    p.stride = columns;
    p.stride_start = columns;
    p.batch = heads;
    multiply(ops, p);
}

/* dw_h (width, columns) += factor x_h^T (width, rows) y_h (rows, columns). */
static void cuda_head_weights(const struct ops *ops, size_t rows, int heads, int width, double factor,
                              const real *x, const real *y, real *dw) {
    const size_t columns = (size_t)(width / heads), wide = (size_t)width;
    struct product p = product_of(wide, 0, (int)columns, x, (size_t)heads * wide, y, dw, wide);
    if (rows == 0)
        return;
    p.inner = rows;
    p.left.turned = true;
    p.left.stride = wide;
    p.right = {y, wide, columns, false};
    p.scale = (real)factor;
    p.stride = columns;
    p.start = dw;
    p.ld_start = wide;
    p.stride_start = columns;
    p.batch = heads;
    multiply(ops, p);
}

void cuda_fill_linear(struct ops *table) {
    table->linear = cuda_linear;
    table->linear_parts = cuda_linear_parts;
    table->linear_onto = cuda_linear_onto;
    table->linear_backward = cuda_linear_backward;
    table->linear_gelu = cuda_linear_gelu;
    table->gelu_linear_backward = cuda_gelu_linear_backward;
    table->turn_back = cuda_turn_back;
    table->carry_on = cuda_carry_on;
    table->head_weights = cuda_head_weights;
}
