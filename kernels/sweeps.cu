/* Contacts that sweeps replay: the stiffness of each at displaced positions, and what it does to vectors. */
#include "kernels/rows.h"
#include "ops/edge_formula.h"

enum { BLOCK = 256 };

/* One thread a receiver: a frame's few contacts, once. */
template <int D>
static __global__ void contact_vectors(struct box box, axes<uint64_t> q, struct contacts contacts) {
    const size_t i = ep_index();
    if (i >= contacts.receivers)
        return;
    for (size_t e = contacts.start[i]; e < contacts.start[i + 1]; e++) {
        const size_t j = contacts.sender[e];
        contacts.receiver[e] = (uint32_t)i;
        for (int a = 0; a < D; a++)
            contacts.x[(size_t)a * contacts.count + e] =
                (real)((double)(int64_t)(q.at[a][i] - q.at[a][j]) * (box.side[a] * 0x1p-64));
    }
}

static void cuda_contact_vectors(const struct ops *ops, const struct box *box, uint64_t *const q[],
                                 struct contacts *contacts) {
    ep_launch(device_of(ops), "contact_vectors", EP_BY_DIMENSION(box->d, contact_vectors),
              ep_blocks(contacts->receivers, BLOCK), BLOCK, 0, *box, axes_of(box->d, q), *contacts);
}

/* ---- stiffness ---- */

/* Of a pair force: k, beta, and the guard of r^2. */
struct pair_constants {
    real k, beta, guard;
};
static struct pair_constants pair_constants_of(const struct response_law *law) {
    const struct pair_constants out = {(real)law->k, (real)law->beta, (real)law->constants.shot_guard};
    return out;
}

/* A contact at displaced positions: its direction and its terms. */
template <int D>
static __device__ __forceinline__ struct contact_term contact_at(const struct contacts &contacts, size_t e,
                                                                 const struct pair_constants &law,
                                                                 const real *__restrict__ shift, real n[D]) {
    const size_t i = contacts.receiver[e] * (size_t)D, j = contacts.sender[e] * (size_t)D;
    real square = law.guard;
#pragma unroll
    for (int a = 0; a < D; a++) {
        n[a] = contacts.x[(size_t)a * contacts.count + e] - (shift[i + (size_t)a] - shift[j + (size_t)a]);
        square += n[a] * n[a];
    }
    const struct contact_term term = contact_term_of(law.k, law.beta, square);
#pragma unroll
    for (int a = 0; a < D; a++)
        n[a] *= term.inverse;
    return term;
}

/* One thread a contact: reads 4 (2 + 3 d) bytes, writes 2 d (d + 1); some 60 operations. */
template <int D>
static __global__ void __launch_bounds__(BLOCK)
    contact_stiffness(struct pair_constants law, struct contacts contacts, const real *__restrict__ shift,
                      real *__restrict__ stiff) {
    const size_t e = ep_index();
    if (e >= contacts.count)
        return;
    real n[D];
    const struct contact_term at = contact_at<D>(contacts, e, law, shift, n);
    real *out = stiff + e;
#pragma unroll
    for (int a = 0; a < D; a++)
#pragma unroll
        for (int b = a; b < D; b++, out += contacts.count)
            *out = at.p * n[a] * n[b] + (a == b ? at.t : 0);
}

static void cuda_contact_stiffness(const struct ops *ops, const struct response_law *law,
                                   const struct contacts *contacts, const real *shift, real *stiff) {
    ep_launch(device_of(ops), "contact_stiffness", EP_BY_DIMENSION(law->d, contact_stiffness),
              ep_blocks(contacts->count, BLOCK), BLOCK, 0, pair_constants_of(law), *contacts, shift, stiff);
}

/* Along dx = -(dD_i - dD_j): dr = n . dx, dn = (dx - n dr)/r. */
template <int D>
static __global__ void __launch_bounds__(BLOCK)
    contact_stiffness_tangent(struct pair_constants law, struct contacts contacts,
                              const real *__restrict__ shift, const real *__restrict__ dshift,
                              real *__restrict__ dstiff) {
    const size_t e = ep_index();
    if (e >= contacts.count)
        return;
    const size_t i = contacts.receiver[e] * (size_t)D, j = contacts.sender[e] * (size_t)D;
    real n[D], dn[D], dr = 0;
    const struct contact_term at = contact_at<D>(contacts, e, law, shift, n);
#pragma unroll
    for (int a = 0; a < D; a++) {
        dn[a] = dshift[j + (size_t)a] - dshift[i + (size_t)a];
        dr += n[a] * dn[a];
    }
#pragma unroll
    for (int a = 0; a < D; a++)
        dn[a] = (dn[a] - n[a] * dr) / at.r;
    real *out = dstiff + e;
#pragma unroll
    for (int a = 0; a < D; a++)
#pragma unroll
        for (int b = a; b < D; b++, out += contacts.count)
            *out =
                at.dp * dr * n[a] * n[b] + at.p * (dn[a] * n[b] + n[a] * dn[b]) + (a == b ? at.dt * dr : 0);
}

static void cuda_contact_stiffness_tangent(const struct ops *ops, const struct response_law *law,
                                           const struct contacts *contacts, const real *shift,
                                           const real *dshift, real *dstiff) {
    ep_launch(device_of(ops), "contact_stiffness_tangent", EP_BY_DIMENSION(law->d, contact_stiffness_tangent),
              ep_blocks(contacts->count, BLOCK), BLOCK, 0, pair_constants_of(law), *contacts, shift, dshift,
              dstiff);
}

/* ---- steps ---- */

/* sum += K_e (x_i - x_j). */
template <int D>
static __device__ __forceinline__ void add_product(const struct contacts &contacts, size_t i, size_t e,
                                                   const real *__restrict__ stiff, const real *x,
                                                   real sum[D]) {
    const size_t j = contacts.sender[e];
    real difference[D];
#pragma unroll
    for (int a = 0; a < D; a++)
        difference[a] = x[i * D + (size_t)a] - x[j * D + (size_t)a];
    const real *k = stiff + e;
#pragma unroll
    for (int a = 0; a < D; a++)
#pragma unroll
        for (int b = a; b < D; b++, k += contacts.count) {
            sum[a] += *k * difference[b];
            if (b > a)
                sum[b] += *k * difference[a];
        }
}

/* What a step reads: K and x, and for tangents their changes; base and source may be NULL. */
struct step_input {
    real factor;
    const real *stiff, *x, *dstiff, *dx, *base, *source;
};

/* A group of lanes a receiver, each every eighth contact. Reads 4 (1 + d (d + 1)/2 + d) bytes a contact (for tangents
 * twice that, nearly), and 4 d a receiver of x, base, source and out each. */
template <int D>
static __global__ void __launch_bounds__(BLOCK)
    contact_step(struct contacts contacts, struct step_input in, real *out) {
    const size_t i = ep_index() / GROUP, lane = threadIdx.x % GROUP;
    const bool mine = i < contacts.receivers;
    real sum[D] = {0};
    for (size_t e = mine ? contacts.start[i] + lane : 1, end = mine ? contacts.start[i + 1] : 0; e < end;
         e += GROUP) {
        add_product<D>(contacts, i, e, in.stiff, in.dstiff ? in.dx : in.x, sum);
        if (in.dstiff)
            add_product<D>(contacts, i, e, in.dstiff, in.x, sum);
    }
#pragma unroll
    for (int a = 0; a < D; a++) {
        const real all = group_sum(sum[a]);
        const size_t at = i * D + (size_t)a;
        if (mine && lane == (size_t)a)
            out[at] = (in.base ? in.base[at] : 0) + in.factor * ((in.source ? in.source[at] : 0) - all);
    }
}

static void step_of(const struct ops *ops, const char *name, int d, const struct contacts *contacts,
                    struct step_input in, real *out) {
    ep_launch(device_of(ops), name, EP_BY_DIMENSION(d, contact_step),
              ep_blocks(contacts->receivers, BLOCK / GROUP), BLOCK, 0, *contacts, in, out);
}

static void cuda_contact_step(const struct ops *ops, int d, const struct contacts *contacts, double factor,
                              const real *stiff, const real *x, const real *base, const real *source,
                              real *out) {
    const struct step_input in = {(real)factor, stiff, x, NULL, NULL, base, source};
    step_of(ops, "contact_step", d, contacts, in, out);
}

static void cuda_contact_step_tangent(const struct ops *ops, int d, const struct contacts *contacts,
                                      double factor, const real *stiff, const real *x, const real *dstiff,
                                      const real *dx, const real *dbase, const real *dsource, real *dout) {
    const struct step_input in = {(real)factor, stiff, x, dstiff, dx, dbase, dsource};
    step_of(ops, "contact_step_tangent", d, contacts, in, dout);
}

void cuda_fill_sweeps(struct ops *table) {
    table->contact_vectors = cuda_contact_vectors;
    table->contact_stiffness = cuda_contact_stiffness;
    table->contact_stiffness_tangent = cuda_contact_stiffness_tangent;
    table->contact_step = cuda_contact_step;
    table->contact_step_tangent = cuda_contact_step_tangent;
}
