#include "checks/both.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

const struct ops *both_cpu, *both_device;

/* All memory of a check, so that one that fails half-way leaves none behind. */
enum { ARRAYS_MOST = 4096 };
static struct {
    struct both array[ARRAYS_MOST];
    int arrays;
    void *host[ARRAYS_MOST];
    int hosts;
    struct check_result *result;
    jmp_buf end;
} now;

const struct check_group *const check_groups[CHECK_GROUPS] = {&check_space,   &check_dynamics, &check_windows,
                                                              &check_network, &check_response, &check_optimizer};

void check_run(const struct ops *reference, const struct ops *device, const struct check *check,
               struct check_result *out) {
    both_cpu = reference;
    both_device = device;
    *out = (struct check_result){.good = true};
    now.result = out;
    now.arrays = now.hosts = 0;
    if (setjmp(now.end) == 0) {
        check->run();
        if (device->synchronise(device) != STATUS_OK) {
            out->good = false;
            snprintf(out->message, sizeof out->message, "%s", status_message());
        }
    }
    for (int m = 0; m < now.arrays; m++) {
        reference->release(reference, now.array[m].cpu);
        device->release(device, now.array[m].device);
    }
    for (int m = 0; m < now.hosts; m++)
        free(now.host[m]);
}

void both_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(now.result->message, sizeof now.result->message, format, arguments);
    va_end(arguments);
    now.result->good = false;
    longjmp(now.end, 1);
}

struct both both_zero(size_t bytes) {
    struct both b = {.bytes = bytes};
    if (now.arrays == ARRAYS_MOST)
        both_fail("a check holds more than %d arrays", ARRAYS_MOST);
    if (both_cpu->allocate(both_cpu, bytes, &b.cpu) != STATUS_OK ||
        both_device->allocate(both_device, bytes, &b.device) != STATUS_OK) {
        both_cpu->release(both_cpu, b.cpu);
        both_fail("%s", status_message());
    }
    return now.array[now.arrays++] = b;
}

struct both both_of(const void *host, size_t bytes) {
    struct both b = both_zero(bytes);
    memcpy(b.cpu, host, bytes);
    both_device->to_device(both_device, b.device, host, bytes);
    return b;
}

void both_release(struct both *b) {
    for (int m = 0; m < now.arrays; m++)
        if (now.array[m].cpu == b->cpu) {
            both_cpu->release(both_cpu, b->cpu);
            both_device->release(both_device, b->device);
            now.array[m] = now.array[--now.arrays];
            break;
        }
    *b = (struct both){0};
}

double both_number(uint32_t name, size_t i) {
    uint32_t word[4];
    rng_words(20, STREAM_PROBE, (uint32_t)i, name, 0, word);
    return rng_uniform(word[0]);
}

void *both_host(size_t bytes) {
    if (now.hosts == ARRAYS_MOST)
        both_fail("a check holds more than %d arrays", ARRAYS_MOST);
    void *host = calloc(bytes + 1, 1);
    if (!host)
        both_fail("out of memory");
    return now.host[now.hosts++] = host;
}

struct both both_random(uint32_t name, size_t count, double low, double high) {
    real *host = both_host(count * sizeof *host);
    for (size_t i = 0; i < count; i++)
        host[i] = (real)(low + (high - low) * both_number(name, i));
    return both_of(host, count * sizeof *host);
}

void *both_fetch(const struct both *b) {
    void *host = both_host(b->bytes);
    both_device->to_host(both_device, host, b->device, b->bytes);
    if (both_device->synchronise(both_device) != STATUS_OK)
        both_fail("%s", status_message());
    return host;
}

void both_equal(const char *what, const struct both *b) {
    const unsigned char *got = both_fetch(b), *want = b->cpu;
    now.result->comparisons++;
    for (size_t i = 0; i < b->bytes; i++)
        if (got[i] != want[i])
            both_fail("%s: byte %zu of %zu is %d, on the CPU %d", what, i, b->bytes, got[i], want[i]);
}

/* The largest difference so far, and the largest size of the reference. */
struct spread {
    double difference, size;
};

static void add(struct spread *s, double got, double want) {
    const double apart = fabs(got - want);
    s->size = fmax(s->size, fabs(want));
    if (!(apart <= s->difference)) /* NaN too */
        s->difference = isnan(apart) ? INFINITY : apart;
}

static void judge(const char *what, const struct spread *s, double most) {
    now.result->comparisons++;
    const double share = s->difference / (s->size > 0 ? s->size : 1);
    if (!(share <= most))
        both_fail("%s: %g apart, %g of the largest number (at most %g)", what, s->difference, share, most);
    if (most > 0)
        now.result->worst = fmax(now.result->worst, share / most);
}

void both_close_real(const char *what, const struct both *b, double most) {
    const real *got = both_fetch(b), *want = b->cpu;
    struct spread s = {0};
    for (size_t i = 0; i < b->bytes / sizeof *want; i++)
        add(&s, (double)got[i], (double)want[i]);
    judge(what, &s, most);
}

void both_close_double(const char *what, const struct both *b, double most) {
    const double *got = both_fetch(b), *want = b->cpu;
    struct spread s = {0};
    for (size_t i = 0; i < b->bytes / sizeof *want; i++)
        add(&s, got[i], want[i]);
    judge(what, &s, most);
}

void both_close_number(const char *what, double reference, double device, double most) {
    struct spread s = {0};
    add(&s, device, reference);
    judge(what, &s, most);
}
