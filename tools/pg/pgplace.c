// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgplace.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"

#define PRIVATE_DIR "pg"
#define FIRST_DIR "1"     /* no longer than the other */
#define SOCKET_DIR_MAX 88 /* 107 less "/pg/.s.PGSQL.65535", and the NUL */
#define LOG_MAX (16 << 20)
#define LOCK_STEP_MS 10u

/* FNV-1a. */
uint64_t pgplace_hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h;
}

void pgplace_slug(const char *branch, char ret[PGPLACE_SLUG])
{
	size_t n = 0;
	bool same = true;

	for (const char *p = branch; *p && n < PGPLACE_SLUG - 14; p++) {
		bool plain =
		    isalnum((unsigned char)*p) || *p == '_' || (*p == '.' && n) || (*p == '-' && n);

		same = same && plain;
		ret[n++] = plain ? *p : '-';
	}
	ret[n] = '\0';
	if (!same || branch[n])
		snprintf(ret + n, PGPLACE_SLUG - n, "-%010llx",
			 (unsigned long long)(pgplace_hash(branch) & 0xffffffffffu));
}

cow_errno pgplace_fill(const char *store, const char *branch, char *socket_dir, size_t socket_size,
		       char *log, size_t log_size, struct cow_error *e)
{
	char real[PATH_MAX], run[PATH_MAX], slug[PGPLACE_SLUG];
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int n;

	if (!realpath(store, real))
		return cow_fail(e, -errno, "cannot find the store %s: %s", store, strerror(errno));
	pgplace_slug(branch, slug);
	if (geteuid() == 0)
		snprintf(run, sizeof(run), "/run/cowfs");
	else if (xdg && *xdg)
		snprintf(run, sizeof(run), "%s/cowfs", xdg);
	else
		snprintf(run, sizeof(run), "/tmp/cowfs-%u", geteuid());
	n = snprintf(socket_dir, socket_size, "%s/%08x/%s", run, (unsigned)pgplace_hash(real),
		     slug);
	if (n > SOCKET_DIR_MAX || (size_t)n >= socket_size) {
		cow_fail(e, -ENAMETOOLONG, "%s is too long for a socket path", run);
		return cow_hint(e, -ENAMETOOLONG, "Set XDG_RUNTIME_DIR to a shorter directory.");
	}
	snprintf(log, log_size, "%s/log/postgres-%s.log", real, slug);
	return 0;
}

/* Make every missing directory of `path`. A plain user's are private: they may be in /tmp. */
static cow_errno make_dirs(const char *path, mode_t mode)
{
	char part[PATH_MAX];

	for (const char *p = path + 1;; p++) {
		if (*p && *p != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)(p - path), path);
		if (mkdir(part, mode) < 0 && errno != EEXIST)
			return -errno;
		if (!*p)
			return 0;
	}
}

/* RUN/STORE above it: in /tmp, whoever owns those could put a server of his own in our place. */
static bool parents_are_ours(const char *dir)
{
	char up[PATH_MAX];
	struct stat st;

	snprintf(up, sizeof(up), "%s", dir);
	for (int k = 0; k < 2; k++) {
		*strrchr(up, '/') = '\0';
		if (lstat(up, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		    (st.st_mode & 022))
			return false;
	}
	return true;
}

static cow_errno make_socket_dir(const char *pgdata, const char *dir, struct cow_error *e)
{
	struct stat data, st;
	mode_t old = umask(022);
	cow_errno r = make_dirs(dir, geteuid() == 0 ? 0755 : 0700);

	umask(old);
	if (r < 0)
		return cow_fail(e, r, "cannot make %s: %s", dir, strerror(-r));
	if (!parents_are_ours(dir))
		return cow_fail(e, -EPERM, "a directory above %s belongs to somebody else", dir);
	if (stat(pgdata, &data) < 0 || lstat(dir, &st) < 0)
		return cow_fail(e, -errno, "cannot look at %s: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != data.st_uid))
		return cow_fail(e, -EPERM, "%s belongs to somebody else", dir);
	if (st.st_uid != data.st_uid && lchown(dir, data.st_uid, data.st_gid) < 0)
		return cow_fail(e, -errno, "cannot give %s to user %u: %s", dir, data.st_uid,
				strerror(errno));
	return 0;
}

/* In the store, and so of the owner of the store, whoever starts a server. */
static cow_errno make_log_dir(const char *dir)
{
	char up[PATH_MAX];
	struct stat st;

	if (mkdir(dir, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;
	snprintf(up, sizeof(up), "%.*s", (int)(strrchr(dir, '/') - dir), dir);
	if (geteuid() == 0 && (stat(up, &st) < 0 || lchown(dir, st.st_uid, st.st_gid) < 0))
		return -errno;
	return 0;
}

cow_errno pgplace_make(const char *pgdata, const char *socket_dir, const char *log,
		       struct cow_error *e)
{
	char dir[PATH_MAX], old[PATH_MAX];
	struct stat st;
	cow_errno r = make_socket_dir(pgdata, socket_dir, e);

	if (r < 0)
		return r;
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(log, '/') - log), log);
	r = make_log_dir(dir);
	if (r < 0)
		return cow_fail(e, r, "cannot make %s: %s", dir, strerror(-r));
	if (stat(log, &st) == 0 && st.st_size > LOG_MAX) {
		snprintf(old, sizeof(old), "%s.1", log);
		rename(log, old);
	}
	return 0;
}

cow_errno pgplace_lock(const char *pgdata, const char *socket_dir, const char *log,
		       unsigned timeout_ms, int *ret_fd, struct cow_error *e)
{
	for (unsigned waited = 0; waited <= timeout_ms; waited += LOCK_STEP_MS) {
		cow_errno r = pgplace_make(pgdata, socket_dir, log, e);
		struct stat mine, now;
		int fd;

		if (r < 0)
			return r;
		fd = open(socket_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 && errno != ENOENT)
			return cow_fail(e, -errno, "cannot open %s: %s", socket_dir,
					strerror(errno));
		/* `cowfs stop` may have removed the directory meanwhile. */
		if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 &&
		    stat(socket_dir, &now) == 0 && mine.st_ino == now.st_ino) {
			*ret_fd = fd;
			return 0;
		}
		if (fd >= 0)
			close(fd);
		nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
	}
	return cow_fail(e, -ETIMEDOUT, "another command has been starting a server on %s for %u s",
			pgdata, timeout_ms / 1000);
}

cow_errno pgplace_make_private(const char *pgdata, const char *dir, struct cow_error *e)
{
	struct stat data, st;

	if ((mkdir(dir, 0700) < 0 && errno != EEXIST) || lstat(dir, &st) < 0 ||
	    stat(pgdata, &data) < 0)
		return cow_fail(e, -errno, "cannot make %s: %s", dir, strerror(errno));
	if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != data.st_uid))
		return cow_fail(e, -EPERM, "%s belongs to somebody else", dir);
	if (st.st_uid != data.st_uid && lchown(dir, data.st_uid, data.st_gid) < 0)
		return cow_fail(e, -errno, "cannot give %s to user %u: %s", dir, data.st_uid,
				strerror(errno));
	return 0;
}

void pgplace_private_dir(const char *socket_dir, char *ret, size_t size)
{
	snprintf(ret, size, "%s/" PRIVATE_DIR, socket_dir);
}

void pgplace_data_link(const char *private_dir, char *ret, size_t size)
{
	snprintf(ret, size, "%s/data", private_dir);
}

cow_errno pgplace_link_data(const char *private_dir, const char *pgdata)
{
	char link[128], fresh[140];

	pgplace_data_link(private_dir, link, sizeof(link));
	snprintf(fresh, sizeof(fresh), "%s.new", link);
	unlink(fresh);
	if (symlink(pgdata, fresh) < 0)
		return -errno;
	return rename(fresh, link) < 0 ? -errno : 0;
}

void pgplace_rename_log(const char *store, const char *from, const char *to)
{
	char sockets[108], was[PATH_MAX], is[PATH_MAX], was_old[PATH_MAX + 4], is_old[PATH_MAX + 4];

	if (pgplace_fill(store, from, sockets, sizeof(sockets), was, sizeof(was), NULL) < 0 ||
	    pgplace_fill(store, to, sockets, sizeof(sockets), is, sizeof(is), NULL) < 0)
		return;
	snprintf(was_old, sizeof(was_old), "%s.1", was);
	snprintf(is_old, sizeof(is_old), "%s.1", is);
	/* What an earlier branch of that name left is not its. */
	unlink(is);
	unlink(is_old);
	rename(was, is);
	rename(was_old, is_old);
}

void pgplace_hand_over(const char *store, const char *from, const char *to, const char *pgdata)
{
	char sockets[108], private[124], log[PATH_MAX];

	if (pgplace_fill(store, from, sockets, sizeof(sockets), log, sizeof(log), NULL) < 0)
		return;
	pgplace_private_dir(sockets, private, sizeof(private));
	if (access(private, F_OK) == 0)
		pgplace_link_data(private, pgdata);
	pgplace_rename_log(store, from, to);
}

void pgplace_first_dir(const char *socket_dir, char *ret, size_t size)
{
	snprintf(ret, size, "%s/" FIRST_DIR, socket_dir);
}

bool pgplace_port_free(const char *host, int port)
{
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct sockaddr_in a = {.sin_family = AF_INET,
				      .sin_port = htons((uint16_t)port),
				      .sin_addr.s_addr = inet_addr(host)};

	/* As postgres does: an old connection in TIME_WAIT is no obstacle. */
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	return fd >= 0 && bind(fd, (const struct sockaddr *)&a, sizeof(a)) == 0 &&
	       listen(fd, 1) == 0;
}
