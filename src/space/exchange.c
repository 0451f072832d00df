/* Between the order of particle ids, in which files are written and read, and the order of ownership.
 * Rank r keeps an equal share of the ids (a slice), so every read and write is one contiguous block. */
#include "space/particles.h"

#include <stdlib.h>
#include <string.h>

enum status slice_create(size_t n, int d, const struct comm *comm, struct slice **out) {
    struct slice *s = calloc(1, sizeof *s);
    *out = s;
    if (s) {
        s->n = n;
        s->d = d;
        s->begin = slice_begin(n, comm_size(comm), comm_rank(comm));
        s->count = slice_begin(n, comm_size(comm), comm_rank(comm) + 1) - s->begin;
        size_t numbers = s->count * (size_t)d + 1;
        s->q = calloc(numbers, sizeof *s->q);
        s->image = calloc(numbers, sizeof *s->image);
        s->g = calloc(numbers, sizeof *s->g);
    }
    if (!s || !s->q || !s->image || !s->g) {
        slice_destroy(out);
        return FAIL(STATUS_FAILURE, "out of memory for a rank's share of %zu particles", n);
    }
    return STATUS_OK;
}

void slice_destroy(struct slice **slice) {
    if (!*slice)
        return;
    free((*slice)->q);
    free((*slice)->image);
    free((*slice)->g);
    free(*slice);
    *slice = NULL;
}

double slice_bytes(int d, double count) {
    return count * d * (sizeof(uint64_t) + sizeof(int32_t) + sizeof(double));
}

/* Sends `count` rows of `bytes` to the ranks whose slice has their id, as records {id, row}; calls `place` by
 * copying each row to out + (id - begin) * bytes. */
static enum status send_rows(size_t count, const uint32_t *id, size_t bytes, const char *rows, size_t n,
                             struct comm *comm, char *out) {
    enum status status = STATUS_OK;
    int ranks = comm_size(comm);
    size_t record = sizeof(uint64_t) + bytes, got = 0;
    size_t begin = slice_begin(n, ranks, comm_rank(comm));
    size_t mine = slice_begin(n, ranks, comm_rank(comm) + 1) - begin;
    size_t *numbers = calloc(3 * (size_t)ranks + 1, sizeof *numbers);
    size_t *sends = numbers, *receives = numbers + ranks, *at = numbers + 2 * ranks;
    char *packed = malloc(count * record + 1);
    void *received = NULL;
    if (!numbers || !packed)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu rows to be written", count);
    TRY(comm_agree(comm, status));
    for (size_t i = 0; i < count; i++)
        sends[slice_rank(n, ranks, id[i])]++;
    for (int r = 0; r < ranks; r++)
        at[r + 1] = at[r] + sends[r];
    for (size_t i = 0; i < count; i++) {
        char *to = packed + at[slice_rank(n, ranks, id[i])]++ * record;
        uint64_t wide = id[i];
        memcpy(to, &wide, sizeof wide);
        memcpy(to + sizeof wide, rows + i * bytes, bytes);
    }
    TRY(comm_exchange(comm, record, sends, packed, receives, &received));
    for (int r = 0; r < ranks; r++)
        got += receives[r];
    for (size_t i = 0; i < got; i++) {
        uint64_t wide;
        const char *from = (const char *)received + i * record;
        memcpy(&wide, from, sizeof wide);
        memcpy(out + (wide - begin) * bytes, from + sizeof wide, bytes);
    }
    if (got != mine)
        status =
            FAIL(STATUS_NUMBERS,
                 "%zu particles were found where there should be %zu: one was lost or doubled", got, mine);
    TRY(comm_agree(comm, status));
out:
    free(numbers);
    free(packed);
    free(received);
    return status;
}

enum status rows_to_slice(size_t owned, const uint32_t *id, int columns, const double *rows, size_t n,
                          struct comm *comm, double *out) {
    return send_rows(owned, id, (size_t)columns * sizeof *rows, (const char *)rows, n, comm, (char *)out);
}

/* The ids sorted by the rank whose slice has them: sends[r] of them go to rank r; place[i] says where id[i] went.
 * at: scratch of ranks + 1. */
static enum status sort_by_rank(size_t count, const uint32_t *id, size_t n, int ranks, size_t *sends,
                                size_t *at, uint64_t *sorted, size_t *place) {
    for (size_t i = 0; i < count; i++) {
        if (id[i] >= n)
            return FAIL(STATUS_NUMBERS, "particle %lu is asked for where there are %zu", (unsigned long)id[i],
                        n);
        sends[slice_rank(n, ranks, id[i])]++;
    }
    for (int r = 0; r < ranks; r++)
        at[r + 1] = at[r] + sends[r];
    for (size_t i = 0; i < count; i++) {
        place[i] = at[slice_rank(n, ranks, id[i])]++;
        sorted[place[i]] = id[i];
    }
    return STATUS_OK;
}

/* The rows of this rank's slice that were asked for, in the order of asking; allocated. */
static char *rows_asked_for(size_t count, const uint64_t *id, size_t begin, size_t bytes, const char *rows) {
    char *answer = malloc(count * bytes + 1);
    for (size_t i = 0; answer && i < count; i++)
        memcpy(answer + i * bytes, rows + (id[i] - begin) * bytes, bytes);
    return answer;
}

/* Two exchanges: ids to the ranks that have their rows, and the rows back in the same order. */
enum status rows_from_slice(size_t n, int columns, const double *rows, size_t owned, const uint32_t *id,
                            struct comm *comm, double *out) {
    enum status status = STATUS_OK;
    const int ranks = comm_size(comm);
    const size_t begin = slice_begin(n, ranks, comm_rank(comm)), bytes = (size_t)columns * sizeof *rows;
    size_t *numbers = calloc(4 * (size_t)ranks + 1, sizeof *numbers), got = 0;
    size_t *sends = numbers, *receives = numbers + ranks, *back = numbers + 2 * ranks;
    size_t *place = malloc((owned + 1) * sizeof *place);
    uint64_t *sorted = malloc((owned + 1) * sizeof *sorted);
    void *asked = NULL, *answered = NULL;
    char *answer = NULL;
    if (!numbers || !place || !sorted)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu rows", owned);
    else
        status = sort_by_rank(owned, id, n, ranks, sends, numbers + 3 * ranks, sorted, place);
    TRY(comm_agree(comm, status));
    TRY(comm_exchange(comm, sizeof *sorted, sends, sorted, receives, &asked));
    for (int r = 0; r < ranks; r++)
        got += receives[r];
    answer = rows_asked_for(got, asked, begin, bytes, (const char *)rows);
    TRY(comm_agree(comm, answer ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for %zu rows", got)));
    TRY(comm_exchange(comm, bytes, receives, answer, back, &answered));
    for (size_t i = 0; i < owned; i++)
        memcpy(out + i * (size_t)columns, (const char *)answered + place[i] * bytes, bytes);
out:
    free(numbers);
    free(place);
    free(sorted);
    free(asked);
    free(answer);
    free(answered);
    return status;
}

/* One particle as a row of fixed size. */
struct row {
    uint64_t q[MAX_DIMENSION];
    double g[MAX_DIMENSION];
    int32_t image[MAX_DIMENSION];
};

enum status particles_to_slice(const struct particles *p, struct comm *comm, struct slice *slice) {
    enum status status = STATUS_OK;
    uint32_t *id = malloc((p->owned + 1) * sizeof *id);
    uint64_t *column = malloc((p->owned + 1) * sizeof *column);
    struct row *row = calloc(p->owned + 1, sizeof *row), *mine = calloc(slice->count + 1, sizeof *mine);
    if (!id || !column || !row || !mine)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles to be written", p->owned);
    TRY(comm_agree(comm, status));
    p->ops->to_host(p->ops, id, p->id, p->owned * sizeof *id);
    for (int a = 0; a < p->d; a++) {
        p->ops->to_host(p->ops, column, p->q[a], p->owned * sizeof(uint64_t));
        for (size_t i = 0; i < p->owned; i++)
            row[i].q[a] = column[i];
        p->ops->to_host(p->ops, column, p->g[a], p->owned * sizeof(double));
        for (size_t i = 0; i < p->owned; i++)
            row[i].g[a] = ((double *)column)[i];
        p->ops->to_host(p->ops, column, p->image[a], p->owned * sizeof(int32_t));
        for (size_t i = 0; i < p->owned; i++)
            row[i].image[a] = ((int32_t *)column)[i];
    }
    TRY(send_rows(p->owned, id, sizeof *row, (const char *)row, slice->n, comm, (char *)mine));
    for (size_t i = 0; i < slice->count; i++)
        for (int a = 0; a < p->d; a++) {
            size_t at = i * (size_t)p->d + (size_t)a;
            slice->q[at] = mine[i].q[a];
            slice->g[at] = mine[i].g[a];
            slice->image[at] = mine[i].image[a];
        }
out:
    free(id);
    free(column);
    free(row);
    free(mine);
    return status;
}

/* id, column, row and mine; packed and received with their ids. */
double particles_to_slice_bytes(double owned) {
    return owned * (sizeof(uint32_t) + sizeof(uint64_t) + 2 * sizeof(struct row) +
                    2 * (sizeof(uint64_t) + sizeof(struct row)));
}

enum status particles_from_slice(struct particles *p, struct domain *domain, struct comm *comm,
                                 const struct slice *slice, double cell) {
    enum status status = STATUS_OK;
    size_t n = slice->count, d = (size_t)p->d;
    uint64_t *q[MAX_DIMENSION] = {0};
    double *g = malloc((n + 1) * sizeof *g);
    int32_t *image = malloc((n + 1) * sizeof *image);
    uint32_t *id = malloc((n + 1) * sizeof *id);
    uint64_t *column = malloc((n * d + 1) * sizeof *column);
    p->owned = p->ghosts = 0;
    status = particles_reserve(p, n);
    if (status == STATUS_OK && (!g || !image || !id || !column))
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    TRY(comm_agree(comm, status));
    for (size_t i = 0; i < n; i++)
        id[i] = (uint32_t)(slice->begin + i);
    p->ops->to_device(p->ops, p->id, id, n * sizeof *id);
    for (size_t a = 0; a < d; a++) {
        q[a] = column + a * n;
        for (size_t i = 0; i < n; i++) {
            q[a][i] = slice->q[i * d + a];
            g[i] = slice->g[i * d + a];
            image[i] = slice->image[i * d + a];
        }
        p->ops->to_device(p->ops, p->q[a], q[a], n * sizeof *q[a]);
        p->ops->to_device(p->ops, p->g[a], g, n * sizeof *g);
        p->ops->to_device(p->ops, p->image[a], image, n * sizeof *image);
    }
    p->owned = n;
    TRY(domain_balance(domain, comm, n, 1, q));
    TRY(particles_migrate(p, domain, comm, cell));
out:
    free(g);
    free(image);
    free(id);
    free(column);
    return status;
}
