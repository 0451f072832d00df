/* Where particles are, which of them are somewhere, in which order, and moves of some of them: the same bits. */
#include "checks/gas.h"

/* Sizes below and beyond a warp, a block and a tile of the sums. */
static const struct shape {
    enum gas_kind kind;
    int d;
    size_t n;
} shapes[] = {{GAS_EVEN, 2, 0},       {GAS_EVEN, 1, 1},    {GAS_EVEN, 3, 2},     {GAS_EVEN, 2, 33},
              {GAS_EVEN, 1, 257},     {GAS_EVEN, 3, 2049}, {GAS_EVEN, 2, 5003},  {GAS_CROWDED, 2, 4096},
              {GAS_CORNER, 1, 300},   {GAS_CORNER, 2, 64}, {GAS_CORNER, 3, 999}, {GAS_OPEN, 3, 700},
              {GAS_LATTICE, 2, 1000}, {GAS_COPIES, 2, 777}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static struct gas make(int s) {
    return gas_make(shapes[s].kind, shapes[s].d, shapes[s].n, 0, 50);
}

/* What the host has been given by both. */
static void same_host(const char *what, const void *want, const void *got, size_t bytes) {
    struct both b = both_of(want, bytes);
    both_cuda->to_device(both_cuda, b.cuda, got, bytes);
    both_equal(what, &b);
    both_release(&b);
}

static void compare_extents(const struct gas *c) {
    uint64_t low[2][MAX_DIMENSION] = {{0}}, extent[2][MAX_DIMENSION] = {{0}};
    uint32_t id[2][2];
    both_cpu->extents(both_cpu, c->box.d, c->n, c->cpu->q, low[0], extent[0]);
    both_cuda->extents(both_cuda, c->box.d, c->n, c->cuda->q, low[1], extent[1]);
    same_host("low", low[0], low[1], sizeof low[0]);
    same_host("extent", extent[0], extent[1], sizeof extent[0]);
    both_cpu->id_range(both_cpu, c->n, c->cpu->id, &id[0][0], &id[0][1]);
    both_cuda->id_range(both_cuda, c->n, c->cuda->id, &id[1][0], &id[1][1]);
    same_host("ids", id[0], id[1], sizeof id[0]);
}

static void extents(void) {
    for (int s = 0; s < SHAPES; s++) {
        struct gas c = make(s);
        compare_extents(&c);
        gas_free(&c);
    }
    struct gas c = gas_make(GAS_CORNER, 2, 140001, 0, 500); /* more than the blocks have threads for */
    const uint64_t far[] = {c.cpu->q[0][0] - ((uint64_t)1 << 63), c.cpu->q[0][0] + INT64_MAX};
    compare_extents(&c);
    for (int end = 0; end < 2; end++) { /* on either side as far as there is */
        c.cpu->q[0][139999] = far[end];
        both_cuda->to_device(both_cuda, c.cuda->q[0], c.cpu->q[0], c.n * sizeof *far);
        compare_extents(&c);
    }
    gas_free(&c);
}

/* Returns how many are outside. */
static size_t compare_outside(const struct gas *c, const struct region *region) {
    const size_t count = both_cpu->outside(both_cpu, c->box.d, c->n, c->cpu->q, region, c->cpu->chosen);
    both_same(both_cuda->outside(both_cuda, c->box.d, c->n, c->cuda->q, region, c->cuda->chosen), count);
    gas_equal("outside", c->cpu->chosen, c->cuda->chosen, count * sizeof *c->cpu->chosen);
    return count;
}

/* None, one (the last on the first axis), all, and some. */
static void outside(void) {
    for (int s = 0; s < SHAPES; s++) {
        struct gas c = make(s);
        const size_t one = c.n > 0 && c.box.group == 0 && shapes[s].kind == GAS_EVEN;
        struct region region = {.most = {UINT64_MAX, UINT64_MAX, UINT64_MAX}};
        uint64_t last = 0;
        both_same(compare_outside(&c, &region), 0);
        for (size_t i = 0; i < c.n; i++)
            last = c.cpu->q[0][i] > last ? c.cpu->q[0][i] : last;
        region.most[0] = last - one;
        both_same(compare_outside(&c, &region), one);
        region.least[c.box.d - 1] = UINT64_MAX / 3;
        compare_outside(&c, &region);
        region.origin[0] = (uint64_t)-1 / 7 * 5;
        region.most[0] = UINT64_MAX / 2;
        compare_outside(&c, &region);
        both_same(compare_outside(&c, &(struct region){.least = {1, 1, 1}}), c.n);
        gas_free(&c);
    }
}

/* As particles' positions, images and ids move. */
static int list_columns(const struct particles *p, struct moved_column column[MOVED_COLUMNS]) {
    int count = 0;
    for (int a = 0; a < p->d; a++)
        column[count++] = (struct moved_column){p->q[a], sizeof *p->q[a]};
    for (int a = 0; a < p->d; a++)
        column[count++] = (struct moved_column){p->image[a], sizeof *p->image[a]};
    column[count++] = (struct moved_column){p->id, sizeof *p->id};
    return count;
}

static void columns_equal(const struct gas *c) {
    for (int a = 0; a < c->box.d; a++) {
        gas_equal("q", c->cpu->q[a], c->cuda->q[a], c->n * sizeof *c->cpu->q[a]);
        gas_equal("image", c->cpu->image[a], c->cuda->image[a], c->n * sizeof *c->cpu->image[a]);
    }
    gas_equal("id", c->cpu->id, c->cuda->id, c->n * sizeof *c->cpu->id);
}

/* Every `stride`th particle to the host, and back in the places of others. */
static void compare_moves(const struct gas *c, size_t stride) {
    struct moved_column column[2][MOVED_COLUMNS];
    const int columns = list_columns(c->cpu, column[0]);
    const size_t count = stride > 0 ? (c->n + stride - 1) / stride : 0, bytes = (size_t)(12 * c->box.d + 4);
    char *host[2] = {malloc(bytes * count + 1), malloc(bytes * count + 1)};
    both_require(host[0] && host[1]);
    list_columns(c->cuda, column[1]);
    for (size_t m = 0; m < count; m++)
        c->cpu->chosen[m] = (uint32_t)(c->n - 1 - m * stride);
    both_cuda->to_device(both_cuda, c->cuda->chosen, c->cpu->chosen, count * sizeof *c->cpu->chosen);
    both_cpu->fetch(both_cpu, columns, column[0], count, c->cpu->chosen, host[0]);
    both_cuda->fetch(both_cuda, columns, column[1], count, c->cuda->chosen, host[1]);
    same_host("fetched", host[0], host[1], bytes * count);
    for (size_t m = 0; m < count; m++)
        c->cpu->chosen[m] = (uint32_t)(m * stride);
    both_cuda->to_device(both_cuda, c->cuda->chosen, c->cpu->chosen, count * sizeof *c->cpu->chosen);
    both_cpu->store(both_cpu, columns, column[0], count, c->cpu->chosen, host[0]);
    both_cuda->store(both_cuda, columns, column[1], count, c->cuda->chosen, host[1]);
    columns_equal(c);
    free(host[0]);
    free(host[1]);
}

static void moves(void) {
    static const size_t strides[] = {0, 1, 2, 7, 5003};
    for (int s = 0; s < SHAPES; s++)
        for (int m = 0; m < 5; m++) {
            struct gas c = make(s);
            for (int a = 0; a < c.box.d; a++) {
                for (size_t i = 0; i < c.n; i++)
                    c.cpu->image[a][i] = (int32_t)(i * 31) - 77 * a;
                both_cuda->to_device(both_cuda, c.cuda->image[a], c.cpu->image[a],
                                     c.n * sizeof *c.cpu->image[a]);
            }
            compare_moves(&c, strides[m]);
            gas_free(&c);
        }
}

/* Cells of all sizes, up to more of them than 64 bits can number. */
static void order(void) {
    for (int s = 0; s < SHAPES; s++)
        for (double cell = 60; cell > 1e-6; cell *= 0.02) {
            struct gas c = make(s);
            struct both order_of = both_zero(c.n * sizeof(uint32_t)), id = both_zero(order_of.bytes),
                        room = both_zero(c.n * ORDER_SCRATCH);
            both_cpu->order_in_space(both_cpu, &c.box, cell, c.n, c.cpu->id, c.cpu->q, order_of.cpu,
                                     room.cpu);
            both_cuda->order_in_space(both_cuda, &c.box, cell, c.n, c.cuda->id, c.cuda->q, order_of.cuda,
                                      room.cuda);
            both_equal("order", &order_of);
            both_cpu->gather4(both_cpu, c.n, order_of.cpu, c.cpu->id, id.cpu);
            both_cuda->gather4(both_cuda, c.n, order_of.cuda, c.cuda->id, id.cuda);
            both_equal("ids in order", &id);
            both_release(&order_of);
            both_release(&id);
            both_release(&room);
            gas_free(&c);
        }
}

static const struct check list[] = {
    {"extents", extents}, {"outside", outside}, {"moves", moves}, {"order in space", order}};
const struct check_group check_order = {"order", sizeof list / sizeof *list, list};
