/* The lock is flock's, on a file in the folder, as the locks of fcntl are dropped when any descriptor of the file is
 * closed. It belongs to the open file, so the kernel gives it back when rank 0 ends, killed or not: there are no stale
 * locks. On NFS Linux passes it to the server, for all clients (as a lock of fcntl, which wants the file open for
 * writing); Lustre has it for all clients if mounted with the option flock, for those of one node with localflock, and
 * else has none (ENOSYS).
 *
 * The file stays when the run ends: a run that removed it would take it from under another that has opened it and waits
 * to lock it, and a third could then make and lock one anew.
 */
#include "io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "base/provenance.h"
#include "io/disk.h"
#include "io/file.h"

enum { HOLDER = 1024 };

static enum status append(const char *name, const char *value, void *text) {
    const size_t used = strlen(text);
    if (strcmp(name, "host") == 0 || strcmp(name, "start_time") == 0 || strcmp(name, "command_line") == 0)
        snprintf((char *)text + used, HOLDER - used, "%s %s, ", name, value);
    return STATUS_OK;
}

/* Who this is, for others. A disk without room for it does not matter here. */
static void sign(int descriptor) {
    char text[HOLDER] = "";
    provenance_visit(append, text);
    snprintf(text + strlen(text), sizeof text - strlen(text), "process %ld\n", (long)getpid());
    const bool signed_ = ftruncate(descriptor, 0) == 0 && write(descriptor, text, strlen(text)) > 0;
    (void)signed_;
}

static enum status refuse(int descriptor, const char *directory) {
    char holder[HOLDER] = "";
    const ssize_t bytes = read(descriptor, holder, sizeof holder - 1);
    holder[bytes > 0 ? bytes : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return FAIL(STATUS_BAD_INPUT,
                "another run writes into %s (%s): wait for its end, or choose another output.directory",
                directory, holder[0] ? holder : "it has not said which");
}

static enum status take(const char *path, const char *directory, bool fresh) {
    const int descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | (fresh ? O_EXCL : 0), 0666);
    if (descriptor < 0 && errno == EEXIST)
        return FAIL(STATUS_BAD_INPUT, "another run has made %s since this one began: start again", directory);
    if (descriptor < 0)
        return FAIL(STATUS_STORAGE, "%s cannot be written: %s%s", path, strerror(errno), disk_advice(errno));
    if (flock(descriptor, LOCK_EX | LOCK_NB) == 0) {
        sign(descriptor);
        return STATUS_OK; /* open until the process ends */
    }
    const int reason = errno;
    enum status status = STATUS_OK;
    if (reason == EWOULDBLOCK)
        status = refuse(descriptor, directory);
    else
        log_warning("%s cannot be locked (%s): take care that no other run writes there", directory,
                    strerror(reason));
    close(descriptor);
    return status;
}

enum status lock_folder(struct comm *comm, const char *directory, bool fresh, bool *held) {
    char path[FILE_PATH];
    *held = file_exists(comm, directory);
    if (!*held)
        return STATUS_OK;
    file_join(directory, "lock", path);
    return comm_agree(comm, comm_rank(comm) == 0 ? take(path, directory, fresh) : STATUS_OK);
}
