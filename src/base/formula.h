/* FORMULA marks the inline mathematics that the CPU and the GPU share: a formula exists once.
 * Headers that hold such formulas, or tables that both sides read, compile as C and as C++. */
#ifndef EPFLOW_BASE_FORMULA_H
#define EPFLOW_BASE_FORMULA_H

#ifdef __CUDACC__
#define FORMULA static __host__ __device__ __forceinline__
#else
#define FORMULA static inline __attribute__((always_inline))
#endif

#ifdef __cplusplus
#define C_LINKAGE_BEGIN extern "C" {
#define C_LINKAGE_END }
#else
#define C_LINKAGE_BEGIN
#define C_LINKAGE_END
#endif

#endif
