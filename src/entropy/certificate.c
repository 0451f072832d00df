#include "entropy/certificate.h"

#include <math.h>
#include <stdlib.h>

static double product(const struct snapshot *s, size_t i, enum column a, enum column b) {
    const size_t d = (size_t)s->box.d;
    double sum = 0;
    for (size_t m = i * d; m < (i + 1) * d; m++)
        sum += s->column[a][m] * s->column[b][m];
    return sum;
}

static double term_of(const struct snapshot *s, size_t i, int term) {
    switch (term) {
    case TERM_EXACT:
        return s->column[COLUMN_EXACT][i];
    case TERM_CAPTURED:
        return s->column[COLUMN_SIGMA][i];
    case TERM_DIV_G:
        return s->column[COLUMN_DIV_G][i];
    case TERM_MINUS_DIV_X:
        return -s->column[COLUMN_DIV_X][i];
    case TERM_V_X_S_X:
        return product(s, i, COLUMN_V_X, COLUMN_S_X);
    case TERM_MINUS_V_G_S_G:
        return -product(s, i, COLUMN_V_G, COLUMN_S_G);
    case TERM_RESOLVED:
        return s->column[COLUMN_RESOLVED][i];
    case TERM_PROBE_VARIANCE:
        return s->column[COLUMN_PROBE_VARIANCE][i];
    case TERM_S_X_SQUARED:
        return s->column[COLUMN_SMOOTHED_S_X_SQUARED][i];
    case TERM_MINUS_DIV_S_X:
        return -s->column[COLUMN_SMOOTHED_DIV_S_X][i];
    case TERM_S_G_SQUARED:
        return s->column[COLUMN_SMOOTHED_S_G_SQUARED][i];
    default:
        return -s->column[COLUMN_SMOOTHED_DIV_S_G][i];
    }
}

enum status certificate_create(const struct snapshot *s, int frames, struct certificate **out) {
    struct certificate *c = calloc(1, sizeof *c);
    bool good = c != NULL;
    *out = c;
    if (good) {
        c->frames = frames;
        c->n = s->n;
        c->count = s->count;
        c->series = calloc((size_t)frames + 1, sizeof(double));
        c->own = calloc(s->count + 1, sizeof(double));
        good = c->series && c->own;
        for (int m = 0; m < TERMS; m++) {
            good = (c->of_frame[m] = calloc((size_t)frames + 1, sizeof(double))) && good;
            good = (c->of_particle[m] = calloc(s->count + 1, sizeof(double))) && good;
        }
    }
    if (good)
        return STATUS_OK;
    certificate_destroy(out);
    return FAIL(STATUS_FAILURE, "out of memory for the certificate of %zu particles", s->n);
}

double certificate_bytes(double count) {
    return (TERMS + 1) * count * sizeof(double);
}

void certificate_destroy(struct certificate **certificate) {
    if (!*certificate)
        return;
    free((*certificate)->series);
    free((*certificate)->own);
    for (int m = 0; m < TERMS; m++) {
        free((*certificate)->of_frame[m]);
        free((*certificate)->of_particle[m]);
    }
    free(*certificate);
    *certificate = NULL;
}

void certificate_add(struct certificate *c, const struct snapshot *s, struct comm *comm) {
    double sum[TERMS] = {0};
    for (int m = 0; m < TERMS; m++)
        for (size_t i = 0; i < s->count; i++) {
            double value = term_of(s, i, m);
            sum[m] += value;
            c->of_particle[m][i] += value;
        }
    comm_sum(comm, sum, TERMS);
    for (int m = 0; m < TERMS; m++)
        c->of_frame[m][c->frame] = sum[m] / (double)c->n;
    c->frame++;
}

struct estimate block_estimate(int frames, const double *x) {
    struct estimate e = {0, NAN};
    for (int t = 0; t < frames; t++)
        e.value += x[t] / frames;
    if (isnan(e.value)) /* what does not apply has no error either */
        return e;
    for (int size = 1; frames / size >= (size == 1 ? 2 : 4); size *= 2) {
        int blocks = frames / size;
        double square = 0, mean = 0;
        for (int b = 0; b < blocks; b++) {
            double block = 0;
            for (int t = 0; t < size; t++)
                block += x[b * size + t] / size;
            mean += block / blocks;
            square += block * block / blocks;
        }
        double error = sqrt(fmax(0, square - mean * mean) / (blocks - 1));
        e.error = isnan(e.error) ? error : fmax(e.error, error);
    }
    return e;
}

struct estimate particle_estimate(int frames, const double *series, size_t n, size_t count,
                                  const double *of_particle, struct comm *comm) {
    struct estimate e = block_estimate(frames, series);
    double square = 0;
    if (isnan(e.value)) /* on every rank */
        return e;
    for (size_t i = 0; i < count; i++)
        square += (of_particle[i] - e.value) * (of_particle[i] - e.value);
    comm_sum(comm, &square, 1);
    double by_particles = sqrt(square / ((double)n * ((double)n - 1)));
    e.error = isnan(e.error) ? by_particles : fmax(e.error, by_particles);
    return e;
}

struct estimate certificate_mean(const struct certificate *c, const double factor[TERMS], struct comm *comm) {
    for (int t = 0; t < c->frame; t++) {
        c->series[t] = 0;
        for (int m = 0; m < TERMS; m++)
            if (factor[m] != 0) /* terms that do not apply are NaN */
                c->series[t] += factor[m] * c->of_frame[m][t];
    }
    for (size_t i = 0; i < c->count; i++) {
        c->own[i] = 0;
        for (int m = 0; m < TERMS; m++)
            if (factor[m] != 0)
                c->own[i] += factor[m] * c->of_particle[m][i] / c->frame;
    }
    return particle_estimate(c->frame, c->series, c->n, c->count, c->own, comm);
}

struct estimate certificate_resolved_fraction(const struct certificate *c, struct comm *comm) {
    const double exact[TERMS] = {[TERM_EXACT] = 1}, resolved[TERMS] = {[TERM_RESOLVED] = 1};
    double mean_exact = certificate_mean(c, exact, comm).value;
    double fraction = certificate_mean(c, resolved, comm).value / mean_exact;
    /* The error of a ratio is that of resolved - fraction * exact, whose mean is 0. */
    const double linear[TERMS] = {[TERM_RESOLVED] = 1, [TERM_EXACT] = -fraction};
    return (struct estimate){fraction, certificate_mean(c, linear, comm).error / mean_exact};
}

double certificate_probe_error(const struct certificate *c, struct comm *comm) {
    const double exact[TERMS] = {[TERM_EXACT] = 1}, variance[TERMS] = {[TERM_PROBE_VARIANCE] = 1};
    const double samples = (double)c->n * c->frame;
    return sqrt(2 * certificate_mean(c, variance, comm).value / samples) /
           certificate_mean(c, exact, comm).value;
}
