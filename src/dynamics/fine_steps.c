/* The fine steps before a frame. */
#include "dynamics/simulation_private.h"

#include <math.h>

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

/* A skin that holds for particles that move so far at once, if it is the simulation's to choose. */
static void reach_farther(struct simulation *s, double moved) {
    const double needed = 2.2 * moved;
    if (!s->search.on || needed <= s->skin)
        return;
    s->search.on = false;
    simulation_start_skin(s, fmin(needed, s->search.most));
}

void simulation_undo_move(struct simulation *s) {
    struct particles *p = s->particles;
    for (int a = 0; a < s->box.d; a++)
        s->ops->copy(s->ops, p->q[a], s->q_start[a], p->owned * sizeof *p->q[a]);
}

/* From the start of a fine step, kept in q_start, to its midpoint. Where the lists do not reach that far they are
 * made anew at the start: what they hold must not depend on when they were made. */
static enum status to_midpoint(struct simulation *s) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    struct step_result result;
    for (int attempt = 0; attempt < 3; attempt++) {
        double displacement;
        simulation_pair_forces(s);
        for (int a = 0; a < s->box.d; a++)
            s->ops->copy(s->ops, s->q_start[a], p->q[a], p->owned * sizeof *p->q[a]);
        move(s, s->fine_law.dt / 2, NULL, &result);
        TRY(simulation_agree(s, &result, s->fine_law.dt / 2, &displacement));
        if (displacement <= simulation_lists_last(s))
            return simulation_refresh(s, displacement);
        simulation_undo_move(s);
        reach_farther(s, s->told.number[TOLD_MOVED]);
        TRY(simulation_rebuild(s));
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
    double displacement;
    kick(s);
    TRY(to_midpoint(s));
    simulation_pair_forces(s);
    move(s, s->fine_law.dt, s->particles->image, &result);
    kick(s);
    TRY(simulation_agree(s, &result, s->fine_law.dt, &displacement));
    TRY(simulation_refresh(s, displacement));
out:
    return status;
}

enum status simulation_refine(struct simulation *s, uint64_t interval) {
    enum status status = STATUS_OK;
    TRY(simulation_settle(s));
    s->fine_law.step = 2 * s->fine_steps * interval;
    for (uint64_t m = 0; m < s->fine_steps; m++)
        TRY(fine_step(s));
    s->step_law.step += s->refine_steps;
    simulation_remember(s);
    simulation_begin_try(s); /* of Euler steps */
    s->told.careful = true;  /* how far an Euler step goes is not known */
out:
    return status;
}
