/* The certificate by class on numbers that every rank can make for all particles, against loops over all of them. */
#include "entropy/classes.h"
#include "entropy/certificate.h"
#include "ranks.h"

enum { N = 1500, FRAMES = 9 };
static const enum column COLUMN_OF[CLASS_RATES] = {COLUMN_EXACT, COLUMN_SIGMA, COLUMN_RESOLVED};

/* What a frame holds of a particle. */
struct sample {
    int phase, contacts, nearby; /* nearby: particles within the radius of the local density */
    double rate[CLASS_RATES];
};
typedef struct sample sampler(size_t id, int frame);

static double uniform(size_t id, int frame, uint32_t what) {
    uint32_t word[4];
    rng_words(11, STREAM_PROBE, (uint32_t)id, (uint64_t)frame, what, word);
    return rng_uniform(word[0]);
}

static double normal(size_t id, int frame, uint32_t what) {
    return sqrt(-2 * log(uniform(id, frame, what))) * cos(2 * M_PI * uniform(id, frame, what + 100));
}

static void fill(struct snapshot *s, sampler *at, int frame) {
    for (size_t i = 0; i < s->count; i++) {
        const struct sample q = at(s->begin + i, frame);
        s->column[COLUMN_PHASE][i] = q.phase;
        s->column[COLUMN_CONTACTS][i] = q.contacts;
        s->column[COLUMN_LOCAL_DENSITY][i] = q.nearby * local_density_unit(s->box.d);
        for (int m = 0; m < CLASS_RATES; m++)
            s->column[COLUMN_OF[m]][i] = q.rate[m];
    }
}

static struct class_values values_of(int d, sampler *at, enum class_table table, struct certificate **c) {
    struct box box = {.d = d, .periodic = true, .side = {40, 40, 40}};
    struct snapshot *s = NULL;
    struct classes *classes = NULL;
    struct class_values v;
    assert_int_equal(snapshot_create(&box, N, comm, &s), STATUS_OK);
    assert_int_equal(classes_create(s, FRAMES, &classes), STATUS_OK);
    if (c)
        assert_int_equal(certificate_create(s, FRAMES, c), STATUS_OK);
    for (int frame = 0; frame < FRAMES; frame++) {
        fill(s, at, frame);
        classes_add(classes, s, comm);
        if (c)
            certificate_add(*c, s, comm);
    }
    assert_int_equal(classes_values(classes, table, comm, &v), STATUS_OK);
    classes_destroy(&classes);
    snapshot_destroy(&s);
    return v;
}

/* ---- counts and sums ---- */

/* No interface, and no particle with 3 contacts. */
static struct sample some(size_t id, int frame) {
    struct sample q = {.phase = uniform(id, frame, 0) < 0.3 ? PHASE_GAS : PHASE_DENSE,
                       .contacts = (int)(9 * uniform(id, frame, 1)),
                       .nearby = 3 + (int)(31 * uniform(id, frame, 2) * uniform(id, frame, 3))};
    q.contacts += q.contacts == 3;
    for (int m = 0; m < CLASS_RATES; m++)
        q.rate[m] = (m == RATE_EXACT ? 2 : 1) + q.contacts + 3 * q.phase + normal(id, frame, 4 + (uint32_t)m);
    return q;
}

/* The class by the definition; densities by the edges of the table. */
static int class_by_hand(enum class_table table, const struct sample *q, const double *edges, int d) {
    const double density = q->nearby / pow(5, d);
    int k = 0;
    if (table == BY_PHASE)
        return q->phase;
    if (table == BY_CONTACTS)
        return q->contacts > 6 ? 6 : q->contacts;
    while (density > edges[k + 1])
        k++;
    assert_true(k < CLASS_MOST && density > edges[k]);
    return k;
}

static void assert_table(int d, enum class_table table) {
    struct certificate *c = NULL;
    const struct class_values v = values_of(d, some, table, &c);
    double count[CLASS_MOST] = {0}, sum[CLASS_RATES][CLASS_MOST] = {{0}};
    for (int frame = 0; frame < FRAMES; frame++)
        for (size_t id = 0; id < N; id++) {
            const struct sample q = some(id, frame);
            const int k = class_by_hand(table, &q, v.edges, d);
            count[k] += 1;
            for (int m = 0; m < CLASS_RATES; m++)
                sum[m][k] += q.rate[m];
        }
    double all = 0, total[CLASS_RATES] = {0};
    for (int k = 0; k < class_table_info[table].classes; k++) {
        assert_below(fabs(v.count[k] - count[k] / FRAMES), 1e-9);
        for (int m = 0; m < CLASS_RATES; m++) {
            if (count[k] > 0)
                assert_below(fabs(v.rate[m][k] - sum[m][k] / count[k]), 1e-9);
            else
                assert_true(isnan(v.rate[m][k]) && isnan(v.rate_error[m][k]));
            total[m] += count[k] > 0 ? v.count[k] * v.rate[m][k] : 0;
        }
        if (count[k] > 0)
            assert_below(fabs(v.fraction[k] - sum[RATE_RESOLVED][k] / sum[RATE_EXACT][k]), 1e-9);
        else
            assert_true(isnan(v.fraction[k]) && isnan(v.fraction_error[k]) && v.count[k] == 0);
        all += v.count[k];
    }
    static const enum certificate_term term[CLASS_RATES] = {TERM_EXACT, TERM_CAPTURED, TERM_RESOLVED};
    assert_below(fabs(all - N), 1e-9);
    for (int m = 0; m < CLASS_RATES; m++) {
        double factor[TERMS] = {0};
        factor[term[m]] = 1;
        assert_below(fabs(total[m] / N - certificate_mean(c, factor, comm).value), 1e-9);
    }
    certificate_destroy(&c);
}

static void test_sums(void **state) {
    (void)state;
    for (int d = 1; d <= 3; d++)
        for (int table = 0; table < CLASS_TABLES; table++)
            assert_table(d, table);
}

/* ---- edges ---- */

static int density_least, density_most; /* particles nearby */

static struct sample spread(size_t id, int frame) {
    (void)frame;
    return (struct sample){.nearby = density_least + (int)(id % (size_t)(density_most - density_least + 1)),
                           .rate = {1, 1, 1}};
}

/* Whatever the range, every particle has a class; narrow ranges leave the last classes empty. */
static void test_edges(void **state) {
    (void)state;
    static const int range[][2] = {{1, 1}, {4, 6}, {1, 12}, {5, 17}, {2, 90}, {60, 60}, {45, 300}};
    for (size_t m = 0; m < sizeof range / sizeof *range; m++) {
        density_least = range[m][0];
        density_most = range[m][1];
        const struct class_values v = values_of(2, spread, BY_DENSITY, NULL);
        const int width = density_most - density_least + 1;
        double all = 0;
        for (int k = 0; k < CLASS_MOST; k++) {
            assert_true(v.edges[k + 1] >= v.edges[k]);
            assert_true((v.count[k] > 0) == (v.edges[k + 1] > v.edges[k]));
            all += v.count[k];
        }
        assert_below(fabs(all - N), 1e-9);
        assert_below(fabs(v.edges[CLASS_MOST] - (density_most + 0.5) / 25), 1e-12);
        if (density_least <= 50) /* twice what fills space: denser ones are one class */
            assert_below(fabs(v.edges[0] - (density_least - 0.5) / 25), 1e-12);
        if (width >= CLASS_MOST && density_most <= 50)
            assert_true(v.count[CLASS_MOST - 1] > 0);
    }
}

/* ---- errors ---- */

static double by_particle, by_frame, by_both; /* amplitudes of what differs from one to the next */

static struct sample noisy(size_t id, int frame) {
    struct sample q = {.phase = id % 2 ? PHASE_GAS : PHASE_DENSE, .nearby = 1};
    for (uint32_t m = 0; m < CLASS_RATES; m++)
        q.rate[m] = 10 + by_particle * normal(id, 0, 20 + m) + by_frame * normal(0, frame, 30 + m) +
                    by_both * normal(id, frame, 40 + m);
    return q;
}

static void test_errors(void **state) {
    (void)state;
    static const double amplitude[][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0.1, 1}};
    for (int m = 0; m < 4; m++) {
        by_particle = amplitude[m][0];
        by_frame = amplitude[m][1];
        by_both = amplitude[m][2];
        const struct class_values v = values_of(2, noisy, BY_PHASE, NULL);
        const double independent = by_both * by_both / (N / 2 * FRAMES),
                     want = sqrt(fmax(by_particle * by_particle / (N / 2), by_frame * by_frame / FRAMES) +
                                 independent);
        for (int k = 0; k <= 2; k += 2) {
            for (int r = 0; r < CLASS_RATES; r++)
                assert_true(v.rate_error[r][k] > 0.5 * want && v.rate_error[r][k] < 2 * want);
            /* of a ratio of two independent rates of about 10 */
            assert_true(v.fraction_error[k] > 0.5 * sqrt(2) * want / 10 &&
                        v.fraction_error[k] < 2 * sqrt(2) * want / 10);
            assert_true(v.count_error[k] < 1e-9); /* the same in every frame */
        }
    }
}

/* Without a positive exact rate there is no fraction; without dynamics no exact rate. */
static struct sample nothing(size_t id, int frame) {
    (void)frame;
    return (struct sample){.phase = id % 2 ? PHASE_GAS : PHASE_DENSE,
                           .nearby = 1,
                           .rate = {id % 2 ? 0 : NAN, 2, id % 2 ? -1 : NAN}};
}

static void test_no_fraction(void **state) {
    (void)state;
    const struct class_values v = values_of(2, nothing, BY_PHASE, NULL);
    for (int k = 0; k <= 2; k += 2) {
        assert_true(isnan(v.fraction[k]) && isnan(v.fraction_error[k]));
        assert_true(v.rate[RATE_CAPTURED][k] == 2 && v.count[k] == N / 2);
    }
    assert_true(v.rate[RATE_EXACT][PHASE_GAS] == 0 && v.rate[RATE_RESOLVED][PHASE_GAS] == -1);
    assert_true(isnan(v.rate[RATE_EXACT][PHASE_DENSE]) && isnan(v.rate_error[RATE_EXACT][PHASE_DENSE]));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sums), cmocka_unit_test(test_edges),
                                       cmocka_unit_test(test_errors), cmocka_unit_test(test_no_fraction)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
