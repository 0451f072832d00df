/* Names, units and descriptions of what an evaluation's file holds. */
#include <math.h>
#include <stdio.h>

#include "commands/evaluate_run.h"

const struct identity_info identity_info[IDENTITIES] = {
    {"I0",
     "stationarity of the energy, no network: <F.b> + eps <div_x F> = (dt/2) <b.K b>, of refined frames 0; "
     "per particle, all frames",
     TERMS, TERMS, ALWAYS},
    {"I1_x", "<|s_x|^2> = -<div_x s_x> on samples noised as in training; per particle", TERM_S_X_SQUARED,
     TERM_MINUS_DIV_S_X, DIFFUSING},
    {"I1_g", "<|s_g|^2> = -<div_g s_g> on samples noised as in training; per particle", TERM_S_G_SQUARED,
     TERM_MINUS_DIV_S_G, ALWAYS},
    {"I2", "<div v> = 0: <div_g v_g> = -<div_x v_x>; per particle", TERM_DIV_G, TERM_MINUS_DIV_X, ALWAYS},
    {"I2_vs", "<v.s> = 0: <v_x.s_x> = -<v_g.s_g>; per particle", TERM_V_X_S_X, TERM_MINUS_V_G_S_G, DIFFUSING},
    {"I3",
     "total entropy production: <|v_g|^2>/gamma = -<div_x b> (with alignment + <|a|^2>/gamma + <div_g a>, a "
     "the "
     "drift of g); per particle",
     TERM_CAPTURED, TERM_EXACT, NOT_DIFFUSING},
    {"I4",
     "total entropy production: <|v_x|^2>/eps + <|v_g|^2>/gamma = <|b|^2>/eps + <div_x b> (with alignment + "
     "<|a|^2>/gamma + <div_g a>, a the drift of g); per particle",
     TERM_CAPTURED, TERM_EXACT, DIFFUSING},
    {"resolved", "resolved entropy production (a lower bound) against the exact one; per particle",
     TERM_RESOLVED, TERM_EXACT, ALWAYS},
};

static const struct {
    const char *name, *unit, *description;
} profile_info[PROFILES] = {
    {"count", "1", "particles in the bin, over all frames"},
    {"density", "r0^-d", "particles per volume"},
    {"density_error", "r0^-d", "its standard error"},
    {"epr", "1/time", "mean entropy production rate of a particle, as the network sees it"},
    {"epr_error", "1/time", "its standard error"},
    {"exact", "1/time", "mean entropy production rate of a particle without a network"},
    {"exact_error", "1/time", "its standard error"},
    {"resolved", "1/time", "mean resolved entropy production rate of a particle"},
    {"resolved_error", "1/time", "its standard error"},
    {"local_density", "1", "mean packing fraction within 5 radii of a particle"},
    {"local_density_error", "1", "its standard error"},
};

static const struct {
    const char *name, *unit, *description;
} class_info[CLASS_QUANTITIES] = {
    {"count", "1", "particles of the class, mean over frames"},
    {"count_error", "1", "its standard error"},
    {"exact", "1/time", "mean rate of a particle without a network"},
    {"exact_error", "1/time", "its standard error"},
    {"captured", "1/time", "mean entropy production rate of a particle, of the model's own flow"},
    {"captured_error", "1/time", "its standard error"},
    {"resolved", "1/time", "mean resolved entropy production rate of a particle"},
    {"resolved_error", "1/time", "its standard error"},
    {"resolved_fraction", "1", "resolved / exact; NaN unless exact > 0"},
    {"resolved_fraction_error", "1", "its standard error"},
};

/* What may be read from rates by class: classes.h. */
static const char *const class_meaning[] = {
    "Sums over all classes are the totals of the certificate. The classes are functions of positions alone, "
    "so "
    "that class by class resolved is a lower bound of the class's own entropy production, whatever the "
    "network, "
    "and equals it on average (as captured does) for the exact score. exact is -div_x b, which is equal to "
    "it only "
    "in the sum over all classes: currents carry the difference from class to class, and resolved_fraction "
    "may "
    "exceed 1.",
    "Sums over all classes are the totals of the certificate. Class by class resolved is neither a bound of "
    "the "
    "class's entropy production nor equal to it, since diffusion takes particles from class to class."};

static void describe_classes(struct evaluation_run *r, enum class_table t, bool diffusing) {
    const struct class_table_info *info = &class_table_info[t];
    struct class_values *v = &r->values[t];
    double *const values[CLASS_QUANTITIES] = {
        v->count,
        v->count_error,
        v->rate[RATE_EXACT],
        v->rate_error[RATE_EXACT],
        v->rate[RATE_CAPTURED],
        v->rate_error[RATE_CAPTURED],
        v->rate[RATE_RESOLVED],
        v->rate_error[RATE_RESOLVED],
        v->fraction,
        v->fraction_error,
    };
    for (int m = 0; m < CLASS_QUANTITIES; m++)
        r->class_quantity[t][m] = (struct evaluation_profile){class_info[m].name, class_info[m].unit,
                                                              class_info[m].description, values[m]};
    snprintf(r->class_description[t], sizeof r->class_description[t],
             "rates by %s, per particle. %s Errors "
             "by the jackknife over blocks of frames and over groups of particles, the larger.",
             info->what, class_meaning[diffusing]);
    r->class_table[t] = (struct evaluation_table){
        .name = info->name,
        .description = r->class_description[t],
        .classes = info->classes,
        .quantities = CLASS_QUANTITIES,
        .names = info->names,
        .edges = v->edges,
        .edges_unit = "1",
        .edges_description =
            "local packing fractions between which each class lies; classes beyond what there is "
            "are of no width",
        .quantity = r->class_quantity[t]};
}

void evaluation_describe(const struct session *s, struct evaluation_run *r) {
    const struct source *source = r->source[0];
    struct evaluation_shape *shape = &r->shape;
    shape->particles = source->slice->n;
    shape->d = source->box.d;
    for (int a = 0; a < MAX_DIMENSION; a++) {
        shape->cells[a] = r->grid->cells[a];
        shape->spacing[a] = r->grid->spacing[a];
        shape->origin[a] = r->grid->origin[a];
    }
    for (int c = 0; c < COLUMNS; c++)
        r->column[c] =
            (struct evaluation_column){column_info[c].name, column_info[c].unit, column_info[c].description,
                                       column_width(r->snapshot, c), column_info[c].integer};
    for (int f = 0; f < FIELDS; f++)
        r->field[f] = (struct evaluation_field){field_info[f].name, field_info[f].unit,
                                                field_info[f].description, field_columns(r->grid, f)};
    for (int m = 0; m < PROFILES; m++)
        r->profile_table[m] = (struct evaluation_profile){profile_info[m].name, profile_info[m].unit,
                                                          profile_info[m].description,
                                                          r->profile_values + (m + 1) * r->profile->bins};
    for (int m = 0; m < IDENTITIES; m++)
        r->identity[m] = (struct evaluation_identity){
            identity_info[m].name, identity_info[m].description, NAN, NAN, NAN, NAN, NAN, 0};
    for (int t = 0; t < CLASS_TABLES; t++)
        describe_classes(r, t, s->config.system.eps > 0);
    shape->columns = COLUMNS;
    shape->column = r->column;
    shape->fields = FIELDS;
    shape->field = r->field;
    shape->profiles = PROFILES;
    shape->profile = r->profile_table;
    shape->identities = IDENTITIES;
    shape->identity = r->identity;
    shape->tables = CLASS_TABLES;
    shape->table = r->class_table;
    shape->bins = r->profile->bins;
}
