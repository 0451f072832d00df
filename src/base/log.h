/* What the program says while it runs: on the terminal (standard error) and in the output folder's
 * log.txt. What goes well is said once per run, by rank 0. Messages have no final newline. */
#ifndef EPFLOW_BASE_LOG_H
#define EPFLOW_BASE_LOG_H

#include <stdbool.h>

#include "base/status.h"

/* Before it, only rank 0's messages are known to be rank 0's: call it first. Not collective. */
void log_start(int rank);

/* Appends what is said from now on to a file too (rank 0 opens it; other ranks do nothing). */
enum status log_open(const char *path);

/* Closes the file. */
void log_stop(void);

void log_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void log_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* An error, once: "epflow: error: MESSAGE"; in the file a second line names the place in the source. */
void log_error(const char *message, const char *place);

/* The same by a rank that the others cannot be asked with any more, rank 0 or not, with its number, unless it has said an
 * error before. The last thing it says. */
void log_error_alone(const char *message, const char *place);

/* Progress of long work: one line that rewrites itself on a terminal; where standard error is not a
 * terminal, a line every 30 seconds. Rank 0 only; cheap enough to call at every step. */
struct progress {
    const char *what;   /* "burn-in", "training", ... */
    double total;       /* units of work in all */
    double done_before; /* units that an earlier run did: not counted in the rate */
    double started;     /* seconds, set by progress_start */
    double shown;       /* seconds at which it was last shown */
};
void progress_start(struct progress *p, const char *what, double total, double done_before);
/* done: units done so far; detail: further words such as "loss 0.123", or NULL. */
void progress_show(struct progress *p, double done, const char *detail);
void progress_end(struct progress *p, const char *detail);

#endif
