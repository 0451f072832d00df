/* One line at a time, to standard error and to the log file. The only state is who speaks (the rank), the
 * file, and whether the terminal shows a progress line: the next ordinary line must not be written behind it.
 * The file gets a time stamp on every line and is flushed, so that it tells the story of a run that was killed. Where it
 * cannot be written any more the terminal says so, once, and has all the rest. */
#include "base/log.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
#include "base/timer.h"

static int own_rank;
static FILE *file;
static char file_path[1024]; /* of the file that rank 0 opened, on every rank */
static bool file_failed;     /* and that was said */
static bool told;            /* an error was said */
static bool line_open;       /* the terminal shows a progress line that is not ended */

enum { LINE = 2400 };

void log_start(int rank) {
    own_rank = rank;
    told = false;
}

/* A machine that went down may have left half a line. */
static void end_half_line(const char *path) {
    FILE *f = fopen(path, "r");
    if (!f)
        return;
    const bool half = fseek(f, -1, SEEK_END) == 0 && fgetc(f) != '\n';
    fclose(f);
    if (half)
        fputc('\n', file);
}

enum status log_open(const char *path) {
    log_stop();
    snprintf(file_path, sizeof file_path, "%s", path);
    if (own_rank != 0)
        return STATUS_OK;
    file = fopen(path, "a");
    if (!file)
        return FAIL(STATUS_STORAGE, "%s cannot be written: %s", path, strerror(errno));
    end_half_line(path);
    return STATUS_OK;
}

void log_stop(void) {
    if (file)
        fclose(file);
    file = NULL;
    file_path[0] = '\0';
}

static void end_line(void) {
    if (line_open)
        fputc('\n', stderr);
    line_open = false;
}

static void flush_file(void) {
    if (fflush(file) == 0 && !ferror(file))
        return;
    if (!file_failed)
        fprintf(stderr, "warning: log.txt is not written any more: %s\n", strerror(errno));
    file_failed = true;
    clearerr(file);
}

static void to_file(const char *line) {
    if (!file)
        return;
    char stamp[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", gmtime_r(&now, &utc));
    fprintf(file, "%s  %s\n", stamp, line);
    flush_file();
}

static void say(const char *line) {
    end_line();
    fprintf(stderr, "%s\n", line);
    fflush(stderr);
    to_file(line);
}

#define FORMAT_LINE(line, start)                                                                             \
    do {                                                                                                     \
        va_list arguments;                                                                                   \
        va_start(arguments, format);                                                                         \
        vsnprintf((line) + (start), sizeof(line) - (size_t)(start), format, arguments);                      \
        va_end(arguments);                                                                                   \
    } while (0)

void log_info(const char *format, ...) {
    char line[LINE];
    if (own_rank != 0)
        return;
    FORMAT_LINE(line, 0);
    say(line);
}

void log_warning(const char *format, ...) {
    char line[LINE] = "warning: ";
    if (own_rank != 0)
        return;
    FORMAT_LINE(line, strlen(line));
    say(line);
}

void log_error(const char *message, const char *place) {
    char line[LINE];
    if (own_rank != 0)
        return;
    told = true;
    snprintf(line, sizeof line, "epflow: error: %s", message);
    say(line);
    if (!file)
        return;
    fprintf(file, "                     (recorded at %s)\n", place);
    flush_file();
}

void log_error_alone(const char *message, const char *place) {
    char line[LINE];
    if (told)
        return;
    if (own_rank != 0 && file_path[0] != '\0')
        file = fopen(file_path, "a");
    snprintf(line, sizeof line, "epflow: error: rank %d: %s", own_rank, message);
    say(line);
    if (file)
        fprintf(file, "                     (recorded at %s)\n", place);
    log_stop();
}

/* ---- progress ---- */

static const double SHOW_TERMINAL = 0.5, SHOW_FILE = 30; /* seconds between lines */

void progress_start(struct progress *p, const char *what, double total, double done_before) {
    *p = (struct progress){.what = what, .total = total, .done_before = done_before};
    p->started = p->shown = timer_now();
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

static void show(struct progress *p, double now, double done, const char *detail, bool terminal) {
    char line[LINE], speed[32], left[64] = "unknown time";
    double elapsed = now - p->started, rate = elapsed > 0 ? (done - p->done_before) / elapsed : 0;
    if (rate > 0)
        text_duration((p->total - done) / rate, left, sizeof left);
    rate_text(rate, speed, sizeof speed);
    snprintf(line, sizeof line, "%s %3.0f %%  %s /s  %s left%s%s", p->what,
             p->total > 0 ? floor(100 * done / p->total) : 100, speed, left, detail ? "  " : "",
             detail ? detail : "");
    if (!terminal) {
        say(line);
        return;
    }
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
    line_open = true;
}

void progress_show(struct progress *p, double done, const char *detail) {
    double now = timer_now();
    if (own_rank != 0 || now - p->shown < SHOW_TERMINAL)
        return;
    bool terminal = isatty(STDERR_FILENO); /* a system call, so not at every step */
    if (!terminal && now - p->shown < SHOW_FILE)
        return;
    p->shown = now;
    show(p, now, done, detail, terminal);
}

void progress_end(struct progress *p, const char *detail) {
    char took[64];
    if (own_rank != 0)
        return;
    if (line_open)
        fprintf(stderr, "\r\033[K");
    line_open = false;
    text_duration(timer_now() - p->started, took, sizeof took);
    log_info("%s done in %s%s%s", p->what, took, detail ? "  " : "", detail ? detail : "");
}
