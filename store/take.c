// SPDX-License-Identifier: Apache-2.0
/* take: a host file becomes the extent file of a fresh inode, and the inode's record says that
 * every block below its size is there (the whole-file origin of format.h). */
#include "store/take.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "store/core.h"
#include "store/os.h"

enum { STEP = 8 << 20 };

struct progress {
	void (*tell)(uint64_t bytes, void *arg);
	void *arg;
};

static void tell(const struct progress *p, uint64_t bytes)
{
	if (p->tell)
		p->tell(bytes, p->arg);
}

/* Read and write, for hosts on which copy_file_range does not reach from one to the other. */
static cow_errno copy_plain(int from, int to, uint64_t pos, uint64_t size, const struct progress *p)
{
	CLEANUP_FREE uint8_t *buf = malloc(STEP);
	cow_errno r = buf ? 0 : -ENOMEM;

	while (r == 0 && pos < size) {
		size_t n = (size_t)COW_MIN(size - pos, (uint64_t)STEP);

		if ((r = cow_os_pread(from, buf, n, pos)) == 0)
			r = cow_os_pwrite(to, buf, n, pos);
		pos += n;
		tell(p, n);
	}
	return r;
}

static cow_errno copy_bytes(int from, int to, uint64_t size, const struct progress *p)
{
	uint64_t pos = 0;

	if (size && ioctl(to, FICLONE, from) == 0) {
		tell(p, size);
		return 0;
	}
	while (pos < size) {
		off_t in = (off_t)pos, out = (off_t)pos;
		ssize_t n = copy_file_range(from, &in, to, &out,
					    (size_t)COW_MIN(size - pos, (uint64_t)STEP), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP))
			return copy_plain(from, to, pos, size, p);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		pos += (uint64_t)n;
		tell(p, (uint64_t)n);
	}
	return 0;
}

static cow_errno host_size(int fd, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	*ret = (uint64_t)st.st_size;
	return 0;
}

/* The source file under its new name, if one rename does it; the caller's descriptor proves which
 * file. */
static bool move_in(struct cow_store *s, const char *path, const char *to)
{
	return renameat(AT_FDCWD, path, s->dirfd, to) == 0 &&
	       fchmodat(s->dirfd, to, 0600, 0) == 0 &&
	       fchownat(s->dirfd, to, geteuid(), getegid(), 0) == 0;
}

static cow_errno fill_extent(struct cow_inode *i, struct cow_extent *x, const char *path,
			     enum cow_take_how how, const struct progress *p, uint64_t *ret_size)
{
	struct cow_store *s = i->live->s;
	struct cow_point head = cow_chain_at(i->live, 0);
	CLEANUP_FD int from = cow_os_open(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW, 0);
	char to[64];
	cow_errno r;
	int fd;

	if (from < 0)
		return from;
	/* Makes the directories and the file, which a rename then replaces. */
	r = host_size(from, ret_size);
	if (r == 0 && how == COW_TAKE_COPY)
		r = cow_room_take(&s->room, COW_ROOM_NEW, *ret_size);
	if (r < 0 || (fd = cow_extent_pin(s->extents, x, true)) < 0)
		return r < 0 ? r : fd;
	cow_extent_path(head.lineage, head.epoch, i->ino, to);
	if (how == COW_TAKE_MOVE && move_in(s, path, to)) {
		cow_extent_unpin(s->extents, x);
		cow_extent_seal(s->extents,
				x); /* its descriptor is of the file that was replaced */
		if ((fd = cow_extent_pin(s->extents, x, true)) < 0)
			return fd;
		tell(p, *ret_size);
	} else {
		r = copy_bytes(from, fd, *ret_size, p);
		if (r == 0 && how == COW_TAKE_MOVE && unlink(path) < 0)
			r = -errno;
	}
	/* Extent files hold whole blocks. */
	if (r == 0)
		r = cow_os_truncate(fd, cow_blocks_of(*ret_size) * COW_BLOCK);
	if (r < 0)
		cow_extent_unpin(s->extents, x);
	return r; /* on 0 the pin stays: it is that of DIRTY_DATA */
}

cow_errno cow_file_take(struct cow_inode *i, const char *path, enum cow_take_how how,
			void (*progress)(uint64_t bytes, void *arg), void *arg, struct cow_error *e)
{
	const struct progress p = {progress, arg};
	struct cow_extent *x = NULL;
	uint64_t size = 0;
	cow_errno r;
	WITH_SHARED(&i->live->freeze);
	WITH_EXCLUSIVE(&i->io);

	pthread_mutex_lock(&i->map);
	r = !S_ISREG(i->attr.mode) || i->attr.size || i->head_src ? -EINVAL : 0;
	if (r == 0)
		r = cow_source_add(i, cow_chain_at(i->live, 0), &i->head_src);
	if (r == 0)
		x = i->sources[i->head_src - COW_SRC_FIRST].x;
	i->head_epoch = cow_head(i->live);
	pthread_mutex_unlock(&i->map);
	if (r == 0)
		r = fill_extent(i, x, path, how, &p, &size);
	if (r < 0) {
		i->head_src = 0;
		return cow_fail(e, r, "cannot take over %s: %s", path, strerror(-r));
	}
	pthread_mutex_lock(&i->map);
	i->attr.size = size;
	i->attr.blocks = cow_blocks_of(size) * COW_BLOCK_SECTORS;
	cow_quota_add(i->live, (int64_t)cow_blocks_of(size));
	i->levels[0].origin_epoch = i->head_epoch;
	i->levels[0].origin_blocks = cow_blocks_of(size);
	i->load_seq++;
	cow_inode_mark(i, COW_DIRTY_DATA | COW_DIRTY_META);
	pthread_mutex_unlock(&i->map);
	i->live->head_written = true;
	return 0;
}
