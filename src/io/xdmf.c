/* fields.xdmf, fields.xmf: text files that tell ParaView and VisIt where the fields are in evaluation.h5.
 *
 * Two, since a frame is a part of a dataset, and readers of version 3 of the format (ParaView's first choice) find no numbers where a part
 * is written in the way of version 2 (VisIt, ParaView's "XDMF Reader"), which cannot read the other way.
 *
 * XDMF leaves much to its readers, so only what they all read alike is used: a uniform mesh of three axes
 * (fewer dimensions are one layer of cells; a mesh of two axes comes out in ParaView's y-z plane), values in
 * the cells, and the components of vectors as fields of their own. All lists go from the slowest axis, z, to
 * x.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "io/disk.h"
#include "io/evaluation_file.h"

/* Axes of a field in the file, time and components left out: (ny, nx) or (nz, ny, nx). */
static int file_axes(const struct evaluation_shape *s) {
    return s->d == 3 ? 3 : 2;
}

/* "nz ny nx", of cells, or of nodes: one more. */
static void mesh_words(const struct evaluation_shape *s, int more, char *out, size_t size) {
    size_t used = 0;
    for (int a = 2; a >= 0; a--)
        used += (size_t)snprintf(out + used, size - used, "%s%d", a < 2 ? " " : "",
                                 (a < file_axes(s) ? s->cells[a] : 1) + more);
}

static void write_reals(FILE *f, const struct evaluation_shape *s, const double value[], double missing) {
    fprintf(f, "          <DataItem Dimensions=\"3\" NumberType=\"Float\" Precision=\"8\" Format=\"XML\">");
    for (int a = 2; a >= 0; a--)
        fprintf(f, "%s%.17g", a < 2 ? " " : "", a < s->d ? value[a] : missing);
    fprintf(f, "</DataItem>\n");
}

/* A block of a dataset (frames, [nz,] ny, nx[, columns]): one component of one frame of a field. */
struct block {
    int axes;
    size_t start[H5_RANK], stride[H5_RANK], count[H5_RANK], dims[H5_RANK];
};

static void add_axis(struct block *b, size_t start, size_t count, size_t size) {
    b->start[b->axes] = start;
    b->stride[b->axes] = 1;
    b->count[b->axes] = count;
    b->dims[b->axes++] = size;
}

static struct block block_of(const struct evaluation_shape *s, int field, size_t frame, int component) {
    struct block b = {0};
    add_axis(&b, frame, 1, s->frames);
    for (int a = file_axes(s) - 1; a >= 0; a--)
        add_axis(&b, 0, (size_t)s->cells[a], (size_t)s->cells[a]);
    if (s->field[field].columns > 1)
        add_axis(&b, (size_t)component, 1, (size_t)s->field[field].columns);
    return b;
}

static void write_numbers(FILE *f, const char *before, int count, const size_t value[]) {
    for (int a = 0; a < count; a++)
        fprintf(f, "%s%zu", a > 0 ? " " : before, value[a]);
}

#define NUMBERS "<DataItem NumberType=\"Float\" Precision=\"8\" Format=\"HDF\" Dimensions=\""

/* As a part of its path, which the readers of version 3 know. */
static void write_part(FILE *f, const struct block *b, const char *h5, const char *name, const char *mesh) {
    fprintf(f, "          " NUMBERS "%s\">%s:/fields/%s", mesh, h5, name);
    write_numbers(f, "|", b->axes, b->start);
    write_numbers(f, ":", b->axes, b->stride);
    write_numbers(f, ":", b->axes, b->count);
    write_numbers(f, ":", b->axes, b->dims);
    fprintf(f, "</DataItem>\n");
}

/* As an element of its own, which those of version 2 know. */
static void write_slab(FILE *f, const struct block *b, const char *h5, const char *name, const char *mesh) {
    fprintf(f, "          <DataItem ItemType=\"HyperSlab\" Dimensions=\"%s\">\n", mesh);
    fprintf(f, "            <DataItem Dimensions=\"3 %d\" NumberType=\"Int\" Format=\"XML\">", b->axes);
    write_numbers(f, "", b->axes, b->start);
    write_numbers(f, " ", b->axes, b->stride);
    write_numbers(f, " ", b->axes, b->count);
    fprintf(f, "</DataItem>\n            " NUMBERS);
    write_numbers(f, "", b->axes, b->dims);
    fprintf(f, "\">%s:/fields/%s</DataItem>\n          </DataItem>\n", h5, name);
}

static void write_field(FILE *f, const struct evaluation_shape *s, const char *h5, int version, int field,
                        size_t frame) {
    static const char *const suffix[] = {"_x", "_y", "_z"};
    const int columns = s->field[field].columns;
    char mesh[96];
    mesh_words(s, 0, mesh, sizeof mesh);
    for (int c = 0; c < columns && c < MAX_DIMENSION; c++) {
        fprintf(f, "        <Attribute Name=\"%s%s\" AttributeType=\"Scalar\" Center=\"Cell\">\n",
                s->field[field].name, columns > 1 ? suffix[c] : "");
        const struct block b = block_of(s, field, frame, c);
        (version == 3 ? write_part : write_slab)(f, &b, h5, s->field[field].name, mesh);
        fprintf(f, "        </Attribute>\n");
    }
}

static void write_grid(FILE *f, const struct evaluation_shape *s, const char *h5, int version, size_t frame,
                       double time) {
    char nodes[96];
    mesh_words(s, 1, nodes, sizeof nodes);
    fprintf(f, "      <Grid Name=\"frame %zu\">\n        <Time Value=\"%.17g\"/>\n", frame, time);
    fprintf(f, "        <Topology TopologyType=\"3DCoRectMesh\" Dimensions=\"%s\"/>\n", nodes);
    fprintf(f, "        <Geometry GeometryType=\"ORIGIN_DXDYDZ\">\n");
    write_reals(f, s, s->origin, 0);
    write_reals(f, s, s->spacing, 1);
    fprintf(f, "        </Geometry>\n");
    for (int field = 0; field < s->fields; field++)
        write_field(f, s, h5, version, field, frame);
    fprintf(f, "      </Grid>\n");
}

/* Not collective. */
static enum status write_file(const char *path, const char *h5, int version, const struct evaluation_shape *s,
                              const double *time) {
    char part[FILE_PATH];
    file_part(path, part);
    FILE *f = fopen(part, "w");
    if (f) {
        fprintf(f,
                "<?xml version=\"1.0\"?>\n<Xdmf Version=\"%d.0\">\n  <Domain>\n"
                "    <Grid Name=\"fields\" GridType=\"Collection\" CollectionType=\"Temporal\">\n",
                version);
        for (size_t m = 0; m < s->frames; m++)
            write_grid(f, s, h5, version, m, isnan(time[m]) ? (double)m : time[m]); /* viewers need numbers */
        fprintf(f, "    </Grid>\n  </Domain>\n</Xdmf>\n");
    }
    bool good = f && fflush(f) == 0 && !ferror(f) && fsync(fileno(f)) == 0;
    if ((f && fclose(f) != 0) || !good)
        return FAIL(STATUS_STORAGE, "%s cannot be written: %s%s", part, strerror(errno), disk_advice(errno));
    return file_replace(part, path, NULL);
}

enum status evaluation_write_xdmf(struct comm *comm, const char *path, const char *path_2,
                                  const char *h5_name, const struct evaluation_shape *shape,
                                  const double *time) {
    enum status status = STATUS_OK;
    if (comm_rank(comm) == 0)
        status = write_file(path_2, h5_name, 2, shape, time);
    if (comm_rank(comm) == 0 && status == STATUS_OK)
        status = write_file(path, h5_name, 3, shape, time);
    return comm_agree(comm, status);
}
