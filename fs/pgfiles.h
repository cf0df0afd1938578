// SPDX-License-Identifier: Apache-2.0
/* pgfiles: small files of a data directory inside a branch, read and written as a whole.
 *
 * For configuration and state files, never for relations. Works on the store alone: no path of a
 * mount is touched, so the daemon may call it. Errors are -errno of the store. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "store/inode.h"

#define COW_PGFILES_MAX (4u << 20) /* bytes; a larger file is refused with -EFBIG */

/* The root directory; release with cow_inode_put. */
cow_errno cow_pgfiles_root(struct cow_live *l, struct cow_inode **ret);

/* Follow a path of plain names, relative to `dir`; links inside it are not followed. */
cow_errno cow_pgfiles_find(struct cow_inode *dir, const char *path, struct cow_inode **ret);
bool cow_pgfiles_exists(struct cow_inode *dir, const char *path);

/* The whole file, ended by a NUL that is not counted. Free *ret. ret_len may be NULL. */
cow_errno cow_pgfiles_read(struct cow_inode *dir, const char *path, char **ret, size_t *ret_len);

/* Replace the contents, or create the file 0600 with the owner of `dir`. */
cow_errno cow_pgfiles_write(struct cow_inode *dir, const char *name, const void *data, size_t len);

/* Remove a file or a directory with all below it; missing is fine. */
cow_errno cow_pgfiles_remove(struct cow_inode *dir, const char *name);
/* Remove all below a directory, not itself; missing, or no directory, is fine. */
cow_errno cow_pgfiles_empty(struct cow_inode *dir, const char *name);

/* Call `each` for the *.conf files that can hold settings, in the order PostgreSQL reads them:
 * postgresql.conf, conf.d/..., postgresql.auto.conf. `dir` and `name` are borrowed. A non-zero
 * answer stops and is returned. */
cow_errno cow_pgfiles_each_conf(struct cow_inode *root,
				cow_errno (*each)(struct cow_inode *dir, const char *name,
						  void *arg),
				void *arg);
