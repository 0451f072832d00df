/* Copies of the particles around a rank's box.
 *
 * A halo of width h gives a rank every particle of other ranks closer than h to its box (minimum image,
 * one copy each). It is made once (halo_create appends the ghosts to the particles), and from then on
 * only changed values travel: halo_positions sends the positions along the same index lists, by messages that are set
 * up once.
 */
#ifndef EPFLOW_SPACE_HALO_H
#define EPFLOW_SPACE_HALO_H

#include "space/particles.h"

struct halo;

/* Appends to `particles` id, q and g of every particle closer than width to this rank's box. Existing
 * ghosts are dropped first. Copies (struct box: group) have no halo. Collective. */
enum status halo_create(struct particles *particles, const struct domain *domain, struct comm *comm,
                        double width, struct halo **out);
/* The same of a halo whose halo_positions send g, too: of particles whose propulsions turn each other. */
enum status halo_create_turning(struct particles *particles, const struct domain *domain, struct comm *comm,
                                double width, struct halo **out);
void halo_destroy(struct halo **halo);

/* About as many ghosts as this rank gets where `particles` fill the box evenly, and the bytes of so many in messages. */
double halo_ghosts(const struct domain *domain, double particles, double width);
double halo_bytes(int d, bool turning, double ghosts);

/* Owners' present positions (and g, of a turning halo) into the ghosts. Collective. */
void halo_positions(struct halo *halo, struct particles *particles);
/* The same in two parts, for what there is to do meanwhile: positions may be read but not changed before _end, which
 * does nothing where nothing was begun. */
void halo_positions_begin(struct halo *halo, const struct particles *particles);
void halo_positions_end(struct halo *halo, struct particles *particles);
/* The same for one float64 per particle: values (owned + ghosts). Collective. */
enum status halo_values(struct halo *halo, const struct particles *particles, double *values);

/* Ghosts are exact copies of their owners' id and position, none is owned here or present twice.
 * Collective; for tests and debug builds. */
bool halo_is_valid(struct halo *halo, const struct particles *particles);

#endif
