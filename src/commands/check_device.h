/* What `epflow check` does without a FILE. Private to commands. */
#ifndef EPFLOW_COMMANDS_CHECK_DEVICE_H
#define EPFLOW_COMMANDS_CHECK_DEVICE_H

#include "commands/session.h"

/* Compares every op of the session's device with the processor's, on every rank, and prints a table (rank 0). A failure
 * if one is wrong. Collective. */
enum status check_device(struct session *s);

#endif
