/* Provenance, parameters, and files that a kill cannot break.
 *
 * A file carries every parameter of its run, defaults included, so it can be read without its input: the
 * attributes of /parameters become settings "section.key=value", and config_restore reads them as it reads the
 * command line. A parameter that the file does not have (an older version made it) takes its default.
 *
 * Files appear at once: PATH.part is written, flushed, fsynced, and renamed over PATH; small files when they are
 * complete, large ones when they are there at their full size. The one before
 * is kept under a second name that is made before the renaming, so that PATH itself is never missing.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/provenance.h"
#include "io/disk.h"
#include "io/checksum.h"
#include "io/inspect.h"

enum { FORMAT = 1, MOST_SETTINGS = 256, SETTING = CONFIG_FILES * (CONFIG_TEXT + 64) + 256 };

/* ---- provenance and parameters ---- */

static enum status write_item(const char *name, const char *value, void *file) {
    return h5_write_text(file, "/provenance", name, value);
}

enum status file_write_value(struct h5_file *file, const char *group, const struct config_value *v) {
    enum status status = h5_group(file, group);
    if (status != STATUS_OK)
        return status;
    if (v->type == CONFIG_REAL)
        return h5_write_real(file, group, v->key, v->real);
    if (v->type == CONFIG_INTEGER)
        return h5_write_integer(file, group, v->key, v->integer);
    return h5_write_text(file, group, v->key, v->text);
}

static enum status write_parameter(const struct config_value *v, void *file) {
    char group[64];
    snprintf(group, sizeof group, "/parameters/%s", v->section);
    return file_write_value(file, group, v);
}

static enum status write_unit(const struct config_value *v, void *file) {
    char name[160];
    snprintf(name, sizeof name, "%s.%s", v->section, v->key);
    return v->unit[0] ? h5_write_text(file, FILE_UNITS, name, v->unit) : STATUS_OK;
}

static enum status write_units(struct h5_file *file, const struct config *config) {
    enum status status = STATUS_OK;
    TRY(h5_group(file, FILE_UNITS));
    TRY(h5_write_text(file, FILE_UNITS, "length", "r0, the particle radius"));
    TRY(h5_write_text(file, FILE_UNITS, "time",
                      "follows from k: with mobility 1 it is a speed, in r0 per unit time"));
    TRY(h5_write_text(file, FILE_UNITS, "time_reversal",
                      "keeps x and g (both even): informatic entropy production rate"));
    TRY(config_visit(config, write_unit, file));
out:
    return status;
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
    TRY(write_units(file, config));
out:
    return status;
}

/* Settings "section.key=value" from /parameters, in the order of the table. */
struct settings {
    struct h5_file *file;
    struct comm *comm;
    int count;
    char *text[MOST_SETTINGS]; /* allocated */
};

static enum status read_value(struct h5_file *file, const char *group, const struct config_value *v,
                              char *out) {
    enum status status;
    double number = 0;
    int64_t whole = 0;
    if (v->type == CONFIG_REAL) {
        status = h5_read_real(file, group, v->key, &number);
        snprintf(out, SETTING, "%.17g", number);
    } else if (v->type == CONFIG_INTEGER) {
        status = h5_read_integer(file, group, v->key, &whole);
        snprintf(out, SETTING, "%lld", (long long)whole);
    } else {
        status = h5_read_text(file, group, v->key, SETTING, out);
    }
    return status;
}

static enum status read_setting(const struct config_value *v, void *context) {
    struct settings *s = context;
    char group[64], value[SETTING] = "", *text = NULL;
    snprintf(group, sizeof group, "/parameters/%s", v->section);
    if (!h5_has_attribute(s->file, group, v->key))
        return STATUS_OK; /* made by a version that did not have it: the default */
    enum status status = read_value(s->file, group, v, value);
    if (status != STATUS_OK)
        return status;
    if (value[0] == '\0' || (strcmp(v->key, "packing_fraction") == 0 && strcmp(value, "0") == 0))
        return STATUS_OK; /* how "not given" is stored */
    const char *quote = v->type == CONFIG_STRING && value[0] != '[' ? "\"" : "";
    if (s->count < MOST_SETTINGS &&
        asprintf(&text, "%s.%s=%s%s%s", v->section, v->key, quote, value, quote) >= 0)
        s->text[s->count++] = text;
    else
        status = FAIL(STATUS_FAILURE, "out of memory while reading %s", h5_path(s->file));
    return comm_agree(s->comm, status);
}

/* What config_restore finds wrong, as a message about the file. */
static enum status parse_settings(const struct settings *s, struct config *out) {
    enum status status = config_restore(h5_path(s->file), s->count, (const char *const *)s->text, out);
    struct status_note found;
    if (status == STATUS_OK)
        return status;
    status_hold(&found);
    return FAIL(status, "%s: the parameters in it cannot be used: %s", h5_path(s->file), found.message);
}

enum status file_parameters(struct h5_file *file, struct comm *comm, struct config *out) {
    struct settings s = {.file = file, .comm = comm};
    struct config nothing;
    memset(&nothing, 0, sizeof nothing);
    enum status status = comm_agree(comm, config_visit(&nothing, read_setting, &s));
    if (status == STATUS_OK)
        status = comm_agree(comm, parse_settings(&s, out));
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
    char list[512], section[80], key[160], but[160], now[CONFIG_TEXT];
    config_value_text(v, sizeof now, now);
    if (c->at == MOST_SETTINGS)
        return FAIL(STATUS_FAILURE, "more than %d parameters to compare", (int)MOST_SETTINGS);
    if (c->collecting) {
        snprintf(c->text[c->at++], CONFIG_TEXT, "%s", now);
        return STATUS_OK;
    }
    const char *then = c->text[c->at++];
    snprintf(list, sizeof list, ",%s,", c->wanted);
    snprintf(section, sizeof section, ",%s,", v->section);
    snprintf(key, sizeof key, ",%s.%s,", v->section, v->key);
    snprintf(but, sizeof but, ",-%s.%s,", v->section, v->key);
    if ((strstr(list, section) || strstr(list, key)) && !strstr(list, but) && strcmp(now, then) != 0)
        return FAIL(STATUS_BAD_INPUT, "%s was made with %s.%s = %s, but it is %s now: %s", c->path,
                    v->section, v->key, then, now, c->hint);
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

void file_part(const char *path, char out[FILE_PATH]) {
    snprintf(out, FILE_PATH, "%s.part", path);
}

enum status file_begin(struct comm *comm, const char *path, struct h5_file **out) {
    char part[FILE_PATH];
    file_part(path, part);
    return h5_create(comm, part, out);
}

/* A renaming survives a power cut once its folder is on the disk. */
static bool sync_folder(const char *path) {
    char folder[FILE_PATH];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int descriptor = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY);
    bool good = descriptor >= 0 && fsync(descriptor) == 0;
    if (descriptor >= 0)
        close(descriptor);
    return good;
}

enum status file_replace(const char *part, const char *path, const char *previous) {
    bool keep = previous && (access(path, F_OK) == 0 || errno != ENOENT);
    if (keep) {
        unlink(previous);
        /* A file system without hard links: PATH is missing for a moment, but not the file. */
        if (link(path, previous) != 0 && rename(path, previous) != 0)
            return FAIL(STATUS_STORAGE, "%s cannot be renamed to %s: %s%s", path, previous, strerror(errno),
                        disk_advice(errno));
    }
    if (rename(part, path) != 0)
        return FAIL(STATUS_STORAGE, "%s cannot be renamed to %s: %s%s", part, path, strerror(errno),
                    disk_advice(errno));
    if (!sync_folder(path))
        return FAIL(STATUS_STORAGE, "the folder of %s cannot be written to the disk: %s%s", path,
                    strerror(errno), disk_advice(errno));
    return STATUS_OK;
}

/* What file_begin made, as it is, becomes PATH. */
static enum status publish(struct comm *comm, struct h5_file **file, const char *path, const char *previous) {
    enum status status = STATUS_OK;
    char part[FILE_PATH];
    file_part(path, part);
    TRY(h5_sync(*file));
    TRY(h5_close(file));
    TRY(comm_agree(comm, comm_rank(comm) == 0 ? file_replace(part, path, previous) : STATUS_OK));
out:
    return status;
}

enum status file_finish(struct comm *comm, struct h5_file **file, const char *path, const char *previous) {
    enum status status = STATUS_OK;
    TRY(checksum_seal(*file, "/"));
    TRY(h5_write_integer(*file, "/", "complete", 1));
    TRY(publish(comm, file, path, previous));
out:
    if (*file)
        h5_close(file);
    return status;
}

enum status file_appear(struct comm *comm, struct h5_file **file, const char *path) {
    enum status status = STATUS_OK;
    TRY(checksum_seal(*file, "/"));
    TRY(h5_reserve(*file));
    TRY(publish(comm, file, path, NULL));
    TRY(h5_open(comm, path, true, file));
out:
    return status;
}

/* Of epflow, of a format that this program knows, of this kind (NULL: any). */
static enum status check_kind(struct h5_file *file, const char *kind) {
    enum status status = STATUS_OK;
    char found[64] = "";
    int64_t format = 0;
    if (!h5_has_attribute(file, "/", "epflow_kind"))
        return FAIL(STATUS_BAD_INPUT, "%s is not a file of epflow", h5_path(file));
    TRY(h5_read_text(file, "/", "epflow_kind", sizeof found, found));
    TRY(h5_read_integer(file, "/", "epflow_format", &format));
    if (kind && strcmp(found, kind) != 0)
        status = FAIL(STATUS_BAD_INPUT, "%s is a file of kind %s where %s is expected", h5_path(file), found,
                      kind);
    else if (format != FORMAT)
        status = FAIL(STATUS_BAD_INPUT,
                      "%s has format %lld, and this version of epflow reads format %d: use the version "
                      "that made it",
                      h5_path(file), (long long)format, (int)FORMAT);
out:
    return status;
}

enum status file_open(struct comm *comm, const char *path, const char *kind, bool writable,
                      struct h5_file **out) {
    enum status status = STATUS_OK;
    int64_t complete = 0;
    *out = NULL;
    if (!file_exists(comm, path))
        return FAIL(STATUS_BAD_INPUT,
                    "%s is not there%s%s: is the path right, and did the stage that makes it run?", path,
                    kind ? ", a file of kind " : "", kind ? kind : "");
    TRY(inspect_file(comm, path));
    TRY(h5_open(comm, path, writable, out));
    TRY(check_kind(*out, kind));
    TRY(checksum_verify_seal(*out, "/"));
    if (h5_has_attribute(*out, "/", "complete"))
        TRY(h5_read_integer(*out, "/", "complete", &complete));
    if (complete == 1 && h5_has(*out, "/certificate"))
        TRY(checksum_verify_seal(*out, "/certificate"));
    if (kind && (strcmp(kind, "restart") == 0 || strcmp(kind, "model") == 0)) {
        if (complete != 1)
            status = FAIL(STATUS_STORAGE,
                          "%s is incomplete: its root attribute complete is not 1, so its writing was "
                          "interrupted: use the %s before it, or make it again",
                          path, kind);
    }
out:
    if (status != STATUS_OK && *out)
        h5_close(out);
    return status;
}

enum status file_frames(const char *path, const char *dataset, bool increasing, size_t planned,
                        const int64_t *step, size_t *written) {
    size_t count = 0;
    *written = 0;
    for (size_t m = 0; m < planned; m++) {
        if (step[m] < 0)
            continue;
        if (count < m || (increasing && m > 0 && step[m] <= step[m - 1]))
            return FAIL(STATUS_STORAGE,
                        "%s: dataset %s: frame %zu is of step %lld and the one before of %lld: the file is "
                        "damaged",
                        path, dataset, m, (long long)step[m], (long long)(m > 0 ? step[m - 1] : -1));
        count++;
    }
    *written = count;
    return STATUS_OK;
}

bool file_exists(struct comm *comm, const char *path) {
    char there = 0;
    if (comm_rank(comm) == 0) {
        there = access(path, F_OK) == 0;
        if (!there && errno != ENOENT && errno != ENOTDIR)
            FAIL(STATUS_STORAGE, "%s cannot be looked for: %s", path,
                 strerror(errno)); /* told by comm_agree */
    }
    comm_broadcast(comm, &there, sizeof there);
    return there;
}

enum status file_remove(struct comm *comm, const char *path) {
    enum status status = STATUS_OK;
    if (comm_rank(comm) == 0 && unlink(path) != 0 && errno != ENOENT)
        status =
            FAIL(STATUS_STORAGE, "%s cannot be removed: %s%s", path, strerror(errno), disk_advice(errno));
    return comm_agree(comm, status);
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
        const int error = mkdir(part, 0777) == 0 ? 0 : errno == EEXIST ? ENOTDIR : errno;
        if (error && (stat(part, &about) != 0 || !S_ISDIR(about.st_mode)))
            status = FAIL(STATUS_STORAGE, "folder %s cannot be made: %s%s", part, strerror(error),
                          disk_advice(error));
        *at = kept;
        if (kept == '\0')
            break;
    }
    return comm_agree(comm, status);
}

void file_join(const char *directory, const char *name, char out[FILE_PATH]) {
    snprintf(out, FILE_PATH, "%s/%s", directory, name);
}
