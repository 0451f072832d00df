/* The weights of a network: named tensors in one flat buffer, so that the optimizer, the all-reduce and
 * the checkpoint see one array. */
#ifndef EPFLOW_LEARN_TENSORS_H
#define EPFLOW_LEARN_TENSORS_H

#include <stddef.h>

#include "base/status.h"

enum { TENSOR_NAME = 64 };

struct tensor {
    char name[TENSOR_NAME]; /* path, e.g. "block0/attention/query/w" */
    int rows, columns;      /* [in][out], y = x w + b; a vector has rows = 1 */
    size_t offset;          /* of its first element in the flat buffer */
};

struct tensors {
    int count;
    struct tensor *list;
    size_t size; /* elements of the flat buffer */
};

enum status tensors_add(struct tensors *t, int rows, int columns, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void tensors_free(struct tensors *t);
/* NULL if there is none of that name. */
const struct tensor *tensors_find(const struct tensors *t, const char *name);

#endif
