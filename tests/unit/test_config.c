/* Parameters: defaults, what is read, that printing reads back to the same bytes, settings, derived numbers. */
#include "test.h"

#include <unistd.h>

#include "base/config.h"

#define GOOD "system: {particles: 1024, packing_fraction: 0.5}\noutput: {directory: out}\n"

static struct config parse(const char *text, int count, const char *const settings[]) {
    static struct config config;
    status_clear();
    memset(&config, 0x5a, sizeof config); /* reading does not depend on what was there */
    if (config_parse("a.yaml", text, count, settings, &config) != STATUS_OK)
        fail_msg("refused: %s", status_message());
    return config;
}

static void assert_same(const struct config *a, const struct config *b) {
    assert_memory_equal(a, b, sizeof *a);
}

/* ---- reading ---- */

static void defaults(void **state) {
    (void)state;
    struct config c = parse(GOOD, 0, NULL), zero = {0};
    const struct system_parameters system = {.kind = SYSTEM_AOUP,
                                             .dimension = 2,
                                             .particles = 1024,
                                             .packing_fraction = 0.5,
                                             .v0 = 0.025,
                                             .k = 1,
                                             .beta = 7.5,
                                             .gamma = 1e-4,
                                             .copies = 1,
                                             .spring = 1};
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
                                               .neighbours = 64};
    assert_memory_equal(&c.network, &network, sizeof network);
    struct training_parameters training = zero.training;
    training.loss = LOSS_DENOISING;
    training.l_sm = 1;
    training.noise_on = NOISE_ON_G;
    training.sigma = 0.01;
    training.batch = 1024;
    training.steps = 500000;
    training.warm_up = 10000;
    training.rate = 1e-5;
    training.clip = 1;
    training.average = 0.9999;
    training.held_out = 0.25;
    training.test_particles = 4096;
    training.checkpoint_interval = 10;
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
    assert_memory_equal(&c.evaluation, &evaluation, sizeof evaluation);
    assert_string_equal(c.output.directory, "out");
    assert_int_equal(c.run.device, DEVICE_AUTO);
    assert_int_equal(c.run.chunk, 1040);
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

static const char everything[] =
    "system: {kind: aoup, dimension: 3, particles: 1e5, box: [30.000000000000004, 62, 1.0e2], v0: .3, k: 2, "
    "beta: 5, trap: 0,\n"
    "         gamma: 0.3333333333333333, eps: 1e-3}\n"
    "simulation:\n"
    "  dt: +0.05\n"
    "  start: \"some folder/a.h5@last\"\n"
    "  burn_in: 12.5\n"
    "  frame_interval: 7.3\n"
    "  frames: 3\n"
    "  seed: 18446744073709551615\n"
    "  cutoff_tolerance: 1e-6\n"
    "  skin: 0.7\n"
    "  restart_interval: 0\n"
    "network: {width: 24, hidden: 7, feed_forward: 5, heads: 3, blocks: 2, layers: 1, neighbours: 12}\n"
    "training:\n"
    "  trajectories:\n"
    "    - {file: a.h5, weight: 0.30000000000000004}\n"
    "    - file: 'it''s: # {here}.h5'\n"
    "    - c.h5\n"
    "  noise_on: xg\n"
    "  sigma: 0.1\n"
    "  batch: 77\n"
    "  steps: 1e12\n"
    "  warm_up: 0\n"
    "  rate: 0.7\n"
    "  clip: 0\n"
    "  average: 0\n"
    "  held_out: 0.1\n"
    "  test_interval: 10\n"
    "  test_particles: 0\n"
    "  checkpoint_interval: 0.5\n"
    "  seed: 9007199254740993\n"
    "evaluation: {trajectories: [x.h5, y.h5], models: [m.h5], frames: all, weights: current, grid: 2, "
    "smoothing: 0,\n"
    "             interface_density: 0.4, interface_width: 0, profile_extent: 9, profile_bin: 0.1}\n"
    "output: {directory: runs/über}\n"
    "run: {device: cpu, chunk: 1}\n";

static void every_key(void **state) {
    (void)state;
    struct config c = parse(everything, 0, NULL);
    assert_int_equal(c.system.dimension, 3);
    assert_int_equal(c.system.particles, 100000);
    assert_int_equal(c.system.box_sides, 3);
    assert_true(c.system.box[0] == 30.000000000000004 && c.system.box[1] == 62 && c.system.box[2] == 100);
    assert_true(c.system.gamma == 0.3333333333333333 && c.system.v0 == 0.3);
    assert_true(c.simulation.dt == 0.05);
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

/* ---- writing ---- */

/* What a function prints. */
static char *captured(void (*print)(const struct config *), const struct config *c) {
    FILE *file = tmpfile();
    fflush(stdout);
    int terminal = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    print(c);
    fflush(stdout);
    dup2(terminal, STDOUT_FILENO);
    close(terminal);
    const size_t length = (size_t)lseek(fileno(file), 0, SEEK_END);
    char *text = calloc(length + 1, 1);
    rewind(file);
    assert_int_equal(fread(text, 1, length, file), length);
    fclose(file);
    return text;
}

static void printed_reads_back(void **state) {
    (void)state;
    const char *trap[] = {"system.trap=0.3", "system.box=123.456"}, *denormal[] = {"system.v0=4.9e-324"};
    struct config configs[] = {parse(GOOD, 0, NULL), parse(everything, 0, NULL), parse(everything, 2, trap),
                               parse(GOOD, 1, denormal)};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        char *text = captured(config_print, &configs[i]);
        struct config again = parse(text, 0, NULL);
        assert_same(&configs[i], &again);
        free(text);
    }
}

struct visit {
    int count;
    char setting[96][256];
};

/* As outputs keep it: numbers as numbers, the rest as text. */
static enum status to_setting(const struct config_value *v, void *context) {
    struct visit *visit = context;
    char *out = visit->setting[visit->count];
    assert_true(visit->count < 96);
    if (v->type == CONFIG_REAL)
        snprintf(out, 256, "%s.%s=%.17g", v->section, v->key, v->real);
    else if (v->type == CONFIG_INTEGER)
        snprintf(out, 256, "%s.%s=%lld", v->section, v->key, (long long)v->integer);
    else
        snprintf(out, 256, v->text[0] == '[' ? "%s.%s=%s" : "%s.%s=\"%s\"", v->section, v->key, v->text);
    visit->count += strcmp(v->key, "packing_fraction") != 0;
    return STATUS_OK;
}

static void visited_reads_back(void **state) {
    (void)state;
    struct config c = parse(everything, 0, NULL);
    static struct visit visit;
    const char *settings[96];
    assert_int_equal(config_visit(&c, to_setting, &visit), STATUS_OK);
    for (int i = 0; i < visit.count; i++)
        settings[i] = visit.setting[i];
    struct config again = parse("", visit.count, settings);
    assert_same(&c, &again);
}

static enum status stop_at_third(const struct config_value *v, void *context) {
    (void)v;
    return ++*(int *)context == 3 ? STATUS_STORAGE : STATUS_OK;
}

static void visitor_stops(void **state) {
    (void)state;
    struct config c = parse(GOOD, 0, NULL);
    int calls = 0;
    assert_int_equal(config_visit(&c, stop_at_third, &calls), STATUS_STORAGE);
    assert_int_equal(calls, 3);
}

static void help_of_all(const struct config *c) {
    (void)c;
    config_help(NULL);
}

static void help_of_two(const struct config *c) {
    (void)c;
    config_help("output,run");
}

/* Help names every key that a visit does, within 100 columns. */
static enum status named_in_help(const struct config_value *v, void *help) {
    char key[64];
    snprintf(key, sizeof key, "\n  %s ", v->key);
    if (!strstr(help, key))
        fail_msg("%s.%s is not in the help", v->section, v->key);
    return STATUS_OK;
}

static void help(void **state) {
    (void)state;
    struct config c = parse(GOOD, 0, NULL);
    char *all = captured(help_of_all, NULL), *two = captured(help_of_two, NULL);
    assert_int_equal(config_visit(&c, named_in_help, all), STATUS_OK);
    for (char *line = all; *line; line += strcspn(line, "\n") + 1) {
        const size_t length = strcspn(line, "\n");
        assert_true(length <= 100);
        assert_true(length == 0 || line[length - 1] != ' ');
    }
    assert_non_null(strstr(two, "\noutput:\n"));
    assert_non_null(strstr(two, "\nrun:\n"));
    assert_null(strstr(two, "\nsystem:\n"));
    free(all);
    free(two);
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
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults),
                                       cmocka_unit_test(computed_defaults),
                                       cmocka_unit_test(every_key),
                                       cmocka_unit_test(style_does_not_matter),
                                       cmocka_unit_test(most_files),
                                       cmocka_unit_test(settings_override),
                                       cmocka_unit_test(settings_alone),
                                       cmocka_unit_test(printed_reads_back),
                                       cmocka_unit_test(visited_reads_back),
                                       cmocka_unit_test(visitor_stops),
                                       cmocka_unit_test(help),
                                       cmocka_unit_test(cutoff),
                                       cmocka_unit_test(box),
                                       cmocka_unit_test(steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
