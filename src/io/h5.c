#include "io/h5.h"

#include <fcntl.h>
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct h5_file {
    struct comm *comm;
    hid_t id;
    hid_t collective; /* transfer property list */
    char path[1024];
};

/* ---- errors ---- */

static herr_t innermost(unsigned n, const H5E_error2_t *error, void *out) {
    (void)n;
    snprintf(out, 256, "%s", error->desc);
    return 0;
}

/* Records what failed with the library's own innermost reason, and agrees with the other ranks. */
static enum status checked(struct comm *comm, bool good, const char *path, const char *object, const char *what) {
    enum status status = STATUS_OK;
    if (!good) {
        char reason[256] = "";
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, reason);
        status = FAIL(STATUS_STORAGE, "%s: %s%s%s failed%s%s", path, what, object[0] ? " " : "", object,
                      reason[0] ? ": " : "", reason);
    }
    return comm_agree(comm, status);
}

static enum status checked_file(struct h5_file *file, bool good, const char *object, const char *what) {
    return checked(file->comm, good, file->path, object, what);
}

/* ---- files ---- */

static enum status open_file(struct comm *comm, const char *path, bool create, bool writable,
                             struct h5_file **out) {
    struct h5_file *file = calloc(1, sizeof *file);
    *out = NULL;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    enum status status = file ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory while opening %s", path);
    if ((status = comm_agree(comm, status)) != STATUS_OK) {
        free(file);
        return status;
    }
    file->comm = comm;
    snprintf(file->path, sizeof file->path, "%s", path);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_mpio(access, *(const MPI_Comm *)comm_handle(comm), MPI_INFO_NULL);
    file->id = create ? H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access)
                      : H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    H5Pclose(access);
    file->collective = H5Pcreate(H5P_DATASET_XFER);
    H5Pset_dxpl_mpio(file->collective, H5FD_MPIO_COLLECTIVE);
    status = checked_file(file, file->id >= 0, "", create ? "creating the file" : "opening the file");
    if (status != STATUS_OK)
        h5_close(&file);
    *out = file;
    return status;
}

bool h5_is_hdf5(struct comm *comm, const char *path) {
    char is = 0;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (comm_rank(comm) == 0)
        is = H5Fis_hdf5(path) > 0;
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
    if ((*file)->id >= 0)
        status = checked_file(*file, H5Fclose((*file)->id) >= 0, "", "closing the file");
    free(*file);
    *file = NULL;
    return status;
}

enum status h5_sync(struct h5_file *file) {
    bool good = H5Fflush(file->id, H5F_SCOPE_GLOBAL) >= 0;
    comm_barrier(file->comm);
    if (comm_rank(file->comm) == 0) {
        int descriptor = open(file->path, O_RDONLY);
        good = good && descriptor >= 0 && fsync(descriptor) == 0;
        if (descriptor >= 0)
            close(descriptor);
    }
    return checked_file(file, good, "", "writing to the disk");
}

const char *h5_path(const struct h5_file *file) {
    return file->path;
}

/* ---- objects ---- */

bool h5_has(struct h5_file *file, const char *object) {
    /* Every link on the way must exist before the next may be asked for. */
    char part[1024];
    for (const char *at = object; *at != '\0';) {
        at += strspn(at, "/");
        at += strcspn(at, "/");
        snprintf(part, sizeof part, "%.*s", (int)(at - object), object);
        if (strspn(part, "/") != strlen(part) && H5Lexists(file->id, part, H5P_DEFAULT) <= 0)
            return false;
    }
    return H5Oexists_by_name(file->id, object, H5P_DEFAULT) > 0;
}

bool h5_has_attribute(struct h5_file *file, const char *object, const char *name) {
    return h5_has(file, object) && H5Aexists_by_name(file->id, object, name, H5P_DEFAULT) > 0;
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
    return checked_file(file, good, path, "creating group");
}

enum status h5_hard_link(struct h5_file *file, const char *existing, const char *name) {
    hid_t links = link_properties();
    bool good = H5Lcreate_hard(file->id, existing, file->id, name, links, H5P_DEFAULT) >= 0;
    H5Pclose(links);
    return checked_file(file, good, name, "linking");
}

/* ---- attributes ---- */

static enum status write_attribute(struct h5_file *file, const char *object, const char *name, hid_t type,
                                   int count, const void *data) {
    hsize_t n = (hsize_t)(count > 0 ? count : 1);
    hid_t space = count > 0 ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR);
    bool good = false;
    hid_t at = H5Oopen(file->id, object, H5P_DEFAULT);
    hid_t attribute = -1;
    if (at >= 0)
        attribute = H5Aexists(at, name) > 0 ? H5Aopen(at, name, H5P_DEFAULT)
                                            : H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) {
        good = H5Awrite(attribute, type, data) >= 0;
        H5Aclose(attribute);
    }
    if (at >= 0)
        H5Oclose(at);
    H5Sclose(space);
    char label[512];
    snprintf(label, sizeof label, "%s@%s", object, name);
    return checked_file(file, good, label, "writing attribute");
}

static hid_t text_type(size_t size) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size > 0 ? size : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    return type;
}

enum status h5_write_text(struct h5_file *file, const char *object, const char *name, const char *value) {
    hid_t type = text_type(strlen(value));
    enum status status = write_attribute(file, object, name, type, 0, value);
    H5Tclose(type);
    return status;
}

enum status h5_write_texts(struct h5_file *file, const char *object, const char *name, int count,
                           const char *const values[]) {
    enum { TEXT = 32 };
    char data[8][TEXT] = {{0}};
    for (int i = 0; i < count && i < 8; i++)
        strncpy(data[i], values[i], TEXT - 1);
    hid_t type = text_type(TEXT);
    enum status status = write_attribute(file, object, name, type, count, data);
    H5Tclose(type);
    return status;
}

enum status h5_write_reals(struct h5_file *file, const char *object, const char *name, int count,
                           const double *values) {
    return write_attribute(file, object, name, H5T_NATIVE_DOUBLE, count, values);
}

enum status h5_write_real(struct h5_file *file, const char *object, const char *name, double value) {
    return write_attribute(file, object, name, H5T_NATIVE_DOUBLE, 0, &value);
}

enum status h5_write_integer(struct h5_file *file, const char *object, const char *name, int64_t value) {
    return write_attribute(file, object, name, H5T_NATIVE_INT64, 0, &value);
}

enum status h5_write_integers(struct h5_file *file, const char *object, const char *name, int count,
                              const int64_t *values) {
    return write_attribute(file, object, name, H5T_NATIVE_INT64, count, values);
}

static enum status read_scalar(struct h5_file *file, const char *object, const char *name, hid_t type, void *out) {
    char label[512];
    bool good = false;
    hid_t attribute = h5_has_attribute(file, object, name)
                          ? H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT)
                          : -1;
    if (attribute >= 0) {
        hid_t space = H5Aget_space(attribute), own = H5Aget_type(attribute);
        bool numeric = H5Tget_class(own) == H5T_FLOAT || H5Tget_class(own) == H5T_INTEGER;
        good = numeric && H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, type, out) >= 0;
        H5Tclose(own);
        H5Sclose(space);
        H5Aclose(attribute);
    }
    snprintf(label, sizeof label, "%s@%s", object, name);
    return checked_file(file, good, label, "reading the number");
}

enum status h5_read_real(struct h5_file *file, const char *object, const char *name, double *out) {
    return read_scalar(file, object, name, H5T_NATIVE_DOUBLE, out);
}

enum status h5_read_integer(struct h5_file *file, const char *object, const char *name, int64_t *out) {
    return read_scalar(file, object, name, H5T_NATIVE_INT64, out);
}

/* A text attribute of fixed length; false where it is something else or too long. */
static bool read_text(hid_t attribute, size_t size, char *out) {
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    size_t length = H5Tget_size(type);
    bool good = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && length < size &&
                H5Sget_simple_extent_npoints(space) == 1;
    memset(out, 0, size);
    good = good && H5Aread(attribute, type, out) >= 0;
    H5Tclose(type);
    H5Sclose(space);
    return good;
}

enum status h5_read_text(struct h5_file *file, const char *object, const char *name, size_t size, char *out) {
    char label[512];
    bool good = false;
    hid_t attribute = h5_has_attribute(file, object, name)
                          ? H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT)
                          : -1;
    if (attribute >= 0) {
        good = read_text(attribute, size, out);
        H5Aclose(attribute);
    }
    snprintf(label, sizeof label, "%s@%s", object, name);
    return checked_file(file, good, label, "reading the text");
}

/* ---- datasets ---- */

static hid_t native(enum h5_type type) {
    switch (type) {
    case H5_INT32:
        return H5T_NATIVE_INT32;
    case H5_INT64:
        return H5T_NATIVE_INT64;
    case H5_UINT64:
        return H5T_NATIVE_UINT64;
    case H5_FLOAT32:
        return H5T_NATIVE_FLOAT;
    default:
        return H5T_NATIVE_DOUBLE;
    }
}

static size_t type_size(enum h5_type type) {
    return type == H5_INT32 || type == H5_FLOAT32 ? 4 : 8;
}

enum status h5_dataset(struct h5_file *file, const char *path, enum h5_type type, int rank, const size_t dims[],
                       const char *unit, const char *description) {
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
    TRY(checked_file(file, good, path, "creating dataset"));
    if (unit)
        TRY(h5_write_text(file, path, "unit", unit));
    if (description)
        TRY(h5_write_text(file, path, "description", description));
out:
    return status;
}

enum status h5_shape(struct h5_file *file, const char *path, int *rank, size_t dims[H5_RANK]) {
    hsize_t shape[32] = {0};
    bool good = false;
    hid_t set = h5_has(file, path) ? H5Dopen2(file->id, path, H5P_DEFAULT) : -1;
    if (set >= 0) {
        hid_t space = H5Dget_space(set);
        *rank = H5Sget_simple_extent_ndims(space);
        good = *rank >= 1 && *rank <= H5_RANK && H5Sget_simple_extent_dims(space, shape, NULL) >= 0;
        H5Sclose(space);
        H5Dclose(set);
    }
    for (int a = 0; good && a < *rank; a++)
        dims[a] = (size_t)shape[a];
    return checked_file(file, good, path, "finding dataset");
}

enum status h5_expect(struct h5_file *file, const char *path, int rank, const size_t dims[]) {
    size_t found[H5_RANK];
    int found_rank;
    enum status status = h5_shape(file, path, &found_rank, found);
    if (status != STATUS_OK)
        return status;
    bool same = found_rank == rank;
    for (int a = 0; same && a < rank; a++)
        same = found[a] == dims[a];
    if (!same)
        return FAIL(STATUS_STORAGE, "%s: dataset %s has another shape than expected: the file is damaged, or not from "
                                    "this run", file->path, path);
    return STATUS_OK;
}

/* One transfer of all ranks, of at most some rows of the first axis with more than one element. */
static bool transfer(struct h5_file *file, hid_t set, enum h5_type type, int rank, const hsize_t offset[],
                     const hsize_t count[], void *out, const void *in) {
    hsize_t elements = 1;
    for (int a = 0; a < rank; a++)
        elements *= count[a];
    hid_t in_file = H5Dget_space(set), in_memory = H5Screate_simple(1, &(hsize_t){elements ? elements : 1}, NULL);
    char nothing[8];
    bool good = H5Sget_simple_extent_ndims(in_file) == rank;
    if (elements == 0) {
        H5Sselect_none(in_file);
        H5Sselect_none(in_memory);
    } else {
        good = good && H5Sselect_hyperslab(in_file, H5S_SELECT_SET, offset, NULL, count, NULL) >= 0;
    }
    if (good)
        good = out ? H5Dread(set, native(type), in_memory, in_file, file->collective, elements ? out : nothing) >= 0
                   : H5Dwrite(set, native(type), in_memory, in_file, file->collective, elements ? in : nothing) >= 0;
    H5Sclose(in_file);
    H5Sclose(in_memory);
    return good;
}

/* In parts below 2 GiB, which is what one MPI-IO call may move; all ranks make the same number of calls. */
static enum status move(struct h5_file *file, const char *path, enum h5_type type, int rank, const size_t offset[],
                        const size_t count[], char *out, const char *in) {
    const size_t most = (size_t)1 << 30;
    hsize_t from[H5_RANK], part[H5_RANK];
    size_t row = type_size(type), total = 1;
    int axis = 0;
    bool good = true;
    for (int a = 0; a < rank; a++) {
        from[a] = offset[a];
        part[a] = count[a];
        total *= count[a];
    }
    while (axis < rank - 1 && count[axis] <= 1)
        axis++;
    for (int a = axis + 1; a < rank; a++)
        row *= count[a];
    size_t rows = row > 0 && most / row > 0 ? most / row : 1, all = total > 0 ? count[axis] : 0;
    double calls = (double)((all + rows - 1) / rows);
    comm_max(file->comm, &calls, 1);
    hid_t set = h5_has(file, path) ? H5Dopen2(file->id, path, H5P_DEFAULT) : -1;
    enum status status = checked_file(file, set >= 0, path, "finding dataset");
    if (status != STATUS_OK)
        return status;
    for (size_t call = 0, done = 0; call < (size_t)fmax(1, calls); call++) {
        size_t now = all - done < rows ? all - done : rows;
        from[axis] = offset[axis] + done;
        part[axis] = now;
        good = transfer(file, set, type, rank, from, part, out ? out + done * row : NULL, in ? in + done * row : NULL) &&
               good;
        done += now;
    }
    good = H5Dclose(set) >= 0 && good;
    return checked_file(file, good, path, out ? "reading dataset" : "writing dataset");
}

enum status h5_write(struct h5_file *file, const char *path, enum h5_type type, int rank, const size_t offset[],
                     const size_t count[], const void *data) {
    static const char nothing[8];
    return move(file, path, type, rank, offset, count, NULL, data ? data : nothing);
}

enum status h5_read(struct h5_file *file, const char *path, enum h5_type type, int rank, const size_t offset[],
                    const size_t count[], void *data) {
    static char nothing[8];
    return move(file, path, type, rank, offset, count, data ? data : nothing, NULL);
}

/* ---- a walk over all scalars ---- */

struct walk {
    h5_visitor *visit;
    void *context;
    size_t longest;
    const char *object;
    enum status status;
};

static size_t json_number(double value, char *out, size_t size) {
    return (size_t)snprintf(out, size, isfinite(value) ? "%.17g" : "null", value);
}

static void json_text(const char *text, char *out, size_t size) {
    size_t used = 0;
    out[used++] = '"';
    for (; *text && used + 8 < size; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            used += (size_t)snprintf(out + used, size - used, "\\%c", c);
        else if (c < 0x20)
            used += (size_t)snprintf(out + used, size - used, "\\u%04x", c);
        else
            out[used++] = (char)c;
    }
    out[used++] = '"';
    out[used] = '\0';
}

/* Numbers as JSON: one value, or a list. Allocated. */
static char *json_numbers(const double *values, size_t count, bool list) {
    size_t room = count * 32 + 8, used = 0;
    char *text = malloc(room);
    if (!text)
        return NULL;
    if (list)
        text[used++] = '[';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            text[used++] = ',';
        used += json_number(values[i], text + used, room - used);
    }
    if (list)
        text[used++] = ']';
    text[used] = '\0';
    return text;
}

static herr_t visit_attribute(hid_t at, const char *name, const H5A_info_t *info, void *context) {
    struct walk *w = context;
    char label[1024], text[4096], json[8400];
    (void)info;
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    bool number = H5Tget_class(type) == H5T_INTEGER || H5Tget_class(type) == H5T_FLOAT;
    snprintf(label, sizeof label, "%s@%s", w->object, name);
    if (number && count >= 1 && count <= 64) {
        double value[64];
        H5Aread(attribute, H5T_NATIVE_DOUBLE, value);
        char *numbers = json_numbers(value, (size_t)count, H5Sget_simple_extent_ndims(space) > 0);
        w->status = numbers ? w->visit(label, numbers, w->context) : FAIL(STATUS_FAILURE, "out of memory");
        free(numbers);
    } else if (read_text(attribute, sizeof text, text)) {
        json_text(text, json, sizeof json);
        w->status = w->visit(label, json, w->context);
    }
    H5Tclose(type);
    H5Sclose(space);
    H5Aclose(attribute);
    return w->status == STATUS_OK ? 0 : -1;
}

static void visit_series(struct walk *w, hid_t set) {
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    bool number = H5Tget_class(type) == H5T_INTEGER || H5Tget_class(type) == H5T_FLOAT;
    if (number && H5Sget_simple_extent_ndims(space) == 1 && count >= 1 && (size_t)count <= w->longest) {
        double *value = malloc((size_t)count * sizeof *value);
        char *numbers = NULL;
        if (value && H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0)
            numbers = json_numbers(value, (size_t)count, true);
        if (numbers)
            w->status = w->visit(w->object, numbers, w->context);
        free(value);
        free(numbers);
    }
    H5Tclose(type);
    H5Sclose(space);
}

static herr_t visit_object(hid_t root, const char *name, const H5O_info_t *info, void *context) {
    struct walk *w = context;
    w->object = strcmp(name, ".") == 0 ? "" : name;
    hid_t at = H5Oopen(root, name, H5P_DEFAULT);
    if (at < 0)
        return 0;
    H5Aiterate2(at, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_attribute, w);
    if (info->type == H5O_TYPE_DATASET && w->status == STATUS_OK)
        visit_series(w, at);
    H5Oclose(at);
    return w->status == STATUS_OK ? 0 : -1;
}

enum status h5_visit_scalars(struct h5_file *file, size_t longest, h5_visitor *visit, void *context) {
    struct walk w = {.visit = visit, .context = context, .longest = longest};
    bool good = H5Ovisit2(file->id, H5_INDEX_NAME, H5_ITER_INC, visit_object, &w, H5O_INFO_BASIC) >= 0;
    return w.status != STATUS_OK ? w.status : checked_file(file, good, "", "reading the contents");
}
