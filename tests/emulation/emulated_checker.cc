/* The checker: what the compiler calls before each access to memory (as for ThreadSanitizer and UBSan, whose libraries
 * are not linked), which memory may be touched, and reports.
 */
#include "emulated_checker.h"
#include "emulated_internal.h"
#include "emulated_shadow.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <algorithm>
#include <string>

/* ---- works and their order ---- */

struct work_record {
    std::string name;
    uint32_t stream, position;
    uint32_t first_block; /* number of the first block of a launch */
};
static std::vector<work_record> works(1);
static std::vector<uint32_t> clock_now;
static struct accessor who;
static uint32_t tick;

void emulated_check_work(const char *name, uint32_t stream, const std::vector<uint32_t> &clock) {
    clock_now = clock;
    who.work = (uint32_t)works.size();
    works.push_back({name, stream, clock[stream], who.block + 1});
}

bool shadow_ordered(uint32_t work) {
    const work_record &w = works[work];
    return w.stream < clock_now.size() && clock_now[w.stream] >= w.position;
}

/* ---- regions ---- */

enum { PAGE = 4096, GRANULE = 256 };

static const char *arena;
static struct cell *arena_cells;
static uint16_t *arena_valid; /* of each 256 bytes, how many belong to the allocation */
static const char *stacks;
static size_t stack_bytes;
static char *dynamic_low; /* of the block that runs */
static size_t dynamic_bytes;
static struct cell *dynamic_cells, *static_cells;

static void *reserve(size_t bytes) {
    void *room =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        emulated_fail(NULL, "no room for the checker's notes");
    return room;
}

/* Of each 256 bytes from `at` on, how many may be touched. */
static void set_valid(size_t at, size_t bytes) {
    for (size_t left = bytes; left > 0; at += GRANULE) {
        arena_valid[at / GRANULE] = (uint16_t)std::min(left, (size_t)GRANULE);
        left -= arena_valid[at / GRANULE];
    }
}

void emulated_check_allocated(const void *memory, size_t bytes) {
    size_t now;
    if (!arena) {
        emulated_arena(&arena, &now);
        arena_cells = (struct cell *)reserve(EMULATED_ARENA_BYTES / 4 * sizeof(struct cell));
        arena_valid = (uint16_t *)reserve(EMULATED_ARENA_BYTES / GRANULE * sizeof(uint16_t));
    }
    set_valid((size_t)((const char *)memory - arena), bytes);
}

/* Forgets what was noted of whole pages of notes, and of single cells at the ends. */
void emulated_check_fresh(const void *memory, size_t bytes) {
    char *low = (char *)(arena_cells + ((const char *)memory - arena) / 4);
    char *high = (char *)(arena_cells + ((const char *)memory + bytes - arena + 3) / 4);
    char *first = (char *)(((uintptr_t)low + PAGE - 1) / PAGE * PAGE),
         *last = (char *)((uintptr_t)high / PAGE * PAGE);
    if (first >= last) {
        memset(low, 0, (size_t)(high - low));
        return;
    }
    memset(low, 0, (size_t)(first - low));
    memset(last, 0, (size_t)(high - last));
    madvise(first, (size_t)(last - first), MADV_DONTNEED);
}

void emulated_check_part(const void *memory, size_t bytes) {
    const size_t at = (size_t)((const char *)memory - arena);
    set_valid(at, bytes);
    arena_valid[(at + bytes + GRANULE - 1) / GRANULE] = 0;
}

void emulated_check_freed(const void *memory, size_t bytes) {
    const size_t at = (size_t)((const char *)memory - arena) / GRANULE;
    memset(arena_valid + at, 0, (bytes + GRANULE - 1) / GRANULE * sizeof *arena_valid);
    emulated_check_fresh(memory, bytes);
}

void emulated_check_block(void *dynamic_shared, size_t bytes) {
    if (!dynamic_cells) {
        const void *low;
        emulated_stacks(&low, &stack_bytes);
        stacks = (const char *)low;
        dynamic_cells = (struct cell *)reserve(EMULATED_SHARED_BYTES / 4 * sizeof(struct cell));
        static_cells =
            (struct cell *)reserve(emulated_static_shared().bytes / 4 * sizeof(struct cell) + PAGE);
    }
    dynamic_low = (char *)dynamic_shared;
    dynamic_bytes = bytes;
    who.block++;
    who.barrier = tick = 1;
    for (uint32_t &warp : who.warps)
        warp = tick;
}

void emulated_check_barrier(void) {
    who.barrier = ++tick;
    for (uint32_t &warp : who.warps)
        warp = tick;
}

void emulated_check_syncwarp(int warp) {
    who.warps[warp] = ++tick;
}

/* ---- barriers ---- */

void emulated_check_divergence(int waiting, int ended, const void *their_site, const void *site) {
    if (ended > 0)
        emulated_fail(site, "barrier divergence: %d threads have returned before a barrier of all,", ended);
    if (waiting > 0 && their_site != site) {
        const char *theirs = emulated_line(their_site), *mine = emulated_line(site);
        if (strcmp(theirs, mine) != 0) /* a compiler may have made two calls of one */
            emulated_fail(NULL, "barrier divergence: this thread waits at %s, others at %s", mine, theirs);
    }
}

void emulated_check_return(int waiting, const void *site) {
    if (waiting > 0)
        emulated_fail(site, "barrier divergence: this thread returns while %d threads wait in the barrier",
                      waiting);
}

void emulated_check_lanes(uint32_t ended, const void *site) {
    if (ended)
        emulated_fail(site, "a collective of a warp whose lanes %08x have returned or are not there", ended);
}

/* ---- reports ---- */

static int32_t offset_of(const void *site) {
    return (int32_t)((const char *)site - (const char *)&emulated_check_block);
}

/* "thread 3 of block 7, which wrote it at file:line" */
static std::string other_of(const struct finding &f, bool streams) {
    char text[512];
    const struct stamp &s = f.other;
    const work_record &w = works[s.work];
    const void *site = (const char *)&emulated_check_block + s.site;
    if (streams)
        snprintf(text, sizeof text, "%s of stream %u, which %s it", w.name.c_str(), w.stream,
                 f.other_wrote ? "writes" : "reads");
    else
        snprintf(text, sizeof text, "%s%sthread %u of block %u, which %s it at %s",
                 s.flags & STAMP_ATOMIC ? "(atomic) " : "",
                 s.flags & (STAMP_LANES | STAMP_WARPS | STAMP_BLOCKS) ? "others and " : "", s.thread,
                 emulated_block_number(s.block - w.first_block), f.other_wrote ? "wrote" : "read",
                 emulated_line(site));
    return text;
}

static const char *const verbs[] = {"reads", "writes", "updates (atomic)"};

[[noreturn]] static void report(const void *site, enum access access, const void *address, size_t bytes,
                                const std::string &place, const struct finding &f) {
    if (f.fault == FAULT_UNSET)
        emulated_fail(site, "uninitialised: %s %zu bytes at %p that nobody wrote (%s)", verbs[access], bytes,
                      address, place.c_str());
    if (f.fault == FAULT_RACE)
        emulated_fail(site, "race: %s %zu bytes at %p (%s) with no order to %s;", verbs[access], bytes,
                      address, place.c_str(), other_of(f, false).c_str());
    emulated_fail(site, "race between streams: %s (stream %u) %s %zu bytes at %p (%s) with no order to %s",
                  works[who.work].name.c_str(), works[who.work].stream, verbs[access], bytes, address,
                  place.c_str(), other_of(f, true).c_str());
}

/* ---- accesses of kernels ---- */

static void global_access(const char *address, size_t bytes, enum access access, const void *site) {
    const size_t at = (size_t)(address - arena);
    for (size_t byte = at; byte < at + bytes; byte = (byte / GRANULE + 1) * GRANULE) {
        const size_t end =
            (byte / GRANULE + 1) * GRANULE < at + bytes ? (byte / GRANULE + 1) * GRANULE : at + bytes;
        if (end - byte / GRANULE * GRANULE > arena_valid[byte / GRANULE])
            emulated_fail(site, "out of bounds: %s %zu bytes at %p, %s", verbs[access], bytes,
                          (const void *)address, emulated_place_of(address));
    }
    const struct finding f =
        shadow_access(arena_cells, at, bytes, access, false, emulated_thread, offset_of(site), who);
    if (f.fault != FAULT_NONE)
        report(site, access, address, bytes, emulated_place_of(address), f);
}

static void shared_access(const char *address, const char *low, size_t size, struct cell *cells, size_t bytes,
                          enum access access, const void *site, const char *what, size_t array = 0) {
    const size_t at = (size_t)(address - low);
    char place[256];
    if (at + bytes > size)
        emulated_fail(site, "out of bounds: %s %zu bytes at byte %zu of %zu bytes of %s", verbs[access],
                      bytes, at, size, what);
    const size_t offset = (uintptr_t)low % 4; /* cells are of aligned words */
    const struct finding f =
        shadow_access(cells, at + offset, bytes, access, true, emulated_thread, offset_of(site), who);
    if (f.fault == FAULT_NONE)
        return;
    snprintf(place, sizeof place, "byte %zu of %s", at - array, what);
    report(site, access, address, bytes, place, f);
}

static void static_access(const char *address, size_t bytes, enum access access, const void *site) {
    const struct emulated_segment &all = emulated_static_shared();
    size_t low, size;
    const char *name;
    if (!emulated_shared_array((size_t)(address - all.low), &low, &size, &name))
        emulated_fail(site, "out of bounds: %s %zu bytes at %p, between arrays of shared memory",
                      verbs[access], bytes, (const void *)address);
    const size_t offset = (size_t)(address - all.low) - low;
    if (offset + bytes > size)
        emulated_fail(site, "out of bounds: %s %zu bytes at byte %zu of %s, shared memory of %zu bytes",
                      verbs[access], bytes, offset, name, size);
    shared_access(address, all.low, all.bytes, static_cells, bytes, access, site, name, low);
}

/* Neither memory of the device nor shared: the arguments, places, tables of constants. */
static void other_access(const char *address, size_t bytes, enum access access, const void *site) {
    const char *arguments = (const char *)emulated_running->kernel;
    if (access == ACCESS_READ &&
        ((address >= arguments && address + bytes <= arguments + emulated_running->kernel->bytes) ||
         emulated_own(address) || emulated_constant(address)))
        return;
    emulated_fail(site, "host pointer in a kernel: %s %zu bytes at %p", verbs[access], bytes,
                  (const void *)address);
}

static void on_access(const void *memory, size_t bytes, enum access access, const void *site) {
    const char *address = (const char *)memory;
    if (address >= (const char *)&emulated_place && address < (const char *)(&emulated_place + 1))
        return; /* threadIdx and so on: by far the most */
    const struct emulated_segment &shared = emulated_static_shared();
    const bool in_arena = arena && address >= arena && address < arena + EMULATED_ARENA_BYTES;
    if (emulated_thread < 0) {
        if (in_arena && !emulated_working)
            emulated_fail(site, "the host %s memory of the device at %p (%s)", verbs[access], memory,
                          emulated_place_of(memory));
        return;
    }
    if (address >= stacks && address < stacks + stack_bytes)
        return;
    if (in_arena)
        global_access(address, bytes, access, site);
    else if (address >= dynamic_low && address < dynamic_low + (dynamic_bytes + 15) / 16 * 16)
        shared_access(address, dynamic_low, dynamic_bytes, dynamic_cells, bytes, access, site,
                      "dynamic shared memory");
    else if (address >= shared.low && address < shared.low + shared.bytes)
        static_access(address, bytes, access, site);
    else if (address >= dynamic_low - EMULATED_SHARED_BYTES && address < dynamic_low + EMULATED_SHARED_BYTES)
        emulated_fail(
            site,
            "out of bounds: %s %zu bytes %td bytes from the start of %zu bytes of dynamic shared memory",
            verbs[access], bytes, address - dynamic_low, dynamic_bytes);
    else
        other_access(address, bytes, access, site);
}

/* ---- other work ---- */

static void range(const void *memory, size_t bytes, bool write, bool must_be_set) {
    const size_t at = (size_t)((const char *)memory - arena);
    if (bytes == 0)
        return;
    if (!emulated_on_device(memory, bytes))
        emulated_fail(NULL, "out of bounds: %s %s %zu bytes at %p, %s", works[who.work].name.c_str(),
                      verbs[write], bytes, memory, emulated_place_of(memory));
    const struct finding f = shadow_range(arena_cells, at, bytes, write, must_be_set, who);
    if (f.fault == FAULT_UNSET)
        emulated_fail(NULL, "uninitialised: %s reads %zu bytes at %p, some of which nobody wrote (%s)",
                      works[who.work].name.c_str(), bytes, memory, emulated_place_of(memory));
    if (f.fault != FAULT_NONE)
        report(NULL, write ? ACCESS_WRITE : ACCESS_READ, memory, bytes, emulated_place_of(memory), f);
}

void emulated_check_range(const void *memory, size_t bytes, bool write) {
    range(memory, bytes, write, false);
}

void emulated_check_set(const void *memory, size_t bytes) {
    range(memory, bytes, false, true);
}

void emulated_check_copy(void *to, const void *from, size_t bytes) {
    range(from, bytes, false, false);
    range(to, bytes, true, false);
    shadow_copy(arena_cells, (size_t)((char *)to - arena), arena_cells, (size_t)((const char *)from - arena),
                bytes);
}

/* ---- what the compiler calls ---- */

#define SITE __builtin_return_address(0)

static void aligned(const void *address, size_t bytes, const void *site) {
    if ((uintptr_t)address % bytes != 0 && emulated_thread >= 0)
        emulated_fail(site, "misaligned: an access of %zu bytes at %p", bytes, address);
}

#define ACCESSES(bytes)                                                                                      \
    extern "C" void __tsan_read##bytes(void *address) {                                                      \
        aligned(address, bytes, SITE);                                                                       \
        on_access(address, bytes, ACCESS_READ, SITE);                                                        \
    }                                                                                                        \
    extern "C" void __tsan_write##bytes(void *address) {                                                     \
        aligned(address, bytes, SITE);                                                                       \
        on_access(address, bytes, ACCESS_WRITE, SITE);                                                       \
    }                                                                                                        \
    extern "C" void __tsan_unaligned_read##bytes(void *address) {                                            \
        on_access(address, bytes, ACCESS_READ, SITE);                                                        \
    }                                                                                                        \
    extern "C" void __tsan_unaligned_write##bytes(void *address) {                                           \
        on_access(address, bytes, ACCESS_WRITE, SITE);                                                       \
    }
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

extern "C" void __tsan_read_range(void *address, size_t bytes) {
    on_access(address, bytes, ACCESS_READ, SITE);
}
extern "C" void __tsan_write_range(void *address, size_t bytes) {
    on_access(address, bytes, ACCESS_WRITE, SITE);
}
extern "C" void __tsan_volatile_read4(void *address) {
    on_access(address, 4, ACCESS_READ, SITE);
}
extern "C" void __tsan_init(void) {
}
extern "C" void __tsan_func_entry(void *) {
}
extern "C" void __tsan_func_exit(void) {
}
extern "C" void __tsan_vptr_update(void *, void *) {
}

/* Atomics read first and then write (emulated_kernels.h): one check is enough. */
#define ATOMICS(bits)                                                                                        \
    extern "C" uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *address, int) {      \
        aligned((const void *)address, bits / 8, SITE);                                                      \
        on_access((const void *)address, bits / 8, ACCESS_ATOMIC, SITE);                                     \
        return *address;                                                                                     \
    }                                                                                                        \
    extern "C" void __tsan_atomic##bits##_store(volatile uint##bits##_t *address, uint##bits##_t x, int) {   \
        *address = x;                                                                                        \
    }
ATOMICS(32)
ATOMICS(64)

/* Of an index, by the bounds of its array; of a pointer, by the alignment of its type. */
struct ubsan_place {
    const char *file;
    uint32_t line, column;
};

extern "C" void __ubsan_handle_out_of_bounds(struct ubsan_place *place, size_t index) {
    emulated_fail(NULL, "out of bounds: index %td of an array at %s:%u", (ptrdiff_t)index, place->file,
                  place->line);
}
extern "C" void __ubsan_handle_type_mismatch_v1(struct ubsan_place *place, size_t pointer) {
    if (emulated_thread >= 0)
        emulated_fail(NULL,
                      "misaligned: an access at %p, by a pointer to a type of larger alignment, at %s:%u",
                      (void *)pointer, place->file, place->line);
}
