/* Tests on several ranks: MPI up before the tests and down after them, and configurations to work on. */
#ifndef EPFLOW_TESTS_RANKS_H
#define EPFLOW_TESTS_RANKS_H

#include "space/neighbours.h"
#include "every_loops.h"

static struct comm *comm;

/* A configuration that every rank knows as a whole: most of the particles in a blob, some anywhere, so that rank
 * boxes differ in size and some particles have their neighbours far away. */
struct whole {
    struct box box;
    size_t n;
    uint64_t *q[MAX_DIMENSION]; /* (n) in order of id */
    double *g[MAX_DIMENSION];
};

static inline struct whole whole_make(int d, size_t n, double side, bool periodic, uint64_t seed) {
    struct whole w = {.box = {.d = d, .periodic = periodic}, .n = n};
    for (int a = 0; a < d; a++) {
        w.box.side[a] = side * (1 + 0.2 * a);
        w.q[a] = malloc(n * sizeof(uint64_t));
        w.g[a] = malloc(n * sizeof(double));
        for (size_t i = 0; i < n; i++) {
            uint32_t word[4];
            rng_words(seed, STREAM_PROBE, (uint32_t)i, (uint64_t)a, 0, word);
            double u = rng_uniform(word[0]) - 0.5, x = i % 8 ? 0.3 * u * w.box.side[a] : u * w.box.side[a];
            w.q[a][i] = position_to_integer(&w.box, a, periodic ? x : x / 2);
            w.g[a][i] = 2 * rng_uniform(word[1]) - 1;
        }
    }
    return w;
}

static inline void whole_free(struct whole *w) {
    for (int a = 0; a < w->box.d; a++) {
        free(w->q[a]);
        free(w->g[a]);
    }
}

static inline double whole_distance(const struct whole *w, size_t i, size_t j) {
    double square = 0;
    for (int a = 0; a < w->box.d; a++) {
        double delta = (double)(int64_t)(w->q[a][i] - w->q[a][j]) * (w->box.side[a] * 0x1p-64);
        square += delta * delta;
    }
    return sqrt(square);
}

/* This rank's slice of it. */
static inline struct slice *whole_slice(const struct whole *w) {
    struct slice *slice = NULL;
    assert_int_equal(slice_create(w->n, w->box.d, comm, &slice), STATUS_OK);
    for (size_t i = 0; i < slice->count; i++)
        for (int a = 0; a < w->box.d; a++) {
            size_t at = i * (size_t)w->box.d + (size_t)a;
            slice->q[at] = w->q[a][slice->begin + i];
            slice->g[at] = w->g[a][slice->begin + i];
            slice->image[at] = (int32_t)(slice->begin + i) % 5 - 2;
        }
    return slice;
}

static inline int finish_on_ranks(int failed) {
    if (failed)
        comm_abort(comm, 1); /* the others may wait for this rank */
    comm_stop(&comm);
    return failed;
}

static inline int run_on_ranks(int argc, char **argv, const struct CMUnitTest *tests, size_t count) {
    if (comm_start(&argc, &argv, &comm) != STATUS_OK)
        return 1;
    return finish_on_ranks(_cmocka_run_group_tests("ranks", tests, count, NULL, NULL));
}

/* The same once for every instruction set. */
static inline int run_on_ranks_with_every_loops(int argc, char **argv, const struct CMUnitTest *tests,
                                                size_t count) {
    if (comm_start(&argc, &argv, &comm) != STATUS_OK)
        return 1;
    return finish_on_ranks(run_with_every_loops(tests, count, NULL));
}

#endif
