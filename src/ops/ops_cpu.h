/* The functions of the CPU table, by the name of their entry in ops.h, which says what they do. */
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

void cpu_gather_neighbours(const struct ops *ops, size_t count, int k, const uint32_t *index,
                           const uint32_t *from, uint32_t *to);
void cpu_narrow(const struct ops *ops, size_t count, const double *from, real *to);

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

/* ops_cpu_network.c */
void cpu_window_offsets(const struct ops *ops, const struct box *box, size_t count, int k,
                        const uint32_t *centre, const uint32_t *neighbour, uint64_t *const q[], real *out);
void cpu_propulsion_rows(const struct ops *ops, int d, size_t count, const uint32_t *index, double *const g[],
                         real *out);
void cpu_gather_rows(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                     const real *from, size_t ld_from, real *to, size_t ld_to);
void cpu_scatter_rows(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                      const real *from, size_t ld_from, real *to, size_t ld_to);
void cpu_linear(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx, const real *w,
                const real *b, real *y, size_t ldy);
void cpu_linear_parts(const struct ops *ops, size_t rows, int parts, int in, int out, const real *x,
                      size_t ldx, const real *w, const real *b, real *sums);
void cpu_linear_onto(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                     const real *w, const uint32_t *index, const real *start, size_t ld_start, real *y,
                     size_t ldy);
void cpu_linear_backward(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                         const real *w, const real *dy, size_t ldy, real *dw, real *db, real *dx, size_t lddx,
                         bool add);
void cpu_column_sums(const struct ops *ops, size_t rows, int columns, const real *x, size_t ldx, real *sum);
void cpu_gelu(const struct ops *ops, size_t count, const real *x, real *y);
void cpu_gelu_tangent(const struct ops *ops, size_t count, const real *x, const real *dx, real *dy);
void cpu_gelu_backward(const struct ops *ops, size_t count, const real *x, const real *dy, real *dx);
void cpu_linear_gelu(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                     const real *w, const real *b, real *pre, real *post);
void cpu_gelu_linear_backward(const struct ops *ops, size_t rows, int in, int out, const real *pre,
                              const real *post, const real *w, const real *dy, size_t ldy, real *dw, real *db,
                              real *dpre);
void cpu_gelu_tangents(const struct ops *ops, size_t sets, size_t count, const real *x, real *d);
void cpu_norm(const struct ops *ops, size_t rows, int columns, const real *a, size_t lda, const real *b,
              size_t ldb, const real *scale, const real *offset, real *n, real *inverse_root, real *y,
              size_t ldy);
void cpu_norm_tangent(const struct ops *ops, size_t sets, size_t rows, int columns, const real *da,
                      size_t ldda, const real *db, size_t lddb, const real *scale, const real *n,
                      const real *inverse_root, real *dy);
void cpu_norm_backward(const struct ops *ops, size_t rows, int columns, const real *scale, const real *n,
                       const real *inverse_root, const real *dy, size_t lddy, real *dscale, real *doffset,
                       real *du, size_t lddu);

void cpu_trace(const struct ops *ops, size_t count, int d, const real *tangent, real *out);

/* ops_cpu_attention.c */
void cpu_attention(const struct ops *ops, size_t windows, int queries, int tokens, int heads, int width,
                   const real *q, const real *k, const real *v, real *p, real *out);
void cpu_attention_tangents(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                            int heads, int width, const real *q, const real *k, const real *v, const real *p,
                            const real *dq, const real *dk, const real *dv, real *dout);
void cpu_attention_backward(const struct ops *ops, size_t windows, int queries, int tokens, int heads,
                            int width, const real *q, const real *k, const real *v, const real *p,
                            const real *dout, real *dq, real *dk, real *dv);

/* ops_cpu_second.c */
void cpu_gelu_tangent_backward(const struct ops *ops, size_t sets, size_t count, const real *x,
                               const real *tx, const real *dy, const real *dty, real *dx, real *dtx);
void cpu_norm_tangent_kept(const struct ops *ops, size_t sets, size_t rows, int columns, const real *ta,
                           size_t ldta, real *tu, const real *scale, const real *n, const real *inverse_root,
                           real *ty);
void cpu_norm_tangent_backward(const struct ops *ops, size_t sets, size_t rows, int columns,
                               const real *scale, const real *n, const real *inverse_root, const real *tu,
                               const real *dy, size_t lddy, const real *dty, real *dscale, real *doffset,
                               real *du, size_t lddu, real *dtu);
void cpu_attention_tangent_backward(const struct ops *ops, size_t sets, size_t windows, int queries,
                                    int tokens, int heads, int width, const real *q, const real *k,
                                    const real *v, const real *p, const real *tq, const real *tk,
                                    const real *tv, const real *dout, const real *dtout, real *dq, real *dk,
                                    real *dv, real *dtq, real *dtk, real *dtv);
void cpu_window_inputs(const struct ops *ops, const struct box *box, const struct window_view *view,
                       size_t count, int k, const uint32_t *centre, const uint32_t *neighbour,
                       uint64_t *const q[], const struct lattice *anchor, const uint32_t *id, real *out);
void cpu_window_inputs_tangent(const struct ops *ops, const struct box *box, const struct window_view *view,
                               size_t sets, size_t count, int tokens, int decoded, const real *inputs,
                               const real *seed, real *out);
void cpu_add_column(const struct ops *ops, size_t rows, double factor, const real *x, size_t ldx, real *y);
void cpu_spread_rows(const struct ops *ops, size_t rows, int columns, const real *from, size_t ld_from,
                     real *to, size_t ld_to, bool add);
void cpu_probe(const struct ops *ops, size_t rows, int columns, const real *direction, const real *tangent,
               real *out);
void cpu_probe_backward(const struct ops *ops, size_t rows, int columns, const real *direction,
                        const real *dproduct, real *dtangent);
/* ops_cpu_pool.c */
void cpu_attention_tangent_query(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                                 int heads, int width, const real *k, const real *v, const real *p,
                                 const real *dq, real *dout);
void cpu_attention_tangent_key(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                               int heads, int width, const real *q, const real *p, const real *sums,
                               const real *b, const real *value, const real *dk, const real *dvalue,
                               real *du);
void cpu_turn_back(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                   const real *w, real *y);
void cpu_carry_on(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                  const real *w, const real *b, real *y);
void cpu_head_weights(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                      const real *y, real *dw);
void cpu_pool(const struct ops *ops, size_t windows, int tokens, int heads, int width, const real *t,
              const real *r, real *p, real *z);
void cpu_pool_tangent(const struct ops *ops, size_t sets, size_t windows, int tokens, int heads, int width,
                      const real *t, const real *p, const real *r, const real *dt, const real *dr, real *dz);
void cpu_pool_backward(const struct ops *ops, size_t windows, int tokens, int heads, int width, const real *t,
                       const real *p, const real *r, const real *dz, real *dr, real *dt);

/* ops_cpu_fields.c */
void cpu_spread(const struct ops *ops, const struct spread_grid *grid, size_t n, int columns,
                const double *position, const double *amount, double *sum);

/* ops_cpu_optimizer.c */
void cpu_denoising(const struct ops *ops, size_t count, int d, const real *s, const real *zeta,
                   const real *weight, double sign, double sigma, double scale, double *term, real *ds);
double cpu_sum_squares(const struct ops *ops, size_t count, const real *x);
void cpu_radam(const struct ops *ops, size_t count, int64_t t, bool rectify, double b2, double rate,
               double scale, double decay, const real *gradient, real *mu, real *nu, real *theta,
               real *average);

/* ops_cpu_edges.c */
void cpu_edge_terms(const struct ops *ops, const struct box *box, const struct response_law *law,
                    uint64_t *const q[], struct edges *edges, real *stiffness, real *kappa);
void cpu_velocity_rows(const struct ops *ops, int d, size_t n, double *const g[], double *const push[],
                       real *u);
void cpu_response_sources(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                          const real *kappa, const real *u, real *q, int channels, real *v);
void cpu_response_sources_tangent(const struct ops *ops, const struct response_law *law,
                                  const struct edges *edges, const real *kappa, const real *u, const real *du,
                                  real *dq, int channels, real *dv);
void cpu_response_state(const struct ops *ops, const struct response_law *law, size_t n, const real *kappa,
                        const real *phi, const real *q, const real *u, real *x);
void cpu_response_state_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                const real *kappa, const real *q, const real *u, const real *dq,
                                const real *du, real *dx);

/* ops_cpu_sweeps.c */
void cpu_contact_vectors(const struct ops *ops, const struct box *box, uint64_t *const q[],
                         struct contacts *contacts);
void cpu_contact_stiffness(const struct ops *ops, const struct response_law *law,
                           const struct contacts *contacts, const real *shift, real *stiff);
void cpu_contact_stiffness_tangent(const struct ops *ops, const struct response_law *law,
                                   const struct contacts *contacts, const real *shift, const real *dshift,
                                   real *dstiff);
void cpu_contact_step(const struct ops *ops, int d, const struct contacts *contacts, double factor,
                      const real *stiff, const real *x, const real *base, const real *source, real *out);
void cpu_contact_step_tangent(const struct ops *ops, int d, const struct contacts *contacts, double factor,
                              const real *stiff, const real *x, const real *dstiff, const real *dx,
                              const real *dbase, const real *dsource, real *dout);

/* ops_cpu_features.c */
void cpu_edge_features(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                       struct edge_range range, const real *kappa, int channels, const real *v, real *f);
void cpu_edge_features_tangent(const struct ops *ops, const struct response_law *law,
                               const struct edges *edges, struct edge_range range, const real *kappa,
                               int channels, const real *v, const real *dv, real *df);
void cpu_edge_features_backward(const struct ops *ops, const struct response_law *law,
                                const struct edges *edges, struct edge_range range, const real *kappa,
                                int channels, int from, const real *v, const real *df, real *dv);

/* ops_cpu_response.c */
void cpu_silu(const struct ops *ops, size_t count, const real *x, real *y);
void cpu_silu_slope(const struct ops *ops, size_t count, const real *x, real *dy);
void cpu_edge_hidden(const struct ops *ops, const struct edges *edges, struct edge_range range, int width,
                     const real *p, real *a, real *e);
void cpu_edge_hidden_tangent(const struct ops *ops, const struct edges *edges, struct edge_range range,
                             int width, const real *a, const real *dp, real *de);
void cpu_edge_hidden_backward(const struct ops *ops, const struct edges *edges, struct edge_range range,
                              int width, const real *a, real *de, real *dp);
void cpu_edge_messages(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                       struct edge_range range, const real *kappa, int hidden, int channels, const real *y,
                       const real *mixed, real *m, size_t ldm, real *v);
void cpu_edge_messages_tangent(const struct ops *ops, const struct response_law *law,
                               const struct edges *edges, struct edge_range range, const real *kappa,
                               int hidden, int channels, const real *y, const real *mixed, const real *dy,
                               const real *dmixed, real *dm, size_t lddm, real *dv);
void cpu_edge_messages_backward(const struct ops *ops, const struct response_law *law,
                                const struct edges *edges, struct edge_range range, const real *kappa,
                                int hidden, int channels, const real *y, const real *mixed, const real *dm,
                                size_t lddm, const real *dv, real *dy, real *dmixed);
void cpu_vector_features(const struct ops *ops, const struct response_law *law, size_t n, int channels,
                         const real *kappa, const real *q, const real *v, real *x, size_t ldx);
void cpu_vector_features_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                 int channels, const real *kappa, const real *q, const real *v,
                                 const real *dq, const real *dv, real *dx, size_t lddx);
void cpu_vector_features_backward(const struct ops *ops, const struct response_law *law, size_t n,
                                  int channels, const real *kappa, const real *q, const real *v,
                                  const real *dx, size_t lddx, real *dv);
void cpu_turn_vectors(const struct ops *ops, size_t n, int d, int channels, const real *turn, const real *v,
                      real *out, size_t ldo);
void cpu_turn_vectors_tangent(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                              const real *v, const real *dturn, const real *dv, real *dout, size_t lddo);
void cpu_turn_vectors_backward(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                               const real *v, const real *dout, size_t lddo, real *dturn, real *dv);
void cpu_whiten(const struct ops *ops, size_t n, int d, int channels, const real *kappa, const real *from,
                size_t ld_from, real *to, size_t ld_to, bool add);
void cpu_response_score(const struct ops *ops, const struct response_law *law, size_t n, int vectors,
                        const real *kappa, const real *z, const real *o, double *const g[],
                        double *const push[], real *s);
void cpu_response_score_tangent(const struct ops *ops, const struct response_law *law, size_t n, int vectors,
                                const real *kappa, const real *z, const real *o, double *const g[],
                                double *const push[], const real *dz, const real *dout, const real *dg,
                                real *ds);
void cpu_response_score_backward(const struct ops *ops, const struct response_law *law, size_t n, int vectors,
                                 const real *kappa, const real *z, const real *o, double *const g[],
                                 double *const push[], const real *ds, real *dz, real *dout);

#endif
