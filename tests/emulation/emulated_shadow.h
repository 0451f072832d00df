/* What the checker remembers of memory: for 4 bytes, who wrote them last and who has read them since.
 *
 * Order within a block: a barrier orders all threads, __syncwarp the lanes of a warp. Both are counted by one number of
 * the block, the tick: an access has the tick of the last of them that its warp has passed, and two accesses are ordered
 * if the earlier one's tick is older than the last barrier, or within a warp older than its last __syncwarp. Between
 * blocks of a launch nothing is ordered. Between works of streams, clocks say (emulated_streams.h).
 */
#ifndef EPFLOW_EMULATED_SHADOW_H
#define EPFLOW_EMULATED_SHADOW_H

#include <stddef.h>
#include <stdint.h>

enum {
    STAMP_LANES = 1,  /* more than one lane, since that tick */
    STAMP_WARPS = 2,  /* more than one warp */
    STAMP_BLOCKS = 4, /* more than one block */
    STAMP_ATOMIC = 8,
    STAMP_SPLIT = 16 /* of a cell: each byte has a cell of its own, number `block` of the table */
};

struct stamp {
    uint32_t work;  /* number of the launch or other work; 0: never */
    uint32_t block; /* number over all launches */
    uint32_t tick;
    int32_t site; /* code, from a place in this library */
    uint16_t thread;
    uint8_t set; /* of a write: which bytes have ever been written */
    uint8_t flags;
};

struct cell {
    struct stamp write, read;
};

/* Who accesses now. */
struct accessor {
    uint32_t work, block;
    uint32_t barrier;   /* tick of the last barrier */
    uint32_t warps[32]; /* and of the last __syncwarp or barrier of each warp */
};

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_ATOMIC };

/* What is wrong with an access, and with whose access it collides. */
enum fault { FAULT_NONE, FAULT_UNSET, FAULT_RACE, FAULT_STREAMS };
struct finding {
    enum fault fault;
    struct stamp other;
    bool other_wrote;
};

/* Checks and notes an access of `bytes` bytes at byte `at` of a row of cells by a thread. Memory that is `local` to a
 * block (shared memory) begins anew with every block. */
struct finding shadow_access(struct cell *cells, size_t at, size_t bytes, enum access access, bool local,
                             int thread, int32_t site, const struct accessor &who);

/* Of work that is no kernel. `must_be_set`: bytes that nobody wrote are a fault. */
struct finding shadow_range(struct cell *cells, size_t at, size_t bytes, bool write, bool must_be_set,
                            const struct accessor &who);

/* What is not set of `from` is not set of `to` after a copy. */
void shadow_copy(struct cell *to, size_t to_at, const struct cell *from, size_t from_at, size_t bytes);

/* Whether a work was done before the one that runs, by clocks. */
bool shadow_ordered(uint32_t work);

#endif
