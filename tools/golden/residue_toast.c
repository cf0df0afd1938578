// SPDX-License-Identifier: Apache-2.0
/* residue_toast: values that are longer than a page allows.
 *
 * Rows of (value, number, bytes): of a TOAST table, or of pg_largeobject. Every row that was found
 * counts, live or not; several with one number (a value was replaced under its id) are tried one
 * after the other. A compressed value begins with its length and method in the first chunk. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/golden/residue_inflate.h"
#include "tools/golden/residue_parts.h"

#define VALUE_MAX (1024u * 1024u * 1024u + 4096u)

static int by_place(const struct chunk *x, const struct chunk *y)
{
	if (x->segment != y->segment)
		return x->segment < y->segment ? -1 : 1;
	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int by_value(const void *a, const void *b)
{
	const struct chunk *x = a, *y = b;

	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	return by_place(x, y);
}

/* A value being put together. */
struct value {
	uint8_t *bytes;
	size_t n, room;
};

static bool append(struct reader *r, struct value *v, const uint8_t *bytes, size_t len)
{
	if (v->n + len > v->room) {
		size_t larger = COW_MAX(v->room * 2, v->n + len + 65536);
		uint8_t *fresh = larger <= VALUE_MAX * 2ull ? realloc(v->bytes, larger) : NULL;

		if (!fresh) {
			scan_fail(r->scan, -ENOMEM, "no memory for a value of %s", r->path);
			return false;
		}
		v->bytes = fresh;
		v->room = larger;
	}
	memcpy(v->bytes + v->n, bytes, len);
	v->n += len;
	return true;
}

/* The contents of a varlena of `len` bytes; a packed page of a large object is unpacked. */
static bool append_varlena(struct reader *r, struct value *v, const uint8_t *p, size_t len)
{
	uint8_t page[PAGE];
	size_t size, made;
	bool whole;

	if (p[0] & 1)
		return append(r, v, p + 1, len - 1);
	if ((get32(p) & 3) != 2 || len < 8)
		return append(r, v, p + 4, len - 4);
	size = get32(p + 4) & 0x3fffffffu;
	made = inflate(get32(p + 4) >> 30 ? INFLATE_LZ4 : INFLATE_PGLZ, p + 8, len - 8, page,
		       COW_MIN(size, sizeof(page)), &whole);
	return append(r, v, page, made);
}

/* Values that compress say so in their first bytes; others are looked at as they are. */
static void look(struct reader *r, const struct value *v, const struct chunk *first)
{
	bool wal = r->file && r->file->kind == FILE_WAL; /* where chunks are no places in a file */

	if (!wal)
		r->base = (uint64_t)first->block * PAGE + first->at;
	r->toasted++;
	r->place = wal ? "WAL, compressed TOAST" : "TOAST, compressed";
	if (v->n > 4 && reader_unpack(r, get32(v->bytes), v->bytes + 4, v->n - 4))
		r->quiet = true; /* what is packed is not for detectors */
	r->fixed = true;
	r->place = wal ? "WAL, TOAST" : "TOAST";
	reader_bytes(r, v->bytes, v->n, 0, true);
	r->fixed = r->quiet = false;
}

/* The copy number `copy` of each chunk of a value: chunks c[0..n) of one id. Chunks that are
 * missing leave a gap, behind which a new stretch begins. True: there was a chunk with so many
 * copies. */
static bool put_together(struct reader *r, const struct chunk *c, size_t n, size_t copy,
			 const uint8_t *(*get)(void *arg, const struct chunk *c), void *arg,
			 struct value *v)
{
	const struct chunk *first = NULL;
	uint32_t next = 0;
	bool any = false;

	v->n = 0;
	for (size_t k = 0; k < n;) {
		size_t copies = 1, chosen;
		const uint8_t *p;

		while (k + copies < n && c[k + copies].seq == c[k].seq)
			copies++;
		any = any || copies > copy;
		chosen = k + COW_MIN(copy, copies - 1);
		if (first && c[k].seq != next) {
			look(r, v, first);
			v->n = 0;
			first = NULL;
		}
		p = get(arg, &c[chosen]);
		if (!p || !append_varlena(r, v, p, c[chosen].len))
			return false;
		if (!first)
			first = &c[chosen];
		next = c[k].seq + 1;
		k += copies;
	}
	if (any && first)
		look(r, v, first);
	return any;
}

void reader_chunks(struct reader *r, struct chunk_list *l,
		   const uint8_t *(*get)(void *arg, const struct chunk *c), void *arg)
{
	struct value v = {0};

	if (l->n)
		qsort(l->chunks, l->n, sizeof(*l->chunks), by_value);
	for (size_t k = 0; k < l->n && !scan_stopped(r->scan);) {
		size_t n = 1, copy = 0;

		while (k + n < l->n && l->chunks[k + n].id == l->chunks[k].id)
			n++;
		while (put_together(r, l->chunks + k, n, copy, get, arg, &v) && copy + 1 < n)
			copy++;
		k += n;
	}
	free(v.bytes);
}

/* --- from files --- */

struct segments {
	struct reader *r;
	const struct relation_file *f;
	uint32_t segment;
	int fd; /* of `segment`; -1 = none */
	uint64_t block;
	uint8_t page[PAGE];
};

static const uint8_t *from_file(void *arg, const struct chunk *c)
{
	struct segments *s = arg;
	char path[512];

	if (s->fd < 0 || s->segment != c->segment) {
		if (s->fd >= 0)
			close(s->fd);
		snprintf(path, sizeof(path), c->segment ? "%s.%u" : "%s", s->f->path, c->segment);
		s->segment = c->segment;
		s->block = UINT64_MAX;
		s->fd = reader_open(s->r, path);
		if (s->fd < 0)
			return NULL;
	}
	if (s->block != c->block) {
		if (pread(s->fd, s->page, PAGE, (off_t)c->block * PAGE) != PAGE) {
			scan_fail(s->r->scan, -EIO, "cannot read block %u of %s again", c->block,
				  s->f->path);
			return NULL;
		}
		s->block = c->block;
	}
	return s->page + c->at;
}

void reader_relation(struct reader *r, struct relation_file *f)
{
	struct segments s = {.r = r, .f = f, .fd = -1, .block = UINT64_MAX};
	struct chunk_list l = {f->chunks, f->n, f->room};

	r->path = f->path;
	reader_chunks(r, &l, from_file, &s);
	if (s.fd >= 0)
		close(s.fd);
	free(f->chunks);
	f->chunks = NULL;
	f->n = f->room = 0;
}
