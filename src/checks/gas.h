/* The same particles in the memory of both tables, for the tests of lists, forces and steps. Needs both.h. */
#ifndef EPFLOW_CHECKS_GAS_H
#define EPFLOW_CHECKS_GAS_H

#include "checks/both.h"

#include "space/neighbours.h"

enum gas_kind {
    GAS_EVEN,     /* anywhere in the box */
    GAS_CROWDED,  /* a tenth in a corner, two at one place */
    GAS_CORNER,   /* all of them around a corner of the box, in less than half of it */
    GAS_OPEN,     /* in the middle of an open box */
    GAS_COPIES,   /* of 37 particles, the last one not whole; ids in no order */
    GAS_ONE_COPY, /* one of all */
    GAS_LATTICE   /* on the places of a square lattice: many at the same distance */
};

struct gas {
    struct box box;
    size_t n, owned;
    struct particles *cpu, *cuda; /* owned first */
};

enum { GAS_GROUP = 37 };

/* On one axis, in units of 2^64. */
static inline uint64_t gas_place(enum gas_kind kind, uint32_t name, size_t i, int a, int d) {
    const double x = both_number(name + (uint32_t)a, i);
    if (kind == GAS_CORNER || (kind == GAS_CROWDED && i % 10 == 0))
        return (uint64_t)(int64_t)ldexp(x - 0.5, kind == GAS_CORNER ? 62 : 55 + 3 * d);
    if (kind == GAS_OPEN)
        return (uint64_t)(int64_t)ldexp(x - 0.5, 61);
    if (kind == GAS_LATTICE)
        return (uint64_t)(x * 16) << 60;
    return (uint64_t)(x * 0x1p63) * 2 + 1;
}

/* side: of the first axis; the others are longer. */
static inline struct gas gas_make(enum gas_kind kind, int d, size_t n, size_t ghosts, double side) {
    static uint32_t made;
    const uint32_t name = 100 * ++made;
    struct gas c = {.box = {.d = d, .periodic = kind != GAS_OPEN}, .n = n, .owned = n - ghosts};
    if (kind == GAS_COPIES || kind == GAS_ONE_COPY) {
        c.box.group = kind == GAS_COPIES ? GAS_GROUP : (uint32_t)n;
        c.box.groups = (uint32_t)(n / c.box.group + 4);
    }
    both_same(particles_create(both_cpu, d, n + 1, &c.cpu), STATUS_OK);
    both_same(particles_create(both_cuda, d, n + 1, &c.cuda), STATUS_OK);
    for (size_t i = 0; i < n; i++)
        c.cpu->id[i] = kind == GAS_COPIES ? (uint32_t)(i * 7919 % n) + 3 * GAS_GROUP : (uint32_t)i;
    for (int a = 0; a < d; a++) {
        c.box.side[a] = side * (1 + 0.1 * a);
        for (size_t i = 0; i < n; i++) {
            c.cpu->q[a][i] = gas_place(kind, name, i, a, d);
            c.cpu->g[a][i] = 3 * both_number(name + 10 + (uint32_t)a, i) - 1.5;
        }
        if (n > 2 && kind == GAS_CROWDED)
            c.cpu->q[a][1] = c.cpu->q[a][2];
        both_cuda->to_device(both_cuda, c.cuda->q[a], c.cpu->q[a], n * sizeof(uint64_t));
        both_cuda->to_device(both_cuda, c.cuda->g[a], c.cpu->g[a], n * sizeof(double));
    }
    both_cuda->to_device(both_cuda, c.cuda->id, c.cpu->id, n * sizeof(uint32_t));
    c.cpu->owned = c.cuda->owned = c.owned;
    c.cpu->ghosts = c.cuda->ghosts = ghosts;
    return c;
}

static inline void gas_free(struct gas *c) {
    particles_destroy(&c->cpu);
    particles_destroy(&c->cuda);
}

/* Two arrays, of the CPU's and of the CUDA table's memory, have the same first bytes. */
static inline void gas_equal(const char *what, const void *on_cpu, const void *on_cuda, size_t bytes) {
    const struct both b = {
        .cpu = (void *)(uintptr_t)on_cpu, .cuda = (void *)(uintptr_t)on_cuda, .bytes = bytes};
    both_equal(what, &b);
}

/* Lists of the same pairs in the same order. */
static inline void gas_lists_equal(const char *what, size_t rows, const struct pair_list *on_cpu,
                                   const struct pair_list *on_cuda) {
    gas_equal(what, on_cpu->start, on_cuda->start, (rows + 1) * sizeof *on_cpu->start);
    gas_equal(what, on_cpu->neighbour, on_cuda->neighbour, on_cpu->start[rows] * sizeof *on_cpu->neighbour);
}

#endif
