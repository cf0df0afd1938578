// SPDX-License-Identifier: Apache-2.0
/* power_log: what the recorder (tests/crash/power_record.c) writes and the replayer reads.
 *
 * A log is a row of events, each a header followed by its path, second path and data. Events stand
 * in the order in which the host calls returned; a sync says where the log ended when it began, so
 * "was finished before the sync started" can be decided. Only calls that succeeded are here. Paths
 * are below the recorded directory, "" is the directory itself. Host byte order: a log never leaves
 * the machine. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { POWER_MAGIC = 0x52575750 };

enum power_op {
	POWER_BASE =
	    1, /* was there when the recording began: path, ino, off = size, len = 1: a directory */
	POWER_CREATE,   /* path, ino */
	POWER_MKDIR,    /* path, ino */
	POWER_UNLINK,   /* path; rmdir too */
	POWER_RENAME,   /* path -> path2; flags = 1: exchange */
	POWER_LINK,     /* path -> path2 */
	POWER_WRITE,    /* ino, off, data; flags = 1: durable when it returned */
	POWER_TRUNCATE, /* ino, off = new size */
	POWER_PUNCH,    /* ino, off, len: reads as zeroes; flags = 1: grows the file */
	POWER_ALLOCATE, /* ino, off, len; flags = 1: grows the file */
	POWER_SYNC,     /* ino, start; flags = 1: fdatasync */
	POWER_SYNCFS,   /* start */
	POWER_MARK,     /* data: what the workload wants to say */
};

struct power_event {
	uint32_t magic, op, flags, path_len, path2_len, unused;
	uint64_t ino, off, len, data_len;
	uint64_t start;  /* bytes of log when the call began */
	int64_t time_ns; /* CLOCK_REALTIME when the event was noted */
};
