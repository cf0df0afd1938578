// SPDX-License-Identifier: Apache-2.0
/* serve: the thread that runs libfuse's loop, and how it is ended.
 *
 * The loop has a thread of its own, so that everything before the end of a mount (pushing dirty
 * pages, unmounting) happens while requests are served, and a stop that is refused leaves it
 * serving. */
#pragma once
#include "fs/cowfs_ll.h"

/* Start the loop unless it runs. -EAGAIN, -ENOMEM. */
cow_errno cow_serve_start(struct cow_mount *m);

/* Wait until the loop ends or a stop is asked for. SIGINT and SIGTERM ask for it meanwhile; one
 * mount in a process at a time. */
void cow_serve_wait(struct cow_mount *m);

/* From any thread and from a signal handler: there is something to look at. */
void cow_serve_wake(struct cow_mount *m);

/* True when the loop ends by itself within the time. */
bool cow_serve_over(struct cow_mount *m, unsigned ms);

/* End the loop whatever it does, and wait for it. Its result, 0 when it never ran. */
cow_errno cow_serve_end(struct cow_mount *m);
