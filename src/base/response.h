/* Numbers of the response network that are not sizes of it, by their names in docs/response-model.md: parameters of a
 * run, and what its primitives compute with. */
#ifndef EPFLOW_BASE_RESPONSE_H
#define EPFLOW_BASE_RESPONSE_H

struct response_constants {
    double window_rate, window_centre;
    double density_shift;
    double shot_scale, shot_offset, shot_guard;
    double lg_floor, log_guard, gain;
    double kappa_scale, kappa_shift, speed_scale, speed_shift, distance_scale, distance_shift;
    double contact_scale, contact_shift, cross_factor, own_factor;
    double message_factor, push_factor, across_factor, transfer, prior;
};

#endif
