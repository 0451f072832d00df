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

/* An input has at most {trajectories: [{file: ...}]} in the braces of a section and of the document; libyaml's time
 * grows as the square of the depth. */
enum { PLACE = CONFIG_TEXT + 32, DEEPEST = 8 };

/* A setting of the command line has no lines, and its name stands for itself. */
static void place_at(const char *name, size_t line, char out[PLACE]) {
    if (strncmp(name, "--set", 5) == 0)
        snprintf(out, PLACE, "%s", name);
    else
        snprintf(out, PLACE, "%s:%zu", name, line + 1);
}

/* A byte that is no UTF-8 is reported by its offset alone, everything else by its line. */
static enum status syntax_error(const yaml_parser_t *parser, const char *name, const char *text) {
    char place[PLACE];
    size_t line = parser->problem_mark.line;
    if (parser->error == YAML_READER_ERROR) {
        line = 0;
        for (size_t i = 0; i < parser->problem_offset && text[i]; i++)
            line += text[i] == '\n';
    }
    place_at(name, line, place);
    return FAIL(STATUS_BAD_INPUT, "%s: not valid YAML: %s%s%s", place,
                parser->problem ? parser->problem : "unreadable", parser->context ? ", " : "",
                parser->context ? parser->context : "");
}

static bool has_control_characters(const yaml_token_t *token) {
    for (size_t i = 0; i < token->data.scalar.length; i++)
        if (token->data.scalar.value[i] < 0x20 || token->data.scalar.value[i] == 0x7f)
            return true;
    return false;
}

/* Looks for what is not part of an input (several documents are found by load). */
static enum status refuse_extras(const char *name, const char *text) {
    enum status status = STATUS_OK;
    yaml_parser_t parser;
    bool end = false;
    int depth = 0;
    if (!yaml_parser_initialize(&parser))
        return FAIL(STATUS_FAILURE, "out of memory while reading %s", name);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    while (!end && status == STATUS_OK) {
        yaml_token_t token;
        if (!yaml_parser_scan(&parser, &token)) {
            status = syntax_error(&parser, name, text);
            break;
        }
        const char *what = NULL;
        if (token.type == YAML_ANCHOR_TOKEN || token.type == YAML_ALIAS_TOKEN)
            what = "anchors and aliases";
        else if (token.type == YAML_TAG_TOKEN || token.type == YAML_TAG_DIRECTIVE_TOKEN)
            what = "tags";
        else if (token.type == YAML_SCALAR_TOKEN && has_control_characters(&token))
            what = "line breaks and control characters inside a value";
        else if (token.type == YAML_FLOW_SEQUENCE_START_TOKEN || token.type == YAML_FLOW_MAPPING_START_TOKEN)
            what = ++depth > DEEPEST ? "brackets in brackets in brackets" : NULL;
        else if (token.type == YAML_FLOW_SEQUENCE_END_TOKEN || token.type == YAML_FLOW_MAPPING_END_TOKEN)
            depth--;
        if (what) {
            char place[PLACE];
            place_at(name, token.start_mark.line, place);
            status =
                FAIL(STATUS_BAD_INPUT, "%s: %s are not part of an input: write the values out", place, what);
        }
        end = token.type == YAML_STREAM_END_TOKEN;
        yaml_token_delete(&token);
    }
    yaml_parser_delete(&parser);
    return status;
}

/* The document is to be all there is: what follows it would be ignored. */
static enum status refuse_more(yaml_parser_t *parser, const char *name, const char *text) {
    enum status status = STATUS_OK;
    char place[PLACE];
    yaml_document_t rest;
    if (!yaml_parser_load(parser, &rest))
        return syntax_error(parser, name, text);
    place_at(name, rest.start_mark.line, place);
    if (yaml_document_get_root_node(&rest))
        status = FAIL(STATUS_BAD_INPUT,
                      "%s: several documents are not part of an input: put all sections into one", place);
    yaml_document_delete(&rest);
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
    if (!yaml_parser_load(&parser, document)) {
        status = syntax_error(&parser, name, text);
    } else if ((status = refuse_more(&parser, name, text)) != STATUS_OK) {
        yaml_document_delete(document);
    }
    yaml_parser_delete(&parser);
    return status;
}

static const char *scalar_text(const yaml_node_t *node) {
    return (const char *)node->data.scalar.value;
}

static bool is_word(const yaml_node_t *node, const char *word) {
    return node->type == YAML_SCALAR_NODE && strcmp(scalar_text(node), word) == 0;
}

/* ---- lists ---- */

static enum status numbers_expected(const struct parameter *p, const char *where) {
    return FAIL(STATUS_BAD_INPUT, "%s: %s.%s must be one number or a list of up to %d numbers", where,
                p->section, p->key, p->room);
}

static enum status read_numbers(struct config *config, const struct parameter *p, const char *where,
                                yaml_document_t *document, yaml_node_t *node) {
    int *count = (int *)(void *)((char *)config + p->count_offset);
    struct parameter one = *p;
    one.type = TYPE_REAL;
    *count = 0;
    memset((char *)config + p->offset, 0,
           (size_t)p->room * sizeof(double)); /* a setting replaces the file's list */
    if (node->type == YAML_SCALAR_NODE) {
        *count = 1;
        return parameter_set(config, &one, where, scalar_text(node));
    }
    if (node->type != YAML_SEQUENCE_NODE)
        return numbers_expected(p, where);
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
         item++) {
        const yaml_node_t *number = yaml_document_get_node(document, *item);
        if (number->type != YAML_SCALAR_NODE || *count == p->room)
            return numbers_expected(p, where);
        enum status status = parameter_set(config, &one, where, scalar_text(number));
        if (status != STATUS_OK)
            return status;
        one.offset += sizeof(double);
        ++*count;
    }
    return STATUS_OK;
}

static enum status read_file(const struct parameter *p, const char *where, const yaml_node_t *node,
                             char out[CONFIG_TEXT]) {
    if (node->type != YAML_SCALAR_NODE)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s: a file must be a path, not a list or a mapping", where,
                    p->section, p->key);
    return parameter_set_text(p, where, scalar_text(node), out);
}

static enum status read_weight(const struct parameter *p, const char *where, const yaml_node_t *node,
                               double *out) {
    struct parameter weight = *p;
    weight.type = TYPE_REAL;
    weight.offset = 0;
    weight.key = "trajectories: weight";
    if (node->type != YAML_SCALAR_NODE)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s: a weight must be a number", where, p->section, p->key);
    return parameter_set((struct config *)(void *)out, &weight, where, scalar_text(node));
}

/* PATH, or {file: PATH, weight: W}; weight 1 if it is not there. */
static enum status read_choice(const struct parameter *p, const char *where, yaml_document_t *document,
                               const yaml_node_t *node, struct file_choice *out) {
    enum status status = STATUS_OK;
    bool file = false, weight = false;
    out->weight = 1;
    if (node->type == YAML_SCALAR_NODE)
        return read_file(p, where, node, out->file);
    for (yaml_node_pair_t *pair = node->type == YAML_MAPPING_NODE ? node->data.mapping.pairs.start : NULL;
         pair && pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(document, pair->value);
        bool *seen = is_word(key, "file") ? &file : is_word(key, "weight") ? &weight : NULL;
        if (!seen || *seen)
            return FAIL(STATUS_BAD_INPUT, "%s: %s.%s: an entry has the keys file and weight only, each once",
                        where, p->section, p->key);
        *seen = true;
        TRY(seen == &file ? read_file(p, where, value, out->file)
                          : read_weight(p, where, value, &out->weight));
    }
    if (!file)
        status = FAIL(STATUS_BAD_INPUT, "%s: %s.%s: an entry must be {file: PATH, weight: NUMBER}", where,
                      p->section, p->key);
out:
    return status;
}

static enum status read_list(struct config *config, const struct parameter *p, const char *where,
                             yaml_document_t *document, yaml_node_t *node) {
    int *count = (int *)(void *)((char *)config + p->count_offset);
    char *target = (char *)config + p->offset;
    *count = 0;
    memset(target, 0, CONFIG_FILES * (p->type == TYPE_FILES ? CONFIG_TEXT : sizeof(struct file_choice)));
    if (node->type != YAML_SEQUENCE_NODE)
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s must be a list: [%s, ...]", where, p->section, p->key,
                    p->type == TYPE_FILES ? "PATH" : "{file: PATH, weight: NUMBER}");
    for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
         item++) {
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
    if (p->type == TYPE_REALS)
        return read_numbers(config, p, where, document, node);
    if (node->type != YAML_SCALAR_NODE) {
        char allowed[256];
        parameter_allowed(p, allowed, sizeof allowed);
        return FAIL(STATUS_BAD_INPUT, "%s: %s.%s must be a single value: %s", where, p->section, p->key,
                    allowed);
    }
    return parameter_set(config, p, where, scalar_text(node));
}

/* ---- sections ---- */

static enum status read_section(struct reading *r, const char *name, yaml_document_t *document,
                                const char *section, const yaml_node_t *keys) {
    char where[PLACE];
    for (yaml_node_pair_t *pair = keys->data.mapping.pairs.start; pair < keys->data.mapping.pairs.top;
         pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        yaml_node_t *value = yaml_document_get_node(document, pair->value);
        place_at(name, key->start_mark.line, where);
        if (key->type != YAML_SCALAR_NODE)
            return FAIL(STATUS_BAD_INPUT, "%s: a key of section %s must be a word", where, section);
        int p = parameter_find(section, scalar_text(key));
        if (p < 0)
            return parameter_unknown(where, section, scalar_text(key));
        if (r->origin[p].given)
            return FAIL(STATUS_BAD_INPUT, "%s: %s.%s is given twice, first at %s", where, section,
                        scalar_text(key), r->origin[p].place);
        enum status status = read_value(r->config, &parameter_table[p], where, document, value);
        if (status != STATUS_OK)
            return status;
        r->origin[p].given = true;
        snprintf(r->origin[p].place, sizeof r->origin[p].place, "%s", where);
    }
    return STATUS_OK;
}

enum status config_yaml_document(struct reading *r, const char *name, const char *text) {
    char where[PLACE];
    yaml_document_t document;
    enum status status = load(name, text, &document);
    if (status != STATUS_OK)
        return status;
    const yaml_node_t *root = yaml_document_get_root_node(&document);
    if (root && root->type != YAML_MAPPING_NODE)
        status = FAIL(STATUS_BAD_INPUT,
                      "%s:%zu: an input is sections with keys: `system:`, and below it, indented, "
                      "`particles: 1024`",
                      name, root->start_mark.line + 1);
    for (yaml_node_pair_t *pair = root ? root->data.mapping.pairs.start : NULL;
         status == STATUS_OK && root && pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(&document, pair->key);
        const yaml_node_t *value = yaml_document_get_node(&document, pair->value);
        place_at(name, key->start_mark.line, where);
        bool twice = false;
        for (yaml_node_pair_t *before = root->data.mapping.pairs.start;
             key->type == YAML_SCALAR_NODE && before < pair; before++)
            twice = twice || is_word(yaml_document_get_node(&document, before->key), scalar_text(key));
        if (key->type != YAML_SCALAR_NODE)
            status = FAIL(STATUS_BAD_INPUT, "%s: the name of a section must be a word", where);
        else if (!section_is_known(scalar_text(key)))
            status = parameter_unknown_section(where, scalar_text(key));
        else if (twice)
            status = FAIL(STATUS_BAD_INPUT, "%s: section %s is given twice: write its keys below one heading",
                          where, scalar_text(key));
        else if (value->type == YAML_MAPPING_NODE)
            status = read_section(r, name, &document, scalar_text(key), value);
        else if (value->type != YAML_SCALAR_NODE || scalar_text(value)[0] != '\0')
            status = FAIL(STATUS_BAD_INPUT, "%s: section %s must hold keys, indented below it", where,
                          scalar_text(key));
    }
    yaml_document_delete(&document);
    return status;
}

enum status config_yaml_value(struct reading *r, int p, const char *where, const char *text) {
    yaml_document_t document;
    char setting[PLACE];
    snprintf(setting, sizeof setting, "%s %s.%s", where, parameter_table[p].section, parameter_table[p].key);
    enum status status = load(setting, text, &document);
    if (status != STATUS_OK)
        return status;
    yaml_node_t *root = yaml_document_get_root_node(&document);
    if (!root)
        status = FAIL(STATUS_BAD_INPUT, "%s: %s.%s has no value", where, parameter_table[p].section,
                      parameter_table[p].key);
    else
        status = read_value(r->config, &parameter_table[p], where, &document, root);
    yaml_document_delete(&document);
    return status;
}
