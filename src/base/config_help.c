/* What the table of parameters says of each: for the help, the manual and the completion of a shell. */
#include <stdio.h>
#include <string.h>

#include "base/config_table.h"

static const char *type_name(enum parameter_type type) {
    static const char *const name[] = {[TYPE_REAL] = "number",
                                       [TYPE_INTEGER] = "whole number",
                                       [TYPE_LONG] = "whole number",
                                       [TYPE_SEED] = "whole number",
                                       [TYPE_TEXT] = "text",
                                       [TYPE_CHOICE] = "choice",
                                       [TYPE_REALS] = "number or list",
                                       [TYPE_FILES] = "list of files",
                                       [TYPE_WEIGHTED] = "list"};
    return name[type];
}

static bool is_wanted(const char *sections, const char *section) {
    char bounded[80], wanted[256];
    snprintf(bounded, sizeof bounded, ",%s,", section);
    snprintf(wanted, sizeof wanted, ",%s,", sections ? sections : section);
    return strstr(wanted, bounded) != NULL;
}

/* A packing fraction of 0 stands for none given, and [] for no files: defaults that nobody would write. */
static bool is_computed(const struct parameter *p) {
    return p->fallback && (p->fallback[0] == '\0' || strcmp(p->fallback, "[]") == 0 ||
                           strcmp(p->key, "packing_fraction") == 0);
}

void config_visit_help(const char *sections, config_help_visitor *visit, void *context) {
    for (int i = 0; i < parameter_count; i++) {
        const struct parameter *p = &parameter_table[i];
        char allowed[256] = "";
        if (!is_wanted(sections, p->section))
            continue;
        if (p->type == TYPE_SEED)
            snprintf(allowed, sizeof allowed, "from 0 to 18446744073709551615");
        else if (p->type != TYPE_TEXT && p->type != TYPE_FILES && p->type != TYPE_WEIGHTED)
            parameter_allowed(p, allowed, sizeof allowed);
        const struct parameter_help help = {.section = p->section,
                                            .key = p->key,
                                            .type = type_name(p->type),
                                            .required = !p->fallback,
                                            .fallback = p->fallback && !is_computed(p) ? p->fallback : "",
                                            .of_response = p->of_response ? p->of_response : "",
                                            .allowed = allowed,
                                            .choices = p->choices ? p->choices : "",
                                            .text = p->help};
        visit(&help, context);
    }
}

/* ---- on a terminal ---- */

enum { HELP_INDENT = 24, HELP_WIDTH = 100 };

static void print_wrapped(const char *text) {
    int column = HELP_INDENT;
    printf("%*s", HELP_INDENT, "");
    while (*text) {
        int word = (int)strcspn(text, " ");
        if (column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", HELP_INDENT, "");
            column = HELP_INDENT;
        }
        column += printf("%s%.*s", column > HELP_INDENT ? " " : "", word, text);
        text += word + (text[word] == ' ');
    }
    printf("\n");
}

static void print_parameter(const struct parameter_help *p, void *context) {
    const char **section = context;
    if (!*section || strcmp(*section, p->section) != 0)
        printf("\n%s:\n", p->section);
    *section = p->section;
    printf("  %-*s %s", HELP_INDENT - 3, p->key, p->type);
    if (p->required)
        printf(", required");
    else if (p->fallback[0] != '\0')
        printf(", default %s", p->fallback);
    printf("%s%s\n", p->allowed[0] ? "; " : "", p->allowed);
    if (p->of_response[0] != '\0')
        printf("%*swith network.kind: response %s\n", HELP_INDENT, "", p->of_response);
    print_wrapped(p->text);
}

void config_help(const char *sections) {
    const char *section = NULL;
    config_visit_help(sections, print_parameter, &section);
}
