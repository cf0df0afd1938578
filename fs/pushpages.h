// SPDX-License-Identifier: Apache-2.0
/* pushpages: a helper process that makes the path calls on the mount which the daemon must not
 * make.
 *
 * A thread of the daemon that waits for its own mount can never be killed. The helper has no
 * /dev/fuse and no descriptor but its socket, so when the daemon dies the connection dies with it,
 * whatever the helper is waiting for; and the helper goes by PR_SET_PDEATHSIG or by the end of the
 * socket. Threads: any call from any thread, except _start and _end. */
#pragma once
#include <stdbool.h>

#include "store/error.h"

struct cow_helper;

/* Fork it. Must run before the process has threads, on the thread that lives longest. -EAGAIN,
 * -ENOMEM... */
cow_errno cow_helper_start(const char *mountpoint, struct cow_helper **ret, struct cow_error *e);

/* syncfs on the mount. -ETIMEDOUT: it did not end in time, or an earlier request has not ended yet.
 */
cow_errno cow_helper_push(struct cow_helper *h, unsigned timeout_ms);

/* Unmount it. -EBUSY in use (not when `lazy`), -EINVAL not mounted (any more), -ETIMEDOUT as above.
 */
cow_errno cow_helper_unmount(struct cow_helper *h, bool lazy, unsigned timeout_ms);

void cow_helper_end(struct cow_helper *h); /* NULL is fine */
