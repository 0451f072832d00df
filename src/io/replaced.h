/* Results that --overwrite replaces. They are kept, complete, in the folder `replaced` of the output folder until the new
 * ones are complete; a run that ends before goes on with --resume as ever. All functions are collective; rank 0 acts. */
#ifndef EPFLOW_IO_REPLACED_H
#define EPFLOW_IO_REPLACED_H

#include "io/file.h"

/* Whose files: of one stage, or of all, where they are made anew one after the other. */
enum replaced_stage { REPLACED_SIMULATE, REPLACED_TRAIN, REPLACED_EVALUATE, REPLACED_ALL };

/* Before a new result (trajectory, model, evaluation; of all: the trajectory) takes the place of the one that is there:
 * that gets a second name in `replaced`, and what belongs to it goes there. What is in `replaced` already stays: then what
 * is there now is of a run that did not come to its end. */
enum status replaced_keep(struct comm *comm, const char *directory, enum replaced_stage stage);

/* Where no new result took the place of one that was kept, all is put as it was. */
enum status replaced_put_back(struct comm *comm, const char *directory);

/* The new ones are complete. */
enum status replaced_drop(struct comm *comm, const char *directory, enum replaced_stage stage);

/* Says so, where something is kept. */
void replaced_report(struct comm *comm, const char *directory);

#endif
