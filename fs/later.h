// SPDX-License-Identifier: Apache-2.0
/* later: a small pool for work that must not hold up the thread that took the request.
 *
 * The sync of a relation, which may take long, when a thread serves all requests of a core; writes
 * that had to wait for room on a full disk (held.h); and whatever needs the kernel to write its
 * pages back first, which waits for requests that the thread itself may have to serve. Each job is
 * answered exactly once: by the pool, or by the ring it came from (uring.h). */
#pragma once
#include <sys/queue.h>

#include "fs/cowfs_ll.h"

struct cow_later;
struct cow_ring;

struct cow_job {
	STAILQ_ENTRY(cow_job) next;
	struct cow_ring *ring; /* NULL: of no ring */
	fuse_req_t req;
	struct cow_inode *inode; /* owned */
	/* On the pool: do it, and leave in `result` and `ret` what is to be answered. */
	void (*work)(struct cow_job *j);
	void (*answer)(struct cow_job *j);
	bool (*due)(struct cow_job *j); /* of one that is held: is there a reason to try it? */
	struct cow_held *held; /* where it goes when `result` is -EAGAIN; NULL: that is an answer */
	struct fuse_session *se;
	struct cow_mount *m; /* of one that is held */
	fuse_ino_t ino;
	uint64_t off;
	int whence;
	bool datasync;
	void *data; /* owned, of a write that waits */
	size_t size;
	unsigned flags;
	bool urgent; /* cow_policy.urgent, of one that waits at the gate */
	pid_t pid; /* the thread that waits for a direct write; 0: none, it was the kernel's own */
	cow_errno result;
	uint64_t ret;
};

/* -ENOMEM, -EAGAIN. */
cow_errno cow_later_start(struct cow_later **ret);
void cow_later_end(struct cow_later *l); /* finishes what was given to it; NULL is fine */

/* A job with a reference of its own to `i`; NULL: no memory. */
struct cow_job *cow_job_new(fuse_req_t req, struct cow_inode *i);
void cow_job_free(struct cow_job *j);

/* Takes the job. */
void cow_later_do(struct cow_later *l, struct cow_job *j);
