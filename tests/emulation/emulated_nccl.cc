/* NCCL on MPI: operations of a group are one work of the stream. A rank sends what it has, without waiting, when its
 * stream comes to the work, and the work is finished when what the others sent is there; other streams go on meanwhile.
 * Sums are in the order of ranks. Messages say what they belong to, so that calls that do not match are told.
 *
 * A device works on while its host waits in MPI. Here the host does the work, so an operation is posted before the call
 * that makes it returns: what other ranks need of this one is then under way whatever the host does next.
 */
#include "emulated_checker.h"
#include "emulated_internal.h"
#include "emulated_streams.h"

#include <mpi.h>
#include <nccl.h>

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

enum nccl_kind { NCCL_SEND, NCCL_RECEIVE, NCCL_ALL_REDUCE, NCCL_BROADCAST, NCCL_ALL_GATHER };
static const char *const kind_names[] = {"ncclSend", "ncclRecv", "ncclAllReduce", "ncclBroadcast",
                                         "ncclAllGather"};

struct nccl_operation {
    nccl_kind kind;
    const void *from;
    void *to;
    size_t count;
    ncclDataType_t type;
    ncclRedOp_t reduction;
    int peer; /* or root */
    ncclComm_t comm;
    cudaStream_t stream;
    const void *site;
};

/* Before the numbers of a message. */
struct header {
    int32_t kind, type, reduction, root;
    uint64_t count;
};

struct message {
    std::vector<char> bytes; /* the header too */
    MPI_Request request;
};

/* A group under way. */
struct exchange {
    ncclComm_t comm;
    std::vector<nccl_operation> operations;
    std::vector<int> tag; /* of each */
    std::vector<std::vector<std::vector<char>>> received;
    std::vector<message> sent;
    bool posted;
};

struct ncclComm {
    MPI_Comm mpi;
    int rank, size;
    int collectives;                     /* so far, for tags */
    std::shared_ptr<emulated_mark> last; /* works of a communicator are in order */
};

enum { TAG_POINT_TO_POINT = 0, TAGS = 16384 };

static int group_depth;
static std::vector<nccl_operation> group;

static size_t type_bytes(ncclDataType_t type) {
    switch (type) {
    case ncclInt8:
    case ncclUint8:
        return 1;
    case ncclFloat16:
    case ncclBfloat16:
        return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
        return 4;
    default:
        return 8;
    }
}

static bool is_collective(const nccl_operation &o) {
    return o.kind != NCCL_SEND && o.kind != NCCL_RECEIVE;
}
static size_t bytes_of(const nccl_operation &o) {
    return o.count * type_bytes(o.type);
}
static bool sends_to(const nccl_operation &o, int rank) {
    return o.kind == NCCL_SEND        ? rank == o.peer
           : o.kind == NCCL_BROADCAST ? o.comm->rank == o.peer
                                      : o.kind != NCCL_RECEIVE;
}
static bool receives_from(const nccl_operation &o, int rank) {
    return o.kind == NCCL_RECEIVE || o.kind == NCCL_BROADCAST ? rank == o.peer : o.kind != NCCL_SEND;
}

/* ---- the work of a stream ---- */

static void post(exchange *x) {
    for (size_t k = 0; k < x->operations.size(); k++) {
        const nccl_operation &o = x->operations[k];
        const struct header header = {o.kind == NCCL_RECEIVE ? NCCL_SEND : o.kind, o.type,
                                      o.kind == NCCL_ALL_REDUCE ? (int32_t)o.reduction : 0,
                                      o.kind == NCCL_BROADCAST ? o.peer : 0, o.count};
        for (int rank = 0; rank < x->comm->size; rank++) {
            if (!sends_to(o, rank))
                continue;
            message m = {std::vector<char>(sizeof header + bytes_of(o)), MPI_REQUEST_NULL};
            memcpy(m.bytes.data(), &header, sizeof header);
            emulated_check_range(o.from, bytes_of(o), false);
            memcpy(m.bytes.data() + sizeof header, o.from, bytes_of(o));
            x->sent.push_back(std::move(m));
            message &kept = x->sent.back();
            MPI_Isend(kept.bytes.data(), (int)kept.bytes.size(), MPI_BYTE, rank, x->tag[k], x->comm->mpi,
                      &kept.request);
        }
    }
    x->posted = true;
}

static void check_header(const nccl_operation &o, int rank, const std::vector<char> &bytes) {
    struct header h;
    memcpy(&h, bytes.data(), sizeof h);
    const nccl_kind want = o.kind == NCCL_RECEIVE ? NCCL_SEND : o.kind;
    const int32_t reduction = o.kind == NCCL_ALL_REDUCE ? (int32_t)o.reduction : 0;
    const int32_t root = o.kind == NCCL_BROADCAST ? o.peer : 0;
    if (h.kind != want || h.type != (int32_t)o.type || h.count != o.count || h.reduction != reduction ||
        h.root != root)
        emulated_fail(o.site,
                      "unbalanced NCCL: %s of %zu numbers of type %d (reduction %d, root %d) on rank %d "
                      "meets %s of %zu "
                      "numbers of type %d (reduction %d, root %d) on rank %d,",
                      kind_names[o.kind], o.count, (int)o.type, reduction, root, o.comm->rank,
                      kind_names[h.kind], (size_t)h.count, h.type, h.reduction, h.root, rank);
}

/* Takes what is there; returns whether all is. In the order of operations: messages of a rank do not overtake. */
static bool receive(exchange *x) {
    bool complete = true;
    std::vector<bool> waiting((size_t)x->comm->size); /* for an earlier point to point message of a rank */
    for (size_t k = 0; k < x->operations.size(); k++) {
        const nccl_operation &o = x->operations[k];
        x->received[k].resize((size_t)x->comm->size);
        for (int rank = 0; rank < x->comm->size; rank++) {
            int there = 0, bytes;
            MPI_Message handle;
            MPI_Status status;
            if (!receives_from(o, rank) || !x->received[k][rank].empty())
                continue;
            if (is_collective(o) || !waiting[rank])
                MPI_Improbe(rank, x->tag[k], x->comm->mpi, &there, &handle, &status);
            if (!there) {
                complete = false;
                waiting[rank] = waiting[rank] || !is_collective(o);
                continue;
            }
            MPI_Get_count(&status, MPI_BYTE, &bytes);
            x->received[k][rank].resize((size_t)bytes);
            MPI_Mrecv(x->received[k][rank].data(), bytes, MPI_BYTE, &handle, MPI_STATUS_IGNORE);
            check_header(o, rank, x->received[k][rank]);
        }
    }
    return complete;
}

template <typename T>
static void reduce(const nccl_operation &o, const std::vector<std::vector<char>> &parts) {
    T *to = (T *)o.to;
    for (size_t rank = 0; rank < parts.size(); rank++) {
        const char *from = parts[rank].data() + sizeof(header);
        for (size_t i = 0; i < o.count; i++) {
            T x;
            memcpy(&x, from + i * sizeof x, sizeof x);
            to[i] = rank == 0                ? x
                    : o.reduction == ncclSum ? to[i] + x
                    : o.reduction == ncclMax ? (x > to[i] ? x : to[i])
                                             : (x < to[i] ? x : to[i]);
        }
    }
}

static void finish(const nccl_operation &o, const std::vector<std::vector<char>> &parts) {
    if (o.kind == NCCL_SEND)
        return;
    const size_t bytes = bytes_of(o);
    emulated_check_range(o.to, o.kind == NCCL_ALL_GATHER ? bytes * parts.size() : bytes, true);
    if (o.kind == NCCL_ALL_GATHER)
        for (size_t rank = 0; rank < parts.size(); rank++)
            memcpy((char *)o.to + rank * bytes, parts[rank].data() + sizeof(header), bytes);
    else if (o.kind != NCCL_ALL_REDUCE)
        memcpy(o.to, parts[(size_t)o.peer].data() + sizeof(header), bytes);
    else if (o.type == ncclFloat32)
        reduce<float>(o, parts);
    else if (o.type == ncclFloat64)
        reduce<double>(o, parts);
    else if (o.type == ncclInt32)
        reduce<int32_t>(o, parts);
    else if (o.type == ncclUint32)
        reduce<uint32_t>(o, parts);
    else if (o.type == ncclInt64)
        reduce<int64_t>(o, parts);
    else
        reduce<uint64_t>(o, parts);
}

static bool advance(exchange *x) {
    if (!x->posted)
        post(x);
    int sent = 1;
    bool complete = receive(x);
    for (message &m : x->sent) {
        int done = 0;
        MPI_Test(&m.request, &done, MPI_STATUS_IGNORE);
        sent = sent && done;
    }
    complete = complete && sent;
    if (complete)
        for (size_t k = 0; k < x->operations.size(); k++)
            finish(x->operations[k], x->received[k]);
    return complete;
}

/* ---- groups ---- */

static bool well_formed(const nccl_operation &o) {
    if (!o.comm || o.peer < 0 || o.peer >= o.comm->size)
        return false;
    if (o.kind == NCCL_ALL_REDUCE &&
        ((o.reduction != ncclSum && o.reduction != ncclMax && o.reduction != ncclMin) ||
         type_bytes(o.type) < 4))
        return false;
    const size_t bytes = bytes_of(o), out = o.kind == NCCL_ALL_GATHER ? bytes * (size_t)o.comm->size : bytes;
    if (bytes > 0 && o.kind != NCCL_RECEIVE && (o.kind != NCCL_BROADCAST || o.peer == o.comm->rank) &&
        !emulated_on_device(o.from, bytes))
        emulated_fail(o.site, "%s of %zu bytes from %p, which are not all memory of the device",
                      kind_names[o.kind], bytes, o.from);
    if (bytes > 0 && o.kind != NCCL_SEND && !emulated_on_device(o.to, out))
        emulated_fail(o.site, "%s of %zu bytes to %p, which are not all memory of the device",
                      kind_names[o.kind], out, o.to);
    return true;
}

/* Those of one communicator. */
static void submit(ncclComm_t comm, const std::vector<nccl_operation> &operations) {
    const auto x = std::make_shared<exchange>();
    x->comm = comm;
    x->operations = operations;
    x->posted = false;
    x->received.resize(operations.size());
    x->sent.reserve(operations.size() * (size_t)comm->size); /* requests point into it */
    for (const nccl_operation &o : operations) {
        if (o.stream != operations[0].stream)
            emulated_fail(o.site, "a group of NCCL on several streams: not emulated,");
        x->tag.push_back(is_collective(o) ? 1 + comm->collectives++ % TAGS : TAG_POINT_TO_POINT);
    }
    const auto reached = std::make_shared<emulated_mark>();
    emulated_submit_work(
        operations[0].stream,
        {kind_names[operations[0].kind], [x] { return advance(x.get()); }, comm->last, reached, {}, false});
    comm->last = reached;
    emulated_progress([=] { return x->posted; }, "posting an operation of NCCL");
}

static ncclResult_t flush(void) {
    std::vector<nccl_operation> all;
    all.swap(group);
    for (const nccl_operation &o : all)
        if (!well_formed(o))
            return ncclInvalidArgument;
    while (!all.empty()) {
        const ncclComm_t comm = all[0].comm;
        std::vector<nccl_operation> of_one, rest;
        for (const nccl_operation &o : all)
            (o.comm == comm ? of_one : rest).push_back(o);
        submit(comm, of_one);
        all.swap(rest);
    }
    return ncclSuccess;
}

static ncclResult_t add(const nccl_operation &o) {
    group.push_back(o);
    return group_depth > 0 ? ncclSuccess : flush();
}

extern "C" ncclResult_t ncclGroupStart(void) {
    group_depth++;
    return ncclSuccess;
}

extern "C" ncclResult_t ncclGroupEnd(void) {
    if (group_depth == 0)
        return ncclInvalidUsage;
    return --group_depth > 0 ? ncclSuccess : flush();
}

#define SITE __builtin_return_address(0)

extern "C" ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer,
                                 ncclComm_t comm, cudaStream_t stream) {
    return add({NCCL_SEND, from, NULL, count, type, ncclSum, peer, comm, stream, SITE});
}

extern "C" ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                                 cudaStream_t stream) {
    return add({NCCL_RECEIVE, NULL, to, count, type, ncclSum, peer, comm, stream, SITE});
}

extern "C" ncclResult_t ncclAllReduce(const void *from, void *to, size_t count, ncclDataType_t type,
                                      ncclRedOp_t reduction, ncclComm_t comm, cudaStream_t stream) {
    return add({NCCL_ALL_REDUCE, from, to, count, type, reduction, 0, comm, stream, SITE});
}

extern "C" ncclResult_t ncclBroadcast(const void *from, void *to, size_t count, ncclDataType_t type, int root,
                                      ncclComm_t comm, cudaStream_t stream) {
    return add({NCCL_BROADCAST, from, to, count, type, ncclSum, root, comm, stream, SITE});
}

extern "C" ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type,
                                      ncclComm_t comm, cudaStream_t stream) {
    return add({NCCL_ALL_GATHER, from, to, count, type, ncclSum, 0, comm, stream, SITE});
}

/* ---- communicators ---- */

extern "C" ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    static uint32_t made;
    const uint32_t words[3] = {(uint32_t)getpid(), (uint32_t)time(NULL), made++};
    memset(id, 0, sizeof *id);
    memcpy(id->internal, words, sizeof words);
    return ncclSuccess;
}

/* Every rank of MPI_COMM_WORLD takes part, with an id of its own group. */
extern "C" ncclResult_t ncclCommInitRank(ncclComm_t *out, int size, ncclUniqueId id, int rank) {
    int running = 0;
    MPI_Initialized(&running);
    if (!running || rank < 0 || rank >= size)
        return ncclInvalidArgument;
    uint32_t colour = 2166136261u;
    for (char c : id.internal)
        colour = (colour ^ (unsigned char)c) * 16777619u;
    ncclComm *comm = new ncclComm{MPI_COMM_NULL, rank, size, 0, NULL};
    MPI_Comm_split(MPI_COMM_WORLD, (int)(colour & 0x7fffffffu), rank, &comm->mpi);
    int got_size, got_rank;
    MPI_Comm_size(comm->mpi, &got_size);
    MPI_Comm_rank(comm->mpi, &got_rank);
    if (got_size != size || got_rank != rank)
        emulated_fail(SITE, "ncclCommInitRank: rank %d of %d, but with this id came %d (this one is %d)",
                      rank, size, got_size, got_rank);
    *out = comm;
    return ncclSuccess;
}

extern "C" ncclResult_t ncclCommInitRankConfig(ncclComm_t *out, int size, ncclUniqueId id, int rank,
                                               ncclConfig_t *) {
    return ncclCommInitRank(out, size, id, rank);
}

extern "C" ncclResult_t ncclCommFinalize(ncclComm_t comm) {
    const std::shared_ptr<emulated_mark> last = comm->last;
    if (last)
        emulated_progress([&] { return last->done; }, "the end of a communicator of NCCL");
    return ncclSuccess;
}

extern "C" ncclResult_t ncclCommDestroy(ncclComm_t comm) {
    if (!comm)
        return ncclSuccess;
    ncclCommFinalize(comm);
    MPI_Comm_free(&comm->mpi);
    delete comm;
    return ncclSuccess;
}

/* Its work is not done: nothing of it may be waited for. The communicator of MPI is kept, others may not come. */
extern "C" ncclResult_t ncclCommAbort(ncclComm_t) {
    return ncclSuccess;
}

extern "C" ncclResult_t ncclCommGetAsyncError(ncclComm_t, ncclResult_t *error) {
    *error = ncclSuccess;
    return ncclSuccess;
}

extern "C" ncclResult_t ncclCommCount(const ncclComm_t comm, int *count) {
    *count = comm->size;
    return ncclSuccess;
}

extern "C" ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank) {
    *rank = comm->rank;
    return ncclSuccess;
}

extern "C" ncclResult_t ncclGetVersion(int *version) {
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

extern "C" const char *ncclGetErrorString(ncclResult_t error) {
    return error == ncclSuccess           ? "no error"
           : error == ncclInvalidArgument ? "invalid argument"
           : error == ncclInvalidUsage    ? "invalid usage"
                                          : "another error of NCCL";
}

extern "C" const char *ncclGetLastError(ncclComm_t) {
    return "";
}
