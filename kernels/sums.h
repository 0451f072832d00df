/* Sums over rows, in a fixed order. */
#ifndef EPFLOW_KERNELS_SUMS_H
#define EPFLOW_KERNELS_SUMS_H

#include "kernels/device.h"

/* Parts in which many rows are summed at once. */
size_t device_sum_parts(size_t rows);
/* sum += column sums of x (rows, columns). parts (device_sum_parts(rows), columns): scratch; NULL: in one go, for a few
 * thousand rows at most. */
void device_column_sums(struct device *d, size_t rows, int columns, const real *x, size_t ldx, real *sum, real *parts);

#endif
