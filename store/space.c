// SPDX-License-Identifier: Apache-2.0
/* space: truncation, holes, preallocation, and finding data.
 *
 * What lies in a block past the end of the file is undefined; moving the end past it zeroes it
 * first. So cutting a file writes nothing, and a block inherited from below cannot show old bytes
 * again: the inherit limit keeps whole blocks away, the zeroed gap the rest of the last one. */
#include "store/space.h"

#include <errno.h>
#include <linux/falloc.h>
#include <string.h>

#include "store/cleanup.h"
#include "store/os.h"

static uint64_t size_of(struct cow_inode *i)
{
	WITH_LOCK(&i->map);

	return i->attr.size;
}

static cow_errno source_of(struct cow_inode *i, uint64_t block, uint16_t *ret)
{
	struct cow_chunk *c;
	cow_errno r;
	WITH_LOCK(&i->map);

	r = cow_chunk_get(i, block / COW_CHUNK_BLOCKS, &c);
	if (r == 0)
		*ret = cow_chunk_src(c, (uint32_t)(block % COW_CHUNK_BLOCKS));
	return r;
}

/* Bytes of one block become zero, if there is anything in it. */
static cow_errno zero_in_block(struct cow_inode *i, uint64_t from, uint64_t to)
{
	static const uint8_t zeroes[COW_BLOCK];
	uint16_t src = COW_SRC_HOLE;
	cow_errno r;

	if (from >= to)
		return 0;
	if ((r = source_of(i, from / COW_BLOCK, &src)) < 0 || src < COW_SRC_FIRST)
		return r;
	return cow_write_blocks(i, zeroes, from, (size_t)(to - from), 0);
}

cow_errno cow_space_zero_gap(struct cow_inode *i, uint64_t from, uint64_t to)
{
	uint64_t block_end = cow_blocks_of(from) * COW_BLOCK;

	return zero_in_block(i, from, COW_MIN(to, block_end));
}

static cow_errno shrink(struct cow_inode *i, uint64_t size)
{
	uint64_t blocks = cow_blocks_of(size), had;
	cow_errno r;
	WITH_EXCLUSIVE(&i->io);

	pthread_mutex_lock(&i->map);
	had = cow_blocks_of(i->attr.size);
	r = cow_chunks_cut(i, blocks);
	if (r == 0) {
		i->attr.size = size;
		cow_inode_touch(i);
		cow_inode_mark(i, COW_DIRTY_META);
	}
	pthread_mutex_unlock(&i->map);
	if (r == 0 && had > blocks)
		cow_background_trim(i->live->s, cow_chain_at(i->live, 0), i->ino, blocks,
				    had - blocks);
	return r;
}

static cow_errno extend(struct cow_inode *i, uint64_t size)
{
	uint64_t old;
	cow_errno r;
	WITH_SHARED(&i->io);
	WITH_LOCK(&i->own);

	old = size_of(i);
	r = size > old ? cow_space_zero_gap(i, old, size) : 0;
	if (r < 0)
		return r;
	pthread_mutex_lock(&i->map);
	i->attr.size = COW_MAX(size, i->attr.size);
	cow_inode_touch(i);
	cow_inode_mark(i, COW_DIRTY_META);
	pthread_mutex_unlock(&i->map);
	return 0;
}

cow_errno cow_space_resize(struct cow_inode *i, uint64_t size)
{
	uint64_t old;

	if (!S_ISREG(i->attr.mode))
		return S_ISDIR(i->attr.mode) ? -EISDIR : -EINVAL;
	if (size > COW_FILE_MAX)
		return -EFBIG;
	i->live->head_written = true;
	old = size_of(i);
	return size < old ? shrink(i, size) : extend(i, size);
}

/* Blocks [lo, hi) read as zeroes from now on. io exclusive and own are held. */
static cow_errno zero_blocks(struct cow_inode *i, uint64_t lo, uint64_t hi)
{
	uint64_t b = lo;
	int64_t own = 0;
	cow_errno r = 0;
	WITH_LOCK(&i->map);

	while (r == 0 && b < hi) {
		uint32_t at = (uint32_t)(b % COW_CHUNK_BLOCKS);
		uint32_t n = (uint32_t)COW_MIN(hi - b, (uint64_t)(COW_CHUNK_BLOCKS - at));
		struct cow_chunk *c;

		r = cow_chunk_get(i, b / COW_CHUNK_BLOCKS, &c);
		for (uint32_t k = at; r == 0 && k < at + n; k++) {
			uint16_t src = cow_chunk_src(c, k);

			if (src < COW_SRC_FIRST)
				continue;
			own += cow_src_is_own(i, src);
			r = cow_chunk_set(i, c, k, 1, COW_SRC_ZERO);
			c->dirty = true;
			i->dirty |= COW_DIRTY_MAP;
			i->attr.blocks -= COW_BLOCK_SECTORS;
		}
		b += n;
	}
	cow_quota_add(i->live, -own);
	cow_inode_touch(i);
	cow_inode_mark(i, 0);
	return r;
}

static cow_errno punch(struct cow_inode *i, uint64_t off, uint64_t len)
{
	uint64_t size, end, lo, hi;
	cow_errno r;
	WITH_EXCLUSIVE(&i->io);
	WITH_LOCK(&i->own);

	size = size_of(i);
	end = COW_MIN(off + len, size);
	lo = cow_blocks_of(off);
	hi = end == size ? cow_blocks_of(end) : end / COW_BLOCK;
	if (off >= end)
		return 0;
	r = zero_in_block(i, off, COW_MIN(end, lo * COW_BLOCK));
	if (r == 0 && hi >= lo && end > hi * COW_BLOCK)
		r = zero_in_block(i, hi * COW_BLOCK, end);
	if (r == 0 && hi > lo)
		r = zero_blocks(i, lo, hi);
	if (r == 0 && hi > lo)
		cow_background_trim(i->live->s, cow_chain_at(i->live, 0), i->ino, lo, hi - lo);
	return r;
}

/* Space for what the head will own; the blocks stay holes until they are written. */
static cow_errno reserve(struct cow_inode *i, uint64_t off, uint64_t len)
{
	struct cow_extents *t = i->live->s->extents;
	struct cow_extent *x = NULL;
	uint64_t lo = off / COW_BLOCK * COW_BLOCK, hi = cow_blocks_of(off + len) * COW_BLOCK;
	uint16_t src;
	cow_errno r;
	int fd;

	if (i->live->quota)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&i->map);
	r = cow_source_add(i, cow_chain_at(i->live, 0), &src);
	if (r == 0)
		x = i->sources[src - COW_SRC_FIRST].x;
	pthread_mutex_unlock(&i->map);
	if (r == 0)
		r = cow_room_take(&i->live->s->room, COW_ROOM_NEW, hi - lo);
	if (r < 0 || (fd = cow_extent_pin(t, x, true)) < 0)
		return r < 0 ? r : fd;
	r = cow_os_allocate(fd, lo, hi - lo);
	cow_extent_unpin(t, x);
	pthread_mutex_lock(&i->map);
	i->promised = i->promised || r == 0;
	pthread_mutex_unlock(&i->map);
	return r == -EOPNOTSUPP ? 0
				: r; /* a host that cannot promise: nothing is worse than before */
}

static cow_errno allocate(struct cow_inode *i, int mode, uint64_t off, uint64_t len)
{
	cow_errno r = 0;

	switch (mode) {
	case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
		return punch(i, off, len);
	case FALLOC_FL_ZERO_RANGE:
	case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
		r = punch(i, off, len);
		break;
	case FALLOC_FL_KEEP_SIZE:
		return reserve(i, off, len);
	case 0:
		r = reserve(i, off, len);
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (r == 0 && !(mode & FALLOC_FL_KEEP_SIZE) && off + len > size_of(i))
		r = extend(i, off + len);
	return r;
}

cow_errno cow_file_allocate(struct cow_inode *i, int mode, uint64_t off, uint64_t len)
{
	cow_errno r;
	WITH_SHARED(&i->live->freeze);

	if ((r = cow_inode_check(i, true)) < 0)
		return r;
	if (!S_ISREG(i->attr.mode))
		return -ENODEV;
	if (len == 0)
		return -EINVAL;
	if (off > COW_FILE_MAX || len > COW_FILE_MAX - off)
		return -EFBIG;
	i->live->head_written = true;
	return allocate(i, mode, off, len);
}

cow_errno cow_file_seek(struct cow_inode *i, uint64_t off, int whence, uint64_t *ret)
{
	uint64_t size;
	cow_errno r = cow_inode_check(i, false);
	WITH_LOCK(&i->map);

	size = i->attr.size;
	if (r < 0)
		return r;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (off >= size)
		return -ENXIO;
	for (uint64_t b = off / COW_BLOCK, step; b * COW_BLOCK < size; b += step) {
		struct cow_chunk *c;

		if ((r = cow_chunk_get(i, b / COW_CHUNK_BLOCKS, &c)) < 0)
			return r;
		step = c->src ? 1 : COW_CHUNK_BLOCKS - b % COW_CHUNK_BLOCKS; /* all alike */
		if ((cow_chunk_src(c, (uint32_t)(b % COW_CHUNK_BLOCKS)) >= COW_SRC_FIRST) ==
		    (whence == SEEK_DATA)) {
			*ret = COW_MAX(off, b * COW_BLOCK);
			return 0;
		}
	}
	*ret = size;
	return whence == SEEK_HOLE ? 0 : -ENXIO;
}
