// SPDX-License-Identifier: Apache-2.0
/* hostio: watches the host calls of this process, in order.
 *
 * Linked into an executable it stands before libc: writes, syncs, punches, truncates, unlinks and
 * renames of files under one directory are noted, whoever makes them (extent files and RocksDB
 * alike), and passed on. Guarantee: the order of the log is an order in which the calls returned; a
 * sync is noted with the number of its start, so that "was durable before" can be decided. Not
 * here: failing calls (cow_os_fail_after does that) and throwing data away. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum hostio_op {
	HOSTIO_WRITE,
	HOSTIO_WRITE_DSYNC, /* durable when it returned */
	HOSTIO_SYNC,
	HOSTIO_PUNCH, /* any fallocate that takes contents away */
	HOSTIO_TRUNCATE,
	HOSTIO_UNLINK,
	HOSTIO_RENAME, /* path: the new name */
	HOSTIO_OPEN_WRITE,
};

struct hostio_event {
	enum hostio_op op;
	char path[256]; /* below the watched directory; cut on the left if longer */
	uint64_t off, len;
	int result; /* 0 or -errno */
};

/* Forget the log; note what happens to files under `dir` from now on. */
void hostio_watch(const char *dir);
/* Stop noting; borrowed until the next watch. */
const struct hostio_event *hostio_log(size_t *ret_n);
/* Number of events so far, while watching. */
size_t hostio_count(void);
/* First event at or after `from` of this kind whose path contains `part`; -1 none. */
long hostio_find(size_t from, enum hostio_op op, const char *part);
/* Print the log to stderr: for a failing test. */
void hostio_print(void);
