// SPDX-License-Identifier: Apache-2.0
/* gate: who wants to write into the kernel's page cache is asked to wait before he does, once room
 * is nearly gone (DESIGN 5.1).
 *
 * The kernel takes a write into its cache under the lock of the inode, and makes the writer wait
 * there when too much is dirty already. If those pages found no room, he would wait for ever, and
 * with him everybody who asks for the size of the file: in postgres every query that reads the
 * table. So the store keeps a rest of its reserve for what the kernel has accepted, and from the
 * moment that only little more is left nothing else may be accepted.
 *
 * With write-back the kernel asks for the attributes of a file through a handle (GETATTR with
 * FUSE_GETATTR_FH) in one place only: at the beginning of a write, before it takes any lock, and
 * only if it was told to forget the mode. So the gate is closed by telling the kernel to forget the
 * attributes of every file that is open for writing, and again after each answer that carries them;
 * and a writer waits, as a request that is not answered, in held.c. His wait holds no lock and can
 * be ended by a signal that ends him.
 *
 * While the gate is narrow some pass: a new segment of WAL, for which a whole server may wait,
 * everybody into a file that has taken hardly any room since,
 * and a process a few times into any, and again as long as room does not shrink by it. So a reader
 * who has to evict dirty pages of others goes on, and a checkpoint of pages that have their place;
 * a load is stopped. With --full-disk=fail who
 * does not pass gets ENOSPC here, before anything is spoilt. Without a write-back cache the gate
 * does nothing: the kernel does not ask then. Nor does it before Linux 5.16 tell a write from an
 * lseek to the end. */
#pragma once
#include "fs/cowfs_ll.h"

cow_errno cow_gate_new(struct cow_gate_book **ret); /* -ENOMEM */
void cow_gate_free(struct cow_gate_book *g);        /* NULL is fine */

/* At the question for attributes through a handle with the flags `fh`: 0 = answer it, -EINPROGRESS
 * = it waits now and is answered later, -ENOSPC, -ENOMEM. */
cow_errno cow_gate_ask(struct cow_mount *m, fuse_req_t req, const struct cow_node *node,
		       unsigned fh);

/* After an answer that carried attributes of the node, or opened it. */
void cow_gate_told(struct cow_mount *m, uint64_t id);
void cow_gate_told_many(struct cow_mount *m); /* of no node in particular */

/* Move the gate to where the store wants it. One thread (held.c), regularly. */
void cow_gate_follow(struct cow_mount *m);
