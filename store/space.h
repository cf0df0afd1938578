// SPDX-License-Identifier: Apache-2.0
/* space: the size of a file and what lies in its blocks without being written. Private to store/.
 */
#pragma once
#include "store/core.h"

/* ftruncate. The caller holds live.freeze shared. -EFBIG, -ENOSPC, -EIO. */
cow_errno cow_space_resize(struct cow_inode *i, uint64_t size);

/* Bytes [from, to) inside one block, past the old end of the file, become zero where the block has
 * contents. Called before the end moves past them; holds freeze shared, io and own. */
cow_errno cow_space_zero_gap(struct cow_inode *i, uint64_t from, uint64_t to);

/* Write the bytes without looking at the size, copying up what surrounds them (write.c). Holds
 * freeze shared, io and own. */
cow_errno cow_write_blocks(struct cow_inode *i, const void *buf, uint64_t off, size_t len,
			   unsigned flags);
