/* The reader of inputs on any text, and what it does with a value of the command line. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(enum status status) {
    const bool known = status == STATUS_BAD_INPUT && status_message()[0];
    if (status == STATUS_OK ? status_message()[0] != '\0' : !known) {
        fprintf(stderr, "fuzz: status %d, \"%s\"\n", status, status_message());
        abort();
    }
    status_clear();
}

static enum status count(const struct config_value *v, void *bytes) {
    char text[CONFIG_TEXT];
    config_value_text(v, sizeof text, text);
    *(size_t *)bytes += strlen(text);
    return STATUS_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct config config;
    static const char *const required = "{particles: 24, v0: 0.25, gamma: 0.1, packing_fraction: 0.5}";
    char *text = malloc(size + 1), *input = malloc(strlen(required) + 32);
    size_t bytes = 0;
    memcpy(text, data, size);
    text[size] = '\0';
    enum status status = config_parse("input.yaml", text, 0, NULL, &config);
    if (status == STATUS_OK)
        status = config_visit(&config, count, &bytes);
    expect(status);
    const char *setting[] = {text};
    sprintf(input, "system: %s\n", required);
    expect(config_parse("input.yaml", input, 1, setting, &config));
    free(text);
    free(input);
    return 0;
}
