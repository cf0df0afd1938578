// SPDX-License-Identifier: Apache-2.0
/* take: bring an existing host file into a branch as a whole.
 *
 * Used by import. The file becomes the extent file of the (fresh, empty) inode, so a 1 GB segment
 * costs one map record. Only for an inode of an empty branch that nobody has written to. */
#pragma once
#include "store/file.h"

enum cow_take_how {
	COW_TAKE_COPY, /* reflink where the host can, else copy_file_range, else read and write */
	COW_TAKE_MOVE, /* rename(2); falls back to COPY + unlink on another file system */
};

/* `path` is a regular file. Its size becomes the inode's; mode, owner and times are left alone.
 * progress gets bytes as they are copied; may be NULL. -EINVAL the inode already has contents.
 * Durable after cow_live_sync. On failure the inode is as it was. */
cow_errno cow_file_take(struct cow_inode *i, const char *path, enum cow_take_how how,
			void (*progress)(uint64_t bytes, void *arg), void *arg,
			struct cow_error *e);
