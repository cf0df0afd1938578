// SPDX-License-Identifier: Apache-2.0
/* stop: ending the loop from a signal or another thread.
 *
 * While the loop runs, a thread waits for the wish to stop. It pushes the kernel's dirty pages,
 * unmounts through the helper (both need the loop to serve), and ends the loop. */
#pragma once
#include "fs/cowfs_ll.h"

struct cow_stopper;

/* Also takes SIGINT and SIGTERM until _end: they ask the mount to stop. One mount in a process at a
 * time. Called on the thread that then runs the loop. -ENOMEM, -EAGAIN. */
cow_errno cow_stopper_start(struct cow_mount *m, struct cow_stopper **ret);

/* From any thread and from a signal handler: there is something to look at. */
void cow_stopper_wake(struct cow_mount *m);

/* The loop is over. */
void cow_stopper_end(struct cow_stopper *s);
