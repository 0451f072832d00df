/* A look at a file that a user gave, before it is opened. HDF5 may crash or run on without end where the structure of a
 * file is damaged, which is not this program's to mend: so a process of its own opens the file first and goes through
 * all that is in it (h5_inspect.c). What crashes there is a damaged file, and not the end of a run on many ranks.
 */
#ifndef EPFLOW_IO_INSPECT_H
#define EPFLOW_IO_INSPECT_H

#include <stdbool.h>

#include "base/status.h"
#include "space/comm.h"

/* For main: whether this process was started to inspect a file, before anything else is done; then its exit code. */
bool inspect_asked(int argc, char **argv);
int inspect_answer(char **argv);

/* From now on files are inspected by processes of this program. Tests, whose programs are others, go without. */
void inspect_start(void);

/* STATUS_BAD_INPUT for what is no HDF5 file at all (a folder, a pipe, a text), STATUS_STORAGE for a damaged one, or one
 * whose contents are elsewhere (external links, external storage, virtual datasets). Rank 0 looks. Collective. */
enum status inspect_file(struct comm *comm, const char *path);

#endif
