#include "base/config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/config_table.h"

enum { LARGEST_INPUT = 1 << 20 };

/* ---- reading ---- */

static enum status apply_default(struct reading *r, int index) {
    struct config *config = r->config;
    const struct parameter *p = &parameter_table[index];
    bool list = p->type == TYPE_FILES || p->type == TYPE_WEIGHTED;
    bool none = !p->fallback || p->fallback[0] == '\0';
    if (list || none || (p->type == TYPE_REAL && strcmp(p->fallback, "0") == 0))
        return STATUS_OK; /* the struct is zero */
    if (p->type == TYPE_REALS)
        return config_yaml_value(r, index, "default", p->fallback);
    return parameter_set(config, p, "default", p->fallback);
}

/* The response network where it can be: for its systems, in a box that it can look around in, unless the input gives
 * parameters of windows or learns in a way that is not for it. */
static enum network_kind usual_kind(const struct reading *r) {
    const struct config *c = r->config;
    const struct response_parameters *p = &c->network.response;
    double side[MAX_DIMENSION];
    bool suits = config_suits_response(&c->system) && c->training.loss == LOSS_DENOISING &&
                 c->training.noise_on == NOISE_ON_G &&
                 (c->system.box_sides > 0 || c->system.packing_fraction > 0);
    for (int i = 0; i < parameter_count; i++)
        suits = suits && !(r->origin[i].given && strcmp(parameter_table[i].section, "network") == 0);
    if (!suits)
        return NETWORK_WINDOW;
    config_box(&c->system, side);
    for (int a = 0; a < c->system.dimension; a++)
        suits = suits && side[a] >= 2 * config_response_radius(p, &c->system);
    return suits ? NETWORK_RESPONSE : NETWORK_WINDOW;
}

/* What the input does not give takes the default that goes with its kind of network. */
static enum status apply_kind_defaults(struct reading *r) {
    enum status status = STATUS_OK;
    if (!r->origin[parameter_find("network", "kind")].given)
        r->config->network.kind = usual_kind(r);
    for (int i = 0; i < parameter_count; i++)
        if (parameter_table[i].of_response && !r->origin[i].given &&
            r->config->network.kind == NETWORK_RESPONSE)
            TRY(parameter_set(r->config, &parameter_table[i], "default", parameter_table[i].of_response));
out:
    return status;
}

/* "section.key=value". */
static enum status apply_setting(struct reading *r, const char *setting) {
    static const char where[] = "--set";
    enum status status;
    char section[64], key[64];
    const char *dot = strchr(setting, '.'), *equals = strchr(setting, '=');
    if (!dot || !equals || dot > equals || dot == setting || equals == dot + 1 ||
        (size_t)(dot - setting) >= sizeof section || (size_t)(equals - dot) > sizeof key)
        return FAIL(STATUS_BAD_INPUT, "--set %s: a setting is section.key=value", setting);
    snprintf(section, sizeof section, "%.*s", (int)(dot - setting), setting);
    snprintf(key, sizeof key, "%.*s", (int)(equals - dot - 1), dot + 1);
    int p = parameter_find(section, key);
    if (p < 0)
        return parameter_unknown(where, section, key);
    const char *value = equals + 1;
    bool literal = parameter_table[p].type == TYPE_TEXT && value[0] != '"' && value[0] != '\'';
    if (literal) /* a path is what it says, whatever YAML would make of its characters */
        status = parameter_set(r->config, &parameter_table[p], where, value);
    else
        status = config_yaml_value(r, p, where, value);
    r->origin[p].given = true;
    snprintf(r->origin[p].place, sizeof r->origin[p].place, "%s", where);
    return status;
}

static enum status parse(const char *name, const char *text, int count, const char *const settings[],
                         bool recorded, struct config *out) {
    enum status status = STATUS_OK;
    struct reading r = {.config = out, .origin = calloc((size_t)parameter_count, sizeof *r.origin)};
    memset(out, 0, sizeof *out);
    if (!r.origin)
        return FAIL(STATUS_FAILURE, "out of memory while reading %s", name);
    for (int i = 0; i < parameter_count; i++)
        TRY(apply_default(&r, i));
    TRY(config_yaml_document(&r, name, text));
    for (int i = 0; i < count; i++)
        TRY(apply_setting(&r, settings[i]));
    TRY(apply_kind_defaults(&r));
    TRY(config_check(&r, name, recorded));
out:
    free(r.origin);
    return status;
}

enum status config_parse(const char *name, const char *text, int count, const char *const settings[],
                         struct config *out) {
    return parse(name, text, count, settings, false, out);
}

enum status config_restore(const char *name, int count, const char *const settings[], struct config *out) {
    return parse(name, "", count, settings, true, out);
}

/* A pipe that nobody writes to is not waited for. */
static FILE *open_input(const char *file) {
    enum { MILLISECONDS = 5000 };
    const int descriptor = open(file, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct pollfd wait = {.fd = descriptor, .events = POLLIN};
    if (descriptor < 0)
        return NULL;
    if (poll(&wait, 1, MILLISECONDS) > 0 && fcntl(descriptor, F_SETFL, 0) == 0) {
        FILE *f = fdopen(descriptor, "rb");
        if (f)
            return f;
    }
    close(descriptor);
    return NULL;
}

enum status config_read(const char *file, int count, const char *const settings[], struct config *out) {
    enum status status = STATUS_OK;
    char *text = NULL;
    FILE *f = open_input(file);
    if (!f)
        return FAIL(STATUS_BAD_INPUT, "%s cannot be read: is the path right?", file);
    text = malloc(LARGEST_INPUT + 1);
    size_t length = text ? fread(text, 1, LARGEST_INPUT, f) : 0;
    if (!text)
        status = FAIL(STATUS_FAILURE, "out of memory while reading %s", file);
    else if (ferror(f) || length == LARGEST_INPUT || memchr(text, '\0', length))
        status = FAIL(STATUS_BAD_INPUT, "%s is not an input file: text of at most 1 MiB is expected", file);
    if (status == STATUS_OK) {
        text[length] = '\0';
        status = config_parse(file, text, count, settings, out);
    }
    free(text);
    fclose(f);
    return status;
}

/* ---- derived ---- */

double config_cutoff(const struct system_parameters *s, const struct simulation_parameters *p) {
    if (s->kind == SYSTEM_CRYSTAL)
        return 2.5 * config_longest_bond(s);
    return 2 - log(expm1(s->beta * p->cutoff_tolerance)) / s->beta;
}

double config_reach(const struct system_parameters *s, const struct simulation_parameters *p) {
    const double cutoff = config_cutoff(s, p);
    return s->alignment > 0 && s->kind != SYSTEM_CRYSTAL ? fmax(cutoff, s->alignment_radius) : cutoff;
}

double config_response_cutoff(const struct response_parameters *p, const struct system_parameters *s) {
    const struct simulation_parameters cut = {.cutoff_tolerance = p->force_tolerance};
    return config_cutoff(s, &cut);
}

double config_response_radius(const struct response_parameters *p, const struct system_parameters *s) {
    const double sweeps = p->sweeps == RESPONSE_SWEEPS_ON ? p->sweep_radius : 0;
    return fmax(fmax(p->edge_radius, p->density_radius), fmax(sweeps, config_response_cutoff(p, s)));
}

void config_box(const struct system_parameters *s, double side[MAX_DIMENSION]) {
    static const double volume[] = {0, 2, M_PI, 4 * M_PI / 3};
    for (int a = 0; a < MAX_DIMENSION; a++) {
        if (a >= s->dimension)
            side[a] = 0;
        else if (s->box_sides > 0)
            side[a] = s->box[s->box_sides > 1 ? a : 0];
        else
            side[a] =
                pow((double)s->particles * volume[s->dimension] / s->packing_fraction, 1.0 / s->dimension);
    }
}

double config_packing_fraction(const struct system_parameters *s) {
    static const double volume[] = {0, 2, M_PI, 4 * M_PI / 3};
    double side[MAX_DIMENSION], box = 1;
    config_box(s, side);
    for (int a = 0; a < s->dimension; a++)
        box *= side[a];
    return (double)s->particles * volume[s->dimension] / box;
}

/* The sum of the weights of particles that touch each other (packing 0.9, or in three dimensions 0.74): that density times
 * the integral of w, 16/15, 1/3 pi, 32/105 pi times the radius^d. */
double config_alignment_rate(const struct system_parameters *s) {
    static const double weights[] = {0, 0.5 * 16 / 15, 0.9 / 3, 0.74 * 24 / 105};
    static const double bonds[] = {0, 2, 6, 6};
    const double sum = s->kind == SYSTEM_CRYSTAL
                           ? bonds[s->dimension]
                           : weights[s->dimension] * pow(s->alignment_radius, s->dimension);
    return 2 * s->alignment * sum;
}

int64_t config_burn_in_steps(const struct config *c) {
    return (int64_t)fmin(round(c->simulation.burn_in / c->simulation.dt), 9e15);
}

int64_t config_interval_steps(const struct config *c) {
    return (int64_t)fmin(round(c->simulation.frame_interval / c->simulation.dt), 9e15);
}

int64_t config_refine_steps(const struct config *c) {
    return (int64_t)fmin(round(c->simulation.refine / c->simulation.dt), 9e15);
}

int64_t config_fine_steps(const struct config *c) {
    const double interval = (double)config_refine_steps(c) * c->simulation.dt;
    return interval > 0 ? (int64_t)fmin(ceil(interval / c->simulation.refine_dt * (1 - 1e-9)), 9e15) : 0;
}

/* ---- writing ---- */

static void choice_word(const char *choices, int index, char *out, size_t size) {
    for (; index > 0; index--)
        choices = strchr(choices, '|') + 1;
    snprintf(out, size, "%.*s", (int)strcspn(choices, "|"), choices);
}

/* A list as YAML, in flow style. */
static enum status write_list(const struct config *c, const struct parameter *p, char **out) {
    const char *at = (const char *)c + p->offset;
    int count = *(const int *)(const void *)((const char *)c + p->count_offset);
    size_t room = (size_t)count * (CONFIG_TEXT + 64) + 8, used = 1;
    char *text = malloc(room);
    *out = text;
    if (!text)
        return FAIL(STATUS_FAILURE, "out of memory while writing parameters");
    strcpy(text, "[");
    for (int i = 0; i < count; i++) {
        const char *comma = i > 0 ? ", " : "";
        if (p->type == TYPE_REALS)
            used += (size_t)snprintf(text + used, room - used, "%s%.17g", comma,
                                     ((const double *)(const void *)at)[i]);
        else if (p->type == TYPE_FILES)
            used +=
                (size_t)snprintf(text + used, room - used, "%s\"%s\"", comma, at + (size_t)i * CONFIG_TEXT);
        else {
            const struct file_choice *choice = (const struct file_choice *)(const void *)at + i;
            used += (size_t)snprintf(text + used, room - used, "%s{file: \"%s\", weight: %.17g}", comma,
                                     choice->file, choice->weight);
        }
    }
    snprintf(text + used, room - used, "]");
    return STATUS_OK;
}

enum status config_visit(const struct config *c, config_visitor *visit, void *context) {
    enum status status = STATUS_OK;
    char *list = NULL;
    for (int i = 0; i < parameter_count; i++) {
        const struct parameter *p = &parameter_table[i];
        const char *at = (const char *)c + p->offset;
        char word[64];
        uint64_t seed;
        struct config_value v = {
            .section = p->section, .key = p->key, .unit = p->unit, .type = CONFIG_STRING};
        switch (p->type) {
        case TYPE_REAL:
            v.type = CONFIG_REAL;
            memcpy(&v.real, at, sizeof v.real);
            break;
        case TYPE_INTEGER:
            v.type = CONFIG_INTEGER;
            v.integer = *(const int *)(const void *)at;
            break;
        case TYPE_LONG:
            v.type = CONFIG_INTEGER;
            memcpy(&v.integer, at, sizeof v.integer);
            break;
        case TYPE_SEED:
            memcpy(&seed, at, sizeof seed);
            snprintf(word, sizeof word, "%" PRIu64, seed);
            v.text = word;
            break;
        case TYPE_TEXT:
            v.text = at;
            break;
        case TYPE_CHOICE:
            choice_word(p->choices, *(const int *)(const void *)at, word, sizeof word);
            v.text = word;
            break;
        default:
            TRY(write_list(c, p, &list));
            v.text = list;
        }
        TRY(visit(&v, context));
        free(list);
        list = NULL;
    }
out:
    free(list);
    return status;
}

void config_value_text(const struct config_value *v, size_t size, char *out) {
    if (v->type == CONFIG_STRING) {
        snprintf(out, size, "%s", v->text);
    } else if (v->type == CONFIG_INTEGER) {
        snprintf(out, size, "%lld", (long long)v->integer);
    } else {
        snprintf(out, size, "%.15g", v->real);
        if (strtod(out, NULL) != v->real)
            snprintf(out, size, "%.17g", v->real);
    }
}

static enum status print_value(const struct config_value *v, void *context) {
    const char **section = context;
    if (!*section || strcmp(*section, v->section) != 0)
        printf("%s:\n", v->section);
    *section = v->section;
    bool optional_zero = strcmp(v->key, "packing_fraction") == 0 && v->real == 0;
    bool list = v->type == CONFIG_STRING && v->text[0] == '[';
    bool empty = v->type == CONFIG_STRING && v->text[0] == '\0';
    const char *fallback = parameter_table[parameter_find(v->section, v->key)].fallback;
    const bool none = list && strcmp(v->text, "[]") == 0 && strcmp(fallback, "[]") == 0;
    if (optional_zero || empty || none)
        return STATUS_OK; /* not given */
    if (v->type == CONFIG_REAL)
        printf("  %s: %.17g\n", v->key, v->real);
    else if (v->type == CONFIG_INTEGER)
        printf("  %s: %lld\n", v->key, (long long)v->integer);
    else if (list)
        printf("  %s: %s\n", v->key, v->text);
    else
        printf("  %s: \"%s\"\n", v->key, v->text);
    return STATUS_OK;
}

void config_print(const struct config *c) {
    const char *section = NULL;
    config_visit(c, print_value, &section);
}
