/* Reading YAML. The only caller of libyaml, and the only code that reads parameters from text.
 *
 * The input is a small part of YAML: a mapping of sections, each a mapping of keys to a scalar or a list.
 * What YAML can do beyond that (anchors, aliases, tags, several documents) is refused, so that an input
 * means what it says.
 */
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/config_table.h"
#include "base/text.h"

static enum status syntax_error(const yaml_parser_t *parser, const char *name) {
    return FAIL(STATUS_BAD_INPUT, "%s:%zu: not valid YAML: %s%s%s", name, parser->problem_mark.line + 1,
                parser->problem ? parser->problem : "unreadable", parser->context ? ", " : "",
                parser->context ? parser->context : "");
}

/* Looks for what is not part of an input. */
static enum status refuse_extras(const char *name, const char *text) {
    enum status status = STATUS_OK;
    yaml_parser_t parser;
    bool end = false;
    int documents = 0;
    if (!yaml_parser_initialize(&parser))
        return FAIL(STATUS_FAILURE, "out of memory while reading %s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    while (!end && status == STATUS_OK) {
        yaml_token_t token;
        if (!yaml_parser_scan(&parser, &token)) {
            status = syntax_error(&parser, name);
            break;
        }
        const char *what = NULL;
        if (token.type == YAML_ANCHOR_TOKEN || token.type == YAML_ALIAS_TOKEN)
            what = "anchors and aliases";
        else if (token.type == YAML_TAG_TOKEN || token.type == YAML_TAG_DIRECTIVE_TOKEN)
            what = "tags";
        else if (token.type == YAML_DOCUMENT_START_TOKEN && documents++ > 0)
            what = "several documents";
        if (what)
            status = FAIL(STATUS_BAD_INPUT, "%s:%zu: %s are not part of an input: write the values out", name,
                          token.start_mark.line + 1, what);
        end = token.type == YAML_STREAM_END_TOKEN;
        yaml_token_delete(&token);
    }
    yaml_parser_delete(&parser);
    return status;
}

static enum status load(const char *name, const char *text, yaml_document_t *document) {
    yaml_parser_t parser;
    enum status status = refuse_extras(name, text);
    if (status != STATUS_OK)
        return status;
    if (!yaml_parser_initialize(&parser))
        return FAIL(STATUS_FAILURE, "out of memory while reading %s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    if (!yaml_parser_load(&parser, document))
        status = syntax_error(&parser, name);
    yaml_parser_delete(&parser);
    return status;
}

static const char *scalar_text(const yaml_node_t *node) {
    return (const char *)node->data.scalar.value;
}

static void place_of(const char *name, const yaml_node_t *node, char *out, size_t size) {
    snprintf(out, size, "%s:%zu", name, node->start_mark.line + 1);
}

/* ---- lists ---- */

static enum status read_sides(struct config *config, const struct parameter *p, const char *where,
                              yaml_document_t *document, yaml_node_t *node) {
    int *count = (int *)(void *)((char *)config + p->count_offset);
    struct parameter one = *p;
    one.type = TYPE_REAL;
    *count = 0;
    if (node->type == YAML_SCALAR_NODE) {
        *count = 1;
        return parameter_set(config, &one, where, scalar_text(node));
    }
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *side = yaml_document_get_node(document, *item);
        if (side->type != YAML_SCALAR_NODE || *count == MAX_DIMENSION)
            return FAIL(STATUS_BAD_INPUT, "%s: %s.%s must be one side or a list of up to %d sides", where, p->section,
                        p->key, MAX_DIMENSION);
        enum status status = parameter_set(config, &one, where, scalar_text(side));
        if (status != STATUS_OK)
            return status;
        one.offset += sizeof(double);
        ++*count;
    }
    return STATUS_OK;
}

static enum status read_file(const struct parameter *p, const char *where, const yaml_node_t *node, char *out) {
    if (node->type != YAML_SCALAR_NODE || scalar_text(node)[0] == '\0' ||
        node->data.scalar.length >= CONFIG_TEXT)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s: a file must be a text of 1 to %d characters", where, p->section,
                    p->key, CONFIG_TEXT - 1);
    strncpy(out, scalar_text(node), CONFIG_TEXT - 1);
    return STATUS_OK;
}

/* {file: PATH, weight: W}; weight 1 if it is not there. */
static enum status read_choice(const struct parameter *p, const char *where, yaml_document_t *document,
                               const yaml_node_t *node, struct file_choice *out) {
    struct parameter weight = *p;
    weight.type = TYPE_REAL;
    weight.offset = 0;
    out->weight = 1;
    if (node->type == YAML_SCALAR_NODE)
        return read_file(p, where, node, out->file);
    for (yaml_node_pair_t *pair = node->data.mapping.pairs.start;
         node->type == YAML_MAPPING_NODE && pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(document, pair->value);
        enum status status;
        if (key->type == YAML_SCALAR_NODE && strcmp(scalar_text(key), "file") == 0)
            status = read_file(p, where, value, out->file);
        else if (key->type == YAML_SCALAR_NODE && strcmp(scalar_text(key), "weight") == 0 &&
                 value->type == YAML_SCALAR_NODE)
            status = parameter_set((struct config *)(void *)&out->weight, &weight, where, scalar_text(value));
        else
            status = FAIL(STATUS_BAD_INPUT, "%s: %s.%s: an entry has the keys file and weight only", where, p->section,
                          p->key);
        if (status != STATUS_OK)
            return status;
    }
    if (out->file[0] == '\0')
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s: an entry must be {file: PATH, weight: NUMBER}", where, p->section,
                    p->key);
    return STATUS_OK;
}

static enum status read_list(struct config *config, const struct parameter *p, const char *where,
                             yaml_document_t *document, yaml_node_t *node) {
    int *count = (int *)(void *)((char *)config + p->count_offset);
    char *target = (char *)config + p->offset;
    *count = 0;
    if (node->type != YAML_SEQUENCE_NODE)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s must be a list: [%s, ...]", where, p->section, p->key,
                    p->type == TYPE_FILES ? "PATH" : "{file: PATH, weight: NUMBER}");
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        const yaml_node_t *entry = yaml_document_get_node(document, *item);
        enum status status;
        if (*count == CONFIG_FILES)
            return FAIL(STATUS_BAD_INPUT, "%s: %s.%s has more than %d entries", where, p->section, p->key,
                        CONFIG_FILES);
        if (p->type == TYPE_FILES)
            status = read_file(p, where, entry, target + (size_t)*count * CONFIG_TEXT);
        else
            status = read_choice(p, where, document, entry, (struct file_choice *)(void *)target + *count);
        if (status != STATUS_OK)
            return status;
        ++*count;
    }
    return STATUS_OK;
}

static enum status read_value(struct config *config, const struct parameter *p, const char *where,
                              yaml_document_t *document, yaml_node_t *node) {
    if (p->type == TYPE_FILES || p->type == TYPE_WEIGHTED)
        return read_list(config, p, where, document, node);
    if (p->type == TYPE_SIDES && node->type != YAML_MAPPING_NODE)
        return read_sides(config, p, where, document, node);
    if (node->type != YAML_SCALAR_NODE) {
        char allowed[256];
        parameter_allowed(p, allowed, sizeof allowed);
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s must be a single value: %s", where, p->section, p->key, allowed);
    }
    return parameter_set(config, p, where, scalar_text(node));
}

/* ---- sections ---- */

static enum status unknown_section(const char *where, const char *section) {
    const char *known[16];
    int count = 0;
    for (int i = 0; i < parameter_count; i++)
        if (count == 0 || strcmp(known[count - 1], parameter_table[i].section) != 0)
            known[count++] = parameter_table[i].section;
    const char *nearest = text_nearest(section, count, known);
    if (nearest)
        return FAIL(STATUS_BAD_INPUT, "%s: section %s is not known; did you mean %s?", where, section, nearest);
    return FAIL(STATUS_BAD_INPUT, "%s: section %s is not known; the sections are system, simulation, network, "
                                  "training, evaluation, output and run", where, section);
}

static enum status unknown_key(const char *where, const char *section, const char *key) {
    const char *known[64];
    int count = 0;
    bool in_section = false;
    for (int i = 0; i < parameter_count; i++)
        if (strcmp(parameter_table[i].section, section) == 0) {
            known[count++] = parameter_table[i].key;
            in_section = true;
        }
    if (!in_section)
        return unknown_section(where, section);
    const char *nearest = text_nearest(key, count, known);
    if (nearest)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s is not known; did you mean %s.%s?", where, section, key, section,
                    nearest);
    for (int i = 0; i < parameter_count; i++)
        if (strcmp(parameter_table[i].key, key) == 0)
            return FAIL(STATUS_BAD_INPUT, "%s: %s.%s is not known; did you mean %s.%s?", where, section, key,
                        parameter_table[i].section, key);
    return FAIL(STATUS_BAD_INPUT, "%s: %s.%s is not known; epflow help lists the keys of every section", where, section,
                key);
}

static enum status read_section(struct reading *r, const char *name, yaml_document_t *document, const char *section,
                                const yaml_node_t *keys) {
    char where[CONFIG_TEXT + 32];
    for (yaml_node_pair_t *pair = keys->data.mapping.pairs.start; pair < keys->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        yaml_node_t *value = yaml_document_get_node(document, pair->value);
        place_of(name, key, where, sizeof where);
        if (key->type != YAML_SCALAR_NODE)
            return FAIL(STATUS_BAD_INPUT, "%s: a key of section %s must be a word", where, section);
        int p = parameter_find(section, scalar_text(key));
        if (p < 0)
            return unknown_key(where, section, scalar_text(key));
        if (r->origin[p].given)
            return FAIL(STATUS_BAD_INPUT, "%s: %s.%s is given twice, first at %s", where, section, scalar_text(key),
                        r->origin[p].place);
        enum status status = read_value(r->config, &parameter_table[p], where, document, value);
        if (status != STATUS_OK)
            return status;
        r->origin[p].given = true;
        snprintf(r->origin[p].place, sizeof r->origin[p].place, "%s", where);
    }
    return STATUS_OK;
}

enum status config_yaml_document(struct reading *r, const char *name, const char *text) {
    char where[CONFIG_TEXT + 32];
    yaml_document_t document;
    enum status status = load(name, text, &document);
    if (status != STATUS_OK)
        return status;
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root && root->type != YAML_MAPPING_NODE)
        status = FAIL(STATUS_BAD_INPUT, "%s:%zu: an input is sections with keys: `system:`, and below it, indented, "
                                        "`particles: 1024`", name, root->start_mark.line + 1);
    for (yaml_node_pair_t *pair = root ? root->data.mapping.pairs.start : NULL;
         status == STATUS_OK && root && pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&document, pair->value);
        place_of(name, key, where, sizeof where);
        bool word = key->type == YAML_SCALAR_NODE, known = false;
        for (int i = 0; word && i < parameter_count; i++)
            known = known || strcmp(parameter_table[i].section, scalar_text(key)) == 0;
        if (!known)
            status = unknown_section(where, word ? scalar_text(key) : "(not a word)");
        else if (value->type == YAML_MAPPING_NODE)
            status = read_section(r, name, &document, scalar_text(key), value);
        else if (value->type != YAML_SCALAR_NODE || scalar_text(value)[0] != '\0')
            status = FAIL(STATUS_BAD_INPUT, "%s: section %s must hold keys, indented below it", where, scalar_text(key));
    }
    yaml_document_delete(&document);
    return status;
}

enum status config_yaml_value(struct reading *r, int p, const char *where, const char *text) {
    yaml_document_t document;
    enum status status = load(where, text, &document);
    if (status != STATUS_OK)
        return status;
    yaml_node_t *root = yaml_document_get_root_node(&document);
    if (!root)
        status = FAIL(STATUS_BAD_INPUT, "%s: %s.%s has no value", where, parameter_table[p].section,
                      parameter_table[p].key);
    else
        status = read_value(r->config, &parameter_table[p], where, &document, root);
    yaml_document_delete(&document);
    if (status == STATUS_OK) {
        r->origin[p].given = true;
        snprintf(r->origin[p].place, sizeof r->origin[p].place, "%s", where);
    }
    return status;
}
