// SPDX-License-Identifier: Apache-2.0
/* policy: how a file of each kind is treated by the mount (the table of DESIGN 5).
 *
 * Cached: through the kernel's page cache, kept over opens, written back. Else direct I/O, so that
 * the daemon, and with it a snapshot, has exactly what was written. Bound: a write that is refused
 * for lack of room is an ordinary error in postgres; of WAL or a state file it is a PANIC.
 * Dispensable: a server that cannot make such a file says so and goes on without. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "fs/pgpath.h"

struct cow_policy {
	bool cached;
	bool bound; /* COW_WRITE_BOUND */
	bool dispensable;
	bool urgent;      /* a whole server waits for it: the last that waits for room (gate.h) */
	uint32_t own_run; /* blocks, see cow_inode_set_own_run */
};

struct cow_policy cow_policy_for(enum cow_pg_kind kind);
