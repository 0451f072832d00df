/* The CPU table and the CUDA table side by side: the same arrays in the memory of each. */
#ifndef EPFLOW_TESTS_EMULATION_BOTH_H
#define EPFLOW_TESTS_EMULATION_BOTH_H

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "ops/backend.h"
#include "ops/ops.h"

/* An array in both memories. */
struct both {
    void *cpu, *cuda;
    size_t bytes;
};

static const struct ops *cpu, *cuda;

/* Group set-up and tear-down of cmocka. */
static int both_open(void **state) {
    (void)state;
    struct backend_device device;
    char message[512];
    cpu = ops_cpu();
    if (epflow_cuda_open(0, PRECISION_FLOAT32, &cuda, &device, message, sizeof message) != STATUS_OK) {
        print_error("%s\n", message);
        return -1;
    }
    return 0;
}

static int both_close(void **state) {
    (void)state;
    epflow_cuda_close(&cuda);
    return 0;
}

static struct both both_zero(size_t bytes) {
    struct both b = {.bytes = bytes};
    assert_int_equal(cpu->allocate(cpu, bytes, &b.cpu), STATUS_OK);
    assert_int_equal(cuda->allocate(cuda, bytes, &b.cuda), STATUS_OK);
    return b;
}

static struct both both_of(const void *host, size_t bytes) {
    struct both b = both_zero(bytes);
    memcpy(b.cpu, host, bytes);
    cuda->to_device(cuda, b.cuda, host, bytes);
    return b;
}

static void both_release(struct both *b) {
    cpu->release(cpu, b->cpu);
    cuda->release(cuda, b->cuda);
    *b = (struct both){0};
}

/* Numbers of a run of the test: a function of `name` and place. */
static double both_number(uint32_t name, size_t i) {
    uint32_t word[4];
    rng_words(20, STREAM_PROBE, (uint32_t)i, name, 0, word);
    return rng_uniform(word[0]);
}

/* count reals, evenly between low and high. */
static struct both both_random(uint32_t name, size_t count, double low, double high) {
    real *host = malloc((count + 1) * sizeof *host);
    for (size_t i = 0; i < count; i++)
        host[i] = (real)(low + (high - low) * both_number(name, i));
    struct both b = both_of(host, count * sizeof *host);
    free(host);
    return b;
}

/* What the CUDA table has in an array, to be freed. Reports errors of the device. */
static void *both_fetch(const struct both *b) {
    void *host = malloc(b->bytes + 1);
    cuda->to_host(cuda, host, b->cuda, b->bytes);
    if (cuda->synchronise(cuda) != STATUS_OK)
        fail_msg("%s", status_message());
    return host;
}

/* Largest difference over the largest size of the CPU's numbers, at most `most`. NaNs fail. */
static void both_close_real(const char *what, const struct both *b, double most) {
    real *got = both_fetch(b);
    const real *want = b->cpu;
    double difference = 0, size = 1e-30;
    for (size_t i = 0; i < b->bytes / sizeof *want; i++) {
        const double apart = fabs((double)got[i] - (double)want[i]);
        size = fmax(size, fabs((double)want[i]));
        if (!(apart <= difference)) /* NaN too */
            difference = isnan(apart) ? INFINITY : apart;
    }
    free(got);
    if (!(difference <= most * size))
        fail_msg("%s: %g apart, %g of the largest (at most %g)", what, difference, difference / size, most);
}

static void both_close_double(const char *what, const struct both *b, double most) {
    double *got = both_fetch(b);
    const double *want = b->cpu;
    double difference = 0, size = 1e-300;
    for (size_t i = 0; i < b->bytes / sizeof *want; i++) {
        const double apart = fabs(got[i] - want[i]);
        size = fmax(size, fabs(want[i]));
        if (!(apart <= difference))
            difference = isnan(apart) ? INFINITY : apart;
    }
    free(got);
    if (!(difference <= most * size))
        fail_msg("%s: %g apart, %g of the largest (at most %g)", what, difference, difference / size, most);
}

/* Keeps the compiler from complaining in programs that do not use all of these. */
static inline void both_unused(void) {
    (void)both_open, (void)both_close, (void)both_zero, (void)both_of, (void)both_release, (void)both_number,
        (void)both_random, (void)both_fetch, (void)both_close_real, (void)both_close_double;
}

#endif
