/* The integrator on many ranks: owned particles, halo, neighbour list, and the step.
 *
 * The trajectory is the same bits on any number of ranks: noise goes by particle id, forces are sums of
 * integers, and neither the list's skin nor the moment it is rebuilt changes a bit.
 */
#ifndef EPFLOW_DYNAMICS_SIMULATION_H
#define EPFLOW_DYNAMICS_SIMULATION_H

#include "base/memory.h"
#include "base/timer.h"
#include "dynamics/system.h"
#include "space/neighbours.h"

/* Whether lists still hold, whether to stop and whether all is well is known only from all ranks. Steps do not wait for
 * that: what is told after one is heard after the next, and meanwhile no particle is expected to go farther than
 * `bound`. Should one do so after all, the steps since the snapshot are done again, one by one. A step does wait where
 * nothing is known to expect, and where a particle may have gone so far by now that lists must be made anew. */
enum told_number {
    TOLD_DISPLACEMENT, /* since the lists were made; 0 where nobody looked */
    TOLD_MOVED,        /* in the step */
    TOLD_STOP,         /* somebody wants to */
    TOLD_BAD,          /* 0, or 1 + the id of a particle out of the range of numbers */
    TOLD_OWNED,        /* particles of the fullest rank */
    TOLD_BUSY,         /* seconds of forces and steps of the busiest rank */
    TOLD_IDLE,         /* minus those of the idlest */
    TOLD_NUMBERS
};
struct told {
    double number[TOLD_NUMBERS]; /* largest of all ranks, as heard last */
    double sent[TOLD_NUMBERS];
    bool under_way, stop;
    bool measured;         /* the displacement was looked at */
    uint64_t step, move;   /* which it was of */
    double bound, caution; /* most that a particle is expected to move in it; times what was moved before */
    bool careful;          /* the next step waits: nothing is known to expect */
};

/* Owned particles as they were when the lists were made, or some steps ago where lists last long, device. */
struct remembered {
    uint64_t *q[MAX_DIMENSION], step;
    double displacement, since_list; /* as in struct simulation */
    int32_t *image[MAX_DIMENSION];
    double *g[MAX_DIMENSION];
};

struct simulation {
    const struct ops *ops;
    struct comm *comm;
    struct system_parameters system;
    struct box box;
    struct pair_law law;
    struct step_law step_law; /* step_law.step: steps done so far */
    struct step_law fine_law; /* of steps before a frame: dt the whole of one, g's factors those of half */
    uint64_t fine_steps, refine_steps; /* of them before a frame, in place of so many steps; 0: none */
    double skin;
    struct domain *domain;
    struct particles *particles;
    struct halo *halo;
    struct pair_list list;
    struct close_pairs close; /* of the list's, those near enough to matter soon */
    double inner_skin;        /* close reaches this much beyond the cut-off */
    double displacement;      /* largest of any particle since the list was made, as far as is known */
    double since_list;        /* particles went at most this far since the list was made, all ways added up */
    double since_close;       /* particles went at most this far since it was made, as far as is known */
    uint64_t moves, close_move;       /* of the particles so far; when close was made */
    int64_t *force;                   /* (capacity, force_numbers) device, fixed point */
    int64_t *turn;                    /* (capacity, align_numbers) device, fixed point; NULL: no alignment */
    uint64_t *q_list[MAX_DIMENSION];  /* (capacity) device, positions when the list was built */
    uint64_t *q_start[MAX_DIMENSION]; /* (capacity) device, at the start of a fine step; NULL: none */
    size_t capacity;
    uint64_t builds, balances;  /* how often the list was rebuilt, the domain rebalanced */
    struct told told;           /* what ranks tell each other of every step */
    struct remembered snapshot; /* where steps can be done again from */
    uint64_t repeats;           /* how often they had to be */
    struct skin_search search;
    uint64_t balanced, balance_interval; /* step when ranks were compared last, steps to the next time */
    double busy;                         /* seconds of forces and steps by then */
    struct timings timings;
    int timer_force, timer_step, timer_messages, timer_lists;
};

/* Collective. Holds no particles until simulation_load. */
enum status simulation_create(const struct ops *ops, struct comm *comm, const struct config *config,
                              struct simulation **out);
void simulation_destroy(struct simulation **simulation);

/* Adds what a rank of `owned` particles holds from step to step; domain: its box, cut as particles that fill the box
 * evenly would have it. */
void simulation_memory(const struct config *config, const struct domain *domain, double owned,
                       struct memory_plan *plan);

/* Takes over the particles of a slice, after `step` steps. Collective. */
enum status simulation_load(struct simulation *s, const struct slice *slice, uint64_t step);

/* One step on every rank. *stop: in, this rank wants to stop; out, some rank wanted to by now, or a step ago (the same
 * on every rank). Fails (STATUS_NUMBERS) naming a particle that left the range of the numbers, its rank, the step and the
 * cause, and then holds the state before that step, which step_law.step is the number of.
 * Ghosts, and whether this step went well, are known only after simulation_settle. Collective. */
enum status simulation_step(struct simulation *s, bool *stop);

/* Ends what is under way: from here to the next step ghosts are copies of their owners' particles. Everything below does
 * it, too. Fails as simulation_step. Collective. */
enum status simulation_settle(struct simulation *s);

/* The fine steps before frame number `interval`, after which step_law.step is refine_steps more. Each is half an exact
 * step of g, an explicit midpoint step of x, half a step of g (Strang splitting): the stationary density is off by
 * O(dt^2) of the fine steps, that of Euler steps by O(dt). Noise is a function of the seed, the particle's id and the
 * number of the half step since frame 0. eps = 0. Collective. */
enum status simulation_refine(struct simulation *s, uint64_t interval);

/* Sums over all particles at the present positions, for identity (I0) and the exact totals. Collective. */
struct simulation_sums {
    double div_b;             /* sum_i div_{x_i} b_i, which is also that of F */
    double b_squared;         /* sum_i |b_i|^2 */
    double force_b;           /* sum_i F_i . b_i */
    double b_stiffness_b;     /* b . K b, K = -dF/dx of all coordinates */
    double g_b;               /* sum_i g_i . b_i */
    double stiffness_squared; /* tr K^2 */
    double alignment; /* sum_i |a_i|^2 / gamma + div_{g_i} a_i, a the drift of g; 0 without alignment */
};
enum status simulation_sums(struct simulation *s, struct simulation_sums *out);
/* What that takes meanwhile. */
double simulation_sums_bytes(int d, bool aligns, double owned, double ghosts);

#endif
