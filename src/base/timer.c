#include "base/timer.h"

#include <time.h>

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double timer_now(void) {
    return seconds_of(CLOCK_MONOTONIC);
}

double timer_processor(void) {
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

int timings_add(struct timings *t, const char *name) {
    t->name[t->count] = name;
    return t->count++;
}

void timer_begin(struct timings *t, int section) {
    t->begun[section] = timer_now();
}

void timer_end(struct timings *t, int section) {
    t->seconds[section] += timer_now() - t->begun[section];
}
