/* What a pair is seen by. */
#include "kernels/device.h"

void cuda_fill_features(struct ops *table) {
    (void)table;
}
