/* Run: the three stages, one after the other. */
#include "base/log.h"
#include "commands/commands.h"

enum status command_run(struct session *s) {
    enum status status = STATUS_OK;
    if (s->config.network.neighbours >=
        s->config.system.particles) /* before hours of simulation, not after */
        return FAIL(STATUS_BAD_INPUT,
                    "system.particles = %lld are too few for network.neighbours = %d: give fewer "
                    "neighbours",
                    (long long)s->config.system.particles, s->config.network.neighbours);
    log_info("---- simulate");
    TRY(command_simulate(s));
    log_info("---- train");
    TRY(command_train(s));
    log_info("---- evaluate");
    TRY(command_evaluate(s));
out:
    return status;
}
