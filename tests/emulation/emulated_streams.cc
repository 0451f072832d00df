/* Streams, events, and launches as their work.
 *
 * Streams are lazy: their work is done when the host waits for something, and of streams that could go on, chance (by
 * EPFLOW_EMULATION_SEED) decides which does. A host that does not wait, or a stream that lacks a wait for an event, so
 * sees data that are not there yet. Clocks tell the checker which works are ordered.
 */
#include "emulated_streams.h"
#include "emulated_checker.h"
#include "emulated_internal.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <algorithm>

struct CUevent_st {
    std::shared_ptr<emulated_mark> mark; /* of the last record */
};

bool emulated_working;
static std::vector<cudaStream_t> streams;
static uint32_t stream_count = 1; /* 0: the default stream */
static emulated_clock host_clock;
static CUstream_st default_stream = {};

static void join(emulated_clock *clock, const emulated_clock &other) {
    if (clock->size() < other.size())
        clock->resize(other.size());
    for (size_t i = 0; i < other.size(); i++)
        (*clock)[i] = std::max((*clock)[i], other[i]);
}

/* ---- doing work ---- */

static bool can_run(cudaStream_t stream) {
    return !stream->works.empty() && (!stream->works.front().needed || stream->works.front().needed->done);
}

/* The first work of a stream; returns whether it is finished. */
static bool run_first(cudaStream_t stream) {
    emulated_work &work = stream->works.front();
    if (!work.begun) {
        join(&stream->clock, work.host);
        if (work.needed)
            join(&stream->clock, work.needed->clock);
        if (stream->clock.size() <= stream->number)
            stream->clock.resize(stream->number + 1);
        stream->clock[stream->number]++;
        work.begun = true;
    }
    if (work.run) {
        emulated_catch_faults();
        emulated_working = true;
        emulated_check_work(work.name, stream->number, stream->clock);
        const bool finished = work.run();
        emulated_working = false;
        if (!finished)
            return false;
    }
    if (work.reached) {
        work.reached->clock = stream->clock;
        work.reached->done = true;
    }
    stream->works.pop_front();
    return true;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double timeout(void) {
    const char *text = getenv("EPFLOW_EMULATION_TIMEOUT");
    return text ? atof(text) : 60;
}

[[noreturn]] static void stuck(const char *for_what, const char *why) {
    for (const cudaStream_t stream : streams)
        if (!stream->works.empty())
            fprintf(stderr, "emulation: stream %u is before %s, with %zu works in all\n", stream->number,
                    stream->works.front().name, stream->works.size());
    emulated_fail(NULL, "%s: %s", for_what, why);
}

void emulated_progress(const std::function<bool()> &done, const char *for_what) {
    double since = 0;
    while (!done()) {
        std::vector<cudaStream_t> ready;
        for (const cudaStream_t stream : streams)
            if (can_run(stream))
                ready.push_back(stream);
        if (ready.empty())
            stuck(for_what, "no stream can go on (an event that nothing will reach)");
        const cudaStream_t stream = ready[emulated_random((uint32_t)ready.size())];
        if (run_first(stream)) {
            since = 0;
            continue;
        }
        if (since == 0)
            since = seconds();
        const double waited = seconds() - since; /* for other processes */
        if (waited > timeout())
            stuck(for_what, "other processes do not come");
        if (waited > 1e-4)
            sched_yield();
    }
    emulated_close_memory();
}

void emulated_drain(void) {
    emulated_progress(
        [] {
            return std::all_of(streams.begin(), streams.end(),
                               [](cudaStream_t s) { return s->works.empty(); });
        },
        "waiting for the device");
    for (const cudaStream_t stream : streams)
        join(&host_clock, stream->clock);
}

/* Streams that are not cudaStreamNonBlocking are in order with the default stream. */
static void run_default(emulated_work work) {
    emulated_progress(
        [] {
            return std::all_of(streams.begin(), streams.end(), [](cudaStream_t s) {
                return s->works.empty() || (s->flags & cudaStreamNonBlocking);
            });
        },
        "the default stream");
    for (const cudaStream_t stream : streams)
        if (!(stream->flags & cudaStreamNonBlocking))
            join(&default_stream.clock, stream->clock);
    default_stream.works.push_back(std::move(work));
    while (!run_first(&default_stream))
        sched_yield();
    join(&host_clock, default_stream.clock);
    emulated_close_memory();
}

void emulated_submit_work(cudaStream_t stream, emulated_work work) {
    work.host = host_clock;
    if (stream == NULL || stream == cudaStreamLegacy)
        run_default(std::move(work));
    else
        stream->works.push_back(std::move(work));
}

void emulated_submit(cudaStream_t stream, const char *name, std::function<void()> run) {
    emulated_submit_work(stream, {name,
                                  [run = std::move(run)] {
                                      run();
                                      return true;
                                  },
                                  NULL,
                                  NULL,
                                  {},
                                  false});
}

/* ---- streams ---- */

extern "C" cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    *least = 0;
    *greatest = -5;
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int) {
    *out = new CUstream_st{flags, stream_count++, {}, {}};
    streams.push_back(*out);
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    return cudaStreamCreateWithPriority(out, flags, 0);
}

extern "C" cudaError_t cudaStreamCreate(cudaStream_t *out) {
    return cudaStreamCreateWithPriority(out, cudaStreamDefault, 0);
}

extern "C" cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    if (stream == NULL)
        return cudaSuccess; /* its work has been done */
    emulated_progress([=] { return stream->works.empty(); }, "cudaStreamSynchronize");
    join(&host_clock, stream->clock);
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    const auto at = std::find(streams.begin(), streams.end(), stream);
    if (at == streams.end())
        return emulated_error(cudaErrorInvalidResourceHandle);
    const emulated_clock before = host_clock;
    cudaStreamSynchronize(stream);
    host_clock = before; /* the host did not wait for it */
    streams.erase(std::find(streams.begin(), streams.end(), stream));
    delete stream;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceSynchronize(void) {
    emulated_drain();
    return cudaSuccess;
}

/* Something is done meanwhile. */
static void do_something(void) {
    int left = 1;
    if (std::any_of(streams.begin(), streams.end(), can_run))
        emulated_progress([&] { return left-- == 0; }, "a query");
}

extern "C" cudaError_t cudaStreamQuery(cudaStream_t stream) {
    do_something();
    if (stream == NULL || stream->works.empty()) {
        if (stream)
            join(&host_clock, stream->clock);
        return cudaSuccess;
    }
    return cudaErrorNotReady; /* is not noted as an error */
}

/* ---- events ---- */

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned) {
    *out = new CUevent_st{};
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventCreate(cudaEvent_t *out) {
    return cudaEventCreateWithFlags(out, 0);
}

extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event) {
    delete event;
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    event->mark = std::make_shared<emulated_mark>();
    emulated_submit_work(stream, {"an event", NULL, NULL, event->mark, {}, false});
    return cudaSuccess;
}

/* For what the event marks now; an event that was never recorded marks nothing. */
extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    if (event->mark)
        emulated_submit_work(stream, {"a wait for an event", NULL, event->mark, NULL, {}, false});
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    const std::shared_ptr<emulated_mark> mark = event->mark;
    if (!mark)
        return cudaSuccess;
    emulated_progress([&] { return mark->done; }, "cudaEventSynchronize");
    join(&host_clock, mark->clock);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t event) {
    do_something();
    if (event->mark && !event->mark->done)
        return cudaErrorNotReady;
    if (event->mark)
        join(&host_clock, event->mark->clock);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t, cudaEvent_t) {
    *milliseconds = 0; /* there is no time here */
    return cudaSuccess;
}

/* ---- launches ---- */

cudaError_t emulated_enqueue(const char *name, std::unique_ptr<emulated_kernel> kernel, const void *,
                             dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
    const size_t threads = (size_t)block.x * block.y * block.z;
    if (threads == 0 || threads > MOST_THREADS || block.z > 64 || (size_t)grid.x * grid.y * grid.z == 0 ||
        grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535 || shared > EMULATED_SHARED_BYTES)
        return emulated_error(cudaErrorInvalidConfiguration);
    if (emulated_launch_fails())
        return emulated_error(cudaErrorLaunchFailure);
    std::shared_ptr<emulated_kernel> shared_kernel = std::move(kernel);
    emulated_submit(stream, name, [=] { emulated_run({name, shared_kernel.get(), grid, block, shared}); });
    return cudaSuccess;
}
