/* check.h5: what is known exactly of the particles of an evaluation, and how the evaluation compares with it. Written as
 * PATH.part and renamed when complete. All functions are collective. */
#ifndef EPFLOW_IO_CHECK_FILE_H
#define EPFLOW_IO_CHECK_FILE_H

#include "io/evaluation_file.h"

/* One comparison: a number of the model's, the exact one, and what lies between. */
struct check_number {
    const char *name, *description;
    double model, exact, error; /* standard error of the model's; NaN where there is none */
};

struct check_file;

/* `columns` per particle (of d or 1 numbers), of `frames` frames of `particles`. reference: what is exact, in words. */
enum status check_file_create(struct comm *comm, const char *path, const struct config *config,
                              const char *device, const char *reference, size_t frames, size_t particles,
                              int columns, const struct evaluation_column *column, struct check_file **out);
/* Rows of this rank's slice. */
enum status check_file_write(struct check_file *c, size_t frame, int column, size_t begin, size_t count,
                             const double *rows);
/* The numbers, complete = 1, and the file's name. */
enum status check_file_finish(struct check_file **c, int numbers, const struct check_number *number);
void check_file_discard(struct check_file **c);

/* ---- of an evaluation, to be compared ---- */

struct check_source {
    struct comm *comm;
    struct h5_file *file;
    size_t frames, particles;
    int d;
    double noise_x, noise_g;
    struct config config;
};
enum status check_source_open(struct comm *comm, const char *path, struct check_source **out);
void check_source_close(struct check_source **source);
/* Rows of a slice of /particles/evaluation/NAME: (count, columns). */
enum status check_source_read(struct check_source *s, const char *name, int columns, size_t frame,
                              size_t begin, size_t count, double *rows);

#endif
