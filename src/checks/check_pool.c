/* The CUDA table's ops beside the CPU table's: attention where token 0 alone asks, or moves. */
#include "checks/arrays.h"

struct pool_case {
    size_t sets, windows;
    int queries, tokens, heads, width;
};
static const struct pool_case cases[] = {
    {1, 0, 1, 3, 1, 4},     {1, 1, 1, 1, 1, 1},    {2, 3, 7, 7, 2, 6},    {2, 5, 65, 65, 4, 64},
    {3, 2, 65, 65, 4, 128}, {5, 3, 9, 33, 3, 15},  {2, 2, 3, 500, 2, 8},  {1, 2, 4, 5, 1, 300},
    {1, 1, 2, 4097, 2, 4},  {2, 9, 1, 20, 8, 200}, {7, 2, 5, 5, 8, 2048},
};
enum { CASES = sizeof cases / sizeof *cases };

static void asks(void) {
    for (int m = 0; m < CASES; m++) {
        const struct pool_case c = cases[m];
        const size_t wide = (size_t)c.width, all = c.windows * (size_t)c.tokens * wide;
        const size_t ask = c.windows * (size_t)c.heads * wide,
                     weights = c.windows * (size_t)(c.heads * c.tokens);
        const double size = 1 / sqrt((double)c.width);
        struct both *t = numbers(all, 1), *r = numbers(ask, size), *p = nothing(weights), *z = nothing(ask);
        struct both *dt = numbers(c.sets * all, 1), *dr = numbers(c.sets * ask, size),
                    *dz = nothing(c.sets * ask);
        struct both *up = numbers(ask, 1), *back = nothing(ask), *sums = numbers(all, 1);
        ON_BOTH({
            ops->pool(ops, c.windows, c.tokens, c.heads, c.width, at(t), at(r), at(p), at(z));
            ops->pool_tangent(ops, c.sets, c.windows, c.tokens, c.heads, c.width, at(t), at(p), at(r), at(dt),
                              at(dr), at(dz));
            ops->pool_backward(ops, c.windows, c.tokens, c.heads, c.width, at(t), at(p), at(r), at(up),
                               at(back), at(sums));
        });
        both_close_real("pool, p", p, 3e-6);
        both_close_real("pool, z", z, 3e-6);
        both_close_real("pool_tangent", dz, 5e-6);
        both_close_real("pool_backward, dr", back, 5e-6);
        both_close_real("pool_backward, dt", sums, 5e-6);
        release_all();
    }
}

static void moves(void) {
    for (int m = 0; m < CASES; m++) {
        const struct pool_case c = cases[m];
        const size_t wide = (size_t)c.width, all = c.windows * (size_t)c.tokens * wide,
                     one = c.windows * wide;
        const size_t rows = c.windows * (size_t)c.queries, heads = (size_t)c.heads;
        struct both *q = numbers(rows * wide, 1), *k = numbers(all, 1), *v = numbers(all, 1);
        struct both *p = numbers(rows * heads * (size_t)c.tokens, 1), *sums = numbers(heads * rows * wide, 1);
        struct both *b = numbers(wide, 1), *value = numbers(one * heads, 1), *dq = numbers(c.sets * one, 1);
        struct both *dk = numbers(c.sets * one, 1), *dvalue = numbers(c.sets * one * heads, 1);
        struct both *dout = nothing(c.sets * one), *du = nothing(c.sets * rows * wide);
        ON_BOTH({
            ops->attention_tangent_query(ops, c.sets, c.windows, c.queries, c.tokens, c.heads, c.width, at(k),
                                         at(v), at(p), at(dq), at(dout));
            ops->attention_tangent_key(ops, c.sets, c.windows, c.queries, c.tokens, c.heads, c.width, at(q),
                                       at(p), at(sums), at(b), at(value), at(dk), at(dvalue), at(du));
        });
        both_close_real("attention_tangent_query", dout,
                        1e-5); /* weights here are of either sign: sums cancel */
        both_close_real("attention_tangent_key", du, 3e-6);
        release_all();
    }
}

static const struct check list[] = {{"asks", asks}, {"moves", moves}};
const struct check_group check_pool = {"pool", sizeof list / sizeof *list, list};
