#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static char message[2048];
static char place[128];

enum status status_record(enum status status, const char *file, int line, const char *format, ...) {
    if (message[0] != '\0')
        return status;
    const char *name = strrchr(file, '/');
    snprintf(place, sizeof place, "%s:%d", name ? name + 1 : file, line);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    /* It may quote a file: nothing in it is to move the cursor of a terminal. */
    for (char *at = message; *at; at++)
        if (((unsigned char)*at < 0x20 && *at != '\n') || *at == 0x7f)
            *at = '?';
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

void status_clear(void) {
    message[0] = '\0';
    place[0] = '\0';
}
