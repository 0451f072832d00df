/* What is in a file that another program made: which objects there are, of which kind, and the forms of numbers
 * and words that epflow itself never writes (datasets without axes, texts of variable length).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/h5_private.h"

/* -1 where there is none; close it. */
static hid_t open_object(struct h5_file *file, const char *path) {
    if (!h5_has(file, path))
        return -1;
    const hid_t object = H5Oopen(file->id, path, H5P_DEFAULT);
    h5_asked(file, object >= 0, path);
    return object;
}

/* The dataset itself, or -1; close it. */
static hid_t open_dataset(struct h5_file *file, const char *path) {
    hid_t object = open_object(file, path);
    if (object >= 0 && H5Iget_type(object) != H5I_DATASET) {
        H5Oclose(object);
        object = -1;
    }
    return object;
}

bool h5_is_group(struct h5_file *file, const char *path) {
    hid_t object = open_object(file, path);
    bool group = object >= 0 && H5Iget_type(object) == H5I_GROUP;
    if (object >= 0)
        H5Oclose(object);
    return group;
}

int h5_axes(struct h5_file *file, const char *path) {
    hid_t set = open_dataset(file, path);
    if (set < 0)
        return -1;
    hid_t space = H5Dget_space(set);
    h5_asked(file, space >= 0, path);
    int axes = H5Sget_simple_extent_type(space) == H5S_NULL ? -1 : H5Sget_simple_extent_ndims(space);
    H5Sclose(space);
    H5Dclose(set);
    return axes;
}

bool h5_is_numbers(struct h5_file *file, const char *path) {
    hid_t set = open_dataset(file, path);
    if (set < 0)
        return false;
    hid_t type = H5Dget_type(set);
    h5_asked(file, type >= 0, path);
    bool numbers = H5Tget_class(type) == H5T_INTEGER || H5Tget_class(type) == H5T_FLOAT;
    H5Tclose(type);
    H5Dclose(set);
    return numbers;
}

enum status h5_read_single(struct h5_file *file, const char *path, double *out) {
    bool good = h5_axes(file, path) == 0 && h5_is_numbers(file, path);
    if (good) {
        hid_t set = open_dataset(file, path);
        good = H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, file->collective, out) >= 0;
        H5Dclose(set);
    }
    return h5_checked(file, good, path, "reading the number");
}

/* Texts of variable or fixed length, each into size bytes. */
static bool read_texts(hid_t attribute, hid_t type, size_t count, size_t size, char *out) {
    const bool variable = H5Tis_variable_str(type) > 0;
    const size_t bytes = variable ? sizeof(char *) : H5Tget_size(type);
    char *raw = calloc(count, bytes + 1);
    bool good = raw && H5Aread(attribute, type, raw) >= 0;
    for (size_t i = 0; good && i < count; i++) {
        const char *text = raw + i * bytes;
        if (variable)
            memcpy(&text, raw + i * bytes, sizeof text);
        snprintf(out + i * size, size, "%.*s", (int)(variable ? size : bytes), text ? text : "");
    }
    if (good && variable) {
        hid_t space = H5Aget_space(attribute);
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
        H5Sclose(space);
    }
    free(raw);
    return good;
}

enum status h5_read_texts(struct h5_file *file, const char *object, const char *name, size_t most,
                          size_t size, char *out, size_t *count) {
    char label[512];
    bool good = false;
    hid_t attribute = h5_has_attribute(file, object, name)
                          ? H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT)
                          : -1;
    if (attribute >= 0) {
        hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
        const hssize_t found = H5Sget_simple_extent_npoints(space);
        *count = found > 0 ? (size_t)found : 0;
        good = H5Tget_class(type) == H5T_STRING && found > 0 && *count <= most &&
               read_texts(attribute, type, *count, size, out);
        H5Tclose(type);
        H5Sclose(space);
        H5Aclose(attribute);
    }
    snprintf(label, sizeof label, "%s@%s", object, name);
    return h5_checked(file, good, label, "reading the texts");
}

struct listing {
    h5_name_visitor *visit;
    void *context;
};

static herr_t visit_name(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    const struct listing *l = context;
    (void)group;
    (void)info;
    l->visit(name, l->context);
    return 0;
}

enum status h5_visit_names(struct h5_file *file, const char *group, h5_name_visitor *visit, void *context) {
    struct listing l = {visit, context};
    hid_t at = h5_is_group(file, group) ? H5Gopen2(file->id, group, H5P_DEFAULT) : -1;
    bool good = at >= 0 && H5Literate(at, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_name, &l) >= 0;
    if (at >= 0)
        H5Gclose(at);
    return h5_checked(file, good, group, "reading the contents of");
}
