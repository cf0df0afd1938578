// SPDX-License-Identifier: Apache-2.0
/* file: the bytes of a regular file on a live branch.
 *
 * Guarantee (DESIGN 4.4): data before map; fsync means it; sealed never changes; an error is kept:
 * after a failed host write or fsync of a file every later write and fsync of it answers -EIO until
 * the branch is recovered. Threads: any call from any thread. Reads never wait for writes. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/inode.h"

/* One piece of a read: `len` bytes at `pos` of host file `fd`; fd -1 = zeroes. */
struct cow_read_seg {
	int fd;
	uint32_t len;
	uint64_t pos;
};

#define COW_READ_MAX (1u << 20) /* bytes one plan can cover */

struct cow_read {
	unsigned n;
	size_t len; /* sum of the pieces: the request cut at the end of the file */
	struct cow_read_seg seg[COW_READ_MAX / COW_BLOCK + 2];
	void *pins[COW_READ_MAX / COW_BLOCK + 2]; /* private */
	unsigned n_pins;
	unsigned grace; /* private */
	void *store;    /* private */
};

/* Map [off, off+len) to the fewest host reads. The descriptors are valid, and the blocks are not
 * freed, until _end. len <= COW_READ_MAX. On failure nothing needs ending. */
cow_errno cow_file_read_begin(struct cow_inode *i, uint64_t off, size_t len, struct cow_read *r);
void cow_file_read_end(struct cow_read *r);

/* Read into memory, checking sums when the store was opened with verify_reads. *ret_len is short
 * only at the end of the file. */
cow_errno cow_file_read(struct cow_inode *i, void *buf, uint64_t off, size_t len, size_t *ret_len);

enum {
	COW_WRITE_DSYNC =
	    1 << 0, /* durable when it returns: one host write when nothing else changed */
	COW_WRITE_NOWAIT = 1 << 2, /* -EAGAIN where it would wait for room: try again without it */
	COW_WRITE_BOUND = 1 << 3, /* a refusal reaches whoever wrote, who takes it well: blocks that
				   * did not exist are held to the quota, and a full disk is not
				   * waited for */
	COW_WRITE_CACHED = 1 << 1, /* from a page cache that has no way to give an error back to the
				    * writer: any failure poisons the file, a full disk too */
};
/* Writes all or fails. Extends the file. -ENOSPC, -EDQUOT, -EFBIG, -EIO (poisoned), -EROFS. */
cow_errno cow_file_write(struct cow_inode *i, const void *buf, uint64_t off, size_t len,
			 unsigned flags);

/* Of a write that was answered with -EAGAIN: is it worth another try? There is room again, or
 * nobody waits for it any more. */
bool cow_file_may_write(struct cow_inode *i, size_t len, unsigned flags);

/* A write that finds no room: 0 = it would wait, -ENOSPC = it would fail. */
cow_errno cow_file_waits(struct cow_inode *i);

/* Bytes of room that the file took since the gate was last open: one whose writes only go where it
 * has blocks already takes none. */
uint64_t cow_file_taken(struct cow_inode *i);

/* datasync: sizes and blocks but not times. Answers at once when nothing changed. */
cow_errno cow_file_sync(struct cow_inode *i, bool datasync);

/* mode: 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE|KEEP_SIZE, FALLOC_FL_ZERO_RANGE[|KEEP_SIZE];
 * others -EOPNOTSUPP. Space is allocated on the host for what the head will own. Under a quota only
 * holes: -EOPNOTSUPP makes the caller write, which is charged. */
cow_errno cow_file_allocate(struct cow_inode *i, int mode, uint64_t off, uint64_t len);

/* whence SEEK_DATA or SEEK_HOLE; -ENXIO past the end. */
cow_errno cow_file_seek(struct cow_inode *i, uint64_t off, int whence, uint64_t *ret);
