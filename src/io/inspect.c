#include "io/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/h5.h"

extern char **environ;

static const char OPTION[] = "--inspect-file";
static bool started;

/* With a sanitizer: its reports are wanted, and its shadow memory is beyond any limit. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { SECONDS = 10, MEBIBYTES = 512, SAYS = STATUS_MESSAGE };

/* ---- the process that looks ---- */

bool inspect_asked(int argc, char **argv) {
    return argc == 3 && strcmp(argv[1], OPTION) == 0;
}

static void limit(int what, rlim_t most) {
    struct rlimit old;
    if (getrlimit((__rlimit_resource_t)what, &old) != 0)
        return;
    struct rlimit wanted = {most < old.rlim_max ? most : old.rlim_max, old.rlim_max};
    setrlimit((__rlimit_resource_t)what, &wanted);
}

int inspect_answer(char **argv) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_CPU, SECONDS);
    limit(RLIMIT_CORE, 0);
    if (!SANITIZED)
        limit(RLIMIT_DATA, (rlim_t)MEBIBYTES << 20);
    enum status status = h5_inspect(argv[2]);
    printf("%s", status_message());
    return status;
}

/* ---- the process that asks ---- */

/* What mpirun tells its processes is not for this one: it is no rank. */
static bool is_kept(const char *variable) {
    static const char *const dropped[] = {
        "OMPI_", "PMIX_", "PMI_", "PRTE_", "EPFLOW_FAULT", "ASAN_OPTIONS=", "HDF5_USE_FILE_LOCKING="};
    for (size_t m = 0; m < sizeof dropped / sizeof *dropped; m++)
        if (strncmp(variable, dropped[m], strlen(dropped[m])) == 0)
            return false;
    return true;
}

/* NULL-terminated; the list alone is allocated. */
static char **make_environment(void) {
    static char
        locking[] = "HDF5_USE_FILE_LOCKING=FALSE",
        threads[] = "OPENBLAS_NUM_THREADS=1",
        sanitizer[] =
            "ASAN_OPTIONS=handle_segv=0:handle_abort=0:handle_sigbus=0:abort_on_error=1:detect_leaks=0";
    size_t count = 0, used = 0;
    while (environ[count])
        count++;
    char **out = malloc((count + 4) * sizeof *out);
    if (!out)
        return NULL;
    out[used++] = locking; /* before what there is: the first counts */
    out[used++] = threads;
    out[used++] = sanitizer;
    for (size_t m = 0; m < count; m++)
        if (is_kept(environ[m]))
            out[used++] = environ[m];
    out[used] = NULL;
    return out;
}

/* With what it says in a pipe. 0 where it cannot be started. */
static pid_t spawn(const char *path, int says) {
    pid_t child = 0;
    char program[] = "/proc/self/exe", name[] = "epflow", *file = strdup(path), option[sizeof OPTION];
    char **environment = make_environment();
    memcpy(option, OPTION, sizeof option);
    char *const arguments[] = {name, option, file, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    sigemptyset(&none);
    if (file && environment && posix_spawn_file_actions_init(&files) == 0) {
        posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&files, says, STDOUT_FILENO);
        if (!SANITIZED) /* what the C library says of a broken heap is no message of this program */
            posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#if __GLIBC_PREREQ(2, 34)
        posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
#endif
        posix_spawnattr_init(&attributes);
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        if (posix_spawn(&child, program, &files, &attributes, arguments, environment) != 0)
            child = 0;
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&files);
    }
    free(environment);
    free(file);
    return child;
}

/* All that comes, of which `size` - 1 bytes are kept. */
static void listen_to(int says, size_t size, char *out) {
    char part[512];
    size_t used = 0;
    for (;;) {
        const ssize_t got = read(says, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        const size_t kept = (size_t)got < size - 1 - used ? (size_t)got : size - 1 - used;
        memcpy(out + used, part, kept);
        used += kept;
    }
    out[used] = '\0';
}

/* A crash by itself, or at its limits; not an end that others made. */
static bool is_crash(int signal) {
    static const int crash[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGXCPU};
    for (size_t m = 0; m < sizeof crash / sizeof *crash; m++)
        if (signal == crash[m])
            return true;
    return false;
}

/* What cannot be found out (no process can be started, it was killed) is left to those who open the file. */
static enum status ask(const char *path) {
    int pipes[2], how = 0;
    char said[SAYS] = "";
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return STATUS_OK;
    const pid_t child = spawn(path, pipes[1]);
    close(pipes[1]);
    if (child > 0)
        listen_to(pipes[0], sizeof said, said);
    close(pipes[0]);
    while (child > 0 && waitpid(child, &how, 0) < 0)
        if (errno != EINTR)
            return STATUS_OK;
    if (child > 0 && WIFSIGNALED(how) && is_crash(WTERMSIG(how)))
        return FAIL(STATUS_STORAGE, "%s is damaged: the HDF5 library %s on what is in it", path,
                    WTERMSIG(how) == SIGXCPU ? "runs on without end" : "crashes");
    const int code = child > 0 && WIFEXITED(how) ? WEXITSTATUS(how) : 0;
    if ((code == STATUS_STORAGE || code == STATUS_BAD_INPUT) && said[0])
        return FAIL((enum status)code, "%s", said);
    return STATUS_OK;
}

/* ---- files that were looked at ---- */

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A model is opened several times in a row; once is enough. */
static enum status look(const char *path) {
    enum { KNOWN = 8 };
    static struct stat known[KNOWN];
    static int next;
    struct stat about;
    if (stat(path, &about) != 0)
        return FAIL(STATUS_BAD_INPUT, "%s cannot be read: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode))
        return FAIL(STATUS_BAD_INPUT, "%s is not a file but a %s: is the path right?", path,
                    S_ISDIR(about.st_mode) ? "folder" : "device or a pipe");
    for (int m = 0; m < KNOWN; m++)
        if (same_file(&known[m], &about))
            return STATUS_OK;
    enum status status = started ? ask(path) : STATUS_OK;
    if (status == STATUS_OK)
        known[next++ % KNOWN] = about;
    return status;
}

void inspect_start(void) {
    started = true;
}

enum status inspect_file(struct comm *comm, const char *path) {
    enum status status = comm_agree(comm, comm_rank(comm) == 0 ? look(path) : STATUS_OK);
    if (status == STATUS_OK && !h5_is_hdf5(comm, path))
        status = FAIL(STATUS_BAD_INPUT, "%s is not HDF5: is the path right?", path);
    return status;
}
