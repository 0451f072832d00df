/* The device itself, errors and reports. */
#include "emulated_internal.h"

#include <string.h>
#include <unistd.h>
#include <cublasLt.h>

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <map>
#include <string>

/* ---- the device: one, with what an A100 has ---- */

extern "C" cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}

extern "C" cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : emulated_error(cudaErrorInvalidDevice);
}

extern "C" cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    if (device != 0)
        return emulated_error(cudaErrorInvalidDevice);
    *properties = cudaDeviceProp();
    snprintf(properties->name, sizeof properties->name, "emulated on the CPU");
    properties->totalGlobalMem = (size_t)16 << 30;
    properties->sharedMemPerBlock = 48 * 1024;
    properties->sharedMemPerBlockOptin = EMULATED_SHARED_BYTES;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = MOST_THREADS;
    properties->multiProcessorCount = 4;
    properties->major = 8;
    const int process = (int)getpid(); /* every rank has a device of its own */
    memcpy(properties->uuid.bytes, &process, sizeof process);
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    cudaDeviceProp properties;
    if (cudaGetDeviceProperties(&properties, device) != cudaSuccess)
        return cudaErrorInvalidDevice;
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
        *value = properties.multiProcessorCount;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
        *value = properties.major;
        return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
        *value = properties.minor;
        return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
        *value = (int)properties.sharedMemPerBlockOptin;
        return cudaSuccess;
    default:
        return emulated_error(cudaErrorInvalidValue);
    }
}

extern "C" cudaError_t cudaFuncSetAttribute(const void *, cudaFuncAttribute attribute, int value) {
    if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize && value > EMULATED_SHARED_BYTES)
        return emulated_error(cudaErrorInvalidValue);
    return cudaSuccess;
}

/* ---- errors ---- */

static cudaError_t last_error = cudaSuccess;

cudaError_t emulated_error(cudaError_t error) {
    return last_error = error;
}

extern "C" cudaError_t cudaPeekAtLastError(void) {
    return last_error;
}

extern "C" cudaError_t cudaGetLastError(void) {
    const cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

extern "C" const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorInvalidConfiguration:
        return "invalid configuration argument";
    case cudaErrorInvalidDevice:
        return "invalid device ordinal";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorNotReady:
        return "device not ready";
    case cudaErrorLaunchFailure:
        return "unspecified launch failure";
    default:
        return "another error";
    }
}

extern "C" const char *cudaGetErrorName(cudaError_t error) {
    return cudaGetErrorString(error);
}

/* ---- choices of the environment ---- */

static uint32_t random_state;

enum emulated_schedule emulated_schedule(void) {
    static int schedule = -1;
    if (schedule < 0) {
        const char *name = getenv("EPFLOW_EMULATION_SCHEDULE");
        schedule = !name || !strcmp(name, "forward") ? SCHEDULE_FORWARD
                   : !strcmp(name, "reverse")        ? SCHEDULE_REVERSE
                   : !strcmp(name, "random")         ? SCHEDULE_RANDOM
                                                     : -1;
        if (schedule < 0)
            emulated_fail(NULL, "EPFLOW_EMULATION_SCHEDULE is forward, reverse or random, not %s", name);
    }
    return (enum emulated_schedule)schedule;
}

uint32_t emulated_random(uint32_t below) {
    if (random_state == 0) {
        const char *seed = getenv("EPFLOW_EMULATION_SEED");
        random_state = (seed ? (uint32_t)strtoul(seed, NULL, 10) : 1) * 2654435761u | 1;
    }
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return (uint32_t)((uint64_t)random_state * below >> 32);
}

/* Whether this launch is the one that is to fail: EPFLOW_EMULATION_FAIL=RANK:LAUNCH, both from 0. */
bool emulated_launch_fails(void) {
    static long launches, wanted = -2;
    if (wanted == -2) {
        const char *text = getenv("EPFLOW_EMULATION_FAIL"), *rank = getenv("OMPI_COMM_WORLD_RANK");
        const char *launch = text ? strchr(text, ':') : NULL;
        wanted = launch && strtol(text, NULL, 10) == strtol(rank ? rank : "0", NULL, 10)
                     ? strtol(launch + 1, NULL, 10)
                     : -1;
    }
    return launches++ == wanted;
}

/* ---- reports ---- */

static std::string find_line(const void *site) {
    char line[512], command[512];
    Dl_info info;
    if (!site || !dladdr(site, &info))
        return "?";
    /* One byte back: in the call, not after it. Inline functions of emulated_kernels.h are seen through. */
    snprintf(command, sizeof command, "addr2line -s -i -e '%s' %#zx 2>/dev/null", info.dli_fname,
             (size_t)((const char *)site - (const char *)info.dli_fbase - 1));
    std::string found = info.dli_sname ? info.dli_sname : "?";
    FILE *pipe = popen(command, "r");
    while (pipe && fgets(line, sizeof line, pipe)) {
        line[strcspn(line, " \n")] = 0; /* a discriminator may follow */
        if (strncmp(line, "??", 2) != 0)
            found = line;
        if (strncmp(line, "emulated_kernels.h", 18) != 0)
            break;
    }
    if (pipe)
        pclose(pipe);
    return found;
}

const char *emulated_line(const void *site) {
    static std::map<const void *, std::string> known;
    const auto at = known.find(site);
    return (at != known.end() ? at : known.insert({site, find_line(site)}).first)->second.c_str();
}

void emulated_fail(const void *site, const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    fflush(stdout);
    fprintf(stderr, "emulation: ");
    if (emulated_running) {
        const struct emulated_position &p = emulated_place;
        fprintf(stderr, "kernel %s, block (%u, %u, %u)", emulated_running->name, p.block.x, p.block.y,
                p.block.z);
        if (emulated_thread >= 0)
            fprintf(stderr, ", thread (%u, %u, %u)", p.thread.x, p.thread.y, p.thread.z);
        fprintf(stderr, ": ");
    }
    fprintf(stderr, "%s", message);
    if (site)
        fprintf(stderr, " at %s", emulated_line(site));
    fprintf(stderr, "\n");
    fflush(stderr);
    abort();
}
