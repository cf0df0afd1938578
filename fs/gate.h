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
 * only if it does not know the mode for good. So while the gate is closed attributes are told
 * without a time for which they hold, and at its closing the kernel is told to forget those of
 * every file that is open for writing; what it then learns of an answer that was under way it does
 * not believe (attr_version in fs/fuse/inode.c). A writer waits, as a request that is not answered,
 * in held.c. His wait holds no lock and can be ended by a signal that ends him.
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

/* Seconds for which attributes told now hold. */
double cow_gate_validity(const struct cow_mount *m);

/* The kernel may know attributes that hold for ever, and from now on write (before the answer to an
 * open), or was told such while the gate may have closed (after the answer). */
void cow_gate_told(struct cow_mount *m, uint64_t id);

/* Move the gate to where the store wants it. held.c, regularly; any thread. */
void cow_gate_follow(struct cow_mount *m);

/* Before the answer to a page that the kernel wrote back: if its room made the store want the gate
 * closed, it is closed first. The kernel accepts more only as fast as it is answered, so nothing
 * slips through, however late another thread gets a processor. */
void cow_gate_wrote(struct cow_mount *m);
