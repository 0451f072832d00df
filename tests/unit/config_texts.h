/* Inputs that the tests of parameters read, with every key in one of them. */
#ifndef EPFLOW_TESTS_CONFIG_TEXTS_H
#define EPFLOW_TESTS_CONFIG_TEXTS_H

#include "test.h"

#include "base/config.h"

#define GOOD "system: {particles: 1024, packing_fraction: 0.5}\noutput: {directory: out}\n"

static inline struct config parse(const char *text, int count, const char *const settings[]) {
    static struct config config;
    status_clear();
    memset(&config, 0x5a, sizeof config); /* reading does not depend on what was there */
    if (config_parse("a.yaml", text, count, settings, &config) != STATUS_OK)
        fail_msg("refused: %s", status_message());
    return config;
}

static inline void assert_same(const struct config *a, const struct config *b) {
    assert_memory_equal(a, b, sizeof *a);
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
    "  refine: 0\n"
    "  refine_dt: 0.03\n"
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
    "  loss_limit: 7.5\n"
    "  retries: 3\n"
    "  retry_factor: 0.1\n"
    "  retry_interval: 123\n"
    "  seed: 9007199254740993\n"
    "evaluation: {trajectories: [x.h5, y.h5], models: [m.h5], frames: all, weights: current, grid: 2, "
    "smoothing: 0,\n"
    "             interface_density: 0.4, interface_width: 0, profile_extent: 9, profile_bin: 0.1,\n"
    "             contact_distance: 3}\n"
    "output: {directory: runs/über}\n"
    "run: {device: cpu, chunk: 1, walltime: 90}\n";

/* A crystal, learnt by the composite loss. */
static const char crystal[] =
    "system: {kind: crystal, particles: 64, copies: 5, box: 20, eps: 0.2, spring: 0.3, spring_kind: "
    "longitudinal, tether: 0.7}\n"
    "network: {window: lattice, scores: shared, shift: drift}\n"
    "training: {loss: score_matching, l_sm: 0.25, smoothing: 0.05, divergence: hutchinson, "
    "optimizer: adam}\n"
    "output: {directory: out}\n";

/* Data of another program. */
static const char unknown[] =
    "system: {kind: unknown, particles: 64, box: 20, eps: 0.2, gamma: 1e-4}\n"
    "network: {window: anchored}\n"
    "training: {loss: velocity}\n"
    "data: {position: particles/all/position, propulsion: 'observables/some thing/value'}\n"
    "output: {directory: out}\n";

static const char trapped[] = "system: {particles: 64, box: 80, trap: 0.05, eps: 0.1}\n"
                              "network: {window: all}\n"
                              "output: {directory: out}\n";

#endif
