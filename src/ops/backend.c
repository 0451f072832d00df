#include "ops/backend.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char LIBRARY[] = "libepflow_cuda.so";

enum { MESSAGE = 512 };

/* A function of the library. ISO C has no conversion from void * to one, so its bits are copied. */
static bool find(void *library, const char *name, void *function, size_t bytes) {
    void *found = dlsym(library, name);
    memcpy(function, &found, bytes);
    return found != NULL;
}

/* The first of the places of the library where there is a file; false if nowhere. */
static bool library_path(char path[PATH_MAX]) {
    char program[PATH_MAX] = "";
    const char *named = getenv("EPFLOW_CUDA_LIBRARY");
    if (named) {
        snprintf(path, PATH_MAX, "%s", named);
        return true;
    }
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return false;
    program[length] = '\0';
    const char *folder = dirname(program);
    for (int m = 0; m < 2; m++) {
        snprintf(path, PATH_MAX, m == 0 ? "%s/%s" : "%s/../lib/%s", folder, LIBRARY);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

enum status backend_open(int local_rank, enum device_precision precision, struct backend *out) {
    enum status (*open)(int, enum device_precision, const struct ops **, struct backend_device *, char *,
                        size_t);
    const struct device_messages *(*messages)(const struct ops *);
    char path[PATH_MAX], message[MESSAGE] = "";
    *out = (struct backend){0};
    if (!library_path(path))
        return FAIL(STATUS_FAILURE, "epflow was built without CUDA: %s is not beside it", LIBRARY);
    if (!getenv("EPFLOW_CUDA_LIBRARY") && !dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL))
        return FAIL(STATUS_FAILURE,
                    "there is no NVIDIA driver on this machine; run.device cpu or auto computes on the CPU");
    out->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!out->library)
        return FAIL(STATUS_FAILURE, "the CUDA library cannot be loaded: %s", dlerror());
    if (!find(out->library, "epflow_cuda_open", &open, sizeof open) ||
        !find(out->library, "epflow_cuda_messages", &messages, sizeof messages) ||
        !find(out->library, "epflow_cuda_close", &out->close, sizeof out->close)) {
        backend_close(out);
        return FAIL(STATUS_FAILURE, "%s is not a CUDA library of epflow", path);
    }
    if (open(local_rank, precision, &out->ops, &out->device, message, sizeof message) != STATUS_OK) {
        backend_close(out);
        return FAIL(STATUS_FAILURE, "%s", message);
    }
    out->messages = messages(out->ops);
    return STATUS_OK;
}

void backend_close(struct backend *b) {
    if (b->ops)
        b->close(&b->ops);
    /* The library stays: what it registered with the runtime lasts as long as the process. */
    *b = (struct backend){0};
}
