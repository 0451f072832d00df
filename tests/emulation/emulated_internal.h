/* Shared by the files of the emulated runtime. */
#ifndef EPFLOW_EMULATED_INTERNAL_H
#define EPFLOW_EMULATED_INTERNAL_H

#include <cuda_runtime.h>

#include "emulated_kernels.h"

#include <functional>

#pragma GCC visibility push(hidden) /* the library has no other users of these */

enum { MOST_THREADS = 1024, MOST_WARPS = MOST_THREADS / 32 };
static const size_t EMULATED_ARENA_BYTES = (size_t)1 << 36; /* addresses for memory of the device */
enum { EMULATED_SHARED_BYTES = 163 * 1024 }; /* most dynamic shared memory of a block, as on an A100 */

/* One launch: what the fibers run. */
struct emulated_grid {
    const char *name;
    const emulated_kernel *kernel;
    dim3 blocks, threads;
    size_t shared; /* bytes of dynamic shared memory */
};

/* Runs all blocks, one after the other. Does not return where a kernel does something wrong. */
void emulated_run(const emulated_grid &grid);

/* The launch under way, NULL on the host. */
extern const emulated_grid *emulated_running;

/* Prints "emulation: ..." with kernel, block, thread and the source line of `site` (an address of code, or NULL), and
 * ends the process. */
[[noreturn]] void emulated_fail(const void *site, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "file:line" of an address of code; "?" where it is not known. */
const char *emulated_line(const void *site);

/* From the environment: EPFLOW_EMULATION_SCHEDULE and EPFLOW_EMULATION_SEED. */
enum emulated_schedule { SCHEDULE_FORWARD, SCHEDULE_REVERSE, SCHEDULE_RANDOM };
enum emulated_schedule emulated_schedule(void);
uint32_t emulated_random(uint32_t below);
bool emulated_launch_fails(void); /* 0 ... below - 1; xorshift from the seed */

/* The thread of the block that runs; -1 on the host. */
extern int emulated_thread;

/* Where the stacks of fibers are. */
void emulated_stacks(const void **low, size_t *bytes);

/* ---- memory ---- */

/* All of it so far. */
void emulated_arena(const char **low, size_t *bytes);
/* Whether these bytes are memory of the device, all of one allocation. */
bool emulated_on_device(const void *memory, size_t bytes);
/* Where an address is, in words. */
const char *emulated_place_of(const void *address);
/* The host goes on: it must not touch memory of the device. */
void emulated_close_memory(void);
void emulated_catch_faults(void);

/* ---- streams ---- */

/* Whether work of a stream is being done. */
extern bool emulated_working;

/* At the end of the stream. */
void emulated_submit(cudaStream_t stream, const char *name, std::function<void()> run);

/* What the next cudaGetLastError returns; returns `error`. */
cudaError_t emulated_error(cudaError_t error);

#pragma GCC visibility pop

#endif
