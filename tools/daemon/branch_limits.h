// SPDX-License-Identifier: Apache-2.0
/* branch_limits: what the configuration says about all branches of a store, section [branches].
 *
 * Read anew whenever it is needed: a change of cowfs.conf holds from the next command on. */
#pragma once
#include "tools/daemon/engine.h"

#define BRANCH_LIMITS_WINDOW_MS (24ull * 3600 * 1000) /* without a word in the configuration */

struct branch_limits {
	uint64_t window_ms;    /* how long a deleted branch can be had back; 0 = not at all */
	uint64_t max_branches; /* 0 = any number */
	uint64_t max_bytes;    /* of all branches beside their bases, on the host; 0 = any */
	char profile[32];      /* of servers; "" = by the kind of branch (tools/pg/pgprofile.h) */
	uint64_t memory_bytes; /* of one server; 0 = any */
	double cpus;           /* of one server; 0 = any */
};

/* -EINVAL names the value that is wrong. */
cow_errno branch_limits_read(struct engine *g, struct branch_limits *ret, struct cow_error *e);

/* Before a branch is made. -EDQUOT: one of the limits is reached; says which, and what to do. */
cow_errno branch_limits_check(struct engine *g, const struct branch_limits *l, struct cow_error *e);
