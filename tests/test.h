/* What every test program needs: cmocka with its own prerequisites, and reference data read from HDF5. */
#ifndef EPFLOW_TESTS_TEST_H
#define EPFLOW_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hdf5.h>

/* Opens NAME of the reference data: EPFLOW_VECTORS, or tests/data. */
static inline hid_t vectors_open(const char *name) {
    const char *folder = getenv("EPFLOW_VECTORS");
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : EPFLOW_TEST_DATA, name);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        fail_msg("cannot open reference data %s", path);
    return file;
}

/* A whole dataset as float64 (int32), allocated; *count receives the number of elements, dims (at least 5
 * long, or NULL) its shape. */
static inline void *vectors_read(hid_t at, const char *name, hid_t type, size_t element, size_t *count,
                                 size_t *dims) {
    hid_t set = H5Dopen2(at, name, H5P_DEFAULT);
    if (set < 0)
        fail_msg("no dataset %s", name);
    hid_t space = H5Dget_space(set);
    hsize_t shape[8] = {0};
    int rank = H5Sget_simple_extent_dims(space, shape, NULL);
    size_t n = 1;
    for (int a = 0; a < rank; a++) {
        n *= (size_t)shape[a];
        if (dims)
            dims[a] = (size_t)shape[a];
    }
    void *data = malloc((n ? n : 1) * element);
    if (n && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        fail_msg("cannot read %s", name);
    H5Sclose(space);
    H5Dclose(set);
    if (count)
        *count = n;
    return data;
}
static inline double *vectors_reals(hid_t at, const char *name, size_t *count, size_t *dims) {
    return vectors_read(at, name, H5T_NATIVE_DOUBLE, sizeof(double), count, dims);
}
static inline int *vectors_integers(hid_t at, const char *name, size_t *count, size_t *dims) {
    return vectors_read(at, name, H5T_NATIVE_INT, sizeof(int), count, dims);
}

/* A numeric attribute as float64; fails the test where there is none. */
static inline double vectors_attribute(hid_t at, const char *name) {
    double value = NAN;
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
    if (attribute < 0 || H5Aread(attribute, H5T_NATIVE_DOUBLE, &value) < 0)
        fail_msg("no attribute %s", name);
    H5Aclose(attribute);
    return value;
}

/* Largest |a - b| over the largest |b|. */
static inline double relative_error(size_t n, const double *a, const double *b) {
    double error = 0, scale = 0;
    for (size_t i = 0; i < n; i++) {
        double e = fabs(a[i] - b[i]);
        error = e > error || isnan(e) ? e : error;
        scale = fmax(scale, fabs(b[i]));
    }
    return scale > 0 ? error / scale : error;
}

#define assert_below(value, limit)                                                                           \
    do {                                                                                                     \
        double value_ = (value), limit_ = (limit);                                                           \
        if (!(value_ <= limit_))                                                                             \
            fail_msg("%s:%d: %s = %.3e, allowed %.3e", __FILE__, __LINE__, #value, value_, limit_);          \
    } while (0)

#endif
