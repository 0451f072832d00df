/* The checksums of a trajectory: of the arrays of a frame, and of its numbers. */
#include <stdlib.h>

#include "io/checksum.h"
#include "io/trajectory_private.h"

/* ---- checksums ---- */

static void frame_checksums(struct trajectory *t, const struct trajectory_frame *f, uint64_t sum[CHECKSUMS]) {
    const size_t d = (size_t)t->shape.d;
    sum[0] = checksum_rows(f->begin, f->count, d * sizeof *f->position, f->position);
    sum[1] = checksum_rows(f->begin, f->count, d * sizeof *f->g, f->g);
    sum[2] = checksum_rows(f->begin, f->count, d * sizeof *f->image, f->image);
    checksum_sum(t->comm, CHECKSUMS, sum);
}

enum status trajectory_write_checksums(struct trajectory *t, size_t frame, const struct trajectory_frame *f) {
    uint64_t sum[CHECKSUMS];
    if (!t->checked)
        return STATUS_OK;
    frame_checksums(t, f, sum);
    return h5_write(t->file, CHECKSUM, H5_UINT64, 2, (size_t[]){frame, 0},
                    (size_t[]){comm_rank(t->comm) == 0, CHECKSUMS}, sum);
}

/* Where the ranks have read the whole of the frame. */
enum status trajectory_verify_checksums(struct trajectory *t, size_t frame,
                                        const struct trajectory_frame *f) {
    static const char *const name[CHECKSUMS] = {"position", "propulsion", "image"};
    uint64_t sum[CHECKSUMS], stored[CHECKSUMS];
    int64_t rows = (int64_t)f->count;
    if (!t->checked)
        return STATUS_OK; /* of an earlier version */
    comm_sum_integer(t->comm, &rows, 1);
    if ((size_t)rows != t->shape.particles)
        return STATUS_OK;
    frame_checksums(t, f, sum);
    enum status status =
        h5_read(t->file, CHECKSUM, H5_UINT64, 2, (size_t[]){frame, 0}, (size_t[]){1, CHECKSUMS}, stored);
    for (int m = 0; m < CHECKSUMS && status == STATUS_OK; m++)
        if (sum[m] != stored[m])
            status = FAIL(STATUS_STORAGE,
                          "%s: dataset " GROUP "/%s/value, frame %zu: its checksum does not agree with its "
                          "contents: the file is damaged",
                          h5_path(t->file), name[m], frame);
    return status;
}

/* ---- checksums of the numbers of a frame, of which every rank has all ---- */

/* Files without alignment have checksums of the scalars before it. */
size_t trajectory_scalar_bytes(const struct trajectory *t) {
    return t->turning ? sizeof(struct trajectory_scalars) : offsetof(struct trajectory_scalars, alignment);
}

static uint64_t number_checksum(size_t frame, const void *number, size_t bytes) {
    return checksum_rows(frame, 1, bytes, number);
}

/* Before and after the frame is written: a killed run leaves the numbers of another sum over ranks, not known. */
enum status trajectory_write_numbers(struct trajectory *t, size_t frame, const struct trajectory_frame *f) {
    uint64_t sum[NUMBERS] = {0};
    if (!t->numbered || (!f && !t->continued))
        return STATUS_OK;
    if (f) {
        sum[OF_STEP] = number_checksum(frame, &f->step, sizeof f->step);
        sum[OF_TIME] = number_checksum(frame, &f->time, sizeof f->time);
        sum[OF_SCALARS] = number_checksum(frame, &f->scalars, trajectory_scalar_bytes(t));
        sum[OF_EULER] = t->refined ? number_checksum(frame, &f->euler, trajectory_scalar_bytes(t)) : 0;
    }
    return h5_write(t->file, CHECKSUM_NUMBERS, H5_UINT64, 2, (size_t[]){frame, 0},
                    (size_t[]){comm_rank(t->comm) == 0, NUMBERS}, sum);
}

enum status trajectory_verify_numbers(struct trajectory *t, size_t first, size_t frames, int what,
                                      size_t bytes, size_t apart, const void *rows) {
    static const char *const name[NUMBERS] = {"step", "time", "scalars", "scalars before the fine steps"};
    enum status status = STATUS_OK;
    uint64_t *stored = NULL;
    if (!t->numbered)
        return STATUS_OK; /* of an earlier version */
    stored = malloc((frames + 1) * sizeof *stored);
    TRY(comm_agree(t->comm,
                   stored ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu frames", frames)));
    TRY(h5_read(t->file, CHECKSUM_NUMBERS, H5_UINT64, 2, (size_t[]){first, (size_t)what},
                (size_t[]){frames, 1}, stored));
    for (size_t m = 0; m < frames && status == STATUS_OK; m++)
        if (stored[m] != 0 && stored[m] != number_checksum(first + m, (const char *)rows + m * apart, bytes))
            status =
                FAIL(STATUS_STORAGE,
                     "%s: the %s of frame %zu do%s not agree with the checksum: the file is damaged",
                     h5_path(t->file), name[what], first + m, what == OF_STEP || what == OF_TIME ? "es" : "");
    status = comm_agree(t->comm, status);
out:
    free(stored);
    return status;
}
