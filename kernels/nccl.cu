/* Messages between the devices of ranks: NCCL. They go on a stream of their own, beside the ops'. */
#include "kernels/device.h"

#include <stdlib.h>
#include <string.h>

#ifndef EPFLOW_NCCL

void device_messages_look(struct device *d) {
    (void)d;
}
bool device_messages_started(const struct device *d) {
    (void)d;
    return false;
}
void device_messages_free(struct device *d) {
    (void)d;
}
extern "C" const struct device_messages *epflow_cuda_messages(const struct ops *table) {
    (void)table;
    return NULL;
}

#else

#include <nccl.h>

struct messages {
    struct device_messages table;
    struct device *device;
    ncclComm_t comm;
    cudaStream_t stream;
    cudaEvent_t before, after; /* what the ops had done; what has come */
};

static struct messages *messages_of(const struct device_messages *m) {
    return (struct messages *)m->context;
}

static bool check(struct messages *m, ncclResult_t result, const char *what) {
    struct device *d = m->device;
    if (result == ncclSuccess || result == ncclInProgress)
        return d->status == STATUS_OK;
    device_note(d, what, ncclGetErrorString(result));
    return false;
}

static enum status identify(const struct device_messages *messages, char id[DEVICE_MESSAGES_ID]) {
    (void)messages;
    ncclUniqueId unique;
    static_assert(sizeof unique.internal == DEVICE_MESSAGES_ID, "NCCL's identifiers have another size");
    const ncclResult_t result = ncclGetUniqueId(&unique);
    if (result != ncclSuccess)
        return FAIL(STATUS_FAILURE, "NCCL cannot start: %s", ncclGetErrorString(result));
    memcpy(id, unique.internal, DEVICE_MESSAGES_ID);
    return STATUS_OK;
}

static enum status start(const struct device_messages *messages, const char id[DEVICE_MESSAGES_ID], int rank,
                         int ranks) {
    struct messages *m = messages_of(messages);
    struct device *d = m->device;
    ncclUniqueId unique;
    memcpy(unique.internal, id, DEVICE_MESSAGES_ID);
    const ncclResult_t result = ncclCommInitRank(&m->comm, ranks, unique, rank);
    if (result != ncclSuccess) {
        m->comm = NULL;
        return FAIL(STATUS_FAILURE,
                    "NCCL cannot start among %d ranks: %s (it wants a GPU for every rank of a node; "
                    "NCCL_DEBUG=WARN says more)",
                    ranks, ncclGetErrorString(result));
    }
    int least = 0, greatest = 0;
    device_check(d, cudaDeviceGetStreamPriorityRange(&least, &greatest), "making a stream for messages");
    device_check(d, cudaStreamCreateWithPriority(&m->stream, cudaStreamNonBlocking, greatest),
                 "making a stream for messages");
    device_check(d, cudaEventCreateWithFlags(&m->before, cudaEventDisableTiming), "making an event");
    device_check(d, cudaEventCreateWithFlags(&m->after, cudaEventDisableTiming), "making an event");
    return d->status == STATUS_OK ? STATUS_OK : FAIL(d->status, "%s", d->message);
}

static enum status look(const struct device_messages *messages) {
    struct device *d = messages_of(messages)->device;
    device_messages_look(d);
    return d->status == STATUS_OK ? STATUS_OK : FAIL(d->status, "%s", d->message);
}

static void stop(const struct device_messages *messages) {
    struct messages *m = messages_of(messages);
    if (!m->comm)
        return;
    if (device_wait(m->device, "the last messages") &&
        device_check(m->device, cudaStreamSynchronize(m->stream), "the last messages"))
        ncclCommDestroy(m->comm);
    else
        ncclCommAbort(m->comm); /* waits for nobody */
    cudaEventDestroy(m->before);
    cudaEventDestroy(m->after);
    cudaStreamDestroy(m->stream);
    m->comm = NULL;
    m->stream = NULL;
}

/* Messages wait for what the ops were asked to do so far. */
static bool follow(struct messages *m) {
    struct device *d = m->device;
    return d->status == STATUS_OK &&
           device_check(d, cudaEventRecord(m->before, d->stream), "before messages") &&
           device_check(d, cudaStreamWaitEvent(m->stream, m->before, 0), "before messages");
}

/* Ops wait for the messages so far. */
static void lead(struct messages *m) {
    struct device *d = m->device;
    device_check(d, cudaStreamWaitEvent(d->stream, m->after, 0), "after messages");
}

static void begin(const struct device_messages *messages, int peers, const int *peer,
                  const size_t *send_offset, const size_t *receive_offset, const void *send, void *receive) {
    struct messages *m = messages_of(messages);
    if (!follow(m))
        return;
    check(m, ncclGroupStart(), "messages");
    for (int p = 0; p < peers; p++) {
        const size_t out = send_offset[p + 1] - send_offset[p],
                     in = receive_offset[p + 1] - receive_offset[p];
        if (out > 0)
            check(m,
                  ncclSend((const char *)send + send_offset[p], out, ncclInt8, peer[p], m->comm, m->stream),
                  "sending");
        if (in > 0)
            check(m, ncclRecv((char *)receive + receive_offset[p], in, ncclInt8, peer[p], m->comm, m->stream),
                  "receiving");
    }
    check(m, ncclGroupEnd(), "messages");
    device_check(m->device, cudaEventRecord(m->after, m->stream), "messages");
}

static void end(const struct device_messages *messages) {
    lead(messages_of(messages));
}

static void sum(const struct device_messages *messages, real *values, size_t count) {
    struct messages *m = messages_of(messages);
    if (!follow(m))
        return;
    check(m, ncclAllReduce(values, values, count, ncclFloat32, ncclSum, m->comm, m->stream),
          "a sum over ranks");
    device_check(m->device, cudaEventRecord(m->after, m->stream), "a sum over ranks");
    lead(m);
}

void device_messages_look(struct device *d) {
    struct messages *m = (struct messages *)d->messages;
    ncclResult_t now = ncclSuccess;
    if (!m || !m->comm || d->status != STATUS_OK)
        return;
    check(m, ncclCommGetAsyncError(m->comm, &now), "looking at messages");
    if (check(m, now, "messages"))
        return;
    ncclCommAbort(m->comm); /* else the streams would wait for ever */
    m->comm = NULL;
}

bool device_messages_started(const struct device *d) {
    const struct messages *m = (const struct messages *)d->messages;
    return m && m->comm;
}

void device_messages_free(struct device *d) {
    struct messages *m = (struct messages *)d->messages;
    if (!m)
        return;
    stop(&m->table);
    free(m);
    d->messages = NULL;
}

extern "C" const struct device_messages *epflow_cuda_messages(const struct ops *table) {
    struct device *d = device_of(table);
    struct messages *m = (struct messages *)d->messages;
    if (!m && (m = (struct messages *)calloc(1, sizeof *m))) {
        m->device = d;
        m->table.context = m;
        m->table.identify = identify;
        m->table.start = start;
        m->table.stop = stop;
        m->table.begin = begin;
        m->table.end = end;
        m->table.sum = sum;
        m->table.look = look;
        d->messages = m;
    }
    return m ? &m->table : NULL;
}

#endif
