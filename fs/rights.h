// SPDX-License-Identifier: Apache-2.0
/* rights: what the process of a mount may still do once it is mounted.
 *
 * It needs none of root's capabilities to serve: the files of the store are its own, and mounting
 * is over; unmounting is the helper's (pushpages.h), which was forked before. Only an import by
 * root reads and takes over files of other users; for it four capabilities stay permitted, in
 * force only while somebody has borrowed them. Capabilities belong to a thread and are inherited by
 * those it starts, so each thread that starts others is lowered first. */
#pragma once
#include <stdint.h>

/* The calling thread, and what it starts from now on: no capability in force, CHOWN, DAC_OVERRIDE,
 * FOWNER and IPC_OWNER permitted if it had them, no privilege by exec any more; the process: no
 * core dumps, no tracing by the same user (its memory holds what the databases hold). `path` must
 * stay reachable: where it is not, DAC_OVERRIDE stays in force, which is logged. For those who are
 * not root the capabilities are none anyway. */
void cow_rights_lower(const char *path);

/* Run `fn` in a thread of its own that is lowered, and wait for it. 0 or -EAGAIN. */
int cow_rights_run_lowered(const char *path, void (*fn)(void *arg), void *arg);

/* Put in force what is permitted, for this thread; give back what _borrow returned. */
uint64_t cow_rights_borrow(void);
void cow_rights_return(uint64_t before);
