/* The CUDA table's ops beside the CPU table's: amounts of particles spread over a grid. */
#include "checks/arrays.h"

/* Tiny grids, which a Gaussian goes round more than once, elongated ones, and some that it does not fill. */
static const struct spread_grid grids[] = {
    {.d = 1, .cells = {1, 1, 1}},   {.d = 1, .cells = {2, 1, 1}},   {.d = 1, .cells = {1300, 1, 1}},
    {.d = 2, .cells = {1, 1, 1}},   {.d = 2, .cells = {3, 2, 1}},   {.d = 2, .cells = {1, 40, 1}},
    {.d = 2, .cells = {300, 2, 1}}, {.d = 2, .cells = {33, 29, 1}}, {.d = 3, .cells = {1, 1, 1}},
    {.d = 3, .cells = {5, 3, 2}},   {.d = 3, .cells = {2, 2, 60}},  {.d = 3, .cells = {60, 2, 2}},
    {.d = 3, .cells = {9, 7, 8}},
};
enum { GRIDS = sizeof grids / sizeof *grids };

/* In r0; with the last weights are cut at their most. */
static const double widths[] = {0, 0.4, 2, 9, 300};
enum { WIDTHS = sizeof widths / sizeof *widths };

static const size_t counts[] = {0, 1, 37, 2000};
enum { COUNTS = sizeof counts / sizeof *counts };

static struct spread_grid grid_of(int m, double width, bool periodic) {
    struct spread_grid g = grids[m];
    g.width = width;
    for (int a = 0; a < MAX_DIMENSION; a++) {
        g.spacing[a] = a < g.d ? 1 + 0.1 * a : 1;
        g.origin[a] = a < g.d && !periodic ? -g.cells[a] * g.spacing[a] / 2 : 0;
    }
    return g;
}

static struct both doubles(size_t count, double low, double high) {
    double *host = malloc((count + 1) * sizeof *host);
    const uint32_t name = arrays_named++;
    for (size_t i = 0; i < count; i++)
        host[i] = low + (high - low) * both_number(name, i);
    const struct both b = both_of(host, count * sizeof *host);
    free(host);
    return b;
}

/* Evenly over the grid and a bit beyond, the first of them on the edge of cells, or all within one cell. */
static struct both positions(const struct spread_grid *g, size_t n, bool crowded) {
    const size_t d = (size_t)g->d;
    double *host = malloc((n * d + 1) * sizeof *host);
    const uint32_t name = arrays_named++;
    for (size_t i = 0; i < n * d; i++) {
        const size_t a = i % d;
        double cell = g->cells[a] * (1.2 * both_number(name, i) - 0.1);
        if (crowded)
            cell = g->cells[a] / 2 + both_number(name, i);
        else if (i < 8 * d)
            cell = (double)(i / d) / 2;
        host[i] = g->origin[a] + g->spacing[a] * cell;
    }
    const struct both b = both_of(host, n * d * sizeof *host);
    free(host);
    return b;
}

/* What is added to differs from 0; the same once more has the same bits. */
static void compare(const struct spread_grid *g, size_t n, int columns, bool crowded) {
    const size_t cells = (size_t)g->cells[0] * (size_t)g->cells[1] * (size_t)g->cells[2],
                 size = cells * (size_t)columns;
    struct both position = positions(g, n, crowded), amount = doubles(n * (size_t)columns, -1, 2),
                sum = doubles(size, -0.1, 0.1), again = both_zero(size * sizeof(double));
    both_cuda->copy(both_cuda, again.cuda, sum.cuda, again.bytes);
    ON_BOTH(both_require(ops->spread(ops, g, n, columns, at(&position), at(&amount), at(&sum)) == STATUS_OK));
    /* float64, some thousand numbers in another order */
    both_close_double("spread", &sum, 1e-12);
    both_require(both_cuda->spread(both_cuda, g, n, columns, position.cuda, amount.cuda, again.cuda) ==
                 STATUS_OK);
    void *first = both_fetch(&sum), *second = both_fetch(&again);
    both_require(memcmp(first, second, sum.bytes) == 0);
    free(first);
    free(second);
    both_release(&position);
    both_release(&amount);
    both_release(&sum);
    both_release(&again);
}

static void everywhere(void) {
    for (int m = 0; m < GRIDS; m++)
        for (int w = 0; w < WIDTHS; w++)
            for (int c = 0; c < COUNTS; c++) {
                const struct spread_grid g = grid_of(m, widths[w], (m + w + c) % 2 == 0);
                compare(&g, counts[c], 4 + 2 * g.d, false);
            }
}

static void crowded(void) {
    for (int m = 0; m < GRIDS; m++)
        for (int w = 0; w < 3; w++) {
            const struct spread_grid g = grid_of(m, widths[w], w % 2 == 0);
            compare(&g, 3000, 4 + 2 * g.d, true);
        }
}

static void any_columns(void) {
    for (int columns = 1; columns <= SPREAD_COLUMNS; columns += columns == 1 ? 2 : 13) {
        const struct spread_grid g = grid_of(7, 2, true);
        compare(&g, 5000, columns, false);
    }
}

static const struct check list[] = {
    {"everywhere", everywhere}, {"crowded in one cell", crowded}, {"any number of columns", any_columns}};
const struct check_group check_fields = {"fields", sizeof list / sizeof *list, list};
