// SPDX-License-Identifier: Apache-2.0
/* extent: extent files and their descriptors.
 *
 * An extent file is ext/<lineage>/<epoch>/<ino> (16 hex digits each): a sparse host file holding
 * the blocks that one epoch has of one inode, each at its own offset. A `struct cow_extent` stands
 * for one, shared by every inode of every branch that reads from it; its descriptor is opened when
 * needed and closed by a bounded cache, never while it is pinned. A head's extent with unsynced
 * data stays pinned: closing would lose the error of its write-back (rule 5). The file of a sealed
 * epoch is only ever opened for reading (rule 4). Threads: all calls. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "store/error.h"

struct cow_extents; /* the table, owned by the store */
struct cow_extent;

cow_errno cow_extents_open(int store_dirfd, uint32_t max_files, struct cow_extents **ret);
void cow_extents_close(struct cow_extents *t);
uint64_t cow_extents_count(const struct cow_extents *t); /* open descriptors */

/* A reference to the extent; no I/O. */
cow_errno cow_extent_get(struct cow_extents *t, uint64_t lineage, uint64_t epoch, uint64_t ino,
			 struct cow_extent **ret);
void cow_extent_put(struct cow_extents *t, struct cow_extent *x);

/* Which file it is. */
void cow_extent_place(const struct cow_extent *x, uint64_t *ret_lineage, uint64_t *ret_epoch);

/* Descriptor that stays open until _unpin, or -errno (-EIO: the file is missing). `writable` is for
 * the head epoch only: makes the file when it is missing. */
int cow_extent_pin(struct cow_extents *t, struct cow_extent *x, bool writable);
void cow_extent_unpin(struct cow_extents *t, struct cow_extent *x);

/* A second descriptor of an extent that the caller has pinned for writing: it goes past the host's
 * page cache (O_DIRECT), lives as long as the first, and is for durable writes in units of
 * COW_DIRECT_UNIT, memory, place and length alike. -1: the host's file system has none. */
enum { COW_DIRECT_UNIT = 4096 };
int cow_extent_direct(struct cow_extents *t, struct cow_extent *x);
/* It refused a write that was aligned: from now on -1. */
void cow_extent_direct_refused(struct cow_extent *x);

/* The epoch was sealed: a writable descriptor is given up as soon as nobody uses it. */
void cow_extent_seal(struct cow_extents *t, struct cow_extent *x);

/* Data of the file, and its name when it is new, become durable. The caller holds a pin. */
cow_errno cow_extent_sync(struct cow_extents *t, struct cow_extent *x);

/* A sync of the whole host file system did it (`durable`) or failed; gives up the caller's pin. */
void cow_extent_synced(struct cow_extents *t, struct cow_extent *x, bool durable);

/* Host paths, relative to the store's directory. */
void cow_extent_path(uint64_t lineage, uint64_t epoch, uint64_t ino, char ret[64]);
