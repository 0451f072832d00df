/* Every op of one table beside the same op of another, on sizes of all kinds: what `epflow check` tells the owner of a
 * GPU, and what the tests run under emulation.
 */
#ifndef EPFLOW_CHECKS_CHECKS_H
#define EPFLOW_CHECKS_CHECKS_H

#include "ops/ops.h"

/* A group of comparisons, mostly one op's. It calls the functions of both.h, and does not return where one fails. */
struct check {
    const char *name;
    void (*run)(void);
};

struct check_group {
    const char *name; /* what its checks are about */
    size_t count;
    const struct check *check;
};

enum { CHECK_GROUPS = 14 };
extern const struct check_group check_space, check_order, check_dynamics, check_steps, check_windows,
    check_network, check_linear, check_attention, check_pool, check_response, check_messages, check_vectors,
    check_fields, check_optimizer;
extern const struct check_group *const check_groups[CHECK_GROUPS];

struct check_result {
    int comparisons; /* arrays compared */
    double worst;    /* largest difference over what is allowed, where it is not 0 */
    bool good;
    char message[512]; /* what failed first */
};

/* Runs one check: device's table beside the reference's. Not collective. */
void check_run(const struct ops *reference, const struct ops *device, const struct check *check,
               struct check_result *out);

#endif
