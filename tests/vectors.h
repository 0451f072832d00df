/* Reference cases as the program's own types. */
#ifndef EPFLOW_TESTS_VECTORS_H
#define EPFLOW_TESTS_VECTORS_H

#include "space/neighbours.h"
#include "test.h"

#ifdef EPFLOW_FLOAT64
#define TOLERANCE(wide, narrow) (wide)
#else
#define TOLERANCE(wide, narrow) (narrow)
#endif

/* A text attribute, of fixed or variable length. */
static inline void vectors_text(hid_t at, const char *name, size_t size, char *out) {
    hid_t attribute = H5Aopen(at, name, H5P_DEFAULT), type = H5Aget_type(attribute);
    memset(out, 0, size);
    if (H5Tis_variable_str(type) > 0) {
        char *text = NULL;
        H5Aread(attribute, type, &text);
        snprintf(out, size, "%s", text ? text : "");
        H5free_memory(text);
    } else {
        hid_t memory = H5Tcopy(H5T_C_S1);
        H5Tset_size(memory, size - 1);
        H5Aread(attribute, memory, out);
        H5Tclose(memory);
    }
    H5Tclose(type);
    H5Aclose(attribute);
}

/* The box of a case; open space becomes a side that nothing reaches. */
static inline struct box vectors_box(hid_t at, int d) {
    char boundary[32];
    vectors_text(at, "boundary", sizeof boundary, boundary);
    struct box box = {.d = d, .periodic = strcmp(boundary, "open") != 0};
    for (int a = 0; a < d; a++)
        box.side[a] = box.periodic ? vectors_attribute(at, "L") : 1024;
    return box;
}

/* Particles of a configuration x, g (N, d), in order, on one rank. */
static inline struct particles *vectors_particles(const struct box *box, size_t n, const double *x,
                                                  const double *g) {
    struct particles *p = NULL;
    assert_int_equal(particles_create(ops_cpu(), box->d, n, &p), STATUS_OK);
    for (size_t i = 0; i < n; i++) {
        p->id[i] = (uint32_t)i;
        for (int a = 0; a < box->d; a++) {
            p->q[a][i] = position_to_integer(box, a, x[i * (size_t)box->d + (size_t)a]);
            p->g[a][i] = g ? g[i * (size_t)box->d + (size_t)a] : 0;
        }
    }
    p->owned = n;
    return p;
}

/* Calls test for every top-level group of a file. */
struct vectors_each {
    void (*test)(hid_t group, const char *name);
};
static inline herr_t vectors_visit(hid_t at, const char *name, const H5L_info_t *info, void *context) {
    (void)info;
    struct vectors_each *each = context;
    hid_t group = H5Gopen2(at, name, H5P_DEFAULT);
    printf("  case %s\n", name);
    each->test(group, name);
    H5Gclose(group);
    return 0;
}
static inline void vectors_for_each(const char *file, void (*test)(hid_t group, const char *name)) {
    struct vectors_each each = {test};
    hid_t f = vectors_open(file);
    hsize_t at = 0;
    H5Literate(f, H5_INDEX_NAME, H5_ITER_INC, &at, vectors_visit, &each);
    H5Fclose(f);
}

#endif
