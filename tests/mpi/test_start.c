/* Starts whose forces are not defined or leave their range: particles at one position, too many neighbours, springs
 * stretched beyond their range. Each beside one that is as near to it as can be and is taken. */
#include "mpi/reference.h"

/* The status of a simulation that starts as `put` makes it of the usual start. */
typedef void put_function(const struct box *box, uint32_t id, int axis, uint64_t *q);

static enum status start(const struct config *c, put_function *put) {
    struct simulation *s = NULL;
    struct slice *slice = NULL;
    const struct box box = system_box(&c->system);
    status_clear();
    assert_int_equal(simulation_create(ops_cpu(), comm, c, &s), STATUS_OK);
    assert_int_equal(slice_create((size_t)config_total(&c->system), box.d, comm, &slice), STATUS_OK);
    system_start(c, slice);
    for (size_t i = 0; i < slice->count * (size_t)box.d; i++)
        put(&box, (uint32_t)(slice->begin + i / (size_t)box.d), (int)(i % (size_t)box.d), &slice->q[i]);
    const enum status status = simulation_load(s, slice, 0);
    simulation_destroy(&s);
    slice_destroy(&slice);
    return status;
}

static void assert_said(const char *what) {
    if (!strstr(status_message(), what))
        fail_msg("\"%s\" is not in \"%s\"", what, status_message());
}

/* ---- one position ---- */

static const uint64_t HERE = 0x123456789abcdef0, UNIT = (uint64_t)1 << 32;

static void together(const struct box *box, uint32_t id, int axis, uint64_t *q) {
    (void)box;
    (void)axis;
    if (id == 3 || id == 41)
        *q = HERE;
}

static void together_below_float32(const struct box *box, uint32_t id, int axis, uint64_t *q) {
    together(box, id, axis, q);
    *q += id == 3 && *q == HERE ? 5 : 0;
}

static void next_to(const struct box *box, uint32_t id, int axis, uint64_t *q) {
    together(box, id, axis, q);
    *q += id == 3 && axis == 0 ? UNIT : 0;
}

/* Of copies of 24: 3 and 27 are the same particle of two of them. */
static void copies_together(const struct box *box, uint32_t id, int axis, uint64_t *q) {
    (void)box;
    (void)axis;
    if (id == 3 || id == 27)
        *q = HERE;
}

static void test_one_position(void **state) {
    (void)state;
    struct config c = config_of(2, 64, 0.4, 0, 0.05, 0.02);
    assert_int_equal(start(&c, together), STATUS_BAD_INPUT);
    assert_said("particles 3 and 41 are at the same position");
    assert_int_equal(start(&c, together_below_float32), STATUS_BAD_INPUT);
    assert_said("particles 3 and 41 are at the same position");
    assert_int_equal(start(&c, next_to), STATUS_OK);
    c = config_of(2, 24, 0.4, 0, 0.05, 0.02);
    c.system.copies = 3;
    assert_int_equal(start(&c, copies_together), STATUS_OK);
}

/* ---- too many neighbours ---- */

static uint32_t heaped;

/* The first ones in a heap, all of different positions. */
static void heap(const struct box *box, uint32_t id, int axis, uint64_t *q) {
    (void)box;
    if (id < heaped)
        *q = axis == 0 ? HERE + id * UNIT : HERE;
}

/* Where the force at no distance is 8, 2^15 / 8 neighbours are too many. */
static void test_too_many(void **state) {
    (void)state;
    struct config c = config_of(2, 4300, 0.4, 0, 0.05, 0.02);
    c.system.beta = 0.1;
    c.system.packing_fraction = 0;
    c.system.box_sides = 1;
    c.system.box[0] = 3000; /* the cut-off of so soft a force is far */
    c.simulation.skin = 1;
    const double most = 32768 / (log1p(exp(0.2)) / 0.1);
    heaped = (uint32_t)most + 2;
    assert_int_equal(start(&c, heap), STATUS_BAD_INPUT);
    assert_said("too many particles overlap");
}

/* ---- springs ---- */

static double stretched;

static void pull(const struct box *box, uint32_t id, int axis, uint64_t *q) {
    if (id == 5)
        *q += (uint64_t)llrint(stretched / (box->side[axis] * 0x1p-64));
}

static void test_springs(void **state) {
    (void)state;
    struct config c = crystal_of(1, 16, (double[]){64000}, 0.05, 0, 0.02);
    stretched = 4990;
    assert_int_equal(start(&c, pull), STATUS_OK);
    stretched = 5010;
    assert_int_equal(start(&c, pull), STATUS_NUMBERS);
    assert_said("is stretched by more than 5000 r0");
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_position), cmocka_unit_test(test_too_many),
                                       cmocka_unit_test(test_springs)};
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
