/* Failures on purpose, for tests of what happens then. Not in the program that users run: calls of the C library and of
 * HDF5 that allocate or touch files are redirected here by the linker (cmake/Faults.cmake) where EPFLOW_FAULTS is on.
 *
 * A point is a call together with the calls of our own that led to it (its site), and how often it was passed. Addresses
 * are relative to the program's start, so that a site has the same number in every run of one build.
 *
 * EPFLOW_FAULT=list:PATH        writes PATH.RANK, a line for each point: call, site, addresses from the innermost on
 * EPFLOW_FAULT=RANK:SITE:TIME   the call at this site fails on this rank the TIMEth time (from 1); said on stderr
 */
#ifndef EPFLOW_BASE_FAULT_H
#define EPFLOW_BASE_FAULT_H

#include <stdbool.h>

/* Whether this call, of that name, is the one to fail. */
bool fault_here(const char *name);

/* The redirected call (__wrap_NAME) and the one it stands for (__real_NAME). */
#define FAULT_CALL(type, name, parameters)                                                                   \
    type __real_##name parameters;                                                                           \
    type __wrap_##name parameters;                                                                           \
    type __wrap_##name parameters

/* Fails instead of being made. */
#define FAULT_INSTEAD(type, failure, name, parameters, arguments)                                            \
    FAULT_CALL(type, name, parameters) {                                                                     \
        return fault_here(#name) ? (failure) : __real_##name arguments;                                      \
    }

/* Fails after it was made: closes what it is to close, sends what other ranks wait for. */
#define FAULT_AFTER(type, failure, name, parameters, arguments)                                              \
    FAULT_CALL(type, name, parameters) {                                                                     \
        const bool fails = fault_here(#name);                                                                \
        type result = __real_##name arguments;                                                               \
        return fails ? (failure) : result;                                                                   \
    }

#endif
