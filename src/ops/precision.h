/* Functions of libraries by the precision of this build. Private to the ops_cpu_*.c. */
#ifndef EPFLOW_OPS_PRECISION_H
#define EPFLOW_OPS_PRECISION_H

#include <cblas.h>
#include <math.h>

#ifdef EPFLOW_FLOAT64
#define gemm cblas_dgemm
#define sqrt_real sqrt
#else
#define gemm cblas_sgemm
#define sqrt_real sqrtf
#endif

#endif
