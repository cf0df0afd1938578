// SPDX-License-Identifier: Apache-2.0
/* residue_page: what is packed inside a page of a relation.
 *
 * Line pointers are not asked: a tuple that was pruned has none any more, and its bytes lie where
 * they lay. Instead every place is tried where a compressed value or a chunk could begin. A
 * compressed value has a header of eight bytes (length and `10` in the two low bits; length
 * unpacked and method), and its decoder has to come out exactly: what is none is refused at once or
 * a little later. */
#include <errno.h>
#include <stdlib.h>

#include "store/cleanup.h"
#include "tools/golden/residue_inflate.h"
#include "tools/golden/residue_parts.h"

#define VARLENA_HEADER 4u
#define COMPRESSED_HEADER 8u
#define SHORTEST 12u /* packed bytes: less cannot hold what is looked for */

#define HEAP_HEADER 24u /* of a tuple without nulls, up to eight columns */
#define HEAP_ALIGN 8u
#define HAS_NULLS 0x0001u
#define NATTS_MASK 0x07ffu
#define CHUNK_LONGEST 8160u

/* --- compressed values --- */

static bool make_room(struct reader *r, size_t size)
{
	uint8_t *fresh;

	if (size <= r->scratch_size)
		return true;
	fresh = realloc(r->scratch, size);
	if (!fresh) {
		scan_fail(r->scan, -ENOMEM, "no memory to unpack %zu bytes of %s", size, r->path);
		return false;
	}
	r->scratch = fresh;
	r->scratch_size = size;
	return true;
}

bool reader_unpack(struct reader *r, uint32_t tcinfo, const uint8_t *in, size_t len)
{
	size_t size = tcinfo & 0x3fffffffu, made;
	unsigned method = tcinfo >> 30;
	bool whole;

	if (method > 1 || size <= len || len < SHORTEST || size / INFLATE_RATIO > len ||
	    !make_room(r, size))
		return false;
	made = inflate(method ? INFLATE_LZ4 : INFLATE_PGLZ, in, len, r->scratch, size, &whole);
	if (!whole && made < 16)
		return false;
	r->fixed = true;
	r->quiet = !whole;
	reader_bytes(r, r->scratch, made, 0, true);
	r->fixed = r->quiet = false;
	if (whole) {
		r->unpacked++;
		r->unpacked_bytes += made;
	}
	return whole;
}

void reader_hunt(struct reader *r, const uint8_t *buf, size_t len, size_t step, uint64_t base)
{
	const char *place = r->place;

	for (size_t at = 0; at + COMPRESSED_HEADER + SHORTEST <= len;) {
		uint32_t head = get32(buf + at);
		size_t size = head >> 2;

		if ((head & 3) == 2 && size >= COMPRESSED_HEADER + SHORTEST && size <= len - at) {
			r->base = base + at;
			r->place = "compressed in a tuple";
			if (reader_unpack(r, get32(buf + at + VARLENA_HEADER),
					  buf + at + COMPRESSED_HEADER, size - COMPRESSED_HEADER)) {
				reader_cover(r, base + at, base + at + size);
				at += (size + step - 1) / step * step;
				continue;
			}
		}
		at += step;
	}
	r->place = place;
}

/* --- chunks --- */

cow_errno chunk_add(struct chunk_list *l, const struct chunk *c)
{
	if (l->n == l->room) {
		size_t larger = l->room ? l->room * 2 : 256;
		struct chunk *fresh = reallocarray(l->chunks, larger, sizeof(*fresh));

		if (!fresh)
			return -ENOMEM;
		l->chunks = fresh;
		l->room = larger;
	}
	l->chunks[l->n++] = *c;
	return 0;
}

bool chunk_shape(const uint8_t *p, size_t len, struct chunk *ret)
{
	uint32_t head;
	size_t size;

	if (len < 8 + VARLENA_HEADER)
		return false;
	ret->id = get32(p);
	ret->seq = get32(p + 4);
	if (ret->id == 0 || ret->seq > INT32_MAX)
		return false;
	/* Uncompressed with four bytes of header, compressed, or short with one byte. */
	head = get32(p + 8);
	size = (head & 1) ? (head & 0xff) >> 1 : head >> 2;
	if ((head & 3) > 2 && (head & 1) == 0)
		return false;
	if (size <= ((head & 1) ? 1u : VARLENA_HEADER) || size > CHUNK_LONGEST || size > len - 8)
		return false;
	ret->len = (uint16_t)size;
	return true;
}

static void find_chunks(struct reader *r, const uint8_t *page, uint64_t base,
			struct chunk_list *found)
{
	for (size_t at = 0; at + HEAP_HEADER + 12 <= PAGE; at += HEAP_ALIGN) {
		const uint8_t *t = page + at;
		struct chunk c;

		if ((get16(t + 18) & NATTS_MASK) != 3 || t[22] != HEAP_HEADER ||
		    (get16(t + 20) & HAS_NULLS) ||
		    !chunk_shape(t + HEAP_HEADER, PAGE - at - HEAP_HEADER, &c))
			continue;
		c.block = (uint32_t)(base / PAGE);
		c.segment = r->file ? r->file->segment : 0;
		c.at = (uint16_t)(at + HEAP_HEADER + 8);
		if (chunk_add(found, &c) < 0) {
			scan_fail(r->scan, -ENOMEM, "no memory for the chunks of %s", r->path);
			return;
		}
		reader_cover(r, base + c.at, base + c.at + c.len);
	}
}

static bool is_empty(const uint8_t *page)
{
	for (size_t k = 0; k < PAGE; k += 8)
		if (get64(page + k))
			return false;
	return true;
}

void reader_page(struct reader *r, const uint8_t *page, uint64_t base, struct chunk_list *found)
{
	if (is_empty(page))
		return;
	reader_hunt(r, page, PAGE, 4, base);
	if (found)
		find_chunks(r, page, base, found);
}
