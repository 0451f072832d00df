/* Where the runtime tells the checker what happens. In the fast build these are nothing. */
#ifndef EPFLOW_EMULATED_CHECKER_H
#define EPFLOW_EMULATED_CHECKER_H

#include <stddef.h>

#ifdef EMULATION_CHECKED
void emulated_check_block(void *dynamic_shared, size_t bytes); /* a block begins */
void emulated_check_barrier(void);                             /* all threads are there */
void emulated_check_syncwarp(int warp);                        /* all lanes are there */
/* A thread comes to a barrier where others wait, or returns. */
void emulated_check_divergence(int waiting, int ended, const void *their_site, const void *site);
void emulated_check_return(int waiting, const void *site);
#else
static inline void emulated_check_block(void *, size_t) {
}
static inline void emulated_check_barrier(void) {
}
static inline void emulated_check_syncwarp(int) {
}
static inline void emulated_check_divergence(int, int, const void *, const void *) {
}
static inline void emulated_check_return(int, const void *) {
}
#endif

#endif
