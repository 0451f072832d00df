/* A score that is a sum over pairs:
 *
 *     s_i = w g_i + sum over neighbours j of [ a(r) n + b(r) (g_i - g_j) + c(r) n n . (g_i - g_j) ],
 *
 * r the distance of i and j and n the unit vector from j to i. The first term of the sum shifts the mean of g_i as the
 * force does, the others narrow or widen its distribution, along the pair and across. The functions a, b, c are piecewise
 * linear on [0, radius], `functions` pieces each, and 0 from there on.
 *
 * So the score is linear in the weights: s = Phi theta, with a row of numbers Phi for every component of every score. The
 * host fills Phi; scores, divergences and gradients are products with it, on the device. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "learn/score_kind.h"

enum { PARTS = 3 }; /* a, b, c */

struct pair_network {
    struct score_model base;
    int functions, columns; /* M; numbers of a row: 1 + PARTS M */
    double radius, own;     /* own: w at the start */
    real *offset;           /* (B, n + 1, d) x_i - x_j of a chunk's windows, device */
    real *phi, *div_phi;    /* (B d, columns), (B, columns) device */
    real *s, *ds;           /* (B, d) device */
    real *host_offset, *host_phi, *host_div_phi;
    uint32_t *centre, *neighbour; /* (B), (B, n) host */
    double *g;                    /* (d, particles) host */
    size_t particles;             /* room for as many */
};

/* ---- Phi ---- */

/* What a window's neighbour j adds to the window's rows. x = x_i - x_j, u = g_i - g_j. */
static void add_pair(const struct pair_network *n, const double *x, const double *u, real *phi,
                     real *div_phi) {
    const int d = n->base.d, m = n->functions;
    double square = 0, along = 0;
    for (int a = 0; a < d; a++)
        square += x[a] * x[a];
    const double r = sqrt(square), place = r / n->radius * m;
    if (place >= m || r == 0)
        return;
    for (int a = 0; a < d; a++)
        along += x[a] / r * u[a];
    for (int piece = (int)place; piece <= (int)place + 1 && piece < m; piece++) {
        const double hat = 1 - fabs(place - piece);
        for (int a = 0; a < d; a++) {
            real *row = phi + a * n->columns + 1 + piece;
            row[0] += (real)(hat * x[a] / r);
            row[m] += (real)(hat * u[a]);
            row[2 * m] += (real)(hat * x[a] / r * along);
        }
        div_phi[1 + m + piece] += (real)(hat * d);
        div_phi[1 + 2 * m + piece] += (real)hat;
    }
}

static void fill_window(const struct pair_network *n, const struct score_input *in, size_t window) {
    const size_t d = (size_t)n->base.d, k = (size_t)n->base.neighbours, i = n->centre[window];
    real *phi = n->host_phi + window * d * (size_t)n->columns,
         *div_phi = n->host_div_phi + window * (size_t)n->columns;
    div_phi[0] = (real)d;
    for (size_t a = 0; a < d; a++)
        phi[a * (size_t)n->columns] = (real)n->g[a * in->particles + i];
    for (size_t m = 0; m < k; m++) {
        const size_t j = n->neighbour[window * k + m];
        double x[MAX_DIMENSION], u[MAX_DIMENSION];
        for (size_t a = 0; a < d; a++) {
            x[a] = (double)n->host_offset[(window * (k + 1) + m + 1) * d + a];
            u[a] = n->g[a * in->particles + i] - n->g[a * in->particles + j];
        }
        add_pair(n, x, u, phi, div_phi);
    }
}

/* Phi of `count` windows from `first` on. */
static enum status fill(struct pair_network *n, const struct score_input *in, size_t first, size_t count) {
    const struct ops *ops = n->base.ops;
    const size_t d = (size_t)n->base.d, k = (size_t)n->base.neighbours, columns = (size_t)n->columns;
    const uint32_t *centre = in->centre + first, *neighbour = in->neighbour + first * k;
    ops->to_host(ops, n->centre, centre, count * sizeof *centre);
    ops->to_host(ops, n->neighbour, neighbour, count * k * sizeof *neighbour);
    for (size_t m = 0; m < count * k; m++)
        if (n->neighbour[m] >= in->particles)
            return FAIL(STATUS_FAILURE, "a window has fewer than %zu neighbours", k);
    ops->window_offsets(ops, in->box, count, (int)k, centre, neighbour, in->q, n->offset);
    ops->to_host(ops, n->host_offset, n->offset, count * (k + 1) * d * sizeof(real));
    memset(n->host_phi, 0, count * d * columns * sizeof(real));
    memset(n->host_div_phi, 0, count * columns * sizeof(real));
    for (size_t window = 0; window < count; window++)
        fill_window(n, in, window);
    ops->to_device(ops, n->phi, n->host_phi, count * d * columns * sizeof(real));
    ops->to_device(ops, n->div_phi, n->host_div_phi, count * columns * sizeof(real));
    return STATUS_OK;
}

/* g of all particles, once for all chunks. */
static enum status fetch_propulsions(struct pair_network *n, const struct score_input *in) {
    const size_t d = (size_t)n->base.d;
    if (in->particles > n->particles) {
        free(n->g);
        n->particles = 0;
        n->g = malloc(d * in->particles * sizeof *n->g);
        if (!n->g)
            return FAIL(STATUS_FAILURE, "out of memory for %zu particles", in->particles);
        n->particles = in->particles;
    }
    for (size_t a = 0; a < d; a++)
        n->base.ops->to_host(n->base.ops, n->g + a * in->particles, in->g[a], in->particles * sizeof *n->g);
    return STATUS_OK;
}

/* ---- what score.h asks ---- */

/* What is wanted of a pass: divergence and gradient unless NULL. */
struct pass {
    real *s, *divergence;
    const real *zeta, *weight;
    double sign, sigma, scale, *term;
    real *gradient;
};

static void run_chunk(struct pair_network *n, const real *weights, const struct score_input *in,
                      const struct pass *p, size_t first, size_t count) {
    const struct ops *ops = n->base.ops;
    const int d = n->base.d, columns = n->columns;
    const size_t rows = count * (size_t)d, row = first * (size_t)d, ld = (size_t)columns;
    ops->linear(ops, rows, columns, 1, n->phi, ld, weights, NULL, n->s, 1);
    if (in->shift)
        ops->spread_rows(ops, count, d, in->shift + row, (size_t)d, n->s, (size_t)d, true);
    if (p->s)
        ops->copy(ops, p->s + row, n->s, rows * sizeof(real));
    if (p->divergence)
        ops->linear(ops, count, columns, 1, n->div_phi, ld, weights, NULL, p->divergence + first, 1);
    if (p->gradient) {
        ops->denoising(ops, count, d, n->s, p->zeta + row, p->weight ? p->weight + first : NULL, p->sign,
                       p->sigma, p->scale, p->term + first, n->ds);
        ops->linear_backward(ops, rows, columns, 1, n->phi, ld, weights, n->ds, 1, p->gradient, NULL, NULL, 0,
                             false);
    }
}

static enum status run(struct score_model *model, const real *weights, const struct score_input *in,
                       const struct pass *p) {
    enum status status = STATUS_OK;
    struct pair_network *n = (struct pair_network *)model;
    TRY(fetch_propulsions(n, in));
    for (size_t first = 0; first < in->count; first += model->chunk) {
        const size_t left = in->count - first, count = left < model->chunk ? left : model->chunk;
        if (!p->gradient)
            TRY(score_go_on(model, (double)first / (double)in->count));
        TRY(fill(n, in, first, count));
        run_chunk(n, weights, in, p, first, count);
    }
    TRY(model->ops->synchronise(model->ops));
out:
    return status;
}

static enum status forward(struct score_model *model, const real *weights, const struct score_input *in,
                           real *s) {
    return run(model, weights, in, &(struct pass){.s = s});
}

static enum status divergence(struct score_model *model, const real *weights, const struct score_input *in,
                              real *s, real *divergence) {
    if (in->probes.variance) /* it is exact */
        model->ops->zero(model->ops, in->probes.variance, in->count * sizeof(real));
    return run(model, weights, in, &(struct pass){.s = s, .divergence = divergence});
}

static enum status denoising(struct score_model *model, const real *weights, const struct score_input *in,
                             const real *zeta, const real *weight, double sign, double sigma, double scale,
                             double *term, real *gradient, real *s) {
    return run(model, weights, in,
               &(struct pass){.s = s,
                              .zeta = zeta,
                              .weight = weight,
                              .sign = sign,
                              .sigma = sigma,
                              .scale = scale,
                              .term = term,
                              .gradient = gradient});
}

/* The score of a free particle. */
static void initialise(const struct score_model *model, uint64_t seed, real *weights) {
    (void)seed;
    memset(weights, 0, model->tensors.size * sizeof *weights);
    weights[0] = (real)((const struct pair_network *)model)->own;
}

static struct score_cost operations(const struct score_model *model) {
    const struct pair_network *n = (const struct pair_network *)model;
    const double d = model->d, product = 2 * d * n->columns, fill = model->neighbours * (12 * d + 8);
    return (struct score_cost){fill + product, fill + product + 2 * n->columns, fill + 2 * product};
}

static double memory(const struct score_model *model, double particles, const struct graph *sizes,
                     bool training) {
    (void)sizes;
    (void)training;
    return model->bytes + model->d * particles * sizeof(double);
}

/* ---- making it ---- */

static enum status allocate(struct pair_network *n) {
    enum status status = STATUS_OK;
    const struct ops *ops = n->base.ops;
    const size_t b = n->base.chunk, d = (size_t)n->base.d, k = (size_t)n->base.neighbours;
    const size_t offsets = b * (k + 1) * d, phi = b * d * (size_t)n->columns, div = b * (size_t)n->columns;
    TRY(ops->allocate(ops, offsets * sizeof(real), (void **)&n->offset));
    TRY(ops->allocate(ops, phi * sizeof(real), (void **)&n->phi));
    TRY(ops->allocate(ops, div * sizeof(real), (void **)&n->div_phi));
    TRY(ops->allocate(ops, b * d * sizeof(real), (void **)&n->s));
    TRY(ops->allocate(ops, b * d * sizeof(real), (void **)&n->ds));
    n->host_offset = malloc(offsets * sizeof(real));
    n->host_phi = malloc(phi * sizeof(real));
    n->host_div_phi = malloc(div * sizeof(real));
    n->centre = malloc(b * sizeof *n->centre);
    n->neighbour = malloc(b * k * sizeof *n->neighbour);
    if (!n->host_offset || !n->host_phi || !n->host_div_phi || !n->centre || !n->neighbour)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu windows", b);
    n->base.bytes = 2.0 * (double)((offsets + phi + div + b * d) * sizeof(real));
out:
    return status;
}

static enum status create(const struct ops *ops, const struct network_parameters *p, int d, int outputs,
                          int rows, struct score_model **out) {
    enum status status = STATUS_OK;
    struct pair_network *n = calloc(1, sizeof *n);
    *out = n ? &n->base : NULL;
    if (!n)
        return FAIL(STATUS_FAILURE, "out of memory for a network");
    n->base = (struct score_model){.kind = &pair_kind,
                                   .ops = ops,
                                   .d = d,
                                   .outputs = outputs,
                                   .neighbours = p->neighbours,
                                   .decoded = 1,
                                   .chunk = (size_t)(rows > p->neighbours ? rows / (p->neighbours + 1) : 1)};
    n->functions = p->functions;
    n->columns = 1 + PARTS * p->functions;
    n->radius = p->radius;
    n->own = p->shift == SHIFT_NONE ? -1 : 0;
    TRY(tensors_add(&n->base.tensors, 1, 1, "own"));
    TRY(tensors_add(&n->base.tensors, n->functions, 1, "mean"));
    TRY(tensors_add(&n->base.tensors, n->functions, 1, "across"));
    TRY(tensors_add(&n->base.tensors, n->functions, 1, "along"));
    TRY(allocate(n));
out:
    if (status != STATUS_OK)
        score_destroy(out);
    return status;
}

static void destroy(struct score_model *model) {
    struct pair_network *n = (struct pair_network *)model;
    real *const device[] = {n->offset, n->phi, n->div_phi, n->s, n->ds};
    void *const host[] = {n->host_offset, n->host_phi, n->host_div_phi, n->centre, n->neighbour, n->g};
    for (size_t m = 0; m < sizeof device / sizeof *device; m++)
        model->ops->release(model->ops, device[m]);
    for (size_t m = 0; m < sizeof host / sizeof *host; m++)
        free(host[m]);
    tensors_free(&model->tensors);
    free(n);
}

const struct score_kind pair_kind = {.create = create,
                                     .destroy = destroy,
                                     .initialise = initialise,
                                     .operations = operations,
                                     .memory = memory,
                                     .forward = forward,
                                     .divergence = divergence,
                                     .denoising = denoising};
