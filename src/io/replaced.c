/* A result has two names between replaced_keep and the moment when the new one takes its place: by that is known, also
 * after a kill, whether it ever was replaced. */
#include "io/replaced.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "io/disk.h"

enum { BESIDE = 3 };

/* A result, and what belongs to it. */
static const struct {
    const char *result, *beside[BESIDE];
} files[REPLACED_ALL] = {
    [REPLACED_SIMULATE] = {"trajectory.h5", {"restart.h5", "restart.previous.h5", "failed.h5"}},
    [REPLACED_TRAIN] = {"model.h5", {NULL}},
    [REPLACED_EVALUATE] = {"evaluation.h5", {"fields.xdmf", "fields.xmf", "check.h5"}},
};

static void folder(const char *directory, char out[FILE_PATH]) {
    file_join(directory, "replaced", out);
}

/* ---- one file ---- */

typedef enum status action(const char *here, const char *kept);

static enum status refuse(const char *path, const char *what) {
    return FAIL(STATUS_STORAGE, "%s cannot be %s: %s%s", path, what, strerror(errno), disk_advice(errno));
}

/* Or cannot be looked for: what is done with it then says so. */
static bool exists(const char *path) {
    return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static bool same_file(const char *a, const char *b) {
    struct stat of_a, of_b;
    return stat(a, &of_a) == 0 && stat(b, &of_b) == 0 && of_a.st_ino == of_b.st_ino &&
           of_a.st_dev == of_b.st_dev;
}

/* A file system without hard links: then it is kept under its second name alone. */
static enum status name_twice(const char *here, const char *kept) {
    if (!exists(here) || exists(kept) || link(here, kept) == 0 || rename(here, kept) == 0)
        return STATUS_OK;
    return refuse(here, "kept in the folder replaced");
}

static enum status move_away(const char *here, const char *kept) {
    if (!exists(here))
        return STATUS_OK;
    if (exists(kept))
        return unlink(here) == 0 ? STATUS_OK : refuse(here, "removed");
    return file_replace(here, kept, NULL);
}

static enum status put_back(const char *here, const char *kept) {
    if (!exists(kept))
        return STATUS_OK;
    if (same_file(here, kept))
        return unlink(kept) == 0 ? STATUS_OK : refuse(kept, "removed");
    return file_replace(kept, here, NULL);
}

static enum status drop(const char *here, const char *kept) {
    (void)here;
    return unlink(kept) == 0 || errno == ENOENT ? STATUS_OK : refuse(kept, "removed");
}

static enum status act_on(const char *directory, const char *name, action *act) {
    char kept_in[FILE_PATH], here[FILE_PATH], kept[FILE_PATH];
    folder(directory, kept_in);
    file_join(directory, name, here);
    file_join(kept_in, name, kept);
    return act(here, kept);
}

/* ---- those of stages ---- */

/* What belongs to results of a stage, and the result. */
static enum status act_on_stage(const char *directory, enum replaced_stage stage, action *on_beside,
                                action *on_result) {
    enum status status = STATUS_OK;
    for (int m = 0; m < BESIDE && files[stage].beside[m]; m++)
        TRY(act_on(directory, files[stage].beside[m], on_beside));
    TRY(act_on(directory, files[stage].result, on_result));
out:
    return status;
}

static enum status act_on_all(const char *directory, action *act) {
    enum status status = STATUS_OK;
    for (int stage = 0; stage < REPLACED_ALL; stage++)
        TRY(act_on_stage(directory, stage, act, act));
out:
    return status;
}

/* Whether there is anything of it. */
static bool anything(const char *directory, enum replaced_stage stage) {
    char path[FILE_PATH];
    file_join(directory, files[stage].result, path);
    bool found = exists(path);
    for (int m = 0; m < BESIDE && files[stage].beside[m]; m++) {
        file_join(directory, files[stage].beside[m], path);
        found = found || exists(path);
    }
    return found;
}

static enum status keep(const char *directory, enum replaced_stage stage) {
    enum status status = STATUS_OK;
    char path[FILE_PATH];
    const enum replaced_stage first = stage == REPLACED_ALL ? REPLACED_SIMULATE : stage;
    const enum replaced_stage last = stage == REPLACED_ALL ? REPLACED_EVALUATE : stage;
    bool any = false;
    for (enum replaced_stage m = first; m <= last; m++)
        any = any || anything(directory, m);
    if (!any)
        return STATUS_OK;
    folder(directory, path);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return refuse(path, "made");
    TRY(act_on(directory, files[first].result, name_twice));
    for (int m = 0; m < BESIDE && files[first].beside[m]; m++)
        TRY(act_on(directory, files[first].beside[m], move_away));
    for (enum replaced_stage m = first + 1; m <= last; m++)
        TRY(act_on_stage(directory, m, move_away, move_away));
    log_info("what is replaced is kept in %s until the new results are complete", path);
out:
    return status;
}

enum status replaced_keep(struct comm *comm, const char *directory, enum replaced_stage stage) {
    return comm_agree(comm, comm_rank(comm) == 0 ? keep(directory, stage) : STATUS_OK);
}

static bool was_not_replaced(const char *directory, enum replaced_stage stage) {
    char kept_in[FILE_PATH], here[FILE_PATH], kept[FILE_PATH];
    folder(directory, kept_in);
    file_join(directory, files[stage].result, here);
    file_join(kept_in, files[stage].result, kept);
    return same_file(here, kept);
}

static void remove_folder(const char *directory) {
    char path[FILE_PATH];
    folder(directory, path);
    rmdir(path); /* stays where anything else is in it */
}

static enum status put_all_back(const char *directory) {
    enum status status = STATUS_OK;
    bool all = was_not_replaced(directory, REPLACED_SIMULATE), any = all;
    if (all)
        TRY(act_on_all(directory, put_back));
    for (int stage = REPLACED_TRAIN; stage < REPLACED_ALL; stage++)
        if (was_not_replaced(directory, stage)) {
            any = true;
            TRY(act_on_stage(directory, stage, put_back, put_back));
        }
    if (any) {
        remove_folder(directory);
        log_info("nothing was replaced: the earlier results in %s are as they were", directory);
    }
out:
    return status;
}

enum status replaced_put_back(struct comm *comm, const char *directory) {
    return comm_agree(comm, comm_rank(comm) == 0 ? put_all_back(directory) : STATUS_OK);
}

static enum status drop_kept(const char *directory, enum replaced_stage stage) {
    const enum status status =
        stage == REPLACED_ALL ? act_on_all(directory, drop) : act_on_stage(directory, stage, drop, drop);
    remove_folder(directory);
    return status;
}

enum status replaced_drop(struct comm *comm, const char *directory, enum replaced_stage stage) {
    return comm_agree(comm, comm_rank(comm) == 0 ? drop_kept(directory, stage) : STATUS_OK);
}

void replaced_report(struct comm *comm, const char *directory) {
    char path[FILE_PATH];
    folder(directory, path);
    if (comm_rank(comm) == 0 && exists(path))
        log_info("%s keeps what --overwrite began to replace; it goes when the new results are complete",
                 path);
}
