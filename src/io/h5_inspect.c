/* A walk over everything in a file, which asks the library for all that readers will ask it for: objects, types,
 * shapes, storage, attributes, some elements of every dataset. In a process of its own (inspect.c), which may crash.
 *
 * What is refused beside damage: contents that are elsewhere, since a file would then say which other files a run reads,
 * and codings that are rare and whose decoders are known to trust what they read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/h5_private.h"

struct inspection {
    const char *path;
    hsize_t size; /* bytes of the file */
    bool own;     /* of this program: complete, and not to be filled up where it is opened to be written */
    const char *object;
    enum status status;
};

static enum status damaged(const struct inspection *i, const char *name, const char *what) {
    return FAIL(STATUS_STORAGE, "%s is damaged: %s%s%s %s", i->path, i->object, name ? "@" : "",
                name ? name : "", what);
}

static bool holds_texts(hid_t type) {
    return H5Tis_variable_str(type) > 0 || H5Tdetect_class(type, H5T_VLEN) > 0;
}

/* ---- attributes ---- */

/* Whether a number's bits are within its bytes: conversions write where a type says. */
static bool bits_are_within(hid_t type) {
    const H5T_class_t class = H5Tget_class(type);
    if (class != H5T_FLOAT && class != H5T_INTEGER)
        return true;
    const size_t bits = 8 * H5Tget_size(type), precision = H5Tget_precision(type);
    const int offset = H5Tget_offset(type);
    if (precision == 0 || offset < 0 || precision > bits || (size_t)offset > bits - precision)
        return false;
    size_t sign, exponent, exponent_bits, mantissa, mantissa_bits;
    return class == H5T_INTEGER ||
           (H5Tget_fields(type, &sign, &exponent, &exponent_bits, &mantissa, &mantissa_bits) >= 0 &&
            sign < bits && exponent_bits > 0 && exponent_bits < bits && exponent <= bits - exponent_bits &&
            mantissa_bits > 0 && mantissa_bits < bits && mantissa <= bits - mantissa_bits);
}

/* epflow writes no others; what is written into odd ones is read back as something else. */
static bool is_usual(hid_t type) {
    if (H5Tget_class(type) == H5T_STRING)
        return H5Tget_cset(type) == H5T_CSET_ASCII || H5Tget_cset(type) == H5T_CSET_UTF8;
    return H5Tget_class(type) != H5T_FLOAT || H5Tequal(type, H5T_IEEE_F64LE) > 0 ||
           H5Tequal(type, H5T_IEEE_F32LE) > 0 || H5Tequal(type, H5T_IEEE_F64BE) > 0 ||
           H5Tequal(type, H5T_IEEE_F32BE) > 0;
}

static bool type_is_sound(const struct inspection *i, hid_t type) {
    return bits_are_within(type) && (!i->own || is_usual(type));
}

static enum status inspect_attribute(const struct inspection *i, const char *name, hid_t attribute) {
    enum status status = STATUS_OK;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute), memory = h5_memory_type(type);
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    const size_t size = H5Tget_size(type), wide = H5Tget_size(memory);
    if (type < 0 || space < 0 || memory < 0 || count < 0 || size == 0)
        status = damaged(i, name, "has no type or shape");
    else if (!type_is_sound(i, type))
        status = damaged(i, name, "has a type that is none of numbers or texts");
    else if (count > 0 && ((hsize_t)count > i->size || size > i->size / (hsize_t)count))
        status = damaged(i, name, "is larger than the file");
    else if (count > 0) {
        char *values = calloc((size_t)count, wide > size ? wide : size);
        if (!values || H5Aread(attribute, memory, values) < 0)
            status = damaged(i, name, "cannot be read");
        else if (holds_texts(memory))
            H5Dvlen_reclaim(memory, space, H5P_DEFAULT, values);
        free(values);
    }
    H5Tclose(type);
    H5Tclose(memory);
    H5Sclose(space);
    return status;
}

static herr_t visit_attribute(hid_t at, const char *name, const H5A_info_t *info, void *context) {
    struct inspection *i = context;
    (void)info;
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
    i->status = attribute < 0 ? damaged(i, name, "cannot be opened") : inspect_attribute(i, name, attribute);
    if (attribute >= 0)
        H5Aclose(attribute);
    return i->status == STATUS_OK ? 0 : -1;
}

/* ---- datasets ---- */

static enum status inspect_coding(const struct inspection *i, hid_t properties) {
    if (H5Pget_layout(properties) == H5D_VIRTUAL || H5Pget_external_count(properties) > 0)
        return FAIL(STATUS_BAD_INPUT,
                    "%s: the contents of dataset %s are in other files: copy them into one (h5repack)",
                    i->path, i->object);
    const int filters = H5Pget_nfilters(properties);
    for (int m = 0; m < filters; m++) {
        unsigned flags, known;
        size_t parameters = 0;
        char name[64] = "";
        const H5Z_filter_t id =
            H5Pget_filter2(properties, (unsigned)m, &flags, &parameters, NULL, sizeof name, name, &known);
        if (id < 0 || id == H5Z_FILTER_NBIT || id == H5Z_FILTER_SCALEOFFSET || H5Zfilter_avail(id) <= 0)
            return FAIL(STATUS_BAD_INPUT,
                        "%s: dataset %s is stored through filter %d (%s), which is not read: take it off by "
                        "h5repack -f NONE",
                        i->path, i->object, (int)id, name);
    }
    return STATUS_OK;
}

/* The first and the last element. */
static bool read_ends(hid_t set, hid_t type, hid_t space) {
    hsize_t shape[H5S_MAX_RANK], last[H5S_MAX_RANK], ends[2 * H5S_MAX_RANK] = {0};
    const int rank = H5Sget_simple_extent_dims(space, shape, NULL);
    hid_t memory = h5_memory_type(type), two = H5Screate_simple(1, &(hsize_t){2}, NULL);
    char *values = calloc(2, H5Tget_size(memory) + H5Tget_size(type));
    herr_t read = -1;
    for (int a = 0; a < rank; a++)
        last[a] = shape[a] - 1;
    if (rank > 0)
        memcpy(ends + rank, last, (size_t)rank * sizeof *last);
    if (values && rank == 0)
        read = H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    else if (values && rank > 0 && H5Sselect_elements(space, H5S_SELECT_SET, 2, ends) >= 0)
        read = H5Dread(set, memory, two, space, H5P_DEFAULT, values);
    if (read >= 0 && holds_texts(memory))
        H5Dvlen_reclaim(memory, two, H5P_DEFAULT, values);
    free(values);
    H5Sclose(two);
    H5Tclose(memory);
    return read >= 0;
}

static enum status inspect_dataset(const struct inspection *i, hid_t set) {
    hid_t properties = H5Dget_create_plist(set), type = -1, space = -1;
    enum status status = properties < 0 ? damaged(i, NULL, "has no layout") : inspect_coding(i, properties);
    if (status == STATUS_OK) {
        type = H5Dget_type(set);
        space = H5Dget_space(set);
        const haddr_t at = H5Dget_offset(set);
        const hsize_t bytes = H5Dget_storage_size(set);
        const hssize_t count = space >= 0 ? H5Sget_simple_extent_npoints(space) : -1;
        const size_t size = type >= 0 ? H5Tget_size(type) : 0;
        if (count < 0 || size == 0)
            status = damaged(i, NULL, "has no type or shape");
        else if (!type_is_sound(i, type))
            status = damaged(i, NULL, "has a type that is none of numbers or texts");
        else if (bytes > i->size || (at != HADDR_UNDEF && at > i->size - bytes))
            status = damaged(i, NULL, "reaches beyond the end of the file");
        else if (i->own && !h5_is_stored(set, (uint64_t)count))
            status = damaged(i, NULL, "is to have more elements than are stored");
        else if (size > i->size && count > 0)
            status = damaged(i, NULL, "has elements larger than the file");
        else if (count > 0 && bytes > 0 && !read_ends(set, type, space))
            status = damaged(i, NULL, "cannot be read");
    }
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (properties >= 0)
        H5Pclose(properties);
    return status;
}

/* ---- the walk ---- */

static enum status inspect_object(struct inspection *i, hid_t object) {
    const bool good = H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_attribute, i) >= 0;
    if (i->status != STATUS_OK)
        return i->status;
    if (!good)
        return damaged(i, NULL, "has attributes that cannot be read");
    return H5Iget_type(object) == H5I_DATASET ? inspect_dataset(i, object) : STATUS_OK;
}

static herr_t visit_link(hid_t root, const char *name, const H5L_info_t *info, void *context) {
    struct inspection *i = context;
    i->object = name;
    if (info->type == H5L_TYPE_SOFT)
        return 0;
    if (info->type != H5L_TYPE_HARD) {
        i->status = FAIL(STATUS_BAD_INPUT,
                         "%s: %s is a link to another file: copy what it names into this one (h5repack)",
                         i->path, name);
        return -1;
    }
    hid_t object = H5Oopen(root, name, H5P_DEFAULT);
    i->status = object < 0 ? damaged(i, NULL, "cannot be opened") : inspect_object(i, object);
    if (object >= 0)
        H5Oclose(object);
    return i->status == STATUS_OK ? 0 : -1;
}

enum status h5_inspect(const char *path) {
    struct inspection i = {.path = path, .object = "/"};
    struct stat about;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (stat(path, &about) != 0 || H5Fis_hdf5(path) <= 0)
        return STATUS_OK; /* said by who asks */
    i.size = (hsize_t)about.st_size;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), root = -1;
    if (file < 0)
        return FAIL(STATUS_STORAGE, "%s: opening the file failed (was it made to its end?)", path);
    root = H5Oopen(file, "/", H5P_DEFAULT);
    i.own = root >= 0 && H5Aexists(root, "epflow_kind") > 0;
    if (root < 0)
        i.status = damaged(&i, NULL, "cannot be opened");
    else if (inspect_object(&i, root) == STATUS_OK &&
             H5Lvisit(root, H5_INDEX_NAME, H5_ITER_INC, visit_link, &i) < 0 && i.status == STATUS_OK)
        i.status =
            FAIL(STATUS_STORAGE, "%s is damaged: what comes after %s cannot be listed", path, i.object);
    if (root >= 0)
        H5Oclose(root);
    H5Fclose(file);
    return i.status;
}
