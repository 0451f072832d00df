/* Elementwise functions and layer norm. */
#include "kernels/device.h"

void cuda_fill_network(struct ops *table) {
    (void)table;
}
