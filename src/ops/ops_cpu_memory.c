/* Memory of the CPU table (the host's own, zeroed and aligned to a cache line), and plain moves of data. */
#include "ops/ops_cpu.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE = 64, LARGE_PAGE = 1 << 21, LARGE = 2 * LARGE_PAGE };

enum status cpu_allocate(const struct ops *ops, size_t bytes, void **out) {
    (void)ops;
    const size_t unit = bytes < LARGE ? CACHE_LINE : LARGE_PAGE;
    const size_t rounded = (bytes + unit - 1) / unit * unit;
    *out = aligned_alloc(unit, rounded ? rounded : unit);
    if (!*out)
        return FAIL(STATUS_FAILURE,
                    "out of memory: %zu bytes were asked for; use more ranks or a smaller run.chunk", bytes);
#ifdef MADV_HUGEPAGE
    if (unit == LARGE_PAGE)
        madvise(*out, rounded, MADV_HUGEPAGE); /* fewer pages to look up; without them it is only slower */
#endif
    memset(*out, 0, rounded);
    return STATUS_OK;
}

void cpu_release(const struct ops *ops, void *memory) {
    (void)ops;
    free(memory);
}

void cpu_copy(const struct ops *ops, void *to, const void *from, size_t bytes) {
    (void)ops;
    if (bytes > 0 && to != from)
        memmove(to, from, bytes);
}

void cpu_zero(const struct ops *ops, void *memory, size_t bytes) {
    (void)ops;
    if (bytes > 0)
        memset(memory, 0, bytes);
}

enum status cpu_synchronise(const struct ops *ops) {
    (void)ops;
    return STATUS_OK;
}

void cpu_gather8(const struct ops *ops, size_t count, const uint32_t *index, const void *from, void *to) {
    (void)ops;
    const uint64_t *in = from;
    uint64_t *out = to;
    for (size_t i = 0; i < count; i++)
        out[i] = in[index[i]];
}

void cpu_gather4(const struct ops *ops, size_t count, const uint32_t *index, const void *from, void *to) {
    (void)ops;
    const uint32_t *in = from;
    uint32_t *out = to;
    for (size_t i = 0; i < count; i++)
        out[i] = in[index[i]];
}

void cpu_fetch(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
               const uint32_t *index, void *host) {
    char *to = host;
    for (int c = 0; c < columns; to += count * column[c++].bytes)
        (column[c].bytes == 8 ? cpu_gather8 : cpu_gather4)(ops, count, index, column[c].at, to);
}

void cpu_store(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
               const uint32_t *index, const void *host) {
    (void)ops;
    const char *from = host;
    for (int c = 0; c < columns; c++)
        for (size_t i = 0; i < count; i++, from += column[c].bytes)
            memcpy((char *)column[c].at + index[i] * column[c].bytes, from, column[c].bytes);
}

void cpu_gather_neighbours(const struct ops *ops, size_t count, int k, const uint32_t *index,
                           const uint32_t *from, uint32_t *to) {
    (void)ops;
    for (size_t i = 0; i < count && k > 0; i++)
        memcpy(to + i * (size_t)k, from + index[i] * (size_t)k, (size_t)k * sizeof *to);
}

void cpu_narrow(const struct ops *ops, size_t count, const double *from, real *to) {
    (void)ops;
    for (size_t i = 0; i < count; i++)
        to[i] = (real)from[i];
}
