/* Whole windowed networks on the CUDA table beside the CPU table: scores, divergences, gradients of both losses. Memory of
 * the emulated device cannot be read by the host, so that this finds code above the ops that does. Tolerances: a few
 * blocks of float32 sums in another order, 1e-5 of the largest; gradients of tangents twice as many.
 */
#include "both_arrays.h"

#include "learn/score.h"

enum { PARTICLES = 60, COUNT = 23 };

struct network_case {
    enum window_kind window;
    int d, width, hidden, feed_forward, heads, blocks, layers, neighbours, rows;
    enum linear_term linear;
};
static const struct network_case cases[] = {
    {WINDOW_LOCAL, 2, 8, 6, 7, 1, 1, 1, 3, 1, LINEAR_TERM_OFF},
    {WINDOW_PERIODIC, 1, 4, 3, 5, 2, 2, 1, 5, 40, LINEAR_TERM_OFF},
    {WINDOW_LOCAL, 3, 12, 7, 8, 2, 3, 2, 4, 13, LINEAR_TERM_OFF},
    {WINDOW_LOCAL, 2, 64, 32, 128, 4, 2, 2, 32, 400, LINEAR_TERM_OFF},
    {WINDOW_ANCHORED, 2, 16, 16, 24, 4, 2, 1, 6, 100, LINEAR_TERM_VELOCITY},
    {WINDOW_LATTICE, 1, 8, 8, 8, 2, 1, 1, 4, 33, LINEAR_TERM_ON},
    {WINDOW_ALL, 2, 12, 10, 14, 3, 2, 1, 9, 50, LINEAR_TERM_OFF},
};

/* Positions, propulsion, windows and a model, on each table. */
struct scene {
    struct box box;
    struct lattice lattice;
    struct both *q[MAX_DIMENSION], *g[MAX_DIMENSION], *push[MAX_DIMENSION], *id, *centre, *neighbour,
        *weights;
    uint64_t *q_at[2][MAX_DIMENSION];
    double *g_at[2][MAX_DIMENSION], *push_at[2][MAX_DIMENSION];
    struct score_input in[2];
    struct score_model *model[2];
    size_t size, rows, chunk;
};

static struct both *wide(uint32_t name, size_t count, bool position) {
    double *g = malloc(count * sizeof *g);
    uint64_t *q = malloc(count * sizeof *q);
    for (size_t i = 0; i < count; i++) {
        g[i] = 3 * both_number(name, i) - 1.5;
        q[i] = (uint64_t)(both_number(name, i) * 0x1p63) * 2;
    }
    struct both *b = array_kept(both_of(position ? (void *)q : (void *)g, count * 8));
    free(g);
    free(q);
    return b;
}

/* Centres, and neighbours that differ from each other and from them. */
static void fill_windows(struct scene *s, const struct network_case *c) {
    const size_t k = (size_t)c->neighbours;
    uint32_t centre[COUNT], *neighbour = malloc(COUNT * k * sizeof *neighbour);
    for (uint32_t i = 0; i < COUNT; i++) {
        centre[i] = i * 37 % PARTICLES;
        for (uint32_t m = 0; m < k; m++)
            neighbour[i * k + m] = (centre[i] + 1 + m * 7) % PARTICLES;
    }
    s->centre = array_kept(both_of(centre, sizeof centre));
    s->neighbour = array_kept(both_of(neighbour, COUNT * k * sizeof *neighbour));
    free(neighbour);
}

static void scene_create(struct scene *s, const struct network_case *c) {
    const struct network_parameters p = {.kind = NETWORK_WINDOW,
                                         .window = c->window,
                                         .linear_term = c->linear,
                                         .width = c->width,
                                         .hidden = c->hidden,
                                         .feed_forward = c->feed_forward,
                                         .heads = c->heads,
                                         .blocks = c->blocks,
                                         .layers = c->layers,
                                         .neighbours = c->neighbours};
    *s = (struct scene){.box = {.d = c->d, .periodic = true, .side = {10, 20, 30}}};
    s->lattice = (struct lattice){.d = c->d, .sites = {10, 1, 1}, .particles = 10};
    for (int a = 1; a < c->d; a++) {
        s->lattice.sites[a] = 6;
        s->lattice.particles *= 6;
    }
    lattice_prepare(&s->lattice);
    for (int a = 0; a < c->d; a++) {
        s->q[a] = wide(arrays_named++, PARTICLES, true);
        s->g[a] = wide(arrays_named++, PARTICLES, false);
        s->push[a] = wide(arrays_named++, PARTICLES, false);
    }
    s->id = indices(PARTICLES, s->lattice.particles);
    fill_windows(s, c);
    for (int table = 0; table < 2; table++) {
        on_cuda = table == 1;
        assert_int_equal(score_create(on_cuda ? cuda : cpu, &p, c->d, c->d, c->rows, &s->model[table]),
                         STATUS_OK);
        for (int a = 0; a < c->d; a++) {
            s->q_at[table][a] = at(s->q[a]);
            s->g_at[table][a] = at(s->g[a]);
            s->push_at[table][a] = at(s->push[a]);
        }
        s->in[table] = (struct score_input){.box = &s->box,
                                            .q = s->q_at[table],
                                            .g = s->g_at[table],
                                            .push = s->push_at[table],
                                            .particles = PARTICLES,
                                            .id = at(s->id),
                                            .anchor = &s->lattice,
                                            .count = COUNT,
                                            .centre = at(s->centre),
                                            .neighbour = at(s->neighbour)};
    }
    s->size = score_tensors(s->model[0])->size;
    s->rows = COUNT * (size_t)score_decoded(s->model[0]);
    s->chunk = score_chunk(s->model[0]);
    real *weights = malloc(s->size * sizeof *weights);
    score_initialise(s->model[0], 5, weights);
    for (size_t i = 0; i < s->size; i++)
        weights[i] += (real)(0.2 * both_number(7, i) - 0.1); /* no bias is 0 */
    s->weights = array_kept(both_of(weights, s->size * sizeof *weights));
    free(weights);
}

static void check_scores(struct scene *s, const struct network_case *c) {
    const size_t d = (size_t)c->d;
    struct both *forward = nothing(s->rows * d), *score = nothing(s->rows * d), *divergence = nothing(COUNT);
    const bool one = c->window != WINDOW_ALL;
    ON_BOTH({
        (void)ops;
        assert_int_equal(score_forward(s->model[on_cuda], at(s->weights), &s->in[on_cuda], at(forward)),
                         STATUS_OK);
        if (one)
            assert_int_equal(score_divergence(s->model[on_cuda], at(s->weights), &s->in[on_cuda], at(score),
                                              at(divergence)),
                             STATUS_OK);
    });
    both_close_real("score", forward, 1e-5);
    if (one) {
        both_close_real("score with divergence", score, 1e-5);
        both_close_real("divergence", divergence, 1e-5);
    }
}

static void check_denoising(struct scene *s, const struct network_case *c) {
    struct both *zeta = numbers(s->rows * (size_t)c->d, 1), *weight = numbers(s->rows, 1);
    struct both term = both_zero(s->rows * sizeof(double)), gradient = both_zero(s->size * sizeof(real));
    ON_BOTH({
        (void)ops;
        for (int sign = 1; sign >= -1; sign -= 2)
            assert_int_equal(score_denoising(s->model[on_cuda], at(s->weights), &s->in[on_cuda], at(zeta),
                                             at(weight), sign, 0.5, 1.0 / COUNT, at(&term), at(&gradient),
                                             NULL),
                             STATUS_OK);
    });
    both_close_double("denoising, terms", &term, 1e-5);
    both_close_real("denoising, gradient", &gradient, 2e-5);
    both_release(&term);
    both_release(&gradient);
}

static void check_probe(struct scene *s, const struct network_case *c) {
    const size_t count = s->chunk < COUNT ? s->chunk : COUNT, d = (size_t)c->d;
    const size_t rows = count * (size_t)score_decoded(s->model[0]), sets = 4;
    struct both *seed = numbers(sets * rows * d, 1), *readout = numbers(sets * rows * d, 1);
    struct both *score = nothing(rows * d), *product = nothing(sets * rows), *ds = numbers(rows * d, 1);
    struct both *dproduct = numbers(sets * rows, 1), gradient = both_zero(s->size * sizeof(real));
    ON_BOTH({
        (void)ops;
        struct score_input in = s->in[on_cuda];
        const struct score_probes probes = {2, 2, at(seed), at(readout)};
        in.count = count;
        assert_int_equal(score_probe(s->model[on_cuda], at(s->weights), &in, &probes, at(score), at(product)),
                         STATUS_OK);
        assert_int_equal(
            score_pull(s->model[on_cuda], at(s->weights), &in, &probes, at(ds), at(dproduct), at(&gradient)),
            STATUS_OK);
    });
    both_close_real("probe, score", score, 1e-5);
    both_close_real("probe, products", product, 1e-5);
    both_close_real("pull, gradient", &gradient, 5e-5);
    both_release(&gradient);
}

static void networks(void **state) {
    (void)state;
    for (size_t m = 0; m < sizeof cases / sizeof *cases; m++) {
        struct scene s;
        scene_create(&s, &cases[m]);
        check_scores(&s, &cases[m]);
        check_denoising(&s, &cases[m]);
        check_probe(&s, &cases[m]);
        score_destroy(&s.model[0]);
        score_destroy(&s.model[1]);
        release_all();
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(networks)};
    arrays_unused();
    return cmocka_run_group_tests(tests, both_open, both_close);
}
