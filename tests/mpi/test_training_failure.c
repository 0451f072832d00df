/* What is said of a training step whose numbers are not finite: a number planted in one particle of one frame, and NaN
 * in every tensor of the weights in turn, on many ranks. */
#include "learn/trainer.h"
#include "ranks.h"

enum { D = 2, N = 300, FRAMES = 2, BAD = 137 };
static const char PATH[] = "some/trajectory.h5";

static const struct network_parameters network = {.kind = NETWORK_WINDOW,
                                                  .width = 16,
                                                  .hidden = 16,
                                                  .feed_forward = 24,
                                                  .heads = 2,
                                                  .blocks = 2,
                                                  .layers = 1,
                                                  .neighbours = 7};
static const struct training_parameters training = {.sigma = 0.1,
                                                    .batch = 40,
                                                    .steps = 1000,
                                                    .rate = 1e-3,
                                                    .average = 0.9,
                                                    .clip = 1,
                                                    .second_decay = 0.999,
                                                    .frames_per_step = FRAMES,
                                                    .weighting_offset = 300,
                                                    .seed = 3};

static struct frame *frame_of(const struct whole *w, size_t number) {
    struct frame *frame = NULL;
    struct slice *slice = whole_slice(w);
    assert_int_equal(
        frame_create(ops_cpu(), comm, &w->box, slice, NULL, false, network.neighbours, 0, 0, &frame),
        STATUS_OK);
    frame->path = PATH;
    frame->number = number;
    slice_destroy(&slice);
    return frame;
}

static struct trainer *trainer_of(const struct training_parameters *p) {
    const struct trainer_setup setup = {.network = network,
                                        .training = *p,
                                        .law = {.v0 = 0.3, .gamma = 0.5},
                                        .d = D,
                                        .particles = N,
                                        .chunk = 200};
    struct trainer *t = NULL;
    assert_int_equal(trainer_create(ops_cpu(), comm, &setup, NULL, &t), STATUS_OK);
    return t;
}

/* As a command does. */
static enum status step(struct trainer *t, const struct dataset *dataset) {
    double loss = 0;
    enum status status = comm_agree(comm, trainer_step(t, dataset, &loss));
    return status == STATUS_NUMBERS ? trainer_explain(t, dataset) : status;
}

/* Whether particle `other` is among the k nearest of particle i, or is i. */
static bool sees(const struct whole *w, size_t i, size_t other) {
    int nearer = 0;
    for (size_t j = 0; j < w->n; j++)
        nearer += j != i && j != other && whole_distance(w, i, j) < whole_distance(w, i, other);
    return i == other || nearer < network.neighbours;
}

/* The particle that is named sees the one that is bad, its rank owns it, and the weights are those before the step. */
static void check_particle(double value) {
    struct whole w[FRAMES] = {whole_make(D, N, 30, true, 3), whole_make(D, N, 30, true, 4)};
    w[1].g[1][BAD] = value;
    struct frame *frame[FRAMES] = {frame_of(&w[0], 11), frame_of(&w[1], 12)};
    struct dataset_part part = {1, FRAMES, frame};
    const struct dataset dataset = {1, &part};
    struct trainer *t = trainer_of(&training);
    real *before = malloc(t->optimizer->size * sizeof *before);
    char wanted[256];
    unsigned particle = 0;
    int rank = -1;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && t->optimizer->step < 50) {
        memcpy(before, t->optimizer->theta, t->optimizer->size * sizeof *before);
        status = step(t, &dataset);
    }
    assert_int_equal(status, STATUS_NUMBERS);
    assert_memory_equal(before, t->optimizer->theta, t->optimizer->size * sizeof *before);
    snprintf(wanted, sizeof wanted, "training step %lld: ", (long long)t->optimizer->step + 1);
    assert_non_null(strstr(status_message(), wanted));
    assert_non_null(strstr(status_message(), "in frame 12 of some/trajectory.h5"));
    const char *who = strstr(status_message(), "what particle ");
    assert_non_null(who);
    assert_int_equal(sscanf(who, "what particle %u of rank %d", &particle, &rank), 2);
    assert_true(particle < N && sees(&w[1], particle, BAD));
    if (rank == comm_rank(comm))
        assert_true(frame_find(frame[1], particle) >= 0);
    assert_in_range(rank, 0, comm_size(comm) - 1);
    status_clear();
    free(before);
    trainer_destroy(&t);
    for (int m = 0; m < FRAMES; m++) {
        frame_destroy(&frame[m]);
        whole_free(&w[m]);
    }
}

static void test_particle(void **state) {
    (void)state;
    check_particle(1e35);
    check_particle(-1e30);
}

/* In the step in which it is used, whichever tensor it is: of none may a NaN be swallowed on the way to the loss and
 * leave the training going on. */
static void test_every_tensor(void **state) {
    (void)state;
    struct whole w = whole_make(D, N, 30, true, 3);
    struct frame *frame = frame_of(&w, 0);
    struct dataset_part part = {1, 1, &frame};
    const struct dataset dataset = {1, &part};
    const int count = 1000;
    for (int m = 0; m < count; m++) {
        struct trainer *t = trainer_of(&training);
        const struct tensors *all = &t->scores->tensors;
        if (m == all->count) {
            trainer_destroy(&t);
            break;
        }
        t->optimizer->theta[all->list[m].offset] = (real)NAN;
        assert_int_equal(step(t, &dataset), STATUS_NUMBERS);
        assert_non_null(strstr(status_message(), "training step 1: the weights of "));
        assert_non_null(strstr(status_message(), all->list[m].name));
        status_clear();
        trainer_destroy(&t);
    }
    frame_destroy(&frame);
    whole_free(&w);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_particle), cmocka_unit_test(test_every_tensor)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
