/* Ranks that went different ways must end with one message, not wait for each other:
 *
 *   parted places   the last rank has failed and agrees where it unwinds, the others agree where they are at work
 *   parted waiting  the others wait for it in another call
 *   parted silent   no failure was told
 *   parted early    the last rank comes to a call of the others after its failure
 *
 * The exit code is the failure's; "still there" is said by who gets past it. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "space/comm.h"

static void part(struct comm *comm, const char *how, bool last) {
    double number = 1;
    if (last && strcmp(how, "silent") != 0)
        FAIL(STATUS_NUMBERS, "particle 7 is lost");
    if (last && strcmp(how, "early") != 0)
        comm_agree(comm, status_own());
    else if (strcmp(how, "waiting") == 0 || strcmp(how, "early") == 0)
        comm_max(comm, &number, 1);
    else
        comm_agree(comm, STATUS_OK);
}

int main(int argc, char **argv) {
    struct comm *comm = NULL;
    if (comm_start(&argc, &argv, &comm) != STATUS_OK || argc != 2)
        return 99;
    log_start(comm_rank(comm));
    if (comm_watch(comm) == STATUS_OK)
        part(comm, argv[1], comm_rank(comm) == comm_size(comm) - 1);
    fprintf(stderr, "still there\n");
    comm_stop(&comm);
    return 0;
}
