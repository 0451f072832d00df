#include "commands/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "commands/learning.h"
#include "dynamics/simulation.h"
#include "entropy/certificate.h"
#include "entropy/fields.h"
#include "io/model_file.h"
#include "io/trajectory.h"

/* What of the program and its libraries (HDF5, MPI-IO, OpenBLAS) comes into memory only as it is used. */
static const double LATER = 6 << 20;

/* ---- what a plan is made of ---- */

/* A rank's share of particles that fill the box evenly. */
struct share {
    struct domain *domain;
    double particles, owned; /* of all ranks, of this one */
};

/* particles: as many as there are, if not as many as the system has, in a box of the same density. In open space they
 * are taken to fill half of a box. */
static enum status share_create(struct session *s, const struct system_parameters *system, double particles,
                                struct share *out) {
    static const double unit_ball[] = {1, 2, M_PI, 4 * M_PI / 3};
    struct box box = system_box(system);
    const double all = (double)config_total(system), more = pow(particles / all, 1.0 / box.d);
    for (int a = 0; a < box.d; a++)
        box.side[a] = box.periodic ? more * box.side[a] : pow(2 * unit_ball[box.d] * particles, 1.0 / box.d);
    *out = (struct share){.particles = particles, .owned = particles / comm_size(s->comm)};
    return comm_agree(s->comm, domain_create(&box, s->comm, &out->domain));
}

/* 0 where the force is not known. */
static double cutoff_of(const struct system_parameters *system,
                        const struct simulation_parameters *simulation) {
    return system->kind == SYSTEM_UNKNOWN ? 0 : config_reach(system, simulation);
}

static struct memory_plan start(void) {
    struct memory_plan plan = {{0}};
    plan.bytes[MEMORY_PROGRAM] = memory_now() + LATER;
    return plan;
}

static struct memory_plan with(const struct memory_plan *plan, enum memory_part part, double bytes) {
    struct memory_plan more = *plan;
    more.bytes[part] += bytes;
    return more;
}

/* "state 61.2 MiB, ghosts 1.0 MiB": what there is of it. */
static void list_parts(const struct memory_plan *plan, char *out, size_t size) {
    size_t used = 0;
    for (int p = 0; p < MEMORY_PARTS && used < size; p++) {
        char text[32];
        text_bytes(plan->bytes[p], text, sizeof text);
        if (plan->bytes[p] >= 1024)
            used += (size_t)snprintf(out + used, size - used, "%s%s %s", used > 0 ? ", " : "",
                                     memory_part_name[p], text);
    }
}

/* particles: that the bytes are shared out to. hint: what needs less. */
static void print(struct session *s, const char *stage, struct memory_plan plan, double particles,
                  const char *hint) {
    char parts[256] = "", rank[32], total[32], node[32], there[32];
    double all = memory_total(&plan), here = all;
    const double ranks = comm_size(s->comm), room = memory_of_node();
    comm_sum(s->comm, plan.bytes, MEMORY_PARTS);
    comm_sum(s->comm, &all, 1);
    comm_sum_local(s->comm, &here, 1);
    for (int p = 0; p < MEMORY_PARTS; p++)
        plan.bytes[p] /= ranks;
    list_parts(&plan, parts, sizeof parts);
    text_bytes(all / ranks, rank, sizeof rank);
    text_bytes(all, total, sizeof total);
    log_info("          memory: about %s a rank (%s), %s in all, %.0f B a particle", rank, parts, total,
             all / particles);
    text_bytes(here, node, sizeof node);
    text_bytes(room, there, sizeof there);
    if (here > room && strcmp(s->device, "cpu") == 0)
        log_warning("%s needs about %s of memory on this node, which has %s: %s", stage, node, there, hint);
}

/* ---- simulate ---- */

enum status memory_plan_simulate(struct session *s) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    const int d = c->system.dimension;
    struct share share = {0};
    struct memory_plan steps = start(), most;
    TRY(share_create(s, &c->system, (double)config_total(&c->system), &share));
    const double reach = config_reach(&c->system, &c->simulation) + system_skin(&c->system, &c->simulation);
    const double ghosts = halo_ghosts(share.domain, share.particles, reach);
    steps.bytes[MEMORY_FILES] += slice_bytes(d, share.owned) + share.owned * d * sizeof(double);
    simulation_memory(c, share.domain, share.owned, &steps);
    most = with(&steps, MEMORY_STATE, simulation_sums_bytes(d, c->system.alignment > 0, share.owned, ghosts));
    const struct memory_plan frame = with(&steps, MEMORY_FILES, particles_to_slice_bytes(share.owned));
    memory_or(&most, &frame);
    print(s, "the simulation", most, share.particles, "use more nodes, or fewer particles");
out:
    domain_destroy(&share.domain);
    return status;
}

/* ---- train ---- */

enum status memory_plan_train(struct session *s, const struct trainer_setup *setup,
                              const struct scores *scores, double frames, double largest) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    const bool graphs = setup->network.kind == NETWORK_RESPONSE;
    const double margin = training_margin(&c->training, setup->d), d = setup->d;
    const double cutoff = cutoff_of(&c->system, &c->simulation) + margin;
    struct share share = {0};
    struct memory_plan plan = start();
    struct graph sizes = {0};
    double ghosts = 0;
    plan.bytes[MEMORY_PROGRAM] -= scores_memory(scores); /* they are there while the plan is made */
    TRY(share_create(s, &c->system, largest, &share));
    frame_memory(share.domain, largest, share.owned, setup->network.neighbours, cutoff,
                 graphs ? &setup->network.response : NULL, &c->system, &ghosts, &sizes, &plan);
    const double push = setup->network.linear_term == LINEAR_TERM_VELOCITY ? d * (share.owned + ghosts) : 0;
    const double rate = c->training.loss == LOSS_VELOCITY ? 2 * d * share.owned : 0;
    plan.bytes[MEMORY_STATE] += (push + rate + share.owned) * sizeof(double);
    for (int p = MEMORY_STATE; p <= MEMORY_LISTS; p++)
        plan.bytes[p] *= frames;
    plan.bytes[MEMORY_NETWORK] += scores_memory_for(scores, share.owned + ghosts, &sizes, true) +
                                  trainer_bytes(setup, scores, largest, share.owned, share.owned + ghosts);
    print(s, "training", plan, largest * frames,
          "use more nodes, fewer or smaller frames, or, with network.kind = window, a smaller run.chunk");
out:
    domain_destroy(&share.domain);
    return status;
}

/* ---- evaluate ---- */

/* What is evaluated with what. */
struct evaluated {
    struct config model;             /* that it was trained with */
    struct system_parameters system; /* of the trajectory */
    double frames;
};

/* From the files. Those that a dry run finds in the output folder may be of an earlier run, and others not be made yet. */
static enum status look_into(struct session *s, struct evaluated *e) {
    enum status status = STATUS_OK;
    const struct evaluation_parameters *p = &s->config.evaluation;
    struct trajectory *t = NULL;
    struct config of_file;
    char model[SESSION_PATH], path[SESSION_PATH];
    int64_t step;
    *e = (struct evaluated){s->config, s->config.system, s->config.simulation.frames};
    session_path(s, "model.h5", model);
    session_path(s, "trajectory.h5", path);
    if (p->model_count > 0)
        snprintf(model, sizeof model, "%s", p->models[0]);
    if (p->trajectory_count > 0)
        snprintf(path, sizeof path, "%s", p->trajectories[0]);
    if (!s->dry_run || (p->model_count > 0 && file_exists(s->comm, model)))
        TRY(model_read_header(s->comm, model, &e->model, &step));
    const bool own = !s->config.data.position[0];
    if (own && (!s->dry_run || (p->trajectory_count > 0 && file_exists(s->comm, path)))) {
        TRY(trajectory_open(s->comm, path, &t));
        TRY(file_parameters(trajectory_file(t), s->comm, &of_file));
        e->system = of_file.system;
        e->frames = (double)trajectory_shape(t)->frames;
    }
out:
    trajectory_close(&t);
    return status;
}

/* While the network runs; while fields are made, when the frame is gone. Columns and fields are written to for the first
 * time after the network of the first frame. */
static struct memory_plan largest_moment(const struct session *s, const struct evaluated *e,
                                         const struct share *share, const struct network_parameters *network,
                                         const struct scores *scores) {
    const struct evaluation_parameters *p = &s->config.evaluation;
    const int d = e->system.dimension;
    const double margin = training_margin(&e->model.training, d), ranks = comm_size(s->comm);
    const double reach = snapshot_reach(cutoff_of(&e->system, &s->config.simulation)) + margin;
    const bool graphs = network->kind == NETWORK_RESPONSE, noised = config_smoothing(&e->model.training) > 0;
    const struct box *box = &share->domain->box;
    struct graph sizes = {0};
    struct memory_plan kept = {{0}}, run, fields, written = {{0}};
    double ghosts;
    written.bytes[MEMORY_RESULTS] = snapshot_bytes(d, share->owned) + certificate_bytes(share->owned);
    written.bytes[MEMORY_FIELDS] = field_grid_bytes(box, p->grid, ranks);
    kept.bytes[MEMORY_FILES] = slice_bytes(d, share->owned) + share->owned * d * sizeof(double);
    run = kept;
    frame_memory(share->domain, share->particles, share->owned, network->neighbours, reach,
                 graphs ? &network->response : NULL, &e->system, &ghosts, &sizes, &run);
    const double local = share->owned + ghosts;
    kept.bytes[MEMORY_NETWORK] =
        scores_memory_for(scores, local, &sizes, false) + (double)scores->tensors.size * sizeof(real);
    run.bytes[MEMORY_NETWORK] = kept.bytes[MEMORY_NETWORK];
    run.bytes[MEMORY_RESULTS] =
        snapshot_bytes(d, share->owned) +
        snapshot_compute_bytes(scores, share->owned, local, network->neighbours, noised);
    fields = kept;
    for (int m = 0; m < MEMORY_PARTS; m++) {
        fields.bytes[m] += written.bytes[m];
        run.bytes[m] += e->frames > 1 ? written.bytes[m] : 0;
    }
    fields.bytes[MEMORY_FIELDS] += fields_compute_bytes(box, p->grid, p->smoothing, ranks, share->owned);
    memory_or(&run, &fields);
    return run;
}

enum status memory_plan_evaluate(struct session *s) {
    enum status status = STATUS_OK;
    struct memory_plan most = start();
    struct evaluated e;
    struct share share = {0};
    struct scores *scores = NULL;
    TRY(look_into(s, &e));
    const struct network_parameters network = learning_network(&e.model.network, &e.model.system);
    TRY(comm_agree(s->comm, scores_create(s->ops, &network, e.system.dimension,
                                          learning_with_x(&e.system, &e.model.training), s->config.run.chunk,
                                          &scores)));
    TRY(share_create(s, &e.system, (double)config_total(&e.system), &share));
    struct memory_plan moment = largest_moment(s, &e, &share, &network, scores);
    moment.bytes[MEMORY_PROGRAM] = most.bytes[MEMORY_PROGRAM];
    print(s, "the evaluation", moment, share.particles,
          "use more nodes or a larger evaluation.grid, or, with network.kind = window, a smaller run.chunk");
out:
    scores_destroy(&scores);
    domain_destroy(&share.domain);
    return status;
}
