/* Messages between ranks: one handle for those between host memories (MPI, whose only caller this is beside HDF5, which
 * is handed the communicator) and those between the memories of devices (a table, see base/messages.h: NCCL's).
 *
 * Every function but comm_rank, comm_size, comm_abort, comm_fail, comm_handle, comm_place, comm_notify and
 * comm_notified is collective over all ranks of the handle.
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

/* For what was agreed on, where nothing may follow that waits for all ranks, not even the closing of files: says what was
 * recorded, once, and ends every rank. Does not return. */
void comm_end(struct comm *comm, enum status status);

/* From now on messages between the memories of devices go by this table, or, if NULL or with one rank, by MPI (device
 * memory is the host's then). A rank whose device fails ends all of them (comm_fail) at its next call here. The table stays the caller's, and is stopped before comm_stop. */
enum status comm_use_device(struct comm *comm, const struct device_messages *messages);

int comm_rank(const struct comm *comm);
int comm_size(const struct comm *comm);

/* This rank's number among those of the same node. */
int comm_local_rank(struct comm *comm);

/* A pointer to the MPI_Comm, for the io layer, which gives it to HDF5. */
const void *comm_handle(const struct comm *comm);

/* Name and version of the MPI library, for provenance. */
const char *comm_library(void);

/* Every rank returns the worst status of all, with the message of the lowest rank that has it. STATUS_OK with a message of
 * this rank that the others do not know counts as what was recorded. The ranks must come from the same place: where they
 * do not, one of them has failed and left what the others go on with, and all end here. */
#define comm_agree(comm, status) comm_agree_at((comm), (status), comm_place(__FILE__, __LINE__))
enum status comm_agree_at(struct comm *comm, enum status status, int place);
int comm_place(const char *text, int number); /* a number for a place that every rank gives the same */
#ifdef EPFLOW_ANALYSIS /* shows an analyser that what failed here has failed afterwards */
#undef comm_agree
#define comm_agree(comm, status) ((status) != STATUS_OK ? (status) : comm_agree_at((comm), (status), 0))
#endif

/* Before what waits for all ranks elsewhere than here (closing a file in MPI-IO), for a rank that may have failed without
 * the others: goes on where no rank or every rank has a failure to tell, which all know then; see comm_watch. */
void comm_meet(struct comm *comm);

/* From now on a failure can hang nobody. Whoever has recorded one that the others do not know waits for them in comm_agree
 * or comm_meet; if they do not come there within seconds, they are elsewhere and wait for it: a thread that does nothing
 * else then says its message and ends all. The same where a failure that all know does not end them (half a minute).
 * Call once; nothing with one rank. */
enum status comm_watch(struct comm *comm);

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
