/* base: random numbers against the known answers of Random123, permutations, words, messages, provenance. */
#include "test.h"

#include <time.h>

#include "base/provenance.h"
#include "base/rng.h"
#include "base/status.h"
#include "base/text.h"
#include "base/timer.h"

/* ---- random numbers ---- */

/* philox4x32 with 10 rounds, from the kat_vectors of Random123: counter, key, result. The counter is {item, step (low),
 * step (high), stream << 24 | block}, the key {seed (low), seed (high)}. */
static void philox_known_answers(void **state) {
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], result[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const uint32_t *c = known[i].counter, *k = known[i].key;
        uint32_t out[4];
        rng_words((uint64_t)k[1] << 32 | k[0], (enum rng_stream)(c[3] >> 24), c[0],
                  (uint64_t)c[2] << 32 | c[1], c[3] & 0xffffff, out);
        assert_memory_equal(out, known[i].result, sizeof out);
    }
}

static void uniform_is_inside(void **state) {
    (void)state;
    assert_true(rng_uniform(0) > 0);
    assert_true(rng_uniform(UINT32_MAX) < 1);
    double sum = 0;
    for (uint32_t i = 0; i < 25000; i++) {
        uint32_t word[4];
        rng_words(5, STREAM_START, i, 0, 0, word);
        for (int a = 0; a < 4; a++)
            sum += rng_uniform(word[a]);
    }
    assert_below(fabs(sum / 1e5 - 0.5), 5 * sqrt(1.0 / 12 / 1e5));
}

static void permutation_is_a_bijection(void **state) {
    (void)state;
    static const uint32_t sizes[] = {1, 2, 3, 4, 5, 16, 17, 1000, 65536, 65537};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const uint32_t n = sizes[i];
        char *hit = calloc(n, 1);
        for (uint32_t index = 0; index < n; index++) {
            uint32_t image = rng_permute(7, STREAM_BATCH, 3, index, n);
            assert_true(image < n);
            assert_int_equal(hit[image]++, 0);
        }
        free(hit);
    }
}

/* Fixed points of a random permutation: one on average. Another shuffle is another permutation. */
static void permutations_differ(void **state) {
    (void)state;
    const uint32_t n = 1000, shuffles = 100;
    int fixed = 0, same = 0;
    for (uint32_t shuffle = 0; shuffle < shuffles; shuffle++)
        for (uint32_t index = 0; index < n; index++) {
            uint32_t image = rng_permute(1, STREAM_BATCH, shuffle, index, n);
            fixed += image == index;
            same += image == rng_permute(1, STREAM_BATCH, shuffle + 1, index, n);
        }
    assert_in_range(fixed, 50, 150);
    assert_in_range(same, 50, 150);
}

static void permutation_of_every_word(void **state) {
    (void)state;
    uint32_t image[64];
    for (uint32_t i = 0; i < 64; i++) {
        image[i] = rng_permute(1, STREAM_BATCH, 0, UINT32_MAX - i, (uint64_t)1 << 32);
        for (uint32_t j = 0; j < i; j++)
            assert_int_not_equal(image[i], image[j]);
    }
}

/* ---- words ---- */

/* The definition, by recursion. */
static int distance(const char *a, const char *b) {
    if (*a == '\0' || *b == '\0')
        return (int)(strlen(a) + strlen(b));
    if (*a == *b)
        return distance(a + 1, b + 1);
    int left = distance(a + 1, b), right = distance(a, b + 1), both = distance(a + 1, b + 1);
    int least = left < right ? left : right;
    return 1 + (both < least ? both : least);
}

static void distances(void **state) {
    (void)state;
    assert_int_equal(text_distance("kitten", "sitting"), 3);
    assert_int_equal(text_distance("saturday", "sunday"), 3);
    assert_int_equal(text_distance("gamma", "gama"), 1);
    assert_int_equal(text_distance("", "abc"), 3);
    for (uint32_t i = 0; i < 500; i++) {
        char word[2][8] = {"", ""};
        uint32_t random[4];
        rng_words(1, STREAM_PROBE, i, 0, 0, random);
        for (int w = 0; w < 2; w++)
            for (uint32_t c = 0; c < random[w] % 6; c++)
                word[w][c] = (char)('a' + (random[w + 2] >> (2 * c)) % 3);
        assert_int_equal(text_distance(word[0], word[1]), distance(word[0], word[1]));
    }
}

static void nearest_word(void **state) {
    (void)state;
    static const char *const words[] = {"gamma", "beta", "packing_fraction", "dt"};
    assert_string_equal(text_nearest("gama", 4, words), "gamma");
    assert_string_equal(text_nearest("packing_frction", 4, words), "packing_fraction");
    assert_string_equal(text_nearest("d", 4, words), "dt");
    assert_null(text_nearest("temperature", 4, words));
    assert_null(text_nearest("", 4, words));
}

static void durations_and_sizes(void **state) {
    (void)state;
    static const struct {
        double seconds;
        const char *text;
    } duration[] = {{0, "0.0 s"},           {3.21, "3.2 s"},      {59.94, "59.9 s"},
                    {59.96, "1 min 00 s"},  {125, "2 min 05 s"},  {3599.4, "59 min 59 s"},
                    {3599.6, "1 h 00 min"}, {3725, "1 h 02 min"}, {360000, "100 h 00 min"}};
    static const struct {
        double bytes;
        const char *text;
    } size[] = {{0, "0 B"},
                {512, "512 B"},
                {1023, "1023 B"},
                {1024, "1.0 KiB"},
                {12897485, "12.3 MiB"},
                {1048575, "1.0 MiB"},
                {1099511627776, "1.0 TiB"}};
    char text[64];
    for (size_t i = 0; i < sizeof duration / sizeof *duration; i++) {
        text_duration(duration[i].seconds, text, sizeof text);
        assert_string_equal(text, duration[i].text);
    }
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        text_bytes(size[i].bytes, text, sizeof text);
        assert_string_equal(text, size[i].text);
    }
}

/* ---- messages ---- */

static enum status third(int *reached) {
    enum status status = STATUS_OK;
    TRY(FAIL(STATUS_STORAGE, "frame %d of %s", 3, "file"));
    ++*reached;
out:
    return status;
}

static void first_message_stays(void **state) {
    (void)state;
    int reached = 0;
    status_clear();
    assert_int_equal(third(&reached), STATUS_STORAGE);
    assert_int_equal(reached, 0);
    assert_int_equal(FAIL(STATUS_FAILURE, "a consequence"), STATUS_FAILURE);
    assert_string_equal(status_message(), "frame 3 of file");
    assert_non_null(strstr(status_place(), "test_base.c:"));
    assert_int_equal(status_code(), STATUS_STORAGE);
    status_clear();
    assert_string_equal(status_message(), "");
    assert_int_equal(status_code(), STATUS_OK);
}

/* Failures are this rank's own, with an age, until other ranks know; requests to stop never are. */
static void failures_are_own_and_age(void **state) {
    (void)state;
    struct status_note note, other = {"from another rank", "there.c:1", STATUS_NUMBERS, STATUS_OK};
    const struct timespec moment = {.tv_nsec = 1000000};
    status_clear();
    assert_true(status_age() == 0);
    FAIL(STATUS_STORAGE, "a file");
    assert_int_equal(status_own(), STATUS_STORAGE);
    nanosleep(&moment, NULL);
    assert_true(status_age() >= 0.001 && status_age() < 60);
    status_hold(&note);
    assert_true(status_age() == 0 && status_own() == STATUS_OK);
    status_put_back(&other);
    assert_string_equal(status_message(), "from another rank");
    assert_string_equal(status_place(), "there.c:1");
    assert_int_equal(status_code(), STATUS_NUMBERS);
    assert_int_equal(status_own(), STATUS_OK);
    nanosleep(&moment, NULL);
    assert_true(status_age() > 0);
    status_put_back(&note);
    assert_int_equal(status_own(), STATUS_STORAGE);
    assert_string_equal(status_message(), "a file");
    status_clear();
    FAIL(STATUS_STOPPED, "on request");
    nanosleep(&moment, NULL);
    assert_true(status_age() == 0 && status_own() == STATUS_OK && status_code() == STATUS_STOPPED);
    FAIL(STATUS_STORAGE, "on the way out");
    assert_int_equal(status_own(), STATUS_STORAGE);
    assert_string_equal(status_message(), "on the way out");
    status_clear();
}

/* ---- provenance, time ---- */

static enum status count_item(const char *name, const char *value, void *context) {
    assert_true(value[0] != '\0');
    if (strcmp(name, "command_line") == 0)
        assert_string_equal(value, "epflow run quick.yaml");
    ++*(int *)context;
    return STATUS_OK;
}

static enum status refuse_item(const char *name, const char *value, void *context) {
    (void)name;
    (void)value;
    ++*(int *)context;
    return STATUS_STORAGE;
}

static void provenance(void **state) {
    (void)state;
    char word[][16] = {"epflow", "run", "quick.yaml"}, *arguments[] = {word[0], word[1], word[2], NULL},
         now[32];
    int items = 0, year, month, day, hour, minute, second;
    provenance_command_line(3, arguments);
    assert_int_equal(provenance_visit(count_item, &items), STATUS_OK);
    assert_int_equal(items, 8);
    items = 0;
    assert_int_equal(provenance_visit(refuse_item, &items), STATUS_STORAGE);
    assert_int_equal(items, 1);
    provenance_now(now);
    assert_int_equal(strlen(now), strlen("2024-01-31T12:00:00Z"));
    assert_int_equal(sscanf(now, "%d-%d-%dT%d:%d:%dZ", &year, &month, &day, &hour, &minute, &second), 6);
    assert_true(year >= 2024);
}

static enum status measure_command_line(const char *name, const char *value, void *context) {
    if (strcmp(name, "command_line") == 0)
        *(size_t *)context = strlen(value);
    return STATUS_OK;
}

/* A command line longer than its room is cut, and nothing is written beyond. */
static void long_command_line(void **state) {
    (void)state;
    char word[1000], *arguments[] = {word, word, word, word, NULL};
    memset(word, 'x', sizeof word);
    word[sizeof word - 1] = '\0';
    provenance_command_line(4, arguments);
    size_t length = 0;
    assert_int_equal(provenance_visit(measure_command_line, &length), STATUS_OK);
    assert_int_equal(length, 2047);
}

static void timings(void **state) {
    (void)state;
    struct timings t = {0};
    int forces = timings_add(&t, "forces"), files = timings_add(&t, "files");
    assert_int_equal(t.count, 2);
    double begun = timer_now();
    timer_begin(&t, forces);
    while (timer_now() - begun < 0.01)
        ;
    timer_end(&t, forces);
    assert_true(t.seconds[forces] > 0.005 && t.seconds[forces] <= timer_now() - begun);
    assert_true(t.seconds[files] == 0);
    assert_string_equal(t.name[files], "files");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(philox_known_answers),
                                       cmocka_unit_test(uniform_is_inside),
                                       cmocka_unit_test(permutation_is_a_bijection),
                                       cmocka_unit_test(permutations_differ),
                                       cmocka_unit_test(permutation_of_every_word),
                                       cmocka_unit_test(distances),
                                       cmocka_unit_test(nearest_word),
                                       cmocka_unit_test(durations_and_sizes),
                                       cmocka_unit_test(first_message_stays),
                                       cmocka_unit_test(failures_are_own_and_age),
                                       cmocka_unit_test(provenance),
                                       cmocka_unit_test(long_command_line),
                                       cmocka_unit_test(timings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
