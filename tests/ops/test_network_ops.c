/* Primitives of networks: tangents against central differences, backward against the tangent by the adjoint
 * identity <dy, J dx> = <J^T dy, dx>, and the two ways of multiplying small matrices against each other.
 * Sizes are odd on purpose; zero rows and one row are among them. */
#include <Random123/philox.h>

#include "ops/ops.h"
#include "ops/response_formula.h"
#include "every_loops.h"

#ifdef EPFLOW_FLOAT64
static const double STEP = 1e-5, SLACK = 1e-7, EXACT = 1e-12;
#else
static const double STEP = 3e-3, SLACK = 2e-3, EXACT = 2e-5;
#endif

static uint32_t drawn;

/* Fresh numbers in (-1, 1). */
static real *numbers(size_t n) {
    real *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        uint32_t word[4];
        rng_words(7, STREAM_PROBE, drawn++, 0, 0, word);
        x[i] = (real)(2 * rng_uniform(word[0]) - 1);
    }
    return x;
}

static real *shifted(size_t n, const real *x, const real *dx, double amount) {
    real *y = malloc((n + 1) * sizeof *y);
    for (size_t i = 0; i < n; i++)
        y[i] = (real)((double)x[i] + amount * (double)dx[i]);
    return y;
}

static double dot(size_t n, const real *a, const real *b) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double length(size_t n, const real *a) {
    return sqrt(dot(n, a, a)) + 1e-30;
}

/* |plus - minus| / (2 step) against a tangent. */
static void assert_tangent(size_t n, const real *plus, const real *minus, const real *tangent) {
    real *difference = malloc((n + 1) * sizeof *difference);
    for (size_t i = 0; i < n; i++)
        difference[i] = (real)(((double)plus[i] - (double)minus[i]) / (2 * STEP) - (double)tangent[i]);
    assert_below(length(n, difference) / length(n, tangent), SLACK);
    free(difference);
}

static void assert_adjoint(double left, double right, double scale) {
    assert_below(fabs(left - right) / scale, EXACT * 10);
}

static void test_linear(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    static const struct {
        size_t rows;
        int in, out;
    } size[] = {{0, 3, 5},     {1, 2, 7},     {13, 3, 9},   {17, 33, 31}, {64, 80, 72}, /* few rows */
                {65, 64, 2},   {67, 33, 31},  {131, 2, 49}, {70, 5, 3},                 /* small */
                {65, 80, 72},  {0, 80, 72},                                             /* the library */
                {131, 80, 72}, {245, 72, 104}};                                         /* panels */
    for (size_t m = 0; m < sizeof size / sizeof *size; m++) {
        const size_t rows = size[m].rows, in = (size_t)size[m].in, out = (size_t)size[m].out, ldx = in + 3;
        real *x = numbers(rows * ldx), *w = numbers(in * out), *b = numbers(out), *dy = numbers(rows * out);
        real *y = calloc(rows * out + 1, sizeof *y), *dx = calloc(rows * ldx + 1, sizeof *dx);
        real *dw = calloc(in * out, sizeof *dw), *db = calloc(out, sizeof *db);
        ops->linear(ops, rows, (int)in, (int)out, x, ldx, w, b, y, out);
        for (size_t r = 0; r < rows; r++) /* against the definition */
            for (size_t c = 0; c < out; c++) {
                double want = (double)b[c];
                for (size_t i = 0; i < in; i++)
                    want += (double)x[r * ldx + i] * (double)w[i * out + c];
                assert_below(fabs((double)y[r * out + c] - want), EXACT * 10);
            }
        for (size_t i = 0; i < rows * ldx; i++)
            dx[i] = 7;
        ops->linear_backward(ops, rows, (int)in, (int)out, x, ldx, w, dy, out, dw, db, dx, ldx, false);
        for (size_t i = 0; i < rows * ldx; i++) /* nothing between the rows is touched */
            if (i % ldx >= in)
                assert_true(dx[i] == 7);
        /* y is linear in each of x, w, b: <dy, y> = <dx, x> + <db, b>, and = <dw, w> + <db, b> */
        double whole = dot(rows * out, dy, y), bias = dot(out, db, b), by_x = 0;
        for (size_t r = 0; r < rows; r++)
            by_x += dot(in, dx + r * ldx, x + r * ldx);
        assert_adjoint(whole, by_x + bias, 1 + (double)(rows * out));
        assert_adjoint(whole, dot(in * out, dw, w) + bias, 1 + (double)(rows * out));
        ops->linear_backward(ops, rows, (int)in, (int)out, x, ldx, w, dy, out, dw, NULL, dx, ldx,
                             true); /* doubles */
        double twice_x = 0;
        for (size_t r = 0; r < rows; r++)
            twice_x += dot(in, dx + r * ldx, x + r * ldx);
        assert_adjoint(2 * (whole - bias), twice_x, 1 + (double)(rows * out));
        assert_adjoint(2 * (whole - bias), dot(in * out, dw, w), 1 + (double)(rows * out));
        real *const all[] = {x, w, b, dy, y, dx, dw, db};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
}

/* Rows from elsewhere, or the result's own, and onto them a product: against the definition. */
static void test_linear_onto(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    static const struct {
        size_t rows;
        int in, out;
    } size[] = {{0, 3, 5}, {17, 33, 31}, {67, 33, 31}, {65, 80, 72}, {245, 72, 104}, {130, 300, 352}};
    enum { FROM = 9 };
    for (size_t m = 0; m < sizeof size / sizeof *size; m++) {
        const size_t rows = size[m].rows, in = (size_t)size[m].in, out = (size_t)size[m].out;
        const size_t ldx = in + 3, lds = out + 2, ldy = out + 1;
        real *x = numbers(rows * ldx), *w = numbers(in * out), *start = numbers(FROM * lds);
        real *gathered = numbers(rows * ldy), *own = numbers(rows * ldy);
        uint32_t *index = malloc((rows + 1) * sizeof *index);
        for (size_t r = 0; r < rows; r++)
            index[r] = (uint32_t)(r * 5 % FROM);
        real *kept = shifted(rows * ldy, own, own, 0);
        ops->linear_onto(ops, rows, (int)in, (int)out, x, ldx, w, index, start, lds, gathered, ldy);
        ops->linear_onto(ops, rows, (int)in, (int)out, x, ldx, w, NULL, own, ldy, own, ldy);
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < out; c++) {
                double want = 0;
                for (size_t i = 0; i < in; i++)
                    want += (double)x[r * ldx + i] * (double)w[i * out + c];
                assert_below(fabs((double)own[r * ldy + c] - want - (double)kept[r * ldy + c]), EXACT * 10);
                assert_below(fabs((double)gathered[r * ldy + c] - want - (double)start[index[r] * lds + c]),
                             EXACT * 10);
            }
        real *const all[] = {x, w, start, gathered, own, kept};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
        free(index);
    }
}

static void test_gelu(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    const size_t n = 1003;
    real *x = numbers(n), *dx = numbers(n), *dy = numbers(n), *y = numbers(n), *t = numbers(n),
         *back = numbers(n);
    for (size_t i = 0; i < n; i++)
        x[i] *= 9;
    ops->gelu(ops, n, x, y);
    for (size_t i = 0; i < n; i++) {
        double v = (double)x[i], want = v / 2 * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
        assert_below(fabs((double)y[i] - want), EXACT * (1 + fabs(v)));
    }
    ops->gelu_tangent(ops, n, x, dx, t);
    real *plus = shifted(n, x, dx, STEP), *minus = shifted(n, x, dx, -STEP);
    ops->gelu(ops, n, plus, plus);
    ops->gelu(ops, n, minus, minus);
    assert_tangent(n, plus, minus, t);
    ops->gelu_backward(ops, n, x, dy, back);
    assert_adjoint(dot(n, dy, t), dot(n, back, dx), (double)n);
    real *const all[] = {x, dx, dy, y, t, back, plus, minus};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

static void test_norm(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    static const size_t sizes[][2] = {{0, 8}, {1, 5}, {19, 33}};
    for (size_t m = 0; m < 3; m++) {
        const size_t rows = sizes[m][0], columns = sizes[m][1], n = rows * columns;
        real *a = numbers(n), *b = numbers(n), *da = numbers(n), *db = numbers(n), *dy = numbers(n),
             *y = numbers(n);
        real *scale = numbers(columns), *offset = numbers(columns), *normal = numbers(n),
             *root = numbers(rows);
        real *t = numbers(n), *du = numbers(n), *dscale = calloc(columns, sizeof(real));
        real *doffset = calloc(columns, sizeof(real)), *n2 = numbers(n), *root2 = numbers(rows);
        ops->norm(ops, rows, (int)columns, a, columns, b, columns, scale, offset, normal, root, y, columns);
        ops->norm_tangent(ops, 1, rows, (int)columns, da, columns, db, columns, scale, normal, root, t);
        real *up_a = shifted(n, a, da, STEP), *up_b = shifted(n, b, db, STEP);
        real *down_a = shifted(n, a, da, -STEP), *down_b = shifted(n, b, db, -STEP);
        ops->norm(ops, rows, (int)columns, up_a, columns, up_b, columns, scale, offset, n2, root2, up_a,
                  columns);
        ops->norm(ops, rows, (int)columns, down_a, columns, down_b, columns, scale, offset, n2, root2, down_a,
                  columns);
        if (n > 0)
            assert_tangent(n, up_a, down_a, t);
        ops->norm_backward(ops, rows, (int)columns, scale, normal, root, dy, columns, dscale, doffset, du,
                           columns);
        assert_adjoint(dot(n, dy, t), dot(n, du, da) + dot(n, du, db), 1 + 10 * (double)n);
        /* y is linear in scale and offset */
        assert_adjoint(dot(n, dy, y), dot(columns, dscale, scale) + dot(columns, doffset, offset),
                       1 + (double)n);
        real *const all[] = {a, b,  da,     db,      dy, y,     scale, offset, normal, root,
                             t, du, dscale, doffset, n2, root2, up_a,  up_b,   down_a, down_b};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            free(all[i]);
    }
}

struct attention_size {
    size_t windows;
    int queries, tokens, heads, width;
};

/* The definition, in float64. */
static double attended(const struct attention_size *z, size_t w, int i, int column, const real *q,
                       const real *k, const real *v) {
    const int hd = z->width / z->heads, first = column / hd * hd;
    double sum = 0, total = 0;
    for (int j = 0; j < z->tokens; j++) {
        double logit = 0;
        for (int c = first; c < first + hd; c++)
            logit += (double)q[(w * (size_t)z->queries + (size_t)i) * (size_t)z->width + (size_t)c] *
                     (double)k[(w * (size_t)z->tokens + (size_t)j) * (size_t)z->width + (size_t)c];
        double e = exp(logit / sqrt(hd));
        total += e;
        sum += e * (double)v[(w * (size_t)z->tokens + (size_t)j) * (size_t)z->width + (size_t)column];
    }
    return sum / total;
}

static void check_attention(const struct attention_size *z) {
    const struct ops *ops = ops_cpu();
    const size_t nq = z->windows * (size_t)z->queries * (size_t)z->width;
    const size_t nt = z->windows * (size_t)z->tokens * (size_t)z->width;
    const size_t np = z->windows * (size_t)z->heads * (size_t)z->queries * (size_t)z->tokens;
    real *q = numbers(nq), *k = numbers(nt), *v = numbers(nt), *p = numbers(np), *out = numbers(nq);
    real *dq = numbers(nq), *dk = numbers(nt), *dv = numbers(nt), *t = numbers(nq), *dout = numbers(nq);
    real *bq = numbers(nq), *bk = numbers(nt), *bv = numbers(nt), *p2 = numbers(np);
    ops->attention(ops, z->windows, z->queries, z->tokens, z->heads, z->width, q, k, v, p, out);
    for (size_t w = 0; w < z->windows; w++)
        for (int i = 0; i < z->queries; i++)
            for (int c = 0; c < z->width; c++)
                assert_below(
                    fabs((double)out[(w * (size_t)z->queries + (size_t)i) * (size_t)z->width + (size_t)c] -
                         attended(z, w, i, c, q, k, v)),
                    EXACT);
    ops->attention_tangents(ops, 1, z->windows, z->queries, z->tokens, z->heads, z->width, q, k, v, p, dq, dk,
                            dv, t);
    real *end[2];
    for (int m = 0; m < 2; m++) {
        double step = m == 0 ? STEP : -STEP;
        real *sq = shifted(nq, q, dq, step), *sk = shifted(nt, k, dk, step), *sv = shifted(nt, v, dv, step);
        end[m] = numbers(nq);
        ops->attention(ops, z->windows, z->queries, z->tokens, z->heads, z->width, sq, sk, sv, p2, end[m]);
        free(sq);
        free(sk);
        free(sv);
    }
    if (nq > 0)
        assert_tangent(nq, end[0], end[1], t);
    ops->attention_backward(ops, z->windows, z->queries, z->tokens, z->heads, z->width, q, k, v, p, dout, bq,
                            bk, bv);
    assert_adjoint(dot(nq, dout, t), dot(nq, bq, dq) + dot(nt, bk, dk) + dot(nt, bv, dv), 1 + (double)nq);
    real *const all[] = {q, k, v, p, out, dq, dk, dv, t, dout, bq, bk, bv, p2, end[0], end[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* Small sizes take the loops, large ones the library: both against the definition. */
static void test_attention(void **state) {
    (void)state;
    static const struct attention_size size[] = {{0, 3, 3, 1, 4},    {1, 1, 1, 1, 2},     {3, 5, 5, 2, 6},
                                                 {2, 17, 17, 4, 32}, {2, 1, 17, 4, 32},   {1, 65, 65, 2, 128},
                                                 {1, 1, 65, 4, 256}, {1, 140, 140, 1, 3}, {2, 9, 9, 1, 70}};
    for (size_t m = 0; m < sizeof size / sizeof *size; m++)
        check_attention(&size[m]);
}

/* out (rows, width) = x w, added to b unless NULL: the definition. */
static void multiply(size_t rows, size_t in, size_t out, const real *x, size_t ldx, const real *w,
                     const real *b, double *y) {
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < out; c++) {
            double sum = b ? (double)b[c] : 0;
            for (size_t i = 0; i < in; i++)
                sum += (double)x[r * ldx + i] * (double)w[i * out + c];
            y[r * out + c] = sum;
        }
}

/* Where token 0 alone moves: attention's tangents times the output matrix against what needs no such product. */
static void check_attention_first(const struct attention_size *z, size_t sets) {
    const struct ops *ops = ops_cpu();
    const size_t width = (size_t)z->width, heads = (size_t)z->heads, columns = width / heads;
    const size_t rows = z->windows * (size_t)z->queries, nq = rows * width;
    const size_t tokens = z->windows * (size_t)z->tokens, nt = tokens * width, moving = sets * z->windows;
    real *q = numbers(nq), *k = numbers(nt), *v = numbers(nt), *out = numbers(nq),
         *w = numbers(width * width);
    real *b = numbers(width), *p = numbers(rows * heads * (size_t)z->tokens), *sums = numbers(heads * nq);
    real *dq = numbers(moving * width), *dk = numbers(moving * width), *dv = numbers(moving * width);
    real *all_q = calloc(sets * nq + 1, sizeof *q), *all_k = calloc(sets * nt + 1, sizeof *k);
    real *all_v = calloc(sets * nt + 1, sizeof *v), *dout = numbers(sets * nq), *du = numbers(sets * nq);
    real *value = numbers(z->windows * heads * width), *dvalue = numbers(moving * heads * width);
    real *own = numbers(moving * width), *whole = numbers(nq);
    double *want = calloc(sets * nq + 1, sizeof *want), *asked = calloc(moving * width + 1, sizeof *asked);
    for (size_t i = 0; i < moving * width; i++) {
        const size_t at = i / width, c = i % width;
        all_q[at * (size_t)z->queries * width + c] = dq[i];
        all_k[at * (size_t)z->tokens * width + c] = dk[i];
        all_v[at * (size_t)z->tokens * width + c] = dv[i];
    }
    ops->attention(ops, z->windows, z->queries, z->tokens, z->heads, z->width, q, k, v, p, out);
    ops->attention_tangents(ops, sets, z->windows, z->queries, z->tokens, z->heads, z->width, q, k, v, p,
                            all_q, all_k, all_v, dout);
    multiply(sets * rows, width, width, dout, width, w, NULL, want);
    ops->linear_parts(ops, rows, z->heads, z->width, z->width, out, width, w, b, sums);
    ops->linear(ops, rows, z->width, z->width, out, width, w, b, whole, width);
    if (rows > 0)
        assert_memory_equal(whole, sums + (heads - 1) * nq, nq * sizeof *whole);
    for (size_t h = 0; h < heads; h++) {
        const real *part = w + h * columns * width;
        ops->linear(ops, z->windows, (int)columns, z->width, v + h * columns, (size_t)z->tokens * width, part,
                    NULL, value + h * width, heads * width);
        ops->linear(ops, moving, (int)columns, z->width, dv + h * columns, width, part, NULL,
                    dvalue + h * width, heads * width);
    }
    ops->attention_tangent_query(ops, sets, z->windows, z->queries, z->tokens, z->heads, z->width, k, v, p,
                                 dq, own);
    multiply(moving, width, width, own, width, w, NULL, asked);
    ops->attention_tangent_key(ops, sets, z->windows, z->queries, z->tokens, z->heads, z->width, q, p, sums,
                               b, value, dk, dvalue, du);
    for (size_t i = 0; i < sets * nq; i++) {
        const size_t row = i / width % (size_t)z->queries, at = i / width / (size_t)z->queries;
        const double found = (double)du[i] + (row == 0 ? asked[at * width + i % width] : 0);
        assert_below(fabs(found - want[i]), 20 * EXACT);
    }
    real *const arrays[] = {q,  k,     v,     out,   w,    b,  p,     sums,   dq,  dk,
                            dv, all_q, all_k, all_v, dout, du, value, dvalue, own, whole};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(want);
    free(asked);
}

static void test_attention_first(void **state) {
    (void)state;
    static const struct attention_size size[] = {{0, 3, 3, 1, 4},    {1, 1, 1, 1, 2},   {3, 5, 5, 2, 6},
                                                 {5, 17, 17, 4, 32}, {2, 1, 17, 4, 32}, {2, 65, 65, 2, 128},
                                                 {4, 40, 40, 3, 57}};
    for (size_t m = 0; m < sizeof size / sizeof *size; m++)
        check_attention_first(&size[m], 1 + m % 3);
}

/* A key that is not finite makes every number of its own window NaN, and none of another's. */
static void test_attention_not_finite(void **state) {
    (void)state;
    enum { WINDOWS = 3, TOKENS = 17, WIDTH = 8, ALL = WINDOWS * TOKENS * WIDTH };
    const struct ops *ops = ops_cpu();
    real *q = numbers(ALL), *k = numbers(ALL), *v = numbers(ALL), *out = numbers(ALL),
         *p = numbers((size_t)WINDOWS * TOKENS * TOKENS);
    for (int token = 0; token < TOKENS; token++) {
        const real kept = k[(TOKENS + token) * WIDTH];
        k[(TOKENS + token) * WIDTH] = (real)NAN; /* of window 1 */
        ops->attention(ops, WINDOWS, TOKENS, TOKENS, 1, WIDTH, q, k, v, p, out);
        for (size_t i = 0; i < ALL; i++)
            assert_int_equal(isnan(out[i]), i / (TOKENS * WIDTH) == 1);
        k[(TOKENS + token) * WIDTH] = kept;
    }
    real *const arrays[] = {q, k, v, out, p};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static void test_asinh_not_finite(void **state) {
    (void)state;
    volatile real x[] = {(real)NAN, (real)INFINITY, (real)-INFINITY};
    for (int m = 0; m < 3; m++)
        assert_true(isnan(asinh_of(x[m])));
    assert_below(fabs((double)asinh_of(-3) + asinh(3)), 1e-6);
}

static void test_gather_scatter(void **state) {
    (void)state;
    const struct ops *ops = ops_cpu();
    static const uint32_t index[] = {3, 0, 3, 1, 4, 3};
    real *x = numbers(5 * 7), *y = numbers(6 * 7), *gathered = numbers(6 * 7),
         *scattered = calloc(5 * 7, sizeof(real));
    ops->gather_rows(ops, 6, 7, index, x, 7, gathered, 7);
    ops->scatter_rows(ops, 6, 7, index, y, 7, scattered, 7);
    assert_adjoint(dot(6 * 7, y, gathered), dot(5 * 7, scattered, x), 10);
    free(x);
    free(y);
    free(gathered);
    free(scattered);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_linear),
                                       cmocka_unit_test(test_linear_onto),
                                       cmocka_unit_test(test_gelu),
                                       cmocka_unit_test(test_norm),
                                       cmocka_unit_test(test_attention),
                                       cmocka_unit_test(test_attention_first),
                                       cmocka_unit_test(test_gather_scatter),
                                       cmocka_unit_test(test_attention_not_finite),
                                       cmocka_unit_test(test_asinh_not_finite)};
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, NULL);
}
