/* Check of a device: every op of its table beside the processor's. */
#include "commands/check_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "checks/checks.h"

static void print_row(const struct check_group *group, const struct check *check,
                      const struct check_result *r, double seconds) {
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
        printf("%-10s %-40s %12s %10s %9s\n", "ops of", "beside the CPU's", "comparisons", "worst",
               "seconds");
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
        printf("\n%d checks, %d comparisons, %d wrong. worst: the largest difference, over what rounding may "
               "make it\n",
               checks, comparisons, wrong);
    return wrong == 0
               ? STATUS_OK
               : FAIL(STATUS_FAILURE, "%d of %d checks of %s went wrong: do not use results computed on it",
                      wrong, checks, s->device);
}

/* ---- messages between the ranks' devices ---- */

enum { NUMBERS = 10007 };

/* 8-byte numbers that rank `from` sends to rank `to`, none to some. */
static size_t message_length(int from, int to) {
    return (size_t)((7 * from + 3 * to) % 5) * 1000;
}
static uint64_t message_number(int from, int to, size_t m) {
    return ((uint64_t)from << 48) + ((uint64_t)to << 32) + m;
}

/* One message of every rank to every other: whether each has come as it was sent. */
static enum status check_peers(struct session *s) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const int ranks = comm_size(s->comm), me = comm_rank(s->comm), peers = ranks - 1;
    struct comm_pattern pattern = {.peers = peers, .device = true};
    void *send = NULL, *receive = NULL;
    uint64_t *host = NULL;
    size_t *offset = calloc(2 * (size_t)ranks, sizeof *offset), wrong = 0;
    pattern.peer = calloc((size_t)ranks, sizeof *pattern.peer);
    if (!offset || !pattern.peer)
        status = FAIL(STATUS_FAILURE, "out of memory for %d ranks", ranks);
    TRY(comm_agree(s->comm, status));
    pattern.send_offset = offset;
    pattern.receive_offset = offset + ranks;
    for (int p = 0; p < peers; p++) {
        const int other = p < me ? p : p + 1;
        pattern.peer[p] = other;
        pattern.send_offset[p + 1] = pattern.send_offset[p] + message_length(me, other) * sizeof *host;
        pattern.receive_offset[p + 1] = pattern.receive_offset[p] + message_length(other, me) * sizeof *host;
    }
    const size_t out = pattern.send_offset[peers], in = pattern.receive_offset[peers];
    host = malloc((out > in ? out : in) + 1);
    status = host ? ops->allocate(ops, out, &send) : FAIL(STATUS_FAILURE, "out of memory for messages");
    if (status == STATUS_OK)
        status = ops->allocate(ops, in, &receive);
    TRY(comm_agree(s->comm, status));
    for (int p = 0; p < peers; p++)
        for (size_t m = 0; m < message_length(me, pattern.peer[p]); m++)
            host[pattern.send_offset[p] / sizeof *host + m] = message_number(me, pattern.peer[p], m);
    ops->to_device(ops, send, host, out);
    TRY(comm_peers(s->comm, &pattern, send, receive));
    ops->to_host(ops, host, receive, in);
    for (int p = 0; p < peers; p++)
        for (size_t m = 0; m < message_length(pattern.peer[p], me); m++)
            wrong +=
                host[pattern.receive_offset[p] / sizeof *host + m] != message_number(pattern.peer[p], me, m);
    if (wrong > 0)
        status = FAIL(STATUS_FAILURE, "messages between devices: %zu of %zu numbers came wrong", wrong,
                      in / sizeof *host);
    status = comm_agree(s->comm, status);
out:
    ops->release(ops, send);
    ops->release(ops, receive);
    free(host);
    free(offset);
    free(pattern.peer);
    return status;
}

/* A sum over the ranks, of numbers whose sum has no rounding. */
static enum status check_sum(struct session *s) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const int ranks = comm_size(s->comm);
    real *values = NULL, *host = malloc(NUMBERS * sizeof *host);
    size_t wrong = 0;
    status = host ? ops->allocate(ops, NUMBERS * sizeof *host, (void **)&values)
                  : FAIL(STATUS_FAILURE, "out of memory for a sum");
    TRY(comm_agree(s->comm, status));
    for (int m = 0; m < NUMBERS; m++)
        host[m] = (real)(m * (comm_rank(s->comm) + 1));
    ops->to_device(ops, values, host, NUMBERS * sizeof *host);
    comm_sum_device(s->comm, values, NUMBERS);
    ops->to_host(ops, host, values, NUMBERS * sizeof *host);
    for (int m = 0; m < NUMBERS; m++)
        wrong += host[m] != (real)((double)m * ranks * (ranks + 1) / 2);
    if (wrong > 0)
        status = FAIL(STATUS_FAILURE, "a sum over the ranks' devices: %zu of %d numbers are wrong", wrong,
                      NUMBERS);
    status = comm_agree(s->comm, status);
out:
    ops->release(ops, values);
    free(host);
    return status;
}

static enum status check_device_messages(struct session *s) {
    enum status status = STATUS_OK;
    if (comm_size(s->comm) == 1)
        return STATUS_OK;
    TRY(check_peers(s));
    TRY(check_sum(s));
    if (comm_rank(s->comm) == 0)
        printf("messages between the devices of %d ranks, and a sum over them: good\n", comm_size(s->comm));
out:
    return status;
}

enum status check_device(struct session *s) {
    if (s->ops == ops_cpu())
        return FAIL(STATUS_BAD_INPUT,
                    "epflow check without a FILE compares a GPU with the processor, and none is "
                    "used here: epflow check --device cuda says why");
    log_info("check:    every operation of %s beside the processor's", s->device);
    const enum status status = check_device_messages(s);
    return status == STATUS_OK ? comm_agree(s->comm, check_all(s, comm_rank(s->comm) == 0)) : status;
}
