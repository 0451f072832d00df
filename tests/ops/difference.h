/* Gradients through a primitive y = f(x_0, x_1, ...) and its tangents against finite differences. The primitive is
 * written once more by a test, over complex numbers: y is the real part of f(x), the tangent along t that of
 * Im f(x + i h t) / h, exact to rounding for tiny h. Of the scalar
 *
 *     S = <cy, y> + sum over sets of <cty, ty>
 *
 * the gradients with respect to all inputs and their tangents are taken by central differences of fourth order. All
 * this is float64, so it tells the error of operations of either width. */
#ifndef EPFLOW_TESTS_DIFFERENCE_H
#define EPFLOW_TESTS_DIFFERENCE_H

#include "test.h"

#include <complex.h>
#undef I

#include <Random123/philox.h>

#include "ops/ops.h"

#ifdef EPFLOW_FLOAT64
static const double EXACT = 1e-12, SLACK = 1e-7;
#else
static const double EXACT = 1e-5, SLACK = 1e-4;
#endif

enum { MOST_INPUTS = 3, MOST_PROBES = 40 };

/* Values and gradients as the operations gave them; tangents and their gradients (sets, n). */
struct input {
    size_t n;
    bool moves; /* has tangents */
    real *x, *tx, *dx, *dtx;
};
struct primitive {
    int inputs;
    struct input in[MOST_INPUTS];
    size_t sets, out;
    real *y, *ty, *cy, *cty;
    double floor; /* gradients are compared relative to the largest, or to this if it is larger; 0: 0.01 */
    int size[6];  /* of what `of` computes */
    void (*of)(const struct primitive *p, double complex *const x[], double complex *y);
};

static uint32_t drawn;

/* The same numbers once more: differences are exact enough for most, not for all. */
static inline int numbers_again(void **state) {
    (void)state;
    drawn = 0;
    return 0;
}

/* Fresh numbers in (-size, size). */
static inline real *numbers(size_t n, double size) {
    real *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        uint32_t word[4];
        rng_words(11, STREAM_PROBE, drawn++, 0, 0, word);
        x[i] = (real)(size * (2 * rng_uniform(word[0]) - 1));
    }
    return x;
}

/* To be overwritten. */
static inline real *nothing(size_t n) {
    real *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = (real)NAN;
    return x;
}

static inline double largest(size_t n, const real *x) {
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs((double)x[i]));
    return most;
}

/* Inputs of `size`, tangents of size 1, room for gradients. */
static inline void primitive_input(struct primitive *p, size_t n, bool moves, double size) {
    const size_t tangents = moves ? p->sets * n : 0;
    p->in[p->inputs++] =
        (struct input){n, moves, numbers(n, size), numbers(tangents, 1), nothing(n), nothing(tangents)};
}

static inline void primitive_output(struct primitive *p, size_t out) {
    p->out = out;
    p->y = nothing(out);
    p->ty = nothing(p->sets * out);
    p->cy = numbers(out, 1);
    p->cty = numbers(p->sets * out, 1);
}

static inline void primitive_free(struct primitive *p) {
    for (int m = 0; m < p->inputs; m++) {
        free(p->in[m].x);
        free(p->in[m].tx);
        free(p->in[m].dx);
        free(p->in[m].dtx);
    }
    free(p->y);
    free(p->ty);
    free(p->cy);
    free(p->cty);
}

/* All inputs and their tangents, as float64. */
struct point {
    double *x[MOST_INPUTS], *tx[MOST_INPUTS];
};

static inline double *widened(size_t n, const real *x) {
    double *wide = malloc((n + 1) * sizeof *wide);
    for (size_t i = 0; i < n; i++)
        wide[i] = (double)x[i];
    return wide;
}

/* y, or with a set its tangent. */
static inline void primitive_values(const struct primitive *p, const struct point *at, int set, double *y) {
    const double tiny = 1e-40;
    double complex *x[MOST_INPUTS], *out = malloc((p->out + 1) * sizeof *out);
    for (int m = 0; m < p->inputs; m++) {
        const size_t n = p->in[m].n;
        x[m] = malloc((n + 1) * sizeof *x[m]);
        for (size_t i = 0; i < n; i++)
            x[m][i] =
                CMPLX(at->x[m][i], set >= 0 && p->in[m].moves ? tiny * at->tx[m][(size_t)set * n + i] : 0);
    }
    p->of(p, x, out);
    for (size_t i = 0; i < p->out; i++)
        y[i] = set < 0 ? creal(out[i]) : cimag(out[i]) / tiny;
    for (int m = 0; m < p->inputs; m++)
        free(x[m]);
    free(out);
}

static inline double primitive_sum(const struct primitive *p, const struct point *at) {
    double sum = 0, *y = malloc((p->out + 1) * sizeof *y);
    for (int set = -1; set < (int)p->sets; set++) {
        const real *c = set < 0 ? p->cy : p->cty + (size_t)set * p->out;
        primitive_values(p, at, set, y);
        for (size_t i = 0; i < p->out; i++)
            sum += (double)c[i] * y[i];
    }
    free(y);
    return sum;
}

/* dS along `way` in the n numbers at x. */
static inline double primitive_slope(const struct primitive *p, const struct point *at, size_t n, double *x,
                                     const double *way, double step) {
    double sum[4], *kept = malloc((n + 1) * sizeof *kept);
    static const double shift[] = {1, -1, 2, -2};
    memcpy(kept, x, n * sizeof *x);
    for (int m = 0; m < 4; m++) {
        for (size_t i = 0; i < n; i++)
            x[i] = kept[i] + shift[m] * step * way[i];
        sum[m] = primitive_sum(p, at);
    }
    memcpy(x, kept, n * sizeof *x);
    free(kept);
    return (8 * (sum[0] - sum[1]) - (sum[2] - sum[3])) / (12 * step);
}

/* Single elements, at most MOST_PROBES of them, and all of them at once along a random direction. */
static inline void primitive_compare(const struct primitive *p, const struct point *at, size_t n, double *x,
                                     const real *gradient, double size, const char *what) {
    const double scale = fmax(largest(n, gradient), p->floor > 0 ? p->floor : 0.01), step = 1e-3 * size;
    double *way = calloc(n + 1, sizeof *way), along = 0;
    for (size_t i = 0; i < n; i += 1 + n / MOST_PROBES) {
        way[i] = 1;
        const double want = primitive_slope(p, at, n, x, way, step);
        way[i] = 0;
        if (!(fabs((double)gradient[i] - want) <= SLACK * scale))
            fail_msg("%s %zu: %.10g, by differences %.10g, largest %.3g", what, i, (double)gradient[i], want,
                     scale);
    }
    real *direction = numbers(n, 1);
    for (size_t i = 0; i < n; i++) {
        way[i] = (double)direction[i];
        along += way[i] * (double)gradient[i];
    }
    assert_below(fabs(primitive_slope(p, at, n, x, way, step) - along) / (scale * (1 + sqrt((double)n))),
                 SLACK);
    free(direction);
    free(way);
}

/* The values of the operations, too. */
static inline void primitive_check_values(const struct primitive *p, const struct point *at) {
    double *y = malloc((p->out + 1) * sizeof *y);
    for (int set = -1; set < (int)p->sets; set++) {
        const real *found = set < 0 ? p->y : p->ty + (size_t)set * p->out;
        primitive_values(p, at, set, y);
        for (size_t i = 0; i < p->out; i++)
            assert_below(fabs((double)found[i] - y[i]), 10 * EXACT * (1 + largest(p->out, found)));
    }
    free(y);
}

/* Compares everything and frees the primitive. size: of the inputs, over which f changes. */
static inline void primitive_check(struct primitive *p, double size) {
    struct point at = {{0}, {0}};
    for (int m = 0; m < p->inputs; m++) {
        at.x[m] = widened(p->in[m].n, p->in[m].x);
        at.tx[m] = widened(p->in[m].moves ? p->sets * p->in[m].n : 0, p->in[m].tx);
    }
    primitive_check_values(p, &at);
    for (int m = 0; m < p->inputs; m++) {
        const struct input *in = &p->in[m];
        char what[64];
        snprintf(what, sizeof what, "gradient of input %d, element", m);
        primitive_compare(p, &at, in->n, at.x[m], in->dx, size, what);
        snprintf(what, sizeof what, "gradient of the tangents of input %d, element", m);
        if (in->moves)
            primitive_compare(p, &at, p->sets * in->n, at.tx[m], in->dtx, 1, what);
    }
    for (int m = 0; m < p->inputs; m++) {
        free(at.x[m]);
        free(at.tx[m]);
    }
    primitive_free(p);
}

#endif
