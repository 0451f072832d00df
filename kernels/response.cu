/* What particles of the response network make of their vectors: activations, what they see of vectors, turns, scores. */
#include "kernels/rows.h"
#include "ops/score_formula.h"

enum { BLOCK = 256 };

/* ---- activations ---- */

static __global__ void silu(size_t count, const real *x, real *y) {
    const size_t i = ep_index();
    if (i < count)
        y[i] = silu_of(x[i]);
}

static void cuda_silu(const struct ops *ops, size_t count, const real *x, real *y) {
    ep_launch(device_of(ops), "silu", silu, ep_blocks(count, BLOCK), BLOCK, 0, count, x, y);
}

static __global__ void silu_slopes(size_t count, const real *__restrict__ x, real *__restrict__ dy) {
    const size_t i = ep_index();
    if (i < count)
        dy[i] *= silu_slope(x[i]);
}

static void cuda_silu_slope(const struct ops *ops, size_t count, const real *x, real *dy) {
    ep_launch(device_of(ops), "silu_slope", silu_slopes, ep_blocks(count, BLOCK), BLOCK, 0, count, x, dy);
}

/* ---- what a particle sees of its new vectors: one thread a particle and channel ---- */

/* 4 (d + 2) bytes, and the particle's 4 (1 + d), the same for all channels. */
static __global__ void seen(struct response_law law, size_t n, int channels, const real *__restrict__ kappa,
                            const real *__restrict__ q, const real *__restrict__ v, real *__restrict__ x,
                            size_t ldx) {
    const size_t i = ep_row();
    if (i >= n)
        return;
    const real *own = q + i * (size_t)law.d;
    const struct sight sight = sight_of(&law, channels, kappa[i], own);
    for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x)
        vector_feature(&sight, c, v + i * (size_t)(law.d * channels), own, x + i * ldx);
}

static void cuda_vector_features(const struct ops *ops, const struct response_law *law, size_t n,
                                 int channels, const real *kappa, const real *q, const real *v, real *x,
                                 size_t ldx) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "vector_features", seen, ep_row_grid(n, block), block, 0, *law, n, channels,
              kappa, q, v, x, ldx);
}

static __global__ void seen_tangent(struct response_law law, size_t n, int channels,
                                    const real *__restrict__ kappa, const real *__restrict__ q,
                                    const real *__restrict__ v, const real *__restrict__ dq,
                                    const real *__restrict__ dv, real *__restrict__ dx, size_t lddx) {
    const size_t i = ep_row();
    if (i >= n)
        return;
    const real *own = q + i * (size_t)law.d, *down = dq + i * (size_t)law.d;
    const size_t row = i * (size_t)(law.d * channels);
    const struct sight sight = sight_of(&law, channels, kappa[i], own);
    const real q_dq = dot_of(law.d, own, down);
    for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x)
        vector_feature_tangent(&sight, c, v + row, own, dv + row, down, q_dq, dx + i * lddx);
}

static void cuda_vector_features_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                         int channels, const real *kappa, const real *q, const real *v,
                                         const real *dq, const real *dv, real *dx, size_t lddx) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "vector_features_tangent", seen_tangent, ep_row_grid(n, block), block, 0, *law,
              n, channels, kappa, q, v, dq, dv, dx, lddx);
}

static __global__ void seen_gradient(struct response_law law, size_t n, int channels,
                                     const real *__restrict__ kappa, const real *__restrict__ q,
                                     const real *__restrict__ v, const real *__restrict__ dx, size_t lddx,
                                     real *__restrict__ dv) {
    const size_t i = ep_row();
    if (i >= n)
        return;
    const real *own = q + i * (size_t)law.d;
    const size_t row = i * (size_t)(law.d * channels);
    const struct sight sight = sight_of(&law, channels, kappa[i], own);
    for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x)
        vector_feature_gradient(&sight, c, v + row, own, dx + i * lddx, dv + row);
}

static void cuda_vector_features_backward(const struct ops *ops, const struct response_law *law, size_t n,
                                          int channels, const real *kappa, const real *q, const real *v,
                                          const real *dx, size_t lddx, real *dv) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "vector_features_backward", seen_gradient, ep_row_grid(n, block), block, 0,
              *law, n, channels, kappa, q, v, dx, lddx, dv);
}

/* ---- turns: one thread a particle and channel, which reads a column of the particle's turn ---- */

/* out_c = given_c + sum_c' turn_c'c v_c' (+ turn2_c'c v2_c' where turn2 is not NULL): 4 channels bytes of the turn, 8 d of
 * vectors, 2 d channels operations. */
template <int D>
static __global__ void turned(size_t n, int channels, const real *__restrict__ turn,
                              const real *__restrict__ v, const real *__restrict__ turn2,
                              const real *__restrict__ v2, real *__restrict__ out, size_t ldo) {
    const size_t i = ep_row(), square = (size_t)(channels * channels);
    if (i >= n)
        return;
    for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x) {
        const size_t row = i * (size_t)(D * channels);
        real sum[D];
#pragma unroll
        for (int a = 0; a < D; a++)
            sum[a] = v[row + (size_t)(a * channels + c)];
        for (int from = 0; from < channels; from++) {
            const size_t at = i * square + (size_t)(from * channels + c);
            const real here = turn[at], moved = turn2 ? turn2[at] : 0;
#pragma unroll
            for (int a = 0; a < D; a++) {
                sum[a] += here * v[row + (size_t)(a * channels + from)];
                if (turn2)
                    sum[a] += moved * v2[row + (size_t)(a * channels + from)];
            }
        }
#pragma unroll
        for (int a = 0; a < D; a++)
            out[(i * D + (size_t)a) * ldo + (size_t)c] = sum[a];
    }
}

static void cuda_turn_vectors(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                              const real *v, real *out, size_t ldo) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "turn_vectors", EP_BY_DIMENSION(d, turned), ep_row_grid(n, block), block, 0, n,
              channels, turn, v, (const real *)NULL, (const real *)NULL, out, ldo);
}

static void cuda_turn_vectors_tangent(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                                      const real *v, const real *dturn, const real *dv, real *dout,
                                      size_t lddo) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "turn_vectors_tangent", EP_BY_DIMENSION(d, turned), ep_row_grid(n, block),
              block, 0, n, channels, turn, dv, dturn, v, dout, lddo);
}

/* dv of channel c from row c of the turn, and column c of dturn: both once through 4 channels bytes. */
template <int D>
static __global__ void turned_gradient(size_t n, int channels, const real *__restrict__ turn,
                                       const real *__restrict__ v, const real *__restrict__ dout, size_t lddo,
                                       real *__restrict__ dturn, real *__restrict__ dv) {
    const size_t i = ep_row(), square = (size_t)(channels * channels);
    if (i >= n)
        return;
    for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x) {
        const size_t row = i * (size_t)(D * channels);
        const real *given = dout + i * D * lddo;
        real own[D], sum[D];
#pragma unroll
        for (int a = 0; a < D; a++)
            sum[a] = own[a] = given[(size_t)a * lddo + (size_t)c];
        for (int m = 0; m < channels; m++) {
            const real here = turn[i * square + (size_t)(c * channels + m)];
            real change = 0;
#pragma unroll
            for (int a = 0; a < D; a++) {
                sum[a] += here * given[(size_t)a * lddo + (size_t)m];
                change += v[row + (size_t)(a * channels + m)] * own[a];
            }
            dturn[i * square + (size_t)(m * channels + c)] = change;
        }
#pragma unroll
        for (int a = 0; a < D; a++)
            dv[row + (size_t)(a * channels + c)] = sum[a];
    }
}

static void cuda_turn_vectors_backward(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                                       const real *v, const real *dout, size_t lddo, real *dturn, real *dv) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "turn_vectors_backward", EP_BY_DIMENSION(d, turned_gradient),
              ep_row_grid(n, block), block, 0, n, channels, turn, v, dout, lddo, dturn, dv);
}

/* One thread an axis of a particle and a channel: 8 or 12 bytes. */
static __global__ void whitened(size_t rows, int d, int channels, const real *__restrict__ kappa,
                                const real *__restrict__ from, size_t ld_from, real *__restrict__ to,
                                size_t ld_to, bool add) {
    const size_t m = ep_row();
    if (m >= rows)
        return;
    const real root = root_of(kappa[m / (size_t)d]);
    for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x)
        to[m * ld_to + (size_t)c] =
            root * from[m * ld_from + (size_t)c] + (add ? to[m * ld_to + (size_t)c] : 0);
}

static void cuda_whiten(const struct ops *ops, size_t n, int d, int channels, const real *kappa,
                        const real *from, size_t ld_from, real *to, size_t ld_to, bool add) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "whiten", whitened, ep_row_grid(n * (size_t)d, block), block, 0, n * (size_t)d,
              d, channels, kappa, from, ld_from, to, ld_to, add);
}

/* ---- the score ---- */

/* What its kernels read: vectors of n particles. */
struct score_input {
    size_t n;
    int vectors;
    real prior, gain;
    const real *kappa, *z, *o;
    axes<double> g, push;
};
static struct score_input score_input_of(const struct response_law *law, size_t n, int vectors,
                                         const real *kappa, const real *z, const real *o, double *const g[],
                                         double *const push[]) {
    const struct score_input in = {n, vectors, (real)law->constants.prior, (real)law->constants.gain, kappa,
                                   z, o,       axes_of(law->d, g),         axes_of(law->d, push)};
    return in;
}

/* A group of lanes a particle, each every eighth vector: 4 (d + 1) bytes a vector (8 (d + 1) for tangents), 16 d of g and
 * F/v0; some 20 operations a vector. */
template <int D>
static __global__ void __launch_bounds__(BLOCK, 4) score(struct score_input in, real *__restrict__ s) {
    const size_t i = ep_index() / GROUP;
    const int lane = (int)(threadIdx.x % GROUP), vectors = in.vectors;
    const bool mine = i < in.n;
    const real *z = in.z + i * (size_t)(D * vectors), *o = in.o + i * (size_t)(vectors + 2);
    real sum[D] = {0};
    for (int c = mine ? lane : vectors; c < vectors; c += GROUP) {
        const real weight = weight_of(D, vectors, c, in.prior, in.gain, z, o);
#pragma unroll
        for (int a = 0; a < D; a++)
            sum[a] += weight * z[a * vectors + c];
    }
#pragma unroll
    for (int a = 0; a < D; a++) {
        const real all = group_sum(sum[a]);
        if (mine && lane == a)
            s[i * D + (size_t)a] = score_component(root_of(in.kappa[i]), all, in.g.at[a][i], in.push.at[a][i],
                                                   o[vectors], o[vectors + 1]);
    }
}

static void cuda_response_score(const struct ops *ops, const struct response_law *law, size_t n, int vectors,
                                const real *kappa, const real *z, const real *o, double *const g[],
                                double *const push[], real *s) {
    ep_launch(device_of(ops), "response_score", EP_BY_DIMENSION(law->d, score), ep_blocks(n, BLOCK / GROUP),
              BLOCK, 0, score_input_of(law, n, vectors, kappa, z, o, g, push), s);
}

template <int D>
static __global__ void __launch_bounds__(BLOCK, 4)
    score_tangent(struct score_input in, const real *__restrict__ dz, const real *__restrict__ dout,
                  const real *__restrict__ dg, real *__restrict__ ds) {
    const size_t i = ep_index() / GROUP;
    const int lane = (int)(threadIdx.x % GROUP), vectors = in.vectors;
    const bool mine = i < in.n;
    const size_t row = i * (size_t)(D * vectors), out = i * (size_t)(vectors + 2);
    real dsum[D] = {0};
    for (int c = mine ? lane : vectors; c < vectors; c += GROUP)
        add_vector_tangent(D, vectors, c, in.prior, in.gain, in.z + row, in.o + out, dz + row, dout + out,
                           dsum);
#pragma unroll
    for (int a = 0; a < D; a++) {
        const real all = group_sum(dsum[a]);
        if (mine && lane == a)
            ds[i * D + (size_t)a] = score_component_tangent(
                root_of(in.kappa[i]), all, in.g.at[a][i], in.push.at[a][i], in.o[out + (size_t)vectors],
                dg[i * D + (size_t)a], dout[out + (size_t)vectors], dout[out + (size_t)vectors + 1]);
    }
}

static void cuda_response_score_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                        int vectors, const real *kappa, const real *z, const real *o,
                                        double *const g[], double *const push[], const real *dz,
                                        const real *dout, const real *dg, real *ds) {
    ep_launch(device_of(ops), "response_score_tangent", EP_BY_DIMENSION(law->d, score_tangent),
              ep_blocks(n, BLOCK / GROUP), BLOCK, 0, score_input_of(law, n, vectors, kappa, z, o, g, push),
              dz, dout, dg, ds);
}

/* One thread a particle and vector, one more for the gradients of o_u and o_F: 4 (2 d + 2) bytes. */
template <int D>
static __global__ void __launch_bounds__(BLOCK, 4)
    score_gradient(struct score_input in, const real *__restrict__ ds, real *__restrict__ dz,
                   real *__restrict__ dout) {
    const size_t i = ep_row();
    if (i >= in.n)
        return;
    const size_t row = i * (size_t)(D * in.vectors), out = i * (size_t)(in.vectors + 2);
    const real *given = ds + i * D, root = root_of(in.kappa[i]);
    for (int c = (int)threadIdx.x; c <= in.vectors; c += (int)blockDim.x) {
        if (c < in.vectors) {
            vector_gradient(D, in.vectors, c, in.prior, in.gain, root, in.z + row, in.o + out, given,
                            dz + row, dout + out);
            continue;
        }
        real of_u = 0, of_force = 0;
#pragma unroll
        for (int a = 0; a < D; a++) {
            of_force += (real)in.push.at[a][i] * given[a];
            of_u += (real)(in.g.at[a][i] + in.push.at[a][i]) * given[a];
        }
        dout[out + (size_t)c] = of_u;
        dout[out + (size_t)c + 1] = of_force;
    }
}

static void cuda_response_score_backward(const struct ops *ops, const struct response_law *law, size_t n,
                                         int vectors, const real *kappa, const real *z, const real *o,
                                         double *const g[], double *const push[], const real *ds, real *dz,
                                         real *dout) {
    const dim3 block = ep_row_block(vectors + 1);
    ep_launch(device_of(ops), "response_score_backward", EP_BY_DIMENSION(law->d, score_gradient),
              ep_row_grid(n, block), block, 0, score_input_of(law, n, vectors, kappa, z, o, g, push), ds, dz,
              dout);
}

void cuda_fill_response(struct ops *table) {
    table->silu = cuda_silu;
    table->silu_slope = cuda_silu_slope;
    table->vector_features = cuda_vector_features;
    table->vector_features_tangent = cuda_vector_features_tangent;
    table->vector_features_backward = cuda_vector_features_backward;
    table->turn_vectors = cuda_turn_vectors;
    table->turn_vectors_tangent = cuda_turn_vectors_tangent;
    table->turn_vectors_backward = cuda_turn_vectors_backward;
    table->whiten = cuda_whiten;
    table->response_score = cuda_response_score;
    table->response_score_tangent = cuda_response_score_tangent;
    table->response_score_backward = cuda_response_score_backward;
}
