/* Sums over all particles. */
#include "dynamics/simulation_private.h"

#include <stdlib.h>

/* sums: div_b, |b|^2, F . b, g . b of the owned particles; b's ghosts are filled. */
static enum status drift_sums(struct simulation *s, struct drift *drift, double sums[4]) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    double *column[3] = {0}; /* force, b, g on one axis (host) */
    for (int m = 0; m < 3; m++)
        if (!(column[m] = malloc((p->owned + 1) * sizeof(double))))
            status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    TRY(comm_agree(s->comm, status));
    s->ops->to_host(s->ops, column[0], drift->divergence, p->owned * sizeof(double));
    for (size_t i = 0; i < p->owned; i++)
        sums[0] += column[0][i];
    for (int a = 0; a < s->box.d; a++) {
        const double *from[3] = {drift->force[a], drift->b[a], p->g[a]};
        for (int m = 0; m < 3; m++)
            s->ops->to_host(s->ops, column[m], from[m], p->owned * sizeof(double));
        for (size_t i = 0; i < p->owned; i++) {
            double force = column[0][i], b = column[1][i], g = column[2][i];
            sums[1] += b * b;
            sums[2] += force * b;
            sums[3] += g * b;
        }
        TRY(halo_values(s->halo, p, drift->b[a]));
    }
out:
    for (int m = 0; m < 3; m++)
        free(column[m]);
    return status;
}

/* *sum: |a|^2/gamma + div_g a of the owned particles, a = -gamma G. */
static enum status alignment_sum(struct simulation *s, double *sum) {
    const struct particles *p = s->particles;
    const size_t d = (size_t)s->box.d;
    double *restoring = malloc((p->owned * (d + 1) + 1) * sizeof *restoring);
    enum status status =
        restoring ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu particles", p->owned);
    if (status == STATUS_OK)
        status = alignment_compute(p, &s->box, &s->law, s->system.gamma, &s->list, restoring,
                                   restoring + p->owned * d);
    for (size_t m = 0; status == STATUS_OK && m < p->owned * d; m++)
        *sum += s->system.gamma * restoring[m] * restoring[m];
    for (size_t i = 0; status == STATUS_OK && i < p->owned; i++)
        *sum -= s->system.gamma * restoring[p->owned * d + i];
    free(restoring);
    return comm_agree(s->comm, status);
}

/* The drift, the stiffness of every particle, columns on the host, and what aligns. */
double simulation_sums_bytes(int d, bool aligns, double owned, double ghosts) {
    return sizeof(double) * ((owned + ghosts) * (1 + 2 * d + d * d) + (aligns ? 4 + d : 3) * owned);
}

enum status simulation_sums(struct simulation *s, struct simulation_sums *out) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const struct particles *p = s->particles;
    const size_t d = (size_t)s->box.d;
    const double k = s->step_law.k, trap = s->step_law.trap;
    struct drift drift = {0};
    double sums[7] = {0}, *scratch = NULL;
    TRY(simulation_settle(s)); /* which may make new ghosts */
    const size_t n = p->owned + p->ghosts;
    TRY(comm_agree(s->comm, drift_compute(p, &s->box, &s->law, &s->system, &s->list, &drift)));
    TRY(comm_agree(s->comm, ops->allocate(ops, (n + 1) * d * d * sizeof *scratch, (void **)&scratch)));
    TRY(drift_sums(s, &drift, sums));
    sums[4] = trap * sums[1] +
              ops->pair_quadratic(ops, &s->box, &s->law, k, p->owned, p->id, p->q, &s->list, drift.b);
    sums[5] =
        ops->stiffness_squared(ops, &s->box, &s->law, k, trap, p->owned, n, p->id, p->q, &s->list, scratch);
    if (s->law.alignment > 0)
        TRY(alignment_sum(s, &sums[6]));
    comm_sum(s->comm, sums, 7);
    *out = (struct simulation_sums){.div_b = sums[0],
                                    .b_squared = sums[1],
                                    .force_b = sums[2],
                                    .b_stiffness_b = sums[4],
                                    .g_b = sums[3],
                                    .stiffness_squared = sums[5],
                                    .alignment = sums[6]};
out:
    drift_release(ops, &drift);
    ops->release(ops, scratch);
    return status;
}
