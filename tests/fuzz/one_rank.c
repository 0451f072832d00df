/* The messages of a single rank, in the place of space/comm.c: MPI has no part in what is fuzzed, and is slow to start. */

#include <stdlib.h>

#include "learn/graph.h"
#include "space/comm.h"

struct comm {
    void *handle; /* as large as an MPI_Comm */
};

enum status comm_start(int *argc, char ***argv, struct comm **out) {
    static struct comm only;
    (void)argc;
    (void)argv;
    *out = &only;
    return STATUS_OK;
}

int comm_rank(const struct comm *comm) {
    (void)comm;
    return 0;
}

int comm_size(const struct comm *comm) {
    (void)comm;
    return 1;
}

const void *comm_handle(const struct comm *comm) {
    return comm;
}

const char *comm_library(void) {
    return "none";
}

int comm_place(const char *text, int number) {
    (void)text;
    return number;
}

/* As comm.c has it: what was recorded and not returned is told here, and known to all then. */
enum status comm_agree_at(struct comm *comm, enum status status, int place) {
    struct status_note note;
    (void)comm;
    (void)place;
    if (status == STATUS_OK)
        status = status_own();
    if (status != STATUS_OK) {
        status_hold(&note);
        note.own = STATUS_OK;
        status_put_back(&note);
    }
    return status;
}

void comm_meet(struct comm *comm) {
    (void)comm;
}

void comm_end(struct comm *comm, enum status status) {
    (void)comm;
    (void)status;
    abort();
}

void comm_barrier(struct comm *comm) {
    (void)comm;
}

void comm_broadcast(struct comm *comm, void *data, size_t bytes) {
    (void)comm;
    (void)data;
    (void)bytes;
}

void comm_max(struct comm *comm, double *values, int count) {
    (void)comm;
    (void)values;
    (void)count;
}

void comm_sum(struct comm *comm, double *values, size_t count) {
    (void)comm;
    (void)values;
    (void)count;
}

void comm_sum_integer(struct comm *comm, int64_t *values, int count) {
    (void)comm;
    (void)values;
    (void)count;
}

/* What `info` says of a model beside what is in its file: geometry, which would bring the networks along. */
double graph_reach(const struct response_parameters *p, const struct system_parameters *s) {
    (void)s;
    return p->edge_radius;
}
