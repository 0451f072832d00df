/* Edges of the response network on the CPU: their geometry, and the sources: q and the backward shots. */
#include "ops/network_loops.h"

#include <math.h>
#include <string.h>

#include "ops/edge_formula.h"
#include "ops/score_formula.h"

/* One edge's n, r, kn, kt, w, in float64; returns kn + (d-1) kt. */
static double edge_term(const struct box *box, const struct response_law *law, uint64_t *const q[],
                        struct edges *edges, size_t i, size_t e) {
    double delta[MAX_DIMENSION], square = 0;
    const size_t j = edges->sender[e];
    for (int a = 0; a < box->d; a++) {
        delta[a] = (double)(int64_t)(q[a][i] - q[a][j]) * (box->side[a] * 0x1p-64);
        square += delta[a] * delta[a];
    }
    const struct edge_term at = edge_term_of(law, square);
    for (int a = 0; a < box->d; a++)
        edges->normal[(size_t)a * edges->count + e] = (real)(delta[a] / at.r);
    edges->receiver[e] = (uint32_t)i;
    edges->r[e] = (real)at.r;
    edges->kn[e] = (real)at.kn;
    edges->kt[e] = (real)at.kt;
    edges->window[e] = (real)at.window;
    return at.kn + (box->d - 1) * at.kt;
}

static void edge_terms(const struct ops *ops, const struct box *box, const struct response_law *law,
                       uint64_t *const q[], struct edges *edges, real *stiffness, real *kappa) {
    (void)ops;
    for (size_t i = 0; i < edges->receivers; i++) {
        double sum = 0;
        for (size_t e = edges->start[i]; e < edges->start[i + 1]; e++)
            sum += edge_term(box, law, q, edges, i, e);
        stiffness[i] = (real)(sum / box->d);
        kappa[i] = (real)(sum > 0 ? 1 + sum / box->d : 1);
    }
}

static void velocity_rows(const struct ops *ops, int d, size_t n, double *const g[], double *const push[],
                          real *u) {
    (void)ops;
    for (int a = 0; a < d; a++)
        for (size_t i = 0; i < n; i++)
            u[i * (size_t)d + (size_t)a] = (real)(g[a][i] + push[a][i]);
}

/* ---- sources ---- */

/* Sums of one receiver: q without kappa^{-1/2}, and the shots without their factors. */
struct source {
    real q[MAX_DIMENSION], shot[MOST_SHOTS][MAX_DIMENSION];
};

/* Adds edge e: what = u_ij, or its derivative where `tangent` says so. */
static inline __attribute__((always_inline)) void add_source(int d, const struct response_law *law,
                                                             const struct edges *edges, size_t i, size_t e,
                                                             const real *u, const real *du,
                                                             struct source *sum) {
    const size_t j = edges->sender[e], count = edges->count;
    const real r = edges->r[e], kn = edges->kn[e], kt = edges->kt[e];
    const real still = -kt * r * (real)(law->gamma / law->k); /* f(r) */
    real n[MAX_DIMENSION], x[MAX_DIMENSION], v[MAX_DIMENSION], dv[MAX_DIMENSION], along = 0;
    for (int a = 0; a < d; a++) {
        n[a] = edges->normal[(size_t)a * count + e];
        x[a] = r * n[a];
        v[a] = u[i * (size_t)d + (size_t)a] - u[j * (size_t)d + (size_t)a];
        dv[a] = du ? du[i * (size_t)d + (size_t)a] - du[j * (size_t)d + (size_t)a] : v[a];
        along += n[a] * dv[a];
    }
    for (int a = 0; a < d; a++)
        sum->q[a] += kn * along * n[a] + kt * (dv[a] - along * n[a]);
    for (int m = 0; m < law->shots; m++) {
        const real reach = (real)(law->v0 * law->shot[m]);
        real force[MAX_DIMENSION];
        if (du)
            shot_tangent(d, (real)law->beta, (real)law->constants.shot_guard, x, v, dv, reach, force);
        else
            shot_force(d, (real)law->beta, (real)law->constants.shot_guard, x, v, reach, force);
        for (int a = 0; a < d; a++)
            sum->shot[m][a] += du ? force[a] : force[a] - still * n[a];
    }
}

static inline __attribute__((always_inline)) void sources_of(int d, const struct response_law *law,
                                                             const struct edges *edges, const real *kappa,
                                                             const real *u, const real *du, real *q,
                                                             int channels, real *v) {
    const real *first = du ? du : u;
    for (size_t i = 0; i < edges->receivers; i++) {
        struct source sum = {0};
        for (size_t e = edges->start[i]; e < edges->start[i + 1]; e++)
            add_source(d, law, edges, i, e, u, du, &sum);
        const real whiten = 1 / root_of(kappa[i]);
        const real scale =
            (real)(law->constants.shot_scale * law->k) / (kappa[i] + (real)law->constants.shot_offset);
        for (int a = 0; a < d; a++) {
            real *row = v + (i * (size_t)d + (size_t)a) * (size_t)channels;
            q[i * (size_t)d + (size_t)a] = whiten * sum.q[a];
            row[0] = first[i * (size_t)d + (size_t)a];
            for (int m = 0; m < law->shots; m++)
                row[1 + m] = scale / (real)(law->v0 * law->shot[m]) * sum.shot[m][a];
        }
    }
}

static void response_sources(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                             const real *kappa, const real *u, real *q, int channels, real *v) {
    (void)ops;
    if (law->d == 2)
        sources_of(2, law, edges, kappa, u, NULL, q, channels, v);
    else
        sources_of(law->d, law, edges, kappa, u, NULL, q, channels, v);
}

static void response_sources_tangent(const struct ops *ops, const struct response_law *law,
                                     const struct edges *edges, const real *kappa, const real *u,
                                     const real *du, real *dq, int channels, real *dv) {
    (void)ops;
    if (law->d == 2)
        sources_of(2, law, edges, kappa, u, du, dq, channels, dv);
    else
        sources_of(law->d, law, edges, kappa, u, du, dq, channels, dv);
}

/* ---- the state that the network starts from ---- */

static void response_state(const struct ops *ops, const struct response_law *law, size_t n, const real *kappa,
                           const real *phi, const real *q, const real *u, real *x) {
    (void)ops;
    const size_t d = (size_t)law->d;
    for (size_t i = 0; i < n; i++, q += d, u += d, x += STATE_NUMBERS)
        state_of(law, kappa[i], phi[i], q, u, x);
}

static void response_state_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                   const real *kappa, const real *q, const real *u, const real *dq,
                                   const real *du, real *dx) {
    (void)ops;
    const size_t d = (size_t)law->d;
    for (size_t i = 0; i < n; i++, q += d, u += d, dq += d, du += d, dx += STATE_NUMBERS)
        state_tangent_of(law, kappa[i], q, u, dq, du, dx);
}

void FILL(edges)(struct ops *table) {
    table->edge_terms = edge_terms;
    table->velocity_rows = velocity_rows;
    table->response_sources = response_sources;
    table->response_sources_tangent = response_sources_tangent;
    table->response_state = response_state;
    table->response_state_tangent = response_state_tangent;
}
