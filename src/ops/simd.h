/* The inner loops of a simulation, compiled for one instruction set after the other and chosen when the program
 * runs. All give the same bits as the plain loops of ops_cpu_pairs.c and ops_cpu_step.c, which are their test. Private to
 * the CPU table. */
#ifndef EPFLOW_OPS_SIMD_H
#define EPFLOW_OPS_SIMD_H

#include "ops/ops.h"

struct simd_kernels {
    /* As the entries of ops.h; steps of particles in a periodic box that nothing pulls to a site. */
    void (*close_pairs)(const struct ops *ops, const struct box *box, double reach, size_t owned, size_t n,
                        uint64_t *const q[], const struct pair_list *list, struct close_pairs *close);
    void (*close_force)(const struct ops *ops, const struct box *box, const struct pair_law *law,
                        enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                        struct close_pairs *close, int64_t *sum);
    /* A grid of one system. */
    size_t (*pair_list)(const struct box *box, struct cell_grid *grid, size_t owned, size_t n,
                        uint64_t *const q[], double radius, struct pair_list *list);
    void (*step)(const struct box *box, const struct step_law *law, size_t n, const uint32_t *id,
                 const int64_t *force, uint64_t *const q_list[], uint64_t *const q[], int32_t *const image[],
                 double *const g[], struct step_result *result);
};

/* ops_cpu_avx2.c, ops_cpu_avx512.c */
extern const struct simd_kernels simd_avx2, simd_avx512;

/* Those in use; NULL: the plain loops. */
const struct simd_kernels *simd_kernels(void);

#endif
