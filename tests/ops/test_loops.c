/* The networks' loops for AVX-512 beside those for AVX2: equal to rounding, for sizes that fill vectors and sizes that
 * do not. */
#include <Random123/philox.h>

#include "ops/ops.h"
#include "test.h"

#ifdef EPFLOW_FLOAT64
static const double EXACT = 1e-12;
#else
static const double EXACT = 2e-5;
#endif

enum { MOST_ARRAYS = 8192 };

/* Every array of a run, in order; those that were read, too. */
static struct run {
    int arrays;
    size_t count[MOST_ARRAYS];
    real *x[MOST_ARRAYS];
    uint32_t drawn;
} run_of[2], *run;

/* Fresh numbers in (-1, 1), the same in every run. */
static real *numbers(size_t n) {
    real *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        uint32_t word[4];
        rng_words(13, STREAM_PROBE, run->drawn++, 0, 0, word);
        x[i] = (real)(2 * rng_uniform(word[0]) - 1);
    }
    assert_true(run->arrays < MOST_ARRAYS);
    run->count[run->arrays] = n;
    run->x[run->arrays++] = x;
    return x;
}

static const size_t few_rows[] = {1, 65, 131};

static void linears(int in, int out) {
    const struct ops *ops = ops_cpu();
    const size_t wide = (size_t)out;
    for (size_t m = 0; m < 3; m++) {
        const size_t rows = few_rows[m], ldx = (size_t)in + 3;
        const real *x = numbers(rows * ldx), *w = numbers((size_t)in * wide), *b = numbers(wide);
        const real *dy = numbers(rows * wide), *start = numbers(7 * wide);
        uint32_t index[131];
        for (uint32_t r = 0; r < rows; r++)
            index[r] = 3 * r % 7;
        ops->linear(ops, rows, in, out, x, ldx, w, b, numbers(rows * wide), wide);
        ops->linear(ops, rows, in, out, x, ldx, w, NULL, numbers(rows * wide), wide);
        ops->linear_onto(ops, rows, in, out, x, ldx, w, index, start, wide, numbers(rows * wide), wide);
        for (int add = 0; add < 2; add++)
            ops->linear_backward(ops, rows, in, out, x, ldx, w, dy, wide, numbers((size_t)in * wide),
                                 numbers(wide), numbers(rows * ldx), ldx, add);
        if (in % 3 == 0)
            ops->linear_parts(ops, rows, 3, in, out, x, ldx, w, b, numbers(3 * rows * wide));
    }
}

static void rows_of(int columns) {
    const struct ops *ops = ops_cpu();
    const size_t wide = (size_t)columns, rows = 13, n = rows * wide, sets = 2;
    const real *a = numbers(n), *b = numbers(n), *scale = numbers(wide), *t = numbers(sets * n);
    const real *dy = numbers(n), *dty = numbers(sets * n);
    real *normal = numbers(n), *root = numbers(rows), *tu = numbers(sets * n);
    ops->norm(ops, rows, columns, a, wide, b, wide, scale, b, normal, root, numbers(n), wide);
    ops->norm_tangent(ops, sets, rows, columns, t, wide, tu, wide, scale, normal, root, numbers(sets * n));
    ops->norm_backward(ops, rows, columns, scale, normal, root, dy, wide, numbers(wide), numbers(wide),
                       numbers(n), wide);
    ops->norm_tangent_kept(ops, sets, rows, columns, t, wide, tu, scale, normal, root, numbers(sets * n));
    ops->norm_tangent_backward(ops, sets, rows, columns, scale, normal, root, tu, dy, wide, dty,
                               numbers(wide), numbers(wide), numbers(n), wide, numbers(sets * n));
    ops->gelu(ops, n, a, numbers(n));
    ops->gelu_backward(ops, n, a, dy, numbers(n));
    ops->gelu_tangents(ops, sets, n, a, numbers(sets * n));
    ops->gelu_tangent_backward(ops, sets, n, a, t, dy, dty, numbers(n), numbers(sets * n));
    ops->column_sums(ops, rows, columns, a, wide, numbers(wide));
    ops->probe(ops, rows, columns, a, b, numbers(rows));
    ops->silu(ops, n, a, numbers(n));
    ops->silu_slope(ops, n, a, numbers(n));
}

static void attentions(int queries, int tokens, int heads, int width) {
    const struct ops *ops = ops_cpu();
    const size_t windows = 2, sets = 2, wide = (size_t)width;
    const size_t nq = windows * (size_t)queries * wide, nt = windows * (size_t)tokens * wide;
    const size_t np = windows * (size_t)heads * (size_t)queries * (size_t)tokens, nh = windows * wide;
    const real *q = numbers(nq), *k = numbers(nt), *v = numbers(nt), *dout = numbers(nq);
    const real *tq = numbers(sets * nq), *tk = numbers(sets * nt), *tv = numbers(sets * nt);
    real *p = numbers(np);
    ops->attention(ops, windows, queries, tokens, heads, width, q, k, v, p, numbers(nq));
    ops->attention_tangents(ops, sets, windows, queries, tokens, heads, width, q, k, v, p, tq, tk, tv,
                            numbers(sets * nq));
    ops->attention_backward(ops, windows, queries, tokens, heads, width, q, k, v, p, dout, numbers(nq),
                            numbers(nt), numbers(nt));
    ops->attention_tangent_backward(ops, sets, windows, queries, tokens, heads, width, q, k, v, p, tq, tk, tv,
                                    dout, numbers(sets * nq), numbers(nq), numbers(nt), numbers(nt),
                                    numbers(sets * nq), numbers(sets * nt), numbers(sets * nt));
    ops->attention_tangent_query(ops, sets, windows, queries, tokens, heads, width, k, v, p, tq,
                                 numbers(sets * nh));
    const size_t parts = (size_t)heads;
    ops->attention_tangent_key(ops, sets, windows, queries, tokens, heads, width, q, p, numbers(parts * nq),
                               numbers(wide), numbers(parts * nh), numbers(sets * nh),
                               numbers(sets * parts * nh), numbers(sets * nq));
}

static void pools(int tokens, int heads, int width) {
    const struct ops *ops = ops_cpu();
    const size_t windows = 2, sets = 2, nt = windows * (size_t)tokens * (size_t)width;
    const size_t nz = windows * (size_t)heads * (size_t)width, np = windows * (size_t)(heads * tokens);
    const real *t = numbers(nt), *r = numbers(nz), *dt = numbers(sets * nt), *dr = numbers(sets * nz);
    real *p = numbers(np);
    ops->pool(ops, windows, tokens, heads, width, t, r, p, numbers(nz));
    ops->pool_tangent(ops, sets, windows, tokens, heads, width, t, p, r, dt, dr, numbers(sets * nz));
    ops->pool_backward(ops, windows, tokens, heads, width, t, p, r, dr, numbers(nz), numbers(nt));
}

static void losses(size_t count) {
    const struct ops *ops = ops_cpu();
    real *nu = numbers(count), *squares = numbers(1);
    double *term = calloc(count, sizeof *term);
    for (size_t i = 0; i < count; i++)
        nu[i] *= nu[i];
    squares[0] = (real)ops->sum_squares(ops, count, nu);
    ops->denoising(ops, count / 2, 2, nu, numbers(count), NULL, 1, 0.5, 0.1, term, numbers(count));
    ops->radam(ops, count, 10, true, 0.999, 1e-2, 0.5, 0.9, numbers(count), numbers(count), nu,
               numbers(count), numbers(count));
    free(term);
}

static void all_operations(enum simd_choice choice) {
    static const int side[] = {1, 2, 3, 8, 15, 16, 24, 31, 33, 64, 72, 80, 96};
    ops_cpu_choose(choice);
    for (size_t a = 0; a < sizeof side / sizeof *side; a++) {
        for (size_t b = 0; b < sizeof side / sizeof *side; b += 1 + a % 2)
            linears(side[a], side[b]);
        rows_of(side[a]);
        attentions(side[a], side[a], 2, 2 * side[a]);
        attentions(1, side[a], 1, 3 * side[a]);
        pools(side[a], 3, 3 * side[a]);
    }
    attentions(65, 65, 1, 64);
    attentions(17, 17, 4, 32);
    attentions(131, 131, 1, 65); /* too large for own products */
    pools(65, 4, 256);
    losses(77);
    linears(256, 256);
}

static void same(void **state) {
    (void)state;
    if (!ops_cpu_choose(SIMD_AVX512)) {
        print_message("not on this processor: skipped\n");
        return;
    }
    for (int m = 0; m < 2; m++) {
        run = &run_of[m];
        all_operations(m == 0 ? SIMD_AVX2 : SIMD_AVX512);
    }
    bool other_bits = false;
    for (int m = 0; m < run_of[0].arrays; m++) {
        const size_t count = run_of[0].count[m];
        double largest = 0;
        for (size_t i = 0; i < count; i++)
            largest = fmax(largest, fabs((double)run_of[0].x[m][i]));
        for (size_t i = 0; i < count; i++)
            assert_below(fabs((double)run_of[1].x[m][i] - (double)run_of[0].x[m][i]), EXACT * (1 + largest));
        other_bits |= memcmp(run_of[0].x[m], run_of[1].x[m], count * sizeof(real)) != 0;
        free(run_of[0].x[m]);
        free(run_of[1].x[m]);
    }
    assert_true(other_bits); /* they were not the same loops */
    ops_cpu_choose(SIMD_AUTO);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
