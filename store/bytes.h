// SPDX-License-Identifier: Apache-2.0
/* bytes: big-endian numbers in memory, and a cursor that never reads past its end.
 *
 * Big-endian so that memcmp order of keys is numeric order. A cursor that ran over stays failed:
 * decode everything, then ask cow_cur_ok once. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint8_t *cow_put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

static inline uint8_t *cow_put32(uint8_t *p, uint32_t v)
{
	return cow_put16(cow_put16(p, (uint16_t)(v >> 16)), (uint16_t)v);
}

static inline uint8_t *cow_put64(uint8_t *p, uint64_t v)
{
	return cow_put32(cow_put32(p, (uint32_t)(v >> 32)), (uint32_t)v);
}

static inline uint64_t cow_get64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int k = 0; k < 8; k++)
		v = v << 8 | p[k];
	return v;
}

/* LEB128: seven bits a byte, low bits first; at most ten bytes. */
static inline uint8_t *cow_put_varint(uint8_t *p, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p++ = (uint8_t)v;
	return p;
}

struct cow_cur {
	const uint8_t *p, *end;
	bool failed;
};

static inline struct cow_cur cow_cur_of(const void *data, size_t len)
{
	const uint8_t *p = data; /* NULL when empty: not to be added to */

	return (struct cow_cur){.p = p, .end = len ? p + len : p};
}

/* `n` bytes at the cursor, or NULL (and failed) when fewer are left. */
static inline const uint8_t *cow_cur_take(struct cow_cur *c, size_t n)
{
	const uint8_t *at = c->p;

	if (c->failed || (size_t)(c->end - c->p) < n) {
		c->failed = true;
		return NULL;
	}
	c->p += n;
	return at;
}

static inline uint64_t cow_cur_uint(struct cow_cur *c, size_t bytes)
{
	const uint8_t *at = cow_cur_take(c, bytes);
	uint64_t v = 0;

	for (size_t k = 0; at && k < bytes; k++)
		v = v << 8 | at[k];
	return v;
}

static inline uint64_t cow_cur_varint(struct cow_cur *c)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t *at = cow_cur_take(c, 1);

		if (!at)
			return 0;
		v |= (uint64_t)(*at & 0x7f) << shift;
		if (!(*at & 0x80))
			return v;
	}
	c->failed = true;
	return 0;
}

/* Everything was there and nothing is left over. */
static inline bool cow_cur_ok(const struct cow_cur *c)
{
	return !c->failed && c->p == c->end;
}
