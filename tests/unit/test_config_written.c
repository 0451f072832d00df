/* Parameters as they are written: what is printed or visited reads back to the same bytes, and the help. */
#include "unit/config_texts.h"

#include <unistd.h>

/* What a function prints. */
static char *captured(void (*print)(const struct config *), const struct config *c) {
    FILE *file = tmpfile();
    fflush(stdout);
    int terminal = dup(STDOUT_FILENO);
    dup2(fileno(file), STDOUT_FILENO);
    print(c);
    fflush(stdout);
    dup2(terminal, STDOUT_FILENO);
    close(terminal);
    const size_t length = (size_t)lseek(fileno(file), 0, SEEK_END);
    char *text = calloc(length + 1, 1);
    rewind(file);
    assert_int_equal(fread(text, 1, length, file), length);
    fclose(file);
    return text;
}

static void printed_reads_back(void **state) {
    (void)state;
    const char *trap[] = {"system.trap=0.3", "system.box=123.456"}, *denormal[] = {"system.v0=4.9e-324"};
    const char *velocity[] = {"training.loss=velocity", "system.eps=0.1"};
    const char *response[] = {"network.kind=response"};
    struct config configs[] = {
        parse(GOOD, 0, NULL),     parse(everything, 0, NULL), parse(everything, 2, trap),
        parse(GOOD, 1, denormal), parse(crystal, 0, NULL),    parse(unknown, 0, NULL),
        parse(trapped, 0, NULL),  parse(GOOD, 2, velocity),   parse(GOOD, 1, response)};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        char *text = captured(config_print, &configs[i]);
        struct config again = parse(text, 0, NULL);
        assert_same(&configs[i], &again);
        free(text);
    }
}

struct visit {
    int count;
    char setting[192][256];
};

/* As outputs keep it: numbers as numbers, the rest as text. */
static enum status to_setting(const struct config_value *v, void *context) {
    struct visit *visit = context;
    char *out = visit->setting[visit->count];
    assert_true(visit->count < 192);
    if (v->type == CONFIG_REAL)
        snprintf(out, 256, "%s.%s=%.17g", v->section, v->key, v->real);
    else if (v->type == CONFIG_INTEGER)
        snprintf(out, 256, "%s.%s=%lld", v->section, v->key, (long long)v->integer);
    else
        snprintf(out, 256, v->text[0] == '[' ? "%s.%s=%s" : "%s.%s=\"%s\"", v->section, v->key, v->text);
    visit->count += strcmp(v->key, "packing_fraction") != 0;
    return STATUS_OK;
}

static void visited_reads_back(void **state) {
    (void)state;
    static const char *const text[] = {everything, crystal, unknown, trapped};
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct config c = parse(text[i], 0, NULL);
        static struct visit visit;
        const char *settings[192];
        visit.count = 0;
        assert_int_equal(config_visit(&c, to_setting, &visit), STATUS_OK);
        for (int m = 0; m < visit.count; m++)
            settings[m] = visit.setting[m];
        struct config again = parse("", visit.count, settings);
        assert_same(&c, &again);
        assert_int_equal(config_restore("a.h5", visit.count, settings, &again), STATUS_OK);
        assert_same(&c, &again);
    }
}

static enum status stop_at_third(const struct config_value *v, void *context) {
    (void)v;
    return ++*(int *)context == 3 ? STATUS_STORAGE : STATUS_OK;
}

static void values_as_text(void **state) {
    (void)state;
    static const double values[] = {0.9, 0.1 + 0.2, 1.0 / 3, 1e-300, 5e-324, 100, -0.025, 6.02214076e23};
    static const char *const want[] = {"0.9",    "0.30000000000000004", NULL, "1e-300", NULL, "100",
                                       "-0.025", "6.02214076e+23"};
    char text[64];
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        config_value_text(&(struct config_value){.type = CONFIG_REAL, .real = values[i]}, sizeof text, text);
        assert_true(strtod(text, NULL) == values[i]);
        if (want[i])
            assert_string_equal(text, want[i]);
    }
    config_value_text(&(struct config_value){.type = CONFIG_INTEGER, .integer = -INT64_C(9007199254740993)},
                      sizeof text, text);
    assert_string_equal(text, "-9007199254740993");
    config_value_text(&(struct config_value){.type = CONFIG_STRING, .text = "radam"}, sizeof text, text);
    assert_string_equal(text, "radam");
}

static void visitor_stops(void **state) {
    (void)state;
    struct config c = parse(GOOD, 0, NULL);
    int calls = 0;
    assert_int_equal(config_visit(&c, stop_at_third, &calls), STATUS_STORAGE);
    assert_int_equal(calls, 3);
}

static void help_of_all(const struct config *c) {
    (void)c;
    config_help(NULL);
}

static void help_of_two(const struct config *c) {
    (void)c;
    config_help("output,run");
}

/* Help names every key that a visit does, within 100 columns. */
static enum status named_in_help(const struct config_value *v, void *help) {
    char key[64];
    snprintf(key, sizeof key, "\n  %s ", v->key);
    if (!strstr(help, key))
        fail_msg("%s.%s is not in the help", v->section, v->key);
    return STATUS_OK;
}

static void help(void **state) {
    (void)state;
    struct config c = parse(GOOD, 0, NULL);
    char *all = captured(help_of_all, NULL), *two = captured(help_of_two, NULL);
    assert_int_equal(config_visit(&c, named_in_help, all), STATUS_OK);
    for (char *line = all; *line; line += strcspn(line, "\n") + 1) {
        const size_t length = strcspn(line, "\n");
        assert_true(length <= 100);
        assert_true(length == 0 || line[length - 1] != ' ');
    }
    assert_non_null(strstr(two, "\noutput:\n"));
    assert_non_null(strstr(two, "\nrun:\n"));
    assert_null(strstr(two, "\nsystem:\n"));
    const char *rate = strstr(all, "\n  rate "); /* the defaults of either kind */
    assert_non_null(rate);
    const char *window = strstr(rate, " default 1e-5;"),
               *response = strstr(rate, " with network.kind: response 3e-3\n");
    assert_true(window && window < rate + 60 && response && response < rate + 160);
    free(all);
    free(two);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(printed_reads_back),
                                       cmocka_unit_test(visited_reads_back), cmocka_unit_test(values_as_text),
                                       cmocka_unit_test(visitor_stops), cmocka_unit_test(help)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
