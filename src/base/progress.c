#include "base/progress.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "base/timer.h"

enum { LINE = 2400 };
static const double SHOW_TERMINAL = 0.5, SHOW_FILE = 30; /* seconds between lines */
static const double SHOW_SHARE = 0.05;                   /* of the time so far, between lines of a file */
static const double FIRST_MARK = 0.02;                   /* seconds */

void progress_start(struct progress *p, const char *what, double total, double done_before) {
    *p = (struct progress){.what = what, .total = total, .done_before = done_before};
    p->mark[0].done = p->mark[1].done = done_before;
    p->started = p->shown = timer_now();
}

void progress_also(struct progress *p, double times, double guess) {
    p->also.total = times;
    p->also.guess = guess;
}

void progress_also_begin(struct progress *p) {
    p->also.begun = timer_now();
}

void progress_also_end(struct progress *p) {
    p->also.seconds += timer_now() - p->also.begun;
    p->also.done++;
}

/* Three digits and an exponent that is a multiple of three: "850", "12.3e6". */
static void rate_text(double rate, char *out, size_t size) {
    int exponent = 0;
    for (; rate >= 999.5; exponent += 3)
        rate /= 1000;
    if (exponent > 0)
        snprintf(out, size, "%.3ge%d", rate, exponent);
    else
        snprintf(out, size, "%.3g", rate);
}

/* Each time it has gone on for twice as long as at the last mark. Going back (a training may) begins anew. */
static void set_marks(struct progress *p, double seconds, double done) {
    if (done < p->mark[0].done)
        p->mark[0] = p->mark[1] = (struct progress_mark){seconds, done};
    if (seconds < fmax(2 * p->mark[1].seconds, FIRST_MARK))
        return;
    p->mark[0] = p->mark[1];
    p->mark[1] = (struct progress_mark){seconds, done};
}

/* Seconds; negative where there is nothing to tell from. */
static double time_left(const struct progress *p, double done, double rate) {
    if (rate <= 0)
        return -1;
    const double each = p->also.done > 0 ? p->also.seconds / p->also.done : p->also.guess / rate;
    return fmax(p->total - done, 0) / rate + fmax(p->also.total - p->also.done, 0) * each;
}

static void show(struct progress *p, double seconds, double done, const char *detail, bool terminal) {
    char line[LINE], speed[32], left[64] = "unknown time";
    const double since = seconds - p->mark[0].seconds;
    const double rate = since > 0 ? fmax(done - p->mark[0].done, 0) / since : 0;
    const double more = time_left(p, done, rate);
    if (more >= 0)
        text_duration(more, left, sizeof left);
    rate_text(rate, speed, sizeof speed);
    snprintf(line, sizeof line, "%s %3.0f %%  %s /s  %s left%s%s", p->what,
             p->total > 0 ? floor(100 * done / p->total) : 100, speed, left, detail ? "  " : "",
             detail ? detail : "");
    if (terminal)
        log_rewrite(line);
    else
        log_info("%s", line);
}

void progress_show(struct progress *p, double done, const char *detail) {
    if (!log_speaks())
        return;
    const double now = timer_now(), seconds = now - p->started - p->also.seconds;
    set_marks(p, seconds, done);
    if (now - p->shown < SHOW_TERMINAL)
        return;
    const bool terminal = isatty(STDERR_FILENO); /* a system call, so not at every step */
    if (!terminal && now - p->shown < fmax(SHOW_FILE, SHOW_SHARE * (now - p->started)))
        return;
    p->shown = now;
    show(p, seconds, done, detail, terminal);
}

void progress_end(struct progress *p, const char *detail) {
    char took[64];
    if (!log_speaks())
        return;
    log_rewrite(NULL);
    text_duration(timer_now() - p->started, took, sizeof took);
    log_info("%s done in %s%s%s", p->what, took, detail ? "  " : "", detail ? detail : "");
}
