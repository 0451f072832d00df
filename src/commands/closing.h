/* What ends a run: the table of timings, rates and memory on the terminal, and, with --json, the same and the main numbers
 * of the results on standard output, as one object. */
#ifndef EPFLOW_COMMANDS_CLOSING_H
#define EPFLOW_COMMANDS_CLOSING_H

#include "base/timer.h"
#include "commands/session.h"

/* With --json: begins the object, before a command. Rank 0's is printed. */
void closing_begin(struct session *s, const char *command);
/* Ends and prints it, whatever became of the command. meaning: of the status. */
void closing_print(struct session *s, enum status status, const char *meaning);

/* Runs a stage, and says what became of it. Returns what it returned. Collective. */
enum status closing_stage(struct session *s, const char *name, enum status (*run)(struct session *s));

/* ---- within a stage ---- */

/* Prints the table of timings of this run, over all ranks: section, min, mean, max, share. Collective. */
void closing_timings(struct session *s, const struct timings *timings, double total);

/* Adds a line to it: so many of something were done, in so many seconds. */
void closing_rate(struct session *s, const char *what, double done, double seconds);

/* Prints the most memory that ranks have had since memory_forget_peak: min, mean, max, of all together, and that a
 * particle of this many. Collective. */
void closing_memory(struct session *s, double particles);

/* A main number of the results, with its error (NaN: it has none), for --json alone: all of them between these two. */
void closing_results(struct session *s);
void closing_number(struct session *s, const char *name, double value);
void closing_estimate(struct session *s, const char *name, double value, double error);
void closing_results_end(struct session *s);

#endif
