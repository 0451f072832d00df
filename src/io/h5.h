/* Checked HDF5 calls, the only caller of the library (h5*.c).
 * Files are opened by all ranks together (MPI-IO) and every function but h5_path is collective. Errors name file and object
 * and come back as STATUS_STORAGE, the same on every rank.
 */
#ifndef EPFLOW_IO_H5_H
#define EPFLOW_IO_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "space/comm.h"

/* H5_TEXT32: 32 characters, padded by NUL. */
enum h5_type { H5_INT32, H5_INT64, H5_UINT64, H5_FLOAT32, H5_FLOAT64, H5_TEXT32 };
#ifdef EPFLOW_FLOAT64
#define H5_REAL H5_FLOAT64
#else
#define H5_REAL H5_FLOAT32
#endif
enum { H5_RANK = 5 };

struct h5_file;

/* Whether it is a file, and begins as HDF5 does or cannot be looked at. Rank 0 looks. */
bool h5_is_hdf5(struct comm *comm, const char *path);
/* Goes through all of a file, serially; for a process that may crash in it (inspect.c). Not collective. */
enum status h5_inspect(const char *path);

/* create: replaces what is there. Nothing of the file may be assumed on disk before h5_sync. */
enum status h5_create(struct comm *comm, const char *path, struct h5_file **out);
enum status h5_open(struct comm *comm, const char *path, bool writable, struct h5_file **out);
/* Closes and sets *file to NULL; a NULL file is fine. */
enum status h5_close(struct h5_file **file);
/* Flushed by the library, and fsynced to the disk. */
enum status h5_sync(struct h5_file *file);
/* Takes the room on the disk for all of a file that is laid out, where the file system can: a full disk is
 * found before the work, not in the midst of it. */
enum status h5_reserve(struct h5_file *file);
const char *h5_path(const struct h5_file *file);

bool h5_has(struct h5_file *file, const char *object);
bool h5_has_attribute(struct h5_file *file, const char *object, const char *name);
/* Makes a group, and its parents where missing. Datasets make theirs by themselves. */
enum status h5_group(struct h5_file *file, const char *path);
/* A second name for an existing object. */
enum status h5_hard_link(struct h5_file *file, const char *existing, const char *name);

/* Attributes of a group or dataset; "/" is the root. What rank 0 gives is written. An existing one of the same
 * count is overwritten in place (a text is cut to its length). Texts are fixed-length strings. */
enum status h5_write_text(struct h5_file *file, const char *object, const char *name, const char *value);
enum status h5_write_texts(struct h5_file *file, const char *object, const char *name, int count,
                           const char *const values[]);
enum status h5_write_reals(struct h5_file *file, const char *object, const char *name, int count,
                           const double *values);
enum status h5_write_real(struct h5_file *file, const char *object, const char *name, double value);
enum status h5_write_integer(struct h5_file *file, const char *object, const char *name, int64_t value);
enum status h5_write_integers(struct h5_file *file, const char *object, const char *name, int count,
                              const int64_t *values);
/* A text longer than size - 1 is an error; a missing attribute too. */
enum status h5_read_text(struct h5_file *file, const char *object, const char *name, size_t size, char *out);
enum status h5_read_real(struct h5_file *file, const char *object, const char *name, double *out);
enum status h5_read_integer(struct h5_file *file, const char *object, const char *name, int64_t *out);

/* A dataset at its full size: contiguous, allocated now, not filled. unit or description NULL: no such
 * attribute. */
enum status h5_dataset(struct h5_file *file, const char *path, enum h5_type type, int rank,
                       const size_t dims[], const char *unit, const char *description);
/* At most 2^48 elements. */
enum status h5_shape(struct h5_file *file, const char *path, int *rank, size_t dims[H5_RANK]);
/* Fails unless the dataset has this shape and holds every number of this type (larger numbers of its kind will do). */
enum status h5_expect(struct h5_file *file, const char *path, enum h5_type type, int rank,
                      const size_t dims[]);

/* A block of a dataset of `rank` axes. `type` is that of memory; the library converts. All ranks call, each
 * with its own block, which may be empty (a count of 0). */
enum status h5_write(struct h5_file *file, const char *path, enum h5_type type, int rank,
                     const size_t offset[], const size_t count[], const void *data);
enum status h5_read(struct h5_file *file, const char *path, enum h5_type type, int rank,
                    const size_t offset[], const size_t count[], void *data);

/* ---- files of other programs (h5_objects.c) ---- */
bool h5_is_group(struct h5_file *file, const char *path);
/* Axes of a dataset: 0 for a single number; -1 if there is no dataset of this name, or it is empty by type. */
int h5_axes(struct h5_file *file, const char *path);
/* Whether it is a dataset of integers or floating-point numbers, of any size. */
bool h5_is_numbers(struct h5_file *file, const char *path);
bool h5_is_integers(struct h5_file *file, const char *path);
/* A dataset of one number without axes. */
enum status h5_read_single(struct h5_file *file, const char *path, double *out);
/* An attribute of at most `most` texts, of fixed or variable length, each cut to size - 1 characters. */
enum status h5_read_texts(struct h5_file *file, const char *object, const char *name, size_t most,
                          size_t size, char *out, size_t *count);
/* The names of what is in a group, in alphabetical order. */
typedef void h5_name_visitor(const char *name, void *context);
enum status h5_visit_names(struct h5_file *file, const char *group, h5_name_visitor *visit, void *context);

/* Visits every attribute of every group below `group` ("/": all) and of itself, as bytes: numbers as 8 bytes each, texts as
 * they are stored. object: its path without the first "/". */
typedef void h5_bytes_visitor(const char *object, const char *name, size_t bytes, const void *data,
                              void *context);
enum status h5_visit_attributes(struct h5_file *file, const char *group, h5_bytes_visitor *visit,
                                void *context);

/* Visits every scalar of a file: numbers and texts (or a list of at most `longest`), of attributes as "path@name"
 * and of datasets of at most one axis as "path". Name and value are JSON. */
typedef enum status h5_visitor(const char *name, const char *json, void *context);
enum status h5_visit_scalars(struct h5_file *file, size_t longest, h5_visitor *visit, void *context);

#endif
