#include "entropy/layers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t round_axis(const struct field_grid *g, long layer) {
    const long n = (long)g->layers, c = layer % n;
    return (size_t)(c < 0 ? c + n : c);
}

static long below(const struct field_grid *g, double x) {
    const int slow = g->box.d - 1;
    return (long)floor((x - g->origin[slow]) / g->spacing[slow] - 0.5);
}

size_t layer_of(const struct field_grid *g, double x) {
    return round_axis(g, below(g, x));
}

/* The ranks that have one of these layers, each once; last: scratch (ranks), of one mark for every call. */
static int ranks_of(const struct field_grid *g, int ranks, long first, int layers, size_t mark, size_t *last,
                    int *out) {
    int count = 0;
    for (int m = 0; m < layers && count < ranks; m++) {
        const int r = slice_rank(g->layers, ranks, round_axis(g, first + m));
        if (last[r] != mark)
            out[count++] = r;
        last[r] = mark;
    }
    return count;
}

/* Where every row goes: at[r] (ranks) advances by the rows for rank r, whose numbers go into row[at[r]] unless that is
 * NULL. last, to: scratch (ranks). */
static void visit(const struct field_grid *g, const struct route *route, const double *x, int before,
                  int after, size_t *last, int *to, size_t *at, size_t *row) {
    const size_t d = (size_t)g->box.d;
    memset(last, 0, (size_t)route->ranks * sizeof *last);
    for (size_t i = 0; i < route->rows; i++) {
        const long first = below(g, x[i * d + d - 1]) - before;
        const int count = ranks_of(g, route->ranks, first, before + after + 1, i + 1, last, to);
        for (int m = 0; m < count; m++) {
            if (row)
                row[at[to[m]]] = i;
            at[to[m]]++;
        }
    }
}

enum status route_create(const struct field_grid *g, const struct comm *comm, size_t rows, const double *x,
                         int before, int after, struct route *out) {
    const size_t ranks = (size_t)comm_size(comm);
    size_t *numbers = calloc(4 * ranks, sizeof *numbers);
    int *to = malloc(ranks * sizeof *to);
    *out = (struct route){.ranks = (int)ranks, .rows = rows, .send = numbers};
    bool good = numbers && to;
    if (good) {
        size_t *last = numbers + 2 * ranks, *at = numbers + 3 * ranks;
        out->receive = numbers + ranks;
        visit(g, out, x, before, after, last, to, out->send, NULL);
        for (size_t r = 0; r < ranks; r++) {
            at[r] = out->sent;
            out->sent += out->send[r];
        }
        good = (out->row = malloc((out->sent + 1) * sizeof *out->row)) != NULL;
        if (good)
            visit(g, out, x, before, after, last, to, at, out->row);
    }
    free(to);
    return good ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu particles of fields", rows);
}

void route_release(struct route *route) {
    free(route->send);
    free(route->row);
    *route = (struct route){0};
}

enum status route_send(struct route *route, struct comm *comm, size_t columns, const double *values,
                       void **received) {
    enum status status = STATUS_OK;
    const size_t bytes = columns * sizeof *values;
    double *packed = malloc((route->sent + 1) * bytes);
    *received = NULL;
    TRY(comm_agree(comm, packed ? STATUS_OK
                                : FAIL(STATUS_FAILURE, "out of memory for %zu rows of fields", route->sent)));
    for (size_t m = 0; m < route->sent; m++)
        memcpy(packed + m * columns, values + route->row[m] * columns, bytes);
    TRY(comm_exchange(comm, bytes, route->send, packed, route->receive, received));
    route->received = 0;
    for (int r = 0; r < route->ranks; r++)
        route->received += route->receive[r];
out:
    free(packed);
    return status;
}

enum status route_return(const struct route *route, struct comm *comm, const double *answers, double *out) {
    enum status status = STATUS_OK;
    void *back = NULL;
    size_t *count = calloc((size_t)route->ranks, sizeof *count);
    TRY(comm_agree(comm, count ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for fields")));
    TRY(comm_exchange(comm, sizeof *answers, route->receive, answers, count, &back));
    for (size_t m = 0; m < route->sent; m++)
        memcpy(&out[route->row[m]], (const char *)back + m * sizeof *out, sizeof *out);
out:
    free(count);
    free(back);
    return status;
}
