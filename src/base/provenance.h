/* Where a result came from: everything about the program and the machine that made it. */
#ifndef EPFLOW_BASE_PROVENANCE_H
#define EPFLOW_BASE_PROVENANCE_H

#include "base/status.h"

#define EPFLOW_NAME "epflow"

/* "0.1.0"; "a1b2c3d4e5f6", "a1b2c3d4e5f6, modified", or "unknown" outside git. */
const char *provenance_version(void);
const char *provenance_revision(void);

/* The time now, ISO 8601 in UTC. */
void provenance_now(char out[32]);

/* What the process was started as, and when; call once in main. */
void provenance_command_line(int argc, char **argv);

/* Visits name and value of every item: version, revision, compiler, flags, library versions known at
 * build time, host, command line, start time (ISO 8601, UTC). Ranks and device are added by the
 * caller, who knows them. */
typedef enum status provenance_visitor(const char *name, const char *value, void *context);
enum status provenance_visit(provenance_visitor *visit, void *context);

#endif
