/* Cells, lists and nearest neighbours of the CUDA table beside the CPU table's: the same bits. */
#include "gas.h"

/* Sizes below and beyond a warp, a block and a tile of the sort. */
static const struct shape {
    enum gas_kind kind;
    int d;
    size_t n, ghosts;
    double side, radius;
} shapes[] = {
    {GAS_EVEN, 2, 1, 0, 20, 2},        {GAS_EVEN, 1, 2, 1, 20, 3},        {GAS_EVEN, 1, 77, 0, 150, 4},
    {GAS_EVEN, 2, 2049, 300, 60, 2.5}, {GAS_EVEN, 3, 1500, 200, 13, 1.7}, {GAS_EVEN, 2, 400, 0, 9, 4.4},
    {GAS_CROWDED, 1, 900, 50, 900, 3}, {GAS_CROWDED, 2, 5003, 0, 100, 2}, {GAS_CROWDED, 3, 1200, 300, 20, 2},
    {GAS_CORNER, 1, 300, 20, 400, 2},  {GAS_CORNER, 2, 1100, 100, 60, 1}, {GAS_CORNER, 3, 800, 0, 20, 1.2},
    {GAS_OPEN, 2, 700, 0, 200, 2},     {GAS_OPEN, 3, 600, 99, 90, 3},     {GAS_LATTICE, 2, 500, 90, 16, 2},
    {GAS_COPIES, 2, 1000, 0, 12, 2},   {GAS_COPIES, 3, 100, 0, 8, 2},     {GAS_ONE_COPY, 2, 900, 0, 30, 2},
    {GAS_EVEN, 2, 40, 40, 10, 2},      {GAS_EVEN, 2, 300, 299, 20, 3},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static size_t cells_in(const struct cell_grid *grid) {
    return (size_t)grid->cells[0] * (size_t)grid->cells[1] * (size_t)grid->cells[2];
}

static void grids(const struct gas *c, double cell, struct cell_grid **on_cpu, struct cell_grid **on_cuda) {
    assert_int_equal(cells_create(c->cpu, &c->box, cell, on_cpu), STATUS_OK);
    assert_int_equal(cells_create(c->cuda, &c->box, cell, on_cuda), STATUS_OK);
}

static void drop_grids(struct cell_grid **on_cpu, struct cell_grid **on_cuda) {
    cells_destroy(cpu, on_cpu);
    cells_destroy(cuda, on_cuda);
}

/* A grid that is made in the place of one before, as lists' are, too. */
static void cells(void **state) {
    (void)state;
    struct cell_grid *want = NULL, *got = NULL;
    for (int s = 0; s < SHAPES; s++) {
        struct gas c = gas_make(shapes[s].kind, shapes[s].d, shapes[s].n, shapes[s].ghosts, shapes[s].side);
        for (double cell = 0.3; cell < 70; cell *= 6) {
            grids(&c, cell, &want, &got);
            gas_equal("start", want->start, got->start, (cells_in(want) + 1) * sizeof *want->start);
            gas_equal("cell", want->cell, got->cell, c.n * sizeof *want->cell);
            gas_equal("item", want->item, got->item, c.n * sizeof *want->item);
            gas_equal("order", want->order, got->order, c.n * sizeof *want->order);
        }
        gas_free(&c);
    }
    drop_grids(&want, &got);
}

/* Many cells: keys of three passes of the sort. */
static void many_cells(void **state) {
    (void)state;
    struct cell_grid *want = NULL, *got = NULL;
    struct gas c = gas_make(GAS_EVEN, 2, 20011, 0, 1000);
    grids(&c, 3.8, &want, &got);
    assert_true(cells_in(want) > 65536);
    gas_equal("start", want->start, got->start, (cells_in(want) + 1) * sizeof *want->start);
    gas_equal("item", want->item, got->item, c.n * sizeof *want->item);
    drop_grids(&want, &got);
    gas_free(&c);
}

static void no_particles(void **state) {
    (void)state;
    struct gas c = gas_make(GAS_EVEN, 2, 0, 0, 10);
    struct pair_list list = {0};
    struct both start;
    assert_int_equal(pairs_build(c.cuda, &c.box, 2, &list), STATUS_OK);
    start = both_zero(sizeof(uint32_t));
    gas_equal("start of no rows", start.cpu, list.start, sizeof(uint32_t));
    cuda->nearest(cuda, &c.box, list.grid, 0, NULL, 0, c.cuda->q, 4, NULL, NULL);
    assert_int_equal(cuda->synchronise(cuda), STATUS_OK);
    both_release(&start);
    pairs_release(cuda, &list);
    gas_free(&c);
}

/* In the order of the CPU table's, with its SIMD and without, from too little room and into what was there. */
static void lists(void **state) {
    (void)state;
    struct pair_list got = {0};
    for (int s = 0; s < SHAPES; s++) {
        struct gas c = gas_make(shapes[s].kind, shapes[s].d, shapes[s].n, shapes[s].ghosts, shapes[s].side);
        for (int m = 0; m < 3; m++) {
            struct pair_list want = {0};
            const double radius = shapes[s].radius * (1 + 0.5 * m);
            ops_cpu_choose(m == 0 ? SIMD_PLAIN : SIMD_AUTO);
            assert_int_equal(pairs_build(c.cpu, &c.box, radius, &want), STATUS_OK);
            assert_int_equal(pairs_build(c.cuda, &c.box, radius, &got), STATUS_OK);
            gas_lists_equal("pairs", c.owned, &want, &got);
            pairs_release(cpu, &want);
        }
        gas_free(&c);
    }
    ops_cpu_choose(SIMD_AUTO);
    pairs_release(cuda, &got);
}

/* Nothing is written beyond what there is room for, and what is needed is told. */
static void too_long_lists(void **state) {
    (void)state;
    struct gas c = gas_make(GAS_EVEN, 2, 500, 0, 20);
    struct pair_list list = {0};
    assert_int_equal(pairs_build(c.cuda, &c.box, 2, &list), STATUS_OK);
    const size_t needed = cuda->pair_list(cuda, &c.box, list.grid, c.owned, c.n, c.cuda->q, 2, &list),
                 capacity = list.capacity;
    assert_true(needed > 1000 && needed <= capacity);
    cuda->zero(cuda, list.neighbour, capacity * sizeof *list.neighbour);
    list.capacity = needed - 1;
    assert_int_equal(cuda->pair_list(cuda, &c.box, list.grid, c.owned, c.n, c.cuda->q, 2, &list), needed);
    struct both nothing = both_zero(capacity * sizeof *list.neighbour);
    gas_equal("a list without room", nothing.cpu, list.neighbour, nothing.bytes);
    list.capacity = capacity;
    both_release(&nothing);
    pairs_release(cuda, &list);
    gas_free(&c);
}

static size_t edges(const struct ops *ops, const struct gas *c, const struct particles *p,
                    const struct cell_grid *grid, size_t receivers, double radius, struct pair_list *list) {
    assert_int_equal(ops->allocate(ops, (receivers + 1) * sizeof *list->start, (void **)&list->start),
                     STATUS_OK);
    const size_t count = ops->edge_list(ops, &c->box, grid, receivers, c->n, p->q, radius, list);
    assert_int_equal(ops->allocate(ops, (count + 1) * sizeof *list->neighbour, (void **)&list->neighbour),
                     STATUS_OK);
    list->capacity = count;
    assert_int_equal(ops->edge_list(ops, &c->box, grid, receivers, c->n, p->q, radius, list), count);
    return count;
}

static void edge_lists(void **state) {
    (void)state;
    for (int s = 0; s < SHAPES; s++) {
        struct gas c = gas_make(shapes[s].kind, shapes[s].d, shapes[s].n, shapes[s].ghosts, shapes[s].side);
        struct cell_grid *grid[2] = {NULL, NULL};
        struct pair_list want = {0}, got = {0};
        grids(&c, shapes[s].radius * 0.8, &grid[0], &grid[1]);
        const size_t count = edges(cpu, &c, c.cpu, grid[0], c.owned, shapes[s].radius, &want);
        assert_int_equal(edges(cuda, &c, c.cuda, grid[1], c.owned, shapes[s].radius, &got), count);
        gas_lists_equal("edges", c.owned, &want, &got);
        pairs_release(cpu, &want);
        pairs_release(cuda, &got);
        drop_grids(&grid[0], &grid[1]);
        gas_free(&c);
    }
}

/* Of `count` centres, the first particles or any. */
static void compare_nearest(const struct gas *c, const struct cell_grid *want, const struct cell_grid *got,
                            size_t count, bool any, int k) {
    struct both index = both_zero(count * (size_t)k * sizeof(uint32_t)),
                far = both_zero(count * sizeof(double));
    uint32_t *host = calloc(count + 1, sizeof *host);
    for (size_t w = 0; w < count; w++)
        host[w] = (uint32_t)(w * 131 % c->n);
    struct both centre = both_of(host, count * sizeof *host);
    cpu->nearest(cpu, &c->box, want, count, any ? centre.cpu : NULL, c->n, c->cpu->q, k, index.cpu, far.cpu);
    cuda->nearest(cuda, &c->box, got, count, any ? centre.cuda : NULL, c->n, c->cuda->q, k, index.cuda,
                  far.cuda);
    both_equal("nearest", &index);
    both_equal("farthest", &far);
    both_release(&index);
    both_release(&far);
    both_release(&centre);
    free(host);
}

/* Cells of several sizes; more neighbours than there are, too. */
static void nearest(void **state) {
    (void)state;
    static const int numbers[] = {1, 6, 32, 100};
    for (int s = 0; s < SHAPES; s++) {
        struct gas c = gas_make(shapes[s].kind, shapes[s].d, shapes[s].n, shapes[s].ghosts, shapes[s].side);
        const size_t count = c.n < 20 ? c.n : 20;
        for (int m = 0; m < 4; m++) {
            struct cell_grid *grid[2] = {NULL, NULL};
            grids(&c, shapes[s].side * (m % 2 ? 0.3 : 0.07), &grid[0], &grid[1]);
            compare_nearest(&c, grid[0], grid[1], count, m > 1, numbers[m]);
            drop_grids(&grid[0], &grid[1]);
        }
        gas_free(&c);
    }
}

/* As many as a warp of threads still finds, one more, and as many as can be asked for. */
static void many_nearest(void **state) {
    (void)state;
    static const int numbers[] = {128, 129, 256, 1000, NEAREST_MOST};
    struct gas c = gas_make(GAS_EVEN, 2, 6000, 0, 80);
    for (int m = 0; m < 5; m++) {
        struct cell_grid *grid[2] = {NULL, NULL};
        grids(&c, sqrt(numbers[m] / 6.0), &grid[0], &grid[1]);
        compare_nearest(&c, grid[0], grid[1], 3, true, numbers[m]);
        drop_grids(&grid[0], &grid[1]);
    }
    gas_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(cells),          cmocka_unit_test(many_cells),
                                       cmocka_unit_test(no_particles),   cmocka_unit_test(lists),
                                       cmocka_unit_test(too_long_lists), cmocka_unit_test(edge_lists),
                                       cmocka_unit_test(nearest),        cmocka_unit_test(many_nearest)};
    gas_unused();
    return cmocka_run_group_tests(tests, both_open, both_close);
}
