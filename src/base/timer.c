#include "base/timer.h"

#include <time.h>

double timer_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
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
