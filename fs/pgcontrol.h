// SPDX-License-Identifier: Apache-2.0
/* pgcontrol: what global/pg_control says about a cluster. Pure decoding of PostgreSQL 12 to 18. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "store/error.h"

enum cow_pgstate { /* as in PostgreSQL's pg_control.h */
		   COW_PGSTATE_STARTUP,
		   COW_PGSTATE_SHUT_DOWN,
		   COW_PGSTATE_SHUT_DOWN_IN_RECOVERY,
		   COW_PGSTATE_SHUTTING_DOWN,
		   COW_PGSTATE_CRASH_RECOVERY,
		   COW_PGSTATE_ARCHIVE_RECOVERY,
		   COW_PGSTATE_PRODUCTION,
};

struct cow_pgcontrol {
	uint64_t system_identifier;
	enum cow_pgstate state;
	int64_t checkpoint_time; /* of the last checkpoint; seconds since 1970 */
	uint32_t max_connections, max_worker_processes, max_wal_senders;
	uint32_t max_prepared_transactions, max_locks_per_transaction;
	uint32_t checksum_version; /* 0 = data checksums are off */
};

#define COW_PGCONTROL_BYTES 512u /* as much of the file as decoding wants */

/* -EBADMSG the checksum is wrong or the file is short, -EPROTO a format of another version or byte
 * order, -EINVAL a block size other than 8 KiB. */
cow_errno cow_pgcontrol_decode(const void *data, size_t len, struct cow_pgcontrol *ret,
			       struct cow_error *e);

const char *cow_pgcontrol_state(enum cow_pgstate s); /* "in production" and so on */
