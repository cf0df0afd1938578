// SPDX-License-Identifier: Apache-2.0
/* daemon: the life of a mounted store, from prepare to the last close.
 *
 * Sequence (fs/mount.h): prepare, open the store, start the mount, serve the control socket, run;
 * then unmount, wait for running commands, close the store. A stop that finds open files is refused
 * and the mount goes on; a signal then stops it as soon as nothing is open, a second one by force.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "fs/mount.h"
#include "store/store.h"

struct daemon;

struct daemon_options {
	const char *store;
	struct cow_mount_options mount;
	struct cow_store_options open;
	/* Called once: 0 = mounted and serving, else the reason why not. May be NULL. */
	void (*ready)(void *arg, cow_errno r, const struct cow_error *e);
	void *arg;
};

/* Returns when everything is stopped. Call it before any thread exists. */
cow_errno daemon_run(const struct daemon_options *o, struct cow_error *e);

/* From a verb: unmount and stop; returns when the store is closed, or with -EBUSY when files are
 * open and not `force` (then everything goes on). -EALREADY somebody else asked first. */
cow_errno daemon_stop(struct daemon *d, bool force, struct cow_error *e);

/* When it was mounted: nanoseconds since 1970. */
int64_t daemon_started_ns(const struct daemon *d);
