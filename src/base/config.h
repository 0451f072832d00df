/* The parameters of a run: read once from YAML, checked, and constant from then on.
 *
 * One table (config_table.c) describes every key: section, name, type, unit, default, range or
 * choices, one line of help, and where its value lives in struct config. The parser, the range checks,
 * --set, --help, the parameter attributes of every output and the nearest-key hints all read it;
 * nothing else parses anything.
 */
#ifndef EPFLOW_BASE_CONFIG_H
#define EPFLOW_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"
#include "base/response.h"
#include "base/status.h"

enum { CONFIG_TEXT = 512, CONFIG_FILES = 32, RESPONSE_SHOTS = 16, RESPONSE_LAYERS = 16 };

enum system_kind {
    SYSTEM_AOUP,    /* active Ornstein-Uhlenbeck particles that repel each other, theory section 1 */
    SYSTEM_CRYSTAL, /* the same joined to their lattice neighbours by springs, theory section 5 */
    SYSTEM_UNKNOWN  /* of data: only velocities can be learnt */
};
enum spring_kind {
    SPRING_ISOTROPIC,
    SPRING_LONGITUDINAL
}; /* -kappa (u_i - u_j), or its part along the bond */
enum network_kind {
    NETWORK_WINDOW,  /* windowed transformer, theory section 3 */
    NETWORK_RESPONSE /* graph network of contacts and their recent past, theory section 7 */
};
enum window_kind {
    WINDOW_LOCAL,    /* one window per particle, tokens see x_i - x_j; token 0 is decoded */
    WINDOW_PERIODIC, /* the same, but they see sine and cosine of 2 pi (x_i - x_j) / L */
    WINDOW_LATTICE,  /* the same, but they see R_i - R_j and u_i - u_j: lattice sites and displacements */
    WINDOW_ANCHORED, /* and u_j, too; in a trap R = 0 and u = x */
    WINDOW_ALL       /* one window of all particles of a copy, tokens see u_j; every token is decoded */
};
enum linear_term {
    LINEAR_TERM_OFF,
    LINEAR_TERM_ON,
    LINEAR_TERM_VELOCITY
}; /* of the window's g and u, beside the transformer */
enum score_heads {
    SCORES_SEPARATE,
    SCORES_SHARED
}; /* s_x and s_g (eps > 0): two networks, or two heads of one */
enum score_shift {
    SHIFT_NONE,  /* s = network */
    SHIFT_FORCE, /* s_g = network - g, s_x = network + F/eps */
    SHIFT_DRIFT  /* s_g = network - g, s_x = network + b/eps: v = 0 for a network that gives 0 */
};
enum loss_kind {
    LOSS_DENOISING,      /* antithetic denoising, theory section 4 */
    LOSS_SCORE_MATCHING, /* L_sm, with l_fpe > 0 the composite loss */
    LOSS_VELOCITY        /* v itself, from pairs of successive frames */
};
enum divergence_kind { DIVERGENCE_EXACT, DIVERGENCE_HUTCHINSON };
enum optimizer_kind { OPTIMIZER_RADAM, OPTIMIZER_ADAM };
enum noise_target { NOISE_ON_G, NOISE_ON_XG };        /* which coordinates the denoising noise moves */
enum noise_kind { NOISE_GAUSSIAN, NOISE_RADEMACHER }; /* standard normal; 1 or -1 */
enum weighting_kind {
    WEIGHTING_NONE,
    WEIGHTING_STIFFNESS
}; /* of particles in the denoising loss: 1, or less where forces are stiff */
enum device_kind { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA };
enum precision_kind { RUN_FLOAT32, RUN_TF32, RUN_BF16 };
enum simd_kind { RUN_SIMD_AUTO, RUN_SIMD_PLAIN, RUN_SIMD_AVX2, RUN_SIMD_AVX512 };
enum frame_choice { FRAMES_HELD_OUT, FRAMES_ALL };
enum weight_choice { WEIGHTS_AVERAGE, WEIGHTS_CURRENT };

/* Lengths in particle radii r0 = 1, mobility 1. */
struct system_parameters {
    enum system_kind kind;
    int dimension;             /* d: 1, 2 or 3 */
    int64_t particles;         /* N, of one copy */
    int64_t copies;            /* independent copies, simulated side by side */
    double packing_fraction;   /* phi; 0: given by box */
    int box_sides;             /* how many sides `box` has: 0 (from packing_fraction), 1 or d */
    double box[MAX_DIMENSION]; /* sides of the periodic box; with a trap the open side that nothing reaches */
    double v0;                 /* self-propulsion speed */
    double k;                  /* strength of the pair force */
    double beta;               /* sharpness of the softplus */
    double trap;               /* A: stiffness of the harmonic trap; > 0 means open space */
    double gamma;              /* rate of the propulsion */
    double eps;                /* translational diffusion */
    double spring;             /* kappa: of the bonds of a crystal */
    enum spring_kind spring_kind;
    double tether;           /* of a crystal: stiffness that pulls every particle to its lattice site */
    double alignment;        /* J: rate at which the propulsions of neighbours turn to each other */
    double alignment_radius; /* r_a: how far they see each other; immaterial in a crystal, where bonds tell */
};

struct simulation_parameters {
    double dt;               /* time step */
    char start[CONFIG_TEXT]; /* "random", "lattice" or FILE@FRAME */
    double burn_in;          /* time units */
    double frame_interval;   /* time units */
    int frames;              /* number of frames written */
    double refine;           /* time before every frame that is integrated finely; 0: none */
    double refine_dt;        /* longest fine step */
    uint64_t seed;
    double cutoff_tolerance; /* f(r_c) = this */
    double skin;             /* added to r_c in neighbour lists; 0: chosen from the system */
    double restart_interval; /* minutes of wall clock between restart files */
};

enum response_sweeps { RESPONSE_SWEEPS_OFF, RESPONSE_SWEEPS_ON };

/* Sizes and constants of the response network, by their names in theory.md section 7. */
struct response_parameters {
    int hidden;   /* H */
    int edge;     /* E */
    int channels; /* C */
    int layers;
    int shots;
    double shot[RESPONSE_SHOTS]; /* tau */
    double edge_radius;          /* r_e */
    double force_tolerance;      /* F is cut where f(r_c) is this */
    double density_radius;       /* of the local packing fraction */
    struct response_constants constants;
    enum response_sweeps sweeps;
    int sweep_intervals;
    double sweep_interval, sweep_radius, sweep_reach, sweep_scale;
};

struct network_parameters {
    enum network_kind kind;
    int width;        /* W: token width */
    int hidden;       /* H: hidden width of embeddings and decoder */
    int feed_forward; /* F: hidden width of a block's MLP */
    int heads;
    int blocks;
    int layers;     /* hidden layers of embeddings and decoder */
    int neighbours; /* n */
    enum window_kind window;
    enum linear_term linear_term;
    double site_unit,
        displacement_unit; /* lengths that lattice vectors and displacements are seen in units of */
    enum score_heads scores;
    enum score_shift shift;
    struct response_parameters response;
};

struct file_choice {
    char file[CONFIG_TEXT];
    double weight; /* share of the training steps, relative to the others */
};

struct training_parameters {
    int trajectory_count; /* 0: the trajectory in the output folder */
    struct file_choice trajectories[CONFIG_FILES];
    enum loss_kind loss;
    double l_sm, l_fpe; /* weights of the composite loss */
    double smoothing;   /* width of noise on the samples of score matching; 0: none */
    enum divergence_kind divergence;
    enum optimizer_kind optimizer;
    enum noise_target noise_on;
    enum noise_kind noise; /* what each component of the noise is, in units of its width */
    double sigma;          /* width of the denoising noise */
    int batch;             /* particles of a frame in a step, over all ranks */
    int frames_per_step;
    enum weighting_kind weighting;
    double weighting_offset; /* added to the stiffness over gamma */
    int64_t steps;
    int64_t warm_up;            /* steps */
    double rate;                /* peak learning rate */
    double final_rate;          /* of the last step, as a fraction of the peak */
    double second_decay;        /* b2 of Adam and RAdam */
    double clip;                /* global norm of the gradient */
    double average;             /* decay of the weights' moving average */
    double held_out;            /* fraction of every trajectory's frames, its last ones, never trained on */
    int64_t test_interval;      /* steps between evaluations on held-out frames; 0: only at the end */
    int test_particles;         /* particles per evaluation on held-out frames; 0: all */
    double checkpoint_interval; /* minutes of wall clock */
    double loss_limit;          /* of base/statistics.h: when a training has diverged; 0: never */
    int retries;                /* times that a training whose numbers go wrong goes back */
    double retry_factor;        /* by which the rate is multiplied then */
    int64_t retry_interval;     /* steps between the states that it goes back to */
    uint64_t seed;
};

struct evaluation_parameters {
    int trajectory_count; /* 0: the trajectory in the output folder */
    char trajectories[CONFIG_FILES][CONFIG_TEXT];
    int model_count; /* 0: the model in the output folder */
    char models[CONFIG_FILES][CONFIG_TEXT];
    enum frame_choice frames;
    enum weight_choice weights;
    int probes;               /* random directions of a graph network's divergences */
    double grid;              /* spacing of the fields */
    double smoothing;         /* width of the Gaussian each particle is spread over */
    double interface_density; /* packing fraction of the contour between gas and dense phase */
    double interface_width;   /* half width of the region called interface */
    double profile_extent;    /* profiles reach this far on both sides of the interface */
    double profile_bin;       /* width of a bin of the profiles */
    double contact_distance;  /* particles nearer than this are in contact; at most 5 */
};

/* Files of other programs: where position and self-propulsion are, as H5MD elements; "" for files of epflow. */
struct data_parameters {
    char position[CONFIG_TEXT];
    char propulsion[CONFIG_TEXT];
};

struct output_parameters {
    char directory[CONFIG_TEXT];
};

struct run_parameters {
    enum device_kind device;
    enum precision_kind precision; /* of matrix products on a GPU */
    enum simd_kind simd;           /* loops of a simulation on the CPU */
    int chunk;       /* network rows (tokens) computed at once, which bounds the memory; 0: the table's */
    double walltime; /* minutes after which a run stops with a restart written; 0: no limit */
};

struct config {
    struct system_parameters system;
    struct simulation_parameters simulation;
    struct network_parameters network;
    struct training_parameters training;
    struct evaluation_parameters evaluation;
    struct data_parameters data;
    struct output_parameters output;
    struct run_parameters run;
};

/* Reads FILE, applies settings ("section.key=value", count of them) and checks everything: unknown
 * keys, types, ranges, contradictions. The message of an error has file, line, key, what is allowed and
 * the nearest known key. Not collective: rank 0 reads, the struct is plain bytes and can be broadcast. */
enum status config_read(const char *file, int count, const char *const settings[], struct config *out);

/* The same from text, for tests; name stands for the file's name in messages. */
enum status config_parse(const char *name, const char *text, int count, const char *const settings[],
                         struct config *out);

/* The parameters recorded in a result, as settings: types and ranges are checked, but not what only a run of one's
 * own must heed (stability, sizes of networks and lists). */
enum status config_restore(const char *name, int count, const char *const settings[], struct config *out);

/* Derived, always consistent with the checks of config_read. */
/* How far a particle sees others: r_c of the pair force; of a crystal 2.5 times its longest bond, within which the
 * partners of all bonds must stay. */
double config_cutoff(const struct system_parameters *s, const struct simulation_parameters *p);
/* How far its dynamics see: the cut-off or, if that is more, the radius of alignment. */
double config_reach(const struct system_parameters *s, const struct simulation_parameters *p);
void config_box(const struct system_parameters *s, double side[MAX_DIMENSION]);
double config_packing_fraction(const struct system_parameters *s);
static inline bool config_is_open(const struct system_parameters *s) {
    return s->trap > 0;
}
/* Whether windows of this kind make sense in this system: STATUS_BAD_INPUT with a message that `where` leads. */
enum status config_check_window(const struct system_parameters *s, enum window_kind window,
                                const char *where);
/* Whether the response network is for this system: active particles in a periodic box, eps = 0, no alignment. */
bool config_suits_response(const struct system_parameters *s);
/* Where the force that it sees is cut, and how far it looks at once: no side of a box may be below twice that. */
double config_response_cutoff(const struct response_parameters *p, const struct system_parameters *s);
double config_response_radius(const struct response_parameters *p, const struct system_parameters *s);
/* Width of the noise that smooths what a loss learns; 0 where there is none. */
static inline double config_smoothing(const struct training_parameters *p) {
    return p->loss == LOSS_DENOISING ? p->sigma : p->loss == LOSS_SCORE_MATCHING ? p->smoothing : 0;
}
/* Particles of all copies together: what a frame holds. */
static inline int64_t config_total(const struct system_parameters *s) {
    return s->copies > 1 ? s->particles * s->copies : s->particles;
}
/* Sites of a crystal along each axis (1 on unused axes), N in all, with cells as near to regular as the box allows:
 * columns and an even number of rows in two dimensions. False where the best of them are off by half or there are
 * none; sites is then still something to compute with. config_lattice.c. */
bool config_lattice(const struct system_parameters *s, int64_t sites[MAX_DIMENSION]);
/* The nearest numbers of particles below (0: none) and above s->particles for which config_lattice is true. */
void config_lattice_near(const struct system_parameters *s, int64_t *below, int64_t *above);
/* Length of the longest bond between lattice neighbours. */
double config_longest_bond(const struct system_parameters *s);
/* The largest rate at which springs and tether relax anything, at most. */
double config_stiffest(const struct system_parameters *s);
/* The largest rate at which alignment relaxes anything, about: twice J times the weights of the neighbours. */
double config_alignment_rate(const struct system_parameters *s);
/* Length of a burn-in, of the interval between frames, in steps. */
int64_t config_burn_in_steps(const struct config *c);
int64_t config_interval_steps(const struct config *c);
/* Before every frame, how many steps of dt give place to how many fine ones; 0: none. */
int64_t config_refine_steps(const struct config *c);
int64_t config_fine_steps(const struct config *c);

/* Visits every parameter in the table's order as (section, key, value), for the attributes of outputs.
 * Numbers come as CONFIG_REAL or CONFIG_INTEGER, the rest as text. */
enum config_value_type { CONFIG_REAL, CONFIG_INTEGER, CONFIG_STRING };
struct config_value {
    const char *section, *key, *unit;
    enum config_value_type type;
    double real;
    int64_t integer;
    const char *text; /* valid during the visit; lists in YAML's flow style */
};
typedef enum status config_visitor(const struct config_value *value, void *context);
enum status config_visit(const struct config *c, config_visitor *visit, void *context);

/* A value as text that reads back to it, with no more digits than that needs. */
void config_value_text(const struct config_value *value, size_t size, char *out);

/* A parameter, as documentation shows it: texts, valid during the visit, "" where there is nothing to say. */
struct parameter_help {
    const char *section, *key, *type;
    bool required;
    const char *fallback;    /* default; "" also where it is computed, as the text says */
    const char *of_response; /* default with network.kind: response, if it is another */
    const char *allowed;     /* range and unit, or the choices in words */
    const char *choices;     /* "a|b|c" */
    const char *text;
};
typedef void config_help_visitor(const struct parameter_help *help, void *context);
/* Every parameter of the sections in `sections` (a comma-separated list, NULL for all), in order of the table. */
void config_visit_help(const char *sections, config_help_visitor *visit, void *context);

/* Prints the help of every parameter of the sections in `sections` (a comma-separated list, NULL for
 * all) to standard output: name, type, unit, default, range, description. */
void config_help(const char *sections);

/* Prints the whole config as YAML that reads back to the same values. */
void config_print(const struct config *c);

#endif
