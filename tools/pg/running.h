// SPDX-License-Identifier: Apache-2.0
/* running: does a postgres run on a branch?
 *
 * Looks at postmaster.pid inside the branch (through the store, never through the mount), then at
 * /proc: a process of that number whose working directory is the branch. In another pid namespace
 * (a container) that cannot be seen; the store's own count of open files is what protects data,
 * this is for clear words. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "tools/daemon/engine.h"

/* The first line of postmaster.pid; 0 when there is none. */
pid_t running_postmaster_pid(struct engine *g, const char *branch);

/* True: that process is alive and works in this branch; *ret_pid may be NULL. */
bool running_postgres(struct engine *g, const char *branch, pid_t *ret_pid);

/* After -EBUSY: replace the hint of `e` by one that fits why the branch is busy; returns `r`. */
cow_errno running_explain(struct engine *g, const char *branch, cow_errno r, struct cow_error *e);

/* -EBUSY with the reason when postgres runs on the branch; `what` completes "cannot ...". */
cow_errno running_refuse(struct engine *g, const char *branch, const char *what,
			 struct cow_error *e);
