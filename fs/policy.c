// SPDX-License-Identifier: Apache-2.0
/* policy: kind of file to treatment. */
#include "fs/policy.h"

enum { WAL_RUN = 128 }; /* 1 MiB: later commits into it are one host write (DESIGN 4.3) */

struct cow_policy cow_policy_for(enum cow_pg_kind kind)
{
	switch (kind) {
	case COW_PG_OTHER:
	case COW_PG_RELATION:
	case COW_PG_TEMP_FILE:
		return (struct cow_policy){.cached = true, .bound = true, .own_run = 1};
	case COW_PG_SYSTEM:
		return (struct cow_policy){.cached = true, .own_run = 1};
	case COW_PG_WAL_TEMP:
		return (struct cow_policy){.cached = true, .urgent = true, .own_run = 1};
	case COW_PG_WAL_SEGMENT:
		return (struct cow_policy){.cached = false, .own_run = WAL_RUN};
	case COW_PG_CACHE:
		return (struct cow_policy){.cached = false, .dispensable = true, .own_run = 1};
	default:
		return (struct cow_policy){.cached = false, .own_run = 1};
	}
}
