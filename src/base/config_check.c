/* Required keys, defaults that follow from other keys, and settings that contradict each other. */
#include "base/config_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct origin *origin_of(const struct reading *r, const char *section, const char *key) {
    return &r->origin[parameter_find(section, key)];
}

static bool given(const struct reading *r, const char *section, const char *key) {
    return origin_of(r, section, key)->given;
}

/* Where to point a message about a key: its line, or the file where it keeps its default. */
static const char *place(const struct reading *r, const char *name, const char *section, const char *key) {
    const struct origin *o = origin_of(r, section, key);
    return o->given ? o->place : name;
}

/* The same for a contradiction of two keys: the first one that was given. */
static const char *place_of_pair(const struct reading *r, const char *name, const char *section,
                                 const char *key, const char *other_section, const char *other_key) {
    return given(r, section, key) ? place(r, name, section, key) : place(r, name, other_section, other_key);
}

/* Says of a key that was not given where its value is from, if that depends on the kind of network. */
static const char *by_default(const struct reading *r, const char *section, const char *key) {
    const bool response = r->config->network.kind == NETWORK_RESPONSE;
    if (given(r, section, key) || !parameter_table[parameter_find(section, key)].of_response)
        return "";
    return response ? " (the default with network.kind = response)"
                    : " (the default with network.kind = window)";
}

static enum status check_required(const struct reading *r, const char *name) {
    for (int i = 0; i < parameter_count; i++)
        if (!parameter_table[i].fallback && !r->origin[i].given)
            return FAIL(STATUS_BAD_INPUT, "%s: %s.%s is required: %s", name, parameter_table[i].section,
                        parameter_table[i].key, parameter_table[i].help);
    return STATUS_OK;
}

/* Whether the fine steps fit before every frame, after a step of dt at least: runs stop between those. */
static bool refine_fits(const struct config *c) {
    const int64_t steps = config_refine_steps(c);
    return steps < config_interval_steps(c) && steps <= config_burn_in_steps(c);
}

/* recorded: of a run, which had no fine steps if it does not speak of them. */
static void fill_refine(struct reading *r, bool recorded) {
    struct config *c = r->config;
    const bool repels = c->system.kind == SYSTEM_AOUP && c->system.k > 0;
    const bool suited = repels && c->system.eps == 0 && c->system.trap == 0 && c->system.alignment == 0;
    if (!given(r, "simulation", "refine_dt"))
        c->simulation.refine_dt =
            repels ? fmin(0.04 / c->system.k, c->simulation.dt) : 0.4 * c->simulation.dt;
    if (given(r, "simulation", "refine"))
        return;
    c->simulation.refine = suited && !recorded ? 10 / c->system.k : 0;
    if (!refine_fits(c))
        c->simulation.refine = 0;
}

static void fill_defaults(struct reading *r, bool recorded) {
    struct config *c = r->config;
    const bool diffuses = c->system.eps > 0, velocity = c->training.loss == LOSS_VELOCITY;
    const double slowest = diffuses ? fmin(c->system.gamma, c->system.eps) : c->system.gamma;
    if (!given(r, "network", "shift"))
        c->network.shift = diffuses && !velocity ? SHIFT_FORCE : SHIFT_NONE;
    if (!given(r, "network", "neighbours") && c->network.neighbours >= c->system.particles)
        c->network.neighbours = (int)c->system.particles - 1;
    if (!given(r, "training", "noise_on"))
        c->training.noise_on = diffuses && !velocity ? NOISE_ON_XG : NOISE_ON_G;
    if (!given(r, "simulation", "burn_in"))
        c->simulation.burn_in = 20 / slowest;
    if (!given(r, "simulation", "frame_interval"))
        c->simulation.frame_interval = 0.1 / c->system.gamma;
    fill_refine(r, recorded);
}

static enum status check_box(const struct reading *r, const char *name) {
    const struct system_parameters *s = &r->config->system;
    const char *box = place(r, name, "system", "box");
    if (s->trap > 0 && s->box_sides == 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: system.trap = %g needs system.box, the side of the open space, of which the "
                    "particles may reach the middle half; packing_fraction does not apply",
                    place(r, name, "system", "trap"), s->trap);
    if (s->box_sides == 0 && s->packing_fraction == 0)
        return FAIL(STATUS_BAD_INPUT, "%s: give system.packing_fraction or system.box", name);
    if (s->box_sides > 0 && s->packing_fraction > 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: system.packing_fraction and system.box (%s) are both given: leave one out",
                    place(r, name, "system", "packing_fraction"), box);
    if (s->box_sides > 1 && s->box_sides != s->dimension)
        return FAIL(STATUS_BAD_INPUT, "%s: system.box has %d sides in %d dimensions: give one side, or %d",
                    box, s->box_sides, s->dimension, s->dimension);
    return STATUS_OK;
}

static enum status check_copies(const struct reading *r, const char *name) {
    const struct system_parameters *s = &r->config->system;
    const int64_t most = 2147483647; /* ids of particles */
    if (s->copies > most / s->particles)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: system.copies = %lld of system.particles = %lld are too many: their product may be at "
            "most %lld",
            place_of_pair(r, name, "system", "copies", "system", "particles"), (long long)s->copies,
            (long long)s->particles, (long long)most);
    return STATUS_OK;
}

static enum status check_crystal(const struct reading *r, const char *name) {
    const struct system_parameters *s = &r->config->system;
    int64_t sites[MAX_DIMENSION], below, above;
    char near[96] = "";
    if (s->kind != SYSTEM_CRYSTAL && s->tether > 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: system.tether = %g pulls to the sites of a lattice: it needs system.kind = crystal",
                    place(r, name, "system", "tether"), s->tether);
    if (s->kind != SYSTEM_CRYSTAL)
        return STATUS_OK;
    if (s->trap > 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: system.trap = %g does not go with system.kind = crystal, whose box is periodic; "
                    "system.tether holds every particle to its site",
                    place(r, name, "system", "trap"), s->trap);
    if (config_lattice(s, sites))
        return STATUS_OK;
    config_lattice_near(s, &below, &above);
    if (below > 0)
        snprintf(near, sizeof near, "; %lld%s", (long long)below, above > 0 ? "" : " would do");
    if (above > 0)
        snprintf(near + strlen(near), sizeof near - strlen(near), "%s%lld would do",
                 below > 0 ? " or " : "; ", (long long)above);
    return FAIL(STATUS_BAD_INPUT,
                "%s: system.particles = %lld do not fill the box with %s whose cells are near to regular%s",
                place(r, name, "system", "particles"), (long long)s->particles,
                s->dimension == 2 ? "an even number of rows of a triangular lattice" : "a cubic lattice",
                near);
}

/* The box of a crystal: room for its bonds and for the least skin. */
static enum status check_crystal_reach(const struct reading *r, const char *name, double cutoff,
                                       double skin) {
    const struct system_parameters *s = &r->config->system;
    double side[MAX_DIMENSION];
    config_box(s, side);
    for (int a = 0; a < s->dimension; a++)
        if (2 * (cutoff + skin) > side[a])
            return FAIL(
                STATUS_BAD_INPUT,
                "%s: the crystal is too small: the box's side of %.4g must be at least twice the reach of "
                "bonds, 2.5 times the longest of %.4g, and the skin of neighbour lists, 2 (%.4g + %.4g): "
                "use more particles or a smaller simulation.skin",
                place(r, name, "system", "particles"), side[a], cutoff / 2.5, cutoff, skin);
    return STATUS_OK;
}

static enum status check_reach(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    const double least_skin = 0.05;
    const double cutoff = config_reach(&c->system, &c->simulation);
    const double skin = c->simulation.skin > 0 ? c->simulation.skin : least_skin;
    double side[MAX_DIMENSION];
    if (c->system.kind == SYSTEM_CRYSTAL)
        return check_crystal_reach(r, name, cutoff, skin);
    config_box(&c->system, side);
    /* a trapped start is a ball of packing 1/2, or a lattice two radii apart: both about this far from 0 */
    const double start = pow(2 * (double)c->system.particles, 1.0 / c->system.dimension);
    for (int a = 0;
         a < c->system.dimension && config_is_open(&c->system) && !strchr(c->simulation.start, '@'); a++)
        if (start >= side[a] / 4)
            return FAIL(
                STATUS_BAD_INPUT,
                "%s: system.box = %g is too small: the start reaches %.4g from the middle, and nothing may "
                "leave the middle half of the open space; give at least %.4g",
                place(r, name, "system", "box"), side[a], start, 4 * start * 1.01);
    for (int a = 0; a < c->system.dimension && !config_is_open(&c->system); a++)
        if (2 * (cutoff + skin) > side[a])
            return FAIL(STATUS_BAD_INPUT,
                        "%s: the box is too small: its side of %.4g must be at least twice the cut-off "
                        "and the skin of neighbour lists, 2 (%.4g + %.4g): use more particles, a larger "
                        "box, a smaller simulation.skin or a larger simulation.cutoff_tolerance%s",
                        place(r, name, "system", c->system.box_sides > 0 ? "box" : "packing_fraction"),
                        side[a], cutoff, skin,
                        c->system.alignment > 0 ? ", or a smaller system.alignment_radius" : "");
    return STATUS_OK;
}

static enum status check_alignment(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    const double rate = config_alignment_rate(&c->system);
    if (c->system.alignment == 0)
        return STATUS_OK;
    if (c->system.kind == SYSTEM_UNKNOWN)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: system.alignment = %g is of dynamics, and those of system.kind = unknown are not known: "
            "leave it out",
            place(r, name, "system", "alignment"), c->system.alignment);
    if (c->simulation.dt * rate > 1)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: simulation.dt = %g is too long for system.alignment = %g: its product with the rate at "
            "which neighbours in a dense phase align, about %.3g, must be at most 1",
            place_of_pair(r, name, "simulation", "dt", "system", "alignment"), c->simulation.dt,
            c->system.alignment, rate);
    return STATUS_OK;
}

static enum status check_refine(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    const struct simulation_parameters *s = &c->simulation;
    const char *where = place(r, name, "simulation", "refine");
    if (s->refine == 0)
        return STATUS_OK;
    if (c->system.eps > 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.refine = %g needs system.eps = 0, and it is %g: use refine = 0", where,
                    s->refine, c->system.eps);
    if (c->system.alignment > 0)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: simulation.refine = %g: fine steps do not know system.alignment = %g: use refine = 0 and "
            "a small dt",
            where, s->refine, c->system.alignment);
    if (config_refine_steps(c) < 1)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.refine = %g is shorter than half a step of simulation.dt = %g; 0 leaves "
                    "fine steps out",
                    where, s->refine, s->dt);
    if (!refine_fits(c))
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: simulation.refine = %g must be shorter than simulation.frame_interval = %g and not longer "
            "than simulation.burn_in = %g: every frame comes after so much time of fine steps",
            where, s->refine, s->frame_interval, s->burn_in);
    if (s->refine_dt > s->dt)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.refine_dt = %g is longer than simulation.dt = %g: fine steps are at most "
                    "as long",
                    place_of_pair(r, name, "simulation", "refine_dt", "simulation", "dt"), s->refine_dt,
                    s->dt);
    return STATUS_OK;
}

static enum status check_simulation(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    const struct simulation_parameters *s = &c->simulation;
    if (s->dt * c->system.gamma >= 1)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.dt = %g is too long for system.gamma = %g: their product must be "
                    "below 1",
                    place_of_pair(r, name, "simulation", "dt", "system", "gamma"), s->dt, c->system.gamma);
    bool crystal = c->system.kind == SYSTEM_CRYSTAL;
    if (crystal && s->dt * config_stiffest(&c->system) > 1)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: simulation.dt = %g is unstable with system.spring = %g and system.tether = %g: its product "
            "with the rate of the stiffest mode, %g, must be at most 1",
            place_of_pair(r, name, "simulation", "dt", "system", "spring"), s->dt, c->system.spring,
            c->system.tether, config_stiffest(&c->system));
    if (!crystal && s->dt * c->system.k > 1)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.dt = %g is unstable with system.k = %g: their product must be at "
                    "most 1",
                    place_of_pair(r, name, "simulation", "dt", "system", "k"), s->dt, c->system.k);
    if (s->dt * c->system.trap > 1)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.dt = %g is unstable with system.trap = %g: their product must be "
                    "at most 1",
                    place_of_pair(r, name, "simulation", "dt", "system", "trap"), s->dt, c->system.trap);
    if (s->burn_in > 0 && config_burn_in_steps(c) < 1)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.burn_in = %g is shorter than half a step of simulation.dt = %g; "
                    "0 leaves it out",
                    place(r, name, "simulation", "burn_in"), s->burn_in, s->dt);
    if (config_interval_steps(c) < 1)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.frame_interval = %g is shorter than half a step of simulation.dt = %g",
                    place_of_pair(r, name, "simulation", "frame_interval", "simulation", "dt"),
                    s->frame_interval, s->dt);
    if ((double)config_burn_in_steps(c) + (double)config_interval_steps(c) * s->frames > 9e15)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: the run has more than 9e15 steps: use fewer frames or a longer simulation.dt",
                    place_of_pair(r, name, "simulation", "frame_interval", "simulation", "burn_in"));
    const char *at = strrchr(s->start, '@');
    bool frame =
        at && at > s->start &&
        (strcmp(at + 1, "last") == 0 || (at[1] != '\0' && strspn(at + 1, "0123456789") == strlen(at + 1)));
    if (strcmp(s->start, "random") != 0 && strcmp(s->start, "lattice") != 0 && !frame)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: simulation.start = %s must be random, lattice or FILE@FRAME (FRAME from 0, or "
                    "last)",
                    place(r, name, "simulation", "start"), s->start);
    return STATUS_OK;
}

static enum status check_network(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    const struct network_parameters *n = &c->network;
    if (n->width % 2 != 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: network.width = %d must be even: half of a token is the embedding of g, half "
                    "that of x",
                    place(r, name, "network", "width"), n->width);
    if (n->width % n->heads != 0)
        return FAIL(STATUS_BAD_INPUT, "%s: network.width = %d must be a multiple of network.heads = %d",
                    place_of_pair(r, name, "network", "width", "network", "heads"), n->width, n->heads);
    if (n->linear_term != LINEAR_TERM_OFF &&
        (c->system.kind != SYSTEM_CRYSTAL || (n->window != WINDOW_LATTICE && n->window != WINDOW_ANCHORED)))
        return FAIL(STATUS_BAD_INPUT,
                    "%s: network.linear_term wants particles with fixed places in a window: system.kind "
                    "= crystal "
                    "and network.window = lattice or anchored",
                    place(r, name, "network", "linear_term"));
    if (n->linear_term == LINEAR_TERM_VELOCITY &&
        (c->system.eps > 0 || c->system.v0 == 0 || c->training.loss == LOSS_VELOCITY ||
         c->training.noise_on == NOISE_ON_XG))
        return FAIL(STATUS_BAD_INPUT,
                    "%s: network.linear_term = velocity is for scores of g: system.eps = 0, system.v0 above "
                    "0, and noise "
                    "on g alone, which leaves the forces as they are",
                    place(r, name, "network", "linear_term"));
    if (given(r, "network", "neighbours") && n->neighbours >= c->system.particles)
        return FAIL(STATUS_BAD_INPUT, "%s: network.neighbours = %d must be below system.particles = %lld",
                    place_of_pair(r, name, "network", "neighbours", "system", "particles"), n->neighbours,
                    (long long)c->system.particles);
    return STATUS_OK;
}

bool config_suits_response(const struct system_parameters *s) {
    return s->kind == SYSTEM_AOUP && s->eps == 0 && !config_is_open(s) && s->v0 > 0 && s->alignment == 0;
}

/* The response network is of the score in g of one kind of system, learnt with noise on g. */
static enum status check_response(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    if (c->network.kind != NETWORK_RESPONSE)
        return STATUS_OK;
    const char *where = place(r, name, "network", "kind");
    if (!config_suits_response(&c->system))
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: network.kind = response is for system.kind = aoup in a periodic box, with system.eps = 0, "
            "system.v0 above 0 and no system.alignment: use window",
            where);
    if (c->training.loss != LOSS_DENOISING || c->training.noise_on != NOISE_ON_G)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: network.kind = response learns by training.loss = denoising with training.noise_on = g",
            where);
    if (c->network.response.sweep_intervals % 4 != 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: response.sweep_intervals = %d must be a multiple of 4: sweeps start a quarter, half "
                    "and all of them ago",
                    place(r, name, "response", "sweep_intervals"), c->network.response.sweep_intervals);
    return STATUS_OK;
}

/* Windows that see displacements need something to be displaced from, and room for what they hold. */
enum status config_check_window(const struct system_parameters *s, enum window_kind window,
                                const char *where) {
    const long long most = 4097; /* network.neighbours and the particle itself */
    if (window == WINDOW_LATTICE && s->kind != SYSTEM_CRYSTAL)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: network.window = lattice sees lattice sites: it needs system.kind = crystal", where);
    if ((window == WINDOW_ALL || window == WINDOW_ANCHORED) && s->kind == SYSTEM_AOUP && !config_is_open(s))
        return FAIL(STATUS_BAD_INPUT,
                    "%s: network.window = %s sees where particles are, which in a periodic box of "
                    "system.kind = aoup is relative to nothing: it needs system.trap above 0, or a crystal",
                    where, window == WINDOW_ALL ? "all" : "anchored");
    if (window == WINDOW_ALL && s->particles > most)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: network.window = all holds all of system.particles = %lld: they may be at most %lld",
                    where, (long long)s->particles, most);
    return STATUS_OK;
}

static enum status check_window(const struct reading *r, const char *name) {
    return config_check_window(&r->config->system, r->config->network.window,
                               place_of_pair(r, name, "network", "window", "system", "kind"));
}

static enum status check_loss(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    const struct training_parameters *t = &c->training;
    if (c->system.kind == SYSTEM_UNKNOWN && t->loss != LOSS_VELOCITY)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: system.kind = unknown has no dynamics that a score could be used with, only "
                    "velocities can be learnt: it needs training.loss = velocity",
                    place(r, name, "system", "kind"));
    if (t->l_fpe > 0 && c->system.eps == 0)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: training.l_fpe = %g weighs the stationarity of all coordinates, x included: it needs "
            "system.eps above 0",
            place(r, name, "training", "l_fpe"), t->l_fpe);
    if (t->loss == LOSS_SCORE_MATCHING && t->l_sm == 0 && t->l_fpe == 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: training.l_sm and training.l_fpe are both 0: there is nothing to minimise",
                    place(r, name, "training", "l_sm"));
    if (t->loss != LOSS_SCORE_MATCHING && t->l_fpe > 0)
        return FAIL(STATUS_BAD_INPUT, "%s: training.l_fpe = %g is a part of training.loss = score_matching",
                    place(r, name, "training", "l_fpe"), t->l_fpe);
    if (c->system.kind == SYSTEM_UNKNOWN && (!given(r, "system", "gamma") || !given(r, "system", "eps")))
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: entropy production weighs velocities by system.eps and system.gamma: where the dynamics are "
            "unknown, both must be given",
            name);
    if (t->loss == LOSS_SCORE_MATCHING && t->l_fpe > 0 && t->smoothing > 0)
        return FAIL(
            STATUS_BAD_INPUT,
            "%s: training.l_fpe wants the stationary density, training.smoothing = %g a smoothed one: give "
            "one of them",
            place(r, name, "training", "smoothing"), t->smoothing);
    if (t->loss == LOSS_DENOISING && c->system.eps > 0 && t->noise_on == NOISE_ON_G)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: training.noise_on = g leaves the score of x, which system.eps = %g needs, without "
                    "noise to learn it from: use xg, or training.loss = score_matching",
                    place(r, name, "training", "noise_on"), c->system.eps);
    if (t->weighting == WEIGHTING_STIFFNESS && (t->loss != LOSS_DENOISING || c->system.eps > 0))
        return FAIL(STATUS_BAD_INPUT,
                    "%s: training.weighting = stiffness is for training.loss = denoising and system.eps = 0, "
                    "where the score in g alone is learnt: use none",
                    place(r, name, "training", "weighting"));
    if (t->loss == LOSS_VELOCITY && given(r, "network", "shift") && c->network.shift != SHIFT_NONE)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: network.shift is of scores, and training.loss = velocity learns none: use none or "
                    "leave it out",
                    place(r, name, "network", "shift"));
    return STATUS_OK;
}

static enum status check_learning(const struct reading *r, const char *name) {
    enum status status = STATUS_OK;
    const struct config *c = r->config;
    TRY(check_network(r, name));
    TRY(check_response(r, name));
    TRY(check_window(r, name));
    TRY(check_loss(r, name));
    if (c->training.warm_up > c->training.steps)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: training.warm_up = %lld%s is longer than training.steps = %lld%s, which include it",
                    place_of_pair(r, name, "training", "warm_up", "training", "steps"),
                    (long long)c->training.warm_up, by_default(r, "training", "warm_up"),
                    (long long)c->training.steps, by_default(r, "training", "steps"));
out:
    return status;
}

static enum status check_evaluation(const struct reading *r, const char *name) {
    const struct config *c = r->config;
    if (c->evaluation.profile_bin > c->evaluation.profile_extent)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: evaluation.profile_bin = %g is wider than evaluation.profile_extent = %g",
                    place_of_pair(r, name, "evaluation", "profile_bin", "evaluation", "profile_extent"),
                    c->evaluation.profile_bin, c->evaluation.profile_extent);
    if (c->evaluation.model_count > 1)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: evaluation.models has %d entries: one model at a time is evaluated",
                    place(r, name, "evaluation", "models"), c->evaluation.model_count);
    return STATUS_OK;
}

enum status config_check(struct reading *r, const char *name, bool recorded) {
    enum status status = STATUS_OK;
    TRY(check_required(r, name));
    fill_defaults(r, recorded);
    TRY(check_box(r, name));
    if (recorded) /* by a run that was content with them; another command may use other parts of them */
        goto out;
    TRY(check_copies(r, name));
    TRY(check_crystal(r, name));
    TRY(check_alignment(r, name));
    if (r->config->system.kind != SYSTEM_UNKNOWN) { /* of data: nothing is simulated */
        TRY(check_reach(r, name));
        TRY(check_simulation(r, name));
        TRY(check_refine(r, name));
    }
    TRY(check_learning(r, name));
    TRY(check_evaluation(r, name));
out:
    return status;
}
