/* Checksums of the numbers in files, which HDF5 itself does not guard: a flipped bit in them would go unnoticed. A sum
 * over rows of a hash of (row, its bytes), so that it does not depend on the number of ranks. */
#ifndef EPFLOW_IO_CHECKSUM_H
#define EPFLOW_IO_CHECKSUM_H

#include "io/h5.h"

/* This rank's part: rows begin ... begin + count - 1 of `bytes` each. */
uint64_t checksum_rows(size_t begin, size_t count, size_t bytes, const void *rows);
/* From the parts of this rank to the sums over all ranks. Collective. */
void checksum_sum(struct comm *comm, int count, uint64_t sums[]);

/* Attribute `checksum` of a dataset, from the parts of the ranks; and its comparison with what was read (a dataset of
 * an earlier version has none): STATUS_STORAGE where they differ. Collective. */
enum status checksum_write(struct h5_file *file, struct comm *comm, const char *path, uint64_t own);
enum status checksum_verify(struct h5_file *file, struct comm *comm, const char *path, uint64_t own);

/* Attribute `checksum` of a group: of all attributes (but `complete`) of it and of the groups below; "/" leaves out
 * /certificate, which is written later. Names count, so that what is missing is missed. Collective. */
enum status checksum_seal(struct h5_file *file, const char *group);
enum status checksum_verify_seal(struct h5_file *file, const char *group);

#endif
