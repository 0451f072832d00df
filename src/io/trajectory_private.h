/* Shared by trajectory.c and trajectory_checks.c; nobody else includes it. */
#ifndef EPFLOW_IO_TRAJECTORY_PRIVATE_H
#define EPFLOW_IO_TRAJECTORY_PRIVATE_H

#include "io/trajectory.h"

#define GROUP "/particles/trajectory"
#define SCALARS "/parameters/scalars"
#define STEP GROUP "/position/step"
#define TIME GROUP "/position/time"
/* Per frame (frames, CHECKSUMS) of position, propulsion and image: of the d components that are read. */
#define CHECKSUM "/parameters/checksums/frames"
enum { CHECKSUMS = 3 };
/* Per frame (frames, NUMBERS) of its step, its time, its scalars, and those before the fine steps. 0: not known. */
#define CHECKSUM_NUMBERS "/parameters/checksums/numbers"
enum { OF_STEP, OF_TIME, OF_SCALARS, OF_EULER, NUMBERS };

struct trajectory {
    struct comm *comm;
    struct h5_file *file;    /* NULL for a foreign one */
    struct foreign *foreign; /* NULL for a file of epflow's own */
    struct trajectory_shape shape;
    bool checked;  /* has checksums; files of earlier versions do not */
    bool numbered; /* has those of its numbers, too */
    bool continued;
    bool refined; /* has the sums of the states before the fine steps, too */
    bool turning; /* and that of alignment */
};

/* Of the rows of this frame. */
enum status trajectory_write_checksums(struct trajectory *t, size_t frame, const struct trajectory_frame *f);
/* Where the ranks have read the whole of the frame. */
enum status trajectory_verify_checksums(struct trajectory *t, size_t frame, const struct trajectory_frame *f);
/* Before (f NULL) and after the frame is written. */
enum status trajectory_write_numbers(struct trajectory *t, size_t frame, const struct trajectory_frame *f);
/* Of `frames` frames from `first` on; `bytes` of numbers each, in rows `apart` bytes from each other. */
enum status trajectory_verify_numbers(struct trajectory *t, size_t first, size_t frames, int what,
                                      size_t bytes, size_t apart, const void *rows);
/* Bytes of the scalars that a file has checksums of. */
size_t trajectory_scalar_bytes(const struct trajectory *t);

#endif
