/* Edges of the response network: their geometry, and the sources: q and the backward shots. */
#include "kernels/rows.h"
#include "ops/edge_formula.h"
#include "ops/score_formula.h"

enum { BLOCK = 256 };

/* The receiver of a warp of a block, and its edges that a lane begins with. */
static __device__ __forceinline__ size_t warp_index() {
    return ep_index() / WARP;
}
static __device__ __forceinline__ size_t lane_index() {
    return threadIdx.x % WARP;
}
static inline dim3 warps_for(size_t rows) {
    return ep_blocks(rows, BLOCK / WARP);
}

/* ---- geometry ---- */

/* One warp a receiver, lanes over its edges, in float64: 8 d bytes of positions and 4 (4 + d) written an edge. */
template <int D>
static __global__ void __launch_bounds__(BLOCK)
    edge_terms(struct box box, struct response_law law, axes<uint64_t> q, struct edges edges, real *stiffness,
               real *kappa) {
    const size_t i = warp_index();
    const bool mine = i < edges.receivers;
    double sum = 0;
    for (size_t e = mine ? edges.start[i] + lane_index() : 1, end = mine ? edges.start[i + 1] : 0; e < end;
         e += WARP) {
        const size_t j = edges.sender[e];
        double delta[D], square = 0;
        for (int a = 0; a < D; a++) {
            delta[a] = (double)(int64_t)(q.at[a][i] - q.at[a][j]) * (box.side[a] * 0x1p-64);
            square += delta[a] * delta[a];
        }
        const struct edge_term at = edge_term_of(&law, square);
        for (int a = 0; a < D; a++)
            edges.normal[(size_t)a * edges.count + e] = (real)(delta[a] / at.r);
        edges.receiver[e] = (uint32_t)i;
        edges.r[e] = (real)at.r;
        edges.kn[e] = (real)at.kn;
        edges.kt[e] = (real)at.kt;
        edges.window[e] = (real)at.window;
        sum += at.kn + (D - 1) * at.kt;
    }
    sum = warp_sum(sum);
    if (mine && lane_index() == 0) {
        stiffness[i] = (real)(sum / D);
        kappa[i] = (real)(sum > 0 ? 1 + sum / D : 1);
    }
}

static void cuda_edge_terms(const struct ops *ops, const struct box *box, const struct response_law *law,
                            uint64_t *const q[], struct edges *edges, real *stiffness, real *kappa) {
    ep_launch(device_of(ops), "edge_terms", EP_BY_DIMENSION(box->d, edge_terms), warps_for(edges->receivers),
              BLOCK, 0, *box, *law, axes_of(box->d, q), *edges, stiffness, kappa);
}

/* ---- sources ---- */

/* What the edges bring of velocities u, or, where du is not NULL, of their change du. */
struct source_input {
    struct edges edges;
    const real *u, *du;
};

/* Edge e of receiver i: n, x_ij, u_ij, and the change of u_ij (or u_ij). */
template <int D> struct source_edge { real r, n[D], x[D], v[D], dv[D]; };
template <int D>
static __device__ __forceinline__ struct source_edge<D> source_of(const struct source_input &in, size_t i,
                                                                  size_t e) {
    struct source_edge<D> at;
    const size_t j = in.edges.sender[e];
    at.r = in.edges.r[e];
#pragma unroll
    for (int a = 0; a < D; a++) {
        at.n[a] = in.edges.normal[(size_t)a * in.edges.count + e];
        at.x[a] = at.r * at.n[a];
        at.v[a] = in.u[i * D + (size_t)a] - in.u[j * D + (size_t)a];
        at.dv[a] = in.du ? in.du[i * D + (size_t)a] - in.du[j * D + (size_t)a] : at.v[a];
    }
    return at;
}

/* K u, or K du, of a lane's edges. */
template <int D>
static __device__ __forceinline__ void add_stiff(const struct source_input &in, size_t i, size_t begin,
                                                 size_t end, real sum[D]) {
    for (size_t e = begin; e < end; e += WARP) {
        const struct source_edge<D> at = source_of<D>(in, i, e);
        const real kn = in.edges.kn[e], kt = in.edges.kt[e];
        real along = 0;
#pragma unroll
        for (int a = 0; a < D; a++)
            along += at.n[a] * at.dv[a];
#pragma unroll
        for (int a = 0; a < D; a++)
            sum[a] += kn * along * at.n[a] + kt * (at.dv[a] - along * at.n[a]);
    }
}

/* The force of a shot without its factor; still = -gamma/k. */
template <int D>
static __device__ __forceinline__ void add_shot(const struct source_input &in, size_t i, size_t begin,
                                                size_t end, real beta, real guard, real still, real reach,
                                                real sum[D]) {
    for (size_t e = begin; e < end; e += WARP) {
        const struct source_edge<D> at = source_of<D>(in, i, e);
        real force[D];
        if (in.du)
            shot_tangent(D, beta, guard, at.x, at.v, at.dv, reach, force);
        else
            shot_force(D, beta, guard, at.x, at.v, reach, force);
        const real rest = in.du ? 0 : still * in.edges.kt[e] * at.r; /* f(r) */
#pragma unroll
        for (int a = 0; a < D; a++)
            sum[a] += force[a] - rest * at.n[a];
    }
}

/* One warp a receiver, lanes over its edges, which are in the cache after the first of 1 + shots turns. Reads 4 (4 + 3 d)
 * bytes an edge (4 (4 + 4 d) for tangents), some 60 operations an edge and shot. */
template <int D>
static __global__ void __launch_bounds__(BLOCK)
    sources(struct response_law law, struct source_input in, const real *__restrict__ kappa,
            real *__restrict__ q, int channels, real *__restrict__ v) {
    const size_t i = warp_index();
    const bool mine = i < in.edges.receivers;
    const size_t begin = mine ? in.edges.start[i] + lane_index() : 1, end = mine ? in.edges.start[i + 1] : 0;
    const bool writes = mine && lane_index() == 0;
    const real own = mine ? kappa[i] : 1;
    const real scale = (real)(law.constants.shot_scale * law.k) / (own + (real)law.constants.shot_offset);
    real *rows = v + i * D * (size_t)channels;
    real sum[D] = {0};
    add_stiff<D>(in, i, begin, end, sum);
#pragma unroll
    for (int a = 0; a < D; a++) {
        const real all = warp_sum(sum[a]);
        if (writes) {
            q[i * D + (size_t)a] = 1 / root_of(own) * all;
            rows[a * channels] = (in.du ? in.du : in.u)[i * D + (size_t)a];
        }
    }
    for (int m = 0; m < law.shots; m++) {
        const real reach = (real)(law.v0 * law.shot[m]);
        real force[D] = {0};
        add_shot<D>(in, i, begin, end, (real)law.beta, (real)law.constants.shot_guard,
                    -(real)(law.gamma / law.k), reach, force);
#pragma unroll
        for (int a = 0; a < D; a++) {
            const real all = warp_sum(force[a]);
            if (writes)
                rows[a * channels + 1 + m] = scale / reach * all;
        }
    }
}

static void sources_of(const struct ops *ops, const char *name, const struct response_law *law,
                       const struct edges *edges, const real *kappa, const real *u, const real *du, real *q,
                       int channels, real *v) {
    const struct source_input in = {*edges, u, du};
    ep_launch(device_of(ops), name, EP_BY_DIMENSION(law->d, sources), warps_for(edges->receivers), BLOCK, 0,
              *law, in, kappa, q, channels, v);
}

static void cuda_response_sources(const struct ops *ops, const struct response_law *law,
                                  const struct edges *edges, const real *kappa, const real *u, real *q,
                                  int channels, real *v) {
    sources_of(ops, "response_sources", law, edges, kappa, u, NULL, q, channels, v);
}

static void cuda_response_sources_tangent(const struct ops *ops, const struct response_law *law,
                                          const struct edges *edges, const real *kappa, const real *u,
                                          const real *du, real *dq, int channels, real *dv) {
    sources_of(ops, "response_sources_tangent", law, edges, kappa, u, du, dq, channels, dv);
}

/* ---- the state that the network starts from ---- */

/* One thread a particle: 4 (6 + 2 d) bytes, three logarithms. */
static __global__ void state(struct response_law law, size_t n, const real *__restrict__ kappa,
                             const real *__restrict__ phi, const real *__restrict__ q,
                             const real *__restrict__ u, real *__restrict__ x) {
    const size_t i = ep_index(), at = i * (size_t)law.d;
    if (i < n)
        state_of(&law, kappa[i], phi[i], q + at, u + at, x + i * STATE_NUMBERS);
}

static void cuda_response_state(const struct ops *ops, const struct response_law *law, size_t n,
                                const real *kappa, const real *phi, const real *q, const real *u, real *x) {
    ep_launch(device_of(ops), "response_state", state, ep_blocks(n, BLOCK), BLOCK, 0, *law, n, kappa, phi, q,
              u, x);
}

static __global__ void state_tangent(struct response_law law, size_t n, const real *__restrict__ kappa,
                                     const real *__restrict__ q, const real *__restrict__ u,
                                     const real *__restrict__ dq, const real *__restrict__ du,
                                     real *__restrict__ dx) {
    const size_t i = ep_index(), at = i * (size_t)law.d;
    if (i < n)
        state_tangent_of(&law, kappa[i], q + at, u + at, dq + at, du + at, dx + i * STATE_NUMBERS);
}

static void cuda_response_state_tangent(const struct ops *ops, const struct response_law *law, size_t n,
                                        const real *kappa, const real *q, const real *u, const real *dq,
                                        const real *du, real *dx) {
    ep_launch(device_of(ops), "response_state_tangent", state_tangent, ep_blocks(n, BLOCK), BLOCK, 0, *law, n,
              kappa, q, u, dq, du, dx);
}

void cuda_fill_edges(struct ops *table) {
    table->edge_terms = cuda_edge_terms;
    table->response_sources = cuda_response_sources;
    table->response_sources_tangent = cuda_response_sources_tangent;
    table->response_state = cuda_response_state;
    table->response_state_tangent = cuda_response_state_tangent;
}
