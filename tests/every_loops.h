/* The tests of a program once for every instruction set that the networks' loops are compiled for and the processor
 * has. */
#ifndef EPFLOW_TESTS_EVERY_LOOPS_H
#define EPFLOW_TESTS_EVERY_LOOPS_H

#include "ops/ops.h"
#include "test.h"

/* begin: before the tests of each, or NULL. Returns how many tests failed. */
static inline int run_with_every_loops(const struct CMUnitTest *tests, size_t count,
                                       CMFixtureFunction begin) {
    static const enum simd_choice choices[] = {SIMD_AVX2, SIMD_AVX512};
    int failed = 0;
    for (int m = 0; m < 2; m++) {
        const char *name = ops_cpu_choose(choices[m]);
        if (name)
            failed += _cmocka_run_group_tests(name, tests, count, begin, NULL);
        else
            print_message("AVX-512 is not on this processor: skipped\n");
    }
    return failed;
}

#endif
