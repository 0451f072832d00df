/* HDF5 through MPI-IO, every call checked.
 *
 * All ranks make the same calls in the same order. Metadata (groups, attributes, datasets) is not parallel in
 * HDF5: each rank holds a copy that must come out the same, so what an attribute says is always rank 0's,
 * sent to the others first. Data moves collectively, every rank its own block.
 *
 * A call may fail on one rank alone (a node that does not see the file system), and a rank that then left out
 * a collective call would hang the others. So what can be known before is checked before (the path, the block
 * within the dataset), and after every step the ranks agree on the outcome (comm_agree).
 *
 * HDF5 keeps its errors on a stack that the next call, even a close, clears. A handler notes the innermost
 * message the moment a call fails; h5_checked adds it to ours. What the disk said is known better from disk.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/disk.h"
#include "io/h5_private.h"

/* ---- errors ---- */

enum { REASON = 256 };
static char reason[REASON]; /* of the first call that failed since the last check */

static herr_t note_innermost(unsigned n, const H5E_error2_t *error, void *unused) {
    (void)unused;
    if (n == 0)
        snprintf(reason, REASON, "%s", error->desc);
    return 0;
}

static herr_t note_failure(hid_t stack, void *unused) {
    if (reason[0] == '\0')
        H5Ewalk2(stack, H5E_WALK_UPWARD, note_innermost, unused);
    return 0;
}

/* error: what the disk said, or 0. */
static enum status record(struct h5_file *file, const char *object, const char *what, int error) {
    const char *why = error ? strerror(error) : reason;
    enum status status = FAIL(STATUS_STORAGE, "%s: %s%s%s failed%s%s%s", file->path, what,
                              object[0] ? " " : "", object, why[0] ? ": " : "", why, disk_advice(error));
    reason[0] = '\0';
    return status;
}

enum status h5_checked(struct h5_file *file, bool good, const char *object, const char *what) {
    const int error = disk_error();
    const enum status status = good && !error ? STATUS_OK : record(file, object, what, error);
    reason[0] = '\0';
    return comm_agree_at(file->comm, status, comm_place(object, comm_place(what, 0)));
}

enum status h5_same(struct h5_file *file, bool good, const char *object, const char *what) {
    const enum status status = h5_checked(file, good, object, what);
    double some[2] = {good, !good};
    if (status == STATUS_OK)
        return status;
    comm_max(file->comm, some, 2);
    if (some[0] > 0 && some[1] > 0)
        comm_end(file->comm, status);
    return status;
}

bool h5_asked(struct h5_file *file, bool good, const char *object) {
    if (!good)
        record(file, object, "looking at", disk_error());
    return good;
}

/* ---- files ---- */

bool h5_fits(const struct h5_file *file, uint64_t count, uint64_t bytes) {
    return count == 0 || bytes <= file->size / count;
}

/* Rank 0's look for all; as many as there may be where it cannot. */
static uint64_t size_of_file(struct comm *comm, const char *path) {
    struct stat about;
    uint64_t size = UINT64_MAX;
    if (comm_rank(comm) == 0 && stat(path, &about) == 0)
        size = (uint64_t)about.st_size;
    comm_broadcast(comm, &size, sizeof size);
    return size;
}

/* Opens the file as the library is about to do, whose own errors come too late (on some ranks only), and watches it. */
static enum status reach(struct h5_file *file, bool create, bool writable) {
    const int how = create ? O_RDWR | O_CREAT : writable ? O_RDWR : O_RDONLY;
    const int descriptor = open(file->path, how | O_CLOEXEC | O_NONBLOCK, 0666);
    if (descriptor < 0)
        return FAIL(STATUS_STORAGE, "%s: %s the file failed: %s%s", file->path,
                    create ? "creating" : "opening", strerror(errno), disk_advice(errno));
    file->watch = disk_watch(descriptor);
    return STATUS_OK;
}

static void release(struct h5_file *file) {
    if (file)
        disk_forget(file->watch);
    free(file);
}

/* A file that was removed would be written to its end without a word. */
static bool still_there(const struct h5_file *file) {
    const bool there = disk_is(file->watch, file->path);
    if (!there)
        snprintf(reason, REASON, "it is no longer there: was it removed or replaced while it was written?");
    return there;
}

static enum status open_file(struct comm *comm, const char *path, bool create, bool writable,
                             struct h5_file **out) {
    struct h5_file *file = calloc(1, sizeof *file);
    *out = NULL;
    H5Eset_auto2(H5E_DEFAULT, note_failure, NULL);
    enum status status = STATUS_OK;
    if (file) {
        *file = (struct h5_file){.comm = comm, .id = -1, .watch = -1, .written = create || writable};
        snprintf(file->path, sizeof file->path, "%s", path);
        status = reach(file, create, writable);
    } else {
        status = FAIL(STATUS_FAILURE, "out of memory while opening %s", path);
    }
    if ((status = comm_agree(comm, status)) != STATUS_OK) {
        release(file);
        return status;
    }
    file->size = create ? UINT64_MAX : size_of_file(comm, path);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    bool good =
        access >= 0 && H5Pset_fapl_mpio(access, *(const MPI_Comm *)comm_handle(comm), MPI_INFO_NULL) >= 0;
    file->collective = H5Pcreate(H5P_DATASET_XFER);
    good = good && file->collective >= 0 && H5Pset_dxpl_mpio(file->collective, H5FD_MPIO_COLLECTIVE) >= 0;
    TRY(h5_checked(file, good, "", "preparing to open the file"));
    file->id = create ? H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access)
                      : H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    if (create && file->id < 0)
        still_there(file); /* says so */
    TRY(h5_same(file, file->id >= 0, "",
                create ? "creating the file" : "opening the file (was it made to its end?)"));
out:
    H5Pclose(access);
    if (status != STATUS_OK)
        h5_close(&file);
    *out = file;
    return status;
}

bool h5_is_hdf5(struct comm *comm, const char *path) {
    char is = 0;
    struct stat about;
    H5Eset_auto2(H5E_DEFAULT, note_failure, NULL);
    /* a pipe would be waited for; where it cannot be known, who opens the file will say why */
    if (comm_rank(comm) == 0)
        is = stat(path, &about) == 0 && S_ISREG(about.st_mode) && H5Fis_hdf5(path) != 0;
    reason[0] = '\0';
    comm_broadcast(comm, &is, sizeof is);
    return is;
}

enum status h5_create(struct comm *comm, const char *path, struct h5_file **out) {
    return open_file(comm, path, true, true, out);
}

enum status h5_open(struct comm *comm, const char *path, bool writable, struct h5_file **out) {
    return open_file(comm, path, false, writable, out);
}

enum status h5_close(struct h5_file **file) {
    enum status status = STATUS_OK;
    if (!*file)
        return STATUS_OK;
    H5Pclose((*file)->collective);
    comm_meet((*file)->comm);
    if ((*file)->id >= 0) {
        bool good = H5Fclose((*file)->id) >= 0;
        if ((*file)->written && comm_rank((*file)->comm) == 0)
            good = good && still_there(*file);
        /* nothing rests on a file that was read */
        status = h5_checked(*file, good || !(*file)->written, "", "closing the file");
    }
    release(*file);
    *file = NULL;
    return status;
}

enum status h5_sync(struct h5_file *file) {
    comm_meet(file->comm);
    bool good = H5Fflush(file->id, H5F_SCOPE_GLOBAL) >= 0;
    comm_barrier(file->comm);
    if (comm_rank(file->comm) == 0)
        good = good && still_there(file) && disk_sync(file->watch);
    return h5_checked(file, good, "", "writing to the disk");
}

/* fallocate, not posix_fallocate, which writes into every block where the file system (NFS 3) cannot reserve: there the
 * room is found missing only when it is written to. */
enum status h5_reserve(struct h5_file *file) {
    enum status status =
        h5_checked(file, H5Fflush(file->id, H5F_SCOPE_GLOBAL) >= 0, "", "laying out the file");
    if (status == STATUS_OK && comm_rank(file->comm) == 0) {
        struct stat about;
        int descriptor = open(file->path, O_RDWR);
        bool good =
            descriptor >= 0 && fstat(descriptor, &about) == 0 &&
            (fallocate(descriptor, 0, 0, about.st_size) == 0 || errno == EOPNOTSUPP || errno == ENOSYS);
        if (!good)
            status = FAIL(STATUS_STORAGE,
                          "%s: no room for the whole of it (%.3g GB): %s: make room, then start again",
                          file->path, descriptor >= 0 ? (double)about.st_size / 1e9 : 0.0, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
    }
    return comm_agree(file->comm, status);
}

const char *h5_path(const struct h5_file *file) {
    return file->path;
}

/* ---- objects ---- */

/* Nothing is in an object that is no group; other questions without an answer are failures. */
static bool link_exists(struct h5_file *file, const char *path) {
    const htri_t answer = H5Lexists(file->id, path, H5P_DEFAULT);
    if (answer >= 0)
        return answer > 0;
    const char *last = strrchr(path, '/');
    char parent[1024] = "/";
    if (last && last > path)
        snprintf(parent, sizeof parent, "%.*s", (int)(last - path), path);
    const hid_t object = H5Oopen(file->id, parent, H5P_DEFAULT);
    if (h5_asked(file, object >= 0 && H5Iget_type(object) != H5I_GROUP, path))
        reason[0] = '\0';
    if (object >= 0)
        H5Oclose(object);
    return false;
}

bool h5_has(struct h5_file *file, const char *object) {
    /* Every link on the way must exist before the next may be asked for. */
    char part[1024];
    for (const char *at = object; *at != '\0';) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        snprintf(part, sizeof part, "%.*s", (int)(at - object), object);
        if (strspn(part, "/") != strlen(part) && !link_exists(file, part))
            return false;
    }
    const htri_t there = H5Oexists_by_name(file->id, object, H5P_DEFAULT);
    return h5_asked(file, there >= 0, object) && there > 0;
}

bool h5_has_attribute(struct h5_file *file, const char *object, const char *name) {
    const htri_t there =
        h5_has(file, object) ? H5Aexists_by_name(file->id, object, name, H5P_DEFAULT) : false;
    return h5_asked(file, there >= 0, object) && there > 0;
}

static hid_t link_properties(void) {
    hid_t p = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(p, 1);
    return p;
}

enum status h5_group(struct h5_file *file, const char *path) {
    if (strcmp(path, "/") == 0 || h5_has(file, path))
        return STATUS_OK;
    hid_t links = link_properties(), properties = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(properties, false);
    hid_t group = H5Gcreate2(file->id, path, links, properties, H5P_DEFAULT);
    H5Pclose(links);
    H5Pclose(properties);
    bool good = group >= 0 && H5Gclose(group) >= 0;
    return h5_same(file, good, path, "creating group");
}

enum status h5_hard_link(struct h5_file *file, const char *existing, const char *name) {
    hid_t links = link_properties();
    bool good = H5Lcreate_hard(file->id, existing, file->id, name, links, H5P_DEFAULT) >= 0;
    H5Pclose(links);
    return h5_same(file, good, name, "linking");
}

/* ---- datasets ---- */

static hid_t native(enum h5_type type) {
    static hid_t text = -1; /* stays open as long as the library */
    switch (type) {
    case H5_INT32:
        return H5T_NATIVE_INT32;
    case H5_INT64:
        return H5T_NATIVE_INT64;
    case H5_UINT64:
        return H5T_NATIVE_UINT64;
    case H5_FLOAT32:
        return H5T_NATIVE_FLOAT;
    case H5_TEXT32:
        return text >= 0 ? text : (text = h5_text_type(32));
    default:
        return H5T_NATIVE_DOUBLE;
    }
}

static size_t type_size(enum h5_type type) {
    return type == H5_TEXT32 ? 32 : type == H5_INT32 || type == H5_FLOAT32 ? 4 : 8;
}

enum status h5_dataset(struct h5_file *file, const char *path, enum h5_type type, int rank,
                       const size_t dims[], const char *unit, const char *description) {
    enum status status = STATUS_OK;
    hsize_t shape[H5_RANK];
    for (int a = 0; a < rank; a++)
        shape[a] = dims[a];
    hid_t space = H5Screate_simple(rank, shape, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t links = link_properties();
    H5Pset_layout(properties, H5D_CONTIGUOUS);
    H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
    H5Pset_obj_track_times(properties, false);
    hid_t set = H5Dcreate2(file->id, path, native(type), space, links, properties, H5P_DEFAULT);
    bool good = set >= 0 && H5Dclose(set) >= 0;
    H5Sclose(space);
    H5Pclose(properties);
    H5Pclose(links);
    TRY(h5_same(file, good, path, "creating dataset"));
    if (unit)
        TRY(h5_write_text(file, path, "unit", unit));
    if (description)
        TRY(h5_write_text(file, path, "description", description));
out:
    return status;
}

/* Whether so many elements can come out of what is stored: all of them where they are stored as they are; of chunks, a
 * part may not have been written; deflate makes at most a thousandth of its input. */
bool h5_is_stored(hid_t set, uint64_t elements) {
    const double mebibyte = 1 << 20;
    hid_t type = H5Dget_type(set), properties = H5Dget_create_plist(set);
    const hsize_t stored = H5Dget_storage_size(set);
    double most = (double)stored;
    if (properties >= 0 && H5Pget_layout(properties) == H5D_CHUNKED)
        most = (H5Pget_nfilters(properties) > 0 ? 1100 : 16) * most + mebibyte;
    const bool good = type >= 0 && properties >= 0 && (double)elements * (double)H5Tget_size(type) <= most;
    if (type >= 0)
        H5Tclose(type);
    if (properties >= 0)
        H5Pclose(properties);
    return good;
}

enum status h5_shape(struct h5_file *file, const char *path, int *rank, size_t dims[H5_RANK]) {
    hsize_t shape[32] = {0};
    bool good = false, stored = true;
    hid_t set = h5_has(file, path) ? H5Dopen2(file->id, path, H5P_DEFAULT) : -1;
    if (set >= 0) {
        hid_t space = H5Dget_space(set);
        *rank = H5Sget_simple_extent_ndims(space);
        good = *rank >= 1 && *rank <= H5_RANK && H5Sget_simple_extent_dims(space, shape, NULL) >= 0;
        H5Sclose(space);
    }
    /* Readers allocate by these numbers; a damaged file may say anything. */
    const hsize_t most = (hsize_t)1 << 48;
    hsize_t total = 1;
    for (int a = 0; good && a < *rank; a++) {
        good = shape[a] <= most && (shape[a] == 0 || total <= most / shape[a]);
        total *= shape[a];
        dims[a] = (size_t)shape[a];
    }
    if (good)
        stored = h5_is_stored(set, total) && h5_fits(file, 1, H5Dget_storage_size(set));
    if (set >= 0)
        H5Dclose(set);
    enum status status = h5_checked(file, good, path, "finding dataset");
    if (status != STATUS_OK)
        return status;
    return comm_agree(file->comm, stored
                                      ? STATUS_OK
                                      : FAIL(STATUS_STORAGE,
                                             "%s: dataset %s is to have %llu elements, more than are stored: "
                                             "the file is damaged",
                                             file->path, path, (unsigned long long)total));
}

/* Whether what is stored holds every number of this type: the library would convert anything without a word.
 */
static bool stored_as(struct h5_file *file, const char *path, enum h5_type type) {
    hid_t set = H5Dopen2(file->id, path, H5P_DEFAULT), stored = H5Dget_type(set), wanted = native(type);
    bool good = H5Tget_class(stored) == H5Tget_class(wanted) && H5Tget_size(stored) >= H5Tget_size(wanted);
    if (good && H5Tget_class(wanted) == H5T_INTEGER)
        good = H5Tget_sign(stored) == H5Tget_sign(wanted);
    H5Tclose(stored);
    H5Dclose(set);
    return good;
}

enum status h5_expect(struct h5_file *file, const char *path, enum h5_type type, int rank,
                      const size_t dims[]) {
    size_t found[H5_RANK];
    int found_rank;
    enum status status = h5_shape(file, path, &found_rank, found);
    if (status != STATUS_OK)
        return status;
    bool shape = found_rank == rank && memcmp(found, dims, (size_t)rank * sizeof *dims) == 0;
    if (!shape || !stored_as(file, path, type))
        status =
            FAIL(STATUS_STORAGE,
                 "%s: dataset %s has another %s than expected: the file is damaged, or not from this run",
                 file->path, path, shape ? "type" : "shape");
    return comm_agree(file->comm, status);
}

/* Whether the block lies in the dataset: the library would refuse it on this rank alone. */
static bool block_is_inside(hid_t set, int rank, const size_t offset[], const size_t count[]) {
    hsize_t shape[32];
    hid_t space = H5Dget_space(set);
    bool inside =
        H5Sget_simple_extent_ndims(space) == rank && H5Sget_simple_extent_dims(space, shape, NULL) >= 0;
    for (int a = 0; a < rank && inside; a++)
        inside = count[a] <= shape[a] && (count[a] == 0 || offset[a] <= shape[a] - count[a]);
    H5Sclose(space);
    return inside;
}

/* The elements of a block, in memory and in the file; a rank without elements takes part with nothing. */
static bool select_block(hid_t in_memory, hid_t in_file, bool nothing, const hsize_t offset[],
                         const hsize_t count[]) {
    if (in_memory < 0 || in_file < 0)
        return false;
    if (nothing)
        return H5Sselect_none(in_file) >= 0 && H5Sselect_none(in_memory) >= 0;
    return H5Sselect_hyperslab(in_file, H5S_SELECT_SET, offset, NULL, count, NULL) >= 0;
}

/* One transfer of all ranks, which begin it together or not at all. */
static enum status transfer(struct h5_file *file, const char *path, hid_t set, enum h5_type type, int rank,
                            const hsize_t offset[], const hsize_t count[], void *out, const void *in) {
    hsize_t elements = 1;
    for (int a = 0; a < rank; a++)
        elements *= count[a];
    hid_t in_file = H5Dget_space(set),
          in_memory = H5Screate_simple(1, &(hsize_t){elements ? elements : 1}, NULL);
    bool good = native(type) >= 0 && select_block(in_memory, in_file, elements == 0, offset, count);
    enum status status = h5_checked(file, good, path, "preparing a transfer of dataset");
    if (status == STATUS_OK) {
        herr_t moved = out ? H5Dread(set, native(type), in_memory, in_file, file->collective, out)
                           : H5Dwrite(set, native(type), in_memory, in_file, file->collective, in);
        status = h5_checked(file, moved >= 0, path, out ? "reading dataset" : "writing dataset");
    }
    H5Sclose(in_file);
    H5Sclose(in_memory);
    return status;
}

/* In parts below 2 GiB, which is what one MPI-IO call may move: some rows of the first axis along which the
 * block is longer than one. All ranks make the same number of calls. */
static enum status move(struct h5_file *file, const char *path, enum h5_type type, int rank,
                        const size_t offset[], const size_t count[], char *out, const char *in) {
    const size_t most = (size_t)1 << 30;
    hsize_t from[H5_RANK], part[H5_RANK];
    size_t row = type_size(type), total = 1;
    int axis = 0;
    hid_t set = h5_has(file, path) ? H5Dopen2(file->id, path, H5P_DEFAULT) : -1;
    enum status status = h5_checked(file, set >= 0, path, "finding dataset");
    if (status == STATUS_OK)
        status = h5_checked(file, block_is_inside(set, rank, offset, count), path,
                            "finding this block of dataset");
    for (int a = 0; a < rank; a++) {
        from[a] = offset[a];
        part[a] = count[a];
        total *= count[a];
    }
    while (axis < rank - 1 && count[axis] <= 1)
        axis++;
    for (int a = axis + 1; a < rank; a++)
        row *= count[a];
    const size_t rows = row > 0 && row < most ? most / row : 1, all = total > 0 ? count[axis] : 0;
    double calls = fmax(1, (double)((all + rows - 1) / rows));
    if (status == STATUS_OK)
        comm_max(file->comm, &calls, 1);
    for (size_t call = 0, done = 0; call < (size_t)calls && status == STATUS_OK; call++) {
        part[axis] = all - done < rows ? all - done : rows;
        from[axis] = part[axis] > 0 ? offset[axis] + done : 0;
        status = transfer(file, path, set, type, rank, from, part, out ? out + done * row : NULL,
                          in ? in + done * row : NULL);
        done += part[axis];
    }
    const bool closed = set < 0 || H5Dclose(set) >= 0;
    return status != STATUS_OK ? status : h5_checked(file, closed, path, "closing dataset");
}

enum status h5_write(struct h5_file *file, const char *path, enum h5_type type, int rank,
                     const size_t offset[], const size_t count[], const void *data) {
    static const char nothing[8];
    return move(file, path, type, rank, offset, count, NULL, data ? data : nothing);
}

enum status h5_read(struct h5_file *file, const char *path, enum h5_type type, int rank,
                    const size_t offset[], const size_t count[], void *data) {
    static char nothing[8];
    return move(file, path, type, rank, offset, count, data ? data : nothing, NULL);
}
