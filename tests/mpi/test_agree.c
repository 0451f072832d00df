/* Failures among ranks: who knows of them afterwards. What cannot be agreed on ends a run: parted.c. */
#include "ranks.h"

static bool is_last(void) {
    return comm_rank(comm) == comm_size(comm) - 1;
}

/* One rank's failure is everyone's, with its message, and then nobody's own. */
static void failure_is_shared(void **state) {
    (void)state;
    status_clear();
    const enum status mine = is_last() ? FAIL(STATUS_NUMBERS, "particle 7 is lost") : STATUS_OK;
    assert_int_equal(comm_agree(comm, mine), STATUS_NUMBERS);
    assert_string_equal(status_message(), "particle 7 is lost");
    assert_int_equal(status_code(), STATUS_NUMBERS);
    assert_int_equal(status_own(), STATUS_OK);
    status_clear();
    assert_int_equal(comm_agree(comm, STATUS_OK), STATUS_OK);
}

/* Recorded, and then not returned. */
static void failure_is_not_passed_over(void **state) {
    (void)state;
    status_clear();
    if (is_last())
        FAIL(STATUS_STORAGE, "no answer");
    assert_int_equal(comm_agree(comm, STATUS_OK), STATUS_STORAGE);
    assert_string_equal(status_message(), "no answer");
    status_clear();
}

/* All know it by themselves, as what is wrong with the input, and go on to clean up together. */
static void failure_of_all_lets_all_go_on(void **state) {
    (void)state;
    status_clear();
    double one = 1;
    FAIL(STATUS_BAD_INPUT, "as rank %d sees it", comm_rank(comm));
    comm_meet(comm);
    comm_barrier(comm);
    comm_max(comm, &one, 1);
    assert_int_equal(comm_agree(comm, STATUS_BAD_INPUT), STATUS_BAD_INPUT);
    assert_string_equal(status_message(), "as rank 0 sees it");
    status_clear();
}

/* A stop on request is agreed on like a failure, and no rank has to tell it. */
static void stop_is_no_failure(void **state) {
    (void)state;
    status_clear();
    if (is_last())
        FAIL(STATUS_STOPPED, "stopped");
    comm_barrier(comm);
    assert_int_equal(comm_agree(comm, STATUS_OK), STATUS_OK);
    assert_int_equal(comm_agree(comm, is_last() ? STATUS_STOPPED : STATUS_OK), STATUS_STOPPED);
    status_clear();
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_is_shared),
        cmocka_unit_test(failure_is_not_passed_over),
        cmocka_unit_test(failure_of_all_lets_all_go_on),
        cmocka_unit_test(stop_is_no_failure),
    };
    return run_on_ranks(argc, argv, tests, sizeof tests / sizeof *tests);
}
