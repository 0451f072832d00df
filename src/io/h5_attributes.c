/* Attributes: numbers and words that belong to a file, a group or a dataset.
 *
 * They are metadata, of which every rank holds a copy that must come out the same; so what rank 0 gives is
 * sent to all ranks first. (Hosts and clocks do differ.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/h5_private.h"

/* Makes the attribute, or finds it where its size is the same. */
static hid_t attribute_for(hid_t at, const char *name, hid_t type, int count) {
    const hsize_t n = (hsize_t)(count > 0 ? count : 1);
    const htri_t there = H5Aexists(at, name);
    hid_t attribute = -1, space = -1;
    if (there > 0) {
        attribute = H5Aopen(at, name, H5P_DEFAULT);
        space = H5Aget_space(attribute);
        if (attribute >= 0 && H5Sget_simple_extent_npoints(space) != (hssize_t)n) {
            H5Aclose(attribute);
            attribute = -1;
        }
    } else if (there == 0) {
        space = count > 0 ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR);
        attribute = space >= 0 ? H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT) : -1;
    }
    H5Sclose(space);
    return attribute;
}

/* count 0: a scalar. bytes: of data, of which rank 0's are written. */
static enum status write_attribute(struct h5_file *file, const char *object, const char *name, hid_t type,
                                   int count, size_t bytes, const void *data) {
    char *same = malloc(bytes), label[512];
    enum status status = comm_agree(
        file->comm, same ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory while writing %s", file->path));
    bool good = false;
    if (status != STATUS_OK) {
        free(same);
        return status;
    }
    if (comm_rank(file->comm) == 0)
        memcpy(same, data, bytes);
    comm_broadcast(file->comm, same, bytes);
    hid_t at = H5Oopen(file->id, object, H5P_DEFAULT);
    hid_t attribute = at >= 0 ? attribute_for(at, name, type, count) : -1;
    if (attribute >= 0) {
        good = H5Awrite(attribute, type, same) >= 0;
        good = H5Aclose(attribute) >= 0 && good;
    }
    if (at >= 0)
        good = H5Oclose(at) >= 0 && good;
    free(same);
    snprintf(label, sizeof label, "%s@%s", object, name);
    return h5_same(file, good, label, "writing attribute");
}

hid_t h5_text_type(size_t size) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, size > 0 ? size : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    return type;
}

enum status h5_write_text(struct h5_file *file, const char *object, const char *name, const char *value) {
    size_t length = strlen(value);
    comm_broadcast(file->comm, &length, sizeof length);
    hid_t type = h5_text_type(length);
    enum status status = write_attribute(file, object, name, type, 0, length > 0 ? length : 1, value);
    H5Tclose(type);
    return status;
}

enum status h5_write_texts(struct h5_file *file, const char *object, const char *name, int count,
                           const char *const values[]) {
    enum { TEXT = 32, MOST = 8 };
    char data[MOST][TEXT] = {{0}};
    bool fits = count >= 1 && count <= MOST;
    for (int i = 0; fits && i < count; i++) {
        fits = strlen(values[i]) < TEXT;
        if (fits)
            strcpy(data[i], values[i]);
    }
    if (!fits)
        return FAIL(STATUS_FAILURE, "%s: %s@%s: too many texts, or too long ones", file->path, object, name);
    hid_t type = h5_text_type(TEXT);
    enum status status = write_attribute(file, object, name, type, count, (size_t)count * TEXT, data);
    H5Tclose(type);
    return status;
}

enum status h5_write_reals(struct h5_file *file, const char *object, const char *name, int count,
                           const double *values) {
    return write_attribute(file, object, name, H5T_NATIVE_DOUBLE, count, (size_t)count * sizeof *values,
                           values);
}

enum status h5_write_real(struct h5_file *file, const char *object, const char *name, double value) {
    return write_attribute(file, object, name, H5T_NATIVE_DOUBLE, 0, sizeof value, &value);
}

enum status h5_write_integer(struct h5_file *file, const char *object, const char *name, int64_t value) {
    return write_attribute(file, object, name, H5T_NATIVE_INT64, 0, sizeof value, &value);
}

enum status h5_write_integers(struct h5_file *file, const char *object, const char *name, int count,
                              const int64_t *values) {
    return write_attribute(file, object, name, H5T_NATIVE_INT64, count, (size_t)count * sizeof *values,
                           values);
}

/* ---- reading ---- */

static hid_t open_attribute(struct h5_file *file, const char *object, const char *name) {
    return h5_has_attribute(file, object, name)
               ? H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT)
               : -1;
}

static enum status read_scalar(struct h5_file *file, const char *object, const char *name, hid_t type,
                               void *out) {
    char label[512];
    bool good = false;
    hid_t attribute = open_attribute(file, object, name);
    if (attribute >= 0) {
        hid_t space = H5Aget_space(attribute), own = H5Aget_type(attribute);
        bool numeric = H5Tget_class(own) == H5T_FLOAT || H5Tget_class(own) == H5T_INTEGER;
        good = numeric && H5Sget_simple_extent_npoints(space) == 1 && H5Aread(attribute, type, out) >= 0;
        H5Tclose(own);
        H5Sclose(space);
        H5Aclose(attribute);
    }
    snprintf(label, sizeof label, "%s@%s", object, name);
    return h5_checked(file, good, label, "reading the number");
}

enum status h5_read_real(struct h5_file *file, const char *object, const char *name, double *out) {
    return read_scalar(file, object, name, H5T_NATIVE_DOUBLE, out);
}

enum status h5_read_integer(struct h5_file *file, const char *object, const char *name, int64_t *out) {
    return read_scalar(file, object, name, H5T_NATIVE_INT64, out);
}

bool h5_is_text(hid_t type, hid_t space, size_t *size) {
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 ||
        H5Sget_simple_extent_npoints(space) != 1)
        return false;
    *size = H5Tget_size(type);
    return true;
}

enum status h5_read_text(struct h5_file *file, const char *object, const char *name, size_t size, char *out) {
    char label[512];
    bool good = false;
    hid_t attribute = open_attribute(file, object, name);
    if (attribute >= 0) {
        hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
        size_t length = 0;
        memset(out, 0, size);
        good = h5_is_text(type, space, &length) && length < size && H5Aread(attribute, type, out) >= 0;
        H5Tclose(type);
        H5Sclose(space);
        H5Aclose(attribute);
    }
    snprintf(label, sizeof label, "%s@%s", object, name);
    return h5_checked(file, good, label, "reading the text");
}

/* ---- all of them ---- */

hid_t h5_memory_type(hid_t type) {
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        return H5Tcopy(H5Tget_sign(type) == H5T_SGN_NONE ? H5T_NATIVE_UINT64 : H5T_NATIVE_INT64);
    case H5T_FLOAT:
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    default:
        return H5Tcopy(type);
    }
}

struct bytes_walk {
    const struct h5_file *file;
    h5_bytes_visitor *visit;
    void *context;
    const char *object;
    bool good;
};

static bool hand_over(const struct bytes_walk *w, const char *name, hid_t attribute) {
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute), memory = h5_memory_type(type);
    const hssize_t found = H5Sget_simple_extent_npoints(space);
    const size_t count = found > 0 ? (size_t)found : 0, size = H5Tget_size(type), bytes = H5Tget_size(memory);
    bool good = found >= 0 && bytes > 0 && h5_fits(w->file, count, size) &&
                H5Tdetect_class(type, H5T_VLEN) <= 0 && H5Tis_variable_str(type) <= 0;
    char *values = good ? calloc(count + 1, bytes > size ? bytes : size) : NULL;
    good = values && H5Aread(attribute, memory, values) >= 0;
    if (good)
        w->visit(w->object, name, count * bytes, values, w->context);
    free(values);
    H5Tclose(type);
    H5Tclose(memory);
    H5Sclose(space);
    return good;
}

static herr_t visit_bytes(hid_t at, const char *name, const H5A_info_t *info, void *context) {
    struct bytes_walk *w = context;
    (void)info;
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
    w->good = attribute >= 0 && hand_over(w, name, attribute);
    if (attribute >= 0)
        H5Aclose(attribute);
    return w->good ? 0 : -1;
}

static herr_t visit_group(hid_t root, const char *name, const H5L_info_t *info, void *context) {
    struct bytes_walk *w = context;
    H5O_info_t about;
    if (info->type != H5L_TYPE_HARD)
        return 0;
    if (H5Oget_info_by_name2(root, name, &about, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
        return -1;
    w->object = name;
    return about.type == H5O_TYPE_GROUP
               ? H5Aiterate_by_name(root, name, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_bytes, w, H5P_DEFAULT)
               : 0;
}

enum status h5_visit_attributes(struct h5_file *file, const char *group, h5_bytes_visitor *visit,
                                void *context) {
    struct bytes_walk w = {.file = file, .visit = visit, .context = context, .object = "", .good = true};
    hid_t at = h5_has(file, group) ? H5Oopen(file->id, group, H5P_DEFAULT) : -1;
    bool good = at >= 0 && H5Aiterate2(at, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_bytes, &w) >= 0 &&
                H5Lvisit(at, H5_INDEX_NAME, H5_ITER_INC, visit_group, &w) >= 0;
    if (at >= 0)
        H5Oclose(at);
    return h5_checked(file, good, group, "reading the attributes of");
}
