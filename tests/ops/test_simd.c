/* The inner loops of simulations for every instruction set against the plain loops: the same pairs, the same bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/ops.h"
#include "space/neighbours.h"

#include "test.h"

enum { FEW = 3001, MANY = 90001, STEPS = 3 };
static uint32_t N = FEW, GHOSTS = 411;

static bool sorted; /* along the first axis, and none crowded in a corner */

static double uniform(uint32_t item, uint32_t what) {
    uint32_t word[4];
    rng_words(7, STREAM_START, item, 0, what, word);
    return rng_uniform(word[0]);
}

/* Particles in a cube, dense enough for about ten neighbours; some sit at the corner of the box, two at one place. */
struct gas {
    struct box box;
    struct particles *p;
    int64_t *sum; /* (N, force_numbers) */
    uint64_t *q_list[MAX_DIMENSION];
};

static void make(struct gas *c, int d) {
    static const double side[] = {3000, 130, 40};
    static const int corner[] = {55, 59, 62};
    c->box = (struct box){.d = d, .periodic = true};
    assert_int_equal(particles_create(ops_cpu(), d, N, &c->p), STATUS_OK);
    c->sum = calloc(N * force_numbers(d), sizeof *c->sum);
    c->p->owned = N - GHOSTS;
    c->p->ghosts = GHOSTS;
    for (int a = 0; a < d; a++) {
        c->box.side[a] = side[d - 1] * (1 + 0.1 * a) * pow((double)N / FEW, 1.0 / d);
        c->q_list[a] = calloc(N, sizeof(uint64_t));
        for (uint32_t i = 0; i < N; i++) {
            double x = uniform(i, (uint32_t)a);
            if (sorted && a == 0 && i % 100 != 0)
                x = (i + x) / N;
            c->p->q[a][i] = i % 10 == 0 && !sorted ? (uint64_t)(int64_t)ldexp(x - 0.5, corner[d - 1])
                                                   : (uint64_t)(x * 0x1p63) * 2 + 1;
            c->p->g[a][i] = 3 * uniform(i, (uint32_t)(a + 8)) - 1.5;
        }
        c->p->q[a][1] = c->p->q[a][2];
    }
    for (uint32_t i = 0; i < N; i++)
        c->p->id[i] = i * 37 % N;
    for (int a = 0; a < d; a++)
        memcpy(c->q_list[a], c->p->q[a], N * sizeof(uint64_t));
}

static void drop(struct gas *c) {
    free(c->sum);
    for (int a = 0; a < c->box.d; a++) {
        free(c->q_list[a]);
    }
    particles_destroy(&c->p);
}

static const struct pair_law law = {.beta = 7.5, .cutoff = 3.2, .kind = PAIRS_SOFTPLUS};

/* Some steps with lists and close pairs made anew in each. */
static void run(struct gas *c, const struct step_law *at, struct step_result *result) {
    const struct ops *ops = ops_cpu();
    struct particles *p = c->p;
    struct pair_list list = {0};
    struct close_pairs close = {0};
    struct step_law step = *at;
    close.scratch = calloc(N, CLOSE_SCRATCH);
    for (; step.step < at->step + STEPS; step.step++) {
        assert_int_equal(pairs_build(p, &c->box, law.cutoff + 0.5, &list), STATUS_OK);
        if (list.capacity + 2 * SIMD_PAIRS > close.capacity) {
            close.capacity = list.capacity + 2 * SIMD_PAIRS;
            close.first = realloc(close.first, close.capacity * sizeof *close.first);
            close.second = realloc(close.second, close.capacity * sizeof *close.second);
        }
        ops->close_pairs(ops, &c->box, law.cutoff + 0.1, p->owned, N, p->q, &list, &close);
        assert_true(close.count > p->owned && close.count <= close.capacity);
        for (int part = PAIRS_INSIDE; part <= PAIRS_ACROSS; part++)
            ops->close_force(ops, &c->box, &law, part, p->owned, N, p->q, &close, c->sum);
        ops->step(ops, &c->box, &step, p->owned, p->id, c->sum, c->q_list, p->q, p->image, p->g, NULL, NULL,
                  result);
    }
    pairs_release(ops, &list);
    free(close.first);
    free(close.second);
    free(close.scratch);
}

static void compare(int d, double eps, enum simd_choice choice) {
    const struct step_law step = {.seed = 0x123456789abcdefu,
                                  .step = 0xfffffffffu, /* its upper word changes on the way */
                                  .dt = 0.1,
                                  .v0 = 0.5,
                                  .k = 1.5,
                                  .g_decay = 0.99,
                                  .g_kick = 0.14,
                                  .x_kick = sqrt(2 * eps * 0.1)};
    struct gas plain, simd;
    struct step_result want, got;
    if (!ops_cpu_choose(choice)) {
        print_message("not on this processor: skipped\n");
        return;
    }
    make(&simd, d);
    run(&simd, &step, &got);
    ops_cpu_choose(SIMD_PLAIN);
    make(&plain, d);
    run(&plain, &step, &want);
    ops_cpu_choose(SIMD_AUTO);
    long crossings = 0;
    for (int a = 0; a < d; a++)
        for (size_t i = 0; i < plain.p->owned; i++) {
            assert_int_equal(simd.sum[force_at(d, i, a)], plain.sum[force_at(d, i, a)]);
            assert_int_equal(simd.p->q[a][i], plain.p->q[a][i]);
            assert_int_equal(simd.p->image[a][i], plain.p->image[a][i]);
            assert_true(simd.p->g[a][i] == plain.p->g[a][i]);
            crossings += plain.p->image[a][i] != 0;
        }
    assert_true(crossings > 10);
    assert_int_equal(got.bad, 0);
    assert_int_equal(want.bad, 0);
    assert_true(fabs(got.displacement / want.displacement - 1) < 1e-9);
    assert_true(fabs(got.moved / want.moved - 1) < 1e-9);
    drop(&plain);
    drop(&simd);
}

static void test_avx2(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++)
        for (int noisy = 0; noisy < 2; noisy++)
            compare(d, 0.01 * noisy, SIMD_AVX2);
}

static void test_avx512(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++)
        for (int noisy = 0; noisy < 2; noisy++)
            compare(d, 0.01 * noisy, SIMD_AVX512);
}

/* So many that arrays do not stay in cache, which is minded: sorted along the box, as they are in a simulation, but for
 * some; all owned, and with ghosts. */
static void test_many(void **state) {
    (void)state;
    static const enum simd_choice choices[] = {SIMD_AVX2, SIMD_AVX512};
    N = MANY;
    sorted = true;
    for (int m = 0; m < 2; m++)
        for (GHOSTS = 0; GHOSTS <= 5000; GHOSTS += 5000)
            compare(2, 0, choices[m]);
    N = FEW;
    GHOSTS = 411;
    sorted = false;
}

/* Lists are the same, number by number, for every instruction set, and have each pair of two owned particles once. */
static void test_lists(void **state) {
    (void)state;
    static const enum simd_choice choices[] = {SIMD_PLAIN, SIMD_AVX2, SIMD_AVX512};
    for (int d = 1; d <= 3; d++) {
        struct gas c;
        struct pair_list list[3] = {{0}};
        make(&c, d);
        for (int m = 0; m < 3; m++) {
            if (!ops_cpu_choose(choices[m]))
                continue;
            assert_int_equal(pairs_build(c.p, &c.box, law.cutoff, &list[m]), STATUS_OK);
            for (size_t i = 0; i <= c.p->owned; i++)
                assert_int_equal(list[m].start[i], list[0].start[i]);
            for (size_t n = 0; n < list[0].start[c.p->owned]; n++)
                assert_int_equal(list[m].neighbour[n], list[0].neighbour[n]);
        }
        ops_cpu_choose(SIMD_AUTO);
        size_t near = 0, ghosts = 0;
        for (size_t i = 0; i < c.p->owned; i++)
            for (size_t j = i + 1; j < N; j++) {
                double square = 0;
                for (int a = 0; a < d; a++)
                    square +=
                        pow((double)(int64_t)(c.p->q[a][i] - c.p->q[a][j]) * c.box.side[a] * 0x1p-64, 2);
                near += square < law.cutoff * law.cutoff;
                ghosts += square < law.cutoff * law.cutoff && j >= c.p->owned;
            }
        assert_true(ghosts > 1000);
        assert_in_range(list[0].start[c.p->owned], near, near + 3); /* some hairs beyond the radius */
        for (int m = 0; m < 3; m++)
            pairs_release(ops_cpu(), &list[m]);
        drop(&c);
    }
}

/* What close pairs give is what all pairs of the list give: nothing near is left out. */
static void test_close_pairs_are_enough(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++) {
        struct gas c;
        struct pair_list list = {0};
        int64_t *sum = calloc(N * force_numbers(d), sizeof *sum);
        const struct step_law still = {.g_decay = 1, .dt = 0};
        struct step_result result;
        make(&c, d);
        run(&c, &still, &result);
        assert_int_equal(pairs_build(c.p, &c.box, law.cutoff + 3, &list), STATUS_OK);
        ops_cpu()->pair_force(ops_cpu(), &c.box, &law, c.p->owned, N, c.p->id, c.p->q, &list, sum);
        for (int a = 0; a < d; a++)
            for (size_t i = 0; i < c.p->owned; i++)
                assert_int_equal(c.sum[force_at(d, i, a)], sum[force_at(d, i, a)]);
        free(sum);
        pairs_release(ops_cpu(), &list);
        drop(&c);
    }
}

/* A propulsion that is no number, and a step too long, are found and named. */
static void test_bad_particles(void **state) {
    (void)state;
    static const enum simd_choice choices[] = {SIMD_PLAIN, SIMD_AVX2, SIMD_AVX512};
    for (int m = 0; m < 3; m++) {
        const struct step_law step = {.dt = 0.1, .v0 = 1, .k = 1, .g_decay = 0.9, .g_kick = 0.1};
        struct step_result result;
        struct gas c;
        if (!ops_cpu_choose(choices[m]))
            continue;
        make(&c, 2);
        c.p->g[1][130] = NAN;
        c.p->g[0][1000] = 9e5;
        ops_cpu()->step(ops_cpu(), &c.box, &step, c.p->owned, c.p->id, c.sum, c.q_list, c.p->q, c.p->image,
                        c.p->g, NULL, NULL, &result);
        assert_int_equal(result.bad, 2);
        assert_true(result.bad_id == c.p->id[130] || result.bad_id == c.p->id[1000]);
        drop(&c);
    }
    ops_cpu_choose(SIMD_AUTO);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_avx2),
                                       cmocka_unit_test(test_avx512),
                                       cmocka_unit_test(test_many),
                                       cmocka_unit_test(test_lists),
                                       cmocka_unit_test(test_close_pairs_are_enough),
                                       cmocka_unit_test(test_bad_particles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
