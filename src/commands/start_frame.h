/* A simulation that starts from a frame of another trajectory: simulation.start = FILE@FRAME. */
#ifndef EPFLOW_COMMANDS_START_FRAME_H
#define EPFLOW_COMMANDS_START_FRAME_H

#include "commands/session.h"
#include "io/trajectory.h"
#include "space/particles.h"

/* How often a periodic box of `particles` and sides as in `shape` fits into `box` on every axis: tiles[a] >= 1, their
 * product n / particles. Positions keep their units: a tile is as large as the file's box. False where it does not fit
 * a whole number of times. */
bool start_tiles(const struct trajectory_shape *shape, const struct box *box, size_t n,
                 uint64_t tiles[MAX_DIMENSION]);

/* Position q of the file's box in tile number `tile` of `tiles` along an axis, rounded down. */
uint64_t tile_position(uint64_t q, uint64_t tile, uint64_t tiles);

/* Fills this rank's slice with the frame that simulation.start of the session's input names. A frame of a smaller system is
 * repeated in every tile of the box: particle id of tile t (its number along the first axis counts fastest) becomes
 * t N_file + id, image 0, with the same g. Refuses a file of another system, box or of the same seed. Collective. */
enum status start_from_frame(struct session *s, struct slice *slice);

#endif
