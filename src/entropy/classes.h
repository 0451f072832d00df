/* The certificate by class: the rates of theory.md sections 5 and 6 of the particles of each phase, in ranges of the
 * local density, and with 0, 1, 2, ... contacts.
 *
 * What the rates of a class say. Sums over all classes are the totals of the certificate. All classes here are functions
 * of positions alone, so that for eps = 0 integrating by parts in g works class by class: `resolved` is a lower bound of
 * the class's own entropy production gamma <|g + s_g|^2>, whatever the network, and equals it, and `captured`, where the
 * score is exact. `exact`, -div_x b, is equal to it only summed over all particles: class by class the two differ by
 * what currents carry from one to the other, so resolved / exact may exceed 1 in a class. For eps > 0 integrating by
 * parts in x leaves terms of the particles that cross between classes: only sums over all classes are then bounds.
 *
 * Errors: by the jackknife, over blocks of frames and over groups of particles, the larger of the two, as certificate.h
 * judges the totals; of counts, over blocks of frames. NaN where they cannot be told.
 */
#ifndef EPFLOW_ENTROPY_CLASSES_H
#define EPFLOW_ENTROPY_CLASSES_H

#include "entropy/snapshot.h"

enum class_table { BY_PHASE, BY_DENSITY, BY_CONTACTS, CLASS_TABLES };
enum class_rate { RATE_EXACT, RATE_CAPTURED, RATE_RESOLVED, CLASS_RATES };
enum { CLASS_MOST = 12 }; /* classes of a table */

struct class_table_info {
    const char *name, *what; /* of what the classes are */
    int classes;
    const char *const *names; /* (classes), or NULL where edges tell the classes apart */
};
extern const struct class_table_info class_table_info[CLASS_TABLES];

/* Results of a table, the first `classes` of each array. Means of rates are per particle, 1/time; a class without
 * particles has count 0 and NaN. */
struct class_values {
    double
        edges[CLASS_MOST + 1]; /* of local densities: from the least to the largest there is; classes beyond
                                     what there is are of no width */
    double count[CLASS_MOST], count_error[CLASS_MOST]; /* particles, mean over frames */
    double rate[CLASS_RATES][CLASS_MOST], rate_error[CLASS_RATES][CLASS_MOST];
    double fraction[CLASS_MOST], fraction_error[CLASS_MOST]; /* resolved / exact; NaN unless exact > 0 */
};

struct classes;

enum status classes_create(const struct snapshot *s, int frames, struct classes **out);
void classes_destroy(struct classes **classes);

/* Adds a frame whose phases are known. Collective. */
void classes_add(struct classes *c, const struct snapshot *s, struct comm *comm);

/* Of all frames added. The same on every rank, and, but for rounding, for every number of ranks. Collective.
 * STATUS_FAILURE: out of memory. */
enum status classes_values(const struct classes *c, enum class_table table, struct comm *comm,
                           struct class_values *out);

#endif
