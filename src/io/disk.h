/* What the disk says about files that MPI-IO writes and reads, which the library itself does not tell. Nothing here is
 * collective. */
#ifndef EPFLOW_IO_DISK_H
#define EPFLOW_IO_DISK_H

#include <stdbool.h>

enum { DISK_FILES = 32 };

/* From now on the calls of this process on the file of an open descriptor, which is taken over, are watched: a short
 * write is completed, and a call that fails looks successful to who makes it and is told by disk_error. The slot by
 * which to end that; -1 where DISK_FILES are watched already. */
int disk_watch(int descriptor);
void disk_forget(int slot);

/* Writes to the disk; false, with errno, where that fails. True for slot -1. */
bool disk_sync(int slot);

/* Whether a path still leads to the watched file. */
bool disk_is(int slot, const char *path);

/* errno of the first watched call that failed since the last time of asking; 0 if none did. */
int disk_error(void);

/* What the user is to do about an errno, to be put behind its text: ": make room, then go on with --resume". "" where
 * there is nothing to say. */
const char *disk_advice(int error);

#endif
