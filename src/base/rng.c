#include "base/rng.h"

/* A balanced Feistel network of four rounds permutes the numbers of 2 m bits, the least even number of bits
 * that holds n; an image that is not below n is permuted again, which stays a permutation of 0 ... n-1. */
uint32_t rng_permute(uint64_t seed, enum rng_stream stream, uint64_t shuffle, uint32_t index, uint64_t n) {
    int half = 1;
    while (((uint64_t)1 << (2 * half)) < n)
        half++;
    const uint32_t mask = (uint32_t)(((uint64_t)1 << half) - 1);
    uint64_t image = index;
    do {
        uint32_t left = (uint32_t)(image >> half), right = (uint32_t)image & mask;
        for (uint32_t round = 0; round < 4; round++) {
            uint32_t word[4];
            rng_words(seed, stream, right, shuffle, round, word);
            uint32_t mixed = left ^ (word[0] & mask);
            left = right;
            right = mixed;
        }
        image = ((uint64_t)left << half) | right;
    } while (image >= n);
    return (uint32_t)image;
}
