/* Gradients through elementwise functions and layer norm and their tangents at once (ops.h). Limited by memory: every
 * array is read or written once. */
#include "kernels/device.h"
#include "kernels/normal_rows.h"

#include "ops/gelu_formula.h"

enum { BLOCK = 256 };

/* A thread a number of all sets. dx may be dy, dtx may be dty. */
static __global__ void gelu_tangent_backward(size_t sets, size_t count, const real *__restrict__ x,
                                             const real *__restrict__ tx, const real *dy, const real *dty,
                                             real *dx, real *dtx) {
    const size_t i = ep_index();
    if (i >= count)
        return;
    const real slope = gelu_slope(x[i]), curvature = gelu_curvature(x[i]);
    real sum = slope * dy[i];
    for (size_t m = i; m < sets * count; m += count) {
        const real up = dty[m];
        sum += curvature * tx[m] * up;
        dtx[m] = slope * up;
    }
    dx[i] = sum;
}

static void cuda_gelu_tangent_backward(const struct ops *ops, size_t sets, size_t count, const real *x,
                                       const real *tx, const real *dy, const real *dty, real *dx, real *dtx) {
    ep_launch(device_of(ops), "gelu_tangent_backward", gelu_tangent_backward, ep_blocks(count, BLOCK), BLOCK,
              0, sets, count, x, tx, dy, dty, dx, dtx);
}

/* ---- layer norm: a team a row and all its tangents ---- */

struct norm_second_arrays {
    const real *scale, *n, *inverse_root, *tu, *dy, *dty;
    size_t lddy, lddu;
    real *du, *dtu;
    real *sums; /* (teams, 2, columns) what each team adds to dscale and doffset */
};

/* One tangent of one row. tn = r (tu - mean tu - n m), m = mean(n tu), depends on u through n and r: adds to dn what
 * reaches n, returns what reaches r times r. tu and dty are 0 where there is no column. */
template <int EACH, int TEAM>
static __device__ __forceinline__ real norm_tangent_row(int columns, const real *scale, const real *n, real r,
                                                        const real *tu, const real *dty, real *room,
                                                        real *dscale, real *dn, real *dtu) {
    real tn[EACH], a[EACH], m = 0, a_n = 0, a_tn = 0;
    normalise_tangent<EACH, TEAM>(columns, tu, n, r, room, tn);
#pragma unroll
    for (int e = 0; e < EACH; e++) {
        dscale[e] += dty[e] * tn[e];
        a[e] = dty[e] * scale[e];
        m += n[e] * tu[e];
        a_n += a[e] * n[e];
        a_tn += a[e] * tn[e];
    }
    m = team_sum<TEAM>(m, room) / (real)columns;
    a_n = team_sum<TEAM>(a_n, room) / (real)columns;
    a_tn = team_sum<TEAM>(a_tn, room);
#pragma unroll
    for (int e = 0; e < EACH; e++)
        dn[e] -= r * (a[e] * m + tu[e] * a_n);
    normalise_tangent<EACH, TEAM>(columns, a, n, r, room, dtu);
    return a_tn;
}

template <int EACH, int TEAM>
static __global__ void EP_TEAM_BOUNDS(TEAM)
    norm_tangent_backward(size_t sets, size_t rows, int columns, struct norm_second_arrays x) {
    __shared__ real room[WARP];
    const size_t wide = (size_t)columns;
    real dscale[EACH], doffset[EACH], scale[EACH];
    clear<EACH>(dscale);
    clear<EACH>(doffset);
    clear<EACH>(scale);
    each_column<EACH, TEAM>(columns, [&](int e, int c) { scale[e] = x.scale[c]; });
    for (size_t turn = 0; turn < team_turns<TEAM>(rows); turn++) {
        const size_t row = team_row<TEAM>() + turn * team_count<TEAM>();
        const bool on = row < rows;
        const size_t r = on ? row : 0;
        const int wanted = on ? columns : 0;
        const real inverse = on ? x.inverse_root[r] : 0;
        real n[EACH], dn[EACH], du[EACH], reach = 0;
        clear<EACH>(n);
        clear<EACH>(dn);
        each_column<EACH, TEAM>(wanted, [&](int e, int c) {
            const real up = x.dy[r * x.lddy + (size_t)c];
            n[e] = x.n[r * wide + (size_t)c];
            dscale[e] += up * n[e];
            doffset[e] += up;
            dn[e] = up * scale[e];
        });
        for (size_t s = 0; s < sets; s++) {
            const size_t at = (s * rows + r) * wide;
            real tu[EACH], dty[EACH], dtu[EACH];
            clear<EACH>(tu);
            clear<EACH>(dty);
            each_column<EACH, TEAM>(wanted, [&](int e, int c) {
                tu[e] = x.tu[at + (size_t)c];
                dty[e] = x.dty[at + (size_t)c];
            });
            reach += norm_tangent_row<EACH, TEAM>(columns, scale, n, inverse, tu, dty, room, dscale, dn, dtu);
            each_column<EACH, TEAM>(wanted, [&](int e, int c) { x.dtu[at + (size_t)c] = dtu[e]; });
        }
        normalise_tangent<EACH, TEAM>(columns, dn, n, inverse, room, du);
        each_column<EACH, TEAM>(wanted,
                                [&](int e, int c) { /* and through r = 1/root: dr/du = -r^2 n / columns */
                                                    x.du[r * x.lddu + (size_t)c] =
                                                        du[e] - reach * inverse * n[e] / (real)columns;
                                });
    }
    store_sums<EACH, TEAM>(columns, dscale, doffset, x.sums);
}

static void cuda_norm_tangent_backward(const struct ops *ops, size_t sets, size_t rows, int columns,
                                       const real *scale, const real *n, const real *inverse_root,
                                       const real *tu, const real *dy, size_t lddy, const real *dty,
                                       real *dscale, real *doffset, real *du, size_t lddu, real *dtu) {
    struct device *d = device_of(ops);
    const size_t teams = few_teams(rows, columns);
    if (rows == 0)
        return;
    real *sums = sums_scratch(d, teams, columns);
    const struct norm_second_arrays x = {scale, n, inverse_root, tu, dy, dty, lddy, lddu, du, dtu, sums};
    EP_LAUNCH_ROWS(d, norm_tangent_backward, teams, columns, sets, rows, columns, x);
    add_sums(d, teams, columns, sums, dscale, doffset);
}

void cuda_fill_second(struct ops *table) {
    table->gelu_tangent_backward = cuda_gelu_tangent_backward;
    table->norm_tangent_backward = cuda_norm_tangent_backward;
}
