/* What one command of the program works with: ranks, device, parameters, options, signals. */
#ifndef EPFLOW_COMMANDS_SESSION_H
#define EPFLOW_COMMANDS_SESSION_H

#include "base/config.h"
#include "base/timer.h"
#include "ops/ops.h"
#include "space/comm.h"

enum { SESSION_SETTINGS = 64, SESSION_PATH = 2 * CONFIG_TEXT };

struct session {
    struct comm *comm;
    const struct ops *ops;
    const char *device;   /* for provenance: "cpu" */
    struct config config; /* of commands that take an input */
    const char *file;     /* as given on the command line */
    const char *part;     /* of the bench; NULL: all of it */
    int setting_count;
    const char *setting[SESSION_SETTINGS]; /* --set and its shorthands, in order */
    bool dry_run, resume, overwrite, json;
};

/* Catches SIGTERM, SIGINT and SIGUSR1: the run stops at its next step with a restart written. A second SIGINT
 * leaves at once. */
void session_catch_signals(void);
bool session_stop_requested(void);

/* Path of a file in the output folder. */
void session_path(const struct session *s, const char *name, char out[SESSION_PATH]);

/* Makes the output folder, opens its log, and removes what a killed run left half written. Collective. */
enum status session_open_output(struct session *s);

/* Refuses to replace a result of an earlier run unless --resume or --overwrite says what is to happen.
 * Collective. */
enum status session_refuse_existing(struct session *s, const char *path);

/* Prints the table of timings of this run, over all ranks: section, min, mean, max, share. Collective. */
void session_print_timings(struct session *s, const struct timings *timings, double total);

/* True on every rank once `minutes` of wall clock have passed on rank 0 since *last, which is then set to
 * now. Collective. */
bool session_interval_passed(struct session *s, double minutes, double *last);

#endif
