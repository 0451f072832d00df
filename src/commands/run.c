/* Run: the three stages, one after the other. */
#include "base/log.h"
#include "commands/commands.h"

enum status command_run(struct session *s) {
    enum status status = STATUS_OK;
    log_info("---- simulate");
    TRY(command_simulate(s));
    log_info("---- train");
    TRY(command_train(s));
    log_info("---- evaluate");
    TRY(command_evaluate(s));
out:
    return status;
}
