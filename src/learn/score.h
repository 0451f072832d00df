/* Score models: s_g(x, g) of a particle from the particles around it. One table row per kind.
 *
 * A model is written above ops and knows no communicator: it reads the particles a rank holds (owned and
 * halo), for windows of which a centre and its neighbours are given as local indices. Nothing here is
 * collective.
 */
#ifndef EPFLOW_LEARN_SCORE_H
#define EPFLOW_LEARN_SCORE_H

#include "base/config.h"
#include "learn/tensors.h"
#include "ops/ops.h"

/* What a model reads. Device memory, owned by the caller. */
struct score_input {
    const struct box *box;
    uint64_t *const *q;        /* (d)(particles) */
    double *const *g;          /* (d)(particles) */
    size_t particles;          /* owned and ghosts */
    size_t count;              /* windows */
    const uint32_t *centre;    /* (count) */
    const uint32_t *neighbour; /* (count, neighbours) nearest first */
};

struct score_model;

/* Sizes from p, dimension d; rows: about how many network rows (tokens) are computed at once, which bounds the
 * memory. Workspace is allocated here; the weights belong to the caller (score_tensors tells the layout). */
enum status score_create(const struct ops *ops, const struct network_parameters *p, int d, int rows,
                         struct score_model **out);
void score_destroy(struct score_model **model);

/* Names and shapes of the weights in one flat buffer of score_tensors(m)->size reals. */
const struct tensors *score_tensors(const struct score_model *model);
/* Initial weights as theory.md section 3 says, into host memory (size): a function of seed only. */
void score_initialise(const struct score_model *model, uint64_t seed, real *weights);

int score_neighbours(const struct score_model *model); /* n */
/* Floating-point operations (2 per multiply-add) really done, a window: one forward pass, one forward pass with
 * divergence, one sign of a training step. What is done once per particle counts as one per window. */
struct score_cost {
    double forward, divergence, training;
};
struct score_cost score_operations(const struct score_model *model);

/* Bytes of the workspace, on the device. */
double score_memory(const struct score_model *model);

/* s (count, d), device. */
enum status score_forward(struct score_model *model, const real *weights, const struct score_input *in,
                          real *s);
/* s (count, d) and divergence (count) = div_{g_i} s_g,i with the neighbours' g fixed: exact, by d tangents. */
enum status score_divergence(struct score_model *model, const real *weights, const struct score_input *in,
                             real *s, real *divergence);
/* One sign of the antithetic denoising loss (theory.md section 4): adds to gradient (flat, device), and to
 * term (count, float64, device). `in` is the moved configuration; zeta (count, d) the centres' noise in g;
 * scale: 1 / size of the whole batch. s (count, d) receives the score, unless NULL. */
enum status score_denoising(struct score_model *model, const real *weights, const struct score_input *in,
                            const real *zeta, double sign, double sigma, double scale, double *term,
                            real *gradient, real *s);

#endif
