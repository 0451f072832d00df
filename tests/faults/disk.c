/* A bad disk, for tests: preloaded (LD_PRELOAD), it makes calls on files fail, also those that MPI and HDF5 make.
 *
 * EPFLOW_DISK=CALL:FILE:FIRST:HOW[:RANK]
 *     CALL   open (to write), write, read, sync, resize, rename, remove, mkdir, or any
 *     FILE   the end of the path; * for every file
 *     FIRST  the calls of this kind on such files are counted from 1 in every process
 *     HOW    ENOSPC, EIO, EDQUOT, EROFS, ESTALE, EFBIG: this call and all that follow fail so
 *            once-ENOSPC and so on: this call alone
 *            short (of writes): this call writes half of its bytes
 *            half (of writes): this call writes half of its bytes, all that follow fail with ENOSPC
 *            vanish: the file is gone before this call, which is made
 *     RANK   of Open MPI; every rank if not given
 * EPFLOW_DISK_SEEN=PATH   appends a line for each call that EPFLOW_DISK's CALL and FILE fit: rank, number, call, file
 *
 * What the C library writes by itself (fprintf) passes here only as fflush and fclose, which count as writes.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WORDS = 256, NAME = 4096 };

static struct {
    bool known, chosen;
    char call[WORDS], file[WORDS], how[WORDS];
    long first, passed;
    int rank;
} plan;

static void read_plan(void) {
    const char *wish = getenv("EPFLOW_DISK"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    int chosen = -1;
    plan.known = true;
    plan.rank = rank ? atoi(rank) : 0;
    if (wish && sscanf(wish, "%255[^:]:%255[^:]:%ld:%255[^:]:%d", plan.call, plan.file, &plan.first, plan.how,
                       &chosen) >= 4)
        plan.chosen = chosen < 0 || chosen == plan.rank;
}

static void note(const char *call, const char *path) {
    const char *list = getenv("EPFLOW_DISK_SEEN");
    char line[NAME + WORDS];
    if (!list)
        return;
    const int length = snprintf(line, sizeof line, "%d %ld %s %s\n", plan.rank, plan.passed, call, path);
    const int file = (int)syscall(SYS_openat, AT_FDCWD, list, O_WRONLY | O_CREAT | O_APPEND, 0666);
    syscall(SYS_write, file, line, (size_t)length);
    syscall(SYS_close, file);
}

static bool fits(const char *path) {
    const size_t length = strlen(path), end = strlen(plan.file);
    return strcmp(plan.file, "*") == 0 || (length >= end && strcmp(path + length - end, plan.file) == 0);
}

enum outcome { WELL, FAILS, HALF };

static enum outcome fail_with(const char *name) {
    static const struct {
        const char *name;
        int number;
    } known[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EDQUOT", EDQUOT},
                 {"EROFS", EROFS},   {"ESTALE", ESTALE}, {"EFBIG", EFBIG}};
    for (size_t m = 0; m < sizeof known / sizeof *known; m++)
        if (strcmp(name, known[m].name) == 0) {
            errno = known[m].number;
            return FAILS;
        }
    return WELL;
}

/* What is to happen to this call on this file; errno is set where it fails. */
static enum outcome look(const char *call, const char *path) {
    if (!plan.known)
        read_plan();
    if (!plan.chosen || !path || !fits(path) ||
        (strcmp(plan.call, call) != 0 && strcmp(plan.call, "any") != 0))
        return WELL;
    const int before = errno;
    plan.passed++;
    note(call, path);
    errno = before;
    const bool now = plan.passed == plan.first, after = plan.passed > plan.first;
    if (now && (strcmp(plan.how, "short") == 0 || strcmp(plan.how, "half") == 0))
        return HALF;
    if (now && strcmp(plan.how, "vanish") == 0)
        syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (now && strncmp(plan.how, "once-", 5) == 0)
        return fail_with(plan.how + 5);
    if (after && strcmp(plan.how, "half") == 0)
        return fail_with("ENOSPC");
    return now || after ? fail_with(plan.how) : WELL;
}

/* The path of an open file. */
static const char *path_of(int descriptor, char out[NAME]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    const ssize_t length = readlink(link, out, NAME - 1);
    out[length > 0 ? length : 0] = '\0';
    return out;
}

static enum outcome look_at(const char *call, int descriptor) {
    char path[NAME];
    const int before = errno;
    path_of(descriptor, path);
    errno = before;
    return look(call, path);
}

#define NEXT(type, name, ...)                                                                                \
    static type (*next)(__VA_ARGS__);                                                                        \
    if (!next)                                                                                               \
    *(void **)(&next) = dlsym(RTLD_NEXT, #name)

/* ---- writing and reading ---- */

ssize_t write(int file, const void *from, size_t bytes) {
    NEXT(ssize_t, write, int, const void *, size_t);
    const enum outcome outcome = look_at("write", file);
    return outcome == FAILS ? -1 : next(file, from, outcome == HALF ? bytes / 2 : bytes);
}

ssize_t pwrite(int file, const void *from, size_t bytes, off_t at) {
    NEXT(ssize_t, pwrite, int, const void *, size_t, off_t);
    const enum outcome outcome = look_at("write", file);
    return outcome == FAILS ? -1 : next(file, from, outcome == HALF ? bytes / 2 : bytes, at);
}

ssize_t pwrite64(int file, const void *from, size_t bytes, off_t at) {
    return pwrite(file, from, bytes, at);
}

/* Half of the pieces, and of the first piece where there is one. */
ssize_t pwritev(int file, const struct iovec *from, int pieces, off_t at) {
    NEXT(ssize_t, pwritev, int, const struct iovec *, int, off_t);
    const enum outcome outcome = look_at("write", file);
    if (outcome == FAILS)
        return -1;
    if (outcome == WELL)
        return next(file, from, pieces, at);
    const struct iovec half = {from[0].iov_base, from[0].iov_len / 2};
    return pieces > 1 ? next(file, from, pieces / 2, at) : next(file, &half, 1, at);
}

ssize_t pwritev64(int file, const struct iovec *from, int pieces, off_t at) {
    return pwritev(file, from, pieces, at);
}

ssize_t pread(int file, void *to, size_t bytes, off_t at) {
    NEXT(ssize_t, pread, int, void *, size_t, off_t);
    return look_at("read", file) == FAILS ? -1 : next(file, to, bytes, at);
}

ssize_t pread64(int file, void *to, size_t bytes, off_t at) {
    return pread(file, to, bytes, at);
}

ssize_t preadv(int file, const struct iovec *to, int pieces, off_t at) {
    NEXT(ssize_t, preadv, int, const struct iovec *, int, off_t);
    return look_at("read", file) == FAILS ? -1 : next(file, to, pieces, at);
}

ssize_t preadv64(int file, const struct iovec *to, int pieces, off_t at) {
    return preadv(file, to, pieces, at);
}

int fflush(FILE *file) {
    NEXT(int, fflush, FILE *);
    return file && look_at("write", fileno(file)) == FAILS ? EOF : next(file);
}

int fclose(FILE *file) {
    NEXT(int, fclose, FILE *);
    const bool fails = look_at("write", fileno(file)) == FAILS;
    const int reason = errno, closed = next(file);
    return fails ? (errno = reason, EOF) : closed;
}

/* ---- all else ---- */

#define FILE_CALL(name, kind, parameters, arguments)                                                         \
    int name parameters {                                                                                    \
        static int(*next) parameters;                                                                        \
        if (!next)                                                                                           \
            *(void **)(&next) = dlsym(RTLD_NEXT, #name);                                                     \
        return look_at(kind, file) != WELL ? -1 : next arguments;                                            \
    }
#define PATH_CALL(name, kind, parameters, arguments)                                                         \
    int name parameters {                                                                                    \
        static int(*next) parameters;                                                                        \
        if (!next)                                                                                           \
            *(void **)(&next) = dlsym(RTLD_NEXT, #name);                                                     \
        return look(kind, path) != WELL ? -1 : next arguments;                                               \
    }

FILE_CALL(fsync, "sync", (int file), (file))
FILE_CALL(fdatasync, "sync", (int file), (file))
FILE_CALL(ftruncate, "resize", (int file, off_t size), (file, size))
FILE_CALL(ftruncate64, "resize", (int file, off_t size), (file, size))
FILE_CALL(fallocate, "resize", (int file, int mode, off_t at, off_t size), (file, mode, at, size))
FILE_CALL(fallocate64, "resize", (int file, int mode, off_t at, off_t size), (file, mode, at, size))
PATH_CALL(rename, "rename", (const char *from, const char *path), (from, path))
PATH_CALL(link, "rename", (const char *from, const char *path), (from, path))
PATH_CALL(unlink, "remove", (const char *path), (path))
PATH_CALL(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode))

/* Opening to read is not counted. */
static int open_file(const char *path, int flags, mode_t mode) {
    const bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT);
    if (writes && look("open", path) != WELL)
        return -1;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

#define OPEN(name)                                                                                           \
    int name(const char *path, int flags, ...) {                                                             \
        va_list arguments;                                                                                   \
        va_start(arguments, flags);                                                                          \
        const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;                 \
        va_end(arguments);                                                                                   \
        return open_file(path, flags, mode);                                                                 \
    }
OPEN(open)
OPEN(open64)

FILE *fopen(const char *path, const char *mode) {
    NEXT(FILE *, fopen, const char *, const char *);
    return mode[0] != 'r' && look("open", path) != WELL ? NULL : next(path, mode);
}
