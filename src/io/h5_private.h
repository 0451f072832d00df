/* Shared by the files that know HDF5 (h5.c, h5_attributes.c, h5_objects.c, h5_scalars.c); nobody else includes it. */
#ifndef EPFLOW_IO_H5_PRIVATE_H
#define EPFLOW_IO_H5_PRIVATE_H

#include <hdf5.h>

#include "io/h5.h"

struct h5_file {
    struct comm *comm;
    hid_t id;
    hid_t collective; /* transfer property list */
    int watch;        /* slot of disk_watch */
    char path[1024];
};

/* Records what failed with the library's own reason, and agrees with the other ranks. Collective. */
enum status h5_checked(struct h5_file *file, bool good, const char *object, const char *what);
/* The same after calls that open a file or change its metadata: where they failed on some ranks only, all end here. The
 * library's copies of the metadata differ then, and it would wait for ever in the next call, also in closing. */
enum status h5_same(struct h5_file *file, bool good, const char *object, const char *what);

/* For questions to the library: returns good, and records if it is not that there was no answer about this object. The
 * other ranks are not asked: see comm_agree. */
bool h5_asked(struct h5_file *file, bool good, const char *object);

/* A fixed-length text of so many bytes, padded by NUL; close it. */
hid_t h5_text_type(size_t size);
/* True for a single text of fixed length; *size receives its bytes. */
bool h5_is_text(hid_t type, hid_t space, size_t *size);

#endif
