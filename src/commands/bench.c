/* Bench: how fast this build is on this machine, beside what the machine could do.
 *
 * Every rank does the same work at the same time. Time is that of the processor, so that other programs on the same
 * cores do not count, or, on a GPU, that of the clock; medians of several repeats. Fractions are of ceilings that are measured on the spot: the
 * product's before and after every repeat, because clock rates change from second to second. */
#include "commands/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/provenance.h"
#include "commands/commands.h"

enum {
    PRODUCT_WIDTH = 256,
    PRODUCTS = 6, /* in one look at the ceiling: some milliseconds */
    COPY_BYTES = 1 << 26,
    REPEATS_MOST = 15,
    CALLS_MOST = 1 << 20
};
static const double LEAST_SECONDS = 0.03; /* of a repeat */

/* ---- timing ---- */

/* Seconds, of what is timed: once all that the table was asked to do is done. */
static double seconds_now(const struct bench *b) {
    if (b->ops == ops_cpu())
        return timer_processor();
    comm_fail(b->comm, b->ops->synchronise(b->ops));
    return timer_now();
}

/* Rows of the product: as many as a chunk of the paper's network has. */
static size_t product_rows(const struct bench *b) {
    return (size_t)b->chunk;
}

static double product_operations(const struct bench *b) {
    return 2.0 * (double)product_rows(b) * PRODUCT_WIDTH * PRODUCT_WIDTH;
}

static void look_at_product(struct bench *b) {
    const double begun = seconds_now(b);
    for (int m = 0; m < PRODUCTS; m++) /* with one head, a product of the library, which linear may not be */
        b->ops->carry_on(b->ops, product_rows(b), 1, PRODUCT_WIDTH, 1, b->a, b->b, NULL, b->c);
    b->product_now = PRODUCTS * product_operations(b) / (seconds_now(b) - begun);
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(int count, double *values) {
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* As many calls as fill a repeat: what rank 0 finds, for all. Warms up, too. */
static enum status calls_of(struct bench *b, bench_call *call, void *context, int *calls) {
    enum status status = STATUS_OK;
    double count = 1;
    TRY(call(context));
    seconds_now(b); /* all of it is over */
    const double begun = timer_now();
    TRY(call(context));
    seconds_now(b);
    count = fmin(fmax(ceil(LEAST_SECONDS / fmax(timer_now() - begun, 1e-9)), 1), CALLS_MOST);
out:
    comm_broadcast(b->comm, &count, sizeof count);
    *calls = (int)count;
    return status;
}

enum status bench_time(struct bench *b, const struct bench_work *work, int repeats, bench_call *call,
                       void *context) {
    enum status status = STATUS_OK;
    double seconds[REPEATS_MOST], wall[REPEATS_MOST], fraction[REPEATS_MOST];
    int calls = 1;
    TRY(calls_of(b, call, context, &calls));
    for (int m = 0; m < repeats; m++) {
        look_at_product(b);
        const double before = b->product_now, begun = seconds_now(b), begun_wall = timer_now();
        for (int n = 0; n < calls; n++)
            TRY(call(context));
        seconds[m] = (seconds_now(b) - begun) / calls;
        wall[m] = (timer_now() - begun_wall) / calls;
        look_at_product(b);
        fraction[m] = work->ceiling == CEILING_COPY
                          ? work->bytes / seconds[m] / b->copy
                          : work->operations / seconds[m] / (0.5 * (before + b->product_now));
    }
    b->row[b->rows++] = (struct bench_row){.work = *work,
                                           .seconds = median(repeats, seconds),
                                           .wall = median(repeats, wall),
                                           .fraction = median(repeats, fraction)};
out:
    return comm_agree(b->comm, status);
}

/* ---- ceilings ---- */

static enum status call_product(void *context) {
    struct bench *b = context;
    look_at_product(b);
    return STATUS_OK;
}

static enum status call_copy(void *context) {
    struct bench *b = context;
    b->ops->copy(b->ops, b->to, b->from, COPY_BYTES);
    return STATUS_OK;
}

static enum status ceilings(struct bench *b) {
    enum status status = STATUS_OK;
    const struct ops *ops = b->ops;
    const size_t rows = product_rows(b);
    static char name[64];
    snprintf(name, sizeof name, "matrix product %zu x %d x %d", rows, PRODUCT_WIDTH, PRODUCT_WIDTH);
    TRY(ops->allocate(ops, rows * PRODUCT_WIDTH * sizeof(real), (void **)&b->a));
    TRY(ops->allocate(ops, PRODUCT_WIDTH * PRODUCT_WIDTH * sizeof(real), (void **)&b->b));
    TRY(ops->allocate(ops, rows * PRODUCT_WIDTH * sizeof(real), (void **)&b->c));
    TRY(ops->allocate(ops, COPY_BYTES, &b->from));
    TRY(ops->allocate(ops, COPY_BYTES, &b->to));
    TRY(bench_time(b, &(struct bench_work){name, PRODUCTS * product_operations(b), 0, 0, CEILING_PRODUCT}, 15,
                   call_product, b));
    struct bench_row *row = &b->row[b->rows - 1]; /* the call was several products */
    row->work.operations /= PRODUCTS;
    row->seconds /= PRODUCTS;
    row->wall /= PRODUCTS;
    row->fraction = 1;
    b->product = row->work.operations / row->seconds;
    b->copy = 1;
    TRY(bench_time(b, &(struct bench_work){"copy of 64 MiB", 0, 2.0 * COPY_BYTES, 0, CEILING_COPY}, 5,
                   call_copy, b));
    row = &b->row[b->rows - 1];
    b->copy = row->work.bytes / row->seconds;
    row->fraction = 1;
out:
    return comm_agree(b->comm, status);
}

static void release(struct bench *b) {
    void *const all[] = {b->a, b->b, b->c, b->from, b->to};
    for (size_t m = 0; m < sizeof all / sizeof *all; m++)
        b->ops->release(b->ops, all[m]);
}

/* ---- what it says ---- */

/* The mean over the ranks. */
static void share(struct bench *b) {
    const double ranks = comm_size(b->comm);
    for (int m = 0; m < b->rows; m++) {
        struct bench_row *r = &b->row[m];
        double *const value[] = {&r->work.operations, &r->work.bytes, &r->work.particles,
                                 &r->seconds,         &r->wall,       &r->fraction};
        for (size_t v = 0; v < sizeof value / sizeof *value; v++) {
            comm_sum(b->comm, value[v], 1);
            *value[v] /= ranks;
        }
    }
}

static void print_table(const struct bench *b) {
    printf("epflow %s (%s) on %s, %d rank%s%s\n\n", provenance_version(), provenance_revision(), b->ops->name,
           comm_size(b->comm), comm_size(b->comm) > 1 ? "s" : "",
           comm_size(b->comm) > 1 ? " at once; means over the ranks, of each one's own share" : "");
    printf("%-44s %10s %10s %11s %21s %8s\n", "a call", "MFLOP", "MB", "ms", "rate", "ceiling");
    for (int m = 0; m < b->rows; m++) {
        const struct bench_row *r = &b->row[m];
        char rate[32] = "", fraction[16] = "";
        if (r->work.particles > 0)
            snprintf(rate, sizeof rate, "%.4g particles/s", r->work.particles / r->seconds);
        else if (r->work.operations == 0 && r->work.bytes > 0)
            snprintf(rate, sizeof rate, "%.1f GB/s", 1e-9 * r->work.bytes / r->seconds);
        else if (r->work.operations > 0)
            snprintf(rate, sizeof rate, "%.1f GFLOP/s", 1e-9 * r->work.operations / r->seconds);
        if (r->work.ceiling != CEILING_NONE)
            snprintf(fraction, sizeof fraction, "%.2f", r->fraction);
        printf("%-44s %10.5g %10.4g %11.5g %21s %8s\n", r->work.name, 1e-6 * r->work.operations,
               1e-6 * r->work.bytes, 1e3 * r->seconds, rate, fraction);
    }
    printf(
        "\nTime is processor time (on a GPU the clock's), the median of several repeats; of the ceiling: of "
        "the matrix product\n"
        "(GFLOP/s) or of the copy (GB/s) at the top; arrays that stay in cache move faster than the copy.\n");
}

static void print_json(const struct bench *b) {
    static const char *const ceiling[] = {[CEILING_PRODUCT] = "product", [CEILING_COPY] = "copy"};
    printf("{\n  \"version\": \"%s\",\n  \"revision\": \"%s\",\n  \"ranks\": %d,\n", provenance_version(),
           provenance_revision(), comm_size(b->comm));
    printf("  \"product_operations_per_second\": %.6g,\n  \"copy_bytes_per_second\": %.6g,\n  \"calls\": {",
           b->product, b->copy);
    for (int m = 0; m < b->rows; m++) {
        const struct bench_row *r = &b->row[m];
        printf("%s\n    \"%s\": {\"seconds\": %.6g, \"wall_seconds\": %.6g", m > 0 ? "," : "", r->work.name,
               r->seconds, r->wall);
        if (r->work.operations > 0)
            printf(", \"operations\": %.9g", r->work.operations);
        if (r->work.bytes > 0)
            printf(", \"bytes\": %.9g", r->work.bytes);
        if (r->work.particles > 0)
            printf(", \"particles\": %.9g", r->work.particles);
        if (r->work.ceiling != CEILING_NONE)
            printf(", \"ceiling\": \"%s\", \"fraction\": %.4g", ceiling[r->work.ceiling], r->fraction);
        printf("}");
    }
    printf("\n  }\n}\n");
}

/* ---- the command ---- */

/* The paper's system in small. Settings of the command line come on top. */
const char BENCH_SYSTEM[] = "system: {particles: 4096, packing_fraction: 0.5, v0: 0.025, gamma: 1e-4}\n"
                            "simulation: {dt: 0.1, burn_in: 200}\n"
                            "output: {directory: .}\n";

static enum status check_settings(const struct session *s) {
    static const char *const known[] = {"system.", "simulation.", "run."};
    for (int m = 0; m < s->setting_count; m++) {
        bool found = false;
        for (size_t n = 0; n < sizeof known / sizeof *known; n++)
            found = found || strncmp(s->setting[m], known[n], strlen(known[n])) == 0;
        if (!found)
            return FAIL(
                STATUS_BAD_INPUT,
                "epflow bench times fixed networks: only system, simulation and run can be set, not %s",
                s->setting[m]);
    }
    return STATUS_OK;
}

enum status command_bench(struct session *s) {
    enum status status = STATUS_OK;
    const int chunk = s->config.run.chunk;
    struct bench b = {
        .comm = s->comm, .ops = s->ops, .config = &s->config, .chunk = chunk > 0 ? chunk : s->ops->chunk};
    const bool alone = comm_size(s->comm) == 1, all = !s->part;
    if (!all && strcmp(s->part, "messages") != 0)
        return FAIL(STATUS_BAD_INPUT, "epflow bench times everything, or only messages; %s is not known",
                    s->part);
    if (!all && alone)
        return FAIL(STATUS_BAD_INPUT, "messages take two ranks at least: mpirun -n 2 epflow bench messages");
    TRY(check_settings(s));
    if (s->dry_run)
        goto out;
    TRY(ceilings(&b));
    if (!alone)
        TRY(bench_messages(&b));
    if (all) {
        TRY(bench_network_ops(&b));
        TRY(bench_steps(&b));
    }
    share(&b);
    if (comm_rank(s->comm) == 0)
        (s->json ? print_json : print_table)(&b);
out:
    release(&b);
    return status;
}
