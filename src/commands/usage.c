#include "commands/usage.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/provenance.h"
#include "base/text.h"
#include "commands/commands.h"

static const struct command command_table[] = {
    {"simulate", "FILE.yaml", "simulate the particles and write their trajectory", true,
     "system,simulation,output,run",
     "Integrates, for particles of radius r0 = 1 and mobility 1,\n"
     "    dx_i = b_i dt + sqrt(2 eps) dW_i,      b_i = v0 g_i + k sum_j f(|x_ij|) x_ij/|x_ij| - trap x_i,\n"
     "    dg_i = -gamma g_i dt + sqrt(2 gamma) dW'_i   (variance 1 per component),\n"
     "    f(r) = log(1 + exp(beta (2 - r))) / beta, cut where it is cutoff_tolerance,\n"
     "by Euler-Maruyama steps in x, exact in g, from a start through the burn-in, with finer steps of "
     "second\n"
     "order before every frame (refine; eps = 0), and writes frames to\n"
     "trajectory.h5 with restart files beside it. The trajectory is the same bits on any number of ranks.",
     command_simulate, true, NULL, true},
    {"train", "FILE.yaml", "train a score network on trajectories", true,
     "system,network,response,training,data,output,run",
     "Trains the network on the frames of one or more trajectories, tests it on frames it never saw, and "
     "writes\n"
     "model.h5 with the training log.",
     command_train, true, NULL, true},
    {"evaluate", "FILE.yaml", "entropy production of every particle, fields, certificate", true,
     "system,evaluation,data,output,run",
     "Computes score, probability flow and entropy production of every particle of a trajectory, their "
     "fields and\n"
     "profiles, and the certificate, and writes evaluation.h5 and fields.xdmf.",
     command_evaluate, true, NULL, true},
    {"run", "FILE.yaml", "simulate, train and evaluate, one after the other", true, NULL,
     "The three stages in one. With --resume, stages that are complete are not repeated.\n"
     "\n"
     "--json (of a stage, too) prints, when it is over, one object to standard output: for every stage its "
     "state\n"
     "(complete, was complete, planned, stopped or failed), seconds by section (min, mean, max over ranks), "
     "rates,\n"
     "most memory of a rank, main numbers with errors, and files; and the exit code with its meaning.",
     command_run, true, NULL, true},
    {"check", "[FILE.yaml]", "identities and exact flows beside results; without FILE: a GPU beside the CPU",
     true, "system,output,run",
     "Prints the exact identities of the stationary state, from the scalars of a trajectory alone: "
     "stationarity of\n"
     "the energy (I0) and the exact total entropy production. Where there is an evaluation, and the flow is "
     "known\n"
     "exactly (crystals; two swimmers on a ring), says how it compares, particle by particle, and writes "
     "check.h5,\n"
     "anew each time. Without FILE: compares every operation of the GPU with the CPU's, on sizes of all "
     "kinds.",
     command_check, true, CHECK_SYSTEM, false},
    {"info", "FILE.h5", "say what a file of epflow is, and its main numbers", false, NULL,
     "Any file of epflow: kind, completeness, origin, scales, main numbers. --json prints kind, completeness "
     "and\n"
     "scales as \"summary\", and all scalars.",
     command_info, false, NULL, false},
    {"export", "FILE.h5", "particles of a trajectory or an evaluation, for OVITO, ASE, AMEP", false, NULL,
     "Writes frames of a trajectory or an evaluation in a file that other programs read: --format xyz\n"
     "(extended XYZ, text, every column by name: OVITO, ASE) or --format amep (.h5amep: AMEP). Numbers are\n"
     "those of the file. MDAnalysis and h5py read trajectories as they are, ParaView the fields.\n"
     "\n"
     "  --output FILE            where to; its ending (.xyz, .h5amep) may stand for --format;\n"
     "                           default: beside FILE.h5\n"
     "  --frames 7 | 10:20 | ::10   one frame (-1: the last), or FIRST:END:STRIDE as Python counts\n"
     "  --columns sigma,v_x,...  these beside positions; default: all",
     command_export, false, NULL, false},
    {"bench", "[messages]", "time this build on this machine", true, "system,simulation,run",
     "Times, in about a minute, the operations of the program, steps of a simulation (4096\n"
     "particles unless set otherwise) and of two networks, on all ranks at once, beside what the machine\n"
     "can do: a large matrix product and a large copy; with two ranks or more also messages between them, "
     "or\n"
     "only these (mpirun -n 2 epflow bench messages). --json prints the same as JSON.",
     command_bench, true, BENCH_SYSTEM, false},
};
enum { COMMANDS = sizeof command_table / sizeof *command_table };

static const struct command *find_command(const char *name) {
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    return NULL;
}

static enum status unknown_command(const char *name) {
    const char *known[COMMANDS];
    for (int i = 0; i < COMMANDS; i++)
        known[i] = command_table[i].name;
    const char *nearest = text_nearest(name, COMMANDS, known);
    if (nearest)
        return FAIL(STATUS_BAD_INPUT, "command %s is not known; did you mean %s?", name, nearest);
    return FAIL(STATUS_BAD_INPUT, "command %s is not known; epflow help lists the commands", name);
}

#define AT(name) offsetof(struct session, name)
static const struct option option_table[] = {
    {"--set", "SECTION.KEY=VALUE", "sets a parameter, over the input file; may be repeated", OPTION_SETTING,
     0, NULL},
    {"--output", "DIR", "short for --set output.directory=DIR; (export) the file", OPTION_TEXT, AT(output),
     NULL},
    {"--device", "auto|cpu|cuda", "short for --set run.device=...", OPTION_SETTING, 0, "run.device"},
    {"--dry-run", NULL, "checks the input and prints the plan; nothing is created", OPTION_FLAG, AT(dry_run),
     NULL},
    {"--resume", NULL, "goes on where an earlier run of the same input stopped", OPTION_FLAG, AT(resume),
     NULL},
    {"--overwrite", NULL, "replaces the results of an earlier run, once the new ones are complete",
     OPTION_FLAG, AT(overwrite), NULL},
    {"--json", NULL, "as JSON: (info) all scalars, (bench) all times, (a run) its end", OPTION_FLAG, AT(json),
     NULL},
    {"--format", "xyz|amep", "(export) what the file is to be; see epflow export --help", OPTION_TEXT,
     AT(format), NULL},
    {"--frames", "FRAMES", "(export) one, or FIRST:END:STRIDE, as Python counts", OPTION_TEXT, AT(frames),
     NULL},
    {"--columns", "NAMES", "(export) of the particles; see epflow export --help", OPTION_TEXT, AT(columns),
     NULL},
    {"--help", NULL, "the parameters of a command", OPTION_PRINT, 0, NULL},
    {"--version", NULL, "version and revision", OPTION_PRINT, 0, NULL},
};
#undef AT
enum { OPTIONS = sizeof option_table / sizeof *option_table };

static const struct exit_code exit_table[] = {
    {STATUS_OK, "done"},
    {STATUS_FAILURE, "failure"},
    {STATUS_BAD_INPUT, "bad input: nothing was created"},
    {STATUS_NUMBERS, "the numbers went wrong"},
    {STATUS_STORAGE, "storage, or a damaged file"},
    {STATUS_STOPPED, "stopped early with a restart written: submit again with --resume"},
    {130, "a second Ctrl-C: left at once"},
};
enum { EXIT_CODES = sizeof exit_table / sizeof *exit_table };

const struct command *usage_commands(int *count) {
    *count = COMMANDS;
    return command_table;
}

const struct option *usage_options(int *count) {
    *count = OPTIONS;
    return option_table;
}

const struct exit_code *usage_exit_codes(int *count) {
    *count = EXIT_CODES;
    return exit_table;
}

static enum status unknown_option(const char *name) {
    const char *known[OPTIONS];
    for (int i = 0; i < OPTIONS; i++)
        known[i] = option_table[i].name;
    const char *nearest = text_nearest(name, OPTIONS, known);
    if (nearest)
        return FAIL(STATUS_BAD_INPUT, "option %s is not known; did you mean %s?", name, nearest);
    return FAIL(STATUS_BAD_INPUT, "option %s is not known; epflow help lists the options", name);
}

static enum status add_setting(struct session *s, const char *setting) {
    if (s->setting_count == SESSION_SETTINGS)
        return FAIL(STATUS_BAD_INPUT, "more than %d settings on the command line", SESSION_SETTINGS);
    s->setting[s->setting_count++] = setting;
    return STATUS_OK;
}

/* Whether argument i is this option, as "--name value" or "--name=value", with a value or (status) without. */
static bool option_value(int argc, char **argv, int *i, const char *name, const char **value,
                         enum status *status) {
    size_t length = strlen(name);
    if (strncmp(argv[*i], name, length) != 0 || (argv[*i][length] != '=' && argv[*i][length] != '\0'))
        return false;
    if (argv[*i][length] == '=')
        *value = argv[*i] + length + 1;
    else if (*i + 1 < argc)
        *value = argv[++*i];
    else
        *status = FAIL(STATUS_BAD_INPUT, "option %s needs a value", name);
    return true;
}

/* "--device cpu" is "--set run.device=cpu". The texts live as long as the process. */
static enum status shorthand(struct session *s, const char *key, const char *value) {
    static char text[SESSION_SETTINGS][CONFIG_TEXT + 32];
    if (s->setting_count < SESSION_SETTINGS)
        snprintf(text[s->setting_count], sizeof *text, "%s=%s", key, value);
    return add_setting(s, s->setting_count < SESSION_SETTINGS ? text[s->setting_count] : "");
}

static enum status parse_option(int argc, char **argv, int *i, struct session *s) {
    enum status status = STATUS_OK;
    for (int m = 0; m < OPTIONS; m++) {
        const struct option *o = &option_table[m];
        void *place = (char *)s + o->offset;
        const char *value = NULL;
        const bool given = o->value && option_value(argc, argv, i, o->name, &value, &status);
        const bool flag = o->kind == OPTION_FLAG && strcmp(argv[*i], o->name) == 0;
        if (status != STATUS_OK)
            return status;
        if (flag)
            *(bool *)place = true;
        else if (given && o->kind == OPTION_TEXT)
            *(const char **)place = value;
        else if (given)
            return o->key ? shorthand(s, o->key, value) : add_setting(s, value);
        if (flag || given)
            return STATUS_OK;
    }
    return unknown_option(argv[*i]);
}

/* The command that help is asked for: "epflow simulate --help", "epflow help simulate"; NULL for all of them. */
static const char *help_topic(int argc, char **argv) {
    const char *first = argc > 1 ? argv[1] : "-";
    if (strcmp(first, "help") == 0 || strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0)
        return argc > 2 && argv[2][0] != '-' ? argv[2] : NULL;
    return first[0] != '-' ? first : NULL;
}

static bool asks_for_help(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--version") == 0)
            return true;
    return argc > 1 && strcmp(argv[1], "help") == 0;
}

/* Options that this command does not have. */
static enum status check_options(const struct command *c, const struct session *s) {
    const bool exports = c->run == command_export;
    if (!c->reads_input && (s->setting_count > 0 || (s->output && !exports)))
        return FAIL(STATUS_BAD_INPUT, "epflow %s reads no input file: %s do not apply", c->name,
                    exports ? "--set and --device" : "--set, --device and --output");
    if (!exports && (s->format || s->frames || s->columns))
        return FAIL(STATUS_BAD_INPUT,
                    "--format, --frames and --columns are options of epflow export, not of %s", c->name);
    if (s->resume && s->overwrite)
        return FAIL(STATUS_BAD_INPUT, "--resume and --overwrite contradict each other: give one of them");
    return STATUS_OK;
}

enum status usage_parse(int argc, char **argv, struct session *s, const struct command **command,
                        bool *print) {
    enum status status = STATUS_OK;
    *command = NULL;
    *print = argc < 2 || asks_for_help(argc, argv);
    if (*print) {
        const char *topic = help_topic(argc, argv);
        return topic && !find_command(topic) ? unknown_command(topic) : STATUS_OK;
    }
    const struct command *c = NULL;
    bool word = false;
    for (int i = 1; i < argc; i++) { /* options may stand anywhere; the first other word is the command */
        if (argv[i][0] == '-' && argv[i][1] != '\0') {
            TRY(parse_option(argc, argv, &i, s));
        } else if (!c) {
            c = find_command(argv[i]);
            if (!c)
                return unknown_command(argv[i]);
            word = strncmp(c->argument, "FILE", 4) != 0 && strncmp(c->argument, "[FILE", 5) != 0;
        } else if (word && !s->part) {
            s->part = argv[i];
        } else if (!s->file) {
            s->file = argv[i];
        } else {
            return FAIL(STATUS_BAD_INPUT, "%s takes one file, but %s and %s were given", c->name, s->file,
                        argv[i]);
        }
    }
    if (!c)
        return FAIL(STATUS_BAD_INPUT, "no command given; epflow help lists the commands");
    if (!s->file && c->argument[0] != '[')
        return FAIL(STATUS_BAD_INPUT, "epflow %s needs a file: epflow %s %s", c->name, c->name, c->argument);
    if (s->file && word)
        return FAIL(STATUS_BAD_INPUT, "epflow %s takes one word at most, but %s and %s were given", c->name,
                    s->part, s->file);
    TRY(check_options(c, s));
    if (c->reads_input && s->output)
        TRY(shorthand(s, "output.directory", s->output));
    *command = c;
out:
    return status;
}

static void print_options(void) {
    printf("\nOptions:\n");
    for (int m = 0; m < OPTIONS; m++) {
        const struct option *o = &option_table[m];
        char synopsis[64];
        snprintf(synopsis, sizeof synopsis, "%s%s%s", o->name, o->value ? " " : "", o->value ? o->value : "");
        printf("  %-24s %s\n", synopsis, o->summary);
    }
    printf("\nExit codes:\n");
    for (int m = 0; m < EXIT_CODES; m++)
        printf("  %-4d %s\n", exit_table[m].code, exit_table[m].meaning);
}

static void print_overview(void) {
    printf("epflow: where, and how strongly, a many-particle system breaks time-reversal symmetry.\n\n"
           "  epflow COMMAND FILE [OPTIONS]          on one core\n"
           "  mpirun -n RANKS epflow COMMAND FILE    on many\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        printf("  %-9s %-10s %s\n", command_table[i].name, command_table[i].argument,
               command_table[i].summary);
    printf(
        "\nepflow COMMAND --help lists the parameters of a command. epflow help man prints the manual page, "
        "epflow\n"
        "help reference the same as Markdown, epflow help completion what bash completes (completion-zsh, "
        "completion-fish: other shells).\n");
    print_options();
}

void usage_print(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--version") == 0) {
            printf("epflow %s (%s)\n", provenance_version(), provenance_revision());
            return;
        }
    const char *topic = help_topic(argc, argv);
    const struct command *c = topic ? find_command(topic) : NULL;
    if (!c) {
        print_overview();
        return;
    }
    printf("epflow %s%s%s: %s.\n\n%s\n", c->name, c->argument[0] ? " " : "", c->argument, c->summary,
           c->description);
    print_options();
    if (c->reads_input) {
        printf("\nParameters of the input file, with unit, default and range. Lengths are in particle radii "
               "r0,\n"
               "mobility is 1.\n");
        config_help(c->sections);
    }
}
