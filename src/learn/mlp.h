/* A multilayer perceptron: in -> hidden, GELU, `layers` times, -> out. Private to learn. */
#ifndef EPFLOW_LEARN_MLP_H
#define EPFLOW_LEARN_MLP_H

#include "learn/tensors.h"
#include "ops/ops.h"

enum { MLP_LAYERS = 16 };

struct mlp {
    const struct ops *ops;
    int layers, in, hidden, out;
    size_t w[MLP_LAYERS + 1], b[MLP_LAYERS + 1]; /* offsets in the flat buffer of weights */
    size_t rows;                                 /* most rows at once */
    real *pre[MLP_LAYERS], *post[MLP_LAYERS];    /* (rows, hidden) before and after GELU, kept by forward */
    real *scratch[2];                            /* (rows, hidden) for tangents and gradients */
};

/* Names the tensors NAME/linear0/w ... and allocates room for `rows` rows. */
enum status mlp_create(const struct ops *ops, const char *name, int layers, int in, int hidden, int out,
                       size_t rows, struct tensors *tensors, struct mlp *mlp);
void mlp_destroy(struct mlp *mlp);
/* Bytes of its workspace. */
double mlp_bytes(const struct mlp *mlp);

/* x (rows, in) -> y (rows, out); keeps what tangent and backward need. */
void mlp_forward(struct mlp *mlp, const real *weights, size_t rows, const real *x, size_t ldx, real *y,
                 size_t ldy);
/* dx (rows, in) -> dy (rows, out) at the rows of the last forward, of which it has at least as many. */
void mlp_tangent(struct mlp *mlp, const real *weights, size_t rows, const real *dx, size_t lddx, real *dy,
                 size_t lddy);
/* dy (rows, out) -> gradient += ..., dx (rows, in) unless NULL. x as in forward. */
void mlp_backward(struct mlp *mlp, const real *weights, size_t rows, const real *x, size_t ldx,
                  const real *dy, size_t lddy, real *gradient, real *dx, size_t lddx);

/* ---- with tangents that are kept: gradients of losses that hold tangents ---- */

struct mlp_tangents {
    const struct ops *ops;
    int layers;
    real *pre[MLP_LAYERS], *post[MLP_LAYERS]; /* (sets rows, hidden) */
    real *scratch[2];                         /* (sets rows, hidden) */
};
/* Room for `rows` rows of all sets together. */
enum status mlp_tangents_create(const struct mlp *mlp, size_t rows, struct mlp_tangents *tangents);
void mlp_tangents_destroy(struct mlp_tangents *tangents);
/* tx (sets, rows, in) -> ty (sets, rows, out) at the rows of the last forward. */
void mlp_tangents_forward(const struct mlp *mlp, struct mlp_tangents *t, const real *weights, size_t sets,
                          size_t rows, const real *tx, size_t ldtx, real *ty, size_t ldty);
/* dy (rows, out), dty (sets, rows, out) -> gradient += ... of both; x, tx as in forward. dx (rows, in) and dtx
 * (sets, rows, in) unless NULL. */
void mlp_tangents_backward(struct mlp *mlp, struct mlp_tangents *t, const real *weights, size_t sets,
                           size_t rows, const real *x, size_t ldx, const real *tx, size_t ldtx,
                           const real *dy, size_t lddy, const real *dty, size_t lddty, real *gradient,
                           real *dx, size_t lddx, real *dtx, size_t lddtx);

#endif
