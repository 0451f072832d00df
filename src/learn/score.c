/* One table row per kind of model; a call goes to the row that the model was made by. */
#include "learn/score_kind.h"

static const struct score_kind *const kinds[] = {
    [NETWORK_WINDOW] = &window_kind, [NETWORK_RESPONSE] = &response_kind};

enum status score_create(const struct ops *ops, const struct network_parameters *p, int d, int outputs,
                         int rows, struct score_model **out) {
    return kinds[p->kind]->create(ops, p, d, outputs, rows > 0 ? rows : ops->chunk, out);
}

void score_destroy(struct score_model **model) {
    if (*model)
        (*model)->kind->destroy(*model);
    *model = NULL;
}

const struct tensors *score_tensors(const struct score_model *model) {
    return &model->tensors;
}

void score_initialise(const struct score_model *model, uint64_t seed, real *weights) {
    model->kind->initialise(model, seed, weights);
}

int score_neighbours(const struct score_model *model) {
    return model->neighbours;
}

int score_decoded(const struct score_model *model) {
    return model->decoded;
}

size_t score_chunk(const struct score_model *model) {
    return model->chunk;
}

void score_stop_by(struct score_model *model, const struct score_stop *stop) {
    model->stop = *stop;
}

void score_part_of(struct score_model *model, double from, double span) {
    model->stop.from = from;
    model->stop.span = span;
}

enum status score_go_on(const struct score_model *model, double done) {
    const struct score_stop *stop = &model->stop;
    if (!stop->asked || !stop->asked(stop->context, stop->from + done * stop->span))
        return STATUS_OK;
    return FAIL(STATUS_STOPPED, "stopped on request");
}

struct score_cost score_operations(const struct score_model *model) {
    return model->kind->operations(model);
}

double score_memory(const struct score_model *model) {
    return model->bytes;
}

double score_memory_for(const struct score_model *model, double particles, const struct graph *sizes,
                        bool training) {
    return model->kind->memory(model, particles, sizes, training);
}

enum status score_forward(struct score_model *model, const real *weights, const struct score_input *in,
                          real *s) {
    return model->kind->forward(model, weights, in, s);
}

enum status score_divergence(struct score_model *model, const real *weights, const struct score_input *in,
                             real *s, real *divergence) {
    return model->kind->divergence(model, weights, in, s, divergence);
}

enum status score_denoising(struct score_model *model, const real *weights, const struct score_input *in,
                            const real *zeta, const real *weight, double sign, double sigma, double scale,
                            double *term, real *gradient, real *s) {
    return model->kind->denoising(model, weights, in, zeta, weight, sign, sigma, scale, term, gradient, s);
}

enum status score_probe(struct score_model *model, const real *weights, const struct score_input *in,
                        const struct score_probes *probes, real *s, real *product) {
    return model->kind->probe(model, weights, in, probes, s, product);
}

enum status score_pull(struct score_model *model, const real *weights, const struct score_input *in,
                       const struct score_probes *probes, const real *ds, const real *dproduct,
                       real *gradient) {
    return model->kind->pull(model, weights, in, probes, ds, dproduct, gradient);
}

enum status score_tangent(struct score_model *model, const real *weights, const struct score_input *in,
                          const real *direction, real *s, real *ds) {
    return model->kind->tangent(model, weights, in, direction, s, ds);
}
