#include "entropy/chebyshev.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NODES_MIN = 16, FUNCTIONS_MAX = 16 };
static const double TOLERANCE = 1e-14;

/* Values at the zeros of the Chebyshev polynomial of order `nodes`: (count, nodes). */
static void sample(const struct functions *functions, double bound, int nodes, double *value) {
    for (int j = 0; j < nodes; j++) {
        /* (1 + cos theta)/2 = cos^2(theta/2) keeps its digits near 0, where poles are. */
        double f[FUNCTIONS_MAX], half = cos(M_PI * (j + 0.5) / nodes / 2);
        functions->at(functions->context, bound * half * half, f);
        for (int m = 0; m < functions->count; m++)
            value[m * nodes + j] = f[m];
    }
}

/* c_k = (2 - [k = 0])/nodes sum_j f_j cos(k theta_j); cosine: (4 nodes) a full turn. */
static void transform(int nodes, const double *cosine, const double *value, double *c) {
    for (int k = 0; k < nodes; k++) {
        double sum = 0;
        for (int j = 0, turn = k; j < nodes; j++, turn = (turn + 2 * k) & (4 * nodes - 1))
            sum += value[j] * cosine[turn];
        c[k] = sum * (k ? 2 : 1) / nodes;
    }
}

/* The order that the coefficients need, or -1 where they have not fallen off before the last eighth. */
static int order_needed(int nodes, const double *c) {
    double largest = 0;
    int order = 0;
    for (int k = 0; k < nodes; k++)
        largest = fmax(largest, fabs(c[k]));
    for (int k = 0; k < nodes; k++)
        if (fabs(c[k]) > TOLERANCE * largest)
            order = k;
    return order < nodes - nodes / 8 ? order : -1;
}

/* Coefficients (count, nodes) and the order they need: -1 where nodes are too few. */
static enum status fit_at(const struct functions *functions, double bound, int nodes, double *c, int *order) {
    double *cosine = malloc(4 * (size_t)nodes * sizeof *cosine);
    double *value = malloc((size_t)(functions->count * nodes) * sizeof *value);
    bool good = cosine && value;
    *order = 0;
    if (good) {
        for (int j = 0; j < 4 * nodes; j++)
            cosine[j] = cos(M_PI * j / (2 * nodes));
        sample(functions, bound, nodes, value);
        for (int m = 0; m < functions->count && *order >= 0; m++) {
            transform(nodes, cosine, value + m * nodes, c + m * nodes);
            int needed = order_needed(nodes, c + m * nodes);
            *order = needed < 0 || needed > *order ? needed : *order;
        }
    }
    free(cosine);
    free(value);
    return good ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for polynomials of order %d", nodes);
}

enum status chebyshev_fit(const struct functions *functions, double bound, int order_max, int *order,
                          double **coefficient) {
    enum status status = STATUS_OK;
    *coefficient = NULL;
    *order = -1;
    double *c = malloc((size_t)functions->count * (size_t)(order_max + 1) * sizeof *c);
    if (!c)
        return FAIL(STATUS_FAILURE, "out of memory for polynomials of order %d", order_max);
    for (int nodes = NODES_MIN; nodes <= order_max + 1 && *order < 0; nodes *= 2) {
        TRY(fit_at(functions, bound, nodes, c, order));
        for (int m = 0; m < functions->count && *order >= 0; m++)
            memmove(c + m * (*order + 1), c + m * nodes, (size_t)(*order + 1) * sizeof *c);
    }
    if (*order >= 0) {
        *coefficient = c;
        c = NULL;
    }
out:
    free(c);
    return status;
}
