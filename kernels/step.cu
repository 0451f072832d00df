/* The integrator's step, and noise. */
#include "kernels/device.h"

void cuda_fill_step(struct ops *table) {
    (void)table;
}
