/* The lattice of a crystal from the number of particles and the sides of the box. */
#include <math.h>

#include "base/config.h"

enum { DIVISORS = 1600 }; /* no number below 2^31 has more than 1536 */

/* All divisors of n, ascending within each half of a pair. */
static int divisors_of(int64_t n, int64_t out[DIVISORS]) {
    int count = 0;
    for (int64_t i = 1; i * i <= n && count + 2 <= DIVISORS; i++) {
        if (n % i != 0)
            continue;
        out[count++] = i;
        if (i * i != n)
            out[count++] = n / i;
    }
    return count;
}

/* How far the cells are from regular, as the logarithm of a ratio of lengths: 0 is regular. */
static double irregularity(int d, const double side[], const int64_t sites[]) {
    double spacing[MAX_DIMENSION], least = INFINITY, most = 0;
    for (int a = 0; a < d; a++) {
        spacing[a] = side[a] / (double)sites[a];
        if (d == 2 && a == 1)
            spacing[a] /= sqrt(0.75); /* the height of a regular triangle */
        least = fmin(least, spacing[a]);
        most = fmax(most, spacing[a]);
    }
    return log(most / least);
}

bool config_lattice(const struct system_parameters *s, int64_t sites[MAX_DIMENSION]) {
    double side[MAX_DIMENSION], best = INFINITY;
    int64_t row[DIVISORS], n = s->particles, tried[MAX_DIMENSION] = {n, 1, 1};
    int count = s->dimension > 1 ? divisors_of(n, row) : 0;
    config_box(s, side);
    for (int a = 0; a < MAX_DIMENSION; a++)
        sites[a] = tried[a];
    if (s->dimension == 1)
        return true;
    for (int i = 0; i < count; i++)
        for (int m = 0; m < (s->dimension == 3 ? count : 1); m++) {
            tried[1] = row[i];
            tried[2] = s->dimension == 3 ? row[m] : 1;
            if (n / tried[1] % tried[2] != 0 || (s->dimension == 2 && tried[1] % 2 != 0))
                continue;
            tried[0] = n / tried[1] / tried[2];
            double off = irregularity(s->dimension, side, tried);
            if (off >= best)
                continue;
            best = off;
            for (int a = 0; a < MAX_DIMENSION; a++)
                sites[a] = tried[a];
        }
    return best <= log(1.5);
}

void config_lattice_near(const struct system_parameters *s, int64_t *below, int64_t *above) {
    const int64_t farthest = 10000;
    int64_t sites[MAX_DIMENSION];
    *below = *above = 0;
    for (int64_t m = 1; m <= farthest && (*below == 0 || *above == 0); m++) {
        struct system_parameters other = *s;
        other.particles = s->particles - m;
        if (*below == 0 && other.particles > 0 && config_lattice(&other, sites))
            *below = other.particles;
        other.particles = s->particles + m;
        if (*above == 0 && config_lattice(&other, sites))
            *above = other.particles;
    }
}

double config_longest_bond(const struct system_parameters *s) {
    double side[MAX_DIMENSION], longest = 0;
    int64_t sites[MAX_DIMENSION];
    config_lattice(s, sites);
    config_box(s, side);
    for (int a = 0; a < s->dimension; a++)
        side[a] /= (double)sites[a];
    if (s->dimension == 2)
        return fmax(side[0], hypot(side[0] / 2, side[1]));
    for (int a = 0; a < s->dimension; a++)
        longest = fmax(longest, side[a]);
    return longest;
}

double config_stiffest(const struct system_parameters *s) {
    static const double springs[] = {
        0, 4, 9, 12}; /* largest eigenvalue of isotropic bonds; longitudinal ones are softer */
    return springs[s->dimension] * s->spring + s->tether;
}
