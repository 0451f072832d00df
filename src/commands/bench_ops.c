/* The operations of a network, one chunk of the paper's: windows of 65 tokens, width 256, 4 heads; 16 of them on a CPU. */
#include "commands/bench.h"

enum { TOKENS = 65, WIDTH = 256, HEADS = 4, AXES = 2, REPEATS = 5 };
enum { WEIGHTS = 2308866 };
enum { FIELDS = 8 }; /* arrays of (AXES, rows, WIDTH): more than any operation reads and writes */

struct arrays {
    const struct ops *ops;
    size_t windows, rows; /* of a chunk */
    real *field[FIELDS];
    real *weights, *gradient, *vector; /* (WIDTH, WIDTH) twice, (rows + WIDTH) */
    real *p;                           /* (windows, HEADS, TOKENS, TOKENS) */
    real *theta[5];                    /* (WEIGHTS) */
};

static enum status call_linear(void *context) {
    struct arrays *a = context;
    a->ops->linear(a->ops, a->rows, WIDTH, WIDTH, a->field[0], WIDTH, a->weights, a->vector, a->field[1],
                   WIDTH);
    return STATUS_OK;
}

static enum status call_linear_backward(void *context) {
    struct arrays *a = context;
    a->ops->linear_backward(a->ops, a->rows, WIDTH, WIDTH, a->field[0], WIDTH, a->weights, a->field[2], WIDTH,
                            a->gradient, a->gradient, a->field[1], WIDTH, false);
    return STATUS_OK;
}

static enum status call_linear_narrow(void *context) {
    struct arrays *a = context;
    a->ops->linear(a->ops, a->rows, AXES, WIDTH, a->field[0], AXES, a->weights, a->vector, a->field[1],
                   WIDTH);
    return STATUS_OK;
}

static enum status call_gelu(void *context) {
    struct arrays *a = context;
    a->ops->gelu(a->ops, a->rows * WIDTH, a->field[0], a->field[1]);
    return STATUS_OK;
}

static enum status call_gelu_tangent(void *context) {
    struct arrays *a = context;
    a->ops->gelu_tangent(a->ops, a->rows * WIDTH, a->field[0], a->field[2], a->field[1]);
    return STATUS_OK;
}

static enum status call_norm(void *context) {
    struct arrays *a = context;
    a->ops->norm(a->ops, a->rows, WIDTH, a->field[0], WIDTH, a->field[2], WIDTH, a->weights, a->weights,
                 a->field[1], a->vector, a->field[3], WIDTH);
    return STATUS_OK;
}

static enum status call_norm_tangent(void *context) {
    struct arrays *a = context;
    a->ops->norm_tangent(a->ops, AXES, a->rows, WIDTH, a->field[0], WIDTH, a->field[2], WIDTH, a->weights,
                         a->field[4], a->vector, a->field[1]);
    return STATUS_OK;
}

static enum status call_norm_backward(void *context) {
    struct arrays *a = context;
    a->ops->norm_backward(a->ops, a->rows, WIDTH, a->weights, a->field[4], a->vector, a->field[2], WIDTH,
                          a->gradient, a->gradient + WIDTH, a->field[1], WIDTH);
    return STATUS_OK;
}

static enum status call_attention(void *context) {
    struct arrays *a = context;
    a->ops->attention(a->ops, a->windows, TOKENS, TOKENS, HEADS, WIDTH, a->field[0], a->field[2], a->field[4],
                      a->p, a->field[1]);
    return STATUS_OK;
}

static enum status call_attention_tangent(void *context) {
    struct arrays *a = context;
    a->ops->attention_tangents(a->ops, 1, a->windows, TOKENS, TOKENS, HEADS, WIDTH, a->field[0], a->field[2],
                               a->field[4], a->p, a->field[5], a->field[6], a->field[7], a->field[1]);
    return STATUS_OK;
}

static enum status call_attention_backward(void *context) {
    struct arrays *a = context;
    a->ops->attention_backward(a->ops, a->windows, TOKENS, TOKENS, HEADS, WIDTH, a->field[0], a->field[2],
                               a->field[4], a->p, a->field[5], a->field[1], a->field[3], a->field[6]);
    return STATUS_OK;
}

static enum status call_radam(void *context) {
    struct arrays *a = context;
    a->ops->radam(a->ops, WEIGHTS, 10, true, 0.999, 1e-4, 1, 0.9999, a->theta[0], a->theta[1], a->theta[2],
                  a->theta[3], a->theta[4]);
    return STATUS_OK;
}

/* ---- operands ---- */

/* Numbers between -1 and 1 that nothing depends on. */
static void fill(const struct ops *ops, size_t count, const real *pattern, size_t period, real *out) {
    for (size_t i = 0; i < count; i += period)
        ops->to_device(ops, out + i, pattern, (count - i < period ? count - i : period) * sizeof *out);
}

static enum status create(const struct ops *ops, int chunk, struct arrays *a) {
    enum { PERIOD = 4093 };
    enum status status = STATUS_OK;
    real pattern[PERIOD];
    const size_t windows = chunk < TOKENS ? 1 : (size_t)chunk / TOKENS, rows = windows * TOKENS;
    const size_t weights = WIDTH * WIDTH, p = windows * HEADS * TOKENS * TOKENS, field = AXES * rows * WIDTH;
    for (uint32_t i = 0; i < PERIOD; i++) {
        uint32_t word[4];
        rng_words(1, STREAM_PROBE, i, 0, 0, word);
        pattern[i] = (real)(2 * rng_uniform(word[0]) - 1);
    }
    *a = (struct arrays){.ops = ops, .windows = windows, .rows = rows};
    for (int m = 0; m < FIELDS; m++) {
        TRY(ops->allocate(ops, field * sizeof(real), (void **)&a->field[m]));
        fill(ops, field, pattern, PERIOD, a->field[m]);
    }
    TRY(ops->allocate(ops, weights * sizeof(real), (void **)&a->weights));
    TRY(ops->allocate(ops, weights * sizeof(real), (void **)&a->gradient));
    TRY(ops->allocate(ops, (rows + WIDTH) * sizeof(real), (void **)&a->vector));
    TRY(ops->allocate(ops, p * sizeof(real), (void **)&a->p));
    fill(ops, weights, pattern, PERIOD, a->weights);
    fill(ops, rows + WIDTH, pattern, PERIOD, a->vector);
    for (int m = 0; m < 5; m++) {
        TRY(ops->allocate(ops, WEIGHTS * sizeof(real), (void **)&a->theta[m]));
        fill(ops, WEIGHTS, pattern, PERIOD, a->theta[m]);
    }
    ops->zero(ops, a->theta[2], WEIGHTS * sizeof(real)); /* a mean of squares */
out:
    return status;
}

static void destroy(struct arrays *a) {
    for (int m = 0; m < FIELDS; m++)
        a->ops->release(a->ops, a->field[m]);
    for (int m = 0; m < 5; m++)
        a->ops->release(a->ops, a->theta[m]);
    void *const rest[] = {a->weights, a->gradient, a->vector, a->p};
    for (size_t m = 0; m < sizeof rest / sizeof *rest; m++)
        a->ops->release(a->ops, rest[m]);
}

enum status bench_network_ops(struct bench *bench) {
    enum status status = STATUS_OK;
    struct arrays a;
    TRY(comm_agree(bench->comm, create(bench->ops, bench->chunk, &a)));
    const double rows = (double)a.rows, field = rows * WIDTH * sizeof(real),
                 weights = WIDTH * WIDTH * sizeof(real);
    const double product = 2.0 * rows * WIDTH * WIDTH,
                 p = (double)a.windows * HEADS * TOKENS * TOKENS * sizeof(real);
    const double small = 2.0 * rows * TOKENS * WIDTH; /* one product of all windows and heads */
    const struct {
        struct bench_work work;
        bench_call *call;
    } list[] = {
        {{"linear 256 -> 256", product, 2 * field + weights, 0, CEILING_PRODUCT}, call_linear},
        {{"linear 256 -> 256, backward", 2 * product, 3 * field + 3 * weights, 0, CEILING_PRODUCT},
         call_linear_backward},
        {{"linear 2 -> 256", 2.0 * rows * AXES * WIDTH, field, 0, CEILING_COPY}, call_linear_narrow},
        {{"gelu", 0, 2 * field, 0, CEILING_COPY}, call_gelu},
        {{"gelu, tangent or backward", 0, 3 * field, 0, CEILING_COPY}, call_gelu_tangent},
        {{"norm", 0, 4 * field, 0, CEILING_COPY}, call_norm},
        {{"norm, two tangents", 0, 7 * field, 0, CEILING_COPY}, call_norm_tangent},
        {{"norm, backward", 0, 3 * field, 0, CEILING_COPY}, call_norm_backward},
        {{"attention", 2 * small, 4 * field + p, 0, CEILING_PRODUCT}, call_attention},
        {{"attention, a tangent", 4 * small, 7 * field + p, 0, CEILING_PRODUCT}, call_attention_tangent},
        {{"attention, backward", 4 * small, 7 * field + p, 0, CEILING_PRODUCT}, call_attention_backward},
        {{"radam", 0, 9.0 * WEIGHTS * sizeof(real), 0, CEILING_COPY}, call_radam},
    };
    for (size_t m = 0; m < sizeof list / sizeof *list; m++)
        TRY(bench_time(bench, &list[m].work, REPEATS, list[m].call, &a));
out:
    destroy(&a);
    return status;
}
