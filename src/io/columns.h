/* What a trajectory or an evaluation holds for every particle, whichever of the two it is: columns of numbers, read frame by
 * frame and block by block, for files of other programs. All functions are collective. */
#ifndef EPFLOW_IO_COLUMNS_H
#define EPFLOW_IO_COLUMNS_H

#include "io/file.h"

enum { COLUMNS_MOST = 64, COLUMN_NAME = 64 };

struct column {
    char name[COLUMN_NAME];
    int width; /* numbers of a particle: 1, or d of a vector */
    int axes;  /* of the dataset */
    bool integer;
    char path[2 * COLUMN_NAME]; /* of the dataset; "": the copy that a particle is of, counted from 1 */
};

struct columns {
    struct comm *comm;
    struct h5_file *file;
    struct config config; /* it was made with */
    size_t particles;     /* N, of all copies */
    size_t frames;        /* written */
    int64_t *step;        /* (frames) */
    double *time;         /* (frames) */
    double side[MAX_DIMENSION];
    int count;
    struct column column[COLUMNS_MOST]; /* position comes first */
    bool checked;                       /* frames have checksums */
    uint64_t sum[COLUMNS_MOST];         /* of this rank's rows since the last columns_verify */
};

/* wanted: names of columns beside position, separated by commas; NULL: all. A file without a frame is refused. */
enum status columns_open(struct comm *comm, const char *path, const char *wanted, struct columns **out);
/* Rows begin ... begin + count - 1, each rank its own: out (count, width). */
enum status columns_read(struct columns *c, size_t frame, int column, size_t begin, size_t count,
                         double *out);
/* Once every row of every column of this frame was read by one rank: STATUS_STORAGE where it is damaged. */
enum status columns_verify(struct columns *c, size_t frame);
void columns_close(struct columns **c);

#endif
