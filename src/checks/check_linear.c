/* The CUDA table's ops beside the CPU table's: matrix products. Both sum products of numbers below 1 in float32, in
 * different orders: a few 1e-6 of the largest for the longest sums here. */
#include "checks/arrays.h"

struct linear_case {
    size_t rows;
    int in, out;
    size_t more; /* numbers between rows */
};
static const struct linear_case linear_cases[] = {
    {0, 4, 4, 0},    {1, 1, 1, 0},       {1, 64, 64, 0},    {65, 2, 64, 0},
    {130, 64, 2, 1}, {77, 33, 31, 3},    {300, 64, 64, 64}, {300, 32, 128, 5},
    {1000, 3, 7, 0}, {129, 128, 256, 0}, {2000, 16, 16, 8}, {5, 600, 3, 0},
};
enum { LINEARS = sizeof linear_cases / sizeof *linear_cases };

static void forward_and_back(void) {
    for (int m = 0; m < LINEARS; m++) {
        const struct linear_case c = linear_cases[m];
        const size_t in = (size_t)c.in, out = (size_t)c.out, ldx = in + c.more, ldy = out + c.more;
        struct both *x = numbers(c.rows * ldx, 1), *w = numbers(in * out, 1), *b = numbers(out + 1, 1);
        struct both *y = numbers(c.rows * ldy, 1), *plain = numbers(c.rows * ldy, 1),
                    *dy = numbers(c.rows * ldy, 1);
        struct both *dw = numbers(in * out, 1), *db = numbers(out, 1), *dx = numbers(c.rows * ldx, 1);
        struct both *add = numbers(c.rows * ldx, 1), *dw2 = numbers(in * out, 1);
        ON_BOTH({
            ops->linear(ops, c.rows, c.in, c.out, at(x), ldx, at(w), at_real(b, m % 2), at(y), ldy);
            ops->linear(ops, c.rows, c.in, c.out, at(x), ldx, at(w), NULL, at(plain), ldy);
            ops->linear_backward(ops, c.rows, c.in, c.out, at(x), ldx, at(w), at(dy), ldy, at(dw), at(db),
                                 at(dx), ldx, false);
            ops->linear_backward(ops, c.rows, c.in, c.out, at(x), ldx, at(w), at(dy), ldy, at(dw2), NULL,
                                 at(add), ldx, true);
            ops->linear_backward(ops, c.rows, c.in, c.out, at(x), ldx, at(w), at(dy), ldy, at(dw2), NULL,
                                 NULL, 0, true);
        });
        both_close_real("linear", y, 2e-6);
        both_close_real("linear without bias", plain, 2e-6);
        both_close_real("linear_backward, dw", dw, 5e-6);
        both_close_real("linear_backward, db", db, 5e-6);
        both_close_real("linear_backward, dx", dx, 2e-6);
        both_close_real("linear_backward, dx added", add, 2e-6);
        both_close_real("linear_backward, dw twice", dw2, 5e-6);
        release_all();
    }
}

static void onto(void) {
    for (int m = 0; m < LINEARS; m++) {
        const struct linear_case c = linear_cases[m];
        const size_t in = (size_t)c.in, out = (size_t)c.out, ldx = in + c.more, ldy = out + c.more;
        const size_t ld_start = 3 * out;
        struct both *x = numbers(c.rows * ldx, 1), *w = numbers(in * out, 1),
                    *table = numbers(40 * ld_start, 1);
        struct both *index = indices(c.rows, 40), *y = numbers(c.rows * ldy, 1),
                    *own = numbers(c.rows * ldy, 1);
        struct both *start = numbers(c.rows * ld_start, 1), *apart = numbers(c.rows * ldy, 1);
        ON_BOTH({
            ops->linear_onto(ops, c.rows, c.in, c.out, at(x), ldx, at(w), at(index), at(table), ld_start,
                             at(y), ldy);
            ops->linear_onto(ops, c.rows, c.in, c.out, at(x), ldx, at(w), NULL, at(own), ldy, at(own), ldy);
            ops->linear_onto(ops, c.rows, c.in, c.out, at(x), ldx, at(w), NULL, at(start), ld_start,
                             at(apart), ldy);
        });
        both_close_real("linear_onto, index", y, 2e-6);
        both_close_real("linear_onto itself", own, 2e-6);
        both_close_real("linear_onto rows", apart, 2e-6);
        release_all();
    }
}

static void parts(void) {
    const int heads[] = {1, 2, 4};
    for (int m = 0; m < 3; m++)
        for (size_t rows = 1; rows < 700; rows = 5 * rows + 2) {
            const int in = 32, out = m == 2 ? 35 : 64;
            const size_t all = rows * (size_t)out;
            struct both *x = numbers(rows * 40, 1), *w = numbers((size_t)(in * out), 1),
                        *b = numbers((size_t)out, 1);
            struct both *sums = nothing((size_t)heads[m] * all), *y = nothing(all);
            ON_BOTH({
                ops->linear_parts(ops, rows, heads[m], in, out, at(x), 40, at(w), at(b), at(sums));
                ops->linear(ops, rows, in, out, at(x), 40, at(w), at(b), at(y), (size_t)out);
            });
            both_close_real("linear_parts", sums, 2e-6);
            both_close_real("linear, of the same", y, 2e-6);
            release_all();
        }
}

static void heads_of_weights(void) {
    const struct {
        size_t rows;
        int heads, width;
    } cases[] = {{0, 1, 4}, {1, 1, 3}, {5, 2, 6}, {130, 4, 64}, {33, 4, 128}, {300, 3, 15}, {2, 8, 8}};
    for (size_t m = 0; m < sizeof cases / sizeof *cases; m++) {
        const size_t rows = cases[m].rows, wide = (size_t)cases[m].width, heads = (size_t)cases[m].heads;
        struct both *x = numbers(rows * wide, 1), *w = numbers(wide * wide, 1),
                    *turned = nothing(rows * heads * wide);
        struct both *each = numbers(rows * heads * wide, 1), *b = numbers(wide, 1),
                    *carried = nothing(rows * wide);
        struct both *plain = nothing(rows * wide), *dw = numbers(wide * wide, 1);
        ON_BOTH({
            ops->turn_back(ops, rows, cases[m].heads, cases[m].width, 0.3, at(x), at(w), at(turned));
            ops->carry_on(ops, rows, cases[m].heads, cases[m].width, 0.7, at(each), at(w), at(b),
                          at(carried));
            ops->carry_on(ops, rows, cases[m].heads, cases[m].width, 1, at(each), at(w), NULL, at(plain));
            ops->head_weights(ops, rows, cases[m].heads, cases[m].width, 0.4, at(each), at(x), at(dw));
        });
        both_close_real("turn_back", turned, 2e-6);
        both_close_real("carry_on", carried, 2e-6);
        both_close_real("carry_on without bias", plain, 2e-6);
        both_close_real("head_weights", dw, 3e-6);
        release_all();
    }
}

/* Layers with GELU behind or before them; `most`: how far apart. */
static void with_gelu_apart(double most) {
    for (int m = 0; m < LINEARS; m++) {
        const struct linear_case c = linear_cases[m];
        const size_t in = (size_t)c.in, out = (size_t)c.out, ldx = in + c.more, ldy = out + c.more;
        struct both *x = numbers(c.rows * ldx, 1), *w = numbers(in * out, 1), *b = numbers(out + 1, 1);
        struct both *pre = nothing(c.rows * out), *post = nothing(c.rows * out);
        struct both *slopes = numbers(c.rows * in, 2), *from = numbers(c.rows * in, 1);
        struct both *dy = numbers(c.rows * ldy, 1), *dw = numbers(in * out, 1), *db = numbers(out, 1);
        struct both *dpre = nothing(c.rows * in);
        ON_BOTH({
            ops->linear_gelu(ops, c.rows, c.in, c.out, at(x), ldx, at(w), at_real(b, m % 2), at(pre),
                             at(post));
            ops->gelu_linear_backward(ops, c.rows, c.in, c.out, at(slopes), at(from), at(w), at(dy), ldy,
                                      at(dw), at(db), at(dpre));
        });
        both_close_real("linear_gelu, pre", pre, most);
        both_close_real("linear_gelu, post", post, most);
        both_close_real("gelu_linear_backward, dw", dw, most);
        both_close_real("gelu_linear_backward, db", db, 5e-6);
        both_close_real("gelu_linear_backward, dpre", dpre, most);
        release_all();
    }
}

static void with_gelu(void) {
    with_gelu_apart(5e-6);
}

static const struct check list[] = {{"forward and back", forward_and_back},
                                    {"onto", onto},
                                    {"parts", parts},
                                    {"heads of weights", heads_of_weights},
                                    {"with gelu", with_gelu}};
const struct check_group check_linear = {"linear", sizeof list / sizeof *list, list};
