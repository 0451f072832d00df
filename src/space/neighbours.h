/* Neighbour lists of the particles a rank holds, built over a grid of cells. */
#ifndef EPFLOW_SPACE_NEIGHBOURS_H
#define EPFLOW_SPACE_NEIGHBOURS_H

#include "space/halo.h"

/* A grid of cells of side about `cell` over owned particles and ghosts: a new one if *out is NULL, else in the place of
 * the one there. Not collective. */
enum status cells_create(const struct particles *particles, const struct box *box, double cell,
                         struct cell_grid **out);
void cells_destroy(const struct ops *ops, struct cell_grid **grid);

/* Pairs closer than radius; the halo must be at least as wide. list is zero-initialised before its first
 * use, may be used again (it grows as needed) and is freed by pairs_release. Not collective. */
enum status pairs_build(const struct particles *particles, const struct box *box, double radius,
                        struct pair_list *list);
/* The pairs that a law is about: closer than its reach and `margin`, or the bonds of its lattice. Of bonds the
 * margin is immaterial; fails (STATUS_NUMBERS), naming a bond, where one's partner is neither owned nor in the halo.
 * Not collective. */
enum status law_pairs_build(const struct particles *particles, const struct box *box,
                            const struct pair_law *law, double margin, struct pair_list *list);
/* About as many others as are closer than radius to one of `particles` that fill the box evenly. */
double neighbours_within(const struct box *box, double particles, double radius);
/* Bytes of a list of so many directed pairs of the owned, each of two owned ones once, and of its cells. */
double pairs_bytes(double owned, double ghosts, double pairs);
double cells_bytes(double particles);
void pairs_release(const struct ops *ops, struct pair_list *list);

/* The k nearest neighbours of every owned particle among all n particles of the system, or among those of its copy,
 * of which there must be more than k. Makes a halo that
 * reaches at least `least`, and `margin` further than the farthest neighbour of any owned particle,
 * whatever the density. On return `particles` has the ghosts, *halo is theirs, and *index (owned, k), in
 * device memory, refers to local particles; free it with ops->release. Collective. */
enum status nearest_build(struct particles *particles, const struct domain *domain, struct comm *comm,
                          size_t n, int k, double least, double margin, struct halo **halo, uint32_t **index);

#endif
