// SPDX-License-Identifier: Apache-2.0
/* checkout: the branch of a working directory, in the file .cowfs, found upward as git finds its
 * own.
 *
 * The file holds lines NAME = VALUE: store, branch, previous. Whoever can write it decides what
 * commands in that directory connect to, so it counts only when it belongs to the user, to root, or
 * to the user behind sudo, and nobody else may write it. */
#pragma once
#include <limits.h>
#include <stdbool.h>

#include "store/branch.h"
#include "store/error.h"

#define CHECKOUT_FILE ".cowfs"

struct checkout {
	char path[PATH_MAX + 16]; /* of the file */
	char store[PATH_MAX];
	char branch[COW_BRANCH_MAX + 1], previous[COW_BRANCH_MAX + 1]; /* "" = none */
};

/* -ENOENT none from the working directory up to the root: ret->path is where a new one would be.
 * -EPERM one that does not count, with the reason; it is not read. -EINVAL damaged. */
cow_errno checkout_find(struct checkout *ret, struct cow_error *e);

/* Write ret->path anew, in one step. */
cow_errno checkout_write(const struct checkout *c, struct cow_error *e);

/* Put the lines of `block` into the file `path` (made when missing), between marks: an earlier
 * block of ours is replaced in its place, lines elsewhere that set the same names become comments,
 * all other lines stay as they are. In one step; mode and owner stay, links are followed. */
cow_errno checkout_update_env(const char *path, const char *block, struct cow_error *e);

/* Is there a block of ours in that file for another branch than `branch`? */
bool checkout_env_is_of_another(const char *path, const char *branch);

/* The new text of such a file. Free the result; NULL = no memory. Pure. */
char *checkout_env_text(const char *old, const char *block);
