/* Copies of the particles around a rank's box.
 *
 * Who needs what is decided by the sender, from the boxes of all ranks: particle i of mine goes to rank r
 * if it is closer to r's box than the halo is wide. Positions are integers modulo the box, so a copy needs
 * no shift across the edge, and one copy serves every image. The relation "closer than the width" between
 * two boxes is symmetric, so both sides know with whom they talk, and the lists are made once: a change of
 * positions travels as one message per peer, [axis][particle], packed and unpacked on the device.
 */
#include "space/halo.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct halo {
    const struct ops *ops;
    struct comm *comm;
    int d;
    double width;
    int peers;
    size_t *send_first;         /* (peers + 1) into send_index */
    size_t *receive_first;      /* (peers + 1) into the ghosts */
    uint32_t *send_index;       /* device: local particles to send, peer after peer */
    size_t columns;             /* that travel: d of positions, with g twice as many */
    char *send, *receive;       /* device: message buffers, `columns` values of 8 bytes per particle */
    struct comm_pattern rows;   /* offsets for messages of so many values per particle */
    struct comm_pattern values; /* and of one */
    struct comm_channel *positions;
};

void halo_destroy(struct halo **halo) {
    struct halo *h = *halo;
    if (!h)
        return;
    comm_channel_destroy(&h->positions);
    h->ops->release(h->ops, h->send_index);
    h->ops->release(h->ops, h->send);
    h->ops->release(h->ops, h->receive);
    free(h->send_first);
    free(h->receive_first);
    free(h->rows.peer);
    free(h->rows.send_offset);
    free(h->rows.receive_offset);
    free(h->values.send_offset);
    free(h->values.receive_offset);
    free(h);
    *halo = NULL;
}

static enum status find_peers(struct halo *h, const struct domain *domain) {
    size_t ranks = (size_t)domain->ranks;
    h->send_first = calloc(ranks + 1, sizeof(size_t));
    h->receive_first = calloc(ranks + 1, sizeof(size_t));
    h->rows.peer = calloc(ranks, sizeof(int));
    h->rows.send_offset = calloc(ranks + 1, sizeof(size_t));
    h->rows.receive_offset = calloc(ranks + 1, sizeof(size_t));
    h->values.send_offset = calloc(ranks + 1, sizeof(size_t));
    h->values.receive_offset = calloc(ranks + 1, sizeof(size_t));
    if (!h->send_first || !h->receive_first || !h->rows.peer || !h->rows.send_offset ||
        !h->rows.receive_offset || !h->values.send_offset || !h->values.receive_offset)
        return FAIL(STATUS_FAILURE, "out of memory for a halo among %zu ranks", ranks);
    for (int r = 0; r < domain->ranks && domain->box.group == 0; r++)
        if (r != domain->rank && domain_gap(domain, domain->rank, r) < h->width)
            h->rows.peer[h->peers++] = r;
    h->rows.peers = h->values.peers = h->peers;
    h->values.peer = h->rows.peer;
    return STATUS_OK;
}

/* Those of the owned particles that may be near to other ranks: their numbers, and, one column after the other, their
 * positions and ids, on the host (to be freed). Only they leave the device. */
static enum status find_candidates(const struct halo *h, const struct domain *domain,
                                   const struct particles *p, size_t *count, uint32_t **number,
                                   uint64_t **columns) {
    const struct region deep = domain_deep_inside(domain, h->width);
    struct moved_column column[MAX_DIMENSION + 1];
    *count = h->peers > 0 ? p->ops->outside(p->ops, h->d, p->owned, p->q, &deep, p->chosen) : 0;
    *number = malloc((*count + 1) * sizeof **number);
    *columns = malloc((*count + 1) * ((size_t)h->d + 1) * sizeof **columns);
    if (!*number || !*columns)
        return FAIL(STATUS_FAILURE, "out of memory for the list of a halo");
    for (int a = 0; a < h->d; a++)
        column[a] = (struct moved_column){p->q[a], sizeof *p->q[a]};
    column[h->d] = (struct moved_column){p->id, sizeof *p->id};
    p->ops->to_host(p->ops, *number, p->chosen, *count * sizeof **number);
    p->ops->fetch(p->ops, h->d + 1, column, *count, p->chosen, *columns);
    return STATUS_OK;
}

/* Lists of those of `candidates` that every peer needs (host), from their positions q (host): numbers of candidates. */
static enum status choose_sent(struct halo *h, const struct domain *domain, size_t candidates,
                               uint64_t *const q[], uint32_t **out) {
    size_t room = 2 * candidates + 16, count = 0;
    uint32_t *index = malloc(room * sizeof *index);
    for (int p = 0; index && p < h->peers; p++) {
        h->send_first[p] = count;
        for (size_t m = 0; m < candidates; m++) {
            uint64_t position[MAX_DIMENSION] = {0};
            for (int a = 0; a < h->d; a++)
                position[a] = q[a][m];
            if (domain_distance(domain, h->rows.peer[p], position) >= h->width)
                continue;
            if (count == room) {
                uint32_t *larger = realloc(index, (room *= 2) * sizeof *index);
                if (!larger)
                    free(index);
                index = larger;
                if (!index)
                    break;
            }
            index[count++] = (uint32_t)m;
        }
    }
    h->send_first[h->peers] = count;
    *out = index;
    return index ? STATUS_OK : FAIL(STATUS_FAILURE, "out of memory for the list of a halo");
}

/* What every peer needs of the particles p: index, their numbers, and their ids, 8 bytes each like everything else (host, to be freed). */
static enum status find_sent(struct halo *h, const struct domain *domain, const struct particles *p,
                             uint32_t **index, uint64_t **ids) {
    enum status status = STATUS_OK;
    uint32_t *number = NULL;
    uint64_t *columns = NULL, *q[MAX_DIMENSION] = {0};
    size_t candidates = 0;
    TRY(find_candidates(h, domain, p, &candidates, &number, &columns));
    for (int a = 0; a < h->d; a++)
        q[a] = columns + (size_t)a * candidates;
    const uint32_t *id = (const uint32_t *)(columns + (size_t)h->d * candidates);
    TRY(choose_sent(h, domain, candidates, q, index));
    const size_t sent = h->send_first[h->peers];
    *ids = malloc((sent + 1) * sizeof **ids);
    if (!*ids)
        status = FAIL(STATUS_FAILURE, "out of memory for the list of a halo");
    for (size_t k = 0; k < sent && *ids; k++) {
        (*ids)[k] = id[(*index)[k]];
        (*index)[k] = number[(*index)[k]];
    }
out:
    free(number);
    free(columns);
    return status;
}

/* Every peer's number of particles, then the offsets of both kinds of message. */
static enum status exchange_counts(struct halo *h) {
    uint64_t *numbers = calloc(2 * (size_t)h->peers + 1, sizeof *numbers);
    if (!numbers)
        return FAIL(STATUS_FAILURE, "out of memory for a halo among %d ranks", h->peers);
    uint64_t *sent = numbers, *received = numbers + h->peers;
    for (int p = 0; p < h->peers; p++) {
        sent[p] = h->send_first[p + 1] - h->send_first[p];
        h->values.send_offset[p + 1] = h->values.receive_offset[p + 1] = ((size_t)p + 1) * sizeof *numbers;
    }
    enum status status = comm_peers(h->comm, &h->values, sent, received); /* host memory, this once */
    h->rows.device = h->values.device = true;
    for (int p = 0; p < h->peers; p++)
        h->receive_first[p + 1] = h->receive_first[p] + received[p];
    for (int p = 0; p <= h->peers; p++) {
        h->values.send_offset[p] = h->send_first[p] * sizeof(uint64_t);
        h->values.receive_offset[p] = h->receive_first[p] * sizeof(uint64_t);
        h->rows.send_offset[p] = h->values.send_offset[p] * h->columns;
        h->rows.receive_offset[p] = h->values.receive_offset[p] * h->columns;
    }
    if (status == STATUS_OK &&
        (h->rows.send_offset[h->peers] > INT_MAX || h->rows.receive_offset[h->peers] > INT_MAX))
        status = FAIL(STATUS_FAILURE, "a halo of more than 2 GiB on one rank: use more ranks");
    free(numbers);
    return status;
}

/* columns[a][send_index] (8-byte elements), peer after peer, into the message buffer. */
static void pack(struct halo *h, const struct comm_pattern *pattern, int columns, void *const column[]) {
    for (int p = 0; p < h->peers; p++) {
        size_t first = h->send_first[p], count = h->send_first[p + 1] - first;
        for (int a = 0; a < columns; a++)
            h->ops->gather8(h->ops, count, h->send_index + first, column[a],
                            h->send + pattern->send_offset[p] + (size_t)a * count * sizeof(uint64_t));
    }
}

/* What has come into columns[a][owned + ...]. */
static void unpack(struct halo *h, const struct comm_pattern *pattern, size_t owned, int columns,
                   void *const column[]) {
    for (int p = 0; p < h->peers; p++) {
        size_t first = h->receive_first[p], count = h->receive_first[p + 1] - first;
        for (int a = 0; a < columns; a++)
            h->ops->copy(h->ops, (char *)column[a] + (owned + first) * sizeof(uint64_t),
                         h->receive + pattern->receive_offset[p] + (size_t)a * count * sizeof(uint64_t),
                         count * sizeof(uint64_t));
    }
}

static enum status send_columns(struct halo *h, size_t owned, int columns, void *const column[]) {
    const struct comm_pattern *pattern = columns == 1 ? &h->values : &h->rows;
    if (h->peers == 0)
        return STATUS_OK;
    pack(h, pattern, columns, column);
    enum status status = comm_peers(h->comm, pattern, h->send, h->receive);
    if (status == STATUS_OK)
        unpack(h, pattern, owned, columns, column);
    return status;
}

/* Ids to those who need them, once per halo and between hosts; received: room for twice as many as there are ghosts. */
static enum status send_ids(struct halo *h, struct particles *p, const uint64_t *ids, uint64_t *received) {
    struct comm_pattern hosts = h->values;
    hosts.device = false;
    enum status status = comm_peers(h->comm, &hosts, ids, received);
    uint32_t *narrow = (uint32_t *)(void *)(received + p->ghosts);
    for (size_t m = 0; m < p->ghosts; m++)
        narrow[m] = (uint32_t)received[m];
    h->ops->to_device(h->ops, p->id + p->owned, narrow, p->ghosts * sizeof *narrow);
    return status;
}

/* Room for messages and ghosts. */
static enum status reserve_messages(struct halo *h, struct particles *p, uint64_t **received_ids) {
    enum status status = STATUS_OK;
    const size_t sent = h->send_first[h->peers], received = h->receive_first[h->peers];
    TRY(particles_reserve(p, p->owned + received));
    TRY(p->ops->allocate(p->ops, sent * sizeof *h->send_index, (void **)&h->send_index));
    TRY(p->ops->allocate(p->ops, sent * h->columns * sizeof(uint64_t), (void **)&h->send));
    TRY(p->ops->allocate(p->ops, received * h->columns * sizeof(uint64_t), (void **)&h->receive));
    *received_ids = malloc((2 * received + 1) * sizeof **received_ids);
    if (!*received_ids)
        status = FAIL(STATUS_FAILURE, "out of memory for %zu particles", received);
out:
    return status;
}

static enum status create(struct particles *p, const struct domain *domain, struct comm *comm, double width,
                          bool turning, struct halo **out) {
    enum status status = STATUS_OK;
    struct halo *h = calloc(1, sizeof *h);
    uint32_t *index = NULL;
    uint64_t *ids = NULL, *received_ids = NULL;
    *out = h;
    p->ghosts = 0;
    if (h)
        *h = (struct halo){.ops = p->ops,
                           .comm = comm,
                           .d = p->d,
                           .width = width,
                           .columns = (size_t)p->d * (turning ? 2 : 1)};
    else
        status = FAIL(STATUS_FAILURE, "out of memory for a halo");
    TRY(comm_agree(comm, status));
    status = find_peers(h, domain);
    if (status == STATUS_OK)
        status = find_sent(h, domain, p, &index, &ids);
    TRY(comm_agree(comm, status));
    status = exchange_counts(h);
    if (status == STATUS_OK)
        status = reserve_messages(h, p, &received_ids);
    TRY(comm_agree(comm, status));
    p->ops->to_device(p->ops, h->send_index, index, h->send_first[h->peers] * sizeof *index);
    p->ghosts = h->receive_first[h->peers];
    TRY(comm_agree(comm, comm_channel_create(comm, &h->rows, h->send, h->receive, &h->positions)));
    TRY(send_ids(h, p, ids, received_ids));
    halo_positions(h, p);
    if (!turning)
        TRY(send_columns(h, p->owned, p->d, (void *const[]){p->g[0], p->g[1], p->g[2]}));
out:
    free(index);
    free(ids);
    free(received_ids);
    if (status != STATUS_OK && *out)
        halo_destroy(out);
    return status;
}

enum status halo_create(struct particles *p, const struct domain *domain, struct comm *comm, double width,
                        struct halo **out) {
    return create(p, domain, comm, width, false, out);
}

enum status halo_create_turning(struct particles *p, const struct domain *domain, struct comm *comm,
                                double width, struct halo **out) {
    return create(p, domain, comm, width, true, out);
}

double halo_ghosts(const struct domain *domain, double particles, double width) {
    const struct rank_box *part = &domain->part[domain->rank];
    double own = 1, reached = 1;
    if (domain->box.group > 0)
        return 0;
    for (int a = 0; a < domain->box.d; a++) {
        const double share = ((double)(part->last[a] - part->low[a]) + 1) * 0x1p-64;
        own *= share;
        reached *= fmin(1, share + 2 * width / domain->box.side[a]);
    }
    return particles * (reached - own);
}

/* As many are sent as received. */
double halo_bytes(int d, bool turning, double ghosts) {
    return ghosts * (sizeof(uint32_t) + 2.0 * (turning ? 2 : 1) * d * sizeof(uint64_t));
}

/* What travels: positions, then g. */
static void list_columns(const struct particles *p, void *column[2 * MAX_DIMENSION]) {
    for (int a = 0; a < p->d; a++) {
        column[a] = p->q[a];
        column[p->d + a] = p->g[a];
    }
}

void halo_positions_begin(struct halo *h, const struct particles *p) {
    void *column[2 * MAX_DIMENSION];
    if (h->peers == 0)
        return;
    list_columns(p, column);
    pack(h, &h->rows, (int)h->columns, column);
    comm_channel_begin(h->positions);
}

void halo_positions_end(struct halo *h, struct particles *p) {
    void *column[2 * MAX_DIMENSION];
    list_columns(p, column);
    if (comm_channel_end(h->positions))
        unpack(h, &h->rows, p->owned, (int)h->columns, column);
}

void halo_positions(struct halo *h, struct particles *p) {
    halo_positions_begin(h, p);
    halo_positions_end(h, p);
}

enum status halo_values(struct halo *h, const struct particles *p, double *values) {
    return send_columns(h, p->owned, 1, (void *const[]){values});
}

/* ---- validity ---- */

static int compare_ids(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* A number that depends on id and position of particle i. */
static double fingerprint(const struct particles *p, const uint32_t *id, uint64_t *const q[], size_t i) {
    uint64_t h = id[i] * 0x9e3779b97f4a7c15u;
    for (int a = 0; a < p->d; a++)
        h = (h ^ q[a][i]) * 0xbf58476d1ce4e5b9u;
    return (double)(h >> 12);
}

bool halo_is_valid(struct halo *h, const struct particles *p) {
    size_t n = p->owned + p->ghosts;
    double *print = NULL, *host = calloc(n + 1, sizeof *host), bad = 0;
    uint32_t *id = calloc(n + 1, sizeof *id);
    uint64_t *sorted = calloc(n + 1, sizeof *sorted), *q[MAX_DIMENSION] = {0};
    h->ops->to_host(h->ops, id, p->id, n * sizeof *id);
    for (int a = 0; a < p->d; a++) {
        q[a] = calloc(n + 1, sizeof *q[a]);
        h->ops->to_host(h->ops, q[a], p->q[a], n * sizeof *q[a]);
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = id[i];
        host[i] = i < p->owned ? fingerprint(p, id, q, i) : 0;
    }
    qsort(sorted, n, sizeof *sorted, compare_ids);
    for (size_t i = 1; i < n; i++)
        bad += sorted[i] == sorted[i - 1];
    if (h->ops->allocate(h->ops, n * sizeof *print, (void **)&print) == STATUS_OK) {
        h->ops->to_device(h->ops, print, host, n * sizeof *print);
        bad += halo_values(h, p, print) != STATUS_OK;
        h->ops->to_host(h->ops, host, print, n * sizeof *print);
    }
    for (size_t i = p->owned; i < n; i++)
        bad += host[i] != fingerprint(p, id, q, i);
    comm_max(h->comm, &bad, 1);
    h->ops->release(h->ops, print);
    for (int a = 0; a < p->d; a++)
        free(q[a]);
    free(host);
    free(id);
    free(sorted);
    return bad == 0;
}
