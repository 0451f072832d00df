/* The CUDA table's ops beside the CPU table's: space. */
#include "both.h"

static void opens(void **state) {
    (void)state;
    assert_string_equal(cuda->name, "cuda");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(opens)};
    both_unused();
    return cmocka_run_group_tests(tests, both_open, both_close);
}
