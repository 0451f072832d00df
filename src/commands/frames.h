/* Frames of trajectories for training and evaluation: which ones, and how they come into memory. */
#ifndef EPFLOW_COMMANDS_FRAMES_H
#define EPFLOW_COMMANDS_FRAMES_H

#include "commands/session.h"
#include "io/trajectory.h"
#include "dynamics/system.h"
#include "learn/dataset.h"

/* A trajectory that is being read. */
struct source {
    char path[SESSION_PATH];
    struct trajectory *trajectory;
    struct config config; /* it was made with; of a file of another program, the input's own */
    struct box box;
    struct lattice lattice;                  /* of a crystal */
    double push;                             /* v0, where the network sees velocities; else 0 */
    bool by_site;                            /* windows are of neighbouring sites */
    const struct response_parameters *graph; /* where the network reads graphs; else NULL */
    size_t frames;                           /* written */
    size_t held_out;                         /* its last frames, never trained on */
    struct slice *slice;                     /* room for one frame */
    double *position;
};

/* Opens a trajectory whose physics agrees with the input's, for this network; with data.position a
 * file of another program, whose physics is taken to be the input's. held_out: share of its frames; whole: it must have the
 * number of particles of the input. `network` stays where it is until source_close. Collective. */
enum status source_open(struct session *s, const char *path, double held_out, bool whole,
                        const struct network_parameters *network, struct source **out);
/* Goes on with the first `frames` frames alone, if there are more. */
void source_limit(struct source *source, size_t frames, double held_out);
void source_close(struct source **source);

/* Reads a frame and hands it to its owners: see frame_create. step and time may be NULL. Collective. */
enum status source_frame(struct session *s, struct source *source, size_t frame, int k, double least,
                         double margin, struct frame **out, int64_t *step, double *time);

/* The midpoint of the frames `frame` and `frame` + 1, with the rates of change across it (frame->rate): positions
 * by minimum image, g by the mean. Fails where the file has no times, where they do not increase, and where a
 * particle moved by more than a quarter of the box. Collective. */
enum status source_pair(struct session *s, struct source *source, size_t frame, int k, double least,
                        double margin, struct frame **out);

#endif
