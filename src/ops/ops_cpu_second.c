/* Primitives of networks once more: the gradients of their tangents. A loss that holds a divergence holds tangents,
 * and its gradient runs backwards through both. Of every primitive y = f(x) with tangent ty = f'(x) tx, given the
 * gradients of a loss with respect to y and ty, these give those with respect to x and tx (and the weights), for
 * several tangents of the same rows at once.
 *
 * Also the inputs of windows that see displacements, with their tangents. As in the other files of networks, sums
 * may be reordered by the compiler. */
#include "ops/network_loops.h"

#include <math.h>
#include <string.h>

#include "ops/gelu_formula.h"
#include "ops/rows.h"
#include "ops/window_formula.h"

/* ---- GELU ---- */

static void gelu_tangent_backward(const struct ops *ops, size_t sets, size_t count, const real *x,
                                  const real *tx, const real *dy, const real *dty, real *dx, real *dtx) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        dx[i] = gelu_slope(x[i]) * dy[i];
    for (size_t s = 0; s < sets; s++)
        for (size_t i = 0; i < count; i++) {
            const size_t m = s * count + i;
            const real up = dty[m];
            dx[i] += gelu_curvature(x[i]) * tx[m] * up;
            dtx[m] = gelu_slope(x[i]) * up;
        }
}

/* ---- layer norm ---- */

static void norm_tangent_kept(const struct ops *ops, size_t sets, size_t rows, int columns, const real *ta,
                              size_t ldta, real *tu, const real *scale, const real *n,
                              const real *inverse_root, real *ty) {
    (void)ops;
    for (size_t m = 0; m < sets * rows; m++) {
        const size_t r = m % rows;
        const real *restrict more = ta + m * ldta;
        real *u = tu + m * (size_t)columns, *to = ty + m * (size_t)columns;
        for (int c = 0; c < columns; c++)
            u[c] += more[c];
        normalise_tangent(columns, u, n + r * (size_t)columns, inverse_root[r], to);
        for (int c = 0; c < columns; c++)
            to[c] *= scale[c];
    }
}

/* One tangent of one row. tn = r (tu - mean tu - n m), m = mean(n tu), depends on u through n and r: adds to dn what
 * reaches n, returns what reaches r times r. */
static real norm_tangent_row(int columns, const real *restrict scale, const real *restrict n, real r,
                             const real *restrict tu, const real *restrict dty, real *restrict dscale,
                             real *restrict dn, real *restrict dtu) {
    real tn[MOST_COLUMNS], a[MOST_COLUMNS];
    real m = 0, a_n = 0, a_tn = 0;
    normalise_tangent(columns, tu, n, r, tn);
    for (int c = 0; c < columns; c++) {
        dscale[c] += dty[c] * tn[c];
        a[c] = dty[c] * scale[c];
        m += n[c] * tu[c];
        a_n += a[c] * n[c];
        a_tn += a[c] * tn[c];
    }
    m /= (real)columns;
    a_n /= (real)columns;
    for (int c = 0; c < columns; c++)
        dn[c] -= r * (a[c] * m + tu[c] * a_n);
    normalise_tangent(columns, a, n, r, dtu);
    return a_tn;
}

static void norm_tangent_backward(const struct ops *ops, size_t sets, size_t rows, int columns,
                                  const real *scale, const real *n, const real *inverse_root, const real *tu,
                                  const real *dy, size_t lddy, const real *dty, real *dscale, real *doffset,
                                  real *du, size_t lddu, real *dtu) {
    (void)ops;
    for (size_t r = 0; r < rows; r++) {
        const size_t wide = (size_t)columns;
        const real *restrict up = dy + r * lddy, *normal = n + r * wide;
        real dn[MOST_COLUMNS], reach = 0;
        for (int c = 0; c < columns; c++) {
            dscale[c] += up[c] * normal[c];
            doffset[c] += up[c];
            dn[c] = up[c] * scale[c];
        }
        for (size_t s = 0; s < sets; s++) {
            const size_t at = (s * rows + r) * wide;
            reach += norm_tangent_row(columns, scale, normal, inverse_root[r], tu + at, dty + at, dscale, dn,
                                      dtu + at);
        }
        normalise_tangent(columns, dn, normal, inverse_root[r], du + r * lddu);
        for (int c = 0; c < columns; c++) /* through r = 1/root: dr/du = -r^2 n / columns */
            du[r * lddu + (size_t)c] -= reach * inverse_root[r] * normal[c] / (real)columns;
    }
}

/* ---- attention, one asking token after the other ---- */

static inline void add_scaled(int n, real factor, const real *restrict a, real *restrict to) {
    for (int c = 0; c < n; c++)
        to[c] += factor * a[c];
}

/* What the pieces below share: a head of a window, and one of its queries. */
struct query {
    int tokens, columns;
    size_t ld;
    real scale;
    const real *q, *k, *v, *p; /* (columns), (tokens, ld), (tokens, ld), (tokens) */
    real *dq, *dk, *dv;        /* the same */
};

/* The part of one tangent: tq, tk, tv and the gradient dto of its output. dp collects what reaches p. */
static void attention_tangent_row(const struct query *a, const real *tq, const real *tk, const real *tv,
                                  const real *dto, real *dp, real *dtq, real *dtk, real *dtv) {
    real tl[MOST_TOKENS], dtp[MOST_TOKENS], mean = 0, along = 0;
    const int c = a->columns;
    for (int j = 0; j < a->tokens; j++) {
        const size_t at = (size_t)j * a->ld;
        tl[j] = a->scale * (dot(c, tq, a->k + at) + dot(c, a->q, tk + at));
        dtp[j] = dot(c, dto, a->v + at);
        mean += a->p[j] * tl[j];
        along += a->p[j] * dtp[j];
    }
    for (int j = 0; j < a->tokens; j++) {
        const size_t at = (size_t)j * a->ld;
        const real tp = a->p[j] * (tl[j] - mean), dtl = a->scale * a->p[j] * (dtp[j] - along);
        dp[j] += dtp[j] * (tl[j] - mean) - along * tl[j] + dot(c, dto, tv + at);
        add_scaled(c, dtl, a->k + at, dtq);
        add_scaled(c, dtl, a->q, dtk + at);
        add_scaled(c, dtl, tk + at, a->dq);
        add_scaled(c, dtl, tq, a->dk + at);
        add_scaled(c, tp, dto, a->dv + at);
        add_scaled(c, a->p[j], dto, dtv + at);
    }
}

static void attention_row(const struct query *a, const real *dout, real *dp) {
    const int c = a->columns;
    real along = 0;
    for (int j = 0; j < a->tokens; j++) {
        dp[j] += dot(c, dout, a->v + (size_t)j * a->ld);
        along += a->p[j] * dp[j];
    }
    for (int j = 0; j < a->tokens; j++) {
        const size_t at = (size_t)j * a->ld;
        const real dl = a->scale * a->p[j] * (dp[j] - along);
        add_scaled(c, dl, a->k + at, a->dq);
        add_scaled(c, dl, a->q, a->dk + at);
        add_scaled(c, a->p[j], dout, a->dv + at);
    }
}

static void attention_tangent_backward(const struct ops *ops, size_t sets, size_t windows, int queries,
                                       int tokens, int heads, int width, const real *q, const real *k,
                                       const real *v, const real *p, const real *tq, const real *tk,
                                       const real *tv, const real *dout, const real *dtout, real *dq,
                                       real *dk, real *dv, real *dtq, real *dtk, real *dtv) {
    (void)ops;
    const size_t wide = (size_t)width, asking = windows * (size_t)queries * wide,
                 all = windows * (size_t)tokens * wide;
    const int columns = width / heads;
    real *const cleared[] = {dq, dk, dv};
    real *const cleared_tangents[] = {dtq, dtk, dtv};
    for (int m = 0; m < 3; m++) {
        memset(cleared[m], 0, (m == 0 ? asking : all) * sizeof(real));
        memset(cleared_tangents[m], 0, sets * (m == 0 ? asking : all) * sizeof(real));
    }
    for (size_t w = 0; w < windows; w++)
        for (int h = 0; h < heads; h++)
            for (int i = 0; i < queries; i++) {
                const size_t row = (w * (size_t)queries + (size_t)i) * wide + (size_t)(h * columns);
                const size_t token = w * (size_t)tokens * wide + (size_t)(h * columns);
                const size_t weight = ((w * (size_t)heads + (size_t)h) * (size_t)queries + (size_t)i);
                const struct query a = {tokens,   columns,    wide,      1 / (real)sqrt((double)columns),
                                        q + row,  k + token,  v + token, p + weight * (size_t)tokens,
                                        dq + row, dk + token, dv + token};
                real dp[MOST_TOKENS] = {0};
                for (size_t s = 0; s < sets; s++)
                    attention_tangent_row(&a, tq + s * asking + row, tk + s * all + token,
                                          tv + s * all + token, dtout + s * asking + row, dp,
                                          dtq + s * asking + row, dtk + s * all + token,
                                          dtv + s * all + token);
                attention_row(&a, dout + row, dp);
            }
}

/* ---- what windows see, and its tangents ---- */

static void window_inputs(const struct ops *ops, const struct box *box, const struct window_view *view,
                          size_t count, int k, const uint32_t *centre, const uint32_t *neighbour,
                          uint64_t *const q[], const struct lattice *anchor, const uint32_t *id, real *out) {
    (void)ops;
    const int d = box->d, width = window_inputs_width(view->form, d);
    const bool sites = anchor->d > 0;
    for (size_t w = 0; w < count; w++)
        for (int m = 0; m <= k; m++) {
            const size_t i = centre[w], j = m == 0 ? i : neighbour[w * (size_t)k + (size_t)m - 1];
            uint64_t site[MAX_DIMENSION], other[MAX_DIMENSION];
            lattice_site(anchor, sites ? id[i] : 0, site);
            lattice_site(anchor, sites ? id[j] : 0, other);
            for (int a = 0; a < d; a++)
                window_input(view, d, box->side[a], q[a][i], q[a][j], site[a], other[a],
                             out + (w * ((size_t)k + 1) + (size_t)m) * (size_t)width + a);
        }
}

static void window_inputs_tangent(const struct ops *ops, const struct box *box,
                                  const struct window_view *view, size_t sets, size_t count, int tokens,
                                  int decoded, const real *inputs, const real *seed, real *out) {
    (void)ops;
    const int d = box->d, width = window_inputs_width(view->form, d);
    memset(out, 0, sets * count * (size_t)tokens * (size_t)width * sizeof *out);
    for (size_t row = 0; row < sets * count * (size_t)tokens; row++) {
        const size_t window = row / (size_t)tokens, token = row % (size_t)tokens;
        const real *own = seed + (window * (size_t)decoded + (decoded > 1 ? token : 0)) * (size_t)d;
        const real *in = inputs + ((window % count) * (size_t)tokens + token) * (size_t)width;
        for (int a = 0; a < d; a++)
            window_input_tangent(view, d, (int)token, box->side[a], in + a, own[a],
                                 out + row * (size_t)width + (size_t)a);
    }
}

static void add_column(const struct ops *ops, size_t rows, double factor, const real *x, size_t ldx,
                       real *y) {
    (void)ops;
    for (size_t r = 0; r < rows; r++)
        y[r] += (real)factor * x[r * ldx];
}

static void spread_rows(const struct ops *ops, size_t rows, int columns, const real *from, size_t ld_from,
                        real *to, size_t ld_to, bool add) {
    (void)ops;
    for (size_t r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            real *at = to + r * ld_to + (size_t)c;
            *at = from[r * ld_from + (size_t)c] + (add ? *at : 0);
        }
}

static void probe(const struct ops *ops, size_t rows, int columns, const real *direction, const real *tangent,
                  real *out) {
    (void)ops;
    for (size_t r = 0; r < rows; r++)
        out[r] = dot(columns, direction + r * (size_t)columns, tangent + r * (size_t)columns);
}

static void probe_backward(const struct ops *ops, size_t rows, int columns, const real *direction,
                           const real *dproduct, real *dtangent) {
    (void)ops;
    for (size_t r = 0; r < rows; r++)
        for (size_t c = r * (size_t)columns; c < (r + 1) * (size_t)columns; c++)
            dtangent[c] = dproduct[r] * direction[c];
}

void FILL(second)(struct ops *table) {
    table->gelu_tangent_backward = gelu_tangent_backward;
    table->norm_tangent_kept = norm_tangent_kept;
    table->norm_tangent_backward = norm_tangent_backward;
    table->attention_tangent_backward = attention_tangent_backward;
    table->window_inputs = window_inputs;
    table->window_inputs_tangent = window_inputs_tangent;
    table->add_column = add_column;
    table->spread_rows = spread_rows;
    table->probe = probe;
    table->probe_backward = probe_backward;
}
