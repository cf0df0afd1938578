// SPDX-License-Identifier: Apache-2.0
/* residue_file: read a file in pieces, each with the end of the one before it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/golden/residue_parts.h"

#define PIECE (1024u * 1024u) /* a multiple of PAGE */

int reader_open(struct reader *r, const char *path)
{
	char full[PATH_MAX];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", r->scan->how->dir, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return scan_fail(r->scan, -errno, "cannot read %s: %s", full, strerror(errno));
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	return fd;
}

/* Up to `len` bytes; less only at the end of the file. */
static ssize_t fill(struct reader *r, int fd, uint8_t *buf, size_t len)
{
	size_t n = 0;

	while (n < len) {
		ssize_t got = read(fd, buf + n, len - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return scan_fail(r->scan, -errno, "cannot read %s: %s", r->path,
					 strerror(errno));
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

static void read_pages(struct reader *r, const uint8_t *buf, size_t len, uint64_t base,
		       struct chunk_list *found)
{
	for (size_t at = 0; at + PAGE <= len && !scan_stopped(r->scan); at += PAGE)
		reader_page(r, buf + at, base + at, found);
	if (len % PAGE)
		reader_hunt(r, buf + len / PAGE * PAGE, len % PAGE, 4, base + len / PAGE * PAGE);
}

/* What is packed in a piece of other files may cross into the next one, by less than this. */
#define PACKED_OVERLAP (64u * 1024u)

/* One piece: buf[0..before) was looked at already. */
static void read_piece(struct reader *r, const struct file *f, const uint8_t *buf, size_t before,
		       size_t n, uint64_t at, bool last, struct chunk_list *found)
{
	size_t seen = COW_MIN(before, (size_t)CARRY);

	reader_uncover(r, at > CARRY ? at - CARRY : 0);
	if (f->kind == FILE_RELATION) {
		r->pages = buf + before;
		r->pages_base = at;
		r->pages_len = n;
		read_pages(r, buf + before, n, at, found);
	} else {
		reader_hunt(r, buf, before + n, 1, at - before);
	}
	r->base = at - seen;
	r->place = "plain";
	reader_bytes(r, buf + before - seen, seen + n, seen, last);
	r->pages = NULL;
}

static void hand_over(struct reader *r, struct relation_file *f, struct chunk_list *found)
{
	WITH_LOCK(&f->lock);
	for (size_t k = 0; k < found->n; k++) {
		struct chunk_list all = {f->chunks, f->n, f->room};

		if (chunk_add(&all, &found->chunks[k]) < 0) {
			scan_fail(r->scan, -ENOMEM, "no memory for the chunks of %s", f->path);
			break;
		}
		f->chunks = all.chunks;
		f->n = all.n;
		f->room = all.room;
	}
}

void reader_file(struct reader *r, const struct file *f)
{
	CLEANUP_FREE uint8_t *buf = malloc(PACKED_OVERLAP + PIECE);
	bool chunks = f->relation && reader_may_have_chunks(r);
	struct chunk_list found = {0};
	CLEANUP_FD int fd = reader_open(r, f->path);
	size_t before = 0;
	uint64_t at = 0;
	ssize_t n;

	if (!buf)
		scan_fail(r->scan, -ENOMEM, "no memory to read %s", f->path);
	while (buf && fd >= 0 && !scan_stopped(r->scan)) {
		size_t keep;

		n = fill(r, fd, buf + before, PIECE);
		if (n < 0)
			break;
		read_piece(r, f, buf, before, (size_t)n, at, (size_t)n < PIECE,
			   chunks ? &found : NULL);
		r->bytes += (size_t)n;
		scan_progress(r->scan, (uint64_t)n);
		at += (uint64_t)n;
		if ((size_t)n < PIECE)
			break;
		keep = f->kind == FILE_RELATION ? CARRY : PACKED_OVERLAP;
		memmove(buf, buf + before + (size_t)n - keep, keep);
		before = keep;
	}
	if (found.n)
		hand_over(r, f->relation, &found);
	free(found.chunks);
	r->n_covered = 0;
}
