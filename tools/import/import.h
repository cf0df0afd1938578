// SPDX-License-Identifier: Apache-2.0
/* import: bring an existing PostgreSQL data directory into the store as a branch.
 *
 * Private to this folder. import.c decides and checks, walk.c and file.c
 * bring files in, config.c the configuration that Debian keeps elsewhere.
 * Guarantee: nothing
 * of the original is written or removed before the branch exists for good; without
 * --move, never. A failure leaves no branch and the original as it was. */
#pragma once
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "store/inode.h"
#include "tools/daemon/engine.h"

struct import_taken {
	char *path;
	struct stat st; /* as it was before */
};

struct import {
	struct engine *g;
	char source[PATH_MAX];     /* real path of the data directory */
	char mountpoint[PATH_MAX]; /* of this store; "" = not mounted. Never walked into */
	int major;
	bool move, verify;

	uint64_t total, done; /* bytes */
	uint64_t files, directories, skipped;
	void *links; /* tsearch tree of hard links seen */
	/* With --move: files whose bytes the store has taken over while their names still stand. */
	struct import_taken *taken;
	size_t n_taken;
	struct cow_inode *root; /* of the branch; borrowed; NULL while adding up */
	/* Directories outside `source` that were brought in; with --move they are emptied too. */
	char **followed;
	size_t n_followed;
	json_t *warnings; /* array of text */
};

/* One thing to bring in. `dir` NULL: only add up. */
struct import_item {
	const char *path; /* on the host */
	const char *rel;  /* in the branch, from its root */
	const char *name;
	struct stat st;
	struct cow_inode *dir;
};

#define IMPORT_SECOND_LINK ".cowfs-import.tmp" /* left by a crash in the middle of --move */

/* --- file.c --- */

/* Bring in a regular file (or add up its bytes, when n->dir is NULL). -EBUSY it changed meanwhile.
 */
cow_errno import_file(struct import *im, const struct import_item *n, struct cow_error *e);
/* Create n->name in n->dir with the owner and permissions of n->st. */
cow_errno import_create(const struct import_item *n, uint32_t type, const char *target,
			struct cow_inode **ret);
void import_set_times(struct cow_inode *i, const struct stat *st);
/* After a failure with --move: give the files that were taken over their owner, mode and times
 * back. */
void import_give_back(struct import *im);
void import_forget_links(struct import *im);
cow_errno import_fail(struct cow_error *e, cow_errno r, const char *rel);
/* Is `path` the directory `dir`, or below it? Never, when `dir` is "". */
bool import_below(const char *path, const char *dir);

/* --- walk.c --- */

/* Add up `total` (root NULL) or bring everything below `source` into `root`. Symlinks of a
 * tablespace or pg_wal become directories of the branch. -EBUSY a file changed meanwhile. */
cow_errno import_walk(struct import *im, struct cow_inode *root, struct cow_error *e);

/* Remove what was taken over: the contents of `source` and of the followed directories. */
cow_errno import_remove_original(struct import *im, struct cow_error *e);

/* Give the branch the configuration files that its data directory does not have. */
cow_errno import_config(struct import *im, struct cow_inode *root, struct cow_error *e);

void import_warn(struct import *im, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
