// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgserver.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/cleanup.h"
#include "tools/pg/pg.h"

#define POLL_MS 4u          /* between looks at postmaster.pid: a start takes 40 ms and more */
#define LEFTOVER_MS 10000u  /* children of a killed postmaster notice within a second */
#define LOG_TAIL_BYTES 700u /* of the server's log in an error */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void pause_ms(unsigned ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
		  NULL);
}

/* --- who --- */

static cow_errno owner_of(const char *path, struct stat *ret, struct cow_error *e)
{
	if (stat(path, ret) < 0)
		return cow_fail(e, -errno, "cannot look at %s: %s", path, strerror(errno));
	if (ret->st_uid == 0) {
		cow_fail(e, -EPERM, "%s belongs to root, and postgres refuses to run as root",
			 path);
		return cow_hint(e, -EPERM, "Give the files to another user: chown -R postgres %s",
				path);
	}
	if (geteuid() != 0 && geteuid() != ret->st_uid) {
		cow_fail(e, -EPERM, "%s belongs to user %u, who you are not", path, ret->st_uid);
		return cow_hint(e, -EPERM, "Run the command as that user or as root.");
	}
	return 0;
}

cow_errno pgserver_become_owner(const char *path, struct cow_error *e)
{
	struct stat st;
	struct passwd *pw;
	cow_errno r = owner_of(path, &st, e);

	if (r < 0 || geteuid() != 0)
		return r;
	pw = getpwuid(st.st_uid);
	/* The groups of the user too: keys and sockets are often theirs. */
	if ((pw ? initgroups(pw->pw_name, st.st_gid) : setgroups(1, &st.st_gid)) < 0 ||
	    setgid(st.st_gid) < 0 || setuid(st.st_uid) < 0)
		return cow_fail(e, -errno, "cannot become user %u: %s", st.st_uid, strerror(errno));
	if (pw) {
		setenv("HOME", pw->pw_dir, 1);
		setenv("USER", pw->pw_name, 1);
		setenv("LOGNAME", pw->pw_name, 1);
	}
	return 0;
}

/* --- start --- */

/* The log as a descriptor the owner of the data can write; *ret_at = where the new part begins. */
static int open_log(const struct pgserver_start *how, const struct stat *owner, off_t *ret_at)
{
	int fd = open(how->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return -errno;
	if (geteuid() == 0 && fchown(fd, owner->st_uid, owner->st_gid) < 0) {
		close(fd);
		return -errno;
	}
	*ret_at = lseek(fd, 0, SEEK_END);
	return fd;
}

static cow_errno arguments(const struct pgserver_start *how, char ***ret)
{
	char **argv = calloc(how->settings->n * 2 + 4, sizeof(*argv));
	size_t n = 0;

	if (!argv)
		return -ENOMEM;
	if (asprintf(&argv[n++], "%s/postgres", how->bindir) < 0)
		return -ENOMEM;
	argv[n++] = strdup("-D");
	argv[n++] = strdup(how->pgdata);
	for (size_t k = 0; k < how->settings->n; k++) {
		const struct cow_pgconf_item *i = &how->settings->items[k];

		argv[n++] = strdup("-c");
		if (asprintf(&argv[n++], "%s=%s", i->name, i->value) < 0)
			return -ENOMEM;
	}
	*ret = argv;
	return 0;
}

static void free_arguments(char ***argv)
{
	for (char **p = *argv; p && *p; p++)
		free(*p);
	free(*argv);
}

/* In the child: never returns. What goes wrong is told to the log, as postgres does. */
static void run_postgres(const struct pgserver_start *how, char **argv, int log)
{
	static const char *const foreign[] = {"PGDATA",    "PGPORT",      "PGHOST",
					      "PGOPTIONS", "PGDATESTYLE", "PGCLIENTENCODING",
					      "PGSERVICE"};
	struct cow_error e = COW_ERROR_INIT;
	sigset_t none;
	int null = open("/dev/null", O_RDONLY);

	setsid();
	/* As root: the group is not the owner's. */
	if (how->group > 0 && write(how->group, "0", 1) < 0)
		dprintf(log, "cannot enter the group that limits this server: %s\n",
			strerror(errno));
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	closefrom(3);
	umask(077);
	for (size_t k = 0; k < sizeof(foreign) / sizeof(foreign[0]); k++)
		unsetenv(foreign[k]);
	if (pgserver_become_owner(how->pgdata, &e) == 0) {
		execv(argv[0], argv);
		cow_fail(&e, -errno, "cannot run %s: %s", argv[0], strerror(errno));
	}
	dprintf(STDERR_FILENO, "%s\n", e.text);
	_exit(1);
}

/* The end of what the server logged since `from`. */
static void log_tail(const char *path, off_t from, char *buf, size_t size)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	off_t at = COW_MAX(from, end - (off_t)(size - 1));
	ssize_t n = fd < 0 ? 0 : pread(fd, buf, size - 1, at);
	char *nl;

	buf[n > 0 ? n : 0] = '\0';
	nl = at > from ? strchr(buf, '\n') : NULL;
	if (nl)
		memmove(buf, nl + 1, strlen(nl));
	while (*buf && buf[strlen(buf) - 1] == '\n')
		buf[strlen(buf) - 1] = '\0';
}

static cow_errno ended(const struct pgserver_start *how, off_t log_at, struct cow_error *e)
{
	char tail[LOG_TAIL_BYTES];

	log_tail(how->log, log_at, tail, sizeof(tail));
	cow_fail(e, -ECHILD, "postgres ended while starting; the end of its log:\n%s", tail);
	return cow_hint(e, -ECHILD, "The whole log is in %s", how->log);
}

/* Until the postmaster `pid` says that it is ready, and answers. */
static cow_errno await_ready(const struct pgserver_start *how, pid_t pid, off_t log_at,
			     struct pgstate *ret, struct cow_error *e)
{
	const struct pg_address at = {
	    .host = how->socket_dir, .port = how->port, .user = how->user, .dbname = "postgres"};
	uint64_t end = now_ms() + how->timeout_ms;

	do {
		int status;

		if (waitpid(pid, &status, WNOHANG) == pid)
			return ended(how, log_at, e);
		if (pgstate_read(how->pgdata, ret, NULL) == 0 && ret->ready && ret->pid == pid &&
		    (!how->user || cow_pg_ping(&at) == PG_ANSWER_OK))
			return 0;
		pause_ms(POLL_MS);
	} while (now_ms() < end);
	cow_fail(e, -ETIMEDOUT, "postgres (pid %d) is not ready after %u s; it goes on starting",
		 (int)pid, how->timeout_ms / 1000);
	return cow_hint(e, -ETIMEDOUT, "Recovery of a busy server takes time; its log is %s",
			how->log);
}

/* A pid file names a process that is not this server: gone, a zombie, or somebody with the same
 * number. */
static cow_errno remove_stale(const char *dir, const char *name, struct cow_error *e)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (unlink(path) < 0 && errno != ENOENT)
		return cow_fail(e, -errno, "cannot remove %s: %s", path, strerror(errno));
	return 0;
}

/* A killed postmaster leaves processes for a moment, and sometimes a pid file whose pid belongs to
 * somebody else now: postgres would refuse to start over either. */
static cow_errno clear_leftovers(const struct pgserver_start *how, struct cow_error *e)
{
	const char *pgdata = how->pgdata;
	char lock[64];
	struct pgstate s;
	uint64_t end = now_ms() + LEFTOVER_MS;
	cow_errno r;

	while ((r = pgstate_read(pgdata, &s, e)) == 0 && s.leftover && now_ms() < end)
		pause_ms(POLL_MS);
	if (r < 0)
		return r;
	if (s.running) {
		cow_fail(e, -EBUSY, "postgres (pid %d) runs on %s already", (int)s.pid, pgdata);
		return cow_hint(e, -EBUSY, "Two servers on one directory would destroy it.");
	}
	if (s.leftover) {
		cow_fail(e, -EBUSY, "processes of an earlier server still use %s", pgdata);
		return cow_hint(e, -EBUSY,
				"Its postmaster (pid %d) was killed; end the rest of them.",
				(int)s.pid);
	}
	if (s.has_file)
		r = remove_stale(pgdata, "postmaster.pid", e);
	/* The socket directory is this server's own. */
	snprintf(lock, sizeof(lock), ".s.PGSQL.%d.lock", how->port);
	return r < 0 ? r : remove_stale(how->socket_dir, lock, e);
}

cow_errno pgserver_start(const struct pgserver_start *how, struct pgstate *ret, struct cow_error *e)
{
	CLEANUP(free_arguments) char **argv = NULL;
	CLEANUP_FD int log = -1;
	struct stat owner;
	off_t log_at = 0;
	pid_t pid;
	cow_errno r = owner_of(how->pgdata, &owner, e);

	if (r == 0)
		r = clear_leftovers(how, e);
	if (r < 0)
		return r;
	r = arguments(how, &argv);
	if (r < 0)
		return cow_fail(e, r, "no memory to start postgres");
	log = open_log(how, &owner, &log_at);
	if (log < 0)
		return cow_fail(e, log, "cannot write %s: %s", how->log, strerror(-log));
	pid = fork();
	if (pid < 0)
		return cow_fail(e, -errno, "cannot start a process: %s", strerror(errno));
	if (pid == 0)
		run_postgres(how, argv, log);
	return await_ready(how, pid, log_at, ret, e);
}

/* --- stop --- */

/* 0 when `pid` is gone within the time; -ESRCH it was not there. */
static cow_errno signal_and_wait(pid_t pid, int signal, unsigned timeout_ms)
{
	CLEANUP_FD int fd = pidfd_open(pid, 0);
	int n;

	if (fd < 0 || pidfd_send_signal(fd, signal, NULL, 0) < 0)
		return -errno;
	do
		n = poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, (int)timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : -ETIMEDOUT;
}

cow_errno pgserver_end_orphan(const char *pgdata, struct cow_error *e)
{
	struct pgstate s;
	cow_errno r = pgstate_read(pgdata, &s, e);

	if (r < 0 || !s.orphan)
		return r;
	/* It has nothing that it could lose: immediate takes its other processes along. */
	r = signal_and_wait(s.pid, SIGQUIT, LEFTOVER_MS);
	if (r == 0)
		return remove_stale(pgdata, "postmaster.pid", e);
	if (r == -ETIMEDOUT)
		r = signal_and_wait(s.pid, SIGKILL, LEFTOVER_MS);
	return r == 0 || r == -ESRCH ? 0
				     : cow_fail(e, r,
						"postgres (pid %d) of the mount before still runs, "
						"and cannot be ended: %s",
						(int)s.pid, strerror(-r));
}

cow_errno pgserver_stop(const char *pgdata, enum pgserver_mode mode, unsigned timeout_ms,
			bool *ret_was, struct cow_error *e)
{
	static const int signals[] = {SIGTERM, SIGINT, SIGQUIT};
	static const char *const stronger[] = {"fast", "immediate", "immediate"};
	struct pgstate s;
	cow_errno r = pgstate_read(pgdata, &s, e);

	if (r < 0)
		return r;
	*ret_was = s.running || s.orphan;
	if (!s.running)
		return pgserver_end_orphan(pgdata, e);
	r = signal_and_wait(s.pid, signals[mode], timeout_ms);
	if (r == 0 || r == -ESRCH)
		return 0;
	if (r != -ETIMEDOUT)
		return cow_fail(e, r, "cannot signal postgres (pid %d): %s", (int)s.pid,
				strerror(-r));
	cow_fail(e, -ETIMEDOUT, "postgres (pid %d) did not stop within %u s", (int)s.pid,
		 timeout_ms / 1000);
	return cow_hint(e, -ETIMEDOUT, "It may wait for clients; -m %s does not.", stronger[mode]);
}
