/* One run at a time writes into a folder. */
#ifndef EPFLOW_IO_LOCK_H
#define EPFLOW_IO_LOCK_H

#include <stdbool.h>

#include "space/comm.h"

/* Rank 0 takes the lock of a folder for as long as the process lives; the lock is advisory, and goes with the process
 * however that ends. Refused (STATUS_BAD_INPUT) while another run holds it, with a message that names that run. A folder
 * that is not there has none: *held is false then. fresh: the folder was not there when this command looked at it first;
 * a run that was quicker is refused even if it has ended, as what this one found no longer holds. Without locks in the
 * file system: a warning, and *held is true. Collective. */
enum status lock_folder(struct comm *comm, const char *directory, bool fresh, bool *held);

#endif
