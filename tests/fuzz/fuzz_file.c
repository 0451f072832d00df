/* The readers of one kind of file (FUZZ_KIND), and what says what is in any, on files whose objects are edited. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "edits.h"
#include "io/check_file.h"
#include "io/inspect.h"
#include "io/model_file.h"
#include "io/trajectory.h"

enum kind { TRAJECTORY, RESTART, MODEL, EVALUATION, FOREIGN };

static struct comm *comm;
static struct config original;  /* parameters of the file as it was */
static char made_from[2][4096]; /* of an evaluation: its trajectories and model */

/* One of the program's exit codes, with a message that names the file. */
static void expect(enum status status, const char *what) {
    const bool named = strstr(status_message(), strrchr(edits_path(), '/') + 1) != NULL;
    const bool known = status == STATUS_BAD_INPUT || status == STATUS_NUMBERS || status == STATUS_STORAGE;
    if (status == STATUS_OK ? status_message()[0] != '\0' : !named || !known) {
        fprintf(stderr, "fuzz: %s: status %d, \"%s\"\n", what, status, status_message());
        abort();
    }
    status_clear();
}

/* ---- readers ---- */

static enum status read_frames(struct trajectory *t) {
    enum status status = STATUS_OK;
    const struct trajectory_shape *shape = trajectory_shape(t);
    const size_t n = shape->particles, d = (size_t)shape->d;
    struct trajectory_frame f = {.count = n,
                                 .position = malloc((n * d + 1) * sizeof(double)),
                                 .g = malloc((n * d + 1) * sizeof(double)),
                                 .image = malloc((n * d + 1) * sizeof(int32_t))};
    size_t written = 0;
    struct trajectory_scalars *scalars = NULL;
    TRY(trajectory_written(t, &written));
    scalars = malloc((written + 1) * sizeof *scalars);
    TRY(trajectory_read_scalars(t, written, scalars));
    TRY(trajectory_read_euler(t, written, scalars));
    for (size_t m = 0; m < written && m < 8; m++)
        TRY(trajectory_read(t, m, &f));
out:
    free(scalars);
    free(f.position);
    free(f.g);
    free(f.image);
    return status;
}

static enum status read_trajectory(void) {
    struct trajectory *t = NULL;
    enum status status = FUZZ_KIND == FOREIGN ? trajectory_open_foreign(comm, edits_path(), &original, &t)
                                              : trajectory_open(comm, edits_path(), &t);
    if (status == STATUS_OK)
        status = read_frames(t);
    trajectory_close(&t);
    return status;
}

static enum status continue_trajectory(void) {
    struct trajectory *t = NULL;
    enum status status = trajectory_continue(comm, edits_path(), &original, &t);
    trajectory_close(&t);
    return status;
}

static enum status read_restart(void) {
    const size_t n = (size_t)config_total(&original.system), d = (size_t)original.system.dimension;
    struct restart r = {.count = n,
                        .q = malloc(n * d * sizeof(uint64_t)),
                        .image = malloc(n * d * sizeof(int32_t)),
                        .g = malloc(n * d * sizeof(double))};
    enum status status = restart_read(comm, edits_path(), n, (int)d, &original, &r);
    free(r.q);
    free(r.image);
    free(r.g);
    return status;
}

static enum status read_model(void) {
    enum status status = STATUS_OK;
    static const struct model_tensor tensor[] = {
        {"decoder/linear0/w", 8, 8, 0}, {"decoder/linear0/b", 1, 8, 64}, {"embed_g/linear0/w", 2, 8, 72}};
    real weights[128], average[128], mu[128], nu[128];
    struct model_state state = {.size = 128, .weights = weights, .average = average, .mu = mu, .nu = nu};
    struct config *config = malloc(sizeof *config);
    char *identity = malloc(MODEL_IDENTITY);
    int64_t step;
    TRY(model_read_header(comm, edits_path(), config, &step));
    TRY(model_read_identity(comm, edits_path(), 0, identity));
    TRY(model_read(comm, edits_path(), 3, tensor, &state));
out:
    free(state.log);
    free(state.test);
    free(config);
    free(identity);
    return status;
}

static enum status read_evaluation(void) {
    enum status status = STATUS_OK;
    struct check_source *s = NULL;
    double *rows = NULL;
    TRY(check_source_open(comm, edits_path(), &s));
    rows = malloc((s->particles * (size_t)s->d + 1) * sizeof *rows);
    for (size_t m = 0; m < s->frames && m < 4; m++) {
        TRY(check_source_read(s, "position", s->d, m, 0, s->particles, rows));
        TRY(check_source_read(s, "sigma", 1, m, 0, s->particles, rows));
    }
out:
    free(rows);
    check_source_close(&s);
    return status;
}

static enum status continue_evaluation(void) {
    enum status status = STATUS_OK;
    static const struct evaluation_column column[] = {{"position", "r0", "", 2, false},
                                                      {"phase", "1", "", 1, true}};
    static const struct evaluation_table table = {.name = "by_phase"};
    const struct evaluation_shape shape = {.particles = (size_t)config_total(&original.system),
                                           .frames = 6,
                                           .d = 2,
                                           .columns = 2,
                                           .column = column,
                                           .tables = 1,
                                           .table = &table};
    struct evaluation *e = NULL;
    double *rows = malloc((shape.particles * 2 + 1) * sizeof *rows);
    size_t written;
    bool complete;
    TRY(evaluation_continue(comm, edits_path(), &shape, &original, made_from[0], made_from[1], &e));
    TRY(evaluation_written(e, &written));
    TRY(evaluation_complete(e, &complete));
    for (size_t m = 0; m < written; m++)
        for (int c = 0; c < 2; c++)
            TRY(evaluation_read_column(e, m, c, 0, shape.particles, rows));
out:
    free(rows);
    evaluation_close(&e);
    return status;
}

static enum status info(bool json) {
    static struct session session;
    session = (struct session){.comm = comm, .file = edits_path(), .json = json};
    return command_info(&session);
}

/* ---- the fuzzer's ---- */

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    static const char *const name[] = {"trajectory", "restart", "model", "evaluation", "foreign"};
    const char *folder = getenv("EPFLOW_FUZZ_FILES");
    char path[1024];
    if (!folder || comm_start(argc, argv, &comm) != STATUS_OK || !freopen("/dev/null", "w", stdout)) {
        fprintf(stderr, "fuzz: EPFLOW_FUZZ_FILES names the folder of the original files: use tools/fuzz\n");
        exit(1);
    }
    struct h5_file *file = NULL;
    snprintf(path, sizeof path, "%s/%s.h5", folder, FUZZ_KIND == FOREIGN ? "trajectory" : name[FUZZ_KIND]);
    enum status status = file_open(comm, path, NULL, false, &file);
    if (status == STATUS_OK)
        status = file_parameters(file, comm, &original);
    if (status == STATUS_OK && FUZZ_KIND == EVALUATION)
        status = h5_read_text(file, "/provenance", "trajectories", sizeof made_from[0], made_from[0]);
    if (status == STATUS_OK && FUZZ_KIND == EVALUATION)
        status = h5_read_text(file, "/provenance", "model", sizeof made_from[1], made_from[1]);
    h5_close(&file);
    if (status != STATUS_OK) {
        fprintf(stderr, "fuzz: %s\n", status_message());
        exit(1);
    }
    snprintf(original.data.position, sizeof original.data.position, "particles/all/position");
    snprintf(original.data.propulsion, sizeof original.data.propulsion, "particles/all/director");
    snprintf(path, sizeof path, "%s/%s.h5", folder, name[FUZZ_KIND]);
    edits_load(path);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t also = size > 0 ? data[0] : 0; /* what is beside the reader costs time */
    edits_begin(data, size);
    if (also & 8)
        expect(h5_inspect(edits_path()), "inspect");
    if (FUZZ_KIND == TRAJECTORY || FUZZ_KIND == FOREIGN)
        expect(read_trajectory(), "read");
    if (FUZZ_KIND == TRAJECTORY && also & 64)
        expect(continue_trajectory(), "continue");
    if (FUZZ_KIND == RESTART)
        expect(read_restart(), "read");
    if (FUZZ_KIND == MODEL)
        expect(read_model(), "read");
    if (FUZZ_KIND == EVALUATION)
        expect(also & 64 ? continue_evaluation() : read_evaluation(), "read");
    if (also & 16)
        expect(info(false), "info");
    if (also & 32)
        expect(info(true), "info --json");
    edits_end();
    return 0;
}
