/* The inner loops of a simulation, written as short loops over blocks that compilers turn into SIMD. Included by one
 * file for every instruction set, with KERNELS the name of its table. Arithmetic is that of the plain loops, number by
 * number (softplus_formula.h, normal_formula.h: + - x / sqrt and explicit fma), so that the bits are the same. */
#ifndef EPFLOW_FLOAT64 /* its forces look at all 64 bits of positions: plain loops */
#include "ops/simd_list.h"
#include "ops/simd_pairs.h"
#endif
#include "ops/simd_step.h"

const struct simd_kernels KERNELS = {
#ifndef EPFLOW_FLOAT64
    .close_pairs = close_pairs,
    .close_force = close_force,
    .pair_list = pair_list,
#endif
    .step = step};
