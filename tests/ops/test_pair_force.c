/* The pair force in float32 against its definition in the C library's long double: what softplus_formula.h states. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "ops/softplus_formula.h"

#include "test.h"

static long double exact(float r, float beta) {
    const long double t = (long double)beta * (2 - (long double)r);
    return (t > 0 ? t : 0) + log1pl(expl(-fabsl(t)));
}

/* The largest distance from the exact force, in units in its last place, of `steps` radii up to the one where it
 * is 1e-14. */
static double worst(float beta, int steps) {
    const double reach = 2 + 32.0 / beta;
    double most = 0;
    for (int m = 1; m <= steps; m++) {
        const float r = (float)(reach * m / steps), got = pair_force_f(r, beta, 1 / beta); /* beta f */
        const long double want = exact(r, beta);
        const double unit = ldexp(1, ilogb((double)want) - 23);
        const double off = fabs((double)((long double)got - want)) / unit;
        most = off > most ? off : most;
    }
    return most;
}

static void test_units_in_the_last_place(void **state) {
    (void)state;
    static const float beta[] = {7.5f, 1.0f, 3.3f, 40.0f};
    for (int m = 0; m < 4; m++) {
        const double off = worst(beta[m], 400000);
        print_message("beta %g: %.2f units in the last place\n", (double)beta[m], off);
        assert_true(off < 2);
    }
}

/* The two parts by themselves, relative to their exact values. */
static void test_parts(void **state) {
    (void)state;
    double decay = 0, grown = 0;
    for (int m = 0; m <= 400000; m++) {
        const float x = -80.0f * (float)m / 400000, e = (float)m / 400000;
        decay = fmax(decay, fabs((double)(exp_negative_f(x) / expl(x) - 1)));
        grown =
            fmax(grown, m == 0 ? fabsf(log1p_unit_f(0)) : fabs((double)(log1p_unit_f(e) / log1pl(e) - 1)));
    }
    print_message("exp %.3g, log(1 + e) %.3g\n", decay, grown);
    assert_true(decay < 1.5e-7);
    assert_true(grown < 1.5e-7);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_units_in_the_last_place),
                                       cmocka_unit_test(test_parts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
