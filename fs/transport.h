// SPDX-License-Identifier: Apache-2.0
/* transport: how requests come from the kernel: classic /dev/fuse or FUSE over io_uring.
 *
 * The only file that knows the difference (with uring.c, which is private to it). */
#pragma once
#include "fs/cowfs_ll.h"

/* Bytes that one request reads or writes at most. Each slot of a ring has as much memory, which
 * stays once it was used: at 1 MiB a busy day left 96 MiB behind on two cores. Larger ones were not
 * faster (bench/README.md). */
enum { COW_REQUEST_MAX = 256 << 10 };

/* Turn AUTO into what kernel and library can (logged); switches the kernel's parameter on when
 * root. -ENOTSUP: io_uring was asked for and cannot be had. */
cow_errno cow_transport_choose(enum cow_transport asked, enum cow_transport *ret,
			       struct cow_error *e);

/* Text for -o, beginning with a comma; "" when none is needed. */
void cow_transport_options(const struct cow_mount *m, char *ret, size_t size);

/* Requests of the kernel's own that may be under way: writes that wait on a full disk are such, and
 * reads must still find a slot beside them. */
unsigned cow_transport_background(const struct cow_mount *m);

/* What a request came through is what is in use: a kernel may refuse rings after INIT. */
void cow_transport_note(struct cow_mount *m, fuse_req_t req);

/* Memory for the answer to a read of `size` <= COW_REQUEST_MAX bytes; valid until the reply, which
 * is made by fuse_reply_buf. -ENOMEM. */
cow_errno cow_transport_read_buffer(struct cow_mount *m, fuse_req_t req, size_t size, char **ret);

/* One thread serves many requests: work that takes long must not be done on it. */
bool cow_transport_is_shared(struct cow_mount *m);

/* Serve until the session ends. 0 or -errno. */
cow_errno cow_transport_loop(struct cow_mount *m);
