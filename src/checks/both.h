/* What checks are written with: the same arrays in the memory of two tables. Private to src/checks. */
#ifndef EPFLOW_CHECKS_BOTH_H
#define EPFLOW_CHECKS_BOTH_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checks/checks.h"

/* The tables of the check that runs: the reference, and the one that is checked. */
extern const struct ops *both_cpu, *both_cuda;

/* An array in both memories. */
struct both {
    void *cpu, *cuda;
    size_t bytes;
};

/* Ends the check with a message, printf style. Does not return. */
void both_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
#define both_require(condition)                                                                              \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            both_fail("%s:%d: it does not hold that %s", __FILE__, __LINE__, #condition);                    \
    } while (0)

/* Two numbers are the same. */
#define both_same(a, b) both_require((a) == (b))

/* What a check that fails holds is not given back. */
struct both both_zero(size_t bytes);
struct both both_of(const void *host, size_t bytes);
void both_release(struct both *b);

/* Numbers of a check: a function of `name` and place, between 0 and 1. */
double both_number(uint32_t name, size_t i);
/* count reals, evenly between low and high. */
struct both both_random(uint32_t name, size_t count, double low, double high);

/* What the device has in an array, to be freed. Reports errors of the device. */
void *both_fetch(const struct both *b);

/* Both have the same bits. */
void both_equal(const char *what, const struct both *b);
/* Largest difference over the largest size of the reference's numbers, at most `most`, where products are float32, and more
 * where a table rounds their factors. NaNs fail. */
void both_close_real(const char *what, const struct both *b, double most);
void both_close_double(const char *what, const struct both *b, double most);
/* Two numbers of the host, likewise. */
void both_close_number(const char *what, double reference, double device, double most);

#endif
