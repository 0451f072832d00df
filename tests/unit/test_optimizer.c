/* The optimizer against its formulas written out in float64, one weight after the other: Adam and RAdam, several
 * b2, schedules with and without a final rate, clipping, the moving average. */
#include "base/statistics.h"
#include "learn/optimizer.h"
#include "test.h"

static const double SLACK = sizeof(real) == 4 ? 1e-5 : 1e-12;
enum { COUNT = 33, STEPS = 40 };

static double number(int a, int b) {
    uint32_t word[4];
    rng_words(5, STREAM_PROBE, (uint32_t)a, (uint64_t)b, 0, word);
    return 2 * rng_uniform(word[0]) - 1;
}

/* Linear from 0 at step 0 to 1 at step `warm`, then half a cosine from 1 down to `end` at step `total`. */
static double rate_at(int step, int warm, int total, double end) {
    if (step < warm)
        return (double)step / warm;
    return end + (1 - end) * pow(cos(acos(-1) / 2 * (step - warm) / (total - warm)), 2);
}

/* How much of a step of Adam RAdam takes: Liu et al., Algorithm 2; 0: a step of plain momentum. */
static double rectification(int t, double b2) {
    const double longest = 2 / (1 - b2) - 1;
    const double length = longest - 2 * t * pow(b2, t) / (1 - pow(b2, t));
    if (length < 5)
        return 0;
    return sqrt((length - 4) / (longest - 4) * (length - 2) / (longest - 2) * longest / length);
}

static void check(bool rectify, double b2, double end, double clip) {
    const double peak = 0.01, average = 0.9;
    const int warm = 5;
    const struct schedule schedule = {peak, warm, STEPS, end};
    const struct optimizer_rule rule = {rectify, b2, clip, average};
    struct optimizer *o = NULL;
    real start[COUNT], gradient[COUNT];
    double theta[COUNT], mean[COUNT], m[COUNT] = {0}, v[COUNT] = {0}, got[2][COUNT];
    for (int i = 0; i < COUNT; i++)
        theta[i] = mean[i] = (double)(start[i] = (real)number(i, 0));
    assert_int_equal(optimizer_create(ops_cpu(), COUNT, &schedule, &rule, start, &o), STATUS_OK);
    for (int t = 1; t <= STEPS; t++) {
        double square = 0;
        for (int i = 0; i < COUNT; i++) { /* of very different sizes */
            gradient[i] = (real)(number(i, t) * (i % 3 == 0 ? 1e-6 : i % 3 == 1 ? 1 : 100));
            square += (double)gradient[i] * (double)gradient[i];
        }
        const double norm = sqrt(square), rate = peak * rate_at(t - 1, warm, STEPS, end);
        const double much = rectify ? rectification(t, b2) : 1;
        for (int i = 0; i < COUNT; i++) {
            const double g = (double)gradient[i] * (clip > 0 ? fmin(1, clip / norm) : 1);
            m[i] = 0.9 * m[i] + 0.1 * g;
            v[i] = b2 * v[i] + (1 - b2) * g * g;
            const double momentum = m[i] / (1 - pow(0.9, t)), root = sqrt(v[i] / (1 - pow(b2, t))) + 1e-8;
            theta[i] -= rate * (much > 0 ? much * momentum / root : momentum);
            mean[i] = average * mean[i] + (1 - average) * theta[i];
        }
        assert_int_equal(optimizer_step(o, gradient), STATUS_OK);
        for (int i = 0; i < COUNT; i++) {
            got[0][i] = (double)o->theta[i];
            got[1][i] = (double)o->average[i];
        }
        assert_below(relative_error(COUNT, got[0], theta), SLACK);
        assert_below(relative_error(COUNT, got[1], mean), SLACK);
        assert_below(fabs(o->rate - rate), 1e-15);
        assert_below(fabs(o->norm / norm - 1), 1e-12);
    }
    assert_below(fabs(schedule_rate(&schedule, STEPS) - end * peak), 1e-17);
    assert_below(fabs(schedule_rate(&schedule, 10 * STEPS) - end * peak), 1e-17);
    optimizer_destroy(&o);
}

static void adam(void **state) {
    (void)state;
    check(false, 0.999, 0, 0.3);
    check(false, 0.99, 0.02, 0.5);
    check(false, 0.9, 1, 0);
    check(false, 0, 0, 1e9); /* nothing is remembered */
}

static void radam(void **state) {
    (void)state;
    check(true, 0.999, 0, 0.3);
    check(true, 0.99, 0.02, 0.5);
    check(true, 0.9, 1, 0);
    check(true, 0.5, 0, 1); /* a memory too short to rectify: momentum all the way */
}

/* A warm-up to the last step ends at the peak. */
static void warm_up_alone(void **state) {
    (void)state;
    const struct schedule schedule = {2, 10, 10, 0.02};
    assert_true(schedule_rate(&schedule, 0) == 0 && schedule_rate(&schedule, 5) == 1);
    assert_true(schedule_rate(&schedule, 10) == 2);
}

/* Gradients whose norm, or its square in float32, is no number leave everything as it was; weights that are none are
 * told after the step that finds them so. */
static void not_finite(void **state) {
    (void)state;
    const real bad[] = {(real)NAN, (real)INFINITY, (real)-INFINITY, (real)3e18};
    const struct schedule schedule = {1e-3, 0, 10, 0};
    const struct optimizer_rule rule = {.second_decay = 0.9, .average = 0.5};
    real start[COUNT] = {0}, gradient[COUNT] = {0};
    struct optimizer *o = NULL;
    assert_int_equal(optimizer_create(ops_cpu(), COUNT, &schedule, &rule, start, &o), STATUS_OK);
    for (size_t m = 0; m < sizeof bad / sizeof *bad; m++) {
        status_clear();
        gradient[m % COUNT] = bad[m];
        assert_int_equal(optimizer_step(o, gradient), STATUS_NUMBERS);
        assert_non_null(strstr(status_message(), "the gradient is not finite at training step 1"));
        gradient[m % COUNT] = 0;
        assert_int_equal(o->step, 0);
        assert_memory_equal(o->theta, start, sizeof start);
    }
    status_clear();
    assert_int_equal(optimizer_step(o, gradient), STATUS_OK);
    o->theta[COUNT - 1] = (real)NAN;
    assert_int_equal(optimizer_step(o, gradient), STATUS_NUMBERS);
    assert_non_null(strstr(status_message(), "the weights are not finite after training step 2"));
    status_clear();
    optimizer_destroy(&o);
}

/* Losses that go down from 0 to -1 with noise of width 0.5, and every 50th `spike` times as large; from `up` on they
 * are back at 0. At which step the watch says that they have diverged; 0: never. */
static int64_t diverged(double limit, double spike, int64_t up) {
    struct loss_watch watch = {0};
    for (int64_t step = 1; step <= 5000; step++) {
        const double noise = number(7, (int)step) * (step % 50 == 0 ? 0.5 * spike : 0.5);
        const double mean = step < up ? -(double)step / ((double)step + 300) : 0;
        if (loss_watch_add(&watch, limit, mean + (step < up ? noise : 0)))
            return step;
    }
    return 0;
}

static void watch_over_losses(void **state) {
    (void)state;
    assert_int_equal(diverged(0.5, 1, 100000), 0);
    assert_int_equal(diverged(0.5, 1000, 100000), 0);
    assert_in_range(diverged(0.5, 1, 3000), 3090, 3099);
    assert_int_equal(diverged(0, 1, 3000), 0);
    assert_int_equal(diverged(1e6, 1, 3000), 0);
    struct loss_watch quiet = {0};
    for (int step = 1; step <= 300; step++) /* the last 100 are above -1 + 0.5 */
        assert_int_equal(loss_watch_add(&quiet, 0.5, step <= 200 ? -1 : -0.4), step == 300);
    for (int step = 1; step <= 300; step++) /* not above */
        assert_int_equal(loss_watch_add(&quiet, 0.5, -0.6), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(adam), cmocka_unit_test(radam),
                                       cmocka_unit_test(warm_up_alone), cmocka_unit_test(not_finite),
                                       cmocka_unit_test(watch_over_losses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
