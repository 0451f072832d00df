/* What the inner loops of a simulation share: numbers as integers, memory ahead of its use. A part of simd_kernels.h. */
#ifndef EPFLOW_OPS_SIMD_NUMBERS_H
#define EPFLOW_OPS_SIMD_NUMBERS_H

#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "ops/cell_formula.h"
#include "ops/normal_formula.h"
#include "ops/simd.h"
#include "ops/softplus_formula.h"

#define KERNEL_INLINE static inline __attribute__((always_inline))

/* ---- numbers as integers ---- */

#define MAGIC 6755399441055744.0 /* 1.5 * 2^52: adding it leaves the nearest integer in the low bits */

KERNEL_INLINE int64_t bits_of(double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

KERNEL_INLINE double from_bits(int64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The nearest integer to x, |x| < 2^51. */
KERNEL_INLINE int64_t nearest_integer(double x) {
    return bits_of(x + MAGIC) - bits_of(MAGIC);
}

/* llrint(x), |x| < 2^62: the upper half, then what is left of x, both exact. */
KERNEL_INLINE int64_t nearest_wide_integer(double x) {
    const double shifted = fma(x, 0x1p-32, MAGIC);
    const int64_t upper = bits_of(shifted) - bits_of(MAGIC);
    return (int64_t)((uint64_t)upper << 32) + nearest_integer(fma(shifted - MAGIC, -0x1p32, x));
}

/* (double)m: its halves, each exact, behind the exponents of 2^84 and 2^52; the sum rounds once. */
KERNEL_INLINE double to_double(int64_t m) {
    const int64_t upper = (int64_t)(((uint64_t)m >> 32) ^ 0x4530000080000000u);
    const int64_t lower = (int64_t)(((uint64_t)m & 0xffffffffu) | 0x4330000000000000u);
    return (from_bits(upper) - 0x1.00000801p84) + from_bits(lower);
}

/* a - b of upper halves of positions: the shorter way round, by overflow. */
KERNEL_INLINE int32_t shorter_way(int32_t a, int32_t b) {
    return (int32_t)((uint32_t)a - (uint32_t)b);
}

/* Asks for memory that is needed soon: it comes while there is something else to do. */
KERNEL_INLINE void fetch(const void *memory, size_t bytes) {
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch((const char *)memory + at);
}

/* From so many particles on their arrays do not stay in cache from one pass to the next. */
enum { STREAMED = 1 << 16 };

#endif
