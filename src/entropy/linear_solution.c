#include "entropy/linear_solution.h"
#include "entropy/chebyshev.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Functions of an eigenvalue. The fields are written in b and g, not in u and g: b is small where v0 g and H u nearly
 * cancel, which is where scores are large. FIELD_x_b is the factor of b in s_x, and so on. */
enum function {
    FIELD_X_B,
    FIELD_X_G,
    FIELD_G_B,
    FIELD_G_G,
    LOCAL_DIV_X,
    LOCAL_DIV_G,
    LOCAL_MEAN_X,
    LOCAL_MEAN_G,
    FUNCTIONS
};
enum { PER_SERIES = 4, PARTICLES_AT_ONCE = 4, DIMENSION_MAX = 3 };

struct linear_solution {
    size_t d, n;
    double v0, gamma, eps, alignment, offset, noise_x, noise_g;
    bool uniform;
    /* H by rows of d x d blocks; the first block of a row is the diagonal one. */
    size_t *start;    /* (n + 1) */
    uint32_t *column; /* (start[n]) */
    double *block;    /* (start[n], d, d) */
    double *tether;   /* (n) */
    double bound;     /* of the eigenvalues */
    /* Chebyshev coefficients of the functions of a series: (PER_SERIES, order + 1) */
    double *coefficient[LINEAR_SERIES];
    int order[LINEAR_SERIES];
    struct linear_local *local; /* (n) or NULL: not wanted yet */
};

/* ---- H ---- */

static enum status check_system(const struct linear_system *s, double noise_x, double noise_g) {
    if (s->d < 1 || s->d > DIMENSION_MAX || s->n == 0 || s->n > UINT32_MAX)
        return FAIL(STATUS_BAD_INPUT, "a linear system of %zu particles in %d dimensions", s->n, s->d);
    bool good = s->gamma > 0 && s->eps >= 0 && noise_x >= 0 && noise_g >= 0 && (s->v0 != 0 || s->eps > 0);
    if (!good || !isfinite(s->v0 + s->gamma + s->eps + noise_x + noise_g))
        return FAIL(
            STATUS_BAD_INPUT,
            "linear system: v0 = %g, gamma = %g, eps = %g, noise %g and %g; gamma must be positive, eps "
            "and noise not negative, and v0 and eps not both 0",
            s->v0, s->gamma, s->eps, noise_x, noise_g);
    for (size_t m = 0; m < s->bonds; m++) {
        size_t i = s->bond[m][0], j = s->bond[m][1], d = (size_t)s->d;
        if (i >= s->n || j >= s->n || i == j)
            return FAIL(STATUS_BAD_INPUT, "bond %zu joins particles %zu and %zu of %zu", m, i, j, s->n);
        for (size_t a = 0; a < d; a++)
            for (size_t c = 0; c <= a; c++) {
                double k = s->matrix[(m * d + a) * d + c], other = s->matrix[(m * d + c) * d + a];
                if (!(fabs(k - other) <= 1e-12 * (fabs(k) + fabs(other))) || !isfinite(k))
                    return FAIL(STATUS_BAD_INPUT, "the matrix of bond %zu is not symmetric and finite", m);
            }
    }
    return STATUS_OK;
}

static void add_bond(struct linear_solution *s, size_t i, size_t j, const double *matrix, size_t *filled) {
    const size_t d2 = s->d * s->d;
    double *own = s->block + s->start[i] * d2, *other = s->block + filled[i] * d2;
    for (size_t a = 0; a < d2; a++) {
        own[a] += matrix[a];
        other[a] = -matrix[a];
    }
    s->column[filled[i]++] = (uint32_t)j;
}

/* Fills the rows; filled: (n) scratch, where the next block of a row goes. */
static void fill_rows(struct linear_solution *s, const struct linear_system *system, size_t *filled) {
    const size_t d = s->d;
    for (size_t i = 0; i < s->n; i++) {
        double *own = s->block + s->start[i] * d * d;
        filled[i] = s->start[i] + 1;
        s->column[s->start[i]] = (uint32_t)i;
        memset(own, 0, d * d * sizeof *own);
        s->tether[i] = system->tether ? system->tether[i] : 0;
        for (size_t a = 0; a < d; a++)
            own[a * d + a] = s->tether[i];
    }
    for (size_t m = 0; m < system->bonds; m++) {
        size_t i = system->bond[m][0], j = system->bond[m][1];
        add_bond(s, i, j, system->matrix + m * d * d, filled);
        add_bond(s, j, i, system->matrix + m * d * d, filled);
    }
}

static enum status make_rows(struct linear_solution *s, const struct linear_system *system) {
    size_t *filled = calloc(s->n, sizeof *filled);
    s->start = calloc(s->n + 1, sizeof *s->start);
    const size_t blocks = s->n + 2 * system->bonds;
    s->column = malloc(blocks * sizeof *s->column);
    s->block = malloc(blocks * s->d * s->d * sizeof *s->block);
    s->tether = malloc(s->n * sizeof *s->tether);
    bool good = filled && s->start && s->column && s->block && s->tether;
    if (good) {
        for (size_t m = 0; m < system->bonds; m++)
            for (int end = 0; end < 2; end++)
                s->start[system->bond[m][end] + 1]++;
        for (size_t i = 0; i < s->n; i++)
            s->start[i + 1] += s->start[i] + 1;
        fill_rows(s, system, filled);
    }
    free(filled);
    return good ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu bonds", system->bonds);
}

/* Gershgorin: no eigenvalue exceeds the largest sum of a row's absolute values. */
static double eigenvalue_bound(const struct linear_solution *s) {
    const size_t d = s->d;
    double bound = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t a = 0; a < d; a++) {
            double sum = 0;
            for (size_t m = s->start[i]; m < s->start[i + 1]; m++)
                for (size_t c = 0; c < d; c++)
                    sum += fabs(s->block[(m * d + a) * d + c]);
            bound = fmax(bound, sum);
        }
    return bound > 0 ? bound * (1 + 1e-12) : 1;
}

/* ---- functions of an eigenvalue and their Chebyshev coefficients ---- */

/* With q = gamma + lambda and the covariance [xx xg; xg gg] of theory.md section 5, smoothed, s = -C^-1 (u, g). All is
 * multiplied through by lambda q^2, so that lambda = 0 is regular, and terms that cancel are gone:
 * det = lambda q^2 (xx gg - xg^2). */
static void functions_at(const struct linear_solution *s, double lambda, double v0, double gamma,
                         double noise_g, double f[FUNCTIONS]) {
    const double q = gamma + lambda, gg = 1 + noise_g * noise_g;
    const double noise = s->noise_x * s->noise_x * lambda, blur = s->eps + noise;
    const double rest = gamma + noise_g * noise_g * q;
    const double det = gg * blur * q * q + v0 * v0 * rest;
    f[FIELD_X_B] = gg * q * q / det;
    f[FIELD_X_G] = -v0 * q * rest / det;
    f[FIELD_G_B] = -v0 * q / det;
    f[FIELD_G_G] = -blur * q * q / det;
    f[LOCAL_DIV_X] = -gg * lambda * q * q / det;
    f[LOCAL_DIV_G] = -(blur * q + v0 * v0) * q / det;
    /* <v_x^2>/eps = (<b^2> - 2 eps lambda + eps^2 gg/D)/eps, as <b s_x> = lambda; <v_g^2>/gamma likewise. */
    const double above = lambda * (gg * noise * q * q + v0 * v0 * rest) / det;
    const double square = v0 * v0 * rest / q + lambda * noise;
    f[LOCAL_MEAN_X] = s->eps > 0 ? square / s->eps - above : 0;
    f[LOCAL_MEAN_G] = gamma * (pow(noise_g, 4) + v0 * v0 * lambda / det) / gg;
}

/* With alignment g relaxes at a rate mu and has a variance T = gamma/mu: g / sqrt T is a propulsion of variance 1, rate mu
 * and speed v0 sqrt T. */
static void functions_of(const struct linear_solution *s, double lambda, double f[FUNCTIONS]) {
    const double mu = s->gamma + s->alignment * (lambda - s->offset), width = sqrt(s->gamma / mu);
    functions_at(s, lambda, s->v0 * width, mu, s->noise_g / width, f);
    f[FIELD_X_G] /= width;
    f[FIELD_G_B] /= width;
    f[FIELD_G_G] /= width * width;
    f[LOCAL_DIV_G] /= width * width;
}

static void fields_at(const void *solution, double lambda, double *f) {
    double all[FUNCTIONS];
    functions_of(solution, lambda, all);
    memcpy(f, all + FIELD_X_B, PER_SERIES * sizeof *f);
}
static void local_at(const void *solution, double lambda, double *f) {
    double all[FUNCTIONS];
    functions_of(solution, lambda, all);
    memcpy(f, all + LOCAL_DIV_X, PER_SERIES * sizeof *f);
}

static enum status fit(struct linear_solution *s, enum linear_series series) {
    const struct functions functions = {series == LINEAR_FIELDS ? fields_at : local_at, PER_SERIES, s};
    enum status status =
        chebyshev_fit(&functions, s->bound, LINEAR_ORDER_MAX, &s->order[series], &s->coefficient[series]);
    if (status == STATUS_OK && s->order[series] < 0)
        return FAIL(
            STATUS_BAD_INPUT,
            "the closed form of this linear system needs polynomials of order above %d: gamma = %g and "
            "eps = %g are too small against the largest eigenvalue, at most %g",
            LINEAR_ORDER_MAX, s->gamma, s->eps, s->bound);
    return status;
}

/* ---- creation ---- */

enum status linear_solution_create(const struct linear_system *system, double noise_x, double noise_g,
                                   struct linear_solution **out) {
    enum status status;
    *out = NULL;
    TRY(check_system(system, noise_x, noise_g));
    struct linear_solution *s = *out = calloc(1, sizeof *s);
    if (!s)
        return FAIL(STATUS_FAILURE, "out of memory for a linear system");
    s->d = (size_t)system->d;
    s->n = system->n;
    s->v0 = system->v0;
    s->gamma = system->gamma;
    s->eps = system->eps;
    s->alignment = system->alignment;
    s->offset = system->offset;
    s->noise_x = noise_x;
    s->noise_g = noise_g;
    s->uniform = system->uniform;
    TRY(make_rows(s, system));
    s->bound = eigenvalue_bound(s);
    for (int m = 0; m < LINEAR_SERIES; m++)
        TRY(fit(s, m));
out:
    if (status != STATUS_OK)
        linear_solution_destroy(out);
    return status;
}

void linear_solution_destroy(struct linear_solution **solution) {
    struct linear_solution *s = *solution;
    if (!s)
        return;
    free(s->start);
    free(s->column);
    free(s->block);
    free(s->tether);
    for (int m = 0; m < LINEAR_SERIES; m++)
        free(s->coefficient[m]);
    free(s->local);
    free(s);
    *solution = NULL;
}

int linear_solution_order(const struct linear_solution *solution, enum linear_series series) {
    return solution->order[series];
}

/* ---- products ---- */

/* The row i of H t, t (n, d, width): `width` vectors at once, so that a block is read once for all. */
static inline void row_product(const struct linear_solution *s, size_t i, size_t width, const double *t,
                               double *product) {
    const size_t d = s->d;
    memset(product, 0, d * width * sizeof *product);
    for (size_t m = s->start[i]; m < s->start[i + 1]; m++) {
        const double *block = s->block + m * d * d, *from = t + s->column[m] * d * width;
        for (size_t a = 0; a < d; a++)
            for (size_t c = 0; c < d; c++)
                for (size_t w = 0; w < width; w++)
                    product[a * width + w] += block[a * d + c] * from[c * width + w];
    }
}

/* next = factor X t - next, X = 2 H/bound - 1. From next = T_{k-1} and t = T_k it makes T_{k+1}: factor 2. */
static void chebyshev_step(const struct linear_solution *s, size_t width, double factor, const double *t,
                           double *next) {
    const size_t row = s->d * width;
    const double scale = 2 * factor / s->bound;
    for (size_t i = 0; i < s->n; i++) {
        double product[DIMENSION_MAX * DIMENSION_MAX * PARTICLES_AT_ONCE];
        row_product(s, i, width, t, product);
        for (size_t a = 0; a < row; a++)
            next[i * row + a] = scale * product[a] - factor * t[i * row + a] - next[i * row + a];
    }
}

/* ---- fields ---- */

/* b = v0 g - H u beside g: z (n, d, 2). H u from differences along bonds, which no common shift of u disturbs. */
static void fill_b_and_g(const struct linear_solution *s, const double *u, const double *g, double *z) {
    const size_t d = s->d;
    for (size_t i = 0; i < s->n; i++) {
        double b[DIMENSION_MAX];
        for (size_t a = 0; a < d; a++)
            b[a] = s->v0 * g[i * d + a] - s->tether[i] * u[i * d + a];
        for (size_t m = s->start[i] + 1; m < s->start[i + 1]; m++)
            for (size_t a = 0; a < d; a++)
                for (size_t c = 0; c < d; c++)
                    b[a] += s->block[(m * d + a) * d + c] * (u[i * d + c] - u[s->column[m] * d + c]);
        for (size_t a = 0; a < d; a++) {
            z[(i * d + a) * 2] = b[a];
            z[(i * d + a) * 2 + 1] = g[i * d + a];
        }
    }
}

/* M g / gamma - g (n, d): zero without alignment, else alignment / gamma times H g without the tethers. */
static void fill_turn(const struct linear_solution *s, const double *g, double *turn) {
    const size_t d = s->d;
    memset(turn, 0, s->n * d * sizeof *turn);
    for (size_t i = 0; s->alignment > 0 && i < s->n; i++)
        for (size_t m = s->start[i] + 1; m < s->start[i + 1]; m++)
            for (size_t a = 0; a < d; a++)
                for (size_t c = 0; c < d; c++)
                    turn[i * d + a] -= s->alignment / s->gamma * s->block[(m * d + a) * d + c] *
                                       (g[i * d + c] - g[s->column[m] * d + c]);
}

/* score (n, d, 2), zeros at first: s_x beside s_g, from z = b beside g, which is overwritten; other: (n, d, 2) zeros. */
static void scores(const struct linear_solution *s, double *z, double *other, double *score) {
    const int order = s->order[LINEAR_FIELDS];
    const double *c = s->coefficient[LINEAR_FIELDS];
    const size_t count = s->n * s->d;
    double *t = z, *next = other;
    for (int k = 0; k <= order; k++) {
        double f[PER_SERIES];
        for (int m = 0; m < PER_SERIES; m++)
            f[m] = c[m * (order + 1) + k];
        for (size_t i = 0; i < count; i++) {
            score[2 * i] += f[FIELD_X_B] * t[2 * i] + f[FIELD_X_G] * t[2 * i + 1];
            score[2 * i + 1] += f[FIELD_G_B] * t[2 * i] + f[FIELD_G_G] * t[2 * i + 1];
        }
        if (k == order)
            break;
        chebyshev_step(s, 2, k ? 2 : 1, t, next);
        double *swap = t;
        t = next;
        next = swap;
    }
}

static void put(double *to, size_t at, double value) {
    if (to)
        to[at] = value;
}

static void write_fields(const struct linear_solution *s, const double *b_and_g, const double *turn,
                         const double *score, const struct linear_fields *out) {
    for (size_t i = 0; i < s->n; i++) {
        double sigma_x = 0, sigma_g = 0;
        for (size_t at = i * s->d; at < (i + 1) * s->d; at++) {
            double v_x = b_and_g[2 * at] - s->eps * score[2 * at];
            double v_g = -s->gamma * (b_and_g[2 * at + 1] + turn[at] + score[2 * at + 1]);
            put(out->s_x, at, score[2 * at]);
            put(out->s_g, at, score[2 * at + 1]);
            put(out->v_x, at, v_x);
            put(out->v_g, at, v_g);
            sigma_x += s->eps > 0 ? v_x * v_x / s->eps : 0;
            sigma_g += v_g * v_g / s->gamma;
        }
        put(out->sigma_x, i, sigma_x);
        put(out->sigma_g, i, sigma_g);
        put(out->sigma, i, sigma_x + sigma_g);
    }
}

/* Computes the constants of the particles where one of them is wanted. */
static enum status write_local(struct linear_solution *s, const struct linear_fields *out) {
    const struct linear_local *local;
    if (!out->div_x && !out->div_g && !out->div_x_s_x && !out->div_g_s_g && !out->mean_sigma_x &&
        !out->mean_sigma_g)
        return STATUS_OK;
    enum status status = linear_solution_local(s, &local);
    for (size_t i = 0; status == STATUS_OK && i < s->n; i++) {
        put(out->div_x, i, local[i].div_x);
        put(out->div_g, i, local[i].div_g);
        put(out->div_x_s_x, i, local[i].div_x_s_x);
        put(out->div_g_s_g, i, local[i].div_g_s_g);
        put(out->mean_sigma_x, i, local[i].mean_sigma_x);
        put(out->mean_sigma_g, i, local[i].mean_sigma_g);
    }
    return status;
}

enum status linear_solution_apply(struct linear_solution *s, const double *u, const double *g,
                                  const struct linear_fields *out) {
    const size_t count = s->n * s->d * 2;
    enum status status = STATUS_OK;
    double *b_and_g = malloc(count * sizeof(double)), *t = malloc(count * sizeof(double));
    double *other = calloc(count, sizeof(double)), *score = calloc(count, sizeof(double));
    double *turn = malloc(count / 2 * sizeof *turn);
    if (!b_and_g || !t || !other || !score || !turn)
        TRY(FAIL(STATUS_FAILURE, "out of memory for the scores of %zu particles", s->n));
    TRY(write_local(s, out));
    fill_b_and_g(s, u, g, b_and_g);
    memcpy(t, b_and_g, count * sizeof *t);
    scores(s, t, other, score);
    fill_turn(s, g, turn);
    write_fields(s, b_and_g, turn, score, out);
out:
    free(turn);
    free(b_and_g);
    free(t);
    free(other);
    free(score);
    return status;
}

/* ---- diagonal blocks ---- */

/* trace[p][m]: trace of the diagonal block of function m at particle first + p, `particles` of them. The columns are
 * their unit vectors; t and next: (n, d, particles d) scratch. */
static void traces(const struct linear_solution *s, size_t first, size_t particles, double *t, double *next,
                   double trace[][PER_SERIES]) {
    const size_t d = s->d, width = particles * d;
    const int order = s->order[LINEAR_LOCAL];
    memset(t, 0, s->n * d * width * sizeof *t);
    memset(next, 0, s->n * d * width * sizeof *next);
    memset(trace, 0, particles * sizeof *trace);
    for (size_t w = 0; w < width; w++)
        t[(first * d + w) * width + w] = 1;
    for (int k = 0; k <= order; k++) {
        for (size_t w = 0; w < width; w++)
            for (int m = 0; m < PER_SERIES; m++)
                trace[w / d][m] +=
                    s->coefficient[LINEAR_LOCAL][m * (order + 1) + k] * t[(first * d + w) * width + w];
        if (k == order)
            break;
        chebyshev_step(s, width, k ? 2 : 1, t, next);
        double *swap = t;
        t = next;
        next = swap;
    }
}

static struct linear_local local_of(const struct linear_solution *s, size_t i, const double *trace) {
    struct linear_local l = {.div_x_s_x = trace[LOCAL_DIV_X - PER_SERIES],
                             .div_g_s_g = trace[LOCAL_DIV_G - PER_SERIES],
                             .mean_sigma_x = trace[LOCAL_MEAN_X - PER_SERIES],
                             .mean_sigma_g = trace[LOCAL_MEAN_G - PER_SERIES]};
    for (size_t a = 0; a < s->d; a++)
        l.div_x -= s->block[(s->start[i] * s->d + a) * s->d + a];
    l.div_x -= s->eps * l.div_x_s_x;
    l.div_g = -s->gamma * ((double)s->d + l.div_g_s_g);
    for (size_t a = 0; a < s->d; a++)
        l.div_g -= s->alignment * (s->block[(s->start[i] * s->d + a) * s->d + a] - s->offset);
    return l;
}

/* local: (n), to fill. */
static enum status compute_local(const struct linear_solution *s, struct linear_local *local) {
    const size_t step = s->uniform ? 1 : PARTICLES_AT_ONCE, count = s->uniform ? 1 : s->n;
    const size_t scratch = s->n * s->d * s->d * step;
    double *t = malloc(scratch * sizeof *t), *next = malloc(scratch * sizeof *next);
    bool good = t && next;
    for (size_t first = 0; good && first < count; first += step) {
        double trace[PARTICLES_AT_ONCE][PER_SERIES];
        size_t particles = count - first < step ? count - first : step;
        traces(s, first, particles, t, next, trace);
        for (size_t p = 0; p < particles; p++)
            local[first + p] = local_of(s, first + p, trace[p]);
    }
    for (size_t i = count; good && i < s->n; i++)
        local[i] = local[0];
    free(t);
    free(next);
    return good ? STATUS_OK
                : FAIL(STATUS_FAILURE, "out of memory for the divergences of %zu particles", s->n);
}

enum status linear_solution_local(struct linear_solution *s, const struct linear_local **local) {
    enum status status = STATUS_OK;
    struct linear_local *computed = NULL;
    if (!s->local) {
        computed = malloc(s->n * sizeof *computed);
        if (!computed)
            TRY(FAIL(STATUS_FAILURE, "out of memory for the divergences of %zu particles", s->n));
        TRY(compute_local(s, computed));
        s->local = computed;
        computed = NULL;
    }
    *local = s->local;
out:
    free(computed);
    return status;
}

enum status linear_solution_total(struct linear_solution *s, struct linear_local *total) {
    const struct linear_local *local;
    enum status status;
    TRY(linear_solution_local(s, &local));
    *total = (struct linear_local){0};
    for (size_t i = 0; i < s->n; i++) {
        total->div_x += local[i].div_x;
        total->div_g += local[i].div_g;
        total->div_x_s_x += local[i].div_x_s_x;
        total->div_g_s_g += local[i].div_g_s_g;
        total->mean_sigma_x += local[i].mean_sigma_x;
        total->mean_sigma_g += local[i].mean_sigma_g;
    }
out:
    return status;
}
