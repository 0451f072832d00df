/* What the parts of the bench share. Private to bench*.c. */
#ifndef EPFLOW_COMMANDS_BENCH_H
#define EPFLOW_COMMANDS_BENCH_H

#include "commands/session.h"

enum { BENCH_ROWS = 64 };

/* What bounds a piece of work: the rate of a large matrix product, of a large copy, or neither. */
enum bench_ceiling { CEILING_NONE, CEILING_PRODUCT, CEILING_COPY };

/* What one call does, on this rank. Operations are those really done, 2 per multiply-add of matrix products; what
 * exponentials and sums of rows cost is not counted. Bytes: every array read or written once. */
struct bench_work {
    const char *name;
    double operations, bytes, particles; /* 0: not said */
    enum bench_ceiling ceiling;
};

struct bench_row {
    struct bench_work work;
    double seconds; /* of processor time, a call: median of the repeats */
    double wall;    /* by the clock, likewise */
    double fraction;
};

typedef enum status bench_call(void *context);

struct bench {
    struct comm *comm;
    const struct ops *ops;
    const struct config *config;
    int chunk; /* rows of a network at once: run.chunk, or what suits the device */
    double product, copy; /* ceilings of this rank: operations and bytes a second */
    double product_now;   /* the first as of a moment ago: other programs and clock rates disturb */
    real *a, *b, *c;      /* operands of the product */
    void *from, *to;      /* of the copy */
    int rows;
    struct bench_row row[BENCH_ROWS];
};

/* Times a call: once to warm up, then `repeats` times as many calls as last some tens of milliseconds; the same
 * numbers on every rank, so that the call may be collective. Collective. */
enum status bench_time(struct bench *bench, const struct bench_work *work, int repeats, bench_call *call,
                       void *context);

/* Messages between two ranks, and a reduction over all; two ranks at least. */
enum status bench_messages(struct bench *bench);
/* Every operation of the table that matters, at the sizes of the paper's network. */
enum status bench_network_ops(struct bench *bench);
/* Steps of a simulation and its operations, then the two networks on the particles it leaves. */
enum status bench_steps(struct bench *bench);

#endif
