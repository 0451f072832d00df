/* Why a step failed, found once it has: particle by particle on the host, by the formulas that the step itself uses. */
#include "dynamics/simulation_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ops/alignment_formula.h"
#include "ops/normal_formula.h"
#include "ops/softplus_formula.h"
#include "ops/step_formula.h"

enum { WORDS = 4 };

enum cause { CAUSE_NONE, CAUSE_PROPULSION, CAUSE_FORCE, CAUSE_VELOCITY, CAUSE_FAR, CAUSE_LEFT };

/* What was tried with a particle. Numbers only: owners tell the others by a sum. */
struct trial {
    double cause, rank;
    double x[MAX_DIMENSION], g[MAX_DIMENSION], force[MAX_DIMENSION], dx[MAX_DIMENSION];
};

/* Owned particles, host. */
struct state {
    uint32_t *id;
    int64_t *force;
    uint64_t *q[MAX_DIMENSION];
    double *g[MAX_DIMENSION];
};

static void release_state(struct state *h) {
    free(h->id);
    free(h->force);
    for (int a = 0; a < MAX_DIMENSION; a++) {
        free(h->q[a]);
        free(h->g[a]);
    }
}

static enum status fetch_state(const struct simulation *s, struct state *h) {
    const struct particles *p = s->particles;
    const size_t n = p->owned, numbers = n * force_numbers(s->box.d);
    bool room =
        (h->id = malloc(n * sizeof *h->id + 1)) && (h->force = malloc(numbers * sizeof *h->force + 1));
    for (int a = 0; a < s->box.d; a++)
        room = room && (h->q[a] = malloc(n * sizeof *h->q[a] + 1)) &&
               (h->g[a] = malloc(n * sizeof *h->g[a] + 1));
    if (!room)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles, of which one left the range of numbers",
                    n);
    s->ops->to_host(s->ops, h->id, p->id, n * sizeof *h->id);
    s->ops->to_host(s->ops, h->force, s->force, numbers * sizeof *h->force);
    for (int a = 0; a < s->box.d; a++) {
        s->ops->to_host(s->ops, h->q[a], p->q[a], n * sizeof *h->q[a]);
        s->ops->to_host(s->ops, h->g[a], p->g[a], n * sizeof *h->g[a]);
    }
    return STATUS_OK;
}

/* Propulsions as simulation_turn leaves them, of sums that are in s->turn. */
static enum status turn_state(const struct simulation *s, struct state *h) {
    const size_t n = s->particles->owned, numbers = align_numbers(s->box.d);
    int64_t *turn = malloc((n * numbers + 1) * sizeof *turn);
    if (!turn)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles, of which one left the range of numbers",
                    n);
    s->ops->to_host(s->ops, turn, s->turn, n * numbers * sizeof *turn);
    for (int a = 0; a < s->box.d; a++)
        for (size_t i = 0; i < n; i++)
            h->g[a][i] =
                align_turned(h->g[a][i], s->step_law.dt * s->law.alignment, turn[i * numbers + (size_t)a]);
    free(turn);
    return STATUS_OK;
}

/* The noise of a particle's step: of g, then of x, as ops->step has it. */
static void noise_of(const struct step_law *law, int d, uint32_t id,
                     float normal[2 * MAX_DIMENSION + WORDS]) {
    const int numbers = law->x_kick > 0 ? 2 * d : d;
    for (int first = 0; first < numbers; first += WORDS) {
        uint32_t word[WORDS];
        rng_words(law->seed, STREAM_STEP, id, law->step, (uint32_t)(first / WORDS), word);
        for (int m = 0; m < WORDS; m += 2)
            normal_pair_f(word[m], word[m + 1], &normal[first + m], &normal[first + m + 1]);
    }
}

/* On one axis. */
static enum cause cause_of(const struct box *box, int a, uint64_t q, double g, int64_t force, double dx) {
    const double side = box->side[a];
    if (!(fabs(g) < 1e6))
        return CAUSE_PROPULSION;
    if (!step_allowed(0, side, 0, force))
        return CAUSE_FORCE;
    if (!isfinite(dx))
        return CAUSE_VELOCITY;
    if (!step_allowed(dx, side, g, force))
        return CAUSE_FAR;
    const uint64_t after = q + (uint64_t)llrint(dx / (side * 0x1p-64));
    return !box->periodic && fabs((double)(int64_t)after) > 0x1p62 ? CAUSE_LEFT : CAUSE_NONE;
}

/* Tries particle i again: with a step's noise, or without. */
static enum cause try_particle(const struct simulation *s, const struct step_law *law, double dt, bool noisy,
                               const struct state *h, size_t i, struct trial *t) {
    float normal[2 * MAX_DIMENSION + WORDS] = {0};
    uint64_t site[MAX_DIMENSION] = {0};
    const int d = s->box.d;
    if (noisy)
        noise_of(law, d, h->id[i], normal);
    if (law->anchor.d > 0 && law->trap > 0)
        lattice_site(&law->anchor, h->id[i], site);
    *t = (struct trial){.rank = comm_rank(s->comm)};
    for (int a = 0; a < d; a++) {
        const int64_t force = h->force[force_at(d, i, a)];
        const double unit = s->box.side[a] * 0x1p-64, g = h->g[a][i];
        const double b = step_velocity(law, g, force, h->q[a][i], site[a], unit);
        const double kick = noisy && law->x_kick > 0 ? law->x_kick * (double)normal[d + a] : 0;
        const double next = noisy ? fma(g, law->g_decay, law->g_kick * (double)normal[a]) : g;
        t->x[a] = position_to_real(&s->box, a, h->q[a][i]);
        t->g[a] = g;
        t->force[a] = law->k * ((double)force * 0x1p-48);
        t->dx[a] = fma(b, dt, kick);
        if (t->cause == CAUSE_NONE)
            t->cause = cause_of(&s->box, a, h->q[a][i], next, force, t->dx[a]);
    }
    return (enum cause)t->cause;
}

/* "(1.5, 2)" */
static const char *vector_text(int d, const double v[], char out[96]) {
    size_t used = 0;
    for (int a = 0; a < d; a++)
        used += (size_t)snprintf(out + used, 96 - used, "%s%.9g", a > 0 ? ", " : "(", v[a]);
    snprintf(out + used, 96 - used, ")");
    return out;
}

static enum status say(const struct simulation *s, double id, double count, const struct trial *t,
                       bool fine) {
    const int d = s->box.d;
    char x[96], value[96], others[64] = "", cause[256];
    const char *hint = fine ? "use a smaller simulation.refine_dt" : "use a smaller simulation.dt";
    if (t->cause == CAUSE_PROPULSION) {
        snprintf(cause, sizeof cause, "its self-propulsion %s is not finite or above 1e6",
                 vector_text(d, t->g, value));
        hint = "the state was bad before the step, if not by simulation.dt";
    } else if (t->cause == CAUSE_FORCE) {
        snprintf(cause, sizeof cause, "the force on it, %s k r0, is out of the range of fixed point, 16384",
                 vector_text(d, t->force, value));
        hint = "too many particles overlap: use a larger box, or start from a lattice";
    } else if (t->cause == CAUSE_VELOCITY) {
        snprintf(cause, sizeof cause, "its velocity is not finite: force %s",
                 vector_text(d, t->force, value));
    } else if (t->cause == CAUSE_FAR) {
        snprintf(cause, sizeof cause, "it would move by %s at once, more than a quarter of the box",
                 vector_text(d, t->dx, value));
    } else {
        snprintf(cause, sizeof cause, "it left the middle half of the open box");
        hint = "use a larger system.box, or a smaller simulation.dt";
    }
    if (count > 1)
        snprintf(others, sizeof others, ", and %.0f more particles", count - 1);
    return FAIL(STATUS_NUMBERS, "step %llu%s: particle %.0f of rank %.0f at %s%s: %s: %s",
                (unsigned long long)s->step_law.step + 1, fine ? ", in fine steps before a frame" : "", id,
                t->rank, vector_text(d, t->x, x), others, cause, hint);
}

/* Of all ranks' particles that fail, the lowest id, how many, and what was tried with it. */
static enum status explain(struct simulation *s, const struct step_law *law, double dt, bool noisy) {
    enum status status = STATUS_OK;
    struct state h = {0};
    struct trial trial, worst = {0};
    double id = INFINITY, lowest, count = 0;
    status = fetch_state(s, &h);
    if (status == STATUS_OK && noisy && s->law.alignment > 0)
        status = turn_state(s, &h);
    TRY(comm_agree(s->comm, status));
    for (size_t i = 0; i < s->particles->owned; i++) {
        if (try_particle(s, law, dt, noisy, &h, i, &trial) == CAUSE_NONE)
            continue;
        count++;
        if (h.id[i] < id) {
            id = h.id[i];
            worst = trial;
        }
    }
    lowest = id;
    comm_min(s->comm, &lowest, 1);
    comm_sum(s->comm, &count, 1);
    if (id != lowest)
        worst = (struct trial){0};
    comm_sum(s->comm, (double *)&worst, sizeof worst / sizeof(double));
    if (count == 0)
        status =
            FAIL(STATUS_NUMBERS,
                 "step %llu: a particle left the range of numbers, and done again none does: a device or "
                 "memory of this machine is at fault",
                 (unsigned long long)s->step_law.step + 1);
    else
        status = say(s, lowest, count, &worst, !noisy);
out:
    release_state(&h);
    return status;
}

enum status simulation_explain_step(struct simulation *s) {
    simulation_pair_forces(s);
    if (s->law.alignment > 0)
        simulation_turns(s);
    comm_fail(s->comm, s->ops->synchronise(s->ops));
    return explain(s, &s->step_law, s->step_law.dt, true);
}

enum status simulation_explain_move(struct simulation *s, double dt) {
    simulation_undo_move(s);
    return explain(s, &s->fine_law, dt, false);
}

enum status simulation_check_sums(struct simulation *s) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const size_t owned = s->particles->owned, n = owned + s->particles->ghosts;
    const double most = 0x1p63 / 0x1p48 / pair_force_d(0, s->law.beta, 1 / s->law.beta);
    uint32_t *near = NULL, *count = malloc((owned + 1) * sizeof *count),
             *id = malloc((owned + 1) * sizeof *id);
    if (!count || !id)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", owned);
    if (status == STATUS_OK)
        status = ops->allocate(ops, n * sizeof *near, (void **)&near);
    TRY(status);
    ops->pair_count(ops, owned, n, &s->list, near);
    ops->to_host(ops, count, near, owned * sizeof *count);
    ops->to_host(ops, id, s->particles->id, owned * sizeof *id);
    for (size_t i = 0; i < owned && status == STATUS_OK; i++)
        if (count[i] >= most)
            status =
                FAIL(STATUS_BAD_INPUT,
                     "simulation.start: particle %u of rank %d has %u neighbours within %.3g r0, and forces "
                     "are summed in a range for %.0f: too many particles overlap: use a larger box, or start "
                     "from a lattice",
                     id[i], comm_rank(s->comm), count[i], pair_reach(&s->law) + s->skin, floor(most));
out:
    ops->release(ops, near);
    free(count);
    free(id);
    return comm_agree(s->comm, status);
}
