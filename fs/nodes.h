// SPDX-License-Identifier: Apache-2.0
/* nodes: what the kernel calls an inode, and what the store does.
 *
 * The id of a node is a pure function: incarnation << 40 | inode number (24 and 40 bits), so no two
 * branches ever show the same number, and a daemon that starts again gives the same ids. The
 * mount's root is
 * 1. The mount's own directories, which carry parts of branch names, have incarnation 0 and a hash
 * of their path. The same number is shown as st_ino. What the table holds besides (references,
 * look-up counts) is what the kernel knows; nothing here decides what exists.
 *
 * Threads: any call from any thread. Each shard has one lock, a leaf: no call into the store that
 * does I/O, and no reply, is made under it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "fs/pgpath.h"
#include "store/inode.h"

#define COW_NODE_ROOT 1u      /* FUSE_ROOT_ID */
#define COW_NODE_INO_BITS 40u /* the rest, 24 bits, is the incarnation */

struct cow_nodes;

/* A copy of what is known of a node, with a reference of its own; release with cow_node_put. */
struct cow_node {
	uint64_t id;
	uint64_t parent; /* node of its directory when it was looked up; exact for directories */
	struct cow_inode *inode; /* NULL: a directory of the mount itself */
	enum cow_pg_kind kind;
	uint32_t writers;              /* opens for writing at this moment */
	char path[COW_BRANCH_MAX + 1]; /* of the mount's own directory; "" is the root */
};

cow_errno cow_nodes_new(struct cow_nodes **ret); /* -ENOMEM */

/* Closes and gives up whatever the kernel never said it forgot. NULL is fine. */
void cow_nodes_free(struct cow_nodes *n);

/* -EOVERFLOW (logged): the numbers do not fit, nothing can be shown of this inode. */
cow_errno cow_node_id(struct cow_inode *i, uint64_t *ret);
uint64_t cow_node_id_of_path(const char *path); /* of the mount's own directories */

/* The kernel may only name what it was told: -ESTALE otherwise. */
cow_errno cow_node_get(struct cow_nodes *n, uint64_t id, struct cow_node *ret);
void cow_node_put(struct cow_node *node); /* a zero-initialised one is fine */

/* Count one look-up of `i` (takes a reference of its own), found in `parent` as `kind`.
 * -EOVERFLOW, -ENOMEM. */
cow_errno cow_nodes_remember(struct cow_nodes *n, struct cow_inode *i, uint64_t parent,
			     enum cow_pg_kind kind, uint64_t *ret_id);
/* The same for a directory of the mount. -EIO (logged): two paths with one hash. */
cow_errno cow_nodes_remember_path(struct cow_nodes *n, const char *path, uint64_t parent,
				  uint64_t *ret_id);
void cow_nodes_forget(struct cow_nodes *n, uint64_t id, uint64_t lookups);

/* After a rename: the node, if the kernel knows it, has another place. */
void cow_nodes_move(struct cow_nodes *n, uint64_t id, uint64_t parent, enum cow_pg_kind kind);

/* An open or close that the store was told of; kept so that none is lost when the mount ends. */
void cow_nodes_opened(struct cow_nodes *n, uint64_t id, bool writer);
/* false: no such open is known, and the store must not be told. */
bool cow_nodes_closed(struct cow_nodes *n, uint64_t id, bool writer);

/* Every file that is open for writing; those opened meanwhile may be missed. No lock is held over
 * `each`. -ENOMEM: some were left out. */
cow_errno cow_nodes_each_writer(struct cow_nodes *n, void (*each)(uint64_t id, void *arg),
				void *arg);

/* Directories between the node (a directory) and the root of its branch: 0 for the root itself.
 * -ESTALE when a directory on the way is not known. */
int cow_nodes_depth(struct cow_nodes *n, uint64_t id);

uint64_t cow_nodes_count(struct cow_nodes *n);
