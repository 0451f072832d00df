/* The table of parameters: what the parser, the checks, the help and the outputs all read. Private to base. */
#ifndef EPFLOW_BASE_CONFIG_TABLE_H
#define EPFLOW_BASE_CONFIG_TABLE_H

#include "base/config.h"

enum parameter_type {
    TYPE_REAL,
    TYPE_INTEGER, /* int */
    TYPE_LONG,    /* int64_t */
    TYPE_SEED,    /* uint64_t */
    TYPE_TEXT,    /* char[CONFIG_TEXT] */
    TYPE_CHOICE,  /* enum stored as int */
    TYPE_REALS,   /* one number or a list of up to `room` of them */
    TYPE_FILES,   /* list of texts */
    TYPE_WEIGHTED /* list of {file, weight} */
};

struct parameter {
    const char *section, *key;
    enum parameter_type type;
    size_t offset;        /* in struct config */
    size_t count_offset;  /* of the int that holds a list's length */
    int room;             /* most numbers of a list (TYPE_REALS) */
    const char *unit;     /* "" where there is none */
    const char *fallback; /* default as it would be written, NULL: required, "": computed (help says how) */
    const char *of_response; /* default with network.kind = response, if it is another; a scalar */
    double least, most;
    bool open_least, open_most; /* the bound itself is not allowed */
    const char *choices;        /* "a|b|c" in order of the enum */
    const char *help;
};

extern const struct parameter parameter_table[];
extern const int parameter_count;

/* Where a value came from, for messages: "quick.yaml:7" or "--set". */
struct origin {
    char place[CONFIG_TEXT + 32];
    bool given;
};

/* A document being read. */
struct reading {
    struct config *config;
    struct origin *origin; /* (parameter_count) */
};

/* config_values.c. Index of section.key in the table, or -1. */
int parameter_find(const char *section, const char *key);

bool section_is_known(const char *section);

/* Messages about names that are not in the table, with what may have been meant. */
enum status parameter_unknown(const char *where, const char *section, const char *key);
enum status parameter_unknown_section(const char *where, const char *section);

/* Stores a scalar value written as text, after checking type and range. `where` leads the message. */
enum status parameter_set(struct config *config, const struct parameter *p, const char *where,
                          const char *text);

/* Stores a text after checking that it can be written to outputs and read back; the rest of out is zero. */
enum status parameter_set_text(const struct parameter *p, const char *where, const char *text,
                               char out[CONFIG_TEXT]);

/* "above 0 (time)": what a parameter allows, for "it must be ...". */
void parameter_allowed(const struct parameter *p, char *out, size_t size);

/* config_yaml.c: reads a document of sections; `name` stands for the file in messages. */
enum status config_yaml_document(struct reading *reading, const char *name, const char *text);
/* Reads one value, YAML too, for parameter number p; `where` leads the messages. */
enum status config_yaml_value(struct reading *reading, int p, const char *where, const char *text);

/* config_check.c: required keys, computed defaults, contradictions (not those that only matter to a run of one's
 * own, if the parameters were recorded in a file by an earlier one). */
enum status config_check(struct reading *reading, const char *name, bool recorded);

#endif
