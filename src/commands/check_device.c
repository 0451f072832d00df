/* Check of a device: every op of its table beside the processor's. */
#include "commands/check_device.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "checks/checks.h"

static void print_row(const struct check_group *group, const struct check *check, const struct check_result *r,
                      double seconds) {
    printf("%-10s %-40s %12d %10.2g %9.2f  %s\n", group->name, check->name, r->comparisons, r->worst, seconds,
           r->good ? "good" : "WRONG");
    if (!r->good)
        printf("           %s\n", r->message);
    fflush(stdout);
}

/* On this rank's device. */
static enum status check_all(struct session *s, bool print) {
    int checks = 0, comparisons = 0, wrong = 0;
    if (print)
        printf("%-10s %-40s %12s %10s %9s\n", "ops of", "beside the CPU's", "comparisons", "worst", "seconds");
    for (int g = 0; g < CHECK_GROUPS; g++)
        for (size_t m = 0; m < check_groups[g]->count; m++) {
            struct check_result r;
            const double begun = timer_now();
            check_run(ops_cpu(), s->ops, &check_groups[g]->check[m], &r);
            if (print)
                print_row(check_groups[g], &check_groups[g]->check[m], &r, timer_now() - begun);
            checks++;
            comparisons += r.comparisons;
            wrong += !r.good;
        }
    if (print)
        printf("\n%d checks, %d comparisons, %d wrong. worst: the largest difference, over what rounding may make it\n",
               checks, comparisons, wrong);
    return wrong == 0 ? STATUS_OK
                      : FAIL(STATUS_FAILURE, "%d of %d checks of %s went wrong: do not use results computed on it", wrong,
                             checks, s->device);
}

enum status check_device(struct session *s) {
    if (s->ops == ops_cpu())
        return FAIL(STATUS_BAD_INPUT, "epflow check without a FILE compares a GPU with the processor, and none is "
                                      "used here: epflow check --device cuda says why");
    log_info("check:    every operation of %s beside the processor's", s->device);
    return comm_agree(s->comm, check_all(s, comm_rank(s->comm) == 0));
}
