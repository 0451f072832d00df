/* What other programs find in a file: plain serial HDF5, on rank 0. */
#ifndef EPFLOW_TESTS_SERIAL_H
#define EPFLOW_TESTS_SERIAL_H

#include "test.h"

static inline hid_t serial_open(const char *path) {
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        fail_msg("serial HDF5 cannot open %s", path);
    return file;
}

static inline void assert_shape(hid_t file, const char *name, H5T_class_t class, size_t size, int rank,
                                const size_t dims[]) {
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0)
        fail_msg("no dataset %s", name);
    hid_t type = H5Dget_type(set), space = H5Dget_space(set), made = H5Dget_create_plist(set);
    hsize_t found[8];
    H5D_alloc_time_t allocated;
    H5D_fill_time_t filled;
    H5O_info_t info;
    assert_int_equal(H5Tget_class(type), class);
    assert_int_equal(H5Tget_size(type), size);
    assert_int_equal(H5Sget_simple_extent_dims(space, found, NULL), rank);
    for (int a = 0; a < rank; a++)
        assert_int_equal(found[a], dims[a]);
    assert_int_equal(H5Pget_layout(made), H5D_CONTIGUOUS);
    H5Pget_alloc_time(made, &allocated);
    H5Pget_fill_time(made, &filled);
    assert_int_equal(allocated, H5D_ALLOC_TIME_EARLY);
    assert_int_equal(filled, H5D_FILL_TIME_NEVER);
    H5Oget_info(set, &info);
    assert_int_equal(info.ctime, 0); /* no times: equal runs give equal files */
    H5Pclose(made);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(set);
}
#define DIMS(...)                                                                                            \
    (int)(sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t)), (const size_t[]) {                              \
        __VA_ARGS__                                                                                          \
    }

static inline void assert_text(hid_t file, const char *object, const char *name, const char *expected) {
    char text[512] = "";
    hid_t attribute = H5Aopen_by_name(file, object, name, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0)
        fail_msg("no attribute %s@%s", object, name);
    hid_t type = H5Aget_type(attribute);
    assert_int_equal(H5Tget_class(type), H5T_STRING);
    assert_int_equal(H5Tis_variable_str(type), 0);
    assert_true(H5Tget_size(type) < sizeof text);
    H5Aread(attribute, type, text);
    assert_string_equal(text, expected);
    H5Tclose(type);
    H5Aclose(attribute);
}

static inline double number(hid_t file, const char *object, const char *name) {
    hid_t at = H5Oopen(file, object, H5P_DEFAULT);
    if (at < 0)
        fail_msg("no object %s", object);
    double value = vectors_attribute(at, name);
    H5Oclose(at);
    return value;
}

#endif
