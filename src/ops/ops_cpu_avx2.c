/* The inner loops of a simulation in AVX2. */
#define KERNELS simd_avx2
#include "ops/simd_kernels.h"
