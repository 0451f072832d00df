/* The upper 32 bits of a particle's position on all axes, together: what lists and forces look at. A load of one is 8
 * bytes (d = 1, 2) or 16 (d = 3). */
#ifndef EPFLOW_KERNELS_PLACES_H
#define EPFLOW_KERNELS_PLACES_H

#include "kernels/device.h"
#include "ops/pair_formula.h"

template <int D> struct alignas(D == 3 ? 16 : 8) place { int32_t at[D == 3 ? 4 : 2]; };

template <int D> static __device__ __forceinline__ place<D> place_of(const axes<uint64_t> &q, size_t i) {
    place<D> p = {};
#pragma unroll
    for (int a = 0; a < D; a++)
        p.at[a] = (int32_t)(q.at[a][i] >> 32);
    return p;
}

/* Side / 2^32 on every axis. */
struct place_unit {
    float at[MAX_DIMENSION];
};
static inline struct place_unit place_unit_of(const struct box *box) {
    struct place_unit unit = {};
    for (int a = 0; a < box->d; a++)
        unit.at[a] = (real)(box->side[a] * PAIR_UNIT);
    return unit;
}

/* x_i - x_j and its squared length. */
template <int D>
static __device__ __forceinline__ float place_difference(const place_unit &unit, const place<D> &i,
                                                         const place<D> &j, float delta[]) {
#pragma unroll
    for (int a = 0; a < D; a++)
        delta[a] = (float)(int32_t)((uint32_t)i.at[a] - (uint32_t)j.at[a]) * unit.at[a];
    return pair_square(D, delta);
}

#endif
