#include "learn/noise.h"

#include <math.h>

void noise_draw(const struct ops *ops, const struct frame_noise *noise, bool of_x, size_t n,
                const uint32_t *id, int d, double *out) {
    const uint64_t step = 2 * noise->number + (of_x ? 1 : 0);
    if (noise->kind == NOISE_RADEMACHER)
        ops->rademacher(ops, noise->seed, noise->stream, step, n, id, d, out);
    else
        ops->normal(ops, noise->seed, noise->stream, step, n, id, d, out);
}

void moved_release(const struct ops *ops, struct moved_frame *m) {
    for (int a = 0; a < MAX_DIMENSION; a++) {
        ops->release(ops, m->q[a]);
        ops->release(ops, m->g[a]);
    }
    ops->release(ops, m->zeta);
    *m = (struct moved_frame){0};
}

/* zeta, q, g. */
double moved_bytes(int d, double particles) {
    return 3 * d * particles * sizeof(double);
}

static enum status reserve(const struct ops *ops, size_t n, int d, struct moved_frame *m) {
    enum status status = STATUS_OK;
    if (n <= m->capacity)
        return STATUS_OK;
    moved_release(ops, m);
    TRY(ops->allocate(ops, n * (size_t)d * sizeof *m->zeta, (void **)&m->zeta));
    for (int a = 0; a < d; a++) {
        TRY(ops->allocate(ops, n * sizeof *m->q[a], (void **)&m->q[a]));
        TRY(ops->allocate(ops, n * sizeof *m->g[a], (void **)&m->g[a]));
    }
    m->capacity = n;
out:
    return status;
}

enum status frame_move(const struct frame *f, const struct frame_noise *noise, double amount,
                       struct moved_frame *m) {
    const struct particles *p = f->particles;
    const struct ops *ops = p->ops;
    const size_t n = p->owned + p->ghosts;
    enum status status = reserve(ops, n, p->d, m);
    if (status != STATUS_OK)
        return status;
    m->particles = *p;
    noise_draw(ops, noise, false, n, p->id, p->d, m->zeta);
    ops->shift_propulsion(ops, p->d, n, amount, m->zeta, p->g, m->g);
    for (int a = 0; a < p->d; a++)
        m->particles.g[a] = m->g[a];
    if (noise->on == NOISE_ON_G)
        return STATUS_OK;
    noise_draw(ops, noise, true, n, p->id, p->d, m->zeta);
    ops->shift_positions(ops, &f->domain->box, n, amount, m->zeta, p->q, m->q);
    for (int a = 0; a < p->d; a++)
        m->particles.q[a] = m->q[a];
    return STATUS_OK;
}

enum status moved_neighbours(const struct frame *f, const struct moved_frame *m, size_t count,
                             const uint32_t *centre, uint32_t *neighbour, double *farthest) {
    const struct particles *p = &m->particles;
    const struct box *box = &f->domain->box;
    struct cell_grid *grid = NULL;
    double density = (double)f->n;
    for (int a = 0; a < p->d; a++)
        density /= box->side[a];
    enum status status = cells_create(p, box, pow(fmax(1, f->k / 6.0) / density, 1.0 / p->d), &grid);
    if (status == STATUS_OK)
        p->ops->nearest(p->ops, box, grid, count, centre, p->owned + p->ghosts, p->q, f->k, neighbour,
                        farthest);
    cells_destroy(p->ops, &grid);
    return status;
}
