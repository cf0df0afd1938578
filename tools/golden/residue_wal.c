// SPDX-License-Identifier: Apache-2.0
/* residue_wal: the write-ahead log as a row of records.
 *
 * Every page of 8 KiB begins with a header (24 bytes, 40 in the first of a segment) that cuts
 * whatever goes over its edge, so the pages are joined without them. Segments are read in the order
 * of the addresses in their pages, not of their names: a recycled one has a new name and its old
 * contents. Where addresses do not follow each other a new row begins, with the first record that
 * begins in that page. The bytes of a row are looked at as they are; its records are taken apart
 * for what is packed: full-page images (with a hole, compressed by pglz, lz4 or zstd) and the
 * chunks of TOAST that were inserted. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/golden/residue_parts.h"
#include "tools/golden/residue_walrec.h"

#define SHORT_HEADER 24u
#define LONG_HEADER 40u
#define IS_LONG 0x0002u /* of xlp_info */
#define MAGIC_FIRST 0xd100u
#define MAGIC_LAST 0xd1ffu

#define ROW_MAX                                                                                    \
	(8u * 1024u * 1024u) /* bytes of a row at once: longer than all but absurd records */

struct page_header {
	uint16_t magic, info;
	uint64_t address;
	uint32_t rest; /* bytes of the record that began before */
	size_t length;
};

static bool read_header(const uint8_t *page, struct page_header *ret)
{
	ret->magic = get16(page);
	ret->info = get16(page + 2);
	ret->address = get64(page + 8);
	ret->rest = get32(page + 16);
	ret->length = ret->info & IS_LONG ? LONG_HEADER : SHORT_HEADER;
	return ret->magic >= MAGIC_FIRST && ret->magic <= MAGIC_LAST && ret->address % PAGE == 0;
}

struct row {
	struct walrec rec;
	uint8_t *buf;
	size_t n;        /* bytes in buf */
	size_t seen;     /* of them looked at as they are */
	size_t parsed;   /* of them taken apart: a record begins here, if `aligned` */
	bool aligned;    /* is it known where the next record begins? */
	uint64_t expect; /* address of the page that continues the row */
};

static void look_plain(struct row *w, bool last)
{
	struct reader *r = w->rec.r;
	size_t from = w->seen > CARRY ? w->seen - CARRY : 0;

	r->place = "WAL";
	r->fixed = true;
	reader_bytes(r, w->buf + from, w->n - from, w->seen - from, last);
	r->fixed = false;
	w->seen = w->n;
}

/* Take apart what is complete; `last`: the row ends, so the rest is what it is. */
static void digest(struct row *w, bool last)
{
	size_t keep;

	while (w->aligned && w->parsed < w->n) {
		size_t used = walrec_parse(&w->rec, w->buf + w->parsed, w->n - w->parsed, last);

		if (used == WALREC_MORE)
			break;
		if (used == WALREC_NONE) {
			w->aligned = false; /* until the next page says where one begins */
			break;
		}
		w->parsed += used;
	}
	if (w->n < ROW_MAX && !last)
		return;
	look_plain(w, last);
	keep = w->n > CARRY ? w->n - CARRY : 0;
	if (w->aligned)
		keep = COW_MIN(keep, w->parsed);
	if (last)
		keep = w->n;
	if (!last && w->n - keep > ROW_MAX / 2) {
		/* A record of megabytes: it is not taken apart, but its bytes were looked at. */
		keep = w->n - CARRY;
		w->aligned = false;
	}
	memmove(w->buf, w->buf + keep, w->n - keep);
	w->n -= keep;
	w->seen -= COW_MIN(w->seen, keep);
	w->parsed -= COW_MIN(w->parsed, keep);
}

static void finish(struct row *w)
{
	if (w->n)
		digest(w, true);
	w->n = w->seen = w->parsed = 0;
	w->aligned = false;
}

static void add_page(struct row *w, const uint8_t *page, uint64_t offset)
{
	struct page_header h;
	size_t payload, begin;

	if (!read_header(page, &h)) {
		/* Zeros, or anything: a row of its own. */
		finish(w);
		w->rec.r->base = offset;
		memcpy(w->buf, page, PAGE);
		w->n = PAGE;
		finish(w);
		w->expect = 0;
		return;
	}
	if (h.address != w->expect)
		finish(w);
	if (w->n == 0)
		w->rec.r->base = offset;
	w->rec.magic = h.magic;
	payload = PAGE - h.length;
	begin = w->n + (h.rest + 7) / 8 * 8;
	if (!w->aligned && h.rest + 7 < payload) {
		w->parsed = begin;
		w->aligned = true;
	}
	memcpy(w->buf + w->n, page + h.length, payload);
	w->n += payload;
	w->expect = h.address + PAGE;
	digest(w, false);
	w->rec.r->base = offset;
}

/* --- segments --- */

struct segment {
	const struct file *file;
	uint64_t address;
};

static int by_address(const void *a, const void *b)
{
	const struct segment *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static void read_segment(struct row *w, const struct file *f)
{
	struct reader *r = w->rec.r;
	uint8_t page[PAGE];
	CLEANUP_FD int fd = reader_open(r, f->path);
	uint64_t at = 0;
	ssize_t n;

	r->file = f;
	r->path = f->path;
	while (fd >= 0 && !scan_stopped(r->scan) && (n = pread(fd, page, PAGE, (off_t)at)) > 0) {
		if (n < (ssize_t)PAGE)
			memset(page + n, 0, PAGE - (size_t)n);
		add_page(w, page, at);
		at += (uint64_t)n;
		r->bytes += (uint64_t)n;
	}
	if (fd >= 0 && at < f->size && !scan_stopped(r->scan))
		scan_fail(r->scan, -EIO, "cannot read %s at %llu", f->path, (unsigned long long)at);
	scan_progress(r->scan, at);
}

static size_t list_segments(struct reader *r, struct segment *list)
{
	struct scan *s = r->scan;
	size_t n = 0;

	for (size_t k = 0; k < s->n; k++) {
		const struct file *f = &s->files[k];
		struct page_header h = {0};
		uint8_t page[PAGE] = {0};
		int fd;

		if (f->kind != FILE_WAL)
			continue;
		fd = reader_open(r, f->path);
		if (fd >= 0 && pread(fd, page, PAGE, 0) > 0 && !read_header(page, &h))
			h.address = 0;
		if (fd >= 0)
			close(fd);
		list[n++] = (struct segment){f, h.address};
	}
	qsort(list, n, sizeof(*list), by_address);
	return n;
}

void reader_wal(struct reader *r)
{
	CLEANUP_FREE struct segment *list = calloc(r->scan->n, sizeof(*list));
	struct row w = {.rec = {.r = r}};
	size_t n;

	w.buf = malloc(ROW_MAX + PAGE);
	if (!list || !w.buf) {
		scan_fail(r->scan, -ENOMEM, "no memory to read the WAL");
		free(w.buf);
		return;
	}
	n = list_segments(r, list);
	for (size_t k = 0; k < n && !scan_stopped(r->scan); k++)
		read_segment(&w, list[k].file);
	finish(&w);
	walrec_release(&w.rec);
	free(w.buf);
	r->n_covered = 0;
}
