#include "commands/training_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "commands/frames.h"
#include "io/model_file.h"

/* Paths and shares, from the input alone. */
static void list_files(const struct session *s, struct training_data *data) {
    const struct training_parameters *p = &s->config.training;
    double total = 0;
    data->count = p->trajectory_count > 0 ? p->trajectory_count : 1;
    session_path(s, "trajectory.h5", data->file[0].path);
    data->file[0].share = 1;
    for (int m = 0; m < p->trajectory_count; m++)
        total += p->trajectories[m].weight;
    for (int m = 0; m < p->trajectory_count; m++) {
        snprintf(data->file[m].path, sizeof data->file[m].path, "%s", p->trajectories[m].file);
        data->file[m].share = p->trajectories[m].weight / total;
    }
}

/* ---- what a file is ---- */

struct identity {
    bool made_here; /* by epflow: with its own parameters */
    size_t used;
    char text[MODEL_IDENTITY];
};

static void add_line(struct identity *to, const char *name, const char *value) {
    const size_t room = sizeof to->text - to->used;
    const int length = snprintf(to->text + to->used, room, "%s = %s\n", name, value);
    to->used += (size_t)length < room ? (size_t)length : room - 1;
}

/* Of a file of another program the system is what the input says. */
static enum status add_parameter(const struct config_value *v, void *context) {
    struct identity *to = context;
    char name[128], value[CONFIG_TEXT];
    const bool simulated = to->made_here && strcmp(v->section, "simulation") == 0;
    if (strcmp(v->section, "system") != 0 && !simulated)
        return STATUS_OK;
    snprintf(name, sizeof name, "%s.%s", v->section, v->key);
    config_value_text(v, sizeof value, value);
    add_line(to, name, value);
    return STATUS_OK;
}

/* The frames it has, its parameters, when and where it was begun. */
static enum status identify(struct session *s, const struct source *source, struct training_file *file) {
    enum status status = STATUS_OK;
    struct h5_file *own = trajectory_file(source->trajectory);
    struct identity *to = calloc(1, sizeof *to);
    char made[320], host[256] = "";
    if (!to)
        status = FAIL(STATUS_FAILURE, "out of memory for what %s is", file->path);
    TRY(comm_agree(s->comm, status));
    to->made_here = own != NULL;
    snprintf(made, sizeof made, "%zu", source->frames);
    add_line(to, "frames", made);
    TRY(config_visit(&source->config, add_parameter, to));
    if (own) {
        TRY(h5_read_text(own, "/provenance", "start_time", 32, made));
        TRY(h5_read_text(own, "/provenance", "host", sizeof host, host));
        snprintf(made + strlen(made), sizeof made - strlen(made), " on %s", host);
        add_line(to, "made", made);
    }
    file->identity = strdup(to->text);
    if (!file->identity)
        status = FAIL(STATUS_FAILURE, "out of memory for what %s is", file->path);
    status = comm_agree(s->comm, status);
out:
    free(to);
    return status;
}

/* Springs pull to the lattice of the input's box. */
static enum status check_crystal(const struct session *s, const struct source *source) {
    const struct system_parameters *here = &s->config.system, *there = &source->config.system;
    double side[2][MAX_DIMENSION];
    config_box(here, side[0]);
    config_box(there, side[1]);
    if (there->kind != SYSTEM_CRYSTAL ||
        (here->particles == there->particles && memcmp(side[0], side[1], sizeof side[0]) == 0))
        return STATUS_OK;
    return FAIL(STATUS_BAD_INPUT,
                "%s is of a crystal of %lld particles in a box of side %.17g, the input's has %lld in %.17g: "
                "a network "
                "is trained on crystals of one size",
                source->path, (long long)there->particles, side[1][0], (long long)here->particles,
                side[0][0]);
}

/* Opens it and fills in what it holds, of its first `frames` frames (0: of all). */
static enum status look_into(struct session *s, const struct trainer_setup *setup, size_t frames,
                             struct training_file *file, struct source **out) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &s->config.training;
    TRY(source_open(s, file->path, p->held_out, training_by_configuration(setup), &setup->network, out));
    const struct source *source = *out;
    if (frames > 0 && frames < source->frames)
        log_info("%s has grown to %zu frames: going on with the first %zu, of which the training is",
                 file->path, source->frames, frames);
    source_limit(*out, frames, p->held_out);
    TRY(check_crystal(s, source));
    /* Of n successive frames there are n - 1 pairs. */
    const size_t last = p->loss == LOSS_VELOCITY ? 1 : 0, training = source->frames - source->held_out;
    if (training <= last) {
        status = FAIL(STATUS_BAD_INPUT, "%s has %zu frames, and training.held_out = %g leaves %s to train on",
                      file->path, source->frames, p->held_out, last > 0 ? "no pair" : "none");
        goto out;
    }
    file->particles = source->config.system.particles;
    file->copies = source->config.system.copies;
    file->packing_fraction = config_packing_fraction(&source->config.system);
    file->training = training - last;
    file->held_out = source->held_out > last ? source->held_out - last : 0;
    if (source->held_out > 0 && file->held_out == 0)
        log_warning("a single frame is held out, and a test of velocities needs a pair: nothing is tested");
    TRY(identify(s, source, file));
out:
    if (status != STATUS_OK)
        source_close(out);
    return status;
}

static void describe(const struct session *s, const struct training_file *file) {
    const bool open = config_is_open(&s->config.system);
    char phi[48] = "";
    if (!open)
        snprintf(phi, sizeof phi, "phi %.4g, ", file->packing_fraction);
    log_info("          reads %s: %sN = %lld, %zu %s to train on, %zu held out, share %.4g", file->path, phi,
             (long long)file->particles, file->training,
             s->config.training.loss == LOSS_VELOCITY ? "pairs of frames" : "frames", file->held_out,
             file->share);
}

enum status training_data_plan(struct session *s, const struct trainer_setup *setup, double *held) {
    enum status status = STATUS_OK;
    struct training_data data = {0};
    struct source *source = NULL;
    char own[SESSION_PATH];
    *held = 0;
    session_path(s, "trajectory.h5", own);
    list_files(s, &data);
    for (int m = 0; m < data.count; m++) {
        struct training_file *file = &data.file[m];
        /* what a dry run finds in the output folder may be of an earlier run, to be replaced */
        const bool later = s->dry_run && strcmp(file->path, own) == 0;
        if (later || !file_exists(s->comm, file->path)) {
            log_info("          reads %s, share %.4g", file->path, file->share);
            *held += (double)config_total(&s->config.system) * s->config.simulation.frames;
            continue;
        }
        TRY(look_into(s, setup, 0, file, &source));
        describe(s, file);
        *held += (double)(file->particles * file->copies) * (double)(file->training + file->held_out);
        source_close(&source);
    }
out:
    training_data_free(&data);
    return status;
}

/* ---- frames ---- */

static enum status load_frames(struct session *s, const struct trainer_setup *setup, double cutoff,
                               struct source *source, size_t first, size_t count, struct dataset_part *part) {
    enum status status = STATUS_OK;
    const double margin = training_margin(&s->config.training, source->box.d);
    const double least = setup->force.compute ? cutoff + margin : 0;
    const int k = setup->network.neighbours;
    part->frame = calloc(count + 1, sizeof *part->frame);
    if (!part->frame)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu frames", count);
    TRY(comm_agree(s->comm, status));
    for (size_t m = 0; m < count; m++) {
        struct frame **frame = &part->frame[m];
        if (s->config.training.loss == LOSS_VELOCITY)
            TRY(source_pair(s, source, first + m, k, least, margin, frame));
        else
            TRY(source_frame(s, source, first + m, k, least, margin, frame, NULL, NULL));
        part->frames++;
    }
out:
    return status;
}

/* Where the loss weighs particles by it and x stays as it is. */
static enum status hold_divergences(struct session *s, const struct trainer_setup *setup,
                                    const struct dataset_part *part) {
    enum status status = STATUS_OK;
    const struct training_parameters *p = &s->config.training;
    if (p->weighting != WEIGHTING_STIFFNESS || p->noise_on != NOISE_ON_G)
        return STATUS_OK;
    for (int m = 0; m < part->frames; m++)
        TRY(frame_divergence(part->frame[m], s->comm, &setup->force));
out:
    return status;
}

/* How many frames of file number `index` the model in `path` is trained on; 0 where it does not say. */
static enum status frames_then(struct session *s, const char *path, int index, size_t *frames) {
    enum status status = STATUS_OK;
    char *then = calloc(1, MODEL_IDENTITY);
    if (!then)
        status = FAIL(STATUS_FAILURE, "out of memory for what %s was trained on", path);
    TRY(comm_agree(s->comm, status));
    TRY(session_resumable(s, model_read_identity(s->comm, path, index, then), path));
    if (sscanf(then, "frames = %zu", frames) != 1)
        *frames = 0;
out:
    free(then);
    return status;
}

static enum status load_file(struct session *s, const struct trainer_setup *setup, double cutoff, int index,
                             const char *resumed, struct training_data *data) {
    enum status status = STATUS_OK;
    struct training_file *file = &data->file[index];
    struct dataset_part *train = &data->train.part[index], *held_out = &data->held_out.part[index];
    struct source *source = NULL;
    size_t frames = 0;
    if (resumed)
        TRY(frames_then(s, resumed, index, &frames));
    TRY(look_into(s, setup, frames, file, &source));
    train->weight = held_out->weight = file->share;
    TRY(load_frames(s, setup, cutoff, source, 0, file->training, train));
    TRY(load_frames(s, setup, cutoff, source, source->frames - source->held_out, file->held_out, held_out));
    TRY(hold_divergences(s, setup, train));
out:
    source_close(&source);
    return status;
}

enum status training_data_load(struct session *s, const struct trainer_setup *setup, double cutoff,
                               const char *resumed, struct training_data *data) {
    enum status status = STATUS_OK;
    list_files(s, data);
    data->train.part = calloc((size_t)data->count, sizeof *data->train.part);
    data->held_out.part = calloc((size_t)data->count, sizeof *data->held_out.part);
    if (!data->train.part || !data->held_out.part)
        status = FAIL(STATUS_FAILURE, "out of memory for the data");
    TRY(comm_agree(s->comm, status));
    data->train.parts = data->held_out.parts = data->count;
    for (int m = 0; m < data->count; m++)
        TRY(load_file(s, setup, cutoff, m, resumed, data));
out:
    return status;
}

void training_data_free(struct training_data *data) {
    dataset_free(&data->train);
    dataset_free(&data->held_out);
    for (int m = 0; m < data->count; m++)
        free(data->file[m].identity);
    *data = (struct training_data){0};
}

/* ---- the same as before ---- */

/* The line of the same name, "name = value", as the line at `line`; NULL where there is none. */
static const char *same_name(const char *lines, const char *line) {
    const size_t name = strcspn(line, " ") + 1;
    for (; *lines; lines += strcspn(lines, "\n") + 1)
        if (strncmp(lines, line, name) == 0)
            return lines;
    return NULL;
}

/* "frames = 30, then 20; ...": what differs between what a file is and what it was. */
static void differences(const char *now, const char *then, char *out, size_t size) {
    size_t used = 0;
    out[0] = '\0';
    for (const char *line = now; *line && used < size; line += strcspn(line, "\n") + 1) {
        const char *old = same_name(then, line);
        const size_t length = strcspn(line, "\n"), before = old ? strcspn(old, "\n") : 0;
        const size_t value = strcspn(line, " ") + 3; /* after " = " */
        if (!old || (length == before && strncmp(line, old, length) == 0))
            continue; /* what an older version did not record cannot be compared */
        used += (size_t)snprintf(out + used, size - used, "%s%.*s, then %.*s", used > 0 ? "; " : "",
                                 (int)length, line, (int)(before - value), old + value);
    }
}

enum status training_data_same(struct session *s, const char *path, const struct training_data *data) {
    enum status status = STATUS_OK;
    char *then = calloc(1, MODEL_IDENTITY), what[512];
    if (!then)
        status = FAIL(STATUS_FAILURE, "out of memory for what %s was trained on", path);
    TRY(comm_agree(s->comm, status));
    for (int m = 0; m < data->count; m++) {
        TRY(model_read_identity(s->comm, path, m, then));
        differences(data->file[m].identity, then, what, sizeof what);
        if (what[0] != '\0') {
            status =
                FAIL(STATUS_BAD_INPUT,
                     "%s has changed since the training of %s began (%s): go on with the trajectory as it "
                     "was, or train anew on this one with --overwrite",
                     data->file[m].path, path, what);
            goto out;
        }
    }
out:
    free(then);
    return status;
}
