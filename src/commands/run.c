/* Run: the three stages, one after the other. */
#include "base/log.h"
#include "commands/commands.h"
#include "io/file.h"

/* Before the first stage, not after hours of it. */
static enum status refuse_results(struct session *s) {
    static const char *const name[] = {"trajectory.h5", "model.h5", "evaluation.h5"};
    enum status status = STATUS_OK;
    for (size_t m = 0; m < sizeof name / sizeof *name; m++) {
        char path[SESSION_PATH];
        session_path(s, name[m], path);
        TRY(session_refuse_existing(s, path));
    }
out:
    return status;
}

enum status command_run(struct session *s) {
    enum status status = STATUS_OK;
    s->all_stages = true;
    TRY(simulate_refuse_data(s));
    if (!s->dry_run) {
        TRY(session_lock_output(s));
        TRY(refuse_results(s));
    }
    log_info("---- simulate");
    TRY(command_simulate(s));
    TRY(session_next_stage(s));
    log_info("---- train");
    TRY(command_train(s));
    TRY(session_next_stage(s));
    log_info("---- evaluate");
    TRY(command_evaluate(s));
    TRY(session_settle_replaced(s, REPLACED_ALL, STATUS_OK));
out:
    return status;
}
