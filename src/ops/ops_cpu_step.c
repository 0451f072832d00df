/* The integrator's step, and the noise of steps, starts and losses. */
#include "ops/ops_cpu.h"
#include "ops/normal_formula.h"
#include "ops/simd.h"
#include "ops/step_formula.h"

enum { BLOCK = 128, WORDS = 4 };

/* The standard normal numbers of a block of particles: number m of particle i in normal[m][i], m below
 * `numbers` (rounded up to even). Philox gives four words at a time: words 4 b ... 4 b + 3 from block b. */
static void normal_block(uint64_t seed, enum rng_stream stream, uint64_t step, size_t n, const uint32_t *id,
                         int numbers, float normal[][BLOCK]) {
    uint32_t word[WORDS][BLOCK];
    for (int first = 0; first < numbers; first += WORDS) {
        for (size_t i = 0; i < n; i++) {
            uint32_t four[WORDS];
            rng_words(seed, stream, id[i], step, (uint32_t)(first / WORDS), four);
            for (int w = 0; w < WORDS; w++)
                word[w][i] = four[w];
        }
        for (int m = 0; m < WORDS && first + m < numbers; m += 2)
            for (size_t i = 0; i < n; i++)
                normal_pair_f(word[m][i], word[m + 1][i], &normal[first + m][i], &normal[first + m + 1][i]);
    }
}

/* One particle: the update of theory.md section 1. Returns the squared displacement from q_list; *moved grows to the
 * squared length of the step. */
static inline double advance(const struct box *box, const struct step_law *law, size_t i,
                             const uint64_t site[], const int64_t *force, uint64_t *const q_list[],
                             uint64_t *const q[], int32_t *const image[], double *const g[],
                             const double xi_x[], const double xi_g[], double *moved, bool *good) {
    double displacement = 0, way = 0;
    for (int a = 0; a < box->d; a++) {
        const double unit = box->side[a] * 0x1p-64;
        double b = step_velocity(law, g[a][i], force[force_at(box->d, i, a)], q[a][i], site[a], unit);
        double dx = fma(b, law->dt, law->x_kick * xi_x[a]);
        g[a][i] = fma(g[a][i], law->g_decay, law->g_kick * xi_g[a]);
        if (!step_allowed(dx, box->side[a], g[a][i], force[force_at(box->d, i, a)])) {
            *good = false;
            return 0;
        }
        displacement += step_displace(box->periodic, dx, unit, q[a][i], q_list[a][i], &q[a][i], &image[a][i], good);
        way += dx * dx;
    }
    *moved = fmax(*moved, way);
    return displacement;
}

void cpu_step(const struct ops *ops, const struct box *box, const struct step_law *law, size_t n,
              const uint32_t *id, const int64_t *force, uint64_t *const q_list[], uint64_t *const q[],
              int32_t *const image[], double *const g[], const double *xi_x, const double *xi_g,
              struct step_result *result) {
    (void)ops;
    const int d = box->d;
    if (simd_kernels() && !xi_x && !xi_g && box->periodic && !(law->trap > 0)) {
        simd_kernels()->step(box, law, n, id, force, q_list, q, image, g, result);
        return;
    }
    /* g's numbers come first, so that eps = 0 needs no more words than it uses. */
    const int numbers = law->x_kick > 0 ? 2 * d : d;
    float normal[2 * MAX_DIMENSION + WORDS][BLOCK];
    uint64_t site[MAX_DIMENSION] = {0}; /* where the trap or tether pulls to */
    double largest = 0, moved = 0;
    *result = (struct step_result){0};
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t count = n - begin < BLOCK ? n - begin : BLOCK;
        if (!xi_g)
            normal_block(law->seed, STREAM_STEP, law->step, count, id + begin, numbers, normal);
        for (size_t m = 0; m < count; m++) {
            size_t i = begin + m;
            double noise_x[MAX_DIMENSION] = {0}, noise_g[MAX_DIMENSION];
            for (int a = 0; a < d; a++) {
                noise_g[a] = xi_g ? xi_g[i * (size_t)d + (size_t)a] : (double)normal[a][m];
                if (law->x_kick > 0)
                    noise_x[a] = xi_x ? xi_x[i * (size_t)d + (size_t)a] : (double)normal[d + a][m];
            }
            bool good = true;
            if (law->anchor.d > 0 && law->trap > 0)
                lattice_site(&law->anchor, id[i], site);
            double displacement = advance(box, law, i, site, force, q_list ? q_list : q, q, image, g, noise_x,
                                          noise_g, &moved, &good);
            largest = q_list && displacement > largest ? displacement : largest;
            if (!good) {
                result->bad++;
                result->bad_id = id[i];
            }
        }
    }
    result->displacement = sqrt(largest);
    result->moved = sqrt(moved);
}

void cpu_kick(const struct ops *ops, const struct step_law *law, int d, size_t n, const uint32_t *id,
              double *const g[]) {
    (void)ops;
    float normal[MAX_DIMENSION + WORDS][BLOCK];
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t count = n - begin < BLOCK ? n - begin : BLOCK;
        normal_block(law->seed, STREAM_REFINE, law->step, count, id + begin, d, normal);
        for (int a = 0; a < d; a++)
            for (size_t m = 0; m < count; m++)
                g[a][begin + m] = fma(g[a][begin + m], law->g_decay, law->g_kick * (double)normal[a][m]);
    }
}

void cpu_move(const struct ops *ops, const struct box *box, const struct step_law *law, double dt, size_t n,
              const uint32_t *id, const int64_t *force, double *const g[], uint64_t *const at[],
              uint64_t *const from[], uint64_t *const q_list[], uint64_t *const to[], int32_t *const image[],
              struct step_result *result) {
    (void)ops;
    uint64_t site[MAX_DIMENSION] = {0};
    double largest = 0, moved = 0;
    *result = (struct step_result){0};
    for (size_t i = 0; i < n; i++) {
        bool good = true;
        double displacement = 0, way = 0;
        if (law->anchor.d > 0 && law->trap > 0)
            lattice_site(&law->anchor, id[i], site);
        for (int a = 0; a < box->d; a++) {
            const double unit = box->side[a] * 0x1p-64;
            double dx = dt * step_velocity(law, g[a][i], force[force_at(box->d, i, a)], at[a][i], site[a], unit);
            good = good && step_allowed(dx, box->side[a], g[a][i], force[force_at(box->d, i, a)]);
            way += dx * dx;
            if (good)
                displacement += step_displace(box->periodic, dx, unit, from[a][i], q_list[a][i], &to[a][i],
                                         image ? &image[a][i] : NULL, &good);
        }
        largest = displacement > largest ? displacement : largest;
        moved = fmax(moved, way);
        if (!good) {
            result->bad++;
            result->bad_id = id[i];
        }
    }
    result->displacement = sqrt(largest);
    result->moved = sqrt(moved);
}

void cpu_normal(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                const uint32_t *id, int d, double *out) {
    (void)ops;
    float normal[MAX_DIMENSION + WORDS][BLOCK];
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        size_t count = n - begin < BLOCK ? n - begin : BLOCK;
        normal_block(seed, stream, step, count, id + begin, d, normal);
        for (size_t m = 0; m < count; m++)
            for (int a = 0; a < d; a++)
                out[(begin + m) * (size_t)d + (size_t)a] = (double)normal[a][m];
    }
}

void cpu_rademacher(const struct ops *ops, uint64_t seed, enum rng_stream stream, uint64_t step, size_t n,
                    const uint32_t *id, int d, double *out) {
    (void)ops;
    for (size_t i = 0; i < n; i++) {
        uint32_t word[WORDS];
        rng_words(seed, stream, id[i], step, 0, word);
        for (int a = 0; a < d; a++)
            out[i * (size_t)d + (size_t)a] = (word[0] >> a) & 1 ? 1 : -1;
    }
}

void cpu_shift_positions(const struct ops *ops, const struct box *box, size_t n, double amount,
                         const double *zeta, uint64_t *const q[], uint64_t *const q_out[]) {
    (void)ops;
    for (int a = 0; a < box->d; a++)
        for (size_t i = 0; i < n; i++)
            q_out[a][i] = step_shifted(q[a][i], amount * zeta[i * (size_t)box->d + (size_t)a], box->side[a]);
}

void cpu_shift_propulsion(const struct ops *ops, int d, size_t n, double amount, const double *zeta,
                          double *const g[], double *const g_out[]) {
    (void)ops;
    for (int a = 0; a < d; a++)
        for (size_t i = 0; i < n; i++)
            g_out[a][i] = g[a][i] + amount * zeta[i * (size_t)d + (size_t)a];
}
