#include "commands/session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "io/file.h"

static volatile sig_atomic_t stop_requested;
static volatile sig_atomic_t interrupts;

static void on_signal(int number) {
    stop_requested = 1;
    if (number == SIGINT && interrupts++ > 0)
        _exit(130);
}

void session_catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
}

bool session_stop_requested(void) {
    return stop_requested != 0;
}

void session_path(const struct session *s, const char *name, char out[SESSION_PATH]) {
    file_join(s->config.output.directory, name, out);
}

/* What a killed run was writing: nothing reads it. */
static enum status remove_parts(struct session *s) {
    static const char *const name[] = {"trajectory.h5", "restart.h5",  "model.h5",
                                       "evaluation.h5", "fields.xdmf", "check.h5"};
    enum status status = STATUS_OK;
    char path[SESSION_PATH], part[FILE_PATH];
    for (size_t m = 0; m < sizeof name / sizeof *name; m++) {
        session_path(s, name[m], path);
        file_part(path, part);
        TRY(file_remove(s->comm, part));
    }
out:
    return status;
}

enum status session_open_output(struct session *s) {
    enum status status = STATUS_OK;
    char path[SESSION_PATH];
    TRY(file_make_directory(s->comm, s->config.output.directory));
    session_path(s, "log.txt", path);
    TRY(comm_agree(s->comm, log_open(path)));
    TRY(remove_parts(s));
out:
    return status;
}

enum status session_refuse_existing(struct session *s, const char *path) {
    if (s->resume || s->overwrite || !file_exists(s->comm, path))
        return STATUS_OK;
    return FAIL(STATUS_BAD_INPUT,
                "%s is there already: go on with it by --resume, replace it by --overwrite, or choose "
                "another output.directory",
                path);
}

void session_print_timings(struct session *s, const struct timings *t, double total) {
    double least[TIMER_SECTIONS], mean[TIMER_SECTIONS], most[TIMER_SECTIONS];
    memcpy(least, t->seconds, sizeof least);
    memcpy(mean, t->seconds, sizeof mean);
    memcpy(most, t->seconds, sizeof most);
    comm_min(s->comm, least, t->count);
    comm_sum(s->comm, mean, (size_t)t->count);
    comm_max(s->comm, most, t->count);
    log_info("%-26s %10s %10s %10s %8s", "section (seconds)", "min", "mean", "max", "share");
    double rest = total;
    for (int m = 0; m < t->count; m++) {
        mean[m] /= comm_size(s->comm);
        rest -= mean[m];
        log_info("%-26s %10.3f %10.3f %10.3f %6.1f %%", t->name[m], least[m], mean[m], most[m],
                 100 * mean[m] / total);
    }
    log_info("%-26s %10s %10.3f %10s %6.1f %%", "other", "", rest, "", 100 * rest / total);
    log_info("%-26s %10s %10.3f", "total", "", total);
}

bool session_interval_passed(struct session *s, double minutes, double *last) {
    double passed = timer_now() - *last >= 60 * minutes;
    comm_broadcast(s->comm, &passed, sizeof passed);
    if (passed > 0)
        *last = timer_now();
    return passed > 0;
}
