/* The response network against reference data (response.h5, every case in it), on any number of ranks: geometry,
 * sources, states and vectors, scores, tangents, the denoising loss and its gradient, the resolved fraction; and its
 * symmetries. */
#include "learn/response_network.h"

#include "learn/dataset.h"
#include "ranks.h"
#include "vectors.h"

/* Tolerances of the reference data's README. */
#define GEOMETRY TOLERANCE(1e-11, 1e-5)
#define STATES TOLERANCE(1e-11, 3e-4)
#define SCORES TOLERANCE(1e-9, 2e-3)
#define TANGENTS TOLERANCE(1e-8, 3e-2)
#define TERMS TOLERANCE(1e-9, 1e-2)
#define LOSS TOLERANCE(1e-9, 1e-3)
#define GRADIENTS TOLERANCE(1e-8, 3e-2)

/* A case: its frame on this rank, and its network. */
struct response_case {
    size_t n, d;
    struct network_parameters network;
    struct system_parameters system;
    struct frame *frame;
    struct score_model *model;
    real *weights;
    uint32_t *id, *centre; /* (owned) */
};

static double attribute_of(hid_t at, const char *group, const char *name) {
    hid_t g = H5Gopen2(at, group, H5P_DEFAULT);
    double value = vectors_attribute(g, name);
    H5Gclose(g);
    return value;
}

static void read_network(hid_t at, struct response_parameters *p) {
    hid_t network = H5Gopen2(at, "network", H5P_DEFAULT), taus = H5Aopen(network, "taus", H5P_DEFAULT);
    hid_t space = H5Aget_space(taus);
    *p = (struct response_parameters){
        .hidden = (int)vectors_attribute(network, "H"),
        .edge = (int)vectors_attribute(network, "E"),
        .channels = (int)vectors_attribute(network, "C"),
        .layers = (int)vectors_attribute(network, "layers"),
        .shots = (int)H5Sget_simple_extent_npoints(space),
        .edge_radius = vectors_attribute(network, "r_e"),
        .force_tolerance = 1e-9,
        .density_radius = vectors_attribute(network, "disc_radius"),
        .constants = {.window_rate = vectors_attribute(network, "window_rate"),
                      .window_centre = vectors_attribute(network, "window_centre"),
                      .density_shift = vectors_attribute(network, "phi_shift"),
                      .shot_scale = vectors_attribute(network, "shot_scale"),
                      .shot_offset = vectors_attribute(network, "shot_offset"),
                      .shot_guard = vectors_attribute(network, "shot_guard"),
                      .lg_floor = vectors_attribute(network, "lg_floor"),
                      .log_guard = vectors_attribute(network, "log_guard"),
                      .gain = vectors_attribute(network, "gain"),
                      .kappa_scale = 4,
                      .kappa_shift = 1,
                      .speed_scale = 2,
                      .speed_shift = 1,
                      .distance_scale = 3,
                      .distance_shift = 2,
                      .contact_scale = 3,
                      .contact_shift = 2,
                      .cross_factor = 0.3,
                      .own_factor = 0.5,
                      .message_factor = 0.4,
                      .push_factor = 0.3,
                      .across_factor = 3,
                      .transfer = 0.5,
                      .prior = 0.5}};
    assert_true(p->shots <= RESPONSE_SHOTS);
    H5Aread(taus, H5T_NATIVE_DOUBLE, p->shot);
    H5Sclose(space);
    H5Aclose(taus);
    H5Gclose(network);
}

static void read_tree(hid_t at, const char *tree, const struct tensors *tensors, double *out) {
    for (int m = 0; m < tensors->count; m++) {
        char path[128];
        size_t count;
        snprintf(path, sizeof path, "%s/%s", tree, tensors->list[m].name);
        double *values = vectors_reals(at, path, &count, NULL);
        assert_int_equal(count, tensors->list[m].rows * tensors->list[m].columns);
        memcpy(out + tensors->list[m].offset, values, count * sizeof *values);
        free(values);
    }
}

static struct slice *slice_of(const struct box *box, size_t n, const double *x, const double *g) {
    struct slice *slice = NULL;
    assert_int_equal(slice_create(n, box->d, comm, &slice), STATUS_OK);
    for (size_t m = 0; m < slice->count * (size_t)box->d; m++) {
        const size_t from = slice->begin * (size_t)box->d + m;
        slice->q[m] = position_to_integer(box, (int)(m % (size_t)box->d), x[from]);
        slice->g[m] = g[from];
        slice->image[m] = 0;
    }
    return slice;
}

/* The frame of a configuration x, g (n, d), with its graph. */
static void load(struct response_case *c, const struct box *box, const double *x, const double *g) {
    struct slice *slice = slice_of(box, c->n, x, g);
    const double reach = graph_reach(&c->network.response, &c->system);
    assert_int_equal(frame_create(ops_cpu(), comm, box, slice, NULL, false, 0, reach, 0, &c->frame),
                     STATUS_OK);
    assert_int_equal(frame_graph(c->frame, comm, &c->network.response, &c->system), STATUS_OK);
    c->id = c->frame->particles->id;
    c->centre = malloc((c->frame->particles->owned + 1) * sizeof *c->centre);
    for (size_t i = 0; i < c->frame->particles->owned; i++)
        c->centre[i] = (uint32_t)i;
    slice_destroy(&slice);
}

static void open_case(hid_t at, int range, struct response_case *c) {
    const int d = (int)vectors_attribute(at, "d");
    const struct box box = vectors_box(at, d);
    double *x = vectors_reals(at, "x", NULL, NULL), *g = vectors_reals(at, "g", NULL, NULL), *weights;
    *c = (struct response_case){.n = (size_t)vectors_attribute(at, "N"),
                                .d = (size_t)d,
                                .network = {.kind = NETWORK_RESPONSE},
                                .system = {.kind = SYSTEM_AOUP,
                                           .dimension = d,
                                           .v0 = vectors_attribute(at, "v0"),
                                           .k = vectors_attribute(at, "k"),
                                           .beta = vectors_attribute(at, "beta"),
                                           .gamma = vectors_attribute(at, "gamma")}};
    read_network(at, &c->network.response);
    load(c, &box, x, g);
    assert_int_equal(score_create(ops_cpu(), &c->network, d, d, range, &c->model), STATUS_OK);
    const struct tensors *tensors = score_tensors(c->model);
    assert_int_equal(tensors->size, (size_t)attribute_of(at, "network", "parameters"));
    weights = malloc(tensors->size * sizeof *weights);
    c->weights = malloc(tensors->size * sizeof *c->weights);
    read_tree(at, "weights", tensors, weights);
    for (size_t i = 0; i < tensors->size; i++)
        c->weights[i] = (real)weights[i];
    free(weights);
    free(x);
    free(g);
}

static void close_case(struct response_case *c) {
    frame_destroy(&c->frame);
    score_destroy(&c->model);
    free(c->weights);
    free(c->centre);
}

/* Values (owned, width) of all ranks, in order of id: (n, width), allocated. */
static double *gather(const struct response_case *c, int width, const real *values) {
    double *all = calloc(c->n * (size_t)width, sizeof *all);
    for (size_t i = 0; i < c->frame->particles->owned; i++)
        for (int m = 0; m < width; m++)
            all[c->id[i] * (size_t)width + (size_t)m] = (double)values[i * (size_t)width + (size_t)m];
    comm_sum(comm, all, c->n * (size_t)width);
    return all;
}

/* The same for those of a dataset, whose shape is (..., N, width): part number `part` of it. */
static double error_of(const struct response_case *c, hid_t at, const char *name, size_t part, int width,
                       const real *values) {
    const size_t size = c->n * (size_t)width;
    double *got = gather(c, width, values), *want = vectors_reals(at, name, NULL, NULL);
    double error = relative_error(size, got, want + part * size);
    free(got);
    free(want);
    return error;
}

/* All owned particles. */
static struct score_input input_of(const struct response_case *c) {
    return frame_windows(c->frame, c->frame->particles->owned, c->centre, NULL);
}

/* ---- geometry ---- */

static void edges_match(const struct response_case *c, hid_t at) {
    const struct edges *e = &c->frame->graph->edges;
    const uint32_t *local = c->frame->graph->local, *id = c->frame->particles->id;
    int *offset = vectors_integers(at, "edges/offset", NULL, NULL),
        *index = vectors_integers(at, "edges/index", NULL, NULL);
    double *value[4], worst[4] = {0}, scale[4] = {0};
    const char *const name[4] = {"edges/r", "edges/kn", "edges/kt", "edges/w"};
    const real *const mine[4] = {e->r, e->kn, e->kt, e->window};
    for (int m = 0; m < 4; m++)
        value[m] = vectors_reals(at, name[m], NULL, NULL);
    for (size_t i = 0; i < c->frame->graph->level[0]; i++) {
        const int first = offset[id[local[i]]], last = offset[id[local[i]] + 1];
        assert_int_equal(e->start[i + 1] - e->start[i], last - first);
        for (size_t k = e->start[i]; k < e->start[i + 1]; k++) {
            int found = -1;
            for (int m = first; m < last; m++)
                if ((uint32_t)index[m] == id[local[e->sender[k]]])
                    found = m;
            assert_true(found >= 0);
            assert_int_equal(e->receiver[k], i);
            for (int m = 0; m < 4; m++)
                worst[m] = fmax(worst[m], fabs((double)mine[m][k] - value[m][found]));
        }
    }
    for (int m = 0; m < 4; m++) {
        for (int k = 0; k < offset[c->n]; k++)
            scale[m] = fmax(scale[m], fabs(value[m][k]));
        assert_below(worst[m] / scale[m], GEOMETRY);
        free(value[m]);
    }
    free(offset);
    free(index);
}

static void geometry_case(hid_t at, const char *name) {
    (void)name;
    struct response_case c;
    open_case(at, 64, &c);
    const struct graph *g = c.frame->graph;
    real *force = malloc((g->level[0] * c.d + 1) * sizeof *force);
    edges_match(&c, at);
    assert_below(error_of(&c, at, "kappa", 0, 1, g->kappa), GEOMETRY);
    assert_below(error_of(&c, at, "phi_local", 0, 1, g->phi), GEOMETRY);
    for (size_t m = 0; m < g->level[0] * c.d; m++)
        force[m] = (real)(g->push[m % c.d][m / c.d] * c.system.v0);
    assert_below(error_of(&c, at, "F", 0, (int)c.d, force), GEOMETRY);
    free(force);
    close_case(&c);
}

static void geometry(void **state) {
    (void)state;
    vectors_for_each("response.h5", geometry_case);
}

/* ---- values ---- */

/* Shots: (tau, N, d) in the reference, (n, d, channels) here. */
static void sources_match(const struct response_case *c, hid_t at) {
    const struct response_network *n = (const struct response_network *)(const void *)c->model;
    const size_t owned = c->frame->particles->owned;
    real *shot = malloc((owned * c->d + 1) * sizeof *shot);
    assert_below(error_of(c, at, "u", 0, (int)c->d, n->of.u), GEOMETRY);
    assert_below(error_of(c, at, "q", 0, (int)c->d, n->of.q), STATES);
    for (int m = 0; m < n->shots; m++) {
        for (size_t i = 0; i < owned * c->d; i++)
            shot[i] = n->of.layer[0].v[i * (size_t)n->layer[0].channels + 1 + (size_t)m];
        assert_below(error_of(c, at, "Q_tau", (size_t)m, (int)c->d, shot), STATES);
    }
    free(shot);
}

/* Of the owner of a probed particle: largest differences of h and V (all layers) and o; the scale of each. */
static void probe_match(const struct response_case *c, hid_t at) {
    const struct response_network *n = (const struct response_network *)(const void *)c->model;
    const size_t h = (size_t)n->hidden, channels = (size_t)n->channels, out = (size_t)response_vectors(n) + 2;
    int *probe = vectors_integers(at, "probe", NULL, NULL);
    double *wanted_h = vectors_reals(at, "h", NULL, NULL), *wanted_v = vectors_reals(at, "V", NULL, NULL);
    double *wanted_o = vectors_reals(at, "output", NULL, NULL), error[3] = {0}, scale[3] = {0};
    for (size_t p = 0; p < 3; p++) {
        const int64_t i = frame_find(c->frame, (uint32_t)probe[p]);
        for (int l = 0; l <= n->layers && i >= 0; l++) {
            const bool last = l == n->layers;
            const real *mine =
                last ? n->of.h + (size_t)i * h : n->of.layer[l].x + (size_t)i * response_row(n);
            for (size_t m = 0; m < h; m++)
                error[0] = fmax(error[0], fabs((double)mine[m] - wanted_h[((size_t)l * 3 + p) * h + m]));
            if (l == 0)
                continue;
            const size_t ld = last ? channels : (size_t)n->layer[l].channels;
            const real *v = last ? n->of.last : n->of.layer[l].v + 1 + n->shots;
            for (size_t k = 0; k < channels; k++)
                for (size_t a = 0; a < c->d; a++)
                    error[1] =
                        fmax(error[1], fabs((double)v[((size_t)i * c->d + a) * ld + k] -
                                            wanted_v[((((size_t)l - 1) * 3 + p) * channels + k) * c->d + a]));
        }
        for (size_t m = 0; m < out && i >= 0; m++)
            error[2] = fmax(error[2], fabs((double)n->of.o[(size_t)i * out + m] - wanted_o[p * out + m]));
    }
    for (size_t m = 0; m < ((size_t)n->layers + 1) * 3 * h; m++)
        scale[0] = fmax(scale[0], fabs(wanted_h[m]));
    for (size_t m = 0; m < (size_t)n->layers * 3 * channels * c->d; m++)
        scale[1] = fmax(scale[1], fabs(wanted_v[m]));
    for (size_t m = 0; m < 3 * out; m++)
        scale[2] = fmax(scale[2], fabs(wanted_o[m]));
    for (int m = 0; m < 3; m++)
        assert_below(error[m] / scale[m], STATES);
    free(probe);
    free(wanted_h);
    free(wanted_v);
    free(wanted_o);
}

static void values_case(hid_t at, const char *name) {
    (void)name;
    struct response_case c;
    open_case(at, 64, &c);
    const size_t owned = c.frame->particles->owned;
    const struct score_input in = input_of(&c);
    real *s = malloc((owned * c.d + 1) * sizeof *s);
    assert_int_equal(score_forward(c.model, c.weights, &in, s), STATUS_OK);
    sources_match(&c, at);
    probe_match(&c, at);
    assert_below(error_of(&c, at, "s_g", 0, (int)c.d, s), SCORES);
    free(s);
    close_case(&c);
}

static void values(void **state) {
    (void)state;
    vectors_for_each("response.h5", values_case);
}

/* ---- tangents and the resolved fraction ---- */

/* Rows (N, d) of the file for this rank's particles, ghosts too. */
static real *local_rows(const struct response_case *c, hid_t at, const char *name) {
    const struct particles *p = c->frame->particles;
    const size_t n = p->owned + p->ghosts;
    double *all = vectors_reals(at, name, NULL, NULL);
    real *out = malloc((n * c->d + 1) * sizeof *out);
    for (size_t i = 0; i < n * c->d; i++)
        out[i] = (real)all[p->id[i / c->d] * c->d + i % c->d];
    free(all);
    return out;
}

static void resolved_match(const struct response_case *c, hid_t at, const real *s, const real *divergence) {
    const size_t owned = c->frame->particles->owned;
    real *terms = malloc((owned + 1) * sizeof *terms);
    for (size_t i = 0; i < owned; i++) {
        double sum = -2 * ((double)c->d + (double)divergence[i]);
        for (size_t a = 0; a < c->d; a++) {
            const double g = c->frame->particles->g[a][i], w = g + (double)s[i * c->d + a];
            sum += w * (2 * g - w);
        }
        terms[i] = (real)sum;
    }
    assert_below(error_of(c, at, "resolved/resolved_probe_terms", 0, 1, terms), TANGENTS);
    double total = 0, *want = vectors_reals(at, "resolved/resolved_probe", NULL, NULL);
    for (size_t i = 0; i < owned; i++)
        total += (double)terms[i];
    comm_sum(comm, &total, 1);
    assert_below(fabs(total - *want) / fabs(*want), TANGENTS);
    free(want);
    free(terms);
}

static void tangents_case(hid_t at, const char *name) {
    (void)name;
    struct response_case c;
    open_case(at, 64, &c);
    const size_t owned = c.frame->particles->owned;
    const struct score_input in = input_of(&c);
    real *xi = local_rows(&c, at, "xi"), *s = malloc((owned * c.d + 1) * sizeof *s);
    real *ds = malloc((owned * c.d + 1) * sizeof *ds), *divergence = calloc(owned + 1, sizeof *divergence);
    assert_int_equal(score_tangent(c.model, c.weights, &in, xi, s, ds), STATUS_OK);
    assert_below(error_of(&c, at, "s_g", 0, (int)c.d, s), SCORES);
    assert_below(error_of(&c, at, "tangent_s_g", 0, (int)c.d, ds), TANGENTS);
    for (size_t m = 0; m < owned * c.d; m++)
        divergence[m / c.d] += xi[m] * ds[m];
    assert_below(error_of(&c, at, "div_g_s_g_probe", 0, 1, divergence), TANGENTS);
    resolved_match(&c, at, s, divergence);
    free(xi);
    free(s);
    free(ds);
    free(divergence);
    close_case(&c);
}

static void tangents(void **state) {
    (void)state;
    vectors_for_each("response.h5", tangents_case);
}

/* The exact divergence, one coordinate of one particle at a time; of the cases small enough to have it. */
static void divergence_case(hid_t at, const char *name) {
    (void)name;
    if (H5Lexists(at, "div_g_s_g", H5P_DEFAULT) <= 0)
        return;
    struct response_case c;
    open_case(at, 64, &c);
    const struct particles *p = c.frame->particles;
    const size_t rows = p->owned + p->ghosts;
    const struct score_input in = input_of(&c);
    real *xi = calloc(rows * c.d + 1, sizeof *xi), *s = malloc((p->owned * c.d + 1) * sizeof *s);
    real *ds = malloc((p->owned * c.d + 1) * sizeof *ds),
         *divergence = calloc(p->owned + 1, sizeof *divergence);
    for (size_t m = 0; m < c.n * c.d; m++) {
        for (size_t i = 0; i < rows; i++)
            xi[i * c.d + m % c.d] = p->id[i] == m / c.d ? 1 : 0;
        assert_int_equal(score_tangent(c.model, c.weights, &in, xi, s, ds), STATUS_OK);
        const int64_t mine = frame_find(c.frame, (uint32_t)(m / c.d));
        if (mine >= 0)
            divergence[mine] += ds[(size_t)mine * c.d + m % c.d];
        for (size_t i = 0; i < rows; i++)
            xi[i * c.d + m % c.d] = 0;
    }
    assert_below(error_of(&c, at, "div_g_s_g", 0, 1, divergence), TANGENTS);
    free(xi);
    free(s);
    free(ds);
    free(divergence);
    close_case(&c);
}

static void divergence(void **state) {
    (void)state;
    vectors_for_each("response.h5", divergence_case);
}

/* ---- the loss ---- */

static void gradient_matches(const struct response_case *c, hid_t at, real *gradient) {
    const struct tensors *tensors = score_tensors(c->model);
    double *want = malloc(tensors->size * sizeof *want), *got = malloc(tensors->size * sizeof *got);
    comm_sum_device(comm, gradient, tensors->size);
    read_tree(at, "L_dn/gradient", tensors, want);
    for (size_t i = 0; i < tensors->size; i++)
        got[i] = (double)gradient[i];
    assert_below(relative_error(tensors->size, got, want), GRADIENTS);
    free(want);
    free(got);
}

static void loss_case(hid_t at, const char *name) {
    (void)name;
    struct response_case c;
    open_case(at, 64, &c);
    const struct particles *p = c.frame->particles;
    const size_t owned = p->owned, rows = owned + p->ghosts, size = score_tensors(c.model)->size;
    const double sigma = attribute_of(at, "L_dn", "sigma");
    real *zeta = local_rows(&c, at, "L_dn/zeta"), *s = malloc((owned * c.d + 1) * sizeof *s);
    real *gradient = calloc(size, sizeof *gradient), *weight = malloc((owned + 1) * sizeof *weight);
    real *narrow = malloc((owned + 1) * sizeof *narrow);
    double *term = calloc(owned + 1, sizeof *term), loss = 0,
           *want = vectors_reals(at, "L_dn/loss", NULL, NULL);
    double *moved[MAX_DIMENSION] = {NULL};
    for (size_t i = 0; i < owned; i++)
        weight[i] = 1 / (1000 + c.frame->graph->stiffness[i]);
    assert_below(error_of(&c, at, "L_dn/weight", 0, 1, weight), GEOMETRY);
    for (size_t a = 0; a < c.d; a++)
        moved[a] = malloc((rows + 1) * sizeof *moved[a]);
    struct score_input in = input_of(&c);
    in.g = moved;
    for (int sign = 1; sign >= -1; sign -= 2) {
        for (size_t m = 0; m < rows * c.d; m++)
            moved[m % c.d][m / c.d] = p->g[m % c.d][m / c.d] + sign * sigma * (double)zeta[m];
        assert_int_equal(score_denoising(c.model, c.weights, &in, zeta, weight, sign, sigma,
                                         1.0 / (double)c.n, term, gradient, s),
                         STATUS_OK);
        assert_below(error_of(&c, at, sign > 0 ? "L_dn/s_g_plus" : "L_dn/s_g_minus", 0, (int)c.d, s), SCORES);
    }
    for (size_t i = 0; i < owned; i++) {
        loss += term[i] / (double)c.n;
        narrow[i] = (real)term[i];
    }
    comm_sum(comm, &loss, 1);
    assert_below(error_of(&c, at, "L_dn/terms", 0, 1, narrow), TERMS);
    assert_below(fabs(loss - *want) / fabs(*want), LOSS);
    gradient_matches(&c, at, gradient);
    for (size_t a = 0; a < c.d; a++)
        free(moved[a]);
    free(zeta);
    free(s);
    free(gradient);
    free(weight);
    free(narrow);
    free(term);
    free(want);
    close_case(&c);
}

static void loss(void **state) {
    (void)state;
    vectors_for_each("response.h5", loss_case);
}

/* ---- symmetries ---- */

enum { CLUSTER = 150 };

/* A cluster in the middle of the box of case a, turned by `angle` (reflected first if so), moved by `shift` along x, its
 * particles numbered backwards if so; s (CLUSTER, 2) in the original order, turned back. */
static double *cluster_scores(struct response_case *c, double angle, bool reflected, double shift,
                              bool backwards) {
    const struct box box = {.d = 2, .periodic = true, .side = {70, 70}};
    double x[2 * CLUSTER], g[2 * CLUSTER];
    for (size_t i = 0; i < CLUSTER; i++) {
        uint32_t word[4];
        const size_t to = backwards ? CLUSTER - 1 - i : i;
        rng_words(7, STREAM_PROBE, (uint32_t)i, 0, 0, word);
        const double radius = 15 * sqrt(rng_uniform(word[0])), at = 2 * M_PI * rng_uniform(word[1]);
        const double before[2][2] = {
            {radius * cos(at), (reflected ? -1 : 1) * radius * sin(at)},
            {4 * rng_uniform(word[2]) - 2, (reflected ? -1 : 1) * (4 * rng_uniform(word[3]) - 2)}};
        for (int a = 0; a < 2; a++) {
            const double other = (a == 0 ? -1 : 1) * sin(angle);
            x[2 * to + (size_t)a] =
                35 + cos(angle) * before[0][a] + other * before[0][1 - a] + (a == 0 ? shift : 0);
            g[2 * to + (size_t)a] = cos(angle) * before[1][a] + other * before[1][1 - a];
        }
    }
    frame_destroy(&c->frame);
    free(c->centre);
    c->n = CLUSTER;
    load(c, &box, x, g);
    const struct score_input in = input_of(c);
    real *s = malloc((c->frame->particles->owned * 2 + 1) * sizeof *s);
    assert_int_equal(score_forward(c->model, c->weights, &in, s), STATUS_OK);
    double *turned = gather(c, 2, s), *out = malloc(2 * CLUSTER * sizeof *out);
    for (size_t i = 0; i < CLUSTER; i++) {
        const double *of = turned + 2 * (backwards ? CLUSTER - 1 - i : i);
        out[2 * i] = cos(angle) * of[0] + sin(angle) * of[1];
        out[2 * i + 1] = (reflected ? -1 : 1) * (cos(angle) * of[1] - sin(angle) * of[0]);
    }
    free(turned);
    free(s);
    return out;
}

static void symmetries(void **state) {
    (void)state;
    const double tolerance = TOLERANCE(1e-8, 1e-3);
    hid_t file = vectors_open("response.h5"), at = H5Gopen2(file, "a", H5P_DEFAULT);
    struct response_case c;
    open_case(at, 64, &c);
    double *as_it_is = cluster_scores(&c, 0, false, 0, false);
    const struct {
        double angle, shift;
        bool reflected, backwards;
    } change[] = {{.angle = 0.7},
                  {.reflected = true},
                  {.angle = 2.1, .reflected = true},
                  {.shift = 31.3},
                  {.backwards = true},
                  {.angle = -1.3, .shift = 40, .reflected = true, .backwards = true}};
    for (size_t m = 0; m < sizeof change / sizeof *change; m++) {
        double *changed =
            cluster_scores(&c, change[m].angle, change[m].reflected, change[m].shift, change[m].backwards);
        assert_below(relative_error(2 * CLUSTER, changed, as_it_is), tolerance);
        free(changed);
    }
    free(as_it_is);
    close_case(&c);
    H5Gclose(at);
    H5Fclose(file);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(geometry),   cmocka_unit_test(values), cmocka_unit_test(tangents),
        cmocka_unit_test(divergence), cmocka_unit_test(loss),   cmocka_unit_test(symmetries),
    };
    return run_on_ranks_with_every_loops(argc, argv, tests, sizeof tests / sizeof *tests);
}
