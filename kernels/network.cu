/* Elementwise functions and layer norm, with tangents and gradients. Limited by memory: every array is read or written
 * once. */
#include "kernels/device.h"
#include "kernels/normal_rows.h"

#include "ops/gelu_formula.h"

/* ---- GELU: a thread a number, about 25 operations ---- */

enum { BLOCK = 256 };

static __global__ void gelu(size_t count, const real *x, real *y) {
    const size_t i = ep_index();
    if (i < count)
        y[i] = gelu_of(x[i]);
}

static void cuda_gelu(const struct ops *ops, size_t count, const real *x, real *y) {
    ep_launch(device_of(ops), "gelu", gelu, ep_blocks(count, BLOCK), BLOCK, 0, count, x, y);
}

/* dy may be dx. */
static __global__ void gelu_tangent(size_t count, const real *__restrict__ x, const real *dx, real *dy) {
    const size_t i = ep_index();
    if (i < count)
        dy[i] = gelu_slope(x[i]) * dx[i];
}

static void cuda_gelu_tangent(const struct ops *ops, size_t count, const real *x, const real *dx, real *dy) {
    ep_launch(device_of(ops), "gelu_tangent", gelu_tangent, ep_blocks(count, BLOCK), BLOCK, 0, count, x, dx,
              dy);
}

static void cuda_gelu_backward(const struct ops *ops, size_t count, const real *x, const real *dy, real *dx) {
    cuda_gelu_tangent(ops, count, x, dy, dx); /* a diagonal Jacobian is its own transpose */
}

/* A slope serves all sets. */
static __global__ void gelu_tangents(size_t sets, size_t count, const real *__restrict__ x, real *d) {
    const size_t i = ep_index();
    if (i >= count)
        return;
    const real slope = gelu_slope(x[i]);
    for (size_t s = 0; s < sets; s++)
        d[s * count + i] *= slope;
}

static void cuda_gelu_tangents(const struct ops *ops, size_t sets, size_t count, const real *x, real *d) {
    ep_launch(device_of(ops), "gelu_tangents", gelu_tangents, ep_blocks(count, BLOCK), BLOCK, 0, sets, count,
              x, d);
}

/* ---- layer norm: a team a row, which it holds in registers ---- */

struct norm_arrays {
    const real *a, *b, *scale, *offset;
    size_t lda, ldb, ldy;
    real *n, *inverse_root, *y;
};

template <int EACH, int TEAM>
static __global__ void EP_TEAM_BOUNDS(TEAM) norm_rows(size_t rows, int columns, struct norm_arrays x) {
    __shared__ real room[WARP];
    const size_t row = team_row<TEAM>();
    const bool on = row < rows;
    const size_t r = on ? row : 0;
    real u[EACH], sum = 0, square = 0;
    each_column<EACH, TEAM>(on ? columns : 0, [&](int e, int c) {
        u[e] = x.a[r * x.lda + (size_t)c] + x.b[r * x.ldb + (size_t)c];
        sum += u[e];
    });
    const real mean = team_sum<TEAM>(sum, room) / (real)columns;
    each_column<EACH, TEAM>(on ? columns : 0, [&](int e, int) {
        u[e] -= mean;
        square += u[e] * u[e];
    });
    const real inverse = 1 / sqrtf(team_sum<TEAM>(square, room) / (real)columns + (real)1e-5);
    each_column<EACH, TEAM>(on ? columns : 0, [&](int e, int c) {
        const real normal = u[e] * inverse;
        x.n[r * (size_t)columns + (size_t)c] = normal;
        x.y[r * x.ldy + (size_t)c] = x.scale[c] * normal + x.offset[c];
    });
    if (on && team_first<TEAM>())
        x.inverse_root[r] = inverse;
}

static void cuda_norm(const struct ops *ops, size_t rows, int columns, const real *a, size_t lda,
                      const real *b, size_t ldb, const real *scale, const real *offset, real *n,
                      real *inverse_root, real *y, size_t ldy) {
    const struct norm_arrays x = {a, b, scale, offset, lda, ldb, ldy, n, inverse_root, y};
    EP_LAUNCH_ROWS(device_of(ops), norm_rows, rows, columns, rows, columns, x);
}

/* Row r of all sets, one after the other, so that n is read from memory once. */
struct tangent_arrays {
    const real *da, *db, *scale, *n, *inverse_root;
    size_t ldda, lddb;
    real *kept; /* receives u, if not NULL */
    real *dy;
};

template <int EACH, int TEAM>
static __global__ void EP_TEAM_BOUNDS(TEAM)
    norm_tangent(size_t sets, size_t rows, int columns, struct tangent_arrays x) {
    __shared__ real room[WARP];
    const size_t i = team_row<TEAM>();
    const bool on = i < sets * rows;
    const size_t r = on ? i / sets : 0, m = on ? i % sets * rows + r : 0;
    real u[EACH], n[EACH], out[EACH];
    clear<EACH>(u);
    clear<EACH>(n);
    each_column<EACH, TEAM>(on ? columns : 0, [&](int e, int c) {
        n[e] = x.n[r * (size_t)columns + (size_t)c];
        u[e] = x.da[m * x.ldda + (size_t)c] + (x.db ? x.db[m * x.lddb + (size_t)c] : 0);
        if (x.kept)
            x.kept[m * (size_t)columns + (size_t)c] = u[e];
    });
    normalise_tangent<EACH, TEAM>(columns, u, n, on ? x.inverse_root[r] : 0, room, out);
    each_column<EACH, TEAM>(
        on ? columns : 0, [&](int e, int c) { x.dy[m * (size_t)columns + (size_t)c] = x.scale[c] * out[e]; });
}

static void cuda_norm_tangent(const struct ops *ops, size_t sets, size_t rows, int columns, const real *da,
                              size_t ldda, const real *db, size_t lddb, const real *scale, const real *n,
                              const real *inverse_root, real *dy) {
    const struct tangent_arrays x = {da, db, scale, n, inverse_root, ldda, lddb, NULL, dy};
    EP_LAUNCH_ROWS(device_of(ops), norm_tangent, sets * rows, columns, sets, rows, columns, x);
}

/* tu is read and written by the same thread. */
static void cuda_norm_tangent_kept(const struct ops *ops, size_t sets, size_t rows, int columns,
                                   const real *ta, size_t ldta, real *tu, const real *scale, const real *n,
                                   const real *inverse_root, real *ty) {
    const struct tangent_arrays x = {ta, tu, scale, n, inverse_root, ldta, (size_t)columns, tu, ty};
    EP_LAUNCH_ROWS(device_of(ops), norm_tangent, sets * rows, columns, sets, rows, columns, x);
}

struct backward_arrays {
    const real *scale, *n, *inverse_root, *dy;
    size_t lddy, lddu;
    real *du;
    real *sums; /* (teams, 2, columns) what each team adds to dscale and doffset */
};

template <int EACH, int TEAM>
static __global__ void EP_TEAM_BOUNDS(TEAM)
    norm_backward(size_t rows, int columns, struct backward_arrays x) {
    __shared__ real room[WARP];
    real dscale[EACH], doffset[EACH];
    clear<EACH>(dscale);
    clear<EACH>(doffset);
    for (size_t turn = 0; turn < team_turns<TEAM>(rows); turn++) {
        const size_t row = team_row<TEAM>() + turn * team_count<TEAM>();
        const bool on = row < rows;
        const size_t r = on ? row : 0;
        real scaled[EACH], n[EACH], out[EACH];
        clear<EACH>(scaled);
        clear<EACH>(n);
        each_column<EACH, TEAM>(on ? columns : 0, [&](int e, int c) {
            const real up = x.dy[r * x.lddy + (size_t)c];
            n[e] = x.n[r * (size_t)columns + (size_t)c];
            dscale[e] += up * n[e];
            doffset[e] += up;
            scaled[e] = up * x.scale[c];
        });
        normalise_tangent<EACH, TEAM>(columns, scaled, n, on ? x.inverse_root[r] : 0, room, out);
        each_column<EACH, TEAM>(on ? columns : 0,
                                [&](int e, int c) { x.du[r * x.lddu + (size_t)c] = out[e]; });
    }
    store_sums<EACH, TEAM>(columns, dscale, doffset, x.sums);
}

static void cuda_norm_backward(const struct ops *ops, size_t rows, int columns, const real *scale,
                               const real *n, const real *inverse_root, const real *dy, size_t lddy,
                               real *dscale, real *doffset, real *du, size_t lddu) {
    struct device *d = device_of(ops);
    const size_t teams = few_teams(rows, columns);
    if (rows == 0)
        return;
    real *sums = sums_scratch(d, teams, columns);
    const struct backward_arrays x = {scale, n, inverse_root, dy, lddy, lddu, du, sums};
    EP_LAUNCH_ROWS(d, norm_backward, teams, columns, rows, columns, x);
    add_sums(d, teams, columns, sums, dscale, doffset);
}

void cuda_fill_network(struct ops *table) {
    table->gelu = cuda_gelu;
    table->gelu_tangent = cuda_gelu_tangent;
    table->gelu_backward = cuda_gelu_backward;
    table->gelu_tangents = cuda_gelu_tangents;
    table->norm = cuda_norm;
    table->norm_tangent = cuda_norm_tangent;
    table->norm_tangent_kept = cuda_norm_tangent_kept;
    table->norm_backward = cuda_norm_backward;
}
