/* Work in streams, for the files of the runtime that put some there. */
#ifndef EPFLOW_EMULATED_STREAMS_H
#define EPFLOW_EMULATED_STREAMS_H

#include <cuda_runtime.h>

#include <stdint.h>

#include <deque>
#include <functional>
#include <memory>
#include <vector>

/* How many works of each stream have been done before a point. */
typedef std::vector<uint32_t> emulated_clock;

/* A point in a stream: what an event marks. */
struct emulated_mark {
    bool done;
    emulated_clock clock;
};

struct emulated_work {
    const char *name;
    std::function<bool()> run; /* false: not finished, call again (NCCL waits for other processes) */
    std::shared_ptr<emulated_mark> needed;  /* runs after it */
    std::shared_ptr<emulated_mark> reached; /* done with it */
    emulated_clock host;                    /* what the host had waited for */
    bool begun;
};

struct CUstream_st {
    unsigned flags;
    uint32_t number; /* place in clocks */
    std::deque<emulated_work> works;
    emulated_clock clock;
};

/* At the end of the stream; work on the default stream is done at once. */
void emulated_submit_work(cudaStream_t stream, emulated_work work);

/* Does works of all streams, in an order by chance, until done(). */
void emulated_progress(const std::function<bool()> &done, const char *for_what);

/* Waits for all of them. */
void emulated_drain(void);

#endif
