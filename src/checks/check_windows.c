/* The CUDA table's ops beside the CPU table's: what windows read, and rows. */
#include "checks/arrays.h"

/* ---- inputs ---- */

struct inputs_case {
    int d, k;
    size_t count, particles;
};
static const struct inputs_case inputs_cases[] = {
    {1, 0, 1, 1},  {1, 2, 5, 9},    {2, 64, 7, 200}, {3, 12, 40, 100},
    {2, 8, 0, 10}, {3, 1, 300, 64}, {2, 6, 129, 36}, {1, 300, 3, 1000},
};

static struct both *positions(size_t count) {
    uint64_t *host = malloc((count + 1) * sizeof *host);
    for (size_t i = 0; i < count; i++) {
        uint32_t word[4];
        rng_words(21, STREAM_PROBE, (uint32_t)i, arrays_named, 0, word);
        host[i] = (uint64_t)word[0] << 32 | word[1];
    }
    arrays_named++;
    struct both *b = array_kept(both_of(host, count * sizeof *host));
    free(host);
    return b;
}

static struct both *wide_numbers(size_t count) {
    double *host = malloc((count + 1) * sizeof *host);
    const uint32_t name = arrays_named++;
    for (size_t i = 0; i < count; i++)
        host[i] = 4 * both_number(name, i) - 2;
    struct both *b = array_kept(both_of(host, count * sizeof *host));
    free(host);
    return b;
}

static struct lattice lattice_of(int d) {
    struct lattice l = {.d = d, .sites = {4, 1, 1}};
    l.sites[1] = d > 1 ? 6 : 1;
    l.sites[2] = d > 2 ? 3 : 1;
    l.particles = l.sites[0] * l.sites[1] * l.sites[2];
    lattice_prepare(&l);
    return l;
}

static void offsets(void) {
    for (size_t m = 0; m < sizeof inputs_cases / sizeof *inputs_cases; m++) {
        const struct inputs_case c = inputs_cases[m];
        const struct box box = {.d = c.d, .periodic = true, .side = {10, 7.5, 3}};
        struct both *q[MAX_DIMENSION], *out = nothing(c.count * (size_t)(c.k + 1) * (size_t)c.d);
        for (int a = 0; a < c.d; a++)
            q[a] = positions(c.particles);
        struct both *centre = indices(c.count, (uint32_t)c.particles),
                    *near = indices(c.count * (size_t)c.k, (uint32_t)c.particles);
        ON_BOTH({
            uint64_t *axis[MAX_DIMENSION] = {at(q[0]), c.d > 1 ? at(q[1]) : NULL, c.d > 2 ? at(q[2]) : NULL};
            ops->window_offsets(ops, &box, c.count, c.k, at(centre), at(near), axis, at(out));
        });
        both_equal("window_offsets", out);
        release_all();
    }
}

static void one_view(struct inputs_case c, enum window_form form) {
    const struct box box = {.d = c.d, .periodic = true, .side = {10, 7.5, 3}};
    const struct window_view view = {form, 1.3, 0.2};
    const struct lattice anchor = form == FORM_ALL ? (struct lattice){0} : lattice_of(c.d);
    const int tokens = c.k + 1, width = window_inputs_width(form, c.d);
    const int decoded = form == FORM_ALL ? tokens : 1;
    const size_t numbers_in = c.count * (size_t)tokens * (size_t)width, sets = 3;
    struct both *q[MAX_DIMENSION], *in = nothing(numbers_in), *out = nothing(sets * numbers_in);
    for (int a = 0; a < c.d; a++)
        q[a] = positions(c.particles);
    struct both *centre = indices(c.count, (uint32_t)c.particles),
                *near = indices(c.count * (size_t)c.k, (uint32_t)c.particles),
                *id = indices(c.particles, 500),
                *seed = numbers(sets * c.count * (size_t)decoded * (size_t)c.d, 1);
    ON_BOTH({
        uint64_t *axis[MAX_DIMENSION] = {at(q[0]), c.d > 1 ? at(q[1]) : NULL, c.d > 2 ? at(q[2]) : NULL};
        if (form == FORM_LOCAL)
            ops->window_offsets(ops, &box, c.count, c.k, at(centre), at(near), axis, at(in));
        else
            ops->window_inputs(ops, &box, &view, c.count, c.k, at(centre), at(near), axis, &anchor, at(id),
                               at(in));
        ops->window_inputs_tangent(ops, &box, &view, sets, c.count, tokens, decoded, at(in), at(seed),
                                   at(out));
    });
    both_close_real("window_inputs", in,
                    2e-7); /* one rounding, of numbers that differ in the last bit of float64 */
    both_close_real("window_inputs_tangent", out, 2e-6);
    release_all();
}

static void inputs(void) {
    const enum window_form forms[] = {FORM_LOCAL, FORM_PERIODIC, FORM_LATTICE, FORM_ANCHORED, FORM_ALL};
    for (size_t m = 0; m < sizeof inputs_cases / sizeof *inputs_cases; m++)
        for (size_t f = 0; f < sizeof forms / sizeof *forms; f++)
            one_view(inputs_cases[m], forms[f]);
}

static void propulsion(void) {
    for (int d = 1; d <= 3; d++)
        for (size_t count = 0; count < 2000; count = 3 * count + 1) {
            struct both *g[MAX_DIMENSION] = {wide_numbers(50), wide_numbers(50), wide_numbers(50)};
            struct both *index = indices(count, 50), *out = nothing(count * (size_t)d);
            ON_BOTH({
                double *axis[MAX_DIMENSION] = {at(g[0]), at(g[1]), at(g[2])};
                ops->propulsion_rows(ops, d, count, at(index), axis, at(out));
            });
            both_equal("propulsion_rows", out);
            release_all();
        }
}

/* ---- rows ---- */

struct rows_case {
    size_t count;
    int columns;
    size_t ld_from, ld_to;
    uint32_t targets;
};
static const struct rows_case rows_cases[] = {
    {0, 3, 3, 3, 4},          {1, 1, 1, 1, 1},        {5, 2, 3, 7, 3},         {300, 64, 64, 192, 70000},
    {2047, 1, 1, 2, 9},       {2049, 3, 3, 3, 2000},  {4097, 33, 35, 40, 300}, {1000, 128, 130, 131, 1},
    {513, 5, 300, 5, 100000}, {7000, 2, 2, 2, 70000},
};

static void rows(void) {
    for (size_t m = 0; m < sizeof rows_cases / sizeof *rows_cases; m++) {
        const struct rows_case c = rows_cases[m];
        struct both *index = indices(c.count, c.targets), *table = numbers(c.targets * c.ld_from, 1);
        struct both *gathered = numbers(c.count * c.ld_to, 1), *from = numbers(c.count * c.ld_from, 1);
        struct both *sums = numbers(c.targets * c.ld_to, 1), *spread = numbers(c.count * c.ld_to, 1);
        struct both *added = numbers(c.count * c.ld_to, 1), *column = numbers(c.count, 1);
        ON_BOTH({
            ops->gather_rows(ops, c.count, c.columns, at(index), at(table), c.ld_from, at(gathered), c.ld_to);
            ops->scatter_rows(ops, c.count, c.columns, at(index), at(from), c.ld_from, at(sums), c.ld_to);
            ops->spread_rows(ops, c.count, c.columns, at(from), c.ld_from, at(spread), c.ld_to, false);
            ops->spread_rows(ops, c.count, c.columns, at(from), c.ld_from, at(added), c.ld_to, true);
            ops->add_column(ops, c.count, 0.3, at(from), c.ld_from, at(column));
            ops->add_column(ops, c.count, 20, at(table), 0, at(column));
        });
        both_equal("gather_rows", gathered);
        both_equal("scatter_rows", sums); /* in order, so the same bits */
        both_equal("spread_rows", spread);
        both_equal("spread_rows, added", added);
        both_close_real("add_column", column, 2e-7); /* a multiplication and an addition, contracted or not */
        release_all();
    }
}

/* The same index everywhere, and an index far up in 32 bits. */
static void scatter_high(void) {
    uint32_t index[5000];
    for (size_t i = 0; i < 5000; i++)
        index[i] = i % 3 == 0 ? 17000000 : (uint32_t)(i % 300) * 257;
    struct both *where = array_kept(both_of(index, sizeof index)), *from = numbers(5000, 1);
    struct both *sums = array_kept(both_zero(17000001 * sizeof(real)));
    ON_BOTH(ops->scatter_rows(ops, 5000, 1, at(where), at(from), 1, at(sums), 1));
    both_equal("scatter_rows", sums);
    release_all();
}

static void probes(void) {
    for (size_t count = 0; count < 1500; count = 3 * count + 1)
        for (int columns = 1; columns <= 6; columns++) {
            const size_t all = count * (size_t)columns;
            struct both *direction = numbers(all, 1), *tangent = numbers(all * (size_t)columns, 1);
            struct both *out = nothing(count), *product = numbers(count, 1), *back = nothing(all);
            struct both *traced = nothing(count);
            ON_BOTH({
                ops->probe(ops, count, columns, at(direction), at(tangent), at(out));
                ops->probe_backward(ops, count, columns, at(direction), at(product), at(back));
                if (columns <= MAX_DIMENSION)
                    ops->trace(ops, count, columns, at(tangent), at(traced));
            });
            both_close_real("probe", out, 2e-6); /* up to six products */
            both_equal("probe_backward", back);
            if (columns <= MAX_DIMENSION)
                both_close_real("trace", traced, 2e-7);
            release_all();
        }
}

static const struct check list[] = {{"offsets", offsets},           {"inputs", inputs},
                                    {"propulsion", propulsion},     {"rows", rows},
                                    {"scatter high", scatter_high}, {"probes", probes}};
const struct check_group check_windows = {"windows", sizeof list / sizeof *list, list};
