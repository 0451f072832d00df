#include "dynamics/system.h"

#include <math.h>
#include <stdlib.h>

#include "ops/alignment_formula.h"

enum { FEW = 16 };

struct box system_box(const struct system_parameters *s) {
    struct box box = {.d = s->dimension, .periodic = !config_is_open(s)};
    config_box(s, box.side);
    if (s->copies > 1) {
        box.group = (uint32_t)s->particles;
        box.groups = (uint32_t)s->copies;
    }
    return box;
}

struct lattice system_lattice(const struct system_parameters *s) {
    struct lattice lattice = {.d = 0};
    int64_t sites[MAX_DIMENSION];
    if (s->kind != SYSTEM_CRYSTAL)
        return lattice;
    config_lattice(s, sites);
    lattice.d = s->dimension;
    lattice.particles = (uint32_t)s->particles;
    for (int a = 0; a < MAX_DIMENSION; a++)
        lattice.sites[a] = (uint32_t)sites[a];
    lattice_prepare(&lattice);
    return lattice;
}

double system_pair_strength(const struct system_parameters *s) {
    return s->kind == SYSTEM_CRYSTAL ? s->spring : s->k;
}

double system_anchor_stiffness(const struct system_parameters *s) {
    return s->kind == SYSTEM_CRYSTAL ? s->tether : s->trap;
}

struct pair_law system_pair_law(const struct system_parameters *s, const struct simulation_parameters *p) {
    return (struct pair_law){.beta = s->beta,
                             .cutoff = config_cutoff(s, p),
                             .kind = s->kind == SYSTEM_CRYSTAL ? PAIRS_SPRINGS : PAIRS_SOFTPLUS,
                             .longitudinal = s->spring_kind == SPRING_LONGITUDINAL,
                             .alignment = s->alignment,
                             .alignment_radius = s->alignment_radius,
                             .lattice = system_lattice(s)};
}

struct step_law system_step_law(const struct system_parameters *s, const struct simulation_parameters *p) {
    return (struct step_law){.dt = p->dt,
                             .v0 = s->v0,
                             .k = system_pair_strength(s),
                             .trap = system_anchor_stiffness(s),
                             .anchor = system_lattice(s),
                             .g_decay = exp(-s->gamma * p->dt),
                             .g_kick = sqrt(-expm1(-2 * s->gamma * p->dt)),
                             .x_kick = sqrt(2 * s->eps * p->dt),
                             .seed = p->seed};
}

struct step_law system_fine_law(const struct config *config) {
    struct simulation_parameters half = config->simulation;
    const double steps = (double)config_fine_steps(config);
    const double dt = steps > 0 ? (double)config_refine_steps(config) * half.dt / steps : 0;
    half.dt = dt / 2;
    struct step_law law = system_step_law(&config->system, &half);
    law.dt = dt;
    return law;
}

/* Copies of few particles. */
static bool is_few(const struct system_parameters *s) {
    return s->copies > 1 && s->particles <= FEW;
}

/* The most that the box allows. */
static double most_skin(const struct system_parameters *s, const struct simulation_parameters *p) {
    const struct box box = system_box(s);
    double most = INFINITY;
    for (int a = 0; box.periodic && a < box.d; a++)
        most = fmin(most, 0.999 * (box.side[a] / 2 - config_reach(s, p)));
    return most;
}

double system_skin(const struct system_parameters *s, const struct simulation_parameters *p) {
    const double usual = s->kind == SYSTEM_CRYSTAL ? 0.5 : 1;
    if (p->skin > 0)
        return p->skin;
    if (is_few(s)) /* all pairs of a copy, which are soon tried: the list lasts */
        return 2 * system_box(s).side[0];
    return fmin(usual, most_skin(s, p));
}

struct skin_search system_skin_search(const struct system_parameters *s,
                                      const struct simulation_parameters *p) {
    return (struct skin_search){.on = !(p->skin > 0) && s->kind != SYSTEM_CRYSTAL && !is_few(s),
                                .least = fmin(0.2, most_skin(s, p)),
                                .most = fmin(3, most_skin(s, p)),
                                .factor = 1.25};
}

enum status drift_compute(const struct particles *p, const struct box *box, const struct pair_law *law,
                          const struct system_parameters *s, const struct pair_list *list,
                          struct drift *out) {
    enum status status = STATUS_OK;
    const struct ops *ops = p->ops;
    size_t n = p->owned + p->ghosts;
    *out = (struct drift){0};
    TRY(ops->allocate(ops, n * sizeof(double), (void **)&out->divergence));
    for (int a = 0; a < box->d; a++) {
        TRY(ops->allocate(ops, n * sizeof(double), (void **)&out->force[a]));
        TRY(ops->allocate(ops, n * sizeof(double), (void **)&out->b[a]));
    }
    ops->pair_terms(ops, box, law, system_pair_strength(s), p->owned, n, p->id, p->q, list, out->force,
                    out->divergence);
    ops->drift(ops, box, s->v0, system_anchor_stiffness(s), &law->lattice, p->owned, p->id, p->q, p->g,
               out->force, out->divergence, out->b);
out:
    if (status != STATUS_OK)
        drift_release(ops, out);
    return status;
}

void drift_release(const struct ops *ops, struct drift *drift) {
    ops->release(ops, drift->divergence);
    for (int a = 0; a < MAX_DIMENSION; a++) {
        ops->release(ops, drift->force[a]);
        ops->release(ops, drift->b[a]);
    }
    *drift = (struct drift){0};
}

enum status system_force(const void *context, const struct particles *p, const struct box *box, double *force,
                         double *divergence) {
    enum status status = STATUS_OK;
    const struct system_force *of = context;
    const size_t d = (size_t)box->d;
    struct pair_list list = {0};
    struct drift drift = {0};
    double *column = malloc((p->owned + 1) * sizeof *column);
    if (!column)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    TRY(law_pairs_build(p, box, &of->law, 0, &list));
    TRY(drift_compute(p, box, &of->law, &of->system, &list, &drift));
    p->ops->to_host(p->ops, divergence, drift.divergence, p->owned * sizeof *divergence);
    for (size_t a = 0; a < d; a++) {
        p->ops->to_host(p->ops, column, drift.force[a], p->owned * sizeof *column);
        for (size_t i = 0; i < p->owned; i++)
            force[i * d + a] = column[i];
    }
out:
    drift_release(p->ops, &drift);
    pairs_release(p->ops, &list);
    free(column);
    return status;
}

enum status alignment_compute(const struct particles *p, const struct box *box, const struct pair_law *law,
                              double gamma, const struct pair_list *list, double *restoring,
                              double *divergence) {
    enum status status = STATUS_OK;
    const struct ops *ops = p->ops;
    const size_t n = p->owned + p->ghosts, d = (size_t)box->d, numbers = align_numbers(box->d);
    const double rate = law->alignment / gamma;
    int64_t *sum = NULL, *host = malloc((p->owned * numbers + 1) * sizeof *host);
    double *g = malloc((p->owned + 1) * sizeof *g);
    if (!host || !g)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    TRY(status);
    TRY(ops->allocate(ops, n * numbers * sizeof *sum, (void **)&sum));
    ops->align(ops, box, law, p->owned, n, p->q, p->g, list, sum);
    ops->to_host(ops, host, sum, p->owned * numbers * sizeof *host);
    for (size_t a = 0; a < d; a++) {
        ops->to_host(ops, g, p->g[a], p->owned * sizeof *g);
        for (size_t i = 0; i < p->owned; i++)
            restoring[i * d + a] = g[i] - rate * align_real(host[i * numbers + a]);
    }
    for (size_t i = 0; i < p->owned; i++)
        divergence[i] = (double)d * (1 + rate * align_real(host[i * numbers + d]));
out:
    ops->release(ops, sum);
    free(host);
    free(g);
    return status;
}

enum status system_restoring(const void *context, const struct particles *p, const struct box *box,
                             double *restoring, double *divergence) {
    const struct system_force *of = context;
    struct pair_list list = {0};
    enum status status = law_pairs_build(p, box, &of->law, 0, &list);
    if (status == STATUS_OK)
        status = alignment_compute(p, box, &of->law, of->system.gamma, &list, restoring, divergence);
    pairs_release(p->ops, &list);
    return status;
}
