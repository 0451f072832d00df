#include "base/config_table.h"

#include <math.h>

#define AT(section, field) .offset = offsetof(struct config, section.field)
#define ABOVE(value) .least = (value), .open_least = true, .most = INFINITY
#define FROM(value) .least = (value), .most = INFINITY
#define BETWEEN(low, high) .least = (low), .most = (high)

const struct parameter parameter_table[] = {
    /* ---- system ---- */
    {"system", "kind", TYPE_CHOICE, AT(system, kind), .unit = "", .fallback = "aoup",
     .choices = "aoup|crystal|unknown",
     .help = "the dynamics: aoup, active Ornstein-Uhlenbeck particles that repel each other; crystal, such "
             "particles joined to their lattice neighbours by springs instead: a chain, a triangular (rows "
             "of particles by id, an even number of them) or a simple cubic lattice, in a periodic box; "
             "unknown, of data alone, from which velocities can be learnt"},
    {"system", "dimension", TYPE_INTEGER, AT(system, dimension), .unit = "", .fallback = "2", BETWEEN(1, 3),
     .help = "d, dimension of space"},
    {"system", "particles", TYPE_LONG, AT(system, particles), .unit = "", .fallback = NULL,
     BETWEEN(2, 2147483647), .help = "N, number of particles"},
    {"system", "copies", TYPE_LONG, AT(system, copies), .unit = "", .fallback = "1", BETWEEN(1, 1073741823),
     .help = "independent copies of the N particles, simulated side by side: particles of different copies "
             "do not "
             "meet. For statistics of small systems"},
    {"system", "packing_fraction", TYPE_REAL, AT(system, packing_fraction), .unit = "", .fallback = "0",
     .least = 0, .open_least = true, .most = 4,
     .help = "phi, volume of N particles of radius 1 over that of the box; gives the side of a cubic box. "
             "Give this or box, exactly one"},
    {"system", "box", TYPE_REALS, AT(system, box), .count_offset = offsetof(struct config, system.box_sides),
     .room = MAX_DIMENSION, .unit = "r0", .fallback = "[]", ABOVE(0),
     .help = "side of the box, or d sides [Lx, Ly, ...]; with a trap the open side, of which only the middle "
             "half may "
             "be reached"},
    {"system", "v0", TYPE_REAL, AT(system, v0), .unit = "r0/time", .fallback = "0.025", FROM(0),
     .help = "self-propulsion speed"},
    {"system", "k", TYPE_REAL, AT(system, k), .unit = "1/time", .fallback = "1", FROM(0),
     .help = "strength of the repulsion; a crystal has none"},
    {"system", "beta", TYPE_REAL, AT(system, beta), .unit = "1/r0", .fallback = "7.5", BETWEEN(0.5, 1000),
     .help = "sharpness of the repulsion f(r) = log(1 + exp(beta (2 - r))) / beta"},
    {"system", "trap", TYPE_REAL, AT(system, trap), .unit = "1/time", .fallback = "0", FROM(0),
     .help = "A, stiffness of a harmonic trap about the origin; above 0 space is open"},
    {"system", "gamma", TYPE_REAL, AT(system, gamma), .unit = "1/time", .fallback = "1e-4", ABOVE(0),
     .help = "rate at which the self-propulsion forgets its direction"},
    {"system", "eps", TYPE_REAL, AT(system, eps), .unit = "r0^2/time", .fallback = "0", FROM(0),
     .help = "translational diffusion"},
    {"system", "spring", TYPE_REAL, AT(system, spring), .unit = "1/time", .fallback = "1", FROM(0),
     .help =
         "kappa of a crystal's bonds: force on i is -kappa (u_i - u_j), u the displacement from the lattice"},
    {"system", "spring_kind", TYPE_CHOICE, AT(system, spring_kind), .unit = "", .fallback = "isotropic",
     .choices = "isotropic|longitudinal",
     .help =
         "of a crystal's bonds: isotropic, or only the part of the force along the bond's direction in the "
         "lattice"},
    {"system", "tether", TYPE_REAL, AT(system, tether), .unit = "1/time", .fallback = "0", FROM(0),
     .help = "of a crystal: stiffness of a spring from every particle to its lattice site; 0: the crystal is "
             "free"},
    {"system", "alignment", TYPE_REAL, AT(system, alignment), .unit = "1/time", .fallback = "0", FROM(0),
     .help =
         "J, rate at which propulsions turn to those of their neighbours, as in a Vicsek model: "
         "J sum_j w(r_ij) (g_j - g_i) is added to the drift of g_i, w(r) = (1 - (r / alignment_radius)^2)^2 "
         "within that radius; in a crystal w = 1 along bonds"},
    {"system", "alignment_radius", TYPE_REAL, AT(system, alignment_radius), .unit = "r0", .fallback = "3",
     ABOVE(0), .help = "how far propulsions see each other; see alignment"},
    /* ---- simulation ---- */
    {"simulation", "dt", TYPE_REAL, AT(simulation, dt), .unit = "time", .fallback = "0.1", ABOVE(0),
     .help = "time step; its products with k and trap, or with the rate of a crystal's stiffest mode, may be "
             "at most "
             "1, that with gamma must be below 1"},
    {"simulation", "start", TYPE_TEXT, AT(simulation, start), .unit = "", .fallback = "random",
     .help =
         "random (a Gaussian blob of width L/4 if the packing fraction is 0.25 or more, uniform below; with "
         "a "
         "trap a ball of packing 1/2), lattice, or FILE@FRAME of a trajectory of another seed (FRAME from 0, "
         "or last), which in a periodic box may be of a smaller one that fits into it a whole number of "
         "times; "
         "a crystal starts on its sites, random or lattice"},
    {"simulation", "burn_in", TYPE_REAL, AT(simulation, burn_in), .unit = "time", .fallback = "", FROM(0),
     .help = "time before the first frame, rounded to whole steps; default 20 / gamma, with eps > 0 "
             "20 / min(gamma, eps / r0^2)"},
    {"simulation", "frame_interval", TYPE_REAL, AT(simulation, frame_interval), .unit = "time",
     .fallback = "", ABOVE(0), .help = "time between frames, rounded to whole steps; default 0.1 / gamma"},
    {"simulation", "frames", TYPE_INTEGER, AT(simulation, frames), .unit = "", .fallback = "20",
     BETWEEN(1, 1000000), .help = "number of frames written"},
    {"simulation", "refine", TYPE_REAL, AT(simulation, refine), .unit = "time", .fallback = "", FROM(0),
     .help = "this long before every frame the steps are fine ones, whose stationary density is off by their "
             "dt^2 and not by dt (Strang splitting: half an exact step of g, a midpoint step of x, half a "
             "step of g), rounded to whole steps of dt; 0: none. Needs eps = 0. Default 10 / k for kind aoup "
             "with eps = 0 and no trap, if that is less than the time between frames and not more than the "
             "burn-in; else 0"},
    {"simulation", "refine_dt", TYPE_REAL, AT(simulation, refine_dt), .unit = "time", .fallback = "",
     ABOVE(0),
     .help = "fine steps are at most this long, as many as fit; at most dt. Default 0.04 / k for kind aoup, "
             "0.4 dt for others, if that is not longer than dt"},
    {"simulation", "seed", TYPE_SEED, AT(simulation, seed), .unit = "", .fallback = "1",
     BETWEEN(0, 1.8446744073709551e19), .help = "seed of the noise and of the start"},
    {"simulation", "cutoff_tolerance", TYPE_REAL, AT(simulation, cutoff_tolerance), .unit = "",
     .fallback = "1e-5", .least = 1e-14, .most = 0.1, .help = "the force is cut where f(r_c) is this"},
    {"simulation", "skin", TYPE_REAL, AT(simulation, skin), .unit = "r0", .fallback = "0", FROM(0),
     .help = "how far neighbour lists reach beyond the cut-off; 0: chosen for speed while it runs. No result "
             "depends on it"},
    {"simulation", "restart_interval", TYPE_REAL, AT(simulation, restart_interval), .unit = "minutes",
     .fallback = "10", FROM(0), .help = "wall-clock time between restart files"},
    /* ---- network ---- */
    {"network", "kind", TYPE_CHOICE, AT(network, kind), .unit = "", .fallback = "",
     .choices = "window|response",
     .help = "score model: window, a transformer over a particle and its nearest neighbours; response, a "
             "graph network "
             "that sees stiffnesses of contacts and the forces of the recent past, for system.kind = aoup "
             "with eps = 0 "
             "in a periodic box. Default response where it applies and nothing else of network is given, "
             "else window"},
    {"network", "width", TYPE_INTEGER, AT(network, width), .unit = "", .fallback = "256", BETWEEN(2, 4096),
     .help = "W, width of a token; a multiple of 2 and of heads"},
    {"network", "hidden", TYPE_INTEGER, AT(network, hidden), .unit = "", .fallback = "256", BETWEEN(1, 4096),
     .help = "H, hidden width of embeddings and decoder"},
    {"network", "feed_forward", TYPE_INTEGER, AT(network, feed_forward), .unit = "", .fallback = "256",
     BETWEEN(1, 16384), .help = "F, hidden width of the MLP in a block"},
    {"network", "heads", TYPE_INTEGER, AT(network, heads), .unit = "", .fallback = "4", BETWEEN(1, 64),
     .help = "attention heads"},
    {"network", "blocks", TYPE_INTEGER, AT(network, blocks), .unit = "", .fallback = "4", BETWEEN(1, 64),
     .help = "transformer blocks"},
    {"network", "layers", TYPE_INTEGER, AT(network, layers), .unit = "", .fallback = "4", BETWEEN(1, 16),
     .help = "hidden layers of embeddings and decoder"},
    {"network", "neighbours", TYPE_INTEGER, AT(network, neighbours), .unit = "", .fallback = "64",
     BETWEEN(1, 4096),
     .help = "n, nearest neighbours in a window; by default all others where they are fewer"},
    {"network", "window", TYPE_CHOICE, AT(network, window), .unit = "", .fallback = "local",
     .choices = "local|periodic|lattice|anchored|all",
     .help = "what a window holds and sees. local: a particle and its neighbours, by their positions "
             "relative to its "
             "own; periodic: by sine and cosine of those, for boxes so small that windows reach half a side; "
             "lattice: "
             "by relative lattice sites and relative displacements from them; anchored: by every particle's "
             "displacement from its lattice site, or from the trap's centre, too; all: one window of all "
             "particles of "
             "a copy, by that displacement alone"},
    {"network", "linear_term", TYPE_CHOICE, AT(network, linear_term), .unit = "", .fallback = "off",
     .choices = "off|on|velocity",
     .help = "on: a linear function of the propulsions and displacements in a window of lattice sites is "
             "added to the "
             "transformer; velocity: of b/v0 = g + F/v0, too, which for eps = 0 is the velocity of a "
             "particle and what "
             "its score depends on. In a crystal this is the whole score"},
    {"network", "site_unit", TYPE_REAL, AT(network, site_unit), .unit = "r0", .fallback = "1", ABOVE(0),
     .help = "windows lattice and anchored see relative lattice sites in units of this"},
    {"network", "displacement_unit", TYPE_REAL, AT(network, displacement_unit), .unit = "r0", .fallback = "1",
     ABOVE(0),
     .help =
         "windows lattice, anchored and all see displacements in units of this; about their size is good"},
    {"network", "scores", TYPE_CHOICE, AT(network, scores), .unit = "", .fallback = "separate",
     .choices = "separate|shared",
     .help =
         "with eps > 0 the scores of x and of g come from two networks (separate) or from two heads of one "
         "(shared)"},
    {"network", "shift", TYPE_CHOICE, AT(network, shift), .unit = "", .fallback = "",
     .choices = "none|force|drift",
     .help = "what is added to the network: none; force, -g to s_g and F/eps to s_x; drift, -g to s_g and "
             "b/eps to s_x. Default none for eps = 0 and for the loss velocity, force for eps > 0"},
    /* ---- response ---- */
    {"response", "hidden", TYPE_INTEGER, AT(network, response.hidden), .unit = "", .fallback = "32",
     BETWEEN(1, 1024), .help = "H, numbers that describe a particle"},
    {"response", "edge", TYPE_INTEGER, AT(network, response.edge), .unit = "", .fallback = "48",
     BETWEEN(1, 1024), .help = "E, hidden width of the network on pairs"},
    {"response", "channels", TYPE_INTEGER, AT(network, response.channels), .unit = "", .fallback = "4",
     BETWEEN(1, 64), .help = "C, vectors that a layer makes"},
    {"response", "layers", TYPE_INTEGER, AT(network, response.layers), .unit = "", .fallback = "2",
     BETWEEN(1, RESPONSE_LAYERS), .help = "layers: each lets a particle see one edge_radius farther"},
    {"response", "shots", TYPE_REALS, AT(network, response.shot),
     .count_offset = offsetof(struct config, network.response.shots), .room = RESPONSE_SHOTS, .unit = "time",
     .fallback = "[1.5, 4, 10, 25]", ABOVE(0),
     .help =
         "times ago at which the forces are evaluated, had every particle kept its velocity; [] for none"},
    {"response", "edge_radius", TYPE_REAL, AT(network, response.edge_radius), .unit = "r0", .fallback = "2.8",
     ABOVE(0), .help = "r_e, distance within which particles see each other in a layer"},
    {"response", "force_tolerance", TYPE_REAL, AT(network, response.force_tolerance), .unit = "",
     .fallback = "1e-9", .least = 1e-14, .most = 0.1,
     .help = "the forces that the network sees are cut where f(r_c) is this"},
    {"response", "window_rate", TYPE_REAL, AT(network, response.constants.window_rate), .unit = "1/r0",
     .fallback = "12", ABOVE(0), .help = "pairs are weighed by logistic(window_rate (window_centre - r))"},
    {"response", "window_centre", TYPE_REAL, AT(network, response.constants.window_centre), .unit = "r0",
     .fallback = "2.65", ABOVE(0), .help = "see window_rate; somewhat below edge_radius"},
    {"response", "density_radius", TYPE_REAL, AT(network, response.density_radius), .unit = "r0",
     .fallback = "5", ABOVE(0), .help = "the local packing fraction is that of a ball of this radius"},
    {"response", "density_shift", TYPE_REAL, AT(network, response.constants.density_shift), .unit = "",
     .fallback = "0.27", ABOVE(0),
     .help = "local packing fractions are seen in units of this, about their mean"},
    {"response", "shot_scale", TYPE_REAL, AT(network, response.constants.shot_scale), .unit = "",
     .fallback = "3000", ABOVE(0),
     .help = "shots are seen times shot_scale / (kappa + shot_offset), kappa the stiffness of a particle's "
             "contacts over "
             "gamma"},
    {"response", "shot_offset", TYPE_REAL, AT(network, response.constants.shot_offset), .unit = "",
     .fallback = "300", ABOVE(0), .help = "see shot_scale"},
    {"response", "shot_guard", TYPE_REAL, AT(network, response.constants.shot_guard), .unit = "r0^2",
     .fallback = "1e-9", ABOVE(0), .help = "added to squared distances in shots"},
    {"response", "lg_floor", TYPE_REAL, AT(network, response.constants.lg_floor), .unit = "",
     .fallback = "0.01", ABOVE(0), .help = "added to squares before their logarithm is taken"},
    {"response", "log_guard", TYPE_REAL, AT(network, response.constants.log_guard), .unit = "",
     .fallback = "1e-6", ABOVE(0), .help = "added to lengths before their logarithm is taken"},
    {"response", "kappa_scale", TYPE_REAL, AT(network, response.constants.kappa_scale), .unit = "",
     .fallback = "4", ABOVE(0), .help = "log(kappa) is seen as log(kappa) / kappa_scale - kappa_shift"},
    {"response", "kappa_shift", TYPE_REAL, AT(network, response.constants.kappa_shift), .unit = "",
     .fallback = "1", FROM(-1000), .help = "see kappa_scale"},
    {"response", "speed_scale", TYPE_REAL, AT(network, response.constants.speed_scale), .unit = "",
     .fallback = "2", ABOVE(0), .help = "lg(kappa |u|^2) is seen divided by this, less speed_shift"},
    {"response", "speed_shift", TYPE_REAL, AT(network, response.constants.speed_shift), .unit = "",
     .fallback = "1", FROM(-1000), .help = "see speed_scale"},
    {"response", "distance_scale", TYPE_REAL, AT(network, response.constants.distance_scale), .unit = "1/r0",
     .fallback = "3", ABOVE(0), .help = "distances are seen as distance_scale (r - distance_shift)"},
    {"response", "distance_shift", TYPE_REAL, AT(network, response.constants.distance_shift), .unit = "r0",
     .fallback = "2", FROM(-1000), .help = "see distance_scale"},
    {"response", "contact_scale", TYPE_REAL, AT(network, response.constants.contact_scale), .unit = "",
     .fallback = "3", ABOVE(0),
     .help = "stiffnesses of pairs are seen as log(1 + kn) / contact_scale - contact_shift"},
    {"response", "contact_shift", TYPE_REAL, AT(network, response.constants.contact_shift), .unit = "",
     .fallback = "2", FROM(-1000), .help = "see contact_scale"},
    {"response", "cross_factor", TYPE_REAL, AT(network, response.constants.cross_factor), .unit = "",
     .fallback = "0.3", ABOVE(0), .help = "factor of products across a pair"},
    {"response", "own_factor", TYPE_REAL, AT(network, response.constants.own_factor), .unit = "",
     .fallback = "0.5", ABOVE(0), .help = "factor of what a pair sees of its receiver alone"},
    {"response", "message_factor", TYPE_REAL, AT(network, response.constants.message_factor), .unit = "",
     .fallback = "0.4", ABOVE(0), .help = "factor of the sum of messages"},
    {"response", "push_factor", TYPE_REAL, AT(network, response.constants.push_factor), .unit = "",
     .fallback = "0.3", ABOVE(0),
     .help = "factor of the part of new vectors that does not depend on old ones"},
    {"response", "across_factor", TYPE_REAL, AT(network, response.constants.across_factor), .unit = "",
     .fallback = "3", ABOVE(0), .help = "factor of the part of new vectors across a pair"},
    {"response", "transfer", TYPE_REAL, AT(network, response.constants.transfer), .unit = "",
     .fallback = "0.5", FROM(0), .help = "what a pair hands on of old vectors before anything is learnt"},
    {"response", "prior", TYPE_REAL, AT(network, response.constants.prior), .unit = "", .fallback = "0.5",
     FROM(0), .help = "the score begins as -g - prior times the harmonic part, sqrt(kappa) q"},
    {"response", "gain", TYPE_REAL, AT(network, response.constants.gain), .unit = "", .fallback = "625",
     ABOVE(0),
     .help = "squared size of the vectors beyond which the score saturates; without shots 9 is good"},
    {"response", "sweeps", TYPE_CHOICE, AT(network, response.sweeps), .unit = "", .fallback = "off",
     .choices = "off|on",
     .help = "on: the network also sees velocities as they relax along the recent past, replayed at the "
             "stiffnesses of then: seven more vectors a particle"},
    {"response", "sweep_interval", TYPE_REAL, AT(network, response.sweep_interval), .unit = "time",
     .fallback = "0.5", ABOVE(0), .help = "time step of the sweeps"},
    {"response", "sweep_intervals", TYPE_INTEGER, AT(network, response.sweep_intervals), .unit = "",
     .fallback = "8", BETWEEN(4, 64),
     .help =
         "time steps of the longest sweep, a multiple of 4: others start halfway and a quarter of it ago"},
    {"response", "sweep_radius", TYPE_REAL, AT(network, response.sweep_radius), .unit = "r0",
     .fallback = "3.1", ABOVE(0), .help = "distance within which particles are in contact in sweeps"},
    {"response", "sweep_reach", TYPE_REAL, AT(network, response.sweep_reach), .unit = "r0", .fallback = "6",
     FROM(0),
     .help = "on several ranks, particles farther than this from those that need sweeps keep their velocity "
             "in them"},
    {"response", "sweep_scale", TYPE_REAL, AT(network, response.sweep_scale), .unit = "", .fallback = "1",
     ABOVE(0),
     .help = "factor of the vectors of the sweeps, which are to be of order 1 in units of 1/sqrt(kappa)"},
    /* ---- training ---- */
    {"training", "trajectories", TYPE_WEIGHTED, AT(training, trajectories),
     .count_offset = offsetof(struct config, training.trajectory_count), .unit = "", .fallback = "[]",
     ABOVE(0),
     .help = "list of {file: PATH, weight: share of the steps}; default: trajectory.h5 of the output folder"},
    {"training", "loss", TYPE_CHOICE, AT(training, loss), .unit = "", .fallback = "denoising",
     .choices = "denoising|score_matching|velocity",
     .help =
         "denoising: antithetic denoising score matching; score_matching: <|s|^2 + 2 div s>, with l_fpe > 0 "
         "the "
         "composite loss; velocity: the flow itself from pairs of successive frames, without a model of the "
         "dynamics"},
    {"training", "l_sm", TYPE_REAL, AT(training, l_sm), .unit = "", .fallback = "1", FROM(0),
     .help = "weight of score matching in the loss score_matching"},
    {"training", "l_fpe", TYPE_REAL, AT(training, l_fpe), .unit = "", .fallback = "0", FROM(0),
     .help =
         "weight of stationarity, (sum_i div v_i + v_i.s_i)^2 / (2 N d), in the loss score_matching; needs "
         "eps > 0. Above 0 a batch is of whole configurations"},
    {"training", "smoothing", TYPE_REAL, AT(training, smoothing), .unit = "", .fallback = "0", .least = 0,
     .most = 10,
     .help = "width of noise (on noise_on) that the loss score_matching adds to its samples: it then learns "
             "the score of "
             "the density smoothed by it"},
    {"training", "divergence", TYPE_CHOICE, AT(training, divergence), .unit = "", .fallback = "exact",
     .choices = "exact|hutchinson",
     .help = "of the loss score_matching: exact, or by one random direction a configuration or particle "
             "(hutchinson; unbiased, cheaper, noisier)"},
    {"training", "optimizer", TYPE_CHOICE, AT(training, optimizer), .unit = "", .fallback = "radam",
     .of_response = "adam", .choices = "radam|adam", .help = "radam, or adam"},
    {"training", "second_decay", TYPE_REAL, AT(training, second_decay), .unit = "", .fallback = "0.999",
     .of_response = "0.99", .least = 0, .most = 1, .open_most = true,
     .help = "b2 of radam and adam: how fast the mean square of the gradient forgets"},
    {"training", "noise_on", TYPE_CHOICE, AT(training, noise_on), .unit = "", .fallback = "",
     .choices = "g|xg",
     .help =
         "which coordinates the denoising noise moves: g, or x and g. Default g for eps = 0, xg for eps > 0, "
         "where there is a score of x to learn"},
    {"training", "noise", TYPE_CHOICE, AT(training, noise), .unit = "", .fallback = "gaussian",
     .of_response = "rademacher", .choices = "gaussian|rademacher",
     .help = "each component of the noise, in units of its width: gaussian, or 1 or -1 (rademacher), with "
             "which losses "
             "vary less; the scores that are learnt agree where the width is small"},
    {"training", "sigma", TYPE_REAL, AT(training, sigma), .unit = "", .fallback = "0.01",
     .of_response = "1e-3", .least = 0, .open_least = true, .most = 10,
     .help = "width of the denoising noise"},
    {"training", "batch", TYPE_INTEGER, AT(training, batch), .unit = "particles", .fallback = "1024",
     .of_response = "16777216", BETWEEN(1, 1 << 24),
     .help =
         "particles of each frame in a step, over all ranks; at most all of the frame, which is what a graph "
         "is computed for in any case"},
    {"training", "frames_per_step", TYPE_INTEGER, AT(training, frames_per_step), .unit = "", .fallback = "1",
     .of_response = "4", BETWEEN(1, 65536),
     .help =
         "frames in a step, each drawn anew, by the weights of trajectories; the step's loss is the mean of "
         "theirs"},
    {"training", "weighting", TYPE_CHOICE, AT(training, weighting), .unit = "", .fallback = "none",
     .of_response = "stiffness", .choices = "none|stiffness",
     .help = "of particles in the loss denoising with eps = 0: none, or stiffness, 1 / (weighting_offset - "
             "div_x F / (d gamma)), so that the large scores of stiff contacts do not outweigh the rest"},
    {"training", "weighting_offset", TYPE_REAL, AT(training, weighting_offset), .unit = "",
     .fallback = "1000", ABOVE(0), .help = "see weighting"},
    {"training", "steps", TYPE_LONG, AT(training, steps), .unit = "", .fallback = "500000",
     .of_response = "1000", BETWEEN(1, 1e12), .help = "training steps, the warm-up included"},
    {"training", "warm_up", TYPE_LONG, AT(training, warm_up), .unit = "steps", .fallback = "10000",
     .of_response = "100", BETWEEN(0, 1e12), .help = "steps over which the rate rises to its peak"},
    {"training", "rate", TYPE_REAL, AT(training, rate), .unit = "", .fallback = "1e-5", .of_response = "3e-3",
     .least = 0, .open_least = true, .most = 10,
     .help = "peak learning rate; a cosine takes it to final_rate at the last step"},
    {"training", "final_rate", TYPE_REAL, AT(training, final_rate), .unit = "", .fallback = "0",
     .of_response = "0.02", BETWEEN(0, 1), .help = "learning rate of the last step, as a fraction of rate"},
    {"training", "clip", TYPE_REAL, AT(training, clip), .unit = "", .fallback = "1", .of_response = "0.5",
     FROM(0), .help = "largest global norm of the gradient; 0: not clipped"},
    {"training", "average", TYPE_REAL, AT(training, average), .unit = "", .fallback = "0.9999",
     .of_response = "0.995", .least = 0, .most = 1, .open_most = true,
     .help = "decay of the weights' moving average"},
    {"training", "held_out", TYPE_REAL, AT(training, held_out), .unit = "", .fallback = "0.25", .least = 0,
     .most = 1, .open_most = true,
     .help = "share of every trajectory's frames, its last ones, that training never sees"},
    {"training", "test_interval", TYPE_LONG, AT(training, test_interval), .unit = "steps", .fallback = "0",
     BETWEEN(0, 1e12), .help = "steps between tests on held-out frames; 0: only at the end"},
    {"training", "test_particles", TYPE_INTEGER, AT(training, test_particles), .unit = "particles",
     .fallback = "4096", BETWEEN(0, 1 << 30), .help = "particles of each held-out frame in a test; 0: all"},
    {"training", "checkpoint_interval", TYPE_REAL, AT(training, checkpoint_interval), .unit = "minutes",
     .fallback = "10", FROM(0), .help = "wall-clock time between checkpoints of the model"},
    {"training", "loss_limit", TYPE_REAL, AT(training, loss_limit), .unit = "", .fallback = "0.5", FROM(0),
     .help =
         "a training has diverged where each of 100 losses in a row is above the best mean of 100 by so many "
         "times that mean or the spread of losses, whichever is more; 0: never"},
    {"training", "retries", TYPE_INTEGER, AT(training, retries), .unit = "", .fallback = "0",
     BETWEEN(0, 1000),
     .help = "times that a training whose numbers go wrong, or that diverges, goes back and on at a smaller "
             "rate"},
    {"training", "retry_factor", TYPE_REAL, AT(training, retry_factor), .unit = "", .fallback = "0.5",
     .least = 0, .open_least = true, .most = 1, .open_most = true,
     .help = "what rate is multiplied by in each retry"},
    {"training", "retry_interval", TYPE_LONG, AT(training, retry_interval), .unit = "steps",
     .fallback = "1000", .of_response = "100", BETWEEN(1, 1e12),
     .help = "steps between the states that a retry goes back to"},
    {"training", "seed", TYPE_SEED, AT(training, seed), .unit = "", .fallback = "1",
     BETWEEN(0, 1.8446744073709551e19), .help = "seed of initial weights, batches and noise"},
    /* ---- evaluation ---- */
    {"evaluation", "trajectories", TYPE_FILES, AT(evaluation, trajectories),
     .count_offset = offsetof(struct config, evaluation.trajectory_count), .unit = "", .fallback = "[]",
     .help = "trajectories to evaluate, of one system; default: trajectory.h5 of the output folder"},
    {"evaluation", "models", TYPE_FILES, AT(evaluation, models),
     .count_offset = offsetof(struct config, evaluation.model_count), .unit = "", .fallback = "[]",
     .help = "the model; default: model.h5 of the output folder"},
    {"evaluation", "frames", TYPE_CHOICE, AT(evaluation, frames), .unit = "", .fallback = "held_out",
     .choices = "held_out|all",
     .help = "held_out: the last frames, as training.held_out of the model says; or all"},
    {"evaluation", "weights", TYPE_CHOICE, AT(evaluation, weights), .unit = "", .fallback = "average",
     .choices = "average|current", .help = "the moving average of the weights, or the last ones"},
    {"evaluation", "probes", TYPE_INTEGER, AT(evaluation, probes), .unit = "", .fallback = "2",
     BETWEEN(1, 1000),
     .help = "random directions by which the divergences of the response network are estimated, without "
             "bias; two or more "
             "tell their own error"},
    {"evaluation", "grid", TYPE_REAL, AT(evaluation, grid), .unit = "r0", .fallback = "1", ABOVE(0),
     .help = "spacing of the fields"},
    {"evaluation", "smoothing", TYPE_REAL, AT(evaluation, smoothing), .unit = "r0", .fallback = "2", FROM(0),
     .help = "width of the Gaussian that a particle is spread over"},
    {"evaluation", "interface_density", TYPE_REAL, AT(evaluation, interface_density), .unit = "",
     .fallback = "0.5", ABOVE(0), .help = "packing fraction of the contour between gas and dense phase"},
    {"evaluation", "interface_width", TYPE_REAL, AT(evaluation, interface_width), .unit = "r0",
     .fallback = "4", FROM(0), .help = "particles this near to the contour are the interface"},
    {"evaluation", "profile_extent", TYPE_REAL, AT(evaluation, profile_extent), .unit = "r0",
     .fallback = "20", ABOVE(0), .help = "profiles reach this far on both sides of the interface"},
    {"evaluation", "profile_bin", TYPE_REAL, AT(evaluation, profile_bin), .unit = "r0", .fallback = "1",
     ABOVE(0), .help = "width of a bin of the profiles"},
    {"evaluation", "contact_distance", TYPE_REAL, AT(evaluation, contact_distance), .unit = "r0",
     .fallback = "2.5", .least = 0, .open_least = true, .most = 5,
     .help = "particles nearer than this are in contact, where results are told apart by contacts"},
    /* ---- data, output, run ---- */
    {"data", "position", TYPE_TEXT, AT(data, position), .unit = "", .fallback = "",
     .help = "H5MD element with the positions, in trajectories that epflow did not write: "
             "particles/all/position. Default: trajectories are epflow's own"},
    {"data", "propulsion", TYPE_TEXT, AT(data, propulsion), .unit = "", .fallback = "",
     .help = "H5MD element with one vector per particle, g, in trajectories that epflow did not write: "
             "particles/all/director"},
    {"output", "directory", TYPE_TEXT, AT(output, directory), .unit = "", .fallback = NULL,
     .help = "folder of all results; made if it is not there"},
    {"run", "device", TYPE_CHOICE, AT(run, device), .unit = "", .fallback = "auto",
     .choices = "auto|cpu|cuda", .help = "where to compute; auto takes the best there is"},
    {"run", "precision", TYPE_CHOICE, AT(run, precision), .unit = "", .fallback = "float32",
     .choices = "float32|tf32|bf16",
     .help =
         "on a GPU, what the factors of a network's matrix products are rounded to; sums, weights and all "
         "else are float32"},
    {"run", "simd", TYPE_CHOICE, AT(run, simd), .unit = "", .fallback = "auto",
     .choices = "auto|plain|avx2|avx512",
     .help = "instructions that loops use on the CPU; auto takes the best there are. Trajectories are the "
             "same bits with any, networks the same to rounding, and plain is AVX2 for them"},
    {"run", "chunk", TYPE_INTEGER, AT(run, chunk), .unit = "tokens", .fallback = "0", BETWEEN(0, 1 << 24),
     .help = "network rows computed at once, which bounds the memory; 0: as many as suit the device, 1040 on "
             "a CPU"},
    {"run", "walltime", TYPE_REAL, AT(run, walltime), .unit = "minutes", .fallback = "0", FROM(0),
     .help =
         "a run stops before so much wall-clock time is over, with a restart written; 0: no limit but the "
         "end of a Slurm job (SLURM_JOB_END_TIME)"},
};

const int parameter_count = sizeof parameter_table / sizeof *parameter_table;
