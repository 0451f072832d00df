/* The response network's other primitives on the CPU: messages along edges, and what particles make of them. */
#include "ops/network_loops.h"

#include <math.h>
#include <string.h>

#include "ops/edge_formula.h"
#include "ops/score_formula.h"

#define INLINE static inline __attribute__((always_inline))

/* ---- activations ---- */

static void silu(const struct ops *ops, size_t count, const real *x, real *y) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        y[i] = silu_of(x[i]);
}

static void silu_slopes(const struct ops *ops, size_t count, const real *x, real *dy) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        dy[i] *= silu_slope(x[i]);
}

static void edge_hidden(const struct ops *ops, const struct edges *edges, struct edge_range range, int width,
                        const real *p, real *a, real *e) {
    (void)ops;
    for (size_t m = 0; m < range.count; m++, a += width, e += width) {
        const real *restrict own = p + 2 * (size_t)width * edges->receiver[range.first + m];
        const real *restrict other = p + 2 * (size_t)width * edges->sender[range.first + m] + width;
        for (int c = 0; c < width; c++)
            a[c] += own[c] + other[c];
        for (int c = 0; c < width; c++)
            e[c] = silu_of(a[c]);
    }
}

static void edge_hidden_tangent(const struct ops *ops, const struct edges *edges, struct edge_range range,
                                int width, const real *a, const real *dp, real *de) {
    (void)ops;
    for (size_t m = 0; m < range.count; m++, a += width, de += width) {
        const real *restrict own = dp + 2 * (size_t)width * edges->receiver[range.first + m];
        const real *restrict other = dp + 2 * (size_t)width * edges->sender[range.first + m] + width;
        for (int c = 0; c < width; c++)
            de[c] = silu_slope(a[c]) * (de[c] + own[c] + other[c]);
    }
}

static void edge_hidden_backward(const struct ops *ops, const struct edges *edges, struct edge_range range,
                                 int width, const real *a, real *de, real *dp) {
    (void)ops;
    for (size_t m = 0; m < range.count; m++, a += width, de += width) {
        real *restrict own = dp + 2 * (size_t)width * edges->receiver[range.first + m];
        real *restrict other = dp + 2 * (size_t)width * edges->sender[range.first + m] + width;
        for (int c = 0; c < width; c++)
            de[c] *= silu_slope(a[c]);
        for (int c = 0; c < width; c++)
            own[c] += de[c];
        for (int c = 0; c < width; c++)
            other[c] += de[c];
    }
}

/* ---- messages ---- */

enum { MOST_MIXED = 64 };

/* n of an edge, and what it carries. */
struct bond {
    real normal[MAX_DIMENSION];
    struct carrier of;
};

INLINE struct bond bond_of(int d, struct carrier_factors factors, const struct edges *edges, size_t e,
                           real kappa) {
    struct bond out = {.of = carrier_of(factors, edges->kn[e], edges->kt[e], edges->window[e], kappa)};
    for (int a = 0; a < d; a++)
        out.normal[a] = edges->normal[(size_t)a * edges->count + e];
    return out;
}

/* a = n . (own - other), T = own - other - n a, channel by channel; vectors are (d, channels). */
INLINE void split_mixed(int d, int channels, const struct bond *k, const real *own, const real *other,
                        real along[], real across[][MOST_MIXED]) {
    for (int c = 0; c < channels; c++)
        along[c] = 0;
    for (int a = 0; a < d; a++)
        for (int c = 0; c < channels; c++) {
            across[a][c] = own[a * channels + c] - other[a * channels + c];
            along[c] += k->normal[a] * across[a][c];
        }
    for (int a = 0; a < d; a++)
        for (int c = 0; c < channels; c++)
            across[a][c] -= k->normal[a] * along[c];
}

INLINE void messages_of(int d, int channels, const struct response_law *law, const struct edges *edges,
                        struct edge_range range, const real *kappa, int hidden, const real *y,
                        const real *mixed, real *m, size_t ldm, real *v) {
    const size_t row = (size_t)(hidden + 3 * channels), vectors = (size_t)(d * channels);
    const real transfer = (real)law->constants.transfer;
    const struct carrier_factors factors = carrier_factors_of(law);
    for (size_t i = range.begin; i < range.end; i++) {
        real *restrict sum = m + i * ldm, new[MAX_DIMENSION][MOST_MIXED] = {{0}};
        for (int c = 0; c < hidden; c++)
            sum[c] = 0;
        for (size_t e = edges->start[i]; e < edges->start[i + 1]; e++) {
            const struct bond k = bond_of(d, factors, edges, e, kappa[i]);
            const real *restrict of = y + (e - range.first) * row, *alpha = of + hidden;
            const real *beta = alpha + channels, *delta = beta + channels;
            real along[MOST_MIXED], across[MAX_DIMENSION][MOST_MIXED];
            split_mixed(d, channels, &k, mixed + i * vectors, mixed + edges->sender[e] * vectors, along,
                        across);
            for (int c = 0; c < hidden; c++)
                sum[c] += k.of.message * of[c];
            for (int c = 0; c < channels; c++) {
                const real onto = k.of.along * (transfer + alpha[c]) * along[c] + k.of.push * delta[c];
                const real beside = k.of.across * (transfer + beta[c]);
                for (int a = 0; a < d; a++)
                    new[a][c] += onto *k.normal[a] + beside *across[a][c];
            }
        }
        for (int a = 0; a < d; a++)
            for (int c = 0; c < channels; c++)
                v[i * vectors + (size_t)(a * channels + c)] = new[a][c];
    }
}

static void edge_messages(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                          struct edge_range range, const real *kappa, int hidden, int channels, const real *y,
                          const real *mixed, real *m, size_t ldm, real *v) {
    (void)ops;
    if (law->d == 2 && channels == 4)
        messages_of(2, 4, law, edges, range, kappa, hidden, y, mixed, m, ldm, v);
    else
        messages_of(law->d, channels, law, edges, range, kappa, hidden, y, mixed, m, ldm, v);
}

INLINE void message_tangents(int d, int channels, const struct response_law *law, const struct edges *edges,
                             struct edge_range range, const real *kappa, int hidden, const real *y,
                             const real *mixed, const real *dy, const real *dmixed, real *dm, size_t lddm,
                             real *dv) {
    const size_t row = (size_t)(hidden + 3 * channels), vectors = (size_t)(d * channels);
    const real transfer = (real)law->constants.transfer;
    const struct carrier_factors factors = carrier_factors_of(law);
    for (size_t i = range.begin; i < range.end; i++) {
        real *restrict sum = dm + i * lddm, new[MAX_DIMENSION][MOST_MIXED] = {{0}};
        for (int c = 0; c < hidden; c++)
            sum[c] = 0;
        for (size_t e = edges->start[i]; e < edges->start[i + 1]; e++) {
            const struct bond k = bond_of(d, factors, edges, e, kappa[i]);
            const size_t j = edges->sender[e];
            const real *alpha = y + (e - range.first) * row + hidden, *beta = alpha + channels;
            const real *dof = dy + (e - range.first) * row, *dalpha = dof + hidden,
                       *dbeta = dalpha + channels;
            const real *ddelta = dbeta + channels;
            real along[MOST_MIXED], across[MAX_DIMENSION][MOST_MIXED];
            real dalong[MOST_MIXED], dacross[MAX_DIMENSION][MOST_MIXED];
            split_mixed(d, channels, &k, mixed + i * vectors, mixed + j * vectors, along, across);
            split_mixed(d, channels, &k, dmixed + i * vectors, dmixed + j * vectors, dalong, dacross);
            for (int c = 0; c < hidden; c++)
                sum[c] += k.of.message * dof[c];
            for (int c = 0; c < channels; c++) {
                const real onto = k.of.along * ((transfer + alpha[c]) * dalong[c] + dalpha[c] * along[c]) +
                                  k.of.push * ddelta[c];
                for (int a = 0; a < d; a++)
                    new[a][c] += onto *k.normal[a] + k.of.across *((transfer + beta[c]) * dacross[a][c] +
                                                                   dbeta[c] * across[a][c]);
            }
        }
        for (int a = 0; a < d; a++)
            for (int c = 0; c < channels; c++)
                dv[i * vectors + (size_t)(a * channels + c)] = new[a][c];
    }
}

static void edge_messages_tangent(const struct ops *ops, const struct response_law *law,
                                  const struct edges *edges, struct edge_range range, const real *kappa,
                                  int hidden, int channels, const real *y, const real *mixed, const real *dy,
                                  const real *dmixed, real *dm, size_t lddm, real *dv) {
    (void)ops;
    if (law->d == 2 && channels == 4)
        message_tangents(2, 4, law, edges, range, kappa, hidden, y, mixed, dy, dmixed, dm, lddm, dv);
    else
        message_tangents(law->d, channels, law, edges, range, kappa, hidden, y, mixed, dy, dmixed, dm, lddm,
                         dv);
}

INLINE void message_gradients(int d, int channels, const struct response_law *law, const struct edges *edges,
                              struct edge_range range, const real *kappa, int hidden, const real *y,
                              const real *mixed, const real *dm, size_t lddm, const real *dv, real *dy,
                              real *dmixed) {
    const size_t row = (size_t)(hidden + 3 * channels), vectors = (size_t)(d * channels);
    const real transfer = (real)law->constants.transfer;
    const struct carrier_factors factors = carrier_factors_of(law);
    for (size_t i = range.begin; i < range.end; i++) {
        const real *restrict dsum = dm + i * lddm, *restrict dnew = dv + i * vectors;
        for (size_t e = edges->start[i]; e < edges->start[i + 1]; e++) {
            const struct bond k = bond_of(d, factors, edges, e, kappa[i]);
            const real *alpha = y + (e - range.first) * row + hidden, *beta = alpha + channels;
            real *restrict dof = dy + (e - range.first) * row, *dalpha = dof + hidden;
            real *dbeta = dalpha + channels, *ddelta = dbeta + channels;
            real *own = dmixed + i * vectors, *other = dmixed + edges->sender[e] * vectors;
            real along[MOST_MIXED], across[MAX_DIMENSION][MOST_MIXED];
            split_mixed(d, channels, &k, mixed + i * vectors, mixed + edges->sender[e] * vectors, along,
                        across);
            for (int c = 0; c < hidden; c++)
                dof[c] = k.of.message * dsum[c];
            for (int c = 0; c < channels; c++) {
                real onto = 0, beside = 0;
                for (int a = 0; a < d; a++) {
                    onto += k.normal[a] * dnew[a * channels + c];
                    beside += across[a][c] * dnew[a * channels + c];
                }
                dalpha[c] = k.of.along * along[c] * onto;
                dbeta[c] = k.of.across * beside;
                ddelta[c] = k.of.push * onto;
                const real normal = k.of.along * (transfer + alpha[c]),
                           rest = k.of.across * (transfer + beta[c]);
                for (int a = 0; a < d; a++) {
                    const real g = rest * dnew[a * channels + c] + (normal - rest) * onto * k.normal[a];
                    own[a * channels + c] += g;
                    other[a * channels + c] -= g;
                }
            }
        }
    }
}

static void edge_messages_backward(const struct ops *ops, const struct response_law *law,
                                   const struct edges *edges, struct edge_range range, const real *kappa,
                                   int hidden, int channels, const real *y, const real *mixed, const real *dm,
                                   size_t lddm, const real *dv, real *dy, real *dmixed) {
    (void)ops;
    if (law->d == 2 && channels == 4)
        message_gradients(2, 4, law, edges, range, kappa, hidden, y, mixed, dm, lddm, dv, dy, dmixed);
    else
        message_gradients(law->d, channels, law, edges, range, kappa, hidden, y, mixed, dm, lddm, dv, dy,
                          dmixed);
}

/* ---- what a particle sees of its new vectors ---- */

static void vector_features(const struct ops *ops, const struct response_law *law, size_t n, int channels,
                            const real *kappa, const real *q, const real *v, real *x, size_t ldx) {
    (void)ops;
    const int d = law->d;
    for (size_t i = 0; i < n; i++, q += d, v += d * channels, x += ldx) {
        const struct sight sight = sight_of(law, channels, kappa[i], q);
        for (int c = 0; c < channels; c++)
            vector_feature(&sight, c, v, q, x);
    }
}

static void vector_features_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                    int channels, const real *kappa, const real *q, const real *v,
                                    const real *dq, const real *dv, real *dx, size_t lddx) {
    (void)ops;
    const int d = law->d;
    for (size_t i = 0; i < n; i++, q += d, v += d * channels, dq += d, dv += d * channels, dx += lddx) {
        const struct sight sight = sight_of(law, channels, kappa[i], q);
        const real q_dq = dot_of(d, q, dq);
        for (int c = 0; c < channels; c++)
            vector_feature_tangent(&sight, c, v, q, dv, dq, q_dq, dx);
    }
}

static void vector_features_backward(const struct ops *ops, const struct response_law *law, size_t n,
                                     int channels, const real *kappa, const real *q, const real *v,
                                     const real *dx, size_t lddx, real *dv) {
    (void)ops;
    const int d = law->d;
    for (size_t i = 0; i < n; i++, q += d, v += d * channels, dx += lddx, dv += d * channels) {
        const struct sight sight = sight_of(law, channels, kappa[i], q);
        for (int c = 0; c < channels; c++)
            vector_feature_gradient(&sight, c, v, q, dx, dv);
    }
}

static void turn_vectors(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                         const real *v, real *out, size_t ldo) {
    (void)ops;
    for (size_t i = 0; i < n; i++, turn += channels * channels)
        for (int a = 0; a < d; a++, v += channels, out += ldo)
            for (int c = 0; c < channels; c++) {
                real sum = v[c];
                for (int from = 0; from < channels; from++)
                    sum += turn[from * channels + c] * v[from];
                out[c] = sum;
            }
}

static void turn_vectors_tangent(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                                 const real *v, const real *dturn, const real *dv, real *dout, size_t lddo) {
    (void)ops;
    for (size_t i = 0; i < n; i++, turn += channels * channels, dturn += channels * channels)
        for (int a = 0; a < d; a++, v += channels, dv += channels, dout += lddo)
            for (int c = 0; c < channels; c++) {
                real sum = dv[c];
                for (int from = 0; from < channels; from++)
                    sum += turn[from * channels + c] * dv[from] + dturn[from * channels + c] * v[from];
                dout[c] = sum;
            }
}

static void turn_vectors_backward(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                                  const real *v, const real *dout, size_t lddo, real *dturn, real *dv) {
    (void)ops;
    memset(dturn, 0, n * (size_t)(channels * channels) * sizeof *dturn);
    for (size_t i = 0; i < n; i++, turn += channels * channels, dturn += channels * channels)
        for (int a = 0; a < d; a++, v += channels, dv += channels, dout += lddo)
            for (int from = 0; from < channels; from++) {
                real sum = dout[from];
                for (int c = 0; c < channels; c++) {
                    sum += turn[from * channels + c] * dout[c];
                    dturn[from * channels + c] += v[from] * dout[c];
                }
                dv[from] = sum;
            }
}

static void whiten(const struct ops *ops, size_t n, int d, int channels, const real *kappa, const real *from,
                   size_t ld_from, real *to, size_t ld_to, bool add) {
    (void)ops;
    for (size_t i = 0; i < n; i++) {
        const real root = root_of(kappa[i]);
        for (int a = 0; a < d; a++, from += ld_from, to += ld_to)
            for (int c = 0; c < channels; c++)
                to[c] = root * from[c] + (add ? to[c] : 0);
    }
}

/* ---- the score ---- */

static void response_score(const struct ops *ops, const struct response_law *law, size_t n, int vectors,
                           const real *kappa, const real *z, const real *o, double *const g[],
                           double *const push[], real *s) {
    (void)ops;
    const int d = law->d;
    const real prior = (real)law->constants.prior, gain = (real)law->constants.gain;
    for (size_t i = 0; i < n; i++, z += d * vectors, o += vectors + 2, s += d) {
        real sum[MAX_DIMENSION] = {0};
        for (int c = 0; c < vectors; c++) {
            const real weight = weight_of(d, vectors, c, prior, gain, z, o);
            for (int a = 0; a < d; a++)
                sum[a] += weight * z[a * vectors + c];
        }
        for (int a = 0; a < d; a++)
            s[a] =
                score_component(root_of(kappa[i]), sum[a], g[a][i], push[a][i], o[vectors], o[vectors + 1]);
    }
}

static void response_score_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                   int vectors, const real *kappa, const real *z, const real *o,
                                   double *const g[], double *const push[], const real *dz, const real *dout,
                                   const real *dg, real *ds) {
    (void)ops;
    const int d = law->d;
    const real prior = (real)law->constants.prior, gain = (real)law->constants.gain;
    for (size_t i = 0; i < n;
         i++, z += d * vectors, o += vectors + 2, dz += d * vectors, dout += vectors + 2, dg += d, ds += d) {
        real dsum[MAX_DIMENSION] = {0};
        for (int c = 0; c < vectors; c++)
            add_vector_tangent(d, vectors, c, prior, gain, z, o, dz, dout, dsum);
        for (int a = 0; a < d; a++)
            ds[a] = score_component_tangent(root_of(kappa[i]), dsum[a], g[a][i], push[a][i], o[vectors],
                                            dg[a], dout[vectors], dout[vectors + 1]);
    }
}

static void response_score_backward(const struct ops *ops, const struct response_law *law, size_t n,
                                    int vectors, const real *kappa, const real *z, const real *o,
                                    double *const g[], double *const push[], const real *ds, real *dz,
                                    real *dout) {
    (void)ops;
    const int d = law->d;
    const real prior = (real)law->constants.prior, gain = (real)law->constants.gain;
    for (size_t i = 0; i < n;
         i++, z += d * vectors, o += vectors + 2, ds += d, dz += d * vectors, dout += vectors + 2) {
        const real root = root_of(kappa[i]);
        for (int c = 0; c < vectors; c++)
            vector_gradient(d, vectors, c, prior, gain, root, z, o, ds, dz, dout);
        dout[vectors] = dout[vectors + 1] = 0;
        for (int a = 0; a < d; a++) {
            dout[vectors + 1] += (real)push[a][i] * ds[a];
            dout[vectors] += (real)(g[a][i] + push[a][i]) * ds[a];
        }
    }
}

void FILL(response)(struct ops *table) {
    table->silu = silu;
    table->silu_slope = silu_slopes;
    table->edge_hidden = edge_hidden;
    table->edge_hidden_tangent = edge_hidden_tangent;
    table->edge_hidden_backward = edge_hidden_backward;
    table->edge_messages = edge_messages;
    table->edge_messages_tangent = edge_messages_tangent;
    table->edge_messages_backward = edge_messages_backward;
    table->vector_features = vector_features;
    table->vector_features_tangent = vector_features_tangent;
    table->vector_features_backward = vector_features_backward;
    table->turn_vectors = turn_vectors;
    table->turn_vectors_tangent = turn_vectors_tangent;
    table->turn_vectors_backward = turn_vectors_backward;
    table->whiten = whiten;
    table->response_score = response_score;
    table->response_score_tangent = response_score_tangent;
    table->response_score_backward = response_score_backward;
}
