#include "io/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/provenance.h"

enum { FORMAT = 1, MOST_SETTINGS = 128 };

/* ---- provenance and parameters ---- */

static enum status write_item(const char *name, const char *value, void *file) {
    return h5_write_text(file, "/provenance", name, value);
}

static enum status write_parameter(const struct config_value *v, void *context) {
    struct h5_file *file = context;
    char group[64];
    snprintf(group, sizeof group, "/parameters/%s", v->section);
    enum status status = h5_group(file, group);
    if (status != STATUS_OK)
        return status;
    if (v->type == CONFIG_REAL)
        return h5_write_real(file, group, v->key, v->real);
    if (v->type == CONFIG_INTEGER)
        return h5_write_integer(file, group, v->key, v->integer);
    return h5_write_text(file, group, v->key, v->text);
}

enum status file_describe(struct h5_file *file, const char *kind, const struct config *config,
                          struct comm *comm, const char *device) {
    enum status status = STATUS_OK;
    TRY(h5_write_text(file, "/", "epflow_kind", kind));
    TRY(h5_write_integer(file, "/", "epflow_format", FORMAT));
    TRY(h5_group(file, "/provenance"));
    TRY(comm_agree(comm, provenance_visit(write_item, file)));
    TRY(h5_write_text(file, "/provenance", "mpi", comm_library()));
    TRY(h5_write_integer(file, "/provenance", "ranks", comm_size(comm)));
    TRY(h5_write_integer(file, "/provenance", "threads_per_rank", 1));
    TRY(h5_write_text(file, "/provenance", "device", device));
    TRY(h5_write_text(file, "/provenance", "precision", sizeof(real) == 4 ? "float32" : "float64"));
    TRY(config_visit(config, write_parameter, file));
out:
    return status;
}

/* Reads /parameters back into settings "section.key=value", in the order of the table. */
struct settings {
    struct h5_file *file;
    int count;
    char *text[MOST_SETTINGS];
};

static enum status read_setting(const struct config_value *v, void *context) {
    struct settings *s = context;
    char group[64];
    const size_t room = CONFIG_FILES * (CONFIG_TEXT + 64) + 256;
    snprintf(group, sizeof group, "/parameters/%s", v->section);
    if (!h5_has_attribute(s->file, group, v->key))
        return STATUS_OK; /* made by a version that did not have it: the default */
    char *text = malloc(room), *value = malloc(room);
    enum status status = text && value ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory while reading parameters");
    double number = 0;
    int64_t whole = 0;
    if (status == STATUS_OK && v->type == CONFIG_REAL) {
        status = h5_read_real(s->file, group, v->key, &number);
        snprintf(value, room, "%.17g", number);
    } else if (status == STATUS_OK && v->type == CONFIG_INTEGER) {
        status = h5_read_integer(s->file, group, v->key, &whole);
        snprintf(value, room, "%lld", (long long)whole);
    } else if (status == STATUS_OK) {
        status = h5_read_text(s->file, group, v->key, room, value);
    }
    bool absent = (strcmp(v->key, "packing_fraction") == 0 && number == 0) || strcmp(value ? value : "[]", "[]") == 0;
    if (status == STATUS_OK && !absent) {
        bool quoted = v->type == CONFIG_STRING && value[0] != '[';
        snprintf(text, room, quoted ? "%s.%s=\"%s\"" : "%s.%s=%s", v->section, v->key, value);
        s->text[s->count++] = text;
        text = NULL;
    }
    free(text);
    free(value);
    return status;
}

enum status file_parameters(struct h5_file *file, struct comm *comm, struct config *out) {
    struct settings s = {.file = file};
    struct config nothing;
    memset(&nothing, 0, sizeof nothing);
    enum status status = config_visit(&nothing, read_setting, &s);
    if (status == STATUS_OK)
        status = comm_agree(comm, config_parse(h5_path(file), "", s.count, (const char *const *)s.text, out));
    for (int i = 0; i < s.count; i++)
        free(s.text[i]);
    return status;
}

/* ---- comparing parameters ---- */

struct comparison {
    const char *wanted, *path, *hint;
    char (*text)[CONFIG_TEXT]; /* the file's values, in the order of the visit */
    int at;
    bool collecting;
};

static enum status compare_value(const struct config_value *v, void *context) {
    struct comparison *c = context;
    char list[512], section[80], key[160], now[CONFIG_TEXT];
    if (v->type == CONFIG_REAL)
        snprintf(now, sizeof now, "%.17g", v->real);
    else if (v->type == CONFIG_INTEGER)
        snprintf(now, sizeof now, "%lld", (long long)v->integer);
    else
        snprintf(now, sizeof now, "%.*s", CONFIG_TEXT - 1, v->text);
    if (c->collecting) {
        snprintf(c->text[c->at++], CONFIG_TEXT, "%s", now);
        return STATUS_OK;
    }
    const char *then = c->text[c->at++];
    snprintf(list, sizeof list, ",%s,", c->wanted);
    snprintf(section, sizeof section, ",%s,", v->section);
    snprintf(key, sizeof key, ",%s.%s,", v->section, v->key);
    if ((strstr(list, section) || strstr(list, key)) && strcmp(now, then) != 0)
        return FAIL(STATUS_BAD_INPUT, "%s was made with %s.%s = %s, but it is %s now: %s", c->path, v->section, v->key,
                    then, now, c->hint);
    return STATUS_OK;
}

enum status file_same_parameters(struct h5_file *file, struct comm *comm, const struct config *config,
                                 const char *sections, const char *hint) {
    enum status status = STATUS_OK;
    struct comparison c = {.wanted = sections, .path = h5_path(file), .hint = hint, .collecting = true};
    struct config *then = malloc(sizeof *then);
    c.text = calloc(MOST_SETTINGS, sizeof *c.text);
    if (!then || !c.text)
        status = FAIL(STATUS_FAILURE, "out of memory while reading %s", h5_path(file));
    TRY(comm_agree(comm, status));
    TRY(file_parameters(file, comm, then));
    TRY(config_visit(then, compare_value, &c));
    c.at = 0;
    c.collecting = false;
    TRY(comm_agree(comm, config_visit(config, compare_value, &c)));
out:
    free(then);
    free(c.text);
    return status;
}

/* ---- files ---- */

static void part_path(const char *path, char out[FILE_PATH]) {
    snprintf(out, FILE_PATH, "%s.part", path);
}

enum status file_begin(struct comm *comm, const char *path, struct h5_file **out) {
    char part[FILE_PATH];
    part_path(path, part);
    return h5_create(comm, part, out);
}

enum status file_finish(struct comm *comm, struct h5_file **file, const char *path, const char *previous) {
    enum status status = STATUS_OK;
    char part[FILE_PATH];
    part_path(path, part);
    TRY(h5_write_integer(*file, "/", "complete", 1));
    TRY(h5_sync(*file));
    TRY(h5_close(file));
    if (comm_rank(comm) == 0) {
        if (previous && access(path, F_OK) == 0 && rename(path, previous) != 0)
            status = FAIL(STATUS_STORAGE, "%s cannot be renamed to %s: %s", path, previous, strerror(errno));
        else if (rename(part, path) != 0)
            status = FAIL(STATUS_STORAGE, "%s cannot be renamed to %s: %s", part, path, strerror(errno));
    }
    TRY(comm_agree(comm, status));
out:
    if (*file)
        h5_close(file);
    return status;
}

enum status file_open(struct comm *comm, const char *path, const char *kind, bool writable, struct h5_file **out) {
    enum status status = STATUS_OK;
    char found[64] = "";
    int64_t complete = 0;
    *out = NULL;
    if (!file_exists(comm, path))
        return FAIL(STATUS_BAD_INPUT, "%s is not there%s%s: is the path right, and did the stage that makes it run?", path,
                    kind ? ", a file of kind " : "", kind ? kind : "");
    if (!h5_is_hdf5(comm, path)) {
        status = FAIL(STATUS_BAD_INPUT, "%s is not a file of epflow: it is not HDF5", path);
        goto out;
    }
    TRY(h5_open(comm, path, writable, out));
    if (!h5_has_attribute(*out, "/", "epflow_kind")) {
        status = FAIL(STATUS_BAD_INPUT, "%s is not a file of epflow", path);
        goto out;
    }
    TRY(h5_read_text(*out, "/", "epflow_kind", sizeof found, found));
    if (kind && strcmp(found, kind) != 0) {
        status = FAIL(STATUS_BAD_INPUT, "%s is a file of kind %s where %s is expected", path, found, kind);
        goto out;
    }
    if (kind && (strcmp(kind, "restart") == 0 || strcmp(kind, "model") == 0)) {
        if (h5_has_attribute(*out, "/", "complete"))
            TRY(h5_read_integer(*out, "/", "complete", &complete));
        if (complete != 1)
            status = FAIL(STATUS_STORAGE, "%s is incomplete (its writing was interrupted): use an earlier one", path);
    }
out:
    if (status != STATUS_OK && *out)
        h5_close(out);
    return status;
}

bool file_exists(struct comm *comm, const char *path) {
    char there = access(path, F_OK) == 0;
    comm_broadcast(comm, &there, sizeof there);
    return there;
}

enum status file_make_directory(struct comm *comm, const char *path) {
    enum status status = STATUS_OK;
    char part[FILE_PATH];
    snprintf(part, sizeof part, "%s", path);
    for (char *at = part + 1; comm_rank(comm) == 0 && status == STATUS_OK; at++) {
        char kept = *at;
        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        struct stat about;
        if (mkdir(part, 0777) != 0 && (errno != EEXIST || stat(part, &about) != 0 || !S_ISDIR(about.st_mode)))
            status = FAIL(STATUS_STORAGE, "folder %s cannot be made: %s", part, strerror(errno == EEXIST ? ENOTDIR : errno));
        *at = kept;
        if (kept == '\0')
            break;
    }
    return comm_agree(comm, status);
}

void file_join(const char *directory, const char *name, char out[FILE_PATH]) {
    snprintf(out, FILE_PATH, "%s/%s", directory, name);
}
