/* The skin of neighbour lists, tuned while a simulation runs: no result depends on it, only the time. */
#include "dynamics/simulation_private.h"

#include <math.h>

enum {
    TRY_STEPS = 512, /* at least, with one skin */
    TRY_BUILDS = 6,
    REST = 64 /* tries' time before the skin is tuned anew: the system has changed by then */
};
static const double BETTER = 0.99; /* of the cost so far: what counts as better */

static double seconds_so_far(const struct simulation *s) {
    const double *t = s->timings.seconds;
    return t[s->timer_force] + t[s->timer_step] + t[s->timer_messages] + t[s->timer_lists];
}

void simulation_start_skin(struct simulation *s, double skin) {
    s->skin = skin;
    s->inner_skin = INNER_SKIN * skin;
}

void simulation_begin_try(struct simulation *s) {
    struct skin_search *k = &s->search;
    k->step = s->step_law.step;
    k->builds = s->builds;
    k->seconds = seconds_so_far(s);
}

static void turn_back(struct skin_search *k) {
    k->failures++;
    k->factor = 1 / k->factor;
}

static bool is_allowed(const struct skin_search *k, double skin) {
    return skin >= k->least && skin <= k->most;
}

/* What was learnt of the present skin, and the next one: on in the same direction while that pays, then once in the
 * other. */
static void judge(struct simulation *s, double cost) {
    struct skin_search *k = &s->search;
    if (k->best_cost == 0 || cost < BETTER * k->best_cost) {
        k->best = s->skin;
        k->best_cost = cost;
    } else {
        turn_back(k);
    }
    if (k->failures < 2 && !is_allowed(k, k->best * k->factor)) /* nothing there: as if it had been tried */
        turn_back(k);
    double next = k->best * k->factor;
    if (k->failures >= 2) {
        next = k->best;
        k->rest = REST;
        k->failures = 0;
        k->best_cost = 0;
    }
    simulation_start_skin(s, fmin(fmax(next, k->least), k->most));
}

void simulation_tune_skin(struct simulation *s) {
    struct skin_search *k = &s->search;
    const uint64_t steps = s->step_law.step - k->step;
    if (!k->on || steps < TRY_STEPS || s->builds - k->builds < TRY_BUILDS)
        return;
    if (k->rest > 0) {
        k->rest--;
    } else {
        double cost = (seconds_so_far(s) - k->seconds) / (double)steps;
        comm_max(s->comm, &cost, 1);
        judge(s, cost);
    }
    simulation_begin_try(s);
}
