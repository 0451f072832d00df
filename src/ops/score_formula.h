/* What a particle of the response network makes of its vectors (theory.md section 7), for host and device: of channel c
 * of vectors v (d, channels) or z (d, vectors). */
#ifndef EPFLOW_OPS_SCORE_FORMULA_H
#define EPFLOW_OPS_SCORE_FORMULA_H

#include "ops/ops.h"
#include "ops/response_formula.h"

FORMULA real dot_of(int d, const real *a, const real *b) {
    real sum = 0;
    for (int m = 0; m < d; m++)
        sum += a[m] * b[m];
    return sum;
}

/* ---- the state that the network starts from ---- */

FORMULA void state_of(const struct response_law *law, real kappa, real phi, const real *q, const real *u,
                      real *x) {
    const real floor_ = (real)law->constants.lg_floor;
    x[0] = log_of(kappa) / (real)law->constants.kappa_scale - (real)law->constants.kappa_shift;
    x[1] = log_of(floor_ + dot_of(law->d, q, q)) / 2;
    x[2] = log_of(floor_ + kappa * dot_of(law->d, u, u)) / (2 * (real)law->constants.speed_scale) -
           (real)law->constants.speed_shift;
    x[3] = phi / (real)law->constants.density_shift - 1;
}

FORMULA void state_tangent_of(const struct response_law *law, real kappa, const real *q, const real *u,
                              const real *dq, const real *du, real *dx) {
    const real floor_ = (real)law->constants.lg_floor;
    dx[0] = dx[3] = 0;
    dx[1] = dot_of(law->d, q, dq) / (floor_ + dot_of(law->d, q, q));
    dx[2] = kappa * dot_of(law->d, u, du) / (floor_ + kappa * dot_of(law->d, u, u)) /
            (real)law->constants.speed_scale;
}

/* ---- what it sees of its new vectors: log(z_c + guard), p_c ---- */

/* Of a particle: sqrt(kappa), 1/sqrt(floor + |q|^2), and the constants. */
struct sight {
    int d, channels;
    real root, inverse, floor_, guard;
};
FORMULA struct sight sight_of(const struct response_law *law, int channels, real kappa, const real *q) {
    struct sight out;
    out.d = law->d;
    out.channels = channels;
    out.floor_ = (real)law->constants.lg_floor;
    out.guard = (real)law->constants.log_guard;
    out.root = root_of(kappa);
    out.inverse = 1 / root_of(out.floor_ + dot_of(law->d, q, q));
    return out;
}

/* sqrt(floor + V . V) and V . q of channel c. */
FORMULA real length_of(const struct sight *s, int c, const real *v, const real *q, real *with_q) {
    real square = 0;
    *with_q = 0;
    for (int a = 0; a < s->d; a++) {
        square += v[a * s->channels + c] * v[a * s->channels + c];
        *with_q += v[a * s->channels + c] * q[a];
    }
    return root_of(s->floor_ + square);
}

FORMULA void vector_feature(const struct sight *s, int c, const real *v, const real *q, real *x) {
    real with_q;
    const real length = length_of(s, c, v, q, &with_q);
    x[c] = log_of(s->root * length + s->guard);
    x[s->channels + c] = with_q * s->inverse / length;
}

/* q_dq = q . dq. */
FORMULA void vector_feature_tangent(const struct sight *s, int c, const real *v, const real *q,
                                    const real *dv, const real *dq, real q_dq, real *dx) {
    real with_q, v_dv = 0, dwith_q = 0;
    const real length = length_of(s, c, v, q, &with_q);
    for (int a = 0; a < s->d; a++) {
        v_dv += v[a * s->channels + c] * dv[a * s->channels + c];
        dwith_q += dv[a * s->channels + c] * q[a] + v[a * s->channels + c] * dq[a];
    }
    dx[c] = s->root * v_dv / length / (s->root * length + s->guard);
    dx[s->channels + c] = s->inverse / length *
                          (dwith_q - with_q * (v_dv / (length * length) + q_dq * s->inverse * s->inverse));
}

FORMULA void vector_feature_gradient(const struct sight *s, int c, const real *v, const real *q,
                                     const real *dx, real *dv) {
    real with_q;
    const real length = length_of(s, c, v, q, &with_q);
    const real turned = dx[s->channels + c] * s->inverse / length;
    const real stretched =
        dx[c] * s->root / length / (s->root * length + s->guard) - turned * with_q / (length * length);
    for (int a = 0; a < s->d; a++)
        dv[a * s->channels + c] += stretched * v[a * s->channels + c] + turned * q[a];
}

/* ---- the score ----
 * s = -sqrt(kappa) sum_c (o_c + [c = 0] prior) G_c Z_c - g + o_F F/v0 + o_u u,  G_c = 1/(1 + |Z_c|^2/gain). */

FORMULA real gate_of(int d, int vectors, int c, real gain, const real *z) {
    real square = 0;
    for (int a = 0; a < d; a++)
        square += z[a * vectors + c] * z[a * vectors + c];
    return 1 / (1 + square / gain);
}

FORMULA real factor_of(real prior, const real *o, int c) {
    return c == 0 ? o[c] + prior : o[c];
}

/* What vector c is multiplied with in the sum. */
FORMULA real weight_of(int d, int vectors, int c, real prior, real gain, const real *z, const real *o) {
    return factor_of(prior, o, c) * gate_of(d, vectors, c, gain, z);
}

/* Adds what it brings to the tangent of the sum. */
FORMULA void add_vector_tangent(int d, int vectors, int c, real prior, real gain, const real *z,
                                const real *o, const real *dz, const real *dout, real dsum[]) {
    const real gate = gate_of(d, vectors, c, gain, z), factor = factor_of(prior, o, c) * gate;
    real along = 0;
    for (int a = 0; a < d; a++)
        along += z[a * vectors + c] * dz[a * vectors + c];
    const real dfactor = dout[c] * gate - 2 * factor * gate * along / gain;
    for (int a = 0; a < d; a++)
        dsum[a] += factor * dz[a * vectors + c] + dfactor * z[a * vectors + c];
}

/* dz =, dout = of channel c; root = sqrt(kappa). */
FORMULA void vector_gradient(int d, int vectors, int c, real prior, real gain, real root, const real *z,
                             const real *o, const real *ds, real *dz, real *dout) {
    const real gate = gate_of(d, vectors, c, gain, z), factor = factor_of(prior, o, c) * gate;
    real along = 0;
    for (int a = 0; a < d; a++)
        along += z[a * vectors + c] * ds[a];
    dout[c] = -root * gate * along;
    for (int a = 0; a < d; a++)
        dz[a * vectors + c] = -root * factor * (ds[a] - 2 * gate * along / gain * z[a * vectors + c]);
}

/* Component of s and its tangent, of the sums and o[vectors] = o_u, o[vectors + 1] = o_F. */
FORMULA real score_component(real root, real sum, double g, double push, real o_u, real o_f) {
    return (real)(-(double)(root * sum) - g + (double)o_f * push + (double)o_u * (g + push));
}

FORMULA real score_component_tangent(real root, real dsum, double g, double push, real o_u, real dg,
                                     real do_u, real do_f) {
    return -root * dsum - dg + do_f * (real)push + do_u * (real)(g + push) + o_u * dg;
}

#endif
