/* A file of the program in memory, and edits of its objects that the bytes of a fuzzer spell out: so what is fuzzed are the
 * readers of datasets and attributes, and not the parser of the container, which is the library's.
 *
 * While a file is open here, H5Fopen of any path gives it (CMakeLists.txt redirects the calls). */
#ifndef EPFLOW_TESTS_FUZZ_EDITS_H
#define EPFLOW_TESTS_FUZZ_EDITS_H

#include <stddef.h>
#include <stdint.h>

/* Reads the file at path, an original; ends the process where that fails. Twice: as it is, and without its checksums, as an
 * earlier version would have made it. */
void edits_load(const char *path);
const char *edits_path(void);

/* Opens a copy in memory and edits it. */
void edits_begin(const uint8_t *data, size_t size);
/* Closes it; ends the process by abort() where readers left something of it open. */
void edits_end(void);

#endif
