/* The manual: one text of the tables of commands, options and parameters, in three forms. */
#ifndef EPFLOW_COMMANDS_MANUAL_H
#define EPFLOW_COMMANDS_MANUAL_H

#include <stdbool.h>

/* Whether the command line is "help FORM", which is then printed to standard output. Forms: man, a page for man
 * (section 1); reference, Markdown; completion, what bash completes, to be sourced. Needs neither MPI nor a session. */
bool manual_asked(int argc, char **argv);

#endif
