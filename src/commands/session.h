/* What one command of the program works with: ranks, device, parameters, options, signals. */
#ifndef EPFLOW_COMMANDS_SESSION_H
#define EPFLOW_COMMANDS_SESSION_H

#include "base/config.h"
#include "base/json.h"
#include "base/timer.h"
#include "io/replaced.h"
#include "ops/ops.h"
#include "space/comm.h"

enum { SESSION_SETTINGS = 64, SESSION_PATH = 2 * CONFIG_TEXT };

struct session {
    struct comm *comm;
    const struct ops *ops;
    const char *device;                    /* for provenance: "cpu" */
    struct config config;                  /* of commands that take an input */
    const char *file;                      /* as given on the command line */
    const char *part;                      /* of the bench; NULL: all of it */
    const char *output;                    /* --output as given; NULL: not */
    const char *format, *frames, *columns; /* of an export; NULL: not given */
    int setting_count;
    const char *setting[SESSION_SETTINGS]; /* --set and its shorthands, in order */
    bool dry_run, resume, overwrite, json;
    bool all_stages; /* by one command, one after the other */
    /* seconds (timer_now): when the time of the run began and is over (0: never); the last look at it and the longest
     * time between two; what the next may take */
    double begun, limit, looked, longest, expected;
    bool out_of_time;
    bool locked, opened; /* the output folder, by this run */
    struct json closing; /* what --json prints at the end, on rank 0; closing.h */
    bool stage_done;     /* by this run: it had something to do */
};

/* Catches SIGTERM, SIGINT and SIGUSR1. Until session_enter they end this process at once, with exit code 75: nothing is
 * lost. speaks: this process says so. */
void session_catch_signals(bool speaks);

/* From session_enter to session_leave signals only ask for a stop, so that what was computed can be written; a second
 * SIGINT leaves at once, with exit code 130. */
void session_enter(struct session *s);
void session_leave(struct session *s);

/* Reads run.walltime and Slurm's end time, whichever is earlier. Collective. */
void session_limit_time(struct session *s);

/* Whether this rank was asked to stop, or, on rank 0, the time is nearly over: twice the longest time between two calls
 * (a step, a frame and a restart are among them) and a tenth of the limit, at most 20 s, must be left. Not collective. */
bool session_stop_requested(struct session *s);
/* The same on every rank. Collective. */
bool session_stop_agreed(struct session *s);
/* For work of which every rank has a part, looked at by each on its own: the first to stop lets the others know. context:
 * the session; done (of the work) is not read. Not collective. */
bool session_stop_now(void *context, double done);
/* Until the next call but one of session_stop_requested so many seconds may pass. */
void session_expect(struct session *s, double seconds);
/* Seconds until the time is over, INFINITY without a limit. */
double session_time_left(const struct session *s);
/* "on request", or "before its time is over", on rank 0. */
const char *session_stop_reason(const struct session *s);
/* Between stages: STATUS_STOPPED, with a message, where a stop was requested. Collective. */
enum status session_next_stage(struct session *s);

/* Path of a file in the output folder. */
void session_path(const struct session *s, const char *name, char out[SESSION_PATH]);

/* Locks the output folder, if it is there, against other runs: before a command looks at what is in it. Refused
 * (STATUS_BAD_INPUT) where another run has it. Results that a killed run only began to replace are put back. Collective. */
enum status session_lock_output(struct session *s);

/* Makes the output folder, locks it, opens its log, and removes what a killed run left half written;
 * the stages after the first find that done. Collective. */
enum status session_open_output(struct session *s);

/* Refuses to replace a result of an earlier run unless --resume or --overwrite says what is to happen.
 * Collective. */
enum status session_refuse_existing(struct session *s, const char *path);

/* With --overwrite, before the new result of this stage (in a run of all: the trajectory) takes the place of one that is
 * there. Collective. */
enum status session_keep_replaced(struct session *s, enum replaced_stage stage);
/* At the end of a stage: what was kept goes, or, where the new result never came to be, takes its place again. Returns
 * status, or what else failed. Collective. */
enum status session_settle_replaced(struct session *s, enum replaced_stage stage, enum status status);

/* What is wrong with a result that is to be gone on with, with advice where it cannot be read at all (STATUS_STORAGE then);
 * any other status as it is. Collective. */
enum status session_resumable(struct session *s, enum status status, const char *path);

/* True on every rank once `minutes` of wall clock have passed on rank 0 since *last, which is then set to
 * now. Collective. */
bool session_interval_passed(struct session *s, double minutes, double *last);

#endif
