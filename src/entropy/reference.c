#include "entropy/reference.h"

#include <math.h>
#include <stdlib.h>

#include "entropy/linear_solution.h"
#include "entropy/ring_solution.h"

struct reference {
    struct system_parameters system;
    struct box box;
    struct lattice lattice;
    struct linear_solution *linear; /* of a crystal, or NULL */
    struct ring_solution *ring;     /* of two swimmers, or NULL */
    double total;
    double *u; /* (N, d) displacements */
};

/* ---- crystals ---- */

/* Every bond once, with its stiffness. */
static size_t list_bonds(const struct reference *r, uint32_t (*bond)[2], double *matrix) {
    const size_t d = (size_t)r->box.d;
    size_t count = 0;
    for (uint32_t i = 0; i < (uint32_t)r->system.particles; i++) {
        uint32_t neighbour[LATTICE_NEIGHBOURS];
        uint64_t site[MAX_DIMENSION], other[MAX_DIMENSION];
        const int bonds = lattice_neighbours(&r->lattice, i, neighbour);
        lattice_site(&r->lattice, i, site);
        for (int m = 0; m < bonds; m++) {
            if (neighbour[m] <= i)
                continue;
            double vector[MAX_DIMENSION], *k = matrix + count * d * d;
            lattice_site(&r->lattice, neighbour[m], other);
            for (size_t a = 0; a < d; a++)
                vector[a] = bond_vector(site[a], other[a], r->box.side[a] * 0x1p-64);
            for (size_t b = 0; b < d; b++) {
                double column[MAX_DIMENSION] = {0};
                column[b] = 1;
                if (r->system.spring_kind == SPRING_LONGITUDINAL)
                    bond_project((int)d, vector, column);
                for (size_t a = 0; a < d; a++)
                    k[a * d + b] = r->system.spring * column[a];
            }
            bond[count][0] = i;
            bond[count++][1] = neighbour[m];
        }
    }
    return count;
}

static enum status create_crystal(struct reference *r, double noise_x, double noise_g) {
    enum status status = STATUS_OK;
    const size_t n = (size_t)r->system.particles, d = (size_t)r->box.d, most = n * LATTICE_NEIGHBOURS;
    uint32_t(*bond)[2] = malloc(most * sizeof *bond);
    double *matrix = malloc(most * d * d * sizeof *matrix), *tether = malloc(n * sizeof *tether);
    struct linear_local total;
    if (!bond || !matrix || !tether) {
        status = FAIL(STATUS_FAILURE, "out of memory for the bonds of %zu particles", n);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        tether[i] = r->system.tether;
    const struct linear_system system = {
        .d = (int)d,
        .n = n,
        .bonds = list_bonds(r, bond, matrix),
        .bond = (const uint32_t(*)[2])bond,
        .matrix = matrix,
        .tether = tether,
        .v0 = r->system.v0,
        .gamma = r->system.gamma,
        .eps = r->system.eps,
        .alignment = r->system.alignment > 0 ? r->system.alignment / r->system.spring : 0,
        .offset = r->system.tether,
        .uniform = true};
    TRY(linear_solution_create(&system, noise_x, noise_g, &r->linear));
    TRY(linear_solution_total(r->linear, &total));
    r->total = total.mean_sigma_x + total.mean_sigma_g;
out:
    free(bond);
    free(matrix);
    free(tether);
    return status;
}

static enum status apply_crystal(struct reference *r, const double *x, const double *g,
                                 const struct reference_rows *out) {
    const size_t n = (size_t)r->system.particles, d = (size_t)r->box.d;
    for (size_t i = 0; i < n; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(&r->lattice, (uint32_t)i, site);
        for (size_t a = 0; a < d; a++) {
            const uint64_t q = position_to_integer(&r->box, (int)a, x[i * d + a]);
            r->u[i * d + a] = (double)(int64_t)(q - site[a]) * (r->box.side[a] * 0x1p-64);
        }
        out->resolved[i] = true;
    }
    enum status status = linear_solution_apply(r->linear, r->u, g,
                                               &(struct linear_fields){.s_x = out->s_x,
                                                                       .s_g = out->s_g,
                                                                       .v_x = out->v_x,
                                                                       .v_g = out->v_g,
                                                                       .sigma = out->sigma,
                                                                       .div_x = out->div_x,
                                                                       .div_g = out->div_g});
    for (size_t m = 0; r->system.eps == 0 && m < n * d; m++)
        out->s_x[m] = NAN;
    return status;
}

/* ---- two swimmers on a ring ---- */

static bool is_ring(const struct system_parameters *s) {
    return s->kind == SYSTEM_AOUP && s->dimension == 1 && s->particles == 2 && !config_is_open(s) &&
           s->eps > 0 && s->alignment == 0;
}

/* Propulsions that align along bonds commute with springs that pull in all directions alike. */
static bool is_linear(const struct system_parameters *s) {
    const bool alike = s->spring_kind == SPRING_ISOTROPIC && s->spring > 0;
    return s->kind == SYSTEM_CRYSTAL && (s->alignment == 0 || alike);
}

static enum status create_ring(struct reference *r) {
    const struct system_parameters *s = &r->system;
    const struct ring_parameters p =
        ring_of_two_swimmers(s->v0, s->k, s->beta, s->gamma, s->eps, r->box.side[0]);
    enum status status = ring_solution_create(&p, &r->ring);
    if (status == STATUS_OK) {
        const struct ring_totals totals = ring_solution_totals(r->ring);
        r->total = totals.epr_x + totals.epr_g + s->v0 * s->v0 / s->eps; /* and the centre of mass */
    }
    return status;
}

/* Relative coordinate x = x_1 - x_2, g = (g_1 - g_2)/sqrt 2; the centre of mass drifts with v0 (g_1 + g_2)/2, its
 * density is uniform in x and standard normal in (g_1 + g_2)/sqrt 2, whose flow is 0. */
static void apply_ring(struct reference *r, const double *x, const double *g,
                       const struct reference_rows *out) {
    const struct system_parameters *s = &r->system;
    const struct ring_point p = ring_solution_at(r->ring, x[0] - x[1], (g[0] - g[1]) / sqrt(2));
    const double middle = s->v0 * (g[0] + g[1]) / 2;
    for (int i = 0; i < 2; i++) {
        const double side = i == 0 ? 1 : -1;
        out->v_x[i] = middle + side * p.v_x / 2;
        out->v_g[i] = side * p.v_g / sqrt(2);
        out->s_x[i] = side * p.s_x;
        out->s_g[i] = side * p.s_g / sqrt(2) - (g[0] + g[1]) / 2;
        out->sigma[i] = out->v_x[i] * out->v_x[i] / s->eps + out->v_g[i] * out->v_g[i] / s->gamma;
        out->div_x[i] = p.div_x_v_x / 2;
        out->div_g[i] = p.div_g_v_g / 2;
        out->resolved[i] = p.resolved;
    }
}

/* ---- either ---- */

enum status reference_create(const struct config *config, double noise_x, double noise_g,
                             struct reference **out) {
    enum status status = STATUS_OK;
    const struct system_parameters *s = &config->system;
    *out = NULL;
    if (!is_linear(s) && !is_ring(s))
        return STATUS_OK;
    struct reference *r = calloc(1, sizeof *r);
    if (!r)
        return FAIL(STATUS_FAILURE, "out of memory for a closed form");
    *out = r;
    r->system = *s;
    r->box = system_box(s);
    r->lattice = system_lattice(s);
    r->u = malloc((size_t)s->particles * (size_t)s->dimension * sizeof *r->u);
    if (!r->u)
        status = FAIL(STATUS_FAILURE, "out of memory for a closed form");
    TRY(status);
    TRY(s->kind == SYSTEM_CRYSTAL ? create_crystal(r, noise_x, noise_g) : create_ring(r));
out:
    if (status != STATUS_OK)
        reference_destroy(out);
    return status;
}

void reference_destroy(struct reference **reference) {
    struct reference *r = *reference;
    if (!r)
        return;
    linear_solution_destroy(&r->linear);
    ring_solution_destroy(&r->ring);
    free(r->u);
    free(r);
    *reference = NULL;
}

const char *reference_name(const struct reference *r) {
    return r->linear ? "closed form of the crystal" : "Fokker-Planck solution of the ring";
}

bool reference_smoothed(const struct reference *r) {
    return r->linear != NULL;
}

double reference_total(const struct reference *r) {
    return r->total;
}

enum status reference_apply(struct reference *r, const double *x, const double *g,
                            const struct reference_rows *out) {
    if (r->linear)
        return apply_crystal(r, x, g, out);
    apply_ring(r, x, g, out);
    return STATUS_OK;
}
