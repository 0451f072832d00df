/* What is known of every particle of one frame, as columns in order of particle id: this rank's slice.
 *
 * The network runs on the owners (snapshot_compute); everything after it (fields, interface, phases,
 * profiles, certificate) reads these columns, which are also what the evaluation file holds. So an
 * interrupted evaluation goes on from its own file.
 */
#ifndef EPFLOW_ENTROPY_SNAPSHOT_H
#define EPFLOW_ENTROPY_SNAPSHOT_H

#include "dynamics/system.h"
#include "learn/noise.h"

enum column {
    COLUMN_POSITION,
    COLUMN_PROPULSION,
    COLUMN_S_X,
    COLUMN_S_G,
    COLUMN_V_X,
    COLUMN_V_G,
    COLUMN_SIGMA_X,
    COLUMN_SIGMA_G,
    COLUMN_SIGMA,
    COLUMN_DIV_X,
    COLUMN_DIV_G,
    COLUMN_EXACT,
    COLUMN_RESOLVED,
    COLUMN_PROBE_VARIANCE,
    COLUMN_LOCAL_DENSITY,
    COLUMN_CONTACTS,
    COLUMN_SMOOTHED_S_X_SQUARED,
    COLUMN_SMOOTHED_DIV_S_X,
    COLUMN_SMOOTHED_S_G_SQUARED,
    COLUMN_SMOOTHED_DIV_S_G,
    COLUMN_SMOOTHED_SIGMA,
    COLUMN_INTERFACE_DISTANCE,
    COLUMN_PHASE,
    COLUMNS
};

enum phase { PHASE_GAS, PHASE_INTERFACE, PHASE_DENSE };

struct column_info {
    const char *name, *unit, *description;
    bool vector; /* d numbers a particle, else one */
    bool integer;
};
extern const struct column_info column_info[COLUMNS];

struct snapshot {
    struct box box;
    size_t n;                /* particles in all */
    size_t begin, count;     /* ids of this rank's slice */
    double *column[COLUMNS]; /* (count, d) or (count) */
};

static inline int column_width(const struct snapshot *s, enum column c) {
    return column_info[c].vector ? s->box.d : 1;
}

enum status snapshot_create(const struct box *box, size_t n, const struct comm *comm, struct snapshot **out);
/* Bytes of so many particles' columns; and of what snapshot_compute takes beside its frame, the columns and the networks'
 * workspace: rows of windows, k neighbours each. */
double snapshot_bytes(int d, double count);
double snapshot_compute_bytes(const struct scores *scores, double owned, double particles, int k,
                              bool noised);
void snapshot_destroy(struct snapshot **snapshot);

/* What one particle adds to the local density, of which this is the unit. */
double local_density_unit(int d);

/* How far a halo must reach for snapshot_compute: the cut-off of the force and the radius of the local density. */
double snapshot_reach(double cutoff);

/* Fills the columns up to COLUMN_SMOOTHED_SIGMA from a frame with halo and neighbours: forces in float64, the
 * flow with `weights` (device), local densities, and the scores once more on the frame moved by noise as in training
 * (by `noise`) for identity (I1) of the smoothed density. Where the dynamics are unknown (force.compute
 * NULL), what needs them is NaN. Fails (STATUS_NUMBERS), naming frame, column, particle and rank, where any other number
 * is not finite. Collective. */
struct snapshot_input {
    const struct frame *frame;
    struct flow_law law;
    struct force_law force;
    struct scores *scores;
    const real *weights;
    double contact_distance;  /* at most 5 r0 */
    double sigma;             /* width of the noise that the model was trained with; 0: none */
    struct frame_noise noise; /* if on x and g, the halo needs training_margin */
    int probes;               /* random directions of divergences, where they are not exact */
};
enum status snapshot_compute(const struct snapshot_input *in, struct comm *comm, struct snapshot *out);

#endif
