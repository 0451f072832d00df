#include "checks/both.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

const struct ops *both_cpu, *both_cuda;
int both_run;

static struct {
    struct check_result *result;
    jmp_buf end;
} now;

const struct check_group *const check_groups[CHECK_GROUPS] = {
    &check_space,    &check_order,   &check_dynamics,  &check_steps,    &check_windows,
    &check_network,  &check_linear,  &check_attention, &check_pool,     &check_response,
    &check_messages, &check_vectors, &check_fields,    &check_optimizer};

void check_run(const struct ops *reference, const struct ops *device, const struct check *check,
               struct check_result *out) {
    both_cpu = reference;
    both_cuda = device;
    *out = (struct check_result){.good = true};
    now.result = out;
    both_run++;
    ops_cpu_choose(SIMD_AUTO); /* one that failed may have left another */
    if (setjmp(now.end) == 0) {
        check->run();
        if (device->synchronise(device) != STATUS_OK) {
            out->good = false;
            snprintf(out->message, sizeof out->message, "%s", status_message());
        }
    }
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
    if (both_cpu->allocate(both_cpu, bytes, &b.cpu) != STATUS_OK ||
        both_cuda->allocate(both_cuda, bytes, &b.cuda) != STATUS_OK) {
        both_cpu->release(both_cpu, b.cpu);
        both_fail("%s", status_message());
    }
    return b;
}

struct both both_of(const void *host, size_t bytes) {
    struct both b = both_zero(bytes);
    memcpy(b.cpu, host, bytes);
    both_cuda->to_device(both_cuda, b.cuda, host, bytes);
    return b;
}

void both_release(struct both *b) {
    both_cpu->release(both_cpu, b->cpu);
    both_cuda->release(both_cuda, b->cuda);
    *b = (struct both){0};
}

double both_number(uint32_t name, size_t i) {
    uint32_t word[4];
    rng_words(20, STREAM_PROBE, (uint32_t)i, name, 0, word);
    return rng_uniform(word[0]);
}

static void *host_memory(size_t bytes) {
    void *host = malloc(bytes + 1);
    if (!host)
        both_fail("out of memory");
    return host;
}

struct both both_random(uint32_t name, size_t count, double low, double high) {
    real *host = host_memory(count * sizeof *host);
    for (size_t i = 0; i < count; i++)
        host[i] = (real)(low + (high - low) * both_number(name, i));
    const struct both b = both_of(host, count * sizeof *host);
    free(host);
    return b;
}

void *both_fetch(const struct both *b) {
    void *host = host_memory(b->bytes);
    both_cuda->to_host(both_cuda, host, b->cuda, b->bytes);
    if (both_cuda->synchronise(both_cuda) != STATUS_OK)
        both_fail("%s", status_message());
    return host;
}

void both_equal(const char *what, const struct both *b) {
    unsigned char *got = both_fetch(b);
    const unsigned char *want = b->cpu;
    now.result->comparisons++;
    for (size_t i = 0; i < b->bytes; i++)
        if (got[i] != want[i])
            both_fail("%s: byte %zu of %zu is %d, on the CPU %d", what, i, b->bytes, got[i], want[i]);
    free(got);
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
    most += most > 0 ? 4 * both_cuda->rounding : 0; /* of one product after another */
    if (!(share <= most))
        both_fail("%s: %g apart, %g of the largest number (at most %g)", what, s->difference, share, most);
    if (most > 0)
        now.result->worst = fmax(now.result->worst, share / most);
}

void both_close_real(const char *what, const struct both *b, double most) {
    real *got = both_fetch(b);
    const real *want = b->cpu;
    struct spread s = {0};
    for (size_t i = 0; i < b->bytes / sizeof *want; i++)
        add(&s, (double)got[i], (double)want[i]);
    free(got);
    judge(what, &s, most);
}

void both_close_double(const char *what, const struct both *b, double most) {
    double *got = both_fetch(b);
    const double *want = b->cpu;
    struct spread s = {0};
    for (size_t i = 0; i < b->bytes / sizeof *want; i++)
        add(&s, got[i], want[i]);
    free(got);
    judge(what, &s, most);
}

void both_close_number(const char *what, double reference, double device, double most) {
    struct spread s = {0};
    add(&s, device, reference);
    judge(what, &s, most);
}
