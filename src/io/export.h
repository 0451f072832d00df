/* Frames of particles in the formats of other programs. All functions but export_find are collective.
 *
 * Read and written block by block, so that no rank needs room for a frame. PATH.part until it is complete. */
#ifndef EPFLOW_IO_EXPORT_H
#define EPFLOW_IO_EXPORT_H

#include "io/columns.h"

struct export;
struct export_format {
    const char *name;    /* "xyz" */
    const char *ending;  /* of its files: ".xyz" */
    const char *readers; /* in words */
    enum status (*begin)(struct export *e);
    enum status (*frame)(struct export *e, size_t frame); /* before its blocks; NULL: nothing to do */
    enum status (*block)(struct export *e, size_t frame, size_t begin, size_t count);
    enum status (*finish)(struct export *e); /* the file gets its name */
    void (*discard)(struct export *e);
};
enum { EXPORT_FORMATS = 2 };
extern const struct export_format *const export_format[EXPORT_FORMATS];

/* Begins a file of `frames` frames, whose numbers in the columns are frame[0 ... frames - 1]. The arguments stay where they
 * are until the end. */
enum status export_begin(struct columns *columns, const struct export_format *format, size_t frames,
                         const size_t frame[], const char *path, struct export **out);
/* Frame number `frame` of the columns: one of those, in their order. */
enum status export_frame(struct export *e, size_t frame);
/* Ends the file, and frees. */
enum status export_finish(struct export **e);
/* Of what was begun and is not finished, nothing remains. */
void export_discard(struct export **e);

#endif
