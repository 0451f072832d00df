/* Where particles are, which of them are somewhere, and in which order. */
#include "ops/ops_cpu.h"
#include "ops/cell_formula.h"

#include <stdlib.h>

void cpu_extents(const struct ops *ops, int d, size_t n, uint64_t *const q[], uint64_t low[],
                 uint64_t extent[]) {
    (void)ops;
    for (int a = 0; a < d; a++) {
        const uint64_t *x = q[a], first = n > 0 ? x[0] : 0;
        int64_t least = 0, most = 0;
        for (size_t i = 0; i < n; i++) {
            const int64_t from_first = (int64_t)(x[i] - first);
            least = from_first < least ? from_first : least;
            most = from_first > most ? from_first : most;
        }
        low[a] = first + (uint64_t)least;
        extent[a] = (uint64_t)most - (uint64_t)least;
    }
}

void cpu_id_range(const struct ops *ops, size_t n, const uint32_t *id, uint32_t *first, uint32_t *last) {
    (void)ops;
    *first = *last = n > 0 ? id[0] : 0;
    for (size_t i = 0; i < n; i++) {
        *first = id[i] < *first ? id[i] : *first;
        *last = id[i] > *last ? id[i] : *last;
    }
}

size_t cpu_outside(const struct ops *ops, int d, size_t n, uint64_t *const q[], const struct region *region,
                   uint32_t *index) {
    (void)ops;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        index[count] = (uint32_t)i;
        count += !in_region(d, region, q, i);
    }
    return count;
}

struct sort_key {
    uint64_t cell;
    uint32_t id, at;
};
_Static_assert(sizeof(struct sort_key) <= ORDER_SCRATCH, "scratch of order_in_space");

static int compare_keys(const void *a, const void *b) {
    const struct sort_key *p = a, *r = b;
    return p->cell != r->cell ? (p->cell > r->cell) - (p->cell < r->cell) : (p->id > r->id) - (p->id < r->id);
}

void cpu_order_in_space(const struct ops *ops, const struct box *box, double cell, size_t n,
                        const uint32_t *id, uint64_t *const q[], uint32_t *order, void *scratch) {
    (void)ops;
    struct sort_key *key = scratch;
    const struct cell_rows rows = cell_rows_of(box, cell);
    for (size_t i = 0; i < n; i++)
        key[i] =
            (struct sort_key){box->group > 0 ? 0 : rank_of_cell(box->d, &rows, q, i), id[i], (uint32_t)i};
    qsort(key, n, sizeof *key, compare_keys);
    for (size_t i = 0; i < n; i++)
        order[i] = key[i].at;
}
