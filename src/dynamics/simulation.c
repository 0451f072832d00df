/* The integrator: lists, what ranks tell each other, steps. */
#include "dynamics/simulation_private.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ops/alignment_formula.h"

enum {
    SORT_EVERY = 16,        /* list builds between sorts of the particles into cell order */
    BALANCE_FIRST = 512,    /* steps before ranks compare times; twice as many every time, */
    BALANCE_LAST = 1 << 16, /* up to these */
    REMEMBER = 512          /* steps that need be done again at most */
};
static const double CAUTION = 1.25; /* times the farthest way of the last step */

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
    simulation_start_skin(s, system_skin(&config->system, &config->simulation));
    s->search = system_skin_search(&config->system, &config->simulation);
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

static void end_reduction(struct simulation *s) {
    if (s->told.under_way)
        comm_max_end(s->comm);
    s->told.under_way = false;
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
    end_reduction(s);
    halo_destroy(&s->halo);
    pairs_release(s->ops, &s->list);
    release_close(s);
    s->ops->release(s->ops, s->force);
    s->ops->release(s->ops, s->turn);
    for (int a = 0; a < s->box.d; a++) {
        s->ops->release(s->ops, s->q_list[a]);
        s->ops->release(s->ops, s->q_start[a]);
        s->ops->release(s->ops, s->snapshot.q[a]);
        s->ops->release(s->ops, s->snapshot.image[a]);
        s->ops->release(s->ops, s->snapshot.g[a]);
    }
    particles_destroy(&s->particles);
    domain_destroy(&s->domain);
    free(s);
    *simulation = NULL;
}

/* Room for forces and old positions of all local particles. Their contents need not be kept. */
static enum status reserve(struct simulation *s) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const size_t n = s->particles->capacity;
    struct remembered *old = &s->snapshot;
    if (n <= s->capacity)
        return STATUS_OK;
    s->capacity = 0;
    TRY(ops_replace(ops, n * CLOSE_SCRATCH, &s->close.scratch));
    TRY(ops_replace(ops, n * force_numbers(s->box.d) * sizeof *s->force, &s->force));
    if (s->law.alignment > 0)
        TRY(ops_replace(ops, n * align_numbers(s->box.d) * sizeof *s->turn, &s->turn));
    for (int a = 0; a < s->box.d; a++) {
        TRY(ops_replace(ops, n * sizeof *s->q_list[a], &s->q_list[a]));
        if (s->fine_steps > 0)
            TRY(ops_replace(ops, n * sizeof *s->q_start[a], &s->q_start[a]));
        TRY(ops_replace(ops, n * sizeof *old->q[a], &old->q[a]));
        TRY(ops_replace(ops, n * sizeof *old->image[a], &old->image[a]));
        TRY(ops_replace(ops, n * sizeof *old->g[a], &old->g[a]));
    }
    s->capacity = n;
out:
    return status;
}

/* Room for the close pairs of the list and for what forces are summed in. */
static enum status reserve_close(struct simulation *s) {
    enum status status = STATUS_OK;
    const struct ops *ops = s->ops;
    const size_t pairs = s->list.capacity + 2 * SIMD_PAIRS;
    s->since_close = INFINITY;
    if (pairs > s->close.capacity) {
        s->close.capacity = 0;
        TRY(ops_replace(ops, pairs * sizeof *s->close.first, &s->close.first));
        TRY(ops_replace(ops, pairs * sizeof *s->close.second, &s->close.second));
        s->close.capacity = pairs;
    }
out:
    return status;
}

void simulation_remember(struct simulation *s) {
    const struct particles *p = s->particles;
    s->snapshot.step = s->step_law.step;
    s->snapshot.displacement = s->displacement;
    s->snapshot.since_list = s->since_list;
    for (int a = 0; a < s->box.d; a++) {
        s->ops->copy(s->ops, s->snapshot.q[a], p->q[a], p->owned * sizeof *p->q[a]);
        s->ops->copy(s->ops, s->snapshot.image[a], p->image[a], p->owned * sizeof *p->image[a]);
        s->ops->copy(s->ops, s->snapshot.g[a], p->g[a], p->owned * sizeof *p->g[a]);
    }
}

/* Whether the ranks own all particles together. */
static enum status check_none_lost(struct simulation *s) {
    const int64_t all = config_total(&s->system);
    int64_t held = (int64_t)s->particles->owned;
    comm_sum_integer(s->comm, &held, 1);
    if (held == all)
        return STATUS_OK;
    return FAIL(
        STATUS_NUMBERS,
        "step %llu: the ranks hold %lld particles, not %lld: some were lost, or are there twice, while "
        "they moved between ranks: go on from the last restart with --resume",
        (unsigned long long)s->step_law.step, (long long)held, (long long)all);
}

/* Halo and pair list for the particles as they are owned now. */
static enum status build_lists(struct simulation *s) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    halo_destroy(&s->halo);
    TRY((s->law.alignment > 0 ? halo_create_turning : halo_create)(p, s->domain, s->comm,
                                                                   pair_reach(&s->law) + s->skin, &s->halo));
    status = law_pairs_build(p, &s->box, &s->law, s->skin, &s->list);
    comm_fail(s->comm, s->ops->synchronise(s->ops));
    if (status == STATUS_OK)
        status = reserve(s);
    if (status == STATUS_OK && s->law.kind == PAIRS_SOFTPLUS)
        status = reserve_close(s);
    TRY(comm_agree(s->comm, status));
    for (int a = 0; a < s->box.d; a++)
        s->ops->copy(s->ops, s->q_list[a], p->q[a], p->owned * sizeof *p->q[a]);
    s->displacement = s->since_list = 0;
    simulation_remember(s);
    s->builds++;
    s->told.caution = fmax(CAUTION, 0.98 * s->told.caution);
    assert(domain_is_valid(s->domain));
    assert(halo_is_valid(s->halo, p));
out:
    return status;
}

/* Seconds of forces and steps so far: what a rank's particles cost it. */
static double busy_seconds(const struct simulation *s) {
    return s->timings.seconds[s->timer_force] + s->timings.seconds[s->timer_step];
}

/* Cuts the box anew. timed: by what particles cost their ranks since that was done last, else by their number. */
static enum status rebalance(struct simulation *s, bool timed) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    uint64_t *q[MAX_DIMENSION] = {0};
    const double particle_steps = (double)p->owned * (double)(s->step_law.step - s->balanced + 1);
    const double unit = 1e-11, cost = (busy_seconds(s) - s->busy) / (particle_steps + 1) / unit;
    for (int a = 0; a < s->box.d && status == STATUS_OK; a++) {
        q[a] = malloc((p->owned + 1) * sizeof *q[a]);
        if (q[a])
            s->ops->to_host(s->ops, q[a], p->q[a], p->owned * sizeof *q[a]);
        else
            status = FAIL(STATUS_FAILURE, "out of memory while balancing %zu particles", p->owned);
    }
    TRY(comm_agree(s->comm, status));
    TRY(domain_balance(s->domain, s->comm, p->owned, timed ? (int64_t)fmin(fmax(cost, 1), 1e6) : 1, q));
    s->balances++;
out:
    for (int a = 0; a < s->box.d; a++)
        free(q[a]);
    return status;
}

/* Every so often, and less often every time, ranks compare how long they were busy; until they have for the first time
 * they go by the number of their particles. */
static enum status balance(struct simulation *s) {
    enum status status = STATUS_OK;
    const double *number = s->told.number, fair = (double)config_total(&s->system) / comm_size(s->comm);
    const uint64_t interval = s->step_law.step - s->balanced;
    if (comm_size(s->comm) == 1)
        return STATUS_OK;
    if (interval >= s->balance_interval) {
        if (number[TOLD_BUSY] > -1.1 * number[TOLD_IDLE])
            TRY(rebalance(s, true));
        s->balance_interval = s->balance_interval < BALANCE_LAST ? 2 * s->balance_interval : BALANCE_LAST;
    } else if (s->balance_interval == BALANCE_FIRST && number[TOLD_OWNED] > 1.05 * fair + 8) {
        TRY(rebalance(s, false));
    } else {
        return STATUS_OK;
    }
    s->balanced = s->step_law.step;
    s->busy = busy_seconds(s);
out:
    return status;
}

enum status simulation_rebuild(struct simulation *s) {
    enum status status = STATUS_OK;
    simulation_tune_skin(s);
    timer_begin(&s->timings, s->timer_lists);
    if (s->box.group == 0) { /* copies stay where they are */
        TRY(balance(s));
        TRY(particles_migrate(s->particles, s->domain, s->comm,
                              s->builds % SORT_EVERY == 0 ? pair_reach(&s->law) + s->skin : 0));
        TRY(check_none_lost(s));
    }
    TRY(build_lists(s));
out:
    timer_end(&s->timings, s->timer_lists);
    return status;
}

enum status simulation_load(struct simulation *s, const struct slice *slice, uint64_t step) {
    enum status status = STATUS_OK;
    s->step_law.step = s->balanced = step;
    s->balance_interval = BALANCE_FIRST;
    end_reduction(s);
    s->told = (struct told){.careful = true, .caution = CAUTION};
    simulation_begin_try(s);
    s->busy = busy_seconds(s);
    TRY(particles_from_slice(s->particles, s->domain, s->comm, slice, pair_reach(&s->law) + s->skin));
    if (s->law.kind == PAIRS_SOFTPLUS)
        TRY(particles_apart(s->particles, &s->box, s->comm, "simulation.start"));
    TRY(build_lists(s));
    if (s->law.kind == PAIRS_SOFTPLUS)
        TRY(simulation_check_sums(s));
out:
    return status;
}

/* Bonds hold however far particles go, and are only brought back to where halos are thin. */
double simulation_lists_last(const struct simulation *s) {
    return s->law.kind == PAIRS_SPRINGS ? s->law.cutoff : s->skin / 2;
}

/* ---- what ranks tell each other ---- */

/* Of the move just made. */
static void tell(struct simulation *s, const struct step_result *result, bool measured, bool stop,
                 double bound) {
    struct told *t = &s->told;
    const double busy = busy_seconds(s) - s->busy;
    t->sent[TOLD_DISPLACEMENT] = result->displacement;
    t->sent[TOLD_MOVED] = result->moved;
    t->sent[TOLD_STOP] = stop ? 1 : 0;
    t->sent[TOLD_BAD] = result->bad > 0 ? 1 + (double)result->bad_id : 0;
    t->sent[TOLD_OWNED] = (double)s->particles->owned;
    t->sent[TOLD_BUSY] = busy;
    t->sent[TOLD_IDLE] = -busy;
    t->step = s->step_law.step;
    t->bound = bound;
    t->measured = measured;
    t->move = s->moves++;
    t->under_way = true;
    comm_max_begin(s->comm, t->sent, TOLD_NUMBERS);
}

/* Waits for what is under way, if anything is. Returns whether no particle went farther than expected. */
static bool hear(struct simulation *s) {
    struct told *t = &s->told;
    if (!t->under_way)
        return true;
    timer_begin(&s->timings, s->timer_messages);
    end_reduction(s);
    timer_end(&s->timings, s->timer_messages);
    memcpy(t->number, t->sent, sizeof t->number);
    s->since_list += t->number[TOLD_MOVED];
    s->displacement = t->measured ? t->number[TOLD_DISPLACEMENT] : s->since_list;
    if (s->close_move <= t->move)
        s->since_close += t->number[TOLD_MOVED];
    t->stop = t->stop || t->number[TOLD_STOP] > 0;
    return !(t->number[TOLD_MOVED] > t->bound);
}

enum status simulation_agree(struct simulation *s, const struct step_result *result, double dt,
                             double *displacement) {
    comm_fail(s->comm, s->ops->synchronise(s->ops));
    tell(s, result, true, false, INFINITY);
    hear(s);
    *displacement = s->displacement;
    return s->told.number[TOLD_BAD] > 0 ? simulation_explain_move(s, dt) : STATUS_OK;
}

/* ---- steps ---- */

static void end_messages(struct simulation *s) {
    timer_begin(&s->timings, s->timer_messages);
    halo_positions_end(s->halo, s->particles);
    timer_end(&s->timings, s->timer_messages);
}

/* The close pairs anew, where particles may have gone too far since they were found. */
static void refresh_close(struct simulation *s) {
    const struct told *t = &s->told;
    const struct particles *p = s->particles;
    const double under_way = t->under_way && s->close_move <= t->move ? t->bound : 0;
    if (s->since_close + under_way <= s->inner_skin / 2)
        return;
    end_messages(s);
    timer_begin(&s->timings, s->timer_force);
    s->ops->close_pairs(s->ops, &s->box, pair_reach(&s->law) + s->inner_skin, p->owned, p->owned + p->ghosts,
                        p->q, &s->list, &s->close);
    timer_end(&s->timings, s->timer_force);
    s->since_close = 0;
    s->close_move = s->moves;
}

static void close_force(struct simulation *s, enum pair_part part) {
    const struct particles *p = s->particles;
    timer_begin(&s->timings, s->timer_force);
    s->ops->close_force(s->ops, &s->box, &s->law, part, p->owned, p->owned + p->ghosts, p->q, &s->close,
                        s->force);
    timer_end(&s->timings, s->timer_force);
}

void simulation_pair_forces(struct simulation *s) {
    const struct particles *p = s->particles;
    if (s->law.kind == PAIRS_SOFTPLUS) {
        refresh_close(s);
        close_force(s, PAIRS_INSIDE);
        comm_max_look(s->comm);
        end_messages(s);
        close_force(s, PAIRS_ACROSS);
        return;
    }
    end_messages(s);
    timer_begin(&s->timings, s->timer_force);
    s->ops->pair_force(s->ops, &s->box, &s->law, p->owned, p->owned + p->ghosts, p->id, p->q, &s->list,
                       s->force);
    timer_end(&s->timings, s->timer_force);
}

void simulation_turns(struct simulation *s) {
    const struct particles *p = s->particles;
    const size_t n = p->owned + p->ghosts;
    if (s->law.kind == PAIRS_SOFTPLUS)
        s->ops->close_align(s->ops, &s->box, &s->law, p->owned, n, p->q, p->g, &s->list, &s->close, s->turn);
    else
        s->ops->align(s->ops, &s->box, &s->law, p->owned, n, p->q, p->g, &s->list, s->turn);
}

/* Before the step of g, whose exact part and noise come after it: of first order in dt, as Euler's step is. */
void simulation_turn(struct simulation *s) {
    const struct particles *p = s->particles;
    if (s->law.alignment == 0)
        return;
    timer_begin(&s->timings, s->timer_force);
    simulation_turns(s);
    s->ops->turn(s->ops, s->box.d, s->step_law.dt * s->law.alignment, p->owned, s->turn, p->g);
    timer_end(&s->timings, s->timer_force);
}

static void begin_messages(struct simulation *s) {
    timer_begin(&s->timings, s->timer_messages);
    halo_positions_begin(s->halo, s->particles);
    timer_end(&s->timings, s->timer_messages);
}

enum status simulation_refresh(struct simulation *s, double displacement) {
    if (displacement > simulation_lists_last(s))
        return simulation_rebuild(s);
    begin_messages(s);
    return STATUS_OK;
}

static enum status do_again(struct simulation *s);
static enum status all_well(struct simulation *s);

/* A step, and lists or messages for the next. Forces are of lists that last if no particle went farther in the last step
 * than was expected; whether that is so is heard after this one. How far particles are from where the lists were made is
 * looked at only when they may be far. */
static enum status advance(struct simulation *s, bool stop) {
    enum status status = STATUS_OK;
    struct particles *p = s->particles;
    struct told *t = &s->told;
    struct step_result result;
    const bool measured = s->since_list + 4 * t->number[TOLD_MOVED] > simulation_lists_last(s);
    simulation_pair_forces(s);
    simulation_turn(s);
    timer_begin(&s->timings, s->timer_step);
    s->ops->step(s->ops, &s->box, &s->step_law, p->owned, p->id, s->force, measured ? s->q_list : NULL, p->q,
                 p->image, p->g, NULL, NULL, &result);
    s->step_law.step++;
    comm_fail(s->comm, s->ops->synchronise(s->ops)); /* of a device: others wait for its messages */
    timer_end(&s->timings, s->timer_step);
    if (!hear(s))
        return do_again(s);
    TRY(all_well(s));
    const double bound = t->caution * t->number[TOLD_MOVED];
    const bool far = s->displacement + bound > simulation_lists_last(s);
    const bool long_ago = s->step_law.step - s->snapshot.step >= REMEMBER;
    const bool wait = t->careful || far || long_ago || comm_size(s->comm) == 1;
    /* Bonds are the same however far particles go. */
    tell(s, &result, measured, stop, wait || s->law.kind == PAIRS_SPRINGS ? INFINITY : bound);
    if (wait) {
        hear(s);
        TRY(all_well(s));
        t->careful = false;
    }
    if (long_ago)
        simulation_remember(s);
    TRY(simulation_refresh(s, s->displacement));
out:
    return status;
}

/* The particles as they were at the snapshot. */
static void go_back(struct simulation *s) {
    struct particles *p = s->particles;
    for (int a = 0; a < s->box.d; a++) {
        s->ops->copy(s->ops, p->q[a], s->snapshot.q[a], p->owned * sizeof *p->q[a]);
        s->ops->copy(s->ops, p->image[a], s->snapshot.image[a], p->owned * sizeof *p->image[a]);
        s->ops->copy(s->ops, p->g[a], s->snapshot.g[a], p->owned * sizeof *p->g[a]);
    }
    s->step_law.step = s->snapshot.step;
    s->displacement = s->snapshot.displacement;
    s->since_list = s->snapshot.since_list;
    s->since_close = INFINITY;
    begin_messages(s);
}

/* Steps up to `target`, each waiting for what it is told. */
static enum status go_on(struct simulation *s, uint64_t target) {
    enum status status = STATUS_OK;
    while (s->step_law.step < target) {
        s->told.careful = true;
        TRY(advance(s, false));
    }
out:
    return status;
}

/* A particle went farther than expected, and a pair may have been missed: all steps since the lists were made once
 * more. */
static enum status do_again(struct simulation *s) {
    const uint64_t target = s->step_law.step;
    go_back(s);
    s->told.caution *= 1.5;
    s->repeats++;
    return go_on(s, target);
}

/* Of the step that was heard of. Where a particle left the range of numbers in it: back to the state before it, which
 * the snapshot leads to again, and the reason. */
static enum status all_well(struct simulation *s) {
    enum status status = STATUS_OK;
    struct told *t = &s->told;
    if (t->number[TOLD_BAD] == 0)
        return STATUS_OK;
    const uint64_t bad = t->step;
    end_messages(s);
    end_reduction(s);
    memset(t->number, 0, sizeof t->number);
    go_back(s);
    TRY(go_on(s, bad - 1));
    status = simulation_explain_step(s);
out:
    return status;
}

enum status simulation_step(struct simulation *s, bool *stop) {
    enum status status = advance(s, *stop);
    *stop = s->told.stop;
    s->told.stop = false;
    return status;
}

enum status simulation_settle(struct simulation *s) {
    enum status status = STATUS_OK;
    end_messages(s);
    hear(s);
    TRY(all_well(s));
    /* Where one went farther than expected nothing need be done again: no force was computed since. */
    if (s->displacement > simulation_lists_last(s))
        TRY(simulation_rebuild(s));
out:
    return status;
}
