// SPDX-License-Identifier: Apache-2.0
/* notify: a thread of its own that tells the kernel which directory entries to forget.
 *
 * The kernel takes the lock of the directory for it, which a request may hold that waits for this
 * daemon; so no thread that serves requests or holds a lock may do it.
 * Threads: any call from any thread, except _start and _end. */
#pragma once
#include "fs/cowfs_ll.h"

struct cow_notifier;

cow_errno cow_notifier_start(struct fuse_session *se,
			     struct cow_notifier **ret); /* -ENOMEM, -EAGAIN */

/* Forget the entry `name` of the directory `parent`; waits at most `wait_ms` until the kernel has.
 */
void cow_notifier_entry(struct cow_notifier *n, uint64_t parent, const char *name,
			unsigned wait_ms);

/* Take no more; what is queued is dropped. Waits a little for what is under way: the kernel may
 * hold it up until a request is answered, or until the mount is gone. Then _end does not wait. NULL
 * is fine. */
void cow_notifier_quiet(struct cow_notifier *n);
void cow_notifier_end(struct cow_notifier *n);
