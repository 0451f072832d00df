/* The CUDA table's ops beside the CPU table's: attention, its tangents and gradients. All results are sums of at most
 * some thousand products of numbers below 1 in float32, in another order than the CPU's. */
#include "checks/arrays.h"

struct attention_case {
    size_t sets, windows;
    int queries, tokens, heads, width;
};
static const struct attention_case cases[] = {
    {1, 0, 3, 3, 1, 4},     {1, 1, 1, 1, 1, 1},      {2, 2, 5, 7, 2, 6},    {3, 3, 1, 65, 4, 64},
    {2, 3, 65, 65, 4, 64},  {2, 2, 65, 65, 4, 128},  {1, 2, 17, 17, 3, 15}, {0, 2, 9, 9, 2, 8},
    {1, 1, 33, 130, 2, 48}, {2, 1, 129, 129, 2, 64}, {1, 2, 12, 64, 1, 64},
};
/* What does not fit in shared memory: many tokens, or wide heads; more windows than heads, and fewer. */
static const struct attention_case long_cases[] = {
    {2, 1, 5, 1500, 2, 12}, {1, 3, 200, 300, 2, 512}, {2, 2, 3, 40, 1, 1500},
    {1, 1, 2, 4097, 4, 16}, {0, 2, 3, 1200, 1, 64},   {2, 1, 150, 150, 3, 900},
};

static void one_case(const struct attention_case *c) {
    const size_t wide = (size_t)c->width, ask = c->windows * (size_t)c->queries * wide;
    const size_t all = c->windows * (size_t)c->tokens * wide, sets = c->sets;
    const size_t weights = c->windows * (size_t)c->heads * (size_t)(c->queries * c->tokens);
    struct both *q = numbers(ask, 1), *k = numbers(all, 1), *v = numbers(all, 1), *p = nothing(weights);
    struct both *out = nothing(ask), *tq = numbers(sets * ask, 1), *tk = numbers(sets * all, 1);
    struct both *tv = numbers(sets * all, 1), *tout = nothing(sets * ask), *dout = numbers(ask, 1);
    struct both *dq = nothing(ask), *dk = nothing(all), *dv = nothing(all), *dtout = numbers(sets * ask, 1);
    struct both *dq2 = nothing(ask), *dk2 = nothing(all), *dv2 = nothing(all);
    struct both *dtq = nothing(sets * ask), *dtk = nothing(sets * all), *dtv = nothing(sets * all);
    ON_BOTH({
        ops->attention(ops, c->windows, c->queries, c->tokens, c->heads, c->width, at(q), at(k), at(v), at(p),
                       at(out));
        ops->attention_tangents(ops, sets, c->windows, c->queries, c->tokens, c->heads, c->width, at(q),
                                at(k), at(v), at(p), at(tq), at(tk), at(tv), at(tout));
        ops->attention_backward(ops, c->windows, c->queries, c->tokens, c->heads, c->width, at(q), at(k),
                                at(v), at(p), at(dout), at(dq), at(dk), at(dv));
        ops->attention_tangent_backward(ops, sets, c->windows, c->queries, c->tokens, c->heads, c->width,
                                        at(q), at(k), at(v), at(p), at(tq), at(tk), at(tv), at(dout),
                                        at(dtout), at(dq2), at(dk2), at(dv2), at(dtq), at(dtk), at(dtv));
    });
    both_close_real("attention, p", p, 3e-6);
    both_close_real("attention", out, 3e-6);
    both_close_real("attention_tangents", tout, 5e-6);
    both_close_real("attention_backward, dq", dq, 5e-6);
    both_close_real("attention_backward, dk", dk, 5e-6);
    both_close_real("attention_backward, dv", dv, 5e-6);
    both_close_real("attention_tangent_backward, dq", dq2, 1e-5);
    both_close_real("attention_tangent_backward, dk", dk2, 1e-5);
    both_close_real("attention_tangent_backward, dv", dv2, 1e-5);
    both_close_real("attention_tangent_backward, dtq", dtq, 1e-5);
    both_close_real("attention_tangent_backward, dtk", dtk, 1e-5);
    both_close_real("attention_tangent_backward, dtv", dtv, 1e-5);
    release_all();
}

static void in_blocks(void) {
    for (size_t m = 0; m < sizeof cases / sizeof *cases; m++)
        one_case(&cases[m]);
}

static void of_long_windows(void) {
    for (size_t m = 0; m < sizeof long_cases / sizeof *long_cases; m++)
        one_case(&long_cases[m]);
}

/* Logits of any size, the same in all tokens or far apart. */
static void sharp(void) {
    for (double size = 0; size <= 1e4; size = 100 * size + 1) {
        struct both *q = numbers(2 * 9 * 8, size), *k = numbers(2 * 9 * 8, size + 1),
                    *v = numbers(2 * 9 * 8, 1);
        struct both *p = nothing(2 * 2 * 9 * 9), *out = nothing(2 * 9 * 8);
        ON_BOTH(ops->attention(ops, 2, 9, 9, 2, 8, at(q), at(k), at(v), at(p), at(out)));
        both_close_real("attention, p", p, 2e-6 * (1 + size * size)); /* of differences of logits of size^2 */
        release_all();
    }
}

static const struct check list[] = {
    {"in blocks", in_blocks}, {"of long windows", of_long_windows}, {"sharp", sharp}};
const struct check_group check_attention = {"attention", sizeof list / sizeof *list, list};
