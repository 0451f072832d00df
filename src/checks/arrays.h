/* Arrays of a case of a test, released together, and calls of an op on both tables. */
#ifndef EPFLOW_CHECKS_ARRAYS_H
#define EPFLOW_CHECKS_ARRAYS_H

#include "checks/both.h"

enum { MOST_ARRAYS = 40 };
static struct both arrays[MOST_ARRAYS];
static int arrays_made, arrays_of_run;
static uint32_t arrays_named;

static inline struct both *array_kept(struct both b) {
    if (arrays_of_run != both_run) /* what a check that failed has left */
        arrays_made = 0;
    arrays_of_run = both_run;
    both_require(arrays_made < MOST_ARRAYS);
    arrays[arrays_made] = b;
    return &arrays[arrays_made++];
}

/* Fresh numbers in (-size, size). */
static inline struct both *numbers(size_t count, double size) {
    return array_kept(both_random(arrays_named++, count, -size, size));
}

/* To be overwritten: full of NaNs. */
static inline struct both *nothing(size_t count) {
    struct both *b = numbers(count, 1);
    real *host = malloc(b->bytes + 1);
    for (size_t i = 0; i < count; i++)
        host[i] = (real)NAN;
    memcpy(b->cpu, host, b->bytes);
    both_cuda->to_device(both_cuda, b->cuda, host, b->bytes);
    free(host);
    return b;
}

/* Numbers below `most`. */
static inline struct both *indices(size_t count, uint32_t most) {
    uint32_t *host = malloc((count + 1) * sizeof *host);
    const uint32_t name = arrays_named++;
    for (size_t i = 0; i < count; i++)
        host[i] = (uint32_t)(both_number(name, i) * most) % most;
    struct both *b = array_kept(both_of(host, count * sizeof *host));
    free(host);
    return b;
}

static inline void release_all(void) {
    while (arrays_made > 0)
        both_release(&arrays[--arrays_made]);
}

/* Runs `call` with ops and at(array) on both tables: ON_BOTH(ops->gelu(ops, n, at(x), at(y))). */
static bool on_cuda;
static inline void *at(const struct both *b) {
    return !b ? NULL : on_cuda ? b->cuda : b->cpu;
}
static inline real *at_real(const struct both *b, size_t offset) {
    return (real *)at(b) + offset;
}
#define ON_BOTH(...)                                                                                         \
    do {                                                                                                     \
        const struct ops *ops = both_cpu;                                                                    \
        on_cuda = false;                                                                                     \
        __VA_ARGS__;                                                                                         \
        ops = both_cuda;                                                                                     \
        on_cuda = true;                                                                                      \
        __VA_ARGS__;                                                                                         \
    } while (0)

#endif
