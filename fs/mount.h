// SPDX-License-Identifier: Apache-2.0
/* mount: all branches of a store as directories, over FUSE.
 *
 * The order of a daemon's life: cow_mount_prepare (checks the mount point, clears a stale mount,
 * forks the helper that calls syncfs; must run before any thread exists and before the store is
 * opened), cow_store_open, cow_mount_start, cow_mount_run (returns when unmounted or on
 * SIGINT/SIGTERM), cow_mount_stop, cow_store_close. _prepare must run in the process and thread
 * that stays (the helper dies with that thread): become a daemon first. No thread of the daemon
 * ever makes a path call on its own mount, and /dev/fuse is close-on-exec. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct cow_mount;

enum cow_transport { COW_TRANSPORT_AUTO, COW_TRANSPORT_CLASSIC, COW_TRANSPORT_URING };

struct cow_mount_options {
	const char *mountpoint; /* absolute, existing, empty directory */
	enum cow_transport transport;
	bool writethrough; /* no kernel write-back cache */
	bool debug;        /* libfuse's request trace on stderr */
	unsigned threads;  /* most request threads of the classic transport; 0 = 64 */
};

/* -ENOENT, -ENOTDIR, -ENOTEMPTY, -EBUSY (something is mounted there), -EPERM/-EACCES: /dev/fuse or
 * fusermount3 cannot be used, -ENOSYS kernel too old. A dead FUSE mount at that place is
 * unmounted first, and logged. */
cow_errno cow_mount_prepare(const struct cow_mount_options *o, struct cow_mount **ret,
			    struct cow_error *e);

/* Mounted and answering when it returns 0 (requests are served once _run is running). Watches
 * branches. */
cow_errno cow_mount_start(struct cow_mount *m, struct cow_store *s, struct cow_error *e);

/* Serve until the file system is unmounted or a stop is asked for. 0 or -errno. */
cow_errno cow_mount_run(struct cow_mount *m);

/* From any thread or a signal handler: make _run return soon. */
void cow_mount_ask_stop(struct cow_mount *m);

/* Unmount (lazily if busy and `force`), end the helper, free. -EBUSY: files are open and not
 * `force`; then it is still mounted and serves on, and _run may be called again. NULL is fine. */
cow_errno cow_mount_stop(struct cow_mount *m, bool force, struct cow_error *e);

/* Push every dirty page the kernel holds for this mount to the daemon (step 1 of a snapshot),
 * through the helper. -ETIMEDOUT after `timeout_ms`: the snapshot goes on without it. */
cow_errno cow_mount_push_pages(struct cow_mount *m, unsigned timeout_ms);

struct cow_mount_stat {
	enum cow_transport transport; /* in use: never AUTO */
	const char *libfuse;          /* version text */
	char mountpoint[4096];
	uint64_t nodes;        /* inodes the kernel knows */
	uint64_t requests[64]; /* by FUSE opcode (linux/fuse.h), since start */
};
void cow_mount_stat(struct cow_mount *m, struct cow_mount_stat *ret);
