/* json: what is written piece by piece is what other programs read. */
#include "test.h"

#include <math.h>

#include "base/json.h"

static void nested(void **state) {
    (void)state;
    struct json j;
    json_start(&j);
    json_string(&j, "a \"b\"\\", "tab\t \xc3\xa9 \xff");
    json_object(&j, "empty");
    json_end(&j);
    json_list(&j, "list");
    json_number(&j, NULL, 0.1);
    json_number(&j, NULL, NAN);
    json_object(&j, NULL);
    json_flag(&j, "yes", true);
    json_string(&j, "none", NULL);
    char *text = json_finish(&j); /* ends what is open */
    assert_string_equal(
        text, "{\n  \"a \\\"b\\\"\\\\\": \"tab\\u0009 \xc3\xa9 ?\",\n  \"empty\": {},\n  \"list\": [\n"
              "    0.10000000000000001,\n    null,\n    {\n      \"yes\": true,\n"
              "      \"none\": null\n    }\n  ]\n}\n");
    free(text);
}

/* A rank that prints nothing says the same, to nobody. */
static void of_no_use(void **state) {
    (void)state;
    struct json j = {0};
    json_object(&j, "a");
    json_number(&j, "b", 1);
    json_string(&j, "c", "d");
    json_flag(&j, "e", false);
    json_list(&j, "f");
    json_end(&j);
    json_end(&j);
    assert_null(json_finish(&j));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(nested), cmocka_unit_test(of_no_use)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
