/* model.h5: weights, their moving average, the optimizer's state, the training log.
 * All functions are collective: rank 0's arrays are written, every rank gets the same when reading. Host
 * memory. */
#ifndef EPFLOW_IO_MODEL_FILE_H
#define EPFLOW_IO_MODEL_FILE_H

#include "base/statistics.h"
#include "io/file.h"

/* One named tensor of the flat buffers; the owner (learn) tells names and shapes. */
struct model_tensor {
    const char *name;
    int rows, columns; /* rows 1: a vector */
    size_t offset;
};

/* One row of the training log: means over the steps since the row before. */
struct training_log_row {
    int64_t step;
    double loss, gradient_norm, rate, particles_per_second;
};
/* One row per test on held-out frames. */
struct test_log_row {
    int64_t step;
    double resolved_fraction, error;
    double residual; /* of stationarity; NaN where it is not known */
};

/* One row every time that a training went back: the step that failed, the one it went back to, why, and the peak of the
 * rate from then on. */
enum retry_cause { RETRY_NOT_FINITE, RETRY_DIVERGED };
struct retry_row {
    int64_t step, back, cause;
    double rate;
};

/* The state that a training goes back to. */
enum { MODEL_TREES = 4 }; /* weights, average, mu, nu */
struct model_return {
    int64_t step;                /* -1: the file has none of its own */
    struct training_log_row sum; /* as below */
    struct loss_watch watch;
    real *array[MODEL_TREES]; /* (size) each; all NULL: neither written nor read */
};

struct model_state {
    int64_t step;                /* training steps done */
    struct training_log_row sum; /* of the steps since the last row, whose number is sum.step; rate: 0 */
    struct loss_watch watch;     /* of all losses so far */
    size_t log_rows, test_rows, retry_rows;
    struct training_log_row *log;
    struct test_log_row *test;
    struct retry_row *retry;
    struct model_return back; /* left out of a file whose own state it is, or whose training is complete */
    size_t size;              /* elements of each flat buffer */
    real *weights, *average;  /* (size) */
    real *mu, *nu;            /* (size) moments; NULL: not read */
};

/* The files that were trained on. */
struct model_data {
    int count;
    const char *path[CONFIG_FILES];
    const char
        *identity[CONFIG_FILES]; /* what each one is, in lines "name = value", below MODEL_IDENTITY bytes */
};
enum { MODEL_IDENTITY = 16384 };

/* Written as PATH.part and renamed. */
enum status model_write(struct comm *comm, const char *path, const struct config *config, const char *device,
                        const struct model_data *data, int tensors, const struct model_tensor *tensor,
                        const struct model_state *state);
/* The parameters it was trained with (network, training, system, ...) and its step. */
enum status model_read_header(struct comm *comm, const char *path, struct config *config, int64_t *step);
/* Refuses a file that is too small for so many weights, before there is memory for them. */
enum status model_expect_size(struct comm *comm, const char *path, size_t weights);
/* The identity of file number `index` that it was trained on; "" where it is not recorded. */
enum status model_read_identity(struct comm *comm, const char *path, int index,
                                char identity[MODEL_IDENTITY]);
/* The arrays, allocated by the caller (size set); log, test and retry are allocated here: free with free(). Refuses
 * tensors of another shape. */
enum status model_read(struct comm *comm, const char *path, int tensors, const struct model_tensor *tensor,
                       struct model_state *state);

#endif
