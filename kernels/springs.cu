/* Sums over the bonds of a crystal. */
#include "kernels/pairs.h"
#include "ops/spring_formula.h"

/* Sites are found anew for both ends of a bond: some 30 integer operations, against 24 bytes a bond. */
template <int D_> struct springs {
    enum { D = D_ };
    axes<uint64_t> q;
    axes<double> b; /* of the form */
    const uint32_t *id;
    struct box box;
    struct lattice lattice;
    double k;
    bool longitudinal;

    struct ends {
        uint64_t i[MAX_DIMENSION], j[MAX_DIMENSION];
    };
    __device__ __forceinline__ struct ends ends_of(size_t i, size_t j) const {
        struct ends sites;
        lattice_site(&lattice, id[i], sites.i);
        lattice_site(&lattice, id[j], sites.j);
        return sites;
    }

    /* K (u_i - u_j) / kappa, minus the force on i. */
    __device__ __forceinline__ void stretch(size_t i, size_t j, double v[]) const {
        const struct ends site = ends_of(i, j);
#pragma unroll
        for (int a = 0; a < D; a++)
            v[a] = bond_stretch(q.at[a][i], q.at[a][j], site.i[a], site.j[a], box.side[a] * 0x1p-64);
        spring_stiffness(D, &box, longitudinal, site.i, site.j, v);
    }

    __device__ __forceinline__ bool fixed(size_t i, size_t j, int64_t force[]) const {
        double v[D];
        stretch(i, j, v);
#pragma unroll
        for (int a = 0; a < D; a++)
            force[a] = -spring_fixed_point(v[a]);
        return true;
    }

    __device__ __forceinline__ bool terms(size_t i, size_t j, double force[], double *divergence) const {
        double v[D];
        stretch(i, j, v);
        *divergence = -(k * (longitudinal ? 1 : D));
#pragma unroll
        for (int a = 0; a < D; a++)
            force[a] = -(k * v[a]);
        return true;
    }

    __device__ __forceinline__ bool stiffness(size_t i, size_t j, double pair[]) const {
        const struct ends site = ends_of(i, j);
#pragma unroll
        for (int column = 0; column < D; column++) {
            double v[D] = {};
            v[column] = k;
            spring_stiffness(D, &box, longitudinal, site.i, site.j, v);
#pragma unroll
            for (int a = 0; a < D; a++)
                pair[a * D + column] = v[a];
        }
        return true;
    }

    __device__ __forceinline__ bool form(size_t i, size_t j, double *term) const {
        const struct ends site = ends_of(i, j);
        double difference[D], pull[D], sum = 0;
#pragma unroll
        for (int a = 0; a < D; a++)
            pull[a] = difference[a] = b.at[a][i] - b.at[a][j];
        spring_stiffness(D, &box, longitudinal, site.i, site.j, pull);
#pragma unroll
        for (int a = 0; a < D; a++)
            sum += k * difference[a] * pull[a];
        *term = sum;
        return true;
    }
};

template <int D>
static struct springs<D> springs_of(const struct box *box, const struct pair_law *law, double k,
                                    const uint32_t *id, uint64_t *const q[], double *const b[]) {
    struct springs<D> s = {};
    s.q = axes_of(D, q);
    s.b = axes_of(D, b);
    s.id = id;
    s.box = *box;
    s.lattice = law->lattice;
    s.k = k;
    s.longitudinal = law->longitudinal;
    return s;
}

void spring_force(struct device *d, const struct box *box, const struct pair_law *law, size_t owned,
                  const uint32_t *id, uint64_t *const q[], const struct pair_list *list, int64_t *sum) {
    const struct rows rows = rows_of(owned, list);
    if (box->d == 1)
        launch_force(d, springs_of<1>(box, law, 1, id, q, NULL), rows, sum);
    else if (box->d == 2)
        launch_force(d, springs_of<2>(box, law, 1, id, q, NULL), rows, sum);
    else
        launch_force(d, springs_of<3>(box, law, 1, id, q, NULL), rows, sum);
}

void spring_terms(struct device *d, const struct box *box, const struct pair_law *law, double k, size_t owned,
                  const uint32_t *id, uint64_t *const q[], const struct pair_list *list,
                  double *const force[], double *divergence) {
    if (box->d == 1)
        launch_terms(d, springs_of<1>(box, law, k, id, q, NULL), owned, list, force, divergence);
    else if (box->d == 2)
        launch_terms(d, springs_of<2>(box, law, k, id, q, NULL), owned, list, force, divergence);
    else
        launch_terms(d, springs_of<3>(box, law, k, id, q, NULL), owned, list, force, divergence);
}

double spring_quadratic(struct device *d, const struct box *box, const struct pair_law *law, double k,
                        size_t owned, const uint32_t *id, const struct pair_list *list, double *const b[]) {
    const struct rows rows = rows_of(owned, list);
    return box->d == 1   ? launch_forms(d, springs_of<1>(box, law, k, id, NULL, b), rows)
           : box->d == 2 ? launch_forms(d, springs_of<2>(box, law, k, id, NULL, b), rows)
                         : launch_forms(d, springs_of<3>(box, law, k, id, NULL, b), rows);
}

double spring_stiffness_squared(struct device *d, const struct box *box, const struct pair_law *law, double k,
                                double trap, size_t owned, const uint32_t *id, const struct pair_list *list) {
    return box->d == 1   ? launch_squares(d, springs_of<1>(box, law, k, id, NULL, NULL), trap, owned, list)
           : box->d == 2 ? launch_squares(d, springs_of<2>(box, law, k, id, NULL, NULL), trap, owned, list)
                         : launch_squares(d, springs_of<3>(box, law, k, id, NULL, NULL), trap, owned, list);
}
