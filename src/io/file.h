/* What all files of epflow share: provenance and parameters, and the two ways of being written that
 * survive a kill at any moment: small files under another name, renamed when complete; large files at full
 * size first, then in place. */
#ifndef EPFLOW_IO_FILE_H
#define EPFLOW_IO_FILE_H

#include "base/config.h"
#include "io/h5.h"

enum { FILE_PATH = 2 * CONFIG_TEXT };

#define FILE_UNITS "/parameters/units"

/* /provenance, /parameters (every parameter, one attribute each, in a group per section; units in FILE_UNITS) and
 * the root attributes epflow_kind (trajectory, restart, model, evaluation) and epflow_format. Collective. */
enum status file_describe(struct h5_file *file, const char *kind, const struct config *config,
                          struct comm *comm, const char *device);

/* One parameter as an attribute of a group, which is made where missing. Collective. */
enum status file_write_value(struct h5_file *file, const char *group, const struct config_value *v);

/* Creates PATH.part; file_finish sets the root attribute complete = 1, syncs, closes and renames it to PATH.
 * With `previous` an existing PATH is kept under that name; PATH itself is never missing. Collective. */
enum status file_begin(struct comm *comm, const char *path, struct h5_file **out);
enum status file_finish(struct comm *comm, struct h5_file **file, const char *path, const char *previous);

/* For what is written in place: what file_begin made, laid out at its full size, gets the room for it on the disk,
 * appears as PATH with all it has so far, and stays open. Collective. */
enum status file_appear(struct comm *comm, struct h5_file **file, const char *path);

/* PATH.part: what is not complete. */
void file_part(const char *path, char out[FILE_PATH]);

/* Rank 0's PART becomes PATH, which is on the disk then; what PATH was, `previous` (NULL: is gone). Not collective. */
enum status file_replace(const char *part, const char *path, const char *previous);

/* Opens a file and refuses one that is not of epflow and of this kind (NULL: any), or, for restart and model,
 * not complete. A missing or foreign file is STATUS_BAD_INPUT. Collective. */
enum status file_open(struct comm *comm, const char *path, const char *kind, bool writable,
                      struct h5_file **out);

/* The parameters a file was made with, as config_restore reads them. Collective. */
enum status file_parameters(struct h5_file *file, struct comm *comm, struct config *out);

/* Refuses parameters that differ from those of the file in a way that matters to its numbers: sections is a
 * comma-separated list of "section" or "section.key", and of "-section.key" that may differ, hint what to do about a difference. Collective. */
enum status file_same_parameters(struct h5_file *file, struct comm *comm, const struct config *config,
                                 const char *sections, const char *hint);
#define HINT_RESUME "go on with the same parameters, or start anew with --overwrite"

/* Frames written: those with step >= 0, which come before all others (-1), and whose steps increase. */
enum status file_frames(const char *path, const char *dataset, bool increasing, size_t planned,
                        const int64_t *step, size_t *written);

/* Rank 0 looks, every rank gets the answer. Collective. */
bool file_exists(struct comm *comm, const char *path);
/* Rank 0 removes it, if it is there. Collective. */
enum status file_remove(struct comm *comm, const char *path);
/* With its parents. Collective. */
enum status file_make_directory(struct comm *comm, const char *path);

/* Joins directory and name. */
void file_join(const char *directory, const char *name, char out[FILE_PATH]);

#endif
