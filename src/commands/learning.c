#include "commands/learning.h"

struct network_parameters learning_network(const struct network_parameters *network,
                                           const struct system_parameters *system) {
    struct network_parameters p = *network;
    if (p.window == WINDOW_ALL)
        p.neighbours = (int)system->particles - 1;
    if (p.kind == NETWORK_RESPONSE) /* its graph has all within a radius */
        p.neighbours = 0;
    return p;
}

bool learning_with_x(const struct system_parameters *system, const struct training_parameters *training) {
    return system->eps > 0 || training->loss == LOSS_VELOCITY;
}

struct flow_law learning_law(const struct system_parameters *system, const struct network_parameters *network,
                             const struct training_parameters *training) {
    return (struct flow_law){.v0 = system->v0,
                             .gamma = system->gamma,
                             .eps = system->eps,
                             .shift = network->shift,
                             .velocity = training->loss == LOSS_VELOCITY};
}

struct force_law learning_forces(const struct system_force *context) {
    return (struct force_law){.compute = context->system.kind == SYSTEM_UNKNOWN ? NULL : system_force,
                              .context = context,
                              .restoring = context->law.alignment > 0 ? system_restoring : NULL};
}

struct trainer_setup learning_setup(const struct config *c, struct system_force *context) {
    *context = (struct system_force){c->system, system_pair_law(&c->system, &c->simulation)};
    return (struct trainer_setup){.network = learning_network(&c->network, &c->system),
                                  .training = c->training,
                                  .law = learning_law(&c->system, &c->network, &c->training),
                                  .d = c->system.dimension,
                                  .particles = (size_t)c->system.particles,
                                  .with_x = learning_with_x(&c->system, &c->training),
                                  .chunk = c->run.chunk,
                                  .force = learning_forces(context)};
}
