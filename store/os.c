// SPDX-License-Identifier: Apache-2.0
#include "store/os.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"

enum { SECTOR = 4096 };

/* Process-wide because it stands in for the kernel, of which there is one too. */
static struct {
	_Atomic uint64_t calls, fail_at;
	_Atomic int err;
	_Atomic bool shortened;
} faults;

static uint64_t arm(uint64_t n, int err, bool shortened)
{
	uint64_t seen = atomic_exchange(&faults.calls, 0);

	faults.err = err;
	faults.shortened = shortened;
	faults.fail_at = n;
	return seen;
}

uint64_t cow_os_fail_after(uint64_t n, int err)
{
	return arm(n, err, false);
}

uint64_t cow_os_short_after(uint64_t n, int err)
{
	return arm(n, err, true);
}

/* Is this the call that a test asked for? The counter runs only while it is armed. */
static bool is_due(void)
{
	uint64_t at = atomic_load_explicit(&faults.fail_at, memory_order_relaxed);

	return at != 0 && atomic_fetch_add(&faults.calls, 1) + 1 == at;
}

static cow_errno fault(void)
{
	return is_due() ? -faults.err : 0;
}

/* How much of a transfer of `len` bytes its first call moves at most, and what ends it after that
 * (*ret_then 0: nothing). */
static size_t first_part(size_t len, cow_errno *ret_then)
{
	size_t half = len / 2;

	*ret_then = 0;
	if (!is_due())
		return len;
	*ret_then = -faults.err;
	if (!faults.shortened)
		return 0;
	/* As the kernel does it: what goes past its cache stops at the end of a sector. */
	return half >= SECTOR ? half / SECTOR * SECTOR : half;
}

#define RETRY(call)                                                                                \
	({                                                                                         \
		cow_errno retry_ = fault();                                                        \
		while (retry_ == 0 && (call) < 0) {                                                \
			if (errno == EINTR)                                                        \
				continue;                                                          \
			retry_ = -errno;                                                           \
		}                                                                                  \
		retry_;                                                                            \
	})

cow_errno cow_os_pread(int fd, void *buf, size_t len, uint64_t pos)
{
	uint8_t *p = buf;
	cow_errno then;
	size_t part = first_part(len, &then);

	while (len && (part || then == 0)) {
		ssize_t n = pread(fd, p, part ? part : len, (off_t)pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		pos += (uint64_t)n;
		len -= (size_t)n;
		part = 0;
	}
	return then;
}

static cow_errno write_all(int fd, const uint8_t *p, size_t len, uint64_t pos, int flags)
{
	cow_errno then;
	size_t part = first_part(len, &then);

	while (len && (part || then == 0)) {
		struct iovec io = {.iov_base = (void *)p, .iov_len = part ? part : len};
		ssize_t n = pwritev2(fd, &io, 1, (off_t)pos, flags);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		pos += (uint64_t)n;
		len -= (size_t)n;
		part = 0;
	}
	return then;
}

cow_errno cow_os_pwrite(int fd, const void *buf, size_t len, uint64_t pos)
{
	return write_all(fd, buf, len, pos, 0);
}

cow_errno cow_os_pwrite_dsync(int fd, const void *buf, size_t len, uint64_t pos)
{
	return write_all(fd, buf, len, pos, RWF_DSYNC);
}

/* Not failed by the tests: what it met is said by the next fsync, since only a wait for pages
 * takes an error from the file. */
void cow_os_start_write(int fd, uint64_t pos, uint64_t len)
{
	sync_file_range(fd, (off_t)pos, (off_t)len, SYNC_FILE_RANGE_WRITE);
}

cow_errno cow_os_fdatasync(int fd)
{
	return RETRY(fdatasync(fd));
}

cow_errno cow_os_fsync(int fd)
{
	return RETRY(fsync(fd));
}

cow_errno cow_os_punch(int fd, uint64_t pos, uint64_t len)
{
	return RETRY(
	    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)pos, (off_t)len));
}

cow_errno cow_os_allocate(int fd, uint64_t pos, uint64_t len)
{
	return RETRY(fallocate(fd, 0, (off_t)pos, (off_t)len));
}

cow_errno cow_os_truncate(int fd, uint64_t size)
{
	return RETRY(ftruncate(fd, (off_t)size));
}

cow_errno cow_os_unlink(int dirfd, const char *path)
{
	return RETRY(unlinkat(dirfd, path, 0));
}

int cow_os_open(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd = -1;
	cow_errno r = RETRY((fd = openat(dirfd, path, flags | O_CLOEXEC, mode)));

	return r < 0 ? r : fd;
}

cow_errno cow_os_mkdir(int dirfd, const char *path, mode_t mode)
{
	cow_errno r = RETRY(mkdirat(dirfd, path, mode));

	return r == -EEXIST ? 0 : r;
}

cow_errno cow_os_sync_dir(int dirfd, const char *path)
{
	CLEANUP_FD int fd = cow_os_open(dirfd, path, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 ? fd : cow_os_fsync(fd);
}

cow_errno cow_os_replace(int dirfd, const char *path, const void *data, size_t len)
{
	char temp[256];
	CLEANUP_FD int fd = -1;
	cow_errno r;

	snprintf(temp, sizeof(temp), "%s.new", path);
	fd = cow_os_open(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		return fd;
	if ((r = cow_os_pwrite(fd, data, len, 0)) < 0 || (r = cow_os_fsync(fd)) < 0)
		return r;
	r = RETRY(renameat(dirfd, temp, dirfd, path));
	return r < 0 ? r : cow_os_sync_dir(dirfd, ".");
}

cow_errno cow_os_read_small(int dirfd, const char *path, char *buf, size_t size)
{
	CLEANUP_FD int fd = cow_os_open(dirfd, path, O_RDONLY, 0);
	ssize_t n = 0;
	cow_errno r = fd < 0 ? fd : RETRY((n = read(fd, buf, size - 1)));

	if (r < 0)
		return r;
	buf[n] = '\0';
	return 0;
}

int64_t cow_os_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

cow_errno cow_os_boot_id(char ret[64])
{
	cow_errno r = cow_os_read_small(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret, 64);

	if (r == 0)
		ret[strcspn(ret, "\n")] = '\0';
	return r;
}
