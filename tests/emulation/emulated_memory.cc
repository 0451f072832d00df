/* Memory of the device and of the host, and copies.
 *
 * Memory of the device is an arena that nothing may touch (PROT_NONE). While work of a stream runs, a chunk of an
 * allocation opens at its first touch (a fault) and closes when the host goes on: so a host that reads or writes it is
 * told. Behind each allocation is a page that never opens; addresses are not used twice while there is room. Fresh
 * memory is 0xff: NaNs, and indices that lead far away.
 */
#include "emulated_internal.h"
#include "emulated_checker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <map>
#include <vector>

static const size_t DEVICE_BYTES = (size_t)16 << 30;
enum { PAGE = 4096, ALIGNMENT = 256, CHUNK = 64 * PAGE };

struct allocation {
    char *pages; /* of the arena, and how many bytes of them, the page behind not among them */
    size_t page_bytes, bytes;
    std::vector<bool> open; /* of each CHUNK of pages */
};

static char *arena, *arena_next;
static size_t used_bytes;
static std::map<const char *, allocation> blocks; /* by their first byte */
static std::multimap<size_t, char *> free_pages;  /* of allocations that were given back, by their size */
static std::vector<std::pair<allocation *, size_t>> opened; /* chunks */
static std::map<const char *, size_t> pinned;

void emulated_arena(const char **low, size_t *bytes) {
    *low = arena;
    *bytes = arena ? (size_t)(arena_next - arena) : 0;
}

/* The allocation that holds `memory`, or the last one before it. */
static std::map<const char *, allocation>::iterator block_before(const void *memory) {
    auto after = blocks.upper_bound((const char *)memory);
    return after == blocks.begin() ? blocks.end() : --after;
}

bool emulated_on_device(const void *memory, size_t bytes) {
    const auto block = block_before(memory);
    return block != blocks.end() && (const char *)memory + bytes <= block->first + block->second.bytes;
}

static void protect(allocation *block, size_t chunk, int protection) {
    const size_t at = chunk * CHUNK;
    mprotect(block->pages + at, std::min(block->page_bytes - at, (size_t)CHUNK), protection);
    block->open[chunk] = protection != PROT_NONE;
}

void emulated_close_memory(void) {
    for (const auto &chunk : opened)
        protect(chunk.first, chunk.second, PROT_NONE);
    opened.clear();
}

/* ---- faults ---- */

static struct sigaction before[2]; /* of SIGSEGV and SIGBUS */

/* Where an address of the arena is, in words. */
static const char *place_of(const char *address) {
    static char text[256];
    const auto block = block_before(address);
    if (block == blocks.end())
        snprintf(text, sizeof text, "not in an allocation (any more)");
    else if (address < block->first + block->second.bytes)
        snprintf(text, sizeof text, "byte %zu of an allocation of %zu bytes",
                 (size_t)(address - block->first), block->second.bytes);
    else
        snprintf(text, sizeof text, "%zu bytes behind the end of an allocation of %zu bytes, or given back",
                 (size_t)(address - block->first) - block->second.bytes, block->second.bytes);
    return text;
}

const char *emulated_place_of(const void *address) {
    return place_of((const char *)address);
}

static void on_fault(int signal, siginfo_t *info, void *context) {
    const char *address = (const char *)info->si_addr;
    const void *site = (const char *)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] + 1;
    const void *stacks;
    size_t stack_bytes;
    emulated_stacks(&stacks, &stack_bytes);
    if (arena && address >= arena && address < arena + EMULATED_ARENA_BYTES) {
        const auto block = block_before(address);
        if (!emulated_working)
            emulated_fail(site, "the host touches memory of the device at %p (%s)", (const void *)address,
                          place_of(address));
        const size_t chunk = block != blocks.end() ? (size_t)(address - block->second.pages) / CHUNK : 0;
        if (block == blocks.end() || address >= block->first + block->second.bytes ||
            block->second.open[chunk])
            emulated_fail(site, "out of bounds: %p is %s", (const void *)address, place_of(address));
        protect(&block->second, chunk, PROT_READ | PROT_WRITE);
        opened.push_back({&block->second, chunk});
        return;
    }
    if (stacks && address >= (const char *)stacks && address < (const char *)stacks + stack_bytes)
        emulated_fail(site, "the stack of a thread is full");
    if (emulated_running)
        emulated_fail(
            site, "a kernel touches %p, which is not memory of the device (a host pointer, or out of bounds)",
            (const void *)address);
    sigaction(signal, &before[signal == SIGBUS], NULL); /* not ours: it happens again */
}

/* Test frameworks set handlers of their own for each test: this comes again with every run of work. */
void emulated_catch_faults(void) {
    static char room[64 * 1024];
    stack_t stack = {room, 0, sizeof room};
    struct sigaction action = {}, old;
    sigaction(SIGSEGV, NULL, &old);
    if ((old.sa_flags & SA_SIGINFO) && old.sa_sigaction == on_fault)
        return;
    sigaltstack(&stack, NULL);
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &before[0]);
    sigaction(SIGBUS, &action, &before[1]);
}

/* ---- allocation ---- */

static bool make_arena(void) {
    if (arena)
        return true;
    void *room =
        mmap(NULL, EMULATED_ARENA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return false;
    arena = arena_next = (char *)room;
    return true;
}

/* New ones while there are some, with one behind them that stays closed. */
static char *take_pages(size_t bytes) {
    if (bytes + PAGE <= (size_t)(arena + EMULATED_ARENA_BYTES - arena_next)) {
        char *pages = arena_next;
        arena_next += bytes + PAGE;
        return pages;
    }
    const auto at = free_pages.lower_bound(bytes);
    if (at == free_pages.end())
        return NULL;
    char *pages = at->second + (at->first - bytes); /* what is before stays unused */
    free_pages.erase(at);
    return pages;
}

/* The last byte is near the end of its page: what comes behind cannot be touched. */
extern "C" cudaError_t cudaMalloc(void **out, size_t bytes) {
    *out = NULL;
    if (bytes == 0)
        return cudaSuccess;
    const size_t rounded = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    const size_t page_bytes = (rounded + PAGE - 1) / PAGE * PAGE;
    if (bytes > DEVICE_BYTES - used_bytes || !make_arena())
        return emulated_error(cudaErrorMemoryAllocation);
    allocation block = {take_pages(page_bytes), page_bytes, bytes,
                        std::vector<bool>((page_bytes + CHUNK - 1) / CHUNK)};
    if (!block.pages || mprotect(block.pages, page_bytes, PROT_READ | PROT_WRITE) != 0)
        return emulated_error(cudaErrorMemoryAllocation);
    char *first = block.pages + page_bytes - rounded;
    memset(first, 0xff, rounded);
    mprotect(block.pages, page_bytes, PROT_NONE);
    blocks[first] = std::move(block);
    used_bytes += bytes;
    emulated_catch_faults();
    emulated_check_allocated(first, bytes);
    *out = first;
    return cudaSuccess;
}

extern "C" cudaError_t cudaFree(void *memory) {
    if (!memory)
        return cudaSuccess;
    cudaDeviceSynchronize();
    const auto block = blocks.find((const char *)memory);
    if (block == blocks.end())
        return emulated_error(cudaErrorInvalidValue);
    emulated_check_freed(memory, block->second.bytes);
    madvise(block->second.pages, block->second.page_bytes, MADV_DONTNEED);
    used_bytes -= block->second.bytes;
    free_pages.insert({block->second.page_bytes, block->second.pages});
    blocks.erase(block);
    return cudaSuccess;
}

extern "C" cudaError_t cudaMallocHost(void **out, size_t bytes) {
    *out = bytes > 0 ? aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT) : NULL;
    if (bytes > 0 && !*out)
        return emulated_error(cudaErrorMemoryAllocation);
    if (*out) {
        memset(*out, 0xff, bytes);
        pinned[(const char *)*out] = bytes;
    }
    return cudaSuccess;
}

extern "C" cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned) {
    return cudaMallocHost(out, bytes);
}

extern "C" cudaError_t cudaFreeHost(void *memory) {
    if (!memory)
        return cudaSuccess;
    cudaDeviceSynchronize();
    if (!pinned.erase((const char *)memory))
        return emulated_error(cudaErrorInvalidValue);
    free(memory);
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    *total = DEVICE_BYTES;
    *free_bytes = DEVICE_BYTES - used_bytes;
    return cudaSuccess;
}

/* ---- copies ---- */

/* What is copied from or to must be what the kind says, and all of it in one allocation. */
static void check_side(const void *site, const char *what, const void *memory, size_t bytes, bool device) {
    const bool in_arena =
        arena && (const char *)memory >= arena && (const char *)memory < arena + EMULATED_ARENA_BYTES;
    if (device && !in_arena)
        emulated_fail(site, "%s a copy is %p, a host pointer, where memory of the device belongs", what,
                      memory);
    if (device && !emulated_on_device(memory, bytes))
        emulated_fail(site, "%s a copy are %zu bytes at %p: out of bounds, %s", what, bytes, memory,
                      place_of((const char *)memory));
    if (!device && in_arena)
        emulated_fail(site, "%s a copy is %p, a device pointer, where memory of the host belongs", what,
                      memory);
}

/* With EPFLOW_EMULATION_HASH set, what was copied to the host has a number, which is told at the end: it must not
 * depend on the schedule. */
static uint64_t copies_hash = 14695981039346656037u; /* FNV-1a */

static void tell_hash(void) {
    fprintf(stderr, "emulation: what was copied to the host has the hash %016llx\n",
            (unsigned long long)copies_hash);
}

static void hash_copy(const void *memory, size_t bytes) {
    static int wanted = -1;
    if (wanted < 0) {
        wanted = getenv("EPFLOW_EMULATION_HASH") != NULL;
        if (wanted)
            atexit(tell_hash);
    }
    for (size_t i = 0; wanted && i < bytes; i++)
        copies_hash = (copies_hash ^ ((const unsigned char *)memory)[i]) * 1099511628211u;
}

static cudaError_t copy(const void *site, void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                        cudaStream_t stream) {
    if (bytes == 0)
        return cudaSuccess;
    if (kind != cudaMemcpyHostToDevice && kind != cudaMemcpyDeviceToHost && kind != cudaMemcpyDeviceToDevice)
        emulated_fail(site, "a copy of kind %d: only between host and device, and on the device", (int)kind);
    const bool from_device = kind != cudaMemcpyHostToDevice, to_device = kind != cudaMemcpyDeviceToHost;
    check_side(site, "the source of", from, bytes, from_device);
    check_side(site, "the target of", to, bytes, to_device);
    if (from_device && to_device && (char *)to < (const char *)from + bytes &&
        (const char *)from < (char *)to + bytes)
        emulated_fail(site, "a copy of %zu bytes onto itself", bytes);
    emulated_submit(stream, "a copy", [=] {
        if (from_device && to_device)
            emulated_check_copy(to, from, bytes);
        else
            emulated_check_range(from_device ? from : to, bytes, to_device);
        memcpy(to, from, bytes);
        if (!to_device)
            hash_copy(to, bytes);
    });
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                                       cudaStream_t stream) {
    return copy(__builtin_return_address(0), to, from, bytes, kind, stream);
}

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    return copy(__builtin_return_address(0), to, from, bytes, kind, NULL);
}

static cudaError_t set(const void *site, void *memory, int value, size_t bytes, cudaStream_t stream) {
    if (bytes == 0)
        return cudaSuccess;
    if (!emulated_on_device(memory, bytes))
        emulated_fail(site, "cudaMemset of %zu bytes at %p, which are not all memory of the device", bytes,
                      memory);
    emulated_submit(stream, "cudaMemset", [=] {
        emulated_check_range(memory, bytes, true);
        memset(memory, value, bytes);
    });
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemsetAsync(void *memory, int value, size_t bytes, cudaStream_t stream) {
    return set(__builtin_return_address(0), memory, value, bytes, stream);
}

extern "C" cudaError_t cudaMemset(void *memory, int value, size_t bytes) {
    return set(__builtin_return_address(0), memory, value, bytes, NULL);
}

/* ---- scratch memory ---- */

static cudaStream_t scratch_stream;

void emulated_scratch(cudaStream_t stream, void *memory, size_t bytes) {
    scratch_stream = stream;
    if (!memory || bytes == 0)
        return;
    emulated_submit(stream, "fresh scratch memory", [=] {
        emulated_check_range(memory, bytes, true); /* in order after the last op */
        memset(memory, 0xff, bytes);
        emulated_check_fresh(memory, bytes);
        emulated_check_allocated(memory, bytes); /* all of it, whatever the parts of the last op were */
    });
}

void emulated_part([[maybe_unused]] void *part, [[maybe_unused]] size_t bytes) {
#ifdef EMULATION_CHECKED
    emulated_submit(scratch_stream, "a part of scratch memory", [=] { emulated_check_part(part, bytes); });
#endif
}
