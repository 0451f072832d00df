/* Frames of trajectories that other programs wrote. An H5MD element is a group with `value`, `step` and `time`
 * (the last two explicit, or fixed increments with an offset, or missing); its particle group is the group around
 * it, which has the box. */
#include "io/foreign.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/inspect.h"

enum { PATH = CONFIG_TEXT + 64, SHOWN = 1024 };

/* One H5MD element: the dataset of its values, and the group that has its steps and times ("": none). */
struct element {
    char value[PATH], home[PATH];
};

struct foreign {
    struct comm *comm;
    struct h5_file *file;
    struct trajectory_shape shape;
    char group[PATH]; /* of the particles */
    struct element position, propulsion;
    char image[PATH], id[PATH]; /* datasets, "" where there are none */
    double *step, *time;        /* (frames) */
};

/* ---- what elements there are ---- */

struct search {
    struct h5_file *file;
    char group[PATH], found[SHOWN];
};

static void note_element(const char *name, void *context) {
    struct search *s = context;
    char path[2 * PATH];
    const size_t used = strlen(s->found);
    snprintf(path, sizeof path, "%s/%s/value", s->group, name);
    if (h5_axes(s->file, path) < 0)
        path[strlen(path) - strlen("/value")] = '\0';
    if (h5_axes(s->file, path) >= 0)
        snprintf(s->found + used, sizeof s->found - used, "%s%s/%s", used > 0 ? ", " : "", s->group + 1,
                 name);
}

static void note_group(const char *name, void *context) {
    struct search *s = context;
    snprintf(s->group, sizeof s->group, "/particles/%.*s", CONFIG_TEXT, name);
    if (h5_is_group(s->file, s->group))
        h5_visit_names(s->file, s->group, note_element, s);
}

static enum status no_element(struct h5_file *file, const char *key, const char *name) {
    struct search s = {.file = file};
    if (!h5_is_group(file, "/particles"))
        return FAIL(STATUS_BAD_INPUT,
                    "%s has no element %s (%s), and no group particles at all: it is not H5MD", h5_path(file),
                    name, key);
    enum status status = h5_visit_names(file, "/particles", note_group, &s);
    if (status != STATUS_OK)
        return status;
    return FAIL(STATUS_BAD_INPUT, "%s has no element %s (%s); its elements are: %s", h5_path(file), name, key,
                s.found[0] ? s.found : "none");
}

static void cut_last_name(char *path) {
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
}

/* name: a group with value, or, to be lenient, a dataset. */
static enum status locate(struct foreign *f, const char *key, const char *name, struct element *e) {
    snprintf(e->home, sizeof e->home, "/%s", name + strspn(name, "/"));
    while (e->home[1] != '\0' && e->home[strlen(e->home) - 1] == '/')
        e->home[strlen(e->home) - 1] = '\0';
    snprintf(e->value, sizeof e->value, "%.*s/value", CONFIG_TEXT, e->home);
    if (h5_is_group(f->file, e->home) && h5_axes(f->file, e->value) >= 0)
        return STATUS_OK;
    if (h5_axes(f->file, e->home) < 0)
        return no_element(f->file, key, name);
    memcpy(e->value, e->home, sizeof e->value);
    const char *last = strrchr(e->home, '/');
    if (strcmp(last, "/value") == 0)
        cut_last_name(e->home);
    else
        e->home[0] = '\0';
    return STATUS_OK;
}

/* ---- shapes ---- */

/* A dataset [frames][particles][d or more] of numbers. frames: receives, or has, their number. */
static enum status check_values(struct foreign *f, const struct config *config, const char *path,
                                size_t *frames) {
    enum status status = STATUS_OK;
    const struct system_parameters *s = &config->system;
    size_t dims[H5_RANK];
    int rank;
    const char *file = h5_path(f->file);
    if (h5_axes(f->file, path) != 3 || !h5_is_numbers(f->file, path))
        return FAIL(STATUS_BAD_INPUT, "%s: %s is not numbers of shape [frames][particles][components]", file,
                    path);
    TRY(h5_shape(f->file, path, &rank, dims));
    if (dims[1] != f->shape.particles)
        return FAIL(STATUS_BAD_INPUT, "%s: %s has %zu particles, and the input has %zu: %lld x %lld copies",
                    file, path, dims[1], f->shape.particles, (long long)s->particles,
                    (long long)(s->copies > 1 ? s->copies : 1));
    if (dims[2] < (size_t)s->dimension)
        return FAIL(STATUS_BAD_INPUT, "%s: %s has %zu components, and system.dimension is %d", file, path,
                    dims[2], s->dimension);
    if (*frames != SIZE_MAX && dims[0] != *frames)
        return FAIL(STATUS_BAD_INPUT, "%s: %s has %zu frames, and %s has %zu", file, path, dims[0],
                    f->position.value, *frames);
    *frames = dims[0];
out:
    return status;
}

/* Whether a dataset has an entry for every particle of every frame, in `axes` axes, the last at least as long as `least`. */
static bool has_rows(struct foreign *f, const char *path, int axes, size_t least) {
    size_t dims[H5_RANK];
    int rank;
    if (h5_axes(f->file, path) != axes || !h5_is_numbers(f->file, path))
        return false;
    if (h5_shape(f->file, path, &rank, dims) != STATUS_OK) {
        status_clear(); /* one that is not needed */
        return false;
    }
    return dims[0] == f->shape.frames && dims[1] == f->shape.particles && dims[axes - 1] >= least;
}

/* Particles are told apart by their place in the arrays. So where the file names them in every frame, the order
 * must stay (see check_order). The image is welcome, and not needed. */
static void find_optional(struct foreign *f) {
    snprintf(f->image, sizeof f->image, "%.*s/image/value", CONFIG_TEXT, f->group);
    if (!has_rows(f, f->image, 3, (size_t)f->shape.d))
        f->image[0] = '\0';
    snprintf(f->id, sizeof f->id, "%.*s/id/value", CONFIG_TEXT, f->group);
    if (!has_rows(f, f->id, 2, f->shape.particles))
        f->id[0] = '\0';
}

/* ---- steps and times ---- */

/* One number per frame: explicit, or increments from an offset, or what `missing` says (frame m: origin + m rate). */
struct missing {
    double origin, rate;
};
static enum status read_series(struct foreign *f, const struct element *e, const char *name,
                               struct missing missing, double *out) {
    enum status status = STATUS_OK;
    size_t zero = 0, dims[H5_RANK];
    int rank;
    char path[2 * PATH];
    snprintf(path, sizeof path, "%s/%s", e->home, name);
    const int axes = e->home[0] ? h5_axes(f->file, path) : -1;
    if (axes == 1) {
        TRY(h5_shape(f->file, path, &rank, dims));
        if (dims[0] != f->shape.frames || !h5_is_numbers(f->file, path))
            return FAIL(STATUS_BAD_INPUT, "%s: %s is not a number for each of the %zu frames of %s",
                        h5_path(f->file), path, f->shape.frames, e->value);
        return h5_read(f->file, path, H5_FLOAT64, 1, &zero, dims, out);
    }
    if (axes == 0) {
        TRY(h5_read_single(f->file, path, &missing.rate));
        missing.origin = 0;
        if (h5_has_attribute(f->file, path, "offset"))
            TRY(h5_read_real(f->file, path, "offset", &missing.origin));
    }
    for (size_t m = 0; m < f->shape.frames; m++)
        out[m] = missing.origin + (double)m * missing.rate;
    if (axes > 1)
        status = FAIL(STATUS_BAD_INPUT, "%s: %s has %d axes where one number a frame is expected",
                      h5_path(f->file), path, axes);
out:
    return status;
}

/* Both elements must be of the same moments, where both say which. */
static enum status same_moments(struct foreign *f, const char *name, const double *position,
                                const double *propulsion) {
    for (size_t m = 0; m < f->shape.frames; m++)
        if (!isnan(position[m]) && !isnan(propulsion[m]) && position[m] != propulsion[m])
            return FAIL(STATUS_BAD_INPUT, "%s: in frame %zu the %s of %s is %.17g and that of %s %.17g",
                        h5_path(f->file), m, name, f->position.value, position[m], f->propulsion.value,
                        propulsion[m]);
    return STATUS_OK;
}

static enum status read_moments(struct foreign *f) {
    enum status status = STATUS_OK;
    const struct missing unknown = {NAN, NAN};
    double *other = malloc((f->shape.frames + 1) * sizeof *other);
    f->step = malloc((f->shape.frames + 1) * sizeof *f->step);
    f->time = malloc((f->shape.frames + 1) * sizeof *f->time);
    if (!other || !f->step || !f->time)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", f->shape.frames);
    TRY(comm_agree(f->comm, status));
    TRY(read_series(f, &f->position, "step", (struct missing){0, 1}, f->step));
    TRY(read_series(f, &f->position, "time", unknown, f->time));
    for (size_t m = 0; m < f->shape.frames; m++)
        if (!(fabs(f->step[m]) < 0x1p62)) {
            status = FAIL(STATUS_BAD_INPUT, "%s: the step of frame %zu is %g (%s/step)", h5_path(f->file), m,
                          f->step[m], f->position.home);
            goto out;
        }
    if (strcmp(f->position.home, f->propulsion.home) == 0)
        goto out;
    TRY(read_series(f, &f->propulsion, "step", unknown, other));
    TRY(same_moments(f, "step", f->step, other));
    TRY(read_series(f, &f->propulsion, "time", unknown, other));
    TRY(same_moments(f, "time", f->time, other));
out:
    free(other);
    return status;
}

/* ---- opening ---- */

static enum status open_file(struct foreign *f, const char *path) {
    if (!file_exists(f->comm, path))
        return FAIL(STATUS_BAD_INPUT, "%s is not there: is the path right?", path);
    enum status status = inspect_file(f->comm, path);
    return status != STATUS_OK ? status : h5_open(f->comm, path, false, &f->file);
}

static enum status examine(struct foreign *f, const struct config *config) {
    enum status status = STATUS_OK;
    size_t frames = SIZE_MAX;
    TRY(locate(f, "data.position", config->data.position, &f->position));
    TRY(locate(f, "data.propulsion", config->data.propulsion, &f->propulsion));
    memcpy(f->group, f->position.home[0] ? f->position.home : f->position.value, sizeof f->group);
    cut_last_name(f->group);
    TRY(check_values(f, config, f->position.value, &frames));
    TRY(check_values(f, config, f->propulsion.value, &frames));
    f->shape.frames = frames;
    TRY(foreign_check_box(f->comm, f->file, f->group, &config->system));
    TRY(read_moments(f));
    find_optional(f);
out:
    return status;
}

enum status foreign_open(struct comm *comm, const char *path, const struct config *config,
                         struct foreign **out) {
    enum status status = STATUS_OK;
    const struct system_parameters *s = &config->system;
    struct foreign *f = calloc(1, sizeof *f);
    *out = f;
    if (!f)
        status = FAIL(STATUS_FAILURE, "out of memory for a trajectory");
    TRY(comm_agree(comm, status));
    f->comm = comm;
    f->shape = (struct trajectory_shape){
        .particles = (size_t)config_total(s), .d = s->dimension, .periodic = !config_is_open(s)};
    config_box(s, f->shape.side);
    if (config->data.propulsion[0] == '\0') {
        status = FAIL(STATUS_BAD_INPUT, "data.position is given and data.propulsion is not: name the element "
                                        "that has g");
        goto out;
    }
    TRY(open_file(f, path));
    TRY(examine(f, config));
out:
    if (status != STATUS_OK)
        foreign_close(out);
    return status;
}

void foreign_close(struct foreign **foreign) {
    struct foreign *f = *foreign;
    if (!f)
        return;
    h5_close(&f->file);
    free(f->step);
    free(f->time);
    free(f);
    *foreign = NULL;
}

const struct trajectory_shape *foreign_shape(const struct foreign *f) {
    return &f->shape;
}

size_t foreign_written(const struct foreign *f) {
    size_t frames = 0;
    while (frames < f->shape.frames && f->step[frames] >= 0)
        frames++;
    return frames;
}

/* ---- frames ---- */

/* A row that changes its particle between frames would pair positions of different particles. */
static enum status check_order(struct foreign *f, size_t frame, size_t begin, size_t count) {
    enum status status = STATUS_OK;
    const size_t rows[2] = {1, count};
    int64_t *first = malloc((count + 1) * sizeof *first), *now = malloc((count + 1) * sizeof *now);
    if (!first || !now)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", count);
    TRY(comm_agree(f->comm, status));
    TRY(h5_read(f->file, f->id, H5_INT64, 2, (size_t[]){0, begin}, rows, first));
    TRY(h5_read(f->file, f->id, H5_INT64, 2, (size_t[]){frame, begin}, rows, now));
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (now[i] != first[i])
            status = FAIL(STATUS_BAD_INPUT,
                          "%s: row %zu is particle %lld in the first frame and %lld in frame %zu (%s): sort "
                          "the particles of every frame by id",
                          h5_path(f->file), begin + i, (long long)first[i], (long long)now[i], frame, f->id);
    TRY(comm_agree(f->comm, status));
out:
    free(first);
    free(now);
    return status;
}

/* Into the box, the turns counted in the image; open space has no turns, and its particles stay in the middle
 * half, where no two of them are nearer through the edge. */
static enum status place(const struct foreign *f, int axis, double *x, int32_t *image) {
    const double side = f->shape.side[axis];
    if (!(fabs(*x) < (f->shape.periodic ? 1e9 : 0.25) * side))
        return STATUS_BAD_INPUT;
    if (!f->shape.periodic)
        return STATUS_OK;
    double turns = floor(*x / side), inside = *x - turns * side;
    if (inside >= side) { /* rounded up: the other end of the box */
        inside = 0;
        turns++;
    }
    *x = fmax(inside, 0);
    *image = (int32_t)((uint32_t)*image + (uint32_t)(int32_t)turns);
    return STATUS_OK;
}

static enum status place_all(const struct foreign *f, size_t frame, struct trajectory_frame *out) {
    const size_t d = (size_t)f->shape.d;
    for (size_t i = 0; i < out->count * d; i++) {
        const double x = out->position[i], g = out->g[i];
        const bool good = place(f, (int)(i % d), &out->position[i], &out->image[i]) == STATUS_OK;
        if (good && isfinite(g))
            continue;
        if (isfinite(x) && isfinite(g))
            return FAIL(STATUS_BAD_INPUT,
                        "%s: particle %zu of frame %zu is at %g, %s: is r0 the unit of length?",
                        h5_path(f->file), out->begin + i / d, frame, x,
                        f->shape.periodic ? "very many boxes away"
                                          : "outside of the middle half of system.box, centred on the trap");
        return FAIL(STATUS_BAD_INPUT, "%s: particle %zu of frame %zu has a number that is not finite in %s",
                    h5_path(f->file), out->begin + i / d, frame,
                    isfinite(x) ? f->propulsion.value : f->position.value);
    }
    return STATUS_OK;
}

enum status foreign_read(struct foreign *f, size_t frame, struct trajectory_frame *out) {
    enum status status = STATUS_OK;
    const size_t d = (size_t)f->shape.d;
    const size_t offset[3] = {frame, out->begin, 0}, block[3] = {1, out->count, d};
    if (frame >= foreign_written(f))
        return FAIL(STATUS_BAD_INPUT, "%s has no frame %zu (of %zu)", h5_path(f->file), frame,
                    foreign_written(f));
    out->step = (int64_t)f->step[frame];
    out->time = f->time[frame];
    out->scalars = (struct trajectory_scalars){NAN, NAN, NAN, NAN, NAN, NAN, 0};
    TRY(h5_read(f->file, f->position.value, H5_FLOAT64, 3, offset, block, out->position));
    TRY(h5_read(f->file, f->propulsion.value, H5_FLOAT64, 3, offset, block, out->g));
    memset(out->image, 0, out->count * d * sizeof *out->image);
    if (f->image[0])
        TRY(h5_read(f->file, f->image, H5_INT32, 3, offset, block, out->image));
    if (f->id[0])
        TRY(check_order(f, frame, out->begin, out->count));
    TRY(comm_agree(f->comm, place_all(f, frame, out)));
out:
    return status;
}
