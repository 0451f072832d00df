/* Windows of lattice sites: the neighbours of a particle are those whose sites are next to its own, wherever the
 * particles are, on any number of ranks; against brute force. */
#include "dynamics/system.h"
#include "learn/dataset.h"
#include "ranks.h"

enum { NX = 20, NY = 16, N = NX * NY, NEAR = 18 };

static double site_distance(const struct box *box, const struct lattice *lattice, uint32_t i, uint32_t j) {
    uint64_t site[MAX_DIMENSION], other[MAX_DIMENSION];
    double square = 0;
    lattice_site(lattice, i, site);
    lattice_site(lattice, j, other);
    for (int a = 0; a < box->d; a++) {
        const double delta = (double)(int64_t)(site[a] - other[a]) * (box->side[a] * 0x1p-64);
        square += delta * delta;
    }
    return sqrt(square);
}

static void test_neighbours(void **state) {
    (void)state;
    const struct system_parameters system = {.kind = SYSTEM_CRYSTAL,
                                             .dimension = 2,
                                             .particles = N,
                                             .copies = 1,
                                             .box_sides = 2,
                                             .box = {NX * 2.1, NY * 1.8},
                                             .spring = 1};
    const struct box box = system_box(&system);
    const struct lattice lattice = system_lattice(&system);
    struct slice *slice = NULL;
    struct frame *frame = NULL;
    assert_int_equal(slice_create(N, 2, comm, &slice), STATUS_OK);
    for (size_t i = 0; i < slice->count; i++) {
        uint32_t word[4];
        uint64_t site[MAX_DIMENSION];
        rng_words(4, STREAM_PROBE, (uint32_t)(slice->begin + i), 0, 0, word);
        lattice_site(&lattice, (uint32_t)(slice->begin + i), site);
        for (int a = 0; a < 2; a++) { /* displaced by up to 1.5: more than half the distance between sites */
            slice->q[2 * i + (size_t)a] =
                site[a] + position_to_integer(&box, a, 3 * rng_uniform(word[a]) - 1.5);
            slice->g[2 * i + (size_t)a] = 0;
        }
    }
    assert_int_equal(frame_create(ops_cpu(), comm, &box, slice, &lattice, true, NEAR, 0, 0, &frame),
                     STATUS_OK);
    const struct particles *p = frame->particles;
    for (size_t i = 0; i < p->owned; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(&lattice, p->id[i], site);
        for (int a = 0; a < 2; a++) /* the positions are back in place */
            assert_below(fabs((double)(int64_t)(p->q[a][i] - site[a]) * box.side[a] * 0x1p-64), 1.51);
        double last = 0;
        for (int m = 0; m < NEAR; m++) {
            const uint32_t j = frame->nearest[i * NEAR + (size_t)m];
            assert_true(j < p->owned + p->ghosts);
            const double r = site_distance(&box, &lattice, p->id[i], p->id[j]);
            assert_true(r >= last - 1e-9 && p->id[j] != p->id[i]);
            last = r;
        }
        size_t nearer = 0; /* no particle that is left out is nearer than the last one */
        for (uint32_t j = 0; j < N; j++)
            nearer += j != p->id[i] && site_distance(&box, &lattice, p->id[i], j) < last - 1e-9;
        assert_true(nearer < NEAR);
    }
    for (size_t i = p->owned; i < p->owned + p->ghosts; i++) {
        uint64_t site[MAX_DIMENSION];
        lattice_site(&lattice, p->id[i], site);
        double away = 0;
        for (int a = 0; a < 2; a++)
            away += fabs((double)(int64_t)(p->q[a][i] - site[a]) * box.side[a] * 0x1p-64);
        assert_true(away > 0 && away < 3.02); /* a ghost is where its owner is, not at its site */
    }
    frame_destroy(&frame);
    slice_destroy(&slice);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_neighbours)};
    return run_on_ranks(argc, argv, tests, 1);
}
