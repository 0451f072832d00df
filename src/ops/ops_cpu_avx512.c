/* The inner loops of a simulation in AVX-512: called only where the processor has it. */
#define KERNELS simd_avx512
#include "ops/simd_kernels.h"
