/* What ranks say to each other: bytes and numbers of messages, by MPI's profiling interface. Built as a shared library and
 * loaded before the program (LD_PRELOAD); every rank writes NAME.RANK, NAME being the environment's EPFLOW_MESSAGES, with
 *
 *     bytes and number of messages sent to single ranks, bytes and number of collective calls
 *
 * The bytes of a collective call are those that this rank hands in. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 1024 };
static MPI_Request persistent[MOST]; /* sends that are started again and again, and their bytes */
static double size_of[MOST];
static int known;
static double bytes, messages, collective_bytes, collectives;

static double size_in_bytes(int count, MPI_Datatype type) {
    int size = 0;
    PMPI_Type_size(type, &size);
    return (double)count * size;
}

static void collective(double size) {
    collective_bytes += size;
    collectives++;
}

int MPI_Send_init(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                  MPI_Request *request) {
    const int code = PMPI_Send_init(data, count, type, to, tag, comm, request);
    if (known == MOST) {
        fputs("count_messages: too many persistent requests\n", stderr);
        abort();
    }
    persistent[known] = *request;
    size_of[known++] = size_in_bytes(count, type);
    return code;
}

int MPI_Startall(int count, MPI_Request *requests) {
    for (int r = 0; r < count; r++)
        for (int k = 0; k < known; k++)
            if (persistent[k] == requests[r]) {
                bytes += size_of[k];
                messages++;
            }
    return PMPI_Startall(count, requests);
}

int MPI_Request_free(MPI_Request *request) {
    for (int k = 0; k < known; k++)
        if (persistent[k] == *request) {
            persistent[k] = persistent[--known];
            size_of[k] = size_of[known];
            break;
        }
    return PMPI_Request_free(request);
}

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request) {
    bytes += size_in_bytes(count, type);
    messages++;
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}

int MPI_Allreduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
    collective(size_in_bytes(count, type));
    return PMPI_Allreduce(in, out, count, type, op, comm);
}

int MPI_Iallreduce(const void *in, void *out, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm,
                   MPI_Request *request) {
    collective(size_in_bytes(count, type));
    return PMPI_Iallreduce(in, out, count, type, op, comm, request);
}

int MPI_Alltoallv(const void *in, const int *counts, const int *from, MPI_Datatype type, void *out,
                  const int *received, const int *to, MPI_Datatype type_out, MPI_Comm comm) {
    int ranks = 0;
    double size = 0;
    PMPI_Comm_size(comm, &ranks);
    for (int r = 0; r < ranks; r++)
        size += size_in_bytes(counts[r], type);
    collective(size);
    return PMPI_Alltoallv(in, counts, from, type, out, received, to, type_out, comm);
}

int MPI_Finalize(void) {
    const char *name = getenv("EPFLOW_MESSAGES");
    int rank = 0;
    char path[4096];
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    snprintf(path, sizeof path, "%s.%d", name ? name : "messages", rank);
    FILE *file = fopen(path, "w");
    if (file) {
        fprintf(file, "%.0f %.0f %.0f %.0f\n", bytes, messages, collective_bytes, collectives);
        fclose(file);
    }
    return PMPI_Finalize();
}
