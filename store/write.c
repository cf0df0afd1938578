// SPDX-License-Identifier: Apache-2.0
/* write: the copy-on-write decision (DESIGN 4.3).
 *
 * Blocks that the head owns are written in place: no map change, no lock but shared ones.
 * Everything else happens under the block lock (inode.own): first writes into blocks of lower
 * epochs, which complete the block from below, and writes that move the end of the file.
 *
 * Ownership is marked in memory only after the host write; the map learns of it with the next
 * commit. Head extent files always hold whole blocks, so a block of the map is never partly behind
 * the end of its host file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/os.h"
#include "store/space.h"

/* Blocks [lo, hi) of the file; what a write covers. */
struct span {
	uint64_t lo, hi;
};

static struct span span_of(uint64_t off, size_t len)
{
	return (struct span){off / COW_BLOCK, cow_blocks_of(off + len)};
}

/* The source of the head epoch; made when the head has moved on. map held. */
static cow_errno head_source(struct cow_inode *i, struct cow_extent **ret)
{
	struct cow_point head = cow_chain_at(i->live, 0);
	cow_errno r = 0;

	if (!i->head_src || i->head_epoch != head.epoch) {
		r = cow_source_add(i, head, &i->head_src);
		i->head_epoch = head.epoch;
	}
	if (r == 0)
		*ret = i->sources[i->head_src - COW_SRC_FIRST].x;
	else
		i->head_src = 0;
	return r;
}

static bool head_is_set(const struct cow_inode *i)
{
	return i->head_src && i->head_epoch == cow_head(i->live);
}

/* 1 = the head owns every block of the span, 0 = not, or -errno. map held. */
static int owns_all(struct cow_inode *i, struct span s)
{
	if (!head_is_set(i))
		return 0;
	for (uint64_t b = s.lo; b < s.hi;) {
		uint32_t at = (uint32_t)(b % COW_CHUNK_BLOCKS);
		struct cow_chunk *c;
		cow_errno r = cow_chunk_get(i, b / COW_CHUNK_BLOCKS, &c);

		if (r < 0)
			return r;
		for (; b < s.hi && at < COW_CHUNK_BLOCKS; at++, b++)
			if (cow_chunk_src(c, at) != i->head_src)
				return 0;
	}
	return 1;
}

/* After the host write, whose pin the caller still has: unsynced data keeps a pin of its own. map
 * held. */
static void written(struct cow_inode *i, struct cow_extent *x, unsigned dirty)
{
	if ((dirty & COW_DIRTY_DATA) && !(i->dirty & COW_DIRTY_DATA))
		cow_extent_pin(i->live->s->extents, x, true); /* cannot fail: it is open */
	cow_inode_mark(i, dirty);
}

/* Past the host's page cache where that can be: no copy, no write-back to set off and wait for. The
 * kernel keeps both ways coherent. */
static cow_errno host_write_dsync(struct cow_extents *t, struct cow_extent *x, int fd,
				  const void *buf, uint64_t off, size_t len)
{
	bool aligned = ((uintptr_t)buf | off | len) % COW_DIRECT_UNIT == 0;
	int direct = aligned ? cow_extent_direct(t, x) : -1;
	cow_errno r;

	if (direct >= 0) {
		r = cow_os_pwrite_dsync(direct, buf, len, off);
		if (r != -EINVAL)
			return r;
		cow_extent_direct_refused(x);
	}
	return cow_os_pwrite_dsync(fd, buf, len, off);
}

/* On 0 the caller has a pin of `x` to give up. */
static cow_errno host_write(struct cow_inode *i, struct cow_extent *x, const void *buf,
			    uint64_t off, size_t len, bool dsync)
{
	struct cow_extents *t = i->live->s->extents;
	int fd = cow_extent_pin(t, x, true);
	cow_errno r;

	if (fd < 0)
		return fd;
	r = dsync ? host_write_dsync(t, x, fd, buf, off, len) : cow_os_pwrite(fd, buf, len, off);
	if (r < 0)
		cow_extent_unpin(t, x);
	return r;
}

/* Nothing but the bytes themselves has to become durable for an O_DSYNC write. map held. */
static bool only_bytes(struct cow_inode *i)
{
	struct cow_live *l = i->live;

	return !(i->dirty & (COW_DIRTY_META | COW_DIRTY_MAP)) && !i->committing &&
	       atomic_load(&i->wait_seal) <= l->seal_done &&
	       COW_MAX(atomic_load(&l->name_seq), atomic_load(&i->put_seq)) <=
		   atomic_load(&l->s->synced_seq);
}

static enum cow_room_use use_of(unsigned flags)
{
	return flags & COW_WRITE_CACHED ? COW_ROOM_ACCEPTED : COW_ROOM_DATA;
}

static cow_errno take_room(struct cow_inode *i, enum cow_room_use use, uint64_t len)
{
	struct cow_room *room = &i->live->s->room;
	cow_errno r = cow_room_take(room, use, len);

	if (r < 0 || room->gate == COW_GATE_OPEN)
		return r;
	room->accepted += use == COW_ROOM_ACCEPTED ? len : 0;
	if (i->taken_in != room->gatings) {
		i->taken_in = room->gatings;
		i->taken = 0;
	}
	i->taken += len;
	return 0;
}

uint64_t cow_file_taken(struct cow_inode *i)
{
	return i->taken_in == i->live->s->room.gatings ? i->taken : 0;
}

/* 1 = done, 0 = some block is not ours or the file grows, or -errno. */
static int write_in_place(struct cow_inode *i, const void *buf, uint64_t off, size_t len,
			  unsigned flags, bool *ret_durable)
{
	struct cow_extent *x = NULL;
	bool dsync = false;
	int r = 0;

	pthread_mutex_lock(&i->map);
	if (off + len <= i->attr.size)
		r = owns_all(i, span_of(off, len));
	if (r == 1) {
		x = i->sources[i->head_src - COW_SRC_FIRST].x;
		dsync = (flags & COW_WRITE_DSYNC) && !i->live->ephemeral && only_bytes(i);
	}
	pthread_mutex_unlock(&i->map);
	if (r != 1)
		return r;
	/* On a host that writes what is overwritten somewhere else first. */
	if (i->live->s->room.counts_overwrites && (r = take_room(i, use_of(flags), len)) < 0)
		return r;
	r = host_write(i, x, buf, off, len, dsync);
	if (r < 0)
		return r;
	pthread_mutex_lock(&i->map);
	cow_inode_touch(i);
	written(i, x, dsync ? 0 : COW_DIRTY_DATA);
	pthread_mutex_unlock(&i->map);
	cow_extent_unpin(i->live->s->extents, x);
	*ret_durable = dsync;
	return 1;
}

/* The bytes as they are below or already ours, zeroes past the end of the file. Not under map. */
static cow_errno read_current(struct cow_inode *i, uint8_t *buf, uint64_t off, size_t len)
{
	size_t got = 0;
	cow_errno r = len ? cow_file_read(i, buf, off, len, &got) : 0;

	if (r == 0)
		memset(buf + got, 0, len - got);
	return r;
}

static bool owns_block(struct cow_inode *i, uint64_t b)
{
	return owns_all(i, (struct span){b, b + 1}) == 1;
}

/* Bytes that the host write has to cover: whole blocks where the head does not own them yet, and in
 * files with an own run its neighbours too. map held. */
static void widen(struct cow_inode *i, uint64_t off, size_t len, uint64_t *lo, uint64_t *hi)
{
	struct span s = span_of(off, len);
	uint64_t run = i->own_run, end = COW_MAX(s.hi, cow_blocks_of(i->attr.size));
	bool first = !owns_block(i, s.lo), last = !owns_block(i, s.hi - 1);

	*lo = first ? s.lo * COW_BLOCK : off;
	*hi = last ? s.hi * COW_BLOCK : off + len;
	while (first && s.lo % run != 0 && !owns_block(i, s.lo - 1))
		*lo = --s.lo * COW_BLOCK;
	while (last && s.hi % run != 0 && s.hi < end && !owns_block(i, s.hi))
		*hi = ++s.hi * COW_BLOCK;
}

/* What a write into the span asks for: blocks that the own lineage does not have (they are
 * charged), and whether some of them exist nowhere (they can be refused; what is overwritten
 * cannot, because postgres has promised the change already). map held. */
static cow_errno count_new(struct cow_inode *i, struct span s, uint64_t *ret_fresh, bool *ret_holes)
{
	*ret_fresh = 0;
	*ret_holes = false;
	for (uint64_t b = s.lo; b < s.hi; b++) {
		struct cow_chunk *c;
		cow_errno r = cow_chunk_get(i, b / COW_CHUNK_BLOCKS, &c);
		uint16_t src;

		if (r < 0)
			return r;
		src = cow_chunk_src(c, (uint32_t)(b % COW_CHUNK_BLOCKS));
		*ret_holes = *ret_holes || src < COW_SRC_FIRST;
		*ret_fresh += src < COW_SRC_FIRST || !cow_src_is_own(i, src);
	}
	return 0;
}

enum { SMALL = 8 }; /* blocks of a file that a quota has a margin for */

/* Is there room, and quota? Nothing is held after it. */
static cow_errno ask_for_room(struct cow_inode *i, uint64_t lo, uint64_t hi, unsigned flags)
{
	enum cow_room_use use = use_of(flags);
	uint64_t fresh;
	bool holes;
	cow_errno r = 0;

	if (flags & COW_WRITE_BOUND) {
		pthread_mutex_lock(&i->map);
		r = count_new(i, span_of(lo, (size_t)(hi - lo)), &fresh, &holes);
		if (r == 0 && holes && !i->promised) {
			use = COW_ROOM_BOUND;
			r = cow_quota_check(i->live, fresh, hi <= SMALL * COW_BLOCK);
		}
		pthread_mutex_unlock(&i->map);
	}
	return r < 0 ? r : take_room(i, use, hi - lo);
}

/* Every block of the span belongs to the head now. map held. */
static cow_errno own_blocks(struct cow_inode *i, struct span s)
{
	int64_t fresh = 0;

	for (uint64_t b = s.lo; b < s.hi;) {
		uint32_t at = (uint32_t)(b % COW_CHUNK_BLOCKS);
		uint32_t n = (uint32_t)COW_MIN(s.hi - b, (uint64_t)(COW_CHUNK_BLOCKS - at));
		struct cow_chunk *c;
		cow_errno r = cow_chunk_get(i, b / COW_CHUNK_BLOCKS, &c);

		for (uint32_t k = at; r == 0 && k < at + n; k++) {
			uint16_t src = cow_chunk_src(c, k);

			c->dirty = c->dirty || src != i->head_src;
			fresh += src < COW_SRC_FIRST || !cow_src_is_own(i, src);
			i->attr.blocks += src < COW_SRC_FIRST ? COW_BLOCK_SECTORS : 0;
		}
		if (r == 0)
			r = cow_chunk_set(i, c, at, n, i->head_src);
		if (r < 0)
			return r;
		if (c->dirty)
			i->dirty |= COW_DIRTY_MAP;
		b += n;
	}
	cow_quota_add(i->live, fresh);
	return 0;
}

/* One host write of [lo, hi): the caller's bytes with what surrounds them. */
static cow_errno write_wide(struct cow_inode *i, struct cow_extent *x, const void *buf,
			    uint64_t off, size_t len, uint64_t lo, uint64_t hi)
{
	CLEANUP_FREE uint8_t *all = NULL;
	size_t before = (size_t)(off - lo), after = (size_t)(hi - off) - len;
	cow_errno r;

	if (before == 0 && after == 0)
		return host_write(i, x, buf, off, len, false);
	if (!(all = malloc(before + len + after)))
		return -ENOMEM;
	if ((r = read_current(i, all, lo, before)) < 0 ||
	    (r = read_current(i, all + before + len, off + len, after)) < 0)
		return r;
	memcpy(all + before, buf, len);
	return host_write(i, x, all, lo, before + len + after, false);
}

enum { LONG_RUN = 128 << 10 };

/* So long a run of blocks that the file did not have comes from a load, and the fsync that follows
 * waits for the host's disk: so that begins while the next run is still on its way. Not with blocks
 * that are written again, which may be so once more before anybody asks for them to be durable. */
static void start_write(struct cow_inode *i, struct cow_extent *x, uint64_t off, uint64_t len)
{
	int fd = len >= LONG_RUN && !i->live->ephemeral
		     ? cow_extent_pin(i->live->s->extents, x, true)
		     : -1;

	if (fd < 0)
		return;
	cow_os_start_write(fd, off, len);
	cow_extent_unpin(i->live->s->extents, x);
}

/* Block lock held. */
cow_errno cow_write_blocks(struct cow_inode *i, const void *buf, uint64_t off, size_t len,
			   unsigned flags)
{
	struct cow_extent *x = NULL;
	uint64_t lo = off, hi = off + len, more;
	cow_errno r;

	pthread_mutex_lock(&i->map);
	r = head_source(i, &x);
	if (r == 0)
		widen(i, off, len, &lo, &hi);
	pthread_mutex_unlock(&i->map);
	if (r < 0)
		return r;
	if ((r = ask_for_room(i, lo, hi, flags)) < 0)
		return r;
	i->live->head_written = true;
	r = write_wide(i, x, buf, off, len, lo, hi);
	if (r < 0)
		return r;
	pthread_mutex_lock(&i->map);
	more = i->attr.blocks;
	r = own_blocks(i, span_of(lo, (size_t)(hi - lo)));
	more = i->attr.blocks - more;
	written(i, x, COW_DIRTY_DATA);
	pthread_mutex_unlock(&i->map);
	if (r == 0 && more * 512 >= hi - lo)
		start_write(i, x, lo, hi - lo);
	cow_extent_unpin(i->live->s->extents, x);
	return r;
}

static cow_errno write_with_lock(struct cow_inode *i, const void *buf, uint64_t off, size_t len,
				 unsigned flags)
{
	uint64_t end = off + len, size;
	cow_errno r = 0;
	WITH_LOCK(
	    &i->own); /* over the host write: two halves of one unowned block may arrive at once */

	pthread_mutex_lock(&i->map);
	size = i->attr.size;
	pthread_mutex_unlock(&i->map);
	if (off > size)
		r = cow_space_zero_gap(i, size, off);
	if (r == 0)
		r = cow_write_blocks(i, buf, off, len, flags);
	if (r < 0)
		return r;
	pthread_mutex_lock(&i->map);
	cow_inode_touch(i);
	if (end > i->attr.size) {
		i->attr.size = end;
		cow_inode_mark(i, COW_DIRTY_META);
	}
	pthread_mutex_unlock(&i->map);
	return 0;
}

static cow_errno write_frozen_out(struct cow_inode *i, const void *buf, uint64_t off, size_t len,
				  unsigned flags, bool *ret_durable)
{
	int r;
	WITH_SHARED(&i->live->freeze);

	if (i->live->stale) {
		*ret_durable = true; /* the kernel may still push pages of what is gone */
		return 0;
	}
	if ((r = cow_inode_check(i, true)) < 0)
		return r;
	WITH_SHARED(&i->io);
	r = write_in_place(i, buf, off, len, flags, ret_durable);
	if (r == 0)
		r = write_with_lock(i, buf, off, len, flags);
	if (r < 0 && r != -ENOMEM && r != -ENOSPC && r != -EDQUOT)
		cow_inode_poison(i, r);
	return r < 0 ? r : 0;
}

cow_errno cow_file_write(struct cow_inode *i, const void *buf, uint64_t off, size_t len,
			 unsigned flags)
{
	struct cow_room *room = &i->live->s->room;
	bool durable = false;
	cow_errno r;

	if (len == 0)
		return 0;
	if (off > COW_FILE_MAX || len > COW_FILE_MAX - off)
		return -EFBIG;
	/* A full disk is waited out with no lock held. A write that failed may have left a part of
	 * itself in the extent file, which nobody sees before it was begun again and is whole. */
	while ((r = write_frozen_out(i, buf, off, len, flags, &durable)) == -ENOSPC) {
		if (flags & COW_WRITE_BOUND)
			break;
		if (cow_room_give(room, use_of(flags)))
			continue;
		if ((flags & COW_WRITE_NOWAIT) && cow_room_waits(room, i->live->gives_up))
			return -EAGAIN;
		if (cow_room_wait(room, &i->live->gives_up) < 0)
			break;
	}
	if (r == -ENOSPC && (flags & COW_WRITE_CACHED))
		cow_inode_poison(i, r);
	if (r == 0 && (flags & COW_WRITE_DSYNC) && !durable)
		r = cow_inode_commit(i, false);
	return r;
}

cow_errno cow_file_waits(struct cow_inode *i)
{
	bool waits = cow_room_waits(&i->live->s->room, i->live->gives_up || i->live->stale);

	return waits ? 0 : -ENOSPC;
}

bool cow_file_may_write(struct cow_inode *i, size_t len, unsigned flags)
{
	return cow_file_waits(i) < 0 ||
	       cow_room_has(&i->live->s->room, use_of(flags), len + COW_BLOCK);
}
