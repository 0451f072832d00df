/* Export: particles of a trajectory or an evaluation in a file that other programs read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/progress.h"
#include "base/text.h"
#include "commands/commands.h"
#include "io/export.h"

/* ---- which frames ---- */

/* A whole number at *at, which goes on behind it; the fallback where there is none. */
static long long number(const char **at, long long fallback) {
    char *end;
    const long long value = strtoll(*at, &end, 10);
    const bool none = end == *at;
    *at = end;
    return none ? fallback : value;
}

/* From the end, where it is negative; between 0 and `frames`. */
static long long place(long long value, long long frames) {
    const long long counted = value < 0 ? value + frames : value;
    return counted < 0 ? 0 : counted > frames ? frames : counted;
}

/* As Python writes slices: "7", "-1", "10:20", "::10". Frames first, first + stride, ... before last. */
static enum status parse_frames(const char *text, size_t frames, size_t *first, size_t *last,
                                size_t *stride) {
    const long long all = (long long)frames;
    const char *at = text;
    long long begin = number(&at, 0), end = begin == -1 ? all : begin + 1, step = 1;
    const bool slice = *at == ':';
    if (slice) {
        at++;
        end = number(&at, all);
        if (*at == ':') {
            at++;
            step = number(&at, 1);
        }
    }
    if (*text == '\0' || *at != '\0' || step < 1)
        return FAIL(STATUS_BAD_INPUT,
                    "--frames %s is not understood: give one frame (7, or -1 for the last) or "
                    "FIRST:END:STRIDE, as Python counts (::10)",
                    text);
    if (!slice && (begin >= all || begin < -all))
        return FAIL(STATUS_BAD_INPUT, "--frames %s: there are %lld frames, 0 to %lld", text, all, all - 1);
    *first = (size_t)place(begin, all);
    *last = (size_t)place(end, all);
    *stride = (size_t)step;
    return *first < *last ? STATUS_OK
                          : FAIL(STATUS_BAD_INPUT, "--frames %s is none of the %lld frames", text, all);
}

/* (count), allocated. */
static enum status choose_frames(const struct session *s, size_t frames, size_t *count, size_t **out) {
    enum status status = STATUS_OK;
    size_t first = 0, last = frames, stride = 1;
    if (s->frames)
        TRY(parse_frames(s->frames, frames, &first, &last, &stride));
    *count = (last - first + stride - 1) / stride;
    *out = calloc(*count, sizeof **out);
    if (!*out)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", *count);
    for (size_t m = 0; m < *count && status == STATUS_OK; m++)
        (*out)[m] = first + m * stride;
out:
    return comm_agree(s->comm, status);
}

/* ---- which format, which file ---- */

static bool ends_with(const char *text, const char *ending) {
    const size_t length = strlen(text), tail = strlen(ending);
    return length > tail && strcmp(text + length - tail, ending) == 0;
}

/* As --format says, or the ending of --output. */
static enum status choose_format(const struct session *s, const struct export_format **out) {
    *out = NULL;
    for (int m = 0; m < EXPORT_FORMATS; m++)
        if (s->format ? strcmp(s->format, export_format[m]->name) == 0
                      : s->output && ends_with(s->output, export_format[m]->ending))
            *out = export_format[m];
    if (*out)
        return STATUS_OK;
    if (s->format)
        return FAIL(STATUS_BAD_INPUT, "format %s is not known: there are xyz (OVITO, ASE) and amep (AMEP)",
                    s->format);
    return FAIL(STATUS_BAD_INPUT, "which format? --format xyz (OVITO, ASE) or --format amep (AMEP)");
}

/* --output; or beside FILE.h5 as FILE.xyz. */
static enum status choose_path(const struct session *s, const struct export_format *format,
                               char out[SESSION_PATH]) {
    const char *from = s->output ? s->output : s->file;
    const int length = (int)strlen(from) - (!s->output && ends_with(from, ".h5") ? 3 : 0);
    if (length + strlen(format->ending) + sizeof ".part" > SESSION_PATH)
        return FAIL(STATUS_BAD_INPUT, "the path %s is too long", from);
    snprintf(out, SESSION_PATH, "%.*s%s", length, from, s->output ? "" : format->ending);
    if (!ends_with(out, format->ending))
        return FAIL(STATUS_BAD_INPUT, "--output %s: files of format %s end in %s", out, format->name,
                    format->ending);
    if (file_exists(s->comm, out) && !s->overwrite)
        return FAIL(STATUS_BAD_INPUT,
                    "%s is there already: replace it by --overwrite, or choose another by --output", out);
    return STATUS_OK;
}

/* ---- the work ---- */

static void say_plan(const struct session *s, const struct columns *c, size_t count, const size_t *frame,
                     const struct export_format *format, const char *path) {
    char names[COLUMNS_MOST * (COLUMN_NAME + 2)] = "";
    size_t used = 0;
    for (int m = 0; m < c->count; m++)
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", m > 0 ? ", " : "", c->column[m].name);
    text_plain(names, false);
    log_info("from      %s: %zu of %zu frames (%zu to %zu), %zu particles", s->file, count, c->frames,
             frame[0], frame[count - 1], c->particles);
    log_info("columns   id, %s", names);
    log_info("to        %s, for %s", path, format->readers);
}

static enum status write_frames(const struct session *s, struct columns *c, size_t count, const size_t *frame,
                                const struct export_format *format, const char *path) {
    enum status status = STATUS_OK;
    struct export *e = NULL;
    struct progress progress;
    TRY(export_begin(c, format, count, frame, path, &e));
    progress_start(&progress, "export", (double)count, 0);
    for (size_t m = 0; m < count; m++) {
        TRY(export_frame(e, frame[m]));
        if (comm_rank(s->comm) == 0)
            progress_show(&progress, (double)m + 1, "frames");
    }
    if (comm_rank(s->comm) == 0)
        progress_end(&progress, "frames");
    TRY(export_finish(&e));
out:
    if (e)
        export_discard(&e);
    return status;
}

enum status command_export(struct session *s) {
    enum status status = STATUS_OK;
    const struct export_format *format = NULL;
    struct columns *c = NULL;
    size_t count = 0, *frame = NULL;
    char path[SESSION_PATH];
    TRY(choose_format(s, &format));
    TRY(choose_path(s, format, path));
    TRY(columns_open(s->comm, s->file, s->columns, &c));
    TRY(choose_frames(s, c->frames, &count, &frame));
    say_plan(s, c, count, frame, format, path);
    if (!s->dry_run)
        TRY(write_frames(s, c, count, frame, format, path));
out:
    free(frame);
    columns_close(&c);
    return status;
}
