/* From the files of Linux's /proc; where there are none nothing is known, and nothing fails for it. */
#include "base/memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { TEXT = 4096, LARGE = 1 << 19, KEPT = 1 << 22 };

const char *const memory_part_name[MEMORY_PARTS] = {
    [MEMORY_PROGRAM] = "program", [MEMORY_STATE] = "state",     [MEMORY_GHOSTS] = "ghosts",
    [MEMORY_LISTS] = "lists",     [MEMORY_NETWORK] = "network", [MEMORY_RESULTS] = "results",
    [MEMORY_FIELDS] = "fields",   [MEMORY_FILES] = "files"};

double memory_total(const struct memory_plan *plan) {
    double sum = 0;
    for (int p = 0; p < MEMORY_PARTS; p++)
        sum += plan->bytes[p];
    return sum;
}

void memory_or(struct memory_plan *most, const struct memory_plan *moment) {
    if (memory_total(moment) > memory_total(most))
        *most = *moment;
}

/* The C library learns to keep blocks of up to 32 MiB, with what is freed between those that stay. */
void memory_start(void) {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, LARGE);
    mallopt(M_TRIM_THRESHOLD, KEPT);
#endif
}

static bool read_text(const char *path, char out[TEXT]) {
    const int file = open(path, O_RDONLY);
    const ssize_t length = file >= 0 ? read(file, out, TEXT - 1) : -1;
    out[length > 0 ? length : 0] = '\0';
    if (file >= 0)
        close(file);
    return length > 0;
}

/* Bytes of the line "NAME: number kB" of what the system says of this process; 0 where there is none. */
static double bytes_of(const char *name) {
    char text[TEXT];
    const char *at = read_text("/proc/self/status", text) ? strstr(text, name) : NULL;
    return at ? 1024 * strtod(at + strlen(name), NULL) : 0;
}

double memory_now(void) {
    return bytes_of("VmRSS:");
}

/* What getrusage says is that of the program before exec, too, where that was larger. */
double memory_peak(void) {
    struct rusage usage;
    const double bytes = bytes_of("VmHWM:");
    if (bytes > 0)
        return bytes;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? 1024 * (double)usage.ru_maxrss : 0;
}

void memory_forget_peak(void) {
    const int file = open("/proc/self/clear_refs", O_WRONLY);
    const ssize_t written = file >= 0 ? write(file, "5", 1) : 0;
    (void)written;
    if (file >= 0)
        close(file);
}

/* A control group without a limit says "max", or a number larger than any memory. */
double memory_of_node(void) {
    static const char *const limits[] = {"/sys/fs/cgroup/memory.max",
                                         "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    for (size_t m = 0; m < sizeof limits / sizeof *limits; m++) {
        char text[TEXT];
        const double limit = read_text(limits[m], text) ? strtod(text, NULL) : 0;
        if (limit > 0 && limit < bytes)
            bytes = limit;
    }
    return bytes;
}
