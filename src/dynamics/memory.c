/* How much memory a simulation takes: the counterpart of simulation_create, reserve and build_lists. */
#include "dynamics/simulation.h"
#include "ops/alignment_formula.h"

/* Half the pairs of two owned particles, and those with ghosts; the close ones have room for as many. Particles that
 * gather have more neighbours than if they filled the box. */
static double lists_bytes(const struct config *c, const struct box *box, double owned, double ghosts) {
    const double gathered = box->periodic ? 1.5 : 1;
    const double radius = config_reach(&c->system, &c->simulation) + system_skin(&c->system, &c->simulation);
    const double near = gathered * neighbours_within(box, (double)config_total(&c->system), radius);
    const double pairs = c->system.kind == SYSTEM_CRYSTAL ? owned * box->d : near / 2 * (owned + ghosts / 4);
    return pairs_bytes(owned, ghosts, pairs) + 1.25 * pairs * 2 * sizeof(uint32_t);
}

void simulation_memory(const struct config *c, const struct domain *domain, double owned,
                       struct memory_plan *plan) {
    const struct box *box = &domain->box;
    const double width = config_reach(&c->system, &c->simulation) + system_skin(&c->system, &c->simulation);
    const double ghosts = halo_ghosts(domain, (double)config_total(&c->system), width), d = box->d;
    const bool aligns = c->system.alignment > 0;
    const double start = config_fine_steps(c) > 0 ? d * sizeof(uint64_t) : 0;
    const double snapshot = d * (sizeof(uint64_t) + sizeof(int32_t) + sizeof(double));
    const double each = CLOSE_SCRATCH + (double)force_numbers(box->d) * sizeof(int64_t) +
                        d * sizeof(uint64_t) + start + snapshot +
                        (aligns ? (double)align_numbers(box->d) * sizeof(int64_t) : 0);
    double room, all = particles_bytes(box->d, owned, owned + ghosts, &room);
    all += room * each;
    plan->bytes[MEMORY_STATE] += all * (1 - ghosts / room);
    plan->bytes[MEMORY_GHOSTS] += all * ghosts / room + halo_bytes(box->d, aligns, ghosts);
    plan->bytes[MEMORY_LISTS] += lists_bytes(c, box, owned, ghosts);
}
