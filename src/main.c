/* Command line, MPI and log up and down, one command. */
#include "base/log.h"
#include "base/provenance.h"
#include "commands/usage.h"

/* Rank 0 reads the input, every rank gets the parameters. A command without a file has an input built in. */
static enum status read_input(struct session *s, const struct command *command) {
    enum status status = STATUS_OK;
    if (!command->reads_input || !s->file)
        return STATUS_OK;
    if (comm_rank(s->comm) == 0)
        status = config_read(s->file, s->setting_count, s->setting, &s->config);
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

int main(int argc, char **argv) {
    struct session session = {.ops = ops_cpu(), .device = "cpu"};
    const struct command *command = NULL;
    bool print = false;
    provenance_command_line(argc, argv);
    enum status status = comm_start(&argc, &argv, &session.comm);
    if (status != STATUS_OK) {
        log_error(status_message(), status_place());
        return status;
    }
    log_start(comm_rank(session.comm));
    session_catch_signals();
    status = comm_agree(session.comm, usage_parse(argc, argv, &session, &command, &print));
    if (status == STATUS_OK && print && comm_rank(session.comm) == 0)
        usage_print(argc, argv);
    if (status == STATUS_OK && command)
        status = read_input(&session, command);
    if (status == STATUS_OK && command)
        status = choose_loops(&session);
    if (status == STATUS_OK && command)
        status = comm_agree(session.comm, command->run(&session));
    if (status != STATUS_OK && status != STATUS_STOPPED)
        log_error(status_message(), status_place());
    log_stop();
    comm_stop(&session.comm);
    return status;
}
