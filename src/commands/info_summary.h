/* What any file of epflow says of itself before its numbers: kind, completeness, system, scales. */
#ifndef EPFLOW_COMMANDS_INFO_SUMMARY_H
#define EPFLOW_COMMANDS_INFO_SUMMARY_H

#include "commands/session.h"
#include "io/file.h"

struct info_summary {
    char kind[64];
    bool complete;
    size_t frames, written; /* of a trajectory or an evaluation; 0: other files have none */
    int64_t step;           /* of a model */
    struct config config;   /* it was made with */
    double side[MAX_DIMENSION];
    double persistence_length, cutoff; /* v0 / gamma; of the forces between particles; r0 */
    double
        reach; /* of a model: what is farther from a particle does not change its score, r0; NaN: no model */
    const char *of_reach; /* how that is known */
};

/* *out: allocated, free it. Collective. */
enum status info_summarise(struct session *s, struct h5_file *file, struct info_summary **out);

/* On standard output. */
void info_say_complete(const struct info_summary *i);
void info_say_system(const struct info_summary *i);

/* The object of --json. Allocated. */
char *info_json(const struct info_summary *i);

#endif
