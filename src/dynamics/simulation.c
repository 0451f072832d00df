#include "dynamics/simulation.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum { SORT_EVERY = 16 };             /* list builds between sorts of the particles into cell order */
static const double INNER_SKIN = 0.4; /* of the skin */

enum status simulation_create(const struct ops *ops, struct comm *comm, const struct config *config,
                              struct simulation **out) {
    enum status status = STATUS_OK;
    struct simulation *s = calloc(1, sizeof *s);
    *out = s;
    if (!s)
        return FAIL(STATUS_FAILURE, "out of memory for a simulation");
    s->ops = ops;
    s->comm = comm;
    s->system = config->system;
    s->box = system_box(&config->system);
    s->law = system_pair_law(&config->system, &config->simulation);
    s->step_law = system_step_law(&config->system, &config->simulation);
    s->refine_steps = (uint64_t)config_refine_steps(config);
    s->fine_steps = (uint64_t)config_fine_steps(config);
    s->fine_law = system_fine_law(config);
    s->skin = system_skin(&config->system, &config->simulation);
    s->inner_skin = INNER_SKIN * s->skin;
    s->timer_force = timings_add(&s->timings, "forces");
    s->timer_step = timings_add(&s->timings, "integration and noise");
    s->timer_messages = timings_add(&s->timings, "messages");
    s->timer_lists = timings_add(&s->timings, "neighbour lists");
    TRY(domain_create(&s->box, comm, &s->domain));
    TRY(particles_create(ops, s->box.d, (size_t)config_total(&config->system) / (size_t)comm_size(comm) + 1,
                         &s->particles));
out:
    if (status != STATUS_OK)
        simulation_destroy(out);
    return status;
}

static void release_close(struct simulation *s) {
    s->ops->release(s->ops, s->close.first);
    s->ops->release(s->ops, s->close.second);
    s->ops->release(s->ops, s->close.scratch);
    s->close = (struct close_pairs){0};
}

void simulation_destroy(struct simulation **simulation) {
    struct simulation *s = *simulation;
    if (!s)
        return;
    halo_destroy(&s->halo);
    pairs_release(s->ops, &s->list);
    release_close(s);
    for (int a = 0; a < s->box.d; a++) {
        s->ops->release(s->ops, s->force[a]);
        s->ops->release(s->ops, s->q_list[a]);
        s->ops->release(s->ops, s->q_start[a]);
    }
    particles_destroy(&s->particles);
    domain_destroy(&s->domain);
    free(s);
    *simulation = NULL;
}

/* Room for forces and old positions of all local particles. Their contents need not be kept. */
static enum status reserve(struct simulation *s) {
    enum status status = STATUS_OK;
    if (s->particles->capacity <= s->capacity)
        return STATUS_OK;
    s->capacity = 0;
    s->ops->release(s->ops, s->close.scratch);
    s->close.scratch = NULL;
    TRY(s->ops->allocate(s->ops, s->particles->capacity * CLOSE_SCRATCH, &s->close.scratch));
    for (int a = 0; a < s->box.d; a++) {
        s->ops->release(s->ops, s->force[a]);
        s->ops->release(s->ops, s->q_list[a]);
        s->ops->release(s->ops, s->q_start[a]);
        s->force[a] = NULL;
        s->q_list[a] = NULL;
        s->q_start[a] = NULL;
        TRY(s->ops->allocate(s->ops, s->particles->capacity * sizeof *s->force[a], (void **)&s->force[a]));
        TRY(s->ops->allocate(s->ops, s->particles->capacity * sizeof *s->q_list[a], (void **)&s->q_list[a]));
        if (s->fine_steps > 0)
            TRY(s->ops->allocate(s->ops, s->particles->capacity * sizeof *s->q_start[a],
                                 (void **)&s->q_start[a]));
    }
    s->capacity = s->particles->capacity;
out:
    return status;
}

/* Room for the close pairs of the list and for what forces are summed in. */
static enum status reserve_close(struct simulation *s) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const size_t pairs = s->list.capacity + SIMD_PAIRS;
    s->since_close = INFINITY;
    if (pairs > s->close.capacity) {
        ops->release(ops, s->close.first);
        ops->release(ops, s->close.second);
        s->close.first = s->close.second = NULL;
        s->close.capacity = 0;
        TRY(ops->allocate(ops, pairs * sizeof *s->close.first, (void **)&s->close.first));
        TRY(ops->allocate(ops, pairs * sizeof *s->close.second, (void **)&s->close.second));
        s->close.capacity = pairs;
    }
out:
    return status;
}

/* Halo and pair list for the particles as they are owned now. */
static enum status build_lists(struct simulation *s) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    halo_destroy(&s->halo);
    TRY(halo_create(p, s->domain, s->comm, s->law.cutoff + s->skin, &s->halo));
    status = law_pairs_build(p, &s->box, &s->law, s->skin, &s->list);
    if (status == STATUS_OK)
        status = reserve(s);
    if (status == STATUS_OK && s->law.kind == PAIRS_SOFTPLUS)
        status = reserve_close(s);
    TRY(comm_agree(s->comm, status));
    for (int a = 0; a < s->box.d; a++)
        s->ops->copy(s->ops, s->q_list[a], p->q[a], p->owned * sizeof *p->q[a]);
    s->builds++;
    assert(domain_is_valid(s->domain));
    assert(halo_is_valid(s->halo, p));
out:
    return status;
}

/* Host copies of the owned positions, to balance by. */
static enum status rebalance(struct simulation *s) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    uint64_t *q[MAX_DIMENSION] = {0};
    for (int a = 0; a < s->box.d && status == STATUS_OK; a++) {
        q[a] = malloc((p->owned + 1) * sizeof *q[a]);
        if (q[a])
            s->ops->to_host(s->ops, q[a], p->q[a], p->owned * sizeof *q[a]);
        else
            status = FAIL(STATUS_FAILURE, "out of memory while balancing %zu particles", p->owned);
    }
    TRY(comm_agree(s->comm, status));
    TRY(domain_balance(s->domain, s->comm, p->owned, q));
    s->balances++;
out:
    for (int a = 0; a < s->box.d; a++)
        free(q[a]);
    return status;
}

static enum status rebuild(struct simulation *s) {
    enum status status = STATUS_OK;
    double fair = (double)config_total(&s->system) / comm_size(s->comm);
    timer_begin(&s->timings, s->timer_lists);
    bool moving = s->box.group == 0; /* copies stay where they are */
    if (moving && s->most_owned > 1.05 * fair + 8)
        TRY(rebalance(s));
    if (moving)
        TRY(particles_migrate(s->particles, s->domain, s->comm,
                              s->builds % SORT_EVERY == 0 ? s->law.cutoff + s->skin : 0));
    TRY(build_lists(s));
out:
    timer_end(&s->timings, s->timer_lists);
    return status;
}

enum status simulation_load(struct simulation *s, const struct slice *slice, uint64_t step) {
    enum status status = STATUS_OK;
    s->step_law.step = step;
    TRY(particles_from_slice(s->particles, s->domain, s->comm, slice, s->law.cutoff + s->skin));
    TRY(build_lists(s));
out:
    return status;
}

/* How far particles may move before lists are made anew. Bonds hold however far they go, and are only brought back to
 * where halos are thin. */
static double lists_last(const struct simulation *s) {
    return s->law.kind == PAIRS_SPRINGS ? s->law.cutoff : s->skin / 2;
}

static void pair_forces(struct simulation *s) {
    const struct ops *ops = s->ops;
    struct particles *p = s->particles;
    const size_t n = p->owned + p->ghosts;
    timer_begin(&s->timings, s->timer_force);
    if (s->law.kind == PAIRS_SOFTPLUS) {
        if (s->since_close > s->inner_skin / 2) {
            ops->close_pairs(ops, &s->box, s->law.cutoff + s->inner_skin, p->owned, n, p->q, &s->list,
                             &s->close);
            s->since_close = 0;
        }
        ops->close_force(ops, &s->box, &s->law, p->owned, n, p->q, &s->close, s->force);
    } else
        ops->pair_force(ops, &s->box, &s->law, p->owned, n, p->id, p->q, &s->list, s->force);
    timer_end(&s->timings, s->timer_force);
}

/* The one reduction after particles moved: whether the list still holds (how far any went), whether to stop, whether
 * all is well; dt names the parameter to blame. */
static enum status agree(struct simulation *s, const struct step_result *result, const char *dt, bool *stop,
                         double *displacement) {
    timer_begin(&s->timings, s->timer_messages);
    double reduced[] = {result->displacement, *stop ? 1 : 0, (double)s->particles->owned,
                        result->bad > 0 ? 1 + (double)result->bad_id : 0, result->moved};
    if (comm_size(s->comm) > 1)
        comm_max(s->comm, reduced, sizeof reduced / sizeof *reduced);
    timer_end(&s->timings, s->timer_messages);
    *displacement = reduced[0];
    *stop = reduced[1] > 0;
    s->most_owned = reduced[2];
    s->since_close += reduced[4];
    if (reduced[3] == 0)
        return STATUS_OK;
    return FAIL(STATUS_NUMBERS,
                "particle %.0f at step %llu: it moved more than a quarter of the box at once, its force or "
                "propulsion is not finite%s: use a smaller simulation.%s%s",
                reduced[3] - 1, (unsigned long long)s->step_law.step,
                s->box.periodic ? "" : ", or it left the middle half of the open box", dt,
                s->box.periodic ? "" : " or a larger system.box");
}

/* Halo, and where particles went too far lists, for the positions as they are now. */
static enum status settle(struct simulation *s, double displacement) {
    if (displacement > lists_last(s))
        return rebuild(s);
    timer_begin(&s->timings, s->timer_messages);
    enum status status = halo_positions(s->halo, s->particles);
    timer_end(&s->timings, s->timer_messages);
    return status;
}

enum status simulation_step(struct simulation *s, bool *stop) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    struct step_result result;
    double displacement;
    pair_forces(s);
    timer_begin(&s->timings, s->timer_step);
    s->ops->step(s->ops, &s->box, &s->step_law, p->owned, p->id, s->force, s->q_list, p->q, p->image, p->g,
                 NULL, NULL, &result);
    s->step_law.step++;
    timer_end(&s->timings, s->timer_step);
    TRY(agree(s, &result, "dt", stop, &displacement));
    TRY(settle(s, displacement));
out:
    return status;
}

/* ---- fine steps ---- */

static void kick(struct simulation *s) {
    struct particles *p = s->particles;
    timer_begin(&s->timings, s->timer_step);
    s->ops->kick(s->ops, &s->fine_law, s->box.d, p->owned, p->id, p->g);
    s->fine_law.step++;
    timer_end(&s->timings, s->timer_step);
}

/* Owned particles to start + dt b, b at where they are; image NULL: not kept. */
static void move(struct simulation *s, double dt, int32_t *const image[], struct step_result *result) {
    struct particles *p = s->particles;
    timer_begin(&s->timings, s->timer_step);
    s->ops->move(s->ops, &s->box, &s->fine_law, dt, p->owned, p->id, s->force, p->g, p->q, s->q_start,
                 s->q_list, p->q, image, result);
    timer_end(&s->timings, s->timer_step);
}

/* From the start of a fine step, kept in q_start, to its midpoint. Where the lists do not reach that far they are
 * made anew at the start: what they hold must not depend on when they were made. */
static enum status to_midpoint(struct simulation *s) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    struct step_result result;
    bool stop = false;
    for (int attempt = 0; attempt < 2; attempt++) {
        double displacement;
        pair_forces(s);
        for (int a = 0; a < s->box.d; a++)
            s->ops->copy(s->ops, s->q_start[a], p->q[a], p->owned * sizeof *p->q[a]);
        move(s, s->fine_law.dt / 2, NULL, &result);
        TRY(agree(s, &result, "refine_dt", &stop, &displacement));
        if (displacement <= lists_last(s))
            return settle(s, displacement);
        for (int a = 0; a < s->box.d; a++)
            s->ops->copy(s->ops, p->q[a], s->q_start[a], p->owned * sizeof *p->q[a]);
        TRY(rebuild(s));
    }
    status = FAIL(STATUS_NUMBERS,
                  "a particle moves more than half the skin of neighbour lists, %.3g r0, in half a step of "
                  "simulation.refine_dt = %g: use a smaller refine_dt or a larger simulation.skin",
                  s->skin, s->fine_law.dt);
out:
    return status;
}

static enum status fine_step(struct simulation *s) {
    enum status status = STATUS_OK;
    struct step_result result;
    bool stop = false;
    double displacement;
    kick(s);
    TRY(to_midpoint(s));
    pair_forces(s);
    move(s, s->fine_law.dt, s->particles->image, &result);
    kick(s);
    TRY(agree(s, &result, "refine_dt", &stop, &displacement));
    TRY(settle(s, displacement));
out:
    return status;
}

enum status simulation_refine(struct simulation *s, uint64_t interval) {
    enum status status = STATUS_OK;
    s->fine_law.step = 2 * s->fine_steps * interval;
    for (uint64_t m = 0; m < s->fine_steps; m++)
        TRY(fine_step(s));
    s->step_law.step += s->refine_steps;
out:
    return status;
}

/* ---- sums ---- */

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

enum status simulation_sums(struct simulation *s, struct simulation_sums *out) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const struct particles *p = s->particles;
    const size_t n = p->owned + p->ghosts, d = (size_t)s->box.d;
    const double k = s->step_law.k, trap = s->step_law.trap;
    struct drift drift;
    double sums[6] = {0}, *scratch = NULL;
    TRY(comm_agree(s->comm, drift_compute(p, &s->box, &s->law, &s->system, &s->list, &drift)));
    TRY(comm_agree(s->comm, ops->allocate(ops, (n + 1) * d * d * sizeof *scratch, (void **)&scratch)));
    TRY(drift_sums(s, &drift, sums));
    sums[4] = trap * sums[1] +
              ops->pair_quadratic(ops, &s->box, &s->law, k, p->owned, p->id, p->q, &s->list, drift.b);
    sums[5] =
        ops->stiffness_squared(ops, &s->box, &s->law, k, trap, p->owned, n, p->id, p->q, &s->list, scratch);
    comm_sum(s->comm, sums, 6);
    *out = (struct simulation_sums){.div_b = sums[0],
                                    .b_squared = sums[1],
                                    .force_b = sums[2],
                                    .b_stiffness_b = sums[4],
                                    .g_b = sums[3],
                                    .stiffness_squared = sums[5]};
out:
    drift_release(ops, &drift);
    ops->release(ops, scratch);
    return status;
}
