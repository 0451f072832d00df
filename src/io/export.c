#include "io/export_private.h"

#include <stdlib.h>
#include <unistd.h>

const struct export_format *const export_format[EXPORT_FORMATS] = {&export_xyz, &export_amep};

static enum status allocate_rows(struct export *e) {
    for (int m = 0; m < e->columns->count; m++) {
        e->rows[m] = malloc((size_t)EXPORT_BLOCK * (size_t)e->columns->column[m].width * sizeof **e->rows);
        if (!e->rows[m])
            return FAIL(STATUS_FAILURE, "out of memory for %d rows", (int)EXPORT_BLOCK);
    }
    return STATUS_OK;
}

enum status export_begin(struct columns *columns, const struct export_format *format, size_t frames,
                         const size_t frame[], const char *path, struct export **out) {
    enum status status = STATUS_OK;
    struct export *e = calloc(1, sizeof *e);
    *out = e;
    TRY(comm_agree(columns->comm, e ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for an export")));
    e->columns = columns;
    e->format = format;
    e->frames = frames;
    e->frame = frame;
    snprintf(e->path, sizeof e->path, "%s", path);
    TRY(comm_agree(columns->comm, allocate_rows(e)));
    TRY(format->begin(e));
out:
    if (status != STATUS_OK)
        export_discard(out);
    return status;
}

/* The rows of one frame go to the ranks in turn, a block each time. */
enum status export_frame(struct export *e, size_t frame) {
    enum status status = STATUS_OK;
    struct columns *c = e->columns;
    const size_t ranks = (size_t)comm_size(c->comm), rank = (size_t)comm_rank(c->comm);
    if (e->format->frame)
        TRY(e->format->frame(e, frame));
    for (size_t first = 0; first < c->particles; first += ranks * EXPORT_BLOCK) {
        const size_t at = first + rank * EXPORT_BLOCK, begin = at < c->particles ? at : c->particles,
                     left = c->particles - begin, count = left < EXPORT_BLOCK ? left : EXPORT_BLOCK;
        for (int m = 0; m < c->count; m++)
            TRY(columns_read(c, frame, m, begin, count, e->rows[m]));
        TRY(e->format->block(e, frame, begin, count));
    }
    TRY(columns_verify(c, frame));
out:
    return status;
}

static void release(struct export **e) {
    for (int m = 0; *e && m < COLUMNS_MOST; m++)
        free((*e)->rows[m]);
    if (*e) {
        free((*e)->text);
        free((*e)->vectors);
    }
    free(*e);
    *e = NULL;
}

enum status export_finish(struct export **e) {
    enum status status = (*e)->format->finish(*e);
    if (status == STATUS_OK)
        release(e);
    else
        export_discard(e);
    return status;
}

void export_discard(struct export **e) {
    char part[FILE_PATH];
    if (*e && (*e)->format) {
        (*e)->format->discard(*e);
        file_part((*e)->path, part);
        if (comm_rank((*e)->columns->comm) == 0)
            unlink(part);
    }
    release(e);
}
