// SPDX-License-Identifier: Apache-2.0
/* live: one incarnation of a branch, opened for reading and writing.
 *
 * This is what a mount shows and what import writes into. A `live` is shared: acquiring the same
 * branch twice gives the same object. When its branch is reset, restored, promoted or deleted the
 * object goes stale: every call on its inodes answers -ESTALE, except writes, which pretend to
 * succeed and are dropped (the kernel may still push dirty pages of the old incarnation).
 *
 * Lock order (outer first): admin (branch.c), freeze, names, inode.io, inode.commit, inode.map. */
#pragma once
#include <stdint.h>

#include "store/store.h"

struct cow_live;
struct cow_inode;

/* -ENOENT no such branch. Release with _put. */
cow_errno cow_live_get(struct cow_store *s, const char *branch, struct cow_live **ret,
		       struct cow_error *e);
void cow_live_put(struct cow_live *l);

/* A read-only view of a point (reference text as in branch.h): modifications answer -EROFS. */
cow_errno cow_live_get_point(struct cow_store *s, const char *reference, struct cow_live **ret,
			     struct cow_error *e);

uint64_t cow_live_incarnation(const struct cow_live *l);
uint64_t cow_live_root(const struct cow_live *l); /* inode number of the root directory */
bool cow_live_stale(const struct cow_live *l);
bool cow_live_ephemeral(const struct cow_live *l);
/* Of a branch with a quota: its bytes and those charged now; false = it has none. */
bool cow_live_quota(const struct cow_live *l, uint64_t *ret_quota, uint64_t *ret_used);

/* Make durable everything written through this live so far (names, sizes, data). */
cow_errno cow_live_sync(struct cow_live *l);
