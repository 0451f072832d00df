/* trajectory.h5: H5MD 1.1, at full size from the start and written in place, so that a kill at any moment
 * leaves a file with every complete frame.
 *
 * All functions but trajectory_shape are collective. Arrays are host memory in order of particle id, this
 * rank's slice: ids begin ... begin + count - 1. */
#ifndef EPFLOW_IO_TRAJECTORY_H
#define EPFLOW_IO_TRAJECTORY_H

#include "io/file.h"

struct trajectory;

/* Per frame, in /parameters/scalars: sums over all particles. */
struct trajectory_scalars {
    double div_b;             /* sum_i div_{x_i} b_i */
    double b_squared;         /* sum_i |b_i|^2 */
    double force_b;           /* sum_i F_i . b_i */
    double b_stiffness_b;     /* b . K b, K = -dF/dx */
    double g_b;               /* sum_i g_i . b_i */
    double stiffness_squared; /* tr K^2; NaN in files of versions that did not have it */
    double alignment; /* sum_i |a_i|^2/gamma + div_{g_i} a_i; 0 in files of systems without alignment */
};

struct trajectory_shape {
    size_t particles; /* N */
    int d;
    size_t frames; /* T, planned */
    bool periodic;
    double side[MAX_DIMENSION];
};

/* Makes the file with all its datasets, `step` = -1 everywhere, on the disk; from then on only raw data is
 * written. r_c: the cut-off used. */
enum status trajectory_create(struct comm *comm, const char *path, const struct trajectory_shape *shape,
                              const struct config *config, const char *device, double r_c,
                              struct trajectory **out);
/* To go on in a file after a restart; refuses other physics than the file's. */
enum status trajectory_continue(struct comm *comm, const char *path, const struct config *config,
                                struct trajectory **out);
/* To read, growing or complete. */
enum status trajectory_open(struct comm *comm, const char *path, struct trajectory **out);
/* To read a file of another program, whose elements config->data names and whose system is config's (foreign.h).
 * Its scalars are NaN, and there is no trajectory_file. */
enum status trajectory_open_foreign(struct comm *comm, const char *path, const struct config *config,
                                    struct trajectory **out);
enum status trajectory_close(struct trajectory **t);
const struct trajectory_shape *trajectory_shape(const struct trajectory *t);
struct h5_file *trajectory_file(struct trajectory *t);

/* Positions in file convention: [0, L), or centred in open space. */
struct trajectory_frame {
    int64_t step;
    double time; /* NaN where a foreign file does not say */
    size_t begin, count;
    double *position; /* (count, d) */
    double *g;        /* (count, d) */
    int32_t *image;   /* (count, d) */
    struct trajectory_scalars scalars;
    struct trajectory_scalars
        euler; /* of the state before the fine steps; not read, and written if there are any */
};
/* Data first, then, on the disk, the step that makes it count. */
enum status trajectory_write(struct trajectory *t, size_t frame, const struct trajectory_frame *f);
/* Into arrays allocated by the caller. Fails if the frame was not written. */
enum status trajectory_read(struct trajectory *t, size_t frame, struct trajectory_frame *f);
/* Frames written: the leading ones with step >= 0. */
enum status trajectory_written(struct trajectory *t, size_t *frames);
/* Scalars of the frames 0 ... frames - 1 (the caller allocates). */
enum status trajectory_read_scalars(struct trajectory *t, size_t frames, struct trajectory_scalars *out);
/* The same of the states before the fine steps; NaN where there are none. */
enum status trajectory_read_euler(struct trajectory *t, size_t frames, struct trajectory_scalars *out);
/* Records the end of the run. */
enum status trajectory_finish(struct trajectory *t);

/* ---- restart.h5: enough to continue bit for bit ---- */
struct restart {
    uint64_t step;   /* steps done, the burn-in included */
    uint64_t frames; /* frames written */
    size_t begin, count;
    uint64_t *q;    /* (count, d) */
    int32_t *image; /* (count, d) */
    double *g;      /* (count, d) */
};
/* The newest two are kept: path, and the one before under `previous`. */
enum status restart_write(struct comm *comm, const char *path, const char *previous, size_t particles, int d,
                          const struct config *config, const char *device, const struct restart *r);
/* Into arrays allocated by the caller. Refuses other physics than config's. */
enum status restart_read(struct comm *comm, const char *path, size_t particles, int d,
                         const struct config *config, struct restart *r);

/* What must agree between a run and the files it goes on from. */
#define RUN_PARAMETERS                                                                                       \
    "system,simulation.dt,simulation.burn_in,simulation.frame_interval,simulation.seed,"                     \
    "simulation.cutoff_tolerance,simulation.start,simulation.refine,simulation.refine_dt"

#endif
