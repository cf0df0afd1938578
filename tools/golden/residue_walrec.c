// SPDX-License-Identifier: Apache-2.0
#include "tools/golden/residue_walrec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/cleanup.h"
#include "tools/golden/residue_inflate.h"

#define RECORD_HEADER 24u
#define RECORD_MAX (1020u * 1024u * 1024u)
#define RMGR_HEAP 10u
#define RMGR_MAX 255u

/* Numbers of blocks, and of what else may stand before the data. */
#define BLOCK_LAST 32u
#define ID_DATA_SHORT 255u
#define ID_DATA_LONG 254u
#define ID_ORIGIN 253u
#define ID_TOPLEVEL_XID 252u

#define HAS_IMAGE 0x10u
#define HAS_DATA 0x20u
#define SAME_RELATION 0x80u

#define IMAGE_HAS_HOLE 0x01u
#define IMAGE_PACKED_BEFORE_15 0x02u
#define IMAGE_PGLZ 0x04u
#define IMAGE_LZ4 0x08u
#define IMAGE_ZSTD 0x10u
#define MAGIC_15 0xd110u

#define DEFAULT_TABLESPACE 1663u
#define GLOBAL_TABLESPACE 1664u

#define INSERT_HEADER 5u /* infomask2, infomask, hoff of an inserted tuple */
#define CHUNKS_AT_ONCE (32u * 1024u * 1024u)

struct block {
	bool has_image, packed;
	enum inflate_method method;
	uint16_t image_len, hole_at, hole_len, data_len;
	uint32_t space, database, relation, number;
};

struct cursor {
	const uint8_t *p;
	size_t n;
	bool short_of; /* more was wanted than there is */
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (n > c->n) {
		c->short_of = true;
		return NULL;
	}
	c->p += n;
	c->n -= n;
	return p;
}

/* --- headers of blocks --- */

static bool read_image_header(const struct walrec *w, struct cursor *c, struct block *b)
{
	const uint8_t *p = take(c, 5);
	uint8_t info;

	if (!p)
		return false;
	b->image_len = get16(p);
	b->hole_at = get16(p + 2);
	info = p[4];
	b->hole_len = info & IMAGE_HAS_HOLE ? (uint16_t)(PAGE - COW_MIN(b->image_len, PAGE)) : 0;
	if (w->magic < MAGIC_15) {
		b->packed = info & IMAGE_PACKED_BEFORE_15;
		b->method = INFLATE_PGLZ;
	} else {
		b->packed = info & (IMAGE_PGLZ | IMAGE_LZ4 | IMAGE_ZSTD);
		b->method = info & IMAGE_ZSTD  ? INFLATE_ZSTD
			    : info & IMAGE_LZ4 ? INFLATE_LZ4
					       : INFLATE_PGLZ;
	}
	if (b->packed) {
		b->hole_len = 0;
		if (info & IMAGE_HAS_HOLE) {
			p = take(c, 2);
			if (!p)
				return false;
			b->hole_len = get16(p);
		}
	}
	return b->image_len <= PAGE && b->hole_len < PAGE && b->hole_at + b->hole_len <= (int)PAGE;
}

static bool read_block_header(const struct walrec *w, struct cursor *c, const struct block *before,
			      struct block *b)
{
	const uint8_t *p = take(c, 3);
	uint8_t flags;

	*b = (struct block){0};
	if (!p)
		return false;
	flags = p[0];
	b->data_len = get16(p + 1);
	if (!(flags & HAS_DATA) && b->data_len)
		return false;
	b->has_image = flags & HAS_IMAGE;
	if (b->has_image && !read_image_header(w, c, b))
		return false;
	if (flags & SAME_RELATION) {
		if (!before)
			return false;
		b->space = before->space;
		b->database = before->database;
		b->relation = before->relation;
	} else {
		p = take(c, 12);
		if (!p)
			return false;
		b->space = get32(p);
		b->database = get32(p + 4);
		b->relation = get32(p + 8);
	}
	p = take(c, 4);
	if (!p)
		return false;
	b->number = get32(p);
	return true;
}

/* All that stands before the data. False: this is no record. */
static bool read_headers(const struct walrec *w, struct cursor *c, struct block *blocks,
			 size_t *ret_n, uint32_t *ret_main)
{
	size_t sum = 0, n = 0;

	*ret_main = 0;
	/* What is left over once the headers are read is their data, all of it. */
	while (c->n > sum) {
		const uint8_t *p = take(c, 1);
		uint8_t id = p[0];

		if (id <= BLOCK_LAST) {
			if (!read_block_header(w, c, n ? &blocks[n - 1] : NULL, &blocks[n]))
				return false;
			sum += blocks[n].data_len + (size_t)blocks[n].image_len;
			n++;
			if (n > BLOCK_LAST)
				return false;
		} else if (id == ID_DATA_SHORT || id == ID_DATA_LONG) {
			p = take(c, id == ID_DATA_SHORT ? 1 : 4);
			if (!p)
				return false;
			*ret_main = id == ID_DATA_SHORT ? p[0] : get32(p);
			sum += *ret_main;
			break;
		} else if (!(id == ID_ORIGIN && take(c, 2)) &&
			   !(id == ID_TOPLEVEL_XID && take(c, 4))) {
			return false;
		}
	}
	*ret_n = n;
	return sum == c->n;
}

/* --- chunks that were inserted --- */

static const uint8_t *from_memory(void *arg, const struct chunk *c)
{
	const struct walrec *w = arg;

	return w->bytes + ((uint64_t)c->segment << 32 | c->block);
}

/* Values come in one go, so those that are not complete when the memory is full are few; they are
 * looked at as far as they are there. */
static void flush_chunks(struct walrec *w)
{
	const char *place = w->r->place;

	reader_chunks(w->r, &w->chunks, from_memory, w);
	w->chunks.n = 0;
	w->n_bytes = 0;
	w->r->place = place;
}

static void keep_chunk(struct walrec *w, struct chunk *c, const uint8_t *varlena)
{
	if (w->n_bytes + c->len > w->bytes_room) {
		size_t larger = COW_MAX(w->bytes_room * 2, (size_t)65536);
		uint8_t *fresh = realloc(w->bytes, larger);

		if (!fresh) {
			scan_fail(w->r->scan, -ENOMEM, "no memory for chunks in the WAL");
			return;
		}
		w->bytes = fresh;
		w->bytes_room = larger;
	}
	/* `block` and `segment` are free to say where the bytes are. */
	c->block = (uint32_t)w->n_bytes;
	c->segment = (uint32_t)((uint64_t)w->n_bytes >> 32);
	c->at = 0;
	memcpy(w->bytes + w->n_bytes, varlena, c->len);
	w->n_bytes += c->len;
	if (chunk_add(&w->chunks, c) < 0)
		scan_fail(w->r->scan, -ENOMEM, "no memory for chunks in the WAL");
	if (w->n_bytes > CHUNKS_AT_ONCE)
		flush_chunks(w);
}

/* Data of an inserted tuple: five bytes of its header, what pads up to its data, the data. */
static void inserted(struct walrec *w, const uint8_t *p, size_t len)
{
	struct chunk c;
	size_t skip;

	if (len < INSERT_HEADER + 1 || (get16(p) & 0x7ff) != 3 || (get16(p + 2) & 1) || p[4] != 24)
		return;
	skip = INSERT_HEADER + (p[4] - 23u);
	if (len > skip && chunk_shape(p + skip, len - skip, &c))
		keep_chunk(w, &c, p + skip + 8);
}

/* --- data --- */

static void name_relation(const struct block *b, char *buf, size_t size)
{
	if (b->space == GLOBAL_TABLESPACE)
		snprintf(buf, size, "global/%u", b->relation);
	else if (b->space == DEFAULT_TABLESPACE)
		snprintf(buf, size, "base/%u/%u", b->database, b->relation);
	else
		snprintf(buf, size, "pg_tblspc/%u/?/%u/%u", b->space, b->database, b->relation);
}

static void page_chunks(struct walrec *w, const uint8_t *page)
{
	struct chunk_list found = {0};

	reader_page(w->r, page, w->r->base, &found);
	for (size_t k = 0; k < found.n; k++)
		keep_chunk(w, &found.chunks[k], page + found.chunks[k].at);
	free(found.chunks);
}

/* Bytes of an image that is not packed were looked at as part of the row. */
static void image(struct walrec *w, const struct block *b, const uint8_t *p)
{
	uint8_t packed[PAGE], page[PAGE] = {0};
	size_t len = PAGE - b->hole_len, made = b->image_len;
	const char *place = w->r->place;
	bool whole = true;

	w->r->wal_images++;
	if (b->packed) {
		made = inflate(b->method, p, b->image_len, packed, len, &whole);
		p = packed;
	}
	made = COW_MIN(made, len);
	memcpy(page, p, COW_MIN(made, (size_t)b->hole_at));
	if (made > b->hole_at)
		memcpy(page + b->hole_at + b->hole_len, p + b->hole_at, made - b->hole_at);
	if (b->packed) {
		w->r->place = "WAL, compressed page image";
		w->r->fixed = true;
		w->r->quiet = !whole;
		reader_bytes(w->r, page, PAGE, 0, true);
		w->r->fixed = w->r->quiet = false;
	}
	w->r->place = place;
	page_chunks(w, page);
}

static void block_data(struct walrec *w, const struct block *b, struct cursor *c, bool heap_insert)
{
	uint64_t base = w->r->base;
	const uint8_t *p;

	if (b->has_image && (p = take(c, b->image_len)))
		image(w, b, p);
	w->r->base = base;
	if (b->data_len && (p = take(c, b->data_len))) {
		reader_hunt(w->r, p, b->data_len, 1, base);
		w->r->base = base;
		if (heap_insert)
			inserted(w, p, b->data_len);
	}
	w->r->base = base;
}

size_t walrec_parse(struct walrec *w, const uint8_t *p, size_t len, bool last)
{
	struct block blocks[BLOCK_LAST + 2];
	struct cursor c;
	uint32_t total, main_len;
	size_t n;

	if (len < RECORD_HEADER)
		return last ? WALREC_NONE : WALREC_MORE;
	total = get32(p);
	if (total < RECORD_HEADER || total > RECORD_MAX || p[18] || p[19])
		return WALREC_NONE;
	if (total > len)
		return last ? WALREC_NONE : WALREC_MORE;
	c = (struct cursor){p + RECORD_HEADER, total - RECORD_HEADER, false};
	if (!read_headers(w, &c, blocks, &n, &main_len))
		return WALREC_NONE;
	w->r->wal_records++;
	for (size_t k = 0; k < n; k++) {
		char name[64];

		name_relation(&blocks[k], name, sizeof(name));
		w->r->belongs = name;
		block_data(w, &blocks[k], &c, p[17] == RMGR_HEAP);
		w->r->belongs = NULL;
	}
	if (main_len) {
		uint64_t base = w->r->base;

		reader_hunt(w->r, c.p, COW_MIN((size_t)main_len, c.n), 1, base);
		w->r->base = base;
	}
	w->r->n_covered = 0;
	return COW_MIN((size_t)(total + 7u) / 8u * 8u, len);
}

void walrec_release(struct walrec *w)
{
	if (w->chunks.n)
		flush_chunks(w);
	free(w->chunks.chunks);
	free(w->bytes);
	w->chunks = (struct chunk_list){0};
	w->bytes = NULL;
}
