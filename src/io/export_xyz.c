/* Extended XYZ: a text file of frames, each a number of particles, a line of key=value, and a line for every particle. The
 * line of keys names the columns, so nothing has to be agreed on beforehand (OVITO, ASE).
 *
 * Every rank makes the text of its rows; rank 0 writes it. Ten digits: exact numbers are in the HDF5 file. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/export_private.h"

enum { NUMBER = 24 }; /* characters of one, at most */

static size_t row_characters(const struct columns *c) {
    size_t numbers = 8; /* species, id, radius, and the missing axes of positions */
    for (int m = 0; m < c->count; m++)
        numbers += (size_t)c->column[m].width;
    return numbers * NUMBER;
}

static enum status cannot_write(const struct export *e) {
    return FAIL(STATUS_STORAGE, "%s.part cannot be written: %s", e->path, strerror(errno));
}

static enum status begin(struct export *e) {
    enum status status = STATUS_OK;
    struct columns *c = e->columns;
    char part[FILE_PATH];
    file_part(e->path, part);
    e->text = malloc(EXPORT_BLOCK * row_characters(c) + 1);
    if (!e->text)
        status = FAIL(STATUS_FAILURE, "out of memory for the text of %d rows", (int)EXPORT_BLOCK);
    if (status == STATUS_OK && comm_rank(c->comm) == 0 && !(e->stream = fopen(part, "w")))
        status = cannot_write(e);
    return comm_agree(c->comm, status);
}

/* Axes that the system does not have are one unit thick, with particles in the middle. */
static void write_box(FILE *out, const struct columns *c) {
    const int d = c->config.system.dimension;
    const bool open = config_is_open(&c->config.system);
    double side[3], origin[3];
    for (int a = 0; a < 3; a++) {
        side[a] = a < d ? c->side[a] : 1;
        origin[a] = a < d && !open ? 0 : -side[a] / 2;
    }
    fprintf(out, "Lattice=\"%.17g 0 0 0 %.17g 0 0 0 %.17g\" Origin=\"%.17g %.17g %.17g\" pbc=\"", side[0],
            side[1], side[2], origin[0], origin[1], origin[2]);
    for (int a = 0; a < 3; a++)
        fprintf(out, "%s%c", a > 0 ? " " : "", a < d && !open ? 'T' : 'F');
    fprintf(out, "\"");
}

static enum status frame_header(struct export *e, size_t frame) {
    const struct columns *c = e->columns;
    enum status status = STATUS_OK;
    if (e->stream) {
        fprintf(e->stream, "%zu\n", c->particles);
        write_box(e->stream, c);
        fprintf(e->stream, " Properties=species:S:1:id:I:1:radius:R:1:pos:R:3");
        for (int m = 1; m < c->count; m++)
            fprintf(e->stream, ":%s:%c:%d", c->column[m].name, c->column[m].integer ? 'I' : 'R',
                    c->column[m].width);
        fprintf(e->stream, " Timestep=%lld", (long long)c->step[frame]);
        if (!isnan(c->time[frame]))
            fprintf(e->stream, " Time=%.17g", c->time[frame]);
        if (fprintf(e->stream, "\n") < 0)
            status = cannot_write(e);
    }
    return comm_agree(c->comm, status);
}

/* One row at `at`; returns its end. X: no chemical element; radius 1: lengths are in particle radii. */
static char *row_text(const struct export *e, size_t begin, size_t i, char *at) {
    const struct columns *c = e->columns;
    at += sprintf(at, "X %zu 1", begin + i);
    for (int m = 0; m < c->count; m++) {
        const size_t width = (size_t)c->column[m].width;
        const char *form = c->column[m].integer ? " %.0f" : " %.10g";
        for (size_t a = 0; a < width; a++)
            at += snprintf(at, NUMBER, form, e->rows[m][i * width + a]);
        for (size_t a = width; m == 0 && a < 3; a++)
            at += sprintf(at, " 0");
    }
    *at++ = '\n';
    return at;
}

static enum status block(struct export *e, size_t frame, size_t begin, size_t count) {
    enum status status = STATUS_OK;
    struct comm *comm = e->columns->comm;
    const size_t ranks = (size_t)comm_size(comm);
    char *end = e->text;
    void *received = NULL;
    (void)frame;
    for (size_t i = 0; i < count; i++)
        end = row_text(e, begin, i, end);
    size_t *send = calloc(2 * ranks, sizeof *send), *receive = send ? send + ranks : NULL, bytes = 0;
    TRY(comm_agree(comm, send ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu ranks", ranks)));
    send[0] = (size_t)(end - e->text);
    TRY(comm_exchange(comm, 1, send, e->text, receive, &received));
    for (size_t r = 0; r < ranks; r++)
        bytes += receive[r];
    if (e->stream && fwrite(received, 1, bytes, e->stream) != bytes)
        status = cannot_write(e);
    TRY(comm_agree(comm, status));
out:
    free(received);
    free(send);
    return status;
}

static enum status finish(struct export *e) {
    enum status status = STATUS_OK;
    char part[FILE_PATH];
    file_part(e->path, part);
    if (e->stream) {
        bool good = fflush(e->stream) == 0 && !ferror(e->stream) && fsync(fileno(e->stream)) == 0;
        good = fclose(e->stream) == 0 && good;
        e->stream = NULL;
        status = good ? file_replace(part, e->path, NULL) : cannot_write(e);
    }
    return comm_agree(e->columns->comm, status);
}

static void discard(struct export *e) {
    if (e->stream)
        fclose(e->stream);
    e->stream = NULL;
}

const struct export_format export_xyz = {"xyz",        ".xyz", "OVITO, ASE", begin,
                                         frame_header, block,  finish,       discard};
