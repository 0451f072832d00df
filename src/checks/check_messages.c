/* The CUDA table's ops beside the CPU table's: what pairs are seen by, hidden numbers of edges, messages. Every op runs over
 * ranges that together are all edges; gradients are compared with differences, too. */
#include "checks/graphs.h"

/* channels: all vectors, of which those from `from` on have gradients. */
struct sizes {
    struct shape shape;
    int channels, from, edge, hidden, mixed;
    size_t apart; /* more than `hidden` between rows of messages */
};
static const struct sizes cases[] = {
    {{1, 40, 60, 6}, 5, 2, 7, 5, 3, 0},       {{2, 1, 1, 4}, 4, 1, 8, 8, 4, 3},
    {{2, 301, 402, 12}, 12, 4, 48, 32, 4, 8}, {{3, 143, 250, 15}, 13, 5, 40, 33, 8, 1},
    {{2, 60, 200, 45}, 20, 12, 96, 64, 8, 0}, {{3, 5, 130, 120}, 3, 0, 128, 40, 10, 5},
    {{2, 0, 5, 4}, 4, 1, 8, 8, 4, 0},         {{2, 20, 30, 8}, 80, 70, 300, 280, 33, 2}};
enum { CASES = sizeof cases / sizeof *cases };

static void release_all(struct both *const held[], size_t count) {
    for (size_t m = 0; m < count; m++)
        both_release(held[m]);
}
#define RELEASE(...)                                                                                         \
    release_all((struct both *const[]){__VA_ARGS__},                                                         \
                sizeof((struct both *const[]){__VA_ARGS__}) / sizeof(void *))

/* Rows of an array of edges that a range begins with. */
static real *rows_from(const struct both *b, int t, struct edge_range range, int columns) {
    return (real *)in_table(b, t) + range.first * (size_t)columns;
}

/* ---- features ---- */

struct feature_run {
    struct edge_graph *g;
    const struct sizes *size;
    struct both kappa, v, dv, f, df, gradient, back;
};

static void features_on(struct feature_run *r, int t, struct edge_range range) {
    const int width = edge_numbers(r->size->channels);
    table(t)->edge_features(table(t), &r->g->law, &r->g->edges[t], range, in_table(&r->kappa, t),
                            r->size->channels, in_table(&r->v, t), rows_from(&r->f, t, range, width));
}
static void run_features(void *context) {
    struct feature_run *r = context;
    features_on(r, 1, whole(r->g));
}

static void features_of(struct edge_graph *g, const struct sizes *size) {
    const int channels = size->channels, width = edge_numbers(channels);
    const size_t all = g->shape.senders * (size_t)(g->shape.d * channels), rows = g->count * (size_t)width;
    struct feature_run r = {.g = g,
                            .size = size,
                            .kappa = kappa_of_all(g),
                            .v = both_random(1, all, -1, 1),
                            .dv = both_random(2, all, -1, 1),
                            .f = both_random(3, rows, 0, 1),
                            .df = both_random(4, rows, 0, 1),
                            .gradient = both_random(5, rows, -1, 1),
                            .back = both_zero(all * sizeof(real))};
    EACH_TABLE(t)
    for (int m = 0; m < RANGES; m++) {
        const struct edge_range range = range_of(g, m);
        features_on(&r, t, range);
        table(t)->edge_features_tangent(table(t), &g->law, &g->edges[t], range, in_table(&r.kappa, t),
                                        channels, in_table(&r.v, t), in_table(&r.dv, t),
                                        rows_from(&r.df, t, range, width));
        table(t)->edge_features_backward(table(t), &g->law, &g->edges[t], range, in_table(&r.kappa, t),
                                         channels, size->from, in_table(&r.v, t),
                                         rows_from(&r.gradient, t, range, width), in_table(&r.back, t));
    }
    both_close_real("features", &r.f, CLOSE);
    /* T = D - n a is off by 6e-8 of D, however small it is; slopes have kappa T/(lg_floor + kappa T^2) and 1/|T_u|. */
    both_close_real("features, tangent", &r.df, 5 * CLOSE);
    both_close_real("features, gradient", &r.back, 5 * CLOSE);
    const struct derivative f = {run_features, &r, &r.v, &r.f, &r.gradient, &r.back};
    if (g->count > 0 &&
        size->from > 0) /* that of u is left out of the direction across, so is not a gradient */
        check_derivative("features", &f);
    RELEASE(&r.kappa, &r.v, &r.dv, &r.f, &r.df, &r.gradient, &r.back);
}

static void features(void) {
    for (int m = 0; m < CASES; m++) {
        struct edge_graph g = graph_of(cases[m].shape);
        features_of(&g, &cases[m]);
        graph_release(&g);
    }
}

/* ---- hidden numbers ---- */

struct hidden_run {
    struct edge_graph *g;
    int width;
    struct both p, dp, start, a, e, de, given, back;
};

static void hidden_on(struct hidden_run *r, int t, struct edge_range range) {
    table(t)->edge_hidden(table(t), &r->g->edges[t], range, r->width, in_table(&r->p, t),
                          rows_from(&r->a, t, range, r->width), rows_from(&r->e, t, range, r->width));
}
static void run_hidden(void *context) {
    struct hidden_run *r = context;
    both_cuda->copy(both_cuda, r->a.cuda, r->start.cuda, r->a.bytes);
    hidden_on(r, 1, whole(r->g));
}

static void hidden_of(struct edge_graph *g, int width) {
    const size_t rows = g->count * (size_t)width, all = g->shape.senders * 2 * (size_t)width;
    struct hidden_run r = {.g = g,
                           .width = width,
                           .p = both_random(1, all, -2, 2),
                           .dp = both_random(2, all, -1, 1),
                           .start = both_random(3, rows, -2, 2),
                           .a = both_random(3, rows, -2, 2),
                           .e = both_random(4, rows, 0, 1),
                           .de = both_random(5, rows, -1, 1),
                           .given = both_random(6, rows, -1, 1),
                           .back = both_random(7, all, -1e-3, 1e-3)};
    struct both weight = both_random(6, rows, -1, 1);
    EACH_TABLE(t)
    for (int m = 0; m < RANGES; m++) {
        const struct edge_range range = range_of(g, m);
        hidden_on(&r, t, range);
        table(t)->edge_hidden_tangent(table(t), &g->edges[t], range, width, rows_from(&r.a, t, range, width),
                                      in_table(&r.dp, t), rows_from(&r.de, t, range, width));
        table(t)->edge_hidden_backward(table(t), &g->edges[t], range, width, rows_from(&r.a, t, range, width),
                                       rows_from(&r.given, t, range, width), in_table(&r.back, t));
    }
    both_close_real("hidden", &r.a, CLOSE);
    both_close_real("hidden, silu", &r.e, CLOSE);
    both_close_real("hidden, tangent", &r.de, CLOSE);
    both_close_real("hidden, gradient of a", &r.given, CLOSE);
    both_close_real("hidden, gradient of p", &r.back, CLOSE);
    const struct derivative f = {run_hidden, &r, &r.p, &r.e, &weight, &r.back};
    if (g->count > 0)
        check_derivative("hidden", &f);
    RELEASE(&r.p, &r.dp, &r.start, &r.a, &r.e, &r.de, &r.given, &r.back, &weight);
}

static void hidden(void) {
    for (int m = 0; m < CASES; m++) {
        struct edge_graph g = graph_of(cases[m].shape);
        hidden_of(&g, cases[m].edge);
        graph_release(&g);
    }
}

/* ---- messages ---- */

/* out: messages (receivers, ld), then new vectors (receivers, d, channels). */
struct message_run {
    struct edge_graph *g;
    int hidden, channels, row;
    size_t ld, vectors; /* where these begin in out */
    struct both kappa, y, mixed, dy, dmixed, out, dout, weight, gradient_y, gradient_mixed;
};

static void messages_on(struct message_run *r, int t, struct edge_range range) {
    real *out = in_table(&r->out, t);
    table(t)->edge_messages(table(t), &r->g->law, &r->g->edges[t], range, in_table(&r->kappa, t), r->hidden,
                            r->channels, rows_from(&r->y, t, range, r->row), in_table(&r->mixed, t), out,
                            r->ld, out + r->vectors);
}
static void run_messages(void *context) {
    struct message_run *r = context;
    messages_on(r, 1, whole(r->g));
}

static void messages_back(struct message_run *r, int t, struct edge_range range) {
    const struct edge_graph *g = r->g;
    real *dout = in_table(&r->dout, t), *weight = in_table(&r->weight, t);
    table(t)->edge_messages_tangent(table(t), &g->law, &g->edges[t], range, in_table(&r->kappa, t), r->hidden,
                                    r->channels, rows_from(&r->y, t, range, r->row), in_table(&r->mixed, t),
                                    rows_from(&r->dy, t, range, r->row), in_table(&r->dmixed, t), dout, r->ld,
                                    dout + r->vectors);
    table(t)->edge_messages_backward(
        table(t), &g->law, &g->edges[t], range, in_table(&r->kappa, t), r->hidden, r->channels,
        rows_from(&r->y, t, range, r->row), in_table(&r->mixed, t), weight, r->ld, weight + r->vectors,
        rows_from(&r->gradient_y, t, range, r->row), in_table(&r->gradient_mixed, t));
}

/* Rows of messages are farther apart than they are long: what is between is left alone, and has no weight. */
static void clear_between(struct message_run *r) {
    real *weight = r->weight.cpu;
    for (size_t m = 0; m < r->vectors; m++)
        if (m % r->ld >= (size_t)r->hidden)
            weight[m] = 0;
    both_cuda->to_device(both_cuda, r->weight.cuda, r->weight.cpu, r->weight.bytes);
}

static void messages_of(struct edge_graph *g, const struct sizes *size) {
    const int row = size->hidden + 3 * size->mixed;
    const size_t ld = (size_t)size->hidden + size->apart, n = g->shape.receivers,
                 each = (size_t)(g->shape.d * size->mixed);
    const size_t all = g->shape.senders * each, rows = g->count * (size_t)row, out = n * (ld + each);
    struct message_run r = {.g = g,
                            .hidden = size->hidden,
                            .channels = size->mixed,
                            .row = row,
                            .ld = ld,
                            .vectors = n * ld,
                            .kappa = kappa_of_all(g),
                            .y = both_random(1, rows, -1, 1),
                            .mixed = both_random(2, all, -1, 1),
                            .dy = both_random(3, rows, -1, 1),
                            .dmixed = both_random(4, all, -1, 1),
                            .out = both_random(5, out, 0, 1),
                            .dout = both_random(6, out, 0, 1),
                            .weight = both_random(7, out, -1, 1),
                            .gradient_y = both_random(8, rows, 0, 1),
                            .gradient_mixed = both_random(9, all, -1e-3, 1e-3)};
    clear_between(&r);
    EACH_TABLE(t)
    for (int m = 0; m < RANGES; m++) {
        messages_on(&r, t, range_of(g, m));
        messages_back(&r, t, range_of(g, m));
    }
    both_close_real("messages", &r.out, CLOSE);
    both_close_real("messages, tangent", &r.dout, CLOSE);
    both_close_real("messages, gradient of y", &r.gradient_y, CLOSE);
    both_close_real("messages, gradient of mixed vectors", &r.gradient_mixed, CLOSE);
    const struct derivative of_y = {run_messages, &r, &r.y, &r.out, &r.weight, &r.gradient_y};
    const struct derivative of_mixed = {run_messages, &r, &r.mixed, &r.out, &r.weight, &r.gradient_mixed};
    if (g->count > 0) {
        check_derivative("messages, y", &of_y);
        check_derivative("messages, mixed vectors", &of_mixed);
    }
    RELEASE(&r.kappa, &r.y, &r.mixed, &r.dy, &r.dmixed, &r.out, &r.dout, &r.weight, &r.gradient_y,
            &r.gradient_mixed);
}

static void messages(void) {
    for (int m = 0; m < CASES; m++) {
        struct edge_graph g = graph_of(cases[m].shape);
        messages_of(&g, &cases[m]);
        graph_release(&g);
    }
}

/* Sums in one range or in several are the same to rounding, twice the same range to the bit. */
static void repeats(void) {
    struct edge_graph g = graph_of((struct shape){2, 301, 402, 12});
    const int width = 48;
    const size_t rows = g.count * (size_t)width, all = g.shape.senders * 2 * (size_t)width;
    struct both a = both_random(1, rows, -1, 1), de = both_random(2, rows, -1, 1),
                twin = both_random(2, rows, -1, 1);
    struct both once = both_zero(all * sizeof(real)), again = both_zero(all * sizeof(real));
    both_cuda->edge_hidden_backward(both_cuda, &g.edges[1], whole(&g), width, a.cuda, de.cuda, once.cuda);
    both_cuda->edge_hidden_backward(both_cuda, &g.edges[1], whole(&g), width, a.cuda, twin.cuda, again.cuda);
    both_cpu->release(both_cpu, again.cpu);
    again.cpu = both_fetch(&once);
    both_equal("a range again", &again);
    both_cuda->to_device(both_cuda, de.cuda, de.cpu, de.bytes);
    both_cuda->zero(both_cuda, again.cuda, again.bytes);
    for (int m = 0; m < RANGES; m++)
        both_cuda->edge_hidden_backward(both_cuda, &g.edges[1], range_of(&g, m), width,
                                        rows_from(&a, 1, range_of(&g, m), width),
                                        rows_from(&de, 1, range_of(&g, m), width), again.cuda);
    both_close_real("in ranges", &again, 1e-6);
    RELEASE(&a, &de, &twin, &once, &again);
    graph_release(&g);
}

static const struct check list[] = {
    {"features", features}, {"hidden", hidden}, {"messages", messages}, {"repeats", repeats}};
const struct check_group check_messages = {"messages", sizeof list / sizeof *list, list};
