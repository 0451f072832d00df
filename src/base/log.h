/* What the program says while it runs: on the terminal (standard error) and in the output folder's
 * log.txt. What goes well is said once per run, by rank 0. Messages have no final newline. */
#ifndef EPFLOW_BASE_LOG_H
#define EPFLOW_BASE_LOG_H

#include <stdbool.h>

#include "base/status.h"

/* Before it, only rank 0's messages are known to be rank 0's: call it first. Not collective. */
void log_start(int rank);
/* Whether this is rank 0. */
bool log_speaks(void);

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

/* On a terminal, a line that the next one of these, or any other, takes the place of; cleared by NULL. Rank 0 only. */
void log_rewrite(const char *line);

#endif
