/* Gradients through primitives and several of their tangents at once, against finite differences of the definitions
 * in float64; and the small operations beside them against plain sums. */
#include "ops/difference.h"
#include "every_loops.h"

static const size_t SETS[] = {0, 1, 3};

/* ---- GELU ---- */

static void gelu_of_complex(const struct primitive *p, double complex *const x[], double complex *y) {
    for (size_t i = 0; i < p->out; i++) {
        const double complex v = x[0][i];
        y[i] = v / 2 * (1 + ctanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    }
}

static void check_gelu(size_t sets, size_t n, double size) {
    const struct ops *ops = ops_cpu();
    struct primitive p = {.sets = sets, .of = gelu_of_complex};
    primitive_input(&p, n, true, size);
    primitive_output(&p, n);
    struct input *in = &p.in[0];
    ops->gelu(ops, n, in->x, p.y);
    for (size_t s = 0; s < sets; s++)
        ops->gelu_tangent(ops, n, in->x, in->tx + s * n, p.ty + s * n);
    ops->gelu_tangent_backward(ops, sets, n, in->x, in->tx, p.cy, p.cty, in->dx, in->dtx);
    real *dx = numbers(n, 1), *dtx = numbers(sets * n, 1);
    memcpy(dx, p.cy, n * sizeof *dx);
    memcpy(dtx, p.cty, sets * n * sizeof *dtx);
    ops->gelu_tangent_backward(ops, sets, n, in->x, in->tx, dx, dtx, dx, dtx); /* in place */
    assert_memory_equal(dx, in->dx, n * sizeof *dx);
    assert_memory_equal(dtx, in->dtx, sets * n * sizeof *dtx);
    free(dx);
    free(dtx);
    primitive_check(&p, 1);
}

static void gelu(void **state) {
    (void)state;
    static const double sizes[] = {1e-3, 2, 9, 30};
    for (size_t s = 0; s < 3; s++)
        for (size_t m = 0; m < 4; m++) {
            check_gelu(SETS[s], 1, sizes[m]);
            check_gelu(SETS[s], 131, sizes[m]);
        }
}

/* ---- layer norm ---- */

/* x: u, scale, offset; size: rows, columns. */
static void norm_of_complex(const struct primitive *p, double complex *const x[], double complex *y) {
    const size_t rows = (size_t)p->size[0], columns = (size_t)p->size[1];
    for (size_t r = 0; r < rows; r++) {
        const double complex *u = x[0] + r * columns;
        double complex mean = 0, square = 0;
        for (size_t c = 0; c < columns; c++)
            mean += u[c] / (double)columns;
        for (size_t c = 0; c < columns; c++)
            square += (u[c] - mean) * (u[c] - mean) / (double)columns;
        for (size_t c = 0; c < columns; c++)
            y[r * columns + c] = x[1][c] * (u[c] - mean) / csqrt(square + 1e-5) + x[2][c];
    }
}

enum { GAP = 3 }; /* between rows */

/* Rows with gaps of NAN between them. */
static real *spaced(size_t rows, size_t columns, const real *from) {
    real *to = nothing(rows * (columns + GAP));
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * (columns + GAP), from + r * columns, columns * sizeof *to);
    return to;
}

static void packed(size_t rows, size_t columns, const real *from, real *to) {
    for (size_t r = 0; r < rows; r++) {
        memcpy(to + r * columns, from + r * (columns + GAP), columns * sizeof *to);
        for (size_t c = columns; c < columns + GAP; c++)
            assert_true(isnan(from[r * (columns + GAP) + c])); /* nothing in the gaps is touched */
    }
}

/* The tangents come in two parts, of a with gaps and of b. */
static void norm_tangents(struct primitive *p, const real *n, const real *root) {
    const struct ops *ops = ops_cpu();
    const size_t rows = (size_t)p->size[0], columns = (size_t)p->size[1], all = p->sets * rows * columns;
    real *part = numbers(all, 1), *tu = numbers(all, 1);
    for (size_t i = 0; i < all; i++)
        tu[i] = p->in[0].tx[i] - part[i];
    real *ta = spaced(p->sets * rows, columns, part);
    ops->norm_tangent_kept(ops, p->sets, rows, (int)columns, ta, columns + GAP, tu, p->in[1].x, n, root,
                           p->ty);
    for (size_t i = 0; i < all; i++)
        assert_below(fabs((double)tu[i] - (double)p->in[0].tx[i]), EXACT);
    memcpy(p->in[0].tx, tu, all * sizeof *tu); /* with their roundings */
    free(part);
    free(ta);
    free(tu);
}

/* Gradients of weights are added to what is there. */
static void norm_gradients(struct primitive *p, const real *n, const real *root) {
    const struct ops *ops = ops_cpu();
    const size_t rows = (size_t)p->size[0], columns = (size_t)p->size[1];
    real *dy = spaced(rows, columns, p->cy), *du = nothing(rows * (columns + GAP));
    for (size_t c = 0; c < columns; c++)
        p->in[1].dx[c] = p->in[2].dx[c] = (real)0.25;
    ops->norm_tangent_backward(ops, p->sets, rows, (int)columns, p->in[1].x, n, root, p->in[0].tx, dy,
                               columns + GAP, p->cty, p->in[1].dx, p->in[2].dx, du, columns + GAP,
                               p->in[0].dtx);
    packed(rows, columns, du, p->in[0].dx);
    for (size_t c = 0; c < columns; c++) {
        p->in[1].dx[c] -= (real)0.25;
        p->in[2].dx[c] -= (real)0.25;
    }
    free(dy);
    free(du);
}

static void check_norm(size_t sets, size_t rows, size_t columns, double size) {
    const struct ops *ops = ops_cpu();
    struct primitive p = {.sets = sets, .of = norm_of_complex, .size = {(int)rows, (int)columns}};
    primitive_input(&p, rows * columns, true, size);
    primitive_input(&p, columns, false, 1);
    primitive_input(&p, columns, false, 1);
    primitive_output(&p, rows * columns);
    p.floor = columns == 2 ? 0.3 : 0; /* where n is 1 and -1, and slopes are what rounding leaves of them */
    real *zero = calloc(rows * columns, sizeof *zero), *n = nothing(rows * columns), *root = nothing(rows);
    ops->norm(ops, rows, (int)columns, p.in[0].x, columns, zero, columns, p.in[1].x, p.in[2].x, n, root, p.y,
              columns);
    norm_tangents(&p, n, root);
    norm_gradients(&p, n, root);
    free(zero);
    free(n);
    free(root);
    primitive_check(&p, fmin(size, 1));
}

static void norm(void **state) {
    (void)state;
    static const size_t sizes[][2] = {{1, 1}, {1, 2}, {1, 7}, {5, 1}, {5, 6}, {4, 33}};
    static const double values[] = {1e-3, 1, 40};
    for (size_t s = 0; s < 3; s++)
        for (size_t m = 0; m < 6; m++)
            for (size_t v = 0; v < 3; v++)
                check_norm(SETS[s], sizes[m][0], sizes[m][1], values[v]);
}

/* ---- attention ---- */

/* size: windows, queries, tokens, heads, width. */
static void attend(const struct primitive *p, const double complex *q, const double complex *k,
                   const double complex *v, double complex *out) {
    const int tokens = p->size[2], width = p->size[4], columns = width / p->size[3];
    double complex total = 0, weight[128];
    double most = -INFINITY;
    for (int j = 0; j < tokens; j++) {
        weight[j] = 0;
        for (int c = 0; c < columns; c++)
            weight[j] += q[c] * k[j * width + c] / sqrt(columns);
        most = fmax(most, creal(weight[j]));
    }
    for (int j = 0; j < tokens; j++) {
        weight[j] = cexp(weight[j] - most);
        total += weight[j];
    }
    for (int c = 0; c < columns; c++) {
        out[c] = 0;
        for (int j = 0; j < tokens; j++)
            out[c] += weight[j] / total * v[j * width + c];
    }
}

static void attention_of_complex(const struct primitive *p, double complex *const x[], double complex *y) {
    const int *z = p->size, columns = z[4] / z[3];
    for (int w = 0; w < z[0]; w++)
        for (int i = 0; i < z[1]; i++)
            for (int h = 0; h < z[3]; h++) {
                const int row = (w * z[1] + i) * z[4] + h * columns, token = w * z[2] * z[4] + h * columns;
                attend(p, x[0] + row, x[1] + token, x[2] + token, y + row);
            }
}

static void check_attention(size_t sets, const int z[5], double size) {
    const struct ops *ops = ops_cpu();
    struct primitive p = {.sets = sets, .of = attention_of_complex, .size = {z[0], z[1], z[2], z[3], z[4]}};
    const size_t windows = (size_t)z[0], asking = windows * (size_t)(z[1] * z[4]),
                 all = windows * (size_t)(z[2] * z[4]);
    primitive_input(&p, asking, true, size);
    primitive_input(&p, all, true, size);
    primitive_input(&p, all, true, 1);
    primitive_output(&p, asking);
    struct input *q = &p.in[0], *k = &p.in[1], *v = &p.in[2];
    real *weight = nothing(windows * (size_t)(z[3] * z[1] * z[2]));
    ops->attention(ops, windows, z[1], z[2], z[3], z[4], q->x, k->x, v->x, weight, p.y);
    for (size_t s = 0; s < sets; s++)
        ops->attention_tangents(ops, 1, windows, z[1], z[2], z[3], z[4], q->x, k->x, v->x, weight,
                                q->tx + s * asking, k->tx + s * all, v->tx + s * all, p.ty + s * asking);
    ops->attention_tangent_backward(ops, sets, windows, z[1], z[2], z[3], z[4], q->x, k->x, v->x, weight,
                                    q->tx, k->tx, v->tx, p.cy, p.cty, q->dx, k->dx, v->dx, q->dtx, k->dtx,
                                    v->dtx);
    free(weight);
    primitive_check(&p, 1 / size);
}

static void attention(void **state) {
    (void)state;
    static const int sizes[][5] = {{1, 1, 1, 1, 1},  {3, 3, 3, 2, 6},   {2, 1, 3, 2, 6}, {2, 2, 3, 1, 5},
                                   {1, 3, 65, 2, 6}, {2, 65, 65, 1, 2}, {1, 2, 4, 3, 12}};
    static const double values[] = {1e-2, 1, 5};
    for (size_t s = 0; s < 3; s++)
        for (size_t m = 0; m < 7; m++)
            for (size_t v = 0; v < 3; v++)
                check_attention(SETS[s], sizes[m], values[v]);
}

/* ---- the small ones ---- */

static void spread_rows(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    static const size_t sizes[][2] = {{0, 4}, {1, 1}, {5, 7}};
    for (size_t m = 0; m < 3; m++) {
        const size_t rows = sizes[m][0], columns = sizes[m][1], n = rows * columns;
        real *x = numbers(n, 1), *from = spaced(rows, columns, x), *to = nothing(rows * (columns + GAP));
        real *y = nothing(n), *old = numbers(n, 1), *added = spaced(rows, columns, old);
        ops->spread_rows(ops, rows, (int)columns, from, columns + GAP, to, columns + GAP, false);
        packed(rows, columns, to, y);
        assert_memory_equal(y, x, n * sizeof *x);
        ops->spread_rows(ops, rows, (int)columns, from, columns + GAP, added, columns + GAP, true);
        packed(rows, columns, added, y);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == x[i] + old[i]);
        ops->spread_rows(ops, rows, (int)columns, x, 0, to, columns + GAP, false); /* one row to all */
        packed(rows, columns, to, y);
        for (size_t i = 0; i < n; i++)
            assert_true(y[i] == x[i % columns]);
        real *const all[] = {x, from, to, y, old, added};
        for (size_t i = 0; i < 6; i++)
            free(all[i]);
    }
}

/* Value and gradient; the trace is the same with unit directions. */
static void probe(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    static const size_t sizes[][2] = {{0, 3}, {1, 1}, {9, 2}, {4, 39}};
    for (size_t m = 0; m < 4; m++) {
        const size_t rows = sizes[m][0], columns = sizes[m][1], n = rows * columns;
        real *way = numbers(n, 1), *tangent = numbers(n, 1), *out = nothing(rows), *c = numbers(rows, 1),
             *back = nothing(n);
        ops->probe(ops, rows, (int)columns, way, tangent, out);
        ops->probe_backward(ops, rows, (int)columns, way, c, back);
        for (size_t r = 0; r < rows; r++) {
            double sum = 0;
            for (size_t i = r * columns; i < (r + 1) * columns; i++) {
                sum += (double)way[i] * (double)tangent[i];
                assert_true(back[i] == c[r] * way[i]);
            }
            assert_below(fabs((double)out[r] - sum), EXACT * 10);
        }
        real *const all[] = {way, tangent, out, c, back};
        for (size_t i = 0; i < 5; i++)
            free(all[i]);
    }
}

static void trace(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    for (int d = 1; d <= 3; d++) {
        const size_t count = 7, wide = (size_t)d;
        real *tangent = numbers(wide * count * wide, 1), *out = nothing(count);
        ops->trace(ops, count, d, tangent, out);
        for (size_t i = 0; i < count; i++) {
            double sum = 0;
            for (size_t a = 0; a < wide; a++)
                sum += (double)tangent[(a * count + i) * wide + a];
            assert_below(fabs((double)out[i] - sum), EXACT);
        }
        free(tangent);
        free(out);
    }
}

/* Signs: of every component and of every product of two components as many of either kind as chance gives, of
 * particles, of steps; the same whatever particles are asked for together. */
static void rademacher(void **state) {
    (void)state;
    enum { COUNT = 2000, STEPS = 10, D = 3 };
    const struct ops *ops = ops_cpu();
    double *zeta = malloc(COUNT * D * sizeof *zeta), *before = calloc(COUNT * D, sizeof *before), one[D];
    double sum[D] = {0}, product[D][D] = {{0}}, same[D] = {0};
    uint32_t *id = malloc(COUNT * sizeof *id);
    for (uint32_t i = 0; i < COUNT; i++)
        id[i] = i;
    for (int step = 0; step < STEPS; step++) {
        ops->rademacher(ops, 3, STREAM_ZETA, (uint64_t)step, COUNT, id, D, zeta);
        for (int i = 0; i < COUNT; i++)
            for (int a = 0; a < D; a++) {
                assert_true(fabs(zeta[i * D + a]) == 1);
                sum[a] += zeta[i * D + a];
                same[a] += zeta[i * D + a] * before[i * D + a];
                for (int b = 0; b < a; b++)
                    product[a][b] += zeta[i * D + a] * zeta[i * D + b];
            }
        ops->rademacher(ops, 3, STREAM_ZETA, (uint64_t)step, 1, id + 77, D, one);
        assert_memory_equal(one, zeta + 77 * D, sizeof one);
        memcpy(before, zeta, COUNT * D * sizeof *zeta);
    }
    const double limit = 4.5 * sqrt(COUNT * STEPS);
    for (int a = 0; a < D; a++) {
        assert_below(fabs(sum[a]), limit);
        assert_below(fabs(same[a]), limit);
        for (int b = 0; b < a; b++)
            assert_below(fabs(product[a][b]), limit);
    }
    free(zeta);
    free(before);
    free(id);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gelu),      cmocka_unit_test(norm),
                                       cmocka_unit_test(attention), cmocka_unit_test(spread_rows),
                                       cmocka_unit_test(probe),     cmocka_unit_test(trace),
                                       cmocka_unit_test(rademacher)};
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, numbers_again);
}
