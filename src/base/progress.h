/* Progress of long work, and when it will be over: one line that rewrites itself on a terminal; where standard error is
 * not a terminal, a line after 30 seconds and then ever more rarely. Only rank 0 says anything.
 *
 * The time left is that of what is left at the speed of late: the first part of the work, which is slower while memory is
 * new and lists are tuned, is forgotten. Work that comes once in a while, and may not have come yet, is reckoned with
 * apart (progress_also). */
#ifndef EPFLOW_BASE_PROGRESS_H
#define EPFLOW_BASE_PROGRESS_H

/* How far it was at a moment: seconds of it without what comes once in a while, and units done. */
struct progress_mark {
    double seconds, done;
};

struct progress {
    const char *what;             /* "burn-in", "training", ... */
    double total;                 /* units of work in all */
    double done_before;           /* units that an earlier run did: not counted in the rate */
    double started;               /* seconds, set by progress_start */
    double shown;                 /* seconds at which it was last shown */
    struct progress_mark mark[2]; /* the speed is that since mark[0], a quarter to half of the way */
    struct {
        double total, done, guess, begun, seconds;
    } also;
};
void progress_start(struct progress *p, const char *what, double total, double done_before);
/* Beside the units, so many times there will be something else (a frame, a test): until the first has been, each is taken
 * to need as long as `guess` units. */
void progress_also(struct progress *p, double times, double guess);
/* Around each of them. */
void progress_also_begin(struct progress *p);
void progress_also_end(struct progress *p);
/* done: units done so far; detail: further words such as "loss 0.123", or NULL. Cheap enough to call at every step. */
void progress_show(struct progress *p, double done, const char *detail);
void progress_end(struct progress *p, const char *detail);

#endif
