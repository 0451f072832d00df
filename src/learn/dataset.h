/* Frames of trajectories, each spread over the ranks as a network reads it: owned particles, halo, nearest
 * neighbours. Training keeps its frames, evaluation takes one after the other. */
#ifndef EPFLOW_LEARN_DATASET_H
#define EPFLOW_LEARN_DATASET_H

#include "base/config.h"
#include "base/memory.h"
#include "learn/scores.h"
#include "space/neighbours.h"

/* The force of a frame's dynamics, as its owner computes it: F (owned, d) and div_x F (owned), host, of the owned
 * particles of p, whose halo reaches the cut-off. Not collective. */
typedef enum status force_function(const void *context, const struct particles *p, const struct box *box,
                                   double *force, double *divergence);
struct force_law {
    force_function *compute; /* NULL: the dynamics are unknown, or forces are not needed */
    const void *context;
    force_function *restoring; /* likewise G and div_g G, minus the drift of g over gamma; NULL: g and d */
};

struct frame {
    const struct ops *ops;
    struct domain *domain;
    struct particles *particles; /* owned and ghosts */
    struct halo *halo;
    uint32_t *nearest; /* (owned, k) device */
    size_t n;          /* particles of the whole system */
    const char *
        path; /* of the file that it is from, which its owner keeps, and its number there: for messages; or NULL */
    size_t number;
    int k;
    uint32_t *sorted_id;    /* (owned) host: ids ascending, to find particles by id */
    uint32_t *sorted_local; /* (owned) host: their local numbers */
    double exact; /* exact entropy production rate of the frame, all particles: (I3), (I4); NaN if unknown */
    struct lattice lattice; /* of a crystal; d = 0: none */
    double
        *push[MAX_DIMENSION]; /* (owned + ghosts) device: F/v0, for networks that see velocities; or NULL */
    double *divergence;       /* (owned) host: div_x F of the particles, or NULL */
    struct graph *graph;      /* for models that read graphs; else NULL */
    bool by_site;             /* neighbours are nearest by lattice sites, whatever moves */
    double *
        rate; /* (owned, 2 d) host: d(x, g)/dt across a pair of frames, of which this is the midpoint, or NULL */
};

/* Hands the particles of a slice to their owners and finds the k nearest neighbours of each, by distance or, with
 * by_site, by that of their sites in the lattice; the halo reaches at least `least` and `margin` beyond the farthest
 * neighbour. With k = 0 no neighbours are found and the halo reaches least + margin. lattice: of a crystal, or NULL.
 * Collective. */
enum status frame_create(const struct ops *ops, struct comm *comm, const struct box *box,
                         const struct slice *slice, const struct lattice *lattice, bool by_site, int k,
                         double least, double margin, struct frame **out);
void frame_destroy(struct frame **frame);
/* Its file's, for messages. */
static inline const char *frame_path(const struct frame *frame) {
    return frame->path ? frame->path : "the data";
}

/* Adds what a frame of `owned` particles holds, whose halo reaches `width`: of k neighbours, with a graph where p is not
 * NULL, which needs its own reach; particles: of all ranks. *ghosts: of the frame. sizes: of the graph. */
void frame_memory(const struct domain *domain, double particles, double owned, int k, double width,
                  const struct response_parameters *p, const struct system_parameters *s, double *ghosts,
                  struct graph *sizes, struct memory_plan *plan);

/* Sets frame->push: the force of the owned particles, whose halo reaches the cut-off, over v0; ghosts get their owners'.
 * Collective. */
enum status frame_push(struct frame *frame, struct comm *comm, const struct force_law *law, double v0);

/* Sets frame->divergence; the halo of the owned particles reaches the cut-off. Collective. */
enum status frame_divergence(struct frame *frame, struct comm *comm, const struct force_law *law);

/* Sets frame->graph; of a frame whose halo reaches graph_reach. Collective. */
enum status frame_graph(struct frame *frame, struct comm *comm, const struct response_parameters *p,
                        const struct system_parameters *s);

/* The local number of an owned particle, or -1. */
int64_t frame_find(const struct frame *frame, uint32_t id);

/* The windows of `count` owned particles (centre NULL: particles 0 ... count-1, all owned). Positions and
 * propulsions as they are. neighbour (count, k) device, from the caller. */
struct score_input frame_windows(const struct frame *frame, size_t count, const uint32_t *centre,
                                 const uint32_t *neighbour);

/* Trajectories to train on: a weight each, and its frames. */
struct dataset_part {
    double weight;
    int frames;
    struct frame **frame; /* (frames) owned by the dataset */
};
struct dataset {
    int parts;
    struct dataset_part *part;
};
void dataset_free(struct dataset *dataset);

/* Frame number `number` that training draws: a part by weight, then any of its frames. A function of the seed and the
 * number. */
struct frame *dataset_choose(const struct dataset *dataset, uint64_t seed, uint64_t number);

#endif
