/* Run: the three stages, one after the other. */
#include "base/log.h"
#include "commands/commands.h"
#include "io/file.h"

/* Results of an earlier run go before the first stage makes anew what they rest on: a resumed run must not find
 * them complete. */
static enum status remove_results(struct session *s) {
    static const char *const name[] = {"model.h5", "evaluation.h5", "fields.xdmf", "fields.xmf", "check.h5"};
    enum status status = STATUS_OK;
    for (size_t m = 0; m < sizeof name / sizeof *name; m++) {
        char path[SESSION_PATH];
        session_path(s, name[m], path);
        TRY(file_remove(s->comm, path));
    }
out:
    return status;
}

enum status command_run(struct session *s) {
    enum status status = STATUS_OK;
    TRY(simulate_refuse_data(s)); /* before results are removed */
    if (!s->dry_run)
        TRY(session_lock_output(s));
    if (s->overwrite && !s->dry_run)
        TRY(remove_results(s));
    log_info("---- simulate");
    TRY(command_simulate(s));
    TRY(session_next_stage(s));
    log_info("---- train");
    TRY(command_train(s));
    TRY(session_next_stage(s));
    log_info("---- evaluate");
    TRY(command_evaluate(s));
out:
    return status;
}
