/* The threads of a block as fibers: the switch, the schedule, barriers and collectives of a warp.
 *
 * A fiber whose thread ends goes on with the next thread that has not begun, so that a kernel without barriers is a
 * loop on one stack. A thread that waits gives way to a thread that has not begun, else to one that is ready.
 */
#include "emulated_internal.h"
#include "emulated_checker.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct emulated_position emulated_place;
const emulated_grid *emulated_running;
int emulated_thread = -1;

/* ---- the switch: callee-saved registers on the stack, then the other stack ---- */

extern "C" void emulated_switch(void **leave, void *enter);
asm(R"(
    .text
    .globl emulated_switch
    .hidden emulated_switch
    .type emulated_switch, @function
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size emulated_switch, .-emulated_switch
)");

/* ---- the block that runs ---- */

enum { STACK_BYTES = 128 * 1024, GUARD_BYTES = 4096 };

struct fiber {
    void *stack_pointer;
    int thread;
};

/* Two in turn: lanes that have not read the last one yet are at most one behind. */
struct warp {
    struct emulated_lanes lanes[2];
    enum emulated_kind kind;
    const void *site;
    uint32_t arrived; /* of the collective that gathers */
    uint32_t ended;   /* lanes whose thread has returned, or that the block does not have */
    int turn;
    int waiting[32]; /* fiber of each lane that waits */
};

struct block {
    void *scheduler; /* stack pointer of emulated_run */
    int threads, begun, ended;
    int order[MOST_THREADS]; /* in which they begin */
    int free_fibers, free_fiber[MOST_THREADS];
    int ready_first, ready_count, ready[MOST_THREADS]; /* ring of fibers */
    int at_barrier, barrier[MOST_THREADS];             /* fibers that wait, by thread; -1: none */
    const void *barrier_site;
    struct warp warp[MOST_WARPS];
};

static struct fiber fibers[MOST_THREADS];
static char *stacks;
static struct block b;
static int current;                                /* fiber */
static size_t blocks, first_block;                 /* of the grid, and which of them ran first */
static unsigned char *dynamic_shared, *shared_end; /* its end is a page that cannot be touched */

void emulated_stacks(const void **low, size_t *bytes) {
    *low = stacks;
    *bytes = (size_t)MOST_THREADS * STACK_BYTES;
}

static void place_thread(int thread) {
    const dim3 n = emulated_place.threads;
    emulated_thread = thread;
    emulated_place.thread.x = (unsigned)thread % n.x;
    emulated_place.thread.y = (unsigned)thread / n.x % n.y;
    emulated_place.thread.z = (unsigned)thread / n.x / n.y;
}

static void make_ready(int fiber) {
    int at = b.ready_count++;
    if (emulated_schedule() == SCHEDULE_RANDOM) {
        const int other = (int)emulated_random((uint32_t)b.ready_count);
        b.ready[(b.ready_first + at) % MOST_THREADS] = b.ready[(b.ready_first + other) % MOST_THREADS];
        at = other;
    }
    b.ready[(b.ready_first + at) % MOST_THREADS] = fiber;
}

static int take_ready(void) {
    const int fiber = b.ready[b.ready_first];
    b.ready_first = (b.ready_first + 1) % MOST_THREADS;
    b.ready_count--;
    return fiber;
}

static void release_barrier(void) {
    const bool reverse = emulated_schedule() == SCHEDULE_REVERSE;
    b.at_barrier = 0;
    emulated_check_barrier();
    for (int i = 0; i < b.threads; i++) {
        const int thread = reverse ? b.threads - 1 - i : i;
        if (b.barrier[thread] >= 0)
            make_ready(b.barrier[thread]);
        b.barrier[thread] = -1;
    }
}

/* Wakes the lanes that wait, but not `running`. */
static void release_warp(struct warp *w, int running) {
    const bool reverse = emulated_schedule() == SCHEDULE_REVERSE;
    if (w->kind == EMULATED_SYNCWARP)
        emulated_check_syncwarp((int)(w - b.warp));
    w->lanes[w->turn].present = w->arrived;
    w->turn ^= 1;
    for (int i = 0; i < 32; i++) {
        const int lane = reverse ? 31 - i : i;
        if ((w->arrived >> lane & 1) && w->waiting[lane] != running)
            make_ready(w->waiting[lane]);
    }
    w->arrived = 0;
}

[[noreturn]] static void deadlock(void) {
    fprintf(stderr, "emulation: %d of %d threads have returned, %d wait in a barrier (%s)\n", b.ended,
            b.threads, b.at_barrier, b.at_barrier ? emulated_line(b.barrier_site) : "none");
    for (int i = 0; i < MOST_WARPS; i++)
        if (b.warp[i].arrived)
            fprintf(stderr, "emulation: lanes %08x of warp %d wait in a collective (%s)\n", b.warp[i].arrived,
                    i, emulated_line(b.warp[i].site));
    emulated_thread = -1;
    emulated_fail(NULL, "deadlock: no thread of the block can go on");
}

static void fiber_main(void);

/* A stack for a thread that begins. */
static int new_fiber(void) {
    const int i = b.free_fiber[--b.free_fibers];
    /* Not all at the same place of a page: they would fall into the same few lines of the cache. */
    void **top = (void **)(stacks + (size_t)(i + 1) * STACK_BYTES - (size_t)(i % 61) * 320);
    *--top = NULL; /* as after a call: 8 bytes off the alignment of 16 */
    *--top = (void *)fiber_main;
    for (int r = 0; r < 6; r++)
        *--top = NULL;
    fibers[i].stack_pointer = top;
    return i;
}

/* Leaves the fiber that runs, which is noted elsewhere, for another thread of the block. */
static void give_way(void **leave) {
    int next;
    if (b.begun < b.threads) {
        next = new_fiber();
    } else if (b.ready_count > 0) {
        next = take_ready();
        place_thread(fibers[next].thread);
    } else if (b.ended == b.threads) {
        emulated_thread = -1;
        emulated_switch(leave, b.scheduler);
        return;
    } else {
        deadlock();
    }
    if (leave == &fibers[next].stack_pointer)
        return; /* it was the first that was ready itself */
    current = next;
    emulated_switch(leave, fibers[next].stack_pointer);
}

/* Waits: returns when this fiber runs again. */
static void wait_turn(void) {
    give_way(&fibers[current].stack_pointer);
}

static void thread_ended(int thread) {
    struct warp *w = &b.warp[thread / 32];
    b.ended++;
    w->ended |= 1u << thread % 32;
    emulated_check_return(b.at_barrier, b.barrier_site);
    if (b.at_barrier > 0 && b.at_barrier == b.threads - b.ended)
        release_barrier();
    if (w->arrived && (w->arrived | w->ended) == 0xffffffffu)
        release_warp(w, -1);
}

static void fiber_main(void) {
    while (b.begun < b.threads) {
        const int thread = b.order[b.begun++];
        fibers[current].thread = thread;
        place_thread(thread);
        emulated_running->kernel->call();
        thread_ended(thread);
    }
    b.free_fiber[b.free_fibers++] = current; /* nobody takes it before the switch: all threads have begun */
    void *forget;
    give_way(&forget);
    abort();
}

/* ---- what kernels call ---- */

extern "C" void emulated_barrier(void) {
    const void *site = __builtin_return_address(0);
    const int thread = fibers[current].thread;
    emulated_check_divergence(b.at_barrier, b.ended, b.barrier_site, site);
    b.barrier_site = site;
    b.barrier[thread] = current;
    b.at_barrier++;
    if (b.at_barrier == b.threads - b.ended)
        release_barrier();
    wait_turn();
}

static const struct emulated_lanes *collective(enum emulated_kind kind, uint32_t mask, uint64_t value,
                                               const void *site) {
    const int thread = fibers[current].thread, lane = thread % 32;
    struct warp *w = &b.warp[thread / 32];
    struct emulated_lanes *lanes = &w->lanes[w->turn];
    if (mask != 0xffffffffu)
        emulated_fail(site, "a collective of the lanes %08x: only whole warps, see kernels/README.md,", mask);
    if (w->arrived && w->kind != kind)
        emulated_fail(site, "lanes of a warp are in different collectives, the others in %s, this one",
                      emulated_line(w->site));
    if (kind != EMULATED_SYNCWARP)
        emulated_check_lanes(w->ended, site);
    w->kind = kind;
    w->site = site;
    w->waiting[lane] = current;
    w->arrived |= 1u << lane;
    lanes->value[lane] = value;
    if ((w->arrived | w->ended) == 0xffffffffu)
        release_warp(w, current);
    else
        wait_turn();
    return lanes;
}

extern "C" const struct emulated_lanes *emulated_collective(enum emulated_kind kind, uint32_t mask,
                                                            uint64_t value) {
    return collective(kind, mask, value, __builtin_return_address(0));
}

extern "C" uint32_t emulated_ballot(enum emulated_kind kind, uint32_t mask, int predicate) {
    const struct emulated_lanes *lanes = collective(kind, mask, predicate != 0, __builtin_return_address(0));
    uint32_t ballot = 0;
    for (int lane = 0; lane < 32; lane++)
        if ((lanes->present >> lane & 1) && lanes->value[lane])
            ballot |= 1u << lane;
    return ballot;
}

extern "C" uint64_t emulated_lane_value(const struct emulated_lanes *lanes, int from) {
    if (!(lanes->present >> from & 1))
        emulated_fail(__builtin_return_address(0),
                      "a shuffle reads from lane %d, which has returned or is not there", from);
    return lanes->value[from];
}

extern "C" void *emulated_dynamic_shared(void) {
    if (emulated_running->shared == 0)
        emulated_fail(__builtin_return_address(0), "the launch has no dynamic shared memory");
    return dynamic_shared;
}

/* ---- blocks ---- */

static void make_stacks(void) {
    void *room = mmap(NULL, (size_t)MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    void *shared = mmap(NULL, EMULATED_SHARED_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED || shared == MAP_FAILED)
        emulated_fail(NULL, "no memory for the stacks of threads");
    stacks = (char *)room;
    shared_end = (unsigned char *)shared + EMULATED_SHARED_BYTES;
    b.free_fibers = MOST_THREADS;
    for (int i = 0; i < MOST_THREADS; i++)
        b.free_fiber[i] = MOST_THREADS - 1 - i;
    for (int i = 0; i < MOST_THREADS; i++)
        mprotect(stacks + (size_t)i * STACK_BYTES, GUARD_BYTES, PROT_NONE);
    mprotect(shared_end, GUARD_BYTES, PROT_NONE);
}

/* The schedule of the threads of a grid, the same for every block unless it is random. */
static void order_threads(void) {
    for (int i = 0; i < b.threads; i++)
        b.order[i] = emulated_schedule() == SCHEDULE_REVERSE ? b.threads - 1 - i : i;
    if (emulated_schedule() == SCHEDULE_RANDOM)
        for (int i = b.threads - 1; i > 0; i--)
            std::swap(b.order[i], b.order[emulated_random((uint32_t)i + 1)]);
}

static void run_block(void) {
    b.begun = b.ended = 0;
    b.ready_first = b.ready_count = b.at_barrier = 0;
    for (int i = 0; i * 32 < b.threads; i++) {
        b.warp[i].arrived = 0;
        b.warp[i].ended = b.threads - i * 32 >= 32 ? 0 : ~0u << (b.threads - i * 32);
    }
    emulated_check_block(dynamic_shared, emulated_running->shared);
    if (emulated_running->shared > 0)
        memset(dynamic_shared, 0xff, emulated_running->shared);
    give_way(&b.scheduler);
}

/* Blocks go in the order of their number, or from the last to the first, or, at random, from a place on. */
unsigned emulated_block_number(unsigned n) {
    const size_t block = emulated_schedule() == SCHEDULE_REVERSE ? blocks - 1 - n : n;
    return (unsigned)((block + first_block) % blocks);
}

void emulated_run(const emulated_grid &grid) {
    if (!stacks)
        make_stacks();
    emulated_running = &grid;
    emulated_place.threads = grid.threads;
    emulated_place.blocks = grid.blocks;
    b.threads = (int)(grid.threads.x * grid.threads.y * grid.threads.z);
    for (int i = 0; i < b.threads; i++)
        b.barrier[i] = -1;
    dynamic_shared = shared_end - (grid.shared + 15) / 16 * 16;
    order_threads();
    blocks = (size_t)grid.blocks.x * grid.blocks.y * grid.blocks.z;
    first_block = emulated_schedule() == SCHEDULE_RANDOM ? emulated_random((uint32_t)blocks) : 0;
    for (size_t n = 0; n < blocks; n++) {
        const unsigned block = emulated_block_number((unsigned)n);
        emulated_place.block.x = block % grid.blocks.x;
        emulated_place.block.y = block / grid.blocks.x % grid.blocks.y;
        emulated_place.block.z = block / grid.blocks.x / grid.blocks.y;
        run_block();
    }
    emulated_running = NULL;
}

bool emulated_own(const void *address) {
    return (address >= (const void *)&b && address < (const void *)(&b + 1)) ||
           (address >= (const void *)&emulated_place && address < (const void *)(&emulated_place + 1));
}
