/* What a pair is seen by: numbers of the pair and four of each channel of vectors. One thread an edge and channel. */
#include "kernels/rows.h"
#include "ops/response_formula.h"

/* The constants as kernels use them. */
struct feature_constants {
    real floor_, cross, own, distance, distance_shift, contact, contact_shift, stiff, kappa_shift;
};
static struct feature_constants feature_constants_of(const struct response_law *law) {
    const struct response_constants *c = &law->constants;
    const struct feature_constants out = {
        (real)c->lg_floor,       (real)c->cross_factor,    (real)c->own_factor,
        (real)c->distance_scale, (real)c->distance_shift,  1 / (real)c->contact_scale,
        (real)c->contact_shift,  1 / (real)c->kappa_scale, (real)c->kappa_shift};
    return out;
}

/* ---- a pair and one of its channels ---- */

template <int D> struct pair_geometry {
    size_t i, j; /* receiver and sender */
    real normal[D], kappa, root;
};
template <int D>
static __device__ __forceinline__ struct pair_geometry<D> geometry_of(const struct edges &edges, size_t e,
                                                                      const real *__restrict__ kappa) {
    struct pair_geometry<D> at;
    at.i = edges.receiver[e];
    at.j = edges.sender[e];
#pragma unroll
    for (int a = 0; a < D; a++)
        at.normal[a] = edges.normal[(size_t)a * edges.count + e];
    at.kappa = kappa[at.i];
    at.root = root_of(at.kappa);
    return at;
}

/* Channel c of the pair: b = n . V_i, a = n . (V_i - V_j) and T = V_i - V_j - n a. */
template <int D>
struct pair_vector {
    real own, along, across[D];
};
template <int D>
static __device__ __forceinline__ struct pair_vector<D>
vector_of(const struct pair_geometry<D> &at, int channels, int c, const real *__restrict__ v) {
    struct pair_vector<D> out;
    out.own = out.along = 0;
#pragma unroll
    for (int a = 0; a < D; a++) {
        const real mine = v[(at.i * D + (size_t)a) * (size_t)channels + (size_t)c];
        out.across[a] = mine - v[(at.j * D + (size_t)a) * (size_t)channels + (size_t)c];
        out.own += at.normal[a] * mine;
        out.along += at.normal[a] * out.across[a];
    }
#pragma unroll
    for (int a = 0; a < D; a++)
        out.across[a] -= at.normal[a] * out.along;
    return out;
}

template <int D>
static __device__ __forceinline__ real dot(const real *x, const real *y) {
    real sum = 0;
#pragma unroll
    for (int a = 0; a < D; a++)
        sum += x[a] * y[a];
    return sum;
}

/* The direction in which products across the pair are taken: T_u/|T_u|, in two dimensions a fixed normal to n (only
 * products of two such numbers occur). */
template <int D>
static __device__ __forceinline__ void direction_of(const struct pair_geometry<D> &at,
                                                    const struct pair_vector<D> &u, real tau[D]) {
    if constexpr (D == 2) {
        tau[0] = -at.normal[1];
        tau[1] = at.normal[0];
    } else {
        const real square = dot<D>(u.across, u.across);
        const real inverse = square > 0 ? 1 / root_of(square) : 0;
#pragma unroll
        for (int a = 0; a < D; a++)
            tau[a] = inverse * u.across[a];
    }
}

/* Its derivative where T_u moves by du.across. */
template <int D>
static __device__ __forceinline__ void direction_tangent(const real tau[D], const struct pair_vector<D> &u,
                                                         const struct pair_vector<D> &du, real dtau[D]) {
    const real size = D == 2 ? 0 : dot<D>(tau, u.across), along = dot<D>(tau, du.across);
#pragma unroll
    for (int a = 0; a < D; a++)
        dtau[a] = size == 0 ? 0 : (du.across[a] - tau[a] * along) / size;
}

/* Rows of a block are put together in shared memory, so that they are written in whole sectors. */
static __device__ __forceinline__ void write_tile(int features, size_t count, const real *tile, real *to) {
    __syncthreads();
    const size_t first = (size_t)blockIdx.x * blockDim.y;
    const int rows = count - first < blockDim.y ? (int)(count - first) : (int)blockDim.y;
    const int each = (int)(blockDim.x * blockDim.y);
    for (int m = (int)(threadIdx.y * blockDim.x + threadIdx.x); m < rows * features; m += each)
        to[first * (size_t)features + (size_t)m] = tile[m];
}
static inline size_t tile_bytes(dim3 block, int features) {
    return block.y * (size_t)features * sizeof(real);
}

/* ---- forward ---- */

/* The numbers of channel c, c = 0: and those of the pair. */
template <int D>
static __device__ __forceinline__ void
features_of(const struct feature_constants &law, const struct edges &edges, size_t e,
            const real *__restrict__ kappa, int channels, int c, const real *__restrict__ v, real *f) {
    const struct pair_geometry<D> at = geometry_of<D>(edges, e, kappa);
    const struct pair_vector<D> u = vector_of<D>(at, channels, 0, v), w = vector_of<D>(at, channels, c, v);
    real tau[D];
    direction_of<D>(at, u, tau);
    const real cross_u = law.cross * asinh_of(at.root * dot<D>(tau, u.across));
    f[5 + c] = asinh_of(at.root * w.along);
    f[5 + channels + c] = log_of(law.floor_ + at.kappa * dot<D>(w.across, w.across)) / 2;
    f[5 + 2 * channels + c] = asinh_of(at.root * dot<D>(tau, w.across)) * cross_u;
    f[5 + 3 * channels + c] = law.own * asinh_of(at.root * w.own);
    if (c == 0) {
        f[0] = law.distance * (edges.r[e] - law.distance_shift);
        f[1] = log_of(1 + edges.kn[e]) * law.contact - law.contact_shift;
        f[2] = log_of(kappa[at.j]) * law.stiff - law.kappa_shift;
        f[3] = u.along;
        f[4] = dot<D>(u.across, u.across);
    }
}

/* Reads 8 d bytes an edge and channel from the caches, writes 16; some 150 operations. */
template <int D>
static __global__ void __launch_bounds__(256, 3)
    features(struct feature_constants law, struct edges edges, struct edge_range range,
             const real *__restrict__ kappa, int channels, const real *__restrict__ v, real *__restrict__ f) {
    EP_SHARED(real, tile);
    const size_t m = ep_row();
    const int numbers = edge_numbers(channels);
    if (m < range.count)
        for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x)
            features_of<D>(law, edges, range.first + m, kappa, channels, c, v,
                           tile + (int)threadIdx.y * numbers);
    write_tile(numbers, range.count, tile, f);
}

static void cuda_edge_features(const struct ops *ops, const struct response_law *law,
                               const struct edges *edges, struct edge_range range, const real *kappa,
                               int channels, const real *v, real *f) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "edge_features", EP_BY_DIMENSION(law->d, features),
              ep_row_grid(range.count, block), block, tile_bytes(block, edge_numbers(channels)),
              feature_constants_of(law), *edges, range, kappa, channels, v, f);
}

/* ---- tangent ---- */

template <int D>
static __device__ __forceinline__ void
tangents_of(const struct feature_constants &law, const struct edges &edges, size_t e,
            const real *__restrict__ kappa, int channels, int c, const real *__restrict__ v,
            const real *__restrict__ dv, real *df) {
    const struct pair_geometry<D> at = geometry_of<D>(edges, e, kappa);
    const struct pair_vector<D> u = vector_of<D>(at, channels, 0, v), du = vector_of<D>(at, channels, 0, dv);
    const struct pair_vector<D> w = vector_of<D>(at, channels, c, v), dw = vector_of<D>(at, channels, c, dv);
    real tau[D], dtau[D];
    direction_of<D>(at, u, tau);
    direction_tangent<D>(tau, u, du, dtau);
    const real root = at.root, cross_u = dot<D>(tau, u.across), cross = dot<D>(tau, w.across);
    const real moved_u = dot<D>(tau, du.across) + dot<D>(dtau, u.across);
    const real moved = dot<D>(tau, dw.across) + dot<D>(dtau, w.across);
    df[5 + c] = asinh_slope(root * w.along) * root * dw.along;
    df[5 + channels + c] =
        at.kappa * dot<D>(w.across, dw.across) / (law.floor_ + at.kappa * dot<D>(w.across, w.across));
    df[5 + 2 * channels + c] =
        law.cross * (asinh_slope(root * cross) * root * moved * asinh_of(root * cross_u) +
                     asinh_of(root * cross) * asinh_slope(root * cross_u) * root * moved_u);
    df[5 + 3 * channels + c] = law.own * asinh_slope(root * w.own) * root * dw.own;
    if (c == 0) {
        df[0] = df[1] = df[2] = 0;
        df[3] = du.along;
        df[4] = 2 * dot<D>(u.across, du.across);
    }
}

/* Reads 16 d bytes an edge and channel from the caches, writes 16; some 200 operations. */
template <int D>
static __global__ void __launch_bounds__(256, 2)
    features_tangent(struct feature_constants law, struct edges edges, struct edge_range range,
                     const real *__restrict__ kappa, int channels, const real *__restrict__ v,
                     const real *__restrict__ dv, real *__restrict__ df) {
    EP_SHARED(real, tile);
    const size_t m = ep_row();
    const int numbers = edge_numbers(channels);
    if (m < range.count)
        for (int c = (int)threadIdx.x; c < channels; c += (int)blockDim.x)
            tangents_of<D>(law, edges, range.first + m, kappa, channels, c, v, dv,
                           tile + (int)threadIdx.y * numbers);
    write_tile(numbers, range.count, tile, df);
}

static void cuda_edge_features_tangent(const struct ops *ops, const struct response_law *law,
                                       const struct edges *edges, struct edge_range range, const real *kappa,
                                       int channels, const real *v, const real *dv, real *df) {
    const dim3 block = ep_row_block(channels);
    ep_launch(device_of(ops), "edge_features_tangent", EP_BY_DIMENSION(law->d, features_tangent),
              ep_row_grid(range.count, block), block, tile_bytes(block, edge_numbers(channels)),
              feature_constants_of(law), *edges, range, kappa, channels, v, dv, df);
}

/* ---- backward ---- */

/* Gradients of channel c with respect to V_i, and to -V_j: rows (d, width). */
template <int D>
static __device__ __forceinline__ void
gradients_of(const struct feature_constants &law, const struct edges &edges, size_t e,
             const real *__restrict__ kappa, int channels, int c, const real *__restrict__ v,
             const real *__restrict__ df, int width, real *to_receiver, real *to_sender) {
    const struct pair_geometry<D> at = geometry_of<D>(edges, e, kappa);
    const struct pair_vector<D> u = vector_of<D>(at, channels, 0, v), w = vector_of<D>(at, channels, c, v);
    real tau[D];
    direction_of<D>(at, u, tau);
    const real root = at.root, cross = dot<D>(tau, w.across);
    const real cross_u = law.cross * asinh_of(root * dot<D>(tau, u.across));
    const real normal = df[5 + c] * asinh_slope(root * w.along) * root;
    const real tangential =
        df[5 + channels + c] * at.kappa / (law.floor_ + at.kappa * dot<D>(w.across, w.across));
    const real crossing = df[5 + 2 * channels + c] * cross_u * asinh_slope(root * cross) * root;
    const real alone = df[5 + 3 * channels + c] * law.own * asinh_slope(root * w.own) * root;
#pragma unroll
    for (int a = 0; a < D; a++) {
        const real g = normal * at.normal[a] + tangential * w.across[a] + crossing * tau[a];
        to_receiver[a * width] = g + alone * at.normal[a];
        to_sender[a * width] = g;
    }
}

/* One thread an edge and channel from `from` on: as forward, and 16 + 8 d bytes. */
template <int D>
static __global__ void __launch_bounds__(256, 3)
    features_gradient(struct feature_constants law, struct edges edges, struct edge_range range,
                      const real *__restrict__ kappa, int channels, int from, const real *__restrict__ v,
                      const real *__restrict__ df, real *__restrict__ to_receiver,
                      real *__restrict__ to_sender) {
    const size_t m = ep_row();
    const int width = channels - from;
    if (m >= range.count)
        return;
    for (int c = (int)threadIdx.x; c < width; c += (int)blockDim.x)
        gradients_of<D>(law, edges, range.first + m, kappa, channels, from + c, v,
                        df + m * edge_numbers(channels), width, to_receiver + m * (size_t)(D * width) + c,
                        to_sender + m * (size_t)(D * width) + c);
}

static void cuda_edge_features_backward(const struct ops *ops, const struct response_law *law,
                                        const struct edges *edges, struct edge_range range, const real *kappa,
                                        int channels, int from, const real *v, const real *df, real *dv) {
    struct device *d = device_of(ops);
    const int width = channels - from, columns = law->d * width;
    if (width < 1 || range.count == 0)
        return;
    const size_t numbers = range.count * (size_t)columns;
    void *at = device_scratch(d, 2 * device_room(numbers * sizeof(real)));
    if (!at)
        return;
    real *to_receiver = device_part<real>(&at, numbers), *to_sender = device_part<real>(&at, numbers);
    const dim3 block = ep_row_block(width);
    ep_launch(d, "edge_features_backward", EP_BY_DIMENSION(law->d, features_gradient),
              ep_row_grid(range.count, block), block, 0, feature_constants_of(law), *edges, range, kappa,
              channels, from, v, df, to_receiver, to_sender);
    struct row_target to = {dv + from, (size_t)(law->d * channels), width, channels, 1};
    add_to_receivers(d, edges, range, to_receiver, columns, to);
    to.sign = -1;
    add_to_senders(d, edges, range, to_sender, columns, to);
}

void cuda_fill_features(struct ops *table) {
    table->edge_features = cuda_edge_features;
    table->edge_features_tangent = cuda_edge_features_tangent;
    table->edge_features_backward = cuda_edge_features_backward;
}
