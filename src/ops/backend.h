/* Tables of other devices than the processor live in libraries that are loaded when they are wanted, so that the
 * program starts where their vendor's libraries are missing. This is the door: what such a library exports (it is
 * kernels/backend.cu that has the functions), and how the program opens it.
 */
#ifndef EPFLOW_OPS_BACKEND_H
#define EPFLOW_OPS_BACKEND_H

#include "base/messages.h"
#include "ops/ops.h"

C_LINKAGE_BEGIN

/* What matrix products round their factors to; sums are float32, and so is everything else. */
enum device_precision { PRECISION_FLOAT32, PRECISION_TF32, PRECISION_BF16 };

/* ---- exported by the library ---- */

/* A device: its name, and a number that no other device of the world is likely to have. */
enum { BACKEND_NAME = 256 };
struct backend_device {
    char name[BACKEND_NAME];
    uint64_t identity;
};

/* Opens device local_rank modulo their number, or says in `message` why there is none and returns STATUS_FAILURE.
 * *out is the table, to be closed by epflow_cuda_close. */
enum status epflow_cuda_open(int local_rank, enum device_precision precision, const struct ops **out,
                             struct backend_device *device, char *message, size_t message_bytes);
/* Messages between such tables of several ranks, as long as the table is open; NULL: this build has none. */
const struct device_messages *epflow_cuda_messages(const struct ops *table);
void epflow_cuda_close(const struct ops **table);

/* ---- for the program ---- */

struct backend {
    const struct ops *ops;
    const struct device_messages *messages; /* NULL: none */
    struct backend_device device;
    void *library;
    void (*close)(const struct ops **table);
};

/* Loads the CUDA library (the file that the environment variable EPFLOW_CUDA_LIBRARY names, else libepflow_cuda.so
 * beside the program or in ../lib of it) and opens a device. Where that cannot be, a failure whose message says why.
 * Local. */
enum status backend_open(int local_rank, enum device_precision precision, struct backend *out);
/* Closes what is open; accepts one that is not. */
void backend_close(struct backend *backend);

C_LINKAGE_END

#endif
