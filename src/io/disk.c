/* The C library's calls on files, on their way from MPI-IO to the kernel.
 *
 * MPI-IO and HDF5 are collective: where a write fails on one rank, this rank leaves them early, and the others wait for
 * it for ever, or it crashes when the half-done file is closed. Open MPI tells no reason, and it takes a write of a part
 * for one of all. So these functions stand in front of the C library's (symbols of a program go before those of its
 * libraries; CMakeLists.txt exports them): a short write is completed, a failure is kept from the library, which goes on
 * in step with the other ranks, and told to h5_checked, where all ranks agree on it. What the library believes to be
 * written is of no use then, and whoever asked for it is told so: no step is marked, no file renamed.
 *
 * Only files that are watched are treated so.
 */
#undef _FILE_OFFSET_BITS /* with it one name stands for another */
#include "io/disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    bool used;
    int descriptor;
    dev_t device;
    ino_t number;
} watched[DISK_FILES];
static int first_error;

int disk_watch(int descriptor) {
    struct stat about;
    int slot = 0;
    while (slot < DISK_FILES && watched[slot].used)
        slot++;
    if (slot == DISK_FILES || fstat(descriptor, &about) != 0) {
        close(descriptor);
        return -1;
    }
    watched[slot].used = true;
    watched[slot].descriptor = descriptor;
    watched[slot].device = about.st_dev;
    watched[slot].number = about.st_ino;
    return slot;
}

void disk_forget(int slot) {
    if (slot < 0)
        return;
    watched[slot].used = false;
    close(watched[slot].descriptor);
}

bool disk_is(int slot, const char *path) {
    struct stat about;
    return slot < 0 || (stat(path, &about) == 0 && about.st_dev == watched[slot].device &&
                        about.st_ino == watched[slot].number);
}

bool disk_sync(int slot) {
    return slot < 0 || fsync(watched[slot].descriptor) == 0;
}

int disk_error(void) {
    const int error = first_error;
    first_error = 0;
    return error;
}

const char *disk_advice(int error) {
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return ": make room, then go on with --resume";
    case EFBIG:
        return ": raise the limit on the size of files (ulimit -f), then go on with --resume";
    case EROFS:
    case EACCES:
    case EPERM:
        return ": make it writable, or choose another output.directory";
    case EIO:
    case ESTALE:
        return ": the disk, or the server it is on, failed; once it is well, go on with --resume";
    case ENOENT:
    case ENOTDIR:
        return ": was something removed or replaced?";
    default:
        return "";
    }
}

/* The slot of a file; -1 if it is not watched. */
static int slot_of(const struct stat *about) {
    for (int slot = 0; slot < DISK_FILES; slot++)
        if (watched[slot].used && watched[slot].device == about->st_dev &&
            watched[slot].number == about->st_ino)
            return slot;
    return -1;
}

static bool is_watched(int file) {
    const int before = errno;
    struct stat about;
    const bool found = fstat(file, &about) == 0 && slot_of(&about) >= 0;
    errno = before;
    return found;
}

/* Whether this failure (errno) is to be kept from the caller. */
static bool keeps(int file) {
    const bool kept = is_watched(file);
    if (kept && first_error == 0)
        first_error = errno;
    return kept;
}

/* The function that this file's stands in front of. */
#define NEXT(type, name, parameters)                                                                         \
    static type(*next) parameters;                                                                           \
    if (!next)                                                                                               \
    *(void **)(&next) = dlsym(RTLD_NEXT, #name)

ssize_t pwrite(int file, const void *from, size_t bytes, off_t at) {
    NEXT(ssize_t, pwrite, (int, const void *, size_t, off_t));
    ssize_t done = next(file, from, bytes, at);
    if (done == (ssize_t)bytes || !is_watched(file))
        return done;
    for (size_t all = 0; done > 0 || (done < 0 && errno == EINTR);) {
        all += done > 0 ? (size_t)done : 0;
        if (all == bytes)
            return (ssize_t)bytes;
        done = next(file, (const char *)from + all, bytes - all, at + (off_t)all);
    }
    if (done == 0) /* for no reason */
        errno = EIO;
    keeps(file);
    return (ssize_t)bytes;
}

static ssize_t total(const struct iovec *piece, int pieces) {
    ssize_t bytes = 0;
    for (int m = 0; m < pieces; m++)
        bytes += (ssize_t)piece[m].iov_len;
    return bytes;
}

/* What did not go at once goes piece by piece. */
ssize_t pwritev(int file, const struct iovec *piece, int pieces, off_t at) {
    NEXT(ssize_t, pwritev, (int, const struct iovec *, int, off_t));
    const ssize_t all = total(piece, pieces), done = next(file, piece, pieces, at);
    if (done == all || !is_watched(file))
        return done;
    for (int m = 0; m < pieces; at += (off_t)piece[m++].iov_len)
        if (pwrite(file, piece[m].iov_base, piece[m].iov_len, at) < 0)
            return -1;
    return all;
}

/* A part is what there is before the end of a file. */
ssize_t pread(int file, void *to, size_t bytes, off_t at) {
    NEXT(ssize_t, pread, (int, void *, size_t, off_t));
    const ssize_t done = next(file, to, bytes, at);
    if (done >= 0 || !keeps(file))
        return done;
    memset(to, 0, bytes);
    return (ssize_t)bytes;
}

ssize_t preadv(int file, const struct iovec *piece, int pieces, off_t at) {
    NEXT(ssize_t, preadv, (int, const struct iovec *, int, off_t));
    const ssize_t done = next(file, piece, pieces, at);
    if (done >= 0 || !keeps(file))
        return done;
    for (int m = 0; m < pieces; m++)
        memset(piece[m].iov_base, 0, piece[m].iov_len);
    return total(piece, pieces);
}

/* Where it fails, the descriptor by which the file is watched, twice. */
static int open_again(const char *path) {
    const int error = errno;
    struct stat about;
    const int slot = stat(path, &about) == 0 ? slot_of(&about) : -1;
    if (slot >= 0 && first_error == 0)
        first_error = error;
    errno = error;
    return slot >= 0 ? fcntl(watched[slot].descriptor, F_DUPFD_CLOEXEC, 0) : -1;
}

int open(const char *path, int flags, ...) {
    NEXT(int, open, (const char *, int, ...));
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    const int descriptor = next(path, flags, mode);
    return descriptor >= 0 ? descriptor : open_again(path);
}

int fsync(int file) {
    NEXT(int, fsync, (int));
    return next(file) == 0 || keeps(file) ? 0 : -1;
}

int ftruncate(int file, off_t size) {
    NEXT(int, ftruncate, (int, off_t));
    return next(file, size) == 0 || keeps(file) ? 0 : -1;
}

/* The names by which code for large files calls them. */
ssize_t pwrite64(int file, const void *from, size_t bytes, off_t at) {
    return pwrite(file, from, bytes, at);
}
ssize_t pwritev64(int file, const struct iovec *piece, int pieces, off_t at) {
    return pwritev(file, piece, pieces, at);
}
ssize_t pread64(int file, void *to, size_t bytes, off_t at) {
    return pread(file, to, bytes, at);
}
ssize_t preadv64(int file, const struct iovec *piece, int pieces, off_t at) {
    return preadv(file, piece, pieces, at);
}
int ftruncate64(int file, off_t size) {
    return ftruncate(file, size);
}
int open64(const char *path, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return open(path, flags | O_LARGEFILE, mode);
}
