/* Messages between ranks, and a reduction over all of them: what tells how a simulation scales. */
#include <stdlib.h>

#include "commands/bench.h"

enum { SMALL = 8, LARGE = 1 << 20, NUMBERS = 7, MESSAGE_REPEATS = 9 };

struct messages {
    struct comm *comm;
    struct comm_channel *channel;
    double number[NUMBERS];
};

static enum status call_channel(void *context) {
    struct messages *m = context;
    comm_channel_begin(m->channel);
    comm_channel_end(m->channel);
    return STATUS_OK;
}

static enum status call_largest(void *context) {
    struct messages *m = context;
    comm_max_begin(m->comm, m->number, NUMBERS);
    comm_max_end(m->comm);
    return STATUS_OK;
}

/* Every even rank and the next, each way at once; of an odd number of ranks the last has nobody. */
static enum status bench_channel(struct bench *b, const char *name, size_t bytes) {
    enum status status = STATUS_OK;
    int other = comm_rank(b->comm) ^ 1;
    size_t offset[] = {0, bytes};
    const struct comm_pattern pattern = {
        .peers = other < comm_size(b->comm), .peer = &other, .send_offset = offset, .receive_offset = offset};
    struct messages m = {.comm = b->comm};
    char *buffer = calloc(2, bytes);
    if (!buffer)
        status = FAIL(STATUS_FAILURE, "out of memory for messages");
    if (status == STATUS_OK)
        status = comm_channel_create(b->comm, &pattern, buffer, buffer + bytes, &m.channel);
    TRY(comm_agree(b->comm, status));
    TRY(bench_time(b, &(struct bench_work){name, .bytes = (double)bytes}, MESSAGE_REPEATS, call_channel, &m));
out:
    comm_channel_destroy(&m.channel);
    free(buffer);
    return status;
}

enum status bench_messages(struct bench *b) {
    enum status status = STATUS_OK;
    struct messages m = {.comm = b->comm};
    TRY(bench_channel(b, "messages of 8 bytes between two ranks", SMALL));
    TRY(bench_channel(b, "messages of 1 MiB between two ranks", LARGE));
    TRY(bench_time(b, &(struct bench_work){.name = "largest of 7 numbers of all ranks"}, MESSAGE_REPEATS,
                   call_largest, &m));
out:
    return status;
}
