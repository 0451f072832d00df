/* A row of the table of score models: what each kind implements. Private to learn. */
#ifndef EPFLOW_LEARN_SCORE_KIND_H
#define EPFLOW_LEARN_SCORE_KIND_H

#include "learn/score.h"

struct score_kind {
    enum status (*create)(const struct ops *ops, const struct network_parameters *p, int d, int outputs,
                          int rows, struct score_model **out);
    void (*destroy)(struct score_model *model);
    void (*initialise)(const struct score_model *model, uint64_t seed, real *weights);
    struct score_cost (*operations)(const struct score_model *model);
    double (*memory)(const struct score_model *model, double particles, const struct graph *sizes,
                     bool training);
    enum status (*forward)(struct score_model *model, const real *weights, const struct score_input *in,
                           real *s);
    enum status (*divergence)(struct score_model *model, const real *weights, const struct score_input *in,
                              real *s, real *divergence);
    enum status (*denoising)(struct score_model *model, const real *weights, const struct score_input *in,
                             const real *zeta, const real *weight, double sign, double sigma, double scale,
                             double *term, real *gradient, real *s);
    enum status (*probe)(struct score_model *model, const real *weights, const struct score_input *in,
                         const struct score_probes *probes, real *s, real *product);
    enum status (*pull)(struct score_model *model, const real *weights, const struct score_input *in,
                        const struct score_probes *probes, const real *ds, const real *dproduct,
                        real *gradient);
    /* Of kinds that read graphs. */
    enum status (*tangent)(struct score_model *model, const real *weights, const struct score_input *in,
                           const real *direction, real *s, real *ds);
};

/* What every model begins with. */
struct score_model {
    const struct score_kind *kind;
    const struct ops *ops;
    int d, outputs, neighbours, decoded;
    struct score_stop stop; /* asked between chunks where no gradient is made */
    size_t chunk;
    struct tensors tensors;
    double bytes; /* of the workspace */
};

extern const struct score_kind window_kind;   /* window_network.c */
extern const struct score_kind response_kind; /* response_network.c */

#endif
