/* The loops of networks, compiled once for AVX2 and once for AVX-512, and chosen when the program runs. Each of their
 * files has its functions to itself, under the names of their entries in ops.h, which says what they do, and puts them
 * into a table: FILL. Nothing else in them may have a name outside: the linker would take the one or the other.
 * Private to the CPU table. */
#ifndef EPFLOW_OPS_NETWORK_LOOPS_H
#define EPFLOW_OPS_NETWORK_LOOPS_H

#include "ops/ops.h"

/* The instruction set that a file is compiled for (see Layers.cmake). */
#ifndef LOOPS
#define LOOPS avx2
#endif

#define JOIN_NAMES(a, b) a##_##b
#define NAME_FOR(set, part) JOIN_NAMES(set, part)
#define FILL(part) NAME_FOR(LOOPS, part)

/* ops_cpu_PART.c */
#define EACH_NETWORK_PART(DO)                                                                                \
    DO(network)                                                                                              \
    DO(attention) DO(second) DO(pool) DO(edges) DO(sweeps) DO(features) DO(response) DO(optimizer)

#define DECLARE_PART(part)                                                                                   \
    void avx2_##part(struct ops *table);                                                                     \
    void avx512_##part(struct ops *table);
EACH_NETWORK_PART(DECLARE_PART)

#endif
