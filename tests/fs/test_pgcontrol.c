// SPDX-License-Identifier: Apache-2.0
/* global/pg_control: what is believed, and what is refused. */
#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#include "fs/pgcontrol.h"

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

static void put(uint8_t *data, size_t at, uint32_t v)
{
	memcpy(data + at, &v, sizeof(v));
}

/* A control file of the format number `format`, with its checksum where that format has it. */
static void make(uint8_t data[COW_PGCONTROL_BYTES], uint32_t format)
{
	size_t at = format < 1800 ? 288 : 292;

	memset(data, 0, COW_PGCONTROL_BYTES);
	put(data, 0, 4711);
	put(data, 8, format);
	put(data, 16, COW_PGSTATE_PRODUCTION);
	put(data, 180, 222);
	put(data, 192, 7);
	put(data, 216, 8192);
	put(data, 252, 1);
	put(data, at, crc32c(data, at));
}

Test(pgcontrol, checksum_is_the_one_everybody_uses)
{
	cr_assert_eq(crc32c((const uint8_t *)"123456789", 9), 0xe3069283u);
}

Test(pgcontrol, reads_every_supported_format)
{
	const uint32_t formats[] = {1201, 1300, 1700, 1800};
	uint8_t data[COW_PGCONTROL_BYTES];
	struct cow_pgcontrol c;

	for (size_t k = 0; k < 4; k++) {
		make(data, formats[k]);
		cr_assert_eq(cow_pgcontrol_decode(data, sizeof(data), &c, NULL), 0, "%u",
			     formats[k]);
		cr_assert_eq(c.system_identifier, 4711);
		cr_assert_eq(c.state, COW_PGSTATE_PRODUCTION);
		cr_assert_eq(c.max_connections, 222);
		cr_assert_eq(c.max_prepared_transactions, 7);
		cr_assert_eq(c.checksum_version, 1);
	}
}

Test(pgcontrol, one_changed_bit_is_refused)
{
	uint8_t data[COW_PGCONTROL_BYTES];
	struct cow_pgcontrol c;

	for (size_t byte = 20; byte < 292; byte++) {
		make(data, 1300);
		data[byte] ^= 0x10;
		cr_assert_eq(cow_pgcontrol_decode(data, sizeof(data), &c, NULL), -EBADMSG,
			     "byte %zu", byte);
	}
}

Test(pgcontrol, short_files_and_other_formats_are_refused)
{
	uint8_t data[COW_PGCONTROL_BYTES];
	struct cow_pgcontrol c;

	make(data, 1300);
	cr_assert_eq(cow_pgcontrol_decode(data, 100, &c, NULL), -EBADMSG);
	make(data, 1100);
	cr_assert_eq(cow_pgcontrol_decode(data, sizeof(data), &c, NULL), -EPROTO);
	make(data, 1300u << 16);
	cr_assert_eq(cow_pgcontrol_decode(data, sizeof(data), &c, NULL), -EPROTO);
}
