#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static char message[STATUS_MESSAGE];
static char place[STATUS_PLACE];

enum status status_record(enum status status, const char *file, int line, const char *format, ...) {
    if (message[0] != '\0')
        return status;
    const char *name = strrchr(file, '/');
    snprintf(place, sizeof place, "%s:%d", name ? name + 1 : file, line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    text_plain(message, true);
    return status;
}

const char *status_message(void) {
    return message;
}

const char *status_place(void) {
    return place;
}

void status_adopt(const char *other_message, const char *other_place) {
    snprintf(message, sizeof message, "%s", other_message);
    snprintf(place, sizeof place, "%s", other_place);
}

void status_hold(struct status_note *note) {
    snprintf(note->message, sizeof note->message, "%s", message);
    snprintf(note->place, sizeof note->place, "%s", place);
    status_clear();
}

void status_put_back(const struct status_note *note) {
    status_adopt(note->message, note->place);
}

void status_clear(void) {
    message[0] = '\0';
    place[0] = '\0';
}
