#include "base/fault.h"

#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

enum { DEPTH = 40, NAME = 4096 };

static struct {
    bool known, chosen;
    int rank;
    FILE *list;
    uint64_t site;
    long time, passed;
} plan;

FILE *__real_fopen(const char *path, const char *mode);
int __real_fflush(FILE *file);

/* The rank as mpirun tells it: points come before MPI is up. */
static void read_plan(void) {
    const char *wish = getenv("EPFLOW_FAULT"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    int chosen_rank = 0;
    unsigned long long site = 0;
    char path[NAME];
    plan.known = true;
    plan.rank = rank ? atoi(rank) : 0;
    if (wish && strncmp(wish, "list:", 5) == 0) {
        snprintf(path, sizeof path, "%s.%d", wish + 5, plan.rank);
        plan.list = __real_fopen(path, "w");
    } else if (wish && sscanf(wish, "%d:%llx:%ld", &chosen_rank, &site, &plan.time) == 3) {
        plan.chosen = chosen_rank == plan.rank;
        plan.site = site;
    }
}

struct place {
    int depth;
    uint64_t address[DEPTH], site;
};

/* The calls of our own that led here, without this file's. */
__attribute__((noinline)) static void look_back(const char *name, struct place *p) {
    extern const char __executable_start, etext;
    void *frame[DEPTH];
    const int frames = backtrace(frame, DEPTH);
    *p = (struct place){.site = 14695981039346656037u};
    for (const char *c = name; *c; c++)
        p->site = (p->site ^ (unsigned char)*c) * 1099511628211u;
    for (int f = 3; f < frames; f++) { /* look_back, fault_here, the redirected call */
        const char *at = frame[f];
        if (at < &__executable_start || at >= &etext)
            continue;
        const uint64_t address = (uint64_t)(at - &__executable_start);
        p->address[p->depth++] = address;
        p->site = (p->site ^ address) * 1099511628211u;
    }
}

/* One line in one write: ranks speak through one mpirun. */
static void say(FILE *out, const char *start, const char *name, const struct place *p) {
    char line[256 + 17 * DEPTH];
    int n = snprintf(line, 256, "%s%s %016llx", start, name, (unsigned long long)p->site);
    for (int f = 0; f < p->depth; f++)
        n += snprintf(line + n, sizeof line - (size_t)n, " %llx", (unsigned long long)p->address[f]);
    snprintf(line + n, sizeof line - (size_t)n, "\n");
    fputs(line, out);
}

__attribute__((noinline)) bool fault_here(const char *name) {
    struct place p;
    if (!plan.known)
        read_plan();
    if (!plan.list && !plan.chosen)
        return false;
    const int before = errno;
    look_back(name, &p);
    if (plan.list)
        say(plan.list, "", name, &p);
    errno = before;
    if (!plan.chosen || p.site != plan.site || ++plan.passed != plan.time)
        return false;
    say(stderr, "fault: ", name, &p);
    return true;
}

/* ---- memory ---- */

#define NO_MEMORY (errno = ENOMEM, NULL)
FAULT_INSTEAD(void *, NO_MEMORY, malloc, (size_t bytes), (bytes))
FAULT_INSTEAD(void *, NO_MEMORY, calloc, (size_t count, size_t bytes), (count, bytes))
FAULT_INSTEAD(void *, NO_MEMORY, realloc, (void *old, size_t bytes), (old, bytes))
FAULT_INSTEAD(void *, NO_MEMORY, aligned_alloc, (size_t alignment, size_t bytes), (alignment, bytes))
FAULT_INSTEAD(char *, NO_MEMORY, strdup, (const char *text), (text))

int __wrap_asprintf(char **out, const char *format, ...) __attribute__((format(printf, 2, 3)));
int __wrap_asprintf(char **out, const char *format, ...) {
    if (fault_here("asprintf"))
        return -1; /* leaves *out as it is, or worse */
    va_list arguments;
    va_start(arguments, format);
    const int length = vasprintf(out, format, arguments);
    va_end(arguments);
    return length;
}

FAULT_INSTEAD(int, 0, yaml_parser_initialize, (yaml_parser_t * p), (p))
FAULT_INSTEAD(int, (p->error = YAML_MEMORY_ERROR, 0), yaml_parser_load,
              (yaml_parser_t * p, yaml_document_t *document), (p, document))
FAULT_INSTEAD(int, (p->error = YAML_MEMORY_ERROR, 0), yaml_parser_scan,
              (yaml_parser_t * p, yaml_token_t *token), (p, token))

/* ---- files ---- */

#define NO_FILE (errno = EIO, -1)
FAULT_INSTEAD(FILE *, (errno = EIO, NULL), fopen, (const char *path, const char *mode), (path, mode))
FAULT_INSTEAD(size_t, (errno = EIO, 0), fread, (void *to, size_t size, size_t count, FILE *file),
              (to, size, count, file))
FAULT_AFTER(int, (errno = EIO, EOF), fclose, (FILE * file), (file))
FAULT_INSTEAD(int, NO_FILE, fsync, (int descriptor), (descriptor))
FAULT_INSTEAD(int, NO_FILE, link, (const char *from, const char *to), (from, to))
FAULT_INSTEAD(int, NO_FILE, rename, (const char *from, const char *to), (from, to))
FAULT_INSTEAD(int, NO_FILE, unlink, (const char *path), (path))
FAULT_INSTEAD(int, NO_FILE, access, (const char *path, int how), (path, how))
FAULT_INSTEAD(int, NO_FILE, mkdir, (const char *path, mode_t mode), (path, mode))
FAULT_INSTEAD(int, NO_FILE, stat, (const char *path, struct stat *out), (path, out))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fault_here("open") ? NO_FILE : __real_open(path, flags, mode);
}

/* The terminal is no file. */
FAULT_CALL(int, fflush, (FILE * file)) {
    const bool fails = file != stderr && file != stdout && fault_here("fflush");
    return __real_fflush(file) == 0 && !fails ? 0 : (errno = EIO, EOF);
}
FAULT_CALL(size_t, fwrite, (const void *from, size_t size, size_t count, FILE *file)) {
    const bool fails = file != stderr && file != stdout && fault_here("fwrite");
    if (fails)
        file->_flags |= 0x20; /* glibc: what ferror asks for */
    return fails ? (errno = EIO, 0) : __real_fwrite(from, size, count, file);
}
