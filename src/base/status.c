#include "base/status.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "base/timer.h"

static char message[STATUS_MESSAGE];
static char place[STATUS_PLACE];
static enum status code, own;
static _Atomic double since; /* when what is recorded came here, 0 if nothing: another thread asks */

static void note_time(void) {
    since = code != STATUS_OK && code != STATUS_STOPPED ? timer_now() : 0;
}

enum status status_record(enum status status, const char *file, int line, const char *format, ...) {
    if (message[0] != '\0' && code != STATUS_STOPPED)
        return status;
    const char *name = strrchr(file, '/');
    snprintf(place, sizeof place, "%s:%d", name ? name + 1 : file, line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    text_plain(message, true);
    code = status;
    own = status != STATUS_STOPPED ? status : STATUS_OK;
    note_time();
    return status;
}

const char *status_message(void) {
    return message;
}

const char *status_place(void) {
    return place;
}

enum status status_code(void) {
    return code;
}

enum status status_own(void) {
    return own;
}

double status_age(void) {
    const double began = since;
    return began > 0 ? timer_now() - began : 0;
}

void status_hold(struct status_note *note) {
    snprintf(note->message, sizeof note->message, "%s", message);
    snprintf(note->place, sizeof note->place, "%s", place);
    note->code = code;
    note->own = own;
    status_clear();
}

void status_put_back(const struct status_note *note) {
    snprintf(message, sizeof message, "%s", note->message);
    snprintf(place, sizeof place, "%s", note->place);
    code = note->code;
    own = note->own;
    note_time();
}

void status_clear(void) {
    status_put_back(&(struct status_note){0});
}
