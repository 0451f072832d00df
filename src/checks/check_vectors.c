/* The CUDA table's ops beside the CPU table's: what particles of the response network make of their vectors, and the score.
 * Gradients are compared with differences, too. */
#include "checks/graphs.h"

/* n particles, channels of vectors, `apart` more than needed between rows. */
struct sizes {
    int d;
    size_t n;
    int channels;
    size_t apart;
};
static const struct sizes cases[] = {{1, 0, 4, 0},   {1, 70, 3, 2},  {2, 1, 8, 0},    {2, 600, 8, 5},
                                     {3, 257, 5, 1}, {3, 90, 33, 0}, {2, 1025, 1, 3}, {2, 3, 300, 1}};
enum { CASES = sizeof cases / sizeof *cases };

static void release_all(struct both *const held[], size_t count) {
    for (size_t m = 0; m < count; m++)
        both_release(held[m]);
}
#define RELEASE(...)                                                                                         \
    release_all((struct both *const[]){__VA_ARGS__},                                                         \
                sizeof((struct both *const[]){__VA_ARGS__}) / sizeof(void *))

static void activations(void) {
    for (size_t n = 0; n < 1500; n = n * 3 + 1) {
        struct both x = both_random(1, n, -30, 30), y = both_random(2, n, 0, 1),
                    dy = both_random(3, n, -1, 1);
        EACH_TABLE(t) {
            table(t)->silu(table(t), n, in_table(&x, t), in_table(&y, t));
            table(t)->silu_slope(table(t), n, in_table(&x, t), in_table(&dy, t));
        }
        both_close_real("silu", &y, CLOSE);
        both_close_real("silu slope", &dy, CLOSE);
        RELEASE(&x, &y, &dy);
    }
}

/* Rows of arrays that are farther apart than they are long have no weight between. */
static void clear_between(struct both *weight, size_t columns, size_t ld) {
    real *w = weight->cpu;
    for (size_t m = 0; m < weight->bytes / sizeof *w; m++)
        if (m % ld >= columns)
            w[m] = 0;
    both_cuda->to_device(both_cuda, weight->cuda, w, weight->bytes);
}

/* ---- what is seen of vectors ---- */

struct seen_run {
    const struct sizes *size;
    struct response_law law;
    size_t ld;
    struct both kappa, q, v, x;
};

static void seen_on(struct seen_run *r, int t) {
    table(t)->vector_features(table(t), &r->law, r->size->n, r->size->channels, in_table(&r->kappa, t),
                              in_table(&r->q, t), in_table(&r->v, t), in_table(&r->x, t), r->ld);
}
static void run_seen(void *context) {
    seen_on(context, 1);
}

static void seen_of(const struct sizes *size) {
    const size_t axes = size->n * (size_t)size->d, all = axes * (size_t)size->channels;
    const size_t columns = 2 * (size_t)size->channels, ld = columns + size->apart;
    struct seen_run r = {.size = size,
                         .law = law_for(size->d),
                         .ld = ld,
                         .kappa = both_random(1, size->n, 1, 30),
                         .q = both_random(2, axes, -2, 2),
                         .v = both_random(3, all, -1, 1),
                         .x = both_random(4, size->n * ld, 0, 1)};
    struct both dq = both_random(5, axes, -1, 1), dv = both_random(6, all, -1, 1);
    struct both dx = both_random(7, size->n * ld, 0, 1), weight = both_random(8, size->n * ld, -1, 1);
    struct both back = both_zero(all * sizeof(real));
    clear_between(&weight, columns, ld);
    EACH_TABLE(t) {
        seen_on(&r, t);
        table(t)->vector_features_tangent(table(t), &r.law, size->n, size->channels, in_table(&r.kappa, t),
                                          in_table(&r.q, t), in_table(&r.v, t), in_table(&dq, t),
                                          in_table(&dv, t), in_table(&dx, t), ld);
        table(t)->vector_features_backward(table(t), &r.law, size->n, size->channels, in_table(&r.kappa, t),
                                           in_table(&r.q, t), in_table(&r.v, t), in_table(&weight, t), ld,
                                           in_table(&back, t));
    }
    both_close_real("vector features", &r.x, CLOSE);
    both_close_real("vector features, tangent", &dx, CLOSE);
    both_close_real("vector features, gradient", &back, CLOSE);
    const struct derivative f = {run_seen, &r, &r.v, &r.x, &weight, &back};
    if (size->n > 0)
        check_derivative("vector features", &f);
    RELEASE(&r.kappa, &r.q, &r.v, &r.x, &dq, &dv, &dx, &weight, &back);
}

static void seen(void) {
    for (int m = 0; m < CASES; m++)
        seen_of(&cases[m]);
}

/* ---- turns ---- */

struct turn_run {
    const struct sizes *size;
    size_t ld;
    struct both turn, v, out;
};

static void turn_on(struct turn_run *r, int t) {
    table(t)->turn_vectors(table(t), r->size->n, r->size->d, r->size->channels, in_table(&r->turn, t),
                           in_table(&r->v, t), in_table(&r->out, t), r->ld);
}
static void run_turn(void *context) {
    turn_on(context, 1);
}

static void turns_of(const struct sizes *size) {
    const size_t c = (size_t)size->channels, axes = size->n * (size_t)size->d, ld = c + size->apart;
    struct turn_run r = {.size = size,
                         .ld = ld,
                         .turn = both_random(1, size->n * c * c, -1, 1),
                         .v = both_random(2, axes * c, -1, 1),
                         .out = both_random(3, axes * ld, 0, 1)};
    struct both dturn = both_random(4, size->n * c * c, -1, 1), dv = both_random(5, axes * c, -1, 1);
    struct both dout = both_random(6, axes * ld, 0, 1), weight = both_random(7, axes * ld, -1, 1);
    struct both back_turn = both_random(8, size->n * c * c, 0, 1), back_v = both_random(9, axes * c, 0, 1);
    clear_between(&weight, c, ld);
    EACH_TABLE(t) {
        turn_on(&r, t);
        table(t)->turn_vectors_tangent(table(t), size->n, size->d, size->channels, in_table(&r.turn, t),
                                       in_table(&r.v, t), in_table(&dturn, t), in_table(&dv, t),
                                       in_table(&dout, t), ld);
        table(t)->turn_vectors_backward(table(t), size->n, size->d, size->channels, in_table(&r.turn, t),
                                        in_table(&r.v, t), in_table(&weight, t), ld, in_table(&back_turn, t),
                                        in_table(&back_v, t));
    }
    both_close_real("turns", &r.out, CLOSE);
    both_close_real("turns, tangent", &dout, CLOSE);
    both_close_real("turns, gradient of them", &back_turn, CLOSE);
    both_close_real("turns, gradient of vectors", &back_v, CLOSE);
    const struct derivative of_turn = {run_turn, &r, &r.turn, &r.out, &weight, &back_turn};
    const struct derivative of_v = {run_turn, &r, &r.v, &r.out, &weight, &back_v};
    if (size->n > 0) {
        check_derivative("turns", &of_turn);
        check_derivative("turned vectors", &of_v);
    }
    RELEASE(&r.turn, &r.v, &r.out, &dturn, &dv, &dout, &weight, &back_turn, &back_v);
}

static void turns(void) {
    for (int m = 0; m < CASES; m++)
        turns_of(&cases[m]);
}

static void whitening(void) {
    for (int m = 0; m < 2 * CASES; m++) {
        const struct sizes *size = &cases[m / 2];
        const size_t axes = size->n * (size_t)size->d, ld = (size_t)size->channels + size->apart,
                     ld_to = ld + 7;
        struct both kappa = both_random(1, size->n, 1, 30), from = both_random(2, axes * ld, -1, 1);
        struct both to = both_random(3, axes * ld_to, -1, 1);
        EACH_TABLE(t)
        table(t)->whiten(table(t), size->n, size->d, size->channels, in_table(&kappa, t), in_table(&from, t),
                         ld, in_table(&to, t), ld_to, m % 2 == 1);
        both_close_real("whitened", &to, CLOSE);
        RELEASE(&kappa, &from, &to);
    }
}

/* ---- the score ---- */

struct score_run {
    const struct sizes *size;
    struct response_law law;
    struct both kappa, z, o, s;
    struct both_axes g, push;
};

static void score_on(struct score_run *r, int t) {
    const struct pointers g = axes_in(&r->g, t), push = axes_in(&r->push, t);
    table(t)->response_score(table(t), &r->law, r->size->n, r->size->channels, in_table(&r->kappa, t),
                             in_table(&r->z, t), in_table(&r->o, t), (double *const *)g.at,
                             (double *const *)push.at, in_table(&r->s, t));
}
static void run_score(void *context) {
    score_on(context, 1);
}

static void scores_of(const struct sizes *size) {
    const size_t axes = size->n * (size_t)size->d, all = axes * (size_t)size->channels;
    const size_t outs = size->n * ((size_t)size->channels + 2);
    struct score_run r = {.size = size,
                          .law = law_for(size->d),
                          .kappa = both_random(1, size->n, 1, 30),
                          .z = both_random(2, all, -2, 2),
                          .o = both_random(3, outs, -1, 1),
                          .s = both_random(4, axes, 0, 1),
                          .g = both_doubles(20, size->d, size->n),
                          .push = both_doubles(30, size->d, size->n)};
    struct both dz = both_random(5, all, -1, 1), dout = both_random(6, outs, -1, 1),
                dg = both_random(7, axes, -1, 1);
    struct both ds = both_random(8, axes, 0, 1), weight = both_random(9, axes, -1, 1);
    struct both back_z = both_random(10, all, 0, 1), back_o = both_random(11, outs, 0, 1);
    EACH_TABLE(t) {
        const struct pointers g = axes_in(&r.g, t), push = axes_in(&r.push, t);
        score_on(&r, t);
        table(t)->response_score_tangent(table(t), &r.law, size->n, size->channels, in_table(&r.kappa, t),
                                         in_table(&r.z, t), in_table(&r.o, t), (double *const *)g.at,
                                         (double *const *)push.at, in_table(&dz, t), in_table(&dout, t),
                                         in_table(&dg, t), in_table(&ds, t));
        table(t)->response_score_backward(table(t), &r.law, size->n, size->channels, in_table(&r.kappa, t),
                                          in_table(&r.z, t), in_table(&r.o, t), (double *const *)g.at,
                                          (double *const *)push.at, in_table(&weight, t),
                                          in_table(&back_z, t), in_table(&back_o, t));
    }
    both_close_real("score", &r.s, CLOSE);
    both_close_real("score, tangent", &ds, CLOSE);
    both_close_real("score, gradient of vectors", &back_z, CLOSE);
    both_close_real("score, gradient of factors", &back_o, CLOSE);
    const struct derivative of_z = {run_score, &r, &r.z, &r.s, &weight, &back_z};
    const struct derivative of_o = {run_score, &r, &r.o, &r.s, &weight, &back_o};
    if (size->n > 0) {
        check_derivative("score, vectors", &of_z);
        check_derivative("score, factors", &of_o);
    }
    RELEASE(&r.kappa, &r.z, &r.o, &r.s, &dz, &dout, &dg, &ds, &weight, &back_z, &back_o);
    axes_release(&r.g), axes_release(&r.push);
}

static void scores(void) {
    for (int m = 0; m < CASES; m++)
        scores_of(&cases[m]);
}

static const struct check list[] = {{"activations", activations},
                                    {"seen", seen},
                                    {"turns", turns},
                                    {"whitening", whitening},
                                    {"scores", scores}};
const struct check_group check_vectors = {"vectors", sizeof list / sizeof *list, list};
