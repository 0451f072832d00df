#include "io/checksum.h"

#include <string.h>

/* The finalizer of splitmix64: every bit of the input changes half of those of the result. */
static uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t checksum_rows(size_t begin, size_t count, size_t bytes, const void *rows) {
    const char *at = rows;
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++, at += bytes) {
        uint64_t hash = mix((uint64_t)(begin + i) + 0x9e3779b97f4a7c15u);
        for (size_t done = 0; done < bytes; done += 8) {
            uint64_t word = 0;
            memcpy(&word, at + done, bytes - done < 8 ? bytes - done : 8);
            hash = mix(hash + word);
        }
        sum += hash;
    }
    return sum;
}

void checksum_sum(struct comm *comm, int count, uint64_t sums[]) {
    comm_sum_integer(comm, (int64_t *)sums, count);
}

enum status checksum_write(struct h5_file *file, struct comm *comm, const char *path, uint64_t own) {
    checksum_sum(comm, 1, &own);
    return h5_write_integer(file, path, "checksum", (int64_t)own);
}

enum status checksum_verify(struct h5_file *file, struct comm *comm, const char *path, uint64_t own) {
    int64_t stored = 0;
    if (!h5_has_attribute(file, path, "checksum"))
        return STATUS_OK; /* of an earlier version */
    checksum_sum(comm, 1, &own);
    enum status status = h5_read_integer(file, path, "checksum", &stored);
    if (status == STATUS_OK && (uint64_t)stored != own)
        status = FAIL(STATUS_STORAGE,
                      "%s: dataset %s: its checksum does not agree with its contents: the file is damaged",
                      h5_path(file), path);
    return status;
}
