/* Rows of numbers on their way to the ranks that have the layers of a grid where their particles are. */
#ifndef EPFLOW_ENTROPY_LAYERS_H
#define EPFLOW_ENTROPY_LAYERS_H

#include "entropy/fields.h"

/* The layer below a coordinate x of the last axis: its centre is the last one that is not above x. Round the axis. */
size_t layer_of(const struct field_grid *grid, double x);

struct route {
    int ranks;
    size_t *send, *receive; /* (ranks) rows to and from every rank */
    size_t *row;            /* (sent) which row goes, rank after rank */
    size_t rows, sent, received;
};

/* For `rows` particles at x (rows, d): each goes to all ranks that have a layer from `before` below that of the particle
 * to `after` above it. Not collective. route_release frees what there is, also of {0}. */
enum status route_create(const struct field_grid *grid, const struct comm *comm, size_t rows, const double *x,
                         int before, int after, struct route *out);
void route_release(struct route *route);

/* values (rows, columns) that way; received, allocated here (free it with free()), has route->received rows. Collective. */
enum status route_send(struct route *route, struct comm *comm, size_t columns, const double *values,
                       void **received);
/* An answer (received) for every row that came, back to where it came from: out (rows). For routes by which every row
 * went to one rank. Collective. */
enum status route_return(const struct route *route, struct comm *comm, const double *answers, double *out);

#endif
