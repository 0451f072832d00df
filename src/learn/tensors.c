/* Tensors lie one after the other in the order they are added, without gaps: that order is the layout of the
 * flat buffer, of a gradient, and of the model file. */
#include "learn/tensors.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status tensors_add(struct tensors *t, int rows, int columns, const char *format, ...) {
    struct tensor *list = realloc(t->list, ((size_t)t->count + 1) * sizeof *list);
    if (!list)
        return FAIL(STATUS_FAILURE, "out of memory for the names of the weights");
    t->list = list;
    struct tensor *added = &list[t->count++];
    *added = (struct tensor){.rows = rows, .columns = columns, .offset = t->size};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(added->name, sizeof added->name, format, arguments);
    va_end(arguments);
    t->size += (size_t)rows * (size_t)columns;
    return STATUS_OK;
}

void tensors_free(struct tensors *t) {
    free(t->list);
    *t = (struct tensors){0};
}

const struct tensor *tensors_find(const struct tensors *t, const char *name) {
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->list[i].name, name) == 0)
            return &t->list[i];
    return NULL;
}
