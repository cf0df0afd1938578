// SPDX-License-Identifier: Apache-2.0
/* branchdirs: the mount's own directories, which carry the names of branches.
 *
 * `feature/x` shows as directory `feature` (the mount's own) with the root of the branch in it. The
 * names of all branches are kept in memory, sorted, and follow the store through _update.
 * Threads: any call from any thread; one lock, never held over a call into the store. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/branch.h"

struct cow_branchdirs;

enum cow_branchdir { COW_BRANCHDIR_NONE, COW_BRANCHDIR_PREFIX, COW_BRANCHDIR_BRANCH };

/* Knows no name until _update or _load. -ENOMEM. */
cow_errno cow_branchdirs_new(struct cow_branchdirs **ret);
void cow_branchdirs_free(struct cow_branchdirs *d); /* NULL is fine */

/* Read the names of all branches. */
cow_errno cow_branchdirs_load(struct cow_branchdirs *d, struct cow_store *s);

/* Read what became of `name`. *ret is the path of the outermost directory entry that changed, and
 * so has to be forgotten by the kernel: the branch's own, or the prefix that came or went with it.
 * On failure (-ENOMEM, -EIO) *ret is `name` itself. */
cow_errno cow_branchdirs_update(struct cow_branchdirs *d, struct cow_store *s, const char *name,
				char ret[COW_BRANCH_MAX + 1]);

enum cow_branchdir cow_branchdirs_find(struct cow_branchdirs *d, const char *path);

/* Name of the branch that shows as `incarnation`. -ENOENT. */
cow_errno cow_branchdirs_name(struct cow_branchdirs *d, uint64_t incarnation,
			      char ret[COW_BRANCH_MAX + 1]);

/* Each entry of the directory `path` ("" = the root) in name order, of one moment: `name` is one
 * part of a path. Called without the lock. A non-zero answer stops and is returned. -ENOMEM. */
int cow_branchdirs_each(struct cow_branchdirs *d, const char *path,
			int (*each)(const char *name, enum cow_branchdir what, void *arg),
			void *arg);
