// SPDX-License-Identifier: Apache-2.0
/* hostio: definitions of libc calls that note themselves and call the real ones. */
#include "tests/lib/hostio.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { LOG_MAX = 200000 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hostio_event *events;
static size_t n_events;
static char watched[256];
static size_t watched_len;

static const char *op_names[] = {"write",    "write-dsync", "sync",   "punch",
				 "truncate", "unlink",      "rename", "open-write"};

#define REAL(name)                                                                                 \
	static __typeof__(name) *real;                                                             \
	if (!real) {                                                                               \
		*(void **)&real = dlsym(RTLD_NEXT, #name);                                         \
	}

static void note_path(enum hostio_op op, const char *path, uint64_t off, uint64_t len, int result)
{
	if (!watched_len || strncmp(path, watched, watched_len) != 0)
		return;
	path += watched_len;
	pthread_mutex_lock(&lock);
	if (n_events < LOG_MAX) {
		struct hostio_event *e = &events[n_events++];
		size_t n = strlen(path);

		*e = (struct hostio_event){.op = op, .off = off, .len = len, .result = result};
		if (n >= sizeof(e->path))
			path += n - sizeof(e->path) + 1;
		snprintf(e->path, sizeof(e->path), "%s", path);
	}
	pthread_mutex_unlock(&lock);
}

static void note_fd(enum hostio_op op, int fd, uint64_t off, uint64_t len, int result)
{
	char link[64], path[512];
	int saved = errno;
	ssize_t n;

	if (!watched_len)
		return;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		note_path(op, path, off, len, result);
	}
	errno = saved;
}

static void note_at(enum hostio_op op, int dirfd, const char *name, int result)
{
	char link[64], path[1024] = "";
	int saved = errno;
	ssize_t n = 0;

	if (!watched_len)
		return;
	if (name[0] != '/') {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
		n = dirfd == AT_FDCWD ? readlink("/proc/self/cwd", path, 512)
				      : readlink(link, path, 512);
		n = n < 0 ? 0 : n;
		path[n++] = '/';
	}
	snprintf(path + n, sizeof(path) - (size_t)n, "%s", name);
	note_path(op, path, 0, 0, result);
	errno = saved;
}

void hostio_watch(const char *dir)
{
	if (!events)
		events = calloc(LOG_MAX, sizeof(*events));
	n_events = 0;
	snprintf(watched, sizeof(watched), "%s", dir);
	watched_len = events ? strlen(watched) : 0;
}

const struct hostio_event *hostio_log(size_t *ret_n)
{
	watched_len = 0;
	*ret_n = n_events;
	return events;
}

size_t hostio_count(void)
{
	size_t n;

	pthread_mutex_lock(&lock);
	n = n_events;
	pthread_mutex_unlock(&lock);
	return n;
}

long hostio_find(size_t from, enum hostio_op op, const char *part)
{
	size_t n = hostio_count();

	for (size_t k = from; k < n; k++)
		if (events[k].op == op && strstr(events[k].path, part))
			return (long)k;
	return -1;
}

void hostio_print(void)
{
	size_t n = hostio_count();

	for (size_t k = 0; k < n; k++)
		fprintf(stderr, "%4zu %-11s %s off=%llu len=%llu result=%d\n", k,
			op_names[events[k].op], events[k].path, (unsigned long long)events[k].off,
			(unsigned long long)events[k].len, events[k].result);
}

/* --- what stands before libc. Both names of a call are the same with 64-bit offsets. --- */

ssize_t write(int fd, const void *buf, size_t len)
{
	ssize_t r;

	REAL(write)
	r = real(fd, buf, len);
	note_fd(HOSTIO_WRITE, fd, 0, len, r < 0 ? -errno : 0);
	return r;
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off64_t off)
{
	ssize_t r;

	REAL(pwrite64)
	r = real(fd, buf, len, off);
	note_fd(HOSTIO_WRITE, fd, (uint64_t)off, len, r < 0 ? -errno : 0);
	return r;
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t off, int flags)
{
	size_t len = 0;
	ssize_t r;

	REAL(pwritev64v2)
	r = real(fd, iov, n, off, flags);
	for (int k = 0; k < n; k++)
		len += iov[k].iov_len;
	note_fd(flags & RWF_DSYNC ? HOSTIO_WRITE_DSYNC : HOSTIO_WRITE, fd, (uint64_t)off, len,
		r < 0 ? -errno : 0);
	return r;
}

int fdatasync(int fd)
{
	int r;

	REAL(fdatasync)
	r = real(fd);
	note_fd(HOSTIO_SYNC, fd, 0, 0, r < 0 ? -errno : 0);
	return r;
}

int fsync(int fd)
{
	int r;

	REAL(fsync)
	r = real(fd);
	note_fd(HOSTIO_SYNC, fd, 0, 0, r < 0 ? -errno : 0);
	return r;
}

int fallocate64(int fd, int mode, off64_t off, off64_t len)
{
	int r;

	REAL(fallocate64)
	r = real(fd, mode, off, len);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_COLLAPSE_RANGE))
		note_fd(HOSTIO_PUNCH, fd, (uint64_t)off, (uint64_t)len, r < 0 ? -errno : 0);
	return r;
}

int ftruncate64(int fd, off64_t size)
{
	int r;

	REAL(ftruncate64)
	r = real(fd, size);
	note_fd(HOSTIO_TRUNCATE, fd, (uint64_t)size, 0, r < 0 ? -errno : 0);
	return r;
}

int unlink(const char *path)
{
	int r;

	REAL(unlink)
	r = real(path);
	note_at(HOSTIO_UNLINK, AT_FDCWD, path, r < 0 ? -errno : 0);
	return r;
}

int unlinkat(int dirfd, const char *path, int flags)
{
	int r;

	REAL(unlinkat)
	r = real(dirfd, path, flags);
	note_at(HOSTIO_UNLINK, dirfd, path, r < 0 ? -errno : 0);
	return r;
}

int rename(const char *from, const char *to)
{
	int r;

	REAL(rename)
	r = real(from, to);
	note_at(HOSTIO_RENAME, AT_FDCWD, to, r < 0 ? -errno : 0);
	return r;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
	int r;

	REAL(renameat)
	r = real(from_fd, from, to_fd, to);
	note_at(HOSTIO_RENAME, to_fd, to, r < 0 ? -errno : 0);
	return r;
}

int openat64(int dirfd, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;
	int fd;

	REAL(openat64)
	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	fd = real(dirfd, path, flags, mode);
	if ((flags & O_ACCMODE) != O_RDONLY)
		note_at(HOSTIO_OPEN_WRITE, dirfd, path, fd < 0 ? -errno : 0);
	return fd;
}
