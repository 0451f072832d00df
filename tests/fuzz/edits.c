#include "edits.h"

#include <hdf5.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECTS = 4096, EDITS = 12, TEXT = 1 << 20 };

static struct {
    char path[1024];
    void *image[2]; /* with and without checksums */
    size_t size[2];
    hid_t file; /* -1: none open */
    int objects, owners;
    char *object[OBJECTS],
        *owner[OBJECTS]; /* paths: of all; of those with attributes, which readers ask for most */
} base = {.file = -1};

hid_t __real_H5Fopen(const char *path, unsigned how, hid_t access);
hid_t __wrap_H5Fopen(const char *path, unsigned how, hid_t access);
hid_t __wrap_H5Fopen(const char *path, unsigned how, hid_t access) {
    return base.file >= 0 ? H5Freopen(base.file) : __real_H5Fopen(path, how, access);
}

/* The readers' MPI-IO is of no use in memory. */
herr_t __wrap_H5Pset_fapl_mpio(hid_t list, MPI_Comm comm, MPI_Info info);
herr_t __wrap_H5Pset_fapl_mpio(hid_t list, MPI_Comm comm, MPI_Info info) {
    (void)list;
    (void)comm;
    (void)info;
    return 0;
}
herr_t __wrap_H5Pset_dxpl_mpio(hid_t list, H5FD_mpio_xfer_t how);
herr_t __wrap_H5Pset_dxpl_mpio(hid_t list, H5FD_mpio_xfer_t how) {
    (void)list;
    (void)how;
    return 0;
}

static void give_up(const char *what) {
    fprintf(stderr, "fuzz: %s\n", what);
    exit(1);
}

/* ---- the originals ---- */

static hid_t open_image(void *image, size_t size) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(access, 1 << 20, 0);
    H5Pset_fclose_degree(access, H5F_CLOSE_STRONG);
    H5Pset_file_image(access, image, size);
    hid_t file = __real_H5Fopen("in memory", H5F_ACC_RDWR, access);
    H5Pclose(access);
    return file;
}

static herr_t note_object(hid_t root, const char *name, const H5L_info_t *info, void *unused) {
    H5O_info_t about;
    (void)info;
    (void)unused;
    if (base.objects == OBJECTS)
        return 0;
    base.object[base.objects++] = strdup(name);
    if (H5Oget_info_by_name2(root, name, &about, H5O_INFO_BASIC | H5O_INFO_NUM_ATTRS, H5P_DEFAULT) >= 0 &&
        about.type == H5O_TYPE_GROUP && about.num_attrs > 0)
        base.owner[base.owners++] = base.object[base.objects - 1];
    return 0;
}

static herr_t unseal(hid_t root, const char *name, const H5O_info_t *info, void *unused) {
    (void)info;
    (void)unused;
    if (H5Aexists_by_name(root, name, "checksum", H5P_DEFAULT) > 0)
        H5Adelete_by_name(root, name, "checksum", H5P_DEFAULT);
    return 0;
}

/* Parameters that no reader of files asks for take their defaults: a round is several times as fast without them. */
static void thin_out(hid_t file) {
    static const char *const gone[] = {"checksums",  "units", "response", "training",
                                       "evaluation", "data",  "output",   "run"};
    char path[64];
    if (H5Lexists(file, "/parameters", H5P_DEFAULT) <= 0)
        return; /* of another program */
    for (size_t m = 0; m < sizeof gone / sizeof *gone; m++) {
        snprintf(path, sizeof path, "/parameters/%s", gone[m]);
        if (H5Lexists(file, path, H5P_DEFAULT) > 0)
            H5Ldelete(file, path, H5P_DEFAULT);
    }
}

static void take_image(hid_t file, int which) {
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    const ssize_t size = H5Fget_file_image(file, NULL, 0);
    base.image[which] = malloc((size_t)size);
    base.size[which] = (size_t)size;
    if (size <= 0 || H5Fget_file_image(file, base.image[which], (size_t)size) != size)
        give_up("no image of the original");
}

void edits_load(const char *path) {
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(base.path, sizeof base.path, "%s", path);
    FILE *f = fopen(path, "rb");
    static char bytes[16 << 20];
    const size_t size = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    if (f)
        fclose(f);
    hid_t file = size > 0 ? open_image(bytes, size) : -1;
    if (file < 0)
        give_up(path);
    base.object[base.objects++] = strdup("/");
    H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, note_object, NULL);
    take_image(file, 0);
    H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, unseal, NULL, H5O_INFO_BASIC);
    thin_out(file);
    take_image(file, 1);
    H5Fclose(file);
}

const char *edits_path(void) {
    return base.path;
}

/* ---- what the bytes say ---- */

struct bytes {
    const uint8_t *at;
    size_t left;
};

static uint64_t take(struct bytes *b, size_t count) {
    uint64_t value = 0;
    for (size_t i = 0; i < count && b->left > 0; i++, b->at++, b->left--)
        value |= (uint64_t)*b->at << (8 * i);
    return value;
}

static hid_t take_type(struct bytes *b) {
    static const char letters[] = "dfqQilbsSvrc";
    hid_t type;
    switch (letters[take(b, 1) % (sizeof letters - 1)]) {
    case 'd':
        return H5Tcopy(H5T_NATIVE_DOUBLE);
    case 'f':
        return H5Tcopy(H5T_IEEE_F32BE);
    case 'q':
        return H5Tcopy(H5T_NATIVE_INT64);
    case 'Q':
        return H5Tcopy(H5T_NATIVE_UINT64);
    case 'i':
        return H5Tcopy(H5T_STD_I32LE);
    case 'l':
        return H5Tcopy(H5T_STD_U16BE);
    case 'b':
        return H5Tcopy(H5T_NATIVE_INT8);
    case 's':
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, 32);
        return type;
    case 'S':
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, take(b, 2) + 1);
        return type;
    case 'v':
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, H5T_VARIABLE);
        return type;
    case 'r':
        return H5Tcopy(H5T_STD_REF_OBJ);
    default:
        type = H5Tcreate(H5T_COMPOUND, 16);
        H5Tinsert(type, "a", 0, H5T_NATIVE_DOUBLE);
        H5Tinsert(type, "b", 8, H5T_NATIVE_INT64);
        return type;
    }
}

/* Small mostly, now and then enormous; NULL and scalar spaces among them. */
static hid_t take_space(struct bytes *b, hsize_t most) {
    const int rank = (int)(take(b, 1) % 8);
    hsize_t dims[8];
    if (rank == 7)
        return H5Screate(H5S_NULL);
    if (rank == 0)
        return H5Screate(H5S_SCALAR);
    for (int a = 0; a < rank; a++) {
        const uint64_t size = take(b, 1);
        dims[a] = size > 250 && most > 256 ? (hsize_t)1 << (size % 8 * 8) : size % (most < 64 ? most : 64);
    }
    return H5Screate_simple(rank, dims, NULL);
}

/* The root, a group with attributes, or any object. */
static const char *take_object(struct bytes *b) {
    const uint64_t which = take(b, 1);
    if (which < 64)
        return "/";
    if (which < 160 && base.owners > 0)
        return base.owner[take(b, 1) % (uint64_t)base.owners];
    return base.object[take(b, 2) % (uint64_t)base.objects];
}

/* ---- edits ---- */

/* A name of an attribute of the object: one it has, or one of those that readers ask for. */
static void take_name(struct bytes *b, hid_t at, char out[256]) {
    static const char *const known[] = {"epflow_kind", "epflow_format", "complete",   "step",
                                        "frames",      "checksum",      "particles",  "dimension",
                                        "boundary",    "offset",        "unit",       "noise_x",
                                        "noise_g",     "sigma",         "parameters", "begun_steps"};
    H5O_info_t info;
    const uint64_t which = take(b, 1);
    snprintf(out, 256, "%s", known[which % 16]);
    if (which % 2 && H5Oget_info2(at, &info, H5O_INFO_NUM_ATTRS) >= 0 && info.num_attrs > 0)
        H5Aget_name_by_idx(at, ".", H5_INDEX_NAME, H5_ITER_INC, which / 2 % info.num_attrs, out, 256,
                           H5P_DEFAULT);
}

/* That of the attribute, a text of another length; any other where there is none. */
static hid_t same_type(struct bytes *b, hid_t at, const char *name) {
    hid_t attribute = H5Aexists(at, name) > 0 ? H5Aopen(at, name, H5P_DEFAULT) : -1;
    hid_t type = attribute >= 0 ? H5Aget_type(attribute) : take_type(b);
    if (attribute >= 0) {
        H5Aclose(attribute);
        if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0)
            H5Tset_size(type, take(b, 2) % 32768 + 1);
    }
    return type;
}

/* Another attribute in its place: of any type and shape, filled from the bytes. */
static void edit_attribute(struct bytes *b, const char *object) {
    hid_t at = H5Oopen(base.file, object, H5P_DEFAULT);
    char name[256];
    if (at < 0)
        return;
    take_name(b, at, name);
    const uint64_t how = take(b, 1);
    hid_t type = how % 2 ? same_type(b, at, name) : take_type(b);
    hid_t space = how / 2 % 4 ? H5Screate(H5S_SCALAR) : take_space(b, 16);
    H5Adelete(at, name);
    hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const size_t bytes = H5Tget_size(type) * (size_t)H5Sget_simple_extent_npoints(space);
    if (attribute >= 0 && bytes > 0 && bytes < TEXT) {
        char *values = calloc(1, bytes + 8);
        if (H5Tis_variable_str(type) > 0) {
            static char text[] = "a text of variable length\x1b[2J";
            for (size_t i = 0; i < bytes / sizeof(char *); i++)
                ((char **)(void *)values)[i] = text;
        } else if (H5Tget_class(type) != H5T_REFERENCE) {
            for (size_t i = 0; i < bytes && b->left > 0; i++)
                values[i] = (char)take(b, 1);
        }
        H5Awrite(attribute, type, values);
        free(values);
    }
    if (attribute >= 0)
        H5Aclose(attribute);
    H5Tclose(type);
    H5Sclose(space);
    H5Oclose(at);
}

/* A number or a text in an attribute that is there, of its own type. */
static void edit_value(struct bytes *b, const char *object) {
    hid_t at = H5Oopen(base.file, object, H5P_DEFAULT);
    char name[256];
    if (at < 0)
        return;
    take_name(b, at, name);
    hid_t attribute = H5Aexists(at, name) > 0 ? H5Aopen(at, name, H5P_DEFAULT) : -1;
    if (attribute >= 0) {
        hid_t type = H5Aget_type(attribute);
        char *values = calloc(1, (size_t)H5Aget_storage_size(attribute) + 8);
        if (H5Tdetect_class(type, H5T_VLEN) <= 0 && H5Tis_variable_str(type) <= 0 &&
            H5Aread(attribute, type, values) >= 0) {
            for (size_t i = take(b, 1) % 8, n = take(b, 1) % 64; n > 0 && i < H5Aget_storage_size(attribute);
                 i++, n--)
                values[i] = (char)take(b, 1);
            H5Awrite(attribute, type, values);
        }
        free(values);
        H5Tclose(type);
        H5Aclose(attribute);
    }
    H5Oclose(at);
}

static void delete_attribute(struct bytes *b, const char *object) {
    hid_t at = H5Oopen(base.file, object, H5P_DEFAULT);
    char name[256];
    if (at < 0)
        return;
    take_name(b, at, name);
    H5Adelete(at, name);
    H5Oclose(at);
}

static void edit_dataset(struct bytes *b, const char *object) {
    const uint64_t how = take(b, 1);
    hid_t type = take_type(b), space = take_space(b, 1 << 30), made = H5Pcreate(H5P_DATASET_CREATE);
    const int rank = H5Sget_simple_extent_ndims(space);
    hsize_t chunk[8] = {0};
    const bool huge = H5Sget_simple_extent_npoints(space) > 4096;
    H5Sget_simple_extent_dims(space, chunk, NULL);
    for (int a = 0; a < rank; a++)
        chunk[a] = huge || chunk[a] == 0 ? 1 : chunk[a];
    if (rank > 0 && (how & 1 || huge))
        H5Pset_chunk(made, rank, chunk);
    if (rank > 0 && how & 2 && (how & 1 || huge))
        H5Pset_deflate(made, 1);
    H5Ldelete(base.file, object, H5P_DEFAULT);
    hid_t set = H5Dcreate2(base.file, object, type, space, H5P_DEFAULT, made, H5P_DEFAULT);
    if (set >= 0 && !huge && how & 4) { /* zeros, so that they are stored */
        char *values = calloc((size_t)H5Sget_simple_extent_npoints(space) + 1, H5Tget_size(type));
        if (values)
            H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        free(values);
    }
    if (set >= 0)
        H5Dclose(set);
    H5Pclose(made);
    H5Tclose(type);
    H5Sclose(space);
}

/* One element of a dataset, from 8 bytes. */
static void edit_element(struct bytes *b, const char *object) {
    hid_t set = H5Dopen2(base.file, object, H5P_DEFAULT);
    const uint64_t where = take(b, 2), value = take(b, 8);
    const bool number = take(b, 1) & 1;
    if (set < 0)
        return;
    hid_t space = H5Dget_space(set), one = H5Screate(H5S_SCALAR), type = H5Dget_type(set);
    hsize_t dims[H5S_MAX_RANK], at[H5S_MAX_RANK];
    const int rank = H5Sget_simple_extent_dims(space, dims, NULL);
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    const bool plain = H5Tget_class(type) == H5T_INTEGER || H5Tget_class(type) == H5T_FLOAT;
    if (plain && rank > 0 && count > 0) {
        hsize_t rest = where % (uint64_t)count;
        for (int a = rank - 1; a >= 0; a--) {
            at[a] = rest % dims[a];
            rest /= dims[a];
        }
        H5Sselect_elements(space, H5S_SELECT_SET, 1, at);
        H5Dwrite(set, number ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, one, space, H5P_DEFAULT, &value);
    }
    H5Tclose(type);
    H5Sclose(one);
    H5Sclose(space);
    H5Dclose(set);
}

static void edit_link(struct bytes *b, const char *object) {
    const char *other = take_object(b);
    const uint64_t how = take(b, 1) % 5;
    if (strcmp(object, "/") == 0)
        return;
    if (how == 0) {
        H5Lmove(base.file, object, base.file, other, H5P_DEFAULT, H5P_DEFAULT);
        return;
    }
    H5Ldelete(base.file, object, H5P_DEFAULT);
    if (how == 1)
        H5Lcreate_soft(other, base.file, object, H5P_DEFAULT, H5P_DEFAULT);
    else if (how == 2)
        H5Lcreate_hard(base.file, other, base.file, object, H5P_DEFAULT, H5P_DEFAULT);
    else if (how == 3)
        H5Gclose(H5Gcreate2(base.file, object, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}

/* ---- a round ---- */

void edits_begin(const uint8_t *data, size_t size) {
    static void (*const edit[])(struct bytes *, const char *) = {edit_attribute,   edit_value,   edit_value,
                                                                 delete_attribute, edit_dataset, edit_element,
                                                                 edit_element,     edit_link};
    struct bytes b = {data, size};
    const int which = take(&b, 1) % 8 != 0; /* mostly without checksums, which end the reading early */
    base.file = open_image(base.image[which], base.size[which]);
    if (base.file < 0)
        give_up("the original cannot be opened");
    for (int m = 0; m < EDITS && b.left > 0; m++) {
        const uint64_t what = take(&b, 1);
        edit[what % 8](&b, take_object(&b));
    }
}

void edits_end(void) {
    const ssize_t open = H5Fget_obj_count(base.file, H5F_OBJ_ALL);
    H5Fclose(base.file);
    base.file = -1;
    if (open != 1) {
        fprintf(stderr, "fuzz: readers left %zd objects open\n", open - 1);
        abort();
    }
}
