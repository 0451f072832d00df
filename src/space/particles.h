/* The particles that a rank holds: those it owns, then read-only copies of others (ghosts). */
#ifndef EPFLOW_SPACE_PARTICLES_H
#define EPFLOW_SPACE_PARTICLES_H

#include "space/domain.h"

struct particles {
    const struct ops *ops; /* whose memory the arrays are in */
    int d;
    size_t owned, ghosts, capacity;
    uint32_t *id;                  /* (capacity) global number, 0 ... N-1 */
    uint64_t *q[MAX_DIMENSION];    /* (capacity) position: x = L q / 2^64 */
    int32_t *image[MAX_DIMENSION]; /* (capacity) unwrapped = x + L image; not kept for ghosts */
    double *g[MAX_DIMENSION];      /* (capacity) self-propulsion */
    uint32_t *chosen;              /* (capacity) numbers of some of them, for a moment */
};

/* Empty, with room for `capacity`. Not collective. */
enum status particles_create(const struct ops *ops, int d, size_t capacity, struct particles **out);
void particles_destroy(struct particles **particles);

/* Room for at least `capacity`, contents kept. */
enum status particles_reserve(struct particles *particles, size_t capacity);
/* Bytes of particles made with room for `capacity` that come to hold so many; *room: the capacity they have then. */
double particles_bytes(int d, double capacity, double held, double *room);

/* Sends every owned particle to its owner in `domain` and drops the ghosts. With cell > 0 the owned
 * particles come out in order of spatial cells of that side, so that neighbours are near in memory.
 * Collective. */
enum status particles_migrate(struct particles *particles, const struct domain *domain, struct comm *comm,
                              double cell);

/* Fails (STATUS_BAD_INPUT), naming them, where two owned particles, of copies two of the same one, are at the same
 * position: repelling particles have no force then that is defined. where: what leads the message. Collective. */
enum status particles_apart(const struct particles *particles, const struct box *box, struct comm *comm,
                            const char *where);

/* ---- tables in order of particle id, as files have them: every rank has its share of the ids (exchange.c) ---- */

/* One rank's share of the particles, host memory. */
struct slice {
    size_t n; /* particles in all */
    int d;
    size_t begin, count; /* ids begin ... begin + count - 1 */
    uint64_t *q;         /* (count, d) */
    int32_t *image;      /* (count, d) */
    double *g;           /* (count, d) */
};
enum status slice_create(size_t n, int d, const struct comm *comm, struct slice **out);
void slice_destroy(struct slice **slice);
double slice_bytes(int d, double count);

/* Particles of all ranks into slices. Collective; fails (STATUS_NUMBERS) if one is missing. */
enum status particles_to_slice(const struct particles *particles, struct comm *comm, struct slice *slice);
/* What that takes meanwhile, of as many particles as the slice has. */
double particles_to_slice_bytes(double owned);
/* Slices into owned particles, balancing `domain` first. Collective. */
enum status particles_from_slice(struct particles *particles, struct domain *domain, struct comm *comm,
                                 const struct slice *slice, double cell);

/* Rows of float64 in order of the owned particles (owned, columns), host memory, into rows in order of id of
 * this rank's slice of n ids (slice count, columns). Collective. */
enum status rows_to_slice(size_t owned, const uint32_t *id, int columns, const double *rows, size_t n,
                          struct comm *comm, double *out);
/* The inverse: rows in order of id of this rank's slice of n ids (slice count, columns), host memory, into rows in
 * order of the owned particles (owned, columns), whose ids are given. An id may be asked for by several ranks, or
 * by none. Collective; fails (STATUS_NUMBERS) if an id is not below n. */
enum status rows_from_slice(size_t n, int columns, const double *rows, size_t owned, const uint32_t *id,
                            struct comm *comm, double *out);

#endif
