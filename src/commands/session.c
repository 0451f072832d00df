#include "commands/session.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "io/file.h"
#include "io/h5.h"
#include "io/lock.h"

static volatile sig_atomic_t stop_requested;
static volatile sig_atomic_t interrupts;
static volatile sig_atomic_t leaves_at_once = 1; /* nothing was computed that is not written */
static volatile sig_atomic_t speaks;

static void on_signal(int number) {
    static const char text[] = "epflow: stopped on request, before anything was computed\n";
    stop_requested = 1;
    if (leaves_at_once) {
        const ssize_t said = speaks ? write(STDERR_FILENO, text, sizeof text - 1) : 0;
        (void)said;
        _exit(STATUS_STOPPED);
    }
    if (number == SIGINT && interrupts++ > 0)
        _exit(130);
}

void session_catch_signals(bool aloud) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    speaks = aloud;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file above the limit (ulimit -f) is an error like others: EFBIG */
}

void session_enter(struct session *s) {
    leaves_at_once = 0;
    s->looked = s->longest = s->expected = 0;
}

void session_leave(struct session *s) {
    leaves_at_once = 1;
    s->looked = 0;
}

/* Seconds until the end of the Slurm job that this runs in; INFINITY where there is none. */
static double slurm_seconds(void) {
    const char *text = getenv("SLURM_JOB_END_TIME");
    char *end;
    if (!text || !*text)
        return INFINITY;
    const long long moment = strtoll(text, &end, 10);
    const double left = difftime((time_t)moment, time(NULL));
    if (!*end && left > 0)
        return left;
    log_warning("SLURM_JOB_END_TIME = %s is no time to come: it is ignored", text);
    return INFINITY;
}

void session_limit_time(struct session *s) {
    const double wall = s->config.run.walltime > 0 ? 60 * s->config.run.walltime : INFINITY;
    double left = fmin(wall, slurm_seconds());
    comm_broadcast(s->comm, &left, sizeof left);
    s->begun = timer_now();
    s->limit = isfinite(left) ? s->begun + left : 0;
}

double session_time_left(const struct session *s) {
    return s->limit > 0 ? s->limit - timer_now() : INFINITY;
}

void session_expect(struct session *s, double seconds) {
    s->expected = seconds;
}

/* Rank 0 looks at the clock for all. */
static bool time_is_over(struct session *s) {
    if (s->limit <= 0 || comm_rank(s->comm) > 0)
        return false;
    const double now = timer_now(), slack = fmin(20, (s->limit - s->begun) / 10);
    if (s->looked > 0)
        s->longest = fmax(s->longest, now - s->looked);
    s->looked = now;
    s->out_of_time = s->out_of_time || now + 2 * fmax(s->longest, s->expected) + slack >= s->limit;
    return s->out_of_time;
}

bool session_stop_requested(struct session *s) {
    return time_is_over(s) || stop_requested;
}

bool session_stop_agreed(struct session *s) {
    double stop = session_stop_requested(s);
    comm_max(s->comm, &stop, 1);
    return stop > 0;
}

bool session_stop_now(void *context, double done) {
    struct session *s = context;
    (void)done;
    if (session_stop_requested(s))
        comm_notify(s->comm);
    return comm_notified(s->comm);
}

const char *session_stop_reason(const struct session *s) {
    return s->out_of_time && !stop_requested ? "before its time is over" : "on request";
}

enum status session_next_stage(struct session *s) {
    if (!session_stop_agreed(s))
        return STATUS_OK;
    log_info("stopped %s, before the next stage: go on with --resume", session_stop_reason(s));
    return STATUS_STOPPED;
}

void session_path(const struct session *s, const char *name, char out[SESSION_PATH]) {
    file_join(s->config.output.directory, name, out);
}

enum status session_lock_output(struct session *s) {
    enum status status = STATUS_OK;
    if (s->locked)
        return STATUS_OK;
    TRY(lock_folder(s->comm, s->config.output.directory, false, &s->locked));
    if (s->locked)
        TRY(replaced_put_back(s->comm, s->config.output.directory));
out:
    return status;
}

/* What a killed run was writing: nothing reads it. */
static enum status remove_parts(struct session *s) {
    static const char *const name[] = {"trajectory.h5", "restart.h5", "model.h5", "evaluation.h5",
                                       "fields.xdmf",   "fields.xmf", "check.h5"};
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

enum status session_keep_replaced(struct session *s, enum replaced_stage stage) {
    if (!s->overwrite)
        return STATUS_OK;
    const bool all = s->all_stages && stage == REPLACED_SIMULATE;
    return replaced_keep(s->comm, s->config.output.directory, all ? REPLACED_ALL : stage);
}

enum status session_settle_replaced(struct session *s, enum replaced_stage stage, enum status status) {
    const char *directory = s->config.output.directory;
    if (!s->opened)
        return status;
    if (status == STATUS_OK)
        return s->all_stages && stage != REPLACED_ALL ? STATUS_OK : replaced_drop(s->comm, directory, stage);
    if (status != STATUS_STOPPED)
        remove_parts(s); /* of no use, and they take room */
    replaced_put_back(s->comm, directory);
    return status;
}

enum status session_open_output(struct session *s) {
    enum status status = STATUS_OK;
    char path[SESSION_PATH];
    if (s->opened)
        return STATUS_OK;
    TRY(file_make_directory(s->comm, s->config.output.directory));
    if (!s->locked)
        TRY(lock_folder(s->comm, s->config.output.directory, true, &s->locked));
    session_path(s, "log.txt", path);
    TRY(comm_agree(s->comm, log_open(path)));
    TRY(remove_parts(s));
    replaced_report(s->comm, s->config.output.directory);
    s->opened = true;
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

enum status session_resumable(struct session *s, enum status status, const char *path) {
    struct status_note found;
    if (status != STATUS_STORAGE && (status != STATUS_BAD_INPUT || h5_is_hdf5(s->comm, path)))
        return status;
    status_hold(&found);
    return FAIL(STATUS_STORAGE, "%s. If %s is damaged, move it away: --resume makes it anew then",
                found.message, path);
}

bool session_interval_passed(struct session *s, double minutes, double *last) {
    double passed = timer_now() - *last >= 60 * minutes;
    comm_broadcast(s->comm, &passed, sizeof passed);
    if (passed > 0)
        *last = timer_now();
    return passed > 0;
}
