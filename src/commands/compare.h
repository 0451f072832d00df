/* An evaluation against what is known exactly. */
#ifndef EPFLOW_COMMANDS_COMPARE_H
#define EPFLOW_COMMANDS_COMPARE_H

#include "commands/session.h"

/* Reads a complete evaluation, works out the exact flow of its particles where there is one (entropy/reference.h), prints
 * how they compare and writes check.h5 beside it. Collective. */
enum status compare_evaluation(struct session *s, const char *path);

#endif
