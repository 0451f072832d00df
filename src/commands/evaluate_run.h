/* An evaluation in progress, and its parts: what the file holds (evaluate_tables.c), frames (evaluate.c), results over
 * all frames (evaluate_results.c). */
#ifndef EPFLOW_COMMANDS_EVALUATE_RUN_H
#define EPFLOW_COMMANDS_EVALUATE_RUN_H

#include "commands/frames.h"
#include "commands/model.h"
#include "entropy/certificate.h"
#include "entropy/classes.h"
#include "entropy/profile.h"
#include "io/evaluation_file.h"

enum { PROFILES = 3 + 2 * PROFILE_QUANTITIES, CLASS_QUANTITIES = 4 + 2 * CLASS_RATES };

/* The identities of theory.md section 5. Where one does not apply (eps = 0 or not) its numbers are NaN. */
enum identity {
    IDENTITY_I0,
    IDENTITY_I1_X,
    IDENTITY_I1_G,
    IDENTITY_I2,
    IDENTITY_I2_VS,
    IDENTITY_I3,
    IDENTITY_I4,
    IDENTITY_RESOLVED,
    IDENTITIES
};
enum identity_where { ALWAYS, NOT_DIFFUSING, DIFFUSING };
struct identity_info {
    const char *name, *description;
    enum certificate_term left, right;
    enum identity_where where;
};
extern const struct identity_info identity_info[IDENTITIES];

struct evaluation_run {
    struct source *source[CONFIG_FILES];
    int sources;
    struct loaded_model model;
    struct system_force force;
    struct snapshot *snapshot;
    struct field_grid *grid;
    struct certificate *certificate;
    struct classes *classes;
    struct profile *profile;
    struct evaluation *file;
    struct evaluation_shape shape;
    struct evaluation_column column[COLUMNS];
    struct evaluation_field field[FIELDS];
    struct evaluation_profile profile_table[PROFILES];
    struct evaluation_identity identity[IDENTITIES];
    struct class_values values[CLASS_TABLES];
    struct evaluation_table class_table[CLASS_TABLES];
    struct evaluation_profile class_quantity[CLASS_TABLES][CLASS_QUANTITIES];
    char class_description[CLASS_TABLES][1024];
    double *profile_values, *time;
    char path[SESSION_PATH], trajectories[4096]; /* what is evaluated, told apart from any other */
    struct timings timings;
    int timer_read, timer_network, timer_fields, timer_files;
};

/* Fills shape and its tables of what the file will hold; grid, snapshot, profile and profile_values are there. */
void evaluation_describe(const struct session *s, struct evaluation_run *r);

/* After the last frame: certificate, classes and profiles into the file, fields.xdmf, and a report. Collective. */
enum status evaluation_results(struct session *s, struct evaluation_run *r);

/* What is meant by entropy production: "informatic" or "informatic, g part". */
const char *evaluation_convention(const struct session *s);

#endif
