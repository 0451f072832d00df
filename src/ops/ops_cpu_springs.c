/* The springs of a crystal. */
#include "ops/ops_cpu.h"
#include "ops/spring_formula.h"

/* What the bonds of one particle need of it, found once for all of them. */
struct bond_end {
    size_t i;
    uint64_t site[MAX_DIMENSION];
};

static inline struct bond_end end_of(const struct pair_law *law, const uint32_t *id, size_t i) {
    struct bond_end end = {.i = i};
    lattice_site(&law->lattice, id[i], end.site);
    return end;
}

/* v, a difference over the bond of p and r, becomes K v / kappa. */
static inline void stiffness(const struct box *box, const struct pair_law *law, const struct bond_end *p,
                             const struct bond_end *r, double v[]) {
    spring_stiffness(box->d, box, law->longitudinal, p->site, r->site, v);
}

/* K (u_p - u_r) / kappa, minus the force on p. */
static inline void stretch(const struct box *box, const struct pair_law *law, const struct bond_end *p,
                           const struct bond_end *r, uint64_t *const q[], double v[]) {
    for (int a = 0; a < box->d; a++)
        v[a] = bond_stretch(q[a][p->i], q[a][r->i], p->site[a], r->site[a], box->side[a] * 0x1p-64);
    stiffness(box, law, p, r, v);
}

void cpu_spring_force(const struct box *box, const struct pair_law *law, size_t owned, const uint32_t *id,
                      uint64_t *const q[], const struct pair_list *list, int64_t *sum) {
    for (size_t i = 0; i < owned; i++) {
        const struct bond_end p = end_of(law, id, i);
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            const struct bond_end r = end_of(law, id, list->neighbour[m]);
            double v[MAX_DIMENSION];
            stretch(box, law, &p, &r, q, v);
            for (int a = 0; a < box->d; a++) {
                int64_t force = spring_fixed_point(v[a]);
                sum[force_at(box->d, i, a)] -= force;
                sum[force_at(box->d, r.i, a)] += force;
            }
        }
    }
}

void cpu_spring_terms(const struct box *box, const struct pair_law *law, double k, size_t owned,
                      const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                      double *const force[], double *divergence) {
    const double trace = k * (law->longitudinal ? 1 : box->d);
    for (size_t i = 0; i < owned; i++) {
        const struct bond_end p = end_of(law, id, i);
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            const struct bond_end r = end_of(law, id, list->neighbour[m]);
            double v[MAX_DIMENSION];
            stretch(box, law, &p, &r, q, v);
            divergence[i] -= trace;
            divergence[r.i] -= trace;
            for (int a = 0; a < box->d; a++) {
                force[a][i] -= k * v[a];
                force[a][r.i] += k * v[a];
            }
        }
    }
}

double cpu_spring_quadratic(const struct box *box, const struct pair_law *law, double k, size_t owned,
                            const uint32_t *id, const struct pair_list *list, double *const b[]) {
    double sum = 0;
    for (size_t i = 0; i < owned; i++) {
        const struct bond_end p = end_of(law, id, i);
        for (size_t m = list->start[i]; m < list->start[i + 1]; m++) {
            const struct bond_end r = end_of(law, id, list->neighbour[m]);
            double difference[MAX_DIMENSION], pull[MAX_DIMENSION], term = 0;
            for (int a = 0; a < box->d; a++)
                pull[a] = difference[a] = b[a][i] - b[a][r.i];
            stiffness(box, law, &p, &r, pull);
            for (int a = 0; a < box->d; a++)
                term += k * difference[a] * pull[a];
            sum += r.i < owned ? term : term / 2;
        }
    }
    return sum;
}

void cpu_spring_stiffness(const struct box *box, const struct pair_law *law, double k, uint32_t id,
                          uint32_t other, double pair[]) {
    const uint32_t ids[2] = {id, other};
    const struct bond_end p = end_of(law, ids, 0), r = end_of(law, ids, 1);
    for (int b = 0; b < box->d; b++) {
        double v[MAX_DIMENSION] = {0};
        v[b] = k;
        stiffness(box, law, &p, &r, v);
        for (int a = 0; a < box->d; a++)
            pair[a * box->d + b] = v[a];
    }
}
