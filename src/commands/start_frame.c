#include "commands/start_frame.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "dynamics/system.h"

bool start_tiles(const struct trajectory_shape *shape, const struct box *box, size_t n,
                 uint64_t tiles[MAX_DIMENSION]) {
    double product = 1;
    if (shape->d != box->d || shape->periodic != box->periodic)
        return false;
    for (int a = 0; a < box->d; a++) {
        const double ratio = box->side[a] / shape->side[a], whole = round(ratio);
        if (whole < 1 || whole > 1e6 || fabs(ratio - whole) > 1e-12 * whole)
            return false;
        tiles[a] = (uint64_t)whole;
        product *= whole;
    }
    return product * (double)shape->particles == (double)n && (box->periodic || product == 1);
}

uint64_t tile_position(uint64_t q, uint64_t tile, uint64_t tiles) {
    const unsigned __int128 whole = (unsigned __int128)1 << 64;
    return (uint64_t)(whole * tile / tiles) + q / tiles;
}

/* The part of the slice in one tile, from ids of the file on; position (count, d): room. */
static enum status read_tile(struct trajectory *t, size_t frame, const struct box *box,
                             const uint64_t tiles[], size_t tile, struct slice *slice, double *position) {
    enum status status = STATUS_OK;
    const struct trajectory_shape *shape = trajectory_shape(t);
    const size_t d = (size_t)box->d, first = tile * shape->particles, last = first + shape->particles;
    const size_t begin = slice->begin < first ? first : slice->begin > last ? last : slice->begin;
    const size_t stop = slice->begin + slice->count, end = stop < begin ? begin : stop > last ? last : stop;
    const size_t at = (begin - slice->begin) * d;
    struct box of_file = *box;
    memcpy(of_file.side, shape->side, sizeof of_file.side);
    struct trajectory_frame f = {.begin = begin - first,
                                 .count = end - begin,
                                 .position = position,
                                 .g = slice->g + (end > begin ? at : 0),
                                 .image = slice->image + (end > begin ? at : 0)};
    TRY(trajectory_read(t, frame, &f));
    for (size_t i = 0; i < f.count; i++) {
        size_t rest = tile;
        for (size_t a = 0; a < d; a++) {
            const uint64_t q = position_to_integer(&of_file, (int)a, position[i * d + a]);
            slice->q[at + i * d + a] = tile_position(q, rest % tiles[a], tiles[a]);
            rest /= tiles[a];
        }
    }
out:
    return status;
}

/* What the file must be, in which tiles it then is. */
static enum status check_source(struct session *s, struct trajectory *t, const char *path, size_t n,
                                uint64_t tiles[MAX_DIMENSION]) {
    enum status status = STATUS_OK;
    const struct config *c = &s->config;
    const struct box box = system_box(&c->system);
    struct config *source = malloc(sizeof *source);
    if (!source)
        status = FAIL(STATUS_FAILURE, "out of memory while reading %s", path);
    TRY(comm_agree(s->comm, status));
    TRY(file_parameters(trajectory_file(t), s->comm, source));
    const bool fits = start_tiles(trajectory_shape(t), &box, n, tiles);
    const bool whole = trajectory_shape(t)->particles == n;
    const bool single = c->system.copies <= 1 && source->system.copies <= 1;
    if (!fits || (!whole && (!single || c->system.kind == SYSTEM_CRYSTAL)))
        status = FAIL(STATUS_BAD_INPUT,
                      "simulation.start: %s has another number of particles, dimension or box: they must be "
                      "the same, or, of repelling particles in a periodic box without copies, every side a "
                      "whole number of times the file's and the particles as many times the file's as so "
                      "many boxes hold",
                      path);
    else if (source->simulation.seed == c->simulation.seed)
        status = FAIL(STATUS_BAD_INPUT,
                      "simulation.start: %s was made with simulation.seed = %" PRIu64
                      " too, and its noise would be repeated: give another seed",
                      path, c->simulation.seed);
out:
    free(source);
    return status;
}

static void say_tiles(const char *path, size_t frame, int d, const uint64_t tiles[]) {
    char product[96] = "";
    for (int a = 0; a < d; a++)
        snprintf(product + strlen(product), sizeof product - strlen(product), "%s%" PRIu64,
                 a > 0 ? " x " : "", tiles[a]);
    log_info("start: frame %zu of %s, repeated in %s tiles; their propulsions part ways in a time of 1/gamma",
             frame, path, product);
}

enum status start_from_frame(struct session *s, struct slice *slice) {
    enum status status = STATUS_OK;
    const struct box box = system_box(&s->config.system);
    const char *start = s->config.simulation.start, *at = strrchr(start, '@');
    struct trajectory *t = NULL;
    char path[CONFIG_TEXT];
    uint64_t tiles[MAX_DIMENSION];
    size_t frame = 0, written = 0;
    double *position = malloc((slice->count * (size_t)box.d + 1) * sizeof *position);
    snprintf(path, sizeof path, "%.*s", (int)(at - start), start);
    if (!position)
        status = FAIL(STATUS_FAILURE, "out of memory while reading %s", path);
    TRY(comm_agree(s->comm, status));
    TRY(trajectory_open(s->comm, path, &t));
    TRY(check_source(s, t, path, slice->n, tiles));
    TRY(trajectory_written(t, &written));
    frame = strcmp(at + 1, "last") == 0 ? written - (written > 0) : strtoull(at + 1, NULL, 10);
    const size_t count = slice->n / trajectory_shape(t)->particles;
    for (size_t tile = 0; tile < count; tile++)
        TRY(read_tile(t, frame, &box, tiles, tile, slice, position));
    if (count > 1) {
        memset(slice->image, 0, slice->count * (size_t)box.d * sizeof *slice->image);
        say_tiles(path, frame, box.d, tiles);
    }
out:
    trajectory_close(&t);
    free(position);
    return status;
}
