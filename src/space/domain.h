/* Which rank owns which part of the box: recursive coordinate bisection of the particles.
 *
 * The ranks are halved again and again, and with them the box, by a plane across its longest side that
 * leaves each half its share of the particles. Every rank knows every cut. No result depends on ownership
 * (sums of forces are exact, noise goes by particle id), so the cuts may change at any time.
 * Copies of a small system (struct box: group) are owned whole, an equal share of them by every rank, wherever
 * their particles are: there are no cuts and no halo then.
 */
#ifndef EPFLOW_SPACE_DOMAIN_H
#define EPFLOW_SPACE_DOMAIN_H

#include "ops/ops.h"
#include "space/comm.h"

/* Bounds in "cut coordinates": q on a periodic axis, q + 2^63 in open space, so that they ascend with x. */
struct rank_box {
    uint64_t low[MAX_DIMENSION];  /* first coordinate inside */
    uint64_t last[MAX_DIMENSION]; /* last coordinate inside */
};

/* The plane between ranks m-1 and m where the tree of ranks is split at m. */
struct rank_cut {
    int axis;
    uint64_t last; /* last cut coordinate of the lower side */
};

struct domain {
    struct box box;
    int ranks, rank;
    struct rank_box *part; /* (ranks) */
    struct rank_cut *cut;  /* (ranks): cut[m], m from 1 */
};

/* Equal volumes to start with. Not collective. */
enum status domain_create(const struct box *box, const struct comm *comm, struct domain **out);
void domain_destroy(struct domain **domain);

/* Cuts the box anew so that every rank owns its share of the particles' weight, to within the particles that share a
 * coordinate. q: this rank's n particles (host), wherever they are; weight (above 0): of each of them, what it costs
 * this rank, in units that all ranks share. Collective. */
enum status domain_balance(struct domain *domain, struct comm *comm, size_t n, int64_t weight,
                           uint64_t *const q[]);

/* The rank that owns a particle: by its position q (d coordinates), or by its id where there are copies. */
int domain_owner(const struct domain *domain, uint32_t id, const uint64_t q[]);

/* What this rank owns of the box; nothing where there are copies. */
struct region domain_inside(const struct domain *domain);
/* What is farther than width from every side of that, and so from other ranks. No copies. */
struct region domain_deep_inside(const struct domain *domain, double width);

/* Rank r's share of n things: slice_begin(n, ranks, r) ... slice_begin(n, ranks, r + 1) - 1, and whose thing i is. */
static inline size_t slice_begin(size_t n, int ranks, int rank) {
    return (n / (size_t)ranks) * (size_t)rank + ((n % (size_t)ranks) * (size_t)rank) / (size_t)ranks;
}
int slice_rank(size_t n, int ranks, size_t i);

/* Shortest distance, minimum image, from a position to a rank's box (0 inside), and between the boxes of two
 * ranks. */
double domain_distance(const struct domain *domain, int rank, const uint64_t q[]);
double domain_gap(const struct domain *domain, int rank_a, int rank_b);

/* Rank boxes are disjoint and cover the box (copies: nothing to check). */
bool domain_is_valid(const struct domain *domain);

/* Conversions between integer and real positions; in open space x is centred (see struct box). */
uint64_t position_to_integer(const struct box *box, int axis, double x); /* x is wrapped into the box */
double position_to_real(const struct box *box, int axis, uint64_t q);    /* in [0, L), or centred if open */

#endif
