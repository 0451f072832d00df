#include "commands/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "commands/learning.h"
#include "io/model_file.h"

/* FNV-1a: tells one set of weights from another. */
static uint64_t checksum(size_t bytes, const void *data) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ ((const unsigned char *)data)[i]) * 0x100000001b3u;
    return hash;
}

/* Whether what a model gives, and needs, is what this system has. */
static enum status check_model(const struct session *s, const struct loaded_model *m) {
    const struct system_parameters *system = &s->config.system;
    const struct training_parameters *training = &m->config.training;
    enum status status = config_check_window(system, m->config.network.window, m->path);
    if (status != STATUS_OK)
        return status;
    if (system->kind == SYSTEM_UNKNOWN && training->loss != LOSS_VELOCITY)
        return FAIL(STATUS_BAD_INPUT,
                    "%s gives scores, and without the dynamics (system.kind = unknown) only velocities can "
                    "be evaluated",
                    m->path);
    if (learning_with_x(system, training) != learning_with_x(&m->config.system, training))
        return FAIL(STATUS_BAD_INPUT,
                    "%s was trained with system.eps = %g and knows %s score of x; the system has %g", m->path,
                    m->config.system.eps, system->eps > 0 ? "no" : "a", system->eps);
    return STATUS_OK;
}

/* A model may be taken to other N and densities; other physics are worth a word. */
static void warn_of_physics(const struct session *s, const struct loaded_model *m) {
    const struct system_parameters *a = &m->config.system, *b = &s->config.system;
    const struct {
        const char *name;
        double then, now;
    } physics[] = {{"v0", a->v0, b->v0},
                   {"k", a->k, b->k},
                   {"beta", a->beta, b->beta},
                   {"gamma", a->gamma, b->gamma},
                   {"eps", a->eps, b->eps},
                   {"trap", a->trap, b->trap},
                   {"spring", a->spring, b->spring},
                   {"tether", a->tether, b->tether},
                   {"alignment", a->alignment, b->alignment}};
    for (size_t k = 0; k < sizeof physics / sizeof *physics; k++)
        if (physics[k].then != physics[k].now)
            log_warning("%s was trained with system.%s = %g, this system has %g", m->path, physics[k].name,
                        physics[k].then, physics[k].now);
}

enum status model_load(struct session *s, struct loaded_model *m) {
    enum status status = STATUS_OK;
    struct model_tensor *tensor = NULL;
    struct model_state state = {0};
    const struct evaluation_parameters *p = &s->config.evaluation;
    int64_t step = 0;
    if (p->model_count > 0)
        snprintf(m->path, sizeof m->path, "%s", p->models[0]);
    else
        session_path(s, "model.h5", m->path);
    TRY(model_read_header(s->comm, m->path, &m->config, &step));
    if (m->config.system.dimension != s->config.system.dimension) {
        status = FAIL(STATUS_BAD_INPUT, "%s was trained in %d dimensions, the system has %d", m->path,
                      m->config.system.dimension, s->config.system.dimension);
        goto out;
    }
    TRY(check_model(s, m));
    warn_of_physics(s, m);
    m->network = learning_network(&m->config.network, &s->config.system);
    TRY(comm_agree(s->comm, scores_create(s->ops, &m->network, s->config.system.dimension,
                                          learning_with_x(&s->config.system, &m->config.training),
                                          s->config.run.chunk, &m->scores)));
    const struct tensors *t = &m->scores->tensors;
    TRY(model_expect_size(s->comm, m->path, t->size));
    state.size = t->size;
    state.weights = calloc(t->size, sizeof(real));
    state.average = calloc(t->size, sizeof(real));
    tensor = calloc((size_t)t->count, sizeof *tensor);
    if (!state.weights || !state.average || !tensor)
        status = FAIL(STATUS_FAILURE, "out of memory for a network of %zu weights", t->size);
    if (status == STATUS_OK)
        status = s->ops->allocate(s->ops, t->size * sizeof(real), (void **)&m->weights);
    TRY(comm_agree(s->comm, status));
    for (int k = 0; k < t->count; k++)
        tensor[k] =
            (struct model_tensor){t->list[k].name, t->list[k].rows, t->list[k].columns, t->list[k].offset};
    TRY(model_read(s->comm, m->path, t->count, tensor, &state));
    const real *weights = p->weights == WEIGHTS_AVERAGE ? state.average : state.weights;
    s->ops->to_device(s->ops, m->weights, weights, t->size * sizeof(real));
    snprintf(m->text, sizeof m->text, "%s (step %lld, weights %016llx)", m->path, (long long)step,
             (unsigned long long)checksum(t->size * sizeof(real), weights));
    log_info("model %s: %zu weights, %lld steps, noise %g", m->path, t->size, (long long)step,
             config_smoothing(&m->config.training));
out:
    free(state.weights);
    free(state.average);
    free(state.log);
    free(state.test);
    free(state.retry);
    free(tensor);
    return status;
}

void model_release(struct session *s, struct loaded_model *m) {
    s->ops->release(s->ops, m->weights);
    m->weights = NULL;
    scores_destroy(&m->scores);
}
