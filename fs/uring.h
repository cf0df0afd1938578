// SPDX-License-Identifier: Apache-2.0
/* uring: how a request over io_uring is answered later than its handler returns.
 *
 * libfuse has one thread for each core, which takes the requests of that core from a ring and
 * answers them. A handler that blocks there stalls the core, so long work goes to a small pool. But
 * an answer must be given by the ring's own thread: the kernel runs the next request of that slot
 * in the context of the thread that gave the answer, so one given by a pool thread would make a
 * later request wait for that thread's next fsync; and libfuse's loop submits without its lock. So
 * the pool hands finished work back, wakes the ring's thread with a signal, and that thread
 * answers. Private to the transport. */
#pragma once
#include "fs/cowfs_ll.h"

struct cow_later;

/* Threads that do long work. -ENOMEM, -EAGAIN. */
cow_errno cow_later_start(struct cow_later **ret);
void cow_later_end(struct cow_later *l); /* finishes what was given to it; NULL is fine */

/* Sync a file and answer `req` with the result, on the pool. False: this thread serves no ring, or
 * there is no memory; the caller does it itself. */
bool cow_later_sync(struct cow_later *l, fuse_req_t req, struct cow_inode *i, bool datasync);
