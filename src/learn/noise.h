/* Frames moved by noise, as losses and evaluations need them: every particle, ghosts too, by the noise of its id, so
 * that no message is needed and nothing depends on ranks. Nothing here is collective. */
#ifndef EPFLOW_LEARN_NOISE_H
#define EPFLOW_LEARN_NOISE_H

#include "learn/dataset.h"

/* Noise number `number` of a seed and stream. */
struct frame_noise {
    enum noise_kind kind;
    enum noise_target on;
    uint64_t seed;
    enum rng_stream stream;
    uint64_t number;
};

/* zeta of n particles in g, or with of_x in x: out (n, d), id (n), device. */
void noise_draw(const struct ops *ops, const struct frame_noise *noise, bool of_x, size_t n,
                const uint32_t *id, int d, double *out);

/* Device arrays; begin with zeros, freed by moved_release. */
struct moved_frame {
    struct particles particles; /* the frame's; q and g those below where they moved. Not to be destroyed */
    size_t capacity;            /* particles that the arrays hold */
    uint64_t *q[MAX_DIMENSION];
    double *g[MAX_DIMENSION];
    double *zeta; /* (capacity, d) */
};
double moved_bytes(int d, double particles);
void moved_release(const struct ops *ops, struct moved_frame *moved);

/* g + amount zeta, and x + amount zeta if the noise is on x, in moved->particles. */
enum status frame_move(const struct frame *frame, const struct frame_noise *noise, double amount,
                       struct moved_frame *moved);

/* The nearest particles, after the move, of `count` owned ones (centre NULL: 0 ... count - 1): neighbour (count, k),
 * farthest (count) device, from the caller. */
enum status moved_neighbours(const struct frame *frame, const struct moved_frame *moved, size_t count,
                             const uint32_t *centre, uint32_t *neighbour, double *farthest);

#endif
