/* Gradients and tangents on the CUDA table alone, against differences of what it computes: of the scalar S = <c, y> along
 * random directions of all inputs at once. Central differences in float32: a step of a few 1e-3 leaves errors of its
 * square and of rounding over it, together below 1e-2 of the sums of absolute values that S consists of.
 */
#include "both_arrays.h"

enum { MOST_INPUTS = 4, DIRECTIONS = 3 };
static const double STEP = 4e-3, SLACK = 1e-2;

/* y (out) from inputs x[] of n[] numbers. */
struct primitive {
    int inputs;
    size_t n[MOST_INPUTS], out;
    void (*forward)(real *const x[], real *y);
    void (*backward)(real *const x[], const real *dy, real *const dx[]); /* =, after forward */
    void (*tangent)(real *const x[], real *const dx[], real *dy);        /* after forward; NULL: none */
};

static real *device_numbers(size_t n, double size, real **host) {
    void *out;
    assert_int_equal(cuda->allocate(cuda, n * sizeof(real), &out), STATUS_OK);
    *host = malloc((n + 1) * sizeof **host);
    const uint32_t name = arrays_named++;
    for (size_t i = 0; i < n; i++)
        (*host)[i] = (real)(size * (2 * both_number(name, i) - 1));
    cuda->to_device(cuda, out, *host, n * sizeof(real));
    return out;
}

static void values(const struct primitive *p, real *const x[], real *y, real *out) {
    p->forward(x, y);
    cuda->to_host(cuda, out, y, p->out * sizeof *out);
    if (cuda->synchronise(cuda) != STATUS_OK)
        fail_msg("%s", status_message());
}

/* (y(x + step way) - y(x - step way)) / (2 step) */
static void difference(const struct primitive *p, real *const x[], real *const host[], real *const way[],
                       real *y, double *slope) {
    real *out = malloc((p->out + 1) * sizeof *out);
    for (size_t i = 0; i < p->out; i++)
        slope[i] = 0;
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int m = 0; m < p->inputs; m++) {
            real *moved = malloc((p->n[m] + 1) * sizeof *moved);
            for (size_t i = 0; i < p->n[m]; i++)
                moved[i] = (real)(host[m][i] + sign * STEP * way[m][i]);
            cuda->to_device(cuda, x[m], moved, p->n[m] * sizeof *moved);
            free(moved);
        }
        values(p, x, y, out);
        for (size_t i = 0; i < p->out; i++)
            slope[i] += sign * (double)out[i] / (2 * STEP);
    }
    for (int m = 0; m < p->inputs; m++)
        cuda->to_device(cuda, x[m], host[m], p->n[m] * sizeof(real));
    free(out);
}

static void check(const struct primitive *p) {
    real *x[MOST_INPUTS], *host[MOST_INPUTS], *dx[MOST_INPUTS], *gradient[MOST_INPUTS], *y_host, *c_host;
    real *y = device_numbers(p->out, 1, &y_host), *c = device_numbers(p->out, 1, &c_host);
    double *slope = malloc((p->out + 1) * sizeof *slope);
    for (int m = 0; m < p->inputs; m++) {
        x[m] = device_numbers(p->n[m], 1, &host[m]);
        dx[m] = device_numbers(p->n[m], 1, &gradient[m]);
    }
    values(p, x, y, y_host);
    p->backward(x, c, dx);
    for (int m = 0; m < p->inputs; m++)
        cuda->to_host(cuda, gradient[m], dx[m], p->n[m] * sizeof(real));
    for (int direction = 0; direction < DIRECTIONS; direction++) {
        real *way[MOST_INPUTS], *moves[MOST_INPUTS], *moved_host;
        double along = 0, want = 0, size = 0, most = 0, apart = 0;
        for (int m = 0; m < p->inputs; m++) {
            moves[m] = device_numbers(p->n[m], 1, &way[m]);
            for (size_t i = 0; i < p->n[m]; i++)
                along += (double)gradient[m][i] * (double)way[m][i];
        }
        difference(p, x, host, way, y, slope);
        for (size_t i = 0; i < p->out; i++) {
            want += c_host[i] * slope[i];
            size += fabs(c_host[i] * slope[i]);
        }
        assert_below(fabs(along - want) / size, SLACK);
        real *moved = device_numbers(p->out, 1, &moved_host);
        values(p, x, y, y_host);
        if (p->tangent) {
            p->tangent(x, moves, moved);
            cuda->to_host(cuda, moved_host, moved, p->out * sizeof(real));
            for (size_t i = 0; i < p->out; i++) {
                most = fmax(most, fabs(slope[i]));
                apart = fmax(apart, fabs(slope[i] - moved_host[i]));
            }
            assert_below(apart / most, SLACK);
        }
        cuda->release(cuda, moved);
        free(moved_host);
        for (int m = 0; m < p->inputs; m++) {
            cuda->release(cuda, moves[m]);
            free(way[m]);
        }
    }
    for (int m = 0; m < p->inputs; m++) {
        cuda->release(cuda, x[m]);
        cuda->release(cuda, dx[m]);
        free(host[m]);
        free(gradient[m]);
    }
    cuda->release(cuda, y);
    cuda->release(cuda, c);
    free(y_host);
    free(c_host);
    free(slope);
}

/* ---- the primitives ---- */

static void gelu_forward(real *const x[], real *y) {
    cuda->gelu(cuda, 1000, x[0], y);
}
static void gelu_backward(real *const x[], const real *dy, real *const dx[]) {
    cuda->gelu_backward(cuda, 1000, x[0], dy, dx[0]);
}
static void gelu_tangent(real *const x[], real *const dx[], real *dy) {
    cuda->gelu_tangent(cuda, 1000, x[0], dx[0], dy);
}

static void gelu(void **state) {
    (void)state;
    check(&(struct primitive){1, {1000}, 1000, gelu_forward, gelu_backward, gelu_tangent});
}

/* x, w, b */
enum { ROWS = 70, IN = 33, OUT = 40 };
static void linear_forward(real *const x[], real *y) {
    cuda->linear(cuda, ROWS, IN, OUT, x[0], IN, x[1], x[2], y, OUT);
}
static void linear_backward(real *const x[], const real *dy, real *const dx[]) {
    cuda->zero(cuda, dx[1], IN * OUT * sizeof(real));
    cuda->zero(cuda, dx[2], OUT * sizeof(real));
    cuda->linear_backward(cuda, ROWS, IN, OUT, x[0], IN, x[1], dy, OUT, dx[1], dx[2], dx[0], IN, false);
}
static void linear_tangent(real *const x[], real *const dx[], real *dy) { /* dx w + x dw + db */
    cuda->linear(cuda, ROWS, IN, OUT, dx[0], IN, x[1], dx[2], dy, OUT);
    cuda->linear_onto(cuda, ROWS, IN, OUT, x[0], IN, dx[1], NULL, dy, OUT, dy, OUT);
}

static void linear(void **state) {
    (void)state;
    check(&(struct primitive){
        3, {ROWS * IN, IN * OUT, OUT}, ROWS * OUT, linear_forward, linear_backward, linear_tangent});
}

/* a + b, scale, offset; columns on the wide and on the narrow way */
static size_t norm_rows;
static int norm_columns;
static real *norm_n, *norm_root;
static void norm_forward(real *const x[], real *y) {
    const size_t ld = (size_t)norm_columns;
    cuda->norm(cuda, norm_rows, norm_columns, x[0], ld, x[1], ld, x[2], x[3], norm_n, norm_root, y, ld);
}
static void norm_backward(real *const x[], const real *dy, real *const dx[]) {
    const size_t ld = (size_t)norm_columns;
    cuda->zero(cuda, dx[2], ld * sizeof(real));
    cuda->zero(cuda, dx[3], ld * sizeof(real));
    cuda->norm_backward(cuda, norm_rows, norm_columns, x[2], norm_n, norm_root, dy, ld, dx[2], dx[3], dx[0],
                        ld);
    cuda->copy(cuda, dx[1], dx[0], norm_rows * ld * sizeof(real));
}

static void norm(void **state) {
    (void)state;
    const int columns[] = {20, 64, 128, 256, 700};
    for (int m = 0; m < 5; m++) {
        norm_rows = 23;
        norm_columns = columns[m];
        real *host[2];
        const size_t wide = (size_t)norm_columns;
        norm_n = device_numbers(norm_rows * wide, 1, &host[0]);
        norm_root = device_numbers(norm_rows, 1, &host[1]);
        check(&(struct primitive){4,
                                  {norm_rows * wide, norm_rows * wide, wide, wide},
                                  norm_rows * wide,
                                  norm_forward,
                                  norm_backward,
                                  NULL});
        cuda->release(cuda, norm_n);
        cuda->release(cuda, norm_root);
        free(host[0]);
        free(host[1]);
    }
}

/* q, k, v */
static int queries, tokens, heads, width;
static real *weights;
enum { WINDOWS = 3 };
static void attention_forward(real *const x[], real *y) {
    cuda->attention(cuda, WINDOWS, queries, tokens, heads, width, x[0], x[1], x[2], weights, y);
}
static void attention_backward(real *const x[], const real *dy, real *const dx[]) {
    cuda->attention_backward(cuda, WINDOWS, queries, tokens, heads, width, x[0], x[1], x[2], weights, dy,
                             dx[0], dx[1], dx[2]);
}
static void attention_tangent(real *const x[], real *const dx[], real *dy) {
    cuda->attention_tangents(cuda, 1, WINDOWS, queries, tokens, heads, width, x[0], x[1], x[2], weights,
                             dx[0], dx[1], dx[2], dy);
}

static void attention(void **state) {
    (void)state;
    const int shapes[][4] = {{7, 9, 2, 12}, {65, 65, 4, 64}, {1, 65, 4, 64}, {12, 1300, 2, 16}};
    for (int m = 0; m < 4; m++) {
        real *host;
        queries = shapes[m][0];
        tokens = shapes[m][1];
        heads = shapes[m][2];
        width = shapes[m][3];
        const size_t ask = (size_t)(WINDOWS * queries * width), all = (size_t)(WINDOWS * tokens * width);
        weights = device_numbers((size_t)(WINDOWS * heads * queries * tokens), 1, &host);
        check(&(struct primitive){
            3, {ask, all, all}, ask, attention_forward, attention_backward, attention_tangent});
        cuda->release(cuda, weights);
        free(host);
    }
}

/* t, r of token 0 that asks */
static void pool_forward(real *const x[], real *y) {
    cuda->pool(cuda, WINDOWS, tokens, heads, width, x[0], x[1], weights, y);
}
static void pool_backward(real *const x[], const real *dy, real *const dx[]) {
    cuda->zero(cuda, dx[0], (size_t)(WINDOWS * tokens * width) * sizeof(real));
    cuda->pool_backward(cuda, WINDOWS, tokens, heads, width, x[0], weights, x[1], dy, dx[1], dx[0]);
}
static void pool_tangent(real *const x[], real *const dx[], real *dy) {
    cuda->pool_tangent(cuda, 1, WINDOWS, tokens, heads, width, x[0], weights, x[1], dx[0], dx[1], dy);
}

static void pool(void **state) {
    (void)state;
    real *host;
    tokens = 33;
    heads = 3;
    width = 12;
    weights = device_numbers((size_t)(WINDOWS * heads * tokens), 1, &host);
    const size_t ask = (size_t)(WINDOWS * heads * width), all = (size_t)(WINDOWS * tokens * width);
    check(&(struct primitive){2, {all, ask}, ask, pool_forward, pool_backward, pool_tangent});
    cuda->release(cuda, weights);
    free(host);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(gelu), cmocka_unit_test(linear),
                                       cmocka_unit_test(norm), cmocka_unit_test(attention),
                                       cmocka_unit_test(pool)};
    arrays_unused();
    return cmocka_run_group_tests(tests, both_open, both_close);
}
