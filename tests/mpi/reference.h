/* The whole of a system on every rank by itself, without domains, halos or lists that are reused: what a simulation on
 * many ranks must agree with, in every bit. */
#ifndef EPFLOW_TESTS_REFERENCE_H
#define EPFLOW_TESTS_REFERENCE_H

#include "dynamics/simulation.h"
#include "mpi/ranks.h"

struct reference {
    struct particles *p;
    struct pair_list list;
    int64_t *force;
    uint64_t *q_list[MAX_DIMENSION];
};

static inline struct config config_of(int d, int64_t n, double phi, double trap, double eps, double dt) {
    struct config c = {
        .system = {.dimension = d,
                   .particles = n,
                   .packing_fraction = phi,
                   .v0 = 0.25,
                   .k = 1,
                   .beta = 7.5,
                   .gamma = 0.05,
                   .eps = eps,
                   .trap = trap},
        .simulation = {.dt = dt, .start = "random", .seed = 5, .cutoff_tolerance = 1e-5, .skin = 0.4}};
    if (trap > 0) {
        c.system.packing_fraction = 0;
        c.system.box_sides = 1;
        c.system.box[0] = 200;
    }
    return c;
}

/* The whole system on this rank, from the same start. */
static inline struct reference reference_make(const struct config *c, const struct box *box) {
    struct reference r = {0};
    const size_t n = (size_t)config_total(&c->system), d = (size_t)box->d;
    struct slice all = {.n = n, .d = box->d, .count = n};
    all.q = calloc(n * d, sizeof *all.q);
    all.g = calloc(n * d, sizeof *all.g);
    all.image = calloc(n * d, sizeof *all.image);
    system_start(c, &all);
    assert_int_equal(particles_create(ops_cpu(), box->d, n, &r.p), STATUS_OK);
    r.p->owned = n;
    r.force = calloc(n * force_numbers(box->d), sizeof *r.force);
    for (size_t a = 0; a < d; a++) {
        r.q_list[a] = calloc(n, sizeof(uint64_t));
        for (size_t i = 0; i < n; i++) {
            r.p->id[i] = (uint32_t)i;
            r.p->q[a][i] = all.q[i * d + a];
            r.p->g[a][i] = all.g[i * d + a];
        }
    }
    free(all.q);
    free(all.g);
    free(all.image);
    return r;
}

static inline void reference_step(struct reference *r, const struct box *box, const struct pair_law *law,
                                  const struct step_law *step) {
    struct step_result result;
    assert_int_equal(law_pairs_build(r->p, box, law, 0.01, &r->list), STATUS_OK);
    ops_cpu()->pair_force(ops_cpu(), box, law, r->p->owned, r->p->owned, r->p->id, r->p->q, &r->list,
                          r->force);
    ops_cpu()->step(ops_cpu(), box, step, r->p->owned, r->p->id, r->force, r->q_list, r->p->q, r->p->image,
                    r->p->g, NULL, NULL, &result);
    assert_int_equal(result.bad, 0);
}

static inline struct config crystal_of(int d, int64_t n, const double box[], double eps, double tether,
                                       double dt) {
    struct config c = config_of(d, n, 0, 0, eps, dt);
    c.system.kind = SYSTEM_CRYSTAL;
    c.system.box_sides = d;
    memcpy(c.system.box, box, (size_t)d * sizeof *box);
    c.system.spring = 1.3;
    c.system.tether = tether;
    c.system.spring_kind = tether > 0 ? SPRING_LONGITUDINAL : SPRING_ISOTROPIC;
    return c;
}

static inline void assert_same_bits(const struct simulation *s, const struct reference *r) {
    for (int a = 0; a < s->box.d; a++)
        for (size_t i = 0; i < s->particles->owned; i++) {
            uint32_t id = s->particles->id[i];
            assert_int_equal(s->particles->q[a][i], r->p->q[a][id]);
            assert_int_equal(s->particles->image[a][i], r->p->image[a][id]);
            assert_memory_equal(&s->particles->g[a][i], &r->p->g[a][id], sizeof(double));
        }
}

static inline void reference_free(struct reference *r) {
    free(r->force);
    for (int a = 0; a < r->p->d; a++) {
        free(r->q_list[a]);
    }
    pairs_release(ops_cpu(), &r->list);
    particles_destroy(&r->p);
}

#endif
