/* Parameters: defaults, what is read, settings, derived numbers. */
#include "unit/config_texts.h"

/* ---- reading ---- */

static void defaults(void **state) {
    (void)state;
    struct config c = parse(GOOD, 1, (const char *const[]){"network.kind=window"}), zero = {0};
    const struct system_parameters system = {.kind = SYSTEM_AOUP,
                                             .dimension = 2,
                                             .particles = 1024,
                                             .packing_fraction = 0.5,
                                             .v0 = 0.025,
                                             .k = 1,
                                             .beta = 7.5,
                                             .gamma = 1e-4,
                                             .copies = 1,
                                             .spring = 1,
                                             .alignment_radius = 3};
    assert_memory_equal(&c.system, &system, sizeof system);
    assert_string_equal(c.simulation.start, "random");
    const double simulation[] = {
        c.simulation.dt,   c.simulation.burn_in,          c.simulation.frame_interval,
        c.simulation.skin, c.simulation.cutoff_tolerance, c.simulation.restart_interval};
    const double expected[] = {0.1, 2e5, 1e3, 0, 1e-5, 10};
    assert_memory_equal(simulation, expected, sizeof expected);
    assert_int_equal(c.simulation.frames, 20);
    assert_int_equal(c.simulation.seed, 1);
    const struct network_parameters network = {.kind = NETWORK_WINDOW,
                                               .width = 256,
                                               .hidden = 256,
                                               .feed_forward = 256,
                                               .heads = 4,
                                               .blocks = 4,
                                               .layers = 4,
                                               .neighbours = 64,
                                               .site_unit = 1,
                                               .displacement_unit = 1,
                                               .response = {.hidden = 32,
                                                            .edge = 48,
                                                            .channels = 4,
                                                            .layers = 2,
                                                            .shots = 4,
                                                            .shot = {1.5, 4, 10, 25},
                                                            .edge_radius = 2.8,
                                                            .force_tolerance = 1e-9,
                                                            .density_radius = 5,
                                                            .constants = {.window_rate = 12,
                                                                          .window_centre = 2.65,
                                                                          .density_shift = 0.27,
                                                                          .shot_scale = 3000,
                                                                          .shot_offset = 300,
                                                                          .shot_guard = 1e-9,
                                                                          .lg_floor = 0.01,
                                                                          .log_guard = 1e-6,
                                                                          .gain = 625,
                                                                          .kappa_scale = 4,
                                                                          .kappa_shift = 1,
                                                                          .speed_scale = 2,
                                                                          .speed_shift = 1,
                                                                          .distance_scale = 3,
                                                                          .distance_shift = 2,
                                                                          .contact_scale = 3,
                                                                          .contact_shift = 2,
                                                                          .cross_factor = 0.3,
                                                                          .own_factor = 0.5,
                                                                          .message_factor = 0.4,
                                                                          .push_factor = 0.3,
                                                                          .across_factor = 3,
                                                                          .transfer = 0.5,
                                                                          .prior = 0.5},
                                                            .sweeps = RESPONSE_SWEEPS_OFF,
                                                            .sweep_intervals = 8,
                                                            .sweep_interval = 0.5,
                                                            .sweep_radius = 3.1,
                                                            .sweep_reach = 6,
                                                            .sweep_scale = 1}};
    assert_memory_equal(&c.network, &network, sizeof network);
    struct training_parameters training = zero.training;
    training.loss = LOSS_DENOISING;
    training.l_sm = 1;
    training.noise_on = NOISE_ON_G;
    training.sigma = 0.01;
    training.batch = 1024;
    training.frames_per_step = 1;
    training.weighting_offset = 1000;
    training.steps = 500000;
    training.warm_up = 10000;
    training.rate = 1e-5;
    training.second_decay = 0.999;
    training.clip = 1;
    training.average = 0.9999;
    training.held_out = 0.25;
    training.test_particles = 4096;
    training.checkpoint_interval = 10;
    training.loss_limit = 0.5;
    training.retry_factor = 0.5;
    training.retry_interval = 1000;
    training.seed = 1;
    assert_memory_equal(&c.training, &training, sizeof training);
    struct evaluation_parameters evaluation = zero.evaluation;
    evaluation.frames = FRAMES_HELD_OUT;
    evaluation.weights = WEIGHTS_AVERAGE;
    evaluation.grid = 1;
    evaluation.smoothing = 2;
    evaluation.interface_density = 0.5;
    evaluation.interface_width = 4;
    evaluation.profile_extent = 20;
    evaluation.profile_bin = 1;
    evaluation.contact_distance = 2.5;
    evaluation.probes = 2;
    assert_memory_equal(&c.evaluation, &evaluation, sizeof evaluation);
    assert_string_equal(c.output.directory, "out");
    assert_int_equal(c.run.device, DEVICE_AUTO);
    assert_int_equal(c.run.chunk, 0);
}

static void computed_defaults(void **state) {
    (void)state;
    const char *slow[] = {"system.gamma=0.1", "system.eps=0.01"},
               *fast[] = {"system.gamma=0.1", "system.eps=5"};
    struct config c = parse(GOOD, 2, slow);
    assert_true(c.simulation.burn_in == 20 / 0.01 && c.simulation.frame_interval == 0.1 / 0.1);
    c = parse(GOOD, 2, fast);
    assert_true(c.simulation.burn_in == 20 / 0.1);
    const char *none[] = {"simulation.burn_in=0"};
    c = parse(GOOD, 1, none);
    assert_true(c.simulation.burn_in == 0);
    assert_int_equal(config_burn_in_steps(&c), 0);
}

/* Fine steps before frames: where they suit the system and fit. */
static void computed_refine(void **state) {
    (void)state;
    static const struct {
        const char *setting[3];
        double refine, refine_dt;
    } want[] = {
        {{"system.v0=1", "system.k=1", "output.directory=out"}, 10, 0.04},
        {{"system.v0=1", "system.k=0.5", "output.directory=out"}, 20, 0.08},
        {{"system.v0=1", "system.k=4", "output.directory=out"}, 2.5, 0.01},
        {{"simulation.dt=0.02", "system.k=1", "output.directory=out"}, 10, 0.02},
        {{"system.v0=1", "system.k=0", "output.directory=out"}, 0, 0.04},
        {{"system.eps=1e-3", "system.k=1", "output.directory=out"}, 0, 0.04},
        {{"simulation.frame_interval=10", "system.k=1", "output.directory=out"}, 0, 0.04},
        {{"simulation.frame_interval=10.1", "system.k=1", "output.directory=out"}, 10, 0.04},
        {{"simulation.burn_in=9.9", "system.k=1", "output.directory=out"}, 0, 0.04},
        {{"simulation.burn_in=10", "system.k=1", "output.directory=out"}, 10, 0.04},
        {{"simulation.refine=3", "simulation.refine_dt=0.01", "output.directory=out"}, 3, 0.01},
        {{"simulation.refine=0", "system.k=1", "output.directory=out"}, 0, 0.04},
        {{"system.kind=crystal", "simulation.dt=0.05", "output.directory=out"}, 0, 0.02},
        {{"system.kind=crystal", "simulation.dt=0.05", "simulation.refine=2"}, 2, 0.02},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct config c = parse(GOOD, 3, want[i].setting);
        assert_below(fabs(c.simulation.refine - want[i].refine), 1e-12);
        assert_below(fabs(c.simulation.refine_dt - want[i].refine_dt), 1e-12);
    }
    struct config c =
        parse("system: {particles: 1024, box: 1000, trap: 0.1}\noutput: {directory: out}\n", 0, NULL);
    assert_true(c.simulation.refine == 0);
    /* a run that does not speak of fine steps had none */
    const char *recorded[] = {"system.particles=1024", "system.box=1000", "output.directory=out"};
    assert_int_equal(config_restore("a.h5", 3, recorded, &c), STATUS_OK);
    assert_true(c.simulation.refine == 0);
}

/* What follows from eps and from the loss, if it is not given. */
static void computed_learning(void **state) {
    (void)state;
    static const struct {
        const char *setting[2];
        enum score_shift shift;
        enum noise_target noise_on;
    } want[] = {
        {{"system.eps=0", "system.v0=1"}, SHIFT_NONE, NOISE_ON_G},
        {{"system.eps=0.01", "system.v0=1"}, SHIFT_FORCE, NOISE_ON_XG},
        {{"system.eps=0.01", "network.shift=none"}, SHIFT_NONE, NOISE_ON_XG},
        {{"system.eps=0.01", "network.shift=drift"}, SHIFT_DRIFT, NOISE_ON_XG},
        {{"system.eps=0", "network.shift=force"}, SHIFT_FORCE, NOISE_ON_G},
        {{"system.eps=0", "training.noise_on=xg"}, SHIFT_NONE, NOISE_ON_XG},
        {{"system.eps=0.01", "training.loss=score_matching"}, SHIFT_FORCE, NOISE_ON_XG},
        {{"system.eps=0.01", "training.loss=velocity"}, SHIFT_NONE, NOISE_ON_G},
        {{"training.loss=velocity", "network.shift=none"}, SHIFT_NONE, NOISE_ON_G},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct config c = parse(GOOD, 2, want[i].setting);
        assert_int_equal(c.network.shift, want[i].shift);
        assert_int_equal(c.training.noise_on, want[i].noise_on);
    }
}

/* The response network is the default where it applies and nothing of windows is asked for. */
static void usual_network(void **state) {
    (void)state;
    static const struct {
        const char *setting;
        enum network_kind kind;
    } want[] = {
        {"system.gamma=1e-2", NETWORK_RESPONSE},
        {"network.kind=window", NETWORK_WINDOW},
        {"system.eps=0.1", NETWORK_WINDOW},
        {"system.particles=15", NETWORK_WINDOW}, /* a box of less than twice what the network looks at */
        {"network.neighbours=32", NETWORK_WINDOW},
        {"training.loss=velocity", NETWORK_WINDOW},
        {"training.noise_on=xg", NETWORK_WINDOW},
        {"training.rate=1e-4", NETWORK_RESPONSE},
        {"response.layers=3", NETWORK_RESPONSE}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(parse(GOOD, 1, &want[i].setting).network.kind, want[i].kind);
    assert_int_equal(parse(GOOD, 0, NULL).network.kind, NETWORK_RESPONSE);
}

/* The keys whose defaults go with network.kind. */
static const struct training_parameters of_kind[] = {
    [NETWORK_WINDOW] = {.optimizer = OPTIMIZER_RADAM,
                        .second_decay = 0.999,
                        .sigma = 0.01,
                        .noise = NOISE_GAUSSIAN,
                        .frames_per_step = 1,
                        .weighting = WEIGHTING_NONE,
                        .steps = 500000,
                        .warm_up = 10000,
                        .rate = 1e-5,
                        .final_rate = 0,
                        .clip = 1,
                        .average = 0.9999},
    [NETWORK_RESPONSE] = {.optimizer = OPTIMIZER_ADAM,
                          .second_decay = 0.99,
                          .sigma = 1e-3,
                          .noise = NOISE_RADEMACHER,
                          .frames_per_step = 4,
                          .weighting = WEIGHTING_STIFFNESS,
                          .steps = 1000,
                          .warm_up = 100,
                          .rate = 3e-3,
                          .final_rate = 0.02,
                          .clip = 0.5,
                          .average = 0.995},
};

static void assert_recipe(const struct training_parameters *t, const struct training_parameters *want) {
    assert_true(t->optimizer == want->optimizer && t->second_decay == want->second_decay);
    assert_true(t->sigma == want->sigma && t->noise == want->noise);
    assert_true(t->frames_per_step == want->frames_per_step && t->weighting == want->weighting);
    assert_true(t->steps == want->steps && t->warm_up == want->warm_up);
    assert_true(t->rate == want->rate && t->final_rate == want->final_rate);
    assert_true(t->clip == want->clip && t->average == want->average);
}

/* Keys that the input does not give follow network.kind, wherever and in whatever order that is given. */
static void defaults_of_kinds(void **state) {
    (void)state;
    static const char *const response[] = {"network.kind=response"},
                             *const window[] = {"network.kind=window"},
                             *const some[] = {"training.rate=1e-5", "training.optimizer=radam",
                                              "training.weighting=none", "network.kind=response"};
    static const char text[] = GOOD "training: {steps: 70000, noise: gaussian}\nnetwork: {kind: response}\n";
    struct config c = parse(GOOD, 1, window);
    assert_recipe(&c.training, &of_kind[NETWORK_WINDOW]);
    c = parse(GOOD, 0, NULL);
    assert_recipe(&c.training, &of_kind[NETWORK_RESPONSE]);
    c = parse(GOOD, 1, response);
    assert_recipe(&c.training, &of_kind[NETWORK_RESPONSE]);
    struct training_parameters want = of_kind[NETWORK_RESPONSE];
    want.rate = 1e-5;
    want.optimizer = OPTIMIZER_RADAM;
    want.weighting = WEIGHTING_NONE;
    c = parse(GOOD, 4, some);
    assert_recipe(&c.training, &want);
    want = of_kind[NETWORK_RESPONSE];
    want.steps = 70000;
    want.noise = NOISE_GAUSSIAN;
    c = parse(text, 0, NULL);
    assert_recipe(&c.training, &want);
    want = of_kind[NETWORK_WINDOW];
    want.steps = 70000;
    c = parse(text, 1, window);
    assert_recipe(&c.training, &want);
    /* what a file does not have, too */
    static const char *const recorded[] = {"system.particles=64",  "system.box=100",
                                           "output.directory=out", "network.kind=response",
                                           "training.sigma=0.5",   "training.clip=1"};
    want = of_kind[NETWORK_RESPONSE];
    want.sigma = 0.5;
    want.clip = 1;
    assert_int_equal(config_restore("a.h5", 6, recorded, &c), STATUS_OK);
    assert_recipe(&c.training, &want);
}

/* Small systems have fewer neighbours than the default. */
static void fewer_neighbours(void **state) {
    (void)state;
    static const struct {
        const char *setting[2];
        int neighbours;
    } want[] = {{{"system.particles=2", "system.v0=1"}, 1},
                {{"system.particles=64", "system.v0=1"}, 63},
                {{"system.particles=65", "system.v0=1"}, 64},
                {{"system.particles=66", "system.v0=1"}, 64},
                {{"system.particles=64", "network.neighbours=7"}, 7}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct config c = parse("system: {box: 100}\nsimulation: {refine: 0}\noutput: {directory: out}\n", 2,
                                want[i].setting);
        assert_int_equal(c.network.neighbours, want[i].neighbours);
        struct config again;
        const char *recorded[] = {want[i].setting[0], "system.box=100", "output.directory=out",
                                  want[i].setting[1]};
        assert_int_equal(config_restore("a.h5", 4, recorded, &again), STATUS_OK);
        assert_same(&c, &again);
    }
}

static void every_key(void **state) {
    (void)state;
    struct config c = parse(everything, 0, NULL);
    assert_int_equal(c.system.dimension, 3);
    assert_int_equal(c.system.particles, 100000);
    assert_int_equal(c.system.box_sides, 3);
    assert_true(c.system.box[0] == 30.000000000000004 && c.system.box[1] == 62 && c.system.box[2] == 100);
    assert_true(c.system.gamma == 0.3333333333333333 && c.system.v0 == 0.3);
    assert_true(c.simulation.dt == 0.05 && c.simulation.refine_dt == 0.03);
    assert_string_equal(c.simulation.start, "some folder/a.h5@last");
    assert_true(c.simulation.seed == UINT64_MAX);
    assert_true(c.training.seed == 9007199254740993);
    assert_int_equal(c.training.steps, 1000000000000);
    assert_int_equal(c.training.trajectory_count, 3);
    assert_true(c.training.trajectories[0].weight == 0.30000000000000004 &&
                c.training.trajectories[1].weight == 1);
    assert_string_equal(c.training.trajectories[1].file, "it's: # {here}.h5");
    assert_string_equal(c.training.trajectories[2].file, "c.h5");
    assert_int_equal(c.training.noise_on, NOISE_ON_XG);
    assert_int_equal(c.evaluation.trajectory_count, 2);
    assert_string_equal(c.evaluation.trajectories[1], "y.h5");
    assert_string_equal(c.evaluation.models[0], "m.h5");
    assert_int_equal(c.evaluation.frames, FRAMES_ALL);
    assert_int_equal(c.evaluation.weights, WEIGHTS_CURRENT);
    assert_string_equal(c.output.directory, "runs/über");
    assert_int_equal(c.run.device, DEVICE_CPU);
}

static void keys_of_crystals(void **state) {
    (void)state;
    struct config c = parse(crystal, 0, NULL);
    assert_int_equal(c.system.kind, SYSTEM_CRYSTAL);
    assert_int_equal(c.system.copies, 5);
    assert_int_equal(config_total(&c.system), 320);
    assert_true(c.system.spring == 0.3 && c.system.tether == 0.7);
    assert_int_equal(c.system.spring_kind, SPRING_LONGITUDINAL);
    assert_int_equal(c.network.window, WINDOW_LATTICE);
    assert_int_equal(c.network.scores, SCORES_SHARED);
    assert_int_equal(c.network.shift, SHIFT_DRIFT);
    assert_int_equal(c.training.loss, LOSS_SCORE_MATCHING);
    assert_true(c.training.l_sm == 0.25 && c.training.smoothing == 0.05);
    assert_int_equal(c.training.divergence, DIVERGENCE_HUTCHINSON);
    assert_int_equal(c.training.optimizer, OPTIMIZER_ADAM);
    static const char *const other[] = {"system.spring_kind=isotropic", "network.scores=separate",
                                        "training.divergence=exact", "training.optimizer=radam",
                                        "network.window=all"};
    c = parse(crystal, 5, other);
    assert_int_equal(c.system.spring_kind, SPRING_ISOTROPIC);
    assert_int_equal(c.network.scores, SCORES_SEPARATE);
    assert_int_equal(c.training.divergence, DIVERGENCE_EXACT);
    assert_int_equal(c.training.optimizer, OPTIMIZER_RADAM);
    assert_int_equal(c.network.window, WINDOW_ALL);
}

static void keys_of_data(void **state) {
    (void)state;
    struct config c = parse(unknown, 0, NULL);
    assert_int_equal(c.system.kind, SYSTEM_UNKNOWN);
    assert_int_equal(c.network.window, WINDOW_ANCHORED);
    assert_int_equal(c.training.loss, LOSS_VELOCITY);
    assert_string_equal(c.data.position, "particles/all/position");
    assert_string_equal(c.data.propulsion, "observables/some thing/value");
    const char *none[] = {"data.position=", "data.propulsion="};
    c = parse(unknown, 2, none);
    assert_string_equal(c.data.position, "");
    assert_string_equal(c.data.propulsion, "");
    const char *around[] = {"network.window=periodic"};
    c = parse(unknown, 1, around);
    assert_int_equal(c.network.window, WINDOW_PERIODIC);
    c = parse(trapped, 0, NULL);
    assert_int_equal(c.network.window, WINDOW_ALL);
    assert_int_equal(c.training.noise_on, NOISE_ON_XG);
}

/* The same parameters, written otherwise. */
static void style_does_not_matter(void **state) {
    (void)state;
    struct config a = parse(GOOD, 0, NULL);
    struct config b = parse(
        "# comment\n---\noutput:\n    directory: 'out'\nrun:\nsystem:\n  packing_fraction: 5e-1   # half\n"
        "  particles: 1.024e3\n...\n",
        0, NULL);
    assert_same(&a, &b);
}

static void most_files(void **state) {
    (void)state;
    char text[4096] = GOOD "evaluation: {trajectories: [f0";
    for (int i = 1; i < CONFIG_FILES; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", f%d", i);
    const size_t end = strlen(text);
    strcpy(text + end, "]}\n");
    struct config c = parse(text, 0, NULL);
    assert_int_equal(c.evaluation.trajectory_count, CONFIG_FILES);
    assert_string_equal(c.evaluation.trajectories[CONFIG_FILES - 1], "f31");
    strcpy(text + end, ", more]}\n");
    assert_int_equal(config_parse("a.yaml", text, 0, NULL, &c), STATUS_BAD_INPUT);
    assert_string_equal(status_message(), "a.yaml:3: evaluation.trajectories has more than 32 entries");
}

/* ---- settings ---- */

static void settings_override(void **state) {
    (void)state;
    const char *settings[] = {"system.particles=2000",
                              "system.particles=4096",
                              "output.directory=runs/a: b #1 [x]",
                              "training.trajectories=[{file: z.h5, weight: 3}]",
                              "evaluation.trajectories=[]",
                              "system.box=[70]",
                              "simulation.start=\"b.h5@7\"",
                              "training.seed=5"};
    struct config c = parse(everything, 8, settings), plain = parse(everything, 0, NULL);
    assert_int_equal(c.system.particles, 4096);
    assert_string_equal(c.output.directory, "runs/a: b #1 [x]");
    assert_string_equal(c.simulation.start, "b.h5@7");
    assert_int_equal(c.training.seed, 5);
    assert_int_equal(c.training.trajectory_count, 1);
    assert_true(c.training.trajectories[0].weight == 3);
    assert_int_equal(c.system.box_sides, 1);
    /* nothing of the file's lists is left behind */
    const struct file_choice nothing[CONFIG_FILES - 1] = {0};
    assert_memory_equal(&c.training.trajectories[1], nothing, sizeof nothing);
    assert_int_equal(c.evaluation.trajectory_count, 0);
    assert_string_equal(c.evaluation.trajectories[0], "");
    assert_true(c.system.box[1] == 0 && c.system.box[2] == 0);
    /* and the rest is as it was */
    assert_memory_equal(&c.network, &plain.network, sizeof plain.network);
    assert_memory_equal(&c.run, &plain.run, sizeof plain.run);
    assert_true(c.training.sigma == plain.training.sigma);
}

static void settings_alone(void **state) {
    (void)state;
    const char *settings[] = {"system.particles=1024", "system.packing_fraction=0.5", "output.directory=out"};
    struct config a = parse("", 3, settings), b = parse(GOOD, 0, NULL);
    assert_same(&a, &b);
}

/* ---- derived ---- */

static void cutoff(void **state) {
    (void)state;
    static const double betas[] = {0.5, 7.5, 100, 1000}, tolerances[] = {1e-14, 1e-5, 0.1};
    for (int b = 0; b < 4; b++)
        for (int t = 0; t < 3; t++) {
            struct system_parameters system = {.beta = betas[b]};
            struct simulation_parameters simulation = {.cutoff_tolerance = tolerances[t]};
            double r = config_cutoff(&system, &simulation);
            double force = log1p(exp(betas[b] * (2 - r))) / betas[b];
            assert_below(fabs(force / tolerances[t] - 1), 1e-10);
        }
}

static void box(void **state) {
    (void)state;
    double side[MAX_DIMENSION];
    static const double volume[] = {0, 2, 3.14159265358979, 4.18879020478639}; /* of a ball of radius 1 */
    for (int d = 1; d <= 3; d++) {
        struct system_parameters s = {.dimension = d, .particles = 1000, .packing_fraction = 0.3};
        config_box(&s, side);
        assert_below(fabs(1000 * volume[d] / pow(side[0], d) - 0.3), 1e-12);
        for (int a = 0; a < MAX_DIMENSION; a++)
            assert_true(side[a] == (a < d ? side[0] : 0));
        assert_below(fabs(config_packing_fraction(&s) - 0.3), 1e-12);
    }
    struct system_parameters s = {.dimension = 2, .particles = 100, .box_sides = 2, .box = {20, 50}};
    config_box(&s, side);
    assert_true(side[0] == 20 && side[1] == 50 && side[2] == 0);
    assert_below(fabs(config_packing_fraction(&s) - 0.314159265358979), 1e-12);
    assert_false(config_is_open(&s));
    s.trap = 1;
    assert_true(config_is_open(&s));
}

static void steps(void **state) {
    (void)state;
    const char *settings[] = {"simulation.dt=0.1", "simulation.burn_in=1000.3",
                              "simulation.frame_interval=0.3"};
    struct config c = parse(GOOD, 3, settings);
    assert_int_equal(config_burn_in_steps(&c), 10003);
    assert_int_equal(config_interval_steps(&c), 3);
    assert_int_equal(config_refine_steps(&c), 0);
    assert_int_equal(config_fine_steps(&c), 0);
    const char *refined[] = {"simulation.dt=0.1", "simulation.refine=1.02", "simulation.refine_dt=0.04"};
    c = parse(GOOD, 3, refined);
    assert_int_equal(config_refine_steps(&c), 10);
    assert_int_equal(config_fine_steps(&c), 25); /* 1 / 25 = 0.04 */
    refined[2] = "simulation.refine_dt=0.039";
    c = parse(GOOD, 3, refined);
    assert_int_equal(config_fine_steps(&c), 26);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults),
                                       cmocka_unit_test(computed_defaults),
                                       cmocka_unit_test(computed_learning),
                                       cmocka_unit_test(defaults_of_kinds),
                                       cmocka_unit_test(usual_network),
                                       cmocka_unit_test(computed_refine),
                                       cmocka_unit_test(fewer_neighbours),
                                       cmocka_unit_test(every_key),
                                       cmocka_unit_test(keys_of_crystals),
                                       cmocka_unit_test(keys_of_data),
                                       cmocka_unit_test(style_does_not_matter),
                                       cmocka_unit_test(most_files),
                                       cmocka_unit_test(settings_override),
                                       cmocka_unit_test(settings_alone),
                                       cmocka_unit_test(cutoff),
                                       cmocka_unit_test(box),
                                       cmocka_unit_test(steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
