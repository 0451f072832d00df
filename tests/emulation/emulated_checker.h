/* Where the runtime tells the checker what happens. In the fast build these are nothing. */
#ifndef EPFLOW_EMULATED_CHECKER_H
#define EPFLOW_EMULATED_CHECKER_H

#include <stddef.h>
#include <stdint.h>

#include <vector>

#pragma GCC visibility push(hidden)

#ifdef EMULATION_CHECKED
#define CHECK(declaration) void declaration;
#else
#define CHECK(declaration)                                                                                   \
    static inline void declaration {                                                                         \
    }
#endif

/* ---- kernels ---- */

/* A block begins. */
CHECK(emulated_check_block([[maybe_unused]] void *dynamic_shared, [[maybe_unused]] size_t bytes))
/* All threads are in a barrier; all lanes of a warp are in __syncwarp. */
CHECK(emulated_check_barrier())
CHECK(emulated_check_syncwarp([[maybe_unused]] int warp))
/* A thread comes to a barrier where others wait, or returns. */
CHECK(emulated_check_divergence([[maybe_unused]] int waiting, [[maybe_unused]] int ended,
                                [[maybe_unused]] const void *their_site, [[maybe_unused]] const void *site))
CHECK(emulated_check_return([[maybe_unused]] int waiting, [[maybe_unused]] const void *site))

/* The lanes of a warp that cannot come to a collective. */
CHECK(emulated_check_lanes([[maybe_unused]] uint32_t ended, [[maybe_unused]] const void *site))

/* ---- memory of the device ---- */

CHECK(emulated_check_allocated([[maybe_unused]] const void *memory, [[maybe_unused]] size_t bytes))
CHECK(emulated_check_freed([[maybe_unused]] const void *memory, [[maybe_unused]] size_t bytes))

/* Nothing has been written there any more. */
CHECK(emulated_check_fresh([[maybe_unused]] const void *memory, [[maybe_unused]] size_t bytes))

/* A part of scratch memory, aligned to 256 bytes, with 256 behind it that nothing may touch. */
CHECK(emulated_check_part([[maybe_unused]] const void *memory, [[maybe_unused]] size_t bytes))

/* Work of a stream begins; how many works of each stream were done before it. */
CHECK(emulated_check_work([[maybe_unused]] const char *name, [[maybe_unused]] uint32_t stream,
                          [[maybe_unused]] const std::vector<uint32_t> &clock))
/* Work that is no kernel reads or writes memory, or copies it on the device, with what is not set of it. */
CHECK(emulated_check_range([[maybe_unused]] const void *memory, [[maybe_unused]] size_t bytes,
                           [[maybe_unused]] bool write))
CHECK(emulated_check_set([[maybe_unused]] const void *memory,
                         [[maybe_unused]] size_t bytes)) /* reads it, all set */
CHECK(emulated_check_copy([[maybe_unused]] void *to, [[maybe_unused]] const void *from,
                          [[maybe_unused]] size_t bytes))

#undef CHECK

/* ---- what the checker asks ---- */

struct emulated_segment {
    const char *low;
    size_t bytes;
};
/* The static shared memory of this library, and the array in it that holds byte `at` or is the last before it. */
const struct emulated_segment &emulated_static_shared(void);
bool emulated_shared_array(size_t at, size_t *low, size_t *bytes, const char **name);
/* Constants of this library; memory of the runtime that inline functions of emulated_kernels.h read. */
bool emulated_constant(const void *address);
bool emulated_own(const void *address);
/* The number of the block that ran as the n-th of this launch. */
unsigned emulated_block_number(unsigned n);

#pragma GCC visibility pop

#endif
