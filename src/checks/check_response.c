/* The CUDA table's ops beside the CPU table's: edges of the response network, sources, and sweeps. */
#include "checks/graphs.h"

static const struct shape shapes[] = {{1, 40, 60, 6},    {2, 1, 1, 4},     {2, 301, 402, 12},
                                      {3, 203, 350, 15}, {2, 60, 200, 45}, {3, 5, 130, 120},
                                      {2, 0, 5, 4}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- the edges of senders ---- */

static void check_lists(size_t senders, size_t count, size_t used) {
    uint32_t *sender = calloc(count + 1, sizeof *sender), *start = calloc(senders + 2, sizeof *start);
    for (size_t e = 0; e < count; e++)
        sender[e] = (uint32_t)(both_number(1, e) * (double)used * 0.999999);
    struct both from = both_of(sender, count * sizeof *sender),
                first = both_zero((senders + 1) * sizeof *start);
    struct both list = both_zero(count * sizeof *start);
    struct edges edges = {.count = count,
                          .sender = from.cuda,
                          .senders = senders,
                          .back_start = first.cuda,
                          .back_edge = list.cuda};
    both_cuda->edges_by_sender(both_cuda, &edges);
    for (size_t e = 0; e < count; e++)
        start[sender[e] + 1]++;
    for (size_t j = 0; j < senders; j++)
        start[j + 1] += start[j];
    memcpy(first.cpu, start, first.bytes);
    for (size_t e = 0; e < count; e++)
        ((uint32_t *)list.cpu)[start[sender[e]]++] = (uint32_t)e;
    both_equal("starts of senders", &first);
    both_equal("edges of senders", &list);
    both_release(&from), both_release(&first), both_release(&list);
    free(sender);
    free(start);
}

/* Tiles of the scan have 2048 senders; more than 256 tiles, too. */
static void lists(void) {
    check_lists(0, 0, 1);
    check_lists(7, 0, 1);
    check_lists(1, 300, 1);
    check_lists(2048, 6000, 2048);
    check_lists(5003, 9001, 4000);
    check_lists(540001, 3000, 540001);
}

/* ---- geometry ---- */

static void geometry(void) {
    for (int m = 0; m < SHAPES; m++) {
        struct edge_graph g = graph_of(shapes[m]);
        const struct pointers q = axes_in(&g.q, 1);
        struct both *made[] = {&g.normal,    &g.number[0], &g.number[1], &g.number[2],
                               &g.number[3], &g.stiffness, &g.kappa};
        for (int k = 0; k < 7; k++)
            both_cuda->zero(both_cuda, made[k]->cuda, made[k]->bytes);
        both_cuda->zero(both_cuda, g.receiver.cuda, g.receiver.bytes);
        both_cuda->edge_terms(both_cuda, &g.box, &g.law, (uint64_t *const *)q.at, &g.edges[1],
                              g.stiffness.cuda, g.kappa.cuda);
        both_equal("receiver", &g.receiver);
        for (int k = 0; k < 7; k++) /* formed in float64, rounded once */
            both_close_real("edge terms", made[k], 1.3e-7);
        graph_release(&g);
    }
}

static void velocities(void) {
    for (int d = 1; d <= 3; d++)
        for (size_t n = 0; n < 700; n += 300) {
            struct both_axes g = both_doubles(2, d, n), push = both_doubles(5, d, n);
            struct both u = both_zero(n * (size_t)d * sizeof(real));
            EACH_TABLE(t) {
                const struct pointers at = axes_in(&g, t), force = axes_in(&push, t);
                table(t)->velocity_rows(table(t), d, n, (double *const *)at.at, (double *const *)force.at,
                                        in_table(&u, t));
            }
            both_equal("velocities", &u);
            axes_release(&g), axes_release(&push), both_release(&u);
        }
}

/* ---- sources ---- */

static void sources(void) {
    const int channels = 6; /* u, three shots, two that are left alone */
    for (int m = 0; m < SHAPES; m++) {
        struct edge_graph g = graph_of(shapes[m]);
        const size_t d = (size_t)g.shape.d, n = g.shape.receivers;
        struct both u = both_random(3, g.shape.senders * d, -1, 1),
                    du = both_random(4, g.shape.senders * d, -1, 1);
        for (int tangent = 0; tangent < 2; tangent++) {
            struct both q = both_random(5, n * d, 0, 1),
                        v = both_random(6, n * d * (size_t)channels, -1e-3, 1e-3);
            EACH_TABLE(t) {
                if (tangent)
                    table(t)->response_sources_tangent(table(t), &g.law, &g.edges[t], in_table(&g.kappa, t),
                                                       in_table(&u, t), in_table(&du, t), in_table(&q, t),
                                                       channels, in_table(&v, t));
                else
                    table(t)->response_sources(table(t), &g.law, &g.edges[t], in_table(&g.kappa, t),
                                               in_table(&u, t), in_table(&q, t), channels, in_table(&v, t));
            }
            both_close_real(tangent ? "dq" : "q", &q, CLOSE);
            both_close_real(tangent ? "d shots" : "shots", &v, CLOSE);
            both_release(&q), both_release(&v);
        }
        both_release(&u), both_release(&du);
        graph_release(&g);
    }
}

static void states(void) {
    for (int d = 1; d <= 3; d++)
        for (size_t n = 0; n < 900; n += 299) {
            const struct response_law law = law_for(d);
            const size_t axes = n * (size_t)d;
            struct both kappa = both_random(1, n, 1, 1e3), phi = both_random(2, n, 0, 1);
            struct both q = both_random(3, axes, -9, 9), u = both_random(4, axes, -1, 1);
            struct both dq = both_random(5, axes, -9, 9), du = both_random(6, axes, -1, 1);
            struct both x = both_random(7, n * STATE_NUMBERS, 0, 1),
                        dx = both_random(8, n * STATE_NUMBERS, 0, 1);
            EACH_TABLE(t) {
                table(t)->response_state(table(t), &law, n, in_table(&kappa, t), in_table(&phi, t),
                                         in_table(&q, t), in_table(&u, t), in_table(&x, t));
                table(t)->response_state_tangent(table(t), &law, n, in_table(&kappa, t), in_table(&q, t),
                                                 in_table(&u, t), in_table(&dq, t), in_table(&du, t),
                                                 in_table(&dx, t));
            }
            both_close_real("state", &x, CLOSE);
            both_close_real("state tangent", &dx, CLOSE);
            struct both *held[] = {&kappa, &phi, &q, &u, &dq, &du, &x, &dx};
            for (int m = 0; m < 8; m++)
                both_release(held[m]);
        }
}

/* ---- sweeps ---- */

static void stiffness(const struct edge_graph *g, const struct contacts contacts[2]) {
    const size_t d = (size_t)g->shape.d, numbers = (size_t)stiffness_numbers(g->shape.d) * g->count;
    struct both shift = both_random(1, g->shape.senders * d, -0.5, 0.5),
                dshift = both_random(2, g->shape.senders * d, -1, 1);
    struct both stiff = both_zero(numbers * sizeof(real)), dstiff = both_zero(numbers * sizeof(real));
    EACH_TABLE(t) {
        table(t)->contact_stiffness(table(t), &g->law, &contacts[t], in_table(&shift, t),
                                    in_table(&stiff, t));
        table(t)->contact_stiffness_tangent(table(t), &g->law, &contacts[t], in_table(&shift, t),
                                            in_table(&dshift, t), in_table(&dstiff, t));
    }
    both_close_real("stiffness", &stiff, CLOSE);
    both_close_real("stiffness tangent", &dstiff, 2 * CLOSE);
    both_release(&shift), both_release(&dshift), both_release(&stiff), both_release(&dstiff);
}

/* out is base in the last of the cases. */
static void steps(const struct edge_graph *g, const struct contacts contacts[2]) {
    const size_t axes = (size_t)g->shape.d * g->shape.senders,
                 numbers = (size_t)stiffness_numbers(g->shape.d) * g->count;
    const int d = g->shape.d;
    struct both stiff = both_random(1, numbers, -1, 1), dstiff = both_random(2, numbers, -1, 1);
    struct both x = both_random(3, axes, -1, 1), dx = both_random(4, axes, -1, 1);
    struct both base = both_random(5, axes, -1, 1), source = both_random(6, axes, -1, 1);
    for (int m = 0; m < 10; m++) {
        const bool tangent = m >= 5, with_base = m % 5 & 1, with_source = m % 5 & 2, in_place = m % 5 == 4;
        struct both out = both_random(7, axes, -1, 1);
        EACH_TABLE(t) {
            real *to = in_table(&out, t);
            const real *from = in_place ? to : with_base ? in_table(&base, t) : NULL;
            const real *s = with_source ? in_table(&source, t) : NULL;
            if (tangent)
                table(t)->contact_step_tangent(table(t), d, &contacts[t], 0.3, in_table(&stiff, t),
                                               in_table(&x, t), in_table(&dstiff, t), in_table(&dx, t), from,
                                               s, to);
            else
                table(t)->contact_step(table(t), d, &contacts[t], 0.3, in_table(&stiff, t), in_table(&x, t),
                                       from, s, to);
        }
        both_close_real(tangent ? "contact step tangent" : "contact step", &out, CLOSE);
        both_release(&out);
    }
    struct both *held[] = {&stiff, &dstiff, &x, &dx, &base, &source};
    for (int m = 0; m < 6; m++)
        both_release(held[m]);
}

static void sweeps(void) {
    for (int m = 0; m < SHAPES; m++) {
        struct edge_graph g = graph_of(shapes[m]);
        struct both x = both_zero((size_t)g.shape.d * g.count * sizeof(real)),
                    receiver = both_zero(g.count * 4);
        struct contacts contacts[2];
        EACH_TABLE(t) {
            const struct pointers q = axes_in(&g.q, t);
            contacts[t] = (struct contacts){g.shape.receivers,      g.count,
                                            in_table(&g.starts, t), in_table(&g.sender, t),
                                            in_table(&receiver, t), in_table(&x, t)};
            table(t)->contact_vectors(table(t), &g.box, (uint64_t *const *)q.at, &contacts[t]);
        }
        both_equal("receivers of contacts", &receiver);
        both_equal("vectors of contacts", &x);
        stiffness(&g, contacts);
        steps(&g, contacts);
        both_release(&x), both_release(&receiver);
        graph_release(&g);
    }
}

static const struct check list[] = {{"lists", lists},     {"geometry", geometry}, {"velocities", velocities},
                                    {"sources", sources}, {"states", states},     {"sweeps", sweeps}};
const struct check_group check_response = {"response", sizeof list / sizeof *list, list};
