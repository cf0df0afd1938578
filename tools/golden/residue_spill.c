// SPDX-License-Identifier: Apache-2.0
/* residue_spill: files of sorts and hashes that did not fit in memory, left by a server that was
 * killed.
 *
 * A sort keeps several tapes in one file. Each block ends with the numbers of its neighbours on the
 * tape (two int64; less than zero: none, or the bytes used of the last block), and a row may be cut
 * where a block ends. A tape that goes on in the next gigabyte, which is another file, is not
 * followed there. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/golden/residue_parts.h"

#define TRAILER 16u
#define PAYLOAD (PAGE - TRAILER)
#define PIECE_BLOCKS 32u

struct tape {
	struct reader *r;
	int fd;
	uint64_t blocks;
	uint8_t *used; /* bit map of blocks that were read */
	uint8_t *buf;  /* what is left of the piece before, then payloads */
};

static bool take(struct tape *t, uint64_t block)
{
	uint8_t bit = (uint8_t)(1u << (block & 7));

	if (t->used[block >> 3] & bit)
		return false;
	t->used[block >> 3] |= bit;
	return true;
}

/* From a block on. A row is packed as a whole, so pieces overlap by a block. */
static void follow(struct tape *t, int64_t block)
{
	uint8_t page[PAGE];
	size_t n = 0, seen = 0, blocks = 0;

	t->r->base = (uint64_t)block * PAGE;
	while (block >= 0 && (uint64_t)block < t->blocks && take(t, (uint64_t)block) &&
	       pread(t->fd, page, PAGE, (off_t)block * PAGE) == PAGE) {
		if (blocks == PIECE_BLOCKS) {
			t->r->fixed = true;
			t->r->place = "sort tape";
			reader_bytes(t->r, t->buf, n, seen, false);
			t->r->fixed = false;
			reader_hunt(t->r, t->buf, n, 1, t->r->base);
			memmove(t->buf, t->buf + n - PAYLOAD, PAYLOAD);
			n = seen = PAYLOAD;
			blocks = 1;
			t->r->base = (uint64_t)block * PAGE;
		}
		memcpy(t->buf + n, page, PAYLOAD);
		n += PAYLOAD;
		blocks++;
		block = (int64_t)get64(page + PAYLOAD + 8);
	}
	t->r->fixed = true;
	t->r->place = "sort tape";
	reader_bytes(t->r, t->buf, n, seen, true);
	t->r->fixed = false;
	reader_hunt(t->r, t->buf, n, 1, t->r->base);
}

void reader_tapes(struct reader *r, const struct file *f)
{
	CLEANUP_FD int fd = reader_open(r, f->path);
	struct tape t = {.r = r, .fd = fd, .blocks = f->size / PAGE};
	uint8_t trailer[TRAILER];

	t.used = calloc(t.blocks / 8 + 1, 1);
	t.buf = malloc((size_t)(PIECE_BLOCKS + 1) * PAYLOAD);
	if (!t.used || !t.buf)
		scan_fail(r->scan, -ENOMEM, "no memory to read %s", f->path);
	for (uint64_t b = 0; fd >= 0 && t.used && t.buf && b < t.blocks; b++)
		if (pread(fd, trailer, TRAILER, (off_t)(b * PAGE + PAYLOAD)) == TRAILER &&
		    (int64_t)get64(trailer) == -1)
			follow(&t, (int64_t)b);
	free(t.used);
	free(t.buf);
	r->n_covered = 0;
}
