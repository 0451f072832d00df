/* Names and values as they are looked up in the table of parameters, with the messages about those that are not in it. */
#include "base/config_table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

int parameter_find(const char *section, const char *key) {
    for (int i = 0; i < parameter_count; i++)
        if (strcmp(parameter_table[i].section, section) == 0 && strcmp(parameter_table[i].key, key) == 0)
            return i;
    return -1;
}

bool section_is_known(const char *section) {
    for (int i = 0; i < parameter_count; i++)
        if (strcmp(parameter_table[i].section, section) == 0)
            return true;
    return false;
}

/* ---- names that are not in the table ---- */

/* A value or name of an input as a message shows it: its beginning. */
#define SHOWN "%.80s"

/* The section that has a key of this name, or NULL. */
static const char *section_with(const char *key) {
    for (int i = 0; i < parameter_count; i++)
        if (strcmp(parameter_table[i].key, key) == 0)
            return parameter_table[i].section;
    return NULL;
}

enum status parameter_unknown_section(const char *where, const char *section) {
    const char *known[16] = {NULL};
    int count = 0;
    for (int i = 0; i < parameter_count; i++)
        if (count == 0 || strcmp(known[count - 1], parameter_table[i].section) != 0)
            known[count++] = parameter_table[i].section;
    const char *nearest = text_nearest(section, count, known), *home = section_with(section);
    if (home)
        return FAIL(STATUS_BAD_INPUT, "%s: %s is a key, not a section; did you mean %s.%s?", where, section,
                    home, section);
    if (nearest)
        return FAIL(STATUS_BAD_INPUT, "%s: section " SHOWN " is not known; did you mean %s?", where, section,
                    nearest);
    return FAIL(STATUS_BAD_INPUT,
                "%s: section " SHOWN " is not known; the sections are system, simulation, network, response, "
                "training, evaluation, data, output and run",
                where, section);
}

enum status parameter_unknown(const char *where, const char *section, const char *key) {
    const char *known[64] = {NULL};
    int count = 0;
    for (int i = 0; i < parameter_count; i++)
        if (strcmp(parameter_table[i].section, section) == 0)
            known[count++] = parameter_table[i].key;
    if (count == 0)
        return parameter_unknown_section(where, section);
    const char *nearest = text_nearest(key, count, known), *home = section_with(key);
    if (home)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s is not known; did you mean %s.%s?", where, section, key,
                    home, key);
    if (nearest)
        return FAIL(STATUS_BAD_INPUT, "%s: %s." SHOWN " is not known; did you mean %s.%s?", where, section,
                    key, section, nearest);
    return FAIL(STATUS_BAD_INPUT,
                "%s: %s." SHOWN " is not known; epflow help lists the keys of every section", where, section,
                key);
}

/* ---- values ---- */

void parameter_allowed(const struct parameter *p, char *out, size_t size) {
    char unit[64] = "";
    if (p->unit[0] != '\0')
        snprintf(unit, sizeof unit, " (%s)", p->unit);
    if (p->type == TYPE_CHOICE)
        snprintf(out, size, "one of %s", p->choices);
    else if (p->type == TYPE_TEXT)
        snprintf(out, size, "a text%s", unit);
    else if (isinf(p->most))
        snprintf(out, size, "%s %.10g%s", p->open_least ? "above" : "at least", p->least, unit);
    else
        snprintf(out, size, "%s %.10g and %s %.10g%s", p->open_least ? "above" : "at least", p->least,
                 p->open_most ? "below" : "at most", p->most, unit);
}

static enum status refuse(const struct parameter *p, const char *where, const char *text, const char *what) {
    char allowed[256];
    parameter_allowed(p, allowed, sizeof allowed);
    if (text[0] == '\0')
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s has no value: it must be %s", where, p->section, p->key,
                    allowed);
    return FAIL(STATUS_BAD_INPUT, "%s: %s.%s = " SHOWN " %s: it must be %s", where, p->section, p->key, text,
                what, allowed);
}

/* A number in decimal, the whole of the text, finite. */
static bool read_number(const char *text, double *out) {
    if (text[0] == '\0' || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    char *end;
    *out = strtod(text, &end);
    return *end == '\0' && isfinite(*out);
}

static bool in_range(const struct parameter *p, double value) {
    return (p->open_least ? value > p->least : value >= p->least) &&
           (p->open_most ? value < p->most : value <= p->most);
}

static bool read_seed(const char *text, uint64_t *out) {
    char *end;
    if (text[0] == '\0' || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    *out = strtoull(text, &end, 10);
    return errno == 0;
}

static int choice_of(const char *choices, const char *text) {
    size_t length = strlen(text);
    int index = 0;
    for (const char *c = choices; length > 0; c++, index++) {
        size_t word = strcspn(c, "|");
        if (word == length && strncmp(c, text, word) == 0)
            return index;
        c += word;
        if (*c == '\0')
            break;
    }
    return -1;
}

enum status parameter_set_text(const struct parameter *p, const char *where, const char *text,
                               char out[CONFIG_TEXT]) {
    const size_t length = strlen(text);
    bool plain = text[0] != '[';
    for (size_t i = 0; i < length; i++)
        plain =
            plain && text[i] != '"' && text[i] != '\\' && (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
    const bool may_be_empty = p->fallback && p->fallback[0] == '\0';
    if ((length == 0 && !may_be_empty) || length >= CONFIG_TEXT)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s must be a text of 1 to %d characters", where, p->section,
                    p->key, CONFIG_TEXT - 1);
    if (!plain)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: %s.%s: a text must not hold double quotes, backslashes or control characters, "
                    "nor begin with [",
                    where, p->section, p->key);
    memset(out, 0, CONFIG_TEXT);
    memcpy(out, text, length);
    return STATUS_OK;
}

enum status parameter_set(struct config *config, const struct parameter *p, const char *where,
                          const char *text) {
    char *target = (char *)config + p->offset;
    double number = 0;
    uint64_t seed;
    int choice;
    switch (p->type) {
    case TYPE_TEXT:
        return parameter_set_text(p, where, text, target);
    case TYPE_CHOICE:
        choice = choice_of(p->choices, text);
        if (choice < 0)
            return refuse(p, where, text, "is not known");
        *(int *)target = choice;
        return STATUS_OK;
    case TYPE_SEED:
        if (!read_seed(text, &seed))
            return FAIL(STATUS_BAD_INPUT,
                        "%s: %s.%s = " SHOWN " is not a whole number from 0 to 18446744073709551615", where,
                        p->section, p->key, text);
        memcpy(target, &seed, sizeof seed);
        return STATUS_OK;
    default:
        break;
    }
    if (!read_number(text, &number))
        return refuse(p, where, text, "is not a number");
    if ((p->type == TYPE_INTEGER || p->type == TYPE_LONG) && number != floor(number))
        return refuse(p, where, text, "is not a whole number");
    if (!in_range(p, number))
        return refuse(p, where, text, "is out of range");
    if (p->type == TYPE_INTEGER)
        *(int *)target = (int)number;
    else if (p->type == TYPE_LONG)
        *(int64_t *)target = (int64_t)number;
    else
        *(double *)target = number;
    return STATUS_OK;
}
