/* How functions say that something went wrong.
 *
 * Below src/commands a function that can fail returns an enum status and, where it fails, records one
 * message (what, where, what to do) by FAIL(). It never prints and never exits. The command on top
 * agrees on the status with the other ranks (comm_agree), prints the message once and returns the
 * status as the exit code of the process.
 */
#ifndef EPFLOW_BASE_STATUS_H
#define EPFLOW_BASE_STATUS_H

#include "base/formula.h"

C_LINKAGE_BEGIN

/* Also the exit codes of the program. */
enum status {
    STATUS_OK = 0,
    STATUS_FAILURE = 1,   /* something on this machine failed: memory, MPI, a device */
    STATUS_BAD_INPUT = 2, /* what the user gave cannot be used; nothing was created */
    STATUS_NUMBERS = 3,   /* the computation left its range: NaN, divergence, a lost particle */
    STATUS_STORAGE = 4,   /* a file could not be read or written */
    STATUS_STOPPED = 75   /* stopped early on request, with a restart written: submit again */
};

/* Records a message, printf style, and returns status. The first message since status_clear() stays, but
 * that of a stop gives way to a failure. Where code is
 * analysed (tools/lint), the analyser is shown which status comes back. */
#ifdef EPFLOW_ANALYSIS
#define FAIL(status, ...) (status_record((status), __FILE__, __LINE__, __VA_ARGS__), (status))
#else
#define FAIL(status, ...) status_record((status), __FILE__, __LINE__, __VA_ARGS__)
#endif

enum status status_record(enum status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The recorded message ("" if none) and the source line that recorded it ("file.c:12"). */
const char *status_message(void);
const char *status_place(void);

/* What was returned with it. */
enum status status_code(void);

/* The same where it was recorded on this rank and the others do not know of it yet, else STATUS_OK. A request to stop is
 * no failure: neither this nor the next sees it. */
enum status status_own(void);

/* Seconds since a failure was recorded, taken over from another rank, or put back; 0 if there is none. Another thread
 * than the one that records may ask. */
double status_age(void);

void status_clear(void);

/* Takes what is recorded out of the way, so that what is done next may record; and puts it back in place of that. A note
 * also carries a message to other ranks. */
enum { STATUS_MESSAGE = 2048, STATUS_PLACE = 128 };
struct status_note {
    char message[STATUS_MESSAGE], place[STATUS_PLACE];
    enum status code, own; /* see status_code, status_own */
};
void status_hold(struct status_note *note);
void status_put_back(const struct status_note *note);

/* In a function with `enum status status` and a label `out`. */
#define TRY(call)                                                                                            \
    do {                                                                                                     \
        status = (call);                                                                                     \
        if (status != STATUS_OK)                                                                             \
            goto out;                                                                                        \
    } while (0)

C_LINKAGE_END

#endif
