/* fields.xdmf: a text file that tells ParaView and VisIt where the fields are in evaluation.h5.
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

/* One component of one frame of a field, as a block of its dataset: start, stride and count along every axis.
 */
static void write_block(FILE *f, const struct evaluation_shape *s, const char *h5, int field, size_t frame,
                        int component, const char *mesh) {
    const int axes = file_axes(s), columns = s->field[field].columns;
    const bool vector = columns > 1;
    fprintf(f, "          <DataItem ItemType=\"HyperSlab\" Dimensions=\"%s\">\n", mesh);
    fprintf(f, "            <DataItem Dimensions=\"3 %d\" NumberType=\"Int\" Format=\"XML\">%zu",
            1 + axes + vector, frame);
    for (int a = 0; a < axes; a++)
        fprintf(f, " 0");
    if (vector)
        fprintf(f, " %d", component);
    for (int a = 0; a < 1 + axes + vector; a++)
        fprintf(f, " 1");
    fprintf(f, " 1");
    for (int a = axes - 1; a >= 0; a--)
        fprintf(f, " %d", s->cells[a]);
    fprintf(f, "%s</DataItem>\n", vector ? " 1" : "");
    fprintf(f, "            <DataItem NumberType=\"Float\" Precision=\"8\" Format=\"HDF\" Dimensions=\"%zu",
            s->frames);
    for (int a = axes - 1; a >= 0; a--)
        fprintf(f, " %d", s->cells[a]);
    if (vector)
        fprintf(f, " %d", columns);
    fprintf(f, "\">%s:/fields/%s</DataItem>\n          </DataItem>\n", h5, s->field[field].name);
}

static void write_field(FILE *f, const struct evaluation_shape *s, const char *h5, int field, size_t frame) {
    static const char *const suffix[] = {"_x", "_y", "_z"};
    const int columns = s->field[field].columns;
    char mesh[96];
    mesh_words(s, 0, mesh, sizeof mesh);
    for (int c = 0; c < columns && c < MAX_DIMENSION; c++) {
        fprintf(f, "        <Attribute Name=\"%s%s\" AttributeType=\"Scalar\" Center=\"Cell\">\n",
                s->field[field].name, columns > 1 ? suffix[c] : "");
        write_block(f, s, h5, field, frame, c, mesh);
        fprintf(f, "        </Attribute>\n");
    }
}

static void write_grid(FILE *f, const struct evaluation_shape *s, const char *h5, size_t frame, double time) {
    char nodes[96];
    mesh_words(s, 1, nodes, sizeof nodes);
    fprintf(f, "      <Grid Name=\"frame %zu\">\n        <Time Value=\"%.17g\"/>\n", frame, time);
    fprintf(f, "        <Topology TopologyType=\"3DCoRectMesh\" Dimensions=\"%s\"/>\n", nodes);
    fprintf(f, "        <Geometry GeometryType=\"ORIGIN_DXDYDZ\">\n");
    write_reals(f, s, s->origin, 0);
    write_reals(f, s, s->spacing, 1);
    fprintf(f, "        </Geometry>\n");
    for (int field = 0; field < s->fields; field++)
        write_field(f, s, h5, field, frame);
    fprintf(f, "      </Grid>\n");
}

enum status evaluation_write_xdmf(struct comm *comm, const char *path, const char *h5_name,
                                  const struct evaluation_shape *shape, const double *time) {
    enum status status = STATUS_OK;
    char part[FILE_PATH];
    file_part(path, part);
    FILE *f = comm_rank(comm) == 0 ? fopen(part, "w") : NULL;
    if (f) {
        fprintf(f, "<?xml version=\"1.0\"?>\n<Xdmf Version=\"3.0\">\n  <Domain>\n"
                   "    <Grid Name=\"fields\" GridType=\"Collection\" CollectionType=\"Temporal\">\n");
        for (size_t m = 0; m < shape->frames; m++)
            write_grid(f, shape, h5_name, m, isnan(time[m]) ? (double)m : time[m]); /* viewers need numbers */
        fprintf(f, "    </Grid>\n  </Domain>\n</Xdmf>\n");
    }
    if (comm_rank(comm) == 0) {
        bool good = f && fflush(f) == 0 && !ferror(f) && fsync(fileno(f)) == 0;
        if ((f && fclose(f) != 0) || !good)
            status =
                FAIL(STATUS_STORAGE, "%s cannot be written: %s%s", part, strerror(errno), disk_advice(errno));
        else
            status = file_replace(part, path, NULL);
    }
    return comm_agree(comm, status);
}
