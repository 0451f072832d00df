/* The thread that ends a run whose ranks wait for one that has failed. It sleeps; nothing is asked of the loops. */
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "space/comm.h"

/* Seconds. A rank that the others wait for has nothing to do any more; one that unwinds with them may have to close
 * files. Rank 0 speaks for all where all know, if it can. */
static const double ALONE = 3, TOGETHER = 30, LATER = 2;
static const struct timespec NAP = {.tv_nsec = 250000000};

static volatile sig_atomic_t exit_code;

static void leave(int signal) {
    (void)signal;
    _exit(exit_code);
}

static void *watch(void *context) {
    struct comm *comm = context;
    const double together = TOGETHER + (comm_rank(comm) > 0 ? LATER : 0);
    for (;;) {
        nanosleep(&NAP, NULL);
        if (status_age() > (status_own() != STATUS_OK ? ALONE : together))
            break;
    }
    exit_code = (int)status_code();
    log_error_alone(status_message(), status_place());
    signal(SIGALRM, leave); /* where MPI cannot end the others any more, mpirun does when a rank leaves so */
    alarm((unsigned)LATER);
    comm_abort(comm, exit_code);
    return NULL;
}

/* Signals stay with the other thread. */
enum status comm_watch(struct comm *comm) {
    sigset_t all, before;
    pthread_t thread;
    if (comm_size(comm) == 1)
        return STATUS_OK;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&thread, NULL, watch, comm);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0)
        return comm_agree(comm,
                          FAIL(STATUS_FAILURE, "no thread can be made: is the number of processes limited?"));
    pthread_detach(thread);
    return comm_agree(comm, STATUS_OK);
}
