/* Frames as training and evaluation get them: those of a file that has no exact rate get it from the positions, and
 * pairs of frames become midpoints with rates of change, in order of the owners, whatever file and ranks. */
#include "commands/frames.h"
#include "test_io.h"

enum { N = 60, FRAMES = 4, K = 6 };
static const struct network_parameters windows = {.neighbours = K};
static const double SIDE = 16, DT = 0.75;

/* Positions that a particle at constant velocity has, through the edge of the box; g turns. */
static double speed_of(size_t id, int axis) {
    return 2 * sin((double)(3 * id) + axis);
}
static double unwrapped_of(size_t frame, size_t id, int axis) {
    double start = SIDE * (double)((id * (axis ? 11 : 7) + 3) % 61) / 61;
    return start + speed_of(id, axis) * DT * (double)frame;
}
static double wrapped(double x) {
    x -= SIDE * floor(x / SIDE);
    return x < SIDE ? x : 0;
}

static struct session session_make(bool foreign) {
    static struct session s;
    s = (struct session){.comm = comm, .ops = ops_cpu(), .device = "cpu"};
    const char *all[] = {"system.particles=60",
                         "system.box=16",
                         "system.v0=0.25",
                         "system.gamma=0.5",
                         "system.k=2",
                         "system.beta=8",
                         "simulation.frames=4",
                         "simulation.dt=0.0625",
                         "simulation.burn_in=1",
                         "simulation.frame_interval=0.75",
                         "output.directory=results",
                         "network.neighbours=6"};
    if (config_parse("test", "", sizeof all / sizeof *all, all, &s.config) != STATUS_OK)
        fail_msg("%s", status_message());
    snprintf(s.config.data.position, CONFIG_TEXT, "%s", foreign ? "particles/trajectory/position" : "");
    snprintf(s.config.data.propulsion, CONFIG_TEXT, "%s", foreign ? "particles/trajectory/propulsion" : "");
    return s;
}

/* An own trajectory of these positions; stretch: frames are so many times as far apart as they say. */
static const char *write_frames(const struct session *s, double stretch, double rate) {
    const char *path = in_folder("trajectory.h5");
    struct trajectory *t = trajectory_make(path, &s->config);
    for (size_t m = 0; m < FRAMES; m++) {
        struct trajectory_frame f = frame_make(N, 2, comm_rank(comm), false, 0);
        f.step = (int64_t)(12 * m);
        f.time = rate * (double)m;
        f.scalars.div_b = -1234;
        for (size_t i = 0; i < f.count; i++)
            for (int a = 0; a < 2; a++) {
                double moved = unwrapped_of(m, f.begin + i, a) - unwrapped_of(0, f.begin + i, a);
                f.position[2 * i + (size_t)a] = wrapped(unwrapped_of(0, f.begin + i, a) + stretch * moved);
                f.g[2 * i + (size_t)a] = propulsion_of(m, f.begin + i, a);
            }
        assert_int_equal(trajectory_write(t, m, &f), STATUS_OK);
        frame_free(&f);
    }
    assert_int_equal(trajectory_close(&t), STATUS_OK);
    return path;
}

/* f(r) = log(1 + exp(beta (2 - r))) / beta and its divergence, summed over all pairs by brute force. */
static double exact_of(const struct session *s, double frame_at) {
    const struct system_parameters *p = &s->config.system;
    const double cutoff = config_cutoff(p, &s->config.simulation);
    double sum = 0;
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++) {
            double square = 0;
            for (int a = 0; a < 2; a++) {
                double start[2];
                for (int m = 0; m < 2; m++) {
                    size_t id = m ? j : i;
                    start[m] = unwrapped_of(0, id, a) + speed_of(id, a) * DT * frame_at;
                }
                double x = start[0] - start[1];
                x -= SIDE * rint(x / SIDE);
                square += x * x;
            }
            const double r = sqrt(square), e = exp(p->beta * (2 - r));
            if (i != j && r < cutoff)
                sum += p->k * (-e / (1 + e) + log1p(e) / p->beta / r);
        }
    return -sum;
}

static void assert_exact(double got, double expected) {
    if (!(fabs(got - expected) < 1e-6 * fabs(expected)))
        fail_msg("exact rate %.12g where %.12g is expected", got, expected);
}

/* Of its own file a frame has the rate that is recorded; of any other, the one of its positions, for which its halo
 * must reach beyond the one neighbour that is asked for. */
static void test_exact(void **state) {
    (void)state;
    for (int foreign = 0; foreign < 2; foreign++) {
        struct session s = session_make(foreign);
        struct source *source = NULL;
        assert_int_equal(source_open(&s, write_frames(&s, 1, DT), 0.25, false, &windows, &source), STATUS_OK);
        assert_int_equal(source->frames, FRAMES);
        assert_int_equal(source->held_out, 1);
        for (size_t m = 0; m < FRAMES; m++) {
            struct frame *frame = NULL;
            double time = 0;
            int64_t step = 0;
            assert_int_equal(source_frame(&s, source, m, 1, 0, 0, &frame, &step, &time), STATUS_OK);
            assert_int_equal(step, 12 * m);
            assert_true(time == DT * (double)m);
            assert_exact(frame->exact, foreign ? exact_of(&s, (double)m) : 1234);
            assert_null(frame->rate);
            frame_destroy(&frame);
        }
        source_close(&source);
    }
}

static void test_pairs(void **state) {
    (void)state;
    for (int foreign = 0; foreign < 2; foreign++) {
        struct session s = session_make(foreign);
        struct source *source = NULL;
        assert_int_equal(source_open(&s, write_frames(&s, 1, DT), 0, false, &windows, &source), STATUS_OK);
        for (size_t m = 0; m + 1 < FRAMES; m++) {
            struct frame *frame = NULL;
            assert_int_equal(source_pair(&s, source, m, K, 0, 0, &frame), STATUS_OK);
            assert_exact(frame->exact, exact_of(&s, (double)m + 0.5));
            int64_t owned = (int64_t)frame->particles->owned;
            for (size_t i = 0; i < frame->particles->owned; i++)
                for (int a = 0; a < 2; a++) {
                    const size_t id = frame->particles->id[i], at = 4 * i + (size_t)a;
                    double before = propulsion_of(m, id, a), after = propulsion_of(m + 1, id, a);
                    double x = position_to_real(&source->box, a, frame->particles->q[a][i]);
                    double expected = (unwrapped_of(m, id, a) + unwrapped_of(m + 1, id, a)) / 2;
                    assert_true(fabs(remainder(x - expected, SIDE)) < 1e-12);
                    assert_true(fabs(frame->particles->g[a][i] - (before + after) / 2) < 1e-14);
                    assert_true(fabs(frame->rate[at] - speed_of(id, a)) < 1e-12);
                    assert_true(fabs(frame->rate[at + 2] - (after - before) / DT) < 1e-14);
                }
            comm_sum_integer(comm, &owned, 1);
            assert_int_equal(owned, N);
            frame_destroy(&frame);
        }
        struct frame *frame = NULL;
        assert_refused(source_pair(&s, source, FRAMES - 1, K, 0, 0, &frame), STATUS_BAD_INPUT,
                       WORDS("no frame 4"));
        assert_null(frame);
        source_close(&source);
    }
}

static void test_bad_pairs(void **state) {
    (void)state;
    static const struct {
        double stretch, rate;
        const char *words;
    } bad[] = {{1, 0, "time does not increase"},
               {1, -1, "time does not increase"},
               {1, NAN, "no times"},
               {2.9, DT, "too far apart"}};
    for (size_t m = 0; m < sizeof bad / sizeof *bad; m++) {
        struct session s = session_make(true);
        struct source *source = NULL;
        struct frame *frame = NULL;
        assert_int_equal(
            source_open(&s, write_frames(&s, bad[m].stretch, bad[m].rate), 0, false, &windows, &source),
            STATUS_OK);
        assert_refused(source_pair(&s, source, 1, K, 0, 0, &frame), STATUS_BAD_INPUT,
                       WORDS("trajectory.h5", bad[m].words));
        assert_null(frame);
        source_close(&source);
    }
}

static void test_half_named(void **state) {
    (void)state;
    struct session s = session_make(true);
    struct source *source = NULL;
    const char *path = write_frames(&s, 1, DT);
    s.config.data.position[0] = '\0';
    assert_refused(source_open(&s, path, 0, false, &windows, &source), STATUS_BAD_INPUT,
                   WORDS("data.position"));
    assert_null(source);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {test_with_folder(test_exact), test_with_folder(test_pairs),
                                       test_with_folder(test_bad_pairs), test_with_folder(test_half_named)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
