/* Shared by export.c and the formats (export_xyz.c, export_amep.c); nobody else includes it. */
#ifndef EPFLOW_IO_EXPORT_PRIVATE_H
#define EPFLOW_IO_EXPORT_PRIVATE_H

#include <stdio.h>

#include "io/export.h"

enum { EXPORT_BLOCK = 8192 }; /* rows that a rank holds at once */

struct export {
    struct columns *columns;
    const struct export_format *format;
    size_t frames;
    const size_t *frame; /* (frames) */
    char path[FILE_PATH];
    double *rows[COLUMNS_MOST]; /* a block (EXPORT_BLOCK, width) of each column */
    FILE *stream;               /* of xyz, on rank 0 */
    char *text;                 /* a block of it */
    struct h5_file *file;       /* of amep */
    double *vectors;            /* (EXPORT_BLOCK, 3) */
};

extern const struct export_format export_xyz, export_amep;

#endif
