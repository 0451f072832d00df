#include "space/domain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t HALF = (uint64_t)1 << 63;

static inline uint64_t cut_coordinate(const struct box *box, uint64_t q) {
    return box->periodic ? q : q + HALF;
}

/* ---- the tree of cuts: ranks first ... first + count - 1 split at first + count / 2 ---- */

static int longest_axis(const struct box *box, const struct rank_box *part) {
    int best = 0;
    double longest = -1;
    for (int a = 0; a < box->d; a++) {
        double length = (double)(part->last[a] - part->low[a]) * box->side[a];
        if (length > longest * (1 + 1e-9)) {
            longest = length;
            best = a;
        }
    }
    return best;
}

static struct rank_box whole_box(void) {
    return (struct rank_box){{0, 0, 0}, {UINT64_MAX, UINT64_MAX, UINT64_MAX}};
}

/* Writes the boxes of all ranks below one node of the tree. */
static void spread_boxes(struct domain *domain, int first, int count, struct rank_box part) {
    if (count == 1) {
        domain->part[first] = part;
        return;
    }
    int middle = first + count / 2, axis = domain->cut[middle].axis;
    struct rank_box upper = part;
    part.last[axis] = domain->cut[middle].last;
    upper.low[axis] = domain->cut[middle].last + 1;
    spread_boxes(domain, first, middle - first, part);
    spread_boxes(domain, middle, first + count - middle, upper);
}

static void cut_evenly(struct domain *domain, int first, int count, struct rank_box part) {
    if (count == 1)
        return;
    int middle = first + count / 2, axis = longest_axis(&domain->box, &part);
    double share = (double)(middle - first) / count;
    struct rank_box upper = part;
    uint64_t last = part.low[axis] + (uint64_t)((double)(part.last[axis] - part.low[axis]) * share);
    domain->cut[middle] = (struct rank_cut){axis, last};
    part.last[axis] = last;
    upper.low[axis] = last + 1;
    cut_evenly(domain, first, middle - first, part);
    cut_evenly(domain, middle, first + count - middle, upper);
}

enum status domain_create(const struct box *box, const struct comm *comm, struct domain **out) {
    struct domain *domain = calloc(1, sizeof *domain);
    size_t ranks = (size_t)comm_size(comm);
    *out = domain;
    if (domain) {
        domain->part = calloc(ranks, sizeof *domain->part);
        domain->cut = calloc(ranks, sizeof *domain->cut);
    }
    if (!domain || !domain->part || !domain->cut) {
        domain_destroy(out);
        return FAIL(STATUS_FAILURE, "out of memory for the boxes of %zu ranks", ranks);
    }
    domain->box = *box;
    domain->ranks = (int)ranks;
    domain->rank = comm_rank(comm);
    cut_evenly(domain, 0, domain->ranks, whole_box());
    spread_boxes(domain, 0, domain->ranks, whole_box());
    return STATUS_OK;
}

void domain_destroy(struct domain **domain) {
    if (!*domain)
        return;
    free((*domain)->part);
    free((*domain)->cut);
    free(*domain);
    *domain = NULL;
}

/* ---- balancing: all nodes of one level of the tree at once, each by bisection on its coordinate ---- */

struct node {
    int first, count; /* ranks */
    struct rank_box part;
    int axis;
    uint64_t low, high; /* the cut's last coordinate is in [low, high] */
    int64_t target;     /* weight wanted at or below the cut, over all ranks */
};

/* Weight of each node at or below its trial coordinate, over all ranks. */
static void weigh_below(const struct domain *domain, struct comm *comm, size_t n, int64_t weight,
                        uint64_t *const q[], const int *node_of, int nodes, const struct node *node,
                        const uint64_t *trial, int64_t *below) {
    for (int m = 0; m < nodes; m++)
        below[m] = 0;
    for (size_t i = 0; i < n; i++) {
        int m = node_of[i];
        if (cut_coordinate(&domain->box, q[node[m].axis][i]) <= trial[m])
            below[m] += weight;
    }
    comm_sum_integer(comm, below, nodes);
}

/* A node of one rank is done: its cut is the end of its box. */
static void find_cuts(const struct domain *domain, struct comm *comm, size_t n, int64_t weight,
                      uint64_t *const q[], const int *node_of, int nodes, struct node *node, uint64_t *trial,
                      int64_t *below) {
    for (int m = 0; m < nodes; m++)
        trial[m] = UINT64_MAX;
    weigh_below(domain, comm, n, weight, q, node_of, nodes, node, trial, below);
    for (int m = 0; m < nodes; m++) {
        node[m].axis = longest_axis(&domain->box, &node[m].part);
        node[m].high = node[m].part.last[node[m].axis] - (node[m].count > 1);
        node[m].low = node[m].count > 1 ? node[m].part.low[node[m].axis] : node[m].high;
        node[m].target = below[m] * (node[m].count / 2) / node[m].count;
    }
    for (bool searching = true; searching;) {
        searching = false;
        for (int m = 0; m < nodes; m++)
            trial[m] = node[m].low + (node[m].high - node[m].low) / 2;
        weigh_below(domain, comm, n, weight, q, node_of, nodes, node, trial, below);
        for (int m = 0; m < nodes; m++) {
            if (below[m] == node[m].target)
                node[m].low = node[m].high = trial[m];
            else if (below[m] < node[m].target)
                node[m].low = trial[m] < node[m].high ? trial[m] + 1 : node[m].high;
            else
                node[m].high = trial[m];
            searching = searching || node[m].low < node[m].high;
        }
    }
}

/* Splits every node at its cut; child[m] is the number of node m's lower side among the new ones. */
static int split_nodes(struct domain *domain, int nodes, const struct node *node, struct node *next,
                       int *child) {
    int made = 0;
    for (int m = 0; m < nodes; m++) {
        int half = node[m].count / 2, axis = node[m].axis;
        child[m] = made;
        next[made] = node[m];
        if (half > 0) {
            domain->cut[node[m].first + half] = (struct rank_cut){axis, node[m].low};
            next[made].count = half;
            next[made].part.last[axis] = node[m].low;
            next[++made] = node[m];
            next[made].first += half;
            next[made].count -= half;
            next[made].part.low[axis] = node[m].low + 1;
        }
        made++;
    }
    return made;
}

enum status domain_balance(struct domain *domain, struct comm *comm, size_t n, int64_t weight,
                           uint64_t *const q[]) {
    enum status status = STATUS_OK;
    if (domain->box.group > 0)
        return STATUS_OK;
    size_t ranks = (size_t)domain->ranks;
    int *node_of = calloc(n + 1, sizeof *node_of), *child = calloc(ranks, sizeof *child);
    struct node *node = calloc(ranks, sizeof *node), *next = calloc(ranks, sizeof *next);
    uint64_t *trial = calloc(ranks, sizeof *trial);
    int64_t *below = calloc(ranks, sizeof *below);
    if (!node_of || !child || !node || !next || !trial || !below)
        status = FAIL(STATUS_FAILURE, "out of memory while balancing %zu particles", n);
    TRY(comm_agree(comm, status));
    node[0] = (struct node){.first = 0, .count = domain->ranks, .part = whole_box()};
    for (int nodes = 1; nodes < domain->ranks;) {
        find_cuts(domain, comm, n, weight, q, node_of, nodes, node, trial, below);
        int made = split_nodes(domain, nodes, node, next, child);
        for (size_t i = 0; i < n; i++) {
            const struct node *m = &node[node_of[i]];
            bool upper = cut_coordinate(&domain->box, q[m->axis][i]) > m->low;
            node_of[i] = child[node_of[i]] + upper;
        }
        memcpy(node, next, (size_t)made * sizeof *node);
        nodes = made;
    }
    spread_boxes(domain, 0, domain->ranks, whole_box());
out:
    free(node_of);
    free(child);
    free(node);
    free(next);
    free(trial);
    free(below);
    return status;
}

int slice_rank(size_t n, int ranks, size_t i) {
    int r = (int)((double)i / (double)n * ranks);
    while (r > 0 && slice_begin(n, ranks, r) > i)
        r--;
    while (r + 1 < ranks && slice_begin(n, ranks, r + 1) <= i)
        r++;
    return r;
}

int domain_owner(const struct domain *domain, uint32_t id, const uint64_t q[]) {
    const struct box *box = &domain->box;
    if (box->group > 0)
        return slice_rank(box->groups, domain->ranks, id / box->group);
    int first = 0, count = domain->ranks;
    while (count > 1) {
        int half = count / 2;
        const struct rank_cut *cut = &domain->cut[first + half];
        if (cut_coordinate(&domain->box, q[cut->axis]) <= cut->last) {
            count = half;
        } else {
            first += half;
            count -= half;
        }
    }
    return first;
}

/* ---- distances: on each axis the shorter way round, by overflow ---- */

static inline uint64_t axis_gap(uint64_t low, uint64_t last, uint64_t other_low, uint64_t other_last) {
    if (other_low <= last && low <= other_last)
        return 0;
    uint64_t ahead = other_low - last, behind = low - other_last;
    return ahead < behind ? ahead : behind;
}

double domain_distance(const struct domain *domain, int rank, const uint64_t q[]) {
    const struct rank_box *part = &domain->part[rank];
    double square = 0;
    for (int a = 0; a < domain->box.d; a++) {
        uint64_t c = cut_coordinate(&domain->box, q[a]);
        double gap = (double)axis_gap(part->low[a], part->last[a], c, c) * (domain->box.side[a] * 0x1p-64);
        square += gap * gap;
    }
    return sqrt(square);
}

double domain_gap(const struct domain *domain, int rank_a, int rank_b) {
    const struct rank_box *p = &domain->part[rank_a], *r = &domain->part[rank_b];
    double square = 0;
    for (int a = 0; a < domain->box.d; a++) {
        double gap =
            (double)axis_gap(p->low[a], p->last[a], r->low[a], r->last[a]) * (domain->box.side[a] * 0x1p-64);
        square += gap * gap;
    }
    return sqrt(square);
}

struct region domain_inside(const struct domain *domain) {
    const struct rank_box *part = &domain->part[domain->rank];
    struct region region = {.least = {1, 1, 1}};
    for (int a = 0; a < domain->box.d && domain->box.group == 0; a++) {
        region.origin[a] = part->low[a] - (domain->box.periodic ? 0 : HALF);
        region.least[a] = 0;
        region.most[a] = part->last[a] - part->low[a];
    }
    return region;
}

struct region domain_deep_inside(const struct domain *domain, double width) {
    struct region region = domain_inside(domain);
    for (int a = 0; a < domain->box.d; a++) {
        const uint64_t extent = region.most[a];
        const double margin = ceil(width / domain->box.side[a] * 0x1p64 * (1 + 1e-9));
        const bool whole = extent == UINT64_MAX && domain->box.periodic; /* no other rank across its ends */
        region.least[a] = whole ? 0 : margin < 0x1p63 ? (uint64_t)margin : UINT64_MAX;
        region.most[a] = extent >= region.least[a] ? extent - region.least[a] : 0;
    }
    return region;
}

bool domain_is_valid(const struct domain *domain) {
    double volume = 0;
    if (domain->box.group > 0)
        return true;
    for (int r = 0; r < domain->ranks; r++) {
        double part = 1;
        uint64_t corner[MAX_DIMENSION];
        for (int a = 0; a < domain->box.d; a++) {
            if (domain->part[r].low[a] > domain->part[r].last[a])
                return false;
            part *= ((double)(domain->part[r].last[a] - domain->part[r].low[a]) + 1) * 0x1p-64;
            corner[a] = domain->box.periodic ? domain->part[r].low[a] : domain->part[r].low[a] - HALF;
        }
        if (domain_owner(domain, 0, corner) != r)
            return false;
        volume += part;
    }
    return fabs(volume - 1) < 1e-9;
}

/* ---- positions ---- */

uint64_t position_to_integer(const struct box *box, int axis, double x) {
    double turns = x / box->side[axis];
    turns -= floor(turns + (box->periodic ? 0 : 0.5)); /* [0, 1), or [-1/2, 1/2) */
    if (turns >= 1)                                    /* rounded up: the other end of the box */
        turns = 0;
    if (turns >= 0.5)
        return HALF + (uint64_t)llrint((turns - 0.5) * 0x1p64);
    return (uint64_t)llrint(turns * 0x1p64);
}

double position_to_real(const struct box *box, int axis, uint64_t q) {
    if (!box->periodic)
        return (double)(int64_t)q * (box->side[axis] * 0x1p-64);
    double x = (double)q * (box->side[axis] * 0x1p-64);
    return x < box->side[axis] ? x : 0;
}
