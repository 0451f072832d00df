/* A walk over everything in a file that is a number or a word, as JSON: what `epflow info --json` prints.
 *
 * It follows links, not objects, so that a dataset with two names (the steps that all elements of a
 * trajectory share) is found under both. Whole numbers stay whole; what JSON cannot say (NaN, infinity) is
 * null.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "io/h5_private.h"

struct walk {
    struct h5_file *file;
    h5_visitor *visit;
    void *context;
    size_t longest;
    const char *object; /* path of the object being visited, "" for the root */
    enum status status;
};

/* ---- JSON ---- */

/* The memory type of numbers, 8 bytes each: whole ones as they are, all others as float64. */
static hid_t number_type(hid_t type) {
    if (H5Tget_class(type) != H5T_INTEGER)
        return H5T_NATIVE_DOUBLE;
    return H5Tget_sign(type) == H5T_SGN_NONE ? H5T_NATIVE_UINT64 : H5T_NATIVE_INT64;
}

static int print_number(char *out, size_t size, hid_t type, const void *value) {
    int64_t whole;
    uint64_t natural;
    double number;
    memcpy(&whole, value, 8);
    memcpy(&natural, value, 8);
    memcpy(&number, value, 8);
    if (type == H5T_NATIVE_INT64)
        return snprintf(out, size, "%" PRId64, whole);
    if (type == H5T_NATIVE_UINT64)
        return snprintf(out, size, "%" PRIu64, natural);
    return snprintf(out, size, isfinite(number) ? "%.17g" : "null", number);
}

/* One number, or a list of them. Allocated. */
static char *json_numbers(hid_t type, const char *values, size_t count, bool list) {
    size_t room = count * 32 + 8, used = 0;
    char *json = malloc(room);
    if (!json)
        return NULL;
    if (list)
        json[used++] = '[';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            json[used++] = ',';
        used += (size_t)print_number(json + used, room - used, type, values + 8 * i);
    }
    if (list)
        json[used++] = ']';
    json[used] = '\0';
    return json;
}

/* A list of texts of `size` bytes each. Allocated. */
static char *json_texts(const char *values, size_t size, size_t count) {
    char *json = calloc(count * (6 * size + 3) + 3, 1), *text = calloc(size + 1, 1), *end = json;
    for (size_t i = 0; json && i < count; i++) {
        char *one = text ? json_quote(memcpy(text, values + i * size, size)) : NULL;
        if (one)
            end += sprintf(end, "%c%s", i > 0 ? ',' : '[', one);
        free(one);
        if (!one) {
            free(json);
            json = NULL;
        }
    }
    if (json)
        strcpy(end, "]");
    free(text);
    return json;
}

/* ---- the walk ---- */

static void note_failure(struct walk *w, bool good) {
    if (!h5_asked(w->file, good, w->object[0] ? w->object : "the root") && w->status == STATUS_OK)
        w->status = STATUS_STORAGE;
}

/* Hands over object@name, or the object itself; frees json. */
static void hand_over(struct walk *w, const char *name, char *json) {
    char label[2048];
    snprintf(label, sizeof label, "%s%s%s", w->object, name ? "@" : "", name ? name : "");
    char *key = json_quote(label);
    if (key && json)
        w->status = w->visit(key, json, w->context);
    else
        w->status = FAIL(STATUS_FAILURE, "out of memory while reading %s", label);
    free(key);
    free(json);
}

/* A text, or a list of texts of one length, alike. */
static void visit_texts(struct walk *w, const char *name, hid_t item, hid_t type, size_t count) {
    const size_t size = H5Tget_size(type);
    if (!h5_fits(w->file, count, size))
        return;
    char *texts = calloc(count * size + 1, 1);
    herr_t read = !texts ? -1
                  : name ? H5Aread(item, type, texts)
                         : H5Dread(item, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, texts);
    if (texts)
        note_failure(w, read >= 0);
    if (!texts || read >= 0)
        hand_over(w, name, !texts ? NULL : count == 1 ? json_quote(texts) : json_texts(texts, size, count));
    free(texts);
}

/* An attribute (name) or a dataset (name NULL). */
static void visit_value(struct walk *w, const char *name, hid_t item, hid_t type, hid_t space) {
    const hssize_t count = H5Sget_simple_extent_npoints(space);
    const int rank = H5Sget_simple_extent_ndims(space);
    const bool number = H5Tget_class(type) == H5T_INTEGER || H5Tget_class(type) == H5T_FLOAT;
    const bool text = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
    if (rank > 1 || count < 1 || (size_t)count > w->longest)
        return;
    if (text)
        visit_texts(w, name, item, type, (size_t)count);
    if (number) {
        hid_t memory = number_type(type);
        char *values = calloc((size_t)count, 8);
        herr_t read = !values ? -1
                      : name  ? H5Aread(item, memory, values)
                              : H5Dread(item, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        if (values)
            note_failure(w, read >= 0);
        if (!values || read >= 0)
            hand_over(w, name, values ? json_numbers(memory, values, (size_t)count, rank > 0) : NULL);
        free(values);
    }
}

static herr_t visit_attribute(hid_t at, const char *name, const H5A_info_t *info, void *context) {
    struct walk *w = context;
    (void)info;
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT);
    note_failure(w, attribute >= 0);
    if (attribute < 0)
        return -1;
    hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    note_failure(w, type >= 0 && space >= 0);
    visit_value(w, name, attribute, type, space);
    H5Tclose(type);
    H5Sclose(space);
    H5Aclose(attribute);
    return w->status == STATUS_OK ? 0 : -1;
}

static void visit_object(struct walk *w, hid_t object) {
    note_failure(w, H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_attribute, w) >= 0 ||
                        w->status != STATUS_OK);
    if (w->status != STATUS_OK || H5Iget_type(object) != H5I_DATASET)
        return;
    hid_t type = H5Dget_type(object), space = H5Dget_space(object);
    note_failure(w, type >= 0 && space >= 0);
    visit_value(w, NULL, object, type, space);
    H5Tclose(type);
    H5Sclose(space);
}

static herr_t visit_link(hid_t root, const char *name, const H5L_info_t *info, void *context) {
    struct walk *w = context;
    hid_t object = info->type == H5L_TYPE_HARD ? H5Oopen(root, name, H5P_DEFAULT) : -1;
    w->object = name;
    note_failure(w, object >= 0 || info->type != H5L_TYPE_HARD);
    if (object < 0)
        return w->status == STATUS_OK ? 0 : -1;
    visit_object(w, object);
    H5Oclose(object);
    return w->status == STATUS_OK ? 0 : -1;
}

enum status h5_visit_scalars(struct h5_file *file, size_t longest, h5_visitor *visit, void *context) {
    struct walk w = {.file = file, .visit = visit, .context = context, .longest = longest, .object = ""};
    bool good = false;
    hid_t root = H5Oopen(file->id, "/", H5P_DEFAULT);
    if (root >= 0) {
        visit_object(&w, root);
        good = w.status != STATUS_OK || H5Lvisit(root, H5_INDEX_NAME, H5_ITER_INC, visit_link, &w) >= 0;
        H5Oclose(root);
    }
    enum status status = comm_agree(file->comm, w.status);
    return status != STATUS_OK ? status : h5_checked(file, good, "", "reading the contents");
}
