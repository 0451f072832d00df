#include "entropy/classes.h"

#include <math.h>
#include <stdlib.h>

#include "base/statistics.h"

enum { SUM_COUNT, SUM_RATES, SUMS = SUM_RATES + CLASS_RATES };
enum { GROUP_BITS = 6, GROUPS = 1 << GROUP_BITS }; /* of particles */
enum { PHASE_CLASSES = 3, DENSITY_CLASSES = CLASS_MOST, CONTACT_CLASSES = 7 };

static const char *const phase_names[PHASE_CLASSES] = {"gas", "interface", "dense"};
static const char *const contact_names[CONTACT_CLASSES] = {"0", "1", "2", "3", "4", "5", "6 or more"};

const struct class_table_info class_table_info[CLASS_TABLES] = {
    [BY_PHASE] = {"by_phase", "phase", PHASE_CLASSES, phase_names},
    [BY_DENSITY] = {"by_density", "local density", DENSITY_CLASSES, NULL},
    [BY_CONTACTS] = {"by_contacts", "number of contacts (evaluation.contact_distance)", CONTACT_CLASSES,
                     contact_names},
};

/* Local densities are multiples of a unit, and the range of them is known only at the end: until then every multiple
 * is a class of its own, up to twice what fills space, the last one and beyond. */
struct classes {
    int frames, frame, d; /* frames of room, frames added */
    int fine[CLASS_TABLES];
    double least, most;             /* multiples of the unit of local density there have been */
    double *of_frame[CLASS_TABLES]; /* (frames, fine, SUMS) of all particles */
    double *of_group[CLASS_TABLES]; /* (GROUPS, fine, SUMS) of this rank's, over all frames */
};

static size_t row_size(const struct classes *c, enum class_table t) {
    return (size_t)c->fine[t] * SUMS;
}

enum status classes_create(const struct snapshot *s, int frames, struct classes **out) {
    struct classes *c = calloc(1, sizeof *c);
    bool good = c != NULL;
    *out = c;
    if (good) {
        *c = (struct classes){.frames = frames, .d = s->box.d, .least = INFINITY, .most = -INFINITY};
        for (int t = 0; t < CLASS_TABLES; t++) {
            c->fine[t] =
                t == BY_DENSITY ? (int)lround(2 / local_density_unit(c->d)) : class_table_info[t].classes;
            c->of_frame[t] = calloc((size_t)frames * row_size(c, t) + 1, sizeof(double));
            c->of_group[t] = calloc(GROUPS * row_size(c, t), sizeof(double));
            good = good && c->of_frame[t] && c->of_group[t];
        }
    }
    if (good)
        return STATUS_OK;
    classes_destroy(out);
    return FAIL(STATUS_FAILURE, "out of memory for the certificate by class of %d frames", frames);
}

void classes_destroy(struct classes **classes) {
    if (!*classes)
        return;
    for (int t = 0; t < CLASS_TABLES; t++) {
        free((*classes)->of_frame[t]);
        free((*classes)->of_group[t]);
    }
    free(*classes);
    *classes = NULL;
}

/* Particles within the radius of the local density, itself included. */
static double nearby(const struct snapshot *s, size_t i) {
    return round(s->column[COLUMN_LOCAL_DENSITY][i] / local_density_unit(s->box.d));
}

/* Ids spread over the groups by multiplication with 2^32 over the golden ratio: no pattern of theirs lands in one. */
static size_t group_of(size_t id) {
    return (uint32_t)((uint32_t)id * 2654435769u) >> (32 - GROUP_BITS);
}

static int class_of(const struct classes *c, enum class_table t, const struct snapshot *s, size_t i) {
    double at = t == BY_PHASE     ? s->column[COLUMN_PHASE][i]
                : t == BY_DENSITY ? nearby(s, i) - 1
                                  : s->column[COLUMN_CONTACTS][i];
    return (int)fmin(at, c->fine[t] - 1);
}

void classes_add(struct classes *c, const struct snapshot *s, struct comm *comm) {
    for (int t = 0; t < CLASS_TABLES; t++) {
        double *frame = c->of_frame[t] + (size_t)c->frame * row_size(c, t);
        for (size_t i = 0; i < s->count; i++) {
            const size_t at = (size_t)class_of(c, t, s, i) * SUMS;
            double *group = c->of_group[t] + group_of(s->begin + i) * row_size(c, t);
            const double values[SUMS] = {1, s->column[COLUMN_EXACT][i], s->column[COLUMN_SIGMA][i],
                                         s->column[COLUMN_RESOLVED][i]};
            for (int m = 0; m < SUMS; m++) {
                frame[at + (size_t)m] += values[m];
                group[at + (size_t)m] += values[m];
            }
        }
        comm_sum(comm, frame, row_size(c, t));
    }
    for (size_t i = 0; i < s->count; i++) {
        c->least = fmin(c->least, nearby(s, i));
        c->most = fmax(c->most, nearby(s, i));
    }
    comm_min(comm, &c->least, 1);
    comm_max(comm, &c->most, 1);
    c->frame++;
}

/* ---- results ---- */

/* One of the sums of the fine classes from begin to end - 1. */
struct part {
    int begin, end, sum;
};

/* Rows of sums: frames, or groups of particles. */
struct rows {
    int count, fine;
    const double *sums; /* (count, fine, SUMS) */
};

static double part_of_row(const struct rows *r, int row, struct part p) {
    double sum = 0;
    for (int k = p.begin; k < p.end; k++)
        sum += r->sums[((size_t)row * (size_t)r->fine + (size_t)k) * SUMS + (size_t)p.sum];
    return sum;
}

static void fill_series(const struct rows *r, struct part above, struct part below, double *series) {
    for (int row = 0; row < r->count; row++) {
        series[row] = part_of_row(r, row, above);
        series[r->count + row] = part_of_row(r, row, below);
    }
}

/* above / below over all frames, with its error by frames and by groups; groups NULL: by frames alone. scratch: twice
 * the larger number of rows. */
static double ratio(const struct rows *frames, const struct rows *groups, struct part above,
                    struct part below, double *scratch, double *error) {
    double total_above = 0, total_below = 0;
    *error = NAN;
    if (groups) {
        fill_series(groups, above, below, scratch);
        *error = jackknife_error(groups->count, scratch, scratch + groups->count);
    }
    fill_series(frames, above, below, scratch);
    *error = fmax(*error, ratio_error(frames->count, scratch, scratch + frames->count)); /* passes over NaN */
    for (int row = 0; row < frames->count; row++) {
        total_above += scratch[row];
        total_below += scratch[frames->count + row];
    }
    return total_above / total_below;
}

/* The fine classes of each class, first[k] to first[k + 1] - 1, and the edges between the classes. */
static void find_ranges(const struct classes *c, enum class_table t, int first[CLASS_MOST + 1],
                        double edges[CLASS_MOST + 1]) {
    const int classes = class_table_info[t].classes, fine = c->fine[t];
    const int begin = t == BY_DENSITY ? (int)fmin(c->least - 1, fine - 1) : 0,
              end = t == BY_DENSITY ? (int)fmin(c->most, fine) : fine, width = end - begin;
    for (int k = 0; k <= classes; k++) {
        first[k] = begin + (width < classes ? (k < width ? k : width) : k * width / classes);
        edges[k] = ((first[k] < end ? first[k] : c->most) + 0.5) * local_density_unit(c->d);
    }
}

static void values_of_class(int k, struct part all, const struct rows *frames, const struct rows *groups,
                            double *scratch, struct class_values *out) {
    struct part everything = {0, frames->fine, SUM_COUNT}, exact = all, resolved = all;
    double particles = part_of_row(frames, 0, everything);
    exact.sum = SUM_RATES + RATE_EXACT;
    resolved.sum = SUM_RATES + RATE_RESOLVED;
    out->count[k] = particles * ratio(frames, NULL, all, everything, scratch, &out->count_error[k]);
    out->count_error[k] *= particles;
    for (int m = 0; m < CLASS_RATES; m++)
        out->rate[m][k] = ratio(frames, groups, (struct part){all.begin, all.end, SUM_RATES + m}, all,
                                scratch, &out->rate_error[m][k]);
    out->fraction[k] = ratio(frames, groups, resolved, exact, scratch, &out->fraction_error[k]);
    if (!(out->rate[RATE_EXACT][k] > 0))
        out->fraction[k] = out->fraction_error[k] = NAN;
}

enum status classes_values(const struct classes *c, enum class_table table, struct comm *comm,
                           struct class_values *out) {
    enum status status = STATUS_OK;
    const size_t size = GROUPS * row_size(c, table);
    const int longest = c->frame > GROUPS ? c->frame : GROUPS;
    int first[CLASS_MOST + 1];
    double *sums = malloc(size * sizeof *sums), *scratch = malloc(2 * (size_t)longest * sizeof *scratch);
    if (!sums || !scratch)
        status = FAIL(STATUS_FAILURE, "out of memory for the certificate by class");
    TRY(comm_agree(comm, status));
    for (size_t m = 0; m < size; m++)
        sums[m] = c->of_group[table][m];
    comm_sum(comm, sums, size);
    const struct rows frames = {c->frame, c->fine[table], c->of_frame[table]},
                      groups = {GROUPS, c->fine[table], sums};
    find_ranges(c, table, first, out->edges);
    for (int k = 0; k < class_table_info[table].classes; k++)
        values_of_class(k, (struct part){first[k], first[k + 1], SUM_COUNT}, &frames, &groups, scratch, out);
out:
    free(scratch);
    free(sums);
    return status;
}
