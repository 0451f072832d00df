/* Sums over pairs of the CUDA table beside the CPU table's. Forces in fixed point have the same bits, and so has what is
 * summed in float64 of a particle, in the order of the CPU's loops; sums over all particles are of another order. */
#include "checks/gas.h"

#include "ops/alignment_formula.h"

static const double SUM = 1e-13; /* of float64 sums over some thousand numbers, in another order */

static const struct shape {
    enum gas_kind kind;
    int d;
    size_t n, ghosts;
    double side;
} shapes[] = {
    {GAS_EVEN, 2, 1, 0, 20},       {GAS_EVEN, 1, 2, 1, 20},        {GAS_EVEN, 1, 77, 0, 150},
    {GAS_EVEN, 2, 2049, 300, 60},  {GAS_EVEN, 3, 1500, 200, 13},   {GAS_CROWDED, 1, 900, 50, 900},
    {GAS_CROWDED, 2, 3003, 0, 80}, {GAS_CROWDED, 3, 900, 300, 20}, {GAS_OPEN, 2, 700, 0, 200},
    {GAS_LATTICE, 2, 300, 90, 32}, {GAS_COPIES, 2, 500, 0, 12},    {GAS_EVEN, 2, 40, 40, 10},
    {GAS_EVEN, 2, 300, 299, 20},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const struct pair_law softplus = {
    .beta = 7.5, .cutoff = 3.2, .kind = PAIRS_SOFTPLUS, .alignment = 1, .alignment_radius = 3.6};

/* Particles and the pairs of a law, in both memories. */
struct setting {
    struct gas gas;
    struct pair_law law;
    struct pair_list cpu, cuda;
};

static void find_pairs(struct setting *s) {
    both_same(law_pairs_build(s->gas.cpu, &s->gas.box, &s->law, 0.5, &s->cpu), STATUS_OK);
    both_same(law_pairs_build(s->gas.cuda, &s->gas.box, &s->law, 0.5, &s->cuda), STATUS_OK);
    gas_lists_equal("pairs", s->gas.owned, &s->cpu, &s->cuda);
}

static struct setting repelling(const struct shape *shape) {
    struct setting s = {.gas = gas_make(shape->kind, shape->d, shape->n, shape->ghosts, shape->side),
                        .law = softplus};
    find_pairs(&s);
    return s;
}

/* A crystal of about 150 particles in disorder, some of them ghosts, a little displaced. */
static struct setting crystal(int d, size_t ghosts, bool longitudinal) {
    static const uint32_t sites[3][3] = {{151, 1, 1}, {13, 12, 1}, {5, 6, 7}};
    struct setting s = {.law = {.cutoff = 4, .kind = PAIRS_SPRINGS, .longitudinal = longitudinal}};
    struct lattice *l = &s.law.lattice;
    *l = (struct lattice){.d = d, .particles = sites[d - 1][0] * sites[d - 1][1] * sites[d - 1][2]};
    memcpy(l->sites, sites[d - 1], sizeof l->sites);
    lattice_prepare(l);
    s.gas = gas_make(GAS_EVEN, d, l->particles, ghosts, 14);
    for (uint32_t i = 0; i < l->particles; i++) {
        uint64_t site[MAX_DIMENSION];
        s.gas.cpu->id[i] = i * 17 % l->particles;
        lattice_site(l, s.gas.cpu->id[i], site);
        for (int a = 0; a < d; a++)
            s.gas.cpu->q[a][i] = site[a] + (uint64_t)(int64_t)ldexp(s.gas.cpu->g[a][i], 57);
    }
    both_cuda->to_device(both_cuda, s.gas.cuda->id, s.gas.cpu->id, l->particles * sizeof(uint32_t));
    for (int a = 0; a < d; a++)
        both_cuda->to_device(both_cuda, s.gas.cuda->q[a], s.gas.cpu->q[a], l->particles * sizeof(uint64_t));
    find_pairs(&s);
    return s;
}

static void drop(struct setting *s) {
    pairs_release(both_cpu, &s->cpu);
    pairs_release(both_cuda, &s->cuda);
    gas_free(&s->gas);
}

static void compare_pair_force(const struct setting *s) {
    const struct gas *c = &s->gas;
    struct both sum = both_zero(c->n * force_numbers(c->box.d) * sizeof(int64_t));
    both_cpu->pair_force(both_cpu, &c->box, &s->law, c->owned, c->n, c->cpu->id, c->cpu->q, &s->cpu, sum.cpu);
    both_cuda->pair_force(both_cuda, &c->box, &s->law, c->owned, c->n, c->cuda->id, c->cuda->q, &s->cuda,
                          sum.cuda);
    gas_equal("pair force", sum.cpu, sum.cuda, c->owned * force_numbers(c->box.d) * sizeof(int64_t));
    both_release(&sum);
}

/* d arrays of n float64, a different one on each table; b[a].cpu, b[a].cuda. */
struct fields {
    struct both b[MAX_DIMENSION];
    double *cpu[MAX_DIMENSION], *cuda[MAX_DIMENSION];
};
static struct fields fields_zero(int d, size_t n) {
    struct fields f = {0};
    for (int a = 0; a < d; a++) {
        f.b[a] = both_zero(n * sizeof(double));
        f.cpu[a] = f.b[a].cpu;
        f.cuda[a] = f.b[a].cuda;
    }
    return f;
}
static void fields_equal(const char *what, int d, size_t n, const struct fields *f) {
    for (int a = 0; a < d; a++)
        gas_equal(what, f->cpu[a], f->cuda[a], n * sizeof(double));
}
static void fields_free(int d, struct fields *f) {
    for (int a = 0; a < d; a++)
        both_release(&f->b[a]);
}

static void compare_drift(const struct setting *s, double trap, const struct lattice *anchor,
                          struct fields *force, struct both *divergence) {
    const struct gas *c = &s->gas;
    struct fields b = fields_zero(c->box.d, c->n);
    both_cpu->drift(both_cpu, &c->box, 1.7, trap, anchor, c->owned, c->cpu->id, c->cpu->q, c->cpu->g,
                    force->cpu, divergence->cpu, b.cpu);
    both_cuda->drift(both_cuda, &c->box, 1.7, trap, anchor, c->owned, c->cuda->id, c->cuda->q, c->cuda->g,
                     force->cuda, divergence->cuda, b.cuda);
    fields_equal("drift", c->box.d, c->owned, &b);
    fields_equal("force of drift", c->box.d, c->owned, force);
    gas_equal("divergence of drift", divergence->cpu, divergence->cuda, c->owned * sizeof(double));
    fields_free(c->box.d, &b);
}

static void compare_terms(const struct setting *s) {
    const struct gas *c = &s->gas;
    const struct lattice none = {0};
    struct fields force = fields_zero(c->box.d, c->n);
    struct both divergence = both_zero(c->n * sizeof(double));
    both_cpu->pair_terms(both_cpu, &c->box, &s->law, 1.3, c->owned, c->n, c->cpu->id, c->cpu->q, &s->cpu,
                         force.cpu, divergence.cpu);
    both_cuda->pair_terms(both_cuda, &c->box, &s->law, 1.3, c->owned, c->n, c->cuda->id, c->cuda->q, &s->cuda,
                          force.cuda, divergence.cuda);
    fields_equal("force", c->box.d, c->owned, &force);
    gas_equal("divergence", divergence.cpu, divergence.cuda, c->owned * sizeof(double));
    compare_drift(s, 0, &none, &force, &divergence);
    compare_drift(s, 0.4, &none, &force, &divergence);
    compare_drift(s, 0.4, &s->law.lattice, &force, &divergence);
    both_release(&divergence);
    fields_free(c->box.d, &force);
}

static void assert_near(const char *what, double got, double want) {
    if (!(fabs(got - want) <= SUM * (1 + fabs(want))))
        both_fail("%s: %.17g on the CUDA table, %.17g on the CPU table", what, got, want);
}

static void compare_sums(const struct setting *s) {
    const struct gas *c = &s->gas;
    struct both diagonal = both_zero(c->n * (size_t)(c->box.d * c->box.d) * sizeof(double));
    double want = both_cpu->pair_quadratic(both_cpu, &c->box, &s->law, 1.3, c->owned, c->cpu->id, c->cpu->q,
                                           &s->cpu, c->cpu->g),
           got = both_cuda->pair_quadratic(both_cuda, &c->box, &s->law, 1.3, c->owned, c->cuda->id,
                                           c->cuda->q, &s->cuda, c->cuda->g);
    assert_near("quadratic form", got, want);
    for (int m = 0; m < 2; m++) {
        want = both_cpu->stiffness_squared(both_cpu, &c->box, &s->law, 1.3, 0.6 * m, c->owned, c->n,
                                           c->cpu->id, c->cpu->q, &s->cpu, diagonal.cpu);
        got = both_cuda->stiffness_squared(both_cuda, &c->box, &s->law, 1.3, 0.6 * m, c->owned, c->n,
                                           c->cuda->id, c->cuda->q, &s->cuda, diagonal.cuda);
        assert_near("squared stiffness", got, want);
    }
    both_release(&diagonal);
}

static void compare_counts(const struct setting *s) {
    const struct gas *c = &s->gas;
    struct both count = both_zero(c->n * sizeof(uint32_t));
    both_cpu->pair_count(both_cpu, c->owned, c->n, &s->cpu, count.cpu);
    both_cuda->pair_count(both_cuda, c->owned, c->n, &s->cuda, count.cuda);
    gas_equal("counts", count.cpu, count.cuda, c->owned * sizeof(uint32_t));
    both_release(&count);
}

/* Sums and what propulsions become of them, twice: of what they were turned to, too. */
static void compare_alignment(const struct setting *s) {
    const struct gas *c = &s->gas;
    const size_t numbers = align_numbers(c->box.d);
    struct both sum = both_random(11, c->n * numbers * sizeof(int64_t) / sizeof(real), -1, 1);
    for (int m = 0; m < 2; m++) {
        both_cpu->align(both_cpu, &c->box, &s->law, c->owned, c->n, c->cpu->q, c->cpu->g, &s->cpu, sum.cpu);
        both_cuda->align(both_cuda, &c->box, &s->law, c->owned, c->n, c->cuda->q, c->cuda->g, &s->cuda,
                         sum.cuda);
        gas_equal("alignment", sum.cpu, sum.cuda, c->owned * numbers * sizeof(int64_t));
        both_cpu->turn(both_cpu, c->box.d, 0.3, c->owned, sum.cpu, c->cpu->g);
        both_cuda->turn(both_cuda, c->box.d, 0.3, c->owned, sum.cuda, c->cuda->g);
        for (int a = 0; a < c->box.d; a++)
            gas_equal("turned propulsions", c->cpu->g[a], c->cuda->g[a], c->n * sizeof(double));
    }
    both_release(&sum);
}

static void compare(struct setting *s) {
    compare_pair_force(s);
    compare_terms(s);
    compare_sums(s);
    compare_counts(s);
    compare_alignment(s);
}

static void repelling_pairs(void) {
    for (int m = 0; m < SHAPES; m++) {
        struct setting s = repelling(&shapes[m]);
        compare(&s);
        drop(&s);
    }
}

static void bonds(void) {
    for (int d = 1; d <= 3; d++)
        for (int m = 0; m < 4; m++) {
            struct setting s = crystal(d, m % 2 ? 40 : 0, m > 1);
            compare(&s);
            drop(&s);
        }
}

/* ---- close pairs ---- */

static struct close_pairs make_close(const struct ops *ops, size_t n, size_t capacity) {
    struct close_pairs close = {.capacity = capacity + 2 * SIMD_PAIRS};
    both_same(ops->allocate(ops, close.capacity * sizeof(uint32_t), (void **)&close.first), STATUS_OK);
    both_same(ops->allocate(ops, close.capacity * sizeof(uint32_t), (void **)&close.second), STATUS_OK);
    both_same(ops->allocate(ops, n * CLOSE_SCRATCH, &close.scratch), STATUS_OK);
    return close;
}

static void drop_close(const struct ops *ops, struct close_pairs *close) {
    ops->release(ops, close->first);
    ops->release(ops, close->second);
    ops->release(ops, close->scratch);
}

static void both_parts(const struct ops *ops, const struct setting *s, struct particles *p,
                       struct close_pairs *close, int64_t *sum) {
    const struct gas *c = &s->gas;
    for (int part = PAIRS_INSIDE; part <= PAIRS_ACROSS; part++)
        ops->close_force(ops, &c->box, &s->law, part, c->owned, c->n, p->q, close, sum);
}

/* Of either table beside the sums over the whole list on the CPU; sums of weights aside. */
static void compare_close_alignment(const struct setting *s, double reach, const struct close_pairs *on_cpu,
                                    const struct close_pairs *on_cuda) {
    const struct gas *c = &s->gas;
    const size_t numbers = align_numbers(c->box.d), count = c->owned * numbers;
    struct pair_law law = s->law;
    struct both sum = both_zero(c->n * numbers * sizeof(int64_t)), close = both_zero(sum.bytes);
    int64_t *const got = calloc(count + 1, sizeof *got), *const want = sum.cpu, *const mine = close.cpu;
    law.alignment_radius = fmin(law.alignment_radius, reach - 0.2); /* places move a little */
    both_cpu->align(both_cpu, &c->box, &law, c->owned, c->n, c->cpu->q, c->cpu->g, &s->cpu, sum.cpu);
    both_cpu->close_align(both_cpu, &c->box, &law, c->owned, c->n, c->cpu->q, c->cpu->g, &s->cpu, on_cpu,
                          close.cpu);
    both_cuda->close_align(both_cuda, &c->box, &law, c->owned, c->n, c->cuda->q, c->cuda->g, &s->cuda,
                           on_cuda, close.cuda);
    both_cuda->to_host(both_cuda, got, close.cuda, count * sizeof *got);
    for (size_t m = 0; m < count; m++)
        both_require(m % numbers == numbers - 1 || (want[m] == mine[m] && want[m] == got[m]));
    free(got);
    both_release(&sum);
    both_release(&close);
}

/* Pairs that reach no farther than the force does, and some that do; found once, with the forces of places a little
 * away. With garbage in what is overwritten. */
static void compare_close(const struct setting *s, double reach) {
    const struct gas *c = &s->gas;
    const size_t bytes = c->n * force_numbers(c->box.d) * sizeof(int64_t);
    const size_t compared = c->owned * force_numbers(c->box.d) * sizeof(int64_t);
    struct close_pairs want = make_close(both_cpu, c->n, s->cpu.capacity);
    struct close_pairs got = make_close(both_cuda, c->n, s->cuda.capacity);
    struct both sum = both_random(9, bytes / sizeof(real), -1, 1),
                zeta = both_zero(c->n * 3 * sizeof(double));
    both_cpu->close_pairs(both_cpu, &c->box, reach, c->owned, c->n, c->cpu->q, &s->cpu, &want);
    both_cuda->close_pairs(both_cuda, &c->box, reach, c->owned, c->n, c->cuda->q, &s->cuda, &got);
    both_require(got.across <= got.count && got.count <= got.capacity);
    for (int m = 0; m < 2; m++) {
        both_parts(both_cpu, s, c->cpu, &want, sum.cpu);
        both_parts(both_cuda, s, c->cuda, &got, sum.cuda);
        gas_equal("close force", sum.cpu, sum.cuda, compared);
        compare_close_alignment(s, reach, &want, &got);
        const double amount = m == 0 ? 0.01 : -0.01;
        both_cpu->normal(both_cpu, 3, STREAM_PROBE, 0, c->n, c->cpu->id, c->box.d, zeta.cpu);
        both_cuda->to_device(both_cuda, zeta.cuda, zeta.cpu, zeta.bytes);
        both_cpu->shift_positions(both_cpu, &c->box, c->n, amount, zeta.cpu, c->cpu->q, c->cpu->q);
        both_cuda->shift_positions(both_cuda, &c->box, c->n, amount, zeta.cuda, c->cuda->q, c->cuda->q);
        for (int a = 0; a < c->box.d; a++)
            gas_equal("shifted", c->cpu->q[a], c->cuda->q[a], c->n * sizeof(uint64_t));
    }
    both_release(&sum);
    both_release(&zeta);
    drop_close(both_cpu, &want);
    drop_close(both_cuda, &got);
}

static void close_forces(void) {
    for (int m = 0; m < SHAPES; m++) {
        ops_cpu_choose(m % 2 ? SIMD_PLAIN : SIMD_AUTO);
        struct setting s = repelling(&shapes[m]);
        compare_close(&s, s.law.cutoff);
        compare_close(&s, s.law.cutoff + 0.3);
        drop(&s);
    }
    ops_cpu_choose(SIMD_AUTO);
}

/* All pairs of the list: forces that find nothing near too late, either. */
static void close_pairs_are_enough(void) {
    struct setting s = repelling(&(struct shape){GAS_EVEN, 2, 3000, 300, 70});
    const struct gas *c = &s.gas;
    const size_t bytes = c->n * force_numbers(2) * sizeof(int64_t);
    struct close_pairs close = make_close(both_cuda, c->n, s.cuda.capacity);
    struct both sum = both_zero(bytes);
    both_cpu->pair_force(both_cpu, &c->box, &s.law, c->owned, c->n, c->cpu->id, c->cpu->q, &s.cpu, sum.cpu);
    both_cuda->close_pairs(both_cuda, &c->box, s.law.cutoff, c->owned, c->n, c->cuda->q, &s.cuda, &close);
    both_parts(both_cuda, &s, c->cuda, &close, sum.cuda);
    gas_equal("close force", sum.cpu, sum.cuda, c->owned * force_numbers(2) * sizeof(int64_t));
    both_require(close.count < s.cpu.start[c->owned]);
    both_release(&sum);
    drop_close(both_cuda, &close);
    drop(&s);
}

/* So many that sums over counts are of more parts than a block has threads. On a line, every one with the next. */
static void many_close_pairs(void) {
    const size_t n = 700001;
    struct setting s = {.gas = gas_make(GAS_EVEN, 1, n, 0, 1e6), .law = softplus};
    struct both start = both_zero((n + 1) * sizeof(uint32_t)), neighbour = both_zero(n * sizeof(uint32_t));
    struct both sum = both_zero(n * force_numbers(1) * sizeof(int64_t));
    for (size_t i = 0; i < n; i++) {
        s.gas.cpu->q[0][i] = i * (UINT64_MAX / n);
        ((uint32_t *)start.cpu)[i + 1] = (uint32_t)(i + 1);
        ((uint32_t *)neighbour.cpu)[i] = (uint32_t)((i + 1) % n);
    }
    both_cuda->to_device(both_cuda, s.gas.cuda->q[0], s.gas.cpu->q[0], n * sizeof(uint64_t));
    both_cuda->to_device(both_cuda, start.cuda, start.cpu, start.bytes);
    both_cuda->to_device(both_cuda, neighbour.cuda, neighbour.cpu, neighbour.bytes);
    s.cpu = (struct pair_list){.start = start.cpu, .neighbour = neighbour.cpu, .capacity = n};
    s.cuda = (struct pair_list){.start = start.cuda, .neighbour = neighbour.cuda, .capacity = n};
    struct close_pairs close = make_close(both_cuda, n, n);
    both_cpu->pair_force(both_cpu, &s.gas.box, &s.law, n, n, s.gas.cpu->id, s.gas.cpu->q, &s.cpu, sum.cpu);
    both_cuda->close_pairs(both_cuda, &s.gas.box, s.law.cutoff, n, n, s.gas.cuda->q, &s.cuda, &close);
    both_parts(both_cuda, &s, s.gas.cuda, &close, sum.cuda);
    both_same(close.count, n);
    both_equal("close force", &sum);
    both_release(&start);
    both_release(&neighbour);
    both_release(&sum);
    drop_close(both_cuda, &close);
    gas_free(&s.gas);
}

static const struct check list[] = {{"repelling pairs", repelling_pairs},
                                    {"bonds", bonds},
                                    {"close forces", close_forces},
                                    {"close pairs are enough", close_pairs_are_enough},
                                    {"many close pairs", many_close_pairs}};
const struct check_group check_dynamics = {"dynamics", sizeof list / sizeof *list, list};
