/* The seam between the algorithms and the hardware: one table of functions, each about as large as a
 * GPU kernel. ops_cpu() is always there and is the reference for every other table.
 *
 * Through the seam go sizes, pointers, scalars and the table itself (which owns the device's stream);
 * no communicator, no file, no configuration. All pointers are to memory of the table's device
 * (allocate), unless marked host. Compute functions return nothing: what goes wrong on a device is
 * reported by the next synchronise(). Nothing here is collective.
 *
 * Layouts: state of particles is one array per axis, q[a][i]; rows of networks are [row][column] with
 * an explicit distance between rows (ld...), in elements.
 */
#ifndef EPFLOW_OPS_OPS_H
#define EPFLOW_OPS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/formula.h"
#include "base/real.h"
#include "base/response.h"
#include "base/rng.h"
#include "base/status.h"
#include "ops/lattice_formula.h"

C_LINKAGE_BEGIN

/* ---- geometry -------------------------------------------------------------------------------------
 * A position is an integer q: x = L q / 2^64 on a periodic axis. In open space the box is a side that
 * nothing reaches and the origin is its middle: x = L (int64_t)q / 2^64. Wrapping is overflow, the
 * minimum image is one subtraction, in both cases. */
struct box {
    int d; /* 1, 2 or 3 */
    bool periodic;
    double side[MAX_DIMENSION];
    /* Copies: `groups` systems side by side in the same box, of `group` particles each (ids group c ... group c +
     * group - 1 are copy c), which do not meet. group 0: all particles are one system. */
    uint32_t group, groups;
};

/* A grid of cells over a region of the box: axis a has cells[a] equal cells from `low[a]`, together
 * `extent[a]` / 2^64 of the side (extent 0: the whole side, wrapping round). With group > 0 the cells are copies
 * instead, cells[0] of them from copy `first` on, and no search looks beyond its own cell. Filled by cells_sort. */
struct cell_grid {
    uint32_t group, first;
    int cells[MAX_DIMENSION]; /* 1 on unused axes */
    uint64_t low[MAX_DIMENSION];
    uint64_t extent[MAX_DIMENSION];
    uint32_t *start;                   /* (cells[0] * cells[1] * cells[2] + 1) */
    uint32_t *item;                    /* (n) particles in order of their cell, ascending within one */
    uint32_t *order;                   /* (n) where each particle is in it: item[order[i]] = i */
    uint32_t *cell;                    /* (n) the cell of each particle */
    void *scratch;                     /* (n) particles times GRID_SCRATCH bytes, of a table */
    size_t most_cells, most_particles; /* that there is room for */
};
enum { GRID_SCRATCH = (1 + MAX_DIMENSION) * 4 };

/* On every axis the coordinates from origin + least to origin + most, counted upwards and round from the origin; none
 * where most is below least. */
struct region {
    uint64_t origin[MAX_DIMENSION], least[MAX_DIMENSION], most[MAX_DIMENSION];
};

/* An array of elements of 4 or 8 bytes, among others of the same particles. */
struct moved_column {
    void *at;
    size_t bytes; /* of an element */
};
enum { MOVED_COLUMNS = 3 * MAX_DIMENSION + 1, ORDER_SCRATCH = 16 };

enum { NEAREST_MOST = 4096 }; /* most neighbours that can be asked for */

/* ---- dynamics ------------------------------------------------------------------------------------- */

/* The force between two particles over its strength k, of one of two kinds. Pair sums are fixed-point integers, so
 * that they do not depend on order: sum of the force times 2^FORCE_BITS, per axis, without k.
 *   softplus  f n,  f(r) = log(1 + exp(beta (2 - r))) / beta, exactly 0 at r >= cutoff
 *   springs   -(u_i - u_j) between lattice neighbours, u the displacement from the site, or only its part along the
 *             bond of the lattice; the list has the bonds, and a halo of width cutoff is to hold them
 * With alignment above 0 the same pairs, of a softplus law those within alignment_radius, turn each other's propulsions:
 * alignment_formula.h. */
enum pair_kind { PAIRS_SOFTPLUS, PAIRS_SPRINGS };
struct pair_law {
    double beta;
    double cutoff; /* r_c */
    enum pair_kind kind;
    bool longitudinal;
    double alignment;        /* J; 0: none */
    double alignment_radius; /* r_a */
    struct lattice lattice;  /* of a crystal; none (d = 0) for the softplus */
};
/* How far its pairs see each other: what lists and halos are to hold. */
FORMULA double pair_reach(const struct pair_law *law) {
    const bool aligns = law->alignment > 0 && law->kind == PAIRS_SOFTPLUS;
    return aligns && law->alignment_radius > law->cutoff ? law->alignment_radius : law->cutoff;
}
enum { FORCE_BITS = 48 };
/* Forces of particles follow each other: that of particle i on axis a is number force_at(d, i, a) of n force_numbers(d).
 * What is between those of d axes is a table's. */
FORMULA size_t force_numbers(int d) {
    return d == 3 ? 4 : 2;
}
FORMULA size_t force_at(int d, size_t i, int a) {
    return i * force_numbers(d) + (size_t)a;
}

/* Pairs closer than the list's radius, or the bonds of a lattice. Of two owned particles only one has the other in its list; an owned
 * particle has every ghost. */
struct pair_list {
    uint32_t *start;     /* (owned + 1) */
    uint32_t *neighbour; /* (capacity) */
    size_t capacity;
    size_t rows;            /* that start has room for */
    struct cell_grid *grid; /* of the last search, for the next */
};

/* The pairs of a list that are near at the moment, one after the other: first pairs of two owned particles, then, from
 * `across` on, others, among them all that have a ghost; (capacity) each, at least as many as the list has and twice SIMD_PAIRS more: a
 * table may fill up its last block with pairs of a particle with itself. scratch: of a table. */
enum { SIMD_PAIRS = 256 };
struct close_pairs {
    uint32_t *first, *second;
    size_t across, count, capacity;
    void *scratch; /* (n) particles times CLOSE_SCRATCH bytes */
};
enum { CLOSE_SCRATCH = 4 * 4 + 3 * 4 };
/* Which of them: forces of the first can be computed while the positions of ghosts are under way. */
enum pair_part { PAIRS_INSIDE, PAIRS_ACROSS };

/* What a token of a window sees of positions; i the window's particle, j the token's, R an anchor (a particle's
 * lattice site; 0 in a trap), u = x - R. All by minimum image. */
enum window_form {
    FORM_LOCAL,    /* x_i - x_j */
    FORM_PERIODIC, /* L/(2 pi) times sine and cosine of 2 pi (x_i - x_j)/L: continuous at half a side, where the
                      minimum image jumps and scores must not */
    FORM_LATTICE,  /* R_i - R_j, u_i - u_j */
    FORM_ANCHORED, /* R_i - R_j, u_i - u_j, u_j */
    FORM_ALL       /* u_j; the window holds all particles, and every token is decoded */
};
/* And in which units: of R_i - R_j, and of displacements u (forms LATTICE, ANCHORED, ALL), in r0. */
struct window_view {
    enum window_form form;
    double site, displacement;
};
/* Numbers a token sees. */
FORMULA int window_inputs_width(enum window_form form, int d) {
    return form == FORM_LATTICE || form == FORM_PERIODIC ? 2 * d : form == FORM_ANCHORED ? 3 * d : d;
}

/* One Euler-Maruyama step in x (with g at its start), exact in g: theory.md section 1. */
struct step_law {
    double dt;
    double v0, k;
    double trap;           /* stiffness of the trap, or of the tether to the sites of `anchor` */
    struct lattice anchor; /* d = 0: the origin */
    double g_decay;        /* exp(-gamma dt) */
    double g_kick;         /* sqrt(1 - exp(-2 gamma dt)) */
    double x_kick;         /* sqrt(2 eps dt) */
    uint64_t seed;
    uint64_t step; /* number of the step, from 0 */
};
struct step_result {     /* host */
    double displacement; /* largest distance from q_list, of any particle */
    double moved;        /* longest way that any particle went in this step */
    size_t bad;          /* particles whose force, displacement or propulsion left the allowed range */
    uint32_t bad_id;     /* one of them */
};

/* ---- graphs: what the response network reads, theory.md section 7 ---------------------------------- */

enum { MOST_SHOTS = 16, SWEEP_CHANNELS = 7, STATE_NUMBERS = 4 };

/* Its constants, by their names there. */
struct response_law {
    int d;
    double v0, k, beta, gamma;
    int shots;
    double shot[MOST_SHOTS]; /* tau */
    struct response_constants constants;
};
/* Numbers of a pair: 5 and four of each channel. */
FORMULA int edge_numbers(int channels) {
    return 5 + 4 * channels;
}

/* Directed edges j -> i between particles closer than r_e. Those of receiver i are start[i] ... start[i + 1] - 1. */
struct edges {
    size_t receivers, count;
    uint32_t *start;            /* (receivers + 1) */
    uint32_t *sender;           /* (count) j */
    uint32_t *receiver;         /* (count) i */
    real *normal;               /* (d, count) n = x_ij / r */
    real *r, *kn, *kt, *window; /* (count) r, -k f'/gamma, -k f/(r gamma), w */
    /* The edges of every sender, ascending, where edges_by_sender filled them: those of sender j are back_edge[
     * back_start[j] ... back_start[j + 1] - 1]. What senders get back from their edges is summed by them. */
    size_t senders;       /* all are below it */
    uint32_t *back_start; /* (senders + 1) */
    uint32_t *back_edge;  /* (count) */
};
/* The edges of receivers begin ... end - 1. Ops on a range work on rows of its edges, row 0 being the first of them. */
struct edge_range {
    size_t begin, end;
    size_t first, count; /* edges */
};

/* Directed contacts j -> i that sweeps replay the past of, numbered as edges; x_ij is in float64 before it is rounded. */
struct contacts {
    size_t receivers, count;
    uint32_t *start;    /* (receivers + 1) */
    uint32_t *sender;   /* (count) j */
    uint32_t *receiver; /* (count) i */
    real *x;            /* (d, count) x_i - x_j */
};
/* Numbers of a contact's stiffness, a symmetric matrix: the rows of its upper triangle. */
FORMULA int stiffness_numbers(int d) {
    return d * (d + 1) / 2;
}

/* ---- fields ---- */

/* A grid over which amounts of particles are spread. Cell c of axis a is centred at origin[a] + (c + 1/2) spacing[a],
 * x runs fastest, and every axis goes round. */
struct spread_grid {
    int d;
    int cells[MAX_DIMENSION]; /* 1 on unused axes; fewer than 2^32 in all */
    double spacing[MAX_DIMENSION], origin[MAX_DIMENSION];
    double width; /* of the Gaussian, at least half a cell; cut at three widths or SPREAD_MOST cells */
};
enum { SPREAD_MOST = 512, SPREAD_COLUMNS = 16 };

struct ops {
    const char *name; /* "cpu", "cuda" */
    int chunk;        /* rows (tokens) of a network that are best computed at once */
    double rounding;  /* relative, of the factors of matrix products; 0: that of real */
    void *context;    /* the table's own: stream, handles, scratch; NULL on the CPU */

    /* memory. allocate gives zeroed memory; release accepts NULL. Copies to and from the host are complete on return;
     * copy and zero take their turn among the ops. */
    enum status (*allocate)(const struct ops *ops, size_t bytes, void **out);
    void (*release)(const struct ops *ops, void *memory);
    void (*to_device)(const struct ops *ops, void *device, const void *host, size_t bytes);
    void (*to_host)(const struct ops *ops, void *host, const void *device, size_t bytes);
    void (*copy)(const struct ops *ops, void *to, const void *from, size_t bytes);
    void (*zero)(const struct ops *ops, void *memory, size_t bytes);
    enum status (*synchronise)(const struct ops *ops);

    /* ---- space ---- */

    /* to[i] = from[index[i]], 8-byte elements: packing of messages. */
    void (*gather8)(const struct ops *ops, size_t count, const uint32_t *index, const void *from, void *to);
    /* The same with 4-byte elements. */
    void (*gather4)(const struct ops *ops, size_t count, const uint32_t *index, const void *from, void *to);
    /* Elements index[0 ... count-1] (device) of several columns to the host, one column after the other, and back from
     * there to such places, none of them twice. Columns of 8 bytes come first. */
    void (*fetch)(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
                  const uint32_t *index, void *host);
    void (*store)(const struct ops *ops, int columns, const struct moved_column column[], size_t count,
                  const uint32_t *index, const void *host);
    /* Of n particles, on each axis (host): of the signed distances from the first of them, the least is that of low, and
     * the largest is `extent` above it. n = 0: 0. */
    void (*extents)(const struct ops *ops, int d, size_t n, uint64_t *const q[], uint64_t low[],
                    uint64_t extent[]);
    /* The lowest and the highest of n ids (host). n = 0: 0. */
    void (*id_range)(const struct ops *ops, size_t n, const uint32_t *id, uint32_t *first, uint32_t *last);
    /* Which of n particles are outside a region, ascending, into index (n). Returns how many. */
    size_t (*outside)(const struct ops *ops, int d, size_t n, uint64_t *const q[],
                      const struct region *region, uint32_t *index);
    /* order (n): particles by the cells of that side, row after row, every other row backwards, so that successive
     * cells touch, and by id in a cell; copies: by id. scratch: (n) particles times ORDER_SCRATCH bytes. */
    void (*order_in_space)(const struct ops *ops, const struct box *box, double cell, size_t n,
                           const uint32_t *id, uint64_t *const q[], uint32_t *order, void *scratch);
    /* Sorts n particles into the cells of grid (its arrays allocated by the caller). id is read where the
     * cells are copies. */
    void (*cells_sort)(const struct ops *ops, const struct box *box, size_t n, const uint32_t *id,
                       uint64_t *const q[], struct cell_grid *grid);
    /* Builds list->start and list->neighbour for pairs closer than radius, of which particles below `owned`
     * are owned, the rest up to n ghosts. Returns the length needed; if it exceeds list->capacity the list
     * is unusable: enlarge and call again. Cells may be of any size. */
    size_t (*pair_list)(const struct ops *ops, const struct box *box, struct cell_grid *grid, size_t owned,
                        size_t n, uint64_t *const q[], double radius, struct pair_list *list);
    /* The k nearest of n particles to each of `count` centres, itself left out, nearest first (ties: lower
     * index). index (count, k), UINT32_MAX where there are fewer; farthest (count): distance of the k-th,
     * infinity where there are fewer; k <= NEAREST_MOST. centre NULL: particles 0 ... count-1. */
    void (*nearest)(const struct ops *ops, const struct box *box, const struct cell_grid *grid, size_t count,
                    const uint32_t *centre, size_t n, uint64_t *const q[], int k, uint32_t *index,
                    double *farthest);

    /* ---- dynamics ---- */

    /* sum (n, force_numbers): over pairs, of the force over k in fixed point, of owned particles; of ghosts, which the n
     * include, scratch. Overwrites. id is read by springs. */
    void (*pair_force)(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                       size_t n, const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                       int64_t *sum);
    /* sum (n, align_numbers): over pairs, in fixed point (ALIGN_BITS), of the owned w (g_j - g_i) axis by axis, then w; of
     * ghosts, whose g is read, scratch. Overwrites. */
    void (*align)(const struct ops *ops, const struct box *box, const struct pair_law *law, size_t owned,
                  size_t n, uint64_t *const q[], double *const g[], const struct pair_list *list,
                  int64_t *sum);
    /* The same of a softplus law whose close pairs reach far enough, but for the sums of w, which are not filled. */
    void (*close_align)(const struct ops *ops, const struct box *box, const struct pair_law *law,
                        size_t owned, size_t n, uint64_t *const q[], double *const g[],
                        const struct pair_list *list, const struct close_pairs *close, int64_t *sum);
    /* g of the owned += amount times such sums. */
    void (*turn)(const struct ops *ops, int d, double amount, size_t owned, const int64_t *sum,
                 double *const g[]);
    /* The pairs of a softplus law's list that are closer than reach now. Fills close->first, second, across, count. */
    void (*close_pairs)(const struct ops *ops, const struct box *box, double reach, size_t owned, size_t n,
                        uint64_t *const q[], const struct pair_list *list, struct close_pairs *close);
    /* pair_force from these pairs, for as long as they hold all that are closer than the law's cut-off: the part
     * inside, which reads no ghost, then the part across. sum is complete after both; what it holds between them is
     * the table's. */
    void (*close_force)(const struct ops *ops, const struct box *box, const struct pair_law *law,
                        enum pair_part part, size_t owned, size_t n, uint64_t *const q[],
                        struct close_pairs *close, int64_t *sum);
    /* In float64, from all 64 bits of q: force[a][i] = k sum f n and divergence[i] = k sum_j [f' + (d-1) f/r]
     * (trap not included), of owned particles, and the like for springs; arrays of n entries as above. Overwrites. */
    void (*pair_terms)(const struct ops *ops, const struct box *box, const struct pair_law *law, double k,
                       size_t owned, size_t n, const uint32_t *id, uint64_t *const q[],
                       const struct pair_list *list, double *const force[], double *divergence);
    /* force -= A (x - R) and divergence -= A d (the trap, R = 0, or the tether, R the site of `anchor`; A = 0: none),
     * b[a] = v0 g + force, of n particles. */
    void (*drift)(const struct ops *ops, const struct box *box, double v0, double trap,
                  const struct lattice *anchor, size_t n, const uint32_t *id, uint64_t *const q[],
                  double *const g[], double *const force[], double *divergence, double *const b[]);
    /* sum over pairs of (b_i - b_j) . K_ij (b_i - b_j), K_ij = -k [f' n n + (f/r)(1 - n n)], k or k n n; a pair with
     * a ghost counts one half. b[a][i] over owned and ghosts. Returns the sum (host). */
    double (*pair_quadratic)(const struct ops *ops, const struct box *box, const struct pair_law *law,
                             double k, size_t owned, const uint32_t *id, uint64_t *const q[],
                             const struct pair_list *list, double *const b[]);
    /* Of the matrix K = -dF/dx of all coordinates, the sum of the squares of its elements in the rows of owned particles,
     * trap or tether included; diagonal (n, d, d): scratch. Returns the sum (host). */
    double (*stiffness_squared)(const struct ops *ops, const struct box *box, const struct pair_law *law,
                                double k, double trap, size_t owned, size_t n, const uint32_t *id,
                                uint64_t *const q[], const struct pair_list *list, double *diagonal);
    /* count[i] = particles closer than the list's radius, of owned particles; n entries as above. */
    void (*pair_count)(const struct ops *ops, size_t owned, size_t n, const struct pair_list *list,
                       uint32_t *count);
    /* Advances n particles by one step. q_list: positions when the pair list was built (NULL: the displacement since is
     * not asked for, and is 0). xi_x, xi_g (n, d) host, for tests: given noise in place of the generator's; NULL in production. */
    void (*step)(const struct ops *ops, const struct box *box, const struct step_law *law, size_t n,
                 const uint32_t *id, const int64_t *force, uint64_t *const q_list[], uint64_t *const q[],
                 int32_t *const image[], double *const g[], const double *xi_x, const double *xi_g,
                 struct step_result *result);
    /* The two parts of which split steps are made, for eps = 0. kick: g = g_decay g + g_kick xi, xi the standard normal
     * numbers of (seed, STREAM_REFINE, id, step) of the law. */
    void (*kick)(const struct ops *ops, const struct step_law *law, int d, size_t n, const uint32_t *id,
                 double *const g[]);
    /* move: to = from + dt b, b of g, of the pair force given and of the law's trap at the positions `at`; image counts
     * the crossings from `from` to `to` (NULL: not kept). The law's dt and noise are not used. to may be at or from. */
    void (*move)(const struct ops *ops, const struct box *box, const struct step_law *law, double dt,
                 size_t n, const uint32_t *id, const int64_t *force, double *const g[], uint64_t *const at[],
                 uint64_t *const from[], uint64_t *const q_list[], uint64_t *const to[],
                 int32_t *const image[], struct step_result *result);
    /* out (n, d) = standard normal numbers of (seed, stream, id, step). */
    void (*normal)(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                   const uint32_t *id, int d, double *out);
    /* The same with 1 or -1, each half of the time. */
    void (*rademacher)(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                       const uint32_t *id, int d, double *out);
    /* q_out = q + amount zeta, g_out = g + amount zeta; zeta (n, d), one axis after the other in q and g. */
    void (*shift_positions)(const struct ops *ops, const struct box *box, size_t n, double amount,
                            const double *zeta, uint64_t *const q[], uint64_t *const q_out[]);
    void (*shift_propulsion)(const struct ops *ops, int d, size_t n, double amount, const double *zeta,
                             double *const g[], double *const g_out[]);

    /* ---- windows: what a network reads ---- */

    /* out (count, k + 1, d): x_i - x_j by minimum image, formed from all 64 bits; row 0 is 0. */
    void (*window_offsets)(const struct ops *ops, const struct box *box, size_t count, int k,
                           const uint32_t *centre, const uint32_t *neighbour, uint64_t *const q[], real *out);
    /* out (count, k + 1, window_inputs_width) of any form but FORM_LOCAL; id (particles). */
    void (*window_inputs)(const struct ops *ops, const struct box *box, const struct window_view *view,
                          size_t count, int k, const uint32_t *centre, const uint32_t *neighbour,
                          uint64_t *const q[], const struct lattice *anchor, const uint32_t *id, real *out);
    /* Their tangents (of any form) where the decoded particles (1, or all tokens in FORM_ALL) move by seed (sets,
     * count, decoded, d): out (sets, count, tokens, window_inputs_width). inputs: what window_inputs gave. */
    void (*window_inputs_tangent)(const struct ops *ops, const struct box *box,
                                  const struct window_view *view, size_t sets, size_t count, int tokens,
                                  int decoded, const real *inputs, const real *seed, real *out);
    /* to (count, k) = rows index[] of from (..., k): the neighbours of chosen particles. */
    void (*gather_neighbours)(const struct ops *ops, size_t count, int k, const uint32_t *index,
                              const uint32_t *from, uint32_t *to);
    /* to[i] = from[i], rounded to real. */
    void (*narrow)(const struct ops *ops, size_t count, const double *from, real *to);
    /* out (count, d) = g of particles index[]. */
    void (*propulsion_rows)(const struct ops *ops, int d, size_t count, const uint32_t *index,
                            double *const g[], real *out);
    /* to[i][:] = from[index[i]][:] and its transpose, to[index[i]][:] += from[i][:] (in order of i). */
    void (*gather_rows)(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                        const real *from, size_t ld_from, real *to, size_t ld_to);
    void (*scatter_rows)(const struct ops *ops, size_t count, int columns, const uint32_t *index,
                         const real *from, size_t ld_from, real *to, size_t ld_to);

    /* ---- networks: each primitive with forward, tangent, backward ---- */

    /* y = x w + b; b NULL: no bias (which is also the tangent). x (rows, in), w (in, out), y (rows, out). */
    void (*linear)(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                   const real *w, const real *b, real *y, size_t ldy);
    /* The same product in `parts` parts of in: sums (parts, rows, out), the first b + x_0 w_0, the next that + x_1 w_1, and
     * so on. The last has the bits of linear's y. */
    void (*linear_parts)(const struct ops *ops, size_t rows, int parts, int in, int out, const real *x,
                         size_t ldx, const real *w, const real *b, real *sums);
    /* y[i] = start[index[i]] + x[i] w, rows of start `ld_start` numbers apart; index NULL: start[i], which may be y. */
    void (*linear_onto)(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                        const real *w, const uint32_t *index, const real *start, size_t ld_start, real *y,
                        size_t ldy);
    /* dw += x^T dy, db += column sums of dy (NULL: none), dx = dy w^T (NULL: not needed), or dx += if add. */
    void (*linear_backward)(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                            const real *w, const real *dy, size_t ldy, real *dw, real *db, real *dx,
                            size_t lddx, bool add);
    /* sum += column sums of x (rows, columns). */
    void (*column_sums)(const struct ops *ops, size_t rows, int columns, const real *x, size_t ldx,
                        real *sum);
    /* GELU, tanh form, over contiguous elements. y may be x only where x is not needed again. */
    void (*gelu)(const struct ops *ops, size_t count, const real *x, real *y);
    void (*gelu_tangent)(const struct ops *ops, size_t count, const real *x, const real *dx, real *dy);
    void (*gelu_backward)(const struct ops *ops, size_t count, const real *x, const real *dy, real *dx);
    /* Both, for rows of pre and post that are next to each other: pre = x w + b, post = GELU of it (rows, out). And from the
     * gradient dy (rows, out) of post w to that of pre (rows, in), which is overwritten; dw += , db += (NULL: none). */
    void (*linear_gelu)(const struct ops *ops, size_t rows, int in, int out, const real *x, size_t ldx,
                        const real *w, const real *b, real *pre, real *post);
    void (*gelu_linear_backward)(const struct ops *ops, size_t rows, int in, int out, const real *pre,
                                 const real *post, const real *w, const real *dy, size_t ldy, real *dw,
                                 real *db, real *dpre);
    /* Of `sets` tangents at once, in place: d (sets, count). */
    void (*gelu_tangents)(const struct ops *ops, size_t sets, size_t count, const real *x, real *d);
    /* Layer norm of the sum of two arrays: y = scale * n + offset, n = (u - mean) / root, u = a + b,
     * root = sqrt(var + 1e-5). Keeps n (rows, columns) and 1/root (rows) for tangent and backward. */
    void (*norm)(const struct ops *ops, size_t rows, int columns, const real *a, size_t lda, const real *b,
                 size_t ldb, const real *scale, const real *offset, real *n, real *inverse_root, real *y,
                 size_t ldy);
    /* Of `sets` tangents of u = a + b at once: dy (sets, rows, columns). Row r of set s of da is at
     * da + (s rows + r) ldda, of db likewise; db NULL: b does not move. n and inverse_root are those of the rows. */
    void (*norm_tangent)(const struct ops *ops, size_t sets, size_t rows, int columns, const real *da,
                         size_t ldda, const real *db, size_t lddb, const real *scale, const real *n,
                         const real *inverse_root, real *dy);
    /* du from dy, dscale += , doffset += . */
    void (*norm_backward)(const struct ops *ops, size_t rows, int columns, const real *scale, const real *n,
                          const real *inverse_root, const real *dy, size_t lddy, real *dscale, real *doffset,
                          real *du, size_t lddu);
    /* Softmax attention inside each of `windows` windows of `tokens` tokens, of which the first `queries`
     * ask. q and out (windows, queries, width), k and v (windows, tokens, width), p (windows, heads, queries,
     * tokens) the probabilities. Logits are divided by sqrt(width / heads). */
    void (*attention)(const struct ops *ops, size_t windows, int queries, int tokens, int heads, int width,
                      const real *q, const real *k, const real *v, real *p, real *out);
    /* Of `sets` tangents at once: dq (sets, windows, queries, width), and so on. */
    void (*attention_tangents)(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                               int heads, int width, const real *q, const real *k, const real *v,
                               const real *p, const real *dq, const real *dk, const real *dv, real *dout);
    void (*attention_backward)(const struct ops *ops, size_t windows, int queries, int tokens, int heads,
                               int width, const real *q, const real *k, const real *v, const real *p,
                               const real *dout, real *dq, real *dk, real *dv);

    /* Gradients through a primitive and `sets` tangents of it at once: t... are tangents, d... gradients of the
     * loss, dt... those with respect to tangents. They overwrite, weights' gradients are added to.
     * x (count), tx (sets, count). dx may be dy, dtx may be dty. */
    void (*gelu_tangent_backward)(const struct ops *ops, size_t sets, size_t count, const real *x,
                                  const real *tx, const real *dy, const real *dty, real *dx, real *dtx);
    /* norm_tangent that keeps the tangent of the sum: tu (sets, rows, columns) holds that of b and receives that
     * of a + b. */
    void (*norm_tangent_kept)(const struct ops *ops, size_t sets, size_t rows, int columns, const real *ta,
                              size_t ldta, real *tu, const real *scale, const real *n,
                              const real *inverse_root, real *ty);
    /* dty, dtu (sets, rows, columns). */
    void (*norm_tangent_backward)(const struct ops *ops, size_t sets, size_t rows, int columns,
                                  const real *scale, const real *n, const real *inverse_root, const real *tu,
                                  const real *dy, size_t lddy, const real *dty, real *dscale, real *doffset,
                                  real *du, size_t lddu, real *dtu);
    /* Tangents and their gradients have `sets` of the shapes of attention, one after the other. */
    void (*attention_tangent_backward)(const struct ops *ops, size_t sets, size_t windows, int queries,
                                       int tokens, int heads, int width, const real *q, const real *k,
                                       const real *v, const real *p, const real *tq, const real *tk,
                                       const real *tv, const real *dout, const real *dtout, real *dq,
                                       real *dk, real *dv, real *dtq, real *dtk, real *dtv);
    /* y[r] += factor x[r ldx], of `rows` rows. */
    void (*add_column)(const struct ops *ops, size_t rows, double factor, const real *x, size_t ldx, real *y);

    /* to = from, or += if add, row by row. */
    void (*spread_rows)(const struct ops *ops, size_t rows, int columns, const real *from, size_t ld_from,
                        real *to, size_t ld_to, bool add);
    /* out (rows) = direction . tangent, row by row, both (rows, columns); and its gradient with respect to the
     * tangent. */
    void (*probe)(const struct ops *ops, size_t rows, int columns, const real *direction, const real *tangent,
                  real *out);
    void (*probe_backward)(const struct ops *ops, size_t rows, int columns, const real *direction,
                           const real *dproduct, real *dtangent);
    /* Tangents where token 0 alone moves, `sets` at once; dq, dk (sets, windows, width) are those of its query and key.
     * By its query, its own output moves: dout (sets, windows, width). By its key and value, those of all queries do: of
     * u = b + sum over heads of out_h W_h, W_h the rows of the output matrix that belong to head h, it gives the tangents
     *     du_j = sum_h [slope_jh (v_0h W_h - out_jh W_h) + p_j0h dv_0h W_h],  slope_jh = p_j0h q_jh . dk_h / root,
     * (sets, windows, queries, width), from value (windows, heads, width) = v_0h W_h, dvalue (sets, windows, heads, width)
     * = dv_0h W_h and sums (heads, windows, queries, width) = b + out_0 W_0 + ... + out_h W_h. */
    void (*attention_tangent_query)(const struct ops *ops, size_t sets, size_t windows, int queries,
                                    int tokens, int heads, int width, const real *k, const real *v,
                                    const real *p, const real *dq, real *dout);
    void (*attention_tangent_key)(const struct ops *ops, size_t sets, size_t windows, int queries, int tokens,
                                  int heads, int width, const real *q, const real *p, const real *sums,
                                  const real *b, const real *value, const real *dk, const real *dvalue,
                                  real *du);
    /* Where token 0 alone asks, keys and values need not be formed: with the query carried back through the keys'
     * weights, r_h = W_k,h q_h, a logit is r_h . t_j (the keys' bias adds the same to all), and the output is z_h =
     * sum_j p_j t_j carried on through the values' weights. turn_back and carry_on are these products of every head
     * h with its columns of w (width, width): y (rows, heads, width) = factor x_h w_h^T of x (rows, width), and y
     * (rows, width) = factor x_h w_h + b of x (rows, heads, width), b NULL: none. head_weights is the gradient of
     * both: dw_h += factor x_h^T y_h, x (rows, heads, width), y (rows, width). */
    void (*turn_back)(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                      const real *w, real *y);
    void (*carry_on)(const struct ops *ops, size_t rows, int heads, int width, double factor, const real *x,
                     const real *w, const real *b, real *y);
    void (*head_weights)(const struct ops *ops, size_t rows, int heads, int width, double factor,
                         const real *x, const real *y, real *dw);
    /* t (windows, tokens, width), r (windows, heads, width) -> p (windows, heads, tokens), z (windows, heads,
     * width). */
    void (*pool)(const struct ops *ops, size_t windows, int tokens, int heads, int width, const real *t,
                 const real *r, real *p, real *z);
    /* Of `sets` tangents dt (sets, windows, tokens, width): dz (sets, windows, heads, width); dr likewise. */
    void (*pool_tangent)(const struct ops *ops, size_t sets, size_t windows, int tokens, int heads, int width,
                         const real *t, const real *p, const real *r, const real *dt, const real *dr,
                         real *dz);
    /* dr = , dt += */
    void (*pool_backward)(const struct ops *ops, size_t windows, int tokens, int heads, int width,
                          const real *t, const real *p, const real *r, const real *dz, real *dr, real *dt);
    /* out[i] = sum over a of tangent[a][i][a], tangent (d, count, d): a divergence from its d tangents. */
    void (*trace)(const struct ops *ops, size_t count, int d, const real *tangent, real *out);

    /* ---- the response network ----
     * Vectors of a particle are (d, channels), channels next to each other. `..._tangent` gives derivatives along a
     * direction in which propulsions move and positions do not; `..._backward` adds to gradients unless it says =. */

    /* All others closer than radius to each of particles 0 ... receivers-1 among n, in a fixed order: as pair_list,
     * but directed. With list->capacity 0 it counts. */
    size_t (*edge_list)(const struct ops *ops, const struct box *box, const struct cell_grid *grid,
                        size_t receivers, size_t n, uint64_t *const q[], double radius,
                        struct pair_list *list);
    /* Fills normal, r, kn, kt, window and receiver, formed in float64 from all 64 bits, and of every receiver
     * stiffness = (1/d) sum_j [kn + (d-1) kt] and kappa = max(1, 1 + stiffness). */
    void (*edge_terms)(const struct ops *ops, const struct box *box, const struct response_law *law,
                       uint64_t *const q[], struct edges *edges, real *stiffness, real *kappa);
    /* Fills back_start and back_edge, allocated by the caller, from `senders` and sender. NULL in tables whose backward
     * ops do without them, such as the CPU's, which goes through the edges in their order. */
    void (*edges_by_sender)(const struct ops *ops, struct edges *edges);
    /* u (n, d) = g + push, push = F/v0, formed in float64. */
    void (*velocity_rows)(const struct ops *ops, int d, size_t n, double *const g[], double *const push[],
                          real *u);
    /* Of all receivers: q (receivers, d), and the channels u, Q_tau in the first 1 + shots of `channels` columns of v
     * (receivers, d, channels). u has all senders' rows. */
    void (*response_sources)(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                             const real *kappa, const real *u, real *q, int channels, real *v);
    void (*response_sources_tangent)(const struct ops *ops, const struct response_law *law,
                                     const struct edges *edges, const real *kappa, const real *u,
                                     const real *du, real *dq, int channels, real *dv);
    /* Sweeps: x and receiver of contacts, from positions. */
    void (*contact_vectors)(const struct ops *ops, const struct box *box, uint64_t *const q[],
                            struct contacts *contacts);
    /* stiff (d (d + 1)/2, count) = (kn - kt) n n^T + kt 1, kn = -k f'(r), kt = -k f(r)/r, at x_ij - (D_i - D_j); shift
     * D (particles, d). As in shots, r^2 is |x|^2 + shot_guard and n = x/r. */
    void (*contact_stiffness)(const struct ops *ops, const struct response_law *law,
                              const struct contacts *contacts, const real *shift, real *stiff);
    void (*contact_stiffness_tangent)(const struct ops *ops, const struct response_law *law,
                                      const struct contacts *contacts, const real *shift, const real *dshift,
                                      real *dstiff);
    /* out = base + factor (source - K x) of all receivers, (K x)_i = sum_j stiff_ij (x_i - x_j); x (particles, d); base
     * and source NULL: 0. out may be base, not x. */
    void (*contact_step)(const struct ops *ops, int d, const struct contacts *contacts, double factor,
                         const real *stiff, const real *x, const real *base, const real *source, real *out);
    void (*contact_step_tangent)(const struct ops *ops, int d, const struct contacts *contacts, double factor,
                                 const real *stiff, const real *x, const real *dstiff, const real *dx,
                                 const real *dbase, const real *dsource, real *dout);
    /* x (n, 4): log(kappa)/kappa_scale - kappa_shift, lg(|q|^2), lg(kappa |u|^2)/speed_scale - speed_shift,
     * phi/density_shift - 1. */
    void (*response_state)(const struct ops *ops, const struct response_law *law, size_t n, const real *kappa,
                           const real *phi, const real *q, const real *u, real *x);
    void (*response_state_tangent)(const struct ops *ops, const struct response_law *law, size_t n,
                                   const real *kappa, const real *q, const real *u, const real *dq,
                                   const real *du, real *dx);
    /* f (range.count, edge_numbers(channels)): what a pair is seen by; v (senders, d, channels). */
    void (*edge_features)(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                          struct edge_range range, const real *kappa, int channels, const real *v, real *f);
    void (*edge_features_tangent)(const struct ops *ops, const struct response_law *law,
                                  const struct edges *edges, struct edge_range range, const real *kappa,
                                  int channels, const real *v, const real *dv, real *df);
    /* Gradient of the channels from `from` on; those before do not depend on weights. */
    void (*edge_features_backward)(const struct ops *ops, const struct response_law *law,
                                   const struct edges *edges, struct edge_range range, const real *kappa,
                                   int channels, int from, const real *v, const real *df, real *dv);
    /* a (range.count, width) += p_i[:width] + p_j[width:] with p (senders, 2 width), e = silu(a). */
    void (*edge_hidden)(const struct ops *ops, const struct edges *edges, struct edge_range range, int width,
                        const real *p, real *a, real *e);
    /* de = silu'(a) (de + dp_i + dp_j). */
    void (*edge_hidden_tangent)(const struct ops *ops, const struct edges *edges, struct edge_range range,
                                int width, const real *a, const real *dp, real *de);
    /* de = silu'(a) de, and that to dp. */
    void (*edge_hidden_backward)(const struct ops *ops, const struct edges *edges, struct edge_range range,
                                 int width, const real *a, real *de, real *dp);
    /* Sums over the edges of the range's receivers: m (receivers, ldm) = message_factor sum_j w m_ij and the new vectors v
     * (receivers, d, channels) from y (range.count, hidden + 3 channels) = m, alpha, beta, delta of the pairs and the
     * mixed vectors mixed (senders, d, channels). */
    void (*edge_messages)(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                          struct edge_range range, const real *kappa, int hidden, int channels, const real *y,
                          const real *mixed, real *m, size_t ldm, real *v);
    void (*edge_messages_tangent)(const struct ops *ops, const struct response_law *law,
                                  const struct edges *edges, struct edge_range range, const real *kappa,
                                  int hidden, int channels, const real *y, const real *mixed, const real *dy,
                                  const real *dmixed, real *dm, size_t lddm, real *dv);
    /* dy =, dmixed += */
    void (*edge_messages_backward)(const struct ops *ops, const struct response_law *law,
                                   const struct edges *edges, struct edge_range range, const real *kappa,
                                   int hidden, int channels, const real *y, const real *mixed, const real *dm,
                                   size_t lddm, const real *dv, real *dy, real *dmixed);
    /* x (n, ldx): log(z_c + guard) of the new vectors v (n, d, channels), then p_c. */
    void (*vector_features)(const struct ops *ops, const struct response_law *law, size_t n, int channels,
                            const real *kappa, const real *q, const real *v, real *x, size_t ldx);
    void (*vector_features_tangent)(const struct ops *ops, const struct response_law *law, size_t n,
                                    int channels, const real *kappa, const real *q, const real *v,
                                    const real *dq, const real *dv, real *dx, size_t lddx);
    void (*vector_features_backward)(const struct ops *ops, const struct response_law *law, size_t n,
                                     int channels, const real *kappa, const real *q, const real *v,
                                     const real *dx, size_t lddx, real *dv);
    /* out_c = v_c + sum_c' turn_c'c v_c', turn (n, channels channels); row a of particle i of out is at
     * out + (i d + a) ldo. */
    void (*turn_vectors)(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                         const real *v, real *out, size_t ldo);
    void (*turn_vectors_tangent)(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                                 const real *v, const real *dturn, const real *dv, real *dout, size_t lddo);
    /* dturn =, dv = */
    void (*turn_vectors_backward)(const struct ops *ops, size_t n, int d, int channels, const real *turn,
                                  const real *v, const real *dout, size_t lddo, real *dturn, real *dv);
    /* to (n, d, ...) = root of kappa times columns of from. */
    void (*whiten)(const struct ops *ops, size_t n, int d, int channels, const real *kappa, const real *from,
                   size_t ld_from, real *to, size_t ld_to, bool add);
    /* s (n, d) from the whitened vectors z (n, d, vectors), of which the first is q, and o (n, vectors + 2). */
    void (*response_score)(const struct ops *ops, const struct response_law *law, size_t n, int vectors,
                           const real *kappa, const real *z, const real *o, double *const g[],
                           double *const push[], real *s);
    void (*response_score_tangent)(const struct ops *ops, const struct response_law *law, size_t n,
                                   int vectors, const real *kappa, const real *z, const real *o,
                                   double *const g[], double *const push[], const real *dz, const real *dout,
                                   const real *dg, real *ds);
    /* dz =, dout = */
    void (*response_score_backward)(const struct ops *ops, const struct response_law *law, size_t n,
                                    int vectors, const real *kappa, const real *z, const real *o,
                                    double *const g[], double *const push[], const real *ds, real *dz,
                                    real *dout);
    /* silu over contiguous elements; dy in place. */
    void (*silu)(const struct ops *ops, size_t count, const real *x, real *y);
    void (*silu_slope)(const struct ops *ops, size_t count, const real *x, real *dy);

    /* ---- fields ---- */

    /* sum (cells, columns) += amount (n, columns) of n particles, each times its Gaussian at the centres of cells around
     * position (n, d). Their sum times a cell's volume is 1: the product of weights on each axis, which add up to
     * 1/spacing. At most SPREAD_COLUMNS columns. Without memory for it: STATUS_FAILURE, and nothing is added. */
    enum status (*spread)(const struct ops *ops, const struct spread_grid *grid, size_t n, int columns,
                          const double *position, const double *amount, double *sum);

    /* ---- loss and optimizer ---- */

    /* Antithetic denoising, one sign: term[i] += weight/2 [|s|^2 + sign 2 s.zeta/sigma] (float64), and
     * ds = scale * weight * (s + sign zeta/sigma); s, zeta, ds (count, d); scale = 1/batch; weight (count) of each
     * particle, NULL: 1. */
    void (*denoising)(const struct ops *ops, size_t count, int d, const real *s, const real *zeta,
                      const real *weight, double sign, double sigma, double scale, double *term, real *ds);
    /* Sum of squares in float64 (host). */
    double (*sum_squares)(const struct ops *ops, size_t count, const real *x);
    /* One step t (from 1) of RAdam, or, if not to rectify, of Adam, on count weights, gradient scaled by `scale`
     * first (clipping), then the moving average: theory.md section 4. b2: decay of nu. */
    void (*radam)(const struct ops *ops, size_t count, int64_t t, bool rectify, double b2, double rate,
                  double scale, double decay, const real *gradient, real *mu, real *nu, real *theta,
                  real *average);
};

/* Memory of so many bytes, zeroed, in place of that at *array, a pointer of any kind: what was there is gone. */
static inline enum status ops_replace(const struct ops *ops, size_t bytes, void *array) {
    void **at = (void **)array;
    ops->release(ops, *at);
    *at = NULL;
    return ops->allocate(ops, bytes, at);
}

/* The table of this machine's processor; static, always there. */
const struct ops *ops_cpu(void);
/* Which loops it has: the best for the processor (until told otherwise AVX2, which the program is built for), or others
 * to compare with. Those that move and couple particles all give the same bits. Those of networks sum in another order
 * for AVX-512 than for AVX2, and take AVX2 for plain, too. Returns what was chosen in words, NULL where the processor
 * does not have it. Changes the table of ops_cpu() where it is: for all ranks of this process. */
enum simd_choice { SIMD_AUTO, SIMD_PLAIN, SIMD_AVX2, SIMD_AVX512 };
const char *ops_cpu_choose(enum simd_choice choice);

C_LINKAGE_END

#endif
