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
 * only if it was told to forget the mode (where they hold for ever; with a time it asks in lseek
 * too, under the lock of the inode). So the gate is closed by telling the kernel to forget the
 * attributes of every file that is open for writing, and again before each answer that carries
 * them: what is forgotten while an answer is under way the kernel does not learn from that answer
 * (attr_version in fs/fuse/inode.c). Some answers it believes nevertheless (CREATE, LINK, and
 * SETATTR before Linux 6.16), so the file is forgotten once more before each of its pages is
 * answered. A writer waits, as a request that is not answered, in held.c. His wait holds no lock
 * and can be ended by a signal that ends him.
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

/* Before an answer that carries attributes of the node, and before that to an open: the kernel may
 * write from then on. */
void cow_gate_tell(struct cow_mount *m, uint64_t id);

/* Move the gate to where the store wants it. Called regularly by held.c, and by any thread. */
void cow_gate_follow(struct cow_mount *m);

/* Before the answer to a write: if its room made the store want the gate closed, it is closed
 * first. The kernel accepts more only as fast as it is answered, so nothing slips through, however
 * late another thread gets a processor. */
void cow_gate_wrote(struct cow_mount *m, uint64_t id);
