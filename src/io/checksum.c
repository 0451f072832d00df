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

/* ---- attributes ---- */

#define CERTIFICATE "certificate" /* written again at the end: has a seal of its own */

struct seal {
    bool all;
    uint64_t sum;
};

static void add_attribute(const char *object, const char *name, size_t bytes, const void *data,
                          void *context) {
    struct seal *s = context;
    if (strcmp(name, "checksum") == 0 || strcmp(name, "complete") == 0)
        return;
    if (s->all && strncmp(object, CERTIFICATE, strlen(CERTIFICATE)) == 0)
        return;
    const uint64_t at = checksum_rows(1, 1, strlen(object), object),
                   of = checksum_rows(2, 1, strlen(name), name);
    s->sum += mix(mix(at + 3 * of) + checksum_rows(3, 1, bytes, data));
}

static enum status sum_attributes(struct h5_file *file, const char *group, uint64_t *sum) {
    struct seal s = {.all = strcmp(group, "/") == 0};
    enum status status = h5_visit_attributes(file, group, add_attribute, &s);
    *sum = s.sum;
    return status;
}

enum status checksum_seal(struct h5_file *file, const char *group) {
    uint64_t sum;
    enum status status = sum_attributes(file, group, &sum);
    return status != STATUS_OK ? status : h5_write_integer(file, group, "checksum", (int64_t)sum);
}

enum status checksum_verify_seal(struct h5_file *file, const char *group) {
    int64_t stored = 0;
    uint64_t sum;
    if (!h5_has_attribute(file, group, "checksum"))
        return STATUS_OK; /* of an earlier version */
    enum status status = h5_read_integer(file, group, "checksum", &stored);
    if (status == STATUS_OK)
        status = sum_attributes(file, group, &sum);
    if (status == STATUS_OK && (uint64_t)stored != sum)
        status =
            FAIL(STATUS_STORAGE,
                 "%s: the attributes of %s and of groups below do not agree with their checksum: the file is "
                 "damaged",
                 h5_path(file), group);
    return status;
}
