/* Every kind of bad input, with the one message it gets: where, what, what is allowed. The list is the
 * specification: a message that changes is to be read again here, by someone who pretends not to know the program. */
#include "test.h"

#include <unistd.h>

#include "base/config.h"

#define GOOD "system: {particles: 1024, packing_fraction: 0.5}\noutput: {directory: out}\n"
#define SYSTEM(more) "system: {particles: 1024, packing_fraction: 0.5, " more "}\noutput: {directory: out}\n"

static const struct {
    const char *text, *setting, *message;
} bad[] = {
    /* ---- names of sections and keys ---- */
    {"system:\n  particles: 1024\n  packing_fraction: 0.5\n  gama: 1\noutput: {directory: out}\n", NULL,
     "a.yaml:4: system.gama is not known; did you mean system.gamma?"},
    {GOOD "simulaton: {dt: 0.1}\n", NULL,
     "a.yaml:3: section simulaton is not known; did you mean simulation?"},
    {GOOD "physics: {dt: 0.1}\n", NULL,
     "a.yaml:3: section physics is not known; the sections are system, simulation, network, response, "
     "training, "
     "evaluation, data, output and run"},
    {GOOD "dt: 0.1\n", NULL, "a.yaml:3: dt is a key, not a section; did you mean simulation.dt?"},
    {SYSTEM("dt: 0.1"), NULL, "a.yaml:1: system.dt is not known; did you mean simulation.dt?"},
    {GOOD "training: {temperature: 3}\n", NULL,
     "a.yaml:3: training.temperature is not known; epflow help lists the keys of every section"},
    {GOOD "network:\n  width: 64\n  heads: 4\n  width: 32\n", NULL,
     "a.yaml:6: network.width is given twice, first at a.yaml:4"},
    {GOOD "output: {directory: b}\n", NULL,
     "a.yaml:3: section output is given twice: write its keys below one heading"},
    {GOOD "[a]: {b: 1}\n", NULL, "a.yaml:3: the name of a section must be a word"},
    {GOOD "run: {[a]: 1}\n", NULL, "a.yaml:3: a key of section run must be a word"},
    {GOOD "run: 3\n", NULL, "a.yaml:3: section run must hold keys, indented below it"},
    {GOOD "run: [cpu]\n", NULL, "a.yaml:3: section run must hold keys, indented below it"},
    /* ---- documents ---- */
    {"- system\n- output\n", NULL,
     "a.yaml:1: an input is sections with keys: `system:`, and below it, indented, `particles: 1024`"},
    {"system\n", NULL,
     "a.yaml:1: an input is sections with keys: `system:`, and below it, indented, `particles: 1024`"},
    {"system: {particles: 10,\noutput: {directory: out}\n", NULL,
     "a.yaml:3: not valid YAML: did not find expected ',' or '}', while parsing a flow mapping"},
    {"system:\n\tparticles: 10\n", NULL,
     "a.yaml:2: not valid YAML: found character that cannot start any token, while scanning for the next "
     "token"},
    {GOOD "run: &anchor {chunk: 1}\n", NULL,
     "a.yaml:3: anchors and aliases are not part of an input: write the values out"},
    {GOOD "run: *other\n", NULL,
     "a.yaml:3: anchors and aliases are not part of an input: write the values out"},
    {GOOD "run: {chunk: !!int 3}\n", NULL, "a.yaml:3: tags are not part of an input: write the values out"},
    {GOOD "---\n" GOOD, NULL,
     "a.yaml:3: several documents are not part of an input: put all sections into one"},
    {GOOD "simulation: {start: \"a\\nb\"}\n", NULL,
     "a.yaml:3: line breaks and control characters inside a value are not part of an input: write the "
     "values out"},
    {GOOD "simulation: {start: \"a\\0b\"}\n", NULL,
     "a.yaml:3: line breaks and control characters inside a value are not part of an input: write the "
     "values out"},
    {GOOD "# caf\xe9"
          "\n",
     NULL, "a.yaml:3: not valid YAML: incomplete UTF-8 octet sequence"},
    {"", NULL, "a.yaml: system.particles is required: N, number of particles"},
    {GOOD "run: {device: [[[[[[[[cpu]]]]]]]]}\n", NULL,
     "a.yaml:3: brackets in brackets in brackets are not part of an input: write the values out"},
    {"{system: {particles: 10}}\n]\n", NULL,
     "a.yaml:2: not valid YAML: did not find expected <document start>"},
    /* ---- types ---- */
    {SYSTEM("v0: fast"), NULL, "a.yaml:1: system.v0 = fast is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0: nan"), NULL, "a.yaml:1: system.v0 = nan is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0: .inf"), NULL, "a.yaml:1: system.v0 = .inf is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0: 0x10"), NULL, "a.yaml:1: system.v0 = 0x10 is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0: 1_000"), NULL,
     "a.yaml:1: system.v0 = 1_000 is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0: 1e999"), NULL,
     "a.yaml:1: system.v0 = 1e999 is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0: 0.1 0.2"), NULL,
     "a.yaml:1: system.v0 = 0.1 0.2 is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0:"), NULL, "a.yaml:1: not valid YAML: found unexpected ':', while scanning a plain scalar"},
    {SYSTEM("v0: ~"), NULL, "a.yaml:1: system.v0 = ~ is not a number: it must be at least 0 (r0/time)"},
    {SYSTEM("v0: [1, 2]"), NULL, "a.yaml:1: system.v0 must be a single value: at least 0 (r0/time)"},
    {SYSTEM("v0: {a: 1}"), NULL, "a.yaml:1: system.v0 must be a single value: at least 0 (r0/time)"},
    {SYSTEM("dimension: 2.5"), NULL,
     "a.yaml:1: system.dimension = 2.5 is not a whole number: it must be at least 1 and at most 3"},
    {GOOD "simulation: {frames: 20.5}\n", NULL,
     "a.yaml:3: simulation.frames = 20.5 is not a whole number: it must be at least 1 and at most 1000000"},
    {GOOD "training: {steps: many}\n", NULL,
     "a.yaml:3: training.steps = many is not a number: it must be at least 1 and at most 1e+12"},
    {GOOD "simulation: {seed: -1}\n", NULL,
     "a.yaml:3: simulation.seed = -1 is not a whole number from 0 to 18446744073709551615"},
    {GOOD "simulation: {seed: 18446744073709551616}\n", NULL,
     "a.yaml:3: simulation.seed = 18446744073709551616 is not a whole number from 0 to 18446744073709551615"},
    {GOOD "training: {seed: 1.5}\n", NULL,
     "a.yaml:3: training.seed = 1.5 is not a whole number from 0 to 18446744073709551615"},
    {SYSTEM("kind: abp"), NULL,
     "a.yaml:1: system.kind = abp is not known: it must be one of aoup|crystal|unknown"},
    {GOOD "training: {noise_on: x}\n", NULL,
     "a.yaml:3: training.noise_on = x is not known: it must be one of g|xg"},
    {GOOD "run: {device: gpu}\n", NULL,
     "a.yaml:3: run.device = gpu is not known: it must be one of auto|cpu|cuda"},
    {GOOD "run: {device: }\n", NULL, "a.yaml:3: run.device has no value: it must be one of auto|cpu|cuda"},
    /* ---- ranges ---- */
    {SYSTEM("dimension: 4"), NULL,
     "a.yaml:1: system.dimension = 4 is out of range: it must be at least 1 and at most 3"},
    {SYSTEM("gamma: 0"), NULL, "a.yaml:1: system.gamma = 0 is out of range: it must be above 0 (1/time)"},
    {SYSTEM("gamma: -1"), NULL, "a.yaml:1: system.gamma = -1 is out of range: it must be above 0 (1/time)"},
    {SYSTEM("beta: 0.4"), NULL,
     "a.yaml:1: system.beta = 0.4 is out of range: it must be at least 0.5 and at most 1000 (1/r0)"},
    {SYSTEM("beta: 1001"), NULL,
     "a.yaml:1: system.beta = 1001 is out of range: it must be at least 0.5 and at most 1000 (1/r0)"},
    {SYSTEM("eps: -1e-9"), NULL,
     "a.yaml:1: system.eps = -1e-9 is out of range: it must be at least 0 (r0^2/time)"},
    {GOOD "simulation: {dt: -0.1}\n", NULL,
     "a.yaml:3: simulation.dt = -0.1 is out of range: it must be above 0 (time)"},
    {GOOD "simulation: {dt: 0}\n", NULL,
     "a.yaml:3: simulation.dt = 0 is out of range: it must be above 0 (time)"},
    {"system: {particles: 1, packing_fraction: 0.5}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.particles = 1 is out of range: it must be at least 2 and at most 2147483647"},
    {"system: {particles: 2147483648, packing_fraction: 0.5}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.particles = 2147483648 is out of range: it must be at least 2 and at most 2147483647"},
    {"system: {particles: 1024, packing_fraction: 0}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.packing_fraction = 0 is out of range: it must be above 0 and at most 4"},
    {GOOD "training: {average: 1}\n", NULL,
     "a.yaml:3: training.average = 1 is out of range: it must be at least 0 and below 1"},
    {GOOD "training: {held_out: 1}\n", NULL,
     "a.yaml:3: training.held_out = 1 is out of range: it must be at least 0 and below 1"},
    {GOOD "network: {neighbours: 4097}\n", NULL,
     "a.yaml:3: network.neighbours = 4097 is out of range: it must be at least 1 and at most 4096"},
    {GOOD "simulation: {frames: 0}\n", NULL,
     "a.yaml:3: simulation.frames = 0 is out of range: it must be at least 1 and at most 1000000"},
    /* ---- lists ---- */
    {"system: {particles: 1024, box: [60, 60, 60, 60]}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.box must be one number or a list of up to 3 numbers"},
    {"system: {particles: 1024, box: [60, 60, 60]}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.box has 3 sides in 2 dimensions: give one side, or 2"},
    {"system: {particles: 1024, box: [60, -60]}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.box = -60 is out of range: it must be above 0 (r0)"},
    {"system: {particles: 1024, box: {x: 60}}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.box must be one number or a list of up to 3 numbers"},
    {"system: {particles: 1024, box: [[60], 60]}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.box must be one number or a list of up to 3 numbers"},
    {GOOD "training: {trajectories: a.h5}\n", NULL,
     "a.yaml:3: training.trajectories must be a list: [{file: PATH, weight: NUMBER}, ...]"},
    {GOOD "training: {trajectories: [{weight: 2}]}\n", NULL,
     "a.yaml:3: training.trajectories: an entry must be {file: PATH, weight: NUMBER}"},
    {GOOD "training: {trajectories: [{file: a.h5, weight: 0}]}\n", NULL,
     "a.yaml:3: training.trajectories: weight = 0 is out of range: it must be above 0"},
    {GOOD "training: {trajectories: [{file: a.h5, wieght: 2}]}\n", NULL,
     "a.yaml:3: training.trajectories: an entry has the keys file and weight only, each once"},
    {GOOD "training: {trajectories: [{file: a.h5, file: b.h5}]}\n", NULL,
     "a.yaml:3: training.trajectories: an entry has the keys file and weight only, each once"},
    {GOOD "training: {trajectories: [[a.h5]]}\n", NULL,
     "a.yaml:3: training.trajectories: an entry must be {file: PATH, weight: NUMBER}"},
    {GOOD "training: {trajectories: [{file: a.h5, weight: [1]}]}\n", NULL,
     "a.yaml:3: training.trajectories: a weight must be a number"},
    {GOOD "evaluation: {trajectories: [{file: a.h5}]}\n", NULL,
     "a.yaml:3: evaluation.trajectories: a file must be a path, not a list or a mapping"},
    {GOOD "evaluation: {models: a.h5}\n", NULL, "a.yaml:3: evaluation.models must be a list: [PATH, ...]"},
    {GOOD "evaluation: {models: [a.h5, b.h5]}\n", NULL,
     "a.yaml:3: evaluation.models has 2 entries: one model at a time is evaluated"},
    /* ---- required keys and contradictions ---- */
    {"output: {directory: out}\n", NULL, "a.yaml: system.particles is required: N, number of particles"},
    {"system: {particles: 1024, packing_fraction: 0.5}\n", NULL,
     "a.yaml: output.directory is required: folder of all results; made if it is not there"},
    {"system: {particles: 1024}\noutput: {directory: out}\n", NULL,
     "a.yaml: give system.packing_fraction or system.box"},
    {SYSTEM("box: 80"), NULL,
     "a.yaml:1: system.packing_fraction and system.box (a.yaml:1) are both given: leave one out"},
    {SYSTEM("trap: 0.1"), NULL,
     "a.yaml:1: system.trap = 0.1 needs system.box, the side of the open space, of which the particles may "
     "reach the middle half; packing_fraction does not apply"},
    {"system:\n  particles: 65\n  box: 6\noutput: {directory: out}\n", NULL,
     "a.yaml:3: the box is too small: its side of 6 must be at least twice the cut-off and the skin of "
     "neighbour lists, 2 (3.266 + 0.05): use more particles, a larger box, a smaller simulation.skin or a "
     "larger simulation.cutoff_tolerance"},
    {"system: {particles: 4, packing_fraction: 0.5}\nnetwork: {neighbours: 3}\noutput: {directory: out}\n",
     NULL,
     "a.yaml:1: the box is too small: its side of 5.013 must be at least twice the cut-off and the skin of "
     "neighbour lists, 2 (3.266 + 0.05): use more particles, a larger box, a smaller simulation.skin or a "
     "larger simulation.cutoff_tolerance"},
    {GOOD "simulation: {skin: 40}\n", NULL,
     "a.yaml:1: the box is too small: its side of 80.21 must be at least twice the cut-off and the skin of "
     "neighbour lists, 2 (3.266 + 40): use more particles, a larger box, a smaller simulation.skin or a "
     "larger simulation.cutoff_tolerance"},
    {"system: {particles: 64, packing_fraction: 0.1}\nnetwork: {neighbours: 64}\noutput: {directory: out}\n",
     NULL, "a.yaml:2: network.neighbours = 64 must be below system.particles = 64"},
    {GOOD "network: {width: 63, heads: 3}\n", NULL,
     "a.yaml:3: network.width = 63 must be even: half of a token is the embedding of g, half that of x"},
    {GOOD "network: {width: 64, heads: 3}\n", NULL,
     "a.yaml:3: network.width = 64 must be a multiple of network.heads = 3"},
    {GOOD "network: {kind: response}\nresponse: {sweep_intervals: 6}\ntraining: {noise_on: g}\n", NULL,
     "a.yaml:4: response.sweep_intervals = 6 must be a multiple of 4: sweeps start a quarter, half and all "
     "of "
     "them ago"},
    {GOOD "network: {kind: window}\ntraining: {steps: 100}\n", NULL,
     "a.yaml:4: training.warm_up = 10000 (the default with network.kind = window) is longer than "
     "training.steps = 100, which include it"},
    {GOOD "network: {kind: response}\ntraining: {warm_up: 2000}\n", NULL,
     "a.yaml:4: training.warm_up = 2000 is longer than training.steps = 1000 (the default with network.kind "
     "= "
     "response), which include it"},
    {GOOD "training: {warm_up: 3, steps: 2}\n", NULL,
     "a.yaml:3: training.warm_up = 3 is longer than training.steps = 2, which include it"},
    {"system: {particles: 1024, packing_fraction: 0.5, gamma: 10}\nsimulation:\n  dt: 0.1\noutput: "
     "{directory: out}\n",
     NULL, "a.yaml:3: simulation.dt = 0.1 is too long for system.gamma = 10: their product must be below 1"},
    {SYSTEM("k: 11"), NULL,
     "a.yaml:1: simulation.dt = 0.1 is unstable with system.k = 11: their product must be at most 1"},
    {"system: {particles: 1024, box: 800, trap: 11}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: simulation.dt = 0.1 is unstable with system.trap = 11: their product must be at most 1"},
    {GOOD "simulation: {burn_in: 0.04}\n", NULL,
     "a.yaml:3: simulation.burn_in = 0.04 is shorter than half a step of simulation.dt = 0.1; 0 leaves it "
     "out"},
    {GOOD "simulation: {frame_interval: 0.04}\n", NULL,
     "a.yaml:3: simulation.frame_interval = 0.04 is shorter than half a step of simulation.dt = 0.1"},
    {GOOD "simulation: {frame_interval: 1e14}\n", NULL,
     "a.yaml:3: the run has more than 9e15 steps: use fewer frames or a longer simulation.dt"},
    {GOOD "simulation: {refine: 5}\n", "system.eps=0.1",
     "a.yaml:3: simulation.refine = 5 needs system.eps = 0, and it is 0.1: use refine = 0"},
    {GOOD "simulation: {refine: 0.04}\n", NULL,
     "a.yaml:3: simulation.refine = 0.04 is shorter than half a step of simulation.dt = 0.1; 0 leaves fine "
     "steps out"},
    {GOOD "simulation: {refine: 5, frame_interval: 5, burn_in: 20}\n", NULL,
     "a.yaml:3: simulation.refine = 5 must be shorter than simulation.frame_interval = 5 and not longer than "
     "simulation.burn_in = 20: every frame comes after so much time of fine steps"},
    {GOOD "simulation: {refine: 5, burn_in: 0}\n", NULL,
     "a.yaml:3: simulation.refine = 5 must be shorter than simulation.frame_interval = 1000 and not longer "
     "than simulation.burn_in = 0: every frame comes after so much time of fine steps"},
    {GOOD "simulation: {refine_dt: 0.2}\n", NULL,
     "a.yaml:3: simulation.refine_dt = 0.2 is longer than simulation.dt = 0.1: fine steps are at most as "
     "long"},
    {GOOD "simulation: {start: hot}\n", NULL,
     "a.yaml:3: simulation.start = hot must be random, lattice or FILE@FRAME (FRAME from 0, or last)"},
    {GOOD "simulation: {start: old.h5@}\n", NULL,
     "a.yaml:3: simulation.start = old.h5@ must be random, lattice or FILE@FRAME (FRAME from 0, or last)"},
    {GOOD "simulation: {start: '@3'}\n", NULL,
     "a.yaml:3: simulation.start = @3 must be random, lattice or FILE@FRAME (FRAME from 0, or last)"},
    {GOOD "simulation: {start: old.h5@3a}\n", NULL,
     "a.yaml:3: simulation.start = old.h5@3a must be random, lattice or FILE@FRAME (FRAME from 0, or last)"},
    {GOOD "evaluation: {profile_bin: 21}\n", NULL,
     "a.yaml:3: evaluation.profile_bin = 21 is wider than evaluation.profile_extent = 20"},
    {GOOD "run: {precision: half}\n", NULL,
     "a.yaml:3: run.precision = half is not known: it must be one of float32|tf32|bf16"},
    /* ---- crystals and copies ---- */
    {SYSTEM("tether: 0.3"), NULL,
     "a.yaml:1: system.tether = 0.3 pulls to the sites of a lattice: it needs system.kind = crystal"},
    {"system: {kind: crystal, particles: 1024, box: 80, trap: 0.1}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.trap = 0.1 does not go with system.kind = crystal, whose box is periodic; "
     "system.tether "
     "holds every particle to its site"},
    {"system: {kind: crystal, particles: 1021, box: 80}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.particles = 1021 do not fill the box with an even number of rows of a triangular "
     "lattice whose cells are near to regular; 1020 or 1024 would do"},
    {"system: {kind: crystal, dimension: 3, particles: 1009, box: 20}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: system.particles = 1009 do not fill the box with a cubic lattice whose cells are near to "
     "regular; 1000 or 1053 would do"},
    {"system: {kind: crystal, particles: 16, box: 8}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: the crystal is too small: the box's side of 8 must be at least twice the reach of bonds, 2.5 "
     "times the longest of 2.236, and the skin of neighbour lists, 2 (5.59 + 0.05): use more particles or a "
     "smaller simulation.skin"},
    {"system: {kind: crystal, particles: 1024, box: 80, spring: 2}\noutput: {directory: out}\n", NULL,
     "a.yaml:1: simulation.dt = 0.1 is unstable with system.spring = 2 and system.tether = 0: its product "
     "with the rate of the stiffest mode, 18, must be at most 1"},
    {SYSTEM("copies: 2097152"), NULL,
     "a.yaml:1: system.copies = 2097152 of system.particles = 1024 are too many: their product may be at "
     "most 2147483647"},
    {SYSTEM("copies: 0"), NULL,
     "a.yaml:1: system.copies = 0 is out of range: it must be at least 1 and at most 1073741823"},
    /* ---- losses and windows ---- */
    {SYSTEM("spring: -1"), NULL,
     "a.yaml:1: system.spring = -1 is out of range: it must be at least 0 (1/time)"},
    {SYSTEM("spring_kind: soft"), NULL,
     "a.yaml:1: system.spring_kind = soft is not known: it must be one of isotropic|longitudinal"},
    {GOOD "network: {window: near}\n", NULL,
     "a.yaml:3: network.window = near is not known: it must be one of local|periodic|lattice|anchored|all"},
    {GOOD "network: {scores: both}\n", NULL,
     "a.yaml:3: network.scores = both is not known: it must be one of separate|shared"},
    {GOOD "network: {shift: b}\n", NULL,
     "a.yaml:3: network.shift = b is not known: it must be one of none|force|drift"},
    {GOOD "training: {loss: l2}\n", NULL,
     "a.yaml:3: training.loss = l2 is not known: it must be one of denoising|score_matching|velocity"},
    {GOOD "training: {l_sm: -1}\n", NULL,
     "a.yaml:3: training.l_sm = -1 is out of range: it must be at least 0"},
    {GOOD "training: {smoothing: 11}\n", NULL,
     "a.yaml:3: training.smoothing = 11 is out of range: it must be at least 0 and at most 10"},
    {GOOD "training: {divergence: trace}\n", NULL,
     "a.yaml:3: training.divergence = trace is not known: it must be one of exact|hutchinson"},
    {GOOD "training: {optimizer: sgd}\n", NULL,
     "a.yaml:3: training.optimizer = sgd is not known: it must be one of radam|adam"},
    {GOOD "training: {second_decay: 1}\n", NULL,
     "a.yaml:3: training.second_decay = 1 is out of range: it must be at least 0 and below 1"},
    {GOOD "training: {noise: binary}\n", NULL,
     "a.yaml:3: training.noise = binary is not known: it must be one of gaussian|rademacher"},
    {GOOD "training: {weighting_offset: 0}\n", NULL,
     "a.yaml:3: training.weighting_offset = 0 is out of range: it must be above 0"},
    {GOOD "training: {frames_per_step: 0}\n", NULL,
     "a.yaml:3: training.frames_per_step = 0 is out of range: it must be at least 1 and at most 65536"},
    {SYSTEM("eps: 0.1") "training: {weighting: stiffness}\n", NULL,
     "a.yaml:3: training.weighting = stiffness is for training.loss = denoising and system.eps = 0, where "
     "the score "
     "in g alone is learnt: use none"},
    {GOOD "training: {weighting: stiffness}\n", "training.loss=score_matching",
     "a.yaml:3: training.weighting = stiffness is for training.loss = denoising and system.eps = 0, where "
     "the score "
     "in g alone is learnt: use none"},
    {GOOD "data: {position: 'a\"b'}\n", NULL,
     "a.yaml:3: data.position: a text must not hold double quotes, backslashes or control characters, nor "
     "begin with ["},
    {SYSTEM("eps: 0.1") "training: {loss: score_matching, l_fpe: 0.5, smoothing: 0.1}\n", NULL,
     "a.yaml:3: training.l_fpe wants the stationary density, training.smoothing = 0.1 a smoothed one: give "
     "one of "
     "them"},
    {GOOD "training: {loss: score_matching, l_fpe: 0.5}\n", NULL,
     "a.yaml:3: training.l_fpe = 0.5 weighs the stationarity of all coordinates, x included: it needs "
     "system.eps above 0"},
    {SYSTEM("eps: 0.1") "training: {noise_on: g}\n", NULL,
     "a.yaml:3: training.noise_on = g leaves the score of x, which system.eps = 0.1 needs, without noise to "
     "learn it from: use xg, or training.loss = score_matching"},
    {GOOD "training: {noise_on: g}\n", "system.eps=0.1",
     "a.yaml:3: training.noise_on = g leaves the score of x, which system.eps = 0.1 needs, without noise to "
     "learn it from: use xg, or training.loss = score_matching"},
    {GOOD "network: {window: lattice}\n", NULL,
     "a.yaml:3: network.window = lattice sees lattice sites: it needs system.kind = crystal"},
    {GOOD "network: {window: all}\n", NULL,
     "a.yaml:3: network.window = all sees where particles are, which in a periodic box of system.kind = aoup "
     "is relative to nothing: it needs system.trap above 0, or a crystal"},
    {"system: {particles: 4098, box: 800, trap: 0.1}\noutput: {directory: out}\n", "network.window=all",
     "--set: network.window = all holds all of system.particles = 4098: they may be at most 4097"},
    {SYSTEM("kind: unknown"), NULL,
     "a.yaml:1: system.kind = unknown has no dynamics that a score could be used with, only velocities can "
     "be learnt: it needs training.loss = velocity"},
    {SYSTEM("kind: unknown") "training: {loss: velocity}\n", NULL,
     "a.yaml: entropy production weighs velocities by system.eps and system.gamma: where the dynamics are "
     "unknown, both must be given"},
    {SYSTEM("eps: 0.1") "training: {loss: score_matching, l_sm: 0}\n", NULL,
     "a.yaml:3: training.l_sm and training.l_fpe are both 0: there is nothing to minimise"},
    {SYSTEM("eps: 0.1") "training: {loss: denoising, l_fpe: 1}\n", NULL,
     "a.yaml:3: training.l_fpe = 1 is a part of training.loss = score_matching"},
    {GOOD "network: {linear_term: on}\n", NULL,
     "a.yaml:3: network.linear_term wants particles with fixed places in a window: system.kind = crystal and "
     "network.window = lattice or anchored"},
    {SYSTEM("kind: unknown") "training: {loss: score_matching}\n", NULL,
     "a.yaml:1: system.kind = unknown has no dynamics that a score could be used with, only velocities can "
     "be learnt: it needs training.loss = velocity"},
    {SYSTEM("eps: 0.1") "network: {shift: force}\ntraining: {loss: velocity}\n", NULL,
     "a.yaml:3: network.shift is of scores, and training.loss = velocity learns none: use none or leave it "
     "out"},
    {GOOD "training: {loss: velocity}\n", "network.shift=drift",
     "--set: network.shift is of scores, and training.loss = velocity learns none: use none or leave it out"},
    /* ---- texts ---- */
    {"system: {particles: 1024, packing_fraction: 0.5}\noutput: {directory: 'a\"b'}\n", NULL,
     "a.yaml:2: output.directory: a text must not hold double quotes, backslashes or control characters, "
     "nor begin with ["},
    {"system: {particles: 1024, packing_fraction: 0.5}\noutput: {directory: a\\b}\n", NULL,
     "a.yaml:2: output.directory: a text must not hold double quotes, backslashes or control characters, "
     "nor begin with ["},
    {"system: {particles: 1024, packing_fraction: 0.5}\noutput: {directory: ''}\n", NULL,
     "a.yaml:2: output.directory must be a text of 1 to 511 characters"},
    {"system: {particles: 1024, packing_fraction: 0.5}\noutput: {directory: '[a'}\n", NULL,
     "a.yaml:2: output.directory: a text must not hold double quotes, backslashes or control characters, "
     "nor begin with ["},
    /* ---- settings of the command line ---- */
    {GOOD, "system.gamma=-1", "--set: system.gamma = -1 is out of range: it must be above 0 (1/time)"},
    {GOOD, "system.gama=1", "--set: system.gama is not known; did you mean system.gamma?"},
    {GOOD, "sytem.gamma=1", "--set: section sytem is not known; did you mean system?"},
    {GOOD, "gamma=1", "--set gamma=1: a setting is section.key=value"},
    {GOOD, "system.gamma", "--set system.gamma: a setting is section.key=value"},
    {GOOD, "=1", "--set =1: a setting is section.key=value"},
    {GOOD, "system.gamma=", "--set: system.gamma has no value"},
    {GOOD, "system.box=[1, 2",
     "--set system.box: not valid YAML: did not find expected ',' or ']', while parsing a flow sequence"},
    {GOOD, "a{b.c=1",
     "--set: section a{b is not known; the sections are system, simulation, network, response, training, "
     "evaluation, "
     "data, output and run"},
    {GOOD, "system.v0=&a 1",
     "--set system.v0: anchors and aliases are not part of an input: write the values out"},
    {GOOD, "system.box=80",
     "a.yaml:1: system.packing_fraction and system.box (--set) are both given: leave one out"},
    {GOOD, "output.directory=", "--set: output.directory must be a text of 1 to 511 characters"},
    {GOOD, "simulation.start=hot",
     "--set: simulation.start = hot must be random, lattice or FILE@FRAME (FRAME from 0, or last)"},
    {GOOD, "system.v0=1\n--- 2",
     "--set system.v0: several documents are not part of an input: put all sections into one"},
    {GOOD, "network.heads=3", "--set: network.width = 256 must be a multiple of network.heads = 3"},
};

/* Next to what is refused. */
static const char *const good[] = {
    SYSTEM("eps: 0.1") "training: {loss: score_matching, l_fpe: 0.5}\n",
    SYSTEM("eps: 0.1") "training: {noise_on: xg}\n",
    SYSTEM("eps: 0.1") "training: {loss: score_matching, noise_on: g}\n",
    SYSTEM("eps: 0.1") "training: {loss: velocity, noise_on: g}\n",
    SYSTEM("eps: 0.1"),
    GOOD "training: {noise_on: xg}\n",
    GOOD "training: {loss: velocity}\nnetwork: {shift: none}\n",
    "system: {particles: 1024, box: 400, trap: 0.1}\noutput: {directory: out}\nnetwork: {window: anchored}\n",
    GOOD "network: {window: periodic}\n",
    SYSTEM("kind: unknown, gamma: 0.1, eps: 0") "training: {loss: velocity}\n",
    "system: {particles: 4097, box: 800, trap: 0.1}\noutput: {directory: out}\nnetwork: {window: all}\n",
    "system: {kind: crystal, particles: 1024, box: 80}\noutput: {directory: out}\n"
    "network: {window: all}\n",
    "system: {kind: crystal, particles: 1024, box: 80}\noutput: {directory: out}\n"
    "network: {window: lattice}\n",
    "system: {dimension: 1, particles: 2, copies: 9, box: 16}\noutput: {directory: out}\n",
};

static void no_message(void **state) {
    (void)state;
    static struct config config;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        status_clear();
        if (config_parse("a.yaml", good[i], 0, NULL, &config) != STATUS_OK)
            fail_msg("%s\nrefused: %s", good[i], status_message());
    }
}

static void every_message(void **state) {
    (void)state;
    static struct config config;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        status_clear();
        enum status status =
            config_parse("a.yaml", bad[i].text, bad[i].setting ? 1 : 0, &bad[i].setting, &config);
        if (status != STATUS_BAD_INPUT || strcmp(status_message(), bad[i].message) != 0)
            fail_msg("%s\n--set %s\nexpected: %s\nfound %d: %s", bad[i].text,
                     bad[i].setting ? bad[i].setting : "(none)", bad[i].message, status, status_message());
    }
}

/* Messages stay on one line and keep their end, whatever the input holds. */
static void long_values(void **state) {
    (void)state;
    static struct config config;
    static char text[100000];
    static const char *const form[] = {"system: {particles: %s}", "system: {%s: 1}", "%s: {particles: 1}",
                                       "run: {device: %s}", "training: {seed: %s}"};
    char word[50000];
    memset(word, 'x', sizeof word);
    word[sizeof word - 1] = '\0';
    for (size_t i = 0; i < sizeof form / sizeof *form; i++) {
        snprintf(text, sizeof text, form[i], word);
        status_clear();
        assert_int_equal(config_parse("a.yaml", text, 0, NULL, &config), STATUS_BAD_INPUT);
        assert_true(strlen(status_message()) < 300);
        assert_null(strchr(status_message(), '\n'));
    }
}

/* Deep nesting and other large inputs are refused, fast, and without using up the stack. */
static void hostile_texts(void **state) {
    (void)state;
    static struct config config;
    enum { LARGE = 1 << 19 };
    static const char *const pattern[] = {"[",  "{", "- ",    "a: {",   "? ", "!",
                                          "\"", "%", "---\n", "a: b\n", "x"};
    char *text = malloc(LARGE + 16);
    for (size_t i = 0; i < sizeof pattern / sizeof *pattern; i++) {
        size_t length = strlen(pattern[i]), used = 0;
        for (; used + length < LARGE; used += length)
            memcpy(text + used, pattern[i], length);
        text[used] = '\0';
        status_clear();
        assert_int_equal(config_parse("a.yaml", text, 0, NULL, &config), STATUS_BAD_INPUT);
        assert_true(status_message()[0] != '\0');
    }
    free(text);
}

/* Files that are no inputs. */
static void files(void **state) {
    (void)state;
    static struct config config;
    char name[] = "/tmp/epflow_config_XXXXXX", expected[128];
    int f = mkstemp(name);
    assert_true(f >= 0);
    status_clear();
    assert_int_equal(config_read("/nowhere/a.yaml", 0, NULL, &config), STATUS_BAD_INPUT);
    assert_string_equal(status_message(), "/nowhere/a.yaml cannot be read: is the path right?");
    status_clear();
    assert_int_equal(config_read("/", 0, NULL, &config), STATUS_BAD_INPUT);
    assert_string_equal(status_message(), "/ is not an input file: text of at most 1 MiB is expected");
    assert_int_equal(write(f, "\x89HDF\r\n\x1a\n\0\0", 10), 10);
    status_clear();
    assert_int_equal(config_read(name, 0, NULL, &config), STATUS_BAD_INPUT);
    snprintf(expected, sizeof expected, "%s is not an input file: text of at most 1 MiB is expected", name);
    assert_string_equal(status_message(), expected);
    assert_int_equal(ftruncate(f, 0), 0);
    assert_int_equal(lseek(f, 0, SEEK_SET), 0);
    assert_int_equal(write(f, GOOD, strlen(GOOD)), (int)strlen(GOOD));
    close(f);
    assert_int_equal(config_read(name, 0, NULL, &config), STATUS_OK);
    assert_int_equal(config.system.particles, 1024);
    unlink(name);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_message), cmocka_unit_test(no_message),
                                       cmocka_unit_test(long_values), cmocka_unit_test(hostile_texts),
                                       cmocka_unit_test(files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
