/* Sweeps of the response network against a plain integration of all pairs in float64, on any number of ranks; their
 * tangents and the network's against finite differences, symmetries, what the reach of sweeps cuts off, and the gradient
 * of the loss with them. */
#include "learn/response_network.h"

#include "learn/dataset.h"
#include "ranks.h"
#include "vectors.h"

/* ---- a configuration that every rank knows as a whole, and the plain integration of it ---- */

struct plain {
    size_t n, d;
    double side[MAX_DIMENSION], *x, *g; /* (n, d) */
    struct config config;
};

static void plain_free(struct plain *p) {
    free(p->x);
    free(p->g);
}

/* x_i - x_j by minimum image; returns its length. */
static double plain_pair(const struct plain *p, size_t i, size_t j, double delta[]) {
    double square = 0;
    for (size_t a = 0; a < p->d; a++) {
        delta[a] = p->x[i * p->d + a] - p->x[j * p->d + a];
        delta[a] -= p->side[a] * rint(delta[a] / p->side[a]);
        square += delta[a] * delta[a];
    }
    return sqrt(square);
}

static double plain_f(double r) {
    return log1p(exp(7.5 * (2 - r))) / 7.5;
}
static double plain_slope(double r) {
    return -1 / (1 + exp(-7.5 * (2 - r)));
}

/* u = g + F/v0. */
static void plain_velocity(const struct plain *p, const double *g, double *u) {
    const struct system_parameters *s = &p->config.system;
    const struct simulation_parameters cut = {.cutoff_tolerance = p->config.network.response.force_tolerance};
    for (size_t i = 0; i < p->n; i++) {
        for (size_t a = 0; a < p->d; a++)
            u[i * p->d + a] = g[i * p->d + a];
        for (size_t j = 0; j < p->n; j++) {
            double delta[MAX_DIMENSION], r = plain_pair(p, i, j, delta);
            for (size_t a = 0; a < p->d && j != i && r < config_cutoff(s, &cut); a++)
                u[i * p->d + a] += s->k * plain_f(r) * delta[a] / r / s->v0;
        }
    }
}

/* g as it is becomes the velocity: less F/v0. */
static void balance(struct plain *p) {
    double *u = malloc(p->n * p->d * sizeof *u);
    plain_velocity(p, p->g, u);
    for (size_t m = 0; m < p->n * p->d; m++)
        p->g[m] = 2 * p->g[m] - u[m];
    free(u);
}

/* A lattice of cells `spacing` wide with one particle each, moved at random by up to `jitter` either way; every eighth
 * cell is empty. Closer than 2 particles repel;
 * propulsions nearly balance that: velocities are of size 2. */
static struct plain plain_make(int d, size_t cells, double spacing, double jitter, const char *reach) {
    struct plain p = {.d = (size_t)d};
    const char *settings[] = {reach};
    char text[256];
    size_t all = 1;
    for (int a = 0; a < d; a++, all *= cells)
        p.side[a] = spacing * (double)cells;
    p.x = malloc(all * p.d * sizeof *p.x);
    p.g = malloc(all * p.d * sizeof *p.g);
    for (size_t m = 0; m < all; m++) {
        if (m % 8 == 5)
            continue;
        for (size_t a = 0, cell = m; a < p.d; a++, cell /= cells) {
            uint32_t word[4];
            rng_words(3, STREAM_PROBE, (uint32_t)m, (uint64_t)a, 0, word);
            p.x[p.n * p.d + a] = spacing * (double)(cell % cells) + jitter * (2 * rng_uniform(word[0]) - 1);
            p.g[p.n * p.d + a] = 4 * rng_uniform(word[1]) - 2;
        }
        p.n++;
    }
    snprintf(text, sizeof text,
             "system: {particles: %zu, dimension: %d, box: %.17g, gamma: 1e-2}\n"
             "network: {kind: response}\nresponse: {sweeps: on, sweep_scale: 1.5}\n"
             "training: {noise_on: g}\noutput: {directory: out}\n",
             p.n, d, p.side[0]);
    assert_int_equal(config_parse("test", text, 1, settings, &p.config), STATUS_OK);
    balance(&p);
    return p;
}

/* Neighbours of now, listed once. */
struct plain_list {
    size_t *start, *other;
};
static struct plain_list plain_neighbours(const struct plain *p) {
    struct plain_list list = {malloc((p->n + 1) * sizeof(size_t)), malloc(p->n * 64 * sizeof(size_t))};
    size_t count = 0;
    for (size_t i = 0; i < p->n; i++) {
        list.start[i] = count;
        for (size_t j = 0; j < p->n; j++) {
            double delta[MAX_DIMENSION];
            if (j != i && plain_pair(p, i, j, delta) < p->config.network.response.sweep_radius)
                list.other[count++] = j;
        }
        assert_true(count < p->n * 64);
    }
    list.start[p->n] = count;
    return list;
}

/* out = K(D) v. */
static void plain_product(const struct plain *p, const struct plain_list *list, const double *shift,
                          const double *v, double *out) {
    for (size_t i = 0; i < p->n; i++) {
        double sum[MAX_DIMENSION] = {0};
        for (size_t e = list->start[i]; e < list->start[i + 1]; e++) {
            const size_t j = list->other[e];
            double y[MAX_DIMENSION], r = p->config.network.response.constants.shot_guard, along = 0;
            plain_pair(p, i, j, y);
            for (size_t a = 0; a < p->d; a++) {
                y[a] -= shift[i * p->d + a] - shift[j * p->d + a];
                r += y[a] * y[a];
            }
            r = sqrt(r);
            const double kn = -p->config.system.k * plain_slope(r), kt = -p->config.system.k * plain_f(r) / r;
            for (size_t a = 0; a < p->d; a++)
                along += y[a] / r * (v[i * p->d + a] - v[j * p->d + a]);
            for (size_t a = 0; a < p->d; a++)
                sum[a] += (kn - kt) * along * y[a] / r + kt * (v[i * p->d + a] - v[j * p->d + a]);
        }
        for (size_t a = 0; a < p->d; a++)
            out[i * p->d + a] = sum[a];
    }
}

/* v <- v + h (source - K(v + h/2 (source - K v))). */
static void plain_step(const struct plain *p, const struct plain_list *list, const double *shift,
                       const double *source, double *v) {
    const double h = p->config.network.response.sweep_interval;
    const size_t size = p->n * p->d;
    double *kv = malloc(size * sizeof *kv), *middle = calloc(size, sizeof *middle);
    plain_product(p, list, shift, v, kv);
    for (size_t m = 0; m < size; m++)
        middle[m] = v[m] + h / 2 * ((source ? source[m] : 0) - kv[m]);
    plain_product(p, list, shift, middle, kv);
    for (size_t m = 0; m < size; m++)
        v[m] += h * ((source ? source[m] : 0) - kv[m]);
    free(kv);
    free(middle);
}

enum { INTERVALS = 8 };

/* Of displacements shift[k]: channels u - m_T, T = 2, 4, 8 intervals, of which the last leaves its way in history. */
static void plain_sweeps(const struct plain *p, const struct plain_list *list, double *const shift[],
                         const double *u, double *const channel[], double *const history[]) {
    const size_t size = p->n * p->d;
    for (int m = 0; m < 3; m++) {
        double *v = malloc(size * sizeof *v);
        memcpy(v, u, size * sizeof *v);
        for (int k = (2 << m) - 1; k >= 0; k--) {
            plain_step(p, list, shift[k], NULL, v);
            if (m == 2 && history)
                memcpy(history[k], v, size * sizeof *v);
        }
        for (size_t i = 0; i < size; i++)
            channel[m][i] = u[i] - v[i];
        free(v);
    }
}

/* The last channel, from u - m of the middle start. gamma cancels: it is kept as the formulas have it. */
static void plain_response(const struct plain *p, const struct plain_list *list, double *const shift[],
                           const double *middle, double *channel) {
    const size_t size = p->n * p->d;
    const double gamma = p->config.system.gamma;
    double *v = malloc(size * sizeof *v), *ends[2], *l[INTERVALS];
    memcpy(v, middle, size * sizeof *v);
    ends[0] = malloc(size * sizeof *v);
    ends[1] = malloc(size * sizeof *v);
    for (int k = 0; k < INTERVALS; k++) {
        l[k] = malloc(size * sizeof *v);
        plain_product(p, list, shift[k], v, ends[0]);
        plain_step(p, list, shift[k], NULL, v);
        plain_product(p, list, shift[k], v, ends[1]);
        for (size_t i = 0; i < size; i++)
            l[k][i] = 2 * gamma * (ends[0][i] + ends[1][i]) / (2 * gamma);
    }
    memset(channel, 0, size * sizeof *v);
    for (int k = INTERVALS - 1; k >= 0; k--) {
        plain_step(p, list, shift[k], l[k], channel);
        free(l[k]);
    }
    free(v);
    free(ends[0]);
    free(ends[1]);
}

/* All channels (7, n, d) of propulsions g, times sweep_scale; allocated. */
static double *plain_channels(const struct plain *p, const double *g) {
    const size_t size = p->n * p->d;
    const double length = p->config.network.response.sweep_interval * p->config.system.v0;
    struct plain_list list = plain_neighbours(p);
    double *out = malloc(7 * size * sizeof *out), *u = malloc(size * sizeof *u), *channel[7];
    double *shift[INTERVALS], *history[INTERVALS], *path = calloc(size, sizeof *path);
    plain_velocity(p, g, u);
    for (int c = 0; c < 7; c++)
        channel[c] = out + (size_t)c * size;
    for (int k = 0; k < INTERVALS; k++) {
        shift[k] = malloc(size * sizeof *u);
        history[k] = malloc(size * sizeof *u);
        for (size_t i = 0; i < size; i++)
            shift[k][i] = (k + 0.5) * length * u[i];
    }
    plain_sweeps(p, &list, shift, u, channel, history);
    for (int k = 0; k < INTERVALS; k++)
        for (size_t i = 0; i < size; i++) {
            shift[k][i] = path[i] + length / 2 * history[k][i];
            path[i] += length * history[k][i];
        }
    plain_sweeps(p, &list, shift, u, channel + 3, NULL);
    plain_response(p, &list, shift, channel[4], channel[6]);
    for (size_t i = 0; i < 7 * size; i++)
        out[i] *= p->config.network.response.sweep_scale;
    for (int k = 0; k < INTERVALS; k++) {
        free(shift[k]);
        free(history[k]);
    }
    free(path);
    free(u);
    free(list.start);
    free(list.other);
    return out;
}

/* ---- the same on ranks ---- */

struct loaded {
    struct frame *frame;
    struct score_model *model;
    real *weights, *s, *ds;
    uint32_t *id, *centre;
    size_t owned, rows, d, n;
};

static struct loaded load(const struct plain *p) {
    struct box box = {.d = (int)p->d, .periodic = true};
    struct slice *slice = NULL;
    struct loaded l = {.d = p->d, .n = p->n};
    const struct response_parameters *r = &p->config.network.response;
    for (size_t a = 0; a < p->d; a++)
        box.side[a] = p->side[a];
    assert_int_equal(slice_create(p->n, box.d, comm, &slice), STATUS_OK);
    for (size_t m = 0; m < slice->count * p->d; m++) {
        slice->q[m] = position_to_integer(&box, (int)(m % p->d), p->x[slice->begin * p->d + m]);
        slice->g[m] = p->g[slice->begin * p->d + m];
        slice->image[m] = 0;
    }
    assert_int_equal(frame_create(ops_cpu(), comm, &box, slice, NULL, false, 0,
                                  graph_reach(r, &p->config.system), 0, &l.frame),
                     STATUS_OK);
    assert_int_equal(frame_graph(l.frame, comm, r, &p->config.system), STATUS_OK);
    assert_int_equal(score_create(ops_cpu(), &p->config.network, box.d, box.d, 64, &l.model), STATUS_OK);
    l.owned = l.frame->particles->owned;
    l.rows = l.owned + l.frame->particles->ghosts;
    l.id = l.frame->particles->id;
    l.centre = malloc((l.owned + 1) * sizeof *l.centre);
    for (size_t i = 0; i < l.owned; i++)
        l.centre[i] = (uint32_t)i;
    l.weights = malloc(score_tensors(l.model)->size * sizeof *l.weights);
    score_initialise(l.model, 5, l.weights);
    l.s = malloc((l.owned * l.d + 1) * sizeof *l.s);
    l.ds = malloc((l.owned * l.d + 1) * sizeof *l.ds);
    slice_destroy(&slice);
    return l;
}

static void unload(struct loaded *l) {
    frame_destroy(&l->frame);
    score_destroy(&l->model);
    free(l->weights);
    free(l->centre);
    free(l->s);
    free(l->ds);
}

static struct score_input input_of(const struct loaded *l) {
    return frame_windows(l->frame, l->owned, l->centre, NULL);
}

/* Column `column` of v (owned, d, channels) of all ranks, (n, d) by id; allocated. */
static double *gather(const struct loaded *l, const real *v, size_t channels, size_t column) {
    double *all = calloc(l->n * l->d, sizeof *all);
    for (size_t i = 0; i < l->owned; i++)
        for (size_t a = 0; a < l->d; a++)
            all[l->id[i] * l->d + a] = (double)v[(i * l->d + a) * channels + column];
    comm_sum(comm, all, l->n * l->d);
    return all;
}

static double *scores(const struct loaded *l) {
    const struct score_input in = input_of(l);
    assert_int_equal(score_forward(l->model, l->weights, &in, l->s), STATUS_OK);
    return gather(l, l->s, 1, 0);
}

/* Largest error of the seven channels in v, of their values or their tangents; relative to each one's largest. */
static double channels_error(const struct loaded *l, const real *v, const double *want) {
    const struct response_network *n = (const struct response_network *)(const void *)l->model;
    double worst = 0;
    for (size_t c = 0; c < SWEEP_CHANNELS; c++) {
        double *got = gather(l, v, (size_t)n->layer[0].channels, 1 + (size_t)n->shots + c);
        worst = fmax(worst, relative_error(l->n * l->d, got, want + c * l->n * l->d));
        free(got);
    }
    return worst;
}

/* A direction of all particles: signs; (n, d), and the rows of this rank's particles. */
static double *direction_of(const struct loaded *l, real *local) {
    double *xi = malloc(l->n * l->d * sizeof *xi);
    for (size_t m = 0; m < l->n * l->d; m++) {
        uint32_t word[4];
        rng_words(11, STREAM_DIRECTION, (uint32_t)m, 0, 0, word);
        xi[m] = word[0] & 1 ? 1 : -1;
    }
    for (size_t i = 0; i < l->rows; i++)
        for (size_t a = 0; a < l->d; a++)
            local[i * l->d + a] = (real)xi[l->id[i] * l->d + a];
    return xi;
}

/* ---- channels and their tangents; all ranks see everything ---- */

static const char FAR[] = "response.sweep_reach=40";

static void channels_match_in(int d, size_t cells) {
    struct plain p = plain_make(d, cells, 1.9, 0.2, FAR);
    struct loaded l = load(&p);
    const struct response_network *n = (const struct response_network *)(const void *)l.model;
    double *want = plain_channels(&p, p.g), *tangent = NULL;
    const double e = 1e-5;
    const struct score_input in = input_of(&l);
    real *local = malloc((l.rows * l.d + 1) * sizeof *local);
    double *xi = direction_of(&l, local), *moved[2];
    assert_int_equal(score_tangent(l.model, l.weights, &in, local, l.s, l.ds), STATUS_OK);
    assert_below(channels_error(&l, n->of.layer[0].v, want), TOLERANCE(1e-11, 2e-5));
    for (int sign = 0; sign < 2; sign++) {
        double *g = malloc(p.n * p.d * sizeof *g);
        for (size_t m = 0; m < p.n * p.d; m++)
            g[m] = p.g[m] + (sign ? -e : e) * xi[m];
        moved[sign] = plain_channels(&p, g);
        free(g);
    }
    tangent = malloc(7 * p.n * p.d * sizeof *tangent);
    for (size_t m = 0; m < 7 * p.n * p.d; m++)
        tangent[m] = (moved[0][m] - moved[1][m]) / (2 * e);
    assert_below(channels_error(&l, n->along.layer[0].v, tangent), TOLERANCE(1e-7, 1e-3));
    free(moved[0]);
    free(moved[1]);
    free(tangent);
    free(want);
    free(local);
    free(xi);
    unload(&l);
    plain_free(&p);
}

static void channels_match(void **state) {
    (void)state;
    channels_match_in(2, 9);
    channels_match_in(3, 6);
    channels_match_in(1, 40);
}

/* ds against central differences of s, which float32 is too coarse for. */
static void tangents(void **state) {
    (void)state;
    if (sizeof(real) < sizeof(double))
        skip();
    struct plain p = plain_make(2, 9, 1.9, 0.2, FAR);
    const double e = 1e-6;
    struct loaded l = load(&p);
    real *local = malloc((l.rows * l.d + 1) * sizeof *local);
    double *xi = direction_of(&l, local), *ds, *s[2];
    const struct score_input in = input_of(&l);
    assert_int_equal(score_tangent(l.model, l.weights, &in, local, l.s, l.ds), STATUS_OK);
    ds = gather(&l, l.ds, 1, 0);
    for (int sign = 0; sign < 2; sign++) {
        struct plain moved = p;
        moved.g = malloc(p.n * p.d * sizeof *moved.g);
        for (size_t m = 0; m < p.n * p.d; m++)
            moved.g[m] = p.g[m] + (sign ? -e : e) * xi[m];
        struct loaded at = load(&moved);
        s[sign] = scores(&at);
        unload(&at);
        free(moved.g);
    }
    for (size_t m = 0; m < p.n * p.d; m++)
        s[0][m] = (s[0][m] - s[1][m]) / (2 * e);
    assert_below(relative_error(p.n * p.d, s[0], ds), 2e-6);
    free(s[0]);
    free(s[1]);
    free(ds);
    free(local);
    free(xi);
    unload(&l);
    plain_free(&p);
}

/* ---- symmetries ---- */

/* Scores of the plane's configuration as a cluster in the middle of a large box, turned by `angle` after a reflection
 * if so; turned back. */
static double *turned_scores(const struct plain *of, double angle, bool reflected) {
    struct plain p = *of;
    double *s, *back = malloc(p.n * 2 * sizeof *back);
    const double c = cos(angle), sine = sin(angle), sign = reflected ? -1 : 1;
    p.x = malloc(p.n * 2 * sizeof *p.x);
    p.g = malloc(p.n * 2 * sizeof *p.g);
    for (size_t i = 0; i < p.n; i++) {
        const double x = of->x[2 * i] - of->side[0] / 2, y = sign * (of->x[2 * i + 1] - of->side[0] / 2);
        const double g = of->g[2 * i], h = sign * of->g[2 * i + 1];
        p.x[2 * i] = 30 + c * x - sine * y;
        p.x[2 * i + 1] = 30 + sine * x + c * y;
        p.g[2 * i] = c * g - sine * h;
        p.g[2 * i + 1] = sine * g + c * h;
    }
    p.side[0] = p.side[1] = 60;
    struct loaded l = load(&p);
    s = scores(&l);
    for (size_t i = 0; i < p.n; i++) {
        back[2 * i] = c * s[2 * i] + sine * s[2 * i + 1];
        back[2 * i + 1] = sign * (c * s[2 * i + 1] - sine * s[2 * i]);
    }
    unload(&l);
    plain_free(&p);
    free(s);
    return back;
}

static void symmetries(void **state) {
    (void)state;
    struct plain p = plain_make(2, 9, 1.9, 0.2, FAR);
    double *as_it_is = turned_scores(&p, 0, false);
    const double angle[] = {0.7, 0, -2.1};
    for (int m = 0; m < 3; m++) {
        double *turned = turned_scores(&p, angle[m], m > 0);
        assert_below(relative_error(p.n * 2, turned, as_it_is), TOLERANCE(1e-9, 1e-3));
        free(turned);
    }
    free(as_it_is);
    plain_free(&p);
}

/* ---- reach ---- */

/* Frozen velocities beyond the reach change channels by less, the farther it is; on one rank nothing is frozen. */
static void reach(void **state) {
    (void)state;
    const char *const setting[] = {"response.sweep_reach=0", "response.sweep_reach=3",
                                   "response.sweep_reach=6"};
    const double allowed[] = {0.6, 0.25, 0.12}, exact = TOLERANCE(1e-11, 2e-5);
    double *want = NULL, before = 2;
    for (int m = 0; m < 3; m++) {
        struct plain p = plain_make(2, 40, 1.95, 0.1, setting[m]);
        struct loaded l = load(&p);
        const struct response_network *n = (const struct response_network *)(const void *)l.model;
        double *s = scores(&l);
        if (!want)
            want = plain_channels(&p, p.g);
        const double error = channels_error(&l, n->of.layer[0].v, want);
        if (comm_size(comm) == 1) {
            assert_below(error, exact);
        } else {
            assert_below(error, allowed[m]);
            assert_true(error < before && l.frame->graph->swept < p.n);
        }
        before = error;
        free(s);
        unload(&l);
        plain_free(&p);
    }
    free(want);
}

/* ---- the loss ---- */

/* Sum of the loss's terms, one sign; adds to gradient. */
static double loss_at(const struct loaded *l, const real *weights, const real *zeta, real *gradient) {
    const struct score_input in = input_of(l);
    double *term = calloc(l->owned + 1, sizeof *term), sum = 0;
    assert_int_equal(
        score_denoising(l->model, weights, &in, zeta, NULL, 1, 0.1, 1.0 / (double)l->n, term, gradient, NULL),
        STATUS_OK);
    for (size_t i = 0; i < l->owned; i++)
        sum += term[i] / (double)l->n;
    comm_sum(comm, &sum, 1);
    free(term);
    return sum;
}

/* In directions in which all parts of the gradient add up, each by a random share;
 * float32 is too coarse for differences. */
static void gradient(void **state) {
    (void)state;
    if (sizeof(real) < sizeof(double))
        skip();
    struct plain p = plain_make(2, 9, 1.9, 0.2, FAR);
    struct loaded l = load(&p);
    const size_t size = score_tensors(l.model)->size;
    const double e = 1e-8; /* the loss bends much along so many weights */
    real *zeta = malloc((l.rows * l.d + 1) * sizeof *zeta), *slope = calloc(size, sizeof *slope);
    real *rest = calloc(size, sizeof *rest), *moved = malloc(size * sizeof *moved);
    free(direction_of(&l, zeta));
    loss_at(&l, l.weights, zeta, slope);
    comm_sum_device(comm, slope, size);
    for (uint64_t m = 0; m < 4; m++) {
        double along = 0, at[2];
        for (int sign = 0; sign < 2; sign++) {
            for (size_t i = 0; i < size; i++) {
                uint32_t word[4];
                rng_words(23, STREAM_PROBE, (uint32_t)i, m, 0, word);
                const double direction = slope[i] > 0 ? rng_uniform(word[0]) : -rng_uniform(word[0]);
                moved[i] = l.weights[i] + (real)((sign ? -e : e) * direction);
                along += sign ? 0 : direction * (double)slope[i];
            }
            at[sign] = loss_at(&l, moved, zeta, rest);
        }
        assert_below(fabs((at[0] - at[1]) / (2 * e) - along) / fabs(along), 1e-5);
    }
    free(zeta);
    free(slope);
    free(rest);
    free(moved);
    unload(&l);
    plain_free(&p);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_match), cmocka_unit_test(tangents), cmocka_unit_test(symmetries),
        cmocka_unit_test(reach),          cmocka_unit_test(gradient),
    };
    return run_on_ranks_with_every_loops(argc, argv, tests, sizeof tests / sizeof *tests);
}
