/* Failures of HDF5 on purpose, see base/fault.h. What other ranks wait for in the library is done all the same. */
#include <hdf5.h>

#include "base/fault.h"

#define HANDLE(name, parameters, arguments) FAULT_INSTEAD(hid_t, -1, name, parameters, arguments)
#define ANSWER(name, parameters, arguments) FAULT_INSTEAD(int, -1, name, parameters, arguments)

/* Collective: the file stays open on the rank where this fails. */
FAULT_AFTER(hid_t, -1, H5Fcreate, (const char *path, unsigned how, hid_t create, hid_t access),
            (path, how, create, access))
FAULT_AFTER(hid_t, -1, H5Fopen, (const char *path, unsigned how, hid_t access), (path, how, access))
FAULT_AFTER(herr_t, -1, H5Fclose, (hid_t file), (file))
FAULT_AFTER(herr_t, -1, H5Fflush, (hid_t file, H5F_scope_t scope), (file, scope))
FAULT_AFTER(herr_t, -1, H5Dread, (hid_t set, hid_t type, hid_t memory, hid_t space, hid_t how, void *out),
            (set, type, memory, space, how, out))
FAULT_AFTER(herr_t, -1, H5Dwrite,
            (hid_t set, hid_t type, hid_t memory, hid_t space, hid_t how, const void *in),
            (set, type, memory, space, how, in))
FAULT_AFTER(herr_t, -1, H5Aclose, (hid_t id), (id))
FAULT_AFTER(herr_t, -1, H5Dclose, (hid_t id), (id))
FAULT_AFTER(herr_t, -1, H5Gclose, (hid_t id), (id))
FAULT_AFTER(herr_t, -1, H5Oclose, (hid_t id), (id))

/* Metadata, of which every rank has its own copy. */
HANDLE(H5Dcreate2,
       (hid_t at, const char *name, hid_t type, hid_t space, hid_t links, hid_t how, hid_t access),
       (at, name, type, space, links, how, access))
HANDLE(H5Gcreate2, (hid_t at, const char *name, hid_t links, hid_t how, hid_t access),
       (at, name, links, how, access))
HANDLE(H5Acreate2, (hid_t at, const char *name, hid_t type, hid_t space, hid_t how, hid_t access),
       (at, name, type, space, how, access))
ANSWER(H5Lcreate_hard, (hid_t at, const char *from, hid_t to, const char *name, hid_t links, hid_t access),
       (at, from, to, name, links, access))
ANSWER(H5Awrite, (hid_t attribute, hid_t type, const void *in), (attribute, type, in))
ANSWER(H5Aread, (hid_t attribute, hid_t type, void *out), (attribute, type, out))
HANDLE(H5Dopen2, (hid_t at, const char *name, hid_t access), (at, name, access))
HANDLE(H5Gopen2, (hid_t at, const char *name, hid_t access), (at, name, access))
HANDLE(H5Oopen, (hid_t at, const char *name, hid_t access), (at, name, access))
HANDLE(H5Aopen, (hid_t at, const char *name, hid_t access), (at, name, access))
HANDLE(H5Aopen_by_name, (hid_t at, const char *object, const char *name, hid_t access, hid_t links),
       (at, object, name, access, links))
ANSWER(H5Aexists, (hid_t at, const char *name), (at, name))
ANSWER(H5Aexists_by_name, (hid_t at, const char *object, const char *name, hid_t links),
       (at, object, name, links))
ANSWER(H5Lexists, (hid_t at, const char *name, hid_t links), (at, name, links))
ANSWER(H5Oexists_by_name, (hid_t at, const char *name, hid_t links), (at, name, links))
ANSWER(H5Fis_hdf5, (const char *path), (path))
ANSWER(H5Aiterate2,
       (hid_t at, H5_index_t index, H5_iter_order_t order, hsize_t *n, H5A_operator2_t visit, void *context),
       (at, index, order, n, visit, context))
ANSWER(H5Literate,
       (hid_t at, H5_index_t index, H5_iter_order_t order, hsize_t *n, H5L_iterate_t visit, void *context),
       (at, index, order, n, visit, context))
ANSWER(H5Lvisit, (hid_t at, H5_index_t index, H5_iter_order_t order, H5L_iterate_t visit, void *context),
       (at, index, order, visit, context))

/* What the library makes in memory. */
HANDLE(H5Dget_space, (hid_t set), (set))
HANDLE(H5Dget_type, (hid_t set), (set))
HANDLE(H5Aget_space, (hid_t attribute), (attribute))
HANDLE(H5Aget_type, (hid_t attribute), (attribute))
HANDLE(H5Pcreate, (hid_t class), (class))
HANDLE(H5Screate, (H5S_class_t class), (class))
HANDLE(H5Screate_simple, (int rank, const hsize_t *dims, const hsize_t *most), (rank, dims, most))
HANDLE(H5Tcopy, (hid_t type), (type))
ANSWER(H5Sselect_hyperslab,
       (hid_t space, H5S_seloper_t how, const hsize_t *start, const hsize_t *stride, const hsize_t *count,
        const hsize_t *block),
       (space, how, start, stride, count, block))
ANSWER(H5Sselect_none, (hid_t space), (space))
ANSWER(H5Pset_fapl_mpio, (hid_t list, MPI_Comm comm, MPI_Info info), (list, comm, info))
ANSWER(H5Pset_dxpl_mpio, (hid_t list, H5FD_mpio_xfer_t how), (list, how))
