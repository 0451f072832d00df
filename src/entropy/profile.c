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

/* Volume in each bin, from points spread evenly over every cell: distances are told in the same way as for
 * particles, so the density does not see the grid. Every rank takes a share of the cells. */
static void add_volumes(struct profile *p, const struct field_grid *grid, struct comm *comm, double *volume) {
    enum { POINTS = 4 }; /* per axis and cell */
    const int d = grid->box.d, points = d == 1 ? POINTS : d == 2 ? POINTS * POINTS : POINTS * POINTS * POINTS;
    double share = (double)(grid->box.groups > 0 ? grid->box.groups : 1) / points; /* copies share the box */
    for (int a = 0; a < d; a++)
        share *= grid->spacing[a];
    for (size_t c = (size_t)comm_rank(comm); c < grid->total; c += (size_t)comm_size(comm))
        for (int m = 0; m < points; m++) {
            double x[MAX_DIMENSION];
            size_t cell = c;
            int point = m;
            for (int a = 0; a < d; a++) {
                x[a] = grid->origin[a] + grid->spacing[a] * ((double)(cell % (size_t)grid->cells[a]) +
                                                             (point % POINTS + 0.5) / POINTS);
                cell /= (size_t)grid->cells[a];
                point /= POINTS;
            }
            int bin = bin_of(p, interface_distance(grid, x));
            if (bin >= 0)
                volume[bin] += share;
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
