/* Matrix products. */
#include "kernels/device.h"

void cuda_fill_linear(struct ops *table) {
    (void)table;
}
