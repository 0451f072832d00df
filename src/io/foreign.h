/* Trajectories that other programs wrote, as H5MD. Only trajectory.c reads them: to everybody else they are
 * trajectories like epflow's own, without its scalars.
 *
 * What such a file does not say comes from the input: the number of particles, the dimension, the box and the
 * physics. What it does say must agree with the input, and is refused in one clear message where it does not
 * (STATUS_BAD_INPUT). Taken as they come: float32 or float64; more components than the system has axes;
 * positions beyond the box, which are wrapped into it; fixed or explicit steps and times, or none (then the step is
 * the number of the frame and the time NaN).
 */
#ifndef EPFLOW_IO_FOREIGN_H
#define EPFLOW_IO_FOREIGN_H

#include "io/trajectory.h"

struct foreign;

/* The elements are those that config->data names. Collective. */
enum status foreign_open(struct comm *comm, const char *path, const struct config *config,
                         struct foreign **out);
void foreign_close(struct foreign **foreign);
const struct trajectory_shape *foreign_shape(const struct foreign *f);
/* As trajectory_read; the scalars are NaN. Collective. */
enum status foreign_read(struct foreign *f, size_t frame, struct trajectory_frame *out);
/* The leading frames with step >= 0. */
size_t foreign_written(const struct foreign *f);

/* Whether the box of a particle group is that of the system: present, rectangular, the same in every frame, with
 * these sides and boundaries (foreign_box.c). Collective. */
enum status foreign_check_box(struct comm *comm, struct h5_file *file, const char *group,
                              const struct system_parameters *system);

#endif
