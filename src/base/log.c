/* One line at a time, to standard error and to the log file. The only state is who speaks (the rank), the
 * file, and whether the terminal shows a progress line: the next ordinary line must not be written behind it.
 * The file gets a time stamp on every line and is flushed, so that it tells the story of a run that was killed. Where it
 * cannot be written any more the terminal says so, once, and has all the rest. */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

void log_rewrite(const char *line) {
    if (own_rank != 0 || (!line && !line_open))
        return;
    fprintf(stderr, "\r\033[K%s", line ? line : "");
    fflush(stderr);
    line_open = line != NULL;
}

bool log_speaks(void) {
    return own_rank == 0;
}
