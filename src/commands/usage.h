/* The command line: which command, which options; and --help. */
#ifndef EPFLOW_COMMANDS_USAGE_H
#define EPFLOW_COMMANDS_USAGE_H

#include <stddef.h>

#include "commands/session.h"

struct command {
    const char *name;
    const char
        *argument; /* FILE...: a file; [FILE...]: one if there is one; [word]: a word that may be left out */
    const char *summary;
    bool reads_input;     /* FILE is an input, or there is one built in; else the command opens FILE itself */
    const char *sections; /* of the input, that it reads; NULL: all */
    const char *description;
    enum status (*run)(struct session *s);
    bool computes;        /* on the device of run.device */
    const char *built_in; /* the input where no FILE is given; NULL: none */
    bool closes;          /* with a table of timings, which --json prints, too */
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_SETTING, OPTION_PRINT };
struct option {
    const char *name, *value; /* value: what is to follow the name; NULL: nothing */
    const char *summary;
    enum option_kind kind; /* a bool or a text of the session, a parameter, or something to print */
    size_t offset;         /* in struct session */
    const char *key;       /* the parameter that it sets; NULL: the value names it */
};

struct exit_code {
    int code;
    const char *meaning;
};

/* The tables that the command line, its help and the manual share. */
const struct command *usage_commands(int *count);
const struct option *usage_options(int *count);
const struct exit_code *usage_exit_codes(int *count);

/* Reads the command line into the session. *command is NULL when there is nothing to run (help or version were
 * asked for: *print says to print it, and usage_print does). */
enum status usage_parse(int argc, char **argv, struct session *s, const struct command **command,
                        bool *print);

/* Prints what was asked for, to standard output. Rank 0 only. */
void usage_print(int argc, char **argv);

#endif
