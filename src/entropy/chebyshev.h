/* Functions on an interval as sums of Chebyshev polynomials, for functions of a matrix whose eigenvalues lie in it.
 * Float64, serial. */
#ifndef EPFLOW_ENTROPY_CHEBYSHEV_H
#define EPFLOW_ENTROPY_CHEBYSHEV_H

#include "base/status.h"

/* `count` functions of x: f[m] = f_m(x). */
struct functions {
    void (*at)(const void *context, double x, double *f);
    int count;
    const void *context;
};

/* f_m(x) = sum over k of coefficient[m (order + 1) + k] T_k(2 x/bound - 1) on [0, bound]; one order for all, beyond
 * which every coefficient is below 1e-14 of the largest of its function. *order = -1 and no coefficients where no
 * order up to order_max (2^m - 1, at least 15) does. The caller frees *coefficient. STATUS_FAILURE: out of memory. */
enum status chebyshev_fit(const struct functions *functions, double bound, int order_max, int *order,
                          double **coefficient);

#endif
