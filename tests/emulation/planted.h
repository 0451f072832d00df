/* Runs planted bugs, each in a process of its own, and looks for the words that tell of it. */
#ifndef EPFLOW_TESTS_EMULATION_PLANTED_H
#define EPFLOW_TESTS_EMULATION_PLANTED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct planted {
    const char *name;
    void (*run)(void);
    const char *words; /* that must be told; of two, where the schedule decides, with | between them */
    bool fast;         /* the fast build tells them too */
};

/* In a bug that is told by an error, not by an end. */
static inline void planted_expect(bool right, const char *words) {
    if (right) {
        fprintf(stderr, "%s\n", words);
        abort();
    }
}

/* What the process wrote; whether it ended by abort(). */
static bool planted_one(const struct planted *bug, char *text, size_t bytes) {
    int ends[2], status = 0;
    size_t length = 0;
    if (pipe(ends) != 0)
        return false;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        bug->run();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t got; length + 1 < bytes && (got = read(ends[0], text + length, bytes - length - 1)) > 0;)
        length += (size_t)got;
    text[length] = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static inline bool planted_has(const char *text, const char *words) {
    char first[256];
    const size_t length = strcspn(words, "|");
    snprintf(first, sizeof first, "%.*s", (int)length, words);
    return strstr(text, first) || (words[length] && strstr(text, words + length + 1));
}

/* The number of bugs that were not told as they should. `file`: the line of the bug must be in it, too, where the
 * message has a line. */
static int planted_run(const struct planted *bugs, size_t count, const char *file) {
    char text[16 * 1024];
    int failed = 0;
    for (size_t i = 0; i < count; i++) {
#ifndef EMULATION_CHECKED
        if (!bugs[i].fast)
            continue;
#endif
        const bool ended = planted_one(&bugs[i], text, sizeof text);
        const bool line = strstr(text, file) || (!strstr(text, ".cu:") && !strstr(text, ".cc:"));
        const bool told = ended && planted_has(text, bugs[i].words) && line;
        printf("[ %s ] %s: %s", told ? "      OK" : "  FAILED", bugs[i].name,
               text[0] ? text : "nothing was told\n");
        failed += !told;
    }
    return failed;
}

#endif
