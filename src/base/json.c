#include "base/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the UTF-8 character that text begins with; 0 where it is none. */
static size_t character_size(const unsigned char *text) {
    size_t size = text[0] < 0x80   ? 1
                  : text[0] < 0xc2 ? 0
                  : text[0] < 0xe0 ? 2
                  : text[0] < 0xf0 ? 3
                  : text[0] < 0xf5 ? 4
                                   : 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    bool surrogate = text[0] == 0xed && size == 3 && text[1] >= 0xa0;
    bool overlong = size > 2 && ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90));
    bool beyond = text[0] == 0xf4 && size == 4 && text[1] >= 0x90;
    return surrogate || overlong || beyond ? 0 : size;
}

char *json_quote(const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    char *json = malloc(6 * strlen(text) + 3), *end = json;
    if (!json)
        return NULL;
    *end++ = '"';
    while (*at) {
        size_t size = character_size(at);
        if (*at == '"' || *at == '\\')
            end += sprintf(end, "\\%c", *at);
        else if (*at < 0x20)
            end += sprintf(end, "\\u%04x", *at);
        else if (size == 0)
            *end++ = '?';
        else
            end = (char *)memcpy(end, at, size) + size;
        at += size > 0 ? size : 1;
    }
    *end++ = '"';
    *end = '\0';
    return json;
}

/* Before a member: a comma, a new line, its name. */
static void begin_member(struct json *j, const char *name) {
    char *key = name ? json_quote(name) : NULL;
    j->failed = j->failed || (name && !key);
    fprintf(j->stream, "%s\n%*s%s%s", j->filled[j->depth - 1] ? "," : "", 2 * j->depth, "", key ? key : "",
            key ? ": " : "");
    j->filled[j->depth - 1] = true;
    free(key);
}

static void begin(struct json *j, const char *name, char opening, char end) {
    if (!j->stream || j->depth == JSON_DEPTH)
        return;
    if (j->depth > 0)
        begin_member(j, name);
    fputc(opening, j->stream);
    j->filled[j->depth] = false;
    j->end[j->depth++] = end;
}

void json_start(struct json *j) {
    *j = (struct json){0};
    j->stream = open_memstream(&j->text, &j->size);
    begin(j, NULL, '{', '}');
}

void json_object(struct json *j, const char *name) {
    begin(j, name, '{', '}');
}

void json_list(struct json *j, const char *name) {
    begin(j, name, '[', ']');
}

void json_end(struct json *j) {
    if (!j->stream)
        return;
    j->depth--;
    if (j->filled[j->depth])
        fprintf(j->stream, "\n%*s", 2 * j->depth, "");
    fputc(j->end[j->depth], j->stream);
}

void json_number(struct json *j, const char *name, double value) {
    if (!j->stream)
        return;
    begin_member(j, name);
    fprintf(j->stream, isfinite(value) ? "%.17g" : "null", value);
}

void json_flag(struct json *j, const char *name, bool value) {
    if (!j->stream)
        return;
    begin_member(j, name);
    fputs(value ? "true" : "false", j->stream);
}

void json_string(struct json *j, const char *name, const char *value) {
    if (!j->stream)
        return;
    char *quoted = value ? json_quote(value) : NULL;
    j->failed = j->failed || (value && !quoted);
    begin_member(j, name);
    fputs(quoted ? quoted : "null", j->stream);
    free(quoted);
}

char *json_finish(struct json *j) {
    if (!j->stream)
        return NULL;
    while (j->depth > 0)
        json_end(j);
    fputc('\n', j->stream);
    const bool whole = !ferror(j->stream) && !j->failed;
    const bool closed = fclose(j->stream) == 0;
    j->stream = NULL;
    if (whole && closed)
        return j->text;
    free(j->text);
    return NULL;
}
