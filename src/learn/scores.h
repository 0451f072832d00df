/* What is learnt of a system: the score in g, and, where x is driven by noise too (eps > 0), the score in x; or, from
 * data whose dynamics are unknown, the velocities of the probability flow themselves. One network, one with two heads,
 * or two networks with their weights one after the other in one flat buffer. Nothing here is collective. */
#ifndef EPFLOW_LEARN_SCORES_H
#define EPFLOW_LEARN_SCORES_H

#include "learn/score.h"

/* One network of them: which outputs are of x and of g (first column; -1: none). */
struct score_part {
    struct score_model *model;
    size_t offset; /* of its weights in the flat buffer */
    int outputs;   /* O */
    int x_at, g_at;
};

struct scores {
    const struct ops *ops;
    int d, parts;
    bool with_x;
    int neighbours, decoded;
    struct score_part part[2];
    struct tensors tensors; /* of all parts; names begin with x/ or g/ where there are two networks */
};

/* neighbours: n, or with window: all the number of particles of a copy less one. */
enum status scores_create(const struct ops *ops, const struct network_parameters *p, int d, bool with_x,
                          int rows, struct scores **out);
void scores_destroy(struct scores **scores);
/* As score_initialise. */
void scores_initialise(const struct scores *scores, uint64_t seed, real *weights);
struct score_cost scores_operations(const struct scores *scores);
double scores_memory(const struct scores *scores);
/* As score_memory_for. */
double scores_memory_for(const struct scores *scores, double particles, const struct graph *sizes,
                         bool training);
/* Of scores_flow: score_stop_by for every part. */
void scores_stop_by(struct scores *scores, const struct score_stop *stop);

/* ---- rows: the decoded particles of some windows, host memory, float64 ---- */

/* What the physics says of them. */
struct score_rows {
    size_t rows;                             /* windows D */
    const double *g;                         /* (rows, d) */
    const double *force;                     /* (rows, d) F; NULL where the dynamics are unknown */
    const double *divergence;                /* (rows) div_x F */
    const double *restoring, *div_restoring; /* (rows, d) G, (rows) div_g G; both NULL: g and d */
};
/* Of a row's component m, and of a row: what draws g back, minus its drift over gamma. */
static inline double rows_restoring(const struct score_rows *rows, size_t m) {
    return rows->restoring ? rows->restoring[m] : rows->g[m];
}
static inline double rows_div_restoring(const struct score_rows *rows, int d, size_t r) {
    return rows->div_restoring ? rows->div_restoring[r] : d;
}

/* Constants of the flow: v_x = b - eps s_x, v_g = -gamma (G + s_g); G = g unless propulsions align. */
struct flow_law {
    double v0, gamma, eps;
    enum score_shift shift;
    bool velocity; /* the networks give v_x, v_g */
};

/* The shift of a part's outputs as the networks take it: (rows, O) into device memory. */
enum status scores_shift(const struct scores *scores, int part, const struct flow_law *law,
                         const struct score_rows *rows, real *shift);

/* Directions for the divergences of some windows, made in groups so that memory stays bounded. */
enum { PROBE_SETS = 8 }; /* most sets of a group, of x and of g each */
struct probe_plan {
    enum divergence_kind kind;
    int repeats; /* independent directions of Hutchinson's kind, each a group */
    bool none;   /* no directions: values alone, in one group */
    uint64_t seed, step;
};
/* Groups that a plan needs. */
int probe_groups(const struct scores *scores, const struct probe_plan *plan);
struct probe_buffers {
    size_t capacity;      /* windows */
    real *seed, *readout; /* device */
    real *product;        /* (sets, rows) device */
    real *host;
};
enum status probe_reserve(const struct scores *scores, size_t windows, struct probe_buffers *buffers);
void probe_release(const struct scores *scores, struct probe_buffers *buffers);
/* The probes of group m for a part and `count` windows; ids (count, D) of the decoded particles, host. */
void probe_fill(const struct scores *scores, int part, const struct probe_plan *plan, int group, size_t count,
                const uint32_t *ids, struct probe_buffers *buffers, struct score_probes *out);

/* ---- the flow of some windows, for tests and evaluation ---- */

/* (rows, d) and (rows); host. s_x and div_s_x may be NULL where there is none. Without a model of the dynamics s is
 * NaN, and v is what there is. */
struct flow_rows {
    double *s_x, *s_g, *div_s_x, *div_s_g; /* scores and their divergences */
    double *v_x, *v_g, *div_v_x, *div_v_g;
    double *
        variance; /* of div_s_g where it is estimated by random directions; 0 where it is exact; may be NULL */
};
/* Windows of `in` (whose shift is set here), exact divergences. For eps = 0 v_x is b, s_x NaN. */
enum status scores_flow(struct scores *scores, const real *weights, const struct flow_law *law,
                        const struct score_input *in, const struct score_rows *rows,
                        const struct flow_rows *out);

/* What scores_flow takes meanwhile, beside the networks' workspace, for as many rows, one a window. */
double scores_flow_bytes(const struct scores *scores, double rows);
/* Numbers of a row, and the pointers of a flow into one array of rows of so many. */
static inline size_t flow_numbers(size_t d) {
    return 4 * d + 5;
}
struct flow_rows flow_rows_of(double *values, size_t rows, size_t d);
/* Exact entropy production rate of row r, of which only the sum over all particles is to be believed: (I3), (I4). */
double flow_exact(const struct flow_law *law, int d, size_t r, const struct score_rows *rows);
/* Resolved entropy production rate of row r: theory.md section 6, times gamma for eps = 0. */
double flow_resolved(const struct flow_law *law, int d, size_t r, const struct score_rows *rows,
                     const struct flow_rows *flow);

#endif
