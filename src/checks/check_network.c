/* The CUDA table's ops beside the CPU table's: elementwise functions and layer norm, their tangents and gradients.
 * Tolerances: a row's sums are of up to 4096 numbers, in another order; errors of float32 sums are a few 1e-7 of the
 * largest, sums over all rows a few 1e-6. */
#include "checks/arrays.h"

/* ---- GELU ---- */

static void gelu(void) {
    const size_t counts[] = {0, 1, 255, 256, 20001};
    for (size_t m = 0; m < sizeof counts / sizeof *counts; m++)
        for (size_t sets = 0; sets < 4; sets++) {
            const size_t n = counts[m];
            struct both *x = numbers(n, 6), *y = nothing(n), *dx = numbers(n, 1), *dy = nothing(n);
            struct both *back = nothing(n), *all = numbers(sets * n, 1), *tx = numbers(sets * n, 1);
            struct both *dty = numbers(sets * n, 1), *up = numbers(n, 1);
            ON_BOTH({
                ops->gelu(ops, n, at(x), at(y));
                ops->gelu_tangent(ops, n, at(x), at(dx), at(dy));
                ops->gelu_backward(ops, n, at(x), at(dx), at(back));
                ops->gelu_tangents(ops, sets, n, at(x), at(all));
                ops->gelu_tangent_backward(ops, sets, n, at(x), at(tx), at(up), at(dty), at(up), at(dty));
            });
            const double most =
                n == 1 ? 1e-5 : 1e-6; /* exponents up to 30 are rounded: 30 times 6e-8, and some */
            both_close_real("gelu", y, most);
            both_close_real("gelu_tangent", dy, most);
            both_close_real("gelu_backward", back, most);
            both_close_real("gelu_tangents", all, most);
            both_close_real("gelu_tangent_backward, dx", up, most);
            both_close_real("gelu_tangent_backward, dtx", dty, most);
            release_all();
        }
}

/* ---- layer norm ---- */

struct norm_case {
    size_t sets, rows;
    int columns;
    size_t more; /* numbers between rows */
};
static const struct norm_case norm_cases[] = {
    {1, 0, 8, 0},   {2, 1, 1, 0},    {1, 5, 5, 3},     {3, 67, 33, 1},  {2, 130, 64, 0}, {2, 33, 65, 7},
    {3, 9, 128, 0}, {1, 12, 200, 5}, {2, 7, 256, 0},   {2, 5, 257, 2},  {1, 3, 1000, 0}, {2, 3, 4096, 1},
    {0, 4, 48, 0},  {1, 4500, 6, 0}, {1, 600, 300, 0}, {2, 4100, 3, 1},
};
enum { NORMS = sizeof norm_cases / sizeof *norm_cases };

static void norm_forward(void) {
    for (int m = 0; m < NORMS; m++) {
        const struct norm_case c = norm_cases[m];
        const size_t wide = (size_t)c.columns, ld = wide + c.more, all = c.sets * c.rows;
        struct both *a = numbers(c.rows * ld, 1), *b = numbers(c.rows * (ld + 1), 1),
                    *y = numbers(c.rows * ld, 1);
        struct both *scale = numbers(wide, 1), *offset = numbers(wide, 1), *n = nothing(c.rows * wide);
        struct both *root = nothing(c.rows), *da = numbers(all * ld, 1), *db = numbers(all * (ld + 1), 1);
        struct both *dy = nothing(all * wide), *one = nothing(all * wide), *ty = nothing(all * wide);
        struct both *tu = numbers(all * wide, 1);
        ON_BOTH({
            ops->norm(ops, c.rows, c.columns, at(a), ld, at(b), ld + 1, at(scale), at(offset), at(n),
                      at(root), at(y), ld);
            ops->norm_tangent(ops, c.sets, c.rows, c.columns, at(da), ld, at(db), ld + 1, at(scale), at(n),
                              at(root), at(dy));
            ops->norm_tangent(ops, c.sets, c.rows, c.columns, at(da), ld, NULL, 0, at(scale), at(n), at(root),
                              at(one));
            ops->norm_tangent_kept(ops, c.sets, c.rows, c.columns, at(da), ld, at(tu), at(scale), at(n),
                                   at(root), at(ty));
        });
        both_close_real("norm, n", n, 5e-6);
        both_close_real("norm, root", root, 5e-6);
        both_close_real("norm, y", y, 5e-6);
        const double most = c.columns < 8 ? 2e-5 : 3e-6; /* of few columns little is left, by cancellation */
        both_close_real("norm_tangent", dy, most);
        both_close_real("norm_tangent of one", one, most);
        both_close_real("norm_tangent_kept, tu", tu, 2e-7);
        both_close_real("norm_tangent_kept, ty", ty, most);
        release_all();
    }
}

static void norm_backward(void) {
    for (int m = 0; m < NORMS; m++) {
        const struct norm_case c = norm_cases[m];
        const size_t wide = (size_t)c.columns, ld = wide + c.more, all = c.sets * c.rows * wide;
        struct both *scale = numbers(wide, 1), *n = numbers(c.rows * wide, 1), *root = numbers(c.rows, 1);
        struct both *dy = numbers(c.rows * ld, 1), *dscale = numbers(wide, 1), *doffset = numbers(wide, 1);
        struct both *du = numbers(c.rows * (ld + 2), 1), *tu = numbers(all, 1), *dty = numbers(all, 1);
        struct both *dtu = nothing(all), *du2 = numbers(c.rows * (ld + 2), 1);
        struct both *dscale2 = numbers(wide, 1), *doffset2 = numbers(wide, 1);
        ON_BOTH({
            ops->norm_backward(ops, c.rows, c.columns, at(scale), at(n), at(root), at(dy), ld, at(dscale),
                               at(doffset), at(du), ld + 2);
            ops->norm_tangent_backward(ops, c.sets, c.rows, c.columns, at(scale), at(n), at(root), at(tu),
                                       at(dy), ld, at(dty), at(dscale2), at(doffset2), at(du2), ld + 2,
                                       at(dtu));
        });
        both_close_real("norm_backward, du", du, 3e-6);
        both_close_real("norm_backward, dscale", dscale, 5e-6);
        both_close_real("norm_backward, doffset", doffset, 5e-6);
        both_close_real("norm_tangent_backward, du", du2, 5e-6);
        both_close_real("norm_tangent_backward, dtu", dtu, 3e-6);
        both_close_real("norm_tangent_backward, dscale", dscale2, 5e-6);
        both_close_real("norm_tangent_backward, doffset", doffset2, 5e-6);
        release_all();
    }
}

/* ---- sums ---- */

static void sums(void) {
    const struct {
        size_t rows;
        int columns;
        size_t ld;
    } cases[] = {{0, 4, 4},      {1, 1, 1},     {31, 33, 40},    {1024, 5, 5},
                 {1025, 64, 64}, {40000, 3, 7}, {5000, 200, 201}};
    for (size_t m = 0; m < sizeof cases / sizeof *cases; m++) {
        struct both *x = numbers(cases[m].rows * cases[m].ld, 1), *sum = numbers((size_t)cases[m].columns, 1);
        ON_BOTH(ops->column_sums(ops, cases[m].rows, cases[m].columns, at(x), cases[m].ld, at(sum)));
        both_close_real("column_sums", sum, 1e-5); /* the CPU's order has the larger error */
        release_all();
    }
}

static const struct check list[] = {
    {"gelu", gelu}, {"norm forward", norm_forward}, {"norm backward", norm_backward}, {"sums", sums}};
const struct check_group check_network = {"network", sizeof list / sizeof *list, list};
