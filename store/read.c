// SPDX-License-Identifier: Apache-2.0
/* read: from a range of a file to the fewest host reads.
 *
 * The map is looked at under inode.map, which no writer holds during I/O; the host files are read
 * with no lock at all. A block that is copied up meanwhile is simply read in its older place, which
 * the grace period keeps from being freed (rule 8). */
#include <errno.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/os.h"
#include "store/sums.h"

static void add_seg(struct cow_read *r, struct cow_extent *x, uint64_t pos, uint32_t len)
{
	struct cow_read_seg *last = r->n ? &r->seg[r->n - 1] : NULL;

	if (last && r->pins[r->n - 1] == x) {
		last->len += len;
		return;
	}
	r->pins[r->n] = x;
	r->seg[r->n++] = (struct cow_read_seg){.fd = -1, .len = len, .pos = pos};
}

/* map held (dropped while chunks load). Bytes past `size` are not asked for. */
static cow_errno map_range(struct cow_inode *i, uint64_t off, size_t len, struct cow_read *r)
{
	while (len) {
		uint64_t block = off / COW_BLOCK;
		uint32_t at = (uint32_t)(block % COW_CHUNK_BLOCKS);
		struct cow_chunk *c;
		cow_errno e = cow_chunk_get(i, block / COW_CHUNK_BLOCKS, &c);

		if (e < 0)
			return e;
		for (; len && at < COW_CHUNK_BLOCKS; at++) {
			uint16_t src = cow_chunk_src(c, at);
			uint32_t n = (uint32_t)COW_MIN((uint64_t)len, COW_BLOCK - off % COW_BLOCK);

			add_seg(r, src < COW_SRC_FIRST ? NULL : i->sources[src - COW_SRC_FIRST].x,
				off, n);
			off += n;
			len -= n;
		}
	}
	return 0;
}

static cow_errno pin_all(struct cow_inode *i, struct cow_read *r)
{
	struct cow_extents *t = i->live->s->extents;

	for (r->n_pins = 0; r->n_pins < r->n; r->n_pins++) {
		int fd;

		if (!r->pins[r->n_pins])
			continue;
		fd = cow_extent_pin(t, r->pins[r->n_pins], false);
		if (fd < 0)
			return fd;
		r->seg[r->n_pins].fd = fd;
	}
	return 0;
}

static cow_errno plan(struct cow_inode *i, uint64_t off, size_t len, struct cow_read *r)
{
	cow_errno e = 0;
	WITH_LOCK(&i->map);

	len = off >= i->attr.size ? 0 : (size_t)COW_MIN((uint64_t)len, i->attr.size - off);
	r->len = len;
	if (len)
		e = map_range(i, off, len, r);
	return e;
}

static int refuse(uint64_t block, cow_errno r, void *arg)
{
	return -EIO;
}

/* verify_reads: every block of a closed epoch that has a sum must match it before anybody sees it.
 */
static cow_errno check_sums(struct cow_inode *i, const struct cow_read *r)
{
	struct cow_store *s = i->live->s;
	uint64_t checked = 0;
	int e = 0;

	for (unsigned k = 0; e == 0 && k < r->n; k++) {
		uint64_t b = r->seg[k].pos / COW_BLOCK;
		uint64_t end = cow_blocks_of(r->seg[k].pos + r->seg[k].len);
		struct cow_point at;

		if (!r->pins[k])
			continue;
		cow_extent_place(r->pins[k], &at.lineage, &at.epoch);
		if (at.lineage == i->live->chain[0].lineage && at.epoch == cow_head(i->live))
			continue;
		while (e == 0 && b < end) {
			uint64_t chunk = b / COW_CHUNK_BLOCKS, bits[16] = {0};

			for (; b < end && b / COW_CHUNK_BLOCKS == chunk; b++)
				bits[b % COW_CHUNK_BLOCKS / 64] |= 1ull << b % 64;
			e = cow_sums_check(s, at, i->ino, chunk, bits, refuse, NULL, &checked,
					   NULL);
		}
	}
	return e;
}

cow_errno cow_file_read_begin(struct cow_inode *i, uint64_t off, size_t len, struct cow_read *r)
{
	cow_errno e = cow_inode_check(i, false);

	if (e < 0 || len > COW_READ_MAX)
		return e < 0 ? e : -EINVAL;
	r->n = r->n_pins = 0;
	r->store = i->live->s;
	r->grace = cow_grace_enter(&i->live->s->grace);
	e = plan(i, off, len, r);
	if (e == 0)
		e = pin_all(i, r);
	if (e == 0 && i->live->s->options.verify_reads)
		e = check_sums(i, r);
	if (e < 0)
		cow_file_read_end(r);
	return e;
}

void cow_file_read_end(struct cow_read *r)
{
	struct cow_store *s = r->store;

	for (unsigned k = 0; k < r->n_pins; k++)
		if (r->pins[k])
			cow_extent_unpin(s->extents, r->pins[k]);
	cow_grace_leave(&s->grace, r->grace);
}

static cow_errno read_plan(const struct cow_read *r, uint8_t *buf)
{
	cow_errno e = 0;

	for (unsigned k = 0; e == 0 && k < r->n; k++) {
		if (r->seg[k].fd < 0)
			memset(buf, 0, r->seg[k].len);
		else
			e = cow_os_pread(r->seg[k].fd, buf, r->seg[k].len, r->seg[k].pos);
		buf += r->seg[k].len;
	}
	return e;
}

cow_errno cow_file_read(struct cow_inode *i, void *buf, uint64_t off, size_t len, size_t *ret_len)
{
	size_t done = 0;

	while (done < len) {
		struct cow_read r;
		size_t want = COW_MIN(len - done, (size_t)COW_READ_MAX);
		cow_errno e = cow_file_read_begin(i, off + done, want, &r);

		if (e < 0)
			return e;
		e = read_plan(&r, (uint8_t *)buf + done);
		cow_file_read_end(&r);
		if (e < 0)
			return e;
		done += r.len;
		if (r.len < want)
			break;
	}
	*ret_len = done;
	return 0;
}
