/* Counter-based random numbers: Philox4x32-10 of Random123.
 *
 * Every random number is a pure function of (seed, stream, particle or item, step, block): never of a
 * rank, an order or a device. That is what makes a trajectory the same bits on any number of ranks.
 */
#ifndef EPFLOW_BASE_RNG_H
#define EPFLOW_BASE_RNG_H

#include <stdint.h>

#include "base/formula.h"

#include <Random123/philox.h>

enum rng_stream {
    STREAM_STEP = 1,      /* noise of the dynamics: x and g */
    STREAM_START = 2,     /* initial positions and propulsions */
    STREAM_WEIGHTS = 3,   /* initial weights of a network */
    STREAM_ZETA = 4,      /* noise of the denoising loss */
    STREAM_BATCH = 5,     /* which particles and which frame */
    STREAM_PROBE = 6,     /* noise of evaluations */
    STREAM_DIRECTION = 7, /* directions of divergences */
    STREAM_REFINE = 8     /* noise of the fine steps before a frame */
};

/* Four 32-bit words. item: particle id or index (below 2^32); block: 0, 1, ... where one call is not
 * enough (below 2^24). */
FORMULA void rng_words(uint64_t seed, enum rng_stream stream, uint32_t item, uint64_t step, uint32_t block,
                       uint32_t out[4]) {
    philox4x32_ctr_t counter = {
        {item, (uint32_t)step, (uint32_t)(step >> 32), ((uint32_t)stream << 24) | block}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t r = philox4x32(counter, key);
    out[0] = r.v[0];
    out[1] = r.v[1];
    out[2] = r.v[2];
    out[3] = r.v[3];
}

/* Uniform in (0, 1), from one word. */
FORMULA double rng_uniform(uint32_t word) {
    return ((double)word + 0.5) * (1.0 / 4294967296.0);
}

C_LINKAGE_BEGIN

/* A permutation of 0 ... n-1 as a pure function: where index goes in shuffle number `shuffle`.
 * Feistel network with cycle walking; n from 1 to 2^32, index below n. Used to draw batches without
 * replacement that do not depend on the number of ranks. */
uint32_t rng_permute(uint64_t seed, enum rng_stream stream, uint64_t shuffle, uint32_t index, uint64_t n);

C_LINKAGE_END

#endif
