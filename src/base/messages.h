/* Messages between the memories of ranks' devices, as a table of functions: NCCL's, filled in by the CUDA backend and
 * used by space/comm, so that neither knows the other. On the CPU there is none: memory is the host's and MPI's messages
 * reach it.
 *
 * start, stop and sum are collective over the ranks that start together, begin is over the peers, the others are local. They put work in order:
 * what the table of ops was asked to do before is complete when a message leaves, what it is asked to do after _end
 * (or sum) sees what has come. Errors are reported by the ops' next synchronise().
 */
#ifndef EPFLOW_BASE_MESSAGES_H
#define EPFLOW_BASE_MESSAGES_H

#include <stddef.h>

#include "base/real.h"
#include "base/status.h"

enum { DEVICE_MESSAGES_ID = 128 };

struct device_messages {
    void *context;
    /* Names a new group of ranks; one rank asks and tells the others. */
    enum status (*identify)(const struct device_messages *messages, char id[DEVICE_MESSAGES_ID]);
    enum status (*start)(const struct device_messages *messages, const char id[DEVICE_MESSAGES_ID], int rank,
                         int ranks);
    void (*stop)(const struct device_messages *messages);
    /* In place, the sum over the ranks of `count` numbers. */
    void (*sum)(const struct device_messages *messages, real *values, size_t count);
    /* One message to, and one from, each of a few peers; offsets (peers + 1) in bytes into the two buffers. Work that the
     * ops are asked for between begin and end goes on beside the messages and touches neither buffer. */
    void (*begin)(const struct device_messages *messages, int peers, const int *peer,
                  const size_t *send_offset, const size_t *receive_offset, const void *send, void *receive);
    void (*end)(const struct device_messages *messages);
    /* What went wrong on this rank's device so far: others may wait for its messages in vain. */
    enum status (*look)(const struct device_messages *messages);
};

#endif
