/* Gradients through tangents. */
#include "kernels/device.h"

void cuda_fill_second(struct ops *table) {
    (void)table;
}
