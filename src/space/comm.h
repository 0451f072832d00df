/* Messages between ranks: one handle for those between host memories (MPI, whose only caller this is beside HDF5, which
 * is handed the communicator) and those between the memories of devices (a table, see base/messages.h: NCCL's).
 *
 * Every function but comm_rank, comm_size, comm_fail, comm_handle, comm_notify and comm_notified is collective over all ranks of the handle.
 * Reductions are in place. Arrays are in host memory where nothing else is said.
 */
#ifndef EPFLOW_SPACE_COMM_H
#define EPFLOW_SPACE_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/messages.h"
#include "base/real.h"
#include "base/status.h"

struct comm;

/* Starts MPI. Call once, first. A process started without mpirun is one rank. */
enum status comm_start(int *argc, char ***argv, struct comm **out);

/* Ends MPI and frees the handle (sets *comm to NULL). */
void comm_stop(struct comm **comm);

/* Ends every rank at once with this exit code: for errors that cannot be agreed on. Does not return. */
void comm_abort(struct comm *comm, int code);

/* For what goes wrong on one rank while others wait for its messages: says what was recorded and ends every rank.
 * Returns if status is STATUS_OK. Not collective. */
void comm_fail(struct comm *comm, enum status status);

/* From now on messages between the memories of devices go by this table, or, if NULL or with one rank, by MPI (device
 * memory is the host's then). A rank whose device fails ends all of them (comm_fail) at its next call here. The table stays the caller's, and is stopped before comm_stop. */
enum status comm_use_device(struct comm *comm, const struct device_messages *messages);

int comm_rank(const struct comm *comm);
int comm_size(const struct comm *comm);

/* This rank's number among those of the same node. */
int comm_local_rank(struct comm *comm);

/* Sums over the ranks of the same node, in place. */
void comm_sum_local(struct comm *comm, double *values, int count);

/* A pointer to the MPI_Comm, for the io layer, which gives it to HDF5. */
const void *comm_handle(const struct comm *comm);

/* Name and version of the MPI library, for provenance. */
const char *comm_library(void);

/* Every rank returns the worst status of all, with the message of the lowest rank that has it. */
enum status comm_agree(struct comm *comm, enum status status);
#ifdef EPFLOW_ANALYSIS /* shows an analyser that what failed here has failed afterwards */
#define comm_agree(comm, status) ((status) != STATUS_OK ? (status) : (comm_agree)((comm), (status)))
#endif

/* For what a rank must let the others know while they are at work: tells every rank, without waiting for any; and
 * whether any rank has told, this one included. Neither is collective. */
void comm_notify(struct comm *comm);
bool comm_notified(struct comm *comm);

void comm_barrier(struct comm *comm);
void comm_broadcast(struct comm *comm, void *data, size_t bytes); /* from rank 0 */
void comm_max(struct comm *comm, double *values, int count);
void comm_min(struct comm *comm, double *values, int count);
/* The same while other things go on: values are the ranks' largest after _end. One at a time; _look gives the library a
 * chance to move on with it. Without one neither _look nor _end does anything. */
void comm_max_begin(struct comm *comm, double *values, int count);
void comm_max_look(struct comm *comm);
void comm_max_end(struct comm *comm);
void comm_sum(struct comm *comm, double *values, size_t count);
void comm_sum_device(struct comm *comm, real *values, size_t count); /* in the device's memory */
void comm_sum_integer(struct comm *comm, int64_t *values, int count);

/* Sends send_count[r] records of `record` bytes to every rank r, in rank order from `send`; receives
 * likewise into *received, which is allocated here (free it with free()). receive_count has size
 * ranks. */
enum status comm_exchange(struct comm *comm, size_t record, const size_t *send_count, const void *send,
                          size_t *receive_count, void **received);

/* One message to, and one from, each of a few peers: peers are symmetric (p in mine, I in p's). Sizes in
 * bytes; offsets are into the two buffers. For a halo: post, compute, complete. */
struct comm_pattern {
    int peers;
    int *peer;              /* (peers) rank */
    size_t *send_offset;    /* (peers + 1) bytes */
    size_t *receive_offset; /* (peers + 1) bytes */
    bool device;            /* the buffers are in the device's memory */
};
enum status comm_peers(struct comm *comm, const struct comm_pattern *pattern, const void *send,
                       void *receive);

/* The messages of a pattern, which stays where it is, between the same two buffers again and again: set up once, then
 * begun and ended as often as wanted. Between the two neither buffer is to be touched. _destroy ends what is under way, and accepts NULL; only
 * begin and end are collective, over the peers. */
struct comm_channel;
enum status comm_channel_create(struct comm *comm, const struct comm_pattern *pattern, const void *send,
                                void *receive, struct comm_channel **out);
void comm_channel_begin(struct comm_channel *channel);
bool comm_channel_end(struct comm_channel *channel); /* whether anything was under way */
void comm_channel_destroy(struct comm_channel **channel);

#endif
