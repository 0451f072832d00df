/* Two particles at one position: sorted by where they are, they are neighbours in the list. */
#include <stdlib.h>
#include <string.h>

#include "space/particles.h"

/* Positions that a force in float32 cannot tell apart are the same: the box has 2^32 of them on an axis. */
enum { COARSE = 32 };

struct place {
    uint32_t group, x[MAX_DIMENSION], id;
};

/* Of copies only those of the same one. */
static int compare_places(const void *a, const void *b) {
    const struct place *p = a, *r = b;
    if (p->group != r->group)
        return p->group < r->group ? -1 : 1;
    for (int m = 0; m < MAX_DIMENSION; m++)
        if (p->x[m] != r->x[m])
            return p->x[m] < r->x[m] ? -1 : 1;
    return (p->id > r->id) - (p->id < r->id);
}

static bool same_place(const struct place *a, const struct place *b) {
    return a->group == b->group && memcmp(a->x, b->x, sizeof a->x) == 0;
}

static enum status find(const struct particles *p, const struct box *box, struct place *place, uint32_t *id,
                        uint64_t *q, const char *where) {
    const size_t n = p->owned;
    if (!place || !id || !q)
        return FAIL(STATUS_FAILURE, "out of memory for %zu particles", n);
    p->ops->to_host(p->ops, id, p->id, n * sizeof *id);
    for (size_t i = 0; i < n; i++)
        place[i] = (struct place){.group = box->group > 0 ? id[i] / box->group : 0, .id = id[i]};
    for (int a = 0; a < p->d; a++) {
        p->ops->to_host(p->ops, q, p->q[a], n * sizeof *q);
        for (size_t i = 0; i < n; i++)
            place[i].x[a] = (uint32_t)(q[i] >> COARSE);
    }
    qsort(place, n, sizeof *place, compare_places);
    for (size_t i = 1; i < n; i++)
        if (same_place(&place[i - 1], &place[i]))
            return FAIL(
                STATUS_BAD_INPUT,
                "%s: particles %u and %u are at the same position, (%.9g, ...), and push each other in no "
                "direction: move one of them, or use another frame",
                where, place[i - 1].id, place[i].id,
                position_to_real(box, 0, (uint64_t)place[i].x[0] << COARSE));
    return STATUS_OK;
}

enum status particles_apart(const struct particles *p, const struct box *box, struct comm *comm,
                            const char *where) {
    struct place *place = malloc((p->owned + 1) * sizeof *place);
    uint32_t *id = malloc((p->owned + 1) * sizeof *id);
    uint64_t *q = malloc((p->owned + 1) * sizeof *q);
    const enum status status = find(p, box, place, id, q, where);
    free(place);
    free(id);
    free(q);
    return comm_agree(comm, status);
}
