#include "entropy/profile.h"

#include <math.h>
#include <stdlib.h>

#include "base/statistics.h"
#include "entropy/certificate.h"

enum status profile_create(double extent, double width, int frames, struct profile **out) {
    struct profile *p = calloc(1, sizeof *p);
    bool good = p != NULL;
    *out = p;
    if (good) {
        p->bins = 2 * (int)fmax(1, round(extent / width));
        p->extent = p->bins * width / 2;
        p->width = width;
        p->frames = frames;
        size_t size = (size_t)frames * (size_t)p->bins + 1;
        good = (p->count = calloc(size, sizeof(double))) && (p->volume = calloc(size, sizeof(double))) &&
               (p->series = calloc(2 * (size_t)frames + 1, sizeof(double)));
        for (int m = 0; m < PROFILE_QUANTITIES; m++)
            good = (p->sum[m] = calloc(size, sizeof(double))) && good;
    }
    if (good)
        return STATUS_OK;
    profile_destroy(out);
    return FAIL(STATUS_FAILURE, "out of memory for profiles of %d frames", frames);
}

void profile_destroy(struct profile **profile) {
    if (!*profile)
        return;
    free((*profile)->count);
    free((*profile)->volume);
    free((*profile)->series);
    for (int m = 0; m < PROFILE_QUANTITIES; m++)
        free((*profile)->sum[m]);
    free(*profile);
    *profile = NULL;
}

/* The bin of a distance, or -1. */
static int bin_of(const struct profile *p, double distance) {
    double at = (distance + p->extent) / p->width;
    return at >= 0 && at < p->bins ? (int)at : -1;
}

enum {
    POINTS = 4,
    NEAR = 3,
    MOST_POINTS = POINTS * POINTS * POINTS
}; /* per axis of a cell; cells around one */

/* Linear between the centres of cells, on one axis: from (after, NEAR, before) to (after, POINTS, before). */
static void refine(size_t before, size_t after, const double *from, double *to) {
    for (size_t k = 0; k < after; k++)
        for (int m = 0; m < POINTS; m++) {
            const double place = (m + 0.5) / POINTS + 0.5, part = place - floor(place);
            const double *low = from + (k * NEAR + (size_t)place) * before;
            for (size_t i = 0; i < before; i++)
                to[(k * POINTS + (size_t)m) * before + i] = (1 - part) * low[i] + part * low[before + i];
        }
}

/* The distances at points spread evenly over a cell; what interface_distance gives, for all of them at once; cell: of
 * this rank's layers. Returns how many they are. */
static size_t distances_in(const struct field_grid *grid, size_t cell, double out[MOST_POINTS]) {
    const int d = grid->box.d;
    double around[MOST_POINTS], *from = around, *to = out;
    size_t at[MAX_DIMENSION][NEAR] = {{0}}, stride = 1, count = 0, before = 1, after = 1;
    for (int a = 0; a < d; a++) {
        const size_t n = (size_t)grid->cells[a], c = cell / stride % n;
        const bool layer = a == d - 1; /* whose neighbours are there, before and after */
        at[a][0] = (layer ? c : c > 0 ? c - 1 : n - 1) * stride;
        at[a][1] = (layer ? c + 1 : c) * stride;
        at[a][2] = (layer ? c + 2 : c + 1 < n ? c + 1 : 0) * stride;
        stride *= n;
        after *= NEAR;
    }
    for (int z = 0; z < (d > 2 ? NEAR : 1); z++)
        for (int y = 0; y < (d > 1 ? NEAR : 1); y++)
            for (int x = 0; x < NEAR; x++)
                around[count++] = grid->distance[at[0][x] + at[1][y] + at[2][z]];
    for (int a = 0; a < d; a++) {
        double *const last = from;
        after /= NEAR;
        refine(before, after, from, to);
        before *= POINTS;
        from = to;
        to = last;
    }
    for (size_t m = 0; m < before && from != out; m++)
        out[m] = from[m];
    return before;
}

/* Volume in each bin, from points spread evenly over every cell: distances are told in the same way as for
 * particles, so the density does not see the grid. Every rank takes its layers. */
static void add_volumes(struct profile *p, const struct field_grid *grid, struct comm *comm, double *volume) {
    double cell = grid->box.groups > 0 ? grid->box.groups : 1, diagonal = 0; /* copies share the box */
    for (int a = 0; a < grid->box.d; a++) {
        cell *= grid->spacing[a];
        diagonal += grid->spacing[a] * grid->spacing[a];
    }
    const double most = p->extent + 2 * sqrt(diagonal); /* beyond it cells around are beyond the bins, too */
    for (size_t c = 0; c < grid->held; c++) {
        double distance[MOST_POINTS];
        if (fabs(grid->distance[grid->layer + c]) > most)
            continue;
        const size_t points = distances_in(grid, c, distance);
        for (size_t m = 0; m < points; m++) {
            const int bin = bin_of(p, distance[m]);
            if (bin >= 0)
                volume[bin] += cell / (double)points;
        }
    }
    comm_sum(comm, volume, (size_t)p->bins);
}

void profile_add(struct profile *p, const struct field_grid *grid, const struct snapshot *s,
                 struct comm *comm) {
    size_t row = (size_t)p->frame * (size_t)p->bins;
    add_volumes(p, grid, comm, p->volume + row);
    for (size_t i = 0; i < s->count; i++) {
        int bin = bin_of(p, s->column[COLUMN_INTERFACE_DISTANCE][i]);
        if (bin < 0)
            continue;
        size_t at = row + (size_t)bin;
        p->count[at] += 1;
        p->sum[PROFILE_EPR][at] += s->column[COLUMN_SIGMA][i];
        p->sum[PROFILE_EXACT][at] += s->column[COLUMN_EXACT][i];
        p->sum[PROFILE_RESOLVED][at] += s->column[COLUMN_RESOLVED][i];
        p->sum[PROFILE_LOCAL_DENSITY][at] += s->column[COLUMN_LOCAL_DENSITY][i];
    }
    comm_sum(comm, p->count + row, (size_t)p->bins);
    for (int m = 0; m < PROFILE_QUANTITIES; m++)
        comm_sum(comm, p->sum[m] + row, (size_t)p->bins);
    p->frame++;
}

double profile_distance(const struct profile *p, int bin) {
    return -p->extent + (bin + 0.5) * p->width;
}

double profile_count(const struct profile *p, int bin) {
    double sum = 0;
    for (int t = 0; t < p->frame; t++)
        sum += p->count[(size_t)t * (size_t)p->bins + (size_t)bin];
    return sum;
}

/* Ratio of two sums over frames in every bin, with its error. */
static void ratios(const struct profile *p, const double *above, const double *below, double *value,
                   double *error) {
    for (int bin = 0; bin < p->bins; bin++) {
        double total_above = 0,
               total_below = 0, *const bin_above = p->series, *const bin_below = p->series + p->frames;
        for (int t = 0; t < p->frame; t++) {
            size_t at = (size_t)t * (size_t)p->bins + (size_t)bin;
            total_above += bin_above[t] = above[at];
            total_below += bin_below[t] = below[at];
        }
        value[bin] = total_above / total_below;
        error[bin] = ratio_error(p->frame, bin_above, bin_below);
    }
}

void profile_density(const struct profile *p, double *value, double *error) {
    ratios(p, p->count, p->volume, value, error);
}

void profile_mean(const struct profile *p, enum profile_quantity quantity, double *value, double *error) {
    ratios(p, p->sum[quantity], p->count, value, error);
}
