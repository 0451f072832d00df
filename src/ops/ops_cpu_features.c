/* What the response network sees of a pair, on the CPU: a block of edges at a time, one SIMD lane an edge. Rows of
 * particles are gathered, their differences turned, every feature is one loop over the lanes, and the block is turned
 * back into rows for the matrix product. */
#include "ops/network_loops.h"

#include <math.h>
#include <string.h>

#include "ops/response_formula.h"
#include "ops/small_product.h"

enum {
    BLOCK = 16,
    MOST_CHANNELS = 1 + MOST_SHOTS + SWEEP_CHANNELS + 64,
    MOST_VECTORS = (MAX_DIMENSION * MOST_CHANNELS + BLOCK - 1) / BLOCK * BLOCK,
    MOST_FEATURES = (5 + 4 * MOST_CHANNELS + BLOCK - 1) / BLOCK * BLOCK
};
typedef real lane[BLOCK];
#define EACH_LANE(l) for (int l = 0; l < BLOCK; l++)

/* Per lane: the edge's geometry and the square root of kappa of its receiver. */
struct block {
    size_t edge[BLOCK];
    lane normal[MAX_DIMENSION], r, kn, kappa_j, kappa, root;
};

static void read_block(int d, const struct edges *edges, size_t first, int valid, const real *kappa,
                       struct block *b) {
    EACH_LANE(l) {
        const size_t e = first + (size_t)(l < valid ? l : valid - 1);
        b->edge[l] = e;
        for (int a = 0; a < d; a++)
            b->normal[a][l] = edges->normal[(size_t)a * edges->count + e];
        b->r[l] = edges->r[e];
        b->kn[l] = edges->kn[e];
        b->kappa[l] = kappa[edges->receiver[e]];
        b->kappa_j[l] = kappa[edges->sender[e]];
    }
    EACH_LANE(l)
    b->root[l] = root_of(b->kappa[l]);
}

/* Of vectors v (particles, width): own[][lane] = v_i and difference[][lane] = v_i - v_j. */
static void read_vectors(const struct edges *edges, const struct block *b, int width, const real *v,
                         lane *own, lane *difference) {
    real rows[2][BLOCK][MOST_VECTORS];
    const int wide = padded(width);
    EACH_LANE(l) {
        const real *receiver = v + edges->receiver[b->edge[l]] * (size_t)width;
        const real *sender = v + edges->sender[b->edge[l]] * (size_t)width;
        for (int m = 0; m < width; m++) {
            rows[0][l][m] = receiver[m];
            rows[1][l][m] = receiver[m] - sender[m];
        }
        for (int m = width; m < wide; m++)
            rows[0][l][m] = rows[1][l][m] = 0;
    }
    turn(BLOCK, wide, 1, rows[0][0], MOST_VECTORS, own[0], BLOCK);
    turn(BLOCK, wide, 1, rows[1][0], MOST_VECTORS, difference[0], BLOCK);
}

/* From feature-major lanes to rows of the matrix. */
static void write_rows(int features, int valid, const lane *from, real *to) {
    real rows[BLOCK][MOST_FEATURES];
    turn(padded(features), BLOCK, 1, from[0], BLOCK, rows[0], MOST_FEATURES);
    for (int l = 0; l < valid; l++)
        memcpy(to + l * features, rows[l], (size_t)features * sizeof *to);
}

/* a = n . D and T = D - n a of channel c; difference is [axis channels + c]. */
static inline void split(int d, int channels, int c, const struct block *b, const lane *difference,
                         lane along, lane *across) {
    EACH_LANE(l) {
        real sum = 0;
        for (int a = 0; a < d; a++)
            sum += b->normal[a][l] * difference[a * channels + c][l];
        along[l] = sum;
        for (int a = 0; a < d; a++)
            across[a][l] = difference[a * channels + c][l] - b->normal[a][l] * sum;
    }
}

/* The direction in which products across the pair are taken: T_u/|T_u|, in two dimensions a fixed normal to n (only
 * products of two such numbers occur). */
static inline void cross_direction(int d, const struct block *b, const lane *across, lane *tau) {
    EACH_LANE(l) {
        if (d == 2) {
            tau[0][l] = -b->normal[1][l];
            tau[1][l] = b->normal[0][l];
            continue;
        }
        real square = 0;
        for (int a = 0; a < d; a++)
            square += across[a][l] * across[a][l];
        const real inverse = square > 0 ? 1 / root_of(square) : 0;
        for (int a = 0; a < d; a++)
            tau[a][l] = inverse * across[a][l];
    }
}

static inline void dot_lanes(int d, const lane *x, const lane *y, lane out) {
    EACH_LANE(l) {
        real sum = 0;
        for (int a = 0; a < d; a++)
            sum += x[a][l] * y[a][l];
        out[l] = sum;
    }
}

/* ---- forward ---- */

static inline __attribute__((always_inline)) void features_of(int d, const struct response_law *law,
                                                              int channels, const struct block *b,
                                                              const lane *own, const lane *difference,
                                                              lane *f) {
    const real floor_ = (real)law->constants.lg_floor, crossing_factor = (real)law->constants.cross_factor;
    const real own_factor = (real)law->constants.own_factor;
    const real distance = (real)law->constants.distance_scale,
               contact = 1 / (real)law->constants.contact_scale;
    const real stiff = 1 / (real)law->constants.kappa_scale;
    lane along, across[MAX_DIMENSION], tau[MAX_DIMENSION], cross_u, own_along;
    split(d, channels, 0, b, difference, along, across);
    cross_direction(d, b, across, tau);
    dot_lanes(d, across, across, f[4]);
    dot_lanes(d, tau, across, cross_u);
    EACH_LANE(l) {
        f[0][l] = distance * (b->r[l] - (real)law->constants.distance_shift);
        f[1][l] = log_of(1 + b->kn[l]) * contact - (real)law->constants.contact_shift;
        f[2][l] = log_of(b->kappa_j[l]) * stiff - (real)law->constants.kappa_shift;
        f[3][l] = along[l];
        cross_u[l] = crossing_factor * asinh_of(b->root[l] * cross_u[l]);
    }
    for (int c = 0; c < channels; c++) {
        lane square, cross;
        split(d, channels, c, b, difference, along, across);
        dot_lanes(d, across, across, square);
        dot_lanes(d, tau, across, cross);
        EACH_LANE(l) {
            real sum = 0;
            for (int a = 0; a < d; a++)
                sum += b->normal[a][l] * own[a * channels + c][l];
            own_along[l] = sum;
        }
        EACH_LANE(l) f[5 + c][l] = asinh_of(b->root[l] * along[l]);
        EACH_LANE(l) f[5 + channels + c][l] = log_of(floor_ + b->kappa[l] * square[l]) / 2;
        EACH_LANE(l) f[5 + 2 * channels + c][l] = asinh_of(b->root[l] * cross[l]) * cross_u[l];
        EACH_LANE(l) f[5 + 3 * channels + c][l] = own_factor * asinh_of(b->root[l] * own_along[l]);
    }
}

static void edge_features(const struct ops *ops, const struct response_law *law, const struct edges *edges,
                          struct edge_range range, const real *kappa, int channels, const real *v, real *f) {
    (void)ops;
    lane own[MOST_VECTORS], difference[MOST_VECTORS], out[MOST_FEATURES];
    const int features = edge_numbers(channels);
    for (size_t e = 0; e < range.count; e += BLOCK) {
        const int valid = range.count - e < BLOCK ? (int)(range.count - e) : BLOCK;
        struct block b;
        read_block(law->d, edges, range.first + e, valid, kappa, &b);
        read_vectors(edges, &b, law->d * channels, v, own, difference);
        if (law->d == 2)
            features_of(2, law, channels, &b, own, difference, out);
        else
            features_of(law->d, law, channels, &b, own, difference, out);
        write_rows(features, valid, out, f + e * (size_t)features);
    }
}

/* ---- tangent ---- */

/* The derivative of tau . T of a channel: tau turns with T_u, in three dimensions. */
static inline void cross_tangent(int d, const lane *tau, const lane *dtau, const lane *across,
                                 const lane *dacross, lane out) {
    EACH_LANE(l) {
        real sum = 0;
        for (int a = 0; a < d; a++)
            sum += tau[a][l] * dacross[a][l] + (d == 2 ? 0 : dtau[a][l] * across[a][l]);
        out[l] = sum;
    }
}

static inline void direction_tangent(int d, const lane *tau, const lane *across, const lane *dacross,
                                     lane *dtau) {
    EACH_LANE(l) {
        real size = 0, along = 0;
        for (int a = 0; a < d; a++) {
            size += tau[a][l] * across[a][l];
            along += tau[a][l] * dacross[a][l];
        }
        for (int a = 0; a < d; a++)
            dtau[a][l] = d == 2 || size == 0 ? 0 : (dacross[a][l] - tau[a][l] * along) / size;
    }
}

static inline __attribute__((always_inline)) void
tangents_of(int d, const struct response_law *law, int channels, const struct block *b, const lane *own,
            const lane *difference, const lane *down, const lane *ddifference, lane *df) {
    const real floor_ = (real)law->constants.lg_floor, crossing_factor = (real)law->constants.cross_factor;
    const real own_factor = (real)law->constants.own_factor;
    lane along, dalong, across[MAX_DIMENSION], dacross[MAX_DIMENSION], tau[MAX_DIMENSION],
        dtau[MAX_DIMENSION];
    lane u, du, dsquare;
    split(d, channels, 0, b, difference, along, across);
    split(d, channels, 0, b, ddifference, dalong, dacross);
    cross_direction(d, b, across, tau);
    direction_tangent(d, tau, across, dacross, dtau);
    dot_lanes(d, tau, across, u);
    cross_tangent(d, tau, dtau, across, dacross, du);
    dot_lanes(d, across, dacross, dsquare);
    EACH_LANE(l) {
        df[0][l] = df[1][l] = df[2][l] = 0;
        df[3][l] = dalong[l];
        df[4][l] = 2 * dsquare[l];
        du[l] = crossing_factor * asinh_slope(b->root[l] * u[l]) * b->root[l] * du[l];
        u[l] = crossing_factor * asinh_of(b->root[l] * u[l]);
    }
    for (int c = 0; c < channels; c++) {
        lane square, cross, dcross;
        split(d, channels, c, b, difference, along, across);
        split(d, channels, c, b, ddifference, dalong, dacross);
        dot_lanes(d, across, across, square);
        dot_lanes(d, across, dacross, dsquare);
        dot_lanes(d, tau, across, cross);
        cross_tangent(d, tau, dtau, across, dacross, dcross);
        EACH_LANE(l) {
            const real root = b->root[l];
            real mine = 0, dmine = 0;
            for (int a = 0; a < d; a++) {
                mine += b->normal[a][l] * own[a * channels + c][l];
                dmine += b->normal[a][l] * down[a * channels + c][l];
            }
            df[5 + c][l] = asinh_slope(root * along[l]) * root * dalong[l];
            df[5 + channels + c][l] = b->kappa[l] * dsquare[l] / (floor_ + b->kappa[l] * square[l]);
            df[5 + 2 * channels + c][l] =
                asinh_slope(root * cross[l]) * root * dcross[l] * u[l] + asinh_of(root * cross[l]) * du[l];
            df[5 + 3 * channels + c][l] = own_factor * asinh_slope(root * mine) * root * dmine;
        }
    }
}

static void edge_features_tangent(const struct ops *ops, const struct response_law *law,
                                  const struct edges *edges, struct edge_range range, const real *kappa,
                                  int channels, const real *v, const real *dv, real *df) {
    (void)ops;
    lane own[MOST_VECTORS], difference[MOST_VECTORS], down[MOST_VECTORS], ddifference[MOST_VECTORS];
    lane out[MOST_FEATURES];
    const int features = edge_numbers(channels);
    for (size_t e = 0; e < range.count; e += BLOCK) {
        const int valid = range.count - e < BLOCK ? (int)(range.count - e) : BLOCK;
        struct block b;
        read_block(law->d, edges, range.first + e, valid, kappa, &b);
        read_vectors(edges, &b, law->d * channels, v, own, difference);
        read_vectors(edges, &b, law->d * channels, dv, down, ddifference);
        if (law->d == 2)
            tangents_of(2, law, channels, &b, own, difference, down, ddifference, out);
        else
            tangents_of(law->d, law, channels, &b, own, difference, down, ddifference, out);
        write_rows(features, valid, out, df + e * (size_t)features);
    }
}

/* ---- backward ---- */

/* Gradients of channel c with respect to V_i - V_j and to V_i alone. */
static inline __attribute__((always_inline)) void
gradients_of(int d, const struct response_law *law, int channels, int from, const struct block *b,
             const lane *own, const lane *difference, const lane *df, lane *down, lane *ddifference) {
    const real floor_ = (real)law->constants.lg_floor, crossing_factor = (real)law->constants.cross_factor;
    const real own_factor = (real)law->constants.own_factor;
    const int width = channels - from;
    lane along, across[MAX_DIMENSION], tau[MAX_DIMENSION], u;
    split(d, channels, 0, b, difference, along, across);
    cross_direction(d, b, across, tau);
    dot_lanes(d, tau, across, u);
    EACH_LANE(l) u[l] = crossing_factor * asinh_of(b->root[l] * u[l]);
    for (int c = from; c < channels; c++) {
        lane square, cross;
        split(d, channels, c, b, difference, along, across);
        dot_lanes(d, across, across, square);
        dot_lanes(d, tau, across, cross);
        EACH_LANE(l) {
            const real root = b->root[l];
            real mine = 0;
            for (int a = 0; a < d; a++)
                mine += b->normal[a][l] * own[a * channels + c][l];
            const real normal = df[5 + c][l] * asinh_slope(root * along[l]) * root;
            const real tangential =
                df[5 + channels + c][l] * b->kappa[l] / (floor_ + b->kappa[l] * square[l]);
            const real crossing = df[5 + 2 * channels + c][l] * u[l] * asinh_slope(root * cross[l]) * root;
            const real alone = df[5 + 3 * channels + c][l] * own_factor * asinh_slope(root * mine) * root;
            for (int a = 0; a < d; a++) {
                down[a * width + c - from][l] = alone * b->normal[a][l];
                ddifference[a * width + c - from][l] =
                    normal * b->normal[a][l] + tangential * across[a][l] + crossing * tau[a][l];
            }
        }
    }
}

/* Adds the lanes' gradients to the rows of receivers and senders, edge after edge. */
static void scatter_vectors(int d, int channels, int from, const struct edges *edges, const struct block *b,
                            int valid, const lane *down, const lane *ddifference, real *dv) {
    const int width = channels - from, wide = padded(d * width);
    real rows[2][BLOCK][MOST_VECTORS];
    turn(wide, BLOCK, 1, down[0], BLOCK, rows[0][0], MOST_VECTORS);
    turn(wide, BLOCK, 1, ddifference[0], BLOCK, rows[1][0], MOST_VECTORS);
    for (int l = 0; l < valid; l++) {
        real *receiver = dv + edges->receiver[b->edge[l]] * (size_t)(d * channels);
        real *sender = dv + edges->sender[b->edge[l]] * (size_t)(d * channels);
        for (int a = 0; a < d; a++)
            for (int c = 0; c < width; c++) {
                receiver[a * channels + from + c] += rows[0][l][a * width + c] + rows[1][l][a * width + c];
                sender[a * channels + from + c] -= rows[1][l][a * width + c];
            }
    }
}

static void edge_features_backward(const struct ops *ops, const struct response_law *law,
                                   const struct edges *edges, struct edge_range range, const real *kappa,
                                   int channels, int from, const real *v, const real *df, real *dv) {
    (void)ops;
    lane own[MOST_VECTORS], difference[MOST_VECTORS], down[MOST_VECTORS], ddifference[MOST_VECTORS];
    lane given[MOST_FEATURES];
    const int features = edge_numbers(channels);
    for (size_t e = 0; e < range.count; e += BLOCK) {
        const int valid = range.count - e < BLOCK ? (int)(range.count - e) : BLOCK;
        struct block b;
        read_block(law->d, edges, range.first + e, valid, kappa, &b);
        read_vectors(edges, &b, law->d * channels, v, own, difference);
        for (int m = 0; m < features; m++)
            EACH_LANE(l)
        given[m][l] = df[(e + (size_t)(l < valid ? l : valid - 1)) * (size_t)features + (size_t)m];
        if (law->d == 2)
            gradients_of(2, law, channels, from, &b, own, difference, given, down, ddifference);
        else
            gradients_of(law->d, law, channels, from, &b, own, difference, given, down, ddifference);
        scatter_vectors(law->d, channels, from, edges, &b, valid, down, ddifference, dv);
    }
}

void FILL(features)(struct ops *table) {
    table->edge_features = edge_features;
    table->edge_features_tangent = edge_features_tangent;
    table->edge_features_backward = edge_features_backward;
}
