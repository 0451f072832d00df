/* Loss and optimizer: single passes over arrays. Sums that decide something (the loss, the norm of the gradient) are
 * float64. */
#include "kernels/device.h"

#include "ops/radam_formula.h"

enum { BLOCK = 256, MOST_PARTS = 512 };

/* A thread a row of a few numbers: reads s and zeta, writes ds and adds to a term, about 12 bytes a number. */
static __global__ void denoising(size_t count, int d, const real *__restrict__ s, const real *__restrict__ zeta,
                                 const real *__restrict__ weight, double slope, double scale, double *term,
                                 real *ds) {
    const size_t i = ep_index();
    if (i >= count)
        return;
    const double factor = weight ? (double)weight[i] : 1;
    double sum = 0;
    for (size_t m = i * (size_t)d; m < (i + 1) * (size_t)d; m++) {
        const double own = (double)s[m], pull = slope * (double)zeta[m];
        sum += own * (own + 2 * pull);
        ds[m] = (real)(scale * factor * (own + pull));
    }
    term[i] += factor * sum / 2;
}

static void cuda_denoising(const struct ops *ops, size_t count, int d, const real *s, const real *zeta,
                           const real *weight, double sign, double sigma, double scale, double *term, real *ds) {
    ep_launch(device_of(ops), "denoising", denoising, ep_blocks(count, BLOCK), BLOCK, 0, count, d, s, zeta, weight,
              sign / sigma, scale, term, ds);
}

/* Block b of `parts` sums every parts-th stretch of BLOCK numbers. */
static __global__ void square_parts(size_t count, const real *__restrict__ x, double *part) {
    __shared__ double room[WARP];
    double sum = 0;
    for (size_t i = ep_index(); i < count; i += (size_t)gridDim.x * blockDim.x)
        sum += (double)x[i] * (double)x[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        part[blockIdx.x] = sum;
}

static __global__ void sum_parts(int parts, const double *__restrict__ part, double *total) {
    __shared__ double room[WARP];
    double sum = 0;
    for (int i = (int)threadIdx.x; i < parts; i += (int)blockDim.x)
        sum += part[i];
    sum = block_sum(sum, room);
    if (threadIdx.x == 0)
        *total = sum;
}

static double cuda_sum_squares(const struct ops *ops, size_t count, const real *x) {
    struct device *d = device_of(ops);
    const size_t blocks = (count + BLOCK - 1) / BLOCK;
    const size_t parts = blocks < MOST_PARTS ? blocks : (size_t)MOST_PARTS;
    double sum = 0;
    if (count == 0)
        return 0;
    double *part = (double *)device_scratch(d, (MOST_PARTS + 1) * sizeof *part), *total = part + MOST_PARTS;
    ep_launch(d, "square_parts", square_parts, (unsigned)parts, BLOCK, 0, count, x, part);
    ep_launch(d, "sum_parts", sum_parts, 1, BLOCK, 0, (int)parts, part, total);
    device_read(d, &sum, total, sizeof sum);
    return sum;
}

/* Reads 5 arrays and writes 4 of them. */
static __global__ void radam(size_t count, struct radam_step step, const real *__restrict__ gradient, real *mu,
                             real *nu, real *theta, real *average) {
    const size_t i = ep_index();
    if (i < count)
        radam_weight(&step, gradient[i], mu + i, nu + i, theta + i, average + i);
}

static void cuda_radam(const struct ops *ops, size_t count, int64_t t, bool rectify, double b2, double rate,
                       double scale, double decay, const real *gradient, real *mu, real *nu, real *theta,
                       real *average) {
    ep_launch(device_of(ops), "radam", radam, ep_blocks(count, BLOCK), BLOCK, 0, count,
              radam_prepare(t, rectify, b2, rate, scale, decay), gradient, mu, nu, theta, average);
}

void cuda_fill_optimizer(struct ops *table) {
    table->denoising = cuda_denoising;
    table->sum_squares = cuda_sum_squares;
    table->radam = cuda_radam;
}
