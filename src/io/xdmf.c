/* fields.xdmf: a text file that tells ParaView and VisIt where the fields are in evaluation.h5. The grid is the
 * fields' own, with its values in the cells; two-component vectors get a third component 0, as the viewers
 * want. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/evaluation_file.h"

/* Sizes of a dataset (T, [nz,] ny, nx[, columns]) without the first: "ny nx". */
static void grid_words(const struct evaluation_shape *s, int extra, char *out, size_t size) {
    size_t used = 0;
    for (int a = s->d == 3 ? 2 : 1; a >= 0; a--)
        used += (size_t)snprintf(out + used, size - used, "%s%d", used ? " " : "", s->cells[a] + extra);
}

static void real_words(const struct evaluation_shape *s, const double value[], double missing, char *out, size_t size) {
    size_t used = 0;
    for (int a = s->d == 3 ? 2 : 1; a >= 0; a--)
        used += (size_t)snprintf(out + used, size - used, "%s%.17g", used ? " " : "", a < s->d ? value[a] : missing);
}

/* One component of one frame of a field, as a block of the dataset. */
static void write_block(FILE *f, const struct evaluation_shape *s, const char *h5, int field, size_t frame,
                        int component) {
    const bool vector = s->field[field].columns > 1;
    char cells[96];
    grid_words(s, 0, cells, sizeof cells);
    fprintf(f, "          <DataItem ItemType=\"HyperSlab\" Dimensions=\"%s\">\n", cells);
    fprintf(f, "            <DataItem Dimensions=\"3 %d\" Format=\"XML\">%zu", (s->d == 3 ? 4 : 3) + vector, frame);
    for (int a = s->d == 3 ? 2 : 1; a >= 0; a--)
        fprintf(f, " 0");
    if (vector)
        fprintf(f, " %d", component);
    for (int m = 0; m < (s->d == 3 ? 4 : 3) + vector; m++)
        fprintf(f, " 1");
    fprintf(f, " 1 %s%s</DataItem>\n", cells, vector ? " 1" : "");
    fprintf(f, "            <DataItem Format=\"HDF\" NumberType=\"Float\" Precision=\"8\" Dimensions=\"%zu %s", s->frames,
            cells);
    if (vector)
        fprintf(f, " %d", s->field[field].columns);
    fprintf(f, "\">%s:/fields/%s</DataItem>\n          </DataItem>\n", h5, s->field[field].name);
}

static void write_field(FILE *f, const struct evaluation_shape *s, const char *h5, int field, size_t frame) {
    const int columns = s->field[field].columns;
    char cells[96];
    grid_words(s, 0, cells, sizeof cells);
    fprintf(f, "        <Attribute Name=\"%s\" AttributeType=\"%s\" Center=\"Cell\">\n", s->field[field].name,
            columns > 1 ? "Vector" : "Scalar");
    if (columns > 1)
        fprintf(f, "          <DataItem ItemType=\"Function\" Dimensions=\"%s 3\" Function=\"JOIN($0, $1, %s)\">\n", cells,
                columns > 2 ? "$2" : "0 * $0");
    for (int c = 0; c < columns; c++)
        write_block(f, s, h5, field, frame, c);
    if (columns > 1)
        fprintf(f, "          </DataItem>\n");
    fprintf(f, "        </Attribute>\n");
}

static void write_grid(FILE *f, const struct evaluation_shape *s, const char *h5, size_t frame, double time) {
    char nodes[96], origin[128], spacing[128];
    const bool solid = s->d == 3;
    grid_words(s, 1, nodes, sizeof nodes);
    real_words(s, s->origin, 0, origin, sizeof origin);
    real_words(s, s->spacing, 1, spacing, sizeof spacing);
    fprintf(f, "      <Grid Name=\"frame %zu\">\n        <Time Value=\"%.17g\"/>\n", frame, time);
    fprintf(f, "        <Topology TopologyType=\"%s\" Dimensions=\"%s\"/>\n", solid ? "3DCoRectMesh" : "2DCoRectMesh", nodes);
    fprintf(f, "        <Geometry GeometryType=\"%s\">\n", solid ? "ORIGIN_DXDYDZ" : "ORIGIN_DXDY");
    fprintf(f, "          <DataItem Dimensions=\"%d\" Format=\"XML\">%s</DataItem>\n", solid ? 3 : 2, origin);
    fprintf(f, "          <DataItem Dimensions=\"%d\" Format=\"XML\">%s</DataItem>\n", solid ? 3 : 2, spacing);
    fprintf(f, "        </Geometry>\n");
    for (int field = 0; field < s->fields; field++)
        write_field(f, s, h5, field, frame);
    fprintf(f, "      </Grid>\n");
}

enum status evaluation_write_xdmf(struct comm *comm, const char *path, const char *h5_name,
                                  const struct evaluation_shape *shape, const double *time) {
    enum status status = STATUS_OK;
    FILE *f = comm_rank(comm) == 0 ? fopen(path, "w") : NULL;
    if (f) {
        fprintf(f, "<?xml version=\"1.0\"?>\n<Xdmf Version=\"3.0\">\n  <Domain>\n"
                   "    <Grid Name=\"fields\" GridType=\"Collection\" CollectionType=\"Temporal\">\n");
        for (size_t m = 0; m < shape->frames; m++)
            write_grid(f, shape, h5_name, m, time[m]);
        fprintf(f, "    </Grid>\n  </Domain>\n</Xdmf>\n");
    }
    if (comm_rank(comm) == 0 && (!f || ferror(f) || fclose(f) != 0))
        status = FAIL(STATUS_STORAGE, "%s cannot be written: %s", path, strerror(errno));
    return comm_agree(comm, status);
}
