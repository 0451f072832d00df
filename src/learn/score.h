/* Score models: numbers of a particle (its score in g, in x, or its velocity) from the particles around it. One
 * table row per kind.
 *
 * A model is written above ops and knows no communicator: it reads the particles a rank holds (owned and
 * halo), for windows of which a centre and its neighbours are given as local indices. A window decodes its centre,
 * or (window: all) every particle in it, centre first: D = score_decoded(model) of them, with O numbers each. Nothing
 * here is collective.
 */
#ifndef EPFLOW_LEARN_SCORE_H
#define EPFLOW_LEARN_SCORE_H

#include "base/config.h"
#include "learn/graph.h"
#include "learn/tensors.h"
#include "ops/ops.h"

/* What a model reads. Device memory, owned by the caller. */
struct score_input {
    const struct box *box;
    uint64_t *const *q;  /* (d)(particles) */
    double *const *g;    /* (d)(particles) */
    size_t particles;    /* owned and ghosts */
    double *const *push; /* (d)(particles) F/v0, for models that see velocities; else not used */
    const uint32_t *id;  /* (particles); used with the lattice and in probes */
    const struct graph
        *graph; /* of the frame, for models that read graphs; windows are then centres alone (k = 0) */
    struct {
        uint64_t seed, step;
        int count;
        real *
            variance; /* (count of windows) device: of each divergence, as the probes differ; NULL: not wanted */
    } probes;         /* random directions of a graph's divergences; count 0: one */
    const struct lattice
        *anchor;       /* lattice sites that displacements are from (d = 0: the origin); NULL: not used */
    const real *shift; /* (count, D, O) added to what the network gives; NULL: nothing */
    size_t count;      /* windows */
    const uint32_t *centre;    /* (count) */
    const uint32_t *neighbour; /* (count, neighbours) nearest first */
};

struct score_model;

/* Sizes from p, dimension d, outputs O (d, or 2 d for two heads); rows: about how many network rows (tokens) are computed at once (0: as suit the device), which bounds the
 * memory. Workspace is allocated here; the weights belong to the caller (score_tensors tells the layout). */
enum status score_create(const struct ops *ops, const struct network_parameters *p, int d, int outputs,
                         int rows, struct score_model **out);
void score_destroy(struct score_model **model);

/* Names and shapes of the weights in one flat buffer of score_tensors(m)->size reals. */
const struct tensors *score_tensors(const struct score_model *model);
/* Initial weights as theory.md section 3 says, into host memory (size): a function of seed only. */
void score_initialise(const struct score_model *model, uint64_t seed, real *weights);

int score_neighbours(const struct score_model *model); /* n */
int score_decoded(const struct score_model *model);    /* D, particles that a window decodes */
size_t score_chunk(const struct score_model *model);   /* most windows of a probe */

/* Asked between chunks of rows when scores and divergences are computed for many, with the share of them that is done:
 * true ends that early, with STATUS_STOPPED and results that are of no use. asked = NULL: never. */
struct score_stop {
    bool (*asked)(void *context, double done);
    void *context;
    double from, span; /* the part of all that a call for some rows is, set by score_part_of */
};
void score_stop_by(struct score_model *model, const struct score_stop *stop);
/* What is computed next is so much of all, `from` of which is done. */
void score_part_of(struct score_model *model, double from, double span);
/* done: share of what was asked for. */
enum status score_go_on(const struct score_model *model, double done);

/* Floating-point operations (2 per multiply-add) really done, a window: one forward pass, one forward pass with
 * divergence, one sign of a training step. What is done once per particle counts as one per window. */
struct score_cost {
    double forward, divergence, training;
};
struct score_cost score_operations(const struct score_model *model);

/* Bytes of the workspace, on the device: as it is now; and as it will be for `particles` (owned and ghosts) of which the
 * graph has these sizes (windows: not read), for scores with their divergences, or for training steps, tests included. */
double score_memory(const struct score_model *model);
double score_memory_for(const struct score_model *model, double particles, const struct graph *sizes,
                        bool training);

/* s (count, D, O), device. */
enum status score_forward(struct score_model *model, const real *weights, const struct score_input *in,
                          real *s);
/* s (count, d) and divergence (count) = div_{g_i} of the network with the neighbours' g fixed: exact, by d
 * tangents; of a graph an unbiased estimate, the mean over in->probes of direction . tangent with independent signs as
 * the direction of every particle. For D = 1 and O = d; the shift's divergence is not in it. */
enum status score_divergence(struct score_model *model, const real *weights, const struct score_input *in,
                             real *s, real *divergence);
/* One sign of the antithetic denoising loss (theory.md section 4): adds to gradient (flat, device), and to
 * term (count D, float64, device). `in` is the moved configuration; zeta (count, D, O) the noise of the decoded
 * particles; weight (count, D) of each one's term, NULL: 1; scale: 1 / size of the whole batch. s (count, D, O) receives the score, unless NULL. */
enum status score_denoising(struct score_model *model, const real *weights, const struct score_input *in,
                            const real *zeta, const real *weight, double sign, double sigma, double scale,
                            double *term, real *gradient, real *s);

/* Directions in which the decoded particles move, in sets of all windows: first `in_x` sets that move x, then `in_g`
 * that move g. seed (sets, count, D, d); readout (sets, count, D, O): which outputs a set's tangent is multiplied
 * with. Device. With the axes as seeds, the sum over sets of a particle's products is its divergence; a random
 * direction gives an unbiased estimate (Hutchinson). With D > 1 a seed's other particles move, too. */
struct score_probes {
    int in_x, in_g;
    const real *seed, *readout;
};
/* Score and products of at most score_chunk windows: s (count, D, O), product (sets, count, D) = readout . tangent
 * of the network. Keeps what score_pull needs, until the next call of anything else. */
enum status score_probe(struct score_model *model, const real *weights, const struct score_input *in,
                        const struct score_probes *probes, real *s, real *product);
/* Gradient of a loss of these scores and products: ds (count, D, O) and dproduct (sets, count, D) are its
 * derivatives. Adds to gradient. The same weights, input and probes as in score_probe. */
enum status score_pull(struct score_model *model, const real *weights, const struct score_input *in,
                       const struct score_probes *probes, const real *ds, const real *dproduct,
                       real *gradient);

/* Of a graph: s and ds (count, d), the derivative of s where every particle's g moves along direction (particles, d).
 */
enum status score_tangent(struct score_model *model, const real *weights, const struct score_input *in,
                          const real *direction, real *s, real *ds);

#endif
