/* Ownership, migration, halos and neighbours on any number of ranks, against brute force on the whole
 * configuration, which every rank knows. */
#include "ranks.h"

static const struct setting {
    int d;
    size_t n;
    double side;
    bool periodic;
} settings[] = {{2, 700, 40, true}, {3, 500, 14, true}, {1, 60, 50, true}, {2, 300, 120, false},
                {2, 13, 10, true},  {2, 40, 400, true}, {3, 30, 200, true}};
enum { SETTINGS = sizeof settings / sizeof *settings };

/* The configuration spread over the ranks. */
struct spread {
    struct whole w;
    struct domain *domain;
    struct particles *p;
};

static struct spread spread_out(const struct setting *s, double cell) {
    struct spread c = {.w = whole_make(s->d, s->n, s->side, s->periodic, 11)};
    struct slice *slice = whole_slice(&c.w);
    assert_int_equal(domain_create(&c.w.box, comm, &c.domain), STATUS_OK);
    assert_true(domain_is_valid(c.domain));
    assert_int_equal(particles_create(ops_cpu(), s->d, 1, &c.p), STATUS_OK);
    assert_int_equal(particles_from_slice(c.p, c.domain, comm, slice, cell), STATUS_OK);
    assert_true(domain_is_valid(c.domain));
    slice_destroy(&slice);
    return c;
}

static void gather_up(struct spread *c) {
    particles_destroy(&c->p);
    domain_destroy(&c->domain);
    whole_free(&c->w);
}

static void assert_owned_right(const struct spread *c) {
    int64_t owned = (int64_t)c->p->owned;
    comm_sum_integer(comm, &owned, 1);
    assert_int_equal(owned, c->w.n);
    for (size_t i = 0; i < c->p->owned; i++) {
        uint64_t q[MAX_DIMENSION] = {0};
        for (int a = 0; a < c->w.box.d; a++) {
            q[a] = c->p->q[a][i];
            assert_int_equal(q[a], c->w.q[a][c->p->id[i]]);
            assert_true(c->p->g[a][i] == c->w.g[a][c->p->id[i]]);
            assert_int_equal(c->p->image[a][i], (int)c->p->id[i] % 5 - 2);
        }
        assert_int_equal(domain_owner(c->domain, c->p->id[i], q), comm_rank(comm));
        assert_true(domain_distance(c->domain, comm_rank(comm), q) == 0);
    }
}

/* Shares differ by one where no two particles share a coordinate. */
static void test_balance(void **state) {
    (void)state;
    for (int m = 0; m < SETTINGS; m++) {
        struct spread c = spread_out(&settings[m], 0);
        double fair = (double)c.w.n / comm_size(comm);
        assert_owned_right(&c);
        assert_true(fabs((double)c.p->owned - fair) < 4);
        gather_up(&c);
    }
}

/* Where particles cost one rank more than another, cuts share out what they cost. */
static void test_weights(void **state) {
    (void)state;
    const int ranks = comm_size(comm);
    for (int m = 0; m < 2; m++) {
        struct spread c = spread_out(&settings[m], 0);
        int64_t *weight = calloc(c.w.n, sizeof *weight), mine = 1 + comm_rank(comm), all = 0, share = 0;
        for (size_t i = 0; i < c.p->owned; i++)
            weight[c.p->id[i]] = mine;
        comm_sum_integer(comm, weight, (int)c.w.n);
        assert_int_equal(domain_balance(c.domain, comm, c.p->owned, mine, c.p->q), STATUS_OK);
        assert_int_equal(particles_migrate(c.p, c.domain, comm, 0), STATUS_OK);
        assert_owned_right(&c);
        for (size_t i = 0; i < c.w.n; i++)
            all += weight[i];
        for (size_t i = 0; i < c.p->owned; i++)
            share += weight[c.p->id[i]];
        assert_true(fabs((double)share - (double)all / ranks) < 3 * ranks + 1);
        free(weight);
        gather_up(&c);
    }
}

/* Particles that jump anywhere arrive at their new owners, and come back in order of id. */
static void test_migration(void **state) {
    (void)state;
    for (int m = 0; m < SETTINGS; m++)
        for (int sorted = 0; sorted < 2; sorted++) {
            struct spread c = spread_out(&settings[m], sorted ? 2.5 : 0);
            struct slice *slice = NULL;
            for (int a = 0; a < c.w.box.d; a++) {
                for (size_t id = 0; id < c.w.n; id++)
                    c.w.q[a][id] = (c.w.q[a][id] + ((uint64_t)id << 51)) &
                                   (c.w.box.periodic ? UINT64_MAX : UINT64_MAX >> 3);
                for (size_t i = 0; i < c.p->owned; i++)
                    c.p->q[a][i] = c.w.q[a][c.p->id[i]];
            }
            assert_int_equal(particles_migrate(c.p, c.domain, comm, sorted ? 2.5 : 0), STATUS_OK);
            assert_owned_right(&c);
            assert_int_equal(slice_create(c.w.n, c.w.box.d, comm, &slice), STATUS_OK);
            assert_int_equal(particles_to_slice(c.p, comm, slice), STATUS_OK);
            for (size_t i = 0; i < slice->count; i++)
                for (int a = 0; a < c.w.box.d; a++)
                    assert_int_equal(slice->q[i * (size_t)c.w.box.d + (size_t)a], c.w.q[a][slice->begin + i]);
            slice_destroy(&slice);
            gather_up(&c);
        }
}

/* Rows in order of id reach the owners, and come back; ids may be asked for twice, or by one rank alone. */
static void test_rows(void **state) {
    (void)state;
    enum { COLUMNS = 3 };
    for (int m = 0; m < SETTINGS; m++)
        for (int asking = 0; asking < 3; asking++) {
            struct spread c = spread_out(&settings[m], 0);
            const size_t begin = slice_begin(c.w.n, comm_size(comm), comm_rank(comm));
            const size_t count = slice_begin(c.w.n, comm_size(comm), comm_rank(comm) + 1) - begin;
            const bool last = comm_rank(comm) == comm_size(comm) - 1;
            const size_t asked = asking == 0 ? c.p->owned : asking == 1 ? c.w.n : last ? c.w.n : 0;
            double *rows = malloc((count * COLUMNS + 1) * sizeof *rows),
                   *back = malloc((count * COLUMNS + 1) * sizeof *back);
            double *got = malloc((asked * COLUMNS + 1) * sizeof *got);
            uint32_t *id = malloc((asked + 1) * sizeof *id);
            for (size_t i = 0; i < asked; i++)
                id[i] = asking == 0 ? c.p->id[i] : (uint32_t)(c.w.n - 1 - i);
            for (size_t i = 0; i < count * COLUMNS; i++)
                rows[i] = 1 / (1.0 + (double)(begin * COLUMNS + i));
            assert_int_equal(rows_from_slice(c.w.n, COLUMNS, rows, asked, id, comm, got), STATUS_OK);
            for (size_t i = 0; i < asked * COLUMNS; i++)
                assert_true(got[i] == 1 / (1.0 + (double)(id[i / COLUMNS] * COLUMNS + i % COLUMNS)));
            if (asking == 0) {
                assert_int_equal(rows_to_slice(asked, id, COLUMNS, got, c.w.n, comm, back), STATUS_OK);
                assert_memory_equal(back, rows, count * COLUMNS * sizeof *rows);
            }
            if (last)
                id[0] = (uint32_t)c.w.n;
            assert_int_equal(rows_from_slice(c.w.n, COLUMNS, rows, last ? 1 : 0, id, comm, got),
                             STATUS_NUMBERS);
            status_clear();
            free(rows);
            free(back);
            free(got);
            free(id);
            gather_up(&c);
        }
}

/* Fewer particles than ranks: slices and owners without any. */
static void test_empty_rows(void **state) {
    (void)state;
    const size_t begin = slice_begin(2, comm_size(comm), comm_rank(comm));
    const size_t count = slice_begin(2, comm_size(comm), comm_rank(comm) + 1) - begin;
    const double all[2] = {4, 5};
    const uint32_t id[2] = {1, 0};
    double got[2] = {0};
    const bool first = comm_rank(comm) == 0;
    assert_int_equal(rows_from_slice(2, 1, count ? all + begin : NULL, first ? 2 : 0, id, comm, got),
                     STATUS_OK);
    assert_true(got[0] == (first ? 5 : 0) && got[1] == (first ? 4 : 0));
}

/* A rank holds, beside its own, exactly the particles closer to its box than the halo is wide. */
static void test_halo(void **state) {
    (void)state;
    for (int m = 0; m < SETTINGS; m++)
        for (double width = 0.5; width < 400; width *= 3) {
            struct spread c = spread_out(&settings[m], 0);
            struct halo *halo = NULL;
            char *held = calloc(c.w.n, 1);
            assert_int_equal(halo_create(c.p, c.domain, comm, width, &halo), STATUS_OK);
            assert_true(halo_is_valid(halo, c.p));
            for (size_t i = 0; i < c.p->owned + c.p->ghosts; i++)
                held[c.p->id[i]] = i < c.p->owned ? 2 : 1;
            for (size_t id = 0; id < c.w.n; id++) {
                uint64_t q[MAX_DIMENSION] = {0};
                for (int a = 0; a < c.w.box.d; a++)
                    q[a] = c.w.q[a][id];
                bool near = domain_distance(c.domain, comm_rank(comm), q) < width;
                assert_int_equal(held[id] > 0, near);
            }
            /* new positions travel along */
            for (int a = 0; a < c.w.box.d; a++)
                for (size_t i = 0; i < c.p->owned; i++)
                    c.p->q[a][i] += c.p->id[i] + 1;
            halo_positions(halo, c.p);
            for (int a = 0; a < c.w.box.d; a++)
                for (size_t i = c.p->owned; i < c.p->owned + c.p->ghosts; i++) {
                    assert_int_equal(c.p->q[a][i], c.w.q[a][c.p->id[i]] + c.p->id[i] + 1);
                    assert_true(c.p->g[a][i] == c.w.g[a][c.p->id[i]]);
                }
            /* a copy that somebody changed is noticed */
            if (comm_size(comm) > 1) {
                double ghosts = (double)c.p->ghosts;
                if (c.p->ghosts > 0)
                    c.p->q[0][c.p->owned]++;
                comm_max(comm, &ghosts, 1);
                assert_int_equal(halo_is_valid(halo, c.p), ghosts == 0);
            }
            halo_destroy(&halo);
            free(held);
            gather_up(&c);
        }
}

/* Every pair closer than the radius is in the lists once per rank that owns one of it, and no other is. */
static void test_pairs(void **state) {
    (void)state;
    for (int m = 0; m < SETTINGS; m++) {
        const double radius = settings[m].d == 1 ? 6 : 3.1;
        struct spread c = spread_out(&settings[m], radius);
        struct halo *halo = NULL;
        struct pair_list list = {0};
        char *seen = calloc(c.w.n * c.w.n, 1);
        assert_int_equal(halo_create(c.p, c.domain, comm, radius, &halo), STATUS_OK);
        assert_int_equal(pairs_build(c.p, &c.w.box, radius, &list), STATUS_OK);
        for (size_t i = 0; i < c.p->owned; i++)
            for (uint32_t k = list.start[i]; k < list.start[i + 1]; k++) {
                size_t j = list.neighbour[k];
                seen[c.p->id[i] * c.w.n + c.p->id[j]]++;
                if (j < c.p->owned)
                    seen[c.p->id[j] * c.w.n + c.p->id[i]]++;
            }
        for (size_t i = 0; i < c.p->owned; i++)
            for (size_t j = 0; j < c.w.n; j++) {
                size_t id = c.p->id[i];
                bool near = id != j && whole_distance(&c.w, id, j) < radius;
                assert_int_equal(seen[id * c.w.n + j], near);
            }
        pairs_release(ops_cpu(), &list);
        halo_destroy(&halo);
        free(seen);
        gather_up(&c);
    }
}

/* The k nearest of every owned particle, however far the halo must reach, against sorting all distances. */
static const struct whole *sorting;
static size_t sorting_from;
static int compare_distance(const void *a, const void *b) {
    double x = whole_distance(sorting, sorting_from, *(const uint32_t *)a);
    double y = whole_distance(sorting, sorting_from, *(const uint32_t *)b);
    return (x > y) - (x < y);
}

static void test_nearest(void **state) {
    (void)state;
    for (int m = 0; m < SETTINGS; m++)
        for (int k = 1; k < (int)settings[m].n; k = 4 * k + 3) {
            struct spread c = spread_out(&settings[m], 1);
            struct halo *halo = NULL;
            uint32_t *index = NULL, *order = malloc(c.w.n * sizeof *order);
            assert_int_equal(nearest_build(c.p, c.domain, comm, c.w.n, k, 1, 0.5, &halo, &index), STATUS_OK);
            for (size_t i = 0; i < c.p->owned; i += c.w.n < 100 ? 1 : 7) {
                size_t others = 0;
                for (uint32_t j = 0; j < c.w.n; j++)
                    if (j != c.p->id[i])
                        order[others++] = j;
                sorting = &c.w;
                sorting_from = c.p->id[i];
                qsort(order, others, sizeof *order, compare_distance);
                for (int r = 0; r < k; r++)
                    assert_int_equal(c.p->id[index[i * (size_t)k + (size_t)r]], order[r]);
            }
            ops_cpu()->release(ops_cpu(), index);
            halo_destroy(&halo);
            free(order);
            gather_up(&c);
        }
}

/* Copies: each whole on one rank, about as many on every rank, without ghosts; pairs and nearest within a copy only. */
static void test_copies(void **state) {
    (void)state;
    enum { COPIES = 5, GROUP = 14, K = 6 };
    for (int periodic = 0; periodic < 2; periodic++) {
        struct whole w = whole_make(2, COPIES * GROUP, 12, periodic, 17);
        w.box.group = GROUP;
        w.box.groups = COPIES;
        struct spread c = {.w = w};
        struct slice *slice = whole_slice(&w);
        struct halo *halo = NULL;
        struct pair_list list = {0};
        uint32_t *index = NULL;
        const double radius = 5;
        size_t pairs = 0, want = 0;
        assert_int_equal(domain_create(&w.box, comm, &c.domain), STATUS_OK);
        assert_int_equal(particles_create(ops_cpu(), 2, 1, &c.p), STATUS_OK);
        assert_int_equal(particles_from_slice(c.p, c.domain, comm, slice, 3), STATUS_OK);
        assert_int_equal(c.p->owned % GROUP, 0);
        assert_true(abs((int)(c.p->owned / GROUP) * comm_size(comm) - COPIES) <= comm_size(comm));
        assert_int_equal(nearest_build(c.p, c.domain, comm, w.n, K, 1, 0.5, &halo, &index), STATUS_OK);
        assert_int_equal(c.p->ghosts, 0);
        assert_int_equal(pairs_build(c.p, &w.box, radius, &list), STATUS_OK);
        for (size_t i = 0; i < c.p->owned; i++) {
            uint32_t id = c.p->id[i];
            double distance[GROUP], others = 0;
            assert_int_equal(domain_owner(c.domain, id, NULL), comm_rank(comm));
            for (uint32_t m = list.start[i]; m < list.start[i + 1]; m++) {
                assert_int_equal(c.p->id[list.neighbour[m]] / GROUP, id / GROUP);
                pairs++;
            }
            for (uint32_t j = id / GROUP * GROUP; j < (id / GROUP + 1) * GROUP; j++) {
                distance[j % GROUP] = whole_distance(&w, id, j);
                want += j > id && distance[j % GROUP] < radius;
            }
            for (int r = 0; r < K; r++) { /* as many are nearer as were named before it */
                uint32_t j = c.p->id[index[i * K + (size_t)r]];
                assert_int_equal(j / GROUP, id / GROUP);
                others = 0;
                for (uint32_t m = 0; m < GROUP; m++)
                    others += m != id % GROUP && distance[m] < distance[j % GROUP];
                assert_int_equal((int)others, r);
            }
        }
        assert_int_equal(pairs, want);
        ops_cpu()->release(ops_cpu(), index);
        pairs_release(ops_cpu(), &list);
        halo_destroy(&halo);
        slice_destroy(&slice);
        gather_up(&c);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_balance), cmocka_unit_test(test_weights),    cmocka_unit_test(test_migration),
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_empty_rows), cmocka_unit_test(test_halo),
        cmocka_unit_test(test_pairs),   cmocka_unit_test(test_nearest),    cmocka_unit_test(test_copies)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
