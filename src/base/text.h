/* Small helpers with words. */
#ifndef EPFLOW_BASE_TEXT_H
#define EPFLOW_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Edits (insert, delete, replace one character) that turn a into b; both below 128 characters. */
int text_distance(const char *a, const char *b);

/* The nearest of count words, or NULL if none is near enough to be what was meant. */
const char *text_nearest(const char *word, int count, const char *const words[]);

/* "3.2 s", "2 min 05 s", "1 h 02 min". */
void text_duration(double seconds, char *out, size_t size);

/* A text that may quote a file: control characters, which would move the cursor of a terminal, become '?'. lines: but
 * for the ends of lines. */
void text_plain(char *text, bool lines);

/* "512 B", "12.3 MiB". */
void text_bytes(double bytes, char *out, size_t size);

#endif
