/* Time, and the table of timings that ends a run.
 *
 * A timing table has a fixed list of sections; timer_begin/timer_end may nest but a section may not
 * contain itself. Reduction over ranks is done by the owner (space/comm.h reduces the numbers). */
#ifndef EPFLOW_BASE_TIMER_H
#define EPFLOW_BASE_TIMER_H

enum { TIMER_SECTIONS = 16 };

struct timings {
    int count;
    const char *name[TIMER_SECTIONS];
    double seconds[TIMER_SECTIONS];
    double begun[TIMER_SECTIONS];
};

/* Seconds since an arbitrary fixed moment, monotonic. */
double timer_now(void);
/* Seconds of processor time that this process has used. */
double timer_processor(void);

/* Adds a section and returns its number. name must outlive the table. */
int timings_add(struct timings *t, const char *name);
void timer_begin(struct timings *t, int section);
void timer_end(struct timings *t, int section);

#endif
