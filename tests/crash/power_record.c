// SPDX-License-Identifier: Apache-2.0
/* power_record: an LD_PRELOAD library that notes every change below one directory.
 *
 *   POWER_DIR=/store POWER_LOG=/dev/shm/log LD_PRELOAD=libpower_record.so program
 *
 * Guarantee: what a program changes there through libc, and through whom (extent files and RocksDB
 * alike), is in the log with its data before the call returns, and in the order of return. The
 * processes that a program forks share the log. Not noted: stores through shared maps, stdio
 * streams (RocksDB's text LOG), calls that failed. It changes no result.
 *
 * The calls go to the kernel directly: that spares looking up the real functions, which may be
 * wrapped by another library. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/power_log.h"

/* The library stands for the process's host calls, of which there is one set. */
static char dir[PATH_MAX];
static size_t dir_len;
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void power_mark(const void *data, size_t len);

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void note(struct power_event e, const char *path, const char *path2,
		 const struct iovec *data, int n_data)
{
	struct iovec v[64];
	int saved = errno, n = 0;

	e.magic = POWER_MAGIC;
	e.path_len = path ? (uint32_t)strlen(path) : 0;
	e.path2_len = path2 ? (uint32_t)strlen(path2) : 0;
	v[n++] = (struct iovec){&e, sizeof(e)};
	v[n++] = (struct iovec){(void *)path, e.path_len};
	v[n++] = (struct iovec){(void *)path2, e.path2_len};
	for (uint64_t left = e.data_len; left && n_data && n < 64; data++, n_data--) {
		size_t part = data->iov_len < left ? data->iov_len : left;

		v[n++] = (struct iovec){data->iov_base, part};
		left -= part;
	}
	pthread_mutex_lock(&lock);
	e.time_ns = now_ns();
	if (syscall(SYS_writev, log_fd, v, n) < 0)
		abort(); /* a recording with a hole proves nothing */
	pthread_mutex_unlock(&lock);
	errno = saved;
}

static uint64_t log_size(void)
{
	struct stat st;

	return fstat(log_fd, &st) == 0 ? (uint64_t)st.st_size : 0;
}

void power_mark(const void *data, size_t len)
{
	struct iovec v = {(void *)data, len};

	if (log_fd >= 0)
		note((struct power_event){.op = POWER_MARK, .data_len = len}, NULL, NULL, &v, 1);
}

static int note_base(const char *path, const struct stat *st, int type, struct FTW *where)
{
	const char *below = path + dir_len;

	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode))
		return 0; /* a socket that was left behind */
	note((struct power_event){.op = POWER_BASE,
				  .ino = st->st_ino,
				  .off = (uint64_t)st->st_size,
				  .len = S_ISDIR(st->st_mode)},
	     *below == '/' ? below + 1 : below, NULL, NULL, 0);
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *d = getenv("POWER_DIR"), *l = getenv("POWER_LOG");

	if (!d || !l || !realpath(d, dir))
		return;
	dir_len = strlen(dir);
	log_fd =
	    (int)syscall(SYS_openat, AT_FDCWD, l, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0) {
		fprintf(stderr, "power_record: %s: %s\n", l, strerror(errno));
		abort();
	}
	/* Out of the way of programs that close the low numbers. */
	int high = fcntl(log_fd, F_DUPFD_CLOEXEC, 500);
	if (high >= 0) {
		syscall(SYS_close, log_fd);
		log_fd = high;
	}
	if (log_size() == 0)
		nftw(dir, note_base, 32, FTW_PHYS);
}

/* The part below the recorded directory, or NULL. Cleans `path` of empty and "." parts. */
static const char *below(char *path)
{
	char *out = path;

	for (char *p = path; *p;) {
		if (p[0] == '/' && (p[1] == '/' || p[1] == '\0'))
			p++;
		else if (p[0] == '/' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
			p += 2;
		else
			*out++ = *p++;
	}
	*out = '\0';
	if (strncmp(path, dir, dir_len) != 0 || (path[dir_len] != '/' && path[dir_len] != '\0'))
		return NULL;
	return path[dir_len] ? path + dir_len + 1 : path + dir_len;
}

static bool fd_path(int fd, char out[PATH_MAX])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), fd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", fd);
	n = syscall(SYS_readlinkat, AT_FDCWD, link, out, PATH_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* `out` is memory for the answer; NULL = not below the recorded directory. */
static const char *at_path(int dirfd, const char *name, char out[PATH_MAX])
{
	size_t n = 0;

	if (log_fd < 0 || !name)
		return NULL;
	if (name[0] != '/') {
		if (!fd_path(dirfd, out))
			return NULL;
		n = strlen(out);
		out[n++] = '/';
	}
	snprintf(out + n, PATH_MAX - n, "%s", name);
	return below(out);
}

/* The inode of a descriptor below the recorded directory; 0 = somewhere else. */
static uint64_t fd_ino(int fd)
{
	char path[PATH_MAX];
	struct stat st;
	int saved = errno;
	uint64_t ino = 0;

	if (log_fd >= 0 && fd != log_fd && fd_path(fd, path) && below(path) && fstat(fd, &st) == 0)
		ino = st.st_ino;
	errno = saved;
	return ino;
}

static uint64_t path_ino(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

/* What is in the file now, for calls that move bytes inside the kernel. */
static void note_contents(int fd, uint64_t ino, uint64_t off, uint64_t len)
{
	static const size_t step = 1 << 20;
	char *buf = malloc(step);

	while (buf && len) {
		ssize_t n = pread(fd, buf, len < step ? len : step, (off_t)off);
		struct iovec v = {buf, n > 0 ? (size_t)n : 0};

		if (n <= 0)
			break;
		note((struct power_event){.op = POWER_WRITE,
					  .ino = ino,
					  .off = off,
					  .len = (uint64_t)n,
					  .data_len = (uint64_t)n},
		     NULL, NULL, &v, 1);
		off += (uint64_t)n;
		len -= (uint64_t)n;
	}
	free(buf);
}

static void note_write(int fd, const struct iovec *v, int n, ssize_t done, off_t off, bool dsync)
{
	uint64_t ino = done > 0 ? fd_ino(fd) : 0;
	int open_flags;

	if (!ino)
		return;
	open_flags = fcntl(fd, F_GETFL);
	if (off < 0)
		off = lseek(fd, 0, SEEK_CUR) - done; /* write() just moved it */
	note((struct power_event){.op = POWER_WRITE,
				  .flags = dsync || (open_flags & O_DSYNC),
				  .ino = ino,
				  .off = (uint64_t)off,
				  .len = (uint64_t)done,
				  .data_len = (uint64_t)done},
	     NULL, NULL, v, n);
}

ssize_t write(int fd, const void *buf, size_t len)
{
	struct iovec v = {(void *)buf, len};
	ssize_t r = syscall(SYS_write, fd, buf, len);

	note_write(fd, &v, 1, r, -1, false);
	return r;
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	ssize_t r = syscall(SYS_writev, fd, v, n);

	note_write(fd, v, n, r, -1, false);
	return r;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	struct iovec v = {(void *)buf, len};
	ssize_t r = syscall(SYS_pwrite64, fd, buf, len, off);

	note_write(fd, &v, 1, r, off, false);
	return r;
}

ssize_t pwritev64v2(int fd, const struct iovec *v, int n, off64_t off, int flags)
{
	ssize_t r = syscall(SYS_pwritev2, fd, v, (long)n, off, 0L, flags);

	note_write(fd, v, n, r, off, flags & (RWF_DSYNC | RWF_SYNC));
	return r;
}

ssize_t pwritev64(int fd, const struct iovec *v, int n, off64_t off)
{
	return pwritev64v2(fd, v, n, off, 0);
}

static int note_fd(int r, enum power_op op, uint32_t flags, int fd, off64_t off, off64_t len,
		   uint64_t start)
{
	uint64_t ino = r == 0 ? fd_ino(fd) : 0;

	if (ino)
		note((struct power_event){.op = op,
					  .flags = flags,
					  .ino = ino,
					  .off = (uint64_t)off,
					  .len = (uint64_t)len,
					  .start = start},
		     NULL, NULL, NULL, 0);
	return r;
}

int fsync(int fd)
{
	uint64_t start = log_fd >= 0 ? log_size() : 0;

	return note_fd((int)syscall(SYS_fsync, fd), POWER_SYNC, 0, fd, 0, 0, start);
}

int fdatasync(int fd)
{
	uint64_t start = log_fd >= 0 ? log_size() : 0;

	return note_fd((int)syscall(SYS_fdatasync, fd), POWER_SYNC, 1, fd, 0, 0, start);
}

int syncfs(int fd)
{
	uint64_t start = log_fd >= 0 ? log_size() : 0;

	return note_fd((int)syscall(SYS_syncfs, fd), POWER_SYNCFS, 0, fd, 0, 0, start);
}

int ftruncate64(int fd, off64_t size)
{
	return note_fd((int)syscall(SYS_ftruncate, fd, size), POWER_TRUNCATE, 0, fd, size, 0, 0);
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	bool zero = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	int r = (int)syscall(SYS_fallocate, fd, mode, off, len);

	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
		abort(); /* nobody does this; the replayer does not know it */
	return note_fd(r, zero ? POWER_PUNCH : POWER_ALLOCATE, !(mode & FALLOC_FL_KEEP_SIZE), fd,
		       off, len, 0);
}

int posix_fallocate64(int fd, off64_t off, off64_t len)
{
	return fallocate64(fd, 0, off, len) < 0 ? errno : 0;
}

ssize_t copy_file_range(int from, off64_t *from_off, int to, off64_t *to_off, size_t len,
			unsigned flags)
{
	off64_t at = to_off ? *to_off : lseek(to, 0, SEEK_CUR);
	ssize_t r = syscall(SYS_copy_file_range, from, from_off, to, to_off, len, flags);
	uint64_t ino = r > 0 ? fd_ino(to) : 0;

	if (ino)
		note_contents(to, ino, (uint64_t)at, (uint64_t)r);
	return r;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	uint64_t ino;
	struct stat st;
	int r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	r = (int)syscall(SYS_ioctl, fd, request, arg);
	if (r == 0 && request == FICLONE && (ino = fd_ino(fd)) && fstat(fd, &st) == 0)
		note_contents(fd, ino, 0, (uint64_t)st.st_size);
	return r;
}

/* After a power cut the machine has a new boot id: what is recorded ran under another one. */
static int open_boot_id(void)
{
	static const char id[] = "00000000-0000-4000-8000-000000000000\n";
	int fd = memfd_create("boot_id", MFD_CLOEXEC);

	if (fd >= 0 &&
	    (syscall(SYS_write, fd, id, sizeof(id) - 1) < 0 || lseek(fd, 0, SEEK_SET) < 0))
		abort();
	return fd;
}

static int open_and_note(int dirfd, const char *name, int flags, mode_t mode)
{
	char memory[PATH_MAX];
	const char *path = flags & (O_CREAT | O_TRUNC) ? at_path(dirfd, name, memory) : NULL;
	bool there = path && path_ino(dirfd, name) != 0;
	int fd = (int)syscall(SYS_openat, dirfd, name, flags, mode);
	struct stat st;

	if (fd >= 0 && log_fd >= 0 && strcmp(name, "/proc/sys/kernel/random/boot_id") == 0) {
		syscall(SYS_close, fd);
		return open_boot_id();
	}
	if (fd < 0 || !path || (there && !(flags & O_TRUNC)) || fstat(fd, &st) < 0)
		return fd;
	note((struct power_event){.op = there ? POWER_TRUNCATE : POWER_CREATE, .ino = st.st_ino},
	     there ? NULL : path, NULL, NULL, 0);
	return fd;
}

int openat64(int dirfd, const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode = 0;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return open_and_note(dirfd, name, flags, mode);
}

int open64(const char *name, int flags, ...)
{
	va_list ap;
	mode_t mode = 0;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	return open_and_note(AT_FDCWD, name, flags, mode);
}

static int note_paths(int r, struct power_event e, const char *path, const char *path2)
{
	if (r == 0 && path)
		note(e, path, path2, NULL, 0);
	return r;
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
	char memory[PATH_MAX];
	const char *path = at_path(dirfd, name, memory);
	int r = (int)syscall(SYS_mkdirat, dirfd, name, mode);
	uint64_t ino = r == 0 && path ? path_ino(dirfd, name) : 0;

	return note_paths(r, (struct power_event){.op = POWER_MKDIR, .ino = ino}, path, NULL);
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

int unlinkat(int dirfd, const char *name, int flags)
{
	char memory[PATH_MAX];
	const char *path = at_path(dirfd, name, memory);

	return note_paths((int)syscall(SYS_unlinkat, dirfd, name, flags),
			  (struct power_event){.op = POWER_UNLINK}, path, NULL);
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

/* A file that comes from elsewhere is new here, with all its bytes. */
static void note_arrival(int dirfd, const char *name, const char *path)
{
	int fd = (int)syscall(SYS_openat, dirfd, name, O_RDONLY | O_CLOEXEC, 0);
	struct stat st;

	if (fd < 0)
		return;
	if (fstat(fd, &st) == 0) {
		note((struct power_event){.op = POWER_CREATE, .ino = st.st_ino}, path, NULL, NULL,
		     0);
		note_contents(fd, st.st_ino, 0, (uint64_t)st.st_size);
	}
	close(fd);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	char memory[PATH_MAX], memory2[PATH_MAX];
	const char *path = at_path(from_fd, from, memory), *path2 = at_path(to_fd, to, memory2);
	int r = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);

	if (r == 0 && !path && path2)
		note_arrival(to_fd, to, path2);
	else if (r == 0 && path)
		note((struct power_event){.op = path2 ? POWER_RENAME : POWER_UNLINK,
					  .flags = (flags & RENAME_EXCHANGE) != 0},
		     path, path2, NULL, 0);
	return r;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	return renameat2(from_fd, from, to_fd, to, 0);
}

int rename(const char *from, const char *to)
{
	return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	char memory[PATH_MAX], memory2[PATH_MAX];
	const char *path = at_path(from_fd, from, memory), *path2 = at_path(to_fd, to, memory2);
	int r = (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);

	return note_paths(r, (struct power_event){.op = POWER_LINK}, path2 ? path : NULL, path2);
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

/* The names without 64, for whoever was built without 64-bit offsets; on this machine the same. */
ssize_t power_pwrite(int, const void *, size_t, off64_t) __asm__("pwrite");
ssize_t power_pwritev(int, const struct iovec *, int, off64_t) __asm__("pwritev");
ssize_t power_pwritev2(int, const struct iovec *, int, off64_t, int) __asm__("pwritev2");
int power_ftruncate(int, off64_t) __asm__("ftruncate");
int power_fallocate(int, int, off64_t, off64_t) __asm__("fallocate");
int power_posix_fallocate(int, off64_t, off64_t) __asm__("posix_fallocate");
int power_open(const char *, int, mode_t) __asm__("open");
int power_openat(int, const char *, int, mode_t) __asm__("openat");

ssize_t power_pwrite(int fd, const void *buf, size_t len, off64_t off)
{
	return pwrite64(fd, buf, len, off);
}

ssize_t power_pwritev(int fd, const struct iovec *v, int n, off64_t off)
{
	return pwritev64v2(fd, v, n, off, 0);
}

ssize_t power_pwritev2(int fd, const struct iovec *v, int n, off64_t off, int flags)
{
	return pwritev64v2(fd, v, n, off, flags);
}

int power_ftruncate(int fd, off64_t size)
{
	return ftruncate64(fd, size);
}

int power_fallocate(int fd, int mode, off64_t off, off64_t len)
{
	return fallocate64(fd, mode, off, len);
}

int power_posix_fallocate(int fd, off64_t off, off64_t len)
{
	return posix_fallocate64(fd, off, len);
}

int power_open(const char *name, int flags, mode_t mode)
{
	return open_and_note(AT_FDCWD, name, flags, mode);
}

int power_openat(int dirfd, const char *name, int flags, mode_t mode)
{
	return open_and_note(dirfd, name, flags, mode);
}
