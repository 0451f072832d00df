/* The door to the CUDA backend: what the library of kernels exports. It is loaded at run time (ops/device.h), so
 * that the program starts on machines without CUDA.
 */
#ifndef EPFLOW_KERNELS_BACKEND_H
#define EPFLOW_KERNELS_BACKEND_H

#include "ops/ops.h"

C_LINKAGE_BEGIN

/* What matrix products round their factors to; sums are float32, and so is everything else. */
enum device_precision { PRECISION_FLOAT32, PRECISION_TF32, PRECISION_BF16 };

/* Opens device local_rank modulo their number, or says in `message` why there is none and returns STATUS_FAILURE.
 * *out is the table, to be closed by epflow_cuda_close; *name (in the table's memory) names the device. */
enum status epflow_cuda_open(int local_rank, enum device_precision precision, const struct ops **out, char *name,
                             size_t name_bytes, char *message, size_t message_bytes);
void epflow_cuda_close(const struct ops **table);

C_LINKAGE_END

#endif
