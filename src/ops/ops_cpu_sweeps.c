/* Sweeps of the response network on the CPU: the stiffness of every contact at displaced positions, a block of contacts
 * at a time, one SIMD lane a contact; and what it does to vectors, receiver after receiver in the order of contacts. */
#include "ops/network_loops.h"

#include <math.h>

#include "ops/edge_formula.h"

enum { BLOCK = 16 };
typedef real lane[BLOCK];
#define EACH_LANE(l) for (int l = 0; l < BLOCK; l++)

static void contact_vectors(const struct ops *ops, const struct box *box, uint64_t *const q[],
                            struct contacts *contacts) {
    (void)ops;
    for (size_t i = 0; i < contacts->receivers; i++)
        for (size_t e = contacts->start[i]; e < contacts->start[i + 1]; e++) {
            const size_t j = contacts->sender[e];
            contacts->receiver[e] = (uint32_t)i;
            for (int a = 0; a < box->d; a++)
                contacts->x[(size_t)a * contacts->count + e] =
                    (real)((double)(int64_t)(q[a][i] - q[a][j]) * (box->side[a] * 0x1p-64));
        }
}

/* ---- stiffness ---- */

/* v_i - v_j of the block's contacts, of v (particles, d). */
static inline void read_differences(int d, const struct contacts *contacts, size_t first, int valid,
                                    const real *v, lane *difference) {
    EACH_LANE(l) {
        const size_t e = first + (size_t)(l < valid ? l : valid - 1);
        const real *receiver = v + contacts->receiver[e] * (size_t)d;
        const real *sender = v + contacts->sender[e] * (size_t)d;
        for (int a = 0; a < d; a++)
            difference[a][l] = receiver[a] - sender[a];
    }
}

/* x - D of the block's contacts. */
static inline void read_moved(int d, const struct contacts *contacts, size_t first, int valid,
                              const real *shift, lane *moved) {
    lane difference[MAX_DIMENSION];
    read_differences(d, contacts, first, valid, shift, difference);
    for (int a = 0; a < d; a++) {
        const real *x = contacts->x + (size_t)a * contacts->count + first;
        EACH_LANE(l) moved[a][l] = x[l < valid ? l : valid - 1] - difference[a][l];
    }
}

/* n, r, and p = kn - kt, t = kt with dp/dr, dt/dr. */
struct pair_lanes {
    lane n[MAX_DIMENSION], r, p, t, dp, dt;
};

static inline void pair_terms_of(int d, const struct response_law *law, const lane *moved,
                                 struct pair_lanes *at) {
    const real k = (real)law->k, beta = (real)law->beta, guard = (real)law->constants.shot_guard;
    EACH_LANE(l) {
        real square = guard;
        for (int a = 0; a < d; a++)
            square += moved[a][l] * moved[a][l];
        const struct contact_term term = contact_term_of(k, beta, square);
        for (int a = 0; a < d; a++)
            at->n[a][l] = moved[a][l] * term.inverse;
        at->r[l] = term.r;
        at->t[l] = term.t;
        at->p[l] = term.p;
        at->dt[l] = term.dt;
        at->dp[l] = term.dp;
    }
}

/* Component (a, b) of a contact, a <= b, in order of the rows of the upper triangle. */
static inline void write_component(const struct contacts *contacts, int component, size_t first, int valid,
                                   const lane from, real *to) {
    real *out = to + (size_t)component * contacts->count + first;
    for (int l = 0; l < valid; l++)
        out[l] = from[l];
}

static inline __attribute__((always_inline)) void stiffness_of(int d, const struct response_law *law,
                                                               const struct contacts *contacts, size_t first,
                                                               int valid, const real *shift, real *stiff) {
    lane moved[MAX_DIMENSION], out;
    struct pair_lanes at;
    read_moved(d, contacts, first, valid, shift, moved);
    pair_terms_of(d, law, moved, &at);
    for (int a = 0, c = 0; a < d; a++)
        for (int b = a; b < d; b++, c++) {
            EACH_LANE(l) out[l] = at.p[l] * at.n[a][l] * at.n[b][l] + (a == b ? at.t[l] : 0);
            write_component(contacts, c, first, valid, out, stiff);
        }
}

/* Along dx = -(dD_i - dD_j): dr = n . dx, dn = (dx - n dr)/r. */
static inline __attribute__((always_inline)) void
stiffness_tangent_of(int d, const struct response_law *law, const struct contacts *contacts, size_t first,
                     int valid, const real *shift, const real *dshift, real *dstiff) {
    lane moved[MAX_DIMENSION], dx[MAX_DIMENSION], dr, out;
    struct pair_lanes at;
    read_moved(d, contacts, first, valid, shift, moved);
    read_differences(d, contacts, first, valid, dshift, dx);
    pair_terms_of(d, law, moved, &at);
    EACH_LANE(l) {
        real sum = 0;
        for (int a = 0; a < d; a++)
            sum -= at.n[a][l] * dx[a][l];
        dr[l] = sum;
        for (int a = 0; a < d; a++)
            dx[a][l] = (-dx[a][l] - at.n[a][l] * sum) / at.r[l]; /* dn */
    }
    for (int a = 0, c = 0; a < d; a++)
        for (int b = a; b < d; b++, c++) {
            EACH_LANE(l)
            out[l] = at.dp[l] * dr[l] * at.n[a][l] * at.n[b][l] +
                     at.p[l] * (dx[a][l] * at.n[b][l] + at.n[a][l] * dx[b][l]) +
                     (a == b ? at.dt[l] * dr[l] : 0);
            write_component(contacts, c, first, valid, out, dstiff);
        }
}

static void contact_stiffness(const struct ops *ops, const struct response_law *law,
                              const struct contacts *contacts, const real *shift, real *stiff) {
    (void)ops;
    for (size_t e = 0; e < contacts->count; e += BLOCK) {
        const int valid = contacts->count - e < BLOCK ? (int)(contacts->count - e) : BLOCK;
        if (law->d == 2)
            stiffness_of(2, law, contacts, e, valid, shift, stiff);
        else
            stiffness_of(law->d, law, contacts, e, valid, shift, stiff);
    }
}

static void contact_stiffness_tangent(const struct ops *ops, const struct response_law *law,
                                      const struct contacts *contacts, const real *shift, const real *dshift,
                                      real *dstiff) {
    (void)ops;
    for (size_t e = 0; e < contacts->count; e += BLOCK) {
        const int valid = contacts->count - e < BLOCK ? (int)(contacts->count - e) : BLOCK;
        if (law->d == 2)
            stiffness_tangent_of(2, law, contacts, e, valid, shift, dshift, dstiff);
        else
            stiffness_tangent_of(law->d, law, contacts, e, valid, shift, dshift, dstiff);
    }
}

/* ---- what it does to vectors ---- */

/* sum += K_e (x_i - x_j). */
static inline __attribute__((always_inline)) void add_product(int d, const struct contacts *contacts,
                                                              size_t e, const real *stiff, const real *own,
                                                              const real *x, real sum[]) {
    const real *sender = x + contacts->sender[e] * (size_t)d;
    real difference[MAX_DIMENSION];
    for (int a = 0; a < d; a++)
        difference[a] = own[a] - sender[a];
    for (int a = 0, c = 0; a < d; a++)
        for (int b = a; b < d; b++, c++) {
            const real k = stiff[(size_t)c * contacts->count + e];
            sum[a] += k * difference[b];
            if (b > a)
                sum[b] += k * difference[a];
        }
}

/* dstiff NULL: the first product alone. */
static inline __attribute__((always_inline)) void steps_of(int d, const struct contacts *contacts,
                                                           real factor, const real *stiff, const real *x,
                                                           const real *dstiff, const real *dx,
                                                           const real *base, const real *source, real *out) {
    for (size_t i = 0; i < contacts->receivers; i++) {
        const size_t at = i * (size_t)d;
        real sum[MAX_DIMENSION] = {0};
        for (size_t e = contacts->start[i]; e < contacts->start[i + 1]; e++) {
            add_product(d, contacts, e, stiff, dstiff ? dx + at : x + at, dstiff ? dx : x, sum);
            if (dstiff)
                add_product(d, contacts, e, dstiff, x + at, x, sum);
        }
        for (int a = 0; a < d; a++)
            out[at + (size_t)a] =
                (base ? base[at + (size_t)a] : 0) + factor * ((source ? source[at + (size_t)a] : 0) - sum[a]);
    }
}

static void contact_step(const struct ops *ops, int d, const struct contacts *contacts, double factor,
                         const real *stiff, const real *x, const real *base, const real *source, real *out) {
    (void)ops;
    if (d == 2)
        steps_of(2, contacts, (real)factor, stiff, x, NULL, NULL, base, source, out);
    else
        steps_of(d, contacts, (real)factor, stiff, x, NULL, NULL, base, source, out);
}

static void contact_step_tangent(const struct ops *ops, int d, const struct contacts *contacts, double factor,
                                 const real *stiff, const real *x, const real *dstiff, const real *dx,
                                 const real *dbase, const real *dsource, real *dout) {
    (void)ops;
    if (d == 2)
        steps_of(2, contacts, (real)factor, stiff, x, dstiff, dx, dbase, dsource, dout);
    else
        steps_of(d, contacts, (real)factor, stiff, x, dstiff, dx, dbase, dsource, dout);
}

void FILL(sweeps)(struct ops *table) {
    table->contact_vectors = contact_vectors;
    table->contact_stiffness = contact_stiffness;
    table->contact_stiffness_tangent = contact_stiffness_tangent;
    table->contact_step = contact_step;
    table->contact_step_tangent = contact_step_tangent;
}
