#include "commands/completion.h"

#include <stdio.h>
#include <string.h>

#include "commands/usage.h"

/* What help prints besides help on commands. */
#define HELP_FORMS "man reference completion completion-zsh completion-fish"

/* ---- bash ---- */

static void print_setting(const struct parameter_help *p, void *context) {
    (void)context;
    printf(" %s.%s=", p->section, p->key);
}

/* Words of the choices follow SECTION.KEY=. */
static void print_choice(const struct parameter_help *p, void *context) {
    (void)context;
    if (p->choices[0] != '\0')
        printf("        %s.%s) choices='%s' ;;\n", p->section, p->key, p->choices);
}

/* A function that prints the words which may follow SECTION.KEY=, for bash and zsh. */
static void print_choices(void) {
    printf("_epflow_choices() {\n    local choices=\n    case $1 in\n");
    config_visit_help(NULL, print_choice, NULL);
    printf("    esac\n    printf '%%s' \"${choices//|/ }\"\n}\n\n");
}

void completion_bash(void) {
    int commands, options;
    const struct command *command = usage_commands(&commands);
    const struct option *option = usage_options(&options);
    printf("# What bash completes after epflow: source it, or install it where bash-completion looks.\n");
    print_choices();
    printf("_epflow() {\n"
           "    local commands='help");
    for (int m = 0; m < commands; m++)
        printf(" %s", command[m].name);
    printf("'\n    local options='");
    for (int m = 0; m < options; m++)
        printf("%s%s", m > 0 ? " " : "", option[m].name);
    printf("'\n    local settings='");
    config_visit_help(NULL, print_setting, NULL);
    printf("'\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} line=${COMP_LINE:0:"
           "COMP_POINT}\n"
           "    local last=${line##* } i named=\n"
           "    COMPREPLY=()\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        [[ \" $commands \" != *\" ${COMP_WORDS[i]} \"* ]] || named=${COMP_WORDS[i]}\n"
           "    done\n"
           "    if [[ $last == *.*=* && $last != -* ]]; then  # bash takes = for the end of a word\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$(_epflow_choices \"${last%%%%=*}\")\" -- "
           "\"${last#*=}\")\n"
           "    elif [[ $before == --set ]]; then\n"
           "        compopt -o nospace\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$settings\" -- \"$word\")\n"
           "    elif [[ $before == --device ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W 'auto cpu cuda' -- \"$word\")\n"
           "    elif [[ $before == --output ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -d -- \"$word\")\n"
           "    elif [[ $word == -* ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$word\")\n"
           "    elif [[ -z $named ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$commands\" -- \"$word\")\n"
           "    elif [[ $named == help ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$commands " HELP_FORMS "\" -- \"$word\")\n"
           "    else\n"
           "        local ending endings='yaml yml'\n"
           "        [[ $named != info && $named != export ]] || endings=h5\n"
           "        mapfile -t COMPREPLY < <(for ending in $endings; do\n"
           "            compgen -f -X \"!*.$ending\" -- \"$word\"; done; compgen -d -- \"$word\")\n"
           "    fi\n"
           "}\n"
           "complete -o filenames -F _epflow epflow\n");
}

/* ---- zsh and fish ---- */

/* Within single quotes. */
static void print_quoted(const char *text, const char *quote) {
    for (; *text; text++)
        if (*text == '\'')
            printf("%s", quote);
        else
            putchar(*text);
}

/* 'name:what it is' */
static void print_described(const char *name, const char *summary) {
    printf("\n        '%s:", name);
    print_quoted(summary, "'\\''");
    printf("'");
}

void completion_zsh(void) {
    int commands, options;
    const struct command *command = usage_commands(&commands);
    const struct option *option = usage_options(&options);
    printf(
        "#compdef epflow\n# What zsh completes after epflow: install it as _epflow in a folder of fpath.\n");
    print_choices();
    printf("_epflow() {\n    local -a commands options settings\n    commands=(\n        'help:help on a "
           "command'");
    for (int m = 0; m < commands; m++)
        print_described(command[m].name, command[m].summary);
    printf("\n    )\n    options=(");
    for (int m = 0; m < options; m++)
        print_described(option[m].name, option[m].summary);
    printf("\n    )\n    settings=(");
    config_visit_help(NULL, print_setting, NULL);
    printf(" )\n"
           "    local named= word before=${words[CURRENT-1]}\n"
           "    for word in ${words[2,CURRENT-1]}; do\n"
           "        [[ -z ${commands[(r)$word:*]} ]] || named=$word\n"
           "    done\n"
           "    if [[ $PREFIX == *.*=* && $PREFIX != -* ]]; then\n"
           "        local -a choices=(${(s: :)$(_epflow_choices ${PREFIX%%%%=*})})\n"
           "        compset -P '*='\n"
           "        compadd -a choices\n"
           "    elif [[ $before == --set ]]; then\n"
           "        compadd -S '' -a settings\n"
           "    elif [[ $before == --device ]]; then\n"
           "        compadd auto cpu cuda\n"
           "    elif [[ $before == --output ]]; then\n"
           "        _files -/\n"
           "    elif [[ $PREFIX == -* ]]; then\n"
           "        _describe -o option options\n"
           "    elif [[ -z $named ]]; then\n"
           "        _describe command commands\n"
           "    elif [[ $named == help ]]; then\n"
           "        compadd " HELP_FORMS "\n"
           "        _describe command commands\n"
           "    elif [[ $named == info || $named == export ]]; then\n"
           "        _files -g '*.h5'\n"
           "    else\n"
           "        _files -g '*.(yaml|yml)'\n"
           "    fi\n"
           "}\n"
           "if [[ ${funcstack[1]} == _epflow ]]; then  # the first use of a function of fpath\n"
           "    _epflow \"$@\"\n"
           "else\n"
           "    compdef _epflow epflow\n"
           "fi\n");
}

/* One line for every parameter: "section.key=", or with every choice after it. */
static void print_fish_setting(const struct parameter_help *p, void *context) {
    (void)context;
    if (p->choices[0] == '\0')
        printf("    echo %s.%s=\n", p->section, p->key);
    else
        printf("    printf '%s.%s=%%s\\n' (string split '|' '%s')\n", p->section, p->key, p->choices);
}

void completion_fish(void) {
    int commands, options;
    const struct command *command = usage_commands(&commands);
    const struct option *option = usage_options(&options);
    printf(
        "# What fish completes after epflow: source it, or install it as vendor_completions.d/epflow.fish.\n"
        "function __epflow_settings\n");
    config_visit_help(NULL, print_fish_setting, NULL);
    printf("end\n\ncomplete -c epflow -f\n"
           "complete -c epflow -n __fish_use_subcommand -a help -d 'help on a command'\n"
           "complete -c epflow -n '__fish_seen_subcommand_from help' -a '" HELP_FORMS "'\n");
    for (int m = 0; m < commands; m++) {
        const bool results = !command[m].reads_input;
        printf(
            "complete -c epflow -n '__fish_use_subcommand; or __fish_seen_subcommand_from help' -a %s -d '",
            command[m].name);
        print_quoted(command[m].summary, "\\'");
        printf(
            "'\ncomplete -c epflow -n '__fish_seen_subcommand_from %s' -k -a '(__fish_complete_suffix %s)'\n",
            command[m].name, results ? ".h5" : ".yaml");
    }
    for (int m = 0; m < options; m++) {
        const struct option *o = &option[m];
        printf("complete -c epflow -l %s -d '", o->name + 2);
        print_quoted(o->summary, "\\'");
        printf("'%s", o->value ? " -x" : "");
        if (o->kind == OPTION_SETTING && !o->key)
            printf(" -a '(__epflow_settings)'");
        else if (o->value && strcmp(o->name, "--output") == 0)
            printf(" -a '(__fish_complete_directories)'");
        else if (o->value && strchr(o->value, '|') && !strchr(o->value, ' '))
            printf(" -a '(string split \"|\" \"%s\")'", o->value);
        printf("\n");
    }
}
