/* Command line, MPI and log up and down, one command. */
#include "base/log.h"
#include "base/memory.h"
#include "base/provenance.h"
#include "commands/closing.h"
#include "commands/manual.h"
#include "commands/usage.h"
#include "io/inspect.h"
#include "ops/backend.h"

#include <stdio.h>
#include <stdlib.h>

/* Rank 0 reads the input, every rank gets the parameters. */
static enum status read_input(struct session *s, const struct command *command) {
    enum status status = STATUS_OK;
    if (!command->reads_input)
        return STATUS_OK;
    if (comm_rank(s->comm) == 0)
        status = s->file ? config_read(s->file, s->setting_count, s->setting, &s->config)
                         : config_parse(command->name, command->built_in, s->setting_count, s->setting,
                                        &s->config);
    status = comm_agree(s->comm, status);
    if (status == STATUS_OK)
        comm_broadcast(s->comm, &s->config, sizeof s->config);
    return status;
}

/* run.simd of the input; the best there is where a command has none. */
static enum status choose_loops(struct session *s) {
    static const enum simd_choice choice[] = {SIMD_AUTO, SIMD_PLAIN, SIMD_AVX2, SIMD_AVX512};
    const bool chosen = ops_cpu_choose(choice[s->config.run.simd]) != NULL;
    return comm_agree(s->comm, chosen ? STATUS_OK
                                      : FAIL(STATUS_BAD_INPUT, "run.simd: this processor has no AVX-512; use "
                                                               "auto, which takes the best there is"));
}

/* NCCL wants a GPU for every rank, and may wait for ever where two share one. (NCCL_HOSTID: its user knows what he does.) */
static enum status refuse_sharing(struct comm *comm, const struct backend_device *device) {
    enum status status = STATUS_OK;
    const int ranks = comm_size(comm), rank = comm_rank(comm);
    double *identity = calloc((size_t)ranks, sizeof *identity);
    TRY(comm_agree(comm, identity ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %d ranks", ranks)));
    identity[rank] = (double)(device->identity >> 11);
    comm_sum(comm, identity, (size_t)ranks);
    for (int r = 0; r < rank && status == STATUS_OK && !getenv("NCCL_HOSTID"); r++)
        if (identity[r] == identity[rank])
            status = FAIL(STATUS_FAILURE, "ranks %d and %d share a GPU (%s): start one rank for each GPU", r,
                          rank, device->name);
    status = comm_agree(comm, status);
out:
    free(identity);
    return status;
}

/* A GPU for every rank: the reason why there is none, or STATUS_OK. */
static enum status open_devices(struct session *s, struct backend *backend) {
    static const enum device_precision precision[] = {PRECISION_FLOAT32, PRECISION_TF32, PRECISION_BF16};
    enum status status = backend_open(comm_local_rank(s->comm), precision[s->config.run.precision], backend);
    if (status == STATUS_OK && !backend->messages && comm_size(s->comm) > 1)
        status = FAIL(STATUS_FAILURE, "the CUDA library was built without NCCL and works on one rank only");
    TRY(comm_agree(s->comm, status));
    TRY(refuse_sharing(s->comm, &backend->device));
    TRY(comm_use_device(s->comm, backend->messages));
out:
    return status;
}

/* run.device of the input. */
static enum status choose_device(struct session *s, struct backend *backend) {
    static char device[BACKEND_NAME + 32];
    if (s->config.run.device == DEVICE_CPU)
        return STATUS_OK;
    const enum status status = open_devices(s, backend);
    if (status == STATUS_OK) {
        snprintf(device, sizeof device, "cuda (%s)", backend->device.name);
        s->ops = backend->ops;
        s->device = device;
        log_info("device:   %s, a GPU for each of %d rank%s", backend->device.name, comm_size(s->comm),
                 comm_size(s->comm) > 1 ? "s" : "");
        return STATUS_OK;
    }
    backend_close(backend);
    if (s->config.run.device == DEVICE_CUDA)
        return status;
    log_info("device:   CPU (%s)", status_message());
    status_clear();
    return STATUS_OK;
}

/* A device tells late what went wrong: nothing is well before it was asked. */
static enum status run(struct session *s, const struct command *command) {
    enum status status = command->run(s);
    if (status == STATUS_OK)
        status = s->ops->synchronise(s->ops);
    return comm_agree(s->comm, status);
}

static const char *meaning_of(enum status status) {
    int count;
    const struct exit_code *code = usage_exit_codes(&count);
    for (int m = 0; m < count; m++)
        if (code[m].code == (int)status)
            return code[m].meaning;
    return NULL;
}

int main(int argc, char **argv) {
    struct session session = {.ops = ops_cpu(), .device = "cpu"};
    const struct command *command = NULL;
    struct backend backend = {0};
    bool print = false;
    if (manual_asked(argc, argv)) /* before MPI: where programs are built, it may be refused */
        return STATUS_OK;
    if (inspect_asked(argc, argv))
        return inspect_answer(argv);
    inspect_start();
    memory_start();
    provenance_command_line(argc, argv);
    enum status status = comm_start(&argc, &argv, &session.comm);
    if (status != STATUS_OK) {
        log_error(status_message(), status_place());
        return status;
    }
    log_start(comm_rank(session.comm));
    session_catch_signals(comm_rank(session.comm) == 0);
    status = comm_watch(session.comm);
    if (status == STATUS_OK)
        status = comm_agree(session.comm, usage_parse(argc, argv, &session, &command, &print));
    if (status == STATUS_OK && print && comm_rank(session.comm) == 0)
        usage_print(argc, argv);
    if (status == STATUS_OK && command)
        status = read_input(&session, command);
    if (status == STATUS_OK && command && command->reads_input)
        session_limit_time(&session);
    if (status == STATUS_OK && command)
        status = choose_loops(&session);
    if (status == STATUS_OK && command && command->computes && !session.dry_run)
        status = choose_device(&session, &backend);
    if (command && command->closes)
        closing_begin(&session, command->name);
    if (status == STATUS_OK && command)
        status = run(&session, command);
    if (status != STATUS_OK && status != STATUS_STOPPED)
        log_error(status_message(), status_place());
    closing_print(&session, status, meaning_of(status));
    log_stop();
    comm_use_device(session.comm, NULL);
    backend_close(&backend);
    comm_stop(&session.comm);
    return status;
}
