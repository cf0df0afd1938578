// SPDX-License-Identifier: Apache-2.0
#include "tools/pg/pgstate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/os.h"

/* Lines of postmaster.pid, counted from 0 (PostgreSQL's pidfile.h). */
enum {
	LINE_PID = 0,
	LINE_PORT = 3,
	LINE_SOCKET_DIR = 4,
	LINE_LISTENS = 5,
	LINE_SHMEM = 6,
	LINE_STATUS = 7,
	LINES
};

static void parse(char *text, struct pgstate *s)
{
	char *line[LINES] = {0}, *save = text;
	unsigned long key;

	for (int k = 0; k < LINES && save; k++)
		line[k] = strsep(&save, "\n");
	s->pid = line[LINE_PID] ? (pid_t)strtol(line[LINE_PID], NULL, 10) : 0;
	/* A negative pid is a backend that runs alone (--single). */
	if (s->pid < 0)
		s->pid = -s->pid;
	s->port = line[LINE_PORT] ? (int)strtol(line[LINE_PORT], NULL, 10) : 0;
	if (line[LINE_SOCKET_DIR])
		snprintf(s->socket_dir, sizeof(s->socket_dir), "%s", line[LINE_SOCKET_DIR]);
	if (line[LINE_LISTENS])
		snprintf(s->listens, sizeof(s->listens), "%s", line[LINE_LISTENS]);
	if (line[LINE_SHMEM])
		sscanf(line[LINE_SHMEM], "%lu %d", &key, &s->shmid);
	s->ready = line[LINE_STATUS] && (strncmp(line[LINE_STATUS], "ready", 5) == 0 ||
					 strncmp(line[LINE_STATUS], "standby", 7) == 0);
}

static bool is_zombie(pid_t pid)
{
	char path[64], stat[512], *p;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (cow_os_read_small(AT_FDCWD, path, stat, sizeof(stat)) < 0)
		return false;
	p = strrchr(stat, ')');
	return p && strncmp(p, ") Z", 3) == 0;
}

static bool is_postgres(pid_t pid)
{
	char path[64], comm[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	return cow_os_read_small(AT_FDCWD, path, comm, sizeof(comm)) == 0 &&
	       (strncmp(comm, "postgres", 8) == 0 || strncmp(comm, "postmaster", 10) == 0);
}

static bool lives(pid_t pid)
{
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM) && !is_zombie(pid);
}

/* When the daemon dies, an idle postmaster goes on: it can do nothing any more, but it holds its
 * port. Only statfs asks the daemon itself; attributes would come from the kernel's cache. */
static bool works_in_dead_mount(pid_t pid)
{
	char path[64];
	struct statfs fs;

	if (!lives(pid) || !is_postgres(pid))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
	return statfs(path, &fs) < 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* Does process `pid` work in `dir`? Where its directory may not be looked at, its name decides. */
static bool works_in(pid_t pid, const char *dir)
{
	char path[64], cwd[PATH_MAX], real[PATH_MAX];
	ssize_t n;

	if (!lives(pid))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
	n = readlink(path, cwd, sizeof(cwd) - 1);
	if (n >= 0) {
		cwd[n] = '\0';
		return realpath(dir, real) && strcmp(real, cwd) == 0;
	}
	return is_postgres(pid);
}

static bool memory_in_use(int shmid)
{
	struct shmid_ds d;

	return shmid >= 0 && shmctl(shmid, IPC_STAT, &d) == 0 && d.shm_nattch > 0;
}

cow_errno pgstate_read(const char *pgdata, struct pgstate *ret, struct cow_error *e)
{
	char path[PATH_MAX], text[2048];
	cow_errno r;

	*ret = (struct pgstate){.shmid = -1};
	snprintf(path, sizeof(path), "%s/postmaster.pid", pgdata);
	r = cow_os_read_small(AT_FDCWD, path, text, sizeof(text));
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return cow_fail(e, r, "cannot read %s: %s", path, strerror(-r));
	ret->has_file = true;
	parse(text, ret);
	ret->running = works_in(ret->pid, pgdata);
	ret->orphan = !ret->running && works_in_dead_mount(ret->pid);
	ret->ready = ret->ready && ret->running;
	ret->leftover = !ret->running && memory_in_use(ret->shmid);
	return 0;
}
