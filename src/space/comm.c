/* Messages between ranks, on MPI. Errors of MPI itself end the job (MPI_ERRORS_ARE_FATAL): a broken
 * communicator cannot be used to agree on anything. What can go wrong on one rank alone (memory) comes
 * back as a status. */
#include "space/comm.h"

#include <limits.h>
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/log.h"

struct comm {
    MPI_Comm world;
    MPI_Comm agreed; /* of comm_agree alone: a rank that waits there never answers for another call */
    int rank, size;
    MPI_Request largest; /* the reduction under way */
    bool notified;
    const struct device_messages *device;
};

#ifdef EPFLOW_FLOAT64
#define MPI_REAL_TYPE MPI_DOUBLE
#else
#define MPI_REAL_TYPE MPI_FLOAT
#endif

enum { TAG_PEERS = 7, TAG_CHANNEL = 8, TAG_NOTICE = 9 };

/* Ranks whose mpirun was killed go on for a second or more until the MPI library notices, and would write into the
 * files of a run that was resumed meanwhile: the system ends them at once. (Only what mpirun started: elsewhere the
 * parent is a shell, which may end before its program.) */
static void end_with_mpirun(void) {
    if (getenv("OMPI_COMM_WORLD_SIZE"))
        prctl(PR_SET_PDEATHSIG, SIGKILL);
}

enum status comm_start(int *argc, char ***argv, struct comm **out) {
    *out = calloc(1, sizeof **out);
    if (!*out)
        return FAIL(STATUS_FAILURE, "out of memory at start");
    (*out)->largest = MPI_REQUEST_NULL;
    end_with_mpirun();
    MPI_Init(argc, argv);
    MPI_Comm_dup(MPI_COMM_WORLD, &(*out)->world);
    MPI_Comm_dup(MPI_COMM_WORLD, &(*out)->agreed);
    MPI_Comm_rank((*out)->world, &(*out)->rank);
    MPI_Comm_size((*out)->world, &(*out)->size);
    return STATUS_OK;
}

void comm_notify(struct comm *comm) {
    for (int r = 0; r < comm->size && !comm->notified; r++) {
        MPI_Request request;
        if (r == comm->rank)
            continue;
        MPI_Isend(NULL, 0, MPI_BYTE, r, TAG_NOTICE, comm->world, &request);
        MPI_Request_free(&request);
    }
    comm->notified = true;
}

bool comm_notified(struct comm *comm) {
    int there = 0;
    if (comm->notified)
        return true;
    MPI_Iprobe(MPI_ANY_SOURCE, TAG_NOTICE, comm->world, &there, MPI_STATUS_IGNORE);
    comm->notified = there != 0;
    return comm->notified;
}

/* Those that nobody looked at: MPI wants every message received before it ends. */
static void take_notices(struct comm *comm) {
    int there = 1;
    MPI_Barrier(comm->world);
    while (there) {
        MPI_Status status;
        MPI_Iprobe(MPI_ANY_SOURCE, TAG_NOTICE, comm->world, &there, &status);
        if (there)
            MPI_Recv(NULL, 0, MPI_BYTE, status.MPI_SOURCE, TAG_NOTICE, comm->world, MPI_STATUS_IGNORE);
    }
}

void comm_stop(struct comm **comm) {
    if (!*comm)
        return;
    comm_use_device(*comm, NULL);
    take_notices(*comm);
    MPI_Comm_free(&(*comm)->world);
    MPI_Comm_free(&(*comm)->agreed);
    MPI_Finalize();
    free(*comm);
    *comm = NULL;
}

void comm_abort(struct comm *comm, int code) {
    MPI_Abort(comm->world, code);
    abort();
}

void comm_fail(struct comm *comm, enum status status) {
    if (status == STATUS_OK)
        return;
    log_error_alone(status_message(), status_place());
    comm_abort(comm, status);
}

void comm_end(struct comm *comm, enum status status) {
    log_error(status_message(), status_place());
    MPI_Barrier(comm->agreed); /* nobody ends the others before it was said */
    comm_abort(comm, status);
}

/* A rank whose device has failed sends nothing more: it must not go on to where the others never come. One that has
 * failed otherwise and comes here all the same must find that all have. */
static void look(struct comm *comm) {
    if (comm->device)
        comm_fail(comm, comm->device->look(comm->device));
    if (status_own() != STATUS_OK)
        comm_meet(comm);
}

enum status comm_use_device(struct comm *comm, const struct device_messages *messages) {
    enum status status = STATUS_OK;
    char id[DEVICE_MESSAGES_ID] = "";
    if (comm->device)
        comm->device->stop(comm->device);
    comm->device = NULL;
    if (!messages || comm->size == 1)
        return STATUS_OK;
    if (comm->rank == 0)
        status = messages->identify(messages, id);
    TRY(comm_agree(comm, status));
    comm_broadcast(comm, id, sizeof id);
    TRY(comm_agree(comm, messages->start(messages, id, comm->rank, comm->size)));
    comm->device = messages;
out:
    return status;
}

/* The ranks of this one's node; to be freed. */
static MPI_Comm node_of(struct comm *comm) {
    MPI_Comm node;
    MPI_Comm_split_type(comm->world, MPI_COMM_TYPE_SHARED, comm->rank, MPI_INFO_NULL, &node);
    return node;
}

int comm_local_rank(struct comm *comm) {
    MPI_Comm node = node_of(comm);
    int rank;
    MPI_Comm_rank(node, &rank);
    MPI_Comm_free(&node);
    return rank;
}

void comm_sum_local(struct comm *comm, double *values, int count) {
    MPI_Comm node = node_of(comm);
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_SUM, node);
    MPI_Comm_free(&node);
}

int comm_rank(const struct comm *comm) {
    return comm->rank;
}

int comm_size(const struct comm *comm) {
    return comm->size;
}

const void *comm_handle(const struct comm *comm) {
    return &comm->world;
}

const char *comm_library(void) {
    static char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(name, &length);
    name[strcspn(name, ",\n")] = '\0';
    return name;
}

int comm_place(const char *text, int number) {
    unsigned sum = 2166136261u ^ (unsigned)number;
    for (const char *c = text; *c; c++)
        sum = (sum ^ (unsigned char)*c) * 16777619u;
    return (int)(sum >> 1);
}

/* The same on every rank: the message of this one. */
static void share_message(struct comm *comm, int rank) {
    struct status_note note = {0};
    if (comm->rank == rank)
        status_hold(&note);
    note.own = STATUS_OK;
    MPI_Bcast(&note, sizeof note, MPI_BYTE, rank, comm->agreed);
    status_put_back(&note);
}

enum status comm_agree_at(struct comm *comm, enum status status, int place) {
    if (comm->device)
        comm_fail(comm, comm->device->look(comm->device));
    if (status == STATUS_OK)
        status = status_own();
    const int rank = comm->rank;
    struct {
        int value, rank;
    } mine[3] = {{(int)status, rank}, {place, rank}, {-place, rank}}, most[3];
    MPI_Allreduce(mine, most, 3, MPI_2INT, MPI_MAXLOC, comm->agreed);
    const bool together = most[1].value == -most[2].value;
    enum status worst = (enum status)most[0].value;
    if (worst == STATUS_OK && together) {
        status_renew();
        return STATUS_OK;
    }
    if (worst == STATUS_OK)
        worst = FAIL(STATUS_FAILURE, "ranks %d and %d went different ways, after a failure that was not told",
                     most[1].rank, most[2].rank);
    share_message(comm, most[0].rank);
    if (!together)
        comm_end(comm, worst);
    return worst;
}

void comm_meet(struct comm *comm) {
    if (comm->size > 1 && status_own() != STATUS_OK)
        comm_agree_at(comm, status_own(), comm_place("meeting", 0));
}

void comm_barrier(struct comm *comm) {
    look(comm);
    MPI_Barrier(comm->world);
}

void comm_broadcast(struct comm *comm, void *data, size_t bytes) {
    look(comm);
    for (size_t done = 0; done < bytes;) {
        size_t part = bytes - done < INT_MAX ? bytes - done : INT_MAX;
        MPI_Bcast((char *)data + done, (int)part, MPI_BYTE, 0, comm->world);
        done += part;
    }
}

void comm_max(struct comm *comm, double *values, int count) {
    look(comm);
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MAX, comm->world);
}

void comm_min(struct comm *comm, double *values, int count) {
    look(comm);
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MIN, comm->world);
}

void comm_max_begin(struct comm *comm, double *values, int count) {
    look(comm);
    if (comm->size > 1)
        MPI_Iallreduce(MPI_IN_PLACE, values, count, MPI_DOUBLE, MPI_MAX, comm->world, &comm->largest);
}

void comm_max_look(struct comm *comm) {
    int done;
    MPI_Test(&comm->largest, &done, MPI_STATUS_IGNORE);
}

void comm_max_end(struct comm *comm) {
    MPI_Wait(&comm->largest, MPI_STATUS_IGNORE);
}

/* MPI counts are int: long arrays go in parts. */
static void sum(struct comm *comm, void *values, size_t count, size_t element, MPI_Datatype type) {
    const size_t most = (size_t)1 << 28;
    for (size_t done = 0; done < count; done += most) {
        size_t part = count - done < most ? count - done : most;
        MPI_Allreduce(MPI_IN_PLACE, (char *)values + done * element, (int)part, type, MPI_SUM, comm->world);
    }
}

void comm_sum(struct comm *comm, double *values, size_t count) {
    look(comm);
    sum(comm, values, count, sizeof *values, MPI_DOUBLE);
}

void comm_sum_device(struct comm *comm, real *values, size_t count) {
    look(comm);
    if (comm->device)
        comm->device->sum(comm->device, values, count);
    else if (comm->size > 1)
        sum(comm, values, count, sizeof *values, MPI_REAL_TYPE);
}

void comm_sum_integer(struct comm *comm, int64_t *values, int count) {
    look(comm);
    MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_INT64_T, MPI_SUM, comm->world);
}

enum status comm_exchange(struct comm *comm, size_t record, const size_t *send_count, const void *send,
                          size_t *receive_count, void **received) {
    look(comm);
    enum status status = STATUS_OK;
    int n = comm->size;
    int *numbers = calloc((size_t)n * 4, sizeof *numbers);
    int *sends = numbers, *receives = numbers + n, *from = numbers + 2 * n, *to = numbers + 3 * n;
    MPI_Datatype type;
    *received = NULL;
    if (!numbers)
        status = FAIL(STATUS_FAILURE, "out of memory for an exchange between ranks");
    if ((status = comm_agree(comm, status)) != STATUS_OK)
        goto out;
    for (int r = 0; r < n; r++)
        sends[r] = (int)send_count[r];
    MPI_Alltoall(sends, 1, MPI_INT, receives, 1, MPI_INT, comm->world);
    size_t total = 0, sent = 0;
    for (int r = 0; r < n; r++) {
        receive_count[r] = (size_t)receives[r];
        from[r] = (int)sent;
        to[r] = (int)total;
        sent += (size_t)sends[r];
        total += (size_t)receives[r];
    }
    *received = malloc(total ? total * record : 1);
    if (!*received || total > INT_MAX || sent > INT_MAX)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu records of %zu bytes from other ranks", total,
                      record);
    if ((status = comm_agree(comm, status)) != STATUS_OK)
        goto out;
    MPI_Type_contiguous((int)record, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    MPI_Alltoallv(send, sends, from, type, *received, receives, to, type, comm->world);
    MPI_Type_free(&type);
out:
    if (status != STATUS_OK) {
        free(*received);
        *received = NULL;
    }
    free(numbers);
    return status;
}

enum status comm_peers(struct comm *comm, const struct comm_pattern *pattern, const void *send,
                       void *receive) {
    look(comm);
    enum { FEW = 64 };
    if (pattern->device && comm->device) {
        comm->device->begin(comm->device, pattern->peers, pattern->peer, pattern->send_offset,
                            pattern->receive_offset, send, receive);
        comm->device->end(comm->device);
        return STATUS_OK;
    }
    MPI_Request few[2 * FEW], *request = few;
    if (pattern->peers > FEW && !(request = malloc((size_t)pattern->peers * 2 * sizeof *request)))
        comm_fail(comm, FAIL(STATUS_FAILURE, "out of memory for messages among %d ranks", pattern->peers));
    for (int p = 0; p < pattern->peers; p++) {
        size_t at = pattern->receive_offset[p], bytes = pattern->receive_offset[p + 1] - at;
        MPI_Irecv((char *)receive + at, (int)bytes, MPI_BYTE, pattern->peer[p], TAG_PEERS, comm->world,
                  &request[p]);
    }
    for (int p = 0; p < pattern->peers; p++) {
        size_t at = pattern->send_offset[p], bytes = pattern->send_offset[p + 1] - at;
        MPI_Isend((const char *)send + at, (int)bytes, MPI_BYTE, pattern->peer[p], TAG_PEERS, comm->world,
                  &request[pattern->peers + p]);
    }
    MPI_Waitall(2 * pattern->peers, request, MPI_STATUSES_IGNORE);
    if (request != few)
        free(request);
    return STATUS_OK;
}

struct comm_channel {
    const struct device_messages *device; /* of a pattern in its memory, and */
    const struct comm_pattern *pattern;
    const void *send;
    void *receive;
    bool under_way;
    int requests; /* else */
    MPI_Request request[];
};

enum status comm_channel_create(struct comm *comm, const struct comm_pattern *pattern, const void *send,
                                void *receive, struct comm_channel **out) {
    const int peers = pattern->peers;
    struct comm_channel *c = malloc(sizeof *c + 2 * (size_t)peers * sizeof *c->request);
    *out = c;
    if (!c)
        return FAIL(STATUS_FAILURE, "out of memory for messages among %d ranks", peers);
    *c = (struct comm_channel){.device = pattern->device ? comm->device : NULL,
                               .pattern = pattern,
                               .send = send,
                               .receive = receive};
    if (c->device)
        return STATUS_OK;
    c->requests = 2 * peers;
    for (int p = 0; p < peers; p++) {
        size_t from = pattern->send_offset[p], to = pattern->receive_offset[p];
        MPI_Recv_init((char *)receive + to, (int)(pattern->receive_offset[p + 1] - to), MPI_BYTE,
                      pattern->peer[p], TAG_CHANNEL, comm->world, &c->request[p]);
        MPI_Send_init((const char *)send + from, (int)(pattern->send_offset[p + 1] - from), MPI_BYTE,
                      pattern->peer[p], TAG_CHANNEL, comm->world, &c->request[peers + p]);
    }
    return STATUS_OK;
}

void comm_channel_begin(struct comm_channel *c) {
    const struct comm_pattern *p = c->pattern;
    if (c->device)
        c->device->begin(c->device, p->peers, p->peer, p->send_offset, p->receive_offset, c->send,
                         c->receive);
    else
        MPI_Startall(c->requests, c->request);
    c->under_way = true;
}

bool comm_channel_end(struct comm_channel *c) {
    const bool ended = c->under_way;
    if (ended && c->device)
        c->device->end(c->device);
    else if (ended)
        MPI_Waitall(c->requests, c->request, MPI_STATUSES_IGNORE);
    c->under_way = false;
    return ended;
}

void comm_channel_destroy(struct comm_channel **channel) {
    struct comm_channel *c = *channel;
    if (!c)
        return;
    comm_channel_end(c);
    for (int r = 0; r < c->requests; r++)
        MPI_Request_free(&c->request[r]);
    free(c);
    *channel = NULL;
}
