#include "entropy/ring_solution.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>

#include "ops/softplus_formula.h"

/* LAPACK, of which OpenBLAS installs no header on every system. */
void dgetrf_(const int *rows, const int *columns, double *a, const int *lead, int *pivot, int *info);
void dgetrs_(const char *transposed, const int *n, const int *columns, const double *a, const int *lead,
             const int *pivot, double *b, const int *lead_b, int *info, size_t length);

enum {
    FUNCTIONS = 80,       /* Hermite functions */
    DEGREE = 20,          /* of the elements */
    SHAPES = DEGREE + 1,  /* functions of an element: left end, DEGREE - 1 bubbles, right end */
    QUADRATURE = 32,      /* Gauss points of an element: f is not a polynomial */
    LARGEST_ELEMENTS = 32 /* bounds time and memory; not enough then shows as STATUS_NUMBERS */
};
static const double PI = 3.14159265358979323846;
static const double LARGEST_G = 7, STEP_G = 1.0 / 16; /* trapezoidal rule in g: exponentially accurate */
static const double FLOOR = 1e-12; /* of the density of a uniform ring at g = 0: rounding reaches this far */
static const double TRUNCATION = 1e-3; /* error of s_g by truncation, estimated, that counts as resolved */

struct ring_solution {
    struct ring_parameters p;
    int elements, n;                   /* elements of [0, side/2], unknowns per Hermite function */
    double edge[LARGEST_ELEMENTS + 1]; /* ends of the elements */
    double *c; /* (FUNCTIONS, n) coefficients of c_m in the shape functions, zero ends for odd m included */
    struct ring_totals totals;
};

/* c_m at one x, and its first and second derivative. */
struct column {
    double x, c[FUNCTIONS], c_x[FUNCTIONS], c_xx[FUNCTIONS];
};

struct ring_parameters ring_of_two_swimmers(double v0, double k, double beta, double gamma, double eps,
                                            double side) {
    return (struct ring_parameters){
        .side = side, .v0 = v0 * sqrt(2), .k = 2 * k, .beta = beta, .gamma = gamma, .eps = 2 * eps};
}

static double force(const struct ring_parameters *p, double r) {
    return p->k * pair_force_d(r, p->beta, 1 / p->beta);
}

/* Legendre polynomials P_0 ... P_order and their first derivatives at t. */
static void legendre(int order, double t, double *value, double *slope) {
    value[0] = 1;
    slope[0] = 0;
    value[1] = t;
    slope[1] = 1;
    for (int j = 2; j <= order; j++) {
        value[j] = ((2 * j - 1) * t * value[j - 1] - (j - 1) * value[j - 2]) / j;
        slope[j] = slope[j - 2] + (2 * j - 1) * value[j - 1];
    }
}

/* Points and weights of Gauss's rule on [-1, 1], by Newton's iteration. */
static void gauss(double point[QUADRATURE], double weight[QUADRATURE]) {
    double value[QUADRATURE + 1], slope[QUADRATURE + 1];
    for (int a = 0; a < QUADRATURE; a++) {
        double t = -cos(PI * (a + 0.75) / (QUADRATURE + 0.5));
        for (int m = 0; m < 20; m++) {
            legendre(QUADRATURE, t, value, slope);
            t -= value[QUADRATURE] / slope[QUADRATURE];
        }
        legendre(QUADRATURE, t, value, slope);
        point[a] = t;
        weight[a] = 2 / ((1 - t * t) * slope[QUADRATURE] * slope[QUADRATURE]);
    }
}

/* Shape functions of an element at t in [-1, 1] and their derivatives in t: two linear functions for the ends, and
 * integrals of Legendre polynomials, zero at both ends. Derivatives of the latter are orthonormal: diffusion is then
 * well conditioned at any degree. */
static void shapes(double t, double value[SHAPES], double slope[SHAPES], double curvature[SHAPES]) {
    double p[SHAPES], dp[SHAPES];
    legendre(DEGREE, t, p, dp);
    value[0] = (1 - t) / 2;
    slope[0] = -0.5;
    value[DEGREE] = (1 + t) / 2;
    slope[DEGREE] = 0.5;
    curvature[0] = curvature[DEGREE] = 0;
    for (int j = 2; j <= DEGREE; j++) {
        double scale = sqrt((2 * j - 1) / 2.0);
        value[j - 1] = scale * (p[j] - p[j - 2]) / (2 * j - 1);
        slope[j - 1] = scale * p[j - 1];
        curvature[j - 1] = scale * dp[j - 1];
    }
}

/* Cuts [0, side/2] into elements. Near the obstacle they resolve the profile of a particle pushed onto it, of width
 * sqrt(eps/k), and the bend of the softplus, 1/beta; where the force has decayed they grow. */
static void cut(struct ring_solution *s) {
    const struct ring_parameters *p = &s->p;
    const double reach = 3.5, growth = 1.25, widest = 1;
    double width = fmin(0.5, 3.75 / p->beta);
    if (p->k > 0)
        width = fmin(width, 2.5 * sqrt(p->eps / p->k));
    width = fmin(width, p->side / 8); /* at least four */
    while (s->edge[s->elements] < p->side / 2 && s->elements < LARGEST_ELEMENTS) {
        s->elements++;
        s->edge[s->elements] = s->edge[s->elements - 1] + width;
        if (s->edge[s->elements] > reach)
            width = fmax(width, fmin(widest, growth * width));
    }
    const double scale = p->side / 2 / s->edge[s->elements];
    for (int e = 1; e <= s->elements; e++)
        s->edge[e] *= scale;
    s->n = s->elements * DEGREE + 1;
}

/* ---- The linear system ----
 *
 * Tested with a shape function w and integrated by parts over [0, side/2]:
 *     int w' [v0 (sqrt(m) c_{m-1} + sqrt(m+1) c_{m+1}) + k f c_m - eps c_m'] - gamma m int w c_m = 0
 * Matrices are (n, n), column major, row = test function. */
struct blocks {
    int n;
    double *local;    /* int w' (k f u - eps u') */
    double *mass;     /* int w u */
    double *coupling; /* v0 int w' u */
    double *work;     /* the block being factorised */
    double *ratio;    /* (FUNCTIONS, n, n): c_m = -ratio[m] c_{m-1}, m >= 1 */
    int *pivot;
};

static void blocks_destroy(struct blocks *b) {
    free(b->local);
    free(b->mass);
    free(b->coupling);
    free(b->work);
    free(b->ratio);
    free(b->pivot);
}

static enum status blocks_create(int n, struct blocks *b) {
    const size_t square = (size_t)n * (size_t)n;
    *b = (struct blocks){.n = n};
    b->local = calloc(square, sizeof(double));
    b->mass = calloc(square, sizeof(double));
    b->coupling = calloc(square, sizeof(double));
    b->work = calloc(square, sizeof(double));
    b->ratio = calloc(FUNCTIONS * square, sizeof(double));
    b->pivot = calloc((size_t)n, sizeof(int));
    if (b->local && b->mass && b->coupling && b->work && b->ratio && b->pivot)
        return STATUS_OK;
    return FAIL(STATUS_FAILURE, "out of memory for the ring of %d unknowns per Hermite function", n);
}

/* Adds the integrals at one Gauss point of element e to the matrices. */
static void assemble_point(const struct ring_solution *s, int e, double t, double weight, struct blocks *b) {
    double value[SHAPES], slope[SHAPES], curvature[SHAPES];
    shapes(t, value, slope, curvature);
    const double width = s->edge[e + 1] - s->edge[e], to_x = 2 / width, measure = weight * width / 2;
    const double f = force(&s->p, s->edge[e] + (t + 1) / 2 * width);
    for (int j = 0; j < SHAPES; j++)
        for (int i = 0; i < SHAPES; i++) {
            size_t at = (size_t)(e * DEGREE + i) + (size_t)(e * DEGREE + j) * (size_t)b->n;
            double w_x = measure * slope[i] * to_x;
            b->local[at] += w_x * (f * value[j] - s->p.eps * slope[j] * to_x);
            b->mass[at] += measure * value[i] * value[j];
            b->coupling[at] += w_x * s->p.v0 * value[j];
        }
}

static void assemble(const struct ring_solution *s, struct blocks *b) {
    double point[QUADRATURE], weight[QUADRATURE];
    gauss(point, weight);
    for (int e = 0; e < s->elements; e++)
        for (int a = 0; a < QUADRATURE; a++)
            assemble_point(s, e, point[a], weight[a], b);
}

/* An odd c_m is zero at both ends: their rows become c = 0. */
static void pin_ends(int n, double *matrix, double *right) {
    for (int end = 0; end < n; end += n - 1) {
        for (int j = 0; j < n; j++) {
            matrix[end + (size_t)j * (size_t)n] = j == end;
            right[end + (size_t)j * (size_t)n] = 0;
        }
    }
}

/* work = the block of function m, with all functions above m eliminated. */
static void eliminate_above(const struct ring_solution *s, int m, struct blocks *b) {
    const size_t square = (size_t)b->n * (size_t)b->n;
    for (size_t a = 0; a < square; a++)
        b->work[a] = b->local[a] - s->p.gamma * m * b->mass[a];
    if (m + 1 < FUNCTIONS)
        cblas_dgemm(CblasColMajor, CblasNoTrans, CblasNoTrans, b->n, b->n, b->n, -sqrt(m + 1), b->coupling,
                    b->n, b->ratio + (size_t)(m + 1) * square, b->n, 1, b->work, b->n);
}

/* right (n, columns) := work^{-1} right. */
static enum status solve_block(struct blocks *b, int columns, double *right) {
    int info = 0;
    dgetrf_(&b->n, &b->n, b->work, &b->n, b->pivot, &info);
    if (info == 0)
        dgetrs_("N", &b->n, &columns, b->work, &b->n, b->pivot, right, &b->n, &info, 1);
    return info == 0 ? STATUS_OK : FAIL(STATUS_NUMBERS, "singular matrix of the ring (LAPACK info %d)", info);
}

/* Function 0: its rows add up to zero (probability is conserved), so that of the end side/2, where the density is
 * not small, gives way to the normalisation, 1/2 on half the ring. The constant is the sum of the elements' ends. */
static enum status solve_lowest(const struct ring_solution *s, struct blocks *b) {
    const int n = b->n;
    eliminate_above(s, 0, b);
    for (int j = 0; j < n; j++) {
        double integral = 0;
        for (int e = 0; e <= s->elements; e++)
            integral += b->mass[e * DEGREE + (size_t)j * (size_t)n];
        b->work[n - 1 + (size_t)j * (size_t)n] = integral;
        s->c[j] = 0;
    }
    s->c[n - 1] = 0.5;
    return solve_block(b, 1, s->c);
}

static enum status solve(const struct ring_solution *s, struct blocks *b) {
    enum status status = STATUS_OK;
    const size_t n = (size_t)b->n, square = n * n;
    assemble(s, b);
    for (int m = FUNCTIONS - 1; m > 0; m--) {
        double *ratio = b->ratio + (size_t)m * square;
        eliminate_above(s, m, b);
        for (size_t a = 0; a < square; a++)
            ratio[a] = sqrt(m) * b->coupling[a];
        if (m % 2 == 1)
            pin_ends(b->n, b->work, ratio);
        TRY(solve_block(b, b->n, ratio));
    }
    TRY(solve_lowest(s, b));
    for (size_t m = 1; m < FUNCTIONS; m++)
        cblas_dgemv(CblasColMajor, CblasNoTrans, b->n, b->n, -1, b->ratio + m * square, b->n,
                    s->c + (m - 1) * n, 1, 0, s->c + m * n, 1);
out:
    return status;
}

/* ---- Fields ---- */

/* The column at position t in [-1, 1] of element e. */
static void column_at(const struct ring_solution *s, int e, double t, struct column *column) {
    double value[SHAPES], slope[SHAPES], curvature[SHAPES];
    const double width = s->edge[e + 1] - s->edge[e], to_x = 2 / width;
    shapes(t, value, slope, curvature);
    *column = (struct column){.x = s->edge[e] + (t + 1) / 2 * width};
    for (int m = 0; m < FUNCTIONS; m++) {
        const double *c = s->c + (size_t)m * (size_t)s->n + (size_t)e * DEGREE;
        for (int i = 0; i < SHAPES; i++) {
            column->c[m] += c[i] * value[i];
            column->c_x[m] += c[i] * slope[i] * to_x;
            column->c_xx[m] += c[i] * curvature[i] * to_x * to_x;
        }
    }
}

/* u = rho / (normal density of g) and its derivatives; h_m' = sqrt(m) h_{m-1}. */
struct expansion {
    double u, u_x, u_xx, u_g, u_gg;
    double
        last; /* size of the last two terms of u (each parity's own) times their number: the error of u_g */
};
static struct expansion expand(const struct column *column, double g) {
    struct expansion sum = {0};
    double h = 1, before = 0, before_that = 0; /* h_m, h_{m-1}, h_{m-2} */
    for (int m = 0; m < FUNCTIONS; m++) {
        sum.u += column->c[m] * h;
        sum.u_x += column->c_x[m] * h;
        sum.u_xx += column->c_xx[m] * h;
        sum.u_g += column->c[m] * sqrt(m) * before;
        sum.u_gg += m > 1 ? column->c[m] * sqrt(m * (m - 1.0)) * before_that : 0;
        sum.last += m >= FUNCTIONS - 2 ? fabs(column->c[m] * h) * FUNCTIONS : 0;
        double next = (g * h - sqrt(m) * before) / sqrt(m + 1);
        before_that = before;
        before = h;
        h = next;
    }
    return sum;
}

static bool above_floor(const struct ring_parameters *p, double rho) {
    return rho * p->side * sqrt(2 * PI) > FLOOR;
}

static struct ring_point point_of(const struct ring_solution *s, const struct column *column, double g) {
    const struct ring_parameters *p = &s->p;
    const struct expansion e = expand(column, g);
    const double normal = exp(-g * g / 2) / sqrt(2 * PI), ratio_g = e.u_g / e.u;
    struct ring_point point = {.rho = normal * e.u, .s_x = e.u_x / e.u, .s_g = ratio_g - g};
    point.v_x = p->v0 * g + force(p, column->x) - p->eps * point.s_x;
    point.v_g = -p->gamma * ratio_g;
    point.sigma_x = point.v_x * point.v_x / p->eps;
    point.sigma_g = point.v_g * point.v_g / p->gamma;
    point.div_x_v_x =
        p->k * pair_slope_d(column->x, p->beta) - p->eps * (e.u_xx / e.u - point.s_x * point.s_x);
    point.div_g_v_g = -p->gamma * (e.u_gg / e.u - ratio_g * ratio_g);
    point.resolved = above_floor(p, point.rho) && e.last < TRUNCATION * e.u;
    return point;
}

struct ring_point ring_solution_at(const struct ring_solution *solution, double x, double g) {
    const double side = solution->p.side;
    x -= side * floor(x / side + 0.5);
    /* Parity: rho(-x, -g) = rho(x, g), scores and velocities change sign. */
    const double sign = x < 0 ? -1 : 1, *edge = solution->edge;
    int e = 0;
    while (e + 1 < solution->elements && fabs(x) >= edge[e + 1])
        e++;
    struct column column;
    column_at(solution, e, 2 * (fabs(x) - edge[e]) / (edge[e + 1] - edge[e]) - 1, &column);
    struct ring_point point = point_of(solution, &column, sign * g);
    point.s_x *= sign;
    point.s_g *= sign;
    point.v_x *= sign;
    point.v_g *= sign;
    return point;
}

/* ---- Totals ---- */

/* Moments of x, g and the force of which (I4) is made: c_0, c_1, c_2 are those of 1, g, (g^2 - 1)/sqrt 2. */
struct moments {
    double g_squared, force_g, force_squared, slope;
};

/* Adds the contribution of one x, and by parity of -x. */
static void add_column(const struct ring_solution *s, const struct column *column, double weight,
                       struct ring_totals *t, struct moments *m) {
    const double *c = column->c, x = column->x, f = force(&s->p, x), both = 2 * weight;
    m->g_squared += both * (c[0] + sqrt(2) * c[2]);
    m->force_g += both * f * c[1];
    m->force_squared += both * f * f * c[0];
    m->slope += both * s->p.k * pair_slope_d(x, s->p.beta) * c[0];
    t->mean_x_squared += both * x * x * c[0];
    t->mean_x_times_g += both * x * c[1];
    for (double g = -LARGEST_G; g <= LARGEST_G; g += STEP_G) {
        const struct ring_point point = point_of(s, column, g);
        if (above_floor(&s->p, point.rho)) {
            t->epr_x += both * STEP_G * point.rho * point.sigma_x;
            t->epr_g += both * STEP_G * point.rho * point.sigma_g;
        }
    }
}

static void compute_totals(const struct ring_solution *s, struct ring_totals *t) {
    const struct ring_parameters *p = &s->p;
    double point[QUADRATURE], weight[QUADRATURE];
    struct moments m = {0};
    struct column column;
    *t = (struct ring_totals){0};
    gauss(point, weight);
    for (int e = 0; e < s->elements; e++)
        for (int a = 0; a < QUADRATURE; a++) {
            column_at(s, e, point[a], &column);
            add_column(s, &column, weight[a] * (s->edge[e + 1] - s->edge[e]) / 2, t, &m);
        }
    /* f_odd jumps by 2 f(0) at the obstacle and by -2 f(side/2) opposite to it. */
    column_at(s, 0, -1, &column);
    m.slope += 2 * force(p, 0) * column.c[0];
    column_at(s, s->elements - 1, 1, &column);
    m.slope -= 2 * force(p, p->side / 2) * column.c[0];
    const double g_b = p->v0 * m.g_squared + m.force_g;
    t->i4_first = (p->v0 * (g_b + m.force_g) + m.force_squared) / p->eps + m.slope;
    t->i4_second = p->v0 / p->eps * g_b;
}

struct ring_totals ring_solution_totals(const struct ring_solution *solution) {
    return solution->totals;
}

/* ---- Creation ---- */

/* The sum of the local rates needs the whole solution, (I4) little of it: they agree only where it is resolved. */
static enum status check_resolution(const struct ring_solution *s) {
    const struct ring_totals *t = &s->totals;
    const double epr = t->epr_x + t->epr_g, scale = s->p.v0 * s->p.v0 / s->p.eps + s->p.gamma + s->p.k;
    if (fabs(epr - t->i4_second) <= 1e-3 * fabs(t->i4_second) + 1e-9 * scale &&
        fabs(t->i4_first - t->i4_second) <= 1e-3 * fabs(t->i4_second) + 1e-9 * scale)
        return STATUS_OK;
    return FAIL(STATUS_NUMBERS,
                "the ring is not resolved: entropy production %g, by (I4) %g and %g; take a larger gamma "
                "or eps, or a smaller v0",
                epr, t->i4_first, t->i4_second);
}

static enum status check_parameters(const struct ring_parameters *p) {
    if (p->side > 0 && p->beta > 0 && p->gamma > 0 && p->eps > 0 && p->k >= 0 &&
        isfinite(p->side + p->v0 + p->k + p->beta + p->gamma + p->eps))
        return STATUS_OK;
    return FAIL(STATUS_BAD_INPUT,
                "the ring needs side, beta, gamma, eps above 0 and k not below; it has %g, %g, %g, %g, %g",
                p->side, p->beta, p->gamma, p->eps, p->k);
}

static enum status allocate(const struct ring_parameters *parameters, struct ring_solution **out,
                            struct blocks *blocks) {
    struct ring_solution *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return FAIL(STATUS_FAILURE, "out of memory for the ring");
    s->p = *parameters;
    cut(s);
    if (!(s->c = calloc(FUNCTIONS * (size_t)s->n, sizeof(double))))
        return FAIL(STATUS_FAILURE, "out of memory for the ring of %d unknowns per Hermite function", s->n);
    return blocks_create(s->n, blocks);
}

enum status ring_solution_create(const struct ring_parameters *parameters, struct ring_solution **out) {
    enum status status = STATUS_OK;
    struct blocks blocks = {0};
    *out = NULL;
    TRY(check_parameters(parameters));
    TRY(allocate(parameters, out, &blocks));
    TRY(solve(*out, &blocks));
    compute_totals(*out, &(*out)->totals);
    TRY(check_resolution(*out));
out:
    blocks_destroy(&blocks);
    if (status != STATUS_OK)
        ring_solution_destroy(out);
    return status;
}

void ring_solution_destroy(struct ring_solution **solution) {
    if (!*solution)
        return;
    free((*solution)->c);
    free(*solution);
    *solution = NULL;
}
