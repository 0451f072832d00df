/* evaluation.h5 and fields.xdmf. Physics-free: the owner hands tables of arrays. Made at full size first,
 * then written in place frame by frame, `step` last. All functions are collective. */
#ifndef EPFLOW_IO_EVALUATION_FILE_H
#define EPFLOW_IO_EVALUATION_FILE_H

#include "io/file.h"

/* A per-particle quantity (T, N, columns); columns 1: (T, N). */
struct evaluation_column {
    const char *name, *unit, *description;
    int columns;
    bool integer; /* stored as int32 (what is handed over is float64 all the same) */
};
/* A gridded quantity (T, [nz,] ny, nx); columns > 1 adds a last axis (vectors). */
struct evaluation_field {
    const char *name, *unit, *description;
    int columns;
};
/* A profile over bins. */
struct evaluation_profile {
    const char *name, *unit, *description;
    double *values; /* (bins) */
};
/* Numbers by class: a group of datasets below /certificate, written at the end. Classes have names, or edges. */
struct evaluation_table {
    const char *name, *description;
    int classes, quantities;
    const char *const *names; /* (classes) of at most 31 characters; or NULL, and then */
    const double *edges;      /* (classes + 1) */
    const char *edges_unit, *edges_description;
    const struct evaluation_profile *quantity; /* (quantities) with `classes` values */
};
/* One identity: left = right within error. */
struct evaluation_identity {
    const char *name, *description;
    double left, right, difference, error, z;
    int64_t samples;
};

struct evaluation_shape {
    size_t particles, frames;
    int d;
    int cells[MAX_DIMENSION]; /* of the fields: cells[0] along x; 1 on unused axes */
    double spacing[MAX_DIMENSION], origin[MAX_DIMENSION];
    int columns, fields, profiles, identities, tables, bins;
    const struct evaluation_column *column;
    const struct evaluation_field *field;
    const struct evaluation_profile *profile;
    const struct evaluation_identity *identity;
    const struct evaluation_table *table;
};

/* What is known at the end. */
struct evaluation_result {
    double resolved_fraction, resolved_fraction_error; /* of the exact entropy production */
    double probe_error;        /* the part of it that the random directions of divergences make, at most */
    double exact, exact_error; /* entropy production rate, mean per particle */
    double resolved, resolved_error; /* a lower bound of it */
    double particles;                /* times which they are of the total rate */
};

struct evaluation;

/* trajectories, model: "PATH (DETAILS)" of each, with ", " between; the details tell a file from any other, wherever it
 * lies. noise: widths of that on x and on g in training. The file refers to shape and its tables until closed. */
enum status evaluation_create(struct comm *comm, const char *path, const struct evaluation_shape *shape,
                              const struct config *config, const char *device, const char *trajectories,
                              const char *model, const char *epr_convention, const double noise[2],
                              struct evaluation **out);
/* To go on after an interruption; refuses another shape, other files or other parameters. */
enum status evaluation_continue(struct comm *comm, const char *path, const struct evaluation_shape *shape,
                                const struct config *config, const char *trajectories, const char *model,
                                struct evaluation **out);
/* Frames that are complete: the leading ones with step >= 0. */
enum status evaluation_written(struct evaluation *e, size_t *frames);
/* Whether the last numbers are in too. */
enum status evaluation_complete(struct evaluation *e, bool *complete);
/* Rows of this rank's slice (count, columns). */
enum status evaluation_write_column(struct evaluation *e, size_t frame, int column, size_t begin,
                                    size_t count, const double *rows);
enum status evaluation_read_column(struct evaluation *e, size_t frame, int column, size_t begin, size_t count,
                                   double *rows);
/* This rank's part of a grid (layers, cells of the faster axes..., columns), x fastest: from cell `first` of axis d - 1 on. */
enum status evaluation_write_field(struct evaluation *e, size_t frame, int field, size_t first, size_t layers,
                                   const double *rows);
/* Last of a frame: what makes it count. */
enum status evaluation_write_step(struct evaluation *e, size_t frame, int64_t step, double time);
/* At the end: profiles (values of shape's table, and the bins' centres), identities and tables by class of shape,
 * result; complete = 1. */
enum status evaluation_finish(struct evaluation *e, const double *distance,
                              const struct evaluation_result *result);
enum status evaluation_close(struct evaluation **e);

/* The XDMF file by which ParaView and VisIt open the fields of h5_name, a path relative to it. Rank 0 writes;
 * time (frames). */
enum status evaluation_write_xdmf(struct comm *comm, const char *path, const char *h5_name,
                                  const struct evaluation_shape *shape, const double *time);

#endif
