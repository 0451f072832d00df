#include "commands/manual.h"

#include <stdio.h>
#include <string.h>

#include "base/provenance.h"
#include "commands/completion.h"
#include "commands/usage.h"

/* ---- Markdown ---- */

/* In a cell of a table a bar would end the cell. */
static void print_cell(const char *text) {
    for (; *text; text++)
        if (*text == '|')
            printf("\\|");
        else if (*text == '<')
            printf("&lt;");
        else
            putchar(*text);
}

static void print_row(const struct parameter_help *p, void *context) {
    const char **section = context;
    if (!*section || strcmp(*section, p->section) != 0)
        printf("\n### %s\n\n| key | type, default | allowed | meaning |\n|---|---|---|---|\n", p->section);
    *section = p->section;
    printf("| `%s` | %s", p->key, p->type);
    if (p->required)
        printf(", required");
    if (p->fallback[0] != '\0')
        printf(", `%s`", p->fallback);
    if (p->of_response[0] != '\0')
        printf("; with `network.kind: response` `%s`", p->of_response);
    printf(" | ");
    print_cell(p->allowed);
    printf(" | ");
    print_cell(p->text);
    printf(" |\n");
}

static void print_markdown(void) {
    int count;
    const char *section = NULL;
    printf("# Commands and input\n\n"
           "Printed by `epflow help reference`; `epflow COMMAND --help` shows the same on a terminal.\n\n"
           "## Commands\n");
    const struct command *command = usage_commands(&count);
    for (int m = 0; m < count; m++)
        printf("\n### epflow %s %s\n\n%s.\n\n```text\n%s\n```\n", command[m].name, command[m].argument,
               command[m].summary, command[m].description);
    printf("\n## Options\n\n| option | what it does |\n|---|---|\n");
    const struct option *option = usage_options(&count);
    for (int m = 0; m < count; m++) {
        printf("| `%s", option[m].name);
        if (option[m].value)
            printf(" %s", option[m].value);
        printf("` | ");
        print_cell(option[m].summary);
        printf(" |\n");
    }
    printf("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
    const struct exit_code *code = usage_exit_codes(&count);
    for (int m = 0; m < count; m++)
        printf("| %d | %s |\n", code[m].code, code[m].meaning);
    printf(
        "\n## Parameters of the input\n\nA YAML file of sections. Lengths are in particle radii r0, mobility "
        "is 1. Unknown keys are errors.\n");
    config_visit_help(NULL, print_row, &section);
}

/* ---- a page for man ---- */

/* troff takes a backslash, and a dot or a quote that begins a line, for itself. */
static void print_troff(const char *text) {
    bool begins = true;
    for (; *text; text++) {
        if (begins && (*text == '.' || *text == '\''))
            printf("\\&");
        if (*text == '\\')
            printf("\\e");
        else if (*text == '-')
            printf("\\-");
        else
            putchar(*text);
        begins = *text == '\n';
    }
}

static void print_entry(const struct parameter_help *p, void *context) {
    const char **section = context;
    if (!*section || strcmp(*section, p->section) != 0)
        printf(".SS %s\n", p->section);
    *section = p->section;
    printf(".TP\n.B %s\n", p->key);
    print_troff(p->type);
    printf("%s", p->required ? ", required" : "");
    if (p->fallback[0] != '\0') {
        printf(", default ");
        print_troff(p->fallback);
    }
    if (p->of_response[0] != '\0') {
        printf(" (with network.kind: response ");
        print_troff(p->of_response);
        printf(")");
    }
    printf("%s", p->allowed[0] != '\0' ? "; " : "");
    print_troff(p->allowed);
    printf(".\n.br\n");
    print_troff(p->text);
    printf(".\n");
}

static void print_man(void) {
    int count;
    const char *section = NULL;
    printf(
        ".TH EPFLOW 1 \"\" \"epflow %s\" \"User commands\"\n"
        ".SH NAME\nepflow \\- where, and how strongly, a many\\-particle system breaks time\\-reversal "
        "symmetry\n"
        ".SH SYNOPSIS\n.B epflow\n.I COMMAND\n[\\fIFILE\\fR] [\\fIOPTIONS\\fR]\n.br\n"
        ".B mpirun \\-n\n.I RANKS\n.B epflow\n.I COMMAND\n[\\fIFILE\\fR] [\\fIOPTIONS\\fR]\n.SH COMMANDS\n",
        provenance_version());
    const struct command *command = usage_commands(&count);
    for (int m = 0; m < count; m++) {
        printf(".TP\n\\fB%s\\fR %s\n", command[m].name, command[m].argument);
        print_troff(command[m].summary);
        printf(".\n.nf\n");
        print_troff(command[m].description);
        printf("\n.fi\n");
    }
    printf(".SH OPTIONS\n");
    const struct option *option = usage_options(&count);
    for (int m = 0; m < count; m++) {
        printf(".TP\n.B ");
        print_troff(option[m].name);
        printf(" %s\n", option[m].value ? option[m].value : "");
        print_troff(option[m].summary);
        printf("\n");
    }
    printf(".SH EXIT STATUS\n");
    const struct exit_code *code = usage_exit_codes(&count);
    for (int m = 0; m < count; m++) {
        printf(".TP\n.B %d\n", code[m].code);
        print_troff(code[m].meaning);
        printf("\n");
    }
    printf(
        ".SH PARAMETERS OF THE INPUT\nA YAML file of sections. Lengths are in particle radii r0, mobility is "
        "1.\n");
    config_visit_help(NULL, print_entry, &section);
}

/* ---- */

static const struct {
    const char *name;
    void (*print)(void);
} form_table[] = {{"reference", print_markdown},
                  {"man", print_man},
                  {"completion", completion_bash},
                  {"completion-zsh", completion_zsh},
                  {"completion-fish", completion_fish}};
enum { FORMS = sizeof form_table / sizeof *form_table };

bool manual_asked(int argc, char **argv) {
    if (argc != 3 || strcmp(argv[1], "help") != 0)
        return false;
    for (int m = 0; m < FORMS; m++)
        if (strcmp(form_table[m].name, argv[2]) == 0) {
            form_table[m].print();
            return true;
        }
    return false;
}
