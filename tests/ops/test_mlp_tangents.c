/* A perceptron with tangents that are kept: gradients of a loss of both against finite differences of the definition
 * in float64. */
#include "ops/difference.h"

#include "learn/mlp.h"
#include "every_loops.h"

struct shape {
    int layers, in, hidden, out;
    size_t rows;
};

enum { GAP = 2 }; /* between rows */

/* One row through weights as they are laid out: of every layer w (in, out), then b (out). size: layers, in, hidden,
 * out, rows; x: the rows, the weights. */
static void through(const int size[], const double complex *weights, const double complex *x,
                    double complex *y) {
    double complex now[64], next[64];
    int wide = size[1];
    memcpy(now, x, (size_t)wide * sizeof *now);
    for (int l = 0; l <= size[0]; l++) {
        const int out = l == size[0] ? size[3] : size[2];
        for (int c = 0; c < out; c++) {
            double complex v = weights[wide * out + c];
            for (int i = 0; i < wide; i++)
                v += now[i] * weights[i * out + c];
            next[c] = l == size[0] ? v : v / 2 * (1 + ctanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
        }
        weights += (wide + 1) * out;
        wide = out;
        memcpy(now, next, (size_t)wide * sizeof *now);
    }
    memcpy(y, now, (size_t)wide * sizeof *now);
}

static void mlp_of_complex(const struct primitive *p, double complex *const x[], double complex *y) {
    for (int r = 0; r < p->size[4]; r++)
        through(p->size, x[1], x[0] + r * p->size[1], y + r * p->size[3]);
}

static real *spaced(size_t rows, int columns, const real *from) {
    const size_t wide = (size_t)columns;
    real *to = nothing(rows * (wide + GAP));
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * (wide + GAP), from + r * wide, wide * sizeof *to);
    return to;
}

static void packed(size_t rows, int columns, const real *from, real *to) {
    const size_t wide = (size_t)columns;
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * wide, from + r * (wide + GAP), wide * sizeof *to);
}

/* Everything with gaps between rows; gradients of weights are added to what is there. */
static void run(struct mlp *mlp, struct mlp_tangents *t, struct primitive *p, size_t rows) {
    struct input *in = &p->in[0], *weights = &p->in[1];
    const size_t ldi = (size_t)mlp->in + GAP, ldo = (size_t)mlp->out + GAP, all = p->sets * rows;
    real *x = spaced(rows, mlp->in, in->x), *tx = spaced(all, mlp->in, in->tx);
    real *dy = spaced(rows, mlp->out, p->cy), *dty = spaced(all, mlp->out, p->cty);
    real *y = nothing(rows * ldo), *ty = nothing(all * ldo), *dx = nothing(rows * ldi),
         *dtx = nothing(all * ldi), *again = calloc(weights->n, sizeof *again);
    mlp_forward(mlp, weights->x, rows, x, ldi, y, ldo);
    mlp_tangents_forward(mlp, t, weights->x, p->sets, rows, tx, ldi, ty, ldo);
    for (size_t i = 0; i < weights->n; i++)
        weights->dx[i] = (real)0.25;
    mlp_tangents_backward(mlp, t, weights->x, p->sets, rows, x, ldi, tx, ldi, dy, ldo, dty, ldo, weights->dx,
                          dx, ldi, dtx, ldi);
    mlp_tangents_backward(mlp, t, weights->x, p->sets, rows, x, ldi, tx, ldi, dy, ldo, dty, ldo, again, NULL,
                          0, NULL, 0);
    for (size_t i = 0; i < weights->n; i++) {
        weights->dx[i] -= (real)0.25;
        assert_below(fabs((double)weights->dx[i] - (double)again[i]), 10 * EXACT);
    }
    packed(rows, mlp->out, y, p->y);
    packed(all, mlp->out, ty, p->ty);
    packed(rows, mlp->in, dx, in->dx);
    packed(all, mlp->in, dtx, in->dtx);
    real *const made[] = {x, tx, dy, dty, y, ty, dx, dtx, again};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        free(made[i]);
}

static void check(const struct shape *z, size_t sets, double size) {
    const size_t more = z->rows + 2; /* than are used */
    struct tensors tensors = {0};
    struct mlp mlp;
    struct mlp_tangents t;
    assert_int_equal(mlp_create(ops_cpu(), "mlp", z->layers, z->in, z->hidden, z->out, more, &tensors, &mlp),
                     STATUS_OK);
    assert_int_equal(mlp_tangents_create(&mlp, sets * more, &t), STATUS_OK);
    struct primitive p = {
        .sets = sets, .of = mlp_of_complex, .size = {z->layers, z->in, z->hidden, z->out, (int)z->rows}};
    primitive_input(&p, z->rows * (size_t)z->in, true, size);
    primitive_input(&p, tensors.size, false, 1);
    primitive_output(&p, z->rows * (size_t)z->out);
    run(&mlp, &t, &p, z->rows);
    mlp_tangents_destroy(&t);
    mlp_destroy(&mlp);
    tensors_free(&tensors);
    primitive_check(&p, 1);
}

static void tangents(void **state) {
    (void)state;
    static const struct shape shapes[] = {
        {1, 3, 7, 2, 5}, {1, 1, 1, 1, 1}, {2, 2, 5, 3, 4}, {3, 4, 8, 1, 3}, {4, 2, 6, 6, 1}};
    static const size_t sets[] = {0, 1, 3};
    static const double sizes[] = {1e-2, 1, 6};
    for (size_t m = 0; m < sizeof shapes / sizeof *shapes; m++)
        for (size_t s = 0; s < 3; s++)
            for (size_t v = 0; v < 3; v++)
                check(&shapes[m], sets[s], sizes[v]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tangents)};
    return run_with_every_loops(tests, sizeof tests / sizeof *tests, numbers_again);
}
