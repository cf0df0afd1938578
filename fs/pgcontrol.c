// SPDX-License-Identifier: Apache-2.0
/* pgcontrol: see the header.
 *
 * The fields that are read have kept their offsets from version 12 to 18 on 64-bit machines; the
 * CRC (CRC-32C over everything before it) moved by four bytes in 18. Numbers are in the byte order
 * of the machine that wrote them, which must be ours. */
#include "fs/pgcontrol.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

enum {
	AT_SYSTEM_IDENTIFIER = 0,
	AT_CONTROL_VERSION = 8,
	AT_STATE = 16,
	AT_CHECKPOINT_TIME = 104,
	AT_MAX_CONNECTIONS = 180,
	AT_MAX_WORKER_PROCESSES = 184,
	AT_MAX_WAL_SENDERS = 188,
	AT_MAX_PREPARED = 192,
	AT_MAX_LOCKS = 196,
	AT_BLOCK_SIZE = 216,
	AT_CHECKSUM_VERSION = 252,
	AT_CRC = 288,
	AT_CRC_18 = 292,
};

static uint32_t word(const uint8_t *data, size_t at)
{
	uint32_t v;

	memcpy(&v, data + at, sizeof(v));
	return v;
}

static uint32_t crc32c(const uint8_t *data, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t k = 0; k < len; k++) {
		crc ^= data[k];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static bool crc_holds(const uint8_t *data, size_t at)
{
	return crc32c(data, at) == word(data, at);
}

cow_errno cow_pgcontrol_decode(const void *bytes, size_t len, struct cow_pgcontrol *ret,
			       struct cow_error *e)
{
	const uint8_t *data = bytes;
	uint32_t version;

	if (len < AT_CRC_18 + 4)
		return cow_fail(e, -EBADMSG, "global/pg_control is too short (%zu bytes)", len);
	version = word(data, AT_CONTROL_VERSION);
	if (version < 1201 || version > 1899)
		return cow_fail(e, -EPROTO,
				"global/pg_control has format %u, which is not one of PostgreSQL "
				"12 to 18 on this kind of machine",
				version);
	if (!crc_holds(data, version < 1800 ? AT_CRC : AT_CRC_18))
		return cow_fail(e, -EBADMSG, "global/pg_control is damaged: its checksum is wrong");
	if (word(data, AT_BLOCK_SIZE) != 8192)
		return cow_fail(e, -EINVAL, "the cluster has blocks of %u bytes, not 8192",
				word(data, AT_BLOCK_SIZE));
	*ret = (struct cow_pgcontrol){
	    .state = (enum cow_pgstate)word(data, AT_STATE),
	    .max_connections = word(data, AT_MAX_CONNECTIONS),
	    .max_worker_processes = word(data, AT_MAX_WORKER_PROCESSES),
	    .max_wal_senders = word(data, AT_MAX_WAL_SENDERS),
	    .max_prepared_transactions = word(data, AT_MAX_PREPARED),
	    .max_locks_per_transaction = word(data, AT_MAX_LOCKS),
	    .checksum_version = word(data, AT_CHECKSUM_VERSION),
	};
	memcpy(&ret->system_identifier, data + AT_SYSTEM_IDENTIFIER, 8);
	memcpy(&ret->checkpoint_time, data + AT_CHECKPOINT_TIME, 8);
	return 0;
}

const char *cow_pgcontrol_state(enum cow_pgstate s)
{
	static const char *const words[] = {
	    "starting up",       "shut down",           "shut down in recovery", "shutting down",
	    "in crash recovery", "in archive recovery", "in production",
	};

	return (unsigned)s < sizeof(words) / sizeof(words[0]) ? words[s] : "unknown";
}
