/* JSON (RFC 8259) that is written piece by piece. */
#ifndef EPFLOW_BASE_JSON_H
#define EPFLOW_BASE_JSON_H

#include <stdbool.h>
#include <stdio.h>

/* In quotation marks; a byte that is no UTF-8 becomes "?". Allocated; NULL: out of memory. */
char *json_quote(const char *text);

enum { JSON_DEPTH = 8 };

/* Zero-initialised it takes everything and keeps nothing, as ranks want it that are not to print. */
struct json {
    FILE *stream;
    char *text;
    size_t size;
    int depth;
    bool failed;             /* something is missing: out of memory */
    bool filled[JSON_DEPTH]; /* the object or list at this depth has a member */
    char end[JSON_DEPTH];    /* what ends it */
};
/* Begins with an object. Where there is no memory for it, it stays as zero-initialised. */
void json_start(struct json *j);
/* name: of a member of an object; NULL in a list. */
void json_object(struct json *j, const char *name);
void json_list(struct json *j, const char *name);
void json_end(struct json *j);
/* What is not finite is null. */
void json_number(struct json *j, const char *name, double value);
void json_flag(struct json *j, const char *name, bool value);
/* NULL is null. */
void json_string(struct json *j, const char *name, const char *value);
/* Ends all that is not ended. The text, allocated; NULL: out of memory at any time, or never started. */
char *json_finish(struct json *j);

#endif
