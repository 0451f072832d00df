/* The functions of the CPU table, by the name of their entry in ops.h, which says what they do; those of networks are in
 * network_loops.h. */
#ifndef EPFLOW_OPS_OPS_CPU_H
#define EPFLOW_OPS_OPS_CPU_H

#include "ops/ops.h"

/* ops_cpu_memory.c */
enum status cpu_allocate(const struct ops *ops, size_t bytes, void **out);
void cpu_release(const struct ops *ops, void *memory);
void cpu_copy(const struct ops *ops, void *to, const void *from, size_t bytes);
void cpu_zero(const struct ops *ops, void *memory, size_t bytes);
enum status cpu_synchronise(const struct ops *ops);
void cpu_gather8(const struct ops *ops, size_t count, const uint32_t *index, const void *from, void *to);
void cpu_gather4(const struct ops *ops, size_t count, const uint32_t *index, const void *from, void *to);
void cpu_fetch(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
               const uint32_t *index, void *host);
void cpu_store(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
               const uint32_t *index, const void *host);

void cpu_gather_neighbours(const struct ops *ops, size_t count, int k, const uint32_t *index,
                           const uint32_t *from, uint32_t *to);
void cpu_narrow(const struct ops *ops, size_t count, const double *from, real *to);

/* ops_cpu_order.c */
void cpu_extents(const struct ops *ops, int d, size_t n, uint64_t *const q[], uint64_t low[],
                 uint64_t extent[]);
void cpu_id_range(const struct ops *ops, size_t n, const uint32_t *id, uint32_t *first, uint32_t *last);
size_t cpu_outside(const struct ops *ops, int d, size_t n, uint64_t *const q[], const struct region *region,
                   uint32_t *index);
void cpu_order_in_space(const struct ops *ops, const struct box *box, double cell, size_t n,
                        const uint32_t *id, uint64_t *const q[], uint32_t *order, void *scratch);

/* ops_cpu_cells.c */
void cpu_cells_sort(const struct ops *ops, const struct box *box, size_t n, const uint32_t *id,
                    uint64_t *const q[], struct cell_grid *grid);
size_t cpu_pair_list(const struct ops *ops, const struct box *box, struct cell_grid *grid, size_t owned,
                     size_t n, uint64_t *const q[], double radius, struct pair_list *list);
void cpu_nearest(const struct ops *ops, const struct box *box, const struct cell_grid *grid, size_t count,
                 const uint32_t *centre, size_t n, uint64_t *const q[], int k, uint32_t *index,
                 double *farthest);

size_t cpu_edge_list(const struct ops *ops, const struct box *box, const struct cell_grid *grid,
                     size_t receivers, size_t n, uint64_t *const q[], double radius, struct pair_list *list);

/* ops_cpu_align.c */
void cpu_align(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
               size_t n, uint64_t *const q[], double *const g[], const struct pair_list *list, int64_t *sum);
void cpu_close_align(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                     size_t n, uint64_t *const q[], double *const g[], const struct pair_list *list,
                     const struct close_pairs *close, int64_t *sum);
void cpu_turn(const struct ops *ops, int d, double amount, size_t owned, const int64_t *sum,
              double *const g[]);

/* ops_cpu_pairs.c */
void cpu_pair_force(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                    size_t n, const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                    int64_t *sum);
void cpu_close_pairs(const struct ops *ops, const struct box *box, double reach, size_t owned, size_t n,
                     uint64_t *const q[], const struct pair_list *list, struct close_pairs *close);
void cpu_close_force(const struct ops *ops, const struct box *box, const struct pair_law *law,
                     enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                     struct close_pairs *close, int64_t *sum);
void cpu_pair_terms(const struct ops *ops, const struct box *box, const struct pair_law *law, double k,
                    size_t owned, size_t n, const uint32_t *id, uint64_t *const q[],
                    const struct pair_list *list, double *const force[], double *divergence);
void cpu_drift(const struct ops *ops, const struct box *box, double v0, double trap,
               const struct lattice *anchor, size_t n, const uint32_t *id, uint64_t *const q[],
               double *const g[], double *const force[], double *divergence, double *const b[]);
double cpu_pair_quadratic(const struct ops *ops, const struct box *box, const struct pair_law *law, double k,
                          size_t owned, const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                          double *const b[]);
double cpu_stiffness_squared(const struct ops *ops, const struct box *box, const struct pair_law *law,
                             double k, double trap, size_t owned, size_t n, const uint32_t *id,
                             uint64_t *const q[], const struct pair_list *list, double *diagonal);
void cpu_pair_count(const struct ops *ops, size_t owned, size_t n, const struct pair_list *list,
                    uint32_t *count);

/* ops_cpu_springs.c: the same for a law of springs; arrays are zeroed by the caller. */
void cpu_spring_force(const struct box *box, const struct pair_law *law, size_t owned, const uint32_t *id,
                      uint64_t *const q[], const struct pair_list *list, int64_t *sum);
void cpu_spring_terms(const struct box *box, const struct pair_law *law, double k, size_t owned,
                      const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                      double *const force[], double *divergence);
double cpu_spring_quadratic(const struct box *box, const struct pair_law *law, double k, size_t owned,
                            const uint32_t *id, const struct pair_list *list, double *const b[]);
/* K (d, d) of the bond between two particles, with which they pull at each other. */
void cpu_spring_stiffness(const struct box *box, const struct pair_law *law, double k, uint32_t id,
                          uint32_t other, double pair[]);

/* ops_cpu_step.c */
void cpu_step(const struct ops *ops, const struct box *box, const struct step_law *law, size_t n,
              const uint32_t *id, const int64_t *force, uint64_t *const q_list[], uint64_t *const q[],
              int32_t *const image[], double *const g[], const double *xi_x, const double *xi_g,
              struct step_result *result);
void cpu_kick(const struct ops *ops, const struct step_law *law, int d, size_t n, const uint32_t *id,
              double *const g[]);
void cpu_move(const struct ops *ops, const struct box *box, const struct step_law *law, double dt, size_t n,
              const uint32_t *id, const int64_t *force, double *const g[], uint64_t *const at[],
              uint64_t *const from[], uint64_t *const q_list[], uint64_t *const to[], int32_t *const image[],
              struct step_result *result);
void cpu_normal(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                const uint32_t *id, int d, double *out);
void cpu_rademacher(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                    const uint32_t *id, int d, double *out);
void cpu_shift_positions(const struct ops *ops, const struct box *box, size_t n, double amount,
                         const double *zeta, uint64_t *const q[], uint64_t *const q_out[]);
void cpu_shift_propulsion(const struct ops *ops, int d, size_t n, double amount, const double *zeta,
                          double *const g[], double *const g_out[]);

/* ops_cpu_fields.c */
enum status cpu_spread(const struct ops *ops, const struct spread_grid *grid, size_t n, int columns,
                       const double *position, const double *amount, double *sum);
#endif
