/* Where a simulation starts: theory.md section 1. Every number is a function of the seed and the particle's
 * id, so each rank fills its own slice. */
#include "dynamics/system.h"

#include <math.h>
#include <string.h>

#include "ops/normal_formula.h"

enum { NUMBERS = 8 };

/* Eight standard normal numbers and one uniform of a particle. */
static void draw(uint64_t seed, uint32_t id, double normal[NUMBERS], double *uniform) {
    uint32_t word[4];
    for (uint32_t block = 0; block < NUMBERS / 4; block++) {
        float z[4];
        rng_words(seed, STREAM_START, id, 0, block, word);
        normal_pair_f(word[0], word[1], &z[0], &z[1]);
        normal_pair_f(word[2], word[3], &z[2], &z[3]);
        for (int m = 0; m < 4; m++)
            normal[4 * block + (uint32_t)m] = (double)z[m];
    }
    rng_words(seed, STREAM_START, id, 0, NUMBERS / 4, word);
    *uniform = rng_uniform(word[0]);
}

/* Uniform in a ball about the origin in which the packing is 1/2: N / R^d = 1/2. */
static void in_ball(const struct system_parameters *s, const double normal[], double uniform, double x[]) {
    double radius = pow(2 * (double)s->particles * uniform, 1.0 / s->dimension), length = 0;
    for (int a = 0; a < s->dimension; a++)
        length += normal[a] * normal[a];
    for (int a = 0; a < s->dimension; a++)
        x[a] = radius * normal[a] / sqrt(length);
}

/* Gaussian of width L/4 about the middle where the system is to phase-separate, uniform where it is dilute. */
static void in_box(const struct config *c, const struct box *box, uint32_t id, const double normal[],
                   double x[]) {
    uint32_t word[4];
    bool clustered = config_packing_fraction(&c->system) >= 0.25;
    rng_words(c->simulation.seed, STREAM_START, id, 1, 0, word);
    for (int a = 0; a < box->d; a++)
        x[a] = clustered ? box->side[a] * (0.5 + 0.25 * normal[a]) : box->side[a] * rng_uniform(word[a]);
}

/* Simple cubic: as many sites per axis as N needs, in the box or, with a trap, two radii apart about 0. */
static void on_lattice(const struct config *c, const struct box *box, uint32_t id, double x[]) {
    uint64_t sites = (uint64_t)ceil(pow((double)c->system.particles, 1.0 / box->d) - 1e-9),
             rest = id % c->system.particles;
    for (int a = 0; a < box->d; a++) {
        double site = (double)(rest % sites);
        rest /= sites;
        x[a] = box->periodic ? box->side[a] * (site + 0.5) / (double)sites
                             : 2 * (site - 0.5 * (double)(sites - 1));
    }
}

void system_start(const struct config *c, struct slice *slice) {
    struct box box = system_box(&c->system);
    const struct lattice crystal = system_lattice(&c->system);
    bool lattice = strcmp(c->simulation.start, "lattice") == 0;
    for (size_t i = 0; i < slice->count; i++) {
        double normal[NUMBERS], uniform, x[MAX_DIMENSION];
        uint64_t site[MAX_DIMENSION];
        uint32_t id = (uint32_t)(slice->begin + i);
        draw(c->simulation.seed, id, normal, &uniform);
        lattice_site(&crystal, id, site);
        if (lattice && crystal.d == 0)
            on_lattice(c, &box, id, x);
        else if (box.periodic)
            in_box(c, &box, id, normal + MAX_DIMENSION, x);
        else
            in_ball(&c->system, normal + MAX_DIMENSION, uniform, x);
        for (int a = 0; a < box.d; a++) {
            size_t at = i * (size_t)box.d + (size_t)a;
            slice->q[at] = crystal.d > 0 ? site[a] : position_to_integer(&box, a, x[a]);
            slice->g[at] = normal[a];
            slice->image[at] = 0;
        }
    }
}
